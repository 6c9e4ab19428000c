//! The registry client against a registry that lies.

use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::store_suite::{self, blob, bytes, get, put};
use sealift::blob::{BlobSink, BlobSource, Wrong, open_verified};
use sealift::digest::Digest;
use sealift::oci::media;
use sealift::registry::credentials::{Credential, CredentialError, CredentialLookup};
use sealift::registry::{Client, Error, ManifestRef, Missing, Options, Reason, Repository, Timing};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
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
        pulls_base: Duration::from_millis(200),
    }
}

/// As [`quick`], for tests that wait for silence to be given up, after so many seconds.
fn impatient(seconds: u64) -> Timing {
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

fn options() -> Options {
    Options { timing: quick(), ..Options::default() }
}

fn with_login(user: &'static str, password: &'static str) -> Options {
    Options { credentials: Arc::new(Login(user, password)), ..options() }
}

fn at(server: &Lying, options: Options) -> Repository {
    Client::new(options).unwrap().repository(&server.host(), "a/b")
}

fn open(guard: Guard) -> (Lying, Repository) {
    let server = Lying::start(guard);
    let repository = at(&server, options());
    (server, repository)
}

fn tag(name: &str) -> ManifestRef {
    ManifestRef::Tag(name.to_owned())
}

/// What reading a blob through the check failed with.
fn failure(repository: &Repository, content: &[u8]) -> Error {
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
fn wrong_bytes_are_found_out() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(1, 100_000);
    server.add_blob(&content);
    let mut other = content.clone();
    other[5] ^= 1;
    server.lie("GET", "/blobs/", 1, Fault::Body(other));
    let read = open_verified(&repository, &blob(&content)).unwrap().read_to_end(&mut Vec::new());
    assert!(matches!(Wrong::of(&read.unwrap_err()), Some(Wrong::Digest { .. })));
    server.lie("GET", "/blobs/", 1, Fault::Body(content[..99_000].to_vec()));
    assert!(matches!(failure(&repository, &content), Error::WrongSize { found: 99_000, .. }));
}

#[test]
fn a_cut_blob_goes_on_where_it_was_cut() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(2, 5_000_000);
    server.add_blob(&content);
    for at in [1, 1 << 20, 3 << 20, 4_999_999] {
        let before = server.seen("GET", "/blobs/").len();
        server.lie("GET", "/blobs/", 1, Fault::Cut(at));
        assert_eq!(get(&repository, &blob(&content)), content, "cut after {at}");
        let seen = server.seen("GET", "/blobs/");
        assert_eq!(seen.len(), before + 2, "cut after {at}");
        let resumed: usize = seen.last().unwrap().range.as_deref().map_or(0, |r| r[6..r.len() - 1].parse().unwrap());
        assert!(resumed <= at && (resumed > 0 || at == 1), "{resumed} after {at}");
    }
}

#[test]
fn progress_earns_new_tries() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(3, 9_000_000);
    server.add_blob(&content);
    // More cuts than tries, but each time another megabyte is there.
    server.lie("GET", "/blobs/", 6, Fault::Cut(1_300_000));
    assert_eq!(get(&repository, &blob(&content)), content);
}

#[test]
fn no_progress_ends() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(4, 300_000);
    server.add_blob(&content);
    server.lie("GET", "/blobs/", usize::MAX, Fault::Cut(0));
    assert!(matches!(failure(&repository, &content), Error::Unreachable { reason: Reason::Lost(_), .. }));
    assert_eq!(server.seen("GET", "/blobs/").len(), 4);
}

#[test]
fn a_silent_connection_is_given_up() {
    let server = Lying::start(Guard::Open);
    let repository = at(&server, Options { timing: impatient(1), ..options() });
    let content = bytes(5, 300_000);
    server.add_blob(&content);
    server.lie("GET", "/blobs/", 1, Fault::Hang(100_000));
    assert_eq!(get(&repository, &blob(&content)), content);
    server.lie("GET", "/blobs/", usize::MAX, Fault::Hang(0));
    assert!(matches!(failure(&repository, &content), Error::Stalled { .. }));
}

#[test]
fn ranges_are_believed_only_when_right() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(6, 2_000_000);
    server.add_blob(&content);
    for lie in [Fault::IgnoreRange, Fault::WrongRange, Fault::Lying416] {
        server.lie("GET", "/blobs/", 1, Fault::Cut(700_000));
        server.lie("GET", "/blobs/", 1, lie);
        assert_eq!(get(&repository, &blob(&content)), content);
    }
}

#[test]
fn a_partial_file_is_continued() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(7, 1_000_000);
    server.add_blob(&content);
    let mut rest = Vec::new();
    repository.open_at(&blob(&content), 400_000).unwrap().read_to_end(&mut rest).unwrap();
    assert_eq!(rest, content[400_000..]);
    assert_eq!(server.seen("GET", "/blobs/")[0].range.as_deref(), Some("bytes=400000-"));
    rest.clear();
    repository.open_at(&blob(&content), 1_000_000).unwrap().read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn a_dropped_reader_leaves_its_place_to_the_next() {
    let server = Lying::start(Guard::Open);
    let repository = at(&server, Options { downloads: 1, ..options() });
    let content = bytes(8, 8_000_000);
    server.add_blob(&content);
    for _ in 0..5 {
        let mut reader = repository.open(&blob(&content)).unwrap();
        reader.read_exact(&mut [0; 1000]).unwrap();
    }
    assert_eq!(get(&repository, &blob(&content)), content);
}

