//! A saved plan in place of wishes. It has been passed on since it was made, so what decides something is proven again.

use super::connections::Sources;
use super::{Context, openshift, options, values};
use crate::digest::Digest;
use crate::error::{Code, Error};
use crate::format::{DocumentKind, Image, Role};
use crate::fs::File;
use crate::image_set::Source;
use crate::limits;
use crate::oci::Reference;
use crate::openpgp::{self, Keyring, SignatureError};
use crate::openshift::signature::{StoreError, find_keys};
use crate::origin::Origins as _;
use crate::pack::PackPlan;
use crate::progress::Level;
use crate::text::shown;
use std::collections::BTreeMap;
use std::path::Path;

/// The saved plan among the wishes: it stands alone.
pub fn named(wishes: &[values::Wish]) -> Result<Option<&Path>, Error> {
    match wishes {
        [values::Wish::Plan(path)] => Ok(Some(path)),
        wishes if wishes.iter().any(|w| matches!(w, values::Wish::Plan(_))) => {
            Err(Error::new(Code::Usage, "a saved plan is carried alone").remedy("give the plan, or the wishes it was made from, not both"))
        }
        _ => Ok(None),
    }
}

/// Reads it. Releases in it are verified by the signatures it carries; whoever expected the newest of a tag is told.
///
/// # Errors
/// `BAD_DOCUMENT` for what is no plan; `RELEASE_SIGNATURE` for a release without a signature that holds; as files fail.
pub fn read(path: &Path, asked: &options::OpenShift, sources: &Sources, ctx: &Context) -> Result<PackPlan, Error> {
    let plan = PackPlan::parse(&File::open_path(path)?.read_whole(limits::PLAN_BYTES)?)?;
    prove_releases(&plan, asked, ctx)?;
    warn_about_moved_tags(&plan, sources, ctx);
    Ok(plan)
}

/// The signature of a release was verified when it was planned: by somebody, whose plan this says it is.
fn prove_releases(plan: &PackPlan, asked: &options::OpenShift, ctx: &Context) -> Result<(), Error> {
    let releases: BTreeMap<Digest, &str> =
        plan.images.iter().filter(|image| is_release(image)).map(|image| (image.root.digest, image.source.as_str())).collect();
    if releases.is_empty() {
        return Ok(());
    }
    let settings = openshift::releases(asked, ctx);
    let keyring = find_keys(&settings.keys, settings.keys_named).map_err(|e| Error::from(&e));
    for (digest, source) in releases {
        match keyring.as_ref().map_err(Error::clone).and_then(|keyring| prove(plan, (&digest, source), keyring, settings.now)) {
            Err(error) if asked.ignore_release_signature => {
                let line = format!("release {} IS NOT PROVEN and carried all the same, as asked for: {}", shown(source), error.what);
                ctx.progress.say(Level::Warning, &line);
            }
            proven => proven?,
        }
    }
    Ok(())
}

/// What is called a release where it is planned, and wherever a plan is told.
fn is_release(image: &Image) -> bool {
    let whole = |word: &String| matches!(word.split(' ').collect::<Vec<_>>().as_slice(), ["release", _]);
    image.role == Role::Release || image.role != Role::Referrer && image.part_of.iter().any(whole)
}

/// One signature that holds is enough, as where it is planned.
fn prove(plan: &PackPlan, (digest, source): (&Digest, &str), keyring: &Keyring, now: u64) -> Result<(), Error> {
    let name = format!("sha256-{}-", digest.hex());
    let signatures = plan.documents.iter().filter(|d| d.kind == DocumentKind::ReleaseSignature && d.name.starts_with(&name));
    let mut refused: Vec<(String, SignatureError)> = Vec::new();
    for signature in signatures {
        match openpgp::verify(&signature.bytes(), digest, keyring, now) {
            Ok(_) => return Ok(()),
            Err(why) => refused.push((signature.name.clone(), why)),
        }
    }
    if refused.is_empty() {
        let what = format!("the saved plan has no signature of the release {} ({})", shown(source), digest.short());
        return Err(Error::new(Code::ReleaseSignature, what).remedy(
            "plan it again from the ImageSet or as release:VERSION; a release that nobody signs needs --ignore-release-signature here as well",
        ));
    }
    Err(Error::from(&StoreError::Refused { digest: *digest, refused }))
}

/// A plan pins digests, so that a second person can rebuild it. Whoever expected the newest is told.
fn warn_about_moved_tags(plan: &PackPlan, sources: &Sources, ctx: &Context) {
    for image in &plan.images {
        let Ok(source) = values::source(&image.source) else { continue };
        // What was made from it has another digest anyway; which original it was made from is told by its base.
        let planned = match &image.made {
            None => image.root.digest,
            Some(made) => match made.base.as_deref().map(Source::parse) {
                Some(Ok(Source::Registry(Reference { digest: Some(digest), .. }))) => digest,
                _ => continue,
            },
        };
        if let Ok((now, _)) = sources.open(&source).and_then(|origin| origin.resolve(&source))
            && now != planned
        {
            let line = format!(
                "{} has moved since it was planned ({} then, {} now); the planned one is packed, plan again to take the new one",
                image.source,
                planned.short(),
                now.short()
            );
            ctx.progress.say(Level::Warning, &line);
        }
    }
}
