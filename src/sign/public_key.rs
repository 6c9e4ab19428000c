//! Public keys: the four kinds that may sign, their wire form (RFC 8709, RFC 5656, `PROTOCOL.u2f`) and their fingerprint.

use super::wire::{Reader, Truncated, put_string};
use crate::digest::Digest;
use crate::limits;
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::fmt;
use std::str::FromStr;

/// Longest application string of a token key; OpenSSH writes `ssh:` and a short word.
const APPLICATION_BYTES: usize = 1024;

/// A kind of key that may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`: hosts in FIPS mode, PIV and TPM tokens.
    P256,
    /// `sk-ssh-ed25519@openssh.com`: a FIDO token.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`: a FIDO token.
    SkP256,
}

impl KeyKind {
    const ALL: [KeyKind; 4] = [KeyKind::Ed25519, KeyKind::P256, KeyKind::SkEd25519, KeyKind::SkP256];

    /// The name in key lines, key blobs and signatures.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ssh-ed25519",
            KeyKind::P256 => "ecdsa-sha2-nistp256",
            KeyKind::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            KeyKind::SkP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// Finds a kind by name; other kinds are told apart so that the refusal can name them.
    pub fn named(name: &str) -> Result<KeyKind, KeyError> {
        if let Some(kind) = KeyKind::ALL.into_iter().find(|k| k.as_str() == name) {
            return Ok(kind);
        }
        let shown = shown(name).to_string();
        if name.contains("-cert-v0") {
            Err(KeyError::Certificate(shown))
        } else if name == "ssh-rsa" || name.starts_with("rsa-sha2-") {
            Err(KeyError::Rsa(shown))
        } else {
            Err(KeyError::UnknownKind(shown))
        }
    }
}

/// A public key that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// RSA is not accepted from anyone.
    #[error("RSA keys are not accepted ({0})")]
    Rsa(String),
    /// Certificates are not accepted: authority would lie outside the trust file.
    #[error("certificates are not accepted ({0})")]
    Certificate(String),
    /// Any other kind.
    #[error("keys of the kind {0:?} are not accepted")]
    UnknownKind(String),
    /// The blob is of another kind than the word before it says.
    #[error("it says {said} and contains {found}")]
    KindMismatch {
        /// The word before the blob.
        said: &'static str,
        /// The kind inside the blob.
        found: &'static str,
    },
    /// Not a key at all, or a damaged one.
    #[error("not a public key: {0}")]
    Malformed(&'static str),
    /// A point that is not on the curve, or of small order (anybody could sign for it).
    #[error("the key is not a safe point of its curve")]
    Point,
}

impl From<Truncated> for KeyError {
    fn from(_: Truncated) -> KeyError {
        KeyError::Malformed("it ends in the middle of a field")
    }
}

/// A public key. Compared and ordered by its key material only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    pub(super) material: Material,
    /// Application of a token key: part of what it signs.
    application: Vec<u8>,
    token: bool,
}

/// The point, by curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Material {
    Ed25519([u8; 32]),
    /// Uncompressed SEC 1 point.
    P256([u8; 65]),
}

impl PublicKey {
    /// An Ed25519 key.
    pub fn ed25519(point: [u8; 32]) -> PublicKey {
        PublicKey { material: Material::Ed25519(point), application: Vec::new(), token: false }
    }

    /// An ECDSA P-256 key from its uncompressed point.
    pub fn p256(point: [u8; 65]) -> PublicKey {
        PublicKey { material: Material::P256(point), application: Vec::new(), token: false }
    }

    /// Reads a key blob. No arithmetic is done: see [`PublicKey::check`].
    pub fn from_blob(blob: &[u8]) -> Result<PublicKey, KeyError> {
        let mut reader = Reader::new(blob);
        let name = std::str::from_utf8(reader.string()?).map_err(|_| KeyError::Malformed("its kind is not text"))?;
        let kind = KeyKind::named(name)?;
        let material = match kind {
            KeyKind::Ed25519 | KeyKind::SkEd25519 => Material::Ed25519(fixed(reader.string()?)?),
            KeyKind::P256 | KeyKind::SkP256 => {
                if reader.string()? != b"nistp256" {
                    return Err(KeyError::Malformed("the curve is not nistp256"));
                }
                Material::P256(fixed(reader.string()?)?)
            }
        };
        if matches!(material, Material::P256([tag, ..]) if tag != 4) {
            return Err(KeyError::Malformed("the point is not in uncompressed form"));
        }
        let token = matches!(kind, KeyKind::SkEd25519 | KeyKind::SkP256);
        let application = if token { reader.string()?.to_vec() } else { Vec::new() };
        if application.len() > APPLICATION_BYTES || application.contains(&0) {
            return Err(KeyError::Malformed("its application string is too long or contains a zero byte"));
        }
        if !reader.is_empty() {
            return Err(KeyError::Malformed("something follows the key"));
        }
        Ok(PublicKey { material, application, token })
    }

