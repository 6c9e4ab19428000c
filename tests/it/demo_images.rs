//! The images of `sealift demo`: whole, small enough to be carried in the binary, and readable by other people's tools before and
//! after they went through a layout of ours.

use crate::support::skip;
use sealift::blob::{BlobSink, open_verified};
use sealift::layout::Layout;
use sealift::oci::{Descriptor, Manifest};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMES: [&str; 3] = ["greeting", "web", "worker"];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo/layout")
}

/// Copies an image from layout to layout, children first.
fn copy(from: &Layout, to: &Layout, at: &Descriptor) {
    let manifest = Manifest::parse(&from.manifest(&at.digest).unwrap(), Some(&at.media_type)).unwrap();
    manifest.children().iter().for_each(|child| copy(from, to, child));
    for blob in manifest.blobs().chain([at]) {
        to.put(blob, &mut || Ok(Box::new(open_verified(from, blob).map_err(io::Error::other)?))).unwrap();
    }
}

#[test]
fn they_are_whole_and_small() {
    let layout = Layout::open(&fixture()).unwrap();
    let images = layout.images().unwrap();
    assert_eq!(images.iter().map(|image| image.name.as_deref().unwrap()).collect::<Vec<_>>(), NAMES);
    for image in &images {
        assert_eq!(layout.missing(&image.descriptor, |_| true).unwrap(), []);
        copy(&layout, &Layout::create(tempfile::tempdir().unwrap().path()).unwrap().durable(false), &image.descriptor);
    }
    let files = walkdir::WalkDir::new(fixture()).into_iter().map(|entry| entry.unwrap().metadata().unwrap());
    assert!(files.filter(|meta| meta.is_file()).map(|meta| meta.len()).sum::<u64>() < 800 << 10);
}

#[test]
fn skopeo_reads_them_from_a_layout_of_ours() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        return skip("there is no skopeo");
    }
    let temp = tempfile::tempdir().unwrap();
    let (from, path) = (Layout::open(&fixture()).unwrap(), temp.path().join("copy"));
    let to = Layout::create(&path).unwrap().durable(false);
    for name in NAMES {
        let root = from.resolve(Some(name)).unwrap();
        copy(&from, &to, &root);
        to.tag(name, &root).unwrap();
    }
    for name in NAMES {
        // `dir:` makes skopeo read, hash and write out every blob of every platform.
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--all", "--quiet"]);
        skopeo.arg(format!("oci:{}:{name}", path.display())).arg(format!("dir:{}", temp.path().join(name).display()));
        let output = skopeo.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(temp.path().join(name).join("manifest.json")).unwrap();
        assert_eq!(bytes, from.manifest(&from.resolve(Some(name)).unwrap().digest).unwrap(), "{name}");
    }
}