#[test]
fn a_redirect_elsewhere_never_sees_the_login() {
    let (cdn, server) = (Lying::start(Guard::Open), Lying::start(Guard::Basic));
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(9, 3_000_000);
    cdn.add_blob(&content);
    let to = format!("http://{}/v2/x/blobs/{}?signature=abc", cdn.host(), Digest::sha256(&content));
    let redirect = Fault::Status(307, vec![("location", to)], String::new());
    server.lie("GET", "/blobs/", usize::MAX, redirect);
    cdn.lie("GET", "/blobs/", 1, Fault::Cut(1_500_000));
    assert_eq!(get(&repository, &blob(&content)), content);
    let there = cdn.seen("GET", "/blobs/");
    assert_eq!(there.len(), 2);
    assert!(there.iter().all(|s| s.authorization.is_none()));
    assert!(there[1].range.is_some());
    // Resumed with a fresh redirect of the registry, and with the login there.
    let here = server.seen("GET", "/blobs/");
    assert!(here.len() == 2 && here.iter().all(|s| s.authorization.is_some()));
}

#[test]
fn redirects_in_circles_end() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(10, 10);
    server.lie("GET", "/blobs/", usize::MAX, Fault::Status(302, vec![("location", "/v2/a/b/blobs/again".into())], String::new()));
    assert!(matches!(failure(&repository, &content), Error::Redirect { .. }));
}

#[test]
fn foreign_layers_come_from_their_urls_without_login() {
    let (elsewhere, server) = (Lying::start(Guard::Open), Lying::start(Guard::Basic));
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(11, 100_000);
    elsewhere.add_blob(&content);
    let mut descriptor = blob(&content);
    let good = format!("http://{}/v2/f/blobs/{}", elsewhere.host(), descriptor.digest);
    descriptor.urls = vec!["ftp://x/y".into(), format!("http://alice:secret@{}/", elsewhere.host()), good];
    assert_eq!(get(&repository, &descriptor), content);
    assert!(elsewhere.seen("GET", "/").iter().all(|s| s.authorization.is_none()));
    assert_eq!(elsewhere.seen("GET", "/").len(), 1);
    descriptor.urls.clear();
    assert!(matches!(repository.open(&descriptor).err(), Some(Error::NotFound { what: Missing::Blob, .. })));
}

#[test]
fn retry_after_is_honoured_for_the_whole_host_and_capped() {
    let html = "<html><h1>429 Too Many Requests</h1></html>".to_owned();
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3600));
    for header in [Some("1".to_owned()), Some(date), None] {
        let (server, repository) = open(Guard::Open);
        let content = bytes(12, 1000);
        server.add_blob(&content);
        let headers: Vec<_> = header.clone().map(|value| ("retry-after", value)).into_iter().collect();
        server.lie("GET", "/v2/", 1, Fault::Status(429, headers.clone(), html.clone()));
        server.lie("GET", "/blobs/", 2, Fault::Status(429, headers, html.clone()));
        let start = std::time::Instant::now();
        assert_eq!(get(&repository, &blob(&content)), content);
        // Not a timing test: the server asked for more than the cap three times, so three caps is the least.
        assert!(header.is_none() || start.elapsed() >= Duration::from_millis(900), "did not wait for {header:?}");
        assert_eq!(server.seen("GET", "/blobs/").len(), 3);
    }
}

#[test]
fn too_many_requests_without_end_are_reported_with_the_words() {
    let (server, repository) = open(Guard::Open);
    server.lie("GET", "/tags/", usize::MAX, Fault::Status(429, vec![], "<b>pull limit</b>".into()));
    let Err(Error::RateLimited { answer, target }) = repository.tags() else { panic!() };
    assert_eq!((answer.message.as_str(), target.repository.as_str()), ("pull limit", "a/b"));
    assert_eq!(server.seen("GET", "/tags/").len(), 4);
}

#[test]
fn server_errors_are_tried_again_and_refusals_are_not() {
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[Some("x")]);
    for status in [500, 502, 503, 504, 408, 499, 522] {
        server.lie("GET", "/tags/", 1, Fault::Status(status, vec![], String::new()));
        assert_eq!(repository.tags().unwrap(), ["x"]);
    }
    server.lie("GET", "/tags/", 1, Fault::Close);
    assert_eq!(repository.tags().unwrap(), ["x"]);
    let before = server.seen("GET", "/tags/").len();
    server.lie("GET", "/tags/", 1, Fault::Status(403, vec![], error("DENIED")));
    assert!(matches!(repository.tags(), Err(Error::LoginRefused { credentials_sent: false, .. })));
    server.lie("GET", "/tags/", 1, Fault::Status(404, vec![], error("NAME_UNKNOWN")));
    assert!(matches!(repository.tags(), Err(Error::NotFound { what: Missing::Repository, .. })));
    assert_eq!(server.seen("GET", "/tags/").len(), before + 2);
}

