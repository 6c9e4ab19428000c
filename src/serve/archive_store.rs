//! Verified volumes as a registry that is only read.

use super::attached::referrer;
use super::store::{Content, Manifest, Reference, Store, StoreError};
use crate::archive::{Decoders, OpenSet};
use crate::blob::Verified;
use crate::digest::Digest;
use crate::oci;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::sync::Arc;

/// Blobs read at a time; more wait. A reader holds some hundred kilobytes; decoders are shared.
const READERS: usize = 256;

/// Sets served as a registry. Of two sets that give one tag, the one with the higher sequence has it.
pub struct ArchiveStore {
    sets: Vec<Arc<OpenSet>>,
    decoders: Decoders,
    tags: BTreeMap<String, BTreeMap<String, Digest>>,
    manifests: HashMap<Digest, (String, Vec<u8>)>,
    /// Sets that have a blob, and its position there.
    blobs: HashMap<Digest, Vec<(usize, usize)>>,
    referrers: HashMap<Digest, Vec<Value>>,
    /// Tags that several sets give to different images.
    contested: Vec<String>,
}

impl ArchiveStore {
    /// Serves these sets, whose signatures have been judged when they were opened.
    pub fn new(mut sets: Vec<OpenSet>) -> ArchiveStore {
        sets.sort_by(|a, b| (a.index().sequence, &a.index().stream).cmp(&(b.index().sequence, &b.index().stream)));
        let mut store = ArchiveStore {
            sets: sets.into_iter().map(Arc::new).collect(),
            decoders: Decoders::new(),
            tags: BTreeMap::new(),
            manifests: HashMap::new(),
            blobs: HashMap::new(),
            referrers: HashMap::new(),
            contested: Vec::new(),
        };
        for (number, set) in store.sets.clone().iter().enumerate() {
            store.take_in(number, set);
        }
        store
    }

    fn take_in(&mut self, number: usize, set: &OpenSet) {
        let contents = set.contents();
        for image in &contents.images {
            let before = self.tags.entry(image.repository.clone()).or_default().insert(image.tag.clone(), image.root.digest);
            if before.is_some_and(|before| before != image.root.digest) {
                self.contested.push(format!("{}:{}", image.repository, image.tag));
            }
        }
        for manifest in &contents.manifests {
            let bytes = manifest.bytes();
            if self.manifests.contains_key(&manifest.digest) {
                continue;
            }
            if let Ok(parsed) = oci::Manifest::parse_any_digest(&bytes, Some(&manifest.media_type))
                && let Some(subject) = &parsed.subject
                && let Some(entry) = referrer(&manifest.digest, &parsed, &bytes)
            {
                self.referrers.entry(subject.digest).or_default().push(entry);
            }
            self.manifests.insert(manifest.digest, (manifest.media_type.clone(), bytes));
        }
        for (position, blob) in contents.blobs.iter().enumerate() {
            self.blobs.entry(blob.digest).or_default().push((number, position));
        }
    }

    /// Tags that several sets give to different images: the highest sequence has them.
    pub fn contested(&self) -> &[String] {
        &self.contested
    }

    /// The sets.
    pub fn sets(&self) -> impl Iterator<Item = &OpenSet> {
        self.sets.iter().map(AsRef::as_ref)
    }

    /// The set to read a blob from, and its position: the first that has all of it at hand.
    fn find(&self, digest: &Digest, offset: u64) -> Result<(&Arc<OpenSet>, usize), StoreError> {
        let mut lacking = Vec::new();
        for (number, position) in self.blobs.get(digest).ok_or(StoreError::BlobUnknown(*digest))? {
            let Some(set) = self.sets.get(*number) else { continue };
            let lacks = set.blob_lacks(*position, offset);
            if lacks.is_empty() || set.contents().blobs.get(*position).is_some_and(|blob| blob.inline.is_some()) {
                return Ok((set, *position));
            }
            let volumes = &set.index().volumes;
            let name = |n: &u32| (*n as usize).checked_sub(1).and_then(|i| volumes.get(i)).map_or(String::new(), |v| v.name.clone());
            lacking = lacks.iter().map(|n| format!("volume {n} ({})", name(n))).collect();
        }
        Err(StoreError::VolumeMissing(lacking))
    }
}

impl Store for ArchiveStore {
    fn blob_size(&self, _: &str, digest: &Digest) -> Result<u64, StoreError> {
        if let Some((_, bytes)) = self.manifests.get(digest).filter(|_| !self.blobs.contains_key(digest)) {
            return Ok(bytes.len() as u64);
        }
        let (set, position) = self.find(digest, 0)?;
        set.contents().blobs.get(position).map(|blob| blob.size).ok_or(StoreError::BlobUnknown(*digest))
    }

    /// A whole blob also proves its digest: the last byte is held back until it does.
    fn blob(&self, _: &str, digest: &Digest, offset: u64) -> Result<Box<dyn Content>, StoreError> {
        if let Some((_, bytes)) = self.manifests.get(digest).filter(|_| !self.blobs.contains_key(digest)) {
            return Ok(from(bytes.clone(), offset));
        }
        let (set, position) = self.find(digest, offset)?;
        let blob = set.contents().blobs.get(position).ok_or(StoreError::BlobUnknown(*digest))?;
        if let Some(bytes) = blob.inline_bytes() {
            return Ok(from(bytes, offset));
        }
        let reader = set.blob_reader(position, offset, &self.decoders).ok_or(StoreError::BlobUnknown(*digest))?;
        Ok(if offset == 0 { Box::new(Verified::new(reader, blob.digest, blob.size)) } else { Box::new(reader) })
    }

    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Manifest, StoreError> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => *self.tags.get(repository).and_then(|tags| tags.get(tag)).ok_or(StoreError::ManifestUnknown)?,
        };
        let (media_type, bytes) = self.manifests.get(&digest).ok_or(StoreError::ManifestUnknown)?;
        Ok(Manifest { digest, media_type: media_type.clone(), bytes: bytes.clone() })
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.tags.get(repository).ok_or(StoreError::NameUnknown)?.keys().cloned().collect())
    }

    fn referrers(&self, _: &str, subject: &Digest) -> Result<Vec<Value>, StoreError> {
        Ok(self.referrers.get(subject).cloned().unwrap_or_default())
    }

    fn repositories(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.tags.keys().cloned().collect())
    }

    fn readers(&self) -> Option<usize> {
        Some(READERS)
    }
}

fn from(bytes: Vec<u8>, offset: u64) -> Box<dyn Content> {
    let mut bytes = Cursor::new(bytes);
    bytes.set_position(offset);
    Box::new(bytes)
}
