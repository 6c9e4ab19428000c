//! A cluster's content, the whole way: releases with their components, operators, charts, update graph and signatures go from the
//! world outside into an empty registry, through an archive or directly, and everything a cluster will ask for is there.

use crate::support::inside::Inventory;
use crate::support::openshift::World;
use crate::support::openshift::arrived::{Resources, get, manifest, pull, unpacked};
use crate::support::openshift::catalogs::{CATALOG, PACKAGES};
use crate::support::openshift::releases::{COMPONENTS, RELEASES, Release};
use crate::support::run::{Ran, User};
use crate::support::servers::{DockerRegistry, Options};
use base64::Engine as _;
use sealift::digest::Digest;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One person who does both sides, and the registry inside.
struct Journey {
    user: User,
    inner: DockerRegistry,
}

impl Journey {
    fn new() -> Option<Journey> {
        Some(Journey { user: User::with_key(), inner: DockerRegistry::start(Options { delete: true, ..Options::default() })? })
    }

    /// Where everything goes.
    fn target(&self) -> String {
        format!("{}/ocp", self.inner.host())
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.user.run(&words.join(" "))
    }

    /// Packs a wish into the folder `out`.
    fn pack(&self, world: &World, wish: &str, out: &str, more: &[&str]) -> Ran {
        let options = world.options();
        let mut words = vec!["pack", wish, "--key", "site", "--no-sync"];
        words.extend(options.iter().map(String::as_str));
        words.extend(more);
        words.push(out);
        self.run(&words)
    }

    fn unpack(&self, out: &str) -> Ran {
        self.run(&["unpack", out, "--to", &self.target(), "--first", "--dest-tls-verify=false", "--receipt", "receipt.json"])
    }

    fn mirror(&self, world: &World, wish: &str, more: &[&str]) -> Ran {
        let options = world.options();
        let target = self.target();
        let mut words = vec!["mirror", wish, "--to", &target, "--dest-tls-verify=false", "--receipt", "receipt.json"];
        words.extend(options.iter().map(String::as_str));
        words.extend(more);
        self.run(&words)
    }

    /// The documents for the cluster, from the receipts this host keeps.
    fn resources(&self) -> Resources {
        self.run(&["resources", "--to", &self.target(), "--output", "resources"]).expect(0);
        Resources::read(&self.user.at("resources"))
    }

    /// What the registry holds; receipts are no content.
    fn content(&self) -> Inventory {
        let mut all = self.inner.inventory("ocp");
        all.tags.retain(|name, _| !name.starts_with("sealift/"));
        all.manifests.retain(|name| !name.starts_with("sealift/"));
        all.blobs.retain(|name| !name.starts_with("sealift/"));
        all
    }

    /// Everything that an unpacked catalog holds, as lines.
    fn listing(&self, configs: &Path) -> BTreeSet<String> {
        let set = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  operators:\n  \
                   - catalog: registry.test/any/index:v1\n    full: true\n";
        fs::write(self.user.at("all.yaml"), set).unwrap();
        let words = ["list", "operators", "--catalog-dir", configs.to_str().unwrap(), "--config", "all.yaml", "--format", "kept"];
        self.run(&words).expect(0).out.lines().map(str::to_owned).collect()
    }

    fn receipt(&self) -> Value {
        serde_json::from_slice(&fs::read(self.user.at("receipt.json")).unwrap()).unwrap()
    }
}

