//! Finding and opening sets (`sealift-archive(5)`, V1 to V7).
//!
//! Folders may hold anything: several sets, foreign files, traps. Names find candidates, signatures and digests decide.

use super::error::{Damage, Error};
use super::places::{Place, is_meant, look, parent, volumes_by_name};
use super::proven::{Digests, Proven};
use super::reader::Volume;
use crate::codec::frame;
use crate::digest::Digest;
use crate::format::{Contents, FileKind, FormatError, Index, Manifests, SetName, VolumeRef, volume};
use crate::fs::{Dir, FsError};
use crate::limits;
use crate::sign::{Namespace, Trust, Verified, VerifyError, verify};
use crate::text::counted;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Why no set could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// No index anywhere.
    #[error("there is no set in {}", list(.0))]
    NoSet(Vec<PathBuf>),
    /// No index anywhere, but volumes.
    #[error("{} in {}, but no index", lying(.volumes), list(.paths))]
    NoIndex {
        /// Where was looked.
        paths: Vec<PathBuf>,
        /// How many volumes lie there, by the set their names tell.
        volumes: BTreeMap<SetName, usize>,
    },
    /// More indexes than anybody carries.
    #[error("more than {} indexes lie in {}", limits::CANDIDATE_INDEXES, list(.0))]
    TooMany(Vec<PathBuf>),
    /// An index is not accepted.
    #[error("{}: {source}", .path.display())]
    NotVerified {
        /// The index.
        path: PathBuf,
        /// Why.
        source: VerifyError<FormatError>,
    },
    /// Neither copy of the contents is what the index says.
    #[error("neither copy of the contents document can be used: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Contents(Vec<Error>),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The first few sets, and how many more.
fn lying(volumes: &BTreeMap<SetName, usize>) -> String {
    let mut told: Vec<String> = volumes.iter().take(5).map(|(set, count)| format!("{} of {set}", counted(*count, "volume"))).collect();
    if volumes.len() > told.len() {
        told.push(format!("volumes of {}", counted(volumes.len() - told.len(), "other set")));
    }
    let one = matches!(volumes.values().collect::<Vec<_>>()[..], [1]);
    format!("{} {}", told.join(", "), if one { "lies" } else { "lie" })
}

