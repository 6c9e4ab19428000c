//! One `registries.conf`, read and checked.

use super::{Conf, Entry, Mirror, Pull};
use crate::fs::FsError;
use crate::text::shown;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfError {
    /// It could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// It is not as its format demands.
    #[error("{}: {fault}", .path.display())]
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
    /// Not TOML, or a value of another type than the key has.
    #[error("line {line}: {why}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// The parser's words.
        why: String,
    },
    /// `[registries.search]` and its like: the format of before 2018.
    #[error("it is in version 1 of the format ([registries.search], [registries.insecure], [registries.block])")]
    Version1,
    /// Neither `prefix` nor `location`.
    #[error("a [[registry]] has neither prefix nor location")]
    Nameless,
    /// A location that is empty or no `host[:port][/path]`.
    #[error("{:?} is not host[:port][/path], without a scheme", shown(.0).to_string())]
    Location(String),
    /// No location, where only a wildcard may lack one.
    #[error("the [[registry]] with prefix {:?} has no location", shown(.0).to_string())]
    NoLocation(String),
    /// A star anywhere else than in `*.`.
    #[error("in {:?} the star is not at the beginning of a host, as in *.example.com", shown(.0).to_string())]
    Wildcard(String),
    /// `pull-from-mirror` outside a mirror.
    #[error("pull-from-mirror is a setting of a [[registry.mirror]], not of the [[registry]] {:?}", shown(.0).to_string())]
    PullOfPrimary(String),
    /// Another word than `all`, `digest-only`, `tag-only`.
    #[error("pull-from-mirror is all, digest-only or tag-only, not {:?}", shown(.0).to_string())]
    Pull(String),
    /// `mirror-by-digest-only` together with `pull-from-mirror`.
    #[error("the [[registry]] {:?} has mirror-by-digest-only, and a mirror of it pull-from-mirror", shown(.0).to_string())]
    BothPulls(String),
    /// Two entries that contradict each other.
    #[error("two [[registry]] entries for {:?} differ in {what}", shown(.name).to_string())]
    Contradiction {
        /// The prefix or location both have.
        name: String,
        /// In what they differ.
        what: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    /// Version 1.
    registries: Option<toml::Value>,
    #[serde(default)]
    registry: Vec<Registry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Registry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    pull_from_mirror: Option<String>,
    #[serde(default)]
    mirror: Vec<MirrorTable>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

impl Conf {
    /// Reads one file. The second part names keys of entries that mean nothing, for a warning: other tools pass over them, and a
    /// misspelt `blocked` should not go unseen. What stands beside the entries (short names, credential helpers) is not looked at:
    /// short names are refused anyway.
    ///
    /// # Errors
    /// [`ConfError::Content`] for everything containers-registries.conf(5) forbids, and for entries that contradict each other.
    pub fn parse(path: &Path, text: &str) -> Result<(Conf, Vec<String>), ConfError> {
        let content = |fault| ConfError::Content { path: path.to_owned(), fault };
        let document: Document = toml::from_str(text).map_err(|e| content(syntax(text, &e)))?;
        if document.registries.is_some() {
            return Err(content(Fault::Version1));
        }
        let mut unknown = Vec::new();
        let mut entries = Vec::new();
        for registry in document.registry {
            let mirrors = registry.mirror.iter().flat_map(|mirror| mirror.rest.keys());
            unknown.extend(registry.rest.keys().chain(mirrors).map(|key| format!("{}: {} means nothing", path.display(), shown(key))));
            entries.push(registry.entry().map_err(content)?);
        }
        check(&entries).map_err(content)?;
        let mut conf = Conf::default();
        conf.replace_by(Conf { entries });
        Ok((conf, unknown))
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> Fault {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let why = shown(&error.message().chars().take(300).collect::<String>()).to_string();
    Fault::Syntax { line: before.matches('\n').count() + 1, why }
}

impl Registry {
    fn entry(self) -> Result<Entry, Fault> {
        let location = self.location.as_deref().map(place).transpose()?.filter(|location| !location.is_empty());
        let prefix = self.prefix.as_deref().map(place).transpose()?.filter(|prefix| !prefix.is_empty());
        let prefix = prefix.or_else(|| location.clone()).ok_or(Fault::Nameless)?;
        let wild = prefix.starts_with("*.");
        if prefix.strip_prefix("*.").unwrap_or(&prefix).contains('*') || prefix == "*." {
            return Err(Fault::Wildcard(prefix));
        }
        if let Some(location) = location.as_ref().filter(|location| location.contains('*')) {
            return Err(Fault::Wildcard(location.clone()));
        }
        if self.pull_from_mirror.is_some() {
            return Err(Fault::PullOfPrimary(prefix));
        }
        let location = match location {
            Some(location) => location,
            None if wild => String::new(),
            None => return Err(Fault::NoLocation(prefix)),
        };
        let by_digest = self.mirror_by_digest_only;
        let mirrors = self.mirror.iter().map(|mirror| mirror.mirror(&prefix, by_digest)).collect::<Result<_, _>>()?;
        Ok(Entry { prefix, location, insecure: self.insecure, blocked: self.blocked, mirrors })
    }
}

impl MirrorTable {
    fn mirror(&self, prefix: &str, by_digest: bool) -> Result<Mirror, Fault> {
        let location = place(&self.location)?;
        if location.is_empty() || location.contains('*') {
            return Err(Fault::Location(self.location.clone()));
        }
        let pull = match (self.pull_from_mirror.as_deref(), by_digest) {
            (None | Some(""), true) => Pull::DigestOnly,
            (None | Some(""), false) => Pull::All,
            (Some(_), true) => return Err(Fault::BothPulls(prefix.to_owned())),
            (Some("all"), false) => Pull::All,
            (Some("digest-only"), false) => Pull::DigestOnly,
            (Some("tag-only"), false) => Pull::TagOnly,
            (Some(other), false) => return Err(Fault::Pull(other.to_owned())),
        };
        Ok(Mirror { location, insecure: self.insecure, pull })
    }
}

/// A prefix or location as it is compared: without slashes at its end. A scheme is refused, since none can be followed.
fn place(text: &str) -> Result<String, Fault> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]*".contains(c);
    if text.contains("://") || text.starts_with('/') || text.contains("//") || !text.chars().all(fine) {
        return Err(Fault::Location(text.to_owned()));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Two entries for one prefix, or for one location, must not say different things: which of them would hold is nothing a reader
/// of the file could know.
fn check(entries: &[Entry]) -> Result<(), Fault> {
    for (at, one) in entries.iter().enumerate() {
        for other in entries.iter().skip(at + 1) {
            let against = |name: &String, what| Err(Fault::Contradiction { name: name.clone(), what });
            if one.prefix == other.prefix && one != other {
                return against(&one.prefix, "what they say of it");
            }
            if one.location.is_empty() || one.location != other.location {
                continue;
            }
            if one.insecure != other.insecure {
                return against(&one.location, "insecure");
            }
            if one.blocked != other.blocked {
                return against(&one.location, "blocked");
            }
        }
    }
    Ok(())
}
