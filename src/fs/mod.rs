//! Files, opened relative to a directory handle and published whole.
//!
//! Nothing here follows a symbolic link at its last component, opens anything but regular files, or leaves a
//! half-written file under its final name: [`Staged`] writes `NAME.incomplete`, syncs, renames and syncs the directory.
//! Every error carries the operation and the path.

mod change;
mod dir;
mod error;
mod file;
mod loaded;
mod lock;
#[cfg(test)]
mod tests;

pub use change::{Parked, Staged};
pub use dir::Dir;
pub use error::{FsError, Trouble};
pub use file::File;
pub use loaded::Loaded;
pub use lock::Lock;

use crate::limits;
use std::fs;
use std::path::{Path, PathBuf};

/// What a file is called while it is being made.
pub const INCOMPLETE: &str = ".incomplete";

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

/// The absolute path of something that is there, with all links followed.
///
/// # Errors
/// As the way to it fails.
pub fn real_path(path: &Path) -> Result<PathBuf, FsError> {
    fs::canonicalize(path).map_err(|e| FsError::from_io(e, "find", path))
}

/// Reads a small file the user named by path, at most [`limits::CONFIG_BYTES`] long.
pub fn read_user_file(path: &Path) -> Result<Vec<u8>, FsError> {
    Ok(read_user_secret(path)?.0)
}

/// [`read_user_file`], and whether others than its owner may read the file as well.
pub fn read_user_secret(path: &Path) -> Result<(Vec<u8>, bool), FsError> {
    let file = File::open_path(path)?;
    let others = file.others_may_read();
    Ok((file.read_whole(limits::CONFIG_BYTES)?, others))
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
