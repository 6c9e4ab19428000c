//! What can go wrong with a file, and what that means to a person.

use std::io;
use std::path::{Path, PathBuf};

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

    /// Carries it through a [`io::Read`] or [`io::Write`]; [`FsError::of`] takes it out again.
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
