//! What several tests share.

pub mod data;
