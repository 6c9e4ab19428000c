//! Blobs and manifests on their way in, and what is deleted (distribution specification, "Push", "Content Management").

use super::answer::{Refusal, created, empty, reached, set};
use super::body::Answered;
use super::handle::{Asked, State, accepted, tell};
use super::path::queries;
use super::range::piece;
use super::store::{Reference, StoreError};
use crate::digest::Digest;
use crate::limits;
use crate::oci::{is_repository, is_tag};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use hyper::{Response, StatusCode};
use std::io::Read;
use std::sync::Arc;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Tags given with one manifest; the specification demands ten at least.
const TAGS_AT_ONCE: usize = 100;
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// `POST blobs/uploads/`: a mount, a whole blob in one request, or a session.
pub(super) async fn begin(state: &Arc<State>, repository: &str, asked: &mut Asked) -> Result<Response<Answered>, Refusal> {
    if let Some(mount) = asked.query("mount") {
        let digest = digest_of(&mount)?;
        let from = asked.query("from").filter(|from| !from.is_empty());
        if from.as_ref().is_some_and(|from| !is_repository(from)) {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "NAME_INVALID", "from is not a repository name"));
        }
        let name = repository.to_owned();
        if tell(state, move |store| store.mount(&name, from.as_deref(), &digest)).await? {
            return Ok(created(&format!("/v2/{repository}/blobs/{digest}"), &digest));
        }
    }
    let whole = asked.query("digest").map(|text| digest_of(&text)).transpose()?;
    let name = repository.to_owned();
    let single = whole.is_some();
    let session = tell(state, move |store| store.begin(&name, single)).await?;
    match whole {
        Some(digest) => {
            let mut untold = Untold { state: state.clone(), repository: repository.to_owned(), session: Some(session.clone()) };
            take(state, repository, &session, None, asked).await?;
            let done = conclude(state, repository, session, digest).await?;
            untold.session = None;
            Ok(done)
        }
        None => Ok(session_at(StatusCode::ACCEPTED, repository, &session, 0)),
    }
}

/// A session nobody was told of: it ends with its request, however that ends. What is left of a blob of many gigabytes would lie
/// there for a week, once more for every attempt.
struct Untold {
    state: Arc<State>,
    repository: String,
    session: Option<String>,
}

impl Drop for Untold {
    fn drop(&mut self) {
        let (Some(session), Ok(runtime)) = (self.session.take(), tokio::runtime::Handle::try_current()) else { return };
        let (state, repository) = (self.state.clone(), std::mem::take(&mut self.repository));
        runtime.spawn_blocking(move || {
            if let Some(writer) = state.store.writer() {
                let _ = writer.cancel(&repository, &session);
            }
        });
    }
}

/// `PATCH`: more bytes.
pub(super) async fn append(
    state: &Arc<State>,
    repository: &str,
    session: String,
    asked: &mut Asked,
) -> Result<Response<Answered>, Refusal> {
    let at = announced(asked)?;
    match take(state, repository, &session, at, asked).await {
        Ok(size) => Ok(session_at(StatusCode::ACCEPTED, repository, &session, size)),
        Err(refusal) => Err(refusal.header(LOCATION, location(repository, &session))),
    }
}

/// `PUT`: the last bytes, if any, and the digest.
pub(super) async fn finish(
    state: &Arc<State>,
    repository: &str,
    session: String,
    asked: &mut Asked,
) -> Result<Response<Answered>, Refusal> {
    let missing = || Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "the digest is not given");
    let digest = digest_of(&asked.query("digest").ok_or_else(missing)?)?;
    let at = announced(asked)?;
    if let Err(refusal) = take(state, repository, &session, at, asked).await {
        return Err(refusal.header(LOCATION, location(repository, &session)));
    }
    conclude(state, repository, session, digest).await
}

/// `GET`: how far an upload is.
pub(super) async fn status(state: &Arc<State>, repository: &str, session: String) -> Result<Response<Answered>, Refusal> {
    let (name, id) = (repository.to_owned(), session.clone());
    let size = tell(state, move |store| store.offset(&name, &id)).await?;
    Ok(session_at(StatusCode::NO_CONTENT, repository, &session, size))
}

/// `DELETE`: the upload is given up.
pub(super) async fn cancel(state: &Arc<State>, repository: &str, session: String) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    tell(state, move |store| store.cancel(&name, &session)).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `PUT manifests/REFERENCE`; by digest, with any number of `tag=` (distribution specification, "Pushing Manifests").
pub(super) async fn manifest(
    state: &Arc<State>,
    repository: &str,
    reference: Reference,
    asked: &mut Asked,
) -> Result<Response<Answered>, Refusal> {
    let tags = match &reference {
        Reference::Digest(_) => tags_of(asked)?,
        Reference::Tag(_) => Vec::new(),
    };
    // Manifests are held whole: so many at a time, and no more.
    let _turn = state.writers.take(&asked.client.meter).await;
    let bytes = asked.body.whole(limits::MANIFEST_BYTES as usize).await?;
    let bytes = bytes.ok_or_else(|| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "a manifest may have 4 MiB, which is what every registry takes")
    })?;
    let content_type = asked.header(CONTENT_TYPE).map(str::to_owned);
    let (name, at, given) = (repository.to_owned(), reference.clone(), tags.clone());
    let put = tell(state, move |store| store.put_manifest(&name, &at, &given, content_type.as_deref(), &bytes)).await;
    let (digest, subject) = put?;
    let written = match &reference {
        Reference::Tag(tag) => tag.clone(),
        Reference::Digest(digest) => digest.to_string(),
    };
    let mut response = created(&format!("/v2/{repository}/manifests/{written}"), &digest);
    if let Some(subject) = subject {
        set(&mut response, OCI_SUBJECT, &subject.to_string());
    }
    if !tags.is_empty() {
        set(&mut response, OCI_TAG, &tags.join(", "));
    }
    Ok(response)
}

