//! A file of a catalog as the texts of its objects, one in memory at a time.
//!
//! JSON when the first character is `{` (six times faster to read, and YAML parsers refuse JSON's surrogate pairs), else YAML,
//! whose documents end at a line that begins with `---` or `...` (YAML 1.2, 9.1.2: that holds inside of any scalar, too).

use crate::limits::CATALOG_OBJECT_BYTES;
use std::io::{self, BufRead, BufReader, Read};

/// Where the text of an object begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begin {
    /// Number in the file, from 1.
    pub(super) document: u32,
    /// Line in the file, from 1.
    pub(super) line: u32,
}

/// Why a file has no further object.
#[derive(Debug)]
pub(super) enum SplitError {
    Read(io::Error),
    Syntax(Begin, &'static str),
    TooLarge(Begin),
}

/// The objects of one file.
pub(super) struct Documents<'r> {
    reader: BufReader<&'r mut dyn Read>,
    line: u32,
    document: u32,
    json: Option<bool>,
    /// YAML: the beginning of the next document, already read.
    ahead: Vec<u8>,
}

impl<'r> Documents<'r> {
    pub(super) fn new(reader: &'r mut dyn Read) -> Documents<'r> {
        Documents { reader: BufReader::with_capacity(128 << 10, reader), line: 1, document: 0, json: None, ahead: Vec::new() }
    }

    /// True when the file is JSON; known after the first call of [`Documents::next`].
    pub(super) fn is_json(&self) -> bool {
        self.json == Some(true)
    }

    /// Puts the text of the next object into `text`.
    pub(super) fn next(&mut self, text: &mut Vec<u8>) -> Result<Option<Begin>, SplitError> {
        text.clear();
        let json = match self.json {
            Some(json) => json,
            None => self.sniff()?,
        };
        if json { self.next_json(text) } else { self.next_yaml(text) }
    }

    fn begin(&self) -> Begin {
        Begin { document: self.document, line: self.line }
    }

    /// Skips a byte order mark and blank lines; what is before the first character of a line belongs to YAML's indentation.
    fn sniff(&mut self) -> Result<bool, SplitError> {
        loop {
            let first = peek(&mut self.reader)?;
            match first {
                Some(0xef) if self.ahead.is_empty() && self.line == 1 => {
                    if !self.reader.buffer().starts_with(b"\xef\xbb\xbf") {
                        return Ok(*self.json.insert(false));
                    }
                    self.reader.consume(3);
                }
                Some(b'\n') => {
                    self.ahead.clear();
                    self.line = self.line.saturating_add(1);
                    self.reader.consume(1);
                }
                Some(blank @ (b' ' | b'\t' | b'\r')) => {
                    if self.ahead.len() >= CATALOG_OBJECT_BYTES {
                        return Err(SplitError::TooLarge(self.begin()));
                    }
                    self.ahead.push(blank);
                    self.reader.consume(1);
                }
                other => return Ok(*self.json.insert(other == Some(b'{'))),
            }
        }
    }

    fn next_json(&mut self, text: &mut Vec<u8>) -> Result<Option<Begin>, SplitError> {
        loop {
            match peek(&mut self.reader)? {
                None => return Ok(None),
                Some(b'{') => break,
                Some(blank @ (b' ' | b'\t' | b'\r' | b'\n')) => {
                    self.line = self.line.saturating_add(u32::from(blank == b'\n'));
                    self.reader.consume(1);
                }
                Some(_) => {
                    self.document += 1;
                    return Err(SplitError::Syntax(self.begin(), "there is something else than an object ({...})"));
                }
            }
        }
        self.document += 1;
        let begin = self.begin();
        let mut state = JsonState::default();
        loop {
            let buffer = self.reader.fill_buf().map_err(SplitError::Read)?;
            if buffer.is_empty() {
                return Err(SplitError::Syntax(begin, "the file ends inside of an object"));
            }
            let taken = state.scan(buffer);
            text.extend_from_slice(buffer.get(..taken).unwrap_or_default());
            self.reader.consume(taken);
            if text.len() > CATALOG_OBJECT_BYTES {
                return Err(SplitError::TooLarge(begin));
            }
            if state.depth == 0 {
                self.line = self.line.saturating_add(state.lines);
                return Ok(Some(begin));
            }
        }
    }

    fn next_yaml(&mut self, text: &mut Vec<u8>) -> Result<Option<Begin>, SplitError> {
        self.document += 1;
        text.append(&mut self.ahead);
        let mut begin = self.begin();
        // Spaces left over from sniffing are no content; a marker line may have content behind it.
        let mut content = marker(text).is_some_and(|rest| !is_blank(rest));
        // A marker read ahead is a line of its own, already complete.
        if text.ends_with(b"\n") {
            self.line = self.line.saturating_add(1);
        }
        if text.starts_with(b"...") {
            text.clear();
            begin = self.begin();
        }
        loop {
            let at = if text.ends_with(b"\n") { text.len() } else { 0 };
            let room = (CATALOG_OBJECT_BYTES + 1).saturating_sub(text.len());
            let n = (&mut self.reader).take(room as u64).read_until(b'\n', text).map_err(SplitError::Read)?;
            if text.len() > CATALOG_OBJECT_BYTES {
                return Err(SplitError::TooLarge(begin));
            }
            if n == 0 {
                return Ok(content.then_some(begin));
            }
            let line = text.get(at..).unwrap_or_default();
            if content && marker(line).is_some() {
                self.ahead = text.split_off(at);
                return Ok(Some(begin));
            }
            match marker(line) {
                // An end without a document.
                Some(_) if line.starts_with(b"...") => {
                    text.clear();
                    begin.line = self.line.saturating_add(1);
                }
                Some(rest) => content = !is_blank(rest),
                None => content = content || !(is_blank(line) || line.starts_with(b"%")),
            }
            self.line = self.line.saturating_add(1);
        }
    }
}

/// The byte that comes next.
fn peek(reader: &mut impl BufRead) -> Result<Option<u8>, SplitError> {
    Ok(reader.fill_buf().map_err(SplitError::Read)?.first().copied())
}

/// What follows `---` or `...`, when the line is such a marker.
fn marker(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"---").or_else(|| line.strip_prefix(b"..."))?;
    matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r' | b'\n')).then_some(rest)
}

