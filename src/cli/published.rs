//! Receipts beyond this host: put into the registry they are about, and read from there where this host has none.

use super::receipts::{from_paths, receipts_folder, receipts_of, remember};
use super::{Context, options};
use crate::error::{Code, Error};
use crate::format::Receipt;
use crate::fs::Dir;
use crate::inventory::{self, Deleted, Deletion, InventoryError, join, path_of, set_of};
use crate::progress::Level;
use crate::sign::{Namespace, Signer, sign_detached};
use crate::text::shown;
use crate::unpack::Target;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Receipts for a verb: the files named, else those of this host, else those in the registry itself.
///
/// # Errors
/// A receipt that cannot be read; `FILE_MISSING` when there is none anywhere.
pub fn gathered(
    files: &[PathBuf],
    target: Option<&dyn Target>,
    name: Option<&str>,
    prefix: &str,
    nested: &options::Nested,
    ctx: &Context,
) -> Result<Vec<Receipt>, Error> {
    if !files.is_empty() {
        let mut receipts = from_paths(files, ctx)?;
        receipts.retain(|receipt| name.is_none_or(|name| receipt.target == name));
        return if receipts.is_empty() { Err(none(name.unwrap_or("any target"), ctx)) } else { Ok(receipts) };
    }
    let Some(name) = name else {
        return Err(Error::new(Code::Usage, "neither --to nor --receipts is given").remedy("say with --to which target is meant"));
    };
    let mut receipts = receipts_of(name, ctx)?;
    if let Some(target) = target.filter(|target| receipts.is_empty() && target.collects_garbage()) {
        receipts = in_registry(target, prefix, nested, ctx)?;
        if !receipts.is_empty() {
            let line = "this host has no receipts of the target: those in the registry are used, as trustworthy as the registry";
            ctx.progress.say(Level::Info, line);
        }
    }
    if receipts.is_empty() { Err(none(name, ctx)) } else { Ok(receipts) }
}

/// Receipts for a deletion: the files named, else those of this host and those in the registry, together.
///
/// # Errors
/// As [`gathered`].
pub fn everyones(
    files: &[PathBuf],
    target: &dyn Target,
    prefix: &str,
    nested: &options::Nested,
    ctx: &Context,
) -> Result<Vec<Receipt>, Error> {
    let name = target.name();
    let here = receipts_of(&name, ctx)?;
    if !files.is_empty() || here.is_empty() || !target.collects_garbage() {
        return gathered(files, Some(target), Some(&name), prefix, nested, ctx);
    }
    let there = in_registry(target, prefix, nested, ctx)?;
    // Those of this host are the last, the newest: their order is certain.
    Ok(unknown(there, &here).into_iter().chain(here.iter().cloned()).collect())
}

/// Without those that say what one of `here` says.
pub fn unknown(mut receipts: Vec<Receipt>, here: &[Receipt]) -> Vec<Receipt> {
    receipts.retain(|r| !here.iter().any(|own| (own.identity, &own.images) == (r.identity, &r.images)));
    receipts
}

/// The receipts in the registry itself, the newest last, under the name the registry is asked by: whoever reached it by another name
/// (an alias, an address, the registry it was replicated from) filled the same place.
///
/// # Errors
/// As [`inventory::fetch`].
pub fn in_registry(target: &dyn Target, prefix: &str, nested: &options::Nested, ctx: &Context) -> Result<Vec<Receipt>, Error> {
    let mut receipts = inventory::fetch(target, prefix, nested.paths()).map_err(|error| unusable(&error, &target.name(), ctx))?;
    receipts.retain(|receipt| path_of(&receipt.target) == Some(prefix));
    let name = target.name();
    let others: BTreeSet<&str> = receipts.iter().map(|r| r.target.as_str()).filter(|other| *other != name).collect();
    for other in others {
        let line = format!("receipts in the registry name it {}: they are taken as those of {}", shown(other), shown(&name));
        ctx.progress.say(Level::Info, &line);
    }
    receipts.iter_mut().for_each(|receipt| receipt.target.clone_from(&name));
    Ok(receipts)
}

