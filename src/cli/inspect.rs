//! `sealift inspect`: what a set holds.

use super::carried::{Carried, IMAGES_LISTED, not_in_the_set};
use super::output::bytes;
use super::{Context, Outcome, sets, values};
use crate::archive::OpenSet;
use crate::digest::Digest;
use crate::error::Error;
use crate::format::{Blob, Image, Manifests};
use crate::oci::Platform;
use crate::text::counted;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

/// Shows what a set holds
///
/// Signature and index are checked as by verify, volumes are not read. What is printed comes from the signed index and the
/// contents it binds: releases, catalogs, operators with their versions, charts, and the images; more than 40 of those only with
/// --images.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of the set, its index, or one of its volumes
    #[arg(value_name = "PATH", value_parser = values::local())]
    pub path: PathBuf,
    /// List the images
    #[arg(long)]
    pub images: bool,
    /// List the blobs with size, encoding and place
    #[arg(long)]
    pub blobs: bool,
    /// List the volumes with size and digest
    #[arg(long)]
    pub volumes: bool,
    /// List the signatures and what this side thinks of them
    #[arg(long)]
    pub signatures: bool,
    /// Which stream, where the path holds sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let sets = sets::open(ctx, std::slice::from_ref(&args.path), args.stream.as_deref())?;
    let mut reports = Vec::new();
    for set in &sets {
        show(set, &args, ctx);
        reports.push(report(set));
    }
    Outcome::done().with("sets", reports)
}

fn show(set: &OpenSet, args: &Args, ctx: &Context) {
    let (index, contents) = (set.index(), set.contents());
    let content: u64 = contents.blobs.iter().map(|b| b.size).sum();
    ctx.output.line(&format!("set {}, packed {} by sealift {}", set.name(), index.created, index.producer.sealift));
    ctx.output.line(&format!("identity {}", set.identity()));
    ctx.output.line(&format!("signed by {}", sets::signers(set)));
    ctx.output.line(&format!(
        "{}, {} blobs and manifests of {}, in {} of {}",
        counted(contents.images.len(), "image"),
        contents.blobs.len(),
        bytes(content),
        counted(index.volumes.len(), "volume"),
        bytes(index.volume_bytes())
    ));
    Carried::of(&contents.images, &contents.documents).told(ctx);
    for missing in &index.missing {
        ctx.output.line(&not_in_the_set(missing));
    }
    let all = !(args.images || args.blobs || args.volumes || args.signatures);
    if args.images || all && (contents.images.len() <= IMAGES_LISTED || ctx.verbose) {
        ctx.output.table(&images(set));
    } else if all {
        ctx.output.line(&format!("--images lists the {} images", contents.images.len()));
    }
    if args.volumes {
        ctx.output.table(&volumes(set));
    }
    if args.blobs {
        ctx.output.table(&blobs(set));
    }
    if args.signatures {
        ctx.output.table(&signatures(set));
    }
}

fn header<const N: usize>(names: [&str; N]) -> Vec<Vec<String>> {
    vec![names.map(str::to_owned).to_vec()]
}

/// What is looked up for every image.
struct Lookup<'a> {
    manifests: Manifests,
    blobs: HashMap<Digest, &'a Blob>,
}

