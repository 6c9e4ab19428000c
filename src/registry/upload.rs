//! Blobs on their way there: POST, one PATCH with the whole body, empty PUT, as dockerd, podman and crane do it and
//! every vendor tests it. Other ways only after that one was refused, or broke off.
//!
//! What broke off goes on where the registry says it stands, if it still knows the upload (distribution 3, Quay, this program's own
//! server); distribution 2.8 does not, and begins again. On a line that breaks again and again, pieces on connections of their own
//! get through where one body does not.

use super::answer::Asked;
use super::client::{Core, Repository};
use super::error::{Error, Target};
use super::headers;
use super::location;
use super::reply::Reply;
use super::request::{Call, Exchange, Payload};
use super::session::{Session, cancel};
use super::upload_body::{feed, pipe, send};
use crate::blob::{BlobSink, Verified};
use crate::digest::Digest;
use crate::oci::Descriptor;
use bytes::Bytes;
use reqwest::header::{CONNECTION, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use reqwest::{Method, Url};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Blobs up to here are held in memory, so that a retry costs no second reading.
const SMALL: u64 = 1 << 20;
/// First size of pieces after a 413; halves with each further one.
const PIECE: u64 = 4 << 20;
/// Smallest piece tried.
const PIECE_MIN: u64 = 16 << 10;
/// How often a body may break off before it goes in pieces.
const BREAKS: u32 = 2;
/// Questions over a broken line how much of an upload arrived, before it is begun anew.
const STILL_BROKEN: u32 = 5;
/// Looks at whether a blob arrived although the answer did not.
const LOOKS: u32 = 3;
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Answers to a body that was taken.
const TAKEN: [u16; 4] = [202, 201, 204, 200];

type Open<'a> = &'a mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>;

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// POST, PATCH(body), PUT.
    Patch,
    /// POST, PUT(body).
    Put,
    /// POST, PATCH(piece) ..., PUT; pieces of this size.
    Pieces(u64),
}

/// Which step of an upload failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Start,
    Send,
    Commit,
}

struct Failure {
    step: Step,
    error: Error,
}

impl BlobSink for Repository {
    type Error = Error;

    /// HEAD; a blob of another size counts as absent.
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        self.wait(async {
            let core = &self.shared.core;
            let target = self.target(blob.digest);
            let url = self.host.enter(core).await?.url(&target, &self.blob_path(&blob.digest))?;
            let mut call = Call::new(Method::HEAD, url, target, Asked::Blob, core).scopes(self.push());
            call.digested = true;
            let reply = core.request(&self.host, call, &[200, 404, 405]).await?;
            Ok(reply.response.status() == 200 && reply.length().is_none_or(|n| n == blob.size))
        })
    }

    fn put(&self, blob: &Descriptor, open: Open<'_>) -> Result<(), Error> {
        self.upload(blob, open, false)
    }
}

impl Repository {
    /// [`BlobSink::put`] for bytes the caller has proven already and holds where nobody changes them: they are not hashed once
    /// more on their way. The registry judges the digest before it shows the blob to anybody.
    ///
    /// # Errors
    /// As [`BlobSink::put`].
    pub fn put_proven(&self, blob: &Descriptor, open: Open<'_>) -> Result<(), Error> {
        self.upload(blob, open, true)
    }

    fn upload(&self, blob: &Descriptor, open: Open<'_>, proven: bool) -> Result<(), Error> {
        let core = self.shared.core.clone();
        let place = self.shared.wait(core.watched(Duration::MAX, self.host.uploads.acquire()))?;
        let _place = place.ok().and_then(Result::ok).ok_or(Error::Cancelled)?;
        let mut upload = Upload { proven, ..Upload::new(self, blob, open) };
        let mut reached = 0;
        loop {
            let failure = match upload.once() {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if upload.arrived(&failure)? {
                return Ok(());
            }
            if upload.other_way(&failure) {
                continue;
            }
            // As long as more of it arrives each time, it is worth going on.
            let further = upload.stands_at.filter(|at| *at > reached);
            if let Some(at) = further {
                (upload.failed, reached) = (0, at);
            }
            upload.failed += 1;
            upload.again(failure, further.is_some())?;
        }
    }
}

struct Upload<'a> {
    repository: &'a Repository,
    core: Arc<Core>,
    blob: &'a Descriptor,
    open: Open<'a>,
    small: Option<Bytes>,
    /// The caller has proven the bytes.
    proven: bool,
    target: Arc<Target>,
    way: Way,
    session: Option<Session>,
    /// Bytes the open session has, when it is to be gone on with.
    stands_at: Option<u64>,
    /// It broke off, and how much of it arrived could not be asked yet: the line that broke it is still broken.
    unasked: bool,
    /// How often in a row.
    looks: u32,
    /// It is being gone on with.
    resumed: bool,
    /// Going on was refused once: what the registry says of where an upload stands does not hold.
    no_resume: bool,
    /// Tries that failed since it came further.
    failed: u32,
    /// How often it broke off.
    breaks: u32,
    /// Pieces were tried for that, and refused.
    no_pieces: bool,
}

