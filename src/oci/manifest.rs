//! Manifests and indexes, Docker's and OCI's, read for what they refer to.

use super::Descriptor;
use crate::limits;
use serde::Deserialize;

/// The media types this program tells apart. Compared as strings: the world writes more types than any enum knows.
pub mod media {
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest (also of artifacts).
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Docker manifest list, schema 2.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// The empty descriptor's type.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// The OCI artifact manifest of a 1.1 release candidate: refused by registries, so refused here.
    pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
    /// Docker schema 1, signed.
    pub const SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// Docker schema 1.
    pub const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
}

/// A manifest as read: its type and what it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The type it is pushed as: its own `mediaType`, else what the server called it, else by its shape.
    pub media_type: String,
    /// What it is.
    pub kind: Kind,
    /// What it is attached to (signatures, SBOMs).
    pub subject: Option<Descriptor>,
}

/// An index of manifests, or an image (or artifact) with its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Index or manifest list.
    Index {
        /// Its members, in order.
        children: Vec<Descriptor>,
    },
    /// Image or artifact.
    Image {
        /// The configuration blob.
        config: Descriptor,
        /// The layers, lowest first.
        layers: Vec<Descriptor>,
    },
}

/// Why a document cannot be carried as a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Docker schema 1: no current registry takes it.
    #[error("it is in Docker schema 1, which current registries refuse")]
    Schema1,
    /// The withdrawn OCI artifact manifest.
    #[error("it is an OCI artifact manifest of a 1.1 release candidate, which registries refuse")]
    ArtifactManifest,
    /// Larger than registries accept.
    #[error("it has {0} bytes, more than the 4 MiB that registries accept for a manifest")]
    TooLarge(u64),
    /// Not JSON of the right form.
    #[error("it is not a manifest: {0}")]
    Malformed(String),
    /// Has the members of an index and of an image (CVE-2021-41190).
    #[error("it claims to be an index and an image at once")]
    Ambiguous,
    /// Refers to content by an algorithm that current registries do not keep.
    #[error("it refers to content by {0}, which registries store under another name")]
    Algorithm(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    schema_version: Option<u64>,
    manifests: Option<Vec<Descriptor>>,
    layers: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    fs_layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    blobs: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Reads a manifest. `content_type` is what the server called it; it decides only where the document is silent.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        let manifest = Manifest::parse_any_digest(bytes, content_type)?;
        for descriptor in manifest.children().iter().chain(manifest.blobs()) {
            if descriptor.digest.algorithm() != crate::digest::Algorithm::Sha256 {
                return Err(ManifestError::Algorithm(descriptor.digest.algorithm().name().into()));
            }
        }
        Ok(manifest)
    }

    /// [`Manifest::parse`] for a registry, which keeps content under every registered algorithm.
    pub fn parse_any_digest(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, ManifestError> {
        if bytes.len() as u64 > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLarge(bytes.len() as u64));
        }
        let shape: Shape = serde_json::from_slice(bytes).map_err(|e| ManifestError::Malformed(e.to_string()))?;
        let declared = shape.media_type.as_deref().unwrap_or_default();
        if declared.contains("manifest.v1+") && declared != media::OCI_MANIFEST
            || shape.schema_version == Some(1)
            || shape.fs_layers.is_some()
        {
            return Err(if declared == media::OCI_ARTIFACT { ManifestError::ArtifactManifest } else { ManifestError::Schema1 });
        }
        if declared == media::OCI_ARTIFACT || shape.blobs.is_some() {
            return Err(ManifestError::ArtifactManifest);
        }
        let kind = match (shape.manifests, shape.config, shape.layers) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => return Err(ManifestError::Ambiguous),
            (Some(children), None, None) => Kind::Index { children },
            (None, Some(config), layers) => Kind::Image { config, layers: layers.unwrap_or_default() },
            (None, None, _) => return Err(ManifestError::Malformed("neither manifests nor config".into())),
        };
        let media_type = media_type(declared, content_type, &kind)?;
        let manifest = Manifest { media_type, kind, subject: shape.subject };
        manifest.check()?;
        Ok(manifest)
    }

    /// The members of an index; empty for an image.
    pub fn children(&self) -> &[Descriptor] {
        match &self.kind {
            Kind::Index { children } => children,
            Kind::Image { .. } => &[],
        }
    }

    /// Config and layers of an image, config first; empty for an index.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let (config, layers): (Option<&Descriptor>, &[Descriptor]) = match &self.kind {
            Kind::Index { .. } => (None, &[]),
            Kind::Image { config, layers } => (Some(config), layers),
        };
        config.into_iter().chain(layers)
    }

    /// True for an index or a manifest list.
    pub fn is_index(&self) -> bool {
        matches!(self.kind, Kind::Index { .. })
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.children().len() > limits::INDEX_CHILDREN || self.blobs().count() > limits::LAYERS {
            return Err(ManifestError::Malformed("more members than any real image has".into()));
        }
        for descriptor in self.children().iter().chain(self.blobs()) {
            if descriptor.size > limits::BLOB_BYTES {
                return Err(ManifestError::Malformed(format!("{} has an impossible size", descriptor.digest)));
            }
        }
        Ok(())
    }
}

