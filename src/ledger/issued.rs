//! Sequences the packing side has given out.

use super::LedgerError;
use crate::digest::Digest;
use crate::format::FormatError;
use crate::fs::{Dir, Lock};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const FILE: &str = "issued.json";
const SCHEMA: u64 = 1;
/// Sequences are seconds by default: a proposal further ahead than this comes from a wrong clock.
const JUMP_SECONDS: u64 = 400 * 86_400;

/// The sequence asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Exactly this one (`--sequence`).
    Exactly(u64),
    /// What the clock says, or the next free one after the newest.
    FromClock(u64),
}

/// The sequences issued by this host, locked until dropped.
#[derive(Debug)]
pub struct Issued {
    dir: Dir,
    streams: BTreeMap<String, BTreeMap<u64, Owner>>,
    _lock: Lock,
}

/// The plan a sequence was given to, and when.
#[derive(Clone, Copy, Debug)]
struct Owner {
    plan: Digest,
    created: u64,
}

/// A sequence given to a plan. `created` (seconds since 1970) is that of the first time, so that packing the same plan again
/// makes the same index and not a fork of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The sequence.
    pub sequence: u64,
    /// When it was given out first.
    pub created: u64,
    /// True when it was given out just now.
    pub fresh: bool,
    /// The newest sequence that this plan had before: this one, or that of an older set which is packed anew.
    pub before: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    schema: u64,
    issued: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    stream: String,
    sequence: u64,
    plan: Digest,
    created: u64,
}

impl Issued {
    /// Opens `issued.json` in `dir`.
    pub fn open(dir: &Dir) -> Result<Issued, LedgerError> {
        let lock = dir.lock_waiting("issued.lock")?;
        let mut streams: BTreeMap<String, BTreeMap<u64, Owner>> = BTreeMap::new();
        if let Some(bytes) = dir.read_if_there(FILE, limits::CONFIG_BYTES)? {
            let bad = |why: String| LedgerError::Document { path: dir.join(FILE), error: FormatError::malformed("list of sequences", why) };
            let wire: Wire = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
            if wire.schema != SCHEMA {
                return Err(LedgerError::Document { path: dir.join(FILE), error: FormatError::Schema(wire.schema) });
            }
            for line in wire.issued {
                if streams.entry(line.stream).or_default().insert(line.sequence, Owner { plan: line.plan, created: line.created }).is_some()
                {
                    return Err(bad(format!("sequence {} is listed twice", line.sequence)));
                }
            }
        }
        Ok(Issued { dir: dir.clone(), streams, _lock: lock })
    }

    /// Gives `plan` its sequence and remembers it on disk.
    ///
    /// The newest set of a stream keeps its sequence when it is packed again (a run that goes on, a lost medium). One that is
    /// older gets a new sequence, for whoever packs its content now goes back on purpose, and the other side moves tags only
    /// forwards; it is made again as it was only by its number. No sequence is given to two plans, and none below the newest
    /// is given out. `now` is in seconds since 1970.
    pub fn assign(&mut self, stream: &str, plan: Digest, wanted: Wanted, now: u64) -> Result<Assigned, LedgerError> {
        let known = self.streams.entry(stream.to_owned()).or_default();
        let newest = known.keys().next_back().copied();
        let before = known.iter().rev().find(|(_, owner)| owner.plan == plan).map(|(sequence, _)| *sequence);
        let sequence = match (wanted, newest) {
            (Wanted::Exactly(sequence), _) => sequence,
            (Wanted::FromClock(_), Some(newest)) if before == Some(newest) => newest,
            (Wanted::FromClock(now), None) => now,
            (Wanted::FromClock(now), Some(newest)) if now > newest.saturating_add(JUMP_SECONDS) => {
                return Err(LedgerError::Jump { stream: stream.to_owned(), sequence: now, newest });
            }
            (Wanted::FromClock(now), Some(newest)) => now.max(newest.saturating_add(1)),
        };
        match (known.get(&sequence), newest) {
            (Some(owner), _) if owner.plan == plan => {
                return Ok(Assigned { sequence, created: owner.created, fresh: false, before: Some(sequence) });
            }
            (Some(owner), _) => return Err(LedgerError::Reused { stream: stream.to_owned(), sequence, plan: owner.plan }),
            (None, Some(newest)) if sequence < newest => {
                return Err(LedgerError::NotNewer { stream: stream.to_owned(), sequence, newest });
            }
            (None, _) => known.insert(sequence, Owner { plan, created: now }),
        };
        self.save()?;
        Ok(Assigned { sequence, created: now, fresh: true, before })
    }

