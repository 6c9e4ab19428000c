//! Lookasides: where OpenPGP signatures of images lie beside their registries (containers-registries.d(5); containers/image,
//! "Signature access protocols", separate storage): `STORE/REPOSITORY@sha256=HEX/signature-N`.
//!
//! Which store is asked for an image is said by the most specific scope that has one, as podman decides it. Of what a store answers
//! nothing is believed here: [`crate::openpgp`] verifies.

mod file;
mod store;
#[cfg(test)]
mod tests;

pub use file::{ConfigError, Fault, Folders};
pub use store::{Entry, Store, StoreFailure, entry};

use crate::digest::Digest;
use crate::limits::{LOOKASIDE_SIGNATURES, RELEASE_SIGNATURE_BYTES};
use crate::oci::Reference;
use crate::web::Web;
use std::collections::BTreeMap;

/// Stores by scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    default: Option<Store>,
    by_scope: BTreeMap<String, Store>,
}

/// Which store is asked for which image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lookasides {
    /// Named by the person: they come first, whatever files say.
    named: Scopes,
    /// Of `registries.d`.
    files: Scopes,
}

/// Why signatures of an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LookasideError {
    /// The store.
    #[error("the lookaside {store} cannot be asked: {failure}")]
    Store {
        /// As it may be shown.
        store: String,
        /// Why.
        failure: StoreFailure,
    },
    /// It failed before, and is not asked for each image again.
    #[error("the lookaside {store} has failed and was not asked again")]
    GaveUp {
        /// As it may be shown.
        store: String,
    },
    /// Something there is no signature.
    #[error("{place} is longer than a signature may be")]
    TooLong {
        /// As it may be shown.
        place: String,
    },
}

impl Scopes {
    fn find(&self, reference: &Reference) -> Option<&Store> {
        reference.scopes().iter().find_map(|scope| self.by_scope.get(scope)).or(self.default.as_ref())
    }

    /// Adds a store: for a scope, or where none is given for all images. True when there was one already.
    pub fn set(&mut self, scope: Option<&str>, store: Store) -> bool {
        match scope {
            Some(scope) => self.by_scope.insert(scope.to_owned(), store).is_some(),
            None => self.default.replace(store).is_some(),
        }
    }
}

impl Lookasides {
    /// Stores the person named, and those of files.
    pub fn new(named: Scopes, files: Scopes) -> Lookasides {
        Lookasides { named, files }
    }

    /// True when nobody has said of any image where its signatures lie.
    pub fn is_empty(&self) -> bool {
        [&self.named, &self.files].iter().all(|scopes| scopes.default.is_none() && scopes.by_scope.is_empty())
    }

    /// The store for an image; `None` where nobody has said where its signatures lie.
    pub fn store(&self, image: &Reference) -> Option<&Store> {
        self.named.find(image).or_else(|| self.files.find(image))
    }

    /// The signatures that lie there for a manifest of an image, in their order; `None` where there is no store for it. At most
    /// [`LOOKASIDE_SIGNATURES`].
    ///
    /// # Errors
    /// [`LookasideError`].
    pub fn signatures(&self, image: &Reference, digest: &Digest, web: &dyn Web) -> Result<Option<Vec<Vec<u8>>>, LookasideError> {
        let Some(store) = self.store(image) else { return Ok(None) };
        let folder = format!("{}@{}={}", image.repository, digest.algorithm().name(), digest.hex());
        let mut entries = Vec::new();
        store
            .each(&folder, (LOOKASIDE_SIGNATURES, RELEASE_SIGNATURE_BYTES), web, &mut |entry| entries.push(entry))
            .map_err(|failure| LookasideError::Store { store: store.name(), failure })?;
        let bytes = |entry: Entry| entry.bytes.ok_or(LookasideError::TooLong { place: entry.place });
        entries.into_iter().map(bytes).collect::<Result<_, _>>().map(Some)
    }
}
