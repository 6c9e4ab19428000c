//! From a `DeleteImageSetConfiguration` to a delete list, by what receipts say images are part of. No source is asked.

use super::list::{DeleteItem, DeleteList, kind_of};
use crate::digest::Digest;
use crate::format::{DocumentKind, Receipt, ReceiptImage, Role};
use crate::image_set::{AdditionalImage, Channel, DeleteSet, Helm, Operator, Package, Releases, Source, VersionRange};
use semver::Version;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a configuration means here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What would be deleted; catalogs first, so that none names what is gone.
    pub list: DeleteList,
    /// Entries that could not be followed.
    pub unresolved: Vec<Unresolved>,
    /// Images that were meant and stay: their name, and what else they are part of.
    pub stays: Vec<(String, String)>,
}

/// An entry that means nothing here, or cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unresolved {
    /// Nothing the receipts list is this.
    NotFound(String),
    /// Which bundles are in a channel is written in the catalog, not in the receipts.
    PackageChannel {
        /// The package.
        package: String,
        /// The channel.
        channel: String,
    },
    /// Without versions the newest release of the channel is meant, and no update graph was carried that says which that is.
    ChannelHead(String),
    /// All charts of a repository are meant, and receipts do not say which repository a chart came from.
    Charts(String),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::NotFound(what) => write!(f, "nothing in the receipts is {what}"),
            Unresolved::PackageChannel { package, channel } => {
                write!(
                    f,
                    "which versions of {package} are in its channel {channel} is not known here; give minVersion and maxVersion of the package"
                )
            }
            Unresolved::ChannelHead(name) => {
                write!(f, "which release of {name} is meant is not known here; give minVersion and maxVersion, or full: true")
            }
            Unresolved::Charts(name) => write!(f, "which charts came from {name} is not known here; name them under charts"),
        }
    }
}

/// One image of all receipts.
type Name = (String, String, Digest);

#[derive(Default)]
struct Known<'a> {
    images: BTreeMap<Name, Vec<(&'a Receipt, &'a ReceiptImage)>>,
    words: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(receipts: &'a [Receipt]) -> Known<'a> {
        let mut known = Known::default();
        for receipt in receipts {
            for image in &receipt.images {
                let name = (image.repository.clone(), image.tag.clone(), image.digest);
                known.images.entry(name).or_default().push((receipt, image));
                known.words.extend(image.part_of.iter().map(String::as_str));
            }
        }
        known
    }

    fn words_of(&self, kind: &str) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
        let of_kind = |word: &&'a str| {
            let mut parts = word.split(' ');
            let rest: Vec<&str> = (parts.next() == Some(kind)).then(|| parts.collect())?;
            Some((*word, rest))
        };
        self.words.iter().filter_map(of_kind).collect::<Vec<_>>().into_iter()
    }
}

/// What shall go: words of `partOf`, and images by themselves.
#[derive(Default)]
struct Gone {
    words: BTreeSet<String>,
    named: BTreeSet<Name>,
    unresolved: Vec<Unresolved>,
}

/// Works out what a configuration means for a target with these receipts (newest last).
pub fn resolve(set: &DeleteSet, receipts: &[Receipt]) -> Resolved {
    let known = Known::of(receipts);
    let mut gone = Gone::default();
    if let Some(releases) = &set.platform {
        gone.releases(releases, &known, receipts);
    }
    for operator in &set.operators {
        gone.operator(operator, &known);
    }
    for image in &set.additional_images {
        gone.image(image, &known);
    }
    gone.charts(&set.helm, &known);
    gone.list(&known)
}

impl Gone {
    fn nothing(&mut self, what: String) {
        self.unresolved.push(Unresolved::NotFound(what));
    }

    /// Releases are told apart by `release VERSION-ARCH [COMPONENT]`.
    fn releases(&mut self, releases: &Releases, known: &Known<'_>, receipts: &[Receipt]) {
        let amd64 = ["amd64".to_owned()];
        let architectures = if releases.architectures.is_empty() { amd64.as_slice() } else { releases.architectures.as_slice() };
        for channel in &releases.channels {
            for architecture in architectures {
                self.channel(channel, architecture, known, receipts);
            }
        }
        if let Some(reference) = &releases.release {
            let is_it = |image: &ReceiptImage| {
                let source = crate::oci::Reference::parse(&image.source).ok();
                image.source == reference.to_string()
                    || reference.digest.is_some_and(|d| d == image.digest)
                    || source.is_some_and(|s| s.name() == reference.name() && reference.tag.is_some() && s.tag == reference.tag)
            };
            let images = known.images.values().flatten().map(|(_, image)| *image);
            let of = |image: &ReceiptImage| image.part_of.iter().filter(|w| w.starts_with("release ")).cloned().collect::<Vec<_>>();
            let found: Vec<String> = images.filter(|i| i.role == Role::Release && is_it(i)).flat_map(of).collect();
            if found.is_empty() {
                self.nothing(format!("release {reference}"));
            }
            let versions: BTreeSet<&str> = found.iter().filter_map(|w| w.split(' ').nth(1)).collect();
            let all = known.words_of("release").filter(|(_, rest)| rest.first().is_some_and(|v| versions.contains(v)));
            self.words.extend(all.map(|(word, _)| word.to_owned()));
        }
        if releases.graph {
            let graphs = known.images.iter().filter(|(_, all)| all.iter().any(|(_, image)| image.role == Role::Graph));
            self.named.extend(graphs.map(|(name, _)| name.clone()));
        }
    }

