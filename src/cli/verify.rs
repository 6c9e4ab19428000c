//! `sealift verify`: is this medium good, ours, and meant for us? Or: is this release signed?

use super::{Context, Outcome, now, options, sets, values, verify_release};
use crate::archive::{self, OpenSet};
use crate::digest::Digest;
use crate::error::{Code, Detail, Error, Side};
use crate::format::{Image, Role, image_signatures, referrers};
use crate::ledger::Action;
use crate::oci::Descriptor;
use crate::policy::{Evidence, Lack, Policy, judge, plain_folders};
use crate::text::{are, counted, shell_word};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Why an image has no OpenPGP signature here.
const NONE_IN_THE_SET: &str = "no OpenPGP signature of it lies in the set";

/// Checks media: is this good, ours, and meant for us?
///
/// The signature is checked first, against the keys this side trusts; then every byte of the volumes that are there against
/// the signed index, in one reading per file. Nothing is written. A volume file can be given instead of a folder: it is
/// checked alone, with the index beside it; the path of an index means its set.
///
/// release:sha256:HEX in place of a path asks whether this OpenShift release is signed: by the signatures in files (--signature),
/// without any network, or by those in the signature stores. Who signed it, when and as what is told. Exit 18 when none holds.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders, volume files or indexes of sets; or one release, as release:sha256:HEX or release:REFERENCE@sha256:HEX
    #[arg(value_name = "PATH|RELEASE", required = true, num_args = 1.., value_parser = values::local())]
    pub paths: Vec<PathBuf>,
    /// Decode everything as well, and prove the digest of every blob
    #[arg(long)]
    pub deep: bool,
    /// Check only what lies here; volumes on other media are not missed
    #[arg(long)]
    pub this_medium: bool,
    /// Judge the images by this signature policy (containers-policy.json(5)), from the signatures that lie in the set
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Which stream, where the paths hold sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
    /// By what a release is verified.
    #[command(flatten)]
    pub release: verify_release::Options,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let about_media = args.deep || args.this_medium || args.policy.is_some() || args.stream.is_some();
    if let Some(digest) = verify_release::asked(&args.paths, &args.release, about_media)? {
        return verify_release::run(&digest, &args.release, ctx);
    }
    // A document stands for its set, a volume for itself.
    let one_file = args.paths.iter().all(|path| path.is_file() && archive::set_named(path).is_none());
    let policy = args.policy.as_deref().map(options::policy).transpose()?;
    let sets = sets::open(ctx, &args.paths, args.stream.as_deref())?;
    let mut reports = Vec::new();
    // Asked about, and no volume of any set here: passed over, it would be as if it were good.
    let of_none = |path: &Path| Detail { subject: path.display().to_string(), code: Code::VolumeForeign, error: sets::of_none(&sets) };
    let mut troubles: Vec<Detail> = sets::foreign(&sets, &args.paths).into_iter().map(of_none).collect();
    let mut missing = false;
    let mut remedy = None;
    for set in &sets {
        let (mut report, mut found) = check(set, &args, ctx)?;
        count_referrers(set, &mut report, ctx)?;
        if let Some(policy) = &policy {
            let (refused, first) = judged(set, policy, &mut report, ctx)?;
            found.extend(refused);
            remedy = remedy.or(first);
        }
        let absent = set.volumes_missing();
        if !absent.is_empty() && !args.this_medium && !one_file {
            missing = true;
            found.extend(absent.iter().map(|number| absence(set, *number)));
        }
        sets::log(ctx, Action::Verify, set, &paths(&args), if found.is_empty() { "good" } else { "not good" });
        reports.push(report);
        troubles.extend(found);
    }
    let outcome = Outcome::done().with("sets", reports)?;
    if troubles.is_empty() {
        return Ok(outcome);
    }
    Ok(outcome.but(Some(verdict(troubles, missing, remedy, &args))))
}

/// The error that is told of everything found: what media are, then what policies say, then what is missing.
fn verdict(troubles: Vec<Detail>, missing: bool, policy: Option<String>, args: &Args) -> Error {
    if let Some(told) = sets::about_media(&troubles) {
        return Error { details: troubles, ..told };
    }
    let any = |code: Code| troubles.iter().any(|d| d.code == code);
    let told = match (any(Code::PolicyRefused), any(Code::VolumeForeign), missing) {
        (true, ..) => Error::new(Code::PolicyRefused, "the signature policy does not accept all images of the set"),
        (_, true, _) => Error::new(Code::VolumeForeign, "what belongs to a set is good, but other files were given"),
        _ => {
            let paths: Vec<String> = args.paths.iter().map(|path| shell_word(&path.to_string_lossy())).collect();
            let line = format!("sealift verify --this-medium {}", if paths.len() > 3 { "PATH".into() } else { paths.join(" ") });
            Error::new(Code::VolumeMissing, "what is here is good, but volumes are missing")
                .remedy(format!("give the medium that holds it, or check this one alone with `{line}`"))
        }
    };
    let told = Error { details: troubles, ..told };
    match policy.filter(|_| told.code == Code::PolicyRefused) {
        Some(remedy) => told.remedy(remedy),
        None => told,
    }
}

