//! What must hold between the parts of a contents document before any of it is believed.

use super::{Contents, Image, Manifests, Part};
use crate::digest::{Algorithm, Digest};
use crate::format::purpose::{check_documents, check_part_of};
use crate::format::{Index, Role, SCHEMA};
use crate::limits;
use crate::oci::referrers::cosign_suffix;
use crate::oci::{Manifest, is_repository, is_tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::{BTreeMap, BTreeSet};

impl Contents {
    /// Everything that must hold between images, manifests, blobs and volumes.
    pub(super) fn check(&self, index: &Index) -> Result<(), String> {
        if self.schema != SCHEMA || !self.requires.is_empty() || self.base.is_some() {
            return Err("a reserved member is in use".into());
        }
        if self.images.len() > limits::IMAGES_PER_SET || self.blobs.len() > limits::BLOBS_PER_SET {
            return Err("more images or blobs than allowed".into());
        }
        check_documents(&self.documents)?;
        self.check_images()?;
        self.check_blobs(index)?;
        self.check_overlap()?;
        self.check_graph()
    }

    fn check_images(&self) -> Result<(), String> {
        let mut names = BTreeSet::new();
        for image in &self.images {
            if !is_repository(&image.repository) || !is_tag(&image.tag) {
                return Err(format!("image {:?}:{:?} is not a name", image.repository, image.tag));
            }
            check_part_of(&image.part_of)?;
            if !names.insert((&image.repository, &image.tag)) {
                return Err(format!("two images are called {}:{}", image.repository, image.tag));
            }
        }
        Ok(())
    }

    fn check_blobs(&self, index: &Index) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        for blob in &self.blobs {
            let digest = blob.digest;
            if digest.algorithm() != Algorithm::Sha256 || blob.size > limits::BLOB_BYTES || !seen.insert(digest) {
                return Err(format!("blob {digest} is impossible or listed twice"));
            }
            let mut plain = 0u64;
            for part in &blob.parts {
                check_part(part, index).map_err(|why| format!("blob {digest}: {why}"))?;
                plain = plain.saturating_add(part.plain());
            }
            if plain != blob.size {
                return Err(format!("blob {digest}: its parts hold {plain} of {} bytes", blob.size));
            }
            if let Some(bytes) = &blob.inline {
                let bytes = BASE64.decode(bytes).map_err(|e| format!("blob {digest}: {e}"))?;
                if Digest::sha256(&bytes) != digest {
                    return Err(format!("blob {digest}: its inline bytes are others"));
                }
            }
        }
        Ok(())
    }

    /// No two parts share bytes of a volume: a volume is read once, forwards.
    fn check_overlap(&self) -> Result<(), String> {
        let parts = self.blobs.iter().flat_map(|b| &b.parts);
        let mut spans: Vec<(u32, u64, u64)> = parts.map(|p| (p.volume, p.offset, p.offset + p.size())).collect();
        spans.sort_unstable();
        let mut last = (0, 0);
        for (volume, start, end) in spans {
            if volume == last.0 && start < last.1 {
                return Err(format!("two parts overlap in volume {volume}"));
            }
            last = (volume, end);
        }
        Ok(())
    }

    /// Each image's tree must be there: manifests by digest, blobs with the size their manifest says.
    fn check_graph(&self) -> Result<(), String> {
        for m in &self.manifests {
            if Digest::sha256(&m.bytes()) != m.digest {
                return Err(format!("manifest {} has other bytes", m.digest));
            }
        }
        let manifests = self.manifests().map_err(|e| e.to_string())?;
        if manifests.len() != self.manifests.len() {
            return Err("a manifest is listed twice".into());
        }
        let blobs: BTreeMap<Digest, u64> = self.blobs.iter().map(|b| (b.digest, b.size)).collect();
        for (digest, manifest) in &manifests {
            for blob in manifest.blobs().filter(|b| b.urls.is_empty()) {
                if blobs.get(&blob.digest) != Some(&blob.size) {
                    return Err(format!("manifest {digest} needs {}, which is not in the set", blob.digest));
                }
            }
        }
        for image in &self.images {
            let Some(root) = manifests.get(&image.root.digest) else {
                return Err(format!("the manifest of {}:{} is not in the set", image.repository, image.tag));
            };
            check_members(image, root, &manifests)?;
            check_subject(image, root)?;
        }
        Ok(())
    }
}

/// A referrer says itself what it is about: an index that said otherwise could pass off one image's signature as another's.
fn check_subject(image: &Image, root: &Manifest) -> Result<(), String> {
    let named = || root.subject.as_ref().map(|s| s.digest);
    match image.subject {
        Some(subject) if cosign_suffix(&image.tag, &subject).is_some() || named() == Some(subject) => Ok(()),
        Some(subject) => Err(format!("{}:{} does not refer to {subject}", image.repository, image.tag)),
        None if image.role == Role::Referrer => Err(format!("{}:{} refers to nothing", image.repository, image.tag)),
        None => Ok(()),
    }
}

fn check_members(image: &Image, root: &Manifest, manifests: &Manifests) -> Result<(), String> {
    let mut pending = vec![root];
    let mut seen = BTreeSet::new();
    while let Some(manifest) = pending.pop() {
        for child in manifest.children() {
            match manifests.get(&child.digest) {
                Some(next) if seen.insert(child.digest) => pending.push(next),
                Some(_) => {}
                None if !image.platforms.is_empty() => {}
                None => return Err(format!("{}:{} needs manifest {}, which is not in the set", image.repository, image.tag, child.digest)),
            }
        }
    }
    Ok(())
}

fn check_part(part: &Part, index: &Index) -> Result<(), String> {
    let volume = usize::try_from(part.volume).ok().and_then(|n| n.checked_sub(1)).and_then(|n| index.volumes.get(n));
    let volume = volume.ok_or_else(|| format!("there is no volume {}", part.volume))?;
    let mut end = part.offset;
    for frame in &part.frames {
        if frame.prefix.is_some() || frame.size == 0 || frame.plain > limits::FRAME_PLAIN_BYTES {
            return Err("a frame is impossible".into());
        }
        end = end.checked_add(frame.size).ok_or("a frame is impossible")?;
    }
    if part.frames.is_empty() || end > volume.size {
        return Err(format!("a part lies outside volume {}", part.volume));
    }
    Ok(())
}