    fn channel(&mut self, channel: &Channel, architecture: &str, known: &Known<'_>, receipts: &[Receipt]) {
        let graph = graph(receipts, &channel.name, architecture);
        let mut range = channel.range.clone();
        if range.is_open() && !channel.full {
            // oc-mirror means the newest of the channel then.
            let Some(head) = graph.as_ref().and_then(|versions| versions.iter().max().cloned()) else {
                self.unresolved.push(Unresolved::ChannelHead(channel.name.clone()));
                return;
            };
            range = VersionRange { min: Some(head.clone()), max: Some(head) };
        }
        let minor = minor_of(&channel.name);
        // Without a graph an open end must not reach into the releases of other channels.
        let in_channel = |version: &Version| match (&graph, &range) {
            (Some(graph), _) => graph.contains(version),
            (None, VersionRange { min: Some(_), max: Some(_) }) => true,
            (None, _) => minor == Some((version.major, version.minor)),
        };
        let mut found = false;
        for (word, rest) in known.words_of("release") {
            let Some((version, arch)) = rest.first().and_then(|v| v.rsplit_once('-')) else { continue };
            let Ok(version) = Version::parse(version) else { continue };
            if arch == release_architecture(architecture) && within(&version, &range) && in_channel(&version) {
                self.words.insert(word.to_owned());
                found = true;
            }
        }
        if !found {
            self.nothing(format!("a release of {} for {architecture} in that range", channel.name));
        }
    }

    /// Bundles and their images are told apart by `operator CATALOG PACKAGE BUNDLE VERSION`.
    fn operator(&mut self, operator: &Operator, known: &Known<'_>) {
        let of_it: Vec<(&str, Vec<&str>)> =
            known.words_of("operator").filter(|(_, rest)| rest.first().is_some_and(|catalog| same_source(catalog, operator))).collect();
        let before = self.words.len();
        for (word, _) in of_it.iter().filter(|_| operator.packages.is_empty()) {
            self.words.insert((*word).to_owned());
        }
        for package in &operator.packages {
            self.package(package, &operator.catalog, &of_it);
        }
        // A catalog of which nothing is left goes too.
        if of_it.iter().all(|(word, _)| self.words.contains(*word)) {
            let is_it = |image: &ReceiptImage| image.role == Role::Catalog && same_source(&image.source, operator);
            let catalogs: Vec<Name> =
                known.images.iter().filter(|(_, all)| all.iter().any(|(_, i)| is_it(i))).map(|(name, _)| name.clone()).collect();
            if catalogs.is_empty() && self.words.len() == before && operator.packages.is_empty() {
                self.nothing(format!("of catalog {}", operator.catalog));
            }
            if operator.packages.is_empty() || !of_it.is_empty() {
                self.named.extend(catalogs);
            }
        }
    }

    fn package(&mut self, package: &Package, catalog: &str, words: &[(&str, Vec<&str>)]) {
        let channels = package.channels.iter();
        if package.channels.is_empty() {
            let mut found = false;
            for (word, rest) in words.iter().filter(|(_, rest)| rest.get(1) == Some(&package.name.as_str())) {
                let version = rest.get(3).and_then(|v| Version::parse(v).ok());
                // A version that is none is only meant where all are.
                let meant = version.map_or(package.range.is_open(), |version| within(&version, &package.range));
                if meant {
                    self.words.insert((*word).to_owned());
                    found = true;
                }
            }
            if !found {
                self.nothing(format!("package {} of {catalog} in that range", package.name));
            }
        }
        let unknown = |channel: &crate::image_set::PackageChannel| Unresolved::PackageChannel {
            package: package.name.clone(),
            channel: channel.name.clone(),
        };
        self.unresolved.extend(channels.map(unknown));
    }

