//! What a run has done and what is left.

use super::board::{BlobState, ImageState, Phase, State};
use super::error::{Damage, ImageError, UnpackError};
use super::plan::{PlannedImage, parts};
use super::run::Run;
use crate::digest::Digest;
use crate::format::{Brought, Completeness, Receipt, SCHEMA, SetId, SkippedTag, Standing};
use crate::ledger::{Action, Entry};
use std::collections::{BTreeMap, BTreeSet};

pub use super::board::Counts;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct UnpackReport {
    /// The set.
    pub set: SetId,
    /// How it stood to the ledger when the run began.
    pub standing: Standing,
    /// Images that are whole at the target.
    pub done: Vec<DoneImage>,
    /// Images that lack content, or wait for the others.
    pub waiting: Vec<WaitingImage>,
    /// Images the target refused.
    pub failed: Vec<FailedImage>,
    /// Parts that could not be read.
    pub damaged: Vec<Damage>,
    /// Tags a newer set wrote and that were left alone.
    pub skipped_tags: Vec<SkippedTag>,
    /// Volumes that are still needed.
    pub volumes_needed: BTreeSet<u32>,
    /// Images of the set that are about others (signatures, attestations, SBOMs), among all images.
    pub referrers: Arrived,
    /// Numbers.
    pub counts: Counts,
    /// Blobs that went straight from the medium.
    pub direct: Vec<Digest>,
    /// Tags that hold what has arrived early (`repository:tag`).
    pub holds: Vec<String>,
    /// What is worth knowing.
    pub warnings: Vec<String>,
    /// Most bytes the spool had on disk at once.
    pub spool_peak: u64,
    /// Most bytes that waited in memory at once.
    pub memory_peak: u64,
    /// The present inventory.
    pub receipt: Receipt,
    /// The receipt as it is written and signed.
    pub receipt_bytes: Vec<u8>,
}

/// An image that is whole at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneImage {
    /// Repository of the set.
    pub repository: String,
    /// The tag it has.
    pub tag: String,
    /// Its root.
    pub digest: Digest,
    /// Whether it was found there.
    pub was_there: bool,
    /// How much of it is there.
    pub completeness: Completeness,
    /// What is about it.
    pub referrers: Arrived,
}

/// How many of some things of the set are at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrived {
    /// Whole at the target, and found from what they refer to.
    pub here: usize,
    /// In the set.
    pub of: usize,
}

/// An image that is not whole yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingImage {
    /// Repository of the set.
    pub repository: String,
    /// The tag it will have.
    pub tag: String,
    /// Volumes needed for it that were not at hand.
    pub volumes: BTreeSet<u32>,
    /// Blobs of it that could not be read.
    pub damaged: BTreeSet<Digest>,
    /// Blobs of it the spool had no room for: the largest size is what `--spool-size` lacks at least.
    pub no_room: BTreeSet<Digest>,
    /// It has everything and waits for the other images.
    pub for_others: bool,
}

/// An image the target refused.
#[derive(Clone, Debug)]
pub struct FailedImage {
    /// Repository of the set.
    pub repository: String,
    /// The tag it was to have.
    pub tag: String,
    /// Why.
    pub error: ImageError,
}

