//! Lines that cut, reset, fall silent or are slow, between real servers and the client, and between them and the whole program;
//! for what is fetched and for what is brought.

use crate::registry_client::quick;
use crate::support::inside::{Home, Outside, authfile, text};
use crate::support::link::{End, Fate, Link};
use crate::support::lying::{Fault, Guard, Lying, Seen, error};
use crate::support::raw::Served;
use crate::support::servers::{Auth, DockerRegistry, Options as Server, TokenSigner};
use crate::support::store_suite::{blob, bytes, get, put};
use sealift::registry::{Client, Options, Repository, Timing};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NAMES: [&str; 4] = ["team/app:1", "deep/er/web:1", "legacy:v1", "art/sbom:1"];

/// Silence is given up soon, after all is sent as well; tries are many.
fn at(host: &str, stall: u64) -> Repository {
    let (stall, commit) = (Duration::from_secs(stall), Duration::from_secs(3 * stall));
    let timing = Timing { stall, commit, tries: 12, retry_after_cap: Duration::from_secs(5), ..quick() };
    Client::new(Options { timing, ..Options::default() }).unwrap().repository(host, "a/b")
}

/// Brings a blob of 6 MB to a registry that must have it then; how its bytes were sent so far.
#[track_caller]
fn arrives(server: &Lying, seed: u64) -> Vec<Seen> {
    let content = bytes(seed, 6_000_000);
    put(&at(&server.host(), 20), &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    server.seen("PATCH", "/uploads/")
}

fn line<'a>(set: &'a Path, to: &'a str) -> [&'a str; 6] {
    ["unpack", text(set), "--to", to, "--dest-tls-verify=false", "--first"]
}

fn down(bytes: usize, end: End) -> Fate {
    Fate { down: bytes, end, ..Fate::default() }
}

fn up(bytes: usize, end: End) -> Fate {
    Fate { up: bytes, end, ..Fate::default() }
}

#[test]
fn a_download_goes_on_over_a_line_that_ends_each_connection() {
    let Some(server) = DockerRegistry::start(Server::default()) else { return };
    let content = bytes(51, 5_000_000);
    put(&at(&server.host(), 20), &blob(&content), &content).unwrap();
    for (end, stall) in [(End::Close, 20), (End::Reset, 20), (End::Silence, 2)] {
        let link = Link::to(server.addr, down(1_700_000, end));
        assert_eq!(get(&at(&link.host(), stall), &blob(&content)), content, "{end:?}");
        assert!(link.ended() >= 2, "{end:?}: {}", link.ended());
    }
}

/// Distribution forgets an upload that broke off: only what fits into one connection arrives.
#[test]
fn an_upload_gets_through_a_line_that_ends_each_connection() {
    let Some(server) = DockerRegistry::start(Server { access_log: true, ..Server::default() }) else { return };
    for (seed, end, stall) in [(52, End::Close, 20), (53, End::Reset, 20), (54, End::Silence, 2)] {
        let link = Link::to(server.addr, up(2_500_000, end));
        let content = bytes(seed, 5_000_000);
        put(&at(&link.host(), stall), &blob(&content), &content).unwrap();
        assert_eq!(get(&at(&server.host(), 20), &blob(&content)), content, "{end:?}");
        assert!(link.ended() >= 2, "{end:?}: {}", link.ended());
    }
}

/// Where the registry keeps what arrived, no byte of it goes twice.
#[test]
fn an_upload_goes_on_where_the_registry_says_it_stands() {
    let (server, folder) = (Lying::start(Guard::Open), tempfile::tempdir().unwrap());
    let repository = at(&server.host(), 20);
    let content = bytes(55, 6_000_000);
    server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    let patches = server.seen("PATCH", "/uploads/");
    assert_eq!(patches[1].content_range.as_deref(), Some("2000000-5999999"), "{patches:?}");
    assert_eq!((patches.len(), server.seen("POST", "/uploads/").len()), (2, 1));
    // All of it arrived, and only the answer was lost: it is asked for and not sent again.
    let other = bytes(56, 3_000_000);
    server.lie("PATCH", "/uploads/", 1, Fault::LoseAnswer);
    put(&repository, &blob(&other), &other).unwrap();
    assert_eq!((server.seen("PATCH", "/uploads/").len(), server.blob(&blob(&other).digest).unwrap().len()), (3, other.len()));
    // More breaks than tries: each time a little more is there.
    let third = bytes(57, 6_000_000);
    server.lie("PATCH", "/uploads/", 20, Fault::TakePart(250_000));
    put(&repository, &blob(&third), &third).unwrap();
    assert_eq!(server.blob(&blob(&third).digest).unwrap(), third);

    let served = Served::layout(&Home::new(), &folder.path().join("l"));
    let link = Link::to(served.host().parse().unwrap(), up(1_500_000, End::Close));
    put(&at(&link.host(), 20), &blob(&content), &content).unwrap();
    assert_eq!(get(&at(&served.host(), 20), &blob(&content)), content);
    assert!(link.ended() >= 2);
}

