//! The receipt: what a target was found to hold after a run (`sealift-archive(5)`, "Receipt").
//!
//! A present inventory, not a history: it lists what was acknowledged by the target in the run that wrote it. Equal
//! inventories give equal bytes.

use super::purpose::{check_documents, check_part_of};
use super::{Document, FormatError, Image, Role, SCHEMA, admit, is_stream};
use crate::digest::Digest;
use crate::oci::{is_repository, is_tag};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The inventory of one target after one set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// [`SCHEMA`].
    pub schema: u64,
    /// The target as a person names it: `host[:port]/prefix` or `oci:DIR`.
    pub target: String,
    /// Names at the target were flattened to this many path components, prefix included; 0: they were not. Repositories in
    /// this document are named as they are at the target, flattened already: doing it again changes nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_nested_paths: u8,
    /// The stream of the set.
    pub stream: String,
    /// The sequence of the set.
    pub sequence: u64,
    /// The identity of the set: SHA-256 of its index.
    pub identity: Digest,
    /// When the receipt was written (RFC 3339, UTC); for people.
    pub written: String,
    /// Images of the set that are whole at the target, ordered by repository and tag.
    pub images: Vec<ReceiptImage>,
    /// What each repository holds of the set; repositories are named below the target's prefix.
    pub repositories: BTreeMap<String, Holding>,
    /// Documents of the set, as in the contents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<Document>,
    /// Tags an older set did not move back, ordered by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped_tags: Vec<SkippedTag>,
    /// Head of the log of the host that wrote this; cutting the log's tail shows against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_head: Option<Digest>,
}

/// One image that is whole at the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptImage {
    /// Repository below the target's prefix.
    pub repository: String,
    /// The tag that names it at the target.
    pub tag: String,
    /// The root manifest as it was packed.
    pub digest: Digest,
    /// Media type of the root manifest.
    pub media_type: String,
    /// What was asked for when it was packed.
    pub source: String,
    /// How much of the root is there, and what the tag points to.
    #[serde(default, skip_serializing_if = "Completeness::is_full")]
    pub completeness: Completeness,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Role::is_default")]
    pub role: Role,
    /// What needs it, as in the contents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub part_of: Vec<String>,
    /// The manifest it is about, for a referrer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
}

/// How much of an image a target holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Completeness {
    /// The whole tree below the root.
    #[default]
    Full,
    /// The root index is there, some of its members are not: they were not in the set.
    Sparse,
    /// The target refuses an index without all its members: the tag points to the one member that is in the set, and
    /// the root's own digest cannot be pulled.
    SingleMember {
        /// What the tag points to.
        member: Digest,
    },
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl Completeness {
    fn is_full(&self) -> bool {
        *self == Completeness::Full
    }
}

/// Content of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Holding {
    /// Manifests and indexes.
    pub manifests: BTreeSet<Digest>,
    /// Configurations and layers.
    pub blobs: BTreeSet<Digest>,
}

/// What a run brought, one image after the other, as its receipt lists it.
#[derive(Debug, Default)]
pub struct Brought {
    images: Vec<ReceiptImage>,
    repositories: BTreeMap<String, Holding>,
}

impl Brought {
    /// An image that is whole, under the name it has at the target, with the manifests (the root among them) and blobs of its tree.
    pub fn add(
        &mut self,
        image: &Image,
        (repository, tag): (&str, &str),
        completeness: &Completeness,
        manifests: &[Digest],
        blobs: impl Iterator<Item = Digest>,
    ) {
        let root = &image.root;
        let holding = self.repositories.entry(repository.to_owned()).or_default();
        // Of an index of which the target took only a member, the index itself is not there.
        let whole = !matches!(completeness, Completeness::SingleMember { .. });
        holding.manifests.extend(manifests.iter().filter(|manifest| whole || **manifest != root.digest));
        holding.blobs.extend(blobs);
        self.images.push(ReceiptImage {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: root.digest,
            media_type: root.media_type.clone(),
            source: image.source.clone(),
            completeness: completeness.clone(),
            role: image.role,
            part_of: image.part_of.clone(),
            subject: image.subject,
        });
    }

    /// [`Receipt::images`] and [`Receipt::repositories`].
    pub fn listed(mut self) -> (Vec<ReceiptImage>, BTreeMap<String, Holding>) {
        self.images.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        // Two images of an older set may arrive under one keep tag: one entry says it.
        self.images.dedup_by(|a, b| (&a.repository, &a.tag) == (&b.repository, &b.tag));
        (self.images, self.repositories)
    }
}

/// A tag that stays where a newer set put it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkippedTag {
    /// Repository below the target's prefix.
    pub repository: String,
    /// The tag that was left alone.
    pub tag: String,
    /// What the older set wanted it to be; it is kept under its keep tag.
    pub digest: Digest,
    /// The sequence that wrote the tag.
    pub newer: u64,
}

