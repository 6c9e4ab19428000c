//! Which image of an index, and what it says about itself.

use super::{Blobs, FilesError};
use crate::digest::Digest;
use crate::limits;
use crate::oci::{Descriptor, Kind, Manifest, Platform};
use crate::origin::{Origin, OriginError};
use crate::text::shown;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The image behind `root` for a platform: a member of the index, or the only image there is, whatever its platform.
///
/// # Errors
/// [`OriginError::Platform`] when the index has no such member.
pub fn choose(root: &Digest, platform: &Platform, origin: &dyn Origin) -> Result<(Digest, Manifest), FilesError> {
    let mut found = members(root, origin, &|there| platform.selects(there))?;
    match found.images.iter().position(|m| m.digest == *root || m.platform.as_ref().is_some_and(|there| platform.selects(there))) {
        Some(at) => {
            let member = found.images.swap_remove(at);
            Ok((member.digest, member.manifest))
        }
        None => Err(found.lacks(platform)),
    }
}

/// The images behind `root` on these platforms; none named means all. The only image there is, is taken whatever its platform.
///
/// # Errors
/// [`OriginError::Platform`] when one that is asked for is not there.
pub(in crate::openshift) fn selected(root: &Digest, origin: &dyn Origin, platforms: &[Platform]) -> Result<Vec<Member>, FilesError> {
    let take = |there: &Platform| platforms.is_empty() || platforms.iter().any(|asked| asked.selects(there));
    let found = members(root, origin, &take)?;
    let single = found.images.iter().any(|member| member.entry.is_none());
    for asked in platforms.iter().filter(|_| !single) {
        if !found.images.iter().any(|member| member.platform.as_ref().is_some_and(|there| asked.selects(there))) {
            return Err(found.lacks(asked));
        }
    }
    Ok(found.images)
}

/// One image, found below a root.
#[derive(Clone, Debug)]
pub(in crate::openshift) struct Member {
    /// Of its manifest.
    pub digest: Digest,
    /// As read.
    pub manifest: Manifest,
    /// As it came.
    pub bytes: Vec<u8>,
    /// As the index says; `None` for an image that is no member of any.
    pub platform: Option<Platform>,
    /// How the index lists it, as written there.
    pub entry: Option<Box<RawValue>>,
}

/// What lies below a root.
#[derive(Debug, Default)]
pub(in crate::openshift) struct Members {
    /// The images taken, in order.
    pub images: Vec<Member>,
    /// Platforms of those that were not.
    pub left: Vec<Platform>,
}

impl Members {
    fn lacks(&self, wanted: &Platform) -> FilesError {
        let there = self.images.iter().filter_map(|member| member.platform.as_ref()).chain(&self.left);
        let there: Vec<String> = there.map(|platform| shown(&platform.to_string()).to_string()).collect();
        OriginError::Platform { wanted: wanted.to_string(), there: there.join(", ") }.into()
    }
}

/// The images below a root whose platform is to be taken, in order, without attestations. What is not taken is not asked for: a
/// mirror may lack it. The only image there is, is taken whatever its platform.
pub(in crate::openshift) fn members(root: &Digest, origin: &dyn Origin, take: &dyn Fn(&Platform) -> bool) -> Result<Members, FilesError> {
    let mut found = Members::default();
    let mut open = vec![(*root, None::<Platform>, None, 0)];
    while let Some((digest, platform, entry, depth)) = open.pop() {
        if depth > limits::INDEX_DEPTH {
            return Err(OriginError::Depth(digest).into());
        }
        let (bytes, media_type) = origin.manifest(&digest)?;
        let parsed = Manifest::parse(&bytes, media_type.as_deref());
        let manifest = parsed.map_err(|error| OriginError::Manifest { digest, error })?;
        let Kind::Index { children } = &manifest.kind else {
            found.images.push(Member { digest, manifest, bytes, platform, entry });
            continue;
        };
        let listed: Listed = serde_json::from_slice(&bytes)
            .map_err(|e| OriginError::Manifest { digest, error: crate::oci::ManifestError::Malformed(e.to_string()) })?;
        for (child, entry) in children.iter().zip(listed.manifests).rev().filter(|(child, _)| is_image(child)) {
            match &child.platform {
                Some(there) if !take(there) => found.left.push(there.clone()),
                there => open.push((child.digest, there.clone().or(platform.clone()), Some(entry), depth + 1)),
            }
        }
        if found.images.len() + found.left.len() + open.len() > limits::INDEX_CHILDREN {
            let why = format!("it has more than {} members", limits::INDEX_CHILDREN);
            return Err(FilesError::NoImage { digest: *root, why });
        }
    }
    Ok(found)
}

/// The members of an index as they are written.
#[derive(Deserialize)]
struct Listed {
    manifests: Vec<Box<RawValue>>,
}

/// False for what is about an image without being one.
fn is_image(child: &Descriptor) -> bool {
    let unknown = child.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
    !unknown && !child.annotations.contains_key("vnd.docker.reference.digest")
}

/// What an image's configuration says, as far as it is looked at here (OCI image specification, "Image Configuration").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// GOARCH.
    pub architecture: String,
    /// `linux` ...
    pub os: String,
    /// CPU variant.
    pub variant: Option<String>,
    /// `config.Labels`.
    pub labels: BTreeMap<String, String>,
    /// `config.Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `config.Cmd`.
    pub cmd: Vec<String>,
    /// `rootfs.diff_ids`, lowest layer first.
    pub diff_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default, deserialize_with = "or_null")]
    architecture: String,
    #[serde(default, deserialize_with = "or_null")]
    os: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    config: Inner,
    #[serde(default, deserialize_with = "or_null")]
    rootfs: RootFs,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inner {
    #[serde(default, deserialize_with = "or_null")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "or_null")]
    cmd: Vec<String>,
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default, deserialize_with = "or_null")]
    diff_ids: Vec<String>,
}

/// Builders in Go write what is empty as `null`.
fn or_null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl ImageConfig {
    /// Reads a configuration document.
    ///
    /// # Errors
    /// Why it is none, safe to print.
    pub fn parse(bytes: &[u8]) -> Result<ImageConfig, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|e| shown(&e.to_string()).to_string())?;
        let Document { architecture, os, variant, config, rootfs } = document;
        Ok(ImageConfig {
            architecture,
            os,
            variant: variant.filter(|v| !v.is_empty()),
            labels: config.labels,
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            diff_ids: rootfs.diff_ids,
        })
    }

    /// Reads the configuration of an image, and gives its bytes as well.
    ///
    /// # Errors
    /// [`FilesError::NoImage`] for an index, [`FilesError::Config`] for what is no image's configuration or too large for one.
    pub fn read(manifest: &Manifest, blobs: Blobs<'_>) -> Result<(ImageConfig, Vec<u8>), FilesError> {
        let Kind::Image { config, .. } = &manifest.kind else {
            let digest = manifest.children().first().map_or(Digest::sha256(b""), |child| child.digest);
            return Err(FilesError::NoImage { digest, why: "it is a member of an index that has not been chosen from".into() });
        };
        let bytes = blobs.small(config, limits::IMAGE_CONFIG_BYTES)?;
        let parsed = ImageConfig::parse(&bytes).map_err(|why| FilesError::Config { digest: config.digest, why })?;
        Ok((parsed, bytes))
    }

    /// Its platform.
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant: self.variant.clone() }
    }
}
