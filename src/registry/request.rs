//! One request: sent, authorised, redirected, repeated.

use super::answer::Asked;
use super::auth::{Login, Party};
use super::challenge::Scope;
use super::client::{Core, Halt};
use super::error::{Error, Reason, Target};
use super::headers;
use super::host::{Entrance, Host, is_loopback};
use super::location;
use super::options::Timing;
use super::reply::Reply;
use super::tls::{self, Pair};
use crate::text::{sentence, shown};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, WARNING};
use reqwest::{Method, Response, Url};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Below this fraction of a registry's limit of pulls the person is told.
const FEW_PULLS: u64 = 5;
/// From this failure on a person is told what is waited for ...
const TOLD_FAILURE: u32 = 3;
/// ... and before a wait of this length.
const TOLD_WAIT: Duration = Duration::from_secs(10);
/// How often a wait looks whether the host is given up meanwhile.
const TICK: Duration = Duration::from_millis(100);
/// Redirects followed for one request.
const HOPS: usize = 10;

/// What a request carries.
pub(super) enum Payload {
    Empty,
    Bytes(Bytes),
    /// Can be sent once only; with its length.
    Stream(Option<reqwest::Body>, u64),
}

impl Payload {
    /// The body and its length, for one sending.
    fn take(&mut self) -> Option<(reqwest::Body, u64)> {
        match self {
            Payload::Empty => Some((reqwest::Body::from(Bytes::new()), 0)),
            Payload::Bytes(bytes) => Some((reqwest::Body::from(bytes.clone()), bytes.len() as u64)),
            Payload::Stream(body, length) => body.take().map(|b| (b, *length)),
        }
    }
}

/// A request as it is meant.
pub(super) struct Call {
    pub method: Method,
    pub url: Url,
    pub target: Arc<Target>,
    pub asked: Asked,
    pub headers: HeaderMap,
    pub body: Payload,
    /// Scopes the token must have.
    pub scopes: Vec<Scope>,
    /// An `Authorization` of its own (token services); never sent to another origin.
    pub given: Option<HeaderValue>,
    /// Blob lane: HTTP/1.1 connections of their own.
    pub blob: bool,
    /// False where the login must not go along (uploads at another host).
    pub login: bool,
    /// False where a refused token is not worth another one.
    pub renew: bool,
    /// Longest wait for the head of the answer.
    pub patience: Duration,
    /// The content has a digest: a redirect to plain HTTP cannot change it.
    pub digested: bool,
    /// A redirect to another origin is the answer: whatever is there, it is not the registry.
    pub stays: bool,
}

impl Call {
    pub fn new(method: Method, url: Url, target: Arc<Target>, asked: Asked, core: &Core) -> Call {
        Call {
            method,
            url,
            target,
            asked,
            headers: HeaderMap::new(),
            body: Payload::Empty,
            scopes: Vec::new(),
            given: None,
            blob: false,
            login: true,
            renew: true,
            patience: core.options.timing.stall,
            digested: false,
            stays: false,
        }
    }

    pub fn scopes(mut self, scopes: Vec<Scope>) -> Call {
        self.scopes = scopes;
        self
    }

