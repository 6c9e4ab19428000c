//! Deleting, counted by reference: by the receipts, and by every tag the registry has, whoever set it.

use super::check::{about, go_on, nodes};
use super::{DeleteList, InventoryError};
use crate::digest::Digest;
use crate::format::{Completeness, Receipt, ReceiptImage};
use crate::limits;
use crate::oci::Manifest;
use crate::parallel::ask_all;
use crate::progress::Progress;
use crate::registry;
use crate::unpack::{Target, TargetError, below, place};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What will be deleted, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Deletion {
    /// Images, in the order they are deleted.
    pub images: Vec<Doomed>,
    /// What was to go and stays, wholly or in part.
    pub kept: Vec<Kept>,
    /// What the list names, and neither the registry nor a receipt knows.
    pub unknown: Vec<String>,
    /// Blobs nothing needs any more, by full repository name: the registry's garbage collection frees them.
    pub loose: BTreeMap<String, BTreeSet<Digest>>,
}

/// One image to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Doomed {
    /// Full repository name.
    pub repository: String,
    /// Its tag, if it has one.
    pub tag: Option<String>,
    /// What receipts call its digest.
    pub digest: Digest,
    /// Manifests to be deleted, parents first; empty when all of them stay and only the tag goes.
    pub manifests: Vec<Digest>,
    /// The manifest stays and only the tag goes, where the registry can do that.
    pub only_tag: bool,
    /// The registry has not had it any more; only the receipts still name it.
    pub was_gone: bool,
}

/// Something that was to be deleted and stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// `repository:tag` or `repository@digest`.
    pub name: String,
    /// Why.
    pub stay: Stay,
}

/// Why something stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Stay {
    /// Another image of the repository needs it.
    NeededBy(String),
    /// The tag names something else by now.
    TagMoved(Digest),
}

impl Stay {
    /// For people.
    pub fn told(&self) -> String {
        match self {
            Stay::NeededBy(name) => format!("{name} needs it"),
            Stay::TagMoved(digest) => format!("the tag names {digest} by now"),
        }
    }
}

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

/// One image of the list, found.
struct Meant {
    place: String,
    tag: Option<String>,
    /// As receipts say.
    digest: Digest,
    /// As the registry has it.
    root: Digest,
}

/// One repository as it is: what is kept by which name, and what its manifests refer to.
#[derive(Default)]
struct Shelf {
    /// Kept roots with one name for each.
    kept: BTreeMap<Digest, String>,
    tags: BTreeMap<String, Digest>,
    manifests: BTreeMap<Digest, Manifest>,
    /// Asked for, and not there.
    absent: BTreeSet<Digest>,
    /// What a deletion that was cut off has left: manifests below an index that is gone. Indexes first.
    orphans: Vec<Digest>,
}

