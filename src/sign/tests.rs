//! The door and the files it believes, attacked.

use super::wire::put_string;
use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_795_000_000; // 2026-11-18

/// A document of one line: `STREAM [AUDIENCE,...]`.
struct Document {
    stream: String,
    audience: Vec<String>,
}

impl Streamed for Document {
    fn stream(&self) -> &str {
        &self.stream
    }

    fn audience(&self) -> &[String] {
        &self.audience
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("unreadable")]
struct Unreadable;

fn parse(bytes: &[u8]) -> Result<Document, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable)?;
    let (stream, audience) = text.split_once(' ').unwrap_or((text, ""));
    let audience = audience.split(',').filter(|l| !l.is_empty()).map(str::to_owned).collect();
    Ok(Document { stream: stream.to_owned(), audience })
}

fn key(n: u8) -> SoftwareKey {
    SoftwareKey::ed25519(&[n; 32])
}

fn p256_key() -> SoftwareKey {
    SoftwareKey::p256(&[7; 32]).unwrap()
}

const BOTH: &str = "namespaces=\"sealift-index@1,sealift-receipt@1\"";

fn line(principals: &str, options: &str, key: &SoftwareKey, owner: &str) -> String {
    format!("{principals} {options} {} {owner}\n", key.public_key().to_line())
}

fn trust(allowed: &str, revoked: &str, policy: &str) -> Trust {
    Trust::new(
        AllowedSigners::parse(allowed.as_bytes()).unwrap(),
        RevokedKeys::parse(revoked.as_bytes()).unwrap(),
        Policy::parse(policy.as_bytes()).unwrap(),
    )
}

fn signed(key: &dyn Signer, bytes: &[u8]) -> Vec<u8> {
    sign_detached(key, Namespace::Index, bytes).unwrap().into_bytes()
}

fn open(bytes: &[u8], signatures: &[Vec<u8>], trust: &Trust) -> Result<Verified<Document>, VerifyError<Unreadable>> {
    verify(bytes, signatures, trust, Namespace::Index, NOW, parse)
}

fn reason(result: Result<Verified<Document>, VerifyError<Unreadable>>) -> Rejection {
    result.map(|_| ()).unwrap_err().reason().unwrap().clone()
}

#[test]
fn a_trusted_signature_opens_the_door_and_tells_who() {
    let trust = trust(&line("stream:ocp4", BOTH, &key(1), "alice"), "", "");
    let verified = open(b"ocp4", &[signed(&key(1), b"ocp4")], &trust).unwrap();
    assert_eq!(verified.stream, "ocp4");
    assert_eq!(verified.digest(), crate::digest::Digest::sha256(b"ocp4"));
    let [by] = verified.signers() else { panic!("one signer") };
    assert_eq!((by.owner.as_str(), by.line, by.fingerprint), ("alice", 1, key(1).public_key().fingerprint()));
}

#[test]
fn p256_signs_as_well() {
    let trust = trust(&line("stream:*", BOTH, &p256_key(), "hsm"), "", "");
    assert!(open(b"x", &[signed(&p256_key(), b"x")], &trust).is_ok());
}

#[test]
fn empty_keyring_and_missing_signature() {
    let signature = signed(&key(1), b"ocp4");
    assert!(matches!(open(b"ocp4", &[signature], &Trust::default()), Err(VerifyError::EmptyTrust)));
    let trust = trust(&line("stream:*", BOTH, &key(1), ""), "", "");
    assert!(matches!(open(b"ocp4", &[], &trust), Err(VerifyError::NoSignature)));
    assert!(matches!(open(b"ocp4", &vec![Vec::new(); 17], &trust), Err(VerifyError::TooManySignatures { found: 17 })));
}

