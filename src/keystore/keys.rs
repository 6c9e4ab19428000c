//! The folder of stored keys, and reading any key file of OpenSSH.

use super::agent::Agent;
use super::error::{KeyFileProblem, KeystoreError};
use super::private_key::{Container, Locked, make};
use crate::fs::{Dir, File, FsError, INCOMPLETE, Trouble};
use crate::limits;
use crate::sign::{Fingerprint, KeyKind, PublicKey, Signer, SoftwareKey};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Held while a key is being made, so that two runs do not make the same one.
const LOCK: &str = ".lock";
/// Longest comment of a key.
const OWNER_BYTES: usize = 256;

/// A key in the folder of stored keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its name.
    pub name: String,
    /// Its public half.
    pub key: PublicKey,
    /// Comment of its `.pub` file; empty where there is none.
    pub comment: String,
    /// True when it is protected by a passphrase.
    pub passphrase: bool,
}

/// Makes an Ed25519 key `NAME` and `NAME.pub` in `dir`; never overwrites. `comment` becomes the owner where the key is
/// trusted. With a passphrase the file is encrypted as ssh-keygen does it (bcrypt-pbkdf, aes256-ctr).
pub fn generate(dir: &Path, name: &str, comment: &str, passphrase: Option<&str>) -> Result<PublicKey, KeystoreError> {
    check_name(name)?;
    check_owner(comment)?;
    let dir = Dir::create_private(dir)?;
    let _lock = dir.lock(LOCK)?;
    let public_name = format!("{name}.pub");
    let entries = dir.list()?;
    if let Some(there) = entries.iter().find(|e| e.name == name || e.name == public_name) {
        return Err(KeystoreError::Exists { path: dir.join(&there.name) });
    }
    let (text, public) = make(comment, passphrase)?;
    // A leftover of a crash could have a mode of its own.
    dir.remove(&format!("{name}{INCOMPLETE}"))?;
    dir.publish_mode(name, text.as_bytes(), 0o600)?;
    dir.publish(&public_name, format!("{} {comment}", public.to_line()).trim_end().as_bytes())?;
    Ok(public)
}

/// All keys in `dir`, sorted by name; files that are no private keys of OpenSSH are passed over. None where there is no folder.
pub fn list(dir: &Path) -> Result<Vec<StoredKey>, KeystoreError> {
    let dir = match Dir::open(dir) {
        Err(e) if e.trouble() == Trouble::Absent => return Ok(Vec::new()),
        other => other?,
    };
    let mut keys = Vec::new();
    for entry in dir.list()?.into_iter().filter(|e| e.regular && check_name(&e.name).is_ok()) {
        let Ok(container) = Container::parse(&read_key(&dir.join(&entry.name))?.0) else { continue };
        let line = dir.read_if_there(&format!("{}.pub", entry.name), limits::KEY_BYTES)?;
        let comment = line.and_then(|l| PublicKey::from_line(std::str::from_utf8(&l).ok()?).ok()).map(|(_, comment)| comment);
        let passphrase = container.is_locked();
        keys.push(StoredKey { name: entry.name, key: container.public, comment: comment.unwrap_or_default(), passphrase });
    }
    Ok(keys)
}

/// Where a key given on a command line lies: with a `/` it is a path, else the name of a key stored in `dir`.
pub fn locate(dir: &Path, key: &str) -> Result<PathBuf, KeystoreError> {
    if key.contains('/') {
        return Ok(PathBuf::from(key));
    }
    check_name(key.strip_suffix(".pub").unwrap_or(key))?;
    Ok(dir.join(key))
}

/// Reads a private key file of OpenSSH (Ed25519 or ECDSA P-256). `passphrase` is asked once, and only when the file
/// needs one; a wrong one is [`KeystoreError::WrongPassphrase`], and the caller may try again.
///
/// A file of this user's that others can read is refused, as ssh does.
pub fn load(path: &Path, passphrase: &mut dyn FnMut() -> io::Result<Zeroizing<String>>) -> Result<SoftwareKey, KeystoreError> {
    let (bytes, exposed) = read_key(path)?;
    let container = Container::parse(&bytes).map_err(|why| key_file(path, why))?;
    if let Some(mode) = exposed {
        return Err(KeystoreError::Exposed { path: path.to_owned(), mode });
    }
    unlock(path, container, passphrase)
}

fn unlock(
    path: &Path,
    container: Container,
    passphrase: &mut dyn FnMut() -> io::Result<Zeroizing<String>>,
) -> Result<SoftwareKey, KeystoreError> {
    let is_token = matches!(container.public.kind(), KeyKind::SkEd25519 | KeyKind::SkP256);
    let word = if container.is_locked() && !is_token {
        passphrase().map_err(|source| KeystoreError::NoPassphrase { path: path.to_owned(), source })?
    } else {
        Zeroizing::new(String::new())
    };
    let locked = container.is_locked();
    container.unlock(&word).map_err(|e| match e {
        Locked::WrongPassphrase if locked => KeystoreError::WrongPassphrase { path: path.to_owned() },
        Locked::WrongPassphrase => key_file(path, KeyFileProblem::Damaged("its two check numbers differ")),
        Locked::Problem(why) => key_file(path, why),
    })
}

