//! What is attached to what: a signature, an SBOM has a subject, and a referrers list shows it (distribution specification, "Listing
//! Referrers").

use super::layout_store::LayoutStore;
use super::store::StoreError;
use crate::digest::Digest;
use crate::layout::{self, Layout};
use crate::oci::{self, Descriptor, media};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// A manifest with a subject, as a referrers list shows it.
#[derive(Clone)]
pub(super) struct Attached {
    pub subject: Digest,
    pub shown: Value,
}

/// What is known of listed manifests: whether they are attached to something.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<Digest, Option<Attached>>>);

impl Known {
    /// What a manifest is attached to; read once, for a digest means the same bytes for ever. One that is not here or damaged is
    /// attached to nothing, and looked at again the next time: what a moment was in the way of must not be missing from then on.
    pub fn of(&self, layout: &Layout, digest: &Digest) -> Result<Option<Attached>, StoreError> {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest) {
            return Ok(known.clone());
        }
        let bytes = match layout.manifest(digest) {
            Err(layout::Error::NoBlob { .. } | layout::Error::Damaged { .. } | layout::Error::Irregular { .. }) => return Ok(None),
            other => other?,
        };
        let found = attached(digest, &bytes);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, found.clone());
        Ok(found)
    }

    /// The manifest may go, and come back.
    pub fn forget(&self, digest: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }
}

/// The members a referrers list shows beside the descriptor.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

fn attached(digest: &Digest, bytes: &[u8]) -> Option<Attached> {
    let manifest = oci::Manifest::parse_any_digest(bytes, None).ok()?;
    let subject = manifest.subject.as_ref()?.digest;
    let shown = referrer(digest, &manifest, bytes)?;
    Some(Attached { subject, shown })
}

/// The entry of a manifest in a referrers list.
pub(super) fn referrer(digest: &Digest, manifest: &oci::Manifest, bytes: &[u8]) -> Option<Value> {
    let shown: Shown = serde_json::from_slice(bytes).ok()?;
    let config = manifest.blobs().next().map(|config| config.media_type.clone());
    let mut entry = Map::new();
    entry.insert("mediaType".into(), json!(manifest.media_type));
    entry.insert("digest".into(), json!(digest));
    entry.insert("size".into(), json!(bytes.len()));
    // An image without a type of its own has that of its configuration.
    let kind = shown.artifact_type.filter(|kind| !kind.is_empty()).or(config.filter(|kind| !kind.is_empty()));
    if let Some(kind) = kind {
        entry.insert("artifactType".into(), json!(kind));
    }
    if let Some(annotations) = shown.annotations.filter(|annotations| !annotations.is_empty()) {
        entry.insert("annotations".into(), json!(annotations));
    }
    Some(Value::Object(entry))
}

impl LayoutStore {
    /// Whether another repository has what this manifest is attached to, and so shows the manifest as well: the list has it once for
    /// all of them.
    pub(super) fn is_attached_elsewhere(&self, repository: &str, digest: &Digest) -> Result<bool, StoreError> {
        // A signature of a signature hangs on the image as well.
        let (mut subjects, mut at) = (HashSet::new(), *digest);
        while let Some(attached) = self.attached.of(&self.layout, &at)? {
            at = attached.subject;
            if !subjects.insert(at) {
                break;
            }
        }
        for (other, tags) in self.names()?.tags.iter().filter(|(other, _)| *other != repository && !subjects.is_empty()) {
            if self.visible(other, digest)?.is_some() && tags.values().any(|root| self.has_member(root, &subjects)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an image is one of these or, being an index, has one. What cannot be read may have: then nothing is lost.
    fn has_member(&self, root: &Descriptor, wanted: &HashSet<Digest>) -> bool {
        let (mut seen, mut pending) = (HashSet::new(), vec![root.clone()]);
        while let Some(at) = pending.pop() {
            if wanted.contains(&at.digest) {
                return true;
            }
            if matches!(at.media_type.as_str(), media::OCI_MANIFEST | media::DOCKER_MANIFEST) || !seen.insert(at.digest) {
                continue;
            }
            let Ok(bytes) = self.layout.manifest(&at.digest) else { return true };
            let index = oci::Manifest::parse_any_digest(&bytes, None);
            pending.extend(index.iter().flat_map(|index| index.children().iter().cloned()));
        }
        false
    }
}
