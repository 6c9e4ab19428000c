//! One release image: proven, looked into, and turned into what has to be carried.

use super::proof::{Proof, ReleaseProof};
use super::{GatherError, World};
use crate::digest::Digest;
use crate::format::{Document, DocumentKind, Role};
use crate::image_set::Source;
use crate::oci::{Manifest, Platform, Reference, is_tag};
use crate::openshift::files::{Blobs, FilesError, ImageConfig, ImageFiles, choose};
use crate::openshift::graph::Selected;
use crate::openshift::release::{CONTENT_REPOSITORY, RELEASE_REPOSITORY, Release, ReleaseError, kube_virt_suffix, tag_suffix};
use crate::openshift::signature::StoreError;
use crate::origin::{Origin, OriginError};
use crate::pack::Ask;
use crate::progress::Level;
use crate::text::shown;
use semver::Version;

/// A release image to carry.
pub(super) struct Payload {
    /// For people: which release this is.
    pub(super) name: String,
    /// Where it is.
    reference: Reference,
    /// Version and architecture that were asked for.
    expected: Option<(Version, String)>,
    /// Members of the index to carry; empty: all.
    pub(super) platforms: Vec<Platform>,
    /// Carry the container disks for KubeVirt.
    pub(super) kube_virt: bool,
}

/// What a release needs.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) asks: Vec<Ask>,
    pub(super) documents: Vec<Document>,
    pub(super) notes: Vec<String>,
}

/// A release, looked into.
struct Known {
    release: Release,
    /// `VERSION-ARCHITECTURE`.
    name: String,
    /// What it is called at the target.
    tag: String,
    /// Its image, by tag and digest.
    image: Reference,
    /// The one architecture it is for, as boot images name it (`x86_64`); none for a release for several.
    architecture: Option<&'static str>,
}

impl Payload {
    /// One found in a graph.
    pub(super) fn selected(selected: Selected) -> Payload {
        let Selected { version, payload, channel, architecture } = selected;
        let name = format!("release {version} for {architecture} ({})", crate::text::shown(&channel));
        Payload { name, reference: payload, expected: Some((version, architecture)), platforms: Vec::new(), kube_virt: false }
    }

    /// One named by its image.
    pub(super) fn named(reference: Reference) -> Payload {
        Payload { name: format!("release {reference}"), reference, expected: None, platforms: Vec::new(), kube_virt: false }
    }

    /// Proves it, looks into it, and says what it needs.
    pub(super) fn carry(&self, world: &World<'_>, proof: &dyn ReleaseProof) -> Result<Carried, GatherError> {
        let source = Source::Registry(self.reference.clone());
        let origin = world.origins.open(&source)?;
        let (digest, _) = origin.resolve(&source)?;
        let mut carried = Carried::default();
        let proofs = self.prove(&digest, world, proof, &mut carried)?;
        world.progress.say(Level::Detail, &format!("looking into {}", self.name));
        let known = self.look_into(origin.as_ref(), digest, world)?;
        carried.notes.extend(proofs.iter().filter_map(|proof| other_name(proof, &known.name)));
        self.ask_for(&known, &mut carried)?;
        Ok(carried)
    }

