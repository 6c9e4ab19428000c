//! Who may do what: users of an htpasswd file (bcrypt only), and what everybody may.

use super::error::Error;
use crate::fs::{File, Stamp};
use crate::limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::Digest as _;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a password that was right needs no bcrypt.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How many of them.
const REMEMBERED_MOST: usize = 256;
/// A cost that a planted line could use to keep a core busy for minutes.
const COST_MAX: u32 = 14;
/// What the password of an unknown user is compared with, so that the answer takes as long.
const NOBODY: &str = "$2y$10$abcdefghijklmnopqrstuuLj4cKq1tTn0Xb1m4wWm7pVxGmY1o9bS";

/// What is allowed without a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anonymous {
    /// Nothing.
    #[default]
    Nothing,
    /// Reading.
    Pull,
    /// Reading and writing.
    Push,
}

/// The rule of a registry.
pub struct Access {
    anonymous: Anonymous,
    users: Option<Users>,
}

/// What a request may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on, as this user; `-` for nobody.
    Allowed(String),
    /// Who are you?
    Challenge,
    /// Wrong password.
    Refused,
    /// Not allowed, and there are no users who could be.
    Denied,
    /// Only bcrypt can tell.
    Ask,
}

struct Users {
    path: PathBuf,
    salt: [u8; 16],
    known: Mutex<Known>,
}

struct Known {
    stamp: Stamp,
    hashes: Arc<HashMap<String, String>>,
    /// Salted hashes of credentials that were right, with their user.
    recent: Vec<([u8; 32], Instant, String)>,
}

impl Access {
    /// Everybody may do what `anonymous` says, the users of the htpasswd file at `users` everything.
    ///
    /// # Errors
    /// A file that cannot be read, or has a line that is not bcrypt.
    pub fn new(anonymous: Anonymous, users: Option<&Path>) -> Result<Access, Error> {
        let users = users.map(Users::open).transpose()?;
        Ok(Access { anonymous, users })
    }

    /// Whether anybody may push: a user, or everybody.
    pub fn takes_pushes(&self) -> bool {
        self.users.is_some() || self.anonymous == Anonymous::Push
    }

    /// Whether it may be listened so: what other hosts reach needs users, or the word that everybody may.
    ///
    /// # Errors
    /// An address that other hosts reach, and nothing decided.
    pub fn suits(&self, listen: SocketAddr) -> Result<(), Error> {
        let decided = self.users.is_some() || self.anonymous != Anonymous::Nothing;
        if decided || listen.ip().is_loopback() { Ok(()) } else { Err(Error::Unprotected(listen)) }
    }

    /// True where passwords come over the wire.
    pub(super) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// Judges without bcrypt, where that is possible.
    pub(super) fn judge(&self, authorization: Option<&str>, writes: bool, ping: bool) -> Verdict {
        let Some(users) = &self.users else {
            // Where nothing was decided, the loopback alone is listened at. Other programs there, a proxy among them, must not write.
            let open = !writes || self.takes_pushes();
            return if open { Verdict::Allowed("-".into()) } else { Verdict::Denied };
        };
        match authorization.and_then(credentials) {
            // What podman and skopeo send where they have no login.
            Some((user, password)) if !(user.is_empty() && password.is_empty()) => users.remembers(&user, &password),
            None if authorization.is_some() => Verdict::Refused,
            // Podman and skopeo use a login only if the very first answer asks for one.
            _ if ping && self.anonymous < Anonymous::Push && authorization.is_none() => Verdict::Challenge,
            _ => {
                let wanted = if writes { Anonymous::Push } else { Anonymous::Pull };
                if self.anonymous >= wanted { Verdict::Allowed("-".into()) } else { Verdict::Challenge }
            }
        }
    }

    /// Judges with bcrypt: a tenth of a second of work, for a thread.
    pub(super) fn judge_slowly(&self, authorization: &str) -> Verdict {
        match (&self.users, credentials(authorization)) {
            (Some(users), Some((user, password))) => users.compare(&user, &password),
            _ => Verdict::Refused,
        }
    }

