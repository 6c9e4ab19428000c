//! The model: one plain struct per group of rows of the configuration's table.
//!
//! What is optional in the file is an `Option` or an empty list here; defaults are not filled in, so that whoever acts
//! on a value also sees whether it was given.

use super::{Blocked, Source};
use crate::oci::{Platform, Reference};
use semver::Version;

/// An `ImageSetConfiguration`: everything the user asked to carry. Made only by [`ImageSet::parse`] or as a default.
#[derive(Clone, Debug, Default)]
pub struct ImageSet {
    /// `archiveSize` as bytes of one volume, already within [`crate::limits::VOLUME_BYTES_MAX`]; `None` where not given or 0.
    pub archive_size: Option<u64>,
    /// `mirror.platform`.
    pub platform: Option<Releases>,
    /// `mirror.operators`.
    pub operators: Vec<Operator>,
    /// `mirror.additionalImages`.
    pub additional_images: Vec<AdditionalImage>,
    /// `mirror.helm`.
    pub helm: Helm,
    /// `mirror.blockedImages`.
    pub blocked: Blocked,
    /// `mirror.samples[].name`: read, never acted upon (neither does oc-mirror).
    pub samples: Vec<String>,
}

impl ImageSet {
    /// The same with the layouts that are meant: [`Source::settled`].
    pub fn settled(mut self, is_folder: &dyn Fn(&str) -> bool) -> ImageSet {
        let images = self.additional_images.iter_mut().map(|image| &mut image.source);
        for source in images.chain(self.operators.iter_mut().map(|operator| &mut operator.source)) {
            *source = source.clone().settled(is_folder);
        }
        self
    }
}

/// A `DeleteImageSetConfiguration`: what shall go from the registry.
#[derive(Clone, Debug, Default)]
pub struct DeleteSet {
    /// `delete.platform`.
    pub platform: Option<Releases>,
    /// `delete.operators`.
    pub operators: Vec<Operator>,
    /// `delete.additionalImages`.
    pub additional_images: Vec<AdditionalImage>,
    /// `delete.helm`.
    pub helm: Helm,
    /// `delete.samples[].name`: read, never acted upon.
    pub samples: Vec<String>,
}

/// `platform`: OpenShift or OKD releases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releases {
    /// Build and carry the graph-data image.
    pub graph: bool,
    /// Update channels; names are unique.
    pub channels: Vec<Channel>,
    /// `amd64`, `arm64`, `ppc64le`, `s390x`, `multi`; empty means `amd64`. Never together with `platforms`.
    pub architectures: Vec<String>,
    /// Members of the multi payload to carry; empty means all.
    pub platforms: Vec<Platform>,
    /// One explicit release image, with tag or digest; wins over the channels.
    pub release: Option<Reference>,
    /// Carry the container disk for KubeVirt as well.
    pub kube_virt_container: bool,
}

/// `platform.channels[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Name, for example `stable-4.16`.
    pub name: String,
    /// OpenShift or OKD.
    pub channel_type: ChannelType,
    /// Versions; open ends where not given.
    pub range: VersionRange,
    /// Only the shortest update path through the range.
    pub shortest_path: bool,
    /// The whole channel.
    pub full: bool,
}

/// `platform.channels[].type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelType {
    /// OpenShift (the default, and what any unknown word means).
    #[default]
    Ocp,
    /// OKD.
    Okd,
}

/// `minVersion` and `maxVersion`, both included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionRange {
    /// Lowest version.
    pub min: Option<Version>,
    /// Highest version.
    pub max: Option<Version>,
}

impl VersionRange {
    /// True when neither end is given.
    pub fn is_open(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}

/// `operators[]`: one catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `catalog` as written.
    pub catalog: String,
    /// `catalog` as understood.
    pub source: Source,
    /// All bundles instead of channel heads.
    pub full: bool,
    /// Packages to keep; empty means all. Names are unique.
    pub packages: Vec<Package>,
    /// Repository path at the destination instead of the catalog's own.
    pub target_catalog: Option<String>,
    /// Tag at the destination instead of the catalog's own.
    pub target_tag: Option<String>,
    /// Path of a CatalogSource template.
    pub target_catalog_source_template: Option<String>,
    /// Accepted, without effect.
    pub skip_dependencies: bool,
    /// Platforms of the catalog and its images to carry; empty means all.
    pub platforms: Vec<Platform>,
}

/// `operators[].packages[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Name.
    pub name: String,
    /// Channels to keep; empty means all. Names are unique.
    pub channels: Vec<PackageChannel>,
    /// Replaces the package's default channel in the filtered catalog.
    pub default_channel: Option<String>,
    /// Versions in every kept channel; open when a channel has a range of its own.
    pub range: VersionRange,
    /// `bundles[].name` of the 4.16 and 4.17 previews: read, not acted upon.
    pub bundles: Vec<String>,
}

/// `operators[].packages[].channels[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChannel {
    /// Name.
    pub name: String,
    /// Versions.
    pub range: VersionRange,
}

/// `additionalImages[]`: one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdditionalImage {
    /// `name` as written.
    pub name: String,
    /// `name` as understood; a registry reference has a tag or a digest.
    pub source: Source,
    /// Repository path at the destination instead of its own.
    pub target_repo: Option<String>,
    /// Tag at the destination instead of its own.
    pub target_tag: Option<String>,
    /// Platforms to carry; empty means all.
    pub platforms: Vec<Platform>,
}

/// `helm`: charts whose images are carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Helm {
    /// Chart repositories.
    pub repositories: Vec<ChartRepository>,
    /// Charts on disk.
    pub local: Vec<LocalChart>,
}

/// `helm.repositories[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartRepository {
    /// Name of the user's choice.
    pub name: String,
    /// Address.
    pub url: String,
    /// Charts; empty means all versions of all charts that are no libraries.
    pub charts: Vec<Chart>,
}

/// `helm.repositories[].charts[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Name.
    pub name: String,
    /// Version; `None` where not given.
    pub version: Option<String>,
    /// Where in the rendered documents further images are named (JSONPath).
    pub image_paths: Vec<String>,
    /// Platforms to carry; empty means all.
    pub platforms: Vec<Platform>,
}

/// `helm.local[]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalChart {
    /// Name of the user's choice.
    pub name: String,
    /// A `.tgz` or a chart directory.
    pub path: String,
    /// Where in the rendered documents further images are named (JSONPath).
    pub image_paths: Vec<String>,
    /// Platforms to carry; empty means all.
    pub platforms: Vec<Platform>,
}

impl Releases {
    /// False where only selectors stand (`architectures`) and nothing they could select from.
    pub fn asks_for_content(&self) -> bool {
        self.graph || self.kube_virt_container || self.release.is_some() || !self.channels.is_empty()
    }
}
