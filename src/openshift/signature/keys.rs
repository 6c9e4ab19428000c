//! Where the keys lie that releases are signed with.

use super::KeyError;
use crate::fs::{Dir, File, FsError, is_folder};
use crate::limits::{RELEASE_KEY_BYTES, RELEASE_KEY_FILES};
use crate::openpgp::Keyring;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Fingerprint of "Red Hat, Inc. (release key 2)", which releases of OpenShift are signed with. RHEL carries the key in
/// `/etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release`.
pub const RED_HAT_RELEASE_2: &str = "567E347AD0044ADE55BA8A5F199E2F91FD431D51";

/// Fingerprints of keys that count wherever they are found.
pub const PINNED: &[&str] = &[RED_HAT_RELEASE_2];

/// Reads the keys of these files, and of all files of these folders. `named`: the person named them; all must be there, and
/// all their keys count ([`Keyring::parse`]). Otherwise what is not there or not readable is passed over, and only pinned
/// keys count ([`Keyring::pinned`]).
///
/// # Errors
/// [`KeyError::None`] when no key counts; for named ones also [`KeyError::Fs`] and [`KeyError::File`].
pub fn find_keys(paths: &[PathBuf], named: bool) -> Result<Keyring, KeyError> {
    let mut files = Vec::new();
    for path in paths {
        match contents(path) {
            Ok(found) => files.extend(found),
            Err(error) if named => return Err(error.into()),
            Err(_) => {}
        }
    }
    let keyring = if named { Keyring::parse(&files)? } else { Keyring::pinned(&files, PINNED) };
    if keyring.is_empty() { Err(KeyError::None { looked: paths.to_vec() }) } else { Ok(keyring) }
}

/// The files at a path: itself, or the regular files of the folder.
fn contents(path: &Path) -> Result<Vec<(String, Vec<u8>)>, FsError> {
    if !is_folder(path)? {
        return Ok(vec![file(path)?]);
    }
    let entries = Dir::open(path)?.list()?;
    // In these folders a name is often a link to a file beside it. Folders below and what nobody may read are no keys.
    Ok(entries.into_iter().take(RELEASE_KEY_FILES).filter_map(|entry| file(&path.join(&entry.name)).ok()).collect())
}

fn file(path: &Path) -> Result<(String, Vec<u8>), FsError> {
    let file = File::open_path(path)?;
    let mut bytes = Vec::new();
    file.take(RELEASE_KEY_BYTES + 1).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", path))?;
    if bytes.len() as u64 > RELEASE_KEY_BYTES {
        let why = format!("it is larger than the {RELEASE_KEY_BYTES} bytes allowed for keys");
        return Err(FsError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    Ok((path.to_string_lossy().into_owned(), bytes))
}
