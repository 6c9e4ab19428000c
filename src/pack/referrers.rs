//! What refers to the images that are packed: found beside each manifest of them, carried as images of their own.
//!
//! Asked for level by level, several at a time: about the images and their members, then about what was found. Every pair of
//! repository and digest is asked about once. What a source lists and cannot deliver is a failure like that of an image; what it
//! lists and that refers to something else is none of this image's, and left where it is.

use super::resolve::{Resolved, sorted, walk};
use super::wish::Ask;
use super::{Failure, Reason};
use crate::digest::Digest;
use crate::format::{Commit, Image, ManifestData, Role, Root};
use crate::image_set::Source;
use crate::limits;
use crate::oci::referrers::{Attached, Referrer, ReferrerFilter};
use crate::oci::{Descriptor, Manifest, keep_tag};
use crate::origin::{Origin, OriginError, Origins};
use crate::parallel::each;
use crate::progress::{Level, Progress};
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet};

/// Signatures by their type: nobody signs them, so nobody is asked.
const SIGNATURES: [&str; 3] =
    ["application/vnd.dev.cosign.artifact.sig*", "application/vnd.dev.sigstore.bundle*", "application/vnd.cncf.notary.signature"];

/// What refers to the images, and what could not be had of it.
#[derive(Default)]
pub(super) struct Found {
    pub referrers: Vec<Resolved>,
    pub failures: Vec<Failure>,
}

/// One manifest in one place, with all that need to know what is about it.
struct Subject {
    source: Source,
    digest: Digest,
    /// Repositories at the target, with what needs the image there.
    targets: BTreeMap<String, BTreeSet<String>>,
}

/// What is asked for, with what, and who watches.
pub(super) struct Search<'a> {
    pub origins: &'a dyn Origins,
    pub filter: &'a ReferrerFilter,
    pub parallel: usize,
    pub progress: &'a dyn Progress,
}

/// A referrer that checked out.
struct Checked {
    tag: Option<String>,
    manifest: Manifest,
    digest: Digest,
    size: u64,
    tree: Vec<ManifestData>,
    is_signature: bool,
}

type Answer = Vec<Result<Checked, Failure>>;
type Subjects = BTreeMap<(String, Digest), Subject>;

impl Search<'_> {
    /// All referrers of these images, each once for each repository it goes to.
    pub fn run<'r>(&self, images: impl Iterator<Item = (&'r Ask, &'r Resolved)>) -> Found {
        let mut found = Found::default();
        if self.filter.is_none() {
            return found;
        }
        let mut asked = BTreeSet::new();
        let mut level = Subjects::new();
        for (ask, resolved) in images.filter(|(ask, _)| ask.made.is_none()) {
            add(&mut level, &ask.source, &resolved.image, &resolved.tree);
        }
        for depth in 0..=limits::REFERRER_DEPTH {
            let subjects: Vec<Subject> =
                std::mem::take(&mut level).into_values().filter(|s| asked.insert((place(&s.source), s.digest))).collect();
            for (subject, answer) in subjects.iter().zip(self.ask_all(&subjects)) {
                for one in answer {
                    match one {
                        Ok(_) if depth == limits::REFERRER_DEPTH => {
                            found.failures.push(failure(subject, None, OriginError::Depth(subject.digest)));
                        }
                        Ok(checked) => take(subject, &checked, &mut level, &mut found.referrers),
                        Err(failure) => found.failures.push(failure),
                    }
                }
            }
            if level.is_empty() || self.progress.cancelled() {
                break;
            }
        }
        found
    }

    /// Asks about all of them on a few threads; answers in order.
    fn ask_all(&self, subjects: &[Subject]) -> Vec<Answer> {
        let ask = |subject: &Subject| self.ask(subject).unwrap_or_else(|e| vec![Err(failure(subject, None, e))]);
        let answers = each(self.parallel, subjects, || self.progress.cancelled(), ask);
        answers.into_iter().map(Option::unwrap_or_default).collect()
    }

    fn ask(&self, subject: &Subject) -> Result<Answer, OriginError> {
        let origin = self.origins.open(&subject.source)?;
        let said = origin.referrers(&subject.digest, self.filter)?;
        if said.len() > limits::REFERRERS {
            return Err(OriginError::Referrers { subject: subject.digest, count: said.len() });
        }
        // What has a tag and is listed as well is one; under its tag, by which others look for it.
        let tagged: BTreeSet<Digest> = said.iter().filter(|r| r.tag.is_some()).map(|r| r.digest).collect();
        let mut seen = BTreeSet::new();
        let once = said
            .into_iter()
            .filter(|r| r.digest != subject.digest && (r.tag.is_some() || !tagged.contains(&r.digest) && seen.insert(r.digest)));
        Ok(once.filter_map(|referrer| self.check(origin.as_ref(), subject, referrer).transpose()).collect())
    }

    /// Fetches a referrer; nothing when it is not wanted, or is about something else.
    fn check(&self, origin: &dyn Origin, subject: &Subject, said: Referrer) -> Result<Option<Checked>, Failure> {
        let digest = said.digest;
        let fetch = || -> Result<Option<Checked>, OriginError> {
            let (bytes, media_type) = origin.manifest(&digest)?;
            let attached = Attached::parse(&bytes);
            if said.tag.is_none() && attached.subject != Some(subject.digest) {
                let at = shown(&place(&subject.source)).to_string();
                let line = format!("{at}@{digest} is listed as referring to {}, and does not: it is left out", subject.digest.short());
                self.progress.say(Level::Warning, &line);
                return Ok(None);
            }
            if said.tag.is_none() && !self.filter.takes_type(&attached.artifact_type) {
                return Ok(None);
            }
            let manifest = Manifest::parse(&bytes, media_type.as_deref()).map_err(|error| OriginError::Manifest { digest, error })?;
            let root = Descriptor::new(manifest.media_type.clone(), digest, bytes.len() as u64);
            let nodes = walk(origin, &root, &BTreeSet::new())?;
            let tree = nodes.into_iter().map(|n| ManifestData::new(&n.descriptor.media_type, &n.bytes)).collect();
            let by_tag = said.tag.as_ref().is_some_and(|tag| tag.ends_with(".sig"));
            let is_signature = by_tag || SIGNATURES.iter().any(|kind| crate::text::matches(kind, &attached.artifact_type));
            Ok(Some(Checked { tag: said.tag.clone(), manifest, digest, size: root.size, tree, is_signature }))
        };
        fetch().map_err(|error| failure(subject, Some(&named(&subject.source, said.tag.as_deref(), &digest)), error))
    }
}

