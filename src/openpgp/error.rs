//! What can be wrong with OpenPGP signatures of images, and with keys.

use crate::digest::Digest;
use crate::text::shown;

/// Why a message is no signature that counts for a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The keyring is empty: nothing can be verified.
    #[error("there is no OpenPGP key that signatures could be verified with")]
    NoKeys,
    /// Made by a key nobody has given.
    #[error("it is signed by the OpenPGP key {key_id}, which is not here")]
    UnknownSigner {
        /// Key id: 16 upper-case hex digits (more where the signature names the fingerprint).
        key_id: String,
    },
    /// The key lies here, but neither was it named by the person nor is its fingerprint one this program knows.
    #[error("it is signed by the OpenPGP key {fingerprint} of {file}, which does not count of its own accord")]
    NotPinned {
        /// Fingerprint of the primary key.
        fingerprint: String,
        /// Where the key lies.
        file: String,
    },
    /// Mathematics says no: the message was changed, or never signed by this key.
    #[error("its signature by {fingerprint} does not hold: the message was changed after it was signed, or forged")]
    DoesNotHold {
        /// Fingerprint of the primary key.
        fingerprint: String,
    },
    /// The key is past its end.
    #[error("the key {fingerprint} has expired ({})", moment(*.at))]
    KeyExpired {
        /// Fingerprint of the primary key.
        fingerprint: String,
        /// Since when, in seconds since 1970.
        at: u64,
    },
    /// The key's owner has withdrawn it.
    #[error("the key {fingerprint} is revoked by its owner")]
    KeyRevoked {
        /// Fingerprint of the primary key.
        fingerprint: String,
    },
    /// The key may not sign, or is too weak.
    #[error("the key {fingerprint} cannot be used: {why}")]
    KeyUnfit {
        /// Fingerprint of the primary key.
        fingerprint: String,
        /// Why.
        why: &'static str,
    },
    /// The signature is past its end.
    #[error("the signature has expired ({})", moment(*.at))]
    Expired {
        /// Since when, in seconds since 1970.
        at: u64,
    },
    /// Made later than now.
    #[error("the signature was made at {}, this machine's clock says {}", moment(*.created), moment(*.now))]
    FromTheFuture {
        /// When it says it was made, in seconds since 1970.
        created: u64,
        /// The clock here.
        now: u64,
    },
    /// A hash that collisions are known or expected of.
    #[error("it is made with {0}; SHA-256, SHA-384 and SHA-512 count")]
    WeakHash(String),
    /// A good signature, of something else.
    #[error("it is for {}, not for {wanted}", shown(.signed))]
    WrongDigest {
        /// As signed.
        signed: String,
        /// As asked for.
        wanted: Digest,
    },
    /// A good signature, of another kind of document.
    #[error("it is a {:?}, not an atomic container signature", shown(.found).to_string())]
    WrongType {
        /// `critical.type`.
        found: String,
    },
    /// A good signature, of something that is no such document.
    #[error("what is signed is not as it should be: {0}")]
    Document(String),
    /// Not an OpenPGP message of the form images are signed with.
    #[error("not a signature as images have it: {0}")]
    Damaged(&'static str),
}

/// A file without any usable key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} holds no OpenPGP key for signatures of images: {problem}", shown(.file))]
pub struct KeyFileError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: KeyProblem,
}

/// What is wrong with a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Neither armor nor packets.
    #[error("there is no OpenPGP key in it")]
    NoKey,
    /// A private key: it has no business here.
    #[error("it is a private key; the public one is wanted")]
    Private,
    /// Cut off or changed.
    #[error("it is damaged")]
    Damaged,
    /// Of a version or algorithm that is not verified here.
    #[error("it is of a kind that is not supported")]
    Unsupported,
    /// Nothing in it says, signed by itself, that it is a signing key.
    #[error("it is not signed by itself")]
    Unsigned,
}

/// A time for a person; UTC.
fn moment(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    at.map_or_else(|| format!("{seconds} s after 1970"), |at| at.to_string())
}