/// Something odd about the media that does not stop the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// An index beside a good one could not be verified.
    IgnoredIndex {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The main document was unusable; its copy was used.
    UsedCopy {
        /// The unusable file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A volume that belongs to another set.
    StrayVolume {
        /// The file.
        path: PathBuf,
    },
    /// A file that was named and is no volume of any set.
    NoVolume {
        /// The file.
        path: PathBuf,
    },
}

/// A verified set and what of it lies on the media at hand.
#[derive(Debug)]
pub struct OpenSet {
    index: Verified<Index>,
    name: SetName,
    contents: Contents,
    contents_path: PathBuf,
    /// Volumes whose first block is right.
    right: BTreeSet<u32>,
    volumes: BTreeMap<u32, (Dir, String)>,
    numbers: BTreeSet<u32>,
    folders: Vec<Dir>,
    remarks: Vec<Remark>,
    manifests: OnceLock<Manifests>,
    pub(super) proven: Proven,
}

/// Opens the sets that `paths` mean: every set of a folder, the set of a document, the sets that volume files belong to, whose
/// indexes lie beside them. Where none of the files belongs to a set that lies beside it, all of those are given, and
/// [`OpenSet::is_foreign`] tells. `now` is in seconds since 1970.
pub fn open(paths: &[PathBuf], trust: &Trust, now: u64) -> Result<Vec<OpenSet>, OpenError> {
    let places = look(paths)?;
    let names = candidates(paths, &places)?;
    let mut sets = Vec::new();
    let mut refused = Vec::new();
    for name in names {
        match open_one(&name, &places, trust, now) {
            Ok(found) => sets.extend(found),
            // An index that cannot be read, or is too large to be, hides no set beside it.
            Err(e) => refused.push((name, e)),
        }
    }
    let best = share_out(&mut sets);
    let meant = |set: &OpenSet| {
        is_meant(&set.name, &places) || set.volumes.keys().any(|number| set.claim(*number) == best.get(&set.file(*number)).copied())
    };
    if sets.iter().any(meant) {
        sets.retain(meant);
        // What is wrong with a set that merely lies beside a named volume is nobody's trouble.
        refused.retain(|(name, _)| is_meant(name, &places) || places.iter().any(|place| place.labels().any(|label| label == *name)));
    } else if let Some(at) = refused.iter().position(|(name, _)| places.iter().any(|place| place.labels().any(|label| label == *name))) {
        return Err(refused.swap_remove(at).1);
    }
    if sets.is_empty() {
        return Err(refused.into_iter().next().map_or_else(|| OpenError::NoSet(paths.to_vec()), |(_, e)| e));
    }
    for (name, error) in refused {
        let (path, why) = match &error {
            OpenError::NotVerified { path, source } => (path.clone(), source.to_string()),
            OpenError::Fs(e) => (e.path.clone(), e.source.to_string()),
            other => (PathBuf::from(name.file(FileKind::Index { copy: false })), other.to_string()),
        };
        if let Some(set) = sets.first_mut() {
            set.remarks.push(Remark::IgnoredIndex { path, why });
        }
    }
    sets.sort_by_key(|set| (set.index.stream.clone(), set.index.sequence));
    Ok(sets)
}

/// Sets that were packed by one plan have volumes with equal tags, so that one file may seem a damaged volume of the other: it goes to
/// the set it fits best. Gives the best claim on each file.
fn share_out(sets: &mut [OpenSet]) -> BTreeMap<PathBuf, Claim> {
    let mut best: BTreeMap<PathBuf, Claim> = BTreeMap::new();
    for set in sets.iter() {
        for (number, claim) in set.volumes.keys().filter_map(|number| Some((number, set.claim(*number)?))) {
            let known = best.entry(set.file(*number)).or_insert(claim);
            *known = claim.max(*known);
        }
    }
    for set in sets {
        let loses = |number: &u32| !set.right.contains(number) && set.claim(*number) < best.get(&set.file(*number)).copied();
        let lost: Vec<u32> = set.numbers.iter().copied().filter(loses).collect();
        for number in lost {
            set.volumes.remove(&number);
            set.numbers.remove(&number);
        }
    }
    best
}

/// How well a file fits a set: whether its first block is right, and whether it has a name of the set.
type Claim = (bool, bool);

/// The sets whose indexes lie in the places.
fn candidates(paths: &[PathBuf], places: &[Place]) -> Result<BTreeSet<SetName>, OpenError> {
    let indexes = places.iter().flat_map(|p| &p.files).filter(|f| matches!(f.1, FileKind::Index { .. }));
    let mut names: BTreeSet<SetName> = indexes.map(|f| f.0.clone()).collect();
    if names.len() > limits::CANDIDATE_INDEXES {
        // Whoever names a volume by its own name says which of the many is meant.
        let labels: BTreeSet<SetName> = places.iter().flat_map(Place::labels).collect();
        let meant = |name: &SetName| labels.contains(name) || is_meant(name, places);
        if places.iter().all(Place::of_files) && names.iter().any(meant) {
            names.retain(meant);
        }
    }
    match names.len() {
        0 => match volumes_by_name(places) {
            volumes if volumes.is_empty() => Err(OpenError::NoSet(paths.to_vec())),
            volumes => Err(OpenError::NoIndex { paths: paths.to_vec(), volumes }),
        },
        n if n > limits::CANDIDATE_INDEXES => Err(OpenError::TooMany(paths.to_vec())),
        _ => Ok(names),
    }
}

/// Opens the sets of one name: normally one; two different ones are two sets.
fn open_one(name: &SetName, places: &[Place], trust: &Trust, now: u64) -> Result<Vec<OpenSet>, OpenError> {
    let signatures = read_signatures(name, places)?;
    let mut candidates: BTreeMap<Digest, (PathBuf, Vec<u8>)> = BTreeMap::new();
    let mut remarks = Vec::new();
    let mut refused = None;
    for (dir, file) in documents(name, places, |kind| matches!(kind, FileKind::Index { .. })) {
        match dir.read(file, limits::INDEX_BYTES) {
            Ok(bytes) => {
                candidates.entry(Digest::sha256(&bytes)).or_insert((dir.join(file), bytes));
            }
            Err(e) => {
                remarks.push(Remark::UsedCopy { path: dir.join(file), why: e.to_string() });
                refused = refused.or(Some(OpenError::Fs(e)));
            }
        }
    }
    let mut verified = Vec::new();
    for (path, bytes) in candidates.into_values() {
        match verify(&bytes, &signatures, trust, Namespace::Index, now, Index::parse) {
            Ok(index) => verified.push(index),
            Err(source) => {
                remarks.push(Remark::UsedCopy { path: path.clone(), why: source.to_string() });
                let better = refused.as_ref().is_none_or(|known| !is_telling(known));
                if better {
                    refused = Some(OpenError::NotVerified { path, source });
                }
            }
        }
    }
    if verified.is_empty() {
        return Err(refused.unwrap_or_else(|| OpenError::NoSet(places.iter().map(|p| p.dir.path().to_owned()).collect())));
    }
    let mut sets = Vec::new();
    for index in verified {
        let mut set = complete(name, index, places)?;
        set.remarks.append(&mut remarks);
        sets.push(set);
    }
    // Of two sets under one name, each finds the other's documents: they are not damaged.
    let used: BTreeSet<PathBuf> = sets.iter().map(|set: &OpenSet| set.contents_path.clone()).collect();
    let mut told = BTreeSet::new();
    for set in &mut sets {
        set.remarks.retain(|remark| match remark {
            Remark::UsedCopy { path, .. } => !used.contains(path) && told.insert(path.clone()),
            _ => true,
        });
    }
    Ok(sets)
}

/// A reason that says more than "no signature".
fn is_telling(error: &OpenError) -> bool {
    !matches!(error, OpenError::Fs(_) | OpenError::NotVerified { source: VerifyError::NoSignature, .. })
}

/// The files of one set in all places, originals before copies.
fn documents<'a>(name: &'a SetName, places: &'a [Place], is: impl Fn(&FileKind) -> bool + 'a) -> impl Iterator<Item = (&'a Dir, &'a str)> {
    let mut found: Vec<(FileKind, &Dir, &str)> = places
        .iter()
        .flat_map(|place| place.files.iter().map(move |(n, kind, file)| (n, kind, &place.dir, file.as_str())))
        .filter(|(n, kind, ..)| *n == name && is(kind))
        .map(|(_, kind, dir, file)| (*kind, dir, file))
        .collect();
    found.sort_by_key(|(kind, ..)| *kind);
    found.into_iter().map(|(_, dir, file)| (dir, file))
}

