//! What may be wrong with releases, update graphs, catalogs and charts outside, and what is said about it: nothing wrong may be
//! carried, and nothing asked for may be left out in silence.

use crate::support::openshift::World;
use crate::support::openshift::catalogs;
use crate::support::openshift::releases::RELEASES;
use crate::support::run::{Ran, User, files};
use crate::support::servers::{DockerRegistry, Options};
use std::fs;

/// Plans an ImageSet with these lines below `mirror:`.
fn plan(world: &World, user: &User, lines: &str, other: &[(&str, &str)], more: &[&str]) -> Ran {
    run(world, user, &["plan", "set.yaml"], lines, other, more)
}

fn run(world: &World, user: &User, words: &[&str], lines: &str, other: &[(&str, &str)], more: &[&str]) -> Ran {
    let text = format!("kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n{lines}");
    fs::write(user.at("set.yaml"), text).unwrap();
    let options = world.options_but(other);
    let line: Vec<&str> = words.iter().copied().chain(options.iter().map(String::as_str)).chain(more.iter().copied()).collect();
    user.run(&line.join(" "))
}

/// `platform` with one channel; `more` are further members of the channel.
fn channel(name: &str, more: &str) -> String {
    format!("  platform:\n    channels:\n    - name: {name}\n{more}")
}

fn range(min: &str, max: &str) -> String {
    format!("      minVersion: {min}\n      maxVersion: {max}\n")
}

/// The release 4.14.1, from its channel.
fn release() -> String {
    channel("stable-4.14", &range("4.14.1", "4.14.1"))
}

/// `operators` with one catalog and one package.
fn package(catalog: &str, name: &str, more: &str) -> String {
    format!("  operators:\n  - catalog: {catalog}\n    packages:\n    - name: {name}\n{more}")
}

#[test]
fn a_release_without_a_signature_that_holds_is_not_carried() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let digest = world.release("4.14.1", "amd64").digest.to_string();
    // None at all; by a key that only the payload itself calls good; of another release; with one bit turned; without any packet.
    for store in ["none", "foreign", "other-digest", "torn", "plain"] {
        let url = world.web.url(store);
        let told = plan(world, &user, &release(), &[("--signature-store", &url)], &[]);
        told.refused(18, "RELEASE_SIGNATURE", &[&digest]);
    }
    let stranger = world.file("stranger.asc");
    plan(world, &user, &release(), &[("--release-key", stranger.to_str().unwrap())], &[]).refused(18, "RELEASE_SIGNATURE", &[&digest]);
    // Nor where somebody would rather go on.
    let url = world.web.url("foreign");
    let told = plan(world, &user, &release(), &[("--signature-store", &url)], &["--keep-going"]);
    assert!(!told.out.contains("release 4."), "{told:?}");
}

#[test]
fn the_second_signature_of_a_store_counts_and_a_store_may_be_a_folder() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let url = world.web.url("second");
    plan(world, &user, &release(), &[("--signature-store", &url)], &[]).expect(0);
    plan(world, &user, &release(), &[("--signature-store", &format!("{url}/"))], &[]).expect(0);
    let signed = world.release("4.14.1", "amd64");
    let folder = user.at(&format!("store/sha256={}", signed.digest.hex()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("signature-1"), world.signature(signed)).unwrap();
    plan(world, &user, &release(), &[("--signature-store", "store")], &[]).expect(0);
}

#[test]
fn a_signature_does_not_rename_a_release() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let url = world.web.url("other-tag");
    let told = plan(world, &user, &release(), &[("--signature-store", &url)], &[]);
    assert!(!told.out.contains("4.14.0"), "the name in the signature was taken: {told:?}");
    assert!(told.exit == 0 || told.exit == 18, "{told:?}");
    assert!(told.err.contains("4.14.0-x86_64"), "that the signature says another name is not told: {told:?}");
}

#[test]
fn an_unsigned_release_is_carried_only_by_reference_and_loudly() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let url = world.web.url("none");
    let none = [("--signature-store", url.as_str())];
    let set = format!("  platform:\n    release: {}\n", world.release_image("4.14.1-x86_64"));
    plan(world, &user, &set, &none, &[]).refused(18, "RELEASE_SIGNATURE", &["4.14.1-x86_64"]);
    let told = plan(world, &user, &set, &none, &["--ignore-release-signature"]).expect(0);
    assert!(told.err.contains("signature") && told.out.contains("4.14.1-x86_64"), "{told:?}");
}

