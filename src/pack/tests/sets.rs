//! Finished sets: what they hold, and what happens to what lies in their folder.

use super::*;
use crate::archive;
use crate::limits;

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
fn a_volume_that_changed_on_its_disk_is_found_and_its_images_are_named() {
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
