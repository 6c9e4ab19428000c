//! What the user asked for: the strict reader of `ImageSetConfiguration` v2alpha1, the model it fills, and the names
//! content gets at the destination. Pure: bytes in, values out.
//!
//! Order of reading: a tree of values with their places ([`crate::yaml`]), the grammar (`read`), rules for and between values (`check`).
//! A file that works with oc-mirror v2 works here; what is refused says line, field, fault and what would be right.

mod blocked;
mod check;
mod destination;
mod error;
mod model;
mod read;
mod shape;
mod size;
mod source;

pub use blocked::Blocked;
pub use destination::{Collision, Destination, DestinationError, find_collision, max_nested_paths};
pub use error::{ImageSetError, Kind, Notice, Problem};
pub use model::{
    AdditionalImage, Channel, ChannelType, Chart, ChartRepository, DeleteSet, Helm, ImageSet, LocalChart, Operator, Package,
    PackageChannel, Releases, VersionRange,
};
pub use size::{SizeError, parse_bytes, parse_size, volume_size};
pub use source::{Source, SourceError};

use crate::limits;
use crate::yaml::{self, Bounds, Node};
use read::Reader;

impl ImageSet {
    /// Reads an `ImageSetConfiguration`, YAML or JSON.
    ///
    /// Accepted as by oc-mirror v2: keys in any letter case, `yes/no/on/off` for true and false (YAML 1.1), merge keys,
    /// only the first YAML document, any `apiVersion`. The notices say what was read but does not do what it seems to.
    /// A `DeleteImageSetConfiguration` is refused as such; [`DeleteSet::parse`] reads it.
    pub fn parse(bytes: &[u8]) -> Result<(ImageSet, Vec<Notice>), ImageSetError> {
        run(bytes, Reader::image_set)
    }
}

impl DeleteSet {
    /// Reads a `DeleteImageSetConfiguration`, by the same rules as [`ImageSet::parse`].
    pub fn parse(bytes: &[u8]) -> Result<(DeleteSet, Vec<Notice>), ImageSetError> {
        run(bytes, Reader::delete_set)
    }
}

const BOUNDS: Bounds = Bounds { values: limits::IMAGE_SET_VALUES, text: limits::IMAGE_SET_TEXT, brackets: 1000, any_case: true };

/// Builds the tree, reads it, and finds the lines of whatever has to be reported.
fn run<T>(bytes: &[u8], read: impl FnOnce(&mut Reader, &Node) -> Result<T, error::Fault>) -> Result<(T, Vec<Notice>), ImageSetError> {
    if bytes.len() as u64 > limits::IMAGE_SET_BYTES {
        return Err(ImageSetError { line: None, field: String::new(), problem: Problem::TooLarge });
    }
    // The byte order mark some editors write; the parsers do not all know it.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document = yaml::parse(bytes, BOUNDS)?;
    let mut reader = Reader::default();
    let read = read(&mut reader, &document.root);
    let line = |place| document.line_of(bytes, place);
    let value = read.map_err(|fault| fault.located(line))?;
    let mut notices: Vec<Notice> = reader.notices().into_iter().map(|note| note.located(line)).collect();
    if document.more_documents {
        let text = "only the first YAML document of the file is read, as oc-mirror does; there are more".to_owned();
        notices.push(Notice { line: None, field: String::new(), text });
    }
    Ok((value, notices))
}

#[cfg(test)]
mod tests;
