//! The spool: decoded blobs between the drive and the uploads, bounded in memory and on disk.
//!
//! Files survive runs: a blob that lies on several media collects its parts here, each at its offset, and a small
//! document beside it says which byte ranges are in. That document is advice only. Proof is the digest over the whole
//! file, taken before anything is uploaded; a file that fails it is dropped and read again from the media.

use crate::digest::{Digest, Hasher};
use crate::fs::{Dir, File, FsError, Lock};
use crate::parallel::locked;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex};

const SCHEMA: u64 = 1;
const NOTE_BYTES: u64 = 1 << 20;
const LOCK: &str = "spool.lock";
const BLOB: &str = ".blob";
/// Lies there while the target may have holds that this host has put.
const HOLDS: &str = "holds";

/// The spool of one run; its directory is locked.
pub struct Spool {
    dir: Dir,
    limit: u64,
    memory_limit: u64,
    usage: Mutex<Usage>,
    changed: Condvar,
    /// Taken by whoever writes the note about holds: several repositories are held at a time.
    noting: Mutex<()>,
    _lock: Lock,
}

#[derive(Default)]
struct Usage {
    files: BTreeMap<Digest, Held>,
    disk: u64,
    memory: u64,
    /// Blobs on their way out: their room comes back, so waiting for it makes sense.
    leaving: usize,
    stopped: bool,
    peak_disk: u64,
    peak_memory: u64,
}

struct Held {
    size: u64,
    have: Ranges,
    /// No part is from an earlier run.
    fresh: bool,
}

/// Byte ranges `[start, end)`, ordered, never touching.
type Ranges = Vec<(u64, u64)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    schema: u64,
    digest: Digest,
    size: u64,
    have: Ranges,
}

/// Answer to a request for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Take it.
    Granted,
    /// There is none, and nothing is on its way out.
    Full,
    /// The run is ending.
    Stopped,
}

/// A whole blob, ready to be uploaded.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In memory, proven.
    Memory(Arc<Vec<u8>>),
    /// From the contents document, proven, not counted.
    Inline(Arc<Vec<u8>>),
    /// In a spool file.
    File { proven: bool },
}

/// A reader over shared bytes.
struct Shared {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

impl Read for Shared {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        let n = rest.read(buf)?;
        self.at += n;
        Ok(n)
    }
}

impl Spool {
    /// Opens a spool in `dir`, which may hold blobs of an earlier run. `limit` bounds its files, `memory_limit` what waits
    /// in memory, both in bytes. A limit of 0 switches files off: what does not fit into memory goes direct.
    pub fn open(dir: &Dir, limit: u64, memory_limit: u64) -> Result<Spool, FsError> {
        let lock = dir.lock(LOCK)?;
        let mut usage = Usage::default();
        for entry in dir.list()?.into_iter().filter(|e| e.regular) {
            let Some(hex) = entry.name.strip_suffix(BLOB) else { continue };
            let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else { continue };
            match read_note(dir, &digest)? {
                Some(held) => {
                    usage.disk = usage.disk.saturating_add(held.size);
                    usage.files.insert(digest, held);
                }
                None => remove(dir, &digest)?,
            }
        }
        usage.peak_disk = usage.disk;
        Ok(Spool {
            dir: dir.clone(),
            limit,
            memory_limit,
            usage: Mutex::new(usage),
            changed: Condvar::new(),
            noting: Mutex::new(()),
            _lock: lock,
        })
    }

    /// Bytes its files may take.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes its files have taken, blobs in the making counted whole.
    pub fn used(&self) -> u64 {
        locked(&self.usage).disk
    }

    /// Most bytes ever in use at once: files, memory.
    pub fn high_water(&self) -> (u64, u64) {
        let usage = locked(&self.usage);
        (usage.peak_disk, usage.peak_memory)
    }

    /// Its directory.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Ends the use of a spool that lies in `parent` under `name`. With `clear`, when nothing of it is needed any more, its files go;
    /// an empty folder goes in any case, so that sets that came and went leave nothing behind.
    pub fn close(self, parent: &Dir, name: &str, clear: bool) -> Result<(), FsError> {
        if clear {
            // Not only blobs: notes and files in the making of a run that was cut off lie here too.
            for entry in self.dir.list()?.iter().filter(|e| e.regular && e.name != LOCK && e.name != HOLDS) {
                self.dir.remove(&entry.name)?;
            }
        } else if !self.held().is_empty() {
            return Ok(());
        }
        if self.may_hold()? {
            return Ok(());
        }
        // Still locked: whoever comes now finds it in use, and whoever comes next makes a new one.
        self.dir.remove(LOCK)?;
        parent.remove_sub(name)?;
        Ok(())
    }

