//! Arguments in, exit number out.

use sealift::cli::passphrase::Ask;
use sealift::cli::{self, World};
use std::ffi::OsString;
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    cli::panic::install(cli::wanted_format(&argv));
    let cancel = Arc::default();
    // Without handlers Ctrl-C ends the process at once, which is safe as well: nothing half-done has its final name.
    let _ = cli::signals::listen(&cancel);
    let began = Instant::now();
    let ask: Ask = Box::new(|question| rpassword::prompt_password(question));
    let world = World {
        variable: Box::new(|name| std::env::var_os(name)),
        out: Box::new(stdout()),
        err: Box::new(stderr()),
        terminal: stderr().is_terminal(),
        columns: rustix::termios::tcgetwinsize(stdout()).ok().map(|size| size.ws_col.into()).filter(|columns| *columns > 0),
        ask: stdin().is_terminal().then_some(ask),
        cancel,
        clock: Box::new(move || began.elapsed()),
    };
    ExitCode::from(cli::run(argv, world))
}
