//! From an ImageSet to a wish: releases, catalogs and charts become images.
//!
//! Each part asks the outside world what it needs, writes what it makes into the workspace, and gives back images to carry and
//! documents that travel beside them. Nothing is carried here.

mod graph;
mod helm;
mod operators;
mod pinned;
mod releases;
#[cfg(test)]
mod testing;
mod whole;

pub use graph::graph_image;
pub use helm::charts;
pub use operators::operators;
pub use releases::{releases, single, update_graph};
pub use whole::gather;

use crate::format::Document;
use crate::layout::Layout;
use crate::openshift::graph::{GraphError, Nearest, SelectError};
use crate::openshift::release::ReleaseError;
use crate::openshift::signature::{KeyError, StoreError};
use crate::origin::Origins;
use crate::pack::Ask;
use crate::progress::Progress;
use crate::text::shown;
use crate::web::Web;
use semver::Version;
use std::path::PathBuf;

/// What gathering works with.
pub struct World<'a> {
    /// Images.
    pub origins: &'a dyn Origins,
    /// Documents.
    pub web: &'a dyn Web,
    /// Where what is made, and what had to be fetched to look into, is kept.
    pub workspace: &'a Layout,
    /// Who watches; also asked whether to stop.
    pub progress: &'a dyn Progress,
    /// Requests at a time.
    pub parallel: usize,
    /// Folder that relative paths of the ImageSet begin at.
    pub folder: PathBuf,
    /// About releases.
    pub releases: ReleaseSettings,
    /// About operators.
    pub operators: OperatorSettings,
    /// About charts.
    pub helm: HelmSettings,
}

/// What is said about releases outside the ImageSet.
#[derive(Clone, Debug, Default)]
pub struct ReleaseSettings {
    /// Update graph of OpenShift.
    pub graph_url: String,
    /// Update graph of OKD.
    pub okd_graph_url: String,
    /// Signature stores, in the order they are asked: `http(s)://...` or a folder; below each lie `sha256=HEX/signature-N`.
    pub stores: Vec<String>,
    /// Files that may hold OpenPGP keys, or folders of such; those that do not exist are passed over, unless `keys_named`.
    pub keys: Vec<PathBuf>,
    /// The keys were named by the person: only they count, and each must be there.
    pub keys_named: bool,
    /// The time signatures and keys must be valid at, in seconds since 1970.
    pub now: u64,
    /// Carry releases without a signature that holds, saying so loudly.
    pub ignore_signature: bool,
    /// Where the graph data is (`application/gzip` tar).
    pub graph_data_url: String,
    /// The graph data as a file on this machine, in place of the address.
    pub graph_data_file: Option<PathBuf>,
    /// Image that the graph image is built upon.
    pub graph_base: String,
}

/// What is said about operators outside the ImageSet.
#[derive(Clone, Debug, Default)]
pub struct OperatorSettings {
    /// Add the packages that kept bundles depend on.
    pub with_dependencies: bool,
}

/// What is said about charts outside the ImageSet.
#[derive(Clone, Debug, Default)]
pub struct HelmSettings {
    /// The `helm` program, where there is one.
    pub program: Option<PathBuf>,
    /// Values files for every chart (`helm template -f`).
    pub values: Vec<PathBuf>,
}

/// What a part of the ImageSet became.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Images.
    pub asks: Vec<Ask>,
    /// Documents.
    pub documents: Vec<Document>,
    /// What could not be had: its name, and why. Whether the rest may be packed is the caller's choice.
    pub failures: Vec<(String, GatherError)>,
    /// What a person should know: risks of updates, what may be missed, ways taken.
    pub notes: Vec<String>,
}

impl Gathered {
    /// Takes over what another part became.
    pub fn add(&mut self, other: Gathered) {
        self.asks.extend(other.asks);
        self.documents.extend(other.documents);
        self.failures.extend(other.failures);
        self.notes.extend(other.notes);
    }
}

/// Why a part of an ImageSet could not be worked out.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The person asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// An image that had to be looked into could not be had.
    #[error(transparent)]
    Origin(#[from] crate::origin::OriginError),
    /// A document could not be had.
    #[error(transparent)]
    Web(#[from] crate::web::WebError),
    /// What is made cannot be kept.
    #[error(transparent)]
    Workspace(#[from] crate::layout::Error),
    /// A file.
    #[error(transparent)]
    Fs(#[from] crate::fs::FsError),
    /// A text that should name an image does not.
    #[error(transparent)]
    Source(#[from] crate::image_set::SourceError),
    /// The graph image.
    #[error(transparent)]
    GraphImage(#[from] crate::openshift::graph_image::GraphImageError),
    /// A catalog's image.
    #[error(transparent)]
    Catalog(#[from] crate::openshift::catalog::CatalogError),
    /// A chart, or a repository of charts.
    #[error(transparent)]
    Helm(#[from] crate::helm::HelmError),
    /// What the service answers is no update graph.
    #[error("{url}: the update graph of channel {} for {architecture}: {error}", shown(.channel))]
    Graph {
        /// Without query.
        url: String,
        /// The channel asked for.
        channel: String,
        /// The architecture asked for.
        architecture: String,
        /// Why.
        error: GraphError,
    },
    /// The channels do not have what was asked for.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// None of the channels a release could be in has it.
    #[error("release {version} is in none of {} for {architecture}; {nearest}", .channels.join(", "))]
    NoRelease {
        /// The version.
        version: Version,
        /// The channels that were looked at.
        channels: Vec<String>,
        /// The architecture.
        architecture: String,
        /// What the last of them has.
        nearest: Nearest,
    },
    /// A text that should name a release.
    #[error("{:?} is neither the version of a release nor a release image with tag or digest", shown(.0).to_string())]
    NotARelease(String),
    /// No key that release signatures could be verified with.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A release has no signature that holds.
    #[error(transparent)]
    Signature(#[from] StoreError),
    /// An image is not a release as it should be.
    #[error("{image}: {error}")]
    Release {
        /// The image, by digest.
        image: String,
        /// Why.
        error: ReleaseError,
    },
    /// An image is a release, but another one.
    #[error("{image} should be release {expected}, and is {found}")]
    OtherRelease {
        /// The image, by digest.
        image: String,
        /// What the graph or its tag says.
        expected: String,
        /// What it says of itself.
        found: String,
    },
    /// What is in a catalog.
    #[error(transparent)]
    Fbc(#[from] crate::openshift::fbc::FbcError),
    /// An image gets no name at the target.
    #[error(transparent)]
    Name(#[from] crate::image_set::DestinationError),
}
