//! What receipts mean: found, resolved, counted by reference.

use super::*;
use crate::digest::Digest;
use crate::format::{Completeness, Document, DocumentKind, Holding, Receipt, ReceiptImage, Role, SCHEMA, SkippedTag};
use crate::image_set::DeleteSet;
use crate::oci::media;
use crate::progress::Silent;
use crate::unpack::tests::doubles::{Inner, Registry};
use crate::unpack::{PutAs, Target};
use std::collections::BTreeMap;

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn image(name: &str, source: &str, role: Role, part_of: &[&str]) -> ReceiptImage {
    let (repository, tag) = name.split_once(':').unwrap();
    ReceiptImage {
        repository: repository.into(),
        tag: tag.into(),
        digest: digest(source),
        media_type: media::OCI_MANIFEST.into(),
        source: source.into(),
        completeness: Completeness::Full,
        role,
        part_of: part_of.iter().map(|w| (*w).to_owned()).collect(),
        subject: None,
    }
}

fn receipt(sequence: u64, images: Vec<ReceiptImage>) -> Receipt {
    let mut repositories: BTreeMap<String, Holding> = BTreeMap::new();
    for image in &images {
        repositories.entry(image.repository.clone()).or_default().manifests.insert(image.digest);
    }
    Receipt {
        schema: SCHEMA,
        target: "registry.test/p".into(),
        max_nested_paths: 0,
        stream: "s".into(),
        sequence,
        identity: digest(&sequence.to_string()),
        written: format!("2026-01-0{sequence}T00:00:00Z"),
        images,
        repositories,
        documents: vec![],
        skipped_tags: vec![],
        log_head: None,
    }
}

fn disc(yaml: &str) -> DeleteSet {
    let text = format!("kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\ndelete:\n{yaml}");
    DeleteSet::parse(text.as_bytes()).unwrap().0
}

fn names(resolved: &Resolved) -> Vec<String> {
    let name = |item: &DeleteItem| item.image_reference.strip_prefix("docker://registry.test/p/").unwrap().to_owned();
    resolved.list.items.iter().map(name).collect()
}

const CATALOG: &str = "r.test/redhat/index:v4.16";

fn word(package: &str, version: &str) -> String {
    format!("operator {CATALOG} {package} {package}.v{version} {version}")
}

fn operators() -> Receipt {
    let (a1, a2, b1) = (word("a", "1.0.0"), word("a", "2.0.0"), word("b", "1.0.0"));
    receipt(
        1,
        vec![
            image("redhat/index:v4.16", CATALOG, Role::Catalog, &[]),
            image("o/a-bundle:1", "r.test/o/a-bundle:1", Role::Bundle, &[&a1]),
            image("o/a-bundle:2", "r.test/o/a-bundle:2", Role::Bundle, &[&a2]),
            image("o/b-bundle:1", "r.test/o/b-bundle:1", Role::Bundle, &[&b1]),
            image("o/proxy:1", "r.test/o/proxy:1", Role::Related, &[&a1, &b1]),
            image("o/tool:1", "r.test/o/tool:1", Role::Image, &[&a1]),
        ],
    )
}

#[test]
fn operators_go_by_package_and_version_and_shared_images_stay() {
    let receipts = [operators()];
    let by = |packages: &str| resolve(&disc(&format!("  operators:\n  - catalog: {CATALOG}\n{packages}")), &receipts);
    let one = by("    packages:\n    - {name: a, minVersion: 1.0.0, maxVersion: 1.5.0}\n");
    assert_eq!(names(&one), ["o/a-bundle:1"]);
    let told: Vec<&str> = one.stays.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(told, ["o/proxy:1", "o/tool:1"], "{:?}", one.stays);
    assert!(one.stays[0].1.contains(" b b.v1.0.0 "), "{:?}", one.stays);
    assert_eq!(names(&by("    packages:\n    - name: a\n")), ["o/a-bundle:1", "o/a-bundle:2"]);
    // What was built again is within the same bounds as when it was mirrored.
    let rebuilt = [receipt(1, vec![image("o/c:1", "r.test/o/c:1", Role::Bundle, &[&word("c", "1.5.0+0.1679.p")])])];
    let exact =
        disc(&format!("  operators:\n  - catalog: {CATALOG}\n    packages:\n    - {{name: c, minVersion: 1.5.0, maxVersion: 1.5.0}}\n"));
    assert_eq!(names(&resolve(&exact, &rebuilt)), ["o/c:1"]);
    // All of a catalog: the catalog goes too, and first.
    assert_eq!(names(&by("")), ["redhat/index:v4.16", "o/a-bundle:1", "o/a-bundle:2", "o/b-bundle:1", "o/proxy:1"]);
    let both = by("    packages:\n    - name: a\n    - name: b\n");
    assert_eq!(names(&both)[0], "redhat/index:v4.16");
    // Channels are in the catalog, not in the receipts: nothing is guessed.
    let channel = by("    packages:\n    - name: a\n      channels:\n      - name: stable\n");
    assert_eq!(names(&channel), Vec::<String>::new());
    assert_eq!(channel.unresolved, [Unresolved::PackageChannel { package: "a".into(), channel: "stable".into() }]);
    assert!(matches!(by("    packages:\n    - name: z\n").unresolved.as_slice(), [Unresolved::NotFound(_)]));
}

