//! A chart as the OCI artifact that `helm push` makes of it (helm documentation, "Helm chart manifest").

use super::error::HelmError;
use super::registry::{CONFIG, CONTENT};
use super::{Package, tag_of};
use crate::blob::BlobSink;
use crate::digest::Digest;
use crate::layout::Layout;
use crate::oci::{Descriptor, is_repository, is_tag, media};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

/// An artifact that lies in the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its manifest.
    pub digest: Digest,
    /// `charts/NAME`: `helm pull oci://REGISTRY/charts/NAME`.
    pub repository: String,
    /// The version, `+` written `_`.
    pub tag: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'d> {
    schema_version: u8,
    media_type: &'d str,
    config: &'d Descriptor,
    layers: [&'d Descriptor; 1],
    annotations: BTreeMap<String, String>,
}

/// Writes the artifact of a chart into the workspace: its archive byte for byte, `Chart.yaml` as JSON, and a manifest without
/// time, so that the same chart has the same digest every day.
pub(super) fn make(package: &Package, workspace: &Layout) -> Result<Artifact, HelmError> {
    let metadata = package.metadata();
    let (repository, tag) = (format!("charts/{}", metadata.name()), tag_of(metadata.version()));
    if !is_repository(&repository) || !is_tag(&tag) {
        return Err(HelmError::Name { chart: package.title(), name: format!("{repository}:{tag}") });
    }
    let config = keep(workspace, CONFIG, json(metadata)?.into())?;
    let layer = keep(workspace, CONTENT, package.bytes().clone())?;
    let document = Document {
        schema_version: 2,
        media_type: media::OCI_MANIFEST,
        config: &config,
        layers: [&layer],
        annotations: annotations(package),
    };
    let manifest = keep(workspace, media::OCI_MANIFEST, json(&document)?.into())?;
    Ok(Artifact { digest: manifest.digest, repository, tag })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, HelmError> {
    // Only a map with keys that are no texts could fail.
    serde_json::to_vec(value).map_err(|e| HelmError::Read { reference: "chart".into(), error: e.into() })
}

fn keep(workspace: &Layout, media_type: &str, bytes: Arc<[u8]>) -> Result<Descriptor, HelmError> {
    let blob = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
    let mut open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Cursor::new(bytes.clone()))) };
    workspace.put(&blob, &mut open)?;
    Ok(blob)
}

/// As helm fills them; the chart's own come along, but cannot rename it.
fn annotations(package: &Package) -> BTreeMap<String, String> {
    let metadata = package.metadata();
    let mut all = metadata.annotations.clone().unwrap_or_default();
    let authors = metadata.maintainers.iter().flatten().map(|m| match (&m.name, &m.email) {
        (Some(name), Some(email)) => format!("{name} ({email})"),
        (name, email) => name.clone().or_else(|| email.clone()).unwrap_or_default(),
    });
    let authors: Vec<String> = authors.filter(|a| !a.is_empty()).collect();
    let source = metadata.sources.iter().flatten().next().cloned();
    let own = [
        ("title", metadata.name.clone()),
        ("version", metadata.version.clone()),
        ("description", metadata.description.clone()),
        ("url", metadata.home.clone()),
        ("source", source),
        ("authors", Some(authors.join(", "))),
    ];
    for (key, value) in own {
        let key = format!("org.opencontainers.image.{key}");
        let fixed = key.ends_with(".title") || key.ends_with(".version");
        if let Some(value) = value.filter(|v| !v.is_empty() && (fixed || !all.contains_key(&key))) {
            all.insert(key, value);
        }
    }
    all
}