impl<'a> Upload<'a> {
    fn new(repository: &'a Repository, blob: &'a Descriptor, open: Open<'a>) -> Upload<'a> {
        let piece = repository.host.piece().filter(|piece| blob.size > *piece);
        let way = piece.map_or(Way::Patch, Way::Pieces);
        let (core, target) = (repository.shared.core.clone(), repository.target(blob.digest));
        Upload {
            repository,
            core,
            blob,
            open,
            small: None,
            proven: false,
            target,
            way,
            session: None,
            stands_at: None,
            unasked: false,
            looks: 0,
            resumed: false,
            no_resume: false,
            failed: 0,
            breaks: 0,
            no_pieces: false,
        }
    }

    /// One upload from the first byte to the last. A session left open by a failure is given back.
    fn once(&mut self) -> Result<(), Failure> {
        if self.unasked {
            self.look().map_err(at(Step::Send))?;
        }
        let outcome = self.steps();
        if let Err(Failure { step: Step::Send, error: Error::Unreachable { .. } | Error::Stalled { .. } }) = &outcome {
            self.breaks += 1;
            // Why it cannot be asked is no better an explanation than why it broke off.
            let _ = self.look();
            if self.stands_at.is_some() || self.unasked {
                return outcome;
            }
        }
        if let (Err(failure), Some(session)) = (&outcome, self.session.take())
            && !matches!(failure.error, Error::Unreachable { .. } | Error::Stalled { .. } | Error::Cancelled)
        {
            let (host, scopes) = (&self.repository.host, self.repository.push());
            let _ = self.repository.shared.wait(cancel(&self.core, host, &self.target, scopes, session));
        }
        outcome
    }

    fn steps(&mut self) -> Result<(), Failure> {
        let from = self.stands_at.take();
        self.resumed = from.is_some();
        if from.is_none() {
            self.session = Some(self.start().map_err(at(Step::Start))?);
        }
        match self.way {
            // Nothing to send: some registries do not take an empty PATCH.
            _ if self.blob.size == 0 => {
                self.content().map_err(at(Step::Send))?;
            }
            Way::Patch if from.is_none() => self.whole(Method::PATCH).map_err(at(Step::Send))?,
            Way::Put => return self.whole(Method::PUT).map_err(at(Step::Commit)),
            Way::Patch => self.pieces(PIECE, from.unwrap_or(0)).map_err(at(Step::Send))?,
            Way::Pieces(size) => self.pieces(size, from.unwrap_or(0)).map_err(at(Step::Send))?,
        }
        self.commit().map_err(at(Step::Commit))?;
        if let Way::Pieces(size) = self.way
            && self.breaks == 0
            && self.repository.host.settings.chunk != Some(size)
        {
            self.repository.host.body_limit.store(size, Ordering::Relaxed);
        }
        Ok(())
    }

    fn start(&self) -> Result<Session, Error> {
        self.repository.wait(async {
            let path = self.repository.path("blobs/uploads/");
            let url = self.repository.host.enter(&self.core).await?.url(&self.target, &path)?;
            let call = self.call(Method::POST, url, true);
            // The tries of a blob count together: after a line that stayed broken another full round would be minutes.
            let reply = self.core.request_after(self.failed, &self.repository.host, call, &[202, 201]).await?;
            let session = Session::of(&reply, &self.core, &self.repository.host, &self.target).await;
            reply.drain(&self.core).await;
            session
        })
    }

    fn call(&self, method: Method, url: Url, own: bool) -> Call {
        let mut call = Call::new(method, url, self.target.clone(), Asked::Upload, &self.core).scopes(self.repository.push());
        call = call.header(CONTENT_TYPE, "application/octet-stream");
        call.login = own;
        call.blob = true;
        call
    }

    /// The content from its first byte, checked while it passes. Small content is read once.
    fn content(&mut self) -> Result<Box<dyn Read + Send>, Error> {
        if let Some(bytes) = &self.small {
            return Ok(Box::new(io::Cursor::new(bytes.clone())));
        }
        let source = |source| Error::Source { target: self.target.clone(), source };
        let reader = (self.open)().map_err(source)?;
        let mut reader: Box<dyn Read + Send> = match self.proven {
            true => reader,
            false => Box::new(Verified::new(reader, self.blob.digest, self.blob.size)),
        };
        if self.blob.size > SMALL {
            return Ok(reader);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.blob.size).unwrap_or(0));
        reader.read_to_end(&mut bytes).map_err(source)?;
        let bytes = Bytes::from(bytes);
        self.small = Some(bytes.clone());
        Ok(Box::new(io::Cursor::new(bytes)))
    }

