//! Operator catalogs: filtered as the ImageSet asks, built again, and asked for with everything their bundles need.

use super::pinned::pinned;
use super::{GatherError, Gathered, World};
use crate::format::{Document, DocumentKind, Role};
use crate::image_set::{Destination, Operator, Source};
use crate::limits;
use crate::oci::{Platform, keep_tag};
use crate::openshift::build::{BuildError, LayerBuilder};
use crate::openshift::catalog::{CatalogImage, ConfigFiles, Rebuilt};
use crate::openshift::fbc::{self, Catalog, FbcError, Kept, KeptBundle, Need, State};
use crate::pack::{Ask, Made};
use crate::text::shown;
use std::collections::BTreeMap;
use std::io;

/// Works out the catalogs of an ImageSet: the catalogs themselves, the bundles kept in them and the images these need.
///
/// A catalog that is wanted whole is asked for as it is. Any other is filtered and built again into the workspace. What of a catalog
/// cannot be had is listed in [`Gathered::failures`], beside the rest.
///
/// # Errors
/// Only when the person asked to stop.
pub fn operators(world: &World<'_>, operators: &[Operator]) -> Result<Gathered, GatherError> {
    let mut gathered = Gathered::default();
    let mut needed = Needed::default();
    for operator in operators {
        let done = one(world, operator, &mut gathered, &mut needed);
        if world.progress.cancelled() {
            return Err(GatherError::Interrupted);
        }
        if let Err(error) = done {
            gathered.failures.push((operator.source.to_string(), error));
        }
    }
    gathered.asks.extend(needed.0.into_values());
    Ok(gathered)
}

/// One entry of `mirror.operators`.
fn one(world: &World<'_>, operator: &Operator, gathered: &mut Gathered, needed: &mut Needed) -> Result<(), GatherError> {
    let origin = world.origins.open(&operator.source)?;
    let (digest, ref_name) = origin.resolve(&operator.source)?;
    let stopped = || world.progress.cancelled();
    let image = CatalogImage::open(origin.as_ref(), digest, world.workspace, &operator.platforms, &stopped, world.progress)?;
    let files = image.files();
    let catalog = Catalog::read(&files, "")?;
    let options = fbc::Options { keep_going: true, with_dependencies: world.operators.with_dependencies };
    let mut kept = fbc::filter(&catalog, &operator.packages, operator.full, options)?;
    let left_out = std::mem::take(&mut kept.left_out);
    if kept.packages.is_empty() {
        return Err(if left_out.is_empty() { FbcError::Empty(String::new()) } else { FbcError::LeftOut(left_out) }.into());
    }
    let template = template(world, operator)?;
    let chosen = (operator.target_catalog.as_deref(), operator.target_tag.as_deref());
    let mut destination = Destination::of(&operator.source, ref_name.as_deref(), chosen.0, chosen.1)?;
    let mut made = None;
    if !kept.whole {
        let rebuilt = rebuild(&image, &files, &catalog, &kept)?;
        // Named by a digest that it no longer has.
        if chosen.1.is_none() && destination.tag == keep_tag(&digest) {
            destination.tag = keep_tag(&rebuilt.root.digest);
        }
        made = Some(Made { digest: rebuilt.root.digest, base: Some(pinned(&operator.source, digest)) });
        gathered.notes.extend(rebuilt.notes);
    }
    let name = operator.source.to_string();
    gathered.documents.extend(template.map(|bytes| Document::new(DocumentKind::CatalogTemplate, destination.to_string(), &bytes)));
    gathered.asks.push(Ask {
        target_repo: Some(destination.repository),
        target_tag: Some(destination.tag),
        platforms: operator.platforms.clone(),
        role: Role::Catalog,
        made,
        ..Ask::of(operator.source.clone())
    });
    gathered.notes.extend(kept.warnings.iter().map(|warning| format!("{name}: {}", shown(warning))));
    gathered.notes.extend(kept.needs.iter().filter(|need| need.state != State::Satisfied).map(|need| format!("{name}: {}", told(need))));
    for package in &kept.packages {
        for bundle in &package.bundles {
            let part_of = part_of(&name, &package.name, bundle);
            needed.add(bundle, part_of, &operator.platforms, &mut gathered.failures);
        }
    }
    let failed = left_out.into_iter().map(|one| (format!("{name} {}", shown(&one.package)), FbcError::LeftOut(vec![one]).into()));
    gathered.failures.extend(failed);
    Ok(())
}

