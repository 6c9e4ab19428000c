//! Disks that are really full or really read-only: small file systems of their own, mounted for one command.

use crate::support::fleet::{Fleet, stocks};
use crate::support::run::{User, assert_same, files, finish};
use crate::support::skip;
use std::process::Command;

/// Runs a script in a mount namespace of its own, where `$0` is the program and `$REFS` names the images. Gives what it printed.
fn with_mounts(user: &User, fleet: &Fleet, script: &str) -> Option<String> {
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        skip("no mount namespaces without root");
        return None;
    }
    let mut command = user.wrapped(&["unshare", "-m", "sh", "-uc", &format!("exec 2>&1\n{script}")]);
    command.env("REFS", fleet.words()).env("SOURCE_DATE_EPOCH", "1767225600");
    Some(finish(command).out)
}

const PACK: &str = "\"$0\" pack $REFS --key site --src-tls-verify=false --sequence 7 --volume-size 300KB";

fn scene() -> Option<(Fleet, User)> {
    let mut stocks = stocks();
    stocks.retain(|stock| stock.name == "team/app");
    Some((Fleet::of(stocks)?, User::with_key()))
}

#[test]
fn out_is_too_small() {
    let Some((fleet, user)) = scene() else { return };
    let script = format!(
        "{PACK} WANTED; mkdir OUT; mount -t tmpfs -o size=400k none OUT\n\
         {PACK} OUT; echo first=$?; ls OUT; \"$0\" verify OUT; echo verify=$?\n\
         mount -o remount,size=8m OUT; {PACK} OUT; echo second=$?; cp -r OUT COPY"
    );
    let Some(said) = with_mounts(&user, &fleet, &script) else { return };
    for words in ["error: OUT has 40", "code: NO_SPACE (30)", "bytes more room", "first=30", "verify=12", "second=0"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_same(&files(&user.at("COPY")), &files(&user.at("WANTED")), "after making room");
}

#[test]
fn out_becomes_full_in_the_middle() {
    let Some((fleet, user)) = scene() else { return };
    // Bytes enough, but room for five files only: what cannot be known beforehand.
    let script = format!(
        "{PACK} WANTED; mkdir OUT; mount -t tmpfs -o size=8m,nr_inodes=6 none OUT\n\
         {PACK} OUT; echo first=$?; ls OUT; \"$0\" verify OUT; echo verify=$?\n\
         mount -o remount,nr_inodes=100 OUT; {PACK} OUT; echo second=$?; cp -r OUT COPY"
    );
    let Some(said) = with_mounts(&user, &fleet, &script) else { return };
    for words in ["error: cannot create OUT/", "No space left", "code: NO_SPACE (30)", "first=30", "verify=12", "second=0"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_same(&files(&user.at("COPY")), &files(&user.at("WANTED")), "after making room");
}

#[test]
fn the_workspace_becomes_full() {
    let Some((fleet, user)) = scene() else { return };
    let script = format!(
        "{PACK} --workspace W0 WANTED; mkdir W; mount -t tmpfs -o size=300k none W\n\
         {PACK} --workspace W OUT; echo first=$?; \"$0\" verify OUT; echo verify=$?\n\
         mount -o remount,size=8m W; {PACK} --workspace W OUT; echo second=$?"
    );
    let Some(said) = with_mounts(&user, &fleet, &script) else { return };
    for words in
        ["W/blobs/sha256/", "No space left", "(NO_SPACE)", "code: NO_SPACE (30)", "--workspace", "first=30", "verify=12", "second=0"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_same(&files(&user.at("OUT")), &files(&user.at("WANTED")), "after making room");
}

#[test]
fn out_is_read_only() {
    let Some((fleet, user)) = scene() else { return };
    let script = format!(
        "mkdir OUT; mount -t tmpfs -o ro none OUT; {PACK} OUT; echo pack=$?\n\
         mkdir W; mount -t tmpfs -o ro none W; {PACK} --workspace W OUT2; echo workspace=$?"
    );
    let Some(said) = with_mounts(&user, &fleet, &script) else { return };
    for words in ["OUT/sealift.incomplete", "Read-only file system", "code: NOT_WRITABLE (31)", "pack=31", "workspace=31"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_set_on_a_read_only_medium_is_verified_and_nothing_is_written_there() {
    let Some((fleet, user)) = scene() else { return };
    let script = format!(
        "{PACK} OUT >pack.log; mount --bind OUT OUT; mount -o remount,ro,bind OUT; touch OUT/x && echo writable\n\
         \"$0\" verify --deep OUT; echo verify=$?; \"$0\" inspect OUT; echo inspect=$?"
    );
    let Some(said) = with_mounts(&user, &fleet, &script) else { return };
    assert!(said.contains("verify=0") && said.contains("inspect=0") && !said.contains("writable\n"), "{said}");
}
