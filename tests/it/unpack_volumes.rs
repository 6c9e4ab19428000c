//! Volumes that come one at a time, in any order, from media nobody can write to.

use crate::support::inside::{ALL, Home, Outside, Ran, medium, text, volumes};
use crate::support::servers::{DockerRegistry, Options};
use crate::support::skip;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Runs the program where this folder is mounted read-only.
fn run_read_only(home: &Home, folder: &Path, words: &[&str]) -> Ran {
    let script = r#"mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@""#;
    let mut command = home.command("unshare");
    command.args(["-m", "sh", "-ec", script, text(folder), env!("CARGO_BIN_EXE_sealift")]).args(words);
    Home::ended(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap())
}

/// Whether this user may mount.
fn can_mount() -> bool {
    let temp = tempfile::tempdir().unwrap();
    let script = r#"mount --bind "$0" "$0""#;
    let tried = Command::new("unshare").args(["-m", "sh", "-ec", script, text(temp.path())]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        skip("nothing can be mounted here");
    }
    can
}

/// Names of the volumes that hold something no document of the set holds.
fn needed(home: &Home, set: &Path, to: &str) -> BTreeSet<String> {
    let plan = home.run(&["unpack", text(set), "--to", to, "--dest-tls-verify=false", "--first", "--dry-run", "--json"]).exits(0).json();
    plan["plans"][0]["volumes"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect()
}

/// Brings the volumes in this order, one per run, with the registry's garbage collected in between.
fn one_by_one(registry: &DockerRegistry, outside: &Outside, set: &Path, prefix: &str, order: &[String]) -> u64 {
    let inside = outside.inside();
    let to = format!("{}/{prefix}", registry.host());
    let mut open = needed(&inside, set, &to);
    let (mut uploaded, mut held) = (0, 0);
    for (at, name) in order.iter().enumerate() {
        let medium = medium(set, &[name]);
        open.remove(name);
        let line = ["unpack", text(medium.path()), "--to", &to, "--dest-tls-verify=false", "--json"];
        let first: &[&str] = if at == 0 { &["--first"] } else { &[] };
        let ran = run_read_only(&inside, medium.path(), &[&line[..], first].concat());
        let ran = ran.exits(if open.is_empty() { 0 } else { 3 });
        let report = &ran.json()["sets"][0];
        let next: BTreeSet<String> = report["bringNext"].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect();
        assert_eq!(next, open, "{}", ran.told());
        uploaded += report["uploaded"].as_u64().unwrap();
        let found = registry.inventory(prefix);
        let holds: BTreeSet<String> = found.holds().into_iter().map(str::to_owned).collect();
        let said: BTreeSet<String> = report["holds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|h| h.as_str().unwrap().trim_start_matches(&format!("{prefix}/")).to_owned())
            .collect();
        assert!(said.is_subset(&holds), "{said:?} {holds:?}");
        held = held.max(said.len());
        registry.collect_garbage();
    }
    assert!(held > 0, "something arrived before its image was whole");
    uploaded
}

/// Uploads of one run that has everything.
fn all_at_once(registry: &DockerRegistry, outside: &Outside, set: &Path) -> u64 {
    let to = format!("{}/once", registry.host());
    let inside = outside.inside();
    let ran = inside.run(&["unpack", text(set), "--to", &to, "--dest-tls-verify=false", "--first", "--json"]).exits(0);
    assert_eq!(registry.inventory("once"), outside.inventory(&ALL));
    ran.json()["sets"][0]["uploaded"].as_u64().unwrap()
}

#[test]
fn any_order_ends_where_one_run_ends() {
    if !can_mount() {
        return;
    }
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let names = volumes(&set);
    assert!(names.len() > 5, "{names:?}");
    let once = all_at_once(&registry, &outside, &set);
    let backwards: Vec<String> = names.iter().rev().cloned().collect();
    let mixed: Vec<String> = (0..names.len()).map(|i| names[(i * 3 + 1) % names.len()].clone()).collect();
    let mixed = if mixed.iter().collect::<BTreeSet<_>>().len() == names.len() { mixed } else { names.clone() };
    for (prefix, order) in [("back", backwards), ("mixed", mixed)] {
        let uploaded = one_by_one(&registry, &outside, &set, prefix, &order);
        assert_eq!(registry.inventory(prefix), outside.inventory(&ALL));
        assert!(uploaded <= once + 6, "{uploaded} uploads where {once} do: what was collected came again");
    }
}

#[test]
fn a_registry_that_deletes_nothing_keeps_empty_holds() {
    if !can_mount() {
        return;
    }
    let Some(registry) = DockerRegistry::start(Options::default()) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let order: Vec<String> = volumes(&set).into_iter().rev().collect();
    one_by_one(&registry, &outside, &set, "kept", &order);
    let found = registry.inventory("kept");
    let wanted = outside.inventory(&ALL);
    assert!(!found.holds().is_empty());
    for (name, digest) in &found.tags {
        if wanted.tags.contains_key(name) {
            assert_eq!(Some(digest), wanted.tags.get(name));
            continue;
        }
        let hex = digest.strip_prefix("sha256:").unwrap();
        let path = registry.data().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
        let hold: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(hold["layers"], Value::Array(vec![]), "{name}");
    }
    let real: usize = found.tags.keys().filter(|name| wanted.tags.contains_key(*name)).count();
    assert_eq!((real, &found.blobs), (ALL.len(), &wanted.blobs));
}

#[test]
fn a_folder_without_volumes_names_them_all() {
    let Some(registry) = DockerRegistry::start(Options { access_log: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let to = format!("{}/none", registry.host());
    let all = needed(&inside, &set, &to);
    let empty = medium(&set, &[]);
    let ran = inside.run(&["unpack", text(empty.path()), "--to", &to, "--dest-tls-verify=false", "--first"]).exits(3);
    assert_eq!(ran.bring_next().into_iter().collect::<BTreeSet<_>>(), all);
    let ran = ran.says(&["MEDIA_AWAITED", "team/app:1"]);
    let found = registry.inventory("none");
    assert_eq!(found.tags.len(), found.holds().len(), "only holds of what lies in the documents: {}", ran.told());
    // One volume named as a file, its documents beside it.
    let last = volumes(&set).pop().unwrap();
    let file = set.join(&last);
    let ran = inside.run(&["unpack", text(&file), "--to", &to, "--dest-tls-verify=false"]).exits(3);
    assert!(!ran.bring_next().contains(&last), "{}", ran.told());
}

/// Whoever wants one image is asked only for its volumes.
#[test]
fn only_the_volumes_of_the_wanted_images_are_asked_for() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let to = format!("{}/few", registry.host());
    let last = volumes(&set).pop().unwrap();
    let folder = medium(&set, &[&last]);
    let line = ["unpack", text(folder.path()), "--to", &to, "--dest-tls-verify=false", "--first", "--image"];
    inside.run(&[&line[..], &["art/sbom:1"]].concat()).exits(0);
    assert_eq!(registry.inventory("few"), outside.inventory(&["art/sbom:1"]));
    let ran = inside.run(&[&line[..], &["legacy:v1"]].concat()).exits(3);
    assert!(ran.bring_next().len() == 1 && ran.err.contains("legacy:v1"), "{}", ran.told());
}

/// Sets of two streams lie in one folder.
#[test]
fn streams_in_one_folder_are_kept_apart() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.pack("mixed", &["legacy:v1"], &["--sequence", "9", "--stream", "ocp4"]);
    outside.pack("mixed", &["plain:1"], &["--sequence", "9", "--stream", "tools"]);
    let inside = outside.inside();
    let to = format!("{}/streams", registry.host());
    let line = ["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"];
    inside.run(&[&line[..], &["--stream", "nothing"]].concat()).exits(12);
    inside.run(&[&line[..], &["--stream", "tools"]].concat()).exits(0);
    assert_eq!(registry.inventory("streams"), outside.inventory(&["plain:1"]));
    inside.run(&line).exits(0).says(&["pushed: legacy:v1", "was there: plain:1"]);
    assert_eq!(registry.inventory("streams"), outside.inventory(&["plain:1", "legacy:v1"]));
    // Whoever is trusted for one stream only brings that one in, and the other is told of.
    let half = crate::support::inside::Home::new();
    half.trust("stream:tools", &outside.key);
    let to = format!("{}/half", registry.host());
    let ran = half.run(&["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"]).exits(0).says(&["is ignored", "ocp4"]);
    assert_eq!(registry.inventory("half"), outside.inventory(&["plain:1"]), "{}", ran.told());
}
