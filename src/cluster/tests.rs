//! What is written, against the shape its reader demands, and against what the spoken-to registry really holds.

use super::*;
use crate::digest::Digest;
use crate::format::{Completeness, Document, DocumentKind, ReceiptImage, Role, SCHEMA, SkippedTag};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn image(role: Role, source: &str, place: &str) -> ReceiptImage {
    let (repository, tag) = place.rsplit_once(':').unwrap();
    ReceiptImage {
        repository: repository.into(),
        tag: tag.into(),
        digest: digest(source),
        media_type: "m".into(),
        source: source.into(),
        completeness: Completeness::Full,
        role,
        part_of: vec![],
        subject: None,
    }
}

fn receipt(images: Vec<ReceiptImage>) -> Receipt {
    Receipt {
        schema: SCHEMA,
        target: "reg.lan:5000/ocp".into(),
        max_nested_paths: 0,
        stream: "s".into(),
        sequence: 1,
        identity: digest("set"),
        written: "2026-01-02T03:04:05Z".into(),
        images,
        repositories: BTreeMap::new(),
        documents: vec![],
        skipped_tags: vec![],
        log_head: None,
    }
}

fn target(name: &str, receipts: Vec<Receipt>) -> Target {
    Target { name: name.into(), receipts, insecure: false, authority: None }
}

fn at(text: &str) -> String {
    format!("{text}@{}", digest(text))
}

fn everything(targets: &[Target]) -> Resources {
    resources(targets, &Kind::ALL.into_iter().collect()).unwrap()
}

#[track_caller]
fn file<'a>(made: &'a Resources, name: &str) -> &'a str {
    let found = made.files.iter().find(|file| file.name == name);
    &found.unwrap_or_else(|| panic!("{name} is not among {:?}", made.files.iter().map(|f| &f.name).collect::<Vec<_>>())).contents
}

fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    if text.is_empty() {
        return Vec::new();
    }
    serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// `source => mirror mirror`, of all objects of a file whose names begin so.
