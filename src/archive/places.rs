//! Where sets are looked for: the paths a person named, by their folders, and what of each folder they mean.

use crate::format::{FileKind, SetName};
use crate::fs::{Dir, FsError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The set a path means by its own name: that of an index, a signature or a contents document. A volume means itself, and
/// what its name says about its set is a label only.
pub fn set_named(path: &Path) -> Option<SetName> {
    match path.file_name().and_then(|name| name.to_str()).and_then(SetName::parse) {
        Some((_, FileKind::Volume { .. })) | None => None,
        Some((name, FileKind::Index { .. } | FileKind::Signature { .. } | FileKind::Contents { .. })) => Some(name),
    }
}

/// A folder to look at, and what is meant in it: everything, sets by their documents, single files.
pub(super) struct Place {
    pub(super) dir: Dir,
    /// The folder itself was named.
    whole: bool,
    /// Sets whose documents were named.
    meant: BTreeSet<SetName>,
    /// Other files that were named: volumes, or what somebody takes for one.
    pub(super) named: BTreeSet<String>,
    /// Documents and volumes by their names.
    pub(super) files: Vec<(SetName, FileKind, String)>,
    /// Files that may be volumes, whatever they are called.
    archives: Vec<String>,
}

impl Place {
    /// Whether all volumes of a set are meant that lie here.
    pub(super) fn means(&self, set: &SetName) -> bool {
        self.whole || self.meant.contains(set)
    }

    /// Whether files were named here, and not the folder.
    pub(super) fn of_files(&self) -> bool {
        !self.whole
    }

    /// The files that may be volumes of a set: all of the folder, or those that were named.
    pub(super) fn archives_for(&self, set: &SetName) -> impl Iterator<Item = &str> {
        let all = self.means(set);
        let beside = self.archives.iter().filter(move |name| all && !self.named.contains(*name));
        beside.chain(&self.named).map(String::as_str)
    }

    /// The sets that the named volumes belong to by their names.
    pub(super) fn labels(&self) -> impl Iterator<Item = SetName> {
        self.named.iter().filter_map(|name| SetName::parse(name)).map(|(name, _)| name)
    }
}

/// Looks at every folder once, however many of its files were named.
pub(super) fn look(paths: &[PathBuf]) -> Result<Vec<Place>, FsError> {
    let mut places: Vec<Place> = Vec::new();
    let mut known: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in paths {
        let folder = crate::fs::is_folder(path)?;
        let at = if folder { path.clone() } else { parent(path).to_owned() };
        let next = places.len();
        let position = *known.entry(at.clone()).or_insert(next);
        if position == next {
            places.push(list(&at)?);
        }
        let Some(place) = places.get_mut(position) else { continue };
        match (folder, set_named(path)) {
            (true, _) => place.whole = true,
            (false, Some(set)) => drop(place.meant.insert(set)),
            (false, None) => place.named.extend(path.file_name().and_then(|n| n.to_str()).map(str::to_owned)),
        }
    }
    for place in &mut places {
        // Whoever names nothing but documents means their sets; a volume may be of any set that lies beside it.
        if !place.whole && place.named.is_empty() {
            place.files.retain(|(name, ..)| place.meant.contains(name));
        }
    }
    Ok(places)
}

fn list(path: &Path) -> Result<Place, FsError> {
    let dir = Dir::open(path)?;
    let entries: Vec<String> = dir.list()?.into_iter().filter(|entry| entry.regular).map(|entry| entry.name).collect();
    let files = entries.iter().filter_map(|name| SetName::parse(name).map(|(set, kind)| (set, kind, name.clone()))).collect();
    let archives = entries.into_iter().filter(|name| name.ends_with(".tar.zst")).collect();
    Ok(Place { dir, whole: false, meant: BTreeSet::new(), named: BTreeSet::new(), files, archives })
}

/// The folder of a file.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the index of a set lies in a place that means it, or was given by name: not only beside a file that was named.
pub(super) fn is_meant(set: &SetName, places: &[Place]) -> bool {
    places.iter().any(|place| place.means(set) && place.files.iter().any(|(name, ..)| name == set))
}

/// Volumes that lie here by their names, counted for each set.
pub(super) fn volumes_by_name(places: &[Place]) -> BTreeMap<SetName, usize> {
    let mut counts = BTreeMap::new();
    let volumes = places.iter().flat_map(|place| &place.files).filter(|(_, kind, _)| matches!(kind, FileKind::Volume { .. }));
    volumes.for_each(|(set, ..)| *counts.entry(set.clone()).or_default() += 1);
    counts
}
