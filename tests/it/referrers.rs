//! What refers to images goes with them: from registries with and without the referrers API, to registries and layouts.

use crate::support::attached::{SPDX, Shelf, digest, payload};
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::run::User;
use crate::support::servers::{DockerRegistry, Options};
use sealift::digest::Digest;
use sealift::registry::ManifestRef;
use serde_json::{Value, json};

const INTOTO: &str = "application/vnd.in-toto+json";

/// Everything that is laid out at a source.
struct World {
    app: Digest,
    index: Digest,
    members: Vec<Digest>,
    sbom: Digest,
    of_index: Digest,
    /// Digest by cosign tag.
    tags: Vec<(String, Digest)>,
}

/// `team/app:1` with a signature and an SBOM, which is signed itself; `team/app:2`, an index with an SBOM, its second member with an
/// attestation.
fn lay_out(shelf: &Shelf, api: bool) -> World {
    let (app, _) = shelf.image("1", false);
    let (index, members) = shelf.image("2", true);
    let sbom = shelf.artifact(&app, SPDX, "{\"spdx\": 1}");
    let of_index = shelf.artifact(&index, SPDX, "{\"spdx\": 2}");
    if !api {
        shelf.fallback(&app, std::slice::from_ref(&sbom));
        shelf.fallback(&index, std::slice::from_ref(&of_index));
    }
    let mut tags = Vec::new();
    for (subject, suffix) in [(app, "sig"), (digest(&sbom), "sig"), (members[1], "att")] {
        let made = shelf.cosign(&subject, suffix, &payload("x", &subject), "bm90IGEgcmVhbCBvbmU=");
        tags.push((format!("sha256-{}.{suffix}", subject.hex()), digest(&made)));
    }
    World { app, index, members, sbom: digest(&sbom), of_index: digest(&of_index), tags }
}

fn nothing_is_lost(world: &World, target: &Shelf) {
    for (tag, digest) in &world.tags {
        assert_eq!(target.tag(tag), Some(*digest), "{tag}");
        assert!(target.holds(digest), "{tag}");
    }
    for digest in [&world.sbom, &world.of_index] {
        assert!(target.holds(digest));
        assert_eq!(target.tag(&format!("keep.sha256-{}", digest.hex())), Some(*digest));
    }
}

fn pack(user: &User, host: &str, more: &str) -> crate::support::run::Ran {
    let line = format!("pack {host}/team/app:1 {host}/team/app:2 --key site --src-tls-verify=false {more} OUT");
    user.run(&line.replace("  ", " "))
}

fn unpack(user: &User, to: &str) -> crate::support::run::Ran {
    user.run(&format!("unpack OUT --to {to} --dest-tls-verify=false --first --json"))
}

#[test]
fn without_the_api_the_fallback_tag_is_read_and_written() {
    let server = || DockerRegistry::start(Options { access_log: true, ..Options::default() });
    let (Some(source), Some(target), user) = (server(), server(), User::with_key()) else { return };
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), false);
    let packed = pack(&user, &source.host(), "").expect(0);
    assert!(packed.out.contains("7 images"), "{}", packed.out);
    let asked = source.requests().into_iter().filter(|(_, path)| path.contains("/referrers/")).count();
    assert_eq!(asked, 1, "the first answer says that there is no API");
    let plan = user.run(&format!("plan {0}/team/app:1 {0}/team/app:2 --src-tls-verify=false --json", source.host())).expect(0).json();
    assert_eq!((&plan["referrers"][0], &plan["referrers"][1]), (&json!(3), &json!(2)));
    let verified = user.run("verify OUT --deep --json").expect(0).json();
    assert_eq!(verified["sets"][0]["referrers"], json!({"team/app:1": 3, "team/app:2": 2}));

    // Somebody else's entry is there before; so is one that was lost since.
    let shelf = Shelf::new(&target.host(), "inner/team/app");
    let theirs = shelf.artifact(&world.app, INTOTO, "theirs");
    shelf.fallback(&world.app, std::slice::from_ref(&theirs));
    let to = format!("{}/inner", target.host());
    let report = unpack(&user, &to).expect(0).json()["sets"][0].clone();
    assert_eq!(report["referrers"], json!({"in": 5, "of": 5}));
    let of_app = report["done"].as_array().unwrap().iter().find(|i| i["name"] == "team/app:1").unwrap().clone();
    assert_eq!((of_app["referrers"].as_u64(), of_app["referrersOf"].as_u64()), (Some(3), Some(3)));
    nothing_is_lost(&world, &shelf);
    assert_eq!(shelf.listed(&world.app), [digest(&theirs), world.sbom]);
    assert_eq!(shelf.listed(&world.index), [world.of_index]);
    assert!(shelf.listed(&world.members[0]).is_empty());

    // Again: nothing is written, and what somebody removed is put back.
    let before = shelf.tag(&format!("sha256-{}", world.app.hex()));
    unpack(&user, &to).expect(0);
    assert_eq!(shelf.tag(&format!("sha256-{}", world.app.hex())), before);
    shelf.fallback(&world.app, &[theirs]);
    unpack(&user, &to).expect(0);
    assert_eq!(shelf.tag(&format!("sha256-{}", world.app.hex())), before);
}

