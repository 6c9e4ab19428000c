//! Sigstore signatures that lie beside images as tags (`sha256-HEX.sig`, cosign's signature specification, "Storage").

use super::World;
use crate::digest::Digest;
use crate::format::Role;
use crate::image_set::Source;
use crate::oci::Manifest;
use crate::origin::{Origin, OriginError};
use crate::pack::Ask;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The signatures there are of the images asked for: of each image, and of each member of an index. One request a manifest, several
/// at a time; an image without one is no failure, and neither is an image that cannot be had (that is told where it is packed).
///
/// They go to the repository their image goes to, under the tag they have: that is where a cluster's policy looks for them.
pub fn sigstore(asks: &[Ask], world: &World<'_>) -> Vec<Ask> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Vec<Ask>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..world.parallel.clamp(1, asks.len().max(1)) {
            scope.spawn(|| {
                while let Some((i, ask)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, asks.get(i)?))) {
                    if world.progress.cancelled() {
                        return;
                    }
                    let of_one = of_image(ask, world).unwrap_or_default();
                    if let Ok(mut found) = found.lock() {
                        found.push((i, of_one));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_default();
    found.sort_by_key(|(i, _)| *i);
    each_once(found.into_iter().flat_map(|(_, asks)| asks))
}

/// An image that several releases share has one signature, which all of them need.
fn each_once(found: impl Iterator<Item = Ask>) -> Vec<Ask> {
    let mut positions = BTreeMap::new();
    let mut once: Vec<Ask> = Vec::new();
    for ask in found {
        match positions.get(&(ask.source.to_string(), ask.target_repo.clone())).and_then(|at: &usize| once.get_mut(*at)) {
            Some(first) => first.part_of.extend(ask.part_of),
            None => {
                positions.insert((ask.source.to_string(), ask.target_repo.clone()), once.len());
                once.push(ask);
            }
        }
    }
    once
}

fn of_image(ask: &Ask, world: &World<'_>) -> Result<Vec<Ask>, OriginError> {
    let Source::Registry(reference) = &ask.source else { return Ok(Vec::new()) };
    if ask.made.is_some() || matches!(ask.role, Role::Signature) {
        return Ok(Vec::new());
    }
    let origin = world.origins.open(&ask.source)?;
    let (root, _) = origin.resolve(&ask.source)?;
    let mut asks = Vec::new();
    for digest in signed(origin.as_ref(), root)? {
        let tag = format!("sha256-{}.sig", digest.hex());
        let mut reference = reference.clone();
        (reference.tag, reference.digest) = (Some(tag), None);
        let source = Source::Registry(reference);
        if origin.resolve(&source).is_ok() {
            let target_repo = ask.target_repo.clone().or_else(|| own_repository(ask));
            asks.push(Ask { target_repo, role: Role::Signature, part_of: ask.part_of.clone(), ..Ask::of(source) });
        }
    }
    Ok(asks)
}

fn own_repository(ask: &Ask) -> Option<String> {
    match &ask.source {
        Source::Registry(reference) => Some(reference.path.clone()),
        _ => None,
    }
}

/// What may have a signature: the root, and the members of an index.
fn signed(origin: &dyn Origin, root: Digest) -> Result<Vec<Digest>, OriginError> {
    let (bytes, media_type) = origin.manifest(&root)?;
    let manifest = Manifest::parse(&bytes, media_type.as_deref()).map_err(|error| OriginError::Manifest { digest: root, error })?;
    let members = manifest.children().iter().map(|child| child.digest);
    Ok(std::iter::once(root).chain(members).collect())
}
