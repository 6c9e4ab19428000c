//! An OCI layout as a registry.

use super::attached::Known;
use super::deleted::{Deleted, OURS};
use super::error::Error;
use super::names::{Names, Remembered};
use super::store::{Content, Manifest, Reference, Store, StoreError, Writer};
use super::uploads::{SESSION_SECONDS, Uploads};
use crate::digest::Digest;
use crate::fs::{Dir, Lock, Trouble};
use crate::layout::{self, Layout};
use crate::oci::{self, Descriptor};
use serde_json::Value;
use std::collections::HashSet;
use std::io::{Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// The file in [`OURS`] that the registry which takes pushes holds. It is never removed; the system lets go of it with the process.
const LOCK: &str = "lock";

/// A layout served as a registry.
///
/// Tags are the entries of `index.json` that are called `repository:tag`, as `sealift unpack` writes them. Everything stored can be
/// pulled by digest under any repository name, but where it was deleted.
pub struct LayoutStore {
    pub(super) layout: Layout,
    pub(super) names: Remembered,
    pub(super) deleted: Deleted,
    /// `None` when the layout is only read.
    pub(super) uploads: Option<Uploads>,
    /// Whether indexes may have members that are not here.
    pub(super) sparse: bool,
    pub(super) attached: Known,
    /// Keeps every other writing registry away while this one lives.
    _alone: Option<Lock>,
}

impl LayoutStore {
    /// Serves a layout, making it where there is none, and takes pushes into it, as the only registry that does. Removed are upload
    /// sessions that nobody has touched for a week before `now` (seconds since 1970), and those that nobody can come back for.
    ///
    /// # Errors
    /// Another registry that takes pushes into this layout; those of the layout.
    pub fn open(path: &Path, sparse: bool, now: u64) -> Result<LayoutStore, Error> {
        let layout = Layout::create(path).map_err(StoreError::from)?;
        let root = Dir::open(path)?;
        let ours = root.make_sub(OURS)?;
        let alone = ours.lock(LOCK).map_err(|e| match e.trouble() {
            Trouble::InUse => Error::TakesPushes(path.to_owned()),
            _ => Error::Fs(e),
        })?;
        // What every push holds in the end: it may lie on another file system than the lock.
        root.open_partial("oci-layout")?;
        let uploads = Uploads::new(ours.make_sub("uploads")?);
        uploads.forget_single()?;
        let store = LayoutStore { uploads: Some(uploads), _alone: Some(alone), ..LayoutStore::of(layout, root, sparse) };
        store.expire_uploads(now)?;
        Ok(store)
    }

    /// Serves an existing layout and writes nothing, not even a lock: for replicas over one shared folder, and read-only media.
    ///
    /// # Errors
    /// Those of the layout.
    pub fn open_read_only(path: &Path) -> Result<LayoutStore, StoreError> {
        Ok(LayoutStore::of(Layout::open(path)?, Dir::open(path)?, false))
    }

    fn of(layout: Layout, root: Dir, sparse: bool) -> LayoutStore {
        let (names, deleted) = (Remembered::default(), Deleted::new(root));
        LayoutStore { layout, names, deleted, uploads: None, sparse, attached: Known::default(), _alone: None }
    }

    /// Removes upload sessions nobody has written to for a week; gives how many there were.
    ///
    /// # Errors
    /// Those of the folder they lie in.
    pub fn expire_uploads(&self, now: u64) -> Result<usize, StoreError> {
        match &self.uploads {
            Some(uploads) => Ok(uploads.expire(now.saturating_sub(SESSION_SECONDS))?),
            None => Ok(0),
        }
    }

    /// Forgets which blobs were deleted that a collection has removed since; gives how many. Without this the list of deletions, which
    /// is read and written whole, would grow for ever.
    ///
    /// # Errors
    /// Those of the layout.
    pub fn forget_removed(path: &Path) -> Result<usize, StoreError> {
        let store = LayoutStore::open_read_only(path)?;
        let _held = store.layout.hold()?;
        store.deleted.forget(|digest| Ok(store.layout.size(digest)?.is_some()))
    }

    /// How many images have a name that gives no repository: they can be pulled by digest only.
    ///
    /// # Errors
    /// Those of the layout.
    pub fn nameless(&self) -> Result<usize, StoreError> {
        Ok(self.names()?.nameless)
    }

    pub(super) fn names(&self) -> Result<Arc<Names>, StoreError> {
        Ok(self.names.of(&self.layout)?)
    }

    /// Size of what is stored and visible in this repository.
    pub(super) fn visible(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let Some(size) = self.layout.size(digest)? else { return Ok(None) };
        // A later image of this repository may need what was deleted from it: then it is there again.
        let hidden = self.deleted.has(repository, digest)? && self.needed_by(repository, digest, false)?.is_none();
        Ok((!hidden).then_some(size))
    }

    /// A tag of the repository whose image reaches the digest; with `below`, from above: not one that is the digest itself.
    pub(super) fn needed_by(&self, repository: &str, digest: &Digest, below: bool) -> Result<Option<String>, StoreError> {
        let names = self.names()?;
        let Some(tags) = names.tags.get(repository) else { return Ok(None) };
        for (tag, root) in tags {
            if !(below && root.digest == *digest) && self.reaches(root, digest) {
                return Ok(Some(format!("{repository}:{tag}")));
            }
        }
        Ok(None)
    }

    /// Whether an image reaches a digest; what cannot be read reaches nothing.
    fn reaches(&self, root: &Descriptor, wanted: &Digest) -> bool {
        let mut seen = HashSet::new();
        let mut pending = vec![root.digest];
        while let Some(at) = pending.pop() {
            if at == *wanted {
                return true;
            }
            let manifest = self.layout.manifest(&at).ok().and_then(|bytes| oci::Manifest::parse_any_digest(&bytes, None).ok());
            let Some(manifest) = manifest.filter(|_| seen.insert(at)) else { continue };
            if manifest.blobs().any(|blob| blob.digest == *wanted) {
                return true;
            }
            pending.extend(manifest.children().iter().map(|child| child.digest));
        }
        false
    }
}

impl Store for LayoutStore {
    fn blob_size(&self, repository: &str, digest: &Digest) -> Result<u64, StoreError> {
        self.visible(repository, digest)?.ok_or(StoreError::BlobUnknown(*digest))
    }

    fn blob(&self, repository: &str, digest: &Digest, offset: u64) -> Result<Box<dyn Content>, StoreError> {
        self.blob_size(repository, digest)?;
        let mut file = self.layout.file(digest).map_err(|e| match e {
            layout::Error::NoBlob { .. } => StoreError::BlobUnknown(*digest),
            other => other.into(),
        })?;
        file.seek(SeekFrom::Start(offset)).map_err(StoreError::Medium)?;
        Ok(Box::new(file))
    }

    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Manifest, StoreError> {
        let names = self.names()?;
        let digest = match reference {
            Reference::Digest(digest) => {
                self.visible(repository, digest)?.ok_or(StoreError::ManifestUnknown)?;
                *digest
            }
            Reference::Tag(tag) => {
                let image = names.tags.get(repository).and_then(|tags| tags.get(tag));
                image.ok_or(StoreError::ManifestUnknown)?.digest
            }
        };
        // A blob of many gigabytes is no manifest, whatever it is asked for as.
        if self.layout.size(&digest)?.is_none_or(|size| size > crate::limits::MANIFEST_BYTES) {
            return Err(StoreError::ManifestUnknown);
        }
        let bytes = match self.layout.manifest(&digest) {
            Err(layout::Error::NoBlob { .. }) => return Err(StoreError::ManifestUnknown),
            other => other?,
        };
        let listed = names.entries.get(&digest).map(|entry| entry.media_type.as_str()).filter(|kind| !kind.is_empty());
        let parsed = oci::Manifest::parse_any_digest(&bytes, listed).map_err(|_| StoreError::ManifestUnknown)?;
        Ok(Manifest { digest, media_type: parsed.media_type, bytes })
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, StoreError> {
        let names = self.names()?;
        let tags = names.tags.get(repository).ok_or(StoreError::NameUnknown)?;
        Ok(tags.keys().cloned().collect())
    }

    fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Value>, StoreError> {
        let names = self.names()?;
        let mut listed: Vec<&Digest> = names.entries.keys().collect();
        listed.sort();
        let mut found = Vec::new();
        for digest in listed {
            if let Some(attached) = self.attached.of(&self.layout, digest)?.filter(|attached| attached.subject == *subject)
                && self.visible(repository, digest)?.is_some()
            {
                found.push(attached.shown);
            }
        }
        Ok(found)
    }

    fn repositories(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.names()?.tags.keys().cloned().collect())
    }

    fn writer(&self) -> Option<&dyn Writer> {
        self.uploads.as_ref().map(|_| self as &dyn Writer)
    }
}
