//! Sources that are down, refuse, lie or change their mind: each with its exit number, the thing named, a remedy, and no secrets.

use crate::support::fleet::{self, Fleet, Stock, layout, push, small};
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::run::{Ran, User, files, holds};
use crate::support::servers::{Auth, DockerRegistry, Options as Server, Port};
use base64::Engine as _;
use sealift::digest::Digest;
use std::fs;

const PASSWORD: &str = "pa55w0rd-not-to-be-seen";

fn pack(user: &User, what: &str) -> Ran {
    user.run(&format!("pack {what} --key site --src-tls-verify=false OUT"))
}

/// A lying registry that holds one image `a/b:1`; its layer is the second blob.
fn lying(guard: Guard) -> (Lying, Stock, String) {
    let (source, stock) = (Lying::start(guard), small("a/b", "1", 3));
    hold(&source, &stock);
    let reference = format!("{}/a/b:1", source.host());
    (source, stock, reference)
}

fn hold(source: &Lying, stock: &Stock) {
    for blob in &stock.blobs {
        source.add_blob(blob);
    }
    for doc in &stock.docs {
        let tag = doc.tag.unwrap_or("untagged");
        source.add_manifest(stock.name, tag, std::str::from_utf8(&doc.bytes).unwrap(), doc.media_type);
    }
}

/// Nothing in OUT is a set, and nothing of one is left.
#[track_caller]
fn no_set(user: &User) {
    let left = if user.at("OUT").is_dir() { files(&user.at("OUT")) } else { Default::default() };
    assert!(left.is_empty(), "{:?}", left.keys());
}

#[test]
fn a_registry_that_is_down() {
    let user = User::with_key();
    let host = Port::free();
    pack(&user, &format!("{host}/a/b:1")).refused(20, "REGISTRY_UNREACHABLE", &[&host.to_string(), "refused"]);
    no_set(&user);
    pack(&user, "registry.invalid/a/b:1").refused(20, "REGISTRY_UNREACHABLE", &["registry.invalid"]);
}

/// An auth file with this password of `alice`.
fn auth_file(user: &User, host: &str, password: &str) {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("alice:{password}"));
    fs::write(user.at("auth.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#)).unwrap();
}

/// Neither the password nor its encoding is anywhere: on the screen, in OUT, in the workspace, in the log.
#[track_caller]
fn no_secret(user: &User, ran: &Ran) {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("alice:{PASSWORD}"));
    for secret in [PASSWORD, &pair] {
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{ran:?}");
        assert!(!holds(&user.home(), secret.as_bytes()));
        let work = files(&user.work());
        let telling: Vec<_> = work
            .iter()
            .filter(|(name, bytes)| *name != "auth.json" && bytes.windows(secret.len()).any(|w| w == secret.as_bytes()))
            .map(|(name, _)| name)
            .collect();
        assert!(telling.is_empty(), "{telling:?}");
    }
}

#[test]
fn logins_that_are_missing_wrong_or_right() {
    let auth = Auth::Htpasswd { user: "alice".into(), password: PASSWORD.into() };
    let Some(server) = DockerRegistry::start(Server { auth, ..Server::default() }) else { return };
    let (user, host) = (User::with_key(), server.host());
    let reference = format!("{host}/a/b:1");
    for extra in ["", " --json", " -v"] {
        let ran = pack(&user, &format!("{reference}{extra}"));
        assert_eq!(ran.exit, 21, "{ran:?}");
    }
    pack(&user, &reference).refused(21, "LOGIN_REFUSED", &[&host, "podman login"]);
    no_set(&user);
    auth_file(&user, &host, &PASSWORD.replace('5', "6"));
    pack(&user, &format!("{reference} --authfile auth.json")).refused(21, "LOGIN_REFUSED", &[&host, "with credentials", "log in again"]);
    auth_file(&user, &host, PASSWORD);
    let ran = pack(&user, &format!("{reference} --authfile auth.json -v")).refused(23, "SOURCE_MISSING", &["a/b"]);
    no_secret(&user, &ran);
    let layout = user.at("layout");
    fleet::layout(&layout, "1");
    let mut push = std::process::Command::new("skopeo");
    push.args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--dest-authfile", "auth.json", "oci:layout:1"]);
    push.arg(format!("docker://{reference}")).current_dir(user.work());
    crate::support::run::finish(push).expect(0);
    for extra in ["--json", "-v"] {
        let ran = pack(&user, &format!("{reference} --authfile auth.json {extra}")).expect(0);
        no_secret(&user, &ran);
    }
    let ran =
        user.run_with(&[("REGISTRY_AUTH_FILE", "auth.json")], &format!("plan {reference} --src-tls-verify=false -o plan.json")).expect(0);
    no_secret(&user, &ran);
    user.run("verify OUT").expect(0);
}

