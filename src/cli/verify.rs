//! `sealift verify`: is this medium good, ours, and meant for us?

use super::{Context, Outcome, values};
use crate::error::Error;
use std::path::PathBuf;

/// Checks media: is this good, ours, and meant for us?
///
/// The signature is checked first, against the keys this side trusts; then every byte of the volumes that are there against
/// the signed index, in one reading per file. Nothing is written. A volume file can be given instead of a folder: it is
/// checked alone, with the index beside it.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders or volume files of the set
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    pub paths: Vec<PathBuf>,
    /// Decode everything as well, and prove the digest of every blob
    #[arg(long)]
    pub deep: bool,
    /// Check only what lies here; volumes on other media are not missed
    #[arg(long)]
    pub this_medium: bool,
    /// Which stream, where the paths hold sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("verify"))
}
