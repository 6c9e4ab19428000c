//! One suite for every [`sealift::blob::BlobSource`] and [`sealift::blob::BlobSink`].

use crate::support::store_suite;
use sealift::layout::Layout;

#[test]
fn a_layout_is_a_store() {
    let temp = tempfile::tempdir().unwrap();
    store_suite::all(&Layout::create(temp.path()).unwrap());
}

#[test]
fn a_layout_that_is_not_synced_is_a_store() {
    let temp = tempfile::tempdir().unwrap();
    store_suite::all(&Layout::create(temp.path()).unwrap().durable(false));
}

/// On a read-only medium a layout is read without a trace: no lock, no folder, no time stamp of ours.
#[test]
fn a_layout_nobody_may_write_to_is_a_source() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let temp = tempfile::tempdir().unwrap();
    let content = store_suite::bytes(1, 100_000);
    let descriptor = store_suite::blob(&content);
    let layout = Layout::create(temp.path()).unwrap();
    store_suite::put(&layout, &descriptor, &content).unwrap();
    layout.tag("v1", &descriptor).unwrap();
    let entries = || {
        let mut all: Vec<_> = walkdir::WalkDir::new(temp.path()).into_iter().map(|entry| entry.unwrap().into_path()).collect();
        all.sort();
        all.into_iter().map(|path| (fs::metadata(&path).unwrap().ctime_nsec(), path)).collect::<Vec<_>>()
    };
    for (_, path) in entries() {
        let mode = if path.is_dir() { 0o555 } else { 0o444 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let before = entries();
    let layout = Layout::open(temp.path()).unwrap();
    assert_eq!(layout.resolve(Some("v1")).unwrap().digest, descriptor.digest);
    assert_eq!(store_suite::get(&layout, &descriptor), content);
    assert_eq!(entries(), before);
    for (_, path) in before.iter().filter(|(_, path)| path.is_dir()) {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}