/// An ImageSet with one of everything.
fn everything(world: &World) -> String {
    format!(
        "kind: ImageSetConfiguration\n\
         apiVersion: mirror.openshift.io/v2alpha1\n\
         mirror:\n\
         \x20 platform:\n\
         \x20   graph: true\n\
         \x20   kubeVirtContainer: true\n\
         \x20   channels:\n\
         \x20   - name: stable-4.14\n\
         \x20     minVersion: 4.14.0\n\
         \x20     maxVersion: 4.14.1\n\
         \x20 operators:\n\
         \x20 - catalog: {catalog}\n\
         \x20   packages:\n\
         \x20   - name: rabbitmq-cluster-operator\n\
         \x20     minVersion: '2.5.0'\n\
         \x20   - name: koku-metrics-operator\n\
         \x20     maxVersion: '3.0.0'\n\
         \x20 additionalImages:\n\
         \x20 - name: {host}/team/extra:1.0\n\
         \x20 helm:\n\
         \x20   repositories:\n\
         \x20   - name: podinfo\n\
         \x20     url: {charts}\n\
         \x20     charts:\n\
         \x20     - name: podinfo\n\
         \x20       version: 5.0.0\n\
         \x20   local:\n\
         \x20   - name: podinfo\n\
         \x20     path: {local}\n",
        catalog = world.catalog.reference,
        host = world.host(),
        charts = world.web.url("charts"),
        local = world.file("podinfo-local.tgz").display(),
    )
}

/// A release is at the target under the names of oc-mirror, whole, with its signatures, and a cluster finds each component by the
/// name in its payload.
fn release_arrived(world: &World, release: &Release, target: &str, resources: &Resources) {
    let image = format!("{target}/openshift/release-images:{}", release.tag);
    assert_eq!(pull(&image), release.digest);
    pull(&format!("{target}/openshift/release-images:sha256-{}.sig", release.digest.hex()));
    assert_eq!(resources.pull(&format!("{}/{RELEASES}@{}", world.host(), release.digest)), release.digest);
    for (name, digest) in &release.components {
        let tagged = manifest(&format!("{target}/openshift/release:{}-{name}", release.tag));
        assert_eq!(tagged.map(|bytes| Digest::sha256(&bytes)), Some(*digest), "{name} of {}", release.tag);
        assert_eq!(resources.pull(&format!("{}/{COMPONENTS}@{digest}", world.host())), *digest);
    }
    for name in ["cli", "etcd", "installer"] {
        pull(&format!("{target}/openshift/release:sha256-{}.sig", release.components[name].hex()));
    }
}

/// What the reference filter kept of the two packages, but for the images (those are listed for all packages together).
fn kept(world: &World) -> BTreeSet<String> {
    let all = world.given("fbc/expected/pkg-range.txt");
    all.lines().filter(|line| !line.starts_with("image ") && !line.contains("dell-csm-operator")).map(str::to_owned).collect()
}

fn names(listing: &BTreeSet<String>, kind: &str) -> BTreeSet<String> {
    listing.iter().filter_map(|line| line.strip_prefix(kind)).map(str::to_owned).collect()
}

