//! Receipts in the registry they are about (`sealift-archive(5)`, "Receipt").

use super::InventoryError;
use crate::blob::read_small;
use crate::digest::Digest;
use crate::format::{Receipt, is_stream};
use crate::limits;
use crate::oci::{Descriptor, Manifest, media};
use crate::unpack::{PutAs, Target, place};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// Where receipts lie below the prefix of a registry.
pub const REPOSITORY: &str = "sealift/receipts";
const TYPE: &str = "application/vnd.sealift.receipt.v1+json";
const EMPTY: &[u8] = b"{}";
/// Hexadecimal digits of a digest in a tag.
const DIGITS: usize = 16;
/// How often receipts are listed again because one of them was replaced meanwhile.
const ATTEMPTS: usize = 8;

/// What receipts of one set have in common: stream and set.
pub fn set_of(receipt: &Receipt) -> String {
    format!("{}-{}", receipt.stream, start_of(&receipt.identity))
}

/// What a receipt of these bytes is called. Registries know no "replace only if": two hosts that wrote under one name at the same time
/// would lose one of the two, so each receipt has a name of its own, and no name ever changes its meaning.
fn tag_of(receipt: &Receipt, bytes: &Digest) -> String {
    format!("{}-{}", set_of(receipt), start_of(bytes))
}

fn start_of(digest: &Digest) -> String {
    digest.hex().chars().take(DIGITS).collect()
}

/// Whether a tag can be a receipt's: `STREAM-SET-RECEIPT`, or `STREAM-SET`, as the first versions called them. What others put into the
/// repository, such as signatures and listings of what refers to a receipt, is called otherwise and is none.
fn is_receipts(tag: &str) -> bool {
    let ends = |name: &str| name.rsplit_once('-').filter(|(_, digits)| is_start(digits)).map(|(rest, _)| rest.to_owned());
    ends(tag).is_some_and(|rest| is_stream(&rest) || ends(&rest).is_some_and(|stream| is_stream(&stream)))
}

fn is_start(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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
    // What the newer one has nothing of may still be held back.
    let held_back =
        earlier.skipped_tags.iter().filter(|s| !newer.images.iter().any(|i| i.repository == s.repository && i.digest == s.digest));
    joined.skipped_tags.extend(held_back.cloned());
    joined.skipped_tags.sort();
    joined.skipped_tags.dedup();
    joined.documents.extend(earlier.documents.iter().cloned());
    joined.documents.sort();
    joined.documents.dedup_by(|a, b| (a.kind, &a.name) == (b.kind, &b.name));
    joined
}

pub(super) fn in_order(mut receipts: Vec<Receipt>) -> Vec<Receipt> {
    receipts.sort_by(|a, b| (&a.written, a.sequence).cmp(&(&b.written, b.sequence)));
    receipts
}

/// A receipt in a registry.
struct There {
    digest: Digest,
    receipt: Receipt,
}

/// Puts a receipt into the registry it is about, as an OCI artifact (OCI image specification, "Guidelines for Artifact Usage")
/// `PREFIX/sealift/receipts:STREAM-SET-RECEIPT`, together with what is said there of the same set by whichever host. Nothing is written
/// where nothing is new. What was said before is removed where the registry removes anything.
///
/// Whatever hosts do at the same time, nothing is lost: only what was read before is removed, by its digest, and after a receipt that
/// says all of it was put. So of two that take each other up, what either has put last stays.
///
/// # Errors
/// What the registry answers; whether that matters is the caller's choice.
pub fn publish(target: &dyn Target, prefix: &str, receipt: &Receipt) -> Result<(), InventoryError> {
    let place = place(prefix, usize::from(receipt.max_nested_paths), REPOSITORY)?;
    let mut known = same_set(target, &place, receipt)?;
    if known.iter().any(|there| says_all(&there.receipt, receipt)) {
        return Ok(());
    }
    known.sort_by(|a, b| b.receipt.written.cmp(&a.receipt.written));
    let joined = known.iter().fold(receipt.clone(), |all, there| join(&there.receipt, &all));
    let put = put(target, &place, &joined)?;
    for there in known.iter().filter(|there| there.digest != put) {
        // Left behind, it says what the new one says as well.
        let _ = target.delete_manifest(&place, &there.digest);
    }
    Ok(())
}

/// The receipts of the same set and target that can be read, as many as may be joined to one.
fn same_set(target: &dyn Target, place: &str, receipt: &Receipt) -> Result<Vec<There>, InventoryError> {
    // By whatever name the other host reaches this registry.
    let of = |receipt: &Receipt| (path_of(&receipt.target).map(str::to_owned), receipt.max_nested_paths, receipt.identity);
    let set = set_of(receipt);
    let (mut known, mut total) = (Vec::new(), 0u64);
    for tag in tags(target, place)?.into_iter().filter(|tag| tag.starts_with(&set)) {
        let there = match read(target, place, &tag) {
            Err(InventoryError::Published { .. }) => None,
            other => other?,
        };
        let Some((there, size)) = there.filter(|(there, _)| of(&there.receipt) == of(receipt)) else { continue };
        total = total.saturating_add(size);
        if total > limits::RECEIPT_BYTES {
            break;
        }
        known.push(there);
    }
    Ok(known)
}

