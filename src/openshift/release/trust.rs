//! What a release would have clusters verify later releases with: keys and stores in a ConfigMap of its own manifests. It is told
//! to a person who looks; a payload does not vouch for itself.

use serde::Deserialize;
use std::collections::BTreeMap;

/// The annotation that marks the ConfigMap.
const MARK: &str = "release.openshift.io/verification-config-map";

/// Keys and stores of one such ConfigMap. Foreign text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRoot {
    /// The manifest it stands in.
    pub path: String,
    /// OpenPGP keys, armored, by name (`verifier-public-key-redhat`).
    pub keys: BTreeMap<String, String>,
    /// Addresses of signature stores, by name (`store-openshift-official-release`).
    pub stores: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ConfigMap {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The trust root in a manifest, if there is one. Nearly all manifests are something else: only those that name the annotation
/// are parsed, and one that cannot be parsed is none.
pub(super) fn find(path: &str, bytes: &[u8]) -> Option<TrustRoot> {
    if !bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes()) {
        return None;
    }
    // Bounded before anything is left out: after a document that is no YAML the parser has an error for ever.
    let documents = serde_yaml::Deserializer::from_slice(bytes).take(DOCUMENTS);
    let mut maps = documents.filter_map(|document| ConfigMap::deserialize(document).ok());
    let marked = |map: &ConfigMap| map.kind == "ConfigMap" && map.metadata.annotations.contains_key(MARK);
    let data = maps.find(marked)?.data;
    let of = |prefix: &str| data.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect();
    Some(TrustRoot { path: path.to_owned(), keys: of("verifier-public-key-"), stores: of("store-") })
}

/// Documents in one manifest file that are looked at.
const DOCUMENTS: usize = 64;
