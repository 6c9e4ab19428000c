//! What unpacking can fail with: the whole run, or one image of it.

use super::media::MediaTrouble;
use super::target::TargetError;
use crate::digest::Digest;
use crate::format::FormatError;
use crate::fs::FsError;
use crate::image_set::Collision;
use crate::ledger::LedgerError;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What ends a plan or a run.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The ledger refuses the set (fork, first set of a stream) or cannot be kept.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The target cannot be used any further.
    #[error("{subject}: {error}")]
    Target {
        /// Repository, with tag or digest.
        subject: String,
        /// What happened.
        error: TargetError,
    },
    /// The spool cannot be written or read.
    #[error(transparent)]
    Spool(#[from] FsError),
    /// A blob lies on several media that are not all here, and is larger than the spool that has to keep its parts.
    #[error("blob {digest} has {size} bytes and lies on several volumes; the spool may take {spool_size}")]
    SpoolTooSmall {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// What the spool may take (`--spool-size`).
        spool_size: u64,
        /// The volumes it lies on.
        volumes: BTreeSet<u32>,
    },
    /// The spool needs more than its disk has.
    #[error("the spool in {} needs {needed} more bytes, {free} are free", .path.display())]
    SpoolSpace {
        /// The spool directory.
        path: PathBuf,
        /// Bytes needed beyond what it holds already.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The target has not enough space.
    #[error("{target} needs {needed} more bytes, {free} are free")]
    TargetSpace {
        /// The target.
        target: String,
        /// Bytes to be moved.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// No image of the set is called so.
    #[error("no image of the set matches {pattern:?}")]
    NothingSelected {
        /// The pattern.
        pattern: String,
    },
    /// The prefix and a repository make no name.
    #[error("{repository:?} is not a repository name")]
    Name {
        /// The name they would make.
        repository: String,
    },
    /// Flattened to so few components, names would not lie below the prefix any more.
    #[error("{max_nested_paths} path components leave no room below the prefix {prefix:?}")]
    NoRoom {
        /// The prefix.
        prefix: String,
        /// As asked for.
        max_nested_paths: usize,
    },
    /// The plan was made for another set or another target.
    #[error("the plan is for {planned}, this is {here}")]
    OtherPlan {
        /// What the plan was made for.
        planned: String,
        /// What is here.
        here: String,
    },
    /// The ledger has changed since the plan was made: a newer set may have written the tags.
    #[error("the plan is out of date: the ledger of {target} has changed since")]
    StalePlan {
        /// The target.
        target: String,
    },
    /// Two images would land on one name once their repositories are flattened.
    #[error(transparent)]
    Collision(Box<Collision>),
    /// The contents cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The person asked to stop; the next run goes on from here.
    #[error("interrupted; the next run goes on from here")]
    Interrupted,
}

/// Why one image could not be completed though its content was there. The other images go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ImageError {
    /// The target refused a blob or a manifest of it.
    #[error("{subject}: {error}")]
    Target {
        /// Repository, with tag or digest.
        subject: String,
        /// What happened; shared by all images it concerns.
        error: std::sync::Arc<TargetError>,
    },
    /// The target takes an index only with all its members (distribution: `validation.manifests.indexes.platforms`, Quay:
    /// `FEATURE_SPARSE_INDEX`), and the set has several of them but not all, so that none can stand for the whole.
    #[error("the target takes index {digest} only with all its members, and {absent} of them are not in the set: {error}")]
    SparseRefused {
        /// The index.
        digest: Digest,
        /// Members that are not in the set.
        absent: usize,
        /// The refusal.
        error: std::sync::Arc<TargetError>,
    },
    /// It is there, and cannot be found from what it refers to.
    #[error("it is in {repository}, but not listed as referring to {subject}: {why}")]
    Unlisted {
        /// The repository at the target.
        repository: String,
        /// What it refers to.
        subject: Digest,
        /// What is in the way.
        why: String,
    },
}

/// Part of a blob that could not be read from a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The volume.
    pub volume: u32,
    /// The blob.
    pub digest: Digest,
    /// What it means.
    pub trouble: MediaTrouble,
    /// The archive's words.
    pub why: String,
    /// Images that need the blob (`repository:tag`).
    pub images: Vec<String>,
}