#[test]
fn releases_go_by_version_architecture_and_channel() {
    let release = |version: &str, arch: &str| {
        let name = format!("openshift/release-images:{version}-{arch}");
        image(&name, &format!("quay.io/ocp-release:{version}-{arch}"), Role::Release, &[&format!("release {version}-{arch}")])
    };
    let part = |version: &str, component: &str| {
        let word = format!("release {version}-x86_64 {component}");
        image(&format!("openshift/release:{version}-{component}"), &format!("quay.io/art@{version}"), Role::ReleaseContent, &[&word])
    };
    let images = vec![
        release("4.15.9", "x86_64"),
        release("4.16.1", "x86_64"),
        release("4.16.2", "x86_64"),
        release("4.16.2", "aarch64"),
        release("4.17.0-rc.1", "x86_64"),
        part("4.16.1", "etcd"),
    ];
    let mut receipts = vec![receipt(1, images)];
    let by = |receipts: &[Receipt], rest: &str| {
        resolve(&disc(&format!("  platform:\n    channels:\n    - name: stable-4.16\n{rest}")), receipts)
    };
    let range = by(&receipts, "      minVersion: 4.16.0\n      maxVersion: 4.16.1\n");
    assert_eq!(names(&range), ["openshift/release:4.16.1-etcd", "openshift/release-images:4.16.1-x86_64"].map(str::to_owned));
    assert_eq!(by(&receipts, "").unresolved, [Unresolved::ChannelHead("stable-4.16".into())]);
    // An open end does not reach into other minors.
    let open = by(&receipts, "      minVersion: 4.16.2\n");
    assert_eq!(names(&open), ["openshift/release-images:4.16.2-x86_64"]);
    assert_eq!(names(&by(&receipts, "      full: true\n")).len(), 3);
    // A graph that was carried says what is in the channel, and what is newest.
    let graph = br#"{"nodes":[{"version":"4.15.9"},{"version":"4.16.1"}],"edges":[]}"#;
    receipts[0].documents = vec![Document::new(DocumentKind::UpdateGraph, "stable-4.16-amd64", graph)];
    assert_eq!(names(&by(&receipts, "")), ["openshift/release:4.16.1-etcd", "openshift/release-images:4.16.1-x86_64"].map(str::to_owned));
    assert_eq!(names(&by(&receipts, "      minVersion: 4.15.0\n      maxVersion: 4.16.9\n")).len(), 3);
}

#[test]
fn charts_and_named_images() {
    let images = vec![
        image("c/one:1", "r.test/c/one:1", Role::Helm, &["chart web 1.2.0"]),
        image("c/two:1", "r.test/c/two:1", Role::Helm, &["chart web 1.2.0", "chart web 1.3.0"]),
        image("x/y:1", "r.test/x/y:1", Role::Image, &[]),
    ];
    let receipts = [receipt(1, images)];
    let chart = resolve(
        &disc("  helm:\n    repositories:\n    - name: n\n      url: https://c.test\n      charts:\n      - {name: web, version: 1.2.0}\n"),
        &receipts,
    );
    assert_eq!((names(&chart), chart.stays.len()), (vec!["c/one:1".to_owned()], 1));
    let named = resolve(&disc("  additionalImages:\n  - name: r.test/x/y:1\n  - name: r.test/x/z:1\n"), &receipts);
    assert_eq!((names(&named), named.unresolved), (vec!["x/y:1".to_owned()], vec![Unresolved::NotFound("r.test/x/z:1".into())]));
}

#[test]
fn lists_of_others_are_read_and_other_documents_are_not() {
    let theirs = "apiVersion: mirror.openshift.io/v2alpha1\nitems:\n- imageName: r.test/a:1\n  imageReference: docker://registry.test/p/a:1\n  type: generic\nkind: DeleteImageList\n";
    let list = DeleteList::parse(theirs.as_bytes()).unwrap();
    assert_eq!(DeleteList::parse(&list.to_bytes().unwrap()).unwrap(), list);
    for bad in [theirs.replace("DeleteImageList", "ImageList"), theirs.replace("type", "typo"), "x".into()] {
        assert!(matches!(DeleteList::parse(bad.as_bytes()), Err(InventoryError::List(_))), "{bad}");
    }
}

/// Each alias hands out the whole text once more: 16 MiB of list were terabytes.
#[test]
fn aliases_multiply_no_delete_list() {
    let head = "apiVersion: mirror.openshift.io/v2alpha1\nkind: DeleteImageList\nitems:\n";
    let item = format!("{{imageName: {}, imageReference: 'docker://r.test/a:1'}}", "x".repeat(8192));
    let told = |text: String| DeleteList::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(told(format!("{head}- &a {item}\n{}", "- *a\n".repeat(2000))).contains("aliases"));
    assert!(told(format!("{head}{}", "[".repeat(2000))).contains("nested too deeply"));
}

#[test]
fn an_image_is_found_by_source_digest_and_name_and_the_newest_set_first() {
    let old = image("a/b:1", "q.test/a/b:1", Role::Image, &[]);
    let newer = ReceiptImage { digest: digest("newer"), ..old.clone() };
    let receipts = [receipt(1, vec![old.clone()]), receipt(2, vec![newer])];
    let found = |text: &str| find(&receipts, &Asked::parse(text).unwrap());
    let both = found("q.test/a/b:1");
    assert_eq!(both.iter().map(|p| (p.set.sequence, p.superseded)).collect::<Vec<_>>(), [(2, false), (1, true)]);
    for text in ["registry.test/p/a/b:1", "a/b:1", "a/b", "q.test/a/b", "docker://registry.test/p/a/b:1"] {
        assert_eq!(found(text).len(), 2, "{text}");
    }
    let by_digest = format!("q.test/a/b@{}", old.digest);
    for text in [old.digest.to_string(), by_digest] {
        assert_eq!(found(&text).iter().map(|p| p.set.sequence).collect::<Vec<_>>(), [1], "{text}");
    }
    for text in ["q.test/a/b:2", "other.test/a/b:1", "a/b:11", &digest("nothing").to_string()] {
        assert!(found(text).is_empty(), "{text}");
    }
    assert!(Asked::parse("A B").is_err());
}

