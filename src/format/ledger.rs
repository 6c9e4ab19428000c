//! The ledger of one target: which sets of which stream it has seen and which of them wrote each tag
//! (`sealift-archive(5)`, "Ledger"). Rules only; files are in [`crate::ledger`].

use super::{FormatError, SCHEMA, admit, is_stream};
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A set, as far as the ledger tells sets apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetId {
    /// Its stream.
    pub stream: String,
    /// Its sequence.
    pub sequence: u64,
    /// SHA-256 of its index.
    pub identity: Digest,
}

/// Sets and tags of one target, by stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerBook {
    /// The target's name.
    pub target: String,
    streams: BTreeMap<String, StreamBook>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct StreamBook {
    sets: BTreeMap<u64, Digest>,
    tags: BTreeMap<String, Writer>,
}

/// The set that wrote a tag last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Its sequence.
    pub sequence: u64,
    /// Its identity.
    pub identity: Digest,
}

/// How a set stands to those its stream has brought before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The stream has brought nothing yet.
    First,
    /// Newer than all before.
    Newer,
    /// Seen before: a run that goes on, or a repetition.
    Known,
    /// Older than the newest seen: brings content, moves no tag back.
    Older {
        /// The newest sequence seen.
        newest: u64,
    },
}

/// Two sets with one sequence: somebody else packs under this stream's key, or a packing host lost its memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream {stream} has two different sets with sequence {sequence}: {known} was seen before, {offered} is here now")]
pub struct Fork {
    /// The stream.
    pub stream: String,
    /// The sequence both claim.
    pub sequence: u64,
    /// The identity in the ledger.
    pub known: Digest,
    /// The identity offered.
    pub offered: Digest,
}

impl LedgerBook {
    /// An empty book.
    pub fn new(target: &str) -> LedgerBook {
        LedgerBook { target: target.to_owned(), streams: BTreeMap::new() }
    }

    /// Judges a set; changes nothing.
    pub fn standing(&self, set: &SetId) -> Result<Standing, Box<Fork>> {
        let Some(stream) = self.streams.get(&set.stream) else { return Ok(Standing::First) };
        match (stream.sets.get(&set.sequence), stream.sets.keys().next_back()) {
            (Some(known), _) if *known != set.identity => {
                Err(Box::new(Fork { stream: set.stream.clone(), sequence: set.sequence, known: *known, offered: set.identity }))
            }
            (Some(_), _) => Ok(Standing::Known),
            (None, None) => Ok(Standing::First),
            (None, Some(newest)) if *newest > set.sequence => Ok(Standing::Older { newest: *newest }),
            (None, Some(_)) => Ok(Standing::Newer),
        }
    }

    /// Remembers a set.
    pub fn note_set(&mut self, set: &SetId) -> Result<(), Box<Fork>> {
        self.standing(set)?;
        self.streams.entry(set.stream.clone()).or_default().sets.insert(set.sequence, set.identity);
        Ok(())
    }

    /// Which newer set wrote `repository:tag`; `None` when a set of this sequence may write it.
    pub fn newer_writer(&self, stream: &str, name: &str, sequence: u64) -> Option<Writer> {
        self.streams.get(stream)?.tags.get(name).copied().filter(|writer| writer.sequence > sequence)
    }

    /// True when a set of this sequence may write `repository:tag`.
    pub fn tag_may_move(&self, stream: &str, name: &str, sequence: u64) -> bool {
        self.newer_writer(stream, name, sequence).is_none()
    }

    /// Remembers that the set wrote `repository:tag`. A newer writer stays.
    pub fn note_tag(&mut self, set: &SetId, name: &str) {
        if self.tag_may_move(&set.stream, name, set.sequence) {
            let writer = Writer { sequence: set.sequence, identity: set.identity };
            self.streams.entry(set.stream.clone()).or_default().tags.insert(name.to_owned(), writer);
        }
    }

    /// Takes in what a copy of this ledger knows: all sets of both, and the newer writer of each tag.
    pub fn merge(&mut self, copy: &LedgerBook) -> Result<(), Box<Fork>> {
        let mut merged = self.clone();
        for (stream, book) in &copy.streams {
            let set = |sequence: u64, identity: Digest| SetId { stream: stream.clone(), sequence, identity };
            for (sequence, identity) in &book.sets {
                merged.note_set(&set(*sequence, *identity))?;
            }
            for (name, writer) in &book.tags {
                merged.note_tag(&set(writer.sequence, writer.identity), name);
            }
        }
        *self = merged;
        Ok(())
    }

    /// Sets of a stream, oldest first.
    pub fn sets(&self, stream: &str) -> impl Iterator<Item = (u64, Digest)> {
        self.streams.get(stream).into_iter().flat_map(|book| book.sets.iter().map(|(n, d)| (*n, *d)))
    }

