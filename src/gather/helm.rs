//! `mirror.helm`: charts, and the images they need.
//!
//! A chart from disk or from a repository on the web travels as an OCI artifact, `charts/NAME:VERSION` at the target, so that
//! `helm pull oci://REGISTRY/charts/NAME --version VERSION` finds it inside. One from a registry is carried as it is there.

use super::{GatherError, Gathered, World};
use crate::digest::Digest;
use crate::format::Role;
use crate::helm::{self, HelmError, ImagePath, Package, Place, Program, Repository, Settings};
use crate::image_set::{Chart, ChartRepository, Helm, LocalChart, Source};
use crate::oci::Platform;
use crate::pack::{Ask, Made};
use crate::parallel::each;
use crate::progress::Level;
use crate::text::{bare_address, shown};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// Rendering takes helm seconds; what takes minutes waits for something that will not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// One chart to be looked into.
struct Job<'w> {
    /// For people: where the ImageSet asks for it.
    name: String,
    at: Where<'w>,
    paths: &'w [String],
    platforms: &'w [Platform],
}

/// Where it is.
enum Where<'w> {
    Disk(PathBuf),
    Web { repository: &'w Repository, entry: &'w helm::Entry },
    Registry { url: &'w str, chart: &'w str, version: Option<&'w str> },
}

/// What one chart became.
struct Done {
    asks: Vec<Ask>,
    notes: Vec<String>,
}

/// Works out the charts of an ImageSet: the images they need and the charts themselves. A chart that fails is listed in
/// [`Gathered::failures`] under the place where it is asked for; the others go on.
///
/// # Errors
/// [`GatherError::Interrupted`] alone ends it as a whole.
pub fn charts(wanted: &Helm, world: &World<'_>) -> Result<Gathered, GatherError> {
    let mut gathered = Gathered::default();
    let repositories = open(wanted, world, &mut gathered)?;
    let mut jobs = Vec::new();
    for (asked, repository) in wanted.repositories.iter().zip(&repositories) {
        jobs_of(asked, repository.as_ref(), &mut jobs, &mut gathered);
    }
    jobs.extend(wanted.local.iter().map(|local| local_job(local, world)));
    let results = each(world.parallel, &jobs, || world.progress.cancelled(), |job| run(job, world));
    // What broke off because the person stopped is no failure of a chart.
    if world.progress.cancelled() {
        return Err(GatherError::Interrupted);
    }
    for (job, result) in jobs.iter().zip(results) {
        match result {
            None | Some(Err(HelmError::Interrupted)) => return Err(GatherError::Interrupted),
            Some(Ok(done)) => {
                gathered.notes.extend(done.notes);
                gathered.asks.extend(done.asks);
            }
            Some(Err(error)) => gathered.failures.push((job.name.clone(), told(error))),
        }
    }
    gathered.asks = each_once(gathered.asks);
    Ok(gathered)
}

/// The indexes of all repositories on the web; `None` for registries and for those that failed.
fn open(wanted: &Helm, world: &World<'_>, gathered: &mut Gathered) -> Result<Vec<Option<Repository>>, GatherError> {
    let mut repositories = Vec::new();
    for asked in &wanted.repositories {
        if world.progress.cancelled() {
            return Err(GatherError::Interrupted);
        }
        if is_registry(asked) {
            repositories.push(None);
            continue;
        }
        match Repository::open(&asked.url, world.web) {
            Ok(repository) => repositories.push(Some(repository)),
            Err(error) => {
                gathered.failures.push((place(asked), told(error)));
                repositories.push(None);
            }
        }
    }
    Ok(repositories)
}

fn is_registry(asked: &ChartRepository) -> bool {
    asked.url.starts_with("oci://")
}

/// `helm repository NAME (URL)`.
fn place(asked: &ChartRepository) -> String {
    format!("helm repository {} ({})", shown(&asked.name), shown(&bare_address(&asked.url)))
}

