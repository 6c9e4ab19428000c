//! The registry client against real servers: docker-registry and nginx.

use crate::registry_client::{Login, quick};
use crate::support::lying::{Guard, Lying};
use crate::support::servers::{Auth, Ca, DockerRegistry, Nginx, Options as Server, Tls, TokenSigner};
use crate::support::store_suite::{self, blob, bytes, get, put};
use sealift::blob::BlobSink;
use sealift::digest::Digest;
use sealift::oci::media;
use sealift::registry::certs::{TlsError, TlsLookup, TlsSettings};
use sealift::registry::{Client, Error, ManifestRef, Missing, Options, Reason, Repository};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zeroize::Zeroizing;

/// One set of certificates for everything.
struct Certs {
    ca: Option<String>,
    identity: Option<String>,
}

impl TlsLookup for Certs {
    fn for_host(&self, _: &str) -> Result<TlsSettings, TlsError> {
        let extra_cas = self.ca.iter().map(|pem| pem.clone().into_bytes()).collect();
        let identity_pem = self.identity.as_ref().map(|pem| Zeroizing::new(pem.clone().into_bytes()));
        Ok(TlsSettings { extra_cas, identity_pem, verify: true })
    }
}

/// Retries as in the tests, but as patient as real servers need.
fn options() -> Options {
    let mut timing = quick();
    (timing.stall, timing.retry_after_cap, timing.tries) = (Duration::from_secs(20), Duration::from_secs(5), 8);
    (timing.retry_base, timing.retry_cap) = (Duration::from_millis(100), Duration::from_secs(2));
    Options { timing, ..Options::default() }
}

fn trusting(ca: &str, identity: Option<String>) -> Options {
    Options { tls: Arc::new(Certs { ca: Some(ca.to_owned()), identity }), ..options() }
}

fn with_login(user: &'static str, password: &'static str) -> Options {
    Options { credentials: Arc::new(Login(user, password)), ..options() }
}

fn at(host: &str, options: Options) -> Repository {
    Client::new(options).unwrap().repository(host, "a/b")
}

fn tag(name: &str) -> ManifestRef {
    ManifestRef::Tag(name.to_owned())
}

/// Pushes an image of one layer and returns its manifest.
fn push_image(repository: &Repository, name: &str) -> Vec<u8> {
    let (config, layer) = (br#"{"architecture":"amd64","os":"linux"}"#.to_vec(), bytes(name.len() as u64, 2_000_000));
    for content in [&config, &layer] {
        put(repository, &blob(content), content).unwrap();
    }
    let descriptor = |kind: &str, b: &[u8]| serde_json::json!({ "mediaType": kind, "digest": blob(b).digest, "size": b.len() });
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, &config), "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)] });
    let manifest = serde_json::to_vec_pretty(&manifest).unwrap();
    repository.put_manifest(&manifest, media::OCI_MANIFEST, &tag(name)).unwrap();
    manifest
}

/// Everything a registry is used for, once.
fn whole_life(host: &str, options: Options) {
    let client = Client::new(options).unwrap();
    let repository = client.repository(host, "a/b");
    repository.ping().unwrap();
    assert!(matches!(repository.tags(), Err(Error::NotFound { what: Missing::Repository, .. })));
    store_suite::all(&repository);
    let manifest = push_image(&repository, "v1");
    let digest = Digest::sha256(&manifest);
    assert_eq!(repository.manifest(&tag("v1")).unwrap().bytes, manifest);
    assert_eq!(repository.manifest(&digest.into()).unwrap().content_type.as_deref(), Some(media::OCI_MANIFEST));
    let head = repository.head_manifest(&tag("v1")).unwrap().unwrap();
    assert_eq!((head.digest, head.size), (digest, Some(manifest.len() as u64)));
    assert_eq!(repository.head_manifest(&tag("v2")).unwrap(), None);
    assert_eq!(repository.tags().unwrap(), ["v1"]);
    let other = client.repository(host, "c/d");
    let layer = blob(&bytes(2, 2_000_000));
    assert!(!other.has(&layer).unwrap() && other.mount(&layer, "a/b").unwrap() && other.has(&layer).unwrap());
    assert!(!other.mount(&blob(b"nowhere"), "a/b").unwrap());
    let lonely = other.put_manifest(&manifest, media::OCI_MANIFEST, &tag("v1"));
    assert!(matches!(lonely, Err(Error::BlobUnknown { .. })), "{lonely:?}");
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{digest}","size":{}}}]}}"#,
        media::OCI_INDEX,
        media::OCI_MANIFEST,
        manifest.len()
    );
    let sparse = other.put_manifest(index.as_bytes(), media::OCI_INDEX, &tag("v1"));
    assert!(matches!(sparse, Err(Error::ChildMissing { .. })), "{sparse:?}");
    repository.put_manifest(index.as_bytes(), media::OCI_INDEX, &tag("v2")).unwrap();
    repository.delete_manifest(&digest.into()).unwrap();
    repository.delete_manifest(&digest.into()).unwrap();
    assert!(matches!(repository.manifest(&digest.into()), Err(Error::NotFound { what: Missing::Manifest, .. })));
}

