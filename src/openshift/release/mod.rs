//! Release images: what they consist of.
//!
//! A release image carries, under `release-manifests`, the list of its components (`image-references`), what it is called
//! (`release-metadata`), which boot images belong to it, and the manifests that a cluster applies.

mod boot_images;
mod error;
mod references;

pub use boot_images::{KubeVirt, kube_virt_suffix};
pub use error::ReleaseError;

use super::files::{Files, FilesError, Flow};
use crate::limits;
use crate::oci::{Reference, is_tag};
use crate::text::shown;
use references::{ImageReferences, Metadata};
use semver::Version;
use std::collections::BTreeMap;
use std::io::Read;

/// The list of components: an `ImageStream`.
const REFERENCES: &str = "release-manifests/image-references";
/// Version and architecture of the release.
const METADATA: &str = "release-manifests/release-metadata";
/// The ConfigMap of the boot images.
const BOOT_IMAGES: &str = "release-manifests/0000_50_installer_coreos-bootimages.yaml";

/// Repository of release images at the target, as oc-mirror names it.
pub const RELEASE_REPOSITORY: &str = "openshift/release-images";
/// Repository of components at the target.
pub const CONTENT_REPOSITORY: &str = "openshift/release";

/// What a release image says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: Version,
    /// True for a release for several architectures.
    pub multi: bool,
    /// Its components by name, each by digest.
    pub components: BTreeMap<String, Reference>,
    /// `data.stream` of its boot images, where it has any.
    boot_images: Option<String>,
}

impl Release {
    /// Reads a release through its files, no further than to the last of those that are needed: they lie in the uppermost layer, and
    /// the layers below, hundreds of megabytes, need not be fetched for them.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn read(files: &dyn Files) -> Result<Release, ReleaseError> {
        let named = [REFERENCES, METADATA, BOOT_IMAGES];
        let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        files.each(&|path| named.contains(&path), &mut |path, reader| {
            found.insert(path.to_owned(), whole(reader)?);
            Ok(if found.len() == named.len() { Flow::Stop } else { Flow::Continue })
        })?;
        Release::of(&found)
    }

    fn of(found: &BTreeMap<String, Vec<u8>>) -> Result<Release, ReleaseError> {
        let references = found.get(REFERENCES).ok_or(ReleaseError::NoReferences)?;
        let ImageReferences { version, components } = references::references(references)?;
        let metadata = found.get(METADATA).map(|bytes| references::metadata(bytes)).transpose()?;
        let Metadata { version: also, multi } = metadata.unwrap_or_else(|| Metadata { version: version.clone(), multi: false });
        if also != version {
            return Err(ReleaseError::Contradiction { references: version, metadata: also });
        }
        let boot_images = found.get(BOOT_IMAGES).map(|bytes| boot_images::stream(bytes)).transpose()?.flatten();
        Ok(Release { version, multi, components, boot_images })
    }

    /// The KubeVirt container disks, of one architecture or by architecture (`x86_64`, `s390x`); empty where the release has none.
    ///
    /// # Errors
    /// [`ReleaseError::Malformed`]: the boot images are not as they should be.
    pub fn kube_virt(&self, architecture: Option<&str>) -> Result<Vec<KubeVirt>, ReleaseError> {
        self.boot_images.as_deref().map_or(Ok(Vec::new()), |stream| boot_images::kube_virt(stream, architecture))
    }

    /// `VERSION-ARCHITECTURE`, as release images are tagged: `4.16.3-x86_64`. `config_architecture` is what the image's own
    /// configuration says (`amd64`); a release for several architectures says so itself. One image out of the index of such a
    /// release (`is_index` false) has both: `4.16.3-multi-x86_64`.
    ///
    /// # Errors
    /// [`ReleaseError::Architecture`] for one that no release has, [`ReleaseError::Tag`] for a version that makes no tag.
    pub fn tag(&self, config_architecture: &str, is_index: bool) -> Result<String, ReleaseError> {
        let own = || tag_suffix(config_architecture).ok_or_else(|| ReleaseError::Architecture(config_architecture.to_owned()));
        let tag = match (self.multi, is_index) {
            (true, true) => format!("{}-multi", self.version),
            (true, false) => format!("{}-multi-{}", self.version, own()?),
            (false, _) => format!("{}-{}", self.version, own()?),
        };
        if is_tag(&tag) { Ok(tag) } else { Err(ReleaseError::Tag(tag)) }
    }
}

/// A file, if it is not too long.
fn whole(reader: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limits::RELEASE_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limits::RELEASE_FILE_BYTES {
        let too_long = format!("it is longer than {} bytes", limits::RELEASE_FILE_BYTES);
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, too_long));
    }
    Ok(bytes)
}

/// The end of a release tag for an architecture as image configurations and update graphs name it.
pub fn tag_suffix(architecture: &str) -> Option<&'static str> {
    Some(match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "ppc64le" => "ppc64le",
        "s390x" => "s390x",
        "multi" => "multi",
        _ => return None,
    })
}

impl From<FilesError> for ReleaseError {
    fn from(error: FilesError) -> ReleaseError {
        match error {
            // Only the reader of this module refuses files so; a source's wrong bytes carry a verdict.
            FilesError::Visitor { path, error }
                if crate::blob::Wrong::of(&error).is_none() && error.kind() == std::io::ErrorKind::InvalidData =>
            {
                ReleaseError::Malformed { path: shown(&path).to_string(), why: error.to_string() }
            }
            other => ReleaseError::Files(other),
        }
    }
}

#[cfg(test)]
mod tests;