fn jobs_of<'w>(asked: &'w ChartRepository, repository: Option<&'w Repository>, jobs: &mut Vec<Job<'w>>, gathered: &mut Gathered) {
    let name = |chart: &str, version: &str| format!("chart {} of {}", shown(format!("{chart} {version}").trim()), place(asked));
    match repository {
        None if !is_registry(asked) => {} // told already
        None if asked.charts.is_empty() => {
            gathered.failures.push((place(asked), HelmError::NoListing(bare_address(&asked.url)).into()));
        }
        None => jobs.extend(asked.charts.iter().map(|chart| {
            let version = chart.version.as_deref();
            let at = Where::Registry { url: &asked.url, chart: &chart.name, version };
            Job { name: name(&chart.name, version.unwrap_or_default()), at, paths: &chart.image_paths, platforms: &chart.platforms }
        })),
        Some(repository) if asked.charts.is_empty() => jobs.extend(repository.all().into_iter().map(|entry| Job {
            name: name(&entry.name, &entry.version),
            at: Where::Web { repository, entry },
            paths: &[],
            platforms: &[],
        })),
        Some(repository) => {
            for chart in &asked.charts {
                let Chart { name: wanted, version, image_paths, platforms } = chart;
                let name = name(wanted, version.as_deref().unwrap_or_default());
                match repository.pick(wanted, version.as_deref()) {
                    Ok(entry) => jobs.push(Job { name, at: Where::Web { repository, entry }, paths: image_paths, platforms }),
                    Err(error) => gathered.failures.push((name, told(error))),
                }
            }
        }
    }
}

fn local_job<'w>(local: &'w LocalChart, world: &World<'_>) -> Job<'w> {
    Job {
        name: format!("local chart {} ({})", shown(&local.name), shown(&local.path)),
        at: Where::Disk(world.folder.join(&local.path)),
        paths: &local.image_paths,
        platforms: &local.platforms,
    }
}

fn run(job: &Job<'_>, world: &World<'_>) -> Result<Done, HelmError> {
    world.progress.say(Level::Detail, &job.name);
    // Before anything is fetched: a path that is not understood is a slip of the pen.
    let paths = job.paths.iter().map(|path| ImagePath::parse(path)).collect::<Result<Vec<_>, _>>()?;
    let (package, source) = match &job.at {
        Where::Disk(path) => (Package::open(path)?, None),
        Where::Web { repository, entry } => match repository.place(entry)? {
            Place::Web(url) => (repository.fetch(entry, &url, world.web)?, None),
            Place::Registry(reference) => in_registry(helm::fetch(&reference, world.origins)?),
        },
        Where::Registry { url, chart, version } => in_registry(helm::find(url, chart, *version, world.origins)?),
    };
    let part_of = vec![format!("chart {}", package.title())];
    let scratch = world.workspace.path().to_owned();
    let values: Vec<PathBuf> = world.helm.values.iter().map(|path| world.folder.join(path)).collect();
    let program = world.helm.program.as_deref().map(|path| Program { path, scratch: &scratch, patience: PATIENCE });
    let settings = Settings { program, values: &values };
    let images = package.images(&paths, &settings, &|| world.progress.cancelled())?;
    let mut asks = vec![chart_ask(&package, source, &part_of, world)?];
    asks.extend(images.sources.into_iter().map(|source| Ask {
        platforms: job.platforms.to_vec(),
        role: Role::Helm,
        part_of: part_of.clone(),
        ..Ask::of(source)
    }));
    Ok(Done { asks, notes: images.notes })
}

fn in_registry(found: helm::InRegistry) -> (Package, Option<Source>) {
    (found.package, Some(found.source))
}

/// The chart itself. It has no platform, so none is asked for.
fn chart_ask(package: &Package, source: Option<Source>, part_of: &[String], world: &World<'_>) -> Result<Ask, HelmError> {
    let ask = match source {
        Some(source) => Ask::of(source),
        None => {
            let artifact = package.artifact(world.workspace)?;
            let name = format!("{}:{}", artifact.repository, artifact.tag);
            Ask {
                target_repo: Some(artifact.repository),
                target_tag: Some(artifact.tag),
                made: Some(Made { digest: artifact.digest, base: None }),
                ..Ask::of(Source::Made(name))
            }
        }
    };
    Ok(Ask { role: Role::Chart, part_of: part_of.to_vec(), ..ask })
}

/// The same image asked for by several charts is asked for once, as part of them all.
fn each_once(asks: Vec<Ask>) -> Vec<Ask> {
    type Key = (String, Option<Digest>, Vec<Platform>);
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut once: Vec<Ask> = Vec::new();
    for ask in asks {
        let key = (ask.source.to_string(), ask.made.as_ref().map(|m| m.digest), ask.platforms.clone());
        match places.get(&key).and_then(|at| once.get_mut(*at)) {
            Some(first) => {
                first.part_of.extend(ask.part_of);
                first.part_of.sort();
                first.part_of.dedup();
            }
            None => {
                places.insert(key, once.len());
                once.push(ask);
            }
        }
    }
    once
}

/// Where something else failed than the chart, that is what is told.
fn told(error: HelmError) -> GatherError {
    match error {
        HelmError::Web(e) => e.into(),
        HelmError::Origin(e) => e.into(),
        HelmError::Workspace(e) => e.into(),
        HelmError::Fs(e) => e.into(),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
