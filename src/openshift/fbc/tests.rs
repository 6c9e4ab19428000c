//! The rules of filtering, on catalogs small enough to see.

use super::*;
use crate::image_set::ImageSet;
use crate::openshift::files::{Files, FilesError, Flow, Visit};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Files in memory, in this order.
struct Memory(Vec<(String, Vec<u8>)>);

impl Files for Memory {
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError> {
        for (path, bytes) in self.0.iter().filter(|(path, _)| wanted(path)) {
            let flow = visit(path, &mut bytes.as_slice()).map_err(|error| FilesError::Visitor { path: path.clone(), error })?;
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

fn memory(files: &[(&str, &str)]) -> Memory {
    Memory(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect())
}

fn read(files: &[(&str, &str)]) -> Result<Catalog, FbcError> {
    Catalog::read(&memory(files), "configs")
}

fn package(name: &str, default: &str) -> String {
    format!("---\nschema: olm.package\nname: {name}\ndefaultChannel: {default}\n")
}

/// Entries as `name`, `name<replaces`, `name<replaces!skips!skips`.
fn channel(package: &str, name: &str, entries: &str) -> String {
    let mut text = format!("---\nschema: olm.channel\npackage: {package}\nname: {name}\nentries:\n");
    for entry in entries.split_whitespace() {
        let mut parts = entry.split('!');
        let first = parts.next().unwrap();
        let (entry, replaces) = first.split_once('<').unwrap_or((first, ""));
        text += &format!("- name: {package}.v{entry}\n");
        if !replaces.is_empty() {
            text += &format!("  replaces: {package}.v{replaces}\n");
        }
        let skips: Vec<String> = parts.map(|skip| format!("{package}.v{skip}")).collect();
        if !skips.is_empty() {
            text += &format!("  skips: [{}]\n", skips.join(", "));
        }
    }
    text
}

fn bundle(package: &str, version: &str, more: &str) -> String {
    format!(
        "---\nschema: olm.bundle\npackage: {package}\nname: {package}.v{version}\nimage: q.io/{package}:{version}\nrelatedImages:\n- image: q.io/{package}/op:{version}\n- image: ''\nproperties:\n- type: olm.package\n  value: {{packageName: {package}, version: {version}}}\n{more}"
    )
}

fn bundles(package: &str, versions: &str) -> String {
    versions.split_whitespace().map(|version| bundle(package, version, "")).collect()
}

/// One package `a` with the channel `stable`.
fn one(entries: &str, versions: &str) -> String {
    package("a", "stable") + &channel("a", "stable", entries) + &bundles("a", versions)
}

fn wish(packages: &str) -> Vec<crate::image_set::Package> {
    let text = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  operators:\n  - catalog: q.io/c:1\n    packages: {packages}\n"
    );
    ImageSet::parse(text.as_bytes()).unwrap().0.operators.remove(0).packages
}

const GO_ON: Options = Options { keep_going: true, with_dependencies: false };
const CLOSE: Options = Options { keep_going: false, with_dependencies: true };

/// Versions kept of the channel, or the fault.
fn kept_of(text: &str, packages: &str, name: &str) -> Result<String, Fault> {
    let catalog = read(&[("configs/a.yaml", text)]).unwrap_or_else(|e| panic!("{e}"));
    let kept = filter(&catalog, &wish(packages), false, GO_ON).unwrap_or_else(|e| panic!("{e}"));
    if let Some(left_out) = kept.left_out.into_iter().next() {
        return Err(left_out.fault);
    }
    let channel = kept.packages[0].channels.iter().find(|channel| channel.name == name);
    Ok(channel.map_or(String::new(), |channel| channel.entries.join(" ").replace("a.v", "")))
}

#[test]
fn a_range_leaves_one_piece_with_one_head() {
    let chain = one(
        "1.0.0 1.1.0<1.0.0 1.1.1<1.0.0!1.1.0 1.2.0<1.1.1 2.0.0-rc.1<1.2.0 2.0.0<2.0.0-rc.1 3.0.0<2.0.0",
        "1.0.0 1.1.0 1.1.1 1.2.0 2.0.0-rc.1 2.0.0 3.0.0",
    );
    for (range, kept) in [
        ("", "3.0.0"),
        (", minVersion: 2.0.0", "2.0.0 3.0.0"),
        (", maxVersion: 1.1.0", "1.0.0 1.1.0 1.1.1"),
        (", minVersion: 1.1.0, maxVersion: 1.1.0", "1.1.0 1.1.1"),
        (", minVersion: 1.2.0, maxVersion: 1.2.0", "1.2.0"),
        (", minVersion: 1.2.0, maxVersion: 2.0.0", "1.2.0 2.0.0 2.0.0-rc.1"),
        (", minVersion: 1.0.0", "1.0.0 1.1.0 1.1.1 1.2.0 2.0.0 2.0.0-rc.1 3.0.0"),
        (", minVersion: 2.0.0-0, maxVersion: 2.0.0-rc.9", "2.0.0-rc.1"),
    ] {
        assert_eq!(kept_of(&chain, &format!("[{{name: a{range}}}]"), "stable").unwrap(), kept, "{range}");
        let of_channel = format!("[{{name: a, channels: [{{name: stable{range}}}]}}]");
        assert_eq!(kept_of(&chain, &of_channel, "stable").unwrap(), kept, "{range}");
    }
    let near = |range: &str| kept_of(&chain, &format!("[{{name: a{range}}}]"), "stable").unwrap_err().to_string();
    assert_eq!(
        near(", minVersion: 1.1.5, maxVersion: 1.1.5"),
        "version 1.1.5 is not in channel stable; there are 1.1.0, 1.1.1, 1.2.0, 2.0.0-rc.1"
    );
    assert!(near(", minVersion: 4.0.0").contains("default channel stable is in the range >=4.0.0; there are 2.0.0, 3.0.0"));
    // The bottom of the chain is a name without an entry; entries below it are not reached.
    assert_eq!(kept_of(&one("2.0.0<1.9.0 3.0.0<2.0.0", "2.0.0 3.0.0"), "[{name: a, maxVersion: 2.5.0}]", "stable").unwrap(), "2.0.0");
}

#[test]
fn channels_and_defaults_follow_the_table() {
    let text = package("a", "stable")
        + &channel("a", "stable", "1.0.0 2.0.0<1.0.0")
        + &channel("a", "beta", "3.0.0 4.0.0<3.0.0")
        + &bundles("a", "1.0.0 2.0.0 3.0.0 4.0.0");
    let kept = |wish: &str, channel: &str| kept_of(&text, wish, channel);
    assert_eq!(kept("[{name: a}]", "beta").unwrap(), "4.0.0");
    assert_eq!(kept("[{name: a, minVersion: 1.0.0, maxVersion: 2.0.0}]", "beta").unwrap(), "", "an empty channel goes");
    assert_eq!(kept("[{name: a, minVersion: 2.0.0, maxVersion: 2.0.0}]", "stable").unwrap(), "2.0.0");
    assert!(matches!(kept("[{name: a, minVersion: 3.0.0, maxVersion: 3.0.0}]", ""), Err(Fault::EmptyDefault { .. })));
    assert!(
        matches!(kept("[{name: a, minVersion: 9.0.0, maxVersion: 9.0.0}]", ""), Err(Fault::NoVersion { channels, .. }) if channels.len() == 2)
    );
    assert_eq!(kept("[{name: a, channels: [{name: stable}, {name: beta, minVersion: 3.0.0}]}]", "beta").unwrap(), "3.0.0 4.0.0");
    assert!(matches!(kept("[{name: a, channels: [{name: beta}]}]", ""), Err(Fault::DefaultDropped { .. })));
    assert_eq!(kept("[{name: a, defaultChannel: beta, channels: [{name: beta}]}]", "beta").unwrap(), "4.0.0");
    assert!(matches!(kept("[{name: a, defaultChannel: bata}]", ""), Err(Fault::NoChannel { near: Some(near), .. }) if near == "beta"));
    assert!(
        matches!(kept("[{name: a, channels: [{name: stabel}]}]", ""), Err(Fault::NoChannel { near: Some(near), .. }) if near == "stable")
    );
    assert!(matches!(kept("[{name: A}]", ""), Err(Fault::NoPackage { near: Some(near) }) if near == "a"));
    let catalog = read(&[("configs/a.yaml", &text)]).unwrap();
    let strict = |packages: &str, full| filter(&catalog, &wish(packages), full, Options::default());
    assert!(matches!(strict("[{name: b}, {name: a}]", false), Err(FbcError::LeftOut(list)) if list.len() == 1));
    assert!(matches!(strict("[{name: a, minVersion: 1.0.0}]", true), Err(FbcError::FullWithRange(_))));
    let full = strict("[{name: a, channels: [{name: stable}]}]", true).unwrap();
    assert_eq!((full.packages[0].bundles.len(), full.whole), (2, false));
    let whole = filter(&catalog, &[], true, Options::default()).unwrap();
    assert!(whole.whole && whole.packages[0].bundles.len() == 4);
    let warned = strict("[{name: a, minVersion: 1.5.0, maxVersion: 2.0.0}]", false).unwrap().warnings;
    assert!(warned.len() == 2 && warned[0].contains("minVersion 1.5.0") && warned[1].contains("channel beta"), "{warned:?}");
}

#[test]
fn malformed_packages_fail_alone_and_by_name() {
    let good = package("b", "c") + &channel("b", "c", "1.0.0") + &bundles("b", "1.0.0");
    let entries = |entries: &str| one(entries, "1.0.0 2.0.0 3.0.0 4.0.0");
    let twice = bundle("a", "1.0.0", "- type: olm.package\n  value: {packageName: a, version: 1.0.0}\n");
    let ok = one("1.0.0", "1.0.0");
    for (text, fault) in [
        (entries("1.0.0 2.0.0"), "channel stable has several heads: a.v1.0.0, a.v2.0.0"),
        (entries("1.0.0<2.0.0 2.0.0<1.0.0"), "channel stable has no head"),
        (entries("1.0.0<2.0.0 2.0.0<1.0.0 3.0.0<2.0.0"), "in a circle: a.v1.0.0, a.v2.0.0"),
        (entries("3.0.0<2.0.0 1.0.0!2.0.0 2.0.0!1.0.0"), "in a circle"),
        (entries("1.0.0 1.0.0"), "has the entry a.v1.0.0 twice"),
        (entries("1.0.0<1.0.0"), "entry a.v1.0.0 of channel stable replaces itself"),
        (entries("1.0.0!1.0.0"), "entry a.v1.0.0 of channel stable skips itself"),
        (entries(""), "channel stable has no head"),
        (entries("9.0.0"), "has the entry a.v9.0.0, for which there is no olm.bundle"),
        (package("a", "") + &channel("a", "stable", "1.0.0") + &bundles("a", "1.0.0"), "default channel \"\" does not exist"),
        (channel("a", "stable", "1.0.0") + &bundles("a", "1.0.0"), "no olm.package object"),
        (ok.clone() + &package("a", "stable"), "olm.package a is there twice"),
        (ok.clone() + &channel("a", "stable", "1.0.0"), "olm.channel stable is there twice"),
        (ok.clone() + &bundles("a", "1.0.0"), "olm.bundle a.v1.0.0 is there twice"),
        (ok.clone() + "---\nschema: olm.bundle\npackage: a\nname: x\n", "bundle x has no olm.package property"),
        (ok.replace("- type: olm.package", "- type: other"), "bundle a.v1.0.0 has no olm.package property"),
        (package("a", "stable") + &channel("a", "stable", "1.0.0") + &twice, "several olm.package properties"),
        (ok.replace("version: 1.0.0}", "version: latest}"), "has the version \"latest\", which is none"),
        (ok.replace("{packageName: a,", "{packageName: b,"), "belongs to b"),
        (ok.clone() + "---\nschema: olm.channel\npackage: a\n", "olm.channel without a name"),
        (ok.replace("{packageName: a, version: 1.0.0}", "3"), "bundle a.v1.0.0: olm.package: invalid type"),
    ] {
        let catalog = read(&[("configs/a.yaml", &text), ("configs/b.yaml", &good)]).unwrap_or_else(|e| panic!("{fault}: {e}"));
        let kept = filter(&catalog, &[], false, GO_ON).unwrap();
        assert_eq!(kept.packages.len(), 1, "{fault}");
        let told: Vec<String> = kept.left_out.iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].contains(fault) && told[0].contains("in configs/a.yaml, object "), "{fault}: {told:?}");
        assert!(
            filter(&catalog, &[], false, Options::default()).is_err()
                && filter(&catalog, &wish("[{name: b}]"), false, Options::default()).is_ok()
        );
    }
}

