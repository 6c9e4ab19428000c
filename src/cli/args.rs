//! The command line: what clap reads, and the source of the manual's section 1.

use super::{
    check, delete, demo, explain, inspect, key, list, mirror, pack, plan, preflight, resources, serve, sign, trust, unpack, verify, where_,
};
use clap::{Parser, Subcommand};

/// Carries container images across an air gap as signed, size-bounded, checkable volumes
///
/// On the connected side, pack pulls images from registries or OCI layouts and writes a set: volumes of bounded size, an
/// index that lists them, and a signature over the index. The files travel on any medium. On the disconnected side, unpack
/// verifies everything against the keys this side trusts and pushes into the inner registry; digests stay what they were.
///
/// Text goes to standard output, messages and progress to standard error. A failure is told as error, causes, remedy and
/// code; sealift explain CODE gives the page of a code.
#[derive(Parser, Debug)]
#[command(name = "sealift", version, max_term_width = 110)]
#[command(after_help = AFTER)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Files: keys and trust in $XDG_CONFIG_HOME/sealift; the ledger, receipts, cluster resources and the spool in \
$XDG_STATE_HOME/sealift; the workspace in $XDG_CACHE_HOME/sealift. With SEALIFT_HOME set, all of them in its folders config, state and cache.

Exit numbers: 0 done, 2 usage, 3 partial, 10-17 trust and content, 20-26 registries and images, 30-32 files, 70 bug, \
130 interrupted. `sealift explain` lists them all; so does sealift-errors(7).";

/// Options of every command.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Global {
    /// Only results, warnings and errors: no progress
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Messages")]
    pub quiet: bool,
    /// Say what is being done, and list every image
    #[arg(short, long, global = true, help_heading = "Messages")]
    pub verbose: bool,
    /// No text: one JSON object on standard output at the end, for success and failure alike
    #[arg(long, global = true, help_heading = "Messages")]
    pub json: bool,
}

/// The commands, in the order a person meets them. Each is described by its arguments, which the help and the manual quote.
#[derive(Subcommand, Debug)]
#[allow(missing_docs)]
pub enum Command {
    Key(key::Args),
    Trust(trust::Args),
    Plan(plan::Args),
    Pack(pack::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Preflight(preflight::Args),
    Unpack(unpack::Args),
    Mirror(mirror::Args),
    Where(where_::Args),
    Check(check::Args),
    Delete(delete::Args),
    Resources(resources::Args),
    List(list::Args),
    Serve(serve::Args),
    Explain(explain::Args),
    Demo(demo::Args),
}
