//! One request: who asks, for what, and what became of it.

use super::access::{Access, Verdict};
use super::answer::{Refusal, empty, json_text, set, typed};
use super::body::{Answered, Sent};
use super::metrics::Metrics;
use super::path::{Place, Route, route};
use super::places::{self, Meter, Places};
use super::store::{Store, StoreError, Writer};
use super::{lists, pull, push};
use crate::text::shown;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Blobs and manifests taken in at a time; more wait. Slow clients hold places for hours, and what else is done needs threads too
/// (tokio has 512).
const WRITERS: usize = 256;
/// What the log says of a request whose client did not wait for the answer, as nginx does.
const GONE: u16 = 499;
/// How long a request waits for a place of its connection: longer than one that moves nothing may keep its own.
const CROWDED: Duration = Duration::from_secs(45);
/// Passwords compared at a time: a flood of wrong ones takes no more cores than that.
const COMPARED: usize = 2;

/// What all requests share.
pub(super) struct State {
    pub store: Box<dyn Store>,
    pub access: Access,
    pub metrics: Metrics,
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
    pub clock: fn() -> u64,
    pub connections: Arc<Places>,
    pub readers: Option<Arc<Places>>,
    pub writers: Arc<Places>,
    comparing: Semaphore,
}

/// Who is at the other end of a connection.
pub(super) struct Client {
    pub peer: SocketAddr,
    pub meter: Arc<Meter>,
    seat: Mutex<Seat>,
}

/// What a connection was given.
pub(super) struct Seat {
    /// One of the places there are. Without, it may ask how the registry is; with everything else it waits for one.
    pub kept: bool,
    pub _place: places::Place,
}

impl Client {
    pub fn new(peer: SocketAddr, meter: Arc<Meter>, seat: Seat) -> Arc<Client> {
        Arc::new(Client { peer, meter, seat: Mutex::new(seat) })
    }

    /// Waits for one of the places, where it has none.
    async fn seated(&self, state: &State) -> Result<(), Refusal> {
        if self.seat.lock().unwrap_or_else(PoisonError::into_inner).kept {
            return Ok(());
        }
        let place = tokio::time::timeout(CROWDED, state.connections.take(&self.meter)).await.map_err(|_| {
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "all places are taken; come back in some seconds")
                .header(RETRY_AFTER, "5")
                .header(CONNECTION, "close")
        })?;
        *self.seat.lock().unwrap_or_else(PoisonError::into_inner) = Seat { kept: true, _place: place };
        Ok(())
    }
}

/// What a handler knows of a request.
pub(super) struct Asked {
    pub client: Arc<Client>,
    pub parts: hyper::http::request::Parts,
    pub body: Sent,
}

impl Asked {
    pub fn header(&self, name: impl hyper::header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    pub fn query(&self, key: &str) -> Option<String> {
        super::path::query(self.parts.uri.query(), key)
    }

    pub fn is_head(&self) -> bool {
        self.parts.method == Method::HEAD
    }
}

impl State {
    pub fn new(
        store: Box<dyn Store>,
        access: Access,
        log: Arc<dyn Fn(&str) + Send + Sync>,
        clock: fn() -> u64,
        connections: usize,
    ) -> State {
        let (connections, readers) = (Places::new(connections), store.readers().map(Places::new));
        let (writers, comparing) = (Places::new(WRITERS), Semaphore::new(COMPARED));
        State { store, access, metrics: Metrics::default(), log, clock, connections, readers, writers, comparing }
    }
}

/// Asks the store on a thread that may wait for disks.
pub(super) async fn ask<T: Send + 'static>(
    state: &Arc<State>,
    question: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let shared = state.clone();
    let answer = tokio::task::spawn_blocking(move || question(&*shared.store)).await;
    let failed = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", "the registry is being stopped");
    Ok(answer.map_err(failed)??)
}

