//! `sealift pack`: images become a signed set of volumes.

use super::asked::Making;
use super::carried::Carried;
use super::output::bytes;
use super::wishes::{Planned, code_of, detail, planned};
use super::{Context, Outcome, options, plan, values};
use crate::digest::Digest;
use crate::error::{Code, Detail, Error};
use crate::format::SetName;
use crate::fs::Dir;
use crate::ledger::{Assigned, Issued, Wanted};
use crate::pack::{self, PackPlan, Seal};
use crate::text::{are, counted};
use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Pulls images and writes them as a signed set of volumes
///
/// Plans, fetches into the workspace, writes the volumes into OUT, writes the index, signs it when a key is given, and reads
/// everything back. A run that was stopped goes on where it was when the same command is given again. Without --key the set
/// is not finished until `sealift sign` has been run.
///
/// The content of the stream's newest set, packed again, gives the same set again. The content of an older one gives a new set
/// with a higher sequence, which goes back on purpose; --sequence N makes the older set N again as it was.
#[derive(clap::Args, Debug)]
#[command(override_usage = "sealift pack [OPTIONS] <WISH>... <OUT>", after_help = plan::WISHES)]
pub struct Args {
    /// What to carry: an ImageSet file, a saved plan, or references; and as the last word OUT, the folder for the set
    // One list, split by hand: clap would give an option that stands before OUT the wrong place.
    #[arg(value_name = "WISH... OUT", required = true, num_args = 1..)]
    pub words: Vec<OsString>,
    /// Which key signs.
    #[command(flatten)]
    pub signing: options::Signing,
    /// How the set is made.
    #[command(flatten)]
    pub making: Making,
    /// Do not read the finished set back from the medium
    #[arg(long, help_heading = "Files")]
    pub no_read_back: bool,
    /// Do not wait for the disk: scratch results that may be lost with the power
    #[arg(long, help_heading = "Files")]
    pub no_sync: bool,
}

impl Args {
    /// The wishes and OUT.
    pub fn split(&self) -> Result<(Vec<values::Wish>, PathBuf), Error> {
        let usage =
            || Error::new(Code::Usage, "pack needs at least one WISH and, as the last word, OUT").remedy("see `sealift pack --help`");
        let (out, wishes) = self.words.split_last().ok_or_else(usage)?;
        if wishes.is_empty() {
            return Err(usage());
        }
        let wishes = wishes.iter().map(OsString::as_os_str).map(values::Wish::sort).collect::<Result<_, _>>()?;
        Ok((wishes, out_folder(out)?))
    }
}

/// A forgotten OUT would otherwise make a folder named like an image.
fn out_folder(word: &OsStr) -> Result<PathBuf, Error> {
    let path = values::without_scheme(word);
    let text = word.to_string_lossy();
    if text.starts_with("docker://") {
        return Err(Error::new(Code::Usage, format!("the last word must be the folder to write to, {} is a registry", path.display()))
            .remedy("from registry to registry: `sealift mirror WISH --to REGISTRY/PREFIX`"));
    }
    let wish = text.starts_with("oci:") || [".yaml", ".yml", ".json"].iter().any(|ending| text.ends_with(ending)) || path.is_file();
    match wish {
        true => Err(Error::new(Code::Usage, format!("the last word must be the folder to write to, {} is a wish", path.display()))
            .remedy("see `sealift pack --help`")),
        false => Ok(path),
    }
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let (wishes, out) = args.split()?;
    // The key first: a forgotten passphrase shall not be noticed after hours.
    let signer = args.signing.signer(ctx)?;
    let workspace = args.making.workspace.open(ctx)?.durable(!args.no_sync);
    let Planned { plan, failures, left_out, sources, parallel } = planned(args.making.asked(wishes, workspace.clone()), ctx)?;
    args.making.inside.refuse_collisions(&plan)?;
    let now = clock(ctx);
    let ledger = Dir::create_private(ctx.environment.state()?)?;
    let wanted = args.making.identity.sequence.map_or(Wanted::FromClock(now), Wanted::Exactly);
    let given = Cell::new(None);
    // What is sealed is what is carried: late failures make the plan smaller.
    let carried = RefCell::new(Carried::default());
    let seal = |plan: &PackPlan| {
        carried.replace(Carried::of(&plan.images, &plan.documents));
        seal(plan, &ledger, &given, wanted, now)
    };
    let job = pack::Job {
        plan,
        failures,
        keep_going: args.making.selection.keep_going,
        origins: &sources,
        workspace: &workspace,
        out: &out,
        seal: &seal,
        signer: signer.as_deref(),
        read_back: !args.no_read_back,
        durable: !args.no_sync,
        parallel,
        code: &code_of,
        now,
        progress: ctx.progress.as_ref(),
    };
    let report = pack::run(job)?;
    let same = given.get().and_then(|(assigned, _)| same_as(&report.name, &assigned));
    told(&report, &carried.take(), same, left_out, &out, ctx)
}

/// Seconds since 1970; `SOURCE_DATE_EPOCH` stands in for the clock.
fn clock(ctx: &Context) -> u64 {
    ctx.environment.source_date_epoch.unwrap_or_else(super::now)
}

