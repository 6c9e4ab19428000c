//! From a root to everything below it, children first: the only order in which manifests may be pushed.

use super::{Descriptor, Manifest, ManifestError};
use crate::digest::Digest;
use crate::limits;
use std::collections::HashSet;

/// One manifest of a tree with its exact bytes.
#[derive(Clone, Debug)]
pub struct Node {
    /// Type, digest and size of the bytes.
    pub descriptor: Descriptor,
    /// The document as read.
    pub manifest: Manifest,
    /// The document as it travels.
    pub bytes: Vec<u8>,
}

/// What stopped a walk.
#[derive(Debug, thiserror::Error)]
pub enum WalkError<E: std::error::Error> {
    /// The source could not deliver a manifest.
    #[error(transparent)]
    Source(E),
    /// A manifest cannot be carried.
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
}

/// Walks from `root` down and returns every manifest once, children before parents, the root last.
///
/// `fetch` delivers a manifest's bytes and content type and has compared the digest. `take` decides which members
/// of an index are followed (a sparse selection leaves members out; the index itself stays as it is).
pub fn children_first<E: std::error::Error>(
    root: &Descriptor,
    mut fetch: impl FnMut(&Descriptor) -> Result<(Vec<u8>, Option<String>), E>,
    take: impl Fn(&Descriptor) -> bool,
) -> Result<Vec<Node>, WalkError<E>> {
    let mut done = HashSet::new();
    let mut order = Vec::new();
    visit(root, 0, &mut fetch, &take, &mut done, &mut order)?;
    Ok(order)
}

fn visit<E: std::error::Error>(
    at: &Descriptor,
    depth: usize,
    fetch: &mut impl FnMut(&Descriptor) -> Result<(Vec<u8>, Option<String>), E>,
    take: &impl Fn(&Descriptor) -> bool,
    done: &mut HashSet<Digest>,
    order: &mut Vec<Node>,
) -> Result<(), WalkError<E>> {
    if !done.insert(at.digest) {
        return Ok(());
    }
    if depth > limits::INDEX_DEPTH {
        return Err(WalkError::Depth(at.digest));
    }
    let (bytes, content_type) = fetch(at).map_err(WalkError::Source)?;
    let manifest = Manifest::parse(&bytes, content_type.as_deref()).map_err(|error| WalkError::Manifest { digest: at.digest, error })?;
    for child in manifest.children().iter().filter(|child| take(child)) {
        visit(child, depth + 1, fetch, take, done, order)?;
    }
    let mut descriptor = Descriptor::new(manifest.media_type.clone(), at.digest, bytes.len() as u64);
    descriptor.platform = at.platform.clone();
    order.push(Node { descriptor, manifest, bytes });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn children_come_first_and_once() {
        let mut store: HashMap<Digest, Vec<u8>> = HashMap::new();
        let mut put = |text: String| {
            let digest = Digest::sha256(text.as_bytes());
            store.insert(digest, text.clone().into_bytes());
            format!(r#"{{"mediaType":"","digest":"{digest}","size":{}}}"#, text.len())
        };
        let image = put(format!(r#"{{"config":{{"digest":"{}","size":0}}}}"#, Digest::sha256(b"")));
        let inner = put(format!(r#"{{"manifests":[{image},{image}]}}"#));
        let outer = put(format!(r#"{{"manifests":[{inner},{image}]}}"#));
        let root: Descriptor = serde_json::from_str(&outer).unwrap();
        let fetch = |d: &Descriptor| Ok::<_, std::io::Error>((store[&d.digest].clone(), None));
        let nodes = children_first(&root, fetch, |_| true).unwrap();
        let kinds: Vec<bool> = nodes.iter().map(|n| n.manifest.is_index()).collect();
        assert_eq!(kinds, [false, true, true]);
        assert_eq!(nodes.last().unwrap().descriptor.digest, root.digest);
    }
}
