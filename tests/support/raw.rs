//! `sealift serve` as a process, and a client that speaks HTTP/1.1 by hand: nothing is added, hidden or mended by a library.

use super::inside::{Home, text};
use sealift::digest::Digest;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// All bytes that were announced have come.
    pub whole: bool,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn is(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{:?} {}", self.headers, String::from_utf8_lossy(&self.body));
        assert!(self.whole, "the body is cut");
        self
    }

    /// An error in the form of the specification.
    #[track_caller]
    pub fn refuses(self, status: u16, code: &str) -> Reply {
        let reply = self.is(status);
        let error = &reply.json()["errors"][0];
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 5) && error.get("detail").is_some(), "{error}");
        reply
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub fn location(&self) -> String {
        self.header("location").unwrap().to_owned()
    }
}

/// Reads one answer; of one to HEAD no body is expected.
pub fn reply(stream: &TcpStream, head: bool) -> std::io::Result<Reply> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut lines = || -> std::io::Result<String> {
        line.clear();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let first = lines()?;
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let mut headers = Vec::new();
    loop {
        let line = lines()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: u64 = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = Vec::new();
    if !head && status != 304 {
        let _ = reader.take(length).read_to_end(&mut body);
    }
    let whole = head || status == 304 || body.len() as u64 == length;
    Ok(Reply { status, headers, body, whole })
}

/// A running `sealift serve`.
pub struct Served {
    pub addr: SocketAddr,
    child: Child,
    log: TempDir,
}

impl Served {
    /// Starts it on a free port with these words and waits until it says that it listens.
    pub fn start(home: &Home, words: &[&str]) -> Served {
        Served::run(home.sealift(&["serve"]), words)
    }

    /// [`Served::start`] with so many descriptors at most.
    pub fn with_descriptors(home: &Home, most: u32, words: &[&str]) -> Served {
        let mut command = home.command("sh");
        command.args(["-c", &format!("ulimit -n {most} && exec \"$0\" serve \"$@\""), env!("CARGO_BIN_EXE_sealift")]);
        Served::run(command, words)
    }

    fn run(mut command: Command, words: &[&str]) -> Served {
        let log = tempfile::tempdir().unwrap();
        let err = File::create(log.path().join("err")).unwrap();
        command.args(words);
        if !words.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(err).spawn().unwrap();
        let began = Instant::now();
        let addr = loop {
            let said = fs::read_to_string(log.path().join("err")).unwrap();
            let line = said.lines().find_map(|line| line.strip_prefix("listening at ")).filter(|_| said.ends_with('\n'));
            if let Some(addr) = line.and_then(|line| line.split("://").nth(1)?.parse().ok()) {
                break addr;
            }
            assert!(child.try_wait().unwrap().is_none(), "it ended: {said}");
            assert!(began.elapsed() < Duration::from_secs(60), "it does not listen: {said}");
            std::thread::sleep(Duration::from_millis(20));
        };
        Served { addr, child, log }
    }

    /// A layout that everybody may push into.
    pub fn layout(home: &Home, folder: &Path) -> Served {
        Served::start(home, &[&format!("oci:{}", text(folder)), "--plain-http", "--allow-anonymous", "push"])
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// Everything it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path().join("err")).unwrap()
    }

    /// The most memory it has had, in bytes (Linux, `VmHWM`).
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and gives its exit number.
    pub fn end(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.child.wait().unwrap().code()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Reply {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.addr);
        let own = headers.iter().any(|header| header.to_ascii_lowercase().starts_with("transfer-encoding"));
        if !own {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        // Refused in the middle, the answer is still to be read.
        let _ = stream.write_all(body);
        reply(&stream, method == "HEAD").unwrap()
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"")
    }

    #[track_caller]
    pub fn head(&self, path: &str) -> Reply {
        self.send("HEAD", path, &[], b"")
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], b"")
    }

    /// Opens an upload and gives its location.
    #[track_caller]
    pub fn upload(&self, repository: &str) -> String {
        self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"").is(202).location()
    }

    /// Pushes a blob in the way every client knows.
    #[track_caller]
    pub fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        let at = self.upload(repository);
        let at = self.send("PATCH", &at, &["Content-Type: application/octet-stream"], content).is(202).location();
        self.send("PUT", &format!("{at}?digest={digest}"), &[], b"").is(201);
        digest
    }

    /// Pushes a manifest.
    #[track_caller]
    pub fn manifest(&self, repository: &str, reference: &str, kind: &str, bytes: &[u8]) -> Reply {
        self.send("PUT", &format!("/v2/{repository}/manifests/{reference}"), &[&format!("Content-Type: {kind}")], bytes)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
