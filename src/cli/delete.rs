//! `sealift delete`: images out of a registry, in two phases.

use super::carried::IMAGES_LISTED;
use super::receipts::{receipts_of, rewrite};
use super::{Context, Outcome, connections, now, options, published, rfc3339, values};
use crate::error::{Code, Detail, Error};
use crate::format::{Receipt, Role};
use crate::fs::{Dir, read_user_file};
use crate::image_set::DeleteSet;
use crate::inventory::{self, DeleteList, Deleted, Deletion};
use crate::ledger::{Action, Entry, Log};
use crate::progress::Level;
use crate::text::{are, counted};
use crate::unpack::Target;
use std::path::{Path, PathBuf};

/// Deletes images from a registry, unless something else needs them
///
/// First --generate turns a DeleteImageSetConfiguration into a list of images, by the receipts of the target: neither sources nor the
/// host that mirrored are needed. Then the list, after somebody has read it, is carried out: manifests are deleted by digest. A
/// manifest that any other image, index or tag of its repository needs stays, and so does an image that is part of something that was
/// not deleted. What refers to an image (signatures, attestations, SBOMs) goes with it, and stays with it. Lists of oc-mirror work as
/// well. Space is freed when the registry collects garbage: that is its administrator's.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("phase").required(true).args(["generate", "list", "delete_yaml_file"]))]
pub struct Args {
    /// The list to carry out
    #[arg(value_name = "LIST")]
    pub list: Option<PathBuf>,
    /// The list to carry out, as oc-mirror names it
    #[arg(long, value_name = "LIST")]
    pub delete_yaml_file: Option<PathBuf>,
    /// Write a list, delete nothing
    #[arg(long, requires = "config")]
    pub generate: bool,
    /// DeleteImageSetConfiguration to make the list from
    #[arg(short, long, value_name = "FILE", requires = "generate")]
    pub config: Option<PathBuf>,
    /// File the list is written to
    #[arg(short, long, value_name = "FILE", default_value = "delete-images.yaml")]
    pub output: PathBuf,
    /// Which target.
    #[arg(long, help = "Target: host[:port][/prefix]", value_name = "TARGET", value_parser = values::destination)]
    pub to: values::Destination,
    /// Say what would be deleted, but delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Receipt files to read in place of those of this host and the registry
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub receipts: Vec<PathBuf>,
    /// Do not write what is left into the registry's receipts
    #[arg(long)]
    pub no_registry_receipt: bool,
    /// Names at the target.
    #[command(flatten)]
    pub nested: options::Nested,
    /// How the target is spoken to.
    #[command(flatten)]
    pub target: options::Target,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let connections::Place { target, prefix, .. } = connections::target(ctx, &args.to, &args.target)?;
    // What another host has unpacked here counts as well: only its receipts in the registry know what it needs.
    let receipts = published::everyones(&args.receipts, target.as_ref(), &prefix, &args.nested, ctx);
    match args.config.as_ref().filter(|_| args.generate) {
        Some(config) => generate(config, &args, &receipts?, ctx),
        None => {
            let path = args.list.as_ref().or(args.delete_yaml_file.as_ref());
            let path = path.ok_or_else(|| Error::new(Code::Usage, "no list is given"))?;
            let list = DeleteList::parse(&read_user_file(path)?)?;
            // A list of somebody else's may be carried out without receipts: then the registry's tags alone say what is needed.
            let receipts = match receipts {
                Err(error) if error.code == Code::FileMissing => {
                    ctx.output.warn("there are no receipts of this target: what other images need is judged by the registry's tags alone");
                    Vec::new()
                }
                other => other?,
            };
            execute(&list, &args, target.as_ref(), &prefix, &receipts, ctx)
        }
    }
}

/// Phase one.
fn generate(config: &Path, args: &Args, receipts: &[Receipt], ctx: &Context) -> Result<Outcome, Error> {
    let (set, notices) = DeleteSet::parse(&read_user_file(config)?).map_err(|e| {
        let error = Error::from(e);
        Error { what: format!("{}: {}", config.display(), error.what), ..error }
    })?;
    for notice in notices {
        ctx.output.warn(&format!("{}: {notice}", config.display()));
    }
    let resolved = inventory::resolve(&set, receipts);
    for item in &resolved.list.items {
        ctx.output.line(&format!("{}: {}", item.kind, item.image_reference));
    }
    for (name, why) in &resolved.stays {
        ctx.output.line(&format!("stays: {name}: {why}"));
    }
    let (path, items) = (&args.output, resolved.list.items.len());
    super::plan::save(path, &resolved.list.to_bytes()?)?;
    ctx.output.line(&format!(
        "{2} listed in {0}; read it, then: sealift delete {0} --to {1}",
        path.display(),
        args.to.name(),
        counted(items, "image")
    ));
    let details: Vec<Detail> = resolved.unresolved.iter().map(|u| Detail::of(config.display(), &Error::from(u))).collect();
    let shortfall = Error::partial(format!("{} of {} could not be followed", counted(details.len(), "entry"), config.display()), details)
        .map(|e| e.remedy("correct these entries, or carry the list out as it is"));
    Ok(Outcome::done().with("list", &resolved.list)?.with("stays", &resolved.stays)?.but(shortfall))
}

