//! The keys that count.

use super::certificate::{self, Certificate, Signer};
use super::{KeyError, KeyProblem, SignatureError, armor, packets};
use crate::digest::hex;
use crate::fs::{Dir, File, FsError, is_folder};
use crate::limits::{RELEASE_KEY_BYTES, RELEASE_KEY_FILES};
use pgp::packet::Signature;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Fingerprint of "Red Hat, Inc. (release key 2)", which releases of OpenShift are signed with. RHEL carries the key in
/// `/etc/pki/rpm-gpg/RPM-GPG-KEY-redhat-release`.
pub const RED_HAT_RELEASE_2: &str = "567E347AD0044ADE55BA8A5F199E2F91FD431D51";

/// Fingerprints of keys that count wherever they are found.
const PINNED: &[&str] = &[RED_HAT_RELEASE_2];

/// Keys that release signatures are verified with. Its debug output names fingerprints.
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
    /// [`KeyError::File`] for a file without any usable key.
    pub fn parse(files: &[(String, Vec<u8>)]) -> Result<Keyring, KeyError> {
        let mut keyring = Keyring::default();
        for (name, bytes) in files {
            let found = read(bytes).map_err(|problem| KeyError::File { file: name.clone(), problem })?;
            found.into_iter().for_each(|certificate| keyring.add(certificate));
        }
        Ok(keyring)
    }

    /// Keys that lie where a system keeps the keys of its vendors: only those count whose fingerprint this program knows. What is
    /// no key is passed over.
    pub fn pinned(files: &[(String, Vec<u8>)]) -> Keyring {
        let mut keyring = Keyring::default();
        for (name, bytes) in files {
            for certificate in read(bytes).unwrap_or_default() {
                if PINNED.contains(&certificate.fingerprint().as_str()) {
                    keyring.add(certificate);
                } else {
                    keyring.passed_over.push((name.clone(), certificate));
                }
            }
        }
        keyring
    }

    /// Reads the keys of these files, and of all files of these folders. `named`: the person named them; all must be there, and
    /// all their keys count ([`Keyring::parse`]). Otherwise what is not there or not readable is passed over, and only pinned
    /// keys count ([`Keyring::pinned`]).
    ///
    /// # Errors
    /// [`KeyError::None`] when no key counts; for named ones also [`KeyError::Fs`] and [`KeyError::File`].
    pub fn find(paths: &[PathBuf], named: bool) -> Result<Keyring, KeyError> {
        let mut files = Vec::new();
        for path in paths {
            match contents(path) {
                Ok(found) => files.extend(found),
                Err(error) if named => return Err(error.into()),
                Err(_) => {}
            }
        }
        let keyring = if named { Keyring::parse(&files)? } else { Keyring::pinned(&files) };
        if keyring.is_empty() { Err(KeyError::None { looked: paths.to_vec() }) } else { Ok(keyring) }
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

/// All keys of one file.
fn read(bytes: &[u8]) -> Result<Vec<Certificate>, KeyProblem> {
    let mut found = Vec::new();
    let mut problem = KeyProblem::NoKey;
    for block in armor::keys(bytes)? {
        match packets::split(&block).map_err(|_| KeyProblem::Damaged).and_then(|packets| certificate::read(&packets)) {
            Ok(certificates) => found.extend(certificates),
            Err(KeyProblem::Private) => return Err(KeyProblem::Private),
            Err(other) => problem = other,
        }
    }
    if found.is_empty() { Err(problem) } else { Ok(found) }
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
