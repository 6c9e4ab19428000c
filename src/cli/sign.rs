//! `sealift sign`: one more signature.

use super::{Context, Outcome, options, values};
use crate::error::Error;
use std::path::PathBuf;

/// Adds a signature to a set that pack has written
///
/// Any number of people can sign, on any host that can read the set; what counts is demanded by the side that unpacks
/// (`sealift trust min-signatures`). The first signature makes the set complete.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of the set
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Which key signs.
    #[command(flatten)]
    pub signing: options::Signing,
    /// Which stream, where the folder holds sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("sign"))
}