    /// Before anything in the image is looked at.
    fn prove(
        &self,
        digest: &Digest,
        world: &World<'_>,
        proof: &dyn ReleaseProof,
        carried: &mut Carried,
    ) -> Result<Vec<Proof>, GatherError> {
        match proof.prove(digest) {
            Ok(signatures) => {
                let document = |proof: &Proof| {
                    Document::new(DocumentKind::ReleaseSignature, format!("sha256-{}-{}", digest.hex(), proof.number), &proof.raw)
                };
                carried.documents.extend(signatures.iter().map(document));
                Ok(signatures)
            }
            Err(StoreError::Cancelled) => Err(GatherError::Interrupted),
            Err(error) if world.releases.ignore_signature => {
                let line = format!("{} IS NOT PROVEN and carried all the same, as asked for: {error}", self.name);
                world.progress.say(Level::Warning, &line);
                carried.documents.push(Document::new(DocumentKind::Note, format!("release {}", digest.hex()), line.as_bytes()));
                carried.notes.push(line);
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn look_into(&self, origin: &dyn Origin, digest: Digest, world: &World<'_>) -> Result<Known, GatherError> {
        let mut image = Reference { tag: None, digest: Some(digest), ..self.reference.clone() };
        let is = |error: ReleaseError| match error {
            ReleaseError::Files(FilesError::Interrupted) => GatherError::Interrupted,
            error => GatherError::Release { image: image.to_string(), error },
        };
        let files = |error: FilesError| is(ReleaseError::Files(error));
        let stopped = || world.progress.cancelled();
        let blobs = Blobs { origin, workspace: world.workspace, stopped: &stopped, progress: world.progress };
        let (bytes, media_type) = origin.manifest(&digest)?;
        let root = Manifest::parse(&bytes, media_type.as_deref()).map_err(|error| OriginError::Manifest { digest, error })?;
        let (_, manifest) = choose(&digest, &self.member(&root), origin).map_err(files)?;
        let (config, _) = ImageConfig::read(&manifest, blobs).map_err(files)?;
        let release = Release::read(&ImageFiles::of(blobs, &manifest)).map_err(is)?;
        let name = release.tag(&config.architecture, root.is_index()).map_err(is)?;
        self.check(&image, &release, &name)?;
        let architecture = tag_suffix(&config.architecture).filter(|_| !release.multi || !root.is_index());
        let tag = self.target_tag(&name, &digest);
        image.tag = Some(tag.clone());
        Ok(Known { release, name, tag, image, architecture })
    }

    /// What it is called at the target, as oc-mirror calls it: one found in a channel `VERSION-ARCHITECTURE`; one that a person named
    /// by the tag they gave, or by the hex digits of its digest where they gave none.
    fn target_tag(&self, name: &str, digest: &Digest) -> String {
        match (&self.expected, &self.reference.tag) {
            (Some(_), _) => name.to_owned(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => digest.hex().to_string(),
        }
    }

    /// The member of an index that is looked into: all of them hold the same list. Preferred is what is carried anyway.
    fn member(&self, root: &Manifest) -> Platform {
        let amd64 = Platform { os: "linux".into(), architecture: "amd64".into(), variant: None };
        let there = || root.children().iter().filter_map(|child| child.platform.as_ref()).filter(|platform| platform.os == "linux");
        match self.platforms.first() {
            Some(first) if !self.platforms.iter().any(|platform| platform.selects(&amd64)) => first.clone(),
            None if !there().any(|platform| amd64.selects(platform)) => there().next().cloned().unwrap_or(amd64),
            _ => amd64,
        }
    }

    /// What the graph, or the tag a person gave, calls it must be what it calls itself.
    fn check(&self, image: &Reference, release: &Release, name: &str) -> Result<(), GatherError> {
        let other = |expected: String| GatherError::OtherRelease { image: image.to_string(), expected, found: name.to_owned() };
        match (&self.expected, &self.reference.tag) {
            (Some((version, architecture)), _) => {
                let expected = format!("{version}-{}", tag_suffix(architecture).unwrap_or(architecture));
                if *name == expected { Ok(()) } else { Err(other(expected)) }
            }
            // Other tags than versions (`latest`) promise nothing.
            (None, Some(tag)) => {
                let own = release.version.to_string();
                let promises = tag.split(['.', '-']).take(2).all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()));
                if !promises || *tag == own || tag == name { Ok(()) } else { Err(other(tag.clone())) }
            }
            (None, None) => Ok(()),
        }
    }

    fn ask_for(&self, known: &Known, carried: &mut Carried) -> Result<(), GatherError> {
        let Known { release, name, tag, image, architecture } = known;
        let is = |error| GatherError::Release { image: image.to_string(), error };
        let ask = |reference: &Reference, repository: &str, tag: String, role: Role, part: String| Ask {
            target_repo: Some(repository.to_owned()),
            target_tag: Some(tag),
            platforms: self.platforms.clone(),
            role,
            part_of: vec![part],
            ..Ask::of(Source::Registry(reference.clone()))
        };
        carried.asks.push(ask(image, RELEASE_REPOSITORY, tag.clone(), Role::Release, format!("release {name}")));
        for (component, reference) in &release.components {
            let content = content_tag(tag, component).map_err(is)?;
            carried.asks.push(ask(reference, CONTENT_REPOSITORY, content, Role::ReleaseContent, format!("release {name} {component}")));
        }
        if !self.kube_virt {
            return Ok(());
        }
        // What starts on other machines than the release is for is no part of it.
        let disks = release.kube_virt(*architecture).map_err(is)?;
        if disks.is_empty() {
            carried.notes.push(format!("release {name} has no container disk for KubeVirt"));
        }
        for disk in &disks {
            let suffix = kube_virt_suffix(&disks, disk);
            let content = content_tag(tag, &suffix).map_err(is)?;
            // One disk is for one architecture: there is nothing to choose from.
            let disk = ask(&disk.reference, CONTENT_REPOSITORY, content, Role::KubeVirt, format!("release {name} {suffix}"));
            carried.asks.push(Ask { platforms: Vec::new(), ..disk });
        }
        Ok(())
    }
}

/// A signature binds a digest; what it calls it is a label, which a store can have wrong. Whoever reads it elsewhere is told.
fn other_name(proof: &Proof, name: &str) -> Option<String> {
    let tag = proof.reference.rsplit_once(':').map_or(proof.reference.as_str(), |(_, tag)| tag);
    (tag != name).then(|| format!("release {name}: its signature {} calls it {}; the digest decides", proof.number, shown(tag)))
}

fn content_tag(tag: &str, component: &str) -> Result<String, ReleaseError> {
    let tag = format!("{tag}-{component}");
    if is_tag(&tag) { Ok(tag) } else { Err(ReleaseError::Tag(tag)) }
}
