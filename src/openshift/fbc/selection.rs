//! What is chosen of a package: channels, and entries of each.

use super::error::Fault;
use super::graph::Graph;
use super::index::At;
use super::package::{Channel, Package};
use super::version::{exact, within};
use crate::image_set::{self, VersionRange};
use crate::text::nearest;
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of one package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) default_channel: String,
    /// Entries by channel; none is empty.
    pub(super) channels: BTreeMap<String, BTreeSet<String>>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// A fault, and where it is.
pub(super) type Refused = (Option<At>, Fault);

/// Applies the rules to one package; `wish` is what the ImageSet says of it, if it names it.
pub(super) fn choose(package: &Package, wish: Option<&image_set::Package>, full: bool) -> Result<Chosen, Refused> {
    let head = sound(package)?;
    let named = wish.map(|wish| wish.channels.as_slice()).unwrap_or_default();
    let channels = reduced(package, named)?;
    let explicit = wish.and_then(|wish| wish.default_channel.as_deref());
    let default_channel = explicit.unwrap_or(&head.default_channel);
    check_default(package, default_channel, explicit.is_some(), &channels).map_err(|fault| (Some(head.at), fault))?;
    let open = VersionRange::default();
    let of_package = wish.map_or(&open, |wish| &wish.range);
    let mut chosen = Chosen { default_channel: default_channel.to_owned(), ..Chosen::default() };
    for (name, channel) in channels {
        let own = named.iter().find(|wanted| wanted.name == name).map(|wanted| &wanted.range).filter(|range| !range.is_open());
        let range = own.unwrap_or(of_package);
        let entries = rule(package, name, channel, range, full)?;
        if entries.is_empty() {
            if let Some(version) = own.and_then(exact) {
                return Err((Some(channel.at), no_version(package, &[name], version)));
            }
            continue;
        }
        refuse_missing(package, name, channel, &entries)?;
        chosen.channels.insert(name.to_owned(), entries);
    }
    if let Some(version) = exact(of_package)
        && chosen.channels.is_empty()
    {
        let names: Vec<&str> = reduced(package, named)?.into_iter().map(|(name, _)| name).collect();
        return Err((Some(head.at), no_version(package, &names, version)));
    }
    if !chosen.channels.contains_key(default_channel) {
        let range = named.iter().find(|wanted| wanted.name == default_channel).map(|wanted| &wanted.range);
        let range = range.filter(|range| !range.is_open()).unwrap_or(of_package);
        return Err((Some(head.at), empty_default(package, default_channel, range)));
    }
    warn(package, wish, &mut chosen);
    Ok(chosen)
}

/// The package's own object, when nothing is wrong with any of its objects.
fn sound(package: &Package) -> Result<&super::package::Head, Refused> {
    if let Some((at, fault)) = package.faults.first() {
        return Err((Some(*at), fault.clone()));
    }
    package.head.as_ref().ok_or_else(|| {
        let place = package.channels.values().map(|channel| channel.at).chain(package.bundles.values().map(|bundle| bundle.at)).next();
        (place, Fault::NoPackageObject)
    })
}

/// The channels asked for; all where none is named.
fn reduced<'p>(package: &'p Package, named: &[image_set::PackageChannel]) -> Result<Vec<(&'p str, &'p Channel)>, Refused> {
    if named.is_empty() {
        return Ok(package.channels.iter().map(|(name, channel)| (name.as_str(), channel)).collect());
    }
    let find = |wanted: &image_set::PackageChannel| match package.channels.get_key_value(&wanted.name) {
        Some((name, channel)) => Ok((name.as_str(), channel)),
        None => Err((None, no_channel(package, &wanted.name))),
    };
    named.iter().map(find).collect()
}

fn no_channel(package: &Package, channel: &str) -> Fault {
    let near = nearest(channel, package.channels.keys().map(String::as_str)).map(str::to_owned);
    let there = package.channels.keys().cloned().collect();
    Fault::NoChannel { channel: channel.to_owned(), near, there }
}

fn check_default(package: &Package, default: &str, explicit: bool, kept: &[(&str, &Channel)]) -> Result<(), Fault> {
    if kept.iter().any(|(name, _)| *name == default) {
        return Ok(());
    }
    Err(match (package.channels.contains_key(default), explicit) {
        (false, true) => no_channel(package, default),
        (false, false) => Fault::NoDefault(default.to_owned()),
        (true, _) => Fault::DefaultDropped { channel: default.to_owned(), kept: kept.iter().map(|(name, _)| (*name).to_owned()).collect() },
    })
}

