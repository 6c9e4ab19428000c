//! Whom to trust and how to identify oneself under TLS, per registry: `certs.d` and what the person named.

use crate::fs::{Dir, FsError, Trouble, read_user_file};
use crate::text::shown;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How to speak TLS with one host.
#[derive(Clone)]
pub struct TlsSettings {
    /// PEM texts, each with one or more CA certificates, trusted beside the system's.
    pub extra_cas: Vec<Vec<u8>>,
    /// Client certificate chain and private key in one PEM text.
    pub identity_pem: Option<Zeroizing<Vec<u8>>>,
    /// False only where the person gave up verification for this host.
    pub verify: bool,
}

impl TlsSettings {
    /// The PEM text of the client certificate and key, where there is one.
    pub(super) fn identity(&self) -> Option<&[u8]> {
        self.identity_pem.as_ref().map(|pem| pem.as_slice())
    }
}

impl std::fmt::Debug for TlsSettings {
    /// Never shows the private key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let identity = self.identity_pem.is_some();
        f.debug_struct("TlsSettings")
            .field("extra_cas", &self.extra_cas.len())
            .field("identity", &identity)
            .field("verify", &self.verify)
            .finish()
    }
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings { extra_cas: Vec::new(), identity_pem: None, verify: true }
    }
}

/// Why the settings of a host are not usable.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file or folder could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// `x.cert` without `x.key`.
    #[error("missing key {} for client certificate {}", .key.display(), .certificate.display())]
    MissingKey {
        /// The certificate.
        certificate: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// `x.key` without `x.cert`.
    #[error("missing client certificate {} for key {}", .certificate.display(), .key.display())]
    MissingCertificate {
        /// Where the certificate should be.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A client certificate was named, its key was not and does not lie in the same file.
    #[error("a client certificate was given ({}), but no key for it", .certificate.display())]
    NoKeyGiven {
        /// The certificate.
        certificate: PathBuf,
    },
    /// A key was named, its certificate was not.
    #[error("a client key was given ({}), but no certificate for it", .key.display())]
    NoCertificateGiven {
        /// The key.
        key: PathBuf,
    },
    /// Not PEM, or not of the right sort.
    #[error("{} holds no {what} in PEM form", .path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// A host that cannot be the name of a folder.
    #[error("{:?} is not a host", shown(.0).to_string())]
    Host(String),
}

/// Finds the TLS settings of a host.
pub trait TlsLookup: Send + Sync {
    /// `host` with its port as in a reference.
    fn for_host(&self, host: &str) -> Result<TlsSettings, TlsError>;
}

/// The same for every host.
#[derive(Clone, Debug, Default)]
pub struct FixedTls(pub TlsSettings);

impl TlsLookup for FixedTls {
    fn for_host(&self, _: &str) -> Result<TlsSettings, TlsError> {
        Ok(self.0.clone())
    }
}

/// `certs.d` folders together with what was named on the command line (containers-certs.d(5)).
#[derive(Clone, Debug, Default)]
pub struct CertDirs {
    /// The `certs.d` folders, most important first: for the user, `/etc/containers/certs.d`, `/etc/docker/certs.d`.
    pub dirs: Vec<PathBuf>,
    /// PEM files with CAs for every host.
    pub ca_files: Vec<PathBuf>,
    /// Client certificate for every host; it takes the place of one in `certs.d`.
    pub client_cert: Option<PathBuf>,
    /// Its key; may be left out when it lies in the same file.
    pub client_key: Option<PathBuf>,
    /// Hosts whose certificate is not verified, by the person's own decision: `host:port`, `host` (with any port), or
    /// `*.domain`.
    pub insecure_hosts: Vec<String>,
}

impl TlsLookup for CertDirs {
    /// Reads `<dir>/<host[:port]>/` of the first of `dirs` that has it: every `*.crt` is a CA, `x.cert` with `x.key` the
    /// client's identity (of several pairs the first by name: TLS here shows one).
    fn for_host(&self, host: &str) -> Result<TlsSettings, TlsError> {
        let mut settings = TlsSettings::default();
        if let Some(folder) = self.folder(host)? {
            read_folder(&folder, &mut settings)?;
        }
        for path in &self.ca_files {
            settings.extra_cas.push(pem(path, "CERTIFICATE", "certificate")?);
        }
        if let Some(identity) = self.named_identity()? {
            settings.identity_pem = Some(identity);
        }
        settings.verify = !self.insecure_hosts.iter().any(|pattern| is_meant(pattern, host));
        Ok(settings)
    }
}

/// True when a pattern of [`CertDirs::insecure_hosts`] means `host`.
fn is_meant(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host.as_str(),
    };
    let one = |host: &str| match pattern.strip_prefix('*') {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|rest| !rest.is_empty()),
        None => pattern == host,
    };
    one(&host) || one(bare)
}

