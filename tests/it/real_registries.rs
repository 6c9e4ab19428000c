//! Every kind of docker-registry and of front before it, in both directions: a set is unpacked into it, and packed from it again.

use crate::support::inside::{ALL, Home, Outside, authfile, medium, text, volumes};
use crate::support::lying::{Guard, Lying};
use crate::support::run::copy_folder;
use crate::support::servers::{Auth, Ca, DockerRegistry, Nginx, Options as Server, Tls, TokenSigner};
use serde_json::Value;
use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What goes round: every kind of image.
struct Round {
    outside: Outside,
    set: PathBuf,
    names: Vec<&'static str>,
    /// The newest sequence of the packing host.
    sequence: Cell<u32>,
}

impl Round {
    fn new() -> Round {
        Round::of(&ALL)
    }

    fn of(names: &[&'static str]) -> Round {
        let outside = Outside::new();
        let set = outside.pack("round", names, &["--sequence", "100", "--volume-size", "300KiB"]);
        Round { outside, set, names: names.to_vec(), sequence: Cell::new(100) }
    }

    /// Unpacks into `to` with these words; ends well, and quietly.
    fn bring(&self, inside: &Home, to: &str, more: &[&str]) {
        let words = ["unpack", text(&self.set), "--to", to, "--first"];
        inside.run(&[&words[..], more].concat()).exits(0);
    }

    /// Packs what is below `from`: the same digests, whole.
    fn fetch(&self, from: &str, more: &[&str]) {
        let out = self.outside.folder(&format!("again-{}", from.replace([':', '.', '/'], "-")));
        let wishes: Vec<String> =
            self.names.iter().map(|name| self.outside.made(name)).map(|i| format!("{from}/{}:{}", i.repository, i.tag)).collect();
        self.sequence.set(self.sequence.get() + 1);
        let sequence = self.sequence.get().to_string();
        let mut words = vec!["pack", "--key", "site", "--no-sync", "--sequence", &sequence];
        words.extend(more);
        words.extend(wishes.iter().map(String::as_str));
        words.push(text(&out));
        self.outside.home.run(&words).exits(0);
        let set = self.outside.home.run(&["inspect", text(&out), "--json"]).exits(0).json();
        let mut found: Vec<&str> = set["sets"][0]["images"].as_array().unwrap().iter().map(|i| i["digest"].as_str().unwrap()).collect();
        let mut wanted: Vec<&str> = self.names.iter().map(|name| self.outside.made(name).root.as_str()).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{from}");
        self.outside.home.run(&["verify", text(&out), "--deep"]).exits(0);
    }

    #[track_caller]
    fn is_in(&self, registry: &DockerRegistry, prefix: &str) {
        assert_eq!(registry.inventory(prefix), self.outside.inventory(&self.names));
    }

    /// Both directions, without TLS.
    fn around(&self, registry: &DockerRegistry, front: SocketAddr) {
        self.around_with(registry, front, &[]);
    }

    /// As [`Round::around`], logged in.
    fn around_as_alice(&self, registry: &DockerRegistry, front: SocketAddr) {
        let login = authfile(self.outside.home.path(), &front.to_string(), "alice", "secret");
        self.around_with(registry, front, &["--authfile", text(&login)]);
    }

    fn around_with(&self, registry: &DockerRegistry, front: SocketAddr, more: &[&str]) {
        let to = format!("{front}/x");
        self.bring(&self.outside.inside(), &to, &[&["--dest-tls-verify=false"], more].concat());
        self.is_in(registry, "x");
        self.fetch(&to, &[&["--src-tls-verify=false"], more].concat());
    }
}

/// A front before `upstream` with these lines in its server block.
fn front(upstream: SocketAddr, http: &str, server: &str) -> Option<Nginx> {
    Nginx::start(|listen, _| {
        format!(
            "{http}\nserver {{ listen {listen}; {server} location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; \
             proxy_request_buffering off; proxy_set_header Host $http_host; }} }}"
        )
    })
}

#[test]
fn an_open_one_and_one_with_relative_locations() {
    for relative_urls in [false, true] {
        let Some(registry) = DockerRegistry::start(Server { delete: true, relative_urls, ..Server::default() }) else { return };
        Round::new().around(&registry, registry.addr);
    }
}

#[test]
fn one_that_wants_a_password_and_a_client_certificate() {
    let ca = Ca::new("the site");
    let (certificate, key) = ca.sign(&["127.0.0.1"]);
    let tls = Some(Tls { certificate, key, client_ca: Some(ca.pem.clone()) });
    let auth = Auth::Htpasswd { user: "alice".into(), password: "secret".into() };
    let Some(registry) = DockerRegistry::start(Server { delete: true, tls, auth, ..Server::default() }) else { return };
    let round = Round::new();
    let inside = round.outside.inside();
    let (certificate, key) = ca.sign(&["alice"]);
    let file = |name: &str, content: &str| {
        let path = inside.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let (ca, certificate, key) = (file("ca.pem", &ca.pem), file("alice.crt", &certificate), file("alice.key", &key));
    let login = authfile(inside.path(), &registry.host(), "alice", "secret");
    let to = format!("{}/x", registry.host());
    let known = ["--ca-file", text(&ca), "--authfile", text(&login)];
    let shown = [&known[..], &["--client-cert", text(&certificate), "--client-key", text(&key)]].concat();
    // Both are wanted, and what is missing is named.
    let line = ["unpack", text(&round.set), "--to", &to, "--first"];
    inside.run(&[&line[..], &known].concat()).exits(20).says(&["CERTIFICATE_UNTRUSTED", "--client-cert"]);
    round.bring(&inside, &to, &shown);
    round.is_in(&registry, "x");
    round.fetch(&to, &shown);
    let image = format!("{to}/legacy:v1");
    let plan = ["plan", &image];
    inside.run(&[&plan[..], &known].concat()).exits(20).says(&["CERTIFICATE_UNTRUSTED", "--client-cert"]);
}

#[test]
fn one_that_wants_tokens() {
    let (service, signer) = (Lying::start(Guard::Bearer), TokenSigner::new());
    let auth = Auth::Token { realm: format!("http://{}/token", service.host()), certificate: signer.certificate.clone() };
    let Some(registry) = DockerRegistry::start(Server { delete: true, auth, ..Server::default() }) else { return };
    service.issue_with(Box::new(move |user, scopes| signer.token(user, scopes)));
    let round = Round::new();
    round.around_as_alice(&registry, registry.addr);
    let image = format!("{}/x/legacy:v1", registry.host());
    round.outside.inside().run(&["plan", &image, "--src-tls-verify=false"]).exits(21).says(&["LOGIN_REFUSED", "podman login"]);
}

/// Read-only, it serves what it has; a push ends at its first question, and says which setting it is.
#[test]
fn one_that_is_only_read() {
    let Some(filled) = DockerRegistry::start(Server::default()) else { return };
    let Some(registry) = DockerRegistry::start(Server { readonly: true, access_log: true, ..Server::default() }) else { return };
    let round = Round::new();
    round.bring(&round.outside.inside(), &format!("{}/x", filled.host()), &["--dest-tls-verify=false"]);
    copy_folder(&filled.data(), &registry.data());
    round.fetch(&format!("{}/x", registry.host()), &["--src-tls-verify=false"]);
    let writes = || registry.requests().iter().filter(|(method, _)| !matches!(method.as_str(), "GET" | "HEAD")).count();
    assert_eq!(writes(), 0);
    let inside = round.outside.inside();
    let to = format!("{}/other", registry.host());
    let line = ["unpack", text(&round.set), "--to", &to, "--first", "--dest-tls-verify=false", "--preflight-above", "100KB"];
    inside.run(&line).exits(22).says(&["PUSH_REFUSED", "read-only"]);
    assert_eq!(writes(), 1, "one question before the night's work");
    inside.run(&[&line[..], &["--no-preflight"]].concat()).exits(22).says(&["PUSH_REFUSED", "read-only"]);
}

/// Nothing can be removed: what was held for a while ends as artifacts that hold nothing, and all images are there.
#[test]
fn one_that_deletes_nothing() {
    let Some(registry) = DockerRegistry::start(Server::default()) else { return };
    let round = Round::new();
    let (inside, to) = (round.outside.inside(), format!("{}/x", registry.host()));
    let names = volumes(&round.set);
    let half: Vec<&str> = names.iter().take(names.len() / 2).map(String::as_str).collect();
    let first = medium(&round.set, &half);
    let line =
        |set: &std::path::Path| ["unpack", set.to_str().unwrap(), "--to", &to, "--dest-tls-verify=false", "--first"].map(str::to_owned);
    let run = |set: &std::path::Path| {
        let words = line(set);
        inside.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    run(first.path()).exits(3);
    assert!(!registry.inventory("x").holds().is_empty());
    run(&round.set).exits(0).never_says("warning");
    let (found, made) = (registry.inventory("x"), round.outside.inventory(&ALL));
    assert_eq!(found.blobs, made.blobs);
    let real: Vec<_> = found.tags.iter().filter(|(name, _)| !name.contains(":sealift-hold-")).collect();
    assert_eq!(real, made.tags.iter().collect::<Vec<_>>());
    assert!(!found.holds().is_empty());
    for name in found.holds() {
        let hex = found.tags[name].strip_prefix("sha256:").unwrap();
        let path = registry.data().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data");
        let hold: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        assert_eq!(hold["layers"], Value::Array(vec![]), "{name}");
    }
    // What holds nothing is not written again.
    run(&round.set).exits(0).never_says("warning");
    assert_eq!(registry.inventory("x"), found);
    round.fetch(&to, &["--src-tls-verify=false"]);
}

/// A pull-through cache serves as the source it stands for. It takes no push, and is named as what it is.
#[test]
fn a_pull_through_cache_is_a_source_and_no_target() {
    let Some(origin) = DockerRegistry::start(Server { access_log: true, ..Server::default() }) else { return };
    let proxy = Some(format!("http://{}", origin.host()));
    let Some(cache) = DockerRegistry::start(Server { proxy, access_log: true, ..Server::default() }) else { return };
    let round = Round::new();
    round.bring(&round.outside.inside(), &format!("{}/x", origin.host()), &["--dest-tls-verify=false"]);
    round.fetch(&format!("{}/x", cache.host()), &["--src-tls-verify=false"]);
    // What the source does not have is missing, though the cache says that it failed.
    let (missing, other) = (format!("{}/x/team/app:none", cache.host()), format!("{}/x/none:1", cache.host()));
    for name in [&missing, &other] {
        round.outside.home.run(&["plan", name, "--src-tls-verify=false"]).exits(23).says(&["SOURCE_MISSING", name]);
    }
    let (inside, to) = (round.outside.inside(), format!("{}/x", cache.host()));
    // What is there already needs no push.
    let line = ["unpack", text(&round.set), "--to", &to, "--first", "--dest-tls-verify=false", "--no-registry-receipt"];
    inside.run(&line).exits(0).says(&["was there: team/app:1"]);
    let to = format!("{}/other", cache.host());
    let line = ["unpack", text(&round.set), "--to", &to, "--first", "--dest-tls-verify=false"];
    inside.run(&line).exits(22).says(&["PUSH_REFUSED", "proxy cache"]).never_says("500");
    inside.run(&["preflight", "--to", &to, "--dest-tls-verify=false"]).exits(22).says(&["push: ", "proxy cache"]);
    assert!(origin.requests().iter().all(|(method, path)| matches!(method.as_str(), "GET" | "HEAD") || !path.starts_with("/v2/other/")));
}

#[test]
fn behind_a_front_that_takes_bodies_of_a_mebibyte() {
    let Some(registry) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    let Some(nginx) = front(registry.addr, "", "client_max_body_size 1m;") else { return };
    Round::of(&["big/model:1", "team/app:1"]).around(&registry, nginx.addr);
}

#[test]
fn behind_a_front_that_takes_five_requests_a_second() {
    let Some(registry) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    let zone = "limit_req_zone $binary_remote_addr zone=p:1m rate=5r/s;";
    for patience in ["add_header Retry-After 1 always;", ""] {
        let slow = format!(
            "client_max_body_size 0; limit_req zone=p burst=3 nodelay; limit_req_status 429; error_page 429 = @slow; \
             location @slow {{ {patience} return 429 'slow down'; }}"
        );
        let Some(nginx) = front(registry.addr, zone, &slow) else { return };
        let round = Round::of(&["legacy:v1"]);
        let (inside, to) = (round.outside.inside(), format!("{}/x{}", nginx.host(), patience.len()));
        round.bring(&inside, &to, &["--dest-tls-verify=false"]);
        round.is_in(&registry, &format!("x{}", patience.len()));
        round.fetch(&to, &["--src-tls-verify=false"]);
    }
}

/// Without X-Forwarded-Proto the registry takes itself for one of plain HTTP, and sends uploads there.
#[test]
fn behind_a_front_that_does_not_tell_the_scheme() {
    let Some(registry) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    let ca = Ca::new("the site");
    let (certificate, key) = ca.sign(&["127.0.0.1"]);
    let upstream = registry.addr;
    let nginx = Nginx::start(|listen, folder| {
        fs::write(folder.join("tls.pem"), format!("{certificate}{key}")).unwrap();
        let pem = folder.join("tls.pem").display().to_string();
        format!(
            "server {{ listen {listen} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; client_max_body_size 0; \
             location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }} }}"
        )
    });
    let Some(nginx) = nginx else { return };
    let round = Round::new();
    let inside = round.outside.inside();
    let file = inside.path().join("ca.pem");
    fs::write(&file, &ca.pem).unwrap();
    let to = format!("{}/x", nginx.host());
    let line = ["unpack", text(&round.set), "--to", &to, "--first", "--ca-file", text(&file)];
    inside.run(&line).exits(0).says(&["warning: ", "X-Forwarded-Proto"]);
    round.is_in(&registry, "x");
    round.fetch(&to, &["--ca-file", text(&file)]);
}

/// Blobs lie elsewhere, and whoever sends a login along is refused there.
#[test]
fn behind_a_front_that_sends_to_a_store_of_blobs() {
    let auth = Auth::Htpasswd { user: "alice".into(), password: "secret".into() };
    let Some(registry) = DockerRegistry::start(Server { auth, delete: true, ..Server::default() }) else { return };
    let data = registry.data().join("docker/registry/v2/blobs").display().to_string();
    let store = Nginx::start(|listen, _| {
        format!(
            "server {{ listen {listen}; if ($http_authorization) {{ return 400 'login leaked'; }} location /cdn/ {{ alias {data}/; }} }}"
        )
    });
    let Some(store) = store else { return };
    let (upstream, to) = (registry.addr, store.addr);
    let redirect = format!(
        "client_max_body_size 0; location ~ ^/v2/(.+)/blobs/sha256:(..)([0-9a-f]+)$ {{ if ($request_method = GET) \
         {{ return 307 http://{to}/cdn/sha256/$2/$2$3/data?sig=abc; }} proxy_pass http://{upstream}; proxy_set_header Host $http_host; }}"
    );
    let Some(nginx) = front(upstream, "", &redirect) else { return };
    Round::new().around_as_alice(&registry, nginx.addr);
}

/// Everything is there already: heads of manifests, few for each image, and nothing else but the receipt's own.
#[test]
fn a_set_that_is_there_costs_questions_only() {
    let Some(mut registry) = DockerRegistry::start(Server { delete: true, access_log: true, ..Server::default() }) else { return };
    let round = Round::new();
    let to = format!("{}/x", registry.host());
    let tls = ["--dest-tls-verify=false"];
    round.bring(&round.outside.inside(), &to, &tls);
    // A host that has never heard of it.
    registry.start_again();
    let other = round.outside.inside();
    round.bring(&other, &to, &tls);
    let asked: Vec<_> =
        registry.requests().into_iter().filter(|(_, path)| path != "/v2/" && !path.contains("/sealift/receipts/")).collect();
    assert!(asked.iter().all(|(method, path)| method == "HEAD" && path.contains("/manifests/")), "{asked:?}");
    // One for each tag; a host that has held nothing does not ask what is held.
    assert_eq!(asked.len(), ALL.len(), "{asked:?}");
}
