//! The road from media to images: order, spool, direct, mounts.

use super::*;
use crate::format::Completeness;
use std::collections::HashSet;
use std::sync::Mutex;

#[test]
fn everything_arrives_with_one_upload_per_blob() {
    let world = World::new();
    let medium = sample();
    let planned = world.plan(&medium).unwrap();
    assert_eq!(planned.volumes.iter().map(|v| (v.number, v.here)).collect::<Vec<_>>(), [(1, true), (2, true), (3, true)]);
    assert!(!planned.is_done() && planned.upload_bytes > 17_000);
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete() && report.done.iter().all(|d| d.completeness == Completeness::Full && !d.was_there));
    assert_eq!(report.counts.pushed as usize, medium.contents.blobs.len(), "each blob once, mounted into the others");
    assert_eq!(report.counts.bytes, medium.contents.blobs.iter().map(|b| b.size).sum::<u64>());
    assert!(report.counts.mounted >= 4 && report.warnings.is_empty() && report.holds.is_empty());
    assert!(world.spool_files().is_empty() && world.registry.holds().is_empty());
    assert_eq!(report.receipt.images.len(), 4);
    assert_eq!(crate::format::Receipt::parse(&report.receipt_bytes).unwrap(), report.receipt);
    assert_eq!(report.receipt.log_head, Log::open(&world.state).head().unwrap());
}

#[test]
fn volumes_in_any_order_one_per_run_with_garbage_collected_in_between() {
    let expected = undisturbed();
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let world = World::new();
        for (turn, volume) in order.into_iter().enumerate() {
            let report = world.unpack(&sample().with(&[volume])).unwrap();
            assert_eq!(report.is_complete(), turn == 2, "{order:?} {report:?}");
            assert_eq!(report.volumes_needed.is_empty(), turn == 2);
            assert!(!report.volumes_needed.contains(&volume));
            world.registry.collect_garbage();
        }
        assert_eq!(world.registry.end_state(), expected, "{order:?}");
        assert!(world.registry.holds().is_empty() && world.spool_files().is_empty());
    }
}

#[test]
fn volumes_are_read_while_what_lies_in_the_contents_is_on_its_way() {
    let mut world = World::new();
    let mut medium = Medium::new(1, 1);
    let layer = medium.layer(1, 900, &[1]);
    medium.image("a", "1", std::slice::from_ref(&layer));
    let config = medium.contents.blobs.iter().find(|blob| blob.inline.is_some()).unwrap().digest;
    world.registry.after = vec![(config, layer.digest)];
    assert!(world.unpack(&medium).unwrap().is_complete());
}

#[test]
fn full_memory_leaves_no_upload_without_work() {
    let mut world = World::new();
    let mut medium = Medium::new(1, 1);
    let layers: Vec<_> = (1..=3).map(|seed| medium.layer(seed, 900, &[1])).collect();
    medium.image("a", "1", &layers);
    // Room for one of them; three uploads at a time.
    world.memory = 1000;
    world.registry.after = vec![(layers[0].digest, layers[2].digest), (layers[1].digest, layers[2].digest)];
    assert!(world.unpack(&medium).unwrap().is_complete());
    assert!(world.spool_files().is_empty());
    // Without files there is nothing to do but wait.
    let mut world = World::new();
    (world.memory, world.spool) = (1000, 0);
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete() && report.direct.is_empty(), "{report:?}");
}

#[test]
fn nothing_is_read_twice_over_runs() {
    let world = World::new();
    for volume in [3, 1, 2] {
        let planned = world.plan(&sample().with(&[volume])).unwrap();
        assert!(planned.volumes.iter().any(|v| v.number == volume && v.here));
        world.unpack(&sample().with(&[volume])).unwrap();
        let planned = world.plan(&sample().with(&[volume])).unwrap();
        assert!(!planned.volumes.iter().any(|v| v.number == volume), "volume {volume} has given everything");
    }
    assert!(world.plan(&sample()).unwrap().is_done());
}

#[test]
fn nothing_is_asked_twice() {
    let world = World::new();
    let asked = |world: &World| world.registry.operations.swap(0, std::sync::atomic::Ordering::SeqCst);
    world.plan(&sample()).unwrap();
    // Four tags, four roots, two members of the index, and for each repository the blobs it would need.
    let blobs: usize = ["a/app", "b/multi", "c/catalog"].iter().map(|r| needed(&sample(), r)).sum();
    assert_eq!(asked(&world), 4 + 4 + 2 + blobs);
    world.unpack(&sample()).unwrap();
    asked(&world);
    world.plan(&sample()).unwrap();
    assert_eq!(asked(&world), 4, "a tag that names the root says it all");
}

