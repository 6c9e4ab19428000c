//! Keys, signatures and trust files against OpenSSH's own tools.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

use base64::Engine as _;
use p256::ecdsa::signature::Signer as _;
use sealift::digest::Digest;
use sealift::keystore::{self, Agent, KeyFileProblem, KeystoreError, TrustFolder, Which};
use sealift::sign::{self, KeyError, Namespace, PublicKey, Rejection, SignError, Signature, Signer, SshsigError, Streamed, Verified};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use zeroize::Zeroizing;

const MESSAGE: &[u8] = b"{\"stream\":\"ocp4\"}\n";
const PASSPHRASE: &str = "correct horse";

#[derive(Debug)]
struct Index;

impl Streamed for Index {
    fn stream(&self) -> &str {
        "ocp4"
    }
}

/// A folder of its own, with a trust folder in it.
struct Site {
    temp: tempfile::TempDir,
    trust: TrustFolder,
}

impl Site {
    fn new() -> Site {
        let temp = tempfile::tempdir().unwrap();
        let trust = TrustFolder::new(&temp.path().join("trust"));
        Site { temp, trust }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn keys(&self) -> PathBuf {
        self.path("keys")
    }

    /// Makes a key with ssh-keygen.
    fn keygen(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        run(Command::new("ssh-keygen").args(["-q", "-C", "alice", "-f"]).arg(&path).args(options), b"");
        path
    }

    fn trust(&self, key: &PublicKey) {
        self.trust.add("stream:ocp4,stream:tools-*", key, "alice").unwrap();
    }

    /// What ssh-keygen says to a signature, with our trust file as it stands.
    fn ssh_keygen_accepts(&self, signature: &str, principal: &str) -> bool {
        let file = self.path("candidate.sig");
        fs::write(&file, signature).unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "verify", "-n", "sealift-index@1", "-I", principal, "-f"]).arg(self.trust.allowed_signers());
        command.arg("-s").arg(&file);
        if self.trust.revoked_keys().exists() {
            command.arg("-r").arg(self.trust.revoked_keys());
        }
        feed(&mut command, MESSAGE)
    }

    /// What we say to it.
    fn verify(&self, signature: &str) -> Result<Verified<Index>, Rejection> {
        let trust = self.trust.load().unwrap();
        sign::verify(MESSAGE, &[signature.as_bytes().to_vec()], &trust, Namespace::Index, 1_795_000_000, |_| Ok::<_, io::Error>(Index))
            .map_err(|e| e.reason().unwrap().clone())
    }

    /// A signature of ssh-keygen over the message.
    fn ssh_keygen_signs(&self, key: &Path, options: &[&str], agent: Option<&Path>) -> String {
        let file = self.path("message");
        fs::write(&file, MESSAGE).unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", "sealift-index@1"]).args(options).arg("-f").arg(key).arg(&file);
        if let Some(socket) = agent {
            command.env("SSH_AUTH_SOCK", socket);
        }
        run(&mut command, b"");
        let signature = fs::read_to_string(self.path("message.sig")).unwrap();
        fs::remove_file(self.path("message.sig")).unwrap();
        signature
    }
}

fn feed(command: &mut Command, input: &[u8]) -> bool {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // A tool that refuses early does not read to the end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait().unwrap().success()
}

fn run(command: &mut Command, input: &[u8]) {
    assert!(feed(command, input), "{command:?}");
}

fn no_passphrase() -> io::Result<Zeroizing<String>> {
    panic!("no passphrase is needed")
}

fn passphrase() -> io::Result<Zeroizing<String>> {
    Ok(Zeroizing::new(PASSPHRASE.to_owned()))
}

