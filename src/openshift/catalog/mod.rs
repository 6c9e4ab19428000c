//! Operator catalogs as images: read, filtered, built again.
//!
//! A catalog pod runs `opm serve` on the folder of package documents that a label names. Catalogs are published with a cache computed
//! from these documents; once they are filtered it is wrong, and where its integrity is enforced the pod ends at once. So the
//! rebuilt image has no cache, and a command that asks for none.

mod command;
mod rebuild;
mod scan;
#[cfg(test)]
mod tests;

pub use rebuild::Rebuilt;

use crate::digest::Digest;
use crate::layout::Layout;
use crate::oci::{Manifest, Platform};
use crate::openshift::build::BuildError;
use crate::openshift::files::{Blobs, Files, FilesError, Flow, ImageConfig, ImageFiles, Member, Visit, normal, selected};
use crate::origin::Origin;
use crate::progress::Progress;
use crate::text::shown;
use std::io;

/// The folder of package documents in a file-based catalog (operator-registry, "File-based Catalogs").
pub const CONFIGS_LABEL: &str = "operators.operatorframework.io.index.configs.v1";
/// The database of a catalog in the old form.
pub const DATABASE_LABEL: &str = "operators.operatorframework.io.index.database.v1";
/// Where a rebuilt catalog has its documents; without the leading `/`, as paths of layers are.
pub const CONFIGS: &str = "configs";

/// Why a catalog cannot be read or built again.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Its files cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// It cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A catalog in the SQLite form, which has been given up by those who publish catalogs.
    #[error("{digest} is a catalog in the old SQLite form; only file-based catalogs can be read")]
    Database {
        /// The image.
        digest: Digest,
    },
    /// No catalog at all.
    #[error("{digest} is not an operator catalog: it has no label {CONFIGS_LABEL}")]
    NoCatalog {
        /// The image.
        digest: Digest,
    },
    /// The label names no folder of its own.
    #[error("{digest} says that its documents are in {}, which is no folder of its own", shown(.folder))]
    Folder {
        /// The image.
        digest: Digest,
        /// As the label has it.
        folder: String,
    },
}

/// One architecture of a catalog.
struct Part {
    member: Member,
    config: ImageConfig,
    config_bytes: Vec<u8>,
    platform: Platform,
    /// Where its documents are, normalised.
    folder: String,
}

/// A catalog image, opened: its configurations have been read, none of its layers.
pub struct CatalogImage<'a> {
    blobs: Blobs<'a>,
    root: Digest,
    root_bytes: Vec<u8>,
    root_manifest: Manifest,
    parts: Vec<Part>,
}

impl<'a> CatalogImage<'a> {
    /// Opens the catalog behind `root`, with these members of an index; no platform means all of them.
    ///
    /// # Errors
    /// What is no file-based catalog, by name; [`crate::origin::OriginError::Platform`] when a platform asked for is not there.
    pub fn open(
        origin: &'a dyn Origin,
        root: Digest,
        workspace: &'a Layout,
        platforms: &[Platform],
        stopped: &'a dyn Fn() -> bool,
        progress: &'a dyn Progress,
    ) -> Result<CatalogImage<'a>, CatalogError> {
        let blobs = Blobs { origin, workspace, stopped, progress };
        let (root_bytes, root_manifest) = blobs.manifest(&root)?;
        let mut parts = Vec::new();
        for member in selected(&root, origin, platforms)? {
            parts.extend(part(member, blobs)?);
        }
        if parts.is_empty() {
            return Err(CatalogError::NoCatalog { digest: root });
        }
        Ok(CatalogImage { blobs, root, root_bytes, root_manifest, parts })
    }

    /// The digest it was opened by.
    pub fn root(&self) -> Digest {
        self.root
    }

    /// The platforms it was opened with, in the order of the index.
    pub fn platforms(&self) -> Vec<Platform> {
        self.parts.iter().map(|part| part.platform.clone()).collect()
    }

    /// The package documents, by paths relative to their folder. They should be the same for every architecture of a catalog; these
    /// are those of `linux/amd64`, or of the first there is. [`CatalogImage::rebuild`] notes where others differ.
    pub fn files(&self) -> ConfigFiles<'a> {
        self.files_of(self.main())
    }

    /// The part whose documents count.
    fn main(&self) -> Option<&Part> {
        let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        self.parts.iter().find(|part| amd64.selects(&part.platform)).or(self.parts.first())
    }

    fn files_of(&self, part: Option<&Part>) -> ConfigFiles<'a> {
        let empty = Manifest { media_type: String::new(), kind: crate::oci::Kind::Index { children: Vec::new() }, subject: None };
        let manifest = part.map_or(&empty, |part| &part.member.manifest);
        let folder = part.map_or_else(String::new, |part| part.folder.clone());
        ConfigFiles { image: ImageFiles::of(self.blobs, manifest).below(&folder), folder }
    }
}

/// Reads what a member says about itself; `None` for what has no platform (artifacts that an index lists).
fn part(member: Member, blobs: Blobs<'_>) -> Result<Option<Part>, CatalogError> {
    let (config, config_bytes) = ImageConfig::read(&member.manifest, blobs)?;
    let platform = member.platform.clone().filter(|p| !p.architecture.is_empty()).unwrap_or_else(|| config.platform());
    if member.entry.is_some() && platform.architecture.is_empty() {
        return Ok(None);
    }
    let digest = member.digest;
    let folder = match (config.labels.get(CONFIGS_LABEL), config.labels.get(DATABASE_LABEL)) {
        (Some(folder), _) => folder.clone(),
        (None, Some(_)) => return Err(CatalogError::Database { digest }),
        (None, None) => return Err(CatalogError::NoCatalog { digest }),
    };
    match normal(&folder) {
        Ok(path) if command::is_own(&path) => Ok(Some(Part { member, config, config_bytes, platform, folder: path })),
        _ => Err(CatalogError::Folder { digest, folder }),
    }
}

/// The package documents of a catalog.
pub struct ConfigFiles<'a> {
    image: ImageFiles<'a>,
    folder: String,
}

impl ConfigFiles<'_> {
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.folder.as_str())?.strip_prefix('/')
    }

    /// True for the folder itself and those it lies in: where one of them is a link or a file, there are no documents to be read.
    fn leads_there(&self, path: &str) -> bool {
        self.folder.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Files for ConfigFiles<'_> {
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError> {
        let of_image = |path: &str| self.below(path).map_or_else(|| self.leads_there(path), wanted);
        self.image.each(&of_image, &mut |path, content| match self.below(path) {
            Some(relative) => visit(relative, content),
            None => Err::<Flow, _>(io::Error::new(io::ErrorKind::NotADirectory, "it is a file; a catalog has its documents in a folder")),
        })
    }
}
