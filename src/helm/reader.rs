//! Images of a chart without helm: its templates read with its values, and its values looked through.

use super::chart::{Chart, Dependency};
use super::found::{Found, image};
use super::path::ImagePath;
use super::template::{Context, Library, Val};
use super::{guess, yaml};
use crate::limits;
use crate::text::shown;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};

/// What reading found, and what it knows it did not see.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) found: Found,
    /// Images that only the values name.
    pub(super) from_values: Vec<String>,
    /// What the values switch off.
    pub(super) off: Vec<String>,
    /// Templates that were not understood at all, and other gaps.
    pub(super) gaps: Vec<String>,
}

/// One chart of the tree with the values it is given.
struct Part<'c> {
    chart: &'c Chart,
    /// The alias where there is one.
    name: String,
    values: Value,
    parts: Vec<Part<'c>>,
}

/// Reads a chart. `over` are the person's values files, in order.
pub(super) fn read(chart: &Chart, over: &[Value], paths: &[ImagePath]) -> Reading {
    let mut reading = Reading::default();
    let mut values = chart.values.clone();
    over.iter().for_each(|file| yaml::merge(&mut values, file, 0));
    let tags = values.get("tags").cloned().unwrap_or(Value::Null);
    let mut assembly = Assembly { tags, left: limits::CHART_ALL_VALUES, reading: &mut reading };
    let root = assembly.of(chart, chart.metadata.name().to_owned(), values);
    let mut library = Library::default();
    let mut bodies = Vec::new();
    collect(&root, &mut library, &mut bodies, &mut reading);
    let mut context = Context::new(&library);
    for (scope, path, body) in &bodies {
        let text = context.run(body, scope.clone()).text;
        rendered(&text, paths, &mut reading.found);
        if context.gave_up {
            reading.gaps.push(format!("{} and what follows it (too much work)", shown(path)));
            break;
        }
    }
    crds(&root, paths, &mut reading.found);
    let mut known = Known::of(&reading.found);
    guessed(&root, &mut known, &mut reading);
    reading
}

/// Puts charts together with the values they are given.
struct Assembly<'r> {
    tags: Value,
    /// Of [`limits::CHART_ALL_VALUES`].
    left: usize,
    reading: &'r mut Reading,
}

impl Assembly<'_> {
    /// Charts below a chart, as its dependencies switch them on and name them (helm documentation, "Chart Dependencies").
    fn of<'c>(&mut self, chart: &'c Chart, name: String, mut values: Value) -> Part<'c> {
        let mut wanted: Vec<(&Chart, String)> = Vec::new();
        for dependency in &chart.dependencies {
            let alias = dependency.alias.clone().unwrap_or_else(|| dependency.name.clone());
            match chart.charts.iter().find(|c| c.metadata.name() == dependency.name) {
                _ if !enabled(dependency, &values, &self.tags) => self.reading.off.push(format!("chart {}", shown(&alias))),
                Some(found) => wanted.push((found, alias)),
                None => self.reading.gaps.push(format!("chart {}, which is not in the archive", shown(&dependency.name))),
            }
        }
        let listed = |c: &&Chart| chart.dependencies.iter().any(|d| d.name == c.metadata.name());
        wanted.extend(chart.charts.iter().filter(|c| !listed(c)).map(|c| (c, c.metadata.name().to_owned())));
        let mut parts = Vec::new();
        for (child, alias) in wanted {
            let (over, global) = (values.get(&alias), values.get("global"));
            let templates: usize = child.templates.iter().map(|(path, text)| path.len() + text.len()).sum();
            let room =
                self.spend(1 + templates / TEMPLATE) && [Some(&child.values), over, global].into_iter().flatten().all(|v| self.take(v));
            if !room {
                self.reading.gaps.push(format!("chart {} and what follows it (too much)", shown(&alias)));
                break;
            }
            let mut given = child.values.clone();
            if let Some(over) = over {
                yaml::merge(&mut given, over, 0);
            }
            if let (Some(global), Value::Object(given)) = (global, &mut given) {
                yaml::merge(given.entry("global").or_insert_with(|| Value::Object(Map::new())), global, 0);
            }
            let part = self.of(child, alias.clone(), given);
            // The parent sees what its child is given.
            if !self.take(&part.values) {
                self.reading.gaps.push(format!("what chart {} is given, for the charts above it (too much)", shown(&alias)));
            } else if let Value::Object(values) = &mut values {
                values.insert(alias, part.values.clone());
            }
            parts.push(part);
        }
        Part { chart, name, values, parts }
    }

    fn spend(&mut self, units: usize) -> bool {
        let left = self.left.checked_sub(units);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Room for a copy of these values; no more of them is looked at than there is room for.
    fn take(&mut self, value: &Value) -> bool {
        match value {
            Value::Array(list) => self.spend(1) && list.iter().all(|value| self.take(value)),
            Value::Object(map) => self.spend(1) && map.iter().all(|(key, value)| self.spend(key.len() / TEXT) && self.take(value)),
            Value::String(text) => self.spend(1 + text.len() / TEXT),
            _ => self.spend(1),
        }
    }
}

/// Bytes of text that weigh as much as a value.
const TEXT: usize = 32;
/// Bytes of a template, which is parsed.
const TEMPLATE: usize = 8;

/// The first condition that is a yes or no decides, then tags; without either it is on.
fn enabled(dependency: &Dependency, values: &Value, tags: &Value) -> bool {
    let at = |path: &str| path.trim().split('.').try_fold(values, |value, key| value.get(key)).and_then(Value::as_bool);
    if let Some(decided) = dependency.condition.iter().flat_map(|c| c.split(',')).find_map(at) {
        return decided;
    }
    let tagged: Vec<bool> = dependency.tags.iter().flatten().filter_map(|tag| tags.get(tag)?.as_bool()).collect();
    tagged.is_empty() || tagged.contains(&true)
}

