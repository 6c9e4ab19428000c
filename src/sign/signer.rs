//! Making signatures: whoever holds a private key is a [`Signer`]; [`sign_detached`] makes the file.

use super::Namespace;
use super::public_key::{KeyKind, PublicKey};
use super::raw::ecdsa_field;
use super::sshsig::{MessageHash, Signature, SshsigError};
use super::wire::put_string;
use p256::ecdsa::signature::Signer as _;
use std::fmt;

/// Holds a private key, or knows who does (an agent, a token).
pub trait Signer {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs `data` as it is; gives the SSH signature blob (RFC 4253, section 6.6; tokens: `PROTOCOL.u2f`).
    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// No signature came about.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Whoever holds the key failed or refused.
    #[error("{key} did not sign: {source}")]
    Holder {
        /// The key that was asked for.
        key: super::Fingerprint,
        /// What happened there; for agents a `keystore::KeystoreError`.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not a signature of the accepted kind.
    #[error("what {key} gave is not an acceptable signature: {source}")]
    Unacceptable {
        /// The key that was asked for.
        key: super::Fingerprint,
        /// Why not.
        source: SshsigError,
    },
    /// The answer is well formed but does not verify.
    #[error("what {key} gave does not verify: the holder of the key signed something else")]
    DoesNotVerify {
        /// The key that was asked for.
        key: super::Fingerprint,
    },
}

/// Signs `bytes` and gives the signature file (armoured, as it is written to disk). What was made is read and verified
/// once more before it is given out.
pub fn sign_detached(signer: &dyn Signer, namespace: Namespace, bytes: &[u8]) -> Result<String, SignError> {
    let key = signer.public_key();
    let unacceptable = |source| SignError::Unacceptable { key: key.fingerprint(), source };
    let message = MessageHash::of(bytes);
    let raw = signer.sign(&message.signed_data(namespace.as_str()))?;
    let file = Signature::frame(key, namespace.as_str(), &raw).map_err(unacceptable)?.armored();
    let again = Signature::parse(file.as_bytes()).map_err(unacceptable)?;
    if again.key() != key || again.namespace() != namespace.as_str() || !again.holds_for(&message) {
        return Err(SignError::DoesNotVerify { key: key.fingerprint() });
    }
    Ok(file)
}

/// A private key in memory. Wiped when dropped; prints as its public half.
pub struct SoftwareKey {
    secret: Secret,
    public: PublicKey,
}

enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl SoftwareKey {
    /// An Ed25519 key from its seed.
    pub fn ed25519(seed: &[u8; 32]) -> SoftwareKey {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        SoftwareKey { public: PublicKey::ed25519(key.verifying_key().to_bytes()), secret: Secret::Ed25519(key) }
    }

    /// An ECDSA P-256 key from its secret number (big endian); `None` when it is not below the order of the curve or is zero.
    pub fn p256(number: &[u8; 32]) -> Option<SoftwareKey> {
        let key = p256::ecdsa::SigningKey::from_slice(number).ok()?;
        let point = key.verifying_key().to_sec1_point(false).as_bytes().try_into().ok()?;
        Some(SoftwareKey { public: PublicKey::p256(point), secret: Secret::P256(key) })
    }
}

impl Signer for SoftwareKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Deterministic: Ed25519 by nature, ECDSA by RFC 6979.
    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut blob = Vec::with_capacity(128);
        match &self.secret {
            Secret::Ed25519(key) => {
                use ed25519_dalek::Signer as _;
                put_string(&mut blob, KeyKind::Ed25519.as_str().as_bytes());
                put_string(&mut blob, &key.sign(data).to_bytes());
            }
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(data);
                put_string(&mut blob, KeyKind::P256.as_str().as_bytes());
                put_string(&mut blob, &ecdsa_field(&signature.to_bytes().into()));
            }
        }
        Ok(blob)
    }
}

impl fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private half of {:?}", self.public)
    }
}