/// A tag is superseded where it names something else now: not by another target's, and not where it was moved back.
#[test]
fn what_a_tag_names_now_decides_whether_an_image_is_superseded() {
    let of = |sequence, content: &str| {
        let moved = ReceiptImage { digest: digest(content), ..image("a:1", "quay.io/a:1", Role::Image, &[]) };
        receipt(sequence, vec![moved])
    };
    let superseded = |receipts: &[Receipt]| -> Vec<(u64, bool)> {
        find(receipts, &Asked::parse("quay.io/a:1").unwrap()).iter().map(|place| (place.set.sequence, place.superseded)).collect()
    };
    let elsewhere = Receipt { target: "other.test/p".into(), ..of(2, "new") };
    assert_eq!(superseded(&[of(1, "old"), elsewhere]), [(2, false), (1, false)]);
    assert_eq!(superseded(&[of(1, "old"), of(2, "new")]), [(2, false), (1, true)]);
    assert_eq!(superseded(&[of(1, "old"), of(2, "new"), of(3, "old")]), [(3, false), (2, true), (1, false)]);
}

#[test]
fn receipts_of_one_set_are_joined_whatever_order_they_come_in() {
    let one = receipt(1, vec![image("a:1", "x", Role::Image, &[])]);
    let two = receipt(1, vec![image("b:1", "y", Role::Image, &[])]);
    let joined = join(&one, &two);
    assert_eq!(joined.images.len(), 2);
    assert_eq!(joined.images, join(&two, &one).images);
    assert!(joined.holds(Some("a"), &digest("x")) && joined.holds(Some("b"), &digest("y")));
    assert_eq!(Receipt::parse(&joined.to_bytes().unwrap()).unwrap(), joined);
    // A tag that a newer set has stays known as such, unless this run looked at its image again.
    let skipped = SkippedTag { repository: "a".into(), tag: "1".into(), digest: digest("x"), newer: 9 };
    let one = Receipt { skipped_tags: vec![skipped.clone()], ..one };
    assert_eq!(join(&one, &two).skipped_tags, [skipped]);
    assert_eq!(join(&one, &Receipt { skipped_tags: vec![], ..one.clone() }).skipped_tags, []);
    assert!(Receipt::parse(&join(&one, &one).to_bytes().unwrap()).is_ok());
}

/// Where nothing is removed the receipts of several runs are taken up at once: what a later one found counts, whatever they are called.
#[test]
fn of_several_receipts_that_are_taken_up_the_newest_counts() {
    for names in [["first", "second"], ["second", "first"], ["x", "y"], ["y", "x"]] {
        let registry = Registry { deletes: false, ..Registry::new() };
        for (day, content) in (1..).zip(names) {
            let found = ReceiptImage { digest: digest(content), ..image("a:1", "src", Role::Image, &[]) };
            publish(&registry, "p", &Receipt { written: format!("2026-01-0{day}T00:00:00Z"), ..receipt(1, vec![found]) }).unwrap();
        }
        publish(&registry, "p", &Receipt { written: "2026-01-09T00:00:00Z".into(), ..brought(&["b:1"]) }).unwrap();
        let newest = fetch(&registry, "p", 0).unwrap().pop().unwrap();
        let found = newest.images.iter().find(|image| image.repository == "a").map(|image| image.digest);
        assert_eq!(found, Some(digest(names[1])), "{names:?}");
    }
}

/// Puts an image of one layer into a registry in memory.
fn push(registry: &Registry, repository: &str, tag: &str, content: &str) -> Digest {
    attach(registry, repository, tag, content, None)
}

/// The same, referring to another one.
fn attach(registry: &Registry, repository: &str, tag: &str, content: &str, subject: Option<Digest>) -> Digest {
    let blob = crate::oci::Descriptor::new("layer", digest(content), content.len() as u64);
    let bytes = content.as_bytes().to_vec();
    registry.put_blob(repository, &blob, &mut || Ok(Box::new(std::io::Cursor::new(bytes.clone())))).unwrap();
    let mut manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob, "layers": []});
    if let Some(digest) = subject {
        manifest["subject"] = serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 3});
    }
    let manifest = manifest.to_string();
    registry.put_manifest(repository, PutAs::Tag(tag), media::OCI_MANIFEST, manifest.as_bytes()).unwrap();
    Digest::sha256(manifest.as_bytes())
}

fn without(receipts: &[Receipt], deletion: &Deletion, deleted: &Deleted) -> Vec<Receipt> {
    receipts.iter().map(|receipt| remaining(receipt, deletion, deleted, "p")).collect()
}

fn listed(registry: &Registry, receipts: &[Receipt], items: &[&str]) -> Deletion {
    let item = |name: &&str| DeleteItem {
        image_name: String::new(),
        image_reference: format!("docker://registry.test/p/{name}"),
        kind: String::new(),
        digest: None,
    };
    let list = DeleteList::new(items.iter().map(item).collect());
    plan(&list, receipts, registry, "p", 0, 2, &Silent::new()).unwrap()
}