#[test]
fn files_that_are_no_catalog_say_where_and_why() {
    let ok = one("1.0.0", "1.0.0");
    for (text, place, why) in [
        (format!("{ok}---\nschema: olm.channel\nname: [x]\n"), "object 4 (line ", "text"),
        ("schema: olm.package\nname: a\n--- \nname: b\n".to_owned(), "object 2 (line 3)", "schema is missing"),
        ("a: &x [1]\nb: *y\n".to_owned(), "object 1 (line ", "unknown anchor"),
        ("{\"schema\": \"olm.package\",\n \"name\": 3}".to_owned(), "object 1 (line 2)", "text"),
        ("{\"schema\": \"olm.package\"}\n{\"schema\": ".to_owned(), "object 2 (line 2)", "ends inside"),
        ("schema: olm.package\nSchema: x\n".to_owned(), "object 1 (line ", "schema is there twice"),
        ("\u{0}".to_owned(), "object 1", ""),
        ("[".repeat(100_000), "object 1", ""),
        (format!("{{\"schema\": \"x\", \"a\": {}", "[".repeat(100_000)), "object 1", "ends inside"),
        (
            format!("{{\"schema\": \"olm.bundle\", \"properties\": [{{\"value\": {}{}}}]}}", "[".repeat(100_000), "]".repeat(100_000)),
            "object 1",
            "recursion limit",
        ),
        (
            format!("x: &x {}\nschema: olm.bundle\nrelatedImages: [{}]\n", "x".repeat(5000), "{image: *x}, ".repeat(9)),
            "object 1",
            "longer than 4096",
        ),
    ] {
        let told = read(&[("configs/x/a.yaml", &text)]).unwrap_err().to_string();
        assert!(told.starts_with(&format!("configs/x/a.yaml, {place}")) && told.contains(why), "{place}: {told}");
    }
    let bomb = (1..10).fold("a0: &a0 {image: q}\n".to_owned(), |text, i| {
        text + &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", "))
    });
    assert!(read(&[("configs/a.yaml", &format!("{bomb}schema: olm.bundle\nproperties: [{{value: *a9}}]\n"))]).is_err());
    assert!(matches!(read(&[("other/a.yaml", &ok)]), Err(FbcError::Empty(_))));
    let whole = Catalog::read(&memory(&[("a.yaml", &ok)]), "").unwrap();
    assert_eq!((whole.package_names().collect::<Vec<_>>(), whole.objects()), (vec!["a"], 3));
}

