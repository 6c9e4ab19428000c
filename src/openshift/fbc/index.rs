//! The first reading of a catalog: what packages, channels and bundles there are, and where their texts lie. Long texts stay
//! where they are; what is kept of an object is some hundred bytes.

use super::error::{FbcError, Place};
use super::ignore_files::{self, Ignores};
use super::object::{Object, Refusal};
use super::package::{Package, Strings};
use super::split::{Begin, Documents, SplitError};
use crate::limits::{CATALOG_OBJECT_BYTES, CATALOG_OBJECTS, INDEX_IGNORE_BYTES};
use crate::openshift::files::{Files, FilesError, Flow};
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Where the text of an object lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    /// The file, as a number in [`Catalog::files`].
    pub(super) file: u32,
    /// The object in it, from 1.
    pub(super) document: u32,
    /// Its line.
    pub(super) line: u32,
    /// Bytes of its text.
    pub(super) size: u32,
}

/// What a file-based catalog holds. It remembers where in the files everything is, so that it can be written in part.
#[derive(Debug)]
pub struct Catalog {
    pub(super) files: Vec<String>,
    pub(super) packages: BTreeMap<String, Package>,
    /// Objects that belong to no package, with their schema.
    pub(super) loose: Vec<(String, At)>,
    pub(super) objects: usize,
}

impl Catalog {
    /// Reads all files below `root` (`configs` in an image; empty: everything) that no `.indexignore` takes out.
    ///
    /// What is wrong with a single package (several heads, a bundle without version ...) is no failure here: it matters when that
    /// package is asked for.
    ///
    /// # Errors
    /// Files that cannot be had, and objects that are not as their schema demands, with their place.
    pub fn read(files: &dyn Files, root: &str) -> Result<Catalog, FbcError> {
        let first = Reading::of(files, root, Ignores::default())?;
        // A rule may be met after what it takes out: then all is read again, with the rules known.
        match first.took_ignored() {
            false => first.finish(root),
            true => Reading::of(files, root, first.ignores)?.finish(root),
        }
    }

    /// Names of the packages, sorted.
    pub fn package_names(&self) -> impl Iterator<Item = &str> {
        self.packages.values().filter(|package| !package.is_shadow()).map(|package| package.name.as_str())
    }

    /// A package.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.get(name).filter(|package| !package.is_shadow())
    }

    /// Objects of all schemas.
    pub fn objects(&self) -> usize {
        self.objects
    }

    pub(super) fn place(&self, at: At) -> Place {
        let file = usize::try_from(at.file).ok().and_then(|number| self.files.get(number)).cloned().unwrap_or_default();
        Place { file, document: at.document, line: at.line }
    }
}

/// A folder as the beginning of paths.
pub(super) fn prefix(root: &str) -> String {
    let root = root.trim_matches('/');
    if root.is_empty() { String::new() } else { format!("{root}/") }
}

/// [`Files::each`] for visitors with errors of their own.
pub(super) fn walk(
    files: &dyn Files,
    wanted: &dyn Fn(&str) -> bool,
    visit: &mut dyn FnMut(&str, &mut dyn Read) -> Result<Flow, FbcError>,
) -> Result<(), FbcError> {
    let mut refused = None;
    let walked = files.each(wanted, &mut |path, reader| {
        visit(path, reader).map_err(|error| {
            refused = Some(error);
            io::Error::other("refused")
        })
    });
    match (refused, walked) {
        (Some(error), _) => Err(error),
        (None, walked) => walked.map_err(|e: FilesError| e.into()),
    }
}

#[derive(Default)]
struct Reading {
    files: Vec<String>,
    /// Paths of the files below the root.
    below: Vec<String>,
    catalog: BTreeMap<String, Package>,
    loose: Vec<(String, At)>,
    strings: Strings,
    ignores: Ignores,
    /// Why a file cannot be read, by its path below the root: no failure while it may yet be ignored.
    refused: Vec<(String, FbcError)>,
    objects: usize,
    text: Vec<u8>,
}

impl Reading {
    fn of(files: &dyn Files, root: &str, ignores: Ignores) -> Result<Reading, FbcError> {
        let prefix = prefix(root);
        let mut reading = Reading { ignores, ..Reading::default() };
        walk(files, &|path| path.starts_with(&prefix), &mut |path, reader| {
            reading.file(path, path.get(prefix.len()..).unwrap_or(path), reader)?;
            Ok(Flow::Continue)
        })?;
        Ok(reading)
    }

