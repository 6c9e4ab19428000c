//! Whether a target has everything it should have.

use super::InventoryError;
use crate::digest::{Digest, Hasher};
use crate::format::{Completeness, Receipt};
use crate::oci::referrers::says_more;
use crate::oci::{Descriptor, Manifest};
use crate::pack::PackPlan;
use crate::parallel::ask_all;
use crate::progress::Progress;
use crate::unpack::{Target, TargetError, TargetTrouble, UnpackError, place};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

/// What is read of a blob at once.
const PIECE: usize = 256 << 10;

/// Everything one target should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// By full repository name and tag: what the tag should name, one of these.
    pub tags: BTreeMap<(String, String), BTreeSet<Digest>>,
    /// By full repository name: manifests.
    pub manifests: BTreeSet<(String, Digest)>,
    /// By full repository name: blobs with their sizes.
    pub blobs: BTreeSet<(String, Digest, u64)>,
}

impl Expected {
    /// How many questions that is.
    pub fn len(&self) -> usize {
        self.tags.len() + self.manifests.len() + self.blobs.len()
    }

    /// True when nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lack {
    /// `repository:tag` or `repository@digest`.
    pub subject: String,
    /// What is wrong with it.
    pub lacking: Lacking,
}

/// The ways something can be not as it should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lacking {
    /// There is no such tag.
    Tag,
    /// The tag names something else.
    Moved {
        /// What it names.
        found: Digest,
    },
    /// The manifest is not there.
    Manifest,
    /// The blob is not there, or has another size.
    Blob,
    /// The blob has other bytes ([`prove`]).
    Damaged {
        /// The digest it should have.
        digest: Digest,
    },
}

/// What the images of a plan need at a target; their blobs too when `blobs` is set.
///
/// # Errors
/// A name the target cannot have.
pub fn of_plan(wish: &PackPlan, prefix: &str, max_nested_paths: usize, blobs: bool) -> Result<Expected, InventoryError> {
    let parsed = |m: &crate::format::ManifestData| Some((m.digest, Manifest::parse(&m.bytes(), Some(&m.media_type)).ok()?));
    let manifests: BTreeMap<Digest, Manifest> = wish.manifests.iter().filter_map(parsed).collect();
    let in_plan: BTreeSet<Digest> = wish.blobs.iter().map(|b| b.digest).collect();
    let mut expected = Expected::default();
    for image in &wish.images {
        let place = place(prefix, max_nested_paths, &image.repository)?;
        let root = image.root.digest;
        let nodes = nodes(root, &manifests);
        let absent = manifests.get(&root).is_some_and(|m| m.children().iter().any(|c| !manifests.contains_key(&c.digest)));
        let members: Vec<Digest> = nodes.iter().copied().filter(|n| *n != root).collect();
        let mut tagged = BTreeSet::from([root]);
        // A target that takes no sparse index has the one member that is carried under the tag.
        if let (true, [member]) = (absent, members.as_slice()) {
            tagged.insert(*member);
        }
        let single = tagged.len() > 1;
        expected.tags.entry((place.clone(), image.tag.clone())).or_default().extend(tagged);
        expected.manifests.extend(nodes.iter().filter(|n| !(single && **n == root)).map(|n| (place.clone(), *n)));
        if blobs {
            let of_nodes = nodes.iter().filter_map(|n| manifests.get(n)).flat_map(Manifest::blobs);
            // Foreign layers that the registry need not have are not in the plan.
            let carried = of_nodes.filter(|b| in_plan.contains(&b.digest) || b.urls.is_empty());
            expected.blobs.extend(carried.map(|b| (place.clone(), b.digest, b.size)));
        }
    }
    Ok(expected)
}

/// A root and all manifests below it that are known.
pub(super) fn nodes(root: Digest, manifests: &BTreeMap<Digest, Manifest>) -> BTreeSet<Digest> {
    let mut nodes = BTreeSet::new();
    let mut pending = vec![root];
    while let Some(digest) = pending.pop() {
        if (digest == root || manifests.contains_key(&digest)) && nodes.insert(digest) {
            pending.extend(manifests.get(&digest).into_iter().flat_map(Manifest::children).map(|c| c.digest));
        }
    }
    nodes
}

