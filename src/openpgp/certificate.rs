//! A key with what its owner says about it: when it ends, what it is for, whether it is withdrawn (RFC 9580, section 10.1).
//!
//! Statements of the primary key about itself may be made with SHA-1: Red Hat's release key 2 of 2009 has no others. Who comes by
//! such a key knows its fingerprint or named its file, and to change what it says about itself takes a second preimage, which
//! SHA-1 still withstands; collisions are of no use, because only the owner signs here. The library looks for collision attacks
//! anyway. A subkey is another key, bound by such a statement alone; it takes SHA-2.
//! Revocations by somebody else whom the owner has appointed are not looked at.

use super::packets::{self, PUBLIC_KEY, PUBLIC_SUBKEY, Packet, SECRET_KEY, SECRET_SUBKEY, SIGNATURE, USER_ID};
use super::{CLOCK_SKEW, KeyProblem};
use crate::digest::hex;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData, UserId};
use pgp::types::{KeyDetails, Tag};

/// A primary key and its subkeys.
#[derive(Clone)]
pub(super) struct Certificate {
    primary: PublicKey,
    weak: Option<&'static str>,
    statements: Vec<Statement>,
    revoked: bool,
    subkeys: Vec<Subkey>,
    /// What the owner calls himself, signed by the key itself and not taken back.
    names: Vec<String>,
}

#[derive(Clone)]
struct Subkey {
    key: PublicSubkey,
    weak: Option<&'static str>,
    statements: Vec<Statement>,
    revoked: bool,
}

/// What a valid signature of the primary key says about a key. Times are seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Statement {
    created: u64,
    /// The statement itself counts until then.
    until: Option<u64>,
    /// The key lives that many seconds.
    life: Option<u64>,
    /// Whether it is for signing, where it is said.
    signs: Option<bool>,
}

/// Whether a key counts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    Revoked,
    /// Since when.
    Expired(u64),
    Unfit(&'static str),
}

/// The key that made a signature.
#[derive(Clone, Copy)]
pub(super) struct Signer<'k> {
    pub certificate: &'k Certificate,
    subkey: Option<&'k Subkey>,
}

/// What lies in the packets of one file.
pub(super) struct Found {
    pub certificates: Vec<Certificate>,
    /// What says that some primary key is withdrawn, wherever it stands: what `gpg --gen-revoke` makes is such a statement without
    /// its key.
    pub revocations: Vec<Signature>,
    /// Why there is no key, where there is none.
    pub problem: KeyProblem,
}

/// Reads all keys of packets. Kinds that are not supported are passed over.
pub(super) fn read(mut packets: Vec<Packet>) -> Result<Found, KeyProblem> {
    packets.retain(|packet| !packet.means_nothing());
    if packets.iter().any(|packet| matches!(packet.tag, SECRET_KEY | SECRET_SUBKEY)) {
        return Err(KeyProblem::Private);
    }
    let mut found = Vec::new();
    let (mut problem, mut rest) = (KeyProblem::NoKey, packets.as_slice());
    while let Some((first, after)) = rest.split_first() {
        let end = after.iter().position(|packet| packet.tag == PUBLIC_KEY).unwrap_or(after.len());
        let (parts, next) = after.split_at_checked(end).unwrap_or((after, &[]));
        rest = next;
        if first.tag != PUBLIC_KEY {
            continue;
        }
        match packets::public_key(&first.body) {
            Some(primary) => {
                let certificate = Certificate::read(primary, weakness(&first.body), parts);
                match certificate.statements.is_empty() {
                    false => found.push(certificate),
                    true => problem = KeyProblem::Unsigned,
                }
            }
            None => problem = KeyProblem::Unsupported,
        }
    }
    let signatures = packets.iter().filter(|packet| packet.tag == SIGNATURE).filter_map(|packet| packets::signature(&packet.body).ok());
    let revocations = signatures.filter(|signature| signature.typ() == Some(SignatureType::KeyRevocation)).collect();
    Ok(Found { certificates: found, revocations, problem })
}

