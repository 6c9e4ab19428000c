//! Progress on a terminal, as plain lines, or not at all.

use super::output::{Format, Output, bytes};
use crate::progress::{Level, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time since the run began; injected, so that a test needs no sleep.
pub type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// A plain line at most this often, however fast the work is ...
const SHORTEST: Duration = Duration::from_secs(1);
/// ... and at least this often, however slow.
const LONGEST: Duration = Duration::from_secs(10);

/// Which messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Only warnings.
    Quiet,
    /// Facts as well.
    Normal,
    /// What is being done as well.
    Verbose,
}

/// Watches one run and tells the person.
pub struct Watch {
    output: Arc<Output>,
    verbosity: Verbosity,
    terminal: bool,
    cancel: Arc<AtomicBool>,
    clock: Clock,
    /// Stages under way, the innermost last: that is the one that advances.
    stages: Mutex<Vec<Stage>>,
}

struct Stage {
    name: String,
    total: u64,
    done: u64,
    began: Duration,
    told_at: Duration,
    told: u64,
    bar: Option<ProgressBar>,
}

impl Watch {
    /// `terminal` says that standard error is one that can move its cursor; `cancel` is what a signal sets.
    pub fn new(output: Arc<Output>, verbosity: Verbosity, terminal: bool, cancel: Arc<AtomicBool>, clock: Clock) -> Watch {
        Watch { output, verbosity, terminal, cancel, clock, stages: Mutex::default() }
    }

    /// With `--json` and `-q` progress is nothing.
    fn silent(&self) -> bool {
        self.output.format() == Format::Json || self.verbosity == Verbosity::Quiet
    }

    fn stages(&self) -> MutexGuard<'_, Vec<Stage>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: &str, stages: &[Stage]) {
        match stages.last().and_then(|stage| stage.bar.as_ref()) {
            Some(bar) => bar.suspend(|| self.output.message(line)),
            None => self.output.message(line),
        }
    }
}

impl Stage {
    /// `fetch: 1.20 GB of 4.70 GB (25 %)`; three digits would say of the last part that all of it is there.
    fn line(&self) -> String {
        match self.done.saturating_mul(100).checked_div(self.total) {
            Some(percent) if self.done < self.total && bytes(self.done) == bytes(self.total) => {
                format!("{}: almost {} ({percent} %)", self.name, bytes(self.total))
            }
            Some(percent) => format!("{}: {} of {} ({percent} %)", self.name, bytes(self.done), bytes(self.total)),
            None => format!("{}: {}", self.name, bytes(self.done)),
        }
    }

    /// A tenth further, or a while later.
    fn due(&self, now: Duration) -> bool {
        let tenth = self.total > 0 && self.done.saturating_sub(self.told) >= self.total.div_ceil(10);
        let since = now.saturating_sub(self.told_at);
        since >= LONGEST || (tenth && since >= SHORTEST)
    }
}

const BAR: &str = "{msg}: [{bar:30}] {decimal_bytes} of {decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left";
const ENDLESS: &str = "{msg}: {decimal_bytes} {decimal_bytes_per_sec}";

/// A bar with bytes, rate and time left; without a total, bytes and rate. The only thing beside [`Output`] that writes to
/// the terminal, since it must know where the cursor is.
fn bar(name: &str, total: u64) -> ProgressBar {
    let template = if total == 0 { ENDLESS } else { BAR };
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(name.to_owned());
    bar
}

impl Progress for Watch {
    fn begin(&self, stage: &str, total: u64) {
        let name = crate::text::shown(stage).to_string();
        let now = (self.clock)();
        let mut stages = self.stages();
        let draw = self.terminal && !self.silent();
        if !draw && !self.silent() {
            // What is there already, or not needed, is part of the size and may never be a step.
            let size = if total > 0 { format!(", up to {}", bytes(total)) } else { String::new() };
            self.output.message(&format!("{name}: begins{size}"));
        }
        let bar = draw.then(|| bar(&name, total));
        stages.push(Stage { name, total, done: 0, began: now, told_at: now, told: 0, bar });
    }

    fn advance(&self, bytes: u64) {
        let mut stages = self.stages();
        let Some(stage) = stages.last_mut() else { return };
        stage.done = stage.done.saturating_add(bytes);
        match &stage.bar {
            Some(bar) => bar.inc(bytes),
            None if self.silent() => {}
            None => {
                let now = (self.clock)();
                if stage.due(now) {
                    stage.told = stage.done;
                    stage.told_at = now;
                    self.output.message(&stage.line());
                }
            }
        }
    }

    fn end(&self) {
        let Some(stage) = self.stages().pop() else { return };
        if let Some(bar) = &stage.bar {
            bar.finish_and_clear();
        }
        // Of a stage whose size nobody knew there is nothing to sum up.
        if !self.silent() && stage.total > 0 {
            let seconds = (self.clock)().saturating_sub(stage.began).as_secs();
            let done = if stage.done > 0 { format!(", {}", bytes(stage.done)) } else { String::new() };
            self.output.message(&format!("{}: done{done} in {seconds} s", stage.name));
        }
    }

