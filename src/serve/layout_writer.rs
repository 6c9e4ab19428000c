//! Pushing into a layout.
//!
//! A blob grows as an upload session, is synced and renamed. A manifest is checked, stored and listed while the list of images is
//! held, so that a collection cannot remove what the check has seen.

use super::layout_store::LayoutStore;
use super::store::{Reference, StoreError, Writer};
use super::uploads::{Session, Uploads};
use crate::blob::BlobSink;
use crate::digest::{Digest, Hasher};
use crate::layout::Held;
use crate::oci::{Descriptor, Manifest};
use crate::text::shown;
use std::io::{Cursor, Read};

impl LayoutStore {
    fn sessions(&self) -> Result<&Uploads, StoreError> {
        self.uploads.as_ref().ok_or(StoreError::UploadUnknown)
    }

    fn session(&self, repository: &str, session: &str) -> Result<Session<'_>, StoreError> {
        self.sessions()?.take(repository, session)
    }

    /// What is pushed to a repository is there again, whatever was deleted before.
    fn appears(&self, _held: &Held<'_>, repository: &str, digest: &Digest) -> Result<(), StoreError> {
        self.deleted.change(repository, &[], &[*digest])
    }

    fn appears_alone(&self, repository: &str, digest: &Digest) -> Result<(), StoreError> {
        match self.deleted.has(repository, digest)? {
            true => self.appears(&self.layout.hold()?, repository, digest),
            false => Ok(()),
        }
    }

    /// Everything a manifest refers to must be here: a mirror with holes must not look whole. What it is attached to need not.
    fn check_whole(&self, repository: &str, manifest: &Manifest) -> Result<(), StoreError> {
        // Layers with addresses of their own are never pushed (OCI image specification, "Non-distributable layers").
        let carried = |blob: &&Descriptor| blob.urls.is_empty() && !is_foreign(&blob.media_type);
        for blob in manifest.blobs().filter(carried) {
            if self.visible(repository, &blob.digest)? != Some(blob.size) {
                return Err(StoreError::Incomplete { what: "blob", digest: blob.digest });
            }
        }
        for child in manifest.children().iter().filter(|_| !self.sparse) {
            if self.visible(repository, &child.digest)? != Some(child.size) {
                return Err(StoreError::Incomplete { what: "manifest", digest: child.digest });
            }
        }
        Ok(())
    }
}

/// Docker's and OCI's types of layers that registries need not have.
fn is_foreign(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".rootfs.foreign.")
}

impl Writer for LayoutStore {
    fn begin(&self, repository: &str, single: bool) -> Result<String, StoreError> {
        self.sessions()?.begin(repository, single)
    }

    fn offset(&self, repository: &str, session: &str) -> Result<u64, StoreError> {
        Ok(self.session(repository, session)?.size())
    }

    fn append(&self, repository: &str, session: &str, at: Option<u64>, body: &mut dyn Read) -> Result<u64, StoreError> {
        let mut session = self.session(repository, session)?;
        match at.filter(|at| *at != session.size()) {
            Some(_) => Err(StoreError::OutOfOrder(session.size())),
            None => session.append(body),
        }
    }

    fn finish(&self, repository: &str, session: &str, digest: &Digest) -> Result<(), StoreError> {
        self.session(repository, session)?.finish(digest, |dir, name, size| {
            let blob = Descriptor::new("", *digest, size);
            // Its last byte may have come days ago: only now does somebody count on it.
            dir.touch(name)?;
            // Another session may have been faster; equal bytes replace equal bytes.
            match self.layout.adopt(&blob, dir, name)? {
                true => Ok(()),
                false => {
                    let mut open = || dir.open_file(name).map(|file| Box::new(file) as Box<dyn Read + Send>).map_err(|e| e.into_io());
                    self.layout.put(&blob, &mut open)?;
                    Ok(dir.remove(name)?)
                }
            }
        })?;
        self.appears_alone(repository, digest)
    }

    fn cancel(&self, repository: &str, session: &str) -> Result<(), StoreError> {
        self.session(repository, session)?.cancel()
    }

