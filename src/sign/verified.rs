//! The one door: bytes and signatures go in, [`Verified`] comes out.
//!
//! Two steps, numbered as in the manual of the archive:
//!
//! a. Some signature over the raw bytes is by a key of the trust file whose line names this namespace and is valid now;
//!    the key is not revoked. Until then no byte is parsed: the parser is no target for strangers.
//! b. Only then the bytes are parsed for their stream and audience, and principal, threshold and audience are judged.
//!
//! Signatures that do not count (by strangers, damaged, expired) do no harm while enough others do; they are listed.
//! A key counts once, an owner counts once.

use super::Namespace;
use super::allowed_signers::{Moment, TrustLine, Validity};
use super::public_key::{Fingerprint, PublicKey};
use super::sshsig::{MessageHash, Signature, SshsigError};
use super::trust::{Trust, is_stream_name};
use crate::digest::Digest;
use crate::limits;
use crate::text::{are, shown};
use std::collections::{BTreeMap, BTreeSet};

/// A document that belongs to a stream.
pub trait Streamed {
    /// Name of its stream, without `stream:`.
    fn stream(&self) -> &str;

    /// Labels of the sites it is meant for; empty means everybody.
    fn audience(&self) -> &[String] {
        &[]
    }
}

/// A value whose bytes were signed by whom this side trusts. Made by [`verify`] only.
#[derive(Debug)]
pub struct Verified<T> {
    value: T,
    digest: Digest,
    signers: Vec<SignedBy>,
    rejected: Vec<Rejected>,
}

impl<T> Verified<T> {
    /// SHA-256 of the very bytes that were verified: the identity of the document.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whose signatures counted, each key once.
    pub fn signers(&self) -> &[SignedBy] {
        &self.signers
    }

    /// Signatures that did not count.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// One signature that counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBy {
    /// The key.
    pub key: PublicKey,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whose key the trust file says it is; may be empty.
    pub owner: String,
    /// The line of the trust file that allowed it.
    pub line: usize,
}

/// One signature that did not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its position among the signatures given, from 0.
    pub position: usize,
    /// Why.
    pub why: Rejection,
}

/// Why a signature does not count. In order of what a person should hear first when none counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// By a trusted key, over other bytes: one of the two files was changed.
    #[error("the signature of {key} was made over other bytes: the document or the signature was changed")]
    Mismatch {
        /// The key.
        key: Fingerprint,
    },
    /// The key is trusted, but for other streams.
    #[error("{key} may sign for {allowed}, not for stream:{stream}")]
    NotForStream {
        /// The key.
        key: Fingerprint,
        /// Stream of the document.
        stream: String,
        /// What the trust file allows.
        allowed: String,
    },
    /// The key was revoked.
    #[error("{key} is revoked")]
    Revoked {
        /// The key.
        key: Fingerprint,
    },
    /// The line of the trust file has ended.
    #[error("{key} was trusted until {until} only")]
    Expired {
        /// The key.
        key: Fingerprint,
        /// As the trust file says it.
        until: Moment,
    },
    /// The line of the trust file has not begun.
    #[error("{key} is trusted from {from} on only, this clock says it is earlier")]
    NotYetValid {
        /// The key.
        key: Fingerprint,
        /// As the trust file says it.
        from: Moment,
    },
    /// The key is trusted, but in other namespaces.
    #[error("{key} is trusted, but not for {namespace}")]
    NotForNamespace {
        /// The key.
        key: Fingerprint,
        /// The namespace asked for.
        namespace: Namespace,
    },
    /// The key is not in the trust file.
    #[error("{key} is not in the trust file")]
    UnknownKey {
        /// The key.
        key: Fingerprint,
    },
    /// Made for another purpose.
    #[error("it was made for {found:?}, not for {expected}")]
    WrongNamespace {
        /// What the signature says.
        found: String,
        /// What is needed here.
        expected: Namespace,
    },
    /// Not a signature file, or not a canonical one.
    #[error("it is not an acceptable signature file: {0}")]
    Malformed(#[from] SshsigError),
}

