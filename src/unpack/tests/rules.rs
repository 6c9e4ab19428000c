//! Rules: rollback, damage, incomplete indexes, holds, refusals.

use super::*;
use crate::format::{Completeness, Standing};
use crate::ledger::LedgerError;
use crate::oci::keep_tag;

fn version(sequence: u64, seed: u8) -> Medium {
    let mut medium = Medium::new(sequence, 1);
    let layer = medium.layer(seed, 2000, &[1]);
    medium.image("app", "latest", &[layer]);
    medium
}

#[test]
fn older_set_moves_no_tag_but_brings_its_content() {
    let world = World::new();
    world.unpack(&version(6, 6)).unwrap();
    let newest = world.registry.tag_of("app", "latest").unwrap();
    let report = world.unpack(&version(5, 5)).unwrap();
    assert_eq!(report.standing, Standing::Older { newest: 6 });
    assert_eq!(world.registry.tag_of("app", "latest"), Some(newest));
    let old = report.skipped_tags[0].digest;
    assert_eq!((report.skipped_tags[0].newer, world.registry.tag_of("app", &keep_tag(&old))), (6, Some(old)));
    assert!(!report.is_complete());
    assert_eq!(report.receipt.skipped_tags, report.skipped_tags);
    world.registry.pushes();
    world.unpack(&version(5, 5)).unwrap();
    assert_eq!(world.registry.pushes(), 0);
    assert!(world.unpack(&version(7, 7)).unwrap().is_complete());
    assert_ne!(world.registry.tag_of("app", "latest"), Some(newest));
}

#[test]
fn an_older_set_with_the_same_image_skips_nothing() {
    let world = World::new();
    world.unpack(&version(6, 6)).unwrap();
    assert!(world.unpack(&version(5, 6)).unwrap().is_complete());
    let report = world.unpack(&version(4, 4)).unwrap();
    assert_eq!(report.skipped_tags[0].newer, 6, "the older set did not take the tag over");
}

#[test]
fn fork_of_a_sequence_is_refused_and_the_first_set_needs_a_word() {
    let mut world = World::new();
    world.options.first = false;
    assert!(matches!(world.unpack(&version(6, 6)), Err(UnpackError::Ledger(LedgerError::First { no_ledger: true, .. }))));
    world.options.first = true;
    world.unpack(&version(6, 6)).unwrap();
    world.registry.pushes();
    assert!(matches!(world.unpack(&version(6, 7)), Err(UnpackError::Ledger(LedgerError::Fork(_)))));
    assert_eq!(world.registry.pushes(), 0);
    world.options.first = false;
    world.unpack(&version(7, 7)).unwrap();
}

#[test]
fn a_fork_is_seen_even_when_the_first_run_failed_at_once() {
    let world = World::new();
    world.with(&version(6, 6), &Silent::new(), |setting, ledger| {
        let planned = plan(setting, ledger).unwrap();
        world.registry.dies_at.store(0, std::sync::atomic::Ordering::SeqCst);
        assert!(run(setting, ledger, &planned).is_err());
    });
    world.registry.revive();
    assert!(matches!(world.unpack(&version(6, 7)), Err(UnpackError::Ledger(LedgerError::Fork(_)))));
}

#[test]
fn a_plan_serves_only_its_own_set() {
    let world = World::new();
    let planned = world.plan(&version(1, 1)).unwrap();
    world.with(&version(2, 2), &Silent::new(), |setting, ledger| {
        assert!(matches!(run(setting, ledger, &planned).unwrap_err().error, UnpackError::OtherPlan { .. }));
    });
}

#[test]
fn a_plan_kept_until_a_newer_set_came_moves_no_tag_back() {
    let world = World::new();
    let kept = world.plan(&version(5, 5)).unwrap();
    world.unpack(&version(6, 6)).unwrap();
    let newest = world.registry.tag_of("app", "latest");
    world.with(&version(5, 5), &Silent::new(), |setting, ledger| {
        assert!(matches!(run(setting, ledger, &kept).unwrap_err().error, UnpackError::StalePlan { .. }));
    });
    assert_eq!(world.registry.tag_of("app", "latest"), newest);
}

