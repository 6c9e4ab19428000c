//! Real servers for the tests: Debian's docker-registry and nginx, on loopback, killed by their own process id.

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SigningKey};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// Who may use a registry.
#[derive(Default)]
pub enum Auth {
    /// Everybody.
    #[default]
    Open,
    /// One user, by password.
    Htpasswd { user: String, password: String },
    /// Whoever shows a token of this service, signed by the key of this certificate (PEM).
    Token { realm: String, certificate: String },
}

/// Certificate and key of a server, PEM, and the authority its clients must come from.
#[derive(Clone)]
pub struct Tls {
    pub certificate: String,
    pub key: String,
    pub client_ca: Option<String>,
}

/// How a registry is started.
#[derive(Default)]
pub struct Options {
    pub auth: Auth,
    pub tls: Option<Tls>,
    pub readonly: bool,
    /// Deletion is off unless asked for, as by default.
    pub delete: bool,
    pub relative_urls: bool,
    /// Every request is written down, for [`DockerRegistry::requests`].
    pub access_log: bool,
    /// A pull-through cache of this registry.
    pub proxy: Option<String>,
}

/// A running docker-registry 2.8; its content goes with it.
pub struct DockerRegistry {
    pub addr: SocketAddr,
    process: Option<Process>,
    folder: TempDir,
    _port: Port,
}

impl DockerRegistry {
    /// Starts one on a free port and waits until it answers; none where the program is not installed.
    pub fn start(options: Options) -> Option<DockerRegistry> {
        installed("docker-registry")?;
        let folder = tempfile::tempdir().unwrap();
        let port = Port::free();
        let addr = port.addr;
        let path = folder.path();
        fs::write(path.join("config.yml"), config(&options, addr, path)?).unwrap();
        let mut registry = DockerRegistry { addr, process: None, folder, _port: port };
        registry.start_again();
        Some(registry)
    }

    /// Ends the process; the content stays.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it where it was, with the content it had. What it logged before is gone.
    pub fn start_again(&mut self) {
        self.process = None;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(self.folder.path().join("config.yml"));
        self.process = Some(Process::start(command, &self.folder.path().join("log"), self.addr));
    }

    /// Removes what no manifest names, as an administrator would.
    pub fn collect_garbage(&self) {
        // An upload that was only begun makes a repository, and garbage-collect stumbles where there is no blob at all.
        if ["repositories", "blobs"].iter().any(|part| !self.data().join("docker/registry/v2").join(part).exists()) {
            return;
        }
        let mut command = Command::new("docker-registry");
        let output = command.arg("garbage-collect").arg(self.folder.path().join("config.yml")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until nobody is connected: what processes that have ended asked for is done then, and in the log. A request is logged
    /// after its answer, and goes on after its client.
    pub fn at_rest(&self) {
        let began = Instant::now();
        while connected(self.addr) && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Method and path of every request so far (with [`Options::access_log`]), after [`DockerRegistry::at_rest`].
    pub fn requests(&self) -> Vec<(String, String)> {
        self.at_rest();
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let quoted = log.lines().filter_map(|line| line.split('"').nth(1));
        quoted.filter_map(|words| Some((words.split(' ').next()?.to_owned(), words.split(' ').nth(1)?.to_owned()))).collect()
    }

    /// `127.0.0.1:PORT`, as a reference writes it.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// The number of its process.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }

    /// The folder with everything of it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps its content (`docker/registry/v2/...`).
    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

fn config(options: &Options, addr: SocketAddr, path: &Path) -> Option<String> {
    let at = path.display();
    let mut text = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: {}}}}}\nstorage:\n  filesystem: {{rootdirectory: {at}/data}}\n",
        !options.access_log
    );
    text += &format!("  delete: {{enabled: {}}}\n", options.delete);
    if options.readonly {
        text += "  maintenance: {readonly: {enabled: true}}\n";
    }
    if let Some(remote) = &options.proxy {
        text += &format!("proxy: {{remoteurl: \"{remote}\"}}\n");
    }
    text += &format!("http:\n  addr: {addr}\n  secret: fixed\n  relativeurls: {}\n", options.relative_urls);
    if let Some(tls) = &options.tls {
        fs::write(path.join("tls.crt"), &tls.certificate).unwrap();
        fs::write(path.join("tls.key"), &tls.key).unwrap();
        text += &format!("  tls:\n    certificate: {at}/tls.crt\n    key: {at}/tls.key\n");
        if let Some(ca) = &tls.client_ca {
            fs::write(path.join("clients.crt"), ca).unwrap();
            text += &format!("    clientcas: [{at}/clients.crt]\n");
        }
    }
    match &options.auth {
        Auth::Open => {}
        Auth::Htpasswd { user, password } => {
            let line = htpasswd(user, password)?;
            fs::write(path.join("htpasswd"), line).unwrap();
            text += &format!("auth: {{htpasswd: {{realm: r, path: {at}/htpasswd}}}}\n");
        }
        Auth::Token { realm, certificate } => {
            fs::write(path.join("token.crt"), certificate).unwrap();
            text +=
                &format!("auth: {{token: {{realm: \"{realm}\", service: registry, issuer: {ISSUER}, rootcertbundle: {at}/token.crt}}}}\n");
        }
    }
    Some(text)
}

