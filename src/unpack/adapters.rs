//! A set on media, a registry and a layout, as unpacking sees them.

use super::media::{Media, MediaError, MediaTrouble, TakePart};
use super::target::{OpenBlob, PutAs, Target, TargetError, TargetTrouble};
use crate::archive::{self, OpenSet, PartId};
use crate::blob::{BlobSink, BlobSource};
use crate::digest::Digest;
use crate::format::{Contents, Index};
use crate::fs::{Dir, Trouble};
use crate::layout::{self, Layout};
use crate::oci::Descriptor;
use crate::parallel::locked;
use crate::registry::{self, Client, ManifestRef, Repository};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

impl Media for OpenSet {
    fn index(&self) -> &Index {
        OpenSet::index(self)
    }

    fn identity(&self) -> Digest {
        OpenSet::identity(self)
    }

    fn contents(&self) -> &Contents {
        OpenSet::contents(self)
    }

    fn volumes_here(&self) -> &BTreeSet<u32> {
        OpenSet::volumes_here(self)
    }

    fn read_parts(&self, volume: u32, wanted: &[PartId], each: &mut TakePart<'_>) -> Result<(), MediaError> {
        OpenSet::read_parts(self, volume, wanted, each).map_err(|source| {
            let unreadable = matches!(&source, archive::Error::Fs(_) | archive::Error::VolumeMissing(_))
                || matches!(&source, archive::Error::Damaged(archive::Damage::Unreadable { .. }));
            let trouble = if unreadable { MediaTrouble::Unreadable } else { MediaTrouble::Damaged };
            MediaError { trouble, source: Box::new(source) }
        })
    }

    fn trouble(&self, error: &io::Error) -> MediaTrouble {
        match archive::Damage::of(error) {
            Some(archive::Damage::Unreadable { .. }) => MediaTrouble::Unreadable,
            _ => MediaTrouble::Damaged,
        }
    }
}

/// A registry as a target.
pub struct RegistryTarget {
    client: Client,
    host: String,
    prefix: String,
    repositories: Mutex<HashMap<String, Arc<Repository>>>,
    finishing: Arc<AtomicBool>,
}

impl RegistryTarget {
    /// Repositories of `host`, reached by `client`; `prefix` is only for the name. `finishing` is set once the run is over: a client
    /// that stops when the person asks to lets requests pass from then on.
    pub fn new(client: Client, host: &str, prefix: &str, finishing: Arc<AtomicBool>) -> RegistryTarget {
        RegistryTarget { client, host: host.to_owned(), prefix: prefix.to_owned(), repositories: Mutex::default(), finishing }
    }

    fn repository(&self, name: &str) -> Arc<Repository> {
        let fresh = || Arc::new(self.client.repository(&self.host, name).for_writing());
        match self.repositories.lock() {
            Ok(mut known) => known.entry(name.to_owned()).or_insert_with(fresh).clone(),
            Err(_) => fresh(),
        }
    }
}

impl Target for RegistryTarget {
    fn name(&self) -> String {
        if self.prefix.is_empty() { self.host.clone() } else { format!("{}/{}", self.host, self.prefix) }
    }

    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool, TargetError> {
        let repository = self.repository(repository);
        let head = repository.head_manifest(&ManifestRef::Digest(*digest));
        Ok(nothing_if_closed(&repository, head)?.flatten().is_some())
    }

    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError> {
        let repository = self.repository(repository);
        let head = repository.head_manifest(&ManifestRef::Tag(tag.to_owned()));
        Ok(nothing_if_closed(&repository, head)?.flatten().map(|head| head.digest))
    }

    fn has_blob(&self, repository: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        let repository = self.repository(repository);
        Ok(nothing_if_closed(&repository, repository.has(blob))?.unwrap_or(false))
    }

    fn put_blob(&self, repository: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError> {
        let repository = self.repository(repository);
        repository.put_proven(blob, open).map_err(|e| refused(&repository, e))
    }

    fn mount_blob(&self, repository: &str, from: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        let repository = self.repository(repository);
        repository.mount(blob, from).map_err(|e| refused(&repository, e))
    }

    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let reference = match put_as {
            PutAs::Tag(tag) => ManifestRef::Tag(tag.to_owned()),
            PutAs::Digest(digest) => ManifestRef::Digest(*digest),
        };
        let repository = self.repository(repository);
        repository.put_manifest(bytes, media_type, &reference).map_err(|e| refused(&repository, e))?;
        Ok(())
    }

