//! What of an image is there.

use super::{Error, Layout};
use crate::oci::{Descriptor, WalkError, children_first};
use std::cell::RefCell;
use std::collections::HashSet;

/// In what way a blob is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// No regular file of that name.
    Absent,
    /// A file with this many bytes, which is not the size its descriptor gives.
    Size(u64),
}

/// A blob or manifest an image refers to and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// As referred to.
    pub descriptor: Descriptor,
    /// In what way.
    pub lack: Lack,
}

impl Layout {
    /// What an image lacks here: manifests, configurations and layers below `root`, each once, by presence and size. Below a
    /// manifest that is missing nothing is known and nothing listed. `take` decides which members of an index count.
    /// Manifests are read and their digests compared; of other blobs only the size is looked at.
    pub fn missing(&self, root: &Descriptor, take: impl Fn(&Descriptor) -> bool) -> Result<Vec<Missing>, Error> {
        let (seen, missing) = (RefCell::new(HashSet::new()), RefCell::new(Vec::new()));
        // True when the blob is there; what is not is noted at its first sight.
        let there = |descriptor: &Descriptor| -> Result<bool, Error> {
            let lack = match self.size_of(&descriptor.digest)? {
                Some(size) if size == descriptor.size => return Ok(true),
                Some(size) => Lack::Size(size),
                None => Lack::Absent,
            };
            if seen.borrow_mut().insert(descriptor.digest) {
                missing.borrow_mut().push(Missing { descriptor: descriptor.clone(), lack });
            }
            Ok(false)
        };
        if there(root)? {
            let trouble = RefCell::new(None);
            let follow = |child: &Descriptor| match take(child).then(|| there(child)) {
                Some(Ok(there)) => there,
                Some(Err(e)) => {
                    trouble.replace(Some(e));
                    false
                }
                None => false,
            };
            let fetch = |manifest: &Descriptor| Ok::<_, Error>((self.manifest(&manifest.digest)?, named(&manifest.media_type)));
            let nodes = children_first(root, fetch, follow).map_err(flat)?;
            if let Some(e) = trouble.into_inner() {
                return Err(e);
            }
            for blob in nodes.iter().flat_map(|node| node.manifest.blobs()) {
                there(blob)?;
            }
        }
        Ok(missing.into_inner())
    }
}

/// A content type, where the descriptor gives one.
fn named(media_type: &str) -> Option<String> {
    (!media_type.is_empty()).then(|| media_type.to_owned())
}

fn flat(error: WalkError<Error>) -> Error {
    match error {
        WalkError::Source(e) => e,
        WalkError::Manifest { digest, error } => Error::Manifest { digest, error },
        WalkError::Depth(digest) => Error::Depth(digest),
    }
}
