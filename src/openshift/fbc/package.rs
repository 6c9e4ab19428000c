//! A package as the first reading leaves it.

use super::error::Fault;
use super::graph::Graph;
use super::index::At;
use super::object::{self, Object, Property, Schema};
use super::require::{Gvk, Requirement, requirement};
use super::version::lenient;
use semver::Version;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Texts and APIs that occur again and again, kept once.
#[derive(Default)]
pub(super) struct Strings {
    texts: HashSet<Arc<str>>,
    apis: HashSet<Arc<Gvk>>,
}

impl Strings {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(new.clone());
        new
    }

    fn api(&mut self, api: Gvk) -> Arc<Gvk> {
        if let Some(known) = self.apis.get(&api) {
            return known.clone();
        }
        let new = Arc::new(api);
        self.apis.insert(new.clone());
        new
    }
}

/// A package of a catalog.
#[derive(Debug, Default)]
pub struct Package {
    pub(super) name: String,
    pub(super) head: Option<Head>,
    pub(super) channels: BTreeMap<String, Channel>,
    pub(super) bundles: BTreeMap<String, Bundle>,
    pub(super) deprecations: Vec<At>,
    /// Objects of other schemas.
    pub(super) others: Vec<(String, At)>,
    /// What is wrong with it, as far as it shows without looking at a channel as a whole.
    pub(super) faults: Vec<(At, Fault)>,
}

/// The `olm.package` object.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) default_channel: String,
    pub(super) at: At,
}

/// A channel: entries, and which replaces and skips which.
#[derive(Debug)]
pub struct Channel {
    pub(super) entries: Vec<Entry>,
    pub(super) at: At,
}

/// An entry of a channel.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Arc<str>,
    pub(super) replaces: Option<Arc<str>>,
    pub(super) skips: Vec<Arc<str>>,
}

/// A bundle: one version of an operator.
#[derive(Debug)]
pub struct Bundle {
    pub(super) version: Version,
    pub(super) image: Arc<str>,
    pub(super) related: Vec<Arc<str>>,
    pub(super) provides: Vec<Arc<Gvk>>,
    pub(super) requires: Vec<Requirement>,
    pub(super) display_name: Option<Arc<str>>,
    pub(super) at: At,
}

impl Bundle {
    /// Its version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// What it is called where people choose it; `None` where it does not say.
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }
}

