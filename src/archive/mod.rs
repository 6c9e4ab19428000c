//! Volumes on disk: written exactly to size, read only through the block table of a verified index.

mod blob_reader;
mod blocks;
mod error;
mod open;
mod parts;
mod proven;
mod reader;
mod writer;

pub use blob_reader::BlobReader;
pub use error::{Damage, Error};
pub use open::{OpenError, OpenSet, Remark, open, set_named};
pub use parts::{Checked, PartId};
pub use writer::{Finished, Piece, VolumeSpec, Writer, smallest_volume};
