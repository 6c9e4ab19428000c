//! `image-references` and `release-metadata`.

use super::{METADATA, REFERENCES, ReleaseError};
use crate::limits;
use crate::oci::{Reference, is_tag};
use crate::text::shown;
use semver::Version;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An `ImageStream` of `image.openshift.io/v1`, as far as it is looked at.
#[derive(Deserialize)]
struct ImageStream {
    kind: String,
    metadata: Name,
    spec: Spec,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    from: Option<From>,
}

#[derive(Deserialize)]
struct From {
    kind: String,
    name: String,
}

/// The list of components.
pub(super) struct ImageReferences {
    pub(super) version: Version,
    pub(super) components: BTreeMap<String, Reference>,
}

pub(super) fn references(bytes: &[u8]) -> Result<ImageReferences, ReleaseError> {
    let fail = |why: String| ReleaseError::Malformed { path: REFERENCES.into(), why };
    let stream: ImageStream = serde_json::from_slice(bytes).map_err(|e| fail(shown(&e.to_string()).to_string()))?;
    if stream.kind != "ImageStream" {
        return Err(fail(format!("its kind is {:?}, not ImageStream", shown(&stream.kind).to_string())));
    }
    if stream.spec.tags.is_empty() || stream.spec.tags.len() > limits::RELEASE_COMPONENTS {
        return Err(fail(format!("it names {} components", stream.spec.tags.len())));
    }
    let version = version(&stream.metadata.name).map_err(fail)?;
    let mut components = BTreeMap::new();
    for tag in stream.spec.tags {
        // The name becomes part of a tag at the target.
        if !is_tag(&tag.name) {
            return Err(fail(format!("component {:?} cannot be part of a tag", shown(&tag.name).to_string())));
        }
        let reference = component(&tag)?;
        if components.insert(tag.name.clone(), reference).is_some() {
            return Err(ReleaseError::Twice(tag.name));
        }
    }
    Ok(ImageReferences { version, components })
}

fn component(tag: &Tag) -> Result<Reference, ReleaseError> {
    let from = tag.from.as_ref().filter(|from| from.kind == "DockerImage");
    let text = from.map(|from| from.name.clone()).unwrap_or_default();
    let reference = Reference::parse(&text).ok().filter(|reference| reference.digest.is_some());
    reference.ok_or(ReleaseError::NoDigest { component: tag.name.clone(), reference: text })
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).map_err(|e| format!("{:?} is not the version of a release: {e}", shown(text).to_string()))
}

#[derive(Deserialize)]
struct ReleaseMetadata {
    kind: String,
    version: String,
    #[serde(default)]
    metadata: Option<BTreeMap<String, serde_json::Value>>,
}

/// What `release-metadata` says.
pub(super) struct Metadata {
    pub(super) version: Version,
    pub(super) multi: bool,
}

pub(super) fn metadata(bytes: &[u8]) -> Result<Metadata, ReleaseError> {
    let fail = |why: String| ReleaseError::Malformed { path: METADATA.into(), why };
    let read: ReleaseMetadata = serde_json::from_slice(bytes).map_err(|e| fail(shown(&e.to_string()).to_string()))?;
    if read.kind != "cincinnati-metadata-v0" {
        return Err(fail(format!("its kind is {:?}, not cincinnati-metadata-v0", shown(&read.kind).to_string())));
    }
    let words = read.metadata.unwrap_or_default();
    let architecture = words.get("release.openshift.io/architecture").and_then(|word| word.as_str());
    Ok(Metadata { version: version(&read.version).map_err(fail)?, multi: architecture == Some("multi") })
}