impl Rejection {
    fn rank(&self) -> u8 {
        match self {
            Rejection::Mismatch { .. } => 0,
            Rejection::NotForStream { .. } => 1,
            Rejection::Revoked { .. } => 2,
            Rejection::Expired { .. } => 3,
            Rejection::NotYetValid { .. } => 4,
            Rejection::NotForNamespace { .. } => 5,
            Rejection::UnknownKey { .. } => 6,
            Rejection::WrongNamespace { .. } => 7,
            Rejection::Malformed(_) => 8,
        }
    }
}

/// Why a document was not let in. `E` is what parsing it can fail with.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError<E> {
    /// The trust file names nobody.
    #[error("no key is trusted on this side")]
    EmptyTrust,
    /// There is no signature at all.
    #[error("it is not signed")]
    NoSignature,
    /// More signatures than anybody may ask for.
    #[error("it has {found} signatures, more than the {} that are looked at", limits::SIGNATURES)]
    TooManySignatures {
        /// How many.
        found: usize,
    },
    /// No signature counts. Never empty; the most telling one first.
    #[error("none of its signatures counts: {}", .rejected.first().map_or(String::new(), |r| format!("number {}: {}", r.position + 1, r.why)))]
    NoneCounts {
        /// Each with its reason.
        rejected: Vec<Rejected>,
    },
    /// Signed by a trusted key, but it cannot be read.
    #[error("it is signed by a trusted key, but cannot be read: {0}")]
    Parse(#[source] E),
    /// Its stream has a name no stream may have.
    #[error("its stream has the name {0:?}, which no stream may have")]
    BadStream(String),
    /// Meant for others.
    #[error("it is meant for {}; this site is {}", .meant_for.join(", "), if .ours.is_empty() { "without a name".to_owned() } else { .ours.join(", ") })]
    Audience {
        /// Labels in the document.
        meant_for: Vec<String>,
        /// Labels of this site in the policy file.
        ours: Vec<String>,
    },
    /// Some signatures count, but too few owners.
    #[error("stream:{stream} needs signatures of {need} different owners, there {} {have}", are(*.have))]
    Threshold {
        /// Stream of the document.
        stream: String,
        /// Different owners whose signatures count.
        have: usize,
        /// What the policy file asks for.
        need: usize,
        /// Whose signatures count.
        signers: Vec<SignedBy>,
        /// Those that do not.
        rejected: Vec<Rejected>,
    },
}

impl<E> VerifyError<E> {
    /// The most telling reason where no signature counts.
    pub fn reason(&self) -> Option<&Rejection> {
        match self {
            VerifyError::NoneCounts { rejected } => rejected.first().map(|r| &r.why),
            _ => None,
        }
    }
}

