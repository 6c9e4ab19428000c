//! A panic, told like any other failure.

use super::output::{Format, Output};
use crate::error::Error;
use std::panic::PanicHookInfo;

/// Makes a panic in any thread end the process with the BUG code and a message worth reporting. The process ends here and not by
/// unwinding: with one thread gone, the others would wait for it.
pub fn install(format: Format) {
    std::panic::set_hook(Box::new(move |info| {
        // A printer of its own: the one of the run may be locked by the very thread that panics.
        let code = Output::standard(format).finish(Err(describe(info)));
        std::process::exit(i32::from(code.exit()));
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> Error {
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    let error = Error::bug(format!("sealift {} met a state it holds to be impossible{place}", env!("CARGO_PKG_VERSION")));
    let payload = info.payload();
    match payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied()) {
        Some(words) => error.because(words),
        None => error,
    }
}