/// Blobs the images of a repository need.
fn needed(medium: &Medium, repository: &str) -> usize {
    let catalog = super::super::catalog::Catalog::new(&medium.contents).unwrap();
    let images = medium.contents.images.iter().filter(|i| i.repository == repository);
    images.flat_map(|i| catalog.tree(i).blobs).collect::<HashSet<_>>().len()
}

#[test]
fn a_second_run_pushes_nothing() {
    let world = World::new();
    world.unpack(&sample()).unwrap();
    world.registry.pushes();
    let report = world.unpack(&sample().with(&[])).unwrap();
    assert!(report.is_complete() && report.done.iter().all(|d| d.was_there));
    assert_eq!((world.registry.pushes(), report.counts.pushed), (0, 0));
    assert_eq!(report.receipt.images.len(), 4);
}

#[test]
fn a_selection_brings_only_its_images_and_a_wrong_one_is_refused() {
    let mut world = World::new();
    world.options.select = vec!["a/app:*".into()];
    let report = world.unpack(&sample()).unwrap();
    assert_eq!(report.done.len(), 2);
    assert_eq!(world.registry.tag_of("b/multi", "latest"), None);
    world.options.select = vec!["quay.io/b/*".into(), "nothing*".into()];
    assert!(matches!(world.unpack(&sample()), Err(UnpackError::NothingSelected { pattern }) if pattern == "nothing*"));
}

#[test]
fn the_prefix_is_part_of_every_name() {
    let mut world = World::new();
    world.options.prefix = "mirror/x".into();
    let report = world.unpack(&sample()).unwrap();
    assert!(world.registry.tag_of("mirror/x/a/app", "1").is_some());
    assert_eq!(report.receipt.images[0].repository, "a/app");
    world.options.prefix = "UP".into();
    assert!(matches!(world.unpack(&sample()), Err(UnpackError::Name { .. })));
}

#[test]
fn a_registry_that_does_not_mount_gets_uploads_from_the_spool() {
    let mut world = World::new();
    world.registry.mounts = false;
    let report = world.unpack(&sample()).unwrap();
    assert!(report.is_complete());
    assert_eq!(report.counts.mounted, 0);
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn what_another_repository_has_needs_no_medium() {
    let world = World::new();
    let mut medium = Medium::new(1, 1);
    let layer = medium.layer(1, 5000, &[1]);
    medium.image("a", "1", std::slice::from_ref(&layer));
    world.unpack(&medium).unwrap();
    medium.image("b", "1", &[layer]);
    medium.index.sequence = 2;
    let planned = world.plan(&medium.with(&[])).unwrap();
    assert!(planned.volumes.is_empty() && planned.blobs.iter().any(|b| b.road == Road::Mount));
    assert!(world.unpack(&medium.with(&[])).unwrap().is_complete());
}

#[test]
fn a_refused_mount_names_the_volume_after_all() {
    let mut world = World::new();
    let mut medium = Medium::new(1, 1);
    let layer = medium.layer(1, 5000, &[1]);
    medium.image("a", "1", std::slice::from_ref(&layer));
    world.unpack(&medium).unwrap();
    medium.image("b", "1", &[layer]);
    medium.index.sequence = 2;
    world.registry.mounts = false;
    let report = world.unpack(&medium.with(&[])).unwrap();
    assert_eq!(report.volumes_needed, [1].into());
    assert!(world.unpack(&medium).unwrap().is_complete());
}

#[test]
fn the_spool_stays_within_its_bounds() {
    let mut world = World::new();
    let mut medium = Medium::new(1, 2);
    for n in 0..60 {
        let layers = [medium.layer(n, 950, &[1]), medium.layer(n + 100, 3000 + usize::from(n), &[1 + u32::from(n % 2)])];
        medium.image(&format!("r{}", n % 7), &format!("t{n}"), &layers);
    }
    (world.spool, world.memory) = (7000, 2000);
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete());
    assert!(report.spool_peak <= 7000 && report.spool_peak > 3000, "{}", report.spool_peak);
    assert!(report.memory_peak <= 2000 && report.memory_peak > 900, "{}", report.memory_peak);
    assert!(report.direct.is_empty(), "waiting for uploads is better than going direct");
}