#[test]
fn tokens_are_asked_for_once_and_renewed_when_refused() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(13, 3_000_000);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(get(&repository, &blob(&content)), content);
    let asked = server.seen("GET", "/token");
    assert_eq!(asked.len(), 1, "a push token serves for the pull");
    assert!(asked[0].query.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush") && asked[0].query.contains("service=lying+service"));
    // In the middle of a blob: the transfer breaks, and by then the token has ended.
    server.lie("GET", "/blobs/", 1, Fault::Cut(1_500_000));
    server.expire_tokens();
    assert_eq!(get(&repository, &blob(&content)), content);
    assert_eq!(server.seen("GET", "/token").len(), 2);
    let more = bytes(14, 2_000_000);
    server.expire_tokens();
    put(&repository, &blob(&more), &more).unwrap();
    assert_eq!(server.blob(&blob(&more).digest).unwrap(), more);
    assert!(server.seen("GET", "/token").iter().all(|s| !s.query.contains("delete")));
    server.expire_tokens();
    repository.delete_manifest(&blob(&more).digest.into()).unwrap();
    assert!(server.seen("GET", "/token").last().unwrap().query.contains("delete"));
}

#[test]
fn a_token_that_ends_between_post_and_patch_costs_a_second_reading() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let challenge = format!("Bearer realm=\"http://{}/token\"", server.host());
    let content = bytes(15, 3_000_000);
    server.lie("PATCH", "/uploads/", 1, Fault::Status(401, vec![("www-authenticate", challenge)], error("UNAUTHORIZED")));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    assert_eq!(server.seen("GET", "/token").len(), 2);
}

#[test]
fn anonymous_and_identity_tokens() {
    let server = Lying::start(Guard::Bearer);
    server.set_tags("a/b", &[Some("x")]);
    assert_eq!(at(&server, options()).tags().unwrap(), ["x"]);
    assert_eq!(server.seen("GET", "/token")[0].authorization, None);
    assert_eq!(at(&server, with_login("", "refresh-alice")).tags().unwrap(), ["x"]);
    assert_eq!(server.seen("POST", "/token").len(), 1);
}

#[test]
fn a_refused_login_says_whether_one_was_shown_and_never_which() {
    let server = Lying::start(Guard::Bearer);
    let error = at(&server, with_login("alice", "hunter2")).tags().unwrap_err();
    assert!(matches!(error, Error::LoginRefused { credentials_sent: true, .. }), "{error}");
    let shown = format!("{error} {error:?} {:?}", Credential::IdentityToken(Zeroizing::new("hunter2".to_owned())));
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg") && !shown.contains("Basic Y"), "{shown}");
    let basic = Lying::start(Guard::Basic);
    assert!(matches!(at(&basic, options()).tags(), Err(Error::LoginRefused { credentials_sent: false, .. })));
    assert!(matches!(at(&basic, with_login("alice", "no")).tags(), Err(Error::LoginRefused { credentials_sent: true, .. })));
    assert_eq!(basic.seen("GET", "/tags/").len(), 2, "a wrong password is shown once: accounts get locked");
}

#[test]
fn a_token_service_that_is_busy_is_asked_again() {
    let server = Lying::start(Guard::Bearer);
    server.set_tags("a/b", &[]);
    server.lie("GET", "/token", 2, Fault::Status(429, vec![], "<html>slow</html>".into()));
    assert!(at(&server, options()).tags().unwrap().is_empty());
}

#[test]
fn uploads_take_the_way_every_vendor_tests() {
    let (server, repository) = open(Guard::Open);
    for (seed, len) in [(20, 1000), (21, 3_000_000)] {
        let content = bytes(seed, len);
        put(&repository, &blob(&content), &content).unwrap();
        let patch = server.seen("PATCH", "/uploads/");
        assert_eq!(patch.last().unwrap().content_length, Some(len as u64));
    }
    assert_eq!(server.seen("PUT", "/uploads/").iter().filter(|s| s.content_length == Some(0)).count(), 2);
}

#[test]
fn a_body_too_large_goes_in_pieces_and_this_is_remembered() {
    let (server, repository) = open(Guard::Open);
    let too_large = || Fault::Status(413, vec![("connection", "close".into())], "<html>413</html>".into());
    let content = bytes(22, 5_000_000);
    server.lie("PATCH", "/uploads/", 2, too_large());
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    let largest = server.seen("PATCH", "/uploads/").iter().skip(2).filter_map(|s| s.content_length).max();
    assert_eq!(largest, Some(2 << 20));
    let next = bytes(23, 4_500_000);
    put(&repository, &blob(&next), &next).unwrap();
    assert_eq!(server.seen("PATCH", "/uploads/").len(), 2 + 3 + 3);
    assert_eq!(server.seen("DELETE", "/uploads/").len(), 2, "refused sessions are given back");
    server.lie("PATCH", "/uploads/", usize::MAX, too_large());
    assert!(matches!(put(&repository, &blob(b"tiny"), b"tiny"), Err(Error::TooLarge { .. })));
}

#[test]
fn a_registry_without_patch_gets_a_put() {
    let (server, repository) = open(Guard::Open);
    server.lie("PATCH", "/uploads/", 1, Fault::Status(405, vec![], error("UNSUPPORTED")));
    let content = bytes(24, 2_000_000);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.seen("PUT", "/uploads/")[0].content_length, Some(2_000_000));
}

#[test]
fn a_lost_answer_is_no_second_upload() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(25, 2_000_000);
    server.lie("PUT", "/uploads/", 1, Fault::LoseAnswer);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!((server.seen("PATCH", "/uploads/").len(), server.seen("HEAD", "/blobs/").len()), (1, 1));
    server.lie("PUT", "/uploads/", 1, Fault::Status(504, vec![], String::new()));
    let other = bytes(26, 2_000_000);
    put(&repository, &blob(&other), &other).unwrap();
    assert_eq!(server.seen("PATCH", "/uploads/").len(), 3);
}

