//! CatalogSource templates: YAML of the person who wrote the ImageSet.

use crate::limits;
use serde_json::{Map, Value};

/// Reads a template. What is wrong with it is said in a few words.
pub(super) fn read(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    if bytes.len() > limits::TEMPLATE_BYTES {
        return Err(format!("it is longer than {} bytes", limits::TEMPLATE_BYTES));
    }
    let value: Value = serde_yaml::from_slice(bytes).map_err(|e| e.to_string())?;
    if depth(&value) > limits::NESTING {
        return Err(format!("it is nested more deeply than {}", limits::NESTING));
    }
    let Value::Object(template) = value else { return Err("it is no mapping".into()) };
    let is = |key: &str, wanted: &str| match template.get(key) {
        Some(Value::String(found)) if found == wanted => Ok(()),
        Some(found) => Err(format!("{key} is {found}, not {wanted}")),
        None => Err(format!("it has no {key}")),
    };
    is("apiVersion", "operators.coreos.com/v1alpha1")?;
    is("kind", "CatalogSource")?;
    for (key, allowed) in [("metadata", true), ("spec", true), ("status", false)] {
        match template.get(key) {
            None => {}
            Some(Value::Object(_)) if allowed => {}
            Some(_) => return Err(format!("{key} is not what it is in a CatalogSource to be created")),
        }
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
