//! Whom to be at a registry: credentials files and helpers, read only, found as podman and skopeo find them.
//!
//! The rules are those of containers-auth.json(5), with docker's `credsStore` added. Which files are read is decided by
//! [`auth_files`] from an [`Environment`] that the caller fills. In each file: `credHelpers` by host, then `auths` from
//! the most specific key to the host, then keys in docker's URL form, then (docker's own files) `credsStore`. The first
//! file with credentials wins. Passwords on the command line are not offered: other users can read arguments.

mod file;
mod helper;

use crate::fs::FsError;
use crate::text::shown;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a credential helper may take: it may ask a key store, never a person far away.
const HELPER_PATIENCE: Duration = Duration::from_secs(30);

/// What proves to a registry who asks. Its debug output holds no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Name and password, for `Authorization: Basic` at the registry or its token service.
    Basic {
        /// The name.
        username: String,
        /// The password or token.
        password: Zeroizing<String>,
    },
    /// A refresh token, to be exchanged at the token service (`grant_type=refresh_token`).
    IdentityToken(Zeroizing<String>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::Basic { .. } => "Basic { .. }",
            Credential::IdentityToken(_) => "IdentityToken(..)",
        })
    }
}

/// Why credentials could not be looked up. No variant holds a secret or a piece of a file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// Not JSON of the right shape. What stands there is not shown: it may be the password.
    #[error("{} is not a credentials file: its JSON is wrong at line {line}, column {column}", .path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A Kubernetes secret whose `.dockerconfigjson` is not base64.
    #[error("{} is a Kubernetes secret, but its .dockerconfigjson is not base64", .path.display())]
    BadSecret {
        /// The file.
        path: PathBuf,
    },
    /// An `auth` that is not base64 of `user:password`.
    #[error("{}: the auth of {:?} is not base64 of user:password", .path.display(), shown(.key).to_string())]
    BadAuth {
        /// The file.
        path: PathBuf,
        /// The key below `auths`.
        key: String,
    },
    /// A helper's name that could be a path or an option.
    #[error("{} names the credential helper {:?}; only letters, digits, . _ - are allowed", .path.display(), shown(.suffix).to_string())]
    HelperName {
        /// The file.
        path: PathBuf,
        /// What follows `docker-credential-`.
        suffix: String,
    },
    /// A helper that is nowhere on the search path.
    #[error("{} asks for {helper}, which is not installed", .path.display())]
    HelperMissing {
        /// The file.
        path: PathBuf,
        /// The program.
        helper: String,
    },
    /// A helper that could not be started or spoken to.
    #[error("cannot run {helper}: {source}")]
    HelperStart {
        /// The program.
        helper: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A helper that gave no answer.
    #[error("{helper} did not answer for {host} within {seconds} seconds")]
    HelperTimeout {
        /// The program.
        helper: String,
        /// The registry.
        host: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A helper that failed. Its words are not repeated; run by hand it says them again.
    #[error("{helper} failed for {host} ({status})")]
    HelperFailed {
        /// The program.
        helper: String,
        /// The registry.
        host: String,
        /// How it ended.
        status: String,
    },
    /// A helper whose answer is not `{"Username", "Secret"}`.
    #[error("{helper} gave an answer for {host} that is not understood")]
    HelperAnswer {
        /// The program.
        helper: String,
        /// The registry.
        host: String,
    },
}

/// Something about a credentials file that the person should know; the run goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialWarning {
    /// Group or others may read the file.
    ReadableByOthers(PathBuf),
    /// `credsStore` names a program that is not installed; podman would not have asked it, so it is passed over.
    StoreMissing {
        /// The file.
        path: PathBuf,
        /// The program.
        helper: String,
    },
}

impl fmt::Display for CredentialWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialWarning::ReadableByOthers(path) => {
                write!(f, "{} holds passwords and can be read by other users", path.display())
            }
            CredentialWarning::StoreMissing { path, helper } => {
                write!(f, "{} names {helper} as credsStore, which is not installed; it is not asked", path.display())
            }
        }
    }
}

