//! From the words of `plan` and `pack` to a plan.

use super::connections::{Sources, client, registries};
use super::{Context, options, values};
use crate::error::{Code, Detail, Error};
use crate::fs::read_user_file;
use crate::image_set::ImageSet;
use crate::limits;
use crate::pack::{self, Failure, Options, PackPlan, Wish};
use crate::progress::Level;
use crate::text::shown;
use std::path::Path;
use std::sync::Arc;

/// What was planned, and with which sources.
pub struct Planned {
    /// The plan.
    pub plan: PackPlan,
    /// Images that could not be planned.
    pub failures: Vec<Failure>,
    /// The sources, opened.
    pub sources: Sources,
    /// Transfers at a time.
    pub parallel: usize,
}

/// Everything about a plan that is said on the command line.
pub struct Asked<'a> {
    /// The words.
    pub wishes: Vec<values::Wish>,
    /// Name and purpose of the set.
    pub identity: &'a options::Identity,
    /// Platforms.
    pub selection: &'a options::Selection,
    /// Volumes.
    pub shape: &'a options::Shape,
    /// Registries.
    pub source: &'a options::Source,
}

/// Reads what the wishes name, asks the sources, and plans.
pub fn planned(asked: Asked<'_>, ctx: &Context) -> Result<Planned, Error> {
    let sources = sources(ctx, asked.source)?;
    let parallel = asked.source.access.parallel.map_or(6, usize::from);
    if let Some(path) = saved(&asked.wishes)? {
        let plan = PackPlan::parse(&read_plan(path)?).map_err(Error::from)?;
        warn_about_moved_tags(&plan, &sources, ctx);
        return Ok(Planned { plan, failures: Vec::new(), sources, parallel });
    }
    let wish = wish(&asked.wishes, ctx)?.on_platforms(&asked.selection.platforms);
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
    let (plan, failures) = planned?;
    for image in plan.images.iter().filter(|image| !image.platforms.is_empty()) {
        let carried = image.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let line = format!(
            "{} is carried in part ({carried}): registries that check the members of an index refuse it; with one platform its image then gets the tag",
            image.source
        );
        ctx.progress.say(Level::Warning, &line);
    }
    Ok(Planned { plan, failures, sources, parallel })
}

/// The sources, reached as the options and `registries.conf` say.
pub fn sources(ctx: &Context, source: &options::Source) -> Result<Sources, Error> {
    let conf = registries(ctx, &source.access)?;
    let client = client(ctx, &source.access, &conf, source.src_tls_verify, &Arc::default())?;
    let progress = ctx.progress.clone();
    Ok(Sources::new(client).with_mirrors(conf, Arc::new(move |line| progress.say(Level::Detail, &shown(line).to_string()))))
}

/// The stable code of a failure, as the index lists it.
pub fn code_of(failure: &Failure) -> String {
    detail(failure).code.name().to_owned()
}

/// A failure as an entry of a list.
pub fn detail(failure: &Failure) -> Detail {
    Detail::from(failure)
}

/// The saved plan among the wishes: it stands alone.
fn saved(wishes: &[values::Wish]) -> Result<Option<&Path>, Error> {
    match wishes {
        [values::Wish::Plan(path)] => Ok(Some(path)),
        wishes if wishes.iter().any(|w| matches!(w, values::Wish::Plan(_))) => {
            Err(Error::new(Code::Usage, "a saved plan is carried alone").remedy("give the plan, or the wishes it was made from, not both"))
        }
        _ => Ok(None),
    }
}

fn read_plan(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = crate::fs::File::open_path(path)?;
    file.take(limits::PLAN_BYTES).read_to_end(&mut bytes).map_err(|e| crate::fs::FsError::from_io(e, "read", path))?;
    Ok(bytes)
}

/// A plan pins digests, so that a second person can rebuild it. Whoever expected the newest is told.
fn warn_about_moved_tags(plan: &PackPlan, sources: &Sources, ctx: &Context) {
    use crate::origin::Origins;
    for image in &plan.images {
        let Ok(source) = crate::image_set::Source::parse(&image.source) else { continue };
        if let Ok((now, _)) = sources.open(&source).and_then(|origin| origin.resolve(&source))
            && now != image.root.digest
        {
            let line = format!(
                "{} has moved since it was planned ({} then, {} now); the planned one is packed, plan again to take the new one",
                image.source,
                image.root.digest.short(),
                now.short()
            );
            ctx.progress.say(Level::Warning, &line);
        }
    }
}

/// One wish out of all words: one ImageSet, or references.
fn wish(wishes: &[values::Wish], ctx: &Context) -> Result<Wish, Error> {
    let mut references = Vec::new();
    let mut set: Option<Wish> = None;
    for wish in wishes {
        match wish {
            values::Wish::Image(source) => references.push(source.clone()),
            values::Wish::ImageSet(path) if set.is_none() => set = Some(image_set(path, ctx)?),
            values::Wish::ImageSet(_) => {
                return Err(Error::new(Code::Usage, "two ImageSet files were given").remedy("pack them one after the other, or join them"));
            }
            values::Wish::Plan(_) => {}
        }
    }
    let mut wish = set.unwrap_or_default();
    wish.asks.extend(Wish::of_references(references).asks);
    Ok(wish)
}

fn image_set(path: &Path, ctx: &Context) -> Result<Wish, Error> {
    let bytes = read_user_file(path)?;
    let (set, notices) = ImageSet::parse(&bytes).map_err(|e| {
        let error = Error::from(e);
        Error { what: format!("{}: {}", path.display(), error.what), ..error }
    })?;
    for notice in notices {
        ctx.output.warn(&format!("{}: {notice}", path.display()));
    }
    Ok(Wish::of_image_set(set)?)
}