/// The rule for one channel: everything, what a range leaves, or the head.
fn rule(package: &Package, name: &str, channel: &Channel, range: &VersionRange, full: bool) -> Result<BTreeSet<String>, Refused> {
    if full {
        return Ok(channel.entries.iter().map(|entry| entry.name.to_string()).collect());
    }
    let graph = Graph::of(name, channel, package).map_err(|fault| (Some(channel.at), fault))?;
    if range.is_open() {
        return Ok(BTreeSet::from([graph.head().to_owned()]));
    }
    let piece = graph.piece(&|_, version| version.is_some_and(|version| within(range, version)));
    Ok(piece.into_iter().map(str::to_owned).collect())
}

/// Whoever serves the catalog would refuse an entry without a bundle.
pub(super) fn refuse_missing(package: &Package, name: &str, channel: &Channel, entries: &BTreeSet<String>) -> Result<(), Refused> {
    match entries.iter().find(|entry| !package.bundles.contains_key(*entry)) {
        Some(entry) => Err((Some(channel.at), Fault::NoBundle { channel: name.to_owned(), entry: entry.clone() })),
        None => Ok(()),
    }
}

fn no_version(package: &Package, channels: &[&str], version: &Version) -> Fault {
    let near = neighbours(package, channels, version);
    Fault::NoVersion { channels: channels.iter().map(|name| (*name).to_owned()).collect(), version: version.to_string(), near }
}

fn empty_default(package: &Package, channel: &str, range: &VersionRange) -> Fault {
    let bound = range.min.as_ref().or(range.max.as_ref());
    let near = bound.map(|bound| neighbours(package, &[channel], bound)).unwrap_or_default();
    Fault::EmptyDefault { channel: channel.to_owned(), range: shown_range(range), near }
}

fn shown_range(range: &VersionRange) -> String {
    let min = range.min.as_ref().map(|min| format!(">={min}"));
    let max = range.max.as_ref().map(|max| format!("<={max}"));
    min.into_iter().chain(max).collect::<Vec<_>>().join(" ")
}

/// Versions that these channels have.
fn versions<'p>(package: &'p Package, channels: &[&str]) -> Vec<&'p Version> {
    let mut versions: Vec<&Version> = channels.iter().filter_map(|name| package.versions(name)).flatten().collect();
    versions.sort();
    versions.dedup();
    versions
}

/// The two next lower and the two next higher versions.
fn neighbours(package: &Package, channels: &[&str], version: &Version) -> Vec<String> {
    let versions = versions(package, channels);
    let below = versions.partition_point(|other| other.cmp_precedence(version).is_lt());
    let around = versions.get(below.saturating_sub(2)..versions.len().min(below + 2)).unwrap_or_default();
    around.iter().map(ToString::to_string).collect()
}

/// Says what was read otherwise than a person may have meant it: bounds that are no versions, channels that went away.
fn warn(package: &Package, wish: Option<&image_set::Package>, chosen: &mut Chosen) {
    let Some(wish) = wish else { return };
    let name = &package.name;
    let all: Vec<&str> = match wish.channels.is_empty() {
        true => package.channel_names().collect(),
        false => wish.channels.iter().map(|channel| channel.name.as_str()).collect(),
    };
    let mut check = |range: &VersionRange, channels: &[&str], what: &str| {
        let there = versions(package, channels);
        for (word, bound) in [("minVersion", &range.min), ("maxVersion", &range.max)] {
            let Some(bound) = bound else { continue };
            if !there.iter().any(|version| version.cmp_precedence(bound).is_eq()) {
                let near = neighbours(package, channels, bound).join(", ");
                chosen.warnings.push(format!("{word} {bound} of {what} is none of its versions; near it are {near}"));
            }
        }
    };
    check(&wish.range, &all, &format!("package {name}"));
    for channel in &wish.channels {
        check(&channel.range, &[&channel.name], &format!("channel {} of package {name}", channel.name));
    }
    for channel in all.into_iter().filter(|channel| !chosen.channels.contains_key(*channel)) {
        chosen.warnings.push(format!("channel {channel} of package {name} has no version in the range and is left out"));
    }
}
