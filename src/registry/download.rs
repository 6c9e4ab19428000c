//! Blobs on their way here: resumed inside the blob, never longer than their descriptor says.

use super::answer::Asked;
use super::blob_reader::{AHEAD, BlobReader};
use super::client::{Core, Halt, Repository};
use super::error::{Error, Missing, Target};
use super::headers::ContentRange;
use super::host::Host;
use super::location;
use super::reply::Reply;
use super::request::{Call, Exchange};
use super::tls;
use crate::blob::BlobSource;
use crate::oci::Descriptor;
use bytes::{Buf as _, Bytes};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE};
use reqwest::{Method, Url};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

/// A blob that came this much further has earned its tries anew.
const PROGRESS: u64 = 1 << 20;

impl BlobSource for Repository {
    type Error = Error;

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        Ok(Box::new(self.open_at(blob, 0)?))
    }
}

impl Repository {
    /// Opens a blob from `offset` on, for whoever has the beginning already (and hashes it). Returns when the first
    /// bytes are there. A reader that is not read holds one of the host's download places.
    ///
    /// # Errors
    /// [`Error::NotFound`] and the like at once; what happens later comes out of the reader.
    pub fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<BlobReader, Error> {
        let (out, chunks) = mpsc::unbounded_channel();
        let budget = Arc::new(Semaphore::new(AHEAD));
        let download = Download {
            core: self.shared.core.clone(),
            host: self.host.clone(),
            target: self.target(blob.digest),
            path: self.blob_path(&blob.digest),
            blob: blob.clone(),
            scopes: self.pull(),
            at: offset,
            ranges: true,
            out: out.clone(),
            budget: budget.clone(),
        };
        let task = self.shared.spawn(async move {
            // An empty chunk is the end.
            let _ = out.send(download.run().await.map(|()| Bytes::new()));
        })?;
        let shared = self.shared.clone();
        let mut reader =
            BlobReader { chunks, budget, current: Bytes::new(), held: 0, ended: false, task: task.abort_handle(), _shared: shared };
        match reader.chunks.blocking_recv() {
            Some(Ok(first)) => reader.accept(first),
            Some(Err(error)) => return Err(error),
            None => {}
        }
        Ok(reader)
    }
}

struct Download {
    core: Arc<Core>,
    host: Arc<Host>,
    target: Arc<Target>,
    path: String,
    blob: Descriptor,
    scopes: Vec<super::challenge::Scope>,
    /// Bytes handed on so far, offset included.
    at: u64,
    /// False once the server has shown that it cannot do ranges.
    ranges: bool,
    out: mpsc::UnboundedSender<Result<Bytes, Error>>,
    budget: Arc<Semaphore>,
}

/// The reader is gone, or the transfer failed.
enum Stop {
    Unread,
    Failed(Error),
    /// Another try would not help.
    Final(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl Download {
    async fn run(mut self) -> Result<(), Error> {
        let core = self.core.clone();
        let host = self.host.clone();
        let place = core.watched(Duration::MAX, host.downloads.acquire()).await;
        if !matches!(place, Ok(Ok(_))) {
            return Err(Error::Cancelled);
        }
        if self.at > 0 && self.at == self.blob.size {
            return Ok(());
        }
        let absent = match self.from(None).await {
            Err(error @ Error::NotFound { what: Missing::Blob, .. }) if !self.blob.urls.is_empty() => error,
            other => return other,
        };
        // Foreign layers lie elsewhere. Nobody there is to see a login (CVE-2020-15157); the digest decides.
        for url in self.blob.urls.clone() {
            let Ok(url) = Url::parse(&url) else { continue };
            if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
                continue;
            }
            match self.from(Some(url)).await {
                Ok(()) => return Ok(()),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(_) => self.ranges = true,
            }
        }
        Err(absent)
    }

    /// Fetches the rest from the registry or a foreign URL, with as many tries as progress earns.
    async fn from(&mut self, foreign: Option<Url>) -> Result<(), Error> {
        let (mut attempt, mut mark) = (0, self.at);
        loop {
            match self.once(foreign.as_ref()).await {
                Ok(()) | Err(Stop::Unread) => return Ok(()),
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Failed(error)) => {
                    if self.at - mark >= PROGRESS {
                        (attempt, mark) = (0, self.at);
                    }
                    attempt += 1;
                    self.core.after(&self.host, error, attempt, self.core.options.timing.tries).await?;
                }
            }
        }
    }

