//! The registry client against a registry that lies.

use crate::support::lying::{Fault, Guard, Lying};
use crate::support::servers::Port;
use crate::support::store_suite::{self, blob, bytes, get, put};
use sealift::blob::{BlobSink, open_verified};
use sealift::oci::media;
use sealift::registry::credentials::{Credential, CredentialError, CredentialLookup};
use sealift::registry::{Client, Error, ManifestRef, Options, Reason, Repository, Timing};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zeroize::Zeroizing;

/// Waits short enough for tests, with the shape of the real ones.
pub fn quick() -> Timing {
    Timing {
        connect: Duration::from_secs(5),
        // Far longer than a busy machine keeps a server from answering: a request given up for that would be one too many.
        stall: Duration::from_secs(10),
        commit: Duration::from_secs(20),
        tries: 4,
        retry_base: Duration::from_millis(5),
        retry_cap: Duration::from_millis(50),
        retry_after_cap: Duration::from_millis(300),
        outage: Duration::ZERO,
        pulls_base: Duration::from_millis(200),
    }
}

/// As [`quick`], for tests that wait for silence to be given up, after so many seconds.
pub fn impatient(seconds: u64) -> Timing {
    Timing { stall: Duration::from_secs(seconds), ..quick() }
}

/// One login for everything.
pub struct Login(pub &'static str, pub &'static str);

impl CredentialLookup for Login {
    fn lookup(&self, _: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        let secret = Zeroizing::new(self.1.to_owned());
        Ok(Some(match self.0 {
            "" => Credential::IdentityToken(secret),
            user => Credential::Basic { username: user.to_owned(), password: secret },
        }))
    }
}

pub fn options() -> Options {
    Options { timing: quick(), ..Options::default() }
}

pub fn with_login(user: &'static str, password: &'static str) -> Options {
    Options { credentials: Arc::new(Login(user, password)), ..options() }
}

pub fn at(server: &Lying, options: Options) -> Repository {
    Client::new(options).unwrap().repository(&server.host(), "a/b")
}

pub fn open(guard: Guard) -> (Lying, Repository) {
    let server = Lying::start(guard);
    let repository = at(&server, options());
    (server, repository)
}

pub fn tag(name: &str) -> ManifestRef {
    ManifestRef::Tag(name.to_owned())
}

/// What reading a blob through the check failed with.
pub fn failure(repository: &Repository, content: &[u8]) -> Error {
    match open_verified(repository, &blob(content)).map(|mut r| r.read_to_end(&mut Vec::new())) {
        Err(error) => error,
        Ok(Err(error)) => *error.into_inner().unwrap().downcast::<Error>().unwrap(),
        Ok(Ok(_)) => panic!("the blob can be read"),
    }
}

#[test]
fn an_honest_registry_is_a_store() {
    let (_server, repository) = open(Guard::Open);
    store_suite::all(&repository);
}

#[test]
fn connections_are_used_again() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    server.set_tags("a/b", &[Some("x")]);
    for seed in 40..50 {
        let content = bytes(seed, 300_000);
        assert!(!repository.has(&blob(&content)).unwrap());
        put(&repository, &blob(&content), &content).unwrap();
        assert_eq!(get(&repository, &blob(&content)), content);
        repository.put_manifest(b"{}", media::OCI_INDEX, &tag("t")).unwrap();
        repository.manifest(&tag("t")).unwrap();
        assert!(repository.head_manifest(&tag("none")).unwrap().is_none());
        repository.tags().unwrap();
    }
    // One try of TLS, and one each for small requests and blobs; one more where an answer overtakes the end of its request.
    assert!(server.connections() <= 5, "{} connections", server.connections());
}

