//! Against signatures and the key Red Hat has published, and what can be made of them without any key.

use super::packets::{COMPRESSED, LITERAL, ONE_PASS, Packet};
use super::*;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Red Hat's release key 2.
const RED_HAT_RELEASE_2: &str = "567E347AD0044ADE55BA8A5F199E2F91FD431D51";
/// 2025-11-21.
const NOW: u64 = 1_763_700_000;
const RELEASE: &str = "sha256:0da6316466d60a3a4535d5fed3589feb0391989982fba59d47d4c729912d6363";
const IMAGE: &str = "sha256:e3f12513a4b22a2d7c0e7c9207f52128113758d9d68c7d06b11a0ac7672966f7";
const NIGHTLY: &str = "sha256:edd9824f0404f1a139688017e7001370e2f3fbc088b94da84506653b473fe140";

/// A signature by Red Hat's release key with what it is for.
struct Real {
    digest: Digest,
    message: Vec<u8>,
    reference: &'static str,
}

struct Samples {
    key: Vec<u8>,
    keyring: Keyring,
    /// Of 2024 in version 4, and of 2019 in version 3.
    by_release_key: [Real; 2],
    /// Made by a key of the builders' continuous integration, in pieces of two bytes.
    nightly: Vec<u8>,
}

static SAMPLES: LazyLock<Option<Samples>> = LazyLock::new(|| {
    let named = std::env::var_os("SEALIFT_TEST_DATA").map(PathBuf::from);
    let data = named.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if !data.is_dir() {
        assert!(named.is_none(), "SEALIFT_TEST_DATA names no folder: {}", data.display());
        return None;
    }
    let folder = data.join("openshift");
    let read = |name: String| Some(std::fs::read(folder.join(&name)).unwrap_or_else(|e| panic!("{name}: {e}")));
    let by_digest = |digest: &str| read(format!("signature-{}", digest.trim_start_matches("sha256:")));
    let real = |digest: &str, message, reference| Some(Real { digest: digest.parse().unwrap(), message, reference });
    let key = read("redhat-release-key.asc".into())?;
    Some(Samples {
        keyring: Keyring::parse(&[("release key".into(), key.clone())]).unwrap(),
        key,
        by_release_key: [
            real(RELEASE, read("signature-4.15.0-x86_64".into())?, "quay.io/openshift-release-dev/ocp-release:4.15.0-x86_64")?,
            real(IMAGE, by_digest(IMAGE)?, "registry.access.redhat.com/rhel7:7.6")?,
        ],
        nightly: by_digest(NIGHTLY)?,
    })
});

fn samples() -> Option<&'static Samples> {
    if SAMPLES.is_none() {
        // Not by `println!`: what a passing test prints is kept from the screen.
        let _ = writeln!(std::io::stderr(), "skipped: no shared data");
    }
    SAMPLES.as_ref()
}

impl Real {
    fn check(&self, message: &[u8], samples: &Samples) -> Result<ImageSignature, SignatureError> {
        verify(message, &self.digest, &samples.keyring, NOW)
    }

    /// The packets inside of the compressed one.
    fn inner(&self) -> Vec<Packet> {
        let [Packet { tag: COMPRESSED, body }] = &packets::split(&self.message).unwrap()[..] else { panic!("not compressed") };
        packets::split(&message::plain(body).unwrap()).unwrap()
    }
}

