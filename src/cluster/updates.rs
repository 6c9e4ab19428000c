//! UpdateService, and the signatures of releases as ConfigMaps.

use super::held::Holdings;
use super::mirror_sets::OBJECT_BYTES;
use super::{metadata, yaml};
use crate::format::Role;
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

/// Where graph and releases are. Both must be at one target; the first that has both serves them.
pub(super) fn update_service(holdings: &Holdings) -> Vec<(String, String)> {
    let served = holdings.with_role(Role::Graph).find_map(|graph| {
        let release = holdings.with_role(Role::Release).find(|release| release.target == graph.target)?;
        Some((graph, release))
    });
    let Some((graph, release)) = served else { return Vec::new() };
    let metadata = metadata("update-service-oc-mirror", [("namespace", json!("openshift-update-service"))]);
    let object = json!({
        "apiVersion": "updateservice.operator.openshift.io/v1", "kind": "UpdateService", "metadata": metadata,
        "spec": {
            "graphDataImage": format!("{}:{}", holdings.name(graph), graph.tag),
            "releases": holdings.name(release),
            "replicas": 2,
        },
    });
    vec![("updateService.yaml".to_owned(), yaml::document(&object))]
}

/// The ConfigMaps the cluster version operator looks for by their label, as YAML and as JSON. Several where one would be larger
/// than `oc apply` takes, which is less than the 1 MiB of a ConfigMap.
pub(super) fn signatures(holdings: &Holdings, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut maps: Vec<Map<String, Value>> = Vec::new();
    let mut size = OBJECT_BYTES;
    for (name, bytes) in &holdings.signatures {
        if !is_key(name) {
            notes.push(format!("the release signature called {} is left out: that is no name of one", shown(name)));
            continue;
        }
        let text = BASE64.encode(bytes);
        let more = name.len() + text.len() + 8;
        if more > OBJECT_BYTES - 1000 {
            notes.push(format!("the release signature {name} is left out: it is too large for a ConfigMap"));
            continue;
        }
        if size + more > OBJECT_BYTES {
            maps.push(Map::new());
            size = 1000;
        }
        size += more;
        if let Some(map) = maps.last_mut() {
            map.insert(name.clone(), Value::String(text));
        }
    }
    let objects: Vec<Value> = maps.into_iter().enumerate().map(|(number, map)| config_map(number, map)).collect();
    let Some(first) = objects.first() else { return Vec::new() };
    let json = match objects.len() {
        1 => first.clone(),
        _ => json!({"apiVersion": "v1", "kind": "List", "items": objects}),
    };
    vec![
        ("signature-configmap.yaml".to_owned(), objects.iter().map(yaml::document).collect()),
        ("signature-configmap.json".to_owned(), format!("{json}\n")),
    ]
}

fn config_map(number: usize, data: Map<String, Value>) -> Value {
    let name = match number {
        0 => "mirrored-release-signatures".to_owned(),
        n => format!("mirrored-release-signatures-{n}"),
    };
    let labels = json!({"release.openshift.io/verification-signatures": ""});
    let metadata = metadata(&name, [("namespace", json!("openshift-config-managed")), ("labels", labels)]);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": data})
}

/// `sha256-HEX-N`.
fn is_key(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    matches!(parts.as_slice(), ["sha256", digest, number]
        if hex(digest) && (1..=9).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()))
}
