//! The run: blobs in the order of the plan, every image as soon as it is whole, catalogs last.

use super::plan::{contents, wanted};
use super::{ImageFailure, MirrorError, MirrorPlan, MirrorReport, Setting, Stopped};
use crate::digest::Digest;
use crate::format::{Completeness, Contents, Holding};
use crate::image_set::Source;
use crate::origin::Origin;
use crate::pack::{self, Failure};
use crate::parallel::locked;
use crate::unpack::{
    Arrival, Catalog, Counts, ImageError, PutAs, TargetError, TargetTrouble, UnpackError, Wanted, is_shared, list, trouble,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Requests that fail one after the other, without any that succeeds between, before the target counts as out of order.
const STRIKES: u32 = 5;

/// How far an image is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Waiting,
    Done { completeness: Completeness, was_there: bool },
    Failed(ImageFailure),
}

/// One piece of work.
#[derive(Clone, Copy)]
enum Job {
    /// Position in the plan's blobs.
    Blob(usize),
    /// Position in the plan's images; all its blobs are there.
    Image(usize),
}

/// One run at work; shared by its threads.
pub(super) struct Run<'a> {
    pub setting: &'a Setting<'a>,
    pub plan: &'a MirrorPlan,
    pub catalog: Catalog<'a>,
    pub wanted: Vec<Wanted>,
    /// The origin of each image.
    pub origins: Vec<Arc<dyn Origin>>,
    /// What each repository is known to hold by now.
    pub held: Mutex<BTreeMap<String, Holding>>,
    pub phases: Mutex<Vec<Phase>>,
    pub counts: Mutex<Counts>,
    pub warnings: Mutex<Vec<String>>,
    /// Blobs each image still waits for.
    pending: Vec<AtomicUsize>,
    /// Images that wait for a blob in a repository.
    users: HashMap<(usize, &'a str), Vec<usize>>,
    /// Repositories that take nothing.
    pub closed: Mutex<HashMap<String, ImageError>>,
    /// The target mounted a blob when asked to, or was never asked.
    pub mounts: AtomicBool,
    strikes: AtomicU32,
    fatal: Mutex<Option<MirrorError>>,
    stop: AtomicBool,
}

/// Carries out a plan. Images that fail do not keep the others from being brought; the report lists them.
///
/// # Errors
/// What makes going on pointless: the target is gone, full or lets nobody in, the person asked to stop. The report then says how
/// far the run came.
pub fn run(setting: &Setting<'_>, plan: &MirrorPlan) -> Result<MirrorReport, Stopped> {
    let contents = contents(setting);
    let run = Run::begin(setting, plan, &contents).map_err(|error| Stopped { error, report: None })?;
    setting.progress.begin("mirroring", plan.upload_bytes);
    run.everything();
    setting.progress.end();
    run.conclude()
}

impl<'a> Run<'a> {
    fn begin(setting: &'a Setting<'a>, plan: &'a MirrorPlan, contents: &'a Contents) -> Result<Run<'a>, MirrorError> {
        // A broken log is found now and not when the work is done and cannot be written down.
        setting.log.head()?;
        let catalog = Catalog::new(contents)?;
        let mut wanted = wanted(setting, &catalog)?;
        // A tag that holds signatures of others stays.
        for (w, planned) in wanted.iter_mut().zip(&plan.images) {
            w.image.tag.clone_from(&planned.tag);
        }
        let mut users: HashMap<(usize, &'a str), Vec<usize>> = HashMap::new();
        let mut counts = Counts::default();
        let lacking: HashMap<usize, &'a Vec<String>> = plan.blobs.iter().map(|b| (b.blob, &b.repositories)).collect();
        let mut pending = Vec::new();
        for (at, (w, image)) in wanted.iter().zip(&plan.images).enumerate() {
            let mut waits = 0;
            for blob in w.tree.blobs.iter().filter(|_| image.present.is_none()) {
                let lacks = lacking.get(blob).and_then(|r| r.iter().find(|r| **r == image.repository));
                match lacks {
                    Some(repository) => {
                        users.entry((*blob, repository)).or_default().push(at);
                        waits += 1;
                    }
                    None => counts.present += 1,
                }
            }
            pending.push(AtomicUsize::new(waits));
        }
        let phase = |image: &crate::unpack::PlannedImage| match &image.present {
            Some(completeness) => Phase::Done { completeness: completeness.clone(), was_there: true },
            None => Phase::Waiting,
        };
        Ok(Run {
            setting,
            plan,
            catalog,
            origins: origins(setting)?,
            held: Mutex::new(plan.present.clone()),
            phases: Mutex::new(plan.images.iter().map(phase).collect()),
            counts: Mutex::new(counts),
            warnings: Mutex::default(),
            wanted,
            pending,
            users,
            closed: Mutex::default(),
            mounts: AtomicBool::new(true),
            strikes: AtomicU32::new(0),
            fatal: Mutex::default(),
            stop: AtomicBool::new(false),
        })
    }