#[test]
fn with_the_api_no_tag_is_needed() {
    let (source, target, user) = (Lying::start(Guard::Open), Lying::start(Guard::Open), User::with_key());
    source.list_referrers();
    target.list_referrers();
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), true);
    pack(&user, &source.host(), "").expect(0);
    assert!(source.seen("GET", &format!("/manifests/sha256-{}", world.app.hex())).is_empty(), "the fallback tag is not asked for");
    let report = unpack(&user, &target.host()).expect(0).json();
    assert_eq!(report["sets"][0]["referrers"], json!({"in": 5, "of": 5}));
    nothing_is_lost(&world, &Shelf::new(&target.host(), "team/app"));
    assert!(target.manifest("team/app", &format!("sha256-{}", world.app.hex())).is_none());
}

#[test]
fn a_layout_shows_them_to_the_next_pack() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    source.list_referrers();
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), true);
    pack(&user, &source.host(), "").expect(0);
    user.run("unpack OUT --to oci:LAYOUT --first").expect(0);
    let index: Value = serde_json::from_slice(&std::fs::read(user.at("LAYOUT/index.json")).unwrap()).unwrap();
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&format!("team/app:sha256-{}", world.app.hex()).as_str()), "{names:?}");
    let again = user.run("plan oci:LAYOUT:1 oci:LAYOUT:2 --json").expect(0).json();
    assert_eq!((&again["referrers"][0], &again["referrers"][1]), (&json!(3), &json!(2)));
}

/// The signatures under a tag of cosign's.
fn signed(target: &Shelf, tag: &str) -> Vec<String> {
    let found = target.repository.manifest(&ManifestRef::Tag(tag.into())).unwrap();
    let document: Value = serde_json::from_slice(&found.bytes).unwrap();
    let layers = document["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap().to_owned()).collect()
}

/// Who lets only images run that the site has signed as well signs them in its own registry, into the same manifest, as cosign does.
/// The next set must not take these signatures away.
#[test]
fn what_was_signed_at_the_target_stays() {
    let (Some(target), source, user) =
        (DockerRegistry::start(Options { delete: true, ..Options::default() }), Lying::start(Guard::Open), User::with_key())
    else {
        return;
    };
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), false);
    pack(&user, &source.host(), "").expect(0);
    let (shelf, to) = (Shelf::new(&target.host(), "inner/team/app"), format!("{}/inner", target.host()));
    unpack(&user, &to).expect(0);
    let (tag, upstream) = world.tags[0].clone();
    assert_eq!(signed(&shelf, &tag), ["bm90IGEgcmVhbCBvbmU="]);

    // The site adds its own, and the same set comes once more.
    let payload = payload("x", &world.app);
    let both = shelf.cosign_all(&world.app, "sig", &[(&payload, "bm90IGEgcmVhbCBvbmU="), (&payload, "b3VyIG93bg==")]);
    let check = || user.run(&format!("check --to {to} --dest-tls-verify=false"));
    check().expect(0);
    let report = unpack(&user, &to).expect(0).json();
    assert_eq!(report["sets"][0]["referrers"], json!({"in": 5, "of": 5}));
    assert_eq!(shelf.tag(&tag), Some(digest(&both)), "it holds everything: nothing is written");
    assert_eq!(shelf.tag(&format!("keep.sha256-{}", upstream.hex())), Some(upstream), "what was carried is there as it was");
    check().expect(0);

    // The site signed before the set came: what is lacking is added behind its own.
    shelf.cosign(&world.app, "sig", &payload, "b3VyIG93bg==");
    unpack(&user, &to).expect(0);
    assert_eq!(signed(&shelf, &tag), ["b3VyIG93bg==", "bm90IGEgcmVhbCBvbmU="]);
    let completed = shelf.tag(&tag).unwrap();
    assert!(shelf.holds(&completed));
    unpack(&user, &to).expect(0);
    assert_eq!(shelf.tag(&tag), Some(completed), "and once is enough");
    check().expect(0);

    // The same on the short road.
    shelf.cosign(&world.app, "sig", &payload, "b3VyIG93bg==");
    let mirror = format!("mirror {0}/team/app:1 --to {to} --src-tls-verify=false --dest-tls-verify=false", source.host());
    user.run(&mirror).expect(0);
    assert_eq!(signed(&shelf, &tag), ["b3VyIG93bg==", "bm90IGEgcmVhbCBvbmU="]);
}