fn read_signatures(name: &SetName, places: &[Place]) -> Result<Vec<Vec<u8>>, OpenError> {
    let mut signatures: BTreeSet<Vec<u8>> = BTreeSet::new();
    for (dir, file) in documents(name, places, |kind| matches!(kind, FileKind::Signature { .. })) {
        if signatures.len() == limits::SIGNATURES {
            break;
        }
        // An unreadable or oversized signature file is no signature; whether the others suffice is judged as a whole.
        if let Ok(bytes) = dir.read(file, limits::SIGNATURE_BYTES) {
            signatures.insert(bytes);
        }
    }
    Ok(signatures.into_iter().collect())
}

fn complete(name: &SetName, index: Verified<Index>, places: &[Place]) -> Result<OpenSet, OpenError> {
    let mut remarks = Vec::new();
    let (contents, contents_path) = read_contents(name, &index, places, &mut remarks)?;
    let found = find_volumes(name, &index, places, &mut remarks);
    let right = found.iter().filter(|(_, (.., right))| *right).map(|(number, _)| *number).collect();
    let volumes: BTreeMap<u32, (Dir, String)> = found.into_iter().map(|(number, (dir, file, _))| (number, (dir, file))).collect();
    let numbers = volumes.keys().copied().collect();
    let folders = places.iter().map(|p| p.dir.clone()).collect();
    Ok(OpenSet {
        index,
        name: name.clone(),
        contents,
        contents_path,
        right,
        volumes,
        numbers,
        folders,
        remarks,
        manifests: OnceLock::new(),
        proven: Proven::default(),
    })
}

/// V7: either copy of the contents will do; each is judged by the digest in the index before it is decompressed.
fn read_contents(name: &SetName, index: &Index, places: &[Place], remarks: &mut Vec<Remark>) -> Result<(Contents, PathBuf), OpenError> {
    let mut errors: Vec<Error> = Vec::new();
    let mut unusable = Vec::new();
    for (dir, file) in documents(name, places, |kind| matches!(kind, FileKind::Contents { .. })) {
        match contents_of(dir, file, index) {
            Ok(contents) => {
                remarks.append(&mut unusable);
                return Ok((contents, dir.join(file)));
            }
            Err(e) => {
                unusable.push(Remark::UsedCopy { path: dir.join(file), why: e.to_string() });
                errors.push(e);
            }
        }
    }
    if errors.is_empty() {
        let dir = places.first().map(|p| p.dir.join(&name.file(FileKind::Contents { copy: false }))).unwrap_or_default();
        errors.push(Error::Fs(FsError::new("open", dir, io::Error::from(io::ErrorKind::NotFound))));
    }
    Err(OpenError::Contents(errors))
}

