//! What a bundle says it needs and what it offers (OLM, "Dependency resolution").

use super::object::{self, Property};
use super::version::Range;
use crate::limits::CONSTRAINT_DEPTH;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// An API: group, version, kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
pub struct Gvk {
    /// Group, for example `cert-manager.io`.
    #[serde(default)]
    pub group: String,
    /// Version, for example `v1`.
    pub version: String,
    /// Kind, for example `Certificate`.
    pub kind: String,
}

impl fmt::Display for Gvk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.group, self.version, self.kind)
    }
}

/// Something a bundle needs beside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// A package in a range of versions.
    Package {
        /// Its name.
        name: String,
        /// As written.
        range: String,
        /// As understood.
        versions: Range,
    },
    /// Whoever offers an API.
    Gvk(Arc<Gvk>),
    /// All of them.
    All(Vec<Requirement>),
    /// One of them.
    Any(Vec<Requirement>),
    /// None of them may be there: nothing to carry.
    Not(Vec<Requirement>),
    /// Something this program cannot judge.
    NotUnderstood(String),
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, word: &str, inner: &[Requirement]| {
            let inner: Vec<String> = inner.iter().map(ToString::to_string).collect();
            write!(f, "{word} ({})", inner.join(", "))
        };
        match self {
            Requirement::Package { name, range, versions: _ } => write!(f, "package {name} {range}"),
            Requirement::Gvk(gvk) => write!(f, "API {gvk}"),
            Requirement::All(inner) => list(f, "all of", inner),
            Requirement::Any(inner) => list(f, "any of", inner),
            Requirement::Not(inner) => list(f, "none of", inner),
            Requirement::NotUnderstood(what) => f.write_str(what),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PackageRequired {
    package_name: String,
    version_range: String,
}

impl From<PackageRequired> for Requirement {
    fn from(wanted: PackageRequired) -> Requirement {
        match Range::parse(&wanted.version_range) {
            Some(versions) => Requirement::Package { name: wanted.package_name, range: wanted.version_range, versions },
            None => Requirement::NotUnderstood(format!("package {} in the range {:?}", wanted.package_name, wanted.version_range)),
        }
    }
}

/// What a property demands; nothing when it demands nothing.
pub(super) fn requirement(property: &Property) -> Result<Option<Requirement>, String> {
    Ok(match property.kind.as_str() {
        "olm.package.required" => Some(object::value::<PackageRequired>(property)?.into()),
        "olm.gvk.required" => Some(Requirement::Gvk(Arc::new(object::value(property)?))),
        "olm.constraint" => Some(constraint(&object::value(property)?, 0)),
        _ => None,
    })
}

/// One `olm.constraint`, which may hold others.
fn constraint(value: &Value, depth: usize) -> Requirement {
    let unknown = |what: &str| Requirement::NotUnderstood(format!("constraint {what}"));
    if depth > CONSTRAINT_DEPTH {
        return unknown("nested too deeply");
    }
    let Some(members) = value.as_object() else { return unknown("of an unknown form") };
    let mut known = members.iter().filter(|(name, _)| name.as_str() != "failureMessage");
    let (Some((name, value)), None) = (known.next(), known.next()) else { return unknown("of an unknown form") };
    let inner = || {
        let list = value.get("constraints").and_then(Value::as_array)?;
        Some(list.iter().map(|value| constraint(value, depth + 1)).collect())
    };
    let read = match name.as_str() {
        "package" => PackageRequired::deserialize(value).ok().map(Requirement::from),
        "gvk" => Gvk::deserialize(value).ok().map(|gvk| Requirement::Gvk(Arc::new(gvk))),
        "all" => inner().map(Requirement::All),
        "any" => inner().map(Requirement::Any),
        "not" => inner().map(Requirement::Not),
        _ => None,
    };
    read.unwrap_or_else(|| unknown(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, value: &str) -> Result<Option<Requirement>, String> {
        requirement(&Property { kind: kind.into(), value: value.into(), display_name: String::new() })
    }

    #[test]
    fn constraints_are_read_to_their_leaves() {
        let text = r#"{"failureMessage":"m","all":{"constraints":[{"package":{"packageName":"p","versionRange":">=1.0.0"}},
            {"any":{"constraints":[{"gvk":{"group":"g","version":"v1","kind":"K"}},{"cel":{"rule":"true"}}]}},
            {"not":{"constraints":[{"package":{"packageName":"q","versionRange":"?"}}]}}]}}"#;
        let told = read("olm.constraint", text).unwrap().unwrap().to_string();
        assert_eq!(told, "all of (package p >=1.0.0, any of (API g/v1 K, constraint cel), none of (package q in the range \"?\"))");
        let deep = format!("{}{{\"cel\":{{}}}}{}", "{\"all\":{\"constraints\":[".repeat(20), "]}}".repeat(20));
        assert!(read("olm.constraint", &deep).unwrap().unwrap().to_string().contains("nested too deeply"));
        assert_eq!(read("olm.gvk", "{}").unwrap(), None);
        for (kind, bad) in [("olm.gvk.required", "{\"group\":\"g\"}"), ("olm.package.required", "[]"), ("olm.constraint", "")] {
            assert!(read(kind, bad).is_err(), "{kind}");
        }
    }
}