#[test]
fn ignored_files_are_no_part_of_the_catalog_wherever_the_rule_stands() {
    let ok = one("1.0.0", "1.0.0");
    let ignore = ("configs/.indexignore", "*.md\n/old/\n");
    let junk = [("configs/README.md", "no catalog"), ("configs/old/a.yaml", ok.as_str())];
    for files in [vec![ignore, junk[0], junk[1], ("configs/a.yaml", &ok)], vec![junk[0], ("configs/a.yaml", &ok), junk[1], ignore]] {
        let catalog = read(&files).unwrap();
        assert_eq!(filter(&catalog, &[], false, Options::default()).unwrap().packages.len(), 1);
    }
    assert!(read(&[junk[0], ("configs/a.yaml", &ok)]).is_err());
}

#[test]
fn images_are_those_that_can_be_fetched_and_the_bundles_own() {
    let text = one("1.0.0", "1.0.0");
    let catalog = read(&[("configs/a.yaml", &text)]).unwrap();
    let kept = filter(&catalog, &[], false, Options::default()).unwrap();
    assert_eq!(kept.packages[0].bundles[0].images, ["q.io/a/op:1.0.0", "q.io/a:1.0.0"]);
    for bad in ["oci:///x", "q.io/UPPER:1", "q.io/untagged"] {
        let catalog = read(&[("configs/a.yaml", &text.replace("q.io/a/op:1.0.0", bad))]).unwrap();
        assert!(matches!(filter(&catalog, &[], false, Options::default()), Err(FbcError::LeftOut(_))), "{bad}");
        let kept = filter(&catalog, &[], false, GO_ON).unwrap();
        assert!(matches!(&kept.left_out[..], [LeftOut { fault: Fault::Image { image, .. }, .. }] if image == bad));
        assert_eq!(kept.packages[0].bundles[0].images, ["q.io/a:1.0.0"], "the rest is kept");
    }
}

