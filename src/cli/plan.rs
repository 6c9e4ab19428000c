//! `sealift plan`: what a pack would carry.

use super::asked::Making;
use super::carried::{Carried, IMAGES_LISTED};
use super::output::bytes;
use super::wishes::{Planned, detail, planned};
use super::{Context, Outcome, values};
use crate::error::{Code, Error};
use crate::format::Role;
use crate::fs::Dir;
use crate::pack::PackPlan;
use crate::text::counted;
use std::ffi::OsString;
use std::path::PathBuf;

/// Shows what a pack would carry, without carrying it
///
/// Tags are looked up and pinned to digests; releases, operators, charts, images, blobs, volumes and bytes are printed (more than
/// 40 images only with -v). A plan saved with -o can be given
/// to pack in place of the wishes: it then carries exactly that, today or next week, here or on a second person's machine.
#[derive(clap::Args, Debug)]
#[command(after_help = WISHES)]
pub struct Args {
    /// What to carry: an ImageSet file, a saved plan, or references
    #[arg(value_name = "WISH", required = true, num_args = 1..)]
    pub wishes: Vec<OsString>,
    /// Save the plan to this file
    #[arg(short, long, value_name = "FILE", help_heading = "Files")]
    pub output: Option<PathBuf>,
    /// How the set is made.
    #[command(flatten)]
    pub making: Making,
}

/// What a wish can be; `pack` says the same.
pub const WISHES: &str = "\
A WISH that ends in .json is a saved plan; an existing file, or what ends in .yaml or .yml, is an ImageSetConfiguration \
(mirror.openshift.io/v2alpha1); oci:FOLDER[:NAME] is an image in an OCI layout; anything else is a reference such as \
quay.io/org/name:1.2 or docker.io/library/nginx@sha256:HEX. Several references may be given.";

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let wishes = args.wishes.iter().map(|w| values::Wish::sort(w)).collect::<Result<_, _>>()?;
    let Planned { plan, failures, left_out, .. } = planned(args.making.asked(wishes, args.making.workspace.open(ctx)?), ctx)?;
    args.making.inside.refuse_collisions(&plan)?;
    let estimate = plan.estimate()?;
    show(&plan, ctx)?;
    if let Some(path) = &args.output {
        save(path, &plan.to_bytes()?)?;
        ctx.output.line(&format!("plan saved as {}; `sealift pack {} OUT` carries exactly this", path.display(), path.display()));
    }
    // What pack would say: the reason of the first, or with --keep-going that only a part can be had.
    let shortfall = match (failures.is_empty(), args.making.selection.keep_going) {
        (true, _) if left_out.is_empty() => None,
        (true, _) | (false, true) => {
            let details: Vec<_> = left_out.into_iter().chain(failures.iter().map(detail)).collect();
            Error::partial(format!("{} asked for cannot be packed", counted(details.len(), "thing")), details)
        }
        (false, false) => {
            let total = plan.images.len() + failures.len();
            Some(Error::from(crate::pack::Error::Failed { failures, total }))
        }
    };
    Ok(Outcome::done()
        .with("carries", Carried::of(&plan.images, &plan.documents))?
        .with("images", &plan.images)?
        .with("blobs", plan.blobs.len())?
        .with("referrers", plan.referrers()?)?
        .with("estimate", estimate)?
        .but(shortfall))
}

fn show(plan: &PackPlan, ctx: &Context) -> Result<(), Error> {
    let estimate = plan.estimate()?;
    let mut rows = vec![["IMAGE", "FROM", "DIGEST", "PLATFORMS", "REFERRERS"].map(str::to_owned).to_vec()];
    let referrers = plan.referrers()?;
    for (image, about) in plan.images.iter().zip(&referrers) {
        let platforms = match image.platforms.as_slice() {
            [] => "all".to_owned(),
            some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        let name = format!("{}:{}", image.repository, image.tag);
        rows.push(vec![name, image.source.clone(), image.root.digest.short(), platforms, about.to_string()]);
    }
    if plan.images.len() <= IMAGES_LISTED || ctx.verbose {
        ctx.output.table(&rows);
        ctx.output.line("");
    }
    Carried::of(&plan.images, &plan.documents).told(ctx);
    let of_them = match plan.images.iter().filter(|image| image.role == Role::Referrer).count() {
        0 => String::new(),
        n => format!(" ({n} of them referrers: signatures, attestations, SBOMs)"),
    };
    let (images, blobs) = (plan.images.len(), plan.blobs.len());
    ctx.output.line(&format!("{}{of_them}, {blobs} blobs and manifests, {}", counted(images, "image"), bytes(estimate.content)));
    ctx.output.line(&format!(
        "at most {} of at most {} bytes, {} together; OUT needs {} free, the workspace up to {}",
        counted(estimate.volumes, "volume"),
        plan.options.volume_size,
        bytes(estimate.volumes_bytes),
        bytes(estimate.staging()),
        bytes(estimate.content)
    ));
    Ok(())
}

pub(super) fn save(path: &std::path::Path, bytes: &[u8]) -> Result<(), Error> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| Error::new(Code::Usage, format!("{} is no file name", path.display())))?;
    Ok(Dir::open(parent)?.publish(name, bytes)?)
}
