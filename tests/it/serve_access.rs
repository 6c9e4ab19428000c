//! Who may use `sealift serve`, and the certificate it makes itself.

use crate::support::inside::{Home, authfile, must, text, tool};
use crate::support::raw::Served;
use base64::Engine as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PASSWORD: &str = "correct-horse-7";

fn login(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// Adds a user as an administrator would.
fn htpasswd(file: &Path, user: &str, password: &str) {
    use std::io::Write;
    let mut child = Command::new("htpasswd").args(["-Bni", user]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let line = child.wait_with_output().unwrap().stdout;
    let mut all = fs::read(file).unwrap_or_default();
    all.extend(line);
    fs::write(file, all).unwrap();
}

#[test]
fn users_come_and_go_while_it_runs() {
    if !tool("htpasswd") {
        return;
    }
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let (users, layout) = (folder.path().join("users"), format!("oci:{}", folder.path().join("l").display()));
    htpasswd(&users, "alice", PASSWORD);
    let served = Served::start(&home, &[&layout, "--plain-http", "--htpasswd", text(&users)]);
    let challenge = served.get("/v2/").refuses(401, "UNAUTHORIZED");
    assert!(challenge.header("www-authenticate").unwrap().starts_with("Basic realm="));
    served.get("/healthz").is(200);
    served.get("/metrics").refuses(401, "UNAUTHORIZED");
    let status = |path: &str, header: &str| served.send("GET", path, &[header], b"").status;
    for _ in 0..2 {
        assert_eq!(status("/v2/", &login("alice", PASSWORD)), 200);
        assert_eq!(status("/v2/", &login("alice", "wrong")), 401);
        assert_eq!(status("/v2/", &login("nobody", PASSWORD)), 401);
    }
    assert_eq!(status("/metrics", &login("alice", PASSWORD)), 200);
    htpasswd(&users, "bob", "second");
    assert_eq!(status("/v2/", &login("bob", "second")), 200);
    fs::write(&users, "").unwrap();
    assert_eq!(status("/v2/", &login("alice", PASSWORD)), 401);
    let log = served.log();
    assert!(log.contains(" alice \"GET /v2/\" 200 ") && !log.contains(PASSWORD) && !log.contains("Basic"), "{log}");
}

#[test]
fn pulls_may_be_open_and_pushes_not() {
    if !tool("htpasswd") || !tool("skopeo") {
        return;
    }
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    htpasswd(&users, "alice", PASSWORD);
    let source = folder.path().join("source");
    crate::support::fleet::layout(&source, "1");
    let layout = format!("oci:{}", folder.path().join("l").display());
    let served = Served::start(&home, &[&layout, "--plain-http", "--htpasswd", text(&users), "--allow-anonymous", "pull"]);
    let (from, to) = (format!("oci:{}:1", source.display()), format!("docker://{}/x/y:1", served.host()));
    let copy = |more: &[&str]| {
        Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false"])
            .args(more)
            .args([&from, &to])
            .output()
            .unwrap()
    };
    let none = folder.path().join("none.json");
    fs::write(&none, "{}").unwrap();
    assert!(!copy(&["--authfile", text(&none)]).status.success());
    let auth = authfile(folder.path(), &served.host(), "alice", PASSWORD);
    let pushed = copy(&["--authfile", text(&auth)]);
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    must(Command::new("skopeo").args(["inspect", "--raw", "--tls-verify=false", "--authfile", text(&none), &to]));
    served.get("/v2/x/y/manifests/1").is(200);
    served.send("DELETE", "/v2/x/y/manifests/1", &[], b"").refuses(401, "UNAUTHORIZED");
}

#[test]
fn nothing_is_served_to_the_network_by_accident() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}", folder.path().join("l").display());
    let run = |words: &[&str]| home.run(&[&["serve", &layout], words].concat());
    run(&["--listen", "0.0.0.0:0", "--plain-http"]).exits(2).says(&["--htpasswd", "USAGE"]);
    run(&["--listen", "127.0.0.1:0"]).exits(2).says(&["--plain-http", "USAGE"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(&["--listen", &address, "--plain-http", "--allow-anonymous", "push"]).exits(32).says(&["IN_USE", "--listen"]);
    let bad = folder.path().join("users");
    fs::write(&bad, "alice:plain-text-password\n").unwrap();
    let told = run(&["--listen", "127.0.0.1:0", "--plain-http", "--htpasswd", text(&bad)]).exits(2).says(&["line 1", "htpasswd -B"]);
    told.never_says("plain-text-password");
}

#[test]
fn a_prepared_folder_is_a_registry_with_tls_and_a_user() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let words = ["serve", "--init", text(&data), "--hostname", "localhost", "--hostname", "127.0.0.1", "--subject", "C=DE,O=Example"];
    let made = home.run(&[&words[..], &["--json"]].concat()).exits(0).json();
    let password = made["password"].as_str().unwrap().to_owned();
    assert!(password.len() >= 20);
    let again = home.run(&words).exits(0).says(&["kept as it was:", "update-ca-trust", "certs.d", "systemctl"]);
    again.never_says(&password).never_says("made:");
    let unit = fs::read_to_string(data.join("sealift-serve.service")).unwrap();
    assert!(unit.contains(&format!(" serve {}\n", data.display())));

    let served = Served::start(&home, &[text(&data)]);
    let port = served.addr.port();
    if tool("curl") {
        let url = format!("https://localhost:{port}/v2/");
        let user = format!("init:{password}");
        let ca = data.join("tls/ca.crt");
        must(Command::new("curl").args(["-sf", "--cacert", text(&ca), "-u", &user, &url]));
        let refused = Command::new("curl").args(["-sf", "-u", &user, &url]).output().unwrap();
        assert_eq!(refused.status.code(), Some(60), "the authority is its own");
    }
    if tool("skopeo") {
        let source = folder.path().join("source");
        crate::support::fleet::layout(&source, "1");
        let certs = folder.path().join("certs");
        fs::create_dir(&certs).unwrap();
        fs::copy(data.join("tls/ca.crt"), certs.join("ca.crt")).unwrap();
        let host = format!("127.0.0.1:{port}");
        let auth = authfile(folder.path(), &host, "init", &password);
        let to = format!("docker://{host}/a/b:1");
        let from = format!("oci:{}:1", source.display());
        must(Command::new("skopeo").args([
            "--insecure-policy",
            "copy",
            "--dest-cert-dir",
            text(&certs),
            "--authfile",
            text(&auth),
            &from,
            &to,
        ]));
        must(Command::new("skopeo").args(["inspect", "--raw", "--cert-dir", text(&certs), "--authfile", text(&auth), &to]));
    }
}

#[test]
fn a_folder_is_prepared_only_for_what_can_be_served() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let init = |more: &[&str]| home.run(&[&["serve", "--init", text(&data)][..], more].concat());
    for bad in ["mirror.lan:8443", "https://mirror.lan", "a host", "", "b\u{fc}cher.lan"] {
        init(&["--hostname", bad]).exits(2).says(&["--hostname", "USAGE"]);
    }
    init(&["--hostname", "*.lan"]).exits(2).says(&["*.lan", "USAGE"]);
    // What would have no effect on the folder is no option of --init.
    for more in [&["--allow-anonymous", "pull"][..], &["--htpasswd", "users"], &["--plain-http"], &["--read-only"], &["--sparse"]] {
        init(&[&["--hostname", "mirror.lan"][..], more].concat()).exits(2).says(&[more[0], "USAGE"]);
    }
    home.run(&["serve", "--init", "oci:somewhere", "--hostname", "mirror.lan"]).exits(2).says(&["oci:DIR", "USAGE"]);
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    home.run(&["serve", "--init", text(&file), "--hostname", "mirror.lan"]).exits(2).says(&["give a folder", "USAGE"]);
    assert!(!data.exists() && !std::path::Path::new("oci:somewhere").exists());
}