fn written(files: &Memory, catalog: &Catalog, kept: &Kept) -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    write(files, catalog, kept, &mut |path, size, reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        assert_eq!(bytes.len() as u64, size);
        out.push((path.to_owned(), bytes));
        Ok(())
    })
    .unwrap_or_else(|e| panic!("{e}"));
    out
}

#[test]
fn what_is_written_is_exact() {
    let text = "{\"schema\":\"olm.bundle\",\"package\":\"a\",\"name\":\"a.v2.0.0\",\"image\":\"\",\"properties\":[{\"type\":\"olm.package\",\"value\":{\"packageName\":\"a\",\"version\":\"2.0.0\"}},{\"type\":\"x\",\"value\":\"<&\\ud83d\\ude00\"}]}
{\"schema\":\"olm.channel\",\"package\":\"a\",\"name\":\"old\",\"entries\":[]}
{\"schema\":\"olm.channel\",\"package\":\"a\",\"name\":\"s\",\"entries\":[{\"name\":\"a.v1.0.0\"},{\"name\":\"a.v2.0.0\",\"replaces\":\"a.v1.0.0\",\"skipRange\":\"<2.0.0\"}]}
{\"schema\":\"olm.deprecations\",\"package\":\"a\",\"entries\":[{\"reference\":{\"schema\":\"olm.package\"},\"message\":\"p\"},{\"reference\":{\"schema\":\"olm.bundle\",\"name\":\"a.v1.0.0\"},\"message\":\"1\"},{\"reference\":{\"schema\":\"olm.channel\",\"name\":\"s\"},\"message\":\"s\"}]}
{\"schema\":\"x.y\",\"package\":\"a\",\"z\":1,\"a\":2}
{\"schema\":\"x.y\",\"package\":\"gone\"}
{\"schema\":\"loose\",\"n\":null}
{\"schema\":\"olm.package\",\"name\":\"a\",\"defaultChannel\":\"old\"}";
    let files = memory(&[("configs/all.json", text)]);
    let catalog = Catalog::read(&files, "configs").unwrap();
    let kept = filter(&catalog, &wish("[{name: a, defaultChannel: s, channels: [{name: s}]}]"), false, Options::default()).unwrap();
    let mut out = written(&files, &catalog, &kept);
    out.sort();
    let paths: Vec<&str> = out.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["configs/a/catalog.json", "configs/catalog.json"]);
    assert_eq!(out[1].1, b"{\n    \"schema\": \"loose\",\n    \"n\": null\n}\n");
    let text = String::from_utf8(out[0].1.clone()).unwrap();
    let expected = "{
    \"defaultChannel\": \"s\",
    \"name\": \"a\",
    \"schema\": \"olm.package\"
}
{
    \"entries\": [
        {
            \"name\": \"a.v2.0.0\",
            \"replaces\": \"a.v1.0.0\",
            \"skipRange\": \"<2.0.0\"
        }
    ],
    \"name\": \"s\",
    \"package\": \"a\",
    \"schema\": \"olm.channel\"
}
{
    \"schema\": \"olm.bundle\",
    \"package\": \"a\",
    \"name\": \"a.v2.0.0\",
    \"image\": \"\",
    \"properties\": [
        {
            \"type\": \"olm.package\",
            \"value\": {
                \"packageName\": \"a\",
                \"version\": \"2.0.0\"
            }
        },
        {
            \"type\": \"x\",
            \"value\": \"<&😀\"
        }
    ]
}
{
    \"schema\": \"x.y\",
    \"package\": \"a\",
    \"z\": 1,
    \"a\": 2
}
{
    \"entries\": [
        {
            \"message\": \"p\",
            \"reference\": {
                \"schema\": \"olm.package\"
            }
        },
        {
            \"message\": \"s\",
            \"reference\": {
                \"name\": \"s\",
                \"schema\": \"olm.channel\"
            }
        }
    ],
    \"name\": \"?\",
    \"package\": \"a\",
    \"schema\": \"olm.deprecations\"
}
"
    .replace("    \"name\": \"?\",\n", "");
    assert_eq!(text, expected);
}

