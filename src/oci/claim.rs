//! What an image signature says (containers-signature(5), "JSON data format"): the JSON that OpenPGP signatures of images carry, and
//! under another type the payload of cosign.

use crate::text::shown;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    critical: Critical,
    /// Who made it with what, when: nothing that decides anything.
    #[serde(default, rename = "optional")]
    _optional: Option<BTreeMap<String, IgnoredAny>>,
}

/// "Consumers MUST reject any signature with a field in critical they do not understand."
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    identity: Identity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

/// What is claimed. Worth reading only after the signature over it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// `critical.type`.
    pub kind: String,
    /// `critical.image.docker-manifest-digest`, as it is written.
    pub digest: String,
    /// `critical.identity.docker-reference`, as it is written.
    pub reference: String,
}

impl Claim {
    /// Reads a claim, strictly: a member that is unknown or there twice is refused wherever it could decide something.
    ///
    /// # Errors
    /// Why it is none, for people.
    pub fn parse(bytes: &[u8]) -> Result<Claim, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|e| shown(&e.to_string()).to_string())?;
        let Critical { kind, image, identity } = document.critical;
        Ok(Claim { kind, digest: image.digest, reference: identity.reference })
    }
}
