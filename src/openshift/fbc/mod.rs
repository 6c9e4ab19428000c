//! File-based operator catalogs: read, filtered as an ImageSet asks, completed by what kept operators depend on, written anew.
//!
//! Two readings. [`Catalog::read`] goes through all files once and keeps names, versions, images and places; [`filter()`] decides on
//! that; [`write()`] goes through the files again and writes out what is kept, package by package. Neither holds more than an index
//! and one package at a time.

mod closure;
mod emit;
mod error;
mod filter;
mod folder;
mod graph;
mod ignore_files;
mod index;
mod object;
mod package;
mod require;
mod selection;
mod shape;
mod split;
mod version;
mod write;

pub use closure::{Need, State};
pub use error::{Fault, FbcError, LeftOut, Place};
pub use filter::{Kept, KeptBundle, KeptChannel, KeptPackage, Options, filter};
pub use folder::Folder;
pub use index::Catalog;
pub use package::{Bundle, Channel, Package};
pub use require::{Gvk, Requirement};
pub use version::Range;
pub use write::write;

#[cfg(test)]
mod tests;