/// The filtered catalog holds what it should, can be served, and everything it names is there.
fn catalog_arrived(journey: &Journey, world: &World, resources: &Resources) {
    let reference = format!("{}/{CATALOG}:v4.17", journey.target());
    for architecture in ["amd64", "arm64"] {
        let folder = journey.user.at(&format!("catalog-{architecture}"));
        let image = unpacked(&reference, architecture, &folder);
        assert_eq!(image.files["bin/opm"], format!("opm for {architecture}").as_bytes());
        let packages: BTreeSet<&str> = image.files.keys().filter_map(|f| f.strip_prefix("configs/")?.split('/').next()).collect();
        assert_eq!(packages.into_iter().collect::<Vec<_>>(), ["koku-metrics-operator", "rabbitmq-cluster-operator"]);
        // opm refuses to start, or starts slowly, upon a cache of another catalog.
        assert!(!image.files.keys().any(|file| file.starts_with("tmp/cache/")), "{:?}", image.files.keys());
        assert_eq!(image.config["config"]["Labels"]["operators.operatorframework.io.index.configs.v1"], "/configs");
        let command = image.config["config"]["Cmd"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(command[..2], ["serve", "/configs"]);
    }
    let configs = journey.user.at("catalog-amd64/bundle/rootfs/configs");
    let listing = journey.listing(&configs);
    let images = names(&listing, "image ");
    assert_eq!(listing.iter().filter(|line| !line.starts_with("image ")).cloned().collect::<BTreeSet<_>>(), kept(world));
    assert_eq!(images, world.catalog.images_of(&names(&listing, "bundle ")));
    assert!(images.len() > 40, "{}", images.len());
    for image in &images {
        let here = manifest(image).map(|bytes| Digest::sha256(&bytes));
        assert_eq!(Some(resources.pull(image)), here, "{image}");
    }
    let source = resources.one("CatalogSource");
    assert_eq!(
        (&source["metadata"]["name"], &source["spec"]["image"]),
        (&"cs-community-operator-index-v4-17".into(), &reference.clone().into())
    );
    let catalog = resources.one("ClusterCatalog");
    assert_eq!(catalog["metadata"]["name"], "cc-community-operator-index-v4-17");
    assert_eq!(catalog["spec"]["source"]["image"]["ref"], reference);
}

/// The signatures are in the ConfigMap as the store has them, and an update service can be started.
fn updates_arrived(journey: &Journey, world: &World, releases: &[&Release], resources: &Resources) {
    let map = resources.of_kind("ConfigMap").into_iter().find(|m| m["metadata"]["name"] == "mirrored-release-signatures").unwrap();
    assert_eq!(map["metadata"]["namespace"], "openshift-config-managed");
    assert_eq!(map["metadata"]["labels"]["release.openshift.io/verification-signatures"], "");
    let mut found = BTreeMap::new();
    for (key, value) in map["binaryData"].as_object().unwrap() {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
        found.insert(key.rsplit_once('-').unwrap().0.to_owned(), bytes);
    }
    let expected: BTreeMap<_, _> = releases.iter().map(|r| (format!("sha256-{}", r.digest.hex()), world.signature(r).to_vec())).collect();
    assert_eq!(found, expected);

    let service = resources.one("UpdateService");
    assert_eq!(service["metadata"]["name"], "update-service-oc-mirror");
    assert_eq!(service["metadata"]["namespace"], "openshift-update-service");
    let graph = format!("{}/openshift/graph-image:latest", journey.target());
    assert_eq!(service["spec"]["graphDataImage"], graph);
    assert_eq!(service["spec"]["releases"], format!("{}/openshift/release-images", journey.target()));
    for architecture in ["amd64", "arm64"] {
        let image = unpacked(&graph, architecture, &journey.user.at(&format!("graph-{architecture}")));
        assert_eq!(image.files["usr/bin/bash"], architecture.as_bytes());
        let top = "var/lib/cincinnati-graph-data/";
        let data: BTreeMap<String, Vec<u8>> =
            image.files.into_iter().filter_map(|(name, bytes)| Some((name.strip_prefix(top)?.to_owned(), bytes))).collect();
        assert!(data.len() > 100 && data == world.graph_files());
        let command = image.config["config"]["Cmd"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect::<Vec<_>>().join(" ");
        assert!(command.starts_with("/bin/bash -c") && command.contains("/var/lib/cincinnati/graph-data"), "{command}");
    }
}

/// The images of both charts are there, and the charts themselves as artifacts.
fn charts_arrived(journey: &Journey, world: &World, resources: &Resources) {
    for version in ["5.0.0", "5.0.1"] {
        let image = format!("{}/stefanprodan/podinfo:{version}", world.host());
        assert_eq!(Some(resources.pull(&image)), manifest(&image).map(|bytes| Digest::sha256(&bytes)));
    }
    let receipt = journey.receipt();
    let charts: Vec<&Value> = receipt["images"].as_array().unwrap().iter().filter(|image| image["role"] == "chart").collect();
    let mut layers = BTreeSet::new();
    for chart in &charts {
        let name = format!("{}/{}:{}", journey.target(), chart["repository"].as_str().unwrap(), chart["tag"].as_str().unwrap());
        pull(&name);
        let document: Value = serde_json::from_slice(&manifest(&name).unwrap()).unwrap();
        assert_eq!(document["config"]["mediaType"], "application/vnd.cncf.helm.config.v1+json");
        assert_eq!(document["layers"][0]["mediaType"], "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
        layers.insert(document["layers"][0]["digest"].as_str().unwrap().to_owned());
    }
    let (status, remote) = get(&world.web.addr.to_string(), "/charts/podinfo-5.0.0.tgz");
    assert_eq!((charts.len(), status), (2, 200));
    let local = fs::read(world.file("podinfo-local.tgz")).unwrap();
    assert_eq!(layers, [remote, local].iter().map(|bytes| Digest::sha256(bytes).to_string()).collect());
}

/// Everything of [`everything`].
fn everything_arrived(journey: &Journey, world: &World) {
    let resources = journey.resources();
    let releases = [world.release("4.14.0", "amd64"), world.release("4.14.1", "amd64")];
    for release in releases {
        release_arrived(world, release, &journey.target(), &resources);
        let disk = format!("{}/openshift/release:{}-kube-virt-container", journey.target(), release.tag);
        assert_eq!(pull(&disk), release.kube_virt);
    }
    catalog_arrived(journey, world, &resources);
    updates_arrived(journey, world, &releases, &resources);
    charts_arrived(journey, world, &resources);
    let extra = format!("{}/team/extra:1.0", world.host());
    assert_eq!(Some(resources.pull(&extra)), manifest(&extra).map(|bytes| Digest::sha256(&bytes)));
    // The names oc-mirror gives, so that applying these updates what it left behind.
    let objects: BTreeSet<&str> =
        resources.of_kind("ImageDigestMirrorSet").iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect();
    assert!(objects.contains("idms-release-0") && objects.contains("idms-operator-0"), "{objects:?}");
    // Only what was asked for.
    let tags = journey.content().tags;
    let releases = tags.keys().filter(|name| name.starts_with("openshift/release-images:4.")).count();
    assert_eq!(releases, 2, "{tags:?}");
    for package in PACKAGES {
        assert!(!tags.keys().any(|name| name.starts_with("openshift/release:") && name.contains(package)));
    }
}

#[test]
fn an_image_set_with_everything_is_carried_and_a_cluster_finds_all_of_it() {
    let (Some(world), Some(journey)) = (World::shared(), Journey::new()) else { return };
    fs::write(journey.user.at("set.yaml"), everything(world)).unwrap();
    let packed = journey.pack(world, "set.yaml", "OUT", &["--volume-size", "4MB"]).expect(0);
    journey.run(&["verify", "OUT", "--deep"]).expect(0);
    // Whoever holds the disc is told what is on it.
    let inspected = journey.run(&["inspect", "OUT"]).expect(0);
    for told in ["\nrelease 4.14.1-x86_64: ", "\ncatalog ", "\noperator rabbitmq-cluster-operator of ", "\nchart podinfo 5.0.0: "] {
        assert!(packed.out.contains(told) && inspected.out.contains(told), "{told}\n{}\n{}", packed.out, inspected.out);
    }
    assert!(inspected.out.lines().count() < 40, "{}", inspected.out);
    let listed = journey.run(&["inspect", "OUT", "--json"]).expect(0).json();
    let roles: BTreeSet<&str> = listed["sets"][0]["images"].as_array().unwrap().iter().filter_map(|i| i["role"].as_str()).collect();
    assert!(["image", "release", "bundle", "chart", "graph"].iter().all(|role| roles.contains(role)), "{roles:?}");
    journey.unpack("OUT").expect(0);
    everything_arrived(&journey, world);
    // The documents say nothing of the clock: made again they are the same.
    let before = crate::support::run::files(&journey.user.at("resources"));
    journey.resources();
    crate::support::run::assert_same(&crate::support::run::files(&journey.user.at("resources")), &before, "resources made again");
}

#[test]
fn an_image_set_with_everything_is_mirrored_and_a_cluster_finds_all_of_it() {
    let (Some(world), Some(journey)) = (World::shared(), Journey::new()) else { return };
    fs::write(journey.user.at("set.yaml"), everything(world)).unwrap();
    journey.mirror(world, "set.yaml", &[]).expect(0);
    everything_arrived(&journey, world);
}

#[test]
fn both_ways_bring_the_same_and_a_second_run_brings_nothing_new() {
    let (Some(world), Some(one), Some(other)) = (World::shared(), Journey::new(), Journey::new()) else { return };
    for journey in [&one, &other] {
        fs::write(journey.user.at("set.yaml"), everything(world)).unwrap();
    }
    one.pack(world, "set.yaml", "OUT", &[]).expect(0);
    one.unpack("OUT").expect(0);
    other.mirror(world, "set.yaml", &[]).expect(0);
    let (packed, mirrored) = (one.content(), other.content());
    assert_eq!(packed.tags, mirrored.tags);
    assert_eq!(packed.manifests, mirrored.manifests);
    other.mirror(world, "set.yaml", &[]).expect(0);
    assert_eq!(other.content(), mirrored);
}

#[test]
fn without_a_channel_the_minor_versions_there_are_releases_of_are_listed() {
    let Some(world) = World::shared() else { return };
    let user = User::new();
    let conf = "[[registry]]\nlocation = \"quay.io/openshift-release-dev\"\n[[registry.mirror]]\nlocation = \"HOST/openshift-release-dev\"\n\
                insecure = true\n";
    fs::write(user.at("r.conf"), conf.replace("HOST", &world.host())).unwrap();
    let told = user.run("list releases --registries-conf r.conf").expect(0);
    let rows: Vec<Vec<&str>> = told.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["4.13", "stable-4.13", "4.13.10"]), "{}", told.out);
    assert!(told.out.contains("next: `sealift list releases --version 4.14`"), "{}", told.out);
    let arm = user.run("list releases --registries-conf r.conf --arch arm64 --json").expect(0).json();
    assert_eq!(arm["versions"], serde_json::json!([{ "version": "4.14", "channel": "stable-4.14", "newest": "4.14.1" }]));
}

#[test]
fn of_several_catalogs_in_a_file_the_one_that_is_looked_into_counts() {
    let Some(world) = World::shared() else { return };
    let user = User::new();
    let set = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  operators:\n  - catalog: registry.test/other:v1\n    \
         packages:\n    - name: nowhere\n  - catalog: {}\n    packages:\n    - name: koku-metrics-operator\n",
        world.catalog.reference
    );
    fs::write(user.at("set.yaml"), set).unwrap();
    let look =
        |catalog: &str| user.run(&format!("list operators --catalog {catalog} --config set.yaml --format kept --src-tls-verify=false"));
    let told = look(&world.catalog.reference).expect(0);
    assert!(told.out.starts_with("bundle koku-metrics-operator.v") && !told.out.contains("rabbitmq"), "{}", told.out);
    let digest = manifest(&world.catalog.reference).map(|bytes| Digest::sha256(&bytes)).unwrap();
    let pinned = format!("{}@{digest}", world.catalog.reference.rsplit_once(':').unwrap().0);
    look(&pinned).refused(2, "USAGE", &["has no catalog", "--catalog"]);
}