#[test]
fn a_broken_upload_starts_again_from_the_first_byte() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(27, 3_000_000);
    for fault in [Fault::Close, Fault::LoseAnswer, Fault::Status(500, vec![], String::new())] {
        server.lie("PATCH", "/uploads/", 2, fault);
        put(&repository, &blob(&content), &content).unwrap();
        assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    }
}

#[test]
fn an_upload_nobody_reads_is_given_up_and_begun_again() {
    let server = Lying::start(Guard::Open);
    let repository = at(&server, Options { timing: impatient(5), ..options() });
    let content = bytes(33, 24_000_000);
    server.lie("PATCH", "/uploads/", 1, Fault::Silence);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.seen("PATCH", "/uploads/").len(), 2);
}

#[test]
fn a_slow_disc_is_no_stall_of_the_network() {
    struct Slow(std::io::Cursor<Vec<u8>>, bool);
    impl Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            if self.0.position() > 1_000_000 && !std::mem::replace(&mut self.1, true) {
                // Longer than the network may be silent.
                std::thread::sleep(impatient(3).stall * 2);
            }
            self.0.read(buf)
        }
    }
    let server = Lying::start(Guard::Open);
    let repository = at(&server, Options { timing: impatient(3), ..options() });
    let content = bytes(34, 3_000_000);
    repository.put(&blob(&content), &mut || Ok(Box::new(Slow(std::io::Cursor::new(content.clone()), false)))).unwrap();
    assert_eq!(server.seen("PATCH", "/uploads/").len(), 1);
}

#[test]
fn lost_sessions_are_begun_again() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(28, 2_000_000);
    server.lie("PUT", "/uploads/", 1, Fault::Status(404, vec![], error("BLOB_UPLOAD_UNKNOWN")));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
}

#[test]
fn wrong_bytes_are_not_committed() {
    let (server, repository) = open(Guard::Open);
    let content = bytes(29, 3_000_000);
    let mut wrong = content.clone();
    wrong[0] ^= 1;
    let Err(Error::Source { source, .. }) = put(&repository, &blob(&content), &wrong) else { panic!() };
    assert!(matches!(Wrong::of(&source), Some(Wrong::Digest { .. })));
    assert!(server.seen("PUT", "/uploads/").is_empty());
    // What claims to have been stored under another digest is no success.
    let other = Digest::sha256(b"x").to_string();
    server.lie("PUT", "/uploads/", 1, Fault::Header("docker-content-digest", Some(other)));
    assert!(matches!(put(&repository, &blob(&content), &content), Err(Error::WrongDigest { .. })));
}

#[test]
fn locations_elsewhere_get_no_login() {
    let server = Lying::start(Guard::Basic);
    let warnings: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = warnings.clone();
    let warn = Arc::new(move |line: &str| heard.lock().unwrap().push(line.to_owned()));
    let repository = at(&server, Options { warn, ..with_login("alice", "secret") });
    let content = bytes(30, 2000);
    server.lie("POST", "/uploads/", 4, Fault::Location(|old| format!("http://127.0.0.1:9{old}")));
    // Another port of the same machine is another server.
    assert!(put(&repository, &blob(&content), &content).is_err());
    // Without the port it means itself.
    server.lie("POST", "/uploads/", 1, Fault::Location(|old| format!("http://127.0.0.1{old}")));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(warnings.lock().unwrap().len(), 1);
    let (a, b) = (Lying::start(Guard::Basic), Lying::start(Guard::Open));
    let to = format!("http://{}/v2/a/b/blobs/uploads/s1", b.host());
    a.lie("POST", "/uploads/", 1, Fault::Status(202, vec![("location", to)], String::new()));
    b.lie("PATCH", "/uploads/", 1, Fault::Status(401, vec![], String::new()));
    let refused = put(&at(&a, with_login("alice", "secret")), &blob(&content), &content);
    assert!(matches!(refused, Err(Error::ForeignLocation { .. })), "{refused:?}");
    assert!(b.seen("PATCH", "/").iter().chain(&b.seen("DELETE", "/")).all(|s| s.authorization.is_none()));
}

#[test]
fn mounts() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(31, 100);
    assert!(!repository.mount(&blob(&content), "c/d").unwrap());
    assert_eq!(server.seen("DELETE", "/uploads/").len(), 1, "the session nobody asked for is given back");
    server.allow_mount(&blob(&content).digest);
    assert!(repository.mount(&blob(&content), "c/d").unwrap());
    let scopes = &server.seen("GET", "/token")[0].query;
    assert!(scopes.contains("a%2Fb%3Apull%2Cpush") && scopes.contains("c%2Fd%3Apull"), "{scopes}");
    server.lie("POST", "/uploads/", 1, Fault::Status(405, vec![], String::new()));
    assert!(!repository.mount(&blob(&content), "c/d").unwrap());
}

#[test]
fn a_mount_asks_for_the_right_to_read_the_source_though_a_push_token_is_there() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(33, 100);
    put(&repository, &blob(&content), &content).unwrap();
    repository.mount(&blob(&content), "c/d").unwrap();
    let asked = server.seen("GET", "/token");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].query.contains("a%2Fb%3Apull%2Cpush") && asked[1].query.contains("c%2Fd%3Apull"), "{}", asked[1].query);
}