#[test]
fn signatures_go_with_their_image_and_stay_with_one_that_stays() {
    let registry = Registry::new();
    let at = |name: &str, content: &str| {
        let (repository, tag) = name.split_once(':').unwrap();
        let digest = push(&registry, &format!("p/{repository}"), tag, content);
        ReceiptImage { digest, ..image(name, &format!("q.test/{name}"), Role::Image, &[]) }
    };
    let app = at("a:1", "app");
    let signature = ReceiptImage { role: Role::Referrer, ..at(&format!("a:sha256-{}.sig", app.digest.hex()), "sig") };
    let again = at("a:2", "app");
    let receipts = [receipt(1, vec![app.clone(), again, signature.clone()])];
    let one = listed(&registry, &receipts, &["a:1"]);
    assert_eq!(one.images.iter().map(|i| i.manifests.len()).collect::<Vec<_>>(), [0], "{one:?}");
    assert!(one.kept.iter().any(|k| k.stay == Stay::NeededBy("p/a:2".into())), "{one:?}");
    // A registry that removes no tag alone: the receipts keep saying what is there.
    let done = delete(&one, &registry, 2, &Silent::new()).unwrap();
    let left = without(&receipts, &one, &done);
    assert_eq!((done.tags_left.as_slice(), &left[0]), (["p/a:1".to_owned()].as_slice(), &receipts[0]));
    let both = listed(&registry, &receipts, &["a:1", "a:2"]);
    let gone: Vec<Digest> = both.images.iter().flat_map(|i| i.manifests.clone()).collect();
    assert_eq!(gone, [app.digest, signature.digest]);
    let done = delete(&both, &registry, 2, &Silent::new()).unwrap();
    let left = without(&receipts, &both, &done);
    assert!(left[0].images.is_empty() && left[0].repositories.is_empty(), "{:?}", left);
    assert_eq!(registry.tags("p/a").unwrap(), Vec::<String>::new());
}

#[test]
fn two_names_of_one_manifest_are_both_told_as_failed_when_it_stays() {
    let registry = Registry { deletes: false, ..Registry::new() };
    let app = push(&registry, "p/a", "1", "app");
    push(&registry, "p/a", "2", "app");
    let named = |name: &str| ReceiptImage { digest: app, ..image(name, "q.test/a", Role::Image, &[]) };
    let receipts = [receipt(1, vec![named("a:1"), named("a:2")])];
    let both = listed(&registry, &receipts, &["a:1", "a:2"]);
    let done = delete(&both, &registry, 1, &Silent::new()).unwrap();
    let failed: Vec<&str> = done.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((failed, done.images.as_slice()), (vec!["p/a:1", "p/a:2"], [].as_slice()));
    assert_eq!(without(&receipts, &both, &done), receipts);
}

#[test]
fn signatures_stay_with_an_image_that_a_tag_of_somebody_or_an_index_keeps() {
    for by_index in [false, true] {
        let registry = Registry::new();
        let app = push(&registry, "p/a", "1", "app");
        let of_app = format!("a:sha256-{}.sig", app.hex());
        let signature = push(&registry, "p/a", &of_app[2..], "sig");
        if by_index {
            let member = serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": app, "size": 3});
            let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [member]}).to_string();
            put_theirs(&registry, "theirs", media::OCI_INDEX, &index);
        } else {
            push(&registry, "p/a", "theirs", "app");
        }
        let receipts = [receipt(
            1,
            vec![
                ReceiptImage { digest: app, ..image("a:1", "q.test/a:1", Role::Image, &[]) },
                ReceiptImage { digest: signature, subject: Some(app), ..image(&of_app, "q.test/a", Role::Referrer, &[]) },
            ],
        )];
        // Whether the list names the signature or not.
        for items in [&["a:1"][..], &["a:1", of_app.as_str()]] {
            let deletion = listed(&registry, &receipts, items);
            assert!(deletion.images.iter().all(|i| i.manifests.is_empty()), "{deletion:?}");
            let done = delete(&deletion, &registry, 1, &Silent::new()).unwrap();
            assert!(registry.has_manifest("p/a", &signature).unwrap(), "{deletion:?}");
            assert!(without(&receipts, &deletion, &done)[0].images.contains(&receipts[0].images[1]));
        }
        // By itself it goes, as asked.
        delete(&listed(&registry, &receipts, &[&of_app]), &registry, 1, &Silent::new()).unwrap();
        assert!(!registry.has_manifest("p/a", &signature).unwrap() && registry.has_manifest("p/a", &app).unwrap());
    }
}

#[test]
fn signatures_of_members_go_and_stay_with_the_index() {
    for kept in [true, false] {
        let registry = Registry::new();
        let member = push(&registry, "p/a", "x", "member");
        let entry = serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": member, "size": 3});
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]}).to_string();
        let index = put_theirs(&registry, "1", media::OCI_INDEX, &index);
        registry.inner.lock().unwrap().tags.get_mut("p/a").unwrap().remove("x");
        let signed = format!("a:sha256-{}.sig", member.hex());
        let signature = attach(&registry, "p/a", &signed[2..], "sig", Some(member));
        if kept {
            registry.inner.lock().unwrap().tags.get_mut("p/a").unwrap().insert("theirs".into(), index);
        }
        let receipts = [receipt(
            1,
            vec![
                ReceiptImage { digest: index, ..image("a:1", "q.test/a:1", Role::Image, &[]) },
                ReceiptImage { digest: signature, subject: Some(member), ..image(&signed, "q.test/a", Role::Referrer, &[]) },
            ],
        )];
        // Without a referrers API the member has a list.
        let entry = serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": signature, "size": 3});
        let list = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry]}).to_string();
        let list = put_theirs(&registry, &format!("sha256-{}", member.hex()), media::OCI_INDEX, &list);
        let names = ["a:1", signed.as_str()];
        let deletion = listed(&registry, &receipts, if kept { &names } else { &names[..1] });
        delete(&deletion, &registry, 1, &Silent::new()).unwrap();
        let there = [index, member, signature, list].map(|digest| registry.has_manifest("p/a", &digest).unwrap());
        assert_eq!(there, [kept; 4], "{deletion:?}");
    }
}

