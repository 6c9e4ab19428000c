//! `sealift unpack`: from media into the inner registry.

use super::connections::client;
use super::output::bytes;
use super::{Context, Outcome, now, options, rfc3339, sets, values};
use crate::archive::OpenSet;
use crate::error::{Code, Detail, Error, Side};
use crate::fs::Dir;
use crate::layout::Layout;
use crate::ledger::{Ledger, Log};
use crate::sign::{Namespace, Signer, sign_detached};
use crate::unpack::{self, LayoutTarget, MediaTrouble, RegistryTarget, Setting, Spool, Target, UnpackPlan, UnpackReport};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most a spool takes where nothing is said.
const SPOOL_BYTES: u64 = 16_000_000_000;

/// Verifies a set and pushes it into a registry or an OCI layout
///
/// Each image is pushed as soon as it is whole: blobs, then manifests, the tag last. Nothing unproven reaches the target.
/// Media may be given in any order, together or one run after the other, and are only read. What is already there is not
/// pushed again; a stopped run goes on when the same command is given again. No tag is moved back by an older set.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders or volume files of the set
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    pub paths: Vec<PathBuf>,
    /// Where to.
    // Not in the comment: rustdoc would read the brackets as links.
    #[arg(long, help = "Target: host[:port][/prefix], or oci:FOLDER for an OCI layout", value_name = "TARGET", value_parser = values::destination)]
    pub to: values::Destination,
    /// Accept the first set of a stream for this target; without effect afterwards
    #[arg(long)]
    pub first: bool,
    /// Only images whose name in the set matches; * stands for any characters. May be given several times
    #[arg(long = "image", value_name = "PATTERN")]
    pub images: Vec<String>,
    /// Which stream, where the paths hold sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
    /// Verify and say what would be pushed, but push nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Write a receipt of what the target holds now to this file
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,
    /// Which key signs the receipt.
    #[command(flatten)]
    pub signing: options::Signing,
    /// Flatten repository names to this many path components below the prefix, for registries that take no deeper ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub max_nested_paths: Option<u8>,
    /// How the target is spoken to.
    #[command(flatten)]
    pub target: options::Target,
    /// Folder for proven blobs on their way (default: in the state folder)
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub spool: Option<PathBuf>,
    /// Most bytes to spool: 16GB (default: a quarter of what is free, at most 16 GB)
    #[arg(long, value_name = "SIZE", value_parser = values::size, help_heading = "Files")]
    pub spool_size: Option<u64>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let sets = sets::open(ctx, &args.paths, args.stream.as_deref())?;
    refuse_forks(&sets)?;
    let signer = args.signing.signer(ctx)?;
    let (target, prefix) = target(&args, ctx)?;
    let state = Dir::create_private(ctx.environment.state()?)?;
    let mut outcome = Tally::default();
    for set in &sets {
        let spool = spool(&args, set, &state)?;
        let mut ledger = Ledger::open(&state, &target.name())?;
        let options = unpack::Options {
            prefix: prefix.clone(),
            max_nested_paths: args.max_nested_paths.map_or(0, usize::from),
            select: args.images.clone(),
            first: args.first,
            uploads: args.target.access.parallel.map_or(4, usize::from),
            now: rfc3339(now()),
            ..unpack::Options::default()
        };
        let log = Log::open(&state);
        let setting =
            Setting { media: set, target: target.as_ref(), spool: &spool, log: &log, options: &options, progress: ctx.progress.as_ref() };
        ctx.progress.begin("asking the target", 0);
        let plan = unpack::plan(&setting, &ledger);
        ctx.progress.end();
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => return outcome.ended(Error::from(&error)),
        };
        if args.dry_run {
            show_plan(&plan, set, ctx);
            outcome.plans.push(serde_json::to_value(&plan).map_err(|e| Error::bug("a plan has no JSON form").because(e))?);
            continue;
        }
        match unpack::run(&setting, &mut ledger, &plan) {
            Ok(report) => {
                told(&report, set, ctx);
                receipt(&args, &report, signer.as_deref())?;
                outcome.add(&report, set);
            }
            Err(stopped) => {
                if let Some(report) = &stopped.report {
                    told(report, set, ctx);
                    outcome.reports.push(in_json(report, set));
                }
                return outcome.ended(Error::from(&stopped.error));
            }
        }
    }
    outcome.finish()
}

