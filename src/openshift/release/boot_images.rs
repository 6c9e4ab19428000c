//! The boot images of a release: a ConfigMap whose `data.stream` is JSON. Only the container disks for KubeVirt are images.

use super::{BOOT_IMAGES, ReleaseError};
use crate::oci::Reference;
use crate::text::shown;
use crate::yaml;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A container disk with the operating system of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVirt {
    /// `x86_64`, `s390x`: as boot images name it.
    pub architecture: String,
    /// Where it is, by digest.
    pub reference: Reference,
}

/// The end of the disk's tag after the release's own: without the architecture where there is only one disk.
pub fn kube_virt_suffix(disks: &[KubeVirt], disk: &KubeVirt) -> String {
    match disks.len() {
        0 | 1 => "kube-virt-container".into(),
        _ => format!("kube-virt-container-{}", disk.architecture),
    }
}

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Stream {
    architectures: BTreeMap<String, Architecture>,
}

#[derive(Deserialize)]
struct Architecture {
    #[serde(default)]
    images: Images,
}

#[derive(Default, Deserialize)]
struct Images {
    kubevirt: Option<Image>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "digest-ref")]
    digest_ref: String,
}

/// `data.stream`.
pub(super) fn stream(bytes: &[u8]) -> Result<Option<String>, ReleaseError> {
    yaml::admit(bytes).map_err(|e| malformed(shown(&e.to_string()).to_string()))?;
    let mut map: ConfigMap = serde_yaml::from_slice(bytes).map_err(|e| malformed(shown(&e.to_string()).to_string()))?;
    Ok(map.data.remove("stream"))
}

/// The disks of a stream, of this architecture or by architecture. One that is not named by digest is refused, as a component would be.
pub(super) fn kube_virt(stream: &str, only: Option<&str>) -> Result<Vec<KubeVirt>, ReleaseError> {
    let stream: Stream = serde_json::from_str(stream).map_err(|e| malformed(format!("stream: {}", shown(&e.to_string()))))?;
    let mut disks = Vec::new();
    for (architecture, images) in stream.architectures.into_iter().filter(|(name, _)| only.is_none_or(|only| only == name)) {
        let Some(image) = images.images.kubevirt else { continue };
        let reference = Reference::parse(&image.digest_ref).ok().filter(|reference| reference.digest.is_some());
        let component = format!("kubevirt {architecture}");
        let reference = reference.ok_or(ReleaseError::NoDigest { component, reference: image.digest_ref })?;
        disks.push(KubeVirt { architecture, reference });
    }
    Ok(disks)
}

fn malformed(why: String) -> ReleaseError {
    ReleaseError::Malformed { path: BOOT_IMAGES.into(), why }
}
