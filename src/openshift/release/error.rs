//! Why an image is not a release.

use crate::openshift::files::FilesError;
use crate::text::shown;
use semver::Version;

/// Why an image is not a release, or not the one it should be.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Its files cannot be read.
    #[error(transparent)]
    Files(FilesError),
    /// It has no list of components.
    #[error("it is no release image: release-manifests/image-references is not in it")]
    NoReferences,
    /// One of its files is not as it should be.
    #[error("{path}: {why}")]
    Malformed {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// A component is there twice: which one is meant would be a guess.
    #[error("release-manifests/image-references names component {:?} twice", shown(.0).to_string())]
    Twice(String),
    /// A component without a digest could be another image tomorrow; the signature of the release would not cover it.
    #[error("component {:?} is not named by digest: {:?}", shown(.component).to_string(), shown(.reference).to_string())]
    NoDigest {
        /// The component.
        component: String,
        /// What stands there.
        reference: String,
    },
    /// Its two documents name different versions.
    #[error("image-references is of release {references}, release-metadata of {metadata}")]
    Contradiction {
        /// In the list of components.
        references: Version,
        /// In the metadata.
        metadata: Version,
    },
    /// An architecture that OpenShift is not built for.
    #[error("its architecture {:?} is none that releases are made for", shown(.0).to_string())]
    Architecture(String),
    /// Its name cannot be a tag.
    #[error("{:?} cannot be a tag", shown(.0).to_string())]
    Tag(String),
}
