//! Sources, workspaces and downloads that fail, lie or are cut short.

use super::*;
use crate::archive;

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

/// Turns a bit in the middle of a blob the workspace has.
fn rot(bench: &Bench, digest: &Digest) {
    let path = bench.path("workspace").join("blobs/sha256").join(digest.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

/// Keeps the warnings, and does something at every step of the second try to pack.
struct Second<'a> {
    stages: AtomicUsize,
    warnings: Mutex<Vec<String>>,
    step: &'a (dyn Fn(u64) + Sync),
}

impl Progress for Second<'_> {
    fn begin(&self, stage: &str, _: u64) {
        self.stages.fetch_add(usize::from(stage == "packing"), Ordering::SeqCst);
    }

    fn advance(&self, bytes: u64) {
        if self.stages.load(Ordering::SeqCst) == 2 {
            (self.step)(bytes);
        }
    }

    fn end(&self) {}

    fn say(&self, level: crate::progress::Level, line: &str) {
        if level == crate::progress::Level::Warning {
            self.warnings.lock().unwrap().push(line.to_owned());
        }
    }
}

impl Second<'_> {
    fn doing(step: &(dyn Fn(u64) + Sync)) -> Second<'_> {
        Second { stages: AtomicUsize::new(0), warnings: Mutex::default(), step }
    }
}

#[test]
fn a_workspace_that_rotted_is_mended_in_the_same_run() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    let victims = [Digest::sha256(&noise(600_000, 1)), Digest::sha256(&noise(100_000, 2))];
    victims.iter().for_each(|victim| rot(&bench, victim));
    let fetched = memory.opened.load(Ordering::Relaxed);
    let told = Second::doing(&|_| {});
    bench.pack(&memory, plan, vec![], false, &bench.path("two"), &told).unwrap();
    assert!(files(&bench.path("one")) == files(&bench.path("two")));
    assert_eq!(memory.opened.load(Ordering::Relaxed), fetched + 2, "what is damaged, and nothing else");
    let warnings = told.warnings.into_inner().unwrap();
    assert!(warnings.len() == 1 && warnings[0].contains(&victims[0].hex()), "{warnings:?}");
}

#[test]
fn a_workspace_that_goes_on_rotting_is_named() {
    let (bench, memory) = (Bench::new(), Arc::new(three()));
    let (plan, _) = planned(&memory, &wish(&NAMES[..1]), 300_000);
    bench.pack(&memory, plan.clone(), vec![], false, &bench.path("one"), &Silent::new()).unwrap();
    let victims = [Digest::sha256(&noise(600_000, 1)), Digest::sha256(&noise(100_000, 2))];
    rot(&bench, &victims[0]);
    // The second is looked at and found whole, which is a step of its size, and is not when it is written.
    let damage = |bytes| {
        if bytes == 100_000 {
            rot(&bench, &victims[1]);
        }
    };
    let told = Second::doing(&damage);
    let error = bench.pack(&memory, plan, vec![], false, &bench.path("two"), &told).unwrap_err();
    assert!(matches!(&error, Error::Kept { path, .. } if path.ends_with(victims[1].hex())), "{error}");
    assert!(!files(&bench.path("two")).keys().any(|name| name.ends_with(".sig")), "no set");
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