    pub fn header(mut self, name: reqwest::header::HeaderName, value: &str) -> Call {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    fn follows(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// The answer did not come in time.
    pub fn halted(&self, halt: Halt, after: Duration) -> Error {
        match halt {
            Halt::Cancelled => Error::Cancelled,
            Halt::Elapsed => Error::Stalled { target: self.target.clone(), after },
        }
    }
}

/// What became of a request with a login.
pub(super) enum Exchange {
    Reply(Box<Reply>),
    /// The token was renewed, but the body is gone: to be sent again.
    Again,
    /// No token could be had. The token service has had all of its tries; with those of the request there would be the square of them.
    NoLogin(Error),
}

fn answered(reply: Reply) -> Exchange {
    Exchange::Reply(Box::new(reply))
}

impl Core {
    /// Sends a request with the login the host wants; one renewed login after a 401.
    pub async fn exchange(&self, host: &Host, call: &mut Call) -> Result<Exchange, Error> {
        let entrance = host.enter(self).await?;
        if !call.login {
            return self.follow(host, entrance, call, None).await.map(answered);
        }
        let (repository, scopes) = (call.target.repository.clone(), call.scopes.clone());
        let party = Party { core: self, host, entrance, repository: &repository, scopes: &scopes };
        let login = match party.login().await {
            Ok(login) => login,
            Err(error) => return Ok(Exchange::NoLogin(error)),
        };
        let mut reply = self.follow(host, entrance, call, login.header.clone()).await?;
        reply.credentials = login.credentials;
        // A 401 from behind a redirect is not about this login.
        if reply.response.status() != 401 || !location::same_origin(&reply.url, &call.url) || !call.renew {
            return Ok(answered(reply));
        }
        let fresh = host.learn(reply.response.headers());
        let Login { header, credentials, .. } = match party.renew(&login, fresh).await {
            Ok(Some(login)) => login,
            Ok(None) => return Ok(answered(reply)),
            Err(error) => return Ok(Exchange::NoLogin(error)),
        };
        reply.drain(self).await;
        if matches!(call.body, Payload::Stream(None, _)) {
            return Ok(Exchange::Again);
        }
        let mut reply = self.follow(host, entrance, call, header).await?;
        reply.credentials = credentials;
        Ok(answered(reply))
    }

    /// A whole request: sent until an answer in `accept` comes, or a failure that is final.
    pub async fn request(&self, host: &Host, call: Call, accept: &[u16]) -> Result<Reply, Error> {
        self.request_after(0, host, call, accept).await
    }

    /// [`Core::request`] after so many tries have failed already.
    pub async fn request_after(&self, failed: u32, host: &Host, mut call: Call, accept: &[u16]) -> Result<Reply, Error> {
        let tries = self.options.timing.tries;
        let mut attempt = failed;
        loop {
            let failure = match self.exchange(host, &mut call).await {
                Ok(Exchange::Again) => continue,
                Ok(Exchange::NoLogin(error)) => return Err(error),
                Ok(Exchange::Reply(reply)) if accept.contains(&reply.response.status().as_u16()) => return Ok(*reply),
                Ok(Exchange::Reply(reply)) => host.refusal(self, *reply, &call.target, call.asked).await,
                Err(error) => error,
            };
            attempt += 1;
            self.after(host, failure, attempt, tries).await?;
        }
    }

    /// [`Core::request`] without a login: pings and token services.
    pub async fn bare(&self, host: &Host, entrance: &Entrance, mut call: Call, tries: u32, accept: &[u16]) -> Result<Reply, Error> {
        let mut attempt = 0;
        loop {
            let given = call.given.clone();
            let failure = match self.follow(host, entrance, &mut call, given).await {
                Ok(reply) if accept.contains(&reply.response.status().as_u16()) => return Ok(reply),
                Ok(reply) => host.refusal(self, reply, &call.target, call.asked).await,
                Err(error) => error,
            };
            attempt += 1;
            self.after(host, failure, attempt, tries).await?;
        }
    }

    /// After the `attempt`-th failure: waits if another try makes sense, else gives the failure back.
    pub async fn after(&self, host: &Host, failure: Error, attempt: u32, tries: u32) -> Result<(), Error> {
        let silence = host.silence(&failure);
        let may_return = self.may_return(host, &failure, attempt);
        let used_up = attempt >= tries && !(tries >= self.options.timing.tries && may_return);
        if !failure.is_transient() || used_up || silence.is_some() && host.outage.is_gone() {
            if let Some(reason) = silence.filter(|_| attempt >= self.options.timing.tries) {
                host.outage.give_up(reason.clone());
            }
            return Err(failure);
        }
        let timing = &self.options.timing;
        let asked = failure.answer().and_then(|a| a.retry_after).and_then(|wait| asked_for(timing, wait));
        let counted = failure.answer().filter(|answer| answer.status == 429 && host.counts_pulls(answer));
        let wait = match (asked, counted) {
            (Some(asked), _) => asked,
            (None, Some(_)) => doubled(timing.pulls_base, attempt).min(timing.retry_after_cap),
            (None, None) => jitter(doubled(timing.retry_base, attempt).min(timing.retry_cap)),
        };
        if let Some(answer) = counted
            && !host.no_pulls.swap(true, Ordering::Relaxed)
        {
            let left = answer.pulls.map_or_else(String::new, |pulls| format!(" ({pulls})"));
            let more = "more pulls are allowed to who is logged in";
            self.warn(&host.name, &format!("the limit of pulls is reached{left}: waiting {} s and more; {more}", wait.as_secs().max(1)));
        }
        if attempt >= TOLD_FAILURE || wait >= TOLD_WAIT {
            let seconds = wait.as_secs_f64().ceil().max(1.0);
            let of = if attempt < tries { format!("try {} of {tries}", attempt + 1) } else { "once more".to_owned() };
            self.tell(host, silence.is_some(), || format!("{failure}; waiting {seconds:.0} s, then {of}"));
        }
        if asked.is_some() || matches!(failure, Error::RateLimited { .. }) {
            // The host is asked for a pause by one request; all others pause as well.
            let mut gate = host.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            let until = Instant::now() + wait;
            *gate = Some(gate.map_or(until, |old| old.max(until)));
            return Ok(());
        }
        if silence.is_none() {
            return self.sleep(wait).await;
        }
        let until = Instant::now() + wait;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if host.outage.is_gone() {
                return Err(failure);
            }
            self.sleep(left.min(TICK)).await?;
        }
        Ok(())
    }

    /// Whether a host that was there is away, and not for long yet: the time counts from the first failure of that kind. Twice the tries are the end where single requests find it away
    /// and others do not.
    fn may_return(&self, host: &Host, failure: &Error, attempt: u32) -> bool {
        let away =
            host.silence(failure).is_some() || host.misses_tokens(failure) || failure.answer().is_some_and(|answer| is_away(answer.status));
        let timing = &self.options.timing;
        away && host.has_answered() && host.outage.away() < timing.outage && attempt < timing.tries.saturating_mul(2)
    }

    /// Tells what is waited for, at most once a minute and host.
    pub fn tell(&self, host: &Host, silence: bool, line: impl FnOnce() -> String) {
        if host.outage.tell(silence) {
            (self.options.note)(&sentence(&line()).to_string());
        }
    }

    /// The body of an answer; nothing where it broke off and is to be asked for again, which `attempt` counts.
    pub async fn body_of(
        &self,
        host: &Host,
        reply: Reply,
        target: &Arc<Target>,
        limit: u64,
        attempt: &mut u32,
    ) -> Result<Option<Vec<u8>>, Error> {
        match reply.body(self, target, limit).await {
            Ok(body) => Ok(Some(body)),
            Err(error) => {
                *attempt += 1;
                self.after(host, error, *attempt, self.options.timing.tries).await?;
                Ok(None)
            }
        }
    }

    /// Waits while the host wants a pause.
    async fn pause(&self, host: &Host) -> Result<(), Error> {
        loop {
            let until = *host.not_before.lock().unwrap_or_else(PoisonError::into_inner);
            match until.map(|u| u.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero()) {
                Some(left) => self.sleep(left).await?,
                None => return Ok(()),
            }
        }
    }

    /// Sends a request and follows redirects of GET and HEAD. The login stays with the origin it is for.
    pub async fn follow(&self, host: &Host, entrance: &Entrance, call: &mut Call, login: Option<HeaderValue>) -> Result<Reply, Error> {
        let mut url = call.url.clone();
        let mut login = login;
        self.pause(host).await?;
        for _ in 0..HOPS {
            let response = self.fire(host, entrance, call, &url, login.as_ref()).await?;
            let from = Some(location::authority(&url)).filter(|a| *a != location::authority(&entrance.base));
            self.hear(host, response.headers());
            if from.is_none() {
                self.count_pulls(host, response.headers());
            }
            let reply = Reply { response, credentials: false, from, url: url.clone() };
            if !call.follows() || !matches!(reply.response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(reply);
            }
            let place = reply.header(LOCATION).and_then(|to| location::resolve(&url, to, &entrance.base));
            let Some(place) = place else {
                return Err(Error::Protocol { target: call.target.clone(), what: "a redirect without a usable Location".to_owned() });
            };
            if call.stays && !location::same_origin(&url, &place.url) {
                return Ok(reply);
            }
            reply.drain(self).await;
            if url.scheme() == "https" && place.url.scheme() == "http" && !call.digested && entrance.settings.verify {
                return Err(Error::Redirect { target: call.target.clone(), to: location::authority(&place.url) });
            }
            if !location::same_origin(&url, &place.url) {
                login = None;
            }
            url = place.url;
        }
        Err(Error::Redirect { target: call.target.clone(), to: location::authority(&url) })
    }

    /// Sends one HTTP request and waits for the head of its answer.
    async fn fire(
        &self,
        host: &Host,
        entrance: &Entrance,
        call: &mut Call,
        url: &Url,
        login: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let lost = |reason| Error::Unreachable { host: location::authority(url), reason, plain: location::is_plain(url) };
        let own = location::same_origin(url, &entrance.base);
        if let Some(reason) = host.outage.refuses(self.options.timing.retry_cap).filter(|_| own) {
            return Err(lost(reason));
        }
        crate::fault::point("http", &format!("{} {}", call.method, location::bare(url))).map_err(|e| lost(Reason::Lost(e.to_string())))?;
        let pair = self.pair_for(host, entrance, url)?;
        let client = if call.blob { &pair.blob } else { &pair.api };
        let mut request = client.request(call.method.clone(), url.clone()).headers(call.headers.clone());
        if own {
            request = request.headers(host.settings.headers.clone());
        }
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, login.clone());
        }
        if !call.follows() {
            let Some((body, length)) = call.body.take() else { return Err(lost(Reason::Lost("the body was sent already".to_owned()))) };
            // Without it a streamed body would go in chunks, which storage behind registries dislikes.
            request = request.header(CONTENT_LENGTH, length).body(body);
        }
        let answer = self.watched(call.patience, request.send()).await.map_err(|halt| call.halted(halt, call.patience))?;
        let away = answer.as_ref().is_ok_and(|answer| is_away(answer.status().as_u16()));
        if answer.is_ok() && own && host.outage.answered(away) {
            (self.options.note)(&format!("{} answers again", shown(&host.name)));
        }
        answer.map_err(|e| lost(tls::reason(&e)))
    }

    /// Clients for a URL: the registry's own, or those of another host, which may also be signed by what the
    /// registry is signed by, but never sees the registry's client certificate.
    fn pair_for(&self, host: &Host, entrance: &Entrance, url: &Url) -> Result<Arc<Pair>, Error> {
        if url.host_str() == entrance.base.host_str() {
            return Ok(entrance.pair.clone());
        }
        let name = location::authority(url);
        let mut settings = self.settings(&name)?;
        for ca in &entrance.settings.extra_cas {
            if !settings.extra_cas.contains(ca) {
                settings.extra_cas.push(ca.clone());
            }
        }
        self.pair(&host.name, &settings, is_loopback(&name))
    }

    /// Passes on the registry's warnings, the first per host.
    fn hear(&self, host: &Host, headers: &HeaderMap) {
        let text = headers.get_all(WARNING).iter().filter_map(|v| v.to_str().ok()).find_map(headers::warning);
        if let Some(text) = text
            && !host.warned.swap(true, Ordering::Relaxed)
        {
            self.warn(&host.name, &text);
        }
    }

    /// Says once when few of the pulls a registry counts are left: better now than when they have run out.
    fn count_pulls(&self, host: &Host, headers: &HeaderMap) {
        let few = headers::pull_limit(headers).filter(|pulls| pulls.remaining <= pulls.limit / FEW_PULLS);
        if let Some(pulls) = few
            && !host.few_pulls.swap(true, Ordering::Relaxed)
        {
            self.warn(&host.name, &format!("{pulls}; more are allowed to who is logged in"));
        }
    }
}

