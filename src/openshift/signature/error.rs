//! What can be wrong with release signatures and the keys for them.

use crate::digest::Digest;
use crate::fs::FsError;
use crate::lookaside::StoreFailure;
use crate::openpgp::{KeyFileError, SignatureError};
use crate::text::shown;
use std::path::PathBuf;

/// Why a digest has no signature that counts.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No key counts: nothing can be verified.
    #[error("there is no OpenPGP key that release signatures could be verified with")]
    NoKeys,
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

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A file holds no key that could verify a release.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// None of the places has a key that counts.
    #[error("no OpenPGP release key is in {}", paths(.looked))]
    None {
        /// Where was looked.
        looked: Vec<PathBuf>,
    },
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