fn key_problem<T: std::fmt::Debug>(result: Result<T, KeystoreError>) -> KeyFileProblem {
    match result.unwrap_err() {
        KeystoreError::KeyFile { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[test]
fn our_signatures_are_accepted_by_ssh_keygen_and_by_us() {
    let site = Site::new();
    let p256 = site.keygen("p256", &["-t", "ecdsa", "-N", ""]);
    keystore::generate(&site.keys(), "site", "alice", None).unwrap();
    for path in [p256, keystore::locate(&site.keys(), "site").unwrap()] {
        let key = keystore::load(&path, &mut no_passphrase).unwrap();
        site.trust(key.public_key());
        let signature = sign::sign_detached(&key, Namespace::Index, MESSAGE).unwrap();
        assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
        assert!(site.ssh_keygen_accepts(&signature, "stream:tools-a"));
        assert!(!site.ssh_keygen_accepts(&signature, "stream:dev"));
        assert_eq!(site.verify(&signature).unwrap().signers()[0].owner, "alice");
        let receipt = sign::sign_detached(&key, Namespace::Receipt, MESSAGE).unwrap();
        assert!(!site.ssh_keygen_accepts(&receipt, "stream:ocp4"));
    }
}

#[test]
fn signatures_of_ssh_keygen_are_accepted_and_come_out_the_same_when_written_again() {
    let site = Site::new();
    for (name, options) in [("ed", ["-t", "ed25519", "-N", ""]), ("p256", ["-t", "ecdsa", "-N", ""])] {
        let path = site.keygen(name, &options);
        site.trust(&keystore::public_key(&site.keys(), path.to_str().unwrap()).unwrap().0);
        let signature = site.ssh_keygen_signs(&path, &[], None);
        assert_eq!(Signature::parse(signature.as_bytes()).unwrap().armored(), signature);
        site.verify(&signature).unwrap();
        let weak_hash = site.ssh_keygen_signs(&path, &["-O", "hashalg=sha256"], None);
        assert_eq!(site.verify(&weak_hash).unwrap_err(), Rejection::Malformed(SshsigError::Hash("sha256".into())));
    }
}

#[test]
fn text_around_a_signature_is_refused_where_ssh_keygen_is_lax() {
    let site = Site::new();
    let path = site.keygen("ed", &["-t", "ed25519", "-N", ""]);
    site.trust(&keystore::public_key(&site.keys(), path.to_str().unwrap()).unwrap().0);
    let signature = site.ssh_keygen_signs(&path, &[], None) + "and so on\n";
    assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
    assert_eq!(site.verify(&signature).unwrap_err(), Rejection::Malformed(SshsigError::Armor));
}

#[test]
fn fingerprints_and_public_lines_are_those_of_ssh_keygen() {
    let site = Site::new();
    let path = site.keygen("p256", &["-t", "ecdsa", "-N", ""]);
    let (key, comment) = keystore::public_key(&site.keys(), path.to_str().unwrap()).unwrap();
    let listed = Command::new("ssh-keygen").arg("-lf").arg(&path).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&key.fingerprint().to_string()));
    assert_eq!(fs::read_to_string(site.path("p256.pub")).unwrap().trim(), format!("{} {comment}", key.to_line()));
}

#[test]
fn protected_keys_of_ssh_keygen_open_with_their_passphrase_only() {
    let site = Site::new();
    let kinds =
        [("ed", "ed25519", "aes256-ctr"), ("p256", "ecdsa", "aes256-gcm@openssh.com"), ("cha", "ed25519", "chacha20-poly1305@openssh.com")];
    for (name, kind, cipher) in kinds {
        let path = site.keygen(name, &["-t", kind, "-N", PASSPHRASE, "-Z", cipher]);
        let key = keystore::load(&path, &mut passphrase).unwrap();
        site.trust(key.public_key());
        let signature = sign::sign_detached(&key, Namespace::Index, MESSAGE).unwrap();
        assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"), "{cipher}");
        let wrong = keystore::load(&path, &mut || Ok(Zeroizing::new("wrong".to_owned())));
        assert!(matches!(wrong, Err(KeystoreError::WrongPassphrase { .. })), "{cipher}");
        let none = keystore::load(&path, &mut || Err(io::Error::other("no terminal")));
        assert!(matches!(none, Err(KeystoreError::NoPassphrase { .. })));
    }
}

#[test]
fn ssh_keygen_opens_our_protected_keys() {
    let site = Site::new();
    let public = keystore::generate(&site.keys(), "site", "alice", Some(PASSPHRASE)).unwrap();
    let path = site.keys().join("site");
    let extracted = Command::new("ssh-keygen").args(["-y", "-P", PASSPHRASE, "-f"]).arg(&path).output().unwrap();
    assert!(String::from_utf8(extracted.stdout).unwrap().starts_with(&public.to_line()));
    assert!(!feed(Command::new("ssh-keygen").args(["-y", "-P", "wrong", "-f"]).arg(&path), b""));
    assert_eq!(keystore::load(&path, &mut passphrase).unwrap().public_key(), &public);
    let listed = keystore::list(&site.keys()).unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].comment.as_str(), listed[0].passphrase), ("site", "alice", true));
}