#[test]
fn whoever_will_write_asks_with_one_token() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret")).for_writing();
    assert_eq!(repository.head_manifest(&tag("none")).unwrap(), None);
    let content = bytes(34, 100);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.seen("GET", "/token").len(), 1);
}

#[test]
fn manifests_are_what_their_bytes_are() {
    let (server, repository) = open(Guard::Open);
    let text = r#"{"schemaVersion":2}"#;
    let digest = server.add_manifest("a/b", "t", text, "text/html");
    let fetched = repository.manifest(&tag("t")).unwrap();
    assert_eq!((fetched.digest, fetched.bytes.as_slice()), (digest, text.as_bytes()));
    let accept = server.seen("GET", "/manifests/")[0].accept.clone().unwrap();
    assert!([media::OCI_INDEX, media::DOCKER_LIST, media::SCHEMA1, media::OCI_ARTIFACT].iter().all(|t| accept.contains(t)));
    server.lie("GET", "/manifests/", 1, Fault::Body(b"{}".to_vec()));
    assert!(matches!(repository.manifest(&digest.into()), Err(Error::WrongDigest { .. })));
    server.lie("GET", "/manifests/", 1, Fault::Body(vec![b' '; (4 << 20) + 1]));
    assert!(matches!(repository.manifest(&tag("t")), Err(Error::OverLimit { .. })));
    server.lie("GET", "/manifests/", 1, Fault::Cut(5));
    assert_eq!(repository.manifest(&tag("t")).unwrap().digest, digest);
    // A wrong header by tag: asked again by the computed digest.
    let wrong = Digest::sha256(b"x").to_string();
    server.lie("GET", "/manifests/", 1, Fault::Header("docker-content-digest", Some(wrong)));
    assert_eq!(repository.manifest(&tag("t")).unwrap().digest, digest);
    assert!(server.seen("GET", "/manifests/").last().unwrap().path.ends_with(&digest.to_string()));
    assert!(matches!(repository.manifest(&tag("none")), Err(Error::NotFound { what: Missing::Manifest, .. })));
}

#[test]
fn heads_fall_back_to_get() {
    let (server, repository) = open(Guard::Open);
    let digest = server.add_manifest("a/b", "t", "{}", media::OCI_INDEX);
    let head = repository.head_manifest(&tag("t")).unwrap().unwrap();
    assert_eq!((head.digest, head.media_type.as_deref(), head.size), (digest, Some(media::OCI_INDEX), Some(2)));
    assert!(server.seen("GET", "/manifests/").is_empty());
    for fault in
        [Fault::Header("docker-content-digest", None), Fault::Status(405, vec![], String::new()), Fault::Status(500, vec![], String::new())]
    {
        server.lie("HEAD", "/manifests/", 1, fault);
        assert_eq!(repository.head_manifest(&tag("t")).unwrap().unwrap().digest, digest);
    }
    assert_eq!(server.seen("GET", "/manifests/").len(), 3);
    assert_eq!(repository.head_manifest(&tag("none")).unwrap(), None);
}

#[test]
fn refusals_of_manifests_have_names() {
    let (server, repository) = open(Guard::Open);
    let image = br#"{"config":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}}"#;
    let index = br#"{"manifests":[]}"#;
    let refuse = |times, status, code: &str| server.lie("PUT", "/manifests/", times, Fault::Status(status, vec![], error(code)));
    let push = |bytes: &[u8]| repository.put_manifest(bytes, media::OCI_MANIFEST, &tag("t"));
    // Seen late by some: three tries.
    refuse(2, 400, "BLOB_UNKNOWN");
    assert_eq!(push(image).unwrap(), Digest::sha256(image));
    refuse(3, 400, "MANIFEST_BLOB_UNKNOWN");
    assert!(matches!(push(image), Err(Error::BlobUnknown { .. })));
    refuse(3, 400, "MANIFEST_BLOB_UNKNOWN");
    let sparse = repository.put_manifest(index, media::OCI_INDEX, &tag("t"));
    assert!(matches!(sparse, Err(Error::ChildMissing { .. })));
    refuse(1, 413, "SIZE_INVALID");
    assert!(matches!(push(image), Err(Error::TooLarge { .. })));
    refuse(1, 409, "TAG_IMMUTABLE");
    assert!(push(image).is_ok(), "the tag names these bytes already");
    refuse(1, 409, "TAG_IMMUTABLE");
    assert!(matches!(push(b"{\"x\":1}"), Err(Error::ImmutableTag { .. })));
    refuse(1, 405, "UNSUPPORTED");
    assert!(matches!(push(image), Err(Error::Unsupported { .. })));
    refuse(1, 403, "DENIED");
    assert!(matches!(push(image), Err(Error::Denied { .. })));
    let before = server.seen("PUT", "/manifests/").len();
    refuse(1, 500, "MANIFEST_BLOB_UNKNOWN");
    assert!(matches!(push(image), Err(Error::Server { .. })));
    assert_eq!(server.seen("PUT", "/manifests/").len(), before + 1, "not tried again");
    server.lie("PUT", "/manifests/", 1, Fault::Header("docker-content-digest", Some(Digest::sha256(b"y").to_string())));
    assert!(matches!(push(image), Err(Error::WrongDigest { .. })));
    assert!(matches!(repository.put_manifest(image, media::OCI_MANIFEST, &Digest::sha256(b"z").into()), Err(Error::WrongDigest { .. })));
}

