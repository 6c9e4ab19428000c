//! What the tests share.
#![allow(dead_code)]

pub mod rust_paths;
pub mod store_suite;

use std::path::PathBuf;

/// The folder of foreign test data, where there is one. It is not part of the project: see [`skip`].
pub fn shared_data() -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    Some(std::env::var_os("SEALIFT_TEST_DATA").map_or_else(default, PathBuf::from)).filter(|path| path.is_dir())
}

/// Says why a test is not run. Under `SEALIFT_NO_SKIP=1` the test fails instead, so that nothing is left out unseen where
/// everything a test needs is expected to be there.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("SEALIFT_NO_SKIP").is_none_or(|v| v != "1"), "must not be skipped here: {reason}");
    println!("skipped: {reason}");
}