/// Finds the credential for a repository.
pub trait CredentialLookup: Send + Sync {
    /// `host` with its port as in a reference, `repository` without host. `None` means to ask anonymously.
    ///
    /// A mirror is a host of its own and is looked up by its own name: credentials of the primary are not for it.
    fn lookup(&self, host: &str, repository: &str) -> Result<Option<Credential>, CredentialError>;
}

/// Always anonymous.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl CredentialLookup for NoCredentials {
    fn lookup(&self, _: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(None)
    }
}

/// One credential for one host, given by a program that uses this library; every other host is asked anonymously.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// The host (with port) it is for.
    pub host: String,
    /// The credential.
    pub credential: Credential,
}

impl CredentialLookup for Fixed {
    fn lookup(&self, host: &str, _: &str) -> Result<Option<Credential>, CredentialError> {
        Ok(same_host(&self.host, host).then(|| self.credential.clone()))
    }
}

/// The facts of a process that decide which files are read. Empty texts count as not set.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The option `--authfile`.
    pub authfile: Option<PathBuf>,
    /// `$REGISTRY_AUTH_FILE`.
    pub registry_auth_file: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
    /// `$DOCKER_CONFIG`, a directory.
    pub docker_config: Option<PathBuf>,
    /// The numeric user.
    pub uid: u32,
}

/// How a file is written, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `auth.json` of podman and friends: `credsStore` in it is not acted upon.
    AuthJson,
    /// `config.json` of docker: `credsStore` is asked last.
    DockerConfig,
    /// `.dockercfg`: `auths` without anything around it.
    Legacy,
}

/// A credentials file to look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFile {
    /// Where it is.
    pub path: PathBuf,
    /// How it is written.
    pub kind: FileKind,
    /// True when it was named by the person: then it must exist.
    pub required: bool,
}

/// Which files are looked into, in order. One that is named (`--authfile`, then `$REGISTRY_AUTH_FILE`) is the only one.
pub fn auth_files(environment: &Environment) -> Vec<AuthFile> {
    let set = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = set(&environment.authfile).or_else(|| set(&environment.registry_auth_file)) {
        let docker = path.file_name().is_some_and(|name| name == "config.json");
        let kind = if docker { FileKind::DockerConfig } else { FileKind::AuthJson };
        return vec![AuthFile { path, kind, required: true }];
    }
    let home = set(&environment.home);
    let below = |folder: &str| home.as_ref().map(|home| home.join(folder));
    let runtime = match set(&environment.xdg_runtime_dir) {
        Some(folder) => folder.join("containers/auth.json"),
        None => PathBuf::from(format!("/run/containers/{}/auth.json", environment.uid)),
    };
    let config = set(&environment.xdg_config_home).or_else(|| below(".config")).map(|folder| folder.join("containers/auth.json"));
    let docker = set(&environment.docker_config).or_else(|| below(".docker")).map(|folder| folder.join("config.json"));
    let file = |kind| move |path| AuthFile { path, kind, required: false };
    let mut files = vec![file(FileKind::AuthJson)(runtime)];
    files.extend(config.map(file(FileKind::AuthJson)));
    files.extend(docker.map(file(FileKind::DockerConfig)));
    files.extend(below(".dockercfg").map(file(FileKind::Legacy)));
    files
}

/// Credentials from files and helpers. What was found is remembered per repository, answers of helpers per host; whole
/// files are not kept, so that no more secrets than needed stay in memory.
pub struct AuthFiles {
    files: Vec<AuthFile>,
    helper_path: Vec<PathBuf>,
    patience: Duration,
    found: Mutex<HashMap<(String, String), Option<Credential>>>,
    helped: Mutex<HashMap<(String, String), Option<Credential>>>,
    warned: Mutex<Warned>,
}

#[derive(Default)]
struct Warned {
    all: HashSet<CredentialWarning>,
    fresh: Vec<CredentialWarning>,
}