#[test]
fn tag_lists_have_pages_and_nulls() {
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[Some("b"), None, Some("a"), Some("sha256:12"), Some("b"), Some("c")]);
    assert_eq!(repository.tags().unwrap(), ["b", "a", "c"]);
    assert_eq!(server.seen("GET", "/tags/").len(), 3);
    server.lie("GET", "/tags/", 1, Fault::Body(br#"{"tags":null}"#.to_vec()));
    server.lie("GET", "/tags/", usize::MAX, Fault::Header("link", Some("</v2/a/b/tags/list?from=0>; rel=\"next\"".into())));
    assert!(matches!(repository.tags(), Err(Error::Protocol { .. })), "a list in circles");
}

#[test]
fn an_interruption_ends_waits_and_transfers() {
    let server = Lying::start(Guard::Open);
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, timing) = (stop.clone(), Timing { stall: Duration::from_secs(3600), ..quick() });
    let cancelled = Arc::new(move || flag.load(Ordering::Relaxed));
    let repository = at(&server, Options { cancelled, timing, ..options() });
    let content = bytes(32, 100_000);
    server.add_blob(&content);
    server.lie("GET", "/blobs/", 1, Fault::Hang(50_000));
    let mut reader = repository.open(&blob(&content)).unwrap();
    stop.store(true, Ordering::Relaxed);
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(matches!(Error::of(&error), Some(Error::Cancelled)));
    assert!(matches!(repository.tags(), Err(Error::Cancelled)));
    assert!(matches!(put(&repository, &blob(&content), &content), Err(Error::Cancelled)));
}

#[test]
fn an_interruption_ends_an_upload_nobody_reads() {
    let server = Lying::start(Guard::Open);
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, timing) = (stop.clone(), Timing { stall: Duration::from_secs(3600), ..quick() });
    let repository = at(&server, Options { cancelled: Arc::new(move || flag.load(Ordering::Relaxed)), timing, ..options() });
    server.lie("PATCH", "/uploads/", 1, Fault::Silence);
    let content = bytes(36, 24_000_000);
    let upload = std::thread::spawn(move || put(&repository, &blob(&content), &content));
    while server.seen("PATCH", "/uploads/").is_empty() {
        std::thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(upload.join().unwrap(), Err(Error::Cancelled)));
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
    let nobody = crate::support::servers::free_port().to_string();
    let gone = client.repository(&nobody, "a").tags();
    assert!(matches!(gone, Err(Error::Unreachable { reason: Reason::Refused, .. })), "{gone:?}");
    for host in ["a b", "x/y", "alice:secret@localhost", "localhost?x", ""] {
        let bad = client.repository(host, "a").tags();
        assert!(matches!(bad, Err(Error::BadHost { .. })), "{host}: {bad:?}");
    }
    let (server, repository) = open(Guard::Open);
    server.lie("GET", "/v2/", 1, Fault::Status(404, vec![], "<html>nginx</html>".into()));
    assert!(matches!(repository.ping(), Err(Error::NotARegistry { .. })));
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

/// The clock that finds silent connections does not run while the host wants a pause: here the pause is twice as long.
#[test]
fn a_pause_the_host_asks_for_is_no_stall_of_an_upload() {
    let server = Lying::start(Guard::Open);
    let timing = Timing { retry_after_cap: impatient(3).stall * 2, ..impatient(3) };
    let repository = at(&server, Options { timing, ..options() });
    server.set_tags("a/b", &[Some("x")]);
    server.lie("GET", "/tags/", 1, Fault::Status(429, vec![("retry-after", "9".into())], String::new()));
    let content = bytes(40, 3_000_000);
    let mut opened = 0;
    std::thread::scope(|scope| {
        let mut open = || {
            opened += 1;
            // Between POST and PATCH somebody else is told to slow down.
            if opened == 1 {
                let asks = repository.clone();
                scope.spawn(move || asks.tags().unwrap());
                while server.seen("GET", "/tags/").is_empty() {
                    std::thread::yield_now();
                }
                // The answer is on its way; should it come too late, the upload is not stopped by it and the test says nothing.
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(Box::new(std::io::Cursor::new(content.clone())) as Box<dyn Read + Send>)
        };
        repository.put_proven(&blob(&content), &mut open).unwrap();
    });
    assert_eq!(opened, 1, "the upload was not begun again");
    assert_eq!(server.seen("PATCH", "/uploads/").len(), 1);
}

#[test]
fn a_token_service_that_forgets_its_scheme() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(41, 1000);
    server.add_blob(&content);
    let realm = format!("BEARER service=\"a, b\" , Realm=\"null://{}/token\", Basic realm=r", server.host());
    server.lie("GET", "/v2/", 1, Fault::Status(401, vec![("www-authenticate", realm)], String::new()));
    assert_eq!(get(&repository, &blob(&content)), content);
    let asked = server.seen("GET", "/token");
    assert!(asked.len() == 1 && asked[0].query.contains("service=a%2C+b"), "{asked:?}");
}

