//! What is served: a layout, a prepared folder, the volumes of sets.

use super::{Args, layout_of, single};
use crate::cli::{Context, now, sets};
use crate::error::{Code, Error};
use crate::format::SetName;
use crate::fs::Dir;
use crate::serve::{self, ArchiveStore, LayoutStore, Store};
use crate::text::{are, counted, shell_word, shown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something to do once an hour.
pub(super) type Hourly = Box<dyn Fn() + Send + Sync>;

/// Opens what is served, and says what is missing in it. Only with `pushes` anybody may push.
pub(super) fn open(args: &Args, pushes: bool, ctx: &Context) -> Result<(Box<dyn Store>, Hourly), Error> {
    let first = args.paths.first().map_or(Path::new(""), PathBuf::as_path);
    if let Some(folder) = args.paths.iter().find_map(|path| layout_of(path)) {
        single(args)?;
        return layout(&folder, args, pushes, ctx);
    }
    if serve::is_prepared(first) {
        single(args)?;
        return layout(&first.join("registry"), args, pushes, ctx);
    }
    if let [one] = args.paths.as_slice()
        && one.join("oci-layout").is_file()
        && !holds_index(one)
    {
        let word = |path: &Path| shell_word(&format!("oci:{}", path.display()));
        return Err(Error::new(Code::Usage, format!("{} is an OCI layout, and holds no set", shown(&one.display().to_string())))
            .remedy(format!("say that a layout is meant: `sealift serve {}`", word(one))));
    }
    if matches!(args.allow_anonymous, Some(super::Open::Push)) {
        return Err(Error::new(Code::Usage, "volumes take no pushes, and --allow-anonymous push was given")
            .remedy("give --allow-anonymous pull; or unpack into a layout and serve that: `sealift unpack PATH --to oci:DIR`"));
    }
    Ok((Box::new(volumes(args, ctx)?), Box::new(|| {})))
}

/// Whether a folder holds what could be a set: then it is served as one, whatever else lies there.
fn holds_index(folder: &Path) -> bool {
    let entries = Dir::open(folder).and_then(|dir| dir.list()).unwrap_or_default();
    entries.iter().any(|entry| SetName::parse(&entry.name).is_some())
}

fn volumes(args: &Args, ctx: &Context) -> Result<ArchiveStore, Error> {
    let store = ArchiveStore::new(sets::open(ctx, &args.paths, args.stream.as_deref())?);
    for set in store.sets() {
        let missing = set.volumes_missing();
        ctx.output.message(&format!(
            "set {}: {}, signed by {}",
            set.name(),
            counted(set.contents().images.len(), "image"),
            sets::signers(set)
        ));
        if !missing.is_empty() {
            let (which, images) = (numbers(&missing), set.images_with(&set.blobs_in(&missing.iter().copied().collect())));
            ctx.output.warn(&format!(
                "volumes {which} of {} of {} are not here: {} of {} cannot be pulled whole",
                set.index().volumes.len(),
                set.name(),
                images.len(),
                counted(set.contents().images.len(), "image")
            ));
        }
    }
    if let Some(tag) = store.contested().first() {
        let number = store.contested().len();
        ctx.output.warn(&format!(
            "{} ({tag} ...) {} in several sets with different images; the highest sequence is served",
            counted(number, "tag"),
            are(number)
        ));
    }
    Ok(store)
}

fn layout(folder: &Path, args: &Args, pushes: bool, ctx: &Context) -> Result<(Box<dyn Store>, Hourly), Error> {
    let fail = |e| Error::from(serve::Error::Store(e));
    // Where nobody may push nothing is written, and none is made: only what is there can be pulled.
    let store = Arc::new(match args.read_only || !pushes {
        true => LayoutStore::open_read_only(folder).map_err(|error| there(fail(error), args))?,
        false => LayoutStore::open(folder, args.sparse, now()).map_err(|error| writable(error, folder))?,
    });
    if !pushes && !args.read_only && args.allow_anonymous.is_none() {
        ctx.output.warn("everybody on this host may pull, and nobody push: for pushes give --htpasswd FILE or --allow-anonymous push");
    }
    match store.nameless().map_err(fail)? {
        0 => {}
        n => ctx.output.warn(&format!("{} {} not called repository:tag: to be pulled by digest only", counted(n, "image"), are(n))),
    }
    let (kept, output) = (store.clone(), ctx.output.clone());
    let hourly = move || {
        if let Err(error) = kept.expire_uploads(now()) {
            output.message(&format!("warning: old uploads could not be removed: {error}"));
        }
    };
    Ok((Box::new(store), Box::new(hourly)))
}

/// A layout that is not there is made only where somebody may push into it.
fn there(error: Error, args: &Args) -> Error {
    match error.code {
        Code::FileMissing if !args.read_only => {
            error.remedy("check the path; or, for a new layout that takes pushes, give --htpasswd FILE or --allow-anonymous push")
        }
        _ => error,
    }
}

/// A folder that cannot be written to can still be served.
fn writable(error: serve::Error, folder: &Path) -> Error {
    let there = folder.join("oci-layout").is_file();
    match Error::from(&error) {
        error if error.code == Code::NotWritable && there => {
            error.remedy("only serve what is there: --read-only; or make the folder writable for this user")
        }
        error => error,
    }
}

/// The first few of them.
fn numbers(all: &[u32]) -> String {
    let (first, more) = all.split_at_checked(10).unwrap_or((all, &[]));
    let first = first.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if more.is_empty() { first } else { format!("{first} and {} more", more.len()) }
}
