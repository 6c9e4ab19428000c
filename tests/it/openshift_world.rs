//! The stand-in for the world outside is itself as the tests rely on it: whole, signed, and consistent.

use crate::support::openshift::World;
use crate::support::openshift::arrived::{Resources, get, manifest, pull, unpacked};
use crate::support::openshift::catalogs::PACKAGES;
use crate::support::openshift::gpg::Gpg;
use crate::support::openshift::releases::{self, COMPONENTS, HOLLOW, RELEASES};
use crate::support::run::User;
use sealift::digest::Digest;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

#[test]
fn every_release_is_whole_and_most_of_it_is_shared() {
    let Some(world) = World::shared() else { return };
    for release in &world.releases {
        assert_eq!(pull(&world.release_image(&release.tag)), release.digest);
        assert_eq!(release.components.len(), 183);
        assert_eq!(release.components.values().collect::<BTreeSet<_>>().len(), 183, "{}", release.tag);
        pull(&format!("{}/{RELEASES}:sha256-{}.sig", world.host(), release.digest.hex()));
        pull(&format!("{}/{COMPONENTS}@{}", world.host(), release.kube_virt));
    }
    for digest in world.releases.iter().flat_map(|release| release.components.values()).collect::<BTreeSet<_>>() {
        pull(&format!("{}/{COMPONENTS}@{digest}", world.host()));
    }
    let (old, new) = (world.release("4.14.0", "amd64"), world.release("4.14.1", "amd64"));
    let differ = old.components.iter().filter(|(name, digest)| new.components[*name] != **digest).count();
    assert!((2..20).contains(&differ), "{differ}");
}

#[test]
fn a_payload_names_its_components_and_its_lower_layers_do_not_count() {
    let (Some(world), user) = (World::shared(), User::new()) else { return };
    let release = world.release("4.14.1", "amd64");
    let image = unpacked(&world.release_image(&release.tag), "amd64", &user.at("release"));
    let references: Value = serde_json::from_slice(&image.files["release-manifests/image-references"]).unwrap();
    for tag in references["spec"]["tags"].as_array().unwrap() {
        let digest = release.components[tag["name"].as_str().unwrap()];
        assert_eq!(tag["from"]["name"], format!("{}/{COMPONENTS}@{digest}", world.host()));
    }
    let metadata: Value = serde_json::from_slice(&image.files["release-manifests/release-metadata"]).unwrap();
    assert_eq!(metadata["version"], "4.14.1");
    assert_eq!(image.config["config"]["Labels"]["io.openshift.release"], "4.14.1");
    let hollow = unpacked(&world.release_image(&format!("{HOLLOW}-x86_64")), "amd64", &user.at("hollow"));
    assert!(!hollow.files.contains_key("release-manifests/image-references"));
}

#[test]
fn signatures_are_what_their_store_is_called() {
    let (Some(world), Some(gpg)) = (World::shared(), Gpg::new()) else { return };
    gpg.import(&world.file("release-key.asc"));
    let release = world.release("4.14.1", "amd64");
    let stored = |store: &str, number: usize| {
        let path = format!("/{store}/sha256={}/signature-{number}", release.digest.hex());
        get(&world.web.addr.to_string(), &path)
    };
    let said = |tag: &str| releases::statement(&world.host(), &release.digest, tag);
    assert_eq!(gpg.opened(&stored("signatures", 1).1), Some(said("4.14.1-x86_64")));
    assert_eq!(gpg.opened(&stored("second", 2).1), Some(said("4.14.1-x86_64")));
    assert_eq!(gpg.opened(&stored("other-tag", 1).1), Some(said("4.14.0-x86_64")));
    let other = gpg.opened(&stored("other-digest", 1).1).unwrap();
    assert!(!String::from_utf8(other).unwrap().contains(&release.digest.hex()));
    for store in ["foreign", "second", "torn", "plain"] {
        assert_eq!(gpg.opened(&stored(store, 1).1), None, "{store}");
    }
    assert_eq!([stored("signatures", 2).0, stored("none", 1).0, stored("second", 2).0], [404, 404, 200]);
    gpg.import(&world.file("stranger.asc"));
    assert_eq!(gpg.opened(&stored("foreign", 1).1), Some(said("4.14.1-x86_64")));
}

