//! `sealift demo` as a person types it.

use crate::support::inside::{Home, skopeo_digest, tool};
use crate::support::skip;
use std::fs;
use std::process::{Command, Stdio};

/// Exit number and words of a demonstration in which every other network would be noticed: the proxy is nobody.
fn demo(home: &Home, scratch: &std::path::Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = home.sealift(&["demo"]);
    command.args(more).env("TMPDIR", scratch);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn images_go_from_one_registry_to_another_and_nothing_is_left() {
    let (home, scratch) = (Home::new(), tempfile::tempdir().unwrap());
    let (code, out, err) = demo(&home, scratch.path(), &[]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(err.is_empty(), "{err}");
    for said in ["sealift pack 127.0.0.1:", "sealift unpack medium --to 127.0.0.1:", "error: ", "demo/greeting:1: ", "demo/worker:1: "] {
        assert!(out.contains(said), "{said}: {out}");
    }
    assert_eq!(out.matches(", equal\n").count(), 3, "{out}");
    let (lines, longest) = (out.lines().count(), out.lines().map(str::len).max().unwrap());
    assert!(lines < 45 && longest < 170, "{lines} lines of up to {longest}: {out}");
    assert!(fs::read_dir(scratch.path()).unwrap().next().is_none(), "the scratch folder is left");
    let (code, out, err) = demo(&home, scratch.path(), &["--json"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["images"], &told["digestsCompared"]), (&3.into(), &3.into()), "{told}");
    assert!(told["damageFound"].as_str().is_some_and(|damage| damage.contains("demo-1-0002")), "{told}");
    assert!(!home.state().exists(), "the person's own state is not touched");
}

#[test]
fn what_it_keeps_is_a_layout_of_the_same_images() {
    let (home, scratch) = (Home::new(), tempfile::tempdir().unwrap());
    let kept = home.path().join("kept");
    let (code, out, err) = demo(&home, scratch.path(), &["--keep", kept.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}{err}");
    home.run(&["demo", "--keep", kept.to_str().unwrap()]).exits(32).says(&["NOT_EMPTY"]);
    if tool("skopeo") {
        for name in ["greeting", "web", "worker"] {
            let inside = skopeo_digest(&format!("oci:{}:demo/{name}:1", kept.join("inside").display()), &[]);
            assert_eq!(inside, skopeo_digest(&format!("oci:{}/fixtures/demo/layout:{name}", env!("CARGO_MANIFEST_DIR")), &[]));
        }
    }
}

/// In a network of its own that has nothing but loopback.
#[test]
fn it_works_where_there_is_no_network() {
    let alone = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", script]).stdin(Stdio::null());
        command
    };
    let up = "ip link set lo up && ";
    if !alone(&format!("{up} true")).output().is_ok_and(|output| output.status.success()) {
        return skip("no network namespaces");
    }
    let home = Home::new();
    let program = env!("CARGO_BIN_EXE_sealift");
    let output = alone(&format!("{up} exec {program} demo -q --json")).env("SEALIFT_HOME", home.path()).output().unwrap();
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
