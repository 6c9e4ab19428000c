//! Public keys of cosign: PEM of a SubjectPublicKeyInfo (RFC 5280, section 4.1; RFC 7468, section 13).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Verifier as _;
use p256::ecdsa::{DerSignature, VerifyingKey};
use std::fmt;

/// `id-ecPublicKey` with the curve P-256, up to the uncompressed point of 65 bytes (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00,
];
/// `id-Ed25519`, up to the key of 32 bytes (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key images are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    P256(VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its file.
    #[error("the key cannot be read: {0}")]
    Unreadable(String),
    /// Not PEM with one public key.
    #[error("there is no PEM public key (BEGIN PUBLIC KEY)")]
    NoKey,
    /// Neither ECDSA on P-256 nor Ed25519.
    #[error("it is neither an ECDSA key on P-256, as cosign makes them, nor an Ed25519 key")]
    Kind,
    /// Not a point of its curve.
    #[error("the key is not a point of its curve")]
    Point,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::P256(_) => "Key(P-256)",
            Kind::Ed25519(_) => "Key(Ed25519)",
        })
    }
}

impl Key {
    /// Reads the only public key of a PEM text.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(bytes: &[u8]) -> Result<Key, KeyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NoKey)?;
        let (_, rest) = text.split_once("-----BEGIN PUBLIC KEY-----").ok_or(KeyError::NoKey)?;
        let (body, rest) = rest.split_once("-----END PUBLIC KEY-----").ok_or(KeyError::NoKey)?;
        if rest.contains("-----BEGIN") {
            return Err(KeyError::NoKey);
        }
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        Key::from_der(&BASE64.decode(body).map_err(|_| KeyError::NoKey)?)
    }

    fn from_der(der: &[u8]) -> Result<Key, KeyError> {
        if let Some(point) = der.strip_prefix(&P256) {
            return Ok(Key(Kind::P256(VerifyingKey::from_sec1_bytes(point).map_err(|_| KeyError::Point)?)));
        }
        if let Some(point) = der.strip_prefix(&ED25519) {
            let point = point.try_into().map_err(|_| KeyError::Point)?;
            let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| KeyError::Point)?;
            return if key.is_weak() { Err(KeyError::Point) } else { Ok(Key(Kind::Ed25519(key))) };
        }
        Err(KeyError::Kind)
    }

    /// Whether this key made `signature` (ASN.1 for ECDSA, over SHA-256) over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Kind::P256(key) => DerSignature::from_bytes(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            Kind::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
            }
        }
    }
}