/// A registry without the referrers API has a list of them under the tag `sha256-HEX`.
#[test]
fn whatever_refers_to_an_image_goes_with_it_and_so_does_the_list_of_it() {
    let registry = Registry::new();
    let app = push(&registry, "p/a", "1", "app");
    let mut images = vec![ReceiptImage { digest: app, ..image("a:1", "q.test/a:1", Role::Image, &[]) }];
    let mut subject = app;
    // A list of parts, and its own signature.
    for content in ["sbom", "its signature"] {
        let tag = crate::oci::keep_tag(&attach(&registry, "elsewhere", "x", content, Some(subject)));
        let digest = attach(&registry, "p/a", &tag, content, Some(subject));
        images.push(ReceiptImage { digest, subject: Some(subject), ..image(&format!("a:{tag}"), "q.test/a@x", Role::Referrer, &[]) });
        let member = serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 3});
        let list = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [member]}).to_string();
        put_theirs(&registry, &format!("sha256-{}", subject.hex()), media::OCI_INDEX, &list);
        subject = digest;
    }
    images.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
    let receipts = [receipt(1, images)];
    // What has the tag of a list and lists something else is somebody's image.
    let real = registry.tag_of("p/a", &format!("sha256-{}", app.hex())).unwrap();
    let other = push(&registry, "p/a", "other", "other");
    let member = serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": other, "size": 3});
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [member]}).to_string();
    put_theirs(&registry, &format!("sha256-{}", app.hex()), media::OCI_INDEX, &index);
    assert!(listed(&registry, &receipts, &["a:1"]).images.iter().all(|i| i.tag != Some(format!("sha256-{}", app.hex()))));
    let undo = |inner: &mut Inner| {
        let tags = inner.tags.get_mut("p/a").unwrap();
        tags.insert(format!("sha256-{}", app.hex()), real);
        tags.remove("other");
    };
    undo(&mut registry.inner.lock().unwrap());
    // While somebody's tag keeps the image, all of it stays.
    push(&registry, "p/a", "theirs", "app");
    let deletion = listed(&registry, &receipts, &["a:1"]);
    delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    assert_eq!(registry.tags("p/a").unwrap().len(), 6, "{deletion:?}");
    registry.inner.lock().unwrap().tags.get_mut("p/a").unwrap().remove("theirs");
    let deletion = listed(&registry, &receipts, &["a:1"]);
    assert_eq!(deletion.kept, []);
    let done = delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    assert_eq!(registry.tags("p/a").unwrap(), Vec::<String>::new(), "{deletion:?}");
    let left = without(&receipts, &deletion, &done);
    assert!(left[0].images.is_empty() && left[0].repositories.is_empty(), "{left:?}");
}

#[test]
fn what_is_gone_already_is_told_as_gone_and_leaves_the_receipts() {
    let registry = Registry::new();
    let first = push(&registry, "p/a", "1", "first");
    let receipts = [receipt(1, vec![ReceiptImage { digest: first, ..image("a:1", "q.test/a:1", Role::Image, &[]) }])];
    registry.delete_manifest("p/a", &first).unwrap();
    let deletion = listed(&registry, &receipts, &["a:1", "never/there:1"]);
    assert_eq!(deletion.unknown, ["docker://registry.test/p/never/there:1"]);
    let done = delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    assert_eq!((done.images.len(), done.manifests.len(), done.were_gone.as_slice()), (0, 0, ["p/a:1".to_owned()].as_slice()));
    let left = without(&receipts, &deletion, &done);
    assert!(left[0].images.is_empty() && left[0].repositories.is_empty(), "{left:?}");
}

#[test]
fn members_of_an_index_that_a_run_cut_off_deleted_go_with_the_next_run() {
    let registry = Registry::new();
    let (member, other) = (push(&registry, "p/a", "other", "member"), push(&registry, "p/a", "other", "other"));
    let index = digest("an index that is gone");
    let mut known = receipt(
        1,
        vec![
            ReceiptImage { digest: index, ..image("a:1", "q.test/a:1", Role::Image, &[]) },
            ReceiptImage { digest: other, ..image("a:other", "q.test/a:other", Role::Image, &[]) },
        ],
    );
    known.repositories.get_mut("a").unwrap().manifests.insert(member);
    let deletion = listed(&registry, &[known.clone()], &["a:1"]);
    let done = delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    assert!(!registry.has_manifest("p/a", &member).unwrap() && registry.has_manifest("p/a", &other).unwrap(), "{deletion:?}");
    let left = without(&[known], &deletion, &done);
    assert_eq!((left[0].images.len(), &left[0].repositories["a"].manifests), (1, &[other].into()));
}

/// An index with a member of another digest algorithm is carried by others, and refused here.
#[test]
fn what_an_index_that_cannot_be_read_may_need_is_not_deleted() {
    let registry = Registry::new();
    let member = push(&registry, "p/a", "1", "member");
    let descriptor = |digest: &str| serde_json::json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": 3});
    let members = [descriptor(&member.to_string()), descriptor(&format!("sha512:{}", "0".repeat(128)))];
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members}).to_string();
    let theirs = Digest::sha256(index.as_bytes());
    let put = |inner: &mut Inner| {
        inner.manifests.get_mut("p/a").unwrap().insert(theirs, (media::OCI_INDEX.into(), index.into_bytes()));
        inner.tags.get_mut("p/a").unwrap().insert("theirs".into(), theirs);
    };
    put(&mut registry.inner.lock().unwrap());
    let receipts = [receipt(1, vec![ReceiptImage { digest: member, ..image("a:1", "q.test/a:1", Role::Image, &[]) }])];
    let deletion = listed(&registry, &receipts, &["a:1"]);
    assert_eq!(deletion.kept, [Kept { name: "p/a:1".into(), stay: Stay::NeededBy(format!("p/a@{theirs}")) }]);
    delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    assert!(registry.has_manifest("p/a", &member).unwrap());
    // It can be deleted itself, and the image with it.
    let both = listed(&registry, &receipts, &["a:1", "a:theirs"]);
    delete(&both, &registry, 1, &Silent::new()).unwrap();
    assert!(!registry.has_manifest("p/a", &member).unwrap(), "{both:?}");
}

