//! Parts of blobs out of volumes, and the check of whole volumes.

use super::error::{Damage, Error};
use super::open::OpenSet;
use super::reader::Volume;
use crate::blob::Wrong;
use crate::digest::{Digest, Hasher};
use crate::format::{Blob, Part};
use crate::fs::{FsError, Trouble};
use crate::progress::Progress;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// A part of a blob: positions in [`crate::format::Contents::blobs`] and in the blob's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartId {
    /// Position of the blob.
    pub blob: usize,
    /// Position of the part.
    pub part: usize,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Volumes read to their end without a fault.
    pub good: Vec<u32>,
    /// Faults, each with its volume (0: a file that is no volume).
    pub damage: Vec<(u32, Damage)>,
    /// Blobs whose bytes were proven (deep check only).
    pub proven: u64,
    /// Blobs that are damaged or unfold to something else.
    pub lost: BTreeSet<Digest>,
    /// Blobs that could not be judged because a volume is not at hand.
    pub elsewhere: u64,
}

impl OpenSet {
    fn part(&self, id: PartId) -> Option<(&Blob, &Part)> {
        let blob = self.contents().blobs.get(id.blob)?;
        Some((blob, blob.parts.get(id.part)?))
    }

    /// All parts that lie in a volume, in the order they lie there.
    pub fn parts_in(&self, volume: u32) -> Vec<PartId> {
        let mut parts: Vec<(u64, PartId)> = Vec::new();
        for (b, blob) in self.contents().blobs.iter().enumerate() {
            let here = blob.parts.iter().enumerate().filter(|(_, part)| part.volume == volume);
            parts.extend(here.map(|(p, part)| (part.offset, PartId { blob: b, part: p })));
        }
        parts.sort_unstable();
        parts.into_iter().map(|(_, id)| id).collect()
    }