    fn everything(&self) {
        let whole = |at: &usize| self.pending.get(*at).is_some_and(|p| p.load(Ordering::Relaxed) == 0);
        let images = (0..self.plan.images.len()).filter(|at| whole(at) && !self.is_late(*at)).map(Job::Image);
        let jobs: Vec<Job> = images.chain((0..self.plan.blobs.len()).map(Job::Blob)).collect();
        self.work(&jobs);
        let failed = locked(&self.phases).iter().any(|p| matches!(p, Phase::Failed(_)));
        let late: Vec<Job> = (0..self.plan.images.len()).filter(|at| self.is_late(*at)).map(Job::Image).collect();
        match failed && !self.setting.options.keep_going {
            false => self.work(&late),
            true => late.iter().for_each(|job| self.fail_job(*job, &ImageFailure::HeldBack)),
        }
        if let Err(error) = self.setting.target.settle_tags() {
            self.end(trouble(self.plan.target.clone(), error).into());
        }
        if !self.stopped() {
            self.list_referrers();
        }
    }

    /// What refers to an image must be found from there.
    fn list_referrers(&self) {
        let phases = locked(&self.phases).clone();
        let done = self.wanted.iter().zip(&phases).enumerate().filter(|(_, (_, phase))| matches!(phase, Phase::Done { .. }));
        let arrivals: Vec<Arrival<'_>> = done
            .filter_map(|(at, (w, _))| {
                let document = self.catalog.document(&w.image.root.digest)?;
                let (subject, wished) = (w.image.subject?, &self.catalog.contents.images.get(w.index)?.tag);
                let shared = (*wished != w.image.tag && is_shared(wished, &subject)).then_some(wished.as_str());
                Some(Arrival { image: at, place: &w.place, subject, document, shared })
            })
            .collect();
        match list(self.setting.target, self.setting.options.probes, &arrivals) {
            Err(error) => self.end(error.into()),
            Ok(unlisted) => {
                let mut phases = locked(&self.phases);
                for (at, error) in unlisted {
                    if let Some(phase) = phases.get_mut(at) {
                        *phase = Phase::Failed(ImageFailure::Target(error));
                    }
                }
            }
        }
    }

    fn is_late(&self, at: usize) -> bool {
        self.plan.images.get(at).is_some_and(|image| image.late)
    }

