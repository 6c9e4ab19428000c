//! The files together: which are read, and in which order.

use super::{Conf, ConfError, Fault};
use crate::fs::{Dir, FsError, Loaded, Trouble, read_user_file};
use std::path::{Path, PathBuf};

/// Where `registries.conf` is looked for. Who calls knows the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfFiles {
    /// A file that was named: it must be there, and neither the usual ones nor drop-ins are read.
    pub named: Option<PathBuf>,
    /// The user's folder (`~/.config/containers`). With a `registries.conf` in it only its own drop-ins hold.
    pub user: Option<PathBuf>,
    /// The system's folders (`/etc/containers`, `/usr/share/containers`): the first with a `registries.conf` holds.
    pub system: Vec<PathBuf>,
    /// Read after all others; it must be there.
    pub last: Option<PathBuf>,
}

impl ConfFiles {
    /// Reads all there are; none at all is no error.
    ///
    /// # Errors
    /// [`ConfError`] for the first that cannot be used.
    pub fn load(&self) -> Result<Loaded<Conf>, ConfError> {
        let mut loaded = Loaded::default();
        match &self.named {
            Some(path) => loaded.add(path)?,
            None => self.usual(&mut loaded)?,
        }
        if let Some(path) = &self.last {
            loaded.add(path)?;
        }
        Ok(loaded)
    }

    fn usual(&self, loaded: &mut Loaded<Conf>) -> Result<(), ConfError> {
        if let Some(user) = &self.user
            && loaded.add_if_there(&user.join("registries.conf"))?
        {
            return loaded.add_folder(&user.join("registries.conf.d"));
        }
        for folder in &self.system {
            if loaded.add_if_there(&folder.join("registries.conf"))? {
                break;
            }
        }
        // The packager's first, the administrator's over it, the user's over both.
        for folder in self.system.iter().rev().chain(&self.user) {
            loaded.add_folder(&folder.join("registries.conf.d"))?;
        }
        Ok(())
    }
}

impl Loaded<Conf> {
    fn add(&mut self, path: &Path) -> Result<(), ConfError> {
        let bytes = read_user_file(path)?;
        let text = String::from_utf8(bytes).map_err(|e| ConfError::Content {
            path: path.to_owned(),
            fault: Fault::Syntax { line: line_of(e.as_bytes(), e.utf8_error().valid_up_to()), why: "it is not UTF-8 text".to_owned() },
        })?;
        let (conf, notices) = Conf::parse(path, &text)?;
        self.content.replace_by(conf);
        self.notices.extend(notices);
        self.files.push(path.to_owned());
        Ok(())
    }

    fn add_if_there(&mut self, path: &Path) -> Result<bool, ConfError> {
        match self.add(path) {
            Ok(()) => Ok(true),
            Err(ConfError::File(e)) if absent(&e) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All `*.conf`, by name.
    fn add_folder(&mut self, folder: &Path) -> Result<(), ConfError> {
        let dir = match Dir::open(folder) {
            Ok(dir) => dir,
            Err(e) if absent(&e) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        dir.names_ending(".conf")?.iter().try_for_each(|name| self.add(&dir.join(name)))
    }
}

fn absent(error: &FsError) -> bool {
    error.trouble() == Trouble::Absent
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}
