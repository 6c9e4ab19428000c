//! Blobs of one image, proven before any of their bytes is believed.

use super::FilesError;
use crate::blob::{BlobSink, BlobSource, Verified, Wrong, open_verified};
use crate::digest::Digest;
use crate::layout::{self, Layout};
use crate::limits;
use crate::oci::Descriptor;
use crate::origin::{FetchError, Origin, fetch_into};
use crate::progress::Progress;
use std::io::{self, Read};

/// Where an image's blobs come from and where they are kept: what is fetched to be looked into lies in the workspace, so that it is
/// not fetched again when it is packed.
#[derive(Clone, Copy)]
pub struct Blobs<'a> {
    /// The source.
    pub origin: &'a dyn Origin,
    /// Where fetched blobs go.
    pub workspace: &'a Layout,
    /// True once the person asked to stop.
    pub stopped: &'a dyn Fn() -> bool,
    /// Who watches.
    pub progress: &'a dyn Progress,
}

impl<'a> Blobs<'a> {
    /// Opens a blob that has been proven. From a source on this machine it is read in place (twice: before the proof nothing may be
    /// used), from any other it is brought into the workspace first.
    ///
    /// # Errors
    /// What kept it from being had, or its bytes being others than its digest says.
    pub fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, FilesError> {
        if self.origin.is_local() && !self.workspace.has(blob)? {
            self.prove(self.origin.open_at(blob, 0)?, blob)?;
            return Ok(Box::new(Verified::new(self.origin.open_at(blob, 0)?, blob.digest, blob.size)));
        }
        self.fetch(blob)?;
        Ok(BlobSource::open(self.workspace, blob)?)
    }

    /// Brings a blob into the workspace.
    pub fn fetch(&self, blob: &Descriptor) -> Result<(), FilesError> {
        match fetch_into(self.workspace, self.origin, blob, self.stopped, self.progress) {
            Err(FetchError::Read(_)) if (self.stopped)() => Err(FilesError::Interrupted),
            done => Ok(done?),
        }
    }

    /// A small document whole.
    ///
    /// # Errors
    /// Also when it is larger than `limit`.
    pub fn small(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>, FilesError> {
        if blob.size > limit {
            let why = format!("it has {} bytes, more than the {limit} allowed for it", blob.size);
            return Err(FilesError::Config { digest: blob.digest, why });
        }
        if self.origin.is_local() && !self.workspace.has(blob)? {
            return read_all(Verified::new(self.origin.open_at(blob, 0)?, blob.digest, blob.size), blob);
        }
        self.fetch(blob)?;
        let read = read_all(open_verified(self.workspace, blob)?, blob);
        if read.is_err() {
            self.blame(blob)?;
        }
        read
    }

    /// A manifest: bytes and type. The origin has compared its digest.
    pub fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, crate::oci::Manifest), FilesError> {
        let (bytes, media_type) = self.origin.manifest(digest)?;
        let parsed = crate::oci::Manifest::parse(&bytes, media_type.as_deref());
        let manifest = parsed.map_err(|error| crate::origin::OriginError::Manifest { digest: *digest, error })?;
        Ok((bytes, manifest))
    }

    /// After something did not make sense: if the workspace's copy is not what it was when it was stored, that is what is to be told,
    /// and the copy goes away, so that the next run fetches it anew.
    pub(super) fn blame(&self, blob: &Descriptor) -> Result<(), FilesError> {
        if !self.workspace.has(blob)? {
            return Ok(());
        }
        match io::copy(&mut open_verified(self.workspace, blob)?, &mut io::sink()) {
            Err(e) => match Wrong::of(&e) {
                Some(wrong) => {
                    self.workspace.discard(&blob.digest)?;
                    Err(layout::Error::Damaged { path: self.workspace.path().to_owned(), wrong: wrong.clone() }.into())
                }
                None => Err(FetchError::Read(e).into()),
            },
            Ok(_) => Ok(()),
        }
    }

    fn prove(&self, reader: Box<dyn Read + Send>, blob: &Descriptor) -> Result<(), FilesError> {
        let mut reader = Verified::new(reader, blob.digest, blob.size);
        let mut buffer = vec![0; 128 << 10];
        loop {
            if (self.stopped)() {
                return Err(FilesError::Interrupted);
            }
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) => return Err(unread(e)),
            }
        }
    }
}

fn read_all(mut reader: impl Read, blob: &Descriptor) -> Result<Vec<u8>, FilesError> {
    let mut bytes = Vec::with_capacity(usize::try_from(blob.size.min(limits::IMAGE_CONFIG_BYTES)).unwrap_or(0));
    reader.read_to_end(&mut bytes).map_err(unread)?;
    Ok(bytes)
}

/// Wrong bytes are told as such.
fn unread(error: io::Error) -> FilesError {
    match Wrong::of(&error) {
        Some(wrong) => layout::Error::Wrong(wrong.clone()).into(),
        None => FetchError::Read(error).into(),
    }
}
