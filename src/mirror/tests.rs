//! Mirroring into a registry in memory that can misbehave, from a source in memory that can lie.

use super::*;
use crate::digest::Digest;
use crate::format::{Completeness, Role};
use crate::fs::Dir;
use crate::image_set::Source;
use crate::layout;
use crate::oci::{Descriptor, media};
use crate::origin::{Origin, OriginError};
use crate::pack::{Ask, Wish};
use crate::progress::Silent;
use crate::unpack::TargetTrouble;
use crate::unpack::tests::doubles::Registry;
use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Memory {
    content: HashMap<Digest, Vec<u8>>,
    names: HashMap<String, Digest>,
    /// Blobs that come with other bytes.
    lying: Mutex<HashSet<Digest>>,
    /// Blobs that are not there.
    lost: Mutex<HashSet<Digest>>,
    opened: AtomicUsize,
}

impl Memory {
    fn put(&mut self, bytes: Vec<u8>, kind: &str) -> Descriptor {
        let descriptor = Descriptor::new(kind, Digest::sha256(&bytes), bytes.len() as u64);
        self.content.insert(descriptor.digest, bytes);
        descriptor
    }

    fn layer(&mut self, seed: u8, size: usize) -> Descriptor {
        let bytes = (0..size).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 8) as u8).collect();
        self.put(bytes, "layer")
    }

    fn image(&mut self, name: &str, layers: &[Descriptor]) -> Descriptor {
        let config = self.put(format!("{{\"n\":\"{name}\"}}").into_bytes(), media::OCI_CONFIG);
        let value = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers});
        let root = self.put(value.to_string().into_bytes(), media::OCI_MANIFEST);
        self.names.insert(name.into(), root.digest);
        root
    }

    fn index(&mut self, name: &str, members: &[(Descriptor, &str)]) {
        let on = |(d, p): &(Descriptor, &str)| Descriptor { platform: Some(p.parse().unwrap()), ..d.clone() };
        let members: Vec<Descriptor> = members.iter().map(on).collect();
        let value = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members});
        let root = self.put(value.to_string().into_bytes(), media::OCI_INDEX);
        self.names.insert(name.into(), root.digest);
    }
}

fn gone(digest: &Digest) -> OriginError {
    OriginError::Layout(layout::Error::NoBlob { path: "source".into(), digest: *digest })
}

impl Origin for Memory {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let name = source.to_string();
        let found = self.names.iter().find(|(known, _)| name.ends_with(known.as_str())).map(|(_, digest)| (*digest, None));
        found.ok_or_else(|| OriginError::NoImage { name, tag: String::new() })
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        self.content.get(digest).map(|bytes| (bytes.clone(), None)).ok_or_else(|| gone(digest))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        if self.lost.lock().unwrap().contains(&blob.digest) {
            return Err(gone(&blob.digest));
        }
        let mut bytes = self.content[&blob.digest][offset as usize..].to_vec();
        if self.lying.lock().unwrap().contains(&blob.digest) {
            bytes[0] ^= 1;
        }
        Ok(Box::new(Cursor::new(bytes)))
    }
}

struct One(Arc<Memory>);

impl Origins for One {
    fn open(&self, _: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        Ok(self.0.clone())
    }
}

struct World {
    _temp: tempfile::TempDir,
    workspace: Layout,
    log: Log,
    memory: Arc<Memory>,
    registry: Registry,
    options: Options,
}

impl World {
    fn of(memory: Memory) -> World {
        let temp = tempfile::tempdir().unwrap();
        let workspace = Layout::create(&temp.path().join("w")).unwrap().durable(false);
        let log = Log::open(&Dir::open(temp.path()).unwrap().durable(false));
        let options = Options { transfers: 3, sequence: 7, now: "2026-01-01T00:00:00Z".into(), ..Options::default() };
        World { _temp: temp, workspace, log, memory: Arc::new(memory), registry: Registry::new(), options }
    }

    fn wish(&self, asks: Vec<Ask>) -> PackPlan {
        let wish = Wish { asks, ..Wish::default() };
        let (plan, failures) =
            crate::pack::plan(&wish, crate::pack::Options::default(), &One(self.memory.clone()), 2, |_| String::new(), &Silent::new())
                .unwrap();
        assert!(failures.is_empty(), "{failures:?}");
        plan
    }

    fn run(&self, wish: &PackPlan) -> Result<MirrorReport, Stopped> {
        let origins = One(self.memory.clone());
        let progress = Silent::new();
        let setting = Setting {
            wish,
            origins: &origins,
            target: &self.registry,
            workspace: &self.workspace,
            log: &self.log,
            options: &self.options,
            progress: &progress,
        };
        let plan = plan(&setting).map_err(|error| Stopped { error, report: None })?;
        run(&setting, &plan)
    }

