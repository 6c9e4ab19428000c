//! Deleting from a real registry: what was listed goes, what anything else needs stays.

use crate::support::fleet::{Fleet, Stock};
use crate::support::run::{Ran, User};
use crate::support::servers::{DockerRegistry, Options};
use sealift::digest::Digest;
use sealift::registry::{Client, ManifestRef, Options as Access, Repository};
use std::fs;

fn repository(host: &str, name: &str) -> Repository {
    Client::new(Access { verify_tls: false, ..Access::default() }).unwrap().repository(host, name)
}

fn tag(host: &str, stock: &Stock, name: &str, at: usize, tag: &str) {
    let doc = &stock.docs[at];
    repository(host, name).put_manifest(&doc.bytes, doc.media_type, &ManifestRef::Tag(tag.into())).unwrap();
}

fn there(host: &str, name: &str, digest: Digest) -> bool {
    repository(host, name).head_manifest(&ManifestRef::Digest(digest)).unwrap().is_some()
}

struct Scene {
    fleet: Fleet,
    registry: DockerRegistry,
    user: User,
    to: String,
}

impl Scene {
    /// A registry with the fleet in it, and `team/multi:amd`, which is a member of `team/multi:2`.
    fn new(delete: bool) -> Option<Scene> {
        let (fleet, user) = (Fleet::start()?, User::new());
        let registry = DockerRegistry::start(Options { delete, ..Options::default() })?;
        tag(&fleet.host(), &fleet.stocks[1], "team/multi", 0, "amd");
        let to = format!("{}/d", registry.host());
        let words = format!("{} {}/team/multi:amd", fleet.words(), fleet.host());
        user.run(&format!("mirror {words} --to {to} --src-tls-verify=false --dest-tls-verify=false")).expect(0);
        Some(Scene { fleet, registry, user, to })
    }

    fn config(&self, user: &User, names: &[&str]) {
        let images: String = names.iter().map(|name| format!("  - name: {}/{name}\n", self.fleet.host())).collect();
        let head = "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\ndelete:\n  additionalImages:\n";
        fs::write(user.at("disc.yaml"), format!("{head}{images}")).unwrap();
    }

    fn delete(&self, user: &User, more: &str) -> Ran {
        user.run(&format!("delete {more} --to {} --dest-tls-verify=false", self.to))
    }

    fn there(&self, stock: usize, doc: usize) -> bool {
        let stock = &self.fleet.stocks[stock];
        there(&self.registry.host(), &format!("d/{}", stock.name), stock.docs[doc].digest())
    }
}

#[test]
fn what_another_image_or_tag_needs_stays_and_the_receipts_say_what_is_left() {
    let Some(scene) = Scene::new(true) else { return };
    let user = &scene.user;
    scene.config(user, &["team/multi:2", "team/app:1.0", "team/app:1.1", "odd/things:nested"]);
    scene.delete(user, "--generate -c disc.yaml -o list.yaml").expect(0);
    let list = fs::read_to_string(user.at("list.yaml")).unwrap();
    assert!(list.contains("kind: DeleteImageList") && list.contains(&format!("docker://{}/team/multi:2", scene.to)), "{list}");
    assert!(scene.there(1, 2), "a list deletes nothing");
    // Somebody tagged 1.1 by hand: no receipt knows.
    tag(&scene.registry.host(), &scene.fleet.stocks[0], "d/team/app", 1, "mine");

    let dry = scene.delete(user, "list.yaml --dry-run").expect(0);
    assert!(dry.out.contains("to delete:") && scene.there(1, 2), "{}", dry.out);
    let ran = scene.delete(user, "list.yaml").expect(0);
    assert!(ran.out.contains("team/multi:amd needs it") && ran.out.contains("team/app:mine needs it"), "{}", ran.out);
    assert!(ran.out.contains("collects garbage"), "{}", ran.out);
    // multi: the index and its arm64 member go, the tagged amd64 member stays.
    assert_eq!([scene.there(1, 0), scene.there(1, 1), scene.there(1, 2)], [true, false, false]);
    assert_eq!([scene.there(0, 0), scene.there(0, 1)], [false, true]);
    let nested = scene.fleet.stocks[3].docs.len();
    assert!(
        !scene.there(3, nested - 1) && !scene.there(3, nested - 2) && !scene.there(3, nested - 3),
        "all levels of the nested index are gone"
    );

    user.run(&format!("check --to {} --blobs --dest-tls-verify=false", scene.to)).expect(0);
    user.run(&format!("where {}/team/multi:2 --to {}", scene.fleet.host(), scene.to)).expect(28);
    // Everything that stays survives the collection of garbage.
    scene.registry.collect_garbage();
    user.run(&format!("check --to {} --blobs --dest-tls-verify=false", scene.to)).expect(0);
    // Again: nothing is left to do, and nothing fails or is told as done.
    let again = scene.delete(user, "list.yaml").expect(0);
    assert!(!again.out.contains("\ndeleted: ") && again.out.contains("0 images deleted, 0 manifests"), "{}", again.out);
}