#[test]
fn forbidden_is_told_apart_from_missing() {
    let (source, _, reference) = lying(Guard::Open);
    let user = User::with_key();
    for method in ["HEAD", "GET"] {
        source.lie(method, "/manifests/", 100, Fault::Status(403, vec![], error("DENIED")));
    }
    auth_file(&user, &source.host(), PASSWORD);
    for words in [reference.clone(), format!("{reference} --authfile auth.json")] {
        let ran = pack(&user, &words).refused(21, "LOGIN_REFUSED", &[&reference]);
        no_secret(&user, &ran);
    }
    no_set(&user);
}

#[test]
fn a_token_service_that_refuses_is_told_without_the_password() {
    let (source, _, reference) = lying(Guard::Bearer);
    let user = User::with_key();
    auth_file(&user, &source.host(), PASSWORD);
    source.lie("GET", "/token", 100, Fault::Status(401, vec![], error("UNAUTHORIZED")));
    let ran = pack(&user, &format!("{reference} --authfile auth.json -v"));
    assert_eq!(ran.exit, 21, "{ran:?}");
    no_secret(&user, &ran);
}

#[test]
fn tags_and_repositories_that_are_not_there() {
    let (Some(fleet), user) = (Fleet::of(vec![small("a/b", "1", 3)]), User::with_key()) else { return };
    for what in ["a/b:2", "no/such:1"] {
        pack(&user, &format!("{}/{what}", fleet.host())).refused(23, "SOURCE_MISSING", &[what.split(':').next().unwrap(), &fleet.host()]);
    }
    let digest = Digest::sha256(b"nothing");
    pack(&user, &format!("{}/a/b@{digest}", fleet.host())).refused(23, "SOURCE_MISSING", &[&digest.to_string()[..19]]);
    no_set(&user);
}

#[test]
fn wrong_bytes_are_refused_and_the_next_run_goes_on() {
    let (source, stock, reference) = lying(Guard::Open);
    let user = User::with_key();
    let layer = Digest::sha256(&stock.blobs[1]);
    let path: &'static str = Box::leak(format!("/blobs/{layer}").into_boxed_str());
    let mut wrong = stock.blobs[1].clone();
    wrong[40_000] ^= 1;
    source.lie("GET", path, 1000, Fault::Body(wrong));
    pack(&user, &reference).refused(24, "SOURCE_WRONG", &[&layer.to_string(), &reference]);
    no_set(&user);
    // A new source on the same port's name is not needed: the lie has an end.
    let (honest, _, reference) = lying(Guard::Open);
    pack(&user, &reference).expect(0);
    assert!(honest.seen("GET", path)[0].range.is_none(), "wrong bytes are not kept to go on from");
    user.run("verify --deep OUT").expect(0);
}

