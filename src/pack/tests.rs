//! Packing from sources in memory.

use super::*;
use crate::archive;
use crate::digest::Digest;
use crate::format::{DocumentKind, FileKind, SetName, SignatureName};
use crate::fs::Dir;
use crate::image_set::Source;
use crate::layout::Layout;
use crate::limits;
use crate::lookaside::{Lookasides, Scopes, Store};
use crate::oci::{Descriptor, media};
use crate::origin::{Origin, OriginError, Origins};
use crate::progress::{Progress, Silent};
use crate::sign::{AllowedSigners, Policy, RevokedKeys, Signer, SoftwareKey, Trust};
use crate::web::{Get, Web, WebError};
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

#[test]
fn a_set_holds_what_was_asked_for_and_reads_back() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, failures) = planned(&memory, &wish(&NAMES), 300_000);
    assert!(failures.is_empty());
    let report = bench.pack(&memory, plan, failures, false, &bench.path("out"), &Silent::new()).unwrap();
    assert!(report.signed && report.read_back.is_some() && report.volumes.len() > 2);
    assert!(report.volumes.iter().all(|(_, size)| *size <= 300_000));
    let sets = archive::open(&[bench.path("out")], &bench.trust(), 0).unwrap();
    let checked = sets[0].check(true, &Silent::new()).unwrap();
    assert_eq!((checked.damage.len(), checked.elsewhere), (0, 0));
    assert_eq!(sets[0].contents().images.len(), 3);
    assert!(!files(&bench.path("out")).keys().any(|name| name.ends_with("incomplete")));
}

#[test]
fn equal_wishes_equal_bytes_whatever_was_fetched_before() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    let fetched = memory.opened.load(Ordering::Relaxed);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("two"), &Silent::new()).unwrap();
    assert_eq!(memory.opened.load(Ordering::Relaxed), fetched, "the workspace has everything");
    let other = Bench::new();
    other.pack(&memory, plan, vec![], false, &other.path("out"), &Silent::new()).unwrap();
    let first = files(&bench.path("one"));
    assert!(first == files(&bench.path("two")) && first == files(&other.path("out")));
    // Once more into a folder that has it: the same.
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    bench.pack(&memory, plan, vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    assert!(first == files(&bench.path("one")));
}

#[test]
fn bounds_hold() {
    let memory = Arc::new(three());
    for (names, size) in [(&NAMES[..], limits::VOLUME_BYTES_MIN), (&NAMES[..1], 300_000), (&NAMES[..], limits::VOLUME_BYTES_MAX)] {
        let bench = Bench::new();
        let (plan, _) = planned(&memory, &wish(names), size);
        let estimate = plan.estimate().unwrap();
        let report = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
        let written: u64 = report.volumes.iter().map(|(_, size)| size).sum();
        assert!(report.volumes.len() as u64 <= estimate.volumes, "{} volumes, at most {}", report.volumes.len(), estimate.volumes);
        assert!(written <= estimate.volumes_bytes, "{written} bytes, at most {}", estimate.volumes_bytes);
        let dir = Dir::open(&bench.path("out")).unwrap();
        let of = |kind| dir.size_of(&report.name.file(kind)).unwrap().unwrap();
        let documents = of(FileKind::Index { copy: false }) + of(FileKind::Contents { copy: false });
        assert!(documents <= estimate.documents, "{documents} bytes, at most {}", estimate.documents);
        let all: u64 = files(&bench.path("out")).values().map(|bytes| bytes.len() as u64).sum();
        assert!(all <= estimate.staging());
    }
}