/// A bcrypt line of the htpasswd tool. The password goes through its input, not its arguments.
fn htpasswd(user: &str, password: &str) -> Option<Vec<u8>> {
    use std::io::Write as _;
    installed("htpasswd")?;
    let mut command = Command::new("htpasswd");
    let mut child = command.args(["-Bni", user]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap().stdout)
}

/// A running nginx in front of something; one process, all its files in a folder of its own.
pub struct Nginx {
    pub addr: SocketAddr,
    _process: Process,
    folder: TempDir,
    _port: Port,
}

impl Nginx {
    /// In front of a server: takes so many requests per second, and so many more at once, and answers others with 429.
    pub fn limiting(upstream: SocketAddr, rate: u32, burst: u32) -> Option<Nginx> {
        Nginx::start(|listen, _| {
            format!(
                "limit_req_zone $binary_remote_addr zone=p:1m rate={rate}r/s;\nserver {{ listen {listen}; client_max_body_size 0; location / {{ \
                 limit_req zone=p burst={burst} nodelay; limit_req_status 429; error_page 429 = @slow; proxy_pass http://{upstream}; \
                 proxy_set_header Host $http_host; }} location @slow {{ add_header Retry-After 1 always; return 429 'slow down'; }} }}"
            )
        })
    }

    /// Starts one. `http` gives the content of its `http` block; it must listen at the address it is given. Certificates
    /// it names lie in the given folder.
    pub fn start(http: impl Fn(SocketAddr, &Path) -> String) -> Option<Nginx> {
        installed("nginx")?;
        let folder = tempfile::tempdir().unwrap();
        let port = Port::free();
        let addr = port.addr;
        let path = folder.path();
        let at = path.display();
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|n| format!("{n}_temp_path {at}/{n};\n")).concat();
        let text = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log {at}/error.log; {user}\nevents {{}}\nhttp {{\n{temp}access_log off;\n{}\n}}\n",
            http(addr, path),
            user = if fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0) { "user root;" } else { "" },
        );
        fs::write(path.join("nginx.conf"), text).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-e").arg(path.join("error.log")).arg("-p").arg(path).arg("-c").arg(path.join("nginx.conf"));
        let process = Process::start(command, &path.join("log"), addr);
        Some(Nginx { addr, _process: process, folder, _port: port })
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A child process that ends with its owner.
struct Process(Child);

