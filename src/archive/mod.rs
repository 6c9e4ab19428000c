//! Volumes on disk: written exactly to size, read only through the block table of a verified index.

mod blocks;
mod error;
mod open;
mod parts;
mod reader;
mod writer;

pub use error::{Damage, Error};
pub use open::{OpenError, OpenSet, Remark, open, set_named};
pub use parts::{Checked, PartId};
pub use writer::{Finished, Piece, VolumeSpec, Writer, smallest_volume};