    fn file(&mut self, path: &str, below: &str, reader: &mut dyn Read) -> Result<(), FbcError> {
        if below == ignore_files::NAME || below.ends_with("/.indexignore") {
            return self.ignore(path, below, reader);
        }
        if self.ignores.ignores(below) {
            return Ok(());
        }
        let number = u32::try_from(self.files.len()).map_err(|_| FbcError::TooMany(CATALOG_OBJECTS))?;
        self.files.push(path.to_owned());
        self.below.push(below.to_owned());
        match self.objects(path, number, reader) {
            Err(FbcError::TooMany(limit)) => Err(FbcError::TooMany(limit)),
            Err(error) => {
                self.refused.push((below.to_owned(), error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn ignore(&mut self, path: &str, below: &str, reader: &mut dyn Read) -> Result<(), FbcError> {
        let mut text = String::new();
        let read = reader.take(INDEX_IGNORE_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| FbcError::Read { file: path.to_owned(), error })?;
        if text.len() as u64 > INDEX_IGNORE_BYTES {
            let why = format!("it is larger than {INDEX_IGNORE_BYTES} bytes");
            return Err(FbcError::Ignore { file: path.to_owned(), why });
        }
        self.ignores.add(below, &text)
    }

    fn objects(&mut self, path: &str, file: u32, reader: &mut dyn Read) -> Result<(), FbcError> {
        let mut documents = Documents::new(reader);
        loop {
            let begin = documents.next(&mut self.text).map_err(|e| split_error(path, e))?;
            let Some(begin) = begin else { return Ok(()) };
            self.objects += 1;
            if self.objects > CATALOG_OBJECTS {
                return Err(FbcError::TooMany(CATALOG_OBJECTS));
            }
            let object = Object::parse(&self.text, documents.is_json()).map_err(|refusal| object_error(path, begin, refusal))?;
            let size = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
            self.take(object, At { file, document: begin.document, line: begin.line, size });
        }
    }

    /// True when something was read that a rule takes out.
    fn took_ignored(&self) -> bool {
        self.below.iter().any(|file| self.ignores.ignores(file))
    }

    fn finish(mut self, root: &str) -> Result<Catalog, FbcError> {
        if let Some((_, error)) = self.refused.into_iter().next() {
            return Err(error);
        }
        if !self.catalog.values().any(|package| package.head.is_some()) {
            return Err(FbcError::Empty(root.to_owned()));
        }
        self.catalog.values_mut().for_each(Package::complete);
        Ok(Catalog { files: self.files, packages: self.catalog, loose: self.loose, objects: self.objects })
    }

    fn take(&mut self, object: Object, at: At) {
        let name = if object.schema == "olm.package" { object.name.as_str() } else { object.package.as_str() };
        if name.is_empty() && !matches!(object.schema.as_str(), "olm.channel" | "olm.bundle" | "olm.package" | "olm.deprecations") {
            self.loose.push((object.schema, at));
            return;
        }
        let package = self.catalog.entry(name.to_owned()).or_insert_with(|| Package::named(name));
        package.take(object, at, &mut self.strings);
    }
}

pub(super) fn split_error(path: &str, error: SplitError) -> FbcError {
    let place = |begin: Begin| Place { file: path.to_owned(), document: begin.document, line: begin.line };
    match error {
        SplitError::Read(error) => FbcError::Read { file: path.to_owned(), error },
        SplitError::Syntax(begin, why) => FbcError::Object { place: place(begin), why: why.to_owned() },
        SplitError::TooLarge(begin) => FbcError::TooLarge { place: place(begin), limit: CATALOG_OBJECT_BYTES },
    }
}

pub(super) fn object_error(path: &str, begin: Begin, refusal: Refusal) -> FbcError {
    let below = refusal.line.and_then(|line| u32::try_from(line).ok()).unwrap_or(1).saturating_sub(1);
    let place = Place { file: path.to_owned(), document: begin.document, line: begin.line.saturating_add(below) };
    FbcError::Object { place, why: refusal.why }
}
