//! Our own bytes, one file per section of `sealift-archive(5)`: names, index, contents, volume, receipt, ledger.
//!
//! Pure: documents in, values out. The strict reading of a document is here and nowhere else; whether it may be
//! read at all is decided in [`crate::sign`].

#![deny(clippy::indexing_slicing)]

mod contents;
mod index;
mod ledger;
mod names;
mod receipt;
pub mod volume;

pub use contents::{Blob, Commit, Contents, Frame, Image, ManifestData, Part, Root, STORED};
pub use index::{ContentsRef, FileRef, Index, Missing, Producer, SCHEMA, VolumeRef, block_size};
pub use ledger::{Fork, LedgerBook, SetId, Standing, Writer};
pub use names::{Kind as FileKind, SetName, is_stream};
pub use receipt::{Completeness, Holding, Receipt, ReceiptImage, SkippedTag};

/// Why a document of the archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Made by a later version: an unknown schema.
    #[error("it has schema {0}, this version reads schema {SCHEMA}")]
    Schema(u64),
    /// Needs something this version does not have. Refused by name before anything else is done.
    #[error("it requires {0:?}, which this version does not know")]
    Requires(String),
    /// Not a document of this kind.
    #[error("it is not a valid {document}: {why}")]
    Malformed {
        /// `index` or `contents` ...
        document: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl FormatError {
    pub(crate) fn malformed(document: &'static str, why: impl ToString) -> FormatError {
        FormatError::Malformed { document, why: why.to_string() }
    }
}

/// The first look at any document: schema and required features, before its members are interpreted.
fn admit(document: &'static str, bytes: &[u8], known: &[&str]) -> Result<(), FormatError> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: u64,
        #[serde(default)]
        requires: Vec<String>,
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed(document, e))?;
    if head.schema != SCHEMA {
        return Err(FormatError::Schema(head.schema));
    }
    match head.requires.into_iter().find(|feature| !known.contains(&feature.as_str())) {
        Some(feature) => Err(FormatError::Requires(crate::text::shown(&feature).to_string())),
        None => Ok(()),
    }
}
