//! One blob on its way: mounted, streamed, or through the workspace.

use super::run::Run;
use super::{ImageFailure, MirrorError};
use crate::blob::{BlobSink, BlobSource, Verified, Wrong};
use crate::digest::Digest;
use crate::layout;
use crate::oci::Descriptor;
use crate::origin::{Origin, fetch_into};
use crate::pack::Reason;
use crate::parallel::locked;
use crate::progress::Progress;
use crate::unpack::{TargetError, TargetTrouble, UnpackError, trouble};
use std::io::{self, Read};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// The repositories that were to get a blob, each with how that ended.
pub(super) type Delivered<'r> = Vec<(&'r str, Result<(), ImageFailure>)>;

/// What the source did to a transfer; told instead of what the target made of it.
type Blame = Arc<Mutex<Option<Reason>>>;

impl Run<'_> {
    /// Brings a blob into every repository that lacks it. Only what ends the run is an error.
    pub(super) fn deliver<'r>(&self, at: usize, repositories: &[&'r str]) -> Result<Delivered<'r>, MirrorError> {
        let Some(planned) = self.setting.wish.blobs.get(at) else { return Ok(Vec::new()) };
        let blob = planned.descriptor();
        // What lay there before this run is somebody else's: an earlier pack's, or an image that was made.
        let kept = self.setting.workspace.has(&blob).unwrap_or(true);
        let mut delivered = Vec::new();
        for (n, repository) in repositories.iter().enumerate() {
            if self.stopped() {
                break;
            }
            let brought = match self.mount(repository, &blob)? {
                true => Ok(()),
                // The next ones will need the bytes as well, when this target mounts nothing.
                false => self.upload(at, repository, &blob, repositories.len() - n > 1 && !self.mounts.load(Ordering::Relaxed))?,
            };
            if brought.is_ok() {
                self.holds(repository, blob.digest);
            }
            delivered.push((*repository, brought));
        }
        if !kept && !self.stopped() {
            // A leftover costs room, nothing else.
            let _ = self.setting.workspace.discard(&blob.digest);
        }
        Ok(delivered)
    }

    fn holds(&self, repository: &str, digest: Digest) {
        locked(&self.held).entry(repository.to_owned()).or_default().blobs.insert(digest);
    }

    /// Tries to get a blob from another repository of the target. A refused mount costs an upload (distribution specification,
    /// "Mounting a blob from another repository").
    fn mount(&self, repository: &str, blob: &Descriptor) -> Result<bool, MirrorError> {
        let owner = {
            let held = locked(&self.held);
            held.iter().find(|(name, h)| *name != repository && h.blobs.contains(&blob.digest)).map(|(name, _)| name.clone())
        };
        let (Some(owner), Some(place)) = (owner, self.place_of(repository)) else { return Ok(false) };
        let Some(from) = self.place_of(&owner) else { return Ok(false) };
        match self.setting.target.mount_blob(place, from, blob) {
            Ok(true) => {
                self.succeeded();
                locked(&self.counts).mounted += 1;
                Ok(true)
            }
            Err(error) if error.trouble.ends_run() && error.trouble != TargetTrouble::Login => {
                Err(trouble(format!("{place}@{}", blob.digest), error).into())
            }
            Ok(false) | Err(_) => {
                self.mounts.store(false, Ordering::Relaxed);
                Ok(false)
            }
        }
    }

    fn upload(&self, at: usize, repository: &str, blob: &Descriptor, shared: bool) -> Result<Result<(), ImageFailure>, MirrorError> {
        let Some(place) = self.place_of(repository) else { return Ok(Ok(())) };
        if let Some(error) = locked(&self.closed).get(repository) {
            return Ok(Err(error.clone().into()));
        }
        let mut last = None;
        for origin in self.sources(at) {
            let through = shared || blob.size > self.setting.options.stream_up_to;
            let road = Road { run: self, origin, blob, blame: Blame::default(), through };
            match road.travel(place) {
                Ok(()) => {
                    self.succeeded();
                    let mut counts = locked(&self.counts);
                    counts.pushed += 1;
                    counts.bytes += blob.size;
                    return Ok(Ok(()));
                }
                Err(error) => match road.guilty() {
                    // Who was stopped has not failed; whatever stopped the run first is what is told.
                    _ if self.stopped() => return Err(UnpackError::Interrupted.into()),
                    Some(reason) => last = Some(ImageFailure::Source(Arc::new(reason))),
                    None => return self.not_uploaded(repository, place, blob, error),
                },
            }
        }
        let nowhere = || ImageFailure::Source(Arc::new(Reason::Read(io::Error::other("it has no source"))));
        Ok(Err(last.unwrap_or_else(nowhere)))
    }

    fn not_uploaded(
        &self,
        repository: &str,
        place: &str,
        blob: &Descriptor,
        error: TargetError,
    ) -> Result<Result<(), ImageFailure>, MirrorError> {
        let subject = format!("{place}@{}", blob.digest);
        if self.ends_run(&error) {
            return Err(trouble(subject, error).into());
        }
        let closed = error.trouble == TargetTrouble::Closed;
        let error = self.about(subject, error);
        if closed {
            locked(&self.closed).insert(repository.to_owned(), error.clone());
        }
        Ok(Err(error.into()))
    }

    /// The different origins that have a blob.
    fn sources(&self, at: usize) -> Vec<Arc<dyn Origin>> {
        let images = self.setting.wish.blobs.get(at).map(|b| b.images.as_slice()).unwrap_or_default();
        let mut sources: Vec<Arc<dyn Origin>> = Vec::new();
        for origin in images.iter().filter_map(|i| self.origins.get(*i)) {
            if !sources.iter().any(|known| Arc::ptr_eq(known, origin)) {
                sources.push(origin.clone());
            }
        }
        sources
    }
}

