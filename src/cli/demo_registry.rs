//! The registries of `sealift demo`: the embedded one, once for each side, on a port of loopback that was free.

use crate::error::{Error, Side};
use crate::image_set::Source;
use crate::layout::Layout;
use crate::oci::Manifest;
use crate::origin::{Origin, OriginError, Origins};
use crate::registry::{self, Client, ManifestRef, Repository};
use crate::serve::{self, Access, Anonymous, LayoutStore, Server};
use crate::{blob, digest::Digest};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// A registry that runs until it is dropped.
pub(super) struct Running {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Serves the layout in `folder`, which everybody may pull from; with `pushes` they may push too, and it is made where there is none.
    pub fn start(folder: &Path, pushes: bool) -> Result<Running, Error> {
        let store = match pushes {
            true => LayoutStore::open(folder, false, super::now())?,
            false => LayoutStore::open_read_only(folder).map_err(serve::Error::Store)?,
        };
        let ended = Arc::new(AtomicBool::new(false));
        let asked = ended.clone();
        let options = serve::Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: None,
            access: Access::new(if pushes { Anonymous::Push } else { Anonymous::Pull }, None)?,
            log: Arc::new(|_| {}),
            clock: super::now,
            cancelled: Arc::new(move || asked.load(Ordering::Relaxed)),
            hourly: Arc::new(|| {}),
        };
        let server = Server::bind(Box::new(store), options)?;
        let address = server.address();
        // A listener that breaks is met by the next request.
        let run = move || drop(server.run());
        let thread = std::thread::Builder::new().name("demo".into()).spawn(run);
        let thread = thread.map_err(|e| Error::bug("no thread can be started").because(e))?;
        Ok(Running { address, ended, thread: Some(thread) })
    }

    /// `address:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Names the compiled-in images as a registry does.
pub(super) fn name_images(folder: &Path, names: &[(&str, String)]) -> Result<(), Error> {
    let fail = |e: crate::layout::Error| crate::error::layout(&e, Side::Source);
    let layout = Layout::open(folder).map_err(fail)?.durable(false);
    for (old, new) in names {
        let image = layout.resolve(Some(old)).map_err(fail)?;
        layout.tag(new, &image).map_err(fail)?;
    }
    Ok(())
}

/// Registries as the sources of a pack.
pub(super) struct Outside<'a>(pub &'a Client);

impl Origins for Outside<'_> {
    fn open(&self, source: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        match source {
            Source::Registry(reference) => Ok(Arc::new(self.0.repository(&reference.host, &reference.repository))),
            Source::Layout { .. } | Source::Made(_) => Err(OriginError::NoWorkspace),
        }
    }
}

/// Pulls an image whole: every manifest and every blob, each compared with its digest. Gives the digest the tag names, and how many
/// bytes came.
pub(super) fn pull(repository: &Repository, tag: &str) -> Result<(Digest, u64), Error> {
    let fail = |e: registry::Error| crate::error::target(&e);
    let root = repository.manifest(&ManifestRef::Tag(tag.to_owned())).map_err(fail)?;
    let (digest, mut bytes) = (root.digest, 0);
    let mut pending = vec![root];
    while let Some(fetched) = pending.pop() {
        bytes += fetched.bytes.len() as u64;
        let bad = |e| Error::bug(format!("the manifest {} cannot be read", fetched.digest)).because(e);
        let manifest = Manifest::parse(&fetched.bytes, fetched.content_type.as_deref()).map_err(bad)?;
        for child in manifest.children() {
            pending.push(repository.manifest(&ManifestRef::Digest(child.digest)).map_err(fail)?);
        }
        for descriptor in manifest.blobs() {
            let mut content = blob::open_verified(repository, descriptor).map_err(fail)?;
            let bad = |e| Error::bug(format!("the blob {} does not come back", descriptor.digest)).because(e);
            bytes += io::copy(&mut content, &mut io::sink()).map_err(bad)?;
        }
    }
    Ok((digest, bytes))
}
