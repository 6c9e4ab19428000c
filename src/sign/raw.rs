//! The innermost signature: RFC 8709 (Ed25519), RFC 5656 (ECDSA), `PROTOCOL.u2f` (tokens). Parsing and arithmetic.

use super::public_key::{KeyKind, Material, PublicKey};
use super::sshsig::SshsigError;
use super::wire::{Reader, mpint, put_mpint, put_string};
use crate::digest::Digest;
use p256::ecdsa::signature::Verifier as _;

/// The token says that somebody touched it (`PROTOCOL.u2f`, flag bit 0).
const USER_PRESENT: u8 = 1;

/// A signature by one key, without its frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RawSignature {
    kind: KeyKind,
    /// Ed25519 signature, or `r` and `s` of ECDSA, 32 bytes each.
    bytes: [u8; 64],
    /// What a token adds: flags and counter.
    flags: u8,
    counter: u32,
}

impl RawSignature {
    /// Reads `string kind, string signature` and, for tokens, `byte flags, uint32 counter`.
    pub(super) fn parse(blob: &[u8], key: &PublicKey) -> Result<RawSignature, SshsigError> {
        let mut reader = Reader::new(blob);
        let kind = key.kind();
        if reader.string()? != kind.as_str().as_bytes() {
            return Err(SshsigError::Malformed("the signature is of another kind than its key"));
        }
        let field = reader.string()?;
        let bytes = match kind {
            KeyKind::Ed25519 | KeyKind::SkEd25519 => {
                field.try_into().map_err(|_| SshsigError::Malformed("an Ed25519 signature has 64 bytes"))?
            }
            KeyKind::P256 | KeyKind::SkP256 => ecdsa_numbers(field)?,
        };
        let (flags, counter) = match kind {
            KeyKind::Ed25519 | KeyKind::P256 => (0, 0),
            KeyKind::SkEd25519 | KeyKind::SkP256 => (reader.u8()?, reader.u32()?),
        };
        if !reader.is_empty() {
            return Err(SshsigError::Malformed("something follows the signature"));
        }
        let raw = RawSignature { kind, bytes, flags, counter };
        if raw.is_by_token() && flags & USER_PRESENT == 0 {
            return Err(SshsigError::NobodyPresent);
        }
        Ok(raw)
    }

    fn is_by_token(&self) -> bool {
        matches!(self.kind, KeyKind::SkEd25519 | KeyKind::SkP256)
    }

    /// The one form there is of it.
    pub(super) fn to_blob(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        put_string(&mut out, self.kind.as_str().as_bytes());
        match self.kind {
            KeyKind::Ed25519 | KeyKind::SkEd25519 => put_string(&mut out, &self.bytes),
            KeyKind::P256 | KeyKind::SkP256 => put_string(&mut out, &ecdsa_field(&self.bytes)),
        }
        if self.is_by_token() {
            out.push(self.flags);
            out.extend_from_slice(&self.counter.to_be_bytes());
        }
        out
    }

    /// True when `key` made this signature over `data`.
    pub(super) fn verify(&self, key: &PublicKey, data: &[u8]) -> bool {
        if self.kind != key.kind() {
            return false;
        }
        if !self.is_by_token() {
            return verify(&key.material, data, &self.bytes);
        }
        // What a token signs (PROTOCOL.u2f): the application is bound from the key of the trust file.
        let mut told = Vec::with_capacity(69);
        told.extend_from_slice(Digest::sha256(key.application()).bytes());
        told.push(self.flags);
        told.extend_from_slice(&self.counter.to_be_bytes());
        told.extend_from_slice(Digest::sha256(data).bytes());
        verify(&key.material, &told, &self.bytes)
    }
}

fn verify(key: &Material, data: &[u8], signature: &[u8; 64]) -> bool {
    match key {
        Material::Ed25519(point) => ed25519_dalek::VerifyingKey::from_bytes(point)
            .and_then(|key| key.verify_strict(data, &ed25519_dalek::Signature::from_bytes(signature)))
            .is_ok(),
        Material::P256(point) => p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
            .and_then(|key| key.verify(data, &p256::ecdsa::Signature::from_slice(signature)?))
            .is_ok(),
    }
}

/// `mpint r, mpint s` (RFC 5656, section 3.1.2).
fn ecdsa_numbers(field: &[u8]) -> Result<[u8; 64], SshsigError> {
    let bad = || SshsigError::Malformed("an ECDSA P-256 signature has two positive numbers of at most 256 bits");
    let mut reader = Reader::new(field);
    let r = mpint(reader.string()?).ok_or_else(bad)?;
    let s = mpint(reader.string()?).ok_or_else(bad)?;
    if !reader.is_empty() {
        return Err(bad());
    }
    let mut bytes = [0; 64];
    bytes.iter_mut().zip(r.iter().chain(&s)).for_each(|(to, from)| *to = *from);
    Ok(bytes)
}

/// The reverse of [`ecdsa_numbers`].
pub(super) fn ecdsa_field(bytes: &[u8; 64]) -> Vec<u8> {
    let mut field = Vec::with_capacity(80);
    for half in bytes.as_chunks::<32>().0 {
        put_mpint(&mut field, half);
    }
    field
}
