//! What a layout promises, tried on a real folder.

use super::*;
use crate::blob::{BlobSink, BlobSource, Wrong, open_verified};
use crate::limits;
use crate::oci::{Descriptor, media};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

fn fresh() -> (tempfile::TempDir, Layout) {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("l")).unwrap().durable(false);
    (temp, layout)
}

fn blob(content: &[u8]) -> Descriptor {
    Descriptor::new("x", Digest::sha256(content), content.len() as u64)
}

fn put(layout: &Layout, content: &[u8]) -> Descriptor {
    put_as(layout, content, "x")
}

fn put_as(layout: &Layout, content: &[u8], media_type: &str) -> Descriptor {
    let descriptor = Descriptor { media_type: media_type.into(), ..blob(content) };
    let content = content.to_vec();
    layout.put(&descriptor, &mut || Ok(Box::new(io::Cursor::new(content.clone())))).unwrap();
    descriptor
}

fn path_of(layout: &Layout, descriptor: &Descriptor) -> PathBuf {
    layout.path().join("blobs/sha256").join(descriptor.digest.hex())
}

fn read(layout: &Layout, descriptor: &Descriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    open_verified(layout, descriptor).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn names_in(layout: &Layout) -> Vec<String> {
    let folder = layout.folder(Algorithm::Sha256).unwrap().unwrap();
    folder.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

/// An image of two blobs, and its root.
fn image(layout: &Layout, text: &str) -> Descriptor {
    let config = put(layout, format!("config {text}").as_bytes());
    let layer = put(layout, format!("layer {text}").as_bytes());
    let json = |d: &Descriptor| serde_json::to_string(d).unwrap();
    let manifest = format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, json(&config), json(&layer));
    put_as(layout, manifest.as_bytes(), media::OCI_MANIFEST)
}

#[test]
fn a_made_layout_is_what_the_specification_says_and_is_made_once() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("a/b");
    let layout = Layout::create(&path).unwrap();
    assert_eq!(fs::read_to_string(path.join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap();
    assert_eq!(index, serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": []}));
    let root = image(&layout, "1");
    layout.tag("v1", &root).unwrap();
    assert_eq!(Layout::create(&path).unwrap().resolve(Some("v1")).unwrap().digest, root.digest);
    let mut there: Vec<_> = fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    assert_eq!(there, ["blobs", "index.json", "oci-layout"]);
}

#[test]
fn an_interrupted_creation_is_completed_and_a_strange_folder_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("blobs")).unwrap();
    fs::write(temp.path().join("index.json.incomplete"), "{").unwrap();
    Layout::create(temp.path()).unwrap();
    let strange = tempfile::tempdir().unwrap();
    fs::write(strange.path().join("thesis.txt"), "x").unwrap();
    assert!(matches!(Layout::create(strange.path()), Err(Error::NotEmpty { .. })));
    assert!(matches!(Layout::open(strange.path()), Err(Error::NotALayout { .. })));
    assert!(matches!(Layout::open(&strange.path().join("absent")), Err(Error::Fs(e)) if e.trouble() == Trouble::Absent));
}

#[test]
fn versions_and_marks_that_are_not_understood() {
    let temp = tempfile::tempdir().unwrap();
    let try_mark = |mark: &str| {
        fs::write(temp.path().join("oci-layout"), mark).unwrap();
        Layout::open(temp.path()).err()
    };
    assert!(try_mark(r#"{"imageLayoutVersion":"1.1.0","x":1}"#).is_none());
    assert!(
        matches!(try_mark(r#"{"imageLayoutVersion":"2.0.0\u001b[2J"}"#), Some(Error::Version { version, .. }) if !version.contains('\u{1b}'))
    );
    for malformed in ["", "[]", "{}", &"[".repeat(4000)] {
        assert!(matches!(try_mark(malformed), Some(Error::Malformed { .. })), "{malformed}");
    }
    assert!(matches!(try_mark(&" ".repeat(1 << 20)), Some(Error::Fs(_))), "a mark without end");
}

#[test]
fn a_killed_download_goes_on_where_it_stopped() {
    let (_temp, layout) = fresh();
    let content: Vec<u8> = (0..3_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let wanted = blob(&content);
    let mut partial = layout.partial(&wanted).unwrap();
    assert_eq!(partial.offset(), 0);
    for piece in content[..1_700_000].chunks(9999) {
        partial.write_all(piece).unwrap();
    }
    // A kill loses what was not written out yet: the buffer is forgotten, not flushed.
    std::mem::forget(partial);
    drop_locks_of_forgotten_files(&layout, &wanted);
    assert!(!layout.has(&wanted).unwrap());
    let mut partial = layout.partial(&wanted).unwrap();
    let offset = usize::try_from(partial.offset()).unwrap();
    assert!(offset > 1_000_000 && offset <= 1_700_000, "{offset}");
    partial.write_all(&content[offset..]).unwrap();
    partial.finish().unwrap();
    assert_eq!(read(&layout, &wanted), content);
    assert_eq!(names_in(&layout), [wanted.digest.hex()]);
}

/// A forgotten file stays open and locked, which the file of a killed process does not: give the bytes to a new file.
fn drop_locks_of_forgotten_files(layout: &Layout, blob: &Descriptor) {
    let path = layout.path().join("blobs/sha256").join(in_making(&blob.digest));
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
}

#[test]
fn dropped_in_the_middle_keeps_every_byte() {
    let (_temp, layout) = fresh();
    let wanted = blob(b"hello world");
    layout.partial(&wanted).unwrap().write_all(b"hello").unwrap();
    let mut partial = layout.partial(&wanted).unwrap();
    assert_eq!(partial.offset(), 5);
    partial.write_all(b" wo").unwrap();
    assert!(matches!(partial.finish(), Err(Error::Wrong(Wrong::Short { found: 8, .. }))), "too short is not wrong: it stays");
    let mut partial = layout.partial(&wanted).unwrap();
    assert_eq!(partial.offset(), 8);
    partial.write_all(b"rld").unwrap();
    drop(partial);
    let partial = layout.partial(&wanted).unwrap();
    assert_eq!(partial.offset(), wanted.size, "killed between the last byte and the name");
    partial.finish().unwrap();
    let again = layout.partial(&wanted).unwrap();
    assert_eq!(again.offset(), wanted.size, "nothing to fetch");
    again.finish().unwrap();
    assert_eq!(read(&layout, &wanted), b"hello world");
    assert_eq!(names_in(&layout).len(), 1);
}

#[test]
fn a_source_that_cannot_start_in_the_middle_starts_anew() {
    let (_temp, layout) = fresh();
    let wanted = blob(b"hello");
    let mut partial = layout.partial(&wanted).unwrap();
    partial.write_all(b"hel").unwrap();
    partial.restart().unwrap();
    assert_eq!(partial.offset(), 0);
    partial.write_all(b"hello").unwrap();
    partial.finish().unwrap();
    assert_eq!(read(&layout, &wanted), b"hello");
}

#[test]
fn damage_while_nobody_looked_is_found_before_the_name_is_given() {
    let (_temp, layout) = fresh();
    let wanted = blob(b"hello");
    layout.partial(&wanted).unwrap().write_all(b"hel").unwrap();
    fs::write(layout.path().join("blobs/sha256").join(in_making(&wanted.digest)), "hex").unwrap();
    let mut partial = layout.partial(&wanted).unwrap();
    partial.write_all(b"lo").unwrap();
    assert!(matches!(partial.finish(), Err(Error::Wrong(Wrong::Digest { .. }))));
    assert!(names_in(&layout).is_empty(), "wrong bytes are not resumed for ever");
    fs::write(layout.path().join("blobs/sha256").join(in_making(&wanted.digest)), "longer than it may be").unwrap();
    assert_eq!(layout.partial(&wanted).unwrap().offset(), 0);
}

#[test]
fn more_bytes_than_the_blob_has_are_refused_and_nothing_stays() {
    let (_temp, layout) = fresh();
    let wanted = blob(b"hello");
    let mut partial = layout.partial(&wanted).unwrap();
    partial.write_all(b"hell").unwrap();
    let error = partial.write_all(b"o!").unwrap_err();
    assert!(matches!(Wrong::of(&error), Some(Wrong::Long { .. })));
    assert!(partial.write_all(b"o").is_err());
    assert!(matches!(partial.finish(), Err(Error::Wrong(Wrong::Long { .. }))));
    assert!(names_in(&layout).is_empty());
}

#[test]
fn many_writers_of_one_blob_store_it_once() {
    let (_temp, layout) = fresh();
    let content = vec![7u8; 2_000_000];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| put(&layout, &content));
        }
    });
    assert_eq!(read(&layout, &blob(&content)), content);
    assert_eq!(names_in(&layout).len(), 1);
}

#[test]
fn a_good_blob_is_not_written_again_and_a_wrong_sized_one_is_replaced() {
    let (_temp, layout) = fresh();
    let descriptor = put(&layout, b"hello");
    layout.put(&descriptor, &mut || panic!("asked for bytes that are there")).unwrap();
    fs::write(path_of(&layout, &descriptor), "hell").unwrap();
    assert!(!layout.has(&descriptor).unwrap());
    assert!(matches!(layout.open(&descriptor).err(), Some(Error::Damaged { wrong: Wrong::Short { found: 4, .. }, .. })));
    put(&layout, b"hello");
    assert_eq!(read(&layout, &descriptor), b"hello");
    fs::write(path_of(&layout, &descriptor), "hellO").unwrap();
    assert!(open_verified(&layout, &descriptor).unwrap().read_to_end(&mut Vec::new()).is_err());
    assert!(matches!(layout.manifest(&descriptor.digest), Err(Error::Damaged { wrong: Wrong::Digest { .. }, .. })));
    layout.discard(&descriptor.digest).unwrap();
    put(&layout, b"hello");
    assert_eq!(read(&layout, &descriptor), b"hello");
}

#[test]
fn link_folder_or_pipe_in_place_of_a_blob() {
    let (temp, layout) = fresh();
    let descriptor = blob(b"secret");
    fs::write(temp.path().join("outside"), "secret").unwrap();
    let path = path_of(&layout, &descriptor);
    symlink(temp.path().join("outside"), &path).unwrap();
    assert!(!layout.has(&descriptor).unwrap());
    assert!(matches!(layout.open(&descriptor).err(), Some(Error::Irregular { .. })));
    put(&layout, b"secret");
    assert!(fs::symlink_metadata(&path).unwrap().is_file(), "the link was replaced, not followed");
    assert_eq!(fs::read(temp.path().join("outside")).unwrap(), b"secret");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(layout.open(&descriptor).err(), Some(Error::Irregular { .. })));
    assert!(layout.put(&descriptor, &mut || Ok(Box::new(&b"secret"[..]))).is_err());
    let staging = layout.path().join("blobs/sha256").join(in_making(&descriptor.digest));
    fs::remove_dir(&path).unwrap();
    let _ = fs::remove_file(&staging);
    symlink(temp.path().join("outside"), &staging).unwrap();
    assert!(layout.partial(&descriptor).is_err(), "a link that waits for our bytes");
    fs::remove_file(&staging).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &staging, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644), 0).unwrap();
    assert!(layout.partial(&descriptor).is_err(), "a pipe that waits for our bytes");
}

