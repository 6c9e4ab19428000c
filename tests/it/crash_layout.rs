//! A layout after a kill at any of its operations on files: what is visible is whole, and the next run completes the work.

use crate::support::store_suite::{blob, bytes, get, put};
use sealift::digest::Digest;
use sealift::fs::INCOMPLETE;
use sealift::layout::Layout;
use sealift::oci::Descriptor;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const FOLDER: &str = "SEALIFT_CRASH_FOLDER";
const AT: &str = "SEALIFT_CRASH_AT";
/// How the child ends where the kill strikes.
const KILLED: i32 = 86;

fn small() -> Vec<u8> {
    bytes(1, 10_000)
}

fn large() -> Vec<u8> {
    bytes(2, 1_300_000)
}

/// What is interrupted: a layout is made, a blob stored, another downloaded in pieces, both named.
fn work(folder: &Path) {
    let layout = Layout::create(folder).unwrap();
    put(&layout, &blob(&small()), &small()).unwrap();
    let (large, wanted) = (large(), blob(&large()));
    let mut partial = layout.partial(&wanted).unwrap();
    for piece in large[usize::try_from(partial.offset()).unwrap()..].chunks(100_000) {
        partial.write_all(piece).unwrap();
    }
    partial.finish().unwrap();
    layout.tag("small", &blob(&small())).unwrap();
    layout.tag("large", &wanted).unwrap();
}

/// Runs the work in a process of its own, which ends without a farewell before its `at`-th operation. True when it was over before.
fn run_killed(folder: &Path, at: usize) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "crash_layout::child"]).env(FOLDER, folder).env(AT, at.to_string());
    let output = child.output().unwrap();
    match output.status.code() {
        Some(0) => true,
        Some(KILLED) => false,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&output.stdout)),
    }
}

/// Not a test of its own: the process that is killed.
#[test]
fn child() {
    let (Some(folder), Ok(at)) = (std::env::var_os(FOLDER), std::env::var(AT)) else { return };
    let (at, count) = (at.parse::<usize>().unwrap(), AtomicUsize::new(0));
    sealift::fault::install(Some(Box::new(move |_, _| {
        if count.fetch_add(1, Ordering::SeqCst) == at {
            std::process::exit(KILLED);
        }
        Ok(())
    })));
    work(Path::new(&folder));
}

/// Every visible blob is what its name says, and a layout that is marked as one can be read.
fn what_is_visible_is_whole(folder: &Path) {
    for entry in std::fs::read_dir(folder.join("blobs/sha256")).into_iter().flatten().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(INCOMPLETE) {
            assert_eq!(Digest::sha256(&std::fs::read(entry.path()).unwrap()).hex(), name);
        }
    }
    if folder.join("oci-layout").exists() {
        let layout = Layout::open(folder).unwrap();
        for image in layout.images().unwrap() {
            get(&layout, &image.descriptor);
        }
    }
}

#[test]
fn killed_before_any_operation() {
    let mut at = 0;
    loop {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("layout");
        let over = run_killed(&folder, at);
        what_is_visible_is_whole(&folder);
        work(&folder);
        let layout = Layout::open(&folder).unwrap();
        let named = |name: &str| -> Descriptor { layout.resolve(Some(name)).unwrap() };
        assert_eq!((get(&layout, &named("small")), get(&layout, &named("large"))), (small(), large()), "killed at {at}");
        let left: Vec<_> = walkdir::WalkDir::new(&folder).into_iter().filter(|e| e.as_ref().unwrap().file_type().is_file()).collect();
        assert_eq!(left.len(), 4, "the mark, the list and two blobs, nothing of the killed run: {left:?}");
        if over {
            break;
        }
        at += 1;
    }
    assert!(at > 30, "the kill struck {at} times only");
}
