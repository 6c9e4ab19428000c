//! What is known of one file: which of its bytes are in, and the note beside it that says so to the next run.

use super::note_name;
use crate::digest::Digest;
use crate::fs::{Dir, FsError};
use serde::{Deserialize, Serialize};

const SCHEMA: u64 = 1;
const NOTE_BYTES: u64 = 1 << 20;

/// Byte ranges `[start, end)`, ordered, never touching.
pub(super) type Ranges = Vec<(u64, u64)>;

/// A file and the bytes of it that are in.
pub(super) struct Held {
    pub size: u64,
    have: Ranges,
    /// No part is from an earlier run.
    pub fresh: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    schema: u64,
    digest: Digest,
    size: u64,
    have: Ranges,
}

impl Held {
    /// A file that has nothing yet.
    pub fn new(size: u64) -> Held {
        Held { size, have: Ranges::new(), fresh: true }
    }

    /// What an earlier run noted; nothing where that is missing or no sane note of this blob.
    pub fn read(dir: &Dir, digest: &Digest) -> Result<Option<Held>, FsError> {
        let Some(bytes) = dir.read_if_there(&note_name(digest), NOTE_BYTES)? else { return Ok(None) };
        let Ok(note) = serde_json::from_slice::<Note>(&bytes) else { return Ok(None) };
        let sane = note.have.iter().all(|(s, e)| s < e && *e <= note.size) && note.have.is_sorted_by(|a, b| a.1 < b.0);
        if note.schema != SCHEMA || note.digest != *digest || note.size > crate::limits::BLOB_BYTES || !sane {
            return Ok(None);
        }
        Ok(Some(Held { size: note.size, have: note.have, fresh: false }))
    }

    /// What the next run is told.
    pub fn note(&self, digest: &Digest) -> Note {
        Note { schema: SCHEMA, digest: *digest, size: self.size, have: self.have.clone() }
    }

    /// True when these bytes are in.
    pub fn has(&self, start: u64, len: u64) -> bool {
        len == 0 || self.have.iter().any(|(s, e)| *s <= start && start + len <= *e)
    }

    /// True when every byte is in.
    pub fn is_whole(&self) -> bool {
        self.size == 0 || self.have.first() == Some(&(0, self.size))
    }

    /// These bytes are in.
    pub fn add(&mut self, start: u64, end: u64) {
        add_range(&mut self.have, start, end);
    }
}

fn add_range(have: &mut Ranges, start: u64, end: u64) {
    if start == end {
        return;
    }
    have.push((start, end));
    have.sort_unstable();
    let mut merged = Ranges::with_capacity(have.len());
    for (s, e) in have.drain(..) {
        match merged.last_mut() {
            Some((_, last)) if s <= *last => *last = e.max(*last),
            _ => merged.push((s, e)),
        }
    }
    *have = merged;
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn ranges_are_what_a_set_of_bytes_would_be(pieces in proptest::collection::vec((0u64..50, 0u64..20), 0..20)) {
            let mut have = Ranges::new();
            let mut bytes = std::collections::BTreeSet::new();
            for (start, len) in pieces {
                add_range(&mut have, start, start + len);
                bytes.extend(start..start + len);
            }
            let flat: Vec<u64> = have.iter().flat_map(|(s, e)| *s..*e).collect();
            proptest::prop_assert_eq!(flat, bytes.into_iter().collect::<Vec<_>>());
            proptest::prop_assert!(have.is_sorted_by(|a, b| a.1 < b.0));
        }
    }
}