impl CertDirs {
    /// The first folder for the host. One that may not be entered counts as absent: `/etc/docker` is root's on many
    /// systems, and podman passes over it as well.
    fn folder(&self, host: &str) -> Result<Option<Dir>, TlsError> {
        let name = if matches!(host, "registry-1.docker.io" | "index.docker.io") { "docker.io" } else { host };
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(TlsError::Host(host.to_owned()));
        }
        for dir in &self.dirs {
            match Dir::open(&dir.join(name)) {
                Ok(folder) => return Ok(Some(folder)),
                Err(e) if matches!(e.trouble(), Trouble::Absent | Trouble::NotWritable) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(None)
    }

    fn named_identity(&self) -> Result<Option<Zeroizing<Vec<u8>>>, TlsError> {
        match (&self.client_cert, &self.client_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => identity(certificate, key).map(Some),
            (None, Some(key)) => Err(TlsError::NoCertificateGiven { key: key.clone() }),
            (Some(certificate), None) => {
                let both = Zeroizing::new(pem(certificate, "CERTIFICATE", "certificate")?);
                if !holds(&both, "PRIVATE KEY") {
                    return Err(TlsError::NoKeyGiven { certificate: certificate.clone() });
                }
                Ok(Some(both))
            }
        }
    }
}

/// Reads a host's folder. Entries may be links (subscription managers make them); a dangling one to a CA is passed over.
fn read_folder(folder: &Dir, settings: &mut TlsSettings) -> Result<(), TlsError> {
    let names: BTreeSet<String> = folder.list()?.into_iter().map(|entry| entry.name).collect();
    for name in &names {
        let path = folder.join(name);
        if name.ends_with(".crt") {
            match pem(&path, "CERTIFICATE", "certificate") {
                Ok(ca) => settings.extra_cas.push(ca),
                Err(TlsError::File(e)) if e.trouble() == Trouble::Absent => {}
                Err(e) => return Err(e),
            }
        } else if let Some(stem) = name.strip_suffix(".cert") {
            let key = format!("{stem}.key");
            if !names.contains(&key) {
                return Err(TlsError::MissingKey { certificate: path, key: folder.join(&key) });
            }
            if settings.identity_pem.is_none() {
                settings.identity_pem = Some(identity(&path, &folder.join(&key))?);
            }
        } else if let Some(stem) = name.strip_suffix(".key") {
            let certificate = format!("{stem}.cert");
            if !names.contains(&certificate) {
                return Err(TlsError::MissingCertificate { certificate: folder.join(&certificate), key: path });
            }
        }
    }
    Ok(())
}

/// Certificate and key in one text.
fn identity(certificate: &Path, key: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let chain = pem(certificate, "CERTIFICATE", "certificate")?;
    let key = Zeroizing::new(pem(key, "PRIVATE KEY", "private key")?);
    let mut both = Zeroizing::new(Vec::with_capacity(chain.len() + 1 + key.len()));
    both.extend_from_slice(&chain);
    both.push(b'\n');
    both.extend_from_slice(&key);
    Ok(both)
}

fn pem(path: &Path, label: &str, what: &'static str) -> Result<Vec<u8>, TlsError> {
    let bytes = read_user_file(path)?;
    if holds(&bytes, label) { Ok(bytes) } else { Err(TlsError::NotPem { path: path.to_owned(), what }) }
}

/// True when a PEM section whose label ends so begins in it (`RSA PRIVATE KEY`, `PRIVATE KEY`); whether it is sound the
/// TLS library says.
fn holds(bytes: &[u8], label: &str) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.lines().any(|line| {
        line.trim().strip_prefix("-----BEGIN ").is_some_and(|rest| rest.strip_suffix("-----").is_some_and(|l| l.ends_with(label)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----\n";

    struct Two {
        folder: tempfile::TempDir,
    }

    impl Two {
        fn new() -> Two {
            Two { folder: tempfile::tempdir().unwrap() }
        }

        fn put(self, path: &str, content: &str) -> Two {
            let path = self.folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
            self
        }

        fn dirs(&self) -> CertDirs {
            let dirs = ["user", "system"].iter().map(|name| self.folder.path().join(name)).collect();
            CertDirs { dirs, ..CertDirs::default() }
        }
    }

    #[test]
    fn only_the_first_existing_folder_is_read() {
        let two =
            Two::new().put("user/h:5000/b.crt", CA).put("system/h:5000/a.crt", CA).put("system/h:5000/c.crt", CA).put("system/o/a.crt", CA);
        let dirs = two.dirs();
        assert_eq!(dirs.for_host("h:5000").unwrap().extra_cas, [CA.as_bytes()]);
        assert_eq!(dirs.for_host("o").unwrap().extra_cas.len(), 1);
        let none = dirs.for_host("h").unwrap();
        assert!(none.extra_cas.is_empty() && none.identity_pem.is_none() && none.verify);
    }

    #[test]
    fn pairs_must_be_whole() {
        let two = Two::new().put("user/h/x.cert", CA).put("user/h/x.key", KEY).put("user/half/x.cert", CA).put("user/other/x.key", KEY);
        let identity = two.dirs().for_host("h").unwrap().identity_pem.unwrap();
        assert_eq!(*identity, format!("{CA}\n{KEY}").into_bytes());
        let error = two.dirs().for_host("half").unwrap_err();
        assert!(matches!(&error, TlsError::MissingKey { key, .. } if key.ends_with("half/x.key")), "{error}");
        assert!(matches!(two.dirs().for_host("other"), Err(TlsError::MissingCertificate { .. })));
    }

    #[test]
    fn links_are_followed_and_dangling_ones_passed_over() {
        let two = Two::new().put("elsewhere.pem", CA).put("user/h/readme", "x");
        std::os::unix::fs::symlink(two.folder.path().join("elsewhere.pem"), two.folder.path().join("user/h/a.crt")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", two.folder.path().join("user/h/b.crt")).unwrap();
        assert_eq!(two.dirs().for_host("h").unwrap().extra_cas.len(), 1);
    }

    #[test]
    fn docker_hub_has_one_folder_and_hosts_are_no_paths() {
        let two = Two::new().put("user/docker.io/a.crt", CA).put("a.crt", CA);
        assert_eq!(two.dirs().for_host("registry-1.docker.io").unwrap().extra_cas.len(), 1);
        for bad in ["", "..", ".", "../x", "a/b"] {
            assert!(matches!(two.dirs().for_host(bad), Err(TlsError::Host(_))), "{bad}");
        }
    }

    #[test]
    fn what_was_named_is_added_or_takes_the_place() {
        let two = Two::new()
            .put("user/h/a.crt", CA)
            .put("user/h/x.cert", CA)
            .put("user/h/x.key", KEY)
            .put("ca.pem", CA)
            .put("both.pem", &format!("{KEY}{CA}"))
            .put("der.crt", "\u{1}");
        let at = |name: &str| Some(two.folder.path().join(name));
        let mut dirs = two.dirs();
        dirs.ca_files = vec![two.folder.path().join("ca.pem")];
        dirs.client_cert = at("both.pem");
        dirs.insecure_hosts = vec!["H".into()];
        let settings = dirs.for_host("h").unwrap();
        assert_eq!((settings.extra_cas.len(), settings.verify), (2, false));
        assert_eq!(**settings.identity_pem.as_ref().unwrap(), format!("{KEY}{CA}").into_bytes());
        assert!(!format!("{settings:?}").contains("PRIVATE"));
        dirs.client_cert = at("ca.pem");
        assert!(matches!(dirs.for_host("h"), Err(TlsError::NoKeyGiven { .. })));
        dirs.client_key = at("both.pem");
        dirs.for_host("h").unwrap();
        dirs.client_cert = None;
        assert!(matches!(dirs.for_host("h"), Err(TlsError::NoCertificateGiven { .. })));
        dirs.ca_files = vec![two.folder.path().join("der.crt")];
        assert!(matches!(dirs.for_host("h"), Err(TlsError::NotPem { .. })));
    }
}
