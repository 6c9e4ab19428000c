//! What was deleted from which repository.
//!
//! A layout has one space for blobs, and another repository may need what one deletes. So a deletion is a line in a file of its own:
//! the content is gone from that repository at once, and from the disk with the next collection, if nothing else reaches it.
//! Pushing it again removes the line.

use super::store::StoreError;
use crate::digest::Digest;
use crate::fs::{Dir, Stamp, Trouble};
use crate::limits;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The folder in a layout where upload sessions and deletions are kept. Other programs pass over it: the image layout
/// specification lets a layout hold more than it names.
pub(super) const OURS: &str = ".sealift-serve";
const FILE: &str = "deleted";

/// Repository and digest of what is deleted.
type Lines = BTreeSet<(String, Digest)>;

/// The file of deletions.
#[derive(Debug)]
pub(super) struct Deleted {
    root: Dir,
    last: Mutex<Option<(Stamp, Arc<Lines>)>>,
}

impl Deleted {
    /// The deletions kept in the folder [`OURS`] of a layout, which need not be there.
    pub fn new(root: Dir) -> Deleted {
        Deleted { root, last: Mutex::default() }
    }

    /// Opened at every use: another server over the same layout may make it at any time.
    fn dir(&self) -> Result<Option<Dir>, StoreError> {
        match self.root.open_sub(OURS) {
            Err(e) if e.trouble() == Trouble::Absent => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    pub fn has(&self, repository: &str, digest: &Digest) -> Result<bool, StoreError> {
        let lines = self.read()?;
        Ok(!lines.is_empty() && lines.contains(&(repository.to_owned(), *digest)))
    }

    /// Adds lines, then removes lines. The caller holds the list of images.
    pub fn change(&self, repository: &str, add: &[Digest], remove: &[Digest]) -> Result<(), StoreError> {
        let before = self.read()?;
        let mut after = (*before).clone();
        after.extend(add.iter().map(|digest| (repository.to_owned(), *digest)));
        for digest in remove {
            after.remove(&(repository.to_owned(), *digest));
        }
        self.write(&before, &after)
    }

    /// Forgets deletions of what is not stored any more; gives how many. The caller holds the list of images.
    pub fn forget(&self, stored: impl Fn(&Digest) -> Result<bool, StoreError>) -> Result<usize, StoreError> {
        let before = self.read()?;
        let mut after = Lines::new();
        for (repository, digest) in before.iter() {
            if stored(digest)? {
                after.insert((repository.clone(), *digest));
            }
        }
        self.write(&before, &after)?;
        Ok(before.len() - after.len())
    }

    fn write(&self, before: &Lines, after: &Lines) -> Result<(), StoreError> {
        if let Some(dir) = self.dir()?.filter(|_| after != before) {
            let text: String = after.iter().map(|(repository, digest)| format!("{repository}@{digest}\n")).collect();
            dir.publish(FILE, text.as_bytes())?;
        }
        Ok(())
    }

    fn read(&self) -> Result<Arc<Lines>, StoreError> {
        let Some(dir) = self.dir()? else { return Ok(Arc::default()) };
        let Some(stamp) = dir.stamp(FILE)? else { return Ok(Arc::default()) };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, lines)) = &*last
            && *known == stamp
        {
            return Ok(lines.clone());
        }
        let bytes = dir.read(FILE, limits::LAYOUT_INDEX_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        let line = |line: &str| line.split_once('@').and_then(|(name, digest)| Some((name.to_owned(), digest.parse().ok()?)));
        let lines: Arc<Lines> = Arc::new(text.lines().filter_map(line).collect());
        *last = Some((stamp, lines.clone()));
        Ok(lines)
    }
}
