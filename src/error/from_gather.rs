//! What is told when an ImageSet cannot be worked out, and when a document cannot be had.

use super::{Code, Error, Side, layout};
use crate::gather::GatherError;
use crate::web::WebError;

impl From<&GatherError> for Error {
    fn from(error: &GatherError) -> Error {
        match error {
            GatherError::Interrupted => Error::interrupted(),
            GatherError::Origin(inner) => inner.into(),
            GatherError::Web(inner) => inner.into(),
            GatherError::Workspace(inner) => layout(inner, Side::Target),
            GatherError::Fs(inner) => inner.into(),
            GatherError::Source(inner) => inner.into(),
            GatherError::GraphImage(inner) => inner.into(),
            GatherError::Catalog(inner) => inner.into(),
            GatherError::Helm(inner) => inner.into(),
            GatherError::Graph { url: _, channel: _, architecture: _, error: inner } => told_of(error, inner.into()),
            GatherError::Select(inner) => inner.into(),
            GatherError::NoRelease { version: _, channels: _, architecture: _, nearest: _ } => {
                Error::new(Code::ContentNotFound, error.to_string())
            }
            GatherError::NotARelease(_) => Error::new(Code::BadReference, error.to_string())
                .remedy("write release:4.17.2, or release:HOST/PATH:TAG, or release:HOST/PATH@DIGEST"),
            GatherError::Keys(inner) => inner.into(),
            GatherError::Signature(inner) => inner.into(),
            GatherError::Release { image: _, error: inner } => told_of(error, inner.into()),
            GatherError::OtherRelease { image: _, expected: _, found: _ } => Error::new(Code::ContentInvalid, error.to_string())
                .remedy("take the release by digest from a source you trust; this source gives another one under that name"),
            GatherError::Fbc(inner) => inner.into(),
            GatherError::Name(inner) => inner.into(),
        }
    }
}

/// The meaning of the inner error, in the words of the outer one.
fn told_of(outer: &GatherError, inner: Error) -> Error {
    Error { what: outer.to_string(), ..inner }
}

impl From<&WebError> for Error {
    fn from(error: &WebError) -> Error {
        let told = |code| Error::new(code, error.to_string());
        match error {
            WebError::Url(_) => told(Code::Usage).remedy("correct the address"),
            WebError::NotFound(_) => told(Code::ContentNotFound).remedy("correct the address, or take the document from another place"),
            WebError::Refused { .. } => told(Code::LoginRefused),
            WebError::Status { .. } | WebError::Unreachable { .. } => told(Code::RegistryUnreachable)
                .remedy("check that this machine reaches that address (proxy: HTTPS_PROXY), then run the same command again"),
            WebError::TooLong { .. } => told(Code::ContentInvalid).remedy("the address gives something else than asked for: correct it"),
            WebError::Cancelled => Error::interrupted(),
        }
    }
}
