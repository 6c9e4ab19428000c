//! Who says that a digest is a release.

use super::{GatherError, World};
use crate::digest::Digest;
use crate::openshift::signature::{KeyError, Keyring, SignatureError, find};

/// Proves that a digest was released. Tests have a proof of their own, since nobody outside of the publisher can sign.
pub(super) trait ReleaseProof: Sync {
    /// The signatures that hold for exactly this digest, with their numbers in the store; at least one.
    fn prove(&self, digest: &Digest) -> Result<Vec<(u32, Vec<u8>)>, SignatureError>;
}

/// The signature stores, with the keys that count.
pub(super) struct Stores<'a> {
    world: &'a World<'a>,
    keyring: Keyring,
}

impl<'a> Stores<'a> {
    /// Reads the keys. Having none is an error, unless signatures are not asked for: then it is noted.
    pub(super) fn open(world: &'a World<'a>) -> Result<(Stores<'a>, Option<String>), GatherError> {
        match Keyring::find(&world.releases.keys, world.releases.keys_named) {
            Ok(keyring) => Ok((Stores { world, keyring }, None)),
            Err(error @ KeyError::None { .. }) if world.releases.ignore_signature => {
                Ok((Stores { world, keyring: Keyring::default() }, Some(format!("no release can be verified: {error}"))))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl ReleaseProof for Stores<'_> {
    fn prove(&self, digest: &Digest) -> Result<Vec<(u32, Vec<u8>)>, SignatureError> {
        if self.keyring.is_empty() {
            return Err(SignatureError::NoKeys);
        }
        let settings = &self.world.releases;
        let found = find(digest, &settings.stores, self.world.web, &self.keyring, settings.now)?;
        Ok(found.into_iter().map(|(number, signature)| (number, signature.raw().to_vec())).collect())
    }
}
