//! Charts: the images they need, and the charts themselves as artifacts.
//!
//! A chart comes from a folder or an archive on disk ([`Package::open`]), from a repository on the web ([`Repository`]) or from
//! a registry ([`find`], [`fetch`]). Its images are found by `helm template` where there is helm, else by reading its templates
//! without rendering them; [`Package::images`] always says which, and what may be missed. A chart that is not in a registry
//! yet becomes an OCI artifact in the workspace ([`Package::artifact`]), as `helm push` would make it.

mod archive;
mod artifact;
mod chart;
mod error;
mod found;
mod guess;
mod path;
mod reader;
mod registry;
mod render;
mod repository;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod versions;
mod yaml;

pub use artifact::Artifact;
pub use chart::{Dependency, Maintainer, Metadata};
pub use error::{ChartFault, HelmError};
pub use path::{ImagePath, PathError};
pub use registry::{InRegistry, fetch, find};
pub use render::Program;
pub use repository::{Entry, Place, Repository};

use crate::fs::{Dir, File};
use crate::image_set::Source;
use crate::layout::Layout;
use crate::limits;
use crate::text::{are, counted, shown};
use archive::PackError;
use chart::Chart;
use found::Found;
use reader::Reading;
use render::RenderError;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How images are looked for.
#[derive(Clone, Copy, Default)]
pub struct Settings<'a> {
    /// Helm, where there is one.
    pub program: Option<Program<'a>>,
    /// Values files for every chart, in order.
    pub values: &'a [PathBuf],
}

/// A chart: its archive, and what is in it.
#[derive(Clone)]
pub struct Package {
    bytes: Arc<[u8]>,
    chart: Chart,
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Package({}, {} bytes)", self.title(), self.bytes.len())
    }
}

/// The images of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// In order of their names, each once.
    pub sources: Vec<Source>,
    /// How they were found, and what may be missed; harmless to print.
    pub notes: Vec<String>,
}

impl Package {
    /// Reads an archive. `subject` names it in errors.
    ///
    /// # Errors
    /// [`HelmError::Chart`].
    pub fn read(bytes: Vec<u8>, subject: &str) -> Result<Package, HelmError> {
        let chart = Chart::read(&bytes).map_err(|fault| HelmError::Chart { chart: subject.to_owned(), fault })?;
        Ok(Package { bytes: bytes.into(), chart })
    }