    fn tagged_manifest(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let repository = self.repository(repository);
        match repository.manifest(&ManifestRef::Tag(tag.to_owned())) {
            Ok(found) => Ok(Some(found.bytes)),
            Err(registry::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&repository, error)),
        }
    }

    fn listed_referrers(&self, repository: &str, subject: &Digest) -> Result<Option<Vec<Digest>>, TargetError> {
        let repository = self.repository(repository);
        let list = repository.referrers(subject).map_err(|e| refused(&repository, e))?;
        Ok(list.map(|list| list.into_iter().map(|entry| entry.digest).collect()))
    }

    fn delete_tag(&self, repository: &str, _: &str, digest: &Digest) -> Result<bool, TargetError> {
        // By digest: distribution 2.8 deletes nothing by tag, and with the manifest its tag is gone everywhere.
        let repository = self.repository(repository);
        match repository.delete_manifest(&ManifestRef::Digest(*digest)) {
            Ok(()) => Ok(true),
            Err(
                registry::Error::Unsupported { .. }
                | registry::Error::Refused { .. }
                | registry::Error::Denied { .. }
                | registry::Error::LoginRefused { .. },
            ) => Ok(false),
            Err(error) => Err(refused(&repository, error)),
        }
    }

    fn finishing(&self) {
        self.finishing.store(true, Ordering::Relaxed);
    }

    fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>, TargetError> {
        let repository = self.repository(repository);
        match repository.manifest(&ManifestRef::Digest(*digest)) {
            Ok(fetched) => Ok(Some(fetched.bytes)),
            Err(registry::Error::NotFound { .. }) => Ok(None),
            Err(error) => nothing_if_closed::<()>(&repository, Err(error)).map(|_| None),
        }
    }

    fn open_blob(&self, repository: &str, blob: &Descriptor) -> Result<Box<dyn io::Read + Send>, TargetError> {
        let repository = self.repository(repository);
        Ok(Box::new(repository.open_at(blob, 0).map_err(|e| refused(&repository, e))?))
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, TargetError> {
        let repository = self.repository(repository);
        match repository.tags() {
            Err(registry::Error::NotFound { .. }) => Ok(Vec::new()),
            tags => Ok(nothing_if_closed(&repository, tags)?.unwrap_or_default()),
        }
    }

    fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<(), TargetError> {
        let repository = self.repository(repository);
        repository.delete_manifest(&ManifestRef::Digest(*digest)).map_err(|e| refused(&repository, e))
    }

    fn untag(&self, repository: &str, tag: &str) -> Result<bool, TargetError> {
        let repository = self.repository(repository);
        let named = ManifestRef::Tag(tag.to_owned());
        match repository.delete_manifest(&named) {
            // Distribution 2.8 answers 404 to a tag it has and would have to delete.
            Ok(()) => Ok(repository.head_manifest(&named).map_err(|e| refused(&repository, e))?.is_none()),
            Err(
                registry::Error::Unsupported { .. }
                | registry::Error::Refused { .. }
                | registry::Error::Denied { .. }
                | registry::Error::LoginRefused { .. },
            ) => Ok(false),
            Err(error) => Err(refused(&repository, error)),
        }
    }
}

