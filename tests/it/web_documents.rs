//! Documents by address: from a server that lies, behind a redirect, with a login, through a proxy.

use crate::registry_client::{Login, quick};
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::servers::{Ca, Port};
use sealift::registry::certs::{TlsError, TlsLookup, TlsSettings};
use sealift::registry::credentials::{Credential, CredentialError, CredentialLookup};
use sealift::registry::{Client, Options};
use sealift::web::{Get, Web, WebError};
use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const BASIC: &str = "Basic YWxpY2U6c2VjcmV0";

fn anonymous() -> Client {
    Client::new(Options { timing: quick(), ..Options::default() }).unwrap()
}

fn alice() -> Client {
    Client::new(Options { timing: quick(), credentials: Arc::new(Login("alice", "secret")), ..Options::default() }).unwrap()
}

fn get(client: &Client, url: &str) -> Result<Vec<u8>, WebError> {
    client.get(&Get { url, accept: "", limit: 1000, login: false })
}

fn with_login(client: &Client, url: &str) -> Result<Vec<u8>, WebError> {
    client.get(&Get { url, accept: "application/json", limit: 1000, login: true })
}

fn document(text: &str) -> Fault {
    Fault::Status(200, Vec::new(), text.to_owned())
}

fn moved_to(url: String) -> Fault {
    Fault::Status(302, vec![("location", url)], String::new())
}

fn at(server: &Lying, path: &str) -> String {
    format!("http://{}{path}", server.host())
}

/// The address of a server that gives these bytes for an answer, once.
fn raw_answer(bytes: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/doc", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let _ = stream.write_all(bytes.as_bytes());
    });
    url
}

#[test]
fn a_document_comes_whole() {
    let server = Lying::start(Guard::Open);
    server.lie("GET", "/doc", usize::MAX, document("hello"));
    assert_eq!(with_login(&anonymous(), &at(&server, "/a/doc?x=1#y")).unwrap(), b"hello");
    let seen = server.seen("GET", "");
    assert_eq!(seen.len(), 1, "no ping: what is asked is no registry");
    assert_eq!((seen[0].path.as_str(), seen[0].query.as_str(), seen[0].accept.as_deref()), ("/a/doc", "x=1", Some("application/json")));
}

#[test]
fn refusals_are_told_apart_without_query_and_login() {
    let server = Lying::start(Guard::Open);
    server.lie("GET", "/403", usize::MAX, Fault::Status(403, Vec::new(), "<h1>not \u{1b}[2Jyou</h1>".into()));
    server.lie("GET", "/410", usize::MAX, Fault::Status(410, Vec::new(), String::new()));
    server.lie("GET", "/400", usize::MAX, Fault::Status(400, Vec::new(), "x".repeat(5000)));
    server.lie("GET", "/204", usize::MAX, Fault::Status(204, Vec::new(), String::new()));
    let url = |path: &str| format!("http://bob:s3cret@{}{path}?sig=s3cret", server.host());
    let told = at(&server, "");
    let client = anonymous();
    assert_eq!(get(&client, &url("/404")), Err(WebError::NotFound(format!("{told}/404"))));
    assert_eq!(get(&client, &url("/410")), Err(WebError::NotFound(format!("{told}/410"))));
    let words = ": not \\u{1b}[2Jyou".to_owned();
    assert_eq!(get(&client, &url("/403")), Err(WebError::Refused { url: format!("{told}/403"), status: 403, words }));
    let long = get(&client, &url("/400")).unwrap_err();
    assert!(matches!(&long, WebError::Status { status: 400, words, .. } if words.len() < 400), "{long}");
    assert!(matches!(get(&client, &url("/204")), Err(WebError::Status { status: 204, .. })), "only 200 is a document");
    assert_eq!(server.seen("GET", "").len(), 5, "none of these is asked twice");
}

#[test]
fn what_may_pass_is_asked_again() {
    let server = Lying::start(Guard::Open);
    for fault in [
        Fault::Status(503, Vec::new(), String::new()),
        Fault::Status(429, vec![("retry-after", "0".into())], String::new()),
        Fault::Close,
        Fault::Silence,
    ] {
        server.lie("GET", "/doc", 1, fault);
        server.lie_after(0, "GET", "/doc", 1, document("late"));
        assert_eq!(get(&anonymous(), &at(&server, "/doc")).unwrap(), b"late");
    }
    server.lie("GET", "/down", usize::MAX, Fault::Status(502, Vec::new(), "maintenance".into()));
    let error = get(&anonymous(), &at(&server, "/down")).unwrap_err();
    assert_eq!(error, WebError::Status { url: at(&server, "/down"), status: 502, words: ": maintenance".into() });
    assert_eq!(server.seen("GET", "/down").len(), 4, "as often as the client's patience says");
}

