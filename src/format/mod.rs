//! Our own bytes, one file per section of `sealift-archive(5)`: names, index, contents, volume, receipt, ledger.
//!
//! Pure: documents in, values out. The strict reading of a document is here and nowhere else; whether it may be
//! read at all is decided in [`crate::sign`].

#![deny(clippy::indexing_slicing)]

mod contents;
mod index;
mod ledger;
mod names;
mod purpose;
mod receipt;
mod relations;
pub mod volume;

pub use contents::{Blob, Commit, Contents, Frame, Image, ManifestData, Manifests, Part, Root, STORED};
pub use index::{ContentsRef, FileRef, Index, Missing, Producer, SCHEMA, VolumeRef, block_size};
pub use ledger::{Fork, LedgerBook, SetId, Standing, Writer};
pub use names::{Kind as FileKind, SetName, is_stream};
pub use purpose::{Document, DocumentKind, Made, Role, SignatureName, check_documents, image_signatures, in_order};
pub use receipt::{Brought, Completeness, Holding, Receipt, ReceiptImage, SkippedTag};
pub use relations::referrers;

use std::collections::BTreeMap;

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

/// Reads an object of texts and refuses a name that is given twice: readers differ in which one they take.
fn each_once<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct EachOnce;
    impl<'de> serde::de::Visitor<'de> for EachOnce {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = members.next_entry::<String, String>()? {
                if map.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("a name is given twice"));
                }
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(EachOnce)
}

/// The first look at any document: schema and required features, before its members are interpreted.
fn admit(document: &'static str, bytes: &[u8], known: &[&str]) -> Result<(), FormatError> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: u64,
        /// Of any shape until the schema is known.
        #[serde(default)]
        requires: Option<serde_json::Value>,
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed(document, e))?;
    if head.schema != SCHEMA {
        return Err(FormatError::Schema(head.schema));
    }
    let requires = head.requires.map(serde_json::from_value::<Vec<String>>).transpose();
    let requires = requires.map_err(|e| FormatError::malformed(document, format!("requires: {e}")))?.unwrap_or_default();
    match requires.into_iter().find(|feature| !known.contains(&feature.as_str())) {
        Some(feature) => Err(FormatError::Requires(crate::text::shown(&feature).to_string())),
        None => Ok(()),
    }
}
