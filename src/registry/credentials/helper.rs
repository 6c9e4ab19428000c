//! `docker-credential-NAME`: the host goes in, `{"Username", "Secret"}` comes out.

use super::{Credential, CredentialError};
use crate::{fault, limits};
use serde::Deserialize;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Asks the helper `suffix`, named by the file `path`, for `host`. `None` when it knows nothing about it.
pub(super) fn ask(
    path: &Path,
    suffix: &str,
    host: &str,
    helper_path: &[PathBuf],
    patience: Duration,
) -> Result<Option<Credential>, CredentialError> {
    let named = !suffix.is_empty() && suffix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if !named {
        return Err(CredentialError::HelperName { path: path.to_owned(), suffix: suffix.chars().take(100).collect() });
    }
    let helper = format!("docker-credential-{suffix}");
    let program =
        find(&helper, helper_path).ok_or_else(|| CredentialError::HelperMissing { path: path.to_owned(), helper: helper.clone() })?;
    let (output, status) = run(&helper, &program, host, patience)?;
    if !status.success() {
        return failed(&helper, host, &output, status);
    }
    understand(&output).ok_or_else(|| CredentialError::HelperAnswer { helper, host: host.to_owned() })
}

/// Searches absolute folders only: a relative one means whatever lies in the current directory.
fn find(helper: &str, helper_path: &[PathBuf]) -> Option<PathBuf> {
    let runs = |path: &PathBuf| crate::fs::is_program(path);
    helper_path.iter().filter(|folder| folder.is_absolute()).map(|folder| folder.join(helper)).find(runs)
}

/// Runs the program until it ends or patience does. Its standard error is dropped: it may hold anything.
fn run(helper: &str, program: &Path, host: &str, patience: Duration) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), CredentialError> {
    let start = |source| CredentialError::HelperStart { helper: helper.to_owned(), source };
    let timeout = || CredentialError::HelperTimeout { helper: helper.to_owned(), host: host.to_owned(), seconds: patience.as_secs() };
    fault::at("exec", program).map_err(start)?;
    let deadline = Instant::now() + patience;
    let mut child = spawn(program).map_err(start)?;
    let (sender, receiver) = mpsc::channel();
    if let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) {
        let question = format!("{host}\n");
        // In a thread of its own: a helper that neither reads nor writes must not hold this one.
        std::thread::spawn(move || {
            let mut answer = Zeroizing::new(Vec::with_capacity(64 << 10));
            let _ = input.write_all(question.as_bytes());
            drop(input);
            let read = output.take(limits::TOKEN_BYTES).read_to_end(&mut answer);
            let _ = sender.send(read.map(|_| answer));
        });
    }
    let answer = receiver.recv_timeout(patience);
    let ended = if answer.is_ok() { wait(&mut child, deadline) } else { None };
    let Some(status) = ended else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(timeout());
    };
    match answer {
        Ok(Ok(answer)) => Ok((answer, status)),
        Ok(Err(source)) => Err(start(source)),
        Err(_) => Err(timeout()),
    }
}

fn spawn(program: &Path) -> std::io::Result<Child> {
    Command::new(program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// Waits for a program that has closed its output: that is a matter of milliseconds, or it hangs.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            _ => return None,
        }
    }
}

/// "credentials not found in native keychain" is the protocol's word for: not here, ask elsewhere.
fn failed(helper: &str, host: &str, output: &[u8], status: ExitStatus) -> Result<Option<Credential>, CredentialError> {
    if String::from_utf8_lossy(output).contains("credentials not found") {
        return Ok(None);
    }
    Err(CredentialError::HelperFailed { helper: helper.to_owned(), host: host.to_owned(), status: status.to_string() })
}

/// `None` for what is no answer; `Some(None)` for an empty one.
fn understand(output: &[u8]) -> Option<Option<Credential>> {
    let answer: Answer = serde_json::from_slice(output).ok()?;
    let secret = Zeroizing::new(answer.secret.clone());
    Some(match answer.username.as_str() {
        "" if secret.is_empty() => None,
        "<token>" => Some(Credential::IdentityToken(secret)),
        username => Some(Credential::Basic { username: username.to_owned(), password: secret }),
    })
}
