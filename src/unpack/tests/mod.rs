//! What unpacking promises, against a set and a registry in memory.

pub(crate) mod doubles;
mod interrupted;
mod road;
mod rules;

use super::*;
use crate::fs::Dir;
use crate::ledger::{Ledger, Log};
use crate::progress::{Progress, Silent};
use doubles::{Medium, Registry};

/// A host with its state directories.
struct World {
    _temp: tempfile::TempDir,
    state: Dir,
    registry: Registry,
    options: Options,
    spool: u64,
    memory: u64,
}

impl World {
    fn new() -> World {
        let temp = tempfile::tempdir().unwrap();
        let state = Dir::open(temp.path()).unwrap().durable(false);
        let options = Options {
            first: true,
            small: 1000,
            uploads: 3,
            probes: 3,
            hold_every: 0,
            now: "2026-01-01T00:00:00Z".into(),
            ..Options::default()
        };
        World { _temp: temp, state, registry: Registry::new(), options, spool: 100_000, memory: 3000 }
    }

    fn spool_dir(&self) -> Dir {
        self.state.sub("spool").unwrap()
    }

    fn plan(&self, medium: &Medium) -> Result<UnpackPlan, UnpackError> {
        self.with(medium, &Silent::new(), |setting, ledger| plan(setting, ledger))
    }

    fn with<R>(&self, medium: &Medium, progress: &dyn Progress, act: impl FnOnce(&Setting<'_>, &mut Ledger) -> R) -> R {
        let spool = Spool::open(&self.spool_dir(), self.spool, self.memory).unwrap();
        let log = Log::open(&self.state);
        let mut ledger = Ledger::open(&self.state, &self.registry.name()).unwrap();
        let setting = Setting { media: medium, target: &self.registry, spool: &spool, log: &log, options: &self.options, progress };
        act(&setting, &mut ledger)
    }

    fn watched(&self, medium: &Medium, progress: &dyn Progress) -> Result<UnpackReport, UnpackError> {
        self.with(medium, progress, |setting, ledger| {
            let plan = plan(setting, ledger)?;
            let text = serde_json::to_vec(&plan).unwrap();
            assert_eq!(serde_json::from_slice::<UnpackPlan>(&text).unwrap(), plan, "a plan can be saved");
            run(setting, ledger, &plan).map_err(|stopped| stopped.error)
        })
    }

    fn unpack(&self, medium: &Medium) -> Result<UnpackReport, UnpackError> {
        self.watched(medium, &Silent::new())
    }

    /// True when the run ended well, on a host whose disk may fail.
    fn with_if_possible(&self, medium: &Medium) -> bool {
        let Ok(spool) = self.state.sub("spool").and_then(|dir| Spool::open(&dir, self.spool, self.memory)) else { return false };
        let log = Log::open(&self.state);
        let Ok(mut ledger) = Ledger::open(&self.state, &self.registry.name()) else { return false };
        let progress = &Silent::new();
        let setting = Setting { media: medium, target: &self.registry, spool: &spool, log: &log, options: &self.options, progress };
        plan(&setting, &ledger).is_ok_and(|plan| run(&setting, &mut ledger, &plan).is_ok())
    }

    fn spool_files(&self) -> Vec<String> {
        self.spool_dir().list().unwrap().into_iter().map(|e| e.name).filter(|n| n != "spool.lock").collect()
    }
}

/// Four images in three repositories over three volumes: shared layers, a layer in pieces, an index, a late one.
fn sample() -> Medium {
    let mut medium = Medium::new(7, 3);
    let base = medium.layer(1, 900, &[1]);
    let wide = medium.layer(2, 9000, &[1, 2, 3]);
    let own = medium.layer(3, 5000, &[2]);
    let last = medium.layer(4, 700, &[3]);
    let tail = medium.layer(5, 2000, &[3, 1]);
    medium.image("a/app", "1", &[base.clone(), own.clone()]);
    medium.image("a/app", "2", &[base.clone(), wide.clone()]);
    let amd = medium.manifest("amd", &[base.clone(), last]);
    let arm = medium.manifest("arm", &[own, tail]);
    medium.index_image("b/multi", "latest", &[(amd, "linux/amd64"), (arm, "linux/arm64")], &[]);
    medium.image("c/catalog", "v1", &[base, wide]);
    medium.late();
    medium
}

/// What the registry holds when everything came at once.
fn undisturbed() -> String {
    let world = World::new();
    let report = world.unpack(&sample()).unwrap();
    assert!(report.is_complete(), "{report:?}");
    world.registry.end_state()
}

impl UnpackReport {
    /// True when every selected image is whole under its own tag: nothing waits, failed, was damaged or skipped.
    fn is_complete(&self) -> bool {
        self.waiting.is_empty() && self.failed.is_empty() && self.damaged.is_empty() && self.skipped_tags.is_empty()
    }
}
