//! What can be wrong with a set.

use crate::codec::frame::CodecError;
use crate::digest::Digest;
use crate::format::FormatError;
use crate::fs::FsError;
use std::io;
use std::path::PathBuf;

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