impl Package {
    pub(super) fn named(name: &str) -> Package {
        Package { name: name.to_owned(), ..Package::default() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The default channel, as its `olm.package` object says; empty where there is none.
    pub fn default_channel(&self) -> &str {
        self.head.as_ref().map_or("", |head| &head.default_channel)
    }

    /// Names of the channels, sorted.
    pub fn channel_names(&self) -> impl Iterator<Item = &str> {
        self.channels.keys().map(String::as_str)
    }

    /// A bundle.
    pub fn bundle(&self, name: &str) -> Option<&Bundle> {
        self.bundles.get(name)
    }

    /// The head of a channel: what is installed from it.
    ///
    /// # Errors
    /// There is no such channel, or it is malformed.
    pub fn head(&self, channel: &str) -> Result<&str, Fault> {
        match self.channels.get(channel) {
            Some(entries) => Ok(Graph::of(channel, entries, self)?.head()),
            None => Err(Fault::NoChannel { channel: channel.to_owned(), near: None, there: Vec::new() }),
        }
    }

    /// The versions in a channel, ascending; `None` where there is no such channel.
    pub fn versions(&self, channel: &str) -> Option<Vec<&Version>> {
        let entries = self.channels.get(channel)?.entries.iter();
        let mut versions: Vec<&Version> = entries.filter_map(|entry| Some(&self.bundle(&entry.name)?.version)).collect();
        versions.sort();
        versions.dedup();
        Some(versions)
    }

    /// Objects of other schemas speak of it, nothing else does.
    pub(super) fn is_shadow(&self) -> bool {
        self.head.is_none() && self.channels.is_empty() && self.bundles.is_empty() && self.faults.is_empty()
    }

    pub(super) fn take(&mut self, object: Object, at: At, strings: &mut Strings) {
        match Schema::of(&object.schema) {
            Schema::Package => self.take_head(object, at),
            Schema::Channel => self.take_channel(object, at, strings),
            Schema::Bundle => self.take_bundle(object, at, strings),
            Schema::Deprecations => self.deprecations.push(at),
            Schema::Other => self.others.push((object.schema, at)),
        }
    }

    /// The last look, once everything is known.
    pub(super) fn complete(&mut self) {
        if !self.name.is_empty() && !crate::text::is_plain_name(&self.name) {
            let at = self.any_place();
            self.faults.extend(at.map(|at| (at, Fault::Name)));
        }
    }

    fn any_place(&self) -> Option<At> {
        let channel = self.channels.values().map(|channel| channel.at);
        let bundle = self.bundles.values().map(|bundle| bundle.at);
        self.head.iter().map(|head| head.at).chain(channel).chain(bundle).next()
    }

    fn take_head(&mut self, object: Object, at: At) {
        if object.name.is_empty() {
            self.faults.push((at, Fault::Nameless { schema: "olm.package" }));
        }
        if self.head.is_some() {
            self.faults.push((at, Fault::Repeated { schema: "olm.package", name: object.name }));
            return;
        }
        self.head = Some(Head { default_channel: object.default_channel, at });
    }

    fn take_channel(&mut self, object: Object, at: At, strings: &mut Strings) {
        if self.refused("olm.channel", &object.name, self.channels.contains_key(&object.name), at) {
            return;
        }
        let some = |name: &str, strings: &mut Strings| (!name.is_empty()).then(|| strings.text(name));
        let entries = object.entries.iter().map(|entry| Entry {
            name: strings.text(&entry.name),
            replaces: some(&entry.replaces, strings),
            skips: entry.skips.iter().filter_map(|skip| some(skip, strings)).collect(),
        });
        let entries = entries.collect();
        self.channels.insert(object.name, Channel { entries, at });
    }

    /// True for an object that has no name, or the name of another.
    fn refused(&mut self, schema: &'static str, name: &str, taken: bool, at: At) -> bool {
        let fault = match (name.is_empty(), taken) {
            (true, _) => Fault::Nameless { schema },
            (false, true) => Fault::Repeated { schema, name: name.to_owned() },
            (false, false) => return false,
        };
        self.faults.push((at, fault));
        true
    }

    fn take_bundle(&mut self, object: Object, at: At, strings: &mut Strings) {
        if self.refused("olm.bundle", &object.name, self.bundles.contains_key(&object.name), at) {
            return;
        }
        match bundle(&object, &self.name, at, strings) {
            Ok(bundle) => drop(self.bundles.insert(object.name, bundle)),
            Err(fault) => self.faults.push((at, fault)),
        }
    }
}

/// The value of an `olm.package` property.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    package_name: String,
    version: String,
}

fn bundle(object: &Object, package: &str, at: At, strings: &mut Strings) -> Result<Bundle, Fault> {
    let version = version(object, package)?;
    let refuse = |why| Fault::Property { bundle: object.name.clone(), why };
    let (mut provides, mut requires) = (Vec::new(), Vec::new());
    for property in &object.properties {
        if property.kind == "olm.gvk" {
            provides.push(strings.api(object::value(property).map_err(refuse)?));
        } else {
            requires.extend(requirement(property).map_err(refuse)?);
        }
    }
    let related = object.related.iter().filter(|image| !image.is_empty()).map(|image| strings.text(image));
    Ok(Bundle {
        related: related.collect(),
        image: strings.text(&object.image),
        display_name: object.properties.iter().find(|p| !p.display_name.is_empty()).map(|p| strings.text(&p.display_name)),
        version,
        provides,
        requires,
        at,
    })
}

fn version(object: &Object, package: &str) -> Result<Version, Fault> {
    let bundle = || object.name.clone();
    let mut identities = object.properties.iter().filter(|property: &&Property| property.kind == "olm.package");
    let Some(property) = identities.next() else { return Err(Fault::Unversioned { bundle: bundle() }) };
    if identities.next().is_some() {
        return Err(Fault::RepeatedVersion { bundle: bundle() });
    }
    let identity: Identity = object::value(property).map_err(|why| Fault::Property { bundle: bundle(), why })?;
    if identity.package_name != package {
        return Err(Fault::OtherPackage { bundle: bundle(), other: identity.package_name });
    }
    lenient(&identity.version).ok_or(Fault::Version { bundle: bundle(), version: identity.version })
}
