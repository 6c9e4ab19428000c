//! The whole look: blobs, manifests of each kind, and their removal.

use super::content::{Content, Doc, descriptor, index, sparse};
use super::{Findings, Trial, Verdict, greet, push};
use crate::blob::BlobSink;
use crate::digest::Digest;
use crate::progress::Progress;
use crate::registry::{Error, ManifestRef, Project, Repository};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tries everything in `repository`, which is used for nothing else. `seed` makes tags and content unique. With
/// `create_projects` the project or organisation is made where it is missing (Harbor, Quay). `finishing` is set before what was
/// made is removed: a client that stops when the person asks to lets these requests pass.
pub fn full(repository: &Repository, seed: [u8; 16], create_projects: bool, finishing: &AtomicBool, progress: &dyn Progress) -> Findings {
    let mut findings = Findings::default();
    if !greet(repository, &mut findings) || create_projects && !project(repository, &mut findings) || !push(repository, &mut findings) {
        return findings;
    }
    let hex = Digest::sha256(&seed).hex().chars().take(12).collect::<String>();
    let mut trials =
        Trials { repository, tag: format!("sealift-preflight-{hex}"), content: Content::new(seed), made: Vec::new(), findings, progress };
    if trials.blobs() {
        trials.manifests(seed);
        finishing.store(true, Ordering::Relaxed);
        trials.clean_up();
    }
    trials.findings
}

fn project(repository: &Repository, findings: &mut Findings) -> bool {
    let name = repository.name().split('/').next().unwrap_or_default();
    match repository.ensure_project(findings.software) {
        Ok(Some(Project::Created)) => findings.fine(Trial::Project, format!("{name} was created")),
        Ok(Some(Project::Exists)) => findings.fine(Trial::Project, format!("{name} exists")),
        Ok(None) => findings.note(Trial::Project, "only projects of Harbor and organisations of Quay can be made, and this is neither"),
        Err(error) => {
            findings.add(Trial::Project, Verdict::Failed(error));
            return false;
        }
    }
    true
}

struct Trials<'a> {
    repository: &'a Repository,
    tag: String,
    content: Content,
    /// Manifests that are there, newest first to be removed first.
    made: Vec<(Digest, String)>,
    findings: Findings,
    progress: &'a dyn Progress,
}

