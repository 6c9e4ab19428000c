//! Ctrl-C: the first asks the run to stop where it can go on from, the second ends the process at once.

use crate::error::Code;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets SIGINT and SIGTERM set `cancel`. The order matters: a signal that finds `cancel` already set ends the process.
pub fn listen(cancel: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, i32::from(Code::Interrupted.exit()), cancel.clone())?;
        flag::register(signal, cancel.clone())?;
    }
    Ok(())
}
