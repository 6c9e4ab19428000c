//! `sealift serve` and clients that hold what others wait for.

use crate::serve::{gzip_like, serve_set, set_of};
use crate::support::inside::{Home, Outside, text};
use crate::support::raw::{Served, reply};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// More than a client that moves nothing may hold its place for while others wait, and less than where nobody does.
fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(Duration::from_secs(110))).unwrap();
    stream
}

/// An upload whose body never comes. The connection has been answered once, so it has its place.
fn stalled_push(served: &Served) -> TcpStream {
    let mut stream = patient(served.connect());
    write!(stream, "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    let at = reply(&stream, false).unwrap().is(202).location();
    write!(stream, "PATCH {at} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n0123456789").unwrap();
    stream
}

/// Whoever watches the registry is answered whatever holds it up.
fn watched(served: &Served) {
    for path in ["/healthz", "/metrics"] {
        let mut stream = patient(served.connect());
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        reply(&stream, false).unwrap().is(200);
    }
}

#[test]
fn pulls_that_stall_keep_nobody_waiting_for_long() {
    let outside = Outside::new();
    let content = gzip_like(11, 24 << 20);
    let (set, digest) = set_of(&outside, &content);
    let served = serve_set(&outside.inside(), &[&set]);
    let ask = || {
        let mut stream = patient(served.connect());
        write!(stream, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        stream
    };
    let mut slow: Vec<TcpStream> = (0..256).map(|_| ask()).collect();
    // They have all places there are.
    slow.iter_mut().for_each(|stream| stream.read_exact(&mut [0; 1]).unwrap());
    let stream = ask();
    watched(&served);
    assert!(reply(&stream, false).unwrap().is(200).body == content);
    assert!(served.log().contains("was let go"), "{}", served.log());
    drop(slow);
}

#[test]
fn pushes_that_stall_keep_nobody_waiting_for_long() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let served = Served::layout(&home, &folder.path().join("l"));
    let slow: Vec<TcpStream> = (0..256).map(|_| stalled_push(&served)).collect();
    let began = std::time::Instant::now();
    while !served.get("/metrics").body.windows(34).any(|line| line == b"\nsealift_http_requests_running 257") {
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    let mut stream = patient(served.connect());
    let digest = sealift::digest::Digest::sha256(b"hello");
    write!(stream, "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    watched(&served);
    reply(&stream, false).unwrap().is(201);
    assert!(served.log().contains("was let go"), "{}", served.log());
    drop(slow);
}

/// With few descriptors there are eight places for connections.
#[test]
fn who_watches_is_answered_when_all_connections_are_taken() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}", text(&folder.path().join("l")));
    let served = Served::with_descriptors(&home, 120, &[&layout, "--plain-http", "--allow-anonymous", "push"]);
    let slow: Vec<TcpStream> = (0..8).map(|_| stalled_push(&served)).collect();
    watched(&served);
    // And where more come that say nothing than it keeps an eye on.
    let mute: Vec<TcpStream> = (0..50).map(|_| served.connect()).collect();
    watched(&served);
    drop(mute);
    // Everybody else finds the place of one that stalled, or is told to come back.
    let asked = (0..5).map(|_| served.get("/v2/")).find(|reply| {
        let full = reply.status == 429;
        assert!(!full || reply.header("retry-after").is_some() && reply.json()["errors"][0]["code"] == "TOOMANYREQUESTS");
        !full
    });
    asked.unwrap().is(200);
    assert!(served.log().contains("was let go"), "{}", served.log());
    drop(slow);
}
