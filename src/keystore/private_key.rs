//! OpenSSH private key files (`PROTOCOL.key`): own reader, the crate `ssh-key` for the ciphers and for writing.
//!
//! The reader of the crate refuses about one in 256 P-256 keys (those whose number begins with a zero byte), computes
//! with any number of rounds, and does not tell a wrong passphrase from a damaged file.

use super::error::{KeyFileProblem, KeystoreError};
use crate::limits;
use crate::sign::wire::{Reader, Truncated, mpint};
use crate::sign::{KeyKind, PublicKey, Signer as _, SoftwareKey};
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{Cipher, Kdf, LineEnding};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// Rounds for new keys, as ssh-keygen since 9.4.
const ROUNDS: u32 = 24;

/// Padding fills the last block of the cipher; PuTTYgen always adds one of 16.
const PADDING: usize = 16;

/// A private key file, opened but not unlocked.
pub(super) struct Container {
    /// The public half; it is readable without the passphrase.
    pub(super) public: PublicKey,
    lock: Option<Lock>,
    secret: Zeroizing<Vec<u8>>,
}

struct Lock {
    cipher: Cipher,
    kdf: Kdf,
    tag: Option<[u8; 16]>,
}

/// Why an encrypted or plain secret did not open.
pub(super) enum Locked {
    WrongPassphrase,
    Problem(KeyFileProblem),
}

impl From<KeyFileProblem> for Locked {
    fn from(problem: KeyFileProblem) -> Locked {
        Locked::Problem(problem)
    }
}

impl From<Truncated> for KeyFileProblem {
    fn from(_: Truncated) -> KeyFileProblem {
        KeyFileProblem::Damaged("it ends in the middle of a field")
    }
}

impl From<Truncated> for Locked {
    fn from(error: Truncated) -> Locked {
        Locked::Problem(error.into())
    }
}

impl Container {
    /// Reads the outer structure.
    pub(super) fn parse(file: &[u8]) -> Result<Container, KeyFileProblem> {
        let text = std::str::from_utf8(file).map_err(|_| KeyFileProblem::NotAKey)?;
        let body = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END)).ok_or_else(|| name_format(text))?;
        let base64: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
        let blob = Zeroizing::new(STANDARD.decode(&*base64).map_err(|_| KeyFileProblem::Damaged("its content is not base64"))?);
        let mut reader = Reader::new(&blob);
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(KeyFileProblem::Damaged("it does not begin with openssh-key-v1"));
        }
        let (cipher, kdf, kdf_options) = (reader.string()?, reader.string()?, reader.string()?);
        let lock = read_lock(cipher, kdf, kdf_options)?;
        if reader.u32()? != 1 {
            return Err(KeyFileProblem::Damaged("it does not contain exactly one key"));
        }
        let public = PublicKey::from_blob(reader.string()?)?;
        let secret = Zeroizing::new(reader.string()?.to_vec());
        let lock = match lock {
            Some((cipher, kdf)) => {
                let tag = if cipher.has_tag() { Some(reader.array()?) } else { None };
                Some(Lock { cipher, kdf, tag })
            }
            None => None,
        };
        if !reader.is_empty() {
            return Err(KeyFileProblem::Damaged("something follows the key"));
        }
        Ok(Container { public, lock, secret })
    }

    /// True when a passphrase is needed.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// The comment, where no passphrase hides it.
    pub(super) fn comment(&self) -> Option<String> {
        if self.is_locked() {
            return None;
        }
        read_secret(&self.secret, &self.public).ok().map(|(_, comment)| comment)
    }

    /// Takes out the private key.
    pub(super) fn unlock(self, passphrase: &str) -> Result<SoftwareKey, Locked> {
        if matches!(self.public.kind(), KeyKind::SkEd25519 | KeyKind::SkP256) {
            return Err(KeyFileProblem::Token.into());
        }
        let Some(lock) = self.lock else {
            return Ok(read_secret(&self.secret, &self.public)?.0);
        };
        let mut plain = self.secret;
        let (key, iv) = lock.kdf.derive_key_and_iv(lock.cipher, passphrase).map_err(|_| {
            if passphrase.is_empty() { Locked::WrongPassphrase } else { KeyFileProblem::Damaged("its key derivation").into() }
        })?;
        let block = lock.cipher.block_size();
        if !plain.len().is_multiple_of(block) {
            return Err(KeyFileProblem::Damaged("its length does not fit its cipher").into());
        }
        lock.cipher.decrypt(&key, &iv, &mut plain, lock.tag.map(Into::into)).map_err(|_| Locked::WrongPassphrase)?;
        Ok(read_secret(&plain, &self.public)?.0)
    }
}