    /// Opens a `.tgz`, or a folder, which is packed as `helm package` would, the same bytes every time.
    ///
    /// # Errors
    /// [`HelmError::Fs`], [`HelmError::Chart`].
    pub fn open(path: &Path) -> Result<Package, HelmError> {
        let subject = path.display().to_string();
        let fault = |fault| HelmError::Chart { chart: subject.clone(), fault };
        match Dir::open(path) {
            Ok(folder) => {
                let yaml = folder.read_if_there("Chart.yaml", limits::CHART_FILE_BYTES)?.ok_or_else(|| fault(ChartFault::NoChartYaml))?;
                let name = chart::metadata(&yaml).map_err(fault)?;
                let bytes = archive::pack(&folder, name.name()).map_err(|e| match e {
                    PackError::Fs(e) => HelmError::Fs(e),
                    PackError::Chart(e) => fault(e),
                })?;
                Package::read(bytes, &subject)
            }
            Err(e) if e.source.kind() == io::ErrorKind::NotADirectory => {
                let file = File::open_path(path)?;
                if file.size() > limits::CHART_BYTES {
                    return Err(fault(ChartFault::FileTooLarge(subject.clone(), limits::CHART_BYTES)));
                }
                let mut bytes = Vec::new();
                file.take(limits::CHART_BYTES).read_to_end(&mut bytes).map_err(|e| crate::fs::FsError::from_io(e, "read", path))?;
                Package::read(bytes, &subject)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// `Chart.yaml`.
    pub fn metadata(&self) -> &Metadata {
        &self.chart.metadata
    }

    /// The archive.
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// `NAME VERSION`, harmless to print.
    pub fn title(&self) -> String {
        self.chart.title()
    }

    /// Writes the chart into the workspace as an OCI artifact.
    ///
    /// # Errors
    /// [`HelmError::Name`], [`HelmError::Workspace`].
    pub fn artifact(&self, workspace: &Layout) -> Result<Artifact, HelmError> {
        artifact::make(self, workspace)
    }

    /// Finds the images of the chart. `paths` say where in its documents further ones are named.
    ///
    /// # Errors
    /// [`HelmError::Values`], [`HelmError::Fs`] for values files; [`HelmError::Interrupted`]. That helm fails is no error: the chart
    /// is read without it, and a note says so.
    pub fn images(&self, paths: &[ImagePath], settings: &Settings<'_>, stopped: &dyn Fn() -> bool) -> Result<Images, HelmError> {
        let mut failure = String::new();
        if let Some(program) = &settings.program {
            match render::template(program, &self.title(), &self.bytes, settings.values, stopped) {
                Ok(text) => return Ok(self.of_documents(&text, paths)),
                Err(RenderError::Interrupted) => return Err(HelmError::Interrupted),
                Err(e) => failure = format!("{e}; "),
            }
        }
        let over = settings.values.iter().map(|path| values_file(path)).collect::<Result<Vec<_>, _>>()?;
        let mut reading = reader::read(&self.chart, &over, paths);
        self.annotated(&mut reading.found);
        Ok(self.of_reading(reading, &failure))
    }

    fn annotated(&self, found: &mut Found) {
        let annotations = self.chart.metadata.annotations.iter().flatten();
        annotations.filter(|(key, _)| *key == "artifacthub.io/images").for_each(|(_, text)| found.annotation(text));
    }

    fn of_documents(&self, text: &str, paths: &[ImagePath]) -> Images {
        let mut found = Found::default();
        found.documents(text, paths);
        self.annotated(&mut found);
        let way = "rendered by helm template with default values and the values files given";
        let miss = "may miss: images that only custom resources, arguments or environment variables name (give imagePaths)";
        self.told(found, &format!("{way}; {miss}"), Vec::new())
    }

    fn of_reading(&self, reading: Reading, failure: &str) -> Images {
        let way =
            format!("{failure}found by reading templates and values without rendering, both ways where a condition depends on the cluster");
        let miss = "may miss: images put together by functions that are not known here, and those that only custom resources, arguments \
                    or environment variables name; give imagePaths or install helm";
        let more = vec![
            ("named by values only, perhaps used by no template", reading.from_values),
            ("left out, since the values switch it off", reading.off),
            ("could not be read", reading.gaps),
        ];
        self.told(reading.found, &format!("{way}; {miss}"), more)
    }

    fn told(&self, found: Found, way: &str, more: Vec<(&str, Vec<String>)>) -> Images {
        let mut notes = vec![format!("chart {}: {} {way}", self.title(), counted(found.images.len(), "image"))];
        let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
        let lists = [
            ("neither tag nor digest, or no image reference; not taken (name it under additionalImages)", list(found.refused)),
            ("partly not understood; not taken (name it under additionalImages)", list(found.unread)),
            ("at imagePaths, but no image with tag or digest; not taken", list(found.other)),
        ];
        for (why, names) in lists.into_iter().chain(more).filter(|(_, names)| !names.is_empty()) {
            notes.push(format!("chart {}: {why}: {}", self.title(), some(&names)));
        }
        if found.broken > 0 {
            let broken = counted(found.broken, "document");
            notes.push(format!("chart {}: {broken} {} not YAML and not looked into", self.title(), are(found.broken)));
        }
        if found.images.len() >= limits::CHART_IMAGES {
            notes.push(format!("chart {}: it names more images than the {} that are taken", self.title(), limits::CHART_IMAGES));
        }
        Images { sources: found.images.into_values().collect(), notes }
    }
}

/// A list for a person: all of it while it is short.
fn some(names: &[String]) -> String {
    let mut text = names.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > 20 {
        text.push_str(&format!(" and {} more", names.len() - 20));
    }
    text
}

fn values_file(path: &Path) -> Result<serde_json::Value, HelmError> {
    let file = File::open_path(path)?;
    let bad = |why: &str| HelmError::Values { path: path.to_owned(), why: shown(why).to_string() };
    if file.size() > limits::CHART_FILE_BYTES {
        return Err(bad("it is larger than any values file"));
    }
    let mut text = String::new();
    file.take(limits::CHART_FILE_BYTES).read_to_string(&mut text).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => bad("it is not UTF-8"),
        _ => HelmError::Fs(crate::fs::FsError::from_io(e, "read", path)),
    })?;
    chart::values(&text).map_err(|why| bad(&why))
}

/// A version as a tag: `+` is none of a tag's characters (helm documentation, "Use OCI-based registries").
pub fn tag_of(version: &str) -> String {
    version.replace('+', "_")
}

/// The version of a tag.
pub fn version_of(tag: &str) -> String {
    tag.replace('_', "+")
}
