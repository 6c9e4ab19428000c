//! `sealift verify release:DIGEST`: a release signature proven by hand.

use crate::support::openpgp::TestKey;
use crate::support::run::in_process;
use crate::support::{shared_data, skip};
use sealift::digest::Digest;
use sealift::openshift::signature::RED_HAT_RELEASE_2;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const REFERENCE: &str = "quay.io/openshift-release-dev/ocp-release:4.17.2-x86_64";
const RELEASE_4_15_0: &str = "sha256:0da6316466d60a3a4535d5fed3589feb0391989982fba59d47d4c729912d6363";
const RHEL_7_6: &str = "sha256:e3f12513a4b22a2d7c0e7c9207f52128113758d9d68c7d06b11a0ac7672966f7";
const NIGHTLY: &str = "sha256:edd9824f0404f1a139688017e7001370e2f3fbc088b94da84506653b473fe140";

/// A home, and files beside it.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        Desk(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.at(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Exit number, standard output, standard error.
    fn verify(&self, release: &str, more: &[&str]) -> (u8, String, String) {
        let release = format!("release:{release}");
        let words = [&["sealift", "verify", &release], more].concat();
        in_process(&[("SEALIFT_HOME", self.at("home").to_str().unwrap())], &words)
    }

    fn json(&self, release: &str, more: &[&str]) -> (u8, Value) {
        let (exit, out, _) = self.verify(release, &[more, &["--json"]].concat());
        (exit, serde_json::from_str(&out).unwrap())
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} in:\n{text}");
    }
}

#[test]
fn published_signatures_are_proven_by_the_publishers_key_and_others_refused() {
    let Some(data) = shared_data() else { return };
    let desk = Desk::new();
    let file = |name: &str| data.join("openshift").join(name);
    let (key, release) = (file("redhat-release-key.asc"), file("signature-4.15.0-x86_64"));
    let image = file(&format!("signature-{}", RHEL_7_6.trim_start_matches("sha256:")));
    let nightly = file(&format!("signature-{}", NIGHTLY.trim_start_matches("sha256:")));

    let (exit, out, err) = desk.verify(RELEASE_4_15_0, &["--signature", path(&release), "--release-key", path(&key)]);
    assert_eq!((exit, err.as_str()), (0, ""));
    says(
        &out,
        &[RELEASE_4_15_0, RED_HAT_RELEASE_2, "Red Hat, Inc. (release key 2)", "made       2024-", "expires    never (the key: never)"],
    );
    says(
        &out,
        &["quay.io/openshift-release-dev/ocp-release:4.15.0-x86_64\n", "version    4.15.0-x86_64\n", "known to sealift by its fingerprint"],
    );

    let (exit, out, _) = desk.verify(RHEL_7_6, &["--signature", path(&image), "--release-key", path(&key)]);
    assert_eq!(exit, 0);
    says(&out, &["signed as  registry.access.redhat.com/rhel7:7.6\n", "made       2019-"]);

    let (exit, out, err) = desk.verify(NIGHTLY, &["--signature", path(&nightly), "--release-key", path(&key)]);
    assert_eq!((exit, out.as_str()), (18, ""));
    says(&err, &["no signature that counts", "code: RELEASE_SIGNATURE (18)", "which is not here", "--release-key FILE"]);

    // One release's signature is none of another.
    let (exit, _, err) = desk.verify(RHEL_7_6, &["--signature", path(&release), "--release-key", path(&key)]);
    assert_eq!(exit, 18);
    says(&err, &[&format!("it is for {RELEASE_4_15_0}, not for {RHEL_7_6}")]);

    // The key where a person keeps it: it counts by its fingerprint, without being named.
    desk.put("home/config/release-keys/key.asc", &std::fs::read(&key).unwrap());
    let (exit, object) = desk.json(&format!("quay.io/x/y:1@{RELEASE_4_15_0}"), &["--signature", path(&release)]);
    assert_eq!((exit, &object["release"]), (0, &json!(RELEASE_4_15_0)));
    let signature = &object["signatures"][0];
    assert_eq!((&signature["signer"], &signature["knownKey"]), (&json!(RED_HAT_RELEASE_2), &json!(true)));
    assert_eq!((&signature["version"], &signature["expires"]), (&json!("4.15.0-x86_64"), &json!(null)));
}

