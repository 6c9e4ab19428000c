//! What a run will do, as data: printable, serialisable, complete.

use super::catalog::Catalog;
use super::error::UnpackError;
use super::probe::{Found, Probe, Wanted};
use super::select::select;
use super::spool::Spool;
use super::{Setting, below, place};
use crate::digest::Digest;
use crate::format::{Blob, Commit, Completeness, Holding, Image, SetId, SkippedTag};
use crate::image_set::{Destination, find_collision};
use crate::ledger::Ledger;
use crate::oci::keep_tag;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU32;

/// What is to be done to have the selected images at the target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnpackPlan {
    /// The target as a person names it.
    pub target: String,
    /// Repositories of the set go below this; empty: none.
    pub prefix: String,
    /// The set.
    pub set: SetId,
    /// Fingerprint of the ledger the tags were decided by: a plan kept until a newer set came is refused, for it could move
    /// tags back.
    pub ledger: Digest,
    /// The selected images, in the order of the set.
    pub images: Vec<PlannedImage>,
    /// Blobs some repository lacks, in the order they lie in the volumes.
    pub blobs: Vec<PlannedBlob>,
    /// What the target has of the selected images, by repository of the set.
    pub present: BTreeMap<String, Holding>,
    /// Volumes that must be read.
    pub volumes: Vec<PlannedVolume>,
    /// Tags a newer set wrote: they stay, the images arrive under their keep tags.
    pub skipped_tags: Vec<SkippedTag>,
    /// Bytes of blobs to be uploaded (mounts not counted).
    pub upload_bytes: u64,
    /// Space needed and free.
    pub space: Space,
}

/// One selected image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedImage {
    /// Index into the contents' images.
    pub image: usize,
    /// Repository below the prefix, flattened where that was asked for.
    pub repository: String,
    /// The tag it gets: its own, or its keep tag where a newer set wrote that.
    pub tag: String,
    /// What was asked for when it was packed.
    pub source: String,
    /// Root manifest.
    pub digest: Digest,
    /// Present already (and how), or to be pushed.
    pub present: Option<Completeness>,
    /// Waits for all others.
    pub late: bool,
    /// How many images of the set are about it: signatures, attestations, SBOMs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub referrers: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// How a blob gets to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Road {
    /// From the contents document.
    Inline,
    /// From another repository of the target.
    Mount,
    /// From a medium through memory.
    Memory,
    /// From media through a spool file.
    Spool,
    /// Straight from the medium while it is decoded: it does not fit into the spool. The target alone checks its digest
    /// before it is complete, and a failed upload means reading it again.
    Direct,
}

/// One blob that is lacking somewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedBlob {
    /// Index into the contents' blobs.
    pub blob: usize,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Repositories of the set that lack it.
    pub repositories: Vec<String>,
    /// How it gets there.
    pub road: Road,
    /// Volumes that still have to be read for it.
    pub volumes: BTreeSet<u32>,
}

/// One volume that must be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedVolume {
    /// Its number, from 1.
    pub number: u32,
    /// The name it was written under.
    pub name: String,
    /// The medium it was meant for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<u32>,
    /// Whether it is at hand.
    pub here: bool,
    /// Bytes to be read from it.
    pub bytes: u64,
}

/// Space needed and free, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Space {
    /// Most the spool has to hold at once if the volumes come in order.
    pub spool_needed: u64,
    /// What it holds already, blobs in the making counted whole.
    pub spool_used: u64,
    /// Free where the spool is.
    pub spool_free: u64,
    /// Free at the target, where that can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_free: Option<u64>,
}

impl UnpackPlan {
    /// True when nothing is left to be done.
    pub fn is_done(&self) -> bool {
        self.images.iter().all(|image| image.present.is_some())
    }

    /// Volumes that must be read and are not at hand.
    pub fn volumes_missing(&self) -> impl Iterator<Item = &PlannedVolume> {
        self.volumes.iter().filter(|v| !v.here)
    }

    /// Fails when the spool's disk or the target is too small.
    pub fn check_space(&self, spool: &Spool) -> Result<(), UnpackError> {
        let space = &self.space;
        let more = space.spool_needed.saturating_sub(space.spool_used);
        if more > space.spool_free {
            return Err(UnpackError::SpoolSpace { path: spool.dir().path().to_owned(), needed: more, free: space.spool_free });
        }
        match space.target_free {
            Some(free) if free < self.upload_bytes => {
                Err(UnpackError::TargetSpace { target: self.target.clone(), needed: self.upload_bytes, free })
            }
            _ => Ok(()),
        }
    }
}

