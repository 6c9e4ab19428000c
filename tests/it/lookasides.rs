//! OpenPGP signatures of images in lookasides, made by gpg and by skopeo: judged where images are pulled, carried, and judged inside
//! from the set alone.

use crate::support::attached::Shelf;
use crate::support::lying::{Guard, Lying};
use crate::support::openpgp::{TestKey, document};
use crate::support::run::{Ran, User};
use crate::support::servers::{DockerRegistry, Options};
use crate::support::skip;
use sealift::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A user, a registry with an image, a key, and a lookaside folder.
struct World {
    user: User,
    source: Lying,
    shelf: Shelf,
    image: Digest,
    key: TestKey,
}

impl World {
    fn new() -> Option<World> {
        let Some(key) = TestKey::new("signer@test") else {
            skip("no gpg");
            return None;
        };
        let (user, source) = (User::with_key(), Lying::start(Guard::Open));
        let shelf = Shelf::new(&source.host(), "team/app");
        let (image, _) = shelf.image("1", false);
        fs::write(user.at("signer.asc"), key.public()).unwrap();
        fs::create_dir(user.at("store")).unwrap();
        Some(World { user, source, shelf, image, key })
    }

    fn name(&self) -> String {
        format!("{}/team/app", self.source.host())
    }

    fn folder(&self, digest: &Digest) -> PathBuf {
        self.user.at("store").join(format!("team/app@sha256={}", digest.hex()))
    }

    fn lay(&self, digest: &Digest, number: u32, message: &[u8]) {
        fs::create_dir_all(self.folder(digest)).unwrap();
        fs::write(self.folder(digest).join(format!("signature-{number}")), message).unwrap();
    }

    fn sign(&self, digest: &Digest, name: &str) -> Vec<u8> {
        self.key.sign_release(digest, name)
    }

    fn requirement(&self) -> Value {
        json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": self.user.at("signer.asc")})
    }

    fn policy(&self, requirement: &Value) {
        let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {self.source.host(): [requirement]}}});
        fs::write(self.user.at("policy.json"), policy.to_string()).unwrap();
    }

    /// `registries.d` of the user, as podman reads it.
    fn configured(&self, text: &str) {
        let folder = self.user.at(".config/containers/registries.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("test.yaml"), text).unwrap();
    }

    fn pack(&self, more: &str) -> Ran {
        let line = format!("pack {}:1 --key site --src-tls-verify=false {more} OUT", self.name());
        self.user.run(&line.replace("  ", " "))
    }

    /// Accepted where it is pulled, and inside without anything but the set.
    #[track_caller]
    fn accepted(&self) {
        self.pack("--lookaside store --policy policy.json").expect(0);
        self.user.run("verify OUT --policy policy.json").expect(0);
        fs::remove_dir_all(self.user.at("OUT")).unwrap();
    }

    /// Refused where it is pulled, and inside should it have been packed without the policy.
    #[track_caller]
    fn refused(&self, why: &str) {
        self.pack("--lookaside store --policy policy.json").refused(19, "POLICY_REFUSED", &["team/app:1", why]);
        assert!(!self.user.at("OUT").join("README.txt").exists());
        self.pack("--lookaside store").expect(0);
        self.user.run("verify OUT --policy policy.json").refused(19, "POLICY_REFUSED", &["team/app:1", why]);
        fs::remove_dir_all(self.user.at("OUT")).unwrap();
    }
}