/// True when `known` says all of an inventory that `receipt` says.
fn says_all(known: &Receipt, receipt: &Receipt) -> bool {
    let images: BTreeMap<_, _> = known.images.iter().map(|image| ((&image.repository, &image.tag), image)).collect();
    receipt.images.iter().all(|image| images.get(&(&image.repository, &image.tag)) == Some(&image))
        && receipt.repositories.iter().all(|(name, holding)| {
            let known = known.repositories.get(name);
            known.is_some_and(|known| holding.manifests.is_subset(&known.manifests) && holding.blobs.is_subset(&known.blobs))
        })
}

/// Changes what the receipts in a registry say of it: `change` gives what is left of one, and nothing for one that stays as it is. One
/// that names no image any more is removed.
///
/// # Errors
/// What the registry answers; [`InventoryError::Published`] for what is called like a receipt and is none, after the others were changed.
pub fn revise(
    target: &dyn Target,
    prefix: &str,
    max_nested_paths: usize,
    change: &dyn Fn(&Receipt) -> Option<Receipt>,
) -> Result<(), InventoryError> {
    let place = place(prefix, max_nested_paths, REPOSITORY)?;
    let mut gone = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        if revise_listed(target, &place, prefix, change, &mut gone)? {
            break;
        }
    }
    Ok(())
}

/// False when one that was listed has gone meanwhile ([`listed`]).
fn revise_listed(
    target: &dyn Target,
    place: &str,
    prefix: &str,
    change: &dyn Fn(&Receipt) -> Option<Receipt>,
    gone: &mut BTreeSet<String>,
) -> Result<bool, InventoryError> {
    let (mut as_before, mut failed) = (true, None);
    for tag in tags(target, place)? {
        let there = match read(target, place, &tag) {
            Err(error @ InventoryError::Published { .. }) => {
                failed = Some(error);
                continue;
            }
            other => other?,
        };
        let Some((there, _)) = there else {
            as_before &= !gone.insert(tag);
            continue;
        };
        if path_of(&there.receipt.target) != Some(prefix) {
            continue;
        }
        let Some(left) = change(&there.receipt) else { continue };
        // First what is left, then what was: cut short in between, both are there, and the next deletion finds them.
        if !left.images.is_empty() && put(target, place, &left)? == there.digest {
            continue;
        }
        let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
        target.delete_manifest(place, &there.digest).map_err(about)?;
    }
    failed.map_or(Ok(as_before), Err)
}

/// Puts a receipt under its tag; gives the digest of its manifest.
fn put(target: &dyn Target, place: &str, receipt: &Receipt) -> Result<Digest, InventoryError> {
    let bytes = receipt.to_bytes()?;
    let document = Descriptor::new(TYPE, Digest::sha256(&bytes), bytes.len() as u64);
    let tag = tag_of(receipt, &document.digest);
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
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
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::sha256(&manifest);
    if target.tag(place, &tag).map_err(about)? != Some(digest) {
        target.put_manifest(place, PutAs::Tag(&tag), media::OCI_MANIFEST, &manifest).map_err(about)?;
    }
    Ok(digest)
}

/// The receipts in the registry, the newest last. Anybody who may push there may have written them.
///
/// # Errors
/// [`InventoryError::Published`] for what is called like a receipt and is none of this target, and for too many: refused, not passed
/// over, for what it would have named may be deleted otherwise.
pub fn fetch(target: &dyn Target, prefix: &str, max_nested_paths: usize) -> Result<Vec<Receipt>, InventoryError> {
    let place = place(prefix, max_nested_paths, REPOSITORY)?;
    let mut gone = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let (documents, as_before) = listed(target, &place, &mut gone)?;
        if as_before {
            let mut receipts = Vec::new();
            for (tag, document) in &documents {
                add(&mut receipts, content(target, &place, tag, document)?);
            }
            return Ok(in_order(receipts));
        }
    }
    Err(InventoryError::Published { name: at(target, &place), why: "what lies there was replaced each time it was read".into() })
}

