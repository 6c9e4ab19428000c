//! Real operator catalogs: what is kept is what other tools keep, and what is written reads as what was kept.

use crate::support::run::in_process;
use crate::support::{shared_data, skip};
use sealift::fs::Dir;
use sealift::image_set::{ImageSet, Operator};
use sealift::openshift::fbc::{Catalog, Folder, Kept, Options, filter, write};
use sealift::openshift::graph::{Graph, channels_needed, select};
use std::io;
use std::path::{Path, PathBuf};

/// The community catalog of OpenShift 4.17, unpacked; the folder goes when this is dropped.
struct Community {
    temp: tempfile::TempDir,
    expected: PathBuf,
}

fn community() -> Option<Community> {
    let data = shared_data()?.join("fbc");
    let Ok(file) = std::fs::File::open(data.join("community-v4.17.tar.zst")) else {
        skip("no community catalog");
        return None;
    };
    let temp = tempfile::tempdir().unwrap();
    tar::Archive::new(zstd::Decoder::new(file).unwrap()).unpack(temp.path()).unwrap();
    Some(Community { temp, expected: data.join("expected") })
}

impl Community {
    fn folder(&self) -> Folder {
        Folder::new(Dir::open(self.temp.path()).unwrap())
    }

    /// The ImageSets with what must be kept for each.
    fn cases(&self) -> Vec<(PathBuf, String)> {
        let files = std::fs::read_dir(&self.expected).unwrap().map(|entry| entry.unwrap().path());
        let mut sets: Vec<PathBuf> = files.filter(|path| path.to_str().unwrap().ends_with(".imageset.yaml")).collect();
        sets.sort();
        assert!(sets.len() >= 6);
        let text = |set: &Path| std::fs::read_to_string(set.to_str().unwrap().replace(".imageset.yaml", ".txt")).unwrap();
        sets.into_iter().map(|set| (set.clone(), text(&set))).collect()
    }
}

/// Runs `sealift list operators` in this process: exit number, standard output, standard error.
fn list(words: &[&str]) -> (u8, String, String) {
    in_process(&[], &[&["sealift", "list", "operators"], words].concat())
}

#[test]
fn exactly_the_expected_is_kept_of_a_real_catalog() {
    let Some(community) = community() else { return };
    let dir = community.temp.path().to_str().unwrap();
    for (set, expected) in community.cases() {
        let set = set.to_str().unwrap();
        let (exit, out, err) = list(&["--catalog-dir", dir, "--config", set, "--format", "kept"]);
        assert_eq!(exit, 0, "{set}: {err}");
        assert!(out == expected, "{set}: kept is not what is expected");
    }
}

/// Writes what is kept into a folder and reads it again.
fn written(files: &Folder, catalog: &Catalog, kept: &Kept) -> (tempfile::TempDir, Catalog) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap().durable(false);
    write(files, catalog, kept, &mut |path, size, reader| {
        let (folder, name) = path.rsplit_once('/').unwrap();
        let mut staged = dir.sub(folder).unwrap().stage(name).unwrap();
        assert_eq!(io::copy(reader, &mut staged)?, size);
        staged.commit().unwrap();
        Ok(())
    })
    .unwrap();
    let again = Catalog::read(&Folder::new(dir), "configs").unwrap();
    (temp, again)
}

#[test]
fn what_is_written_of_a_real_catalog_reads_as_what_was_kept() {
    let Some(community) = community() else { return };
    let files = community.folder();
    let catalog = Catalog::read(&files, "").unwrap();
    for (set, _) in community.cases() {
        let (mut set, _) = ImageSet::parse(&std::fs::read(set).unwrap()).unwrap();
        let operator = set.operators.remove(0);
        let kept = filter(&catalog, &operator.packages, operator.full, Options::default()).unwrap();
        let (_temp, again) = written(&files, &catalog, &kept);
        assert_eq!(filter(&again, &[], true, Options::default()).unwrap().packages, kept.packages);
    }
}

#[test]
fn single_packages_in_json_are_read_and_written() {
    let Some(data) = shared_data() else { return };
    for (name, bundles) in [("jaeger-product", 6), ("node-observability-operator", 1)] {
        let temp = tempfile::tempdir().unwrap();
        std::fs::copy(data.join(format!("fbc/{name}.json")), temp.path().join("catalog.json")).unwrap();
        let files = Folder::new(Dir::open(temp.path()).unwrap());
        let catalog = Catalog::read(&files, "").unwrap();
        let whole = filter(&catalog, &[], true, Options::default()).unwrap();
        assert_eq!((whole.packages.len(), whole.packages[0].bundles.len()), (1, bundles), "{name}");
        assert!(whole.packages[0].bundles.iter().all(|bundle| bundle.images.contains(&bundle.image)));
        let heads = filter(&catalog, &[], false, Options::default()).unwrap();
        assert_eq!(heads.packages[0].bundles.len(), 1, "{name}");
        let (_temp, again) = written(&files, &catalog, &heads);
        assert_eq!(filter(&again, &[], true, Options::default()).unwrap().packages, heads.packages);
    }
}

