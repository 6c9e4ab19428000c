//! `helm template`, where there is helm.
//!
//! It gets a folder of its own for everything it could write or read, no environment, and no word of a cluster. What
//! it prints is bounded, and so is its time: a chart is a program.

use crate::fs::{Dir, FsError};
use crate::limits;
use crate::text::shown;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How helm is run.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The program.
    pub path: &'a Path,
    /// A folder in which it gets one of its own, removed afterwards.
    pub scratch: &'a Path,
    /// After this it is ended.
    pub patience: Duration,
}

/// Why helm gave no documents. Never the end: charts can be read without it.
#[derive(Debug, thiserror::Error)]
pub(super) enum RenderError {
    #[error("helm cannot be started: {0}")]
    Start(io::Error),
    #[error("helm failed: {0}")]
    Failed(String),
    #[error("helm did not finish within {0} seconds")]
    TimeOut(u64),
    #[error("helm printed more than {0} bytes")]
    TooMuch(u64),
    #[error("helm printed what is not UTF-8")]
    NotText,
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// What is kept of helm's complaints.
const STDERR_BYTES: u64 = 16 << 10;
/// How often it is looked whether the person wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Renders a chart archive with its default values and the files given.
pub(super) fn template(
    program: &Program<'_>,
    name: &str,
    archive: &[u8],
    values: &[PathBuf],
    stopped: &dyn Fn() -> bool,
) -> Result<String, RenderError> {
    let scratch = Dir::create(program.scratch)?.durable(false);
    let of_chart = crate::digest::Digest::sha256(format!("{name}\0{}", crate::digest::Digest::sha256(archive)).as_bytes());
    let taken = Taken::name(&format!("helm-{}", of_chart.hex()));
    let own = taken.0.as_str();
    clear(&scratch, own, 0)?;
    let folder = scratch.make_sub(own)?;
    let result = folder.publish("chart.tgz", archive).map_err(RenderError::from).and_then(|()| run(program, &folder, values, stopped));
    // What it printed matters more than what it left behind.
    let _ = clear(&scratch, own, 0);
    result
}

/// Names of folders that are in use: an ImageSet may ask for one chart twice, and both are rendered at once.
static IN_USE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A name that nobody else in this process uses until it is dropped. The next run takes the same names again, and so finds what a
/// killed one left.
struct Taken(String);

impl Taken {
    fn name(first: &str) -> Taken {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut name = first.to_owned();
        let mut number = 1usize;
        while !in_use.insert(name.clone()) {
            number += 1;
            name = format!("{first}-{number}");
        }
        Taken(name)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        IN_USE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

fn run(program: &Program<'_>, folder: &Dir, values: &[PathBuf], stopped: &dyn Fn() -> bool) -> Result<String, RenderError> {
    let mut command = Command::new(program.path);
    command.args(["template", "release-name"]).arg(folder.join("chart.tgz")).arg("--include-crds");
    for file in values {
        command.arg("--values").arg(file);
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").env("KUBECONFIG", "/dev/null");
    for name in ["HOME", "TMPDIR", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HELM_PLUGINS"] {
        command.env(name, folder.path());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: what it started ends with it.
    command.process_group(0);
    let mut child = command.spawn().map_err(RenderError::Start)?;
    let result = watch(&mut child, program.patience, stopped);
    if result.is_err() {
        end(&mut child);
    }
    result
}

fn watch(child: &mut Child, patience: Duration, stopped: &dyn Fn() -> bool) -> Result<String, RenderError> {
    let deadline = Instant::now() + patience;
    let out = child.stdout.take().map(|pipe| drained(pipe, limits::RENDERED_BYTES));
    let errors = child.stderr.take().map(|pipe| drained(pipe, STDERR_BYTES));
    let wait = |from: Option<Receiver<(Vec<u8>, bool)>>| match from {
        Some(from) => received(&from, deadline, patience, stopped),
        None => Ok((Vec::new(), false)),
    };
    let (text, too_much) = wait(out)?;
    if too_much {
        return Err(RenderError::TooMuch(limits::RENDERED_BYTES));
    }
    let (errors, _) = wait(errors)?;
    // Both ends are closed; what is left of it is its going.
    let status = loop {
        if let Some(status) = child.try_wait().map_err(RenderError::Start)? {
            break status;
        }
        check(deadline, patience, stopped)?;
        std::thread::sleep(LOOK / 10);
    };
    if !status.success() {
        return Err(RenderError::Failed(complaint(&errors, &status.to_string())));
    }
    String::from_utf8(text).map_err(|_| RenderError::NotText)
}

/// Reads a pipe in a thread: at most `limit` bytes and whether there was more. Standard error is read to its end all the same,
/// or helm would wait for ever; of standard output too much is the end.
fn drained(mut pipe: impl Read + Send + 'static, limit: u64) -> Receiver<(Vec<u8>, bool)> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.by_ref().take(limit).read_to_end(&mut bytes);
        let mut more = [0];
        let too_much = pipe.read(&mut more).is_ok_and(|n| n > 0);
        if too_much && limit == STDERR_BYTES {
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        let _ = send.send((bytes, too_much));
    });
    receive
}

fn received(
    from: &Receiver<(Vec<u8>, bool)>,
    deadline: Instant,
    patience: Duration,
    stopped: &dyn Fn() -> bool,
) -> Result<(Vec<u8>, bool), RenderError> {
    loop {
        match from.recv_timeout(LOOK) {
            Ok(read) => return Ok(read),
            Err(RecvTimeoutError::Disconnected) => return Ok((Vec::new(), false)),
            Err(RecvTimeoutError::Timeout) => check(deadline, patience, stopped)?,
        }
    }
}

fn check(deadline: Instant, patience: Duration, stopped: &dyn Fn() -> bool) -> Result<(), RenderError> {
    match () {
        () if stopped() => Err(RenderError::Interrupted),
        () if Instant::now() >= deadline => Err(RenderError::TimeOut(patience.as_secs())),
        () => Ok(()),
    }
}

/// Ends it and everything it started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn complaint(errors: &[u8], status: &str) -> String {
    let text = String::from_utf8_lossy(errors);
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => shown(line.trim().trim_start_matches("Error: ")).to_string(),
        None => status.to_owned(),
    }
}

/// Removes a folder with what is in it.
fn clear(parent: &Dir, name: &str, depth: usize) -> Result<(), FsError> {
    let Ok(folder) = parent.open_sub(name) else { return Ok(()) };
    for entry in folder.list()? {
        // A link is removed, not followed.
        if entry.regular || folder.open_sub(&entry.name).is_err() {
            folder.remove(&entry.name)?;
        } else if depth < limits::NESTING {
            clear(&folder, &entry.name, depth + 1)?;
        }
    }
    parent.remove_sub(name).map(|_| ())
}