/// A registry that says something else than what is true loses time, no bytes: the digest decides.
#[test]
fn a_registry_that_lies_about_how_much_arrived_gets_the_right_bytes() {
    let server = Lying::start(Guard::Open);
    let repository = at(&server.host(), 20);
    for (seed, range) in [(61, "0-999999"), (62, "0-5999999"), (63, "bytes=0-3"), (64, "0-99999999"), (65, "rubbish"), (66, "0-0")] {
        let content = bytes(seed, 6_000_000);
        server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
        server.lie("GET", "/uploads/", 1, Fault::Header("range", Some(range.into())));
        put(&repository, &blob(&content), &content).unwrap();
        assert_eq!(server.blob(&blob(&content).digest).unwrap(), content, "{range}");
    }
}

/// Where it goes on is asked over the same line: that may be broken still, and the answer names the place.
#[test]
fn how_much_arrived_is_asked_until_the_line_is_back() {
    let server = Lying::start(Guard::Open);
    server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
    server.lie("GET", "/uploads/", 3, Fault::Close);
    let patches = arrives(&server, 68);
    assert_eq!(patches[1].content_range.as_deref(), Some("2000000-5999999"), "{patches:?}");
    assert!(patches[1].query.ends_with("&asked=2000000"), "{patches:?}");
    assert_eq!((patches.len(), server.seen("POST", "/uploads/").len(), server.seen("GET", "/uploads/").len()), (2, 1, 4));
    // One that never answers it is asked a few times only.
    server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
    server.lie("GET", "/uploads/", usize::MAX, Fault::Close);
    arrives(&server, 69);
}

/// Quay keeps whole pieces only: an upload that stands where it stood needs smaller ones.
#[test]
fn pieces_get_smaller_where_an_upload_is_kept_and_gets_no_further() {
    let server = Lying::start(Guard::Open);
    server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
    server.lie("PATCH", "/uploads/", 3, Fault::Close);
    let patches = arrives(&server, 70);
    let ranges: Vec<_> = patches.iter().filter_map(|seen| seen.content_range.as_deref()).collect();
    assert_eq!(ranges[..4], ["2000000-5999999", "2000000-5999999", "2000000-4097151", "2000000-3048575"], "{ranges:?}");
    assert_eq!(server.seen("POST", "/uploads/").len(), 1);
}

/// What a registry says wrongly of a broken upload is believed once. It does not mean that it wants bodies in another way.
#[test]
fn where_going_on_is_refused_it_begins_anew_as_before() {
    let server = Lying::start(Guard::Open);
    server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
    server.lie("PATCH", "/uploads/", 1, Fault::Status(416, vec![], error("BLOB_UPLOAD_INVALID")));
    let patches = arrives(&server, 71);
    assert_eq!((patches.len(), patches[2].content_length), (3, Some(6_000_000)), "{patches:?}");
    // One byte too many, always, and whatever is sent is appended: only the digest tells.
    server.lie("GET", "/uploads/", usize::MAX, Fault::Header("range", Some("0-2000000".into())));
    server.lie("PATCH", "/uploads/", 1, Fault::TakePart(2_000_000));
    server.lie_after(1, "PATCH", "/uploads/", 3, Fault::TakePart(2_000_000));
    arrives(&server, 72);
    assert_eq!(server.seen("GET", "/uploads/").len(), 2, "once for each");
}

/// Some registries take whole bodies only. Pieces were worth an attempt.
#[test]
fn where_pieces_are_refused_the_whole_body_is_tried_again() {
    let server = Lying::start(Guard::Open);
    server.lie("PATCH", "/uploads/", 2, Fault::Close);
    server.lie("PATCH", "/uploads/", 1, Fault::Status(416, vec![], error("BLOB_UPLOAD_INVALID")));
    let patches = arrives(&server, 67);
    assert!(patches[2].content_range.is_some() && patches[3].content_length == Some(6_000_000), "{patches:?}");
}

/// Slower than a silence is long, all in all: as long as bytes move nothing is given up, in either direction.
#[test]
fn a_slow_line_is_no_silence() {
    let Some(server) = DockerRegistry::start(Server { access_log: true, ..Server::default() }) else { return };
    // Ten seconds each way; what this machine may be busy with meanwhile is far less than the silence that is given up.
    let link = Link::to(server.addr, Fate { rate: 300_000, ..Fate::default() });
    let content = bytes(58, 3_000_000);
    // What the line still holds when all is sent takes as long again: the answer has time.
    let timing = Timing { stall: Duration::from_secs(8), commit: Duration::from_secs(600), ..quick() };
    let at = || Client::new(Options { timing: timing.clone(), ..Options::default() }).unwrap().repository(&link.host(), "a/b");
    put(&at(), &blob(&content), &content).unwrap();
    assert_eq!(get(&at(), &blob(&content)), content);
    let count = |method: &str, part: &str| server.requests().iter().filter(|(m, path)| m == method && path.contains(part)).count();
    assert_eq!((count("PATCH", "/uploads/"), count("GET", "/blobs/sha256")), (1, 1));
}