    fn here(&self) -> Result<(Url, bool), Error> {
        let session = self.session.as_ref().ok_or(Error::Cancelled)?;
        Ok((session.url.clone(), session.own))
    }

    /// Sends all bytes in one body: with PUT that also ends the upload.
    fn whole(&mut self, method: Method) -> Result<(), Error> {
        let (mut url, own) = self.here()?;
        let ends = method == Method::PUT;
        if ends {
            url = location::with_query(&url, &format!("digest={}", self.blob.digest));
        }
        let mut exchange = self.send(&method, &url, own)?;
        if matches!(exchange, Exchange::Again) {
            // The token ended just before; the session is as it was, the bytes are read once more.
            exchange = self.send(&method, &url, own)?;
        }
        let reply = self.taken(exchange)?;
        if ends { self.proven(reply) } else { self.go_on(reply) }
    }

    fn send(&mut self, method: &Method, url: &Url, own: bool) -> Result<Exchange, Error> {
        let reader = self.content()?;
        let mut call = self.call(method.clone(), url.clone(), own);
        match &self.small {
            Some(bytes) => {
                call.body = Payload::Bytes(bytes.clone());
                call.patience = self.core.options.timing.commit;
                self.repository.wait(self.core.exchange(&self.repository.host, &mut call))
            }
            None => self.stream(call, reader),
        }
    }

    /// The caller's thread reads, a network task sends.
    fn stream(&self, mut call: Call, reader: Box<dyn Read + Send>) -> Result<Exchange, Error> {
        let shared = &self.repository.shared;
        let pipe = pipe(self.blob.size);
        call.body = Payload::Stream(Some(pipe.body), self.blob.size);
        let task = shared.spawn(send(self.core.clone(), self.repository.host.clone(), call, pipe.flow.clone()))?;
        if let Err(source) = feed(reader, self.blob.size, &pipe.flow, pipe.input) {
            task.abort();
            return Err(Error::Source { target: self.target.clone(), source });
        }
        shared.wait(task)?.map_err(|_| Error::Cancelled)?
    }

    /// Asks how much of the broken upload the registry has. A line that is still broken is a failure, and the upload is kept: it is
    /// asked for again after a while.
    fn look(&mut self) -> Result<(), Error> {
        (self.stands_at, self.unasked) = (None, false);
        if self.no_resume {
            return Ok(());
        }
        let own = self.session.as_ref().is_some_and(|session| session.own);
        match self.standing() {
            Ok(at) => self.stands_at = at,
            // Nothing can be begun over such a line either, unless it leads elsewhere.
            Err(error @ Error::Unreachable { .. }) if own && self.looks < STILL_BROKEN => {
                (self.unasked, self.looks) = (true, self.looks + 1);
                return Err(error);
            }
            Err(Error::Unreachable { .. }) => self.no_resume = true,
            Err(_) => {}
        }
        self.looks = 0;
        Ok(())
    }

    /// How much of the broken upload the registry has (distribution specification, "Pushing a blob in chunks", status request). `None`
    /// where it has forgotten the upload, or does not say so that it can be believed. The digest at the end judges in any case.
    fn standing(&mut self) -> Result<Option<u64>, Error> {
        let (url, own) = self.here()?;
        let mut call = self.call(Method::GET, url, own);
        call.headers.remove(CONTENT_TYPE);
        let reply = self.admitted(&mut call)?;
        let at = reply.header(RANGE).and_then(headers::upload_range).filter(|_| reply.response.status() == 204);
        self.go_on(reply)?;
        Ok(at.filter(|at| *at <= self.blob.size))
    }