    /// Reads the wanted parts of one volume once, in the order they lie there. `each` gets the plain bytes of a part; what it
    /// answers ends the run only when it is an error. Damage comes out of the reader ([`Damage::of`]) and concerns that part alone.
    pub fn read_parts(
        &self,
        volume: u32,
        wanted: &[PartId],
        each: &mut dyn FnMut(PartId, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), Error> {
        let file = self.volume(volume)?;
        let mut wanted: Vec<(u64, PartId)> = wanted.iter().filter_map(|id| Some((self.part(*id)?.1.offset, *id))).collect();
        wanted.sort_unstable();
        let blocks: BTreeSet<usize> =
            wanted.iter().filter_map(|(_, id)| self.part(*id)).flat_map(|(_, part)| file.blocks_of(part)).collect();
        file.with_blocks(blocks.into_iter().collect(), |blocks| {
            for (_, id) in wanted {
                let Some((blob, part)) = self.part(id) else { continue };
                let mut reader = file.unfold(part, blob.digest, blocks).map_err(|e| stopped(blob, e))?;
                each(id, &mut reader).map_err(|e| stopped(blob, e))?;
            }
            Ok(())
        })
    }

    /// Reads whole volumes and compares every block; `deep` also unfolds everything and proves every blob whose parts are
    /// all at hand. Goes on after damage and reports all of it.
    pub fn check(&self, deep: bool, progress: &dyn Progress) -> Result<Checked, Error> {
        let mut checked = Checked::default();
        self.check_files(&mut checked)?;
        let mut under_way = UnderWay::new();
        for &number in self.volumes_here() {
            let before = checked.damage.len();
            match self.volume(number) {
                Ok(file) if deep => self.check_parts(number, &file, &mut checked, &mut under_way, progress)?,
                Ok(file) => self.check_blocks(number, &file, &mut checked, progress)?,
                // It was there when the set was opened: its medium is gone, the others are still to be judged.
                Err(Error::Fs(e)) if is_gone(&e) => {
                    let size = self.index().volumes.get(number as usize - 1).map_or(0, |volume| volume.size);
                    checked.damage.push((number, unreadable(e, size)));
                    checked.lost.extend(self.blobs_in(&BTreeSet::from([number])));
                }
                Err(e) => return Err(e),
            }
            if checked.damage.len() == before {
                checked.good.push(number);
            }
        }
        if deep {
            let empty = self.contents().blobs.iter().filter(|b| b.parts.is_empty());
            checked.proven += empty.count() as u64;
            checked.elsewhere = self.contents().blobs.len() as u64 - checked.proven - checked.lost.len() as u64;
        }
        Ok(checked)
    }

    /// README.txt and the like, where they are at hand.
    fn check_files(&self, checked: &mut Checked) -> Result<(), Error> {
        for file in &self.index().files {
            for dir in self.folders() {
                let is_right = || match dir.size_of(&file.name)? {
                    None => Ok(true),
                    Some(size) => Ok(size == file.size && Digest::sha256(&dir.read(&file.name, file.size)?) == file.digest),
                };
                match is_right() {
                    Ok(true) => {}
                    Ok(false) => checked.damage.push((0, Damage::File { path: dir.join(&file.name) })),
                    Err(e) if is_gone(&e) => checked.damage.push((0, unreadable(e, file.size))),
                    Err(e) => return Err(e.into()),
                }
            }
        }
        Ok(())
    }

    fn check_blocks(&self, number: u32, file: &Volume, checked: &mut Checked, progress: &dyn Progress) -> Result<(), Error> {
        note_length(number, file, checked);
        let hit = file.with_blocks((0..file.blocks()).collect(), |blocks| {
            while let Some((_, result)) = blocks.next() {
                if let Ok(bytes) = result {
                    progress.advance(bytes.len() as u64);
                }
                if progress.cancelled() {
                    return Err(Error::Interrupted);
                }
            }
            Ok(blocks.take_damage())
        })?;
        let numbers: BTreeSet<usize> = hit.iter().map(|(block, _)| *block).collect();
        note_blocks(checked, number, hit);
        for id in self.parts_in(number) {
            if let Some((blob, part)) = self.part(id)
                && file.blocks_of(part).any(|block| numbers.contains(&block))
            {
                checked.lost.insert(blob.digest);
            }
        }
        Ok(())
    }

    /// Reads a volume once from its first block to its last; the parts are unfolded as they come by.
    fn check_parts(
        &self,
        number: u32,
        file: &Volume,
        checked: &mut Checked,
        under_way: &mut UnderWay,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        note_length(number, file, checked);
        let mut buffer = vec![0; 256 << 10];
        file.with_blocks((0..file.blocks()).collect(), |blocks| {
            for id in self.parts_in(number) {
                let Some((blob, part)) = self.part(id) else { continue };
                if progress.cancelled() {
                    return Err(Error::Interrupted);
                }
                // A hash goes on only where the part before was the last one hashed: its volume may not be at hand.
                let hasher = match under_way.remove(&id.blob) {
                    _ if id.part == 0 => Some(Hasher::new(blob.digest.algorithm())),
                    Some((next, hasher)) if next == id.part => Some(hasher),
                    _ => None,
                };
                let unfolded = file.unfold(part, blob.digest, blocks).and_then(|mut reader| hash_all(&mut reader, hasher, &mut buffer));
                match unfolded {
                    Ok(Some(hasher)) if id.part + 1 < blob.parts.len() => {
                        under_way.insert(id.blob, (id.part + 1, hasher));
                    }
                    Ok(Some(hasher)) => conclude(blob, part, hasher, number, checked, file),
                    Ok(None) => {}
                    Err(e) => {
                        let Some(damage) = Damage::of(&e) else { return Err(stopped(blob, e)) };
                        // Damaged blocks are told below, all of them; here only what is wrong although its blocks are right.
                        if matches!(damage, Damage::Frame { .. }) {
                            checked.damage.push((number, damage.clone()));
                        }
                        checked.lost.insert(blob.digest);
                    }
                }
                progress.advance(part.size());
            }
            while blocks.next().is_some() {}
            note_blocks(checked, number, blocks.take_damage());
            Ok(())
        })
    }

    /// Names of the images that need any of these blobs or manifests.
    pub fn images_with(&self, lost: &BTreeSet<Digest>) -> Vec<String> {
        let manifests = self.manifests();
        let hit = |image: &&crate::format::Image| {
            let mut pending = vec![image.root.digest];
            let mut seen = BTreeSet::new();
            while let Some(digest) = pending.pop() {
                if lost.contains(&digest) {
                    return true;
                }
                let Some(manifest) = manifests.get(&digest).filter(|_| seen.insert(digest)) else { continue };
                if manifest.blobs().any(|b| lost.contains(&b.digest)) {
                    return true;
                }
                pending.extend(manifest.children().iter().map(|c| c.digest));
            }
            false
        };
        self.contents().images.iter().filter(hit).map(|i| format!("{}:{}", i.repository, i.tag)).collect()
    }

    /// Blobs that have a part in any of these volumes.
    pub fn blobs_in(&self, volumes: &BTreeSet<u32>) -> BTreeSet<Digest> {
        let blobs = self.contents().blobs.iter();
        blobs.filter(|b| b.parts.iter().any(|p| volumes.contains(&p.volume))).map(|b| b.digest).collect()
    }
}

/// Blobs being hashed across volumes: the part that must come next, and the hash so far.
type UnderWay = BTreeMap<usize, (usize, Hasher)>;

/// Blocks beyond the end of a short file say nothing new: its length was noted.
fn note_blocks(checked: &mut Checked, volume: u32, found: Vec<(usize, Damage)>) {
    let short = checked.damage.iter().any(|(of, damage)| *of == volume && matches!(damage, Damage::Length { .. }));
    for (_, damage) in found {
        let joined = checked.damage.last_mut().is_some_and(|(of, last)| *of == volume && last.join(&damage));
        if !(joined || short && matches!(damage, Damage::Length { .. })) {
            checked.damage.push((volume, damage));
        }
    }
}

/// Whether a file that was there cannot be had any more: the drive fails, or what lay on it went with it.
fn is_gone(error: &FsError) -> bool {
    matches!(error.trouble(), Trouble::Medium | Trouble::Absent)
}

fn unreadable(error: FsError, size: u64) -> Damage {
    Damage::Unreadable { path: error.path, start: 0, end: size, why: error.source.to_string() }
}

fn note_length(number: u32, file: &Volume, checked: &mut Checked) {
    if file.file.size() != file.size {
        let damage = Damage::Length { path: file.path().to_owned(), expected: file.size, found: file.file.size() };
        checked.damage.push((number, damage));
    }
}

/// Reads to the end; hashes where a hasher is there (a blob whose earlier part is missing has none).
fn hash_all(reader: &mut dyn Read, mut hasher: Option<Hasher>, buffer: &mut [u8]) -> io::Result<Option<Hasher>> {
    loop {
        let n = reader.read(buffer)?;
        if n == 0 {
            return Ok(hasher);
        }
        if let (Some(hasher), Some(bytes)) = (hasher.as_mut(), buffer.get(..n)) {
            hasher.update(bytes);
        }
    }
}

fn conclude(blob: &Blob, part: &Part, hasher: Hasher, number: u32, checked: &mut Checked, file: &Volume) {
    let found = hasher.finish();
    if found == blob.digest {
        checked.proven += 1;
        return;
    }
    let why = Wrong::Digest { expected: blob.digest, found }.to_string();
    checked.damage.push((number, Damage::Frame { path: file.path().to_owned(), offset: part.offset, digest: blob.digest, why }));
    checked.lost.insert(blob.digest);
}

fn stopped(blob: &Blob, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Interrupted => Error::Interrupted,
        _ => match Damage::of(&error) {
            Some(damage) => Error::Damaged(damage.clone()),
            None => Error::Source { digest: blob.digest, source: error },
        },
    }
}

#[cfg(test)]
mod tests;
