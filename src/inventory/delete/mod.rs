//! Deleting, counted by reference: by the receipts, and by every tag the registry has, whoever set it.

mod decide;
mod run;
mod shelf;

pub use run::{Deleted, delete, remaining};

use super::check::{about, go_on};
use super::{DeleteItem, DeleteList, InventoryError};
use crate::digest::Digest;
use crate::format::{Completeness, Receipt, ReceiptImage, Role};
use crate::limits;
use crate::oci::referrers::cosign_suffix;
use crate::oci::{Manifest, media};
use crate::parallel::ask_all;
use crate::progress::Progress;
use crate::unpack::{Target, below, place};
use decide::decide;
use serde::Serialize;
use shelf::look;
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
    /// What the registry has of it. Another image may have it among its manifests.
    #[serde(skip)]
    pub root: Digest,
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

impl Doomed {
    /// `repository:tag`, or with its digest where it has no tag.
    pub fn name(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.repository),
            None => format!("{}@{}", self.repository, self.digest),
        }
    }
}

/// One image of the list, found.
struct Meant {
    place: String,
    tag: Option<String>,
    /// As receipts say.
    digest: Digest,
    /// As the registry has it.
    root: Digest,
    /// What it refers to, as the registry has that, where that is meant too: it goes if that goes.
    of: Option<Digest>,
    /// The list names it; else it goes with something that is named.
    listed: bool,
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
    attach(&mut meant, receipts, target, prefix)?;
    let shelves = ask_all(threads, &places, |place| {
        Ok::<_, InventoryError>((place.clone(), look(place, &meant, receipts, target, prefix, progress)?))
    })?;
    Ok(Deletion { unknown, ..decide(&meant, &shelves.into_iter().collect()) })
}

/// One item of the list; nothing when it is gone already and no receipt knows it.
fn find(
    item: &DeleteItem,
    receipts: &[Receipt],
    target: &dyn Target,
    prefix: &str,
    max_nested_paths: usize,
) -> Result<Option<Meant>, InventoryError> {
    let elsewhere = || InventoryError::Elsewhere { item: item.image_reference.clone(), target: target.name() };
    let text = item.image_reference.strip_prefix("docker://").unwrap_or(&item.image_reference);
    let rest = after_target(text, &target.name()).ok_or_else(elsewhere)?;
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
    Ok(Some(Meant { place, tag, digest, root, of: None, listed: true }))
}

/// What follows the name of the target. Lists of others have the host in any letter case (RFC 3986, 3.2.2).
fn after_target<'a>(text: &'a str, target: &str) -> Option<&'a str> {
    let host = target.split('/').next().unwrap_or(target).len();
    let (named, rest) = text.split_at_checked(host)?;
    let (own, path) = target.split_at_checked(host)?;
    if target.starts_with("oci:") || !named.eq_ignore_ascii_case(own) {
        return text.strip_prefix(target)?.strip_prefix('/');
    }
    rest.strip_prefix(path)?.strip_prefix('/')
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

/// Whatever refers to a meant image or to a member of it goes with it: signatures, attestations and SBOMs by tag (`sha256-HEX.sig`),
/// and manifests with a subject, as far as receipts know them. What the list names itself is tied to its image all the same.
fn attach(meant: &mut Vec<Meant>, receipts: &[Receipt], target: &dyn Target, prefix: &str) -> Result<(), InventoryError> {
    let by_tag = |image: &ReceiptImage| image.tag.starts_with("sha256-") && image.tag.contains('.');
    let mut images: BTreeMap<&str, Vec<&ReceiptImage>> = BTreeMap::new();
    for image in receipts.iter().flat_map(|r| &r.images).filter(|image| image.role == Role::Referrer || by_tag(image)) {
        images.entry(&image.repository).or_default().push(image);
    }
    let mut at = 0;
    while let Some(Meant { place, digest, root, .. }) = meant.get(at) {
        let (place, digest, root) = (place.clone(), *digest, *root);
        at += 1;
        let Some(here) = images.get(below(prefix, &place)) else { continue };
        // Each with what the registry has of it.
        let subjects = std::iter::once((digest, root)).chain(members(&place, root, target)?.into_iter().map(|member| (member, member)));
        for (subject, of) in subjects {
            let refers = |image: &&&ReceiptImage| {
                let by_subject = image.role == Role::Referrer && image.subject == Some(subject);
                image.digest != subject && (by_subject || by_tag(image) && cosign_suffix(&image.tag, &subject).is_some())
            };
            for image in here.iter().filter(refers) {
                let same = |m: &&mut Meant| m.place == place && m.tag.as_ref() == Some(&image.tag) && m.digest == image.digest;
                match meant.iter_mut().find(same) {
                    Some(known) => known.of = known.of.or(Some(of)),
                    None => meant.push(Meant {
                        place: place.clone(),
                        tag: Some(image.tag.clone()),
                        digest: image.digest,
                        root: root_of(image),
                        of: Some(of),
                        listed: false,
                    }),
                }
            }
        }
    }
    Ok(())
}

/// What lies below an index in the registry; nothing below an image.
fn members(place: &str, root: Digest, target: &dyn Target) -> Result<BTreeSet<Digest>, InventoryError> {
    let (mut found, mut indexes) = (BTreeSet::new(), vec![root]);
    while let Some(index) = indexes.pop() {
        let bytes = target.manifest(place, &index).map_err(|error| about(place, '@', index, error))?;
        // What cannot be read names nothing here; whether it goes is judged elsewhere.
        let Some(manifest) = bytes.and_then(|bytes| Manifest::parse(&bytes, None).ok()) else { continue };
        let fresh = manifest.children().iter().filter(|child| found.len() < limits::INDEX_CHILDREN && found.insert(child.digest));
        indexes.extend(fresh.filter(|child| matches!(child.media_type.as_str(), media::OCI_INDEX | media::DOCKER_LIST)).map(|c| c.digest));
    }
    Ok(found)
}
