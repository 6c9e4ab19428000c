//! An image's file system, read from its layers.

use super::cover::{Cover, about};
use super::entries::{Bad, Entries, Entry, Kind, plain};
use super::{Blobs, Files, FilesError, Flow, Visit};
use crate::digest::Digest;
use crate::layout::Layout;
use crate::limits;
use crate::oci::{Descriptor, Manifest};
use crate::origin::Origin;
use crate::progress::Progress;
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::sync::Mutex;

/// The files of one image. Layers are fetched one by one from the top down, and only as far as the visitor reads.
pub struct ImageFiles<'a> {
    blobs: Blobs<'a>,
    /// The top first.
    layers: Vec<Descriptor>,
    /// Only files below this folder are looked for; empty: all.
    folder: String,
    /// Layers that were read through and have nothing of that folder, and nothing that hides any of it.
    without: Mutex<HashSet<Digest>>,
}

impl<'a> ImageFiles<'a> {
    /// The files of the image that `manifest` (one image, no index) describes. Its layers are brought into the workspace when they
    /// are read.
    pub fn new(
        origin: &'a dyn Origin,
        workspace: &'a Layout,
        manifest: Manifest,
        stopped: &'a dyn Fn() -> bool,
        progress: &'a dyn Progress,
    ) -> ImageFiles<'a> {
        ImageFiles::of(Blobs { origin, workspace, stopped, progress }, &manifest)
    }

    /// [`ImageFiles::new`] with its surroundings put together already. An index has no files.
    pub fn of(blobs: Blobs<'a>, manifest: &Manifest) -> ImageFiles<'a> {
        let layers = match &manifest.kind {
            crate::oci::Kind::Image { layers, .. } => layers.iter().rev().cloned().collect(),
            crate::oci::Kind::Index { .. } => Vec::new(),
        };
        ImageFiles { blobs, layers, folder: String::new(), without: Mutex::default() }
    }

    /// Restricts it to a folder (a normalised path): what is elsewhere is neither visited nor kept track of, and a layer that has
    /// nothing of it is read once only.
    #[must_use]
    pub fn below(self, folder: &str) -> ImageFiles<'a> {
        ImageFiles { folder: folder.to_owned(), without: Mutex::default(), ..self }
    }

    fn is_without(&self, layer: &Descriptor) -> bool {
        self.without.lock().is_ok_and(|without| without.contains(&layer.digest))
    }
}

impl Files for ImageFiles<'_> {
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError> {
        let mut above = Cover::default();
        for layer in self.layers.iter().filter(|layer| !self.is_without(layer)) {
            if (self.blobs.stopped)() {
                return Err(FilesError::Interrupted);
            }
            let (own, given) = (Cover::default(), HashSet::new());
            let mut reading = Reading { blobs: self.blobs, layer, folder: &self.folder, wanted, above: &above, own, given, related: false };
            if reading.read(visit)? == Flow::Stop {
                return Ok(());
            }
            if let Ok(mut without) = self.without.lock()
                && !reading.related
            {
                without.insert(layer.digest);
            }
            let own = reading.own;
            above.add(own).map_err(|bad| told(layer, bad))?;
        }
        Ok(())
    }
}

/// One layer being read.
struct Reading<'a> {
    blobs: Blobs<'a>,
    layer: &'a Descriptor,
    folder: &'a str,
    wanted: &'a dyn Fn(&str) -> bool,
    above: &'a Cover,
    own: Cover,
    /// Paths handed out from this layer.
    given: HashSet<String>,
    /// True once something is there that concerns the folder.
    related: bool,
}

type Layer = Entries<Box<dyn Read>>;

/// By the name of the file that holds the content, the wanted names of it.
type Links = BTreeMap<String, BTreeSet<String>>;