/// A packet as bytes, new format, five-byte length.
fn bytes(tag: u8, body: &[u8]) -> Vec<u8> {
    [&[0xc0 | tag, 255][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

fn joined(packets: &[Packet]) -> Vec<u8> {
    packets.iter().flat_map(|packet| bytes(packet.tag, &packet.body)).collect()
}

/// A compressed packet around `plain`.
fn compressed(plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0; plain.len() + 1000];
    let mut deflate = Compress::new(Compression::best(), false);
    deflate.compress(plain, &mut out, FlushCompress::Finish).unwrap();
    out.truncate(deflate.total_out() as usize);
    bytes(COMPRESSED, &[&[1][..], &out].concat())
}

/// The reason a message is refused for its form.
#[track_caller]
fn damaged(result: Result<ImageSignature, SignatureError>, why: &str) {
    match result {
        Err(SignatureError::Damaged(found)) => assert_eq!(found, why),
        other => panic!("{other:?}, not {why:?}"),
    }
}

const ORDER: &str = "it does not consist of an announcement, one document and one signature, in this order";

#[test]
fn signatures_of_the_vendor_hold() {
    let Some(samples) = samples() else { return };
    assert_eq!(samples.keyring.fingerprints(), [RED_HAT_RELEASE_2]);
    for real in &samples.by_release_key {
        let good = real.check(&real.message, samples).unwrap();
        assert_eq!((good.digest(), good.docker_reference(), good.signer()), (&real.digest, real.reference, RED_HAT_RELEASE_2));
        assert_eq!(good.raw(), real.message);
        // Written in another way, the same is still the same.
        let inner = joined(&real.inner());
        for again in [inner.clone(), compressed(&inner)] {
            assert_eq!(real.check(&again, samples).unwrap().docker_reference(), real.reference);
        }
    }
}

#[test]
fn a_nightly_build_is_signed_by_somebody_else() {
    let Some(samples) = samples() else { return };
    let result = verify(&samples.nightly, &NIGHTLY.parse().unwrap(), &samples.keyring, NOW);
    assert!(matches!(&result, Err(SignatureError::UnknownSigner { key_id }) if key_id == "28B76E05B923888E"), "{result:?}");
}

/// What changes and is still taken: bits behind the end of the compressed stream in its last byte, and the name and date in the head
/// of the literal packet, which an OpenPGP signature does not cover (RFC 9580, section 5.2.4). Neither is handed on: announcement,
/// document and signature are the same bytes, and so is everything that is returned.
#[test]
fn one_changed_bit_is_refused_or_changes_nothing() {
    let Some(samples) = samples() else { return };
    std::thread::scope(|threads| {
        for real in &samples.by_release_key {
            threads.spawn(move || every_bit_compressed(real, samples));
            threads.spawn(move || every_bit_plain(real, samples));
        }
    });
}

fn every_bit_compressed(real: &Real, samples: &Samples) {
    let good = real.check(&real.message, samples).unwrap();
    let parts = message::open(&real.message).unwrap();
    let mut taken = 0;
    for bit in 0..real.message.len() * 8 {
        let mut changed = real.message.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(found) = real.check(&changed, samples) else { continue };
        taken += 1;
        assert_eq!(message::open(&changed).unwrap(), parts, "bit {bit}");
        assert_eq!(ImageSignature { raw: real.message.clone(), ..found }, good, "bit {bit}");
        // The head of the literal packet, or the last byte.
        let place = bit / 8;
        assert!((20..50).contains(&place) || place + 1 == real.message.len(), "bit {bit}");
    }
    assert!(taken < 30 * 8, "{taken}");
}

/// Uncompressed, where every bit stands for itself: format, name and date of the literal, its own length aside.
fn every_bit_plain(real: &Real, samples: &Samples) {
    let good = real.check(&real.message, samples).unwrap();
    let parts = message::open(&real.message).unwrap();
    let inner = real.inner();
    let plain = joined(&inner);
    let literal = bytes(ONE_PASS, &inner[0].body).len() + 6;
    let signature = literal + inner[1].body.len() + 6;
    let head = literal + 2..literal + 2 + usize::from(inner[1].body[1]) + 4;
    for bit in 0..plain.len() * 8 {
        let mut changed = plain.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let Ok(found) = real.check(&changed, samples) else {
            assert!(!head.contains(&(bit / 8)));
            continue;
        };
        assert_eq!(ImageSignature { raw: real.message.clone(), ..found }, good, "bit {bit}");
        let changed = message::open(&changed).unwrap();
        // Or, in a version 4 signature, whether the key id (beside what is signed) would have to be understood. It is.
        let critical = signature + 15 == bit / 8 && bit % 8 == 7 && inner[2].body[0] == 4;
        if critical {
            assert_eq!(changed.literal, parts.literal);
        } else {
            assert!(head.contains(&(bit / 8)), "bit {bit}");
            assert_eq!(changed, parts, "bit {bit}");
        }
    }
}

#[test]
fn a_bit_changed_in_the_document_does_not_hold() {
    let Some(samples) = samples() else { return };
    for real in &samples.by_release_key {
        for place in [0, 50, 100] {
            let mut inner = real.inner();
            let at = inner[1].body.len() - 1 - place;
            inner[1].body[at] ^= 1;
            let result = real.check(&joined(&inner), samples);
            assert!(matches!(&result, Err(SignatureError::DoesNotHold { fingerprint }) if fingerprint == RED_HAT_RELEASE_2), "{result:?}");
        }
    }
}

#[test]
fn what_is_cut_off_or_goes_on_is_refused() {
    let Some(samples) = samples() else { return };
    for real in &samples.by_release_key {
        let plain = joined(&real.inner());
        for message in [&real.message, &plain] {
            for length in 0..message.len() {
                assert!(real.check(&message[..length], samples).is_err(), "{length}");
            }
            for more in [&b"\0"[..], b"\n", &[0xb0, 0], &message.clone()] {
                assert!(real.check(&[message.as_slice(), more].concat(), samples).is_err(), "{more:?}");
                assert!(real.check(&[more, message.as_slice()].concat(), samples).is_err(), "{more:?}");
            }
        }
        damaged(real.check(&[], samples), "it is empty");
        damaged(real.check(&compressed(&[]), samples), "it is empty");
        damaged(real.check(&[&real.message[..], &[0]].concat(), samples), "something follows its compressed data");
    }
}

#[test]
fn a_signature_is_for_one_digest_only() {
    let Some(samples) = samples() else { return };
    let [release, image] = &samples.by_release_key;
    let result = release.check(&image.message, samples);
    assert!(
        matches!(&result, Err(SignatureError::WrongDigest { signed, wanted }) if signed == IMAGE && *wanted == release.digest),
        "{result:?}"
    );
}

#[test]
fn packets_in_another_number_or_order_are_refused() {
    let Some(samples) = samples() else { return };
    let [release, image] = &samples.by_release_key;
    let (one, literal, signature) = match <[Packet; 3]>::try_from(release.inner()) {
        Ok([one, literal, signature]) => (one, literal, signature),
        Err(other) => panic!("{other:?}"),
    };
    let other = image.inner();
    let marker = Packet { tag: 10, body: b"PGP".to_vec() };
    for (name, order) in [
        ("without announcement", vec![&literal, &signature]),
        ("signature in front (old style)", vec![&signature, &literal]),
        ("two signatures", vec![&one, &literal, &signature, &signature]),
        ("two announced and made", vec![&one, &one, &literal, &signature, &signature]),
        ("two documents, the signed one first", vec![&one, &literal, &other[1], &signature]),
        ("two documents, the signed one last", vec![&one, &other[1], &literal, &signature]),
        ("unsigned document behind", vec![&one, &literal, &signature, &other[1]]),
        ("unsigned document in front", vec![&other[1], &one, &literal, &signature]),
        ("a marker", vec![&marker, &one, &literal, &signature]),
        ("a marker behind", vec![&one, &literal, &signature, &marker]),
        ("no document", vec![&one, &signature]),
        ("no signature", vec![&one, &literal]),
        ("only a document", vec![&literal]),
    ] {
        let message: Vec<Packet> = order.into_iter().cloned().collect();
        for message in [joined(&message), compressed(&joined(&message))] {
            let result = release.check(&message, samples);
            assert!(matches!(&result, Err(SignatureError::Damaged(ORDER))), "{name}: {result:?}");
        }
    }
}

#[test]
fn an_announcement_of_something_else_is_refused() {
    let Some(samples) = samples() else { return };
    let [release, _] = &samples.by_release_key;
    let with = |place: usize, value: u8| {
        let mut inner = release.inner();
        inner[0].body[place] = value;
        release.check(&joined(&inner), samples)
    };
    // Version, kind, hash, algorithm, key, last.
    damaged(with(0, 6), "its first packet announces something else than one signature");
    damaged(with(12, 0), "its first packet announces something else than one signature");
    for (place, value) in [(1, 1), (2, 10), (3, 19)] {
        damaged(with(place, value), "its first packet announces another signature than follows");
    }
    assert!(matches!(with(11, 0), Err(SignatureError::UnknownSigner { .. })));
}

#[test]
fn compression_is_bounded() {
    let Some(samples) = samples() else { return };
    let [release, _] = &samples.by_release_key;
    let plain = joined(&release.inner());
    let twice = compressed(&compressed(&plain));
    damaged(release.check(&twice, samples), "it is compressed more than once, or not as a whole");
    damaged(release.check(&[compressed(&plain), plain.clone()].concat(), samples), "it is compressed more than once, or not as a whole");
    // 40 MB in 40 kB.
    let bomb = compressed(&vec![0; 40 << 20]);
    assert!((bomb.len() as u64) < crate::limits::RELEASE_SIGNATURE_BYTES);
    damaged(release.check(&bomb, samples), "it is too long when decompressed");
    let long = [plain.clone(), vec![0; 50 << 10]].concat();
    damaged(release.check(&long, samples), "it is too long");
    for method in [0, 3, 4, 255] {
        let stored = bytes(COMPRESSED, &[&[method][..], &plain].concat());
        damaged(release.check(&stored, samples), "it is compressed in a way that is not known here");
    }
}

#[test]
fn weak_hashes_do_not_count() {
    let Some(samples) = samples() else { return };
    let [release, _] = &samples.by_release_key;
    for (hash, name) in [(1, "MD5"), (2, "SHA1"), (3, "RIPEMD160"), (11, "SHA224")] {
        let mut inner = release.inner();
        inner[0].body[2] = hash;
        inner[2].body[3] = hash;
        let result = release.check(&joined(&inner), samples);
        assert!(matches!(&result, Err(SignatureError::WeakHash(found)) if found == name), "{result:?}");
    }
}

#[test]
fn time_is_looked_at() {
    let Some(samples) = samples() else { return };
    let [release, _] = &samples.by_release_key;
    let made = release.check(&release.message, samples).unwrap().created();
    let at = |now| verify(&release.message, &release.digest, &samples.keyring, now);
    assert!(at(made - CLOCK_SKEW).is_ok());
    assert!(matches!(at(made - CLOCK_SKEW - 1), Err(SignatureError::FromTheFuture { .. })));
    // Before the key said of itself that it is in use, and for ever after: it has no end.
    assert!(matches!(at(0), Err(SignatureError::KeyUnfit { .. })));
    assert!(at(u64::from(u32::MAX)).is_ok());
}

#[test]
fn who_counts_is_said_by_name_or_fingerprint() {
    let Some(samples) = samples() else { return };
    let [release, _] = &samples.by_release_key;
    let file = |bytes: &[u8]| [("/etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release".to_owned(), bytes.to_vec())];
    let check = |keyring: &Keyring| verify(&release.message, &release.digest, keyring, NOW);
    assert!(check(&Keyring::pinned(&file(&samples.key), &[RED_HAT_RELEASE_2])).is_ok());
    assert!(matches!(check(&Keyring::default()), Err(SignatureError::NoKeys)));
    let binary = armor::keys(&samples.key).unwrap().remove(0);
    assert!(check(&Keyring::parse(&file(&binary)).unwrap()).is_ok());
    // With windows' line ends, and a file of another key's remains around it.
    let text = String::from_utf8(samples.key.clone()).unwrap().replace('\n', "\r\n");
    let around = format!("\u{feff}-----BEGIN PGP SIGNATURE-----\r\n\r\nAAAA\r\n-----END PGP SIGNATURE-----\r\n{text}\r\nbye");
    assert!(check(&Keyring::parse(&file(around.as_bytes())).unwrap()).is_ok());
}

#[test]
fn key_files_that_are_none_are_told_apart() {
    let problem = |bytes: &[u8]| match Keyring::parse(&[("file".into(), bytes.to_vec())]) {
        Err(KeyFileError { file, problem }) if file == "file" => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(b""), KeyProblem::NoKey);
    assert_eq!(problem(b"ssh-ed25519 AAAA"), KeyProblem::NoKey);
    assert_eq!(problem(b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n"), KeyProblem::Private);
    assert_eq!(problem(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBE"), KeyProblem::Damaged);
    assert_eq!(problem(&bytes(5, &[4; 100])), KeyProblem::Private);
    // The library would end the program over these versions.
    for version in [0, 2, 3, 5, 6, 7, 255] {
        assert_eq!(problem(&bytes(6, &[&[version, 0, 0, 0, 0, 1][..], &[0; 300]].concat())), KeyProblem::Unsupported, "{version}");
    }
    assert!(Keyring::pinned(&[("file".into(), b"\xff\xff\xff".to_vec())], &[]).is_empty());
    let Some(samples) = samples() else { return };
    let binary = armor::keys(&samples.key).unwrap().remove(0);
    let primary = packets::split(&binary).unwrap().remove(0);
    assert_eq!(problem(&bytes(primary.tag, &primary.body)), KeyProblem::Unsigned, "anybody can write a name beside a key");
    for length in 1..binary.len() {
        assert!(Keyring::parse(&[("file".into(), binary[..length].to_vec())]).is_err(), "{length}");
    }
}

/// A bit changed in a key makes it another key, or one that says nothing valid of itself; it never verifies what it should not.
#[test]
fn a_changed_key_is_another_key() {
    let Some(samples) = samples() else { return };
    let [release, _] = &samples.by_release_key;
    let binary = armor::keys(&samples.key).unwrap().remove(0);
    let primary_ends = 3 + packets::split(&binary).unwrap()[0].body.len();
    for bit in (0..primary_ends * 8).step_by(7) {
        let mut changed = binary.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let keyring = Keyring::pinned(&[("file".into(), changed)], &[RED_HAT_RELEASE_2]);
        assert!(verify(&release.message, &release.digest, &keyring, NOW).is_err(), "bit {bit}");
    }
}

#[test]
fn documents_are_read_strictly() {
    let digest = Digest::sha256(b"release");
    let good = format!(
        r#"{{"critical":{{"image":{{"docker-manifest-digest":"{digest}"}},"type":"atomic container signature","identity":{{"docker-reference":"q/r:1"}}}},"optional":{{"creator":"x","timestamp":1,"more":[]}}}}"#
    );
    assert_eq!(claim::read(good.as_bytes(), &digest).unwrap(), "q/r:1");
    let without = good.replace(r#","optional":{"creator":"x","timestamp":1,"more":[]}"#, "");
    assert_eq!(claim::read(without.as_bytes(), &digest).unwrap(), "q/r:1");
    let refused = |from: &str, to: &str| {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good);
        claim::read(changed.as_bytes(), &digest).unwrap_err()
    };
    for (from, to) in [
        (r#""critical":{"#, r#""critical":{"new":1,"#),
        (r#""image":{"#, r#""image":{"new":1,"#),
        (r#""identity":{"#, r#""identity":{"new":1,"#),
        (r#","optional""#, r#","Optional""#),
        (r#""optional":{"#, r#""critical":{},"optional":{"#),
        (r#""type":"#, r#""type":"atomic container signature","type":"#),
        (r#""image":"#, r#""image":{"docker-manifest-digest":"sha256:00"},"image":"#),
        (r#""docker-manifest-digest":"#, r#""Docker-manifest-digest":"#),
        (r#"{"docker-reference":"q/r:1"}"#, "null"),
        (r#""q/r:1"}}"#, r#""q/r:1"}}}"#),
        (r#"{"creator""#, r#"["creator""#),
    ] {
        assert!(matches!(refused(from, to), SignatureError::Document(_)), "{to}");
    }
    assert!(matches!(refused("atomic container", "Atomic container"), SignatureError::WrongType { .. }));
    for other in [digest.to_string().to_uppercase(), digest.hex(), format!("{digest} "), format!("sha512:{}", digest.hex())] {
        assert!(matches!(refused(&digest.to_string(), &other), SignatureError::WrongDigest { .. }), "{other}");
    }
    assert!(matches!(claim::read(b"", &digest), Err(SignatureError::Document(_))));
    let deep = r#"{"optional":{"x":"#.to_owned() + &"[".repeat(100_000);
    assert!(matches!(claim::read(deep.as_bytes(), &digest), Err(SignatureError::Document(_))));
}

#[test]
fn lengths_are_read_in_all_their_forms() {
    let one = |tag: u8, body: &[u8]| Ok(vec![Packet { tag, body: body.to_vec() }]);
    for (written, read) in [
        (&[0xa0, 1, 7][..], one(8, &[7])),
        (&[0xa1, 0, 1, 7], one(8, &[7])),
        (&[0xa2, 0, 0, 0, 1, 7], one(8, &[7])),
        (&[0xa3, 7, 8], one(8, &[7, 8])),
        (&[0xc8, 1, 7], one(8, &[7])),
        (&[0xcb, 0xe1, 7, 8, 0xe0, 9, 1, 10], one(11, &[7, 8, 9, 10])),
        (&[0xcb, 0xe0, 7, 0], one(11, &[7])),
        (&[], Ok(vec![])),
    ] {
        assert_eq!(packets::split(written), read, "{written:?}");
    }
    assert_eq!(packets::split(&[&[0xcb, 192, 0][..], &[5; 192]].concat()), one(LITERAL, &[5; 192]));
    assert_eq!(packets::split(&[&[0xcb, 223, 255][..], &[5; 8383]].concat()), one(LITERAL, &[5; 8383]));
    for bad in [
        &[0x00][..],
        &[0x7f, 0],
        &[0xc2],
        &[0xc2, 2, 1],
        &[0xc2, 255, 0, 0],
        &[0xc2, 255, 255, 255, 255, 255],
        &[0xcb, 0xfe, 1, 2],
        &[0xcb, 0xe0, 7],
        &[0x8b, 1, 2],
        &[0xc2, 0xe0, 7, 0],
    ] {
        assert!(packets::split(bad).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn random_bytes_are_no_signature(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let Some(samples) = SAMPLES.as_ref() else { return Ok(()) };
        prop_assert!(verify(&bytes, &samples.by_release_key[0].digest, &samples.keyring, NOW).is_err());
    }

    #[test]
    fn random_keys_and_packets_end_in_an_answer(bodies in proptest::collection::vec((0u8..20, proptest::collection::vec(any::<u8>(), 0..200)), 0..6)) {
        let all: Vec<u8> = bodies.iter().flat_map(|(tag, body)| bytes(*tag, body)).collect();
        let _ = Keyring::parse(&[("file".into(), all)]);
    }

    /// Hostile inside of what is well-formed outside: the parts that the library reads.
    #[test]
    fn bytes_changed_in_packets_end_in_an_answer(
        key in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let Some(samples) = SAMPLES.as_ref() else { return Ok(()) };
        let release = &samples.by_release_key[0];
        let mut packets = if key { packets::split(&armor::keys(&samples.key).unwrap()[0]).unwrap() } else { release.inner() };
        for (packet, place, value) in edits {
            let body = &mut packet.get_mut(&mut packets).body;
            if !body.is_empty() {
                // Most of what is of interest stands at the front.
                let window = body.len().min(64);
                body[place.index(window)] = value;
            }
        }
        if let Some(cut) = cut {
            let body = &mut packets.last_mut().unwrap().body;
            body.truncate(cut.index(body.len() + 1));
        }
        let bytes = joined(&packets);
        if key {
            let keyring = Keyring::parse(&[("file".into(), bytes)]).unwrap_or_default();
            let _ = verify(&release.message, &release.digest, &keyring, NOW);
        } else {
            let _ = release.check(&bytes, samples);
        }
    }
}
