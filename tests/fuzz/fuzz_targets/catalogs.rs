//! OpenShift's documents: file-based catalogs, update graphs, files of releases.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealift::image_set::{Channel, ChannelType, ImageSet, VersionRange};
use sealift::openshift::fbc::{Catalog, Options, filter, write};
use sealift::openshift::files::{Files, FilesError, Flow, Visit};
use sealift::openshift::graph::{Graph, channels_needed, select, way};
use sealift::openshift::release::Release;
use sealift_fuzz::{Input, document, edited, samples};
use std::collections::BTreeMap;
use std::io;

/// Files in memory.
struct Memory(Vec<(String, Vec<u8>)>);

impl Files for Memory {
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError> {
        for (path, bytes) in &self.0 {
            if wanted(path) {
                let flow =
                    visit(path, &mut bytes.as_slice()).map_err(|error: io::Error| FilesError::Visitor { path: path.clone(), error })?;
                if flow == Flow::Stop {
                    break;
                }
            }
        }
        Ok(())
    }
}

fuzz_target!(init: sealift_fuzz::seeds::write("catalogs"), |data: &[u8]| {
    let mut input = Input(data);
    match input.byte() % 6 {
        0 => {
            let ignore = input.piece().to_vec();
            let first = input.piece().to_vec();
            let files = [("configs/.indexignore", ignore), ("configs/a/b.yaml", first), ("configs/c.json", input.0.to_vec())];
            catalog(&Memory(files.map(|(path, bytes)| (path.to_owned(), bytes)).into()));
        }
        1 | 2 => {
            let objects = edited(samples::catalog(), &mut input);
            let text: Vec<String> = objects.as_array().map(|all| all.iter().map(ToString::to_string).collect()).unwrap_or_default();
            let name = ["configs/p/catalog.json", "configs/p/catalog.yaml"][usize::from(input.byte() % 2)];
            let between = if name.ends_with('l') { "\n---\n" } else { "\n" };
            catalog(&Memory(vec![(name.to_owned(), text.join(between).into_bytes())]));
        }
        3 | 4 => graph(&document(samples::graph, &mut input)),
        _ => {
            let references = document(samples::release, &mut input);
            let mut files = vec![("release-manifests/image-references".to_owned(), references)];
            let boot = ("release-manifests/0000_50_installer_coreos-bootimages.yaml".to_owned(), input.piece().to_vec());
            files.extend([boot, ("release-manifests/release-metadata".to_owned(), input.0.to_vec())]);
            if let Ok(release) = Release::read(&Memory(files)) {
                let _ =
                    (release.kube_virt(None), release.kube_virt(Some("x86_64")), release.tag("amd64", true), release.tag("s390x", false));
            }
        }
    }
});

fn catalog(files: &Memory) {
    let Ok(catalog) = Catalog::read(files, "configs") else { return };
    let set = "kind: ImageSetConfiguration\nmirror:\n  operators:\n  - catalog: r.example/c:1\n    packages:\n    - name: p\n      channels: [{name: c, minVersion: 1.0.0, maxVersion: 2.0.0}]\n    - name: q\n";
    let asked = ImageSet::parse(set.as_bytes()).map(|(set, _)| set.operators.into_iter().flat_map(|o| o.packages).collect::<Vec<_>>());
    let asked = asked.expect("an ImageSet");
    for name in catalog.package_names() {
        let Some(package) = catalog.package(name) else { continue };
        for channel in package.channel_names() {
            let _ = (package.head(channel), package.versions(channel));
        }
    }
    for (packages, full) in [(&asked[..], false), (&[], false), (&[], true), (&asked[1..], true)] {
        let Ok(kept) = filter(&catalog, packages, full, Options { keep_going: true, with_dependencies: true }) else { continue };
        let _ = write(files, &catalog, &kept, &mut |_, _, reader| io::copy(reader, &mut io::sink()).map(drop));
    }
}

fn graph(bytes: &[u8]) {
    let Ok(graph) = Graph::parse(bytes) else { return };
    if let (Some(low), Some(head)) = (graph.lowest(), graph.head()) {
        let _ = way(&graph, "stable-4.1", "amd64", &low.version, &head.version);
        let _ = graph.nearest(&low.version);
    }
    let channel = |name: &str, shortest_path, full| {
        let range = VersionRange { min: graph.lowest().map(|n| n.version.clone()), max: graph.head().map(|n| n.version.clone()) };
        Channel { name: name.into(), channel_type: ChannelType::Ocp, range, shortest_path, full }
    };
    let wanted = [channel("stable-4.1", true, false), channel("stable-4.2", false, false)];
    let graphs: BTreeMap<String, Graph> = channels_needed(&wanted).into_iter().map(|name| (name, graph.clone())).collect();
    let _ = select(&wanted, &graphs, "amd64");
    let _ = select(&wanted[..1], &graphs, "amd64");
    let _ = select(&[channel("stable-4.1", false, true)], &graphs, "amd64");
}
