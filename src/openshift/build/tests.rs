//! What is made is the same every time, and nothing but what was to change has changed.

use super::*;
use crate::oci::{Manifest, media};
use crate::openshift::files::testing::{E, archive, gzip, image, index as index_of, layout, manifest, put as put_blob};
use crate::openshift::files::{Blobs, Files, Flow, ImageConfig, ImageFiles};
use crate::progress::Silent;
use std::collections::BTreeMap;
use std::io::Read;

fn sample(workspace: &Layout, long: &str) -> Layer {
    let mut builder = LayerBuilder::new(workspace, "sample", 0).unwrap();
    builder.folder("configs").unwrap();
    builder.bytes("configs/a/catalog.json", b"{}").unwrap();
    builder.bytes(long, b"long").unwrap();
    builder.whiteout("tmp/cache").unwrap();
    builder.file("z", 5000, &mut io::repeat(b'z').take(5000)).unwrap();
    builder.finish().unwrap()
}

fn unpacked(workspace: &Layout, layer: &Layer) -> Vec<(String, u64, u32, u64)> {
    let reader = crate::blob::open_verified(workspace, &layer.descriptor).unwrap();
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(reader).read_to_end(&mut plain).unwrap();
    assert_eq!(Digest::sha256(&plain), layer.diff_id);
    let mut archive = tar::Archive::new(plain.as_slice());
    let entry = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        (entry.path().unwrap().to_str().unwrap().to_owned(), entry.size(), header.mode().unwrap(), header.mtime().unwrap())
    };
    archive.entries().unwrap().map(entry).collect()
}

#[test]
fn equal_files_give_equal_layers() {
    let long = format!("configs/{}/ü{}", "d".repeat(120), "f".repeat(120));
    let ((_a, one), (_b, two)) = (layout(), layout());
    let layer = sample(&one, &long);
    assert_eq!(layer, sample(&two, &long));
    assert_eq!(layer, sample(&one, &long), "made again where it is");
    let names = std::fs::read_dir(one.path().join("blobs/sha256")).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside the blob");
    let folder = long.rsplit_once('/').unwrap().0.to_owned() + "/";
    let expected = [
        ("configs/", 0, 0o755, 0),
        ("configs/a/", 0, 0o755, 0),
        ("configs/a/catalog.json", 2, 0o644, 0),
        (&folder, 0, 0o755, 0),
        (&long, 4, 0o644, 0),
        ("tmp/", 0, 0o755, 0),
        ("tmp/.wh.cache", 0, 0o644, 0),
        ("z", 5000, 0o644, 0),
    ];
    assert_eq!(unpacked(&one, &layer), expected.map(|(path, size, mode, mtime)| (path.to_owned(), size, mode, mtime)));
}

#[test]
fn pax_records_say_their_own_length() {
    let (_temp, workspace) = layout();
    for length in [256, 300, 985, 986, 987, 988, 989, 990, 991, 992, 993, 994, 1000] {
        let path = "x/".repeat(60) + &"y".repeat(length - 120);
        let mut builder = LayerBuilder::new(&workspace, "pax", 7).unwrap();
        builder.bytes(&path, b"1").unwrap();
        let layer = builder.finish().unwrap();
        assert_eq!(unpacked(&workspace, &layer).pop().unwrap(), (path, 1, 0o644, 7));
    }
}

#[test]
fn a_layer_cannot_have_odd_paths_or_one_twice() {
    let (_temp, workspace) = layout();
    let mut builder = LayerBuilder::new(&workspace, "odd", 0).unwrap();
    for path in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0", &"a/".repeat(3000)] {
        assert!(matches!(builder.bytes(path, b""), Err(BuildError::Path { .. })), "{path:?}");
    }
    builder.bytes("a/b", b"").unwrap();
    builder.folder("a").unwrap();
    for path in ["a", "a/b", "a/b/c"] {
        assert!(matches!(builder.bytes(path, b""), Err(BuildError::Path { .. })), "{path:?}");
    }
    for size in [2, 4] {
        assert!(matches!(builder.file(&format!("s{size}"), size, &mut &b"123"[..]), Err(BuildError::Content { .. })));
    }
    drop(builder);
    assert_eq!(std::fs::read_dir(workspace.path().join("blobs/sha256")).unwrap().count(), 0, "nothing is left of what was given up");
}

fn text(layout: &Layout, digest: &Digest) -> serde_json::Value {
    serde_json::from_slice(&layout.manifest(digest).unwrap()).unwrap()
}

fn edited(workspace: &Layout, root: &Descriptor, change: &Change) -> Result<Descriptor, BuildError> {
    let manifest = manifest(workspace, &root.digest);
    let config = match &manifest.kind {
        crate::oci::Kind::Image { config, .. } => workspace.manifest(&config.digest).unwrap(),
        crate::oci::Kind::Index { .. } => Vec::new(),
    };
    edit(workspace, (&root.digest, &workspace.manifest(&root.digest).unwrap(), &manifest), &config, change)
}

fn change(layer: Layer) -> Change {
    Change {
        drop: [1].into(),
        append: vec![layer],
        created_by: "made".into(),
        cmd: Some(vec!["serve".into()]),
        labels: BTreeMap::from([("l".into(), "new".into())]),
        ..Change::default()
    }
}

