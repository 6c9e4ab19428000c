//! The document, read strictly: a member that is not understood could have been meant to forbid something.

use super::identity::Identity;
use super::key::{Key, KeyError};
use super::unique::Unique;
use crate::limits;
use crate::openpgp::Keyring;
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A signature policy.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(super) default: Vec<Requirement>,
    /// By transport, then by scope.
    pub(super) transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// A document that is no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not JSON, or not of the right form.
    #[error("it is not a signature policy: {0}")]
    Malformed(String),
    /// One requirement of it.
    #[error("{scope}: {why}")]
    Requirement {
        /// Where it stands.
        scope: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What an image has to fulfil.
#[derive(Clone, Debug)]
pub(super) enum Requirement {
    Accept,
    Reject,
    /// One signature by any of the keys, for an image of this identity.
    Sigstore {
        keys: Vec<Result<Key, KeyError>>,
        identity: Identity,
    },
    /// One OpenPGP signature by any key of the keyring, for an image of this identity; or why there is no keyring.
    SignedBy {
        keyring: Result<Keyring, String>,
        identity: Identity,
    },
    /// Nothing fulfils it here; why.
    Unsupported(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    default: Vec<Value>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Value>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(rename = "type")]
    _kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignedBy {
    #[serde(rename = "type")]
    _kind: String,
    key_type: String,
    key_path: Option<PathBuf>,
    key_paths: Option<Vec<PathBuf>>,
    key_data: Option<String>,
    signed_identity: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SigstoreSigned {
    #[serde(rename = "type")]
    _kind: String,
    key_path: Option<PathBuf>,
    key_paths: Option<Vec<PathBuf>>,
    key_data: Option<String>,
    key_datas: Option<Vec<String>>,
    #[serde(default, deserialize_with = "there")]
    fulcio: bool,
    #[serde(default, deserialize_with = "there")]
    pki: bool,
    #[serde(default, deserialize_with = "there")]
    rekor_public_key_path: bool,
    #[serde(default, deserialize_with = "there")]
    rekor_public_key_paths: bool,
    #[serde(default, deserialize_with = "there")]
    rekor_public_key_data: bool,
    #[serde(default, deserialize_with = "there")]
    rekor_public_key_datas: bool,
    signed_identity: Option<Value>,
}

/// True for a member that is there, whatever it says: an empty one was meant to demand something as well.
fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Policy {
    /// Reads a policy. `read` gives the bytes of a key file (PEM, or OpenPGP keys); one that cannot be read counts only where its requirement applies.
    ///
    /// # Errors
    /// [`PolicyError`]: unknown members, members that are there twice and unknown types are refused, as `containers-policy.json(5)` demands.
    pub fn parse(bytes: &[u8], read: &dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Result<Policy, PolicyError> {
        if bytes.len() as u64 > limits::POLICY_BYTES {
            return Err(PolicyError::Malformed(format!("it is longer than {} bytes", limits::POLICY_BYTES)));
        }
        let malformed = |e: serde_json::Error| PolicyError::Malformed(shown(&e.to_string()).to_string());
        serde_json::from_slice::<Unique>(bytes).map_err(malformed)?;
        let document: Document = serde_json::from_slice(bytes).map_err(malformed)?;
        let mut transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>> = BTreeMap::new();
        for (transport, scopes) in document.transports {
            let known = transports.entry(transport.clone()).or_default();
            for (scope, list) in scopes {
                let at = format!("transports {} {:?}", shown(&transport), shown(&scope).to_string());
                known.insert(scope, requirements(&at, list, read)?);
            }
        }
        Ok(Policy { default: requirements("default", document.default, read)?, transports })
    }
}

fn requirements(at: &str, list: Vec<Value>, read: &dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Result<Vec<Requirement>, PolicyError> {
    let bad = |why: String| PolicyError::Requirement { scope: at.to_owned(), why };
    if list.is_empty() {
        return Err(bad("the list of requirements is empty; write [{\"type\": \"reject\"}] to refuse everything".into()));
    }
    list.into_iter().map(|value| requirement(value, read).map_err(bad)).collect()
}

fn requirement(value: Value, read: &dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Result<Requirement, String> {
    let told = |e: serde_json::Error| shown(&e.to_string()).to_string();
    let kind = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "insecureAcceptAnything" => serde_json::from_value::<Plain>(value).map(|_| Requirement::Accept).map_err(told),
        "reject" => serde_json::from_value::<Plain>(value).map(|_| Requirement::Reject).map_err(told),
        "sigstoreSigned" => sigstore(serde_json::from_value(value).map_err(told)?, read),
        "signedBy" => signed_by(serde_json::from_value(value).map_err(told)?, read),
        other => Err(format!("{:?} is no type of requirement", shown(other).to_string())),
    }
}

/// Files of keys: their names, their bytes.
type KeyFiles = Vec<(String, Vec<u8>)>;

fn signed_by(said: SignedBy, read: &dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Result<Requirement, String> {
    let identity = said.signed_identity.map(Identity::parse).transpose()?.unwrap_or(Identity::RepoDigestOrExact);
    match said.key_type.as_str() {
        "GPGKeys" => {}
        kind @ ("signedByGPGKeys" | "X509Certificates" | "signedByX509CAs") => {
            return Ok(Requirement::Unsupported(format!("signedBy with keyType {kind} is verified by nobody; only GPGKeys is")));
        }
        other => return Err(format!("{:?} is no keyType", shown(other).to_string())),
    }
    let from_paths = |paths: Vec<PathBuf>| {
        let file = |path: &PathBuf| {
            let name = shown(&path.display().to_string()).to_string();
            let bytes = read(path).map_err(|why| format!("the key cannot be read: {name}: {}", shown(&why)))?;
            Ok((name, bytes))
        };
        paths.iter().map(file).collect::<Result<Vec<_>, String>>()
    };
    let paths = said.key_path.into_iter().map(|path| vec![path]).chain(said.key_paths).map(from_paths);
    let datas = said.key_data.into_iter().map(|data| {
        let bytes = BASE64.decode(data.as_bytes()).map_err(|_| "keyData is not base64".to_owned())?;
        Ok(vec![("keyData".to_owned(), bytes)])
    });
    let sources: Vec<Result<KeyFiles, String>> = paths.chain(datas).collect();
    match <[_; 1]>::try_from(sources) {
        Ok([Ok(files)]) if files.is_empty() => Err("signedBy needs at least one key".into()),
        Ok([files]) => {
            let keyring = files.and_then(|files| Keyring::parse(&files).map_err(|e| e.to_string()));
            Ok(Requirement::SignedBy { keyring, identity })
        }
        Err(_) => Err("signedBy needs exactly one of keyPath, keyPaths and keyData".into()),
    }
}

fn sigstore(said: SigstoreSigned, read: &dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Result<Requirement, String> {
    let identity = said.signed_identity.map(Identity::parse).transpose()?.unwrap_or(Identity::RepoDigestOrExact);
    let beyond = [
        ("fulcio", said.fulcio),
        ("pki", said.pki),
        ("rekorPublicKeyPath", said.rekor_public_key_path),
        ("rekorPublicKeyPaths", said.rekor_public_key_paths),
        ("rekorPublicKeyData", said.rekor_public_key_data),
        ("rekorPublicKeyDatas", said.rekor_public_key_datas),
    ];
    let paths = said.key_path.into_iter().map(|path| vec![path]).chain(said.key_paths);
    let datas = said.key_data.into_iter().map(|data| vec![data]).chain(said.key_datas);
    let of_paths = |paths: Vec<PathBuf>| paths.iter().map(|path| from_file(path, read)).collect::<Vec<_>>();
    let of_datas = |datas: Vec<String>| datas.iter().map(|data| from_data(data)).collect::<Vec<_>>();
    let sources: Vec<Vec<Result<Key, KeyError>>> = paths.map(of_paths).chain(datas.map(of_datas)).collect();
    if let Some((member, _)) = beyond.iter().find(|(_, there)| *there) {
        return Ok(Requirement::Unsupported(format!("sigstoreSigned with {member} is not supported; only keys are")));
    }
    match <[_; 1]>::try_from(sources) {
        Ok([keys]) if !keys.is_empty() => Ok(Requirement::Sigstore { keys, identity }),
        _ => Err("sigstoreSigned needs exactly one of keyPath, keyPaths, keyData and keyDatas, with at least one key".into()),
    }
}

fn from_file(path: &Path, read: &dyn Fn(&Path) -> Result<Vec<u8>, String>) -> Result<Key, KeyError> {
    let bytes = read(path).map_err(|why| KeyError::Unreadable(shown(&format!("{}: {why}", path.display())).to_string()))?;
    Key::from_pem(&bytes)
}

fn from_data(data: &str) -> Result<Key, KeyError> {
    Key::from_pem(&BASE64.decode(data.as_bytes()).map_err(|_| KeyError::NoKey)?)
}
