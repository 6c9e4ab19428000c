//! The log: one line per verify, unpack and push, each bound to the one before by its hash.
//!
//! A changed or removed line in the middle shows; a cut tail shows against a head kept elsewhere (in signed receipts).

use super::LedgerError;
use crate::digest::Digest;
use crate::format::SetId;
use crate::fs::Dir;
use serde::{Deserialize, Serialize};

const FILE: &str = "log.jsonl";
/// A million entries; whoever needs more starts a new directory.
const LOG_BYTES: u64 = 512 << 20;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Media were checked.
    Verify,
    /// A set was unpacked into a target.
    Unpack,
    /// A layout was pushed.
    Push,
    /// Images were brought from registry to registry.
    Mirror,
    /// Images were deleted from a target.
    Delete,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// When, as the caller's clock says (RFC 3339, UTC).
    pub at: String,
    /// What.
    pub action: Action,
    /// Which set, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetId>,
    /// Target or media, as a person names them.
    pub subject: String,
    /// How it ended, in a few words.
    pub outcome: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    number: u64,
    /// SHA-256 of the line before, without its line end; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Digest>,
    entry: Entry,
}

/// The log of one directory.
#[derive(Clone, Debug)]
pub struct Log {
    dir: Dir,
}

struct State {
    bytes: Vec<u8>,
    count: u64,
    head: Option<Digest>,
}

impl Log {
    /// The log in `dir`; made by the first entry.
    pub fn open(dir: &Dir) -> Log {
        Log { dir: dir.clone() }
    }

    /// Adds a line and returns the new head. The whole chain is checked first: nothing is added to a broken one.
    ///
    /// The file is replaced whole, so that no power cut leaves half a line, which would look like tampering.
    pub fn append(&self, entry: &Entry) -> Result<Digest, LedgerError> {
        let _lock = self.dir.lock_waiting("log.lock")?;
        let mut state = self.read()?;
        let line = Line { number: state.count + 1, previous: state.head, entry: entry.clone() };
        let text = serde_json::to_vec(&line).map_err(|e| self.broken(line.number, e.to_string()))?;
        state.bytes.extend_from_slice(&text);
        state.bytes.push(b'\n');
        self.dir.publish_mode(FILE, &state.bytes, 0o600)?;
        Ok(Digest::sha256(&text))
    }

    /// SHA-256 of the last line, after the whole chain was checked; `None` for an empty log.
    pub fn head(&self) -> Result<Option<Digest>, LedgerError> {
        Ok(self.read()?.head)
    }

    /// True when `head` is the hash of one of the lines: what a receipt with this head was written after is still here.
    pub fn contains(&self, head: &Digest) -> Result<bool, LedgerError> {
        Ok(self.read()?.bytes.split(|b| *b == b'\n').any(|line| Digest::sha256(line) == *head))
    }

    fn read(&self) -> Result<State, LedgerError> {
        let bytes = self.dir.read_if_there(FILE, LOG_BYTES)?.unwrap_or_default();
        let (mut count, mut head) = (0, None);
        let lines = match bytes.strip_suffix(b"\n") {
            Some(lines) => lines,
            None if bytes.is_empty() => return Ok(State { bytes, count, head }),
            None => return Err(self.broken(1, "it does not end with a line end".into())),
        };
        for text in lines.split(|b| *b == b'\n') {
            count += 1;
            let line: Line = serde_json::from_slice(text).map_err(|e| self.broken(count, e.to_string()))?;
            if line.number != count {
                return Err(self.broken(count, format!("it has number {}", line.number)));
            }
            if line.previous != head {
                return Err(self.broken(count, "it was not written after the line before it".into()));
            }
            head = Some(Digest::sha256(text));
        }
        Ok(State { bytes, count, head })
    }

    fn broken(&self, line: u64, why: String) -> LedgerError {
        LedgerError::Chain { path: self.dir.join(FILE), line, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(outcome: &str) -> Entry {
        Entry { at: "2026-01-01T00:00:00Z".into(), action: Action::Verify, set: None, subject: "m".into(), outcome: outcome.into() }
    }

    #[test]
    fn every_change_but_a_cut_tail_shows_and_that_shows_against_a_head() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap().durable(false);
        let log = Log::open(&dir);
        assert_eq!(log.head().unwrap(), None);
        let heads: Vec<Digest> = ["one", "two", "three"].iter().map(|o| log.append(&entry(o)).unwrap()).collect();
        assert_eq!(log.head().unwrap(), heads.last().copied());
        let text = String::from_utf8(dir.read(FILE, 1 << 20).unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (attack, forged) in [
            ("changed", text.replace("\"one\"", "\"ONE\"")),
            ("removed", format!("{}\n{}\n", lines[0], lines[2])),
            ("first-removed", format!("{}\n{}\n", lines[1], lines[2])),
            ("swapped", format!("{}\n{}\n{}\n", lines[1], lines[0], lines[2])),
            ("torn", text[..text.len() - 5].to_owned()),
            ("inserted-empty", text.replacen('\n', "\n\n", 1)),
        ] {
            dir.publish(FILE, forged.as_bytes()).unwrap();
            assert!(matches!(log.head(), Err(LedgerError::Chain { .. })), "{attack}");
            assert!(log.append(&entry("more")).is_err(), "{attack}");
        }
        dir.publish(FILE, format!("{}\n{}\n", lines[0], lines[1]).as_bytes()).unwrap();
        assert_eq!(log.head().unwrap(), Some(heads[1]));
        assert!(!log.contains(&heads[2]).unwrap() && log.contains(&heads[0]).unwrap());
    }
}