    /// One request, and as much of its body as comes. Always to the registry itself: signed addresses expire.
    async fn once(&mut self, foreign: Option<&Url>) -> Result<(), Stop> {
        loop {
            let mut call = self.call(foreign).await?;
            let reply = match self.core.exchange(&self.host, &mut call).await? {
                Exchange::Reply(reply) => reply,
                Exchange::Again => continue,
                Exchange::NoLogin(error) => return Err(Stop::Final(error)),
            };
            let asked_range = self.ranges && self.at > 0;
            match reply.response.status().as_u16() {
                200 => {
                    if let Some(found) = reply.length().filter(|n| *n != self.blob.size) {
                        return Err(Error::WrongSize { target: self.target.clone(), expected: self.blob.size, found }.into());
                    }
                    return self.stream(*reply, self.at).await;
                }
                206 if asked_range && self.continues(&reply) => return self.stream(*reply, 0).await,
                // Another part than asked for, or no such part: from the start, without asking for parts again.
                206 | 416 if asked_range => self.ranges = false,
                _ => return Err(self.host.refusal(&self.core, *reply, &self.target, Asked::Blob).await.into()),
            }
        }
    }

    fn continues(&self, reply: &Reply) -> bool {
        let range = reply.header(CONTENT_RANGE).and_then(ContentRange::parse);
        range.is_some_and(|r| r.continues(self.at, self.blob.size))
    }

    async fn call(&self, foreign: Option<&Url>) -> Result<Call, Error> {
        let url = match foreign {
            Some(url) => url.clone(),
            None => self.host.enter(&self.core).await?.url(&self.target, &self.path)?,
        };
        let mut call = Call::new(Method::GET, url, self.target.clone(), Asked::Blob, &self.core).scopes(self.scopes.clone());
        call = call.header(ACCEPT_ENCODING, "identity");
        if self.ranges && self.at > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.at));
        }
        call.blob = true;
        call.digested = true;
        call.login = foreign.is_none();
        Ok(call)
    }

    /// Hands on the body without its first `skip` bytes.
    async fn stream(&mut self, reply: Reply, mut skip: u64) -> Result<(), Stop> {
        let (authority, plain) = (location::authority(&reply.url), location::is_plain(&reply.url));
        let mut body = Chunks::new(self.core.clone(), reply);
        loop {
            let chunk = match body.next(&self.core).await {
                Ok(chunk) => chunk,
                Err(Failed::Halt(Halt::Cancelled)) => return Err(Error::Cancelled.into()),
                Err(Failed::Halt(Halt::Elapsed)) => {
                    return Err(Error::Stalled { target: self.target.clone(), after: self.core.options.timing.stall }.into());
                }
                Err(Failed::Lost(e)) => return Err(Error::Unreachable { host: authority, reason: tls::reason(&e), plain }.into()),
            };
            let Some(mut chunk) = chunk else { break };
            let over = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            chunk.advance(over);
            skip -= over as u64;
            if chunk.len() as u64 > self.blob.size - self.at {
                let found = self.at + chunk.len() as u64;
                return Err(Error::WrongSize { target: self.target.clone(), expected: self.blob.size, found }.into());
            }
            self.hand_on(chunk).await?;
        }
        if self.at < self.blob.size {
            return Err(Error::ShortBody { target: self.target.clone(), expected: self.blob.size, found: self.at }.into());
        }
        Ok(())
    }

    /// Gives a chunk to the reader; waits while it has enough to read.
    async fn hand_on(&mut self, chunk: Bytes) -> Result<(), Stop> {
        if chunk.is_empty() {
            return Ok(());
        }
        let cost = u32::try_from(chunk.len().min(AHEAD)).unwrap_or(u32::MAX);
        let place = match self.budget.try_acquire_many(cost) {
            Ok(place) => place,
            // A reader that pauses is no stall; one that is gone aborts this task.
            Err(_) => match self.core.watched(Duration::MAX, self.budget.acquire_many(cost)).await {
                Ok(Ok(place)) => place,
                _ => return Err(Error::Cancelled.into()),
            },
        };
        place.forget();
        self.at += chunk.len() as u64;
        self.out.send(Ok(chunk)).map_err(|_| Stop::Unread)
    }
}

/// A body read chunk by chunk, with one clock for all of them.
struct Chunks {
    reply: Reply,
    tick: tokio::time::Interval,
    last: Instant,
}

enum Failed {
    Halt(Halt),
    Lost(reqwest::Error),
}

impl Chunks {
    fn new(core: Arc<Core>, reply: Reply) -> Chunks {
        let every = (core.options.timing.stall / 4).clamp(Duration::from_millis(5), Duration::from_millis(200));
        Chunks { reply, tick: tokio::time::interval(every), last: Instant::now() }
    }

    async fn next(&mut self, core: &Core) -> Result<Option<Bytes>, Failed> {
        self.last = Instant::now();
        loop {
            tokio::select! {
                biased;
                chunk = self.reply.response.chunk() => return chunk.map_err(Failed::Lost),
                _ = self.tick.tick() => {
                    if core.cancelled() {
                        return Err(Failed::Halt(Halt::Cancelled));
                    }
                    if self.last.elapsed() >= core.options.timing.stall {
                        return Err(Failed::Halt(Halt::Elapsed));
                    }
                }
            }
        }
    }
}
