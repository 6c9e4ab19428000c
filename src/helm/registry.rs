//! Charts in registries (`oci://`; helm documentation, "Use OCI-based registries").

use super::error::HelmError;
use super::repository::check_config;
use super::{Package, tag_of, version_of, versions};
use crate::blob::Verified;
use crate::digest::Digest;
use crate::image_set::Source;
use crate::limits;
use crate::oci::{Descriptor, Kind, Manifest, Reference};
use crate::origin::{Origin, OriginError, Origins};
use std::io::Read;

/// `Chart.yaml` as JSON.
pub(super) const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// The archive.
pub(super) const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// The archive, as helm before 3.7 called it.
const OLD_CONTENT: &str = "application/tar+gzip";

/// A chart in a registry, and the digest it has there now.
#[derive(Debug)]
pub struct InRegistry {
    /// The chart.
    pub package: Package,
    /// Where it is, with tag and digest: what is carried is what was looked into.
    pub source: Source,
}

/// Finds a chart below `oci://HOST/PATH`: at `PATH/NAME`, or at `PATH` itself where that ends with the name.
/// Without a version, or with a range, the registry's tags are asked for.
///
/// # Errors
/// [`HelmError::Url`], [`HelmError::NoVersion`], [`HelmError::NotAChart`], or what the registry answers.
pub fn find(url: &str, name: &str, version: Option<&str>, origins: &dyn Origins) -> Result<InRegistry, HelmError> {
    let mut first = None;
    for path in candidates(url, name)? {
        match find_at(&path, name, version.unwrap_or_default(), origins) {
            Err(e @ (HelmError::Origin(_) | HelmError::NoVersion { .. })) => {
                first.get_or_insert(e);
            }
            done => return done,
        }
    }
    Err(first.unwrap_or_else(|| HelmError::Url(crate::text::bare_address(url))))
}

fn candidates(url: &str, name: &str) -> Result<Vec<Reference>, HelmError> {
    let bad = || HelmError::Url(crate::text::bare_address(url));
    let path = url.strip_prefix("oci://").ok_or_else(bad)?.trim_end_matches('/');
    let read = |text: &str| Reference::parse(text).ok().filter(|r| r.tag.is_none() && r.digest.is_none());
    let itself = path.rsplit('/').next() == Some(name);
    let found: Vec<Reference> =
        [Some(format!("{path}/{name}")), itself.then(|| path.to_owned())].iter().flatten().filter_map(|t| read(t)).collect();
    if found.is_empty() { Err(bad()) } else { Ok(found) }
}

fn find_at(repository: &Reference, name: &str, wanted: &str, origins: &dyn Origins) -> Result<InRegistry, HelmError> {
    let exact = versions::parse(wanted).is_some() && wanted.matches('.').count() >= 2;
    let tagged = |tag: String| Reference { tag: Some(tag), ..repository.clone() };
    if exact {
        match fetch(&tagged(tag_of(wanted)), origins) {
            Err(HelmError::Origin(OriginError::NoImage { .. })) => {}
            done => return done,
        }
    }
    let origin = origins.open(&Source::Registry(tagged("latest".into())))?;
    let there: Vec<String> = origin.tags()?.iter().map(|tag| version_of(tag)).collect();
    let there: Vec<&str> = there.iter().map(String::as_str).filter(|v| versions::parse(v).is_some()).collect();
    match versions::pick(&there, wanted) {
        Some(version) => fetch(&tagged(tag_of(version)), origins),
        None => Err(HelmError::NoVersion {
            repository: repository.name(),
            name: name.to_owned(),
            wanted: wanted.to_owned(),
            near: versions::near(&there, wanted),
        }),
    }
}

/// Fetches and reads one chart.
///
/// # Errors
/// [`HelmError::NotAChart`] for any other image, [`HelmError::Read`] for one that breaks off or is damaged.
pub fn fetch(reference: &Reference, origins: &dyn Origins) -> Result<InRegistry, HelmError> {
    let source = Source::Registry(reference.clone());
    let origin = origins.open(&source)?;
    let (digest, _) = origin.resolve(&source)?;
    let (bytes, media_type) = origin.manifest(&digest)?;
    let manifest = Manifest::parse(&bytes, media_type.as_deref()).map_err(|error| OriginError::Manifest { digest, error })?;
    let not_a_chart = || HelmError::NotAChart(reference.to_string());
    let Kind::Image { config, layers } = &manifest.kind else { return Err(not_a_chart()) };
    let mut content = layers.iter().filter(|l| l.media_type == CONTENT || l.media_type == OLD_CONTENT);
    let (Some(layer), None) = (content.next(), content.next()) else { return Err(not_a_chart()) };
    if config.media_type != CONFIG || !check_config(&small(origin.as_ref(), config, limits::CHART_FILE_BYTES, reference)?) {
        return Err(not_a_chart());
    }
    let archive = small(origin.as_ref(), layer, limits::CHART_BYTES, reference)?;
    let package = Package::read(archive, &reference.to_string())?;
    Ok(InRegistry { package, source: pinned(reference, digest) })
}

fn pinned(reference: &Reference, digest: Digest) -> Source {
    Source::Registry(Reference { digest: Some(digest), ..reference.clone() })
}

fn small(origin: &dyn Origin, blob: &Descriptor, limit: u64, reference: &Reference) -> Result<Vec<u8>, HelmError> {
    let failed = |error| HelmError::Read { reference: reference.to_string(), error };
    if blob.size > limit {
        return Err(HelmError::NotAChart(reference.to_string()));
    }
    let mut bytes = Vec::new();
    Verified::new(origin.open_at(blob, 0)?, blob.digest, blob.size).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
