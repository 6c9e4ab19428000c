//! Sets and tags one target has seen: a [`LedgerBook`] in a file.

use super::LedgerError;
use crate::digest::Digest;
use crate::format::{LedgerBook, SetId, SkippedTag, Standing};
use crate::fs::{Dir, Lock};
use crate::limits;

/// Whether this host knew the target before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was no ledger file; the caller tells the person so.
    Missing,
    /// Read from its file.
    Read,
}

/// The ledger of one target, locked for this run.
#[derive(Debug)]
pub struct Ledger {
    dir: Dir,
    name: String,
    book: LedgerBook,
    /// Tags that are about to be written, and by which set. On disk they count as written.
    claims: Vec<(SetId, String)>,
    /// Of the document as it lies there: what says nothing new is not written again.
    written: Option<Digest>,
    found: Found,
    _lock: Lock,
}

impl Ledger {
    /// Opens the ledger of `target` in `dir` and keeps it locked until dropped.
    ///
    /// The file is called after the hash of the target's name: any text is a safe name, and none collides.
    pub fn open(dir: &Dir, target: &str) -> Result<Ledger, LedgerError> {
        let stem = format!("target-{}", Digest::sha256(target.as_bytes()).hex());
        let lock = dir.lock(&format!("{stem}.lock"))?;
        let name = format!("{stem}.json");
        let there = dir.read_if_there(&name, limits::PLAN_BYTES)?;
        let written = there.as_deref().map(Digest::sha256);
        let (book, found) = match there {
            None => (LedgerBook::new(target), Found::Missing),
            Some(bytes) => {
                let book = LedgerBook::parse(&bytes).map_err(|error| LedgerError::Document { path: dir.join(&name), error })?;
                if book.target != target {
                    return Err(LedgerError::Target { path: dir.join(&name), expected: target.to_owned(), found: book.target });
                }
                (book, Found::Read)
            }
        };
        Ok(Ledger { dir: dir.clone(), name, book, claims: Vec::new(), written, found, _lock: lock })
    }

    /// Whether there was a ledger file. A missing one is worth a word: rollback protection starts anew.
    pub fn found(&self) -> Found {
        self.found
    }

    /// What it knows.
    pub fn book(&self) -> &LedgerBook {
        &self.book
    }

    /// SHA-256 of what it knows: decisions made by it hold as long as this does.
    pub fn fingerprint(&self) -> Result<Digest, LedgerError> {
        Ok(Digest::sha256(&self.document(&self.book)?))
    }

    /// Takes in a copy kept elsewhere (in the registry): the union of both counts.
    pub fn merge(&mut self, copy: &LedgerBook) -> Result<(), LedgerError> {
        Ok(self.book.merge(copy)?)
    }

    /// Judges a set without remembering it. `first` permits the first set of a stream; it is harmless later.
    pub fn judge(&self, set: &SetId, first: bool) -> Result<Standing, LedgerError> {
        match self.book.standing(set)? {
            Standing::First if !first => Err(LedgerError::First {
                stream: set.stream.clone(),
                target: self.book.target.clone(),
                no_ledger: self.found == Found::Missing,
            }),
            standing => Ok(standing),
        }
    }

    /// Judges a set and remembers it on disk, before anything of it reaches the target: a fork is seen even when
    /// the run that brought the first of the two was cut short.
    ///
    /// With it goes that the set is about to write `tags` (`repository:tag`). A run that is cut off between setting a tag and
    /// [`Ledger::record_tags`] leaves them behind as written: too many names only make an older set keep its hands off, a missing
    /// one would let it move a tag back.
    pub fn admit(&mut self, set: &SetId, first: bool, tags: impl IntoIterator<Item = String>) -> Result<Standing, LedgerError> {
        let standing = self.judge(set, first)?;
        if standing != Standing::Known {
            self.book.note_set(set)?;
        }
        self.claims.extend(tags.into_iter().map(|name| (set.clone(), name)));
        self.save()?;
        Ok(standing)
    }

    /// The note about `repository:tag` if a newer set wrote it; `None` when this set may.
    pub fn skip(&self, set: &SetId, repository: &str, tag: &str, digest: Digest) -> Option<SkippedTag> {
        let newer = self.book.newer_writer(&set.stream, &format!("{repository}:{tag}"), set.sequence)?.sequence;
        Some(SkippedTag { repository: repository.to_owned(), tag: tag.to_owned(), digest, newer })
    }

    /// The run has ended in order: claims that came to nothing are taken back.
    pub fn drop_claims(&mut self) -> Result<(), LedgerError> {
        if self.claims.is_empty() {
            return Ok(());
        }
        self.claims.clear();
        self.save()
    }

