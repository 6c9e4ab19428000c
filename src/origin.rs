//! Where images come from: a repository of a registry, a layout on disk, or what this program made itself, behind one face.

mod mirrored;

pub use mirrored::{AllTried, Mirrored, Told, Tried};

use crate::blob::{BlobSink, Wrong};
use crate::digest::Digest;
use crate::image_set::Source;
use crate::layout::PartialBlob;
use crate::layout::{self, Layout};
use crate::oci::referrers::{COSIGN_SUFFIXES, Referrer, ReferrerFilter, cosign_tag, fallback_tag};
use crate::oci::{Descriptor, ManifestError};
use crate::progress::Progress;
use crate::registry::mirrors::NoPlace;
use crate::registry::{self, ManifestRef, Missing, Repository};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

/// One source of images.
pub trait Origin: Send + Sync {
    /// Digest of the image that the source's tag (or digest) names now, and the name a layout's entry gives itself.
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError>;

    /// A manifest by digest: bytes that have this digest, and what the source calls their type.
    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError>;

    /// A blob from `offset` on; not verified.
    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError>;

    /// True when blobs are files on this machine: they are read in place instead of being copied to the workspace.
    fn is_local(&self) -> bool {
        false
    }

    /// All tags; none where the source cannot list them.
    fn tags(&self) -> Result<Vec<String>, OriginError> {
        Ok(Vec::new())
    }

    /// What is said to refer to a manifest, as far as it is wanted; whether an entry without a tag really does, its own `subject`
    /// tells. None where the source cannot say.
    fn referrers(&self, subject: &Digest, filter: &ReferrerFilter) -> Result<Vec<Referrer>, OriginError> {
        let _ = (subject, filter);
        Ok(Vec::new())
    }
}

/// Opens origins; asked once per image.
pub trait Origins: Sync {
    /// The origin of a source. Equal repositories give equal connections.
    fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError>;

    /// The origin of an image this program made: what was made lies in the workspace, the rest comes from `base`.
    fn open_made(&self, base: Option<&Source>) -> Result<Arc<dyn Origin>, OriginError> {
        let _ = base;
        Err(OriginError::NoWorkspace)
    }
}

/// What a source answered instead of content.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// A registry.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
    /// A layout.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// `registries.conf` leaves no place to ask.
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    /// No place that `registries.conf` names delivers it.
    #[error("no place delivers it: {0}")]
    Places(Box<AllTried>),
    /// The repository answers, but has no such tag.
    #[error("{name} has no image {tag:?}")]
    NoImage {
        /// Host and repository.
        name: String,
        /// The tag asked for.
        tag: String,
    },
    /// A manifest cannot be carried.
    #[error("manifest {digest}: {error}")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Why.
        error: ManifestError,
    },
    /// The image has none of the platforms asked for.
    #[error("it has no {wanted}; it has {there}")]
    Platform {
        /// As asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Indexes in indexes without end.
    #[error("index {0} is nested too deeply")]
    Depth(Digest),
    /// More is said to refer to a manifest than anyone attaches.
    #[error("{count} things are said to refer to {subject}; more than any real image has")]
    Referrers {
        /// The manifest.
        subject: Digest,
        /// How many.
        count: usize,
    },
    /// It cannot be given a name at the target.
    #[error(transparent)]
    Name(#[from] crate::image_set::DestinationError),
    /// An image that is made while planning is asked for where nothing can be made.
    #[error("there is no workspace to take it from")]
    NoWorkspace,
    /// What was made while planning is not in this workspace: the plan is from another machine, or the workspace was cleared.
    #[error("{0} was made while planning and is not in the workspace")]
    NotMade(Digest),
}

/// What kept a blob from reaching the workspace.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Its source.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The workspace: the disk, or wrong bytes from the source.
    #[error(transparent)]
    Workspace(#[from] layout::Error),
    /// It broke off while it was read.
    #[error("{0}")]
    Read(io::Error),
}

/// Brings a blob into the workspace, unless it is there. It is hashed while it is written, once; what an interrupted run left is
/// taken up in the middle.
///
/// Where bytes of an earlier run come before wrong ones, those may be at fault (a power cut leaves anything in a file that
/// was not synced): then all of it is fetched once more.
pub fn fetch_into(
    workspace: &Layout,
    origin: &dyn Origin,
    blob: &Descriptor,
    stopped: &dyn Fn() -> bool,
    progress: &dyn Progress,
) -> Result<(), FetchError> {
    if workspace.has(blob)? {
        return Ok(());
    }
    let fetch = Fetching { workspace, origin, blob, stopped, progress };
    let mut partial = workspace.partial(blob)?;
    let resumed = partial.offset() > 0;
    progress.advance(partial.offset());
    match fetch.fill(partial) {
        Err(FetchError::Workspace(layout::Error::Wrong(Wrong::Digest { .. }))) if resumed => {
            partial = workspace.partial(blob)?;
            fetch.fill(partial)
        }
        done => done,
    }
}

struct Fetching<'a> {
    workspace: &'a Layout,
    origin: &'a dyn Origin,
    blob: &'a Descriptor,
    stopped: &'a dyn Fn() -> bool,
    progress: &'a dyn Progress,
}

