//! What of the images meant can go, and what stays because something else needs it.

use super::shelf::Shelf;
use super::{Deletion, Doomed, Kept, Meant, Stay};
use crate::digest::Digest;
use crate::inventory::check::nodes;
use crate::oci::Manifest;
use std::collections::{BTreeMap, BTreeSet};

/// What of one repository is needed, with the name of what needs it.
struct Needs<'s> {
    shelf: &'s Shelf,
    by: BTreeMap<Digest, String>,
}

impl<'s> Needs<'s> {
    fn of(shelf: &'s Shelf) -> Needs<'s> {
        let mut needs = Needs { shelf, by: BTreeMap::new() };
        shelf.kept.iter().for_each(|(root, name)| needs.hold(*root, name));
        needs
    }

    /// From now on this stays, and everything below it.
    fn hold(&mut self, root: Digest, name: &str) {
        for digest in nodes(root, &self.shelf.manifests) {
            self.by.entry(digest).or_insert_with(|| name.to_owned());
        }
    }

    /// The name of a kept image that needs a manifest, or of an index that may.
    fn name(&self, digest: &Digest) -> Option<&String> {
        self.by.get(digest).or_else(|| self.shelf.unread.first_key_value().map(|(_, name)| name))
    }
}

/// Pure: what goes is what only the meant images need.
pub(super) fn decide(meant: &[Meant], shelves: &BTreeMap<String, Shelf>) -> Deletion {
    let mut deletion = Deletion::default();
    let mut gone: BTreeSet<(&str, Digest)> = BTreeSet::new();
    let mut needs: BTreeMap<&str, Needs<'_>> = shelves.iter().map(|(place, shelf)| (place.as_str(), Needs::of(shelf))).collect();
    let tied = tied(meant, &mut needs);
    lists(shelves, &mut needs, &mut gone, &mut deletion);
    for (at, m) in meant.iter().enumerate() {
        let (Some(shelf), Some(needs)) = (shelves.get(&m.place), needs.get(m.place.as_str())) else { continue };
        let name = m.tag.as_ref().map_or_else(|| format!("{}@{}", m.place, m.digest), |tag| format!("{}:{tag}", m.place));
        if tied.contains(&at) {
            // What nobody named and stays as it was is not worth a word.
            let by = needs.name(&m.root).filter(|_| m.listed);
            deletion.kept.extend(by.map(|by| Kept { name, stay: Stay::NeededBy(by.clone()) }));
            continue;
        }
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
            match needs.name(&digest) {
                Some(other) if digest == m.root => {
                    deletion.kept.push(Kept { name: name.clone(), stay: Stay::NeededBy(other.clone()) });
                }
                Some(other) => deletion.kept.push(Kept { name: format!("{}@{digest}", m.place), stay: Stay::NeededBy(other.clone()) }),
                None if gone.insert((&m.place, digest)) => manifests.push(digest),
                None => {}
            }
        }
        // A tag that names something else by now is somebody else's; one whose manifest goes goes with it.
        let only_tag = moved.is_none() && !gone.contains(&(m.place.as_str(), m.root));
        let was_gone = !only_tag && shelf.absent.contains(&m.root);
        let (repository, tag) = (m.place.clone(), m.tag.clone());
        deletion.images.push(Doomed { repository, tag, digest: m.digest, manifests, only_tag, was_gone, root: m.root });
    }
    for (place, shelf) in shelves {
        let orphans = shelf.orphans.iter().filter(|digest| gone.insert((place, **digest)));
        deletion.images.extend(orphans.map(|digest| whole(place, None, *digest)));
    }
    deletion.loose = loose(&gone, shelves);
    deletion
}

/// One manifest, by itself.
fn whole(place: &str, tag: Option<String>, digest: Digest) -> Doomed {
    Doomed { repository: place.to_owned(), tag, digest, manifests: vec![digest], only_tag: false, was_gone: false, root: digest }
}

/// Those of the meant that stay because what they refer to stays: an image without its signature could not be pulled everywhere.
fn tied(meant: &[Meant], needs: &mut BTreeMap<&str, Needs<'_>>) -> BTreeSet<usize> {
    let mut tied = BTreeSet::new();
    loop {
        let before = tied.len();
        for (at, m) in meant.iter().enumerate().filter(|(_, m)| m.of.is_some()) {
            let Some(needs) = needs.get_mut(m.place.as_str()) else { continue };
            let by = m.of.and_then(|subject| needs.name(&subject).cloned());
            if let Some(by) = by.filter(|_| tied.insert(at)) {
                needs.hold(m.root, &by);
            }
        }
        if tied.len() == before {
            return tied;
        }
    }
}

/// A list of what refers to an image goes with the image, and stays with it.
fn lists<'s>(
    shelves: &'s BTreeMap<String, Shelf>,
    needs: &mut BTreeMap<&str, Needs<'_>>,
    gone: &mut BTreeSet<(&'s str, Digest)>,
    deletion: &mut Deletion,
) {
    for (place, shelf) in shelves {
        let Some(needs) = needs.get_mut(place.as_str()) else { continue };
        for (tag, subject) in &shelf.lists {
            let Some(list) = shelf.tags.get(tag).copied() else { continue };
            if let Some(by) = needs.name(subject).cloned() {
                needs.hold(list, &by);
            } else if needs.name(&list).is_none() && gone.insert((place, list)) {
                deletion.images.push(whole(place, Some(tag.clone()), list));
            }
        }
    }
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
