//! Running a plan: fetch and write beside each other, seal, read back.

use super::fetch::{Fetch, beside};
use super::{Error, Failure, PackPlan, Seal, seal, sign_set, write};
use crate::archive::{self, OpenSet};
use crate::digest::Digest;
use crate::format::{Contents, DocumentKind, FileKind, Index, Missing, Role, SetName, SignatureName};
use crate::fs::{Dir, INCOMPLETE};
use crate::image_set::Source;
use crate::layout::Layout;
use crate::limits;
use crate::origin::{Origin, Origins};
use crate::progress::{Level, Progress};
use crate::sign::{AllowedSigners, Policy, RevokedKeys, Signer, Trust};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Held and named while a set is in the making: what an interrupted run left can be told from other people's files.
const MARK: &str = "sealift.incomplete";

/// Everything a run needs. The plan says what, the rest says where and how.
pub struct Job<'a> {
    /// The plan.
    pub plan: PackPlan,
    /// Images that could not be planned.
    pub failures: Vec<Failure>,
    /// Pack what can be packed and say what is missing; without it, a failure ends the run before the archive is written.
    pub keep_going: bool,
    /// Sources.
    pub origins: &'a dyn Origins,
    /// Where blobs are kept between runs.
    pub workspace: &'a Layout,
    /// Folder of the set.
    pub out: &'a Path,
    /// Gives the set its sequence and time once the plan is final.
    pub seal: &'a dyn Fn(&PackPlan) -> Result<Seal, Error>,
    /// The key; without it the set is left unsigned, which means unfinished.
    pub signer: Option<&'a dyn Signer>,
    /// Read everything back from the medium.
    pub read_back: bool,
    /// Sync files and folders; without it a power cut may lose the result.
    pub durable: bool,
    /// Blobs fetched at the same time.
    pub parallel: usize,
    /// Stable code of a failure, for the index.
    pub code: &'a dyn Fn(&Failure) -> String,
    /// Seconds since 1970.
    pub now: u64,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

/// What a run made.
#[derive(Debug)]
pub struct Report {
    /// Stream and sequence.
    pub name: SetName,
    /// SHA-256 of the index.
    pub identity: Digest,
    /// Volumes and their bytes.
    pub volumes: Vec<(String, u64)>,
    /// Images in the set.
    pub images: usize,
    /// Blobs and manifests in the set, and their bytes.
    pub blobs: usize,
    /// Bytes of blobs and manifests.
    pub content: u64,
    /// What was asked for and is not in the set.
    pub failures: Vec<Failure>,
    /// True when the set is signed.
    pub signed: bool,
    /// How it was read back: `None` when it was not; true when the bytes came from the medium, not from memory.
    pub read_back: Option<bool>,
}

/// Packs. On failure nothing new in the output folder is a set (one finished before stays), and what was fetched is kept for the
/// next run.
pub fn run(job: Job<'_>) -> Result<Report, Error> {
    let out = Dir::create(job.out)?.durable(job.durable);
    let _lock = out.lock(MARK)?;
    let result = make(job, &out);
    if result.is_err() {
        // What failed is told, not what failed while it was cleared away; the mark stays then, for the next run.
        let _ = clear(&out).and_then(|()| end(&out));
    }
    result
}

