//! Where images come from: a repository of a registry, or a layout on disk, behind one face.

use crate::digest::Digest;
use crate::image_set::Source;
use crate::layout::{self, Layout};
use crate::oci::{Descriptor, ManifestError};
use std::io::Read;
use std::sync::Arc;

/// One source of images.
pub trait Origin: Send + Sync {
    /// Digest of the image that the source's tag (or digest) names now, and the name a layout's entry gives itself.
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError>;

    /// A manifest by digest: bytes that have this digest, and what the source calls their type.
    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError>;

    /// A blob from `offset` on; not verified.
    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError>;

    /// True when blobs are files on this machine: they are read in place instead of being copied to the workspace.
    fn is_local(&self) -> bool {
        false
    }
}

/// Opens origins; asked once per image.
pub trait Origins: Sync {
    /// The origin of a source. Equal repositories give equal connections.
    fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError>;
}

/// What a source answered instead of content.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// A layout.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// A manifest cannot be carried.
    #[error("manifest {digest}: {error}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Why.
        error: ManifestError,
    },
    /// The image has none of the platforms asked for.
    #[error("it has no {wanted}; it has {there}")]
    Platform {
        /// As asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Indexes in indexes without end.
    #[error("index {0} is nested too deeply")]
    Depth(Digest),
    /// It cannot be given a name at the target.
    #[error(transparent)]
    Name(#[from] crate::image_set::DestinationError),
}

impl Origin for Layout {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let wanted = match source {
            Source::Layout { digest: Some(digest), .. } => Some(digest.to_string()),
            Source::Layout { tag, .. } => tag.clone(),
            Source::Registry(_) => None,
        };
        let descriptor = Layout::resolve(self, wanted.as_deref())?;
        let name = descriptor.annotations.get("org.opencontainers.image.ref.name").cloned();
        Ok((descriptor.digest, name))
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Ok((Layout::manifest(self, digest)?, None))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        let mut reader = crate::blob::BlobSource::open(self, blob)?;
        let skipped = std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink());
        skipped.map_err(|e| layout::Error::Fs(crate::fs::FsError::from_io(e, "read", self.path())))?;
        Ok(reader)
    }

    fn is_local(&self) -> bool {
        true
    }
}
