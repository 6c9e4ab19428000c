//! `sealift where`: where an image is, and what brought it.

use super::receipts::receipts_of;
use super::{Context, Outcome, connections, options, published, sets, values};
use crate::archive::OpenSet;
use crate::digest::Digest;
use crate::error::{Code, Error};
use crate::format::Receipt;
use crate::inventory::{Asked, Place, find, near};
use crate::oci::Manifest;
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Says where an image is: its name at the target, its source and the set that brought it; with --set, its volumes too
///
/// IMAGE is a source reference with tag or digest, a digest alone (of an image, a member of it, or a blob), a name at the target, or
/// a name without tag for all images of that name. Answered from receipts: those of this host, those in files, or those in the
/// registry. The registry itself is not asked about the image: `sealift check` does that.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to look for
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Whose receipts.
    #[arg(long, help = "Target: host[:port][/prefix], or oci:FOLDER for an OCI layout", value_name = "TARGET", value_parser = values::destination)]
    pub to: Option<values::Destination>,
    /// Receipt files to read in place of those of this host and the registry
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub receipts: Vec<PathBuf>,
    /// Folder or volume file of a set, to name the volumes as well: receipts do not know them. May be given several times
    #[arg(long = "set", value_name = "PATH")]
    pub sets: Vec<PathBuf>,
    /// Names at the target.
    #[command(flatten)]
    pub nested: options::Nested,
    /// How the target is spoken to, where receipts have to be read from it.
    #[command(flatten)]
    pub target: options::Target,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let asked = Asked::parse(&args.image)?;
    let receipts = match &args.to {
        // Local receipts need no network; only without them the registry is asked.
        Some(to) if args.receipts.is_empty() && receipts_of(&to.name(), ctx)?.is_empty() => {
            let connections::Place { target, prefix, .. } = connections::target(ctx, to, &args.target)?;
            published::gathered(&[], Some(target.as_ref()), Some(&to.name()), &prefix, &args.nested, ctx)?
        }
        to => {
            let name = to.as_ref().map(values::Destination::name);
            published::gathered(&args.receipts, None, name.as_deref(), "", &args.nested, ctx)?
        }
    };
    let places = find(&receipts, &asked);
    if places.is_empty() {
        return Err(unknown(&args.image, &asked, &receipts));
    }
    let sets = if args.sets.is_empty() { Vec::new() } else { sets::open(ctx, &args.sets, None)? };
    let volumes: Vec<Vec<String>> = places.iter().map(|place| volumes(place, &sets)).collect();
    for (place, volumes) in places.iter().zip(&volumes) {
        told(place, volumes, ctx);
    }
    let listed: Vec<_> =
        places.iter().zip(&volumes).map(|(place, volumes)| serde_json::json!({"place": place, "volumes": volumes})).collect();
    Outcome::done().with("places", listed)
}

/// No receipt names it: what there is instead, or how to ask for more.
fn unknown(image: &str, asked: &Asked, receipts: &[Receipt]) -> Error {
    let error = Error::new(Code::ContentNotFound, format!("no receipt names {}", shown(image)));
    let named = matches!(asked, Asked::Name { reference, .. } if reference.tag.is_some() || reference.digest.is_some());
    let near = near(receipts, asked);
    match (named, near.is_empty()) {
        (true, _) => {
            error.remedy("look for it without tag or digest to see all images of that name, or with --receipts FILE in other receipts")
        }
        (false, true) => error
            .remedy("give the whole name, as it was asked for or is called at the target, or look with --receipts FILE in other receipts"),
        (false, false) => error
            .remedy(format!("there is {}: give that name", near.iter().map(|name| shown(name).to_string()).collect::<Vec<_>>().join(", "))),
    }
}

fn told(place: &Place, volumes: &[String], ctx: &Context) {
    let line = |text: String| ctx.output.line(&text);
    line(place.name.clone());
    line(format!("  digest   {}", place.digest));
    line(format!("  source   {}", place.source));
    line(format!("  set      {} {} ({})", place.set.stream, place.set.sequence, place.set.identity));
    if !volumes.is_empty() {
        line(format!("  volumes  {}", volumes.join(", ")));
    }
    for word in &place.part_of {
        line(format!("  part of  {word}"));
    }
    if place.superseded {
        line("  a newer set gave this tag to other content".into());
    }
    if place.below {
        line("  what was asked for lies in the repository of this image".into());
    }
}

/// Names of the volumes an image lies on, where its set is at hand.
fn volumes(place: &Place, sets: &[OpenSet]) -> Vec<String> {
    let Some(set) = sets.iter().find(|set| set.identity() == place.set.identity) else { return Vec::new() };
    let contents = set.contents();
    let manifests: BTreeMap<Digest, Manifest> =
        contents.manifests.iter().filter_map(|m| Some((m.digest, Manifest::parse(&m.bytes(), Some(&m.media_type)).ok()?))).collect();
    let mut needed = BTreeSet::new();
    let mut pending = vec![place.digest];
    while let Some(digest) = pending.pop() {
        if needed.insert(digest) {
            let manifest = manifests.get(&digest);
            pending.extend(manifest.into_iter().flat_map(Manifest::children).map(|c| c.digest));
            needed.extend(manifest.into_iter().flat_map(Manifest::blobs).map(|b| b.digest));
        }
    }
    let parts = contents.blobs.iter().filter(|b| needed.contains(&b.digest)).flat_map(|b| &b.parts);
    let numbers: BTreeSet<u32> = parts.map(|part| part.volume).collect();
    let named = |number: &u32| set.index().volumes.get((*number as usize).checked_sub(1)?).map(|v| v.name.clone());
    numbers.iter().filter_map(named).collect()
}