/// Adds a receipt, unless a newer one of the same set says all of it; in place of those of which it says all. Where a registry removes
/// nothing, each run leaves one that has all of those before it in it: together they would fill memory.
fn add(receipts: &mut Vec<Receipt>, receipt: Receipt) {
    let replaces = |newer: &Receipt, older: &Receipt| {
        let set = |r: &Receipt| (r.target.clone(), r.max_nested_paths, r.stream.clone(), r.identity);
        set(newer) == set(older)
            && newer.written >= older.written
            && older.documents.iter().all(|document| newer.documents.contains(document))
            && older.skipped_tags.iter().all(|skipped| newer.skipped_tags.contains(skipped))
            && says_all(newer, older)
    };
    if !receipts.iter().any(|known| replaces(known, &receipt)) {
        receipts.retain(|known| !replaces(&receipt, known));
        receipts.push(receipt);
    }
}

/// What the receipts that are listed now announce, and whether none of them has gone meanwhile: another may say the same since, and must
/// be listed. What is `gone` since an earlier listing and listed all the same is a name some registries keep of what was deleted.
fn listed(target: &dyn Target, place: &str, gone: &mut BTreeSet<String>) -> Result<(Vec<(String, Descriptor)>, bool), InventoryError> {
    // All sizes before any content: what is announced is the most that is read.
    let (mut documents, mut total, mut as_before) = (Vec::new(), 0u64, true);
    for tag in tags(target, place)? {
        let Some((_, document)) = find(target, place, &tag)? else {
            as_before &= !gone.insert(tag);
            continue;
        };
        total = total.saturating_add(document.size);
        documents.push((tag, document));
    }
    if total > limits::RECEIPTS_BYTES {
        let why = format!("its receipts have {total} bytes, and {} are the most that are read", limits::RECEIPTS_BYTES);
        return Err(InventoryError::Published { name: at(target, place), why });
    }
    Ok((documents, as_before))
}

/// The tags that can be receipts'.
fn tags(target: &dyn Target, place: &str) -> Result<Vec<String>, InventoryError> {
    let tags = target.tags(place).map_err(|error| InventoryError::Target { subject: place.to_owned(), error })?;
    let tags: Vec<String> = tags.into_iter().filter(|tag| is_receipts(tag)).collect();
    if tags.len() > limits::RECEIPTS {
        let why = format!("it holds {} receipts, and {} are the most that are read", tags.len(), limits::RECEIPTS);
        return Err(InventoryError::Published { name: at(target, place), why });
    }
    Ok(tags)
}

/// A place of the target with the registry's name, as every tool takes it.
fn at(target: &dyn Target, place: &str) -> String {
    let name = target.name();
    format!("{}/{place}", name.split_once('/').map_or(name.as_str(), |(host, _)| host))
}

/// One receipt and its size in bytes; none when it has gone.
fn read(target: &dyn Target, place: &str, tag: &str) -> Result<Option<(There, u64)>, InventoryError> {
    let Some((digest, document)) = find(target, place, tag)? else { return Ok(None) };
    let receipt = content(target, place, tag, &document)?;
    Ok(Some((There { digest, receipt }, document.size)))
}

/// The manifest of a receipt and what it says of it; none when it has gone.
fn find(target: &dyn Target, place: &str, tag: &str) -> Result<Option<(Digest, Descriptor)>, InventoryError> {
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
    let Some(digest) = target.tag(place, tag).map_err(about)? else { return Ok(None) };
    Ok(document(target, place, tag, &digest)?.map(|document| (digest, document)))
}

/// What a receipt's manifest says of the receipt; none when the manifest has gone.
fn document(target: &dyn Target, place: &str, tag: &str, digest: &Digest) -> Result<Option<Descriptor>, InventoryError> {
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
    let bad = |why: String| InventoryError::Published { name: format!("{}:{tag}", at(target, place)), why };
    let Some(manifest) = target.manifest(place, digest).map_err(about)? else { return Ok(None) };
    let manifest = Manifest::parse(&manifest, None).map_err(|e| bad(e.to_string()))?;
    match manifest.blobs().find(|b| b.media_type == TYPE) {
        Some(document) => Ok(Some(document.clone())),
        None => Err(bad("it holds no receipt".into())),
    }
}

fn content(target: &dyn Target, place: &str, tag: &str, document: &Descriptor) -> Result<Receipt, InventoryError> {
    let about = |error| InventoryError::Target { subject: format!("{place}:{tag}"), error };
    let bad = |why: String| InventoryError::Published { name: format!("{}:{tag}", at(target, place)), why };
    let reader = target.open_blob(place, document).map_err(about)?;
    let bytes = read_small(reader, document.digest, document.size, limits::RECEIPT_BYTES).map_err(|e| bad(e.to_string()))?;
    let receipt = Receipt::parse(&bytes).map_err(|e| bad(e.to_string()))?;
    let set = set_of(&receipt);
    if *tag != set && *tag != tag_of(&receipt, &document.digest) {
        return Err(bad(format!("it is a receipt of {set}")));
    }
    Ok(receipt)
}
