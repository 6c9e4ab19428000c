//! Judgements over made-up sets with real signatures.
#![allow(clippy::indexing_slicing)]

use super::*;
use crate::digest::Digest;
use crate::format::{Image, Manifests, Role, Root};
use crate::oci::referrers::{SIMPLE_SIGNING, cosign_tag};
use crate::oci::{Descriptor, Manifest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const NAME: &str = "quay.io/team/app";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn pem(key: &SigningKey) -> String {
    let head = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
    let point = key.verifying_key().to_sec1_point(false);
    let mut der = BASE64.decode(head).unwrap();
    der.extend_from_slice(&point.as_bytes()[1..]);
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der))
}

/// A set of images in which signatures can be laid.
#[derive(Default)]
struct Set {
    images: Vec<Image>,
    manifests: Manifests,
    payloads: BTreeMap<Digest, Vec<u8>>,
}

impl Set {
    fn add(&mut self, repository: &str, tag: &str, subject: Option<Digest>, document: &Value) -> Digest {
        let text = document.to_string();
        let digest = Digest::sha256(text.as_bytes());
        self.manifests.insert(digest, Manifest::parse(text.as_bytes(), None).unwrap());
        let root = Root { media_type: "m".into(), digest, size: text.len() as u64 };
        let role = if subject.is_some() { Role::Referrer } else { Role::Image };
        self.images.push(Image { role, subject, ..Image::plain(repository, tag, root) });
        digest
    }

    fn image(&mut self, tag: &str) -> Digest {
        let config = json!({"mediaType": "c", "digest": Digest::sha256(tag.as_bytes()), "size": 1});
        self.add("team/app", tag, None, &json!({"config": config, "layers": []}))
    }

    fn sign_with(&mut self, subject: Digest, payload: &[u8], signature: &[u8]) {
        let digest = Digest::sha256(payload);
        self.payloads.insert(digest, payload.to_vec());
        let layer = json!({"mediaType": SIMPLE_SIGNING, "digest": digest, "size": payload.len(),
            "annotations": {"dev.cosignproject.cosign/signature": BASE64.encode(signature)}});
        let config = json!({"mediaType": "c", "digest": Digest::sha256(b"{}"), "size": 2});
        let document = json!({"config": config, "layers": [layer]});
        self.add("team/app", &cosign_tag(&subject, "sig"), Some(subject), &document);
    }

    fn sign(&mut self, subject: Digest, says: &Digest, reference: &str, key: &SigningKey) {
        let bytes = payload(says, reference, "cosign container image signature");
        let signature: DerSignature = key.sign(&bytes);
        self.sign_with(subject, &bytes, signature.as_bytes());
    }

    fn judge(&self, policy: &Policy) -> Vec<Result<String, Refused>> {
        let fetch = |_: &Image, layer: &Descriptor| self.payloads.get(&layer.digest).cloned().ok_or_else(|| "gone".to_owned());
        let signatures = |_: &Image, _: &Digest| Err(Lack::NoStore);
        let evidence = Evidence { payload: &fetch, signatures: &signatures, folder: &plain_folders, now: 0 };
        judge(policy, &self.images, &self.manifests, &evidence).into_iter().map(|judged| judged.verdict).collect()
    }

    #[track_caller]
    fn refused(&self, policy: &Policy, why: &str) {
        let verdicts = self.judge(policy);
        let Err(refused) = &verdicts[0] else { panic!("accepted: {verdicts:?}") };
        assert!(refused.to_string().contains(why), "{refused}");
    }
}

fn payload(digest: &Digest, reference: &str, kind: &str) -> Vec<u8> {
    let critical = json!({"identity": {"docker-reference": reference}, "image": {"docker-manifest-digest": digest}, "type": kind});
    json!({"critical": critical, "optional": {"creator": "test"}}).to_string().into_bytes()
}

fn parse(document: Value) -> Result<Policy, PolicyError> {
    let read = |path: &Path| match path.to_str() {
        Some("/keys/one.pub") => Ok(pem(&key(1)).into_bytes()),
        _ => Err("no such file".to_owned()),
    };
    Policy::parse(document.to_string().as_bytes(), &read)
}

