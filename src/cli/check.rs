//! `sealift check`: whether a target has everything.

use super::asked::Between;
use super::wishes::{Planned, detail, planned};
use super::{Context, Outcome, connections, mirror, options, published, values};
use crate::error::{Code, Detail, Error};
use crate::inventory::{self, Expected, Lack, Lacking};
use crate::text::counted;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Asks a target whether it has everything it should have
///
/// With WISH, the sources say what each image consists of. Without, no source is asked: the receipts of the target say what it should
/// have. Every tag and every manifest is asked for; with --blobs every blob too: of a registry whether it is there, in a layout every byte
/// is read and its digest compared.
///
/// What is told as damaged in a layout is a file that has the right size, so that unpack takes it for good. Remove the file and unpack
/// or mirror again: only what lacks is brought anew.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What should be there: an ImageSet file, a saved plan, or references; nothing: what the receipts say
    #[arg(value_name = "WISH")]
    pub wishes: Vec<OsString>,
    /// Which target.
    #[arg(long, help = "Target: host[:port][/prefix], or oci:FOLDER for an OCI layout", value_name = "TARGET", value_parser = values::destination)]
    pub to: values::Destination,
    /// Receipt files to read in place of those of this host and the registry
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "wishes")]
    pub receipts: Vec<PathBuf>,
    /// Ask for every blob as well; in a layout, compare its digest
    #[arg(long)]
    pub blobs: bool,
    /// Names at the target.
    #[command(flatten)]
    pub nested: options::Nested,
    /// What is taken of the images.
    #[command(flatten)]
    pub selection: options::Selection,
    /// Both sides, and what lies between them.
    #[command(flatten)]
    pub between: Between,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let connections::Place { target, prefix, .. } = connections::target(ctx, &args.to, &args.between.sides.target())?;
    let threads = args.between.sides.parallel.map_or(6, usize::from);
    let progress = ctx.progress.as_ref();
    let mut missing: Vec<Detail> = Vec::new();
    let expected = match args.wishes.is_empty() {
        true => {
            let receipts = published::gathered(&args.receipts, Some(target.as_ref()), Some(&target.name()), &prefix, &args.nested, ctx)?;
            inventory::of_receipts(&receipts, &prefix, args.blobs.then_some(target.as_ref()), threads, progress)?
        }
        false => {
            let (expected, failures) = of_wishes(&args, &prefix, ctx)?;
            missing = failures;
            expected
        }
    };
    progress.begin("asking the target", 0);
    let lacks = inventory::check(target.as_ref(), &expected, threads, progress);
    progress.end();
    let mut lacks = lacks?;
    if args.blobs {
        progress.begin(
            "comparing digests",
            expected.blobs.iter().map(|(_, digest, size)| (digest, size)).collect::<BTreeMap<_, _>>().into_values().sum(),
        );
        let damaged = inventory::prove(target.as_ref(), &expected, threads, progress);
        progress.end();
        lacks.extend(damaged?);
    }
    told(&expected, &lacks, ctx);
    let details: Vec<Detail> = missing.into_iter().chain(lacks.iter().map(|lacking| lack(lacking, &args.to))).collect();
    let damaged = details.iter().any(|detail| detail.code == Code::ContentDamaged);
    let shortfall = Error::partial(format!("not as it should be: {}", counted(details.len(), "thing")), details).map(|e| {
        e.remedy(match damaged {
            true => "remove the damaged files, then unpack or mirror again: what lacks is brought anew, what is there is not",
            false => "unpack or mirror again what lacks: what is there is not pushed twice",
        })
    });
    Ok(Outcome::done()
        .with("target", target.name())?
        .with("tags", expected.tags.len())?
        .with("manifests", expected.manifests.len())?
        .with("blobs", expected.blobs.len())?
        .with("lacking", &lacks)?
        .but(shortfall))
}

fn of_wishes(args: &Args, prefix: &str, ctx: &Context) -> Result<(Expected, Vec<Detail>), Error> {
    let wishes = args.wishes.iter().map(|w| values::Wish::sort(w)).collect::<Result<_, _>>()?;
    let asked = args.between.asked(wishes, "check", &args.selection, args.between.workspace.open(ctx)?);
    let Planned { plan, failures, left_out, .. } = planned(asked, ctx)?;
    mirror::refuse_missing(args.selection.keep_going, plan.images.len(), &failures)?;
    let expected = inventory::of_plan(&plan, prefix, args.nested.paths(), args.blobs)?;
    Ok((expected, left_out.into_iter().chain(failures.iter().map(detail)).collect()))
}

fn told(expected: &Expected, lacks: &[Lack], ctx: &Context) {
    let (tags, manifests, blobs) = (expected.tags.len(), expected.manifests.len(), expected.blobs.len());
    let (tags, manifests) = (counted(tags, "tag"), counted(manifests, "manifest"));
    let blobs = if blobs == 0 { "blobs were not asked for".to_owned() } else { counted(blobs, "blob") };
    match lacks.is_empty() {
        true => ctx.output.line(&format!("everything is there: {tags}, {manifests}, {blobs}")),
        false => ctx.output.line(&format!("asked for {tags}, {manifests}, {blobs}; lacking: {}", lacks.len())),
    }
}

fn lack(lack: &Lack, to: &values::Destination) -> Detail {
    let error = match &lack.lacking {
        Lacking::Tag => "there is no such tag".to_owned(),
        Lacking::Moved { found } => format!("the tag names {found}"),
        Lacking::Manifest => "the manifest is not there".to_owned(),
        Lacking::Blob => "the blob is not there".to_owned(),
        Lacking::Damaged { digest } => match to {
            values::Destination::Layout(path) => {
                let file = path.join("blobs").join(digest.algorithm().name()).join(digest.hex());
                format!("{} has other bytes", file.display())
            }
            values::Destination::Registry { .. } => "the blob has other bytes".to_owned(),
        },
    };
    let code = match &lack.lacking {
        Lacking::Damaged { .. } => Code::ContentDamaged,
        Lacking::Tag | Lacking::Moved { .. } | Lacking::Manifest | Lacking::Blob => Code::ContentNotFound,
    };
    Detail { subject: lack.subject.clone(), code, error }
}