#[test]
fn a_saved_plan_is_the_plan() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let mut wish = wish(&NAMES);
    wish.asks[2].platforms = vec!["linux/arm64".parse().unwrap()];
    let (plan, _) = planned(&memory, &wish, 300_000);
    let saved = PackPlan::parse(&plan.to_bytes().unwrap()).unwrap();
    assert_eq!(saved, plan);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    bench.pack(&memory, saved, vec![], false, &bench.path("two"), &Silent::new()).unwrap();
    assert!(files(&bench.path("one")) == files(&bench.path("two")));
    // A plan that was tampered with is refused: it is input like any other.
    let text = String::from_utf8(plan.to_bytes().unwrap()).unwrap();
    let size = format!("\"size\": {}", plan.blobs[0].size);
    assert!(PackPlan::parse(text.replacen(&size, "\"size\": 1", 1).as_bytes()).is_err());
    let mut swapped = plan.clone();
    let other = swapped.manifests[1].data.clone();
    swapped.manifests[0].data = other;
    let forged = serde_json::from_slice::<PackPlan>(&swapped.to_bytes().unwrap()).unwrap();
    assert!(matches!(forged.derived(), Err(Error::Plan(why)) if why.contains("other bytes")));
    assert!(PackPlan::parse(text.replace(env!("CARGO_PKG_VERSION"), "9.9.9").as_bytes()).is_err());
}

#[test]
fn members_of_an_index_that_were_not_asked_for_stay_away() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let mut one = wish(&NAMES[2..]);
    one.asks[0].platforms = vec!["linux/arm64".parse().unwrap()];
    let (plan, _) = planned(&memory, &one, 300_000);
    assert_eq!(plan.images[0].platforms.len(), 1);
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let sets = archive::open(&[bench.path("out")], &bench.trust(), 0).unwrap();
    assert_eq!(sets[0].contents().manifests.len(), 2);
    one.asks[0].platforms = vec!["linux/arm64".parse().unwrap(), "linux/amd64".parse().unwrap()];
    assert!(planned(&memory, &one, 300_000).0.images[0].platforms.is_empty(), "all of them is not a part");
    one.asks[0].platforms = vec!["linux/s390x".parse().unwrap()];
    let (_, failures) = planned(&memory, &one.on_platforms(&[]), 300_000);
    assert!(failures[0].reason.to_string().contains("linux/amd64, linux/arm64"), "{}", failures[0].reason);
}

#[test]
fn an_attestation_goes_with_its_member_and_is_no_platform() {
    let mut memory = Memory::default();
    let (amd, arm) = (memory.image(&[noise(50_000, 3)]), memory.image(&[noise(70_000, 4)]));
    let mut about = |image: &str, seed| {
        let image: Descriptor = serde_json::from_str(image).unwrap();
        let attestation = memory.image(&[noise(100, seed)]);
        let annotations = format!(r#""annotations":{{"vnd.docker.reference.digest":"{}"}}"#, image.digest);
        format!(r#"{},{annotations},"platform":{{"os":"unknown","architecture":"unknown"}}}}"#, attestation.strip_suffix('}').unwrap())
    };
    let members = [about(&amd, 5), about(&arm, 6)].join(",");
    let plain = memory.index(&[("amd64", amd), ("arm64", arm)]);
    let plain: Descriptor = serde_json::from_str(&plain).unwrap();
    let text = String::from_utf8(memory.content[&plain.digest].clone()).unwrap();
    let multi = memory.put(text.replace("]}", &format!(",{members}]}}")).into_bytes(), media::OCI_INDEX);
    memory.tag("team/multi:1", &multi);
    let mut one = wish(&NAMES[2..]);
    one.asks[0].platforms = vec!["linux/arm64".parse().unwrap()];
    let (plan, _) = planned(&Arc::new(memory), &one, 300_000);
    assert_eq!(plan.images[0].platforms, ["linux/arm64".parse().unwrap()]);
    assert_eq!(plan.manifests.len(), 3, "index, member, attestation of the member");
    assert_eq!(PackPlan::parse(&plan.to_bytes().unwrap()).unwrap(), plan);
}

#[test]
fn a_failing_image_costs_the_others_nothing() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let names = [NAMES[0], "reg.test/team/absent:9", NAMES[1]];
    let (plan, failures) = planned(&memory, &wish(&names), 300_000);
    assert_eq!((plan.images.len(), failures.len(), plan.missing.len()), (2, 1, 1));
    let error = bench.pack(&memory, plan.clone(), failures, false, &bench.path("out"), &Silent::new()).unwrap_err();
    assert!(matches!(&error, Error::Failed { failures, total: 3 } if failures[0].name.contains("absent")), "{error}");
    assert!(files(&bench.path("out")).keys().all(|name| name == "sealift.incomplete"), "no archive");
    let fetched = memory.opened.load(Ordering::Relaxed);
    assert!(fetched > 0, "what can be had is fetched");
    let (plan, failures) = planned(&memory, &wish(&names), 300_000);
    let report = bench.pack(&memory, plan, failures, true, &bench.path("out"), &Silent::new()).unwrap();
    assert_eq!((report.images, report.failures.len()), (2, 1));
    assert_eq!(memory.opened.load(Ordering::Relaxed), fetched, "and not fetched again");
    let sets = archive::open(&[bench.path("out")], &bench.trust(), 0).unwrap();
    assert!(sets[0].index().missing[0].name.contains("absent"));
}

#[test]
fn a_blob_that_fails_late_takes_only_its_images_along() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    let only_a = Digest::sha256(&noise(100_000, 2));
    memory.lost.lock().unwrap().insert(only_a);
    let error = bench.pack(&memory, plan.clone(), vec![], false, &bench.path("out"), &Silent::new()).unwrap_err();
    assert!(matches!(&error, Error::Failed { failures, .. } if failures.len() == 1 && failures[0].name == NAMES[0]), "{error}");
    assert!(files(&bench.path("out")).is_empty(), "nothing half-published");
    let report = bench.pack(&memory, plan.clone(), vec![], true, &bench.path("out"), &Silent::new()).unwrap();
    assert_eq!((report.images, report.failures.len()), (2, 1));
    // The shared layer hits both, told once each.
    memory.lost.lock().unwrap().insert(Digest::sha256(&noise(600_000, 1)));
    let fresh = Bench::new();
    match fresh.pack(&memory, plan, vec![], false, &fresh.path("out"), &Silent::new()).unwrap_err() {
        Error::Failed { failures, .. } => assert_eq!(failures.len(), 2),
        other => panic!("{other}"),
    }
}

