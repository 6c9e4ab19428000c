//! What an image is for, and what travels beside images (`sealift-archive(5)`, "Contents": role, partOf, made, documents).

use crate::limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// What an image is for: decides which cluster resources name it, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Asked for by name.
    #[default]
    Image,
    /// An OpenShift release image.
    Release,
    /// A component of a release.
    ReleaseContent,
    /// The KubeVirt container disk of a release.
    KubeVirt,
    /// The update graph data, for the update service.
    Graph,
    /// An operator catalog.
    Catalog,
    /// An operator bundle.
    Bundle,
    /// An image an operator bundle needs.
    Related,
    /// An image a chart needs.
    Helm,
    /// A chart, as an OCI artifact.
    Chart,
    /// Something about another image: a signature, an attestation, an SBOM ([`super::Image::subject`]).
    Referrer,
}

impl Role {
    /// True for the role that is not written.
    pub fn is_default(&self) -> bool {
        *self == Role::default()
    }
}

/// An image this program made instead of copying it: its digest is known nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Made {
    /// The image it was made from, by digest; layers that were kept come from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// The kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentKind {
    /// An OpenPGP signature of a release, as the store has it. Named `sha256-HEX-N`: the digest signed, and its number in the store.
    ReleaseSignature,
    /// A CatalogSource template (YAML). Named `REPOSITORY:TAG` like the catalog's image.
    CatalogTemplate,
    /// An update graph (JSON). Named `CHANNEL-ARCHITECTURE`, for example `stable-4.16-amd64`.
    UpdateGraph,
    /// What whoever uses the images should know (text, one thing a line): risks of updates, releases that are not proven. Named by
    /// what it is about.
    Note,
}

/// A small document that travels beside the images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// Its name; unique among its kind.
    pub name: String,
    /// Its bytes (base64).
    pub data: String,
}

impl Document {
    /// Wraps bytes.
    pub fn new(kind: DocumentKind, name: impl Into<String>, bytes: &[u8]) -> Document {
        Document { kind, name: name.into(), data: BASE64.encode(bytes) }
    }

    /// The bytes; proven to decode when the document was read.
    pub fn bytes(&self) -> Vec<u8> {
        BASE64.decode(&self.data).unwrap_or_default()
    }
}

/// What must hold of a list of documents: in order, each once, decodable, not too many bytes.
pub(super) fn check_documents(documents: &[Document]) -> Result<(), String> {
    if !documents.is_sorted_by(|a, b| (a.kind, &a.name) < (b.kind, &b.name)) {
        return Err("documents are not in order, or one is there twice".into());
    }
    let mut total = 0u64;
    for document in documents {
        let bytes = BASE64.decode(&document.data).map_err(|e| format!("document {:?}: {e}", document.name))?;
        total = total.saturating_add(bytes.len() as u64);
    }
    if total > limits::DOCUMENTS_BYTES || documents.iter().any(|d| d.name.is_empty() || d.name.len() > limits::NAME_CHARS) {
        return Err("documents are larger than allowed, or badly named".into());
    }
    Ok(())
}

/// What must hold of the words in `partOf`: sorted, each once, of printable characters.
pub(super) fn check_part_of(part_of: &[String]) -> Result<(), String> {
    let plain = |text: &String| !text.is_empty() && text.len() <= limits::PART_OF_CHARS && !text.chars().any(char::is_control);
    if part_of.is_sorted_by(|a, b| a < b) && part_of.iter().all(plain) {
        return Ok(());
    }
    Err("partOf is not in order, or holds what is no name".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_in_order_once_and_decodable() {
        let a = Document::new(DocumentKind::ReleaseSignature, "sha256-00-1", b"x");
        let b = Document::new(DocumentKind::UpdateGraph, "stable-4.1-amd64", b"{}");
        assert_eq!(a.bytes(), b"x");
        assert_eq!(check_documents(&[a.clone(), b.clone()]), Ok(()));
        assert!(check_documents(&[b, a.clone()]).is_err());
        assert!(check_documents(&[a.clone(), a.clone()]).is_err());
        assert!(check_documents(&[Document { data: "=".into(), ..a }]).is_err());
    }

    #[test]
    fn part_of_is_plain_words_in_order() {
        assert_eq!(check_part_of(&["chart a 1".into(), "release 4.1-x86_64".into()]), Ok(()));
        assert!(check_part_of(&["b".into(), "a".into()]).is_err());
        assert!(check_part_of(&["a\u{1b}[2J".into()]).is_err());
    }
}