#[test]
fn damage_costs_only_the_images_that_touch_it() {
    let world = World::new();
    let mut medium = sample();
    let wide = medium.contents.blobs.iter().find(|b| b.size == 9000).unwrap().digest;
    medium.damaged.insert((wide, 2));
    let report = world.unpack(&medium).unwrap();
    assert_eq!(report.done.iter().map(|d| format!("{}:{}", d.repository, d.tag)).collect::<Vec<_>>(), ["a/app:1", "b/multi:latest"]);
    assert_eq!((report.damaged.len(), report.damaged[0].volume, report.damaged[0].trouble), (1, 2, MediaTrouble::Damaged));
    assert_eq!(report.damaged[0].images, ["a/app:2", "c/catalog:v1"]);
    assert!(report.waiting.iter().all(|w| w.damaged.contains(&wide)) && report.waiting.len() == 2);
    assert!(!report.holds.is_empty());
    world.registry.collect_garbage();
    assert!(world.unpack(&sample().with(&[2])).unwrap().is_complete(), "only the damaged part is read from the good copy");
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn an_unreadable_volume_leaves_the_others() {
    let world = World::new();
    let mut medium = sample();
    medium.dead.insert(1);
    let report = world.unpack(&medium).unwrap();
    assert!(!report.is_complete() && report.damaged.iter().all(|d| d.volume == 1 && d.trouble == MediaTrouble::Unreadable));
    assert!(world.unpack(&sample().with(&[1])).unwrap().is_complete());
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn a_set_that_contradicts_itself_reaches_no_target() {
    for small in [10, 1000, 100_000] {
        for spool in [0, 100_000] {
            let mut world = World::new();
            (world.options.small, world.memory, world.spool) = (small, 50_000, spool);
            let mut medium = sample();
            medium.lying = medium.contents.blobs.iter().filter(|b| b.inline.is_none()).map(|b| b.digest).collect();
            let report = world.unpack(&medium).unwrap();
            assert!(report.done.is_empty());
            assert_eq!(report.damaged.len(), 5, "{small} {spool} {report:?}");
            assert!(report.damaged.iter().all(|d| d.trouble == MediaTrouble::Damaged));
        }
    }
}

fn sparse(asked: &[&str]) -> (Medium, Digest) {
    let mut medium = Medium::new(1, 1);
    let layer = medium.layer(1, 2000, &[1]);
    let members: Vec<_> =
        ["linux/amd64", "linux/arm64", "linux/s390x"].map(|p| (medium.manifest(p, std::slice::from_ref(&layer)), p)).into();
    let single = members[0].0.digest;
    let root = medium.index_image("multi", "1", &members, asked);
    let absent = members.iter().filter(|(_, p)| !asked.contains(p)).map(|(d, _)| d.digest).collect::<Vec<_>>();
    medium.contents.manifests.retain(|m| !absent.contains(&m.digest));
    assert_eq!(medium.contents.images[0].root.digest, root);
    (medium, single)
}

use crate::digest::Digest;

#[test]
fn an_incomplete_index_is_pushed_where_it_is_taken() {
    let mut world = World::new();
    world.registry.sparse = true;
    let (medium, _) = sparse(&["linux/amd64", "linux/arm64"]);
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete() && report.done[0].completeness == Completeness::Sparse);
    assert_eq!(world.registry.tag_of("multi", "1"), Some(medium.contents.images[0].root.digest));
    world.registry.pushes();
    assert!(world.unpack(&medium).unwrap().is_complete());
    assert_eq!(world.registry.pushes(), 0);
}

#[test]
fn an_incomplete_index_that_is_refused_gives_its_tag_to_the_only_member() {
    let world = World::new();
    let (medium, single) = sparse(&["linux/amd64"]);
    let report = world.unpack(&medium).unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(world.registry.tag_of("multi", "1"), Some(single));
    assert_eq!(report.receipt.images[0].completeness, Completeness::SingleMember { member: single });
    assert!(!report.receipt.holds(None, &medium.contents.images[0].root.digest));
    world.registry.pushes();
    let again = world.unpack(&medium).unwrap();
    assert_eq!((world.registry.pushes(), &again.receipt.images), (0, &report.receipt.images));
}

#[test]
fn an_incomplete_index_of_several_that_is_refused_is_an_error_of_that_image() {
    let world = World::new();
    let (medium, _) = sparse(&["linux/amd64", "linux/arm64"]);
    let report = world.unpack(&medium).unwrap();
    assert!(matches!(&report.failed[0].error, ImageError::SparseRefused { absent: 1, .. }), "{report:?}");
    assert_eq!(world.registry.tag_of("multi", "1"), None);
}

#[test]
fn holds_keep_early_blobs_and_go_away() {
    for (deletes, immutable) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut world = World::new();
        (world.registry.deletes, world.registry.immutable) = (deletes, immutable);
        let first = world.unpack(&sample().with(&[2])).unwrap();
        assert!(!first.holds.is_empty());
        // Where no tag moves, holds written on the way stay beside the last ones until all is in.
        assert!(first.holds.len() == world.registry.holds().len() || immutable, "{:?}", first.holds);
        world.registry.collect_garbage();
        let planned = world.plan(&sample().with(&[2])).unwrap();
        assert!(!planned.volumes.iter().any(|v| v.number == 2), "what was pushed early is still there");
        world.unpack(&sample().with(&[1])).unwrap();
        world.registry.collect_garbage();
        let last = world.unpack(&sample().with(&[3])).unwrap();
        assert!(last.is_complete() && last.holds.is_empty());
        assert_eq!(world.registry.holds().is_empty(), deletes, "{deletes} {immutable}");
        assert_eq!(last.warnings.is_empty(), deletes || !immutable, "{:?}", last.warnings);
        if !deletes && !immutable {
            world.registry.collect_garbage();
            let inner = world.registry.inner.lock().unwrap();
            let held = |(repo, tags): (&String, &std::collections::BTreeMap<String, Digest>)| {
                let hold = tags.iter().find(|(t, _)| t.starts_with("sealift-hold-"));
                hold.map(|(_, d)| String::from_utf8(inner.manifests[repo][d].1.clone()).unwrap())
            };
            assert!(inner.tags.iter().filter_map(held).all(|m| m.contains("\"layers\":[]")));
        }
    }
}

