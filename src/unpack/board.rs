//! Who waits for what: the shared state of a run. Decisions are made here, under one lock; nothing here does I/O.

use super::catalog::{Catalog, Tree};
use super::error::{Damage, ImageError, UnpackError};
use super::plan::UnpackPlan;
use super::spool::Content;
use super::{Setting, place};
use crate::digest::Digest;
use crate::format::Completeness;
use crate::parallel::locked;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A blob is fetched this often before a registry that keeps losing it is given up.
const READS: u32 = 3;
/// An image is pushed this often.
const ATTEMPTS: u32 = 3;
/// So many requests that fail one after the other, each after all its tries, end the run: the target is out of order. Fewer are
/// the trouble of single blobs, and the night's other images go on.
pub(super) const STRIKES: u32 = 8;

/// Work for an upload thread.
pub(super) enum Job {
    /// Bring a blob to the repositories that lack it: mount, or upload where there is content.
    Blob { blob: usize, content: Option<Content> },
    /// Push an image whose blobs are all there.
    Image(usize),
}

/// One repository at the target.
pub(super) struct Repo {
    /// Name at the target.
    pub place: String,
    /// Blobs it has (indexes into the contents).
    pub blobs: HashSet<usize>,
    /// Manifests it has.
    pub manifests: HashSet<Digest>,
}

/// One blob some repository lacks or lacked.
#[derive(Default)]
pub(super) struct BlobState {
    /// Repositories that lack it.
    pub lacking: BTreeSet<usize>,
    /// A job for it is queued or running.
    pub busy: bool,
    /// Volumes it could not be read from; they are not tried again in this run. Its other parts are still collected: a good
    /// copy of the volume may come with the next.
    pub bad: BTreeSet<u32>,
    /// Not tried again in this run at all.
    pub given_up: bool,
    /// Goes straight from the medium: the spool has no room for it.
    pub direct: bool,
    /// The spool had no room for a part of it.
    pub deferred: bool,
    reads: u32,
}

impl BlobState {
    /// True when this run cannot complete it.
    pub fn is_broken(&self) -> bool {
        self.given_up || !self.bad.is_empty()
    }
}

/// How far an image is.
pub(super) enum Phase {
    /// Lacks blobs, or waits for the others.
    Waiting,
    /// In the queue or being pushed.
    Pushing,
    /// Whole, tag set.
    Done(Completeness),
    /// Refused.
    Failed(ImageError),
}

/// One selected image.
pub(super) struct ImageState {
    /// Index into the plan's images.
    pub planned: usize,
    pub repo: usize,
    pub tree: Tree,
    pub late: bool,
    pub lacking: BTreeSet<usize>,
    pub phase: Phase,
    /// Pushed in this run (and not found there).
    pub pushed: bool,
    /// Its tag was asked for, and no answer says whether it is set.
    pub unsure: bool,
    attempts: u32,
}

/// Numbers for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes of blobs uploaded.
    pub bytes: u64,
    /// Blobs uploaded.
    pub pushed: u64,
    /// Blobs that came from another repository of the target.
    pub mounted: u64,
    /// Blobs (per repository) the target had already.
    pub present: u64,
    /// Manifests pushed.
    pub manifests: u64,
}

pub(super) struct State {
    pub repos: Vec<Repo>,
    pub blobs: BTreeMap<usize, BlobState>,
    pub images: Vec<ImageState>,
    users: HashMap<(usize, usize), Vec<usize>>,
    queue: VecDeque<Job>,
    running: usize,
    closed: bool,
    late_released: bool,
    pub fatal: Option<UnpackError>,
    pub counts: Counts,
    strikes: u32,
    /// Bytes uploaded when the last holds were written.
    pub held_at: u64,
    pub damage: Vec<Damage>,
    pub direct: Vec<Digest>,
    pub warnings: Vec<String>,
    /// `repository:tag` set (or found set) and not yet in the ledger.
    pub tags: Vec<String>,
}

