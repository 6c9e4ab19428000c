//! `sealift trust`: whose signatures this side accepts, and for what.

use super::{Context, Outcome, values};
use crate::error::Error;
use clap::Subcommand;

/// Says whose signatures this side accepts, and for what
///
/// The trust store is the OpenSSH file allowed_signers in the configuration folder, which `ssh-keygen -Y verify` reads as
/// well, with a list of revoked keys and a file of thresholds and the site's label beside it.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What `sealift trust` does.
#[derive(Subcommand, Debug)]
pub enum Action {
    /// Accept signatures of a key for some streams
    Add(Add),
    /// List trusted keys, thresholds, revoked keys and this site's label
    List,
    /// Stop trusting a key, by its fingerprint or its line number in the list
    Remove(Remove),
    /// Refuse a key for ever, whatever else trusts it
    Revoke(Revoke),
    /// Demand signatures of several owners for a stream
    MinSignatures(MinSignatures),
    /// Set the label of this site: sets meant for other sites are refused
    Audience(Audience),
}

/// Arguments of `sealift trust add`.
#[derive(clap::Args, Debug)]
pub struct Add {
    /// Streams the key may speak for, separated by commas: stream:ocp4,stream:tools-*
    #[arg(value_name = "PRINCIPALS")]
    pub principals: String,
    /// A .pub file, or a quoted public key line (ssh-ed25519 AAAA... comment)
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Who owns the key (default: the key's comment). Several keys of one owner count as one signature
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
}

/// Arguments of `sealift trust remove`.
#[derive(clap::Args, Debug)]
pub struct Remove {
    /// Fingerprint (SHA256:...) or line number
    #[arg(value_name = "FINGERPRINT|LINE")]
    pub which: String,
}

/// Arguments of `sealift trust revoke`.
#[derive(clap::Args, Debug)]
pub struct Revoke {
    /// A .pub file, a quoted public key line, or the fingerprint of a trusted key
    #[arg(value_name = "KEY")]
    pub key: String,
}

/// Arguments of `sealift trust min-signatures`.
#[derive(clap::Args, Debug)]
pub struct MinSignatures {
    /// The stream
    #[arg(value_name = "STREAM", value_parser = values::stream)]
    pub stream: String,
    /// Distinct keys of distinct owners that must have signed, 1 to 16
    #[arg(value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub number: u8,
}

/// Arguments of `sealift trust audience`.
#[derive(clap::Args, Debug)]
pub struct Audience {
    /// The label
    #[arg(value_name = "LABEL", required_unless_present = "clear", conflicts_with = "clear")]
    pub label: Option<String>,
    /// Remove the label: sets that name an audience are refused then
    #[arg(long)]
    pub clear: bool,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let _ = (args, ctx);
    Err(super::not_linked("trust"))
}
