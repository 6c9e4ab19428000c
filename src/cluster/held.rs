//! What the targets hold, by their receipts.

use super::{ClusterError, Target};
use crate::digest::Digest;
use crate::format::{Completeness, Document, DocumentKind, Receipt, ReceiptImage, Role, SignatureName};
use crate::image_set::{Source, max_nested_paths};
use crate::limits::LOOKASIDE_SIGNATURES;
use crate::oci::{Reference, is_repository};
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet};

/// One image at one target.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Position of the target.
    pub target: usize,
    /// Repository at the target, prefix included.
    pub repository: String,
    /// Tag at the target.
    pub tag: String,
    /// Repository and tag as the set names them.
    pub name: String,
    /// Where the image is known to its users; `None` for what is from a layout, or was made.
    pub source: Option<Reference>,
    /// What it is for.
    pub role: Role,
    /// False when names at this target were flattened.
    pub deep: bool,
    /// False when its own digest cannot be pulled.
    pub by_digest: bool,
    /// A newer set has its tag; it is there under a name nobody asks for.
    pub kept_back: bool,
    /// The CatalogSource template that came with it.
    pub template: Option<Vec<u8>>,
    /// The receipt that first had something under this name: what was there first keeps its name among objects.
    pub since: usize,
}

/// Host and prefix of a target.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub host: String,
    pub prefix: String,
    /// Whether any certificate is accepted of it, and none.
    pub insecure: bool,
}

/// Everything the targets hold.
pub(super) struct Holdings {
    pub places: Vec<Place>,
    /// By target, repository and tag.
    pub images: Vec<Held>,
    /// Signatures of releases by name: `sha256-HEX-N`.
    pub signatures: BTreeMap<String, Vec<u8>>,
    /// Signatures of images, by repository at the target and manifest.
    pub lookaside: Lookaside,
}

type Lookaside = BTreeMap<(String, Digest), Vec<Vec<u8>>>;

impl Place {
    fn of(target: &Target) -> Result<Place, ClusterError> {
        Ok(Place { insecure: target.insecure, ..Place::parse(&target.name)? })
    }

    /// Reads `host[:port][/prefix]`.
    pub fn parse(target: &str) -> Result<Place, ClusterError> {
        if target.starts_with("oci:") {
            return Err(ClusterError::Layout { target: target.to_owned() });
        }
        let (host, prefix) = target.split_once('/').unwrap_or((target, ""));
        let host_like = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        let good = !host.is_empty() && host.bytes().all(host_like) && (prefix.is_empty() || is_repository(prefix));
        match good {
            true => Ok(Place { host: host.to_owned(), prefix: prefix.to_owned(), insecure: false }),
            false => Err(ClusterError::Target { target: target.to_owned() }),
        }
    }

    /// A repository of a set, as it is called here.
    pub fn below(&self, repository: &str) -> String {
        match self.prefix.as_str() {
            "" => repository.to_owned(),
            prefix => format!("{prefix}/{repository}"),
        }
    }
}

impl Held {
    /// True when the repository at the target is the source's path below something: whole components, not letters, or
    /// `ns/xa` would count as following `a`.
    pub fn follows(&self, source: &Reference) -> bool {
        let above = self.repository.strip_suffix(source.repository.as_str());
        self.deep && above.is_some_and(|above| above.is_empty() || above.ends_with('/'))
    }

    /// True for what somebody names as it is named outside.
    pub fn is_pulled(&self) -> bool {
        match self.role {
            Role::Graph | Role::Catalog | Role::Chart | Role::Referrer => false,
            Role::Image | Role::Release | Role::ReleaseContent | Role::KubeVirt | Role::Bundle | Role::Related | Role::Helm => true,
        }
    }

    /// True when the image answers to a tag its users know.
    pub fn by_tag(&self) -> bool {
        let tagged = self.source.as_ref().is_some_and(|source| source.tag.is_some());
        !self.kept_back && (tagged || self.role == Role::Release)
    }
}

impl Holdings {
    /// Whether no certificate is asked of the target that `host[:port][/path]` is at.
    pub fn is_insecure(&self, name: &str) -> bool {
        let host = name.split('/').next().unwrap_or_default();
        self.places.iter().any(|place| place.insecure && place.host == host)
    }

    /// Adds the receipts of all targets up.
    pub fn of(targets: &[Target], notes: &mut Vec<String>) -> Result<Holdings, ClusterError> {
        let places = targets.iter().map(Place::of).collect::<Result<Vec<_>, _>>()?;
        let mut images = BTreeMap::new();
        let mut signatures = BTreeMap::new();
        let mut lookaside = Lookaside::new();
        for (target, (place, receipts)) in places.iter().zip(targets.iter().map(|t| &t.receipts)).enumerate() {
            for (at, receipt) in receipts.iter().enumerate() {
                take(&mut images, (target, place), (at, receipt), notes);
                let signed = receipt.documents.iter().filter(|d| d.kind == DocumentKind::ReleaseSignature);
                sign(&mut lookaside, place, receipt);
                signatures.extend(signed.map(|d: &Document| (d.name.clone(), d.bytes())));
            }
        }
        Ok(Holdings { places, images: images.into_values().collect(), signatures, lookaside })
    }

