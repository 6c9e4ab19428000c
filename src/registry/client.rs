//! The client: network threads, and one state per host.

use super::certs::TlsSettings;
use super::challenge::Scope;
use super::error::{Error, Target};
use super::host::Host;
use super::options::Options;
use super::tls::Pair;
use crate::digest::Digest;
use crate::text::shown;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};

/// How often a wait looks for an interruption.
const TICK: Duration = Duration::from_millis(100);

/// A registry client. Clones share everything.
#[derive(Clone)]
pub struct Client {
    pub(super) shared: Arc<Shared>,
}

/// What repositories and readers keep alive.
pub(super) struct Shared {
    pub core: Arc<Core>,
    /// Taken only by `drop`, which must not wait for connections.
    runtime: Option<Runtime>,
}

/// What the network tasks work with.
pub(super) struct Core {
    pub options: Options,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    pairs: Mutex<Vec<Built>>,
}

/// Clients are costly to build (the system's certificates are read each time): one pair per set of settings.
struct Built {
    settings: TlsSettings,
    direct: bool,
    pair: Arc<Pair>,
}

/// Why a wait ended without a result.
pub(super) enum Halt {
    Cancelled,
    Elapsed,
}

impl Client {
    /// Starts the network threads (at most four). No connection is made.
    ///
    /// # Errors
    /// [`Error::Runtime`] when threads cannot be started.
    pub fn new(options: Options) -> Result<Client, Error> {
        // Decided here once; a second provider in the same program would make TLS set-up panic otherwise.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_multi_thread().worker_threads(cores.min(4)).thread_name("registry").enable_all().build();
        let core = Core { options, hosts: Mutex::default(), pairs: Mutex::default() };
        Ok(Client { shared: Arc::new(Shared { core: Arc::new(core), runtime: Some(runtime.map_err(Error::Runtime)?) }) })
    }

    /// One repository. `host` is written as in references (`docker.io`, `localhost:5000`); nothing is asked yet.
    pub fn repository(&self, host: &str, repository: &str) -> Repository {
        let host = self.shared.core.host(host);
        Repository {
            shared: self.shared.clone(),
            host,
            name: repository.into(),
            writes: false,
            referrers_api: Arc::default(),
            listing: Arc::default(),
            tags_there: Arc::default(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// Runs a network task while the calling thread waits.
    pub fn wait<F: Future>(&self, task: F) -> Result<F::Output, Error> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.block_on(task)),
            None => Err(Error::Cancelled),
        }
    }

    /// Starts a network task beside the calling thread.
    pub fn spawn<F>(&self, task: F) -> Result<tokio::task::JoinHandle<F::Output>, Error>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.as_ref().map(|runtime| runtime.spawn(task)).ok_or(Error::Cancelled)
    }
}

impl Core {
    pub fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry(name.to_owned()).or_insert_with(|| Arc::new(Host::new(name, &self.options))).clone()
    }

    /// The clients for `settings`, built once.
    pub fn pair(&self, host: &str, settings: &TlsSettings, direct: bool) -> Result<Arc<Pair>, Error> {
        let same = |b: &Built| {
            b.direct == direct
                && b.settings.verify == settings.verify
                && b.settings.extra_cas == settings.extra_cas
                && b.settings.identity_pem == settings.identity_pem
        };
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = pairs.iter().find(|b| same(b)) {
            return Ok(built.pair.clone());
        }
        let pair = Arc::new(Pair::build(host, settings, &self.options, direct)?);
        pairs.push(Built { settings: settings.clone(), direct, pair: pair.clone() });
        Ok(pair)
    }

    /// TLS settings for `host`; with `verify_tls` off nothing is verified anywhere.
    pub fn settings(&self, host: &str) -> Result<TlsSettings, Error> {
        let mut settings = self.options.tls.for_host(host).map_err(|source| Error::Tls { host: host.to_owned(), source })?;
        settings.verify &= self.options.verify_tls;
        Ok(settings)
    }

    pub fn cancelled(&self) -> bool {
        (self.options.cancelled)()
    }

    /// Waits for `task`, at most `limit`, and no longer than the person wants.
    pub async fn watched<F: Future>(&self, limit: Duration, task: F) -> Result<F::Output, Halt> {
        let mut task = pin!(task);
        let start = Instant::now();
        loop {
            if self.cancelled() {
                return Err(Halt::Cancelled);
            }
            let left = limit.saturating_sub(start.elapsed());
            if let Ok(output) = tokio::time::timeout(left.min(TICK), task.as_mut()).await {
                return Ok(output);
            }
            if left.is_zero() {
                return Err(Halt::Elapsed);
            }
        }
    }

    /// Sleeps; an interruption ends it early.
    pub async fn sleep(&self, time: Duration) -> Result<(), Error> {
        match self.watched(time, std::future::pending::<()>()).await {
            Err(Halt::Cancelled) => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }

    /// Tells the person something about a host.
    pub fn warn(&self, host: &str, text: &str) {
        (self.options.warn)(&format!("{}: {}", shown(host), shown(text)));
    }
}

/// One repository at one registry. Clones are cheap; all methods may be called from many threads.
#[derive(Clone)]
pub struct Repository {
    pub(super) shared: Arc<Shared>,
    pub(super) host: Arc<Host>,
    pub(super) name: Arc<str>,
    pub(super) writes: bool,
    pub(super) referrers_api: Arc<super::referrers::Known>,
    pub(super) listing: Arc<super::tags::Listing>,
    /// Tags something was found under.
    pub(super) tags_there: Arc<Mutex<HashSet<String>>>,
}

impl Repository {
    /// The same repository, to be written to: questions are asked with the rights of a push as well. That saves a second token per
    /// repository, and Quay lets nobody ask about a repository that does not exist yet but those who may push, and so make it.
    pub fn for_writing(self) -> Repository {
        Repository { writes: true, ..self }
    }

    /// True when the registry was found to hand out tokens instead of taking passwords itself.
    pub fn uses_tokens(&self) -> bool {
        self.host.challenge().is_some_and(|challenge| challenge.scheme == "bearer")
    }

    /// The host as it was given.
    pub fn host(&self) -> &str {
        &self.host.name
    }

    /// The name below the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the registry whether it is one (distribution specification, `GET /v2/`). Scheme and challenges are
    /// remembered, so every other method does this by itself once per host.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotARegistry`], or the last failure after a few tries.
    pub fn ping(&self) -> Result<(), Error> {
        let core = &self.shared.core;
        self.shared.wait(async { self.host.enter(core).await.map(|_| ()) })?
    }

    pub(super) fn target(&self, reference: impl ToString) -> Arc<Target> {
        Arc::new(Target { host: self.host.name.clone(), repository: self.name.to_string(), reference: reference.to_string() })
    }

    pub(super) fn pull(&self) -> Vec<Scope> {
        if self.writes { self.push() } else { vec![Scope::repository(&self.name, &["pull"])] }
    }

    pub(super) fn push(&self) -> Vec<Scope> {
        vec![Scope::repository(&self.name, &["pull", "push"])]
    }

    /// The path of something in this repository, below `/v2/`.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("{}/{rest}", self.name)
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> String {
        self.path(&format!("blobs/{digest}"))
    }
}
