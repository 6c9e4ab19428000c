//! `sealift list tags`: the tags of a repository.

use super::super::{Context, Outcome, connections, options};
use crate::error::{Code, Error};
use crate::oci::Reference;
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
    let client = connections::client(ctx, &args.source.access, args.source.src_tls_verify, &Arc::default())?;
    let repository = client.repository(&reference.host, &reference.repository);
    let tags = repository.tags().map_err(|e| crate::error::source(&e))?;
    for tag in &tags {
        ctx.output.line(tag);
    }
    Outcome::done().with("repository", reference.name())?.with("tags", tags)
}
