//! What keeps a registry from starting, or ends it.

use super::store::StoreError;
use crate::fs::FsError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A registry that cannot be served. What single requests fail with is a [`StoreError`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// As asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The threads of the network side could not be started.
    #[error("cannot start the network threads: {0}")]
    Runtime(io::Error),
    /// Everybody on the network could read and write.
    #[error("{0} can be reached from other hosts, and neither users nor anonymous access were named")]
    Unprotected(SocketAddr),
    /// Neither a certificate nor the word that none is wanted.
    #[error("neither a certificate and its key nor plain HTTP were asked for")]
    NoTls,
    /// A certificate or key cannot be used.
    #[error("{} cannot be used for TLS: {why}", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file of users cannot be used.
    #[error("{}: line {line}: {why}", .path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why; never the line itself, which holds a hash.
        why: &'static str,
    },
    /// A certificate or password could not be made.
    #[error("cannot make {what}: {why}")]
    Making {
        /// What.
        what: &'static str,
        /// What the library said.
        why: String,
    },
    /// A certificate is there, its key is not.
    #[error("{} is not there, and belongs to {}", .key.display(), .certificate.display())]
    KeyAway {
        /// Where the key should be.
        key: PathBuf,
        /// The certificate.
        certificate: PathBuf,
    },
    /// The folder to prepare holds something else.
    #[error("{} is neither empty nor prepared for a registry", .0.display())]
    NotEmpty(PathBuf),
    /// Two that take pushes into one folder would not know of each other's uploads.
    #[error("another registry takes pushes into {}", .0.display())]
    TakesPushes(PathBuf),
    /// The settings of a prepared folder cannot be read.
    #[error("{} cannot be read: {why}", .path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The content cannot be served.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An operation on a file failed.
    #[error(transparent)]
    Fs(#[from] FsError),
}
