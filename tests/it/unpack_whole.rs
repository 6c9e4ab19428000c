//! The whole way of a set into a target, seen with other people's tools.

use crate::support::inside::{ALL, Home, Made, Outside, PASSWORD, authfile, must, skopeo_digest, text, tool};
use crate::support::servers::{Auth, Ca, DockerRegistry, Options, Tls};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Root and children of an image are where they should be, byte for byte.
#[track_caller]
fn skopeo_finds(image: &Made, at: &str, more: &[&str]) {
    let name = format!("docker://{at}/{}", image.repository);
    assert_eq!(skopeo_digest(&format!("{name}:{}", image.tag), more), image.root, "{name}");
    for child in &image.manifests {
        assert_eq!(skopeo_digest(&format!("{name}@{child}"), more), *child, "{name}");
    }
}

/// skopeo reads, hashes and writes out every blob of every platform.
#[track_caller]
fn skopeo_pulls(image: &Made, from: &str, more: &[&str]) {
    let to = tempfile::tempdir().unwrap();
    let mut copy = Command::new("skopeo");
    copy.args(["--insecure-policy", "copy", "--all", "--quiet", "--preserve-digests"]).args(more);
    must(copy.arg(from).arg(format!("dir:{}", to.path().display())));
    let bytes = fs::read(to.path().join("manifest.json")).unwrap();
    assert_eq!(sealift::digest::Digest::sha256(&bytes).to_string(), image.root);
}

#[test]
fn the_line_of_the_manual_works_word_for_word() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let inside = outside.inside();
    let set = outside.set();
    let to = format!("localhost:{}/m", registry.addr.port());
    let line = ["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"];
    inside.run(&line).exits(0).says(&["pushed: team/app:1", "7 of 7 images are in"]);
    assert_eq!(registry.inventory("m"), outside.inventory(&ALL));
    inside.run(&line).exits(0).says(&["was there: team/app:1", "0 B uploaded in 0 blobs"]);
}

/// Two docker-registries, the inner one with a login and a certificate of the site's own authority.
#[test]
fn from_registry_to_registry_with_login_and_own_authority() {
    if !tool("skopeo") {
        return;
    }
    let Some(outer) = DockerRegistry::start(Options::default()) else { return };
    let outside = Outside::new();
    let filled = Home::new();
    filled.trust("stream:*", &outside.key);
    filled.run(&["unpack", text(&outside.set()), "--to", &outer.host(), "--dest-tls-verify=false", "--first"]).exits(0);
    let set = outside.folder("pulled");
    let wishes: Vec<String> =
        ALL.iter().map(|name| outside.made(name)).map(|i| format!("{}/{}:{}", outer.host(), i.repository, i.tag)).collect();
    let mut words = vec!["pack", "--key", "site", "--src-tls-verify=false", "--sequence", "107"];
    words.extend(wishes.iter().map(String::as_str));
    words.push(text(&set));
    outside.home.run(&words).exits(0);

    let ca = Ca::new("the site");
    let (certificate, key) = ca.sign(&["127.0.0.1", "localhost"]);
    let auth = Auth::Htpasswd { user: "ann".into(), password: PASSWORD.into() };
    let tls = Some(Tls { certificate, key, client_ca: None });
    let Some(inner) = DockerRegistry::start(Options { auth, tls, delete: true, ..Options::default() }) else { return };
    let inside = outside.inside();
    let to = format!("{}/ocp4", inner.host());
    let login = authfile(inside.path(), &inner.host(), "ann", PASSWORD);
    let ca_file = inside.path().join("ca.pem");
    fs::write(&ca_file, &ca.pem).unwrap();
    let receipt = inside.path().join("receipt.json");

    let line = ["unpack", text(&set), "--to", &to, "--first"];
    let with = |more: &[&str]| inside.run(&[&line[..], more].concat());
    with(&["--authfile", text(&login)]).exits(20).says(&["CERTIFICATE_UNTRUSTED", "--ca-file"]);
    with(&["--ca-file", text(&ca_file)]).exits(21).says(&["LOGIN_REFUSED"]);
    let wrong = inside.path().join("wrong");
    fs::create_dir(&wrong).unwrap();
    let wrong = authfile(&wrong, &inner.host(), "ann", &PASSWORD[1..]);
    with(&["--ca-file", text(&ca_file), "--authfile", text(&wrong)]).exits(21).never_says(&PASSWORD[1..]);
    assert!(inner.inventory("").tags.is_empty());
    let ran = with(&["--ca-file", text(&ca_file), "--authfile", text(&login), "--receipt", text(&receipt), "-v"]).exits(0);
    drop(ran);
    assert_eq!(inner.inventory("ocp4"), outside.inventory(&ALL));
    // The same by the folders podman uses.
    let certs = inside.path().join("xdg/containers/certs.d").join(inner.host());
    fs::create_dir_all(&certs).unwrap();
    fs::write(certs.join("ca.crt"), &ca.pem).unwrap();
    with(&["--authfile", text(&login)]).exits(0).says(&["was there: deep/er/web:1"]);
    let other = format!("{}/other", inner.host());
    inside.run(&["unpack", text(&set), "--to", &other, "--first", "--authfile", text(&login), "--json"]).exits(0);
    assert_eq!(inner.inventory("other"), outside.inventory(&ALL));
    inside.keeps_no_password("auth.json");

    let (dir, login) = (format!("--cert-dir={}", certs.display()), format!("--authfile={}", login.display()));
    let (source_dir, source_login) = (dir.replace("--cert", "--src-cert"), login.replace("--auth", "--src-auth"));
    for image in ALL.map(|name| outside.made(name)) {
        skopeo_finds(image, &to, &[&dir, &login]);
        let from = format!("docker://{to}/{}:{}", image.repository, image.tag);
        skopeo_pulls(image, &from, &[&source_dir, &source_login]);
    }
}