#[test]
fn packages_channels_and_versions_are_listed() {
    let Some(community) = community() else { return };
    let dir = community.temp.path().to_str().unwrap();
    let (exit, out, _) = list(&["--catalog-dir", dir]);
    assert!(exit == 0 && out.starts_with("NAME ") && out.lines().count() == 30, "{out}");
    let row = out.lines().find(|line| line.starts_with("infinispan")).unwrap();
    assert_eq!(
        row.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>(),
        ["infinispan", "Infinispan Operator", "stable"]
    );
    let (_, out, _) = list(&["--catalog-dir", dir, "--package", "infinispan"]);
    assert!(out.starts_with("PACKAGE ") && out.contains("infinispan-operator.v2.3.8"), "{out}");
    let (_, out, _) = list(&["--catalog-dir", dir, "--package", "infinispan", "--channel", "2.2.x"]);
    assert_eq!(out, "VERSIONS\n2.2.0\n2.2.1\n2.2.2\n2.2.3\n2.2.4\n2.2.5\n");
    let (exit, _, err) = list(&["--catalog-dir", dir, "--package", "infinspan"]);
    assert!(exit == 28 && err.contains("did you mean infinispan?"), "{err}");
    let (_, out, _) = list(&["--catalog-dir", dir, "--package", "infinispan", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["channels"][0], serde_json::json!({"name": "2.2.x", "head": "infinispan-operator.v2.2.5"}));
}

#[test]
fn dependencies_between_real_operators_are_told_and_met() {
    let Some(community) = community() else { return };
    let dir = community.temp.path().to_str().unwrap();
    let text = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  operators:\n  - catalog: q.io/c:1\n    packages:\n    - name: rabbitmq-messaging-topology-operator\n";
    let outside = tempfile::tempdir().unwrap();
    let set = outside.path().join("set.yaml");
    std::fs::write(&set, text).unwrap();
    let words = ["--catalog-dir", dir, "--config", set.to_str().unwrap(), "--dependencies"];
    let (exit, out, err) = list(&words);
    assert!(exit == 0 && out.contains("package rabbitmq-cluster-operator >2.0.0") && out.contains("inCatalog"), "{out}{err}");
    let (exit, out, _) = list(&[&words[..], &["--with-dependencies"]].concat());
    let row = out.lines().find(|line| line.starts_with("rabbitmq-cluster-operator ")).unwrap_or_else(|| panic!("{out}"));
    assert!(exit == 0 && out.contains("satisfied") && row.contains("stable (default)"), "{out}");
    std::fs::write(&set, text.replace("topology-operator", "topolgy-operator")).unwrap();
    let (exit, _, err) = list(&words);
    assert!(exit == 28 && err.contains("did you mean rabbitmq-messaging-topology-operator?"), "{err}");
    let (exit, _, err) = list(&[&words[..], &["--keep-going"]].concat());
    assert!(exit == 3 && err.contains("CONTENT_NOT_FOUND"), "{err}");
}

#[test]
fn default_catalogs_are_named() {
    let (exit, out, _) = list(&["--catalogs", "--version", "4.21"]);
    assert!(exit == 0 && out.lines().count() == 4, "{out}");
    assert!(out.starts_with("registry.redhat.io/redhat/redhat-operator-index:v4.21\n"));
    assert!(out.ends_with("registry.redhat.io/redhat/redhat-marketplace-index:v4.21\n"));
    assert_eq!(list(&["--catalogs", "--version", "4.22"]).1.lines().count(), 3);
    for bad in
        [&["--catalogs"][..], &["--version", "4.1"], &["--catalogs", "--version", "4"], &[], &["--catalog-dir", "x", "--dependencies"]]
    {
        assert_eq!(list(bad).0, 2, "{bad:?}");
    }
}

/// A catalog that has what an entry names: its packages, channels, and the versions that its bounds are.
fn made_for(operator: &Operator) -> String {
    let none = any_package();
    let packages = if operator.packages.is_empty() { vec![none] } else { operator.packages.clone() };
    let mut objects = Vec::new();
    for package in packages {
        let name = &package.name;
        let mut channels: Vec<String> = package.channels.iter().map(|channel| channel.name.clone()).collect();
        channels.extend(package.default_channel.clone());
        if channels.is_empty() {
            channels.push("stable".into());
        }
        channels.sort();
        channels.dedup();
        let ranges = package.channels.iter().map(|channel| &channel.range).chain([&package.range]);
        let mut versions: Vec<_> = ranges.flat_map(|range| range.min.iter().chain(&range.max)).cloned().collect();
        versions.push("999.0.0".parse().unwrap());
        versions.sort();
        versions.dedup();
        let bundle = |version: &semver::Version| format!("{name}.v{version}");
        let default = package.default_channel.as_ref().unwrap_or(&channels[0]);
        objects.push(serde_json::json!({"schema": "olm.package", "name": name, "defaultChannel": default}));
        for channel in &channels {
            let entries: Vec<_> = versions
                .iter()
                .enumerate()
                .map(
                    |(i, version)| serde_json::json!({"name": bundle(version), "replaces": i.checked_sub(1).map(|i| bundle(&versions[i]))}),
                )
                .collect();
            objects.push(serde_json::json!({"schema": "olm.channel", "package": name, "name": channel, "entries": entries}));
        }
        objects.extend(versions.iter().map(|version| {
            let identity = serde_json::json!({"packageName": name, "version": version.to_string()});
            serde_json::json!({
                "schema": "olm.bundle", "package": name, "name": bundle(version), "image": "r.test/bundle:v1",
                "properties": [{"type": "olm.package", "value": identity}],
            })
        }));
    }
    objects.iter().map(|object| format!("{object}\n")).collect()
}

fn any_package() -> sealift::image_set::Package {
    let text = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  operators:\n  - catalog: r.test/x:1\n    \
                packages:\n    - name: any\n";
    ImageSet::parse(text.as_bytes()).unwrap().0.operators[0].packages[0].clone()
}

#[test]
fn no_configuration_from_the_wild_is_refused_where_everything_it_names_is_there() {
    let Some(data) = shared_data() else { return };
    let (mut catalogs, mut channels, mut refused) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(data.join("imagesets")).unwrap() {
        let path = entry.unwrap().path();
        let Ok((set, _)) = ImageSet::parse(&std::fs::read(&path).unwrap()) else { continue };
        for operator in &set.operators {
            let temp = tempfile::tempdir().unwrap();
            std::fs::write(temp.path().join("catalog.json"), made_for(operator)).unwrap();
            let catalog = Catalog::read(&Folder::new(Dir::open(temp.path()).unwrap()), "").unwrap();
            let kept = match filter(&catalog, &operator.packages, operator.full, Options::default()) {
                Ok(kept) => kept,
                Err(error) => {
                    refused.push(format!("{}: {error}", path.file_name().unwrap().display()));
                    continue;
                }
            };
            assert_eq!(kept.packages.len(), operator.packages.len().max(1), "{}", path.display());
            assert!(kept.packages.iter().all(|package| !package.bundles.is_empty()), "{}", path.display());
            catalogs += 1;
        }
        let Some(platform) = set.platform.filter(|platform| !platform.channels.is_empty()) else { continue };
        let mut versions: Vec<_> = platform.channels.iter().flat_map(|c| c.range.min.iter().chain(&c.range.max)).cloned().collect();
        versions.push("99.0.0".parse().unwrap());
        versions.sort();
        versions.dedup();
        let digest = sealift::digest::Digest::sha256(b"");
        let nodes: Vec<_> =
            versions.iter().map(|v| serde_json::json!({"version": v.to_string(), "payload": format!("q.io/r@{digest}")})).collect();
        let edges: Vec<_> = (1..versions.len()).map(|to| (to - 1, to)).collect();
        let reply = serde_json::json!({"version": 1, "nodes": nodes, "edges": edges}).to_string();
        let graph = Graph::parse(reply.as_bytes()).unwrap();
        let graphs = channels_needed(&platform.channels).into_iter().map(|name| (name, graph.clone())).collect();
        let selection = select(&platform.channels, &graphs, "amd64").unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!selection.releases.is_empty(), "{}", path.display());
        channels += platform.channels.len();
    }
    assert!(catalogs > 50 && channels > 20, "{catalogs} {channels}");
    // These are there to be refused, by the reference too: everything and a range, and bounds the wrong way round.
    refused.sort();
    let [full, range, other] = refused.as_slice() else { panic!("{refused:#?}") };
    assert!(full.contains("config-72938-1.yaml: full: true and a version range"), "{full}");
    assert!(other.contains("config__valid.yaml: full: true and a version range"), "{other}");
    assert!(range.contains("isc-operator-invalid-version-range.yaml: package foo: no version of the default channel"), "{range}");
}
