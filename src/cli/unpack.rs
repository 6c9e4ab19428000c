//! `sealift unpack`: from media into the inner registry.

use super::{Context, Outcome, options, values};
use crate::error::Error;
use std::path::PathBuf;

/// Verifies a set and pushes it into a registry or an OCI layout
///
/// Each image is pushed as soon as it is whole: blobs, then manifests, the tag last. Nothing unproven reaches the target.
/// Media may be given in any order, together or one run after the other, and are only read. What is already there is not
/// pushed again; a stopped run goes on when the same command is given again. No tag is moved back by an older set.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders or volume files of the set
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    pub paths: Vec<PathBuf>,
    /// Where to.
    // Not in the comment: rustdoc would read the brackets as links.
    #[arg(long, help = "Target: host[:port][/prefix], or oci:FOLDER for an OCI layout", value_name = "TARGET", value_parser = values::destination)]
    pub to: values::Destination,
    /// Accept the first set of a stream for this target; without effect afterwards
    #[arg(long)]
    pub first: bool,
    /// Only images whose name in the set matches; * stands for any characters. May be given several times
    #[arg(long = "image", value_name = "PATTERN")]
    pub images: Vec<String>,
    /// Which stream, where the paths hold sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
    /// Verify and say what would be pushed, but push nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write a receipt of what the target holds now to this file
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Which key signs the receipt.
    #[command(flatten)]
    pub signing: options::Signing,
    /// Flatten repository names to this many path components below the prefix, for registries that take no deeper ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub max_nested_paths: Option<u8>,
    /// How the target is spoken to.
    #[command(flatten)]
    pub target: options::Target,
    /// Folder for proven blobs on their way (default: in the state folder)
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub spool: Option<PathBuf>,
    /// Most bytes to spool: 16GB (default: a quarter of what is free, at most 16 GB)
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Files")]
    pub spool_size: Option<u64>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("unpack"))
}