    fn work(&self, jobs: &[Job]) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.setting.options.transfers.clamp(1, jobs.len().max(1)) {
                scope.spawn(|| {
                    while !self.stopped() {
                        let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                        let done = match job {
                            Job::Blob(at) => self.blob(*at),
                            Job::Image(at) => self.image(*at),
                        };
                        if let Err(error) = done {
                            self.end(error);
                        }
                    }
                });
            }
        });
    }

    /// True once nothing more should be begun.
    pub(super) fn stopped(&self) -> bool {
        if self.setting.progress.cancelled() {
            self.end(UnpackError::Interrupted.into());
        }
        self.stop.load(Ordering::Relaxed)
    }

    fn end(&self, error: MirrorError) {
        locked(&self.fatal).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Brings one blob wherever it lacks, and pushes the images that are whole by it.
    fn blob(&self, at: usize) -> Result<(), MirrorError> {
        let Some(planned) = self.plan.blobs.get(at) else { return Ok(()) };
        let places: Vec<&str> = planned.repositories.iter().map(String::as_str).collect();
        for (repository, brought) in self.deliver(planned.blob, &places)? {
            let users = self.users.get(&(planned.blob, repository)).map(Vec::as_slice).unwrap_or_default();
            for image in users {
                match &brought {
                    Err(failure) => self.fail(*image, failure),
                    Ok(()) => {
                        let left = self.pending.get(*image).map_or(0, |p| p.fetch_sub(1, Ordering::AcqRel));
                        if left == 1 && !self.is_late(*image) {
                            self.image(*image)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn fail_job(&self, job: Job, failure: &ImageFailure) {
        if let Job::Image(at) = job {
            self.fail(at, failure);
        }
    }

    /// The first reason stays; what is done stays done.
    fn fail(&self, at: usize, failure: &ImageFailure) {
        if let Some(phase @ Phase::Waiting) = locked(&self.phases).get_mut(at) {
            *phase = Phase::Failed(failure.clone());
        }
    }

    fn settle(&self, at: usize, completeness: Completeness) {
        if let Some(phase) = locked(&self.phases).get_mut(at) {
            *phase = Phase::Done { completeness, was_there: false };
        }
    }

    /// Pushes one image: children first, then the root under its tag. Where the target has lost something it had, that is brought
    /// once more.
    fn image(&self, at: usize) -> Result<(), MirrorError> {
        if !matches!(locked(&self.phases).get(at), Some(Phase::Waiting)) || self.stopped() {
            return Ok(());
        }
        let Some(w) = self.wanted.get(at) else { return Ok(()) };
        let mut pushed = self.push(w, false)?;
        if let Err((_, error)) = &pushed
            && matches!(error.trouble, TargetTrouble::BlobUnknown | TargetTrouble::ChildMissing)
        {
            if let Err(failure) = self.bring_back(w)? {
                self.fail(at, &failure);
                return Ok(());
            }
            pushed = self.push(w, true)?;
        }
        match pushed {
            Ok(completeness) => self.settle(at, completeness),
            Err((node, error)) => self.refused(at, w, node, error)?,
        }
        Ok(())
    }

    /// Pushes the manifests of an image; `all` of them, or those the target is not known to have.
    fn push(&self, w: &Wanted, all: bool) -> Result<Result<Completeness, (Digest, TargetError)>, MirrorError> {
        for node in &w.tree.nodes {
            let root = *node == w.image.root.digest;
            let known = locked(&self.held).get(&w.image.repository).is_some_and(|h| h.manifests.contains(node));
            if known && !root && !all {
                continue;
            }
            let put_as = if root { PutAs::Tag(&w.image.tag) } else { PutAs::Digest(node) };
            if let Err(error) = self.put(w, node, put_as)? {
                return Ok(Err((*node, error)));
            }
        }
        Ok(Ok(self.whole(&w.tree.nodes)))
    }

    fn put(&self, w: &Wanted, node: &Digest, put_as: PutAs<'_>) -> Result<Result<(), TargetError>, MirrorError> {
        let Some((media_type, bytes)) = self.catalog.document(node) else { return Ok(Ok(())) };
        match self.setting.target.put_manifest(&w.place, put_as, media_type, &bytes) {
            Ok(()) => {
                self.succeeded();
                locked(&self.counts).manifests += 1;
                locked(&self.held).entry(w.image.repository.clone()).or_default().manifests.insert(*node);
                Ok(Ok(()))
            }
            Err(error) if self.ends_run(&error) => Err(trouble(format!("{}:{}", w.place, w.image.tag), error).into()),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Asks for every blob of an image again and brings what lacks.
    fn bring_back(&self, w: &Wanted) -> Result<Result<(), ImageFailure>, MirrorError> {
        for at in &w.tree.blobs {
            let Some(blob) = self.setting.wish.blobs.get(*at) else { continue };
            match self.setting.target.has_blob(&w.place, &blob.descriptor()) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) if self.ends_run(&error) => return Err(trouble(format!("{}@{}", w.place, blob.digest), error).into()),
                Err(error) => return Ok(Err(self.about(format!("{}@{}", w.place, blob.digest), error).into())),
            }
            if let Some(holding) = locked(&self.held).get_mut(&w.image.repository) {
                holding.blobs.remove(&blob.digest);
            }
            for (_, brought) in self.deliver(*at, &[w.image.repository.as_str()])? {
                if let Err(failure) = brought {
                    return Ok(Err(failure));
                }
            }
        }
        Ok(Ok(()))
    }

    /// A manifest was refused. An index that lacks members is refused for that, whatever the words: then the tag goes to the one
    /// member that is carried.
    fn refused(&self, at: usize, w: &Wanted, node: Digest, error: TargetError) -> Result<(), MirrorError> {
        let absent = self.catalog.absent_members(&node);
        let lacks = matches!(error.trouble, TargetTrouble::BlobUnknown | TargetTrouble::ChildMissing | TargetTrouble::Refused);
        let error = Arc::new(error);
        if absent == 0 || !lacks {
            let subject = format!("{}:{}", w.place, w.image.tag);
            self.fail(at, &ImageError::Target { subject, error }.into());
            return Ok(());
        }
        let refused = ImageFailure::from(ImageError::SparseRefused { digest: node, absent, error });
        let Some(member) = w.tree.single.filter(|_| node == w.image.root.digest) else {
            self.fail(at, &refused);
            return Ok(());
        };
        match self.put(w, &member, PutAs::Tag(&w.image.tag))? {
            Ok(()) => self.settle(at, Completeness::SingleMember { member }),
            Err(_) => self.fail(at, &refused),
        }
        Ok(())
    }

    pub(super) fn about(&self, subject: String, error: TargetError) -> ImageError {
        ImageError::Target { subject, error: Arc::new(error) }
    }

    pub(super) fn succeeded(&self) {
        self.strikes.store(0, Ordering::Relaxed);
    }

    /// Whether asking for anything else makes no sense after this.
    pub(super) fn ends_run(&self, error: &TargetError) -> bool {
        let failing = error.trouble == TargetTrouble::Failing && self.strikes.fetch_add(1, Ordering::Relaxed) + 1 >= STRIKES;
        error.trouble.ends_run() || failing
    }

    /// Where a repository of the wish is at the target.
    pub(super) fn place_of(&self, repository: &str) -> Option<&str> {
        self.wanted.iter().find(|w| w.image.repository == repository).map(|w| w.place.as_str())
    }

    fn conclude(self) -> Result<MirrorReport, Stopped> {
        let fatal = locked(&self.fatal).take();
        match (self.report(), fatal) {
            (Ok(report), None) => Ok(report),
            (Ok(report), Some(error)) => Err(Stopped { error, report: Some(Box::new(report)) }),
            (Err(_), Some(error)) => Err(Stopped { error, report: None }),
            (Err(error), None) => Err(Stopped { error, report: None }),
        }
    }
}

/// Opens every image's origin once.
fn origins(setting: &Setting<'_>) -> Result<Vec<Arc<dyn Origin>>, MirrorError> {
    let total = setting.wish.images.len();
    let open = |image: &crate::format::Image| {
        let parse = |text: &String| Source::parse_recorded(text).map_err(|e| pack::Error::Plan(e.to_string()));
        let origin = match &image.made {
            Some(made) => setting.origins.open_made(made.base.as_ref().map(parse).transpose()?.as_ref()),
            None => setting.origins.open(&parse(&image.source)?),
        };
        let failed = |e: crate::origin::OriginError| pack::Error::Failed { failures: vec![Failure::of(image, e.into())], total };
        Ok(origin.map_err(failed)?)
    };
    setting.wish.images.iter().map(open).collect()
}