/// Whoever signs for a key given on a command line: the name of a key stored in `dir`, a path (with `/`) of a private
/// key file, or for keys in an agent the path of a `.pub` file, of a token's key file, or a fingerprint `SHA256:...`.
/// `agent` is the agent's socket, where there is one.
pub fn open_signer(
    dir: &Path,
    key: &str,
    agent: Option<&Path>,
    passphrase: &mut dyn FnMut() -> io::Result<Zeroizing<String>>,
) -> Result<Box<dyn Signer>, KeystoreError> {
    let in_agent = || agent.map(Agent::new).ok_or_else(|| KeystoreError::NoAgent { key: key.to_owned() });
    if key.starts_with("SHA256:") {
        let fingerprint: Fingerprint = key.parse().map_err(|source| KeystoreError::PublicKey { text: key.to_owned(), source })?;
        return Ok(Box::new(in_agent()?.signer_by_fingerprint(&fingerprint)?));
    }
    let path = locate(dir, key)?;
    let (bytes, exposed) = read_key(&path)?;
    match Container::parse(&bytes) {
        Ok(container) if matches!(container.public.kind(), KeyKind::SkEd25519 | KeyKind::SkP256) => {
            Ok(Box::new(in_agent()?.signer(&container.public)?))
        }
        Ok(container) => match exposed {
            Some(mode) => Err(KeystoreError::Exposed { path, mode }),
            None => Ok(Box::new(unlock(&path, container, passphrase)?)),
        },
        Err(KeyFileProblem::PublicHalf) => Ok(Box::new(in_agent()?.signer(&first_line(&path, &bytes)?.0)?)),
        Err(why) => Err(key_file(&path, why)),
    }
}

/// A public key given on a command line, with its comment: a whole line `KIND BASE64 [COMMENT]`, the path (with `/`) of
/// a public or private key file, `FILE.pub` in the current folder, or the name of a key stored in `dir`. No passphrase
/// is needed.
pub fn public_key(dir: &Path, argument: &str) -> Result<(PublicKey, String), KeystoreError> {
    if PublicKey::is_line(argument) {
        return PublicKey::from_line(argument).map_err(|source| KeystoreError::PublicKey { text: argument.to_owned(), source });
    }
    let path = Path::new(argument);
    if argument.contains('/') {
        return public_key_file(path);
    }
    if argument.ends_with(".pub") {
        match public_key_file(path) {
            Err(KeystoreError::NoSuchKey { .. }) => {}
            found => return found,
        }
    }
    public_key_file(&locate(dir, argument)?)
}

fn public_key_file(path: &Path) -> Result<(PublicKey, String), KeystoreError> {
    let bytes = read_key(path)?.0;
    match Container::parse(&bytes) {
        Ok(container) => {
            // An encrypted file hides its comment; the .pub file beside it has it.
            let beside = PathBuf::from(format!("{}.pub", path.display()));
            let line = read_key(&beside).ok().and_then(|(line, _)| first_line(&beside, &line).ok());
            let comment = line.filter(|(key, _)| *key == container.public).map(|(_, comment)| comment);
            let comment = comment.or_else(|| container.comment()).unwrap_or_default();
            Ok((container.public, comment))
        }
        Err(KeyFileProblem::PublicHalf) => first_line(path, &bytes),
        Err(why) => Err(key_file(path, why)),
    }
}

fn first_line(path: &Path, bytes: &[u8]) -> Result<(PublicKey, String), KeystoreError> {
    let text = std::str::from_utf8(bytes).map_err(|_| key_file(path, KeyFileProblem::NotAKey))?;
    PublicKey::from_line(text.trim()).map_err(|why| key_file(path, why.into()))
}

fn key_file(path: &Path, why: KeyFileProblem) -> KeystoreError {
    KeystoreError::KeyFile { path: path.to_owned(), why }
}

/// The content of a key file, and its mode when others can read it.
fn read_key(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Option<u32>), KeystoreError> {
    let file = match File::open_path(path) {
        Err(e) if e.trouble() == Trouble::Absent => return Err(KeystoreError::NoSuchKey { path: path.to_owned() }),
        other => other?,
    };
    let exposed = file.exposed()?;
    // One allocation of full size: growing would leave copies of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(limits::KEY_BYTES as usize + 1));
    file.take(limits::KEY_BYTES + 1).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", path))?;
    if bytes.len() as u64 > limits::KEY_BYTES {
        return Err(key_file(path, KeyFileProblem::NotAKey));
    }
    Ok((bytes, exposed))
}

/// `[a-z0-9][a-z0-9._-]*`; `.pub` and `.incomplete` at the end mean other files.
fn check_name(name: &str) -> Result<(), KeystoreError> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let letters = name.bytes().next().is_some_and(word) && name.bytes().all(|b| word(b) || matches!(b, b'.' | b'_' | b'-'));
    if letters && crate::text::is_plain_name(name) && name.len() <= 64 && !name.ends_with(".pub") && !name.ends_with(INCOMPLETE) {
        return Ok(());
    }
    Err(KeystoreError::BadName { name: name.to_owned() })
}

/// What may stand behind a key as its comment or owner.
pub(super) fn check_owner(owner: &str) -> Result<(), KeystoreError> {
    if owner.len() > OWNER_BYTES || owner.chars().any(char::is_control) || owner.trim() != owner {
        return Err(KeystoreError::BadOwner);
    }
    Ok(())
}
