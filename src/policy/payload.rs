//! What cosign signs: "simple signing" JSON with the digest and name of an image (cosign's signature specification, "Payload").

use crate::digest::Digest;
use crate::text::shown;
use serde::Deserialize;

/// The only type of payload that speaks of a container image.
const TYPE: &str = "cosign container image signature";

#[derive(Deserialize)]
struct Document {
    critical: Critical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Named,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// What a signature claims. Worth reading only after the signature was verified.
pub(super) struct Payload {
    pub digest: Digest,
    pub reference: String,
}

impl Payload {
    /// Reads a verified payload. What is critical and unknown is refused.
    pub fn parse(bytes: &[u8]) -> Result<Payload, String> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|e| format!("its payload cannot be read: {}", shown(&e.to_string())))?;
        if document.critical.kind != TYPE {
            return Err(format!("its payload is a {:?}", shown(&document.critical.kind).to_string()));
        }
        Ok(Payload { digest: document.critical.image.digest, reference: document.critical.identity.docker_reference })
    }
}
