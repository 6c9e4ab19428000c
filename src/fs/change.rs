//! How names come and go in a directory: staged and published whole, renamed, removed.

use super::{Dir, File, FsError, INCOMPLETE};
use crate::fault;
use rustix::fs::{AtFlags, Mode, OFlags};
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;

impl Dir {
    /// Begins a file that will appear under `name` when it is complete.
    pub fn stage(&self, name: &str) -> Result<Staged, FsError> {
        self.stage_mode(name, 0o644)
    }

    /// [`Dir::stage`] with a mode: 0o600 for secrets.
    pub fn stage_mode(&self, name: &str, mode: u32) -> Result<Staged, FsError> {
        let staging = format!("{name}{INCOMPLETE}");
        let file = self.open_write(&staging, OFlags::TRUNC, mode)?;
        Ok(Staged { file, dir: self.clone(), staging, name: name.to_owned(), done: false })
    }

    /// Opens (or makes) a file that survives an interrupted run under its own name, for writing at offsets.
    pub fn open_partial(&self, name: &str) -> Result<File, FsError> {
        self.open_write(name, OFlags::empty(), 0o600)
    }

    pub(super) fn open_write(&self, name: &str, extra: OFlags, mode: u32) -> Result<File, FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("create", &path, e);
        fault::at("fs.create", &path).map_err(fail)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | extra;
        let fd = rustix::fs::openat(self.fd.as_fd(), name, flags, Mode::from_raw_mode(mode)).map_err(|e| fail(e.into()))?;
        let inner = fs::File::from(fd);
        let size = inner.metadata().map_err(fail)?.len();
        Ok(File { inner, size, path: path.into() })
    }

    /// Writes a small file whole: staged, synced, renamed, directory synced.
    pub fn publish(&self, name: &str, bytes: &[u8]) -> Result<(), FsError> {
        self.publish_mode(name, bytes, 0o644)
    }

    /// [`Dir::publish`] with a mode: 0o600 for secrets.
    pub fn publish_mode(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), FsError> {
        let mut staged = self.stage_mode(name, mode)?;
        staged.write_all(bytes).map_err(|e| FsError::from_io(e, "write", &self.join(name)))?;
        staged.commit()
    }

    /// Renames within this directory and syncs it.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), FsError> {
        self.rename_unsynced(from, to)?;
        self.sync()
    }

    fn rename_unsynced(&self, from: &str, to: &str) -> Result<(), FsError> {
        let path = self.join(from);
        let fail = |e: io::Error| FsError::new("rename", &path, e);
        fault::at("fs.rename", &path).map_err(fail)?;
        rustix::fs::renameat(self.fd.as_fd(), from, self.fd.as_fd(), to).map_err(|e| fail(e.into()))
    }

    /// Moves a file into another directory and syncs both; false, with the file where it was, when the two are on
    /// different file systems.
    pub fn hand_over(&self, name: &str, to: &Dir, new: &str) -> Result<bool, FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("rename", &path, e);
        fault::at("fs.rename", &path).map_err(fail)?;
        match rustix::fs::renameat(self.fd.as_fd(), name, to.fd.as_fd(), new) {
            Ok(()) => {}
            Err(rustix::io::Errno::XDEV) => return Ok(false),
            Err(e) => return Err(fail(e.into())),
        }
        to.sync()?;
        self.sync()?;
        Ok(true)
    }

    /// Gives a file the present time as that of its last change; it is no error when it is gone.
    pub fn touch(&self, name: &str) -> Result<(), FsError> {
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        match rustix::fs::utimensat(self.fd.as_fd(), name, &times, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(e) => Err(FsError::new("change the time of", self.join(name), io::Error::from(e))),
        }
    }

    /// Removes a file; it is no error when it is gone already.
    pub fn remove(&self, name: &str) -> Result<(), FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("remove", &path, e);
        fault::at("fs.remove", &path).map_err(fail)?;
        match rustix::fs::unlinkat(self.fd.as_fd(), name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(e) => Err(fail(e.into())),
        }
    }

    /// Removes a directory directly below this one if it is empty; false when it is not. It is no error when it is gone already.
    pub fn remove_sub(&self, name: &str) -> Result<bool, FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("remove", &path, e);
        fault::at("fs.remove", &path).map_err(fail)?;
        match rustix::fs::unlinkat(self.fd.as_fd(), name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(true),
            Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => Ok(false),
            Err(e) => Err(fail(e.into())),
        }
    }
}

/// A file in the making: visible under its name only after [`Staged::commit`]. Dropped without it, it is removed.
#[derive(Debug)]
pub struct Staged {
    file: File,
    dir: Dir,
    staging: String,
    name: String,
    done: bool,
}

impl Staged {
    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs, renames to the final name, syncs the directory.
    pub fn commit(mut self) -> Result<(), FsError> {
        if self.dir.durable {
            self.file.sync()?;
        }
        self.dir.rename(&self.staging, &self.name)?;
        self.done = true;
        Ok(())
    }

    /// Leaves the `.incomplete` file where it is, synced, to be renamed later together with others.
    pub fn park(mut self) -> Result<Parked, FsError> {
        if self.dir.durable {
            self.file.sync()?;
        }
        self.done = true;
        Ok(Parked { dir: self.dir.clone(), staging: self.staging.clone(), name: self.name.clone() })
    }
}

/// A complete, synced file still under its `.incomplete` name.
#[derive(Debug)]
pub struct Parked {
    dir: Dir,
    staging: String,
    name: String,
}

impl Parked {
    /// Gives it its name; the caller syncs the directory after the last of them ([`Dir::sync`]).
    pub fn publish(self) -> Result<(), FsError> {
        self.dir.rename_unsynced(&self.staging, &self.name)
    }
}

impl Write for Staged {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.done {
            let _ = rustix::fs::unlinkat(self.dir.fd.as_fd(), &self.staging, AtFlags::empty());
        }
    }
}