/// A registry that fails for a while says nothing of what lies there.
#[test]
fn signatures_that_cannot_be_read_are_not_written_over() {
    let (source, target, user) = (Lying::start(Guard::Open), Lying::start(Guard::Open), User::with_key());
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), false);
    pack(&user, &source.host(), "").expect(0);
    let (shelf, to) = (Shelf::new(&target.host(), "inner/team/app"), format!("{}/inner", target.host()));
    shelf.cosign(&world.app, "sig", &payload("x", &world.app), "b3VyIG93bg==");
    // As often as it is asked: all tries of the one question.
    target.lie("GET", "/manifests/sha256:", 8, Fault::Status(503, vec![], String::new()));
    user.run_with(&[("SEALIFT_FAULT", "hurry")], &format!("unpack OUT --to {to} --dest-tls-verify=false --first")).expect(0);
    assert_eq!(signed(&shelf, &world.tags[0].0), ["b3VyIG93bg==", "bm90IGEgcmVhbCBvbmU="]);
}

#[test]
fn answers_that_are_no_list_mean_no_api() {
    let html = || Fault::Status(200, vec![("content-type", "text/html".into())], "<html>welcome</html>".into());
    let away = || Fault::Status(303, vec![("location", "http://127.0.0.1:1/login".into())], String::new());
    let absent = || Fault::Status(400, vec![], error("MANIFEST_INVALID"));
    let hidden = || Fault::Status(404, vec![("content-type", "text/plain".into())], "404 page not found".into());
    for (name, lie) in [("html", html()), ("away", away()), ("absent", absent()), ("hidden", hidden())] {
        let (source, user) = (Lying::start(Guard::Open), User::with_key());
        source.lie("GET", "/referrers/", 1000, lie);
        let world = lay_out(&Shelf::new(&source.host(), "team/app"), false);
        pack(&user, &source.host(), "").expect(0);
        let set = user.run("inspect OUT --json").expect(0).json();
        let images = set["sets"][0]["images"].as_array().unwrap();
        assert!(images.iter().any(|i| i["digest"] == world.sbom.to_string() && i["subject"] == world.app.to_string()), "{name}");
        // An error of a web server may be that of a proxy, for a moment.
        let asked = if name == "hidden" { 2 } else { 1 };
        assert_eq!(source.seen("GET", "/referrers/").len(), asked, "{name}");
    }
}

#[test]
fn entries_are_believed_only_when_they_check_out() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let shelf = Shelf::new(&source.host(), "team/app");
    let (app, _) = shelf.image("1", false);
    let (_, members) = shelf.image("2", true);
    let about_another = shelf.artifact(&members[0], SPDX, "about another");
    shelf.fallback(&app, &[about_another]);
    let ran = pack(&user, &source.host(), "").expect(0);
    assert!(ran.err.contains("is listed as referring to"), "{}", ran.err);
    assert!(ran.out.contains("2 images"), "{}", ran.out);
    // GitLab: the tag of that form is the image itself.
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let shelf = Shelf::new(&source.host(), "team/app");
    let (app, _) = shelf.image("1", false);
    shelf.image("2", true);
    let itself = source.manifest("team/app", "1").unwrap();
    source.add_manifest(
        "team/app",
        &format!("sha256-{}", app.hex()),
        std::str::from_utf8(&itself).unwrap(),
        "application/vnd.oci.image.manifest.v1+json",
    );
    assert!(pack(&user, &source.host(), "").expect(0).out.contains("2 images"));
}

