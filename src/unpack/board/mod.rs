//! Who waits for what: the shared state of a run. Decisions are made here, under one lock; nothing here does I/O.

mod setbacks;
mod state;

use super::Setting;
use super::catalog::Catalog;
use super::error::UnpackError;
use super::plan::UnpackPlan;
use super::spool::Content;
use crate::parallel::locked;
pub(super) use setbacks::STRIKES;
pub use state::Counts;
pub(super) use state::{BlobState, ImageState, Phase, State};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Work for an upload thread.
pub(super) enum Job {
    /// Bring a blob to the repositories that lack it: mount, or upload where there is content.
    Blob { blob: usize, content: Option<Content> },
    /// Push an image whose blobs are all there.
    Image(usize),
}

/// The state and who waits for it to change.
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

impl Board {
    pub fn new(setting: &Setting<'_>, catalog: &Catalog<'_>, plan: &UnpackPlan) -> Result<Board, UnpackError> {
        Ok(Board { state: Mutex::new(State::new(setting, catalog, plan)?), changed: Condvar::new() })
    }

    /// Looks at the state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Changes the state and wakes whoever waits for it.
    pub fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }

    /// Next job; waits for one. `None` at the end of the run.
    pub fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            if state.closed || state.fatal.is_some() {
                return None;
            }
            if let Some(job) = state.queue.pop_front() {
                state.running += 1;
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job is over.
    pub fn finish(&self) {
        self.change(|state| state.running = state.running.saturating_sub(1));
    }

    /// Waits until no job is queued or running, or the run has failed and nothing is running any more.
    pub fn wait_idle(&self) {
        let mut state = self.state();
        while state.running > 0 || (state.fatal.is_none() && !state.queue.is_empty()) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more jobs.
    pub fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Ends the run; the first reason counts.
    pub fn fail(&self, error: UnpackError) {
        self.change(|state| {
            state.fatal.get_or_insert(error);
        });
    }

    /// True when the run is ending.
    pub fn failed(&self) -> bool {
        self.state().fatal.is_some()
    }
}
