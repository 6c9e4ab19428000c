//! The plan: everything decided, nothing fetched yet but manifests. It can be saved, read by people, and run on another machine.

use super::Error;
use crate::archive;
use crate::codec::frame;
use crate::digest::Digest;
use crate::format::volume::{END, ENTRY_HEADER, PADDING_MAX, TAG_BYTES, TAG_OFFSET};
use crate::format::{Document, Image, ManifestData, Manifests, Missing, Producer, SCHEMA, block_size};
use crate::limits;
use crate::oci::referrers::SIMPLE_SIGNING;
use crate::oci::{Descriptor, Manifest, Platform};
use oci_spec::image::{DescriptorBuilder, ImageIndexBuilder, MediaType, SCHEMA_VERSION};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Plain bytes of a piece that is compressed as one frame (`sealift-archive(5)`, "Frames").
pub(super) const PIECE: usize = 8 << 20;

/// What the person chose that decides the bytes of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Options {
    /// The stream.
    pub stream: String,
    /// Upper bound of a volume.
    pub volume_size: u64,
    /// zstd level for what is not compressed already.
    pub level: i32,
    /// Sites the set is meant for.
    pub audience: Vec<String>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { stream: "default".into(), volume_size: limits::VOLUME_BYTES_MAX, level: 3, audience: Vec::new(), labels: BTreeMap::new() }
    }
}

/// One blob to carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedBlob {
    /// Digest.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Media type, as its manifest says.
    pub media_type: String,
    /// Positions in [`PackPlan::images`] of images that have it; any of their sources will do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<usize>,
    /// True for manifests and indexes: their bytes are in the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub manifest: bool,
    /// True for image configurations: small ones travel in the contents document too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub config: bool,
    /// Where a foreign layer may be fetched from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// A pack, planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackPlan {
    /// Schema of the plan document.
    pub schema: u64,
    /// Who planned it; only the same version runs it, for the same bytes.
    pub producer: Producer,
    /// Choices.
    pub options: Options,
    /// Bytes of a block.
    pub block_size: u64,
    /// The images, in order.
    pub images: Vec<Image>,
    /// Every manifest, by digest.
    pub manifests: Vec<ManifestData>,
    /// Every blob in the order it will be written.
    pub blobs: Vec<PlannedBlob>,
    /// What was asked for and cannot be packed.
    pub missing: Vec<Missing>,
    /// Documents that travel beside the images, ordered by kind and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
}

/// What a plan will take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Bytes of all blobs and manifests, each once.
    pub content: u64,
    /// The most bytes all volumes take.
    pub volumes_bytes: u64,
    /// The most volumes there will be.
    pub volumes: u64,
    /// The most bytes index and contents take, one copy of each.
    pub documents: u64,
}

impl Estimate {
    /// Bytes the output folder must have: volumes, documents twice, signatures and README.
    pub fn staging(&self) -> u64 {
        self.volumes_bytes + 2 * self.documents + (64 << 10)
    }
}

/// The producer this program is.
pub(super) fn producer() -> Producer {
    Producer { sealift: env!("CARGO_PKG_VERSION").into(), zstd: frame::library_version() }
}

/// The most bytes one blob takes in volumes, cuts not counted.
fn blob_bound(size: u64) -> u64 {
    // A compressed frame is never longer than zstd's own bound (size / 256 + 64 KiB / ...), a raw one is shorter.
    ENTRY_HEADER + PADDING_MAX + size + size / 200 + 1024
}

impl PackPlan {
    /// Puts images and their manifests into an order and decides what follows from it.
    pub fn new(
        options: Options,
        trees: Vec<(Image, Vec<ManifestData>)>,
        missing: Vec<Missing>,
        documents: Vec<Document>,
    ) -> Result<PackPlan, Error> {
        crate::format::check_documents(&documents).map_err(Error::Documents)?;
        let mut builder = Builder::default();
        let mut images = Vec::new();
        for (image, tree) in trees {
            let position = images.len();
            for manifest in tree {
                builder.add(position, manifest)?;
            }
            images.push(image);
        }
        let Builder { manifests, blobs, .. } = builder;
        let mut plan = PackPlan {
            schema: SCHEMA,
            producer: producer(),
            options,
            block_size: limits::BLOCK_BYTES_MIN,
            images,
            manifests: manifests.into_values().collect(),
            blobs,
            missing,
            documents,
        };
        let estimate = plan.estimate()?;
        plan.block_size = block_size(estimate.volumes_bytes, estimate.volumes);
        plan.check_volume_size()?;
        Ok(plan)
    }

    /// Reads a saved plan and derives again what can be derived: a plan is input, not authority.
    pub fn parse(bytes: &[u8]) -> Result<PackPlan, Error> {
        let plan: PackPlan = serde_json::from_slice(bytes).map_err(|e| Error::Plan(e.to_string()))?;
        if plan.schema != SCHEMA || plan.producer != producer() {
            let version = |p: &Producer| format!("sealift {} with zstd {}", crate::text::shown(&p.sealift), crate::text::shown(&p.zstd));
            return Err(Error::Plan(format!("it was made by {}, this is {}", version(&plan.producer), version(&producer()))));
        }
        let again = plan.derived()?;
        if again != plan {
            return Err(Error::Plan("its parts do not fit together".into()));
        }
        Ok(plan)
    }

