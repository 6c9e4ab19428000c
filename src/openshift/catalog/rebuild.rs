//! The filtered catalog as an image.

use super::scan::{Found, is_within, scan};
use super::{CONFIGS, CONFIGS_LABEL, CatalogError, CatalogImage, ConfigFiles, Part, command};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::oci::{Descriptor, Kind, Platform};
use crate::openshift::build::{self, BuildError, Change, Layer, LayerBuilder};
use crate::openshift::files::{Files, Flow, Owner};
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet};

/// A catalog that was built again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its root, in the workspace. Layers that were kept are not there but where the catalog came from.
    pub root: Descriptor,
    /// Its platforms, in the order of the index.
    pub platforms: Vec<Platform>,
    /// The new layer of package documents: the same for every platform.
    pub configs: Descriptor,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl CatalogImage<'_> {
    /// Builds the catalog with other package documents: `fill` writes them below [`CONFIGS`], in order. `mtime` is in seconds
    /// since 1970.
    ///
    /// Layers that hold nothing but old documents and cache are left out; in layers that hold more, these are hidden. Every layer
    /// of every platform is read once for that. Signatures of the original do not hold for what is built.
    ///
    /// # Errors
    /// What cannot be read of the original, or stored in the workspace.
    pub fn rebuild(&self, mtime: u64, fill: &mut dyn FnMut(&mut LayerBuilder) -> Result<(), BuildError>) -> Result<Rebuilt, CatalogError> {
        let mut builder = LayerBuilder::new(self.blobs.workspace, &format!("configs-{}", self.root.hex()), mtime)?;
        builder.folder(CONFIGS)?;
        fill(&mut builder)?;
        let configs = builder.finish()?;
        let mut scanned = Scanned { folders: self.folders(), mtime, known: BTreeMap::new() };
        let mut notes = Vec::new();
        let mut made = Vec::new();
        for part in &self.parts {
            made.push(self.part(part, &configs, &mut scanned, &mut notes)?);
        }
        notes.extend(self.differing(&scanned)?);
        let made = self.parts.iter().map(|part| part.member.entry.clone()).zip(made).collect();
        let root = build::joined(self.blobs.workspace, (&self.root, &self.root_bytes, &self.root_manifest), made)?;
        notes.sort();
        notes.dedup();
        Ok(Rebuilt { root, platforms: self.platforms(), configs: configs.descriptor, notes })
    }

    /// A note where platforms have other documents than those that were filtered: all of them get these. Layers that platforms share
    /// need no comparing; what was built for each by itself is compared file by file.
    fn differing(&self, scanned: &Scanned) -> Result<Option<String>, CatalogError> {
        let Some(main) = self.main() else { return Ok(None) };
        let mut of_main = None;
        let mut others = Vec::new();
        for part in self.parts.iter().filter(|part| part.folder != main.folder || scanned.of(part) != scanned.of(main)) {
            if of_main.is_none() {
                of_main = Some(contents(&self.files_of(Some(main)))?);
            }
            if Some(contents(&self.files_of(Some(part)))?) != of_main {
                others.push(shown(&part.platform.to_string()).to_string());
            }
        }
        Ok((!others.is_empty()).then(|| {
            format!(
                "the catalog {} has other packages for {} than for {}; what was kept of the latter is carried for all of them",
                self.root,
                others.join(", "),
                shown(&main.platform.to_string())
            )
        }))
    }

    /// What shall go: documents and caches of any member.
    fn folders(&self) -> BTreeSet<String> {
        let named = self.parts.iter().flat_map(|part| command::caches(&part.config).into_iter().chain([part.folder.clone()]));
        let all: BTreeSet<String> = named.chain([CONFIGS.to_owned()]).collect();
        all.iter().filter(|folder| !all.iter().any(|other| other != *folder && is_within(folder, other))).cloned().collect()
    }

    fn part(&self, part: &Part, configs: &Layer, scanned: &mut Scanned, notes: &mut Vec<String>) -> Result<Descriptor, CatalogError> {
        let Kind::Image { layers, .. } = &part.member.manifest.kind else {
            return Err(CatalogError::NoCatalog { digest: part.member.digest });
        };
        let mut found = Vec::new();
        for layer in layers {
            found.push(scanned.layer(layer, self)?);
        }
        let hidden = Hidden::of(&found, &scanned.folders);
        let hide = hidden.layer(self, &part.member.digest, scanned.mtime)?;
        let command = command::command(&part.config);
        if command.opaque {
            notes.push(format!(
                "the catalog {} is started by a shell; whether it wants its cache cannot be told, and the cache is gone",
                shown(&self.root.to_string())
            ));
        }
        let change = Change {
            drop: hidden.drop,
            append: hide.into_iter().chain([configs.clone()]).collect(),
            created_by: "sealift: filtered catalog".into(),
            cmd: Some(command.cmd),
            entrypoint: command.entrypoint,
            labels: BTreeMap::from([(CONFIGS_LABEL.into(), format!("/{CONFIGS}"))]),
        };
        let image = (&part.member.digest, part.member.bytes.as_slice(), &part.member.manifest);
        Ok(build::edit(self.blobs.workspace, image, &part.config_bytes, &change)?)
    }
}

