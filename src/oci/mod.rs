//! OCI documents as values: no files, no sockets.
//!
//! Bytes stay authoritative everywhere: a document is parsed to be *read*; what travels, is hashed and is
//! pushed are the bytes as they came (OCI image specification, "Content Descriptors").

pub mod claim;
mod descriptor;
mod manifest;
mod reference;
pub mod referrers;
mod walk;

pub use descriptor::{Descriptor, Platform};
pub use manifest::{Kind, Manifest, ManifestError, media};
pub use reference::{Reference, ReferenceError, is_repository, is_tag, keep_tag};
pub use walk::{Node, WalkError, children_first};
