//! Files and agents that mean harm, and the editing of trust files.

use super::*;
use crate::sign::{LineProblem, PublicKey, Signer as _, SoftwareKey};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;

fn key(n: u8) -> PublicKey {
    SoftwareKey::ed25519(&[n; 32]).public_key().clone()
}

fn folder() -> (tempfile::TempDir, TrustFolder) {
    let temp = tempfile::tempdir().unwrap();
    let trust = TrustFolder::new(&temp.path().join("trust"));
    (temp, trust)
}

#[test]
fn a_key_is_never_overwritten() {
    let temp = tempfile::tempdir().unwrap();
    let first = generate(temp.path(), "site", "alice", None).unwrap();
    assert!(matches!(generate(temp.path(), "site", "alice", None), Err(KeystoreError::Exists { .. })));
    fs::remove_file(temp.path().join("site")).unwrap();
    assert!(matches!(generate(temp.path(), "site", "alice", None), Err(KeystoreError::Exists { .. })), "its public half is still there");
    assert_eq!(public_key(temp.path(), "site.pub").unwrap(), (first, "alice".to_owned()));
}

#[test]
fn names_that_leave_the_folder_or_mean_other_files_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    for bad in ["", ".", "..", ".lock", "../x", "a/b", "A", "a b", "-x", "x.pub", "x.incomplete", "ä"] {
        assert!(matches!(generate(temp.path(), bad, "", None), Err(KeystoreError::BadName { .. })), "{bad:?}");
    }
    for bad in ["a\nb", " a", "a\u{1b}[2J"] {
        assert!(matches!(generate(temp.path(), "x", bad, None), Err(KeystoreError::BadOwner)), "{bad:?}");
    }
    assert!(matches!(generate(temp.path(), "x", "", Some("")), Err(KeystoreError::EmptyPassphrase)));
    assert!(list(temp.path()).unwrap().is_empty());
    assert!(list(&temp.path().join("none")).unwrap().is_empty());
}

