//! The same plan gives the same bytes, whoever packs it, however often, on however many cores.

use crate::support::fleet::Fleet;
use crate::support::run::{User, assert_same, files, finish};
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