#[test]
fn keys_whose_number_begins_with_a_zero_byte_are_read() {
    // One in 256 P-256 keys; the number is chosen here, the file is written by hand as ssh-keygen would.
    let site = Site::new();
    let mut number = [0x55; 32];
    number[0] = 0;
    let key = sign::SoftwareKey::p256(&number).unwrap();
    let blob = key.public_key().to_blob();
    let mut secret = vec![1, 2, 3, 4, 1, 2, 3, 4];
    secret.extend(&blob);
    secret.extend(string(&number[1..]));
    secret.extend(string(b"short"));
    for (i, _) in (0..(8 - secret.len() % 8) % 8).enumerate() {
        secret.push(i as u8 + 1);
    }
    let mut file = b"openssh-key-v1\0".to_vec();
    for field in [&b"none"[..], b"none", b""] {
        file.extend(string(field));
    }
    file.extend([0, 0, 0, 1]);
    file.extend(string(&blob));
    file.extend(string(&secret));
    let base64 = base64::engine::general_purpose::STANDARD.encode(file);
    let text = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}\n-----END OPENSSH PRIVATE KEY-----\n");
    let path = site.path("short");
    write_private(&path, &text);
    assert!(feed(Command::new("ssh-keygen").arg("-yf").arg(&path), b""));
    assert_eq!(keystore::load(&path, &mut no_passphrase).unwrap().public_key(), key.public_key());
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn foreign_private_keys_are_refused_by_name() {
    let site = Site::new();
    let load = |path: &Path| key_problem(keystore::load(path, &mut no_passphrase));
    let rsa = site.keygen("rsa", &["-t", "rsa", "-N", ""]);
    assert!(matches!(load(&rsa), KeyFileProblem::Kind(KeyError::Rsa(_))));
    let p384 = site.keygen("p384", &["-t", "ecdsa", "-b", "384", "-N", ""]);
    assert!(matches!(load(&p384), KeyFileProblem::Kind(KeyError::UnknownKind(_))));
    let pem = site.keygen("pem", &["-t", "ecdsa", "-m", "PEM", "-N", ""]);
    assert_eq!(load(&pem), KeyFileProblem::OtherFormat("PEM EC key"));
    let pkcs8 = site.keygen("pkcs8", &["-t", "ecdsa", "-m", "PKCS8", "-N", ""]);
    assert_eq!(load(&pkcs8), KeyFileProblem::OtherFormat("PKCS#8 key"));
    assert_eq!(load(&site.path("pem.pub")), KeyFileProblem::PublicHalf);
    assert!(matches!(
        key_problem(keystore::public_key(&site.keys(), site.path("rsa.pub").to_str().unwrap())),
        KeyFileProblem::Kind(KeyError::Rsa(_))
    ));
    assert!(matches!(keystore::load(&site.path("none"), &mut no_passphrase), Err(KeystoreError::NoSuchKey { .. })));
}

#[test]
fn certificates_are_refused_by_name() {
    let site = Site::new();
    let ca = site.keygen("ca", &["-t", "ed25519", "-N", ""]);
    let key = site.keygen("user", &["-t", "ed25519", "-N", ""]);
    run(Command::new("ssh-keygen").args(["-q", "-I", "x", "-n", "stream:ocp4", "-s"]).arg(&ca).arg(site.path("user.pub")), b"");
    let certificate = site.path("user-cert.pub");
    assert!(matches!(
        key_problem(keystore::public_key(&site.keys(), certificate.to_str().unwrap())),
        KeyFileProblem::Kind(KeyError::Certificate(_))
    ));
    site.trust(&keystore::public_key(&site.keys(), key.to_str().unwrap()).unwrap().0);
    let agent = SshAgent::start(&site);
    run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &agent.socket), b"");
    let signature = site.ssh_keygen_signs(&certificate, &[], Some(&agent.socket));
    let why = site.verify(&signature).unwrap_err();
    assert!(matches!(why, Rejection::Malformed(SshsigError::Key(KeyError::Certificate(_)))), "{why}");
}