fn signed(requirement: Value) -> Policy {
    let mut requirement = requirement;
    requirement["type"] = "sigstoreSigned".into();
    if requirement.get("signedIdentity").is_none() {
        requirement["signedIdentity"] = json!({"type": "matchRepository"});
    }
    parse(json!({"default": [{"type": "reject"}], "transports": {"docker": {"quay.io": [requirement]}}})).unwrap()
}

fn by_one() -> Policy {
    signed(json!({"keyPath": "/keys/one.pub"}))
}

#[test]
fn a_signature_by_the_key_for_the_name_accepts() {
    let mut set = Set::default();
    let image = set.image("1");
    set.refused(&by_one(), "there is none");
    set.sign(image, &image, NAME, &key(1));
    assert_eq!(set.judge(&by_one()), [Ok("transports docker \"quay.io\"".to_owned())]);
    let data = BASE64.encode(pem(&key(1)));
    assert!(set.judge(&signed(json!({"keyData": data})))[0].is_ok());
    let several = signed(json!({"keyDatas": [BASE64.encode(pem(&key(2))), data]}));
    assert!(set.judge(&several)[0].is_ok());
}

#[test]
fn what_a_signature_can_lack() {
    let mut other_key = Set::default();
    let image = other_key.image("1");
    other_key.sign(image, &image, NAME, &key(2));
    other_key.refused(&by_one(), "none of the keys");
    let mut other_image = Set::default();
    let image = other_image.image("1");
    other_image.sign(image, &Digest::sha256(b"another"), NAME, &key(1));
    other_image.refused(&by_one(), "another image");
    let mut other_name = Set::default();
    let image = other_name.image("1");
    other_name.sign(image, &image, "quay.io/team/other", &key(1));
    other_name.refused(&by_one(), "quay.io/team/other");
    // The manual's default: with a tag asked for, the signature has to name it.
    let mut tagless = Set::default();
    let image = tagless.image("1");
    tagless.sign(image, &image, NAME, &key(1));
    tagless.refused(&signed(json!({"keyPath": "/keys/one.pub", "signedIdentity": {"type": "matchRepoDigestOrExact"}})), "signedIdentity");
    let mut tampered = Set::default();
    let image = tampered.image("1");
    let good = payload(&image, "quay.io/team/other", "cosign container image signature");
    let signature: DerSignature = key(1).sign(&good);
    tampered.sign_with(image, &payload(&image, NAME, "cosign container image signature"), signature.as_bytes());
    tampered.refused(&by_one(), "payload was changed");
    let mut other_kind = Set::default();
    let image = other_kind.image("1");
    let bytes = payload(&image, NAME, "atomic container signature");
    let signature: DerSignature = key(1).sign(&bytes);
    other_kind.sign_with(image, &bytes, signature.as_bytes());
    other_kind.refused(&by_one(), "atomic container signature");
    let mut swapped = Set::default();
    let image = swapped.image("1");
    swapped.sign(image, &image, NAME, &key(1));
    let known: Vec<Digest> = swapped.payloads.keys().copied().collect();
    swapped.payloads.insert(known[0], b"other".to_vec());
    swapped.refused(&by_one(), "other bytes");
}

#[test]
fn an_index_is_covered_by_its_root_or_by_all_its_members() {
    let mut set = Set::default();
    let (one, two) = (set.image("1"), set.image("2"));
    set.images.clear();
    let entry = |digest: Digest| json!({"digest": digest, "size": 1});
    let root = set.add("team/app", "both", None, &json!({"manifests": [entry(one), entry(two)]}));
    set.sign(one, &one, NAME, &key(1));
    set.refused(&by_one(), &two.short());
    set.sign(two, &two, NAME, &key(1));
    assert!(set.judge(&by_one())[0].is_ok());
    set.images.truncate(1);
    set.sign(root, &root, NAME, &key(1));
    assert!(set.judge(&by_one())[0].is_ok());
}

