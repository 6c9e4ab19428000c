//! What goes wrong: refusals, losses, damage, and how often something is tried again.

use super::state::{Phase, State};
use crate::digest::Digest;
use crate::unpack::error::{Damage, ImageError};
use crate::unpack::plan::UnpackPlan;
use std::collections::BTreeSet;

/// A blob is fetched this often before a registry that keeps losing it is given up.
const READS: u32 = 3;
/// An image is pushed this often.
const ATTEMPTS: u32 = 3;
/// So many requests that fail one after the other, each after all its tries, end the run: the target is out of order. Fewer are
/// the trouble of single blobs, and the night's other images go on.
pub(in crate::unpack) const STRIKES: u32 = 8;

impl State {
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