#[test]
fn a_refusal_in_spite_of_a_login_is_no_matter_of_logins() {
    let server = Lying::start(Guard::Basic);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(42, 1000);
    for body in [error("DENIED"), error("UNAUTHORIZED"), "<html>forbidden</html>".to_owned()] {
        server.lie("POST", "/uploads/", 1, Fault::Status(403, vec![], body.clone()));
        assert!(matches!(put(&repository, &blob(&content), &content), Err(Error::Denied { .. })), "{body}");
        server.lie("GET", "/tags/", 1, Fault::Status(403, vec![], body.clone()));
        assert!(matches!(repository.tags(), Err(Error::Denied { .. })), "{body}");
    }
    assert_eq!(server.seen("POST", "/uploads/").len(), 3, "asked once each");
    let (server, anonymous) = open(Guard::Open);
    server.lie("GET", "/tags/", 1, Fault::Status(403, vec![], error("DENIED")));
    assert!(matches!(anonymous.tags(), Err(Error::LoginRefused { credentials_sent: false, .. })));
}

#[test]
fn a_date_to_come_back_at_is_waited_for() {
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[None, Some("x"), Some("sha256:0")]);
    let past = httpdate::fmt_http_date(std::time::SystemTime::now() - Duration::from_secs(3600));
    server.lie("GET", "/tags/", 2, Fault::Status(503, vec![("retry-after", past)], String::new()));
    assert_eq!(repository.tags().unwrap(), ["x"]);
}

/// distribution says 500 to layers with addresses it does not allow: asking again changes nothing.
#[test]
fn a_failure_that_is_a_refusal_is_not_asked_again() {
    let (server, repository) = open(Guard::Open);
    let body = r#"{"errors":[{"code":"UNKNOWN"},{"code":"UNKNOWN","message":"invalid URL on layer"}]}"#;
    server.lie("PUT", "/manifests/", usize::MAX, Fault::Status(500, vec![], body.into()));
    assert!(matches!(repository.put_manifest(b"{}", media::OCI_MANIFEST, &tag("x")), Err(Error::Server { .. })));
    assert_eq!(server.seen("PUT", "/manifests/").len(), 1);
}

#[test]
fn a_host_with_a_chunk_size_gets_pieces_from_the_start() {
    let server = Lying::start(Guard::Open);
    let mut hosts = sealift::registry::hosts::HostTable::default();
    hosts.set(&format!("{}:chunk=1MiB", server.host())).unwrap();
    let repository = at(&server, Options { hosts, ..options() });
    for (seed, len, pieces) in [(43, 1 << 20, 1), (44, (2 << 20) + 5, 3)] {
        let before = server.seen("PATCH", "/uploads/").len();
        let content = bytes(seed, len);
        put(&repository, &blob(&content), &content).unwrap();
        assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
        assert_eq!(server.seen("PATCH", "/uploads/").len() - before, pieces);
    }
    assert_eq!(repository.body_limit(), None, "nothing was refused");
}

/// The answer to a manifest is lost and its tag may not be written twice: that it names these bytes is what was wanted.
#[test]
fn a_lost_answer_to_a_manifest_is_no_refusal() {
    let (server, repository) = open(Guard::Open);
    server.lie("PUT", "/manifests/", 1, Fault::LoseAnswer);
    for status in [409, 412] {
        server.lie("PUT", "/manifests/", 1, Fault::Status(status, vec![], error("TAG_IMMUTABLE")));
        repository.put_manifest(b"{}", media::OCI_MANIFEST, &tag("x")).unwrap();
    }
    server.lie("PUT", "/manifests/", 1, Fault::Status(409, vec![], error("TAG_IMMUTABLE")));
    let other = repository.put_manifest(b"{ }", media::OCI_MANIFEST, &tag("x"));
    assert!(matches!(other, Err(Error::ImmutableTag { .. })));
}