/// Works out what a list means: asks the registry for the tags and manifests of every repository concerned.
///
/// # Errors
/// [`InventoryError::Elsewhere`] for an item of another target; what the registry answers badly: what cannot be looked at is not
/// deleted from.
pub fn plan(
    list: &DeleteList,
    receipts: &[Receipt],
    target: &dyn Target,
    prefix: &str,
    max_nested_paths: usize,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Deletion, InventoryError> {
    let (mut meant, mut unknown) = (Vec::new(), Vec::new());
    for item in &list.items {
        go_on(progress)?;
        match find(item, receipts, target, prefix, max_nested_paths)? {
            Some(found) => meant.push(found),
            None => unknown.push(item.image_reference.clone()),
        }
    }
    let places: BTreeSet<String> = meant.iter().map(|m| m.place.clone()).collect();
    let places: Vec<String> = places.into_iter().collect();
    add_signatures(&mut meant, receipts, prefix);
    let shelves = ask_all(threads, &places, |place| {
        Ok::<_, InventoryError>((place.clone(), look(place, &meant, receipts, target, prefix, progress)?))
    })?;
    Ok(Deletion { unknown, ..decide(&meant, &shelves.into_iter().collect()) })
}

/// One item of the list; nothing when it is gone already and no receipt knows it.
fn find(
    item: &super::DeleteItem,
    receipts: &[Receipt],
    target: &dyn Target,
    prefix: &str,
    max_nested_paths: usize,
) -> Result<Option<Meant>, InventoryError> {
    let elsewhere = || InventoryError::Elsewhere { item: item.image_reference.clone(), target: target.name() };
    let text = item.image_reference.strip_prefix("docker://").unwrap_or(&item.image_reference);
    let rest = text.strip_prefix(&target.name()).and_then(|rest| rest.strip_prefix('/')).ok_or_else(elsewhere)?;
    let (name, digest) = match rest.split_once('@') {
        Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|_| elsewhere())?)),
        None => (rest, None),
    };
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) => (repository, Some(tag.to_owned())),
        None => (name, None),
    };
    let place = place(prefix, max_nested_paths, repository)?;
    let known = |tag: Option<&str>| {
        let is_it = |image: &&ReceiptImage| {
            image.repository == below(prefix, &place)
                && tag.is_none_or(|tag| image.tag == tag)
                && item.digest.or(digest).is_none_or(|digest| image.digest == digest)
        };
        receipts.iter().rev().flat_map(|r| &r.images).find(is_it)
    };
    // What oc-mirror calls sha256-HEX, this program calls keep.sha256-HEX.
    let ours = tag.as_deref().filter(|tag| is_digest_tag(tag)).map(|tag| format!("keep.{tag}"));
    let (known, tag) = match (known(tag.as_deref()), ours) {
        (None, Some(ours)) if known(Some(&ours)).is_some() => (known(Some(&ours)), Some(ours)),
        (found, _) => (found, tag),
    };
    let digest = match (item.digest.or(digest), known, &tag) {
        (Some(digest), ..) => digest,
        (None, Some(image), _) => image.digest,
        (None, None, Some(tag)) => match target.tag(&place, tag).map_err(|error| about(&place, ':', tag, error))? {
            Some(digest) => digest,
            None => return Ok(None),
        },
        (None, None, None) => return Err(elsewhere()),
    };
    let tag = tag.or_else(|| known.map(|image| image.tag.clone()));
    let root = known.map_or(digest, root_of);
    Ok(Some(Meant { place, tag, digest, root }))
}

