//! Update paths through several channels: from minor version to minor version, each to its channel's head.
//!
//! The releases of the channels between are needed by a cluster that shall come from the lowest version asked for to the
//! highest, although nobody names them.

use super::select::notes_of;
use super::{Graph, Note, way};
use crate::image_set::{Channel, ChannelType};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// `PREFIX-MAJOR.MINOR`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    prefix: String,
    major: u64,
    minor: u64,
}

impl Name {
    fn parse(text: &str) -> Option<Name> {
        let (prefix, version) = text.rsplit_once('-')?;
        let (major, minor) = version.split_once('.')?;
        Some(Name { prefix: prefix.to_owned(), major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// The channels after this one up to `last`. Extended update support (`eus`) exists for every second minor version only.
    fn after(&self, last: &Name) -> Option<Vec<String>> {
        if self.prefix != last.prefix || self.major != last.major || last.minor.checked_sub(self.minor)? > MINORS {
            return None;
        }
        let step = if self.prefix == "eus" { 2 } else { 1 };
        let minors = (self.minor..last.minor).skip(1).filter(|minor| (minor - self.minor).is_multiple_of(step)).chain([last.minor]);
        let name = |minor| format!("{}-{}.{}", self.prefix, self.major, minor);
        Some(minors.filter(|minor| *minor > self.minor).map(name).collect())
    }
}

/// Minor versions between two channels: more is a typing error that would ask the service for thousands of graphs.
const MINORS: u64 = 64;

/// The channels whose graphs [`super::select`] needs: those asked for, and those between them.
pub fn channels_needed(wanted: &[Channel]) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = wanted.iter().map(|channel| channel.name.clone()).collect();
    let ocp = wanted.iter().filter(|channel| channel.channel_type == ChannelType::Ocp);
    let mut names: Vec<Name> = ocp.filter_map(|channel| Name::parse(&channel.name)).collect();
    names.sort_by_key(|name| (name.major, name.minor));
    // Which of them the path begins and ends in is known only once the graphs are: all pairs of one kind are joined.
    for pair in names.iter().flat_map(|a| names.iter().map(move |b| (a, b))) {
        needed.extend(pair.0.after(pair.1).unwrap_or_default());
    }
    needed
}

/// The releases of the path from the lowest to the highest version of several channels, by channel; none when it is blocked,
/// which is noted.
pub(super) fn across(
    ends: &[(&Channel, Version, Version)],
    graphs: &BTreeMap<String, Graph>,
    architecture: &str,
    notes: &mut Vec<Note>,
) -> Vec<(String, BTreeSet<Version>)> {
    let ocp = || ends.iter().filter(|(channel, _, _)| channel.channel_type == ChannelType::Ocp);
    let (Some((first, from, _)), Some((last, _, to))) = (ocp().min_by(|a, b| a.1.cmp(&b.1)), ocp().max_by(|a, b| a.2.cmp(&b.2))) else {
        return Vec::new();
    };
    if ocp().count() < 2 || first.name == last.name || from == to {
        return Vec::new();
    }
    let names = Name::parse(&first.name).zip(Name::parse(&last.name));
    let Some(channels) = names.and_then(|(first, last)| first.after(&last)) else {
        let (from, to) = (first.name.clone(), last.name.clone());
        notes.push(Note::NoCommonKind { from, to, architecture: architecture.to_owned() });
        return Vec::new();
    };
    let road = Road { graphs, architecture, to };
    let all = std::iter::once(first.name.clone()).chain(channels).collect::<Vec<_>>();
    match road.walk(&all, from) {
        Ok((releases, risks)) => {
            notes.extend(risks);
            releases
        }
        Err(blocked) => {
            notes.push(blocked);
            Vec::new()
        }
    }
}

struct Road<'a> {
    graphs: &'a BTreeMap<String, Graph>,
    architecture: &'a str,
    to: &'a Version,
}

type Walked = (Vec<(String, BTreeSet<Version>)>, Vec<Note>);

impl Road<'_> {
    /// Through each channel to its head, in the last to the version asked for.
    fn walk(&self, channels: &[String], from: &Version) -> Result<Walked, Note> {
        let mut at = from.clone();
        let (mut releases, mut risks) = (Vec::new(), Vec::new());
        for (i, channel) in channels.iter().enumerate() {
            let blocked = |to: Option<&Version>| Note::Blocked {
                channel: channel.clone(),
                architecture: self.architecture.to_owned(),
                from: at.clone(),
                to: to.cloned(),
            };
            let graph = self.graphs.get(channel).filter(|graph| graph.find(&at).is_some()).ok_or_else(|| blocked(None))?;
            let head = graph.head().map(|node| &node.version);
            let goal = if i + 1 == channels.len() { Some(self.to) } else { head };
            let goal = goal.ok_or_else(|| blocked(None))?;
            let steps = way(graph, channel, self.architecture, &at, goal).map_err(|_| blocked(Some(goal)))?;
            risks.extend(notes_of(&steps, channel, self.architecture));
            releases.push((channel.clone(), steps.into_iter().map(|step| step.version).collect()));
            at = goal.clone();
        }
        Ok((releases, risks))
    }
}
