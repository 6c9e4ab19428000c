//! Sealift carries container images across an air gap.
//!
//! (map is completed when all modules are in)

pub mod archive;
pub mod blob;
pub mod cli;
pub mod codec;
pub mod digest;
pub mod error;
pub mod fault;
pub mod format;
pub mod fs;
pub mod image_set;
pub mod keystore;
pub mod layout;
pub mod ledger;
pub mod limits;
pub mod oci;
pub mod pack;
pub mod progress;
pub mod registry;
pub mod sign;
pub mod text;
pub mod unpack;
