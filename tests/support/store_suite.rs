//! What every place blobs come from and go to must keep, whatever it is made of.
//!
//! Call [`all`] with an empty store. Contents differ from test to test, so one store serves them all.

use sealift::blob::{BlobSink, BlobSource, Verified, open_verified};
use sealift::digest::Digest;
use sealift::oci::Descriptor;
use std::io::{self, Cursor, Read};

type Bytes = Box<dyn Read + Send>;

/// Runs the whole suite.
pub fn all<S: BlobSource + BlobSink>(store: &S) {
    roundtrip(store);
    empty_blob(store);
    absent(store);
    put_twice(store);
    wrong_digest(store);
    too_short(store);
    too_long(store);
    cut_in_the_middle_then_whole(store);
    cannot_be_opened_then_whole(store);
}

/// Pseudo-random bytes (xorshift), so that nothing compresses or repeats.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// The descriptor of `content`.
pub fn blob(content: &[u8]) -> Descriptor {
    Descriptor::new("application/octet-stream", Digest::sha256(content), content.len() as u64)
}

/// Stores `content` under `descriptor`, whatever it says.
pub fn put<S: BlobSink>(store: &S, descriptor: &Descriptor, content: &[u8]) -> Result<(), S::Error> {
    let content = content.to_vec();
    store.put(descriptor, &mut || Ok(Box::new(Cursor::new(content.clone())) as Bytes))
}

/// Reads a blob back through the check.
pub fn get<S: BlobSource>(store: &S, descriptor: &Descriptor) -> Vec<u8> {
    let mut content = Vec::new();
    open_verified(store, descriptor).unwrap().read_to_end(&mut content).unwrap();
    content
}

/// Nothing of the blob is visible.
fn is_absent<S: BlobSource + BlobSink>(store: &S, descriptor: &Descriptor) {
    assert!(!store.has(descriptor).unwrap(), "{}", descriptor.digest);
    // A source may open first and fail at the first read.
    let read = store.open(descriptor).map(|mut reader| reader.read_to_end(&mut Vec::new()));
    assert!(matches!(read, Err(_) | Ok(Err(_))), "{} can be read", descriptor.digest);
}

fn roundtrip<S: BlobSource + BlobSink>(store: &S) {
    // One byte, the usual sizes of buffers and their neighbours, and more than any buffer.
    for (seed, len) in [1, 4095, 4096, 65536, 524_287, 524_288, 524_289, 5_000_000].into_iter().enumerate() {
        let content = bytes(seed as u64 + 1, len);
        let descriptor = blob(&content);
        put(store, &descriptor, &content).unwrap();
        assert!(store.has(&descriptor).unwrap());
        assert_eq!(get(store, &descriptor), content, "{len} bytes");
    }
}

fn empty_blob<S: BlobSource + BlobSink>(store: &S) {
    put(store, &blob(b""), b"").unwrap();
    assert!(store.has(&blob(b"")).unwrap());
    assert_eq!(get(store, &blob(b"")), b"");
}

fn absent<S: BlobSource + BlobSink>(store: &S) {
    is_absent(store, &blob(b"never stored"));
}

fn put_twice<S: BlobSource + BlobSink>(store: &S) {
    let content = bytes(100, 100_000);
    for _ in 0..2 {
        put(store, &blob(&content), &content).unwrap();
        assert_eq!(get(store, &blob(&content)), content);
    }
}

fn wrong_digest<S: BlobSource + BlobSink>(store: &S) {
    let content = bytes(101, 700_000);
    let mut other = content.clone();
    *other.last_mut().unwrap() ^= 1;
    refused(store, &content, &other);
}

fn too_short<S: BlobSource + BlobSink>(store: &S) {
    let content = bytes(102, 700_000);
    refused(store, &content, &content[..content.len() - 1]);
}

fn too_long<S: BlobSource + BlobSink>(store: &S) {
    let content = bytes(103, 700_000);
    refused(store, &content, &[&content[..], b"!"].concat());
}

/// Given other bytes than the descriptor's the store refuses, shows nothing, and takes the right ones afterwards.
fn refused<S: BlobSource + BlobSink>(store: &S, right: &[u8], given: &[u8]) {
    let descriptor = blob(right);
    assert!(put(store, &descriptor, given).is_err());
    is_absent(store, &descriptor);
    put(store, &descriptor, right).unwrap();
    assert_eq!(get(store, &descriptor), right);
}

/// A reader that fails after its bytes.
struct Cut(Cursor<Vec<u8>>);

impl Read for Cut {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf)? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut")),
            n => Ok(n),
        }
    }
}

/// Stores a blob whose first opening is `first`; the store may try again itself or leave that to the caller.
fn fails_once<S: BlobSource + BlobSink>(store: &S, content: &[u8], first: impl Fn() -> io::Result<Bytes>) {
    let descriptor = blob(content);
    let mut calls = 0;
    let result = store.put(&descriptor, &mut || {
        calls += 1;
        let whole = Verified::new(Cursor::new(content.to_vec()), descriptor.digest, descriptor.size);
        if calls == 1 { first() } else { Ok(Box::new(whole) as Bytes) }
    });
    if result.is_err() {
        is_absent(store, &descriptor);
        put(store, &descriptor, content).unwrap();
    }
    assert_eq!(get(store, &descriptor), content);
}

fn cut_in_the_middle_then_whole<S: BlobSource + BlobSink>(store: &S) {
    let content = bytes(104, 1_500_000);
    fails_once(store, &content, || Ok(Box::new(Cut(Cursor::new(content[..900_000].to_vec())))));
}

fn cannot_be_opened_then_whole<S: BlobSource + BlobSink>(store: &S) {
    fails_once(store, &bytes(105, 1000), || Err(io::Error::new(io::ErrorKind::ConnectionRefused, "not now")));
}
