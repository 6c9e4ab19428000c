//! `sealift list`: what there is to be asked for.

mod minors;
pub mod operators;
pub mod releases;
pub mod tags;

use super::{Context, Outcome};
use crate::error::Error;
use clap::Subcommand;

/// Lists what there is to be asked for
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Of what
    #[command(subcommand)]
    pub what: What,
}

/// What can be listed.
#[derive(Subcommand, Debug)]
#[allow(missing_docs)]
pub enum What {
    Releases(releases::Args),
    Operators(operators::Args),
    Tags(tags::Args),
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    match args.what {
        What::Releases(args) => releases::run(args, ctx),
        What::Operators(args) => operators::run(args, ctx),
        What::Tags(args) => tags::run(args, ctx),
    }
}
