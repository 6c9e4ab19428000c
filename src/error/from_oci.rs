//! References and manifests: what the user wrote and what sources hold.

use super::{Code, Error};
use crate::oci::{ManifestError, ReferenceError, WalkError};

impl From<ReferenceError> for Error {
    fn from(error: ReferenceError) -> Error {
        Error::new(Code::BadReference, crate::text::without_userinfo(&error.to_string()))
    }
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Error {
        Error::from_chain(manifest_code(&error), &error)
    }
}

/// A manifest is refused only after its digest held: the source sent what it was asked for, and that is what cannot be carried.
pub(super) fn manifest_code(error: &ManifestError) -> Code {
    match error {
        ManifestError::TooLarge(_)
        | ManifestError::Malformed(_)
        | ManifestError::Schema1
        | ManifestError::ArtifactManifest
        | ManifestError::Ambiguous
        | ManifestError::Algorithm(_) => Code::CannotCarry,
    }
}

impl<E: std::error::Error + Into<Error>> From<WalkError<E>> for Error {
    fn from(error: WalkError<E>) -> Error {
        match error {
            WalkError::Source(source) => source.into(),
            WalkError::Manifest { digest, error } => {
                Error::new(manifest_code(&error), format!("manifest {digest} cannot be carried")).because(error)
            }
            WalkError::Depth(digest) => {
                Error::new(Code::CannotCarry, format!("index {digest} cannot be carried")).because("indexes are nested too deeply")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::oci::Reference;

    #[test]
    fn wishes_and_manifests_have_codes_of_their_own() {
        let error = Error::from(Reference::parse("Not A Reference").unwrap_err());
        assert_eq!((error.code, error.causes.len()), (Code::BadReference, 0));
        let error = Error::from(Reference::parse("docker://u:hunter2@quay.io/x:1").unwrap_err());
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_eq!(Error::from(ManifestError::Schema1).code, Code::CannotCarry);
        let digest = Digest::sha256(b"");
        let walk: WalkError<ManifestError> = WalkError::Manifest { digest, error: ManifestError::Schema1 };
        let error = Error::from(walk);
        assert!(error.code == Code::CannotCarry && error.what.contains(&digest.to_string()) && error.causes.len() == 1);
    }
}
