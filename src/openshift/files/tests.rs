//! What is read of layers, and what layers may not do.

use super::testing::{E, Far, archive, gzip, image, index, layout, manifest, put, raw};
use super::*;
use crate::oci::{Descriptor, Manifest, Platform, media};
use crate::origin::OriginError;
use crate::progress::Silent;
use std::cell::Cell;
use std::collections::BTreeMap;

type Seen = BTreeMap<String, String>;

/// Reads all files below `wanted` of an image with these layers, lowest first.
fn read_as(layers: &[Vec<u8>], wanted: &str) -> Result<Seen, FilesError> {
    let (_temp, source) = layout();
    let (_temp, workspace) = layout();
    let root = image(&source, "amd64", serde_json::json!({}), layers);
    let far = Far::new(&source);
    let files = ImageFiles::new(&far, &workspace, manifest(&source, &root.digest), &|| false, &Silent::new()).all(wanted)?;
    // A file on this machine is read in place, with the same result.
    let near = ImageFiles::new(&source, &workspace, manifest(&source, &root.digest), &|| false, &Silent::new()).all(wanted)?;
    assert_eq!(files, near);
    Ok(files)
}

impl ImageFiles<'_> {
    fn all(&self, wanted: &str) -> Result<Seen, FilesError> {
        let mut seen = Seen::new();
        self.each(&|path| path.starts_with(wanted), &mut |path, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            assert_eq!(seen.insert(path.to_owned(), text), None, "{path} is visited once");
            Ok(Flow::Continue)
        })?;
        Ok(seen)
    }
}

