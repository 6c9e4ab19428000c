//! Receipts: written after a run, and read by the verbs that ask what a target holds.

use super::{Context, options};
use crate::error::{Code, Error};
use crate::format::Receipt;
use crate::fs::Dir;
use crate::inventory::{self, InventoryError, Shelf};
use crate::limits;
use crate::progress::Level;
use crate::sign::{Namespace, Signer, sign_detached};
use crate::text::shown;
use crate::unpack::Target;
use std::path::{Path, PathBuf};

/// The receipts of a target on this host, the newest last.
///
/// # Errors
/// A receipt that cannot be read.
pub fn receipts_of(target: &str, ctx: &Context) -> Result<Vec<Receipt>, Error> {
    Ok(shelf(target, ctx)?.all()?)
}

fn shelf(target: &str, ctx: &Context) -> Result<Shelf, Error> {
    Ok(Shelf::open(&Dir::create_private(ctx.environment.state()?)?, target)?)
}

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
        let mut receipts: Vec<Receipt> = files.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        receipts.retain(|receipt| name.is_none_or(|name| receipt.target == name));
        receipts.sort_by(|a, b| (&a.written, a.sequence).cmp(&(&b.written, b.sequence)));
        return if receipts.is_empty() { Err(none(name.unwrap_or("any target"))) } else { Ok(receipts) };
    }
    let Some(name) = name else { return Err(Error::new(Code::Usage, "neither --to nor --receipts is given")) };
    let mut receipts = receipts_of(name, ctx)?;
    if let Some(target) = target.filter(|target| receipts.is_empty() && target.collects_garbage()) {
        receipts = inventory::fetch(target, prefix, nested.paths())?;
        receipts.retain(|receipt| receipt.target == name);
        if !receipts.is_empty() {
            ctx.progress.say(
                Level::Info,
                "this host has no receipts of the target: those in the registry are used, as trustworthy as the registry",
            );
        }
    }
    if receipts.is_empty() { Err(none(name)) } else { Ok(receipts) }
}

fn none(name: &str) -> Error {
    Error::new(Code::FileMissing, format!("there is no receipt of {}", shown(name)))
        .remedy("run this where sealift unpacked or mirrored into it, or give --receipts FILE")
}

/// A receipt a person names.
fn read(path: &Path) -> Result<Receipt, Error> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| Error::new(Code::Usage, format!("{} is no file name", path.display())))?;
    let bytes = Dir::open(parent)?.read(name, limits::RECEIPT_BYTES)?;
    Ok(Receipt::parse(&bytes).map_err(|error| InventoryError::Receipt { path: path.to_owned(), error })?)
}

/// Writes a receipt to a file; signed when there is a key.
///
/// # Errors
/// The file, or the key.
pub fn save(path: &Path, bytes: &[u8], signer: Option<&dyn Signer>) -> Result<(), Error> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|n| n.to_str());
    let name = name.ok_or_else(|| Error::new(Code::Usage, format!("{} is no file name", path.display())))?;
    let dir = Dir::open(parent)?;
    let signature = signer.map(|signer| sign_detached(signer, Namespace::Receipt, bytes)).transpose()?;
    // The signature of an earlier receipt would make this one look forged.
    dir.remove(&format!("{name}.sig"))?;
    dir.publish(name, bytes)?;
    if let Some(signature) = signature {
        dir.publish(&format!("{name}.sig"), signature.as_bytes())?;
    }
    Ok(())
}

/// Keeps what a run found on this host, and in the registry when `publish` is set. What was done is done: a failure is a warning.
pub fn keep(receipt: &Receipt, target: &dyn Target, prefix: &str, max_nested_paths: usize, publish: bool, ctx: &Context) {
    if receipt.images.is_empty() {
        return;
    }
    let kept = shelf(&receipt.target, ctx).and_then(|shelf| Ok(shelf.add(receipt)?));
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => {
            ctx.output.warn(&format!("the receipt could not be kept on this host: {}", error.what));
            receipt.clone()
        }
    };
    if publish && target.collects_garbage() {
        published(&kept, target, prefix, max_nested_paths, ctx);
    }
}

fn published(receipt: &Receipt, target: &dyn Target, prefix: &str, max_nested_paths: usize, ctx: &Context) {
    if let Err(error) = inventory::publish(target, prefix, max_nested_paths, receipt) {
        let error = Error::from(error);
        ctx.output.warn(&format!("the receipt could not be put into the registry: {}", error.what));
    }
}

/// Replaces receipts by what is left of them, on this host and in the registry.
///
/// # Errors
/// This host's disk; the registry's refusal is a warning.
pub fn replace(
    receipts: &[Receipt],
    target: &dyn Target,
    prefix: &str,
    max_nested_paths: usize,
    publish: bool,
    ctx: &Context,
) -> Result<(), Error> {
    for receipt in receipts {
        shelf(&receipt.target, ctx)?.replace(receipt)?;
        if publish && target.collects_garbage() {
            published(receipt, target, prefix, max_nested_paths, ctx);
        }
    }
    Ok(())
}
