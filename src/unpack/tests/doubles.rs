//! A set in memory and a registry in memory, both able to misbehave.

use crate::digest::Digest;
use crate::format::{
    Blob, Commit, Contents, ContentsRef, Frame, Image, Index, ManifestData, Part, Producer, Root, SCHEMA, STORED, VolumeRef,
};
use crate::fs::Dir;
use crate::oci::{Descriptor, Kind, Manifest, Platform, media};
use crate::unpack::*;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A set whose parts lie in memory.
#[derive(Clone)]
pub struct Medium {
    pub index: Index,
    pub contents: Contents,
    pub data: HashMap<Digest, Vec<u8>>,
    pub here: BTreeSet<u32>,
    /// Blobs whose parts in this volume are damaged.
    pub damaged: HashSet<(Digest, u32)>,
    /// Volumes that give nothing.
    pub dead: BTreeSet<u32>,
    /// Blobs that come with other bytes than their digest says, though no block is damaged.
    pub lying: HashSet<Digest>,
}

impl Medium {
    pub fn new(sequence: u64, volumes: u32) -> Medium {
        let volume = |n| VolumeRef {
            name: format!("s-{sequence}-{n:04}.tar.zst"),
            size: 1 << 40,
            blocks: String::new(),
            medium: None,
            cipher: None,
        };
        let index = Index {
            schema: SCHEMA,
            requires: vec![],
            hints: BTreeMap::new(),
            stream: "s".into(),
            sequence,
            created: "2026-01-01T00:00:00Z".into(),
            producer: Producer { sealift: "0".into(), zstd: "0".into() },
            plan: Digest::sha256(b"plan"),
            audience: vec![],
            labels: BTreeMap::new(),
            supersedes: None,
            missing: vec![],
            block_size: 1 << 20,
            volumes: (1..=volumes).map(volume).collect(),
            contents: ContentsRef { size: 1, digest: Digest::sha256(b""), plain_size: 1, encryption: None },
            files: vec![],
            parity: None,
        };
        let contents =
            Contents { schema: SCHEMA, requires: vec![], images: vec![], manifests: vec![], blobs: vec![], documents: vec![], base: None };
        let here = (1..=volumes).collect();
        let (damaged, dead, lying) = Default::default();
        Medium { index, contents, data: HashMap::new(), here, damaged, dead, lying }
    }

    /// Adds a layer of `size` bytes, cut into equal parts that lie in these volumes.
    pub fn layer(&mut self, seed: u8, size: usize, volumes: &[u32]) -> Descriptor {
        let bytes: Vec<u8> = (0..size).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8).collect();
        self.blob(bytes, volumes, false)
    }

    pub fn blob(&mut self, bytes: Vec<u8>, volumes: &[u32], inline: bool) -> Descriptor {
        let digest = Digest::sha256(&bytes);
        let descriptor = Descriptor::new("layer", digest, bytes.len() as u64);
        if self.data.contains_key(&digest) {
            return descriptor;
        }
        let each = bytes.len().div_ceil(volumes.len().max(1)).max(1);
        let lengths = bytes.chunks(each).map(|c| c.len() as u64);
        let part =
            |(plain, volume): (u64, &u32)| Part { volume: *volume, offset: 0, frames: vec![Frame { size: plain, plain, prefix: None }] };
        self.contents.blobs.push(Blob {
            digest,
            size: bytes.len() as u64,
            encoding: STORED.into(),
            inline: inline.then(|| Blob::encode_inline(&bytes)),
            parts: lengths.zip(volumes).map(part).collect(),
        });
        self.data.insert(digest, bytes);
        descriptor
    }

    fn document(&mut self, value: serde_json::Value, media_type: &str) -> Descriptor {
        let bytes = value.to_string().into_bytes();
        let data = ManifestData::new(media_type, &bytes);
        let descriptor = Descriptor::new(media_type, data.digest, bytes.len() as u64);
        if !self.contents.manifests.contains(&data) {
            self.contents.manifests.push(data);
        }
        descriptor
    }

    /// An image manifest with a configuration of its own, which lies inline and in volume 1.
    pub fn manifest(&mut self, name: &str, layers: &[Descriptor]) -> Descriptor {
        let config = self.blob(format!("{{\"name\":\"{name}\"}}").into_bytes(), &[1], true);
        let value = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers});
        self.document(value, media::OCI_MANIFEST)
    }

    pub fn image(&mut self, repository: &str, tag: &str, layers: &[Descriptor]) -> Digest {
        let root = self.manifest(&format!("{repository}:{tag}"), layers);
        self.name(repository, tag, &root)
    }

    pub fn index_image(&mut self, repository: &str, tag: &str, members: &[(Descriptor, &str)], asked: &[&str]) -> Digest {
        let member = |(d, p): &(Descriptor, &str)| Descriptor { platform: Some(p.parse().unwrap()), ..d.clone() };
        let members: Vec<Descriptor> = members.iter().map(member).collect();
        let value = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members});
        let root = self.document(value, media::OCI_INDEX);
        let digest = self.name(repository, tag, &root);
        self.contents.images.last_mut().unwrap().platforms = asked.iter().map(|p| p.parse::<Platform>().unwrap()).collect();
        digest
    }

    fn name(&mut self, repository: &str, tag: &str, root: &Descriptor) -> Digest {
        let of_set = Root { media_type: root.media_type.clone(), digest: root.digest, size: root.size };
        self.contents.images.push(Image::plain(repository, tag, of_set));
        root.digest
    }

    pub fn late(&mut self) {
        self.contents.images.last_mut().unwrap().commit = Commit::Late;
    }

    pub fn with(&self, volumes: &[u32]) -> Medium {
        Medium { here: volumes.iter().copied().collect(), ..self.clone() }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("block 7 is damaged")]
