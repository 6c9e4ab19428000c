//! A folder of resources: files are published whole; of what is there already, only what this program wrote is touched.

use super::Context;
use crate::cluster::ResourceFile;
use crate::digest::Digest;
use crate::error::Error;
use crate::fs::{Dir, Trouble};
use crate::limits;
use crate::text::{is_plain_name, shown};
use std::collections::{BTreeMap, BTreeSet};

/// The list of what was written, `HEX  NAME` per line. `oc apply -f` looks at other endings.
const LIST: &str = ".sealift-resources";

/// Writes the files. A file that was written before and is not among them is removed; one that was changed by hand since is kept as
/// `NAME.old`, and said.
///
/// # Errors
/// As files fail.
pub(super) fn write(dir: &Dir, files: &[ResourceFile], ctx: &Context) -> Result<(), Error> {
    let before = read_list(dir)?;
    let wanted: BTreeMap<&str, &ResourceFile> = files.iter().map(|file| (file.name.as_str(), file)).collect();
    for (name, digests) in &before {
        put_aside(dir, name, digests, wanted.get(name.as_str()).copied(), ctx)?;
    }
    // What is about to be written counts as written: a run that is cut off leaves nothing the next one would take for foreign.
    let mut both = before;
    for file in files {
        both.entry(file.name.clone()).or_default().insert(digest(file));
    }
    publish_list(dir, both)?;
    for file in files {
        let (parent, name) = place(dir, &file.name, true)?.ok_or_else(|| Error::bug(format!("{} is no name of a file", file.name)))?;
        if parent.read_if_there(name, limits::PLAN_BYTES)?.is_none_or(|there| there != file.bytes()) {
            parent.publish(name, &file.bytes())?;
        }
    }
    publish_list(dir, files.iter().map(|file| (file.name.clone(), BTreeSet::from([digest(file)]))).collect())
}

fn digest(file: &ResourceFile) -> String {
    Digest::sha256(&file.bytes()).hex()
}

fn put_aside(dir: &Dir, path: &str, written: &BTreeSet<String>, wanted: Option<&ResourceFile>, ctx: &Context) -> Result<(), Error> {
    let Some((parent, name)) = place(dir, path, false)? else { return Ok(()) };
    let Some(there) = parent.read_if_there(name, limits::PLAN_BYTES)? else { return Ok(()) };
    let is = Digest::sha256(&there).hex();
    if written.contains(&is) {
        return if wanted.is_none() { Ok(parent.remove(name)?) } else { Ok(()) };
    }
    if wanted.is_none_or(|file| is != digest(file)) {
        let path = parent.join(name).display().to_string();
        ctx.output.warn(&format!("{} was changed by hand: it is kept as {}.old", shown(&path), shown(name)));
        parent.rename(name, &format!("{name}.old"))?;
    }
    Ok(())
}

/// The folder of a file below `dir`, and its name there. `None` when the folder is not there and is not to be made, or when a part of
/// the path could lead elsewhere.
fn place<'a>(dir: &Dir, path: &'a str, make: bool) -> Result<Option<(Dir, &'a str)>, Error> {
    if !path.split('/').all(is_plain_name) {
        return Ok(None);
    }
    let (folders, name) = path.rsplit_once('/').map_or(("", path), |(folders, name)| (folders, name));
    let mut parent = dir.clone();
    for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
        parent = match make {
            true => parent.make_sub(folder)?,
            false => match parent.open_sub(folder) {
                Ok(sub) => sub,
                Err(e) if e.trouble() == Trouble::Absent => return Ok(None),
                Err(e) => return Err(e.into()),
            },
        };
    }
    Ok(Some((parent, name)))
}

/// Names, and the digests of what may lie under them: two where a run was cut off between them.
type Written = BTreeMap<String, BTreeSet<String>>;

/// What an earlier run wrote. A line that cannot be understood is about nothing of ours.
fn read_list(dir: &Dir) -> Result<Written, Error> {
    let bytes = dir.read_if_there(LIST, limits::PLAN_BYTES)?.unwrap_or_default();
    let mut written = Written::new();
    for (hex, name) in String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.split_once("  ")) {
        written.entry(name.to_owned()).or_default().insert(hex.to_owned());
    }
    Ok(written)
}

fn publish_list(dir: &Dir, written: Written) -> Result<(), Error> {
    let lines = written.iter().flat_map(|(name, digests)| digests.iter().map(move |hex| format!("{hex}  {name}\n")));
    let text: String = lines.collect();
    if text.is_empty() {
        return Ok(dir.remove(LIST)?);
    }
    if dir.read_if_there(LIST, limits::PLAN_BYTES)?.is_none_or(|there| there != text.as_bytes()) {
        dir.publish(LIST, text.as_bytes())?;
    }
    Ok(())
}
