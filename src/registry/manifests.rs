//! Manifests of a repository.

use super::answer::Asked;
use super::client::Repository;
use super::error::{Error, Missing, Target};
use super::reply::Reply;
use super::request::{Call, Payload};
use crate::digest::{Digest, Hasher};
use crate::limits;
use crate::oci::{self, Manifest, media};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Short tries of a manifest whose parts the registry does not see yet.
const EVENTUAL: u32 = 3;

/// Names a manifest within a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestRef {
    /// By tag.
    Tag(String),
    /// By digest.
    Digest(Digest),
}

impl ManifestRef {
    /// What a reference asks for: its digest, else its tag, else nothing.
    pub fn of(reference: &oci::Reference) -> Option<ManifestRef> {
        let tag = || reference.tag.clone().map(ManifestRef::Tag);
        reference.digest.map(ManifestRef::Digest).or_else(tag)
    }
}

impl From<Digest> for ManifestRef {
    fn from(digest: Digest) -> ManifestRef {
        ManifestRef::Digest(digest)
    }
}

impl fmt::Display for ManifestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestRef::Tag(tag) => f.write_str(tag),
            ManifestRef::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// A manifest as the registry sent it.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// What the registry called it (`Content-Type`); not to be believed against the document.
    pub content_type: Option<String>,
    /// Digest computed of the bytes; equal to the one asked for, where one was.
    pub digest: Digest,
}

/// What the registry says about a manifest without sending it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestHead {
    /// Its digest: as said by the registry, computed where it did not say.
    pub digest: Digest,
    /// `Content-Type`.
    pub media_type: Option<String>,
    /// Length in bytes, where given.
    pub size: Option<u64>,
}

