//! What the tests share.
#![allow(dead_code)]

pub mod attached;
pub mod fleet;
pub mod inside;
pub mod link;
pub mod lying;
pub mod openpgp;
pub mod openshift;
pub mod raw;
pub mod run;
pub mod rust_paths;
pub mod servers;
pub mod store_suite;

use std::io::Write;
use std::path::PathBuf;

/// The folder of foreign test data (`SEALIFT_TEST_DATA`, else `../shared/data`). It is not part of the project: where it is
/// absent, this says so and the test that needs it returns.
pub fn shared_data() -> Option<PathBuf> {
    let named = std::env::var_os("SEALIFT_TEST_DATA").map(PathBuf::from);
    let path = named.clone().unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if path.is_dir() {
        return Some(path);
    }
    assert!(named.is_none(), "SEALIFT_TEST_DATA names no folder: {}", path.display());
    say_skipped("no shared data");
    None
}

/// Says why a test is not run. Under `SEALIFT_NO_SKIP=1` the test fails instead, so that nothing is left out unseen where
/// everything a test needs must be there.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("SEALIFT_NO_SKIP").is_none_or(|v| v != "1"), "must not be skipped here: {reason}");
    say_skipped(reason);
}

/// Not by `println!`: what a passing test prints is kept from the screen.
fn say_skipped(reason: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "skipped: {reason} ({name})");
}