    /// Sends the bytes from `first` on in pieces (distribution specification, "Pushing a blob in chunks").
    fn pieces(&mut self, size: u64, mut first: u64) -> Result<(), Error> {
        let mut reader = self.content()?;
        let source = |source| Error::Source { target: self.target.clone(), source };
        io::copy(&mut reader.by_ref().take(first), &mut io::sink()).map_err(source)?;
        let min = self.session.as_ref().map_or(0, |s| s.min_piece);
        let size = size.max(min.min(SMALL * 64));
        while first < self.blob.size {
            let length = size.min(self.blob.size - first);
            let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
            reader.read_exact(&mut piece).map_err(|source| Error::Source { target: self.target.clone(), source })?;
            let (url, own) = self.here()?;
            let mut call = self.call(Method::PATCH, url, own).header(CONTENT_RANGE, &format!("{first}-{}", first + length - 1));
            call.body = Payload::Bytes(piece.into());
            // A line that breaks after so many bytes shall count them anew.
            if self.breaks > 0 {
                call = call.header(CONNECTION, "close");
            }
            call.patience = self.patience(length);
            let reply = self.admitted(&mut call)?;
            self.go_on(reply)?;
            first += length;
        }
        Ok(())
    }

    /// Ends the upload: the registry compares the digest.
    fn commit(&self) -> Result<(), Error> {
        let (url, own) = self.here()?;
        let mut call = self.call(Method::PUT, location::with_query(&url, &format!("digest={}", self.blob.digest)), own);
        call.patience = self.core.options.timing.commit;
        let reply = self.admitted(&mut call)?;
        self.proven(reply)
    }

    /// Longest wait for the answer to a body of `length`. On a line that breaks, silence is more likely than a slow registry.
    fn patience(&self, length: u64) -> Duration {
        match self.breaks {
            0 => self.core.options.timing.commit,
            _ => self.core.options.timing.stall.saturating_mul(1 + u32::try_from(length / SMALL).unwrap_or(u32::MAX)),
        }
    }

