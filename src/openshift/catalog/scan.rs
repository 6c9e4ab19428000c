//! What layers hold of the folders that shall go.

use crate::oci::Descriptor;
use crate::openshift::files::{Bad, Blobs, Entries, FilesError, Kind, Owner, about, plain, told};
use std::collections::{BTreeMap, BTreeSet};

/// One layer, as far as it concerns those folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The folders it has something of.
    pub touched: BTreeSet<String>,
    /// True when it has anything else, folders that lead there aside.
    pub other: bool,
    /// The folders that lead there, as the layer has them; `None` where one is no folder.
    pub above: BTreeMap<String, Option<Owner>>,
}

impl Found {
    /// True for a layer that nothing of the image would miss.
    pub fn is_only_that(&self) -> bool {
        !self.touched.is_empty() && !self.other
    }
}

/// Reads a layer through.
pub(super) fn scan(layer: &Descriptor, folders: &BTreeSet<String>, blobs: Blobs<'_>) -> Result<Found, FilesError> {
    let mut found = Found::default();
    let reader = plain(blobs.open(layer)?).map_err(|e| told(layer, Bad::Read(e)))?;
    let mut entries = Entries::new(reader);
    while let Some(entry) = entries.next().map_err(|bad| told(layer, bad))? {
        if (blobs.stopped)() {
            return Err(FilesError::Interrupted);
        }
        let path = about(&entry.path).map_err(|bad| told(layer, bad))?;
        let mark = path != entry.path;
        if let Some(folder) = folders.iter().find(|folder| is_within(&path, folder)) {
            found.touched.insert(folder.clone());
        } else if !mark && folders.iter().any(|folder| is_within(folder, &path)) {
            found.other |= entry.kind != Kind::Folder;
            found.above.insert(path, (entry.kind == Kind::Folder).then_some(entry.owner));
        } else {
            found.other |= !path.is_empty() || mark;
        }
    }
    Ok(found)
}

/// True for a folder and what is below it. The root holds everything and is nothing's own.
pub(super) fn is_within(path: &str, folder: &str) -> bool {
    !folder.is_empty() && path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
