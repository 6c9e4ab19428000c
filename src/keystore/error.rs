//! What can go wrong with keys and trust files. Never contains secrets.

use crate::fs::FsError;
use crate::sign::{Fingerprint, KeyError, TrustFileError};
use crate::text::shown;
use std::io;
use std::path::PathBuf;

/// An operation on keys, agent or trust files that failed.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A file operation.
    #[error(transparent)]
    File(#[from] FsError),
    /// Not a name a stored key may have.
    #[error("{:?} is not a name for a key: a-z 0-9 . _ -, beginning with a letter or digit, not ending in .pub", shown(.name).to_string())]
    BadName {
        /// What was given.
        name: String,
    },
    /// A key of this name is there already.
    #[error("{} is there already", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No stored key of this name, or no such file.
    #[error("there is no key {}", .path.display())]
    NoSuchKey {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A private key that others can read or write.
    #[error("{} can be read or written by others (mode {mode:04o}); a private key must be its owner's alone", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file that cannot be used.
    #[error("{}: {why}", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        why: KeyFileProblem,
    },
    /// The passphrase does not open the key.
    #[error("wrong passphrase for {}", .path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// Whoever was asked for the passphrase had none.
    #[error("no passphrase for {}: {source}", .path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// A comment or owner that would not survive in a key line.
    #[error("an owner is one line of text without control characters, at most 256 bytes")]
    BadOwner,
    /// A line or argument that is not a public key.
    #[error("{:?}: {source}", shown(.text).to_string())]
    PublicKey {
        /// What was given.
        text: String,
        /// Why not.
        source: KeyError,
    },
    /// The operating system gave no random numbers.
    #[error("no random numbers from the operating system: {0}")]
    Random(getrandom::Error),
    /// Encoding a new key failed.
    #[error("the new key could not be written: {0}")]
    Encode(ssh_key::Error),

    /// A key of the agent was asked for, and no agent is known.
    #[error("{key} can only be used through an ssh-agent, and none is known")]
    NoAgent {
        /// What was asked for.
        key: String,
    },
    /// The agent could not be talked to, or took too long.
    #[error("ssh-agent at {}: {source}", .socket.display())]
    Agent {
        /// Its socket.
        socket: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The agent said something that is no answer.
    #[error("ssh-agent at {}: {why}", .socket.display())]
    AgentAnswer {
        /// Its socket.
        socket: PathBuf,
        /// What is wrong with the answer.
        why: &'static str,
    },
    /// The agent does not hold this key.
    #[error("ssh-agent at {} does not hold {key}", .socket.display())]
    NotInAgent {
        /// Its socket.
        socket: PathBuf,
        /// The key.
        key: Fingerprint,
    },
    /// The agent holds the key and did not sign (locked, not confirmed, token not touched).
    #[error("ssh-agent at {} refused to sign with {key}", .socket.display())]
    AgentRefused {
        /// Its socket.
        socket: PathBuf,
        /// The key.
        key: Fingerprint,
    },

    /// A trust file that is refused as a whole.
    #[error("{} is refused: {source}", .path.display())]
    TrustFile {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        source: TrustFileError,
    },
    /// Principals that are not about streams.
    #[error("{:?} is not a list of streams: stream:NAME, separated by commas, with * ? and !", shown(.text).to_string())]
    BadPrincipals {
        /// What was given.
        text: String,
    },
    /// The very same line is there already.
    #[error("{key} is trusted for {principals} already (line {line})")]
    AlreadyTrusted {
        /// The key.
        key: Fingerprint,
        /// For what.
        principals: String,
        /// Where.
        line: usize,
    },
    /// The key is there with another owner: a key has one.
    #[error("{key} stands in the trust file (line {line}) as the key of {owner:?}")]
    OtherOwner {
        /// The key.
        key: Fingerprint,
        /// Whose it is there.
        owner: String,
        /// Where.
        line: usize,
    },
    /// Nothing to remove.
    #[error("no line of the trust file is {what}")]
    NotTrusted {
        /// The fingerprint or line number.
        what: String,
    },
    /// The key is revoked; trusting it again would have no effect.
    #[error("{key} is revoked")]
    Revoked {
        /// The key.
        key: Fingerprint,
    },
    /// A new policy statement that is none.
    #[error("not a statement of the policy file: {source}")]
    Policy {
        /// Why not.
        source: TrustFileError,
    },
}

/// Why a key file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileProblem {
    /// A private key in another container.
    #[error("it is a {0}; only the OpenSSH format is read")]
    OtherFormat(&'static str),
    /// A public key where a private one is needed.
    #[error("it is a public key; the private one is needed here")]
    PublicHalf,
    /// Not a key file at all.
    #[error("it is not an OpenSSH private key")]
    NotAKey,
    /// The container is damaged.
    #[error("the key file is damaged: {0}")]
    Damaged(&'static str),
    /// A kind of key that is not accepted.
    #[error("{0}")]
    Kind(#[from] KeyError),
    /// The key lies in a token.
    #[error("the private key lies in a token: it is used through ssh-agent")]
    Token,
    /// Encrypted in a way that is not understood.
    #[error("it is encrypted with {0}, which is not understood")]
    Cipher(String),
    /// More rounds than anybody waits for.
    #[error("checking its passphrase takes {found} rounds, more than the {} allowed", crate::limits::KDF_ROUNDS)]
    Rounds {
        /// Rounds the file asks for.
        found: u32,
    },
}