fn make(mut job: Job<'_>, out: &Dir) -> Result<Report, Error> {
    let mut plan = job.plan.clone();
    let mut failures = std::mem::take(&mut job.failures);
    if !failures.is_empty() && !job.keep_going {
        let total = plan.images.len() + failures.len();
        failures.extend(fetch_only(&plan, &job)?);
        return Err(Error::Failed { failures, total });
    }
    let mut doubt = false;
    loop {
        if plan.images.is_empty() {
            let total = failures.len();
            return Err(if failures.is_empty() { Error::Nothing } else { Error::Failed { failures, total } });
        }
        let seal = (job.seal)(&plan)?;
        begin(out, &seal, &plan)?;
        match attempt(&plan, &seal, out, &job, doubt) {
            Ok((identity, contents)) => {
                let report = finish(&plan, &seal, out, &job, identity, &contents, failures)?;
                end(out)?;
                return Ok(report);
            }
            // No source is at fault, so that it can be had again; half of it is in a volume, so that these begin anew.
            Err(Error::Kept { path, wrong }) if !doubt => {
                let path = crate::text::shown(&path.display().to_string()).to_string();
                let line =
                    format!("{path} was damaged in the workspace ({wrong}): it is fetched again, and what else is kept is looked at");
                job.progress.say(Level::Warning, &line);
                doubt = true;
            }
            Err(Error::Failed { failures: late, .. }) if job.keep_going => {
                let smaller = without(&plan, &late, job.code)?;
                if smaller.images.len() == plan.images.len() {
                    return Err(Error::Failed { total: plan.images.len(), failures: late });
                }
                plan = smaller;
                for failure in &late {
                    job.progress.say(Level::Warning, &format!("left out: {}: {}", failure.name, failure.told(&failure.reason)));
                }
                failures.extend(late);
            }
            Err(error) => return Err(error),
        }
    }
}

fn open_origins(plan: &PackPlan, origins: &dyn Origins) -> Result<Vec<Arc<dyn Origin>>, Error> {
    let open = |image: &crate::format::Image| {
        let parse = |text: &String| Source::parse_recorded(text).map_err(|e| Error::Plan(e.to_string()));
        let origin = match &image.made {
            Some(made) => origins.open_made(made.base.as_ref().map(parse).transpose()?.as_ref()),
            None => origins.open(&parse(&image.source)?),
        };
        origin.map_err(|e| Error::Failed { failures: vec![Failure::of(image, e.into())], total: plan.images.len() })
    };
    plan.images.iter().map(open).collect()
}

/// Brings what can be had into the workspace, so that the next run needs only the rest; gives what cannot be had.
fn fetch_only(plan: &PackPlan, job: &Job<'_>) -> Result<Vec<Failure>, Error> {
    let origins = open_origins(plan, job.origins)?;
    let fetch = Fetch::new(plan, &origins, job.workspace, job.progress);
    job.progress.begin("fetching", plan.estimate()?.content);
    beside(&fetch, job.parallel, || Ok(()))?;
    job.progress.end();
    if job.progress.cancelled() { Err(Error::Interrupted) } else { Ok(fetch.failures()) }
}

/// One try at a plan: blobs, volumes, documents. `doubt` says that the workspace was found damaged.
fn attempt(plan: &PackPlan, seal: &Seal, out: &Dir, job: &Job<'_>, doubt: bool) -> Result<(Digest, Contents), Error> {
    let estimate = plan.estimate()?;
    let free = out.free()?;
    if free < estimate.staging() {
        return Err(Error::NoSpace { path: out.path().to_owned(), free, need: estimate.staging() });
    }
    let origins = open_origins(plan, job.origins)?;
    let fetch = Fetch::new(plan, &origins, job.workspace, job.progress).in_doubt(doubt);
    job.progress.begin("packing", estimate.content);
    let written = beside(&fetch, job.parallel, || {
        let written = write::volumes(plan, &seal.name, out, job.workspace, &fetch, job.progress);
        // Interrupted: a blob that cannot be had. The others are fetched all the same.
        if written.is_err() && !matches!(written, Err(Error::Interrupted)) {
            fetch.stop();
        }
        written
    });
    job.progress.end();
    if job.progress.cancelled() {
        return Err(Error::Interrupted);
    }
    let failures = fetch.failures();
    let (volumes, contents) = match written {
        Ok(_) | Err(Error::Interrupted) if !failures.is_empty() => return Err(Error::Failed { total: plan.images.len(), failures }),
        written => written?,
    };
    let identity = seal::documents(plan, seal, out, volumes, &contents)?;
    Ok((identity, contents))
}