    /// `host/repository` of an image.
    pub fn name(&self, held: &Held) -> String {
        let host = self.places.get(held.target).map_or("", |place| place.host.as_str());
        format!("{host}/{}", held.repository)
    }

    /// Images that are pulled by a name they have outside, with that name. Where that is the very place they are at, nothing has to lead
    /// there.
    pub fn pulled(&self) -> impl Iterator<Item = (&Held, &Reference)> {
        let named = self.images.iter().filter(|held| held.is_pulled()).filter_map(|held| Some((held, held.source.as_ref()?)));
        named.filter(|(held, source)| (source.digest.is_some() || held.by_tag()) && source.name() != self.name(held))
    }

    /// Images of a role that their tag leads to, those of the first targets first.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = &Held> {
        self.images.iter().filter(move |held| held.role == role && !held.kept_back)
    }
}

type ByName = BTreeMap<(usize, String, String), Held>;

/// Adds the signatures of the images of a receipt, under the names the images have at the target. Documents keep the names of the set;
/// the receipt's own may be flattened.
fn sign(lookaside: &mut Lookaside, place: &Place, receipt: &Receipt) {
    let here = |repository: &str| max_nested_paths(&place.below(repository), usize::from(receipt.max_nested_paths));
    let held: BTreeSet<String> = receipt.images.iter().map(|image| here(&image.repository)).collect();
    for document in receipt.documents.iter().filter(|d| d.kind == DocumentKind::ImageSignature) {
        let Some(name) = SignatureName::parse(&document.name) else { continue };
        let repository = here(&name.repository);
        if !held.contains(&repository) {
            continue;
        }
        let (known, bytes) = (lookaside.entry((repository, name.digest)).or_default(), document.bytes());
        if !known.contains(&bytes) && known.len() < LOOKASIDE_SIGNATURES as usize {
            known.push(bytes);
        }
    }
}

fn take(images: &mut ByName, (target, place): (usize, &Place), (at, receipt): (usize, &Receipt), notes: &mut Vec<String>) {
    for image in &receipt.images {
        let full = place.below(&image.repository);
        let repository = max_nested_paths(&full, usize::from(receipt.max_nested_paths));
        let key = (target, repository.clone(), image.tag.clone());
        let since = images.get(&key).map_or(at, |earlier| earlier.since);
        let name = format!("{}:{}", image.repository, image.tag);
        let here = |repository: &str| max_nested_paths(&place.below(repository), usize::from(receipt.max_nested_paths));
        // Documents keep the names of the set; the receipt's own may be flattened.
        let of_it =
            |d: &&Document| d.name.rsplit_once(':').is_some_and(|(of, tag)| tag == image.tag && here(of) == here(&image.repository));
        let template = receipt.documents.iter().filter(|d| d.kind == DocumentKind::CatalogTemplate).find(of_it);
        let held = Held {
            target,
            tag: image.tag.clone(),
            source: source(image, notes),
            role: image.role,
            deep: receipt.max_nested_paths == 0,
            by_digest: !matches!(image.completeness, Completeness::SingleMember { .. }),
            kept_back: receipt.skipped_tags.iter().any(|s| s.repository == image.repository && s.digest == image.digest),
            template: template.map(Document::bytes),
            since,
            repository,
            name,
        };
        odd(&held, notes);
        images.insert(key, held);
    }
}

/// What is there and will not be found by the name it has outside.
fn odd(held: &Held, notes: &mut Vec<String>) {
    let Some(source) = held.source.as_ref().filter(|_| held.is_pulled()) else { return };
    if source.digest.is_some() && !held.by_digest {
        notes.push(format!("{source} cannot be pulled by its digest: the target holds one member of it alone, as {}", held.name));
    }
    if let Some(tag) = source.tag.as_ref().filter(|tag| **tag != held.tag && !held.kept_back) {
        notes.push(format!("{} is not found by its tag {tag}: at the target it is {}:{}", source.name(), held.repository, held.tag));
    }
}

fn source(image: &ReceiptImage, notes: &mut Vec<String>) -> Option<Reference> {
    match Source::parse_recorded(&image.source) {
        Ok(Source::Registry(reference)) => Some(reference),
        Ok(Source::Layout { .. } | Source::Made(_)) => None,
        Err(_) => {
            let name = format!("{}:{}", image.repository, image.tag);
            notes.push(format!("{name} came from {}, which is no reference: nothing leads to it", shown(&image.source)));
            None
        }
    }
}