#[test]
fn a_blob_larger_than_the_spool_goes_direct_and_says_so() {
    let mut world = World::new();
    world.spool = 4000;
    let report = world.unpack(&sample()).unwrap();
    assert!(report.is_complete(), "{report:?}");
    let large: HashSet<_> = sample().contents.blobs.iter().filter(|b| b.size > 4000).map(|b| b.digest).collect();
    assert_eq!(report.direct.iter().copied().collect::<HashSet<_>>(), large);
    assert!(report.spool_peak <= 4000);
    assert_eq!(world.registry.end_state(), undisturbed());
    let mut world = World::new();
    (world.spool, world.registry.mounts) = (0, false);
    assert!(world.unpack(&sample()).unwrap().is_complete());
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn a_direct_upload_refused_before_it_reads_ends_the_reading_too() {
    let mut world = World::new();
    (world.spool, world.memory) = (0, 0);
    (world.registry.closed, world.registry.closed_above) = (Some("a"), 1000);
    let mut medium = Medium::new(1, 1);
    // More than lies between drive and upload.
    let large = medium.layer(1, 4 << 20, &[1]);
    medium.image("a", "1", &[large]);
    let report = world.unpack(&medium).unwrap();
    assert_eq!((report.failed.len(), report.direct.len()), (1, 1));
}

#[test]
fn a_cut_direct_upload_is_read_again() {
    let mut world = World::new();
    world.spool = 0;
    world.registry.cuts = Some(Mutex::default());
    let report = world.unpack(&sample()).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn a_blob_in_pieces_larger_than_the_spool_names_the_option() {
    let mut world = World::new();
    world.spool = 4000;
    match world.plan(&sample().with(&[1, 2])).unwrap_err() {
        UnpackError::SpoolTooSmall { size: 9000, spool_size: 4000, volumes, .. } => assert_eq!(volumes, [1, 2, 3].into()),
        e => panic!("{e}"),
    }
}

#[test]
fn pieces_that_fill_the_spool_do_not_block_the_run() {
    let mut world = World::new();
    let mut medium = Medium::new(1, 3);
    let layers: Vec<_> = (0..6).map(|n| medium.layer(n, 4000, &[1, 2])).collect();
    let whole = medium.layer(50, 3000, &[1]);
    medium.image("pieces", "1", &layers);
    medium.image("whole", "1", &[whole]);
    world.spool = 9000;
    let first = world.unpack(&medium.with(&[1])).unwrap();
    assert_eq!(first.done.len(), 1);
    assert_eq!(first.waiting[0].no_room.len(), 4);
    assert!(first.spool_peak <= 9000);
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete() && report.spool_peak <= 9000, "{report:?}");
}

#[test]
fn space_is_checked_before_anything_is_pushed() {
    let mut world = World::new();
    world.registry.free = Some(100);
    assert!(matches!(world.unpack(&sample()), Err(UnpackError::TargetSpace { free: 100, .. })));
    assert_eq!(world.registry.pushes(), 0);
    world.registry.free = None;
    world.with(&sample(), &Silent::new(), |setting, ledger| {
        let mut planned = plan(setting, ledger).unwrap();
        planned.space.spool_free = 10;
        match run(setting, ledger, &planned).unwrap_err().error {
            UnpackError::SpoolSpace { needed, free: 10, .. } => assert!(needed >= 9000),
            e => panic!("{e}"),
        }
    });
}

#[test]
fn a_layout_takes_files_over_and_needs_no_holds() {
    let mut world = World::new();
    world.registry.layout = true;
    let report = world.unpack(&sample().with(&[1])).unwrap();
    assert!(report.holds.is_empty() && !report.is_complete());
    assert!(world.unpack(&sample()).unwrap().is_complete());
    assert_eq!(world.registry.end_state(), undisturbed());
    assert!(world.spool_files().is_empty());
}

#[test]
fn a_spool_file_changed_between_runs_is_read_again() {
    let world = World::new();
    let medium = sample();
    world.unpack(&medium.with(&[1])).unwrap();
    let wide = medium.contents.blobs.iter().find(|b| b.size == 9000).unwrap().digest;
    let name = spool::blob_name(&wide);
    world.spool_dir().open_partial(&name).unwrap().write_all_at(b"!", 0).unwrap();
    let report = world.unpack(&medium.with(&[2, 3])).unwrap();
    assert!(report.damaged.is_empty(), "the medium is not to blame: {report:?}");
    assert!(!report.is_complete());
    assert_eq!(report.volumes_needed, [1].into());
    for volume in [1, 2, 3] {
        world.unpack(&medium.with(&[volume])).unwrap();
    }
    assert_eq!(world.registry.end_state(), undisturbed());
}

/// The default is a part of what is free, and what lies in the spool is not free any more; or a person asks for less the second time.
#[test]
fn a_blob_that_has_its_room_keeps_it_when_the_spool_may_take_less() {
    let mut world = World::new();
    let medium = sample();
    world.unpack(&medium.with(&[1])).unwrap();
    world.spool = 8000;
    for volume in [2, 3, 1] {
        world.unpack(&medium.with(&[volume])).unwrap();
    }
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete() && report.direct.is_empty(), "{report:?}");
    assert_eq!(world.registry.end_state(), undisturbed());
}
