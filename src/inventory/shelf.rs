//! Receipts in the registry they are about (`sealift-archive(5)`, "Receipt").

use super::InventoryError;
use crate::blob::read_small;
use crate::digest::Digest;
use crate::format::Receipt;
use crate::limits;
use crate::oci::{Descriptor, Manifest, media};
use crate::unpack::{PutAs, Target, place};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Where receipts lie below the prefix of a registry.
pub const REPOSITORY: &str = "sealift/receipts";
const TYPE: &str = "application/vnd.sealift.receipt.v1+json";
const EMPTY: &[u8] = b"{}";

/// What a receipt is called: one name per stream and set.
pub fn tag_of(receipt: &Receipt) -> String {
    let hex = receipt.identity.hex();
    format!("{}-{}", receipt.stream, hex.get(..16).unwrap_or(&hex))
}

/// What follows the host in the name of a registry: the prefix, which may be empty. None for a layout.
pub fn path_of(target: &str) -> Option<&str> {
    if target.starts_with("oci:") {
        return None;
    }
    Some(target.split_once('/').map_or("", |(_, prefix)| prefix))
}

/// Two receipts of one set in one: what either found, and where both name a tag, what the newer found.
pub fn join(earlier: &Receipt, newer: &Receipt) -> Receipt {
    let mut images: BTreeMap<(String, String), _> = BTreeMap::new();
    for image in earlier.images.iter().chain(&newer.images) {
        images.insert((image.repository.clone(), image.tag.clone()), image.clone());
    }
    let mut joined = newer.clone();
    joined.images = images.into_values().collect();
    for (name, holding) in &earlier.repositories {
        let into = joined.repositories.entry(name.clone()).or_default();
        into.manifests.extend(holding.manifests.iter().copied());
        into.blobs.extend(holding.blobs.iter().copied());
    }
    joined.documents.extend(earlier.documents.iter().cloned());
    joined.documents.sort();
    joined.documents.dedup_by(|a, b| (a.kind, &a.name) == (b.kind, &b.name));
    joined
}

pub(super) fn in_order(mut receipts: Vec<Receipt>) -> Vec<Receipt> {
    receipts.sort_by(|a, b| (&a.written, a.sequence).cmp(&(&b.written, b.sequence)));
    receipts
}

/// Puts a receipt into the registry it is about, as an OCI artifact (OCI image specification, "Guidelines for Artifact Usage")
/// `PREFIX/sealift/receipts:STREAM-SET`, in place of what is there. One without images is deleted there, where that is allowed.
///
/// # Errors
/// What the registry answers; whether that matters is the caller's choice.
pub fn publish(target: &dyn Target, prefix: &str, receipt: &Receipt) -> Result<(), InventoryError> {
    let place = place(prefix, usize::from(receipt.max_nested_paths), REPOSITORY)?;
    let tag = tag_of(receipt);
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
    if receipt.images.is_empty() {
        return match target.tag(&place, &tag).map_err(about)? {
            Some(digest) => target.delete_manifest(&place, &digest).map_err(about),
            None => Ok(()),
        };
    }
    let manifest = store(target, &place, receipt, &about)?;
    target.put_manifest(&place, PutAs::Tag(&tag), media::OCI_MANIFEST, &manifest).map_err(about)
}

/// How often a receipt is joined again because another host put one meanwhile.
const ATTEMPTS: usize = 8;

/// Puts a receipt beside what the registry's own of the same set says already: several hosts may each have brought a part of it.
/// Nothing is written where nothing is new. A receipt that is there and cannot be read, or is of another target, is replaced.
///
/// # Errors
/// What the registry answers; whether that matters is the caller's choice.
pub fn publish_joined(target: &dyn Target, prefix: &str, receipt: &Receipt) -> Result<(), InventoryError> {
    let place = place(prefix, usize::from(receipt.max_nested_paths), REPOSITORY)?;
    let tag = tag_of(receipt);
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
    // By whatever name the other host reaches this registry.
    let of = |receipt: &Receipt| (path_of(&receipt.target).map(str::to_owned), receipt.max_nested_paths);
    let same = |there: &Receipt| of(there) == of(receipt);
    for _ in 0..ATTEMPTS {
        let named = target.tag(&place, &tag).map_err(about)?;
        let there = match &named {
            Some(digest) => match read(target, &place, &tag, digest) {
                Err(InventoryError::Published { .. }) => None,
                answer => answer?.filter(same),
            },
            None => None,
        };
        let joined = there.as_ref().map_or_else(|| receipt.clone(), |there| join(there, receipt));
        if there.is_some_and(|there| (&there.images, &there.repositories) == (&joined.images, &joined.repositories)) {
            return Ok(());
        }
        let manifest = store(target, &place, &joined, &about)?;
        // Registries know no "replace only if": as late as can be, it is asked whether another host was faster.
        if target.tag(&place, &tag).map_err(about)? == named {
            return target.put_manifest(&place, PutAs::Tag(&tag), media::OCI_MANIFEST, &manifest).map_err(about);
        }
    }
    publish(target, prefix, receipt)
}

/// Changes every receipt in the registry that a change makes different, each as it is there: what another host has put there since it
/// was last read is kept. One that has no images left is deleted, where that is allowed. What cannot be read, or is not changed in the
/// registry, stays as it is, and is given back.
///
/// # Errors
/// When the registry does not say which receipts it has.
pub fn amend(
    target: &dyn Target,
    prefix: &str,
    max_nested_paths: usize,
    change: &dyn Fn(&Receipt) -> Receipt,
) -> Result<Vec<InventoryError>, InventoryError> {
    let place = place(prefix, max_nested_paths, REPOSITORY)?;
    let tags = target.tags(&place).map_err(|error| InventoryError::Target { subject: place.clone(), error })?;
    Ok(tags.iter().filter_map(|tag| amend_one(target, prefix, &place, tag, change).err()).collect())
}

