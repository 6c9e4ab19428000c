//! Referrers made findable: a manifest that names its subject is worth nothing to who cannot find it from there.
//!
//! A registry with the referrers API lists what was pushed by itself, and is asked whether it does. Elsewhere, and in layouts, an
//! index under the fallback tag says it (distribution specification, "Referrers Tag Schema"). It belongs to everybody: it is read,
//! completed, written and read again, and what was written is looked at once more when all the others are: another host may have read
//! it before, and written its own over it. Whoever is done before the other writes loses its entry all the same, until its next run.

use super::beside::{self, is_shared};
use super::board::Phase;
use super::error::{ImageError, UnpackError};
use super::probe::trouble;
use super::run::Run;
use super::target::{PutAs, Target, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::format::SkippedTag;
use crate::oci::media;
use crate::oci::referrers::{Attached, fallback_tag, listed, merged, read_list};
use crate::parallel::ask_all;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Others may write the same index at the same time; who has written it three times in vain gives up.
const ROUNDS: u32 = 3;

/// An image that arrived, and names its subject.
pub(crate) struct Arrival<'a> {
    /// Whatever the caller knows it by.
    pub image: usize,
    /// The full repository name at the target.
    pub place: &'a str,
    /// What it refers to.
    pub subject: Digest,
    /// Type and bytes of its root.
    pub document: (&'a str, Vec<u8>),
    /// Cosign's tag, which holds what others signed as well and stays theirs.
    pub shared: Option<&'a str>,
}

/// What refers to one manifest in one repository.
struct Listing {
    place: String,
    subject: Digest,
    /// What the caller knows the images by, with their entries.
    referrers: Vec<(usize, Value)>,
}

/// How a question about a list ended.
pub(super) enum Answer {
    Listed,
    /// By an index that was written for it.
    Written,
    /// Not all of them, and why.
    Not(String),
}

/// Makes arrived referrers findable at the target, and gives those that are not: what is not listed counts as not in.
///
/// # Errors
/// What ends a run.
pub(crate) fn list(target: &dyn Target, threads: usize, arrivals: &[Arrival<'_>]) -> Result<Vec<(usize, ImageError)>, UnpackError> {
    let listings = listings(arrivals);
    let ask = |listing: &&Listing| match list_one(target, listing) {
        Err(error) if error.trouble.ends_run() => Err(trouble(format!("{}:{}", listing.place, fallback_tag(&listing.subject)), error)),
        other => Ok(other),
    };
    let mut answers = ask_all(threads, &listings.iter().collect::<Vec<_>>(), ask)?;
    let (written, slots): (Vec<&Listing>, Vec<_>) =
        listings.iter().zip(&mut answers).filter(|(_, answer)| matches!(answer, Ok(Answer::Written))).unzip();
    let looked = ask_all(threads, &written, ask)?;
    slots.into_iter().zip(looked).for_each(|(slot, answer)| *slot = answer);
    let shared: Vec<(&Arrival<'_>, &str)> = arrivals.iter().filter_map(|arrival| Some((arrival, arrival.shared?))).collect();
    let added = ask_all(threads, &shared, |(arrival, tag)| match beside::add(target, arrival.place, tag, &arrival.document.1) {
        Err(error) if error.trouble.ends_run() => Err(trouble(format!("{}:{tag}", arrival.place), error)),
        other => Ok(other),
    })?;
    target.settle_tags().map_err(|error| trouble(target.name(), error))?;
    let unlisted = |(listing, answer): (&Listing, Result<Answer, TargetError>)| {
        let Listing { place, subject, referrers } = listing;
        let error = match answer {
            Ok(Answer::Listed | Answer::Written) => return Vec::new(),
            Ok(Answer::Not(why)) => ImageError::Unlisted { repository: place.clone(), subject: *subject, why },
            Err(error) => ImageError::Target { subject: format!("{place}:{}", fallback_tag(subject)), error: Arc::new(error) },
        };
        referrers.iter().map(|(image, _)| (*image, error.clone())).collect()
    };
    let not_added = |((arrival, tag), answer): (&(&Arrival<'_>, &str), Result<Answer, TargetError>)| {
        let error = match answer {
            Ok(Answer::Listed | Answer::Written) => return None,
            Ok(Answer::Not(why)) => TargetError::new(TargetTrouble::Refused, why),
            Err(error) => error,
        };
        Some((arrival.image, ImageError::Target { subject: format!("{}:{tag}", arrival.place), error: Arc::new(error) }))
    };
    let lost = shared.iter().zip(added).filter_map(not_added);
    Ok(listings.iter().zip(answers).flat_map(unlisted).chain(lost).collect())
}

fn listings(arrivals: &[Arrival<'_>]) -> Vec<Listing> {
    let mut all: BTreeMap<(&str, Digest), Vec<(usize, Value)>> = BTreeMap::new();
    for arrival in arrivals {
        let (media_type, bytes) = &arrival.document;
        // Cosign's are found by their tag.
        if Attached::parse(bytes).subject == Some(arrival.subject) {
            all.entry((arrival.place, arrival.subject)).or_default().push((arrival.image, listed(media_type, bytes)));
        }
    }
    all.into_iter().map(|((place, subject), referrers)| Listing { place: place.to_owned(), subject, referrers }).collect()
}

fn list_one(target: &dyn Target, listing: &Listing) -> Result<Answer, TargetError> {
    let Listing { place, subject, referrers } = listing;
    let wanted: BTreeSet<Digest> = referrers.iter().filter_map(|(_, entry)| digest_of(entry)).collect();
    if let Some(found) = target.listed_referrers(place, subject)? {
        let found: BTreeSet<Digest> = found.into_iter().collect();
        return Ok(match wanted.difference(&found).count() {
            0 => Answer::Listed,
            n => Answer::Not(format!("{n} of {} are not in the list the registry gives", wanted.len())),
        });
    }
    let entries: Vec<Value> = referrers.iter().map(|(_, entry)| entry.clone()).collect();
    complete(target, place, subject, &entries)
}

impl Run<'_> {
    /// After everything was pushed: what names its subject is listed there.
    pub(super) fn list_referrers(&self) {
        if self.board.failed() || self.setting.progress.cancelled() {
            return;
        }
        let state = self.board.state();
        let places: Vec<String> = state.repos.iter().map(|repo| repo.place.clone()).collect();
        let arrived = state.images.iter().enumerate().filter(|(_, image)| matches!(image.phase, Phase::Done(_)));
        let arrivals: Vec<Arrival<'_>> = arrived
            .filter_map(|(at, image)| {
                let of = self.plan.images.get(image.planned).and_then(|planned| self.catalog.contents.images.get(planned.image))?;
                let document = self.catalog.document(&of.root.digest)?;
                let (subject, planned) = (of.subject?, self.plan.images.get(image.planned)?);
                let skipped = |s: &SkippedTag| s.repository == planned.repository && s.tag == of.tag;
                let stays = planned.tag != of.tag && is_shared(&of.tag, &subject) && !self.plan.skipped_tags.iter().any(skipped);
                let shared = stays.then_some(of.tag.as_str());
                Some(Arrival { image: at, place: places.get(image.repo)?, subject, document, shared })
            })
            .collect();
        drop(state);
        match list(self.setting.target, self.setting.options.probes, &arrivals) {
            Err(error) => self.stop(error),
            Ok(unlisted) => self.board.change(|state| {
                for (at, error) in unlisted {
                    if let Some(image) = state.images.get_mut(at) {
                        image.phase = Phase::Failed(error);
                    }
                }
            }),
        }
    }
}

/// Completes the index under the fallback tag.
fn complete(target: &dyn Target, place: &str, subject: &Digest, entries: &[Value]) -> Result<Answer, TargetError> {
    let tag = fallback_tag(subject);
    for round in 0..=ROUNDS {
        let before = target.tagged_manifest(place, &tag)?;
        if before.as_ref().is_some_and(|bytes| Digest::sha256(bytes) == *subject) {
            return Ok(Answer::Not(format!("the tag {tag} is the image itself")));
        }
        let after = match merged(before.as_deref(), entries) {
            Ok(None) => return Ok(if round == 0 { Answer::Listed } else { Answer::Written }),
            // Read again after the last time it was written, and there is no further time.
            Ok(Some(_)) if round == ROUNDS => break,
            Ok(Some(after)) => after,
            Err(why) => return Ok(Answer::Not(format!("the tag {tag} is taken by something that is no list of referrers: {why}"))),
        };
        match target.put_manifest(place, PutAs::Tag(&tag), media::OCI_INDEX, &after) {
            Ok(()) => {}
            // Some entry of others is gone: a list that cannot be written helps nobody.
            Err(error) if error.trouble == TargetTrouble::ChildMissing => {
                let left = without_lost(target, place, &after)?;
                target.put_manifest(place, PutAs::Tag(&tag), media::OCI_INDEX, &left)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Answer::Not(format!("the tag {tag} does not stay as it was written: something else changes it")))
}

fn without_lost(target: &dyn Target, place: &str, index: &[u8]) -> Result<Vec<u8>, TargetError> {
    let mut there = BTreeSet::new();
    for entry in read_list(index).unwrap_or_default() {
        if target.has_manifest(place, &entry.digest)? {
            there.insert(entry.digest);
        }
    }
    let Ok(mut document) = serde_json::from_slice::<Value>(index) else { return Ok(index.to_vec()) };
    if let Some(Value::Array(list)) = document.get_mut("manifests") {
        list.retain(|entry| digest_of(entry).is_some_and(|digest| there.contains(&digest)));
    }
    Ok(document.to_string().into_bytes())
}

fn digest_of(entry: &Value) -> Option<Digest> {
    entry.get("digest")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::doubles::Registry;
    use super::*;
    use serde_json::json;
    use std::sync::atomic::Ordering;

    const PLACE: &str = "p/team/app";

    fn subject() -> Digest {
        Digest::sha256(b"the image")
    }

    fn referrer(name: &str) -> Vec<u8> {
        let of = json!({"mediaType": media::OCI_MANIFEST, "digest": subject(), "size": 9});
        json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": name, "subject": of}).to_string().into_bytes()
    }

    fn registry() -> Registry {
        Registry { sparse: true, ..Registry::new() }
    }

    /// Lists one referrer; gives how many could not be.
    fn bring(registry: &Registry, name: &str) -> usize {
        let document = (media::OCI_MANIFEST, referrer(name));
        list(registry, 2, &[Arrival { image: 0, place: PLACE, subject: subject(), document, shared: None }]).unwrap().len()
    }

    fn put(registry: &Registry, list: &[u8]) {
        registry.put_manifest(PLACE, PutAs::Tag(&fallback_tag(&subject())), media::OCI_INDEX, list).unwrap();
    }

    fn shown(registry: &Registry) -> BTreeSet<Digest> {
        let list = registry.tagged_manifest(PLACE, &fallback_tag(&subject())).unwrap();
        list.map(|list| read_list(&list).unwrap().into_iter().map(|entry| entry.digest).collect()).unwrap_or_default()
    }

    fn digests(names: &[&str]) -> BTreeSet<Digest> {
        names.iter().map(|name| Digest::sha256(&referrer(name))).collect()
    }

    /// What a host writes that read the list before anybody else had written it.
    fn alone(name: &str) -> Vec<u8> {
        merged(None, &[listed(media::OCI_MANIFEST, &referrer(name))]).unwrap().unwrap()
    }

    /// Registries know no "replace only if": whoever read before another wrote, and writes after that, takes the other's entry away.
    #[test]
    fn another_host_that_writes_over_the_list_takes_nothing_away() {
        let calm = registry();
        assert_eq!(bring(&calm, "ours"), 0);
        let operations = calm.operations.load(Ordering::SeqCst);
        assert!(operations >= 4, "read, written, read again, and looked at once more after all others: {operations}");
        for before in 2..operations {
            let registry = registry();
            *registry.meanwhile.lock().unwrap() = Some((before, Box::new(|registry| put(registry, &alone("theirs")))));
            assert_eq!(bring(&registry, "ours"), 0);
            assert!(registry.meanwhile.lock().unwrap().is_none(), "the other host has written");
            assert_eq!(shown(&registry), digests(&["ours", "theirs"]), "written over before operation {before}");
        }
    }

    /// The other host was done when this one wrote over its list: its next run of the same set puts back what is missing.
    #[test]
    fn a_later_run_puts_back_what_was_lost() {
        let registry = registry();
        *registry.meanwhile.lock().unwrap() = Some((1, Box::new(|registry| assert_eq!(bring(registry, "theirs"), 0))));
        assert_eq!(bring(&registry, "ours"), 0);
        assert_eq!(shown(&registry), digests(&["ours"]), "or the race is another one");
        assert_eq!(bring(&registry, "theirs"), 0);
        assert_eq!(shown(&registry), digests(&["ours", "theirs"]));
        let before = registry.pushes.load(Ordering::SeqCst);
        assert_eq!((bring(&registry, "ours"), registry.pushes.load(Ordering::SeqCst)), (0, before), "nothing is written without need");
    }

    /// Written over each time but the last: what the last read found counts.
    #[test]
    fn the_last_of_all_writings_is_read_as_well() {
        let registry = registry();
        fn again(left: u32, registry: &Registry) {
            put(registry, &alone("theirs"));
            if left > 1 {
                let next = registry.operations.load(Ordering::SeqCst) + 1;
                *registry.meanwhile.lock().unwrap() = Some((next, Box::new(move |registry| again(left - 1, registry))));
            }
        }
        *registry.meanwhile.lock().unwrap() = Some((2, Box::new(|registry| again(ROUNDS - 1, registry))));
        assert_eq!(bring(&registry, "ours"), 0);
        assert_eq!(shown(&registry), digests(&["ours", "theirs"]));
    }
}
