//! From the workspace into volumes, in plan order.

use super::fetch::{Fetch, Ready};
use super::plan::PIECE;
use super::{Error, PackPlan, PlannedBlob, Reason, pieces};
use crate::archive::{self, Finished, Piece, VolumeSpec, Writer};
use crate::blob::{BlobSource, Verified, Wrong};
use crate::codec::frame::{Compressor, is_compressed};
use crate::digest::Digest;
use crate::format::{Blob, Contents, SCHEMA, STORED, SetName};
use crate::fs::Dir;
use crate::layout::Layout;
use crate::origin::OriginError;
use crate::progress::Progress;
use std::io::{self, Read};
use std::path::PathBuf;

/// Writes every blob of the plan; gives the volumes (still under their `.incomplete` names) and the contents.
pub(super) fn volumes(
    plan: &PackPlan,
    name: &SetName,
    out: &Dir,
    workspace: &Layout,
    fetch: &Fetch<'_>,
    progress: &dyn Progress,
) -> Result<(Vec<Finished>, Contents), Error> {
    let spec = VolumeSpec {
        name: name.clone(),
        volume_size: plan.options.volume_size,
        block_size: plan.block_size,
        plan: plan.digest()?,
        layout_index: plan.layout_index()?,
        level: plan.options.level,
    };
    let mut writer = Writer::new(out.clone(), spec)?;
    let mut small = Compressor::new(plan.options.level)?;
    let mut blobs = Vec::with_capacity(plan.blobs.len());
    for (position, blob) in plan.blobs.iter().enumerate() {
        let Some(ready) = fetch.wait(position) else { return Err(Error::Interrupted) };
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let placed = open(blob, &ready, workspace).and_then(|reader| place(plan, blob, reader, &mut writer, &mut small, workspace));
        blobs.push(match (placed, &ready) {
            (Err(Error::Archive(archive::Error::Source { source, .. })), Ready::InPlace(_)) => {
                // The source is at fault, as if it had been fetched from there.
                fetch.fail(position, fault_of(source));
                return Err(Error::Interrupted);
            }
            (Err(Error::Archive(archive::Error::Source { digest, source })), Ready::Kept) => {
                return Err(match Wrong::of(&source).cloned() {
                    Some(wrong) => Error::Kept { path: kept_at(workspace, &digest), wrong },
                    None => archive::Error::Source { digest, source }.into(),
                });
            }
            (placed, _) => placed?,
        });
    }
    let contents = Contents {
        schema: SCHEMA,
        requires: Vec::new(),
        images: plan.images.clone(),
        manifests: plan.manifests.clone(),
        blobs,
        documents: plan.documents.clone(),
        base: None,
    };
    Ok((writer.finish()?, contents))
}

/// Opens a blob for writing. One that was hashed while it was fetched in this very run is not hashed again; all others are.
fn open(blob: &PlannedBlob, ready: &Ready, workspace: &Layout) -> Result<Box<dyn Read + Send>, Error> {
    let descriptor = blob.descriptor();
    let origin = |e| archive::Error::Source { digest: blob.digest, source: io::Error::other(e) };
    Ok(match ready {
        Ready::Fresh => workspace.open(&descriptor)?,
        Ready::Kept => Box::new(Verified::new(workspace.open(&descriptor)?, blob.digest, blob.size)),
        Ready::InPlace(source) => Box::new(Verified::new(source.open_at(&descriptor, 0).map_err(origin)?, blob.digest, blob.size)),
    })
}

/// The file of a blob, for people.
fn kept_at(workspace: &Layout, digest: &Digest) -> PathBuf {
    workspace.path().join("blobs").join(digest.algorithm().name()).join(digest.hex())
}

fn fault_of(source: io::Error) -> Reason {
    match (Wrong::of(&source).cloned(), source.downcast::<OriginError>()) {
        (Some(wrong), _) => Reason::Workspace(crate::layout::Error::Wrong(wrong)),
        (None, Ok(origin)) => Reason::Origin(origin),
        (None, Err(other)) => Reason::Read(other),
    }
}

fn place(
    plan: &PackPlan,
    blob: &PlannedBlob,
    mut reader: Box<dyn Read + Send>,
    writer: &mut Writer,
    small: &mut Compressor,
    workspace: &Layout,
) -> Result<Blob, Error> {
    let digest = blob.digest;
    let failed = |source: io::Error| {
        // A kept blob that went bad must not be kept for a third run.
        if Wrong::of(&source).is_some() {
            let _ = workspace.discard(&digest);
        }
        archive::Error::Source { digest, source }
    };
    let mut inline = None;
    let parts = if blob.size <= PIECE as u64 {
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or(0));
        reader.take(blob.size + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != blob.size {
            let found = bytes.len() as u64;
            return Err(failed(Wrong::Short { digest, expected: blob.size, found }.into_io()).into());
        }
        inline = blob.is_inline().then(|| Blob::encode_inline(&bytes));
        if is_compressed(&bytes) {
            writer.put_raw(&digest, blob.size, &mut bytes.as_slice())?
        } else {
            let frame = small.compress(&bytes)?;
            let piece = (blob.size > 0).then_some(Ok(Piece { plain: bytes, frame }));
            writer.put_pieces(&digest, blob.size, &mut piece.into_iter())?
        }
    } else {
        let mut first = [0; 6];
        reader.read_exact(&mut first).map_err(failed)?;
        let mut whole = first.as_slice().chain(reader);
        let placed = if is_compressed(&first) {
            writer.put_raw(&digest, blob.size, &mut whole)
        } else {
            pieces::compress(digest, &mut whole, plan.options.level, |pieces| writer.put_pieces(&digest, blob.size, pieces))
        };
        placed.map_err(|e| match e {
            archive::Error::Source { source, .. } => failed(source),
            other => other,
        })?
    };
    Ok(Blob { digest, size: blob.size, encoding: STORED.into(), inline, parts })
}