/// Makes the plan: judges the set, selects images, asks the target what it has, and says what must be read.
pub fn plan(setting: &Setting<'_>, ledger: &Ledger) -> Result<UnpackPlan, UnpackError> {
    let set = setting.set();
    ledger.judge(&set, setting.options.first)?;
    let catalog = Catalog::new(setting.media.contents())?;
    let mut wanted = wanted(setting, &catalog)?;
    refuse_collisions(&catalog, &wanted)?;
    let probe = Probe { target: setting.target, threads: setting.options.probes, progress: setting.progress, strikes: AtomicU32::new(0) };
    let mut found = probe.find(&catalog, &wanted)?;
    probe.give_way(&catalog, &mut wanted, &mut found)?;
    let (tags, skipped_tags) = tags(&set, ledger, &wanted, &found);
    probe.tags(wanted.iter().zip(&tags).filter(|(w, tag)| **tag != w.image.tag).map(|(w, tag)| (w, tag.clone())), &mut found)?;
    let images: Vec<PlannedImage> = wanted.iter().zip(tags).map(|(w, tag)| planned_image(&catalog, w, tag, &found)).collect();
    let blobs = planned_blobs(setting, &catalog, &wanted, &images, &found)?;
    let uploads = blobs.iter().filter(|b| b.road != Road::Mount).map(|b| b.size);
    let mut plan = UnpackPlan {
        target: setting.target.name(),
        prefix: setting.options.prefix.clone(),
        set,
        ledger: ledger.fingerprint()?,
        images,
        upload_bytes: uploads.fold(0, u64::saturating_add),
        volumes: Vec::new(),
        blobs,
        present: found.holdings,
        skipped_tags,
        space: Space {
            spool_needed: 0,
            spool_used: setting.spool.used(),
            spool_free: setting.spool.dir().free()?,
            target_free: setting.target.free_space(),
        },
    };
    plan.volumes = planned_volumes(setting, &plan.blobs);
    plan.space.spool_needed = spool_needed(setting, &plan);
    Ok(plan)
}

/// From here on an image's repository is what it is called at the target below the prefix: where names are flattened, ledger, plan
/// and receipt name what is there.
fn wanted(setting: &Setting<'_>, catalog: &Catalog<'_>) -> Result<Vec<Wanted>, UnpackError> {
    let mut all = Vec::new();
    let referrers = catalog.referrers();
    let selected = select(catalog.contents, &setting.options.select)?;
    // What refers to an image comes with it, whatever it is called.
    let with_referrers: BTreeSet<usize> =
        selected.iter().flat_map(|at| referrers.get(*at).into_iter().flatten()).chain(&selected).copied().collect();
    for index in with_referrers {
        if let Some(image) = catalog.contents.images.get(index) {
            let place = place(&setting.options.prefix, setting.options.max_nested_paths, &image.repository)?;
            let repository = below(&setting.options.prefix, &place).to_owned();
            let tree = catalog.tree(image);
            let referrers = referrers.get(index).map_or(0, BTreeSet::len);
            all.push(Wanted { index, image: Image { repository, ..image.clone() }, place, tree, referrers });
        }
    }
    Ok(all)
}

/// Two images of a set never share a name; flattened, they may.
fn refuse_collisions(catalog: &Catalog<'_>, wanted: &[Wanted]) -> Result<(), UnpackError> {
    let named: Vec<(String, Destination, Digest)> = wanted
        .iter()
        .map(|w| {
            let own = catalog.contents.images.get(w.index).map_or(&w.image.repository, |image| &image.repository);
            let from = format!("{own}:{}", w.image.tag);
            (from, Destination { repository: w.place.clone(), tag: w.image.tag.clone() }, w.image.root.digest)
        })
        .collect();
    find_collision(named.iter().map(|(from, to, digest)| (from.as_str(), to, *digest))).map_err(UnpackError::Collision)
}

/// The tag each image gets. A tag that a newer set wrote stays, unless it points where this set wants it anyway.
fn tags(set: &SetId, ledger: &Ledger, wanted: &[Wanted], found: &Found) -> (Vec<String>, Vec<SkippedTag>) {
    let mut skipped = Vec::new();
    let tags = wanted.iter().map(|w| {
        let root = w.image.root.digest;
        let now = found.tags.get(&(w.image.repository.clone(), w.image.tag.clone()));
        match ledger.skip(set, &w.image.repository, &w.image.tag, root) {
            Some(skip) if now != Some(&root) => {
                skipped.push(skip);
                keep_tag(&root)
            }
            _ => w.image.tag.clone(),
        }
    });
    let tags = tags.collect();
    skipped.sort();
    (tags, skipped)
}

pub(crate) fn planned_image(catalog: &Catalog<'_>, w: &Wanted, tag: String, found: &Found) -> PlannedImage {
    let root = w.image.root.digest;
    let pointed = found.tags.get(&(w.image.repository.clone(), tag.clone())).copied();
    let holding = found.holdings.get(&w.image.repository);
    let there = |digest: &Digest| holding.is_some_and(|h| h.manifests.contains(digest));
    let below = w.tree.nodes.iter().filter(|n| **n != root).all(there);
    let present = match (pointed, w.tree.single) {
        (Some(tagged), _) if tagged == root && below && there(&root) => Some(completeness(catalog, &w.tree.nodes)),
        (Some(tagged), Some(member)) if tagged == member && there(&member) => Some(Completeness::SingleMember { member }),
        _ => None,
    };
    PlannedImage {
        image: w.index,
        repository: w.image.repository.clone(),
        tag,
        source: w.image.source.clone(),
        digest: root,
        present,
        late: w.image.commit == Commit::Late,
        referrers: w.referrers,
    }
}

