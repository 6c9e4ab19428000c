//! Finding and opening sets (`sealift-archive(5)`, V1 to V7).
//!
//! Folders may hold anything: several sets, foreign files, traps. Names find candidates, signatures and digests decide.

use super::at_hand::{AtHand, share_out, volume_with};
use super::error::{Damage, Error, OpenError};
use super::places::{Place, is_meant, look, parent, volumes_by_name};
use super::proven::Proven;
use super::reader::Volume;
use crate::codec::frame;
use crate::digest::Digest;
use crate::format::{Contents, FileKind, FormatError, Index, Manifests, SetName};
use crate::fs::{Dir, FsError};
use crate::limits;
use crate::sign::{Namespace, Trust, Verified, VerifyError, verify};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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
    pub(super) at_hand: AtHand,
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
    let meant = |set: &OpenSet| is_meant(&set.name, &places) || best.is_of(set);
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
    let at_hand = AtHand::find(name, &index, places, &mut remarks);
    let folders = places.iter().map(|p| p.dir.clone()).collect();
    Ok(OpenSet {
        index,
        name: name.clone(),
        contents,
        contents_path,
        at_hand,
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
        self.at_hand.numbers()
    }

    /// Numbers of the volumes that are not at hand.
    pub fn volumes_missing(&self) -> Vec<u32> {
        (1..=self.index.volumes.len() as u32).filter(|n| !self.volumes_here().contains(n)).collect()
    }

    /// The file of a volume at hand.
    pub fn volume_path(&self, number: u32) -> Option<PathBuf> {
        self.at_hand.file(number).map(|(dir, file)| dir.join(file))
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
        match self.at_hand.file(number) {
            Some((dir, file)) => volume_with(&self.index, number, dir, file, |entry| self.proven.table(number, || entry.block_hashes())),
            None => Err(Error::VolumeMissing(number)),
        }
    }
}