#[test]
fn a_short_body_is_asked_for_again_from_where_it_ended() {
    let (source, stock, reference) = lying(Guard::Open);
    let user = User::with_key();
    let path: &'static str = Box::leak(format!("/blobs/{}", Digest::sha256(&stock.blobs[1])).into_boxed_str());
    source.lie("GET", path, 1, Fault::Cut(10_000));
    pack(&user, &reference).expect(0);
    assert!(source.seen("GET", path).iter().any(|seen| seen.range.is_some()), "{:?}", source.seen("GET", path));
    user.run("verify --deep OUT").expect(0);
    // A body that is whole by its own account and shorter than the manifest says is a lie.
    let (source, _, reference) = lying(Guard::Open);
    source.lie("GET", path, 1000, Fault::Body(stock.blobs[1][..10_000].to_vec()));
    let user = User::with_key();
    pack(&user, &reference).refused(24, "SOURCE_WRONG", &[path.strip_prefix("/blobs/").unwrap()]);
    no_set(&user);
}

#[test]
fn a_manifest_that_is_not_what_its_digest_says() {
    let (source, stock, reference) = lying(Guard::Open);
    let user = User::with_key();
    source.lie("GET", "/manifests/", 1000, Fault::Body(stock.docs[0].bytes[1..].to_vec()));
    pack(&user, &reference).refused(24, "SOURCE_WRONG", &[&stock.docs[0].digest().to_string()[..19]]);
    no_set(&user);
}

#[test]
fn a_source_that_asks_for_patience_gets_it() {
    let (source, _, reference) = lying(Guard::Open);
    let user = User::with_key();
    let later = || Fault::Status(429, vec![("retry-after", "1".into())], error("TOOMANYREQUESTS"));
    source.lie("HEAD", "/manifests/", 1, later());
    source.lie("GET", "/blobs/", 2, later());
    pack(&user, &reference).expect(0);
    user.run("verify OUT").expect(0);
}

#[test]
fn an_image_of_schema_1_cannot_be_carried() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let old = r#"{"schemaVersion":1,"name":"a/old","tag":"1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}"#;
    source.add_manifest("a/old", "1", old, "application/vnd.docker.distribution.manifest.v1+prettyjws");
    pack(&user, &format!("{}/a/old:1", source.host())).refused(25, "CANNOT_CARRY", &["a/old:1", "schema 1"]);
    no_set(&user);
}

/// One member of an index is not there: named, and nothing half is packed.
#[test]
fn an_index_whose_member_is_missing() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let stock = fleet::stocks().into_iter().find(|stock| stock.name == "team/multi").unwrap();
    hold(&source, &stock);
    let lost = stock.docs[1].digest();
    source.forget("team/multi", &lost.to_string());
    let name = format!("{}/team/multi:2", source.host());
    pack(&user, &name).refused(23, "SOURCE_MISSING", &[&name, &lost.to_string()]);
    no_set(&user);
    // For the other platform nothing is missing.
    pack(&user, &format!("{name} --platform linux/amd64")).expect(0);
}

#[test]
fn content_under_a_sha512_cannot_be_carried() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let digest = "a".repeat(128);
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha512:{digest}","size":2}},"layers":[]}}"#
    );
    source.add_manifest("a/b", "1", &manifest, "application/vnd.oci.image.manifest.v1+json");
    pack(&user, &format!("{}/a/b:1", source.host())).refused(25, "CANNOT_CARRY", &["a/b:1", "sha512"]);
    no_set(&user);
}

/// The limit of pulls is reached, and the registry says so: what to do is told, and waiting is long.
#[test]
fn a_registry_that_counts_pulls_says_how_many_are_left() {
    let (source, _, reference) = lying(Guard::Open);
    let user = User::with_key();
    let headers = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600"), ("retry-after", "1")];
    let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
    source.lie("HEAD", "/manifests/", 100, Fault::Status(429, headers, error("TOOMANYREQUESTS")));
    let ran = pack(&user, &reference).refused(20, "REGISTRY_FAILED", &["0 of 100 pulls in 6 h are left", "podman login", "after 6 h"]);
    assert_eq!(ran.err.matches("the limit of pulls is reached").count(), 1, "{}", ran.err);
    no_set(&user);
}

