//! Blobs and manifests on their way in, and what is deleted (distribution specification, "Push", "Content Management").

use super::answer::{Refusal, created, empty, reached, set};
use super::body::Answered;
use super::handle::{Asked, State, accepted, tell};
use super::range::piece;
use super::store::{Reference, StoreError};
use crate::digest::Digest;
use crate::limits;
use crate::oci::is_repository;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, LOCATION, RANGE};
use hyper::{Response, StatusCode};
use std::sync::Arc;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
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
    let session = tell(state, move |store| store.begin(&name)).await?;
    match whole {
        Some(digest) => {
            if let Err(refusal) = take(state, repository, &session, None, asked).await {
                // Nobody was told of the session.
                let name = repository.to_owned();
                let _ = tell(state, move |store| store.cancel(&name, &session)).await;
                return Err(refusal);
            }
            conclude(state, repository, session, digest).await
        }
        None => Ok(session_at(StatusCode::ACCEPTED, repository, &session, 0)),
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

/// `PUT manifests/REFERENCE`.
pub(super) async fn manifest(
    state: &Arc<State>,
    repository: &str,
    reference: Reference,
    asked: &mut Asked,
) -> Result<Response<Answered>, Refusal> {
    let bytes = asked.body.whole(limits::MANIFEST_BYTES as usize).await?;
    let bytes = bytes.ok_or_else(|| {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", "a manifest may have 4 MiB, which is what every registry takes")
    })?;
    let content_type = asked.header(CONTENT_TYPE).map(str::to_owned);
    let (name, at) = (repository.to_owned(), reference.clone());
    let put = tell(state, move |store| store.put_manifest(&name, &at, content_type.as_deref(), &bytes)).await;
    let (digest, subject) = put?;
    let written = match &reference {
        Reference::Tag(tag) => tag.clone(),
        Reference::Digest(digest) => digest.to_string(),
    };
    let mut response = created(&format!("/v2/{repository}/manifests/{written}"), &digest);
    if let Some(subject) = subject {
        set(&mut response, OCI_SUBJECT, &subject.to_string());
    }
    Ok(response)
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

/// Where the bytes of this request belong, as far as it says so.
fn announced(asked: &Asked) -> Result<Option<u64>, Refusal> {
    let Some(header) = asked.header(CONTENT_RANGE) else { return Ok(None) };
    let wrong = |why: &str| Refusal::new(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID", why);
    let (first, last) = piece(header).ok_or_else(|| wrong("Content-Range is not FIRST-LAST"))?;
    let length: Option<u64> = asked.header(CONTENT_LENGTH).and_then(|text| text.parse().ok());
    match length.is_some_and(|length| Some(length) != (last - first).checked_add(1)) {
        true => Err(wrong("Content-Range and Content-Length contradict each other")),
        false => Ok(Some(first)),
    }
}

/// Appends the body of the request, while other uploads may wait for their turn.
async fn take(state: &Arc<State>, repository: &str, session: &str, at: Option<u64>, asked: &mut Asked) -> Result<u64, Refusal> {
    let _turn = state.writers.clone().acquire_owned().await;
    let (name, id) = (repository.to_owned(), session.to_owned());
    if let Some(at) = at {
        // Before the body is begun to be read: a wrong place is told at once.
        let size = tell(state, move |store| store.offset(&name, &id)).await?;
        if size != at {
            return Err(StoreError::OutOfOrder(size).into());
        }
    }
    let (name, id) = (repository.to_owned(), session.to_owned());
    let mut body = asked.body.reader();
    let counted = state.clone();
    tell(state, move |store| {
        let before = store.offset(&name, &id)?;
        let size = store.append(&name, &id, at, &mut body)?;
        counted.metrics.uploaded(size.saturating_sub(before));
        Ok(size)
    })
    .await
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