/// Builds the filtered catalog. What the writer says comes back as its own error, not as one of the layer.
fn rebuild(image: &CatalogImage<'_>, files: &ConfigFiles<'_>, catalog: &Catalog, kept: &Kept) -> Result<Rebuilt, GatherError> {
    let mut failed = None;
    let mut fill = |layer: &mut LayerBuilder| {
        let mut sink = |path: &str, size: u64, content: &mut dyn io::Read| layer.file(path, size, content).map_err(into_io);
        fbc::write(files, catalog, kept, &mut sink).map_err(|error| {
            failed = Some(error);
            BuildError::Content { path: crate::openshift::catalog::CONFIGS.into(), error: io::ErrorKind::Other.into() }
        })
    };
    let rebuilt = image.rebuild(0, &mut fill);
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(rebuilt?),
    }
}

/// Errors whose meaning is known inside of an I/O error stay themselves.
fn into_io(error: BuildError) -> io::Error {
    match error {
        BuildError::Fs(inner) => inner.into_io(),
        BuildError::Workspace(inner) => io::Error::other(inner),
        other => io::Error::other(other),
    }
}

/// The CatalogSource template, where the entry names one.
fn template(world: &World<'_>, operator: &Operator) -> Result<Option<Vec<u8>>, GatherError> {
    let Some(path) = &operator.target_catalog_source_template else { return Ok(None) };
    Ok(Some(crate::fs::read_user_file(&world.folder.join(path))?))
}

fn told(need: &Need) -> String {
    let state = match need.state {
        State::Satisfied => "which is kept",
        State::InCatalog => "which the catalog has and which is not kept",
        State::NotUnderstood => "which is said in a way that is not understood",
        State::NotInCatalog => "which the catalog does not have",
    };
    let by: Vec<String> = need.by.iter().take(3).map(|name| shown(name).to_string()).collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    format!("{} needs {}, {state}{by}", shown(&need.bundle), shown(&need.requirement))
}

/// `operator CATALOG PACKAGE BUNDLE VERSION`. Words from a catalog may hold anything; a blank would make two of one.
fn part_of(catalog: &str, package: &str, bundle: &KeptBundle) -> String {
    let word = |text: &str| text.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect::<String>();
    let words = [catalog, package, &bundle.name, &bundle.version].map(word).join(" ");
    let mut end = words.len().min(limits::PART_OF_CHARS - "operator ".len());
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    format!("operator {}", words.get(..end).unwrap_or_default())
}

/// Images that bundles need, each asked for once, by the reference in the catalog.
#[derive(Default)]
struct Needed(BTreeMap<String, Ask>);

impl Needed {
    fn add(&mut self, bundle: &KeptBundle, part_of: String, platforms: &[Platform], failures: &mut Vec<(String, GatherError)>) {
        for image in &bundle.images {
            let source = match Source::parse(image) {
                Ok(source) => source,
                Err(error) => {
                    failures.push((format!("{} of {}", shown(image), shown(&bundle.name)), error.into()));
                    continue;
                }
            };
            let new = !self.0.contains_key(image);
            let ask = self.0.entry(image.clone()).or_insert_with(|| Ask { platforms: platforms.to_vec(), ..Ask::of(source) });
            // Whoever wants all platforms gets them.
            if !new && (ask.platforms.is_empty() || platforms.is_empty()) {
                ask.platforms.clear();
            } else if !new {
                ask.platforms.extend(platforms.iter().cloned());
                ask.platforms.sort();
                ask.platforms.dedup();
            }
            if *image == bundle.image || ask.role == Role::Bundle {
                ask.role = Role::Bundle;
            } else {
                ask.role = Role::Related;
            }
            if ask.part_of.last() != Some(&part_of) {
                ask.part_of.push(part_of.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