#[test]
fn a_release_alone_is_carried_by_its_version() {
    let (Some(world), Some(journey)) = (World::shared(), Journey::new()) else { return };
    let release = world.release("4.14.1", "amd64");
    journey.pack(world, "release:4.14.1", "OUT", &[]).expect(0);
    journey.unpack("OUT").expect(0);
    let resources = journey.resources();
    release_arrived(world, release, &journey.target(), &resources);
    let tags = journey.content().tags;
    assert!(tags.keys().all(|name| name.starts_with("openshift/release")), "{tags:?}");
}

#[test]
fn a_release_is_mirrored_by_its_reference_and_the_fragments_are_printed() {
    let (Some(world), Some(journey)) = (World::shared(), Journey::new()) else { return };
    let release = world.release("4.14.1", "amd64");
    let wish = format!("release:{}", world.release_image(&release.tag));
    let told = journey.mirror(world, &wish, &["--print-mirror-instructions", "idms"]).expect(0);
    let expected = ["imageDigestSources:", "kind: ImageDigestMirrorSet", "name: example", &format!("source: {}/{RELEASES}", world.host())];
    let out = told.out.replace('"', "");
    for words in expected {
        assert!(out.contains(words), "{words:?} is missing:\n{}", told.out);
    }
    release_arrived(world, release, &journey.target(), &journey.resources());
}

