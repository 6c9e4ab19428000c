//! Volumes on disk: written exactly to size, read only through the block table of a verified index.

mod blocks;
mod error;
mod writer;

pub use error::{Damage, Error};
pub use writer::{Finished, Piece, VolumeSpec, Writer, smallest_volume};