/// All templates: those of sub-charts first, since a parent's definition replaces theirs.
fn collect(part: &Part<'_>, library: &mut Library, bodies: &mut Vec<(Val, String, super::template::Body)>, reading: &mut Reading) {
    for inner in &part.parts {
        collect(inner, library, bodies, reading);
    }
    let scope = scope(part);
    for (path, source) in &part.chart.templates {
        let file = path.rsplit('/').next().unwrap_or_default();
        let place = format!("{}/{path}", part.name);
        match library.add(source) {
            None => reading.gaps.push(format!("template {}", shown(&place))),
            Some(body) if !file.starts_with('_') && !file.ends_with(".txt") && !part.chart.metadata.is_library() => {
                bodies.push((scope.clone(), place, body));
            }
            Some(_) => {}
        }
    }
}

/// `.` of a chart's templates (helm documentation, "Built-in Objects").
fn scope(part: &Part<'_>) -> Val {
    let meta = &part.chart.metadata;
    let chart = json!({
        "Name": part.name, "Version": meta.version, "AppVersion": meta.app_version, "Type": meta.kind, "APIVersion": meta.api_version,
        "Description": meta.description, "Home": meta.home, "Icon": meta.icon, "KubeVersion": meta.kube_version,
        "Annotations": meta.annotations, "Keywords": meta.keywords, "Deprecated": meta.deprecated,
    });
    let release =
        json!({"Name": "release-name", "Namespace": "default", "Service": "Helm", "Revision": 1, "IsInstall": true, "IsUpgrade": false});
    let mut scope = BTreeMap::from([
        ("Values".to_owned(), Val::of(&part.values)),
        ("Chart".to_owned(), Val::of(&chart)),
        ("Release".to_owned(), Val::of(&release)),
    ]);
    for name in ["Capabilities", "Template", "Files", "Subcharts"] {
        scope.insert(name.to_owned(), Val::Unknown);
    }
    Val::map(scope)
}

/// What a template became: as documents where it can be read so, and line by line in any case.
fn rendered(text: &str, paths: &[ImagePath], found: &mut Found) {
    for document in yaml::documents(text) {
        let parsed = yaml::parse(document).ok();
        let definition = |v: &Value| v.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition");
        if parsed.as_ref().is_some_and(definition) {
            continue;
        }
        if parsed.is_some() {
            found.documents(document, paths);
        }
        document.lines().filter_map(image_line).for_each(|image| found.add(image));
    }
}

/// The value of an `image:` line.
fn image_line(line: &str) -> Option<&str> {
    let line = line.trim();
    let value = line.strip_prefix("- ").unwrap_or(line).trim_start().strip_prefix("image:")?;
    let value = if value.is_empty() { value } else { value.strip_prefix([' ', '\t'])? }.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote) {
            return inner.split(quote).next();
        }
    }
    let plain = value.split(" #").next().unwrap_or_default().trim_end();
    // A mapping, an anchor, a block: the document says what it is.
    (!plain.starts_with(['{', '[', '&', '*', '|', '>', '#', '!'])).then_some(plain)
}

fn crds(part: &Part<'_>, paths: &[ImagePath], found: &mut Found) {
    part.parts.iter().for_each(|inner| crds(inner, paths, found));
    // Definitions hold no pods; only who gives a path wants them looked at.
    if !paths.is_empty() {
        part.chart.crds.iter().for_each(|(_, text)| found.documents(text, paths));
    }
}

/// Adds what values name and no template that was understood did.
fn guessed(part: &Part<'_>, known: &mut Known, reading: &mut Reading) {
    part.parts.iter().for_each(|inner| guessed(inner, known, reading));
    if part.chart.metadata.is_library() {
        return;
    }
    // Values of the charts below are looked through with those charts.
    let below: Vec<&str> = part.parts.iter().map(|p| p.name.as_str()).collect();
    let off: Vec<&str> = part.chart.dependencies.iter().map(|d| d.alias.as_deref().unwrap_or(&d.name)).collect();
    let mut own = part.values.clone();
    if let Value::Object(own) = &mut own {
        own.retain(|key, _| !below.contains(&key.as_str()) && !off.contains(&key.as_str()));
    }
    for guess in guess::images(&own, part.chart) {
        let place = shown(&format!("{}: {}", part.name, guess.place)).to_string();
        if known.has(&guess.image) {
            continue;
        }
        let Some(source) = image(&guess.image) else {
            if !guess.off {
                reading.found.add(&guess.image);
            }
            continue;
        };
        if guess.off {
            reading.off.push(format!("{} ({place})", shown(&guess.image)));
        } else if reading.found.images.len() < limits::CHART_IMAGES {
            reading.from_values.push(format!("{} ({place})", shown(&guess.image)));
            known.add(&source.to_string());
            reading.found.images.insert(source.to_string(), source);
        }
    }
}

/// Repositories that are named already, with or without what stands before them: who put an image together in a template
/// knows better what belongs around it than who looks at the values.
#[derive(Default)]
struct Known(HashSet<String>);

impl Known {
    fn of(found: &Found) -> Known {
        let mut known = Known::default();
        found.images.keys().chain(&found.refused).for_each(|name| known.add(name));
        known
    }

    fn add(&mut self, image: &str) {
        let mut name = repository(image);
        self.0.insert(name.to_owned());
        while let Some((_, rest)) = name.split_once('/') {
            self.0.insert(rest.to_owned());
            name = rest;
        }
    }

    fn has(&self, image: &str) -> bool {
        self.0.contains(repository(image))
    }
}

/// A reference without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}