#[test]
fn warnings_are_passed_on_once_per_host() {
    let server = Lying::start(Guard::Open);
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = heard.clone();
    let repository = at(&server, Options { warn: Arc::new(move |line: &str| into.lock().unwrap().push(line.to_owned())), ..options() });
    server.set_tags("a/b", &[Some("x")]);
    server.lie("GET", "/tags/", 2, Fault::Header("warning", Some("299 - \"going away\"".into())));
    repository.tags().unwrap();
    repository.tags().unwrap();
    assert_eq!(*heard.lock().unwrap(), [format!("{}: going away", server.host())]);
}

#[test]
fn hosts_that_are_none() {
    let client = Client::new(options()).unwrap();
    let nobody = Port::free();
    let gone = client.repository(&nobody.to_string(), "a").tags();
    assert!(matches!(gone, Err(Error::Unreachable { reason: Reason::Refused, plain: true, .. })), "the last way that was tried: {gone:?}");
    for host in ["a b", "x/y", "alice:secret@localhost", "localhost?x", ""] {
        let bad = client.repository(host, "a").tags();
        assert!(matches!(bad, Err(Error::BadHost { .. })), "{host}: {bad:?}");
    }
    let (server, repository) = open(Guard::Open);
    server.lie("GET", "/v2/", 1, Fault::Status(404, vec![], "<html>nginx</html>".into()));
    assert!(matches!(repository.ping(), Err(Error::NotARegistry { plain: true, .. })));
    repository.ping().unwrap();
    // A proxy that wants a login of its own, or a web server with one page for all that is asked of it.
    let page = "\n<!DOCTYPE html><html><body>Sign in first</body></html>";
    for (status, body) in [(200, page), (405, ""), (410, "gone")] {
        let (server, repository) = open(Guard::Open);
        server.lie("GET", "/v2/", 1, Fault::Status(status, vec![("content-type", "text/html".into())], body.into()));
        match repository.ping() {
            Err(Error::NotARegistry { answer, .. }) if status == 200 => assert_eq!(answer.message, "Sign in first"),
            Err(Error::NotARegistry { answer, .. }) => assert_eq!(answer.status, status),
            other => panic!("{status}: {other:?}"),
        }
    }
    // Quay says so of a word.
    let (server, repository) = open(Guard::Open);
    server.lie("GET", "/v2/", 1, Fault::Status(200, vec![("content-type", "text/html; charset=utf-8".into())], "true".into()));
    repository.ping().unwrap();
}

/// The fault plan is one for the whole process, so this test runs in one of its own.
#[test]
fn every_request_passes_the_fault_point_without_secrets() {
    const CHILD: &str = "SEALIFT_TEST_FAULT_POINTS";
    if std::env::var_os(CHILD).is_none() {
        let name = "registry_client::every_request_passes_the_fault_point_without_secrets";
        let child = std::process::Command::new(std::env::current_exe().unwrap()).args(["--exact", name]).env(CHILD, "1").output().unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[Some("1"), Some("2"), Some("3")]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = seen.clone();
    sealift::fault::install(Some(Box::new(move |operation, subject| {
        into.lock().unwrap().push(format!("{operation} {subject}"));
        // A request that fails here has not been sent.
        if subject.ends_with("/v2/x/tags/list") { Err(std::io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    })));
    repository.tags().unwrap();
    let content = bytes(35, 2_000_000);
    put(&repository, &blob(&content), &content).unwrap();
    let failed = Client::new(options()).unwrap().repository(&server.host(), "x").tags();
    assert!(matches!(failed, Err(Error::Unreachable { reason: Reason::Lost(_), .. })));
    sealift::fault::install(None);
    assert!(server.seen("GET", "/v2/x/").is_empty());
    let seen = seen.lock().unwrap();
    let count = |method: &str| seen.iter().filter(|line| line.starts_with(&format!("http {method} http://{}/v2/", server.host()))).count();
    assert_eq!((count("POST"), count("PATCH"), count("PUT")), (1, 1, 1));
    assert!(seen.contains(&format!("http GET http://{}/v2/a/b/tags/list", server.host())));
    assert!(seen.iter().all(|line| !line.contains('?')));
}
