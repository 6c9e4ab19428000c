//! Receipts: what this host has kept of its runs, and what is brought from elsewhere.
//!
//! Every run that put something into a target leaves its receipt in the state folder, `receipts/TARGET/NUMBER.json`. Together, in
//! the order of their numbers, they say what the target holds: a later one replaces what an earlier one says of the same tag. One
//! that another run of the same set has made superfluous is removed.

use super::values::Destination;
use super::{Context, now};
use crate::digest::Digest;
use crate::error::{Code, Error};
use crate::format::{Receipt, ReceiptImage};
use crate::fs::{Dir, FsError, is_folder};
use crate::limits;
use crate::sign::{Namespace, verify};
use crate::text::shown;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The name receipts know a target by.
pub fn target_name(target: &Destination) -> String {
    match target {
        Destination::Registry { host, prefix } if prefix.is_empty() => host.clone(),
        Destination::Registry { host, prefix } => format!("{host}/{prefix}"),
        Destination::Layout(path) => format!("oci:{}", path.display()),
    }
}

/// A folder name for a target: readable, safe on every file system, and different for different targets.
pub fn folder_name(target: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let readable: String = target.chars().map(plain).take(100).collect();
    format!("{}-{}", readable.trim_start_matches('.'), Digest::sha256(target.as_bytes()).short())
}

/// All receipts this host has of a target, the earliest first; empty when it has none.
///
/// # Errors
/// `BAD_DOCUMENT` when one of them is not what it should be: what follows from the others alone could be wrong.
pub fn receipts_of(target: &str, ctx: &Context) -> Result<Vec<Receipt>, Error> {
    let Some(dir) = folder(target, ctx)? else { return Ok(Vec::new()) };
    Ok(kept(&dir, target)?.into_iter().map(|(_, receipt)| receipt).collect())
}

/// Keeps the receipt of a run. The ones it makes superfluous go: of the same set, with nothing in them that it has not.
///
/// # Errors
/// As files fail; as [`receipts_of`].
pub fn remember(receipt: &Receipt, bytes: &[u8], ctx: &Context) -> Result<(), Error> {
    if receipt.images.is_empty() {
        return Ok(());
    }
    let state = Dir::create_private(ctx.environment.state()?)?;
    let dir = Dir::create_private(&state.join("receipts").join(folder_name(&receipt.target)))?;
    let _lock = dir.lock_waiting("lock")?;
    let known = kept(&dir, &receipt.target)?;
    let next = known.last().map_or(1, |(number, _)| number.saturating_add(1));
    dir.publish_mode(&file(next), bytes, 0o600)?;
    for (number, _) in known.iter().filter(|(_, earlier)| says_all(receipt, earlier)) {
        dir.remove(&file(*number))?;
    }
    Ok(())
}

/// Writes what is left of the receipts of a target after a deletion: `left` in the order of [`receipts_of`]. Those that name no image
/// any more go.
///
/// # Errors
/// As files fail; `IN_USE` when another run has changed them meanwhile.
pub fn rewrite(target: &str, left: &[Receipt], ctx: &Context) -> Result<(), Error> {
    let Some(dir) = folder(target, ctx)? else { return Ok(()) };
    let _lock = dir.lock_waiting("lock")?;
    let known = kept(&dir, target)?;
    if known.len() != left.len() {
        return Err(Error::new(Code::InUse, format!("the receipts of {} have changed meanwhile", shown(target)))
            .remedy("run the same command again: what is gone already is found to be"));
    }
    for ((number, earlier), receipt) in known.iter().zip(left) {
        if receipt.images.is_empty() {
            dir.remove(&file(*number))?;
        } else if receipt != earlier {
            dir.publish_mode(&file(*number), &receipt.to_bytes()?, 0o600)?;
        }
    }
    Ok(())
}

/// Reads receipts the person named: files, or folders whose `*.json` are receipts. What is signed (`NAME.sig` beside it)
/// must be signed by whom this side trusts; what is not is taken with a warning.
///
/// # Errors
/// `BAD_DOCUMENT` for what is no receipt; as signatures are refused; as files fail.
pub fn from_paths(paths: &[PathBuf], ctx: &Context) -> Result<Vec<Receipt>, Error> {
    let mut receipts = Vec::new();
    for path in paths {
        if is_folder(path)? {
            let dir = Dir::open(path)?;
            let names = dir.list()?.into_iter().filter(|e| e.regular && e.name.ends_with(".json")).map(|e| e.name);
            for name in names {
                receipts.push(given(&dir, &name, ctx)?);
            }
        } else {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let name = path.file_name().and_then(|n| n.to_str());
            let name = name.ok_or_else(|| Error::new(Code::Usage, format!("{} is no file name", path.display())))?;
            receipts.push(given(&Dir::open(parent)?, name, ctx)?);
        }
    }
    sort(&mut receipts);
    Ok(receipts)
}