/// Phase two.
fn execute(
    list: &DeleteList,
    args: &Args,
    target: &dyn Target,
    prefix: &str,
    receipts: &[Receipt],
    ctx: &Context,
) -> Result<Outcome, Error> {
    let (threads, nested) = (args.target.access.parallel.map_or(4, usize::from), args.nested.paths());
    let progress = ctx.progress.as_ref();
    progress.begin("asking the target", 0);
    let deletion = inventory::plan(list, receipts, target, prefix, nested, threads, progress);
    progress.end();
    let deletion = deletion?;
    for name in &deletion.unknown {
        ctx.output.line(&format!("not there: {name}: neither the registry nor a receipt has it"));
    }
    for kept in &deletion.kept {
        ctx.output.line(&format!("stays: {}: {}", kept.name, kept.stay.told()));
    }
    if args.dry_run {
        for image in &deletion.images {
            let what = match image {
                image if image.was_gone => "gone already".to_owned(),
                image if image.manifests.is_empty() => "only its tag".to_owned(),
                image => format!("manifests: {}", image.manifests.len()),
            };
            ctx.output.line(&format!("to delete: {} ({what})", image.name()));
        }
        return Outcome::done().with("deletion", &deletion);
    }
    let deleted = inventory::delete(&deletion, target, threads, progress)?;
    log(&deleted, target, ctx)?;
    let here = receipts_of(&target.name(), ctx)?;
    let left: Vec<Receipt> = here.iter().map(|receipt| inventory::remaining(receipt, &deletion, &deleted, prefix)).collect();
    rewrite(&target.name(), &left, ctx)?;
    if !args.no_registry_receipt {
        let nested = receipts.iter().map(|receipt| usize::from(receipt.max_nested_paths)).chain([nested]).collect();
        published::revise(&deletion, &deleted, target, prefix, nested, ctx);
    }
    told(&deletion, &deleted, receipts, prefix, ctx)
}

fn told(deletion: &Deletion, deleted: &Deleted, receipts: &[Receipt], prefix: &str, ctx: &Context) -> Result<Outcome, Error> {
    for name in &deleted.images {
        ctx.output.line(&format!("deleted: {name}"));
    }
    for name in &deleted.were_gone {
        ctx.output.line(&format!("gone already: {name}"));
    }
    // Each of them is among what stays, told above.
    if deleted.tags_left.len() > IMAGES_LISTED && !ctx.verbose {
        let n = deleted.tags_left.len();
        ctx.output.line(&format!(
            "{} not removed: their content is needed, and this registry removes no tag alone; -v lists them",
            counted(n, "tag")
        ));
    }
    for name in deleted.tags_left.iter().filter(|_| deleted.tags_left.len() <= IMAGES_LISTED || ctx.verbose) {
        ctx.output.line(&format!("tag stays: {name}: its content is needed, and this registry removes no tag alone"));
    }
    if deleted.images.iter().any(|name| is_content(name, receipts, prefix)) && !deletes_catalog(deleted, receipts, prefix) {
        ctx.progress.say(
            Level::Info,
            "catalogs still list what was deleted: unpack or mirror a set with newer ones, so that no cluster asks for it",
        );
    }
    let blobs: usize = deletion.loose.values().map(|blobs| blobs.len()).sum();
    ctx.output.line(&format!(
        "{} deleted, {}, {} gone already, {} kept in part or whole; {} {} freed when the registry's administrator collects garbage",
        counted(deleted.images.len(), "image"),
        counted(deleted.manifests.len(), "manifest"),
        deleted.were_gone.len() + deletion.unknown.len(),
        deletion.kept.len(),
        counted(blobs, "blob"),
        are(blobs)
    ));
    let details: Vec<Detail> = deleted.failed.iter().map(|(name, error)| Detail::of(name, &Error::from(error))).collect();
    let shortfall = Error::partial(format!("{} could not be deleted", counted(details.len(), "image")), details)
        .map(|e| e.remedy("mend what is told of them, then run the same command again"));
    Ok(Outcome::done()
        .with("deleted", &deleted.images)?
        .with("manifests", deleted.manifests.len())?
        .with("gone", &deleted.were_gone)?
        .with("notThere", &deletion.unknown)?
        .with("kept", &deletion.kept)?
        .with("tagsLeft", &deleted.tags_left)?
        .with("looseBlobs", blobs)?
        .but(shortfall))
}

fn role_of<'r>(name: &str, receipts: &'r [Receipt], prefix: &str) -> impl Iterator<Item = Role> + use<'r> {
    let name = crate::unpack::below(prefix, name).to_owned();
    receipts.iter().flat_map(|r| &r.images).filter(move |i| format!("{}:{}", i.repository, i.tag) == name).map(|i| i.role)
}

fn is_content(name: &str, receipts: &[Receipt], prefix: &str) -> bool {
    role_of(name, receipts, prefix).any(|role| matches!(role, Role::Bundle | Role::Related))
}

fn deletes_catalog(deleted: &Deleted, receipts: &[Receipt], prefix: &str) -> bool {
    deleted.images.iter().any(|name| role_of(name, receipts, prefix).any(|role| role == Role::Catalog))
}

fn log(deleted: &Deleted, target: &dyn Target, ctx: &Context) -> Result<(), Error> {
    let outcome = format!("{} deleted, {} failed", counted(deleted.images.len(), "image"), deleted.failed.len());
    let subject = crate::text::shown(&target.name()).to_string();
    let entry = Entry { at: rfc3339(now()), action: Action::Delete, set: None, subject, outcome };
    Log::open(&Dir::create_private(ctx.environment.state()?)?).append(&entry)?;
    Ok(())
}
