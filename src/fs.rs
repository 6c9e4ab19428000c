//! Files, opened relative to a directory handle and published whole.
//!
//! Nothing here follows a symbolic link at its last component, opens anything but regular files, or leaves a
//! half-written file under its final name: [`Staged`] writes `NAME.incomplete`, syncs, renames and syncs the directory.
//! Every error carries the operation and the path.

use crate::{fault, limits};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a file is called while it is being made.
pub const INCOMPLETE: &str = ".incomplete";

/// An operation on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", .path.display())]
pub struct FsError {
    /// Verb of the sentence: `read`, `write`, `rename` ...
    pub operation: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// What an [`FsError`] means to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Disk full or quota reached.
    NoSpace,
    /// Read-only medium or missing permission.
    NotWritable,
    /// Another run holds the lock.
    InUse,
    /// The file is not there.
    Absent,
    /// The drive could not read or write: damaged or unplugged medium.
    Medium,
    /// Anything else.
    Other,
}

impl FsError {
    /// Names the operation and the path of an I/O error.
    pub fn new(operation: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> FsError {
        FsError { operation, path: path.into(), source: source.into() }
    }

    /// What it means.
    pub fn trouble(&self) -> Trouble {
        use rustix::io::Errno;
        match self.source.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Trouble::NoSpace,
            Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => Trouble::NotWritable,
            Some(Errno::IO | Errno::NXIO | Errno::NODEV | Errno::NOMEDIUM | Errno::STALE) => Trouble::Medium,
            Some(Errno::NOENT) => Trouble::Absent,
            _ => match self.source.kind() {
                io::ErrorKind::WouldBlock => Trouble::InUse,
                io::ErrorKind::NotFound => Trouble::Absent,
                io::ErrorKind::PermissionDenied => Trouble::NotWritable,
                io::ErrorKind::StorageFull => Trouble::NoSpace,
                _ => Trouble::Other,
            },
        }
    }

    /// Carries it through a [`Read`] or [`Write`]; [`FsError::of`] takes it out again.
    pub fn into_io(self) -> io::Error {
        io::Error::new(self.source.kind(), self)
    }

    /// The file error inside an I/O error, if that is what it is.
    pub fn of(error: &io::Error) -> Option<&FsError> {
        error.get_ref()?.downcast_ref()
    }

    /// The file error inside an I/O error, or the I/O error with the operation and path given here.
    pub fn from_io(error: io::Error, operation: &'static str, path: &Path) -> FsError {
        match error.downcast::<FsError>() {
            Ok(inner) => inner,
            Err(error) => FsError::new(operation, path, error),
        }
    }
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name. Names that are not UTF-8 are never ours and are left out.
    pub name: String,
    /// True for a regular file (links, devices, pipes and folders are not).
    pub regular: bool,
    /// Size in bytes (regular files).
    pub size: u64,
}

/// One state of a file: whoever replaces or changes the file makes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    size: u64,
    /// Last change of its bytes, in seconds since 1970.
    pub modified: u64,
    nanoseconds: i64,
}

