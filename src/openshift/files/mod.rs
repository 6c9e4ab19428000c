//! Files inside of images, read from their layers without unpacking them.
//!
//! Nothing of a layer is believed: an archive may claim any size, any path and any number of entries. Headers are
//! read in `entries`, with at most one long name in memory; what hides what is kept in `cover`; `image` puts them together.

mod blobs;
mod choose;
mod cover;
mod entries;
mod image;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use blobs::Blobs;
pub use choose::{ImageConfig, choose};
pub use image::ImageFiles;

pub(super) use choose::{Member, selected};
pub(super) use cover::about;
pub(super) use entries::{Bad, Entries, Kind, Owner, normal, plain};
pub(super) use image::told;

use crate::digest::Digest;
use crate::text::shown;
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
    /// The person asked to stop.
    #[error("interrupted")]
    Interrupted,
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
    /// What was asked for as one image is an index, or an artifact without file system.
    #[error("{digest} is not an image with a file system: {why}")]
    NoImage {
        /// Which.
        digest: Digest,
        /// What it is.
        why: String,
    },
    /// A configuration is not as the image specification says.
    #[error("configuration {digest} is not as an image's should be: {why}")]
    Config {
        /// Which.
        digest: Digest,
        /// Why, safe to print.
        why: String,
    },
    /// A layer is not an archive of files.
    #[error("layer {digest} is not as a layer should be: {why}")]
    Layer {
        /// Which.
        digest: Digest,
        /// Why, safe to print.
        why: String,
    },
    /// A file that is wanted is a link. Links are not followed: where they lead is decided by whoever made the image.
    #[error("{} is a link to {}; it must be a file or folder itself", shown(.path), shown(.target))]
    Link {
        /// The path.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// Whoever read the files refused one.
    #[error("{}: {error}", shown(.path))]
    Visitor {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
}
