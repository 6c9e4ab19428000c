//! CatalogSource templates: YAML of the person who wrote the ImageSet.

use crate::limits;
use serde_json::{Map, Value};

/// Reads a template. What is wrong with it is said in a few words.
pub(super) fn read(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    if bytes.len() > limits::TEMPLATE_BYTES {
        return Err(format!("it is longer than {} bytes", limits::TEMPLATE_BYTES));
    }
    crate::yaml::admit(bytes).map_err(|e| e.to_string())?;
    let value: Value = serde_yaml::from_slice(bytes).map_err(|e| e.to_string())?;
    if depth(&value) > limits::NESTING {
        return Err(format!("it is nested more deeply than {}", limits::NESTING));
    }
    let Value::Object(mut template) = value else { return Err("it is no mapping".into()) };
    forget_where_it_was(&mut template);
    let is = |key: &str, wanted: &str| match template.get(key) {
        Some(Value::String(found)) if found == wanted => Ok(()),
        Some(found) => Err(format!("{key} is {found}, not {wanted}")),
        None => Err(format!("it has no {key}")),
    };
    is("apiVersion", "operators.coreos.com/v1alpha1")?;
    is("kind", "CatalogSource")?;
    if let Some(key) = ["metadata", "spec"].into_iter().find(|key| template.get(*key).is_some_and(|value| !value.is_object())) {
        return Err(format!("{key} is no mapping"));
    }
    let spec = template.get("spec").and_then(Value::as_object);
    match spec.and_then(|spec| spec.get("sourceType")) {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind.is_empty() || kind == "grpc" => {}
        Some(kind) => return Err(format!("spec.sourceType is {kind}, and a catalog image is served by grpc")),
    }
    if spec.is_some_and(|spec| spec.contains_key("configMap")) {
        return Err("spec.configMap is set, and the catalog is an image".into());
    }
    Ok(template)
}

/// What a cluster adds to an object. In a template that was copied out of one it would keep this one from being created elsewhere.
fn forget_where_it_was(template: &mut Map<String, Value>) {
    template.remove("status");
    if let Some(Value::Object(metadata)) = template.get_mut("metadata") {
        for key in ["creationTimestamp", "generation", "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid"] {
            metadata.remove(key);
        }
    }
}

/// The parser bounds depth as well; this is the bound the writer relies on. Without recursion.
fn depth(value: &Value) -> usize {
    let (mut level, mut deepest) = (vec![(value, 1)], 0);
    while let Some((value, depth)) = level.pop() {
        deepest = deepest.max(depth);
        match value {
            Value::Array(items) => level.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(members) => level.extend(members.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    deepest
}
