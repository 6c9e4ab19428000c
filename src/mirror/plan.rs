//! What a run will do, as data: names decided, the target asked.

use super::{MirrorError, Setting};
use crate::digest::Digest;
use crate::format::{Blob, Contents, Holding, Image, SCHEMA, STORED};
use crate::unpack::{self, Catalog, Found, PlannedImage, Probe, UnpackError, Wanted, below, place, planned_image};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU32;

/// What is to be done to have the images at the target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MirrorPlan {
    /// The target as a person names it.
    pub target: String,
    /// The images, in the order of the wish; what is there already says so.
    pub images: Vec<PlannedImage>,
    /// Blobs some repository lacks, in the order they are brought.
    pub blobs: Vec<PlannedBlob>,
    /// What the target has of the images, by repository below the prefix.
    pub present: BTreeMap<String, Holding>,
    /// Bytes to be fetched and uploaded (mounts not counted).
    pub upload_bytes: u64,
}

/// One blob that is lacking somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedBlob {
    /// Position in [`crate::pack::PackPlan::blobs`].
    pub blob: usize,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Repositories below the prefix that lack it.
    pub repositories: Vec<String>,
    /// Another repository of the target has it.
    pub mount: bool,
}

impl MirrorPlan {
    /// True when nothing is left to be done.
    pub fn is_done(&self) -> bool {
        self.images.iter().all(|image| image.present.is_some())
    }
}

/// The wish as the contents of a set that lies nowhere: what images consist of is worked out in one place for both roads.
pub(super) fn contents(setting: &Setting<'_>) -> Contents {
    let wish = setting.wish;
    let blob = |b: &crate::pack::PlannedBlob| Blob { digest: b.digest, size: b.size, encoding: STORED.into(), inline: None, parts: vec![] };
    Contents {
        schema: SCHEMA,
        requires: vec![],
        images: wish.images.clone(),
        manifests: wish.manifests.clone(),
        blobs: wish.blobs.iter().map(blob).collect(),
        documents: wish.documents.clone(),
        base: None,
    }
}

/// The images with their names at the target.
pub(super) fn wanted(setting: &Setting<'_>, catalog: &Catalog<'_>) -> Result<Vec<Wanted>, UnpackError> {
    let options = setting.options;
    let referrers = catalog.referrers();
    let name = |(index, image): (usize, &Image)| {
        let place = place(&options.prefix, options.max_nested_paths, &image.repository)?;
        let repository = below(&options.prefix, &place).to_owned();
        Ok(Wanted {
            index,
            image: Image { repository, ..image.clone() },
            place,
            tree: catalog.tree(image),
            referrers: referrers.get(index).map_or(0, BTreeSet::len),
        })
    };
    catalog.contents.images.iter().enumerate().map(name).collect()
}

/// Names the images at the target, refuses two of one name, and asks the target what it has.
///
/// # Errors
/// [`UnpackError::Collision`], [`UnpackError::Name`] and [`UnpackError::NoRoom`] before the target is asked anything; what the target
/// answers badly; an interruption.
pub fn plan(setting: &Setting<'_>) -> Result<MirrorPlan, MirrorError> {
    let contents = contents(setting);
    let catalog = Catalog::new(&contents)?;
    let mut wanted = wanted(setting, &catalog)?;
    unpack::refuse_collisions(&setting.options.prefix, setting.options.max_nested_paths, &contents.images)?;
    let probe = Probe { target: setting.target, threads: setting.options.probes, progress: setting.progress, strikes: AtomicU32::new(0) };
    let mut found = probe.find(&catalog, &wanted)?;
    probe.give_way(&catalog, &mut wanted, &mut found)?;
    let images: Vec<PlannedImage> = wanted.iter().map(|w| planned_image(&catalog, w, w.image.tag.clone(), &found)).collect();
    let blobs = lacking(setting, &wanted, &images, &found);
    let uploads = blobs.iter().filter(|b| !b.mount).map(|b| b.size);
    let upload_bytes = uploads.fold(0, u64::saturating_add);
    if let Some(free) = setting.target.free_space().filter(|free| *free < upload_bytes) {
        return Err(UnpackError::TargetSpace { target: setting.target.name(), needed: upload_bytes, free }.into());
    }
    Ok(MirrorPlan { target: setting.target.name(), images, blobs, present: found.holdings, upload_bytes })
}

fn lacking(setting: &Setting<'_>, wanted: &[Wanted], images: &[PlannedImage], found: &Found) -> Vec<PlannedBlob> {
    let mut lacking: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (w, _) in wanted.iter().zip(images).filter(|(_, image)| image.present.is_none()) {
        let held = found.holdings.get(&w.image.repository);
        for at in &w.tree.blobs {
            let there = setting.wish.blobs.get(*at).is_none_or(|blob| held.is_some_and(|h| h.blobs.contains(&blob.digest)));
            if !there {
                lacking.entry(*at).or_default().insert(w.image.repository.clone());
            }
        }
    }
    let planned = |(at, repositories): (usize, BTreeSet<String>)| {
        let blob = setting.wish.blobs.get(at)?;
        let mount = found.holdings.values().any(|h| h.blobs.contains(&blob.digest));
        let repositories = repositories.into_iter().collect();
        Some(PlannedBlob { blob: at, digest: blob.digest, size: blob.size, repositories, mount })
    };
    lacking.into_iter().filter_map(planned).collect()
}

pub(super) use unpack::completeness;