/// Two sets that claim one sequence, both at hand: the ledger would let in whichever comes first.
fn refuse_forks(sets: &[OpenSet]) -> Result<(), Error> {
    let named = |set: &OpenSet| (set.index().stream.clone(), set.index().sequence);
    for (at, set) in sets.iter().enumerate() {
        if let Some(other) = sets.iter().skip(at + 1).find(|o| named(o) == named(set) && o.identity() != set.identity()) {
            let (stream, sequence) = named(set);
            let (one, two) = (set.identity(), other.identity());
            let what = format!("stream {stream} has two different sets with sequence {sequence}, and both are here: {one} and {two}");
            return Err(Error::new(Code::Fork, what));
        }
    }
    Ok(())
}

/// Where the images go, and the prefix of their repositories.
fn target(args: &Args, ctx: &Context) -> Result<(Box<dyn Target>, String), Error> {
    match &args.to {
        values::Destination::Registry { host, prefix } => {
            let finishing = Arc::default();
            let client = client(ctx, &args.target.access, args.target.dest_tls_verify, &finishing)?;
            client.repository(host, prefix).ping().map_err(|e| crate::error::target(&e))?;
            Ok((Box::new(RegistryTarget::new(client, host, prefix, finishing)), prefix.clone()))
        }
        values::Destination::Layout(path) => {
            let layout = Layout::create(path).map_err(|e| crate::error::layout(&e, Side::Target))?;
            Ok((Box::new(LayoutTarget::new(layout)), String::new()))
        }
    }
}

/// The spool of one set: its own folder, so that two sets never mix.
fn spool(args: &Args, set: &OpenSet, state: &Dir) -> Result<Spool, Error> {
    let parent = match &args.spool {
        Some(path) => Dir::create_private(path)?,
        None => state.sub("spool")?,
    };
    let limit = match args.spool_size {
        Some(bytes) => bytes,
        None => (parent.free()? / 4).min(SPOOL_BYTES),
    };
    Ok(Spool::open(&parent.sub(&format!("{}-{}", set.name(), set.identity().short()))?, limit, unpack::MEMORY)?)
}

/// The receipt, where one was asked for; signed when a key was given.
fn receipt(args: &Args, report: &UnpackReport, signer: Option<&dyn Signer>) -> Result<(), Error> {
    let Some(path) = &args.receipt else { return Ok(()) };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| Error::new(Code::Usage, format!("{} is no file name", path.display())))?;
    let dir = Dir::open(parent)?;
    dir.publish(name, &report.receipt_bytes)?;
    if let Some(signer) = signer {
        let signature = sign_detached(signer, Namespace::Receipt, &report.receipt_bytes)?;
        dir.publish(&format!("{name}.sig"), signature.as_bytes())?;
    }
    Ok(())
}

fn volume_name(set: &OpenSet, number: u32) -> String {
    let volume = (number as usize).checked_sub(1).and_then(|i| set.index().volumes.get(i));
    volume.map_or_else(|| number.to_string(), |v| v.name.clone())
}

fn show_plan(plan: &UnpackPlan, set: &OpenSet, ctx: &Context) {
    let todo = plan.images.iter().filter(|image| image.present.is_none());
    ctx.output.line(&format!(
        "set {} to {}: {} images, {} to push, {} to upload",
        set.name(),
        plan.target,
        plan.images.len(),
        todo.count(),
        bytes(plan.upload_bytes)
    ));
    for volume in &plan.volumes {
        let here = if volume.here { "here" } else { "NOT here" };
        ctx.output.line(&format!("{}: {here}, {} to read", volume.name, bytes(volume.bytes)));
    }
    for tag in &plan.skipped_tags {
        ctx.output.line(&format!("tag stays: {}:{}", tag.repository, tag.tag));
    }
}

fn told(report: &UnpackReport, set: &OpenSet, ctx: &Context) {
    for warning in &report.warnings {
        ctx.output.warn(warning);
    }
    for image in &report.done {
        let how = if image.was_there { "was there" } else { "pushed" };
        ctx.output.line(&format!("{how}: {}:{} {}", image.repository, image.tag, image.digest));
    }
    let counts = &report.counts;
    ctx.output.line(&format!(
        "set {}: {} of {} images are in; {} uploaded in {} blobs, {} mounted, {} were there",
        set.name(),
        report.done.len(),
        report.done.len() + report.waiting.len() + report.failed.len(),
        bytes(counts.bytes),
        counts.pushed,
        counts.mounted,
        counts.present
    ));
    if !report.volumes_needed.is_empty() {
        let names: Vec<String> = report.volumes_needed.iter().map(|n| volume_name(set, *n)).collect();
        ctx.output.line(&format!("bring next: {}", names.join(", ")));
    }
}

/// All sets together.
#[derive(Default)]
struct Tally {
    reports: Vec<serde_json::Value>,
    plans: Vec<serde_json::Value>,
    failed: Vec<Detail>,
    /// What helps the first of them.
    remedy: Option<String>,
    damaged: Vec<Detail>,
    awaited: Vec<Detail>,
    kept: Vec<Detail>,
}

