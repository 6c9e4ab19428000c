//! What of the images meant can go, and what stays because something else needs it.

use super::shelf::Shelf;
use super::{Deletion, Doomed, Kept, Meant, Stay};
use crate::digest::Digest;
use crate::inventory::check::nodes;
use crate::oci::Manifest;
use std::collections::{BTreeMap, BTreeSet};

/// Pure: what goes is what only the meant images need.
pub(super) fn decide(meant: &[Meant], shelves: &BTreeMap<String, Shelf>) -> Deletion {
    let mut deletion = Deletion::default();
    let mut gone: BTreeSet<(&str, Digest)> = BTreeSet::new();
    for m in meant {
        let Some(shelf) = shelves.get(&m.place) else { continue };
        let name = m.tag.as_ref().map_or_else(|| format!("{}@{}", m.place, m.digest), |tag| format!("{}:{tag}", m.place));
        let moved = m.tag.as_ref().and_then(|tag| shelf.tags.get(tag)).filter(|now| **now != m.root);
        if let Some(now) = moved {
            deletion.kept.push(Kept { name: name.clone(), stay: Stay::TagMoved(*now) });
        }
        // Breadth first: parents before what they name.
        let mut order = vec![m.root];
        let mut at = 0;
        while let Some(digest) = order.get(at).copied() {
            at += 1;
            let children = shelf.manifests.get(&digest).into_iter().flat_map(Manifest::children).map(|c| c.digest);
            let fresh: Vec<Digest> = children.filter(|c| shelf.manifests.contains_key(c) && !order.contains(c)).collect();
            order.extend(fresh);
        }
        let mut manifests = Vec::new();
        for digest in order {
            match needed_by(shelf, &digest) {
                Some(other) if digest == m.root => {
                    deletion.kept.push(Kept { name: name.clone(), stay: Stay::NeededBy(other) });
                }
                Some(other) => deletion.kept.push(Kept { name: format!("{}@{digest}", m.place), stay: Stay::NeededBy(other) }),
                None if gone.insert((&m.place, digest)) => manifests.push(digest),
                None => {}
            }
        }
        // A tag that names something else by now is somebody else's; one whose manifest goes goes with it.
        let only_tag = moved.is_none() && !gone.contains(&(m.place.as_str(), m.root));
        let was_gone = !only_tag && shelf.absent.contains(&m.root);
        deletion.images.push(Doomed { repository: m.place.clone(), tag: m.tag.clone(), digest: m.digest, manifests, only_tag, was_gone });
    }
    for (place, shelf) in shelves {
        for digest in shelf.orphans.iter().filter(|digest| gone.insert((place, **digest))) {
            let manifests = vec![*digest];
            deletion.images.push(Doomed {
                repository: place.clone(),
                tag: None,
                digest: *digest,
                manifests,
                only_tag: false,
                was_gone: false,
            });
        }
    }
    deletion.loose = loose(&gone, shelves);
    deletion
}

/// The name of a kept image that needs a manifest, or of an index that may.
fn needed_by(shelf: &Shelf, digest: &Digest) -> Option<String> {
    let needs = |(root, _): &(&Digest, &String)| *root == digest || nodes(**root, &shelf.manifests).contains(digest);
    shelf.kept.iter().find(needs).or_else(|| shelf.unread.first_key_value()).map(|(_, name)| name.clone())
}

fn loose(gone: &BTreeSet<(&str, Digest)>, shelves: &BTreeMap<String, Shelf>) -> BTreeMap<String, BTreeSet<Digest>> {
    let mut loose: BTreeMap<String, BTreeSet<Digest>> = BTreeMap::new();
    for (place, shelf) in shelves {
        let blobs = |wanted: bool| {
            let of = shelf.manifests.iter().filter(move |(digest, _)| gone.contains(&(place.as_str(), **digest)) == wanted);
            of.flat_map(|(_, manifest)| manifest.blobs()).map(|b| b.digest).collect::<BTreeSet<Digest>>()
        };
        let freed: BTreeSet<Digest> = blobs(true).difference(&blobs(false)).copied().collect();
        if !freed.is_empty() {
            loose.insert(place.clone(), freed);
        }
    }
    loose
}
