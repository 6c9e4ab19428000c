//! The commands around keys, trust and signatures, as a process, beside the tools of OpenSSH.

use crate::support::skip;
use sealift::digest::Digest;
use sealift::format::{ContentsRef, FileKind, Index, Producer, SCHEMA, SetName, VolumeRef};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PASSPHRASE: &str = "correct horse battery";

/// A user's home of sealift, and a folder beside it.
struct Home {
    temp: tempfile::TempDir,
}

struct Ran {
    exit: i32,
    out: String,
    err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
        for secret in [PASSPHRASE, "wrong passphrase text", "PRIVATE KEY"] {
            assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{}{}", ran.out, ran.err);
        }
        ran
    }

    fn done(self) -> String {
        assert_eq!(self.exit, 0, "{}", self.err);
        self.out
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// It ended with this code; gives the whole message.
    fn failed(self, code: &str) -> String {
        assert!(self.exit != 0 && self.err.contains(&format!("code: {code} (")), "{}\n{}", self.out, self.err);
        self.err
    }
}

impl Home {
    fn new() -> Home {
        Home { temp: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealift"));
        command.env_clear().env("SEALIFT_HOME", self.path("home")).current_dir(self.temp.path()).args(words).stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words).output().unwrap())
    }

    fn run_with_agent(&self, agent: &Agent, words: &[&str]) -> Ran {
        Ran::of(self.command(words).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap())
    }

    /// A key made by ssh-keygen; `None` where there is no ssh-keygen.
    fn keygen(&self, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        let status = Command::new("ssh-keygen").args(["-q", "-C", "ann", "-f"]).arg(&path).args(options).status().unwrap();
        assert!(status.success());
        path
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    /// A folder with the index of a set that was packed and not signed.
    fn set(&self, folder: &str, stream: &str, sequence: u64) -> SetName {
        let name = SetName::new(stream, sequence).unwrap();
        let volume = name.file(FileKind::Volume { number: 1 });
        let index = Index {
            schema: SCHEMA,
            requires: Vec::new(),
            hints: BTreeMap::new(),
            stream: stream.into(),
            sequence,
            created: "2026-01-02T03:04:05Z".into(),
            producer: Producer { sealift: "0".into(), zstd: "0".into() },
            plan: Digest::sha256(b"plan"),
            audience: Vec::new(),
            labels: BTreeMap::new(),
            supersedes: None,
            missing: Vec::new(),
            block_size: 1 << 20,
            volumes: vec![VolumeRef {
                name: volume.clone(),
                size: 4,
                blocks: VolumeRef::encode_blocks(&[[1; 32]]),
                medium: None,
                cipher: None,
            }],
            contents: ContentsRef { size: 1, digest: Digest::sha256(b""), plain_size: 1, encryption: None },
            files: Vec::new(),
            parity: None,
        };
        let folder = self.path(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(volume), b"four").unwrap();
        fs::write(folder.join(name.file(FileKind::Index { copy: false })), index.to_bytes().unwrap()).unwrap();
        name
    }

    /// What ssh-keygen says to a signature of a set, with this home's trust file.
    fn ssh_keygen_accepts(&self, folder: &str, set: &SetName, number: u32) -> bool {
        let file = |kind| self.path(folder).join(set.file(kind));
        let allowed = self.path("home/config/trust/allowed_signers");
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "verify", "-n", "sealift-index@1", "-I", &format!("stream:{}", set.stream()), "-f"]).arg(allowed);
        command.arg("-s").arg(file(FileKind::Signature { copy: false, number }));
        command.stdin(fs::File::open(file(FileKind::Index { copy: false })).unwrap());
        command.output().unwrap().status.success()
    }
}

/// True where the tools of OpenSSH are; says so where they are not.
fn openssh() -> bool {
    let there = Command::new("ssh-keygen").arg("-?").output().is_ok();
    if !there {
        skip("no ssh-keygen");
    }
    there
}

struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(home: &Home) -> Agent {
        let socket = home.path("agent");
        let mut command = Command::new("ssh-agent");
        let mut child = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // It prints its settings once it listens.
        let mut line = String::new();
        io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Agent { child, socket }
    }

    fn add(&self, key: &Path) {
        let status = Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).stderr(Stdio::null()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_key_is_private_trusted_here_and_never_overwritten() {
    let home = Home::new();
    let text = home.run(&["key", "generate", "site"]).done();
    let keys = home.path("home/config/keys");
    assert_eq!((mode(&keys.join("site")), mode(&keys), mode(&home.path("home"))), (0o600, 0o700, 0o700));
    assert_eq!(mode(&home.path("home/config/trust")), 0o700);
    let public = fs::read_to_string(keys.join("site.pub")).unwrap();
    let command = format!("sealift trust add 'stream:*' '{}'", public.trim_end());
    assert!(text.lines().any(|line| line == command), "the line can be copied as it is: {text}");
    let before = fs::read(keys.join("site")).unwrap();
    home.run(&["key", "generate", "site"]).failed("NOT_EMPTY");
    assert_eq!(fs::read(keys.join("site")).unwrap(), before);
    let listed = home.run(&["trust", "list", "--json"]).json();
    assert_eq!(listed["trusted"].as_array().unwrap().len(), 1);
    assert_eq!(listed["trusted"][0]["principals"], "stream:*");
}

#[test]
fn the_line_for_the_other_side_makes_the_key_trusted_there() {
    let (outside, inside) = (Home::new(), Home::new());
    let made = outside.run(&["key", "generate", "site", "--json"]).json();
    let line = made["key"]["trust"].as_str().unwrap();
    let script = line.strip_prefix("sealift ").map(|rest| format!("\"$0\" {rest}")).unwrap();
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_sealift")).env_clear().env("SEALIFT_HOME", inside.path("home"));
    Ran::of(shell.output().unwrap()).done();
    let trusted = &inside.run(&["trust", "list", "--json"]).json()["trusted"][0];
    assert_eq!((&trusted["fingerprint"], &trusted["owner"]), (&made["key"]["fingerprint"], &Value::from("site")));
}

#[test]
fn keys_are_shown_without_their_secrets() {
    let home = Home::new();
    assert!(home.run(&["key", "show"]).done().contains("no keys"));
    home.run(&["key", "show", "site"]).failed("BAD_KEY");
    home.run(&["key", "generate", "site"]).done();
    let file = home.file("word", &format!("{PASSPHRASE}\n"));
    home.run(&["key", "generate", "other", "--passphrase-file", &file]).done();
    let all = home.run(&["key", "show", "--json"]).json();
    let names: Vec<(&str, bool)> =
        all["keys"].as_array().unwrap().iter().map(|key| (key["name"].as_str().unwrap(), key["passphrase"].as_bool().unwrap())).collect();
    assert_eq!(names, [("other", true), ("site", false)]);
    let one = home.run(&["key", "show", "other"]).done();
    assert!(one.contains("SHA256:") && one.contains("sealift trust add 'stream:*'") && !one.contains("site"), "{one}");
}

#[test]
fn a_broken_trust_file_is_told_before_a_key_is_made() {
    let home = Home::new();
    fs::create_dir_all(home.path("home/config/trust")).unwrap();
    fs::write(home.path("home/config/trust/allowed_signers"), "stream:* ssh-ed25519 AAAA\n").unwrap();
    assert!(home.run(&["key", "generate", "site"]).failed("BAD_TRUST").contains("allowed_signers"));
    assert!(!home.path("home/config/keys").exists());
}

#[test]
fn trust_is_given_listed_and_taken_back() {
    if !openssh() {
        return;
    }
    let home = Home::new();
    home.keygen("ann", &["-t", "ed25519", "-N", ""]);
    home.keygen("old", &["-t", "rsa", "-N", ""]);
    assert!(home.run(&["trust", "list"]).done().contains("no key is trusted"));
    home.run(&["trust", "add", "stream:ocp4,stream:tools-*", "ann.pub"]).done();
    assert!(home.run(&["trust", "add", "stream:ocp4,stream:tools-*", "ann.pub"]).failed("NOT_EMPTY").contains("nothing to do"));
    assert!(home.run(&["trust", "add", "ocp4", "ann.pub"]).failed("USAGE").contains("stream:ocp4"));
    assert!(home.run(&["trust", "add", "stream:x", "old.pub"]).failed("BAD_KEY").contains("sealift key generate"));
    home.run(&["trust", "add", "stream:x", "absent.pub"]).failed("BAD_KEY");
    let line = fs::read_to_string(home.path("ann.pub")).unwrap();
    home.run(&["trust", "add", "stream:lab", line.trim_end()]).done();
    home.run(&["trust", "add", "stream:y", line.trim_end(), "--owner", "bob"]).failed("USAGE");
    let listed = home.run(&["trust", "list"]).done();
    assert!(listed.contains("stream:ocp4,stream:tools-*") && listed.contains("ann") && listed.contains("always"), "{listed}");
    home.run(&["trust", "remove", "2"]).done();
    home.run(&["trust", "remove", "2"]).failed("USAGE");
    home.run(&["trust", "remove", "nonsense"]).failed("USAGE");
    let trusted = home.run(&["trust", "list", "--json"]).json();
    assert_eq!(trusted["trusted"].as_array().unwrap().len(), 1);
    let fingerprint = trusted["trusted"][0]["fingerprint"].as_str().unwrap().to_owned();
    home.run(&["trust", "remove", &fingerprint]).done();
    assert!(home.run(&["trust", "list", "--json"]).json()["trusted"].as_array().unwrap().is_empty());
}

#[test]
fn a_revoked_key_stays_revoked() {
    let home = Home::new();
    home.run(&["key", "generate", "site"]).done();
    let made = home.run(&["key", "show", "--json"]).json();
    let fingerprint = made["keys"][0]["fingerprint"].as_str().unwrap();
    home.run(&["trust", "revoke", "SHA256:AAAA"]).failed("USAGE");
    home.run(&["trust", "revoke", fingerprint]).done();
    home.run(&["trust", "revoke", "site"]).done();
    let listed = home.run(&["trust", "list"]).done();
    assert!(listed.lines().any(|line| line.starts_with("revoked ") && line.contains(fingerprint)), "{listed}");
    home.run(&["trust", "remove", fingerprint]).done();
    home.run(&["trust", "add", "stream:*", "site"]).failed("KEY_REVOKED");
    // Who signs with it is told before the set is carried to where it is refused.
    home.set("OUT", "ocp4", 7);
    let ran = home.run(&["sign", "OUT", "--key", "site"]);
    assert!(ran.err.contains("warning") && ran.err.contains(fingerprint) && ran.err.contains("revoked"), "{}{}", ran.out, ran.err);
    assert!(home.path("OUT/ocp4-7.index.json.sig").exists());
}

#[test]
fn thresholds_and_the_label_are_set_and_changed() {
    let home = Home::new();
    home.run(&["trust", "min-signatures", "ocp4", "3"]).done();
    home.run(&["trust", "min-signatures", "ocp4", "2"]).done();
    home.run(&["trust", "audience", "bank-a"]).done();
    home.run(&["trust", "audience", "bank-b"]).done();
    home.run(&["trust", "audience", "Not A Label"]).failed("USAGE");
    let listed = home.run(&["trust", "list", "--json"]).json();
    assert_eq!(listed["minSignatures"], serde_json::json!([{"principals": "stream:ocp4", "number": 2}]));
    assert_eq!(listed["audience"], serde_json::json!(["bank-b"]));
    home.run(&["trust", "audience", "--clear"]).done();
    assert_eq!(home.run(&["trust", "list", "--json"]).json()["audience"], serde_json::json!([]));
    let policy = home.path("home/config/trust/policy");
    fs::write(&policy, fs::read_to_string(&policy).unwrap() + "min-signatures stream:* 4\n").unwrap();
    let ran = home.run(&["trust", "min-signatures", "ocp4", "1"]);
    assert!(ran.err.contains("warning") && ran.out.contains("need signatures of 4"), "{}{}", ran.out, ran.err);
}

#[test]
fn a_set_is_signed_with_a_stored_key_and_by_a_second_person() {
    if !openssh() {
        return;
    }
    let home = Home::new();
    let set = home.set("out", "ocp4", 7);
    let file = home.file("word", &format!("{PASSPHRASE}\n"));
    home.run(&["key", "generate", "site", "--passphrase-file", &file]).done();
    let signed = home.run(&["sign", "out", "--key", "site", "--passphrase-file", &file, "--json"]).json();
    assert_eq!((&signed["set"], &signed["stream"], &signed["sequence"]), (&"ocp4-7".into(), &"ocp4".into(), &7.into()));
    let index = fs::read(home.path("out").join(set.file(FileKind::Index { copy: false }))).unwrap();
    assert_eq!(signed["identity"], Digest::sha256(&index).to_string());
    assert!(home.ssh_keygen_accepts("out", &set, 1));
    // Signing again with the same key adds nothing; another key lies beside it.
    home.run(&["sign", "out", "--key", "site", "--passphrase-file", &file]).done();
    let second = home.keygen("ann", &["-t", "ecdsa", "-b", "256", "-N", ""]);
    home.run(&["trust", "add", "stream:ocp4", "ann.pub"]).done();
    let signed = home.run(&["sign", "out", "--key", second.to_str().unwrap(), "--stream", "ocp4", "--json"]).json();
    assert_eq!(signed["signatures"], serde_json::json!(["ocp4-7.index.json.sig", "ocp4-7.index.json.sig2"]));
    assert!(home.ssh_keygen_accepts("out", &set, 2));
}

#[test]
fn a_passphrase_that_is_wrong_or_missing_is_told_so() {
    let home = Home::new();
    home.set("out", "ocp4", 7);
    let (right, wrong) = (home.file("right", PASSPHRASE), home.file("wrong", "wrong passphrase text"));
    home.run(&["key", "generate", "site", "--passphrase-file", &right]).done();
    let told = home.run(&["sign", "out", "--key", "site", "--passphrase-file", &wrong]).failed("BAD_KEY");
    assert!(told.contains("wrong passphrase for") && told.contains("--passphrase-file"), "{told}");
    let told = home.run(&["sign", "out", "--key", "site"]).failed("USAGE");
    assert!(told.contains("no terminal") && told.contains("SEALIFT_PASSPHRASE"), "{told}");
    assert_eq!(fs::read_dir(home.path("out")).unwrap().count(), 2, "nothing was written");
    let by_variable = home.command(&["sign", "out", "--key", "site"]).env("SEALIFT_PASSPHRASE", PASSPHRASE).output().unwrap();
    Ran::of(by_variable).done();
}

#[test]
fn a_key_in_an_agent_signs_and_never_leaves_it() {
    if !openssh() {
        return;
    }
    let home = Home::new();
    let set = home.set("out", "ocp4", 7);
    let agent = Agent::start(&home);
    let key = home.keygen("ann", &["-t", "ed25519", "-N", ""]);
    home.run(&["trust", "add", "stream:ocp4", "ann.pub"]).done();
    home.run_with_agent(&agent, &["sign", "out", "--key", "agent:ann.pub"]).failed("BAD_KEY");
    agent.add(&key);
    fs::remove_file(&key).unwrap();
    home.run(&["sign", "out", "--key", "agent:ann.pub"]).failed("BAD_KEY");
    home.run_with_agent(&agent, &["sign", "out", "--key", "agent:ann.pub"]).done();
    assert!(home.ssh_keygen_accepts("out", &set, 1));
    let trusted = home.run(&["trust", "list", "--json"]).json();
    let by_fingerprint = format!("agent:{}", trusted["trusted"][0]["fingerprint"].as_str().unwrap());
    let again = home.run_with_agent(&agent, &["sign", "out", "--key", &by_fingerprint, "--json"]).json();
    assert_eq!(again["signatures"].as_array().unwrap().len(), 1);
    home.run_with_agent(&agent, &["sign", "out", "--key", "agent:SHA256:short"]).failed("USAGE");
}

#[test]
fn which_set_is_signed_is_never_guessed() {
    let home = Home::new();
    home.run(&["key", "generate", "site"]).done();
    fs::create_dir(home.path("out")).unwrap();
    home.run(&["sign", "out", "--key", "site"]).failed("SET_MISSING");
    home.run(&["sign", "absent", "--key", "site"]).failed("FILE_MISSING");
    home.set("out", "ocp4", 7);
    home.set("out", "tools", 8);
    let told = home.run(&["sign", "out", "--key", "site"]).failed("SET_AMBIGUOUS");
    assert!(told.contains("ocp4-7") && told.contains("tools-8"), "{told}");
    assert!(home.run(&["sign", "out", "--key", "site", "--stream", "lab"]).failed("SET_MISSING").contains("tools-8"));
    home.run(&["sign", "out", "--key", "site", "--stream", "tools"]).done();
    home.set("out", "tools", 9);
    home.run(&["sign", "out", "--key", "site", "--stream", "tools"]).failed("SET_AMBIGUOUS");
    home.run(&["sign", "out/tools-9.index.json", "--key", "site"]).done();
    assert!(home.run(&["sign", "out/ocp4-7.index.json"]).failed("USAGE").contains("--key"));
    fs::write(home.path("out/ocp4-7-0001.tar.zst"), b"cu").unwrap();
    let ran = home.run(&["sign", "out", "--key", "site", "--stream", "ocp4"]);
    assert!(ran.exit == 0 && ran.err.contains("2 of 4 bytes"), "{}", ran.err);
}