/// Who left a file with passwords open to others is told, once; nothing of it is shown.
#[test]
fn a_file_of_passwords_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let auth = Auth::Htpasswd { user: "alice".into(), password: PASSWORD.into() };
    let Some(server) = DockerRegistry::start(Server { auth, ..Server::default() }) else { return };
    let (user, host) = (User::with_key(), server.host());
    auth_file(&user, &host, PASSWORD);
    for (mode, warned) in [(0o644, 1), (0o640, 1), (0o600, 0)] {
        fs::set_permissions(user.at("auth.json"), fs::Permissions::from_mode(mode)).unwrap();
        let ran = pack(&user, &format!("{host}/a/b:1 {host}/c/d:1 --authfile auth.json")).refused(23, "SOURCE_MISSING", &["a/b"]);
        assert_eq!(ran.err.matches("auth.json holds passwords and can be read by other users").count(), warned, "{}", ran.err);
        no_secret(&user, &ran);
    }
}

#[test]
fn a_tag_that_moves_after_the_plan_is_told_and_the_plan_is_kept() {
    let (Some(fleet), user) = (Fleet::of(vec![small("a/b", "1", 3)]), User::with_key()) else { return };
    let planned = fleet.stocks[0].docs[0].digest();
    user.run(&format!("plan {}/a/b:1 --src-tls-verify=false -o plan.json", fleet.host())).expect(0);
    push(&fleet.host(), &small("a/b", "1", 4));
    let ran = pack(&user, "plan.json").expect(0);
    assert!(ran.err.contains("warning: ") && ran.err.contains("a/b:1 has moved since it was planned"), "{}", ran.err);
    let set = user.run("inspect OUT --json").expect(0).json();
    assert_eq!(set["sets"][0]["images"][0]["digest"], planned.to_string().as_str());
}

#[test]
fn two_images_on_one_name_are_refused_before_a_blob_is_fetched() {
    let (one, two, user) = (Lying::start(Guard::Open), Lying::start(Guard::Open), User::with_key());
    hold(&one, &small("a/b", "1", 3));
    hold(&two, &small("a/b", "1", 4));
    let ran = pack(&user, &format!("{}/a/b:1 {}/a/b:1", one.host(), two.host()));
    ran.refused(26, "NAME_COLLISION", &["a/b:1", &one.host(), &two.host()]);
    assert!(one.seen("GET", "/blobs/").is_empty() && two.seen("GET", "/blobs/").is_empty());
    no_set(&user);
    // The same image from two places is no collision.
    hold(&two, &small("a/b", "1", 3));
    pack(&user, &format!("{}/a/b:1 {}/a/b:1", one.host(), two.host())).expect(0);
}

#[test]
fn files_of_the_user_that_cannot_be_used() {
    let user = User::with_key();
    let set = |mirror: &str| format!("kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n{mirror}");
    for (text, code, told) in [
        ("kind: [\nmirror: }".to_owned(), "BAD_IMAGESET", "line 2"),
        (set("  additionalImages:\n  - nam: quay.io/a/b:1\n"), "BAD_IMAGESET", "line 5"),
        (set("  additionalImages:\n  - name: 'Quay.IO/A B'\n"), "BAD_IMAGESET", "line 5"),
    ] {
        fs::write(user.at("set.yaml"), text).unwrap();
        pack(&user, "set.yaml").refused(2, code, &[told, "set.yaml"]);
    }
    pack(&user, "absent.yaml").refused(2, "FILE_MISSING", &["absent.yaml"]);
    fs::write(user.at("plan.json"), "{}").unwrap();
    pack(&user, "plan.json").refused(2, "BAD_DOCUMENT", &["plan"]);
    pack(&user, "quay.io/a/b").refused(2, "BAD_REFERENCE", &["quay.io/a/b"]);
    pack(&user, "oci:nowhere:1").refused(2, "FILE_MISSING", &["nowhere"]);
    user.run("pack quay.io/a/b:1 --key absent OUT").expect(2);
    assert!(!user.at("OUT").exists() || files(&user.at("OUT")).is_empty());
}

