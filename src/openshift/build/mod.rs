//! Images made from images: layers and configuration changed, digests the same on every run.
//!
//! What is not changed stays as it was written: members of documents that are not known here are carried over by their bytes.

mod edit;
mod layer;
#[cfg(test)]
mod tests;

pub use edit::{Change, edit, index};

pub(super) use edit::joined;
pub use layer::{Layer, LayerBuilder};

use crate::blob::BlobSink;
use crate::digest::Digest;
use crate::layout::Layout;
use crate::oci::Descriptor;
use crate::text::shown;
use std::io::{self, Cursor};

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The workspace.
    #[error(transparent)]
    Workspace(#[from] crate::layout::Error),
    /// A file of the workspace.
    #[error(transparent)]
    Fs(#[from] crate::fs::FsError),
    /// What shall become a file of a layer cannot be read.
    #[error("cannot read what shall become {}: {error}", shown(.path))]
    Content {
        /// Path in the layer.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A path that no layer may have, or that is there already.
    #[error("a layer cannot have the path {}: {why}", shown(.path))]
    Path {
        /// The path.
        path: String,
        /// What is wrong about it.
        why: &'static str,
    },
    /// A manifest or configuration cannot be changed.
    #[error("{digest} cannot be changed: {why}")]
    Document {
        /// Which.
        digest: Digest,
        /// Why, safe to print.
        why: String,
    },
}

/// Stores a small document.
pub(in crate::openshift) fn put(workspace: &Layout, media_type: &str, bytes: Vec<u8>) -> Result<Descriptor, BuildError> {
    let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
    workspace.put(&descriptor, &mut || Ok(Box::new(Cursor::new(bytes.clone()))))?;
    Ok(descriptor)
}
