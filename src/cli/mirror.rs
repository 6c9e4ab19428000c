//! `sealift mirror`: from registry to registry.

use super::asked::Between;
use super::output::bytes;
use super::wishes::{Planned, detail, planned};
use super::{Context, Outcome, carried, connections, now, options, plan, published, resources, rfc3339, values};
use crate::cluster;
use crate::error::{Detail, Error};
use crate::format::Receipt;
use crate::fs::Dir;
use crate::ledger::Log;
use crate::mirror::{self, FailedImage, ImageFailure, MirrorPlan, MirrorReport, Setting};
use crate::pack::{self, Failure};
use crate::text::{are, counted};
use std::ffi::OsString;
use std::path::PathBuf;

/// Brings images from their registries straight into another one, without an archive between
///
/// Asks the target what it has, mounts what another of its repositories holds, and streams the rest; every byte is proven while it
/// passes. Images are pushed as soon as they are whole, the tag last; catalogs after everything else. A tag that names something
/// else is replaced. A run that was stopped goes on when the same command is given again. A receipt of what the target holds is
/// kept on this host and in the registry, for where, check, delete and resources; cluster resources are written as after unpack.
#[derive(clap::Args, Debug)]
#[command(after_help = plan::WISHES)]
pub struct Args {
    /// What to mirror: an ImageSet file, a saved plan, or references
    #[arg(value_name = "WISH", required = true, num_args = 1..)]
    pub wishes: Vec<OsString>,
    /// Where to.
    #[arg(long, help = "Target: host[:port][/prefix], or oci:FOLDER for an OCI layout", value_name = "TARGET", value_parser = values::destination)]
    pub to: values::Destination,
    /// Say what would be brought, but push nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Names at the target.
    #[command(flatten)]
    pub nested: options::Nested,
    /// What clusters need to find the images, printed at the end (default: idms where a release is mirrored by release:..., else
    /// none)
    #[arg(long, value_enum, value_name = "KIND")]
    pub print_mirror_instructions: Option<Instructions>,
    /// Write the receipt of this run to this file as well
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Do not put a receipt into the registry (PREFIX/sealift/receipts); where, check and delete then work on this host only
    #[arg(long)]
    pub no_registry_receipt: bool,
    /// What is taken of the images.
    #[command(flatten)]
    pub selection: options::Selection,
    /// Which key signs the receipt.
    #[command(flatten)]
    pub signing: options::Signing,
    /// Both sides, and what lies between them.
    #[command(flatten)]
    pub between: Between,
}

/// The kinds of mirror instructions `oc adm release mirror` prints.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// ImageDigestMirrorSet
    Idms,
    /// ImageContentSourcePolicy, for clusters before 4.13
    Icsp,
    /// Nothing
    None,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let wishes = args.wishes.iter().map(|w| values::Wish::sort(w)).collect::<Result<Vec<_>, _>>()?;
    let instructions = args.print_mirror_instructions.unwrap_or(match wishes.iter().any(|w| matches!(w, values::Wish::Release(_))) {
        true => Instructions::Idms,
        false => Instructions::None,
    });
    if let Some(path) = &args.receipt {
        published::place(path)?;
    }
    let signer = args.signing.signer(ctx)?;
    let workspace = args.between.workspace.open(ctx)?;
    // The target first: a wrong password there shall not be noticed after all sources were asked.
    let connections::Place { target, prefix, .. } = connections::target(ctx, &args.to, &args.between.sides.target())?;
    let asked = args.between.asked(wishes, mirror::STREAM, &args.selection, workspace.clone());
    let Planned { plan: wish, failures, left_out, sources, parallel } = planned(asked, ctx)?;
    refuse_missing(args.selection.keep_going, wish.images.len(), &failures)?;
    let failed: Vec<Detail> = left_out.into_iter().chain(failures.iter().map(detail)).collect();
    let log = Log::open(&Dir::create_private(ctx.environment.state()?)?);
    let seconds = now();
    let options = mirror::Options {
        prefix: prefix.clone(),
        max_nested_paths: args.nested.paths(),
        keep_going: args.selection.keep_going,
        transfers: parallel,
        probes: parallel,
        sequence: seconds,
        now: rfc3339(seconds),
        ..mirror::Options::default()
    };
    let progress = ctx.progress.as_ref();
    let setting =
        Setting { wish: &wish, origins: &sources, target: target.as_ref(), workspace: &workspace, log: &log, options: &options, progress };
    progress.begin("asking the target", 0);
    let plan = mirror::plan(&setting);
    progress.end();
    let plan = plan?;
    if args.dry_run {
        show_plan(&plan, ctx);
        return Ok(Outcome::done().with("plan", &plan)?.but(Error::partial("some images cannot be had", failed)));
    }
    let report = match mirror::run(&setting, &plan) {
        Ok(report) => report,
        Err(stopped) => {
            let error = Error::from(&stopped.error);
            let Some(report) = stopped.report else { return Err(error) };
            told(&report, ctx);
            published::keep(&report.receipt, &report.receipt_bytes, target.as_ref(), &prefix, false, ctx);
            return Ok(in_json(&report)?.but(Some(error)));
        }
    };
    told(&report, ctx);
    published::keep(&report.receipt, &report.receipt_bytes, target.as_ref(), &prefix, !args.no_registry_receipt, ctx);
    if let Some(path) = &args.receipt {
        published::save(path, &report.receipt_bytes, signer.as_deref())?;
    }
    let folder = resources::after_unpack(&args.to, &args.between.sides.target(), None, ctx)?;
    mirror_instructions(instructions, &report.receipt, ctx)?;
    let outcome = in_json(&report)?.with("resources", folder)?;
    Ok(outcome.but(shortfall(&report, failed, args.selection.keep_going)))
}

