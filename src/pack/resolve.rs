//! From a wish to a plan: every tag pinned to a digest once, every manifest read, every name decided.

use super::plan::{Options, PackPlan, collect, distinct};
use super::referrers::Search;
use super::{Ask, Error, Failure, Reason, Wish};
use crate::digest::Digest;
use crate::format::{Commit, Image, Made, ManifestData, Missing, Role, Root};
use crate::image_set::{Destination, Source, find_collision};
use crate::oci::{Descriptor, Manifest, Node, Platform, WalkError, children_first};
use crate::origin::{Origin, OriginError, Origins};
use crate::parallel::each;
use crate::progress::{Level, Progress};
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet};

/// An image, resolved.
pub(super) struct Resolved {
    pub image: Image,
    pub tree: Vec<ManifestData>,
}

/// Resolves a wish and plans it. Images that fail are returned beside the plan of the others; whether that plan may be run is
/// the caller's choice. `code` gives the stable code of a failure for the index.
pub fn plan(
    wish: &Wish,
    options: Options,
    origins: &dyn Origins,
    parallel: usize,
    code: impl Fn(&Failure) -> String,
    progress: &dyn Progress,
) -> Result<(PackPlan, Vec<Failure>), Error> {
    let asks = allowed(wish, progress);
    if asks.is_empty() {
        return Err(Error::Nothing);
    }
    let mut resolved = Vec::new();
    let mut failures = Vec::new();
    let results = each(parallel, &asks, || progress.cancelled(), |ask| resolve(ask, origins));
    for (ask, result) in asks.iter().zip(results) {
        match result {
            Some(Ok(image)) => resolved.push((*ask, image)),
            None => return Err(Error::Interrupted),
            Some(Err(error)) => failures.push(failure(ask, error)),
        }
    }
    progress.say(Level::Detail, "looking for what refers to the images");
    let search = Search { origins, filter: &wish.referrers, parallel, progress };
    let found = search.run(resolved.iter().map(|(ask, image)| (*ask, image)));
    if progress.cancelled() {
        return Err(Error::Interrupted);
    }
    failures.extend(found.failures);
    let referrers = found.referrers.into_iter().filter(|r| !is_blocked(wish, &r.image));
    let trees: Vec<Resolved> = resolved.into_iter().map(|(_, image)| image).chain(referrers).collect();
    let names: Vec<(String, Destination, Digest)> = trees
        .iter()
        .map(|r| {
            let destination = Destination { repository: r.image.repository.clone(), tag: r.image.tag.clone() };
            (r.image.source.clone(), destination, r.image.root.digest)
        })
        .collect();
    find_collision(names.iter().map(|(source, destination, digest)| (source.as_str(), destination, *digest)))?;
    let trees = each_name_once(trees)?;
    let failed = failures.iter().map(|f| Missing { name: f.name.clone(), code: code(f), reason: f.told(&f.reason) });
    let missing = wish.missing.iter().cloned().chain(failed).collect();
    let documents = crate::format::in_order(wish.documents.clone());
    let plan = PackPlan::new(options, trees.into_iter().map(|r| (r.image, r.tree)).collect(), missing, documents)?;
    Ok((plan, failures))
}

fn failure(ask: &Ask, error: OriginError) -> Failure {
    Failure { name: ask.source.to_string(), reason: Reason::Origin(error), part_of: ask.part_of.clone() }
}

/// The same content under one name, asked for several times, is one image: the first, which then is part of all that need it.
fn each_name_once(trees: Vec<Resolved>) -> Result<Vec<Resolved>, Error> {
    let mut positions = BTreeMap::new();
    let mut once: Vec<Resolved> = Vec::new();
    for resolved in trees {
        let name = (resolved.image.repository.clone(), resolved.image.tag.clone());
        match positions.get(&name).and_then(|at: &usize| once.get_mut(*at)) {
            Some(first) => {
                let all = first.image.part_of.iter().cloned().chain(resolved.image.part_of).collect();
                first.image.part_of = sorted(all);
                first.image.subject = first.image.subject.or(resolved.image.subject);
                let platforms = first.image.platforms.iter().cloned().chain(resolved.image.platforms);
                first.image.platforms = distinct(platforms);
                add_members(first, resolved.tree)?;
            }
            None => {
                positions.insert(name, once.len());
                once.push(resolved);
            }
        }
    }
    Ok(once)
}

/// Adds the manifests of another choice of members of the same index. With all members there, it is no choice.
fn add_members(resolved: &mut Resolved, tree: Vec<ManifestData>) -> Result<(), Error> {
    let root = resolved.image.root.digest;
    let both: BTreeMap<Digest, &ManifestData> = resolved.tree.iter().chain(&tree).map(|node| (node.digest, node)).collect();
    let children = both.get(&root).and_then(|data| Manifest::parse(&data.bytes(), Some(&data.media_type)).ok());
    let whole = children.is_some_and(|root| root.children().iter().all(|child| both.contains_key(&child.digest)));
    let mut merged = Vec::new();
    collect(&root, &both, 0, &mut BTreeSet::new(), &mut merged)?;
    resolved.tree = merged;
    if whole {
        resolved.image.platforms.clear();
    }
    Ok(())
}

pub(super) fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words.dedup();
    words
}