    /// Reads the users again if the file changed. A file that cannot be used changes nothing, and is told.
    pub(super) fn refresh(&self) -> Result<(), Error> {
        self.users.as_ref().map_or(Ok(()), Users::refresh)
    }
}

/// User and password of a Basic login (RFC 7617).
fn credentials(authorization: &str) -> Option<(String, Zeroizing<String>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = Zeroizing::new(BASE64.decode(encoded.trim()).ok()?);
    let text = std::str::from_utf8(&plain).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Zeroizing::new(password.to_owned())))
}

impl Users {
    fn open(path: &Path) -> Result<Users, Error> {
        let (stamp, hashes) = read(path)?;
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|e| Error::Making { what: "a salt", why: e.to_string() })?;
        let known = Known { stamp, hashes: Arc::new(hashes), recent: Vec::new() };
        Ok(Users { path: path.to_owned(), salt, known: Mutex::new(known) })
    }

    fn refresh(&self) -> Result<(), Error> {
        let stamp = File::open_path(&self.path)?.stamp()?;
        if self.known().stamp == stamp {
            return Ok(());
        }
        let (stamp, hashes) = read(&self.path)?;
        // A password that is right no more is forgotten with the file that had it.
        *self.known() = Known { stamp, hashes: Arc::new(hashes), recent: Vec::new() };
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let mut hasher = sha2::Sha256::new();
        hasher.update(self.salt);
        hasher.update((user.len() as u64).to_le_bytes());
        hasher.update(user);
        hasher.update(password);
        hasher.finalize().into()
    }

    fn remembers(&self, user: &str, password: &str) -> Verdict {
        let digest = self.digest(user, password);
        let mut known = self.known();
        known.recent.retain(|(_, since, _)| since.elapsed() < REMEMBERED);
        // All of them are looked at whole: how long it takes says nothing.
        let mut found = false;
        for (right, ..) in &known.recent {
            found |= right.iter().zip(&digest).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0;
        }
        if found { Verdict::Allowed(user.to_owned()) } else { Verdict::Ask }
    }

    fn compare(&self, user: &str, password: &str) -> Verdict {
        let hashes = self.known().hashes.clone();
        let right = bcrypt::verify(password, hashes.get(user).map_or(NOBODY, String::as_str)).unwrap_or(false);
        if !right || !hashes.contains_key(user) {
            return Verdict::Refused;
        }
        let digest = self.digest(user, password);
        let mut known = self.known();
        if Arc::ptr_eq(&known.hashes, &hashes) {
            if known.recent.len() >= REMEMBERED_MOST {
                known.recent.remove(0);
            }
            known.recent.push((digest, Instant::now(), user.to_owned()));
        }
        Verdict::Allowed(user.to_owned())
    }
}

