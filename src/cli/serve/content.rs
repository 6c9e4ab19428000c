//! What is served: a layout, a prepared folder, the volumes of sets.

use super::{Args, layout_of, single};
use crate::cli::{Context, now, sets};
use crate::error::Error;
use crate::serve::{self, ArchiveStore, LayoutStore, Store};
use crate::text::{are, counted};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Something to do once an hour.
pub(super) type Hourly = Box<dyn Fn() + Send + Sync>;

/// Opens what is served, and says what is missing in it.
pub(super) fn open(args: &Args, ctx: &Context) -> Result<(Box<dyn Store>, Hourly), Error> {
    let first = args.paths.first().map_or(Path::new(""), PathBuf::as_path);
    if let Some(folder) = layout_of(first) {
        single(args)?;
        return layout(&folder, args, ctx);
    }
    if serve::is_prepared(first) {
        single(args)?;
        return layout(&first.join("registry"), args, ctx);
    }
    Ok((Box::new(volumes(args, ctx)?), Box::new(|| {})))
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

fn layout(folder: &Path, args: &Args, ctx: &Context) -> Result<(Box<dyn Store>, Hourly), Error> {
    let fail = |e| Error::from(serve::Error::Store(e));
    let store = Arc::new(match args.read_only {
        true => LayoutStore::open_read_only(folder).map_err(fail)?,
        false => LayoutStore::open(folder, args.sparse, now())?,
    });
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

/// The first few of them.
fn numbers(all: &[u32]) -> String {
    let (first, more) = all.split_at_checked(10).unwrap_or((all, &[]));
    let first = first.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if more.is_empty() { first } else { format!("{first} and {} more", more.len()) }
}