/// What lies in the registry now, packed again from there over a line of its own.
fn packs_the_same(outside: &Outside, host: &str, prefix: &str, names: &[&str], more: &[&str]) {
    let out = outside.folder(&format!("again-{}", host.replace([':', '.'], "-")));
    let made: Vec<_> = names.iter().map(|name| outside.made(name)).collect();
    static SEQUENCE: AtomicU32 = AtomicU32::new(100);
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed).to_string();
    let line = ["pack", "--key", "site", "--no-sync", "--src-tls-verify=false", "--sequence", &sequence];
    let mut words: Vec<String> = line.map(str::to_owned).to_vec();
    // Of its own: what was fetched before would not be fetched again.
    words.extend(["--workspace".to_owned(), text(&out.with_extension("workspace")).to_owned()]);
    words.extend(more.iter().map(|word| (*word).to_owned()));
    words.extend(made.iter().map(|image| format!("{host}/{prefix}{}:{}", image.repository, image.tag)));
    words.push(text(&out).to_owned());
    outside.home.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    let set = outside.home.run(&["inspect", text(&out), "--json"]).exits(0).json();
    let mut found: Vec<&str> = set["sets"][0]["images"].as_array().unwrap().iter().map(|i| i["digest"].as_str().unwrap()).collect();
    let mut wanted: Vec<&str> = made.iter().map(|image| image.root.as_str()).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    outside.home.run(&["verify", text(&out), "--deep"]).exits(0);
}

#[test]
fn sets_come_in_and_go_out_over_lines_that_end_each_connection() {
    let Some(registry) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    let outside = Outside::new();
    let set = outside.pack("some", &NAMES, &["--sequence", "1"]);
    for end in [End::Close, End::Reset] {
        let link = Link::to(registry.addr, up(300_000, end));
        let prefix = format!("{end:?}").to_lowercase();
        outside.inside().run(&line(&set, &format!("{}/{prefix}", link.host()))).exits(0);
        assert_eq!(registry.inventory(&prefix), outside.inventory(&NAMES), "{end:?}");
        assert!(link.ended() >= 2, "{end:?}");
        let link = Link::to(registry.addr, down(200_000, end));
        packs_the_same(&outside, &link.host(), &format!("{prefix}/"), &NAMES, &[]);
        assert!(link.ended() >= 2, "{end:?}");
    }
}

/// A registry whose tokens end within seconds, behind a line that makes every transfer last longer. The second token of a kind lasts:
/// on a busy machine the few seconds may be over before a token is shown.
#[test]
fn runs_that_outlast_their_tokens_get_new_ones() {
    let (service, signer) = (Lying::start(Guard::Bearer), TokenSigner::new());
    let auth = Auth::Token { realm: format!("http://{}/token", service.host()), certificate: signer.certificate.clone() };
    let Some(registry) = DockerRegistry::start(Server { delete: true, auth, ..Server::default() }) else { return };
    let given: Arc<Mutex<HashSet<String>>> = Arc::default();
    let first = given.clone();
    service.issue_with(Box::new(move |user, scopes| match first.lock().unwrap().insert(scopes.join(" ")) {
        true => signer.token_good_for(user, scopes, 5),
        false => signer.token(user, scopes),
    }));
    let outside = Outside::new();
    let names = ["big/model:1", "legacy:v1"];
    let set = outside.pack("big", &names, &["--sequence", "1"]);
    let slow = |addr: SocketAddr, down: usize| Link::to(addr, Fate { rate: 300_000, down, ..Fate::default() });
    let tokens = |scope: &str| service.seen("GET", "/token").iter().filter(|seen| seen.query.contains(scope)).count();

    let link = slow(registry.addr, usize::MAX);
    let inside = outside.inside();
    let login = authfile(inside.path(), &link.host(), "alice", "secret");
    inside.run(&[&line(&set, &link.host())[..], &["--authfile", text(&login)]].concat()).exits(0);
    assert_eq!(registry.inventory(""), outside.inventory(&names));
    assert!(tokens("big%2Fmodel%3Apull%2Cpush") >= 2, "{:?}", service.seen("GET", "/token"));

    // Cut on the way as well: to go on a new token is needed.
    given.lock().unwrap().clear();
    let before = tokens("big%2Fmodel%3Apull&");
    let link = slow(registry.addr, 1_200_000);
    let login = authfile(outside.home.path(), &link.host(), "alice", "secret");
    packs_the_same(&outside, &link.host(), "", &names, &["--authfile", text(&login)]);
    assert!(link.ended() >= 2 && tokens("big%2Fmodel%3Apull&") >= before + 2, "{:?}", service.seen("GET", "/token"));
}
