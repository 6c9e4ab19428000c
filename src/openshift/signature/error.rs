//! What can be wrong with release signatures and the keys for them.

use crate::digest::Digest;
use crate::fs::FsError;
use crate::text::shown;
use crate::web::WebError;
use std::path::PathBuf;

/// Why a digest has no signature that counts.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The keyring is empty: nothing can be verified.
    #[error("there is no OpenPGP key that release signatures could be verified with")]
    NoKeys,
    /// Made by a key nobody has given.
    #[error("it is signed by the OpenPGP key {key_id}, which is not here")]
    UnknownSigner {
        /// Key id: 16 upper-case hex digits (more where the signature names the fingerprint).
        key_id: String,
    },
    /// The key lies here, but neither was it named by the person nor is its fingerprint one this program knows.
    #[error("it is signed by the OpenPGP key {fingerprint} of {file}, which does not count as a release key of its own accord")]
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
    /// Not an OpenPGP message of the form releases are signed with.
    #[error("not a signature as releases have it: {0}")]
    Damaged(&'static str),
    /// No store has one.
    #[error("{digest} has no signature in {}", .stores.join(", "))]
    Missing {
        /// The release.
        digest: Digest,
        /// The stores that were asked, without logins.
        stores: Vec<String>,
    },
    /// No store has one, but not all could be asked.
    #[error("no signature of {digest} could be had: {}", joined(.failures))]
    Unreachable {
        /// The release.
        digest: Digest,
        /// The stores that were asked, without logins.
        stores: Vec<String>,
        /// What went wrong.
        failures: Vec<StoreFailure>,
    },
    /// There are signatures, and none counts.
    #[error("no signature of {digest} counts: {}", told(.refused))]
    Refused {
        /// The release.
        digest: Digest,
        /// Where each lies, and what is wrong with it; at least one.
        refused: Vec<(String, SignatureError)>,
    },
    /// The person asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// A store that could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// By address.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A folder.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A file holds no key that could verify a release.
    #[error("{} holds no OpenPGP key for release signatures: {problem}", shown(.file))]
    File {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// None of the places has a key that counts.
    #[error("no OpenPGP release key is in {}", paths(.looked))]
    None {
        /// Where was looked.
        looked: Vec<PathBuf>,
    },
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

fn joined(failures: &[StoreFailure]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn told(refused: &[(String, SignatureError)]) -> String {
    refused.iter().map(|(place, error)| format!("{place}: {error}")).collect::<Vec<_>>().join("; ")
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| shown(&path.to_string_lossy()).to_string()).collect::<Vec<_>>().join(", ")
}