#[test]
fn a_payload_that_is_not_the_version_it_is_called_is_refused() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let set = channel("odd-4.14", &range("4.14.7", "4.14.7"));
    plan(world, &user, &set, &[], &[]).refused(27, "CONTENT_INVALID", &["4.14.7", "4.14.1"]);
}

#[test]
fn a_release_image_without_its_list_of_components_is_refused() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let set = channel("hollow-4.14", &range("4.14.9", "4.14.9"));
    plan(world, &user, &set, &[], &[]).refused(27, "CONTENT_INVALID", &["image-references"]);
    let set = format!("  platform:\n    release: {}/team/extra:1.0\n", world.host());
    plan(world, &user, &set, &[], &["--ignore-release-signature"]).refused(27, "CONTENT_INVALID", &["team/extra"]);
}

#[test]
fn answers_of_the_graph_service_that_are_no_graph_are_told_apart() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    for (path, exit, code, told) in [
        ("broken/page", 27, "CONTENT_INVALID", "broken/page"),
        ("broken/empty", 27, "CONTENT_INVALID", "broken/empty"),
        ("broken/cut", 27, "CONTENT_INVALID", "broken/cut"),
        ("broken/500", 20, "REGISTRY_UNREACHABLE", "500"),
        ("broken/refused", 20, "REGISTRY_UNREACHABLE", "mandatory client parameters missing"),
        ("broken", 28, "CONTENT_NOT_FOUND", "broken"),
    ] {
        let url = world.web.url(path);
        plan(world, &user, &release(), &[("--graph-url", &url)], &[]).refused(exit, code, &[told]);
    }
}

#[test]
fn a_page_in_place_of_the_graph_data_is_no_layer() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let set = channel("stable-4.14", &range("4.14.1", "4.14.1")).replace("    channels:", "    graph: true\n    channels:");
    let url = world.web.url("broken/page");
    plan(world, &user, &set, &[("--graph-data", &url)], &[]).refused(27, "CONTENT_INVALID", &["broken/page"]);
    let file = world.file("release-key.asc");
    plan(world, &user, &set, &[("--graph-data", file.to_str().unwrap())], &[]).refused(27, "CONTENT_INVALID", &["release-key.asc"]);
}

#[test]
fn a_version_or_channel_that_does_not_exist_is_named_with_the_nearest() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let path = "      shortestPath: true\n";
    let set = channel("stable-4.14", &format!("{}{path}", range("4.14.0", "4.14.5")));
    plan(world, &user, &set, &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["4.14.5", "stable-4.14", "4.14.2"]);
    plan(world, &user, &channel("stable-4.14", &range("4.14.5", "4.14.8")), &[], &[]).refused(
        28,
        "CONTENT_NOT_FOUND",
        &["4.14.5", "4.14.2"],
    );
    plan(world, &user, &channel("stable-4.41", ""), &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["stable-4.41"]);
    let gone = format!("  platform:\n    release: {}/{RELEASES}:4.14.77-x86_64\n", world.host());
    let told = plan(world, &user, &gone, &[], &[]);
    assert!([23, 28].contains(&told.exit) && told.err.contains("4.14.77-x86_64"), "{told:?}");
}