/// What receipts (newest last) say a target holds. Sizes of blobs are not in them: those are asked of the target's own manifests
/// when `blobs` is set.
///
/// # Errors
/// What the target answers badly.
pub fn of_receipts(
    receipts: &[Receipt],
    prefix: &str,
    target: Option<&dyn Target>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Expected, InventoryError> {
    let full = |repository: &str| if prefix.is_empty() { repository.to_owned() } else { format!("{prefix}/{repository}") };
    let mut expected = Expected::default();
    for receipt in receipts {
        for image in &receipt.images {
            let digest = match image.completeness {
                Completeness::SingleMember { member } => member,
                Completeness::Full | Completeness::Sparse => image.digest,
            };
            // A newer receipt decides what a tag names.
            expected.tags.insert((full(&image.repository), image.tag.clone()), BTreeSet::from([digest]));
        }
        for (repository, holding) in &receipt.repositories {
            expected.manifests.extend(holding.manifests.iter().map(|digest| (full(repository), *digest)));
        }
    }
    let Some(target) = target else { return Ok(expected) };
    let asked: Vec<(String, Digest)> = expected.manifests.iter().cloned().collect();
    let blobs = ask_all(threads, &asked, |(place, digest)| {
        go_on(progress)?;
        let bytes = match target.manifest(place, digest) {
            // The damaged file of a layout. [`check`] tells that the manifest is not there.
            Err(error) if error.trouble == TargetTrouble::Refused && !target.collects_garbage() => None,
            answer => answer.map_err(|error| about(place, '@', digest, error))?,
        };
        let manifest = bytes.and_then(|bytes| Manifest::parse(&bytes, None).ok());
        let needed = |b: &&Descriptor| b.urls.is_empty();
        Ok::<_, InventoryError>(
            manifest.iter().flat_map(Manifest::blobs).filter(needed).map(|b| (place.clone(), b.digest, b.size)).collect::<Vec<_>>(),
        )
    })?;
    expected.blobs = blobs.into_iter().flatten().collect();
    Ok(expected)
}

/// Asks a target for everything; what lacks, in order of the names.
///
/// # Errors
/// What the target answers badly, or an interruption.
pub fn check(target: &dyn Target, expected: &Expected, threads: usize, progress: &dyn Progress) -> Result<Vec<Lack>, InventoryError> {
    let tags: Vec<_> = expected.tags.iter().collect();
    let wrong_tags = ask_all(threads, &tags, |((place, tag), wanted)| {
        go_on(progress)?;
        let found = target.tag(place, tag).map_err(|error| about(place, ':', tag, error))?;
        let lacking = match found {
            Some(found) if wanted.contains(&found) || holds_all(target, place, tag, wanted, &found) => None,
            Some(found) => Some(Lacking::Moved { found }),
            None => Some(Lacking::Tag),
        };
        Ok::<_, InventoryError>(lacking.map(|lacking| Lack { subject: format!("{place}:{tag}"), lacking }))
    })?;
    let manifests: Vec<_> = expected.manifests.iter().collect();
    let no_manifests = ask_all(threads, &manifests, |(place, digest)| {
        go_on(progress)?;
        let there = target.has_manifest(place, digest).map_err(|error| about(place, '@', digest, error))?;
        Ok::<_, InventoryError>((!there).then(|| Lack { subject: format!("{place}@{digest}"), lacking: Lacking::Manifest }))
    })?;
    let blobs: Vec<_> = expected.blobs.iter().collect();
    let no_blobs = ask_all(threads, &blobs, |(place, digest, size)| {
        go_on(progress)?;
        let there = target.has_blob(place, &Descriptor::new("", *digest, *size)).map_err(|error| about(place, '@', digest, error))?;
        Ok::<_, InventoryError>((!there).then(|| Lack { subject: format!("{place}@{digest}"), lacking: Lacking::Blob }))
    })?;
    Ok([wrong_tags, no_manifests, no_blobs].into_iter().flatten().flatten().collect())
}

/// Whether the signatures or attestations under a tag of cosign's are those that should be there and others, which were made at the
/// target: they lie in one manifest.
fn holds_all(target: &dyn Target, place: &str, tag: &str, wanted: &BTreeSet<Digest>, found: &Digest) -> bool {
    let shared = tag.starts_with("sha256-") && (tag.ends_with(".sig") || tag.ends_with(".att"));
    let bytes = |digest: &Digest| target.manifest(place, digest).ok().flatten();
    let Some(theirs) = shared.then(|| bytes(found)).flatten() else { return false };
    wanted.iter().filter_map(bytes).any(|ours| !says_more(&ours, &theirs))
}

/// Reads every blob that lies in a layout and compares its digest; those that are not there are [`check`]'s to tell. A registry
/// proves what it takes; a folder holds what its disk, or whoever copied it, made of it. Blobs that several repositories share are read
/// once.
///
/// # Errors
/// What cannot be read, or an interruption.
pub fn prove(target: &dyn Target, expected: &Expected, threads: usize, progress: &dyn Progress) -> Result<Vec<Lack>, InventoryError> {
    if target.collects_garbage() {
        return Ok(Vec::new());
    }
    let once: BTreeMap<Digest, (&str, u64)> =
        expected.blobs.iter().map(|(place, digest, size)| (*digest, (place.as_str(), *size))).collect();
    let once: Vec<_> = once.into_iter().collect();
    let wrong = ask_all(threads, &once, |(digest, (place, size))| {
        let blob = Descriptor::new("", *digest, *size);
        let failed = |error| about(place, '@', digest, error);
        let holds = !target.has_blob(place, &blob).map_err(failed)? || holds(target, place, &blob, progress)?;
        Ok::<_, InventoryError>(
            (!holds).then(|| Lack { subject: format!("{place}@{digest}"), lacking: Lacking::Damaged { digest: *digest } }),
        )
    })?;
    Ok(wrong.into_iter().flatten().collect())
}

/// Whether the bytes of a blob have its digest.
fn holds(target: &dyn Target, place: &str, blob: &Descriptor, progress: &dyn Progress) -> Result<bool, InventoryError> {
    let failed = |error| about(place, '@', blob.digest, error);
    let mut reader = target.open_blob(place, blob).map_err(failed)?;
    let mut hasher = Hasher::new(blob.digest.algorithm());
    let mut buffer = vec![0; PIECE];
    loop {
        go_on(progress)?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish() == blob.digest),
            Ok(n) => {
                hasher.update(buffer.get(..n).unwrap_or_default());
                progress.advance(n as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(TargetError::new(TargetTrouble::Content, e))),
        }
    }
}

pub(super) fn go_on(progress: &dyn Progress) -> Result<(), InventoryError> {
    match progress.cancelled() {
        true => Err(UnpackError::Interrupted.into()),
        false => Ok(()),
    }
}

/// Names the subject of a failed request.
pub(super) fn about(place: &str, between: char, what: impl std::fmt::Display, error: TargetError) -> InventoryError {
    match error.trouble {
        TargetTrouble::Cancelled => UnpackError::Interrupted.into(),
        _ => InventoryError::Target { subject: format!("{place}{between}{what}"), error },
    }
}