/// Puts a document under a tag that only a registry of somebody else would take.
fn put_theirs(registry: &Registry, tag: &str, kind: &str, document: &str) -> Digest {
    let digest = Digest::sha256(document.as_bytes());
    let mut inner = registry.inner.lock().unwrap();
    inner.manifests.get_mut("p/a").unwrap().insert(digest, (kind.into(), document.as_bytes().to_vec()));
    inner.tags.get_mut("p/a").unwrap().insert(tag.into(), digest);
    digest
}

#[test]
fn what_lies_deeper_than_is_looked_or_below_an_index_with_two_lists_is_not_deleted() {
    let index = |children: &[&Digest]| {
        let child = |digest: &&Digest| serde_json::json!({"mediaType": media::OCI_INDEX, "digest": digest, "size": 3});
        let children: Vec<_> = children.iter().map(child).collect();
        serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children}).to_string()
    };
    for twice in [true, false] {
        let registry = Registry::new();
        let member = push(&registry, "p/a", "1", "member");
        if twice {
            let one = index(&[&member]);
            let two = one.replacen("\"manifests\":", "\"manifests\":[],\"manifests\":", 1);
            put_theirs(&registry, "theirs", media::OCI_INDEX, &two);
        } else {
            let mut below = member;
            for n in 0..crate::limits::INDEX_DEPTH + 2 {
                below = put_theirs(&registry, &format!("t{n}"), media::OCI_INDEX, &index(&[&below]));
            }
            let mut inner = registry.inner.lock().unwrap();
            inner.tags.get_mut("p/a").unwrap().retain(|tag, digest| tag == "1" || *digest == below);
        }
        let receipts = [receipt(1, vec![ReceiptImage { digest: member, ..image("a:1", "q.test/a:1", Role::Image, &[]) }])];
        let deletion = listed(&registry, &receipts, &["a:1"]);
        assert!(matches!(&deletion.kept[..], [Kept { stay: Stay::NeededBy(_), .. }]), "{twice}: {deletion:?}");
        delete(&deletion, &registry, 1, &Silent::new()).unwrap();
        assert!(registry.has_manifest("p/a", &member).unwrap(), "{twice}");
    }
}

#[test]
fn a_list_may_have_the_host_in_other_letters_but_no_other_host_or_prefix() {
    let registry = Registry::new();
    let app = push(&registry, "p/a", "1", "app");
    let of = |name: &str| {
        let item = DeleteItem { image_name: String::new(), image_reference: name.to_owned(), kind: String::new(), digest: None };
        plan(&DeleteList::new(vec![item]), &[], &registry, "p", 0, 2, &Silent::new())
    };
    assert_eq!(of("docker://Registry.TEST/p/a:1").unwrap().images[0].digest, app);
    for other in [
        "docker://registry.test/P/a:1",
        "docker://registry.tes/p/a:1",
        "registry.test.x/p/a:1",
        "registry.test/pa:1",
        "r\u{e9}gistry.te/p/a:1",
    ] {
        assert!(matches!(of(other), Err(InventoryError::Elsewhere { .. })), "{other}");
    }
}

#[test]
fn a_list_of_oc_mirror_finds_what_is_called_by_its_digest() {
    let registry = Registry::new();
    let hex = push(&registry, "elsewhere", "x", "app").hex();
    let tag = format!("keep.sha256-{hex}");
    let app = push(&registry, "p/a", &tag, "app");
    let receipts = [receipt(1, vec![ReceiptImage { digest: app, ..image(&format!("a:{tag}"), "q.test/a@x", Role::Related, &[]) }])];
    let deletion = listed(&registry, &receipts, &[&format!("a:sha256-{hex}")]);
    delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    assert!(deletion.unknown.is_empty() && !registry.has_manifest("p/a", &app).unwrap(), "{deletion:?}");
}

#[test]
fn a_tag_that_was_moved_keeps_what_it_names_now() {
    let registry = Registry::new();
    let first = push(&registry, "p/a", "1", "first");
    let receipts = [receipt(1, vec![ReceiptImage { digest: first, ..image("a:1", "q.test/a:1", Role::Image, &[]) }])];
    let second = push(&registry, "p/a", "1", "second");
    let deletion = listed(&registry, &receipts, &["a:1"]);
    assert_eq!(deletion.kept, [Kept { name: "p/a:1".into(), stay: Stay::TagMoved(second) }]);
    let done = delete(&deletion, &registry, 1, &Silent::new()).unwrap();
    let left = without(&receipts, &deletion, &done);
    assert_eq!(registry.tag_of("p/a", "1"), Some(second));
    assert!(!registry.has_manifest("p/a", &first).unwrap() && left[0].images.is_empty());
}

#[test]
fn receipts_come_back_from_a_registry_as_they_were() {
    let registry = Registry::new();
    let mine = operators();
    publish(&registry, "p", &mine).unwrap();
    assert_eq!(fetch(&registry, "p", 0).unwrap(), [Receipt::parse(&mine.to_bytes().unwrap()).unwrap()]);
    // What is left of it replaces it; nothing left removes it.
    let only = |n: usize| move |receipt: &Receipt| Some(Receipt { images: receipt.images[..n].to_vec(), ..receipt.clone() });
    revise(&registry, "p", 0, &only(1)).unwrap();
    assert_eq!(fetch(&registry, "p", 0).unwrap().iter().map(|r| r.images.len()).collect::<Vec<_>>(), [1]);
    revise(&registry, "p", 0, &|_| None).unwrap();
    assert_eq!(fetch(&registry, "p", 0).unwrap().len(), 1);
    revise(&registry, "p", 0, &only(0)).unwrap();
    assert_eq!(fetch(&registry, "p", 0).unwrap(), []);
}

/// One set, of which each host has brought an image.
fn brought(names: &[&str]) -> Receipt {
    receipt(1, names.iter().map(|name| image(name, name, Role::Image, &[])).collect())
}