/// Puts every manifest of an image among what is asked about next.
fn add(level: &mut Subjects, source: &Source, image: &Image, tree: &[ManifestData]) {
    for manifest in tree {
        let fresh = || Subject { source: source.clone(), digest: manifest.digest, targets: BTreeMap::new() };
        let subject = level.entry((place(source), manifest.digest)).or_insert_with(fresh);
        subject.targets.entry(image.repository.clone()).or_default().extend(image.part_of.iter().cloned());
    }
}

/// Makes images of a referrer: one for each repository its subject goes to.
fn take(subject: &Subject, checked: &Checked, level: &mut Subjects, referrers: &mut Vec<Resolved>) {
    let source = named(&subject.source, checked.tag.as_deref(), &checked.digest);
    for (repository, part_of) in &subject.targets {
        let image = Image {
            repository: repository.clone(),
            tag: checked.tag.clone().unwrap_or_else(|| keep_tag(&checked.digest)),
            source: source.to_string(),
            root: Root { media_type: checked.manifest.media_type.clone(), digest: checked.digest, size: checked.size },
            platforms: Vec::new(),
            commit: Commit::Early,
            role: Role::Referrer,
            part_of: sorted(part_of.iter().cloned().collect()),
            made: None,
            subject: Some(subject.digest),
        };
        if !checked.is_signature {
            add(level, &source, &image, &checked.tree);
        }
        referrers.push(Resolved { image, tree: checked.tree.clone() });
    }
}

/// The repository or layout of a source: what is asked about one digest there is asked once.
fn place(source: &Source) -> String {
    match source {
        Source::Registry(reference) => reference.name(),
        Source::Layout { dir, .. } => format!("oci:{dir}"),
        Source::Made(name) => format!("made:{name}"),
    }
}

/// Another image of the same repository or layout.
fn named(beside: &Source, tag: Option<&str>, digest: &Digest) -> Source {
    let (tag, digest) = (tag.map(str::to_owned), if tag.is_some() { None } else { Some(*digest) });
    match beside {
        Source::Registry(reference) => Source::Registry(crate::oci::Reference { tag, digest, ..reference.clone() }),
        Source::Layout { dir, .. } => Source::Layout { dir: dir.clone(), tag, digest },
        Source::Made(name) => Source::Made(name.clone()),
    }
}

/// What could not be had: the list of what refers to `subject`, or one thing that is said to.
fn failure(subject: &Subject, one: Option<&Source>, error: OriginError) -> Failure {
    let name = match one {
        Some(source) => format!("{source} (refers to {})", subject.digest.short()),
        None => format!("referrers of {}@{}", place(&subject.source), subject.digest),
    };
    Failure { name, reason: Reason::Origin(error), part_of: Vec::new() }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
