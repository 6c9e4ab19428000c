//! The layout as a place blobs come from and go to.

use super::partial::{PIECE, PartialBlob};
use super::{Error, Layout};
use crate::blob::{BlobSink, BlobSource, Wrong, read_small};
use crate::digest::{Algorithm, Digest};
use crate::fs::{Dir, File, FsError, Trouble};
use crate::limits;
use crate::oci::Descriptor;
use std::io::{self, Read, Write};

impl Layout {
    /// Reads a manifest whole: at most [`limits::MANIFEST_BYTES`], the digest compared.
    pub fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let (dir, file) = self.blob_file(digest)?;
        let (path, size) = (dir.join(&digest.hex()), file.size());
        read_small(file, *digest, size, limits::MANIFEST_BYTES).map_err(|e| match Wrong::of(&e) {
            Some(wrong) => Error::Damaged { path: path.clone(), wrong: wrong.clone() },
            None => FsError::from_io(e, "read", &path).into(),
        })
    }

    /// Size of a stored blob by its digest alone, `None` where there is none.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        self.size_of(digest)
    }

    /// Makes a stored blob as young as one that has just been written, so that no collection takes it before whoever counts on it has
    /// named it. Does nothing where there is none.
    pub fn keep(&self, digest: &Digest) -> Result<(), Error> {
        match self.folder(digest.algorithm())? {
            Some(dir) => Ok(dir.touch(&digest.hex())?),
            None => Ok(()),
        }
    }

    /// Opens a stored blob to be read anywhere, with its size. What comes out is not verified.
    pub fn file(&self, digest: &Digest) -> Result<File, Error> {
        Ok(self.blob_file(digest)?.1)
    }

    /// Takes over a file that holds a blob, proven and synced by the caller, by renaming it; false when it lies on another file
    /// system.
    pub fn adopt(&self, blob: &Descriptor, dir: &Dir, name: &str) -> Result<bool, Error> {
        if dir.size_of(name)? != Some(blob.size) {
            return Ok(false);
        }
        let to = self.folder_made(blob.digest.algorithm())?;
        Ok(dir.hand_over(name, &to, &blob.digest.hex())?)
    }

    /// Opens an empty file beside the blobs for one whose digest is known only at its end, and holds it against every other writer of
    /// that name, which ends in [`crate::fs::INCOMPLETE`]. [`Layout::made`] gives it its digest as a name.
    pub fn making(&self, name: &str) -> Result<(Dir, File), Error> {
        let dir = self.folder_made(Algorithm::Sha256)?;
        let file = dir.open_held(name)?;
        file.truncate(0)?;
        Ok((dir, file))
    }

    /// Ends what [`Layout::making`] began: the caller has hashed, and synced, all of the file.
    pub fn made(&self, blob: &Descriptor, dir: &Dir, name: &str) -> Result<(), Error> {
        if self.has(blob)? {
            return Ok(dir.remove(name)?);
        }
        if self.adopt(blob, dir, name)? {
            return Ok(());
        }
        let found = dir.size_of(name)?.unwrap_or(0);
        Err(Error::Damaged { path: dir.join(name), wrong: Wrong::Short { digest: blob.digest, expected: blob.size, found } })
    }

    /// Opens the regular file of a blob.
    fn blob_file(&self, digest: &Digest) -> Result<(Dir, File), Error> {
        let absent = || Error::NoBlob { path: self.path().to_owned(), digest: *digest };
        let dir = self.folder(digest.algorithm())?.ok_or_else(absent)?;
        let name = digest.hex();
        match dir.open_file(&name) {
            Ok(file) => Ok((dir, file)),
            Err(e) if e.trouble() == Trouble::Absent => Err(absent()),
            Err(e) if e.trouble() == Trouble::Other && dir.size_of(&name)?.is_none() => Err(Error::Irregular { path: dir.join(&name) }),
            Err(e) => Err(e.into()),
        }
    }

    /// Size of a stored blob, as far as it is a regular file.
    pub(super) fn size_of(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        match self.folder(digest.algorithm())? {
            Some(dir) => Ok(dir.size_of(&digest.hex())?),
            None => Ok(None),
        }
    }
}

impl BlobSource for Layout {
    type Error = Error;

    /// A file of another size is [`Error::Damaged`] before anything is read.
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        let (dir, file) = self.blob_file(&blob.digest)?;
        let (digest, expected, found) = (blob.digest, blob.size, file.size());
        if found != expected {
            let wrong = if found < expected { Wrong::Short { digest, expected, found } } else { Wrong::Long { digest, expected } };
            return Err(Error::Damaged { path: dir.join(&digest.hex()), wrong });
        }
        file.read_in_sequence();
        Ok(Box::new(file))
    }
}

impl BlobSink for Layout {
    type Error = Error;

    /// A regular file of the right size. Its bytes are not read: whoever finds them wrong calls [`Layout::discard`].
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        Ok(self.size_of(&blob.digest)? == Some(blob.size))
    }

    /// Does not retry: a local disk that failed once will not do better. Waits while another thread or run writes the same blob.
    fn put(&self, blob: &Descriptor, open: &mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>) -> Result<(), Error> {
        if self.has(blob)? {
            return Ok(());
        }
        let mut partial = self.begin(blob, false)?;
        if partial.is_there() {
            return Ok(());
        }
        match fill(&mut partial, blob, open) {
            Ok(()) => partial.finish(),
            Err(e) => {
                // The first failure is the one to tell; what is left behind is thrown away by the next attempt anyway.
                let _ = partial.abandon();
                Err(e)
            }
        }
    }
}

/// Copies a reader into a blob in large pieces. Which side failed decides what the person is told.
fn fill(partial: &mut PartialBlob, blob: &Descriptor, open: &mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>) -> Result<(), Error> {
    let from = |e: io::Error| match Wrong::of(&e) {
        Some(wrong) => Error::Wrong(wrong.clone()),
        None => Error::Source { digest: blob.digest, source: e },
    };
    let mut reader = open().map_err(from)?;
    // One byte more than the blob has, so that the end of a small one is seen in the same read.
    let mut buffer = vec![0; usize::try_from(blob.size).map_or(PIECE, |size| size.saturating_add(1).min(PIECE))];
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(from(e)),
        };
        partial.write_all(buffer.get(..n).unwrap_or_default()).map_err(|e| partial.failed(e))?;
    }
    // Too few bytes are found by `finish`, which keeps them for a resumed download; here nobody will resume.
    if partial.offset() < blob.size {
        return Err(Error::Wrong(Wrong::Short { digest: blob.digest, expected: blob.size, found: partial.offset() }));
    }
    Ok(())
}
