//! `sealift list tags`: the tags of a repository.

use super::super::{Context, Outcome, connections, options};
use crate::error::{Code, Error};
use crate::oci::Reference;
use crate::origin::{Mirrored, Origin, Told};
use crate::progress::Level;
use crate::text::shown;
use std::sync::Arc;

/// Lists the tags of a repository, one per line, in the registry's order
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The repository, with its host: quay.io/org/name
    #[arg(value_name = "REPOSITORY")]
    pub repository: String,
    /// How the registry is spoken to.
    #[command(flatten)]
    pub source: options::Source,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let text = args.repository.strip_prefix("docker://").unwrap_or(&args.repository);
    let bad = || {
        Error::new(Code::BadReference, format!("{} is not a repository", shown(&args.repository)))
            .remedy("write it as quay.io/org/name, without tag")
    };
    let reference = Reference::parse(text).map_err(|_| bad())?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(bad());
    }
    let conf = connections::registries(ctx, &args.source.access)?;
    let client = connections::client(ctx, &args.source.access, &conf, args.source.src_tls_verify, &Arc::default())?;
    let progress = ctx.progress.clone();
    let told: Told = Arc::new(move |line| progress.say(Level::Detail, &shown(line).to_string()));
    let tags = Mirrored::new(client, Arc::new(conf), &reference.host, &reference.repository, told).tags()?;
    for tag in &tags {
        ctx.output.line(tag);
    }
    Outcome::done().with("repository", reference.name())?.with("tags", tags)
}
