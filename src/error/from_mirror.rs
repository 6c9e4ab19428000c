//! Mirroring: a whole run, and single images of it.

use super::Error;
use crate::mirror::{ImageFailure, MirrorError};
use crate::unpack::UnpackError;

impl From<&MirrorError> for Error {
    fn from(error: &MirrorError) -> Error {
        match error {
            MirrorError::Target(inner) => match inner {
                UnpackError::Collision(_) => Error {
                    remedy: "give a larger --max-nested-paths, or one of them another targetRepo or targetTag in the ImageSet".into(),
                    ..Error::from(inner)
                },
                inner => inner.into(),
            },
            MirrorError::Plan(inner) => inner.into(),
            MirrorError::Ledger(inner) => inner.into(),
            MirrorError::Format(inner) => inner.into(),
        }
    }
}

impl From<&ImageFailure> for Error {
    fn from(failure: &ImageFailure) -> Error {
        match failure {
            ImageFailure::Source(reason) => reason.as_ref().into(),
            ImageFailure::Target(inner) => inner.into(),
            ImageFailure::HeldBack => Error::new(super::Code::Partial, failure.to_string())
                .remedy("mend what is told of the other images and run the same command again, or give --keep-going"),
        }
    }
}