#[test]
fn mixed_packages_are_written_in_several_readings_and_changes_are_noticed() {
    // Two packages of 10 MiB each, their bundles by turns: more than is gathered at once.
    let long = "x".repeat(5 << 20);
    let mut text = String::new();
    for version in ["1.0.0", "2.0.0"] {
        for name in ["a", "b"] {
            text += &bundle(name, version, &format!("- type: long\n  value: {long}\n"));
        }
    }
    for name in ["a", "b"] {
        text += &(package(name, "s") + &channel(name, "s", "1.0.0 2.0.0<1.0.0"));
    }
    let files = memory(&[("configs/all.yaml", &text)]);
    let catalog = Catalog::read(&files, "configs").unwrap();
    let kept = filter(&catalog, &wish("[{name: a}, {name: b}]"), true, Options::default()).unwrap();
    let out = written(&files, &catalog, &kept);
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|(_, bytes)| bytes.len() > 10 << 20));
    let changed = memory(&[("configs/all.yaml", &text.replacen("q.io/b:1.0.0", "q.io/b:1", 1))]);
    let refused = write(&changed, &catalog, &kept, &mut |_, _, _| Ok(())).unwrap_err();
    assert!(matches!(refused, FbcError::Changed), "{refused}");
    let refused = write(&files, &catalog, &kept, &mut |_, _, _| Err(std::io::Error::other("full"))).unwrap_err();
    assert!(matches!(refused, FbcError::Sink(_)), "{refused}");
}

