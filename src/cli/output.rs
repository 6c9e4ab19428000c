//! The one place that prints.
//!
//! Text goes to standard output, messages to standard error. With `--json` no text is printed, and one object ends the run.
//! Whatever passes here is made harmless to a terminal, although those who quote foreign words should have done it. A reader
//! who has gone away (`| head`) is no error; a full disk behind standard output is.

use crate::error::{Code, Error};
use crate::text::{sentence, shown};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where bytes go; the process gives its standard streams, a test its buffers.
pub type Sink = Box<dyn Write + Send>;

/// How results are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Sentences and tables.
    Text,
    /// One object at the end.
    Json,
}

/// What a command has done: the members of the final object, and what is missing from success, if anything.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Members of the final object beside `ok`, `code` and `exit`.
    pub report: Map<String, Value>,
    /// Set when only a part was done: its code decides the exit number, its details list what was not.
    pub shortfall: Option<Error>,
}

impl Outcome {
    /// Done, nothing to report but that.
    pub fn done() -> Outcome {
        Outcome::default()
    }

    /// Adds a member to the final object.
    ///
    /// # Errors
    /// `BUG` when the value has no JSON form.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Result<Outcome, Error> {
        let value = serde_json::to_value(value).map_err(|e| Error::bug(format!("{name} has no JSON form")).because(e))?;
        self.report.insert(name.to_owned(), value);
        Ok(self)
    }

    /// Says what was not done.
    pub fn but(mut self, shortfall: Option<Error>) -> Outcome {
        self.shortfall = shortfall;
        self
    }
}

/// The printer. Shared between threads.
pub struct Output {
    format: Format,
    out: Mutex<Sink>,
    err: Mutex<Sink>,
    warnings: Mutex<Vec<String>>,
    failure: Mutex<Option<io::Error>>,
}

impl Output {
    /// A printer into these two.
    pub fn new(format: Format, out: Sink, err: Sink) -> Output {
        Output { format, out: Mutex::new(out), err: Mutex::new(err), warnings: Mutex::default(), failure: Mutex::default() }
    }

    /// A printer into the standard streams of the process.
    pub fn standard(format: Format) -> Output {
        Output::new(format, Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// How results are told.
    pub fn format(&self) -> Format {
        self.format
    }

    /// One line of text on standard output; nothing with `--json`.
    pub fn line(&self, line: &str) {
        if self.format == Format::Text {
            self.write(&format!("{}\n", sentence(line)));
        }
    }

    /// Several lines of text; each is a [`Output::line`].
    pub fn lines(&self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// Text of ours as it is, lines of any length: documents for other programs, printable ASCII by their making. Whatever else is in
    /// it is left out.
    pub fn text(&self, text: &str) {
        if self.format == Format::Text {
            self.write(&text.chars().filter(|c| *c == '\n' || matches!(c, ' '..='~')).collect::<String>());
        }
    }

    /// Rows with their columns aligned, two spaces apart. Cells may hold foreign words: each is shortened and made harmless.
    pub fn table(&self, rows: &[Vec<String>]) {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| shown(cell).to_string()).collect()).collect();
        let mut widths: Vec<usize> = Vec::new();
        for row in &rows {
            widths.resize(widths.len().max(row.len()), 0);
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
        }
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// One line on standard error. A message that cannot be written is lost; there is nobody left to tell.
    pub fn message(&self, line: &str) {
        let mut err = lock(&self.err);
        let _ = err.write_all(format!("{}\n", sentence(line)).as_bytes()).and_then(|()| err.flush());
    }

    /// A warning: a message, and an entry of `warnings` in the final object.
    pub fn warn(&self, line: &str) {
        self.message(&format!("warning: {line}"));
        if self.format == Format::Json {
            lock(&self.warnings).push(line.to_owned());
        }
    }

    /// Ends the run: prints the final object or the error. Returns what decides the exit number.
    pub fn finish(&self, result: Result<Outcome, Error>) -> Code {
        let (report, error) = match result {
            Ok(Outcome { report, shortfall }) => (report, shortfall),
            Err(error) => (Map::new(), Some(error)),
        };
        if self.format == Format::Json {
            self.write(&self.object(report, error.as_ref()));
        }
        self.flush();
        let error = error.or_else(|| self.lost());
        let Some(error) = error else { return Code::Done };
        if self.format == Format::Text {
            self.error(&error);
        }
        error.code
    }

    /// The error in its outer form, on standard error.
    fn error(&self, error: &Error) {
        let _ = lock(&self.err).write_all(format!("{error}\n").as_bytes());
    }

    /// The final object, one line.
    fn object(&self, report: Map<String, Value>, error: Option<&Error>) -> String {
        let code = error.map_or(Code::Done, |error| error.code);
        let mut object = report;
        object.insert("ok".into(), json!(error.is_none()));
        object.insert("code".into(), json!(code));
        object.insert("exit".into(), json!(code.exit()));
        if let Some(error) = error {
            object.insert("error".into(), json!(error.what));
            object.insert("causes".into(), json!(error.causes));
            object.insert("remedy".into(), json!(error.remedy));
            object.insert("details".into(), json!(error.details));
        }
        object.insert("warnings".into(), json!(*lock(&self.warnings)));
        harmless_json(&Value::Object(object).to_string()) + "\n"
    }

    fn write(&self, text: &str) {
        if let Err(e) = lock(&self.out).write_all(text.as_bytes()) {
            self.remember(e);
        }
    }

    fn flush(&self) {
        if let Err(e) = lock(&self.out).flush() {
            self.remember(e);
        }
    }

    fn remember(&self, error: io::Error) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            lock(&self.failure).get_or_insert(error);
        }
    }

