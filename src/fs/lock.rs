//! Files that one run or one thread holds against the others.

use super::{Dir, File, FsError};
use rustix::fs::{AtFlags, OFlags};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

impl Dir {
    /// Opens (or makes) a file for writing at offsets and holds it against every other writer, of this process or another,
    /// until it is closed. Waits for them; if the one before finished or removed the file meanwhile, a new one is made.
    /// Do not ask twice for one name in one thread.
    pub fn open_held(&self, name: &str) -> Result<File, FsError> {
        loop {
            let file = self.open_write(name, OFlags::NONBLOCK, 0o644)?;
            let fail = |e: io::Error| FsError::new("lock", self.join(name), e);
            if !file.inner.metadata().map_err(fail)?.is_file() {
                return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
            }
            match file.inner.lock() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                // Without locks (some FUSE drivers) going on beats not going on.
                Ok(()) | Err(_) => {}
            }
            if let Some(size) = self.size_if_still(name, &file)? {
                return Ok(File { size, ..file });
            }
        }
    }

    /// Takes the lock file `name`, waiting for whoever holds it: for locks that are held for moments only.
    pub fn lock_waiting(&self, name: &str) -> Result<Lock, FsError> {
        let file = self.open_partial(name)?;
        // A signal is for the caller to look at, once the lock is there; without locks going on beats not going on.
        while file.inner.lock().is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {}
        Ok(Lock { _file: file })
    }

    /// Takes the lock file `name`; fails with [`super::Trouble::InUse`] while another run holds it.
    pub fn lock(&self, name: &str) -> Result<Lock, FsError> {
        loop {
            let file = self.open_partial(name)?;
            match file.inner.try_lock() {
                // The one before may have removed the file on its way out: a lock on that keeps nobody away.
                Ok(()) if self.size_if_still(name, &file)?.is_none() => continue,
                Ok(()) => return Ok(Lock { _file: file }),
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(FsError::new("lock", self.join(name), io::Error::new(io::ErrorKind::WouldBlock, "another run holds it")));
                }
                // File systems without locks (some FUSE drivers): going on unlocked beats not going on.
                Err(fs::TryLockError::Error(_)) => return Ok(Lock { _file: file }),
            }
        }
    }

    /// The present size, while `name` is the file that was opened.
    fn size_if_still(&self, name: &str, file: &File) -> Result<Option<u64>, FsError> {
        let fail = |e: io::Error| FsError::new("lock", self.join(name), e);
        let meta = file.inner.metadata().map_err(fail)?;
        match rustix::fs::statat(self.fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) if now.st_ino == meta.ino() => Ok(Some(now.st_size as u64)),
            Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(e) => Err(fail(e.into())),
        }
    }
}

/// A held lock; let go when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}