fn told(registry: &Registry) -> Vec<String> {
    let receipts = fetch(registry, "p", 0).unwrap();
    let mut told: Vec<String> = receipts.iter().flat_map(|r| &r.images).map(|i| format!("{}:{}", i.repository, i.tag)).collect();
    told.sort();
    told.dedup();
    told
}

#[test]
fn receipts_of_one_set_become_one_and_nothing_is_written_twice() {
    let registry = Registry::new();
    for names in [&["a:1"], &["b:1"]] {
        publish(&registry, "p", &brought(names)).unwrap();
    }
    assert_eq!((told(&registry), fetch(&registry, "p", 0).unwrap().len()), (vec!["a:1".to_owned(), "b:1".to_owned()], 1));
    registry.pushes();
    publish(&registry, "p", &Receipt { written: "2026-02-01T00:00:00Z".into(), ..brought(&["b:1", "a:1"]) }).unwrap();
    assert_eq!(registry.pushes(), 0);
}

/// Registries have no "replace only if": the other host's whole publication falls between any two requests of this one.
#[test]
fn receipts_that_two_hosts_publish_at_once_are_both_told() {
    for (deletes, immutable) in [(true, false), (false, false), (true, true)] {
        let mut met = 0;
        for before in 0.. {
            let registry = Registry { deletes, immutable, ..Registry::new() };
            publish(&registry, "p", &brought(&["first:1"])).unwrap();
            registry.operations.store(0, std::sync::atomic::Ordering::SeqCst);
            let other = |registry: &Registry| publish(registry, "p", &brought(&["b:1"])).unwrap();
            *registry.meanwhile.lock().unwrap() = Some((before, Box::new(other)));
            publish(&registry, "p", &brought(&["a:1"])).unwrap();
            if registry.meanwhile.lock().unwrap().is_some() {
                break;
            }
            met += 1;
            assert_eq!(told(&registry), ["a:1", "b:1", "first:1"], "before request {before}");
        }
        assert!(met > 5, "{met}");
    }
}

/// What is replaced while it is read is read in its new form: a deletion must not take it for needed by nobody.
#[test]
fn receipts_that_are_replaced_while_they_are_read_are_told() {
    for before in 0.. {
        let registry = Registry::new();
        publish(&registry, "p", &brought(&["a:1"])).unwrap();
        registry.operations.store(0, std::sync::atomic::Ordering::SeqCst);
        let other = |registry: &Registry| publish(registry, "p", &brought(&["b:1"])).unwrap();
        *registry.meanwhile.lock().unwrap() = Some((before, Box::new(other)));
        let told = told(&registry);
        if registry.meanwhile.lock().unwrap().is_some() {
            return;
        }
        assert!(told.contains(&"a:1".to_owned()), "before request {before}: {told:?}");
    }
}

/// An image is deleted while another host publishes: its receipt is not written over.
#[test]
fn a_receipt_published_during_a_deletion_stays() {
    for before in 0.. {
        let registry = Registry::new();
        publish(&registry, "p", &brought(&["a:1", "gone:1"])).unwrap();
        registry.operations.store(0, std::sync::atomic::Ordering::SeqCst);
        let other = |registry: &Registry| publish(registry, "p", &brought(&["b:1"])).unwrap();
        *registry.meanwhile.lock().unwrap() = Some((before, Box::new(other)));
        let left = |receipt: &Receipt| {
            let images = receipt.images.iter().filter(|i| i.repository != "gone").cloned().collect();
            Some(Receipt { images, ..receipt.clone() }).filter(|left| left != receipt)
        };
        revise(&registry, "p", 0, &left).unwrap();
        if registry.meanwhile.lock().unwrap().is_some() {
            return;
        }
        let told = told(&registry);
        assert!(["a:1", "b:1"].iter().all(|name| told.iter().any(|t| t == name)), "before request {before}: {told:?}");
    }
}

/// Whoever signs or scans whatever is in a registry leaves artifacts beside the receipts.
#[test]
fn what_lies_beside_receipts_is_none_of_them_and_what_is_called_like_one_must_be_one() {
    let registry = Registry::new();
    publish(&registry, "p", &brought(&["a:1"])).unwrap();
    let hex = digest("x").hex();
    for tag in ["latest", &format!("sha256-{hex}.sig"), &format!("sha256-{hex}"), "s-0123456789abcdef-0123"] {
        push(&registry, "p/sealift/receipts", tag, "x");
    }
    assert_eq!(told(&registry), ["a:1"]);
    for tag in ["s-0123456789abcdef", "s-0123456789abcdef-0123456789abcdef"] {
        push(&registry, "p/sealift/receipts", tag, "x");
        let refused = fetch(&registry, "p", 0).unwrap_err();
        let name = format!("registry.test/p/sealift/receipts:{tag}");
        assert!(matches!(&refused, InventoryError::Published { name: told, .. } if *told == name), "{refused}");
        // It keeps nobody from publishing, nor the others from being changed.
        publish(&registry, "p", &brought(&[&format!("{tag}:1")])).unwrap();
        let left = |receipt: &Receipt| Some(Receipt { images: vec![], ..receipt.clone() });
        assert!(revise(&registry, "p", 0, &left).is_err());
        registry.inner.lock().unwrap().tags.get_mut("p/sealift/receipts").unwrap().remove(tag);
        assert_eq!(fetch(&registry, "p", 0).unwrap(), []);
    }
}