/// Chooses the type to push with: registries compare it with the document (distribution specification, "Pushing manifests").
fn media_type(declared: &str, content_type: Option<&str>, kind: &Kind) -> Result<String, ManifestError> {
    let is_index = matches!(kind, Kind::Index { .. });
    let fits = |t: &str| match t {
        media::OCI_INDEX | media::DOCKER_LIST => is_index,
        media::OCI_MANIFEST | media::DOCKER_MANIFEST => !is_index,
        _ => false,
    };
    if !declared.is_empty() {
        return match declared {
            t if fits(t) => Ok(t.to_owned()),
            media::OCI_INDEX | media::DOCKER_LIST | media::OCI_MANIFEST | media::DOCKER_MANIFEST => Err(ManifestError::Ambiguous),
            t => Err(ManifestError::Malformed(format!("unknown media type {}", crate::text::shown(t)))),
        };
    }
    let called = content_type.map(|t| t.split(';').next().unwrap_or(t).trim()).filter(|t| fits(t));
    Ok(called.unwrap_or(if is_index { media::OCI_INDEX } else { media::OCI_MANIFEST }).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = r#"{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text.as_bytes(), None)
    }

    #[test]
    fn shapes_are_told_apart() {
        let image = parse(&format!(r#"{{"schemaVersion":2,"config":{D},"layers":[{D}]}}"#)).unwrap();
        assert_eq!((image.media_type.as_str(), image.blobs().count()), (media::OCI_MANIFEST, 2));
        assert_eq!(parse(&format!(r#"{{"schemaVersion":2,"config":{D},"layers":null}}"#)).unwrap().blobs().count(), 1);
        let list = parse(&format!(r#"{{"mediaType":"{}","manifests":[{D}]}}"#, media::DOCKER_LIST)).unwrap();
        assert!(list.is_index());
        let called = Manifest::parse(
            format!(r#"{{"manifests":[{D}]}}"#).as_bytes(),
            Some("application/vnd.docker.distribution.manifest.list.v2+json; charset=utf-8"),
        )
        .unwrap();
        assert_eq!(called.media_type, media::DOCKER_LIST);
    }

    #[test]
    fn what_cannot_be_carried_is_named() {
        assert_eq!(parse(r#"{"schemaVersion":1,"fsLayers":[]}"#), Err(ManifestError::Schema1));
        assert_eq!(parse(&format!(r#"{{"mediaType":"{}","blobs":[]}}"#, media::OCI_ARTIFACT)), Err(ManifestError::ArtifactManifest));
        assert_eq!(parse(&format!(r#"{{"manifests":[{D}],"config":{D}}}"#)), Err(ManifestError::Ambiguous));
        assert_eq!(parse(&format!(r#"{{"mediaType":"{}","manifests":[]}}"#, media::OCI_MANIFEST)), Err(ManifestError::Ambiguous));
        let long =
            D.replace("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", &"0".repeat(128)).replace("sha256", "sha512");
        assert_eq!(parse(&format!(r#"{{"config":{long}}}"#)), Err(ManifestError::Algorithm("sha512".into())));
        assert!(matches!(parse(&"[".repeat(100_000)), Err(ManifestError::Malformed(_))));
        let big = format!(r#"{{"config":{D},"x":"{}"}}"#, "y".repeat(4 << 20));
        assert!(matches!(parse(&big), Err(ManifestError::TooLarge(_))));
    }
}
