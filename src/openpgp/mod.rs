//! OpenPGP signatures of images, verified in full. Pure.
//!
//! An image is named by a digest, and its signature is an OpenPGP message (RFC 9580) around a small JSON document that repeats
//! the digest: the "atomic container signature" of containers-signature(5), with which releases of OpenShift are signed, and images
//! by `podman push --sign-by`. [`verify`] is the only place where an [`ImageSignature`] is made, in this order:
//!
//! 1. the message has exactly the packets it should have, and nothing before, between or behind them;
//! 2. its signer is in the keyring, and the signature holds over exactly the bytes that are read afterwards;
//! 3. key and signature are valid at the time given;
//! 4. the document has exactly the members it should have, and names the digest that was asked for.
//!
//! Of the cryptography only packets' insides and the check of a hash are left to the `pgp` crate. What the literal packet says of
//! itself (a file name, a date) is not covered by an OpenPGP signature and is not looked at.

mod armor;
mod certificate;
mod claim;
mod error;
mod keyring;
mod message;
mod packets;

pub use error::{KeyFileError, KeyProblem, SignatureError};
pub use keyring::Keyring;

use crate::digest::Digest;
use certificate::Standing;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use std::fmt;

/// How far a signer's clock may be ahead of this one, in seconds.
const CLOCK_SKEW: u64 = 24 * 60 * 60;

/// A signature that holds for one digest. There is no other way to one than [`verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSignature {
    digest: Digest,
    docker_reference: String,
    signer: String,
    signer_names: Vec<String>,
    created: u64,
    expires: Option<u64>,
    key_expires: Option<u64>,
    raw: Vec<u8>,
}

impl ImageSignature {
    /// The digest that is signed.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The name the signer published the image under. To be shown (through [`crate::text::shown`]) and compared with what a policy
    /// demands, not to be followed: only the digest says what is signed.
    pub fn docker_reference(&self) -> &str {
        &self.docker_reference
    }

    /// Fingerprint of the primary key of the signer: 40 upper-case hex digits.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// What the owner of the key calls himself, each signed by the key; may be none. Anybody can make a key with any name: only the
    /// fingerprint says whose it is. To be shown through [`crate::text::shown`].
    pub fn signer_names(&self) -> &[String] {
        &self.signer_names
    }

    /// When it was made, in seconds since 1970.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// Until when it holds, in seconds since 1970; `None`: for ever.
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// When the key ends that made it, in seconds since 1970, as its owner says; `None`: never.
    pub fn key_expires(&self) -> Option<u64> {
        self.key_expires
    }

    /// The message as it came, for whoever checks it again.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

impl fmt::Debug for ImageSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageSignature({} {:?} by {})", self.digest, self.docker_reference, self.signer)
    }
}

/// Verifies `message` as a signature of `digest` by a key of `keyring` at the time `now` (seconds since 1970).
///
/// # Errors
/// The first of the four steps above that fails, as a [`SignatureError`] of its own.
pub fn verify(message: &[u8], digest: &Digest, keyring: &Keyring, now: u64) -> Result<ImageSignature, SignatureError> {
    let parts = message::open(message)?;
    let signature = acceptable(&parts)?;
    let signer = keyring.signer(&signature, parts.one_pass.key_id)?;
    let fingerprint = signer.certificate.fingerprint();
    if !signer.verifies(&signature, &parts.literal) {
        return Err(SignatureError::DoesNotHold { fingerprint });
    }
    match signer.standing(now) {
        Standing::Good => {}
        Standing::Revoked => return Err(SignatureError::KeyRevoked { fingerprint }),
        Standing::Expired(at) => return Err(SignatureError::KeyExpired { fingerprint, at }),
        Standing::Unfit(why) => return Err(SignatureError::KeyUnfit { fingerprint, why }),
    }
    let (created, expires) = in_time(&signature, signer.created(), now)?;
    let docker_reference = claim::read(&parts.literal, digest)?;
    let (signer_names, key_expires) = (signer.certificate.names().to_vec(), signer.ends(now));
    Ok(ImageSignature {
        digest: *digest,
        docker_reference,
        signer: fingerprint,
        signer_names,
        created,
        expires,
        key_expires,
        raw: message.to_vec(),
    })
}

/// Reads the signature packet; refuses kinds and hashes that no image is signed with.
fn acceptable(parts: &message::Parts) -> Result<Signature, SignatureError> {
    let signature = packets::signature(&parts.signature).map_err(SignatureError::Damaged)?;
    let Some(config) = signature.config() else { return Err(SignatureError::Damaged("its signature is of an unknown version")) };
    if config.typ() != SignatureType::Binary {
        return Err(SignatureError::Damaged("its signature is not one of a document"));
    }
    if !matches!(config.hash_alg, HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) {
        return Err(SignatureError::WeakHash(config.hash_alg.to_string()));
    }
    let one = &parts.one_pass;
    if one.kind != u8::from(config.typ()) || one.hash != u8::from(config.hash_alg) || one.algorithm != u8::from(config.pub_alg) {
        return Err(SignatureError::Damaged("its first packet announces another signature than follows"));
    }
    // RFC 9580, section 5.2.3.7: what is marked critical and not understood makes the signature void.
    let understood = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::SignatureCreationTime(_)
                | SubpacketData::SignatureExpirationTime(_)
                | SubpacketData::IssuerKeyId(_)
                | SubpacketData::IssuerFingerprint(_)
                | SubpacketData::SignersUserID(_)
        )
    };
    let foreign = config.hashed_subpackets().chain(config.unhashed_subpackets()).any(|part| part.is_critical && !understood(&part.data));
    if foreign {
        return Err(SignatureError::Damaged("its signature depends on something that is not known here"));
    }
    Ok(signature)
}

/// When the signature was made, and until when it holds; refused before its key was, too far in the future, or after its end.
fn in_time(signature: &Signature, key_created: u64, now: u64) -> Result<(u64, Option<u64>), SignatureError> {
    let Some(created) = signature.created().map(|at| u64::from(at.as_secs())) else {
        return Err(SignatureError::Damaged("its signature does not say when it was made"));
    };
    if created < key_created {
        return Err(SignatureError::Damaged("its signature is older than the key it was made with"));
    }
    if created > now.saturating_add(CLOCK_SKEW) {
        return Err(SignatureError::FromTheFuture { created, now });
    }
    let span = signature.signature_expiration_time().map(|span| u64::from(span.as_secs())).filter(|span| *span > 0);
    match span.map(|span| created + span) {
        Some(at) if at <= now => Err(SignatureError::Expired { at }),
        expires => Ok((created, expires)),
    }
}

#[cfg(test)]
mod tests;
