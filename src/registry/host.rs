//! What is known of one registry host.

use super::answer::{self, Asked};
use super::certs::TlsSettings;
use super::challenge::{self, Challenge};
use super::client::Core;
use super::credentials::Credential;
use super::error::{Answer, Error, Reason, Target};
use super::hosts::HostSettings;
use super::last_words;
use super::location;
use super::options::Options;
use super::outage::Outage;
use super::reply::Reply;
use super::request::Call;
use super::software::{self, Software};
use super::tls::Pair;
use super::token::{self, Tokens};
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OnceCell, Semaphore};

/// Where Docker Hub's API lives.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// Tries for the first contact: a mistyped name shall not take minutes.
const FIRST_TRIES: u32 = 3;
/// How long to listen to what a server says that hung up.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Uploads at a time to a mirror-registry: a Quay on SQLite with one worker, whose database is soon locked.
const MIRROR_REGISTRY_UPLOADS: usize = 2;

/// State of a registry host, shared by all its repositories.
pub(super) struct Host {
    /// As the user writes it.
    pub name: String,
    /// Host and port of its API.
    pub api: String,
    /// On this machine: plain HTTP is tried unasked, proxies are left out.
    pub loopback: bool,
    entrance: OnceCell<Entrance>,
    challenges: Mutex<Vec<Challenge>>,
    /// Logins as looked up, by repository: a look-up may run another program.
    logins: Mutex<HashMap<String, Option<Arc<Credential>>>>,
    pub tokens: Tokens,
    /// No request before this moment: the host asked for a pause.
    pub not_before: Mutex<Option<Instant>>,
    pub outage: Outage,
    pub downloads: Semaphore,
    pub uploads: Semaphore,
    pub settings: HostSettings,
    /// Largest body known to pass, once one was too large; 0 while none was.
    pub body_limit: AtomicU64,
    pub warned: AtomicBool,
    /// That few pulls are left, or none, was told.
    pub few_pulls: AtomicBool,
    pub no_pulls: AtomicBool,
    /// Nothing of this host knows the referrers API: the path itself is unknown.
    pub no_referrers: AtomicBool,
    /// Whether it was asked about it at all: until then one question at a time, for the answer may spare the others.
    pub referrers_asked: Mutex<bool>,
    /// It has answered as the referrers API does: from then on no single answer says that it has none.
    pub has_referrers: AtomicBool,
    /// Which registry it says it is.
    software: OnceLock<Software>,
    pub mended: AtomicBool,
}

/// The way in, found by the ping.
pub(super) struct Entrance {
    /// `scheme://host/v2/`.
    pub base: Url,
    pub settings: TlsSettings,
    pub pair: Arc<Pair>,
}

impl Entrance {
    /// A URL below `/v2/`.
    pub fn url(&self, target: &Arc<Target>, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|e| Error::Protocol { target: target.clone(), what: format!("no URL can be made: {e}") })
    }
}

impl Host {
    pub fn new(name: &str, options: &Options) -> Host {
        let api = match name {
            // Docker Hub's API lives under another name than its images.
            "docker.io" | "index.docker.io" => DOCKER_HUB,
            other => other,
        };
        let settings = options.hosts.for_host(name);
        Host {
            name: name.to_owned(),
            api: api.to_owned(),
            loopback: is_loopback(api),
            entrance: OnceCell::new(),
            challenges: Mutex::default(),
            logins: Mutex::default(),
            tokens: Tokens::default(),
            not_before: Mutex::default(),
            outage: Outage::default(),
            downloads: Semaphore::new(settings.downloads.unwrap_or(options.downloads).max(1)),
            uploads: Semaphore::new(settings.uploads.unwrap_or(options.uploads).max(1)),
            settings,
            body_limit: AtomicU64::new(0),
            warned: AtomicBool::new(false),
            few_pulls: AtomicBool::new(false),
            no_pulls: AtomicBool::new(false),
            no_referrers: AtomicBool::new(false),
            referrers_asked: Mutex::default(),
            has_referrers: AtomicBool::new(false),
            software: OnceLock::new(),
            mended: AtomicBool::new(false),
        }
    }

