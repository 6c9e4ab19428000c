//! The command line: arguments in, text or JSON out, exit number back.
//!
//! One file per command, each with its arguments and `run(args, &Context) -> Result<Outcome, Error>`. Only here the program
//! knows a terminal, the environment, a home, an exit. [`run`] takes all of that as a [`World`], so that the whole program can
//! be run inside a test.

pub mod args;
pub mod asked;
pub mod carried;
pub mod check;
pub mod connections;
pub mod delete;
pub mod demo;
mod demo_files;
mod demo_registry;
pub mod environment;
pub mod examples;
pub mod explain;
#[cfg(debug_assertions)]
pub mod faults;
pub mod inspect;
pub mod key;
pub mod list;
pub mod manual;
pub mod mirror;
mod oc_mirror;
pub mod openshift;
pub mod options;
pub mod output;
pub mod pack;
pub mod panic;
pub mod passphrase;
pub mod plan;
pub mod preflight;
pub mod progress;
pub mod published;
pub mod receipts;
pub mod resources;
mod resources_folder;
mod saved_plan;
pub mod serve;
pub mod sets;
pub mod sign;
pub mod signals;
pub mod signing;
pub mod trust;
pub mod unpack;
mod unpack_told;
mod usage;
pub mod values;
pub mod verify;
pub mod verify_release;
pub mod where_;
pub mod wishes;

pub use output::Outcome;

use crate::error::{Code, Error};
use crate::progress::Progress;
use args::{Arguments, Command, Global};
use clap::{CommandFactory, FromArgMatches};
use environment::Environment;
use output::{Format, Output, Sink};
use passphrase::Ask;
use progress::{Clock, Verbosity, Watch};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a command may use of the world.
pub struct Context {
    /// What the environment said when the process began.
    pub environment: Environment,
    /// The one place that prints.
    pub output: Arc<Output>,
    /// Watches the work; knows whether the person asked to stop.
    pub progress: Arc<dyn Progress>,
    /// Set by a signal.
    pub cancel: Arc<AtomicBool>,
    /// Asks for a passphrase; `None` without a terminal.
    pub ask: Option<Ask>,
    /// Lists are printed whole, however long.
    pub verbose: bool,
    /// Columns of the terminal that text goes to; `None` when it goes elsewhere.
    pub columns: Option<usize>,
}

impl Context {
    /// An error once the person asked to stop; for between the steps of a command.
    ///
    /// # Errors
    /// `INTERRUPTED`.
    pub fn go_on(&self) -> Result<(), Error> {
        match self.cancel.load(Ordering::Relaxed) {
            true => Err(Error::interrupted()),
            false => Ok(()),
        }
    }
}

/// Seconds since 1970, by this machine's clock.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time for people and documents (RFC 3339, UTC).
pub fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// Reads an environment variable.
pub type Variable = Box<dyn Fn(&str) -> Option<OsString>>;

/// What the process was given.
pub struct World {
    /// The environment.
    pub variable: Variable,
    /// Standard output.
    pub out: Sink,
    /// Standard error.
    pub err: Sink,
    /// Standard error is a terminal.
    pub terminal: bool,
    /// Columns of standard output; `None` when it is no terminal.
    pub columns: Option<usize>,
    /// Asks for a passphrase; `None` without a terminal.
    pub ask: Option<Ask>,
    /// Set by a signal.
    pub cancel: Arc<AtomicBool>,
    /// Time since the process began.
    pub clock: Clock,
}

/// Runs one command line (the program's name first) and returns the exit number.
pub fn run(argv: impl IntoIterator<Item = OsString>, world: World) -> u8 {
    let argv: Vec<OsString> = argv.into_iter().collect();
    let output = Arc::new(Output::new(wanted_format(&argv), world.out, world.err));
    let mut definition = examples::shown(definition());
    let parsed = definition.try_get_matches_from_mut(&argv);
    let parsed = parsed.and_then(|mut found| Arguments::from_arg_matches_mut(&mut found).map_err(|e| e.format(&mut definition)));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(refusal) => return output.finish(usage::told(&refusal, &argv, &output)).exit(),
    };
    let result = Environment::read(&*world.variable).and_then(|environment| {
        let terminal = world.terminal && !environment.plain;
        let watch = Watch::new(output.clone(), verbosity(arguments.global), terminal, world.cancel.clone(), world.clock);
        let (progress, verbose) = (Arc::new(watch), arguments.global.verbose);
        let (cancel, ask, columns) = (world.cancel, world.ask, world.columns);
        let ctx = Context { environment, output: output.clone(), progress, cancel, ask, verbose, columns };
        prepare(&ctx)?;
        crate::fault::point("cli.begin", "").map_err(|e| Error::new(Code::Unclassified, "the command could not begin").because(e))?;
        ctx.go_on()?;
        dispatch(arguments.command, &ctx)
    });
    output.finish(result).exit()
}

/// The definition of the command line, for the manual.
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// `--json` anywhere before `--`; needed before the arguments are known to be right, and when the program panics.
pub fn wanted_format(argv: &[OsString]) -> Format {
    match argv.iter().take_while(|word| *word != "--").any(|word| word == "--json") {
        true => Format::Json,
        false => Format::Text,
    }
}

fn verbosity(global: Global) -> Verbosity {
    match (global.quiet, global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, true) => Verbosity::Verbose,
        (false, false) => Verbosity::Normal,
    }
}

/// Installs the fault plan of a test, where there is one.
#[cfg(debug_assertions)]
fn prepare(ctx: &Context) -> Result<(), Error> {
    ctx.environment.fault.as_deref().map_or(Ok(()), faults::install)
}

/// A release build knows no fault plans: it goes on, and says that nothing will be made to fail.
#[cfg(not(debug_assertions))]
fn prepare(ctx: &Context) -> Result<(), Error> {
    if ctx.environment.fault.is_some() {
        ctx.output.warn("SEALIFT_FAULT is set and has no effect in a release build");
    }
    Ok(())
}

/// The waits of registries' clients: a test may shorten them.
#[cfg(debug_assertions)]
fn timing(ctx: &Context) -> crate::registry::Timing {
    faults::timing(ctx.environment.fault.as_deref())
}

#[cfg(not(debug_assertions))]
fn timing(_: &Context) -> crate::registry::Timing {
    crate::registry::Timing::default()
}

fn dispatch(command: Command, ctx: &Context) -> Result<Outcome, Error> {
    match command {
        Command::Key(args) => key::run(args, ctx),
        Command::Trust(args) => trust::run(args, ctx),
        Command::Plan(args) => plan::run(args, ctx),
        Command::Pack(args) => pack::run(args, ctx),
        Command::Sign(args) => sign::run(args, ctx),
        Command::Verify(args) => verify::run(args, ctx),
        Command::Inspect(args) => inspect::run(args, ctx),
        Command::Preflight(args) => preflight::run(args, ctx),
        Command::Unpack(args) => unpack::run(args, ctx),
        Command::Mirror(args) => mirror::run(args, ctx),
        Command::Where(args) => where_::run(args, ctx),
        Command::Check(args) => check::run(args, ctx),
        Command::Delete(args) => delete::run(args, ctx),
        Command::Resources(args) => resources::run(args, ctx),
        Command::List(args) => list::run(args, ctx),
        Command::Serve(args) => serve::run(args, ctx),
        Command::Explain(args) => explain::run(args, ctx),
        Command::Demo(args) => demo::run(args, ctx),
    }
}

#[cfg(test)]
pub(crate) mod tests;