impl Fetching<'_> {
    fn fill(&self, mut partial: PartialBlob) -> Result<(), FetchError> {
        if partial.offset() < self.blob.size {
            let mut reader = self.origin.open_at(self.blob, partial.offset())?;
            let mut buffer = vec![0; 128 << 10];
            // One byte more than the size would be noticed by the layout as too long.
            loop {
                let n = reader.read(&mut buffer).map_err(FetchError::Read)?;
                let Some(bytes) = buffer.get(..n).filter(|bytes| !bytes.is_empty()) else { break };
                partial.write_all(bytes).map_err(|e| match Wrong::of(&e) {
                    Some(wrong) => FetchError::Workspace(layout::Error::Wrong(wrong.clone())),
                    None => FetchError::Workspace(layout::Error::Fs(crate::fs::FsError::from_io(e, "write", self.workspace.path()))),
                })?;
                self.progress.advance(n as u64);
                if (self.stopped)() {
                    return Err(FetchError::Read(io::Error::from(io::ErrorKind::Interrupted)));
                }
            }
        }
        Ok(partial.finish()?)
    }
}

/// Bytes, and what the source calls their type.
type Document = (Vec<u8>, Option<String>);

/// An origin whose answers about names and manifests are remembered: each is asked for once in a run, and a tag means one image
/// from its beginning to its end. What is remembered is what the plan keeps anyway.
pub struct Remembering<O> {
    inner: O,
    names: Mutex<HashMap<String, (Digest, Option<String>)>>,
    manifests: Mutex<HashMap<Digest, Document>>,
}

impl<O> Remembering<O> {
    /// Remembers from now on.
    pub fn new(inner: O) -> Remembering<O> {
        Remembering { inner, names: Mutex::default(), manifests: Mutex::default() }
    }
}

impl<O: Origin> Origin for Remembering<O> {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let name = source.to_string();
        if let Some(known) = self.names.lock().ok().and_then(|known| known.get(&name).cloned()) {
            return Ok(known);
        }
        let answer = self.inner.resolve(source)?;
        if let Ok(mut known) = self.names.lock() {
            return Ok(known.entry(name).or_insert(answer).clone());
        }
        Ok(answer)
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        if let Some(known) = self.manifests.lock().ok().and_then(|known| known.get(digest).cloned()) {
            return Ok(known);
        }
        let answer = self.inner.manifest(digest)?;
        if let Ok(mut known) = self.manifests.lock() {
            known.insert(*digest, answer.clone());
        }
        Ok(answer)
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        self.inner.open_at(blob, offset)
    }

    fn is_local(&self) -> bool {
        self.inner.is_local()
    }

    fn tags(&self) -> Result<Vec<String>, OriginError> {
        self.inner.tags()
    }

    fn referrers(&self, subject: &Digest, filter: &ReferrerFilter) -> Result<Vec<Referrer>, OriginError> {
        self.inner.referrers(subject, filter)
    }
}

/// An image this program made: its own parts are in the workspace, the others at what it was made from.
pub struct MadeOrigin {
    workspace: Layout,
    base: Option<Arc<dyn Origin>>,
}

impl MadeOrigin {
    /// `base` is where blobs come from that are not in `workspace`.
    pub fn new(workspace: Layout, base: Option<Arc<dyn Origin>>) -> MadeOrigin {
        MadeOrigin { workspace, base }
    }
}

impl Origin for MadeOrigin {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        self.base.as_ref().ok_or(OriginError::NoWorkspace)?.resolve(source)
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        match (self.workspace.manifest(digest), &self.base) {
            (Ok(bytes), _) => Ok((bytes, None)),
            (Err(layout::Error::NoBlob { .. }), Some(base)) => base.manifest(digest),
            (Err(layout::Error::NoBlob { .. }), None) => Err(OriginError::NotMade(*digest)),
            (Err(other), _) => Err(other.into()),
        }
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        if self.workspace.has(blob)? {
            return Origin::open_at(&self.workspace, blob, offset);
        }
        // What neither has was made: nobody else ever had it.
        match self.base.as_ref().ok_or(OriginError::NotMade(blob.digest))?.open_at(blob, offset) {
            Err(OriginError::Registry(crate::registry::Error::NotFound { .. }) | OriginError::Layout(layout::Error::NoBlob { .. })) => {
                Err(OriginError::NotMade(blob.digest))
            }
            done => done,
        }
    }
}

