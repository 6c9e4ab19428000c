//! What the client waits for, and how long: pauses, tries, interruptions.

use crate::registry_client::{at, impatient, open, options, quick, tag, with_login};
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::store_suite::{blob, bytes, get, put};
use sealift::blob::{BlobSink, BlobSource};
use sealift::oci::media;
use sealift::registry::{Error, Missing, Options, Timing};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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

/// The clock that finds silent connections does not run while the host wants a pause: here the pause is twice as long.
#[test]
fn a_pause_the_host_asks_for_is_no_stall_of_an_upload() {
    let server = Lying::start(Guard::Open);
    let timing = Timing { retry_after_cap: impatient(6).stall * 2, ..impatient(6) };
    let repository = at(&server, Options { timing, ..options() });
    server.set_tags("a/b", &[Some("x")]);
    server.lie("GET", "/tags/", 1, Fault::Status(429, vec![("retry-after", "18".into())], String::new()));
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
