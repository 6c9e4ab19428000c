//! A run cut short anywhere, then run again: the same end state.

use super::*;
use crate::progress::Level;
use std::sync::atomic::{AtomicUsize, Ordering};

fn killed(effect: bool, mounts: bool) {
    let mut world = World::new();
    world.registry.mounts = mounts;
    world.unpack(&sample()).unwrap();
    let operations = world.registry.operations.load(Ordering::SeqCst);
    let expected = undisturbed();
    for n in 0..operations + 3 {
        let mut world = World::new();
        world.registry.mounts = mounts;
        world.registry.dies_at.store(n, Ordering::SeqCst);
        world.registry.effect.store(effect, Ordering::SeqCst);
        let outcome = world.unpack(&sample());
        if let Err(error) = &outcome {
            assert!(matches!(error, UnpackError::Target { error, .. } if error.trouble == TargetTrouble::Unreachable), "{n}: {error}");
        }
        world.registry.revive();
        let report = world.unpack(&sample()).unwrap();
        assert!(report.is_complete(), "{n}: {report:?}");
        assert_eq!(world.registry.end_state(), expected, "killed at operation {n}");
        assert!(world.spool_files().is_empty(), "{n}");
    }
}

#[test]
fn killed_before_every_operation_of_the_target() {
    killed(false, true);
}

#[test]
fn killed_after_every_operation_of_the_target() {
    killed(true, false);
}

#[test]
fn killed_in_every_operation_while_volumes_come_one_by_one() {
    let expected = undisturbed();
    for n in 0..70 {
        let world = World::new();
        for volume in [2, 3, 1] {
            world.registry.operations.store(0, Ordering::SeqCst);
            world.registry.dies_at.store(n, Ordering::SeqCst);
            let _ = world.unpack(&sample().with(&[volume]));
            world.registry.revive();
            world.unpack(&sample().with(&[volume])).unwrap();
            world.registry.collect_garbage();
        }
        assert_eq!(world.registry.end_state(), expected, "killed at operation {n}");
        assert!(world.registry.holds().is_empty() && world.spool_files().is_empty());
    }
}

/// Asks to stop when it was asked often enough whether to.
struct Impatient {
    left: AtomicUsize,
}

impl Progress for Impatient {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: Level, _: &str) {}
    fn cancelled(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err()
    }
}

#[test]
fn cancelled_anywhere_leaves_a_state_to_go_on_from() {
    let expected = undisturbed();
    for spool in [0, 100_000] {
        let mut completed = false;
        for n in 0..400 {
            let mut world = World::new();
            world.spool = spool;
            match world.watched(&sample(), &Impatient { left: AtomicUsize::new(n) }) {
                Ok(report) => completed = report.is_complete(),
                Err(error) => assert!(matches!(error, UnpackError::Interrupted), "{n}: {error}"),
            }
            let report = world.unpack(&sample()).unwrap();
            assert!(report.is_complete(), "{n}");
            assert_eq!(world.registry.end_state(), expected, "cancelled at {n}");
            if completed {
                break;
            }
        }
        assert!(completed);
    }
}

#[test]
fn a_cancelled_run_holds_what_it_has_pushed() {
    let mut held = 0;
    for n in 20..60 {
        let world = World::new();
        let result = world.with(&sample(), &Impatient { left: AtomicUsize::new(n) }, |setting, ledger| {
            let planned = plan(setting, ledger).ok()?;
            run(setting, ledger, &planned).err()
        });
        let Some(stopped) = result else { continue };
        let report = stopped.report.unwrap();
        if report.counts.pushed > 0 {
            let empty = crate::digest::Digest::sha256(b"{}");
            let count = |b: &std::collections::BTreeMap<crate::digest::Digest, Vec<u8>>| b.keys().filter(|d| **d != empty).count();
            let before: usize = world.registry.inner.lock().unwrap().blobs.values().map(count).sum();
            world.registry.collect_garbage();
            let after: usize = world.registry.inner.lock().unwrap().blobs.values().map(count).sum();
            assert_eq!(before, after, "{n}: nothing that was pushed is lost");
            held += usize::from(!report.holds.is_empty());
        }
    }
    assert!(held > 0);
}

/// The fault plan is one for the whole process: tests that set one take turns.
static FAULTS: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Fails the n-th operation on files below `root`, and all that follow when `dead`. Returns how many there were so far.
fn break_files(root: std::path::PathBuf, n: usize, dead: bool) -> std::sync::Arc<AtomicUsize> {
    let counted = std::sync::Arc::new(AtomicUsize::new(0));
    let count = counted.clone();
    crate::fault::install(Some(Box::new(move |_, subject| {
        if !std::path::Path::new(subject).starts_with(&root) {
            return Ok(());
        }
        let at = count.fetch_add(1, Ordering::SeqCst);
        if at == n || dead && at > n { Err(std::io::Error::from_raw_os_error(28)) } else { Ok(()) }
    })));
    counted
}

#[test]
fn cut_off_at_any_moment_no_older_set_moves_a_tag_back() {
    let version = |sequence: u64| {
        let mut medium = Medium::new(sequence, 1);
        let layer = medium.layer(sequence as u8, 2000, &[1]);
        (medium.image("app", "latest", &[layer]), medium)
    };
    let _turn = FAULTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (newest, newer) = version(6);
    let (mut set, mut unset) = (0, 0);
    for n in 0..60 {
        let world = World::new();
        world.unpack(&version(4).1).unwrap();
        // All that is written to this host's disk from here on is lost.
        break_files(world.state.path().to_owned(), n, true);
        let outcome = world.with_if_possible(&newer);
        crate::fault::install(None);
        let was_set = world.registry.tag_of("app", "latest") == Some(newest);
        world.unpack(&version(5).1).unwrap();
        assert!(!was_set || world.registry.tag_of("app", "latest") == Some(newest), "{n}: moved back");
        if was_set {
            set += 1
        } else {
            unset += 1
        }
        if outcome {
            break;
        }
    }
    assert!(set > 1 && unset > 1, "{set} {unset}");
}

#[test]
fn a_disk_that_fails_at_any_operation_leaves_a_state_to_go_on_from() {
    let _turn = FAULTS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let expected = undisturbed();
    for dead in [false, true] {
        let mut undone = 0;
        for n in 0..1000 {
            let world = World::new();
            let (spool, log) = (Spool::open(&world.spool_dir(), world.spool, world.memory).unwrap(), Log::open(&world.state));
            let mut ledger = Ledger::open(&world.state, &world.registry.name()).unwrap();
            let medium = sample();
            let progress = Silent::new();
            let setting =
                Setting { media: &medium, target: &world.registry, spool: &spool, log: &log, options: &world.options, progress: &progress };
            let operations = break_files(world.state.path().to_owned(), n, dead);
            let result = plan(&setting, &ledger).map_err(|_| ()).and_then(|plan| run(&setting, &mut ledger, &plan).map_err(|_| ()));
            crate::fault::install(None);
            drop((ledger, spool));
            let complete = result.is_ok_and(|report| report.is_complete());
            undone += usize::from(!complete);
            let report = world.unpack(&sample()).unwrap();
            assert!(report.is_complete(), "{n}: {report:?}");
            assert_eq!(world.registry.end_state(), expected, "disk failed at operation {n}");
            assert!(world.spool_files().is_empty(), "{n}: {:?}", world.spool_files());
            if operations.load(Ordering::SeqCst) <= n {
                assert!(complete);
                break;
            }
        }
        assert!(undone > 30, "{undone}");
    }
}