/// The asks that are not blocked by their origin's name. Destinations are looked at later, when they are known.
fn allowed<'a>(wish: &'a Wish, progress: &dyn Progress) -> Vec<&'a Ask> {
    let blocked = |ask: &&Ask| {
        let origin = ask.source.to_string();
        let destination = Destination::of(&ask.source, None, ask.target_repo.as_deref(), ask.target_tag.as_deref());
        let destination = destination.map(|d| d.to_string()).unwrap_or_default();
        match wish.blocked.matches(&origin, &destination) {
            Some(pattern) => {
                progress.say(Level::Info, &format!("{} is blocked by {:?}", shown(&origin), shown(pattern).to_string()));
                false
            }
            None => true,
        }
    };
    wish.asks.iter().filter(blocked).collect()
}

/// Who blocks signatures by their names means it.
fn is_blocked(wish: &Wish, image: &Image) -> bool {
    wish.blocked.matches(&image.source, &format!("{}:{}", image.repository, image.tag)).is_some()
}

pub(super) fn resolve(ask: &Ask, origins: &dyn Origins) -> Result<Resolved, OriginError> {
    let (origin, digest, ref_name) = match &ask.made {
        Some(made) => (origins.open_made(made.base.as_ref())?, made.digest, None),
        None => {
            let origin = origins.open(&ask.source)?;
            let (digest, ref_name) = origin.resolve(&ask.source)?;
            (origin, digest, ref_name)
        }
    };
    let destination = Destination::of(&ask.source, ref_name.as_deref(), ask.target_repo.as_deref(), ask.target_tag.as_deref())?;
    let (bytes, media_type) = origin.manifest(&digest)?;
    let root = Manifest::parse(&bytes, media_type.as_deref()).map_err(|error| OriginError::Manifest { digest, error })?;
    let chosen = chosen(&root, ask)?;
    let left_out = left_out(&root, &chosen);
    let nodes = walk(origin.as_ref(), &Descriptor::new(root.media_type.clone(), digest, bytes.len() as u64), &left_out)?;
    // Those asked for; an attestation goes along, and its `unknown/unknown` is no platform of anything.
    let asked_for = |found: &Platform| chosen.iter().any(|asked| asked.selects(found));
    let carried = root.children().iter().filter_map(|c| c.platform.clone()).filter(asked_for);
    let platforms = if left_out.is_empty() { Vec::new() } else { distinct(carried) };
    let image = Image {
        repository: destination.repository,
        tag: destination.tag,
        source: ask.source.to_string(),
        root: Root { media_type: root.media_type, digest, size: bytes.len() as u64 },
        platforms,
        commit: if ask.role == Role::Catalog { Commit::Late } else { Commit::Early },
        role: ask.role,
        part_of: sorted(ask.part_of.clone()),
        made: ask.made.as_ref().map(|made| Made { base: made.base.as_ref().map(Source::to_string) }),
        subject: None,
    };
    let tree = nodes.into_iter().map(|n| ManifestData::new(&n.descriptor.media_type, &n.bytes)).collect();
    Ok(Resolved { image, tree })
}

pub(super) fn walk(origin: &dyn Origin, root: &Descriptor, left_out: &BTreeSet<Digest>) -> Result<Vec<Node>, OriginError> {
    let fetch = |d: &Descriptor| origin.manifest(&d.digest);
    children_first(root, fetch, |child| !left_out.contains(&child.digest)).map_err(|e| match e {
        WalkError::Source(e) => e,
        WalkError::Manifest { digest, error } => OriginError::Manifest { digest, error },
        WalkError::Depth(digest) => OriginError::Depth(digest),
    })
}

/// The members of an index that are not carried when only `platforms` are: none for an image or when all are wanted.
/// Attestations go with the member they are about; members without a platform always go along.
pub(super) fn left_out(root: &Manifest, platforms: &[Platform]) -> BTreeSet<Digest> {
    if platforms.is_empty() {
        return BTreeSet::new();
    }
    let selected = |child: &Descriptor| child.platform.as_ref().is_none_or(|found| platforms.iter().any(|asked| asked.selects(found)));
    let chosen: BTreeSet<Digest> = root.children().iter().filter(|c| selected(c)).map(|c| c.digest).collect();
    let attests = |child: &Descriptor| {
        let about = child.annotations.get("vnd.docker.reference.digest").and_then(|d| d.parse::<Digest>().ok());
        about.is_some_and(|about| chosen.contains(&about))
    };
    root.children().iter().filter(|c| !chosen.contains(&c.digest) && !attests(c)).map(|c| c.digest).collect()
}

/// The platforms to carry. What operators need is chosen by their catalog's platforms, not one by one: of those an image has what it
/// has, and it must have one.
fn chosen(root: &Manifest, ask: &Ask) -> Result<Vec<Platform>, OriginError> {
    if !matches!(ask.role, Role::Bundle | Role::Related) || !root.is_index() {
        check_platforms(root, &ask.platforms)?;
        return Ok(ask.platforms.clone());
    }
    let has = |asked: &&Platform| root.children().iter().any(|c| c.platform.as_ref().is_some_and(|found| asked.selects(found)));
    let there: Vec<Platform> = ask.platforms.iter().filter(has).cloned().collect();
    if there.is_empty() {
        check_platforms(root, &ask.platforms)?;
    }
    Ok(there)
}

/// Each platform asked for must be there: an image that lacks it would be missed inside.
fn check_platforms(root: &Manifest, platforms: &[Platform]) -> Result<(), OriginError> {
    for asked in platforms.iter().filter(|_| root.is_index()) {
        if !root.children().iter().any(|c| c.platform.as_ref().is_some_and(|found| asked.selects(found))) {
            let there = distinct(root.children().iter().filter_map(|c| c.platform.clone()));
            let there = there.iter().map(|p| shown(&p.to_string()).to_string()).collect::<Vec<_>>().join(", ");
            return Err(OriginError::Platform { wanted: asked.to_string(), there });
        }
    }
    Ok(())
}