#[test]
fn a_private_key_that_others_can_read_is_refused_as_ssh_does() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    keystore::generate(&site.keys(), "site", "alice", None).unwrap();
    let path = site.keys().join("site");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(keystore::load(&path, &mut no_passphrase), Err(KeystoreError::Exposed { mode: 0o640, .. })));
}

/// A real ssh-agent, ended with the test.
struct SshAgent {
    child: Child,
    socket: PathBuf,
}

impl SshAgent {
    fn start(site: &Site) -> SshAgent {
        use std::io::BufRead as _;
        let socket = site.path("agent");
        let mut child =
            Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // It prints its settings once it listens.
        let mut line = String::new();
        io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "{line}");
        SshAgent { child, socket }
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_in_an_agent_sign() {
    let site = Site::new();
    let agent = SshAgent::start(&site);
    assert!(Agent::new(&agent.socket).keys().unwrap().is_empty());
    for (name, options) in [("ed", ["-t", "ed25519", "-N", ""]), ("p256", ["-t", "ecdsa", "-N", ""]), ("rsa", ["-t", "rsa", "-N", ""])] {
        let path = site.keygen(name, &options);
        run(Command::new("ssh-add").arg("-q").arg(&path).env("SSH_AUTH_SOCK", &agent.socket), b"");
        fs::remove_file(path).unwrap();
    }
    let held = Agent::new(&agent.socket).keys().unwrap();
    assert_eq!(held.iter().map(|k| k.comment.as_str()).collect::<Vec<_>>(), ["alice", "alice"], "RSA is left out");
    let by_file = site.path("ed.pub").to_str().unwrap().to_owned();
    let by_fingerprint = held[1].key.fingerprint().to_string();
    for key in [by_file, by_fingerprint] {
        let signer = keystore::open_signer(&site.keys(), &key, Some(&agent.socket), &mut no_passphrase).unwrap();
        site.trust(signer.public_key());
        let signature = sign::sign_detached(&*signer, Namespace::Index, MESSAGE).unwrap();
        assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
        site.verify(&signature).unwrap();
    }
    let signer =
        keystore::open_signer(&site.keys(), &held[0].key.fingerprint().to_string(), Some(&agent.socket), &mut no_passphrase).unwrap();
    run(Command::new("ssh-add").arg("-qD").env("SSH_AUTH_SOCK", &agent.socket), b"");
    let Err(SignError::Holder { source, .. }) = sign::sign_detached(&*signer, Namespace::Index, MESSAGE) else { panic!("it has no key") };
    assert!(matches!(source.downcast_ref(), Some(KeystoreError::AgentRefused { .. })));
    let gone = keystore::open_signer(&site.keys(), &held[0].key.fingerprint().to_string(), Some(&agent.socket), &mut no_passphrase);
    assert!(matches!(gone.map(|_| ()), Err(KeystoreError::NotInAgent { .. })));
    let none = keystore::open_signer(&site.keys(), &held[0].key.fingerprint().to_string(), None, &mut no_passphrase);
    assert!(matches!(none.map(|_| ()), Err(KeystoreError::NoAgent { .. })));
}

#[test]
fn ssh_keygen_takes_our_revocations_and_reads_our_trust_file() {
    let site = Site::new();
    keystore::generate(&site.keys(), "site", "alice", None).unwrap();
    let key = keystore::load(&site.keys().join("site"), &mut no_passphrase).unwrap();
    site.trust(key.public_key());
    let signature = sign::sign_detached(&key, Namespace::Index, MESSAGE).unwrap();
    assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
    site.trust.revoke(key.public_key(), "stolen").unwrap();
    assert!(!site.ssh_keygen_accepts(&signature, "stream:ocp4"));
    assert!(matches!(site.verify(&signature), Err(Rejection::Revoked { .. })));
    let again = site.trust.add("stream:dev", key.public_key(), "alice");
    assert!(matches!(again, Err(KeystoreError::Revoked { .. })));
    site.trust.remove(Which::Line(1)).unwrap();
    assert!(!site.ssh_keygen_accepts(&signature, "stream:ocp4"));
    assert!(site.trust.load().unwrap().is_empty());
}

#[test]
fn validity_times_agree_with_ssh_keygen_and_refuse() {
    let site = Site::new();
    keystore::generate(&site.keys(), "site", "alice", None).unwrap();
    let key = keystore::load(&site.keys().join("site"), &mut no_passphrase).unwrap();
    site.trust(key.public_key());
    let signature = sign::sign_detached(&key, Namespace::Index, MESSAGE).unwrap();
    let line = fs::read_to_string(site.trust.allowed_signers()).unwrap();
    fs::write(site.trust.allowed_signers(), line.replace(" ssh-", ",valid-before=\"20200101Z\" ssh-")).unwrap();
    assert!(!site.ssh_keygen_accepts(&signature, "stream:ocp4"));
    assert!(matches!(site.verify(&signature), Err(Rejection::Expired { .. })));
    fs::write(site.trust.allowed_signers(), line.replace(" ssh-", ",valid-after=\"20200101\" ssh-")).unwrap();
    assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
    site.verify(&signature).unwrap();
}

/// A FIDO token in software (`PROTOCOL.u2f`).
struct Token {
    inner: TokenKey,
    public: PublicKey,
    flags: u8,
    application: &'static [u8],
}

enum TokenKey {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(p256::ecdsa::SigningKey),
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

impl Token {
    fn ed25519(flags: u8) -> Token {
        Token::ed25519_of(flags, b"ssh:")
    }

