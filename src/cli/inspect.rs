//! `sealift inspect`: what a set holds.

use super::{Context, Outcome, values};
use crate::error::Error;
use std::path::PathBuf;

/// Shows what a set holds
///
/// Signature and index are checked as by verify, volumes are not read. What is printed comes from the signed index and the
/// contents it binds.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of the set, its index, or one of its volumes
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// List the images
    #[arg(long)]
    pub images: bool,
    /// List the blobs with size, encoding and place
    #[arg(long)]
    pub blobs: bool,
    /// List the volumes with size and digest
    #[arg(long)]
    pub volumes: bool,
    /// List the signatures and what this side thinks of them
    #[arg(long)]
    pub signatures: bool,
    /// Which stream, where the path holds sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("inspect"))
}