#[test]
fn the_steps_that_are_printed_can_be_typed_in_their_order() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("my data");
    let told = home.run(&["serve", "--init", text(&data), "--hostname", "[fd00::7]"]).exits(0);
    let steps = [
        format!("\n  sealift serve '{}'\n", data.display()),
        "\ntrust its authority ".to_owned(),
        "/anchors/sealift-_fd00__7__8443.crt && update-ca-trust\n".to_owned(),
        "\n  podman login -u init '[fd00::7]:8443'\n".to_owned(),
        format!("\n  sealift preflight --to '[fd00::7]:8443' --ca-file '{}/tls/ca.crt'\n", data.display()),
    ];
    let at = steps.iter().map(|step| told.out.find(step.as_str()).unwrap_or_else(|| panic!("{step}: {}", told.out)));
    let at: Vec<usize> = at.collect();
    assert!(at.is_sorted(), "{at:?}");
    let again = home.run(&["serve", "--init", text(&data), "--hostname", "[fd00::7]", "--listen", "0.0.0.0:9443", "--subject", "C=DE"]);
    again.exits(0).says(&["change listen in serve.json", "another subject"]);
}

/// `openssl req -x509` makes such a certificate, and many a house has one: its own authority, and nothing above it.
#[test]
fn a_certificate_that_is_its_own_authority_is_believed_where_it_is_named() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, hosts: &[&str]| {
        let mut params = rcgen::CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let (crt, pem) = (folder.path().join(format!("{name}.crt")), folder.path().join(format!("{name}.key")));
        fs::write(&crt, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&pem, key.serialize_pem()).unwrap();
        (crt, pem)
    };
    let (own, key) = write("own", &["localhost"]);
    let (other, _) = write("other", &["localhost"]);
    let layout = format!("oci:{}", folder.path().join("l").display());
    let served = Served::start(&home, &[&layout, "--tls-cert", text(&own), "--tls-key", text(&key), "--allow-anonymous", "push"]);
    let look =
        |host: &str, more: &[&str]| home.run(&[&["preflight", "--to", &format!("{host}:{}/x", served.addr.port())][..], more].concat());
    look("localhost", &["--ca-file", text(&own)]).exits(0);
    look("localhost", &[]).exits(20).says(&["self-signed", "--ca-file", "CERTIFICATE_UNTRUSTED"]);
    look("localhost", &["--ca-file", text(&other)]).exits(20).says(&["CERTIFICATE_UNTRUSTED"]);
    look("127.0.0.1", &["--ca-file", text(&own)]).exits(20).says(&["another name", "CERTIFICATE_UNTRUSTED"]);
}