#[test]
fn nobody_there_is_told_with_a_reason() {
    let nobody = Port::free();
    let gone = format!("http://{nobody}/doc");
    let error = get(&anonymous(), &gone).unwrap_err();
    assert!(matches!(&error, WebError::Unreachable { url, why } if *url == gone && why == "connection refused"), "{error}");
}

#[test]
fn a_document_without_end_is_cut() {
    let server = Lying::start(Guard::Open);
    let digest = server.add_blob(&[b'x'; 1001]);
    let exact = server.add_blob(&[b'x'; 1000]);
    let path = |d: &sealift::digest::Digest| at(&server, &format!("/v2/a/blobs/{d}"));
    let too_long = || Err(WebError::TooLong { url: path(&digest), limit: 1000 });
    assert_eq!(get(&anonymous(), &path(&exact)).unwrap().len(), 1000);
    assert_eq!(get(&anonymous(), &path(&digest)), too_long());
    // The same without an announced length, in chunks without end, and announced far too long without coming.
    let endless = "3e8\r\n".to_owned() + &"x".repeat(1000) + "\r\n3e8\r\n" + &"x".repeat(500);
    for raw in [
        "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"x".repeat(1001),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned() + &endless,
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\nx".to_owned(),
    ] {
        let url = raw_answer(raw);
        assert_eq!(get(&anonymous(), &url), Err(WebError::TooLong { url: url.clone(), limit: 1000 }));
    }
    // Announced shorter than it is, it ends where it was announced to end; what follows is not taken for another answer.
    assert_eq!(
        get(&anonymous(), &raw_answer("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n".into())).unwrap(),
        b"abc"
    );
}

#[test]
fn a_document_that_breaks_off_is_none() {
    let server = Lying::start(Guard::Open);
    let digest = server.add_blob(&[b'x'; 900]);
    let url = at(&server, &format!("/v2/a/blobs/{digest}"));
    server.lie("GET", "/blobs/", 2, Fault::Cut(500));
    assert_eq!(get(&anonymous(), &url).unwrap().len(), 900);
    server.lie("GET", "/blobs/", usize::MAX, Fault::Cut(500));
    assert!(matches!(get(&anonymous(), &url), Err(WebError::Unreachable { .. })));
}

#[test]
fn redirects_are_followed_and_do_not_go_in_circles() {
    let (one, two) = (Lying::start(Guard::Open), Lying::start(Guard::Open));
    one.lie("GET", "/doc", usize::MAX, moved_to(at(&two, "/moved?signature=abc")));
    two.lie("GET", "/moved", usize::MAX, document("moved"));
    assert_eq!(get(&anonymous(), &at(&one, "/doc")).unwrap(), b"moved");
    assert_eq!(two.seen("GET", "/moved")[0].query, "signature=abc");
    one.lie("GET", "/circle", usize::MAX, moved_to(at(&one, "/circle")));
    assert!(matches!(get(&anonymous(), &at(&one, "/circle")), Err(WebError::Unreachable { why, .. }) if why.contains("not followed")));
    one.lie("GET", "/file", usize::MAX, moved_to("file:///etc/passwd".into()));
    assert!(get(&anonymous(), &at(&one, "/file")).is_err());
    // What the place of the redirect answers is told as its words.
    one.lie("GET", "/away", usize::MAX, moved_to(at(&two, "/refused")));
    two.lie("GET", "/refused", usize::MAX, Fault::Status(403, Vec::new(), "expired".into()));
    let error = get(&anonymous(), &at(&one, "/away")).unwrap_err();
    assert_eq!(error, WebError::Refused { url: at(&one, "/away"), status: 403, words: format!(": {} said expired", two.host()) });
}

#[test]
fn a_login_goes_to_its_own_host_only() {
    let (own, other) = (Lying::start(Guard::Open), Lying::start(Guard::Open));
    own.lie("GET", "/doc", usize::MAX, document("d"));
    own.lie("GET", "/away", usize::MAX, moved_to(at(&other, "/there")));
    other.lie("GET", "/there", usize::MAX, moved_to(at(&own, "/doc")));
    assert_eq!(with_login(&alice(), &at(&own, "/doc")).unwrap(), b"d");
    assert_eq!(own.seen("GET", "/doc")[0].authorization.as_deref(), Some(BASIC));
    with_login(&alice(), &at(&own, "/away")).unwrap();
    assert_eq!(own.seen("GET", "/away")[0].authorization.as_deref(), Some(BASIC));
    assert_eq!(other.seen("GET", "/there")[0].authorization, None, "another port is another host");
    assert_eq!(own.seen("GET", "/doc")[1].authorization, None, "what another host asked for is not asked in one's own name");
    get(&alice(), &at(&own, "/doc")).unwrap();
    assert_eq!(own.seen("GET", "/doc")[2].authorization, None, "no login where none was wanted");
}

