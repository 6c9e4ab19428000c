//! Manifest, configuration and index of an image, changed in places.

use super::layer::Layer;
use super::{BuildError, put};
use crate::digest::Digest;
use crate::layout::Layout;
use crate::limits;
use crate::oci::{Descriptor, Kind, Manifest, media};
use crate::text::shown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, BTreeSet};

/// What a layer of a Docker manifest is called.
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A JSON object whose members stay as they were written until they are replaced.
type Object = BTreeMap<String, Box<RawValue>>;

/// What shall be different. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Layers that go, counted from 0 at the lowest.
    pub drop: BTreeSet<usize>,
    /// Layers that come, the topmost last.
    pub append: Vec<Layer>,
    /// What the history says of each of them.
    pub created_by: String,
    /// The new `Cmd`.
    pub cmd: Option<Vec<String>>,
    /// The new `Entrypoint`.
    pub entrypoint: Option<Vec<String>>,
    /// Labels that are set; others stay.
    pub labels: BTreeMap<String, String>,
}

/// Changes one image: writes its new configuration and manifest into the workspace and gives the manifest's descriptor. Layers that
/// stay are only referred to. Docker manifests stay Docker's, OCI manifests OCI's.
///
/// # Errors
/// [`BuildError::Document`] where manifest and configuration contradict each other.
pub fn edit(
    workspace: &Layout,
    (digest, manifest_bytes, manifest): (&Digest, &[u8], &Manifest),
    config_bytes: &[u8],
    change: &Change,
) -> Result<Descriptor, BuildError> {
    let Kind::Image { config, layers } = &manifest.kind else {
        return Err(BuildError::Document { digest: *digest, why: "it is an index".into() });
    };
    let configuration = Configuration { digest: config.digest, layers: layers.len(), change };
    let new = put(workspace, &config.media_type, configuration.changed(config_bytes)?)?;
    let mut document: Object = parse(digest, manifest_bytes)?;
    let mut listed: Vec<Box<RawValue>> = member(digest, &document, "layers")?.unwrap_or_default();
    retain(&mut listed, &change.drop);
    let docker = manifest.media_type == media::DOCKER_MANIFEST;
    for layer in &change.append {
        let media_type = if docker { DOCKER_LAYER.into() } else { layer.descriptor.media_type.clone() };
        listed.push(raw(digest, &Descriptor { media_type, ..layer.descriptor.clone() })?);
    }
    let mut own: Object = member(digest, &document, "config")?.unwrap_or_default();
    point_at(digest, &mut own, &new)?;
    document.insert("layers".into(), raw(digest, &listed)?);
    document.insert("config".into(), raw(digest, &own)?);
    put_manifest(workspace, digest, &manifest.media_type, &document)
}

/// Makes an index of new members. `entries` are the descriptors that stood for them (platform, annotations and what else they have
/// stay) with what they lead to now. Everything else the index listed is gone: it was about images that are not in it any more.
///
/// # Errors
/// [`BuildError::Document`], [`BuildError::Workspace`].
pub fn index(
    workspace: &Layout,
    (digest, bytes, manifest): (&Digest, &[u8], &Manifest),
    entries: &[(Box<RawValue>, Descriptor)],
) -> Result<Descriptor, BuildError> {
    let mut document: Object = parse(digest, bytes)?;
    let mut listed = Vec::new();
    for (entry, new) in entries {
        let mut entry: Object = parse(digest, entry.get().as_bytes())?;
        point_at(digest, &mut entry, new)?;
        entry.insert("mediaType".into(), raw(digest, &new.media_type)?);
        listed.push(entry);
    }
    document.insert("manifests".into(), raw(digest, &listed)?);
    document.remove("subject");
    put_manifest(workspace, digest, &manifest.media_type, &document)
}

/// What a changed image's root is: an index of its members as [`index`] makes it, or the one image that was no member of any.
pub(in crate::openshift) fn joined(
    workspace: &Layout,
    root: (&Digest, &[u8], &Manifest),
    made: Vec<(Option<Box<RawValue>>, Descriptor)>,
) -> Result<Descriptor, BuildError> {
    if let [(None, only)] = made.as_slice() {
        return Ok(only.clone());
    }
    let entries: Option<Vec<_>> = made.into_iter().map(|(entry, new)| Some((entry?, new))).collect();
    match entries {
        Some(entries) => index(workspace, root, &entries),
        None => Err(BuildError::Document { digest: *root.0, why: "it is no index and has several images".into() }),
    }
}

fn put_manifest(workspace: &Layout, old: &Digest, media_type: &str, document: &Object) -> Result<Descriptor, BuildError> {
    let bytes = raw(old, document)?.get().as_bytes().to_vec();
    if bytes.len() as u64 > limits::MANIFEST_BYTES {
        return Err(BuildError::Document { digest: *old, why: "it would be larger than registries accept".into() });
    }
    put(workspace, media_type, bytes)
}

