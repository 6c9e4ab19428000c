//! What can go wrong with a layout, each case with its subject.

use crate::blob::Wrong;
use crate::digest::Digest;
use crate::fs::FsError;
use crate::oci::ManifestError;
use crate::text::shown;
use std::io;
use std::path::PathBuf;

/// A layout that cannot be used, or lacks what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder has no `oci-layout` file.
    #[error("{} is not an OCI image layout: it has no oci-layout file", .path.display())]
    NotALayout {
        /// The folder.
        path: PathBuf,
    },
    /// A layout was to be made in a folder that holds something else.
    #[error("{} is neither empty nor an OCI image layout", .path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A layout of another major version.
    #[error("{} is an image layout of version {version}; version 1 is understood here", .path.display())]
    Version {
        /// The folder.
        path: PathBuf,
        /// As written there, made safe to print.
        version: String,
    },
    /// `oci-layout` or `index.json` is not what the specification says.
    #[error("{} is malformed: {why}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What about it, made safe to print.
        why: String,
    },
    /// `index.json` would become larger than what is read again.
    #[error("{} would have {size} bytes, more than the {limit} allowed for it", .path.display())]
    TooManyImages {
        /// The file.
        path: PathBuf,
        /// What it would have.
        size: u64,
        /// What is allowed.
        limit: u64,
    },
    /// No image of that tag or digest.
    #[error("{} has no image {}; it has {}", .path.display(), shown(.wanted), listed(.there))]
    NoSuchImage {
        /// The layout.
        path: PathBuf,
        /// Tag or digest as asked for.
        wanted: String,
        /// The names there are.
        there: Vec<String>,
    },
    /// Several different images answer to the tag, or none was named and there are several.
    #[error("{} has {} different images for {}: {}", .path.display(), .found.len(), wanted_or_any(.wanted), listed(.there))]
    NotUnique {
        /// The layout.
        path: PathBuf,
        /// Tag as asked for; `None` where none was.
        wanted: Option<String>,
        /// The digests that answer.
        found: Vec<Digest>,
        /// Their names.
        there: Vec<String>,
    },
    /// `index.json` lists nothing.
    #[error("{} holds no image", .path.display())]
    Empty {
        /// The layout.
        path: PathBuf,
    },
    /// A blob is not there.
    #[error("{} has no blob {digest}", .path.display())]
    NoBlob {
        /// The layout.
        path: PathBuf,
        /// Which blob.
        digest: Digest,
    },
    /// Where a blob should be lies a link, a folder or a device.
    #[error("{} is not a regular file", .path.display())]
    Irregular {
        /// The path of the blob.
        path: PathBuf,
    },
    /// A stored blob is not what its name says.
    #[error("{} is damaged: {wrong}", .path.display())]
    Damaged {
        /// The blob's file.
        path: PathBuf,
        /// In what way.
        wrong: Wrong,
    },
    /// What was to be stored is not what its descriptor says. Nothing of it became visible.
    #[error("wrong bytes came in: {0}")]
    Wrong(Wrong),
    /// Where the bytes to be stored come from failed.
    #[error("cannot get {digest}: {source}")]
    Source {
        /// Which blob.
        digest: Digest,
        /// As the reader said.
        source: io::Error,
    },
    /// A manifest that is there cannot be carried.
    #[error("manifest {digest}: {error}")]
    Manifest {
        /// Which one.
        digest: Digest,
        /// Why.
        error: ManifestError,
    },
    /// Indexes in indexes deeper than any real image.
    #[error("index {0} is nested too deeply")]
    Depth(Digest),
    /// An operation on a file failed.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// The first few names, safe to print.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| shown(name).to_string()).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    if text.is_empty() { "no image with a name".into() } else { text.join(", ") }
}

fn wanted_or_any(wanted: &Option<String>) -> String {
    wanted.as_deref().map_or_else(|| "a request that names none".into(), |tag| shown(tag).to_string())
}
