//! A set on media, a registry and a layout, as unpacking sees them.

use super::media::{Media, MediaError, MediaTrouble, TakePart};
use super::target::{OpenBlob, PutAs, Target, TargetError, TargetTrouble};
use crate::archive::{self, OpenSet, PartId};
use crate::blob::BlobSink;
use crate::digest::Digest;
use crate::format::{Contents, Index};
use crate::fs::{Dir, Trouble};
use crate::layout::{self, Layout};
use crate::oci::Descriptor;
use crate::registry::{self, Client, ManifestRef, Repository};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

impl Media for OpenSet {
    fn index(&self) -> &Index {
        OpenSet::index(self)
    }

    fn identity(&self) -> Digest {
        OpenSet::identity(self)
    }

    fn contents(&self) -> &Contents {
        OpenSet::contents(self)
    }

    fn volumes_here(&self) -> &BTreeSet<u32> {
        OpenSet::volumes_here(self)
    }

    fn read_parts(&self, volume: u32, wanted: &[PartId], each: &mut TakePart<'_>) -> Result<(), MediaError> {
        OpenSet::read_parts(self, volume, wanted, each).map_err(|source| {
            let unreadable = matches!(&source, archive::Error::Fs(_) | archive::Error::VolumeMissing(_))
                || matches!(&source, archive::Error::Damaged(archive::Damage::Unreadable { .. }));
            let trouble = if unreadable { MediaTrouble::Unreadable } else { MediaTrouble::Damaged };
            MediaError { trouble, source: Box::new(source) }
        })
    }

    fn trouble(&self, error: &io::Error) -> MediaTrouble {
        match archive::Damage::of(error) {
            Some(archive::Damage::Unreadable { .. }) => MediaTrouble::Unreadable,
            _ => MediaTrouble::Damaged,
        }
    }
}

/// A registry as a target.
pub struct RegistryTarget {
    client: Client,
    host: String,
    prefix: String,
    repositories: Mutex<HashMap<String, Arc<Repository>>>,
    finishing: Arc<AtomicBool>,
}

impl RegistryTarget {
    /// Repositories of `host`, reached by `client`; `prefix` is only for the name. `finishing` is set once the run is over: a client
    /// that stops when the person asks to lets requests pass from then on.
    pub fn new(client: Client, host: &str, prefix: &str, finishing: Arc<AtomicBool>) -> RegistryTarget {
        RegistryTarget { client, host: host.to_owned(), prefix: prefix.to_owned(), repositories: Mutex::default(), finishing }
    }

    fn repository(&self, name: &str) -> Arc<Repository> {
        let fresh = || Arc::new(self.client.repository(&self.host, name));
        match self.repositories.lock() {
            Ok(mut known) => known.entry(name.to_owned()).or_insert_with(fresh).clone(),
            Err(_) => fresh(),
        }
    }
}

impl Target for RegistryTarget {
    fn name(&self) -> String {
        if self.prefix.is_empty() { self.host.clone() } else { format!("{}/{}", self.host, self.prefix) }
    }

    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool, TargetError> {
        Ok(self.repository(repository).head_manifest(&ManifestRef::Digest(*digest)).map_err(refused)?.is_some())
    }

    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError> {
        let head = self.repository(repository).head_manifest(&ManifestRef::Tag(tag.to_owned())).map_err(refused)?;
        Ok(head.map(|head| head.digest))
    }

    fn has_blob(&self, repository: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.repository(repository).has(blob).map_err(refused)
    }

    fn put_blob(&self, repository: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError> {
        self.repository(repository).put_proven(blob, open).map_err(refused)
    }

    fn mount_blob(&self, repository: &str, from: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.repository(repository).mount(blob, from).map_err(refused)
    }

    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let reference = match put_as {
            PutAs::Tag(tag) => ManifestRef::Tag(tag.to_owned()),
            PutAs::Digest(digest) => ManifestRef::Digest(*digest),
        };
        self.repository(repository).put_manifest(bytes, media_type, &reference).map_err(refused)?;
        Ok(())
    }

    fn delete_tag(&self, repository: &str, _: &str, digest: &Digest) -> Result<bool, TargetError> {
        // By digest: distribution 2.8 deletes nothing by tag, and with the manifest its tag is gone everywhere.
        match self.repository(repository).delete_manifest(&ManifestRef::Digest(*digest)) {
            Ok(()) => Ok(true),
            Err(
                registry::Error::Unsupported { .. }
                | registry::Error::Refused { .. }
                | registry::Error::Denied { .. }
                | registry::Error::LoginRefused { .. },
            ) => Ok(false),
            Err(error) => Err(refused(error)),
        }
    }

    fn finishing(&self) {
        self.finishing.store(true, Ordering::Relaxed);
    }
}