#[test]
fn a_source_that_lies_is_named() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    memory.wrong.lock().unwrap().insert(Digest::sha256(&noise(100_000, 2)));
    let error = bench.pack(&memory, plan.clone(), vec![], true, &bench.path("out"), &Silent::new()).unwrap_err();
    let Error::Failed { failures, .. } = &error else { panic!("{error}") };
    assert!(matches!(&failures[0].reason, Reason::Workspace(crate::layout::Error::Wrong(_))), "{}", failures[0].reason);
    memory.wrong.lock().unwrap().clear();
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
}

#[test]
fn a_failure_of_the_output_folder_is_not_told_as_an_interruption_of_the_downloads_it_ends() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    memory.slow.lock().unwrap().insert(Digest::sha256(&noise(600_000, 1)));
    let out = Dir::create(&bench.path("out")).unwrap();
    // A link is not written through: the first volume cannot be begun.
    std::os::unix::fs::symlink("/nowhere/at/all", out.join("default-5-0001.tar.zst.incomplete")).unwrap();
    let error = bench.pack(&memory, plan, vec![], false, out.path(), &Silent::new()).unwrap_err();
    assert!(matches!(&error, Error::Archive(archive::Error::Fs(e)) if e.path.starts_with(out.path())), "{error}");
}

#[test]
fn a_workspace_that_rotted_is_noticed_and_mended_by_the_next_run() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    let victim = Digest::sha256(&noise(600_000, 1));
    let path = bench.path("workspace").join("blobs/sha256").join(victim.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[300_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = bench.pack(&memory, plan.clone(), vec![], false, &bench.path("two"), &Silent::new()).unwrap_err();
    assert!(error.to_string().contains(&victim.to_string()), "{error}");
    bench.pack(&memory, plan, vec![], false, &bench.path("two"), &Silent::new()).unwrap();
    assert!(files(&bench.path("one")) == files(&bench.path("two")));
}

#[test]
fn two_images_on_one_name_are_refused_before_anything_is_fetched() {
    let memory = Arc::new(three());
    let mut both = wish(&NAMES[..2]);
    both.asks[1].target_repo = Some("team/a".into());
    let refused = plan(&both, Options::default(), &One(memory.clone()), 2, |_| "X".into(), &Silent::new());
    assert!(matches!(refused, Err(Error::Collision(_))));
    assert_eq!(memory.opened.load(Ordering::Relaxed), 0);
    // The same image twice is one image.
    let twice = planned(&memory, &wish(&[NAMES[0], NAMES[0]]), 300_000).0;
    assert_eq!(twice.images.len(), 1);
}

#[test]
fn blocked_images_stay_outside() {
    let memory = Arc::new(three());
    let mut all = wish(&NAMES);
    all.blocked = crate::image_set::Blocked::new(vec!["team/b".into()]).unwrap();
    let (plan, _) = planned(&memory, &all, 300_000);
    assert_eq!(plan.images.iter().map(|i| i.repository.as_str()).collect::<Vec<_>>(), ["team/a", "team/multi"]);
    all.blocked = crate::image_set::Blocked::new(vec!["reg.test".into()]).unwrap();
    assert!(matches!(super::plan(&all, Options::default(), &One(memory), 2, |_| "X".into(), &Silent::new()), Err(Error::Nothing)));
}

#[test]
fn an_interrupted_run_leaves_no_set_and_the_next_goes_on() {
    /// Cancels after some bytes.
    struct After(AtomicUsize);
    impl Progress for After {
        fn begin(&self, _: &str, _: u64) {}
        fn advance(&self, bytes: u64) {
            let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(bytes as usize)));
        }
        fn end(&self) {}
        fn say(&self, _: crate::progress::Level, _: &str) {}
        fn cancelled(&self) -> bool {
            self.0.load(Ordering::Relaxed) == 0
        }
    }
    let memory = Arc::new(three());
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    let reference = Bench::new();
    reference.pack(&memory, plan.clone(), vec![], false, &reference.path("out"), &Silent::new()).unwrap();
    for bytes in [1, 200_000, 700_000, 1_400_000] {
        let bench = Bench::new();
        let error = bench.pack(&memory, plan.clone(), vec![], false, &bench.path("out"), &After(AtomicUsize::new(bytes))).unwrap_err();
        assert!(matches!(error, Error::Interrupted | Error::Archive(archive::Error::Interrupted)), "{bytes}: {error}");
        assert!(archive::open(&[bench.path("out")], &bench.trust(), 0).is_err());
        bench.pack(&memory, plan.clone(), vec![], false, &bench.path("out"), &Silent::new()).unwrap();
        assert!(files(&reference.path("out")) == files(&bench.path("out")), "{bytes}");
    }
}

