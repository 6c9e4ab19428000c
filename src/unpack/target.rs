//! What unpacking asks of a registry or a layout.

use crate::digest::Digest;
use crate::fs::Dir;
use crate::oci::Descriptor;
use std::fmt;
use std::io::{self, Read};

/// Opens the bytes of a blob from their start. Called again for a retry.
pub type OpenBlob<'a> = dyn FnMut() -> io::Result<Box<dyn Read + Send>> + 'a;

/// What a failed request to a target means for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetTrouble {
    /// It does not answer (retries included). Ends the run.
    Unreachable,
    /// It does not let us in anywhere. Ends the run.
    Login,
    /// It answers badly (too many requests, errors of its own, broken connections), retries included. What was asked for fails;
    /// the run goes on as long as other requests succeed.
    Failing,
    /// It takes nothing into this repository: no rights there, or no such project. All images of the repository fail.
    Closed,
    /// It has no space left. Ends the run.
    NoSpace,
    /// The person asked to stop. Ends the run.
    Cancelled,
    /// A manifest names a blob the target does not have (any more).
    BlobUnknown,
    /// An index names a manifest the target does not have.
    ChildMissing,
    /// The tag exists, points elsewhere and may not be moved.
    ImmutableTag,
    /// The bytes given were not those of the descriptor, or could not be read.
    Content,
    /// Any other refusal: of this content, in this repository.
    Refused,
}

impl TargetTrouble {
    /// True when asking for anything else would fail as well.
    pub fn ends_run(self) -> bool {
        matches!(self, TargetTrouble::Unreachable | TargetTrouble::Login | TargetTrouble::NoSpace | TargetTrouble::Cancelled)
    }
}

/// A request to a target that failed.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct TargetError {
    /// What it means.
    pub trouble: TargetTrouble,
    /// The error of the registry client or the layout, for its code and remedy.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl TargetError {
    /// Wraps an error.
    pub fn new(trouble: TargetTrouble, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TargetError {
        TargetError { trouble, source: source.into() }
    }
}

/// What a manifest is pushed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutAs<'a> {
    /// Under a tag.
    Tag(&'a str),
    /// By its digest alone.
    Digest(&'a Digest),
}

impl fmt::Display for PutAs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutAs::Tag(tag) => f.write_str(tag),
            PutAs::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// A place images are unpacked into. Repositories are full names: the prefix is already in them.
///
/// Retries, logins and pauses are the implementation's; an error is final for that request.
pub trait Target: Send + Sync {
    /// How a person names it: `host[:port]/prefix` or `oci:DIR`. Key of the ledger.
    fn name(&self) -> String;
    /// True when the manifest is in the repository.
    fn has_manifest(&self, repository: &str, digest: &Digest) -> Result<bool, TargetError>;
    /// What a tag points to; `None` when there is no such tag (or repository).
    fn tag(&self, repository: &str, tag: &str) -> Result<Option<Digest>, TargetError>;
    /// True when the blob is in the repository, with the right size.
    fn has_blob(&self, repository: &str, blob: &Descriptor) -> Result<bool, TargetError>;
    /// Puts a blob; the target checks its digest.
    fn put_blob(&self, repository: &str, blob: &Descriptor, open: &mut OpenBlob<'_>) -> Result<(), TargetError>;
    /// Makes a blob of one repository appear in another; false when the target does not do that. A layout, where blobs
    /// belong to no repository, answers whether it has the blob.
    fn mount_blob(&self, repository: &str, from: &str, blob: &Descriptor) -> Result<bool, TargetError>;
    /// Puts a manifest: exactly these bytes.
    fn put_manifest(&self, repository: &str, put_as: PutAs<'_>, media_type: &str, bytes: &[u8]) -> Result<(), TargetError>;
    /// The bytes of the manifest under a tag; `None` when there is no such tag.
    fn tagged_manifest(&self, repository: &str, tag: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let _ = (repository, tag);
        Ok(None)
    }
    /// What the target itself lists as referring to a manifest; `None` when it lists nothing by itself, and an index under the
    /// fallback tag has to say it.
    fn listed_referrers(&self, repository: &str, subject: &Digest) -> Result<Option<Vec<Digest>>, TargetError> {
        let _ = (repository, subject);
        Ok(None)
    }
    /// Makes the tags put so far last. Where each one rewrites a list of all, they may be collected until this is called.
    fn settle_tags(&self) -> Result<(), TargetError> {
        Ok(())
    }
    /// Removes `digest`, a manifest nothing else needs, and `tag` where it still points there; false when the target does not
    /// do that.
    fn delete_tag(&self, repository: &str, tag: &str, digest: &Digest) -> Result<bool, TargetError>;
    /// True when content without a manifest is removed after a while: everything but layouts.
    fn collects_garbage(&self) -> bool {
        true
    }
    /// The run is over, perhaps because the person asked to stop: the few requests that follow hold or release what has
    /// arrived. An implementation that refuses requests once the person asked to stop lets these pass.
    fn finishing(&self) {}
    /// Bytes that still fit, where that can be known.
    fn free_space(&self) -> Option<u64> {
        None
    }
    /// Takes a finished, proven file over by renaming it; false when it cannot, and the file is still there.
    fn adopt_file(&self, repository: &str, blob: &Descriptor, dir: &Dir, name: &str) -> Result<bool, TargetError> {
        let _ = (repository, blob, dir, name);
        Ok(false)
    }
    /// The bytes of a manifest; `None` when the repository does not have it. Proven: they have this digest.
    fn manifest(&self, repository: &str, digest: &Digest) -> Result<Option<Vec<u8>>, TargetError> {
        let _ = repository;
        Err(TargetError::new(TargetTrouble::Refused, format!("{digest} cannot be read back from this target")))
    }
    /// A blob from its first byte, not verified.
    fn open_blob(&self, repository: &str, blob: &Descriptor) -> Result<Box<dyn Read + Send>, TargetError> {
        let _ = repository;
        Err(TargetError::new(TargetTrouble::Refused, format!("{} cannot be read back from this target", blob.digest)))
    }
    /// The tags of a repository; none when there is no such repository.
    fn tags(&self, repository: &str) -> Result<Vec<String>, TargetError> {
        Err(TargetError::new(TargetTrouble::Refused, format!("{repository}: this target does not list its tags")))
    }
    /// Deletes a manifest, and with it every tag that names it. One that is not there is deleted already.
    fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<(), TargetError> {
        Err(TargetError::new(TargetTrouble::Refused, format!("{repository}@{digest}: nothing can be deleted from this target")))
    }
    /// Removes a tag and leaves what it names; false when the target cannot.
    fn untag(&self, repository: &str, tag: &str) -> Result<bool, TargetError> {
        let _ = (repository, tag);
        Ok(false)
    }
}
