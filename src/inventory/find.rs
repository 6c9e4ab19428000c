//! Where an image is: by its source, its digest, or its name at the target.

use super::InventoryError;
use crate::digest::Digest;
use crate::format::{Completeness, Receipt, ReceiptImage, Role, SetId};
use crate::oci::Reference;
use crate::text::nearest;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Any image, manifest or blob of this digest.
    Digest(Digest),
    /// An image by what it was asked for, or by its name at the target; without tag and digest, all images of that name.
    Name {
        /// As written.
        text: String,
        /// As a reference.
        reference: Box<Reference>,
    },
    /// Something recorded that is no registry reference: `oci:...`, `made:...`.
    Recorded(String),
}

impl Asked {
    /// Reads a digest, a reference (tag and digest may be missing), or a recorded source.
    ///
    /// # Errors
    /// [`InventoryError::Asked`].
    pub fn parse(text: &str) -> Result<Asked, InventoryError> {
        if let Ok(digest) = text.parse() {
            return Ok(Asked::Digest(digest));
        }
        if text.starts_with("oci:") || text.starts_with("made:") {
            return Ok(Asked::Recorded(text.to_owned()));
        }
        let text = text.strip_prefix("docker://").unwrap_or(text);
        let reference = Reference::parse(text).map_err(|_| InventoryError::Asked(text.to_owned()))?;
        Ok(Asked::Name { text: text.to_owned(), reference: Box::new(reference) })
    }
}

/// One place an image is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// `target/repository:tag`, what a client pulls.
    pub name: String,
    /// Repository below the target's prefix.
    pub repository: String,
    /// Its tag there.
    pub tag: String,
    /// Its root manifest.
    pub digest: Digest,
    /// What was asked for when it was carried.
    pub source: String,
    /// How much of it is there.
    pub completeness: Completeness,
    /// What it is for.
    pub role: Role,
    /// What needs it.
    pub part_of: Vec<String>,
    /// The set that brought it.
    pub set: SetId,
    /// A newer receipt gives the tag to other content; this is there by its digest alone, if at all.
    pub superseded: bool,
    /// Set where the digest asked for is below the image: a member of it or one of its blobs lies in its repository.
    pub below: bool,
}

/// Every place of what is asked about, the newest set first. `receipts` are in order, newest last.
pub fn find(receipts: &[Receipt], asked: &Asked) -> Vec<Place> {
    let names = receipts.iter().flat_map(|receipt| receipt.images.iter().map(|image| (name_of(receipt, image), image.digest)));
    // The newest comes last, and stays.
    let now: HashMap<_, Digest> = names.collect();
    let mut places = Vec::new();
    for receipt in receipts.iter().rev() {
        for image in &receipt.images {
            let Some(below) = means(receipt, image, asked) else { continue };
            places.push(Place {
                name: format!("{}/{}:{}", receipt.target, image.repository, image.tag),
                repository: image.repository.clone(),
                tag: image.tag.clone(),
                digest: image.digest,
                source: image.source.clone(),
                completeness: image.completeness.clone(),
                role: image.role,
                part_of: image.part_of.clone(),
                set: SetId { stream: receipt.stream.clone(), sequence: receipt.sequence, identity: receipt.identity },
                superseded: now.get(&name_of(receipt, image)).is_some_and(|now| *now != image.digest),
                below,
            });
        }
    }
    // Whole images before what merely lies in their repository.
    places.sort_by_key(|place| place.below);
    places
}

/// Target, repository and tag: receipts of several targets may be looked into together.
fn name_of<'r>(receipt: &'r Receipt, image: &'r ReceiptImage) -> (&'r str, &'r str, &'r str) {
    (&receipt.target, &image.repository, &image.tag)
}

/// Most names that are offered where there is none such.
const OFFERED: usize = 5;

/// Names receipts know that whoever asked for an image without tag may have meant: repositories that end in what was asked for, or what
/// a typing error made of one.
pub fn near<'r>(receipts: &'r [Receipt], asked: &Asked) -> Vec<&'r str> {
    let Asked::Name { text, reference } = asked else { return Vec::new() };
    if reference.tag.is_some() || reference.digest.is_some() {
        return Vec::new();
    }
    let names: BTreeSet<&str> = receipts.iter().flat_map(|r| &r.images).map(|image| image.repository.as_str()).collect();
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let (wanted, word) = (last(text), text.to_ascii_lowercase());
    let ends = |name: &&&str| last(name) == wanted || name.to_ascii_lowercase().ends_with(&word);
    let mut found: Vec<&str> = names.iter().filter(ends).take(OFFERED).copied().collect();
    if found.is_empty() {
        found.extend(
            nearest(text, names.iter().copied())
                .or_else(|| names.iter().copied().find(|name| nearest(&wanted, [last(name).as_str()]).is_some())),
        );
    }
    found
}

/// Whether an image is meant; `Some(true)` when it only may contain what is meant.
fn means(receipt: &Receipt, image: &ReceiptImage, asked: &Asked) -> Option<bool> {
    match asked {
        Asked::Digest(digest) => digest_of(receipt, image, digest),
        Asked::Recorded(text) => (image.source == *text).then_some(false),
        Asked::Name { text, reference } => {
            let by_source = Reference::parse(&image.source).is_ok_and(|source| source.name() == reference.name());
            let by_place = at_target(receipt, image, text);
            let tag_of = |own: Option<&str>| reference.tag.as_deref().is_none_or(|tag| own == Some(tag));
            let source_tag = Reference::parse(&image.source).ok().and_then(|s| s.tag);
            let tagged = by_source && (tag_of(source_tag.as_deref()) || reference.digest.is_some()) || by_place && tag_of(Some(&image.tag));
            match reference.digest {
                _ if !tagged => None,
                Some(digest) => digest_of(receipt, image, &digest),
                None => Some(false),
            }
        }
    }
}

fn digest_of(receipt: &Receipt, image: &ReceiptImage, digest: &Digest) -> Option<bool> {
    let member = matches!(&image.completeness, Completeness::SingleMember { member } if member == digest);
    if image.digest == *digest || member {
        return Some(false);
    }
    let root_elsewhere = receipt.images.iter().any(|other| other.digest == *digest);
    (!root_elsewhere && receipt.holds(Some(&image.repository), digest)).then_some(true)
}

/// Whether a text is `[target/]repository[:tag][@digest]`.
fn at_target(receipt: &Receipt, image: &ReceiptImage, text: &str) -> bool {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    let name = name.strip_prefix(&receipt.target).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
    name == image.repository || name.strip_prefix(image.repository.as_str()).is_some_and(|rest| rest.strip_prefix(':') == Some(&image.tag))
}