/// Lets a document in, or says why not. `signatures` are the contents of the signature files, `now` is in seconds since
/// 1970 and can only make keys invalid, `parse` is called once, and only after step (a).
pub fn verify<T: Streamed, E>(
    bytes: &[u8],
    signatures: &[Vec<u8>],
    trust: &Trust,
    namespace: Namespace,
    now: u64,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<Verified<T>, VerifyError<E>> {
    if trust.is_empty() {
        return Err(VerifyError::EmptyTrust);
    }
    if signatures.is_empty() {
        return Err(VerifyError::NoSignature);
    }
    if signatures.len() > limits::SIGNATURES {
        return Err(VerifyError::TooManySignatures { found: signatures.len() });
    }
    // (a) Whose are the bytes?
    let mut tally = Tally { trust, namespace, now, proven: BTreeMap::new(), rejected: Vec::new() };
    tally.count(bytes, signatures);
    if tally.proven.is_empty() {
        return Err(VerifyError::NoneCounts { rejected: tally.into_rejected() });
    }
    // (b) May they speak for this stream, are they enough, and is it for us?
    let value = parse(bytes).map_err(VerifyError::Parse)?;
    let stream = value.stream().to_owned();
    if !is_stream_name(&stream) {
        return Err(VerifyError::BadStream(shown(&stream).to_string()));
    }
    let signers = tally.for_stream(&stream);
    let rejected = tally.into_rejected();
    if signers.is_empty() {
        return Err(VerifyError::NoneCounts { rejected });
    }
    let (have, need) = (owners(&signers), trust.policy().min_signatures(&format!("stream:{stream}")));
    if have < need {
        return Err(VerifyError::Threshold { stream, have, need, signers, rejected });
    }
    judge_audience(value.audience(), trust)?;
    Ok(Verified { digest: Digest::sha256(bytes), value, signers, rejected })
}

/// Signatures being counted.
struct Tally<'a> {
    trust: &'a Trust,
    namespace: Namespace,
    now: u64,
    /// Keys with a signature that holds: the position of that signature, and the lines that are valid for it.
    proven: BTreeMap<PublicKey, (usize, Vec<&'a TrustLine>)>,
    rejected: Vec<Rejected>,
}

impl<'a> Tally<'a> {
    fn count(&mut self, bytes: &[u8], signatures: &[Vec<u8>]) {
        let mut message = None;
        for (position, file) in signatures.iter().enumerate() {
            let judged = Signature::parse(file).map_err(Rejection::Malformed).and_then(|signature| {
                let lines = self.lines_for(&signature)?;
                if !signature.holds_for(message.get_or_insert_with(|| MessageHash::of(bytes))) {
                    return Err(Rejection::Mismatch { key: signature.key().fingerprint() });
                }
                Ok((signature.key().clone(), lines))
            });
            match judged {
                Ok((key, lines)) => {
                    self.proven.entry(key).or_insert((position, lines));
                }
                Err(why) => self.rejected.push(Rejected { position, why }),
            }
        }
    }

    /// The lines a signature may rely on, found before any arithmetic is done with what a stranger wrote.
    fn lines_for(&self, signature: &Signature) -> Result<Vec<&'a TrustLine>, Rejection> {
        let namespace = self.namespace;
        if signature.namespace() != namespace.as_str() {
            return Err(Rejection::WrongNamespace { found: shown(signature.namespace()).to_string(), expected: namespace });
        }
        let key = signature.key().fingerprint();
        let trust = self.trust;
        let mut lines: Vec<&TrustLine> = trust.lines().iter().filter(|line| line.key == *signature.key()).collect();
        if lines.is_empty() {
            return Err(Rejection::UnknownKey { key });
        }
        if trust.revoked().contains(signature.key()) {
            return Err(Rejection::Revoked { key });
        }
        lines.retain(|line| line.namespaces.iter().any(|name| name == namespace.as_str()));
        let Some(first) = lines.first().copied() else {
            return Err(Rejection::NotForNamespace { key, namespace });
        };
        lines.retain(|line| line.validity(self.now) == Validity::Valid);
        match first.validity(self.now) {
            Validity::Over(until) if lines.is_empty() => Err(Rejection::Expired { key, until }),
            Validity::NotYet(from) if lines.is_empty() => Err(Rejection::NotYetValid { key, from }),
            _ => Ok(lines),
        }
    }

    /// The proven keys that may speak for `stream`; the others are rejected.
    fn for_stream(&mut self, stream: &str) -> Vec<SignedBy> {
        let principal = format!("stream:{stream}");
        let mut signers = Vec::new();
        for (key, (position, lines)) in &self.proven {
            let fingerprint = key.fingerprint();
            match lines.iter().find(|line| line.principals.matches(&principal)) {
                Some(line) => {
                    signers.push(SignedBy { key: key.clone(), fingerprint, owner: line.owner.clone(), line: line.number });
                }
                None => {
                    let allowed = lines.iter().map(|line| line.principals.as_str()).collect::<Vec<_>>().join(" ");
                    let why = Rejection::NotForStream { key: fingerprint, stream: stream.to_owned(), allowed };
                    self.rejected.push(Rejected { position: *position, why });
                }
            }
        }
        signers
    }

    fn into_rejected(mut self) -> Vec<Rejected> {
        self.rejected.sort_by_key(|r| (r.why.rank(), r.position));
        self.rejected
    }
}

/// Different owners among keys that are all different. A key without an owner is its own.
fn owners(signers: &[SignedBy]) -> usize {
    let named: BTreeSet<&str> = signers.iter().map(|s| s.owner.as_str()).filter(|o| !o.is_empty()).collect();
    named.len() + signers.iter().filter(|s| s.owner.is_empty()).count()
}

fn judge_audience<E>(meant_for: &[String], trust: &Trust) -> Result<(), VerifyError<E>> {
    let ours = trust.policy().audience();
    if meant_for.is_empty() || meant_for.iter().any(|label| ours.contains(label)) {
        return Ok(());
    }
    let meant_for = meant_for.iter().map(|label| shown(label).to_string()).collect();
    Err(VerifyError::Audience { meant_for, ours: ours.iter().cloned().collect() })
}