/// A wait the host asked for. `Retry-After: 0`, or a date that a clock behind ours calls the future, would use all tries up at once: what
/// is shorter than the first wait of our own is not asked for.
fn asked_for(timing: &Timing, wait: Duration) -> Option<Duration> {
    (wait >= timing.retry_base).then(|| wait.min(timing.retry_after_cap))
}

/// Answers of a proxy or route that finds no registry behind it, and of a registry that is just starting.
fn is_away(status: u16) -> bool {
    matches!(status, 502..=504)
}

fn doubled(base: Duration, attempt: u32) -> Duration {
    base.saturating_mul(1 << attempt.min(16).saturating_sub(1))
}

/// Full jitter: anything up to `wait`, so that those who failed together do not come back together.
fn jitter(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    wait.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_nothing_is_no_pause_asked_for() {
        let timing = Timing::default();
        assert_eq!(asked_for(&timing, Duration::ZERO), None);
        assert_eq!(asked_for(&timing, Duration::from_secs(1)), Some(Duration::from_secs(1)));
        assert_eq!(asked_for(&timing, Duration::from_secs(86_400)), Some(timing.retry_after_cap));
        let waits: Vec<u64> = (1..=4).map(|attempt| doubled(Duration::from_secs(1), attempt).as_secs()).collect();
        assert_eq!((waits, doubled(Duration::MAX, u32::MAX)), (vec![1, 2, 4, 8], Duration::MAX));
    }
}
