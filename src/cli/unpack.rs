//! `sealift unpack`: from media into the inner registry.

use super::connections::{self, Place};
use super::output::bytes;
use super::unpack_told::{Tally, show_plan, told};
use super::{Context, Outcome, carried, now, options, preflight, published, resources, rfc3339, sets, values};
use crate::archive::OpenSet;
use crate::digest::Digest;
use crate::error::{Code, Error};
use crate::fs::Dir;
use crate::ledger::{Ledger, Log, host_name};
use crate::progress::Level;
use crate::registry::Client;
use crate::sign::Signer;
use crate::text::shown;
use crate::unpack::{self, Setting, Spool, Target};
use std::path::PathBuf;

/// The most a spool takes where nothing is said.
const SPOOL_BYTES: u64 = 16_000_000_000;

/// Verifies a set and pushes it into a registry or an OCI layout
///
/// Each image is pushed as soon as it is whole: blobs, then manifests, the tag last. Nothing unproven reaches the target.
/// Media may be given in any order, together or one run after the other, and are only read. What is already there is not
/// pushed again; a stopped run goes on when the same command is given again. No tag is moved back by an older set.
///
/// What arrives before its image is whole is held in the registry against its collection of garbage, by artifacts under tags
/// sealift-hold-SET-HOST-N, where SET begins the identity of the set and HOST is the name in the file `host` of the state folder.
/// They are removed by this host when their images are whole, and by any host that completes the images; what a host left that
/// will not come again can be removed by hand as any tag.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders or volume files of the set
    #[arg(value_name = "PATH", required = true, num_args = 1.., value_parser = values::local())]
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
    /// Folder for cluster resources (default: in the state folder); `sealift resources` writes them again at any time
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub resources: Option<PathBuf>,
    /// Do not put a receipt into the registry (PREFIX/sealift/receipts); where, check and delete then work on this host only
    #[arg(long)]
    pub no_registry_receipt: bool,
    /// Which key signs the receipt.
    #[command(flatten)]
    pub signing: options::Signing,
    /// Flatten repository names to this many path components, the prefix included, for registries that take no deeper ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    pub max_nested_paths: Option<u8>,
    /// How the target is spoken to.
    #[command(flatten)]
    pub target: options::Target,
    /// Do not look at the target with a few small requests before a long push
    #[arg(long)]
    pub no_preflight: bool,
    /// What counts as a long push: more bytes than this are to be uploaded
    #[arg(long, value_name = "SIZE", default_value = "1GB", value_parser = values::size)]
    pub preflight_above: u64,
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
    if args.receipt.is_some() && sets.len() > 1 {
        let names: Vec<String> = sets.iter().map(|set| set.name().to_string()).collect();
        return Err(Error::new(Code::Usage, format!("--receipt names one file, and there are several sets here: {}", names.join(", ")))
            .remedy("give the paths of one set at a time, or choose with --stream"));
    }
    refuse_forks(&sets)?;
    if let Some(path) = &args.receipt {
        published::place(path)?;
    }
    let signer = args.signing.signer(ctx)?;
    let Place { target, prefix, client } = connections::target(ctx, &args.to, &args.target)?;
    let state = Dir::create_private(ctx.environment.state()?)?;
    let work = Work { args: &args, ctx, target: target.as_ref(), client, prefix, state: &state, signer: signer.as_deref() };
    work.tell_others(&sets)?;
    let mut tally = Tally::default();
    let done = sets.iter().try_for_each(|set| work.unpack(set, &mut tally));
    // What has arrived counts, however the run ended.
    let told = if args.dry_run { Ok(None) } else { resources::after_unpack(&args.to, &args.target, args.resources.as_deref(), ctx) };
    match done.and(told) {
        Ok(resources) => {
            tally.resources = resources;
            tally.finish()
        }
        Err(error) => tally.cut_short(error),
    }
}

/// What is the same for all sets of a run.
struct Work<'a> {
    args: &'a Args,
    ctx: &'a Context,
    target: &'a dyn Target,
    /// Of a registry.
    client: Option<Client>,
    prefix: String,
    state: &'a Dir,
    signer: Option<&'a dyn Signer>,
}