    /// Reads a line `kind base64 [comment]` as in `.pub` files; gives the key and the comment (may be empty).
    /// Text before the kind (options) is refused.
    pub fn from_line(line: &str) -> Result<(PublicKey, String), KeyError> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(KeyError::Malformed("the line contains control characters"));
        }
        let (kind, rest) = word(line);
        let (base64, comment) = word(rest);
        if kind.is_empty() || base64.is_empty() {
            return Err(KeyError::Malformed("expected: KIND BASE64 [COMMENT]"));
        }
        Ok((PublicKey::from_words(kind, base64)?, comment.trim().to_owned()))
    }

    /// True when `text` looks like a key line of any kind, accepted or not, rather than like a name or a path.
    pub fn is_line(text: &str) -> bool {
        let (kind, rest) = word(text);
        let kinds = ["ssh-", "ecdsa-sha2-", "rsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
        kinds.iter().any(|start| kind.starts_with(start)) && !rest.trim().is_empty()
    }

    /// Reads the two words of a key line.
    pub(super) fn from_words(kind: &str, base64: &str) -> Result<PublicKey, KeyError> {
        let kind = KeyKind::named(kind)?;
        if base64.len() as u64 > limits::SIGNATURE_BYTES {
            return Err(KeyError::Malformed("it is too long"));
        }
        let blob = STANDARD.decode(base64).map_err(|_| KeyError::Malformed("the second word is not base64"))?;
        let key = PublicKey::from_blob(&blob)?;
        if key.kind() != kind {
            return Err(KeyError::KindMismatch { said: kind.as_str(), found: key.kind().as_str() });
        }
        Ok(key)
    }

    /// The arithmetic part of accepting a key: on the curve, and for Ed25519 not of small order.
    pub fn check(&self) -> Result<(), KeyError> {
        let safe = match &self.material {
            Material::Ed25519(point) => ed25519_dalek::VerifyingKey::from_bytes(point).is_ok_and(|key| !key.is_weak()),
            Material::P256(point) => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok(),
        };
        if safe { Ok(()) } else { Err(KeyError::Point) }
    }

    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        match (&self.material, self.token) {
            (Material::Ed25519(_), false) => KeyKind::Ed25519,
            (Material::P256(_), false) => KeyKind::P256,
            (Material::Ed25519(_), true) => KeyKind::SkEd25519,
            (Material::P256(_), true) => KeyKind::SkP256,
        }
    }

    /// The application string of a token key; empty for others.
    pub(super) fn application(&self) -> &[u8] {
        &self.application
    }

    /// The wire form: what is hashed for the fingerprint.
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::with_capacity(128);
        put_string(&mut blob, self.kind().as_str().as_bytes());
        match &self.material {
            Material::Ed25519(point) => put_string(&mut blob, point),
            Material::P256(point) => {
                put_string(&mut blob, b"nistp256");
                put_string(&mut blob, point);
            }
        }
        if self.token {
            put_string(&mut blob, &self.application);
        }
        blob
    }

    /// `kind base64`, the line of a `.pub` file without comment and line end.
    pub fn to_line(&self) -> String {
        format!("{} {}", self.kind().as_str(), STANDARD.encode(self.to_blob()))
    }

    /// The fingerprint as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Digest::sha256(&self.to_blob());
        let mut hash = [0; 32];
        hash.iter_mut().zip(digest.bytes()).for_each(|(to, from)| *to = *from);
        Fingerprint(hash)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind().as_str(), self.fingerprint())
    }
}

/// First word of a line and what follows it; words are separated by spaces and tabs.
pub(super) fn word(line: &str) -> (&str, &str) {
    let line = line.trim_start_matches([' ', '\t']);
    line.split_once([' ', '\t']).unwrap_or((line, ""))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], KeyError> {
    bytes.try_into().map_err(|_| KeyError::Malformed("the point has the wrong length"))
}

/// SHA-256 of a key blob, written `SHA256:` and unpadded base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    /// Reads `SHA256:...` exactly as it is printed.
    fn from_str(text: &str) -> Result<Fingerprint, KeyError> {
        let bad = || KeyError::Malformed("a fingerprint is SHA256: and 43 characters of base64");
        let base64 = text.strip_prefix("SHA256:").filter(|rest| rest.len() == 43).ok_or_else(bad)?;
        let hash = STANDARD_NO_PAD.decode(base64).map_err(|_| bad())?;
        Ok(Fingerprint(hash.try_into().map_err(|_| bad())?))
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_blobs_are_one_value() {
        let key = PublicKey::ed25519([9; 32]);
        let (again, comment) = PublicKey::from_line(&format!("{}  alice at work \n", key.to_line())).unwrap();
        assert_eq!((again, comment.as_str()), (key.clone(), "alice at work"));
        assert_eq!(key.fingerprint().to_string().parse::<Fingerprint>().unwrap(), key.fingerprint());
        assert_eq!(PublicKey::from_blob(&key.to_blob()).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_refused_by_name() {
        let line = PublicKey::ed25519([9; 32]).to_line();
        let base64 = line.split(' ').next_back().unwrap();
        assert!(matches!(PublicKey::from_line("ssh-rsa AAAA"), Err(KeyError::Rsa(_))));
        assert!(matches!(PublicKey::from_line("ssh-ed25519-cert-v01@openssh.com AAAA"), Err(KeyError::Certificate(_))));
        assert!(matches!(PublicKey::from_line("ecdsa-sha2-nistp384 AAAA"), Err(KeyError::UnknownKind(_))));
        assert!(matches!(PublicKey::from_line(&format!("ecdsa-sha2-nistp256 {base64}")), Err(KeyError::KindMismatch { .. })));
        for bad in ["", "ssh-ed25519", "ssh-ed25519 !!!!", "ssh-ed25519 AAAA", "ssh-ed25519\r AAAA"] {
            assert!(PublicKey::from_line(bad).is_err(), "{bad:?}");
        }
        let mut blob = PublicKey::ed25519([9; 32]).to_blob();
        blob.push(0);
        assert!(PublicKey::from_blob(&blob).is_err());
    }

    #[test]
    fn points_anybody_could_sign_for_are_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::ed25519(neutral).check(), Err(KeyError::Point));
        let mut off_curve = [0; 65];
        off_curve[0] = 4;
        assert_eq!(PublicKey::p256(off_curve).check(), Err(KeyError::Point));
    }
}