#[test]
fn a_set_that_does_not_read_back_is_not_left_signed() {
    // What a lying disk would do: the documents are right, a volume is not. The check that finds it is the one of `verify`.
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    let report = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let path = bench.path("out").join(&report.volumes[1].0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100_000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let set = archive::open(&[bench.path("out")], &bench.trust(), 0).unwrap().remove(0);
    for deep in [false, true] {
        let checked = set.check(deep, &Silent::new()).unwrap();
        assert!(matches!(checked.damage.as_slice(), [(2, archive::Damage::Block { .. })]), "{:?}", checked.damage);
        assert!(!set.images_with(&checked.lost).is_empty());
    }
}

#[test]
fn other_peoples_files_are_left_alone() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let out = Dir::create(&bench.path("out")).unwrap();
    for name in ["notes.txt", "default-4-0001.tar.zst", "other-9.index.json"] {
        out.publish(name, b"mine").unwrap();
    }
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    memory.lost.lock().unwrap().insert(Digest::sha256(&noise(100_000, 2)));
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap_err();
    assert_eq!(files(&bench.path("out")).keys().collect::<Vec<_>>(), ["default-4-0001.tar.zst", "notes.txt", "other-9.index.json"]);
}

#[test]
fn a_download_goes_on_where_it_was() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let layer = noise(600_000, 1);
    let workspace = Layout::create(&bench.path("workspace")).unwrap();
    let descriptor = Descriptor::new("x", Digest::sha256(&layer), layer.len() as u64);
    let mut partial = workspace.partial(&descriptor).unwrap();
    io::Write::write_all(&mut partial, &layer[..250_000]).unwrap();
    drop(partial);
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    assert!(memory.bytes_from.lock().unwrap().contains(&250_000));
}