/// Without --keep-going nothing is pushed when an image cannot be had.
pub(super) fn refuse_missing(keep_going: bool, images: usize, failures: &[Failure]) -> Result<(), Error> {
    let total = images + failures.len();
    match failures.first() {
        Some(first) if !keep_going || images == 0 => {
            let told = Error::from(&first.reason);
            let what = format!("{} of {} cannot be had", failures.len(), counted(total, "image"));
            Err(Error { what, causes: Vec::new(), details: failures.iter().map(detail).collect(), ..told })
        }
        None if images == 0 => Err(pack::Error::Nothing.into()),
        _ => Ok(()),
    }
}

/// What clusters are told about a mirror, in the words of `oc adm release mirror`.
fn mirror_instructions(kind: Instructions, receipt: &Receipt, ctx: &Context) -> Result<(), Error> {
    let kind = match kind {
        Instructions::None => return Ok(()),
        Instructions::Idms => cluster::Instructions::Idms,
        Instructions::Icsp => cluster::Instructions::Icsp,
    };
    let target = cluster::Target { name: receipt.target.clone(), receipts: vec![receipt.clone()], insecure: false, authority: None };
    ctx.output.text(&cluster::mirror_instructions(&[target], kind)?);
    Ok(())
}

fn show_plan(plan: &MirrorPlan, ctx: &Context) {
    for image in plan.images.iter().filter(|_| plan.images.len() <= carried::IMAGES_LISTED || ctx.verbose) {
        let how = if image.present.is_some() { "is there" } else { "to push" };
        ctx.output.line(&format!("{how}: {} -> {}/{}:{}", image.source, plan.target, image.repository, image.tag));
    }
    let mounts = plan.blobs.iter().filter(|b| b.mount).count();
    ctx.output.line(&format!(
        "{}, {} to push; {} in {} to upload, {mounts} to mount",
        counted(plan.images.len(), "image"),
        plan.images.iter().filter(|i| i.present.is_none()).count(),
        bytes(plan.upload_bytes),
        counted(plan.blobs.len() - mounts, "blob")
    ));
}

fn told(report: &MirrorReport, ctx: &Context) {
    carried::tell_done(&report.done, &report.receipt, ctx);
    let counts = &report.counts;
    ctx.output.line(&format!(
        "{} of {} {} in; {} uploaded in {}, {} mounted, {} already there",
        report.done.len(),
        counted(report.done.len() + report.failed.len(), "image"),
        are(report.done.len()),
        bytes(counts.bytes),
        counted(counts.pushed, "blob"),
        counts.mounted,
        counts.present
    ));
}

/// What was not done. With --keep-going a part was asked for; without it the first failure says what to do.
fn shortfall(report: &MirrorReport, missing: Vec<Detail>, keep_going: bool) -> Option<Error> {
    let told = |image: &FailedImage| Detail::of(format!("{}:{}", image.repository, image.tag), &Error::from(&image.failure));
    let first = report.failed.iter().find(|f| !matches!(f.failure, ImageFailure::HeldBack)).or(report.failed.first());
    let first = first.map(|image| Error::from(&image.failure));
    let details: Vec<Detail> = missing.into_iter().chain(report.failed.iter().map(told)).collect();
    let what = format!("{} {} not in", counted(details.len(), "image"), are(details.len()));
    match first.filter(|_| !keep_going) {
        Some(first) => Some(Error { details, remedy: first.remedy, ..Error::new(first.code, what) }),
        None => Error::partial(what, details),
    }
}

fn in_json(report: &MirrorReport) -> Result<Outcome, Error> {
    let done: Vec<_> = report
        .done
        .iter()
        .map(|i| {
            serde_json::json!({"name": format!("{}:{}", i.repository, i.tag), "digest": i.digest, "wasThere": i.was_there,
                "completeness": i.completeness})
        })
        .collect();
    let failed: Vec<String> = report.failed.iter().map(|f| format!("{}:{}", f.repository, f.tag)).collect();
    Outcome::done()
        .with("target", &report.receipt.target)?
        .with("identity", report.identity)?
        .with("done", done)?
        .with("failed", failed)?
        .with("uploadedBytes", report.counts.bytes)?
        .with("uploaded", report.counts.pushed)?
        .with("mounted", report.counts.mounted)?
        .with("present", report.counts.present)
}