    fn say(&self, level: Level, line: &str) {
        let stages = self.stages();
        match level {
            Level::Warning => match stages.last().and_then(|stage| stage.bar.as_ref()) {
                Some(bar) => bar.suspend(|| self.output.warn(line)),
                None => self.output.warn(line),
            },
            Level::Info if !self.silent() => self.tell(line, &stages),
            Level::Detail if !self.silent() && self.verbosity == Verbosity::Verbose => self.tell(line, &stages),
            Level::Info | Level::Detail => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::Buffer;
    use std::sync::atomic::AtomicU64;

    struct Rig {
        watch: Watch,
        seconds: Arc<AtomicU64>,
        err: Buffer,
    }

    fn rig(verbosity: Verbosity, format: Format) -> Rig {
        let (err, seconds) = (Buffer::default(), Arc::new(AtomicU64::new(0)));
        let output = Arc::new(Output::new(format, Box::new(std::io::sink()), Box::new(err.clone())));
        let clock = seconds.clone();
        let clock: Clock = Box::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        Rig { watch: Watch::new(output, verbosity, false, Arc::default(), clock), seconds, err }
    }

    #[test]
    fn plain_lines_come_by_tenths_and_by_time() {
        let Rig { watch, seconds, err } = rig(Verbosity::Normal, Format::Text);
        watch.begin("fetch", 1000);
        watch.advance(500);
        seconds.store(2, Ordering::Relaxed);
        watch.advance(1);
        watch.advance(1);
        seconds.store(12, Ordering::Relaxed);
        watch.advance(8);
        watch.end();
        assert_eq!(
            err.text(),
            "fetch: begins, up to 1.00 kB\nfetch: 501 B of 1.00 kB (50 %)\nfetch: 510 B of 1.00 kB (51 %)\nfetch: done, 510 B in 12 s\n"
        );
    }

    #[test]
    fn nothing_is_said_to_be_there_that_is_not() {
        let Rig { watch, seconds, err } = rig(Verbosity::Normal, Format::Text);
        watch.begin("upload", 500_000_000);
        seconds.store(20, Ordering::Relaxed);
        watch.advance(499_999_000);
        watch.end();
        watch.begin("upload", 500_000_000);
        watch.end();
        assert_eq!(
            err.text(),
            "upload: begins, up to 500 MB\nupload: almost 500 MB (99 %)\nupload: done, 500 MB in 20 s\n\
             upload: begins, up to 500 MB\nupload: done in 0 s\n"
        );
    }

    #[test]
    fn a_stage_of_unknown_size_only_begins() {
        let Rig { watch, err, .. } = rig(Verbosity::Normal, Format::Text);
        watch.begin("asking the target", 0);
        watch.end();
        assert_eq!(err.text(), "asking the target: begins\n");
    }

    #[test]
    fn the_templates_are_understood() {
        assert!(ProgressStyle::with_template(BAR).is_ok() && ProgressStyle::with_template(ENDLESS).is_ok());
    }

    #[test]
    fn a_bar_swallows_no_message() {
        let Rig { mut watch, err, .. } = rig(Verbosity::Normal, Format::Text);
        watch.terminal = true;
        watch.begin("fetch", 10);
        watch.advance(5);
        watch.say(Level::Info, "i");
        watch.say(Level::Warning, "w");
        watch.end();
        assert_eq!(err.text(), "i\nwarning: w\nfetch: done, 5 B in 0 s\n");
    }

    #[test]
    fn quiet_and_json_show_only_warnings() {
        for (verbosity, format) in [(Verbosity::Quiet, Format::Text), (Verbosity::Verbose, Format::Json)] {
            let Rig { watch, err, .. } = rig(verbosity, format);
            watch.begin("fetch", 0);
            watch.advance(5);
            watch.say(Level::Info, "i");
            watch.say(Level::Detail, "d");
            watch.say(Level::Warning, "w");
            watch.end();
            watch.end();
            assert_eq!(err.text(), "warning: w\n");
        }
    }

    #[test]
    fn details_need_v_and_foreign_names_are_harmless() {
        let Rig { watch, err, .. } = rig(Verbosity::Normal, Format::Text);
        watch.say(Level::Detail, "d");
        watch.say(Level::Info, "a\u{1b}[31m");
        watch.begin("x\ny", 0);
        assert_eq!(err.text(), "a\\u{1b}[31m\nx\\u{a}y: begins\n");
        let Rig { watch, err, .. } = rig(Verbosity::Verbose, Format::Text);
        watch.say(Level::Detail, "d");
        assert_eq!(err.text(), "d\n");
    }
}
