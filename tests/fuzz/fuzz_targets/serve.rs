//! Requests to the embedded registry, as raw bytes on a connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::serve::{Access, Anonymous, LayoutStore, Options, Server};
use sealift_fuzz::{folder, samples};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// A registry, with its layout; replaced from time to time, for what is pushed stays.
struct Running {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    requests: u32,
    _folder: TempDir,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

fn start() -> Running {
    let folder = folder();
    let store = LayoutStore::open(folder.path(), false, 0).expect("a store");
    let ended = Arc::new(AtomicBool::new(false));
    let cancelled = ended.clone();
    let options = Options {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: None,
        access: Access::new(Anonymous::Push, None).expect("a rule"),
        log: Arc::new(|_| {}),
        clock: || 1_700_000_000,
        cancelled: Arc::new(move || cancelled.load(Ordering::Relaxed)),
        hourly: Arc::new(|| {}),
    };
    let server = Server::bind(Box::new(store), options).expect("a server");
    let address = server.address();
    std::thread::spawn(move || server.run());
    let running = Running { address, ended, requests: 0, _folder: folder };
    push(&running);
    running
}

/// An image to ask for.
fn push(running: &Running) {
    let manifest = samples::manifest().to_string();
    for bytes in [samples::CONFIG, samples::LAYER] {
        let digest = sealift::digest::Digest::sha256(bytes);
        send(
            running.address,
            format!("POST /v2/a/b/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: r\r\nContent-Length: {}\r\n\r\n", bytes.len())
                .as_bytes(),
            bytes,
        );
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let head = format!("PUT /v2/a/b/manifests/1 HTTP/1.1\r\nHost: r\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", manifest.len());
    send(running.address, head.as_bytes(), manifest.as_bytes());
}

/// One connection. What follows the request ends it, whether the server waits for a body or for a request.
fn send(address: SocketAddr, head: &[u8], body: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.write_all(&[head, body, b"GET /healthz HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n"].concat());
    // A body that was announced longer than it is: nobody sends the rest.
    if head.windows(14).any(|w| w.eq_ignore_ascii_case(b"content-length"))
        || head.windows(17).any(|w| w.eq_ignore_ascii_case(b"transfer-encoding"))
    {
        let mut first = [0; 12];
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.read(&mut first);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    }
    let _ = std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink());
}

fuzz_target!(init: sealift_fuzz::seeds::write("serve"), |data: &[u8]| {
    let mut running = RUNNING.lock().expect("one thread");
    if running.as_ref().is_none_or(|running| running.requests > 3000) {
        if let Some(old) = running.take() {
            old.ended.store(true, Ordering::Relaxed);
        }
        *running = Some(start());
    }
    let Some(running) = running.as_mut() else { return };
    running.requests += 1;
    // Request lines and headers; a body of the length that is said.
    let end = data.windows(2).position(|w| w == b"\0\0");
    match end.map(|end| (&data[..end], &data[end + 2..])) {
        Some((head, body)) => {
            let head = [head, format!("\r\nHost: r\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()].concat();
            send(running.address, &head, body);
        }
        None => send(running.address, data, b""),
    }
});