/// Some registries go on listing the tag of a manifest that was deleted.
#[test]
fn names_that_stay_behind_stand_in_nobodys_way() {
    let registry = Registry::new();
    publish(&registry, "p", &brought(&["a:1"])).unwrap();
    let gone = "s-0123456789abcdef-0123456789abcdef".to_owned();
    registry.inner.lock().unwrap().tags.get_mut("p/sealift/receipts").unwrap().insert(gone, digest("gone"));
    assert_eq!(told(&registry), ["a:1"]);
    publish(&registry, "p", &brought(&["b:1"])).unwrap();
    assert_eq!(told(&registry), ["a:1", "b:1"]);
    revise(&registry, "p", 0, &|receipt| Some(Receipt { images: vec![], ..receipt.clone() })).unwrap();
    assert_eq!(told(&registry), Vec::<String>::new());
}

/// Receipts were once put under the name of their set alone.
#[test]
fn a_receipt_under_the_name_of_its_set_is_read_and_taken_up() {
    let registry = Registry::new();
    publish(&registry, "p", &brought(&["a:1"])).unwrap();
    {
        let inner = &mut *registry.inner.lock().unwrap();
        let tags = inner.tags.get_mut("p/sealift/receipts").unwrap();
        let (tag, digest) = tags.pop_first().unwrap();
        tags.insert(tag.rsplit_once('-').unwrap().0.to_owned(), digest);
    }
    assert_eq!(told(&registry), ["a:1"]);
    publish(&registry, "p", &brought(&["b:1"])).unwrap();
    assert_eq!((told(&registry).len(), fetch(&registry, "p", 0).unwrap().len()), (2, 1));
}

#[test]
fn receipts_in_a_registry_are_changed_as_they_are_there_and_what_cannot_be_read_stays() {
    let registry = Registry::new();
    let (mine, other) = (operators(), receipt(2, vec![image("x:1", "q.test/x", Role::Image, &[])]));
    publish(&registry, "p", &mine).unwrap();
    publish(&registry, "p", &other).unwrap();
    let foreign = "line-0123456789abcdef";
    push(&registry, "p/sealift/receipts", foreign, "somebody's");
    let without = |gone: &'static str| {
        move |receipt: &Receipt| {
            let mut left = receipt.clone();
            left.images.retain(|i| i.repository != gone);
            Some(left).filter(|left| left != receipt)
        }
    };
    let trouble = revise(&registry, "p", 0, &without("x")).unwrap_err();
    assert!(matches!(&trouble, InventoryError::Published { name, .. } if name.ends_with(foreign)), "{trouble:?}");
    assert_eq!(registry.tags("p/sealift/receipts").unwrap().len(), 2, "the foreign one, and that of the other set");
    let digest = registry.tag_of("p/sealift/receipts", foreign).unwrap();
    registry.delete_manifest("p/sealift/receipts", &digest).unwrap();
    revise(&registry, "p", 0, &without("o/proxy")).unwrap();
    assert_eq!(fetch(&registry, "p", 0).unwrap()[0].images.len(), mine.images.len() - 1);
}

/// Each run leaves a receipt behind that has all of those before it in it: one is enough to know.
#[test]
fn where_nothing_is_removed_the_receipts_that_a_newer_one_has_in_it_are_not_kept_in_memory() {
    let registry = Registry { deletes: false, ..Registry::new() };
    for run in 1..=5 {
        let written = format!("2026-01-0{run}T00:00:00Z");
        // As of `mirror`, whose sequence is the time.
        publish(&registry, "p", &Receipt { written, sequence: run, ..brought(&[&format!("image{run}:1")]) }).unwrap();
    }
    assert_eq!(registry.tags("p/sealift/receipts").unwrap().len(), 5, "nothing was removed");
    let fetched = fetch(&registry, "p", 0).unwrap();
    assert_eq!(fetched.iter().map(|receipt| receipt.images.len()).collect::<Vec<_>>(), [5]);
    // What only the older one says stays.
    let moved = Receipt { written: "2026-01-06T00:00:00Z".into(), ..brought(&["image1:1"]) };
    let other = Receipt { images: vec![ReceiptImage { digest: digest("moved"), ..moved.images[0].clone() }], ..moved };
    publish(&registry, "p", &other).unwrap();
    let fetched = fetch(&registry, "p", 0).unwrap();
    assert_eq!(fetched.len(), 2, "the tag named something else before");
    assert_eq!(fetched[1].images.iter().find(|image| image.repository == "image1").map(|image| image.digest), Some(digest("moved")));
}

#[test]
fn too_many_receipts_in_a_registry_are_refused_and_not_cut_off() {
    let registry = Registry::new();
    for n in 0..=crate::limits::RECEIPTS {
        push(&registry, "p/sealift/receipts", &format!("s-{n:016}"), "x");
    }
    let refused = fetch(&registry, "p", 0).unwrap_err();
    assert!(matches!(&refused, InventoryError::Published { why, .. } if why.contains("4096")), "{refused}");
}

#[test]
fn receipts_that_would_fill_memory_together_are_refused_before_one_is_read() {
    let registry = Registry::new();
    for n in 0..=crate::limits::RECEIPTS_BYTES / crate::limits::RECEIPT_BYTES {
        let blob = |kind: &str| crate::oci::Descriptor::new(kind, digest(&n.to_string()), crate::limits::RECEIPT_BYTES);
        let receipt = blob("application/vnd.sealift.receipt.v1+json");
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob("x"), "layers": [receipt]});
        let manifest = manifest.to_string().into_bytes();
        let name = Digest::sha256(&manifest);
        let mut inner = registry.inner.lock().unwrap();
        inner.manifests.entry("p/sealift/receipts".into()).or_default().insert(name, (media::OCI_MANIFEST.into(), manifest));
        inner.tags.entry("p/sealift/receipts".into()).or_default().insert(format!("s-{n:016}"), name);
    }
    let refused = fetch(&registry, "p", 0).unwrap_err();
    assert!(matches!(&refused, InventoryError::Published { why, .. } if why.contains("the most that are read")), "{refused}");
}
