//! What can keep a set from being packed.

use crate::format::Image;
use crate::image_set::Collision;
use crate::origin::{FetchError, OriginError};
use crate::{archive, codec, format, fs, layout, ledger, sign};
use std::fmt::Display;
use std::io;
use std::path::PathBuf;

/// One image that could not be packed.
#[derive(Debug)]
pub struct Failure {
    /// As asked for.
    pub name: String,
    /// Why.
    pub reason: Reason,
    /// What it is part of (`partOf` of images).
    pub part_of: Vec<String>,
}

/// As many of those that need an image are named.
const NEEDED_BY: usize = 4;

impl Failure {
    /// Of an image that was resolved.
    pub fn of(image: &Image, reason: Reason) -> Failure {
        Failure { name: image.source.clone(), reason, part_of: image.part_of.clone() }
    }

    /// Why, and what it means for those who will use the rest: a catalog offers a bundle whether its images are there or not.
    pub fn told(&self, why: impl Display) -> String {
        let parts = self.part_of.iter().take(NEEDED_BY).map(|part| match part.split(' ').collect::<Vec<_>>()[..] {
            ["operator", catalog, _, bundle, ..] => format!("{bundle} needs it, which {catalog} offers all the same"),
            _ => format!("{part} needs it"),
        });
        let more = self.part_of.len().saturating_sub(NEEDED_BY);
        let more = (more > 0).then(|| format!("{more} more need it"));
        [why.to_string()].into_iter().chain(parts).chain(more).collect::<Vec<_>>().join("; ")
    }
}

/// Why one image could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// Its source.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The workspace, while a blob was stored: the disk, or wrong bytes from the source.
    #[error(transparent)]
    Workspace(#[from] layout::Error),
    /// It shares a blob that failed for another image.
    #[error("it needs {0}, which could not be fetched")]
    Shared(crate::digest::Digest),
    /// A blob broke off while it was read from its source.
    #[error("{0}")]
    Read(io::Error),
    /// The signature policy does not accept it.
    #[error(transparent)]
    Policy(crate::policy::Refused),
}

impl From<FetchError> for Reason {
    fn from(error: FetchError) -> Reason {
        match error {
            FetchError::Origin(error) => Reason::Origin(error),
            FetchError::Workspace(error) => Reason::Workspace(error),
            FetchError::Read(error) => Reason::Read(error),
        }
    }
}

/// Failures of [`super::plan()`] and [`super::run()`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is left to pack.
    #[error("there is nothing to pack")]
    Nothing,
    /// Two images would get one name.
    #[error(transparent)]
    Collision(#[from] Box<Collision>),
    /// Some images could not be packed, and that was not allowed.
    #[error("{} of {} cannot be packed: {}", .failures.len(), crate::text::counted(*.total, "image"), .failures.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", "))]
    Failed {
        /// All of them.
        failures: Vec<Failure>,
        /// How many were asked for.
        total: usize,
    },
    /// Too little room for the volumes.
    #[error("{} has {free} bytes free, the set may take {need}", .path.display())]
    NoSpace {
        /// The output folder.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Upper bound of what will be written.
        need: u64,
    },
    /// Stream and sequence together are too long for file names, or the stream is not one.
    #[error("{stream:?} with sequence {sequence} does not make a file name")]
    Name {
        /// As asked for.
        stream: String,
        /// As chosen.
        sequence: u64,
    },
    /// What travels beside the images would make a set that no reader takes.
    #[error("the documents beside the images cannot be carried: {0}")]
    Documents(String),
    /// The saved plan was made by another version or is not a plan.
    #[error("it is not a plan of this version: {0}")]
    Plan(String),
    /// The set exists with other content.
    #[error("{} exists already and is another set", .0.display())]
    Exists(PathBuf),
    /// The set is nowhere, or unsigned where a signature is needed.
    #[error("there is no set {name} in {}", .path.display())]
    NoSet {
        /// Stream, or stream and sequence.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// It has as many signatures as a reader looks at.
    #[error("{} has {} signatures already, and no reader looks at more", .0.display(), crate::limits::SIGNATURES)]
    Signatures(PathBuf),
    /// Signatures of its images are documents of the set, which have a limit together.
    #[error("the lookasides have more signatures of its images than a set can carry: all its documents are at most {limit} bytes")]
    TooManySignatures {
        /// The most bytes of documents.
        limit: u64,
    },
    /// Volumes and documents.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// What was written does not read back.
    #[error("what was written does not read back: {0}")]
    ReadBack(archive::Damage),
    /// What was written cannot be opened again.
    #[error("what was written cannot be opened again: {0}")]
    Reopen(#[source] archive::OpenError),
    /// A document cannot be written.
    #[error(transparent)]
    Format(#[from] format::FormatError),
    /// What the workspace kept is not what was put into it, and was not better after it was fetched again.
    #[error("{} is damaged: {wrong}", .path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// In what way.
        wrong: crate::blob::Wrong,
    },
    /// The workspace.
    #[error(transparent)]
    Workspace(#[from] layout::Error),
    /// The compressor.
    #[error(transparent)]
    Codec(#[from] codec::frame::CodecError),
    /// Files.
    #[error(transparent)]
    Fs(#[from] fs::FsError),
    /// The ledger of issued sequences.
    #[error(transparent)]
    Ledger(#[from] ledger::LedgerError),
    /// The key.
    #[error(transparent)]
    Sign(#[from] sign::SignError),
    /// The person asked to stop.
    #[error("interrupted")]
    Interrupted,
}