#[test]
fn keep_going_packs_the_rest_and_lists_what_is_missing() {
    let (Some(fleet), user) = (Fleet::of(vec![small("a/b", "1", 3), small("c/d", "1", 4)]), User::with_key()) else { return };
    let host = fleet.host();
    let what = format!("{host}/a/b:1 {host}/no/such:1 {host}/c/d:1");
    // Without it nothing is packed, and what could be fetched is kept.
    pack(&user, &what).refused(23, "SOURCE_MISSING", &["no/such:1", "1 of 3"]);
    no_set(&user);
    let ran = pack(&user, &format!("{what} --keep-going --json"));
    let told = ran.expect(3).json();
    assert_eq!((&told["code"], &told["details"][0]["code"]), (&"PARTIAL".into(), &"SOURCE_MISSING".into()));
    assert_eq!(told["details"][0]["subject"], format!("{host}/no/such:1").as_str());
    let set = user.run("inspect OUT --json").expect(0).json()["sets"][0].clone();
    assert_eq!(set["images"].as_array().unwrap().len(), 2);
    assert_eq!((&set["missing"][0]["name"], &set["missing"][0]["code"]), (&format!("{host}/no/such:1").into(), &"SOURCE_MISSING".into()));
    user.run("verify --deep OUT").expect(0);
    // Nothing at all is no set, keep going or not.
    pack(&user, &format!("{host}/no/such:1 --keep-going")).refused(23, "SOURCE_MISSING", &["no/such:1"]);
}

#[test]
fn what_was_fetched_before_a_failure_is_not_fetched_again() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let (good, bad) = (small("a/b", "1", 3), small("c/d", "1", 4));
    hold(&source, &good);
    hold(&source, &bad);
    let path: &'static str = Box::leak(format!("/blobs/{}", Digest::sha256(&bad.blobs[1])).into_boxed_str());
    source.lie("GET", path, 1, Fault::Status(404, vec![], error("BLOB_UNKNOWN")));
    let what = format!("{host}/a/b:1 {host}/c/d:1", host = source.host());
    pack(&user, &what).refused(23, "SOURCE_MISSING", &["c/d:1"]);
    no_set(&user);
    pack(&user, &what).expect(0);
    for blob in &good.blobs {
        let asked = source.seen("GET", &format!("/blobs/{}", Digest::sha256(blob)));
        assert_eq!(asked.len(), 1, "{asked:?}");
    }
    user.run("verify --deep OUT").expect(0);
}

#[test]
fn a_finished_set_of_other_content_is_not_overwritten() {
    let (Some(fleet), user) = (Fleet::of(vec![small("a/b", "1", 3), small("c/d", "1", 4)]), User::with_key()) else { return };
    pack(&user, &format!("{}/a/b:1 --sequence 5", fleet.host())).expect(0);
    let before = files(&user.at("OUT"));
    // Somebody else, whose own ledger knows nothing of sequence 5.
    let other = user.twin();
    let out = user.at("OUT");
    let line = format!("pack {}/c/d:1 --key site --src-tls-verify=false --sequence 5 {}", fleet.host(), out.display());
    other.run(&line).refused(32, "NOT_EMPTY", &["OUT", "default-5"]);
    crate::support::run::assert_same(&files(&out), &before, "the first set");
    // Beside it is room for others.
    other.run(&line.replace("--sequence 5", "--sequence 6")).expect(0);
    user.run("verify OUT").expect(0);
}

