//! Which source name leads to which mirrors.
//!
//! A runtime takes the entry with the longest matching name and no other (`containers-registries.conf(5)`, "prefix"). So an
//! entry must be complete: whatever its name covers must be found through it. Scopes are therefore decided once, for all kinds
//! of entries and all targets together.

use super::held::{Held, Holdings};
use crate::format::Role;
use std::collections::{BTreeMap, BTreeSet};

/// Which object an entry is written into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Category {
    Release,
    Operator,
    Generic,
}

impl Category {
    pub const ALL: [Category; 3] = [Category::Release, Category::Operator, Category::Generic];

    pub fn word(self) -> &'static str {
        match self {
            Category::Release => "release",
            Category::Operator => "operator",
            Category::Generic => "generic",
        }
    }

    /// None for what is named by its place at the target (catalogs, the graph), is no image (charts), or is found beside its
    /// image wherever that was pulled from (signatures).
    fn of(role: Role) -> Option<Category> {
        match role {
            Role::Release | Role::ReleaseContent | Role::KubeVirt => Some(Category::Release),
            Role::Bundle | Role::Related => Some(Category::Operator),
            Role::Image | Role::Helm => Some(Category::Generic),
            Role::Graph | Role::Catalog | Role::Chart | Role::Referrer => None,
        }
    }
}

/// What is there of a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// Where it leads: those of the first target first.
    pub mirrors: Vec<String>,
    /// Categories of images asked for by digest (and of releases).
    pub digests: BTreeSet<Category>,
    /// Categories of images asked for by tag (and of releases).
    pub tags: BTreeSet<Category>,
    /// Some image can be pulled by its digest.
    pub by_digest: bool,
}

/// All names, `host[/path]`, with where they lead.
pub(super) struct Routes(pub BTreeMap<String, Route>);

/// Target and `host/repository` there.
type Places = BTreeSet<(usize, String)>;
/// By the name that leads there.
type Entries = BTreeMap<String, (Places, Route)>;

#[derive(Default)]
struct Repository {
    places: Places,
    /// All of these are its own path below something.
    follows: bool,
    digests: BTreeSet<Category>,
    tags: BTreeSet<Category>,
    by_digest: bool,
}

impl Routes {
    pub fn of(holdings: &Holdings) -> Routes {
        let repositories = repositories(holdings);
        let own = own_entries(&repositories);
        let covering: BTreeSet<&str> = repositories.keys().filter(|n| !own.contains(n.as_str())).map(|n| above(n)).collect();
        let mut routes = Entries::new();
        for (name, repository) in &repositories {
            let narrow = own.contains(name.as_str());
            if !narrow {
                let places = repository.places.iter().map(|(target, place)| (*target, above(place).to_owned()));
                add(&mut routes, above(name), places.collect(), repository);
            }
            // What covers others covers the repository of that very name as well: it must lead to all of its places.
            if narrow || covering.contains(name.as_str()) {
                add(&mut routes, name, repository.places.clone(), repository);
            }
        }
        let done = routes.into_iter().filter_map(|(name, (places, mut route))| {
            // A registry that is its own mirror says nothing.
            let mut mirrors: Vec<String> = Vec::new();
            for (_, mirror) in places {
                if mirror != name && !mirrors.contains(&mirror) {
                    mirrors.push(mirror);
                }
            }
            route.mirrors = mirrors;
            (!route.mirrors.is_empty()).then_some((name, route))
        });
        Routes(done.collect())
    }
}

fn add(routes: &mut Entries, name: &str, places: Places, repository: &Repository) {
    let (known, route) = routes.entry(name.to_owned()).or_default();
    known.extend(places);
    route.digests.extend(&repository.digests);
    route.tags.extend(&repository.tags);
    route.by_digest |= repository.by_digest;
}

/// `quay.io/a/b` -> `quay.io/a`, `quay.io/a` -> `quay.io`.
fn above(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(above, _)| above)
}

fn repositories(holdings: &Holdings) -> BTreeMap<String, Repository> {
    let mut all: BTreeMap<String, Repository> = BTreeMap::new();
    for (held, source) in holdings.pulled() {
        let Some(category) = Category::of(held.role) else { continue };
        let digest = source.digest.is_some() || held.role == Role::Release;
        let entry = all.entry(source.name()).or_insert_with(|| Repository { follows: true, ..Repository::default() });
        entry.places.insert((held.target, holdings.name(held)));
        entry.follows &= held.follows(source);
        entry.by_digest |= held.by_digest;
        mark(&mut entry.digests, digest, category);
        mark(&mut entry.tags, Held::by_tag(held), category);
    }
    all
}

fn mark(set: &mut BTreeSet<Category>, there: bool, category: Category) {
    if there {
        set.insert(category);
    }
}

/// Repositories that cannot be covered by the namespace above them: where they went is not below the same path; or the name of
/// that namespace is such a repository itself, and its entry leads elsewhere. Each such find may lead to another one.
fn own_entries(repositories: &BTreeMap<String, Repository>) -> BTreeSet<&str> {
    let mut own: BTreeSet<&str> = repositories.iter().filter(|(_, r)| !r.follows).map(|(name, _)| name.as_str()).collect();
    loop {
        let more: Vec<&str> =
            repositories.keys().map(String::as_str).filter(|name| !own.contains(name) && own.contains(above(name))).collect();
        if more.is_empty() {
            return own;
        }
        own.extend(more);
    }
}
