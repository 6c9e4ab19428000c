//! Packing from sources in memory.

mod fetching;
mod planning;
mod sets;

use super::*;
use crate::digest::Digest;
use crate::format::SetName;
use crate::fs::Dir;
use crate::image_set::Source;
use crate::layout::Layout;
use crate::oci::{Descriptor, media};
use crate::origin::{Origin, OriginError, Origins};
use crate::progress::{Progress, Silent};
use crate::sign::{AllowedSigners, Policy, RevokedKeys, Signer, SoftwareKey, Trust};
use sha2::Digest as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};

/// One repository for all sources: what tags and digests name, and what goes wrong.
#[derive(Default)]
struct Memory {
    tags: BTreeMap<String, Digest>,
    content: BTreeMap<Digest, Vec<u8>>,
    lost: Mutex<BTreeSet<Digest>>,
    wrong: Mutex<BTreeSet<Digest>>,
    /// Comes byte by byte.
    slow: Mutex<BTreeSet<Digest>>,
    opened: AtomicUsize,
    bytes_from: Mutex<Vec<u64>>,
    local: bool,
    /// Where who reads a blob is met.
    gate: Option<Arc<Barrier>>,
}

/// A reader that meets somebody twice before every read: what that one does in between happens while it reads.
struct Gated(Cursor<Vec<u8>>, Arc<Barrier>);

impl Read for Gated {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1.wait();
        self.1.wait();
        let few = buf.len().min(10);
        self.0.read(&mut buf[..few])
    }
}

fn no_blob(digest: &Digest) -> OriginError {
    OriginError::Layout(crate::layout::Error::NoBlob { path: "memory".into(), digest: *digest })
}

impl Origin for Memory {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let Source::Registry(reference) = source else { unreachable!() };
        let name = format!("{}:{}", reference.repository, reference.tag.clone().unwrap_or_default());
        let digest = reference.digest.or(self.tags.get(&name).copied());
        Ok((digest.ok_or(OriginError::NoImage { name: reference.repository.clone(), tag: name })?, None))
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Ok((self.content.get(digest).ok_or(no_blob(digest))?.clone(), None))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.bytes_from.lock().unwrap().push(offset);
        if self.lost.lock().unwrap().contains(&blob.digest) {
            return Err(no_blob(&blob.digest));
        }
        let mut bytes = self.content.get(&blob.digest).ok_or(no_blob(&blob.digest))?.clone();
        if self.wrong.lock().unwrap().contains(&blob.digest) {
            bytes[0] ^= 1;
        }
        let rest = Cursor::new(bytes.split_off(offset as usize));
        if self.slow.lock().unwrap().contains(&blob.digest) {
            return Ok(Box::new(Trickle(rest)));
        }
        Ok(match &self.gate {
            Some(gate) => Box::new(Gated(rest, gate.clone())),
            None => Box::new(rest),
        })
    }

    fn is_local(&self) -> bool {
        self.local
    }
}

struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        std::thread::yield_now();
        self.0.read(buf.get_mut(..1).unwrap_or_default())
    }
}

struct One(Arc<Memory>);

impl Origins for One {
    fn open(&self, _: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        Ok(self.0.clone())
    }
}

fn noise(len: usize, seed: u8) -> Vec<u8> {
    // Begins like gzip: it is carried in raw frames.
    let mut out = vec![0x1f, 0x8b];
    let mut i = 0u64;
    while out.len() < len {
        out.extend(sha2::Sha256::digest([&[seed][..], &i.to_le_bytes()].concat()));
        i += 1;
    }
    out.truncate(len.max(2));
    out
}

