//! An OCI layout, as unpacking sees it.

use super::target::{OpenBlob, PutAs, Target, TargetError, TargetTrouble};
use crate::blob::{BlobSink, BlobSource};
use crate::digest::Digest;
use crate::fs::{Dir, Trouble};
use crate::layout::{self, Layout};
use crate::oci::Descriptor;
use crate::parallel::locked;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Mutex;

/// A layout as a target: blobs belong to no repository, images are named `repository:tag`.
pub struct LayoutTarget {
    layout: Layout,
    names: Mutex<Option<HashMap<String, Digest>>>,
    /// Tags that are not in `index.json` yet: written one by one, a large set would rewrite it thousands of times.
    unsettled: Mutex<BTreeMap<String, Descriptor>>,
}

impl LayoutTarget {
    /// Unpacks into `layout`.
    pub fn new(layout: Layout) -> LayoutTarget {
        LayoutTarget { layout, names: Mutex::default(), unsettled: Mutex::default() }
    }

    /// The names in the layout, read once: this run is the one that changes them.
    fn with_names<T>(&self, ask: impl FnOnce(&mut HashMap<String, Digest>) -> T) -> Result<T, TargetError> {
        let mut names = self.names.lock().map_err(|_| TargetError::new(TargetTrouble::Refused, "a thread failed"))?;
        if names.is_none() {
            let images = self.layout.images().map_err(layout_error)?;
            *names = Some(images.into_iter().filter_map(|i| Some((i.name?, i.descriptor.digest))).collect());
        }
        Ok(ask(names.get_or_insert_default()))
    }
}

impl Target for LayoutTarget {
    fn name(&self) -> String {
        format!("oci:{}", self.layout.path().display())
    }

    fn has_manifest(&self, _: &str, digest: &Digest) -> Result<bool, TargetError> {
        // A layout never pushes a manifest before what it refers to, but it may have been tampered with: the tree is looked at.
        match self.layout.manifest(digest) {
            Ok(bytes) => {
                let root = Descriptor::new("", *digest, bytes.len() as u64);
                Ok(self.layout.missing(&root, |child| self.layout.manifest(&child.digest).is_ok()).map_err(layout_error)?.is_empty())
            }
            Err(layout::Error::NoBlob { .. } | layout::Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(layout_error(error)),
        }
    }

    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError> {
        self.with_names(|names| names.get(&format!("{repository}:{tag}")).copied())
    }

    fn has_blob(&self, _: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.layout.has(blob).map_err(layout_error)
    }

    fn put_blob(&self, _: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError> {
        self.layout.put(blob, open).map_err(layout_error)
    }

    fn mount_blob(&self, _: &str, _: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.layout.has(blob).map_err(layout_error)
    }

    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
        // Of the right size alone it would be taken for the manifest, and stay.
        if matches!(self.layout.manifest(&descriptor.digest), Err(layout::Error::Damaged { .. })) {
            self.layout.discard(&descriptor.digest).map_err(layout_error)?;
        }
        let mut open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn io::Read + Send>);
        self.layout.put(&descriptor, &mut open).map_err(layout_error)?;
        if let PutAs::Tag(tag) = put_as {
            let name = format!("{repository}:{tag}");
            self.with_names(|names| names.insert(name.clone(), descriptor.digest))?;
            locked(&self.unsettled).insert(name, descriptor);
        }
        Ok(())
    }

    fn tagged_manifest(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>, TargetError> {
        match self.tag(repository, tag)? {
            Some(digest) => self.layout.manifest(&digest).map(Some).map_err(layout_error),
            None => Ok(None),
        }
    }

    fn settle_tags(&self) -> Result<(), TargetError> {
        let mut unsettled = locked(&self.unsettled);
        if !unsettled.is_empty() {
            self.layout.tag_all(unsettled.iter().map(|(name, image)| (name.as_str(), image))).map_err(layout_error)?;
            unsettled.clear();
        }
        Ok(())
    }

    fn delete_tag(&self, _: &str, _: &str, _: &Digest) -> Result<bool, TargetError> {
        Ok(false)
    }

    fn manifest(&self, _: &str, digest: &Digest) -> Result<Option<Vec<u8>>, TargetError> {
        match self.layout.manifest(digest) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(layout::Error::NoBlob { .. }) => Ok(None),
            Err(error) => Err(layout_error(error)),
        }
    }

    fn open_blob(&self, _: &str, blob: &Descriptor) -> Result<Box<dyn io::Read + Send>, TargetError> {
        BlobSource::open(&self.layout, blob).map_err(layout_error)
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, TargetError> {
        self.with_names(|names| {
            let of = |name: &String| name.rsplit_once(':').filter(|(of, _)| *of == repository).map(|(_, tag)| tag.to_owned());
            let mut tags: Vec<String> = names.keys().filter_map(of).collect();
            tags.sort();
            tags
        })
    }

    fn collects_garbage(&self) -> bool {
        false
    }

    fn free_space(&self) -> Option<u64> {
        self.layout.free().ok()
    }

    fn adopt_file(&self, _: &str, blob: &Descriptor, dir: &Dir, name: &str) -> Result<bool, TargetError> {
        // Spool files are not synced as long as they are only on their way; here this one is to stay.
        dir.open_file(name).and_then(|file| file.sync()).map_err(|e| layout_error(e.into()))?;
        self.layout.adopt(blob, dir, name).map_err(layout_error)
    }
}

fn layout_error(error: layout::Error) -> TargetError {
    let trouble = match &error {
        layout::Error::Fs(inner) if inner.trouble() == Trouble::NoSpace => TargetTrouble::NoSpace,
        layout::Error::Fs(inner) if inner.trouble() == Trouble::NotWritable => TargetTrouble::Login,
        layout::Error::Fs(_) => TargetTrouble::Unreachable,
        layout::Error::Wrong(_) | layout::Error::Source { .. } => TargetTrouble::Content,
        _ => TargetTrouble::Refused,
    };
    TargetError::new(trouble, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_layout_are_written_together() {
        let temp = tempfile::tempdir().unwrap();
        let target = LayoutTarget::new(Layout::create(&temp.path().join("l")).unwrap().durable(false));
        let manifest = br#"{"schemaVersion":2,"manifests":[]}"#;
        for tag in ["1", "2"] {
            target.put_manifest("a", PutAs::Tag(tag), "application/vnd.oci.image.index.v1+json", manifest).unwrap();
            assert_eq!(target.tag("a", tag).unwrap(), Some(Digest::sha256(manifest)));
        }
        let names =
            || Layout::open(&temp.path().join("l")).unwrap().images().unwrap().into_iter().filter_map(|i| i.name).collect::<Vec<_>>();
        assert!(names().is_empty());
        target.settle_tags().unwrap();
        assert_eq!(names(), ["a:1", "a:2"]);
        assert_eq!(target.tags("a").unwrap(), ["1", "2"]);
    }
}