/// `sha256-` and 64 digits: a tag that stands for a digest.
fn is_digest_tag(tag: &str) -> bool {
    tag.strip_prefix("sha256-").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What the registry has of an image.
fn root_of(image: &ReceiptImage) -> Digest {
    match image.completeness {
        Completeness::SingleMember { member } => member,
        Completeness::Full | Completeness::Sparse => image.digest,
    }
}

/// Signatures, attestations and SBOMs by tag (`sha256-HEX.sig`) go with what they are about.
fn add_signatures(meant: &mut Vec<Meant>, receipts: &[Receipt], prefix: &str) {
    let mut more = Vec::new();
    for m in meant.iter() {
        let all = || receipts.iter().flat_map(|r| &r.images);
        let is_meant = |image: &ReceiptImage| {
            meant
                .iter()
                .any(|o| below(prefix, &o.place) == image.repository && o.tag.as_ref() == Some(&image.tag) && o.digest == image.digest)
        };
        // Another name keeps the image, and so its signature.
        if all().any(|i| i.digest == m.digest && i.repository == below(prefix, &m.place) && !is_meant(i)) {
            continue;
        }
        let stem = format!("{}.", m.digest.to_string().replacen(':', "-", 1));
        let about = |image: &&ReceiptImage| {
            let ending = image.tag.strip_prefix(&stem);
            image.repository == below(prefix, &m.place) && ending.is_some_and(|e| matches!(e, "sig" | "att" | "sbom"))
        };
        for image in all().filter(about) {
            let known = |other: &Meant| other.place == m.place && other.tag.as_ref() == Some(&image.tag) && other.digest == image.digest;
            if !meant.iter().chain(&more).any(known) {
                more.push(Meant { place: m.place.clone(), tag: Some(image.tag.clone()), digest: image.digest, root: root_of(image) });
            }
        }
    }
    meant.extend(more);
}

/// Everything a repository keeps beside what is meant: images of receipts, and tags whoever set them.
fn look(
    place: &str,
    meant: &[Meant],
    receipts: &[Receipt],
    target: &dyn Target,
    prefix: &str,
    progress: &dyn Progress,
) -> Result<Shelf, InventoryError> {
    let mut shelf = Shelf::default();
    let here: Vec<&Meant> = meant.iter().filter(|m| m.place == place).collect();
    for image in receipts.iter().flat_map(|r| &r.images).filter(|i| i.repository == below(prefix, place)) {
        let is_meant = |m: &&Meant| m.tag.as_ref() == Some(&image.tag) && m.digest == image.digest;
        if !here.iter().any(is_meant) {
            shelf.kept.entry(root_of(image)).or_insert_with(|| format!("{place}:{}", image.tag));
        }
    }
    for tag in target.tags(place).map_err(|error| about(place, ':', "", error))? {
        go_on(progress)?;
        let Some(digest) = target.tag(place, &tag).map_err(|error| about(place, ':', &tag, error))? else { continue };
        if !here.iter().any(|m| m.tag.as_ref() == Some(&tag) && m.root == digest) {
            shelf.kept.entry(digest).or_insert_with(|| format!("{place}:{tag}"));
        }
        shelf.tags.insert(tag, digest);
    }
    let roots: BTreeSet<Digest> = shelf.kept.keys().copied().chain(here.iter().map(|m| m.root)).collect();
    shelf.walk(place, &roots, target, progress)?;
    // A root that is gone no longer says what was below it: the receipts do. Not where a kept one is gone as well, whose it could be.
    if here.iter().any(|m| shelf.absent.contains(&m.root)) && !shelf.kept.keys().any(|root| shelf.absent.contains(root)) {
        let held = receipts.iter().filter_map(|r| r.repositories.get(below(prefix, place))).flat_map(|held| &held.manifests).copied();
        let reached: BTreeSet<Digest> = roots.iter().flat_map(|root| nodes(*root, &shelf.manifests)).collect();
        let left: BTreeSet<Digest> = held.filter(|digest| !reached.contains(digest)).collect();
        shelf.walk(place, &left, target, progress)?;
        let (indexes, others): (Vec<Digest>, Vec<Digest>) =
            left.into_iter().filter(|d| !shelf.absent.contains(d)).partition(|d| shelf.manifests.get(d).is_some_and(Manifest::is_index));
        shelf.orphans = [indexes, others].concat();
    }
    Ok(shelf)
}

impl Shelf {
    /// Reads the manifests of these and of everything below them.
    fn walk(&mut self, place: &str, roots: &BTreeSet<Digest>, target: &dyn Target, progress: &dyn Progress) -> Result<(), InventoryError> {
        let mut pending: Vec<(Digest, usize)> = roots.iter().map(|d| (*d, 0)).collect();
        while let Some((digest, depth)) = pending.pop() {
            go_on(progress)?;
            if self.manifests.contains_key(&digest) || self.absent.contains(&digest) || depth > limits::INDEX_DEPTH {
                continue;
            }
            let Some(bytes) = target.manifest(place, &digest).map_err(|error| about(place, '@', digest, error))? else {
                self.absent.insert(digest);
                continue;
            };
            // What no registry serves any more refers to nothing that could be told.
            let Ok(manifest) = Manifest::parse(&bytes, None) else { continue };
            pending.extend(manifest.children().iter().map(|c| (c.digest, depth + 1)));
            self.manifests.insert(digest, manifest);
        }
        Ok(())
    }
}

/// Pure: what goes is what only the meant images need.
fn decide(meant: &[Meant], shelves: &BTreeMap<String, Shelf>) -> Deletion {
    let mut deletion = Deletion::default();
    let mut gone: BTreeSet<(&str, Digest)> = BTreeSet::new();
    for m in meant {
        let Some(shelf) = shelves.get(&m.place) else { continue };
        let name = m.tag.as_ref().map_or_else(|| format!("{}@{}", m.place, m.digest), |tag| format!("{}:{tag}", m.place));
        let moved = m.tag.as_ref().and_then(|tag| shelf.tags.get(tag)).filter(|now| **now != m.root);
        if let Some(now) = moved {
            deletion.kept.push(Kept { name: name.clone(), stay: Stay::TagMoved(*now) });
        }
        // Breadth first: parents before what they name.
        let mut order = vec![m.root];
        let mut at = 0;
        while let Some(digest) = order.get(at).copied() {
            at += 1;
            let children = shelf.manifests.get(&digest).into_iter().flat_map(Manifest::children).map(|c| c.digest);
            let fresh: Vec<Digest> = children.filter(|c| shelf.manifests.contains_key(c) && !order.contains(c)).collect();
            order.extend(fresh);
        }
        let mut manifests = Vec::new();
        for digest in order {
            match needed_by(shelf, &digest) {
                Some(other) if digest == m.root => {
                    deletion.kept.push(Kept { name: name.clone(), stay: Stay::NeededBy(other) });
                }
                Some(other) => deletion.kept.push(Kept { name: format!("{}@{digest}", m.place), stay: Stay::NeededBy(other) }),
                None if gone.insert((&m.place, digest)) => manifests.push(digest),
                None => {}
            }
        }
        // A tag that names something else by now is somebody else's; one whose manifest goes goes with it.
        let only_tag = moved.is_none() && !gone.contains(&(m.place.as_str(), m.root));
        let was_gone = !only_tag && shelf.absent.contains(&m.root);
        deletion.images.push(Doomed { repository: m.place.clone(), tag: m.tag.clone(), digest: m.digest, manifests, only_tag, was_gone });
    }
    for (place, shelf) in shelves {
        for digest in shelf.orphans.iter().filter(|digest| gone.insert((place, **digest))) {
            let manifests = vec![*digest];
            deletion.images.push(Doomed {
                repository: place.clone(),
                tag: None,
                digest: *digest,
                manifests,
                only_tag: false,
                was_gone: false,
            });
        }
    }
    deletion.loose = loose(&gone, shelves);
    deletion
}

/// The name of a kept image that needs a manifest.
fn needed_by(shelf: &Shelf, digest: &Digest) -> Option<String> {
    shelf.kept.iter().find(|(root, _)| *root == digest || nodes(**root, &shelf.manifests).contains(digest)).map(|(_, name)| name.clone())
}

fn loose(gone: &BTreeSet<(&str, Digest)>, shelves: &BTreeMap<String, Shelf>) -> BTreeMap<String, BTreeSet<Digest>> {
    let mut loose: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
    for (place, shelf) in shelves {
        let blobs = |wanted: bool| {
            let of = shelf.manifests.iter().filter(move |(digest, _)| gone.contains(&(place.as_str(), **digest)) == wanted);
            of.flat_map(|(_, manifest)| manifest.blobs()).map(|b| b.digest).collect::<BTreeSet<Digest>>()
        };
        let freed: BTreeSet<Digest> = blobs(true).difference(&blobs(false)).copied().collect();
        if !freed.is_empty() {
            loose.insert(place.clone(), freed);
        }
    }
    loose
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
    for (image, outcome) in deletion.images.iter().zip(outcomes) {
        let name = image.name();
        match outcome {
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
            Outcome::Failed(error) => deleted.failed.push((name, error)),
        }
    }
    Ok(deleted)
}

enum Outcome {
    Gone,
    TagLeft,
    Failed(TargetError),
}

impl Doomed {
    /// `repository:tag`, or with its digest where it has no tag.
    pub fn name(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.repository),
            None => format!("{}@{}", self.repository, self.digest),
        }
    }
}

