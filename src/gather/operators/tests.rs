//! What catalogs become.

use super::super::testing::Outside;
use super::*;
use crate::image_set::ImageSet;
use crate::oci::Descriptor;
use crate::openshift::catalog::CONFIGS_LABEL;
use crate::openshift::files::testing::{E, archive, gzip, image};

/// A package with one channel of two versions, each with a bundle image and one it needs.
fn package(outside: &Outside, name: &str) -> String {
    let far = |what: &str| {
        let root = image(&outside.far, "amd64", serde_json::json!({"Labels": {"what": what}}), &[]);
        format!("registry.test/{what}@{}", root.digest)
    };
    let bundle = |version: &str, needs: &str| {
        serde_json::json!({
            "schema": "olm.bundle", "package": name, "name": format!("{name}.v{version}"), "image": far(&format!("{name}/bundle-{version}")),
            "relatedImages": [{"name": "operator", "image": far(&format!("{name}/operator"))}],
            "properties": [
                {"type": "olm.package", "value": {"packageName": name, "version": version}},
                {"type": "olm.package.required", "value": {"packageName": needs, "versionRange": ">=1.0.0"}},
            ],
        })
    };
    let entries =
        serde_json::json!([{"name": format!("{name}.v1.0.0")}, {"name": format!("{name}.v1.1.0"), "replaces": format!("{name}.v1.0.0")}]);
    [
        serde_json::json!({"schema": "olm.package", "name": name, "defaultChannel": "stable"}),
        serde_json::json!({"schema": "olm.channel", "package": name, "name": "stable", "entries": entries}),
        bundle("1.0.0", "b"),
        bundle("1.1.0", "b"),
    ]
    .map(|object| object.to_string())
    .join("\n")
}

/// A world with a catalog of two packages, `a` and `b`.
fn outside() -> (Outside, Descriptor) {
    let outside = Outside::new();
    let (a, b) = (package(&outside, "a"), package(&outside, "b"));
    let layers = [
        gzip(&archive(&[E::F("bin/opm", "")])),
        gzip(&archive(&[E::F("configs/a/catalog.json", &a), E::F("configs/b/catalog.json", &b)])),
        gzip(&archive(&[E::F("tmp/cache/x", "")])),
    ];
    let config = serde_json::json!({"Labels": {CONFIGS_LABEL: "/configs"}, "Entrypoint": ["/bin/opm"], "Cmd": ["serve", "/configs"]});
    let root = image(&outside.far, "amd64", config, &layers);
    outside.far.tag("ns/index:v4.16", &root).unwrap();
    (outside, root)
}

fn asked(entries: &str) -> Vec<Operator> {
    let text = format!("kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  operators:\n{entries}");
    ImageSet::parse(text.as_bytes()).unwrap().0.operators
}

const CATALOG: &str = "registry.test/ns/index:v4.16";

#[test]
fn a_filtered_catalog_is_asked_for_with_what_its_bundles_need() {
    let (outside, root) = outside();
    let gathered = operators(&outside.world(), &asked(&format!("  - catalog: {CATALOG}\n    packages:\n    - name: a\n"))).unwrap();
    assert!(gathered.failures.is_empty(), "{:?}", gathered.failures);
    let [catalog, rest @ ..] = gathered.asks.as_slice() else { panic!() };
    assert_eq!(
        (catalog.role, catalog.target_repo.as_deref(), catalog.target_tag.as_deref()),
        (Role::Catalog, Some("ns/index"), Some("v4.16"))
    );
    let made = catalog.made.as_ref().unwrap();
    assert_eq!(made.base.as_ref().unwrap().to_string(), format!("registry.test/ns/index@{}", root.digest));
    let words = format!("operator {CATALOG} a a.v1.1.0 1.1.0");
    let roles: Vec<(Role, bool)> = rest.iter().map(|ask| (ask.role, ask.part_of == [words.clone()])).collect();
    assert_eq!(roles, [(Role::Bundle, true), (Role::Related, true)]);
    assert!(gathered.notes.iter().any(|note| note.contains("a.v1.1.0 needs") && note.contains("not kept")), "{:?}", gathered.notes);
    let again = operators(&outside.world(), &asked(&format!("  - catalog: {CATALOG}\n    packages:\n    - name: a\n"))).unwrap();
    assert_eq!(again.asks, gathered.asks);
    let (plan, failures) = outside.plan(gathered);
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(plan.images.len(), 3);
}

