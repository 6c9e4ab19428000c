//! Release signatures as a vendor makes them, with a key made for the test by `gpg`.

use sealift::digest::Digest;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A key pair in a home of its own, which `gpg` alone knows. Its agent ends with it.
pub struct TestKey {
    home: TempDir,
    /// 40 upper-case hex digits.
    pub fingerprint: String,
}

impl TestKey {
    /// An RSA key of 2048 bits without end; `None` where there is no `gpg`.
    pub fn new(name: &str) -> Option<TestKey> {
        TestKey::of(name, &["rsa2048", "sign", "never"], &[])
    }

    /// A key of another kind: algorithm, use and end as `gpg --quick-generate-key` takes them, and options before that.
    pub fn of(name: &str, kind: &[&str], options: &[&str]) -> Option<TestKey> {
        Command::new("gpg").arg("--version").stdout(Stdio::null()).status().ok()?;
        let home = tempfile::Builder::new().prefix("gpg").tempdir().unwrap();
        std::fs::set_permissions(home.path(), Permissions::from_mode(0o700)).unwrap();
        let mut key = TestKey { home, fingerprint: String::new() };
        key.gpg(&[options, &["--quick-generate-key", name], kind].concat(), b"");
        let listed = String::from_utf8(key.gpg(&["--list-keys", "--with-colons"], b"")).unwrap();
        let line = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
        key.fingerprint = line.trim_end_matches(':').to_owned();
        Some(key)
    }

    /// The folder `gpg` works in.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs `gpg` in this key's home; gives what it writes. Fails the test when it fails.
    #[track_caller]
    pub fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("gpg")
            .args(["--batch", "--no-tty", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("GNUPGHOME", self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// The public key, armored.
    pub fn public(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export"], b"")
    }

    /// Signs any bytes: a compressed binary message as release signatures are.
    pub fn sign(&self, document: &[u8]) -> Vec<u8> {
        self.gpg(&["--digest-algo", "SHA256", "--compress-algo", "zip", "--sign"], document)
    }

    /// Signs that `digest` is what is published as `reference`: the content of `STORE/sha256=HEX/signature-1`.
    pub fn sign_release(&self, digest: &Digest, reference: &str) -> Vec<u8> {
        self.sign(document(digest, reference).as_bytes())
    }
}

impl Drop for TestKey {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        let _ = end.args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.home.path()).stderr(Stdio::null()).status();
    }
}

/// What is signed (containers-signature(5)).
pub fn document(digest: &Digest, reference: &str) -> String {
    let critical = serde_json::json!({
        "image": {"docker-manifest-digest": digest},
        "type": "atomic container signature",
        "identity": {"docker-reference": reference},
    });
    serde_json::json!({"critical": critical, "optional": {"creator": "test"}}).to_string()
}
