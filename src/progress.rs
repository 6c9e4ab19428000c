//! How long work speaks to whoever watches it, without knowing who that is.

use std::sync::atomic::{AtomicBool, Ordering};

/// How much a message matters to the person watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Shown with `-v`: what is being done right now.
    Detail,
    /// Shown by default: a fact the person wants to know.
    Info,
    /// Shown even with `-q`: something is not as asked or not as it should be.
    Warning,
}

/// Receives the progress of one run. Called from many threads.
pub trait Progress: Send + Sync {
    /// A stage begins; `total` is its size in bytes (0 when unknown).
    fn begin(&self, stage: &str, total: u64);
    /// `bytes` more of the current stage are done.
    fn advance(&self, bytes: u64);
    /// The current stage is over.
    fn end(&self);
    /// One line of text. Strings from outside must already be escaped ([`crate::text::shown`]).
    fn say(&self, level: Level, line: &str);
    /// True once the person asked to stop; long loops look here and leave a resumable state.
    fn cancelled(&self) -> bool {
        false
    }
}

/// Watches nothing; can be cancelled.
#[derive(Default, Debug)]
pub struct Silent {
    cancel: AtomicBool,
}

impl Silent {
    /// A watcher that is never told anything.
    pub fn new() -> Silent {
        Silent::default()
    }

    /// Asks the run to stop.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Relaxed);
    }
}

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: Level, _: &str) {}
    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}