#[test]
fn a_layout_that_lacks_a_blob_or_has_it_wrong_costs_its_images_only() {
    let only_a = Digest::sha256(&noise(100_000, 2));
    for rotten in [false, true] {
        let (bench, memory) = (Bench::new(), Arc::new(Memory { local: true, ..three() }));
        let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
        if rotten { &memory.wrong } else { &memory.lost }.lock().unwrap().insert(only_a);
        match bench.pack(&memory, plan.clone(), vec![], false, &bench.path("out"), &Silent::new()).unwrap_err() {
            Error::Failed { failures, .. } => assert_eq!(failures.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), [NAMES[0]]),
            other => panic!("{other}"),
        }
        let report = bench.pack(&memory, plan, vec![], true, &bench.path("out"), &Silent::new()).unwrap();
        assert_eq!((report.images, report.failures.len()), (2, 1), "rotten: {rotten}");
    }
}

#[test]
fn who_was_stopped_has_not_failed() {
    // The writer fails (a full disk) while a blob is on its way: that is no fault of its image.
    let gate = Arc::new(Barrier::new(2));
    let memory = Arc::new(Memory { gate: Some(gate.clone()), ..three() });
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    let temp = tempfile::tempdir().unwrap();
    let workspace = Layout::create(temp.path()).unwrap().durable(false);
    let origins: Vec<Arc<dyn Origin>> = vec![memory];
    let silent = Silent::new();
    let fetch = fetch::Fetch::new(&plan, &origins, &workspace, &silent);
    std::thread::scope(|scope| {
        scope.spawn(|| fetch.work());
        gate.wait();
        fetch.stop();
        gate.wait();
    });
    assert!(fetch.failures().is_empty());
}

#[test]
fn a_finished_set_survives_a_repeated_pack_that_fails() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let before = files(&bench.path("out"));
    std::fs::remove_dir_all(bench.path("workspace")).unwrap();
    memory.lost.lock().unwrap().insert(Digest::sha256(&noise(70_000, 4)));
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap_err();
    assert!(files(&bench.path("out")) == before);
}

#[test]
fn another_finished_set_of_the_same_name_is_not_touched() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let before = files(&bench.path("out"));
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    let refused = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap_err();
    assert!(matches!(refused, Error::Exists(_)), "{refused}");
    let mut after = files(&bench.path("out"));
    after.remove("sealift.incomplete");
    assert!(after == before);
}

#[test]
fn a_set_packed_again_at_another_time_would_be_another_set() {
    let (mut bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    let report = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let out = Dir::open(&bench.path("out")).unwrap();
    sign_set(&out, &report.name, &SoftwareKey::ed25519(&[9; 32])).unwrap();
    assert!(out.size_of("default-5.index.json.sig2").unwrap().is_some());
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    bench.created = "2026-02-02T00:00:00Z";
    let refused = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap_err();
    assert!(matches!(refused, Error::Exists(_)), "{refused}");
    assert!(out.size_of("default-5.index.json.sig2").unwrap().is_some());
}

#[test]
fn what_cannot_be_read_back_is_left_without_any_signature() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (mut plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    // No site can have this label, so nobody can open the set.
    plan.options.audience = vec!["no\nlabel".into()];
    bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap_err();
    let signed: Vec<String> = files(&bench.path("out")).into_keys().filter(|name| name.contains(".sig")).collect();
    assert!(signed.is_empty(), "{signed:?}");
}

#[test]
fn what_an_earlier_run_left_wrong_is_fetched_anew() {
    let layer = noise(600_000, 1);
    for left in [250_000, 600_000] {
        let (bench, memory) = (Bench::new(), Arc::new(three()));
        let workspace = Layout::create(&bench.path("workspace")).unwrap();
        let mut partial = workspace.partial(&Descriptor::new("x", Digest::sha256(&layer), layer.len() as u64)).unwrap();
        io::Write::write_all(&mut partial, &vec![0; left]).unwrap();
        drop(partial);
        let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
        bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    }
}

#[test]
fn a_scratch_in_the_tag_is_damage_and_not_another_set() {
    let bench = Bench::new();
    let mut memory = Memory::default();
    let image = memory.image(&[noise(3_000_000, 9)]);
    memory.tag("team/a:1", &image);
    let memory = Arc::new(memory);
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), limits::VOLUME_BYTES_MAX);
    let report = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let path = bench.path("out").join(&report.volumes[0].0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[crate::format::volume::TAG_OFFSET as usize + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let set = archive::open(&[bench.path("out")], &bench.trust(), 0).unwrap().remove(0);
    assert!(set.volumes_missing().is_empty(), "it is here");
    let checked = set.check(false, &Silent::new()).unwrap();
    assert!(matches!(checked.damage.as_slice(), [(1, archive::Damage::Block { start: 0, .. })]), "{:?}", checked.damage);
}

#[test]
fn nobody_signs_where_nobody_looks() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    let report = bench.pack(&memory, plan, vec![], false, &bench.path("out"), &Silent::new()).unwrap();
    let out = Dir::open(&bench.path("out")).unwrap();
    for seed in 1..limits::SIGNATURES as u8 {
        sign_set(&out, &report.name, &SoftwareKey::ed25519(&[100 + seed; 32])).unwrap();
    }
    let refused = sign_set(&out, &report.name, &SoftwareKey::ed25519(&[99; 32])).unwrap_err();
    assert!(matches!(refused, Error::Signatures(_)), "{refused}");
    sign_set(&out, &report.name, &bench.key).unwrap();
}