#[test]
fn blob_folders_behind_links_are_not_entered() {
    let (temp, layout) = fresh();
    let descriptor = put(&layout, b"hello");
    fs::rename(layout.path().join("blobs"), temp.path().join("elsewhere")).unwrap();
    symlink(temp.path().join("elsewhere"), layout.path().join("blobs")).unwrap();
    let layout = Layout::open(layout.path()).unwrap();
    assert!(matches!(layout.open(&descriptor).err(), Some(Error::Fs(_))));
}

#[test]
fn a_layout_without_blobs_lacks_them() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let layout = Layout::open(temp.path()).unwrap();
    assert!(!layout.has(&blob(b"x")).unwrap());
    assert!(matches!(layout.open(&blob(b"x")).err(), Some(Error::NoBlob { .. })));
    assert!(!temp.path().join("blobs").exists());
}

#[test]
fn images_are_found_by_digest_name_and_tag() {
    let (_temp, layout) = fresh();
    assert!(matches!(layout.resolve(None), Err(Error::Empty { .. })));
    let (one, two) = (image(&layout, "1"), image(&layout, "2"));
    layout.tag("quay.io/a/b:v1", &one).unwrap();
    assert_eq!(layout.resolve(None).unwrap().digest, one.digest);
    layout.tag("v2", &two).unwrap();
    for (wanted, image) in [("v1", &one), ("quay.io/a/b:v1", &one), ("v2", &two), (&two.digest.to_string(), &two)] {
        assert_eq!(layout.resolve(Some(wanted)).unwrap().digest, image.digest, "{wanted}");
    }
    assert!(matches!(layout.resolve(None), Err(Error::NotUnique { wanted: None, there, .. }) if there == ["quay.io/a/b:v1", "v2"]));
    assert!(matches!(layout.resolve(Some("v3")), Err(Error::NoSuchImage { there, .. }) if there.len() == 2));
    layout.tag("v1", &two).unwrap();
    assert_eq!(layout.resolve(Some("v1")).unwrap().digest, two.digest, "the exact name goes before the tag of a full one");
    layout.tag("v2", &one).unwrap();
    assert_eq!(layout.resolve(Some("v2")).unwrap().digest, one.digest, "a tag moves");
    assert_eq!(layout.images().unwrap().len(), 3);
}