#[test]
fn a_layout_that_skopeo_and_umoci_read() {
    if !tool("skopeo") || !tool("umoci") {
        return;
    }
    let outside = Outside::new();
    let inside = outside.inside();
    let set = outside.set();
    let layout = inside.path().join("layout");
    let to = format!("oci:{}", layout.display());
    inside.run(&["unpack", text(&set), "--to", &to]).exits(17).says(&["FIRST_SET", "--first"]);
    inside.run(&["unpack", text(&set), "--to", &to, "--first"]).exits(0);
    // Images with docker's media types are not seen by skopeo in a layout of anybody.
    for image in ALL.map(|name| outside.made(name)).into_iter().filter(|image| image.repository != "legacy") {
        let name = format!("{to}:{}:{}", image.repository, image.tag);
        assert_eq!(skopeo_digest(&name, &[]), image.root);
        skopeo_pulls(image, &name, &[]);
    }
    // umoci takes only tags as names.
    let bundle = inside.path().join("bundle");
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), ALL.len());
    let umoci = |words: &[&str]| must(Command::new("umoci").args(words));
    let named = format!("{}:team/app:1", layout.display());
    umoci(&["unpack", "--rootless", "--image", &named, text(&bundle)]);
    assert_eq!(fs::metadata(bundle.join("rootfs/file-1")).unwrap().len(), 500_000);
    inside.run(&["unpack", text(&set), "--to", &to]).exits(0).says(&["was there: plain:1"]);
}

