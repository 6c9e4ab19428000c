//! The contents document: images, manifests, blobs and where each byte lies (`sealift-archive(5)`, "Contents").

mod check;

use super::{Document, FormatError, Index, Made, Role, admit};
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, Platform};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The encoding in which a volume holds the blob's own bytes.
pub const STORED: &str = "stored";

/// Features contents of this version may require.
const KNOWN: &[&str] = &[];

/// The contents of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contents {
    /// [`super::SCHEMA`].
    pub schema: u64,
    /// Features without which the set must not be used.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Images in the order they were asked for.
    pub images: Vec<Image>,
    /// Every manifest and index, ordered by digest.
    pub manifests: Vec<ManifestData>,
    /// Every blob, in the order it lies in the volumes.
    pub blobs: Vec<Blob>,
    /// Documents that travel beside the images, ordered by kind and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
    /// Reserved: the base of an increment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
}

/// One image: a root manifest and the name it arrives under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Repository below the target's prefix.
    pub repository: String,
    /// Tag it gets. Images asked for by digest only have a `keep.sha256-HEX` tag.
    pub tag: String,
    /// As asked for, normalised, for people and cluster resources.
    pub source: String,
    /// The root manifest.
    pub root: Root,
    /// Members of the root index that are in the set, where it is not all of them; empty: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// When the tag may move.
    #[serde(default)]
    pub commit: Commit,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Role::is_default")]
    pub role: Role,
    /// What needs it, sorted: `release VERSION-ARCH [COMPONENT]`, `operator CATALOG PACKAGE BUNDLE VERSION`, `chart NAME VERSION`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_of: Vec<String>,
    /// Present where this program made the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The manifest this is about, for a referrer: what its own `subject` names, or what its tag says (cosign's).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
}

#[cfg(test)]
impl Image {
    /// An image asked for by name with nothing special about it.
    pub(crate) fn plain(repository: &str, tag: &str, root: Root) -> Image {
        Image {
            repository: repository.into(),
            tag: tag.into(),
            source: format!("quay.io/{repository}:{tag}"),
            root,
            platforms: vec![],
            commit: Commit::Early,
            role: Role::Image,
            part_of: vec![],
            made: None,
            subject: None,
        }
    }
}

/// Type, digest and size of a root manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Root {
    /// Media type.
    pub media_type: String,
    /// Digest.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// When an image may become visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// As soon as it is whole.
    #[default]
    Early,
    /// After everything else of the set (catalogs, moving tags).
    Late,
}

/// The exact bytes of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestData {
    /// Type it is pushed as.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes (base64).
    pub data: String,
}

/// One blob and where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How the volumes hold it: [`STORED`]; an unknown encoding is refused before anything is pushed.
    pub encoding: String,
    /// Its bytes (base64), for configurations below 64 KiB: known from any medium.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// Where it lies, in order; empty for an empty blob.
    pub parts: Vec<Part>,
}

/// A run of frames of one blob in one volume: one tar entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Number of the volume, from 1.
    pub volume: u32,
    /// Offset of the first frame in the volume file.
    pub offset: u64,
    /// The frames, in order.
    pub frames: Vec<Frame>,
}

/// One zstd frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Frame {
    /// Bytes in the volume.
    pub size: u64,
    /// Bytes of the blob it unfolds to.
    pub plain: u64,
    /// Reserved: what the decoder must be given first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Value>,
}

impl Part {
    /// Bytes in the volume.
    pub fn size(&self) -> u64 {
        self.frames.iter().map(|f| f.size).sum()
    }

    /// Bytes of the blob.
    pub fn plain(&self) -> u64 {
        self.frames.iter().map(|f| f.plain).sum()
    }
}

impl ManifestData {
    /// Wraps the bytes of a manifest.
    pub fn new(media_type: &str, bytes: &[u8]) -> ManifestData {
        ManifestData { media_type: media_type.to_owned(), digest: Digest::sha256(bytes), data: BASE64.encode(bytes) }
    }

    /// The exact bytes; proven when the contents were parsed.
    pub fn bytes(&self) -> Vec<u8> {
        BASE64.decode(&self.data).unwrap_or_default()
    }
}

impl Blob {
    /// The bytes where they are inline; proven when the contents were parsed.
    pub fn inline_bytes(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.inline.as_ref()?).ok()
    }

    /// Encodes bytes for [`Blob::inline`].
    pub fn encode_inline(bytes: &[u8]) -> String {
        BASE64.encode(bytes)
    }

    /// As a descriptor.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new("application/octet-stream", self.digest, self.size)
    }
}

/// The manifests of a set, parsed, by digest.
pub type Manifests = BTreeMap<Digest, Manifest>;

