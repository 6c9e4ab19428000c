//! Manifests and blobs on their way out (distribution specification, "Pull").

use super::answer::{Refusal, empty, identify, set, typed, with};
use super::body::{self, Answered};
use super::handle::{Asked, State, ask, at};
use super::range::{Wanted, wanted};
use super::store::{Reference, Store};
use crate::digest::Digest;
use crate::text::shown;
use hyper::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH, IF_RANGE, RANGE};
use hyper::{Response, StatusCode};
use std::sync::Arc;

/// The stored bytes whatever the client says it accepts: a client that cannot use them says so better than a 404 would.
pub(super) async fn manifest(
    state: &Arc<State>,
    repository: &str,
    reference: Reference,
    asked: &Asked,
) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    let head = asked.is_head();
    let found = ask(state, move |store| {
        let found = store.manifest(&name, &reference)?;
        told(store, head, &found.digest);
        Ok(found)
    })
    .await?;
    if is_known(asked, &found.digest) {
        return Ok(unchanged(&found.digest));
    }
    let mut response = typed(StatusCode::OK, &found.media_type, found.bytes);
    identify(&mut response, &found.digest);
    Ok(response)
}

/// A blob, or one range of it.
pub(super) async fn blob(state: &Arc<State>, repository: &str, digest: Digest, asked: &Asked) -> Result<Response<Answered>, Refusal> {
    let name = repository.to_owned();
    let head = asked.is_head();
    let size = ask(state, move |store| {
        let size = store.blob_size(&name, &digest)?;
        told(store, head, &digest);
        Ok(size)
    })
    .await?;
    if is_known(asked, &digest) {
        return Ok(unchanged(&digest));
    }
    // A range is for who has the beginning of these very bytes.
    let same = asked.header(IF_RANGE).is_none_or(|tag| names(tag, &digest));
    let range = asked.header(RANGE).filter(|_| same && !asked.is_head());
    let (first, length, status) = match wanted(range, size) {
        Wanted::All => (0, size, StatusCode::OK),
        Wanted::Part(first, length) => (first, length, StatusCode::PARTIAL_CONTENT),
        Wanted::Outside => {
            return Err(Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID", format!("the blob has {size} bytes"))
                .header(CONTENT_RANGE, format!("bytes */{size}")));
        }
    };
    let body = match asked.is_head() || length == 0 {
        true => Answered::Whole(None),
        false => content(state, repository, digest, (first, length), asked).await?,
    };
    let mut response = with(status, body);
    identify(&mut response, &digest);
    set(&mut response, CONTENT_TYPE, "application/octet-stream");
    set(&mut response, CONTENT_LENGTH, &length.to_string());
    set(&mut response, ACCEPT_RANGES, "bytes");
    set(&mut response, CACHE_CONTROL, "max-age=31536000");
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, CONTENT_RANGE, &format!("bytes {first}-{}/{size}", first + length - 1));
    }
    Ok(response)
}

async fn content(state: &Arc<State>, repository: &str, digest: Digest, range: (u64, u64), asked: &Asked) -> Result<Answered, Refusal> {
    let (first, length) = range;
    let place = match &state.readers {
        Some(readers) => Some(readers.take(&asked.client.meter).await),
        None => None,
    };
    let name = repository.to_owned();
    let begun = ask(state, move |store| body::begin(store.blob(&name, &digest, first)?, length)).await?;
    let told = state.clone();
    let repository = repository.to_owned();
    Ok(body::stream(begun, place, move |error| {
        told.metrics.broken();
        (told.log)(&format!("{} {repository}@{digest} broke off: {}", at((told.clock)()), shown(&error.to_string())));
    }))
}

/// HEAD is how pushers ask what they need not push.
fn told(store: &dyn Store, head: bool, digest: &Digest) {
    if let Some(writer) = store.writer().filter(|_| head) {
        writer.keep(digest);
    }
}

/// The client has it (RFC 9110, 13.1.2).
fn is_known(asked: &Asked, digest: &Digest) -> bool {
    asked.header(IF_NONE_MATCH).is_some_and(|tags| tags.trim() == "*" || tags.split(',').any(|tag| names(tag, digest)))
}

fn names(tag: &str, digest: &Digest) -> bool {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == digest.to_string()
}

fn unchanged(digest: &Digest) -> Response<Answered> {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    identify(&mut response, digest);
    response
}
