//! `mirror.platform`: from channels and versions to release images, their components and their signatures.
//!
//! A release is one image, named by digest; everything else follows from what is inside of it. So the digest is proven first,
//! by a release signature, and only then the image is looked into. Nothing is ever taken by tag.

mod graphs;
mod payload;
mod proof;

use super::{GatherError, Gathered, World};
use crate::format::{Document, DocumentKind};
use crate::image_set::{Channel, ChannelType, Releases, Source};
use crate::openshift::graph::{Selected, channels_needed, select};
use crate::parallel::each;
pub use graphs::update_graph;
use graphs::{Graphs, Question};
use payload::{Carried, Payload};
use proof::{ReleaseProof, Stores};
use semver::Version;
use std::collections::{BTreeMap, BTreeSet};

/// Works out the releases an ImageSet asks for. `platform.graph` is not looked at here.
///
/// Every channel that is looked at travels along as a document, for each architecture; every release with its signatures.
/// Sigstore signatures beside the images are not looked for here.
///
/// # Errors
/// [`GatherError::Interrupted`], and [`GatherError::Keys`] when no release could be verified. What concerns one architecture's
/// channels or one release is among [`Gathered::failures`]; the others go on.
pub fn releases(wanted: &Releases, world: &World<'_>) -> Result<Gathered, GatherError> {
    if wanted.release.is_none() && wanted.channels.is_empty() {
        return Ok(Gathered::default());
    }
    let (stores, note) = Stores::open(world)?;
    let mut gathered = with_proof(wanted, world, &stores)?;
    gathered.notes.extend(note);
    Ok(gathered)
}

/// Works out one release: `4.17.2`, looked for in the channels `stable`, `fast` and `candidate` of its minor version for each of
/// `architectures` (none: `amd64`), or a release image with tag or digest.
///
/// # Errors
/// As [`releases`]; and [`GatherError::NotARelease`], [`GatherError::NoRelease`].
pub fn single(what: &str, architectures: &[String], world: &World<'_>) -> Result<Gathered, GatherError> {
    let (stores, note) = Stores::open(world)?;
    let mut gathered = single_with_proof(what, architectures, world, &stores)?;
    gathered.notes.extend(note);
    Ok(gathered)
}

fn with_proof(wanted: &Releases, world: &World<'_>, proof: &dyn ReleaseProof) -> Result<Gathered, GatherError> {
    let mut gathered = Gathered::default();
    let mut payloads = Vec::new();
    if let Some(reference) = &wanted.release {
        if !wanted.channels.is_empty() {
            gathered.notes.push(format!("platform.release names {reference}: the channels are not looked at"));
        }
        payloads.push(Payload::named(reference.clone()));
    } else {
        let selected = selected(wanted, world, &mut gathered)?;
        payloads.extend(selected.into_iter().map(Payload::selected));
    }
    for payload in &mut payloads {
        payload.platforms = wanted.platforms.clone();
        payload.kube_virt = wanted.kube_virt_container;
    }
    carry(payloads, world, proof, gathered)
}

fn single_with_proof(what: &str, architectures: &[String], world: &World<'_>, proof: &dyn ReleaseProof) -> Result<Gathered, GatherError> {
    let mut gathered = Gathered::default();
    let Ok(version) = Version::parse(what) else {
        let Ok(Source::Registry(reference)) = Source::parse(what) else { return Err(GatherError::NotARelease(what.to_owned())) };
        return carry(vec![Payload::named(reference)], world, proof, gathered);
    };
    let mut payloads = Vec::new();
    for architecture in or_amd64(architectures) {
        let (selected, document) = graphs::look_up(&version, &architecture, world)?;
        payloads.push(Payload::selected(selected));
        gathered.documents.push(document);
    }
    carry(payloads, world, proof, gathered)
}

/// Looks into all releases, several at a time, and puts together what they need.
fn carry(payloads: Vec<Payload>, world: &World<'_>, proof: &dyn ReleaseProof, mut gathered: Gathered) -> Result<Gathered, GatherError> {
    let done = each(world.parallel, &payloads, || world.progress.cancelled(), |payload| payload.carry(world, proof));
    for (payload, outcome) in payloads.iter().zip(done) {
        match outcome {
            None | Some(Err(GatherError::Interrupted)) => return Err(GatherError::Interrupted),
            Some(Err(error)) => gathered.failures.push((payload.name.clone(), error)),
            Some(Ok(Carried { asks, documents, notes })) => {
                gathered.asks.extend(asks);
                gathered.documents.extend(documents);
                gathered.notes.extend(notes);
            }
        }
    }
    // A failure because of the stop is none.
    if world.progress.cancelled() {
        return Err(GatherError::Interrupted);
    }
    gathered.documents.sort();
    gathered.documents.dedup();
    Ok(gathered)
}

/// What the channels ask for, for all architectures. Documents, notes and failures go to `gathered`.
fn selected(wanted: &Releases, world: &World<'_>, gathered: &mut Gathered) -> Result<Vec<Selected>, GatherError> {
    let architectures = match wanted.platforms.is_empty() {
        true => or_amd64(&wanted.architectures),
        // Members of the payload for several architectures are chosen when it is carried.
        false => vec!["multi".to_owned()],
    };
    let questions: Vec<Question> = architectures.iter().flat_map(|architecture| questions(&wanted.channels, architecture)).collect();
    let mut graphs = Graphs::ask(&questions, world)?;
    gathered.documents.extend(graphs.documents());
    let mut all = BTreeMap::new();
    for architecture in &architectures {
        let outcome = graphs.of(architecture).and_then(|graphs| Ok(select(&wanted.channels, &graphs, architecture)?));
        match outcome {
            Ok(selection) => {
                let notes: Vec<String> = selection.notes.iter().map(ToString::to_string).collect();
                // Whoever starts the updates sits on the other side.
                if !notes.is_empty() {
                    let name = format!("updates {architecture}");
                    gathered.documents.push(Document::new(DocumentKind::Note, name, notes.join("\n").as_bytes()));
                }
                gathered.notes.extend(notes);
                all.extend(selection.releases.into_iter().map(|release| (release.payload.to_string(), release)));
            }
            Err(error) => gathered.failures.push((format!("platform.channels ({architecture})"), error)),
        }
    }
    Ok(all.into_values().collect())
}

/// The graphs that are needed for one architecture. A channel nobody named lies between two of OpenShift.
fn questions(channels: &[Channel], architecture: &str) -> Vec<Question> {
    let kind = |name: &str| channels.iter().find(|channel| channel.name == name).map_or(ChannelType::Ocp, |channel| channel.channel_type);
    let question = |channel: String| Question { kind: kind(&channel), channel, architecture: architecture.to_owned() };
    channels_needed(channels).into_iter().map(question).collect()
}

/// Each once, in the order given.
fn or_amd64(architectures: &[String]) -> Vec<String> {
    if architectures.is_empty() {
        return vec!["amd64".to_owned()];
    }
    let mut seen = BTreeSet::new();
    architectures.iter().filter(|architecture| seen.insert(architecture.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests;
