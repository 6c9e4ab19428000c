//! The contents of a set as a graph: what each image needs.

use super::error::UnpackError;
use crate::digest::Digest;
use crate::format::{Contents, Image, ManifestData};
use crate::oci::{Kind, Manifest};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Contents with their manifests parsed and found by digest.
pub(crate) struct Catalog<'a> {
    pub contents: &'a Contents,
    manifests: BTreeMap<Digest, Manifest>,
    data: HashMap<Digest, &'a ManifestData>,
    blobs: HashMap<Digest, usize>,
}

/// Everything of one image that is in the set.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// Manifests, children before parents, the root last.
    pub nodes: Vec<Digest>,
    /// Indexes into the contents' blobs.
    pub blobs: BTreeSet<usize>,
    /// The member that can stand for a root index the target refuses: the only image of it in the set.
    pub single: Option<Digest>,
}

impl<'a> Catalog<'a> {
    pub fn new(contents: &'a Contents) -> Result<Catalog<'a>, UnpackError> {
        let data = contents.manifests.iter().map(|m| (m.digest, m)).collect();
        let blobs = contents.blobs.iter().enumerate().map(|(i, b)| (b.digest, i)).collect();
        Ok(Catalog { contents, manifests: contents.manifests()?, data, blobs })
    }

    /// Type and bytes of a manifest.
    pub fn document(&self, digest: &Digest) -> Option<(&'a str, Vec<u8>)> {
        self.data.get(digest).map(|m| (m.media_type.as_str(), m.bytes()))
    }

    /// Blobs a single manifest names, as far as they are in the set (foreign layers may not be).
    pub fn blobs_of(&self, digest: &Digest) -> impl Iterator<Item = usize> {
        self.manifests.get(digest).into_iter().flat_map(Manifest::blobs).filter_map(|b| self.blobs.get(&b.digest).copied())
    }

    /// Members of an index that are not in the set.
    pub fn absent_members(&self, digest: &Digest) -> usize {
        self.manifests.get(digest).map_or(0, |m| m.children().iter().filter(|c| !self.manifests.contains_key(&c.digest)).count())
    }

    /// For each image of the contents, the referrers that go with it.
    pub fn referrers(&self) -> Vec<BTreeSet<usize>> {
        crate::format::referrers(&self.contents.images, &self.manifests)
    }

    /// What an image needs. Without recursion: depth is the attacker's choice until a registry limits it.
    pub fn tree(&self, image: &Image) -> Tree {
        let mut nodes = Vec::new();
        let mut seen = HashSet::from([image.root.digest]);
        let mut pending = vec![(image.root.digest, false)];
        while let Some((digest, expanded)) = pending.pop() {
            if expanded {
                nodes.push(digest);
                continue;
            }
            pending.push((digest, true));
            let children = self.manifests.get(&digest).into_iter().flat_map(|m| m.children().iter().rev());
            for child in children.filter(|c| self.manifests.contains_key(&c.digest)) {
                if seen.insert(child.digest) {
                    pending.push((child.digest, false));
                }
            }
        }
        let blobs = nodes.iter().flat_map(|n| self.blobs_of(n)).collect();
        Tree { nodes, blobs, single: self.single(image) }
    }

    fn single(&self, image: &Image) -> Option<Digest> {
        if self.absent_members(&image.root.digest) == 0 {
            return None;
        }
        let root = self.manifests.get(&image.root.digest)?;
        let is_image = |digest: &Digest| self.manifests.get(digest).is_some_and(|m| matches!(m.kind, Kind::Image { .. }));
        let wanted = |platform: &Option<crate::oci::Platform>| {
            image.platforms.is_empty() || platform.as_ref().is_some_and(|p| image.platforms.iter().any(|wanted| wanted.selects(p)))
        };
        let members: BTreeSet<Digest> =
            root.children().iter().filter(|c| is_image(&c.digest) && wanted(&c.platform)).map(|c| c.digest).collect();
        if members.len() == 1 { members.first().copied() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Root, SCHEMA};

    #[test]
    fn indexes_nested_beyond_any_stack_are_walked_children_first() {
        let mut manifests = Vec::new();
        let empty = Digest::sha256(b"");
        let mut document = format!(r#"{{"config":{{"digest":"{empty}","size":0}}}}"#);
        for _ in 0..50_000 {
            let data = ManifestData::new("", document.as_bytes());
            document = format!(r#"{{"manifests":[{{"digest":"{}","size":1}},{{"digest":"{empty}","size":0}}]}}"#, data.digest);
            manifests.push(data);
        }
        let order: Vec<Digest> = manifests.iter().map(|m| m.digest).collect();
        let root = Root { media_type: String::new(), digest: *order.last().unwrap(), size: 0 };
        let image = Image::plain("a", "1", root);
        let contents =
            Contents { schema: SCHEMA, requires: vec![], images: vec![], manifests, blobs: vec![], documents: vec![], base: None };
        let tree = Catalog::new(&contents).unwrap().tree(&image);
        assert_eq!(tree.nodes, order);
        assert_eq!(tree.single, None, "the only member in the set is an index, which names no image");
    }
}