    /// The way in; pings at the first call, and again only as long as pings fail.
    pub async fn enter(&self, core: &Core) -> Result<&Entrance, Error> {
        self.entrance.get_or_try_init(|| self.first_contact(core)).await
    }

    /// Whoever comes after a failure need not find out anew that nobody is there.
    async fn first_contact(&self, core: &Core) -> Result<Entrance, Error> {
        let found = self.discover(core).await;
        if let Some(reason) = found.as_ref().err().and_then(|failure| self.silence(failure)) {
            self.outage.give_up(reason.clone());
        }
        found
    }

    /// True once the host has answered a ping.
    pub fn has_answered(&self) -> bool {
        self.entrance.get().is_some()
    }

    /// Why this host, and none that it sends to, could not be connected to, where the failure is that.
    pub fn silence<'a>(&self, failure: &'a Error) -> Option<&'a Reason> {
        let Error::Unreachable { host, reason, .. } = failure else { return None };
        Some(reason).filter(|reason| !self.is_other(host) && reason.is_silence())
    }

    /// True for a host (with its port) that is not this one.
    pub fn is_other(&self, host: &str) -> bool {
        match self.entrance.get() {
            Some(entrance) => location::authority(&entrance.base) != host,
            None => self.api != host && Url::parse(&format!("https://{}/", self.api)).is_ok_and(|url| location::authority(&url) != host),
        }
    }

    /// True where the failure is the silence of the token service, as it is restarted now and then too.
    pub fn misses_tokens(&self, failure: &Error) -> bool {
        let (Error::Unreachable { host, reason, .. }, Some(entrance)) = (failure, self.entrance.get()) else { return false };
        let realm = self.challenge().and_then(|challenge| token::realm(&challenge, &entrance.base));
        reason.is_silence() && realm.is_some_and(|realm| location::authority(&realm) == *host)
    }

    async fn discover(&self, core: &Core) -> Result<Entrance, Error> {
        let settings = core.settings(&self.name)?;
        let pair = core.pair(&self.name, &settings, self.loopback)?;
        let plain_allowed = self.loopback || !settings.verify;
        let open = |scheme, tries| self.open(core, scheme, &settings, &pair, tries);
        // Where there is another way, TLS gets one try.
        let mut secure = open("https", if plain_allowed { 1 } else { FIRST_TRIES }).await;
        if matches!(&secure, Err(Error::Unreachable { reason: Reason::SelfSigned, .. })) && !settings.extra_cas.is_empty() {
            let pinned = Arc::new(Pair::pinned(&self.name, &settings, &core.options, self.loopback)?);
            secure = self.open(core, "https", &settings, &pinned, FIRST_TRIES).await;
        }
        if let Err(Error::Unreachable { reason: reason @ Reason::Lost(_), .. }) = &mut secure
            && let Ok(url) = Url::parse(&format!("https://{}/", self.api))
            && let Some(said) = last_words::listen(&url, &settings, core.options.timing.connect.min(LAST_WORDS)).await
        {
            *reason = said;
        }
        match secure {
            Err(Error::Unreachable { reason, host, plain: _ }) if plain_allowed && !about_trust(&reason) => {
                // If plain HTTP gets no answer either, the first failure is the better explanation.
                open("http", FIRST_TRIES).await.map_err(|e| match e {
                    Error::Unreachable { plain, .. } => Error::Unreachable { host, reason, plain },
                    other => other,
                })
            }
            other => other,
        }
    }

    async fn open(&self, core: &Core, scheme: &str, settings: &TlsSettings, pair: &Arc<Pair>, tries: u32) -> Result<Entrance, Error> {
        let bad = || Error::BadHost { host: self.name.chars().take(300).collect() };
        let base = Url::parse(&format!("{scheme}://{}/v2/", self.api)).map_err(|_| bad())?;
        if base.path() != "/v2/" || !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err(bad());
        }
        let entrance = Entrance { base: base.clone(), settings: settings.clone(), pair: pair.clone() };
        let target = Arc::new(Target { host: self.name.clone(), repository: String::new(), reference: String::new() });
        let asked = Asked::Ping { plain: location::is_plain(&base) };
        let mut call = Call::new(Method::GET, base, target.clone(), asked, core);
        // With HTTP/2 a refusal that follows the handshake may be lost in the connection's own start.
        call.blob = true;
        let reply = core.bare(self, &entrance, call, tries.min(core.options.timing.tries), &[200, 401, 403, 404, 400]).await?;
        let challenges = self.learn(reply.response.headers());
        self.suit(core, software::recognise(reply.response.headers(), &challenges));
        match reply.response.status().as_u16() {
            401 | 403 => {
                reply.drain(core).await;
                Ok(entrance)
            }
            200 => self.no_web_page(core, reply, &target, asked).await.map(|()| entrance),
            // A server of TLS answers plain HTTP so.
            400 if scheme == "http" => Err(Error::Unreachable { host: self.api.clone(), reason: Reason::PlainHttp, plain: true }),
            _ => Err(self.refusal(core, reply, &target, asked).await),
        }
    }

    /// A proxy that wants a login of its own, and a web server that shows one page for everything, answer 200 as well. What they send
    /// is a page of HTML; by its type alone it is not known, for Quay calls its `true` that too.
    async fn no_web_page(&self, core: &Core, reply: Reply, target: &Arc<Target>, asked: Asked) -> Result<(), Error> {
        let (status, headers, from) = (reply.response.status().as_u16(), reply.response.headers().clone(), reply.from.clone());
        let body = reply.error_body(core).await;
        match body.trim_ascii_start().starts_with(b"<") {
            true => Err(answer::classify(asked, target, false, answer::read(status, &headers, &body, from))),
            false => Ok(()),
        }
    }

    /// Fewer uploads where the host is known to stand no more, unless somebody said how many.
    fn suit(&self, core: &Core, software: Software) {
        let _ = self.software.set(software);
        let mirror_registry = software == Software::Quay && self.api.ends_with(":8443");
        if mirror_registry && core.options.gentle && self.settings.uploads.is_none() {
            self.uploads.forget_permits(self.uploads.available_permits().saturating_sub(MIRROR_REGISTRY_UPLOADS));
        }
    }

    /// True when nothing of it knows the referrers API, as far as that was asked.
    pub fn lacks_referrers(&self) -> bool {
        self.no_referrers.load(Ordering::Relaxed) && !self.has_referrers.load(Ordering::Relaxed)
    }

    /// True where a list may be one that was kept for hours: Nexus keeps lists of what it proxies for a day ("Maximum metadata age"),
    /// Artifactory for two hours ("Metadata Retrieval Cache Period"), while what is asked for by its tag is fetched.
    pub fn caches_lists(&self) -> bool {
        matches!(self.software.get(), Some(Software::Nexus | Software::Artifactory))
    }

    /// The largest body to send at once; none where nothing limits it.
    pub fn piece(&self) -> Option<u64> {
        let found = Some(self.body_limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0);
        found.into_iter().chain(self.settings.chunk).min()
    }

    /// Reads a refusal's body and says what it means.
    pub async fn refusal(&self, core: &Core, reply: Reply, target: &Arc<Target>, asked: Asked) -> Error {
        let status = reply.response.status().as_u16();
        let headers = reply.response.headers().clone();
        let (credentials, from) = (reply.credentials, reply.from.clone());
        let body = reply.error_body(core).await;
        answer::classify(asked, target, credentials, answer::read(status, &headers, &body, from))
    }

    /// The challenges of an answer.
    pub fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
        challenge::parse(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok()))
    }

    /// Keeps the challenges of an answer, if it has any that can be followed.
    pub fn learn(&self, headers: &HeaderMap) -> Vec<Challenge> {
        let found = Host::challenges(headers);
        let mut known = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        if challenge::choose(&known).is_none() && challenge::choose(&found).is_some() {
            known.clone_from(&found);
        }
        found
    }

    /// True when a 429 is about pulls that are counted by the hour: the answer says so, or the host is Docker Hub.
    pub fn counts_pulls(&self, answer: &Answer) -> bool {
        answer.pulls.is_some() || self.api == DOCKER_HUB
    }

    /// True while the host wants a pause.
    pub fn pauses(&self) -> bool {
        self.not_before.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > Instant::now())
    }

    /// The challenge to follow when a request has none of its own: the ping's.
    pub fn challenge(&self) -> Option<Challenge> {
        challenge::choose(&self.challenges.lock().unwrap_or_else(PoisonError::into_inner)).cloned()
    }

    /// The login for a repository, looked up once.
    pub fn credential(&self, core: &Core, repository: &str) -> Result<Option<Arc<Credential>>, Error> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = logins.get(repository) {
            return Ok(known.clone());
        }
        let found = core.options.credentials.lookup(&self.name, repository);
        let found = found.map_err(|source| Error::Credential { host: self.name.clone(), source })?.map(Arc::new);
        logins.insert(repository.to_owned(), found.clone());
        Ok(found)
    }
}

