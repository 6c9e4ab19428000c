//! Blobs on their way there: POST, one PATCH with the whole body, empty PUT, as dockerd, podman and crane do it and
//! every vendor tests it. Other ways only after that one was refused, or broke off.
//!
//! What broke off goes on where the registry says it stands, if it still knows the upload (distribution 3, Quay, this program's own
//! server); distribution 2.8 does not, and begins again. On a line that breaks again and again, pieces on connections of their own
//! get through where one body does not.

mod ladder;
mod resume;
mod send;

use super::answer::Asked;
use super::client::{Core, Repository};
use super::error::{Error, Target};
use super::location;
use super::request::Call;
use super::session::{Session, cancel};
use crate::blob::BlobSink;
use crate::oci::Descriptor;
use bytes::Bytes;
use ladder::{PIECE, Way};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Blobs up to here are held in memory, so that a retry costs no second reading.
const SMALL: u64 = 1 << 20;

type Open<'a> = &'a mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>;

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
            upload.give_back(&failure);
            if upload.other_way(&failure) {
                continue;
            }
            // As long as more of it arrives each time, it is worth going on.
            let further = upload.stands_at.filter(|at| *at > reached);
            if let Some(at) = further {
                (upload.failed, reached) = (0, at);
            }
            upload.failed += 1;
            upload.again(failure, further.is_some()).map_err(|error| upload.led_astray(error))?;
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
    /// The host the registry sent it to.
    sent_to: Option<String>,
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
    /// Pieces that were taken since it was begun or gone on with.
    passed: u32,
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
            sent_to: None,
            stands_at: None,
            unasked: false,
            looks: 0,
            resumed: false,
            no_resume: false,
            failed: 0,
            breaks: 0,
            no_pieces: false,
            passed: 0,
        }
    }

    /// One upload from the first byte to the last.
    fn once(&mut self) -> Result<(), Failure> {
        if self.unasked {
            self.look().map_err(at(Step::Send))?;
        }
        let outcome = self.steps();
        if let Err(Failure { step: Step::Send, error: Error::Unreachable { .. } | Error::Stalled { .. } }) = &outcome {
            self.breaks += 1;
            // Why it cannot be asked is no better an explanation than why it broke off.
            let _ = self.look();
        }
        outcome
    }

    /// Gives the session back that a failure left open, unless it is gone on with. Not before it is sure that the blob did not arrive:
    /// a registry that is still moving it would lose what it moves.
    fn give_back(&mut self, failure: &Failure) {
        if self.stands_at.is_some() || self.unasked {
            return;
        }
        let Some(session) = self.session.take() else { return };
        if !matches!(failure.error, Error::Unreachable { .. } | Error::Stalled { .. } | Error::Cancelled) {
            let (host, scopes) = (&self.repository.host, self.repository.push());
            let _ = self.repository.shared.wait(cancel(&self.core, host, &self.target, scopes, session));
        }
    }

    /// Where the registry sends to a host that cannot be reached, nobody here has ever named that host: who does has to be told.
    fn led_astray(&self, error: Error) -> Error {
        match error {
            Error::Unreachable { host, reason, .. }
                if reason.is_silence() && self.sent_to.as_ref() == Some(&host) && self.repository.host.is_other(&host) =>
            {
                Error::ForeignLocation { target: self.target.clone(), to: host, silent: Some(reason) }
            }
            other => other,
        }
    }

    fn steps(&mut self) -> Result<(), Failure> {
        let from = self.stands_at.take();
        self.resumed = from.is_some();
        if from.is_none() {
            let session = self.start().map_err(at(Step::Start))?;
            self.sent_to = Some(location::authority(&session.url));
            self.session = Some(session);
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
}

fn at(step: Step) -> impl Fn(Error) -> Failure {
    move |error| Failure { step, error }
}
