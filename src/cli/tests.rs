//! What the tests of this module share.

use super::*;
use std::io::{self, Write};
use std::sync::Mutex;

/// A standard stream that is kept.
#[derive(Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A context with an empty environment that prints nowhere.
pub(crate) fn context() -> Context {
    Context {
        environment: Environment::default(),
        output: Arc::new(Output::new(Format::Text, Box::new(io::sink()), Box::new(io::sink()))),
        progress: Arc::new(crate::progress::Silent::new()),
        cancel: Arc::default(),
        ask: None,
        verbose: false,
        columns: None,
    }
}

#[test]
fn the_definition_is_sound() {
    definition().debug_assert();
}

#[test]
fn a_signal_stops_between_the_steps() {
    let ctx = context();
    assert!(ctx.go_on().is_ok());
    ctx.cancel.store(true, Ordering::Relaxed);
    assert_eq!(ctx.go_on().unwrap_err().code, Code::Interrupted);
}

#[test]
fn json_is_seen_before_the_arguments_are_right() {
    let format = |words: &[&str]| wanted_format(&words.iter().map(OsString::from).collect::<Vec<_>>());
    assert_eq!(format(&["sealift", "--nonsense", "--json"]), Format::Json);
    assert_eq!(format(&["sealift", "pack", "--", "--json"]), Format::Text);
}
