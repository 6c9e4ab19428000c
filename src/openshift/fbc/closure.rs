//! What kept bundles depend on: whether it is kept as well, and what would have to be added.

use super::filter::Selection;
use super::graph::Graph;
use super::index::Catalog;
use super::package::Package;
use super::require::{Gvk, Requirement};
use super::selection::{Chosen, Refused, refuse_missing};
use super::version::Range;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// One thing a kept bundle needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Package of the bundle.
    pub package: String,
    /// The bundle.
    pub bundle: String,
    /// What it needs, in words.
    pub requirement: String,
    /// Whether that is there.
    pub state: State,
    /// Bundles that are it, or that could be added.
    pub by: Vec<String>,
}

/// Whether something needed is there. Ordered from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is kept, or nothing has to be there.
    Satisfied,
    /// The catalog has it, and it is not kept.
    InCatalog,
    /// It is said in a way this program cannot judge.
    NotUnderstood,
    /// The catalog does not have it.
    NotInCatalog,
}

/// A bundle: package and name.
type Ref<'c> = (&'c str, &'c str);

/// Everything the selection's bundles need, by package and bundle.
pub(super) fn needs(catalog: &Catalog, selection: &Selection) -> Vec<Need> {
    let closure = Closure::of(catalog);
    let mut needs = Vec::new();
    for (package, bundle) in kept(catalog, selection) {
        for requirement in requirements(catalog, (package, bundle)) {
            let (state, by) = closure.judge(requirement, selection);
            let by = by.into_iter().map(|(_, bundle)| bundle.to_owned()).collect();
            needs.push(Need { package: package.into(), bundle: bundle.into(), requirement: requirement.to_string(), state, by });
        }
    }
    needs
}

/// Adds what kept bundles need and the catalog has, and what that needs, until nothing is missing that could be had.
pub(super) fn complete(catalog: &Catalog, selection: &mut Selection, warnings: &mut Vec<String>) {
    let closure = Closure::of(catalog);
    let mut pending: Vec<Ref<'_>> = kept(catalog, selection);
    pending.reverse();
    // What is kept only grows, so each bundle is looked at once.
    while let Some(bundle) = pending.pop() {
        for requirement in requirements(catalog, bundle) {
            let (State::InCatalog, wanted) = closure.judge(requirement, selection) else { continue };
            for (package, wanted) in wanted {
                match closure.add(selection, package, wanted) {
                    Ok(new) => pending.extend(new),
                    Err((_, fault)) => warnings.push(format!("{} needs {requirement}; {wanted} could not be added: {fault}", bundle.1)),
                }
            }
        }
    }
}

/// The bundles of a selection.
fn kept<'c>(catalog: &'c Catalog, selection: &Selection) -> Vec<Ref<'c>> {
    let mut kept = Vec::new();
    for (name, chosen) in selection {
        let Some(package) = catalog.packages.get(name) else { continue };
        let entries: BTreeSet<&String> = chosen.channels.values().flatten().collect();
        let bundles = entries.into_iter().filter_map(|entry| package.bundles.get_key_value(entry));
        kept.extend(bundles.map(|(bundle, _)| (package.name.as_str(), bundle.as_str())));
    }
    kept
}

fn requirements<'c>(catalog: &'c Catalog, (package, bundle): Ref<'_>) -> &'c [Requirement] {
    let bundle = catalog.packages.get(package).and_then(|package| package.bundles.get(bundle));
    bundle.map(|bundle| bundle.requires.as_slice()).unwrap_or_default()
}

fn is_kept(selection: &Selection, (package, bundle): Ref<'_>) -> bool {
    selection.get(package).is_some_and(|chosen| chosen.channels.values().any(|entries| entries.contains(bundle)))
}

struct Closure<'c> {
    catalog: &'c Catalog,
    providers: HashMap<&'c Gvk, Vec<Ref<'c>>>,
    /// Heads of channels, as far as they were asked for.
    heads: RefCell<HashMap<Ref<'c>, Option<&'c str>>>,
}