#[test]
fn nothing_is_parsed_before_a_trusted_signature_holds() {
    let trust = trust(&line("stream:*", BOTH, &key(1), ""), "", "");
    let other = signed(&key(1), b"other bytes");
    for signature in [signed(&key(2), b"ocp4"), other, b"junk".to_vec()] {
        let result = verify(b"ocp4", &[signature], &trust, Namespace::Index, NOW, |_| -> Result<Document, Unreadable> {
            panic!("parsed before anybody vouched for it")
        });
        assert!(matches!(result, Err(VerifyError::NoneCounts { .. })));
    }
}

#[test]
fn every_reason_has_its_own_name() {
    let fingerprint = key(1).public_key().fingerprint();
    let store = |options: &str| trust(&line("stream:ocp4", options, &key(1), "alice"), "", "");
    let signature = signed(&key(1), b"ocp4");
    let all = store(BOTH);
    assert!(matches!(reason(open(b"ocp5", std::slice::from_ref(&signature), &all)), Rejection::Mismatch { key } if key == fingerprint));
    assert!(matches!(reason(open(b"ocp4", &[signed(&key(2), b"ocp4")], &all)), Rejection::UnknownKey { .. }));
    assert!(matches!(reason(open(b"dev", &[signed(&key(1), b"dev")], &all)), Rejection::NotForStream { stream, .. } if stream == "dev"));
    assert!(matches!(reason(open(b"ocp4", &[b"junk".to_vec()], &all)), Rejection::Malformed(SshsigError::Armor)));
    let receipt = sign_detached(&key(1), Namespace::Receipt, b"ocp4").unwrap().into_bytes();
    assert!(matches!(reason(open(b"ocp4", &[receipt], &all)), Rejection::WrongNamespace { .. }));
    let elsewhere = store("namespaces=\"git\"");
    assert!(matches!(reason(open(b"ocp4", std::slice::from_ref(&signature), &elsewhere)), Rejection::NotForNamespace { .. }));
    let old = store(&format!("{BOTH},valid-before=\"20261101Z\""));
    assert!(matches!(reason(open(b"ocp4", std::slice::from_ref(&signature), &old)), Rejection::Expired { .. }));
    let early = store(&format!("{BOTH},valid-after=\"20270101Z\""));
    assert!(matches!(reason(open(b"ocp4", std::slice::from_ref(&signature), &early)), Rejection::NotYetValid { .. }));
    let revoked = trust(&line("stream:ocp4", BOTH, &key(1), "alice"), &key(1).public_key().to_line(), "");
    assert!(matches!(reason(open(b"ocp4", &[signature], &revoked)), Rejection::Revoked { .. }));
    assert!(matches!(open(b"\xff", &[signed(&key(1), b"\xff")], &all), Err(VerifyError::Parse(Unreadable))));
    assert!(matches!(open(b"../x", &[signed(&key(1), b"../x")], &all), Err(VerifyError::BadStream(_))));
}

#[test]
fn the_most_telling_reason_comes_first() {
    let trust = trust(&line("stream:ocp4", BOTH, &key(1), "alice"), "", "");
    let signatures = [b"junk".to_vec(), signed(&key(2), b"ocp4"), signed(&key(1), b"before it was changed")];
    let Err(VerifyError::NoneCounts { rejected }) = open(b"ocp4", &signatures, &trust) else { panic!("nothing counts") };
    assert_eq!(rejected.iter().map(|r| r.position).collect::<Vec<_>>(), [2, 1, 0]);
}

#[test]
fn strangers_and_junk_beside_a_good_signature_do_no_harm_and_are_listed() {
    let trust = trust(&line("stream:ocp4", BOTH, &key(1), "alice"), "", "");
    let signatures = [b"junk".to_vec(), signed(&key(2), b"ocp4"), signed(&key(1), b"ocp4")];
    let verified = open(b"ocp4", &signatures, &trust).unwrap();
    assert_eq!((verified.signers().len(), verified.rejected().len()), (1, 2));
}

