//! OpenShift: releases and their update graph, release signatures, operator catalogs, the graph image.
//!
//! Images come through [`crate::origin`], documents through [`crate::web`], what is made goes into the workspace layout.

pub mod build;
pub mod catalog;
pub mod fbc;
pub mod files;
pub mod graph;
pub mod graph_image;
pub mod release;
pub mod signature;