    /// Blobs that stay in the workspace.
    fn kept(&self) -> usize {
        let blobs = Dir::open(&self.workspace.path().join("blobs/sha256"));
        blobs.map_or(0, |dir| dir.list().unwrap().len())
    }
}

fn ask(name: &str) -> Ask {
    Ask::of(Source::parse(&format!("src.test/{name}")).unwrap())
}

fn asks(names: &[&str]) -> Vec<Ask> {
    names.iter().map(|name| ask(name)).collect()
}

/// Three images that share a layer over two repositories.
fn three() -> Memory {
    let mut memory = Memory::default();
    let (base, own) = (memory.layer(1, 3000), memory.layer(2, 500));
    memory.image("a/x:1", &[base.clone(), own.clone()]);
    memory.image("a/x:2", std::slice::from_ref(&base));
    memory.image("b/y:1", &[base, own]);
    memory
}

#[test]
fn each_blob_is_fetched_once_and_mounted_elsewhere() {
    let world = World::of(three());
    let wish = world.wish(asks(&["a/x:1", "a/x:2", "b/y:1"]));
    let report = world.run(&wish).unwrap();
    assert_eq!((report.done.len(), report.failed.len()), (3, 0));
    assert_eq!(
        (report.counts.pushed, report.counts.mounted),
        (5, 2),
        "three configurations and two layers, which the other repository gets"
    );
    assert_eq!(world.memory.opened.load(Ordering::SeqCst), 5);
    assert_eq!(world.registry.tag_of("b/y", "1"), world.memory.names.get("b/y:1").copied());
    assert_eq!(report.receipt.identity, wish.digest().unwrap());
    assert_eq!(world.kept(), 0);
    let again = world.run(&wish).unwrap();
    assert!(again.done.iter().all(|image| image.was_there) && again.counts.pushed == 0);
    assert_eq!(again.receipt_bytes.len(), report.receipt_bytes.len());
}

#[test]
fn a_target_that_mounts_nothing_costs_no_third_fetch() {
    let mut world = World::of(three());
    world.registry.mounts = false;
    world.options.transfers = 1;
    let mut memory = three();
    let base = memory.layer(1, 3000);
    memory.image("c/z:1", std::slice::from_ref(&base));
    world.memory = Arc::new(memory);
    let wish = world.wish(asks(&["a/x:1", "b/y:1", "c/z:1"]));
    let report = world.run(&wish).unwrap();
    assert_eq!((report.done.len(), report.counts.mounted), (3, 0));
    // Streamed into the first repository, through the workspace into the others.
    assert!(world.memory.opened.load(Ordering::SeqCst) <= 3 + 2 * 2);
    assert_eq!(world.kept(), 0, "nothing of it stays in the workspace");
}

#[test]
fn a_broken_upload_goes_on_through_the_workspace() {
    let mut world = World::of(three());
    world.registry.cuts = Some(Mutex::default());
    let report = world.run(&world.wish(asks(&["a/x:1"]))).unwrap();
    assert_eq!((report.done.len(), world.kept()), (1, 0));
    // Large ones do from the start: then the first try costs no second fetch.
    let mut world = World::of(three());
    world.registry.cuts = Some(Mutex::default());
    world.options.stream_up_to = 0;
    world.run(&world.wish(asks(&["a/x:1"]))).unwrap();
    assert_eq!(world.memory.opened.load(Ordering::SeqCst), 3);
}

