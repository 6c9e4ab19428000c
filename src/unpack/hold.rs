//! Holds: what has arrived before its images are whole must not be collected as garbage meanwhile.
//!
//! Registries free blobs no manifest names after 1 to 24 hours, media may come days apart. Per repository an artifact
//! (OCI image manifest with an empty configuration, OCI image specification, "Guidelines for Artifact Usage") names
//! them. It is replaced as images become whole and removed with the last of them.

use super::board::{Phase, State};
use super::parallel::ask_all;
use super::run::Run;
use super::target::{PutAs, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::oci::{Descriptor, media};
use crate::progress::Level;
use crate::text::shown;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Read};

const ARTIFACT: &str = "application/vnd.sealift.hold.v1";
const EMPTY: &[u8] = b"{}";
/// Layers of one hold: about 1.4 MB of manifest, within the 4 MiB registries take.
const LAYERS: usize = 10_000;
/// A registry that lets no tag be moved gets numbered ones; nobody needs more.
const NUMBERS: u32 = 100;

/// One repository and what it has that no pushed image names.
struct Repository {
    place: String,
    loose: Vec<Descriptor>,
    open: bool,
}

impl Run<'_> {
    /// At the end: every repository is held or released. Returns the tags that hold something.
    pub(super) fn hold_or_release(&self) -> Vec<String> {
        if !self.setting.target.collects_garbage() {
            return Vec::new();
        }
        if self.setting.progress.cancelled() {
            self.setting.progress.say(Level::Info, "stopping: what has arrived is held at the target; Ctrl-C once more ends at once");
        }
        self.setting.target.finishing();
        self.hold_all(&self.repositories(), true)
    }

    /// After a volume, when much has been uploaded since the last time: what is loose is held, nothing is released yet.
    pub(super) fn checkpoint(&self) {
        if !self.setting.target.collects_garbage() || self.board.failed() || !self.is_due() {
            return;
        }
        let loose: Vec<Repository> = self.repositories().into_iter().filter(|r| !r.loose.is_empty()).collect();
        self.hold_all(&loose, false);
    }

    fn is_due(&self) -> bool {
        self.board.change(|state| {
            let due = state.counts.bytes.saturating_sub(state.held_at) >= self.setting.options.hold_every;
            if due {
                state.held_at = state.counts.bytes;
            }
            due
        })
    }

    /// A registry that will not hold is worth a warning, no more: the next run finds out what was lost. One repository's
    /// refusal says nothing about the others; a registry that is gone or out of order is not asked again.
    fn hold_all(&self, repositories: &[Repository], release: bool) -> Vec<String> {
        let answers = ask_all(self.setting.options.probes, repositories, |repository| match self.hold(repository, release) {
            Err(error) if error.trouble.ends_run() || error.trouble == TargetTrouble::Failing => Err((repository.place.clone(), error)),
            other => Ok(other.map_err(|error| (repository.place.clone(), error))),
        });
        let (answers, gone) = match answers {
            Ok(answers) => (answers, None),
            Err(gone) => (Vec::new(), Some(gone)),
        };
        let (mut tags, mut failures) = (Vec::new(), Vec::from_iter(gone));
        for answer in answers {
            match answer {
                Ok(held) => tags.extend(held),
                Err(failure) => failures.push(failure),
            }
        }
        if let Some((place, error)) = failures.first() {
            let others = failures.len() - 1;
            let (place, error) = (shown(place), error.to_string());
            self.warn(format!("what has arrived early is not held in {place} (and {others} more): {}", shown(&error)));
        }
        tags
    }

    fn repositories(&self) -> Vec<Repository> {
        let state = self.board.state();
        let describe = |at: usize, place: &String| {
            let mut loose = BTreeSet::new();
            let mut named = BTreeSet::new();
            let mut open = false;
            for image in state.images.iter().filter(|i| i.repo == at) {
                match image.phase {
                    Phase::Done(_) => named.extend(image.tree.blobs.iter().copied()),
                    _ => {
                        open = true;
                        loose.extend(present(&state, at, &image.tree.blobs));
                    }
                }
            }
            let loose = loose.difference(&named).filter_map(|b| self.catalog.contents.blobs.get(*b)).map(|b| b.descriptor()).collect();
            Repository { place: place.clone(), loose, open }
        };
        state.repos.iter().enumerate().map(|(at, repo)| describe(at, &repo.place)).collect()
    }

    fn hold(&self, repository: &Repository, release: bool) -> Result<Vec<String>, TargetError> {
        let mut number = 0;
        let mut tags = Vec::new();
        for layers in repository.loose.chunks(LAYERS) {
            number = match self.put_hold(&repository.place, layers, number) {
                // What was collected in the meantime cannot be held; the rest can.
                Err(error) if error.trouble == TargetTrouble::BlobUnknown => {
                    let left = self.still_there(&repository.place, layers)?;
                    self.put_hold(&repository.place, &left, number)?
                }
                other => other?,
            };
            tags.push(format!("{}:{}", repository.place, self.hold_tag(number)));
        }
        if release && (!repository.open || !repository.loose.is_empty()) {
            self.release(&repository.place, number)?;
        }
        Ok(tags)
    }

    fn still_there(&self, place: &str, layers: &[Descriptor]) -> Result<Vec<Descriptor>, TargetError> {
        let mut left = Vec::new();
        for layer in layers {
            if self.setting.target.has_blob(place, layer)? {
                left.push(layer.clone());
            }
        }
        Ok(left)
    }

    /// Puts one hold under the first number after `number` that takes it.
    fn put_hold(&self, place: &str, layers: &[Descriptor], number: u32) -> Result<u32, TargetError> {
        let target = self.setting.target;
        let manifest = manifest(layers);
        let digest = Digest::sha256(&manifest);
        self.put_empty(place)?;
        for n in number + 1..=number + NUMBERS {
            let tag = self.hold_tag(n);
            let before = target.tag(place, &tag)?;
            if before == Some(digest) {
                return Ok(n);
            }
            match target.put_manifest(place, PutAs::Tag(&tag), media::OCI_MANIFEST, &manifest) {
                Ok(()) => {
                    // Without its tag the old one would keep its blobs from being collected for ever, and nobody would see it.
                    if let Some(before) = before {
                        self.can_delete(place, &tag, &before)?;
                    }
                    return Ok(n);
                }
                Err(error) if error.trouble == TargetTrouble::ImmutableTag => {}
                Err(error) => return Err(error),
            }
        }
        Err(TargetError::new(TargetTrouble::ImmutableTag, "every hold tag is taken and may not be moved"))
    }

    /// The empty configuration every hold names.
    fn put_empty(&self, place: &str) -> Result<(), TargetError> {
        let empty = Descriptor::new(media::OCI_EMPTY, Digest::sha256(EMPTY), EMPTY.len() as u64);
        if self.setting.target.has_blob(place, &empty)? {
            return Ok(());
        }
        self.setting.target.put_blob(place, &empty, &mut || Ok(Box::new(io::Cursor::new(EMPTY)) as Box<dyn Read + Send>))
    }

    /// Removes the holds above `keep`, the highest first: what is cut short in between is found again.
    fn release(&self, place: &str, keep: u32) -> Result<(), TargetError> {
        let target = self.setting.target;
        let mut old = Vec::new();
        for n in keep + 1..=keep + NUMBERS {
            let tag = self.hold_tag(n);
            match target.tag(place, &tag)? {
                Some(digest) => old.push((tag, digest)),
                None => break,
            }
        }
        let nothing = manifest(&[]);
        for (tag, digest) in old.iter().rev() {
            let empty_already = *digest == Digest::sha256(&nothing);
            if !empty_already && !self.can_delete(place, tag, digest)? && !self.overwrite(place, tag, &nothing)? {
                self.warn(format!("{}:{tag} cannot be removed; it may be removed by hand", shown(place)));
            }
        }
        Ok(())
    }

    fn can_delete(&self, place: &str, tag: &str, digest: &Digest) -> Result<bool, TargetError> {
        match self.setting.target.delete_tag(place, tag, digest) {
            // A robot account without the right to delete is told so: as good as a registry that cannot.
            Err(error) if matches!(error.trouble, TargetTrouble::Refused | TargetTrouble::Login | TargetTrouble::Closed) => Ok(false),
            other => other,
        }
    }

    fn overwrite(&self, place: &str, tag: &str, manifest: &[u8]) -> Result<bool, TargetError> {
        match self.setting.target.put_manifest(place, PutAs::Tag(tag), media::OCI_MANIFEST, manifest) {
            Ok(()) => Ok(true),
            Err(error) if error.trouble.ends_run() => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn hold_tag(&self, number: u32) -> String {
        let short: String = self.set.identity.hex().chars().take(8).collect();
        format!("sealift-hold-{short}-{number}")
    }
}

fn present<'s>(state: &'s State, repo: usize, blobs: &'s BTreeSet<usize>) -> impl Iterator<Item = usize> + 's {
    let there = state.repos.get(repo).map(|r| &r.blobs);
    blobs.iter().copied().filter(move |b| there.is_some_and(|t| t.contains(b)))
}

fn manifest(layers: &[Descriptor]) -> Vec<u8> {
    let descriptor = |d: &Descriptor| json!({"mediaType": d.media_type, "digest": d.digest, "size": d.size});
    let document = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": {"mediaType": media::OCI_EMPTY, "digest": Digest::sha256(EMPTY), "size": EMPTY.len(), "data": "e30="},
        "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
    });
    document.to_string().into_bytes()
}
