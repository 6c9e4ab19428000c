//! What a run knows: what every repository has, what every blob and image lacks, and what can be done next.

use super::Job;
use crate::digest::Digest;
use crate::format::Completeness;
use crate::unpack::catalog::{Catalog, Tree};
use crate::unpack::error::{Damage, ImageError, UnpackError};
use crate::unpack::plan::UnpackPlan;
use crate::unpack::spool::Content;
use crate::unpack::{Setting, place};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// One repository at the target.
pub(in crate::unpack) struct Repo {
    /// Name at the target.
    pub place: String,
    /// Blobs it has (indexes into the contents).
    pub blobs: HashSet<usize>,
    /// Manifests it has.
    pub manifests: HashSet<Digest>,
}

/// One blob some repository lacks or lacked.
#[derive(Default)]
pub(in crate::unpack) struct BlobState {
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
    pub(super) reads: u32,
}

impl BlobState {
    /// True when this run cannot complete it.
    pub fn is_broken(&self) -> bool {
        self.given_up || !self.bad.is_empty()
    }
}

/// How far an image is.
pub(in crate::unpack) enum Phase {
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
pub(in crate::unpack) struct ImageState {
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
    pub(super) attempts: u32,
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

pub(in crate::unpack) struct State {
    pub repos: Vec<Repo>,
    pub blobs: BTreeMap<usize, BlobState>,
    pub images: Vec<ImageState>,
    pub(super) users: HashMap<(usize, usize), Vec<usize>>,
    pub(super) queue: VecDeque<Job>,
    pub(super) running: usize,
    pub(super) closed: bool,
    pub(super) late_released: bool,
    pub fatal: Option<UnpackError>,
    pub counts: Counts,
    pub(super) strikes: u32,
    /// Bytes uploaded when the last holds were written.
    pub held_at: u64,
    pub damage: Vec<Damage>,
    pub direct: Vec<Digest>,
    pub warnings: Vec<String>,
    /// `repository:tag` set (or found set) and not yet in the ledger.
    pub tags: Vec<String>,
}

impl State {
    /// Where a run begins: what the plan found, and what is lacking.
    pub fn new(setting: &Setting<'_>, catalog: &Catalog<'_>, plan: &UnpackPlan) -> Result<State, UnpackError> {
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
        Ok(state)
    }

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

    pub(super) fn queue_if_ready(&mut self, at: usize) {
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

    /// Blobs that must come from the media now.
    pub fn to_read(&self) -> impl Iterator<Item = (usize, &BlobState)> {
        self.blobs.iter().filter(|(_, b)| !b.lacking.is_empty() && !b.busy && !b.given_up).map(|(i, b)| (*i, b))
    }
}
