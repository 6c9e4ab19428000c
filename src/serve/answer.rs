//! Answers: their headers, and errors in the one form clients read (distribution specification, "Error Codes").

use super::body::Answered;
use super::path::Lost;
use super::store::StoreError;
use crate::digest::Digest;
use crate::layout;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    code: &'static str,
    message: String,
    detail: Value,
    headers: Vec<(HeaderName, String)>,
    /// What the log is told and the client is not: paths of this host.
    pub inner: Option<String>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into(), detail: Value::Null, headers: Vec::new(), inner: None }
    }

    pub fn detail(mut self, detail: Value) -> Refusal {
        self.detail = detail;
        self
    }

    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }

    /// A method that an endpoint does not have, or a store that is only read.
    pub fn unsupported(allow: &'static str, message: &str) -> Refusal {
        Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", message).header(hyper::header::ALLOW, allow)
    }

    pub fn into_response(self) -> Response<Answered> {
        let body = json!({"errors": [{"code": self.code, "message": self.message, "detail": self.detail}]}).to_string();
        let mut response = json_text(self.status, body);
        for (name, value) in self.headers {
            set(&mut response, name, &value);
        }
        response
    }
}

impl From<Lost> for Refusal {
    fn from(lost: Lost) -> Refusal {
        match lost {
            Lost::Path => Refusal::new(StatusCode::NOT_FOUND, "UNSUPPORTED", "there is no such endpoint"),
            Lost::Name => Refusal::new(StatusCode::BAD_REQUEST, "NAME_INVALID", "that is not a repository name"),
            Lost::Digest => Refusal::new(StatusCode::BAD_REQUEST, "DIGEST_INVALID", "that is not a sha256 or sha512 digest"),
            Lost::Reference => Refusal::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "that is neither a tag nor a digest"),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        let told = |status, code| Refusal::new(status, code, error.to_string());
        match &error {
            StoreError::NameUnknown => told(StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            StoreError::BlobUnknown(digest) => told(StatusCode::NOT_FOUND, "BLOB_UNKNOWN").detail(json!({"digest": digest})),
            StoreError::ManifestUnknown => told(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            StoreError::UploadUnknown => told(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            StoreError::UploadBusy => told(StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            StoreError::OutOfOrder(size) => {
                told(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID").header(hyper::header::RANGE, reached(*size))
            }
            StoreError::WrongDigest { expected, found } => {
                told(StatusCode::BAD_REQUEST, "DIGEST_INVALID").detail(json!({"expected": expected, "found": found}))
            }
            StoreError::BadManifest(crate::oci::ManifestError::TooLarge(_)) => told(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            StoreError::BadManifest(_) | StoreError::TypeMismatch { .. } => told(StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            StoreError::Incomplete { what: _, digest } => {
                told(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN").detail(json!({"digest": digest}))
            }
            StoreError::Needed { tag } => {
                told(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED").detail(json!({"tag": tag})).header(hyper::header::ALLOW, "GET, HEAD")
            }
            StoreError::VolumeMissing(volumes) => {
                told(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE").detail(json!({"volumes": volumes})).logged(&error)
            }
            StoreError::Cut => told(StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            StoreError::Layout(layout::Error::TooManyImages { .. }) => told(StatusCode::INSUFFICIENT_STORAGE, "DENIED").logged(&error),
            StoreError::Layout(layout::Error::Fs(inner)) | StoreError::Fs(inner) if inner.trouble() == crate::fs::Trouble::NoSpace => {
                Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "DENIED", "there is no space left in this registry").logged(&error)
            }
            StoreError::Medium(_) | StoreError::Layout(_) | StoreError::Archive(_) | StoreError::Fs(_) => {
                let message = "the content cannot be read or written here; the log of the registry says why";
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", message).logged(&error)
            }
        }
    }
}

impl Refusal {
    fn logged(mut self, error: &StoreError) -> Refusal {
        self.inner = Some(error.to_string());
        self
    }
}

/// `0-LAST`, as clients read how far an upload is. There is no way to say that it is empty; every registry says `0-0`.
pub(super) fn reached(size: u64) -> String {
    format!("0-{}", size.saturating_sub(1))
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Answered> {
    with(status, Answered::Whole(None))
}

/// An answer with this body. Every one says which protocol this is: docker looks for it.
pub(super) fn with(status: StatusCode, body: Answered) -> Response<Answered> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response.headers_mut().insert(hyper::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

pub(super) fn json_text(status: StatusCode, text: String) -> Response<Answered> {
    typed(status, "application/json", text.into_bytes())
}

pub(super) fn typed(status: StatusCode, media_type: &str, bytes: Vec<u8>) -> Response<Answered> {
    let length = bytes.len();
    let mut response = with(status, Answered::Whole(Some(Bytes::from(bytes))));
    set(&mut response, CONTENT_TYPE, media_type);
    set(&mut response, CONTENT_LENGTH, &length.to_string());
    response
}

/// Sets a header; a value that no header can carry is left out.
pub(super) fn set(response: &mut Response<Answered>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// What content named by a digest is answered with.
pub(super) fn identify(response: &mut Response<Answered>, digest: &Digest) {
    set(response, DOCKER_CONTENT_DIGEST, &digest.to_string());
    set(response, ETAG, &format!("\"{digest}\""));
}

/// 201 for something that is now at `location`. Locations have no host: proxies and names in front cannot make them wrong.
pub(super) fn created(location: &str, digest: &Digest) -> Response<Answered> {
    let mut response = empty(StatusCode::CREATED);
    set(&mut response, LOCATION, location);
    set(&mut response, DOCKER_CONTENT_DIGEST, &digest.to_string());
    set(&mut response, CONTENT_LENGTH, "0");
    response
}
