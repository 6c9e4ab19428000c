//! Which of the files at hand are which volumes, and of which set (`sealift-archive(5)`, V8).

use super::error::Error;
use super::open::{OpenSet, Remark};
use super::places::Place;
use super::proven::Digests;
use super::reader::Volume;
use crate::format::{Index, SetName, VolumeRef, volume};
use crate::fs::{Dir, FsError};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

/// The volumes of a set that are at hand.
#[derive(Debug)]
pub(super) struct AtHand {
    /// Those whose first block is right.
    right: BTreeSet<u32>,
    files: BTreeMap<u32, (Dir, String)>,
    numbers: BTreeSet<u32>,
}

impl AtHand {
    /// Looks for them in the places.
    pub(super) fn find(name: &SetName, index: &Index, places: &[Place], remarks: &mut Vec<Remark>) -> AtHand {
        let found = find_volumes(name, index, places, remarks);
        let right = found.iter().filter(|(_, (.., right))| *right).map(|(number, _)| *number).collect();
        let files: BTreeMap<u32, (Dir, String)> = found.into_iter().map(|(number, (dir, file, _))| (number, (dir, file))).collect();
        let numbers = files.keys().copied().collect();
        AtHand { right, files, numbers }
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> &BTreeSet<u32> {
        &self.numbers
    }

    /// Folder and name of one.
    pub(super) fn file(&self, number: u32) -> Option<&(Dir, String)> {
        self.files.get(&number)
    }

    fn remove(&mut self, number: u32) {
        self.files.remove(&number);
        self.numbers.remove(&number);
    }
}

/// How well a file fits a set: whether its first block is right, and whether it has a name of the set.
type Claim = (bool, bool);

/// The files a set has, each with the set's claim on it.
fn claims(set: &OpenSet) -> impl Iterator<Item = (u32, PathBuf, Claim)> {
    set.at_hand.files.iter().map(|(number, (dir, file))| {
        let named = SetName::parse(file).is_some_and(|(name, _)| name == *set.name());
        (*number, dir.join(file), (set.at_hand.right.contains(number), named))
    })
}

/// The best claim on each file.
pub(super) struct Best(BTreeMap<PathBuf, Claim>);

impl Best {
    /// Whether no other set has a better claim on one of the files of this one.
    pub(super) fn is_of(&self, set: &OpenSet) -> bool {
        claims(set).any(|(_, file, claim)| self.0.get(&file) == Some(&claim))
    }
}

/// Sets that were packed by one plan have volumes with equal tags, so that one file may seem a damaged volume of the other: it goes to
/// the set it fits best. Gives the best claim on each file.
pub(super) fn share_out(sets: &mut [OpenSet]) -> Best {
    let mut best: BTreeMap<PathBuf, Claim> = BTreeMap::new();
    for (_, file, claim) in sets.iter().flat_map(claims) {
        let known = best.entry(file).or_insert(claim);
        *known = claim.max(*known);
    }
    for set in sets {
        let loses = |file: &PathBuf, claim: Claim| !claim.0 && Some(&claim) < best.get(file);
        let lost: Vec<u32> = claims(set).filter(|(_, file, claim)| loses(file, *claim)).map(|(number, ..)| number).collect();
        lost.into_iter().for_each(|number| set.at_hand.remove(number));
    }
    Best(best)
}

/// Which of the files at hand are volumes of this set. A file is what its first block says it is; where that is damaged, its tag
/// and its name say what it was meant to be, so that the damage can be reported.
fn find_volumes(name: &SetName, index: &Index, places: &[Place], remarks: &mut Vec<Remark>) -> BTreeMap<u32, (Dir, String, bool)> {
    let mut volumes = BTreeMap::new();
    for place in places {
        for file in place.archives_for(name) {
            let named = place.named.contains(file);
            match recognise(index, &place.dir, file) {
                Some((number, true)) => {
                    volumes.insert(number, (place.dir.clone(), file.to_owned(), true));
                }
                Some((number, false)) => {
                    volumes.entry(number).or_insert((place.dir.clone(), file.to_owned(), false));
                }
                // README.txt and the like, that come along where a shell names all files of a folder.
                None if index.files.iter().any(|known| known.name == file) => {}
                None if named || index.volumes.iter().any(|v| v.name == file) => {
                    let path = place.dir.join(file);
                    let tagged = beginning(&place.dir, file).as_deref().and_then(volume::read_tag).is_some();
                    remarks.push(if tagged { Remark::StrayVolume { path } } else { Remark::NoVolume { path } });
                }
                None => {}
            }
        }
    }
    volumes
}

/// The number of the volume a file is, and whether its first block is right; `None` for a volume of another set. A foreign tag
/// alone does not make a volume foreign: it lies in the first block, and that may be what is damaged.
fn recognise(index: &Index, dir: &Dir, file: &str) -> Option<(u32, bool)> {
    let named = index.volumes.iter().position(|v| v.name == file).map(|i| i as u32 + 1);
    let beginning = beginning(dir, file);
    let tagged = beginning.as_deref().and_then(volume::read_tag);
    let candidate = match tagged {
        Some((plan, number)) if plan == index.plan => Some(number),
        Some(_) => named.filter(|number| volume_at(index, *number, dir, file).is_ok_and(|v| v.ends_right())),
        None => named,
    };
    let number = candidate.filter(|n| (1..=index.volumes.len() as u64).contains(&u64::from(*n)))?;
    let right = volume_at(index, number, dir, file).is_ok_and(|v| v.begins_right());
    Some((number, right))
}

fn beginning(dir: &Dir, file: &str) -> Option<Vec<u8>> {
    let file = dir.open_file(file).ok()?;
    let mut bytes = vec![0; 4096];
    let n = file.read_at(&mut bytes, 0).ok()?;
    bytes.truncate(n);
    Some(bytes)
}

fn volume_at(index: &Index, number: u32, dir: &Dir, file: &str) -> Result<Volume, Error> {
    volume_with(index, number, dir, file, |entry| entry.block_hashes().into())
}

/// A volume by its file, judged by a block table that is given.
pub(super) fn volume_with(
    index: &Index,
    number: u32,
    dir: &Dir,
    file: &str,
    table: impl FnOnce(&VolumeRef) -> Digests,
) -> Result<Volume, Error> {
    let missing = || FsError::new("open", dir.join(file), io::Error::from(io::ErrorKind::NotFound));
    let entry = (number as usize).checked_sub(1).and_then(|i| index.volumes.get(i)).ok_or_else(missing)?;
    let file = dir.open_file(file)?;
    file.read_in_sequence();
    Ok(Volume { file, size: entry.size, block_size: index.block_size, hashes: table(entry) })
}