pub(crate) fn completeness(catalog: &Catalog<'_>, nodes: &[Digest]) -> Completeness {
    if nodes.iter().any(|n| catalog.absent_members(n) > 0) { Completeness::Sparse } else { Completeness::Full }
}

fn planned_blobs(
    setting: &Setting<'_>,
    catalog: &Catalog<'_>,
    wanted: &[Wanted],
    images: &[PlannedImage],
    found: &Found,
) -> Result<Vec<PlannedBlob>, UnpackError> {
    let mut lacking: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let has = |repository: &str, digest: &Digest| found.holdings.get(repository).is_some_and(|h| h.blobs.contains(digest));
    for (w, _) in wanted.iter().zip(images).filter(|(_, image)| image.present.is_none()) {
        for b in &w.tree.blobs {
            let there = catalog.contents.blobs.get(*b).is_some_and(|blob| has(&w.image.repository, &blob.digest));
            if !there {
                lacking.entry(*b).or_default().insert(w.image.repository.clone());
            }
        }
    }
    let mut blobs = Vec::new();
    for (b, repositories) in lacking {
        let Some(blob) = catalog.contents.blobs.get(b) else { continue };
        let mountable = found.holdings.values().any(|h| h.blobs.contains(&blob.digest));
        let road = road(setting, blob, mountable)?;
        let volumes = match road {
            Road::Inline | Road::Mount => BTreeSet::new(),
            _ => parts(blob).filter(|(_, at, len)| !setting.spool.has(&blob.digest, *at, *len)).map(|(v, ..)| v).collect(),
        };
        let repositories = repositories.into_iter().collect();
        blobs.push(PlannedBlob { blob: b, digest: blob.digest, size: blob.size, repositories, road, volumes });
    }
    Ok(blobs)
}

/// Volume, offset and length (both in the blob) of each part.
pub(super) fn parts(blob: &Blob) -> impl Iterator<Item = (u32, u64, u64)> {
    blob.parts.iter().scan(0u64, |at, part| {
        let start = *at;
        *at = at.saturating_add(part.plain());
        Some((part.volume, start, part.plain()))
    })
}

fn road(setting: &Setting<'_>, blob: &Blob, mountable: bool) -> Result<Road, UnpackError> {
    if blob.inline.is_some() || blob.size == 0 {
        return Ok(Road::Inline);
    }
    if mountable {
        return Ok(Road::Mount);
    }
    if setting.fits_memory(blob) {
        return Ok(Road::Memory);
    }
    if blob.size <= setting.spool.limit() {
        return Ok(Road::Spool);
    }
    let volumes: BTreeSet<u32> = parts(blob).map(|(v, ..)| v).collect();
    if volumes.len() > 1 && !volumes.is_subset(setting.media.volumes_here()) {
        // It was given its room when the spool might take more, and keeps it.
        if setting.spool.holds(&blob.digest) {
            return Ok(Road::Spool);
        }
        return Err(UnpackError::SpoolTooSmall { digest: blob.digest, size: blob.size, spool_size: setting.spool.limit(), volumes });
    }
    Ok(Road::Direct)
}

fn planned_volumes(setting: &Setting<'_>, blobs: &[PlannedBlob]) -> Vec<PlannedVolume> {
    let mut bytes: BTreeMap<u32, u64> = BTreeMap::new();
    let contents = setting.media.contents();
    for planned in blobs {
        for part in contents.blobs.get(planned.blob).into_iter().flat_map(|b| &b.parts).filter(|p| planned.volumes.contains(&p.volume)) {
            let sum = bytes.entry(part.volume).or_default();
            *sum = sum.saturating_add(part.size());
        }
    }
    let volume = |(number, bytes): (u32, u64)| {
        let known = usize::try_from(number).ok().and_then(|n| setting.media.index().volumes.get(n.checked_sub(1)?));
        PlannedVolume {
            number,
            name: known.map(|v| v.name.clone()).unwrap_or_default(),
            medium: known.and_then(|v| v.medium),
            here: setting.media.volumes_here().contains(&number),
            bytes,
        }
    };
    bytes.into_iter().map(volume).collect()
}

/// Goes through the volumes in order: blobs that wait for a later volume, and the largest of those that pass through.
fn spool_needed(setting: &Setting<'_>, plan: &UnpackPlan) -> u64 {
    let all: Vec<(u32, u32, u64)> = plan
        .blobs
        .iter()
        .filter(|b| b.road == Road::Spool)
        .filter_map(|b| Some((*b.volumes.first()?, *b.volumes.last()?, b.size)))
        .collect();
    let at = |volume: u32| {
        let open = all.iter().filter(|(first, last, _)| first < last && *first <= volume && volume <= *last);
        let passing = all.iter().filter(|(first, last, _)| first == last && *first == volume).map(|b| b.2).max();
        open.map(|b| b.2).fold(0, u64::saturating_add).saturating_add(passing.unwrap_or(0))
    };
    let peak = plan.volumes.iter().map(|v| at(v.number)).max().unwrap_or(0);
    peak.saturating_add(plan.space.spool_used).min(setting.spool.limit())
}
