//! `sealift sign`: one more signature.

use super::{Context, Outcome, options, values};
use crate::error::{Code, Error};
use crate::format::{FileKind, Index, SetName};
use crate::fs::Dir;
use crate::limits;
use crate::pack::sign_set;
use crate::text::{counted, shown};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Adds a signature to a set that pack has written
///
/// Any number of people can sign, on any host that can read the set; what counts is demanded by the side that unpacks
/// (`sealift trust min-signatures`). The first signature makes the set complete.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of the set
    #[arg(value_name = "OUT", value_parser = super::values::local())]
    pub out: PathBuf,
    /// Which key signs.
    #[command(flatten)]
    pub signing: options::Signing,
    /// Which stream, where the folder holds sets of several
    #[arg(long, value_parser = values::stream)]
    pub stream: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// `SET_MISSING` and `SET_AMBIGUOUS` when the folder does not hold exactly one set to sign; as the key and the files fail.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let (dir, name) = find(&args.out, args.stream.as_deref())?;
    let index = Index::parse(&dir.read(&name.file(FileKind::Index { copy: false }), limits::INDEX_BYTES)?)?;
    for gap in gaps(&dir, &index)? {
        ctx.output.warn(&gap);
    }
    let Some(signer) = args.signing.signer(ctx)? else {
        return Err(Error::new(Code::Usage, "no key was given to sign with").remedy("give --key NAME (`sealift key show` lists them)"));
    };
    ctx.go_on()?;
    let identity = sign_set(&dir, &name, &*signer)?;
    let key = signer.public_key().fingerprint();
    let signatures = signatures(&dir, &name)?;
    ctx.output.line(&format!("{name} is signed by {key}"));
    ctx.output.line(&format!("identity {identity}, {} in all", counted(signatures.len(), "signature")));
    Outcome::done()
        .with("set", name.to_string())?
        .with("stream", name.stream())?
        .with("sequence", name.sequence())?
        .with("identity", identity)?
        .with("key", key.to_string())?
        .with("signatures", signatures)
}

/// The one set that is meant: by the path of its index, or the only one in the folder (of that stream).
fn find(out: &Path, stream: Option<&str>) -> Result<(Dir, SetName), Error> {
    let file = out.file_name().and_then(|name| name.to_str()).and_then(SetName::parse);
    if let Some((name, FileKind::Index { copy: false })) = file
        && !out.is_dir()
    {
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok((Dir::open(parent)?, name));
    }
    let dir = Dir::open(out)?;
    let sets = sets_in(&dir)?;
    let meant: Vec<&SetName> = sets.iter().filter(|set| stream.is_none_or(|stream| set.stream() == stream)).collect();
    match meant.as_slice() {
        [one] => Ok((dir, (*one).clone())),
        [] => Err(none(out, stream, &sets)),
        several => Err(too_many(out, several)),
    }
}

fn sets_in(dir: &Dir) -> Result<BTreeSet<SetName>, Error> {
    let files = dir.list()?.into_iter().filter(|entry| entry.regular).filter_map(|entry| SetName::parse(&entry.name));
    Ok(files.filter(|(_, kind)| *kind == FileKind::Index { copy: false }).map(|(name, _)| name).collect())
}

fn none(out: &Path, stream: Option<&str>, there: &BTreeSet<SetName>) -> Error {
    let of = stream.map_or(String::new(), |stream| format!(" of stream {stream}"));
    let error = Error::new(Code::SetMissing, format!("there is no set{of} in {}", out.display()));
    match there.is_empty() {
        true => error.remedy("give the folder pack has written to; a set whose pack was interrupted has no index yet: run pack again"),
        false => listed(error, there.iter()).remedy("choose one of the streams listed above with --stream"),
    }
}

fn too_many(out: &Path, sets: &[&SetName]) -> Error {
    let error = Error::new(Code::SetAmbiguous, format!("there are {} sets in {}", sets.len(), out.display()));
    listed(error, sets.iter().copied()).remedy(match sets.first() {
        Some(first) => {
            format!("give the path of its index: `sealift sign {} ...`", out.join(first.file(FileKind::Index { copy: false })).display())
        }
        None => String::new(),
    })
}

fn listed<'a>(error: Error, sets: impl Iterator<Item = &'a SetName>) -> Error {
    sets.fold(error, |error, set| error.detail(set, Code::SetAmbiguous, format!("stream {}, sequence {}", set.stream(), set.sequence())))
}

/// Volumes that are not there as the index lists them. Signing is about the index; who signs should know what was not looked at.
fn gaps(dir: &Dir, index: &Index) -> Result<Vec<String>, Error> {
    let mut gaps = Vec::new();
    for volume in &index.volumes {
        match dir.size_of(&volume.name)? {
            Some(size) if size == volume.size => {}
            Some(size) => {
                gaps.push(format!("{} has {size} of {} bytes: the signature will not make it whole", shown(&volume.name), volume.size))
            }
            None => gaps.push(format!("{} is not in this folder", shown(&volume.name))),
        }
    }
    Ok(gaps)
}

fn signatures(dir: &Dir, name: &SetName) -> Result<Vec<String>, Error> {
    let is_signature = |file: &str| matches!(SetName::parse(file), Some((of, FileKind::Signature { copy: false, .. })) if of == *name);
    let mut files: Vec<String> = dir.list()?.into_iter().map(|entry| entry.name).filter(|file| is_signature(file)).collect();
    files.sort();
    Ok(files)
}
