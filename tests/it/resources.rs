//! Cluster resources after a run, read by those they are for.

use crate::support::inside::{ALL, Home, Outside, must, skopeo_digest, text, tool};
use crate::support::servers::{DockerRegistry, Options};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two registries: what was pulled from the outer one is in the inner one, below `m`, and the outer one is gone.
struct Crossed {
    outer: String,
    inner: DockerRegistry,
    outside: Outside,
    inside: Home,
    set: PathBuf,
    folder: PathBuf,
}

impl Crossed {
    fn with(more: &[&str]) -> Option<Crossed> {
        let outer = DockerRegistry::start(Options::default())?;
        let outside = Outside::new();
        let filled = Home::new();
        filled.trust("stream:*", &outside.key);
        filled.run(&["unpack", text(&outside.set()), "--to", &outer.host(), "--dest-tls-verify=false", "--first"]).exits(0);
        let set = outside.folder("pulled");
        let digest = &outside.made("deep/er/web:1").root;
        let (tagged, pinned) = (format!("{}/team/app:1", outer.host()), format!("{}/deep/er/web@{digest}", outer.host()));
        outside.home.run(&["pack", "--key", "site", "--src-tls-verify=false", "--sequence", "107", &tagged, &pinned, text(&set)]).exits(0);
        let inner = DockerRegistry::start(Options::default())?;
        let inside = outside.inside();
        let to = format!("{}/m", inner.host());
        let line = [&["unpack", text(&set), "--to", &to, "--first", "--dest-tls-verify=false", "--json"], more].concat();
        let ran = inside.run(&line).exits(0);
        let folder = PathBuf::from(ran.json()["resources"].as_str().unwrap());
        Some(Crossed { outer: outer.host(), inner, outside, inside, set, folder })
    }

    fn target(&self) -> String {
        format!("{}/m", self.inner.host())
    }
}

#[track_caller]
fn skopeo_goes_the_way_of(crossed: &Crossed) {
    let conf = crossed.folder.join("registries.conf.d/50-sealift.conf");
    let more = ["--registries-conf", text(&conf)];
    let digest = &crossed.outside.made("deep/er/web:1").root;
    let find = |name: &str| {
        let mut inspect = Command::new("skopeo");
        inspect.args(more).args(["inspect", "--raw", "--tls-verify=false"]).arg(format!("docker://{}/{name}", crossed.outer));
        let output = inspect.output().unwrap();
        output.status.success().then(|| sealift::digest::Digest::sha256(&output.stdout).to_string())
    };
    assert_eq!(find("team/app:1").as_ref(), Some(&crossed.outside.made("team/app:1").root));
    assert_eq!(find(&format!("deep/er/web@{digest}")).as_ref(), Some(digest));
    assert_eq!(find("deep/er/web:1"), None, "carried by digest: its tag means nothing here");
    // Every byte, by the name the image has outside.
    let to = tempfile::tempdir().unwrap();
    let mut copy = Command::new("skopeo");
    copy.args(more).args(["--insecure-policy", "copy", "--all", "--quiet", "--preserve-digests", "--src-tls-verify=false"]);
    must(copy.arg(format!("docker://{}/deep/er/web@{digest}", crossed.outer)).arg(format!("dir:{}", to.path().display())));
    assert_eq!(skopeo_digest(&format!("dir:{}", to.path().display()), &[]), *digest);
}

#[test]
fn skopeo_pulls_by_the_name_outside() {
    if !tool("skopeo") {
        return;
    }
    let Some(crossed) = Crossed::with(&[]) else { return };
    skopeo_goes_the_way_of(&crossed);
}

#[test]
fn skopeo_finds_flattened_names_as_well() {
    if !tool("skopeo") {
        return;
    }
    let Some(crossed) = Crossed::with(&["--max-nested-paths", "2"]) else { return };
    assert!(crossed.inner.inventory("m").tags.contains_key("team-app:1"));
    skopeo_goes_the_way_of(&crossed);
}