fn contents_of(dir: &Dir, file: &str, index: &Index) -> Result<Contents, Error> {
    let path = dir.join(file);
    let found = dir.size_of(file)?.unwrap_or(0);
    if found != index.contents.size {
        return Err(Damage::Length { path, expected: index.contents.size, found }.into());
    }
    let bytes = dir.read(file, index.contents.size)?;
    if Digest::sha256(&bytes) != index.contents.digest {
        return Err(Damage::File { path }.into());
    }
    let malformed = |why: String| Error::Format { path: dir.join(file), source: FormatError::Malformed { document: "contents", why } };
    let plain = frame::unfold(&bytes, index.contents.plain_size).map_err(|e| malformed(e.to_string()))?;
    if plain.len() as u64 != index.contents.plain_size {
        return Err(malformed("it is shorter than the index says".into()));
    }
    Contents::parse(&plain, index).map_err(|source| Error::Format { path: dir.join(file), source })
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

fn volume_with(index: &Index, number: u32, dir: &Dir, file: &str, table: impl FnOnce(&VolumeRef) -> Digests) -> Result<Volume, Error> {
    let missing = || FsError::new("open", dir.join(file), io::Error::from(io::ErrorKind::NotFound));
    let entry = (number as usize).checked_sub(1).and_then(|i| index.volumes.get(i)).ok_or_else(missing)?;
    let file = dir.open_file(file)?;
    file.read_in_sequence();
    Ok(Volume { file, size: entry.size, block_size: index.block_size, hashes: table(entry) })
}

impl OpenSet {
    /// The verified index.
    pub fn index(&self) -> &Verified<Index> {
        &self.index
    }

    /// SHA-256 of the index: the identity of the set.
    pub fn identity(&self) -> Digest {
        self.index.digest()
    }

    /// Stream and sequence.
    pub fn name(&self) -> &SetName {
        &self.name
    }

    /// What is in it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// True when `path`, one of those the set was opened with, is a file that is no volume of it.
    pub fn is_foreign(&self, path: &Path) -> bool {
        let file = path.file_name().map(|name| parent(path).join(name));
        let told =
            |remark: &Remark| matches!(remark, Remark::StrayVolume { path } | Remark::NoVolume { path } if Some(path) == file.as_ref());
        self.remarks.iter().any(told)
    }

    /// Its manifests, parsed once.
    pub(super) fn manifests(&self) -> &Manifests {
        self.manifests.get_or_init(|| self.contents.manifests().unwrap_or_default())
    }

    /// Numbers of the volumes at hand.
    pub fn volumes_here(&self) -> &BTreeSet<u32> {
        &self.numbers
    }

    /// Numbers of the volumes that are not at hand.
    pub fn volumes_missing(&self) -> Vec<u32> {
        (1..=self.index.volumes.len() as u32).filter(|n| !self.numbers.contains(n)).collect()
    }

    /// The file of a volume at hand.
    pub fn volume_path(&self, number: u32) -> Option<PathBuf> {
        self.volumes.get(&number).map(|(dir, file)| dir.join(file))
    }

    fn file(&self, number: u32) -> PathBuf {
        self.volume_path(number).unwrap_or_default()
    }

    fn claim(&self, number: u32) -> Option<Claim> {
        let (_, file) = self.volumes.get(&number)?;
        Some((self.right.contains(&number), SetName::parse(file).is_some_and(|(name, _)| name == self.name)))
    }

    /// Oddities found on the way.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The folders looked at.
    pub fn folders(&self) -> &[Dir] {
        &self.folders
    }

    pub(super) fn volume(&self, number: u32) -> Result<Volume, Error> {
        match self.volumes.get(&number) {
            Some((dir, file)) => volume_with(&self.index, number, dir, file, |entry| self.proven.table(number, || entry.block_hashes())),
            None => Err(Error::VolumeMissing(number)),
        }
    }
}
