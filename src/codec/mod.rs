//! Bytes to smaller bytes and back; pure.

#![deny(clippy::indexing_slicing)]

pub mod frame;