#[test]
fn one_folder_and_one_run_at_a_time() {
    let (source, stock, reference) = lying(Guard::Open);
    let user = User::with_key();
    let path: &'static str = Box::leak(format!("/blobs/{}", Digest::sha256(&stock.blobs[1])).into_boxed_str());
    source.lie("GET", path, 1, Fault::Hang(1000));
    let mut first = user.sealift();
    first.args(format!("pack {reference} --key site --src-tls-verify=false OUT").split(' ')).stderr(std::process::Stdio::null());
    let mut first = first.spawn().unwrap();
    while source.seen("GET", path).is_empty() {
        std::thread::yield_now();
    }
    pack(&user, &format!("{reference} --workspace W")).refused(32, "IN_USE", &["OUT"]);
    first.kill().unwrap();
    first.wait().unwrap();
    pack(&user, &reference).expect(0);
}

#[test]
fn a_blob_that_fails_late_takes_only_its_image_along() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let (good, bad) = (small("a/b", "1", 3), small("c/d", "1", 4));
    hold(&source, &good);
    hold(&source, &bad);
    let path: &'static str = Box::leak(format!("/blobs/{}", Digest::sha256(&bad.blobs[1])).into_boxed_str());
    source.lie("GET", path, 1000, Fault::Body(vec![7; bad.blobs[1].len()]));
    let what = format!("{host}/c/d:1 {host}/a/b:1", host = source.host());
    let ran = pack(&user, &format!("{what} --keep-going")).refused(3, "PARTIAL", &["c/d:1", "SOURCE_WRONG"]);
    assert!(ran.out.contains(": 1 image, "), "{}", ran.out);
    let set = user.run("inspect OUT --json").expect(0).json()["sets"][0].clone();
    assert_eq!((&set["missing"][0]["code"], set["images"].as_array().unwrap().len()), (&"SOURCE_WRONG".into(), 1));
    assert!(user.run("inspect OUT").expect(0).out.contains("NOT in the set: "), "a person is told as well");
    user.run("verify --deep OUT").expect(0);
}

#[test]
fn a_failure_as_json_has_the_same_members() {
    let user = User::with_key();
    let host = Port::free();
    let told = pack(&user, &format!("{host}/a/b:1 --json")).expect(20).json();
    assert_eq!((&told["ok"], &told["code"], &told["exit"]), (&false.into(), &"REGISTRY_UNREACHABLE".into(), &20.into()));
    assert!(told["remedy"].as_str().unwrap().len() > 10 && told["error"].as_str().unwrap().contains("1 of 1"));
    assert!(told["details"][0]["subject"].as_str().unwrap().contains(&host.to_string()));
}