impl Run<'_> {
    pub(super) fn report(&self, holds: Vec<String>) -> Result<UnpackReport, UnpackError> {
        let subject = crate::text::shown(&self.plan.target).to_string();
        let at = self.setting.options.now.clone();
        let entry = Entry { at, action: Action::Unpack, set: Some(self.set.clone()), subject, outcome: self.outcome() };
        let head = self.setting.log.append(&entry)?;
        let state = self.board.state();
        let receipt = self.receipt(&state, head);
        let waiting: Vec<WaitingImage> = self.images(&state).filter_map(|(image, planned)| self.waiting(&state, image, planned)).collect();
        let referrers = self.arrived(&state);
        let (spool_peak, memory_peak) = self.setting.spool.high_water();
        Ok(UnpackReport {
            set: self.set.clone(),
            standing: self.standing,
            done: self.images(&state).filter_map(|(image, planned)| done(image, planned, &referrers)).collect(),
            referrers: referrers.all,
            volumes_needed: waiting.iter().flat_map(|w| w.volumes.iter().copied()).collect(),
            waiting,
            failed: self.images(&state).filter_map(|(image, planned)| failed(image, planned)).collect(),
            damaged: state.damage.clone(),
            skipped_tags: self.plan.skipped_tags.clone(),
            counts: state.counts,
            direct: state.direct.clone(),
            holds,
            warnings: state.warnings.clone(),
            spool_peak,
            memory_peak,
            receipt_bytes: receipt.to_bytes()?,
            receipt,
        })
    }

    fn images<'s>(&'s self, state: &'s State) -> impl Iterator<Item = (&'s ImageState, &'s PlannedImage)> {
        state.images.iter().filter_map(|image| Some((image, self.plan.images.get(image.planned)?)))
    }

    /// Counts, for each image, what is about it.
    fn arrived(&self, state: &State) -> Referrers {
        let here: BTreeSet<usize> =
            self.images(state).filter(|(image, _)| matches!(image.phase, Phase::Done(_))).map(|(_, planned)| planned.image).collect();
        let selected: BTreeSet<usize> = self.images(state).map(|(_, planned)| planned.image).collect();
        let count = |of: &BTreeSet<usize>| Arrived { here: of.intersection(&here).count(), of: of.len() };
        let by_image: BTreeMap<usize, BTreeSet<usize>> =
            self.catalog.referrers().into_iter().enumerate().filter(|(at, of)| !of.is_empty() && selected.contains(at)).collect();
        let all: BTreeSet<usize> = by_image.values().flatten().copied().collect();
        Referrers { all: count(&all), by_image: by_image.iter().map(|(at, of)| (*at, count(of))).collect() }
    }

    fn waiting(&self, state: &State, image: &ImageState, planned: &PlannedImage) -> Option<WaitingImage> {
        if !matches!(image.phase, Phase::Waiting | Phase::Pushing) {
            return None;
        }
        let (mut volumes, mut damaged, mut no_room) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (index, blob) in image.lacking.iter().filter_map(|b| Some((b, self.catalog.contents.blobs.get(*b)?))) {
            let known = state.blobs.get(index);
            if known.is_some_and(BlobState::is_broken) {
                damaged.insert(blob.digest);
                continue;
            }
            if known.is_some_and(|b| b.deferred) {
                no_room.insert(blob.digest);
            }
            let missing = parts(blob).filter(|(_, at, len)| !self.setting.spool.has(&blob.digest, *at, *len)).map(|(v, ..)| v);
            volumes.extend(missing.filter(|v| !self.setting.media.volumes_here().contains(v)));
        }
        Some(WaitingImage {
            repository: planned.repository.clone(),
            tag: planned.tag.clone(),
            volumes,
            damaged,
            no_room,
            for_others: image.late && image.lacking.is_empty(),
        })
    }

    fn receipt(&self, state: &State, head: Digest) -> Receipt {
        let mut brought = Brought::default();
        for (image, planned) in self.images(state) {
            let Phase::Done(completeness) = &image.phase else { continue };
            let Some(of) = self.catalog.contents.images.get(planned.image) else { continue };
            let blobs = image.tree.blobs.iter().filter_map(|b| self.catalog.contents.blobs.get(*b)).map(|b| b.digest);
            brought.add(of, (&planned.repository, &planned.tag), completeness, &image.tree.nodes, blobs);
        }
        let (images, repositories) = brought.listed();
        Receipt {
            schema: SCHEMA,
            target: self.plan.target.clone(),
            max_nested_paths: u8::try_from(self.setting.options.max_nested_paths).unwrap_or(u8::MAX),
            stream: self.set.stream.clone(),
            sequence: self.set.sequence,
            identity: self.set.identity,
            written: self.setting.options.now.clone(),
            images,
            repositories,
            documents: self.catalog.contents.documents.clone(),
            skipped_tags: self.plan.skipped_tags.clone(),
            log_head: Some(head),
        }
    }
}

/// What arrived of the referrers.
struct Referrers {
    /// By position among the contents' images.
    by_image: BTreeMap<usize, Arrived>,
    all: Arrived,
}

fn done(image: &ImageState, planned: &PlannedImage, referrers: &Referrers) -> Option<DoneImage> {
    let Phase::Done(completeness) = &image.phase else { return None };
    Some(DoneImage {
        repository: planned.repository.clone(),
        tag: planned.tag.clone(),
        digest: planned.digest,
        was_there: !image.pushed,
        completeness: completeness.clone(),
        referrers: referrers.by_image.get(&planned.image).copied().unwrap_or_default(),
    })
}

fn failed(image: &ImageState, planned: &PlannedImage) -> Option<FailedImage> {
    let Phase::Failed(error) = &image.phase else { return None };
    Some(FailedImage { repository: planned.repository.clone(), tag: planned.tag.clone(), error: error.clone() })
}