fn lines(text: &str, prefix: &str, list: &str) -> Vec<String> {
    let objects = documents(text).into_iter().filter(|o| o["metadata"]["name"].as_str().unwrap().starts_with(prefix));
    let line = |entry: &Value| {
        let mirrors: Vec<&str> = entry["mirrors"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
        format!("{} => {}", entry["source"].as_str().unwrap(), mirrors.join(" "))
    };
    objects.flat_map(|object| object["spec"][list].as_array().unwrap().iter().map(line).collect::<Vec<_>>()).collect()
}

fn digests(targets: &[Target], prefix: &str) -> Vec<String> {
    lines(file(&everything(targets), "idms-oc-mirror.yaml"), prefix, "imageDigestMirrors")
}

/// An OpenShift mirror with one of everything.
fn openshift() -> Receipt {
    let release = "quay.io/openshift-release-dev/ocp-release";
    let mut all = receipt(vec![
        image(Role::Release, &at(release), "openshift/release-images:4.16.3-x86_64"),
        image(Role::ReleaseContent, &at("quay.io/openshift-release-dev/ocp-v4.0-art-dev"), "openshift/release:4.16.3-x86_64-etcd"),
        image(Role::Graph, "made:graph-image", "openshift/graph-image:latest"),
        image(Role::Catalog, "registry.redhat.io/redhat/redhat-operator-index:v4.16", "redhat/redhat-operator-index:v4.16"),
        image(Role::Bundle, &at("registry.redhat.io/noo/noo-bundle"), "noo/noo-bundle:sha256-1"),
        image(Role::Related, &at("registry.redhat.io/ubi9"), "ubi9:sha256-1"),
        image(Role::Image, "quay.io/a/b:1", "a/b:1"),
        image(Role::Image, &format!("{}@{}", "quay.io/a/both:2", digest("x")), "a/both:2"),
        image(Role::Helm, "busybox:1", "busybox:1"),
        image(Role::Chart, "made:podinfo", "charts/podinfo:5.0.0"),
        image(Role::Referrer, "quay.io/signed/x:sha256-00.sig", "signed/x:sha256-00.sig"),
        image(Role::Image, "oci:/tmp/x:1", "x:1"),
    ]);
    let hex = digest(&at(release)).hex();
    all.documents = vec![
        Document::new(DocumentKind::ReleaseSignature, format!("sha256-{hex}-1"), &[0x88, 0xff, 0]),
        Document::new(DocumentKind::ImageSignature, format!("a/b@sha256={}/signature-1", digest("x").hex()), &[0x90, 0]),
        Document::new(DocumentKind::ImageSignature, format!("not/here@sha256={}/signature-1", digest("x").hex()), &[0x90, 1]),
    ];
    all
}

#[test]
fn openshift_gets_what_oc_mirror_gave_it() {
    let made = everything(&[target("reg.lan:5000/ocp", vec![openshift()])]);
    assert_eq!(made.notes, Vec::<String>::new());
    let idms = file(&made, "idms-oc-mirror.yaml");
    let objects: Vec<Value> = documents(idms).iter().map(|o| o["metadata"]["name"].clone()).collect();
    assert_eq!(objects, ["idms-release-0", "idms-operator-0", "idms-generic-0"]);
    assert_eq!(
        lines(idms, "idms-release", "imageDigestMirrors"),
        [
            "quay.io/openshift-release-dev/ocp-release => reg.lan:5000/ocp/openshift/release-images",
            "quay.io/openshift-release-dev/ocp-v4.0-art-dev => reg.lan:5000/ocp/openshift/release"
        ]
    );
    assert_eq!(
        lines(idms, "idms-operator", "imageDigestMirrors"),
        ["registry.redhat.io => reg.lan:5000/ocp", "registry.redhat.io/noo => reg.lan:5000/ocp/noo"]
    );
    assert_eq!(lines(idms, "idms-generic", "imageDigestMirrors"), ["quay.io/a => reg.lan:5000/ocp/a"]);
    let itms = file(&made, "itms-oc-mirror.yaml");
    assert_eq!(
        lines(itms, "itms-", "imageTagMirrors"),
        [
            "quay.io/openshift-release-dev/ocp-release => reg.lan:5000/ocp/openshift/release-images",
            "docker.io/library/busybox => reg.lan:5000/ocp/busybox",
            "quay.io/a => reg.lan:5000/ocp/a"
        ]
    );
    let update = &documents(file(&made, "updateService.yaml"))[0];
    assert_eq!(update["spec"]["graphDataImage"], "reg.lan:5000/ocp/openshift/graph-image:latest");
    assert_eq!(update["spec"]["releases"], "reg.lan:5000/ocp/openshift/release-images");
    let source = &documents(file(&made, "cs-redhat-operator-index-v4-16.yaml"))[0];
    assert_eq!(source["spec"]["image"], "reg.lan:5000/ocp/redhat/redhat-operator-index:v4.16");
    let catalog = &documents(file(&made, "cc-redhat-operator-index-v4-16.yaml"))[0];
    assert_eq!(catalog["spec"]["source"]["image"]["ref"], "reg.lan:5000/ocp/redhat/redhat-operator-index:v4.16");
    let map = &documents(file(&made, "signature-configmap.yaml"))[0];
    assert_eq!(map["binaryData"].as_object().unwrap().values().collect::<Vec<_>>(), ["iP8A"]);
    assert_eq!(*map, serde_json::from_str::<Value>(file(&made, "signature-configmap.json")).unwrap());
}

/// The very bytes: what a person compares, and what must not change from one version to the next for nothing.
#[test]
fn the_bytes_of_a_mirror_set() {
    let made = everything(&[target("reg.lan:5000/m", vec![receipt(vec![image(Role::Image, &at("quay.io/a/b"), "a/b:x")])])]);
    assert_eq!(
        file(&made, "idms-oc-mirror.yaml"),
        "---\napiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  annotations:\n    createdBy: sealift\n  \
         name: idms-generic-0\nspec:\n  imageDigestMirrors:\n  - mirrors:\n    - reg.lan:5000/m/a\n    source: quay.io/a\n"
    );
    assert_eq!(made, everything(&[target("reg.lan:5000/m", vec![receipt(vec![image(Role::Image, &at("quay.io/a/b"), "a/b:x")])])]));
}

#[test]
fn a_repository_that_went_elsewhere_has_its_own_entry_beside_the_namespace() {
    let images = vec![
        image(Role::Image, &at("quay.io/a/b"), "a/b:1"),
        image(Role::Image, &at("quay.io/a/c"), "other/place:1"),
        // Letters alone are no path: `xa/d` does not end with `a/d`.
        image(Role::Image, &at("quay.io/a/d"), "xa/d:1"),
        // The name of this namespace is a repository that went elsewhere: its entry must not catch what is below.
        image(Role::Image, &at("quay.io/a/c/deep"), "a/c/deep:1"),
    ];
    assert_eq!(
        digests(&[target("r.lan", vec![receipt(images)])], "idms-generic"),
        ["quay.io/a => r.lan/a", "quay.io/a/c => r.lan/other/place", "quay.io/a/c/deep => r.lan/a/c/deep", "quay.io/a/d => r.lan/xa/d"]
    );
}

#[test]
fn flattened_names_have_entries_of_their_own() {
    let images = vec![image(Role::Image, &at("quay.io/a/b/c"), "a/b/c:1"), image(Role::Image, &at("quay.io/solo"), "solo:1")];
    let flat = Receipt { max_nested_paths: 2, ..receipt(images) };
    assert_eq!(
        digests(&[target("r.lan/m", vec![flat.clone()])], "idms-generic"),
        ["quay.io/a/b/c => r.lan/m/a-b-c", "quay.io/solo => r.lan/m/solo"]
    );
    let one = Receipt { max_nested_paths: 1, ..flat };
    assert_eq!(digests(&[target("r.lan/m", vec![one])], "idms-generic")[0], "quay.io/a/b/c => r.lan/m-a-b-c");
}

/// The longest name wins alone, so every entry must lead to all targets of what it covers.
#[test]
fn several_targets_are_mirrors_of_one_another_in_the_order_given() {
    let of = |names: &[&str]| receipt(names.iter().map(|n| image(Role::Image, &at(&format!("quay.io/{n}")), &format!("{n}:1"))).collect());
    let flat = Receipt { max_nested_paths: 2, ..of(&["a/b"]) };
    assert_eq!(
        digests(&[target("z.lan", vec![of(&["a/b"])]), target("b.lan/m", vec![flat])], "idms-generic"),
        ["quay.io/a/b => z.lan/a/b b.lan/m/a-b"],
        "one of them is flattened: the namespace would lead past it"
    );
    assert_eq!(
        digests(&[target("z.lan", vec![of(&["a/b"])]), target("b.lan/m", vec![of(&["a/b", "a/c"])])], "idms-generic"),
        ["quay.io/a => z.lan/a b.lan/m/a"]
    );
    assert_eq!(
        digests(&[target("z.lan", vec![of(&["a/b/c"])]), target("b.lan", vec![of(&["a/b"])])], "idms-generic"),
        ["quay.io/a => b.lan/a", "quay.io/a/b => z.lan/a/b b.lan/a/b"],
        "the namespace of one is the repository of the other"
    );
}

/// A tag pull takes the longest entry too: a name known by tag and below a digest entry must be in both.
#[test]
fn tag_and_digest_entries_do_not_hide_each_other() {
    let images = vec![image(Role::Image, "quay.io/a/b:1", "a/b:1"), image(Role::Image, &at("quay.io/a/b/c"), "a/b/c:x")];
    let made = everything(&[target("r.lan", vec![receipt(images)])]);
    let tags = lines(file(&made, "itms-oc-mirror.yaml"), "itms", "imageTagMirrors");
    assert_eq!(tags, ["quay.io/a => r.lan/a", "quay.io/a/b => r.lan/a/b"]);
}

#[test]
fn receipts_add_up_and_later_ones_win() {
    let first = receipt(vec![image(Role::Catalog, "q.io/x/cat:v1", "x/cat:v1"), image(Role::Image, &at("quay.io/a/b"), "a/b:1")]);
    let mut second = receipt(vec![image(Role::Catalog, "q.io/x/cat:v1", "x/cat:v1")]);
    second.documents = vec![Document::new(DocumentKind::CatalogTemplate, "x/cat:v1", TEMPLATE.as_bytes())];
    let made = everything(&[target("r.lan", vec![first.clone(), second.clone()])]);
    assert_eq!(documents(file(&made, "cs-cat-v1.yaml"))[0]["spec"]["displayName"], "Ours: all");
    assert!(file(&made, "idms-oc-mirror.yaml").contains("source: quay.io/a\n"), "nothing is lost when a set shrinks");
    let made = everything(&[target("r.lan", vec![second, first])]);
    assert_eq!(documents(file(&made, "cs-cat-v1.yaml"))[0]["spec"].get("displayName"), None);
}

#[test]
fn an_older_set_brings_back_no_catalog() {
    let keep = crate::oci::keep_tag(&digest("q.io/x/cat:v1"));
    let mut older = receipt(vec![image(Role::Catalog, "q.io/x/cat:v1", &format!("x/cat:{keep}"))]);
    older.skipped_tags = vec![SkippedTag { repository: "x/cat".into(), tag: "v1".into(), digest: digest("q.io/x/cat:v1"), newer: 9 }];
    assert!(everything(&[target("r.lan", vec![older])]).files.is_empty());
}

const TEMPLATE: &str = "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nmetadata:\n  name: theirs\n  namespace: theirs\n  \
                        annotations: {mine: \"1\"}\nspec:\n  image: theirs\n  displayName: 'Ours: all'\n  priority: -5\n  updateStrategy:\n    \
                        registryPoll: {interval: 30m}\n";

fn with_template(template: &str) -> Resources {
    let mut one = receipt(vec![image(Role::Catalog, "q.io/x/cat:v1", "x/cat:v1")]);
    one.documents = vec![Document::new(DocumentKind::CatalogTemplate, "x/cat:v1", template.as_bytes())];
    everything(&[target("r.lan", vec![one])])
}

#[test]
fn a_template_keeps_what_is_not_ours() {
    let made = with_template(TEMPLATE);
    let object = &documents(file(&made, "cs-cat-v1.yaml"))[0];
    assert_eq!(object["metadata"]["name"], "cs-cat-v1");
    assert_eq!(object["metadata"]["namespace"], "openshift-marketplace");
    assert_eq!(object["metadata"]["annotations"], serde_json::json!({"createdBy": "sealift", "mine": "1"}));
    let spec = serde_json::json!({"image": "r.lan/x/cat:v1", "sourceType": "grpc", "displayName": "Ours: all", "priority": -5,
        "updateStrategy": {"registryPoll": {"interval": "30m"}}});
    assert_eq!(object["spec"], spec);
    assert!(made.notes.is_empty());
}

#[test]
fn a_template_is_found_where_names_are_flattened() {
    let mut flat = receipt(vec![image(Role::Catalog, "q.io/x/y/cat:v1", "x-y-cat:v1")]);
    flat.max_nested_paths = 2;
    flat.documents = vec![
        Document::new(DocumentKind::CatalogTemplate, "x/cat:v1", b"kind: other"),
        Document::new(DocumentKind::CatalogTemplate, "x/y/cat:v1", TEMPLATE.as_bytes()),
    ];
    let made = everything(&[target("r.lan/m", vec![flat])]);
    let object = &documents(file(&made, "cs-x-y-cat-v1.yaml"))[0];
    assert_eq!((&object["spec"]["image"], &object["spec"]["displayName"]), (&"r.lan/m/x-y-cat:v1".into(), &"Ours: all".into()));
    assert!(made.notes.is_empty(), "{:?}", made.notes);
}

#[test]
fn a_template_copied_out_of_a_cluster_can_be_created_in_another() {
    let copied = TEMPLATE.replace("  name: theirs\n", "  name: theirs\n  resourceVersion: '7'\n  uid: x\n") + "status:\n  a: b\n";
    let made = with_template(&copied);
    assert_eq!(file(&made, "cs-cat-v1.yaml"), file(&with_template(TEMPLATE), "cs-cat-v1.yaml"));
    assert!(made.notes.is_empty());
}

#[test]
fn a_registry_is_no_mirror_of_itself() {
    let own = receipt(vec![image(Role::Image, "r.lan/a/b:1", "a/b:1")]);
    assert!(everything(&[target("r.lan", vec![own.clone()])]).files.is_empty());
    let made = everything(&[target("r.lan", vec![own.clone()]), target("s.lan", vec![own])]);
    assert_eq!(lines(file(&made, "itms-oc-mirror.yaml"), "itms", "imageTagMirrors"), ["r.lan/a => s.lan/a"]);
}

#[test]
fn a_bad_template_is_said_and_does_no_harm() {
    let deep =
        format!("{}spec: {}1{}", "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\n", "{a: ".repeat(100), "}".repeat(100));
    let bomb = {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..20 {
            text += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        text
    };
    // Few aliases, each of a long text: the parser's own count lets them through, and 64 KiB become gigabytes.
    let long = format!("{TEMPLATE}x: &x {}\ny: &y [{}]\nz: [{}]\n", "x".repeat(4096), ["*x"; 100].join(","), ["*y"; 100].join(","));
    for (bad, why) in [
        (long, "aliases"),
        (TEMPLATE.replace("CatalogSource", "ConfigMap"), "kind"),
        (TEMPLATE.replace("v1alpha1", "v2"), "apiVersion"),
        (TEMPLATE.replace("image: theirs", "sourceType: internal"), "sourceType"),
        (TEMPLATE.replace("image: theirs", "configMap: theirs"), "configMap"),
        (TEMPLATE.replace("spec:", "spec: ["), "line"),
        ("- a\n".to_owned(), "mapping"),
        (TEMPLATE.split("spec:").next().unwrap().to_owned() + "spec: text\n", "spec is no mapping"),
        ("x".repeat(100_000), "longer"),
        (deep, ""),
        (bomb, ""),
    ] {
        let made = with_template(&bad);
        assert_eq!(
            documents(file(&made, "cs-cat-v1.yaml"))[0]["spec"],
            serde_json::json!({"image": "r.lan/x/cat:v1", "sourceType": "grpc"})
        );
        assert!(made.notes.len() == 1 && made.notes[0].contains("x/cat:v1") && made.notes[0].contains(why), "{:?}", made.notes);
    }
}

#[test]
fn catalogs_of_one_name_do_not_overwrite_each_other() {
    let cat = |path: &str| image(Role::Catalog, &format!("q.io/{path}/idx:v4.16"), &format!("{path}/idx:v4.16"));
    // The one that was there first keeps its name, whatever the alphabet says.
    let made = everything(&[target("r.lan", vec![receipt(vec![cat("z")]), receipt(vec![cat("a"), cat("z")])])]);
    assert_eq!(documents(file(&made, "cs-idx-v4-16.yaml"))[0]["spec"]["image"], "r.lan/z/idx:v4.16");
    let other: Vec<&ResourceFile> = made.files.iter().filter(|f| f.name.starts_with("cs-idx-v4-16-")).collect();
    assert!(other.len() == 1 && other[0].contents.contains("r.lan/a/idx:v4.16"));
    assert!(made.notes.iter().any(|note| note.contains("a/idx:v4.16") && note.contains("z/idx:v4.16")), "{:?}", made.notes);
    // The same catalog at two targets is one catalog.
    let both = [target("z.lan", vec![receipt(vec![cat("a")])]), target("b.lan", vec![receipt(vec![cat("a")])])];
    let made = everything(&both);
    assert!(made.notes.is_empty() && file(&made, "cs-idx-v4-16.yaml").contains("z.lan/a/idx:v4.16"));
}

#[test]
fn names_of_catalogs() {
    let hex = digest("x").hex();
    for (place, name) in [
        ("redhat/redhat-operator-index:v4.16".to_owned(), "redhat-operator-index-v4-16"),
        ("a/idx:Latest_And.Greatest".to_owned(), "idx-latest-and-g"),
        ("a/idx:v4.16-------x".to_owned(), "idx-v4-16"),
        ("a/idx:___".to_owned(), "idx-0"),
        (format!("a/idx:sha256-{hex}"), &format!("idx-{}", &hex[..12])),
        (format!("a/idx:keep.sha256-{hex}"), &format!("idx-{}", &hex[..12])),
    ] {
        let made = everything(&[target("r.lan", vec![receipt(vec![image(Role::Catalog, "made:x", &place)])])]);
        file(&made, &format!("cs-{name}.yaml"));
        schema(&made);
    }
    let long = format!("a/{}:v1", "x".repeat(80));
    schema(&everything(&[target("r.lan", vec![receipt(vec![image(Role::Catalog, "made:x", &long)])])]));
}

#[test]
fn large_objects_are_split_and_lose_nothing() {
    let images = (0..4000)
        .map(|i| image(Role::Related, &at(&format!("registry.redhat.io/ns{i:04}/{}", "x".repeat(30))), &format!("other/i{i:04}:1")));
    let mut all = receipt(images.collect());
    let hex = |i: usize| digest(&i.to_string()).hex();
    all.documents =
        (0..100).map(|i| Document::new(DocumentKind::ReleaseSignature, format!("sha256-{}-1", hex(i)), &vec![7; 20_000])).collect();
    all.documents.push(Document::new(DocumentKind::ReleaseSignature, "sha256-../..-1", b"x"));
    let made = everything(&[target("r.lan", vec![all])]);
    assert!(made.notes.len() == 1 && made.notes[0].contains("signature"), "{:?}", made.notes);
    let idms = file(&made, "idms-oc-mirror.yaml");
    assert_eq!(lines(idms, "idms-operator-", "imageDigestMirrors").len(), 4000);
    let names: Vec<String> = documents(idms).iter().map(|o| o["metadata"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names[..2], ["idms-operator-0", "idms-operator-1"]);
    let maps = documents(file(&made, "signature-configmap.yaml"));
    assert_eq!(maps.iter().map(|m| m["binaryData"].as_object().unwrap().len()).sum::<usize>(), 100);
    let listed: Value = serde_json::from_str(file(&made, "signature-configmap.json")).unwrap();
    assert_eq!(listed["items"].as_array().unwrap(), &maps);
    assert!(maps.len() > 5 && maps.iter().all(|map| map.to_string().len() < 256 << 10));
    schema(&made);
}

#[test]
fn a_layout_or_nonsense_is_no_registry() {
    for (name, layout) in
        [("oci:/tmp/x", true), ("", false), ("a b", false), ("r.lan/UP", false), ("https://r.lan/x", false), ("r.lan\n", false)]
    {
        let error = resources(&[target(name, vec![])], &BTreeSet::new()).unwrap_err();
        assert_eq!(matches!(error, ClusterError::Layout { .. }), layout, "{name:?}");
    }
}

#[test]
fn what_will_not_be_found_is_said() {
    let mut single = image(Role::Image, &at("quay.io/a/b"), "a/b:1");
    single.completeness = Completeness::SingleMember { member: digest("m") };
    let images = vec![single, image(Role::Image, "quay.io/a/c:1", "a/c:other"), image(Role::Image, "no reference", "a/d:1")];
    let made = everything(&[target("[::1]:5000/m", vec![receipt(images)])]);
    for words in ["cannot be pulled by its digest", "not found by its tag 1", "no reference", "address in brackets"] {
        assert!(made.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", made.notes);
    }
    assert!(!made.files.iter().any(|f| f.name.starts_with("idms")));
    schema(&made);
}

#[test]
fn instructions_after_mirroring_a_release() {
    let targets = [target("r.lan/m", vec![openshift()])];
    let idms = mirror_instructions(&targets, Instructions::Idms).unwrap();
    for words in [
        "imageDigestSources:\n- mirrors:\n  - r.lan/m/openshift/release-images\n  source: quay.io/openshift-release-dev/ocp-release\n",
        "kind: ImageDigestMirrorSet\nmetadata:\n  name: example\nspec:\n  imageDigestMirrors:\n  - mirrors:\n    - r.lan/m/openshift/release-images\n",
    ] {
        assert!(idms.contains(words), "{idms}");
    }
    assert!(!idms.contains("redhat.io"), "only the release");
    let icsp = mirror_instructions(&targets, Instructions::Icsp).unwrap();
    assert!(icsp.contains("imageContentSources:\n- ") && icsp.contains("  repositoryDigestMirrors:\n  - "), "{icsp}");
    assert_eq!(mirror_instructions(&[target("r.lan", vec![])], Instructions::Idms).unwrap(), "");
}

#[test]
fn containerd_maps_hosts_and_says_what_it_cannot() {
    let made = everything(&[target("reg.lan:5000/ocp", vec![openshift()]), target("b.lan", vec![openshift()])]);
    assert_eq!(
        file(&made, "containerd/certs.d/quay.io/hosts.toml"),
        "# Mirrors of quay.io for containerd. Goes to /etc/containerd/certs.d/quay.io/hosts.toml.\n\
         # A mirror without TLS is written http:// in place of https:// (sealift resources --dest-tls-verify=false).\n#\n\
         # containerd cannot map these, which have another path at the mirror. Pull them by the name on the right.\n\
         #   quay.io/openshift-release-dev/ocp-release -> b.lan/openshift/release-images\n\
         #   quay.io/openshift-release-dev/ocp-release -> reg.lan:5000/ocp/openshift/release-images\n\
         #   quay.io/openshift-release-dev/ocp-v4.0-art-dev -> b.lan/openshift/release\n\
         #   quay.io/openshift-release-dev/ocp-v4.0-art-dev -> reg.lan:5000/ocp/openshift/release\n\n\
         [host.\"https://reg.lan:5000/v2/ocp\"]\ncapabilities = [\"pull\", \"resolve\"]\noverride_path = true\n\n\
         [host.\"https://b.lan\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
    );
    assert!(file(&made, "containerd/certs.d/registry.redhat.io/hosts.toml").contains("capabilities = [\"pull\"]\n"));
    let made = everything(&[target("r.lan", vec![receipt(vec![image(Role::Image, "localhost:5000/a:1", "a:1")])])]);
    file(&made, "containerd/certs.d/localhost_5000_/hosts.toml");
}

/// A registry without TLS, or with any certificate: whichever it is, each kind of node gets there.
#[test]
fn a_mirror_that_needs_no_certificate_is_said_to_be_one() {
    let plain = || receipt(vec![image(Role::Image, "quay.io/a/b:1", "a/b:1")]);
    let open = Target { insecure: true, ..target("r.lan:5000/m", vec![plain()]) };
    let made = everything(&[open, target("s.lan/m", vec![plain()])]);
    let hosts = file(&made, "containerd/certs.d/quay.io/hosts.toml");
    let (open, shut) = hosts.split_once("[host.\"https://s.lan/v2/m\"]").unwrap();
    for words in ["[host.\"https://r.lan:5000/v2/m\"]\n", "\nskip_verify = true\n", "[host.\"http://r.lan:5000/v2/m\"]\n"] {
        assert!(open.contains(words), "{hosts}");
    }
    assert!(!shut.contains("skip_verify") && !hosts.contains("http://s.lan"), "{hosts}");
    let podman = file(&made, "registries.conf.d/50-sealift.conf");
    let mirrors: Vec<&str> = podman.split("[[registry.mirror]]").skip(1).collect();
    let said: Vec<bool> = mirrors.iter().map(|mirror| mirror.contains("\ninsecure = true\n")).collect();
    assert_eq!(said, mirrors.iter().map(|mirror| mirror.contains("r.lan:5000")).collect::<Vec<_>>(), "{podman}");
    assert!(said.contains(&true) && said.contains(&false));
    let k3s = documents(file(&made, "k3s/registries.yaml"))[0].clone();
    assert_eq!(k3s["mirrors"]["quay.io"]["endpoint"], serde_json::json!(["https://r.lan:5000", "http://r.lan:5000", "https://s.lan"]));
    assert_eq!(k3s["configs"], serde_json::json!({"r.lan:5000": {"tls": {"insecure_skip_verify": true}}}));
}

/// What the cluster must know beside the objects is told where it is known, and nowhere else.
#[test]
fn what_openshift_must_know_of_a_registry_is_told() {
    let plain = || vec![receipt(vec![image(Role::Image, "quay.io/a/b:1", "a/b:1")])];
    let of_tls = |made: &Resources| -> Vec<String> {
        made.notes.iter().filter(|note| note.contains("image.config.openshift.io/cluster")).cloned().collect()
    };
    assert_eq!(of_tls(&everything(&[target("r.lan:5000/m", plain())])), Vec::<String>::new());
    let open = Target { insecure: true, ..target("r.lan:5000/m", plain()) };
    let own = Target { authority: Some("ca.pem".into()), ..target("s.lan:8443/m", plain()) };
    let told = of_tls(&everything(&[open.clone(), own.clone()]));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("add r.lan:5000 to spec.registrySources.insecureRegistries"), "{told:?}");
    assert!(told[1].contains("--from-file=s.lan..8443=ca.pem`") && told[1].contains("spec.additionalTrustedCA.name"), "{told:?}");
    // Not where nothing is made for OpenShift, and once for what is at one host.
    let kinds = BTreeSet::from([Kind::Containerd, Kind::RegistriesConf, Kind::K3s]);
    assert_eq!(of_tls(&resources(&[open.clone(), own.clone()], &kinds).unwrap()), Vec::<String>::new());
    let twice = [open.clone(), Target { name: "r.lan:5000/n".into(), ..open }];
    assert_eq!(of_tls(&everything(&twice)).len(), 1);
    // The update service has a key of its own.
    let graph = image(Role::Graph, "made:graph", "openshift/graph-image:latest");
    let release = image(Role::Release, "quay.io/openshift-release-dev/ocp-release:4.16.1-x86_64", "openshift/release-images:4.16.1-x86_64");
    let told = of_tls(&everything(&[Target { receipts: vec![receipt(vec![graph, release])], ..own }]));
    assert!(told[0].contains("--from-file=s.lan..8443=ca.pem --from-file=updateservice-registry=ca.pem`"), "{told:?}");
}

#[test]
fn k3s_rewrites_never_overlap() {
    let k3s = |targets: &[Target]| {
        let made = everything(targets);
        (documents(file(&made, "k3s/registries.yaml"))[0]["mirrors"].clone(), made.notes)
    };
    let plain = || receipt(vec![image(Role::Image, "quay.io/a/b.c:1", "a/b.c:1")]);
    assert_eq!(
        k3s(&[target("r.lan/m", vec![plain()])]).0,
        serde_json::json!({"quay.io": {"endpoint": ["https://r.lan"], "rewrite": {"^(.*)$": "m/$1"}}})
    );
    assert_eq!(k3s(&[target("r.lan", vec![plain()])]).0, serde_json::json!({"quay.io": {"endpoint": ["https://r.lan"]}}));
    let moved = receipt(vec![image(Role::Image, "quay.io/a/b.c:1", "a/b.c:1"), image(Role::Image, "quay.io/d:1", "e:1")]);
    assert_eq!(k3s(&[target("r.lan/m", vec![moved])]).0["quay.io"]["rewrite"], serde_json::json!({"^a/b\\.c$": "m/a/b.c", "^d$": "m/e"}));
    let (mirrors, notes) = k3s(&[target("r.lan/m", vec![plain()]), target("s.lan/m", vec![plain()]), target("t.lan/x", vec![plain()])]);
    assert_eq!(mirrors["quay.io"]["endpoint"], serde_json::json!(["https://r.lan", "https://s.lan"]));
    assert!(notes.len() == 1 && notes[0].contains("t.lan"), "{notes:?}");
}

#[test]
fn podman_pulls_tags_only_where_tags_were_carried() {
    let mut single = image(Role::Image, "quay.io/s/x:1", "s/x:1");
    single.completeness = Completeness::SingleMember { member: digest("m") };
    let images = vec![image(Role::Image, &at("quay.io/a/b"), "a/b:1"), image(Role::Image, "quay.io/t/x:1", "t/x:1"), single];
    let made = everything(&[target("r.lan/m", vec![receipt(images)])]);
    let text = file(&made, "registries.conf.d/50-sealift.conf");
    let after =
        |name: &str| text.split(&format!("location = \"r.lan/m/{name}\"\n")).nth(1).unwrap().lines().next().unwrap_or_default().to_owned();
    assert_eq!(["a", "s", "t"].map(after), ["pull-from-mirror = \"digest-only\"", "pull-from-mirror = \"tag-only\"", ""]);
}

/// Of two receipts with signatures of one manifest both count; a lookaside has no gaps.
#[test]
fn signatures_of_images_become_a_lookaside() {
    let mut later = openshift();
    let name = format!("a/b@sha256={}/signature-1", digest("x").hex());
    later.documents = vec![Document::new(DocumentKind::ImageSignature, name.clone(), &[0x90, 7])];
    let made = everything(&[target("r.lan:5000/m", vec![openshift(), later])]);
    let signatures: Vec<_> = made.files.iter().filter(|f| f.is_binary()).map(|f| (f.name.clone(), f.bytes())).collect();
    let at = |number: u32| format!("lookaside/m/a/b@sha256={}/signature-{number}", digest("x").hex());
    assert_eq!(signatures, [(at(1), vec![0x90, 0]), (at(2), vec![0x90, 7])]);
    let config = &documents(file(&made, "registries.d/sealift.yaml"))[0];
    assert_eq!(config["docker"], serde_json::json!({"r.lan:5000/m": {"lookaside": "file:///var/lib/containers/sigstore"}}));
    let mut flat = openshift();
    flat.max_nested_paths = 2;
    let made = everything(&[target("r.lan/m", vec![flat])]);
    assert!(made.files.iter().any(|f| f.is_binary() && f.name.starts_with("lookaside/m/a-b@sha256=")));
}

/// Receipts name images as they are at the target, documents as they are in the set.
#[test]
fn signatures_of_flattened_images_become_a_lookaside() {
    let name = format!("team/app@sha256={}/signature-1", digest("x").hex());
    let with = |repository: &str| Receipt {
        max_nested_paths: 2,
        documents: vec![Document::new(DocumentKind::ImageSignature, name.clone(), &[0x90, 7])],
        ..receipt(vec![image(Role::Image, "quay.io/team/app:1", &format!("{repository}:1"))])
    };
    let files = |receipt: Receipt| -> Vec<String> {
        let made = everything(&[target("r.lan/m", vec![receipt])]);
        made.files.into_iter().filter(ResourceFile::is_binary).map(|file| file.name).collect()
    };
    assert_eq!(files(with("team-app")), [format!("lookaside/m/team-app@sha256={}/signature-1", digest("x").hex())]);
    assert!(files(with("team-other")).is_empty(), "an image that is not there needs none");
}

/// podman reads no image at all with a file that names a scope twice.
#[test]
fn two_targets_under_one_name_are_one_scope_of_registries_d() {
    let made = everything(&[target("r.lan/m", vec![openshift()]), target("r.lan/m", vec![openshift()])]);
    let text = file(&made, "registries.d/sealift.yaml");
    assert_eq!(text.matches("\"r.lan/m\":").count() + text.matches("  r.lan/m:").count(), 1, "{text}");
}

#[test]
fn every_file_has_the_shape_its_reader_demands() {
    for name in ["reg.lan:5000/ocp", "r.lan", "10.0.0.1:5000/a/b"] {
        let made = everything(&[target(name, vec![openshift()]), target("second.lan/x", vec![openshift()])]);
        assert!(Kind::ALL.iter().all(|kind| made.files.iter().any(|file| file.kind == *kind)), "one of everything");
        schema(&made);
    }
}

/// Facts of the definitions of these objects: what is required, of which type, and what its text must match.
fn schema(made: &Resources) {
    for file in &made.files {
        assert!(file.name.split('/').all(crate::text::is_plain_name), "{}", file.name);
        assert!(file.contents.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)) && file.contents.ends_with('\n'), "{}", file.name);
        let is_object = file.kind.is_object();
        assert_eq!(file.name.contains('/'), !is_object, "oc apply -f takes every YAML file of the folder: {}", file.name);
        if is_object && file.name.ends_with(".yaml") {
            assert!(file.contents.starts_with("---\n"), "{}", file.name);
            documents(&file.contents).iter().for_each(object);
        } else if file.kind == Kind::InstallConfig {
            let fragment = &documents(&file.contents)[0];
            mirror_list(fragment.as_object().unwrap().values().next().unwrap());
        }
    }
}

fn object(object: &Value) {
    let text =
        |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} is missing: {object}")).to_owned();
    let name = text("/metadata/name");
    let label = Regex::new("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").unwrap();
    assert!(label.is_match(&name) && name.len() <= 63, "{name}");
    let only = |path: &str, keys: &[&str]| {
        let found: Vec<&str> = object.pointer(path).unwrap().as_object().unwrap().keys().map(String::as_str).collect();
        assert!(found.iter().all(|key| keys.contains(key)), "{path} has {found:?}");
    };
    only("", &["apiVersion", "kind", "metadata", "spec", "binaryData"]);
    only("/metadata", &["name", "namespace", "annotations", "labels"]);
    let namespaced = |namespace: &str| assert_eq!(text("/metadata/namespace"), namespace);
    match (text("/apiVersion").as_str(), text("/kind").as_str()) {
        ("config.openshift.io/v1", "ImageDigestMirrorSet") => mirror_set(object, "imageDigestMirrors"),
        ("config.openshift.io/v1", "ImageTagMirrorSet") => mirror_set(object, "imageTagMirrors"),
        ("operator.openshift.io/v1alpha1", "ImageContentSourcePolicy") => mirror_set(object, "repositoryDigestMirrors"),
        ("operators.coreos.com/v1alpha1", "CatalogSource") => {
            namespaced("openshift-marketplace");
            assert_eq!(text("/spec/sourceType"), "grpc");
            pullable(&text("/spec/image"));
        }
        ("olm.operatorframework.io/v1", "ClusterCatalog") => {
            only("/spec", &["priority", "source"]);
            assert!(object["spec"]["priority"].is_i64() && object["metadata"].get("namespace").is_none());
            assert_eq!(text("/spec/source/type"), "Image");
            pullable(&text("/spec/source/image/ref"));
        }
        ("updateservice.operator.openshift.io/v1", "UpdateService") => {
            namespaced("openshift-update-service");
            only("/spec", &["graphDataImage", "releases", "replicas"]);
            assert!(object["spec"]["replicas"].as_u64().unwrap() >= 1);
            pullable(&text("/spec/graphDataImage"));
            place(&text("/spec/releases"));
        }
        ("v1", "ConfigMap") => {
            namespaced("openshift-config-managed");
            assert_eq!(object["metadata"]["labels"]["release.openshift.io/verification-signatures"], "");
            let key = Regex::new("^sha256-[0-9a-f]{64}-[0-9]+$").unwrap();
            let base64 = Regex::new("^[A-Za-z0-9+/]+={0,2}$").unwrap();
            for (name, value) in object["binaryData"].as_object().unwrap() {
                assert!(key.is_match(name) && base64.is_match(value.as_str().unwrap()), "{name}");
            }
            assert!(object.to_string().len() < 1 << 20);
        }
        other => panic!("{other:?} is no kind of ours"),
    }
}

