//! From registry to registry: the same digests on the other side, once, also after a stop anywhere.

use crate::support::attached::{OpenSsl, SPDX, Shelf, payload};
use crate::support::fleet::{self, Fleet};
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::run::{Ran, User, counted, finish, spread};
use crate::support::servers::{DockerRegistry, Options};
use sealift::digest::Digest;
use serde_json::json;
use std::fs;
use std::process::Command;

fn inner() -> Option<DockerRegistry> {
    DockerRegistry::start(Options { delete: true, access_log: true, ..Options::default() })
}

fn by_skopeo(reference: &str) -> Digest {
    let mut command = Command::new("skopeo");
    command.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    Digest::sha256(finish(command).expect(0).out.as_bytes())
}

fn mirror(user: &User, what: &str, to: &str, more: &str) -> Ran {
    user.run(&format!("mirror {what} --to {to} --src-tls-verify=false --dest-tls-verify=false --json{more}"))
}

/// Uploads and manifests put so far, without those of receipts.
fn pushes(registry: &DockerRegistry) -> Vec<(String, String)> {
    let pushed = |(method, path): &(String, String)| {
        method == "PUT" && !path.contains("/sealift/receipts/") || method == "POST" && !path.contains("/sealift/")
    };
    registry.requests().into_iter().filter(pushed).collect()
}

#[test]
fn every_kind_of_image_arrives_with_its_digest_and_a_second_run_uploads_nothing() {
    let (Some(fleet), Some(mut registry), user) = (Fleet::start(), inner(), User::with_key()) else { return };
    let to = format!("{}/m", registry.host());
    let first = mirror(&user, &fleet.words(), &to, " --receipt r.json --key site").expect(0).json();
    assert_eq!(first["done"].as_array().unwrap().len(), fleet.images().len());
    for (name, doc) in fleet.images() {
        let at = name.replace(&fleet.host(), &to);
        assert_eq!(by_skopeo(&at), doc.digest(), "{at}");
    }
    // A layer many repositories share was fetched once and mounted elsewhere.
    assert!(first["mounted"].as_u64().unwrap() > 0, "{first}");
    assert!(user.at("r.json.sig").exists());
    let receipt = sealift::format::Receipt::parse(&fs::read(user.at("r.json")).unwrap()).unwrap();
    assert_eq!((receipt.stream.as_str(), receipt.target.as_str(), receipt.images.len()), ("mirror", to.as_str(), fleet.images().len()));

    registry.start_again();
    let second = mirror(&user, &fleet.words(), &to, "").expect(0).json();
    assert_eq!((second["uploaded"].as_u64(), second["mounted"].as_u64()), (Some(0), Some(0)), "{second}");
    assert_eq!(pushes(&registry), []);

    // A tag that was moved at the target names what its source names again.
    fleet::push(&registry.host(), &fleet::small("m/team/app", "1.0", 77));
    mirror(&user, &fleet.words(), &to, "").expect(0);
    let (name, doc) = fleet.images().into_iter().find(|(name, _)| name.ends_with("team/app:1.0")).unwrap();
    assert_eq!(by_skopeo(&name.replace(&fleet.host(), &to)), doc.digest());
}

#[test]
fn into_a_layout_and_from_a_saved_plan() {
    let (Some(fleet), user) = (Fleet::start(), User::new()) else { return };
    user.run(&format!("plan {} --src-tls-verify=false -o plan.json", fleet.words())).expect(0);
    let done = mirror(&user, "plan.json", "oci:L", "").expect(0).json();
    assert_eq!(done["done"].as_array().unwrap().len(), fleet.images().len());
    for digest in fleet.content().keys() {
        assert!(user.at("L/blobs/sha256").join(digest.hex()).exists(), "{digest}");
    }
    user.run("check --to oci:L --blobs").expect(0);
}

#[test]
fn killed_anywhere_it_goes_on_and_no_tag_names_half_an_image() {
    let Some(fleet) = Fleet::start() else { return };
    let Some(registry) = inner() else { return };
    let user = User::new();
    let log = user.at("log");
    let line = |to: &str| format!("mirror {} --to {to} --src-tls-verify=false --dest-tls-verify=false", fleet.words());
    user.run_with(&[("SEALIFT_FAULT", &format!("count:{}", log.display()))], &line(&format!("{}/count", registry.host()))).expect(0);
    let requests = counted(&log, "http P").len();
    assert!(requests > 20, "{requests}");
    for n in spread(requests, 6) {
        let user = User::new();
        let to = format!("{}/kill{n}", registry.host());
        user.run_with(&[("SEALIFT_FAULT", &format!("kill:http P:{n}"))], &line(&to));
        for (name, doc) in fleet.images() {
            let at = name.replace(&fleet.host(), &to);
            let tagged = user.run(&format!("list tags {} --src-tls-verify=false", at.rsplit_once(':').unwrap().0));
            if tagged.exit == 0 && tagged.out.lines().any(|tag| at.ends_with(&format!(":{tag}"))) {
                assert_eq!(by_skopeo(&at), doc.digest(), "{at}");
            }
        }
        user.run(&line(&to)).expect(0);
        user.run(&format!("check {} --to {to} --blobs --src-tls-verify=false --dest-tls-verify=false", fleet.words())).expect(0);
    }
}