/// An open directory. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    durable: bool,
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
        let file = fs::File::from(fd);
        let meta = file.metadata().map_err(fail)?;
        if !meta.is_file() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        Ok(File { inner: file, size: meta.len(), path: path.into() })
    }

    /// Reads a whole file of at most `limit` bytes; the size is looked at before anything is read.
    pub fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, FsError> {
        let file = self.open_file(name)?;
        let path = self.join(name);
        let too_large = || {
            FsError::new(
                "read",
                &path,
                io::Error::new(io::ErrorKind::InvalidData, format!("it is larger than the {limit} bytes allowed for it")),
            )
        };
        if file.size() > limit {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(file.size()).unwrap_or(0));
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", &path))?;
        if bytes.len() as u64 > limit {
            return Err(too_large());
        }
        Ok(bytes)
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
        match rustix::fs::statat(self.fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(Some(stat.st_size as u64)),
            Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(e) => Err(FsError::new("look at", self.join(name), e)),
        }
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

    /// Opens (or makes) a file for writing at offsets and holds it against every other writer, of this process or another,
    /// until it is closed. Waits for them; if the one before finished or removed the file meanwhile, a new one is made.
    /// Do not ask twice for one name in one thread.
    pub fn open_held(&self, name: &str) -> Result<File, FsError> {
        loop {
            let file = self.open_write(name, OFlags::NONBLOCK, 0o644)?;
            let fail = |e: io::Error| FsError::new("lock", self.join(name), e);
            let meta = file.inner.metadata().map_err(fail)?;
            if !meta.is_file() {
                return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
            }
            match file.inner.lock() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                // Without locks (some FUSE drivers) going on beats not going on.
                Ok(()) | Err(_) => {}
            }
            use std::os::unix::fs::MetadataExt;
            match rustix::fs::statat(self.fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(now) if now.st_ino == meta.ino() => return Ok(File { size: now.st_size as u64, ..file }),
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(e) => return Err(fail(e.into())),
            }
        }
    }

    fn open_write(&self, name: &str, extra: OFlags, mode: u32) -> Result<File, FsError> {
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
        let path = self.join(from);
        let fail = |e: io::Error| FsError::new("rename", &path, e);
        fault::at("fs.rename", &path).map_err(fail)?;
        rustix::fs::renameat(self.fd.as_fd(), from, self.fd.as_fd(), to).map_err(|e| fail(e.into()))?;
        self.sync()
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

    /// Takes the lock file `name`, waiting for whoever holds it: for locks that are held for moments only.
    pub fn lock_waiting(&self, name: &str) -> Result<Lock, FsError> {
        let file = self.open_partial(name)?;
        // A signal is for the caller to look at, once the lock is there; without locks going on beats not going on.
        while file.inner.lock().is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {}
        Ok(Lock { _file: file })
    }

    /// Takes the lock file `name`; fails with [`Trouble::InUse`] while another run holds it.
    pub fn lock(&self, name: &str) -> Result<Lock, FsError> {
        loop {
            let file = self.open_partial(name)?;
            match file.inner.try_lock() {
                // The one before may have removed the file on its way out: a lock on that keeps nobody away.
                Ok(()) if !self.is_still(name, &file)? => continue,
                Ok(()) => return Ok(Lock { _file: file }),
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(FsError::new("lock", self.join(name), io::Error::new(io::ErrorKind::WouldBlock, "another run holds it")));
                }
                // File systems without locks (some FUSE drivers): going on unlocked beats not going on.
                Err(fs::TryLockError::Error(_)) => return Ok(Lock { _file: file }),
            }
        }
    }

    /// True while `name` is the file that was opened.
    fn is_still(&self, name: &str, file: &File) -> Result<bool, FsError> {
        use std::os::unix::fs::MetadataExt;
        let fail = |e: io::Error| FsError::new("lock", self.join(name), e);
        let meta = file.inner.metadata().map_err(fail)?;
        match rustix::fs::statat(self.fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(now) => Ok(now.st_ino == meta.ino()),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(e) => Err(fail(e.into())),
        }
    }
}

/// A held lock; let go when dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// An open regular file whose errors name it.
#[derive(Debug)]
pub struct File {
    inner: fs::File,
    size: u64,
    path: Arc<Path>,
}

impl File {
    /// Opens a file the user named by path (the last component may be a link: it is the user's own).
    pub fn open_path(path: &Path) -> Result<File, FsError> {
        let fail = |e: io::Error| FsError::new("open", path, e);
        fault::at("fs.open", path).map_err(fail)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        let inner = fs::File::from(fd);
        let meta = inner.metadata().map_err(fail)?;
        if !meta.is_file() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        Ok(File { inner, size: meta.len(), path: path.into() })
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
        use std::os::unix::fs::MetadataExt;
        let meta = self.inner.metadata().map_err(|e| FsError::new("look at", &*self.path, e))?;
        let modified = u64::try_from(meta.mtime()).unwrap_or(0);
        Ok(Stamp { inode: meta.ino(), size: meta.size(), modified, nanoseconds: meta.mtime_nsec() })
    }

    /// The permission bits when the file is this user's own and anybody else may read or write it: what `ssh` refuses
    /// in a private key. `None` when it is private, or another user's (who then granted the access on purpose).
    pub fn exposed(&self) -> Result<Option<u32>, FsError> {
        use std::os::unix::fs::MetadataExt;
        let meta = self.inner.metadata().map_err(|e| FsError::new("look at", &*self.path, e))?;
        let own = meta.uid() == rustix::process::getuid().as_raw();
        Ok(Some(meta.mode() & 0o777).filter(|mode| own && mode & 0o077 != 0))
    }