/// Another host brings its volume after this one has asked what is there: neither lets go what only the other knows of.
#[test]
fn holds_of_two_hosts_keep_what_both_have_brought() {
    let (world, mut other) = (World::new(), World::new());
    other.options.host = "0b".into();
    let medium = sample();
    world.with(&medium.with(&[1]), &Silent::new(), |setting, ledger| {
        let planned = plan(setting, ledger).unwrap();
        let there = medium.with(&[2]);
        other.with(&there, &Silent::new(), |far, ledger| {
            let far = Setting { target: setting.target, ..*far };
            run(&far, ledger, &plan(&far, ledger).unwrap()).unwrap();
        });
        run(setting, ledger, &planned).unwrap();
    });
    world.registry.collect_garbage();
    // Whole in the second volume, and needed by an image that waits for the third.
    let brought = medium.contents.blobs.iter().find(|b| b.size == 5000).unwrap().digest;
    let there = world.registry.inner.lock().unwrap().blobs["b/multi"].contains_key(&brought);
    assert!(there, "what the other host brought is still there");
    assert!(world.unpack(&medium).unwrap().is_complete());
    assert_eq!(world.registry.end_state(), undisturbed());
}

/// A run of `host` into the registry of `world`, with the state folder of its own.
fn run_as(host: &World, world: &World, medium: &Medium) -> UnpackReport {
    host.with(medium, &Silent::new(), |own, ledger| {
        let setting = Setting { target: &world.registry, ..*own };
        run(&setting, ledger, &plan(&setting, ledger).unwrap()).unwrap()
    })
}

/// Tag and digest of all holds, by repository.
fn holds_of(world: &World) -> Vec<(String, String, Digest)> {
    let inner = world.registry.inner.lock().unwrap();
    let of = |(repo, tags): (&String, &std::collections::BTreeMap<String, Digest>)| {
        let holds = tags.iter().filter(|(tag, _)| tag.starts_with("sealift-hold-"));
        holds.map(|(tag, digest)| (repo.clone(), tag.clone(), *digest)).collect::<Vec<_>>()
    };
    inner.tags.iter().flat_map(of).collect()
}

#[test]
fn nobody_writes_over_another_hosts_hold() {
    let (world, mut one, mut two) = (World::new(), World::new(), World::new());
    (one.options.host, two.options.host) = ("0a".into(), "0b".into());
    run_as(&one, &world, &sample().with(&[2]));
    let first = holds_of(&world);
    assert!(!first.is_empty() && first.iter().all(|(_, tag, _)| tag.contains("-0a-")), "{first:?}");
    // The same volume by another host: the same blobs, and still two holds, of two digests.
    run_as(&two, &world, &sample().with(&[2]));
    let both = holds_of(&world);
    assert!(first.iter().all(|hold| both.contains(hold)), "{both:?}");
    let digests: std::collections::BTreeSet<_> = both.iter().map(|(repo, _, digest)| (repo, digest)).collect();
    assert_eq!((both.len(), digests.len()), (2 * first.len(), 2 * first.len()), "{both:?}");
    // One lets its own go in what it completes. What names only whole images by then goes too, whoever put it.
    assert!(run_as(&two, &world, &sample()).is_complete());
    assert_eq!(holds_of(&world), []);
    assert_eq!(world.registry.end_state(), undisturbed());
}