    /// Bytes that lie in the spools in `parent`, by their folders' names; those of `own` do not count.
    pub fn others(parent: &Dir, own: &str) -> Result<Vec<(String, u64)>, FsError> {
        let mut found = Vec::new();
        for folder in parent.list()?.into_iter().filter(|e| !e.regular && e.name != own) {
            let Ok(entries) = parent.open_sub(&folder.name).and_then(|dir| dir.list()) else { continue };
            if entries.iter().any(|e| e.regular && e.name == LOCK) {
                let blobs = entries.iter().filter(|e| e.regular && e.name.ends_with(BLOB));
                found.push((folder.name, blobs.map(|e| e.size).fold(0, u64::saturating_add)));
            }
        }
        found.retain(|(_, bytes)| *bytes > 0);
        found.sort();
        Ok(found)
    }

    /// True while the target may have holds of this set that this host has put. Where nothing was ever held, nothing has to be asked.
    pub(super) fn may_hold(&self) -> Result<bool, FsError> {
        Ok(self.dir.size_of(HOLDS)?.is_some())
    }

    /// Writes down that there may be holds from now on; before the first is put, so that none is forgotten.
    pub(super) fn note_holds(&self) -> Result<(), FsError> {
        let _alone = locked(&self.noting);
        if self.may_hold()? { Ok(()) } else { self.dir.publish_mode(HOLDS, b"", 0o600) }
    }

    /// All of them have been released.
    pub(super) fn forget_holds(&self) -> Result<(), FsError> {
        if self.may_hold()? { self.dir.remove(HOLDS) } else { Ok(()) }
    }

    /// True when these bytes of the blob are in.
    pub(super) fn has(&self, digest: &Digest, start: u64, len: u64) -> bool {
        let usage = locked(&self.usage);
        usage.files.get(digest).is_some_and(|held| len == 0 || held.have.iter().any(|(s, e)| *s <= start && start + len <= *e))
    }

    /// True when a file for the blob exists.
    pub(super) fn holds(&self, digest: &Digest) -> bool {
        locked(&self.usage).files.contains_key(digest)
    }

    /// True when no part of the file is from an earlier run.
    pub(super) fn is_fresh(&self, digest: &Digest) -> bool {
        locked(&self.usage).files.get(digest).is_some_and(|held| held.fresh)
    }

