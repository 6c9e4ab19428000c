//! OpenPGP packets, taken apart (RFC 9580, section 4.2).
//!
//! Done here and not by the `pgp` crate, whose readers take the end of the input for the end of a packet stream wherever it comes.

use pgp::packet::{PacketHeader, PublicKey, PublicSubkey, Signature, UserId};
use pgp::ser::Serialize as _;
use pgp::types::{SignatureBytes, Tag};

pub(super) const SIGNATURE: u8 = 2;
pub(super) const ONE_PASS: u8 = 4;
pub(super) const SECRET_KEY: u8 = 5;
pub(super) const PUBLIC_KEY: u8 = 6;
pub(super) const SECRET_SUBKEY: u8 = 7;
pub(super) const COMPRESSED: u8 = 8;
const MARKER: u8 = 10;
pub(super) const LITERAL: u8 = 11;
const TRUST: u8 = 12;
pub(super) const USER_ID: u8 = 13;
pub(super) const PUBLIC_SUBKEY: u8 = 14;
const PADDING: u8 = 21;
/// From here on packets that are not known are passed over (section 4.3).
const NOT_CRITICAL: u8 = 40;

/// Packets of one file: a message has three, a file of all of a vendor's keys some hundred.
const MOST: usize = 4096;

/// One packet, its length taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub tag: u8,
    pub body: Vec<u8>,
}

impl Packet {
    /// Whether it is to be read as if it were not there: between a key and what is signed about it, it must not part the two.
    pub fn means_nothing(&self) -> bool {
        matches!(self.tag, MARKER | TRUST | PADDING) || self.tag >= NOT_CRITICAL
    }
}

/// Why bytes are not packets.
const CUT: &str = "it ends in the middle of a packet";

/// Takes `bytes` apart; every byte belongs to a packet, or it is refused.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<Packet>, &'static str> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        if first & 0x80 == 0 {
            return Err("there is something that is no OpenPGP packet");
        }
        if found.len() >= MOST {
            return Err("it has too many packets");
        }
        rest = after;
        found.push(if first & 0x40 == 0 { old(*first, &mut rest)? } else { new(*first, &mut rest)? });
    }
    Ok(found)
}

/// Legacy format (section 4.2.2). A length that is not told is for compressed packets, which reach to the end.
fn old(first: u8, rest: &mut &[u8]) -> Result<Packet, &'static str> {
    let tag = first >> 2 & 15;
    let length = match first & 3 {
        0 => number(rest, 1)?,
        1 => number(rest, 2)?,
        2 => number(rest, 4)?,
        _ if tag == COMPRESSED => rest.len(),
        _ => return Err("a packet does not tell its length"),
    };
    Ok(Packet { tag, body: take(rest, length)?.to_vec() })
}

/// Section 4.2.1. Partial lengths are for data packets only; pieces smaller than the 512 bytes the standard demands exist in
/// signatures that are in use.
fn new(first: u8, rest: &mut &[u8]) -> Result<Packet, &'static str> {
    let tag = first & 63;
    let mut body = Vec::new();
    loop {
        let (length, last) = match number(rest, 1)? {
            short @ 0..192 => (short, true),
            two @ 192..224 => (((two - 192) << 8) + number(rest, 1)? + 192, true),
            255 => (number(rest, 4)?, true),
            partial => (1 << (partial & 31), false),
        };
        if !last && !matches!(tag, COMPRESSED | LITERAL) {
            return Err("a packet comes in pieces that must come whole");
        }
        body.extend_from_slice(take(rest, length)?);
        if last {
            return Ok(Packet { tag, body });
        }
    }
}

/// A big-endian number of at most four bytes.
fn number(rest: &mut &[u8], bytes: usize) -> Result<usize, &'static str> {
    Ok(take(rest, bytes)?.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

/// The next `length` bytes.
pub(super) fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], &'static str> {
    let (taken, after) = rest.split_at_checked(length).ok_or(CUT)?;
    *rest = after;
    Ok(taken)
}

/// Reads a signature packet whole. Versions 3 and 4 (those of version 4 keys) are read.
pub(super) fn signature(body: &[u8]) -> Result<Signature, &'static str> {
    if !matches!(body.first(), Some(3 | 4)) {
        return Err("its signature is of an unknown version");
    }
    let mut rest = body;
    let read = Signature::try_from_reader(header(Tag::Signature, body), &mut rest);
    const WHY: &str = "its signature packet cannot be read";
    let signature = read.ok().filter(|_| rest.is_empty()).ok_or(WHY)?;
    // The library takes numbers with a wrong count of bits (section 3.2) for what they may have meant.
    match signature.signature() {
        Some(SignatureBytes::Mpis(numbers)) => {
            let written: Vec<u8> = numbers.iter().flat_map(|number| number.to_bytes().unwrap_or_default()).collect();
            if body.ends_with(&written) { Ok(signature) } else { Err(WHY) }
        }
        _ => Ok(signature),
    }
}

/// A primary key packet of version 4: the library ends the program over the number of some others. A key that would be written
/// in another way than it is has another fingerprint than the library would say.
pub(super) fn public_key(body: &[u8]) -> Option<PublicKey> {
    let key = body.starts_with(&[4]).then(|| PublicKey::try_from_reader(header(Tag::PublicKey, body), body))?.ok()?;
    key.to_bytes().is_ok_and(|written| written == body).then_some(key)
}

/// A subkey packet of version 4.
pub(super) fn public_subkey(body: &[u8]) -> Option<PublicSubkey> {
    let key = body.starts_with(&[4]).then(|| PublicSubkey::try_from_reader(header(Tag::PublicSubkey, body), body))?.ok()?;
    key.to_bytes().is_ok_and(|written| written == body).then_some(key)
}

/// A user id packet.
pub(super) fn user_id(body: &[u8]) -> Option<UserId> {
    UserId::try_from_reader(header(Tag::UserId, body), body).ok()
}

fn header(tag: Tag, body: &[u8]) -> PacketHeader {
    PacketHeader::new_fixed(tag, u32::try_from(body.len()).unwrap_or(u32::MAX))
}