#[test]
fn a_whole_catalog_is_carried_as_it_is() {
    let (outside, _) = outside();
    let gathered = operators(&outside.world(), &asked(&format!("  - catalog: {CATALOG}\n    full: true\n"))).unwrap();
    assert_eq!((gathered.asks[0].made.clone(), gathered.asks.len()), (None, 7));
    let (_, failures) = outside.plan(gathered);
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn targets_templates_and_digests() {
    let (outside, root) = outside();
    std::fs::write(outside.temp.path().join("cs.yaml"), "kind: CatalogSource\n").unwrap();
    let of = |entry: &str| {
        let gathered = operators(&outside.world(), &asked(entry)).unwrap();
        let catalog = gathered.asks[0].clone();
        let name = format!("{}:{}", catalog.target_repo.unwrap(), catalog.target_tag.unwrap());
        (name, catalog.made.unwrap().digest, gathered.documents)
    };
    let (name, _, documents) = of(&format!(
        "  - catalog: {CATALOG}\n    targetCatalog: my/catalog\n    targetTag: v1\n    targetCatalogSourceTemplate: cs.yaml\n    packages:\n    - name: b\n"
    ));
    assert_eq!(name, "my/catalog:v1");
    assert_eq!(documents, [Document::new(DocumentKind::CatalogTemplate, "my/catalog:v1", b"kind: CatalogSource\n")]);
    // By digest alone it is named by the digest it has now.
    let (name, digest, _) = of(&format!("  - catalog: registry.test/ns/index@{}\n    packages:\n    - name: b\n", root.digest));
    assert_eq!(name, format!("ns/index:{}", keep_tag(&digest)));
    assert_ne!(digest, root.digest);
}

#[test]
fn what_cannot_be_had_stands_beside_the_rest() {
    let (outside, _) = outside();
    let entries = format!(
        "  - catalog: {CATALOG}\n    packages:\n    - name: a\n    - name: nothing\n  - catalog: registry.test/ns/none:v1\n  - catalog: registry.test/ns/plain:v1\n"
    );
    let plain = image(&outside.far, "amd64", serde_json::json!({}), &[]);
    outside.far.tag("ns/plain:v1", &plain).unwrap();
    let gathered = operators(&outside.world(), &asked(&entries)).unwrap();
    assert_eq!(gathered.asks.len(), 3);
    let failed: Vec<&str> = gathered.failures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, [&format!("{CATALOG} nothing"), "registry.test/ns/none:v1", "registry.test/ns/plain:v1"]);
    assert!(matches!(gathered.failures[2].1, GatherError::Catalog(_)));
    let only = operators(&outside.world(), &asked(&format!("  - catalog: {CATALOG}\n    packages:\n    - name: nothing\n"))).unwrap();
    assert!(only.asks.is_empty() && only.failures.len() == 1);
    outside.progress.cancel();
    assert!(matches!(operators(&outside.world(), &asked(&entries)), Err(GatherError::Interrupted)));
}

#[test]
fn words_of_a_catalog_stay_words() {
    let bundle = KeptBundle { name: "x y\u{7}".into(), version: "1".into(), image: String::new(), images: Vec::new() };
    assert_eq!(part_of("c", "p", &bundle), "operator c p x_y_ 1");
    let long = KeptBundle { name: "ü".repeat(2000), ..bundle };
    assert!(part_of("c", "p", &long).len() <= limits::PART_OF_CHARS);
}