#[test]
fn what_another_host_has_brought_counts_beside_the_receipts_of_this_one() {
    let Some(scene) = Scene::new(true) else { return };
    let other = User::new();
    let app = format!("{}/team/app:1.0", scene.fleet.host());
    other.run(&format!("mirror {app} --to {} --src-tls-verify=false --dest-tls-verify=false", scene.to)).expect(0);
    scene.config(&other, &["legacy/web:list"]);
    scene.delete(&other, "--generate -c disc.yaml").expect(0);
    let list = fs::read_to_string(other.at("delete-images.yaml")).unwrap();
    assert!(list.contains("legacy/web:list"), "{list}");
    scene.delete(&other, "delete-images.yaml").expect(0);
    let third = User::new();
    third.run(&format!("where team/multi:2 --to {} --dest-tls-verify=false", scene.to)).expect(0);
    third.run(&format!("where legacy/web:list --to {} --dest-tls-verify=false", scene.to)).expect(28);
}

#[test]
fn a_target_without_receipts_is_told_those_that_have_some() {
    let Some(scene) = Scene::new(true) else { return };
    let wrong = format!("{}/typo", scene.registry.host());
    scene.config(&scene.user, &["team/app:1.0"]);
    for words in [
        format!("delete --generate -c disc.yaml --to {wrong} --dest-tls-verify=false"),
        format!("check --to {wrong} --dest-tls-verify=false"),
        format!("resources --to {wrong}"),
    ] {
        scene.user.run(&words).refused(2, "FILE_MISSING", &[&wrong, &scene.to]);
    }
}

#[test]
fn any_host_can_delete_by_the_receipts_in_the_registry() {
    let Some(scene) = Scene::new(true) else { return };
    let other = User::new();
    scene.config(&other, &["legacy/web:list", "no/such:1"]);
    let ran = scene.delete(&other, "--generate -c disc.yaml").refused(3, "PARTIAL", &["no/such:1"]);
    assert!(ran.err.contains("as trustworthy as the registry"), "{}", ran.err);
    // As oc-mirror calls it, and without our digests.
    let list = fs::read_to_string(other.at("delete-images.yaml")).unwrap();
    let theirs: String = list.lines().filter(|line| !line.contains("digest:")).map(|line| format!("{line}\n")).collect();
    fs::write(other.at("theirs.yaml"), theirs).unwrap();
    scene.delete(&other, "--delete-yaml-file theirs.yaml").expect(0);
    assert_eq!([1, 2, 3].map(|doc| scene.there(2, doc)), [false; 3]);
    assert!(scene.there(2, 0));
    // The receipt in the registry was written anew.
    let third = User::new();
    let found = third.run(&format!("where legacy/web --to {} --dest-tls-verify=false --json", scene.to)).expect(0).json();
    assert_eq!(found["places"].as_array().unwrap().len(), 1, "{found}");
    // A list of another registry is refused.
    third.run("delete --help").expect(0);
    fs::write(third.at("list.yaml"), list.replace(&scene.to, "elsewhere.test/d")).unwrap();
    scene.delete(&third, "list.yaml").refused(2, "USAGE", &["elsewhere.test"]);
}

#[test]
fn any_host_makes_resources_by_the_receipts_in_the_registry_under_whatever_name_it_has() {
    let Some(scene) = Scene::new(true) else { return };
    let line = |to: &str, more: &str| format!("resources {more}--to {to} --only idms,itms --dest-tls-verify=false");
    let own = scene.user.run(&line(&scene.to, "")).expect(0);
    assert!(own.out.contains("kind: ImageTagMirrorSet") && own.out.contains("/d/team"), "{}", own.out);
    let other = User::new();
    let ran = other.run(&line(&scene.to, "")).expect(0);
    assert_eq!(ran.out, own.out);
    assert!(ran.err.contains("as trustworthy as the registry"), "{}", ran.err);
    let alias = scene.to.replace("127.0.0.1", "localhost");
    let ran = other.run(&line(&alias, "")).expect(0);
    // Whether YAML wants quotes depends on the name.
    let plain = |text: &str| text.replace('"', "").replace(&alias, &scene.to);
    assert_eq!(plain(&ran.out), plain(&own.out));
    assert!(ran.err.contains(&format!("name it {}", scene.to)), "{}", ran.err);
    // A host that has brought a part knows of that part, unless it is told to ask.
    let app = format!("{}/team/app:1.0", scene.fleet.host());
    other.run(&format!("mirror {app} --to {alias} --src-tls-verify=false --dest-tls-verify=false")).expect(0);
    let part = other.run(&line(&alias, "")).expect(0);
    assert!(part.out.contains("/d/team") && !part.out.contains("/d/legacy") && own.out.contains("/d/legacy"), "{}", part.out);
    let all = other.run(&line(&alias, "--from-registry ")).expect(0);
    assert_eq!(plain(&all.out), plain(&own.out));
    // What was brought under the other name counts when something is deleted.
    scene.config(&other, &["legacy/web:list"]);
    other.run(&format!("delete --generate -c disc.yaml --to {alias} --dest-tls-verify=false")).expect(0);
    assert!(fs::read_to_string(other.at("delete-images.yaml")).unwrap().contains(&format!("{alias}/legacy/web:list")));
}