/// Whoever has one signed image can wrap it into indexes that name it, and one another, ten thousand times each.
#[test]
fn each_member_is_judged_once_however_often_it_is_named() {
    let mut set = Set::default();
    let one = set.image("1");
    set.images.clear();
    let mut inner = one;
    for depth in 0..3 {
        let entries: Vec<Value> = (0..10).map(|_| json!({"digest": inner, "size": 1})).collect();
        inner = set.add("team/app", &format!("level{depth}"), None, &json!({"manifests": entries}));
    }
    set.images.drain(..2);
    set.sign(one, &one, NAME, &key(1));
    let asked = std::cell::Cell::new(0);
    let payload = |_: &Image, layer: &Descriptor| {
        asked.set(asked.get() + 1);
        Ok(set.payloads[&layer.digest].clone())
    };
    let evidence = Evidence { payload: &payload, signatures: &|_, _| Err(Lack::NoStore), folder: &plain_folders, now: 0 };
    assert!(judge(&by_one(), &set.images, &set.manifests, &evidence)[0].verdict.is_ok());
    assert_eq!(asked.get(), 1);
}

/// podman finds no signature in another repository.
#[test]
fn a_signature_of_another_repository_does_not_count() {
    let mut set = Set::default();
    let image = set.image("1");
    set.sign(image, &image, NAME, &key(1));
    assert!(set.judge(&by_one())[0].is_ok());
    set.images.last_mut().unwrap().repository = "team/other".into();
    set.refused(&by_one(), "there is none");
}

/// An image may name a subject of its own accord: that alone is no way around the policy.
#[test]
fn what_refers_to_something_is_judged_where_its_tag_is_an_image_s() {
    let mut set = Set::default();
    let image = set.image("1");
    set.sign(image, &image, NAME, &key(1));
    let config = json!({"mediaType": "c", "digest": Digest::sha256(b"evil"), "size": 1});
    let evil = json!({"config": config, "layers": [], "subject": {"mediaType": "m", "digest": image, "size": 1}});
    let digest = set.add("team/app", "2", Some(image), &evil);
    let verdicts = set.judge(&by_one());
    assert!(verdicts.len() == 2 && verdicts[0].is_ok() && verdicts[1].is_err(), "{verdicts:?}");
    for tag in [crate::oci::keep_tag(&digest), cosign_tag(&image, "att")] {
        set.images.last_mut().unwrap().tag = tag;
        assert_eq!(set.judge(&by_one()).len(), 1);
    }
    set.images.last_mut().unwrap().tag = cosign_tag(&digest, "att");
    assert_eq!(set.judge(&by_one()).len(), 2, "the tag of something else");
}

#[test]
fn all_requirements_of_the_nearest_scope_count() {
    let mut set = Set::default();
    let image = set.image("1");
    let docker = |scopes: Value| parse(json!({"default": [{"type": "reject"}], "transports": {"docker": scopes}})).unwrap();
    let accept = || json!([{"type": "insecureAcceptAnything"}]);
    assert!(set.judge(&docker(json!({"": accept()})))[0].is_ok());
    assert!(set.judge(&docker(json!({"": [{"type": "reject"}], "quay.io/team": accept()})))[0].is_ok());
    set.refused(&docker(json!({"quay.io/team/app:1": [{"type": "reject"}], "quay.io": accept()})), "rejects everything");
    set.refused(&docker(json!({"quay.io": [{"type": "insecureAcceptAnything"}, {"type": "reject"}]})), "rejects");
    set.refused(&docker(json!({"*.com": accept()})), "default");
    let both = |second: u8| {
        let of = |seed: u8| json!({"type": "sigstoreSigned", "keyData": BASE64.encode(pem(&key(seed))), "signedIdentity": {"type": "matchRepository"}});
        docker(json!({"quay.io": [of(1), of(second)]}))
    };
    set.sign(image, &image, NAME, &key(1));
    set.refused(&both(2), "none of the keys");
    set.sign(image, &image, NAME, &key(2));
    assert!(set.judge(&both(2))[0].is_ok());
}

