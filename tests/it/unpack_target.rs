//! Registries that are down, slow, strict or broken.

use crate::support::inside::{ALL, Home, Outside, PASSWORD, authfile, text};
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::servers::{Ca, DockerRegistry, Nginx, Options, Port, Tls};
use crate::support::skip;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

fn line<'a>(set: &'a Path, to: &'a str) -> [&'a str; 6] {
    ["unpack", text(set), "--to", to, "--dest-tls-verify=false", "--first"]
}

/// A line to a server that is cut after so many bytes have gone there; from then on nothing listens.
struct Wire {
    addr: SocketAddr,
    cut: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    fn to(server: SocketAddr, bytes: usize) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (addr, cut, gone) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let stop = cut.clone();
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let Ok((client, _)) = listener.accept() else {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    continue;
                };
                client.set_nonblocking(false).unwrap();
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                let (gone, stop) = (gone.clone(), stop.clone());
                forward(client, upstream, move |n| {
                    let all = gone.fetch_add(n, Ordering::SeqCst) + n;
                    if all >= bytes {
                        stop.store(true, Ordering::SeqCst);
                    }
                    !stop.load(Ordering::SeqCst)
                });
            }
        });
        Wire { addr, cut, thread: Some(thread) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Copies both ways until one side ends or `may` says no.
fn forward(client: TcpStream, upstream: TcpStream, may: impl Fn(usize) -> bool + Send + 'static) {
    let copy = |mut from: TcpStream, mut to: TcpStream, may: Box<dyn Fn(usize) -> bool + Send>| {
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(n) = from.read(&mut buffer) {
                if n == 0 || !may(n) || to.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    };
    copy(client.try_clone().unwrap(), upstream.try_clone().unwrap(), Box::new(may));
    copy(upstream, client, Box::new(|_| true));
}

#[test]
fn a_registry_that_is_down_is_named_and_nothing_is_remembered() {
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let nobody = Port::free();
    let host = nobody.to_string();
    let ran = inside.run(&line(&set, &host)).exits(20).says(&["REGISTRY_UNREACHABLE", &host]);
    assert!(!inside.state().join("log.jsonl").exists(), "{}", ran.told());
}

/// It goes in the middle, by the cut of the line and as a process; when it is back the same command completes.
#[test]
fn a_registry_that_goes_in_the_middle_is_gone_on_with_later() {
    let Some(mut registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let wire = Wire::to(registry.addr, 700_000);
    let to = format!("{}/m", wire.addr);
    // As patient as ever, in less time.
    let ran = inside.run_with("hurry", &line(&set, &to)).exits(20).says(&["REGISTRY_UNREACHABLE", "; waiting 1 s, then try "]);
    registry.stop();
    registry.start_again();
    let found = registry.inventory("m");
    assert!(found.tags.len() < ALL.len() && !found.blobs.is_empty(), "{}", ran.told());
    // The ledger is of the name the registry was reached by; this is another.
    let to = format!("{}/m", registry.host());
    let ran = inside.run(&[&line(&set, &to)[..], &["--json"]].concat()).exits(0);
    assert_eq!(registry.inventory("m"), outside.inventory(&ALL));
    assert!(ran.json()["sets"][0]["present"].as_u64().unwrap() > 0, "{}", ran.told());
}

#[test]
fn refusals_of_the_registry_are_told_apart() {
    let outside = Outside::new();
    let set = outside.pack("few", &["legacy:v1", "art/sbom:1"], &["--sequence", "1"]);
    if let Some(registry) = DockerRegistry::start(Options { readonly: true, ..Options::default() }) {
        let to = format!("{}/ro", registry.host());
        outside.inside().run(&line(&set, &to)).exits(22).says(&["PUSH_REFUSED"]);
    }
    for (status, code, exit, word) in
        [(401, "UNAUTHORIZED", 21, "LOGIN_REFUSED"), (403, "FORBIDDEN", 21, "LOGIN_REFUSED"), (403, "DENIED", 22, "PUSH_REFUSED")]
    {
        let registry = Lying::start(Guard::Open);
        registry.lie("POST", "/blobs/uploads/", 1000, Fault::Status(status, vec![], error(code)));
        outside.inside().run(&line(&set, &registry.host())).exits(exit).says(&[word]);
        assert!(registry.seen("PUT", "/manifests/v1").is_empty(), "{status}");
    }
}

/// One repository takes nothing: the images of the others come in.
#[test]
fn one_repository_that_refuses_costs_only_its_images() {
    let registry = Lying::start(Guard::Open);
    registry.lie("PUT", "/legacy/manifests/v1", 1000, Fault::Status(400, vec![], error("MANIFEST_INVALID")));
    let outside = Outside::new();
    let set = outside.set();
    let ran = outside.inside().run(&line(&set, &registry.host())).exits(22).says(&["legacy:v1", "6 of 7 images are in"]);
    assert_eq!(registry.seen("PUT", "/team/app/manifests/").len(), 2, "{}", ran.told());
}

#[test]
fn a_front_with_a_small_body_limit_is_got_round_by_pieces() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.pack("big", &["big/model:1", "legacy:v1"], &["--sequence", "1"]);
    let front = |limit: &'static str| {
        let upstream = registry.addr;
        Nginx::start(move |listen, _| {
            format!(
                "server {{ listen {listen}; client_max_body_size {limit}; location / {{ proxy_pass http://{upstream}; \
                 proxy_http_version 1.1; proxy_request_buffering off; proxy_set_header Host $http_host; }} }}"
            )
        })
    };
    let Some(million) = front("1m") else { return };
    outside.inside().run(&line(&set, &format!("{}/pieces", million.host()))).exits(0);
    assert_eq!(registry.inventory("pieces"), outside.inventory(&["big/model:1", "legacy:v1"]));
    let Some(tiny) = front("1k") else { return };
    let ran = outside.inside().run(&line(&set, &format!("{}/tiny", tiny.host()))).exits(22).says(&["PUSH_REFUSED", "client_max_body_size"]);
    let found = registry.inventory("tiny");
    assert_eq!(found.tags.len(), found.holds().len(), "{}", ran.told());
}

#[test]
fn a_front_that_asks_to_slow_down_is_obeyed() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let Some(front) = Nginx::limiting(registry.addr, 40, 20) else { return };
    let outside = Outside::new();
    outside.inside().run(&line(&outside.set(), &format!("{}/slow", front.host()))).exits(0);
    assert_eq!(registry.inventory("slow"), outside.inventory(&ALL));
}

