//! The update graph: which releases there are in a channel, and the ways between them.
//!
//! The service answers a question for a channel and an architecture with one JSON document ("Cincinnati", version 1): nodes
//! (version, release image), edges between their positions, and conditional edges, which hold only for clusters that a risk
//! does not apply to, or whose administrator accepts it. Everything here is pure: bytes in, releases and notes out.

mod cross;
mod error;
mod note;
mod path;
mod read;
mod select;

pub use cross::channels_needed;
pub use error::{GraphError, Nearest, SelectError};
pub use note::{Note, Risk};
pub use path::Step;
pub use select::{Selected, Selection, select, way};

use crate::oci::Reference;
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// What an update graph is asked for by (`Accept`).
pub const MEDIA_TYPE: &str = "application/json";

/// The public service for OpenShift.
pub const OCP_GRAPH: &str = "https://api.openshift.com/api/upgrades_info/v1/graph";
/// The public service for OKD.
pub const OKD_GRAPH: &str = "https://origin-release.ci.openshift.org/graph";

/// One release in a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its version.
    pub version: Version,
    /// Its release image: by digest, or (release controllers of OKD) by tag.
    pub payload: Reference,
    /// The channels it says it is in.
    pub channels: Vec<String>,
    /// Its announcement, as the service gives it: foreign text.
    pub url: Option<String>,
}

/// A graph of one channel and architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// By version, lowest first; each version once.
    nodes: Vec<Node>,
    /// For each node the nodes it can be updated to, highest first.
    edges: Vec<Vec<usize>>,
    /// For each node those it can be updated to at a risk. None of them is in `edges`.
    conditional: Vec<Conditional>,
    /// What the groups of conditional edges risk. Kept once: a reply may name one long text for very many edges.
    risks: Vec<Vec<Risk>>,
}

/// Conditional edges from one node: the node they lead to, highest first, and the groups they are in.
type Conditional = BTreeMap<std::cmp::Reverse<usize>, Vec<usize>>;

impl Graph {
    /// Reads a reply of the service.
    ///
    /// # Errors
    /// [`GraphError`], with the place in the document.
    pub fn parse(bytes: &[u8]) -> Result<Graph, GraphError> {
        read::parse(bytes)
    }

    /// All releases, lowest version first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The highest version: the channel's head.
    pub fn head(&self) -> Option<&Node> {
        self.nodes.last()
    }

    /// The lowest version.
    pub fn lowest(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// The release of a version.
    pub fn find(&self, version: &Version) -> Option<&Node> {
        self.nodes.get(self.position(version)?)
    }

    /// The nearest versions below and above one that is not there.
    pub fn nearest(&self, version: &Version) -> Nearest {
        let at = self.nodes.partition_point(|node| node.version < *version);
        let version_of = |at: usize| self.nodes.get(at).map(|node| node.version.clone());
        Nearest { below: at.checked_sub(1).and_then(version_of), above: version_of(at).filter(|above| above != version) }
    }

    /// All channels any of its releases is in, in order.
    pub fn channels(&self) -> BTreeSet<&str> {
        self.nodes.iter().flat_map(|node| node.channels.iter().map(String::as_str)).collect()
    }

    fn position(&self, version: &Version) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.version.cmp(version)).ok()
    }

    fn version(&self, at: usize) -> Option<&Version> {
        self.nodes.get(at).map(|node| &node.version)
    }
}

#[cfg(test)]
mod tests;