#[test]
fn two_runs_at_once_share_a_workspace_and_a_ledger() {
    let (Some(fleet), user) = (Fleet::of(vec![small("a/b", "1", 3), small("c/d", "1", 4)]), User::with_key()) else { return };
    let start = |image: &str, run: u32| {
        let mut command = user.sealift();
        let line = format!("pack {}/{image}:1 {}/a/b:1 --key site --src-tls-verify=false OUT{run}", fleet.host(), fleet.host());
        command.args(line.split(' '));
        std::thread::spawn(move || crate::support::run::finish(command))
    };
    let runs: Vec<_> = (1..=6).map(|n| start(if n % 2 == 0 { "a/b" } else { "c/d" }, n)).collect();
    for run in runs {
        run.join().unwrap().expect(0);
    }
    let checks = (1..=6).map(|n| {
        let mut command = user.sealift();
        command.args(["verify", "--deep", &format!("OUT{n}")]);
        std::thread::spawn(move || crate::support::run::finish(command))
    });
    for check in checks.collect::<Vec<_>>() {
        let ran = check.join().unwrap().expect(0);
        assert!(!ran.err.contains("warning"), "{}", ran.err);
    }
    let log = fs::read_to_string(user.home().join("state/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 6, "each check is in the log");
}

#[test]
fn secrets_of_proxies_references_and_keys_are_not_repeated() {
    let user = User::with_key();
    let down = Port::free();
    let proxy = format!("http://alice:{PASSWORD}@{down}");
    let variables = [("http_proxy", proxy.as_str()), ("https_proxy", proxy.as_str())];
    let ran = user.run_with(&variables, "pack registry.invalid:5000/a/b:1 --src-tls-verify=false -v OUT").expect(20);
    no_secret(&user, &ran);
    let ran = pack(&user, &format!("alice:{PASSWORD}@registry.invalid/a/b:1")).expect(2);
    no_secret(&user, &ran);
    let ran = pack(&user, &format!("https://alice:{PASSWORD}@registry.invalid/a/b:1 --json")).expect(2);
    no_secret(&user, &ran);

    fleet::layout(&user.at("layout"), "1");
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", PASSWORD, "-f", "locked"]).current_dir(user.work());
    crate::support::run::finish(keygen).expect(0);
    let line = "pack oci:layout:1 --key ./locked -v OUT";
    user.run(line).refused(2, "USAGE", &["passphrase", "--passphrase-file"]);
    user.run_with(&[("SEALIFT_PASSPHRASE", "wrong")], line).refused(2, "BAD_KEY", &["locked"]);
    no_set_or_folder(&user);
    let ran = user.run_with(&[("SEALIFT_PASSPHRASE", PASSWORD)], line).expect(0);
    no_secret(&user, &ran);
}

/// Nothing was begun: the key is looked at before anything else.
#[track_caller]
fn no_set_or_folder(user: &User) {
    assert!(!user.at("OUT").exists() || files(&user.at("OUT")).is_empty());
}

/// Names as `unpack --to oci:DIR` gives them.
#[test]
fn images_of_a_layout_are_named_as_it_names_them() {
    let user = User::with_key();
    layout(&user.at("LB"), "corpus/python:v1");
    pack(&user, "oci:LB:corpus/python:v1 --stream a").expect(0);
    let shown = user.run("inspect OUT --json").expect(0).json();
    let image = &shown["sets"][0]["images"][0];
    assert_eq!((&image["repository"], &image["tag"]), (&"corpus/python".into(), &"v1".into()), "{shown}");
    // In a file of the user, and in a plan that was saved.
    let set = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n  - name: ";
    fs::write(user.at("set.yaml"), format!("{set}oci:LB:corpus/python:v1\n")).unwrap();
    user.run("plan set.yaml -o plan.json").expect(0);
    let ran = user.run("pack plan.json --key site OUT2").expect(0);
    assert!(!ran.err.contains("warning"), "{}", ran.err);
    // A folder with a colon in its own name.
    layout(&user.at("odd:dir"), "v1");
    user.run("pack oci:odd:dir:v1 --key site --stream b OUT3").expect(0);
    pack(&user, "oci:LB:corpus/perl:v1").refused(23, "SOURCE_MISSING", &["corpus/perl:v1", "corpus/python:v1"]);
}

#[test]
fn several_images_of_a_layout_are_offered_by_name() {
    let user = User::with_key();
    layout(&user.at("LB"), "corpus/python:v1");
    let index = user.at("LB/index.json");
    let mut list: serde_json::Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    let mut second = list["manifests"][0].clone();
    let config = fs::read_dir(user.at("LB/blobs/sha256")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let other = config.map(|hex| format!("sha256:{hex}")).find(|digest| second["digest"] != digest.as_str()).unwrap();
    second["digest"] = other.into();
    second["annotations"]["org.opencontainers.image.ref.name"] = "corpus/perl:v1".into();
    list["manifests"].as_array_mut().unwrap().push(second);
    fs::write(&index, list.to_string()).unwrap();
    pack(&user, "oci:LB").refused(2, "BAD_REFERENCE", &["corpus/perl:v1", "oci:LB:corpus/python:v1"]);
    pack(&user, "oci:LB:v1").refused(2, "BAD_REFERENCE", &["corpus/perl:v1", "oci:LB:corpus/python:v1"]);
    pack(&user, "oci:LB:corpus/python:v1").expect(0);
}
