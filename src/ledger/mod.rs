//! What this side remembers: sets accepted per target, the log of what was done, sequences it has issued.
//!
//! Everything lies in one private directory given by the caller. Files are replaced whole, under a lock; nothing here
//! is believed to be complete against who can write to that directory: the ledger defends against old media, not
//! against the owner of the host (`sealift-archive(5)`, "Ledger").

mod accepted;
mod host;
mod issued;
mod log;

pub use accepted::{Found, Ledger};
pub use host::host_name;
pub use issued::{Assigned, Issued, Wanted};
pub use log::{Action, Entry, Log};

use crate::digest::Digest;
use crate::format::{Fork, FormatError};
use crate::fs::FsError;
use std::path::PathBuf;

/// What keeping the ledger can fail with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file could not be read, written or locked.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A file is not what it should be. It is never repaired silently: it may have been tampered with.
    #[error("{} cannot be used: {error}", .path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: FormatError,
    },
    /// The ledger file under this target's name speaks of another target.
    #[error("{} belongs to target {found:?}, not to {expected:?}", .path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// The target asked for.
        expected: String,
        /// The target named in the file.
        found: String,
    },
    /// Two sets with one sequence.
    #[error(transparent)]
    Fork(#[from] Box<Fork>),
    /// The stream is new to this ledger, and nobody said that this is expected.
    #[error("stream {stream} has brought nothing to {target} before, as far as this host knows")]
    First {
        /// The stream.
        stream: String,
        /// The target.
        target: String,
        /// True when this host has no ledger of the target at all: a new host, another user, or a lost file.
        no_ledger: bool,
    },
    /// A line of the log does not follow from the one before.
    #[error("{} is broken at line {line}: {why}", .path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with the line.
        why: String,
    },
    /// A sequence was asked for that another plan has.
    #[error("sequence {sequence} of stream {stream} was given to another plan ({plan}) before")]
    Reused {
        /// The stream.
        stream: String,
        /// The sequence.
        sequence: u64,
        /// Digest of the plan that has it.
        plan: Digest,
    },
    /// A sequence was asked for that no set has, below one that a set has.
    #[error("sequence {sequence} of stream {stream} is not higher than that of its newest set, {stream}-{newest}")]
    NotNewer {
        /// The stream.
        stream: String,
        /// The sequence.
        sequence: u64,
        /// The newest issued.
        newest: u64,
    },
    /// The clock would carry the stream far beyond its newest sequence; a wrong clock would spoil it for ever.
    #[error("sequence {sequence} is more than 400 days after {newest}, the newest of stream {stream}: the clock may be wrong")]
    Jump {
        /// The stream.
        stream: String,
        /// What the clock proposes.
        sequence: u64,
        /// The newest issued.
        newest: u64,
    },
}
