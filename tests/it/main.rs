//! The program seen from outside, in one test binary: one module per subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
mod manual;