#[test]
fn a_source_that_lies_is_refused_and_nothing_of_it_is_tagged() {
    let Some(registry) = inner() else { return };
    let (user, lying) = (User::new(), Lying::start(Guard::Open));
    let stock = fleet::small("team/one", "1", 5);
    let kind = stock.docs[0].media_type;
    for blob in &stock.blobs {
        lying.add_blob(blob);
    }
    lying.add_manifest("team/one", "1", std::str::from_utf8(&stock.docs[0].bytes).unwrap(), kind);
    lying.lie("GET", "/blobs/", 100, Fault::Body(vec![7; stock.blobs[0].len()]));
    let to = format!("{}/l", registry.host());
    let what = format!("{}/team/one:1", lying.host());
    let ran = mirror(&user, &what, &to, "");
    let told = ran.json();
    assert_eq!(ran.exit, 24, "{told}");
    assert_eq!(told["code"], "SOURCE_WRONG");
    user.run(&format!("list tags {to}/team/one --src-tls-verify=false")).expect(23);
}

#[test]
fn a_missing_image_ends_it_before_anything_is_pushed_unless_the_rest_is_wanted() {
    let (Some(fleet), Some(registry), user) = (Fleet::start(), inner(), User::new()) else { return };
    let to = format!("{}/k", registry.host());
    let what = format!("{0}/team/app:1.0 {0}/team/app:none", fleet.host());
    let ran = mirror(&user, &what, &to, "").expect(23).json();
    assert_eq!(ran["details"][0]["code"], "SOURCE_MISSING");
    assert_eq!(pushes(&registry), []);
    let ran = mirror(&user, &what, &to, " --keep-going").expect(3).json();
    assert_eq!((ran["code"].as_str(), ran["done"].as_array().unwrap().len()), (Some("PARTIAL"), 1));
    // A dry run says what it would do, and does not.
    let dry = mirror(&user, &format!("{}/team/app:1.1", fleet.host()), &to, " --dry-run").expect(0).json();
    assert!(dry["plan"]["uploadBytes"].as_u64().unwrap() > 0);
    user.run(&format!("check {}/team/app:1.1 --to {to} --src-tls-verify=false --dest-tls-verify=false", fleet.host())).refused(
        3,
        "PARTIAL",
        &["team/app:1.1", "no such tag"],
    );
}

#[test]
fn flattened_names_are_what_receipts_know_and_collisions_are_refused_first() {
    let stocks = vec![fleet::small("a/b/c", "1", 1), fleet::small("a/b-c", "1", 2)];
    let (Some(fleet), Some(registry), user) = (Fleet::of(stocks), inner(), User::new()) else { return };
    let to = format!("{}/p", registry.host());
    mirror(&user, &fleet.words(), &to, " --max-nested-paths 3").expect(26);
    assert_eq!(pushes(&registry), []);
    mirror(&user, &fleet.words(), &to, " --max-nested-paths 1").expect(2);
    mirror(&user, &format!("{}/a/b/c:1", fleet.host()), &to, " --max-nested-paths 2").expect(0);
    assert_eq!(by_skopeo(&format!("{to}/a-b-c:1")), fleet.stocks[0].docs[0].digest());
    let found = user.run(&format!("where {}/a/b/c:1 --to {to} --json", fleet.host())).expect(0).json();
    assert_eq!(found["places"][0]["place"]["name"], format!("{to}/a-b-c:1"));
    user.run(&format!("check --to {to} --blobs --dest-tls-verify=false")).expect(0);
    // Another host finds the receipt in the registry, under its flattened name.
    let other = User::new();
    let found = other.run(&format!("where {}/a/b/c:1 --to {to} --max-nested-paths 2 --dest-tls-verify=false --json", fleet.host()));
    assert_eq!(found.expect(0).json()["places"][0]["place"]["name"], format!("{to}/a-b-c:1"));
}

#[test]
fn where_names_set_and_volumes_of_what_was_unpacked() {
    let (Some(fleet), Some(registry), user) = (Fleet::start(), inner(), User::with_key()) else { return };
    let to = format!("{}/u", registry.host());
    user.run(&format!("pack {} --key site --volume-size 600KB --src-tls-verify=false OUT", fleet.words())).expect(0);
    user.run(&format!("unpack OUT --to {to} --first --dest-tls-verify=false")).expect(0);
    let found = user.run(&format!("where {to}/team/multi:2 --to {to} --set OUT --json")).expect(0).json();
    let place = &found["places"][0];
    assert_eq!(place["place"]["source"], format!("{}/team/multi:2", fleet.host()));
    assert!(!place["volumes"].as_array().unwrap().is_empty(), "{found}");
    let digest = place["place"]["digest"].as_str().unwrap().to_owned();
    for asked in [digest.clone(), format!("{}/team/multi@{digest}", fleet.host()), "team/multi".to_owned()] {
        let again = user.run(&format!("where {asked} --to {to} --json")).expect(0).json();
        assert_eq!(again["places"][0]["place"]["name"], format!("{to}/team/multi:2"), "{asked}");
    }
    user.run(&format!("where quay.io/not/there:1 --to {to}")).refused(28, "CONTENT_NOT_FOUND", &["quay.io/not/there:1"]);
    user.run("where Not!a!name --to x.test").expect(2);
}