impl Process {
    /// Waits until `addr` takes connections.
    fn start(mut command: Command, log: &Path, addr: SocketAddr) -> Process {
        let out = File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).env("PATH", path_with_sbin());
        let mut process = Process(command.spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(addr).is_err() {
            let ended = process.0.try_wait().unwrap();
            let words = || fs::read_to_string(log).unwrap_or_default();
            assert!(ended.is_none(), "the server ended: {}", words());
            assert!(start.elapsed() < Duration::from_secs(60), "the server does not answer: {}", words());
            std::thread::sleep(Duration::from_millis(20));
        }
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's master must take its worker along: SIGTERM first.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Whether a program is there; says so where it is not.
fn installed(program: &str) -> Option<()> {
    let found = path_with_sbin().split(':').any(|folder| Path::new(folder).join(program).is_file());
    if !found {
        super::skip(&format!("{program} is not installed"));
    }
    found.then_some(())
}

/// A port of loopback nothing listens at. While this lives no other socket is given it, and no connection leaves from it; a server
/// that is told of it can listen there (both set `SO_REUSEADDR`, and this one never listens).
pub struct Port {
    pub addr: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    pub fn free() -> Port {
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Port { addr: held.local_addr().unwrap(), _held: held }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.addr.fmt(f)
    }
}

/// Whether anybody is connected to a server on this machine that has not closed the connection on its side (Linux, proc(5)).
fn connected(server: SocketAddr) -> bool {
    let (port, table) = (format!(":{:04X}", server.port()), fs::read_to_string("/proc/net/tcp").unwrap_or_default());
    // Columns: number, local address, remote address, state. Established, being established, closed by the client only.
    let open = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().take(4).collect();
        columns.get(1).is_some_and(|local| local.ends_with(&port)) && matches!(columns.get(3), Some(&("01" | "03" | "08")))
    };
    table.lines().any(open)
}

/// An authority that signs certificates for tests.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Ca {
    pub fn new(name: &str) -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for these names (DNS or IP), good for servers and clients.
    pub fn sign(&self, names: &[&str]) -> (String, String) {
        self.sign_for(names, (1975, 4096))
    }

    /// [`Ca::sign`], valid from the first day of one year to that of another.
    pub fn sign_for(&self, names: &[&str], years: (i32, i32)) -> (String, String) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth, rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(years.0, 1, 1), rcgen::date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

const ISSUER: &str = "test-issuer";

/// Signs tokens as distribution's token specification wants them (JWT, ES256, certificate in the header).
pub struct TokenSigner {
    key: KeyPair,
    der: Vec<u8>,
    pub certificate: String,
}

impl TokenSigner {
    pub fn new() -> TokenSigner {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["tokens".to_owned()]).unwrap().self_signed(&key).unwrap();
        TokenSigner { key, der: certificate.der().to_vec(), certificate: certificate.pem() }
    }

    /// A token for what `user` may do: `alice` everything asked for, anybody may pull `public/*`.
    pub fn token(&self, user: &str, scopes: &[String]) -> String {
        self.token_for(user, scopes, 300)
    }

    /// [`TokenSigner::token`] that is good for so many seconds from now. Distribution lets a token pass for a minute after its end,
    /// which is taken off.
    pub fn token_good_for(&self, user: &str, scopes: &[String], seconds: i64) -> String {
        self.token_for(user, scopes, seconds - 60)
    }

    fn token_for(&self, user: &str, scopes: &[String], lifetime: i64) -> String {
        let url = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let x5c = base64::engine::general_purpose::STANDARD.encode(&self.der);
        let header = serde_json::json!({ "typ": "JWT", "alg": "ES256", "x5c": [x5c] });
        let access: Vec<_> = scopes.iter().filter_map(|scope| grant(user, scope)).collect();
        let claims = serde_json::json!({ "iss": ISSUER, "sub": user, "aud": "registry", "exp": now as i64 + lifetime, "nbf": now - 120,
            "iat": now - 120, "jti": format!("{now}-{}", scopes.len()), "access": access });
        let text = format!("{}.{}", url(header.to_string().as_bytes()), url(claims.to_string().as_bytes()));
        let der = self.key.sign(text.as_bytes()).unwrap();
        let signature = p256::ecdsa::Signature::from_der(&der).unwrap();
        format!("{text}.{}", url(&signature.to_bytes()))
    }
}

fn grant(user: &str, scope: &str) -> Option<serde_json::Value> {
    let (resource, actions) = scope.rsplit_once(':')?;
    let (kind, name) = resource.split_once(':')?;
    let may = |action: &&str| user == "alice" || (*action == "pull" && name.starts_with("public/"));
    let actions: Vec<&str> = actions.split(',').filter(may).collect();
    Some(serde_json::json!({ "type": kind, "name": name, "actions": actions }))
}