    /// Streams seen.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    /// Reads a ledger strictly: unknown members and names listed twice are refused.
    pub fn parse(bytes: &[u8]) -> Result<LedgerBook, FormatError> {
        admit("ledger", bytes, &[])?;
        let wire: Wire = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed("ledger", e))?;
        wire.into_book().map_err(|why| FormatError::malformed("ledger", why))
    }

    /// The document as it is written, sorted.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let mut bytes = serde_json::to_vec_pretty(&Wire::from_book(self)).map_err(|e| FormatError::malformed("ledger", e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    schema: u64,
    target: String,
    streams: Vec<WireStream>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireStream {
    stream: String,
    sets: Vec<WireSet>,
    tags: Vec<WireTag>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireSet {
    sequence: u64,
    identity: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WireTag {
    name: String,
    sequence: u64,
    identity: Digest,
}

impl Wire {
    fn from_book(book: &LedgerBook) -> Wire {
        let set = |(n, d): (&u64, &Digest)| WireSet { sequence: *n, identity: *d };
        let tag = |(name, w): (&String, &Writer)| WireTag { name: name.clone(), sequence: w.sequence, identity: w.identity };
        let stream = |(name, s): (&String, &StreamBook)| WireStream {
            stream: name.clone(),
            sets: s.sets.iter().map(set).collect(),
            tags: s.tags.iter().map(tag).collect(),
        };
        Wire { schema: SCHEMA, target: book.target.clone(), streams: book.streams.iter().map(stream).collect() }
    }

    fn into_book(self) -> Result<LedgerBook, String> {
        let mut book = LedgerBook::new(&self.target);
        for stream in self.streams {
            let mut read = StreamBook::default();
            for set in stream.sets {
                if read.sets.insert(set.sequence, set.identity).is_some() {
                    return Err(format!("sequence {} is listed twice", set.sequence));
                }
            }
            for tag in stream.tags {
                let name = tag.name.clone();
                if read.tags.insert(tag.name, Writer { sequence: tag.sequence, identity: tag.identity }).is_some() {
                    return Err(format!("tag {name:?} is listed twice"));
                }
            }
            if !is_stream(&stream.stream) || book.streams.insert(stream.stream.clone(), read).is_some() {
                return Err(format!("stream {:?} is not one, or is listed twice", stream.stream));
            }
        }
        Ok(book)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn set(sequence: u64, content: &str) -> SetId {
        SetId { stream: "s".into(), sequence, identity: Digest::sha256(content.as_bytes()) }
    }

    #[test]
    fn older_set_moves_no_tag() {
        let mut book = LedgerBook::new("t");
        assert_eq!(book.standing(&set(5, "five")), Ok(Standing::First));
        book.note_set(&set(5, "five")).unwrap();
        book.note_tag(&set(5, "five"), "a:1");
        assert_eq!(book.standing(&set(4, "four")), Ok(Standing::Older { newest: 5 }));
        assert!(!book.tag_may_move("s", "a:1", 4) && book.tag_may_move("s", "a:2", 4));
        book.note_tag(&set(4, "four"), "a:1");
        assert_eq!(book.newer_writer("s", "a:1", 4).unwrap().sequence, 5);
        assert!(book.tag_may_move("s", "a:1", 5) && book.tag_may_move("s", "a:1", 6));
        assert!(book.tag_may_move("other", "a:1", 1), "sequences of different streams are not compared");
        assert_eq!(book.standing(&set(6, "six")), Ok(Standing::Newer));
        assert_eq!(book.standing(&set(5, "five")), Ok(Standing::Known));
    }

    #[test]
    fn fork_of_a_sequence_is_refused_also_when_merging() {
        let mut book = LedgerBook::new("t");
        book.note_set(&set(5, "five")).unwrap();
        assert_eq!(book.standing(&set(5, "other")).unwrap_err().known, Digest::sha256(b"five"));
        let mut copy = LedgerBook::new("t");
        copy.note_set(&set(9, "nine")).unwrap();
        copy.note_tag(&set(9, "nine"), "a:1");
        book.merge(&copy).unwrap();
        assert!(!book.tag_may_move("s", "a:1", 5));
        copy.streams.get_mut("s").unwrap().sets.insert(5, Digest::sha256(b"other"));
        let before = book.clone();
        assert!(book.merge(&copy).is_err());
        assert_eq!(book, before);
    }

    #[test]
    fn strict_reading() {
        let mut book = LedgerBook::new("t");
        book.note_set(&set(5, "five")).unwrap();
        book.note_tag(&set(5, "five"), "a:1");
        let bytes = book.to_bytes().unwrap();
        assert_eq!(LedgerBook::parse(&bytes).unwrap(), book);
        let bad: &[fn(&mut serde_json::Value)] = &[
            |v| v["x"] = 1.into(),
            |v| v["streams"][0]["stream"] = "A B".into(),
            |v| v["streams"] = vec![v["streams"][0].clone(); 2].into(),
            |v| v["streams"][0]["sets"] = vec![v["streams"][0]["sets"][0].clone(); 2].into(),
            |v| v["streams"][0]["tags"] = vec![v["streams"][0]["tags"][0].clone(); 2].into(),
            |v| v["streams"][0]["tags"][0]["x"] = 1.into(),
        ];
        for (i, change) in bad.iter().enumerate() {
            let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            change(&mut value);
            assert!(LedgerBook::parse(&serde_json::to_vec(&value).unwrap()).is_err(), "{i}");
        }
    }
}