/// A spool that was removed, or lies elsewhere now, takes the note about holds with it.
#[test]
fn holds_that_are_not_noted_any_more_go_with_the_images_they_were_for() {
    let (world, mut host) = (World::new(), World::new());
    host.options.host = "0a".into();
    run_as(&host, &world, &sample().with(&[2]));
    assert!(!holds_of(&world).is_empty());
    assert_eq!(host.spool_files().iter().filter(|name| *name == "holds").count(), 1);
    for name in host.spool_files() {
        host.spool_dir().remove(&name).unwrap();
    }
    assert!(run_as(&host, &world, &sample()).is_complete());
    assert_eq!(holds_of(&world), []);
    assert_eq!(world.registry.end_state(), undisturbed());
    assert!(host.spool_files().is_empty(), "{:?}", host.spool_files());
}

#[test]
fn a_hold_that_names_what_no_whole_image_names_stays_when_others_push() {
    let (world, mut one, mut two) = (World::new(), World::new(), World::new());
    (one.options.host, two.options.host) = ("0a".into(), "0b".into());
    run_as(&one, &world, &sample().with(&[2]));
    let first = holds_of(&world);
    // A run for one image completes it; what waits for the others stays held for the host that brought it.
    two.options.select = vec!["a/app:1".into()];
    run_as(&two, &world, &sample());
    world.registry.collect_garbage();
    let after = holds_of(&world);
    assert!(first.iter().filter(|hold| hold.0 != "a/app").all(|hold| after.contains(hold)), "{first:?} {after:?}");
    // The host itself comes again, and all of it goes.
    assert!(run_as(&one, &world, &sample()).is_complete());
    assert_eq!(holds_of(&world), []);
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn what_is_no_hold_of_this_host_stays_under_its_tag() {
    let (world, mut one, mut copy) = (World::new(), World::new(), World::new());
    (one.options.host, copy.options.host) = ("0a".into(), "0b".into());
    run_as(&copy, &world, &sample().with(&[2]));
    // Under the first host's tags lies what another put there.
    let theirs: Vec<_> = {
        let mut inner = world.registry.inner.lock().unwrap();
        for tags in inner.tags.values_mut() {
            *tags = tags.iter().map(|(tag, digest)| (tag.replace("-0b-", "-0a-"), *digest)).collect();
        }
        inner.tags.clone().into_iter().collect()
    };
    let report = run_as(&one, &world, &sample().with(&[2]));
    assert!(report.holds.iter().all(|tag| tag.ends_with("-0a-2")) && !report.holds.is_empty(), "{:?}", report.holds);
    for (repo, tags) in &theirs {
        for (tag, digest) in tags.iter().filter(|(tag, _)| tag.starts_with("sealift-hold-")) {
            assert_eq!(world.registry.tag_of(repo, tag), Some(*digest), "{repo}:{tag}");
        }
    }
}

#[test]
fn what_is_left_is_held_when_some_of_it_was_collected() {
    let world = World::new();
    let medium = sample();
    let first = world.unpack(&medium.with(&[2])).unwrap();
    let lost = medium.contents.blobs.iter().find(|b| b.size == 5000).unwrap().digest;
    world.with(&medium.with(&[]), &Silent::new(), |setting, ledger| {
        let planned = plan(setting, ledger).unwrap();
        world.registry.inner.lock().unwrap().blobs.get_mut("a/app").unwrap().remove(&lost);
        world.registry.inner.lock().unwrap().tags.values_mut().for_each(|t| t.clear());
        let report = run(setting, ledger, &planned).unwrap();
        assert_eq!(report.holds, first.holds);
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    });
    assert!(world.unpack(&medium).unwrap().is_complete());
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn a_registry_without_artifacts_gets_no_hold_and_a_warning() {
    let mut world = World::new();
    world.registry.artifacts = false;
    let report = world.unpack(&sample().with(&[2])).unwrap();
    assert!(report.holds.is_empty() && !report.warnings.is_empty());
    world.registry.collect_garbage();
    assert!(world.unpack(&sample()).unwrap().is_complete(), "what was collected is brought again");
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn what_the_registry_lost_after_the_plan_is_brought_again() {
    let mut world = World::new();
    world.registry.mounts = false;
    world.unpack(&sample().with(&[1, 2])).unwrap();
    for volumes in [&[3][..], &[1, 2, 3]] {
        world.with(&sample().with(volumes), &Silent::new(), |setting, ledger| {
            let planned = plan(setting, ledger).unwrap();
            world.registry.inner.lock().unwrap().tags.values_mut().for_each(|t| t.retain(|t, _| !t.starts_with("sealift-hold")));
            world.registry.collect_garbage();
            let report = run(setting, ledger, &planned).unwrap();
            assert_eq!(report.is_complete(), volumes.len() == 3, "{report:?}");
            assert!(report.failed.is_empty() && (report.is_complete() || report.volumes_needed.contains(&1)));
        });
    }
    assert_eq!(world.registry.end_state(), undisturbed());
}

#[test]
fn late_images_wait_for_all_others() {
    let world = World::new();
    let mut medium = sample();
    let own = medium.contents.blobs.iter().find(|b| b.size == 5000).unwrap().digest;
    medium.damaged.insert((own, 2));
    let report = world.unpack(&medium).unwrap();
    let late = report.waiting.iter().find(|w| w.repository == "c/catalog").unwrap();
    assert!(late.for_others && world.registry.tag_of("c/catalog", "v1").is_none());
    assert!(world.unpack(&sample()).unwrap().is_complete());
}

#[test]
fn a_refused_repository_fails_its_images_alone() {
    let mut world = World::new();
    (world.registry.closed, world.registry.mounts) = (Some("b/multi"), false);
    let report = world.unpack(&sample()).unwrap();
    assert_eq!(report.failed.iter().map(|f| f.repository.as_str()).collect::<Vec<_>>(), ["b/multi"]);
    assert_eq!(report.done.len(), 2);
    assert!(report.waiting.iter().all(|w| w.for_others));
}

#[test]
fn what_the_registry_fails_at_costs_its_images_alone() {
    let mut world = World::new();
    (world.registry.closed, world.registry.closed_as, world.registry.mounts) = (Some("b/multi"), TargetTrouble::Failing, false);
    let report = world.unpack(&sample()).unwrap();
    assert_eq!(report.failed.iter().map(|f| f.repository.as_str()).collect::<Vec<_>>(), ["b/multi"]);
    assert_eq!(report.done.len(), 2);
}

#[test]
fn questions_the_registry_fails_at_do_not_end_the_plan_but_many_in_a_row_do() {
    let world = World::new();
    world.registry.questions_fail.store(7, std::sync::atomic::Ordering::SeqCst);
    let report = world.unpack(&sample()).unwrap();
    assert!(report.is_complete(), "{report:?}");
    let mut world = World::new();
    world.options.probes = 1;
    world.registry.questions_fail.store(usize::MAX, std::sync::atomic::Ordering::SeqCst);
    let error = world.unpack(&many(true)).unwrap_err();
    assert!(matches!(&error, UnpackError::Target { error, .. } if error.trouble == TargetTrouble::Failing), "{error}");
    let asked = usize::MAX - world.registry.questions_fail.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(asked, 8);
}

/// Twenty images of one layer each, in repositories of their own or all in one.
fn many(apart: bool) -> Medium {
    let mut medium = Medium::new(1, 1);
    for n in 0..20 {
        let layer = medium.layer(n, 1500, &[1]);
        let repository = if apart { format!("r{n}") } else { "one".to_owned() };
        medium.image(&repository, &format!("t{n}"), &[layer]);
    }
    medium
}

#[test]
fn a_registry_out_of_order_ends_the_run() {
    let mut world = World::new();
    (world.registry.closed, world.registry.closed_as) = (Some("*"), TargetTrouble::Failing);
    let error = world.unpack(&many(true)).unwrap_err();
    assert!(matches!(&error, UnpackError::Target { error, .. } if error.trouble == TargetTrouble::Failing), "{error}");
    let refusals = world.registry.refusals.load(std::sync::atomic::Ordering::SeqCst);
    assert!((8..8 + world.options.uploads).contains(&refusals), "{refusals}");
}

#[test]
fn a_closed_repository_is_not_asked_for_every_image() {
    let mut world = World::new();
    (world.registry.closed, world.registry.closed_as, world.options.uploads) = (Some("one"), TargetTrouble::Closed, 1);
    let report = world.unpack(&many(false)).unwrap();
    assert_eq!(report.failed.len(), 20);
    assert_eq!(world.registry.refusals.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[test]
fn immutable_tags_that_are_right_are_left_and_others_fail() {
    let mut world = World::new();
    world.registry.immutable = true;
    world.unpack(&version(1, 1)).unwrap();
    assert!(world.unpack(&version(1, 1)).unwrap().is_complete());
    let report = world.unpack(&version(2, 2)).unwrap();
    assert!(matches!(&report.failed[0].error, ImageError::Target { error, .. } if error.trouble == TargetTrouble::ImmutableTag));
}