fn amend_one(
    target: &dyn Target,
    prefix: &str,
    place: &str,
    tag: &str,
    change: &dyn Fn(&Receipt) -> Receipt,
) -> Result<(), InventoryError> {
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
    for attempt in 1..=ATTEMPTS {
        let Some(digest) = target.tag(place, tag).map_err(about)? else { return Ok(()) };
        let Some(there) = read(target, place, tag, &digest)?.filter(|r| path_of(&r.target) == Some(prefix)) else { return Ok(()) };
        let changed = change(&there);
        if changed == there {
            return Ok(());
        }
        if changed.images.is_empty() {
            return target.delete_manifest(place, &digest).map_err(about);
        }
        let manifest = store(target, place, &changed, &about)?;
        if attempt == ATTEMPTS || target.tag(place, tag).map_err(about)? == Some(digest) {
            return target.put_manifest(place, PutAs::Tag(tag), media::OCI_MANIFEST, &manifest).map_err(about);
        }
    }
    Ok(())
}

/// Puts a receipt's blobs, and gives the manifest that names them.
fn store(
    target: &dyn Target,
    place: &str,
    receipt: &Receipt,
    about: &impl Fn(crate::unpack::TargetError) -> InventoryError,
) -> Result<Vec<u8>, InventoryError> {
    let bytes = receipt.to_bytes()?;
    let document = Descriptor::new(TYPE, Digest::sha256(&bytes), bytes.len() as u64);
    let config = Descriptor::new(media::OCI_EMPTY, Digest::sha256(EMPTY), EMPTY.len() as u64);
    for (blob, content) in [(&config, EMPTY), (&document, bytes.as_slice())] {
        if !target.has_blob(place, blob).map_err(about)? {
            let mut open = || Ok(Box::new(io::Cursor::new(content.to_vec())) as Box<dyn Read + Send>);
            target.put_blob(place, blob, &mut open).map_err(about)?;
        }
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": TYPE, "config": config, "layers": [document],
    });
    Ok(manifest.to_string().into_bytes())
}

/// The receipts in the registry, the newest last. Anybody who may push there may have written them.
///
/// # Errors
/// [`InventoryError::Published`] for what is no receipt of this target, and for too many: refused, not passed over, for what it
/// would have named may be deleted otherwise.
pub fn fetch(target: &dyn Target, prefix: &str, max_nested_paths: usize) -> Result<Vec<Receipt>, InventoryError> {
    let place = place(prefix, max_nested_paths, REPOSITORY)?;
    let tags = target.tags(&place).map_err(|error| InventoryError::Target { subject: place.clone(), error })?;
    if tags.len() > limits::RECEIPTS {
        let why = format!("it holds {} receipts, and {} are the most that are read", tags.len(), limits::RECEIPTS);
        return Err(InventoryError::Published { name: place, why });
    }
    // All sizes before any content: what is announced is the most that is read.
    let (mut documents, mut total) = (Vec::new(), 0u64);
    for tag in &tags {
        let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
        let Some(digest) = target.tag(&place, tag).map_err(about)? else { continue };
        let Some(document) = document(target, &place, tag, &digest)? else { continue };
        total = total.saturating_add(document.size);
        documents.push((tag, document));
    }
    if total > limits::RECEIPTS_BYTES {
        let why = format!("its receipts have {total} bytes, and {} are the most that are read", limits::RECEIPTS_BYTES);
        return Err(InventoryError::Published { name: place, why });
    }
    let receipts = documents.iter().map(|(tag, document)| content(target, &place, tag, document));
    Ok(in_order(receipts.collect::<Result<_, _>>()?))
}

/// One receipt; none when its manifest has gone.
fn read(target: &dyn Target, place: &str, tag: &str, digest: &Digest) -> Result<Option<Receipt>, InventoryError> {
    document(target, place, tag, digest)?.map(|document| content(target, place, tag, &document)).transpose()
}

/// What a receipt's manifest says of the receipt; none when the manifest has gone.
fn document(target: &dyn Target, place: &str, tag: &str, digest: &Digest) -> Result<Option<Descriptor>, InventoryError> {
    let name = format!("{place}:{tag}");
    let about = |error| InventoryError::Target { subject: name.clone(), error };
    let bad = |why: String| InventoryError::Published { name: name.clone(), why };
    let Some(manifest) = target.manifest(place, digest).map_err(about)? else { return Ok(None) };
    let manifest = Manifest::parse(&manifest, None).map_err(|e| bad(e.to_string()))?;
    match manifest.blobs().find(|b| b.media_type == TYPE) {
        Some(document) => Ok(Some(document.clone())),
        None => Err(bad("it holds no receipt".into())),
    }
}

fn content(target: &dyn Target, place: &str, tag: &str, document: &Descriptor) -> Result<Receipt, InventoryError> {
    let name = format!("{place}:{tag}");
    let about = |error| InventoryError::Target { subject: name.clone(), error };
    let bad = |why: String| InventoryError::Published { name: name.clone(), why };
    let reader = target.open_blob(place, document).map_err(about)?;
    let bytes = read_small(reader, document.digest, document.size, limits::RECEIPT_BYTES).map_err(|e| bad(e.to_string()))?;
    let receipt = Receipt::parse(&bytes).map_err(|e| bad(e.to_string()))?;
    if tag_of(&receipt) != *tag {
        return Err(bad(format!("it is the receipt of {}", tag_of(&receipt))));
    }
    Ok(receipt)
}