#[test]
fn other_architectures_and_the_payload_of_all_of_them_keep_their_names() {
    let (Some(world), Some(journey)) = (World::shared(), Journey::new()) else { return };
    let set = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  platform:\n    architectures: [arm64, multi]\n    \
               channels:\n    - name: stable-4.14\n      minVersion: 4.14.1\n      maxVersion: 4.14.1\n";
    fs::write(journey.user.at("set.yaml"), set).unwrap();
    journey.mirror(world, "set.yaml", &[]).expect(0);
    let resources = journey.resources();
    for architecture in ["arm64", "multi"] {
        release_arrived(world, world.release("4.14.1", architecture), &journey.target(), &resources);
    }
    let tags: Vec<String> = journey.content().tags.into_keys().collect();
    assert!(tags.contains(&"openshift/release-images:4.14.1-aarch64".to_owned()), "{tags:?}");
}

/// For every ImageSet of the reference filter: the whole real catalog, filtered, packed, carried; what arrives keeps exactly what
/// the reference kept.
#[test]
fn a_whole_catalog_is_filtered_like_the_reference_filters_it() {
    let (Some(world), Some(journey)) = (World::own(), Journey::new()) else { return };
    let catalog = world.whole_catalog();
    for name in ["pkg-range", "chan-range", "default-channel", "names"] {
        let set = world.given(&format!("fbc/expected/{name}.imageset.yaml"));
        let set = set.replace("registry.example/community/community-operator-index:v4.17", &catalog.reference);
        let set = set.replace("    packages:", &format!("    targetTag: {name}\n    packages:"));
        assert!(set.contains(&catalog.reference) && set.contains("targetTag"));
        fs::write(journey.user.at("set.yaml"), set).unwrap();
        journey.mirror(&world, "set.yaml", &[]).expect(0);
        unpacked(&format!("{}/{CATALOG}:{name}", journey.target()), "amd64", &journey.user.at(name));
        let configs = journey.user.at(name).join("bundle/rootfs/configs");
        let expected = catalog.here(&world.given(&format!("fbc/expected/{name}.txt")));
        assert_eq!(journey.listing(&configs), expected.lines().map(str::to_owned).collect(), "{name}");
    }
}