#[test]
fn duplicate_tags_are_one_image_or_none() {
    let (_temp, layout) = fresh();
    let (one, two) = (image(&layout, "1"), image(&layout, "2"));
    let entry = |d: &Descriptor| {
        format!(r#"{{"digest":"{}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"v"}}}}"#, d.digest, d.size)
    };
    let write = |a, b| fs::write(layout.path().join("index.json"), format!(r#"{{"manifests":[{},{}]}}"#, entry(a), entry(b))).unwrap();
    write(&one, &two);
    assert!(matches!(layout.resolve(Some("v")), Err(Error::NotUnique { found, .. }) if found.len() == 2));
    layout.tag("v", &two).unwrap();
    assert_eq!(layout.resolve(Some("v")).unwrap().digest, two.digest, "naming it again settles it");
    assert_eq!(layout.images().unwrap().len(), 1);
    write(&one, &one);
    assert_eq!(layout.resolve(None).unwrap().digest, one.digest);
}

#[test]
fn entries_of_others_stay_as_they_came_and_the_order_is_by_name() {
    let (_temp, layout) = fresh();
    let foreign = r#"{"digest":"blake3:00","size": 1e0,"x":[1,{"y":null}],"annotations":{"org.opencontainers.image.ref.name":"m"}}"#;
    let index = format!(r#"{{"schemaVersion":2,"annotations":{{"k":"v"}},"manifests":[{foreign}],"future":{{"a": 1}}}}"#);
    fs::write(layout.path().join("index.json"), index).unwrap();
    let root = image(&layout, "1");
    layout.tag_all([("z", &root), ("a", &root)]).unwrap();
    let text = fs::read_to_string(layout.path().join("index.json")).unwrap();
    assert!(text.contains(foreign) && text.contains(r#""annotations":{"k":"v"}"#) && text.contains(r#""future":{"a": 1}"#), "{text}");
    let at = |what: &str| text.find(what).unwrap();
    assert!(at(r#"ref.name":"a""#) < at("blake3") && at("blake3") < at(r#"ref.name":"z""#));
    assert!(matches!(layout.images(), Err(Error::Malformed { why, .. }) if why.contains("entry 2")));
}

#[test]
fn two_runs_lose_no_entry_of_each_other() {
    let (_temp, layout) = fresh();
    let root = image(&layout, "1");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (root, layout) = (&root, Layout::open(layout.path()).unwrap().durable(false));
            scope.spawn(move || (0..10).for_each(|i| layout.tag(&format!("t{thread}-{i}"), root).unwrap()));
        }
    });
    assert_eq!(layout.images().unwrap().len(), 80);
}

#[test]
fn two_runs_that_make_one_layout_lose_no_entry_either() {
    let temp = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let path = temp.path().join("l");
            scope.spawn(move || {
                let layout = Layout::create(&path).unwrap().durable(false);
                layout.tag(&format!("t{thread}"), &blob(b"x")).unwrap();
            });
        }
    });
    assert_eq!(Layout::open(&temp.path().join("l")).unwrap().images().unwrap().len(), 8);
}

#[test]
fn index_huge_nested_or_nonsense() {
    let (_temp, layout) = fresh();
    let file = layout.path().join("index.json");
    for nonsense in ["", "[]", "null", r#"{"manifests":{}}"#, r#"{"manifests":[{}]}"#, r#"{"manifests":[7]}"#, &"[".repeat(1 << 20)] {
        fs::write(&file, nonsense).unwrap();
        assert!(matches!(layout.resolve(None), Err(Error::Malformed { .. })), "{:.40}", nonsense);
    }
    let nested = format!(r#"{{"manifests":[],"x":{}{}}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
    fs::write(&file, nested).unwrap();
    assert!(matches!(layout.resolve(None), Err(Error::Empty { .. } | Error::Malformed { .. })));
    fs::File::create(&file).unwrap().set_len(limits::LAYOUT_INDEX_BYTES + 1).unwrap();
    assert!(matches!(layout.resolve(None), Err(Error::Fs(_))));
    fs::write(&file, r#"{"manifests":null}"#).unwrap();
    assert!(matches!(layout.resolve(None), Err(Error::Empty { .. })));
}

#[test]
fn what_an_image_lacks_is_listed_once() {
    let (_temp, layout) = fresh();
    let (one, two) = (image(&layout, "1"), image(&layout, "2"));
    let json = |d: &Descriptor| serde_json::to_string(d).unwrap();
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#, json(&one), json(&two), json(&two));
    let root = put_as(&layout, index.as_bytes(), media::OCI_INDEX);
    assert_eq!(layout.missing(&root, |_| true).unwrap(), []);
    fs::write(path_of(&layout, &blob(b"layer 1")), "lay").unwrap();
    layout.discard(&two.digest).unwrap();
    let lacks = |take: &dyn Fn(&Descriptor) -> bool| -> Vec<(Digest, Lack)> {
        layout.missing(&root, take).unwrap().into_iter().map(|m| (m.descriptor.digest, m.lack)).collect()
    };
    assert_eq!(lacks(&|_| true), [(two.digest, Lack::Absent), (blob(b"layer 1").digest, Lack::Size(3))]);
    assert_eq!(lacks(&|d| d.digest == one.digest), [(blob(b"layer 1").digest, Lack::Size(3))]);
    let absent = blob(b"no root");
    assert_eq!(layout.missing(&absent, |_| true).unwrap(), [Missing { descriptor: absent.clone(), lack: Lack::Absent }]);
    let nonsense = put(&layout, b"nonsense");
    assert!(matches!(layout.missing(&nonsense, |_| true), Err(Error::Manifest { .. })));
}

#[test]
fn who_failed_is_told_apart() {
    let (_temp, layout) = fresh();
    let wanted = blob(b"hello");
    let broken = layout.put(&wanted, &mut || Err(io::Error::other("line cut")));
    assert!(matches!(broken, Err(Error::Source { .. })));
    let lying = layout.put(&wanted, &mut || Ok(Box::new(crate::blob::Verified::new(&b"hellO"[..], wanted.digest, 5))));
    assert!(matches!(lying, Err(Error::Wrong(Wrong::Digest { .. }))));
    assert!(names_in(&layout).is_empty());
}

/// An image stored in a layout: manifest with this configuration and, where given, a subject.
fn stored(layout: &Layout, config: &[u8], subject: Option<&Descriptor>) -> Descriptor {
    let put = |kind: &str, bytes: &[u8]| {
        let descriptor = Descriptor::new(kind, Digest::sha256(bytes), bytes.len() as u64);
        let bytes = bytes.to_vec();
        layout.put(&descriptor, &mut || Ok(Box::new(std::io::Cursor::new(bytes.clone())) as Box<dyn Read + Send>)).unwrap();
        descriptor
    };
    let config = put("application/vnd.oci.image.config.v1+json", config);
    let mut manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []});
    if let Some(subject) = subject {
        manifest["subject"] = serde_json::json!(subject);
    }
    put(crate::oci::media::OCI_MANIFEST, manifest.to_string().as_bytes())
}

#[test]
fn a_collection_follows_tags_and_what_is_attached_to_them() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("l")).unwrap().durable(false);
    let (kept, gone) = (stored(&layout, b"{\"a\":1}", None), stored(&layout, b"{\"a\":2}", None));
    let signature = stored(&layout, b"{\"a\":3}", Some(&kept));
    let of_signature = stored(&layout, b"{\"a\":4}", Some(&signature));
    let orphan = stored(&layout, b"{\"a\":5}", Some(&gone));
    layout.tag("r:1", &kept).unwrap();
    for listed in [&of_signature, &orphan, &signature] {
        layout.hold().unwrap().add(listed).unwrap();
        layout.hold().unwrap().add(listed).unwrap();
    }
    assert_eq!(layout.images().unwrap().len(), 4);
    let young = layout.collect_garbage(0).unwrap();
    assert_eq!((young.files, young.entries, young.kept), (0, 0, 10));
    let collected = layout.collect_garbage(u64::MAX).unwrap();
    assert_eq!((collected.files, collected.entries, collected.kept), (4, 1, 6));
    for there in [&kept, &signature, &of_signature] {
        assert!(layout.missing(there, |_| true).unwrap().is_empty());
    }
    assert_eq!(layout.size(&gone.digest).unwrap(), None);
    assert_eq!(layout.size(&orphan.digest).unwrap(), None);
}