impl Certificate {
    fn read(primary: PublicKey, weak: Option<&'static str>, parts: &[Packet]) -> Certificate {
        let mut certificate = Certificate { primary, weak, statements: Vec::new(), revoked: false, subkeys: Vec::new(), names: Vec::new() };
        let mut rest = parts;
        certificate.about_primary(signatures(&mut rest));
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            let signatures = signatures(&mut rest);
            match first.tag {
                USER_ID => certificate.about_user(packets::user_id(&first.body), signatures),
                PUBLIC_SUBKEY => certificate.about_subkey(packets::public_subkey(&first.body), weakness(&first.body), signatures),
                // A picture says nothing about the key that a name does not; what is not known says nothing.
                _ => {}
            }
        }
        certificate
    }

    fn about_primary(&mut self, signatures: Vec<Signature>) {
        for signature in signatures.iter().filter(|s| strong_enough(s, true) && s.verify_key(&self.primary).is_ok()) {
            match signature.typ() {
                Some(SignatureType::KeyRevocation) => self.revoked = true,
                Some(SignatureType::Key) => self.statements.extend(Statement::of(signature)),
                _ => {}
            }
        }
    }

    fn about_user(&mut self, user: Option<UserId>, signatures: Vec<Signature>) {
        let Some(user) = user else { return };
        let own = |s: &&Signature| strong_enough(s, true) && s.verify_certification(&self.primary, Tag::UserId, &user).is_ok();
        let (ended, said): (Vec<&Signature>, Vec<_>) =
            signatures.iter().filter(own).partition(|s| s.typ() == Some(SignatureType::CertRevocation));
        let ended = ended.iter().filter_map(|s| s.created()).map(|at| u64::from(at.as_secs())).max();
        let said = said.into_iter().filter_map(Statement::of).filter(|s| ended.is_none_or(|ended| s.created > ended));
        let said: Vec<Statement> = said.collect();
        if !said.is_empty() {
            self.names.push(String::from_utf8_lossy(user.id()).into_owned());
        }
        self.statements.extend(said);
    }

    fn about_subkey(&mut self, key: Option<PublicSubkey>, weak: Option<&'static str>, signatures: Vec<Signature>) {
        let Some(key) = key else { return };
        let mut subkey = Subkey { key, weak, statements: Vec::new(), revoked: false };
        for signature in signatures.iter().filter(|s| s.verify_subkey_binding(&self.primary, &subkey.key).is_ok()) {
            match signature.typ() {
                Some(SignatureType::SubkeyRevocation) if strong_enough(signature, true) => subkey.revoked = true,
                Some(SignatureType::SubkeyBinding) if strong_enough(signature, false) => {
                    let statement = Statement::of(signature)
                        .map(|s| Statement { signs: Some(s.signs == Some(true) && self.agrees(&subkey.key, signature)), ..s });
                    subkey.statements.extend(statement);
                }
                _ => {}
            }
        }
        self.subkeys.push(subkey);
    }

    /// The subkey signs that it belongs to this primary key. Otherwise anybody could claim another's signing key for his own.
    fn agrees(&self, subkey: &PublicSubkey, binding: &Signature) -> bool {
        let back = binding.embedded_signature();
        back.is_some_and(|back| strong_enough(back, false) && back.verify_primary_key_binding(subkey, &self.primary).is_ok())
    }

    /// Takes note of a revocation that may be about this key.
    pub fn heed(&mut self, revocation: &Signature) {
        let ids = revocation.issuer_key_id();
        let about = ids.is_empty() || ids.contains(&&self.primary.legacy_key_id());
        self.revoked |= about && strong_enough(revocation, true) && revocation.verify_key(&self.primary).is_ok();
    }

    /// 40 upper-case hex digits.
    pub fn fingerprint(&self) -> String {
        hex(self.primary.fingerprint().as_bytes()).to_uppercase()
    }

    /// What the owner calls himself: no proof of who that is.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes over what another copy of the same key says: a revocation counts wherever it lies.
    pub fn merge(&mut self, other: Certificate) {
        self.revoked |= other.revoked;
        self.statements.extend(other.statements);
        let new = other.names.into_iter().filter(|name| !self.names.contains(name));
        let new: Vec<String> = new.collect();
        self.names.extend(new);
        for theirs in other.subkeys {
            match self.subkeys.iter_mut().find(|ours| ours.key.fingerprint() == theirs.key.fingerprint()) {
                Some(ours) => {
                    ours.revoked |= theirs.revoked;
                    ours.statements.extend(theirs.statements);
                }
                None => self.subkeys.push(theirs),
            }
        }
    }

    /// The key among this one and its subkeys that a signature names: by everything it says about its maker.
    pub fn signer(&self, signature: &Signature, announced: [u8; 8]) -> Option<Signer<'_>> {
        let subkey = |subkey| Signer { certificate: self, subkey: Some(subkey) };
        let all = std::iter::once(Signer { certificate: self, subkey: None }).chain(self.subkeys.iter().map(subkey));
        all.into_iter().find(|signer| match signer.subkey {
            Some(subkey) => named(&subkey.key, signature, announced),
            None => named(&self.primary, signature, announced),
        })
    }

    fn standing(&self, now: u64) -> Result<Statement, Standing> {
        standing(self.revoked, self.weak, &self.statements, created(&self.primary), now)
    }
}