/// A question about a repository that lets nobody in finds nothing: Quay and Harbor say so of repositories that do not exist yet,
/// and whether something can be pushed there only a push tells.
fn nothing_if_closed<T>(repository: &Repository, answer: Result<T, registry::Error>) -> Result<Option<T>, TargetError> {
    if matches!(answer, Err(registry::Error::Denied { .. })) {
        return Ok(None);
    }
    match answer.map_err(|e| refused(repository, e)) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.trouble == TargetTrouble::Closed => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a registry's failure means for the run.
fn refused(repository: &Repository, error: registry::Error) -> TargetError {
    let trouble = meaning(&error, repository.uses_tokens());
    TargetError::new(trouble, error)
}

fn meaning(error: &registry::Error, tokens: bool) -> TargetTrouble {
    use registry::Error as E;
    match error {
        // A connection that breaks in the middle, again and again: a proxy that does not like this one blob.
        E::Unreachable { reason: registry::Reason::Lost(_), .. } => TargetTrouble::Failing,
        E::Unreachable { .. }
        | E::BadHost { .. }
        | E::NotARegistry { .. }
        | E::Tls { .. }
        | E::BadCertificate { .. }
        | E::Runtime { .. } => TargetTrouble::Unreachable,
        E::RateLimited { .. } | E::Server { .. } | E::Stalled { .. } | E::ShortBody { .. } => TargetTrouble::Failing,
        // A login was refused as such by the token service, or by a registry that takes the password itself. Otherwise it was
        // good enough, and has no rights in this repository.
        E::LoginRefused { target, answer, .. } => match answer.status {
            400 | 401 if target.reference.is_empty() || !tokens => TargetTrouble::Login,
            _ => TargetTrouble::Closed,
        },
        E::InsecureRealm { .. } | E::Credential { .. } => TargetTrouble::Login,
        // No rights in this repository. With a code of its own it is a policy or a quota, which may let other content pass.
        E::Denied { answer, .. } if answer.code.as_deref() != Some("DENIED") => TargetTrouble::Closed,
        E::Cancelled => TargetTrouble::Cancelled,
        E::BlobUnknown { .. } => TargetTrouble::BlobUnknown,
        E::ChildMissing { .. } => TargetTrouble::ChildMissing,
        E::ImmutableTag { .. } => TargetTrouble::ImmutableTag,
        E::Source { .. } => TargetTrouble::Content,
        // No such project; a lost upload session is told with 404 as well.
        E::NotFound { what: registry::Missing::Repository, answer, .. }
            if !answer.code.as_deref().is_some_and(|code| code.contains("UPLOAD")) =>
        {
            TargetTrouble::Closed
        }
        E::NotFound { .. }
        | E::TooLarge { .. }
        | E::OverLimit { .. }
        | E::WrongDigest { .. }
        | E::WrongSize { .. }
        | E::Protocol { .. }
        | E::Redirect { .. }
        | E::ForeignLocation { .. }
        | E::Unsupported { .. }
        | E::Denied { .. }
        | E::Refused { .. } => TargetTrouble::Refused,
    }
}

/// A layout as a target: blobs belong to no repository, images are named `repository:tag`.
pub struct LayoutTarget {
    layout: Layout,
    names: Mutex<Option<HashMap<String, Digest>>>,
    /// Tags that are not in `index.json` yet: written one by one, a large set would rewrite it thousands of times.
    unsettled: Mutex<BTreeMap<String, Descriptor>>,
}

impl LayoutTarget {
    /// Unpacks into `layout`.
    pub fn new(layout: Layout) -> LayoutTarget {
        LayoutTarget { layout, names: Mutex::default(), unsettled: Mutex::default() }
    }

    /// The names in the layout, read once: this run is the one that changes them.
    fn with_names<T>(&self, ask: impl FnOnce(&mut HashMap<String, Digest>) -> T) -> Result<T, TargetError> {
        let mut names = self.names.lock().map_err(|_| TargetError::new(TargetTrouble::Refused, "a thread failed"))?;
        if names.is_none() {
            let images = self.layout.images().map_err(layout_error)?;
            *names = Some(images.into_iter().filter_map(|i| Some((i.name?, i.descriptor.digest))).collect());
        }
        Ok(ask(names.get_or_insert_default()))
    }
}

impl Target for LayoutTarget {
    fn name(&self) -> String {
        format!("oci:{}", self.layout.path().display())
    }

    fn has_manifest(&self, _: &str, digest: &Digest) -> Result<bool, TargetError> {
        // A layout never pushes a manifest before what it refers to, but it may have been tampered with: the tree is looked at.
        match self.layout.manifest(digest) {
            Ok(bytes) => {
                let root = Descriptor::new("", *digest, bytes.len() as u64);
                Ok(self.layout.missing(&root, |child| self.layout.manifest(&child.digest).is_ok()).map_err(layout_error)?.is_empty())
            }
            Err(layout::Error::NoBlob { .. } | layout::Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(layout_error(error)),
        }
    }

    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError> {
        self.with_names(|names| names.get(&format!("{repository}:{tag}")).copied())
    }

    fn has_blob(&self, _: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.layout.has(blob).map_err(layout_error)
    }

    fn put_blob(&self, _: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError> {
        self.layout.put(blob, open).map_err(layout_error)
    }

    fn mount_blob(&self, _: &str, _: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.layout.has(blob).map_err(layout_error)
    }

    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
        let mut open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn io::Read + Send>);
        self.layout.put(&descriptor, &mut open).map_err(layout_error)?;
        if let PutAs::Tag(tag) = put_as {
            let name = format!("{repository}:{tag}");
            self.with_names(|names| names.insert(name.clone(), descriptor.digest))?;
            locked(&self.unsettled).insert(name, descriptor);
        }
        Ok(())
    }

    fn tagged_manifest(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>, TargetError> {
        match self.tag(repository, tag)? {
            Some(digest) => self.layout.manifest(&digest).map(Some).map_err(layout_error),
            None => Ok(None),
        }
    }

    fn settle_tags(&self) -> Result<(), TargetError> {
        let mut unsettled = locked(&self.unsettled);
        if !unsettled.is_empty() {
            self.layout.tag_all(unsettled.iter().map(|(name, image)| (name.as_str(), image))).map_err(layout_error)?;
            unsettled.clear();
        }
        Ok(())
    }

    fn delete_tag(&self, _: &str, _: &str, _: &Digest) -> Result<bool, TargetError> {
        Ok(false)
    }

    fn manifest(&self, _: &str, digest: &Digest) -> Result<Option<Vec<u8>>, TargetError> {
        match self.layout.manifest(digest) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(layout::Error::NoBlob { .. }) => Ok(None),
            Err(error) => Err(layout_error(error)),
        }
    }

    fn open_blob(&self, _: &str, blob: &Descriptor) -> Result<Box<dyn io::Read + Send>, TargetError> {
        BlobSource::open(&self.layout, blob).map_err(layout_error)
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, TargetError> {
        self.with_names(|names| {
            let of = |name: &String| name.rsplit_once(':').filter(|(of, _)| *of == repository).map(|(_, tag)| tag.to_owned());
            names.keys().filter_map(of).collect()
        })
    }

    fn collects_garbage(&self) -> bool {
        false
    }

    fn free_space(&self) -> Option<u64> {
        self.layout.free().ok()
    }

    fn adopt_file(&self, _: &str, blob: &Descriptor, dir: &Dir, name: &str) -> Result<bool, TargetError> {
        // Spool files are not synced as long as they are only on their way; here this one is to stay.
        dir.open_file(name).and_then(|file| file.sync()).map_err(|e| layout_error(e.into()))?;
        self.layout.adopt(blob, dir, name).map_err(layout_error)
    }
}

fn layout_error(error: layout::Error) -> TargetError {
    let trouble = match &error {
        layout::Error::Fs(inner) if inner.trouble() == Trouble::NoSpace => TargetTrouble::NoSpace,
        layout::Error::Fs(inner) if inner.trouble() == Trouble::NotWritable => TargetTrouble::Login,
        layout::Error::Fs(_) => TargetTrouble::Unreachable,
        layout::Error::Wrong(_) | layout::Error::Source { .. } => TargetTrouble::Content,
        _ => TargetTrouble::Refused,
    };
    TargetError::new(trouble, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Answer, Error as E, Missing, Reason, Target as Subject};

    #[test]
    fn tags_of_a_layout_are_written_together() {
        let temp = tempfile::tempdir().unwrap();
        let target = LayoutTarget::new(Layout::create(&temp.path().join("l")).unwrap().durable(false));
        let manifest = br#"{"schemaVersion":2,"manifests":[]}"#;
        for tag in ["1", "2"] {
            target.put_manifest("a", PutAs::Tag(tag), "application/vnd.oci.image.index.v1+json", manifest).unwrap();
            assert_eq!(target.tag("a", tag).unwrap(), Some(Digest::sha256(manifest)));
        }
        let names =
            || Layout::open(&temp.path().join("l")).unwrap().images().unwrap().into_iter().filter_map(|i| i.name).collect::<Vec<_>>();
        assert!(names().is_empty());
        target.settle_tags().unwrap();
        assert_eq!(names(), ["a:1", "a:2"]);
    }

    #[test]
    fn one_repositorys_trouble_is_not_the_runs() {
        let at = |reference: &str| Arc::new(Subject { host: "r.test".into(), repository: "a".into(), reference: reference.into() });
        let answer = |status, code: Option<&str>| {
            let code = code.map(str::to_owned);
            Box::new(Answer { status, code, message: String::new(), from: None, digest: None, retry_after: None })
        };
        let login =
            |reference: &str, status| E::LoginRefused { target: at(reference), credentials_sent: true, answer: answer(status, None) };
        let missing = |code| E::NotFound { target: at("t"), what: Missing::Repository, answer: answer(404, code) };
        let lost = |reason| E::Unreachable { host: "r.test".into(), reason };
        for (error, tokens, trouble) in [
            (login("", 401), true, TargetTrouble::Login),
            (login("t", 401), false, TargetTrouble::Login),
            (login("t", 401), true, TargetTrouble::Closed),
            (login("t", 403), false, TargetTrouble::Closed),
            (missing(Some("NAME_UNKNOWN")), true, TargetTrouble::Closed),
            (missing(None), true, TargetTrouble::Closed),
            (missing(Some("BLOB_UPLOAD_UNKNOWN")), true, TargetTrouble::Refused),
            (E::Server { target: at("t"), answer: answer(503, None) }, true, TargetTrouble::Failing),
            (E::RateLimited { target: at("t"), answer: answer(429, None) }, true, TargetTrouble::Failing),
            (lost(Reason::Lost("reset".into())), true, TargetTrouble::Failing),
            (lost(Reason::Refused), true, TargetTrouble::Unreachable),
            (E::Cancelled, true, TargetTrouble::Cancelled),
        ] {
            assert_eq!(meaning(&error, tokens), trouble, "{error}");
        }
    }
}