/// Layers that were read; those that members share, once.
struct Scanned {
    folders: BTreeSet<String>,
    mtime: u64,
    known: BTreeMap<Digest, Found>,
}

impl Scanned {
    fn layer(&mut self, layer: &Descriptor, catalog: &CatalogImage<'_>) -> Result<Found, CatalogError> {
        if let Some(found) = self.known.get(&layer.digest) {
            return Ok(found.clone());
        }
        let found = scan(layer, &self.folders, catalog.blobs)?;
        self.known.insert(layer.digest, found.clone());
        Ok(found)
    }
}

impl Scanned {
    /// The layers that a member has its documents in.
    fn of<'p>(&self, part: &'p Part) -> Vec<&'p Digest> {
        let Kind::Image { layers, .. } = &part.member.manifest.kind else { return Vec::new() };
        let touches = |found: &Found| found.touched.iter().any(|folder| is_within(&part.folder, folder));
        layers.iter().map(|layer| &layer.digest).filter(|digest| self.known.get(digest).is_some_and(touches)).collect()
    }
}

/// The digests of all documents.
fn contents(files: &ConfigFiles<'_>) -> Result<BTreeMap<String, Digest>, CatalogError> {
    let mut found = BTreeMap::new();
    files.each(&|_| true, &mut |path, content| {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = content.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else { break };
            hasher.update(bytes);
        }
        found.insert(path.to_owned(), hasher.finish());
        Ok(Flow::Continue)
    })?;
    Ok(found)
}

/// What is to be done about one image's layers.
struct Hidden {
    /// Layers that go.
    drop: BTreeSet<usize>,
    /// Paths that those that stay have to be hidden.
    gone: BTreeSet<String>,
    /// Folders that must be said again: they were in layers that go, or have something hidden in them.
    folders: BTreeMap<String, Owner>,
}

impl Hidden {
    fn of(found: &[Found], folders: &BTreeSet<String>) -> Hidden {
        let drop: BTreeSet<usize> = found.iter().enumerate().filter(|(_, layer)| layer.is_only_that()).map(|(i, _)| i).collect();
        let kept: Vec<&Found> = found.iter().enumerate().filter(|(i, _)| !drop.contains(i)).map(|(_, layer)| layer).collect();
        let all: Vec<&Found> = found.iter().collect();
        let gone: BTreeSet<String> = folders
            .iter()
            .filter(|folder| kept.iter().any(|layer| layer.touched.contains(*folder)))
            // Below a link there is nothing to hide by this path, and a folder in its place would change the image.
            .filter(|folder| above(folder).all(|path| topmost(&all, path) != Some(None)))
            .cloned()
            .collect();
        let mut said = BTreeMap::new();
        for path in folders.iter().flat_map(|folder| above(folder)) {
            let (whole, rest) = (topmost(&all, path), topmost(&kept, path));
            let holds = gone.iter().any(|hidden| hidden != path && is_within(hidden, path));
            match whole {
                Some(Some(owner)) if holds || rest != whole => said.insert(path.to_owned(), owner),
                None if holds => said.insert(path.to_owned(), usual(path)),
                _ => None,
            };
        }
        Hidden { drop, gone, folders: said }
    }

    /// The layer that hides them; none where nothing is to be said.
    fn layer(&self, catalog: &CatalogImage<'_>, member: &Digest, mtime: u64) -> Result<Option<Layer>, CatalogError> {
        if self.gone.is_empty() && self.folders.is_empty() {
            return Ok(None);
        }
        let mut builder = LayerBuilder::new(catalog.blobs.workspace, &format!("hidden-{}", member.hex()), mtime)?;
        for (path, owner) in &self.folders {
            builder.folder_of(path, *owner)?;
        }
        for path in &self.gone {
            builder.whiteout(path)?;
        }
        Ok(Some(builder.finish()?))
    }
}

/// How the topmost of these layers that has it has a folder.
fn topmost(layers: &[&Found], path: &str) -> Option<Option<Owner>> {
    layers.iter().rev().find_map(|layer| layer.above.get(path)).copied()
}

/// The folders that a path lies in, the root's own first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(|(at, _)| path.get(..at))
}

/// A folder that no layer mentions.
fn usual(path: &str) -> Owner {
    Owner { mode: if path == "tmp" { 0o1777 } else { 0o755 }, uid: 0, gid: 0 }
}