#[test]
fn the_shortest_path_takes_what_is_between_and_tells_the_risks_of_conditional_edges() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let path = |name, min, max| channel(name, &format!("{}      shortestPath: true\n", range(min, max)));
    let straight = plan(world, &user, &path("stable-4.14", "4.13.10", "4.14.1"), &[], &[]).expect(0);
    for tag in ["4.13.10-x86_64", "4.14.0-x86_64", "4.14.1-x86_64"] {
        assert!(straight.out.contains(&format!("release {tag}:")), "{tag}: {straight:?}");
    }
    assert!(!straight.err.contains(&world.risk), "{straight:?}");
    // From 4.14.2 to 4.14.3 every way has a condition: it is a way all the same, but one to know about.
    let risky = plan(world, &user, &path("candidate-4.14", "4.14.2", "4.14.3"), &[], &[]).expect(0);
    assert!(risky.out.contains("release 4.14.3-x86_64:"), "{risky:?}");
    assert!(format!("{}{}", risky.out, risky.err).contains(&world.risk), "{risky:?}");
    // Whoever starts the update sits on the other side.
    let wish = path("candidate-4.14", "4.14.2", "4.14.3");
    run(world, &user, &["pack", "set.yaml", "--key", "site", "--no-sync"], &wish, &[], &["OUT"]).expect(0);
    let inspected = user.run("inspect OUT").expect(0);
    let note = "note: the update from 4.14.2 to 4.14.3 (candidate-4.14, amd64) is conditional: ";
    assert!(inspected.out.contains(note) && inspected.out.contains(&world.risk), "{inspected:?}");
    // The real graph: from 4.13.9 to 4.13.10 there is an edge.
    let real = plan(world, &user, &path("stable-4.13", "4.13.9", "4.13.10"), &[], &[]).expect(0);
    assert_eq!(real.out.matches("release 4.13.").count(), 2, "{real:?}");
}

#[test]
fn a_misspelt_package_channel_or_version_of_a_catalog_is_named_with_the_nearest() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let catalog = &world.catalog.reference;
    let set = package(catalog, "rabbitmq-cluster-operater", "");
    plan(world, &user, &set, &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["rabbitmq-cluster-operater", "rabbitmq-cluster-operator"]);
    let set = package(catalog, "koku-metrics-operator", "      channels:\n      - name: beta\n      - name: alpah\n");
    plan(world, &user, &set, &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["alpah", "alpha"]);
    let exact = "      minVersion: 1.9.7\n      maxVersion: 1.9.7\n";
    let set = package(catalog, "koku-metrics-operator", exact);
    plan(world, &user, &set, &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["1.9.7", "koku-metrics-operator"]);
    let set = format!("  operators:\n  - catalog: {}/redhat/community-operator-index:v4.71\n", world.host());
    let told = plan(world, &user, &set, &[], &[]);
    assert!([23, 28].contains(&told.exit) && told.err.contains("v4.71"), "{told:?}");
}

#[test]
fn a_catalog_of_the_old_kind_and_an_image_that_is_none_are_refused() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let set = format!("  operators:\n  - catalog: {}\n", catalogs::sqlite(&world.store));
    plan(world, &user, &set, &[], &[]).refused(27, "CONTENT_INVALID", &["odd/sqlite-index", "SQLite"]);
    let set = format!("  operators:\n  - catalog: {}/team/extra:1.0\n", world.host());
    plan(world, &user, &set, &[], &[]).refused(27, "CONTENT_INVALID", &["team/extra"]);
}

#[test]
fn a_channel_with_several_heads_is_refused_where_it_is_asked_for() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let catalog = catalogs::small(&world.store, "heads", &[("probe.v1.0.0", ""), ("probe.v2.0.0", "")], &[]);
    let told = plan(world, &user, &package(&catalog, "probe", ""), &[], &[]);
    told.refused(27, "CONTENT_INVALID", &["probe", "stable", "probe.v1.0.0", "probe.v2.0.0"]);
    // Each names the other as its forerunner: no head at all.
    let circle = catalogs::small(&world.store, "circle", &[("probe.v1.0.0", "probe.v2.0.0"), ("probe.v2.0.0", "probe.v1.0.0")], &[]);
    plan(world, &user, &package(&circle, "probe", ""), &[], &[]).refused(27, "CONTENT_INVALID", &["probe", "stable"]);
}

