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
            GatherError::Fbc(inner) => inner.into(),
            GatherError::Name(inner) => inner.into(),
        }
    }
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
