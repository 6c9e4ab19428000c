//! `sealift list`: what there is to be carried.

pub mod tags;

use super::{Context, Outcome};
use crate::error::Error;

/// Lists what registries offer
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to list.
    #[command(subcommand)]
    pub what: What,
}

/// What can be listed.
#[derive(clap::Subcommand, Debug)]
#[allow(missing_docs)]
pub enum What {
    Tags(tags::Args),
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    match args.what {
        What::Tags(args) => tags::run(args, ctx),
    }
}
