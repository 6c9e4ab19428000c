//! From the words of `plan` and `pack` to a plan.

use super::asked::Asked;
use super::connections::{Sources, client, lookasides, registries};
use super::{Context, now, openshift, options, saved_plan, values};
use crate::digest::Digest;
use crate::error::{Code, Detail, Error, Side};
use crate::format::Missing;
use crate::fs::read_user_file;
use crate::gather::{self, GatherError, Gathered, World};
use crate::image_set::ImageSet;
use crate::layout::Layout;
use crate::limits;
use crate::lookaside::{LookasideError, Lookasides};
use crate::pack::{self, Court, Failure, Options, PackPlan, Wish};
use crate::progress::Level;
use crate::text::{counted, shown};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What was planned, and with which sources.
pub struct Planned {
    /// The plan.
    pub plan: PackPlan,
    /// Images that could not be planned.
    pub failures: Vec<Failure>,
    /// Releases, catalogs and charts that could not be worked out; the plan lists them as missing already.
    pub left_out: Vec<Detail>,
    /// The sources, opened.
    pub sources: Sources,
    /// Transfers at a time.
    pub parallel: usize,
}

/// Reads what the wishes name, asks the sources, and plans.
pub fn planned(asked: Asked, ctx: &Context) -> Result<Planned, Error> {
    let sources = sources(ctx, &asked.source, asked.workspace.clone())?;
    let parallel = asked.source.access.parallel.map_or(6, usize::from);
    // The policy first: a mistake in it shall not be noticed after all sources were asked.
    let policy = asked.selection.policy.as_deref().map(options::policy).transpose()?;
    let lookasides = lookasides(ctx, &asked.selection)?;
    // What cannot be read was not made, as far as anybody can prove.
    let made = |root: &Digest, base: Option<&str>| sources.workspace().was_made(root, base).unwrap_or(false);
    let court = policy.as_ref().map(|policy| Court {
        policy,
        origins: &sources,
        lookasides: &lookasides,
        web: sources.client(),
        made: &made,
        now: now(),
        parallel,
        progress: ctx.progress.as_ref(),
    });
    if let Some(path) = saved_plan::named(&asked.wishes)? {
        let plan = saved_plan::read(path, &asked.openshift, &sources, ctx)?;
        let (plan, failures) = accepted(plan, court.as_ref(), ctx)?;
        return Ok(Planned { plan, failures, left_out: Vec::new(), sources, parallel });
    }
    ctx.progress.begin("working out what is asked for", 0);
    let wished = wish(&asked, &sources, parallel, ctx);
    ctx.progress.end();
    let (wish, left_out) = wished?;
    note_made(&wish, sources.workspace())?;
    let wish = Wish { referrers: asked.selection.wanted_referrers(), ..wish.on_platforms(&asked.selection.platforms) };
    let options = Options {
        stream: asked.identity.stream.clone(),
        volume_size: asked.shape.volume_size.or(wish.volume_size).unwrap_or(limits::VOLUME_BYTES_MAX),
        level: asked.shape.level,
        audience: asked.identity.audience.clone(),
        labels: asked.identity.labels.iter().cloned().collect(),
    };
    ctx.progress.begin("asking the sources", 0);
    let planned = pack::plan(&wish, options, &sources, parallel, code_of, ctx.progress.as_ref());
    ctx.progress.end();
    let (plan, mut failures) = planned?;
    let plan = with_signatures(plan, &lookasides, &sources, parallel, ctx)?;
    let (plan, refused) = accepted(plan, court.as_ref(), ctx)?;
    failures.extend(refused);
    for image in plan.images.iter().filter(|image| !image.platforms.is_empty()) {
        let carried = image.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let line = format!(
            "{} is carried in part ({carried}): registries that check the members of an index refuse it; with one platform its image then gets the tag",
            image.source
        );
        ctx.progress.say(Level::Warning, &line);
    }
    Ok(Planned { plan, failures, left_out, sources, parallel })
}

/// Notes what was made just now: a plan can be saved, and comes back from elsewhere.
fn note_made(wish: &Wish, workspace: &Layout) -> Result<(), Error> {
    for made in wish.asks.iter().filter_map(|ask| ask.made.as_ref()) {
        let base = made.base.as_ref().map(ToString::to_string);
        workspace.note_made(&made.digest, base.as_deref()).map_err(|e| crate::error::layout(&e, Side::Source))?;
    }
    Ok(())
}

/// The sources, reached as the options and `registries.conf` say.
pub fn sources(ctx: &Context, source: &options::Source, workspace: Layout) -> Result<Sources, Error> {
    let conf = registries(ctx, &source.access)?;
    let client = client(ctx, &source.access, &conf, source.src_tls_verify, &Arc::default())?;
    let progress = ctx.progress.clone();
    Ok(Sources::new(client, workspace).with_mirrors(conf, Arc::new(move |line| progress.say(Level::Detail, &shown(line).to_string()))))
}

