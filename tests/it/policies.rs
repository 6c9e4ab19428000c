//! Signature policies with keys and signatures made by openssl: where images are pulled, and inside from the set alone.

use crate::support::attached::{OpenSsl, Shelf, payload};
use crate::support::fleet::layout;
use crate::support::lying::{Guard, Lying};
use crate::support::run::{Ran, User};
use crate::support::skip;
use sealift::digest::Digest;
use serde_json::{Value, json};
use std::fs;

/// A user with keys `one` and `two`, and a registry with an image.
struct World {
    user: User,
    source: Lying,
    shelf: Shelf,
    image: Digest,
}

impl World {
    fn new() -> Option<World> {
        if std::process::Command::new("openssl").arg("version").output().is_err() {
            skip("no openssl");
            return None;
        }
        let (user, source) = (User::with_key(), Lying::start(Guard::Open));
        let shelf = Shelf::new(&source.host(), "team/app");
        let (image, _) = shelf.image("1", false);
        let world = World { user, source, shelf, image };
        for key in ["one", "two"] {
            world.openssl(|openssl| openssl.key(key));
        }
        Some(world)
    }

    fn openssl<T>(&self, with: impl FnOnce(&OpenSsl<'_>) -> T) -> T {
        with(&OpenSsl { folder: &self.user.work() })
    }

    fn name(&self) -> String {
        format!("{}/team/app", self.source.host())
    }

    /// A signature as cosign makes it: by `key`, over what `says`, and what travels in its place.
    fn sign(&self, subject: &Digest, key: &str, says: &[u8], travels: &[u8]) {
        let signature = self.openssl(|openssl| openssl.sign(key, says));
        self.shelf.cosign(subject, "sig", travels, &signature);
    }

    fn sign_well(&self, subject: &Digest) {
        let says = payload(&self.name(), subject);
        self.sign(subject, "one", &says, &says);
    }

    /// A policy that wants a signature by key `one` from this registry, and accepts nothing else.
    fn policy(&self, identity: Value) {
        let key = self.user.at("one.pub");
        let signed = json!({"type": "sigstoreSigned", "keyPath": key, "signedIdentity": identity});
        let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {self.source.host(): [signed]}}});
        fs::write(self.user.at("policy.json"), policy.to_string()).unwrap();
    }

    fn pack(&self, more: &str) -> Ran {
        let line = format!("pack {}:1 --key site --src-tls-verify=false {more} OUT", self.name());
        self.user.run(&line.replace("  ", " "))
    }

    /// Refused where it is pulled, before any layer was fetched.
    #[track_caller]
    fn refused(&self, why: &str) {
        self.pack("--policy policy.json").refused(19, "POLICY_REFUSED", &["team/app:1", why]);
        assert!(!self.user.at("OUT").join("README.txt").exists());
        // And inside, should it have been packed without.
        self.pack("").expect(0);
        self.user.run("verify OUT").expect(0);
        self.user.run("verify OUT --policy policy.json").refused(19, "POLICY_REFUSED", &["team/app:1", why]);
    }
}

fn by_repository() -> Value {
    json!({"type": "matchRepository"})
}

#[test]
fn a_good_signature_lets_the_image_through_on_both_sides() {
    let Some(world) = World::new() else { return };
    world.sign_well(&world.image);
    world.policy(by_repository());
    world.user.run(&format!("plan {}:1 --policy policy.json --src-tls-verify=false", world.name())).expect(0);
    world.pack("--policy policy.json --referrers application/none").expect(0);
    drop(world.source);
    let verified = world.user.run("verify OUT --policy policy.json --json").expect(0).json();
    assert_eq!(verified["sets"][0]["policy"], json!({"accepted": 1, "refused": 0, "made": 0}));
    let told = world.user.run("verify OUT --policy policy.json").expect(0);
    assert!(told.out.contains("signature policy: 1 of 1 image accepted"), "{}", told.out);
}

#[test]
fn a_missing_signature_refuses() {
    let Some(world) = World::new() else { return };
    world.policy(by_repository());
    world.refused("there is none");
}

