//! What the target has already.

use super::board::STRIKES;
use super::catalog::{Catalog, Tree};
use super::error::UnpackError;
use super::target::{Target, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::format::{Holding, Image};
use crate::parallel::ask_all;
use crate::progress::{Level, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

/// One image with what it needs and where it goes.
pub(crate) struct Wanted {
    /// Index into the contents' images.
    pub index: usize,
    /// The image; its repository is called as at the target below the prefix.
    pub image: Image,
    /// Full repository name at the target.
    pub place: String,
    pub tree: Tree,
    /// How many referrers go with it.
    pub referrers: usize,
}

/// Answers of the target.
#[derive(Default)]
pub(crate) struct Found {
    /// By repository below the target's prefix.
    pub holdings: BTreeMap<String, Holding>,
    /// By (repository below the target's prefix, tag).
    pub tags: BTreeMap<(String, String), Digest>,
}

/// Asks the target; every (repository, digest) once, on a few threads.
pub(crate) struct Probe<'a> {
    pub target: &'a dyn Target,
    pub threads: usize,
    pub progress: &'a dyn Progress,
    /// Questions the target failed at in a row.
    pub strikes: AtomicU32,
}

impl Probe<'_> {
    /// Roots and tags first: a registry that accepted a manifest had everything below it. Then the manifests of images whose
    /// root is not there, then the blobs of those that are not there either.
    pub fn find(&self, catalog: &Catalog<'_>, wanted: &[Wanted]) -> Result<Found, UnpackError> {
        let mut found = Found::default();
        self.tags(wanted.iter().map(|w| (w, w.image.tag.clone())), &mut found)?;
        let sparse = |w: &Wanted| w.tree.nodes.iter().any(|n| catalog.absent_members(n) > 0);
        self.believe_tags(wanted, &mut found);
        let roots = wanted.iter().map(|w| (w, w.image.root.digest));
        self.manifests(roots, &mut found)?;
        let (there, open): (Vec<_>, Vec<_>) = wanted.iter().partition(|w| has(&found, w, &w.image.root.digest) && !sparse(w));
        for w in there {
            hold_tree(&mut found, catalog, w);
        }
        // All roots have been asked for.
        let below = |w: &&Wanted| w.tree.nodes.iter().copied().filter(|n| *n != w.image.root.digest).collect::<Vec<_>>();
        self.manifests(open.iter().flat_map(|w| below(w).into_iter().map(|n| (*w, n))), &mut found)?;
        self.blobs(catalog, &open, &mut found)?;
        Ok(found)
    }

    /// A registry has the manifest a tag of it names; no need to ask twice. A layout is a folder anybody may have changed.
    fn believe_tags(&self, wanted: &[Wanted], found: &mut Found) {
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
    pub fn tags<'w>(&self, names: impl Iterator<Item = (&'w Wanted, String)>, found: &mut Found) -> Result<(), UnpackError> {
        let names: BTreeMap<(String, String), String> =
            names.map(|(w, tag)| ((w.image.repository.clone(), tag), w.place.clone())).collect();
        let asked: Vec<_> = names.into_iter().collect();
        let answers = self.ask(&asked, |((_, tag), place)| self.or_nothing(|| format!("{place}:{tag}"), self.target.tag(place, tag)))?;
        found.tags.extend(asked.into_iter().zip(answers).filter_map(|((name, _), digest)| Some((name, digest?))));
        Ok(())
    }

    fn manifests<'w>(&self, pairs: impl Iterator<Item = (&'w Wanted, Digest)>, found: &mut Found) -> Result<(), UnpackError> {
        let asked: BTreeSet<(&str, &str, Digest)> = pairs
            .filter(|(w, digest)| !has(found, w, digest))
            .map(|(w, digest)| (w.image.repository.as_str(), w.place.as_str(), digest))
            .collect();
        let asked: Vec<_> = asked.into_iter().collect();
        let answers = self
            .ask(&asked, |(_, place, digest)| self.or_nothing(|| format!("{place}@{digest}"), self.target.has_manifest(place, digest)))?;
        for ((repository, _, digest), _) in asked.into_iter().zip(answers).filter(|(_, there)| *there) {
            found.holdings.entry(repository.to_owned()).or_default().manifests.insert(digest);
        }
        Ok(())
    }

    fn blobs(&self, catalog: &Catalog<'_>, open: &[&Wanted], found: &mut Found) -> Result<(), UnpackError> {
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
                self.or_nothing(subject, self.target.has_blob(place, &blob.descriptor()))
            }
            None => Ok(false),
        })?;
        for ((repository, _, b), _) in asked.into_iter().zip(answers).filter(|(_, there)| *there) {
            let digest = digest_of(catalog, b);
            found.holdings.entry(repository.to_owned()).or_default().blobs.insert(digest);
        }
        Ok(())
    }

    /// What the target fails at counts as not there: at worst it is pushed once more, or fails again and is told then. A night's work
    /// does not end for one question; for one after the other it does.
    fn or_nothing<T: Default>(&self, subject: impl Fn() -> String, answer: Result<T, TargetError>) -> Result<T, UnpackError> {
        match answer {
            Ok(answer) => {
                self.strikes.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Err(error) if error.trouble == TargetTrouble::Failing && self.strikes.fetch_add(1, Ordering::Relaxed) + 1 < STRIKES => {
                let told = error.to_string();
                let told = if told.contains(&subject()) { told } else { format!("{}: {told}", subject()) };
                self.progress.say(Level::Warning, &format!("{told}; taken as not there"));
                Ok(T::default())
            }
            Err(error) => Err(trouble(subject(), error)),
        }
    }

    pub(super) fn ask<T: Sync, R: Send>(
        &self,
        items: &[T],
        ask: impl Fn(&T) -> Result<R, UnpackError> + Sync,
    ) -> Result<Vec<R>, UnpackError> {
        ask_all(self.threads, items, |item| if self.progress.cancelled() { Err(UnpackError::Interrupted) } else { ask(item) })
    }
}

/// Names the subject of a failed request; a cancelled one is an interruption.
pub(crate) fn trouble(subject: String, error: TargetError) -> UnpackError {
    match error.trouble {
        super::target::TargetTrouble::Cancelled => UnpackError::Interrupted,
        _ => UnpackError::Target { subject, error },
    }
}

fn has(found: &Found, w: &Wanted, digest: &Digest) -> bool {
    found.holdings.get(&w.image.repository).is_some_and(|h| h.manifests.contains(digest))
}

fn digest_of(catalog: &Catalog<'_>, blob: usize) -> Digest {
    catalog.contents.blobs.get(blob).map_or_else(|| Digest::sha256(b""), |b| b.digest)
}

fn hold_tree(found: &mut Found, catalog: &Catalog<'_>, w: &Wanted) {
    let holding = found.holdings.entry(w.image.repository.clone()).or_default();
    holding.manifests.extend(w.tree.nodes.iter().copied());
    holding.blobs.extend(w.tree.blobs.iter().map(|b| digest_of(catalog, *b)));
}