fn read_lock(cipher: &[u8], kdf: &[u8], options: &[u8]) -> Result<Option<(Cipher, Kdf)>, KeyFileProblem> {
    let name = |bytes: &[u8]| shown(&String::from_utf8_lossy(bytes)).to_string();
    match (cipher, kdf) {
        (b"none", b"none") if options.is_empty() => Ok(None),
        (cipher, b"bcrypt") => {
            let known = std::str::from_utf8(cipher).ok().and_then(|c| Cipher::new(c).ok()).filter(|c| c.is_some());
            let known = known.ok_or_else(|| KeyFileProblem::Cipher(name(cipher)))?;
            let mut reader = Reader::new(options);
            let (salt, rounds) = (reader.string()?.to_vec(), reader.u32()?);
            if rounds > limits::KDF_ROUNDS {
                return Err(KeyFileProblem::Rounds { found: rounds });
            }
            if !reader.is_empty() || rounds == 0 || salt.is_empty() {
                return Err(KeyFileProblem::Damaged("its key derivation options"));
            }
            Ok(Some((known, Kdf::Bcrypt { salt, rounds })))
        }
        (cipher, kdf) => Err(KeyFileProblem::Cipher(format!("{} and {}", name(cipher), name(kdf)))),
    }
}

/// The decrypted part: two equal random numbers (they show that the passphrase was right), the key, a comment, padding.
fn read_secret(plain: &[u8], public: &PublicKey) -> Result<(SoftwareKey, String), Locked> {
    let mut reader = Reader::new(plain);
    if reader.u32()? != reader.u32()? {
        return Err(Locked::WrongPassphrase);
    }
    if reader.string()? != public.kind().as_str().as_bytes() {
        return Err(KeyFileProblem::Damaged("its private half is of another kind than its public half").into());
    }
    let key = match public.kind() {
        KeyKind::Ed25519 => {
            reader.string()?;
            let pair = reader.string()?;
            let seed = pair.first_chunk::<32>().filter(|_| pair.len() == 64);
            seed.map(SoftwareKey::ed25519)
        }
        KeyKind::P256 => {
            reader.string()?;
            reader.string()?;
            let number = mpint(reader.string()?).map(Zeroizing::new);
            number.and_then(|number| SoftwareKey::p256(&number))
        }
        KeyKind::SkEd25519 | KeyKind::SkP256 => return Err(KeyFileProblem::Token.into()),
    };
    let key = key.filter(|key| key.public_key() == public);
    let key = key.ok_or(KeyFileProblem::Damaged("its private half does not belong to its public half"))?;
    let comment = String::from_utf8_lossy(reader.string()?).into_owned();
    let mut padding = 0usize;
    while let Ok(byte) = reader.u8() {
        padding += 1;
        if padding > PADDING || usize::from(byte) != padding {
            return Err(KeyFileProblem::Damaged("its padding").into());
        }
    }
    Ok((key, comment))
}

/// Names the formats people bring along.
fn name_format(text: &str) -> KeyFileProblem {
    let first = text.trim_start().lines().next().unwrap_or("").trim_end();
    match first {
        "-----BEGIN RSA PRIVATE KEY-----" => KeyFileProblem::OtherFormat("PEM RSA key"),
        "-----BEGIN DSA PRIVATE KEY-----" => KeyFileProblem::OtherFormat("PEM DSA key"),
        "-----BEGIN EC PRIVATE KEY-----" | "-----BEGIN EC PARAMETERS-----" => KeyFileProblem::OtherFormat("PEM EC key"),
        "-----BEGIN PRIVATE KEY-----" => KeyFileProblem::OtherFormat("PKCS#8 key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----" => KeyFileProblem::OtherFormat("encrypted PKCS#8 key"),
        BEGIN => KeyFileProblem::Damaged("its last line is missing"),
        first if first.starts_with("PuTTY-User-Key-File") => KeyFileProblem::OtherFormat("PuTTY key"),
        first if first.starts_with("-----BEGIN PGP") => KeyFileProblem::OtherFormat("PGP key"),
        first if PublicKey::is_line(first) => KeyFileProblem::PublicHalf,
        _ => KeyFileProblem::NotAKey,
    }
}

/// A new Ed25519 key: the text of its file, and its public half.
pub(super) fn make(comment: &str, passphrase: Option<&str>) -> Result<(Zeroizing<String>, PublicKey), KeystoreError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(KeystoreError::Random)?;
    let public = SoftwareKey::ed25519(&seed).public_key().clone();
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    let mut key = ssh_key::PrivateKey::new(pair, comment).map_err(KeystoreError::Encode)?;
    if let Some(passphrase) = passphrase {
        if passphrase.is_empty() {
            return Err(KeystoreError::EmptyPassphrase);
        }
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).map_err(KeystoreError::Random)?;
        let check = getrandom::u32().map_err(KeystoreError::Random)?;
        let kdf = Kdf::Bcrypt { salt, rounds: ROUNDS };
        key = key.encrypt_with(Cipher::Aes256Ctr, kdf, check, passphrase).map_err(KeystoreError::Encode)?;
    }
    Ok((key.to_openssh(LineEnding::LF).map_err(KeystoreError::Encode)?, public))
}