/// The plan with the OpenPGP signatures of its images. One that cannot be had is told; whether it is needed, a policy says.
fn with_signatures(plan: PackPlan, lookasides: &Lookasides, sources: &Sources, parallel: usize, ctx: &Context) -> Result<PackPlan, Error> {
    if lookasides.is_empty() {
        return Ok(plan);
    }
    ctx.progress.begin("asking for signatures", 0);
    let carried = pack::carry_signatures(plan, lookasides, sources.client(), parallel, ctx.progress.as_ref());
    ctx.progress.end();
    let (plan, failures) = carried?;
    let images: BTreeSet<&str> = failures.iter().map(|(image, _)| image.as_str()).collect();
    if let Some((_, first)) = failures.iter().find(|(_, error)| !matches!(error, LookasideError::GaveUp { .. })) {
        let line = format!("OpenPGP signatures of {} could not be had and are not carried: {first}", counted(images.len(), "image"));
        ctx.progress.say(Level::Warning, &line);
    }
    Ok(plan)
}

/// The part of a plan that the policy accepts, and what it does not.
fn accepted(plan: PackPlan, court: Option<&Court<'_>>, ctx: &Context) -> Result<(PackPlan, Vec<Failure>), Error> {
    let Some(court) = court else { return Ok((plan, Vec::new())) };
    ctx.progress.begin("judging signatures", 0);
    let judged = pack::enforce(&plan, court, &code_of);
    ctx.progress.end();
    Ok(judged?)
}

/// The stable code of a failure, as the index lists it.
pub fn code_of(failure: &Failure) -> String {
    detail(failure).code.name().to_owned()
}

/// A failure as an entry of a list.
pub fn detail(failure: &Failure) -> Detail {
    Detail::from(failure)
}

/// Where releases, catalogs and charts are looked into, and what is made of them is kept.
fn world<'a>(asked: &Asked, sources: &'a Sources, parallel: usize, folder: &Path, ctx: &'a Context) -> World<'a> {
    World {
        origins: sources,
        web: sources.client(),
        workspace: sources.workspace(),
        progress: ctx.progress.as_ref(),
        parallel,
        folder: folder.to_owned(),
        releases: openshift::releases(&asked.openshift, ctx),
        operators: openshift::operators(&asked.openshift),
        helm: openshift::helm(&asked.openshift, ctx),
    }
}

/// One wish out of all words: one ImageSet, references, releases. What could not be had comes beside it.
fn wish(asked: &Asked, sources: &Sources, parallel: usize, ctx: &Context) -> Result<(Wish, Vec<Detail>), Error> {
    let mut references = Vec::new();
    let mut gathered = Gathered::default();
    let mut set: Option<Wish> = None;
    for word in &asked.wishes {
        match word {
            values::Wish::Image(source) => references.push(source.clone()),
            values::Wish::Release(release) => {
                gathered.add(gather::single(release, &asked.openshift.arch, &world(asked, sources, parallel, Path::new("."), ctx))?);
            }
            values::Wish::ImageSet(path) if set.is_none() => {
                let image_set = image_set(path, ctx)?;
                let folder = path.parent().unwrap_or(Path::new("."));
                gathered.add(gather::gather(&image_set, &world(asked, sources, parallel, folder, ctx))?);
                set = Some(Wish::of_image_set(image_set));
            }
            values::Wish::ImageSet(_) => {
                return Err(Error::new(Code::Usage, "two ImageSet files were given").remedy("pack them one after the other, or join them"));
            }
            values::Wish::Plan(_) => {}
        }
    }
    let mut wish = set.unwrap_or_default();
    wish.asks.extend(Wish::of_references(references).asks);
    let left_out = add(&mut wish, gathered, asked.selection.keep_going, ctx)?;
    Ok((wish, left_out))
}

/// What was gathered joins the wish. A failure ends the command, unless it may go on with what there is.
fn add(wish: &mut Wish, gathered: Gathered, keep_going: bool, ctx: &Context) -> Result<Vec<Detail>, Error> {
    let Gathered { asks, documents, failures, notes } = gathered;
    for note in notes {
        ctx.progress.say(Level::Warning, &note);
    }
    let named = |(name, error): (String, GatherError)| {
        let error = Error::from(&error);
        let what = if error.what.contains(&name) { error.what } else { format!("{}: {}", shown(&name), error.what) };
        (name, Error { what, ..error })
    };
    let failures: Vec<(String, Error)> = failures.into_iter().map(named).collect();
    let details: Vec<Detail> = failures.iter().map(|(name, error)| Detail::of(name, error)).collect();
    if !keep_going {
        let mut failures = failures;
        match failures.len() {
            0 => {}
            1 => return Err(failures.remove(0).1),
            n => {
                let (_, first) = failures.remove(0);
                let what = format!("{n} parts of what was asked for cannot be worked out; the first: {}", first.what);
                return Err(Error { what, details, ..first });
            }
        }
        wish.asks.extend(asks);
        wish.documents.extend(documents);
        return Ok(Vec::new());
    }
    wish.asks.extend(asks);
    wish.documents.extend(documents);
    for (name, error) in failures {
        ctx.progress.say(Level::Warning, &format!("left out: {name}: {}", error.what));
        wish.missing.push(Missing { name, code: error.code.name().to_owned(), reason: error.what });
    }
    Ok(details)
}

fn image_set(path: &Path, ctx: &Context) -> Result<ImageSet, Error> {
    let bytes = read_user_file(path)?;
    let (set, notices) = ImageSet::parse(&bytes).map_err(|e| {
        let error = Error::from(e);
        Error { what: format!("{}: {}", path.display(), error.what), ..error }
    })?;
    for notice in notices {
        ctx.output.warn(&format!("{}: {notice}", path.display()));
    }
    Ok(set.settled(&values::is_folder))
}
