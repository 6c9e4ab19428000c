//! An OCI image layout on disk (OCI image specification, "Image Layout"): the workspace of `pack`, a source
//! (`oci:DIR[:tag]`) and a target of `unpack`.
//!
//! A blob is visible under its digest only when it is whole and proven: it grows as `HEX.incomplete` in the same
//! folder ([`PartialBlob`]), is synced and then renamed. As a source a layout is never written to, not even for a lock,
//! so it may lie on a read-only medium. Everything is reached through directory handles and no link is followed below
//! the layout's own folder: a layout that came from somewhere else cannot point this program at other files.

mod collect;
mod error;
mod images;
mod made;
mod partial;
mod referrers;
mod store;
#[cfg(test)]
mod tests;
mod tree;

pub use collect::Collected;
pub use error::Error;
pub use images::{Held, Image};
pub use partial::PartialBlob;
pub use tree::{Lack, Missing};

use crate::digest::{Algorithm, Digest};
use crate::fs::{Dir, FsError, INCOMPLETE, Trouble};
use oci_spec::OciSpecError;
use oci_spec::image::{ImageIndexBuilder, MediaType, OciLayout, OciLayoutBuilder};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The file that marks a folder as a layout.
const MARK: &str = "oci-layout";
/// The list of images.
const INDEX: &str = "index.json";
/// The version this program writes; it reads every 1.x.
const VERSION: &str = "1.0.0";
/// The mark is a few dozen bytes; a folder that calls itself a layout may hold anything.
const MARK_BYTES: u64 = 4 << 10;

/// An open layout. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Layout {
    root: Dir,
    /// `blobs/ALGORITHM`, opened at first use, so that a layout without blobs can be read.
    folders: Arc<[OnceLock<Dir>; 2]>,
    /// What refers to what, found out at first use.
    subjects: Arc<OnceLock<referrers::Subjects>>,
}

impl Layout {
    /// Opens an existing layout and looks at its version. Writes nothing.
    pub fn open(path: &Path) -> Result<Layout, Error> {
        let root = Dir::open(path)?;
        let not_one = || Error::NotALayout { path: path.to_owned() };
        let mark = root.read_if_there(MARK, MARK_BYTES)?.ok_or_else(not_one)?;
        let mark: OciLayout = serde_json::from_slice(&mark)
            .map_err(|e| Error::Malformed { path: root.join(MARK), why: crate::text::shown(&e.to_string()).to_string() })?;
        let version = mark.image_layout_version();
        if !version.starts_with("1.") {
            return Err(Error::Version { path: path.to_owned(), version: crate::text::shown(version).to_string() });
        }
        Ok(Layout { root, folders: Arc::default(), subjects: Arc::default() })
    }

    /// Opens a layout, making it (and its parent folders) where there is none. A folder that holds anything else is refused.
    pub fn create(path: &Path) -> Result<Layout, Error> {
        let root = Dir::create(path)?;
        if root.size_of(MARK)?.is_some() {
            return Layout::open(path);
        }
        // What another or an interrupted `create` may have left; anything else belongs to somebody.
        let ours = |name: &str| matches!(name.strip_suffix(INCOMPLETE).unwrap_or(name), MARK | INDEX | "blobs");
        if !root.list()?.iter().all(|entry| ours(&entry.name)) {
            return Err(Error::NotEmpty { path: path.to_owned() });
        }
        make(&root)?;
        Layout::open(path)
    }

    /// Turns syncing off (or on, the default): for a workspace that may be lost with the power.
    pub fn durable(self, durable: bool) -> Layout {
        Layout { root: self.root.durable(durable), folders: Arc::default(), subjects: Arc::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Bytes that may still be written here.
    pub fn free(&self) -> Result<u64, Error> {
        Ok(self.root.free()?)
    }

    /// Removes a blob and what there is of an unfinished one, so that it can be stored anew: for blobs that turned out to be damaged,
    /// which [`has`](crate::blob::BlobSink::has) cannot see. Not an error when there is none.
    pub fn discard(&self, digest: &Digest) -> Result<(), Error> {
        if let Some(folder) = self.folder(digest.algorithm())? {
            folder.remove(&digest.hex())?;
            folder.remove(&in_making(digest))?;
        }
        Ok(())
    }

    /// `blobs/ALGORITHM` for reading; `None` where the layout has no such folder.
    fn folder(&self, algorithm: Algorithm) -> Result<Option<Dir>, Error> {
        let slot = self.slot(algorithm);
        if let Some(dir) = slot.get() {
            return Ok(Some(dir.clone()));
        }
        match self.root.open_sub("blobs").and_then(|blobs| blobs.open_sub(algorithm.name())) {
            Ok(dir) => Ok(Some(slot.get_or_init(|| dir).clone())),
            Err(e) if e.trouble() == Trouble::Absent => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// `blobs/ALGORITHM` for writing, made where it is missing.
    fn folder_made(&self, algorithm: Algorithm) -> Result<Dir, Error> {
        if let Some(dir) = self.folder(algorithm)? {
            return Ok(dir);
        }
        let dir = self.root.make_sub("blobs")?.make_sub(algorithm.name())?;
        Ok(self.slot(algorithm).get_or_init(|| dir).clone())
    }

    fn slot(&self, algorithm: Algorithm) -> &OnceLock<Dir> {
        let [sha256, sha512] = &*self.folders;
        match algorithm {
            Algorithm::Sha256 => sha256,
            Algorithm::Sha512 => sha512,
        }
    }
}

/// Writes what an empty layout consists of. The mark comes last, so a folder is a layout once everything is there; while it grows
/// it keeps other runs out, and its renaming lets them in, so no lock file stays behind.
fn make(root: &Dir) -> Result<(), Error> {
    let cannot = |e: OciSpecError| Error::Malformed { path: root.path().to_owned(), why: e.to_string() };
    let empty = ImageIndexBuilder::default().schema_version(2u32).media_type(MediaType::ImageIndex).manifests(Vec::new()).build();
    let mark = OciLayoutBuilder::default().image_layout_version(VERSION).build();
    let staging = format!("{MARK}{INCOMPLETE}");
    let mut held = root.open_held(&staging)?;
    // Another run may have been faster and may have listed images already.
    if root.size_of(MARK)?.is_some() {
        return Ok(root.remove(&staging)?);
    }
    root.make_sub("blobs")?.make_sub(Algorithm::Sha256.name())?;
    root.publish(INDEX, empty.and_then(|index| index.to_string()).map_err(cannot)?.as_bytes())?;
    held.truncate(0)?;
    let mark = mark.and_then(|mark| mark.to_string()).map_err(cannot)?;
    held.write_all(mark.as_bytes()).map_err(|e| FsError::from_io(e, "write", &root.join(MARK)))?;
    held.sync()?;
    Ok(root.rename(&staging, MARK)?)
}

/// What a blob's file is called until it is whole and proven.
fn in_making(digest: &Digest) -> String {
    format!("{}{INCOMPLETE}", digest.hex())
}