impl Repository {
    /// Which manifest a tag or digest names now; none when there is none. Does not count as a pull on Docker Hub
    /// unless the registry leaves the digest out or refuses HEAD.
    ///
    /// # Errors
    /// As every request: unreachable, login refused, and so on. 404 is no error.
    pub fn head_manifest(&self, reference: &ManifestRef) -> Result<Option<ManifestHead>, Error> {
        let known = match self.ask_head(reference) {
            // An answer to HEAD has no words. Where it is the end of an image, those of an answer to GET say why.
            Err(error) if self.has_no_words(&error) => None,
            other => other?,
        };
        if let Some(answer) = known {
            answer.iter().for_each(|_| self.found_under(reference));
            return Ok(answer);
        }
        match self.manifest(reference) {
            Ok(m) => Ok(Some(ManifestHead { digest: m.digest, media_type: m.content_type, size: Some(m.bytes.len() as u64) })),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// A refusal without a word of the registry. Not of a password: it is shown once, for accounts get locked. Nor where something is
    /// to be written: the refusal of that has its own words.
    fn has_no_words(&self, error: &Error) -> bool {
        let silent = error.answer().is_some_and(|answer| answer.code.is_none() && answer.message.is_empty());
        let about_it = match error {
            Error::Denied { .. } | Error::Refused { .. } => true,
            Error::LoginRefused { target, .. } => self.uses_tokens() && !target.reference.is_empty(),
            _ => false,
        };
        silent && about_it && !self.writes
    }

    /// The answer to HEAD; nothing where only GET is understood.
    fn ask_head(&self, reference: &ManifestRef) -> Result<Option<Option<ManifestHead>>, Error> {
        self.wait(async {
            let call = self.manifest_call(Method::HEAD, reference, self.target(reference)).await?;
            // 400, 405, 500 and 501 are answers of servers that only know GET.
            let reply = self.shared.core.request(&self.host, call, &[200, 400, 404, 405, 500, 501]).await?;
            Ok(match reply.response.status().as_u16() {
                200 => head_of(&reply).map(Some),
                404 => Some(None),
                _ => None,
            })
        })
    }

    /// Fetches a manifest. Asks for every type there is, so that what cannot be carried can be named.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::WrongDigest`] when the bytes have another digest than asked for;
    /// [`Error::OverLimit`] above 4 MiB.
    pub fn manifest(&self, reference: &ManifestRef) -> Result<FetchedManifest, Error> {
        self.wait(async {
            let (fetched, said) = self.fetch_manifest(reference).await?;
            self.found_under(reference);
            let wrong = said.filter(|said| said.algorithm() == fetched.digest.algorithm() && *said != fetched.digest);
            match (reference, wrong) {
                (_, None) | (ManifestRef::Digest(_), _) => Ok(fetched),
                (ManifestRef::Tag(_), Some(_)) => {
                    // The registry contradicts itself: the bytes must at least be what it keeps under their digest.
                    self.shared.core.warn(&self.host.name, "Docker-Content-Digest is not the digest of the manifest sent with it");
                    self.fetch_manifest(&ManifestRef::Digest(fetched.digest)).await.map(|(again, _)| again)
                }
            }
        })
    }

    async fn fetch_manifest(&self, reference: &ManifestRef) -> Result<(FetchedManifest, Option<Digest>), Error> {
        let core = &self.shared.core;
        let target = self.target(reference);
        let mut attempt = 0;
        loop {
            let call = self.manifest_call(Method::GET, reference, target.clone()).await?;
            let reply = core.request(&self.host, call, &[200]).await?;
            let content_type = reply.header(CONTENT_TYPE).map(str::to_owned);
            let said = reply.header(DOCKER_CONTENT_DIGEST).and_then(|d| d.trim().parse().ok());
            let announced = reply.length();
            let Some(bytes) = core.body_of(&self.host, reply, &target, limits::MANIFEST_BYTES, &mut attempt).await? else { continue };
            if let Some(expected) = announced.filter(|n| *n != bytes.len() as u64) {
                return Err(Error::ShortBody { target, expected, found: bytes.len() as u64 });
            }
            let digest = digest_as(reference, &bytes);
            if let ManifestRef::Digest(expected) = reference
                && digest != *expected
            {
                return Err(Error::WrongDigest { target, expected: *expected, found: Box::new(digest) });
            }
            return Ok((FetchedManifest { bytes, content_type, digest }, said));
        }
    }

    /// Pushes a manifest: exactly these bytes, as `media_type`, under a tag or its own digest. All it refers to must
    /// have been pushed before. Returns the digest of the bytes.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] and [`Error::ChildMissing`] after a few short tries (some registries see their own
    /// blobs late); [`Error::ImmutableTag`] unless the tag already names these bytes; [`Error::TooLarge`];
    /// [`Error::WrongDigest`] when the registry keeps something else.
    pub fn put_manifest(&self, bytes: &[u8], media_type: &str, reference: &ManifestRef) -> Result<Digest, Error> {
        let target = self.target(reference);
        let digest = digest_as(reference, bytes);
        if let ManifestRef::Digest(expected) = reference
            && *expected != digest
        {
            return Err(Error::WrongDigest { target, expected: *expected, found: Box::new(digest) });
        }
        let body = Bytes::copy_from_slice(bytes);
        match self.wait(self.send_manifest(body, media_type, reference, &target)) {
            // Some refuse to write a tag again even with what it names; or the answer to a first try was lost.
            Err(error @ Error::ImmutableTag { .. }) => match self.head_manifest(reference) {
                Ok(Some(head)) if head.digest == digest => Ok(digest),
                _ => Err(error),
            },
            Err(other) => Err(other),
            Ok(Some(found)) if found.algorithm() == digest.algorithm() && found != digest => {
                Err(Error::WrongDigest { target, expected: digest, found: Box::new(found) })
            }
            Ok(_) => Ok(digest),
        }
    }

    async fn send_manifest(&self, body: Bytes, kind: &str, reference: &ManifestRef, target: &Arc<Target>) -> Result<Option<Digest>, Error> {
        let core = &self.shared.core;
        let index = Manifest::parse(&body, Some(kind)).is_ok_and(|m| m.is_index());
        let mut short = 0;
        loop {
            let url = self.host.enter(core).await?.url(target, &self.path(&format!("manifests/{reference}")))?;
            let mut call = Call::new(Method::PUT, url, target.clone(), Asked::PutManifest { index }, core).scopes(self.push());
            call = call.header(CONTENT_TYPE, kind);
            call.body = Payload::Bytes(body.clone());
            match core.request(&self.host, call, &[200, 201, 202, 204]).await {
                Ok(reply) => {
                    let said = reply.header(DOCKER_CONTENT_DIGEST).and_then(|d| d.trim().parse().ok());
                    reply.drain(core).await;
                    return Ok(said);
                }
                Err(error) if short + 1 < EVENTUAL && is_eventual(&error) => {
                    short += 1;
                    core.sleep(core.options.timing.retry_base.saturating_mul(2 * short).min(Duration::from_secs(5))).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes a manifest, or a tag where the registry can. What is not there is deleted already.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where deletion is switched off; [`Error::Refused`] where tags cannot be deleted.
    pub fn delete_manifest(&self, reference: &ManifestRef) -> Result<(), Error> {
        self.wait(async {
            let core = &self.shared.core;
            let target = self.target(reference);
            let url = self.host.enter(core).await?.url(&target, &self.path(&format!("manifests/{reference}")))?;
            // The right to delete is asked for only where the registry's challenge wants it: Quay's token service
            // refuses the word.
            let call = Call::new(Method::DELETE, url, target, Asked::Delete, core).scopes(self.push());
            core.request(&self.host, call, &[200, 202, 204, 404]).await?.drain(core).await;
            Ok(())
        })
    }

    async fn manifest_call(&self, method: Method, reference: &ManifestRef, target: Arc<Target>) -> Result<Call, Error> {
        let core = &self.shared.core;
        let url = self.host.enter(core).await?.url(&target, &self.path(&format!("manifests/{reference}")))?;
        let mut call = Call::new(method, url, target, Asked::Manifest, core).scopes(self.pull()).header(ACCEPT, &accept());
        call.digested = matches!(reference, ManifestRef::Digest(_));
        Ok(call)
    }

    /// Runs a network task while the calling thread waits.
    pub(super) fn wait<T>(&self, task: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.shared.wait(task)?
    }
}

/// All types, those that cannot be carried last. Without the full list registries convert or hide what they have.
fn accept() -> String {
    [
        media::OCI_INDEX,
        media::OCI_MANIFEST,
        media::DOCKER_LIST,
        media::DOCKER_MANIFEST,
        media::OCI_ARTIFACT,
        media::SCHEMA1_SIGNED,
        media::SCHEMA1,
    ]
    .join(", ")
}

fn head_of(reply: &Reply) -> Option<ManifestHead> {
    let digest = reply.header(DOCKER_CONTENT_DIGEST)?.trim().parse().ok()?;
    Some(ManifestHead { digest, media_type: reply.header(CONTENT_TYPE).map(str::to_owned), size: reply.length() })
}

/// The digest of `bytes` in the algorithm that was asked for.
fn digest_as(reference: &ManifestRef, bytes: &[u8]) -> Digest {
    match reference {
        ManifestRef::Tag(_) => Digest::sha256(bytes),
        ManifestRef::Digest(digest) => {
            let mut hasher = Hasher::new(digest.algorithm());
            hasher.update(bytes);
            hasher.finish()
        }
    }
}

/// Registries that do not see at once what was pushed a moment ago, in their words.
fn is_eventual(error: &Error) -> bool {
    let code = error.answer().and_then(|a| a.code.as_deref()).unwrap_or_default();
    match error {
        Error::BlobUnknown { .. } | Error::ChildMissing { .. } => true,
        // DIGEST_INVALID: distribution on a file system rewrites the link of a blob in two steps. While another host pushes the same
        // blob, the link is empty for a moment. The digest of the manifest itself was computed from the bytes sent.
        Error::Refused { .. } => {
            matches!(code, "BLOB_UPLOAD_INVALID" | "MANIFEST_INVALID" | "MANIFEST_UNKNOWN" | "BLOB_UNKNOWN" | "DIGEST_INVALID")
        }
        Error::NotFound { what: Missing::Repository, .. } => matches!(code, "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN"),
        _ => false,
    }
}
