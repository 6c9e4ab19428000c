//! The second reading: what is kept, written package by package.

use super::emit::Emitter;
use super::error::FbcError;
use super::filter::{Kept, KeptPackage};
use super::index::{At, Catalog, object_error, split_error, walk};
use super::object::Object;
use super::package::Package;
use super::split::{Begin, Documents};
use crate::limits::CATALOG_OBJECT_BYTES;
use crate::openshift::files::{Files, Flow};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};

/// Takes one file: its path, its size, its bytes.
pub type Sink<'s> = &'s mut dyn FnMut(&str, u64, &mut dyn Read) -> io::Result<()>;

/// Packages whose texts lie scattered over one file are gathered in memory up to this, or up to the size of the largest; what is
/// beyond waits for another reading.
const GATHERED_BYTES: u64 = 16 << 20;

/// Writes the filtered catalog: `configs/PACKAGE/catalog.json` for each kept package, `configs/catalog.json` for objects without
/// package. Objects are in the order package, channels, bundles, others, deprecations, each by name; four spaces per level.
///
/// `files` and `catalog` are those of [`Catalog::read`]. Equal files in equal order give equal bytes in equal order. One package is in
/// memory at a time, unless the texts of several are mixed in one file.
///
/// # Errors
/// Files that cannot be had or are others than before, objects that cannot be said in JSON, and whatever `sink` refuses.
pub fn write(files: &dyn Files, catalog: &Catalog, kept: &Kept, sink: Sink<'_>) -> Result<(), FbcError> {
    let mut jobs: Vec<Job<'_>> = kept.packages.iter().filter_map(|kept| Some(job(catalog.packages.get(&kept.name)?, kept))).collect();
    jobs.push(loose(catalog));
    jobs.retain(|job| !job.items.is_empty());
    jobs.sort_by_key(|job| job.items.first().map(|item| item.at));
    while !jobs.is_empty() {
        let (now, later) = one_reading(jobs);
        Writing { catalog, jobs: now, open: HashMap::new(), text: Vec::new() }.run(files, sink)?;
        jobs = later;
    }
    Ok(())
}

/// A file to write.
struct Job<'k> {
    path: String,
    /// By place.
    items: Vec<Item<'k>>,
}

/// An object in it.
#[derive(Clone)]
struct Item<'k> {
    at: At,
    /// Where it stands in the file: rank of its schema, name.
    key: (u8, &'k str),
    change: Change<'k>,
}

#[derive(Clone, Copy)]
enum Change<'k> {
    None,
    /// `olm.package`: another default channel.
    Default(&'k str),
    /// `olm.channel`: only these entries.
    Entries(&'k [String]),
    /// `olm.deprecations`: only what speaks of these.
    Deprecations(&'k KeptPackage),
}

impl Job<'_> {
    fn bytes(&self) -> u64 {
        self.items.iter().map(|item| u64::from(item.at.size)).sum()
    }

    fn last(&self) -> Option<At> {
        self.items.last().map(|item| item.at)
    }
}

fn job<'k>(package: &'k Package, kept: &'k KeptPackage) -> Job<'k> {
    let mut items = Vec::new();
    let mut push = |at, rank, name, change| items.push(Item { at, key: (rank, name), change });
    if let Some(head) = &package.head {
        let same = head.default_channel == kept.default_channel;
        push(head.at, 0, "", if same { Change::None } else { Change::Default(&kept.default_channel) });
    }
    for kept in &kept.channels {
        let Some(channel) = package.channels.get(&kept.name) else { continue };
        let same = channel.entries.len() == kept.entries.len();
        push(channel.at, 1, &kept.name, if same { Change::None } else { Change::Entries(&kept.entries) });
    }
    for kept in &kept.bundles {
        package.bundles.get(&kept.name).into_iter().for_each(|bundle| push(bundle.at, 2, &kept.name, Change::None));
    }
    package.others.iter().for_each(|(schema, at)| push(*at, 3, schema, Change::None));
    package.deprecations.iter().for_each(|at| push(*at, 4, "", Change::Deprecations(kept)));
    items.sort_by_key(|item| item.at);
    Job { path: format!("configs/{}/catalog.json", kept.name), items }
}

fn loose(catalog: &Catalog) -> Job<'_> {
    let items = catalog.loose.iter().map(|(schema, at)| Item { at: *at, key: (3, schema), change: Change::None });
    Job { path: "configs/catalog.json".to_owned(), items: items.collect() }
}

/// Takes, in order of their beginnings, the jobs that can be done in one reading: those begun and not ended at any moment must
/// not hold more than is allowed.
fn one_reading(jobs: Vec<Job<'_>>) -> (Vec<Job<'_>>, Vec<Job<'_>>) {
    let allowed = jobs.iter().map(Job::bytes).max().unwrap_or(0).max(GATHERED_BYTES);
    let mut open: Vec<(At, u64)> = Vec::new();
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for job in jobs {
        let first = job.items.first().map(|item| item.at);
        open.retain(|(last, _)| Some(*last) >= first);
        let held: u64 = open.iter().map(|(_, bytes)| bytes).sum();
        if open.is_empty() || held.saturating_add(job.bytes()) <= allowed {
            open.extend(job.last().map(|last| (last, job.bytes())));
            now.push(job);
        } else {
            later.push(job);
        }
    }
    (now, later)
}