    /// The plan made anew from its images and manifests.
    pub(super) fn derived(&self) -> Result<PackPlan, Error> {
        let by_digest: BTreeMap<Digest, &ManifestData> = self.manifests.iter().map(|m| (m.digest, m)).collect();
        let mut trees = Vec::new();
        for image in &self.images {
            let mut tree = Vec::new();
            let mut seen = match by_digest.get(&image.root.digest).map(|m| Manifest::parse(&m.bytes(), Some(&m.media_type))) {
                Some(Ok(root)) => super::resolve::left_out(&root, &image.platforms),
                _ => return Err(Error::Plan(format!("the manifest of {}:{} is not in it", image.repository, image.tag))),
            };
            collect(&image.root.digest, &by_digest, 0, &mut seen, &mut tree)?;
            trees.push((image.clone(), tree));
        }
        PackPlan::new(self.options.clone(), trees, self.missing.clone(), self.documents.clone())
    }

    /// The document, for saving.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| Error::Plan(e.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The identity of the plan: what the volumes' tags carry.
    pub fn digest(&self) -> Result<Digest, Error> {
        Ok(Digest::sha256(&serde_json::to_vec(self).map_err(|e| Error::Plan(e.to_string()))?))
    }

    /// Bytes of a manifest in the plan.
    pub fn manifest_bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let at = self.manifests.binary_search_by_key(digest, |m| m.digest).ok()?;
        self.manifests.get(at).map(ManifestData::bytes)
    }

    /// Every manifest, parsed.
    pub(super) fn parsed(&self) -> Result<Manifests, Error> {
        let parse = |m: &ManifestData| match Manifest::parse(&m.bytes(), Some(&m.media_type)) {
            Ok(manifest) => Ok((m.digest, manifest)),
            Err(e) => Err(Error::Plan(format!("manifest {}: {e}", m.digest))),
        };
        self.manifests.iter().map(parse).collect()
    }

    /// For each image, how many referrers go with it: about it, its members, and in turn about those.
    pub fn referrers(&self) -> Result<Vec<usize>, Error> {
        Ok(crate::format::referrers(&self.images, &self.parsed()?).iter().map(BTreeSet::len).collect())
    }

    /// Digests of everything an image consists of.
    pub(super) fn blobs_of(&self, image: &Image) -> impl Iterator<Item = Digest> + use<> {
        let mut digests = BTreeSet::new();
        let mut pending = vec![image.root.digest];
        while let Some(digest) = pending.pop() {
            let at = self.manifests.binary_search_by_key(&digest, |m| m.digest).ok().and_then(|at| self.manifests.get(at));
            let Some(data) = at.filter(|_| digests.insert(digest)) else { continue };
            if let Ok(manifest) = Manifest::parse(&data.bytes(), Some(&data.media_type)) {
                digests.extend(manifest.blobs().map(|b| b.digest));
                pending.extend(manifest.children().iter().map(|c| c.digest));
            }
        }
        digests.into_iter()
    }

    /// What it will take, as upper bounds.
    pub fn estimate(&self) -> Result<Estimate, Error> {
        let content = self.blobs.iter().map(|b| b.size).sum();
        let blobs: u64 = self.blobs.iter().map(|b| blob_bound(b.size)).sum();
        let layout = self.layout_index()?.len() as u64;
        let fixed = TAG_OFFSET + TAG_BYTES + END + blob_bound(layout);
        // What a full volume holds at least: a cut leaves at most one zstd block and the smallest worthwhile piece.
        let usable = self.options.volume_size.saturating_sub(fixed + (256 << 10)).max(32 << 10);
        let volumes = blobs.div_ceil(usable).max(1);
        let volumes_bytes = blobs + volumes * (fixed + ENTRY_HEADER + PADDING_MAX + 64);
        Ok(Estimate { content, volumes_bytes, volumes, documents: self.documents_bound(volumes, volumes_bytes)? })
    }

    /// The most bytes index and contents take together; tested to hold for what is written.
    fn documents_bound(&self, volumes: u64, bytes: u64) -> Result<u64, Error> {
        let size = |value: Result<Vec<u8>, serde_json::Error>| value.map(|v| v.len() as u64).map_err(|e| Error::Plan(e.to_string()));
        let frames = bytes / PIECE as u64 + self.blobs.len() as u64 + 2 * volumes;
        let inline: u64 = self.blobs.iter().filter(|b| b.is_inline()).map(|b| b.size * 4 / 3 + 24).sum();
        let contents = 256
            + size(serde_json::to_vec(&self.images))?
            + size(serde_json::to_vec(&self.manifests))?
            + size(serde_json::to_vec(&self.documents))?
            + 160 * self.blobs.len() as u64
            + 80 * (self.blobs.len() as u64 + volumes)
            + 48 * frames
            + inline;
        let blocks = bytes / self.block_size + volumes;
        // Pretty-printed members take more room than the same members in one line: missing and labels count four times.
        let free = 4 * (size(serde_json::to_vec(&self.missing))? + size(serde_json::to_vec(&self.options))?);
        Ok(contents + contents / 128 + 4096 + 200 * volumes + 44 * blocks + free)
    }

    fn check_volume_size(&self) -> Result<(), Error> {
        let need = archive::smallest_volume(&self.layout_index()?, self.options.level)?;
        let size = self.options.volume_size;
        if size < need || size > limits::VOLUME_BYTES_MAX {
            return Err(archive::Error::VolumeTooSmall { size, need }.into());
        }
        Ok(())
    }

    /// The `index.json` of the OCI layout that the volumes make: every image under `repository:tag`.
    pub fn layout_index(&self) -> Result<Vec<u8>, Error> {
        let fail = |e: oci_spec::OciSpecError| Error::Plan(e.to_string());
        let mut manifests = Vec::new();
        for image in &self.images {
            let digest: oci_spec::image::Digest = image.root.digest.to_string().parse().map_err(fail)?;
            let name = [("org.opencontainers.image.ref.name".to_owned(), format!("{}:{}", image.repository, image.tag))];
            let descriptor = DescriptorBuilder::default()
                .media_type(MediaType::from(image.root.media_type.as_str()))
                .digest(digest)
                .size(image.root.size)
                .annotations(std::collections::HashMap::from(name))
                .build()
                .map_err(fail)?;
            manifests.push(descriptor);
        }
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(manifests)
            .build()
            .map_err(fail)?;
        serde_json::to_vec(&index).map_err(|e| Error::Plan(e.to_string()))
    }
}

