//! Who says that a digest is a release.

use super::{GatherError, World};
use crate::digest::Digest;
use crate::openpgp::{ImageSignature, Keyring};
use crate::openshift::signature::{KeyError, StoreError, find, find_keys};

/// Proves that a digest was released. Tests have a proof of their own, since nobody outside of the publisher can sign.
pub(super) trait ReleaseProof: Sync {
    /// The signatures that hold for exactly this digest; at least one.
    fn prove(&self, digest: &Digest) -> Result<Vec<Proof>, StoreError>;
}

/// A signature that holds.
pub(super) struct Proof {
    /// Its number in the store.
    pub(super) number: u32,
    /// What it calls the release. A label: nothing follows from it.
    pub(super) reference: String,
    /// As the store has it.
    pub(super) raw: Vec<u8>,
}

/// The signature stores, with the keys that count.
pub(super) struct Stores<'a> {
    world: &'a World<'a>,
    keyring: Keyring,
}

impl<'a> Stores<'a> {
    /// Reads the keys. Having none is an error, unless signatures are not asked for: then it is noted.
    pub(super) fn open(world: &'a World<'a>) -> Result<(Stores<'a>, Option<String>), GatherError> {
        match find_keys(&world.releases.keys, world.releases.keys_named) {
            Ok(keyring) => Ok((Stores { world, keyring }, None)),
            Err(error @ KeyError::None { .. }) if world.releases.ignore_signature => {
                Ok((Stores { world, keyring: Keyring::default() }, Some(format!("no release can be verified: {error}"))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl ReleaseProof for Stores<'_> {
    fn prove(&self, digest: &Digest) -> Result<Vec<Proof>, StoreError> {
        if self.keyring.is_empty() {
            return Err(StoreError::NoKeys);
        }
        let settings = &self.world.releases;
        let found = find(digest, &settings.stores, self.world.web, &self.keyring, settings.now)?;
        let proof = |(number, signature): (u32, ImageSignature)| Proof {
            number,
            reference: signature.docker_reference().to_owned(),
            raw: signature.raw().to_vec(),
        };
        Ok(found.into_iter().map(proof).collect())
    }
}
