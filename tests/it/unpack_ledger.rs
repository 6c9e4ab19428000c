//! What the inside remembers: its ledger per target, its log, and who works there at the moment.

use crate::support::inside::{Home, Outside, text};
use crate::support::servers::{DockerRegistry, Options};
use sealift::digest::Digest;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

struct Case {
    registry: DockerRegistry,
    outside: Outside,
    inside: Home,
    set: PathBuf,
}

impl Case {
    fn new() -> Option<Case> {
        let registry = DockerRegistry::start(Options { access_log: true, ..Options::default() })?;
        let outside = Outside::new();
        let set = outside.pack("few", &["legacy:v1"], &["--sequence", "1"]);
        let inside = outside.inside();
        Some(Case { registry, outside, inside, set })
    }

    fn unpack(&self, more: &[&str]) -> crate::support::inside::Ran {
        let to = format!("{}/p", self.registry.host());
        self.inside.run(&[&["unpack", text(&self.set), "--to", &to, "--dest-tls-verify=false"], more].concat())
    }

    fn file(&self, ending: &str) -> PathBuf {
        let entries = fs::read_dir(self.inside.state()).unwrap().map(|e| e.unwrap().path());
        let mut found: Vec<PathBuf> = entries.filter(|p| text(p).contains("/target-") && text(p).ends_with(ending)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.pop().unwrap()
    }

    fn log(&self) -> Vec<String> {
        fs::read_to_string(self.inside.state().join("log.jsonl")).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_lost_ledger_is_said_and_asks_for_first_again() {
    let Some(case) = Case::new() else { return };
    case.unpack(&["--first"]).exits(0);
    case.unpack(&[]).exits(0);
    fs::remove_file(case.file(".json")).unwrap();
    case.unpack(&[]).exits(17).says(&["FIRST_SET", "no record of the target at all", "--first"]);
    case.unpack(&["--first"]).exits(0);
    // Another stream is new as well, but the target is known.
    let other = case.outside.pack("other", &["plain:1"], &["--sequence", "1", "--stream", "tools"]);
    let to = format!("{}/p", case.registry.host());
    let line = ["unpack", text(&other), "--to", &to, "--dest-tls-verify=false"];
    case.inside.run(&line).exits(17).says(&["stream tools"]).never_says("no record of the target at all");
    case.inside.run(&[&line[..], &["--first"]].concat()).exits(0);
}

#[test]
fn a_spoiled_ledger_is_not_guessed_at() {
    let Some(case) = Case::new() else { return };
    case.unpack(&["--first"]).exits(0);
    let path = case.file(".json");
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    case.unpack(&["--first"]).exits(2).says(&["BAD_DOCUMENT", text(&path)]);
    let text_of = String::from_utf8(good.clone()).unwrap();
    fs::write(&path, text_of.replace("/p\"", "/elsewhere\"")).unwrap();
    case.unpack(&["--first"]).exits(2).says(&["BAD_DOCUMENT", "belongs to target"]);
    fs::write(&path, good).unwrap();
    case.unpack(&[]).exits(0);
}

#[test]
fn one_run_at_a_time_per_target() {
    let Some(case) = Case::new() else { return };
    case.unpack(&["--first"]).exits(0);
    let name = case.file(".lock").file_name().unwrap().to_str().unwrap().to_owned();
    let held = sealift::fs::Dir::open(&case.inside.state()).unwrap().lock(&name).unwrap();
    case.unpack(&[]).exits(32).says(&["IN_USE"]);
    drop(held);
    case.unpack(&[]).exits(0);
}

#[test]
fn the_log_grows_as_a_chain_and_a_broken_one_is_reported_first() {
    let Some(case) = Case::new() else { return };
    case.unpack(&["--first"]).exits(0);
    case.unpack(&[]).exits(0);
    case.inside.run(&["verify", text(&case.set)]).exits(0);
    let lines = case.log();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (n, line) in parsed.iter().enumerate() {
        assert_eq!(line["number"], n as u64 + 1);
        if n > 0 {
            assert_eq!(line["previous"], Digest::sha256(lines[n - 1].as_bytes()).to_string());
        }
    }
    assert_eq!(parsed[0]["entry"]["action"], "unpack");
    assert!(parsed[0]["entry"]["outcome"].as_str().unwrap().contains("1 of 1"), "{}", parsed[0]);
    let path = case.inside.state().join("log.jsonl");
    let forged = lines.join("\n").replacen("1 of 1", "9 of 9", 1) + "\n";
    fs::write(&path, &forged).unwrap();
    let to = format!("{}/new", case.registry.host());
    let requests = case.registry.requests().len();
    let ran = case.inside.run(&["unpack", text(&case.set), "--to", &to, "--dest-tls-verify=false", "--first"]);
    ran.exits(2).says(&["BAD_DOCUMENT", "broken at line 2", "evidence"]);
    assert!(case.registry.requests()[requests..].iter().all(|(method, _)| method == "GET" || method == "HEAD"));
    assert_eq!(fs::read_to_string(&path).unwrap(), forged, "evidence is left as it is");
}

/// Two targets of one registry remember apart, and so do two names of one.
#[test]
fn targets_are_remembered_apart() {
    let Some(case) = Case::new() else { return };
    case.unpack(&["--first"]).exits(0);
    for to in [case.registry.host(), format!("localhost:{}/p", case.registry.addr.port())] {
        case.inside.run(&["unpack", text(&case.set), "--to", &to, "--dest-tls-verify=false"]).exits(17).says(&["FIRST_SET"]);
    }
}
