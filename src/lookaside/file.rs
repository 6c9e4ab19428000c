//! The files of `registries.d`, read and joined.

use super::{Scopes, Store};
use crate::fs::{Dir, FsError, Loaded, Trouble, read_user_file};
use crate::limits::REGISTRIES_D_FILES;
use crate::text::{bare_address, shown, without_userinfo};
use crate::yaml;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// It is not as its format demands.
    #[error("{}: {fault}", shown(&.path.to_string_lossy()))]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not YAML, or not of the right form.
    #[error("{0}")]
    Syntax(String),
    /// Two files, or one twice, about one scope.
    #[error("the scope {0} is configured twice")]
    Twice(String),
    /// Not `http://`, `https://` or `file:///`.
    #[error("{0} is neither an http or https address nor file:// with a path")]
    Store(String),
}

/// Where `registries.d` is looked for. Who calls knows the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folders {
    /// A folder that was named: it must be there, and only it is read.
    pub named: Option<PathBuf>,
    /// The usual ones, the user's own first: the first that is there is read.
    pub usual: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    default_docker: Option<Section>,
    docker: Option<Sections>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_yaml::Value>,
}

/// Sections by scope, in order: the usual map would take the last of two about one scope.
#[derive(Default)]
struct Sections(Vec<(String, Section)>);

impl<'de> Deserialize<'de> for Sections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sections, D::Error> {
        deserializer.deserialize_map(ReadSections)
    }
}

struct ReadSections;

impl<'de> Visitor<'de> for ReadSections {
    type Value = Sections;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sections by scope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sections, A::Error> {
        let mut sections = Vec::new();
        while let Some((scope, section)) = map.next_entry::<String, Option<Section>>()? {
            sections.push((scope, section.unwrap_or_default()));
        }
        Ok(Sections(sections))
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Section {
    lookaside: Option<String>,
    /// The name of it before 2022.
    sigstore: Option<String>,
    /// Only written to.
    #[serde(rename = "lookaside-staging")]
    _staging: Option<serde_yaml::Value>,
    #[serde(rename = "sigstore-staging")]
    _old_staging: Option<serde_yaml::Value>,
    /// Cosign's signatures are looked for in any case.
    #[serde(rename = "use-sigstore-attachments")]
    _attachments: Option<serde_yaml::Value>,
    #[serde(rename = "use-cosign-attachments")]
    _old_attachments: Option<serde_yaml::Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, serde_yaml::Value>,
}

impl Folders {
    /// Reads all `*.yaml` of the folder; none at all is no error.
    ///
    /// # Errors
    /// [`ConfigError`] for the first file that cannot be used.
    pub fn load(&self) -> Result<Loaded<Scopes>, ConfigError> {
        let mut loaded = Loaded::default();
        if let Some(folder) = &self.named {
            loaded.add_folder(&Dir::open(folder)?)?;
            return Ok(loaded);
        }
        for folder in &self.usual {
            match Dir::open(folder) {
                Ok(dir) => {
                    loaded.add_folder(&dir)?;
                    break;
                }
                Err(e) if e.trouble() == Trouble::Absent => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(loaded)
    }
}

impl Loaded<Scopes> {
    fn add_folder(&mut self, dir: &Dir) -> Result<(), ConfigError> {
        let names = dir.names_ending(".yaml")?;
        if names.len() > REGISTRIES_D_FILES {
            let why = format!("there are {} files in its folder, at most {REGISTRIES_D_FILES} are read", names.len());
            return Err(ConfigError::Content { path: dir.path().to_owned(), fault: Fault::Syntax(why) });
        }
        let mut known = BTreeMap::new();
        for name in names {
            let path = dir.join(&name);
            let bytes = read_user_file(&path)?;
            self.add(&path, &bytes, &mut known).map_err(|fault| ConfigError::Content { path: path.clone(), fault })?;
            self.files.push(path);
        }
        Ok(())
    }

    /// One file. `known` has the scopes that were configured, also those without a store to read from.
    pub(super) fn add(&mut self, path: &Path, bytes: &[u8], known: &mut BTreeMap<Option<String>, ()>) -> Result<(), Fault> {
        let syntax = |why: String| Fault::Syntax(shown(&without_userinfo(&why)).to_string());
        yaml::admit(bytes).map_err(|e| syntax(e.to_string()))?;
        let document: Option<Document> = serde_yaml::from_slice(bytes).map_err(|e| syntax(e.to_string()))?;
        let Document { default_docker, docker, rest } = document.unwrap_or_default();
        let mut foreign: Vec<String> = rest.into_keys().collect();
        let scoped = docker.unwrap_or_default().0.into_iter().map(|(scope, section)| (Some(scope), section));
        for (scope, section) in default_docker.map(|section| (None, section)).into_iter().chain(scoped) {
            foreign.extend(section.rest.into_keys());
            let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
            if let Some(text) = filled(section.lookaside).or(filled(section.sigstore)) {
                self.content.set(scope.as_deref(), store(&text)?);
            }
            if known.insert(scope.clone(), ()).is_some() {
                return Err(Fault::Twice(scope.map_or("default-docker".to_owned(), |scope| shown(&scope).to_string())));
            }
        }
        let notice = |key: String| format!("{}: {} means nothing", shown(&path.to_string_lossy()), shown(&key));
        self.notices.extend(foreign.into_iter().map(notice));
        Ok(())
    }
}

fn store(text: &str) -> Result<Store, Fault> {
    match Store::parse(text) {
        Store::Folder(path) if !text.starts_with("file://") || !path.is_absolute() => {
            Err(Fault::Store(shown(&bare_address(text)).to_string()))
        }
        store => Ok(store),
    }
}