/// Two releases that share most of their components, at the target.
fn two_releases(world: &World) -> Option<Journey> {
    let journey = Journey::new()?;
    fs::write(journey.user.at("set.yaml"), everything(world)).unwrap();
    journey.mirror(world, "set.yaml", &[]).expect(0);
    Some(journey)
}

#[test]
fn deleting_one_of_two_releases_leaves_the_other_whole() {
    let Some(world) = World::shared() else { return };
    let Some(journey) = two_releases(world) else { return };
    let (old, new) = (world.release("4.14.0", "amd64"), world.release("4.14.1", "amd64"));
    let only_old: Vec<&Digest> = old.components.values().filter(|digest| !new.components.values().any(|d| d == *digest)).collect();
    assert!(!only_old.is_empty() && only_old.len() < 20, "{}", only_old.len());
    let set = "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\ndelete:\n  platform:\n    channels:\n    \
               - name: stable-4.14\n      minVersion: 4.14.0\n      maxVersion: 4.14.0\n";
    fs::write(journey.user.at("delete.yaml"), set).unwrap();
    let target = journey.target();
    let delete = |words: &[&str]| journey.run(&[&["delete", "--to", &target, "--dest-tls-verify=false"], words].concat()).expect(0);

    // First a list, which a person reads; it deletes nothing, and neither does trying it out.
    let before = journey.content();
    delete(&["--generate", "-c", "delete.yaml", "-o", "list.yaml"]);
    let list = fs::read_to_string(journey.user.at("list.yaml")).unwrap();
    assert!(list.contains("kind: DeleteImageList") && list.contains("4.14.0-x86_64") && !list.contains(":4.14.1-x86_64"), "{list}");
    let told = delete(&["list.yaml", "--dry-run"]);
    assert!(told.out.contains("4.14.0-x86_64"), "{}", told.out);
    assert_eq!(journey.content(), before);

    delete(&["list.yaml"]);
    let resources = journey.resources();
    assert!(manifest(&format!("{target}/openshift/release-images:{}", old.tag)).is_none());
    assert!(manifest(&format!("{target}/openshift/release-images@{}", old.digest)).is_none());
    for digest in only_old {
        assert!(manifest(&format!("{target}/openshift/release@{digest}")).is_none(), "{digest}");
    }
    journey.inner.collect_garbage();
    release_arrived(world, new, &target, &resources);
    catalog_arrived(&journey, world, &resources);
}