#[test]
fn what_is_listed_and_lost_is_a_failure() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), false);
    source.forget("team/app", &world.sbom.to_string());
    pack(&user, &source.host(), "").refused(23, "SOURCE_MISSING", &[&world.sbom.hex(), "refers to"]);
    let kept = pack(&user, &source.host(), "--keep-going").expect(3);
    assert!(kept.out.contains("5 images"), "{}", kept.out);
    let set = user.run("inspect OUT --json").expect(0).json();
    assert!(set["sets"][0]["missing"][0]["name"].as_str().unwrap().contains(&world.sbom.hex()));
}

#[test]
fn less_is_carried_and_asked_for_on_request() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    source.list_referrers();
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), true);
    assert!(pack(&user, &source.host(), "--no-referrers").expect(0).out.contains("2 images"));
    assert!(source.seen("GET", "/referrers/").is_empty() && source.seen("HEAD", "/manifests/sha256-").is_empty());
    let plan = |filter: &str| {
        let line = format!("plan {0}/team/app:1 {0}/team/app:2 --src-tls-verify=false --json {filter}", source.host());
        user.run(&line).expect(0).json()["images"].as_array().unwrap().len()
    };
    assert_eq!(plan("--referrers sig"), 3);
    assert!(source.seen("GET", "/referrers/").is_empty());
    assert_eq!((plan("--referrers att"), plan("--referrers application/spdx*"), plan("--referrers sig,application/spdx+json")), (3, 4, 6));
    assert!(!world.members.is_empty());
}

#[test]
fn a_tag_that_is_taken_is_not_overwritten() {
    let (source, target, user) = (Lying::start(Guard::Open), Lying::start(Guard::Open), User::with_key());
    source.list_referrers();
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), true);
    pack(&user, &source.host(), "").expect(0);
    // As oc-mirror tags what was asked for by digest.
    let shelf = Shelf::new(&target.host(), "team/app");
    shelf.image("1", false);
    let itself = target.manifest("team/app", "1").unwrap();
    let tag = format!("sha256-{}", world.app.hex());
    target.add_manifest("team/app", &tag, std::str::from_utf8(&itself).unwrap(), "application/vnd.oci.image.manifest.v1+json");
    let ran = user.run(&format!("unpack OUT --to {} --dest-tls-verify=false --first", target.host())).refused(22, "PUSH_REFUSED", &[&tag]);
    assert!(ran.out.contains("4 of 5 referrers"), "{}", ran.out);
    assert_eq!(target.manifest("team/app", &tag).unwrap(), itself);
    assert!(shelf.holds(&world.sbom));
}

#[test]
fn choosing_an_image_brings_what_is_about_it() {
    let (source, target, user) = (Lying::start(Guard::Open), Lying::start(Guard::Open), User::with_key());
    source.list_referrers();
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), true);
    pack(&user, &source.host(), "").expect(0);
    let line = format!("unpack OUT --to {} --dest-tls-verify=false --first --image team/app:2 --json", target.host());
    let report = user.run(&line).expect(0).json();
    assert_eq!(report["sets"][0]["referrers"], json!({"in": 2, "of": 2}));
    let shelf = Shelf::new(&target.host(), "team/app");
    assert!(shelf.holds(&world.of_index) && shelf.tag(&world.tags[2].0).is_some() && shelf.tag(&world.tags[0].0).is_none());
    assert_eq!(shelf.listed(&world.index), [world.of_index]);
}

#[test]
fn pages_are_followed_to_their_end_and_not_in_circles() {
    let source = Lying::start(Guard::Open);
    source.list_referrers();
    let shelf = Shelf::new(&source.host(), "team/app");
    let (app, _) = shelf.image("1", false);
    let (first, second) = (shelf.artifact(&app, SPDX, "1"), shelf.artifact(&app, SPDX, "2"));
    let kind = "application/vnd.oci.image.index.v1+json";
    let body = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [first]}).to_string();
    let page = |link: String| Fault::Status(200, vec![("content-type", kind.into()), ("link", link)], body.clone());
    // Wherever the link leads, the question stays with the registry.
    source.lie("GET", "/referrers/", 1, page(format!("<http://elsewhere.test/v2/team/app/referrers/{app}?last=1>; rel=\"next\"")));
    let found = Shelf::new(&source.host(), "team/app").repository.referrers(&app).unwrap().unwrap();
    let mut digests: Vec<Digest> = found.iter().skip(1).map(|entry| entry.digest).collect();
    digests.sort();
    let mut wanted = vec![digest(&first), digest(&second)];
    wanted.sort();
    assert_eq!((found[0].digest, digests), (digest(&first), wanted));
    source.lie("GET", "/referrers/", 100, page(format!("</v2/team/app/referrers/{app}>; rel=\"next\"")));
    let error = Shelf::new(&source.host(), "team/app").repository.referrers(&app).unwrap_err();
    assert!(error.to_string().contains("without end"), "{error}");
}

