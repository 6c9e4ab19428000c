//! CatalogSource and ClusterCatalog: where a cluster finds its operators.

use super::held::{Held, Holdings};
use super::{metadata, template, yaml};
use crate::digest::Digest;
use crate::format::Role;
use crate::text::shown;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a tag, or of a digest, that the name of an object gets.
const SUFFIX_CHARS: usize = 12;
/// Length of a label (RFC 1123), without `cs-` or `cc-`.
const LABEL_CHARS: usize = 60;

/// One file per catalog.
pub(super) fn catalog_sources(holdings: &Holdings, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let named = named(holdings, notes);
    let file = |(name, catalog): (String, &Held)| {
        let name = format!("cs-{name}");
        let image = format!("{}:{}", holdings.name(catalog), catalog.tag);
        let mut object = match catalog.template.as_deref().map(template::read) {
            None => Map::new(),
            Some(Ok(template)) => template,
            Some(Err(why)) => {
                notes.push(format!(
                    "the CatalogSource template of {} is not used: {}; {name} is the plain object",
                    shown(&catalog.name),
                    shown(&why)
                ));
                Map::new()
            }
        };
        fill(&mut object, &name, &image);
        (format!("{name}.yaml"), yaml::document(&Value::Object(object)))
    };
    named.into_iter().map(file).collect()
}

/// What is ours in a CatalogSource; the rest of a template stays.
fn fill(object: &mut Map<String, Value>, name: &str, image: &str) {
    object.insert("apiVersion".into(), json!("operators.coreos.com/v1alpha1"));
    object.insert("kind".into(), json!("CatalogSource"));
    let mut metadata = member(object, "metadata");
    let mut annotations = member(&mut metadata, "annotations");
    annotations.insert("createdBy".into(), json!(super::CREATED_BY));
    metadata.insert("annotations".into(), annotations.into());
    metadata.insert("name".into(), json!(name));
    metadata.insert("namespace".into(), json!("openshift-marketplace"));
    let mut spec = member(object, "spec");
    spec.insert("image".into(), json!(image));
    spec.insert("sourceType".into(), json!("grpc"));
    object.insert("metadata".into(), metadata.into());
    object.insert("spec".into(), spec.into());
}

/// Takes out the object under a key; what else stands there gives way.
fn member(object: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match object.remove(key) {
        Some(Value::Object(member)) => member,
        _ => Map::new(),
    }
}

/// One file per catalog, for clusters with version 1 of the operator lifecycle manager.
pub(super) fn cluster_catalogs(holdings: &Holdings, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let file = |(name, catalog): (String, &Held)| {
        let name = format!("cc-{name}");
        let image = format!("{}:{}", holdings.name(catalog), catalog.tag);
        let object = json!({
            "apiVersion": "olm.operatorframework.io/v1", "kind": "ClusterCatalog", "metadata": metadata(&name, []),
            "spec": {"priority": 0, "source": {"image": {"ref": image}, "type": "Image"}},
        });
        (format!("{name}.yaml"), yaml::document(&object))
    };
    named(holdings, notes).into_iter().map(file).collect()
}

/// Catalogs with the names of their objects. Two that would have one name: what was there first keeps it, so that no object that a
/// cluster has already changes its meaning, and the other gets a suffix that depends on it alone.
fn named<'a>(holdings: &'a Holdings, notes: &mut Vec<String>) -> Vec<(String, &'a Held)> {
    // A catalog that several targets hold is one catalog: the first of them serves it.
    let mut catalogs: BTreeMap<&str, &Held> = BTreeMap::new();
    for held in holdings.with_role(Role::Catalog) {
        catalogs.entry(held.name.as_str()).or_insert(held);
    }
    let mut in_order: Vec<&Held> = catalogs.into_values().collect();
    in_order.sort_by_key(|held| (held.target, held.since, &held.name));
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    let mut named = Vec::new();
    for held in in_order {
        let mut name = label(held);
        if let Some(other) = taken.get(&name) {
            let own = with_hash(&name, &held.name);
            notes.push(format!(
                "catalogs {} and {} would both be called {name}: the latter is called {own}",
                shown(other),
                shown(&held.name)
            ));
            name = own;
        }
        taken.insert(name.clone(), &held.name);
        named.push((name, held));
    }
    let names: BTreeSet<&String> = named.iter().map(|(name, _)| name).collect();
    debug_assert_eq!(names.len(), named.len());
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named
}

/// The last component of the repository and the beginning of the tag; of the digest, where the catalog has no tag of its own.
fn label(catalog: &Held) -> String {
    let last = catalog.repository.rsplit('/').next().unwrap_or_default();
    let tag = hex_of(&catalog.tag).unwrap_or(&catalog.tag);
    let suffix: String = tag.chars().take(SUFFIX_CHARS).collect();
    let name: String = format!("{last}-{suffix}").to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let trimmed = name.trim_end_matches('-');
    let name = if suffix.chars().all(|c| !c.is_ascii_alphanumeric()) { format!("{trimmed}-0") } else { trimmed.to_owned() };
    if name.len() > LABEL_CHARS { with_hash(&name, &name) } else { name }
}

/// The digits of a tag that stands for a digest.
fn hex_of(tag: &str) -> Option<&str> {
    let hex = tag.strip_prefix("keep.").unwrap_or(tag).strip_prefix("sha256-")?;
    (hex.len() >= SUFFIX_CHARS && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)
}

fn with_hash(name: &str, of: &str) -> String {
    let hash = Digest::sha256(of.as_bytes()).hex();
    let hash: String = hash.chars().take(8).collect();
    let kept: String = name.chars().take(LABEL_CHARS - 9).collect();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}