#[test]
fn where_tells_what_an_image_is_for_and_check_what_is_missing() {
    let Some(world) = World::shared() else { return };
    let Some(journey) = two_releases(world) else { return };
    let (target, release) = (journey.target(), world.release("4.14.1", "amd64"));
    let etcd = release.components["etcd"].to_string();
    let told = journey.run(&["where", &format!("{}/{COMPONENTS}@{etcd}", world.host()), "--to", &target]).expect(0);
    for words in [&format!("{target}/openshift/release"), "release 4.14.1-x86_64 etcd"] {
        assert!(told.out.contains(words), "{words:?} is missing:\n{}", told.out);
    }
    journey.run(&["where", &format!("{}/{COMPONENTS}@{}", world.host(), Digest::sha256(b"nowhere")), "--to", &target]).expect(28);
    let check = ["check", "--to", &target, "--blobs", "--dest-tls-verify=false"];
    let told = journey.run(&check).expect(0);
    assert!(told.out.contains("everything is there"), "{told:?}");
    remove(&journey.inner.data(), "ocp/openshift/release", &etcd);
    let told = journey.run(&check).refused(3, "PARTIAL", &["openshift/release"]);
    assert!(told.err.contains(&etcd) || told.err.contains("-etcd"), "{told:?}");
}

/// Takes a manifest out of a registry's folder, as a bad day would.
fn remove(data: &Path, repository: &str, digest: &str) {
    let hex = digest.strip_prefix("sha256:").unwrap();
    let folder = data.join("docker/registry/v2/repositories").join(repository);
    fs::remove_dir_all(folder.join("_manifests/revisions/sha256").join(hex)).unwrap();
}