/// What a registry's failure means for the run.
fn refused(error: registry::Error) -> TargetError {
    use registry::Error as E;
    let trouble = match &error {
        E::Unreachable { .. }
        | E::BadHost { .. }
        | E::NotARegistry { .. }
        | E::Tls { .. }
        | E::BadCertificate { .. }
        | E::Runtime { .. } => TargetTrouble::Unreachable,
        E::RateLimited { .. } | E::Server { .. } | E::Stalled { .. } | E::ShortBody { .. } => TargetTrouble::Unreachable,
        E::LoginRefused { .. } | E::InsecureRealm { .. } | E::Credential { .. } => TargetTrouble::Login,
        E::Cancelled => TargetTrouble::Cancelled,
        E::BlobUnknown { .. } => TargetTrouble::BlobUnknown,
        E::ChildMissing { .. } => TargetTrouble::ChildMissing,
        E::ImmutableTag { .. } => TargetTrouble::ImmutableTag,
        E::Source { .. } => TargetTrouble::Content,
        E::NotFound { .. }
        | E::TooLarge { .. }
        | E::OverLimit { .. }
        | E::WrongDigest { .. }
        | E::WrongSize { .. }
        | E::Protocol { .. }
        | E::Redirect { .. }
        | E::ForeignLocation { .. }
        | E::Unsupported { .. }
        | E::Denied { .. }
        | E::Refused { .. } => TargetTrouble::Refused,
    };
    TargetError::new(trouble, error)
}

/// A layout as a target: blobs belong to no repository, images are named `repository:tag`.
pub struct LayoutTarget {
    layout: Layout,
    names: Mutex<Option<HashMap<String, Digest>>>,
}

impl LayoutTarget {
    /// Unpacks into `layout`.
    pub fn new(layout: Layout) -> LayoutTarget {
        LayoutTarget { layout, names: Mutex::default() }
    }

    /// The names in the layout, read once: this run is the one that changes them.
    fn with_names<T>(&self, ask: impl FnOnce(&mut HashMap<String, Digest>) -> T) -> Result<T, TargetError> {
        let mut names = self.names.lock().map_err(|_| TargetError::new(TargetTrouble::Refused, "a thread failed"))?;
        if names.is_none() {
            let images = self.layout.images().map_err(layout_error)?;
            *names = Some(images.into_iter().filter_map(|i| Some((i.name?, i.descriptor.digest))).collect());
        }
        Ok(ask(names.get_or_insert_default()))
    }
}

impl Target for LayoutTarget {
    fn name(&self) -> String {
        format!("oci:{}", self.layout.path().display())
    }

    fn has_manifest(&self, _: &str, digest: &Digest) -> Result<bool, TargetError> {
        // A layout never pushes a manifest before what it refers to, but it may have been tampered with: the tree is looked at.
        match self.layout.manifest(digest) {
            Ok(bytes) => {
                let root = Descriptor::new("", *digest, bytes.len() as u64);
                Ok(self.layout.missing(&root, |child| self.layout.manifest(&child.digest).is_ok()).map_err(layout_error)?.is_empty())
            }
            Err(layout::Error::NoBlob { .. } | layout::Error::Damaged { .. }) => Ok(false),
            Err(error) => Err(layout_error(error)),
        }
    }

    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError> {
        self.with_names(|names| names.get(&format!("{repository}:{tag}")).copied())
    }

    fn has_blob(&self, _: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.layout.has(blob).map_err(layout_error)
    }

    fn put_blob(&self, _: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError> {
        self.layout.put(blob, open).map_err(layout_error)
    }

    fn mount_blob(&self, _: &str, _: &str, blob: &Descriptor) -> Result<bool, TargetError> {
        self.layout.has(blob).map_err(layout_error)
    }

    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
        let mut open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn io::Read + Send>);
        self.layout.put(&descriptor, &mut open).map_err(layout_error)?;
        if let PutAs::Tag(tag) = put_as {
            let name = format!("{repository}:{tag}");
            self.layout.tag(&name, &descriptor).map_err(layout_error)?;
            self.with_names(|names| names.insert(name, descriptor.digest))?;
        }
        Ok(())
    }

    fn delete_tag(&self, _: &str, _: &str, _: &Digest) -> Result<bool, TargetError> {
        Ok(false)
    }

    fn collects_garbage(&self) -> bool {
        false
    }

    fn free_space(&self) -> Option<u64> {
        self.layout.free().ok()
    }

    fn adopt_file(&self, _: &str, blob: &Descriptor, dir: &Dir, name: &str) -> Result<bool, TargetError> {
        self.layout.adopt(blob, dir, name).map_err(layout_error)
    }
}

fn layout_error(error: layout::Error) -> TargetError {
    let trouble = match &error {
        layout::Error::Fs(inner) if inner.trouble() == Trouble::NoSpace => TargetTrouble::NoSpace,
        layout::Error::Fs(inner) if inner.trouble() == Trouble::NotWritable => TargetTrouble::Login,
        layout::Error::Fs(_) => TargetTrouble::Unreachable,
        layout::Error::Wrong(_) | layout::Error::Source { .. } => TargetTrouble::Content,
        _ => TargetTrouble::Refused,
    };
    TargetError::new(trouble, error)
}