#[test]
fn wrong_bytes_fail_the_images_that_need_them_and_no_others() {
    let mut memory = three();
    let own = memory.layer(2, 500);
    let world = World::of(memory);
    world.memory.lying.lock().unwrap().insert(own.digest);
    let report = world.run(&world.wish(asks(&["a/x:1", "a/x:2", "b/y:1"]))).unwrap();
    assert_eq!(report.done.iter().map(|i| i.tag.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(report.failed.len(), 2);
    for failed in &report.failed {
        let told = crate::error::Error::from(&failed.failure);
        assert_eq!(told.code, crate::error::Code::SourceWrong, "{told}");
        assert_eq!(world.registry.tag_of(&failed.repository, &failed.tag), None);
    }
    // Mended, the next run brings the rest.
    world.memory.lying.lock().unwrap().clear();
    assert_eq!(world.run(&world.wish(asks(&["a/x:1", "a/x:2", "b/y:1"]))).unwrap().failed.len(), 0);
}

#[test]
fn catalogs_wait_for_everything_else_unless_the_rest_is_wanted() {
    let mut memory = three();
    let own = memory.layer(2, 500);
    memory.image("cat/alog:1", &[]);
    let mut world = World::of(memory);
    let catalog = Ask { role: Role::Catalog, part_of: vec!["operator c p b 1.0.0".into()], ..ask("cat/alog:1") };
    let wish = world.wish(vec![catalog, ask("a/x:1")]);
    world.memory.lost.lock().unwrap().insert(own.digest);
    let report = world.run(&wish).unwrap();
    assert!(report.failed.iter().any(|f| f.repository == "cat/alog" && matches!(f.failure, ImageFailure::HeldBack)), "{:?}", report.failed);
    assert_eq!(world.registry.tag_of("cat/alog", "1"), None);
    world.options.keep_going = true;
    let report = world.run(&wish).unwrap();
    assert_eq!((report.done.len(), report.failed.len()), (1, 1));
    let listed = &report.receipt.images[0];
    assert_eq!((listed.role, listed.part_of.as_slice()), (Role::Catalog, ["operator c p b 1.0.0".to_owned()].as_slice()));
}

#[test]
fn a_sparse_index_that_is_refused_leaves_its_tag_to_the_one_member_carried() {
    let mut memory = Memory::default();
    let layers = [1, 2, 3].map(|seed| memory.layer(seed, 100));
    let members: Vec<Descriptor> =
        layers.iter().enumerate().map(|(i, l)| memory.image(&format!("m:{i}"), std::slice::from_ref(l))).collect();
    memory.index(
        "a/multi:1",
        &[(members[0].clone(), "linux/amd64"), (members[1].clone(), "linux/arm64"), (members[2].clone(), "linux/s390x")],
    );
    let mut world = World::of(memory);
    let on = |platforms: &[&str]| Ask { platforms: platforms.iter().map(|p| p.parse().unwrap()).collect(), ..ask("a/multi:1") };
    let report = world.run(&world.wish(vec![on(&["linux/arm64"])])).unwrap();
    let member = members[1].digest;
    assert_eq!(report.receipt.images[0].completeness, Completeness::SingleMember { member });
    assert_eq!(world.registry.tag_of("a/multi", "1"), Some(member));
    let report = world.run(&world.wish(vec![on(&["linux/arm64"])])).unwrap();
    assert!(report.done[0].was_there);
    let report = world.run(&world.wish(vec![on(&["linux/arm64", "linux/amd64"])])).unwrap();
    assert!(matches!(report.failed[0].failure, ImageFailure::Target(crate::unpack::ImageError::SparseRefused { absent: 1, .. })));
    world.registry.sparse = true;
    let report = world.run(&world.wish(vec![on(&["linux/arm64", "linux/amd64"])])).unwrap();
    assert_eq!(report.receipt.images[0].completeness, Completeness::Sparse);
}

#[test]
fn what_the_target_lost_is_brought_back() {
    let world = World::of(three());
    let wish = world.wish(asks(&["a/x:1"]));
    world.run(&wish).unwrap();
    {
        let mut inner = world.registry.inner.lock().unwrap();
        let own = Digest::sha256(&world.memory.content.values().find(|b| b.len() == 500).unwrap().clone());
        inner.blobs.get_mut("a/x").unwrap().remove(&own).unwrap();
        inner.tags.clear();
    }
    let report = world.run(&wish).unwrap();
    assert_eq!((report.done.len(), report.counts.pushed), (1, 1), "{:?}", report.failed);
}

#[test]
fn stopped_at_any_operation_it_ends_where_an_undisturbed_run_does() {
    let whole = World::of(three());
    let names = ["a/x:1", "a/x:2", "b/y:1"];
    whole.run(&whole.wish(asks(&names))).unwrap();
    let operations = whole.registry.operations.load(Ordering::SeqCst);
    let wanted = whole.registry.end_state();
    for effect in [false, true] {
        for at in 0..operations {
            let world = World::of(three());
            let wish = world.wish(asks(&names));
            world.registry.dies_at.store(at, Ordering::SeqCst);
            world.registry.effect.store(effect, Ordering::SeqCst);
            // The last operations may be mounts that are not needed in another order of threads.
            if let Err(stopped) = world.run(&wish) {
                assert!(
                    matches!(&stopped.error, MirrorError::Target(crate::unpack::UnpackError::Target { error, .. }) if error.trouble == TargetTrouble::Unreachable)
                );
            }
            world.registry.revive();
            assert_eq!(world.run(&wish).unwrap().done.len(), 3);
            assert_eq!(world.registry.end_state(), wanted, "died at {at}");
        }
    }
}

#[test]
fn flattened_to_one_name_two_images_are_refused_before_the_target_is_asked() {
    let mut one = three();
    one.image("x-x:1", &[]);
    one.image("x/x:1", &[]);
    let mut world = World::of(one);
    world.options.max_nested_paths = 1;
    let stopped = world.run(&world.wish(asks(&["x/x:1", "x-x:1"]))).unwrap_err();
    assert!(matches!(stopped.error, MirrorError::Target(crate::unpack::UnpackError::Collision(_))), "{stopped:?}");
    assert_eq!(world.registry.operations.load(Ordering::SeqCst), 0);
}