/// A certificate that was looked at and refused is no reason to go on without one.
fn about_trust(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::UnknownCa
            | Reason::SelfSigned
            | Reason::NameMismatch
            | Reason::Expired { .. }
            | Reason::NotYetValid { .. }
            | Reason::ClientCertificate
    )
}

/// `localhost`, 127.0.0.0/8 and `::1`, with or without port.
pub(super) fn is_loopback(api: &str) -> bool {
    let host = match api.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => api.rsplit_once(':').map_or(api, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::client::Client;
    use super::super::error::{Answer, PullLimit};
    use super::super::hosts::HostTable;
    use super::super::software::Software;
    use super::{Host, Options, is_loopback};

    #[test]
    fn a_mirror_registry_gets_two_uploads_unless_somebody_says_how_many() {
        let uploads = |name: &str, software, options: Options| {
            let client = Client::new(options).unwrap();
            let host = Host::new(name, &client.shared.core.options);
            host.suit(&client.shared.core, software);
            host.uploads.available_permits()
        };
        assert_eq!(uploads("m.lan:8443", Software::Quay, Options::default()), 2);
        assert_eq!(uploads("quay.io", Software::Quay, Options::default()), 4);
        assert_eq!(uploads("h.lan:8443", Software::Harbor, Options::default()), 4);
        assert_eq!(uploads("m.lan:8443", Software::Quay, Options { gentle: false, uploads: 8, ..Options::default() }), 8);
        let mut hosts = HostTable::default();
        hosts.set("m.lan:8443:uploads=3").unwrap();
        assert_eq!(uploads("m.lan:8443", Software::Quay, Options { hosts, ..Options::default() }), 3);
    }

    #[test]
    fn docker_hub_counts_pulls_whether_it_says_so_or_not() {
        let answer = |pulls| Answer { status: 429, code: None, message: String::new(), from: None, digest: None, retry_after: None, pulls };
        let said = PullLimit { limit: 100, remaining: 0, window: std::time::Duration::from_secs(21600) };
        for (name, pulls, counts) in [("docker.io", None, true), ("quay.io", None, false), ("quay.io", Some(said), true)] {
            assert_eq!(Host::new(name, &Options::default()).counts_pulls(&answer(pulls)), counts, "{name}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for here in ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:5000"] {
            assert!(is_loopback(here), "{here}");
        }
        for away in ["localhost.evil.test", "127.evil.test:5000", "10.0.0.1:5000", "[::2]:5000", "example.com", ""] {
            assert!(!is_loopback(away), "{away}");
        }
    }
}