/// A proxy whose configuration changes answers with a page of its own: nothing is lost for that, in this repository or others.
#[test]
fn one_answer_of_a_proxy_does_not_hide_the_api() {
    let gone = || Fault::Status(404, vec![("content-type", "text/plain".into())], "404 page not found".into());
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    source.list_referrers();
    let world = lay_out(&Shelf::new(&source.host(), "team/app"), true);
    source.lie("GET", "/referrers/", 1, gone());
    assert!(pack(&user, &source.host(), "").expect(0).out.contains("7 images"));
    // It has shown lists: one repository without says nothing about the others.
    let client = sealift::registry::Client::new(Default::default()).unwrap();
    let (app, lib) = (client.repository(&source.host(), "team/app"), client.repository(&source.host(), "team/lib"));
    assert_eq!(app.referrers(&world.app).unwrap().map(|list| list.len()), Some(1));
    source.lie("GET", "/referrers/", 2, gone());
    assert_eq!(lib.referrers(&world.app).unwrap(), None);
    assert_eq!(app.referrers(&world.index).unwrap().map(|list| list.len()), Some(1));
}

/// The rest of a list is not to be had: what was on it would be lost.
#[test]
fn a_list_whose_next_page_is_none_is_a_failure() {
    let source = Lying::start(Guard::Open);
    source.list_referrers();
    let shelf = Shelf::new(&source.host(), "team/app");
    let (app, _) = shelf.image("1", false);
    let kind = "application/vnd.oci.image.index.v1+json";
    let body = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [shelf.artifact(&app, SPDX, "1")]}).to_string();
    let link = format!("</v2/team/app/referrers/{app}?last=1>; rel=\"next\"");
    let first = || Fault::Status(200, vec![("content-type", kind.into()), ("link", link.clone())], body.clone());
    for next in [
        Fault::Status(404, vec![], error("MANIFEST_UNKNOWN")),
        Fault::Status(404, vec![], "404 page not found".into()),
        Fault::Status(200, vec![("content-type", kind.into())], "[".into()),
    ] {
        source.lie("GET", "/referrers/", 1, first());
        source.lie("GET", "/referrers/", 1, next);
        let error = Shelf::new(&source.host(), "team/app").repository.referrers(&app).unwrap_err();
        assert!(error.to_string().contains("next page is none"), "{error}");
    }
}

/// Without the API: one question about it for the whole host, one list of tags for each repository, and what the list does not name
/// is not asked for.
#[test]
fn one_list_of_tags_answers_for_all_manifests_of_a_repository() {
    let Some(mut source) = DockerRegistry::start(Options { access_log: true, ..Options::default() }) else { return };
    let user = User::with_key();
    let (app, lib) = (Shelf::new(&source.host(), "team/app"), Shelf::new(&source.host(), "team/lib"));
    let world = lay_out(&app, false);
    let (index, _) = lib.image("2", true);
    let sbom = lib.artifact(&index, SPDX, "lib");
    lib.fallback(&index, std::slice::from_ref(&sbom));
    source.start_again();
    let line = format!("pack {0}/team/app:1 {0}/team/app:2 {0}/team/lib:2 --key site --src-tls-verify=false OUT", source.host());
    user.run(&line).expect(0);
    let set = user.run("inspect OUT --json").expect(0).json();
    let images = set["sets"][0]["images"].as_array().unwrap();
    assert!([world.sbom, world.of_index, digest(&sbom)].iter().all(|d| images.iter().any(|i| i["digest"] == d.to_string())), "{set}");
    assert_eq!(images.len(), 3 + 5 + 1);
    let requests = source.requests();
    let count = |part: &str| requests.iter().filter(|(_, path)| path.contains(part)).count();
    assert_eq!((count("/referrers/"), count("/tags/list")), (1, 2), "{requests:?}");
    // Three tags of cosign's and three lists are there; each is asked for once, by its name.
    let by_tag: Vec<&str> = requests.iter().map(|(_, path)| path.as_str()).filter(|path| path.contains("/manifests/sha256-")).collect();
    let mut once = by_tag.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!((by_tag.len(), once.len()), (6, 6), "{by_tag:?}");
}
