//! Removing what no image reaches.

use super::{Error, Layout};
use crate::digest::{Algorithm, Digest};
use crate::fs::{Dir, INCOMPLETE};
use crate::limits;
use crate::oci::{Descriptor, Manifest};
use std::collections::HashSet;

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs and unfinished files removed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
    /// Entries without a name that were taken off the list: what they are attached to is gone.
    pub entries: u64,
}

/// What stays.
#[derive(Default)]
struct Reached {
    all: HashSet<Digest>,
    /// Those that were looked into. One image may have as a layer what is the manifest of another one.
    entered: HashSet<Digest>,
}

impl Reached {
    /// Notes a manifest; true when it was not looked into yet.
    fn enters(&mut self, digest: &Digest) -> bool {
        self.all.insert(*digest);
        self.entered.insert(*digest)
    }

    /// Notes a manifest's blobs and gives the manifests to be looked into.
    fn note<'a>(&mut self, manifest: &'a Manifest) -> impl Iterator<Item = Descriptor> + use<'a> {
        self.all.extend(manifest.blobs().map(|blob| blob.digest));
        manifest.children().iter().cloned()
    }
}

impl Layout {
    /// Removes blobs that no image of `index.json` reaches and that were written before `older_than` (seconds since 1970): what
    /// is younger may belong to an image that is just being pushed, and so may what a younger manifest refers to. An entry without a
    /// name that is attached to something (`subject`) lives as long as that does. The list is held meanwhile, so that nobody lists an image whose blobs go.
    ///
    /// # Errors
    /// A listed manifest that cannot be read or understood: what it reaches is not known, so nothing is removed.
    pub fn collect_garbage(&self, older_than: u64) -> Result<Collected, Error> {
        let held = self.hold()?;
        let mut reached = Reached::default();
        let mut attached: Vec<(Descriptor, Descriptor)> = Vec::new();
        for image in self.images()? {
            match self.subject_of(&image.descriptor)? {
                Some(subject) if image.name.is_none() => attached.push((image.descriptor, subject)),
                _ => self.reach(image.descriptor, &mut reached)?,
            }
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            self.reach_from_young(algorithm, older_than, &mut reached)?;
        }
        // What is attached to what is attached: each round finds at least one more, or is the last.
        loop {
            let (now, later): (Vec<_>, Vec<_>) = attached.into_iter().partition(|(_, subject)| reached.all.contains(&subject.digest));
            attached = later;
            if now.is_empty() {
                break;
            }
            for (image, _) in now {
                self.reach(image, &mut reached)?;
            }
        }
        let mut collected = Collected::default();
        let mut gone = HashSet::new();
        for (image, _) in attached {
            if self.is_younger(&image.digest, older_than)? {
                self.reach(image, &mut reached)?;
            } else {
                gone.insert(image.digest);
            }
        }
        collected.entries = held.remove(|name, digest| name.is_none() && gone.contains(digest))? as u64;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            if let Some(dir) = self.folder(algorithm)? {
                sweep(&dir, algorithm, &reached.all, older_than, &mut collected)?;
            }
        }
        Ok(collected)
    }

    fn subject_of(&self, image: &Descriptor) -> Result<Option<Descriptor>, Error> {
        Ok(self.parsed(image)?.and_then(|manifest| manifest.subject))
    }

    /// A manifest that is here; `None` for one that is not.
    fn parsed(&self, at: &Descriptor) -> Result<Option<Manifest>, Error> {
        let bytes = match self.manifest(&at.digest) {
            Err(Error::NoBlob { .. }) => return Ok(None),
            other => other?,
        };
        let content_type = (!at.media_type.is_empty()).then_some(at.media_type.as_str());
        let manifest = Manifest::parse_any_digest(&bytes, content_type);
        manifest.map(Some).map_err(|error| Error::Manifest { digest: at.digest, error })
    }

    /// Notes everything below `root`. Each manifest is read once, so that the work is bounded by what is stored.
    fn reach(&self, root: Descriptor, reached: &mut Reached) -> Result<(), Error> {
        let mut pending = vec![root];
        while let Some(at) = pending.pop() {
            if !reached.enters(&at.digest) {
                continue;
            }
            if let Some(manifest) = self.parsed(&at)? {
                pending.extend(reached.note(&manifest));
            }
        }
        Ok(())
    }

    /// Notes what is younger and not listed, and everything below it: a push that takes long stores the manifest of one platform hours
    /// after its layers, and hours before the index that is listed. Among them may be what only looks like a manifest: it reaches
    /// what it names, and is no reason to end.
    fn reach_from_young(&self, algorithm: Algorithm, older_than: u64, reached: &mut Reached) -> Result<(), Error> {
        let Some(dir) = self.folder(algorithm)? else { return Ok(()) };
        let mut pending = Vec::new();
        for entry in dir.list()?.into_iter().filter(|entry| entry.regular && entry.size <= limits::MANIFEST_BYTES) {
            let Ok(digest) = format!("{}:{}", algorithm.name(), entry.name).parse::<Digest>() else { continue };
            // What a listed image has is not read again: these are the layers and configurations of all that came today.
            if !reached.all.contains(&digest) && self.is_younger(&digest, older_than)? {
                pending.push(digest);
            }
        }
        while let Some(at) = pending.pop() {
            if !reached.enters(&at) {
                continue;
            }
            let bytes = match self.manifest(&at) {
                Err(Error::Fs(e)) => return Err(e.into()),
                other => other.unwrap_or_default(),
            };
            if let Ok(manifest) = Manifest::parse_any_digest(&bytes, None) {
                pending.extend(reached.note(&manifest).map(|child| child.digest));
            }
        }
        Ok(())
    }

    fn is_younger(&self, digest: &Digest, than: u64) -> Result<bool, Error> {
        let stamp = match self.folder(digest.algorithm())? {
            Some(dir) => dir.stamp(&digest.hex())?,
            None => None,
        };
        Ok(stamp.is_some_and(|stamp| stamp.modified >= than))
    }
}

fn sweep(dir: &Dir, algorithm: Algorithm, reached: &HashSet<Digest>, older_than: u64, collected: &mut Collected) -> Result<(), Error> {
    for entry in dir.list()?.into_iter().filter(|entry| entry.regular) {
        let hex = entry.name.strip_suffix(INCOMPLETE).unwrap_or(&entry.name);
        // What is not called as a blob is somebody else's.
        let Ok(digest) = format!("{}:{hex}", algorithm.name()).parse::<Digest>() else { continue };
        let whole = hex == entry.name;
        let old = dir.stamp(&entry.name)?.is_some_and(|stamp| stamp.modified < older_than);
        if (whole && reached.contains(&digest)) || !old {
            collected.kept += u64::from(whole);
            continue;
        }
        dir.remove(&entry.name)?;
        collected.files += 1;
        collected.bytes += entry.size;
    }
    Ok(())
}