    /// Remembers tags the set has written (`repository:tag`), on disk.
    pub fn record_tags<'a>(&mut self, set: &SetId, names: impl IntoIterator<Item = &'a str>) -> Result<(), LedgerError> {
        let before = self.book.clone();
        names.into_iter().for_each(|name| self.book.note_tag(set, name));
        if self.book == before { Ok(()) } else { self.save() }
    }

    /// Tags that were claimed and then written change nothing on disk: a run that goes well writes the file once.
    fn save(&mut self) -> Result<(), LedgerError> {
        let mut book = self.book.clone();
        self.claims.iter().for_each(|(set, name)| book.note_tag(set, name));
        let bytes = self.document(&book)?;
        let digest = Digest::sha256(&bytes);
        if self.written != Some(digest) {
            self.dir.publish_mode(&self.name, &bytes, 0o600)?;
            self.written = Some(digest);
        }
        Ok(())
    }

    fn document(&self, book: &LedgerBook) -> Result<Vec<u8>, LedgerError> {
        book.to_bytes().map_err(|error| LedgerError::Document { path: self.dir.join(&self.name), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Trouble;

    fn set(sequence: u64, content: &str) -> SetId {
        SetId { stream: "s".into(), sequence, identity: Digest::sha256(content.as_bytes()) }
    }

    fn dir(temp: &tempfile::TempDir) -> Dir {
        Dir::open(temp.path()).unwrap().durable(false)
    }

    #[test]
    fn the_first_set_needs_a_word_and_forks_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&dir(&temp), "registry.test/../x").unwrap();
        assert_eq!(ledger.found(), Found::Missing);
        assert!(matches!(ledger.admit(&set(1, "one"), false, []), Err(LedgerError::First { no_ledger: true, .. })));
        assert_eq!(ledger.admit(&set(1, "one"), true, []).unwrap(), Standing::First);
        assert_eq!(ledger.admit(&set(2, "two"), false, []).unwrap(), Standing::Newer);
        drop(ledger);
        let mut ledger = Ledger::open(&dir(&temp), "registry.test/../x").unwrap();
        assert_eq!(ledger.found(), Found::Read);
        assert!(matches!(ledger.admit(&set(1, "other"), true, []), Err(LedgerError::Fork(_))));
        assert_eq!(ledger.admit(&set(1, "one"), true, []).unwrap(), Standing::Known);
        let other = SetId { stream: "t".into(), ..set(1, "one") };
        assert!(matches!(ledger.admit(&other, false, []), Err(LedgerError::First { no_ledger: false, .. })));
    }

    #[test]
    fn tags_stay_with_the_newer_set_over_runs() {
        let temp = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&dir(&temp), "t").unwrap();
        ledger.admit(&set(5, "five"), true, []).unwrap();
        ledger.record_tags(&set(5, "five"), ["a:1"]).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&dir(&temp), "t").unwrap();
        assert_eq!(ledger.skip(&set(4, "four"), "a", "1", Digest::sha256(b"")).unwrap().newer, 5);
        assert_eq!(ledger.skip(&set(4, "four"), "a", "2", Digest::sha256(b"")), None);
    }

    #[test]
    fn a_claim_counts_until_it_is_dropped() {
        let temp = tempfile::tempdir().unwrap();
        let older = |ledger: &Ledger, tag: &str| ledger.skip(&set(4, "four"), "a", tag, Digest::sha256(b"")).is_some();
        let mut ledger = Ledger::open(&dir(&temp), "t").unwrap();
        ledger.admit(&set(5, "five"), true, []).unwrap();
        let before = ledger.fingerprint().unwrap();
        ledger.admit(&set(5, "five"), false, ["a:1".to_owned(), "a:2".to_owned()]).unwrap();
        assert_eq!(ledger.fingerprint().unwrap(), before, "nothing was written yet");
        drop(ledger);
        let mut ledger = Ledger::open(&dir(&temp), "t").unwrap();
        assert!(older(&ledger, "1") && older(&ledger, "2"), "cut off: both may have been written");
        ledger.admit(&set(5, "five"), false, ["a:3".to_owned(), "a:4".to_owned()]).unwrap();
        ledger.record_tags(&set(5, "five"), ["a:3"]).unwrap();
        ledger.drop_claims().unwrap();
        drop(ledger);
        let ledger = Ledger::open(&dir(&temp), "t").unwrap();
        assert!(older(&ledger, "3") && !older(&ledger, "4"));
    }

    #[test]
    fn the_file_is_written_when_it_would_say_something_new() {
        let temp = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(&dir(&temp), "t").unwrap();
        let name = ledger.name.clone();
        // A file that is gone shows whether it was written since.
        let written = |dir: &Dir| dir.read_if_there(&name, 1 << 20).unwrap().inspect(|_| dir.remove(&name).unwrap());
        let here = dir(&temp);
        ledger.admit(&set(5, "five"), true, ["a:1".to_owned(), "a:2".to_owned()]).unwrap();
        let claimed = written(&here).unwrap();
        ledger.record_tags(&set(5, "five"), ["a:1"]).unwrap();
        ledger.record_tags(&set(5, "five"), ["a:2"]).unwrap();
        ledger.drop_claims().unwrap();
        assert_eq!(written(&here), None, "all that was claimed was written");
        ledger.record_tags(&set(5, "five"), ["a:3"]).unwrap();
        assert!(written(&here).is_some(), "it was not claimed");
        ledger.admit(&set(6, "six"), false, ["a:4".to_owned()]).unwrap();
        assert!(written(&here).is_some());
        ledger.drop_claims().unwrap();
        assert!(written(&here).is_some_and(|bytes| bytes != claimed), "a claim came to nothing");
        dir(&temp).publish(&name, &claimed).unwrap();
        drop(ledger);
        let mut again = Ledger::open(&here, "t").unwrap();
        assert!(written(&here).is_some());
        again.admit(&set(5, "five"), false, ["a:2".to_owned(), "a:1".to_owned()]).unwrap();
        assert_eq!(written(&here), None, "a run that is repeated");
    }

    #[test]
    fn one_run_at_a_time_and_nothing_is_guessed() {
        let temp = tempfile::tempdir().unwrap();
        let held = Ledger::open(&dir(&temp), "t").unwrap();
        match Ledger::open(&dir(&temp), "t").unwrap_err() {
            LedgerError::Fs(e) => assert_eq!(e.trouble(), Trouble::InUse),
            e => panic!("{e}"),
        }
        Ledger::open(&dir(&temp), "another target").unwrap();
        dir(&temp).publish(&held.name, b"{\"schema\":1").unwrap();
        drop(held);
        assert!(matches!(Ledger::open(&dir(&temp), "t"), Err(LedgerError::Document { .. })));
    }
}