/// One blob from one origin.
struct Road<'r, 'a> {
    run: &'r Run<'a>,
    origin: Arc<dyn Origin>,
    blob: &'r Descriptor,
    blame: Blame,
    /// Through the workspace from the first try on.
    through: bool,
}

impl Road<'_, '_> {
    /// Uploads. Whatever way the bytes come, they are proven while they pass: the last one is given out when the digest holds.
    fn travel(&self, place: &str) -> Result<(), TargetError> {
        let mut tries = 0;
        let mut open = || {
            tries += 1;
            let reader = self.open(tries)?;
            let inner = Verified::new(reader, self.blob.digest, self.blob.size);
            Ok(Box::new(Watched { inner, blame: self.blame.clone() }) as Box<dyn Read + Send>)
        };
        self.run.setting.target.put_blob(place, self.blob, &mut open)
    }

    /// The bytes from their start. The first try streams; a second one comes from a file that is taken up where it broke off.
    fn open(&self, tries: u32) -> io::Result<Box<dyn Read + Send>> {
        let workspace = self.run.setting.workspace;
        if self.run.setting.progress.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        // What an earlier try found wrong in the workspace is fetched anew.
        if let Some(Reason::Workspace(layout::Error::Wrong(_))) = locked(&self.blame).take()
            && tries > 1
        {
            workspace.discard(&self.blob.digest).map_err(|e| self.at_fault(Reason::Workspace(e)))?;
        }
        let there = workspace.has(self.blob).map_err(|e| self.at_fault(Reason::Workspace(e)))?;
        if self.origin.is_local() || !there && !self.through && tries == 1 {
            let reader = self.origin.open_at(self.blob, 0).map_err(|e| self.at_fault(Reason::Origin(e)))?;
            self.run.setting.progress.advance(if tries == 1 { self.blob.size } else { 0 });
            return Ok(reader);
        }
        // What is there already is not fetched, and so is counted by nobody else.
        self.run.setting.progress.advance(if there && tries == 1 { self.blob.size } else { 0 });
        let stopped = || self.run.setting.progress.cancelled();
        let progress: &dyn Progress = self.run.setting.progress;
        fetch_into(workspace, self.origin.as_ref(), self.blob, &stopped, progress).map_err(|e| self.at_fault(e.into()))?;
        BlobSource::open(workspace, self.blob).map_err(|e| self.at_fault(Reason::Workspace(e)))
    }

    fn at_fault(&self, reason: Reason) -> io::Error {
        let told = io::Error::other(reason.to_string());
        *locked(&self.blame) = Some(reason);
        told
    }

    /// What the source did, if it was the source.
    fn guilty(&self) -> Option<Reason> {
        locked(&self.blame).take()
    }
}

/// Remembers why reading failed: the target only knows that it did.
struct Watched<R> {
    inner: R,
    blame: Blame,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|error| {
            let told = io::Error::new(error.kind(), error.to_string());
            *locked(&self.blame) = Some(match Wrong::of(&error) {
                Some(wrong) => Reason::Workspace(layout::Error::Wrong(wrong.clone())),
                None => Reason::Read(error),
            });
            told
        })
    }
}