/// True for white space and comments.
fn is_blank(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    text.is_empty() || text.starts_with(b"#")
}

/// Where in an object the scanner is. It only counts brackets; whether they match is for the parser to say.
#[derive(Default)]
struct JsonState {
    depth: u64,
    lines: u32,
    string: bool,
    escaped: bool,
}

impl JsonState {
    /// Reads up to the end of the object; gives how many bytes belong to it.
    fn scan(&mut self, bytes: &[u8]) -> usize {
        for (i, byte) in bytes.iter().enumerate() {
            if self.string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.string = true,
                b'\n' => self.lines = self.lines.saturating_add(1),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return i + 1;
                    }
                }
                _ => {}
            }
        }
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Result<Vec<(u32, u32, String)>, SplitError> {
        let mut reader = text.as_bytes();
        let mut documents = Documents::new(&mut reader);
        let (mut found, mut buffer) = (Vec::new(), Vec::new());
        while let Some(begin) = documents.next(&mut buffer)? {
            found.push((begin.document, begin.line, String::from_utf8(buffer.clone()).unwrap()));
        }
        Ok(found)
    }

    #[test]
    fn yaml_is_cut_at_its_markers() {
        let found = split("# c\n---\na: 1\n--- # x\nb: |\n  ---\n  y\n---\n---\n...\n---\nc: 3").unwrap();
        let texts: Vec<_> = found.iter().map(|(n, line, text)| (*n, *line, text.as_str())).collect();
        assert_eq!(texts[0], (1, 1, "# c\n---\na: 1\n"));
        assert_eq!(texts[1], (2, 4, "--- # x\nb: |\n  ---\n  y\n"));
        assert!(texts[2].2.ends_with("c: 3") && texts.len() == 3, "{texts:?}");
        assert_eq!(split("%YAML 1.2\n---\n  a: 1\n").unwrap().len(), 1);
        assert_eq!(split("\n\n  a: 1\n  b: 2\n").unwrap()[0].2, "  a: 1\n  b: 2\n");
        assert_eq!(split("--- {a: 1}\n--- {b: 1}\n").unwrap().len(), 2);
        for empty in ["", "\n", "---\n---\n", "# only words\n", "\u{feff}"] {
            assert!(split(empty).unwrap().is_empty(), "{empty:?}");
        }
    }

    #[test]
    fn json_is_cut_at_its_brackets_not_at_those_in_strings() {
        let found = split("\u{feff} {\"a\":\"}\\\"{\"}\n\n{\"b\":\n[{}]}{}").unwrap();
        let texts: Vec<_> = found.iter().map(|(n, line, text)| (*n, *line, text.as_str())).collect();
        assert_eq!(texts, [(1, 1, "{\"a\":\"}\\\"{\"}"), (2, 3, "{\"b\":\n[{}]}"), (3, 4, "{}")]);
        assert!(matches!(split("{}\n]"), Err(SplitError::Syntax(Begin { document: 2, line: 2 }, _))));
        assert!(matches!(split("{\"a\": {"), Err(SplitError::Syntax(..))));
    }
}