#[test]
fn an_open_registry() {
    let Some(server) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    whole_life(&server.host(), options());
}

#[test]
fn relative_locations() {
    let Some(server) = DockerRegistry::start(Server { delete: true, relative_urls: true, ..Server::default() }) else { return };
    whole_life(&server.host(), options());
}

#[test]
fn a_registry_with_passwords() {
    let auth = Auth::Htpasswd { user: "alice".into(), password: "secret".into() };
    let Some(server) = DockerRegistry::start(Server { delete: true, auth, ..Server::default() }) else { return };
    whole_life(&server.host(), with_login("alice", "secret"));
    assert!(matches!(at(&server.host(), options()).tags(), Err(Error::LoginRefused { credentials_sent: false, .. })));
    assert!(matches!(at(&server.host(), with_login("alice", "no")).tags(), Err(Error::LoginRefused { credentials_sent: true, .. })));
}

#[test]
fn a_registry_with_tokens() {
    let (service, signer) = (Lying::start(Guard::Bearer), TokenSigner::new());
    let auth = Auth::Token { realm: format!("http://{}/token", service.host()), certificate: signer.certificate.clone() };
    let Some(server) = DockerRegistry::start(Server { delete: true, auth, ..Server::default() }) else { return };
    service.issue_with(Box::new(move |user, scopes| signer.token(user, scopes)));
    whole_life(&server.host(), with_login("alice", "secret"));
    // A refresh token does as well; without login only what is public may be read.
    let public = Client::new(with_login("", "refresh-alice")).unwrap().repository(&server.host(), "public/x");
    push_image(&public, "v1");
    let anonymous = Client::new(options()).unwrap().repository(&server.host(), "public/x");
    assert_eq!(anonymous.tags().unwrap(), ["v1"]);
    let denied = put(&anonymous, &blob(b"x"), b"x");
    assert!(matches!(denied, Err(Error::LoginRefused { credentials_sent: false, .. })), "{denied:?}");
    assert!(matches!(at(&server.host(), options()).tags(), Err(Error::LoginRefused { .. })));
}

#[test]
fn a_registry_with_tls() {
    let ca = Ca::new("test ca");
    let (certificate, key) = ca.sign(&["localhost", "127.0.0.1"]);
    let tls = Some(Tls { certificate, key, client_ca: None });
    let Some(server) = DockerRegistry::start(Server { delete: true, tls, ..Server::default() }) else { return };
    whole_life(&server.host(), trusting(&ca.pem, None));
    // No certificate, no fallback to plain HTTP.
    let unknown = at(&server.host(), options()).ping();
    assert!(matches!(unknown, Err(Error::Unreachable { reason: Reason::UnknownCa, .. })), "{unknown:?}");
    let named = at(&server.host().replace("127.0.0.1", "127.0.0.2"), trusting(&ca.pem, None)).ping();
    assert!(matches!(named, Err(Error::Unreachable { reason: Reason::Refused | Reason::NameMismatch, .. })), "{named:?}");
    at(&server.host(), Options { verify_tls: false, ..options() }).ping().unwrap();
}

#[test]
fn certificates_for_other_names_are_refused() {
    let ca = Ca::new("test ca");
    let (certificate, key) = ca.sign(&["registry.test"]);
    let tls = Some(Tls { certificate, key, client_ca: None });
    let Some(server) = DockerRegistry::start(Server { tls, ..Server::default() }) else { return };
    let named = at(&server.host(), trusting(&ca.pem, None)).ping();
    assert!(matches!(named, Err(Error::Unreachable { reason: Reason::NameMismatch, .. })), "{named:?}");
}

#[test]
fn a_registry_that_wants_client_certificates() {
    let ca = Ca::new("test ca");
    let (certificate, key) = ca.sign(&["127.0.0.1"]);
    let tls = Some(Tls { certificate, key, client_ca: Some(ca.pem.clone()) });
    let Some(server) = DockerRegistry::start(Server { delete: true, tls, ..Server::default() }) else { return };
    let (certificate, key) = ca.sign(&["alice"]);
    whole_life(&server.host(), trusting(&ca.pem, Some(certificate + &key)));
    let nobody = at(&server.host(), trusting(&ca.pem, None)).ping();
    assert!(matches!(nobody, Err(Error::Unreachable { reason: Reason::ClientCertificate, .. })), "{nobody:?}");
}