/// Orders receipts of several hosts: by the time they say they were written, then by set.
pub fn sort(receipts: &mut [Receipt]) {
    receipts.sort_by(|a, b| (&a.written, &a.stream, a.sequence).cmp(&(&b.written, &b.stream, b.sequence)));
}

fn given(dir: &Dir, name: &str, ctx: &Context) -> Result<Receipt, Error> {
    let bytes = dir.read(name, limits::PLAN_BYTES)?;
    let path = dir.join(name);
    let at = |error: Error| Error { what: format!("{}: {}", shown(&path.display().to_string()), error.what), ..error };
    let signatures = signatures(dir, name)?;
    if signatures.is_empty() {
        let told = path.display().to_string();
        ctx.output.warn(&format!("{} is not signed: anybody on its way could have changed what it says", shown(&told)));
        return Receipt::parse(&bytes).map_err(|e| at(Error::from(&e)));
    }
    let verified = verify(&bytes, &signatures, &super::sets::trust(ctx)?, Namespace::Receipt, now(), Receipt::parse);
    Ok(verified.map_err(|e| at(Error::from(&e)))?.clone())
}

/// `NAME.sig`, and `.sig2` and so on, as beside an index: a stream may demand several.
fn signatures(dir: &Dir, name: &str) -> Result<Vec<Vec<u8>>, Error> {
    let ending = |number: usize| if number == 1 { String::new() } else { number.to_string() };
    let files = (1..=limits::SIGNATURES).map(|number| format!("{name}.sig{}", ending(number)));
    let read = files.map(|file| dir.read_if_there(&file, limits::SIGNATURE_BYTES)).collect::<Result<Vec<_>, _>>()?;
    Ok(read.into_iter().flatten().collect())
}

/// The folder with this host's receipts of a target, when it has any.
pub fn receipts_folder(target: &str, ctx: &Context) -> Option<PathBuf> {
    receipts_of(target, ctx).ok().filter(|receipts| !receipts.is_empty())?;
    path_of(target, ctx).ok()
}

fn path_of(target: &str, ctx: &Context) -> Result<PathBuf, Error> {
    Ok(ctx.environment.state()?.join("receipts").join(folder_name(target)))
}

fn folder(target: &str, ctx: &Context) -> Result<Option<Dir>, Error> {
    let path = path_of(target, ctx)?;
    match Dir::open(&path) {
        Ok(dir) => Ok(Some(dir)),
        Err(e) if e.trouble() == crate::fs::Trouble::Absent => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Targets this host has receipts of, for a hint: what cannot be read is passed over.
pub fn known_targets(ctx: &Context) -> Vec<String> {
    let target = |name: &str, folders: &Dir| {
        let dir = folders.open_sub(name).ok()?;
        let first = dir.list().ok()?.into_iter().find(|entry| entry.regular && entry.name.ends_with(".json"))?;
        Some(Receipt::parse(&dir.read(&first.name, limits::PLAN_BYTES).ok()?).ok()?.target)
    };
    let Some(folders) = ctx.environment.state().ok().and_then(|state| Dir::open(&state.join("receipts")).ok()) else { return Vec::new() };
    let names = folders.list().unwrap_or_default();
    let known: BTreeSet<String> = names.iter().take(TARGETS_TOLD).filter_map(|entry| target(&entry.name, &folders)).collect();
    known.into_iter().collect()
}

/// As many targets a hint names at most.
const TARGETS_TOLD: usize = 5;

fn file(number: u64) -> String {
    format!("{number:08}.json")
}

fn kept(dir: &Dir, target: &str) -> Result<Vec<(u64, Receipt)>, Error> {
    let entries = dir.list()?;
    let numbers = entries.iter().filter(|e| e.regular).filter_map(|e| e.name.strip_suffix(".json")?.parse::<u64>().ok());
    let mut kept = Vec::new();
    for number in numbers.collect::<BTreeSet<u64>>() {
        let (name, path) = (file(number), dir.join(&file(number)));
        let bad = |why: String| {
            Error::new(Code::BadDocument, format!("{} cannot be used: {why}", path.display()))
                .remedy("restore the file from a backup, or move it away and unpack its set again: nothing is pushed twice")
        };
        let read = |e: FsError| -> Error { e.into() };
        let receipt = Receipt::parse(&dir.read(&name, limits::PLAN_BYTES).map_err(read)?).map_err(|e| bad(e.to_string()))?;
        if receipt.target != target {
            return Err(bad(format!("it is of {}", shown(&receipt.target))));
        }
        kept.push((number, receipt));
    }
    Ok(kept)
}

fn says_all(receipt: &Receipt, earlier: &Receipt) -> bool {
    let of = |image: &ReceiptImage| (image.repository.clone(), image.tag.clone(), image.digest);
    let said: BTreeSet<_> = receipt.images.iter().map(of).collect();
    (receipt.identity, receipt.max_nested_paths) == (earlier.identity, earlier.max_nested_paths)
        && earlier.images.iter().all(|image| said.contains(&of(image)))
}