/// Makes a descriptor lead to other content; inlined content and other places of the old one go.
fn point_at(digest: &Digest, descriptor: &mut Object, to: &Descriptor) -> Result<(), BuildError> {
    descriptor.insert("digest".into(), raw(digest, &to.digest)?);
    descriptor.insert("size".into(), raw(digest, &to.size)?);
    descriptor.remove("data");
    descriptor.remove("urls");
    Ok(())
}

/// A configuration and what is to be done to it.
struct Configuration<'c> {
    digest: Digest,
    layers: usize,
    change: &'c Change,
}

impl Configuration<'_> {
    fn changed(&self, bytes: &[u8]) -> Result<Vec<u8>, BuildError> {
        let mut document: Object = parse(&self.digest, bytes)?;
        self.diff_ids(&mut document)?;
        self.history(&mut document)?;
        let mut inner: Object = member(&self.digest, &document, "config")?.unwrap_or_default();
        self.run(&mut inner)?;
        self.set(&mut document, "config", &inner)?;
        Ok(raw(&self.digest, &document)?.get().as_bytes().to_vec())
    }

    fn diff_ids(&self, document: &mut Object) -> Result<(), BuildError> {
        let mut rootfs: Object = member(&self.digest, document, "rootfs")?.unwrap_or_default();
        let mut ids: Vec<Box<RawValue>> = member(&self.digest, &rootfs, "diff_ids")?.unwrap_or_default();
        if ids.len() != self.layers {
            let why = format!("the manifest has {} layers, the configuration {}", self.layers, ids.len());
            return Err(BuildError::Document { digest: self.digest, why });
        }
        retain(&mut ids, &self.change.drop);
        for layer in &self.change.append {
            ids.push(raw(&self.digest, &layer.diff_id)?);
        }
        self.set(&mut rootfs, "diff_ids", &ids)?;
        self.set(document, "rootfs", &rootfs)
    }

    /// Each layer has an entry of the history that is not marked as empty. A history that does not say so is dropped: it is
    /// optional (OCI image specification, "Image Configuration"), and no longer tells which entry is whose.
    fn history(&self, document: &mut Object) -> Result<(), BuildError> {
        let Some(history): Option<Vec<Object>> = member(&self.digest, document, "history")? else { return Ok(()) };
        let mut kept = Vec::new();
        let mut layer = 0;
        for entry in history {
            let empty = entry.get("empty_layer").is_some_and(|value| value.get() == "true");
            if empty || !self.change.drop.contains(&layer) {
                kept.push(entry);
            }
            layer += usize::from(!empty);
        }
        if layer != self.layers {
            document.remove("history");
            return Ok(());
        }
        for _ in &self.change.append {
            kept.push(BTreeMap::from([("created_by".into(), raw(&self.digest, &self.change.created_by)?)]));
        }
        self.set(document, "history", &kept)
    }

    fn run(&self, inner: &mut Object) -> Result<(), BuildError> {
        if let Some(cmd) = &self.change.cmd {
            self.set(inner, "Cmd", cmd)?;
        }
        if let Some(entrypoint) = &self.change.entrypoint {
            self.set(inner, "Entrypoint", entrypoint)?;
        }
        if !self.change.labels.is_empty() {
            let mut labels: Object = member(&self.digest, inner, "Labels")?.unwrap_or_default();
            for (name, value) in &self.change.labels {
                labels.insert(name.clone(), raw(&self.digest, value)?);
            }
            self.set(inner, "Labels", &labels)?;
        }
        Ok(())
    }

    /// Readers in Go take members whatever their case, the last one wins: another spelling must not survive.
    fn set(&self, object: &mut Object, name: &str, value: &impl Serialize) -> Result<(), BuildError> {
        object.retain(|key, _| !key.eq_ignore_ascii_case(name));
        object.insert(name.into(), raw(&self.digest, value)?);
        Ok(())
    }
}

fn retain<T>(list: &mut Vec<T>, drop: &BTreeSet<usize>) {
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        !drop.contains(&(at - 1))
    });
}

fn member<T: DeserializeOwned>(digest: &Digest, object: &Object, name: &str) -> Result<Option<T>, BuildError> {
    match object.get(name) {
        Some(value) => parse(digest, value.get().as_bytes()),
        None => Ok(None),
    }
}

fn parse<T: DeserializeOwned>(digest: &Digest, bytes: &[u8]) -> Result<T, BuildError> {
    serde_json::from_slice(bytes).map_err(|e| BuildError::Document { digest: *digest, why: shown(&e.to_string()).to_string() })
}

fn raw(digest: &Digest, value: &(impl Serialize + ?Sized)) -> Result<Box<RawValue>, BuildError> {
    to_raw_value(value).map_err(|e| BuildError::Document { digest: *digest, why: e.to_string() })
}
