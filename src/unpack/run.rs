//! The run: read, prove, upload, push, hold, write down.

use super::Setting;
use super::board::{Board, Phase};
use super::catalog::Catalog;
use super::error::UnpackError;
use super::plan::UnpackPlan;
use super::probe::trouble;
use super::report::UnpackReport;
use crate::format::{SetId, Standing};
use crate::ledger::Ledger;
use crate::progress::Level;
use crate::text::{are, counted};
use std::collections::BTreeSet;

/// A run that ended early. What was pushed stays pushed; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Stopped {
    /// Why.
    pub error: UnpackError,
    /// How far it came; `None` when it ended before anything was done.
    pub report: Option<Box<UnpackReport>>,
}

/// One run at work; shared by the reader and the upload threads.
pub(super) struct Run<'a> {
    pub setting: &'a Setting<'a>,
    pub plan: &'a UnpackPlan,
    pub catalog: Catalog<'a>,
    pub board: Board,
    pub set: SetId,
    pub standing: Standing,
}

/// Carries out a plan with the volumes at hand. Ends well also when volumes are missing or damaged: the report says what is
/// still needed.
pub fn run(setting: &Setting<'_>, ledger: &mut Ledger, plan: &UnpackPlan) -> Result<UnpackReport, Stopped> {
    let run = Run::begin(setting, ledger, plan).map_err(|error| Stopped { error, report: None })?;
    run.bring_everything(ledger);
    run.list_referrers();
    let holds = run.hold_or_release();
    run.conclude(ledger, holds)
}

impl<'a> Run<'a> {
    fn begin(setting: &'a Setting<'a>, ledger: &mut Ledger, plan: &'a UnpackPlan) -> Result<Run<'a>, UnpackError> {
        let set = setting.set();
        let planned = (&plan.set, &plan.target, &plan.prefix);
        let here = (&set, &setting.target.name(), &setting.options.prefix);
        if planned != here {
            let name = |(set, target, prefix): (&SetId, &String, &String)| {
                format!("{}-{} ({}) to {target} {prefix}", set.stream, set.sequence, set.identity.short()).trim_end().to_owned()
            };
            return Err(UnpackError::OtherPlan { planned: name(planned), here: name(here) });
        }
        if plan.ledger != ledger.fingerprint()? {
            return Err(UnpackError::StalePlan { target: plan.target.clone() });
        }
        plan.check_space(setting.spool)?;
        // A broken chain is found now and not when the work is done and cannot be written down.
        setting.log.head()?;
        let standing = ledger.judge(&set, setting.options.first)?;
        let catalog = Catalog::new(setting.media.contents())?;
        let board = Board::new(setting, &catalog, plan)?;
        let run = Run { setting, plan, catalog, board, set, standing };
        run.tidy_spool()?;
        let open = plan.images.iter().filter(|image| image.present.is_none());
        ledger.admit(&run.set, setting.options.first, open.map(|image| format!("{}:{}", image.repository, image.tag)))?;
        Ok(run)
    }

    /// Drops spool files of blobs that arrived in the meantime.
    fn tidy_spool(&self) -> Result<(), UnpackError> {
        self.setting.spool.start();
        let state = self.board.state();
        let blobs = &self.catalog.contents.blobs;
        let selected: BTreeSet<usize> = state.images.iter().flat_map(|i| i.tree.blobs.iter().copied()).collect();
        let arrived = selected.iter().filter(|b| !state.blobs.contains_key(b)).filter_map(|b| blobs.get(*b)).map(|b| b.digest);
        let arrived: BTreeSet<_> = arrived.collect();
        for digest in self.setting.spool.held().iter().filter(|digest| arrived.contains(digest)) {
            self.setting.spool.forget(digest)?;
        }
        Ok(())
    }

    fn bring_everything(&self, ledger: &mut Ledger) {
        self.setting.progress.begin("unpack", self.plan.upload_bytes);
        std::thread::scope(|scope| {
            for _ in 0..self.setting.options.uploads.max(1) {
                scope.spawn(|| self.work());
            }
            self.feed(ledger);
            self.board.close();
        });
        self.setting.progress.end();
        self.write_ledger(ledger);
    }

    /// Gives the upload threads work until there is none that the volumes at hand can provide.
    fn feed(&self, ledger: &mut Ledger) {
        // A mount that is refused has to be read after all: known before the volumes are gone through. What lies in the contents never
        // needs a medium, and the volumes are read while it is brought.
        if self.queue_what_needs_no_medium() {
            self.board.wait_idle();
        }
        while !self.board.failed() {
            let read = self.read_volumes(ledger);
            self.board.wait_idle();
            self.write_ledger(ledger);
            if self.board.failed() || read == 0 && !self.release_late() {
                return;
            }
        }
    }

    fn release_late(&self) -> bool {
        let released = self.board.change(|state| state.release_late());
        self.board.wait_idle();
        released
    }

    /// Tags are remembered after they were set. They were claimed before: should the power fail in between, no older set may
    /// move them back.
    pub(super) fn write_ledger(&self, ledger: &mut Ledger) {
        let tags = self.board.change(|state| std::mem::take(&mut state.tags));
        if let Err(error) = self.setting.target.settle_tags() {
            let tags: BTreeSet<String> = tags.into_iter().collect();
            self.board.change(|state| state.not_settled(&tags, self.plan));
            return self.stop(trouble(self.plan.target.clone(), error));
        }
        if let Err(error) = ledger.record_tags(&self.set, tags.iter().map(String::as_str)) {
            self.stop(error.into());
        }
    }

    /// Ends the run: nobody starts anything new.
    pub(super) fn stop(&self, error: UnpackError) {
        self.board.fail(error);
        self.setting.spool.stop();
    }

    pub(super) fn check_cancelled(&self) -> Result<(), UnpackError> {
        if self.setting.progress.cancelled() { Err(UnpackError::Interrupted) } else { Ok(()) }
    }

    pub(super) fn warn(&self, line: String) {
        self.setting.progress.say(Level::Warning, &line);
        self.board.change(|state| state.warnings.push(line));
    }

    /// The last of the ledger: a tag whose request was not answered may be set, and counts as written.
    fn close_ledger(&self, ledger: &mut Ledger) {
        let unsure: Vec<String> = {
            let state = self.board.state();
            let images = state.images.iter().filter(|i| i.unsure).filter_map(|i| self.plan.images.get(i.planned));
            images.map(|p| format!("{}:{}", p.repository, p.tag)).collect()
        };
        self.board.change(|state| state.tags.extend(unsure));
        self.write_ledger(ledger);
        if let Err(error) = ledger.drop_claims() {
            self.stop(error.into());
        }
    }

    fn conclude(&self, ledger: &mut Ledger, holds: Vec<String>) -> Result<UnpackReport, Stopped> {
        self.close_ledger(ledger);
        let fatal = self.board.change(|state| state.fatal.take());
        match (fatal, self.report(holds)) {
            (None, Ok(report)) => Ok(report),
            (None, Err(error)) => Err(Stopped { error, report: None }),
            (Some(error), report) => Err(Stopped { error, report: report.ok().map(Box::new) }),
        }
    }

    /// How the run ended, for the log.
    pub(super) fn outcome(&self) -> String {
        let state = self.board.state();
        let done = state.images.iter().filter(|i| matches!(i.phase, Phase::Done(_))).count();
        format!("{done} of {} {} in", counted(state.images.len(), "image"), are(done))
    }
}
