//! What the HTTP face asks of whatever keeps the content.

use crate::archive::BlobReader;
use crate::blob::Verified;
use crate::digest::Digest;
use crate::fs::{File, FsError};
use crate::oci::ManifestError;
use crate::{archive, layout};
use serde_json::Value;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A tag.
    Tag(String),
    /// A digest.
    Digest(Digest),
}

/// A manifest as it is served.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Of the bytes, by the algorithm it was asked for or stored under.
    pub digest: Digest,
    /// For `Content-Type`.
    pub media_type: String,
    /// As pushed.
    pub bytes: Vec<u8>,
}

/// A part of a sorted list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Only names after this one.
    pub after: Option<String>,
    /// At most so many.
    pub most: Option<usize>,
}

/// A blob's bytes. Reading may wait for a disk, and is done by a thread.
pub trait Content: Read + Send {
    /// Reads what is in memory anyway, without waiting; `None` where that cannot be told beforehand, and at the end.
    ///
    /// # Errors
    /// Those of reading.
    fn read_at_hand(&mut self, _: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(None)
    }
}

impl Content for File {
    fn read_at_hand(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        self.read_cached(buf)
    }
}

impl Content for Cursor<Vec<u8>> {}
impl Content for BlobReader {}
impl<R: Read + Send> Content for Verified<R> {}

/// A place content is served from. Called from many threads; answers are found again at every call, so that what others change
/// on disk is seen.
pub trait Store: Send + Sync {
    /// Size of a blob.
    fn blob_size(&self, repository: &str, digest: &Digest) -> Result<u64, StoreError>;

    /// A blob's bytes from `offset` on; whoever reads stops where enough has come.
    fn blob(&self, repository: &str, digest: &Digest, offset: u64) -> Result<Box<dyn Content>, StoreError>;

    /// A manifest or index.
    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Manifest, StoreError>;

    /// All tags, sorted.
    fn tags(&self, repository: &str) -> Result<Vec<String>, StoreError>;

    /// Descriptors of what is attached to a digest, with `artifactType` and annotations (distribution specification, "Listing
    /// Referrers"); empty where there is nothing.
    fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Value>, StoreError>;

    /// Names of all repositories that have a tag, sorted.
    fn repositories(&self) -> Result<Vec<String>, StoreError>;

    /// How many blobs may be read at a time; `None`: as many as there are connections.
    fn readers(&self) -> Option<usize> {
        None
    }

    /// The side that takes content in; `None` for a store that is only read.
    fn writer(&self) -> Option<&dyn Writer> {
        None
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn blob_size(&self, repository: &str, digest: &Digest) -> Result<u64, StoreError> {
        (**self).blob_size(repository, digest)
    }

    fn blob(&self, repository: &str, digest: &Digest, offset: u64) -> Result<Box<dyn Content>, StoreError> {
        (**self).blob(repository, digest, offset)
    }

    fn manifest(&self, repository: &str, reference: &Reference) -> Result<Manifest, StoreError> {
        (**self).manifest(repository, reference)
    }

    fn tags(&self, repository: &str) -> Result<Vec<String>, StoreError> {
        (**self).tags(repository)
    }

    fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Value>, StoreError> {
        (**self).referrers(repository, subject)
    }

    fn repositories(&self) -> Result<Vec<String>, StoreError> {
        (**self).repositories()
    }

    fn readers(&self) -> Option<usize> {
        (**self).readers()
    }

    fn writer(&self) -> Option<&dyn Writer> {
        (**self).writer()
    }
}

/// The side of a store that takes content in.
pub trait Writer {
    /// Opens an upload session and gives its name. A `single` one is for one request, and its client is told of none: what is left of
    /// it when the process dies is nobody's.
    fn begin(&self, repository: &str, single: bool) -> Result<String, StoreError>;

    /// Bytes a session has.
    fn offset(&self, repository: &str, session: &str) -> Result<u64, StoreError>;

    /// Appends to a session and gives the bytes it has then. With `at`, only if it has exactly so many before. What came before
    /// `body` failed stays.
    fn append(&self, repository: &str, session: &str, at: Option<u64>, body: &mut dyn Read) -> Result<u64, StoreError>;

    /// Ends a session: its bytes become the blob, if they are the blob. A wrong digest ends the session as well.
    fn finish(&self, repository: &str, session: &str, digest: &Digest) -> Result<(), StoreError>;

    /// Ends a session without a blob.
    fn cancel(&self, repository: &str, session: &str) -> Result<(), StoreError>;

    /// Makes a blob that is here part of a repository; false where it is not here.
    fn mount(&self, repository: &str, from: Option<&str>, digest: &Digest) -> Result<bool, StoreError>;

    /// Somebody was told that this blob or manifest is here, and will not push it: no collection takes it for a day.
    fn keep(&self, digest: &Digest);

    /// Stores a manifest and gives its digest and what it is attached to. `tags` are given to it beside `reference`, all or none.
    fn put_manifest(
        &self,
        repository: &str,
        reference: &Reference,
        tags: &[String],
        content_type: Option<&str>,
        bytes: &[u8],
    ) -> Result<(Digest, Option<Digest>), StoreError>;

    /// Removes a tag, or a manifest with all its tags, from a repository.
    fn delete_manifest(&self, repository: &str, reference: &Reference) -> Result<(), StoreError>;

    /// Removes a blob from a repository.
    fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<(), StoreError>;
}

/// Why a store does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No repository of that name.
    #[error("there is no repository of that name")]
    NameUnknown,
    /// No such blob.
    #[error("there is no such blob")]
    BlobUnknown(Digest),
    /// No such manifest or tag.
    #[error("there is no such manifest or tag")]
    ManifestUnknown,
    /// No such upload session, or it has ended.
    #[error("there is no such upload session")]
    UploadUnknown,
    /// Another request writes to the session.
    #[error("another request still writes to this upload session")]
    UploadBusy,
    /// Bytes for another place than the end of the session.
    #[error("the upload has {0} bytes; what follows must begin there")]
    OutOfOrder(u64),
    /// The bytes have another digest.
    #[error("the content has {found}, not {expected}")]
    WrongDigest {
        /// As announced.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// What was pushed is no manifest that can be kept.
    #[error("{0}")]
    BadManifest(#[from] ManifestError),
    /// The type in the header is not that of the document.
    #[error("Content-Type is {header}, but the document is {document}")]
    TypeMismatch {
        /// As sent, made safe to print.
        header: String,
        /// What it is.
        document: String,
    },
    /// A manifest refers to content that is not here.
    #[error("{what} {digest} is not in this registry; push it first")]
    Incomplete {
        /// `blob` or `manifest`.
        what: &'static str,
        /// Which.
        digest: Digest,
    },
    /// Content that a tag still needs cannot be deleted.
    #[error("{tag} needs it; delete that tag first")]
    Needed {
        /// The tag.
        tag: String,
    },
    /// Volumes that hold it are not here.
    #[error("it needs {}, which {} not here; insert the medium and start the registry with its folder as well", .0.join(", "), crate::text::are(.0.len()))]
    VolumeMissing(Vec<String>),
    /// Bytes on a medium are not what was signed, or a volume cannot be read.
    #[error("{0}")]
    Medium(io::Error),
    /// The request's own bytes did not come to their end.
    #[error("the request ended early")]
    Cut,
    /// A layout failed.
    #[error(transparent)]
    Layout(#[from] layout::Error),
    /// An archive failed.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// An operation on a file failed.
    #[error(transparent)]
    Fs(#[from] FsError),
}
