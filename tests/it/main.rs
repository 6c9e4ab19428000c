//! The program as a whole, and what holds for all of its parts: one test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod layers;
mod registry_client;
mod registry_servers;
mod static_binary;
mod stores;