#[test]
fn what_cannot_be_proven_here_accepts_nothing() {
    let mut set = Set::default();
    let image = set.image("1");
    set.sign(image, &image, NAME, &key(1));
    set.refused(&signed(json!({"keyPath": "/keys/one.pub", "rekorPublicKeyPath": "/keys/rekor.pub"})), "rekorPublicKeyPath");
    set.refused(&signed(json!({"fulcio": {}})), "fulcio");
    // What is demanded and says nothing is not what was not demanded.
    for member in ["fulcio", "pki", "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"] {
        set.refused(&signed(json!({"keyPath": "/keys/one.pub", member: null})), member);
    }
    set.refused(&signed(json!({"keyPath": "/keys/none.pub"})), "no such file");
    let gpg = |kind: &str, path: &str| parse(json!({"default": [{"type": "signedBy", "keyType": kind, "keyPath": path}]})).unwrap();
    set.refused(&gpg("GPGKeys", "/k"), "no such file");
    set.refused(&gpg("GPGKeys", "/keys/one.pub"), "there is no OpenPGP key in it");
    set.refused(&gpg("X509Certificates", "/k"), "X509Certificates");
    let paths = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/keys/one.pub", "/k"]});
    set.refused(&parse(json!({"default": [paths]})).unwrap(), "no such file");
    let rsa = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK\n-----END PUBLIC KEY-----";
    set.refused(&signed(json!({"keyData": BASE64.encode(rsa)})), "PEM");
    assert_eq!(Key::from_pem(b"-----BEGIN PUBLIC KEY-----\nMAoGCCqGSM49AwEH\n-----END PUBLIC KEY-----"), Err(KeyError::Kind));
}

#[test]
fn what_is_no_policy_is_refused_as_a_whole() {
    for bad in [
        json!({}),
        json!({"default": []}),
        json!({"default": [{"type": "reject"}], "more": 1}),
        json!({"default": [{"type": "rejects"}]}),
        json!({"default": [{"type": "reject", "keyPath": "x"}]}),
        json!({"default": [{"type": "sigstoreSigned"}]}),
        json!({"default": [{"type": "sigstoreSigned", "keyPath": "a", "keyData": "b"}]}),
        json!({"default": [{"type": "sigstoreSigned", "keyPaths": []}]}),
        json!({"default": [{"type": "sigstoreSigned", "keyPath": "a", "unknown": 1}]}),
        json!({"default": [{"type": "reject"}], "transports": {"docker": {"quay.io": []}}}),
        json!({"default": [{"type": "signedBy"}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys"}]}),
        json!({"default": [{"type": "signedBy", "keyPath": "a"}]}),
        json!({"default": [{"type": "signedBy", "keyType": "gpgkeys", "keyPath": "a"}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a", "keyPaths": ["a"]}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a", "keyData": "YQ=="}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": []}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a", "keyDatas": ["YQ=="]}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a", "fulcio": {}}]}),
        json!({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "a", "signedIdentity": {"type": "x"}}]}),
    ] {
        assert!(parse(bad.clone()).is_err(), "{bad}");
    }
}

/// A reader that takes the first of two, and one that takes the last, would see two policies.
#[test]
fn a_member_that_is_there_twice_is_refused_wherever_it_is() {
    for bad in [
        r#"{"default":[{"type":"reject"}],"default":[{"type":"insecureAcceptAnything"}]}"#,
        r#"{"default":[{"type":"reject","type":"insecureAcceptAnything"}]}"#,
        r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}]},"docker":{}}}"#,
        r#"{"default":[{"type":"reject"}],"transports":{"docker":{"a":[{"type":"reject"}],"\u0061":[{"type":"insecureAcceptAnything"}]}}}"#,
    ] {
        let read = |_: &Path| Err(String::new());
        let told = Policy::parse(bad.as_bytes(), &read).unwrap_err().to_string();
        assert!(told.contains("twice"), "{bad}: {told}");
    }
    let deep = r#"{"default":"#.to_owned() + &"[".repeat(100_000);
    assert!(Policy::parse(deep.as_bytes(), &|_| Err(String::new())).is_err());
}
