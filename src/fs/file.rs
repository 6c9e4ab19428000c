//! An open file whose errors name it.

use super::{FsError, Stamp};
use crate::fault;
use rustix::fs::{CWD, Mode, OFlags};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// An open regular file whose errors name it.
#[derive(Debug)]
pub struct File {
    pub(super) inner: fs::File,
    pub(super) size: u64,
    pub(super) path: Arc<Path>,
}

impl File {
    /// Opens a file the user named by path (the last component may be a link: it is the user's own).
    pub fn open_path(path: &Path) -> Result<File, FsError> {
        let fail = |e: io::Error| FsError::new("open", path, e);
        fault::at("fs.open", path).map_err(fail)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        File::regular(fd, path).map_err(fail)
    }

    /// What was opened, if it is a regular file.
    pub(super) fn regular(fd: OwnedFd, path: &Path) -> io::Result<File> {
        let inner = fs::File::from(fd);
        let meta = inner.metadata()?;
        match meta.is_file() {
            true => Ok(File { inner, size: meta.len(), path: path.into() }),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
        }
    }

    /// Reads it to the end, at most `limit` bytes; the size is looked at before anything is read.
    pub fn read_whole(self, limit: u64) -> Result<Vec<u8>, FsError> {
        let path = self.path.clone();
        let too_large = || {
            let why = format!("it is larger than the {limit} bytes allowed for it");
            FsError::new("read", &*path, io::Error::new(io::ErrorKind::InvalidData, why))
        };
        if self.size > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0));
        self.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", &path))?;
        match bytes.len() as u64 > limit {
            true => Err(too_large()),
            false => Ok(bytes),
        }
    }

    /// Size when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells this state of the file from another.
    pub fn stamp(&self) -> Result<Stamp, FsError> {
        let meta = self.inner.metadata().map_err(|e| FsError::new("look at", &*self.path, e))?;
        let modified = u64::try_from(meta.mtime()).unwrap_or(0);
        Ok(Stamp { inode: meta.ino(), size: meta.size(), modified, nanoseconds: meta.mtime_nsec() })
    }

    /// The permission bits when the file is this user's own and anybody else may read or write it: what `ssh` refuses
    /// in a private key. `None` when it is private, or another user's (who then granted the access on purpose).
    pub fn exposed(&self) -> Result<Option<u32>, FsError> {
        let meta = self.inner.metadata().map_err(|e| FsError::new("look at", &*self.path, e))?;
        let own = meta.uid() == rustix::process::getuid().as_raw();
        Ok(Some(meta.mode() & 0o777).filter(|mode| own && mode & 0o077 != 0))
    }

    /// True when the group or everybody may read it: worth a word where it holds secrets.
    pub fn others_may_read(&self) -> bool {
        self.inner.metadata().is_ok_and(|meta| meta.mode() & 0o044 != 0)
    }

    /// Tells the system that the file is read once, in order.
    pub fn read_in_sequence(&self) {
        let _ = rustix::fs::fadvise(&self.inner, 0, None, rustix::fs::Advice::Sequential);
    }

    /// Lets go of what the system caches of it (works after a sync only).
    pub fn forget_cached(&self) {
        let _ = rustix::fs::fadvise(&self.inner, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// True when reading at `offset` would be answered from memory, as far as the system tells: a read that may not wait for
    /// the drive succeeds only then.
    pub fn is_cached(&self, offset: u64) -> bool {
        let mut byte = [0];
        let mut slices = [io::IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&self.inner, &mut slices, offset, rustix::io::ReadWriteFlags::NOWAIT);
        !matches!(read, Err(rustix::io::Errno::AGAIN))
    }

    /// Reads on what is in memory already; `None` where the drive would have to be waited for, where the system cannot tell, and at
    /// the end.
    ///
    /// # Errors
    /// None of the file's own: those are left to an ordinary read.
    pub fn read_cached(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        fault::at("fs.read", &self.path).map_err(|e| FsError::new("read", &*self.path, e).into_io())?;
        let mut slices = [io::IoSliceMut::new(buf)];
        let read = rustix::io::preadv2(&self.inner, &mut slices, u64::MAX, rustix::io::ReadWriteFlags::NOWAIT);
        Ok(read.ok().filter(|n| *n > 0))
    }

    /// Reserves `size` bytes on disk, so that a full disk shows now and not in the middle; file systems that cannot are left alone.
    pub fn reserve(&self, size: u64) -> Result<(), FsError> {
        let fail = |e: io::Error| FsError::new("reserve space for", &*self.path, e);
        fault::at("fs.reserve", &self.path).map_err(fail)?;
        match rustix::fs::fallocate(&self.inner, rustix::fs::FallocateFlags::KEEP_SIZE, 0, size) {
            Err(rustix::io::Errno::NOSPC) => Err(fail(rustix::io::Errno::NOSPC.into())),
            _ => Ok(()),
        }
    }

    /// Writes at an offset without moving.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fail = |e| FsError::new("write", &*self.path, e).into_io();
        fault::at("fs.write", &self.path).map_err(fail)?;
        self.inner.write_all_at(bytes, offset).map_err(fail)
    }

    /// Reads at an offset without moving; may give less than asked for.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let fail = |e| FsError::new("read", &*self.path, e).into_io();
        fault::at("fs.read", &self.path).map_err(fail)?;
        self.inner.read_at(bytes, offset).map_err(fail)
    }

    /// Cuts the file off at `size`.
    pub fn truncate(&self, size: u64) -> Result<(), FsError> {
        let fail = |e: io::Error| FsError::new("cut off", &*self.path, e);
        fault::at("fs.truncate", &self.path).map_err(fail)?;
        self.inner.set_len(size).map_err(fail)
    }

    /// Makes the content survive a power cut.
    pub fn sync(&self) -> Result<(), FsError> {
        let fail = |e: io::Error| FsError::new("sync", &*self.path, e);
        fault::at("fs.sync", &self.path).map_err(fail)?;
        self.inner.sync_all().map_err(fail)
    }

    /// A second handle with the same position.
    pub fn try_clone(&self) -> Result<File, FsError> {
        let inner = self.inner.try_clone().map_err(|e| FsError::new("open", &*self.path, e))?;
        Ok(File { inner, size: self.size, path: self.path.clone() })
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let fail = |e| FsError::new("read", &*self.path, e).into_io();
        fault::at("fs.read", &self.path).map_err(fail)?;
        loop {
            match self.inner.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(fail),
            }
        }
    }
}

impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let fail = |e| FsError::new("write", &*self.path, e).into_io();
        fault::at("fs.write", &self.path).map_err(fail)?;
        self.inner.write(buf).map_err(fail)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to).map_err(|e| FsError::new("seek in", &*self.path, e).into_io())
    }
}
