//! What an image is for, and what travels beside images (`sealift-archive(5)`, "Contents": role, partOf, made, documents).

use crate::digest::Digest;
use crate::limits;
use crate::oci::is_repository;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

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
    /// An OpenPGP signature of an image, as a lookaside has it. Named by its path there, the repository being that of the set:
    /// `REPOSITORY@sha256=HEX/signature-N`, the digest of any manifest of the image.
    ImageSignature,
}

/// What the name of an [`DocumentKind::ImageSignature`] says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignatureName {
    /// Repository in the set.
    pub repository: String,
    /// The manifest that is signed.
    pub digest: Digest,
    /// From 1 on.
    pub number: u32,
}

impl SignatureName {
    /// Reads a name; `None` where it is none, or would not be written so.
    pub fn parse(name: &str) -> Option<SignatureName> {
        let (repository, rest) = name.split_once('@')?;
        let (digest, number) = rest.split_once("/signature-")?;
        let parsed = SignatureName {
            repository: repository.to_owned(),
            digest: digest.replacen('=', ":", 1).parse().ok()?,
            number: number.parse().ok().filter(|number| (1..=limits::LOOKASIDE_SIGNATURES).contains(number))?,
        };
        (is_repository(repository) && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for SignatureName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SignatureName { repository, digest, number } = self;
        write!(f, "{repository}@{}={}/signature-{number}", digest.algorithm().name(), digest.hex())
    }
}

/// OpenPGP signatures of images among documents, by repository in the set and the manifest they are about; each once.
///
/// One of another repository does not count although it is about the same manifest: whoever pulls the image inside looks only where it
/// lies, and a lookaside full of others could hide the one that holds.
pub fn image_signatures(documents: &[Document]) -> BTreeMap<(String, Digest), Vec<Vec<u8>>> {
    let mut found: BTreeMap<(String, Digest), Vec<Vec<u8>>> = BTreeMap::new();
    for document in documents.iter().filter(|d| d.kind == DocumentKind::ImageSignature) {
        let Some(name) = SignatureName::parse(&document.name) else { continue };
        let (known, bytes) = (found.entry((name.repository, name.digest)).or_default(), document.bytes());
        if !known.contains(&bytes) {
            known.push(bytes);
        }
    }
    found
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

/// Documents in the order they are written in, each once. What several have to say under one name stands in one note.
pub fn in_order(mut documents: Vec<Document>) -> Vec<Document> {
    documents.sort();
    documents.dedup();
    documents.dedup_by(|later, note| {
        let together = note.kind == DocumentKind::Note && (later.kind, &later.name) == (note.kind, &note.name);
        if together {
            note.data = BASE64.encode([note.bytes().as_slice(), b"\n", later.bytes().as_slice()].concat());
        }
        together
    });
    documents
}

/// What must hold of a list of documents: in order, each once, decodable, not too many bytes.
///
/// # Errors
/// What does not hold.
pub fn check_documents(documents: &[Document]) -> Result<(), String> {
    for pair in documents.windows(2) {
        if let [a, b] = pair
            && (a.kind, &a.name) >= (b.kind, &b.name)
        {
            return Err(format!("document {:?} is not in order, or there twice", b.name));
        }
    }
    let mut total = 0u64;
    for document in documents {
        let bytes = BASE64.decode(&document.data).map_err(|e| format!("document {:?}: {e}", document.name))?;
        total = total.saturating_add(bytes.len() as u64);
    }
    if total > limits::DOCUMENTS_BYTES || documents.iter().any(|d| d.name.is_empty() || d.name.len() > limits::DOCUMENT_NAME_CHARS) {
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
    fn names_of_signatures_are_paths_of_a_lookaside_and_lead_nowhere_else() {
        let digest = Digest::sha256(b"x");
        let name = format!("team/app@sha256={}/signature-2", digest.hex());
        let parsed = SignatureName::parse(&name).unwrap();
        assert_eq!((parsed.repository.as_str(), parsed.digest, parsed.number, parsed.to_string()), ("team/app", digest, 2, name.clone()));
        for (from, to) in [
            ("team/app", "../app"),
            ("team/app", "/etc"),
            ("team/app", ""),
            ("=", ":"),
            ("-2", "-0"),
            ("-2", "-02"),
            ("-2", "-+2"),
            ("-2", "-129"),
            ("-2", "-2/x"),
            ("sha256=", "sha256=../"),
            ("/signature", "/../signature"),
        ] {
            let bad = name.replacen(from, to, 1);
            assert!(bad != name && SignatureName::parse(&bad).is_none(), "{bad}");
        }
        let one = |number: &str, bytes: &[u8]| Document::new(DocumentKind::ImageSignature, name.replace("-2", number), bytes);
        let elsewhere = Document::new(DocumentKind::ImageSignature, name.replace("team/app", "team/other"), b"d");
        let found = image_signatures(&[one("-1", b"a"), one("-2", b"b"), one("-3", b"a"), one("-x", b"c"), elsewhere]);
        let of = |repository: &str| (repository.to_owned(), digest);
        let expected = [(of("team/app"), vec![b"a".to_vec(), b"b".to_vec()]), (of("team/other"), vec![b"d".to_vec()])];
        assert_eq!(found, BTreeMap::from(expected));
    }

    #[test]
    fn notes_of_one_name_become_one_and_other_documents_of_one_name_stay_two() {
        let note = |text: &str| Document::new(DocumentKind::Note, "release 00", text.as_bytes());
        let mut documents = in_order(vec![note("by digest"), note("by channel"), note("by digest")]);
        assert_eq!(check_documents(&documents), Ok(()));
        let told = documents.pop().unwrap().bytes();
        assert_eq!((documents.len(), String::from_utf8(told).unwrap().lines().count()), (0, 2));
        let template = |bytes: &[u8]| Document::new(DocumentKind::CatalogTemplate, "a:1", bytes);
        assert!(check_documents(&in_order(vec![template(b"x"), template(b"y")])).is_err());
    }

    #[test]
    fn part_of_is_plain_words_in_order() {
        assert_eq!(check_part_of(&["chart a 1".into(), "release 4.1-x86_64".into()]), Ok(()));
        assert!(check_part_of(&["b".into(), "a".into()]).is_err());
        assert!(check_part_of(&["a\u{1b}[2J".into()]).is_err());
    }
}
