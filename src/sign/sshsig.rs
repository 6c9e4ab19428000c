//! The signature file: OpenSSH's `PROTOCOL.sshsig`, in its canonical form and no other.
//!
//! `ssh-keygen` accepts text after the armour, other libraries text before it or CRLF. Here a file is read, written
//! again, and must come out byte for byte: then no two readers can disagree about it.

use super::public_key::{KeyError, PublicKey};
use super::raw::RawSignature;
use super::wire::{Reader, Truncated, put_string};
use crate::digest::{Algorithm, Hasher};
use crate::limits;
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const MAGIC: &[u8; 6] = b"SSHSIG";
const VERSION: u32 = 1;
const HASH: &str = "sha512";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";
/// Where `ssh-keygen` breaks base64 lines.
const COLUMNS: usize = 70;

/// A signature file that is not one, or not in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshsigError {
    /// Larger than any signature.
    #[error("it is larger than {} bytes", limits::SIGNATURE_BYTES)]
    TooLarge,
    /// Text around the armour, CRLF, missing lines, no base64.
    #[error("it is not exactly one armoured SSH signature as ssh-keygen writes it")]
    Armor,
    /// Readable, but written differently from how it must be written.
    #[error("it is not in canonical form: written again it comes out differently")]
    NotCanonical,
    /// A damaged or foreign structure.
    #[error("{0}")]
    Malformed(&'static str),
    /// Another version of the format.
    #[error("it has version {0} of the signature format, only 1 is known")]
    Version(u32),
    /// Something in the field that must be empty.
    #[error("its reserved field is not empty")]
    Reserved,
    /// A hash other than SHA-512.
    #[error("it uses the hash {0}, only sha512 is accepted")]
    Hash(String),
    /// The key inside it.
    #[error("its key: {0}")]
    Key(#[from] KeyError),
    /// A token signed without a touch.
    #[error("the token that made it does not say that anybody was present")]
    NobodyPresent,
}

impl From<Truncated> for SshsigError {
    fn from(_: Truncated) -> SshsigError {
        SshsigError::Malformed("it ends in the middle of a field")
    }
}

/// One signature: who claims to have signed, for what, and the proof. Says nothing about trust.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    key: PublicKey,
    namespace: String,
    raw: RawSignature,
}

impl Signature {
    /// Reads a signature file.
    pub fn parse(file: &[u8]) -> Result<Signature, SshsigError> {
        if file.len() as u64 > limits::SIGNATURE_BYTES {
            return Err(SshsigError::TooLarge);
        }
        let text = std::str::from_utf8(file).map_err(|_| SshsigError::Armor)?;
        let body = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or(SshsigError::Armor)?;
        let base64: String = body.split('\n').collect();
        let blob = STANDARD.decode(base64).map_err(|_| SshsigError::Armor)?;
        let signature = Signature::from_blob(&blob)?;
        if signature.armored().as_bytes() != file {
            return Err(SshsigError::NotCanonical);
        }
        Ok(signature)
    }

    fn from_blob(blob: &[u8]) -> Result<Signature, SshsigError> {
        let mut reader = Reader::new(blob);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(SshsigError::Malformed("it does not begin with SSHSIG"));
        }
        match reader.u32()? {
            VERSION => {}
            other => return Err(SshsigError::Version(other)),
        }
        let key = PublicKey::from_blob(reader.string()?)?;
        let namespace = reader.string()?;
        if !reader.string()?.is_empty() {
            return Err(SshsigError::Reserved);
        }
        let hash = reader.string()?;
        if hash != HASH.as_bytes() {
            return Err(SshsigError::Hash(shown(&String::from_utf8_lossy(hash)).to_string()));
        }
        let raw = RawSignature::parse(reader.string()?, &key)?;
        if !reader.is_empty() {
            return Err(SshsigError::Malformed("something follows the signature"));
        }
        let namespace = std::str::from_utf8(namespace).map_err(|_| SshsigError::Malformed("its namespace is not text"))?;
        Ok(Signature { key, namespace: namespace.to_owned(), raw })
    }

    /// Frames what a [`super::Signer`] returned.
    pub(super) fn frame(key: &PublicKey, namespace: &str, raw: &[u8]) -> Result<Signature, SshsigError> {
        Ok(Signature { key: key.clone(), namespace: namespace.to_owned(), raw: RawSignature::parse(raw, key)? })
    }

    /// The signature file: what [`Signature::parse`] reads and `ssh-keygen -Y sign` would have written.
    pub fn armored(&self) -> String {
        let mut blob = Vec::with_capacity(512);
        blob.extend_from_slice(MAGIC);
        blob.extend_from_slice(&VERSION.to_be_bytes());
        put_string(&mut blob, &self.key.to_blob());
        put_string(&mut blob, self.namespace.as_bytes());
        put_string(&mut blob, b"");
        put_string(&mut blob, HASH.as_bytes());
        put_string(&mut blob, &self.raw.to_blob());
        let mut text = BEGIN.to_owned();
        for (i, c) in STANDARD.encode(blob).chars().enumerate() {
            if i > 0 && i % COLUMNS == 0 {
                text.push('\n');
            }
            text.push(c);
        }
        text.push('\n');
        text.push_str(END);
        text
    }

    /// Who claims to have signed.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// For what purpose.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// True when the key in it made it over bytes with this hash.
    pub(super) fn holds_for(&self, message: &MessageHash) -> bool {
        self.raw.verify(&self.key, &message.signed_data(&self.namespace))
    }
}

/// SHA-512 of a message: computed once, compared with any number of signatures.
pub(super) struct MessageHash(Vec<u8>);

impl MessageHash {
    pub(super) fn of(message: &[u8]) -> MessageHash {
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(message);
        MessageHash(hasher.finish().bytes().to_vec())
    }

    /// What is really signed (`PROTOCOL.sshsig`, "Signed Data").
    pub(super) fn signed_data(&self, namespace: &str) -> Vec<u8> {
        let mut data = Vec::with_capacity(128);
        data.extend_from_slice(MAGIC);
        put_string(&mut data, namespace.as_bytes());
        put_string(&mut data, b"");
        put_string(&mut data, HASH.as_bytes());
        put_string(&mut data, &self.0);
        data
    }
}