fn mirror_set(object: &Value, list: &str) {
    let spec = object["spec"].as_object().unwrap();
    assert!(spec.len() == 1 && object["metadata"].get("namespace").is_none(), "cluster-scoped, and nothing but the list");
    mirror_list(&spec[list]);
}

fn mirror_list(list: &Value) {
    let entries = list.as_array().unwrap();
    let sources: Vec<&str> = entries.iter().map(|entry| entry["source"].as_str().unwrap()).collect();
    assert!(!sources.is_empty() && sources.is_sorted_by(|a, b| a < b), "sorted, each once: {sources:?}");
    for entry in entries {
        assert_eq!(entry.as_object().unwrap().len(), 2);
        let mirrors: Vec<&str> = entry["mirrors"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
        assert_eq!(mirrors.iter().collect::<BTreeSet<_>>().len(), mirrors.len(), "a set");
        assert!(!mirrors.is_empty() && !mirrors.contains(&entry["source"].as_str().unwrap()));
        mirrors.into_iter().chain(entry["source"].as_str()).for_each(place);
    }
}

/// `host[:port][/path]`: no scheme, no tag, no digest.
fn place(text: &str) {
    let host = "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?";
    let part = "[a-z0-9]+(([._]|__|-*)[a-z0-9]+)*";
    let whole = Regex::new(&format!("^{host}(\\.{host})*(:[0-9]+)?(/{part})*$")).unwrap();
    assert!(whole.is_match(text), "{text}");
}

fn pullable(text: &str) {
    let reference = crate::oci::Reference::parse(text).unwrap();
    assert!(reference.tag.is_some() && reference.to_string() == text, "{text}");
}

proptest::proptest! {
    /// Whatever is mirrored where: who follows the longest matching entry finds each image by its own name at every target.
    #[test]
    fn whoever_follows_the_longest_entry_finds_every_image(
        images in proptest::collection::vec(("[ab](/[ab]){0,3}", "[ab](/[ab]){0,3}", 0usize..2, proptest::bool::ANY, proptest::bool::ANY), 1..12),
        flat in 0u8..4,
    ) {
        let mut of: [Vec<ReceiptImage>; 2] = [vec![], vec![]];
        let mut at_target: [BTreeMap<String, String>; 2] = Default::default();
        for (source, place, to, follow, by_tag) in &images {
            let place = if *follow { source } else { place };
            let source = if *by_tag { format!("q.io/{source}:1") } else { format!("q.io/{source}@{}", digest(source)) };
            // One place, one image.
            if at_target[*to].insert(place.clone(), source.clone()).is_none() {
                of[*to].push(image(Role::Image, &source, &format!("{place}:1")));
            } else {
                at_target[*to].remove(place);
                of[*to].retain(|image| image.repository != *place);
            }
        }
        let [one, two] = of;
        let prefix = "p.lan/x/y";
        let targets = [target("r.lan", vec![receipt(one.clone())]), target(prefix, vec![Receipt { max_nested_paths: flat, ..receipt(two.clone()) }])];
        let made = everything(&targets);
        let text = |name: &str| made.files.iter().find(|f| f.name == name).map_or("", |f| f.contents.as_str());
        let both = [lines(text("idms-oc-mirror.yaml"), "", "imageDigestMirrors"), lines(text("itms-oc-mirror.yaml"), "", "imageTagMirrors")];
        for (to, image) in one.iter().map(|i| (0, i)).chain(two.iter().map(|i| (1, i))) {
            let source = image.source.split(['@', ':']).next().unwrap();
            let place = match to {
                0 => format!("r.lan/{}", image.repository),
                _ => format!("p.lan/{}", crate::image_set::max_nested_paths(&format!("x/y/{}", image.repository), flat.into())),
            };
            // The runtime merges both lists by name, and then takes the longest.
            let names = both.iter().flatten().filter_map(|line| line.split_once(" => "));
            let covers = |name: &str| source == name || source.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
            let longest = names.map(|(name, _)| name).filter(|name| covers(name)).max_by_key(|name| name.len()).unwrap();
            let list = &both[usize::from(!image.source.contains('@'))];
            let line = list.iter().find_map(|line| line.strip_prefix(&format!("{longest} => ")));
            let found = line.unwrap_or_default().split(' ').any(|mirror| source.replacen(longest, mirror, 1) == place);
            proptest::prop_assert!(found, "{} at {} by {:?} in {:?}", image.source, place, longest, both);
        }
    }
}