impl Origin for Layout {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let wanted = match source {
            Source::Layout { digest: Some(digest), .. } => Some(digest.to_string()),
            Source::Layout { tag, .. } => tag.clone(),
            Source::Registry(_) | Source::Made(_) => None,
        };
        let descriptor = Layout::resolve(self, wanted.as_deref())?;
        let name = descriptor.annotations.get("org.opencontainers.image.ref.name").cloned();
        Ok((descriptor.digest, name))
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Ok((Layout::manifest(self, digest)?, None))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        let mut reader = crate::blob::BlobSource::open(self, blob)?;
        let skipped = std::io::copy(&mut reader.by_ref().take(offset), &mut std::io::sink());
        skipped.map_err(|e| layout::Error::Fs(crate::fs::FsError::from_io(e, "read", self.path())))?;
        Ok(reader)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn referrers(&self, subject: &Digest, filter: &ReferrerFilter) -> Result<Vec<Referrer>, OriginError> {
        Ok(Layout::referrers(self, subject, filter)?)
    }
}

impl Origin for Repository {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let Source::Registry(reference) = source else { return Err(no_image(self, "")) };
        if let Some(digest) = reference.digest {
            return Ok((digest, None));
        }
        let tag = reference.tag.clone().unwrap_or_default();
        let named = ManifestRef::Tag(tag.clone());
        if let Some(head) = self.head_manifest(&named)? {
            return Ok((head.digest, None));
        }
        // Some do not know HEAD and say 404; of the others the words tell a missing repository from a missing tag.
        match Repository::manifest(self, &named) {
            Ok(found) => Ok((found.digest, None)),
            Err(registry::Error::NotFound { what: Missing::Manifest, .. }) => Err(no_image(self, &tag)),
            Err(other) => Err(other.into()),
        }
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        let fetched = Repository::manifest(self, &ManifestRef::Digest(*digest))?;
        Ok((fetched.bytes, fetched.content_type))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        Ok(Box::new(Repository::open_at(self, blob, offset)?))
    }

    fn tags(&self) -> Result<Vec<String>, OriginError> {
        Ok(Repository::tags(self)?)
    }

    /// The API where there is one, else the fallback tag; cosign's tags either way, which no API lists.
    fn referrers(&self, subject: &Digest, filter: &ReferrerFilter) -> Result<Vec<Referrer>, OriginError> {
        let list = match filter.asks_list() {
            true => Repository::referrers(self, subject)?,
            false => None,
        };
        let by_tag = filter.asks_list() && list.is_none();
        let mut wanted: Vec<String> =
            COSIGN_SUFFIXES.into_iter().filter(|suffix| filter.asks_tag(suffix)).map(|suffix| cosign_tag(subject, suffix)).collect();
        let (signature, fallback) = (cosign_tag(subject, "sig"), fallback_tag(subject));
        // One list of all tags saves the questions about every manifest of the repository; but see `ReferrerFilter::is_judged`.
        let is_sure = |tag: &String| filter.is_judged() && [&signature, &fallback].contains(&tag);
        let saved = wanted.iter().chain(by_tag.then_some(&fallback)).filter(|tag| !is_sure(tag)).count();
        let tags = self.all_tags(saved)?;
        let may_be = |tag: &String| is_sure(tag) || tags.as_ref().is_none_or(|tags| tags.contains(tag));
        wanted.retain(may_be);
        let mut found = Vec::new();
        for tag in wanted {
            let head = self.head_manifest(&ManifestRef::Tag(tag.clone()))?;
            found.extend(head.map(|head| Referrer { digest: head.digest, tag: Some(tag) }));
        }
        let list = match list {
            None if by_tag && may_be(&fallback) => self.fallback_referrers(subject)?,
            list => list,
        };
        found.extend(list.into_iter().flatten().map(|entry| Referrer { digest: entry.digest, tag: None }));
        Ok(found)
    }
}

fn no_image(repository: &Repository, tag: &str) -> OriginError {
    OriginError::NoImage { name: format!("{}/{}", repository.host(), repository.name()), tag: tag.to_owned() }
}
