//! Trouble with media and disks on the inside.

use crate::support::inside::{ALL, Home, Outside, Ran, copy, text, volumes};
use crate::support::run::counted;
use crate::support::servers::{DockerRegistry, Options};
use crate::support::skip;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

fn line<'a>(set: &'a Path, to: &'a str) -> [&'a str; 6] {
    ["unpack", text(set), "--to", to, "--dest-tls-verify=false", "--first"]
}

fn registry() -> Option<DockerRegistry> {
    DockerRegistry::start(Options { delete: true, ..Options::default() })
}

/// Runs the program after a shell has prepared a mount name space of its own.
fn run_after(home: &Home, script: &str, folder: &Path, words: &[&str]) -> Option<Ran> {
    let can = Command::new("unshare").args(["-m", "sh", "-ec", "mount -t tmpfs none /mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        skip("nothing can be mounted here");
        return None;
    }
    let script = format!(r#"{script} && exec "$@""#);
    let mut command = home.command("unshare");
    command.args(["-m", "sh", "-ec", &script, text(folder), env!("CARGO_BIN_EXE_sealift")]).args(words);
    Some(Home::ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
}

/// Reads that fail once, at several places: the volume and the bytes are named, all else comes in, the next run completes.
#[test]
fn a_scratch_costs_what_lies_there() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    // Blocks have 1 MiB at least: volumes of several blocks.
    let set = outside.pack("large", &ALL, &["--sequence", "3", "--volume-size", "10MB"]);
    let [volume] = &volumes(&set)[..] else { panic!("one volume") };
    let path = set.join(volume);
    let mut hit = 0;
    for (n, errno) in [(3, "EIO"), (4, "ENODEV"), (5, "EIO")] {
        let inside = outside.inside();
        let prefix = format!("scratch{n}");
        let to = format!("{}/{prefix}", registry.host());
        let ran = inside.run_with(&format!("fail:fs.read {}:{n}:{errno}", path.display()), &line(&set, &to));
        if ran.code == 0 {
            continue;
        }
        hit += 1;
        let ran = ran.exits(13).says(&["MEDIUM_UNREADABLE", volume, "cannot be read", "bytes"]);
        let found = registry.inventory(&prefix);
        assert!(found.tags.len() > found.holds().len() || n == 3, "{}", ran.told());
        inside.run(&line(&set, &to)).exits(0);
        assert_eq!(registry.inventory(&prefix), outside.inventory(&ALL));
    }
    assert!(hit >= 2, "{hit}");
}

/// From the n-th read on nothing of the medium answers.
#[test]
fn an_unplugged_medium_is_named_and_the_next_run_goes_on() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let mut damaged = 0;
    for n in [1, 5, 9, 14, 20, 26] {
        let inside = outside.inside();
        let prefix = format!("gone{n}");
        let to = format!("{}/{prefix}", registry.host());
        let ran = inside.run_with(&format!("fail:fs.read {}:{n}+:EIO", set.display()), &line(&set, &to));
        if ran.code == 0 {
            continue;
        }
        damaged += 1;
        let ran = ran.exits(13).says(&["MEDIUM_UNREADABLE"]);
        assert!(ran.err.contains(text(&set)), "the file is named: {}", ran.told());
        inside.run(&line(&set, &to)).exits(0);
        assert_eq!(registry.inventory(&prefix), outside.inventory(&ALL));
    }
    assert!(damaged >= 4, "{damaged}");
}

/// One of three media goes while it is read; a second run with the same media does the rest.
#[test]
fn one_volume_that_cannot_be_read_leaves_the_others() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let names = volumes(&set);
    let inside = outside.inside();
    let to = format!("{}/one", registry.host());
    let last = names.len() - 2;
    // The first two reads tell that it is the volume.
    let fault = format!("fail:fs.read {}:3+:EIO", set.join(&names[last]).display());
    let ran = inside.run_with(&fault, &line(&set, &to)).exits(13).says(&[&names[last], "MEDIUM_UNREADABLE", "bytes 0 to "]);
    let found = registry.inventory("one");
    assert_eq!(found.tags.get("team/app:1"), Some(&outside.made("team/app:1").root), "{}", ran.told());
    inside.run(&line(&set, &to)).exits(0).says(&["was there: team/app:1"]);
    assert_eq!(registry.inventory("one"), outside.inventory(&ALL));
}

#[test]
fn a_spool_that_is_full_is_named_and_a_small_one_is_got_round() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let spool = inside.path().join("small-disk");
    fs::create_dir(&spool).unwrap();
    let to = format!("{}/spool", registry.host());
    let mount = r#"mount -t tmpfs -o size=300k none "$0""#;
    let with = |more: &[&str]| run_after(&inside, mount, &spool, &[&line(&set, &to)[..], &["--spool", text(&spool)], more].concat());
    let Some(ran) = with(&["--spool-size", "3MB"]) else { return };
    ran.exits(30).says(&["NO_SPACE", text(&spool), "--spool DIR"]);
    assert!(registry.inventory("spool").tags.is_empty());
    let ran = with(&["--spool-size", "100kB"]).unwrap().exits(0);
    assert!(ran.err.contains("goes straight from the medium"), "{}", ran.told());
    assert_eq!(registry.inventory("spool"), outside.inventory(&ALL));
    // What is said of the size is taken from the disk where nothing is said.
    let other = format!("{}/other", registry.host());
    let words = [&line(&set, &other)[..], &["--spool", text(&spool)]].concat();
    run_after(&inside, mount, &spool, &words).unwrap().exits(0);
    assert_eq!(registry.inventory("other"), outside.inventory(&ALL));
}

