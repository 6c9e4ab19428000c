//! What can be wrong with a set.

use crate::codec::frame::CodecError;
use crate::digest::Digest;
use crate::format::{FormatError, SetName};
use crate::fs::FsError;
use crate::limits;
use crate::sign::VerifyError;
use crate::text::counted;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Why no set could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// No index anywhere.
    #[error("there is no set in {}", list(.0))]
    NoSet(Vec<PathBuf>),
    /// No index anywhere, but volumes.
    #[error("{} in {}, but no index", lying(.volumes), list(.paths))]
    NoIndex {
        /// Where was looked.
        paths: Vec<PathBuf>,
        /// How many volumes lie there, by the set their names tell.
        volumes: BTreeMap<SetName, usize>,
    },
    /// More indexes than anybody carries.
    #[error("more than {} indexes lie in {}", limits::CANDIDATE_INDEXES, list(.0))]
    TooMany(Vec<PathBuf>),
    /// An index is not accepted.
    #[error("{}: {source}", .path.display())]
    NotVerified {
        /// The index.
        path: PathBuf,
        /// Why.
        source: VerifyError<FormatError>,
    },
    /// Neither copy of the contents is what the index says.
    #[error("neither copy of the contents document can be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Contents(Vec<Error>),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The first few sets, and how many more.
fn lying(volumes: &BTreeMap<SetName, usize>) -> String {
    let mut told: Vec<String> = volumes.iter().take(5).map(|(set, count)| format!("{} of {set}", counted(*count, "volume"))).collect();
    if volumes.len() > told.len() {
        told.push(format!("volumes of {}", counted(volumes.len() - told.len(), "other set")));
    }
    let one = matches!(volumes.values().collect::<Vec<_>>()[..], [1]);
    format!("{} {}", told.join(", "), if one { "lies" } else { "lie" })
}

/// Failures around volumes and documents of a set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A blob could not be read while it was being packed.
    #[error("blob {digest}: {source}")]
    Source {
        /// Which blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// The volume size leaves no room for content.
    #[error("volumes of {size} bytes are too small for this set; at least {need} are needed")]
    VolumeTooSmall {
        /// As asked for.
        size: u64,
        /// Smallest size that works.
        need: u64,
    },
    /// The compressor failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A document of the set is not valid or of another format.
    #[error("{}: {source}", .path.display())]
    Format {
        /// The document.
        path: PathBuf,
        /// Why.
        source: FormatError,
    },
    /// A document has other bytes than the signed index says.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A volume that is needed is not at hand.
    #[error("volume {0} is not here")]
    VolumeMissing(u32),
    /// The person asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Bytes of a set that are not what was signed: the thing, the fact, how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A block of a volume has another digest.
    #[error("{}: bytes {start} to {end} are not what was packed", .path.display())]
    Block {
        /// The volume file.
        path: PathBuf,
        /// First byte of the block.
        start: u64,
        /// One past its last byte.
        end: u64,
    },
    /// The drive could not read a block.
    #[error("{}: bytes {start} to {end} cannot be read: {why}", .path.display())]
    Unreadable {
        /// The volume file.
        path: PathBuf,
        /// First byte of the block.
        start: u64,
        /// One past its last byte.
        end: u64,
        /// What the system said.
        why: String,
    },
    /// The file is shorter or longer than it was written.
    #[error("{} has {found} of {expected} bytes ({}%)", .path.display(), percent(*.found, *.expected))]
    Length {
        /// The file.
        path: PathBuf,
        /// Length in the index.
        expected: u64,
        /// Length found.
        found: u64,
    },
    /// A document or other small file of the set has other bytes.
    #[error("{} is not the file that was signed for", .path.display())]
    File {
        /// The file.
        path: PathBuf,
    },
    /// Blocks are right, but they do not unfold to what the contents say: the set was made wrong.
    #[error("{}: what lies at byte {offset} does not unfold to {digest}: {why}", .path.display())]
    Frame {
        /// The volume file.
        path: PathBuf,
        /// Where the part begins.
        offset: u64,
        /// The blob.
        digest: Digest,
        /// What the decoder said.
        why: String,
    },
}

fn percent(found: u64, expected: u64) -> u64 {
    found.saturating_mul(100) / expected.max(1)
}

impl Damage {
    /// Takes `next` in where it goes on where this one ends and is the same in kind: one scratch is one thing to tell.
    pub(super) fn join(&mut self, next: &Damage) -> bool {
        match (self, next) {
            (Damage::Block { path, end, .. }, Damage::Block { path: other, start, end: last }) if path == other && end == start => {
                *end = *last;
                true
            }
            (Damage::Unreadable { path, end, why, .. }, Damage::Unreadable { path: other, start, end: last, why: said })
                if path == other && end == start && why == said =>
            {
                *end = *last;
                true
            }
            _ => false,
        }
    }

    /// Carries it through a [`io::Read`]; [`Damage::of`] takes it out again.
    pub fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// The damage inside an I/O error, if that is what it is.
    pub fn of(error: &io::Error) -> Option<&Damage> {
        error.get_ref()?.downcast_ref()
    }
}
