//! What the upload threads do: bring blobs to repositories, push images that are whole.

use super::board::{Job, Phase};
use super::catalog::Catalog;
use super::error::{Damage, ImageError, UnpackError};
use super::media::MediaTrouble;
use super::plan::{completeness, parts};
use super::probe::trouble;
use super::run::Run;
use super::spool::{Content, blob_name};
use super::target::{PutAs, TargetError, TargetTrouble};
use crate::digest::Digest;
use crate::format::{Blob, Completeness};
use crate::oci::Descriptor;
use std::sync::Arc;

/// How a push of one manifest ended.
enum Put {
    Done,
    /// Not there, but the image may still be saved: try again.
    Again,
    /// The image is given up.
    Failed(ImageError),
}

impl Run<'_> {
    /// One upload thread.
    pub(super) fn work(&self) {
        while let Some(job) = self.board.next() {
            let outcome = match job {
                Job::Blob { blob, content } => self.deliver(blob, content),
                Job::Image(image) => self.push(image),
            };
            if let Err(error) = outcome {
                self.stop(error);
            }
            self.board.finish();
        }
    }

    fn deliver(&self, index: usize, content: Option<Content>) -> Result<(), UnpackError> {
        let Some(blob) = self.catalog.contents.blobs.get(index) else { return Ok(()) };
        let mut content = content.or_else(|| inline(blob));
        if let Some(Content::File { proven: false }) = content {
            content = self.proven(index, blob)?;
        }
        let result = self.bring(index, blob, &mut content);
        match (&result, &content) {
            (Ok(()), Some(content)) => self.setting.spool.release(&blob.digest, content)?,
            (Err(_), Some(content)) => self.setting.spool.retain(content),
            (_, None) => {}
        }
        self.board.change(|state| state.blob_idle(index));
        result
    }

    /// Takes the digest over a spool file that was put together from parts. A file with parts of an earlier run that
    /// fails is dropped and read again; one that was read whole in this run shows that the set itself is wrong.
    fn proven(&self, index: usize, blob: &Blob) -> Result<Option<Content>, UnpackError> {
        let spool = self.setting.spool;
        let file = Content::File { proven: true };
        if spool.prove(&blob.digest, blob.size)? {
            return Ok(Some(file));
        }
        let fresh = spool.is_fresh(&blob.digest);
        spool.release(&blob.digest, &file)?;
        if fresh {
            self.contradicted(index, blob);
        }
        Ok(None)
    }

    fn bring(&self, index: usize, blob: &Blob, content: &mut Option<Content>) -> Result<(), UnpackError> {
        let lacking: Vec<usize> = self.board.state().blobs.get(&index).map(|b| b.lacking.iter().copied().collect()).unwrap_or_default();
        let descriptor = blob.descriptor();
        for repo in lacking {
            self.check_cancelled()?;
            if self.mount(index, repo, &descriptor)? {
                continue;
            }
            // A mount was refused and there are no bytes here: the media have to be asked.
            let Some(bytes) = content.as_ref() else { return Ok(()) };
            if matches!(bytes, Content::File { .. }) && self.adopt(index, repo, &descriptor)? {
                *content = None;
                continue;
            }
            self.upload(index, repo, &descriptor, bytes)?;
        }
        Ok(())
    }

    /// Tries to get a blob from another repository of the target. Only an end of the run is an error: a refused mount
    /// costs an upload (distribution specification, "Mounting a blob from another repository").
    pub(super) fn mount(&self, index: usize, repo: usize, descriptor: &Descriptor) -> Result<bool, UnpackError> {
        let (place, from) = {
            let state = self.board.state();
            let Some(to) = state.repos.get(repo) else { return Ok(true) };
            let Some(from) = state.owner(index, repo) else { return Ok(false) };
            (to.place.clone(), from.to_owned())
        };
        let mounted = match self.setting.target.mount_blob(&place, &from, descriptor) {
            Ok(mounted) => mounted,
            Err(error) if error.trouble.ends_run() && error.trouble != TargetTrouble::Login => {
                return Err(trouble(format!("{place}@{}", descriptor.digest), error));
            }
            Err(_) => false,
        };
        if mounted {
            self.board.change(|state| {
                state.succeeded();
                state.counts.mounted += 1;
                state.delivered(index, repo);
            });
        }
        Ok(mounted)
    }

    fn adopt(&self, index: usize, repo: usize, descriptor: &Descriptor) -> Result<bool, UnpackError> {
        let Some(place) = self.place_of(repo) else { return Ok(false) };
        let spool = self.setting.spool;
        let adopted = self.setting.target.adopt_file(&place, descriptor, spool.dir(), &blob_name(&descriptor.digest));
        if !adopted.map_err(|error| trouble(format!("{place}@{}", descriptor.digest), error))? {
            return Ok(false);
        }
        spool.release(&descriptor.digest, &Content::File { proven: true })?;
        self.uploaded(index, repo, descriptor.size);
        Ok(true)
    }

    fn upload(&self, index: usize, repo: usize, descriptor: &Descriptor, content: &Content) -> Result<(), UnpackError> {
        let Some(place) = self.place_of(repo) else { return Ok(()) };
        let mut open = || self.setting.spool.open_content(&descriptor.digest, content);
        match self.setting.target.put_blob(&place, descriptor, &mut open) {
            Ok(()) => self.uploaded(index, repo, descriptor.size),
            Err(error) => self.not_uploaded(index, repo, &place, &descriptor.digest, error)?,
        }
        Ok(())
    }

    pub(super) fn uploaded(&self, index: usize, repo: usize, size: u64) {
        self.board.change(|state| {
            state.succeeded();
            state.counts.pushed += 1;
            state.counts.bytes += size;
            state.delivered(index, repo);
        });
    }

    pub(super) fn not_uploaded(
        &self,
        index: usize,
        repo: usize,
        place: &str,
        digest: &Digest,
        error: TargetError,
    ) -> Result<(), UnpackError> {
        let subject = format!("{place}@{digest}");
        if self.ends_run(&error) {
            return Err(trouble(subject, error));
        }
        let closed = error.trouble == TargetTrouble::Closed;
        let error = ImageError::Target { subject, error: Arc::new(error) };
        self.board.change(|state| {
            state.refused(index, repo, &error);
            if closed {
                state.close_repository(repo, &error);
            }
        });
        Ok(())
    }

    /// Whether asking for anything else makes no sense after this.
    fn ends_run(&self, error: &TargetError) -> bool {
        error.trouble.ends_run() || error.trouble == TargetTrouble::Failing && self.board.change(|state| state.struck())
    }

    /// Children first, then the root under its tag.
    fn push(&self, at: usize) -> Result<(), UnpackError> {
        self.check_cancelled()?;
        let (nodes, repo, planned) = {
            let state = self.board.state();
            let Some(image) = state.images.get(at) else { return Ok(()) };
            (image.tree.nodes.clone(), image.repo, image.planned)
        };
        let (Some(place), Some(planned)) = (self.place_of(repo), self.plan.images.get(planned)) else { return Ok(()) };
        for node in &nodes {
            let put_as = if *node == planned.digest { PutAs::Tag(&planned.tag) } else { PutAs::Digest(node) };
            let known = self.board.state().repos.get(repo).is_some_and(|r| r.manifests.contains(node));
            if known && *node != planned.digest {
                continue;
            }
            let put = match self.put_manifest(at, repo, &place, node, put_as) {
                // A question in between that failed is the trouble of this image.
                Err(UnpackError::Target { subject, error }) if !self.ends_run(&error) => {
                    Put::Failed(ImageError::Target { subject, error: Arc::new(error) })
                }
                other => other?,
            };
            match put {
                Put::Done => {}
                Put::Again => return Ok(()),
                Put::Failed(error) => return self.settle(at, Phase::Failed(error)),
            }
        }
        self.settle(at, Phase::Done(completeness(&self.catalog, &nodes)))
    }

    fn put_manifest(&self, at: usize, repo: usize, place: &str, node: &Digest, put_as: PutAs<'_>) -> Result<Put, UnpackError> {
        let Some((media_type, bytes)) = self.catalog.document(node) else { return Ok(Put::Done) };
        let separator = if matches!(put_as, PutAs::Tag(_)) { ':' } else { '@' };
        let subject = format!("{place}{separator}{put_as}");
        let tagged = matches!(put_as, PutAs::Tag(_));
        self.board.change(|state| state.images.get_mut(at).map(|i| i.unsure |= tagged));
        let error = match self.setting.target.put_manifest(place, put_as, media_type, &bytes) {
            Ok(()) => {
                self.board.change(|state| {
                    state.succeeded();
                    state.counts.manifests += 1;
                    state.repos.get_mut(repo).map(|r| r.manifests.insert(*node))
                });
                return Ok(Put::Done);
            }
            // Whether these took effect nobody knows.
            Err(error) if error.trouble.ends_run() || error.trouble == TargetTrouble::Failing => return Err(trouble(subject, error)),
            Err(error) => error,
        };
        self.board.change(|state| state.images.get_mut(at).map(|i| i.unsure = false));
        let absent = self.catalog.absent_members(node);
        let lacks = matches!(error.trouble, TargetTrouble::BlobUnknown | TargetTrouble::ChildMissing);
        if lacks && (absent == 0 || self.recheck_children(at, repo, place)?) {
            return self.refetch(at, place, subject, error);
        }
        // Registries word the refusal of an incomplete index differently; an index that lacks members is refused for that.
        if absent > 0 && (lacks || error.trouble == TargetTrouble::Refused) {
            return self.single_member(at, repo, place, node, put_as, absent, error);
        }
        Ok(Put::Failed(ImageError::Target { subject, error: Arc::new(error) }))
    }

    /// True when a member that is in the set, and was thought to be at the target, is not there any more.
    fn recheck_children(&self, at: usize, repo: usize, place: &str) -> Result<bool, UnpackError> {
        let known: Vec<Digest> = {
            let state = self.board.state();
            let (Some(image), Some(repo)) = (state.images.get(at), state.repos.get(repo)) else { return Ok(false) };
            image.tree.nodes.iter().filter(|n| repo.manifests.contains(n)).copied().collect()
        };
        for node in known {
            if !self.setting.target.has_manifest(place, &node).map_err(|e| trouble(format!("{place}@{node}"), e))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The target has lost something it had: asks for all of the image again and has what lacks brought once more.
    fn refetch(&self, at: usize, place: &str, subject: String, error: TargetError) -> Result<Put, UnpackError> {
        let Some(tree) = self.board.state().images.get(at).map(|i| i.tree.clone()) else { return Ok(Put::Again) };
        let target = self.setting.target;
        let mut blobs = Vec::new();
        for index in tree.blobs {
            let Some(blob) = self.catalog.contents.blobs.get(index) else { continue };
            if !target.has_blob(place, &blob.descriptor()).map_err(|e| trouble(format!("{place}@{}", blob.digest), e))? {
                blobs.push(index);
            }
        }
        // All manifests are pushed anew: a target that forgets is not asked what it remembers.
        let again = self.board.change(|state| state.lost(at, &blobs, &tree.nodes));
        Ok(if again { Put::Again } else { Put::Failed(ImageError::Target { subject, error: Arc::new(error) }) })
    }

    /// The target takes no index without all its members: where one member is in the set, the tag goes to that.
    #[expect(clippy::too_many_arguments)]
    fn single_member(
        &self,
        at: usize,
        repo: usize,
        place: &str,
        node: &Digest,
        put_as: PutAs<'_>,
        absent: usize,
        error: TargetError,
    ) -> Result<Put, UnpackError> {
        let single = self.board.state().images.get(at).and_then(|i| i.tree.single);
        let refused = |error| Put::Failed(ImageError::SparseRefused { digest: *node, absent, error: Arc::new(error) });
        let (PutAs::Tag(tag), Some(member)) = (put_as, single) else { return Ok(refused(error)) };
        match self.put_manifest(at, repo, place, &member, PutAs::Tag(tag))? {
            Put::Done => {
                self.settle(at, Phase::Done(Completeness::SingleMember { member }))?;
                Ok(Put::Again)
            }
            other => Ok(other),
        }
    }

    fn settle(&self, at: usize, phase: Phase) -> Result<(), UnpackError> {
        self.board.change(|state| {
            let Some(image) = state.images.get_mut(at) else { return };
            if let (Phase::Done(_), Some(planned)) = (&phase, self.plan.images.get(image.planned)) {
                state.tags.push(format!("{}:{}", planned.repository, planned.tag));
                (image.pushed, image.unsure) = (true, false);
            }
            image.phase = phase;
        });
        Ok(())
    }

    fn place_of(&self, repo: usize) -> Option<String> {
        self.board.state().repos.get(repo).map(|r| r.place.clone())
    }

    /// Every part of a blob was verified by the archive, and together they are another blob: no other copy of the media helps.
    pub(super) fn contradicted(&self, index: usize, blob: &Blob) {
        let volume = parts(blob).map(|(v, ..)| v).next().unwrap_or_default();
        self.damaged(index, volume, MediaTrouble::Damaged, format!("the parts of {} do not make it up", blob.digest));
        self.board.change(|state| {
            if let Some(state) = state.blobs.get_mut(&index) {
                state.given_up = true;
            }
        });
    }

    /// Notes a part that could not be read, with the images it hits.
    pub(super) fn damaged(&self, index: usize, volume: u32, trouble: MediaTrouble, why: String) {
        let Some(digest) = self.catalog.contents.blobs.get(index).map(|b| b.digest) else { return };
        self.board.change(|state| {
            let images = state.images_lacking(index, self.plan);
            state.note_damage(index, Damage { volume, digest, trouble, why, images });
        });
    }
}

/// The bytes of a blob that lies in the contents document.
pub(super) fn inline(blob: &Blob) -> Option<Content> {
    let bytes = if blob.size == 0 { Vec::new() } else { blob.inline_bytes()? };
    Some(Content::Inline(Arc::new(bytes)))
}

impl Catalog<'_> {
    /// True when the blob lies in the contents document.
    pub(super) fn is_inline(&self, index: usize) -> bool {
        self.contents.blobs.get(index).is_some_and(|b| b.size == 0 || b.inline.is_some())
    }
}
