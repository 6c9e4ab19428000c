//! OpenPGP keys and signatures, made by GnuPG in a home of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A keyring.
pub struct Gpg {
    home: TempDir,
}

impl Gpg {
    /// An empty keyring; none where gpg is not installed.
    pub fn new() -> Option<Gpg> {
        let there = Command::new("gpg").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !there {
            crate::support::skip("gpg is not installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Some(Gpg { home })
    }

    /// Makes a key without passphrase, for this user id.
    pub fn generate(&self, user: &str) {
        self.run(&["--passphrase", "", "--quick-generate-key", user, "rsa2048", "sign", "never"], b"");
    }

    /// Writes the public key to a file, armored.
    pub fn export(&self, user: &str, to: &Path) {
        std::fs::write(to, self.run(&["--armor", "--export", user], b"")).unwrap();
    }

    /// An OpenPGP message of these bytes and a signature over them: `gpg --sign`.
    pub fn sign(&self, user: &str, bytes: &[u8]) -> Vec<u8> {
        self.run(&["--digest-algo", "SHA256", "--local-user", user, "--sign"], bytes)
    }

    /// Takes a public key in.
    pub fn import(&self, file: &Path) {
        self.run(&["--import"], &std::fs::read(file).unwrap());
    }

    /// What a message says, when a key of this keyring has signed it.
    pub fn opened(&self, message: &[u8]) -> Option<Vec<u8>> {
        // Without a signature gpg says "no signed data" to --verify, where --decrypt would be content.
        let file = self.home.path().join("message");
        std::fs::write(&file, message).unwrap();
        let there = self.command(&["--verify"]).arg(&file).stderr(Stdio::null()).status().unwrap().success();
        let output = self.command(&["--decrypt"]).arg(&file).stderr(Stdio::null()).output().unwrap();
        (there && output.status.success()).then_some(output.stdout)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"]).args(words).env("GNUPGHOME", self.home.path());
        command
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command(words);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

impl Drop for Gpg {
    /// Ends the agent of this home, which gpg has started.
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        let _ = command.args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