impl Memory {
    fn put(&mut self, bytes: Vec<u8>, media_type: &str) -> String {
        let digest = Digest::sha256(&bytes);
        let text = format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, bytes.len());
        self.content.insert(digest, bytes);
        text
    }

    fn image(&mut self, layers: &[Vec<u8>]) -> String {
        let config = self.put(format!(r#"{{"architecture":"amd64","os":"linux","n":{}}}"#, layers.len()).into_bytes(), media::OCI_CONFIG);
        let layers: Vec<String> = layers.iter().map(|l| self.put(l.clone(), "application/vnd.oci.image.layer.v1.tar+gzip")).collect();
        let manifest =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[{}]}}"#, media::OCI_MANIFEST, layers.join(","));
        self.put(manifest.into_bytes(), media::OCI_MANIFEST)
    }

    fn index(&mut self, children: &[(&str, String)]) -> String {
        let with_platform = |(arch, child): &(&str, String)| {
            format!(r#"{},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#, child.strip_suffix('}').unwrap())
        };
        let children: Vec<String> = children.iter().map(with_platform).collect();
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media::OCI_INDEX, children.join(","));
        self.put(index.into_bytes(), media::OCI_INDEX)
    }

    fn tag(&mut self, name: &str, descriptor: &str) {
        let descriptor: Descriptor = serde_json::from_str(descriptor).unwrap();
        self.tags.insert(name.to_owned(), descriptor.digest);
    }
}

/// Three images: two share a layer, one is an index of two platforms; layers that do and do not compress.
fn three() -> Memory {
    let mut memory = Memory::default();
    let shared = noise(600_000, 1);
    let text = "all work and no play\n".repeat(30_000).into_bytes();
    let a = memory.image(&[shared.clone(), noise(100_000, 2)]);
    let b = memory.image(&[shared, text]);
    let (amd, arm) = (memory.image(&[noise(50_000, 3)]), memory.image(&[noise(70_000, 4), vec![]]));
    let multi = memory.index(&[("amd64", amd), ("arm64", arm)]);
    memory.tag("team/a:1", &a);
    memory.tag("team/b:1", &b);
    memory.tag("team/multi:1", &multi);
    memory
}

const NAMES: [&str; 3] = ["reg.test/team/a:1", "reg.test/team/b:1", "reg.test/team/multi:1"];

fn wish(names: &[&str]) -> Wish {
    Wish::of_references(names.iter().map(|n| Source::parse(n).unwrap()).collect())
}

fn planned(memory: &Arc<Memory>, wish: &Wish, volume_size: u64) -> (PackPlan, Vec<Failure>) {
    let options = Options { volume_size, ..Options::default() };
    plan(wish, options, &One(memory.clone()), 3, |_| "X".into(), &Silent::new()).unwrap()
}

struct Bench {
    temp: tempfile::TempDir,
    key: SoftwareKey,
    created: &'static str,
}

impl Bench {
    fn new() -> Bench {
        Bench { temp: tempfile::tempdir().unwrap(), key: SoftwareKey::ed25519(&[7; 32]), created: "2026-01-01T00:00:00Z" }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.temp.path().join(name)
    }

    fn pack(
        &self,
        memory: &Arc<Memory>,
        plan: PackPlan,
        failures: Vec<Failure>,
        keep_going: bool,
        out: &Path,
        progress: &dyn Progress,
    ) -> Result<Report, Error> {
        let workspace = Layout::create(&self.path("workspace"))?.durable(false);
        let seal = |_: &PackPlan| Ok(Seal { name: SetName::new("default", 5).unwrap(), created: self.created.into() });
        run(Job {
            plan,
            failures,
            keep_going,
            origins: &One(memory.clone()),
            workspace: &workspace,
            out,
            seal: &seal,
            signer: Some(&self.key),
            read_back: true,
            durable: false,
            parallel: 3,
            code: &|_| "X".into(),
            now: 0,
            progress,
        })
    }

    fn trust(&self) -> Trust {
        let line = format!("stream:* namespaces=\"sealift-index@1\" {} me\n", self.key.public_key().to_line());
        Trust::new(AllowedSigners::parse(line.as_bytes()).unwrap(), RevokedKeys::parse(b"").unwrap(), Policy::parse(b"").unwrap())
    }
}

fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let dir = Dir::open(path).unwrap();
    dir.list().unwrap().into_iter().map(|e| (e.name.clone(), dir.read(&e.name, u64::MAX).unwrap())).collect()
}