/// [`ask`] of the side that takes content in.
pub(super) async fn tell<T: Send + 'static>(
    state: &Arc<State>,
    order: impl FnOnce(&dyn Writer) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    if state.store.writer().is_none() {
        return Err(read_only());
    }
    ask(state, |store| order(store.writer().ok_or(StoreError::UploadUnknown)?)).await
}

pub(super) fn read_only() -> Refusal {
    Refusal::unsupported("GET, HEAD", "this registry is only read")
}

/// A request under way. It is told of once, also when its client goes away and nothing is left to be answered.
struct Line {
    state: Arc<State>,
    peer: SocketAddr,
    began: Instant,
    method: Method,
    path: String,
    user: String,
    told: bool,
}

impl Line {
    /// `why` is for the log alone.
    fn tell(&mut self, status: u16, length: u64, why: &str) {
        self.told = true;
        let sent = if self.method == Method::HEAD { 0 } else { length };
        self.state.metrics.end(self.method.as_str(), status, sent);
        (self.state.log)(&format!(
            "{} {} {} \"{} {}\" {status} {length} {}ms{why}",
            at((self.state.clock)()),
            self.peer.ip(),
            shown(&self.user),
            shown(self.method.as_str()),
            shown(&self.path),
            self.began.elapsed().as_millis()
        ));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.told {
            self.tell(GONE, 0, " (broken off)");
        }
    }
}

/// Answers one request and writes its line in the log.
pub(super) async fn handle(state: Arc<State>, client: Arc<Client>, request: Request<Incoming>) -> Response<Answered> {
    state.metrics.begin();
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let (began, user) = (Instant::now(), "-".to_owned());
    let mut line = Line { state: state.clone(), peer: client.peer, began, method: method.clone(), path, user, told: false };
    let waits = parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let mut asked = Asked { body: Sent::new(body, waits, client.meter.clone()), parts, client };
    let answer = match admit(&state, &asked, &mut line.user).await {
        Ok(route) => serve_seated(&state, route, &mut asked).await,
        Err(refusal) => Err(refusal),
    };
    asked.body.drain().await;
    let mut inner = None;
    let mut response = answer.unwrap_or_else(|refusal| {
        inner.clone_from(&refusal.inner);
        refusal.into_response()
    });
    if method == Method::HEAD {
        *response.body_mut() = Answered::Whole(None);
    }
    let status = response.status().as_u16();
    let length = response.headers().get(CONTENT_LENGTH).and_then(|text| text.to_str().ok()?.parse().ok()).unwrap_or(0);
    line.tell(status, length, &inner.map_or(String::new(), |why| format!(" ({})", shown(&why))));
    response
}

/// RFC 3339, UTC.
pub(super) fn at(seconds: u64) -> jiff::Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()).unwrap_or_default()
}

/// Judges the login before anything is told about what there is.
async fn admit(state: &Arc<State>, asked: &Asked, user: &mut String) -> Result<Route, Refusal> {
    let path = asked.parts.uri.path();
    // Whether the process lives may be asked by machines that have no login.
    if matches!(path, "/healthz") {
        return Ok(Route::Health);
    }
    // What is only read refuses writers by itself: no login would help them.
    let writes = !matches!(asked.parts.method, Method::GET | Method::HEAD) && state.store.writer().is_some();
    if let Err(error) = state.access.refresh() {
        (state.log)(&format!("the users stay as they were: {}", shown(&error.to_string())));
    }
    let authorization = asked.header(AUTHORIZATION).map(str::to_owned);
    let mut verdict = state.access.judge(authorization.as_deref(), writes, matches!(path, "/v2" | "/v2/"));
    if let (Verdict::Ask, Some(login)) = (&verdict, authorization) {
        let _turn = state.comparing.acquire().await;
        let shared = state.clone();
        let compared = tokio::task::spawn_blocking(move || shared.access.judge_slowly(&login)).await;
        verdict = compared.unwrap_or(Verdict::Refused);
    }
    match verdict {
        Verdict::Allowed(name) => *user = name,
        Verdict::Denied => {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "DENIED",
                "this registry takes no pushes: it has no users, and everybody may only pull",
            ));
        }
        Verdict::Challenge => return Err(unauthorized("a login is needed")),
        Verdict::Refused | Verdict::Ask => {
            state.metrics.refused();
            return Err(unauthorized("user or password is wrong"));
        }
    }
    Ok(route(path)?)
}