fn have_need(result: Result<Verified<Document>, VerifyError<Unreadable>>) -> Option<(usize, usize)> {
    match result.map(|_| ()) {
        Err(VerifyError::Threshold { have, need, .. }) => Some((have, need)),
        Ok(()) => None,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn duplicate_signature_and_two_keys_of_one_owner_count_once() {
    let allowed =
        [line("stream:*", BOTH, &key(1), "alice"), line("stream:*", BOTH, &key(2), "alice"), line("stream:*", BOTH, &key(3), "bob")];
    let trust = trust(&allowed.concat(), "", "min-signatures stream:ocp4 2\n");
    let by = |n: u8| signed(&key(n), b"ocp4");
    assert_eq!(have_need(open(b"ocp4", &[by(1)], &trust)), Some((1, 2)));
    assert_eq!(have_need(open(b"ocp4", &[by(1), by(1)], &trust)), Some((1, 2)));
    assert_eq!(have_need(open(b"ocp4", &[by(1), by(2)], &trust)), Some((1, 2)));
    assert_eq!(have_need(open(b"ocp4", &[by(1), by(3)], &trust)), None);
    assert_eq!(have_need(open(b"dev", &[signed(&key(1), b"dev")], &trust)), None, "the threshold is per stream");
}

#[test]
fn ecdsa_twins_are_one_signature() {
    // (r, s) and (r, n - s) are both valid ECDSA signatures: anybody can make the second from the first.
    let file = String::from_utf8(signed(&p256_key(), b"ocp4")).unwrap();
    let twin = ecdsa_twin(&p256_key(), b"ocp4");
    assert_ne!(file, twin);
    let trust = trust(&line("stream:*", BOTH, &p256_key(), ""), "", "min-signatures stream:* 2");
    assert_eq!(have_need(open(b"ocp4", &[file.into_bytes(), twin.into_bytes()], &trust)), Some((1, 2)));
}

fn ecdsa_twin(key: &SoftwareKey, bytes: &[u8]) -> String {
    struct Twin<'a>(&'a SoftwareKey);
    impl Signer for Twin<'_> {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }
        fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
            let blob = self.0.sign(data)?;
            let mut reader = wire::Reader::new(&blob);
            let kind = reader.string().unwrap();
            let mut numbers = wire::Reader::new(reader.string().unwrap());
            let r = wire::mpint(numbers.string().unwrap()).unwrap();
            let s = wire::mpint(numbers.string().unwrap()).unwrap();
            let signature = p256::ecdsa::Signature::from_scalars(r, s).unwrap();
            let other = -*signature.s();
            let mut field = Vec::new();
            wire::put_mpint(&mut field, &r);
            wire::put_mpint(&mut field, &other.to_bytes().into());
            let mut out = Vec::new();
            put_string(&mut out, kind);
            put_string(&mut out, &field);
            Ok(out)
        }
    }
    sign_detached(&Twin(key), Namespace::Index, bytes).unwrap()
}

#[test]
fn keys_without_owner_count_by_key() {
    let allowed = [line("stream:*", BOTH, &key(1), ""), line("stream:*", BOTH, &key(2), "")];
    let trust = trust(&allowed.concat(), "", "min-signatures stream:* 2");
    assert_eq!(have_need(open(b"ocp4", &[signed(&key(1), b"ocp4"), signed(&key(2), b"ocp4")], &trust)), None);
}

#[test]
fn a_key_on_several_lines_may_use_any_of_them_that_is_valid() {
    let allowed = [
        line("stream:ocp4", &format!("{BOTH},valid-before=\"20200101Z\""), &key(1), "alice"),
        line("stream:tools-*", BOTH, &key(1), "alice"),
    ];
    let trust = trust(&allowed.concat(), "", "");
    assert!(open(b"tools-a", &[signed(&key(1), b"tools-a")], &trust).is_ok());
    assert!(matches!(reason(open(b"ocp4", &[signed(&key(1), b"ocp4")], &trust)), Rejection::NotForStream { .. }));
}