#[test]
fn only_the_images_named_and_a_dry_run_writes_nothing() {
    let Some(registry) = DockerRegistry::start(Options { access_log: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let inside = outside.inside();
    let set = outside.set();
    let to = format!("{}/s", registry.host());
    let line = ["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"];
    let with = |more: &[&str]| inside.run(&[&line[..], more].concat());
    with(&["--dry-run"]).exits(0).says(&["7 images, 7 to push", "default-100-0001.tar.zst: here"]);
    let plan = with(&["--dry-run", "--json", "--image", "team/*"]).exits(0).json();
    assert_eq!(plan["plans"][0]["images"].as_array().unwrap().len(), 2, "{plan}");
    with(&["--image", "no/such:*"]).exits(2).says(&["no/such:*"]);
    let wrote = |method: &str| matches!(method, "POST" | "PUT" | "PATCH" | "DELETE");
    assert!(!registry.requests().iter().any(|(method, _)| wrote(method)));
    assert!(!inside.state().join("log.jsonl").exists(), "nothing was done");
    with(&["--image", "team/*", "--image", "*/sbom:1"]).exits(0);
    let wanted = outside.inventory(&["team/app:1", "team/app:2", "art/sbom:1"]);
    assert_eq!(registry.inventory("s"), wanted);
    let plan = with(&["--dry-run", "--json"]).exits(0).json();
    let open = plan["plans"][0]["images"].as_array().unwrap().iter().filter(|i| i["present"].is_null()).count();
    assert_eq!(open, ALL.len() - 3, "{plan}");
}

#[test]
fn a_receipt_says_what_is_there_and_openssh_believes_it() {
    let Some(registry) = DockerRegistry::start(Options::default()) else { return };
    let outside = Outside::new();
    let inside = outside.inside();
    let key = inside.key("clerk");
    let set = outside.set();
    let to = format!("{}/r", registry.host());
    let receipt = inside.path().join("receipt.json");
    let line = ["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first", "--json"];
    let ran = inside.run(&[&line[..], &["--receipt", text(&receipt), "--key", "clerk"]].concat()).exits(0);
    let object = ran.json();
    assert_eq!((&object["ok"], &object["exit"]), (&Value::Bool(true), &Value::from(0)));
    assert_eq!(object["sets"][0]["done"].as_array().unwrap().len(), ALL.len(), "{object}");
    let document: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    assert_eq!(document["target"], to.as_str());
    for image in ALL.map(|name| outside.made(name)) {
        let same = |entry: &&Value| entry["repository"] == image.repository.as_str() && entry["tag"] == image.tag.as_str();
        let entry = document["images"].as_array().unwrap().iter().find(same).unwrap();
        assert_eq!(entry["digest"], image.root.as_str());
        let holding = &document["repositories"][&image.repository];
        let has = |list: &Value, digest: &String| list.as_array().unwrap().iter().any(|d| d == digest.as_str());
        assert!(image.manifests.iter().all(|d| has(&holding["manifests"], d)), "{holding}");
        assert!(image.blobs.iter().all(|d| has(&holding["blobs"], d)), "{holding}");
    }
    let last = fs::read_to_string(inside.state().join("log.jsonl")).unwrap().lines().last().unwrap().to_owned();
    assert_eq!(document["logHead"], sealift::digest::Digest::sha256(last.as_bytes()).to_string());
    if tool("ssh-keygen") {
        check_by_openssh(&inside, &key, &receipt);
    }
}

fn check_by_openssh(inside: &Home, key: &Path, receipt: &Path) {
    let signers = inside.path().join("signers");
    let line = format!("inside namespaces=\"sealift-receipt@1\" {}", fs::read_to_string(key).unwrap());
    fs::write(&signers, line).unwrap();
    let signature = format!("{}.sig", receipt.display());
    let mut verify = Command::new("ssh-keygen");
    verify.args(["-Y", "verify", "-I", "inside", "-n", "sealift-receipt@1", "-f", text(&signers), "-s", &signature]);
    let output = verify.stdin(fs::File::open(receipt).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn names_are_flattened_for_registries_that_take_no_deep_ones() {
    let Some(registry) = DockerRegistry::start(Options::default()) else { return };
    let outside = Outside::new();
    let inside = outside.inside();
    let set = outside.set();
    let to = format!("{}/flat", registry.host());
    let line = ["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first", "--max-nested-paths", "2"];
    inside.run(&line).exits(0);
    let names: Vec<String> = registry.inventory("flat").tags.into_keys().collect();
    assert_eq!(names, ["art-sbom:1", "deep-er-web:1", "legacy:v1", "other-app:1", "plain:1", "team-app:1", "team-app:2"]);
    inside.run(&line).exits(0).says(&["was there: deep-er-web:1"]);
}
