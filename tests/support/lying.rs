//! A registry in this process that answers as told: honest by default, and wrong wherever a [`Rule`] says so.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RANGE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use sealift::digest::Digest;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

type Body = BoxBody<Bytes, io::Error>;
type Answer = Result<Response<Body>, io::Error>;

/// What goes wrong.
#[derive(Clone)]
pub enum Fault {
    /// This answer instead of the right one; the request has no effect.
    Status(u16, Vec<(&'static str, String)>, String),
    /// The right answer, whose body breaks off after so many bytes.
    Cut(usize),
    /// The right answer, whose body stops after so many bytes while the connection stays.
    Hang(usize),
    /// The right status and headers with another body.
    Body(Vec<u8>),
    /// The request has its effect, but the connection closes without an answer.
    LoseAnswer,
    /// Only so many bytes of the request's body arrive, then the connection closes.
    TakePart(usize),
    /// The connection closes at once.
    Close,
    /// The connection stays, but nothing is read and nothing answered.
    Silence,
    /// The `Range` of the request is not looked at.
    IgnoreRange,
    /// Another part than asked for.
    WrongRange,
    /// 416 that announces the whole blob and sends 33 bytes (distribution 2.8).
    Lying416,
    /// A header of the right answer is set, or removed.
    Header(&'static str, Option<String>),
    /// `Location` of the right answer is rewritten.
    Location(fn(&str) -> String),
}

/// When it goes wrong.
struct Rule {
    method: &'static str,
    path: &'static str,
    skip: usize,
    times: usize,
    fault: Fault,
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: Option<String>,
    pub range: Option<String>,
    pub content_range: Option<String>,
    pub content_length: Option<u64>,
    pub accept: Option<String>,
}

/// Makes the token for a user and scopes.
pub type Issue = Box<dyn Fn(&str, &[String]) -> String + Send + Sync>;

/// How the registry wants to be logged in to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    Open,
    Basic,
    /// Bearer; its token service is this server, under `/token`.
    Bearer,
    /// As Bearer, with Harbor's names and interface: nothing is pushed below a project that does not exist.
    Harbor,
    /// As Bearer, with Quay's: the OAuth token `oauth-alice` of the user `$oauthtoken` may make organisations.
    Quay,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    connections: usize,
    blobs: HashMap<String, Bytes>,
    manifests: HashMap<String, (Bytes, String)>,
    tags: BTreeMap<String, Vec<Option<String>>>,
    uploads: HashMap<String, BytesMut>,
    mountable: HashSet<String>,
    next: usize,
    tokens: HashSet<String>,
    projects: HashSet<String>,
    issue: Option<Issue>,
    referrers: bool,
}

/// The server; ends when dropped. User `alice`, password `secret`, refresh token `refresh-alice`.
pub struct Lying {
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lying {
    pub fn start(guard: Guard) -> Lying {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = serve(listener, shared, guard, addr) => {}
                }
            });
        });
        Lying { addr, state, stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`, as a reference writes it.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// From now on the next `times` requests with this method whose path holds `path` go wrong.
    pub fn lie(&self, method: &'static str, path: &'static str, times: usize, fault: Fault) {
        self.lie_after(0, method, path, times, fault);
    }

    /// As [`Lying::lie`], but the first `skip` of them are answered honestly.
    pub fn lie_after(&self, skip: usize, method: &'static str, path: &'static str, times: usize, fault: Fault) {
        self.state.lock().unwrap().rules.push(Rule { method, path, skip, times, fault });
    }

    pub fn seen(&self, method: &str, path: &str) -> Vec<Seen> {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|s| s.method == method && s.path.contains(path)).cloned().collect()
    }

    /// Connections made so far.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub fn add_blob(&self, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        self.state.lock().unwrap().blobs.insert(digest.to_string(), Bytes::copy_from_slice(content));
        digest
    }

    pub fn blob(&self, digest: &Digest) -> Option<Bytes> {
        self.state.lock().unwrap().blobs.get(&digest.to_string()).cloned()
    }

    pub fn add_manifest(&self, repository: &str, tag: &str, content: &str, kind: &str) -> Digest {
        let digest = Digest::sha256(content.as_bytes());
        let mut state = self.state.lock().unwrap();
        for reference in [tag.to_owned(), digest.to_string()] {
            state.manifests.insert(format!("{repository}/{reference}"), (Bytes::from(content.to_owned()), kind.to_owned()));
        }
        digest
    }

    pub fn set_tags(&self, repository: &str, tags: &[Option<&str>]) {
        let tags = tags.iter().map(|t| t.map(str::to_owned)).collect();
        self.state.lock().unwrap().tags.insert(repository.to_owned(), tags);
    }

    /// From now on it has the referrers API; before, there is nothing under that path.
    pub fn list_referrers(&self) {
        self.state.lock().unwrap().referrers = true;
    }

    /// The bytes of a manifest, by tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Bytes> {
        self.state.lock().unwrap().manifests.get(&format!("{repository}/{reference}")).map(|(bytes, _)| bytes.clone())
    }

    /// A manifest is lost, whatever lists it.
    pub fn forget(&self, repository: &str, reference: &str) {
        self.state.lock().unwrap().manifests.remove(&format!("{repository}/{reference}"));
    }

    /// `digest` may be mounted from elsewhere.
    pub fn allow_mount(&self, digest: &Digest) {
        self.state.lock().unwrap().mountable.insert(digest.to_string());
    }

    /// No token given out so far is valid any more.
    pub fn expire_tokens(&self) {
        self.state.lock().unwrap().tokens.clear();
    }

    /// The token service gives out what this makes (for another registry that trusts it).
    pub fn issue_with(&self, issue: Issue) {
        self.state.lock().unwrap().issue = Some(issue);
    }
}

impl Drop for Lying {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, state: Arc<Mutex<State>>, guard: Guard, addr: SocketAddr) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let state = state.clone();
        state.lock().unwrap().connections += 1;
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, state.clone(), guard, addr));
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>, guard: Guard, addr: SocketAddr) -> Answer {
    let text = |name| request.headers().get(name).and_then(|v: &hyper::header::HeaderValue| v.to_str().ok()).map(str::to_owned);
    let seen = Seen {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        authorization: text(AUTHORIZATION),
        range: text(RANGE),
        content_range: text(hyper::header::CONTENT_RANGE),
        content_length: text(CONTENT_LENGTH).and_then(|n| n.parse().ok()),
        accept: text(hyper::header::ACCEPT),
    };
    let fault = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        state.fault(&seen)
    };
    match &fault {
        Some(Fault::Close) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Silence) => std::future::pending::<()>().await,
        // As a proxy does: before the body is read, which then goes nowhere (nginx's lingering close).
        Some(Fault::Status(status, headers, body)) => {
            tokio::spawn(request.into_body().collect());
            return Ok(refuse(*status, headers, body));
        }
        _ => {}
    }
    let whole = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let whole = match fault {
        Some(Fault::TakePart(bytes)) => whole.slice(..bytes.min(whole.len())),
        _ => whole,
    };
    let honest = state.lock().unwrap().honest(&seen, &whole, guard, addr, &fault);
    twist(honest, fault)
}

impl State {
    fn fault(&mut self, seen: &Seen) -> Option<Fault> {
        for rule in &mut self.rules {
            if rule.method != seen.method || !seen.path.contains(rule.path) || rule.times == 0 {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        None
    }

    /// What a good registry answers.
    fn honest(&mut self, seen: &Seen, body: &Bytes, guard: Guard, addr: SocketAddr, fault: &Option<Fault>) -> Response<Body> {
        if matches!(seen.path.as_str(), "/token" | "/service/token" | "/v2/auth") {
            return self.token(seen, body);
        }
        if seen.path.starts_with("/api/") {
            return self.product(seen, body, guard);
        }
        if !self.admitted(seen, guard) {
            let challenge = match guard {
                Guard::Basic => "Basic realm=\"r\"".to_owned(),
                Guard::Harbor => format!("Bearer realm=\"http://{addr}/service/token\",service=\"harbor-registry\""),
                Guard::Quay => format!("Bearer realm=\"http://{addr}/v2/auth\",service=\"{addr}\""),
                _ => format!("Bearer realm=\"http://{addr}/token\",service=\"lying service\",scope=\"{}\"", scope_of(seen)),
            };
            return refuse(401, &[("www-authenticate", challenge)], &error("UNAUTHORIZED"));
        }
        let Some(rest) = seen.path.strip_prefix("/v2/") else { return refuse(404, &[], "") };
        if rest.is_empty() {
            return reply(200, &[], Bytes::from_static(b"{}"));
        }
        if let Some((repository, session)) = rest.split_once("/blobs/uploads/") {
            let project = repository.split('/').next().unwrap();
            if matches!(guard, Guard::Harbor | Guard::Quay) && !self.projects.contains(project) {
                return refuse(401, &[], &error("UNAUTHORIZED"));
            }
            return self.upload(seen, repository, session, body);
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            return self.serve_blob(seen, digest, fault);
        }
        if let Some((repository, reference)) = rest.split_once("/manifests/") {
            return self.manifest(seen, repository, reference, body);
        }
        if let Some((repository, subject)) = rest.split_once("/referrers/").filter(|_| self.referrers) {
            return self.referring(repository, subject);
        }
        match rest.strip_suffix("/tags/list") {
            Some(repository) => self.tag_page(repository, &seen.query),
            None => refuse(404, &[], ""),
        }
    }

    fn admitted(&self, seen: &Seen, guard: Guard) -> bool {
        let shown = seen.authorization.as_deref().unwrap_or_default();
        match guard {
            Guard::Open => true,
            Guard::Basic => shown == "Basic YWxpY2U6c2VjcmV0",
            Guard::Bearer | Guard::Harbor | Guard::Quay => shown.strip_prefix("Bearer ").is_some_and(|t| self.tokens.contains(t)),
        }
    }

    /// The product's own interface, as far as projects go.
    fn product(&mut self, seen: &Seen, body: &Bytes, guard: Guard) -> Response<Body> {
        let login = if guard == Guard::Harbor { "Basic YWxpY2U6c2VjcmV0" } else { "Bearer oauth-alice" };
        if seen.authorization.as_deref() != Some(login) {
            return refuse(401, &[], &error("UNAUTHORIZED"));
        }
        let wish: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let (name, made) = match (guard, seen.method.as_str(), seen.path.as_str()) {
            (Guard::Harbor, "HEAD", "/api/v2.0/projects") => (seen.query.strip_prefix("project_name=").unwrap().to_owned(), false),
            (Guard::Harbor, "POST", "/api/v2.0/projects") => (wish["project_name"].as_str().unwrap().to_owned(), true),
            (Guard::Quay, "POST", "/api/v1/organization/") => (wish["name"].as_str().unwrap().to_owned(), true),
            (Guard::Quay, "GET", path) => (path.strip_prefix("/api/v1/organization/").unwrap().to_owned(), false),
            _ => return refuse(404, &[], ""),
        };
        match (made, self.projects.contains(&name)) {
            (false, there) => reply(if there { 200 } else { 404 }, &[], Bytes::new()),
            (true, true) => refuse(409, &[], ""),
            (true, false) => {
                self.projects.insert(name);
                reply(201, &[], Bytes::new())
            }
        }
    }

    fn token(&mut self, seen: &Seen, body: &Bytes) -> Response<Body> {
        let text = if seen.method == "POST" { String::from_utf8_lossy(body).into_owned() } else { seen.query.clone() };
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        let user = match (seen.method.as_str(), seen.authorization.as_deref()) {
            ("POST", _) if pairs.iter().any(|(k, v)| k == "refresh_token" && v == "refresh-alice") => "alice",
            ("GET", Some("Basic YWxpY2U6c2VjcmV0")) => "alice",
            // $oauthtoken:oauth-alice
            ("GET", Some("Basic JG9hdXRodG9rZW46b2F1dGgtYWxpY2U=")) => "alice",
            ("GET", None) => "",
            _ => return refuse(401, &[], &error("UNAUTHORIZED")),
        };
        let scopes: Vec<String> =
            pairs.iter().filter(|(k, _)| k == "scope").flat_map(|(_, v)| v.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
        self.next += 1;
        let token = match &self.issue {
            Some(issue) => issue(user, &scopes),
            None => format!("token-{}", self.next),
        };
        self.tokens.insert(token.clone());
        reply(200, &[("content-type", "application/json")], Bytes::from(format!(r#"{{"access_token":"{token}","expires_in":300}}"#)))
    }

    fn upload(&mut self, seen: &Seen, repository: &str, session: &str, body: &Bytes) -> Response<Body> {
        let query: HashMap<String, String> = url::form_urlencoded::parse(seen.query.as_bytes()).into_owned().collect();
        if seen.method == "POST" {
            if query.get("mount").is_some_and(|d| self.mountable.contains(d)) {
                return reply(201, &[("location", "/v2/x/blobs/y")], Bytes::new());
            }
            self.next += 1;
            let name = format!("s{}", self.next);
            self.uploads.insert(name.clone(), BytesMut::new());
            let location = format!("/v2/{repository}/blobs/uploads/{name}?_state=a%2Fb%3D");
            return reply(202, &[("location", location.as_str())], Bytes::new());
        }
        if seen.method == "DELETE" {
            return reply(if self.uploads.remove(session).is_some() { 204 } else { 404 }, &[], Bytes::new());
        }
        // The state must come back byte for byte.
        if !seen.query.starts_with("_state=a%2Fb%3D") {
            return refuse(400, &[], &error("BLOB_UPLOAD_INVALID"));
        }
        let Some(content) = self.uploads.get_mut(session) else { return refuse(404, &[], &error("BLOB_UPLOAD_UNKNOWN")) };
        if seen.method == "GET" {
            let range = format!("0-{}", content.len().saturating_sub(1));
            let location = format!("/v2/{repository}/blobs/uploads/{session}?_state=a%2Fb%3D&asked={}", content.len());
            return reply(204, &[("range", range.as_str()), ("location", location.as_str())], Bytes::new());
        }
        content.extend_from_slice(body);
        if seen.method == "PATCH" {
            let location = format!("/v2/{repository}/blobs/uploads/{session}?_state=a%2Fb%3D&n={}", content.len());
            return reply(202, &[("location", location.as_str())], Bytes::new());
        }
        let content = self.uploads.remove(session).unwrap().freeze();
        let digest = Digest::sha256(&content).to_string();
        if query.get("digest") != Some(&digest) {
            return refuse(400, &[], &error("DIGEST_INVALID"));
        }
        self.blobs.insert(digest.clone(), content);
        reply(201, &[("docker-content-digest", digest.as_str())], Bytes::new())
    }

    fn serve_blob(&self, seen: &Seen, digest: &str, fault: &Option<Fault>) -> Response<Body> {
        let Some(content) = self.blobs.get(digest) else { return refuse(404, &[], &error("BLOB_UNKNOWN")) };
        let length = content.len();
        let first = seen.range.as_deref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let Some(first) = first.filter(|_| !matches!(fault, Some(Fault::IgnoreRange))) else {
            return reply(200, &[("docker-content-digest", digest)], content.clone());
        };
        if matches!(fault, Some(Fault::Lying416)) {
            let mut answer = reply(416, &[], Bytes::new());
            answer.headers_mut().insert(CONTENT_LENGTH, length.into());
            *answer.body_mut() = pieces(vec![Ok(Bytes::from_static(&[b'x'; 33])), Err(io::ErrorKind::UnexpectedEof.into())], false);
            return answer;
        }
        let first = if matches!(fault, Some(Fault::WrongRange)) { first / 2 } else { first };
        let range = format!("bytes {first}-{}/{length}", length - 1);
        reply(206, &[("content-range", range.as_str())], content.slice(first..))
    }

    /// The referrers API, one page.
    fn referring(&self, repository: &str, subject: &str) -> Response<Body> {
        let prefix = format!("{repository}/sha256:");
        let mut all: Vec<_> = self.manifests.iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
        all.sort_by_key(|(key, _)| (*key).clone());
        let refers = |bytes: &Bytes| {
            let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            document["subject"]["digest"] == subject
        };
        let entry =
            |(bytes, kind): &(Bytes, String)| serde_json::json!({"mediaType": kind, "digest": Digest::sha256(bytes), "size": bytes.len()});
        let entries: Vec<_> = all.into_iter().filter(|(_, (bytes, _))| refers(bytes)).map(|(_, manifest)| entry(manifest)).collect();
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": kind, "manifests": entries});
        reply(200, &[("content-type", kind)], Bytes::from(index.to_string()))
    }

    fn manifest(&mut self, seen: &Seen, repository: &str, reference: &str, body: &Bytes) -> Response<Body> {
        let key = format!("{repository}/{reference}");
        match seen.method.as_str() {
            "PUT" => {
                let digest = self.add(repository, reference, body.clone());
                reply(201, &[("docker-content-digest", digest.as_str())], Bytes::new())
            }
            "DELETE" => reply(if self.manifests.remove(&key).is_some() { 202 } else { 404 }, &[], Bytes::new()),
            _ => match self.manifests.get(&key) {
                Some((content, kind)) => {
                    let digest = Digest::sha256(content).to_string();
                    reply(200, &[("docker-content-digest", digest.as_str()), ("content-type", kind)], content.clone())
                }
                None => refuse(404, &[], &error("MANIFEST_UNKNOWN")),
            },
        }
    }

    fn add(&mut self, repository: &str, reference: &str, content: Bytes) -> String {
        let digest = Digest::sha256(&content).to_string();
        for name in [reference, digest.as_str()] {
            self.manifests.insert(format!("{repository}/{name}"), (content.clone(), String::new()));
        }
        digest
    }

    /// Two tags a page.
    fn tag_page(&self, repository: &str, query: &str) -> Response<Body> {
        let Some(tags) = self.tags.get(repository) else { return refuse(404, &[], &error("NAME_UNKNOWN")) };
        let from: usize = query.strip_prefix("from=").and_then(|n| n.parse().ok()).unwrap_or(0);
        let page: Vec<&Option<String>> = tags.iter().skip(from).take(2).collect();
        let body = serde_json::json!({ "name": repository, "tags": page }).to_string();
        let link = format!("<http://elsewhere.test/v2/{repository}/tags/list?from={}>; rel=next", from + 2);
        let headers = [("link", link.as_str())];
        reply(200, if from + 2 < tags.len() { &headers } else { &[] }, Bytes::from(body))
    }
}

/// Bends the honest answer.
fn twist(mut honest: Response<Body>, fault: Option<Fault>) -> Answer {
    match fault {
        Some(Fault::LoseAnswer | Fault::TakePart(_)) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Cut(at)) => shorten(&mut honest, at, false),
        Some(Fault::Hang(at)) => shorten(&mut honest, at, true),
        Some(Fault::Body(body)) => {
            honest.headers_mut().insert(CONTENT_LENGTH, body.len().into());
            *honest.body_mut() = full(Bytes::from(body));
        }
        Some(Fault::Header(name, Some(value))) => {
            honest.headers_mut().insert(name, value.parse().unwrap());
        }
        Some(Fault::Header(name, None)) => {
            honest.headers_mut().remove(name);
        }
        Some(Fault::Location(rewrite)) => {
            let old = honest.headers().get(LOCATION).unwrap().to_str().unwrap().to_owned();
            honest.headers_mut().insert(LOCATION, rewrite(&old).parse().unwrap());
        }
        _ => {}
    }
    Ok(honest)
}

/// Lets the body break off, or stop, after `at` bytes; the announced length stays.
fn shorten(answer: &mut Response<Body>, at: usize, hang: bool) {
    let body = std::mem::replace(answer.body_mut(), full(Bytes::new()));
    let content = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes();
    let start = content.slice(..at.min(content.len()));
    let end = if hang { vec![Ok(start)] } else { vec![Ok(start), Err(io::ErrorKind::ConnectionReset.into())] };
    *answer.body_mut() = pieces(end, hang);
}

fn pieces(parts: Vec<io::Result<Bytes>>, hang: bool) -> Body {
    use futures_util::StreamExt as _;
    let parts = stream::iter(parts.into_iter().map(|p| p.map(Frame::data)));
    // The pause lets the first part leave before the connection is torn down.
    let parts = parts.then(|part| async move {
        if part.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        part
    });
    match hang {
        true => StreamBody::new(Box::pin(parts.chain(stream::pending()))).boxed_unsync_to(),
        false => StreamBody::new(Box::pin(parts)).boxed_unsync_to(),
    }
}

/// `BoxBody` wants `Sync`, which these streams are.
trait Boxed {
    fn boxed_unsync_to(self) -> Body;
}

impl<B> Boxed for B
where
    B: hyper::body::Body<Data = Bytes, Error = io::Error> + Send + Sync + 'static,
{
    fn boxed_unsync_to(self) -> Body {
        self.boxed()
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn reply(status: u16, headers: &[(&str, &str)], body: Bytes) -> Response<Body> {
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers.iter().filter(|(_, v)| !v.is_empty()) {
        response = response.header(*name, *value);
    }
    response.header(CONTENT_LENGTH, body.len()).body(full(body)).unwrap()
}

fn refuse(status: u16, headers: &[(&'static str, String)], body: &str) -> Response<Body> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut response = reply(status, &headers, Bytes::from(body.to_owned()));
    response.headers_mut().entry(CONTENT_TYPE).or_insert("application/json".parse().unwrap());
    response
}

/// An error in the registries' form.
pub fn error(code: &str) -> String {
    format!(r#"{{"errors":[{{"code":"{code}","message":"as told"}}]}}"#)
}

/// The scope a real registry would name in its challenge.
fn scope_of(seen: &Seen) -> String {
    let rest = seen.path.strip_prefix("/v2/").unwrap_or_default();
    let repository = ["/blobs/", "/manifests/", "/tags/"].iter().find_map(|part| rest.split_once(part)).map(|(name, _)| name);
    let action = match seen.method.as_str() {
        "GET" | "HEAD" => "pull",
        "DELETE" => "delete",
        _ => "push,pull",
    };
    repository.map_or(String::new(), |name| format!("repository:{name}:{action}"))
}
