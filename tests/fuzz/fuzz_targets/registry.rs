//! Answers of registries and web servers: status lines, challenges, `Location`, `Link`, ranges, lists, manifests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::blob::{BlobSink as _, BlobSource as _};
use sealift::digest::Digest;
use sealift::oci::Descriptor;
use sealift::registry::{Client, ManifestRef, Options, Timing};
use sealift::web::{Get, Web as _};
use sealift_fuzz::samples;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The answers to come, the next one last.
static ANSWERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(std::thread::spawn(|| answer(stream)))));
        address
    })
}

/// One request, one answer. Whoever greets with TLS is hung up on: then the client speaks plainly.
fn answer(stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    if reader.fill_buf().map_or(true, |bytes| bytes.first().is_none_or(|first| !first.is_ascii_uppercase())) {
        return;
    }
    let (mut line, mut length, mut ping) = (String::new(), 0u64, None);
    while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
        ping = ping.or(Some(line.starts_with("GET /v2/ ")));
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    let next = ANSWERS.lock().ok().and_then(|mut answers| answers.pop());
    let _ = writer.write_all(&next.unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()));
}

/// Replaced from time to time: it learns from answers.
fn client() -> Client {
    static CLIENT: Mutex<Option<(Client, u32)>> = Mutex::new(None);
    let mut client = CLIENT.lock().expect("one thread");
    match client.as_mut() {
        Some((client, uses)) if *uses < 50 => {
            *uses += 1;
            client.clone()
        }
        _ => {
            let (short, none) = (Duration::from_millis(500), Duration::ZERO);
            let timing = Timing {
                connect: short,
                stall: short,
                commit: short,
                tries: 2,
                retry_base: none,
                retry_cap: none,
                retry_after_cap: none,
                outage: none,
                pulls_base: none,
            };
            let options = Options { verify_tls: false, timing, ..Options::default() };
            let new = Client::new(options).expect("a client");
            *client = Some((new.clone(), 0));
            new
        }
    }
}

fuzz_target!(init: sealift_fuzz::seeds::write("registry"), |data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else { return };
    let address = address();
    let mut answers: Vec<Vec<u8>> = rest.split(|byte| *byte == 0).take(8).map(<[u8]>::to_vec).collect();
    answers.iter_mut().for_each(|answer| {
        // Most of what is not HTTP at all says the same.
        if !answer.starts_with(b"HTTP/") {
            answer.splice(..0, *b"HTTP/1.1 ");
        }
    });
    answers.reverse();
    if let Ok(mut shared) = ANSWERS.lock() {
        *shared = answers;
    }
    let client = client();
    let repository = client.repository(&address.to_string(), "a/b");
    let blob = Descriptor::new("application/octet-stream", Digest::sha256(samples::LAYER), samples::LAYER.len() as u64);
    match choice % 12 {
        0 => drop(repository.ping()),
        1 => drop(repository.tags()),
        2 => drop(repository.manifest(&ManifestRef::Tag("1".into()))),
        3 => drop(repository.head_manifest(&ManifestRef::Digest(blob.digest))),
        4 => drop(repository.put_manifest(b"{}", "application/vnd.oci.image.manifest.v1+json", &ManifestRef::Tag("1".into()))),
        5 => drop(repository.referrers(&blob.digest)),
        6 => {
            if let Ok(reader) = repository.open_at(&blob, 3) {
                let _ = std::io::copy(&mut reader.take(1 << 20), &mut std::io::sink());
            }
        }
        7 => drop(repository.put_proven(&blob, &mut || Ok(Box::new(samples::LAYER)))),
        8 => drop(repository.mount(&blob, "c/d")),
        9 => drop((repository.greeting(), repository.upload_place())),
        10 => drop((repository.has(&blob), repository.fallback_referrers(&blob.digest), repository.all_tags(1))),
        _ => {
            let url = format!("http://{address}/x?a=b");
            let _ = client.get(&Get { url: &url, accept: "", limit: 1 << 16, login: true });
        }
    }
    let _ = Arc::new(repository.open(&blob).map(drop));
});