fn needs(kind: &str, value: &str) -> String {
    format!("- type: {kind}\n  value: {value}\n")
}

/// `a` needs `b` below 3; `b` needs the API of `c`; `c` needs something nobody has.
fn depending() -> String {
    let api = "{group: g, version: v1, kind: K}";
    package("a", "s")
        + &channel("a", "s", "1.0.0")
        + &bundle("a", "1.0.0", &needs("olm.package.required", "{packageName: b, versionRange: '>=1.0.0 <3.0.0'}"))
        + &package("b", "s")
        + &channel("b", "s", "1.0.0 2.0.0<1.0.0 3.0.0<2.0.0 4.0.0<3.0.0")
        + &bundles("b", "1.0.0 3.0.0 4.0.0")
        + &bundle("b", "2.0.0", &needs("olm.gvk.required", api))
        + &package("c", "s")
        + &channel("c", "s", "1.0.0 2.0.0<1.0.0")
        + &bundle("c", "1.0.0", &needs("olm.gvk", api))
        + &bundle(
            "c",
            "2.0.0",
            &(needs("olm.gvk", api)
                + &needs(
                    "olm.constraint",
                    "{any: {constraints: [{package: {packageName: z, versionRange: '>1.0.0'}}, {cel: {rule: x}}]}}",
                )),
        )
}

