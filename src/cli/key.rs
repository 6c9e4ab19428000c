//! `sealift key`: signing keys.

use super::{Context, Outcome, values};
use crate::error::Error;
use clap::Subcommand;
use std::path::PathBuf;

/// Makes and shows signing keys
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `sealift key` does.
#[derive(Subcommand, Debug)]
pub enum Action {
    /// Make an Ed25519 key pair
    ///
    /// The key is stored in the OpenSSH format, readable by its owner only, beside its public half NAME.pub. The public half
    /// goes to the disconnected side by a way both trust, and is trusted there with `sealift trust add`. An existing key is
    /// never overwritten.
    Generate(Generate),
    /// Show stored keys: name, type, fingerprint, public half
    Show(Show),
}

/// Arguments of `sealift key generate`.
#[derive(clap::Args, Debug)]
pub struct Generate {
    /// Name to store the key under
    #[arg(value_name = "NAME", value_parser = values::key_name)]
    pub name: String,
    /// Encrypt the key with a passphrase: SEALIFT_PASSPHRASE, or asked for on the terminal
    #[arg(long)]
    pub with_passphrase: bool,
    /// Encrypt the key with the first line of this file
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `sealift key show`.
#[derive(clap::Args, Debug)]
pub struct Show {
    /// Only this key
    #[arg(value_name = "NAME", value_parser = values::key_name)]
    pub name: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("key"))
}
