//! Blobs on their way to a registry that lies.

use crate::registry_client::{at, impatient, open, options, quick, with_login};
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::store_suite::{blob, bytes, put};
use sealift::blob::{BlobSink, Wrong};
use sealift::digest::Digest;
use sealift::registry::hosts::HostTable;
use sealift::registry::{Error, Options, Reason, Timing};
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
                std::thread::sleep(impatient(6).stall * 2);
            }
            self.0.read(buf)
        }
    }
    let server = Lying::start(Guard::Open);
    let repository = at(&server, Options { timing: impatient(6), ..options() });
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

/// A front loses its patience while the registry still moves the blob: the upload is neither taken from it nor sent again.
#[test]
fn a_registry_that_is_still_at_it_is_left_alone() {
    let server = Lying::start(Guard::Open);
    let repository = at(&server, Options { timing: Timing { commit: Duration::from_secs(36_000), ..quick() }, ..options() });
    let content = bytes(43, 6_000_000);
    server.add_blob(&content);
    server.lie("PUT", "/uploads/", 1, Fault::Status(504, vec![], String::new()));
    server.lie("HEAD", "/blobs/", 6, Fault::Status(404, vec![], error("BLOB_UNKNOWN")));
    put(&repository, &blob(&content), &content).unwrap();
    let count = |method: &str| server.seen(method, "/").len();
    assert_eq!((count("POST"), count("PATCH"), count("PUT"), count("HEAD"), count("DELETE")), (1, 1, 1, 7, 0));
    // One that never comes is given back and begun again.
    let other = bytes(44, 1000);
    server.lie("PUT", "/uploads/", 1, Fault::Status(504, vec![], String::new()));
    put(&repository, &blob(&other), &other).unwrap();
    assert_eq!((count("POST"), count("DELETE"), server.blob(&blob(&other).digest).unwrap().len()), (3, 1, 1000));
}

/// What is streamed cannot be sent twice: that it was refused with a fresh token as well is still the registry's own answer.
#[test]
fn a_body_refused_with_a_fresh_token_is_a_refused_login() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    server.lie("PATCH", "/uploads/", usize::MAX, Fault::Status(401, vec![], error("DENIED")));
    let content = bytes(45, 3_000_000);
    let refused = put(&repository, &blob(&content), &content).unwrap_err();
    assert!(matches!(&refused, Error::LoginRefused { credentials_sent: true, answer, .. } if answer.message == "as told"), "{refused}");
}

/// Nobody has ever typed the name of the host that is not there: the registry sends to it.
#[test]
fn a_registry_that_sends_uploads_to_nobody_is_told_by_name() {
    let (server, repository) = open(Guard::Open);
    // Bound, so that nobody else gets the port, and not listened at.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone = socket.local_addr().unwrap().to_string();
    let content = bytes(50, 2_000_000);
    server.lie("POST", "/uploads/", usize::MAX, Fault::Header("location", Some(format!("http://{gone}/v2/u"))));
    let failed = put(&repository, &blob(&content), &content).unwrap_err();
    let named = matches!(&failed, Error::ForeignLocation { to, silent: Some(Reason::Refused), .. } if *to == gone);
    assert!(named && failed.to_string().contains(&server.host()), "{failed}");
}

/// A registry that takes no blob above a size takes none in pieces either: smaller ones would only send it again and again.
#[test]
fn a_blob_that_is_too_large_as_a_whole_is_not_sent_in_ever_smaller_pieces() {
    let mut hosts = HostTable::default();
    let server = Lying::start(Guard::Open);
    hosts.set(&format!("{}:chunk=64KiB", server.host())).unwrap();
    let repository = at(&server, Options { hosts, ..options() });
    let content = bytes(51, 2_000_000);
    server.lie_after(20, "PATCH", "/uploads/", 1, Fault::Status(413, vec![], error("SIZE_INVALID")));
    assert!(matches!(put(&repository, &blob(&content), &content), Err(Error::TooLarge { .. })));
    assert_eq!(server.seen("PATCH", "/uploads/").len(), 21);
    // A few that passed may have come through another proxy than the one that refuses.
    server.lie_after(3, "PATCH", "/uploads/", 1, Fault::Status(413, vec![], String::new()));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
}
