//! Real files found in the wild, which are not part of the repository.

use std::path::{Path, PathBuf};

/// The folder with real data: `SEALIFT_TEST_DATA`, else `../shared/data` beside the crate. Says so and gives `None` where
/// it is absent, as it is for every user; the calling test then returns.
pub fn shared_data() -> Option<PathBuf> {
    let folder = match std::env::var_os("SEALIFT_TEST_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no shared data");
    None
}
