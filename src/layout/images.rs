//! `index.json`: which images a layout holds and what they are called.

use super::{Error, INDEX, Layout, MARK};
use crate::digest::Digest;
use crate::fs::{File, Stamp};
use crate::limits;
use crate::oci::Descriptor;
use crate::text::shown;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The annotation that names an image (OCI image specification, "Pre-Defined Annotation Keys").
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name beside it in what `docker save` and containerd write, where `REF_NAME` is the tag alone.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// One image of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `org.opencontainers.image.ref.name`: a tag or a full reference; untrusted text. Not every image has one.
    pub name: Option<String>,
    /// Its manifest or index.
    pub descriptor: Descriptor,
}

impl Image {
    fn names(&self) -> impl Iterator<Item = &str> {
        let full = self.descriptor.annotations.get(CONTAINERD_NAME);
        self.name.iter().chain(full).map(String::as_str)
    }

    /// Called so, or by a full reference with that tag.
    pub(super) fn answers_to(&self, wanted: &str) -> bool {
        self.names().any(|name| name == wanted || name.rsplit_once(':').is_some_and(|(_, tag)| tag == wanted))
    }
}

/// `index.json` with everything in it that this program does not know kept as it came.
struct Index {
    entries: Vec<Box<RawValue>>,
    rest: BTreeMap<String, Box<RawValue>>,
}

/// What is looked at of an entry that is only kept.
#[derive(Deserialize)]
struct Annotated {
    annotations: Option<BTreeMap<String, String>>,
}

impl Layout {
    /// All images, in the order of the file.
    pub fn images(&self) -> Result<Vec<Image>, Error> {
        let read = |(i, entry): (usize, &RawValue)| {
            let descriptor: Descriptor =
                serde_json::from_str(entry.get()).map_err(|e| self.malformed(&format!("entry {} of manifests: {e}", i + 1)))?;
            Ok(Image { name: descriptor.annotations.get(REF_NAME).cloned(), descriptor })
        };
        self.index()?.entries.iter().map(AsRef::as_ref).enumerate().map(read).collect()
    }

    /// Finds an image: by digest, by its exact name, by the tag of its full name; without `wanted`, the only image there is.
    /// Several entries are one image when they have one digest.
    pub fn resolve(&self, wanted: Option<&str>) -> Result<Descriptor, Error> {
        let images = self.images()?;
        let of = |chosen: Vec<&Image>| self.only(&images, wanted, &chosen);
        let Some(text) = wanted else { return of(images.iter().collect()) };
        if let Ok(digest) = text.parse::<Digest>() {
            return of(images.iter().filter(|image| image.descriptor.digest == digest).collect());
        }
        let exact: Vec<&Image> = images.iter().filter(|image| image.names().any(|name| name == text)).collect();
        of(if exact.is_empty() { images.iter().filter(|image| image.answers_to(text)).collect() } else { exact })
    }

    fn only(&self, all: &[Image], wanted: Option<&str>, chosen: &[&Image]) -> Result<Descriptor, Error> {
        let path = self.path().to_owned();
        let named = |images: &mut dyn Iterator<Item = &Image>| images.filter_map(|image| image.name.clone()).collect();
        let mut found: Vec<Digest> = chosen.iter().map(|image| image.descriptor.digest).collect();
        found.sort();
        found.dedup();
        match (chosen.first(), wanted) {
            (Some(image), _) if found.len() == 1 => Ok(image.descriptor.clone()),
            (Some(_), wanted) => {
                let there = named(&mut chosen.iter().copied());
                Err(Error::NotUnique { path, wanted: wanted.map(str::to_owned), found, there })
            }
            (None, Some(wanted)) if !all.is_empty() => {
                Err(Error::NoSuchImage { path, wanted: wanted.to_owned(), there: named(&mut all.iter()) })
            }
            (None, _) => Err(Error::Empty { path }),
        }
    }

    /// Gives an image a name, taking it from the one that had it.
    pub fn tag(&self, name: &str, image: &Descriptor) -> Result<(), Error> {
        self.tag_all([(name, image)])
    }

