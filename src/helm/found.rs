//! What was found in a chart: images, and texts that should be images and are not.

use super::path::ImagePath;
use super::template::UNKNOWN;
use super::yaml;
use crate::image_set::Source;
use crate::limits;
use crate::text::shown;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Images by name, and what could not be taken.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) images: BTreeMap<String, Source>,
    /// Without tag and digest, or no reference at all.
    pub(super) refused: BTreeSet<String>,
    /// With parts that were not understood.
    pub(super) unread: BTreeSet<String>,
    /// Texts at `imagePaths` that are no images.
    pub(super) other: BTreeSet<String>,
    /// Documents that are not YAML.
    pub(super) broken: usize,
}

impl Found {
    /// Takes what stands where an image belongs.
    pub(super) fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.is_empty() || self.images.len() >= limits::CHART_IMAGES {
            return;
        }
        if text.contains(UNKNOWN) {
            note(&mut self.unread, &text.replace(UNKNOWN, "?"));
        } else if let Some(source) = image(text) {
            self.images.insert(source.to_string(), source);
        } else {
            note(&mut self.refused, text);
        }
    }

    /// Takes what stands where the person says an image may be: what is none is told apart.
    fn add_at_path(&mut self, text: &str) {
        match image(text.trim()) {
            Some(source) if self.images.len() < limits::CHART_IMAGES => {
                self.images.insert(source.to_string(), source);
            }
            Some(_) => {}
            None if text.trim().is_empty() => {}
            None => note(&mut self.other, text),
        }
    }

    /// Reads a stream of documents as Kubernetes would see them, and the texts at `paths`.
    pub(super) fn documents(&mut self, text: &str, paths: &[ImagePath]) {
        for document in yaml::documents(text) {
            match yaml::parse(document) {
                Ok(value) => self.document(&value, paths),
                Err(_) => self.broken += 1,
            }
        }
    }

    fn document(&mut self, value: &Value, paths: &[ImagePath]) {
        self.pods(value, 0);
        for object in objects(value) {
            for text in paths.iter().flat_map(|path| path.find(object)) {
                self.add_at_path(text);
            }
        }
    }

    /// Pod specifications wherever they are: their lists of containers have names that nothing else has.
    fn pods(&mut self, value: &Value, depth: usize) {
        if depth > limits::NESTING {
            return;
        }
        match value {
            Value::Array(list) => list.iter().for_each(|value| self.pods(value, depth + 1)),
            Value::Object(map) => {
                for (key, value) in map {
                    let list = || value.as_array().into_iter().flatten();
                    match key.as_str() {
                        "containers" | "initContainers" | "ephemeralContainers" => {
                            list().filter_map(|c| c.get("image")?.as_str()).for_each(|image| self.add(image));
                        }
                        "volumes" => {
                            list().filter_map(|v| v.get("image")?.get("reference")?.as_str()).for_each(|image| self.add(image));
                        }
                        _ => {}
                    }
                    self.pods(value, depth + 1);
                }
            }
            _ => {}
        }
    }

    /// `artifacthub.io/images`: a list of `{name, image}` in an annotation (Artifact Hub, "Supported annotations").
    pub(super) fn annotation(&mut self, text: &str) {
        match yaml::parse(text) {
            Ok(Value::Array(list)) => list.iter().filter_map(|entry| entry.get("image")?.as_str()).for_each(|image| self.add(image)),
            _ => self.broken += 1,
        }
    }
}

/// An image in a registry. A folder of this machine (`oci:...`) is not for a chart to name.
pub(super) fn image(text: &str) -> Option<Source> {
    match Source::parse(text) {
        Ok(source @ Source::Registry(_)) => Some(source),
        Ok(Source::Layout { .. } | Source::Made(_)) | Err(_) => None,
    }
}

/// The object itself, or the members of a List.
fn objects(value: &Value) -> Vec<&Value> {
    match value.get("items").and_then(Value::as_array) {
        Some(items) if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List")) => items.iter().collect(),
        _ => vec![value],
    }
}

fn note(set: &mut BTreeSet<String>, text: &str) {
    if set.len() < 1000 {
        set.insert(shown(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, paths: &[&str]) -> Found {
        let paths: Vec<ImagePath> = paths.iter().map(|p| ImagePath::parse(p).unwrap()).collect();
        let mut found = Found::default();
        found.documents(text, &paths);
        found
    }

    #[test]
    fn every_container_of_every_pod_is_found() {
        let text = r#"
kind: Deployment
spec: {template: {spec: {containers: [{image: "a:1"}], initContainers: [{image: "b:1"}], volumes: [{image: {reference: "v:1"}}]}}}
---
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: "c:1"}]}}}}}
---
# Source: hook
kind: Pod
metadata: {annotations: {helm.sh/hook: test}}
spec: {containers: [{image: "d:1"}], ephemeralContainers: [{image: "e:1"}]}
---
kind: List
items: [{kind: Pod, spec: {containers: [{image: "f:1"}]}}]
"#;
        let names: Vec<String> = found(text, &[]).images.into_keys().collect();
        let short: Vec<&str> = names.iter().map(|n| n.rsplit('/').next().unwrap()).collect();
        assert_eq!(short, ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "v:1"]);
    }

    #[test]
    fn an_image_without_tag_is_told_not_guessed() {
        let found = found("spec: {containers: [{image: busybox}, {image: 'oci:/etc'}]}", &[]);
        assert!(found.images.is_empty());
        assert_eq!(found.refused.into_iter().collect::<Vec<_>>(), ["busybox", "oci:/etc"]);
    }

    #[test]
    fn paths_find_what_pods_do_not_name() {
        let text = "kind: List\nitems: [{kind: X, spec: {image: 'quay.io/x/y:1', env: [true, 'plain words']}}]";
        let found = found(text, &["{.spec.image}", ".spec.env[*]"]);
        assert_eq!(found.images.into_keys().collect::<Vec<_>>(), ["quay.io/x/y:1"]);
        assert_eq!(found.other.len(), 1);
    }
}