/// Says how many referrers there are and of which images: all of them are whole in the contents, which proves itself.
fn count_referrers(set: &OpenSet, report: &mut serde_json::Value, ctx: &Context) -> Result<(), Error> {
    let contents = set.contents();
    let relations = referrers(&contents.images, &contents.manifests()?);
    let of_images = contents.images.iter().zip(&relations).filter(|(image, about)| image.role != Role::Referrer && !about.is_empty());
    let about: serde_json::Map<String, serde_json::Value> =
        of_images.map(|(image, about)| (format!("{}:{}", image.repository, image.tag), about.len().into())).collect();
    let all = contents.images.iter().filter(|image| image.role == Role::Referrer).count();
    if all > 0 {
        ctx.output.line(&format!(
            "{} (signatures, attestations, SBOMs) of {} {} in the set",
            counted(all, "referrer"),
            counted(about.len(), "image"),
            are(all)
        ));
    }
    report["referrers"] = about.into();
    Ok(())
}

/// Judges the images of a set by what lies in it. What helps the first that is refused comes beside the refusals.
fn judged(set: &OpenSet, policy: &Policy, report: &mut serde_json::Value, ctx: &Context) -> Result<(Vec<Detail>, Option<String>), Error> {
    let contents = set.contents();
    let inline: BTreeMap<Digest, Vec<u8>> = contents.blobs.iter().filter_map(|b| Some((b.digest, b.inline_bytes()?))).collect();
    let payload = |_: &Image, layer: &Descriptor| {
        inline.get(&layer.digest).cloned().ok_or_else(|| "a payload does not lie in the contents document: pack the set again".to_owned())
    };
    let carried = image_signatures(&contents.documents);
    let signatures = |image: &Image, digest: &Digest| {
        carried.get(&(image.repository.clone(), *digest)).cloned().ok_or(Lack::NotCarried(NONE_IN_THE_SET))
    };
    let evidence = Evidence { payload: &payload, signatures: &signatures, folder: &plain_folders, now: now() };
    let judged = judge(policy, &contents.images, &contents.manifests()?, &evidence);
    let made = contents.images.iter().filter(|image| image.made.is_some()).count();
    let accepted = judged.iter().filter(|judged| judged.verdict.is_ok()).count();
    let by_itself = match made {
        0 => String::new(),
        n => format!("; {n} were made by sealift and are vouched for by the set's own signature"),
    };
    ctx.output.line(&format!("signature policy: {accepted} of {} accepted{by_itself}", counted(judged.len(), "image")));
    let remedy = judged.iter().find_map(|judged| judged.verdict.as_ref().err()).map(|refused| Error::from(refused).remedy);
    let refused = judged.into_iter().filter_map(|judged| {
        let (image, error) = (contents.images.get(judged.image)?, Error::from(judged.verdict.err()?));
        Some(Detail::of(format!("{}:{} ({})", image.repository, image.tag, image.source), &error))
    });
    let refused: Vec<Detail> = refused.collect();
    report["policy"] = serde_json::json!({"accepted": accepted, "refused": refused.len(), "made": made});
    Ok((refused, remedy))
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
            0 => format!("{} proven, {whole} of {} whole", counted(checked.proven, "blob"), counted(set.contents().images.len(), "image")),
            n => format!("{} proven; volumes that are not here are needed for {n} more", counted(checked.proven, "blob")),
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
        "set": set.name().to_string(), "identity": set.identity(), "created": index.created, "signers": sets::signers_json(set),
        "volumes": index.volumes.len(), "images": set.contents().images.len(), "good": checked.good, "missing": set.volumes_missing(),
        "damage": checked.damage.iter().map(|(volume, d)| serde_json::json!({"volume": volume, "error": d.to_string()})).collect::<Vec<_>>(),
        "imagesHit": hit, "blobsProven": checked.proven, "blobsElsewhere": checked.elsewhere, "deep": args.deep,
    });
    Ok((report, details))
}