/// An artifact may carry the manifest of an image as a layer; the image's own layers stay all the same.
#[test]
fn a_collection_looks_into_what_it_has_met_as_a_layer() {
    let (_temp, layout) = fresh();
    let image = stored(&layout, b"{\"a\":1}", None);
    let config = put(&layout, b"{}");
    let artifact = serde_json::json!({"schemaVersion": 2, "config": config, "layers": [put_as(&layout, b"x", "x"), image]});
    let artifact = put_as(&layout, artifact.to_string().as_bytes(), media::OCI_MANIFEST);
    layout.tag("a:1", &artifact).unwrap();
    layout.tag("b:1", &image).unwrap();
    assert_eq!(layout.collect_garbage(u64::MAX).unwrap().files, 0);
    assert!(layout.missing(&image, |_| true).unwrap().is_empty());
}

/// What a manifest reaches that cannot be read is not known: nothing may go.
#[test]
fn a_collection_that_cannot_see_removes_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("l")).unwrap().durable(false);
    let image = stored(&layout, b"{}", None);
    layout.tag("r:1", &image).unwrap();
    let path = temp.path().join("l/blobs/sha256").join(image.digest.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.reverse();
    std::fs::write(&path, bytes).unwrap();
    let before = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert!(matches!(layout.collect_garbage(u64::MAX), Err(Error::Damaged { .. })));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), before);
}