/// What lies among the receipts and is none keeps everybody from using them: the ways out are named, those without a network first.
fn unusable(error: &InventoryError, target: &str, ctx: &Context) -> Error {
    let InventoryError::Published { name, why: _ } = error else { return error.into() };
    let own = match receipts_folder(target, ctx) {
        Some(folder) => format!(" (this host keeps its own in {})", shown(&folder.display().to_string())),
        None => " (a host that unpacked or mirrored into it keeps its own in its state folder, receipts/)".to_owned(),
    };
    let one = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let removed = match one {
        true => format!("; or, where nobody needs what is there, remove it: skopeo delete docker://{}", shown(name)),
        false => String::new(),
    };
    Error::from(error).remedy(format!("say with --receipts FILE, or a folder of them, which receipts count{own}{removed}"))
}

fn none(name: &str, ctx: &Context) -> Error {
    let mut error = Error::new(Code::FileMissing, format!("there is no receipt of {}", shown(name)))
        .remedy("run this where sealift unpacked or mirrored into it, or give --receipts FILE");
    let known = super::receipts::known_targets(ctx);
    if !known.is_empty() {
        let known: Vec<String> = known.iter().map(|name| shown(name).to_string()).collect();
        error = error.remedy(format!(
            "give the target with --to as it was given to unpack or mirror (this host has receipts of {}), or give --receipts FILE",
            known.join(", ")
        ));
    }
    error
}

/// The folder of a file that is to be written, and its name in it. Asked before the work as well: a mistyped path shall not be noticed
/// after hours.
///
/// # Errors
/// The path is that of a folder, or of no file; the folder is not there.
pub fn place(path: &Path) -> Result<(Dir, &str), Error> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str()).filter(|_| !path.is_dir());
    let name = name.ok_or_else(|| Error::new(Code::Usage, format!("{} is no file name", path.display())))?;
    Ok((Dir::open(parent)?, name))
}

/// Writes a receipt to a file; signed when there is a key.
///
/// # Errors
/// The file, or the key.
pub fn save(path: &Path, bytes: &[u8], signer: Option<&dyn Signer>) -> Result<(), Error> {
    let (dir, name) = place(path)?;
    let signature = signer.map(|signer| sign_detached(signer, Namespace::Receipt, bytes)).transpose()?;
    // The signature of an earlier receipt would make this one look forged.
    dir.remove(&format!("{name}.sig"))?;
    dir.publish(name, bytes)?;
    if let Some(signature) = signature {
        dir.publish(&format!("{name}.sig"), signature.as_bytes())?;
    }
    Ok(())
}

/// Keeps what a run found on this host, and in the registry when `publish` is set: together with what earlier runs of the same set
/// found, on this host and on others. What was done is done: a failure is a warning.
pub fn keep(receipt: &Receipt, bytes: &[u8], target: &dyn Target, prefix: &str, publish: bool, ctx: &Context) {
    let same = |other: &Receipt| set_of(other) == set_of(receipt) && other.max_nested_paths == receipt.max_nested_paths;
    let joined = |known: Vec<Receipt>| {
        known.iter().filter(|r| same(r)).fold(None, |all: Option<Receipt>, r| Some(all.map_or(r.clone(), |all| join(&all, r))))
    };
    if let Err(error) = remember(receipt, bytes, ctx) {
        ctx.output.warn(&format!("the receipt could not be kept: {}", error.what));
    }
    if !publish || !target.collects_garbage() || receipt.images.is_empty() {
        return;
    }
    let now = joined(receipts_of(&receipt.target, ctx).unwrap_or_default()).unwrap_or_else(|| receipt.clone());
    told(inventory::publish(target, prefix, &now), "the receipt could not be put into the registry", ctx);
}

fn told(done: Result<(), inventory::InventoryError>, what: &str, ctx: &Context) {
    if let Err(error) = done {
        ctx.output.warn(&format!("{what}: {}", Error::from(error).what));
    }
}

/// Takes what was deleted out of the receipts in the registry, whichever host's they are; a refusal is a warning. `nested`: how names were
/// flattened where receipts were read from.
pub fn revise(deletion: &Deletion, deleted: &Deleted, target: &dyn Target, prefix: &str, nested: BTreeSet<usize>, ctx: &Context) {
    let left = |receipt: &Receipt| {
        let left = inventory::remaining(receipt, deletion, deleted, prefix);
        Some(left).filter(|left| left != receipt)
    };
    for paths in nested.into_iter().filter(|_| target.collects_garbage()) {
        let what = "the receipts in the registry could not be changed, and name what is gone";
        told(inventory::revise(target, prefix, paths, &left), what, ctx);
    }
}
