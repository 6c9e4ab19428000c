//! `sealift plan`: what a pack would carry.

use super::{Context, Outcome, options};
use crate::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

/// Shows what a pack would carry, without carrying it
///
/// Tags are looked up and pinned to digests; images, blobs, volumes and bytes are printed. A plan saved with -o can be given
/// to pack in place of the wishes: it then carries exactly that, today or next week, here or on a second person's machine.
#[derive(clap::Args, Debug)]
#[command(after_help = WISHES)]
pub struct Args {
    /// What to carry: an ImageSet file, a saved plan, or references
    #[arg(value_name = "WISH", required = true, num_args = 1..)]
    pub wishes: Vec<OsString>,
    /// Save the plan to this file
    #[arg(short, long, value_name = "FILE", help_heading = "Files")]
    pub output: Option<PathBuf>,
    /// What the set is called and meant for.
    #[command(flatten)]
    pub identity: options::Identity,
    /// What is taken of the images.
    #[command(flatten)]
    pub selection: options::Selection,
    /// How images become volumes.
    #[command(flatten)]
    pub shape: options::Shape,
    /// How sources are spoken to.
    #[command(flatten)]
    pub source: options::Source,
    /// Where work in progress lies.
    #[command(flatten)]
    pub workspace: options::Workspace,
}

/// What a wish can be; `pack` says the same.
pub const WISHES: &str = "\
A WISH that ends in .json is a saved plan; an existing file, or what ends in .yaml or .yml, is an ImageSetConfiguration \
(mirror.openshift.io/v2alpha1); oci:FOLDER[:TAG] is an image in an OCI layout; anything else is a reference such as \
quay.io/org/name:1.2 or docker.io/library/nginx@sha256:HEX. Several references may be given.";

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("plan"))
}
