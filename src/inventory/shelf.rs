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
/// `PREFIX/sealift/receipts:STREAM-SET`. One without images is deleted there, where that is allowed.
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
    let bytes = receipt.to_bytes()?;
    let document = Descriptor::new(TYPE, Digest::sha256(&bytes), bytes.len() as u64);
    let config = Descriptor::new(media::OCI_EMPTY, Digest::sha256(EMPTY), EMPTY.len() as u64);
    for (blob, content) in [(&config, EMPTY), (&document, bytes.as_slice())] {
        if !target.has_blob(&place, blob).map_err(about)? {
            let mut open = || Ok(Box::new(io::Cursor::new(content.to_vec())) as Box<dyn Read + Send>);
            target.put_blob(&place, blob, &mut open).map_err(about)?;
        }
    }
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": TYPE, "config": config, "layers": [document],
    });
    target.put_manifest(&place, PutAs::Tag(&tag), media::OCI_MANIFEST, manifest.to_string().as_bytes()).map_err(about)
}

/// Whether the registry has a receipt of this set, as far as it tells.
pub fn is_published(target: &dyn Target, prefix: &str, receipt: &Receipt) -> bool {
    let place = place(prefix, usize::from(receipt.max_nested_paths), REPOSITORY);
    place.is_ok_and(|place| target.tag(&place, &tag_of(receipt)).is_ok_and(|found| found.is_some()))
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
    let mut receipts = Vec::new();
    for tag in &tags {
        let name = format!("{place}:{tag}");
        let about = |error| InventoryError::Target { subject: name.clone(), error };
        let bad = |why: String| InventoryError::Published { name: name.clone(), why };
        let Some(digest) = target.tag(&place, tag).map_err(about)? else { continue };
        let Some(manifest) = target.manifest(&place, &digest).map_err(about)? else { continue };
        let manifest = Manifest::parse(&manifest, None).map_err(|e| bad(e.to_string()))?;
        let Some(document) = manifest.blobs().find(|b| b.media_type == TYPE) else { return Err(bad("it holds no receipt".into())) };
        let reader = target.open_blob(&place, document).map_err(about)?;
        let bytes = read_small(reader, document.digest, document.size, limits::RECEIPT_BYTES).map_err(|e| bad(e.to_string()))?;
        let receipt = Receipt::parse(&bytes).map_err(|e| bad(e.to_string()))?;
        if tag_of(&receipt) != *tag {
            return Err(bad(format!("it is the receipt of {}", tag_of(&receipt))));
        }
        receipts.push(receipt);
    }
    Ok(in_order(receipts))
}