fn read(path: &Path) -> Result<(Stamp, HashMap<String, String>), Error> {
    let file = File::open_path(path)?;
    let stamp = file.stamp()?;
    // A line that is no text is no user: it is named below.
    let bytes = file.read_whole(limits::CONFIG_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut hashes = HashMap::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        let bad = |why| Error::Users { path: path.to_owned(), line: number + 1, why };
        let (user, hash) = line.trim_end().split_once(':').ok_or_else(|| bad("it is not USER:HASH"))?;
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| bad("the password is not hashed with bcrypt (htpasswd -B)"))?;
        if parts.get_cost() > COST_MAX {
            return Err(bad("the cost of its bcrypt hash is larger than 14"));
        }
        if user.is_empty() {
            return Err(bad("the user has no name"));
        }
        hashes.insert(user.to_owned(), hash.to_owned());
    }
    Ok((stamp, hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    fn file(users: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), users);
        file
    }

    fn write(path: &Path, users: &[(&str, &str)]) {
        let text: String = users.iter().map(|(user, password)| format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())).collect();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn users_log_in_and_others_do_not() {
        let file = file(&[("alice", "secret")]);
        let access = Access::new(Anonymous::Nothing, Some(file.path())).unwrap();
        assert_eq!(access.judge(None, false, false), Verdict::Challenge);
        let (right, wrong) = (basic("alice:secret"), basic("alice:Secret"));
        assert_eq!(access.judge(Some(&right), true, false), Verdict::Ask);
        assert_eq!(access.judge_slowly(&wrong), Verdict::Refused);
        assert_eq!(access.judge_slowly(&basic("bob:secret")), Verdict::Refused);
        assert_eq!(access.judge_slowly(&right), Verdict::Allowed("alice".into()));
        assert_eq!(access.judge(Some(&right), true, false), Verdict::Allowed("alice".into()));
        assert_eq!(access.judge(Some(&wrong), true, false), Verdict::Ask);
        assert_eq!(access.judge(Some("Bearer x"), true, false), Verdict::Refused);
    }

    #[test]
    fn a_changed_file_forgets_what_was_right() {
        let file = file(&[("alice", "old-password")]);
        let access = Access::new(Anonymous::Nothing, Some(file.path())).unwrap();
        let old = basic("alice:old-password");
        assert_eq!(access.judge_slowly(&old), Verdict::Allowed("alice".into()));
        write(file.path(), &[("alice", "new"), ("carol", "x")]);
        access.refresh().unwrap();
        assert_eq!(access.judge(Some(&old), false, false), Verdict::Ask);
        assert_eq!(access.judge_slowly(&old), Verdict::Refused);
        std::fs::write(file.path(), "alice:$apr1$abc$def\n").unwrap();
        assert!(matches!(access.refresh(), Err(Error::Users { line: 1, .. })));
        assert_eq!(access.judge_slowly(&basic("alice:new")), Verdict::Allowed("alice".into()));
    }

    #[test]
    fn what_everybody_may() {
        let file = file(&[("a", "b")]);
        let pull = Access::new(Anonymous::Pull, Some(file.path())).unwrap();
        assert_eq!(pull.judge(None, false, false), Verdict::Allowed("-".into()));
        assert_eq!(pull.judge(Some(&basic(":")), false, true), Verdict::Allowed("-".into()));
        assert_eq!(pull.judge(None, false, true), Verdict::Challenge);
        assert_eq!(pull.judge(None, true, false), Verdict::Challenge);
        let open = Access::new(Anonymous::Pull, None).unwrap();
        assert_eq!(open.judge(None, false, true), Verdict::Allowed("-".into()));
        assert_eq!(open.judge(None, true, false), Verdict::Denied);
        let undecided = Access::new(Anonymous::Nothing, None).unwrap();
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(
            !undecided.takes_pushes() && undecided.suits(address("127.0.0.1:1")).is_ok() && undecided.suits(address("[::1]:1")).is_ok()
        );
        assert!(matches!(undecided.suits(address("0.0.0.0:1")), Err(Error::Unprotected(_))));
        assert!(pull.suits(address("0.0.0.0:1")).is_ok() && open.suits(address("0.0.0.0:1")).is_ok());
        assert_eq!(undecided.judge(None, false, true), Verdict::Allowed("-".into()));
        assert_eq!(undecided.judge(None, true, false), Verdict::Denied);
    }

    /// Cut off at the limit, the users behind it would be gone without a word.
    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let file = file(&[("alice", "secret")]);
        let line = std::fs::read_to_string(file.path()).unwrap();
        std::fs::write(file.path(), line.repeat(usize::try_from(limits::CONFIG_BYTES).unwrap() / line.len() + 1)).unwrap();
        assert!(matches!(Access::new(Anonymous::Nothing, Some(file.path())), Err(Error::Fs(_))));
    }

    #[test]
    fn a_hash_that_computes_for_minutes_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), NOBODY.replace("$10$", "$31$").as_str()).unwrap();
        assert!(matches!(Access::new(Anonymous::Nothing, Some(file.path())), Err(Error::Users { .. })));
        std::fs::write(file.path(), format!("a:{}", NOBODY.replace("$10$", "$31$"))).unwrap();
        assert!(matches!(Access::new(Anonymous::Nothing, Some(file.path())), Err(Error::Users { line: 1, .. })));
        assert_eq!(NOBODY.parse::<bcrypt::HashParts>().unwrap().get_cost(), 10);
        // One that cannot be computed would be answered at once, and so tell who is a user.
        assert!(!bcrypt::verify("x", NOBODY).unwrap());
    }
}