#[test]
fn a_key_that_was_named_counts_and_says_until_when() {
    let Some(key) = TestKey::of("Site <a@test>", &["rsa2048", "sign", "2090-01-01"], &[]) else { return skip("no gpg") };
    let (desk, digest) = (Desk::new(), Digest::sha256(b"release"));
    let public = desk.put("key.asc", &key.public());
    let text = crate::support::openpgp::document(&digest, REFERENCE);
    let message = key.gpg(&["--digest-algo", "SHA256", "--default-sig-expire", "2080-01-01", "--sign"], text.as_bytes());
    let good = desk.put("good", &message);
    let (exit, out, _) = desk.verify(&digest.to_string(), &["--signature", &good, "--release-key", &public]);
    assert_eq!(exit, 0);
    says(&out, &[&format!("good: {good}\n"), &format!("signed by  {} (Site <a@test>)", key.fingerprint), "version    4.17.2-x86_64"]);
    says(&out, &["because you named its file", "expires    2080-", "(the key: 2090-"]);
}

#[test]
fn every_file_that_was_named_must_hold() {
    let (Some(key), Some(other)) = (TestKey::new("a@test"), TestKey::new("b@test")) else { return skip("no gpg") };
    let (desk, digest) = (Desk::new(), Digest::sha256(b"release"));
    let release = digest.to_string();
    let (public, foreign) = (desk.put("key.asc", &key.public()), desk.put("other.asc", &other.public()));
    let message = key.sign_release(&digest, REFERENCE);
    let good = desk.put("good", &message);
    let mut changed = message;
    *changed.last_mut().unwrap() ^= 1;
    let bad = desk.put("bad", &changed);
    let (exit, object) = desk.json(&release, &["--signature", &good, "--signature", &bad, "--release-key", &public]);
    assert_eq!((exit, &object["code"], object["signatures"].as_array().unwrap().len()), (18, &json!("RELEASE_SIGNATURE"), 1));
    assert_eq!((&object["signatures"][0]["place"], &object["details"][0]["subject"]), (&json!(good), &json!(bad)));
    says(object["error"].as_str().unwrap(), &["1 of 2 signatures"]);

    let (exit, _, err) = desk.verify(&release, &["--signature", &good, "--release-key", &foreign]);
    assert_eq!(exit, 18);
    says(&err, &[&key.fingerprint]);
    let (exit, ..) = desk.verify(&Digest::sha256(b"other").to_string(), &["--signature", &good, "--release-key", &public]);
    assert_eq!(exit, 18);
    let empty = desk.put("empty", b"");
    assert_eq!(desk.verify(&release, &["--signature", &empty, "--release-key", &public]).0, 18);
    // What cannot be read is no answer about the signature.
    assert_eq!(desk.verify(&release, &["--signature", path(&desk.at("absent")), "--release-key", &public]).0, 2);
    assert_eq!(desk.verify(&release, &["--signature", &good, "--release-key", path(&desk.at("absent"))]).0, 2);
    assert_eq!(desk.verify(&release, &["--signature", &good, "--release-key", &good]).0, 18, "a signature is no key");
}

#[test]
fn without_a_file_the_stores_are_asked() {
    let Some(key) = TestKey::new("a@test") else { return skip("no gpg") };
    let (desk, digest) = (Desk::new(), Digest::sha256(b"release"));
    let release = digest.to_string();
    let public = desk.put("key.asc", &key.public());
    let store = desk.at("store");
    desk.put(&format!("store/sha256={}/signature-1", digest.hex()), &key.sign_release(&digest, REFERENCE));
    let (exit, out, _) = desk.verify(&release, &["--signature-store", path(&store), "--release-key", &public]);
    assert_eq!(exit, 0);
    says(&out, &["good: signature-1 of the store", &key.fingerprint, "4.17.2-x86_64"]);
    let other = Digest::sha256(b"other").to_string();
    let (exit, out, err) = desk.verify(&other, &["--signature-store", path(&store), "--release-key", &public]);
    assert_eq!((exit, out.as_str()), (18, ""));
    says(&err, &["has no signature in"]);
}
