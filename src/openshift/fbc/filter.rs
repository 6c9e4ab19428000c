//! From an entry of an ImageSet to what is kept of its catalog.

use super::closure::{self, Need};
use super::error::{Fault, FbcError, LeftOut};
use super::index::Catalog;
use super::package::{Bundle, Package};
use super::selection::{Chosen, Refused, choose};
use crate::image_set::{self, Source};
use crate::text::nearest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How a catalog is filtered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep what can be kept, and list the rest in [`Kept::left_out`]; else anything left out is an error.
    pub keep_going: bool,
    /// Add what kept bundles depend on.
    pub with_dependencies: bool,
}

/// What is kept of a catalog.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Everything: the catalog can be carried as it is, under its own digest.
    pub whole: bool,
    /// By name.
    pub packages: Vec<KeptPackage>,
    /// What kept bundles depend on, and whether it is there.
    pub needs: Vec<Need>,
    /// What was taken otherwise than it may have been meant.
    pub warnings: Vec<String>,
    /// What could not be kept.
    pub left_out: Vec<LeftOut>,
}

/// A package in the filtered catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptPackage {
    /// Its name.
    pub name: String,
    /// Its default channel there.
    pub default_channel: String,
    /// By name.
    pub channels: Vec<KeptChannel>,
    /// By name.
    pub bundles: Vec<KeptBundle>,
    /// It was not asked for: a bundle depends on it.
    pub dependency: bool,
}

/// A channel in the filtered catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptChannel {
    /// Its name.
    pub name: String,
    /// Names of its entries, sorted.
    pub entries: Vec<String>,
}

/// A bundle in the filtered catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptBundle {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The image of the bundle itself; empty where it has none.
    pub image: String,
    /// All images to carry with it, as the catalog writes them, each once; its own is among them.
    pub images: Vec<String>,
}

impl Kept {
    /// All images, sorted, each once.
    pub fn images(&self) -> BTreeSet<&str> {
        self.packages.iter().flat_map(|package| &package.bundles).flat_map(|bundle| &bundle.images).map(String::as_str).collect()
    }
}

/// What is chosen so far, by package.
pub(super) type Selection = BTreeMap<String, Chosen>;

/// Decides what is kept: `packages` and `full` are those of the ImageSet's entry for this catalog.
///
/// # Errors
/// What contradicts itself in the request; with [`Options::keep_going`] nothing else, without it whatever would be left out.
pub fn filter(catalog: &Catalog, packages: &[image_set::Package], full: bool, options: Options) -> Result<Kept, FbcError> {
    refuse_contradictions(packages, full)?;
    let mut kept = Kept { whole: full && packages.is_empty(), ..Kept::default() };
    let mut selection = if kept.whole { everything(catalog) } else { select(catalog, packages, full, &mut kept) };
    let asked: BTreeSet<String> = selection.keys().cloned().collect();
    if options.with_dependencies && !kept.whole {
        closure::complete(catalog, &mut selection, &mut kept.warnings);
    }
    kept.needs = closure::needs(catalog, &selection);
    for (name, chosen) in &mut selection {
        let Some(package) = catalog.packages.get(name) else { continue };
        kept.warnings.append(&mut chosen.warnings);
        let taken = take(catalog, package, chosen, !asked.contains(name), kept.whole, &mut kept.left_out);
        kept.packages.push(taken);
    }
    match options.keep_going || kept.left_out.is_empty() {
        true => Ok(kept),
        false => Err(FbcError::LeftOut(kept.left_out)),
    }
}

fn refuse_contradictions(packages: &[image_set::Package], full: bool) -> Result<(), FbcError> {
    for package in packages {
        let of_channel = package.channels.iter().any(|channel| !channel.range.is_open());
        if full && (of_channel || !package.range.is_open()) {
            return Err(FbcError::FullWithRange(package.name.clone()));
        }
        if of_channel && !package.range.is_open() {
            return Err(FbcError::TwoRanges(package.name.clone()));
        }
    }
    Ok(())
}

/// The rules, package by package; what one of them refuses is left out.
fn select(catalog: &Catalog, packages: &[image_set::Package], full: bool, kept: &mut Kept) -> Selection {
    let wanted: Vec<(&str, Option<&image_set::Package>)> = match packages {
        [] => catalog.package_names().map(|name| (name, None)).collect(),
        some => some.iter().map(|wish| (wish.name.as_str(), Some(wish))).collect(),
    };
    let mut selection = Selection::new();
    for (name, wish) in wanted {
        let chosen = match catalog.package(name) {
            Some(package) => choose(package, wish, full),
            None => Err((None, Fault::NoPackage { near: nearest(name, catalog.package_names()).map(str::to_owned) })),
        };
        match chosen {
            Ok(chosen) => drop(selection.insert(name.to_owned(), chosen)),
            Err((at, fault)) => kept.left_out.push(left_out(catalog, name, (at, fault))),
        }
    }
    selection
}

fn left_out(catalog: &Catalog, package: &str, (at, fault): Refused) -> LeftOut {
    LeftOut { package: package.to_owned(), place: at.map(|at| catalog.place(at)), fault }
}

/// A catalog that stays as it is is not judged: whoever serves it took it so.
fn everything(catalog: &Catalog) -> Selection {
    let all = |package: &Package| Chosen {
        default_channel: package.default_channel().to_owned(),
        channels: package
            .channels
            .iter()
            .map(|(name, channel)| (name.clone(), channel.entries.iter().map(|e| e.name.to_string()).collect()))
            .collect(),
        warnings: Vec::new(),
    };
    catalog.packages.values().filter(|package| !package.is_shadow()).map(|package| (package.name.clone(), all(package))).collect()
}

fn take(catalog: &Catalog, package: &Package, chosen: &Chosen, dependency: bool, whole: bool, left_out: &mut Vec<LeftOut>) -> KeptPackage {
    let entries: BTreeSet<&str> = chosen.channels.values().flatten().map(String::as_str).collect();
    let bundles = package.bundles.iter().filter(|(name, _)| whole || entries.contains(name.as_str()));
    let bundles = bundles.map(|(name, bundle)| KeptBundle {
        name: name.clone(),
        version: bundle.version.to_string(),
        image: bundle.image.to_string(),
        images: images(catalog, package, name, bundle, left_out),
    });
    KeptPackage {
        name: package.name.clone(),
        default_channel: chosen.default_channel.clone(),
        bundles: bundles.collect(),
        channels: chosen
            .channels
            .iter()
            .map(|(name, entries)| KeptChannel { name: name.clone(), entries: entries.iter().cloned().collect() })
            .collect(),
        dependency,
    }
}

/// Images of a bundle, its own among them although some catalogs forget to list it. What nobody could fetch is left out.
fn images(catalog: &Catalog, package: &Package, name: &str, bundle: &Bundle, left_out: &mut Vec<LeftOut>) -> Vec<String> {
    let own = (!bundle.image.is_empty()).then_some(&bundle.image);
    let all: BTreeSet<&str> = bundle.related.iter().chain(own).map(|image| &**image).collect();
    let mut good = Vec::new();
    for image in all {
        match Source::parse(image) {
            Ok(Source::Registry(_)) => good.push(image.to_owned()),
            other => {
                let why = other.err().map_or("it is a folder on the machine of whoever made the catalog".to_owned(), |e| e.to_string());
                let fault = Fault::Image { bundle: name.to_owned(), image: image.to_owned(), why };
                left_out.push(self::left_out(catalog, &package.name, (Some(bundle.at), fault)));
            }
        }
    }
    good
}