/// Busy at any step of a push or a pull, with a word when to come again or without: it goes on.
#[test]
fn too_many_requests_at_any_step_are_waited_out() {
    let busy = |header: Option<&str>| {
        let headers = header.map(|value| ("retry-after", value.to_owned())).into_iter().collect();
        Fault::Status(429, headers, "<html><h1>429 Too Many Requests</h1></html>".into())
    };
    let steps = [
        ("GET", "/v2/"),
        ("GET", "/token"),
        ("HEAD", "/blobs/sha256"),
        ("POST", "/blobs/uploads/"),
        ("PATCH", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/"),
        ("HEAD", "/manifests/"),
        ("GET", "/manifests/"),
        ("GET", "/blobs/sha256"),
        ("GET", "/tags/"),
    ];
    for (seed, (method, path)) in steps.into_iter().enumerate() {
        let server = Lying::start(Guard::Bearer);
        let repository = at(&server, with_login("alice", "secret"));
        server.set_tags("a/b", &[Some("t")]);
        server.lie(method, path, 1, busy(Some("0")));
        server.lie(method, path, 1, busy(None));
        for (seed, len) in [(70 + seed as u64, 1000), (90 + seed as u64, 2_000_000)] {
            let content = bytes(seed, len);
            put(&repository, &blob(&content), &content).unwrap();
            assert!(repository.has(&blob(&content)).unwrap());
            assert_eq!(get(&repository, &blob(&content)), content, "{method} {path}");
        }
        let digest = repository.put_manifest(b"{}", media::OCI_MANIFEST, &tag("t")).unwrap();
        assert_eq!(repository.head_manifest(&tag("t")).unwrap().unwrap().digest, digest);
        assert_eq!(repository.manifest(&tag("t")).unwrap().digest, digest);
        assert_eq!(repository.tags().unwrap(), ["t"]);
        assert!(server.seen(method, path).len() > 2, "{method} {path}");
    }
}

/// Docker Hub counts pulls, and says how many are left.
#[test]
fn counted_pulls_are_told_before_and_when_they_run_out() {
    let server = Lying::start(Guard::Open);
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let into = heard.clone();
    let warn = Arc::new(move |line: &str| into.lock().unwrap().push(line.to_owned()));
    let repository = at(&server, Options { warn, ..options() });
    let counted = |status, left: u64, body: &str| {
        let headers = vec![("ratelimit-limit", "100;w=21600".to_owned()), ("ratelimit-remaining", format!("{left};w=21600"))];
        Fault::Status(status, headers, body.to_owned())
    };
    for (left, told) in [(76, 0), (21, 0), (20, 1), (19, 1)] {
        server.lie("GET", "/tags/", 1, counted(200, left, r#"{"tags":["x"]}"#));
        assert_eq!(repository.tags().unwrap(), ["x"]);
        assert_eq!(heard.lock().unwrap().len(), told, "{left}: {:?}", heard.lock().unwrap());
    }
    assert!(heard.lock().unwrap()[0].contains("20 of 100 pulls in 6 h are left"), "{:?}", heard.lock().unwrap());
    let start = std::time::Instant::now();
    server.lie("GET", "/tags/", usize::MAX, counted(429, 0, &error("TOOMANYREQUESTS")));
    let failed = repository.tags().unwrap_err();
    assert!(failed.to_string().contains("(0 of 100 pulls in 6 h are left)"), "{failed}");
    assert_eq!(failed.answer().unwrap().pulls.unwrap().limit, 100);
    // Not a timing test: three waits, none shorter than the first of such waits.
    assert!(start.elapsed() >= quick().pulls_base * 3, "{:?}", start.elapsed());
    let heard = heard.lock().unwrap();
    assert!(heard.len() == 2 && heard[1].contains("the limit of pulls is reached"), "{heard:?}");
}

/// What a list does not name is not asked for: it must not be old, cut, or of some tags only.
#[test]
fn a_list_of_tags_that_cannot_be_of_all_is_not_believed() {
    // A hundred entries, of which some are no tags.
    let hundred: Vec<_> =
        (0..97).map(|n| serde_json::Value::from(format!("t{n}"))).chain([serde_json::Value::Null, "t0".into(), "a b".into()]).collect();
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[Some("a")]);
    server.lie("GET", "/tags/", 1, Fault::Body(serde_json::json!({ "tags": hundred }).to_string().into_bytes()));
    assert!(repository.all_tags(3).unwrap().is_none());
    // Without the tag that was just pulled.
    for (listed, believed) in [(["t", "x"], true), (["s", "x"], false)] {
        let (server, repository) = open(Guard::Open);
        server.set_tags("a/b", &listed.map(Some));
        server.add_manifest("a/b", "t", "{}", media::OCI_MANIFEST);
        assert!(repository.head_manifest(&tag("t")).unwrap().is_some() && repository.head_manifest(&tag("none")).unwrap().is_none());
        assert_eq!(repository.all_tags(3).unwrap().is_some(), believed, "{listed:?}");
    }
    // From a registry that keeps lists of what it proxies.
    for name in ["Nexus/3.76.0-03 (OSS)", "Artifactory/7.98.9"] {
        let (server, repository) = open(Guard::Open);
        server.set_tags("a/b", &[Some("t")]);
        server.lie("GET", "/v2/", 1, Fault::Header("server", Some(name.into())));
        server.add_manifest("a/b", "t", "{}", media::OCI_MANIFEST);
        assert!(repository.head_manifest(&tag("t")).unwrap().is_some() && repository.all_tags(3).unwrap().is_none());
        assert_eq!(server.seen("GET", "/tags/").len(), 0, "{name}");
    }
}

#[test]
fn a_list_of_tags_is_read_as_far_as_it_pays() {
    let (server, repository) = open(Guard::Open);
    let tags = ["a", "b", "c", "d", "e", "f", "g"];
    server.set_tags("a/b", &tags.map(Some));
    let pages = || server.seen("GET", "/tags/").len();
    assert!(repository.all_tags(2).unwrap().is_none() && pages() == 2);
    let all = repository.all_tags(3).unwrap().unwrap();
    assert_eq!((all.len(), pages()), (7, 4));
    assert!(repository.all_tags(1).unwrap().is_some() && pages() == 4, "remembered");
    // What cannot be had, or is cut at a round number, is no list; nobody asks twice.
    let hundred = serde_json::json!({ "tags": (0..100).map(|n| format!("t{n}")).collect::<Vec<_>>() }).to_string();
    for lie in [Fault::Status(404, vec![], error("NAME_UNKNOWN")), Fault::Body(b"{}".to_vec()), Fault::Body(hundred.into_bytes())] {
        let (server, repository) = open(Guard::Open);
        server.set_tags("a/b", &[Some("a")]);
        server.lie("GET", "/tags/", 1, lie);
        assert!(repository.all_tags(3).unwrap().is_none() && repository.all_tags(3).unwrap().is_none());
        assert_eq!(server.seen("GET", "/tags/").len(), 1);
    }
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &tags.map(Some));
    server.lie("GET", "/tags/", usize::MAX, Fault::Header("link", Some("</v2/a/b/tags/list?from=0>; rel=\"next\"".into())));
    assert!(repository.all_tags(50).unwrap().is_none() && server.seen("GET", "/tags/").len() < 4, "in circles");
}
