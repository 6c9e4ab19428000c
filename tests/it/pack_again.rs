//! The same plan gives the same bytes, whoever packs it, however often, on however many cores.

use crate::support::fleet::{Fleet, layout};
use crate::support::run::{Ran, User, assert_same, files, finish};
use std::fs;
use std::path::Path;

const EPOCH: (&str, &str) = ("SOURCE_DATE_EPOCH", "1767225600");

fn pack(user: &User, by: &[&str], line: &str) {
    let mut command = user.wrapped(by);
    command.args(format!("pack plan.json --key site --src-tls-verify=false {line}").split(' ')).env(EPOCH.0, EPOCH.1);
    finish(command).expect(0);
}

fn planned(fleet: &Fleet, user: &User) {
    let line = format!("plan {} --src-tls-verify=false --volume-size 300KB --label a=b --audience lab -o plan.json", fleet.words());
    user.run_with(&[EPOCH], &line).expect(0);
}

fn volumes(dir: &Path) -> Vec<Vec<u8>> {
    files(dir).into_iter().filter(|(name, _)| name.ends_with(".tar.zst")).map(|(_, bytes)| bytes).collect()
}

#[test]
fn cores_parallelism_workspaces_and_people_do_not_change_a_byte() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    planned(&fleet, &user);
    pack(&user, &["taskset", "-c", "0"], "--parallel 1 --workspace W1 OUT1");
    let first = files(&user.at("OUT1"));
    assert!(first.len() >= 14, "volumes, two copies of the documents, README: {:?}", first.keys());
    pack(&user, &[], "--parallel 8 --workspace W2 OUT2");
    assert_same(&files(&user.at("OUT2")), &first, "another workspace, all cores");
    pack(&user, &[], "--parallel 3 --workspace W1 OUT3");
    assert_same(&files(&user.at("OUT3")), &first, "a warm workspace");
    pack(&user, &[], "--workspace W1 OUT1");
    assert_same(&files(&user.at("OUT1")), &first, "over itself");
    let second = user.twin();
    fs::copy(user.at("plan.json"), second.at("plan.json")).unwrap();
    pack(&second, &["taskset", "-c", "1"], "OUT");
    assert_same(&files(&second.at("OUT")), &first, "a second person with the same key");
}

#[test]
fn planning_twice_gives_one_plan() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    planned(&fleet, &user);
    let first = fs::read(user.at("plan.json")).unwrap();
    planned(&fleet, &user);
    assert_eq!(fs::read(user.at("plan.json")).unwrap(), first);
}

#[test]
fn volumes_know_neither_sequence_nor_date() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    planned(&fleet, &user);
    pack(&user, &[], "--sequence 5 OUT5");
    let mut later = user.sealift();
    later.args("pack plan.json --key site --src-tls-verify=false --sequence 6 OUT6".split(' ')).env(EPOCH.0, "1777777777");
    finish(later).expect(0);
    let (five, six) = (files(&user.at("OUT5")), files(&user.at("OUT6")));
    assert_eq!(volumes(&user.at("OUT5")), volumes(&user.at("OUT6")));
    assert_eq!(five["default-5.contents.json.zst"], six["default-6.contents.json.zst"]);
    assert_ne!(five["default-5.index.json"], six["default-6.index.json"]);
}

/// Two images in one layout, and the tag that a person moves from one to the other and back.
fn tagged(user: &User, image: &str) {
    let _ = fs::remove_dir_all(user.at("rev"));
    layout(&user.at("rev"), "v1");
    if image == "B" {
        let index = user.at("rev/index.json");
        let text = fs::read_to_string(&index).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let digest = manifest["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let (name, size) = other(user, digest.trim_start_matches("sha256:"));
        let old = manifest["manifests"][0]["size"].to_string();
        fs::write(&index, text.replace(&digest, &name).replace(&format!("\"size\":{old}"), &format!("\"size\":{size}"))).unwrap();
    }
}

/// The same manifest with a note in it, beside the first.
fn other(user: &User, hex: &str) -> (String, usize) {
    let blobs = user.at("rev/blobs/sha256");
    let mut manifest: serde_json::Value = serde_json::from_slice(&fs::read(blobs.join(hex)).unwrap()).unwrap();
    manifest["annotations"] = serde_json::json!({ "note": "another" });
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = sealift::digest::Digest::sha256(&bytes).to_string();
    fs::write(blobs.join(digest.trim_start_matches("sha256:")), &bytes).unwrap();
    (digest, bytes.len())
}

fn revision(user: &User, more: &str, second: &str) -> Ran {
    user.run_with(&[(EPOCH.0, second)], &format!("pack oci:rev:v1 --stream rev --key site {more}"))
}

#[test]
fn going_back_on_purpose_gives_a_newer_set() {
    let user = User::with_key();
    tagged(&user, "A");
    revision(&user, "OUT0", "1000").expect(0);
    assert!(user.at("OUT0/rev-1000.index.json.sig").exists());
    tagged(&user, "B");
    revision(&user, "OUT1", "2000").expect(0);
    tagged(&user, "A");
    let back = revision(&user, "OUT2", "3000").expect(0);
    assert!(back.out.contains("set rev-3000:"), "{back:?}");
    assert!(back.out.contains("rev-1000") && back.out.contains("--sequence 1000"), "who goes back is told what was there: {back:?}");
    let again = revision(&user, "OUT3", "4000").expect(0);
    assert!(again.out.contains("set rev-3000:"), "the newest of its stream is made again: {again:?}");
    assert_same(&files(&user.at("OUT3")), &files(&user.at("OUT2")), "made again");
    // A disc of an older one that was lost.
    revision(&user, "--sequence 1000 OUT4", "5000").expect(0);
    assert_same(&files(&user.at("OUT4")), &files(&user.at("OUT0")), "the older one, asked for by its number");
}

#[test]
fn a_sequence_below_the_newest_is_refused() {
    let user = User::with_key();
    tagged(&user, "A");
    revision(&user, "--sequence 7 OUT7", "1000").expect(0);
    revision(&user, "--sequence 6 OUT6", "1000").refused(2, "USAGE", &["6", "rev-7", "--sequence 8"]);
    assert!(!user.at("OUT6/rev-6.index.json").exists());
    tagged(&user, "B");
    revision(&user, "--sequence 6 OUT6", "1000").refused(2, "USAGE", &["6", "rev-7", "--sequence 8"]);
    revision(&user, "--sequence 8 OUT8", "1000").expect(0);
    tagged(&user, "A");
    revision(&user, "--sequence 7 AGAIN", "2000").expect(0);
    assert_same(&files(&user.at("AGAIN")), &files(&user.at("OUT7")), "that very set, made again");
}
