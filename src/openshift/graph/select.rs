//! Which releases a wish means.

use super::cross::across;
use super::{Graph, Node, Note, SelectError, Step};
use crate::image_set::Channel;
use crate::oci::Reference;
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// One release to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Its version, as the graph says.
    pub version: Version,
    /// Its release image.
    pub payload: Reference,
    /// A channel it was found in.
    pub channel: String,
    /// The architecture the graph was asked for.
    pub architecture: String,
}

/// What was selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Releases, by version; each once.
    pub releases: Vec<Selected>,
    /// What should be known about them.
    pub notes: Vec<Note>,
}

/// The versions of one channel, chosen, with its ends.
pub(super) struct Chosen {
    pub(super) min: Version,
    pub(super) max: Version,
    pub(super) versions: BTreeSet<Version>,
    pub(super) notes: Vec<Note>,
}

/// Selects from the graphs of one architecture what the channels ask for, by oc-mirror's rules for bounds: neither bound: the
/// head, or with `full` everything; an open end means the channel's own. With several OpenShift channels the path from the lowest
/// to the highest version asked for is added.
///
/// Unlike there, a bound that is not in its channel and a path that does not exist are errors, and conditional updates may be
/// part of a path where no other way exists; each is noted.
///
/// `graphs` must hold those of [`super::channels_needed`]; one that is missing counts as empty.
///
/// # Errors
/// [`SelectError`].
pub fn select(wanted: &[Channel], graphs: &BTreeMap<String, Graph>, architecture: &str) -> Result<Selection, SelectError> {
    let mut gathering = Gathering { graphs, architecture, found: BTreeMap::new() };
    let mut notes = Vec::new();
    let mut ends = Vec::new();
    for channel in wanted {
        let chosen = choose(channel, gathering.graph(&channel.name)?, architecture)?;
        gathering.take(&channel.name, &chosen.versions);
        notes.extend(chosen.notes);
        ends.push((channel, chosen.min, chosen.max));
    }
    for (channel, versions) in across(&ends, graphs, architecture, &mut notes) {
        gathering.take(&channel, &versions);
    }
    notes.sort();
    notes.dedup();
    Ok(Selection { releases: gathering.found.into_values().collect(), notes })
}

/// The update path from one version to another, for a person to look at.
///
/// # Errors
/// [`SelectError::NoVersion`] and [`SelectError::NoPath`].
pub fn way(graph: &Graph, channel: &str, architecture: &str, from: &Version, to: &Version) -> Result<Vec<Step>, SelectError> {
    in_channel(graph, channel, architecture, from)?;
    in_channel(graph, channel, architecture, to)?;
    graph.path(from, to).ok_or_else(|| {
        let (reached, leads) = graph.ends(from, to);
        let (channel, architecture) = (channel.to_owned(), architecture.to_owned());
        SelectError::NoPath { channel, architecture, from: from.clone(), to: to.clone(), reached, leads }
    })
}

/// The conditional updates of a path as notes.
pub(super) fn notes_of(steps: &[Step], channel: &str, architecture: &str) -> Vec<Note> {
    let risky = |pair: &[Step]| match pair {
        [from, to] if !to.risks.is_empty() => Some(Note::Conditional {
            channel: channel.to_owned(),
            architecture: architecture.to_owned(),
            from: from.version.clone(),
            to: to.version.clone(),
            risks: to.risks.clone(),
        }),
        _ => None,
    };
    steps.windows(2).filter_map(risky).collect()
}

struct Gathering<'a> {
    graphs: &'a BTreeMap<String, Graph>,
    architecture: &'a str,
    /// One release per version and content: two channels that name two images for one version are told later, by their names.
    found: BTreeMap<(Version, String), Selected>,
}

impl<'a> Gathering<'a> {
    fn graph(&self, channel: &str) -> Result<&'a Graph, SelectError> {
        let empty = || SelectError::EmptyChannel { channel: channel.to_owned(), architecture: self.architecture.to_owned() };
        self.graphs.get(channel).filter(|graph| !graph.nodes().is_empty()).ok_or_else(empty)
    }

    fn take(&mut self, channel: &str, versions: &BTreeSet<Version>) {
        let Some(graph) = self.graphs.get(channel) else { return };
        for node in versions.iter().filter_map(|version| graph.find(version)) {
            self.found
                .entry((node.version.clone(), node.payload.to_string()))
                .or_insert_with(|| selected(node, channel, self.architecture));
        }
    }
}

fn selected(node: &Node, channel: &str, architecture: &str) -> Selected {
    Selected {
        version: node.version.clone(),
        payload: node.payload.clone(),
        channel: channel.to_owned(),
        architecture: architecture.to_owned(),
    }
}

fn choose(wanted: &Channel, graph: &Graph, architecture: &str) -> Result<Chosen, SelectError> {
    let (min, max) = bounds(wanted, graph, architecture)?;
    if min > max {
        return Err(SelectError::EmptyRange { channel: wanted.name.clone(), min, max });
    }
    let mut notes = Vec::new();
    let versions = if wanted.shortest_path {
        let steps = way(graph, &wanted.name, architecture, &min, &max)?;
        notes = notes_of(&steps, &wanted.name, architecture);
        steps.into_iter().map(|step| step.version).collect()
    } else {
        if wanted.name.starts_with("eus-") && min.major == max.major && max.minor.saturating_sub(min.minor) >= 2 {
            let (channel, architecture) = (wanted.name.clone(), architecture.to_owned());
            notes.push(Note::Eus { channel, architecture, from: min.clone(), to: max.clone() });
        }
        graph.nodes().iter().map(|node| &node.version).filter(|version| (&min..=&max).contains(version)).cloned().collect()
    };
    Ok(Chosen { min, max, versions, notes })
}

/// Lowest and highest version, each in the channel.
fn bounds(wanted: &Channel, graph: &Graph, architecture: &str) -> Result<(Version, Version), SelectError> {
    let empty = || SelectError::EmptyChannel { channel: wanted.name.clone(), architecture: architecture.to_owned() };
    let head = graph.head().ok_or_else(empty)?.version.clone();
    let lowest = graph.lowest().ok_or_else(empty)?.version.clone();
    for bound in [&wanted.range.min, &wanted.range.max].into_iter().flatten() {
        in_channel(graph, &wanted.name, architecture, bound)?;
    }
    Ok(match (wanted.range.min.clone(), wanted.range.max.clone()) {
        (None, None) if !wanted.full => (head.clone(), head),
        (min, max) => (min.unwrap_or(lowest), max.unwrap_or(head)),
    })
}

fn in_channel(graph: &Graph, channel: &str, architecture: &str, version: &Version) -> Result<(), SelectError> {
    if graph.nodes().is_empty() {
        return Err(SelectError::EmptyChannel { channel: channel.to_owned(), architecture: architecture.to_owned() });
    }
    match graph.find(version) {
        Some(_) => Ok(()),
        None => Err(SelectError::NoVersion {
            version: version.clone(),
            channel: channel.to_owned(),
            architecture: architecture.to_owned(),
            nearest: graph.nearest(version),
        }),
    }
}
