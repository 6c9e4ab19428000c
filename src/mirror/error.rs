//! What mirroring can fail with: the whole run, or one image of it.

use super::MirrorReport;
use crate::format::FormatError;
use crate::ledger::LedgerError;
use crate::pack::{self, Reason};
use crate::unpack::{ImageError, UnpackError};
use std::sync::Arc;

/// What ends a plan or a run.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The target, the names at it, or the person who asked to stop.
    #[error(transparent)]
    Target(#[from] UnpackError),
    /// The plan, or a source that cannot be opened.
    #[error(transparent)]
    Plan(#[from] pack::Error),
    /// The log.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The receipt.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// Why one image is not whole at the target. The others go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageFailure {
    /// Its source, or the workspace on the way; shared by all images it concerns.
    #[error("{0}")]
    Source(Arc<Reason>),
    /// The target.
    #[error(transparent)]
    Target(#[from] ImageError),
    /// It is a catalog, and images it may name failed.
    #[error("it waits until every other image is in")]
    HeldBack,
}

/// A run that ended early. What was pushed stays pushed; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// Why.
    pub error: MirrorError,
    /// How far it came; `None` when it ended before anything was done.
    pub report: Option<Box<MirrorReport>>,
}