#[test]
fn only_what_was_to_change_has_changed() {
    let (_temp, workspace) = layout();
    let layers = [[E::F("a", "1")], [E::F("b", "2")], [E::F("c", "3")]].map(|entries| gzip(&archive(&entries)));
    let config = serde_json::json!({"Labels": {"l": "old", "k": "kept"}, "Cmd": ["x"], "cmd": ["y"], "Entrypoint": ["/bin/opm"], "User": "1001", "Odd": 1.50});
    let root = image(&workspace, "amd64", config, &layers);
    let layer = sample(&workspace, "q");
    let new = edited(&workspace, &root, &change(layer.clone())).unwrap();
    assert_eq!(new, edited(&workspace, &root, &change(layer.clone())).unwrap());
    let silent = Silent::new();
    let blobs = Blobs { origin: &workspace, workspace: &workspace, stopped: &|| false, progress: &silent };
    let made = manifest(&workspace, &new.digest);
    assert_eq!(new.media_type, media::OCI_MANIFEST);
    let (read, bytes) = ImageConfig::read(&made, blobs).unwrap();
    assert_eq!((read.cmd, read.entrypoint), (vec!["serve".to_owned()], vec!["/bin/opm".to_owned()]));
    assert_eq!(read.labels, BTreeMap::from([("l".into(), "new".into()), ("k".into(), "kept".into())]));
    assert_eq!(read.diff_ids.len(), 3);
    assert_eq!(read.diff_ids[2], layer.diff_id.to_string());
    let config: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((config["config"]["User"].as_str(), &config["config"]["cmd"]), (Some("1001"), &serde_json::Value::Null));
    assert!(String::from_utf8(bytes).unwrap().contains("\"Odd\":1.5"));
    let history: Vec<&str> = config["history"].as_array().unwrap().iter().map(|h| h["created_by"].as_str().unwrap()).collect();
    assert_eq!(history, ["layer 0", "ENV", "ENV", "layer 2", "ENV", "made"]);
    let mut paths = Vec::new();
    let files = ImageFiles::of(blobs, &made);
    files
        .each(&|_| true, &mut |path, _| {
            paths.push(path.to_owned());
            Ok(Flow::Continue)
        })
        .unwrap();
    paths.sort();
    assert_eq!(paths, ["a", "c", "configs/a/catalog.json", "q", "z"]);
}

#[test]
fn docker_stays_docker() {
    let (_temp, workspace) = layout();
    let root = image(&workspace, "amd64", serde_json::json!(null), &[gzip(&archive(&[]))]);
    let mut docker = text(&workspace, &root.digest);
    docker["mediaType"] = media::DOCKER_MANIFEST.into();
    docker["config"]["mediaType"] = media::DOCKER_CONFIG.into();
    let root = put_blob(&workspace, media::DOCKER_MANIFEST, docker.to_string().as_bytes());
    let new = edited(&workspace, &root, &Change { append: vec![sample(&workspace, "q")], ..Change::default() }).unwrap();
    assert_eq!(new.media_type, media::DOCKER_MANIFEST);
    let made = text(&workspace, &new.digest);
    assert_eq!(made["config"]["mediaType"], media::DOCKER_CONFIG);
    assert_eq!(made["layers"][1]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
}

#[test]
fn documents_that_contradict_each_other() {
    let (_temp, workspace) = layout();
    let root = image(&workspace, "amd64", serde_json::json!({}), &[gzip(&archive(&[]))]);
    let document = text(&workspace, &root.digest);
    let manifest = manifest(&workspace, &root.digest);
    let bytes = document.to_string().into_bytes();
    let of = |config: &str| edit(&workspace, (&root.digest, &bytes, &manifest), config.as_bytes(), &Change::default());
    for config in ["{}", "[1]", "not json", r#"{"rootfs":{"diff_ids":["a","b"]}}"#, r#"{"rootfs":{"diff_ids":7}}"#] {
        assert!(matches!(of(config), Err(BuildError::Document { .. })), "{config}");
    }
    // A history that counts other layers cannot be kept in step.
    let new = of(r#"{"rootfs":{"diff_ids":["a"]},"history":[{},{},{"empty_layer":true}]}"#).unwrap();
    let config: Digest = text(&workspace, &new.digest)["config"]["digest"].as_str().unwrap().parse().unwrap();
    assert_eq!(text(&workspace, &config)["history"], serde_json::Value::Null);
    let index = index_of(&workspace, &[root]);
    assert!(matches!(edited(&workspace, &index, &Change::default()), Err(BuildError::Document { .. })));
}

#[test]
fn an_index_keeps_platforms_and_its_own_words() {
    let (_temp, workspace) = layout();
    let mut amd = image(&workspace, "amd64", serde_json::json!({}), &[]);
    amd.annotations.insert("note".into(), "kept".into());
    let arm = image(&workspace, "arm64", serde_json::json!({}), &[]);
    let root = index_of(&workspace, &[amd.clone(), arm]);
    let bytes = workspace.manifest(&root.digest).unwrap();
    let manifest = Manifest::parse(&bytes, None).unwrap();
    let entry = crate::openshift::files::selected(&root.digest, &workspace, &[]).unwrap().remove(0).entry.unwrap();
    let new = edited(&workspace, &amd, &Change { append: vec![sample(&workspace, "q")], ..Change::default() }).unwrap();
    let index = index(&workspace, (&root.digest, &bytes, &manifest), &[(entry, new.clone())]).unwrap();
    let made = text(&workspace, &index.digest);
    assert_eq!(made["annotations"]["kept"], "yes");
    assert_eq!(made["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(made["manifests"][0]["digest"], new.digest.to_string());
    assert_eq!(made["manifests"][0]["platform"]["architecture"], "amd64");
    assert_eq!(made["manifests"][0]["annotations"]["note"], "kept");
}