/// Signs, reads back and reports.
fn finish(
    plan: &PackPlan,
    seal: &Seal,
    out: &Dir,
    job: &Job<'_>,
    identity: Digest,
    contents: &Contents,
    failures: Vec<Failure>,
) -> Result<Report, Error> {
    let mut read_back = None;
    if let Some(signer) = job.signer {
        let signed = sign_set(out, &seal.name, signer).and_then(|_| match job.read_back {
            true => read_back_set(out, &seal.name, identity, signer, job).map(Some),
            false => Ok(None),
        });
        // What was not signed to the end, or does not read back, is no set. The first failure is the one to tell.
        read_back = signed.inspect_err(|_| drop(seal::unsign(out, &seal.name)))?;
    }
    let index = Index::parse(&out.read(&seal.name.file(FileKind::Index { copy: false }), limits::INDEX_BYTES)?)?;
    Ok(Report {
        name: seal.name.clone(),
        identity,
        volumes: index.volumes.iter().map(|v| (v.name.clone(), v.size)).collect(),
        images: contents.images.len(),
        blobs: contents.blobs.len(),
        content: plan.estimate()?.content,
        failures,
        signed: seal::is_signed(out, &seal.name)?,
        read_back,
    })
}

/// Opens the set as the other side would, trusting only the key just used, and proves every blob from the medium.
fn read_back_set(out: &Dir, name: &SetName, identity: Digest, signer: &dyn Signer, job: &Job<'_>) -> Result<bool, Error> {
    let from_medium = forget(out, name)?;
    let line = format!("stream:{} namespaces=\"{}\" {}\n", name.stream(), crate::sign::Namespace::Index, signer.public_key().to_line());
    let mut policy = String::new();
    for label in &job.plan.options.audience {
        policy.push_str(&format!("audience {label}\n"));
    }
    let bad = |e: crate::sign::TrustFileError| Error::Plan(e.to_string());
    let trust = Trust::new(
        AllowedSigners::parse(line.as_bytes()).map_err(bad)?,
        RevokedKeys::parse(b"").map_err(bad)?,
        Policy::parse(policy.as_bytes()).map_err(bad)?,
    );
    let sets = archive::open(&[out.join(&name.file(FileKind::Index { copy: false }))], &trust, job.now).map_err(Error::Reopen)?;
    let set: &OpenSet = sets
        .iter()
        .find(|s| s.identity() == identity)
        .ok_or_else(|| Error::NoSet { name: name.to_string(), path: out.path().to_owned() })?;
    job.progress.begin("reading back", set.index().volume_bytes());
    let checked = set.check(true, job.progress)?;
    job.progress.end();
    if let Some((_, damage)) = checked.damage.into_iter().next() {
        return Err(Error::ReadBack(damage));
    }
    if let Some(number) = set.volumes_missing().first() {
        return Err(archive::Error::VolumeMissing(*number).into());
    }
    Ok(from_medium)
}

/// Asks the system to forget the volumes; true when it did for all of them, so that reading asks the medium.
fn forget(out: &Dir, name: &SetName) -> Result<bool, Error> {
    let mut forgotten = true;
    for entry in out.list()? {
        if let Some((of, FileKind::Volume { .. })) = SetName::parse(&entry.name)
            && of == *name
        {
            let file = out.open_file(&entry.name)?;
            file.forget_cached();
            forgotten &= !file.is_cached(entry.size / 2);
        }
    }
    Ok(forgotten)
}

/// Says in the folder which set is in the making, and clears away what an earlier run left half-done.
fn begin(out: &Dir, seal: &Seal, plan: &PackPlan) -> Result<(), Error> {
    clear(out)?;
    let name = &seal.name;
    refuse_other(out, seal, plan)?;
    let mark = out.open_partial(MARK)?;
    mark.truncate(0)?;
    mark.write_all_at(format!("{name}\n").as_bytes(), 0).map_err(|e| crate::fs::FsError::from_io(e, "write", &out.join(MARK)))?;
    Ok(())
}

