//! Files inside of images, read from their layers without unpacking them.

use std::io::{self, Read};

/// What a visitor wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next file.
    Continue,
    /// Nothing more: it has what it came for.
    Stop,
}

/// Takes one file: its path below the root, without a leading `/`, and its bytes.
pub type Visit<'v> = &'v mut dyn FnMut(&str, &mut dyn Read) -> io::Result<Flow>;

/// Files that can be read through from the first to the last, as often as needed: an image's file system, a folder.
pub trait Files {
    /// Calls `visit` for every regular file whose path is `wanted`, each path once, until it stops. The order is the same every
    /// time, but no promise. An error of `visit` comes back as [`FilesError::Visitor`].
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError>;
}

/// Why files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A layer could not be had.
    #[error(transparent)]
    Fetch(#[from] crate::origin::FetchError),
    /// A manifest could not be had.
    #[error(transparent)]
    Origin(#[from] crate::origin::OriginError),
    /// A folder cannot be read.
    #[error(transparent)]
    Fs(#[from] crate::fs::FsError),
    /// The workspace.
    #[error(transparent)]
    Workspace(#[from] crate::layout::Error),
    /// A layer is not an archive of files.
    #[error("layer {digest} is not as a layer should be: {why}")]
    Layer {
        /// Which.
        digest: crate::digest::Digest,
        /// Why.
        why: String,
    },
    /// Whoever read the files refused one.
    #[error("{path}: {error}")]
    Visitor {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
}