/// A plan names what was made while planning by digest. Where that is, it is packed without asking for anything again; on another
/// machine the plan says what it lacks, and nothing is written.
#[test]
fn a_plan_with_what_was_made_for_it_is_packed_where_it_was_made() {
    let (Some(world), Some(journey)) = (World::shared(), Journey::new()) else { return };
    fs::write(journey.user.at("set.yaml"), everything(world)).unwrap();
    let options = world.options();
    let mut words = vec!["plan", "set.yaml", "-o", "plan.json"];
    words.extend(options.iter().map(String::as_str));
    journey.run(&words).expect(0);
    let key = world.file("release-key.asc");
    let line = format!("pack plan.json --key site --no-sync --src-tls-verify=false --release-key {} OUT", key.display());
    let told = journey.user.run(&line).expect(0);
    assert!(!told.err.contains("has moved"), "{told:?}");
    journey.unpack("OUT").expect(0);
    everything_arrived(&journey, world);
    let other = User::with_key();
    fs::copy(journey.user.at("plan.json"), other.at("plan.json")).unwrap();
    other.run(&line).refused(23, "SOURCE_MISSING", &["was made while planning", "plan again on this machine"]);
    assert!(!other.at("OUT").exists() || fs::read_dir(other.at("OUT")).unwrap().count() == 0);
    // With a policy what was made here is not refused for that, and elsewhere it is.
    fs::write(journey.user.at("policy.json"), r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
    fs::copy(journey.user.at("policy.json"), other.at("policy.json")).unwrap();
    let with_policy = format!("plan plan.json --src-tls-verify=false --policy policy.json --release-key {}", key.display());
    journey.user.run(&with_policy).expect(0);
    other.run(&with_policy).refused(19, "POLICY_REFUSED", &["was not made here"]);
    a_release_is_proven_again(&other, &line);
}

/// The plan was on its way, and what it carries as a release is what somebody says.
fn a_release_is_proven_again(other: &User, line: &str) {
    let path = other.at("plan.json");
    let plan: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut plan = plan.clone();
        edit(&mut plan);
        fs::write(&path, plan.to_string()).unwrap();
    };
    let without = |plan: &mut Value| plan["documents"].as_array_mut().unwrap().retain(|document| document["kind"] != "release-signature");
    edited(&without);
    other.run(line).refused(18, "RELEASE_SIGNATURE", &["no signature of the release", "--ignore-release-signature"]);
    other.run(&line.replace("OUT", "--ignore-release-signature OUT")).refused(23, "SOURCE_MISSING", &["IS NOT PROVEN"]);
    // Under another role it is told as a release all the same.
    edited(&|plan| {
        without(plan);
        for image in plan["images"].as_array_mut().unwrap().iter_mut().filter(|image| image["role"] == "release") {
            image["role"] = "image".into();
        }
    });
    other.run(line).refused(18, "RELEASE_SIGNATURE", &["no signature of the release"]);
    edited(&|plan| {
        for document in plan["documents"].as_array_mut().unwrap().iter_mut().filter(|document| document["kind"] == "release-signature") {
            document["data"] = "eA==".into();
        }
    });
    other.run(line).refused(18, "RELEASE_SIGNATURE", &["has no signature that counts"]);
}

#[test]
fn nothing_is_asked_for_twice() {
    let (Some(world), Some(journey)) = (World::own(), Journey::new()) else { return };
    fs::write(journey.user.at("set.yaml"), everything(&world)).unwrap();
    let twice = |list: &[String]| {
        let mut seen = BTreeSet::new();
        list.iter().filter(|line| !seen.insert(line.split("&id=").next().unwrap().to_owned())).cloned().collect::<Vec<_>>()
    };
    journey.pack(&world, "set.yaml", "OUT", &["--sequence", "100"]).expect(0);
    let (asked, pulled) = (world.web.asked(), world.pulled());
    let without_ids: Vec<String> = asked.iter().map(|line| without_id(line)).collect();
    assert_eq!(twice(&without_ids), Vec::<String>::new());
    let gets: Vec<String> = pulled.iter().filter(|line| line.starts_with("GET ")).cloned().collect();
    assert_eq!(twice(&gets), Vec::<String>::new());
    assert!(gets.len() > 400, "{}", gets.len());
    let heads: Vec<String> = pulled.iter().filter(|line| line.starts_with("HEAD ")).cloned().collect();
    assert_eq!(twice(&heads), Vec::<String>::new());

    // Again: the tags and the graph may have moved, and are asked for; what a digest names is there already.
    journey.pack(&world, "set.yaml", "OUT2", &["--sequence", "101"]).expect(0);
    let again: Vec<String> = world.pulled()[pulled.len()..].to_vec();
    let blobs: Vec<&String> = again.iter().filter(|line| line.contains("/blobs/sha256:")).collect();
    assert!(blobs.is_empty(), "{blobs:?}");
    let signatures = world.web.asked()[asked.len()..].iter().filter(|line| line.contains("/signature-")).count();
    assert!(signatures <= 4, "{signatures}");
}

/// A request to the graph service without its `id`, which is another one each time.
fn without_id(line: &str) -> String {
    let (path, query) = line.split_once('?').unwrap_or((line, ""));
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("id=")).collect();
    format!("{path}?{}", kept.join("&"))
}