impl Work<'_> {
    fn unpack(&self, set: &OpenSet, tally: &mut Tally) -> Result<(), Error> {
        let (spools, name) = (self.spools()?, self.spool_name(set));
        let spool = self.spool(&spools, &name)?;
        let done = self.with(set, &spool, tally);
        let closed = spool.close(&spools, &name, matches!(done, Ok(true)));
        done.and_then(|_| Ok(closed?))
    }

    /// True when nothing of the set waits any more.
    fn with(&self, set: &OpenSet, spool: &Spool, tally: &mut Tally) -> Result<bool, Error> {
        let ctx = self.ctx;
        let mut ledger = Ledger::open(self.state, &self.target.name())?;
        let (mut options, log) = (self.options(), Log::open(self.state));
        if !self.args.dry_run {
            options.host = host_name(self.state)?;
        }
        let setting = Setting { media: set, target: self.target, spool, log: &log, options: &options, progress: ctx.progress.as_ref() };
        ctx.progress.begin("asking the target", 0);
        let plan = unpack::plan(&setting, &ledger);
        ctx.progress.end();
        let plan = plan.map_err(|e| Error::from(&e))?;
        carried::tell_warnings(set, ctx);
        if self.args.dry_run {
            show_plan(&plan, set, ctx);
            tally.plans.push(serde_json::to_value(&plan).map_err(|e| Error::bug("a plan has no JSON form").because(e))?);
            return Ok(false);
        }
        self.look_ahead(&plan)?;
        match unpack::run(&setting, &mut ledger, &plan) {
            Ok(report) => {
                told(&report, set, ctx);
                tally.add(&report, set);
                let publish = !self.args.no_registry_receipt;
                published::keep(&report.receipt, &report.receipt_bytes, self.target, &self.prefix, publish, ctx);
                if let Some(path) = &self.args.receipt {
                    published::save(path, &report.receipt_bytes, self.signer)?;
                }
                Ok(report.waiting.is_empty())
            }
            Err(stopped) => {
                if let Some(report) = &stopped.report {
                    told(report, set, ctx);
                    tally.add(report, set);
                    published::keep(&report.receipt, &report.receipt_bytes, self.target, &self.prefix, false, ctx);
                }
                Err(Error::from(&stopped.error))
            }
        }
    }

    /// Before a long push: what would fail in the night.
    fn look_ahead(&self, plan: &unpack::UnpackPlan) -> Result<(), Error> {
        match (&self.client, &self.args.to) {
            (Some(client), values::Destination::Registry { host, prefix: _ })
                if !self.args.no_preflight && plan.upload_bytes > self.args.preflight_above =>
            {
                preflight::before(self.ctx, client, host, &self.options(), plan)
            }
            _ => Ok(()),
        }
    }

    fn options(&self) -> unpack::Options {
        unpack::Options {
            prefix: self.prefix.clone(),
            max_nested_paths: self.args.max_nested_paths.map_or(0, usize::from),
            select: self.args.images.clone(),
            first: self.args.first,
            uploads: self.args.target.access.parallel.map_or(4, usize::from),
            now: rfc3339(now()),
            ..unpack::Options::default()
        }
    }

    /// The folder of all spools.
    fn spools(&self) -> Result<Dir, Error> {
        Ok(match &self.args.spool {
            Some(path) => Dir::create_private(path)?,
            None => self.state.sub("spool")?,
        })
    }

    /// One per target too: what has left for one of them would be missing for the other.
    fn spool_name(&self, set: &OpenSet) -> String {
        let target = Digest::sha256(self.target.name().as_bytes());
        format!("{}-{}-{}", set.name(), set.identity().short(), target.short())
    }

    /// Says what spools still take that are not of this run.
    fn tell_others(&self, sets: &[OpenSet]) -> Result<(), Error> {
        let (spools, own) = (self.spools()?, sets.iter().map(|set| self.spool_name(set)).collect::<Vec<_>>());
        for (other, held) in Spool::others(&spools, "")?.into_iter().filter(|(name, _)| !own.contains(name)) {
            let line = format!(
                "{} wait in {} for another set or target; remove that folder if its media will not come any more",
                bytes(held),
                shown(&spools.join(&other).display().to_string())
            );
            self.ctx.progress.say(Level::Info, &line);
        }
        Ok(())
    }

    /// The spool of one set on its way to one target.
    fn spool(&self, spools: &Dir, name: &str) -> Result<Spool, Error> {
        let dir = spools.sub(name)?;
        let limit = match self.args.spool_size {
            Some(bytes) => bytes,
            // What it holds itself counts as free: else it might take less with every medium.
            None => (spools.free()?.saturating_add(Spool::held_in(&dir)?) / 4).min(SPOOL_BYTES),
        };
        Ok(Spool::open(&dir, limit, unpack::MEMORY)?)
    }
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