impl Signer<'_> {
    /// True when the signature is one of exactly these bytes by this key.
    pub fn verifies(&self, signature: &Signature, bytes: &[u8]) -> bool {
        let algorithm = signature.config().map(|config| config.pub_alg);
        match self.subkey {
            Some(subkey) => algorithm == Some(subkey.key.algorithm()) && signature.verify(&subkey.key, bytes).is_ok(),
            None => algorithm == Some(self.certificate.primary.algorithm()) && signature.verify(&self.certificate.primary, bytes).is_ok(),
        }
    }

    /// When the key was made, in seconds since 1970.
    pub fn created(&self) -> u64 {
        self.subkey.map_or_else(|| created(&self.certificate.primary), |subkey| created(&subkey.key))
    }

    /// When it ends, as its owner says it at the time `now`: a subkey not after its primary key. `None` for a key without end.
    pub fn ends(&self, now: u64) -> Option<u64> {
        let end = |statement: Statement, created: u64| statement.life.map(|life| created + life);
        let primary = self.certificate.standing(now).ok().and_then(|said| end(said, created(&self.certificate.primary)));
        let subkey = self.subkey.and_then(|subkey| {
            let made = created(&subkey.key);
            standing(subkey.revoked, subkey.weak, &subkey.statements, made, now).ok().and_then(|said| end(said, made))
        });
        primary.into_iter().chain(subkey).min()
    }

    /// Whether it may sign at the time `now`. A subkey counts as long as its primary key does.
    pub fn standing(&self, now: u64) -> Standing {
        let primary = match self.certificate.standing(now) {
            Ok(statement) => statement,
            Err(standing) => return standing,
        };
        let signs = match self.subkey {
            // Old keys do not say what they are for.
            None => primary.signs != Some(false),
            Some(subkey) => match standing(subkey.revoked, subkey.weak, &subkey.statements, created(&subkey.key), now) {
                Ok(statement) => statement.signs == Some(true),
                Err(standing) => return standing,
            },
        };
        if signs { Standing::Good } else { Standing::Unfit("it is not for signing") }
    }
}

/// What the latest valid statement about a key says of it now.
fn standing(revoked: bool, weak: Option<&'static str>, statements: &[Statement], created: u64, now: u64) -> Result<Statement, Standing> {
    if revoked {
        return Err(Standing::Revoked);
    }
    if let Some(weak) = weak {
        return Err(Standing::Unfit(weak));
    }
    let valid = statements.iter().filter(|s| s.created <= now.saturating_add(CLOCK_SKEW) && s.until.is_none_or(|until| until > now));
    let Some(latest) = valid.max_by_key(|s| s.created) else {
        return Err(Standing::Unfit("its owner does not say, or no longer, that it is in use"));
    };
    match latest.life.map(|life| created + life) {
        Some(end) if end <= now => Err(Standing::Expired(end)),
        _ => Ok(*latest),
    }
}

impl Statement {
    fn of(signature: &Signature) -> Option<Statement> {
        let created = u64::from(signature.created()?.as_secs());
        let span = |span: Option<pgp::types::Duration>| span.map(|s| u64::from(s.as_secs())).filter(|s| *s > 0);
        let mut said = signature.config()?.hashed_subpackets();
        let signs = said.find_map(|part| match &part.data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        });
        let until = span(signature.signature_expiration_time()).map(|s| created + s);
        Some(Statement { created, until, life: span(signature.key_expiration_time()), signs })
    }
}

/// The signatures at the front, those that can be read.
fn signatures(rest: &mut &[Packet]) -> Vec<Signature> {
    let count = rest.iter().position(|packet| packet.tag != SIGNATURE).unwrap_or(rest.len());
    let (signatures, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
    *rest = after;
    signatures.iter().filter_map(|packet| packets::signature(&packet.body).ok()).collect()
}

fn strong_enough(signature: &Signature, sha1: bool) -> bool {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => true,
        Some(HashAlgorithm::Sha1) => sha1,
        _ => false,
    }
}

fn created(key: &impl KeyDetails) -> u64 {
    u64::from(key.created_at().as_secs())
}

/// A key matches when everything a signature says about its maker, and the packet that announces it, names this key.
fn named(key: &impl KeyDetails, signature: &Signature, announced: [u8; 8]) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    let id = key.legacy_key_id();
    !(ids.is_empty() && fingerprints.is_empty())
        && announced == id.as_ref()
        && ids.into_iter().all(|named| *named == id)
        && fingerprints.into_iter().all(|named| *named == key.fingerprint())
}

/// Why a version 4 key packet (section 5.5.3) is no key to rely on: its algorithm, or the length of its RSA modulus.
fn weakness(body: &[u8]) -> Option<&'static str> {
    const RSA_BITS: u16 = 2048;
    match body {
        [_, _, _, _, _, 1 | 3, high, low, ..] if u16::from_be_bytes([*high, *low]) < RSA_BITS => {
            Some("it is an RSA key of less than 2048 bits")
        }
        [_, _, _, _, _, 1 | 3 | 19 | 22 | 27, ..] => None,
        _ => Some("it is of another kind than RSA, ECDSA and Ed25519"),
    }
}