impl Tally {
    fn add(&mut self, report: &UnpackReport, set: &OpenSet) {
        for image in &report.failed {
            let error = Error::from(&image.error);
            self.failed.push(Detail::of(format!("{}:{}", image.repository, image.tag), &error));
            if self.failed.len() == 1 {
                self.remedy = Some(error.remedy);
            }
        }
        for damage in &report.damaged {
            let code = match damage.trouble {
                MediaTrouble::Damaged => Code::ContentDamaged,
                MediaTrouble::Unreadable => Code::MediumUnreadable,
            };
            let error = format!("{}; it hits {}", damage.why, damage.images.join(", "));
            self.damaged.push(Detail { subject: volume_name(set, damage.volume), code, error });
        }
        for number in &report.volumes_needed {
            let waiting = report.waiting.iter().filter(|w| w.volumes.contains(number)).map(|w| format!("{}:{}", w.repository, w.tag));
            let error = format!("not here; it is needed for {}", waiting.collect::<Vec<_>>().join(", "));
            self.awaited.push(Detail { subject: volume_name(set, *number), code: Code::VolumeMissing, error });
        }
        for image in report.waiting.iter().filter(|w| !w.no_room.is_empty()) {
            let error = "the spool has no room for its blobs".to_owned();
            self.failed.push(Detail { subject: format!("{}:{}", image.repository, image.tag), code: Code::NoSpace, error });
        }
        for tag in &report.skipped_tags {
            let error = "a newer set wrote this tag; the image is in under its keep tag".to_owned();
            self.kept.push(Detail { subject: format!("{}:{}", tag.repository, tag.tag), code: Code::TagsKept, error });
        }
        self.reports.push(in_json(report, set));
    }

    /// The run ended early: what was done before is told as well.
    fn ended(self, error: Error) -> Result<Outcome, Error> {
        match (self.reports.is_empty(), self.plans.is_empty()) {
            (true, true) => Err(error),
            (false, _) => Ok(Outcome::done().with("sets", self.reports)?.but(Some(error))),
            (true, false) => Ok(Outcome::done().with("plans", self.plans)?.but(Some(error))),
        }
    }

    /// The worst decides the code: damage, then refusals, then what still has to be brought, then tags that stayed.
    fn finish(self) -> Result<Outcome, Error> {
        let outcome = match self.plans.is_empty() {
            true => Outcome::done().with("sets", self.reports)?,
            false => Outcome::done().with("plans", self.plans)?,
        };
        let first_failed = self.failed.first().map(|d| d.code);
        let (code, what) = if let Some(first) = self.damaged.first() {
            (first.code, "some content could not be read")
        } else if let Some(code) = first_failed {
            (code, "some images could not be pushed")
        } else if !self.awaited.is_empty() {
            (Code::MediaAwaited, "everything here is in; other volumes are still needed")
        } else if !self.kept.is_empty() {
            (Code::TagsKept, "all content is in; tags that a newer set wrote were left alone")
        } else {
            return Ok(outcome);
        };
        let error = Error::new(code, what);
        // The advice for the first refused image fits better than what is generally said of its code.
        let remedy = self.remedy.filter(|_| self.damaged.is_empty()).unwrap_or_else(|| error.remedy.clone());
        let details = [self.damaged, self.failed, self.awaited, self.kept].concat();
        Ok(outcome.but(Some(Error { details, remedy, ..error })))
    }
}

fn in_json(report: &UnpackReport, set: &OpenSet) -> serde_json::Value {
    let name = |repository: &str, tag: &str| format!("{repository}:{tag}");
    serde_json::json!({
        "set": set.name().to_string(), "identity": set.identity(),
        "done": report.done.iter().map(|i| serde_json::json!({
            "name": name(&i.repository, &i.tag), "digest": i.digest, "wasThere": i.was_there,
        })).collect::<Vec<_>>(),
        "waiting": report.waiting.iter().map(|w| serde_json::json!({
            "name": name(&w.repository, &w.tag), "volumes": w.volumes.iter().map(|n| volume_name(set, *n)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "failed": report.failed.iter().map(|f| name(&f.repository, &f.tag)).collect::<Vec<_>>(),
        "bringNext": report.volumes_needed.iter().map(|n| volume_name(set, *n)).collect::<Vec<_>>(),
        "skippedTags": report.skipped_tags.iter().map(|t| name(&t.repository, &t.tag)).collect::<Vec<_>>(),
        "holds": report.holds, "uploadedBytes": report.counts.bytes, "uploaded": report.counts.pushed,
        "mounted": report.counts.mounted, "present": report.counts.present,
    })
}