/// What a run was given, and the plan it was given to.
type Given = Cell<Option<(Assigned, Digest)>>;

/// Gives a plan its sequence and time: those it had before, when it is that of the newest set. `given` is what this run has got:
/// a plan made smaller by late failures takes over what is fresh, so that `--sequence` holds for it too.
fn seal(plan: &PackPlan, ledger: &Dir, given: &Given, wanted: Wanted, now: u64) -> Result<Seal, pack::Error> {
    let (stream, digest) = (&plan.options.stream, plan.digest()?);
    let mut issued = Issued::open(ledger)?;
    if let Some((earlier, whole)) = given.take().filter(|(earlier, _)| earlier.fresh) {
        issued.withdraw(stream, earlier.sequence, &whole)?;
    }
    let assigned = issued.assign(stream, digest, wanted, now)?;
    given.set(Some((assigned, digest)));
    let name = SetName::new(stream, assigned.sequence).ok_or(pack::Error::Name { stream: stream.clone(), sequence: assigned.sequence })?;
    Ok(Seal { name, created: super::rfc3339(assigned.created) })
}

/// A set of the same content that there was before, and what this one has to do with it.
struct SameAs {
    name: String,
    line: String,
}

fn same_as(name: &SetName, given: &Assigned) -> Option<SameAs> {
    let sequence = given.before?;
    let earlier = format!("{}-{sequence}", name.stream());
    let line = match given.fresh {
        true => format!(
            "sequence {sequence} had this content before, and newer sets came after it: {name} goes back to it on the other side (--sequence {sequence} makes {earlier} itself again)"
        ),
        false => format!("{name} was packed, or begun, from the same content before: this is the same set again"),
    };
    Some(SameAs { name: earlier, line })
}

fn told(
    report: &pack::Report,
    carried: &Carried,
    same: Option<SameAs>,
    left_out: Vec<Detail>,
    out: &std::path::Path,
    ctx: &Context,
) -> Result<Outcome, Error> {
    let total: u64 = report.volumes.iter().map(|(_, size)| size).sum();
    for (name, size) in &report.volumes {
        ctx.output.line(&format!("{name}  {}", bytes(*size)));
    }
    ctx.output.line(&format!(
        "set {}: {}, {} in {}, identity {}",
        report.name,
        counted(report.images, "image"),
        bytes(total),
        counted(report.volumes.len(), "volume"),
        report.identity
    ));
    if let Some(same) = &same {
        ctx.output.line(&same.line);
    }
    carried.told(ctx);
    match report.read_back {
        Some(true) => ctx.output.line("read back from the medium: every blob is as it should be"),
        Some(false) => {
            ctx.output.line("read back, in part from memory: `sealift verify --deep` after plugging the medium in again proves the medium")
        }
        None => {}
    }
    match report.signed {
        true => {
            let out = out.display();
            ctx.output.line(&format!("next: carry {out} across, then there: sealift verify PATH, sealift unpack PATH --to REGISTRY"));
            if report.volumes.len() > 1 {
                ctx.output.line("volumes on several media: the small files (*.index*, *.contents*) go to each of them");
            }
        }
        false => ctx.output.line(&format!("NOT FINISHED: sign it with `sealift sign {} --key KEY`", out.display())),
    }
    let details: Vec<Detail> = left_out.into_iter().chain(report.failures.iter().map(detail)).collect();
    let shortfall = Error::partial(format!("{} asked for {} not in the set", counted(details.len(), "thing"), are(details.len())), details);
    let volumes: Vec<_> = report.volumes.iter().map(|(name, size)| serde_json::json!({"name": name, "size": size})).collect();
    Ok(Outcome::done()
        .with("set", report.name.to_string())?
        .with("identity", report.identity)?
        .with("sameAs", same.map(|same| same.name))?
        .with("volumes", volumes)?
        .with("carries", carried)?
        .with("images", report.images)?
        .with("blobs", report.blobs)?
        .with("content", report.content)?
        .with("signed", report.signed)?
        .with("readBack", report.read_back)?
        .but(shortfall))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Options;

    #[test]
    fn a_plan_made_smaller_keeps_the_sequence_that_was_asked_for() {
        let temp = tempfile::tempdir().unwrap();
        let ledger = Dir::open(temp.path()).unwrap().durable(false);
        let plan = |level| PackPlan::new(Options { level, ..Options::default() }, vec![], vec![], vec![]).unwrap();
        let given = Cell::new(None);
        let sequence = |plan: &PackPlan, given: &Given| seal(plan, &ledger, given, Wanted::Exactly(5), 9).map(|seal| seal.name.sequence());
        assert_eq!(sequence(&plan(1), &given).unwrap(), 5);
        assert_eq!(sequence(&plan(2), &given).unwrap(), 5, "late failures made another plan of it");
        assert!(sequence(&plan(1), &Cell::new(None)).is_err(), "another run has another set");
        assert_eq!(sequence(&plan(2), &Cell::new(None)).unwrap(), 5);
    }
}
