//! One credentials file: `auths`, `credHelpers`, `credsStore`, also wrapped in a Kubernetes secret.

use super::{AuthFile, Credential, CredentialError, DOCKER_HUB, FileKind, is_docker_hub, same_host};
use crate::fs::{File, FsError, Trouble};
use crate::limits;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// Base64 as people paste it: padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// The parts of a file that matter. Sorted maps, so that equal files give equal answers.
#[derive(Default, Deserialize)]
pub(super) struct Content {
    #[serde(default)]
    auths: Option<BTreeMap<String, Option<Entry>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default)]
    data: Option<SecretData>,
}

/// `username` and `password` beside `auth` are ignored, as everybody does.
#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    identitytoken: Option<String>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.auth.zeroize();
        self.identitytoken.zeroize();
    }
}

#[derive(Deserialize)]
struct SecretData {
    #[serde(rename = ".dockerconfigjson")]
    config: Option<String>,
}

impl Drop for SecretData {
    fn drop(&mut self) {
        self.config.zeroize();
    }
}

/// Reads a file; `None` where it is absent and need not exist. The second value is true when other users may read it.
pub(super) fn read(auth_file: &AuthFile) -> Result<Option<(Content, bool)>, CredentialError> {
    let path = &auth_file.path;
    let file = match File::open_path(path) {
        Ok(file) => file,
        Err(e) if e.trouble() == Trouble::Absent && !auth_file.required => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let others = file.others_may_read();
    // Reserved in one piece, so that growing leaves no copies of secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(file.size().min(limits::CONFIG_BYTES)).unwrap_or(0) + 1));
    file.take(limits::CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(|e| FsError::from_io(e, "read", path))?;
    if bytes.len() as u64 > limits::CONFIG_BYTES {
        let large = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is larger than the 16 MiB allowed for it");
        return Err(FsError::new("read", path, large).into());
    }
    Ok(Some((parse(path, auth_file.kind, &bytes)?, others)))
}

fn parse(path: &Path, kind: FileKind, bytes: &[u8]) -> Result<Content, CredentialError> {
    // An empty file is what `touch` and interrupted logins leave.
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Content::default());
    }
    if kind == FileKind::Legacy {
        return Ok(Content { auths: Some(json(path, bytes)?), ..Content::default() });
    }
    let content: Content = json(path, bytes)?;
    let Some(wrapped) = content.data.as_ref().and_then(|data| data.config.as_ref()) else { return Ok(content) };
    let mut compact = Zeroizing::new(String::with_capacity(wrapped.len()));
    compact.extend(wrapped.split_ascii_whitespace());
    let inner = BASE64.decode(compact.as_bytes()).map_err(|_| CredentialError::BadSecret { path: path.to_owned() })?;
    json(path, &Zeroizing::new(inner))
}

fn json<'de, T: Deserialize<'de>>(path: &Path, bytes: &'de [u8]) -> Result<T, CredentialError> {
    let wrong = |e: serde_json::Error| CredentialError::NotJson { path: path.to_owned(), line: e.line(), column: e.column() };
    serde_json::from_slice(bytes).map_err(wrong)
}

impl Content {
    /// The helper for a host, and the key it stands under, which is also what the helper is asked for.
    pub(super) fn helper_for(&self, host: &str) -> Option<(&str, &str)> {
        let helpers = self.helpers.as_ref()?;
        let mut keys = helpers.iter().filter(|(_, suffix)| !suffix.is_empty());
        let exact = helpers.get_key_value(host).filter(|(_, suffix)| !suffix.is_empty());
        let (key, suffix) = exact.or_else(|| keys.find(|(key, _)| same_host(&host_of(key, false), host)))?;
        Some((key, suffix))
    }

    /// `credsStore`.
    pub(super) fn store(&self) -> Option<&str> {
        self.store.as_deref().filter(|suffix| !suffix.is_empty())
    }

    /// The entry of `auths` for a repository. The most specific one decides, also by being empty: there is no way back
    /// from `host/team` to `host`.
    pub(super) fn credential_for(
        &self,
        path: &Path,
        host: &str,
        repository: &str,
        kind: FileKind,
    ) -> Result<Option<Credential>, CredentialError> {
        let Some(auths) = &self.auths else { return Ok(None) };
        let exact = keys(host, repository).into_iter().find_map(|key| auths.get_key_value(&key));
        let by_address = || auths.iter().find(|(key, _)| same_host(&host_of(key, kind == FileKind::Legacy), host));
        match exact.or_else(by_address) {
            Some((key, Some(entry))) => {
                entry.credential().map_err(|()| CredentialError::BadAuth { path: path.to_owned(), key: key.clone() })
            }
            _ => Ok(None),
        }
    }
}

/// Keys of `auths` for a repository, most specific first, under every name of the host.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut hosts = vec![host];
    if is_docker_hub(host) {
        hosts.extend(DOCKER_HUB.iter().filter(|name| **name != host));
    }
    let mut keys = Vec::new();
    let mut rest = Some(repository);
    while let Some(path) = rest.filter(|path| !path.is_empty()) {
        keys.extend(hosts.iter().map(|host| format!("{host}/{path}")));
        rest = path.rsplit_once('/').map(|(above, _)| above);
    }
    keys.extend(hosts.iter().map(|host| (*host).to_owned()));
    keys
}

/// The host in a key of docker's: `https://host/v1/` and, in old files, `host/v1/`. A path without scheme is a
/// namespace and stays.
fn host_of(key: &str, legacy: bool) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let address = legacy || bare.len() != key.len() || bare.ends_with("/v1/") || bare.ends_with("/v2/");
    let host = if address { bare.split('/').next().unwrap_or(bare) } else { bare };
    host.to_owned()
}

impl Entry {
    /// `Err` for an `auth` that cannot be decoded; `None` for none. An identity token counts only beside an `auth`.
    fn credential(&self) -> Result<Option<Credential>, ()> {
        let Some(auth) = self.auth.as_deref().map(str::trim).filter(|auth| !auth.is_empty()) else { return Ok(None) };
        let bytes = Zeroizing::new(BASE64.decode(auth).map_err(|_| ())?);
        let text = std::str::from_utf8(&bytes).map_err(|_| ())?.trim_end_matches('\0');
        let (username, password) = text.split_once(':').ok_or(())?;
        if let Some(token) = self.identitytoken.as_deref().filter(|token| !token.is_empty()) {
            return Ok(Some(Credential::IdentityToken(Zeroizing::new(token.to_owned()))));
        }
        let password = Zeroizing::new(password.to_owned());
        Ok(Some(Credential::Basic { username: username.to_owned(), password }))
    }
}