#[test]
fn a_read_only_registry_and_one_that_deletes_nothing() {
    let Some(server) = DockerRegistry::start(Server { readonly: true, ..Server::default() }) else { return };
    assert!(matches!(put(&at(&server.host(), options()), &blob(b"x"), b"x"), Err(Error::Unsupported { .. })));
    let Some(server) = DockerRegistry::start(Server::default()) else { return };
    let repository = at(&server.host(), options());
    let digest = Digest::sha256(&push_image(&repository, "v1"));
    assert!(matches!(repository.delete_manifest(&digest.into()), Err(Error::Unsupported { .. })));
}

#[test]
fn a_proxy_that_limits_bodies() {
    let Some(server) = DockerRegistry::start(Server::default()) else { return };
    let upstream = server.addr;
    let front = Nginx::start(|listen, _| {
        format!(
            "server {{ listen {listen}; client_max_body_size 1m; location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; \
             proxy_request_buffering off; proxy_set_header Host $http_host; }} }}"
        )
    });
    let Some(front) = front else { return };
    let repository = at(&front.host(), options());
    for (seed, len) in [(1, 900_000), (2, 5_000_000), (3, 3_000_000)] {
        let content = bytes(seed, len);
        put(&repository, &blob(&content), &content).unwrap();
        assert_eq!(get(&repository, &blob(&content)), content);
    }
}

#[test]
fn a_proxy_that_limits_requests() {
    let Some(server) = DockerRegistry::start(Server::default()) else { return };
    let Some(front) = Nginx::limiting(server.addr, 5, 3) else { return };
    let repository = at(&front.host(), options());
    std::thread::scope(|scope| {
        for seed in 10..14 {
            let repository = &repository;
            scope.spawn(move || {
                let content = bytes(seed, 1_500_000);
                put(repository, &blob(&content), &content).unwrap();
                assert_eq!(get(repository, &blob(&content)), content);
            });
        }
    });
}

#[test]
fn blobs_behind_a_redirect_get_no_login() {
    let auth = Auth::Htpasswd { user: "alice".into(), password: "secret".into() };
    let Some(server) = DockerRegistry::start(Server { auth, ..Server::default() }) else { return };
    let cdn = Nginx::start(|listen, _| {
        let data = server.data().join("docker/registry/v2/blobs").display().to_string();
        format!(
            "server {{ listen {listen}; if ($http_authorization) {{ return 400 'login leaked'; }} location /cdn/ {{ alias {data}/; }} }}"
        )
    });
    let Some(cdn) = cdn else { return };
    let (upstream, to) = (server.addr, cdn.addr);
    let front = Nginx::start(|listen, _| {
        format!(
            "server {{ listen {listen}; client_max_body_size 0; \
             location ~ ^/v2/(.+)/blobs/sha256:(..)([0-9a-f]+)$ {{ if ($request_method = GET) {{ return 307 http://{to}/cdn/sha256/$2/$2$3/data?sig=abc; }} \
             proxy_pass http://{upstream}; proxy_set_header Host $http_host; }} \
             location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }} }}"
        )
    });
    let Some(front) = front else { return };
    let repository = at(&front.host(), with_login("alice", "secret"));
    let content = bytes(5, 3_000_000);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(get(&repository, &blob(&content)), content);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut repository.open_at(&blob(&content), 1_000_000).unwrap(), &mut rest).unwrap();
    assert_eq!(rest, content[1_000_000..]);
}

#[test]
fn a_tls_proxy_that_forgets_the_scheme() {
    let Some(server) = DockerRegistry::start(Server::default()) else { return };
    let ca = Ca::new("test ca");
    let (certificate, key) = ca.sign(&["127.0.0.1"]);
    let upstream = server.addr;
    let front = Nginx::start(|listen, folder| {
        std::fs::write(folder.join("tls.pem"), format!("{certificate}{key}")).unwrap();
        let pem = folder.join("tls.pem").display().to_string();
        format!(
            "server {{ listen {listen} ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; client_max_body_size 0; \
             location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }} }}"
        )
    });
    let Some(front) = front else { return };
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = heard.clone();
    let warn = Arc::new(move |line: &str| into.lock().unwrap().push(line.to_owned()));
    let repository = at(&front.host(), Options { warn, ..trusting(&ca.pem, None) });
    push_image(&repository, "v1");
    assert_eq!(heard.lock().unwrap().len(), 1, "said once");
}