#[test]
fn a_signature_by_another_key_refuses() {
    let Some(world) = World::new() else { return };
    let says = payload(&world.name(), &world.image);
    world.sign(&world.image, "two", &says, &says);
    world.policy(by_repository());
    world.refused("none of the keys");
}

#[test]
fn a_signature_of_another_image_refuses() {
    let Some(world) = World::new() else { return };
    let says = payload(&world.name(), &Digest::sha256(b"another"));
    world.sign(&world.image, "one", &says, &says);
    world.policy(by_repository());
    world.refused("another image");
}

#[test]
fn a_changed_payload_refuses() {
    let Some(world) = World::new() else { return };
    let (says, travels) = (payload("quay.io/other/app", &world.image), payload(&world.name(), &world.image));
    world.sign(&world.image, "one", &says, &travels);
    world.policy(by_repository());
    world.refused("payload was changed");
}

#[test]
fn a_signature_for_another_name_refuses_unless_it_is_remapped() {
    let Some(world) = World::new() else { return };
    let says = payload("quay.io/team/app:1", &world.image);
    world.sign(&world.image, "one", &says, &says);
    world.policy(by_repository());
    world.refused("quay.io/team/app:1");
    world.policy(json!({"type": "remapIdentity", "prefix": world.source.host(), "signedPrefix": "quay.io"}));
    world.user.run("verify OUT --policy policy.json").expect(0);
    world.pack("--policy policy.json").expect(0);
}

/// Two images, one of them signed: with --keep-going the other is left out, and what refers to it.
#[test]
fn what_is_accepted_can_be_packed_without_the_rest() {
    let Some(world) = World::new() else { return };
    let (index, members) = world.shelf.image("2", true);
    members.iter().for_each(|member| world.sign_well(member));
    world.shelf.artifact(&world.image, "application/spdx+json", "x");
    world.source.list_referrers();
    world.policy(by_repository());
    let line = format!("pack {0}:1 {0}:2 --key site --src-tls-verify=false --policy policy.json --keep-going OUT", world.name());
    let ran = world.user.run(&line).expect(3);
    assert!(ran.err.contains("POLICY_REFUSED") && ran.out.contains("3 images"), "{ran:?}");
    let set = world.user.run("inspect OUT --json").expect(0).json()["sets"][0].clone();
    assert!(set["images"].as_array().unwrap().iter().all(|i| i["tag"] != "1") && set["images"][0]["digest"] == index.to_string());
    assert_eq!(set["missing"][0]["code"], "POLICY_REFUSED");
    world.user.run("verify OUT --policy policy.json").expect(0);
}

#[test]
fn a_saved_plan_is_judged_as_well() {
    let Some(world) = World::new() else { return };
    world.policy(by_repository());
    world.user.run(&format!("plan {}:1 -o plan.json --src-tls-verify=false", world.name())).expect(0);
    world.user.run("pack plan.json --key site --src-tls-verify=false --policy policy.json OUT").refused(
        19,
        "POLICY_REFUSED",
        &["there is none"],
    );
}

/// What sealift makes itself nobody else can have signed. That a plan says so of an image is no proof: a plan is passed on, and edited.
#[test]
fn a_plan_that_calls_an_image_made_here_is_no_way_around_the_policy() {
    let Some(world) = World::new() else { return };
    world.sign_well(&world.image);
    world.shelf.image("2", false);
    world.policy(by_repository());
    world.user.run(&format!("plan {}:2 -o plan.json --src-tls-verify=false", world.name())).expect(0);
    let path = world.user.at("plan.json");
    let plan: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    // Made of nothing, and made of an image that is signed.
    for made in [json!({}), json!({"base": format!("{}@{}", world.name(), world.image)})] {
        let mut edited = plan.clone();
        edited["images"][0]["made"] = made;
        fs::write(&path, edited.to_string()).unwrap();
        let line = "pack plan.json --key site --src-tls-verify=false --policy policy.json OUT";
        world.user.run(line).refused(19, "POLICY_REFUSED", &["team/app:2", "was not made here", "in place of the saved plan"]);
        let line =
            format!("mirror plan.json --to {}/x --dest-tls-verify=false --src-tls-verify=false --policy policy.json", world.source.host());
        world.user.run(&line).refused(19, "POLICY_REFUSED", &["team/app:2", "was not made here"]);
    }
}