impl<'c> Closure<'c> {
    fn of(catalog: &'c Catalog) -> Closure<'c> {
        let mut providers: HashMap<&Gvk, Vec<Ref<'_>>> = HashMap::new();
        for package in catalog.packages.values() {
            for (name, bundle) in &package.bundles {
                for gvk in &bundle.provides {
                    providers.entry(gvk).or_default().push((&package.name, name));
                }
            }
        }
        Closure { catalog, providers, heads: RefCell::default() }
    }

    /// Whether a requirement is met, and by whom, or who should be added.
    fn judge(&self, requirement: &Requirement, selection: &Selection) -> (State, Vec<Ref<'c>>) {
        match requirement {
            Requirement::Package { name, versions, range: _ } => {
                let bundles = self.catalog.packages.get(name).into_iter().flat_map(|package| {
                    package
                        .bundles
                        .iter()
                        .filter(|(_, bundle)| versions.holds(&bundle.version))
                        .map(|(name, _)| (package.name.as_str(), name.as_str()))
                });
                self.found(bundles, selection, || self.of_package(name, versions, selection))
            }
            Requirement::Gvk(gvk) => {
                let bundles = self.providers.get(&**gvk).into_iter().flatten().copied();
                self.found(bundles, selection, || self.of_api(gvk, selection))
            }
            Requirement::All(inner) => {
                let judged: Vec<_> = inner.iter().map(|inner| self.judge(inner, selection)).collect();
                let state = judged.iter().map(|(state, _)| *state).max().unwrap_or(State::Satisfied);
                let mut by: Vec<_> = judged.into_iter().filter(|(s, _)| *s == state).flat_map(|(_, by)| by).collect();
                by.sort();
                by.dedup();
                (state, by)
            }
            Requirement::Any(inner) => {
                let judged = inner.iter().map(|inner| self.judge(inner, selection));
                judged.min_by_key(|(state, _)| *state).unwrap_or((State::NotInCatalog, Vec::new()))
            }
            Requirement::Not(_) => (State::Satisfied, Vec::new()),
            Requirement::NotUnderstood(_) => (State::NotUnderstood, Vec::new()),
        }
    }

    fn found(
        &self,
        bundles: impl Iterator<Item = Ref<'c>>,
        selection: &Selection,
        candidate: impl FnOnce() -> Option<Ref<'c>>,
    ) -> (State, Vec<Ref<'c>>) {
        let kept: Vec<Ref<'c>> = bundles.filter(|bundle| is_kept(selection, *bundle)).collect();
        match kept.is_empty() {
            false => (State::Satisfied, kept),
            true => candidate().map_or((State::NotInCatalog, Vec::new()), |candidate| (State::InCatalog, vec![candidate])),
        }
    }

    /// The head of the default channel if it is in the range, else the highest version that is.
    fn of_package(&self, name: &str, versions: &Range, selection: &Selection) -> Option<Ref<'c>> {
        let package = self.catalog.packages.get(name)?;
        self.best(package, selection, &|bundle| package.bundles.get(bundle).is_some_and(|bundle| versions.holds(&bundle.version)))
    }