fn one(image: &Doomed, target: &dyn Target) -> Result<Outcome, InventoryError> {
    if image.was_gone {
        return Ok(Outcome::Gone);
    }
    for digest in &image.manifests {
        if let Err(error) = target.delete_manifest(&image.repository, digest) {
            let subject = format!("{}@{digest}", image.repository);
            let off = matches!(error.source.downcast_ref(), Some(registry::Error::Unsupported { .. }));
            return match off {
                true => Err(InventoryError::DeletionOff { subject, error }),
                false if error.trouble.ends_run() => Err(about(&image.repository, '@', digest, error)),
                false => Ok(Outcome::Failed(error)),
            };
        }
    }
    match &image.tag {
        Some(tag) if image.only_tag => match target.untag(&image.repository, tag) {
            Ok(true) => Ok(Outcome::Gone),
            Ok(false) => Ok(Outcome::TagLeft),
            Err(error) if error.trouble.ends_run() => Err(about(&image.repository, ':', tag, error)),
            Err(error) => Ok(Outcome::Failed(error)),
        },
        _ => Ok(Outcome::Gone),
    }
}

/// Receipts without what is gone: as many, in the same order; some may list nothing any more.
pub fn remaining(receipts: &[Receipt], deletion: &Deletion, deleted: &Deleted, prefix: &str) -> Vec<Receipt> {
    let entries: BTreeSet<(&str, Option<&str>, Digest)> =
        deleted.entries.iter().map(|(place, tag, digest)| (below(prefix, place), tag.as_deref(), *digest)).collect();
    let without = |receipt: &Receipt| {
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
    };
    receipts.iter().map(without).collect()
}
