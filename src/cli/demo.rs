//! `sealift demo`: the whole way on one machine.

use super::{Context, Outcome};
use crate::error::Error;
use std::path::PathBuf;

/// Walks through all of it on this machine: no registry, no network
///
/// Makes two small images, a key and a trust store in a scratch folder; packs, verifies, damages a volume and shows that it
/// is found, unpacks into an OCI layout and compares the digests. Each step prints the command that does the same.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Work in this folder and leave it there
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("demo"))
}