#[test]
fn a_crash_at_any_point_leaves_no_half_key() {
    // What a crash leaves is a staged file with whatever mode: it neither counts as a key nor lends its mode.
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let leftover = temp.path().join("site.incomplete");
    fs::write(&leftover, "half").unwrap();
    fs::set_permissions(&leftover, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(list(temp.path()).unwrap().is_empty());
    generate(temp.path(), "site", "", None).unwrap();
    assert_eq!(fs::metadata(temp.path().join("site")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!leftover.exists());
}

fn damaged(text: &str) -> KeyFileProblem {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("k");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    match load(&path, &mut || Ok(zeroize::Zeroizing::new("x".to_owned()))) {
        Err(KeystoreError::KeyFile { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

/// A container with the given cipher, key derivation and secret part.
fn container(cipher: &[u8], kdf: &[u8], options: &[u8], public: &PublicKey, secret: &[u8]) -> String {
    use crate::sign::wire::put_string;
    use base64::Engine as _;
    let mut blob = b"openssh-key-v1\0".to_vec();
    put_string(&mut blob, cipher);
    put_string(&mut blob, kdf);
    put_string(&mut blob, options);
    blob.extend([0, 0, 0, 1]);
    put_string(&mut blob, &public.to_blob());
    put_string(&mut blob, secret);
    let base64 = base64::engine::general_purpose::STANDARD.encode(blob);
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n-----END OPENSSH PRIVATE KEY-----\n")
}

#[test]
fn hostile_key_files_end_in_a_reason() {
    use crate::sign::wire::put_string;
    assert_eq!(damaged(""), KeyFileProblem::NotAKey);
    assert_eq!(damaged("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), KeyFileProblem::Damaged("its last line is missing"));
    assert!(matches!(damaged(&container(b"none", b"none", b"", &key(1), b"")), KeyFileProblem::Damaged(_)));
    let mut years = Vec::new();
    put_string(&mut years, b"salt");
    years.extend(u32::MAX.to_be_bytes());
    assert_eq!(damaged(&container(b"aes256-ctr", b"bcrypt", &years, &key(1), &[0; 64])), KeyFileProblem::Rounds { found: u32::MAX });
    assert!(matches!(damaged(&container(b"rot13", b"bcrypt", b"", &key(1), b"")), KeyFileProblem::Cipher(_)));
    let mut token = Vec::new();
    put_string(&mut token, b"sk-ssh-ed25519@openssh.com");
    put_string(&mut token, &[1; 32]);
    put_string(&mut token, b"ssh:");
    assert_eq!(damaged(&container(b"none", b"none", b"", &PublicKey::from_blob(&token).unwrap(), b"")), KeyFileProblem::Token);
    // The private half of one key beside the public half of another.
    let mut secret = vec![0; 8];
    for field in [&b"ssh-ed25519"[..], &[0; 32], &[2; 64], b""] {
        put_string(&mut secret, field);
    }
    let why = damaged(&container(b"none", b"none", b"", &key(1), &secret));
    assert_eq!(why, KeyFileProblem::Damaged("its private half does not belong to its public half"));
}

#[test]
fn errors_and_debug_output_hold_no_secret() {
    let temp = tempfile::tempdir().unwrap();
    generate(temp.path(), "site", "", None).unwrap();
    let text = fs::read_to_string(temp.path().join("site")).unwrap();
    let cut = text.replace("-----END", "-----FIN");
    let why = format!("{:?} {}", damaged(&cut), damaged(&cut));
    for line in text.lines().filter(|line| !line.starts_with('-')) {
        assert!(!why.contains(line));
    }
    let opened = load(&temp.path().join("site"), &mut || panic!("not needed")).unwrap();
    assert!(format!("{opened:?}").starts_with("private half of ssh-ed25519 SHA256:"));
}

#[test]
fn trust_is_added_listed_and_removed_and_comments_stay() {
    let (_temp, trust) = folder();
    assert!(trust.load().unwrap().is_empty());
    let line = trust.add("stream:ocp4,stream:tools-*,!stream:tools-x", &key(1), "alice").unwrap();
    assert_eq!((line.number, line.owner.as_str(), line.namespaces.len()), (1, "alice", 2));
    let text = fs::read_to_string(trust.allowed_signers()).unwrap();
    fs::write(trust.allowed_signers(), format!("# ours\n{text}\n# theirs")).unwrap();
    trust.add("stream:*", &key(2), "").unwrap();
    assert_eq!(trust.list().unwrap().iter().map(|l| l.number).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(trust.remove(Which::Key(key(1).fingerprint())).unwrap().len(), 1);
    let left = fs::read_to_string(trust.allowed_signers()).unwrap();
    assert!(left.starts_with("# ours\n\n# theirs\nstream:* namespaces="), "{left}");
    assert!(matches!(trust.remove(Which::Key(key(1).fingerprint())), Err(KeystoreError::NotTrusted { .. })));
    assert!(matches!(trust.remove(Which::Line(1)), Err(KeystoreError::NotTrusted { .. })));
    trust.remove(Which::Line(4)).unwrap();
    assert!(trust.load().unwrap().is_empty());
}

#[test]
fn what_would_be_trusted_by_mistake_is_refused() {
    let (_temp, trust) = folder();
    for bad in ["ocp4", "*", "stream:", "stream:OCP4", "stream:a b", "stream:a,b", "!stream:a", "stream:a\" x", ""] {
        assert!(matches!(trust.add(bad, &key(1), ""), Err(KeystoreError::BadPrincipals { .. })), "{bad:?}");
    }
    assert!(matches!(trust.add("stream:a", &key(1), "x\nstream:* ..."), Err(KeystoreError::BadOwner)));
    let mut weak = [0; 32];
    weak[0] = 1;
    assert!(matches!(trust.add("stream:a", &PublicKey::ed25519(weak), ""), Err(KeystoreError::PublicKey { .. })));
    trust.add("stream:a", &key(1), "alice").unwrap();
    assert!(matches!(trust.add("stream:a", &key(1), "alice"), Err(KeystoreError::AlreadyTrusted { line: 1, .. })));
    assert!(matches!(trust.add("stream:b", &key(1), "bob"), Err(KeystoreError::OtherOwner { line: 1, .. })));
    trust.add("stream:b", &key(1), "alice").unwrap();
}

#[test]
fn one_bad_trust_file_refuses_everything_and_is_not_rewritten() {
    let (_temp, trust) = folder();
    trust.add("stream:a", &key(1), "alice").unwrap();
    fs::write(trust.policy(), "min-signature stream:* 2\n").unwrap();
    let refused = trust.load().unwrap_err();
    assert!(matches!(&refused, KeystoreError::TrustFile { path, source } if *path == trust.policy() && source.line == 1));
    assert!(trust.add("stream:b", &key(1), "alice").is_err());
    assert_eq!(fs::read_to_string(trust.allowed_signers()).unwrap().lines().count(), 1);
    fs::write(trust.policy(), "").unwrap();
    fs::write(trust.revoked_keys(), "typing error\n").unwrap();
    assert!(trust.load().is_err());
    fs::remove_file(trust.revoked_keys()).unwrap();
    let cut = fs::read_to_string(trust.allowed_signers()).unwrap().replace("namespaces=", "namespace=");
    fs::write(trust.allowed_signers(), cut).unwrap();
    assert!(
        matches!(trust.load(), Err(KeystoreError::TrustFile { source, .. }) if source.why == LineProblem::UnknownOption("namespace".into()))
    );
}

#[test]
fn policies_are_set_strictly_and_replace_what_they_change() {
    let (_temp, trust) = folder();
    trust.set_min_signatures("ocp4", 3).unwrap();
    fs::write(trust.policy(), format!("# why\nmin-signatures stream:lab-* 2\n{}", fs::read_to_string(trust.policy()).unwrap())).unwrap();
    trust.set_min_signatures("ocp4", 2).unwrap();
    trust.set_audience(Some("bank-a")).unwrap();
    trust.set_audience(Some("bank-b")).unwrap();
    assert!(matches!(trust.set_min_signatures("ocp4", 0), Err(KeystoreError::Policy { .. })));
    assert!(matches!(trust.set_audience(Some("bank-b\nmin-signatures stream:ocp4 1")), Err(KeystoreError::Policy { .. })));
    let text = fs::read_to_string(trust.policy()).unwrap();
    assert_eq!(text, "# why\nmin-signatures stream:lab-* 2\nmin-signatures stream:ocp4 2\naudience bank-b\n");
    trust.set_audience(None).unwrap();
    let loaded = trust.load().unwrap();
    assert_eq!((loaded.policy().min_signatures("stream:ocp4"), loaded.policy().audience().len()), (2, 0));
}

#[test]
fn the_command_for_the_other_side_survives_a_shell() {
    let command = trust_command("stream:*", &key(1), "o'brien; rm -rf /");
    let script = format!("sealift() {{ printf '%s\\n' \"$@\"; }}\n{command}");
    let output = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(words, format!("trust\nadd\nstream:*\n{} o'brien; rm -rf /\n", key(1).to_line()));
    assert!(trust_command("stream:ocp4", &key(1), "").starts_with("sealift trust add stream:ocp4 'ssh-ed25519 "));
}

/// An agent that answers every connection with the same bytes and hangs up.
fn lying_agent(dir: &Path, answer: Vec<u8>) -> Agent {
    let socket = dir.join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(1) {
            let mut stream = stream.unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            let _ = stream.write_all(&answer);
        }
    });
    Agent::new(&socket)
}

#[test]
fn a_lying_agent_ends_in_an_error() {
    let answers: [(&[u8], bool); 6] = [
        (&[], true),
        (&[0, 0, 0, 0], true),
        (&[0xff, 0xff, 0xff, 0xff, 12], true),
        (&[0, 0, 0, 9, 12], true),
        (&[0, 0, 0, 1, 5], false),
        (&[0, 0, 0, 9, 12, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 9], false),
    ];
    for (answer, transport) in answers {
        let temp = tempfile::tempdir().unwrap();
        let error = lying_agent(temp.path(), answer.to_vec()).keys().unwrap_err();
        assert_eq!(matches!(error, KeystoreError::Agent { .. }), transport, "{answer:?}: {error}");
        assert_eq!(matches!(error, KeystoreError::AgentAnswer { .. }), !transport, "{answer:?}: {error}");
    }
    let temp = tempfile::tempdir().unwrap();
    assert!(matches!(Agent::new(&temp.path().join("none")).keys(), Err(KeystoreError::Agent { .. })));
}
