//! The search over made-up sources.

use super::*;
use crate::oci::referrers::cosign_tag;
use crate::progress::Silent;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

const NAME: &str = "quay.io/a/b:1";

/// A source that keeps count of what it is asked.
#[derive(Default)]
struct Shelf {
    manifests: HashMap<Digest, Vec<u8>>,
    about: HashMap<Digest, Vec<Referrer>>,
    asked: Mutex<Vec<Digest>>,
}

impl Shelf {
    fn manifest(&mut self, document: &Value) -> Digest {
        let bytes = document.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        self.manifests.insert(digest, bytes);
        digest
    }

    fn artifact(&mut self, subject: Option<&Digest>, kind: &str) -> Digest {
        let blob = json!({"mediaType": "x", "digest": Digest::sha256(b""), "size": 0});
        let mut document = json!({"artifactType": kind, "config": blob, "layers": []});
        if let Some(subject) = subject {
            document["subject"] = json!({"digest": subject, "size": 1});
        }
        self.manifest(&document)
    }

    fn lists(&mut self, subject: Digest, digest: Digest, tag: Option<String>) {
        self.about.entry(subject).or_default().push(Referrer { digest, tag });
    }

    /// An artifact about `subject` that is listed.
    fn attach(&mut self, subject: Digest, kind: &str) -> Digest {
        let digest = self.artifact(Some(&subject), kind);
        self.lists(subject, digest, None);
        digest
    }
}

struct Handle(Arc<Shelf>);

impl Origin for Handle {
    fn resolve(&self, _: &Source) -> Result<(Digest, Option<String>), OriginError> {
        Err(OriginError::NoWorkspace)
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Ok((self.0.manifests.get(digest).cloned().ok_or(OriginError::NotMade(*digest))?, None))
    }

    fn open_at(&self, _: &Descriptor, _: u64) -> Result<Box<dyn io::Read + Send>, OriginError> {
        Err(OriginError::NoWorkspace)
    }

    fn referrers(&self, subject: &Digest, _: &ReferrerFilter) -> Result<Vec<Referrer>, OriginError> {
        self.0.asked.lock().unwrap().push(*subject);
        Ok(self.0.about.get(subject).cloned().unwrap_or_default())
    }
}

struct Shelves(Arc<Shelf>);

impl Origins for Shelves {
    fn open(&self, _: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        Ok(Arc::new(Handle(self.0.clone())))
    }
}

fn resolved(shelf: &Shelf, repository: &str, digest: Digest) -> Resolved {
    let bytes = &shelf.manifests[&digest];
    let root = Root { media_type: "m".into(), digest, size: bytes.len() as u64 };
    let image = Image { source: NAME.into(), part_of: vec![format!("chart {repository} 1")], ..Image::plain(repository, "1", root) };
    Resolved { image, tree: vec![ManifestData::new("m", bytes)] }
}

fn search(shelf: &Arc<Shelf>, images: &[Resolved]) -> Found {
    let (origins, filter) = (Shelves(shelf.clone()), ReferrerFilter::all());
    let ask = Ask::of(Source::parse(NAME).unwrap());
    let search = Search { origins: &origins, filter: &filter, parallel: 2, progress: &Silent::default() };
    search.run(images.iter().map(|image| (&ask, image)))
}

#[test]
fn chains_end_and_what_is_deeper_is_told() {
    let mut shelf = Shelf::default();
    let image = shelf.artifact(None, "image");
    let mut last = image;
    for _ in 0..=limits::REFERRER_DEPTH {
        last = shelf.attach(last, "sbom");
    }
    let images = [resolved(&shelf, "a", image)];
    let found = search(&Arc::new(shelf), &images);
    assert_eq!((found.referrers.len(), found.failures.len()), (limits::REFERRER_DEPTH, 1));
    assert!(matches!(found.failures[0].reason, Reason::Origin(OriginError::Depth(_))));
}

#[test]
fn circles_and_shared_content_are_asked_about_once() {
    let mut shelf = Shelf::default();
    let image = shelf.artifact(None, "image");
    let sbom = shelf.attach(image, "sbom");
    // Nothing can name its own digest, but a tag can point anywhere.
    shelf.lists(sbom, image, Some(cosign_tag(&sbom, "att")));
    shelf.lists(image, image, None);
    let images = [resolved(&shelf, "a", image), resolved(&shelf, "b", image)];
    let shelf = Arc::new(shelf);
    let found = search(&shelf, &images);
    assert_eq!(shelf.asked.lock().unwrap().len(), 2);
    let mut names: Vec<String> = found.referrers.iter().map(|r| format!("{} {}", r.image.repository, r.image.part_of[0])).collect();
    names.sort();
    assert_eq!(names, ["a chart a 1", "a chart a 1", "b chart b 1", "b chart b 1"]);
}

#[test]
fn signatures_are_not_asked_about_and_one_thing_has_one_name() {
    let mut shelf = Shelf::default();
    let image = shelf.artifact(None, "image");
    let signature = shelf.attach(image, "application/vnd.cncf.notary.signature");
    let both = shelf.attach(image, "sbom");
    shelf.lists(image, both, Some(cosign_tag(&image, "sbom")));
    let images = [resolved(&shelf, "a", image)];
    let shelf = Arc::new(shelf);
    let found = search(&shelf, &images);
    assert!(!shelf.asked.lock().unwrap().contains(&signature));
    let tags: BTreeSet<String> = found.referrers.into_iter().map(|r| r.image.tag).collect();
    assert_eq!(tags, BTreeSet::from([keep_tag(&signature), cosign_tag(&image, "sbom")]));
}

#[test]
fn a_list_without_end_is_a_failure() {
    let mut shelf = Shelf::default();
    let image = shelf.artifact(None, "image");
    for n in 0..=limits::REFERRERS {
        shelf.lists(image, Digest::sha256(&n.to_le_bytes()), None);
    }
    let images = [resolved(&shelf, "a", image)];
    let found = search(&Arc::new(shelf), &images);
    assert!(found.referrers.is_empty());
    assert!(matches!(found.failures[0].reason, Reason::Origin(OriginError::Referrers { .. })));
}