impl<'a> Lookup<'a> {
    fn of(set: &'a OpenSet) -> Lookup<'a> {
        let contents = set.contents();
        Lookup { manifests: contents.manifests().unwrap_or_default(), blobs: contents.blobs.iter().map(|b| (b.digest, b)).collect() }
    }
}

/// Bytes of everything an image consists of, and the volumes it lies in.
fn extent(image: &Image, Lookup { manifests, blobs }: &Lookup<'_>) -> (u64, BTreeSet<u32>) {
    let mut pending = vec![image.root.digest];
    let mut wanted = BTreeSet::new();
    while let Some(digest) = pending.pop() {
        if let Some(manifest) = manifests.get(&digest).filter(|_| wanted.insert(digest)) {
            wanted.extend(manifest.blobs().map(|b| b.digest));
            pending.extend(manifest.children().iter().map(|c| c.digest));
        }
    }
    let (mut size, mut volumes) = (0, BTreeSet::new());
    for blob in wanted.iter().filter_map(|digest| blobs.get(digest)) {
        size += blob.size;
        volumes.extend(blob.parts.iter().map(|p| p.volume));
    }
    (size, volumes)
}

/// Platforms of the members that are here, or what the configuration of a single image says.
fn platforms(image: &Image, Lookup { manifests, blobs }: &Lookup<'_>) -> Vec<String> {
    let Some(root) = manifests.get(&image.root.digest) else { return Vec::new() };
    if root.is_index() {
        let there = root.children().iter().filter(|c| manifests.contains_key(&c.digest));
        return there.filter_map(|c| c.platform.as_ref()).map(ToString::to_string).collect();
    }
    let config = root.blobs().next().and_then(|config| blobs.get(&config.digest));
    let platform = config.and_then(|blob| serde_json::from_slice::<Platform>(&blob.inline_bytes()?).ok());
    platform.filter(|p| !p.os.is_empty()).map(|p| p.to_string()).into_iter().collect()
}

fn images(set: &OpenSet) -> Vec<Vec<String>> {
    let lookup = Lookup::of(set);
    let mut rows = header(["IMAGE", "DIGEST", "SIZE", "PLATFORMS", "VOLUMES"]);
    for image in &set.contents().images {
        let (size, volumes) = extent(image, &lookup);
        let volumes = volumes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let name = format!("{}:{}", image.repository, image.tag);
        rows.push(vec![name, image.root.digest.to_string(), bytes(size), platforms(image, &lookup).join(" "), volumes]);
    }
    rows
}

fn volumes(set: &OpenSet) -> Vec<Vec<String>> {
    let mut rows = header(["VOLUME", "FILE", "SIZE", "HERE"]);
    for (i, volume) in set.index().volumes.iter().enumerate() {
        let number = i as u32 + 1;
        let here = set.volume_path(number).map_or("no".to_owned(), |p| p.display().to_string());
        rows.push(vec![number.to_string(), volume.name.clone(), bytes(volume.size), here]);
    }
    rows
}

fn blobs(set: &OpenSet) -> Vec<Vec<String>> {
    let mut rows = header(["BLOB", "SIZE", "ENCODING", "VOLUMES"]);
    for blob in &set.contents().blobs {
        let volumes = blob.parts.iter().map(|p| p.volume.to_string()).collect::<Vec<_>>().join(" ");
        rows.push(vec![blob.digest.to_string(), blob.size.to_string(), blob.encoding.clone(), volumes]);
    }
    rows
}

fn signatures(set: &OpenSet) -> Vec<Vec<String>> {
    let mut rows = header(["SIGNATURE BY", "OWNER", "COUNTS"]);
    for signer in set.index().signers() {
        rows.push(vec![signer.fingerprint.to_string(), signer.owner.clone(), "yes".into()]);
    }
    for rejected in set.index().rejected() {
        rows.push(vec![format!("number {}", rejected.position + 1), String::new(), format!("no: {}", rejected.why)]);
    }
    rows
}

fn report(set: &OpenSet) -> serde_json::Value {
    let lookup = Lookup::of(set);
    let images = set.contents().images.iter().map(|image| {
        let (size, volumes) = extent(image, &lookup);
        serde_json::json!({
            "name": format!("{}:{}", image.repository, image.tag), "repository": image.repository, "tag": image.tag,
            "source": image.source, "digest": image.root.digest, "mediaType": image.root.media_type, "size": size,
            "platforms": platforms(image, &lookup), "partial": !image.platforms.is_empty(), "volumes": volumes,
            "role": image.role, "subject": image.subject, "partOf": image.part_of, "made": image.made,
        })
    });
    let images: Vec<_> = images.collect();
    let volumes = set.index().volumes.iter().enumerate().map(|(i, volume)| {
        serde_json::json!({"number": i + 1, "name": volume.name, "size": volume.size, "here": set.volumes_here().contains(&(i as u32 + 1))})
    });
    let volumes: Vec<_> = volumes.collect();
    let blobs = set.contents().blobs.iter().map(|b| {
        serde_json::json!({"digest": b.digest, "size": b.size, "encoding": b.encoding, "volumes": b.parts.iter().map(|p| p.volume).collect::<Vec<_>>()})
    });
    let index = set.index();
    let documents = set.contents().documents.iter().map(|d| serde_json::json!({"kind": d.kind, "name": d.name, "size": d.bytes().len()}));
    serde_json::json!({
        "carries": Carried::of(&set.contents().images, &set.contents().documents), "documents": documents.collect::<Vec<_>>(),
        "name": set.name().to_string(), "identity": set.identity(), "stream": index.stream, "sequence": index.sequence,
        "created": index.created, "producer": index.producer, "audience": index.audience, "labels": index.labels,
        "missing": index.missing, "images": images, "volumes": volumes, "blobs": blobs.collect::<Vec<_>>(),
        "signers": sets::signers_json(set),
    })
}
