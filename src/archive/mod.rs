//! Volumes on disk: written exactly to size, read only through the block table of a verified index.

mod at_hand;
mod blob_reader;
mod blocks;
mod error;
mod open;
mod parts;
mod places;
mod proven;
mod reader;
mod turns;
mod writer;

pub use blob_reader::{BlobReader, Decoders};
pub use error::{Damage, Error, OpenError};
pub use open::{OpenSet, Remark, open};
pub use parts::{Checked, PartId};
pub use places::set_named;
pub use writer::{Finished, Piece, VolumeSpec, Writer, smallest_volume};
