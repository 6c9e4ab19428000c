//! What the verbs about a target's inventory fail with.

use crate::format::FormatError;
use crate::unpack::{TargetError, UnpackError};

/// Failures of looking up, checking and deleting.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A receipt in the registry cannot be read, or is not what its manifest says.
    #[error("the receipt {name} in the registry cannot be used: {why}")]
    Published {
        /// Repository and tag.
        name: String,
        /// Why.
        why: String,
    },
    /// A receipt cannot be written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The target.
    #[error("{subject}: {error}")]
    Target {
        /// Repository, with tag or digest.
        subject: String,
        /// What happened.
        error: TargetError,
    },
    /// Names at the target, or an interruption.
    #[error(transparent)]
    Place(#[from] UnpackError),
    /// The registry deletes nothing.
    #[error("{subject}: the registry does not allow deletion: {error}")]
    DeletionOff {
        /// Repository and digest.
        subject: String,
        /// Its answer.
        error: TargetError,
    },
    /// What was asked about is no image reference, digest or name.
    #[error("{0:?} is neither a reference nor a digest")]
    Asked(String),
    /// The delete list cannot be read.
    #[error("it is not a DeleteImageList: {0}")]
    List(String),
    /// An item of the delete list is of another target.
    #[error("{item} is not in {target}")]
    Elsewhere {
        /// As written.
        item: String,
        /// The target.
        target: String,
    },
}
