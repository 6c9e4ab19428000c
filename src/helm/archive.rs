//! The files of a chart archive that are looked into, and folders made into archives.
//!
//! The form is helm's: a gzip-compressed tar with one folder at the top. An archive is never unpacked to disk; only what
//! templates are read from is kept in memory.

use super::error::ChartFault;
use crate::fs::{Dir, FsError, Trouble};
use crate::limits;
use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path};

/// Files by their path below the chart's folder.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What is left of the ceilings, for an archive and all archives inside of it.
pub(super) struct Allowance {
    bytes: u64,
    files: usize,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance { bytes: limits::CHART_PLAIN_BYTES, files: limits::CHART_FILES }
    }
}

impl Allowance {
    fn file(&mut self) -> Result<(), ChartFault> {
        self.files = self.files.checked_sub(1).ok_or(ChartFault::TooManyFiles(limits::CHART_FILES))?;
        Ok(())
    }
}

/// Reads an archive. Only files that matter are kept ([`matters`]); the others count all the same.
pub(super) fn read(archive: &[u8], allowance: &mut Allowance) -> Result<Files, ChartFault> {
    // What one archive may unfold to: its share of the whole, and what text can be.
    let by_ratio = (archive.len() as u64).saturating_mul(limits::CHART_RATIO).saturating_add(1 << 20);
    let most = allowance.bytes.min(by_ratio);
    let too_much = || if by_ratio < allowance.bytes { ChartFault::Ratio(limits::CHART_RATIO) } else { too_large() };
    let mut plain = Counted { inner: MultiGzDecoder::new(archive).take(most.saturating_add(1)), seen: 0 };
    let read = members(&mut plain, &mut allowance.files);
    let seen = plain.seen;
    if seen > most {
        return Err(too_much());
    }
    allowance.bytes -= seen;
    read
}

fn too_large() -> ChartFault {
    ChartFault::TooLarge(limits::CHART_PLAIN_BYTES)
}

fn members(plain: &mut impl Read, left: &mut usize) -> Result<Files, ChartFault> {
    let broken = |e: io::Error| ChartFault::Archive(crate::text::shown(&e.to_string()).to_string());
    let mut files = Files::new();
    let mut top: Option<String> = None;
    let mut archive = tar::Archive::new(plain);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if matches!(kind, tar::EntryType::XGlobalHeader | tar::EntryType::XHeader) {
            continue;
        }
        *left = left.checked_sub(1).ok_or(ChartFault::TooManyFiles(limits::CHART_FILES))?;
        let path = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| ChartFault::Archive("a name is not UTF-8".into()))?;
        let (folder, rest) = inside(&path)?;
        match &top {
            Some(top) if *top != folder => return Err(ChartFault::TopFolder(folder)),
            Some(_) => {}
            None => top = Some(folder.clone()),
        }
        match kind {
            tar::EntryType::Directory => continue,
            tar::EntryType::Regular | tar::EntryType::Continuous => {}
            _ => return Err(ChartFault::Irregular(path)),
        }
        if rest.is_empty() {
            return Err(ChartFault::TopFolder(folder));
        }
        if let Some(limit) = matters(&rest) {
            let mut bytes = Vec::new();
            (&mut entry).take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(broken)?;
            if bytes.len() as u64 > limit {
                return Err(ChartFault::FileTooLarge(rest, limit));
            }
            files.insert(rest, bytes);
        }
    }
    Ok(files)
}

/// Top folder and the path below it; a path that leaves the chart is refused, not mended.
fn inside(path: &str) -> Result<(String, String), ChartFault> {
    let bad = || ChartFault::Traversal(path.to_owned());
    if path.contains(['\\', '\0']) {
        return Err(bad());
    }
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(bad)?),
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => return Err(bad()),
        }
    }
    let (first, rest) = parts.split_first().ok_or_else(bad)?;
    Ok(((*first).to_owned(), rest.join("/")))
}