#[test]
fn a_set_for_another_site_is_refused() {
    let allowed = line("stream:*", BOTH, &key(1), "");
    let bytes = b"ocp4 bank-a,bank-b";
    let open_at = |policy: &str| open(bytes, &[signed(&key(1), bytes)], &trust(&allowed, "", policy)).map(|_| ());
    assert!(open_at("audience bank-b").is_ok());
    assert!(matches!(open_at("audience bank-c"), Err(VerifyError::Audience { .. })));
    assert!(matches!(open_at(""), Err(VerifyError::Audience { ours, .. }) if ours.is_empty()));
    assert!(open(b"ocp4", &[signed(&key(1), b"ocp4")], &trust(&allowed, "", "audience bank-c")).is_ok());
}

fn refusal(file: &str) -> (usize, LineProblem) {
    let error = AllowedSigners::parse(file.as_bytes()).unwrap_err();
    (error.line, error.why)
}

#[test]
fn trust_files_that_ssh_keygen_would_take_too_lightly_are_refused() {
    let good = line("stream:ocp4", BOTH, &key(1), "alice");
    let with = |options: &str| refusal(&format!("# who\n\n{good}{}", line("stream:*", options, &key(2), "bob")));
    assert_eq!(with(""), (4, LineProblem::NoNamespaces));
    assert_eq!(with("cert-authority"), (4, LineProblem::CertAuthority));
    assert_eq!(with(&format!("cert-authority,{BOTH}")), (4, LineProblem::CertAuthority));
    assert_eq!(with(&format!("{BOTH},cert-authority")), (4, LineProblem::CertAuthority));
    assert_eq!(with(&format!("{BOTH},no-touch=\"1\"")), (4, LineProblem::UnknownOption("no-touch".into())));
    assert_eq!(with("namespaces=\"*\""), (4, LineProblem::NamespacePattern));
    assert_eq!(with("namespaces=\"\""), (4, LineProblem::NamespacePattern));
    assert_eq!(with("namespaces=sealift-index@1").1, LineProblem::UnknownOption("namespaces=sealift-index@1".into()));
    assert_eq!(with(&format!("{BOTH},{BOTH}")), (4, LineProblem::Twice("namespaces")));
    assert_eq!(with(&format!("{BOTH},")), (4, LineProblem::Options));
    assert_eq!(with(&format!("{BOTH},valid-before=\"20261301\"")).1, LineProblem::Time("20261301".into()));
    assert_eq!(with(&format!("{BOTH},valid-after=\"20270101\",valid-before=\"20260101\"")).1, LineProblem::NeverValid);
    assert_eq!(refusal(&good.replace("alice", "alice\r")), (1, LineProblem::NotText));
    assert_eq!(refusal(&format!("{good}{}", line("stream:*", BOTH, &key(1), "bob"))), (2, LineProblem::TwoOwners { first: 1 }));
    assert!(matches!(refusal(&format!("\"stream:a b\" {good}")).1, LineProblem::Principals(_)));
    assert!(matches!(refusal("stream:* namespaces=\"a\" ssh-rsa AAAA x").1, LineProblem::Key(KeyError::Rsa(_))));
    assert!(matches!(refusal("stream:* ssh-ed25519-cert-v01@openssh.com AAAA").1, LineProblem::Key(KeyError::Certificate(_))));
    assert_eq!(refusal("stream:*"), (1, LineProblem::Incomplete));
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let anybody = format!("stream:* {BOTH} {}", PublicKey::ed25519(neutral).to_line());
    assert_eq!(refusal(&anybody), (1, LineProblem::Key(KeyError::Point)));
}

