//! Holds: what has arrived before its images are whole must not be collected as garbage meanwhile.
//!
//! Registries free blobs no manifest names after 1 to 24 hours, media may come days apart. Per repository an artifact
//! (OCI image manifest with an empty configuration, OCI image specification, "Guidelines for Artifact Usage") names
//! them. It is replaced as images become whole and removed with the last of them.
//!
//! Several hosts may unpack volumes of one set into one registry at a time, and registries have no "replace only if". So each host
//! has tags of its own, and says in its holds whose they are: nobody writes over another's, and what is released is exactly what
//! was put. A hold is kept until its own host releases it, or all that it names is named by images that are whole: then whoever
//! has pushed there removes it, so that a host that never comes back leaves nothing for ever.

use super::board::{Phase, State};
use super::parallel::ask_all;
use super::run::Run;
use super::target::{PutAs, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::oci::referrers::Attached;
use crate::oci::{Descriptor, Manifest, media};
use crate::progress::Level;
use crate::text::shown;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{self, Read};

const ARTIFACT: &str = "application/vnd.sealift.hold.v1";
/// The annotation that says whose hold it is. With it no two hosts' holds have one digest, which would make them one to delete.
const HOST: &str = "vnd.sealift.hold.host";
/// The annotation that names the set.
const SET: &str = "vnd.sealift.hold.set";
const EMPTY: &[u8] = b"{}";
/// Layers of one hold: about 1.4 MB of manifest, within the 4 MiB registries take.
const LAYERS: usize = 10_000;
/// A registry that lets no tag be moved gets numbered ones; nobody needs more.
const NUMBERS: u32 = 100;
/// Holds that are looked at in one repository.
const SWEPT: usize = 1000;

/// One repository and what it has that no pushed image names.
struct Repository {
    place: String,
    loose: Vec<Descriptor>,
    /// Named by images that are whole.
    named: BTreeSet<Digest>,
    open: bool,
    /// An image of it was pushed in this run.
    pushed: bool,
}

/// The holds of this host and this set that a repository has.
#[derive(Default)]
struct Own {
    /// By number.
    holds: Vec<(u32, Digest)>,
    layers: BTreeSet<Digest>,
}

impl Own {
    fn has(&self, digest: &Digest) -> bool {
        self.holds.iter().any(|(_, own)| own == digest)
    }
}

/// What a hold says.
struct Said {
    host: Option<String>,
    layers: Vec<Digest>,
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
        let (tags, all_well) = self.hold_all(&self.repositories(), true);
        if all_well && tags.is_empty() {
            // Left behind, it costs the next run a question per repository, no more.
            let _ = self.setting.spool.forget_holds();
        }
        tags
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
    /// Returns the tags that hold something, and whether all repositories were dealt with.
    fn hold_all(&self, repositories: &[Repository], release: bool) -> (Vec<String>, bool) {
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
        let all_well = failures.is_empty();
        if let Some((place, error)) = failures.first() {
            let others = failures.len() - 1;
            let (place, error) = (shown(place), error.to_string());
            let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
            self.warn(format!("what has arrived early is not held in {place}{more}: {}", shown(&error)));
        }
        (tags, all_well)
    }

    fn repositories(&self) -> Vec<Repository> {
        let state = self.board.state();
        let describe = |at: usize, place: &String| {
            let mut loose = BTreeSet::new();
            let mut named = BTreeSet::new();
            let (mut open, mut pushed) = (false, false);
            for image in state.images.iter().filter(|i| i.repo == at) {
                pushed |= image.pushed;
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
            Repository { place: place.clone(), loose, named, open, pushed }
        };
        state.repos.iter().enumerate().map(|(at, repo)| describe(at, &repo.place)).collect()
    }

    /// Holds what is loose and what this host held before, and no image that is whole names.
    fn hold(&self, repository: &Repository, release: bool) -> Result<Vec<String>, TargetError> {
        let place = &repository.place;
        let own = if self.may_hold() { self.own(place)? } else { Own::default() };
        let mut loose = repository.loose.clone();
        let known: BTreeSet<Digest> = loose.iter().map(|l| l.digest).chain(repository.named.iter().copied()).collect();
        let earlier: BTreeSet<Digest> = own.layers.difference(&known).copied().collect();
        loose.extend(self.catalog.contents.blobs.iter().filter(|b| earlier.contains(&b.digest)).map(|b| b.descriptor()));
        loose.sort_by_key(|layer| layer.digest);
        let mut number = 0;
        let mut tags = Vec::new();
        for layers in loose.chunks(LAYERS) {
            number = match self.put_hold(place, layers, number, &own) {
                // What was collected in the meantime cannot be held; the rest can.
                Err(error) if error.trouble == TargetTrouble::BlobUnknown => {
                    let left = self.still_there(place, layers)?;
                    self.put_hold(place, &left, number, &own)?
                }
                other => other?,
            };
            tags.push(format!("{place}:{}", self.hold_tag(number)));
        }
        if release && (!repository.open || !loose.is_empty()) {
            self.release(place, number, &own)?;
        }
        if release && repository.pushed {
            self.sweep(place, &repository.named)?;
        }
        Ok(tags)
    }

    /// Whether this host may have put holds: asked of its own notes, not of every repository. Notes that cannot be read say nothing.
    fn may_hold(&self) -> bool {
        self.setting.spool.may_hold().unwrap_or(true)
    }

    /// The holds under this host's tags. What lies there and is not its own, or cannot be read back, is left alone.
    fn own(&self, place: &str) -> Result<Own, TargetError> {
        let mut own = Own::default();
        for n in 1..=NUMBERS {
            let Some(digest) = self.setting.target.tag(place, &self.hold_tag(n))? else { break };
            let said = self.read_hold(place, &digest)?.filter(|said| said.host.as_deref() == Some(self.host()));
            if let Some(said) = said {
                own.holds.push((n, digest));
                own.layers.extend(said.layers);
            }
        }
        Ok(own)
    }

    /// What a hold says; nothing when it is none, or cannot be read.
    fn read_hold(&self, place: &str, digest: &Digest) -> Result<Option<Said>, TargetError> {
        let bytes = match self.setting.target.manifest(place, digest) {
            Err(error) if error.trouble.ends_run() => return Err(error),
            answer => answer.ok().flatten(),
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let mut attached = Attached::parse(&bytes);
        let Some(manifest) = Manifest::parse(&bytes, None).ok().filter(|_| attached.artifact_type == ARTIFACT) else { return Ok(None) };
        // Not the configuration, which every hold names.
        let layers = manifest.blobs().map(|layer| layer.digest).filter(|digest| *digest != Digest::sha256(EMPTY)).collect();
        Ok(Some(Said { host: attached.annotations.remove(HOST), layers }))
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

    /// Puts one hold under the first number after `number` that is free or this host's own, and may be written.
    fn put_hold(&self, place: &str, layers: &[Descriptor], number: u32, own: &Own) -> Result<u32, TargetError> {
        let target = self.setting.target;
        let manifest = self.manifest(layers);
        let digest = Digest::sha256(&manifest);
        self.put_empty(place)?;
        if let Err(error) = self.setting.spool.note_holds() {
            self.warn(format!("that something is held at the target cannot be written down here: {}", shown(&error.to_string())));
        }
        for n in number + 1..=number + NUMBERS {
            let tag = self.hold_tag(n);
            let before = target.tag(place, &tag)?;
            if before == Some(digest) {
                return Ok(n);
            }
            if before.is_some_and(|before| !own.has(&before)) {
                continue;
            }
            match target.put_manifest(place, PutAs::Tag(&tag), media::OCI_MANIFEST, &manifest) {
                Ok(()) => match target.tag(place, &tag)? {
                    // A copy of this host's state folder is at work as well, and was a moment later: it has the tag.
                    Some(after) if after != digest && before != Some(after) => {
                        self.can_delete(place, &tag, &digest)?;
                    }
                    _ => {
                        // Without its tag the old one would keep its blobs from being collected for ever, and nobody would see it.
                        if let Some(before) = before {
                            self.can_delete(place, &tag, &before)?;
                        }
                        return Ok(n);
                    }
                },
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

    /// Removes this host's holds above `keep`, the highest first: what is cut short in between is found again. A tag that names
    /// something else by now is no longer what this host put there, and stays.
    fn release(&self, place: &str, keep: u32, own: &Own) -> Result<(), TargetError> {
        let nothing = self.manifest(&[]);
        for (n, digest) in own.holds.iter().rev().filter(|(n, _)| *n > keep) {
            let tag = self.hold_tag(*n);
            if *digest == Digest::sha256(&nothing) || self.setting.target.tag(place, &tag)? != Some(*digest) {
                continue;
            }
            if !self.can_delete(place, &tag, digest)? && !self.overwrite(place, &tag, &nothing)? {
                self.warn(format!("{}:{tag} cannot be removed; it may be removed by hand", shown(place)));
            }
        }
        Ok(())
    }

    /// Removes holds of this set that name nothing but what whole images name: left behind by hosts that will not come again or have
    /// lost their notes, or about to be removed anyway. By digest, so that what is put in their place meanwhile stays. A registry that lists
    /// no tags, or deletes nothing, keeps them.
    fn sweep(&self, place: &str, named: &BTreeSet<Digest>) -> Result<(), TargetError> {
        let target = self.setting.target;
        let tags = match target.tags(place) {
            Err(error) if error.trouble.ends_run() => return Err(error),
            answer => answer.unwrap_or_default(),
        };
        let all = self.holds_of_set();
        for tag in tags.iter().filter(|tag| tag.starts_with(&all)).take(SWEPT) {
            let Some(digest) = target.tag(place, tag)? else { continue };
            let said = self.read_hold(place, &digest)?;
            if said.is_some_and(|said| said.layers.iter().all(|layer| named.contains(layer))) {
                self.can_delete(place, tag, &digest)?;
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
        format!("{}{}-{number}", self.holds_of_set(), self.host())
    }

    /// What the tags of all holds of this set begin with, whoever put them.
    fn holds_of_set(&self) -> String {
        format!("sealift-hold-{}-", self.set.identity.hex().chars().take(8).collect::<String>())
    }

    fn host(&self) -> &str {
        match self.setting.options.host.as_str() {
            "" => "0",
            host => host,
        }
    }

    fn manifest(&self, layers: &[Descriptor]) -> Vec<u8> {
        let descriptor = |d: &Descriptor| json!({"mediaType": d.media_type, "digest": d.digest, "size": d.size});
        let document = json!({
            "schemaVersion": 2,
            "mediaType": media::OCI_MANIFEST,
            "artifactType": ARTIFACT,
            "config": {"mediaType": media::OCI_EMPTY, "digest": Digest::sha256(EMPTY), "size": EMPTY.len(), "data": "e30="},
            "layers": layers.iter().map(descriptor).collect::<Vec<_>>(),
            "annotations": {HOST: self.host(), SET: self.set.identity},
        });
        document.to_string().into_bytes()
    }
}

fn present<'s>(state: &'s State, repo: usize, blobs: &'s BTreeSet<usize>) -> impl Iterator<Item = usize> + 's {
    let there = state.repos.get(repo).map(|r| &r.blobs);
    blobs.iter().copied().filter(move |b| there.is_some_and(|t| t.contains(b)))
}