    fn ed25519_of(flags: u8, application: &'static [u8]) -> Token {
        let key = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
        let blob = [string(b"sk-ssh-ed25519@openssh.com"), string(key.verifying_key().as_bytes()), string(application)].concat();
        Token { inner: TokenKey::Ed25519(Box::new(key)), public: PublicKey::from_blob(&blob).unwrap(), flags, application }
    }

    fn p256(flags: u8) -> Token {
        let key = p256::ecdsa::SigningKey::from_slice(&[3; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let kind = string(b"sk-ecdsa-sha2-nistp256@openssh.com");
        let blob = [kind, string(b"nistp256"), string(point.as_bytes()), string(b"ssh:")].concat();
        Token { inner: TokenKey::P256(key), public: PublicKey::from_blob(&blob).unwrap(), flags, application: b"ssh:" }
    }

    fn for_application(mut self, application: &'static [u8]) -> Token {
        self.application = application;
        self
    }
}

impl Signer for Token {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
        let counter = 258u32.to_be_bytes();
        let told = [Digest::sha256(self.application).bytes(), &[self.flags], &counter, Digest::sha256(data).bytes()].concat();
        let signature = match &self.inner {
            TokenKey::Ed25519(key) => string(&key.sign(&told).to_bytes()),
            TokenKey::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(&told);
                let number = |half: &[u8]| {
                    let digits: Vec<u8> = half.iter().copied().skip_while(|b| *b == 0).collect();
                    string(&if digits[0] & 0x80 != 0 { [&[0], &digits[..]].concat() } else { digits })
                };
                let bytes = signature.to_bytes();
                string(&[number(&bytes[..32]), number(&bytes[32..])].concat())
            }
        };
        Ok([string(self.public.kind().as_str().as_bytes()), signature, vec![self.flags], counter.to_vec()].concat())
    }
}

#[test]
fn tokens_sign_for_ssh_keygen_and_for_us() {
    for token in [Token::ed25519(1), Token::p256(1), Token::ed25519(5), Token::ed25519_of(1, b"ssh:sealift")] {
        let site = Site::new();
        site.trust(token.public_key());
        let signature = sign::sign_detached(&token, Namespace::Index, MESSAGE).unwrap();
        assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
        site.verify(&signature).unwrap();
    }
}

#[test]
fn a_token_that_nobody_touched_does_not_sign() {
    for token in [Token::ed25519(0), Token::p256(4)] {
        let made = sign::sign_detached(&token, Namespace::Index, MESSAGE);
        assert!(matches!(made, Err(SignError::Unacceptable { source: SshsigError::NobodyPresent, .. })));
        let site = Site::new();
        site.trust(token.public_key());
        let signature = armored_by_hand(&token);
        assert_eq!(site.verify(&signature).unwrap_err(), Rejection::Malformed(SshsigError::NobodyPresent));
    }
    // The same writer with a touch is accepted: it is the flag that was refused.
    let site = Site::new();
    site.trust(Token::ed25519(1).public_key());
    site.verify(&armored_by_hand(&Token::ed25519(1))).unwrap();
}

#[test]
fn a_token_signature_for_another_application_does_not_verify() {
    for token in [Token::ed25519(1).for_application(b"https://example.org"), Token::p256(1).for_application(b"https://example.org")] {
        let made = sign::sign_detached(&token, Namespace::Index, MESSAGE);
        assert!(matches!(made, Err(SignError::DoesNotVerify { .. })));
    }
}

/// A signature file with none of the checks of our own writer.
fn armored_by_hand(signer: &dyn Signer) -> String {
    let mut hasher = sealift::digest::Hasher::new(sealift::digest::Algorithm::Sha512);
    hasher.update(MESSAGE);
    let named = [string(b"sealift-index@1"), string(b""), string(b"sha512")].concat();
    let signed = [b"SSHSIG".to_vec(), named.clone(), string(hasher.finish().bytes())].concat();
    let raw = signer.sign(&signed).unwrap();
    let blob = [b"SSHSIG\0\0\0\x01".to_vec(), string(&signer.public_key().to_blob()), named, string(&raw)].concat();
    let base64 = base64::engine::general_purpose::STANDARD.encode(blob);
    let lines: Vec<&str> = base64.as_bytes().chunks(70).map(|l| std::str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n", lines.join("\n"))
}

mod whatever_we_accept {
    use super::*;
    use proptest::prelude::*;

    fn list(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(words), 1..=most).prop_map(|words| words.join(","))
    }

    const PRINCIPALS: &[&str] =
        &["stream:*", "stream:ocp4", "stream:o*?", "!stream:dev", "!stream:o*", "stream:dev", "*", "?*4", "", "a\"b", "#a"];
    const OPTIONS: &[&str] = &[
        "namespaces=\"sealift-index@1\"",
        "namespaces=\"a,sealift-index@1\"",
        "namespaces=\"!sealift-index@1,*\"",
        "valid-after=\"20200101\"",
        "valid-after=\"20200101120000Z\"",
        "valid-before=\"20990101Z\"",
        "valid-before=\"202001011200\"",
        "cert-authority",
        "Namespaces=\"x\"",
        "\"",
        "=\\\"",
        "",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// Strictness goes one way only: a trust line that lets a signature in here lets it in there.
        #[test]
        fn ssh_keygen_accepts(principals in list(PRINCIPALS, 3), options in list(OPTIONS, 3), more in 0usize..3, gap in "[ \t]{1,2}", comment in "[ -~]{0,10}") {
            let site = Site::new();
            let key = sign::SoftwareKey::ed25519(&[5; 32]);
            let named = "namespaces=\"sealift-index@1\"".to_owned();
            let options = [options.clone(), format!("{named},{options}"), named][more].clone();
            fs::create_dir(site.path("trust")).unwrap();
            let line = format!("{principals}{gap}{options}{gap}{}{gap}{comment}", key.public_key().to_line());
            fs::write(site.trust.allowed_signers(), line).unwrap();
            let signature = sign::sign_detached(&key, Namespace::Index, MESSAGE).unwrap();
            if site.trust.load().is_ok_and(|trust| !trust.is_empty()) && site.verify(&signature).is_ok() {
                prop_assert!(site.ssh_keygen_accepts(&signature, "stream:ocp4"));
            }
        }
    }
}