struct BlockDamaged;

struct Bad;

impl Read for Bad {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::InvalidData, BlockDamaged))
    }
}

impl Media for Medium {
    fn index(&self) -> &Index {
        &self.index
    }

    fn identity(&self) -> Digest {
        Digest::sha256(&[self.index.to_bytes().unwrap(), self.contents.to_bytes().unwrap()].concat())
    }

    fn contents(&self) -> &Contents {
        &self.contents
    }

    fn volumes_here(&self) -> &BTreeSet<u32> {
        &self.here
    }

    fn read_parts(&self, volume: u32, wanted: &[PartId], each: &mut TakePart<'_>) -> Result<(), MediaError> {
        assert!(self.here.contains(&volume), "volume {volume} is not here");
        let fail = |trouble, source: io::Error| MediaError { trouble, source: source.into() };
        if self.dead.contains(&volume) {
            return Err(fail(MediaTrouble::Unreadable, io::Error::other("no medium")));
        }
        let mut seen = HashSet::new();
        for id in wanted {
            assert!(seen.insert(*id), "asked twice");
            let blob = &self.contents.blobs[id.blob];
            let start: u64 = blob.parts[..id.part].iter().map(Part::plain).sum();
            let part = &blob.parts[id.part];
            assert_eq!(part.volume, volume);
            let mut bytes = self.data[&blob.digest][start as usize..(start + part.plain()) as usize].to_vec();
            if self.lying.contains(&blob.digest) {
                bytes[0] ^= 1;
            }
            let result = if self.damaged.contains(&(blob.digest, volume)) {
                // Some of it comes before the damage shows.
                each(*id, &mut (&bytes[..bytes.len() / 2]).chain(Bad))
            } else {
                each(*id, &mut &bytes[..])
            };
            result.map_err(|e| fail(MediaTrouble::Unreadable, e))?;
        }
        Ok(())
    }

    fn trouble(&self, error: &io::Error) -> MediaTrouble {
        match error.get_ref().and_then(|e| e.downcast_ref::<BlockDamaged>()) {
            Some(_) => MediaTrouble::Damaged,
            None => MediaTrouble::Unreadable,
        }
    }
}

type Store<T> = BTreeMap<String, BTreeMap<Digest, T>>;

#[derive(Default, Clone)]
pub struct Inner {
    pub blobs: Store<Vec<u8>>,
    pub manifests: Store<(String, Vec<u8>)>,
    pub tags: BTreeMap<String, BTreeMap<String, Digest>>,
}

