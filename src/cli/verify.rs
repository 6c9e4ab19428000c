//! `sealift verify`: is this medium good, ours, and meant for us?

use super::{Context, Outcome, sets, values};
use crate::archive::{self, OpenSet};
use crate::error::{Code, Detail, Error, Side};

use crate::ledger::Action;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Checks media: is this good, ours, and meant for us?
///
/// The signature is checked first, against the keys this side trusts; then every byte of the volumes that are there against
/// the signed index, in one reading per file. Nothing is written. A volume file can be given instead of a folder: it is
/// checked alone, with the index beside it; the path of an index means its set.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders, volume files or indexes of sets
    #[arg(value_name = "PATH", required = true, num_args = 1..)]
    pub paths: Vec<PathBuf>,
    /// Decode everything as well, and prove the digest of every blob
    #[arg(long)]
    pub deep: bool,
    /// Check only what lies here; volumes on other media are not missed
    #[arg(long)]
    pub this_medium: bool,
    /// Which stream, where the paths hold sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    // A document stands for its set, a volume for itself.
    let one_file = args.paths.iter().all(|path| path.is_file() && archive::set_named(path).is_none());
    let sets = sets::open(ctx, &args.paths, args.stream.as_deref())?;
    refuse_foreign(&sets, &args.paths)?;
    let mut reports = Vec::new();
    let mut troubles = Vec::new();
    let mut missing = false;
    for set in &sets {
        let (report, mut found) = check(set, &args, ctx)?;
        let absent = set.volumes_missing();
        if !absent.is_empty() && !args.this_medium && !one_file {
            missing = true;
            found.extend(absent.iter().map(|number| absence(set, *number)));
        }
        sets::log(ctx, Action::Verify, set, &paths(&args), if found.is_empty() { "good" } else { "not good" });
        reports.push(report);
        troubles.extend(found);
    }
    let damaged = troubles.iter().any(|d| d.code != Code::VolumeMissing);
    let outcome = Outcome::done().with("sets", reports)?;
    if troubles.is_empty() {
        return Ok(outcome);
    }
    let code = if damaged { Code::ContentDamaged } else { Code::VolumeMissing };
    let what = match (damaged, missing) {
        (true, _) => "the media are not as they were packed",
        (false, _) => "what is here is good, but volumes are missing",
    };
    Ok(outcome.but(Some(Error { details: troubles, ..Error::new(code, what) })))
}

/// A file that was asked about and is no volume of any set here would otherwise be passed over, and nothing be wrong.
fn refuse_foreign(sets: &[OpenSet], paths: &[PathBuf]) -> Result<(), Error> {
    match paths.iter().find(|path| sets.iter().all(|set| set.is_foreign(path))) {
        Some(path) => {
            let names = sets.iter().map(|set| set.name().to_string()).collect::<Vec<_>>().join(", ");
            Err(Error::new(Code::VolumeForeign, format!("{} is no volume of {names}", path.display())))
        }
        None => Ok(()),
    }
}

fn paths(args: &Args) -> String {
    args.paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// A volume that is not here, with what waits for it.
fn absence(set: &OpenSet, number: u32) -> Detail {
    let images = set.images_with(&set.blobs_in(&BTreeSet::from([number])));
    let name = set.index().volumes.get(number as usize - 1).map_or(String::new(), |v| v.name.clone());
    let error = format!("volume {number} of {} is not here; it is needed for {}", set.index().volumes.len(), some(&images));
    Detail { subject: name, code: Code::VolumeMissing, error }
}

/// The first few names, and how many more.
fn some(names: &[String]) -> String {
    match names.split_at_checked(5) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}

fn check(set: &OpenSet, args: &Args, ctx: &Context) -> Result<(serde_json::Value, Vec<Detail>), Error> {
    let index = set.index();
    let here: u64 = set.volumes_here().iter().filter_map(|n| index.volumes.get(*n as usize - 1)).map(|v| v.size).sum();
    ctx.output.line(&format!("set {}: packed {}, signed by {}", set.name(), index.created, sets::signers(set)));
    ctx.progress.begin("verifying", here);
    let checked = set.check(args.deep, ctx.progress.as_ref());
    ctx.progress.end();
    let checked = checked.map_err(|e| crate::error::archive(&e, Side::Target))?;
    for number in &checked.good {
        let path = set.volume_path(*number).unwrap_or_default();
        ctx.output.line(&format!("good: volume {number} of {}, {}", index.volumes.len(), path.display()));
    }
    if args.deep {
        let whole = set.contents().images.len() - set.images_with(&checked.lost).len();
        let told = match checked.elsewhere {
            0 => format!("{} blobs proven, {whole} of {} images whole", checked.proven, set.contents().images.len()),
            n => format!("{} blobs proven, {n} need volumes that are not here", checked.proven),
        };
        ctx.output.line(&told);
    }
    let hit = set.images_with(&checked.lost);
    let details = checked.damage.iter().map(|(_, damage)| {
        let error = Error::from(damage);
        Detail {
            subject: set.name().to_string(),
            code: error.code,
            error: format!("{damage}; it hits {}", if hit.is_empty() { "no image".into() } else { some(&hit) }),
        }
    });
    let details: Vec<Detail> = details.collect();
    let report = serde_json::json!({
        "set": set.name().to_string(), "identity": set.identity(), "good": checked.good, "missing": set.volumes_missing(),
        "damage": checked.damage.iter().map(|(volume, d)| serde_json::json!({"volume": volume, "error": d.to_string()})).collect::<Vec<_>>(),
        "imagesHit": hit, "blobsProven": checked.proven, "blobsElsewhere": checked.elsewhere, "deep": args.deep,
    });
    Ok((report, details))
}
