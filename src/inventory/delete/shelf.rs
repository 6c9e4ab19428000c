//! What a repository holds, and what of it is kept by other names.

use super::{Meant, root_of};
use crate::digest::Digest;
use crate::format::Receipt;
use crate::inventory::InventoryError;
use crate::inventory::check::{about, go_on, nodes};
use crate::limits;
use crate::oci::Manifest;
use crate::oci::referrers::fallback_tag;
use crate::progress::Progress;
use crate::unpack::{Target, below};
use std::collections::{BTreeMap, BTreeSet};

/// One repository as it is: what is kept by which name, and what its manifests refer to.
#[derive(Default)]
pub(super) struct Shelf {
    /// Kept roots with one name for each.
    pub(super) kept: BTreeMap<Digest, String>,
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) manifests: BTreeMap<Digest, Manifest>,
    /// Asked for, and not there.
    pub(super) absent: BTreeSet<Digest>,
    /// Indexes that are there and cannot be read, or lie too deep, with their names: what they need is not known.
    pub(super) unread: BTreeMap<Digest, String>,
    /// Tags of lists of what refers to a meant image, each with what the registry has of that image (distribution specification,
    /// "Referrers Tag Schema").
    pub(super) lists: Vec<(String, Digest)>,
    /// What a deletion that was cut off has left: manifests below an index that is gone. Indexes first.
    pub(super) orphans: Vec<Digest>,
}

/// Everything a repository keeps beside what is meant: images of receipts, and tags whoever set them.
pub(super) fn look(
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
    let subjects = here.iter().flat_map(|m| [(m.digest, m.root)].into_iter().chain(m.of.map(|of| (of, of))));
    let subjects: BTreeMap<String, (Digest, Digest)> = subjects.map(|of| (fallback_tag(&of.0), of)).collect();
    for tag in target.tags(place).map_err(|error| about(place, ':', "", error))? {
        go_on(progress)?;
        let Some(digest) = target.tag(place, &tag).map_err(|error| about(place, ':', &tag, error))? else { continue };
        // Others may call an image so, by its digest: that is no list.
        let list = subjects.get(&tag).copied();
        if let Some((_, root)) = list.filter(|(subject, root)| ![*subject, *root].contains(&digest)) {
            shelf.lists.push((tag.clone(), root));
        } else if !here.iter().any(|m| m.tag.as_ref() == Some(&tag) && m.root == digest) {
            shelf.kept.entry(digest).or_insert_with(|| format!("{place}:{tag}"));
        }
        shelf.tags.insert(tag, digest);
    }
    let lists: BTreeSet<Digest> = shelf.lists.iter().filter_map(|(tag, _)| shelf.tags.get(tag)).copied().collect();
    let roots: BTreeSet<Digest> = shelf.kept.keys().chain(&lists).copied().chain(here.iter().map(|m| m.root)).collect();
    shelf.walk(place, &roots, target, progress)?;
    shelf.keep_what_is_no_list(place);
    // One that goes needs nothing any more.
    shelf.unread.retain(|digest, _| shelf.kept.contains_key(digest) || here.iter().all(|m| m.root != *digest));
    // A root that is gone no longer says what was below it: the receipts do. Not where a kept one is gone as well, whose it could be.
    let root_gone = here.iter().any(|m| shelf.absent.contains(&m.root)) && shelf.unread.is_empty();
    if root_gone && !shelf.kept.keys().any(|root| shelf.absent.contains(root)) {
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
    /// What only has the tag of a list is an image like others: of a list, all that is there refers to the image.
    fn keep_what_is_no_list(&mut self, place: &str) {
        let Shelf { lists, tags, manifests, kept, .. } = self;
        lists.retain(|(tag, _)| {
            let Some(digest) = tags.get(tag) else { return false };
            let refers = |child: &Manifest| child.subject.as_ref().is_some_and(|subject| fallback_tag(&subject.digest) == *tag);
            let list = manifests.get(digest).filter(|m| m.is_index());
            let is_list = list.is_some_and(|l| l.children().iter().filter_map(|c| manifests.get(&c.digest)).all(refers));
            if !is_list {
                kept.entry(*digest).or_insert_with(|| format!("{place}:{tag}"));
            }
            is_list
        });
    }

    /// Reads the manifests of these and of everything below them.
    fn walk(&mut self, place: &str, roots: &BTreeSet<Digest>, target: &dyn Target, progress: &dyn Progress) -> Result<(), InventoryError> {
        let mut pending: Vec<(Digest, usize)> = roots.iter().map(|d| (*d, 0)).collect();
        while let Some((digest, depth)) = pending.pop() {
            go_on(progress)?;
            if self.manifests.contains_key(&digest) || self.absent.contains(&digest) {
                continue;
            }
            if depth > limits::INDEX_DEPTH {
                self.unread.insert(digest, format!("{place}@{digest}"));
                continue;
            }
            let Some(bytes) = target.manifest(place, &digest).map_err(|error| about(place, '@', digest, error))? else {
                self.absent.insert(digest);
                continue;
            };
            let Ok(manifest) = Manifest::parse(&bytes, None) else {
                if names_manifests(&bytes) {
                    self.unread.insert(digest, format!("{place}@{digest}"));
                }
                continue;
            };
            pending.extend(manifest.children().iter().map(|c| (c.digest, depth + 1)));
            // It may have been too deep below another root.
            self.unread.remove(&digest);
            self.manifests.insert(digest, manifest);
        }
        Ok(())
    }
}

/// Whether a document that is no manifest for us may name other manifests all the same. Docker's schema 1 and artifact manifests
/// do not; of what cannot be read at all, or has the member twice, nobody knows.
fn names_manifests(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Names {
        manifests: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Names>(bytes).map_or(true, |names| names.manifests.is_some())
}