/// The most bytes of a file that is looked into; `None` for one that is not.
fn matters(path: &str) -> Option<u64> {
    if let Some((_, below)) = path.strip_prefix("charts/").and_then(|rest| rest.split_once('/')) {
        return matters(below);
    }
    match path {
        "Chart.yaml" | "values.yaml" | "requirements.yaml" => Some(limits::CHART_FILE_BYTES),
        // A chart inside, packed: bounded with the whole.
        packed if packed.starts_with("charts/") && packed.ends_with(".tgz") => Some(limits::CHART_BYTES),
        text if text.starts_with("templates/") || text.starts_with("crds/") => Some(limits::CHART_FILE_BYTES),
        _ => None,
    }
}

/// A folder as the archive `helm package` would make of it, the same bytes every time: sorted, without times and owners.
/// `.helmignore` is honoured; a link is refused, since what it leads to may be anything.
pub(super) fn pack(folder: &Dir, name: &str) -> Result<Vec<u8>, PackError> {
    let ignored = helm_ignore(folder)?;
    let mut files = Vec::new();
    walk(folder, "", &ignored, 0, &mut Allowance::default(), &mut files)?;
    // `Chart.yaml` first, as helm writes it: readers that want only the name need not go on.
    files.sort_by_key(|(path, _)| (path != "Chart.yaml", path.clone()));
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
    let mut archive = tar::Builder::new(gzip);
    let cannot = |e: io::Error| PackError::Fs(FsError::from_io(e, "pack", folder.path()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        archive.append_data(&mut header, format!("{name}/{path}"), bytes.as_slice()).map_err(cannot)?;
    }
    archive.into_inner().and_then(|gzip| gzip.finish()).map_err(cannot)
}

/// Why a folder could not be made an archive.
#[derive(Debug)]
pub(super) enum PackError {
    /// The disk.
    Fs(FsError),
    /// The folder.
    Chart(ChartFault),
}

impl From<FsError> for PackError {
    fn from(error: FsError) -> PackError {
        PackError::Fs(error)
    }
}

impl From<ChartFault> for PackError {
    fn from(fault: ChartFault) -> PackError {
        PackError::Chart(fault)
    }
}

fn helm_ignore(folder: &Dir) -> Result<Gitignore, FsError> {
    let mut rules = GitignoreBuilder::new("");
    let text = folder.read_if_there(".helmignore", limits::KEY_BYTES)?.unwrap_or_default();
    // Helm's own rule, before those of the chart.
    for line in std::iter::once("templates/.?*").chain(String::from_utf8_lossy(&text).lines()) {
        // A line that is no pattern excludes nothing, as in git.
        let _ = rules.add_line(None, line.trim());
    }
    Ok(rules.build().unwrap_or_else(|_| Gitignore::empty()))
}

fn walk(
    dir: &Dir,
    prefix: &str,
    ignored: &Gitignore,
    depth: usize,
    allowance: &mut Allowance,
    files: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), PackError> {
    if depth > 4 * limits::CHART_DEPTH {
        return Err(ChartFault::TooDeep(limits::CHART_DEPTH).into());
    }
    for entry in dir.list()? {
        let path = format!("{prefix}{}", entry.name);
        if ignored.matched(&path, !entry.regular).is_ignore() {
            continue;
        }
        allowance.file()?;
        if entry.regular {
            let bytes = dir.read(&entry.name, allowance.bytes).map_err(|e| match entry.size > allowance.bytes {
                true => PackError::Chart(too_large()),
                false => PackError::Fs(e),
            })?;
            allowance.bytes = allowance.bytes.saturating_sub(bytes.len() as u64);
            files.push((path, bytes));
        } else {
            // Of what is no file, only a folder opens without being followed.
            let sub = dir.open_sub(&entry.name).map_err(|e| match e.trouble() {
                Trouble::Other => PackError::Chart(ChartFault::Irregular(path.clone())),
                _ => PackError::Fs(e),
            })?;
            walk(&sub, &format!("{path}/"), ignored, depth + 1, allowance, files)?;
        }
    }
    Ok(())
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    seen: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.seen += n as u64;
        Ok(n)
    }
}