#[test]
fn a_login_in_the_address_is_used() {
    let (own, other) = (Lying::start(Guard::Open), Lying::start(Guard::Open));
    own.lie("GET", "/away", usize::MAX, moved_to(format!("http://mallory:x@{}/there", other.host())));
    other.lie("GET", "/there", usize::MAX, document("d"));
    get(&anonymous(), &format!("http://alice:secret@{}/away", own.host())).unwrap();
    assert_eq!(own.seen("GET", "/away")[0].authorization.as_deref(), Some(BASIC));
    assert_eq!(other.seen("GET", "/there")[0].authorization, None, "nor is a login taken from a redirect");
}

/// The login of one host; any other is asked for as often as it is.
struct Only(String);

impl CredentialLookup for Only {
    fn lookup(&self, host: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        assert_eq!(host, self.0);
        Login("alice", "secret").lookup(host, "")
    }
}

#[test]
fn the_login_looked_up_is_that_of_host_and_port() {
    let server = Lying::start(Guard::Basic);
    let client = Client::new(Options { timing: quick(), credentials: Arc::new(Only(server.host())), ..Options::default() }).unwrap();
    assert_eq!(with_login(&client, &at(&server, "/v2/")).unwrap(), b"{}");
}

#[test]
fn a_person_who_stops_is_obeyed() {
    let server = Lying::start(Guard::Open);
    server.lie("GET", "/doc", usize::MAX, Fault::Silence);
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let options = Options { timing: quick(), cancelled: Arc::new(move || seen.load(Ordering::Relaxed)), ..Options::default() };
    let client = Client::new(options).unwrap();
    stop.store(true, Ordering::Relaxed);
    assert_eq!(get(&client, &at(&server, "/doc")), Err(WebError::Cancelled));
}

/// TLS settings as the registries' folders give them.
struct Trusting(Vec<u8>);

impl TlsLookup for Trusting {
    fn for_host(&self, _: &str) -> Result<TlsSettings, TlsError> {
        Ok(TlsSettings { extra_cas: vec![self.0.clone()], identity_pem: None, verify: true })
    }
}

#[test]
fn certificates_count_as_for_registries() {
    use crate::support::servers::{Auth, DockerRegistry, Options as Server, Tls};
    let ca = Ca::new("documents");
    let (certificate, key) = ca.sign(&["127.0.0.1"]);
    let tls = Tls { certificate, key, client_ca: None };
    let Some(server) = DockerRegistry::start(Server { auth: Auth::Open, tls: Some(tls), ..Server::default() }) else {
        return crate::support::skip("no docker-registry");
    };
    let url = format!("https://{}/v2/", server.addr);
    let refused = get(&anonymous(), &url).unwrap_err();
    assert!(matches!(&refused, WebError::Unreachable { why, .. } if why.contains("trusted authority")), "{refused}");
    let tls = Arc::new(Trusting(ca.pem.clone().into_bytes()));
    let client = Client::new(Options { timing: quick(), tls, ..Options::default() }).unwrap();
    assert_eq!(get(&client, &url).unwrap(), b"{}");
}

/// Not a test of its own: [`documents_come_through_the_proxy`] runs it with an environment that has a proxy.
#[test]
#[ignore = "run by another test"]
fn a_child_asks_for_a_document() {
    let url = std::env::var("TEST_DOCUMENT_URL").unwrap();
    assert_eq!(with_login(&alice(), &url).unwrap(), b"through the proxy");
}

#[test]
fn documents_come_through_the_proxy() {
    let proxy = Lying::start(Guard::Open);
    proxy.lie("GET", "/doc", usize::MAX, document("through the proxy"));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["web_documents::a_child_asks_for_a_document", "--exact", "--ignored"])
        .env_clear()
        .env("HTTP_PROXY", format!("http://{}", proxy.host()))
        .env("http_proxy", format!("http://{}", proxy.host()))
        .env("TEST_DOCUMENT_URL", "http://charts.test/doc")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let seen = proxy.seen("GET", "/doc");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].authorization, None, "a stored login is not sent without TLS");
}
