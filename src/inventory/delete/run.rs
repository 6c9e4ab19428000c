//! Carrying a deletion out, and what receipts say after it.

use super::{Deletion, Doomed};
use crate::digest::Digest;
use crate::format::Receipt;
use crate::inventory::InventoryError;
use crate::inventory::check::{about, go_on};
use crate::parallel::ask_all;
use crate::progress::Progress;
use crate::registry;
use crate::unpack::{Target, TargetError, TargetTrouble, below};
use std::collections::{BTreeMap, BTreeSet};

/// What a run has done.
#[derive(Debug, Default)]
pub struct Deleted {
    /// Manifests that are gone, by full repository name.
    pub manifests: BTreeSet<(String, Digest)>,
    /// Images that are gone: `repository:tag` or `repository@digest`.
    pub images: Vec<String>,
    /// Images that were gone before; receipts still named them.
    pub were_gone: Vec<String>,
    /// Tags that could not be removed while their content stays.
    pub tags_left: Vec<String>,
    /// Images that could not be deleted.
    pub failed: Vec<(String, TargetError)>,
    /// Roots of those, by full repository name.
    pub forgotten: BTreeSet<(String, Digest)>,
    /// What receipts no longer list: full repository name, tag, digest.
    pub entries: BTreeSet<(String, Option<String>, Digest)>,
}

/// Deletes. Images that fail do not keep the others; a registry that deletes nothing ends the run.
///
/// # Errors
/// [`InventoryError::DeletionOff`], a registry that is gone, an interruption; the receipts say then what they said before, and the same
/// command finds what is gone already.
pub fn delete(deletion: &Deletion, target: &dyn Target, threads: usize, progress: &dyn Progress) -> Result<Deleted, InventoryError> {
    let outcomes = ask_all(threads, &deletion.images, |image| {
        go_on(progress)?;
        one(image, target)
    })?;
    let mut deleted = Deleted::default();
    let left = left(deletion, &outcomes);
    for (image, outcome) in deletion.images.iter().zip(outcomes) {
        let name = image.name();
        let root = (image.repository.as_str(), image.root);
        match outcome {
            Outcome::Gone if left.contains_key(&root) => {
                // It is among the manifests of an image that failed.
                let why = |(other, trouble): &(&Doomed, TargetTrouble)| {
                    TargetError::new(*trouble, format!("{}@{} is still there: {} failed", root.0, root.1, other.name()))
                };
                deleted.failed.extend(left.get(&root).map(|other| (name, why(other))));
            }
            Outcome::Gone if image.manifests.is_empty() && image.tag.is_none() => {}
            Outcome::Gone if image.was_gone => {
                deleted.forgotten.extend(image.manifests.iter().map(|d| (image.repository.clone(), *d)));
                deleted.were_gone.push(name);
                deleted.entries.insert((image.repository.clone(), image.tag.clone(), image.digest));
            }
            Outcome::Gone => {
                deleted.manifests.extend(image.manifests.iter().map(|d| (image.repository.clone(), *d)));
                deleted.images.push(name);
                deleted.entries.insert((image.repository.clone(), image.tag.clone(), image.digest));
            }
            Outcome::TagLeft => deleted.tags_left.push(name),
            Outcome::Failed { error, .. } => deleted.failed.push((name, error)),
        }
    }
    Ok(deleted)
}

/// What was to go and is still there, with the image whose deletion broke off before it.
fn left<'d>(deletion: &'d Deletion, outcomes: &[Outcome]) -> BTreeMap<(&'d str, Digest), (&'d Doomed, TargetTrouble)> {
    let mut left = BTreeMap::new();
    for (image, outcome) in deletion.images.iter().zip(outcomes) {
        let Outcome::Failed { error, done } = outcome else { continue };
        let rest = image.manifests.iter().skip(*done);
        left.extend(rest.map(|digest| ((image.repository.as_str(), *digest), (image, error.trouble))));
    }
    left
}

enum Outcome {
    Gone,
    TagLeft,
    /// After as many of its manifests were deleted.
    Failed {
        error: TargetError,
        done: usize,
    },
}

fn one(image: &Doomed, target: &dyn Target) -> Result<Outcome, InventoryError> {
    if image.was_gone {
        return Ok(Outcome::Gone);
    }
    for (done, digest) in image.manifests.iter().enumerate() {
        if let Err(error) = target.delete_manifest(&image.repository, digest) {
            let subject = format!("{}@{digest}", image.repository);
            let off = matches!(error.source.downcast_ref(), Some(registry::Error::Unsupported { .. }));
            return match off {
                true => Err(InventoryError::DeletionOff { subject, error }),
                false if error.trouble.ends_run() => Err(about(&image.repository, '@', digest, error)),
                false => Ok(Outcome::Failed { error, done }),
            };
        }
    }
    match &image.tag {
        Some(tag) if image.only_tag => match target.untag(&image.repository, tag) {
            Ok(true) => Ok(Outcome::Gone),
            Ok(false) => Ok(Outcome::TagLeft),
            Err(error) if error.trouble.ends_run() => Err(about(&image.repository, ':', tag, error)),
            Err(error) => Ok(Outcome::Failed { error, done: image.manifests.len() }),
        },
        _ => Ok(Outcome::Gone),
    }
}

/// A receipt without what is gone; it may list nothing any more.
pub fn remaining(receipt: &Receipt, deletion: &Deletion, deleted: &Deleted, prefix: &str) -> Receipt {
    let entries: BTreeSet<(&str, Option<&str>, Digest)> =
        deleted.entries.iter().map(|(place, tag, digest)| (below(prefix, place), tag.as_deref(), *digest)).collect();
    let mut left = receipt.clone();
    left.images.retain(|i| {
        let by = |tag: Option<&str>| entries.contains(&(i.repository.as_str(), tag, i.digest));
        !by(Some(&i.tag)) && !by(None)
    });
    for (place, digest) in deleted.manifests.iter().chain(&deleted.forgotten) {
        if let Some(holding) = left.repositories.get_mut(below(prefix, place)) {
            holding.manifests.remove(digest);
        }
    }
    for (place, blobs) in &deletion.loose {
        if let Some(holding) = left.repositories.get_mut(below(prefix, place)) {
            holding.blobs.retain(|blob| !blobs.contains(blob));
        }
    }
    left.repositories.retain(|_, holding| !holding.manifests.is_empty() || !holding.blobs.is_empty());
    left
}