impl PlannedBlob {
    /// As a descriptor.
    pub fn descriptor(&self) -> Descriptor {
        let mut descriptor = Descriptor::new(self.media_type.clone(), self.digest, self.size);
        descriptor.urls = self.urls.clone();
        descriptor
    }

    /// Travels in the contents document as well.
    pub(super) fn is_inline(&self) -> bool {
        (self.config || self.media_type == SIMPLE_SIGNING) && self.size < limits::INLINE_BYTES
    }
}

/// Children first, each once.
pub(super) fn collect(
    at: &Digest,
    all: &BTreeMap<Digest, &ManifestData>,
    depth: usize,
    seen: &mut BTreeSet<Digest>,
    tree: &mut Vec<ManifestData>,
) -> Result<(), Error> {
    let Some(data) = all.get(at).filter(|_| depth <= limits::INDEX_DEPTH && seen.insert(*at)) else { return Ok(()) };
    let bytes = data.bytes();
    if Digest::sha256(&bytes) != *at {
        return Err(Error::Plan(format!("manifest {at} has other bytes")));
    }
    let manifest = Manifest::parse(&bytes, Some(&data.media_type)).map_err(|e| Error::Plan(format!("manifest {at}: {e}")))?;
    for child in manifest.children() {
        collect(&child.digest, all, depth + 1, seen, tree)?;
    }
    tree.push((*data).clone());
    Ok(())
}

#[derive(Default)]
struct Builder {
    manifests: BTreeMap<Digest, ManifestData>,
    blobs: Vec<PlannedBlob>,
    positions: BTreeMap<Digest, usize>,
}

impl Builder {
    /// A manifest's blobs first, then the manifest itself: an image is whole at its last byte.
    fn add(&mut self, image: usize, data: ManifestData) -> Result<(), Error> {
        let bytes = data.bytes();
        let fail = |e: crate::oci::ManifestError| Error::Plan(format!("manifest {}: {e}", data.digest));
        let manifest = Manifest::parse(&bytes, Some(&data.media_type)).map_err(fail)?;
        for (i, blob) in manifest.blobs().enumerate() {
            self.blob(image, blob, i == 0);
        }
        let descriptor = Descriptor::new(data.media_type.clone(), data.digest, bytes.len() as u64);
        let position = self.blob(image, &descriptor, false);
        if let Some(blob) = self.blobs.get_mut(position) {
            blob.manifest = true;
            blob.images.clear();
        }
        self.manifests.insert(data.digest, data);
        Ok(())
    }

    fn blob(&mut self, image: usize, descriptor: &Descriptor, config: bool) -> usize {
        let position = *self.positions.entry(descriptor.digest).or_insert(self.blobs.len());
        if position == self.blobs.len() {
            self.blobs.push(PlannedBlob {
                digest: descriptor.digest,
                size: descriptor.size,
                media_type: descriptor.media_type.clone(),
                images: Vec::new(),
                manifest: false,
                config: false,
                urls: descriptor.urls.clone(),
            });
        }
        if let Some(blob) = self.blobs.get_mut(position) {
            blob.config |= config;
            // A few alternatives are enough; a base layer of a thousand images needs no thousand names.
            if !blob.manifest && blob.images.last() != Some(&image) && blob.images.len() < 4 {
                blob.images.push(image);
            }
        }
        position
    }
}

/// Platforms for people and for the contents: distinct, in order.
pub(super) fn distinct(platforms: impl Iterator<Item = Platform>) -> Vec<Platform> {
    platforms.collect::<BTreeSet<_>>().into_iter().collect()
}