#[test]
fn a_missing_image_of_an_operator_ends_the_run_or_is_listed_in_the_archive() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let entries = [("probe.v1.0.0", ""), ("probe.v1.1.0", "probe.v1.0.0")];
    let catalog = catalogs::small(&world.store, "gap", &entries, &["1.1.0"]);
    let set = package(&catalog, "probe", "      minVersion: 1.0.0\n");
    let pack = ["pack", "set.yaml", "--key", "site", "--no-sync"];
    run(world, &user, &pack, &set, &[], &["OUT"]).refused(23, "SOURCE_MISSING", &["probe/operand@sha256:"]);
    assert!(!user.at("OUT").exists() || !files(&user.at("OUT")).keys().any(|name| name.ends_with(".index.json")));
    let told = run(world, &user, &pack, &set, &[], &["--keep-going", "OUT2"]).expect(3);
    assert!(told.err.contains("probe/operand@sha256:"), "{told:?}");
    user.run("verify OUT2 --deep").expect(0);
    let index = user.run("inspect OUT2 --json").expect(0).json()["sets"][0].clone();
    let missing = index["missing"].to_string();
    assert!(missing.contains("probe/operand@sha256:") && missing.contains("SOURCE_MISSING"), "{missing}");
    let there = index["images"].to_string();
    assert!(there.contains("odd/small-index:gap") && there.contains("probe/bundle"), "{there}");
    // The catalog offers the bundle all the same: both sides are told which one.
    let offers = format!("probe.v1.1.0 needs it, which {catalog} offers all the same");
    assert!(told.err.contains(&offers) && missing.contains(&offers), "{told:?}\n{missing}");
    let Some(inner) = DockerRegistry::start(Options::default()) else { return };
    let arrived = user.run(&format!("unpack OUT2 --to {}/g --first --dest-tls-verify=false", inner.host())).expect(0);
    assert!(arrived.err.contains("warning: NOT in the set: ") && arrived.err.contains(&offers), "{arrived:?}");
}

#[test]
fn two_images_for_one_name_are_refused() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let host = world.host();
    let set = format!(
        "  additionalImages:\n  - name: {host}/team/extra:1.0\n    targetRepo: same/name\n    targetTag: x\n  \
         - name: {host}/stefanprodan/podinfo:5.0.0\n    targetRepo: same/name\n    targetTag: x\n"
    );
    plan(world, &user, &set, &[], &[]).refused(26, "NAME_COLLISION", &["same/name:x", "team/extra:1.0", "stefanprodan/podinfo:5.0.0"]);
    // A catalog that would take the place of an image.
    let small = catalogs::small(&world.store, "place", &[("probe.v1.0.0", "")], &[]);
    let set = format!(
        "{}    targetCatalog: team/extra\n    targetTag: '1.0'\n  additionalImages:\n  - name: {host}/team/extra:1.0\n",
        package(&small, "probe", "")
    );
    plan(world, &user, &set, &[], &[]).refused(26, "NAME_COLLISION", &["team/extra:1.0", "odd/small-index"]);
}

#[test]
fn a_chart_that_does_not_exist_is_named() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let url = world.web.url("charts");
    let chart = |name: &str, version: &str| {
        format!(
            "  helm:\n    repositories:\n    - name: r\n      url: {url}\n      charts:\n      - name: {name}\n        version: {version}\n"
        )
    };
    plan(world, &user, &chart("podinfo", "5.0.9"), &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["podinfo", "5.0.9", "5.0.0"]);
    plan(world, &user, &chart("podinof", "5.0.0"), &[], &[]).refused(28, "CONTENT_NOT_FOUND", &["podinof", "podinfo"]);
    let page = world.web.url("broken/page");
    let set = chart("podinfo", "5.0.0").replace(&url, &page);
    plan(world, &user, &set, &[], &[]).refused(27, "CONTENT_INVALID", &["broken/page"]);
}

#[test]
fn the_environment_names_the_same_services_as_the_options() {
    let Some(world) = World::shared() else { return };
    let user = User::with_key();
    let text = format!("kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n{}", release());
    fs::write(user.at("set.yaml"), text).unwrap();
    let (graph, store, key) = (world.web.url("graph"), world.web.url("signatures/"), world.file("release-key.asc"));
    let key = key.to_str().unwrap();
    let variables = [("UPDATE_URL_OVERRIDE", graph.as_str()), ("OCP_SIGNATURE_URL", &store), ("OCP_SIGNATURE_VERIFICATION_PK", key)];
    let told = user.run_with(&variables, "plan set.yaml --src-tls-verify=false").expect(0);
    assert!(told.out.contains("release 4.14.1-x86_64:"), "{told:?}");
}