fn states(kept: &Kept) -> Vec<(&str, State, &[String])> {
    kept.needs.iter().map(|need| (need.bundle.as_str(), need.state, need.by.as_slice())).collect()
}

#[test]
fn dependencies_are_reported_and_added_until_nothing_is_missing_that_could_be_had() {
    let catalog = read(&[("configs/a.yaml", &depending())]).unwrap();
    let alone = filter(&catalog, &wish("[{name: a}]"), false, Options::default()).unwrap();
    assert_eq!(states(&alone), [("a.v1.0.0", State::InCatalog, &["b.v2.0.0".to_owned()][..])]);
    let closed = filter(&catalog, &wish("[{name: a}]"), false, CLOSE).unwrap();
    let names: Vec<(&str, bool)> = closed.packages.iter().map(|package| (package.name.as_str(), package.dependency)).collect();
    assert_eq!(names, [("a", false), ("b", true), ("c", true)]);
    assert_eq!(closed.packages[1].channels[0].entries, ["b.v2.0.0"]);
    assert_eq!(closed.packages[2].channels[0].entries, ["c.v2.0.0"], "the head of the default channel");
    assert_eq!(closed.needs[0].state, State::Satisfied);
    assert_eq!(states(&closed)[2], ("c.v2.0.0", State::NotUnderstood, &[][..]));
    // A head that is kept already stays the one head: what lies between it and the dependency comes along.
    let both = filter(&catalog, &wish("[{name: a}, {name: b}]"), false, CLOSE).unwrap();
    assert_eq!(both.packages[1].channels[0].entries, ["b.v2.0.0", "b.v3.0.0", "b.v4.0.0"]);
    assert!(!both.packages[1].dependency);
}

#[test]
fn a_dependency_outside_of_the_default_channel_brings_both() {
    let text = package("a", "s")
        + &channel("a", "s", "1.0.0")
        + &bundle(
            "a",
            "1.0.0",
            &needs("olm.constraint", "{all: {constraints: [{package: {packageName: b, versionRange: '1.x'}}, {not: {constraints: []}}]}}"),
        )
        + &package("b", "new")
        + &channel("b", "new", "2.0.0")
        + &channel("b", "old", "1.0.0 1.1.0<1.0.0")
        + &bundles("b", "1.0.0 1.1.0 2.0.0");
    let catalog = read(&[("configs/a.yaml", &text)]).unwrap();
    let kept = filter(&catalog, &wish("[{name: a}]"), false, CLOSE).unwrap();
    let channels: Vec<(&str, &[String])> = kept.packages[1].channels.iter().map(|c| (c.name.as_str(), c.entries.as_slice())).collect();
    assert_eq!(channels, [("new", &["b.v2.0.0".to_owned()][..]), ("old", &["b.v1.1.0".to_owned()][..])]);
    // A malformed dependency is not added, and that is said.
    let broken = text.replace("olm.package\nname: b\n", "olm.package\nname: q\n");
    let catalog = read(&[("configs/a.yaml", &broken)]).unwrap();
    let kept = filter(&catalog, &wish("[{name: a}]"), false, CLOSE).unwrap();
    assert!(kept.packages.len() == 1 && kept.warnings[0].contains("could not be added"), "{:?}", kept.warnings);
}

