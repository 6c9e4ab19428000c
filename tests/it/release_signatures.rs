//! Release signatures of keys made by `gpg`, verified alone and found in stores.

use crate::registry_client::quick;
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::openpgp::{TestKey, document};
use crate::support::skip;
use proptest::prelude::*;
use sealift::digest::Digest;
use sealift::lookaside::StoreFailure;
use sealift::openpgp::{self, ImageSignature, KeyFileError, KeyProblem, Keyring, SignatureError};
use sealift::openshift::signature::{self, KeyError, PINNED, RED_HAT_RELEASE_2, StoreError, find_keys};
use sealift::registry::{Client, Options};
use sealift::web::{Get, Web, WebError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

const REFERENCE: &str = "quay.io/openshift-release-dev/ocp-release:4.15.0-x86_64";

fn digest() -> Digest {
    Digest::sha256(b"release")
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn named(file: &[u8]) -> Keyring {
    Keyring::parse(&[("key.asc".into(), file.to_vec())]).unwrap()
}

fn verify(message: &[u8], keyring: &Keyring) -> Result<ImageSignature, SignatureError> {
    openpgp::verify(message, &digest(), keyring, now())
}

#[test]
fn keys_of_every_kind_sign_releases() {
    const SHORT: &[&[&str]] = &[&["--digest-algo", "SHA256"], &["--digest-algo", "SHA512", "-z", "0"], &["--compress-algo", "zlib"]];
    // gpg does not sign with a hash that is shorter than the curve.
    const LONG: &[&[&str]] = &[&["--digest-algo", "SHA384"], &["--digest-algo", "SHA512", "-z", "0"]];
    for (kind, all) in [("rsa2048", SHORT), ("rsa3072", SHORT), ("nistp256", SHORT), ("nistp384", LONG), ("ed25519", SHORT)] {
        let Some(key) = TestKey::of("kind@test", &[kind, "sign", "never"], &[]) else { return skip("no gpg") };
        let keyring = named(&key.public());
        for options in all {
            let message = key.gpg(&[*options, &["--sign"]].concat(), document(&digest(), REFERENCE).as_bytes());
            let good = verify(&message, &keyring).unwrap_or_else(|e| panic!("{kind} {options:?}: {e}"));
            assert_eq!((good.signer(), good.docker_reference(), good.raw()), (key.fingerprint.as_str(), REFERENCE, message.as_slice()));
            // What the signature does not bind to this digest or these bytes, it does not prove.
            let other = openpgp::verify(&message, &Digest::sha256(b"other"), &keyring, now());
            assert!(matches!(other, Err(SignatureError::WrongDigest { .. })), "{other:?}");
        }
    }
}

#[test]
fn only_keys_that_were_given_count() {
    let (Some(key), Some(other)) = (TestKey::new("a@test"), TestKey::new("b@test")) else { return skip("no gpg") };
    let message = key.sign_release(&digest(), REFERENCE);
    let both = Keyring::parse(&[("a".into(), key.public()), ("b".into(), other.public())]).unwrap();
    assert!(verify(&message, &both).is_ok());
    // Several keys in one file, armored one behind the other.
    assert!(verify(&message, &named(&[other.public(), key.public()].concat())).is_ok());
    let unknown = verify(&message, &named(&other.public())).unwrap_err();
    assert!(matches!(&unknown, SignatureError::UnknownSigner { key_id } if *key_id == key.fingerprint), "{unknown}");
    assert!(matches!(verify(&message, &Keyring::default()), Err(SignatureError::NoKeys)));
    // In a folder of the system it is just another vendor's key.
    let found = Keyring::pinned(&[("/etc/pki/rpm-gpg/RPM-GPG-KEY-other".into(), key.public())], PINNED);
    assert!(found.is_empty());
    let not_pinned = verify(&message, &found).unwrap_err();
    assert!(
        matches!(&not_pinned, SignatureError::NotPinned { fingerprint, file } if *fingerprint == key.fingerprint && file.ends_with("-other"))
    );
}

#[test]
fn other_documents_and_kinds_of_signatures_are_refused() {
    let Some(key) = TestKey::new("a@test") else { return skip("no gpg") };
    let keyring = named(&key.public());
    let good = document(&digest(), REFERENCE);
    assert!(matches!(verify(&key.sign(b"hello"), &keyring), Err(SignatureError::Document(_))));
    let kind = good.replace("atomic container signature", "cosign container image signature");
    assert!(matches!(verify(&key.sign(kind.as_bytes()), &keyring), Err(SignatureError::WrongType { .. })));
    let damaged = |options: &[&str]| {
        let message = key.gpg(options, good.as_bytes());
        assert!(matches!(verify(&message, &keyring), Err(SignatureError::Damaged(_))), "{options:?}");
    };
    damaged(&["--detach-sign"]);
    damaged(&["--armor", "--sign"]);
    damaged(&["--clear-sign"]);
    damaged(&["--textmode", "--sign"]);
    damaged(&["--store"]);
    damaged(&["--set-notation", "!unknown@test=x", "--sign"]);
    let sha1 = key.gpg(&["--digest-algo", "SHA1", "--sign"], good.as_bytes());
    assert!(matches!(verify(&sha1, &keyring), Err(SignatureError::WeakHash(hash)) if hash == "SHA1"));
    let twice = key.gpg(&["--sign"], &key.sign(good.as_bytes()));
    assert!(matches!(verify(&twice, &keyring), Err(SignatureError::Document(_))), "a signature of a signature is one of no release");
}

#[test]
fn two_signatures_in_one_message_are_refused() {
    let (Some(key), Some(other)) = (TestKey::new("a@test"), TestKey::new("b@test")) else { return skip("no gpg") };
    let secret = other.gpg(&["--export-secret-keys"], b"");
    key.gpg(&["--import"], &secret);
    let message = key.gpg(&["-u", &key.fingerprint, "-u", &other.fingerprint, "--sign"], document(&digest(), REFERENCE).as_bytes());
    let both = Keyring::parse(&[("a".into(), key.public())]).unwrap();
    assert!(matches!(verify(&message, &both), Err(SignatureError::Damaged(_))));
    let problem = Keyring::parse(&[("secret".into(), secret)]).unwrap_err();
    assert!(matches!(problem, KeyFileError { problem: KeyProblem::Private, .. }), "{problem}");
}

#[test]
fn ends_and_revocations_count() {
    let then = ["--faked-system-time", "20200101T000000"];
    let Some(key) = TestKey::of("old@test", &["rsa2048", "sign", "20210101T000000"], &then) else { return skip("no gpg") };
    let text = document(&digest(), REFERENCE);
    let message = key.gpg(&[&then[..], &["--sign"]].concat(), text.as_bytes());
    let keyring = named(&key.public());
    let made = 1_577_836_800;
    let at = |message: &[u8], keyring: &Keyring, now| openpgp::verify(message, &digest(), keyring, now);
    assert!(at(&message, &keyring, made + 86_400).is_ok());
    assert!(matches!(
        at(&message, &keyring, made - 2 * 86_400),
        Err(SignatureError::KeyUnfit { .. } | SignatureError::FromTheFuture { .. })
    ));
    let ended = at(&message, &keyring, now()).unwrap_err();
    assert!(
        matches!(&ended, SignatureError::KeyExpired { fingerprint, at: 1_609_459_200 } if *fingerprint == key.fingerprint),
        "{ended:?}"
    );

    let short = key.gpg(&[&then[..], &["--default-sig-expire", "10d", "--sign"]].concat(), text.as_bytes());
    // gpg's clock begins at that time and goes on: how late it signed is not known to the second.
    let (end, late) = (made + 10 * 86_400, 3_600);
    let until = at(&short, &keyring, made + 9 * 86_400).unwrap().expires().unwrap();
    assert!((end..end + late).contains(&until), "{until}");
    assert!(matches!(at(&short, &keyring, until), Err(SignatureError::Expired { at }) if at == until));
    assert!(at(&short, &keyring, until - 1).is_ok());

    // Its owner gives it a later end: the newer word counts, whichever file is read first.
    let before = key.public();
    let later = [&["--faked-system-time", "20200601T000000"][..], &["--quick-set-expire", &key.fingerprint, "0"]].concat();
    key.gpg(&later, b"");
    for files in [[before.clone(), key.public()], [key.public(), before]] {
        let keyring = Keyring::parse(&[("1".into(), files[0].clone()), ("2".into(), files[1].clone())]).unwrap();
        assert!(at(&message, &keyring, now()).is_ok());
    }

    // Revoked, in one of two files.
    let good = key.public();
    let revocation = std::fs::read_to_string(key.home().join(format!("openpgp-revocs.d/{}.rev", key.fingerprint))).unwrap();
    key.gpg(&["--import"], revocation.replace(":-----BEGIN", "-----BEGIN").as_bytes());
    for files in [vec![key.public()], vec![good.clone(), key.public()], vec![key.public(), good]] {
        let files: Vec<_> = files.into_iter().map(|file| ("key".to_owned(), file)).collect();
        let keyring = Keyring::parse(&files).unwrap();
        let revoked = at(&message, &keyring, made + 86_400).unwrap_err();
        assert!(matches!(revoked, SignatureError::KeyRevoked { .. }), "{revoked:?}");
    }
}

#[test]
fn a_subkey_signs_for_its_primary_key() {
    let Some(key) = TestKey::of("sub@test", &["rsa2048", "cert", "never"], &[]) else { return skip("no gpg") };
    let before = key.public();
    key.gpg(&["--quick-add-key", &key.fingerprint, "ed25519", "sign", "never"], b"");
    let message = key.sign_release(&digest(), REFERENCE);
    let good = verify(&message, &named(&key.public())).unwrap();
    assert_eq!(good.signer(), key.fingerprint, "the primary key is whom one trusts");
    // Without its binding a subkey belongs to nobody: a file with the primary key alone does not know it.
    assert!(matches!(verify(&message, &named(&before)), Err(SignatureError::UnknownSigner { .. })));
    // A subkey that does not sign back may be anybody's, claimed by whoever made the key.
    let mut claimed = key.gpg(&["--export"], b"");
    let back = claimed.windows(3).position(|window| window == [32, 4, 0x19]).unwrap();
    claimed[back] = 100;
    let refused = verify(&message, &named(&claimed)).unwrap_err();
    assert!(matches!(refused, SignatureError::KeyUnfit { why: "it is not for signing", .. }), "{refused:?}");
    let weak = TestKey::of("weak@test", &["rsa1024", "sign", "never"], &[]).unwrap();
    let message = weak.sign_release(&digest(), REFERENCE);
    assert!(matches!(verify(&message, &named(&weak.public())), Err(SignatureError::KeyUnfit { why, .. }) if why.contains("2048")));
}

/// Bytes changed anywhere in keys with subkeys and in messages: an answer, and never more than was signed.
#[test]
fn changed_keys_and_messages_end_in_an_answer() {
    let Some(key) = TestKey::of("sub@test", &["nistp256", "sign,cert", "never"], &[]) else { return skip("no gpg") };
    key.gpg(&["--quick-add-key", &key.fingerprint, "ed25519", "sign", "never"], b"");
    key.gpg(&["--quick-add-key", &key.fingerprint, "rsa2048", "sign", "never"], b"");
    let public = key.gpg(&["--export"], b"");
    let message = key.gpg(&["-z", "0", "--sign"], document(&digest(), REFERENCE).as_bytes());
    let keyring = named(&public);
    let good = verify(&message, &keyring).unwrap();
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    proptest!(|(in_key in any::<bool>(), edits in edits)| {
        let (mut public, mut message) = (public.clone(), message.clone());
        let bytes = if in_key { &mut public } else { &mut message };
        for (place, value) in edits {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let keyring = Keyring::parse(&[("key".into(), public)]).unwrap_or_default();
        if let Ok(found) = verify(&message, &keyring) {
            prop_assert_eq!((found.signer(), found.docker_reference()), (good.signer(), REFERENCE));
        }
    });
}

/// Documents by address, from memory; anything else does not exist. Notes what was asked.
#[derive(Default)]
struct Shelf {
    documents: BTreeMap<String, Result<Vec<u8>, WebError>>,
    asked: Mutex<Vec<String>>,
}

impl Shelf {
    fn with(mut self, store: &str, number: u32, document: Result<&[u8], WebError>) -> Shelf {
        let url = format!("{store}/sha256={}/signature-{number}", digest().hex());
        self.documents.insert(url, document.map(<[u8]>::to_vec));
        self
    }
}

impl Web for Shelf {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        assert!(!request.login && request.limit <= 50 << 10);
        self.asked.lock().unwrap().push(request.url.to_owned());
        self.documents.get(request.url).cloned().unwrap_or_else(|| Err(WebError::NotFound(request.url.to_owned())))
    }
}

fn find(stores: &[&str], web: &dyn Web, keyring: &Keyring) -> Result<Vec<(u32, ImageSignature)>, StoreError> {
    let stores: Vec<String> = stores.iter().map(|store| (*store).to_owned()).collect();
    signature::find(&digest(), &stores, web, keyring, now())
}

fn numbers(found: &[(u32, ImageSignature)]) -> Vec<u32> {
    found.iter().map(|(number, _)| *number).collect()
}

const ONE: &str = "https://one.test/signatures";
const TWO: &str = "https://two.test";

#[test]
fn stores_are_asked_in_turn() {
    let (Some(key), Some(other)) = (TestKey::new("a@test"), TestKey::new("b@test")) else { return skip("no gpg") };
    let keyring = named(&key.public());
    let (good, bad) = (key.sign_release(&digest(), REFERENCE), other.sign_release(&digest(), REFERENCE));

    let both = Shelf::default().with(ONE, 1, Ok(&good)).with(ONE, 2, Ok(&bad)).with(ONE, 3, Ok(&good)).with(ONE, 5, Ok(&good));
    assert_eq!(numbers(&find(&[ONE, TWO], &both, &keyring).unwrap()), [1, 3], "the first number that is not there is the end");
    assert_eq!(both.asked.lock().unwrap().len(), 4, "the second store is not asked");
    assert_eq!(numbers(&find(&["https://one.test/signatures//"], &both, &keyring).unwrap()), [1, 3]);

    let down = || Err(WebError::Unreachable { url: ONE.into(), why: "no".into() });
    let second = Shelf::default().with(ONE, 1, down()).with(TWO, 1, Ok(&good));
    assert_eq!(numbers(&find(&[ONE, TWO], &second, &keyring).unwrap()), [1]);
    let partly = Shelf::default().with(ONE, 1, Ok(&good)).with(ONE, 2, down());
    assert_eq!(numbers(&find(&[ONE, TWO], &partly, &keyring).unwrap()), [1], "what was there before the failure counts");

    let endless = (1..100).fold(Shelf::default(), |shelf, number| shelf.with(ONE, number, Ok(&good)));
    assert_eq!(find(&[ONE], &endless, &keyring).unwrap().len(), 9);

    match find(&[ONE, "https://user:s3cret@two.test/?sig=s3cret"], &Shelf::default(), &keyring) {
        Err(error @ StoreError::Missing { .. }) => {
            let told = error.to_string();
            assert!(
                told.contains(ONE) && told.contains("two.test") && told.contains(&digest().to_string()) && !told.contains("s3cret"),
                "{told}"
            );
        }
        other => panic!("{other:?}"),
    }
    match find(&[ONE, TWO], &Shelf::default().with(ONE, 1, down()), &keyring) {
        Err(StoreError::Unreachable { failures, .. }) => {
            assert!(matches!(failures[..], [StoreFailure::Web(WebError::Unreachable { .. })]))
        }
        other => panic!("{other:?}"),
    }
    let refused = Shelf::default().with(ONE, 1, Ok(&bad)).with(TWO, 1, Ok(b"no signature"));
    match find(&[ONE, TWO], &refused, &keyring) {
        Err(StoreError::Refused { refused, .. }) => {
            assert!(
                matches!(&refused[..], [(first, SignatureError::UnknownSigner { .. }), (second, SignatureError::Damaged(_))]
                if first.starts_with(ONE) && second.starts_with(TWO)),
                "{refused:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    let stopped = Shelf::default().with(ONE, 1, Err(WebError::Cancelled)).with(TWO, 1, Ok(&good));
    assert!(matches!(find(&[ONE, TWO], &stopped, &keyring), Err(StoreError::Cancelled)));
}

#[test]
fn folders_are_stores() {
    let Some(key) = TestKey::new("a@test") else { return skip("no gpg") };
    let keyring = named(&key.public());
    let good = key.sign_release(&digest(), REFERENCE);
    let temp = tempfile::tempdir().unwrap();
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let web = Shelf::default();
    let hex = digest().hex();
    let store = temp.path().join("store");
    for number in [1, 2] {
        write(store.join(format!("sha256={hex}/signature-{number}")), &good);
    }
    write(store.join(format!("sha256={hex}/signature-3")), &vec![0; 60 << 10]);
    assert_eq!(numbers(&find(&[&at(&store)], &web, &keyring).unwrap()), [1, 2]);
    assert_eq!(find(&[&format!("file://{}", at(&store))], &web, &keyring).unwrap().len(), 2);

    // Side by side, as another tool keeps them; another release's beside it.
    let flat = temp.path().join("flat");
    write(flat.join(format!("4.15.0-x86_64-sha256-{hex}")), &good);
    write(flat.join(format!("sha256-{hex}-7")), &good);
    write(flat.join(format!("4.15.1-x86_64-sha256-{}", Digest::sha256(b"x").hex())), b"other");
    write(flat.join(format!("sha256-{hex}.txt")), b"notes");
    assert_eq!(find(&[&at(&flat)], &web, &keyring).unwrap().len(), 2);

    let empty = temp.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(matches!(find(&[&at(&empty)], &web, &keyring), Err(StoreError::Missing { .. })));
    let absent = find(&[&at(&temp.path().join("absent"))], &web, &keyring);
    assert!(
        matches!(&absent, Err(StoreError::Unreachable { failures, .. }) if matches!(failures[..], [StoreFailure::Fs(_)])),
        "{absent:?}"
    );
    assert!(web.asked.lock().unwrap().is_empty());
}

#[test]
fn a_server_is_a_store() {
    let server = Lying::start(Guard::Open);
    let Some(key) = TestKey::new("a@test") else { return skip("no gpg") };
    let client = Client::new(Options { timing: quick(), ..Options::default() }).unwrap();
    // Bodies of faults are text; a signature is not. One that is refused shows that it came.
    server.lie("GET", "/signature-1", 1, Fault::Status(200, Vec::new(), "no signature".into()));
    let store = format!("http://{}/store/", server.host());
    match find(&[&store], &client, &named(&key.public())) {
        Err(StoreError::Refused { refused, .. }) => assert_eq!(refused.len(), 1),
        other => panic!("{other:?}"),
    }
    let paths: Vec<String> = server.seen("GET", "/store/").into_iter().map(|seen| seen.path).collect();
    let hex = digest().hex();
    assert_eq!(paths, [format!("/store/sha256={hex}/signature-1"), format!("/store/sha256={hex}/signature-2")]);
}

#[test]
fn keys_are_found_in_files_and_folders() {
    let Some(key) = TestKey::new("a@test") else { return skip("no gpg") };
    let temp = tempfile::tempdir().unwrap();
    let (folder, absent) = (temp.path().join("rpm-gpg"), temp.path().join("absent"));
    std::fs::create_dir_all(folder.join("below")).unwrap();
    std::fs::write(folder.join("KEY"), key.public()).unwrap();
    std::fs::write(folder.join("README"), "not a key").unwrap();
    let file = folder.join("KEY");
    assert_eq!(find_keys(std::slice::from_ref(&file), true).unwrap().fingerprints(), [key.fingerprint.as_str()]);
    assert!(matches!(find_keys(&[file.clone(), absent.clone()], true), Err(KeyError::Fs(_))), "what is named must be there");
    assert!(matches!(find_keys(&[folder.join("README")], true), Err(KeyError::File(KeyFileError { problem: KeyProblem::NoKey, .. }))));
    match find_keys(&[absent.clone(), folder.clone()], false) {
        Err(KeyError::None { looked }) => assert_eq!(looked, [absent, folder.clone()], "only known keys count unnamed"),
        other => panic!("{other:?}"),
    }
    let Some(data) = crate::support::shared_data() else { return };
    std::fs::copy(data.join("openshift/redhat-release-key.asc"), folder.join("RPM-GPG-KEY-redhat-release")).unwrap();
    std::os::unix::fs::symlink("RPM-GPG-KEY-redhat-release", folder.join("link")).unwrap();
    assert_eq!(find_keys(&[folder], false).unwrap().fingerprints(), [RED_HAT_RELEASE_2]);
}