fn tags_of(asked: &Asked) -> Result<Vec<String>, Refusal> {
    let mut tags = Vec::new();
    for tag in queries(asked.parts.uri.query(), "tag") {
        let tag = tag.filter(|tag| is_tag(tag));
        tags.push(tag.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "that is not a tag"))?);
    }
    match tags.len() > TAGS_AT_ONCE {
        true => Err(Refusal::new(StatusCode::URI_TOO_LONG, "MANIFEST_INVALID", "so many tags are not given at once; at most 100")),
        false => Ok(tags),
    }
}

/// `DELETE manifests/REFERENCE`.
pub(super) async fn delete_manifest(state: &Arc<State>, repository: &str, reference: Reference) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    tell(state, move |store| store.delete_manifest(&name, &reference)).await?;
    Ok(accepted())
}

/// `DELETE blobs/DIGEST`.
pub(super) async fn delete_blob(state: &Arc<State>, repository: &str, digest: Digest) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    tell(state, move |store| store.delete_blob(&name, &digest)).await?;
    Ok(accepted())
}

/// Where the bytes of this request belong and how many they are, as far as it says so.
fn announced(asked: &Asked) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(header) = asked.header(CONTENT_RANGE) else { return Ok(None) };
    let (first, last) = piece(header).ok_or_else(|| wrong("Content-Range is not FIRST-LAST"))?;
    let length: Option<u64> = asked.header(CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let announced = (last - first).checked_add(1).ok_or_else(|| wrong("Content-Range is not FIRST-LAST"))?;
    match length.is_some_and(|length| length != announced) {
        true => Err(wrong("Content-Range and Content-Length contradict each other")),
        false => Ok(Some((first, announced))),
    }
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", why)
}

/// Appends the body of the request, while other uploads may wait for their turn.
async fn take(state: &Arc<State>, repository: &str, session: &str, piece: Option<(u64, u64)>, asked: &mut Asked) -> Result<u64, Refusal> {
    let _turn = state.writers.take(&asked.client.meter).await;
    let (name, id) = (repository.to_owned(), session.to_owned());
    let at = piece.map(|(at, _)| at);
    if let Some(at) = at {
        // Before the body is begun to be read: a wrong place is told at once.
        let size = tell(state, move |store| store.offset(&name, &id)).await?;
        if size != at {
            return Err(StoreError::OutOfOrder(size).into());
        }
    }
    let (name, id) = (repository.to_owned(), session.to_owned());
    // A body of unknown length may hold more than its range says, which belongs nowhere, or less.
    let mut body = asked.body.reader().take(piece.map_or(u64::MAX, |(_, length)| length));
    let counted = state.clone();
    let (size, took) = tell(state, move |store| {
        let before = store.offset(&name, &id)?;
        let size = store.append(&name, &id, at, &mut body)?;
        counted.metrics.uploaded(size.saturating_sub(before));
        let over = piece.is_some() && body.get_mut().read(&mut [0]).is_ok_and(|more| more > 0);
        Ok((size, (!over).then(|| size.saturating_sub(before))))
    })
    .await?;
    match piece {
        Some((_, length)) if took != Some(length) => {
            Err(wrong("the body has not as many bytes as Content-Range says").header(RANGE, reached(size)))
        }
        _ => Ok(size),
    }
}

async fn conclude(state: &Arc<State>, repository: &str, session: String, digest: Digest) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    tell(state, move |store| store.finish(&name, &session, &digest)).await?;
    Ok(created(&format!("/v2/{repository}/blobs/{digest}"), &digest))
}

fn session_at(status: StatusCode, repository: &str, session: &str, size: u64) -> Response<Answered> {
    let mut response = empty(status);
    set(&mut response, LOCATION, &location(repository, session));
    set(&mut response, RANGE, &reached(size));
    set(&mut response, UPLOAD_UUID, session);
    if status != StatusCode::NO_CONTENT {
        set(&mut response, CONTENT_LENGTH, "0");
    }
    response
}

fn location(repository: &str, session: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{session}")
}

fn digest_of(text: &str) -> Result<Digest, Refusal> {
    let bad = |_| Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "that is not a sha256 or sha512 digest");
    text.parse().map_err(bad)
}