/// One signature for every manifest, which says which store it is from.
struct Signing;

impl Web for Signing {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        match request.url.ends_with("/signature-1") {
            true => Ok(request.url.split('/').nth(2).unwrap().as_bytes().to_vec()),
            false => Err(WebError::NotFound("x".into())),
        }
    }
}

/// The plan with signatures of everything; images of a scope have them in another store.
fn signed(plan: PackPlan, scope: &str) -> PackPlan {
    let mut scopes = Scopes::default();
    scopes.set(None, Store::parse("https://all.test"));
    scopes.set(Some(scope), Store::parse("https://scope.test"));
    let (plan, failures) = carry_signatures(plan, &Lookasides::new(scopes, Scopes::default()), &Signing, 2, &Silent::new()).unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    plan
}

/// A scope may be a tag: the same manifest of one repository may be signed in two stores.
#[test]
fn every_store_of_a_manifest_is_asked() {
    let mut memory = three();
    let root = memory.tags["team/a:1"];
    memory.tags.insert("team/a:2".into(), root);
    let (plan, _) = planned(&Arc::new(memory), &wish(&["reg.test/team/a:1", "reg.test/team/a:2"]), 300_000);
    let plan = signed(plan, "reg.test/team/a:2");
    let found: Vec<Vec<u8>> = plan.documents.iter().map(crate::format::Document::bytes).collect();
    assert_eq!(found, [b"all.test".to_vec(), b"scope.test".to_vec()]);
    assert_eq!(PackPlan::parse(&plan.to_bytes().unwrap()).unwrap(), plan);
}

#[test]
fn signatures_of_an_image_that_is_left_out_are_left_out() {
    let memory = Arc::new(three());
    let (plan, _) = planned(&memory, &wish(&NAMES), 300_000);
    let plan = signed(plan, "reg.test/none");
    let repositories = |plan: &PackPlan| -> Vec<String> {
        assert!(plan.documents.iter().all(|document| document.kind == DocumentKind::ImageSignature));
        plan.documents.iter().map(|document| SignatureName::parse(&document.name).unwrap().repository).collect()
    };
    assert_eq!(repositories(&plan), ["team/a", "team/b", "team/multi", "team/multi", "team/multi"]);
    let left_out = plan.images.iter().find(|image| image.repository == "team/multi").unwrap();
    let failure = Failure::of(left_out, Reason::Shared(left_out.root.digest));
    let smaller = run::without(&plan, &[failure], &|_| "X".into()).unwrap();
    assert_eq!(repositories(&smaller), ["team/a", "team/b"]);
    assert_eq!(PackPlan::parse(&smaller.to_bytes().unwrap()).unwrap(), smaller);
}

#[test]
fn documents_that_no_reader_would_take_are_refused_when_planned() {
    use crate::format::{Document, DocumentKind};
    let template = |data: &[u8]| Document::new(DocumentKind::CatalogTemplate, "redhat/index:v1", data);
    let refused = PackPlan::new(Options::default(), vec![], vec![], vec![template(b"x"), template(b"y")]).unwrap_err();
    assert!(matches!(&refused, Error::Documents(why) if why.contains("redhat/index:v1")), "{refused}");
}
