//! The keys that count.

use super::certificate::{self, Certificate, Found, Signer};
use super::{KeyFileError, KeyProblem, SignatureError, armor, packets};
use crate::digest::hex;
use pgp::packet::Signature;
use std::fmt;

/// Keys that signatures are verified with. Its debug output names fingerprints.
#[derive(Clone, Default)]
pub struct Keyring {
    certificates: Vec<Certificate>,
    /// Keys that lie in a system's folder and are not known here, and where: to explain, never to verify.
    passed_over: Vec<(String, Certificate)>,
}

impl Keyring {
    /// Keys the person has named: all of them count. Each file (its name, its bytes) holds one key or several, armored (with any
    /// text around) or binary. Keys of kinds that are not supported are passed over where a file holds others as well.
    ///
    /// # Errors
    /// [`KeyFileError`] for a file without any usable key.
    pub fn parse(files: &[(String, Vec<u8>)]) -> Result<Keyring, KeyFileError> {
        let (mut keyring, mut revocations) = (Keyring::default(), Vec::new());
        for (name, bytes) in files {
            let wrong = |problem| KeyFileError { file: name.clone(), problem };
            let found = read(bytes).map_err(wrong)?;
            if found.certificates.is_empty() {
                return Err(wrong(found.problem));
            }
            found.certificates.into_iter().for_each(|certificate| keyring.add(certificate));
            revocations.extend(found.revocations);
        }
        keyring.heed(&revocations);
        Ok(keyring)
    }

    /// Keys that lie where a system keeps the keys of its vendors: only those count whose fingerprint (40 upper-case hex digits) is
    /// among `known`. What is no key is passed over.
    pub fn pinned(files: &[(String, Vec<u8>)], known: &[&str]) -> Keyring {
        let (mut keyring, mut revocations) = (Keyring::default(), Vec::new());
        for (name, bytes) in files {
            let Ok(found) = read(bytes) else { continue };
            revocations.extend(found.revocations);
            for certificate in found.certificates {
                if known.contains(&certificate.fingerprint().as_str()) {
                    keyring.add(certificate);
                } else {
                    keyring.passed_over.push((name.clone(), certificate));
                }
            }
        }
        keyring.heed(&revocations);
        keyring
    }

    /// True when no key counts.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Fingerprints of the primary keys that count: 40 upper-case hex digits each, sorted.
    pub fn fingerprints(&self) -> Vec<String> {
        let mut all: Vec<String> = self.certificates.iter().map(Certificate::fingerprint).collect();
        all.sort();
        all
    }

    fn add(&mut self, certificate: Certificate) {
        let fingerprint = certificate.fingerprint();
        match self.certificates.iter_mut().find(|known| known.fingerprint() == fingerprint) {
            Some(known) => known.merge(certificate),
            None => self.certificates.push(certificate),
        }
    }

    /// A revocation counts wherever it lies, whichever file the key is in.
    fn heed(&mut self, revocations: &[Signature]) {
        for certificate in &mut self.certificates {
            revocations.iter().for_each(|revocation| certificate.heed(revocation));
        }
    }

    /// The key that a signature names.
    pub(super) fn signer(&self, signature: &Signature, announced: [u8; 8]) -> Result<Signer<'_>, SignatureError> {
        if let Some(signer) = self.certificates.iter().find_map(|c| c.signer(signature, announced)) {
            return Ok(signer);
        }
        if let Some((file, known)) = self.passed_over.iter().find(|(_, c)| c.signer(signature, announced).is_some()) {
            return Err(SignatureError::NotPinned { fingerprint: known.fingerprint(), file: file.clone() });
        }
        if self.is_empty() {
            return Err(SignatureError::NoKeys);
        }
        let fingerprint = signature.issuer_fingerprint().first().map(|f| hex(f.as_bytes()));
        let key_id = fingerprint.or_else(|| signature.issuer_key_id().first().map(|id| hex(id.as_ref())));
        Err(SignatureError::UnknownSigner { key_id: key_id.unwrap_or_else(|| hex(&announced)).to_uppercase() })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.fingerprints()).finish()
    }
}

/// All that one file says of keys.
fn read(bytes: &[u8]) -> Result<Found, KeyProblem> {
    let mut all = Found { certificates: Vec::new(), revocations: Vec::new(), problem: KeyProblem::NoKey };
    for block in armor::keys(bytes)? {
        match packets::split(&block).map_err(|_| KeyProblem::Damaged).and_then(certificate::read) {
            Ok(found) => {
                if found.certificates.is_empty() && found.problem != KeyProblem::NoKey {
                    all.problem = found.problem;
                }
                all.certificates.extend(found.certificates);
                all.revocations.extend(found.revocations);
            }
            Err(KeyProblem::Private) => return Err(KeyProblem::Private),
            Err(other) => all.problem = other,
        }
    }
    Ok(all)
}