    fn image(&mut self, asked: &AdditionalImage, known: &Known<'_>) {
        let is_it = |image: &ReceiptImage| {
            Source::parse_recorded(&image.source).is_ok_and(|source| source == asked.source)
                && asked.target_repo.as_ref().is_none_or(|repo| *repo == image.repository)
                && asked.target_tag.as_ref().is_none_or(|tag| *tag == image.tag)
        };
        let found: Vec<Name> =
            known.images.iter().filter(|(_, all)| all.iter().any(|(_, i)| is_it(i))).map(|(name, _)| name.clone()).collect();
        if found.is_empty() {
            self.nothing(asked.name.clone());
        }
        self.named.extend(found);
    }

    /// Charts are told apart by `chart NAME VERSION`.
    fn charts(&mut self, helm: &Helm, known: &Known<'_>) {
        let mut asked: Vec<(&str, Option<&str>)> = helm.local.iter().map(|chart| (chart.name.as_str(), None)).collect();
        for repository in &helm.repositories {
            if repository.charts.is_empty() {
                self.unresolved.push(Unresolved::Charts(repository.name.clone()));
            }
            asked.extend(repository.charts.iter().map(|chart| (chart.name.as_str(), chart.version.as_deref())));
        }
        for (name, version) in asked {
            let is_it = |rest: &[&str]| rest.first() == Some(&name) && version.is_none_or(|v| rest.get(1) == Some(&v));
            let found: Vec<&str> = known.words_of("chart").filter(|(_, rest)| is_it(rest)).map(|(word, _)| word).collect();
            if found.is_empty() {
                self.nothing(format!("chart {name} {}", version.unwrap_or_default()).trim_end().to_owned());
            }
            self.words.extend(found.into_iter().map(str::to_owned));
        }
    }

    /// Images that are part of nothing that stays. Those asked for by name go only by name.
    fn list(self, known: &Known<'_>) -> Resolved {
        let (mut items, mut stays) = (Vec::new(), Vec::new());
        for (name, all) in &known.images {
            let part_of: BTreeSet<&String> = all.iter().flat_map(|(_, image)| &image.part_of).collect();
            let left = part_of.iter().find(|word| !self.words.contains(**word));
            let by_name = all.iter().any(|(_, image)| image.role == Role::Image);
            let named = self.named.contains(name);
            let meant = named || part_of.iter().any(|word| self.words.contains(*word));
            let Some((receipt, image)) = all.last().filter(|_| meant) else { continue };
            let subject = format!("{}:{}", image.repository, image.tag);
            if let Some(word) = left {
                stays.push((subject, format!("it is part of {word}")));
            } else if by_name && !named {
                stays.push((subject, "it was asked for by name as well".to_owned()));
            } else {
                let item = DeleteItem {
                    image_name: image.source.clone(),
                    image_reference: format!("docker://{}/{}:{}", receipt.target, image.repository, image.tag),
                    kind: kind_of(image.role).into(),
                    digest: Some(image.digest),
                };
                items.push((image.role != Role::Catalog, item));
            }
        }
        items.sort();
        items.dedup();
        let list = DeleteList::new(items.into_iter().map(|(_, item)| item).collect());
        Resolved { list, unresolved: self.unresolved, stays }
    }
}

/// Build metadata counts for nothing, as when the images were chosen: `1.5.0+0.1679.p` is 1.5.0.
fn within(version: &Version, range: &VersionRange) -> bool {
    range.min.as_ref().is_none_or(|min| version.cmp_precedence(min).is_ge())
        && range.max.as_ref().is_none_or(|max| version.cmp_precedence(max).is_le())
}

/// Catalogs are compared as references; what is recorded may carry the digest it was resolved to.
fn same_source(recorded: &str, operator: &Operator) -> bool {
    recorded == operator.catalog || Source::parse_recorded(recorded).is_ok_and(|source| source == operator.source)
}

/// `stable-4.16` is of 4.16.
fn minor_of(channel: &str) -> Option<(u64, u64)> {
    let (major, minor) = channel.rsplit('-').next()?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// As releases are tagged.
fn release_architecture(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

#[derive(Deserialize)]
struct Graph {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    version: String,
}

/// Versions of a channel by the update graphs that were carried; `None` where none was.
fn graph(receipts: &[Receipt], channel: &str, architecture: &str) -> Option<BTreeSet<Version>> {
    let name = format!("{channel}-{architecture}");
    let documents = receipts.iter().flat_map(|r| &r.documents);
    let graphs = documents.filter(|d| d.kind == DocumentKind::UpdateGraph && d.name == name);
    let mut versions = None;
    for graph in graphs.filter_map(|d| serde_json::from_slice::<Graph>(&d.bytes()).ok()) {
        let known = graph.nodes.iter().filter_map(|node| Version::parse(&node.version).ok());
        versions.get_or_insert_with(BTreeSet::new).extend(known);
    }
    versions
}
