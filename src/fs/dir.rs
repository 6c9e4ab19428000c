//! A directory handle: folders below it, looking, reading, syncing.

use super::{Entry, File, FsError, Stamp, Trouble};
use crate::fault;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open directory. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Dir {
    pub(super) fd: Arc<OwnedFd>,
    path: PathBuf,
    pub(super) durable: bool,
}

impl Dir {
    /// Opens an existing directory given by the user (links in the user's own path are followed).
    pub fn open(path: &Path) -> Result<Dir, FsError> {
        let fail = |e: io::Error| FsError::new("open folder", path, e);
        fault::at("fs.opendir", path).map_err(fail)?;
        let fd = rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| fail(e.into()))?;
        Ok(Dir { fd: Arc::new(fd), path: path.to_owned(), durable: true })
    }

    /// Opens a directory, making it and its parents where they are missing.
    pub fn create(path: &Path) -> Result<Dir, FsError> {
        fault::at("fs.mkdir", path).and_then(|()| fs::create_dir_all(path)).map_err(|e| FsError::new("make folder", path, e))?;
        Dir::open(path)
    }

    /// Like [`Dir::create`], for the owner alone (mode 0700 when it is made here): keys, ledgers.
    pub fn create_private(path: &Path) -> Result<Dir, FsError> {
        use std::os::unix::fs::DirBuilderExt;
        fault::at("fs.mkdir", path)
            .and_then(|()| fs::DirBuilder::new().recursive(true).mode(0o700).create(path))
            .map_err(|e| FsError::new("make folder", path, e))?;
        Dir::open(path)
    }

    /// Turns syncing off (or on): for scratch results that may be lost with the power.
    pub fn durable(mut self, durable: bool) -> Dir {
        self.durable = durable;
        self
    }

    /// True when what is published here is synced.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of an entry, for messages.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a sub-directory (one or more components below this one), making it where it is missing.
    pub fn sub(&self, name: &str) -> Result<Dir, FsError> {
        Ok(Dir::create(&self.join(name))?.durable(self.durable))
    }

    /// Opens one existing directory directly below this one. A link there is refused: the folder's owner is not who opens it.
    pub fn open_sub(&self, name: &str) -> Result<Dir, FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("open folder", &path, e);
        fault::at("fs.opendir", &path).map_err(fail)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.fd.as_fd(), name, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        Ok(Dir { fd: Arc::new(fd), path, durable: self.durable })
    }

    /// [`Dir::open_sub`], making the directory where it is missing.
    pub fn make_sub(&self, name: &str) -> Result<Dir, FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("make folder", &path, e);
        fault::at("fs.mkdir", &path).map_err(fail)?;
        match rustix::fs::mkdirat(self.fd.as_fd(), name, Mode::from_raw_mode(0o777)) {
            Ok(()) => self.sync()?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(e) => return Err(fail(e.into())),
        }
        self.open_sub(name)
    }

    /// Opens a regular file for reading. Links, devices, pipes and folders are refused without being touched.
    pub fn open_file(&self, name: &str) -> Result<File, FsError> {
        let path = self.join(name);
        let fail = |e: io::Error| FsError::new("open", &path, e);
        fault::at("fs.open", &path).map_err(fail)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.fd.as_fd(), name, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        File::regular(fd, &path).map_err(fail)
    }

    /// Reads a whole file of at most `limit` bytes; the size is looked at before anything is read.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, FsError> {
        self.open_file(name)?.read_whole(limit)
    }

    /// [`Dir::read`], with `None` where there is no such file. Any other failure stays a failure.
    pub fn read_if_there(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, FsError> {
        match self.read(name, limit) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.trouble() == Trouble::Absent => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Size of a regular file; `None` where there is none.
    pub fn size_of(&self, name: &str) -> Result<Option<u64>, FsError> {
        Ok(self.stamp(name)?.map(|stamp| stamp.size))
    }

    /// What tells one state of a regular file from another; `None` where there is none.
    pub fn stamp(&self, name: &str) -> Result<Option<Stamp>, FsError> {
        match rustix::fs::statat(self.fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Some(Stamp {
                inode: stat.st_ino,
                size: stat.st_size as u64,
                modified: u64::try_from(stat.st_mtime).unwrap_or(0),
                nanoseconds: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            })),
            Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(e) => Err(FsError::new("look at", self.join(name), e)),
        }
    }

    /// All entries, sorted by name.
    pub fn list(&self) -> Result<Vec<Entry>, FsError> {
        let fail = |e: io::Error| FsError::new("list", &self.path, e);
        fault::at("fs.list", &self.path).map_err(fail)?;
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.fd.as_fd()).map_err(|e| fail(e.into()))? {
            let entry = entry.map_err(|e| fail(e.into()))?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let size = self.size_of(name)?;
            entries.push(Entry { name: name.to_owned(), regular: size.is_some(), size: size.unwrap_or(0) });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Makes renames and removals in this directory survive a power cut.
    pub fn sync(&self) -> Result<(), FsError> {
        let fail = |e: io::Error| FsError::new("sync folder", &self.path, e);
        fault::at("fs.syncdir", &self.path).map_err(fail)?;
        if !self.durable {
            return Ok(());
        }
        match rustix::fs::fsync(self.fd.as_fd()) {
            // FUSE and network file systems that cannot sync a directory say EINVAL.
            Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(e) => Err(fail(e.into())),
        }
    }

    /// Writes out everything of the file system this directory is on (FAT through FUSE needs it after the last rename).
    pub fn sync_filesystem(&self) -> Result<(), FsError> {
        fault::at("fs.syncfs", &self.path).map_err(|e| FsError::new("sync", &self.path, e))?;
        if !self.durable {
            return Ok(());
        }
        rustix::fs::syncfs(self.fd.as_fd()).map_err(|e| FsError::new("sync", &self.path, e))
    }

    /// Bytes that may still be written here.
    pub fn free(&self) -> Result<u64, FsError> {
        let fail = |e: io::Error| FsError::new("ask for free space of", &self.path, e);
        fault::at("fs.free", &self.path).map_err(fail)?;
        let stat = rustix::fs::fstatvfs(self.fd.as_fd()).map_err(|e| fail(e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
