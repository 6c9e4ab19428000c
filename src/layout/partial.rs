//! A blob in the making that survives the run.

use super::{Error, Layout, in_making};
use crate::blob::Wrong;
use crate::digest::{Digest, Hasher};
use crate::fs::{Dir, File, FsError};
use crate::oci::Descriptor;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// What is written to disk, or read back from it, at once.
pub(super) const PIECE: usize = 512 << 10;

/// A blob that grows in `blobs/ALGORITHM/HEX.incomplete` and becomes visible with [`finish`](PartialBlob::finish) only.
///
/// Write the bytes from [`offset`](PartialBlob::offset) on. They are hashed as they pass, so a blob that arrives in one
/// go costs one SHA-256 and one write. Dropped without `finish`, it keeps what it has for the next run. It is held
/// against every other writer of the same blob.
#[derive(Debug)]
pub struct PartialBlob {
    digest: Digest,
    size: u64,
    dir: Dir,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Another writer was faster: the blob is there.
    There,
    /// Bytes go to the file through the hasher.
    Growing(Box<Growing>),
    /// The bytes were wrong: the file is gone.
    Refused(Wrong),
}

struct Growing {
    file: BufWriter<File>,
    hasher: Hasher,
    offset: u64,
}

impl std::fmt::Debug for Growing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Growing").field("file", self.file.get_ref()).field("offset", &self.offset).finish()
    }
}

impl Layout {
    /// Takes up a blob where an earlier run left it, or from its start. What is there is hashed again, so nothing
    /// is believed that the disk does not say now. Waits while another thread or run writes the same blob.
    pub fn partial(&self, blob: &Descriptor) -> Result<PartialBlob, Error> {
        self.begin(blob, true)
    }

    /// [`Layout::partial`]; without `resume`, what an earlier run left is thrown away.
    pub(super) fn begin(&self, blob: &Descriptor, resume: bool) -> Result<PartialBlob, Error> {
        let dir = self.folder_made(blob.digest.algorithm())?;
        let staging = in_making(&blob.digest);
        let mut file = dir.open_held(&staging)?;
        let mut partial = PartialBlob { digest: blob.digest, size: blob.size, dir, state: State::There };
        if partial.dir.size_of(&blob.digest.hex())? == Some(blob.size) {
            partial.dir.remove(&staging)?;
            return Ok(partial);
        }
        if !resume || file.size() > blob.size {
            file.truncate(0)?;
        }
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let offset = hash_again(&mut file, &mut hasher).map_err(|e| FsError::from_io(e, "read", &partial.path()))?;
        partial.state = State::Growing(Box::new(Growing { file: BufWriter::with_capacity(PIECE, file), hasher, offset }));
        Ok(partial)
    }
}

/// Hashes a file from its start to its end and stays there, ready to append.
fn hash_again(file: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; PIECE.min(usize::try_from(end).unwrap_or(PIECE))];
    let mut seen = 0;
    while !buffer.is_empty() {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
        seen += n as u64;
    }
    Ok(seen)
}

impl PartialBlob {
    /// Bytes that are there: where to go on. Equal to the size when nothing is left to fetch, be it because another
    /// run finished the blob or because the last one was killed just before its end; [`finish`](PartialBlob::finish)
    /// decides.
    pub fn offset(&self) -> u64 {
        match &self.state {
            State::There => self.size,
            State::Growing(growing) => growing.offset,
            State::Refused(_) => 0,
        }
    }

    /// Throws away what is there and begins anew: for a source that cannot start in the middle.
    pub fn restart(&mut self) -> Result<(), Error> {
        if let State::Growing(growing) = &mut self.state {
            let path = self.dir.join(&in_making(&self.digest));
            let fail = |e| FsError::from_io(e, "write", &path);
            growing.file.flush().map_err(fail)?;
            growing.file.get_ref().truncate(0)?;
            growing.file.get_mut().seek(SeekFrom::Start(0)).map_err(fail)?;
            growing.hasher = Hasher::new(self.digest.algorithm());
            growing.offset = 0;
        }
        Ok(())
    }

    /// Compares size and digest, syncs and gives the blob its name. Too few bytes: an error, and they stay for the next run.
    /// Another digest: an error, and they are removed.
    pub fn finish(mut self) -> Result<(), Error> {
        let growing = match std::mem::replace(&mut self.state, State::There) {
            State::There => return Ok(()),
            State::Refused(wrong) => return Err(Error::Wrong(wrong)),
            State::Growing(growing) => growing,
        };
        let Growing { mut file, hasher, offset } = *growing;
        file.flush().map_err(|e| FsError::from_io(e, "write", &self.path()))?;
        if offset != self.size {
            return Err(Error::Wrong(Wrong::Short { digest: self.digest, expected: self.size, found: offset }));
        }
        let found = hasher.finish();
        if found != self.digest {
            self.dir.remove(&in_making(&self.digest))?;
            return Err(Error::Wrong(Wrong::Digest { expected: self.digest, found }));
        }
        if self.dir.is_durable() {
            file.get_ref().sync()?;
        }
        // A file of the wrong size may lie there; so may an equal one, on a file system without locks: both are replaced whole.
        self.dir.rename(&in_making(&self.digest), &self.digest.hex())?;
        Ok(())
    }

    /// Removes what is there.
    pub fn abandon(self) -> Result<(), Error> {
        if matches!(self.state, State::Growing(_)) {
            self.dir.remove(&in_making(&self.digest))?;
        }
        Ok(())
    }

    /// True when another writer finished the blob before this one could begin.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.state, State::There)
    }

    /// What a failed write means: wrong bytes, or trouble with the disk.
    pub(super) fn failed(&self, error: io::Error) -> Error {
        match Wrong::of(&error) {
            Some(wrong) => Error::Wrong(wrong.clone()),
            None => FsError::from_io(error, "write", &self.path()).into(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(&in_making(&self.digest))
    }
}

impl Write for PartialBlob {
    /// Appends. More bytes than the blob has are refused, and what came before them is no longer believed either.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let growing = match &mut self.state {
            State::Growing(growing) => growing,
            State::There => return Err(Wrong::Long { digest: self.digest, expected: self.size }.into_io()),
            State::Refused(wrong) => return Err(wrong.clone().into_io()),
        };
        if bytes.len() as u64 > self.size - growing.offset {
            let wrong = Wrong::Long { digest: self.digest, expected: self.size };
            self.state = State::Refused(wrong.clone());
            self.dir.remove(&in_making(&self.digest)).map_err(FsError::into_io)?;
            return Err(wrong.into_io());
        }
        let n = growing.file.write(bytes)?;
        growing.hasher.update(bytes.get(..n).unwrap_or_default());
        growing.offset += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Growing(growing) => growing.file.flush(),
            State::There | State::Refused(_) => Ok(()),
        }
    }
}
