//! Rules for single values and between values, as the configuration's table gives them.

use super::error::{Fault, Problem};
use super::model::{Operator, Package, VersionRange};
use super::read::Reader;
use super::shape::{At, Members};
use super::{Destination, Source};
use crate::oci;
use semver::Version;
use std::collections::HashMap;

/// Refuses the second of two items with one name.
pub(super) fn unique<'a>(items: impl Iterator<Item = (&'a At<'a>, String)>) -> Result<(), Fault> {
    let mut seen = HashMap::new();
    for (at, name) in items {
        if let Some(first) = seen.insert(name.clone(), at.node.place) {
            return Err(Fault { earlier: Some(first), ..at.fault(Problem::Repeated { name, earlier: None }) });
        }
    }
    Ok(())
}

/// What makes a catalog unique: its host (or `oci:`), and repository and tag as they will be at the destination. A layout's
/// own name is known only once it is opened, so its folder stands for it here.
pub(super) fn catalog_name(operator: &Operator) -> String {
    let (repo, tag) = (operator.target_catalog.as_deref(), operator.target_tag.as_deref());
    match &operator.source {
        Source::Registry(reference) => match Destination::of(&operator.source, None, repo, tag) {
            Ok(destination) => format!("{}/{destination}", reference.host),
            Err(_) => operator.catalog.clone(),
        },
        Source::Made(name) => name.clone(),
        Source::Layout { dir, tag: own, digest } => {
            let digest = digest.as_ref().map(|digest| digest.to_string());
            let tag = tag.or(own.as_deref()).or(digest.as_deref()).unwrap_or("latest");
            format!("oci:{}:{tag}", repo.unwrap_or(dir.trim_end_matches('/')))
        }
    }
}

/// `minVersion` and `maxVersion`.
pub(super) fn range(reader: &mut Reader, members: &Members<'_>) -> Result<VersionRange, Fault> {
    let range = VersionRange { min: version(members, "minVersion")?, max: version(members, "maxVersion")? };
    if let (Some(min), Some(max), Some(at)) = (&range.min, &range.max, members.get("minVersion"))
        && min > max
    {
        reader.note(&at, "minVersion is above maxVersion: nothing can lie between them");
    }
    Ok(range)
}

fn version(members: &Members<'_>, name: &'static str) -> Result<Option<Version>, Fault> {
    let Some((version, at)) = members.text(name)? else { return Ok(None) };
    match Version::parse(&version) {
        Ok(version) => Ok(Some(version)),
        Err(e) => Err(at.fault(Problem::Version { version, why: e.to_string() })),
    }
}

/// True when the package or a channel of it has a range.
pub(super) fn has_range(package: &Package) -> bool {
    !package.range.is_open() || package.channels.iter().any(|channel| !channel.range.is_open())
}

/// One of the architectures that releases exist for.
pub(super) fn architecture(at: &At<'_>) -> Result<String, Fault> {
    let name = at.word()?;
    if matches!(name.as_str(), "amd64" | "arm64" | "ppc64le" | "s390x" | "multi") {
        Ok(name)
    } else {
        Err(at.fault(Problem::Architecture(name)))
    }
}

/// `os` or `architecture` of a platform.
pub(super) fn word(members: &Members<'_>, name: &'static str) -> Result<String, Fault> {
    let (word, at) = members.required(name)?;
    let plain = word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if plain { Ok(word) } else { Err(at.fault(Problem::Word(word))) }
}

/// A repository path at the destination.
pub(super) fn repository(members: &Members<'_>, name: &'static str) -> Result<Option<String>, Fault> {
    match members.text(name)? {
        Some((path, at)) if !oci::is_repository(&path) => Err(at.fault(Problem::Repository(path))),
        other => Ok(other.map(|(path, _)| path)),
    }
}

/// A tag at the destination.
pub(super) fn tag(members: &Members<'_>, name: &'static str) -> Result<Option<String>, Fault> {
    match members.text(name)? {
        Some((tag, at)) if !oci::is_tag(&tag) => Err(at.fault(Problem::Tag(tag))),
        other => Ok(other.map(|(tag, _)| tag)),
    }
}