impl crate::sign::Streamed for Receipt {
    fn stream(&self) -> &str {
        &self.stream
    }
}

impl Receipt {
    /// Reads a receipt strictly.
    pub fn parse(bytes: &[u8]) -> Result<Receipt, FormatError> {
        admit("receipt", bytes, &[])?;
        let receipt: Receipt = serde_json::from_slice(bytes).map_err(|e| FormatError::malformed("receipt", e))?;
        receipt.check().map_err(|why| FormatError::malformed("receipt", why))?;
        Ok(receipt)
    }

    /// The document as it is written: sorted, so that equal inventories give equal bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let mut sorted = self.clone();
        sorted.images.sort_by(|a, b| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        sorted.skipped_tags.sort();
        let mut bytes = serde_json::to_vec_pretty(&sorted).map_err(|e| FormatError::malformed("receipt", e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// True when the repository, or any when none is named, holds this content.
    pub fn holds(&self, repository: Option<&str>, digest: &Digest) -> bool {
        let has = |holding: &Holding| holding.blobs.contains(digest) || holding.manifests.contains(digest);
        match repository {
            Some(name) => self.repositories.get(name).is_some_and(has),
            None => self.repositories.values().any(has),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err("another schema".into());
        }
        if !is_stream(&self.stream) {
            return Err(format!("{:?} is not a stream", self.stream));
        }
        let names = self.images.iter().map(|i| (&i.repository, &i.tag)).chain(self.skipped_tags.iter().map(|s| (&s.repository, &s.tag)));
        for (repository, tag) in names {
            if !is_repository(repository) || !is_tag(tag) {
                return Err(format!("{repository:?}:{tag:?} is not a name"));
            }
        }
        if let Some(name) = self.repositories.keys().find(|name| !is_repository(name)) {
            return Err(format!("{name:?} is not a repository"));
        }
        check_documents(&self.documents)?;
        self.images.iter().try_for_each(|image| check_part_of(&image.part_of))?;
        let sorted = self.images.is_sorted_by(|a, b| (&a.repository, &a.tag) < (&b.repository, &b.tag));
        if !sorted || !self.skipped_tags.is_sorted_by(|a, b| a < b) {
            return Err("its lists are not in order, or name something twice".into());
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn image(repository: &str, tag: &str) -> ReceiptImage {
        ReceiptImage {
            repository: repository.into(),
            tag: tag.into(),
            digest: Digest::sha256(b"root"),
            media_type: "m".into(),
            source: "quay.io/a:1".into(),
            completeness: Completeness::Full,
            role: Role::Image,
            part_of: vec![],
            subject: None,
        }
    }

    fn sample() -> Receipt {
        let holding = Holding { manifests: [Digest::sha256(b"root")].into(), blobs: [Digest::sha256(b"blob")].into() };
        Receipt {
            schema: SCHEMA,
            target: "registry.test/p".into(),
            max_nested_paths: 0,
            stream: "default".into(),
            sequence: 3,
            identity: Digest::sha256(b"index"),
            written: "2026-01-02T03:04:05Z".into(),
            images: vec![image("b", "1"), image("a", "2"), image("a", "1")],
            repositories: BTreeMap::from([("a".to_owned(), holding)]),
            documents: vec![],
            skipped_tags: vec![SkippedTag { repository: "a".into(), tag: "x".into(), digest: Digest::sha256(b"r"), newer: 9 }],
            log_head: None,
        }
    }

    #[test]
    fn order_of_work_does_not_show() {
        let mut other = sample();
        other.images.reverse();
        assert_eq!(sample().to_bytes().unwrap(), other.to_bytes().unwrap());
        let read = Receipt::parse(&other.to_bytes().unwrap()).unwrap();
        assert_eq!(read.images.iter().map(|i| format!("{}:{}", i.repository, i.tag)).collect::<Vec<_>>(), ["a:1", "a:2", "b:1"]);
        assert!(read.holds(None, &Digest::sha256(b"blob")) && !read.holds(Some("b"), &Digest::sha256(b"blob")));
    }

    #[test]
    fn what_is_no_receipt_is_refused() {
        let bad: &[fn(&mut serde_json::Value)] = &[
            |v| v["surprise"] = 1.into(),
            |v| v["images"][0]["repository"] = "../x".into(),
            |v| v["images"][1] = v["images"][0].clone(),
            |v| v["skippedTags"][0]["tag"] = "a b".into(),
            |v| v["repositories"] = serde_json::json!({"A": {"manifests": [], "blobs": []}}),
            |v| v["stream"] = "".into(),
        ];
        for (i, change) in bad.iter().enumerate() {
            let mut value: serde_json::Value = serde_json::from_slice(&sample().to_bytes().unwrap()).unwrap();
            change(&mut value);
            assert!(matches!(Receipt::parse(&serde_json::to_vec(&value).unwrap()), Err(FormatError::Malformed { .. })), "{i}");
        }
    }
}