impl Reading<'_> {
    fn read(&mut self, visit: Visit<'_>) -> Result<Flow, FilesError> {
        let done = self.files(visit);
        // What makes no sense may be the disk's doing.
        if let Err(FilesError::Layer { .. } | FilesError::Fetch(_)) = &done {
            self.blobs.blame(self.layer)?;
        }
        done
    }

    fn files(&mut self, visit: Visit<'_>) -> Result<Flow, FilesError> {
        let mut entries = self.open()?;
        let mut links = Links::new();
        while let Some(entry) = self.next(&mut entries)? {
            if !self.concerns(&entry)? {
                continue;
            }
            self.related = true;
            let file = self.own.note(&entry).map_err(|bad| told(self.layer, bad))?;
            if !file || !(self.wanted)(&entry.path) || !self.above.shows(&entry.path) {
                continue;
            }
            match entry.kind {
                Kind::Folder | Kind::Other => {}
                Kind::SymLink(target) => return Err(FilesError::Link { path: entry.path, target }),
                Kind::Sparse => return Err(self.bad(format!("{} is a sparse file", shown(&entry.path)))),
                Kind::HardLink(target) => {
                    links.entry(target).or_default().insert(entry.path);
                }
                Kind::File => {
                    if self.give(&entry.path, &mut entries, visit)? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
            }
        }
        if links.is_empty() { Ok(Flow::Continue) } else { self.linked(links, visit) }
    }

    /// Reads the layer again for files that are wanted by other names, once for each further name of one file.
    fn linked(&mut self, links: Links, visit: Visit<'_>) -> Result<Flow, FilesError> {
        let mut links = self.first_names(links)?;
        for _ in 0..limits::HARD_LINKS {
            let mut entries = self.open()?;
            let mut given = false;
            while let Some(entry) = self.next(&mut entries)? {
                let Some(name) = links.get_mut(&entry.path).filter(|_| entry.kind == Kind::File).and_then(BTreeSet::pop_first) else {
                    continue;
                };
                given = true;
                if self.give(&name, &mut entries, visit)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            links.retain(|_, names| !names.is_empty());
            match links.keys().next() {
                None => return Ok(Flow::Continue),
                Some(target) if !given => {
                    return Err(self.bad(format!("a hard link leads to {}, which is no file of it", shown(target))));
                }
                Some(_) => {}
            }
        }
        Err(self.bad("a file has more hard links than are followed".into()))
    }

    /// A hard link is to an earlier file of the same layer; where that is a link too, it is so to one before it.
    fn first_names(&self, mut links: Links) -> Result<Links, FilesError> {
        let mut entries = self.open()?;
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while let Some(entry) = self.next(&mut entries)? {
            if let Kind::HardLink(target) = entry.kind {
                bytes += entry.path.len() + target.len();
                if bytes > limits::IMAGE_PATHS_BYTES {
                    return Err(self.bad("it has more hard links than are kept track of".into()));
                }
                pairs.push((entry.path, target));
            }
        }
        for (path, target) in pairs.into_iter().rev() {
            if let Some(names) = links.remove(&path) {
                links.entry(target).or_default().extend(names);
            }
        }
        Ok(links)
    }

    fn give(&mut self, path: &str, entries: &mut Layer, visit: Visit<'_>) -> Result<Flow, FilesError> {
        // Unpacked, the later one would win; no builder writes a file twice.
        if !self.given.insert(path.to_owned()) {
            return Err(self.bad(format!("it has {} twice", shown(path))));
        }
        let mut content = Content { entries, failed: None };
        let flow = visit(path, &mut content);
        match (flow, content.failed) {
            (_, Some(why)) => Err(self.bad(why)),
            (Ok(flow), None) => Ok(flow),
            (Err(error), None) => Err(FilesError::Visitor { path: path.to_owned(), error }),
        }
    }

    /// True for what is in the folder or above it, and for marks that are about such a path.
    fn concerns(&self, entry: &Entry) -> Result<bool, FilesError> {
        let path = about(&entry.path).map_err(|bad| told(self.layer, bad))?;
        let within = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let all = self.folder.is_empty() || path.is_empty() && !entry.path.is_empty();
        Ok(all || within(&path, self.folder) || !path.is_empty() && within(self.folder, &path))
    }

    fn open(&self) -> Result<Layer, FilesError> {
        let reader = self.blobs.open(self.layer)?;
        Ok(Entries::new(plain(reader).map_err(|e| told(self.layer, Bad::Read(e)))?))
    }

    fn next(&self, entries: &mut Layer) -> Result<Option<Entry>, FilesError> {
        if (self.blobs.stopped)() {
            return Err(FilesError::Interrupted);
        }
        entries.next().map_err(|bad| told(self.layer, bad))
    }

    fn bad(&self, why: String) -> FilesError {
        FilesError::Layer { digest: self.layer.digest, why }
    }
}

/// What went wrong with a layer. The compression's own words come through errors of reading.
pub(in crate::openshift) fn told(layer: &Descriptor, bad: Bad) -> FilesError {
    let why = match bad {
        Bad::Archive(why) => why,
        Bad::Read(error) => match crate::blob::Wrong::of(&error) {
            Some(wrong) => return crate::layout::Error::Wrong(wrong.clone()).into(),
            None if crate::fs::FsError::of(&error).is_some() => return crate::origin::FetchError::Read(error).into(),
            None => shown(&error.to_string()).to_string(),
        },
    };
    FilesError::Layer { digest: layer.digest, why }
}

/// The content of a file; remembers when the layer, and not the visitor, is at fault.
struct Content<'e> {
    entries: &'e mut Layer,
    failed: Option<String>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.entries.read(buffer).inspect_err(|e| self.failed = Some(shown(&e.to_string()).to_string()))
    }
}
