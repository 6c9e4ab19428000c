//! One store of signatures: `STORE/FOLDER/signature-N`, N from 1 on without a gap, by address or on this machine.

use crate::fs::{Dir, FsError, Trouble};
use crate::text::{bare_address, shown, unescaped};
use crate::web::{Get, Web, WebError};
use std::fmt;
use std::path::PathBuf;

/// A store. Its debug output is [`Store::name`]: an address may hold a login.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Store {
    /// `http://` or `https://`; a query (of a store with signed addresses) stays behind the path.
    Address(String),
    /// A folder of this machine.
    Folder(PathBuf),
}

/// A store that could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreFailure {
    /// By address.
    #[error(transparent)]
    Web(#[from] WebError),
    /// A folder.
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// One entry of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// N.
    pub number: u32,
    /// Where it lies, as it may be shown.
    pub place: String,
    /// Its bytes; `None` when it is longer than allowed.
    pub bytes: Option<Vec<u8>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.name())
    }
}

impl Store {
    /// Reads an address, a `file://` address, or a path. A `file://` address is escaped like any other (RFC 3986, section 2.1); one
    /// whose escapes are broken is taken for a path, which is then not absolute.
    pub fn parse(text: &str) -> Store {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let folder = text.strip_prefix("file://").and_then(unescaped).filter(|folder| !folder.contains('\0'));
        match (folder, scheme.as_deref()) {
            (Some(folder), _) => Store::Folder(folder.into()),
            (None, Some("http" | "https")) => Store::Address(text.to_owned()),
            (None, _) => Store::Folder(text.into()),
        }
    }

    /// As it may be shown: without login and query.
    pub fn name(&self) -> String {
        match self {
            Store::Address(address) => bare(address),
            Store::Folder(path) => shown(&path.to_string_lossy()).to_string(),
        }
    }

    /// The entries below `folder` (plain names, joined by `/`), at most `most` of at most `limit` bytes each. `None` where a store on
    /// this machine has no such folder; a store that is not there itself is a failure.
    ///
    /// # Errors
    /// [`StoreFailure`]; what was found before is lost with it, but for what `take` has got.
    pub fn each(
        &self,
        folder: &str,
        (most, limit): (u32, u64),
        web: &dyn Web,
        take: &mut dyn FnMut(Entry),
    ) -> Result<Option<()>, StoreFailure> {
        match self {
            Store::Address(address) => each_of_address(address, folder, (most, limit), web, take).map(Some),
            Store::Folder(path) => {
                let base = Dir::open(path)?;
                let dir = match Dir::open(&base.join(folder)) {
                    Ok(dir) => dir,
                    Err(e) if e.trouble() == Trouble::Absent => return Ok(None),
                    Err(e) => return Err(e.into()),
                };
                for number in 1..=most {
                    match entry(&dir, &format!("signature-{number}"), number, limit)? {
                        Some(entry) => take(entry),
                        None => break,
                    }
                }
                Ok(Some(()))
            }
        }
    }
}

/// A file of a folder as an entry; `None` where it is not there.
///
/// # Errors
/// As files fail.
pub fn entry(dir: &Dir, name: &str, number: u32, limit: u64) -> Result<Option<Entry>, FsError> {
    let place = shown(&dir.join(name).to_string_lossy()).to_string();
    Ok(match dir.size_of(name)? {
        None => None,
        Some(size) if size > limit => Some(Entry { number, place, bytes: None }),
        Some(_) => Some(Entry { number, place, bytes: Some(dir.read(name, limit)?) }),
    })
}

fn each_of_address(
    address: &str,
    folder: &str,
    (most, limit): (u32, u64),
    web: &dyn Web,
    take: &mut dyn FnMut(Entry),
) -> Result<(), StoreFailure> {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let (base, query) = address.split_at_checked(end).unwrap_or((address, ""));
    let name = bare(address);
    let mut login = false;
    for number in 1..=most {
        let url = format!("{}/{folder}/signature-{number}{query}", base.trim_end_matches('/'));
        let ask = |login| web.get(&Get { url: &url, accept: "", limit, login });
        // Most stores are open to everybody, some on the host of a registry whose login is none of theirs: it is for those that ask.
        let answer = match ask(login) {
            Err(WebError::Refused { status: 401, .. }) if !login => {
                login = true;
                ask(login)
            }
            answer => answer,
        };
        match answer {
            Ok(bytes) => {
                let place = format!("{}/{folder}/signature-{number}", name.trim_end_matches('/'));
                take(Entry { number, place, bytes: Some(bytes) });
            }
            Err(WebError::NotFound(_)) => break,
            Err(WebError::TooLong { url, .. }) => take(Entry { number, place: url, bytes: None }),
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

fn bare(address: &str) -> String {
    shown(&bare_address(address)).to_string()
}
