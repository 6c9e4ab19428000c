//! The program as a whole, and what holds for all of its parts: one test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod crash_layout;
mod layers;
mod static_binary;
mod stores;
//! Tests of promises that take more than one module, other people's tools, or a whole process.

mod ssh;
//! Tests of whole promises, over the public interface.

mod image_sets;
#[path = "../support/mod.rs"]
mod support;
//! The program seen from outside, in one test binary: one module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
mod manual;