/// The state and who waits for it to change.
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    pub fn new(setting: &Setting<'_>, catalog: &Catalog<'_>, plan: &UnpackPlan) -> Result<Board, UnpackError> {
        let mut repos: Vec<Repo> = Vec::new();
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        let mut images = Vec::new();
        let blob_index: HashMap<Digest, usize> = catalog.contents.blobs.iter().enumerate().map(|(i, b)| (b.digest, i)).collect();
        for (at, planned) in plan.images.iter().enumerate() {
            let Some(image) = catalog.contents.images.get(planned.image) else { continue };
            let repo = match by_name.get(planned.repository.as_str()) {
                Some(repo) => *repo,
                None => {
                    let held = plan.present.get(&planned.repository).cloned().unwrap_or_default();
                    let blobs = held.blobs.iter().filter_map(|d| blob_index.get(d).copied()).collect();
                    let place = place(&setting.options.prefix, setting.options.max_nested_paths, &planned.repository)?;
                    repos.push(Repo { place, blobs, manifests: held.manifests.into_iter().collect() });
                    by_name.insert(&planned.repository, repos.len() - 1);
                    repos.len() - 1
                }
            };
            let phase = planned.present.clone().map_or(Phase::Waiting, Phase::Done);
            let tree = catalog.tree(image);
            images.push(ImageState {
                planned: at,
                repo,
                tree,
                late: planned.late,
                lacking: BTreeSet::new(),
                phase,
                pushed: false,
                unsure: false,
                attempts: 0,
            });
        }
        let mut state = State {
            repos,
            images,
            blobs: BTreeMap::new(),
            users: HashMap::new(),
            queue: VecDeque::new(),
            running: 0,
            closed: false,
            late_released: false,
            fatal: None,
            counts: Counts::default(),
            strikes: 0,
            held_at: 0,
            damage: Vec::new(),
            direct: Vec::new(),
            warnings: Vec::new(),
            tags: Vec::new(),
        };
        state.fill(plan);
        Ok(Board { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Looks at the state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Changes the state and wakes whoever waits for it.
    pub fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }

    /// Next job; waits for one. `None` at the end of the run.
    pub fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.closed || state.fatal.is_some() {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                state.running += 1;
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job is over.
    pub fn finish(&self) {
        self.change(|state| state.running = state.running.saturating_sub(1));
    }

    /// Waits until no job is queued or running, or the run has failed and nothing is running any more.
    pub fn wait_idle(&self) {
        let mut state = self.state();
        while state.running > 0 || (state.fatal.is_none() && !state.queue.is_empty()) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more jobs.
    pub fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Ends the run; the first reason counts.
    pub fn fail(&self, error: UnpackError) {
        self.change(|state| {
            state.fatal.get_or_insert(error);
        });
    }

    /// True when the run is ending.
    pub fn failed(&self) -> bool {
        self.state().fatal.is_some()
    }
}

impl State {
    /// What is lacking, by image and by blob; images that lack nothing go into the queue.
    fn fill(&mut self, plan: &UnpackPlan) {
        for at in 0..self.images.len() {
            let Some(image) = self.images.get_mut(at) else { continue };
            let Some(repo) = self.repos.get(image.repo) else { continue };
            if let (Phase::Done(_), Some(planned)) = (&image.phase, plan.images.get(image.planned)) {
                self.counts.present += image.tree.blobs.len() as u64;
                self.tags.push(format!("{}:{}", planned.repository, planned.tag));
                continue;
            }
            image.lacking = image.tree.blobs.iter().filter(|b| !repo.blobs.contains(b)).copied().collect();
            self.counts.present += (image.tree.blobs.len() - image.lacking.len()) as u64;
            for blob in &image.tree.blobs {
                self.users.entry((image.repo, *blob)).or_default().push(at);
            }
            for blob in &image.lacking {
                self.blobs.entry(*blob).or_default().lacking.insert(image.repo);
            }
        }
        (0..self.images.len()).for_each(|at| self.queue_if_ready(at));
    }

    fn queue_if_ready(&mut self, at: usize) {
        let released = self.late_released;
        if let Some(image) = self.images.get_mut(at)
            && matches!(image.phase, Phase::Waiting)
            && image.lacking.is_empty()
            && (!image.late || released)
        {
            image.phase = Phase::Pushing;
            self.queue.push_back(Job::Image(at));
        }
    }

    /// Lets late images go if all others are in. True when any went.
    pub fn release_late(&mut self) -> bool {
        let open = self.images.iter().any(|i| !i.late && !matches!(i.phase, Phase::Done(_)));
        if open {
            return false;
        }
        self.late_released = true;
        let before = self.queue.len();
        (0..self.images.len()).for_each(|at| self.queue_if_ready(at));
        self.queue.len() > before
    }

    /// A whole blob, or one that can be mounted, goes to the uploads.
    pub fn queue_blob(&mut self, blob: usize, content: Option<Content>) {
        if let Some(state) = self.blobs.get_mut(&blob) {
            state.busy = true;
        }
        self.queue.push_back(Job::Blob { blob, content });
    }

    /// The job of a blob is over; what it still lacks must be read again.
    pub fn blob_idle(&mut self, blob: usize) {
        if let Some(state) = self.blobs.get_mut(&blob) {
            state.busy = false;
        }
    }

    /// A repository that has the blob.
    pub fn owner(&self, blob: usize, except: usize) -> Option<&str> {
        self.repos.iter().enumerate().find(|(at, repo)| *at != except && repo.blobs.contains(&blob)).map(|(_, r)| r.place.as_str())
    }

    /// The blob is in the repository now.
    pub fn delivered(&mut self, blob: usize, repo: usize) {
        if let Some(repo) = self.repos.get_mut(repo) {
            repo.blobs.insert(blob);
        }
        if let Some(state) = self.blobs.get_mut(&blob) {
            state.lacking.remove(&repo);
        }
        for at in self.users.get(&(repo, blob)).cloned().unwrap_or_default() {
            if let Some(image) = self.images.get_mut(at) {
                image.lacking.remove(&blob);
            }
            self.queue_if_ready(at);
        }
    }

    /// The repository will not take the blob: the images that need it there fail.
    pub fn refused(&mut self, blob: usize, repo: usize, error: &ImageError) {
        if let Some(state) = self.blobs.get_mut(&blob) {
            state.lacking.remove(&repo);
        }
        for at in self.users.get(&(repo, blob)).cloned().unwrap_or_default() {
            if let Some(image) = self.images.get_mut(at).filter(|i| i.lacking.contains(&blob)) {
                image.phase = Phase::Failed(error.clone());
            }
        }
        self.drop_unneeded();
    }

    /// These tags (`repository:tag`) were put and may not have lasted: their images are not done.
    pub fn not_settled(&mut self, tags: &BTreeSet<String>, plan: &UnpackPlan) {
        for image in self.images.iter_mut().filter(|i| i.pushed) {
            let name = plan.images.get(image.planned).map(|p| format!("{}:{}", p.repository, p.tag));
            if name.is_some_and(|name| tags.contains(&name)) {
                (image.phase, image.pushed, image.unsure) = (Phase::Waiting, false, true);
            }
        }
    }

    /// The repository takes nothing: its other images would only be refused one by one.
    pub fn close_repository(&mut self, repo: usize, error: &ImageError) {
        for image in self.images.iter_mut().filter(|i| i.repo == repo && matches!(i.phase, Phase::Waiting) && !i.lacking.is_empty()) {
            image.phase = Phase::Failed(error.clone());
        }
        self.drop_unneeded();
    }

    /// The target has taken something.
    pub fn succeeded(&mut self) {
        self.strikes = 0;
    }

    /// The target failed where it should not; true when it did so too often in a row.
    pub fn struck(&mut self) -> bool {
        self.strikes += 1;
        self.strikes >= STRIKES
    }

    /// Blobs that only failed images lack are not fetched.
    fn drop_unneeded(&mut self) {
        let mut needed: BTreeSet<(usize, usize)> = BTreeSet::new();
        for image in self.images.iter().filter(|i| !matches!(i.phase, Phase::Failed(_) | Phase::Done(_))) {
            needed.extend(image.lacking.iter().map(|b| (*b, image.repo)));
        }
        for (blob, state) in &mut self.blobs {
            state.lacking.retain(|repo| needed.contains(&(*blob, *repo)));
        }
    }

    /// The registry has lost blobs of an image: they are fetched again. False when that was done too often.
    pub fn lost(&mut self, at: usize, blobs: &[usize], manifests: &[Digest]) -> bool {
        let Some(image) = self.images.get_mut(at) else { return false };
        image.attempts += 1;
        if image.attempts >= ATTEMPTS {
            return false;
        }
        image.phase = Phase::Waiting;
        image.lacking.extend(blobs);
        let repo = image.repo;
        if let Some(repo) = self.repos.get_mut(repo) {
            repo.blobs.retain(|b| !blobs.contains(b));
            repo.manifests.retain(|m| !manifests.contains(m));
        }
        for blob in blobs {
            let state = self.blobs.entry(*blob).or_default();
            state.lacking.insert(repo);
            if !state.busy {
                self.queue_blob(*blob, None);
            }
        }
        self.queue_if_ready(at);
        true
    }

    /// Counts a reading of a blob; false when it was read too often.
    pub fn count_read(&mut self, blob: usize) -> bool {
        let state = self.blobs.entry(blob).or_default();
        state.reads += 1;
        state.reads <= READS
    }

    /// Blobs that must come from the media now.
    pub fn to_read(&self) -> impl Iterator<Item = (usize, &BlobState)> {
        self.blobs.iter().filter(|(_, b)| !b.lacking.is_empty() && !b.busy && !b.given_up).map(|(i, b)| (*i, b))
    }

    /// Notes a part that could not be read.
    pub fn note_damage(&mut self, blob: usize, damage: Damage) {
        if let Some(state) = self.blobs.get_mut(&blob) {
            state.bad.insert(damage.volume);
        }
        if !self.damage.iter().any(|d| (d.volume, d.digest) == (damage.volume, damage.digest)) {
            self.damage.push(damage);
        }
    }

    /// Selected images that lack a blob, as `repository:tag`.
    pub fn images_lacking(&self, blob: usize, plan: &UnpackPlan) -> Vec<String> {
        let hit = self.images.iter().filter(|i| i.lacking.contains(&blob)).filter_map(|i| plan.images.get(i.planned));
        hit.map(|p| format!("{}:{}", p.repository, p.tag)).collect()
    }
}