/// Every tenth request fails; nobody notices.
#[test]
fn a_registry_that_stumbles_is_asked_again() {
    let registry = Lying::start(Guard::Open);
    for n in 0..40 {
        for method in ["HEAD", "POST", "PATCH", "PUT"] {
            registry.lie_after(9 + 10 * n, method, "/", 1, Fault::Status(500, vec![], String::new()));
        }
    }
    let outside = Outside::new();
    let ran = outside.inside().run(&line(&outside.set(), &registry.host())).exits(0);
    for image in ALL.map(|name| outside.made(name)) {
        let blobs = image.blobs.iter().filter(|d| registry.blob(&d.parse().unwrap()).is_none()).count();
        assert_eq!(blobs, 0, "{} {}", image.repository, ran.told());
    }
}

#[test]
fn a_certificate_for_another_name_is_not_taken() {
    let ca = Ca::new("the site");
    let (certificate, key) = ca.sign(&["registry.elsewhere.test"]);
    let tls = Some(Tls { certificate, key, client_ca: None });
    let Some(registry) = DockerRegistry::start(Options { tls, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.pack("few", &["legacy:v1"], &["--sequence", "1"]);
    let inside = outside.inside();
    let file = inside.path().join("ca.pem");
    fs::write(&file, &ca.pem).unwrap();
    let line = ["unpack", text(&set), "--to", &registry.host(), "--first", "--ca-file", text(&file)];
    inside.run(&line).exits(20).says(&["CERTIFICATE_UNTRUSTED"]);
    fs::write(&file, "no certificate").unwrap();
    inside.run(&line).exits(2).says(&[text(&file)]);
    // Whoever gives up verification gets through.
    inside.run(&["unpack", text(&set), "--to", &registry.host(), "--first", "--dest-tls-verify=false"]).exits(0);
}

/// Credentials and content never go out in the clear to a host that is not this one.
#[test]
fn plain_http_wants_to_be_asked_for() {
    let Some(registry) = DockerRegistry::start(Options { access_log: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.pack("few", &["legacy:v1"], &["--sequence", "1"]);
    let inside = outside.inside();
    let hosts = inside.path().join("hosts");
    fs::write(&hosts, "127.0.0.1 localhost registry.test\n").unwrap();
    let to = format!("registry.test:{}/p", registry.addr.port());
    let login = authfile(inside.path(), to.split('/').next().unwrap(), "ann", PASSWORD);
    let run = |more: &[&str]| {
        let mut command = inside.command("unshare");
        command.args(["-m", "sh", "-ec", r#"mount --bind "$0" /etc/hosts && exec "$@""#, text(&hosts)]);
        command.args([env!("CARGO_BIN_EXE_sealift"), "unpack", text(&set), "--to", &to, "--first", "--authfile", text(&login)]).args(more);
        Home::ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    if !Command::new("unshare").args(["-m", "mount", "--bind", text(&hosts), "/etc/hosts"]).status().is_ok_and(|s| s.success()) {
        return skip("nothing can be mounted here");
    }
    run(&[]).exits(20).says(&["--dest-tls-verify=false"]);
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
    run(&["--dest-tls-verify=false"]).exits(0);
}

/// An index of which one platform is in the set: a registry that takes no incomplete index gets the platform's image.
#[test]
fn an_incomplete_index_is_stood_for_by_its_only_member() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let web = outside.made("deep/er/web:1");
    let one = outside.pack("one", &["deep/er/web:1", "legacy:v1"], &["--sequence", "1", "--platform", "linux/amd64"]);
    let inside = outside.inside();
    let receipt = inside.path().join("receipt.json");
    let to = format!("{}/one", registry.host());
    let line_one = [&line(&one, &to)[..], &["--receipt", text(&receipt)]].concat();
    inside.run(&line_one).exits(0);
    let found = registry.inventory("one");
    assert_eq!(found.tags["deep/er/web:1"], web.manifests[0]);
    let document: Value = serde_json::from_slice(&fs::read(&receipt).unwrap()).unwrap();
    let entry = document["images"].as_array().unwrap().iter().find(|i| i["repository"] == "deep/er/web").unwrap().clone();
    assert_eq!(entry["digest"], web.root.as_str());
    assert!(entry["completeness"].to_string().contains(&web.manifests[0]), "{entry}");
    inside.run(&line_one).exits(0).says(&["was there: deep/er/web:1"]);

    let two = outside.pack(
        "two",
        &["deep/er/web:1", "legacy:v1"],
        &["--sequence", "2", "--platform", "linux/amd64", "--platform", "linux/arm64"],
    );
    let to = format!("{}/two", registry.host());
    let ran = inside.run(&line(&two, &to)).exits(22).says(&["PUSH_REFUSED", "FEATURE_SPARSE_INDEX", "deep/er/web:1"]);
    let found = registry.inventory("two");
    assert!(found.tags.contains_key("legacy:v1") && !found.tags.contains_key("deep/er/web:1"), "{}", ran.told());
    // A registry that takes them gets the index itself.
    let lax = Lying::start(Guard::Open);
    inside.run(&line(&two, &lax.host())).exits(0);
    let put = lax.seen("PUT", "/deep/er/web/manifests/1");
    assert_eq!(put.len(), 1);
    let ran = inside.run(&[&line(&two, &lax.host())[..], &["--json"]].concat()).exits(0);
    assert_eq!(ran.json()["sets"][0]["done"][0]["wasThere"], json!(true), "{}", ran.told());
}
