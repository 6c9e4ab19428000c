//! Sources by digest: what was looked at is what will be carried.

use crate::digest::Digest;
use crate::image_set::Source;
use crate::oci::Reference;

/// The same place, by digest.
pub(super) fn pinned(source: &Source, digest: Digest) -> Source {
    match source {
        Source::Registry(reference) => Source::Registry(Reference { tag: None, digest: Some(digest), ..reference.clone() }),
        Source::Layout { dir, .. } => Source::Layout { dir: dir.clone(), tag: None, digest: Some(digest) },
        Source::Made(name) => Source::Made(name.clone()),
    }
}
