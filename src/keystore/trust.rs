//! The folder of trust files: read whole and strictly, rewritten whole and read again.

use super::error::KeystoreError;
use super::keys::check_owner;
use crate::fs::{Dir, FsError, Trouble, read_user_file};
use crate::sign::{
    AllowedSigners, Fingerprint, LineProblem, Namespace, PatternList, Policy, PublicKey, RevokedKeys, Trust, TrustFileError, TrustLine,
    is_about_streams,
};
use crate::text::shell_word;
use std::fmt;
use std::path::{Path, PathBuf};

const ALLOWED: &str = "allowed_signers";
const REVOKED: &str = "revoked_keys";
const POLICY: &str = "policy";
/// Held while one of them is rewritten.
const LOCK: &str = ".lock";

/// `CONFIG/trust`. What is not there trusts nobody, revokes nothing and asks for nothing more.
#[derive(Clone, Debug)]
pub struct TrustFolder {
    path: PathBuf,
}

/// Lines to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All lines of one key.
    Key(Fingerprint),
    /// One line by its number.
    Line(usize),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Key(fingerprint) => write!(f, "{fingerprint}"),
            Which::Line(number) => write!(f, "number {number}"),
        }
    }
}

impl TrustFolder {
    /// The folder at `path`; it need not exist.
    pub fn new(path: &Path) -> TrustFolder {
        TrustFolder { path: path.to_owned() }
    }

    /// The trust file: what `ssh-keygen -Y verify -f` is given.
    pub fn allowed_signers(&self) -> PathBuf {
        self.path.join(ALLOWED)
    }

    /// The list of revoked keys: what `ssh-keygen -Y verify -r` is given.
    pub fn revoked_keys(&self) -> PathBuf {
        self.path.join(REVOKED)
    }

    /// The policy file.
    pub fn policy(&self) -> PathBuf {
        self.path.join(POLICY)
    }

    /// Reads all three files; one that is refused refuses everything.
    pub fn load(&self) -> Result<Trust, KeystoreError> {
        let allowed = self.parse(ALLOWED, &self.read(ALLOWED)?, AllowedSigners::parse)?;
        let revoked = self.parse(REVOKED, &self.read(REVOKED)?, RevokedKeys::parse)?;
        let policy = self.parse(POLICY, &self.read(POLICY)?, Policy::parse)?;
        Ok(Trust::new(allowed, revoked, policy))
    }

    /// The lines of the trust file.
    pub fn list(&self) -> Result<Vec<TrustLine>, KeystoreError> {
        Ok(self.load()?.lines().to_vec())
    }

    /// Trusts `key` for `principals` (`stream:ocp4,stream:tools-*`) in every namespace of this program. `owner` is whose
    /// key it is: keys of one owner count once towards a threshold. Gives the new line.
    pub fn add(&self, principals: &str, key: &PublicKey, owner: &str) -> Result<TrustLine, KeystoreError> {
        let list = PatternList::parse(principals).ok().filter(is_about_streams);
        let list = list.ok_or_else(|| KeystoreError::BadPrincipals { text: principals.to_owned() })?;
        check_owner(owner)?;
        key.check().map_err(|source| KeystoreError::PublicKey { text: key.to_line(), source })?;
        let (dir, _lock) = self.edit()?;
        let trust = self.load()?;
        self.check_new(&trust, &list, key, owner)?;
        let namespaces = Namespace::ALL.map(Namespace::as_str).join(",");
        let line = format!("{list} namespaces=\"{namespaces}\" {} {owner}", key.to_line());
        let allowed = self.append(&dir, ALLOWED, line.trim_end(), AllowedSigners::parse)?;
        let added = allowed.lines().last().filter(|line| line.key == *key).cloned();
        added.ok_or_else(|| KeystoreError::NotTrusted { what: key.fingerprint().to_string() })
    }

    fn check_new(&self, trust: &Trust, principals: &PatternList, key: &PublicKey, owner: &str) -> Result<(), KeystoreError> {
        let fingerprint = key.fingerprint();
        if trust.revoked().contains(key) {
            return Err(KeystoreError::Revoked { key: fingerprint });
        }
        for line in trust.lines().iter().filter(|line| line.key == *key) {
            if line.owner != owner {
                return Err(KeystoreError::OtherOwner { key: fingerprint, owner: line.owner.clone(), line: line.number });
            }
            let all = Namespace::ALL.iter().all(|n| line.namespaces.iter().any(|have| have == n.as_str()));
            if line.principals == *principals && all && line.valid_after.is_none() && line.valid_before.is_none() {
                return Err(KeystoreError::AlreadyTrusted { key: fingerprint, principals: principals.to_string(), line: line.number });
            }
        }
        Ok(())
    }