    /// What the first lost write means.
    fn lost(&self) -> Option<Error> {
        let error = lock(&self.failure).take()?;
        Some(crate::fs::FsError::new("write", "standard output", error).into())
    }
}

/// A panic in another thread does not make the streams unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Escapes, inside the strings of a JSON text, what JSON allows and terminals obey: C1 controls, delete, bidirectional and
/// invisible marks. Outside of strings such characters do not occur, so the value stays the same.
fn harmless_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || crate::text::hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// A number of bytes for a person: three digits and a decimal unit.
pub fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    match (unit, value < 9.995, value < 99.95) {
        ("B", _, _) => format!("{number} B"),
        (_, true, _) => format!("{value:.2} {unit}"),
        (_, _, true) => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_gone_is_no_error_a_full_disk_is() {
        let run = |kind| {
            let output = Output::new(Format::Text, Box::new(Broken(kind)), Box::new(io::sink()));
            output.line("x");
            output.finish(Ok(Outcome::done()))
        };
        assert_eq!(run(io::ErrorKind::BrokenPipe), Code::Done);
        assert_eq!(run(io::ErrorKind::StorageFull), Code::NoSpace);
    }

    #[test]
    fn a_part_is_reported_with_what_is_missing() {
        let out = crate::cli::tests::Buffer::default();
        let output = Output::new(Format::Json, Box::new(out.clone()), Box::new(io::sink()));
        output.line("not printed");
        output.warn("w");
        let missing = Error::new(Code::Partial, "1 of 2 images").detail("quay.io/x:1", Code::SourceMissing, "no such tag");
        let code = output.finish(Outcome::done().with("images", 1).map(|outcome| outcome.but(Some(missing))));
        assert_eq!(code, Code::Partial);
        let object: Value = serde_json::from_str(&out.text()).unwrap();
        assert_eq!((&object["ok"], &object["exit"], &object["images"]), (&json!(false), &json!(3), &json!(1)));
        assert_eq!(object["details"], json!([{"subject": "quay.io/x:1", "code": "SOURCE_MISSING", "error": "no such tag"}]));
        assert_eq!(object["warnings"], json!(["w"]));
    }

    #[test]
    fn json_strings_keep_their_value_and_lose_their_power() {
        let value = json!({"a": "x\u{9b}2J\u{202e}\u{7f}\u{e0001}\n\u{1b}y"});
        let text = harmless_json(&value.to_string());
        assert!(text.is_ascii() && !text.contains('\u{1b}') && !text.contains('\u{7f}'), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn tables_align_and_are_harmless() {
        let out = crate::cli::tests::Buffer::default();
        let output = Output::new(Format::Text, Box::new(out.clone()), Box::new(io::sink()));
        output.table(&[vec!["a".into(), "b".into()], vec!["long".into(), "x\ny".into()], vec![]]);
        assert_eq!(out.text(), "a     b\nlong  x\\u{a}y\n\n");
    }

    #[test]
    fn bytes_have_three_digits() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.00 kB"),
            (4_700_000_000, "4.70 GB"),
            (99_960_000, "100 MB"),
            (999_700_000, "1.00 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
