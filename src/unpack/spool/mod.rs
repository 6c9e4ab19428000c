//! The spool: decoded blobs between the drive and the uploads, bounded in memory and on disk.
//!
//! Files survive runs: a blob that lies on several media collects its parts here, each at its offset, and a small
//! document beside it says which byte ranges are in. That document is advice only. Proof is the digest over the whole
//! file, taken before anything is uploaded; a file that fails it is dropped and read again from the media.

mod held;
mod room;
#[cfg(test)]
mod tests;

use crate::digest::{Digest, Hasher};
use crate::fs::{Dir, Entry, File, FsError, Lock};
use crate::parallel::locked;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex};

use held::Held;
pub(super) use room::Room;
use room::Usage;

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
            match Held::read(dir, &digest)? {
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

    /// Bytes that lie in the spool in `dir`.
    pub fn held_in(dir: &Dir) -> Result<u64, FsError> {
        Ok(bytes_of(&dir.list()?))
    }

    /// Bytes that lie in the spools in `parent`, by their folders' names; those of `own` do not count.
    pub fn others(parent: &Dir, own: &str) -> Result<Vec<(String, u64)>, FsError> {
        let mut found = Vec::new();
        for folder in parent.list()?.into_iter().filter(|e| !e.regular && e.name != own) {
            let Ok(entries) = parent.open_sub(&folder.name).and_then(|dir| dir.list()) else { continue };
            if entries.iter().any(|e| e.regular && e.name == LOCK) {
                found.push((folder.name, bytes_of(&entries)));
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
        usage.files.get(digest).is_some_and(|held| held.has(start, len))
    }

    /// True when a file for the blob exists.
    pub(super) fn holds(&self, digest: &Digest) -> bool {
        locked(&self.usage).files.contains_key(digest)
    }

    /// True when no part of the file is from an earlier run.
    pub(super) fn is_fresh(&self, digest: &Digest) -> bool {
        locked(&self.usage).files.get(digest).is_some_and(|held| held.fresh)
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
            held.add(start, start + len);
            held.note(digest)
        };
        let bytes = serde_json::to_vec(&note).map_err(|e| FsError::new("write", self.dir.join(&note_name(digest)), io::Error::from(e)))?;
        let dir = if keep.is_some() { self.dir.clone() } else { self.dir.clone().durable(false) };
        dir.publish_mode(&note_name(digest), &bytes, 0o600)
    }

    /// True when every byte of the blob is in.
    pub(super) fn is_whole(&self, digest: &Digest) -> bool {
        let usage = locked(&self.usage);
        usage.files.get(digest).is_some_and(Held::is_whole)
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
}

fn bytes_of(entries: &[Entry]) -> u64 {
    entries.iter().filter(|e| e.regular && e.name.ends_with(BLOB)).map(|e| e.size).fold(0, u64::saturating_add)
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
