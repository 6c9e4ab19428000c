//! What unpacking asks of a verified set.

pub use crate::archive::PartId;
use crate::digest::Digest;
use crate::format::{Contents, Index};
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Takes one part: its plain bytes, exactly, from the reader. An error ends the reading of the volume.
pub type TakePart<'a> = dyn FnMut(PartId, &mut dyn Read) -> io::Result<()> + 'a;

/// Why bytes could not be had from a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaTrouble {
    /// The bytes are not those that were signed.
    Damaged,
    /// The drive could not deliver them: unplugged, scratched.
    Unreadable,
}

/// A volume that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct MediaError {
    /// What it means.
    pub trouble: MediaTrouble,
    /// The error of the archive, for its code and remedy.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// A set whose index and contents are verified, with the volumes at hand.
pub trait Media: Sync {
    /// The index.
    fn index(&self) -> &Index;
    /// SHA-256 of the index bytes.
    fn identity(&self) -> Digest;
    /// The contents.
    fn contents(&self) -> &Contents;
    /// Numbers (from 1) of the volumes at hand.
    fn volumes_here(&self) -> &BTreeSet<u32>;
    /// Reads parts of one volume in the order of their offsets, each block verified before its bytes are used.
    ///
    /// Damage in one part comes out of that part's reader as an error; the other parts still follow. An error here
    /// means that nothing more can be read from the volume (or that `each` wanted to stop).
    fn read_parts(&self, volume: u32, wanted: &[PartId], each: &mut TakePart<'_>) -> Result<(), MediaError>;
    /// What an error that came out of a part's reader means.
    fn trouble(&self, error: &io::Error) -> MediaTrouble;
}
