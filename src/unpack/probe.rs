//! What the target has already.

use super::catalog::{Catalog, Tree};
use super::error::UnpackError;
use super::parallel::ask_all;
use super::target::{Target, TargetError};
use crate::digest::Digest;
use crate::format::{Holding, Image};
use crate::progress::Progress;
use std::collections::{BTreeMap, BTreeSet};

/// One image with what it needs and where it goes.
pub(super) struct Wanted<'a> {
    /// Index into the contents' images.
    pub index: usize,
    pub image: &'a Image,
    /// Full repository name at the target.
    pub place: String,
    pub tree: Tree,
    /// How many referrers go with it.
    pub referrers: usize,
}

/// Answers of the target.
#[derive(Default)]
pub(super) struct Found {
    /// By repository of the set (without prefix).
    pub holdings: BTreeMap<String, Holding>,
    /// By (repository of the set, tag).
    pub tags: BTreeMap<(String, String), Digest>,
}

/// Asks the target; every (repository, digest) once, on a few threads.
pub(super) struct Probe<'a> {
    pub target: &'a dyn Target,
    pub threads: usize,
    pub progress: &'a dyn Progress,
}

impl Probe<'_> {
    /// Roots and tags first: a registry that accepted a manifest had everything below it. Then the manifests of images whose
    /// root is not there, then the blobs of those that are not there either.
    pub fn find(&self, catalog: &Catalog<'_>, wanted: &[Wanted<'_>]) -> Result<Found, UnpackError> {
        let mut found = Found::default();
        self.tags(wanted.iter().map(|w| (w, w.image.tag.clone())), &mut found)?;
        let sparse = |w: &Wanted<'_>| w.tree.nodes.iter().any(|n| catalog.absent_members(n) > 0);
        self.believe_tags(wanted, &mut found);
        let roots = wanted.iter().map(|w| (w, w.image.root.digest));
        self.manifests(roots, &mut found)?;
        let (there, open): (Vec<_>, Vec<_>) = wanted.iter().partition(|w| has(&found, w, &w.image.root.digest) && !sparse(w));
        for w in there {
            hold_tree(&mut found, catalog, w);
        }
        // All roots have been asked for.
        let below = |w: &&Wanted<'_>| w.tree.nodes.iter().copied().filter(|n| *n != w.image.root.digest).collect::<Vec<_>>();
        self.manifests(open.iter().flat_map(|w| below(w).into_iter().map(|n| (*w, n))), &mut found)?;
        self.blobs(catalog, &open, &mut found)?;
        Ok(found)
    }

    /// A registry has the manifest a tag of it names; no need to ask twice. A layout is a folder anybody may have changed.
    fn believe_tags(&self, wanted: &[Wanted<'_>], found: &mut Found) {
        if !self.target.collects_garbage() {
            return;
        }
        for w in wanted {
            let root = w.image.root.digest;
            if found.tags.get(&(w.image.repository.clone(), w.image.tag.clone())) == Some(&root) {
                found.holdings.entry(w.image.repository.clone()).or_default().manifests.insert(root);
            }
        }
    }

    /// Looks tags up.
    pub fn tags<'w>(&self, names: impl Iterator<Item = (&'w Wanted<'w>, String)>, found: &mut Found) -> Result<(), UnpackError> {
        let names: BTreeMap<(String, String), String> =
            names.map(|(w, tag)| ((w.image.repository.clone(), tag), w.place.clone())).collect();
        let asked: Vec<_> = names.into_iter().collect();
        let answers =
            self.ask(&asked, |((_, tag), place)| self.target.tag(place, tag).map_err(|error| trouble(format!("{place}:{tag}"), error)))?;
        found.tags.extend(asked.into_iter().zip(answers).filter_map(|((name, _), digest)| Some((name, digest?))));
        Ok(())
    }

    fn manifests<'w>(&self, pairs: impl Iterator<Item = (&'w Wanted<'w>, Digest)>, found: &mut Found) -> Result<(), UnpackError> {
        let asked: BTreeSet<(&str, &str, Digest)> = pairs
            .filter(|(w, digest)| !has(found, w, digest))
            .map(|(w, digest)| (w.image.repository.as_str(), w.place.as_str(), digest))
            .collect();
        let asked: Vec<_> = asked.into_iter().collect();
        let answers = self.ask(&asked, |(_, place, digest)| {
            self.target.has_manifest(place, digest).map_err(|error| trouble(format!("{place}@{digest}"), error))
        })?;
        for ((repository, _, digest), _) in asked.into_iter().zip(answers).filter(|(_, there)| *there) {
            found.holdings.entry(repository.to_owned()).or_default().manifests.insert(digest);
        }
        Ok(())
    }

    fn blobs(&self, catalog: &Catalog<'_>, open: &[&Wanted<'_>], found: &mut Found) -> Result<(), UnpackError> {
        let mut asked = BTreeSet::new();
        for w in open {
            let (there, lacking): (Vec<&Digest>, Vec<&Digest>) = w.tree.nodes.iter().partition(|n| has(found, w, n));
            let known: Vec<Digest> = there.into_iter().flat_map(|n| catalog.blobs_of(n)).map(|b| digest_of(catalog, b)).collect();
            found.holdings.entry(w.image.repository.clone()).or_default().blobs.extend(known);
            asked.extend(lacking.into_iter().flat_map(|n| catalog.blobs_of(n)).map(|b| (w.image.repository.as_str(), w.place.as_str(), b)));
        }
        let known = |repository: &str, b: usize| {
            found.holdings.get(repository).is_some_and(|h| catalog.contents.blobs.get(b).is_some_and(|b| h.blobs.contains(&b.digest)))
        };
        let asked: Vec<_> = asked.into_iter().filter(|(repository, _, b)| !known(repository, *b)).collect();
        let answers = self.ask(&asked, |(_, place, b)| match catalog.contents.blobs.get(*b) {
            Some(blob) => {
                let subject = || format!("{place}@{}", blob.digest);
                self.target.has_blob(place, &blob.descriptor()).map_err(|error| trouble(subject(), error))
            }
            None => Ok(false),
        })?;
        for ((repository, _, b), _) in asked.into_iter().zip(answers).filter(|(_, there)| *there) {
            let digest = digest_of(catalog, b);
            found.holdings.entry(repository.to_owned()).or_default().blobs.insert(digest);
        }
        Ok(())
    }

    fn ask<T: Sync, R: Send>(&self, items: &[T], ask: impl Fn(&T) -> Result<R, UnpackError> + Sync) -> Result<Vec<R>, UnpackError> {
        ask_all(self.threads, items, |item| if self.progress.cancelled() { Err(UnpackError::Interrupted) } else { ask(item) })
    }
}

/// Names the subject of a failed request; a cancelled one is an interruption.
pub(super) fn trouble(subject: String, error: TargetError) -> UnpackError {
    match error.trouble {
        super::target::TargetTrouble::Cancelled => UnpackError::Interrupted,
        _ => UnpackError::Target { subject, error },
    }
}

fn has(found: &Found, w: &Wanted<'_>, digest: &Digest) -> bool {
    found.holdings.get(&w.image.repository).is_some_and(|h| h.manifests.contains(digest))
}

fn digest_of(catalog: &Catalog<'_>, blob: usize) -> Digest {
    catalog.contents.blobs.get(blob).map_or_else(|| Digest::sha256(b""), |b| b.digest)
}

fn hold_tree(found: &mut Found, catalog: &Catalog<'_>, w: &Wanted<'_>) {
    let holding = found.holdings.entry(w.image.repository.clone()).or_default();
    holding.manifests.extend(w.tree.nodes.iter().copied());
    holding.blobs.extend(w.tree.blobs.iter().map(|b| digest_of(catalog, *b)));
}