impl Contents {
    /// Reads contents strictly and checks them against their index. The digest over the compressed document
    /// has been checked before.
    pub fn parse(bytes: &[u8], index: &Index) -> Result<Contents, FormatError> {
        admit("contents", bytes, KNOWN)?;
        let contents: Contents = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed("contents", e))?;
        if let Some(blob) = contents.blobs.iter().find(|b| b.encoding != STORED) {
            return Err(FormatError::Requires(format!("encoding {}", crate::text::shown(&blob.encoding))));
        }
        contents.check(index).map_err(|why| FormatError::malformed("contents", why))?;
        Ok(contents)
    }

    /// The document as it is compressed and written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let mut bytes = serde_json::to_vec(self).map_err(|e| FormatError::malformed("contents", e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Parses every manifest.
    pub fn manifests(&self) -> Result<Manifests, FormatError> {
        self.manifests
            .iter()
            .map(|m| match Manifest::parse(&m.bytes(), Some(&m.media_type)) {
                Ok(manifest) => Ok((m.digest, manifest)),
                Err(why) => Err(FormatError::malformed("contents", format!("manifest {}: {why}", m.digest))),
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::format::{SCHEMA, index};

    fn sample() -> Contents {
        let config = b"{}";
        let config_digest = Digest::sha256(config);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{config_digest}","size":2}},"layers":[]}}"#);
        let data = ManifestData::new(crate::oci::media::OCI_MANIFEST, manifest.as_bytes());
        Contents {
            schema: SCHEMA,
            requires: vec![],
            images: vec![Image::plain(
                "a/b",
                "1",
                Root { media_type: data.media_type.clone(), digest: data.digest, size: manifest.len() as u64 },
            )],
            manifests: vec![data],
            blobs: vec![Blob {
                digest: config_digest,
                size: 2,
                encoding: STORED.into(),
                inline: Some(Blob::encode_inline(config)),
                parts: vec![Part { volume: 1, offset: 0, frames: vec![Frame { size: 10, plain: 2, prefix: None }] }],
            }],
            documents: vec![],
            base: None,
        }
    }

    fn mutated(change: impl Fn(&mut Value)) -> Result<Contents, FormatError> {
        let mut value = serde_json::to_value(sample()).unwrap();
        change(&mut value);
        Contents::parse(&serde_json::to_vec(&value).unwrap(), &index::tests::sample())
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(Contents::parse(&sample().to_bytes().unwrap(), &index::tests::sample()).unwrap(), sample());
    }

    #[test]
    fn unknown_encodings_are_refused_by_name() {
        assert_eq!(mutated(|v| v["blobs"][0]["encoding"] = "delta".into()), Err(FormatError::Requires("encoding delta".into())));
        assert_eq!(mutated(|v| v["requires"] = serde_json::json!(["base"])), Err(FormatError::Requires("base".into())));
    }

    #[test]
    fn contents_that_do_not_hold_together_are_refused() {
        let bad: &[fn(&mut Value)] = &[
            |v| v["surprise"] = 1.into(),
            |v| v["images"][0]["repository"] = "../../etc".into(),
            |v| v["images"][0]["tag"] = "a/b".into(),
            |v| {
                let image = v["images"][0].clone();
                v["images"].as_array_mut().unwrap().push(image)
            },
            |v| v["manifests"] = serde_json::json!([]),
            |v| v["manifests"][0]["data"] = "e30=".into(),
            |v| v["blobs"] = serde_json::json!([]),
            |v| v["blobs"][0]["size"] = 3.into(),
            |v| v["blobs"][0]["inline"] = "AAAA".into(),
            |v| v["blobs"][0]["parts"][0]["volume"] = 0.into(),
            |v| v["blobs"][0]["parts"][0]["volume"] = 2.into(),
            |v| v["blobs"][0]["parts"][0]["offset"] = u64::MAX.into(),
            |v| v["blobs"][0]["parts"][0]["frames"][0]["size"] = (2u64 << 20).into(),
            |v| v["blobs"][0]["parts"][0]["frames"][0]["plain"] = u64::MAX.into(),
            |v| v["blobs"][0]["parts"][0]["frames"][0]["prefix"] = serde_json::json!({}),
            |v| v["blobs"][0]["parts"] = serde_json::json!([]),
            |v| v["base"] = serde_json::json!({}),
            |v| v["images"][0]["role"] = "referrer".into(),
            |v| v["images"][0]["subject"] = Digest::sha256(b"other").to_string().into(),
        ];
        for (i, change) in bad.iter().enumerate() {
            assert!(matches!(mutated(change), Err(FormatError::Malformed { .. })), "{i}");
        }
    }
}
