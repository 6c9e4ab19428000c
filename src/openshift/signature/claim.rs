//! The document that is signed (containers-signature(5)).

use super::SignatureError;
use crate::digest::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

const TYPE: &str = "atomic container signature";

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

/// Reads the document; gives the name it was published under.
pub(super) fn read(bytes: &[u8], wanted: &Digest) -> Result<String, SignatureError> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|e| SignatureError::Document(crate::text::shown(&e.to_string()).to_string()))?;
    let Critical { kind, image, identity } = document.critical;
    if kind != TYPE {
        return Err(SignatureError::WrongType { found: kind });
    }
    if image.digest != wanted.to_string() {
        return Err(SignatureError::WrongDigest { signed: image.digest, wanted: *wanted });
    }
    Ok(identity.reference)
}
