//! Configuration that lies in several files, as containers-registries.conf(5) and containers-registries.d(5) have it.

use super::{Dir, FsError};
use std::path::PathBuf;

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Loaded<T> {
    /// All of them together.
    pub content: T,
    /// What should be looked at, one line each.
    pub notices: Vec<String>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

impl Dir {
    /// The names in it that end in `suffix`, in their order: what a drop-in folder holds.
    ///
    /// # Errors
    /// As [`Dir::list`].
    pub fn names_ending(&self, suffix: &str) -> Result<Vec<String>, FsError> {
        let mut names: Vec<String> = self.list()?.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(suffix)).collect();
        names.sort();
        Ok(names)
    }
}
