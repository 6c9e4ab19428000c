//! Tests of whole promises, over the public interface.

mod image_sets;
#[path = "../support/mod.rs"]
mod support;
