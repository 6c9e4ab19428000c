//! Holds: what has arrived before its images are whole must not be collected as garbage meanwhile.
//!
//! Registries free blobs no manifest names after 1 to 24 hours, media may come days apart. Per repository an artifact
//! (OCI image manifest with an empty configuration, OCI image specification, "Guidelines for Artifact Usage") names
//! them. It is replaced as images become whole and removed with the last of them.
//!
//! Several hosts may unpack volumes of one set into one registry at a time, and a run may want only some of the images. So what is
//! held already stays held until an image that is whole names it, whoever put the hold. Registries have no "replace only if": who
//! finds that another host wrote meanwhile begins again.

use super::board::{Phase, State};
use super::parallel::ask_all;
use super::run::Run;
use super::target::{PutAs, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::oci::{Descriptor, Manifest, media};
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
/// How often a hold is begun again because another host wrote one meanwhile.
const ATTEMPTS: usize = 8;

/// One repository and what it has that no pushed image names.
struct Repository {
    place: String,
    loose: Vec<Descriptor>,
    /// Named by images that are whole.
    named: BTreeSet<Digest>,
    open: bool,
}

/// The holds of a set that a repository has.
#[derive(Default)]
struct Known {
    holds: BTreeSet<Digest>,
    layers: BTreeSet<Digest>,
}

/// How putting a hold ended.
enum Put {
    /// It is there, under this number.
    Done(u32),
    /// A hold is in its place that was not known.
    Overtaken,
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
            let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            self.warn(format!("what has arrived early is not held in {place}{more}: {}", shown(&error)));
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
            let blobs = &self.catalog.contents.blobs;
            let loose = loose.difference(&named).filter_map(|b| blobs.get(*b)).map(|b| b.descriptor()).collect();
            let named = named.iter().filter_map(|b| blobs.get(*b)).map(|b| b.digest).collect();
            Repository { place: place.clone(), loose, named, open }
        };
        state.repos.iter().enumerate().map(|(at, repo)| describe(at, &repo.place)).collect()
    }

    fn hold(&self, repository: &Repository, release: bool) -> Result<Vec<String>, TargetError> {
        for _ in 1..ATTEMPTS {
            let known = self.known(&repository.place)?;
            if let Some(tags) = self.hold_with(repository, Some(&known), release)? {
                return Ok(tags);
            }
        }
        Ok(self.hold_with(repository, None, release)?.unwrap_or_default())
    }

    /// Holds what is loose and what `known` holds; nothing when another host was in between. Without `known` nobody is looked at.
    fn hold_with(&self, repository: &Repository, known: Option<&Known>, release: bool) -> Result<Option<Vec<String>>, TargetError> {
        let mut loose = repository.loose.clone();
        let ours: BTreeSet<Digest> = loose.iter().map(|l| l.digest).chain(repository.named.iter().copied()).collect();
        let theirs = known.map_or(BTreeSet::new(), |known| known.layers.difference(&ours).copied().collect());
        loose.extend(self.catalog.contents.blobs.iter().filter(|b| theirs.contains(&b.digest)).map(|b| b.descriptor()));
        loose.sort_by_key(|layer| layer.digest);
        let mut number = 0;
        let mut tags = Vec::new();
        for layers in loose.chunks(LAYERS) {
            let put = match self.put_hold(&repository.place, layers, number, known) {
                // What was collected in the meantime cannot be held; the rest can.
                Err(error) if error.trouble == TargetTrouble::BlobUnknown => {
                    let left = self.still_there(&repository.place, layers)?;
                    self.put_hold(&repository.place, &left, number, known)?
                }
                other => other?,
            };
            let Put::Done(n) = put else { return Ok(None) };
            number = n;
            tags.push(format!("{}:{}", repository.place, self.hold_tag(number)));
        }
        let nothing_old = known.is_some_and(|known| known.holds.is_empty());
        if release && !nothing_old && (!repository.open || !loose.is_empty()) {
            self.release(&repository.place, number, known)?;
        }
        Ok(Some(tags))
    }

    /// The holds of this set in a repository. One that cannot be read back holds nothing that could be kept.
    fn known(&self, place: &str) -> Result<Known, TargetError> {
        let target = self.setting.target;
        let mut known = Known::default();
        for n in 1..=NUMBERS {
            let Some(digest) = target.tag(place, &self.hold_tag(n))? else { break };
            known.holds.insert(digest);
            let bytes = match target.manifest(place, &digest) {
                Err(error) if error.trouble.ends_run() => return Err(error),
                answer => answer.ok().flatten(),
            };
            let manifest = bytes.and_then(|bytes| Manifest::parse(&bytes, None).ok());
            // Not the configuration, which every hold names.
            let layers = manifest.iter().flat_map(Manifest::blobs).map(|layer| layer.digest);
            known.layers.extend(layers.filter(|digest| *digest != Digest::sha256(EMPTY)));
        }
        Ok(known)
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

    /// Puts one hold under the first number after `number` that takes it, unless one is there that is not `known`.
    fn put_hold(&self, place: &str, layers: &[Descriptor], number: u32, known: Option<&Known>) -> Result<Put, TargetError> {
        let target = self.setting.target;
        let manifest = manifest(layers);
        let digest = Digest::sha256(&manifest);
        self.put_empty(place)?;
        for n in number + 1..=number + NUMBERS {
            let tag = self.hold_tag(n);
            let before = target.tag(place, &tag)?;
            if before == Some(digest) {
                return Ok(Put::Done(n));
            }
            if known.is_some_and(|known| before.is_some_and(|before| !known.holds.contains(&before))) {
                return Ok(Put::Overtaken);
            }
            match target.put_manifest(place, PutAs::Tag(&tag), media::OCI_MANIFEST, &manifest) {
                Ok(()) if known.is_some() && target.tag(place, &tag)? != Some(digest) => {
                    // Another host put its own over it at once; begun again, this one joins it.
                    self.can_delete(place, &tag, &digest)?;
                    return Ok(Put::Overtaken);
                }
                Ok(()) => {
                    // Without its tag the old one would keep its blobs from being collected for ever, and nobody would see it.
                    if let Some(before) = before {
                        self.can_delete(place, &tag, &before)?;
                    }
                    return Ok(Put::Done(n));
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

    /// Removes the holds above `keep`, the highest first: what is cut short in between is found again. One that is not `known` is
    /// another host's, and stays for its next run.
    fn release(&self, place: &str, keep: u32, known: Option<&Known>) -> Result<(), TargetError> {
        let target = self.setting.target;
        let mut old = Vec::new();
        for n in keep + 1..=keep + NUMBERS {
            let tag = self.hold_tag(n);
            match target.tag(place, &tag)? {
                Some(digest) if known.is_some_and(|known| !known.holds.contains(&digest)) => {}
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