impl Trials<'_> {
    /// A failure is a finding; nothing when it is none.
    fn tried<T>(&mut self, trial: Trial, outcome: Result<T, Error>) -> Option<T> {
        outcome.map_err(|error| self.findings.add(trial, Verdict::Failed(error))).ok()
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Error> {
        self.repository.put(&descriptor(bytes), &mut || Ok(Box::new(io::Cursor::new(bytes.to_vec()))))
    }

    fn blobs(&mut self) -> bool {
        let small = self.put(&self.content.small).and_then(|()| self.put(&self.content.config));
        let there = small.and_then(|()| self.repository.has(&descriptor(&self.content.small)));
        match self.tried(Trial::SmallBlob, there) {
            Some(true) => self.findings.fine(Trial::SmallBlob, "a small blob arrived"),
            Some(false) => self.findings.note(Trial::SmallBlob, "a blob that was taken is not there a moment later"),
            None => return false,
        }
        let large = self.put(&self.content.large);
        if self.tried(Trial::LargeBlob, large).is_none() {
            return false;
        }
        match self.repository.body_limit() {
            None => self.findings.fine(Trial::LargeBlob, "a body of 2 MiB passes"),
            Some(limit) => self.findings.note(
                Trial::LargeBlob,
                format!("a body of 2 MiB is refused (413); blobs have to go in pieces of {limit} bytes, which is slow"),
            ),
        }
        true
    }

    fn manifest(&mut self, trial: Trial, doc: &Doc, reference: ManifestRef, told: &str) -> bool {
        if self.progress.cancelled() {
            return false;
        }
        let outcome = self.repository.put_manifest(&doc.bytes, doc.kind, &reference);
        let Some(digest) = self.tried(trial, outcome) else { return false };
        self.made.insert(0, (digest, reference.to_string()));
        self.findings.fine(trial, told);
        true
    }

    fn manifests(&mut self, seed: [u8; 16]) {
        let (oci, docker) = (self.content.oci_image(), self.content.docker_image());
        let by_digest = |doc: &Doc| ManifestRef::Digest(doc.digest());
        let mut members = Vec::new();
        if self.manifest(Trial::OciImage, &oci, by_digest(&oci), "OCI images are taken") {
            members.push(&oci);
        }
        if self.manifest(Trial::DockerImage, &docker, by_digest(&docker), "Docker images (v2, schema 2) are taken, as OpenShift's are") {
            members.push(&docker);
        }
        let Some(first) = members.first().copied() else { return };
        let both = index(&members);
        let tag = ManifestRef::Tag(self.tag.clone());
        if self.manifest(Trial::Index, &both, tag.clone(), "indexes are taken") {
            self.read_back(&tag, &both.digest());
        }
        self.sparse(first, seed);
        // As what was pushed is asked for: whatever is no list means that there is no such API.
        let referrers = self.repository.referrers(&first.digest());
        match self.tried(Trial::Referrers, referrers) {
            Some(Some(_)) => self.findings.fine(Trial::Referrers, "the referrers API is there"),
            Some(None) => self.findings.fine(Trial::Referrers, "no referrers API; signatures and the like are found by their tags"),
            None => {}
        }
    }

    fn read_back(&mut self, tag: &ManifestRef, digest: &Digest) {
        let head = self.repository.head_manifest(tag);
        match self.tried(Trial::Tag, head) {
            Some(Some(head)) if head.digest == *digest => self.findings.fine(Trial::Tag, "the tag names what was pushed"),
            Some(Some(head)) => {
                self.findings.note(Trial::Tag, format!("the tag names {} and not what was pushed ({digest})", head.digest));
            }
            Some(None) => self.findings.note(Trial::Tag, "the tag is not there a moment later"),
            None => {}
        }
    }

    /// Not every registry takes an index without all of its members; whoever carries all of them does not need that.
    fn sparse(&mut self, member: &Doc, seed: [u8; 16]) {
        let doc = sparse(member, seed);
        let tag = format!("{}-sparse", self.tag);
        match self.repository.put_manifest(&doc.bytes, doc.kind, &ManifestRef::Tag(tag.clone())) {
            Ok(digest) => {
                self.made.insert(0, (digest, tag));
                self.findings.fine(Trial::SparseIndex, "indexes without all of their members are taken");
            }
            Err(Error::ChildMissing { .. } | Error::BlobUnknown { .. } | Error::Refused { .. }) => {
                self.findings.note(Trial::SparseIndex, "indexes are taken only with all of their members");
            }
            Err(error) => self.findings.add(Trial::SparseIndex, Verdict::Failed(error)),
        }
    }

    /// Removes what was made. Blobs go with the registry's own collection of garbage.
    fn clean_up(&mut self) {
        let (name, host) = (self.repository.name(), self.repository.host());
        let mut refused = None;
        for (digest, reference) in std::mem::take(&mut self.made) {
            if refused.is_none() {
                refused = self.repository.delete_manifest(&ManifestRef::Digest(digest)).err();
            }
            if refused.is_some() {
                let joint = if reference.contains(':') { '@' } else { ':' };
                self.findings.left.push(format!("{host}/{name}{joint}{reference}"));
            }
        }
        match refused {
            None => {
                self.findings.fine(Trial::Delete, "what was pushed on trial is removed; its 2 MiB of blobs go with the next collection")
            }
            Some(error) => self.findings.note(Trial::Delete, format!("what was pushed on trial cannot be removed: {error}")),
        }
    }
}
