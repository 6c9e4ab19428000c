//! OpenPGP: files of keys, and messages that claim to be signatures of releases and images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::digest::Digest;
use sealift::openpgp::{Keyring, verify};
use sealift_fuzz::Input;

fuzz_target!(init: sealift_fuzz::seeds::write("openpgp"), |data: &[u8]| {
    // Keys, and a message by them.
    let mut input = Input(data);
    let length = input.short();
    let Ok(keyring) = Keyring::parse(&[("k".to_owned(), input.take(length).to_vec())]) else { return };
    keyring.fingerprints();
    let _ = verify(input.0, &Digest::sha256(b""), &keyring, 1_700_000_000);
});