/// A finished set of this name that this run would not make again byte for byte is not ours to replace: the ledger of another
/// user or host gave out the same sequence.
fn refuse_other(out: &Dir, seal: &Seal, plan: &PackPlan) -> Result<(), Error> {
    for copy in [false, true] {
        let file = seal.name.file(FileKind::Index { copy });
        let Some(bytes) = out.read_if_there(&file, limits::INDEX_BYTES)? else { continue };
        let plan = plan.digest()?;
        if !Index::parse(&bytes).is_ok_and(|index| index.plan == plan && index.created == seal.created) {
            return Err(Error::Exists(out.join(&file)));
        }
    }
    Ok(())
}

/// Clears away the set that the mark names: what an interrupted run, or this one, left half-done.
fn clear(out: &Dir) -> Result<(), Error> {
    let Some(earlier) = out.read_if_there(MARK, limits::KEY_BYTES)? else { return Ok(()) };
    let earlier = String::from_utf8_lossy(&earlier).into_owned();
    for line in earlier.lines() {
        if let Some((stream, sequence)) = line.rsplit_once('-')
            && let Some(earlier) = sequence.parse().ok().and_then(|n| SetName::new(stream, n))
        {
            sweep(out, &earlier)?;
        }
    }
    Ok(())
}

/// Removes the files of a set that has no signature: it never was one. Of a finished set (the same plan was packed here
/// before) only what was to replace it goes.
fn sweep(out: &Dir, name: &SetName) -> Result<(), Error> {
    let finished = seal::is_signed(out, name)?;
    for entry in out.list()? {
        let unfinished = entry.name.strip_suffix(INCOMPLETE);
        let ours = SetName::parse(unfinished.unwrap_or(&entry.name)).is_some_and(|(of, _)| of == *name);
        if ours && (unfinished.is_some() || !finished) {
            out.remove(&entry.name)?;
        }
    }
    Ok(())
}

/// The set is finished: the mark goes.
fn end(out: &Dir) -> Result<(), Error> {
    out.remove(MARK)?;
    Ok(out.sync()?)
}

/// The plan without the images that failed, which it then lists as missing.
pub(super) fn without(plan: &PackPlan, late: &[Failure], code: &dyn Fn(&Failure) -> String) -> Result<PackPlan, Error> {
    let failed: BTreeSet<&str> = late.iter().map(|f| f.name.as_str()).collect();
    let mut missing = plan.missing.clone();
    missing.extend(late.iter().map(|f| Missing { name: f.name.clone(), code: code(f), reason: f.told(&f.reason) }));
    plan.only(|image| !failed.contains(image.source.as_str()), missing)
}

impl PackPlan {
    /// Removes what refers to images that are not in the plan any more.
    fn drop_orphans(&mut self) -> Result<(), Error> {
        let relations = crate::format::referrers(&self.images, &self.parsed()?);
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        for (at, _) in self.images.iter().enumerate().filter(|(_, image)| image.role != Role::Referrer) {
            needed.insert(at);
            needed.extend(relations.get(at).into_iter().flatten());
        }
        let mut at = 0;
        self.images.retain(|_| {
            at += 1;
            needed.contains(&(at - 1))
        });
        Ok(())
    }

    /// The same plan with some of its images only.
    fn only(&self, keep: impl Fn(&crate::format::Image) -> bool, missing: Vec<Missing>) -> Result<PackPlan, Error> {
        let mut smaller = self.clone();
        smaller.images.retain(keep);
        smaller.missing = missing;
        smaller.drop_orphans()?;
        let mut smaller = smaller.derived()?;
        smaller.drop_signatures();
        Ok(smaller)
    }

    /// Signatures of what is not carried after all stay outside as well.
    fn drop_signatures(&mut self) {
        let manifests: BTreeSet<Digest> = self.manifests.iter().map(|manifest| manifest.digest).collect();
        let repositories: BTreeSet<&str> = self.images.iter().map(|image| image.repository.as_str()).collect();
        let carried = |name: SignatureName| repositories.contains(name.repository.as_str()) && manifests.contains(&name.digest);
        self.documents.retain(|d| d.kind != DocumentKind::ImageSignature || SignatureName::parse(&d.name).is_some_and(carried));
    }
}