#[test]
fn a_good_signature_travels_and_is_judged_on_both_sides() {
    let Some(world) = World::new() else { return };
    let message = world.sign(&world.image, &format!("{}:1", world.name()));
    world.lay(&world.image, 1, &message);
    world.policy(&world.requirement());
    world.configured(&format!("docker:\n  {}:\n    lookaside: file://{}\n", world.source.host(), world.user.at("store").display()));
    let planned = world.user.run(&format!("plan {}:1 --policy policy.json --src-tls-verify=false", world.name())).expect(0);
    assert!(planned.out.contains("OpenPGP signatures of images, from lookasides: 1"), "{}", planned.out);
    world.pack("--policy policy.json").expect(0);
    drop(world.source);
    fs::remove_dir_all(world.user.at("store")).unwrap();
    let verified = world.user.run("verify OUT --policy policy.json --json").expect(0).json();
    assert_eq!(verified["sets"][0]["policy"], json!({"accepted": 1, "refused": 0, "made": 0}));
    // The same by a binary keyring in the policy itself, and by one of several files.
    let binary = base64_of(&world.key.gpg(&["--export"], b""));
    for source in [json!({"keyData": binary}), json!({"keyPaths": [world.user.at("signer.asc")]})] {
        let mut requirement = json!({"type": "signedBy", "keyType": "GPGKeys"});
        requirement.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        let policy = json!({"default": [requirement]});
        fs::write(world.user.at("policy.json"), policy.to_string()).unwrap();
        world.user.run("verify OUT --policy policy.json").expect(0);
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn what_is_lacking_is_told() {
    let (Some(world), Some(other)) = (World::new(), TestKey::new("other@test")) else { return };
    let name = format!("{}:1", world.name());
    world.policy(&world.requirement());
    world.refused("no signature holds");
    let told = |message: &[u8], why: &str| {
        world.lay(&world.image, 1, message);
        world.refused(why);
    };
    told(&other.sign_release(&world.image, &name), &other.fingerprint);
    told(&world.sign(&Digest::sha256(b"another"), &name), "not for sha256:");
    told(&world.sign(&world.image, "quay.io/other/app:1"), "quay.io/other/app:1");
    told(&world.sign(&world.image, &world.name()), "signedIdentity");
    told(b"<html>log in</html>", "not a signature");
    let extra = document(&world.image, &name).replacen("\"critical\":{", "\"critical\":{\"new\":1,", 1);
    told(&world.key.sign(extra.as_bytes()), "unknown field");
    let cosign = document(&world.image, &name).replace("atomic container signature", "cosign container image signature");
    told(&world.key.sign(cosign.as_bytes()), "not an atomic container signature");
    // A bad one does not stand in the way of a good one.
    world.lay(&world.image, 2, &world.sign(&world.image, &name));
    world.accepted();
    // A gap ends the list.
    fs::rename(world.folder(&world.image).join("signature-2"), world.folder(&world.image).join("signature-3")).unwrap();
    world.refused("not an atomic container signature");
}

#[test]
fn identities_are_compared_as_the_policy_says() {
    let Some(world) = World::new() else { return };
    let identity = |identity: Value| {
        let mut requirement = world.requirement();
        requirement["signedIdentity"] = identity;
        world.policy(&requirement);
    };
    world.lay(&world.image, 1, &world.sign(&world.image, &format!("{}:other", world.name())));
    identity(json!({"type": "matchExact"}));
    world.refused("signedIdentity");
    identity(json!({"type": "matchRepository"}));
    world.accepted();
    world.lay(&world.image, 1, &world.sign(&world.image, "quay.io/team/app:1"));
    world.refused("quay.io/team/app:1");
    for good in [
        json!({"type": "remapIdentity", "prefix": world.source.host(), "signedPrefix": "quay.io"}),
        json!({"type": "exactReference", "dockerReference": "quay.io/team/app:1"}),
        json!({"type": "exactRepository", "dockerRepository": "quay.io/team/app"}),
    ] {
        identity(good);
        world.accepted();
    }
}

#[test]
fn one_changed_bit_is_refused() {
    let Some(world) = World::new() else { return };
    let claim = document(&world.image, &format!("{}:1", world.name()));
    let good = world.key.gpg(&["--digest-algo", "SHA256", "--compress-algo", "none", "--sign"], claim.as_bytes());
    world.policy(&world.requirement());
    let document_at = good.windows(8).position(|w| w == b"critical").unwrap();
    for at in [0, 5, document_at, document_at + 60, good.len() - 40, good.len() - 1] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        world.lay(&world.image, 1, &changed);
        world.pack("--lookaside store --policy policy.json").refused(19, "POLICY_REFUSED", &["no signature holds"]);
    }
    world.lay(&world.image, 1, &good);
    world.accepted();
}

#[test]
fn expired_keys_and_signatures_do_not_count() {
    let Some(world) = World::new() else { return };
    let name = format!("{}:1", world.name());
    world.policy(&world.requirement());
    let past = world.key.gpg(&["--faked-system-time", "20300101T000000", "--sign"], document(&world.image, &name).as_bytes());
    world.lay(&world.image, 1, &past);
    world.refused("clock");
    let Some(old) = TestKey::of("old@test", &["rsa2048", "sign", "1d"], &["--faked-system-time", "20200101T000000"]) else { return };
    let message =
        old.gpg(&["--faked-system-time", "20200101T010000", "--digest-algo", "SHA256", "--sign"], document(&world.image, &name).as_bytes());
    fs::write(world.user.at("signer.asc"), old.public()).unwrap();
    world.lay(&world.image, 1, &message);
    world.refused("has expired");
}

/// An owner publishes what `gpg --gen-revoke` made: people append it to the file of the key, or name it beside that.
#[test]
fn a_revocation_certificate_counts_wherever_it_lies() {
    let Some(world) = World::new() else { return };
    let message = world.sign(&world.image, &format!("{}:1", world.name()));
    world.lay(&world.image, 1, &message);
    world.policy(&world.requirement());
    world.accepted();
    // gpg makes it with the key, with a colon in front so that nobody uses it by mistake.
    let made = world.key.home().join(format!("openpgp-revocs.d/{}.rev", world.key.fingerprint));
    let revocation = fs::read_to_string(made).unwrap().replace(":-----BEGIN", "-----BEGIN");
    let public = String::from_utf8(world.key.public()).unwrap();
    let other = TestKey::new("other@test").unwrap();
    let others = String::from_utf8(other.public()).unwrap();
    for text in [format!("{public}{revocation}"), format!("{revocation}{public}")] {
        fs::write(world.user.at("signer.asc"), text).unwrap();
        world.refused("revoked by its owner");
    }
    // That of somebody else says nothing, and by itself it is no key.
    fs::write(world.user.at("signer.asc"), &public).unwrap();
    let made = other.home().join(format!("openpgp-revocs.d/{}.rev", other.fingerprint));
    let foreign = fs::read_to_string(made).unwrap().replace(":-----BEGIN", "-----BEGIN");
    fs::write(world.user.at("signer.asc"), format!("{public}{foreign}")).unwrap();
    world.accepted();
    fs::write(world.user.at("other.asc"), format!("{others}{revocation}")).unwrap();
    world.policy(&json!({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": [world.user.at("other.asc"), world.user.at("signer.asc")]}));
    world.refused("revoked by its owner");
    fs::write(world.user.at("signer.asc"), revocation).unwrap();
    world.policy(&world.requirement());
    world.refused("there is no OpenPGP key in it");
}

/// Keyrings of gpg have packets of its own between a key and what is signed about it (RFC 9580, section 5.10): they are to be
/// passed over, not to part the two.
#[test]
fn packets_that_mean_nothing_hide_no_revocation() {
    let Some(world) = World::new() else { return };
    let message = world.sign(&world.image, &format!("{}:1", world.name()));
    world.lay(&world.image, 1, &message);
    world.policy(&world.requirement());
    // Trust, a marker, and one of a kind that a reader may not know.
    let noise = [0xb0, 2, 0, 0, 0xca, 3, b'P', b'G', b'P', 0xe8, 1, 0];
    let with_noise = |key: &[u8]| {
        let end = 3 + usize::from(u16::from_be_bytes([key[1], key[2]]));
        assert_eq!(key[0], 0x99, "a primary key with a length of two bytes");
        [&key[..end], &noise, &key[end..]].concat()
    };
    fs::write(world.user.at("signer.asc"), with_noise(&world.key.gpg(&["--export"], b""))).unwrap();
    world.accepted();
    let made = world.key.home().join(format!("openpgp-revocs.d/{}.rev", world.key.fingerprint));
    let revocation = fs::read_to_string(made).unwrap().replace(":-----BEGIN", "-----BEGIN");
    world.key.gpg(&["--import"], revocation.as_bytes());
    fs::write(world.user.at("signer.asc"), with_noise(&world.key.gpg(&["--export"], b""))).unwrap();
    world.refused("revoked by its owner");
}

#[test]
fn an_image_without_lookaside_is_refused_and_where_to_name_one_is_told() {
    let Some(world) = World::new() else { return };
    world.policy(&world.requirement());
    let told = world.pack("--policy policy.json").refused(19, "POLICY_REFUSED", &["no lookaside"]);
    assert!(told.err.contains("registries.d") && told.err.contains("--lookaside"), "{}", told.err);
    // A store that cannot be asked is not one without signatures.
    world.pack("--policy policy.json --lookaside http://127.0.0.1:1/x").refused(19, "POLICY_REFUSED", &["127.0.0.1:1"]);
    let without = world.pack("--lookaside http://127.0.0.1:1/x").expect(0);
    assert!(without.err.contains("could not be had and are not carried"), "{}", without.err);
    let inside =
        world.user.run("verify OUT --policy policy.json").refused(19, "POLICY_REFUSED", &["no OpenPGP signature of it lies in the set"]);
    assert!(inside.err.contains("registries.d") && inside.err.contains("--lookaside"), "{}", inside.err);
    world.configured("docker:\n  quay.io:\n    lookaside: ftp://x\n");
    world.pack("").refused(2, "BAD_DOCUMENT", &["test.yaml", "ftp://x"]);
    world.pack("--no-referrers --lookaside store").expect(2);
}

#[test]
fn a_server_is_a_lookaside_and_scopes_choose() {
    let Some(world) = World::new() else { return };
    world.policy(&world.requirement());
    let host = world.source.host();
    let line = format!("--policy policy.json --lookaside {host}/team=http://{host}/signatures --lookaside store");
    world.pack(&line).refused(19, "POLICY_REFUSED", &["there is none"]);
    let paths: Vec<String> = world.source.seen("GET", "/signatures/").into_iter().map(|seen| seen.path).collect();
    assert!(paths.contains(&format!("/signatures/team/app@sha256={}/signature-1", world.image.hex())), "{paths:?}");
}

/// A store behind a login is opened by the login that is stored for its host, and by no other.
#[test]
fn a_store_behind_a_login_is_asked_with_the_stored_one() {
    let Some(world) = World::new() else { return };
    world.policy(&world.requirement());
    let store = Lying::start(Guard::Basic);
    let auth = |host: &str| {
        let login = json!({"auths": {host: {"auth": base64_of(b"alice:secret")}}});
        fs::write(world.user.at("auth.json"), login.to_string()).unwrap();
    };
    let line = format!("--policy policy.json --authfile auth.json --lookaside http://{}/signatures", store.host());
    auth(&world.source.host());
    world.pack(&line).refused(19, "POLICY_REFUSED", &["refuses: 401"]);
    let logins = |server: &Lying| server.seen("GET", "/signatures/").into_iter().filter_map(|seen| seen.authorization).collect::<Vec<_>>();
    assert_eq!(logins(&store), Vec::<String>::new(), "that of another host");
    auth(&store.host());
    world.pack(&line).refused(19, "POLICY_REFUSED", &["there is none"]);
    assert!(!logins(&store).is_empty() && logins(&store).iter().all(|login| login == "Basic YWxpY2U6c2VjcmV0"));
    assert!(world.source.seen("GET", "/").iter().all(|seen| seen.authorization.is_none()));
}

/// Of an index the members are signed: each member's signatures travel.
#[test]
fn members_of_an_index_are_asked_about() {
    let Some(world) = World::new() else { return };
    let (_, members) = world.shelf.image("2", true);
    members.iter().for_each(|member| world.lay(member, 1, &world.sign(member, &format!("{}:2", world.name()))));
    world.policy(&world.requirement());
    let line = format!("pack {}:2 --key site --src-tls-verify=false --policy policy.json --lookaside store OUT", world.name());
    world.user.run(&line).expect(0);
    world.user.run("verify OUT --policy policy.json").expect(0);
}

/// skopeo signs into a lookaside that registries.d names; what it wrote is taken. And what was carried, skopeo takes.
#[test]
fn skopeo_signs_and_verifies_the_same() {
    let Some(world) = World::new() else { return };
    if Command::new("skopeo").arg("--version").output().is_err() {
        return skip("no skopeo");
    }
    let server = || DockerRegistry::start(Options::default());
    let (Some(source), Some(target)) = (server(), server()) else { return skip("no docker-registry") };
    let (host, store) = (source.host(), world.user.at("store"));
    Shelf::new(&host, "team/app").image("1", false);
    world.configured(&format!("docker:\n  {host}:\n    lookaside: file://{}\n", store.display()));
    let skopeo = |words: &[&str]| {
        let mut command = Command::new("skopeo");
        command.args(words).env("GNUPGHOME", world.key.home()).env("HOME", world.user.work()).env_remove("XDG_CONFIG_HOME");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let (from, to) = (format!("docker://{host}/team/app:1"), format!("docker://{host}/team/signed:1"));
    let fingerprint = &world.key.fingerprint;
    skopeo(&["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--sign-by", fingerprint, &from, &to]);
    fs::write(world.user.at("policy.json"), json!({"default": [world.requirement()]}).to_string()).unwrap();
    let line = format!("pack {host}/team/signed:1 --key site --src-tls-verify=false --policy policy.json OUT");
    world.user.run(&line).expect(0);
    fs::remove_dir_all(&store).unwrap();
    world.user.run("verify OUT --policy policy.json").expect(0);

    // Inside: the signatures lie in a folder that podman reads, for the name the image has there.
    world.user.run(&format!("unpack OUT --to {}/in --dest-tls-verify=false --first", target.host())).expect(0);
    world.user.run(&format!("resources --to {}/in -o RES", target.host())).expect(0);
    let config = world.user.at("RES/registries.d/sealift.yaml");
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(&format!("\"{}/in\":", target.host())), "{text}");
    let lookaside = world.user.at("RES/lookaside");
    fs::write(&config, text.replace("/var/lib/containers/sigstore", &lookaside.display().to_string())).unwrap();
    let signed_as = format!("{host}/team/signed:1");
    let identity = json!({"type": "exactReference", "dockerReference": signed_as});
    let mut requirement = world.requirement();
    requirement["signedIdentity"] = identity;
    let policy = world.user.at("inside.json");
    fs::write(&policy, json!({"default": [requirement]}).to_string()).unwrap();
    let (inside, copy) = (format!("docker://{}/in/team/signed:1", target.host()), world.user.at("copy"));
    let (policy, config) = (policy.display().to_string(), world.user.at("RES/registries.d").display().to_string());
    let into = format!("dir:{}", copy.display());
    skopeo(&["--policy", &policy, "--registries.d", &config, "copy", "--src-tls-verify=false", &inside, &into]);
    let manifest = copy.join("manifest.json");
    let digest = Digest::sha256(&fs::read(&manifest).unwrap());
    let signature = lookaside.join(format!("in/team/signed@sha256={}/signature-1", digest.hex()));
    let (manifest, signature) = (manifest.display().to_string(), signature.display().to_string());
    let keys = ["standalone-verify", &manifest, &signed_as, fingerprint, &signature];
    skopeo(&keys);
}
