//! What cosign signs: "simple signing" JSON with the digest and name of an image (cosign's signature specification, "Payload").

use crate::digest::Digest;
use crate::oci::claim::Claim;
use crate::text::shown;

/// The only type of payload that speaks of a container image.
const TYPE: &str = "cosign container image signature";

/// Reads a verified payload as one about `wanted`; gives the name it was signed under.
pub(super) fn read(bytes: &[u8], wanted: &Digest) -> Result<String, String> {
    let Claim { kind, digest, reference } = Claim::parse(bytes).map_err(|why| format!("its payload cannot be read: {why}"))?;
    if kind != TYPE {
        return Err(format!("its payload is a {:?}", shown(&kind).to_string()));
    }
    match digest == wanted.to_string() {
        true => Ok(reference),
        false => Err(format!("a signature is of another image, {}", shown(&digest.chars().take(19).collect::<String>()))),
    }
}
