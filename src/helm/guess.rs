//! Images that values name by the conventions of charts: `image: {registry, repository, tag, digest}` and the like.

use super::chart::Chart;
use crate::limits;
use serde_json::{Map, Value};

/// What looks like an image.
#[derive(Debug)]
pub(super) struct Guess {
    /// The reference put together; without tag where none is known.
    pub(super) image: String,
    /// Where in the values.
    pub(super) place: String,
    /// Something around it says `enabled: false`.
    pub(super) off: bool,
}

/// Looks through values.
pub(super) fn images(values: &Value, chart: &Chart) -> Vec<Guess> {
    let mut looking = Looking { registry: global_registry(values), chart, found: Vec::new() };
    looking.look(values, &mut Vec::new(), false);
    looking.found
}

struct Looking<'c> {
    registry: String,
    chart: &'c Chart,
    found: Vec<Guess>,
}

/// The registry for images that name none: Bitnami's convention, and ingress-nginx's.
fn global_registry(values: &Value) -> String {
    let at = |pointer: &str| values.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    at("/global/imageRegistry").or_else(|| at("/global/image/registry")).unwrap_or_default().to_owned()
}

impl Looking<'_> {
    fn look(&mut self, value: &Value, path: &mut Vec<String>, off: bool) {
        if path.len() > limits::NESTING || self.found.len() >= limits::CHART_IMAGES {
            return;
        }
        match value {
            Value::Object(map) => {
                let off = off || map.get("enabled") == Some(&Value::Bool(false));
                let whole = self.whole(map, path, off);
                for (key, value) in map {
                    path.push(key.clone());
                    match value {
                        Value::String(text) if !whole && is_image_key(key) => self.text(text, key, map, path, off),
                        value => self.look(value, path, off),
                    }
                    path.pop();
                }
            }
            Value::Array(list) => {
                for (i, value) in list.iter().enumerate() {
                    path.push(i.to_string());
                    self.look(value, path, off);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// A mapping that is an image as a whole; true when it is one.
    fn whole(&mut self, map: &Map<String, Value>, path: &[String], off: bool) -> bool {
        let text = |key: &str| map.get(key).map(scalar).unwrap_or_default();
        let has = |key: &str| map.contains_key(key);
        let named_image = path.last().is_some_and(|key| is_image_key(key));
        let repository = match (text("repository"), text("image")) {
            (repository, _) if !repository.is_empty() => repository,
            (_, image) if !image.is_empty() && (has("tag") || has("digest") || has("registry")) => image,
            _ => return false,
        };
        // A `repository` alone may be one of charts, of packages, of git.
        if repository.contains("://") || !(named_image || has("tag") || has("digest")) {
            return false;
        }
        let registry = Some(text("registry")).filter(|r| !r.is_empty()).unwrap_or_else(|| self.registry.clone());
        let name = if registry.is_empty() || starts_with_host(&repository) { repository } else { format!("{registry}/{repository}") };
        self.push(name, &text("tag"), &text("digest"), path, off);
        true
    }

    /// `image: name:tag`, or a name whose tag stands beside it.
    fn text(&mut self, text: &str, key: &str, map: &Map<String, Value>, path: &[String], off: bool) {
        let beside = [format!("{key}Tag"), "tag".to_owned()].iter().find_map(|k| map.get(k)).map(scalar).unwrap_or_default();
        let has_tag = text.contains('@') || text.rsplit('/').next().is_some_and(|last| last.contains(':'));
        // Of words without a tag many are no images at all; a whole reference is hardly anything else.
        if has_tag {
            self.found.push(Guess { image: text.to_owned(), place: path.join("."), off });
        } else if !beside.is_empty() && !text.is_empty() {
            self.push(text.to_owned(), &beside, "", path, off);
        }
    }

    fn push(&mut self, name: String, tag: &str, digest: &str, path: &[String], off: bool) {
        let tag = if tag.is_empty() && digest.is_empty() { self.app_version().unwrap_or_default() } else { tag.to_owned() };
        let mut image = name;
        if !tag.is_empty() {
            image.push(':');
            image.push_str(&tag);
        }
        if !digest.is_empty() {
            image.push('@');
            image.push_str(digest);
        }
        self.found.push(Guess { image, place: path.join("."), off });
    }

    /// What an empty tag becomes, where a template says so.
    fn app_version(&self) -> Option<String> {
        let version = self.chart.metadata.app_version.clone()?;
        let says = |line: &&str| line.contains("Chart.AppVersion") && line.to_lowercase().contains("tag");
        let line = self.chart.templates.iter().flat_map(|(_, text)| text.lines()).find(says)?;
        let v = line.contains("\"v%s\"") || line.contains("print \"v\"");
        Some(if v { format!("v{version}") } else { version })
    }
}

fn is_image_key(key: &str) -> bool {
    key == "image" || key.ends_with("Image") || key.ends_with("_image") || key.ends_with("-image")
}

fn starts_with_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}