    /// Removes lines; comments and all other lines stay as they are. Gives what was removed.
    pub fn remove(&self, which: Which) -> Result<Vec<TrustLine>, KeystoreError> {
        let (dir, _lock) = self.edit()?;
        let is_meant = |line: &TrustLine| match which {
            Which::Key(fingerprint) => line.key.fingerprint() == fingerprint,
            Which::Line(number) => line.number == number,
        };
        let gone: Vec<TrustLine> = self.list()?.into_iter().filter(is_meant).collect();
        if gone.is_empty() {
            return Err(KeystoreError::NotTrusted { what: which.to_string() });
        }
        let text = self.read(ALLOWED)?;
        let kept = text.split_inclusive(|b| *b == b'\n').enumerate();
        let kept = kept.filter(|(i, _)| !gone.iter().any(|line| line.number == i + 1));
        let text: Vec<u8> = kept.flat_map(|(_, line)| line.iter().copied()).collect();
        self.replace(&dir, ALLOWED, &text, AllowedSigners::parse)?;
        Ok(gone)
    }

    /// Revokes a key for good: it counts for nothing any more, whatever the trust file says. `note` is its comment.
    /// No error when it is revoked already.
    pub fn revoke(&self, key: &PublicKey, note: &str) -> Result<(), KeystoreError> {
        check_owner(note)?;
        let (dir, _lock) = self.edit()?;
        if self.load()?.revoked().contains(key) {
            return Ok(());
        }
        self.append(&dir, REVOKED, format!("{} {note}", key.to_line()).trim_end(), RevokedKeys::parse)?;
        Ok(())
    }

    /// Demands signatures of `number` owners (1 to 16) for one stream, in place of what was demanded for exactly that stream.
    /// Statements about patterns stay; where several match, the highest counts.
    pub fn set_min_signatures(&self, stream: &str, number: usize) -> Result<(), KeystoreError> {
        let principal = format!("stream:{stream}");
        let same = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            words.next() == Some("min-signatures") && words.next() == Some(principal.as_str())
        };
        self.set_policy(same, Some(&format!("min-signatures {principal} {number}")))
    }

    /// Says what this site is called, in place of all it was called before; `None` takes its name away.
    pub fn set_audience(&self, label: Option<&str>) -> Result<(), KeystoreError> {
        let same = |line: &str| line.split_ascii_whitespace().next() == Some("audience");
        self.set_policy(same, label.map(|label| format!("audience {label}")).as_deref())
    }

    /// Puts `statement` in the place of the statements that are `replaced`; comments and all others stay.
    fn set_policy(&self, replaced: impl Fn(&str) -> bool, statement: Option<&str>) -> Result<(), KeystoreError> {
        let statement = statement.unwrap_or_default();
        // A line break would smuggle in a second statement.
        if statement.contains('\n') {
            return Err(KeystoreError::Policy { source: TrustFileError { line: 1, why: LineProblem::NotText } });
        }
        Policy::parse(statement.as_bytes()).map_err(|source| KeystoreError::Policy { source })?;
        let (dir, _lock) = self.edit()?;
        self.load()?;
        let text = self.read(POLICY)?;
        // It was parsed: it is text.
        let text = String::from_utf8_lossy(&text).into_owned();
        let kept = text.lines().filter(|line| !replaced(line)).chain((!statement.is_empty()).then_some(statement));
        let text: String = kept.flat_map(|line| [line, "\n"]).collect();
        self.replace(&dir, POLICY, text.as_bytes(), Policy::parse)?;
        Ok(())
    }

    fn edit(&self) -> Result<(Dir, crate::fs::Lock), KeystoreError> {
        let dir = Dir::create_private(&self.path)?;
        let lock = dir.lock(LOCK)?;
        Ok((dir, lock))
    }

    /// The file is the user's own: it may be a link. Empty where there is none.
    fn read(&self, name: &str) -> Result<Vec<u8>, FsError> {
        match read_user_file(&self.path.join(name)) {
            Err(e) if e.trouble() == Trouble::Absent => Ok(Vec::new()),
            other => other,
        }
    }

    fn parse<T>(&self, name: &str, bytes: &[u8], parse: fn(&[u8]) -> Result<T, TrustFileError>) -> Result<T, KeystoreError> {
        parse(bytes).map_err(|source| KeystoreError::TrustFile { path: self.path.join(name), source })
    }

    fn append<T>(&self, dir: &Dir, name: &str, line: &str, parse: fn(&[u8]) -> Result<T, TrustFileError>) -> Result<T, KeystoreError> {
        let mut text = self.read(name)?;
        if text.last().is_some_and(|b| *b != b'\n') {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        self.replace(dir, name, &text, parse)
    }

    /// Parsed before it is published, and again from what the disk says.
    fn replace<T>(&self, dir: &Dir, name: &str, text: &[u8], parse: fn(&[u8]) -> Result<T, TrustFileError>) -> Result<T, KeystoreError> {
        self.parse(name, text, parse)?;
        dir.publish(name, text)?;
        self.parse(name, &self.read(name)?, parse)
    }
}

/// The command a person types on the other side to trust `key`, quoted for a POSIX shell.
pub fn trust_command(principals: &str, key: &PublicKey, owner: &str) -> String {
    let line = format!("{} {owner}", key.to_line());
    format!("sealift trust add {} {}", shell_word(principals), shell_word(line.trim_end()))
}