fn read(layers: &[&[E<'_>]]) -> Result<Seen, FilesError> {
    read_as(&layers.iter().map(|entries| gzip(&archive(entries))).collect::<Vec<_>>(), "")
}

fn seen(pairs: &[(&str, &str)]) -> Seen {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn refused(result: Result<Seen, FilesError>, why: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, FilesError::Layer { .. } | FilesError::Link { .. }), "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn the_topmost_version_of_each_path_is_visited_once() {
    let low: &[E] = &[E::D("a"), E::F("a/x", "old"), E::F("a/y", "y"), E::F("b", "b")];
    let high: &[E] = &[E::F("./a/x", "new"), E::F("/c", "c")];
    assert_eq!(read(&[low, high]).unwrap(), seen(&[("a/x", "new"), ("a/y", "y"), ("b", "b"), ("c", "c")]));
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    let low: &[E] = &[E::F("a/x", "1"), E::F("a/sub/y", "2"), E::F("b/x", "3"), E::F("b/z", "4"), E::F("c", "5")];
    assert_eq!(
        read(&[low, &[E::F(".wh.a", ""), E::F("a/new", "n")]]).unwrap(),
        seen(&[("a/new", "n"), ("b/x", "3"), ("b/z", "4"), ("c", "5")])
    );
    assert_eq!(
        read(&[low, &[E::F("b/new", "n"), E::F("b/.wh..wh..opq", "")], &[E::F("a/.wh.sub", "")]]).unwrap(),
        seen(&[("a/x", "1"), ("b/new", "n"), ("c", "5")])
    );
    assert_eq!(read(&[low, &[E::F(".wh..wh..opq", ""), E::F("d", "d")]]).unwrap(), seen(&[("d", "d")]));
    assert_eq!(read(&[low, &[E::F("b/.wh..wh.plnk", ""), E::F(".wh.c", "")], &[E::F("c", "again")]]).unwrap()["c"], "again");
}

#[test]
fn a_file_or_link_hides_a_folder_and_a_folder_a_file() {
    let low: &[E] = &[E::F("a/x", "1"), E::F("b", "2"), E::F("c", "3")];
    assert_eq!(read(&[low, &[E::F("a", "file"), E::D("b"), E::F("c/x/y", "deep")]]).unwrap(), seen(&[("a", "file"), ("c/x/y", "deep")]));
    let layers = [low, &[E::Sym("a", "/etc")]].map(|entries| gzip(&archive(entries)));
    assert_eq!(read_as(&layers, "a/").unwrap(), seen(&[]));
    let error = read_as(&layers, "a").unwrap_err();
    assert!(matches!(&error, FilesError::Link { path, target } if path == "a" && target == "/etc"), "{error}");
}

#[test]
fn hard_links_are_read_within_their_layer_only() {
    let layer: &[E] = &[E::F("a", "1"), E::Hard("b", "a"), E::Hard("c", "./b"), E::F("z", "2")];
    assert_eq!(read(&[layer]).unwrap(), seen(&[("a", "1"), ("b", "1"), ("c", "1"), ("z", "2")]));
    refused(read(&[&[E::F("a", "1")], &[E::Hard("b", "a")]]), "hard link leads to a");
    refused(read(&[&[E::Hard("b", "b")]]), "hard link leads to b");
    let mut many = vec![E::F("a", "1")];
    let names: Vec<String> = (0..100).map(|i| format!("n{i}")).collect();
    many.extend(names.iter().map(|name| E::Hard(name, "a")));
    refused(read(&[&many]), "more hard links");
}

#[test]
fn every_compression_is_told_by_content() {
    let one = archive(&[E::F("a", "1")]);
    let (head, tail) = one.split_at(700);
    let members = [gzip(head), gzip(tail)].concat();
    for layer in [one.clone(), members, zstd::encode_all(one.as_slice(), 1).unwrap()] {
        assert_eq!(read_as(&[layer], "").unwrap(), seen(&[("a", "1")]));
    }
}

#[test]
fn long_names_are_read_in_both_forms() {
    let long = format!("{}/f", "d".repeat(150));
    assert_eq!(read(&[&[E::F(&long, "1")]]).unwrap(), seen(&[(&long, "1")]));
    let record = |text: String| (1..).map(|n| format!("{n} {text}\n")).find(|r| r.split(' ').next() == Some(&r.len().to_string())).unwrap();
    let mut bytes = Vec::new();
    let pax = record(format!("path={long}")) + &record("size=3".into());
    raw(&mut bytes, b"pax", tar::EntryType::XHeader, "", pax.as_bytes());
    raw(&mut bytes, b"short", tar::EntryType::Regular, "", b"abc");
    raw(&mut bytes, b"next", tar::EntryType::Regular, "", b"n");
    assert_eq!(read_as(&[bytes], "").unwrap(), seen(&[(&long, "abc"), ("next", "n")]));
}

/// What the engines read differently hides what will run from whoever looks.
#[test]
fn an_extended_header_that_the_engines_do_not_follow() {
    let record = |text: &str| (1..).map(|n| format!("{n} {text}\n")).find(|r| r.split(' ').next() == Some(&r.len().to_string())).unwrap();
    let named = |headers: &[&[&str]]| {
        let mut bytes = Vec::new();
        for records in headers {
            let pax: String = records.iter().map(|text| record(text)).collect();
            raw(&mut bytes, b"pax", tar::EntryType::XHeader, "", pax.as_bytes());
        }
        raw(&mut bytes, b"own", tar::EntryType::Regular, "", b"abc");
        read_as(&[bytes], "").unwrap()
    };
    assert_eq!(named(&[&["path="]]), seen(&[("own", "abc")]), "empty: as in the header");
    assert_eq!(named(&[&["size="]]), seen(&[("own", "abc")]));
    assert_eq!(named(&[&["path=a"], &["linkpath=b"]]), seen(&[("own", "abc")]), "the last of several counts alone");
    assert_eq!(named(&[&["GNU.sparse.name=a"]]), seen(&[("own", "abc")]), "no sparse file, no such name");
}

#[test]
fn layers_below_are_not_fetched_once_the_visitor_stops() {
    let (_temp, source) = layout();
    let (_temp, workspace) = layout();
    let layers = [&[E::F("low", "")][..], &[E::F("top", "1")]].map(|entries| gzip(&archive(entries)));
    let root = image(&source, "amd64", serde_json::json!({}), &layers);
    let (far, silent) = (Far::new(&source), Silent::new());
    let files = ImageFiles::new(&far, &workspace, manifest(&source, &root.digest), &|| false, &silent);
    files.each(&|_| true, &mut |_, _| Ok(Flow::Stop)).unwrap();
    assert_eq!(*far.opened.lock().unwrap(), [Digest::sha256(&layers[1])]);
    // Read again, and by whoever packs: nothing is fetched twice.
    assert_eq!(files.all("").unwrap().len(), 2);
    assert_eq!(far.opened.lock().unwrap().len(), 2);
    let error = files.each(&|_| true, &mut |_, _| Err(io::Error::other("no"))).unwrap_err();
    assert!(matches!(error, FilesError::Visitor { .. }), "{error:?}");
    let calls = Cell::new(0);
    let stopped = || calls.replace(calls.get() + 1) > 2;
    let files = ImageFiles::new(&far, &workspace, manifest(&source, &root.digest), &stopped, &silent);
    assert!(matches!(files.all("none"), Err(FilesError::Interrupted)));
}

#[test]
fn damage_in_the_workspace_is_told_and_goes_away() {
    let (_temp, source) = layout();
    let (_temp, workspace) = layout();
    let layer = gzip(&archive(&[E::F("a", "1")]));
    let root = image(&source, "amd64", serde_json::json!({}), std::slice::from_ref(&layer));
    let (far, silent) = (Far::new(&source), Silent::new());
    let files = ImageFiles::new(&far, &workspace, manifest(&source, &root.digest), &|| false, &silent);
    files.all("").unwrap();
    std::fs::write(workspace.path().join("blobs/sha256").join(Digest::sha256(&layer).hex()), vec![7; layer.len()]).unwrap();
    assert!(matches!(files.all(""), Err(FilesError::Workspace(crate::layout::Error::Damaged { .. }))));
    assert_eq!(files.all("").unwrap(), seen(&[("a", "1")]));
}

#[test]
fn wrong_bytes_are_found_before_they_are_used() {
    let (_temp, source) = layout();
    let (_temp, workspace) = layout();
    let layer = archive(&[E::F("a", "1")]);
    let root = image(&source, "amd64", serde_json::json!({}), std::slice::from_ref(&layer));
    std::fs::write(source.path().join("blobs/sha256").join(Digest::sha256(&layer).hex()), archive(&[E::F("a", "2")])).unwrap();
    let (far, silent) = (Far::new(&source), Silent::new());
    for origin in [&far as &dyn crate::origin::Origin, &source] {
        let files = ImageFiles::new(origin, &workspace, manifest(&source, &root.digest), &|| false, &silent);
        let mut visited = false;
        let error = files.each(&|_| true, &mut |_, _| {
            visited = true;
            Ok(Flow::Continue)
        });
        assert!(error.is_err() && !visited, "{error:?}");
    }
}

#[test]
fn a_layer_without_the_folder_is_read_once() {
    let (_temp, source) = layout();
    let layers = [
        vec![E::F("in/a", "old"), E::F("in/low", "l"), E::F("inside", "")],
        vec![E::D("etc"), E::F("etc/x", ""), E::F("inn/y", "")],
        vec![E::F("in/.wh.low", "")],
        vec![E::F("in/a", "new"), E::F("etc/z", "")],
    ];
    let layers = layers.map(|entries| gzip(&archive(&entries)));
    let root = image(&source, "amd64", serde_json::json!({}), &layers);
    let (_temp, workspace) = layout();
    let (far, silent) = (Far::new(&source), Silent::new());
    let files = ImageFiles::new(&far, &workspace, manifest(&source, &root.digest), &|| false, &silent).below("in");
    assert_eq!(files.all("in/").unwrap(), seen(&[("in/a", "new")]));
    // Gone from the workspace and the source, and nobody misses it.
    for at in [&workspace, &source] {
        at.discard(&Digest::sha256(&layers[1])).unwrap();
    }
    assert_eq!(files.all("in/").unwrap(), seen(&[("in/a", "new")]));
    for (mark, left) in [(E::F(".wh.in", ""), 0), (E::F(".wh..wh..opq", ""), 0), (E::F("in", ""), 0), (E::F("other/.wh..wh..opq", ""), 2)] {
        let layers = [gzip(&archive(&[E::F("in/a", ""), E::F("in/b", "")])), gzip(&archive(&[mark]))];
        let root = image(&source, "amd64", serde_json::json!({}), &layers);
        let files = ImageFiles::new(&source, &workspace, manifest(&source, &root.digest), &|| false, &silent).below("in");
        assert_eq!((files.all("in/").unwrap().len(), files.all("in/").unwrap().len()), (left, left));
    }
}

#[test]
fn path_escape() {
    for path in ["../a", "a/../../b", "a/..", ".wh...", "x/.wh..", ".wh."] {
        refused(read(&[&[E::F(path, "")]]), "the path");
    }
    let long = "x/".repeat(3000);
    refused(read(&[&[E::F(&long, "")]]), "the path");
}

#[test]
fn a_file_twice() {
    refused(read(&[&[E::F("a", "1"), E::F("./a", "2")]]), "twice");
}

#[test]
fn no_tar() {
    refused(read_as(&[b"<html>not found</html>".to_vec()], ""), "in the middle of a header");
    refused(read_as(&[vec![b'x'; 4096]], ""), "no tar archive");
    refused(read_as(&[gzip(&vec![b'x'; 4096])], ""), "no tar archive");
    refused(read_as(&[[&[0x1f, 0x8b][..], &[0; 600]].concat()], ""), "");
    refused(read_as(&[[&[0x28, 0xb5, 0x2f, 0xfd][..], &[0xff; 600]].concat()], ""), "");
    let whole = archive(&[E::F("a", &"x".repeat(2000))]);
    refused(read_as(&[gzip(&whole[..1000])], ""), "in the middle of a file");
    let cut = gzip(&whole);
    refused(read_as(&[cut[..cut.len() - 12].to_vec()], ""), "");
    assert_eq!(read_as(&[Vec::new()], "").unwrap(), seen(&[]));
}

#[test]
fn layer_bomb() {
    let mut bytes = Vec::new();
    raw(&mut bytes, b"a", tar::EntryType::Regular, "", &[0; 100_000]);
    let mut entries = Entries::new(bytes.as_slice()).limited(50_000);
    assert!(matches!(entries.next(), Err(entries::Bad::Archive(_))));
    let mut small = Vec::new();
    for _ in 0..200 {
        raw(&mut small, b"a", tar::EntryType::Regular, "", &[0; 400]);
    }
    let mut entries = Entries::new(small.as_slice()).limited(50_000);
    let mut count = 0;
    while let Ok(Some(_)) = entries.next() {
        count += 1;
    }
    assert!(count < 50, "{count}");
}

#[test]
fn a_name_bomb() {
    let mut bytes = Vec::new();
    raw(&mut bytes, b"././@LongLink", tar::EntryType::GNULongName, "", &vec![b'x'; 2 << 20]);
    refused(read_as(&[bytes], ""), "extended header");
    for pax in ["9 path=a", "99999 path=a\n", "x path=a\n", "11 path:abc\n", "10 size=x\n"] {
        let mut bytes = Vec::new();
        raw(&mut bytes, b"pax", tar::EntryType::XHeader, "", pax.as_bytes());
        raw(&mut bytes, b"a", tar::EntryType::Regular, "", b"");
        refused(read_as(&[bytes], ""), "extended header");
    }
}

#[test]
fn thousands_of_whiteouts() {
    let names: Vec<String> = (0..20_000).map(|i| format!("d/.wh.f{i}")).collect();
    let gone: Vec<E> = names.iter().map(|name| E::F(name, "")).collect();
    assert_eq!(read(&[&[E::F("d/f7", ""), E::F("d/g", "g")], &gone]).unwrap(), seen(&[("d/g", "g")]));
}

#[test]
fn one_image_is_chosen_and_the_others_are_not_asked_for() {
    let (_temp, source) = layout();
    let amd = image(&source, "amd64", serde_json::json!({"Labels": {"a": "b"}, "Cmd": ["x"], "Entrypoint": null}), &[]);
    let arm = image(&source, "arm64", serde_json::json!(null), &[]);
    let mut absent = Descriptor::new(media::OCI_MANIFEST, Digest::sha256(b"absent"), 6);
    absent.platform = Some("linux/s390x".parse().unwrap());
    let mut about = put(&source, media::OCI_MANIFEST, b"{}");
    about.platform = Some("unknown/unknown".parse().unwrap());
    let root = index(&source, &[absent, amd.clone(), about, arm.clone()]);
    let of = |text: &str| choose(&root.digest, &text.parse::<Platform>().unwrap(), &source);
    assert_eq!(of("linux/arm64").unwrap().0, arm.digest);
    let missing = of("linux/ppc64le").unwrap_err().to_string();
    assert!(missing.contains("linux/ppc64le") && missing.contains("linux/arm64"), "{missing}");
    let nested = index(&source, std::slice::from_ref(&root));
    let (digest, chosen) = choose(&nested.digest, &"linux/amd64".parse().unwrap(), &source).unwrap();
    assert_eq!(digest, amd.digest);
    assert_eq!(choose(&amd.digest, &"linux/other".parse().unwrap(), &source).unwrap().0, amd.digest);
    let silent = Silent::new();
    let blobs = Blobs { origin: &source, workspace: &source, stopped: &|| false, progress: &silent };
    let (config, _) = ImageConfig::read(&chosen, blobs).unwrap();
    assert_eq!((config.platform().to_string(), config.labels["a"].as_str(), config.cmd), ("linux/amd64".into(), "b", vec!["x".to_owned()]));
    let index = Manifest::parse(&source.manifest(&root.digest).unwrap(), None).unwrap();
    assert!(matches!(ImageConfig::read(&index, blobs), Err(FilesError::NoImage { .. })));
}

#[test]
fn endless_indexes_and_odd_configurations() {
    let (_temp, source) = layout();
    let mut at = image(&source, "amd64", serde_json::json!({}), &[]);
    for _ in 0..12 {
        at = index(&source, &[Descriptor { platform: None, ..at }]);
    }
    let error = choose(&at.digest, &"linux/amd64".parse().unwrap(), &source).unwrap_err();
    assert!(matches!(error, FilesError::Origin(OriginError::Depth(_))), "{error}");
    for bad in ["[", "7", r#"{"config":3}"#, r#"{"architecture":7}"#] {
        assert!(ImageConfig::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(ImageConfig::parse("[".repeat(100_000).as_bytes()).is_err());
    let silent = Silent::new();
    let blobs = Blobs { origin: &source, workspace: &source, stopped: &|| false, progress: &silent };
    let huge = Descriptor::new("x", Digest::sha256(b"x"), 1 << 40);
    assert!(matches!(blobs.small(&huge, 100), Err(FilesError::Config { .. })));
}
