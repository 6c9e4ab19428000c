//! The document that is signed (containers-signature(5)).

use super::SignatureError;
use crate::digest::Digest;
use crate::oci::claim::Claim;

const TYPE: &str = "atomic container signature";

/// Reads the document; gives the name it was published under.
pub(super) fn read(bytes: &[u8], wanted: &Digest) -> Result<String, SignatureError> {
    let Claim { kind, digest, reference } = Claim::parse(bytes).map_err(SignatureError::Document)?;
    if kind != TYPE {
        return Err(SignatureError::WrongType { found: kind });
    }
    if digest != wanted.to_string() {
        return Err(SignatureError::WrongDigest { signed: digest, wanted: *wanted });
    }
    Ok(reference)
}