impl AuthFiles {
    /// Looks into `files` in order; helpers are searched for in the folders of `helper_path` (`$PATH`, split).
    pub fn new(files: Vec<AuthFile>, helper_path: Vec<PathBuf>) -> AuthFiles {
        AuthFiles {
            files,
            helper_path,
            patience: HELPER_PATIENCE,
            found: Mutex::default(),
            helped: Mutex::default(),
            warned: Mutex::default(),
        }
    }

    /// Takes the warnings that came up since the last call. Each comes once.
    pub fn take_warnings(&self) -> Vec<CredentialWarning> {
        std::mem::take(&mut held(&self.warned).fresh)
    }

    fn warn(&self, warning: CredentialWarning) {
        let mut warned = held(&self.warned);
        if warned.all.insert(warning.clone()) {
            warned.fresh.push(warning);
        }
    }

    fn search(&self, host: &str, repository: &str) -> Result<Option<Credential>, CredentialError> {
        for auth_file in &self.files {
            let Some((content, others)) = file::read(auth_file)? else { continue };
            if others {
                self.warn(CredentialWarning::ReadableByOthers(auth_file.path.clone()));
            }
            if let Some(credential) = self.search_file(auth_file, &content, host, repository)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }

    fn search_file(
        &self,
        auth_file: &AuthFile,
        content: &file::Content,
        host: &str,
        repository: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        if let Some((key, suffix)) = content.helper_for(host)
            && let Some(credential) = self.ask(&auth_file.path, suffix, key)?
        {
            return Ok(Some(credential));
        }
        if let Some(credential) = content.credential_for(&auth_file.path, host, repository, auth_file.kind)? {
            return Ok(Some(credential));
        }
        match content.store() {
            Some(suffix) if auth_file.kind == FileKind::DockerConfig => self.ask_store(&auth_file.path, suffix, host),
            _ => Ok(None),
        }
    }

    /// Asks docker's store, where Docker Hub is known by the address of its first index.
    fn ask_store(&self, path: &Path, suffix: &str, host: &str) -> Result<Option<Credential>, CredentialError> {
        let key = if is_docker_hub(host) { "https://index.docker.io/v1/" } else { host };
        match self.ask(path, suffix, key) {
            Err(CredentialError::HelperMissing { path, helper }) => {
                self.warn(CredentialWarning::StoreMissing { path, helper });
                Ok(None)
            }
            other => other,
        }
    }

    /// Asks a helper, once per host; others wait meanwhile instead of asking the same.
    fn ask(&self, path: &Path, suffix: &str, key: &str) -> Result<Option<Credential>, CredentialError> {
        let mut helped = held(&self.helped);
        let id = (suffix.to_owned(), key.to_owned());
        if let Some(known) = helped.get(&id) {
            return Ok(known.clone());
        }
        let answer = helper::ask(path, suffix, key, &self.helper_path, self.patience)?;
        helped.insert(id, answer.clone());
        Ok(answer)
    }
}

impl fmt::Debug for AuthFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFiles").field("files", &self.files).finish_non_exhaustive()
    }
}

impl CredentialLookup for AuthFiles {
    fn lookup(&self, host: &str, repository: &str) -> Result<Option<Credential>, CredentialError> {
        let id = (host.to_owned(), repository.to_owned());
        if let Some(known) = held(&self.found).get(&id) {
            return Ok(known.clone());
        }
        let credential = self.search(host, repository)?;
        held(&self.found).insert(id, credential.clone());
        Ok(credential)
    }
}

/// A panic elsewhere does not make what is remembered here wrong.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Docker Hub has three names.
const DOCKER_HUB: [&str; 3] = ["docker.io", "registry-1.docker.io", "index.docker.io"];

fn is_docker_hub(host: &str) -> bool {
    DOCKER_HUB.iter().any(|name| name.eq_ignore_ascii_case(host))
}

/// True for equal hosts, letter case aside, and for any two names of Docker Hub.
fn same_host(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (is_docker_hub(a) && is_docker_hub(b))
}

#[cfg(test)]
mod tests;