/// Python reads the files for hosts, kubectl those for clusters.
#[test]
fn other_peoples_parsers_take_every_file() {
    let Some(crossed) = Crossed::with(&[]) else { return };
    let names = files(&crossed.folder);
    let host = crossed.outer.replace(':', "_");
    let hosts = format!("containerd/certs.d/{host}_/hosts.toml");
    for name in ["idms-oc-mirror.yaml", "itms-oc-mirror.yaml", "registries.conf.d/50-sealift.conf", "k3s/registries.yaml", &hosts] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
    if tool("python3") {
        let script = "import sys, tomllib\nfor name in sys.argv[1:]: print(sorted(tomllib.load(open(name, 'rb'))))";
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(crossed.folder.join(&hosts)).arg(crossed.folder.join("registries.conf.d/50-sealift.conf"));
        let output = python.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "['host']\n['registry']\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
    if tool("kubectl") {
        let work = tempfile::tempdir().unwrap();
        let objects: Vec<&String> = names.iter().filter(|name| !name.contains('/') && name.ends_with(".yaml")).collect();
        for name in &objects {
            fs::copy(crossed.folder.join(name), work.path().join(name)).unwrap();
        }
        fs::write(work.path().join("kustomization.yaml"), serde_json::json!({"resources": objects}).to_string()).unwrap();
        let output = Command::new("kubectl").arg("kustomize").arg(work.path()).output().unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        for kind in ["ImageDigestMirrorSet", "ImageTagMirrorSet"] {
            assert!(read.contains(&format!("kind: {kind}\n")), "{read}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.map(|entry| text(entry.path().strip_prefix(folder).unwrap()).to_owned()).filter(|name| !name.starts_with('.')).collect()
}

/// What was unpacked first is still in the resources after a set that does not have it, and runs leave one receipt each at most.
#[test]
fn resources_follow_everything_that_was_unpacked() {
    let Some(crossed) = Crossed::with(&[]) else { return };
    let (inside, to) = (&crossed.inside, crossed.target());
    let idms = || fs::read_to_string(crossed.folder.join("idms-oc-mirror.yaml")).unwrap();
    let before = idms();
    let again = ["unpack", text(&crossed.set), "--to", &to, "--dest-tls-verify=false"];
    let open = format!("sealift resources --to {to} --dest-tls-verify=false -o");
    inside.run(&again).exits(0).says(&[&format!("apply them with: oc apply -f {}", text(&crossed.folder)), &open]);
    let told = inside.run(&["resources", "--to", &to, "--only", "idms", "--dest-tls-verify=false"]).exits(0);
    told.says(&[&format!("add {} to spec.registrySources.insecureRegistries", crossed.inner.host())]);
    inside.run(&[&again[..], &["--image", "team/*"]].concat()).exits(0);
    assert_eq!(idms(), before, "a part of the set takes nothing away");
    let other = crossed.outside.pack("other", &["plain:1"], &["--sequence", "1", "--stream", "tools"]);
    inside.run(&["unpack", text(&other), "--to", &to, "--dest-tls-verify=false", "--first"]).exits(0);
    assert_eq!(idms(), before);
    let receipts = files(&inside.state().join("receipts"));
    assert_eq!(receipts.iter().filter(|name| name.ends_with(".json")).count(), 3, "{receipts:?}");
    inside.run(&again).exits(0);
    let receipts = files(&inside.state().join("receipts"));
    assert_eq!(receipts.iter().filter(|name| name.ends_with(".json")).count(), 2, "the earlier ones of that set say nothing more");
    let printed = inside.run(&["resources", "--to", &to, "--only", "idms"]).exits(0);
    assert_eq!(printed.out, format!("# idms-oc-mirror.yaml\n{before}"));
    let seen = inside.run(&["resources", "--to", &to, "--only", "idms", "--seen-as", "mirror.lan/x"]).exits(0);
    assert_eq!(seen.out.replace('"', ""), printed.out.replace('"', "").replace(&to, "mirror.lan/x"));
    inside.run(&["resources", "--to", &to, "--seen-as", "a.lan", "--seen-as", "b.lan"]).exits(2).says(&["--seen-as"]);
    let both = inside.run(&["resources", "--to", &to, "--to", "second.lan", "--only", "idms"]).exits(2);
    both.says(&["FILE_MISSING", "second.lan"]);
}

#[test]
fn only_what_this_program_wrote_is_touched() {
    let Some(crossed) = Crossed::with(&[]) else { return };
    let (inside, to) = (&crossed.inside, crossed.target());
    let out = inside.path().join("out");
    let line = ["resources", "--to", &to, "-o", text(&out)];
    inside.run(&line).exits(0).says(&["next: oc apply -f", "wrote: "]);
    assert_eq!(files(&out), files(&crossed.folder));
    fs::write(out.join("mine.yaml"), "mine").unwrap();
    fs::write(out.join("itms-oc-mirror.yaml"), "by hand").unwrap();
    inside.run(&[&line[..], &["--icsp"]].concat()).exits(0).says(&["itms-oc-mirror.yaml was changed by hand"]);
    let found = files(&out);
    assert!(!found.contains(&"idms-oc-mirror.yaml".to_owned()) && found.contains(&"imageContentSourcePolicy.yaml".to_owned()), "{found:?}");
    assert_eq!(fs::read_to_string(out.join("itms-oc-mirror.yaml.old")).unwrap(), "by hand");
    assert_eq!(fs::read_to_string(out.join("mine.yaml")).unwrap(), "mine");
    // A list that was tampered with leads nowhere else.
    fs::write(inside.path().join("precious"), "x").unwrap();
    let hex = sealift::digest::Digest::sha256(b"x").hex();
    fs::write(out.join(".sealift-resources"), format!("{hex}  ../precious\n{hex}  {}\n", text(&inside.path().join("precious")))).unwrap();
    inside.run(&line).exits(0);
    assert!(inside.path().join("precious").exists());
}

/// Ten thousand images with several signatures each make a list of many megabytes; what was written once is written again.
#[test]
fn a_long_list_of_what_was_written_is_read_again() {
    let Some(crossed) = Crossed::with(&[]) else { return };
    let (inside, to) = (&crossed.inside, crossed.target());
    let out = inside.path().join("out");
    let line = ["resources", "--to", &to, "-o", text(&out)];
    inside.run(&line).exits(0);
    let list = out.join(".sealift-resources");
    let short = fs::read_to_string(&list).unwrap();
    let (hex, name) = (sealift::digest::Digest::sha256(b"x").hex(), "n".repeat(200));
    let gone: String = (0..70_000).map(|number| format!("{hex}  {name}{number}\n")).collect();
    assert!(gone.len() as u64 > sealift::limits::CONFIG_BYTES);
    fs::write(&list, short.clone() + &gone).unwrap();
    inside.run(&line).exits(0);
    assert_eq!(fs::read_to_string(&list).unwrap(), short);
}

#[test]
fn receipts_from_elsewhere_are_verified_where_they_are_signed() {
    let Some(registry) = DockerRegistry::start(Options::default()) else { return };
    let outside = Outside::new();
    let inside = outside.inside();
    let key = inside.key("clerk");
    let to = format!("{}/r", registry.host());
    let (set, receipt) = (outside.set(), inside.path().join("receipt.json"));
    let unpack = ["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"];
    inside.run(&[&unpack[..], &["--receipt", text(&receipt), "--key", "clerk"]].concat()).exits(0);
    assert!(!inside.state().join("resources").exists(), "nothing there is known by a name outside: all are from a layout");

    let elsewhere = Home::new();
    let line = ["resources", "--receipts", text(&receipt)];
    elsewhere.run(&line).exits(11).says(&["receipt.json", "KEYRING_EMPTY"]);
    elsewhere.trust("stream:*", &key);
    elsewhere.run(&line).exits(0).says(&["nothing to write"]).never_says("not signed");
    let bytes = fs::read_to_string(&receipt).unwrap();
    fs::write(&receipt, bytes.replace(&to, "evil.lan/r")).unwrap();
    elsewhere.run(&line).exits(10);
    fs::remove_file(format!("{}.sig", receipt.display())).unwrap();
    elsewhere.run(&line).exits(0).says(&["is not signed"]);
    elsewhere.run(&["resources", "--receipts", text(&receipt), "--to", &to]).exits(2).says(&["FILE_MISSING"]);
    fs::write(&receipt, &bytes[..bytes.len() / 2]).unwrap();
    elsewhere.run(&line).exits(2).says(&["BAD_DOCUMENT", "receipt.json"]);
    elsewhere.run(&["resources", "--to", "oci:/tmp/x"]).exits(2).says(&["is an OCI layout"]);
    elsewhere.run(&["resources"]).exits(2).says(&["--to"]);
    assert_eq!(registry.inventory("r"), outside.inventory(&ALL));
}