/// How a registry behaves.
pub struct Registry {
    pub inner: Mutex<Inner>,
    pub mounts: bool,
    pub deletes: bool,
    pub immutable: bool,
    pub sparse: bool,
    pub artifacts: bool,
    pub layout: bool,
    /// Repository that takes no blobs (`*`: all), and in what way.
    pub closed: Option<&'static str>,
    pub closed_as: TargetTrouble,
    /// So many questions fail, from the first on.
    pub questions_fail: AtomicUsize,
    /// Blobs up to this size are taken all the same.
    pub closed_above: u64,
    pub refusals: AtomicUsize,
    pub free: Option<u64>,
    /// From this operation on nothing is answered any more.
    pub dies_at: AtomicUsize,
    /// Whether the operation that dies has taken effect.
    pub effect: AtomicBool,
    /// The first upload of each blob is cut after half of its bytes.
    pub cuts: Option<Mutex<HashSet<Digest>>>,
    /// Uploads of the first are not answered before the second is there.
    pub after: Vec<(Digest, Digest)>,
    pub operations: AtomicUsize,
    pub pushes: AtomicUsize,
    /// What another host does before the operation of this number.
    pub meanwhile: Mutex<Option<(usize, Meanwhile)>>,
}

pub type Meanwhile = Box<dyn FnOnce(&Registry) + Send>;

impl Registry {
    pub fn new() -> Registry {
        Registry {
            inner: Mutex::default(),
            mounts: true,
            deletes: true,
            immutable: false,
            sparse: false,
            artifacts: true,
            layout: false,
            closed: None,
            questions_fail: AtomicUsize::new(0),
            closed_as: TargetTrouble::Refused,
            closed_above: 0,
            refusals: AtomicUsize::new(0),
            free: None,
            dies_at: AtomicUsize::new(usize::MAX),
            effect: AtomicBool::new(false),
            cuts: None,
            after: Vec::new(),
            operations: AtomicUsize::new(0),
            pushes: AtomicUsize::new(0),
            meanwhile: Mutex::new(None),
        }
    }

    /// Runs an operation, unless the registry is dead; the one it dies in may have taken effect all the same.
    fn operate<R>(&self, does: impl FnOnce(&mut Inner) -> Result<R, TargetError>) -> Result<R, TargetError> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        let due = self.meanwhile.lock().unwrap().take_if(|(at, _)| *at == number);
        if let Some((_, meanwhile)) = due {
            meanwhile(self);
        }
        let dies_at = self.dies_at.load(Ordering::SeqCst);
        if number < dies_at {
            return does(&mut self.inner.lock().unwrap());
        }
        if number == dies_at && self.effect.load(Ordering::SeqCst) {
            let _ = does(&mut self.inner.lock().unwrap());
        }
        Err(TargetError::new(TargetTrouble::Unreachable, "connection refused"))
    }

    /// Waits, but not for ever, for what has to be there before `digest` is.
    fn wait_for_what_comes_before(&self, digest: &Digest) {
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
        for (_, first) in self.after.iter().filter(|(late, _)| late == digest) {
            while !self.inner.lock().unwrap().blobs.values().any(|blobs| blobs.contains_key(first)) {
                assert!(std::time::Instant::now() < limit, "{digest} is waited for before {first} is brought");
                std::thread::yield_now();
            }
        }
    }

    pub fn revive(&self) {
        self.dies_at.store(usize::MAX, Ordering::SeqCst);
        self.operations.store(0, Ordering::SeqCst);
    }

    pub fn pushes(&self) -> usize {
        self.pushes.swap(0, Ordering::SeqCst)
    }

    /// Removes what no tag leads to.
    pub fn collect_garbage(&self) {
        let inner = &mut *self.inner.lock().unwrap();
        let Inner { blobs, manifests, tags } = inner;
        for (repository, stored) in manifests.iter_mut() {
            let mut live: BTreeSet<Digest> = BTreeSet::new();
            let mut pending: Vec<Digest> = tags.get(repository).into_iter().flat_map(|t| t.values().copied()).collect();
            let mut live_blobs = BTreeSet::new();
            while let Some(digest) = pending.pop() {
                let Some((_, bytes)) = stored.get(&digest) else { continue };
                live.insert(digest);
                let manifest = Manifest::parse(bytes, None).unwrap();
                pending.extend(manifest.children().iter().map(|c| c.digest));
                live_blobs.extend(manifest.blobs().map(|b| b.digest));
            }
            stored.retain(|d, _| live.contains(d));
            blobs.entry(repository.clone()).or_default().retain(|d, _| live_blobs.contains(d));
        }
        let known: BTreeSet<String> = manifests.keys().cloned().collect();
        blobs.retain(|repository, b| known.contains(repository) && !b.is_empty());
    }

    /// Everything that counts, after garbage collection.
    pub fn end_state(&self) -> String {
        self.collect_garbage();
        let inner = self.inner.lock().unwrap();
        let list = |s: BTreeMap<&String, Vec<String>>| format!("{s:#?}");
        let blobs = inner.blobs.iter().map(|(r, b)| (r, b.keys().map(Digest::short).collect())).collect();
        let manifests = inner.manifests.iter().map(|(r, m)| (r, m.keys().map(Digest::short).collect())).collect();
        let tags = inner.tags.iter().map(|(r, t)| (r, t.iter().map(|(t, d)| format!("{t}={}", d.short())).collect())).collect();
        [list(blobs), list(manifests), list(tags)].concat()
    }

    pub fn tag_of(&self, repository: &str, tag: &str) -> Option<Digest> {
        self.inner.lock().unwrap().tags.get(repository)?.get(tag).copied()
    }

    pub fn holds(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap();
        inner.tags.values().flat_map(|t| t.keys()).filter(|t| t.starts_with("sealift-hold-")).cloned().collect()
    }
}

