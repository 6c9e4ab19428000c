//! Sources behind a proxy, as the environment says: `HTTPS_PROXY` and `NO_PROXY`, with a login for the proxy.

use crate::support::servers::{Auth, Ca, DockerRegistry, Options, Tls};
use crate::support::skip;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

/// A proxy that knows one name, `registry.test`, and notes what it was asked.
struct Proxy {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(registry: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let notes = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let notes = notes.clone();
                std::thread::spawn(move || tunnel(client, registry, &notes));
            }
        });
        Proxy { addr, asked }
    }
}

fn tunnel(client: TcpStream, registry: SocketAddr, notes: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    notes.lock().unwrap().push(head.clone());
    let mut client = client;
    if !head.starts_with("CONNECT registry.test:443 ") {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let server = TcpStream::connect(registry)?;
    let (mut up, mut down) = (server.try_clone()?, server);
    let back = std::thread::spawn(move || io::copy(&mut down, &mut client));
    let _ = io::copy(&mut reader, &mut up);
    let _ = up.shutdown(std::net::Shutdown::Write);
    let _ = back.join();
    Ok(())
}

fn plan(home: &Path, ca: &Path, variables: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealift"));
    command
        .env_clear()
        .env("SEALIFT_HOME", home)
        .env("PATH", "/usr/bin:/bin")
        .args(["plan", "registry.test/team/app:1", "--ca-file"])
        .arg(ca);
    command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap()
}

/// A layout with one image, for skopeo to push.
fn layout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo/layout")
}

#[test]
fn sources_are_reached_through_the_proxy_of_the_environment() {
    let ca = Ca::new("proxy test");
    let (certificate, key) = ca.sign(&["registry.test", "localhost", "127.0.0.1"]);
    let tls = Tls { certificate, key, client_ca: None };
    let Some(registry) = DockerRegistry::start(Options { auth: Auth::Open, tls: Some(tls), ..Options::default() }) else {
        return skip("no docker-registry");
    };
    let temp = tempfile::tempdir().unwrap();
    let ca_file = temp.path().join("ca.pem");
    std::fs::write(&ca_file, &ca.pem).unwrap();
    let source = format!("oci:{}:web", layout().display());
    let target = format!("docker://localhost:{}/team/app:1", registry.addr.port());
    let pushed = Command::new("skopeo").args(["copy", "-q", "--dest-tls-verify=false", &source, &target]).status().unwrap();
    assert!(pushed.success());
    let proxy = Proxy::start(registry.addr);

    let through = plan(temp.path(), &ca_file, &[("HTTPS_PROXY", format!("http://user:pr0xy-pw@{}", proxy.addr))]);
    let told = String::from_utf8_lossy(&through.stdout).into_owned() + &String::from_utf8_lossy(&through.stderr);
    assert!(through.status.success() && told.contains("team/app:1"), "{told}");
    let asked = proxy.asked.lock().unwrap().join("");
    // base64 of user:pr0xy-pw
    assert!(
        asked.contains("CONNECT registry.test:443")
            && asked.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjpwcjb4es1wdw=="),
        "{asked}"
    );
    let before = proxy.asked.lock().unwrap().len();

    let past = [("HTTPS_PROXY", format!("http://user:pr0xy-pw@{}", proxy.addr)), ("NO_PROXY", ".test".to_owned())];
    let direct = plan(temp.path(), &ca_file, &past);
    assert_eq!(direct.status.code(), Some(20), "the name exists at the proxy only");
    assert_eq!(proxy.asked.lock().unwrap().len(), before, "NO_PROXY goes past it");
    let dead = plan(temp.path(), &ca_file, &[("HTTPS_PROXY", "http://user:pr0xy-pw@127.0.0.1:9".to_owned())]);
    assert_eq!(dead.status.code(), Some(20));
    let told = String::from_utf8_lossy(&dead.stderr);
    assert!(told.contains("the proxy failed") && told.contains("HTTPS_PROXY"), "the proxy is not there, the registry may be: {told}");
    for output in [&direct, &dead] {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("registry.test") && told.contains("remedy:") && !told.contains("pr0xy-pw"), "{told}");
    }
}
