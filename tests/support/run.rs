//! The program as a process of its own: a user with a home, a folder to stand in, keys, and what a command answered.

use sealift::cli::{self, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time a command may take before it counts as hanging: far longer than on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a command answered.
#[derive(Debug)]
pub struct Ran {
    /// The exit number; -9 and the like when a signal ended it.
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let exit = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { exit, out: text(output.stdout), err: text(output.stderr) }
    }

    /// The one object of `--json`.
    pub fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    /// Fails the test unless the command ended with `exit`.
    #[track_caller]
    pub fn expect(self, exit: i32) -> Ran {
        assert_eq!(self.exit, exit, "\n--- out\n{}\n--- err\n{}", self.out, self.err);
        self
    }

    /// The outer form of a failure: exit number, stable name, a remedy, and all of `told` somewhere in the message.
    #[track_caller]
    pub fn refused(self, exit: i32, code: &str, told: &[&str]) -> Ran {
        let ran = self.expect(exit);
        assert!(ran.err.contains(&format!("\ncode: {code} ({exit}), see sealift-errors(7)\n")), "{}", ran.err);
        let remedy = ran.err.lines().find_map(|line| line.strip_prefix("remedy: "));
        assert!(remedy.is_some_and(|remedy| remedy.len() > 10), "no remedy:\n{}", ran.err);
        for words in told {
            assert!(ran.err.contains(words), "{words:?} is not told:\n{}", ran.err);
        }
        ran
    }
}

/// Runs a command to its end, killing it (and failing) when it hangs.
#[track_caller]
pub fn finish(mut command: Command) -> Ran {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    let (done, is_done) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        let hangs = is_done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
        if hangs {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        hangs
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    assert!(!watch.join().unwrap(), "it hangs: {command:?}");
    Ran::of(output)
}

/// Runs a shell script in `dir`; it must succeed. Gives what it wrote on standard output.
#[track_caller]
pub fn shell(dir: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(dir);
    finish(command).expect(0).out
}

/// A user of the program: home, working folder and keys in a temporary folder.
pub struct User {
    dir: TempDir,
}

impl User {
    /// Somebody with nothing.
    pub fn new() -> User {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        let user = User { dir };
        fs::write(user.registries_conf(), "").unwrap();
        user
    }

    /// Somebody who has a key `site` and trusts it for every stream.
    pub fn with_key() -> User {
        let user = User::new();
        let folder = user.home().join("config/keys");
        fs::create_dir_all(&folder).unwrap();
        user.keygen(&folder.join("site"));
        let line = fs::read_to_string(folder.join("site.pub")).unwrap();
        user.trust(&line);
        user
    }

    /// Somebody else, elsewhere, with the same keys and the same trust, and nothing done yet.
    pub fn twin(&self) -> User {
        let user = User::new();
        copy_folder(&self.home().join("config"), &user.home().join("config"));
        let keys = walkdir::WalkDir::new(user.home().join("config/keys")).into_iter().map(Result::unwrap);
        for file in keys.filter(|entry| entry.file_type().is_file()) {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        }
        user
    }

    /// Makes an Ed25519 key as OpenSSH does.
    pub fn keygen(&self, path: &Path) {
        let mut command = Command::new("ssh-keygen");
        finish({
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "owner", "-f"]).arg(path);
            command
        })
        .expect(0);
    }

    /// Replaces the trust file: this one public key, for every stream.
    pub fn trust(&self, public: &str) {
        let folder = self.home().join("config/trust");
        fs::create_dir_all(&folder).unwrap();
        let key = public.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let line = format!("stream:* namespaces=\"sealift-index@1,sealift-receipt@1\" {} owner\n", key.trim_end());
        fs::write(folder.join("allowed_signers"), line).unwrap();
    }

    /// `SEALIFT_HOME`.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// In place of the machine's own, which tests must not depend on.
    fn registries_conf(&self) -> PathBuf {
        self.dir.path().join("home.registries.conf")
    }

    /// The folder commands run in; relative paths mean something in it.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// A path below the working folder.
    pub fn at(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// The program with this user's environment and no other.
    pub fn sealift(&self) -> Command {
        self.wrapped(&[])
    }

    /// [`User::sealift`], started by another program (`taskset -c 0`).
    pub fn wrapped(&self, by: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_sealift");
        let mut command = match by {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.work()).env("SEALIFT_HOME", self.home()).current_dir(self.work());
        command.env("CONTAINERS_REGISTRIES_CONF", self.registries_conf());
        command
    }

    /// Runs `sealift` with these words, separated by single blanks.
    #[track_caller]
    pub fn run(&self, line: &str) -> Ran {
        self.run_with(&[], line)
    }

    /// [`User::run`] with environment variables.
    #[track_caller]
    pub fn run_with(&self, variables: &[(&str, &str)], line: &str) -> Ran {
        let mut command = self.sealift();
        command.args(line.split(' '));
        for (name, value) in variables {
            command.env(name, value);
        }
        finish(command)
    }
}

/// Every file below a folder with its bytes, by its path there.
pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.map(|e| (e.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned(), fs::read(e.path()).unwrap())).collect()
}

/// Fails with the names of what differs, not with megabytes of bytes.
#[track_caller]
pub fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, told: &str) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{told}");
    let differ: Vec<_> = found.iter().filter(|(name, bytes)| expected.get(*name) != Some(bytes)).map(|(name, _)| name).collect();
    assert!(differ.is_empty(), "{told}: other bytes in {differ:?}");
}

/// Copies the files of one folder into another.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// True when any file below `dir` holds these bytes.
pub fn holds(dir: &Path, needle: &[u8]) -> bool {
    files(dir).values().any(|bytes| bytes.windows(needle.len()).any(|window| window == needle))
}

/// The lines `SEALIFT_FAULT=count:` wrote that begin with `prefix`.
pub fn counted(log: &Path, prefix: &str) -> Vec<String> {
    fs::read_to_string(log).unwrap().lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

/// About `wanted` of the numbers 1 to `last`, spread evenly, first and last among them. All of them under
/// `SEALIFT_TEST_EVERY_POINT=1`: takes long, and is what to do before a release.
pub fn spread(last: usize, wanted: usize) -> Vec<usize> {
    if std::env::var_os("SEALIFT_TEST_EVERY_POINT").is_some_and(|v| v == "1") {
        return (1..=last).collect();
    }
    assert!(last > 0, "there is nothing to choose from");
    let mut points: Vec<usize> = (0..wanted).map(|i| 1 + i * (last - 1) / (wanted - 1).max(1)).collect();
    points.dedup();
    points
}

/// What was written, for whoever asks later.
#[derive(Clone, Default)]
struct Caught(Arc<Mutex<Vec<u8>>>);

impl Write for Caught {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command line inside this process, with these variables and no others: exit number, standard output, standard error.
pub fn in_process(variables: &[(&str, &str)], words: &[&str]) -> (u8, String, String) {
    let (out, err) = (Caught::default(), Caught::default());
    let variables: Vec<(String, OsString)> = variables.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
    let world = World {
        variable: Box::new(move |name| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())),
        out: Box::new(out.clone()),
        err: Box::new(err.clone()),
        terminal: false,
        columns: None,
        ask: None,
        cancel: Arc::default(),
        clock: Box::new(|| Duration::ZERO),
    };
    let exit = cli::run(words.iter().map(OsString::from), world);
    let text = |caught: Caught| String::from_utf8(caught.0.lock().unwrap().clone()).unwrap();
    (exit, text(out), text(err))
}