/// The disk fills up in the middle, whatever was planned.
#[test]
fn a_disk_that_fills_up_is_named() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    for (what, operation) in [("write", "fs.write"), ("ledger", "fs.create")] {
        let inside = outside.inside();
        let to = format!("{}/{what}", registry.host());
        let fault = format!("fail:{operation} {}:2:ENOSPC", inside.state().display());
        inside.run_with(&fault, &line(&set, &to)).exits(30).says(&["NO_SPACE", text(&inside.state())]);
        inside.run(&line(&set, &to)).exits(0);
        assert_eq!(registry.inventory(what), outside.inventory(&ALL));
    }
}

#[test]
fn a_state_folder_nobody_may_write_to_is_named() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    fs::create_dir(inside.state()).unwrap();
    let to = format!("{}/ro", registry.host());
    let mount = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0""#;
    let Some(ran) = run_after(&inside, mount, &inside.state(), &line(&set, &to)) else { return };
    ran.exits(31).says(&["NOT_WRITABLE", text(&inside.state())]);
    assert!(registry.inventory("ro").tags.is_empty());
}

/// A blob that lies on two media, a spool too small for it, and only one of the media here.
#[test]
fn a_spool_too_small_for_parts_says_what_it_would_take() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let to = format!("{}/parts", registry.host());
    let medium = crate::support::inside::medium(&set, &[&volumes(&set)[0]]);
    let words = [&line(medium.path(), &to)[..], &["--spool-size", "100kB"]].concat();
    inside.run(&words).exits(30).says(&["NO_SPACE", "--spool-size"]);
    let whole = copy(&set);
    inside.run(&[&line(whole.path(), &to)[..], &["--spool-size", "100kB"]].concat()).exits(0);
    assert_eq!(registry.inventory("parts"), outside.inventory(&ALL));
}

/// Without spool everything of some size goes straight from the medium: damage and power cuts end as they do on the other road.
#[test]
fn straight_from_the_medium_nothing_wrong_arrives_either() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let names = volumes(&set);
    let spoiled = copy(&set);
    let path = spoiled.path().join(&names[1]);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let direct = |to: &str, folder: &Path| -> Vec<String> {
        let words = [&line(folder, to)[..], &["--spool-size", "0"]].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let run = |home: &Home, fault: &str, words: Vec<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if fault.is_empty() { home.run(&words) } else { home.run_with(fault, &words) }
    };
    let inside = outside.inside();
    let to = format!("{}/direct", registry.host());
    run(&inside, "", direct(&to, spoiled.path())).exits(13).says(&["CONTENT_DAMAGED", &names[1]]);
    let found = registry.inventory("direct");
    assert!(!found.tags.contains_key("team/app:1") && found.tags.contains_key("legacy:v1"), "{:?}", found.tags);
    run(&inside, "", direct(&to, &set)).exits(0);
    assert_eq!(registry.inventory("direct"), outside.inventory(&ALL));
    for n in [2, 6, 11, 17, 24, 33] {
        let inside = outside.inside();
        let prefix = format!("cut{n}");
        let to = format!("{}/{prefix}", registry.host());
        // What is mounted and what is sent again is not the same in every run, and so are not the requests it takes.
        let log = inside.path().join("reached");
        let ran = run(&inside, &format!("count:{};kill:http P:{n}", text(&log)), direct(&to, &set));
        ran.exits(if counted(&log, "http P").len() < n { 0 } else { -1 });
        run(&inside, "", direct(&to, &set)).exits(0);
        assert_eq!(registry.inventory(&prefix), outside.inventory(&ALL), "{n}");
    }
}

/// The file of a receipt cannot be written: told before the night where that can be known, and after it nothing of the rest is lost.
#[test]
fn a_receipt_file_that_cannot_be_written_costs_no_other_receipt() {
    let Some(registry) = registry() else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let to = format!("{}/receipt", registry.host());
    let with = |file: &Path, fault: &str| inside.run_with(fault, &[&line(&set, &to)[..], &["--receipt", text(file)]].concat());
    let nowhere = inside.path().join("nowhere");
    with(&nowhere.join("r.json"), "fail:none:1:EIO").exits(2).says(&["FILE_MISSING", text(&nowhere)]);
    assert!(registry.inventory("receipt").tags.is_empty());
    let full = inside.path().join("full");
    fs::create_dir(&full).unwrap();
    with(&full.join("r.json"), &format!("fail:fs.create {}:1+:ENOSPC", text(&full))).exits(30).says(&["NO_SPACE", text(&full)]);
    let check = ["check", "--to", &to, "--dest-tls-verify=false"];
    inside.run(&check).exits(0).never_says("this host has no receipts");
    Home::new().run(&check).exits(0).says(&["this host has no receipts"]);
}
