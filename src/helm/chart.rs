//! A chart in memory: what it is, its default values, its templates, the charts inside of it.

use super::archive::{self, Allowance, Files};
use super::error::ChartFault;
use super::yaml;
use crate::limits;
use crate::text::shown;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `Chart.yaml`, as far as helm itself keeps it; also the configuration of the chart as an OCI artifact.
/// Numbers where texts belong are taken as written, as helm's reader does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)] // the members are those of helm's documentation, "The Chart.yaml File"
pub struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keywords: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintainers: Option<Vec<Maintainer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Vec<Dependency>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// One of `maintainers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct Maintainer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One of `dependencies`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs)]
pub struct Dependency {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    pub repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(rename = "import-values", skip_serializing_if = "Option::is_none")]
    pub import_values: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

impl Metadata {
    /// The name; proven to be there when the chart was read.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The version; proven to be there when the chart was read.
    pub fn version(&self) -> &str {
        self.version.as_deref().unwrap_or_default()
    }

    /// A library renders nothing by itself.
    pub fn is_library(&self) -> bool {
        self.kind.as_deref() == Some("library")
    }
}

/// A chart that was read.
#[derive(Clone, Debug)]
pub(super) struct Chart {
    pub(super) metadata: Metadata,
    pub(super) values: Value,
    /// `templates/**`, sorted by path.
    pub(super) templates: Vec<(String, String)>,
    /// `crds/**`, sorted by path.
    pub(super) crds: Vec<(String, String)>,
    pub(super) charts: Vec<Chart>,
    /// Dependencies, from `Chart.yaml` or the older `requirements.yaml`.
    pub(super) dependencies: Vec<Dependency>,
}

impl Chart {
    /// Reads a `.tgz` with everything in it.
    pub(super) fn read(archive: &[u8]) -> Result<Chart, ChartFault> {
        let mut allowance = Allowance::default();
        Chart::of(archive::read(archive, &mut allowance)?, 0, &mut allowance)
    }

    fn of(mut files: Files, depth: usize, allowance: &mut Allowance) -> Result<Chart, ChartFault> {
        if depth > limits::CHART_DEPTH {
            return Err(ChartFault::TooDeep(limits::CHART_DEPTH));
        }
        let metadata = metadata(&files.remove("Chart.yaml").ok_or(ChartFault::NoChartYaml)?)?;
        let values = match files.remove("values.yaml") {
            Some(bytes) => values(&text("values.yaml", bytes)?).map_err(|why| document("values.yaml", why))?,
            None => Value::Object(serde_json::Map::new()),
        };
        let dependencies = match (&metadata.dependencies, files.remove("requirements.yaml")) {
            (Some(dependencies), _) => dependencies.clone(),
            (None, Some(bytes)) => requirements(&text("requirements.yaml", bytes)?)?,
            (None, None) => Vec::new(),
        };
        let mut chart = Chart { metadata, values, templates: Vec::new(), crds: Vec::new(), charts: Vec::new(), dependencies };
        let mut inner: BTreeMap<String, Files> = BTreeMap::new();
        for (path, bytes) in files {
            if let Some(rest) = path.strip_prefix("charts/") {
                match rest.split_once('/') {
                    // What begins with `_` or `.` is no chart to helm.
                    _ if rest.starts_with(['_', '.']) => {}
                    Some((folder, below)) => {
                        inner.entry(folder.to_owned()).or_default().insert(below.to_owned(), bytes);
                    }
                    None => chart.charts.push(Chart::of(archive::read(&bytes, allowance)?, depth + 1, allowance)?),
                }
            } else if path.starts_with("templates/") {
                // A picture among the templates is no template.
                if let Ok(text) = String::from_utf8(bytes) {
                    chart.templates.push((path, text));
                }
            } else if let Ok(text) = String::from_utf8(bytes) {
                chart.crds.push((path, text));
            }
        }
        for files in inner.into_values().filter(|files| files.contains_key("Chart.yaml")) {
            chart.charts.push(Chart::of(files, depth + 1, allowance)?);
        }
        chart.charts.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(chart)
    }

    /// `NAME VERSION`, harmless to print.
    pub(super) fn title(&self) -> String {
        shown(&format!("{} {}", self.metadata.name(), self.metadata.version())).to_string()
    }
}

fn text(file: &str, bytes: Vec<u8>) -> Result<String, ChartFault> {
    String::from_utf8(bytes).map_err(|_| document(file, "it is not UTF-8".into()))
}

fn document(file: &str, why: String) -> ChartFault {
    ChartFault::Document { file: file.to_owned(), why }
}

/// Values are a mapping; an empty file is an empty one.
pub(super) fn values(text: &str) -> Result<Value, String> {
    match yaml::parse(text)? {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        map @ Value::Object(_) => Ok(map),
        _ => Err("it is not a mapping".into()),
    }
}

/// Reads `Chart.yaml`. Typed, so that `version: 1.10` keeps its zero.
pub(super) fn metadata(bytes: &[u8]) -> Result<Metadata, ChartFault> {
    let bad = |why: String| document("Chart.yaml", why);
    let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not UTF-8".into()))?;
    // First with all ceilings on, so that the typed reader meets nothing that multiplies.
    yaml::parse(text).map_err(bad)?;
    let metadata: Metadata = serde_yaml::from_str(text).map_err(|e| bad(shown(&e.to_string()).to_string()))?;
    let plain = |text: &str| !text.is_empty() && text.len() <= 250 && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    // Helm's own rule for names; a `/` would lead to another place.
    if !plain(metadata.name()) || metadata.name().contains(['/', '\\']) || matches!(metadata.name(), "." | "..") {
        return Err(ChartFault::Metadata("name is missing or no name".into()));
    }
    if !plain(metadata.version()) {
        return Err(ChartFault::Metadata("version is missing or no version".into()));
    }
    Ok(metadata)
}

fn requirements(text: &str) -> Result<Vec<Dependency>, ChartFault> {
    #[derive(Deserialize, Default)]
    struct Requirements {
        #[serde(default)]
        dependencies: Option<Vec<Dependency>>,
    }
    let bad = |why: String| document("requirements.yaml", why);
    if yaml::parse(text).map_err(bad)?.is_null() {
        return Ok(Vec::new());
    }
    let read: Requirements = serde_yaml::from_str(text).map_err(|e| bad(shown(&e.to_string()).to_string()))?;
    Ok(read.dependencies.unwrap_or_default())
}