    fn mount(&self, repository: &str, from: Option<&str>, digest: &Digest) -> Result<bool, StoreError> {
        let there = match from {
            Some(from) => self.visible(from, digest)?.is_some(),
            None => self.layout.size(digest)?.is_some(),
        };
        if there {
            self.keep(digest);
            self.appears_alone(repository, digest)?;
        }
        Ok(there)
    }

    /// Files that belong to somebody else cannot be made younger, and are no reason to refuse anything.
    fn keep(&self, digest: &Digest) {
        let _ = self.layout.keep(digest);
    }

    fn put_manifest(
        &self,
        repository: &str,
        reference: &Reference,
        tags: &[String],
        content_type: Option<&str>,
        bytes: &[u8],
    ) -> Result<(Digest, Option<Digest>), StoreError> {
        let manifest = Manifest::parse_any_digest(bytes, content_type)?;
        let header = content_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        if let Some(header) = header.filter(|header| *header != manifest.media_type) {
            return Err(StoreError::TypeMismatch { header: shown(header).to_string(), document: manifest.media_type });
        }
        let digest = match reference {
            Reference::Digest(expected) => {
                let mut hasher = Hasher::new(expected.algorithm());
                hasher.update(bytes);
                let found = hasher.finish();
                if found != *expected {
                    return Err(StoreError::WrongDigest { expected: *expected, found });
                }
                found
            }
            Reference::Tag(_) => Digest::sha256(bytes),
        };
        let descriptor = Descriptor::new(manifest.media_type.clone(), digest, bytes.len() as u64);
        let held = self.layout.hold()?;
        self.check_whole(repository, &manifest)?;
        self.layout.put(&descriptor, &mut || Ok(Box::new(Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>))?;
        // It may have been here for long without a name.
        self.keep(&digest);
        self.appears(&held, repository, &digest)?;
        // What is attached to something is found through the list, whatever becomes of its tags; the rest is reached from a tag, or
        // goes with the next collection.
        if manifest.subject.is_some() {
            held.add(&descriptor)?;
        }
        let own = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let names: Vec<String> = tags.iter().chain(own).map(|tag| format!("{repository}:{tag}")).collect();
        if !names.is_empty() {
            held.tag_all(&names.iter().map(|name| (name.as_str(), &descriptor)).collect())?;
        }
        self.attached.forget(&digest);
        Ok((digest, manifest.subject.map(|subject| subject.digest)))
    }

    fn delete_manifest(&self, repository: &str, reference: &Reference) -> Result<(), StoreError> {
        let held = self.layout.hold()?;
        let names = self.names()?;
        match reference {
            Reference::Tag(tag) => {
                let full = format!("{repository}:{tag}");
                match held.remove(|name, _| name == Some(full.as_str()))? {
                    0 => Err(StoreError::ManifestUnknown),
                    _ => Ok(()),
                }
            }
            Reference::Digest(digest) => {
                self.visible(repository, digest)?.ok_or(StoreError::ManifestUnknown)?;
                let own: Vec<String> = match names.tags.get(repository) {
                    Some(tags) => {
                        tags.iter().filter(|(_, image)| image.digest == *digest).map(|(tag, _)| format!("{repository}:{tag}")).collect()
                    }
                    None => Vec::new(),
                };
                // Its own tags go with it; another tag's index keeps it.
                if let Some(tag) = self.needed_by(repository, digest, true)? {
                    return Err(StoreError::Needed { tag });
                }
                let stays = self.is_attached_elsewhere(repository, digest)?;
                held.remove(|name, _| name.is_some_and(|name| own.iter().any(|own| own == name)))?;
                if !stays {
                    held.remove(|name, listed| name.is_none() && listed == digest)?;
                }
                self.deleted.change(repository, &[*digest], &[])
            }
        }
    }

    fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<(), StoreError> {
        let _held = self.layout.hold()?;
        self.visible(repository, digest)?.ok_or(StoreError::BlobUnknown(*digest))?;
        match self.needed_by(repository, digest, false)? {
            Some(tag) => Err(StoreError::Needed { tag }),
            None => self.deleted.change(repository, &[*digest], &[]),
        }
    }
}