    /// Of the packages that offer it, those already kept come first, then those whose default channel's head does.
    fn of_api(&self, gvk: &Gvk, selection: &Selection) -> Option<Ref<'c>> {
        let bundles: BTreeSet<Ref<'c>> = self.providers.get(gvk)?.iter().copied().collect();
        let names: BTreeSet<&str> = bundles.iter().map(|(package, _)| *package).collect();
        let packages = names.into_iter().filter_map(|name| self.catalog.packages.get(name));
        let best = packages.filter_map(|package| {
            let offers = |bundle: &str| bundles.contains(&(package.name.as_str(), bundle));
            let best = self.best(package, selection, &offers)?;
            let is_head = self.default_head(package, selection) == Some(best.1);
            Some((!selection.contains_key(&package.name), !is_head, best))
        });
        best.min().map(|(_, _, best)| best)
    }

    fn best(&self, package: &'c Package, selection: &Selection, fits: &dyn Fn(&str) -> bool) -> Option<Ref<'c>> {
        if let Some(head) = self.default_head(package, selection).filter(|head| fits(head)) {
            return Some((&package.name, head));
        }
        let entries = package.channels.values().flat_map(|channel| &channel.entries);
        let fitting = entries.filter_map(|entry| package.bundles.get_key_value(&*entry.name)).filter(|(name, _)| fits(name));
        let best = fitting.max_by(|(a, x), (b, y)| x.version.cmp_precedence(&y.version).then_with(|| a.cmp(b)));
        best.map(|(name, _)| (package.name.as_str(), name.as_str()))
    }

    fn default_head(&self, package: &'c Package, selection: &Selection) -> Option<&'c str> {
        let default = selection.get(&package.name).map_or(package.default_channel(), |chosen| &chosen.default_channel);
        let (name, _) = package.channels.get_key_value(default)?;
        *self.heads.borrow_mut().entry((&package.name, name)).or_insert_with(|| {
            let graph = Graph::of(name, package.channels.get(name)?, package).ok()?;
            let head = package.bundles.get_key_value(graph.head())?;
            Some(head.0.as_str())
        })
    }

    /// Keeps one more bundle, in the channel where that takes the fewest others along; gives what is new.
    fn add(&self, selection: &mut Selection, package: &str, bundle: &str) -> Result<Vec<Ref<'c>>, Refused> {
        let Some(package) = self.catalog.packages.get(package) else { return Ok(Vec::new()) };
        if let Some((at, fault)) = package.faults.first() {
            return Err((Some(*at), fault.clone()));
        }
        let before = selection
            .get(&package.name)
            .cloned()
            .unwrap_or_else(|| Chosen { default_channel: package.default_channel().to_owned(), ..Chosen::default() });
        let mut refused = None;
        let mut best: Option<(usize, bool, &str, Chosen)> = None;
        for name in package.channels.iter().filter(|(_, c)| c.entries.iter().any(|e| &*e.name == bundle)).map(|(name, _)| name) {
            match with(package, &before, name, bundle) {
                Ok(Some(after)) => {
                    let rank = (size(&after), *name != after.default_channel, name.as_str());
                    if best.as_ref().is_none_or(|(size, other, name, _)| rank < (*size, *other, name)) {
                        best = Some((rank.0, rank.1, rank.2, after));
                    }
                }
                Ok(None) => {}
                Err(error) => refused = Some(error),
            }
        }
        let Some((_, _, _, after)) = best else {
            return refused.map_or(Ok(Vec::new()), Err);
        };
        let old: BTreeSet<&String> = before.channels.values().flatten().collect();
        let new: BTreeSet<&String> = after.channels.values().flatten().filter(|entry| !old.contains(entry)).collect();
        let new = new.into_iter().filter_map(|entry| package.bundles.get_key_value(entry));
        let new = new.map(|(bundle, _)| (package.name.as_str(), bundle.as_str())).collect();
        selection.insert(package.name.clone(), after);
        Ok(new)
    }
}

fn size(chosen: &Chosen) -> usize {
    chosen.channels.values().map(BTreeSet::len).sum()
}

/// What would be kept with one more bundle, of that channel; nothing when no update reaches it there.
fn with(package: &Package, before: &Chosen, channel: &str, bundle: &str) -> Result<Option<Chosen>, Refused> {
    let mut after = before.clone();
    let default = before.default_channel.as_str();
    if !after.channels.contains_key(default) && default != channel {
        let head = piece(package, default, None)?.ok_or_else(|| (None, super::Fault::NoDefault(default.to_owned())))?;
        after.channels.insert(default.to_owned(), head);
    }
    let mut wanted = after.channels.remove(channel).unwrap_or_default();
    wanted.insert(bundle.to_owned());
    let Some(entries) = piece(package, channel, Some(&wanted))? else { return Ok(None) };
    let reached = entries.contains(bundle);
    after.channels.insert(channel.to_owned(), entries);
    Ok(reached.then_some(after))
}

/// The head of a channel, or the piece of it that holds all these entries.
fn piece(package: &Package, name: &str, wanted: Option<&BTreeSet<String>>) -> Result<Option<BTreeSet<String>>, Refused> {
    let Some(channel) = package.channels.get(name) else { return Ok(None) };
    let graph = Graph::of(name, channel, package).map_err(|fault| (Some(channel.at), fault))?;
    let entries: BTreeSet<String> = match wanted {
        None => BTreeSet::from([graph.head().to_owned()]),
        Some(wanted) => graph.piece(&|entry, _| wanted.contains(entry)).into_iter().map(str::to_owned).collect(),
    };
    refuse_missing(package, name, channel, &entries)?;
    Ok((!entries.is_empty()).then_some(entries))
}

impl Need {
    /// True when carrying what is kept leaves this open.
    pub fn is_open(&self) -> bool {
        self.state != State::Satisfied
    }
}