/// A channel as the grammar of [`channel`]: each version replaces or skips some of the lower ones; none but the last is a head.
fn channels() -> impl Strategy<Value = (String, Vec<u64>)> {
    prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..14).prop_map(
        |picks| {
            let mut entries: Vec<(usize, Option<usize>, BTreeSet<usize>)> = Vec::new();
            for (version, (replaces, skips)) in picks.iter().enumerate() {
                let lower = |pick: &prop::sample::Index| (version > 0).then(|| pick.index(version));
                entries.push((version, lower(replaces), skips.iter().filter_map(lower).collect()));
            }
            let named: BTreeSet<usize> = entries.iter().flat_map(|(_, replaces, skips)| skips.iter().copied().chain(*replaces)).collect();
            let last = entries.len() - 1;
            let stranded: Vec<usize> = (0..last).filter(|version| !named.contains(version)).collect();
            entries[last].2.extend(stranded);
            let texts = entries.iter().map(|(version, replaces, skips)| {
                let replaces = replaces.map_or(String::new(), |replaces| format!("<{replaces}.0.0"));
                format!("{version}.0.0{replaces}{}", skips.iter().map(|skip| format!("!{skip}.0.0")).collect::<String>())
            });
            (texts.collect::<Vec<_>>().join(" "), (0..entries.len() as u64).collect())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_a_range_leaves_is_a_channel_again((entries, versions) in channels(), min in 0u64..14, width in 0u64..14) {
        let all: Vec<String> = versions.iter().map(|version| format!("{version}.0.0")).collect();
        let text = one(&entries, &all.join(" "));
        let files = memory(&[("configs/a.yaml", &text)]);
        let catalog = Catalog::read(&files, "configs").unwrap();
        let wish = wish(&format!("[{{name: a, minVersion: {min}.0.0, maxVersion: {}.0.0}}]", min + width));
        let kept = filter(&catalog, &wish, false, GO_ON).unwrap();

        let channel = &catalog.packages["a"].channels["stable"];
        let below: BTreeMap<&str, (Option<&str>, Vec<&str>)> = channel.entries.iter()
            .map(|entry| (&*entry.name, (entry.replaces.as_deref(), entry.skips.iter().map(|skip| &**skip).collect()))).collect();
        let head = catalog.packages["a"].head("stable").unwrap();
        let chain: Vec<&str> = std::iter::successors(Some(head), |name| below[*name].0).collect();
        let within = |name: &str| catalog.packages["a"].bundles[name].version.major.wrapping_sub(min) <= width;
        let reachable: BTreeSet<&str> = chain.iter().flat_map(|name| below[*name].1.iter().copied().chain([*name])).filter(|name| within(name)).collect();
        let Some(package) = kept.packages.first() else {
            prop_assert!(reachable.is_empty());
            return Ok(());
        };
        let left: BTreeSet<&str> = package.channels[0].entries.iter().map(String::as_str).collect();
        // Nothing that is wanted and can be reached is lost; what is not wanted is there only to keep the chain in one piece.
        prop_assert!(reachable.is_subset(&left), "{left:?} lacks some of {reachable:?}");
        prop_assert!(left.iter().all(|name| within(name) || chain.contains(name)));
        // The kept part of the chain has no gap.
        let run: Vec<usize> = (0..chain.len()).filter(|i| left.contains(chain[*i])).collect();
        prop_assert!(run.windows(2).all(|pair| pair[1] == pair[0] + 1), "{run:?}");
        // One head, and the written catalog is read as what was kept.
        let out = Memory(written(&files, &catalog, &kept));
        let again = Catalog::read(&out, "configs").unwrap();
        prop_assert!(again.packages["a"].head("stable").is_ok());
        let all = filter(&again, &[], true, Options::default()).unwrap();
        prop_assert_eq!(&all.packages, &kept.packages);
    }
}