    /// [`Layout::tag`] for many images, published at once: all names or none. Entries of others stay, byte for byte;
    /// the order is by name, so it does not depend on who came first. Waits while another run does the same.
    pub fn tag_all<'a>(&self, images: impl IntoIterator<Item = (&'a str, &'a Descriptor)>) -> Result<(), Error> {
        let new: BTreeMap<&str, &Descriptor> = images.into_iter().collect();
        self.hold()?.tag_all(&new)
    }

    /// Keeps everybody else who changes the list, or removes what it does not reach, waiting. Do not ask twice in one thread.
    pub fn hold(&self) -> Result<Held<'_>, Error> {
        // The mark is never replaced, so it can be held by everybody who changes the list.
        Ok(Held { layout: self, _mark: self.root.open_held(MARK)? })
    }

    /// What tells one state of the list from another.
    pub fn stamp(&self) -> Result<Option<Stamp>, Error> {
        Ok(self.root.stamp(INDEX)?)
    }

    fn index(&self) -> Result<Index, Error> {
        let bytes = self.root.read(INDEX, limits::LAYOUT_INDEX_BYTES)?;
        let mut rest: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&bytes).map_err(|e| self.malformed(&e.to_string()))?;
        let entries = match rest.remove("manifests") {
            Some(list) => serde_json::from_str::<Option<Vec<_>>>(list.get()).map_err(|e| self.malformed(&format!("manifests: {e}")))?,
            None => None,
        };
        Ok(Index { entries: entries.unwrap_or_default(), rest })
    }

    fn malformed(&self, why: &str) -> Error {
        Error::Malformed { path: self.root.join(INDEX), why: shown(why).to_string() }
    }
}

/// The list of images, held against every other who changes it.
pub struct Held<'a> {
    layout: &'a Layout,
    _mark: File,
}

impl Held<'_> {
    /// [`Layout::tag_all`].
    pub fn tag_all(&self, images: &BTreeMap<&str, &Descriptor>) -> Result<(), Error> {
        self.change(|index, raw| {
            index.entries.retain(|entry| !name_of(entry).is_some_and(|name| images.contains_key(name.as_str())));
            for (name, image) in images {
                index.entries.push(raw(&entry(Some(name), image))?);
            }
            Ok(())
        })
    }

    /// Lists an image without a name, once: what is only reached by its digest and still to be kept.
    pub fn add(&self, image: &Descriptor) -> Result<(), Error> {
        self.change(|index, raw| {
            let there = index.entries.iter().any(|entry| name_of(entry).is_none() && digest_of(entry) == Some(image.digest));
            if !there {
                index.entries.push(raw(&entry(None, image))?);
            }
            Ok(())
        })
    }

    /// Takes entries off the list by name and digest; gives how many. Entries that cannot be read stay.
    pub fn remove(&self, which: impl Fn(Option<&str>, &Digest) -> bool) -> Result<usize, Error> {
        let mut removed = 0;
        self.change(|index, _| {
            let before = index.entries.len();
            index.entries.retain(|entry| !digest_of(entry).is_some_and(|digest| which(name_of(entry).as_deref(), &digest)));
            removed = before - index.entries.len();
            Ok(())
        })?;
        Ok(removed)
    }

    /// Publishes the changed list, all of the change or nothing.
    fn change(
        &self,
        change: impl FnOnce(&mut Index, &dyn Fn(&Descriptor) -> Result<Box<RawValue>, Error>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let layout = self.layout;
        let unwritable = |e: serde_json::Error| layout.malformed(&e.to_string());
        let mut index = layout.index()?;
        let before = index.write().map_err(unwritable)?;
        change(&mut index, &|entry| serde_json::value::to_raw_value(entry).map_err(unwritable))?;
        index.entries.sort_by_cached_key(|entry| name_of(entry));
        let after = index.write().map_err(unwritable)?;
        if after.len() as u64 > limits::LAYOUT_INDEX_BYTES {
            let (path, size) = (layout.root.join(INDEX), after.len() as u64);
            return Err(Error::TooManyImages { path, size, limit: limits::LAYOUT_INDEX_BYTES });
        }
        if after != before {
            layout.root.publish(INDEX, &after)?;
        }
        Ok(())
    }
}

impl Index {
    fn write(&self) -> serde_json::Result<Vec<u8>> {
        let entries = serde_json::value::to_raw_value(&self.entries)?;
        let version = serde_json::value::to_raw_value(&2)?;
        let mut members: BTreeMap<&str, &RawValue> = BTreeMap::from([("schemaVersion", &*version)]);
        members.extend(self.rest.iter().map(|(name, value)| (name.as_str(), &**value)));
        members.insert("manifests", &entries);
        serde_json::to_vec(&members)
    }
}

/// The entry this program writes. Not by way of `oci_spec`'s descriptor: its annotations are a hash map, whose order would
/// change from run to run if there were ever two.
fn entry(name: Option<&str>, image: &Descriptor) -> Descriptor {
    let mut entry = Descriptor::new(image.media_type.clone(), image.digest, image.size);
    entry.platform.clone_from(&image.platform);
    entry.annotations.extend(name.map(|name| (REF_NAME.to_owned(), name.to_owned())));
    entry
}

fn name_of(entry: &RawValue) -> Option<String> {
    serde_json::from_str::<Annotated>(entry.get()).ok()?.annotations?.remove(REF_NAME)
}

fn digest_of(entry: &RawValue) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Named {
        digest: Digest,
    }
    Some(serde_json::from_str::<Named>(entry.get()).ok()?.digest)
}