#[test]
fn local_times_are_read_against_the_key() {
    let at = |options: &str, now: u64| {
        let store = trust(&line("stream:*", &format!("{BOTH},{options}"), &key(1), ""), "", "");
        verify(b"a", &[signed(&key(1), b"a")], &store, Namespace::Index, now, parse).is_ok()
    };
    let midnight = 1_798_761_600; // 2027-01-01 00:00 UTC
    assert!(at("valid-before=\"20270101Z\"", midnight - 1));
    assert!(!at("valid-before=\"20270101Z\"", midnight));
    assert!(at("valid-after=\"202701010000Z\"", midnight));
    assert!(!at("valid-after=\"20270101000001Z\"", midnight));
    assert!(at("valid-before=\"20270101\"", midnight - 14 * 3600 - 1));
    assert!(!at("valid-before=\"20270101\"", midnight - 14 * 3600));
    assert!(!at("valid-after=\"20270101\"", midnight + 12 * 3600 - 1));
    assert!(at("valid-after=\"20270101\"", midnight + 12 * 3600));
}

#[test]
fn policies_are_read_strictly_and_the_highest_threshold_counts() {
    let policy =
        Policy::parse(b"# site\nmin-signatures stream:* 1\nmin-signatures stream:ocp4,stream:prod-* 3\naudience a\naudience b\n").unwrap();
    assert_eq!((policy.min_signatures("stream:ocp4"), policy.min_signatures("stream:dev")), (3, 1));
    assert_eq!(policy.audience().len(), 2);
    for bad in [
        "min-signatures 2",
        "min-signatures stream:* 0",
        "min-signatures stream:* 17",
        "min-signatures stream:* 2 3",
        "audience",
        "audience a b",
        "audience A",
        "trust all",
        "min-signature stream:* 2",
        "min-signatures stream:* +2",
    ] {
        assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_revocation_is_never_lost_to_a_typing_error() {
    assert!(RevokedKeys::parse(format!("# stolen\n{} alice\nssh-rsa AAAA old\n", key(1).public_key().to_line()).as_bytes()).is_ok());
    for bad in ["SHA256:abc", "ssh-ed25519 AAAA", "SSHKRL\n\0", "stream:* ssh-ed25519 AAAA"] {
        assert!(RevokedKeys::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

/// A signature file from its parts, none of them checked.
fn armor(version: u32, key: &[u8], reserved: &[u8], hash: &[u8], raw: &[u8], more: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let mut blob = b"SSHSIG".to_vec();
    blob.extend(version.to_be_bytes());
    for field in [key, b"sealift-index@1", reserved, hash, raw] {
        put_string(&mut blob, field);
    }
    blob.extend(more);
    let base64 = base64::engine::general_purpose::STANDARD.encode(blob);
    let lines: Vec<&str> = base64.as_bytes().chunks(70).map(|l| std::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n")).into_bytes()
}

#[test]
fn foreign_fields_are_refused_by_name() {
    let key = key(1);
    let blob = key.public_key().to_blob();
    let raw = key.sign(b"whatever").unwrap();
    let parse = |file: &[u8]| Signature::parse(file).map(|_| ());
    assert_eq!(parse(&armor(1, &blob, b"", b"sha512", &raw, b"")), Ok(()));
    assert_eq!(parse(&armor(2, &blob, b"", b"sha512", &raw, b"")), Err(SshsigError::Version(2)));
    assert_eq!(parse(&armor(1, &blob, b"x", b"sha512", &raw, b"")), Err(SshsigError::Reserved));
    assert_eq!(parse(&armor(1, &blob, b"", b"sha256", &raw, b"")), Err(SshsigError::Hash("sha256".into())));
    assert!(matches!(parse(&armor(1, &blob, b"", b"sha512", &raw, b"\0")), Err(SshsigError::Malformed(_))));
    let mut long = raw.clone();
    long.push(0);
    assert!(matches!(parse(&armor(1, &blob, b"", b"sha512", &long, b"")), Err(SshsigError::Malformed(_))));
    for (name, certificate) in [("ssh-rsa", false), ("rsa-sha2-512", false), ("ssh-ed25519-cert-v01@openssh.com", true)] {
        let mut foreign = Vec::new();
        put_string(&mut foreign, name.as_bytes());
        put_string(&mut foreign, &[1; 32]);
        let error = parse(&armor(1, &foreign, b"", b"sha512", &raw, b"")).unwrap_err();
        assert!(matches!(
            (certificate, error),
            (true, SshsigError::Key(KeyError::Certificate(_))) | (false, SshsigError::Key(KeyError::Rsa(_)))
        ));
    }
}

#[test]
fn numbers_with_superfluous_zeros_are_not_canonical() {
    let key = p256_key();
    let mut numbers = Vec::new();
    put_string(&mut numbers, &[0, 0, 5]);
    put_string(&mut numbers, &[5]);
    let mut raw = Vec::new();
    put_string(&mut raw, b"ecdsa-sha2-nistp256");
    put_string(&mut raw, &numbers);
    assert_eq!(Signature::parse(&armor(1, &key.public_key().to_blob(), b"", b"sha512", &raw, b"")), Err(SshsigError::NotCanonical));
}

#[test]
fn nothing_may_stand_around_or_inside_the_armour() {
    let good = String::from_utf8(signed(&key(1), b"x")).unwrap();
    let inside = good.find("\n").unwrap() + 10;
    let split = format!("{}\n{}", &good[..inside], &good[inside..]);
    for bad in [
        format!("hello\n{good}"),
        format!("{good}hello\n"),
        format!("{good}\n"),
        format!("{good}{good}"),
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
        good.replace("SIGNATURE-----\nU", "SIGNATURE-----\n\nU"),
        good.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        split,
        " ".to_owned() + &good,
        String::new(),
        "x".repeat(20_000),
    ] {
        assert!(Signature::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_holder_that_signs_something_else_is_caught() {
    struct Liar(SoftwareKey);
    impl Signer for Liar {
        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }
        fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
            self.0.sign(b"something else")
        }
    }
    assert!(matches!(sign_detached(&Liar(key(1)), Namespace::Index, b"x"), Err(SignError::DoesNotVerify { .. })));
}

#[test]
fn private_halves_do_not_print() {
    assert_eq!(format!("{:?}", key(1)), format!("private half of {:?}", key(1).public_key()));
}

#[test]
fn every_bit_of_a_signature_file_matters() {
    for key in [key(1), p256_key()] {
        let trust = trust(&line("stream:*", BOTH, &key, ""), "", "");
        let file = signed(&key, b"ocp4");
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut bad = file.clone();
                bad[at] ^= 1 << bit;
                assert!(open(b"ocp4", &[bad], &trust).is_err(), "byte {at}, bit {bit}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_reads_back_as_the_same_value(seed: [u8; 32], bytes in proptest::collection::vec(any::<u8>(), 0..300), p256: bool) {
        let key = if p256 { SoftwareKey::p256(&seed).unwrap_or_else(p256_key) } else { SoftwareKey::ed25519(&seed) };
        let file = sign_detached(&key, Namespace::Receipt, &bytes).unwrap();
        let signature = Signature::parse(file.as_bytes()).unwrap();
        prop_assert_eq!(signature.key(), key.public_key());
        prop_assert_eq!(signature.namespace(), "sealift-receipt@1");
        prop_assert_eq!(signature.armored(), file);
    }

    #[test]
    fn every_bit_of_the_message_matters(bytes in proptest::collection::vec(any::<u8>(), 1..100), at: prop::sample::Index, bit in 0u8..8) {
        let trust = trust(&line("stream:*", BOTH, &key(1), ""), "", "");
        let signature = signed(&key(1), &bytes);
        let mut bad = bytes.clone();
        bad[at.index(bytes.len())] ^= 1 << bit;
        let is_mismatch = matches!(reason(open(&bad, &[signature], &trust)), Rejection::Mismatch { .. });
        prop_assert!(is_mismatch);
    }

    #[test]
    fn no_file_whatever_makes_a_reader_fall_over(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "[ -~\n]{0,200}") {
        let _ = PublicKey::from_blob(&bytes);
        for file in [&bytes[..], text.as_bytes()] {
            let _ = (Signature::parse(file), AllowedSigners::parse(file), RevokedKeys::parse(file), Policy::parse(file));
        }
    }
}