/// One reading.
struct Writing<'k> {
    catalog: &'k Catalog,
    jobs: Vec<Job<'k>>,
    /// What was gathered of jobs that are not complete: the JSON of each item.
    open: HashMap<usize, Vec<((u8, &'k str), At, Vec<u8>)>>,
    text: Vec<u8>,
}

impl<'k> Writing<'k> {
    fn run(mut self, files: &dyn Files, sink: Sink<'_>) -> Result<(), FbcError> {
        let mut places: HashMap<(&'k str, u32), (usize, Item<'k>)> = HashMap::new();
        for (number, job) in self.jobs.iter().enumerate() {
            for item in &job.items {
                let Some(file) = self.catalog.files.get(item.at.file as usize) else { continue };
                places.insert((file, item.at.document), (number, item.clone()));
            }
        }
        let wanted: BTreeSet<&'k str> = places.keys().map(|(file, _)| *file).collect();
        let mut left = self.jobs.len();
        walk(files, &|path| wanted.contains(path), &mut |path, reader| {
            let Some(path) = wanted.get(path).copied() else { return Ok(Flow::Continue) };
            let mut documents = Documents::new(reader);
            while let Some(begin) = documents.next(&mut self.text).map_err(|e| split_error(path, e))? {
                let Some((job, item)) = places.get(&(path, begin.document)) else { continue };
                if self.text.len() != item.at.size as usize {
                    return Err(FbcError::Changed);
                }
                if self.gather(*job, item, documents.is_json(), path, begin)? {
                    self.hand_over(*job, sink)?;
                    left -= 1;
                }
            }
            Ok(if left == 0 { Flow::Stop } else { Flow::Continue })
        })?;
        if left == 0 { Ok(()) } else { Err(FbcError::Changed) }
    }

    /// Takes one object; true when its job is complete.
    fn gather(&mut self, job: usize, item: &Item<'k>, json: bool, path: &str, begin: Begin) -> Result<bool, FbcError> {
        let mut emitter = Emitter::pretty(CATALOG_OBJECT_BYTES.saturating_mul(2));
        Object::emit(&self.text, json, &mut emitter).map_err(|refusal| object_error(path, begin, refusal))?;
        let bytes = changed(emitter.into_bytes(), item.change).ok_or(FbcError::Changed)?;
        let gathered = self.open.entry(job).or_default();
        gathered.push((item.key, item.at, bytes));
        Ok(self.jobs.get(job).is_some_and(|job| job.items.len() == gathered.len()))
    }

    fn hand_over(&mut self, job: usize, sink: Sink<'_>) -> Result<(), FbcError> {
        let (Some(mut items), Some(job)) = (self.open.remove(&job), self.jobs.get(job)) else { return Ok(()) };
        items.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let size = items.iter().map(|(_, _, bytes)| bytes.len() as u64).sum();
        sink(&job.path, size, &mut Pieces { items: &items, at: 0 }).map_err(FbcError::Sink)
    }
}

/// Gathered objects as one file.
struct Pieces<'p, K> {
    items: &'p [(K, At, Vec<u8>)],
    at: usize,
}

impl<K> Read for Pieces<'_, K> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(((_, _, bytes), rest)) = self.items.split_first() {
            let mut left = bytes.get(self.at..).unwrap_or_default();
            if !left.is_empty() || buffer.is_empty() {
                let n = left.read(buffer)?;
                self.at += n;
                return Ok(n);
            }
            (self.items, self.at) = (rest, 0);
        }
        Ok(0)
    }
}

/// The object's JSON after the change, with a line break at its end; nothing for deprecations of which none is left.
fn changed(mut bytes: Vec<u8>, change: Change<'_>) -> Option<Vec<u8>> {
    if !matches!(change, Change::None) {
        let mut object: Value = serde_json::from_slice(&bytes).ok()?;
        match change {
            Change::None => {}
            Change::Default(channel) => set_default(&mut object, channel),
            Change::Entries(entries) => {
                let list = member(&mut object, "entries")?.as_array_mut()?;
                list.retain_mut(|entry| text(entry, "name").is_some_and(|name| entries.contains(&name)));
            }
            Change::Deprecations(kept) => {
                let Some(list) = member(&mut object, "entries").and_then(Value::as_array_mut) else { return Some(Vec::new()) };
                list.retain_mut(|entry| is_kept(entry, kept));
                if list.is_empty() {
                    return Some(Vec::new());
                }
            }
        }
        bytes = four_spaces(&object)?;
    }
    bytes.push(b'\n');
    Some(bytes)
}

fn four_spaces(object: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(object, &mut serde_json::Serializer::with_formatter(&mut bytes, form)).ok()?;
    Some(bytes)
}

/// A member by its name in any letter case.
fn member<'v>(object: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    object.as_object_mut()?.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn text(object: &mut Value, name: &str) -> Option<String> {
    member(object, name)?.as_str().map(str::to_owned)
}

fn set_default(object: &mut Value, channel: &str) {
    if let Some(value) = member(object, "defaultChannel") {
        *value = channel.into();
    } else if let Some(members) = object.as_object_mut() {
        members.insert("defaultChannel".into(), channel.into());
    }
}

/// True for a deprecation of something that is still there.
fn is_kept(entry: &mut Value, kept: &KeptPackage) -> bool {
    let Some(reference) = member(entry, "reference") else { return false };
    let (schema, name) = (text(reference, "schema"), text(reference, "name").unwrap_or_default());
    match schema.as_deref() {
        Some("olm.bundle") => kept.bundles.iter().any(|bundle| bundle.name == name),
        Some("olm.channel") => kept.channels.iter().any(|channel| channel.name == name),
        _ => true,
    }
}
