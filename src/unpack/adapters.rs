//! A set on media, and a registry, as unpacking sees them.

use super::media::{Media, MediaError, MediaTrouble, TakePart};
use super::target::{OpenBlob, PutAs, Target, TargetError, TargetTrouble};
use crate::archive::{self, OpenSet, PartId};
use crate::blob::BlobSink;
use crate::digest::Digest;
use crate::format::{Contents, Index};
use crate::oci::Descriptor;
use crate::registry::{self, Client, ManifestRef, Repository};
use std::collections::{BTreeSet, HashMap};
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
            Err(error) if deletes_no_tags(&error) => Ok(false),
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
            Err(error) if deletes_no_tags(&error) => Ok(false),
            Err(error) => Err(refused(&repository, error)),
        }
    }
}

/// What registries answer that delete nothing, or not for this login.
fn deletes_no_tags(error: &registry::Error) -> bool {
    use registry::Error as E;
    matches!(error, E::Unsupported { .. } | E::Refused { .. } | E::Denied { .. } | E::LoginRefused { .. })
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
        // The registry sends all uploads where nobody is.
        E::ForeignLocation { silent: Some(_), .. } => TargetTrouble::Unreachable,
        // A connection that breaks in the middle, again and again: a proxy that does not like this one blob.
        E::Unreachable { reason: registry::Reason::Lost(_), .. } => TargetTrouble::Failing,
        E::Unreachable { .. }
        | E::BadHost { .. }
        | E::NotARegistry { .. }
        | E::Tls { .. }
        | E::BadCertificate { .. }
        | E::Runtime { .. } => TargetTrouble::Unreachable,
        // A failure in words that asking again would not change: of this manifest.
        E::Server { answer, .. } if answer.status == 500 && !error.is_transient() => TargetTrouble::Refused,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{Answer, Error as E, Missing, Reason, Target as Subject};

    #[test]
    fn one_repositorys_trouble_is_not_the_runs() {
        let at = |reference: &str| Arc::new(Subject { host: "r.test".into(), repository: "a".into(), reference: reference.into() });
        let answer = |status, code: Option<&str>| {
            let code = code.map(str::to_owned);
            Box::new(Answer { status, code, message: String::new(), from: None, digest: None, retry_after: None, pulls: None })
        };
        let login =
            |reference: &str, status| E::LoginRefused { target: at(reference), credentials_sent: true, answer: answer(status, None) };
        let missing = |code| E::NotFound { target: at("t"), what: Missing::Repository, answer: answer(404, code) };
        let lost = |reason| E::Unreachable { host: "r.test".into(), reason, plain: false };
        for (error, tokens, trouble) in [
            (login("", 401), true, TargetTrouble::Login),
            (login("t", 401), false, TargetTrouble::Login),
            (login("t", 401), true, TargetTrouble::Closed),
            (login("t", 403), false, TargetTrouble::Closed),
            (missing(Some("NAME_UNKNOWN")), true, TargetTrouble::Closed),
            (missing(None), true, TargetTrouble::Closed),
            (missing(Some("BLOB_UPLOAD_UNKNOWN")), true, TargetTrouble::Refused),
            (E::Server { target: at("t"), answer: answer(503, None) }, true, TargetTrouble::Failing),
            // distribution, to a layer that names an address of its own.
            (E::Server { target: at("t"), answer: answer(500, Some("MANIFEST_BLOB_UNKNOWN")) }, true, TargetTrouble::Refused),
            (E::ForeignLocation { target: at("t"), to: "x".into(), silent: Some(Reason::Dns) }, true, TargetTrouble::Unreachable),
            (E::ForeignLocation { target: at("t"), to: "x".into(), silent: None }, true, TargetTrouble::Refused),
            (E::RateLimited { target: at("t"), answer: answer(429, None) }, true, TargetTrouble::Failing),
            (lost(Reason::Lost("reset".into())), true, TargetTrouble::Failing),
            (lost(Reason::Refused), true, TargetTrouble::Unreachable),
            (lost(Reason::NoRoute), true, TargetTrouble::Unreachable),
            (E::Cancelled, true, TargetTrouble::Cancelled),
        ] {
            assert_eq!(meaning(&error, tokens), trouble, "{error}");
        }
    }
}
