//! Blobs on their way here, from a registry that lies.

use crate::registry_client::{at, failure, impatient, open, options, with_login};
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::store_suite::{blob, bytes, get};
use sealift::blob::{BlobSource, Wrong, open_verified};
use sealift::digest::Digest;
use sealift::registry::{Error, Missing, Options, Reason};
use std::io::Read;

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
