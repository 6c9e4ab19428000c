//! What a run has done, and the receipt of it.

use super::plan::completeness;
use super::run::{Phase, Run};
use super::{ImageFailure, MirrorError, STREAM};
use crate::digest::Digest;
use crate::format::{Brought, Completeness, Receipt, SCHEMA, SetId};
use crate::ledger::{Action, Entry};
use crate::parallel::locked;
use crate::text::{are, counted};
use crate::unpack::{Arrived, Counts, DoneImage, PlannedImage};
use std::collections::BTreeSet;

/// The outcome of a run.
#[derive(Clone, Debug)]
pub struct MirrorReport {
    /// SHA-256 of the plan: what the receipt calls the set.
    pub identity: Digest,
    /// Images that are whole at the target.
    pub done: Vec<DoneImage>,
    /// Images that are not.
    pub failed: Vec<FailedImage>,
    /// Numbers.
    pub counts: Counts,
    /// What is worth knowing.
    pub warnings: Vec<String>,
    /// The present inventory of what was asked for.
    pub receipt: Receipt,
    /// The receipt as it is written and signed.
    pub receipt_bytes: Vec<u8>,
}

/// An image that is not whole at the target.
#[derive(Clone, Debug)]
pub struct FailedImage {
    /// Repository below the prefix.
    pub repository: String,
    /// The tag it was to have.
    pub tag: String,
    /// What was asked for.
    pub source: String,
    /// Why.
    pub failure: ImageFailure,
}

/// How many of an image's referrers are in.
fn referrers(image: usize, of_images: &[BTreeSet<usize>], arrived: &BTreeSet<usize>) -> Arrived {
    let of = of_images.get(image).map(|of| (of.len(), of.intersection(arrived).count())).unwrap_or_default();
    Arrived { here: of.1, of: of.0 }
}

impl Run<'_> {
    pub(super) fn report(&self) -> Result<MirrorReport, MirrorError> {
        let setting = self.setting;
        let identity = setting.wish.digest()?;
        let images = std::mem::take(&mut *locked(&self.phases));
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let of_images = self.catalog.referrers();
        let in_now = |(planned, phase): (&PlannedImage, &Phase)| matches!(phase, Phase::Done { .. }).then_some(planned.image);
        let arrived: BTreeSet<usize> = self.plan.images.iter().zip(&images).filter_map(in_now).collect();
        for (planned, phase) in self.plan.images.iter().zip(&images) {
            let (repository, tag) = (planned.repository.clone(), planned.tag.clone());
            match phase {
                Phase::Done { completeness, was_there } => {
                    let (completeness, was_there) = (completeness.clone(), *was_there);
                    let referrers = referrers(planned.image, &of_images, &arrived);
                    done.push(DoneImage { repository, tag, digest: planned.digest, was_there, completeness, referrers });
                }
                Phase::Failed(failure) => {
                    failed.push(FailedImage { repository, tag, source: planned.source.clone(), failure: failure.clone() });
                }
                Phase::Waiting => {}
            }
        }
        let outcome = format!("{} of {} {} in", done.len(), counted(self.plan.images.len(), "image"), are(done.len()));
        let set = SetId { stream: STREAM.into(), sequence: setting.options.sequence, identity };
        let subject = crate::text::shown(&self.plan.target).to_string();
        let entry = Entry { at: setting.options.now.clone(), action: Action::Mirror, set: Some(set), subject, outcome };
        let head = setting.log.append(&entry)?;
        let receipt = self.receipt(&images, identity, head);
        Ok(MirrorReport {
            identity,
            done,
            failed,
            counts: *locked(&self.counts),
            warnings: locked(&self.warnings).clone(),
            receipt_bytes: receipt.to_bytes()?,
            receipt,
        })
    }

    fn receipt(&self, phases: &[Phase], identity: Digest, head: Digest) -> Receipt {
        let mut brought = Brought::default();
        for (w, phase) in self.wanted.iter().zip(phases) {
            let Phase::Done { completeness, .. } = phase else { continue };
            let blobs = w.tree.blobs.iter().filter_map(|b| self.setting.wish.blobs.get(*b)).map(|b| b.digest);
            brought.add(&w.image, (&w.image.repository, &w.image.tag), completeness, &w.tree.nodes, blobs);
        }
        let (images, repositories) = brought.listed();
        Receipt {
            schema: SCHEMA,
            target: self.plan.target.clone(),
            max_nested_paths: u8::try_from(self.setting.options.max_nested_paths).unwrap_or(u8::MAX),
            stream: STREAM.into(),
            sequence: self.setting.options.sequence,
            identity,
            written: self.setting.options.now.clone(),
            images,
            repositories,
            documents: self.setting.wish.documents.clone(),
            skipped_tags: Vec::new(),
            log_head: Some(head),
        }
    }

    pub(super) fn whole(&self, nodes: &[Digest]) -> Completeness {
        completeness(&self.catalog, nodes)
    }
}
