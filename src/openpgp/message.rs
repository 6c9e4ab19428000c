//! The shape of a signed message: `one-pass-signature literal signature`, in at most one compressed packet (RFC 9580,
//! sections 5.6 and 10.3).
//!
//! A reader that takes the first literal it finds can be shown one text and made to check another. So everything is counted.

use super::SignatureError;
use super::packets::{self, COMPRESSED, LITERAL, ONE_PASS, Packet, SIGNATURE, take};
use crate::limits::{RELEASE_SIGNATURE_BYTES, RELEASE_SIGNATURE_PLAIN_BYTES};
use flate2::{Decompress, FlushDecompress, Status};

/// What a message consists of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub one_pass: OnePass,
    /// The bytes that are signed, and nothing else.
    pub literal: Vec<u8>,
    /// Body of the signature packet.
    pub signature: Vec<u8>,
}

/// What the one-pass packet announces (section 5.4, version 3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OnePass {
    pub kind: u8,
    pub hash: u8,
    pub algorithm: u8,
    pub key_id: [u8; 8],
}

/// Takes a message apart.
pub(super) fn open(message: &[u8]) -> Result<Parts, SignatureError> {
    if message.len() as u64 > RELEASE_SIGNATURE_BYTES {
        return Err(SignatureError::Damaged("it is too long"));
    }
    read(message).map_err(SignatureError::Damaged)
}

fn read(message: &[u8]) -> Result<Parts, &'static str> {
    let outer = packets::split(message)?;
    let inner = match outer.as_slice() {
        [Packet { tag: COMPRESSED, body }] => packets::split(&plain(body)?)?,
        _ => outer,
    };
    let tags: Vec<u8> = inner.iter().map(|packet| packet.tag).collect();
    match (tags.as_slice(), inner.as_slice()) {
        ([ONE_PASS, LITERAL, SIGNATURE], [one, literal, signature]) => {
            Ok(Parts { one_pass: announced(&one.body)?, literal: content(&literal.body)?, signature: signature.body.clone() })
        }
        ([], _) => Err("it is empty"),
        ([COMPRESSED, ..], _) => Err("it is compressed more than once, or not as a whole"),
        _ => Err("it does not consist of an announcement, one document and one signature, in this order"),
    }
}

/// One signature is announced, the last one.
fn announced(body: &[u8]) -> Result<OnePass, &'static str> {
    match *body {
        [3, kind, hash, algorithm, a, b, c, d, e, f, g, h, 1] => Ok(OnePass { kind, hash, algorithm, key_id: [a, b, c, d, e, f, g, h] }),
        _ => Err("its first packet announces something else than one signature"),
    }
}

/// The bytes inside of a literal packet (section 5.9), behind its format, file name and date.
fn content(body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut rest = body;
    let [format, name] = *take(&mut rest, 2)? else { return Err("its document has no head") };
    if !matches!(format, b'b' | b't' | b'u') {
        return Err("its document is of an unknown format");
    }
    take(&mut rest, usize::from(name))?;
    take(&mut rest, 4)?;
    Ok(rest.to_vec())
}

/// Decompresses: ZIP and ZLIB, which gpg writes; the stream must end exactly where the packet does.
pub(super) fn plain(body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (method, packed) = body.split_first().ok_or("it is empty")?;
    let mut inflate = match method {
        1 => Decompress::new(false),
        2 => Decompress::new(true),
        _ => return Err("it is compressed in a way that is not known here"),
    };
    let limit = usize::try_from(RELEASE_SIGNATURE_PLAIN_BYTES).unwrap_or(usize::MAX);
    let mut out = vec![0; limit];
    let status = inflate.decompress(packed, &mut out, FlushDecompress::Finish).map_err(|_| "its compressed data is damaged")?;
    let (taken, made) = (inflate.total_in(), inflate.total_out());
    match status {
        Status::StreamEnd if taken == packed.len() as u64 => {
            out.truncate(usize::try_from(made).unwrap_or(limit));
            Ok(out)
        }
        Status::StreamEnd => Err("something follows its compressed data"),
        _ if made >= limit as u64 => Err("it is too long when decompressed"),
        _ => Err("its compressed data is cut off"),
    }
}
