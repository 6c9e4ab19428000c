//! The program as a whole, and what holds for all of its parts: one test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod catalogs;
mod cli;
mod crash_layout;
mod delete;
mod demo;
mod demo_images;
mod image_sets;
mod keys;
mod layers;
mod lookasides;
mod manual;
mod mirror;
mod openshift;
mod openshift_refusals;
mod openshift_world;
mod pack_again;
mod pack_disk;
mod pack_journey;
mod pack_kill;
mod pack_media;
mod pack_sources;
mod policies;
mod preflight;
mod proxy;
mod real_registries;
mod rebuilt_images;
mod referrers;
mod registries_conf;
mod registry_client;
mod registry_servers;
mod release_signatures;
mod resources;
mod serve;
mod serve_access;
mod serve_push;
mod serve_starts;
mod sick_lines;
mod ssh;
mod static_binary;
mod stores;
mod unpack_hosts;
mod unpack_kill;
mod unpack_ledger;
mod unpack_media;
mod unpack_refusals;
mod unpack_target;
mod unpack_volumes;
mod unpack_whole;
mod verify_release;
mod web_documents;