#[test]
fn a_registry_that_deletes_nothing_says_which_setting_to_change() {
    let Some(scene) = Scene::new(false) else { return };
    scene.config(&scene.user, &["team/app:1.0"]);
    scene.delete(&scene.user, "--generate -c disc.yaml -o list.yaml").expect(0);
    scene.delete(&scene.user, "list.yaml").refused(22, "PUSH_REFUSED", &["storage.delete.enabled"]);
    assert!(scene.there(0, 0));
    scene.user.run(&format!("check --to {} --dest-tls-verify=false", scene.to)).expect(0);
}

#[test]
fn a_receipt_in_the_registry_that_is_none_is_refused() {
    let Some(scene) = Scene::new(true) else { return };
    tag(&scene.registry.host(), &scene.fleet.stocks[0], "d/team/app", 0, "x");
    let forged = repository(&scene.registry.host(), "d/sealift/receipts");
    let tags = forged.tags().unwrap();
    assert!(tags.len() == 1 && tags[0].starts_with("mirror-"), "{tags:?}");
    let mut kept = forged.manifest(&ManifestRef::Tag(tags[0].clone())).unwrap();
    // Not under the digest of the true one, with which it would go.
    kept.bytes.push(b'\n');
    forged.put_manifest(&kept.bytes, kept.content_type.as_deref().unwrap(), &ManifestRef::Tag("other-0000000000000000".into())).unwrap();
    let other = User::new();
    other.run(&format!("check --to {} --dest-tls-verify=false", scene.to)).refused(2, "BAD_DOCUMENT", &["other-0000000000000000"]);
    // Nothing is deleted by halves of the truth; what the message says works without a network, and leaves the other receipt right.
    scene.config(&scene.user, &["legacy/web:list"]);
    let removal = format!("skopeo delete docker://{}/sealift/receipts:other-0000000000000000", scene.to);
    let generate = "delete --generate -c disc.yaml -o list.yaml";
    let ran = scene.delete(&scene.user, &generate[7..]).refused(2, "BAD_DOCUMENT", &["--receipts", &removal]);
    let folder = ran.err.split("keeps its own in ").nth(1).and_then(|rest| rest.split(')').next()).expect("a folder").to_owned();
    scene.delete(&scene.user, &format!("{} --receipts {folder}", &generate[7..])).expect(0);
    let ran = scene.delete(&scene.user, &format!("list.yaml --receipts {folder}")).expect(0);
    assert!(ran.err.contains("other-0000000000000000") && !scene.there(2, 1), "{}", ran.err);
    forged
        .delete_manifest(&ManifestRef::Digest(
            forged.head_manifest(&ManifestRef::Tag("other-0000000000000000".into())).unwrap().unwrap().digest,
        ))
        .unwrap();
    other.run(&format!("where legacy/web:list --to {} --dest-tls-verify=false", scene.to)).expect(28);
    other.run(&format!("where team/app:1.1 --to {} --dest-tls-verify=false", scene.to)).expect(0);
}

#[test]
fn receipts_that_are_given_do_not_replace_what_the_registry_knows() {
    let Some(scene) = Scene::new(true) else { return };
    let (user, host) = (&scene.user, scene.fleet.host());
    let words = format!("{} {host}/team/multi:amd", scene.fleet.words());
    user.run(&format!("mirror {words} --to {} --receipt whole.json --src-tls-verify=false --dest-tls-verify=false", scene.to)).expect(0);
    // One host's part of a set that several have brought.
    let mut part: serde_json::Value = serde_json::from_slice(&fs::read(user.at("whole.json")).unwrap()).unwrap();
    part["images"].as_array_mut().unwrap().retain(|image| image["repository"] == "team/app");
    fs::write(user.at("part.json"), part.to_string()).unwrap();
    scene.config(user, &["team/app:1.0"]);
    scene.delete(user, "--generate -c disc.yaml -o list.yaml --receipts part.json").expect(0);
    scene.delete(user, "list.yaml --receipts part.json").expect(0);
    let other = User::new();
    for (name, code) in [("legacy/web:list", 0), ("team/app:1.1", 0), ("team/app:1.0", 28)] {
        other.run(&format!("where {name} --to {} --dest-tls-verify=false", scene.to)).expect(code);
    }
}