/// podman takes the folder with all links and `..` followed for the scope; by another way to the same place nothing else holds.
#[test]
fn a_layout_lies_in_the_scope_of_its_folder_however_it_is_named() {
    let user = User::with_key();
    layout(&user.at("images"), "1");
    std::os::unix::fs::symlink("images", user.at("link")).unwrap();
    let policy = |scopes: Value| {
        let policy = json!({"default": [{"type": "insecureAcceptAnything"}], "transports": {"oci": scopes}});
        fs::write(user.at("policy.json"), policy.to_string()).unwrap();
    };
    let folder = user.work().canonicalize().unwrap().join("images").display().to_string();
    policy(json!({folder.clone(): [{"type": "reject"}]}));
    for name in ["images", "./images", "link", "../work/images", &folder, &format!("{folder}/")] {
        let line = format!("pack oci:{name}:1 --key site --policy policy.json OUT");
        user.run(&line).refused(19, "POLICY_REFUSED", &["rejects everything here"]);
    }
    // The image's name may hold a colon of its own: the folder is the one that is there.
    fs::write(
        user.at("images/index.json"),
        fs::read_to_string(user.at("images/index.json")).unwrap().replace("ref.name\":\"1\"", "ref.name\":\"team/app:1\""),
    )
    .unwrap();
    let line = format!("pack oci:{folder}:team/app:1 --key site --policy policy.json OUT");
    user.run(&line).refused(19, "POLICY_REFUSED", &["rejects everything here"]);
    policy(json!({folder.clone(): [{"type": "insecureAcceptAnything"}], "": [{"type": "reject"}]}));
    user.run(&line.replace("OUT", "COLON")).expect(0);
    // Inside both a folder with a colon in its name and an image with one are possible, and only one of them is accepted.
    user.run("verify COLON --policy policy.json").refused(19, "POLICY_REFUSED", &["team/app:1", "in which it lies"]);
    let above = user.work().canonicalize().unwrap().display().to_string();
    policy(json!({above: [{"type": "insecureAcceptAnything"}], "": [{"type": "reject"}]}));
    user.run("verify COLON --policy policy.json").expect(0);
    policy(json!({folder.clone(): [{"type": "reject"}]}));
    layout(&user.at("images"), "1");
    // Inside there is no such folder: where the name does not say it, nobody knows which scope it is.
    user.run("pack oci:images:1 --key site OUT").expect(0);
    user.run("verify OUT --policy policy.json").refused(19, "POLICY_REFUSED", &["images", "scope"]);
    policy(json!({"": [{"type": "insecureAcceptAnything"}]}));
    user.run("verify OUT --policy policy.json").expect(0);
}

/// A cache lists the tags of this morning, and has the signature of noon when it is asked for it.
#[test]
fn a_list_of_tags_that_is_too_old_hides_no_signature() {
    let Some(world) = World::new() else { return };
    world.sign_well(&world.image);
    world.source.set_tags("team/app", &[Some("1")]);
    world.policy(by_repository());
    world.pack("--policy policy.json").expect(0);
    world.user.run("verify OUT --policy policy.json").expect(0);
}

#[test]
fn a_bad_policy_is_refused_before_anything_is_asked() {
    let Some(world) = World::new() else { return };
    let before = world.source.seen("HEAD", "/").len() + world.source.seen("GET", "/").len();
    fs::write(world.user.at("policy.json"), r#"{"default": [{"type": "reject"}], "Transports": {}}"#).unwrap();
    world.pack("--policy policy.json").refused(2, "BAD_DOCUMENT", &["policy.json", "Transports"]);
    assert_eq!(world.source.seen("HEAD", "/").len() + world.source.seen("GET", "/").len(), before);
    world.pack("--policy policy.json --no-referrers").expect(2);
}
