//! What upper layers hide of lower ones (OCI image specification, "Image Layer Filesystem Changeset", "Whiteouts").

use super::entries::{Bad, Entry, Kind};
use crate::limits;
use crate::text::shown;
use std::collections::HashSet;

/// Prefix of an entry that says that something is gone.
const WHITEOUT: &str = ".wh.";
/// Name of an entry that says that nothing of a folder's lower content remains.
const OPAQUE: &str = ".wh..wh..opq";

/// What an entry says about lower layers.
enum Mark<'e> {
    /// The path is gone.
    Gone(String),
    /// Everything below the folder is gone.
    Opaque(&'e str),
    /// Leavings of AUFS.
    Nothing,
}

/// What is hidden from the layers below those that were taken in.
#[derive(Default)]
pub(super) struct Cover {
    /// Paths that are files or gone: neither they nor anything below them shows.
    closed: HashSet<String>,
    /// Paths that are folders: a lower file of that path does not show.
    folders: HashSet<String>,
    /// Folders whose lower content does not show.
    opaque: HashSet<String>,
    /// Bytes of all paths kept.
    bytes: usize,
}

impl Cover {
    /// True when an entry of that path shows through everything taken in.
    pub fn shows(&self, path: &str) -> bool {
        !self.closed.contains(path)
            && !self.folders.contains(path)
            && !self.opaque.contains("")
            && !ancestors(path).any(|above| self.closed.contains(above) || self.opaque.contains(above))
    }

    /// Takes in one layer, once all of it has been seen: its whiteouts are about the layers below it alone.
    pub fn add(&mut self, layer: Cover) -> Result<(), Bad> {
        self.bytes += layer.bytes;
        self.closed.extend(layer.closed);
        self.folders.extend(layer.folders);
        self.opaque.extend(layer.opaque);
        self.check()
    }

    /// Notes an entry of the layer this cover is of; false where it is a mark and not a file.
    pub fn note(&mut self, entry: &Entry) -> Result<bool, Bad> {
        let mark = mark(&entry.path)?;
        let file = mark.is_none();
        match mark {
            Some(Mark::Gone(path)) => keep(&mut self.closed, &mut self.bytes, &path),
            Some(Mark::Opaque(folder)) => keep(&mut self.opaque, &mut self.bytes, folder),
            Some(Mark::Nothing) => {}
            None if entry.kind == Kind::Folder => keep(&mut self.folders, &mut self.bytes, &entry.path),
            None => keep(&mut self.closed, &mut self.bytes, &entry.path),
        }
        for above in ancestors(&entry.path) {
            if self.folders.contains(above) {
                break;
            }
            keep(&mut self.folders, &mut self.bytes, above);
        }
        self.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), Bad> {
        let count = self.closed.len() + self.folders.len() + self.opaque.len();
        if count > limits::IMAGE_PATHS || self.bytes > limits::IMAGE_PATHS_BYTES {
            return Err(Bad::Archive("the image has more files than are kept track of".into()));
        }
        Ok(())
    }
}

fn keep(set: &mut HashSet<String>, bytes: &mut usize, path: &str) {
    if set.insert(path.to_owned()) {
        *bytes += path.len();
    }
}

/// The folders a path lies in, the nearest first; not the root.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('/'), |(above, _)| above.rsplit_once('/')).map(|(above, _)| above)
}

/// A mark, where the last part of the path is one.
fn mark(path: &str) -> Result<Option<Mark<'_>>, Bad> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == OPAQUE {
        return Ok(Some(Mark::Opaque(folder)));
    }
    match name.strip_prefix(WHITEOUT) {
        None => Ok(None),
        Some("" | "." | "..") => Err(Bad::Archive(format!("it has the path {}", shown(path)))),
        Some(hidden) if hidden.starts_with(WHITEOUT) => Ok(Some(Mark::Nothing)),
        Some(hidden) if folder.is_empty() => Ok(Some(Mark::Gone(hidden.to_owned()))),
        Some(hidden) => Ok(Some(Mark::Gone(format!("{folder}/{hidden}")))),
    }
}

/// The path an entry is about: its own, or what its mark is about.
pub(in crate::openshift) fn about(path: &str) -> Result<String, Bad> {
    Ok(match mark(path)? {
        Some(Mark::Gone(hidden)) => hidden,
        Some(Mark::Opaque(folder)) => folder.to_owned(),
        Some(Mark::Nothing) | None => path.to_owned(),
    })
}