    /// The reply to a request whose body can be sent again, when it was taken.
    fn admitted(&self, call: &mut Call) -> Result<Reply, Error> {
        let mut attempt = 0;
        loop {
            let exchange = self.repository.wait(self.core.exchange(&self.repository.host, call))?;
            match self.taken(exchange) {
                Ok(reply) => return Ok(reply),
                // Turned away at the door: the session is as it was.
                Err(error @ Error::RateLimited { .. }) => {
                    attempt += 1;
                    self.repository.wait(self.core.after(&self.repository.host, error, attempt, self.core.options.timing.tries))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The reply when the body was taken.
    fn taken(&self, exchange: Exchange) -> Result<Reply, Error> {
        let host = &self.repository.host;
        match exchange {
            Exchange::Again => Err(Error::Protocol { target: self.target.clone(), what: "a fresh token was refused".to_owned() }),
            Exchange::Reply(reply) if TAKEN.contains(&reply.response.status().as_u16()) => Ok(*reply),
            Exchange::Reply(reply) => {
                let (status, to) = (reply.response.status().as_u16(), location::authority(&reply.url));
                let error = self.repository.wait(async { Ok(host.refusal(&self.core, *reply, &self.target, Asked::Upload).await) })?;
                let foreign = self.session.as_ref().is_some_and(|s| !s.own);
                Err(match status {
                    401 | 403 if foreign => Error::ForeignLocation { target: self.target.clone(), to },
                    _ => error,
                })
            }
        }
    }

    /// Every answer may name a new place to go on at; always the newest counts.
    fn go_on(&mut self, reply: Reply) -> Result<(), Error> {
        let named = reply.response.headers().contains_key(LOCATION);
        let session = self.repository.wait(async {
            let session = Session::of(&reply, &self.core, &self.repository.host, &self.target).await;
            reply.drain(&self.core).await;
            if named { session.map(Some) } else { Ok(None) }
        })?;
        if let Some(mut session) = session {
            // Said once, when the upload is opened.
            session.min_piece = session.min_piece.max(self.session.as_ref().map_or(0, |old| old.min_piece));
            self.session = Some(session);
        }
        Ok(())
    }

    fn proven(&self, reply: Reply) -> Result<(), Error> {
        let said: Option<Digest> = reply.header(DOCKER_CONTENT_DIGEST).and_then(|d| d.trim().parse().ok());
        self.repository.wait(async {
            reply.drain(&self.core).await;
            Ok(())
        })?;
        match said {
            Some(found) if found != self.blob.digest => {
                Err(Error::WrongDigest { target: self.target.clone(), expected: self.blob.digest, found: Box::new(found) })
            }
            _ => Ok(()),
        }
    }

    /// When the answer to the last step was lost the blob may well be there: distribution commits what it has read.
    fn arrived(&self, failure: &Failure) -> Result<bool, Error> {
        let lost = matches!(failure.error, Error::Unreachable { .. } | Error::Stalled { .. } | Error::Server { .. });
        if failure.step != Step::Commit || !lost {
            return Ok(false);
        }
        let slow = matches!(&failure.error, Error::Stalled { .. }) || failure.error.answer().is_some_and(|a| a.status == 504);
        for look in 1..=if slow { LOOKS } else { 1 } {
            if self.repository.has(self.blob)? {
                return Ok(true);
            }
            if look < LOOKS && slow {
                self.repository.wait(self.core.sleep(self.core.options.timing.retry_base.saturating_mul(2 * look)))?;
            }
        }
        Ok(false)
    }

    /// Chooses another way of sending where this one was refused; false where there is none.
    fn other_way(&mut self, failure: &Failure) -> bool {
        let sending = failure.step != Step::Start;
        let refused = matches!(failure.error, Error::NotFound { .. } | Error::Unsupported { .. } | Error::Refused { .. });
        // The upload was forgotten since, or is not where the registry said. This tells nothing about ways of sending.
        if self.resumed && sending && refused && !self.no_resume {
            self.no_resume = true;
            return true;
        }
        let next = match (&failure.error, self.way) {
            (Error::TooLarge { .. }, Way::Pieces(size)) if sending => Some(size / 2),
            (Error::TooLarge { .. }, _) if sending => Some(PIECE.min(self.blob.size.next_power_of_two() / 2)),
            (_, Way::Patch) if refused && failure.step == Step::Send => {
                self.way = Way::Put;
                return true;
            }
            // Pieces were only an attempt to get through; this registry takes whole bodies or nothing.
            (_, Way::Pieces(_)) if refused && sending && self.breaks > 0 => {
                (self.way, self.stands_at) = (Way::Patch, None);
                return !std::mem::replace(&mut self.no_pieces, true);
            }
            _ => None,
        };
        let Some(size) = next.filter(|size| *size >= PIECE_MIN) else { return false };
        self.way = Way::Pieces(size);
        true
    }

    /// Waits for another try of the whole upload, or gives the failure back.
    fn again(&mut self, failure: Failure, further: bool) -> Result<(), Error> {
        // Also where the upload is kept: some registries keep whole pieces only.
        if self.breaks >= BREAKS && !further && !self.unasked && !self.no_pieces && failure.step == Step::Send {
            let half = match self.way {
                Way::Pieces(size) => size / 2,
                _ => PIECE.min(self.blob.size.next_power_of_two() / 2),
            };
            self.way = if half >= PIECE_MIN { Way::Pieces(half) } else { self.way };
        }
        // The request that opens an upload has had all of its own tries: the square of them would be minutes of silence.
        if failure.step == Step::Start {
            return Err(failure.error);
        }
        let tries = self.core.options.timing.tries;
        let code = failure.error.answer().and_then(|a| a.code.as_deref()).unwrap_or_default();
        // Sessions are lost by restarts and by replicas that do not share them; bytes are damaged on the way.
        let session_lost = matches!(code, "BLOB_UPLOAD_INVALID" | "BLOB_UPLOAD_UNKNOWN" | "DIGEST_INVALID");
        if session_lost && self.failed < tries.min(3) {
            return self.repository.wait(self.core.sleep(self.core.options.timing.retry_base));
        }
        self.repository.wait(self.core.after(&self.repository.host, failure.error, self.failed, tries))
    }
}

fn at(step: Step) -> impl Fn(Error) -> Failure {
    move |error| Failure { step, error }
}