    /// Asks for room for a whole blob on disk; waits while uploads are making some.
    pub(super) fn room_on_disk(&self, digest: &Digest, size: u64) -> Room {
        let mut usage = locked(&self.usage);
        loop {
            if usage.stopped {
                return Room::Stopped;
            }
            if usage.files.contains_key(digest) {
                return Room::Granted;
            }
            if usage.disk.saturating_add(size) <= self.limit {
                usage.disk += size;
                usage.peak_disk = usage.peak_disk.max(usage.disk);
                usage.files.insert(*digest, Held { size, have: Ranges::new(), fresh: true });
                return Room::Granted;
            }
            if size > self.limit || usage.leaving == 0 {
                return Room::Full;
            }
            usage = self.changed.wait(usage).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Asks for room for a whole blob in memory; waits while uploads are making some, as long as at least `enough` blobs are on their
    /// way out.
    pub(super) fn room_in_memory(&self, size: u64, enough: usize) -> Room {
        let mut usage = locked(&self.usage);
        loop {
            if usage.stopped {
                return Room::Stopped;
            }
            if usage.memory.saturating_add(size) <= self.memory_limit {
                usage.memory += size;
                usage.peak_memory = usage.peak_memory.max(usage.memory);
                return Room::Granted;
            }
            if size > self.memory_limit || usage.leaving < enough.max(1) {
                return Room::Full;
            }
            usage = self.changed.wait(usage).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Gives back room in memory that was granted and not handed on.
    pub(super) fn return_memory(&self, size: u64) {
        locked(&self.usage).memory -= size;
        self.changed.notify_all();
    }

    /// The file of a blob that has room, for writing at offsets.
    pub(super) fn file(&self, digest: &Digest) -> Result<File, FsError> {
        self.dir.open_partial(&blob_name(digest))
    }

    /// Notes that a range is in. `keep`: it must survive a power cut, because its medium may not come again soon.
    pub(super) fn note(&self, digest: &Digest, start: u64, len: u64, keep: Option<&File>) -> Result<(), FsError> {
        if let Some(file) = keep {
            file.sync()?;
        }
        let note = {
            let mut usage = locked(&self.usage);
            let Some(held) = usage.files.get_mut(digest) else { return Ok(()) };
            add_range(&mut held.have, start, start + len);
            Note { schema: SCHEMA, digest: *digest, size: held.size, have: held.have.clone() }
        };
        let bytes = serde_json::to_vec(&note).map_err(|e| FsError::new("write", self.dir.join(&note_name(digest)), io::Error::from(e)))?;
        let dir = if keep.is_some() { self.dir.clone() } else { self.dir.clone().durable(false) };
        dir.publish_mode(&note_name(digest), &bytes, 0o600)
    }

    /// True when every byte of the blob is in.
    pub(super) fn is_whole(&self, digest: &Digest) -> bool {
        let usage = locked(&self.usage);
        usage.files.get(digest).is_some_and(|held| held.size == 0 || held.have.first() == Some(&(0, held.size)))
    }

    /// A blob is whole and goes to the uploads.
    pub(super) fn hand_over(&self, content: &Content) {
        if !matches!(content, Content::Inline(_)) {
            locked(&self.usage).leaving += 1;
        }
    }

    /// Proves a file: true when its digest holds.
    pub(super) fn prove(&self, digest: &Digest, size: u64) -> Result<bool, FsError> {
        let name = blob_name(digest);
        let mut file = self.dir.open_file(&name)?;
        if file.size() != size {
            return Ok(false);
        }
        let mut hasher = Hasher::new(digest.algorithm());
        let mut chunk = vec![0; 256 << 10];
        loop {
            let n = file.read(&mut chunk).map_err(|e| FsError::from_io(e, "read", &self.dir.join(&name)))?;
            match chunk.get(..n) {
                Some(bytes) if n > 0 => hasher.update(bytes),
                _ => return Ok(hasher.finish() == *digest),
            }
        }
    }

    /// Opens a whole blob.
    pub(super) fn open_content(&self, digest: &Digest, content: &Content) -> io::Result<Box<dyn Read + Send>> {
        match content {
            Content::Memory(bytes) | Content::Inline(bytes) => Ok(Box::new(Shared { bytes: bytes.clone(), at: 0 })),
            Content::File { .. } => Ok(Box::new(self.dir.open_file(&blob_name(digest)).map_err(FsError::into_io)?)),
        }
    }

    /// The blob is where it has to be (or is given up): its room is free again.
    pub(super) fn release(&self, digest: &Digest, content: &Content) -> Result<(), FsError> {
        match content {
            Content::Inline(_) => return Ok(()),
            Content::Memory(bytes) => locked(&self.usage).memory -= bytes.len() as u64,
            Content::File { .. } => self.forget(digest)?,
        }
        self.gone();
        Ok(())
    }

    /// The blob could not be delivered in this run: memory is freed, a file stays for the next run.
    pub(super) fn retain(&self, content: &Content) {
        if let Content::Memory(bytes) = content {
            locked(&self.usage).memory -= bytes.len() as u64;
        }
        if !matches!(content, Content::Inline(_)) {
            self.gone();
        }
    }

    fn gone(&self) {
        let mut usage = locked(&self.usage);
        usage.leaving = usage.leaving.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Drops a file and its note.
    pub(super) fn forget(&self, digest: &Digest) -> Result<(), FsError> {
        remove(&self.dir, digest)?;
        let mut usage = locked(&self.usage);
        if let Some(held) = usage.files.remove(digest) {
            usage.disk = usage.disk.saturating_sub(held.size);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Digests of all blobs it has files of.
    pub(super) fn held(&self) -> Vec<Digest> {
        locked(&self.usage).files.keys().copied().collect()
    }

    /// Wakes whoever waits for room: the run is ending.
    pub(super) fn stop(&self) {
        locked(&self.usage).stopped = true;
        self.changed.notify_all();
    }

    /// A new run begins.
    pub(super) fn start(&self) {
        let mut usage = locked(&self.usage);
        usage.stopped = false;
        (usage.leaving, usage.memory) = (0, 0);
    }
}

/// Name of the file of a blob.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("{}{BLOB}", digest.hex())
}

fn note_name(digest: &Digest) -> String {
    format!("{}.json", digest.hex())
}

fn remove(dir: &Dir, digest: &Digest) -> Result<(), FsError> {
    // The note first: a file without note is dropped, a note without file is never looked at.
    dir.remove(&note_name(digest))?;
    dir.remove(&blob_name(digest))
}

fn read_note(dir: &Dir, digest: &Digest) -> Result<Option<Held>, FsError> {
    let Some(bytes) = dir.read_if_there(&note_name(digest), NOTE_BYTES)? else { return Ok(None) };
    let Ok(note) = serde_json::from_slice::<Note>(&bytes) else { return Ok(None) };
    let sane = note.have.iter().all(|(s, e)| s < e && *e <= note.size) && note.have.is_sorted_by(|a, b| a.1 < b.0);
    if note.schema != SCHEMA || note.digest != *digest || note.size > crate::limits::BLOB_BYTES || !sane {
        return Ok(None);
    }
    Ok(Some(Held { size: note.size, have: note.have, fresh: false }))
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

    fn dir(temp: &tempfile::TempDir) -> Dir {
        Dir::open(temp.path()).unwrap().durable(false)
    }

    #[test]
    fn parts_come_in_any_order_and_survive_the_run() {
        let temp = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"onetwo");
        let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
        assert_eq!(spool.room_on_disk(&digest, 6), Room::Granted);
        spool.file(&digest).unwrap().write_all_at(b"two", 3).unwrap();
        spool.note(&digest, 3, 3, None).unwrap();
        assert!(spool.has(&digest, 3, 3) && !spool.has(&digest, 0, 3) && !spool.is_whole(&digest) && spool.is_fresh(&digest));
        drop(spool);
        let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
        assert!(spool.has(&digest, 3, 3) && spool.used() == 6 && !spool.is_fresh(&digest));
        spool.file(&digest).unwrap().write_all_at(b"one", 0).unwrap();
        spool.note(&digest, 0, 3, None).unwrap();
        assert!(spool.is_whole(&digest) && spool.prove(&digest, 6).unwrap());
        spool.forget(&digest).unwrap();
        assert_eq!(dir(&temp).list().unwrap().iter().map(|e| e.name.clone()).collect::<Vec<_>>(), ["spool.lock"]);
    }

    #[test]
    fn finished_sets_leave_nothing_behind_and_others_are_counted() {
        let temp = tempfile::tempdir().unwrap();
        let parent = dir(&temp);
        let spool = |name: &str| Spool::open(&parent.sub(name).unwrap(), 100, 100).unwrap();
        let waiting = spool("waiting");
        let digest = Digest::sha256(b"onetwo");
        waiting.room_on_disk(&digest, 6);
        waiting.file(&digest).unwrap().write_all_at(b"one", 0).unwrap();
        waiting.note(&digest, 0, 3, None).unwrap();
        waiting.close(&parent, "waiting", false).unwrap();
        let done = spool("done");
        done.room_on_disk(&digest, 6);
        done.file(&digest).unwrap();
        parent.open_sub("done").unwrap().publish("stray.incomplete", b"x").unwrap();
        assert_eq!(Spool::others(&parent, "done").unwrap(), [("waiting".to_owned(), 3)]);
        done.close(&parent, "done", true).unwrap();
        spool("empty").close(&parent, "empty", false).unwrap();
        assert_eq!(parent.list().unwrap().iter().map(|e| e.name.clone()).collect::<Vec<_>>(), ["waiting"]);
    }

    #[test]
    fn a_file_changed_between_runs_is_not_believed() {
        let temp = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"onetwo");
        let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
        spool.room_on_disk(&digest, 6);
        spool.file(&digest).unwrap().write_all_at(b"oneTwo", 0).unwrap();
        spool.note(&digest, 0, 6, None).unwrap();
        assert!(spool.is_whole(&digest) && !spool.prove(&digest, 6).unwrap());
        drop(spool);
        dir(&temp).publish(&note_name(&digest), b"{\"schema\":1,\"digest\":\"x\"}").unwrap();
        let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
        assert!(!spool.holds(&digest) && spool.used() == 0);
        assert_eq!(dir(&temp).size_of(&blob_name(&digest)).unwrap(), None);
    }

    #[test]
    fn room_is_bounded_and_waiting_ends() {
        let temp = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir(&temp), 10, 10).unwrap();
        let [a, b] = [Digest::sha256(b"a"), Digest::sha256(b"b")];
        assert_eq!(spool.room_on_disk(&a, 11), Room::Full);
        assert_eq!(spool.room_on_disk(&a, 6), Room::Granted);
        assert_eq!(spool.room_on_disk(&b, 6), Room::Full, "nothing is on its way out");
        let content = Content::File { proven: true };
        spool.hand_over(&content);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| spool.room_on_disk(&b, 6));
            spool.release(&a, &content).unwrap();
            assert_eq!(waiting.join().unwrap(), Room::Granted);
        });
        assert_eq!(spool.high_water(), (6, 0));
        spool.stop();
        assert_eq!((spool.room_on_disk(&a, 1), spool.room_in_memory(1, 1)), (Room::Stopped, Room::Stopped));
    }

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
