//! Content descriptors and platforms.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What a document says about another piece of content (OCI image specification, "Content Descriptors").
///
/// The reader is lenient where registries and builders are sloppy (`null` members, unknown members) and
/// strict where it matters (digest, size).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type; empty when the document gives none.
    #[serde(default)]
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Where foreign layers may be fetched from instead of the registry.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free annotations.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The platform, in the entries of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// A descriptor with nothing but the three members that matter.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Descriptor {
        Descriptor { media_type: media_type.into(), digest, size, urls: Vec::new(), annotations: BTreeMap::new(), platform: None }
    }
}

/// Reads `null` as the default value: builders in Go write nil slices and maps so.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Operating system, architecture and variant of one member of an index, or as asked for by the user
/// (`linux/arm64`, `linux/arm/v7`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows` ...; empty when the document leaves it out.
    #[serde(default)]
    pub os: String,
    /// GOARCH: `amd64`, `arm64` ...
    #[serde(default)]
    pub architecture: String,
    /// CPU variant (`v7`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// True when `self`, as asked for, selects `other`, as found in an index: equal os and architecture, and the
    /// variant only where one was asked for.
    pub fn selects(&self, other: &Platform) -> bool {
        self.os == other.os && self.architecture == other.architecture && (self.variant.is_none() || self.variant == other.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = String;

    /// Reads `os/architecture[/variant]`.
    fn from_str(text: &str) -> Result<Platform, String> {
        let word = |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'-');
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return Err(format!("{text:?} is not os/architecture[/variant]"));
        }
        match parts.as_slice() {
            [os, arch] => Ok(Platform { os: (*os).into(), architecture: (*arch).into(), variant: None }),
            [os, arch, variant] => Ok(Platform { os: (*os).into(), architecture: (*arch).into(), variant: Some((*variant).into()) }),
            _ => Err(format!("{text:?} is not os/architecture[/variant], for example linux/amd64")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sloppy_descriptors_are_read_and_wrong_ones_refused() {
        let good = r#"{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "size":0,"urls":null,"annotations":null,"x":1,"platform":{"architecture":"amd64","os":"linux","os.features":null}}"#;
        let descriptor: Descriptor = serde_json::from_str(good).unwrap();
        assert_eq!(descriptor.platform.unwrap().to_string(), "linux/amd64");
        for (from, to) in [("\"size\":0", "\"size\":-1"), ("sha256:e3", "sha256:../e3"), ("\"size\":0", "\"size\":1.5")] {
            assert!(serde_json::from_str::<Descriptor>(&good.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn platforms_select() {
        let asked: Platform = "linux/arm".parse().unwrap();
        let found: Platform = "linux/arm/v7".parse().unwrap();
        assert!(asked.selects(&found) && !found.selects(&asked));
        assert!("linux".parse::<Platform>().is_err() && "linux/".parse::<Platform>().is_err());
    }
}