fn refuse<R>(trouble: TargetTrouble, why: &str) -> Result<R, TargetError> {
    Err(TargetError::new(trouble, why.to_owned()))
}

impl Registry {
    fn question(&self) -> Result<(), TargetError> {
        let left = self.questions_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() { refuse(TargetTrouble::Failing, "500 database is locked") } else { Ok(()) }
    }
}

impl Target for Registry {
    fn name(&self) -> String {
        "registry.test/p".into()
    }

    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool, TargetError> {
        self.question()?;
        self.operate(|inner| Ok(inner.manifests.get(repository).is_some_and(|m| m.contains_key(digest))))
    }

    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError> {
        self.question()?;
        self.operate(|inner| Ok(inner.tags.get(repository).and_then(|t| t.get(tag)).copied()))
    }

    fn has_blob(&self, repository: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.question()?;
        self.operate(|inner| Ok(inner.blobs.get(repository).is_some_and(|b| b.contains_key(&blob.digest))))
    }

    fn put_blob(&self, repository: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError> {
        if self.closed.is_some_and(|closed| closed == "*" || closed == repository) && blob.size > self.closed_above {
            self.refusals.fetch_add(1, Ordering::SeqCst);
            return refuse(self.closed_as, "413 request entity too large");
        }
        if let Some(cuts) = &self.cuts
            && cuts.lock().unwrap().insert(blob.digest)
        {
            let mut half = vec![0; blob.size as usize / 2];
            open().and_then(|mut r| r.read_exact(&mut half)).map_err(|e| TargetError::new(TargetTrouble::Content, e))?;
        }
        self.wait_for_what_comes_before(&blob.digest);
        let mut bytes = Vec::new();
        let read = open().and_then(|mut reader| reader.read_to_end(&mut bytes));
        self.pushes.fetch_add(1, Ordering::SeqCst);
        self.operate(|inner| {
            read.map_err(|e| TargetError::new(TargetTrouble::Content, e))?;
            assert_eq!(Digest::sha256(&bytes), blob.digest, "something unproven reached the target");
            inner.blobs.entry(repository.into()).or_default().insert(blob.digest, bytes);
            Ok(())
        })
    }

    fn mount_blob(&self, repository: &str, from: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.operate(|inner| {
            let found = inner.blobs.get(from).and_then(|b| b.get(&blob.digest)).cloned();
            let Some(bytes) = found.filter(|_| self.mounts) else { return Ok(false) };
            inner.blobs.entry(repository.into()).or_default().insert(blob.digest, bytes);
            Ok(true)
        })
    }

    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError> {
        self.pushes.fetch_add(1, Ordering::SeqCst);
        self.operate(|inner| {
            let digest = Digest::sha256(bytes);
            let manifest = Manifest::parse(bytes, Some(media_type)).unwrap();
            let artifact = String::from_utf8_lossy(bytes).contains("artifactType");
            if artifact && !self.artifacts {
                return refuse(TargetTrouble::Refused, "MANIFEST_INVALID");
            }
            if let Kind::Image { config, layers } = &manifest.kind {
                let there = inner.blobs.entry(repository.into()).or_default();
                if !layers.iter().chain([config]).all(|b| there.contains_key(&b.digest)) {
                    return refuse(TargetTrouble::BlobUnknown, "MANIFEST_BLOB_UNKNOWN");
                }
            }
            let stored = inner.manifests.entry(repository.into()).or_default();
            if !self.sparse && !manifest.children().iter().all(|c| stored.contains_key(&c.digest)) {
                return refuse(TargetTrouble::BlobUnknown, "MANIFEST_BLOB_UNKNOWN");
            }
            if let PutAs::Tag(tag) = put_as {
                let tags = inner.tags.entry(repository.into()).or_default();
                if self.immutable && tags.contains_key(tag) {
                    return refuse(TargetTrouble::ImmutableTag, "PRECONDITION");
                }
                tags.insert(tag.into(), digest);
            }
            stored.insert(digest, (media_type.into(), bytes.to_vec()));
            Ok(())
        })
    }

    fn tagged_manifest(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>, TargetError> {
        self.operate(|inner| {
            let named = inner.tags.get(repository).and_then(|tags| tags.get(tag));
            Ok(named.and_then(|digest| inner.manifests.get(repository)?.get(digest)).map(|(_, bytes)| bytes.clone()))
        })
    }

    fn delete_tag(&self, repository: &str, tag: &str, digest: &Digest) -> Result<bool, TargetError> {
        self.operate(|inner| {
            if !self.deletes {
                return Ok(false);
            }
            let tags = inner.tags.entry(repository.into()).or_default();
            // By digest: a tag that has moved on stays.
            if tags.get(tag) == Some(digest) {
                tags.remove(tag);
            }
            Ok(true)
        })
    }

    fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>, TargetError> {
        self.operate(|inner| Ok(inner.manifests.get(repository).and_then(|m| m.get(digest)).map(|(_, bytes)| bytes.clone())))
    }

    fn open_blob(&self, repository: &str, blob: &Descriptor) -> Result<Box<dyn Read + Send>, TargetError> {
        self.operate(|inner| match inner.blobs.get(repository).and_then(|b| b.get(&blob.digest)) {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read + Send>),
            None => refuse(TargetTrouble::Refused, "BLOB_UNKNOWN"),
        })
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, TargetError> {
        self.operate(|inner| Ok(inner.tags.get(repository).into_iter().flat_map(|t| t.keys().cloned()).collect()))
    }

    fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<(), TargetError> {
        self.operate(|inner| {
            if !self.deletes {
                return refuse(TargetTrouble::Refused, "UNSUPPORTED");
            }
            inner.tags.entry(repository.into()).or_default().retain(|_, named| named != digest);
            inner.manifests.entry(repository.into()).or_default().remove(digest);
            Ok(())
        })
    }

    fn collects_garbage(&self) -> bool {
        !self.layout
    }

    fn free_space(&self) -> Option<u64> {
        self.free
    }

    fn adopt_file(&self, repository: &str, blob: &Descriptor, dir: &Dir, name: &str) -> Result<bool, TargetError> {
        if !self.layout {
            return Ok(false);
        }
        let bytes = dir.read(name, u64::MAX / 2).unwrap();
        assert_eq!(Digest::sha256(&bytes), blob.digest, "something unproven reached the target");
        dir.remove(name).unwrap();
        self.inner.lock().unwrap().blobs.entry(repository.into()).or_default().insert(blob.digest, bytes);
        Ok(true)
    }
}