    /// True when the group or everybody may read it: worth a word where it holds secrets.
    pub fn others_may_read(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
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
        let path = self.dir.join(&self.staging);
        let fail = |e: io::Error| FsError::new("rename", &path, e);
        fault::at("fs.rename", &path).map_err(fail)?;
        rustix::fs::renameat(self.dir.fd.as_fd(), &self.staging, self.dir.fd.as_fd(), &self.name).map_err(|e| fail(e.into()))
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

/// Reads a small file the user named by path, at most [`limits::CONFIG_BYTES`] long.
pub fn read_user_file(path: &Path) -> Result<Vec<u8>, FsError> {
    Ok(read_user_secret(path)?.0)
}

/// [`read_user_file`], and whether others than its owner may read the file as well.
pub fn read_user_secret(path: &Path) -> Result<(Vec<u8>, bool), FsError> {
    let mut bytes = Vec::new();
    let file = File::open_path(path)?;
    let others = file.others_may_read();
    file.take(limits::CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", path))?;
    if bytes.len() as u64 > limits::CONFIG_BYTES {
        return Err(FsError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, "it is larger than the 16 MiB allowed for it")));
    }
    Ok((bytes, others))
}

/// True when `path` is a regular file that somebody may run.
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// True when `path` is a folder (links are followed: the path is the user's own).
pub fn is_folder(path: &Path) -> Result<bool, FsError> {
    Ok(fs::metadata(path).map_err(|e| FsError::new("open", path, e))?.is_dir())
}

/// Raises the limit of open files of this process towards `wanted`, as far as the system lets everybody raise it (it is 1024 to begin
/// with on most), and gives what it is then; `None` for no limit.
pub fn open_files(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let current = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        // What cannot be raised is lived with.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    }
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_file_is_there_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let mut staged = dir.stage("a").unwrap();
        staged.write_all(b"half").unwrap();
        assert_eq!(dir.size_of("a").unwrap(), None);
        drop(staged);
        assert!(dir.list().unwrap().is_empty());
        dir.publish("a", b"whole").unwrap();
        assert_eq!(dir.read("a", 5).unwrap(), b"whole");
        assert!(dir.read("a", 4).is_err());
        assert_eq!(dir.read_if_there("b", 4).unwrap(), None);
    }

    #[test]
    fn only_regular_files_are_opened() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.publish("real", b"x").unwrap();
        std::os::unix::fs::symlink("real", temp.path().join("link")).unwrap();
        rustix::fs::mknodat(CWD, temp.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        dir.sub("folder").unwrap();
        for name in ["link", "pipe", "folder"] {
            assert!(dir.open_file(name).is_err(), "{name}");
            assert_eq!(dir.size_of(name).unwrap(), None);
        }
        assert_eq!(dir.list().unwrap().iter().filter(|e| e.regular).count(), 1);
    }

    #[test]
    fn locks_exclude() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let held = dir.lock("l").unwrap();
        assert_eq!(dir.lock("l").unwrap_err().trouble(), Trouble::InUse);
        drop(held);
        dir.lock("l").unwrap();
    }

    #[test]
    fn folders_behind_links_are_not_entered() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        dir.make_sub("real").unwrap().publish("x", b"y").unwrap();
        assert_eq!(dir.make_sub("real").unwrap().read("x", 1).unwrap(), b"y");
        std::os::unix::fs::symlink("real", temp.path().join("link")).unwrap();
        assert!(dir.open_sub("link").is_err() && dir.make_sub("link").is_err());
        assert_eq!(dir.open_sub("absent").unwrap_err().trouble(), Trouble::Absent);
    }

    #[test]
    fn a_held_file_is_one_writers_and_is_looked_up_again_after_the_wait() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap();
        let mut held = dir.open_held("f").unwrap();
        held.write_all(b"first").unwrap();
        let waiting = std::thread::spawn({
            let dir = dir.clone();
            move || dir.open_held("f").unwrap().size()
        });
        dir.rename("f", "done").unwrap();
        drop(held);
        assert_eq!(waiting.join().unwrap(), 0, "the file that was waited for is finished: this is a new one");
        assert_eq!(dir.read("done", 9).unwrap(), b"first");
    }

    #[test]
    fn what_is_in_memory_and_what_is_not_are_read_on_from_the_same_place() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open(temp.path()).unwrap().durable(false);
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        dir.publish("f", &content).unwrap();
        let mut file = dir.open_file("f").unwrap();
        file.seek(SeekFrom::Start(3)).unwrap();
        let (mut found, mut piece) = (Vec::new(), [0; 4097]);
        for turn in 0.. {
            let n = match if turn % 2 == 0 { file.read_cached(&mut piece).unwrap() } else { None } {
                Some(n) => n,
                None => file.read(&mut piece).unwrap(),
            };
            found.extend_from_slice(&piece[..n]);
            if n == 0 {
                break;
            }
        }
        assert!(found == content[3..], "the bytes are those of the file, each once");
        assert_eq!(file.read_cached(&mut piece).unwrap(), None, "the end is left to an ordinary read");
    }
}