    /// Takes back a sequence that was given out [fresh](Assigned::fresh) to a plan which then was packed nowhere, because a
    /// smaller one takes its place.
    pub fn withdraw(&mut self, stream: &str, sequence: u64, plan: &Digest) -> Result<(), LedgerError> {
        let Some(known) = self.streams.get_mut(stream) else { return Ok(()) };
        if known.get(&sequence).is_some_and(|owner| owner.plan == *plan) {
            known.remove(&sequence);
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> Result<(), LedgerError> {
        let issued = self
            .streams
            .iter()
            .flat_map(|(stream, known)| {
                known.iter().map(|(n, plan)| Line { stream: stream.clone(), sequence: *n, plan: plan.plan, created: plan.created })
            })
            .collect();
        let error = |e| LedgerError::Document { path: self.dir.join(FILE), error: FormatError::malformed("list of sequences", e) };
        let bytes = serde_json::to_vec_pretty(&Wire { schema: SCHEMA, issued }).map_err(error)?;
        Ok(self.dir.publish_mode(FILE, &bytes, 0o600)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_nowhere_gives_its_sequence_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap().durable(false);
        let (whole, smaller) = (Digest::sha256(b"whole"), Digest::sha256(b"smaller"));
        let mut issued = Issued::open(&dir).unwrap();
        assert!(issued.assign("s", whole, Wanted::Exactly(5), 9).unwrap().fresh);
        issued.withdraw("s", 5, &smaller).unwrap();
        assert!(issued.assign("s", smaller, Wanted::Exactly(5), 9).is_err(), "another plan's is not taken back");
        issued.withdraw("s", 5, &whole).unwrap();
        drop(issued);
        let mut issued = Issued::open(&dir).unwrap();
        assert!(issued.assign("s", smaller, Wanted::Exactly(5), 9).unwrap().fresh);
        assert!(!issued.assign("s", smaller, Wanted::Exactly(5), 9).unwrap().fresh);
    }

    #[test]
    fn only_the_newest_set_is_given_again_by_itself() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap().durable(false);
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let mut issued = Issued::open(&dir).unwrap();
        assert_eq!(
            issued.assign("s", a, Wanted::FromClock(10), 1).unwrap(),
            Assigned { sequence: 10, created: 1, fresh: true, before: None }
        );
        assert_eq!(issued.assign("s", b, Wanted::FromClock(20), 2).unwrap().sequence, 20);
        let back = Assigned { sequence: 30, created: 3, fresh: true, before: Some(10) };
        assert_eq!(issued.assign("s", a, Wanted::FromClock(30), 3).unwrap(), back, "going back is a step forward");
        let again = Assigned { sequence: 30, created: 3, fresh: false, before: Some(30) };
        assert_eq!(issued.assign("s", a, Wanted::FromClock(40), 4).unwrap(), again, "a run that goes on");
        let older = Assigned { sequence: 10, created: 1, fresh: false, before: Some(10) };
        assert_eq!(issued.assign("s", a, Wanted::Exactly(10), 5).unwrap(), older, "by its number");
        for sequence in [9, 19, 29] {
            let refused = issued.assign("s", a, Wanted::Exactly(sequence), 6).unwrap_err();
            assert!(matches!(refused, LedgerError::NotNewer { newest: 30, .. }), "{sequence}: {refused}");
        }
        assert!(matches!(issued.assign("s", a, Wanted::Exactly(20), 6), Err(LedgerError::Reused { sequence: 20, .. })));
        assert_eq!(issued.assign("s", b, Wanted::Exactly(31), 7).unwrap().before, Some(20));
    }

    #[test]
    fn a_sequence_belongs_to_one_plan_for_ever() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap().durable(false);
        let plan = |text: &str| Digest::sha256(text.as_bytes());
        let mut issued = Issued::open(&dir).unwrap();
        assert_eq!(issued.assign("s", plan("a"), Wanted::FromClock(1000), 9).unwrap().sequence, 1000);
        assert_eq!(issued.assign("s", plan("b"), Wanted::FromClock(1000), 9).unwrap().sequence, 1001, "two sets in one second");
        drop(issued);
        let mut issued = Issued::open(&dir).unwrap();
        assert_eq!(issued.assign("s", plan("b"), Wanted::FromClock(5000), 9).unwrap().sequence, 1001, "a run that goes on keeps its own");
        assert!(matches!(issued.assign("s", plan("c"), Wanted::Exactly(1000), 9), Err(LedgerError::Reused { sequence: 1000, .. })));
        assert_eq!(issued.assign("s", plan("c"), Wanted::FromClock(3), 9).unwrap().sequence, 1002, "a clock set back");
        assert_eq!(issued.assign("t", plan("c"), Wanted::Exactly(1000), 9).unwrap().sequence, 1000, "streams count apart");
        let future = 1002 + JUMP_SECONDS + 1;
        assert!(matches!(issued.assign("s", plan("d"), Wanted::FromClock(future), 9), Err(LedgerError::Jump { newest: 1002, .. })));
        assert_eq!(issued.assign("s", plan("d"), Wanted::Exactly(future), 77).unwrap().created, 77);
        assert_eq!(issued.assign("s", plan("d"), Wanted::Exactly(future), 99).unwrap().created, 77, "the first time stays");
        assert_eq!(issued.assign("s", plan("d"), Wanted::Exactly(future), 9).unwrap().sequence, future);
    }
}
