//! Blobs from their sources into the workspace, several at a time, in plan order.
//!
//! Each blob is hashed while it is written, once. What an interrupted run left is taken up in the middle.

use super::{Error, Failure, PackPlan, PlannedBlob, Reason};
use crate::blob::{BlobSink, BlobSource, Verified, Wrong};
use crate::digest::Digest;
use crate::layout::{self, Layout};
use crate::oci::Descriptor;
use crate::origin::{Origin, fetch_into};
use crate::progress::Progress;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Bytes read at once while a blob is looked at.
const WINDOW: usize = 256 << 10;

/// Where a blob is once it can be written.
#[derive(Clone)]
pub(super) enum Ready {
    /// In the workspace, proven in this run.
    Fresh,
    /// In the workspace from an earlier run: proven again when it is read.
    Kept,
    /// A file of its source on this machine: proven when it is read.
    InPlace(Arc<dyn Origin>),
}

enum State {
    Pending,
    Ready(Ready),
    Failed,
}

/// The fetching side of a run, shared with the writer.
pub(super) struct Fetch<'a> {
    plan: &'a PackPlan,
    /// The origin of each image.
    origins: &'a [Arc<dyn Origin>],
    workspace: &'a Layout,
    /// The workspace was found damaged: what it has is read before it is counted on.
    doubt: bool,
    progress: &'a dyn Progress,
    next: AtomicUsize,
    stop: AtomicBool,
    states: Mutex<Vec<State>>,
    changed: Condvar,
    failures: Mutex<BTreeMap<Digest, Reason>>,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(plan: &'a PackPlan, origins: &'a [Arc<dyn Origin>], workspace: &'a Layout, progress: &'a dyn Progress) -> Fetch<'a> {
        let states = Mutex::new(plan.blobs.iter().map(|_| State::Pending).collect());
        Fetch {
            plan,
            origins,
            workspace,
            doubt: false,
            progress,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            states,
            changed: Condvar::new(),
            failures: Mutex::new(BTreeMap::new()),
        }
    }

    /// Looks at everything the workspace has before it is counted on, and fetches anew what is damaged.
    pub(super) fn in_doubt(self, doubt: bool) -> Fetch<'a> {
        Fetch { doubt, ..self }
    }

    /// One worker: takes the next blob of the plan until there is none. A blob that fails does not cost the others.
    pub(super) fn work(&self) {
        while !self.stopped() {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(blob) = self.plan.blobs.get(position) else { return };
            match self.blob(blob) {
                Ok(ready) => self.set(position, State::Ready(ready)),
                // Who was stopped has not failed.
                Err(_) if self.stopped() => break,
                Err(reason) => self.fail(position, reason),
            }
        }
        // Whoever waits must look again: nothing more will come.
        self.changed.notify_all();
    }

    /// Lets the workers end after what they are at.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.progress.cancelled()
    }

    /// Notes that a blob cannot be had: found here, or by the writer in a source that is read in place.
    pub(super) fn fail(&self, position: usize, reason: Reason) {
        if let (Some(blob), Ok(mut failures)) = (self.plan.blobs.get(position), self.failures.lock()) {
            failures.insert(blob.digest, reason);
        }
        self.set(position, State::Failed);
    }

    fn set(&self, position: usize, state: State) {
        if let Ok(mut states) = self.states.lock()
            && let Some(slot) = states.get_mut(position)
        {
            *slot = state;
        }
        self.changed.notify_all();
    }

    /// Waits for a blob; `None` when it failed or the run was stopped.
    pub(super) fn wait(&self, position: usize) -> Option<Ready> {
        let mut states = self.states.lock().ok()?;
        loop {
            match states.get(position)? {
                State::Ready(ready) => return Some(ready.clone()),
                State::Failed => return None,
                State::Pending if self.stopped() => return None,
                State::Pending => {
                    let pause = std::time::Duration::from_millis(200);
                    states = self.changed.wait_timeout(states, pause).ok()?.0;
                }
            }
        }
    }

    /// What failed: one entry for every image that lacks something now.
    pub(super) fn failures(self) -> Vec<Failure> {
        let mut reasons = self.failures.into_inner().unwrap_or_default();
        let lost: BTreeSet<Digest> = reasons.keys().copied().collect();
        let mut failures = Vec::new();
        for image in &self.plan.images {
            let Some(digest) = self.plan.blobs_of(image).find(|digest| lost.contains(digest)) else { continue };
            // The reason is told once; the other images that share the blob refer to it.
            let reason = reasons.remove(&digest).unwrap_or(Reason::Shared(digest));
            failures.push(Failure::of(image, reason));
        }
        failures
    }

    /// Makes one blob available.
    fn blob(&self, blob: &PlannedBlob) -> Result<Ready, Reason> {
        let descriptor = blob.descriptor();
        if self.workspace.has(&descriptor)? && (!self.doubt || self.is_whole(&descriptor)?) {
            self.progress.advance(blob.size);
            return Ok(Ready::Kept);
        }
        if blob.manifest {
            let bytes = self.plan.manifest_bytes(&blob.digest).unwrap_or_default();
            self.workspace.put(&descriptor, &mut || Ok(Box::new(io::Cursor::new(bytes.clone()))))?;
            self.progress.advance(blob.size);
            return Ok(Ready::Fresh);
        }
        let mut last = None;
        for origin in self.sources(blob) {
            let had = match origin.is_local() {
                true => self.in_place(blob, origin),
                false => self.download(blob, origin).map(|()| Ready::Fresh),
            };
            match had {
                Ok(ready) => return Ok(ready),
                Err(reason) => last = Some(reason),
            }
            if self.stopped() {
                break;
            }
        }
        Err(last.unwrap_or(Reason::Read(io::Error::other("it has no source"))))
    }

    /// Reads what the workspace has; what is damaged goes.
    fn is_whole(&self, blob: &Descriptor) -> Result<bool, Reason> {
        let open = match self.workspace.open(blob) {
            Ok(open) => open,
            // Another run found it first.
            Err(layout::Error::NoBlob { .. }) => return Ok(false),
            Err(other) => return Err(other.into()),
        };
        let mut reader = Verified::new(open, blob.digest, blob.size);
        let mut window = vec![0; WINDOW];
        while !self.stopped() {
            match reader.read(&mut window) {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if Wrong::of(&e).is_some() => {
                    self.workspace.discard(&blob.digest)?;
                    return Ok(false);
                }
                Err(e) => return Err(Reason::Read(e)),
            }
        }
        Err(Reason::Read(io::ErrorKind::Interrupted.into()))
    }

    /// The different origins that have a blob.
    fn sources(&self, blob: &PlannedBlob) -> Vec<&'a Arc<dyn Origin>> {
        let mut sources: Vec<&Arc<dyn Origin>> = Vec::new();
        for origin in blob.images.iter().filter_map(|i| self.origins.get(*i)) {
            if !sources.iter().any(|known| Arc::ptr_eq(known, origin)) {
                sources.push(origin);
            }
        }
        sources
    }

    /// A blob that is read where it lies must be there at least.
    fn in_place(&self, blob: &PlannedBlob, origin: &Arc<dyn Origin>) -> Result<Ready, Reason> {
        origin.open_at(&blob.descriptor(), 0)?;
        self.progress.advance(blob.size);
        Ok(Ready::InPlace(origin.clone()))
    }

    fn download(&self, blob: &PlannedBlob, origin: &Arc<dyn Origin>) -> Result<(), Reason> {
        Ok(fetch_into(self.workspace, origin.as_ref(), &blob.descriptor(), &|| self.stopped(), self.progress)?)
    }
}

/// Runs `write` beside `parallel` fetching workers and brings both results together.
pub(super) fn beside<T>(fetch: &Fetch<'_>, parallel: usize, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::thread::scope(|scope| {
        for _ in 0..parallel.max(1) {
            scope.spawn(|| fetch.work());
        }
        let result = write();
        if result.is_err() && fetch.progress.cancelled() {
            fetch.stop();
        }
        result
    })
}