#[test]
fn the_catalog_names_only_images_that_are_there() {
    let (Some(world), user) = (World::shared(), User::new()) else { return };
    pull(&world.catalog.reference);
    let image = unpacked(&world.catalog.reference, "arm64", &user.at("catalog"));
    assert!(image.files.contains_key("tmp/cache/digest"));
    let mut bundles = BTreeSet::new();
    for package in PACKAGES {
        let text = String::from_utf8(image.files[&format!("configs/{package}/catalog.yaml")].clone()).unwrap();
        assert_eq!(text, world.catalog.packages[package]);
        let prefix = format!("{package}.v");
        let names = text.lines().filter_map(|line| line.strip_prefix("name: "));
        bundles.extend(names.filter(|name| name.starts_with(&prefix)).map(str::to_owned));
    }
    let images = world.catalog.images_of(&bundles);
    assert!(images.len() > 250, "{}", images.len());
    for image in images {
        assert!(image.starts_with(&world.host()) && manifest(&image).is_some(), "{image}");
    }
}

#[test]
fn every_image_the_reference_filter_keeps_has_its_stand_in() {
    let Some(world) = World::own() else { return };
    let catalog = world.whole_catalog();
    for name in ["all-heads", "pkg-range", "chan-range", "default-channel", "names", "full-names"] {
        let here = catalog.here(&world.given(&format!("fbc/expected/{name}.txt")));
        let bundles = here.lines().filter_map(|line| line.strip_prefix("bundle ")).map(str::to_owned).collect();
        let images: BTreeSet<String> = here.lines().filter_map(|line| line.strip_prefix("image ")).map(str::to_owned).collect();
        assert_eq!(catalog.images_of(&bundles), images, "{name}");
    }
}

#[test]
fn the_graph_service_answers_for_its_channels() {
    let Some(world) = World::shared() else { return };
    let ask = |channel: &str, arch: &str| -> Value {
        let (status, body) = get(&world.web.addr.to_string(), &format!("/graph?id=1&channel={channel}&arch={arch}"));
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    };
    let real = ask("stable-4.13", "amd64");
    assert_eq!((real["nodes"].as_array().unwrap().len(), real["edges"].as_array().unwrap().len()), (98, 1171));
    let node = real["nodes"].as_array().unwrap().iter().find(|node| node["version"] == "4.13.10").unwrap();
    assert_eq!(node["payload"], format!("{}/{RELEASES}@{}", world.host(), world.release("4.13.10", "amd64").digest));
    assert_eq!(ask("stable-4.14", "amd64")["edges"].to_string(), "[[0,1],[1,2],[2,3]]");
    assert_eq!(ask("stable-4.14", "arm64")["edges"].to_string(), "[[0,1]]");
    assert_eq!(ask("candidate-4.14", "amd64")["conditionalEdges"][1]["edges"][0]["to"], "4.14.3");
    assert_eq!(ask("stable-4.41", "amd64")["nodes"].to_string(), "[]");
    assert!(world.web.asked().iter().any(|line| line == "GET /graph?id=1&channel=stable-4.41&arch=amd64"));
}

#[test]
fn a_cluster_goes_to_the_longest_name_that_is_a_parent() {
    let user = User::new();
    let text = "---\nkind: ImageDigestMirrorSet\nspec:\n  imageDigestMirrors:\n  - {source: q.io/a, mirrors: [r/one]}\n  \
                - {source: q.io/a/b, mirrors: [r/two, r/three]}\n---\nkind: ImageTagMirrorSet\nspec:\n  imageTagMirrors:\n  \
                - {source: q.io, mirrors: [r/four]}\n";
    fs::write(user.at("x.yaml"), text).unwrap();
    fs::write(user.at("fragment.yaml"), "imageDigestSources: []\n").unwrap();
    let resources = Resources::read(&user.work());
    let digest = Digest::sha256(b"x");
    assert_eq!(resources.mirrors(&format!("q.io/a/b@{digest}")), [format!("r/two@{digest}"), format!("r/three@{digest}")]);
    assert_eq!(resources.mirrors(&format!("q.io/a/bc@{digest}")), [format!("r/one/bc@{digest}")]);
    assert_eq!(resources.mirrors(&format!("q.io/ab@{digest}")), Vec::<String>::new());
    assert_eq!(resources.mirrors("q.io/a/b:1"), ["r/four/a/b:1"]);
}