#[test]
fn names_that_meet_inside_are_refused_before_anything_is_fetched() {
    let (Some(fleet), user) = (Fleet::start(), User::with_key()) else { return };
    for (name, seed) in [("team/b/c", 1), ("team/b-c", 2)] {
        fleet::push(&fleet.host(), &fleet::small(name, "1", seed));
    }
    let words = format!("{0}/team/b/c:1 {0}/team/b-c:1 --src-tls-verify=false", fleet.host());
    for more in ["--max-nested-paths 2", "--max-nested-paths 3 --inside-prefix ocp"] {
        user.run(&format!("plan {words} {more}")).refused(26, "NAME_COLLISION", &["team/b-c:1", "--max-nested-paths"]);
        user.run(&format!("pack {words} {more} --key site OUT")).refused(26, "NAME_COLLISION", &["team/b-c:1"]);
    }
    assert!(!user.at("OUT").exists());
    user.run(&format!("pack {words} --max-nested-paths 3 --key site --no-sync OUT")).expect(0);
}

#[test]
fn what_lies_in_the_workspace_already_counts_as_brought() {
    let (Some(fleet), Some(registry), user) = (Fleet::start(), inner(), User::with_key()) else { return };
    user.run(&format!("pack {} --src-tls-verify=false --key site --no-sync OUT", fleet.words())).expect(0);
    let words = format!("mirror {} --to {} --src-tls-verify=false --dest-tls-verify=false", fleet.words(), registry.host());
    let ran = user.run(&words).expect(0);
    assert!(ran.err.contains("mirroring: done, ") && !ran.err.contains("mirroring: done, 0 B"), "{}", ran.err);
}

/// What refers to an image goes with it, unless told otherwise; and no image is brought that the policy does not accept.
#[test]
fn referrers_and_policies_are_those_of_pack() {
    if Command::new("openssl").arg("version").output().is_err() {
        return crate::support::skip("no openssl");
    }
    let (Some(source), Some(target), user) = (inner(), inner(), User::with_key()) else { return };
    let shelf = Shelf::new(&source.host(), "team/app");
    let (app, _) = shelf.image("1", false);
    let sbom = shelf.artifact(&app, SPDX, "sbom");
    shelf.fallback(&app, std::slice::from_ref(&sbom));
    let name = format!("{}/team/app", source.host());
    let folder = user.work();
    let openssl = OpenSsl { folder: &folder };
    openssl.key("one");
    openssl.key("two");
    let says = payload(&name, &app);
    let signature = openssl.sign("one", &says);
    let signed = crate::support::attached::digest(&shelf.cosign(&app, "sig", &says, &signature));
    for key in ["one", "two"] {
        let rule =
            json!({"type": "sigstoreSigned", "keyPath": user.at(&format!("{key}.pub")), "signedIdentity": {"type": "matchRepository"}});
        let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {source.host(): [rule]}}});
        fs::write(user.at(&format!("{key}.json")), policy.to_string()).unwrap();
    }
    let what = format!("{name}:1");
    let (sbom, tag) = (crate::support::attached::digest(&sbom), format!("sha256-{}.sig", app.hex()));

    // By the wrong key: refused before anything is pushed.
    let ran = mirror(&user, &what, &format!("{}/no", target.host()), " --policy two.json").expect(19).json();
    assert_eq!(ran["code"], "POLICY_REFUSED", "{ran}");
    assert_eq!(pushes(&target), []);
    // By the right one: the image with all that is about it, listed where there is no API.
    let at = |prefix: &'static str| Shelf::new(&target.host(), prefix);
    mirror(&user, &what, &format!("{}/all", target.host()), " --policy one.json").expect(0);
    let there = at("all/team/app");
    assert_eq!((there.tag("1"), there.tag(&tag)), (Some(app), Some(signed)));
    assert!(there.holds(&sbom) && there.listed(&app) == [sbom]);
    // Without: the image alone. A policy needs the signatures, so both together are refused, as pack does.
    mirror(&user, &what, &format!("{}/bare", target.host()), " --no-referrers").expect(0);
    let bare = at("bare/team/app");
    assert_eq!((bare.tag("1"), bare.tag(&tag)), (Some(app), None));
    assert!(!bare.holds(&sbom) && bare.listed(&app).is_empty());
    mirror(&user, &what, &format!("{}/no", target.host()), " --policy one.json --no-referrers").expect(2);
    // Some kinds only.
    mirror(&user, &what, &format!("{}/some", target.host()), " --referrers sig").expect(0);
    let some = at("some/team/app");
    assert_eq!(some.tag(&tag), Some(signed));
    assert!(!some.holds(&sbom));
}