fn unauthorized(message: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).header(WWW_AUTHENTICATE, "Basic realm=\"sealift\", charset=\"UTF-8\"")
}

/// Whoever watches the registry is answered however many clients there are.
async fn serve_seated(state: &Arc<State>, route: Route, asked: &mut Asked) -> Result<Response<Answered>, Refusal> {
    if !matches!(route, Route::Health | Route::Metrics) {
        asked.client.seated(state).await?;
    }
    serve(state, route, asked).await
}

async fn serve(state: &Arc<State>, route: Route, asked: &mut Asked) -> Result<Response<Answered>, Refusal> {
    let reads = matches!(asked.parts.method, Method::GET | Method::HEAD);
    match route {
        Route::In(repository, place) => within(state, &repository, place, asked).await,
        _ if !reads => Err(Refusal::unsupported("GET, HEAD", "this endpoint is only read")),
        Route::Ping => Ok(json_text(StatusCode::OK, "{}".into())),
        Route::Health => Ok(typed(StatusCode::OK, "text/plain; charset=utf-8", b"ok\n".to_vec())),
        Route::Metrics => Ok(typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", state.metrics.text().into_bytes())),
        Route::Catalog => lists::catalog(state, asked).await,
    }
}

async fn within(state: &Arc<State>, repository: &str, place: Place, asked: &mut Asked) -> Result<Response<Answered>, Refusal> {
    let method = asked.parts.method.clone();
    let reads = matches!(method, Method::GET | Method::HEAD);
    if !reads && state.store.writer().is_none() {
        return Err(read_only());
    }
    match place {
        Place::Tags if reads => lists::tags(state, repository, asked).await,
        Place::Referrers(digest) if reads => lists::referrers(state, repository, digest, asked).await,
        Place::Manifest(reference) => match method {
            Method::GET | Method::HEAD => pull::manifest(state, repository, reference, asked).await,
            Method::PUT => push::manifest(state, repository, reference, asked).await,
            Method::DELETE => push::delete_manifest(state, repository, reference).await,
            _ => Err(Refusal::unsupported("GET, HEAD, PUT, DELETE", "manifests are got, put and deleted")),
        },
        Place::Blob(digest) => match method {
            Method::GET | Method::HEAD => pull::blob(state, repository, digest, asked).await,
            Method::DELETE => push::delete_blob(state, repository, digest).await,
            _ => Err(Refusal::unsupported("GET, HEAD, DELETE", "blobs are got and deleted; they are pushed to blobs/uploads/")),
        },
        Place::Uploads if method == Method::POST => push::begin(state, repository, asked).await,
        Place::Uploads => Err(Refusal::unsupported("POST", "an upload begins with POST")),
        Place::Upload(session) => match method {
            Method::GET | Method::HEAD => push::status(state, repository, session).await,
            Method::PATCH => push::append(state, repository, session, asked).await,
            Method::PUT => push::finish(state, repository, session, asked).await,
            Method::DELETE => push::cancel(state, repository, session).await,
            _ => Err(Refusal::unsupported("GET, HEAD, PATCH, PUT, DELETE", "that is nothing to do with an upload")),
        },
        Place::Tags | Place::Referrers(_) => Err(Refusal::unsupported("GET, HEAD", "this endpoint is only read")),
    }
}

/// 202, and nothing more to say.
pub(super) fn accepted() -> Response<Answered> {
    let mut response = empty(StatusCode::ACCEPTED);
    set(&mut response, CONTENT_LENGTH, "0");
    response
}
