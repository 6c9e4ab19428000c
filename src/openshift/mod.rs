//! OpenShift: releases and their update graph, release signatures, operator catalogs, the graph image.
//!
//! Images come through [`crate::origin`], documents through [`crate::web`], what is made goes into the workspace layout.

pub mod build;
pub mod catalog;
pub mod fbc;
pub mod files;
pub mod graph;
pub mod graph_image;
pub mod release;
pub mod signature;

/// A file of the foreign test data (`SEALIFT_TEST_DATA`, else `../shared/data`); where it is absent the test that asks says so and
/// returns.
#[cfg(test)]
pub(crate) fn test_data(path: &str) -> Option<Vec<u8>> {
    use std::io::Write as _;
    let folder = std::env::var_os("SEALIFT_TEST_DATA")
        .map_or_else(|| std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), std::path::PathBuf::from);
    if !folder.is_dir() {
        let _ = writeln!(std::io::stderr(), "skipped: no shared data");
        return None;
    }
    Some(std::fs::read(folder.join(path)).unwrap_or_else(|e| panic!("{path}: {e}")))
}
