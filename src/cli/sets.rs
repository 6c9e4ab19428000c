//! Sets on media, opened for a command.

use super::{Context, now, rfc3339};
use crate::archive::{self, OpenSet, Remark};
use crate::error::{Code, Detail, Error};
use crate::format::SetId;
use crate::fs::Dir;
use crate::keystore::TrustFolder;
use crate::ledger::{Action, Entry, Log};
use crate::sign::Trust;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The trust store of this side.
pub fn trust(ctx: &Context) -> Result<Trust, Error> {
    Ok(TrustFolder::new(&ctx.environment.config()?.join("trust")).load()?)
}

/// Opens the verified sets in `paths`, of one stream where one is named, and says what is odd about the media.
pub fn open(ctx: &Context, paths: &[PathBuf], stream: Option<&str>) -> Result<Vec<OpenSet>, Error> {
    let mut sets = archive::open(paths, &trust(ctx)?, now()).map_err(|error| in_trust(ctx, Error::from(error)))?;
    if let Some(stream) = stream {
        sets.retain(|set| set.index().stream == stream);
        if sets.is_empty() {
            return Err(Error::new(Code::SetMissing, format!("there is no set of stream {stream} here")));
        }
    }
    if let Some(error) = nothing_but_foreign(&sets, paths) {
        return Err(error);
    }
    let mut told = BTreeSet::new();
    for remark in sets.iter().flat_map(OpenSet::remarks) {
        // Where several sets share a folder, a volume of one is a stray to the others.
        let stray = matches!(remark, Remark::StrayVolume { .. } | Remark::NoVolume { .. });
        let of_one = stray && !sets.iter().all(|set| set.remarks().contains(remark));
        if !of_one && told.insert(said(remark)) {
            ctx.output.warn(&said(remark));
        }
    }
    Ok(sets)
}

/// Where there is no key at all, the file that would have one is named: it may be that of another user or SEALIFT_HOME.
fn in_trust(ctx: &Context, error: Error) -> Error {
    match ctx.environment.config() {
        Ok(config) if error.code == Code::KeyringEmpty => {
            let file = TrustFolder::new(&config.join("trust")).allowed_signers();
            error.because(format!("there is no key in {}", file.display()))
        }
        _ => error,
    }
}

/// Of the paths, those that are files and no volume of any of these sets.
pub fn foreign<'a>(sets: &[OpenSet], paths: &'a [PathBuf]) -> Vec<&'a Path> {
    paths.iter().map(PathBuf::as_path).filter(|path| !sets.is_empty() && sets.iter().all(|set| set.is_foreign(path))).collect()
}

/// `VOLUME_FOREIGN` when no path has anything to do with a set: sets that merely lie beside were not asked for.
fn nothing_but_foreign(sets: &[OpenSet], paths: &[PathBuf]) -> Option<Error> {
    let foreign = foreign(sets, paths);
    let first = foreign.first().filter(|_| foreign.len() == paths.len())?;
    let error = Error::new(Code::VolumeForeign, format!("{} {}", first.display(), of_none(sets)));
    Some(foreign.iter().skip(1).fold(error, |error, path| error.detail(path.display(), Code::VolumeForeign, of_none(sets))))
}

/// What is wrong with a file that is foreign to all these sets.
pub fn of_none(sets: &[OpenSet]) -> String {
    format!("is no volume of {}", sets.iter().map(|set| set.name().to_string()).collect::<Vec<_>>().join(", "))
}

fn said(remark: &Remark) -> String {
    match remark {
        Remark::IgnoredIndex { path, why } if path.as_os_str().is_empty() => format!("a set is ignored: {why}"),
        Remark::IgnoredIndex { path, why } => format!("{} is ignored: {why}", path.display()),
        Remark::UsedCopy { path, why } => format!("{} is unusable, its copy serves: {why}", path.display()),
        Remark::StrayVolume { path } => format!("{} is a volume of another set", path.display()),
        Remark::NoVolume { path } => format!("{} is no volume", path.display()),
    }
}

/// What all that is wrong with media comes to; nothing when nothing is. What could not be read comes first: another drive may read
/// it, which is tried without a new copy, and reads that fail can be why other content seems damaged.
pub fn about_media(details: &[Detail]) -> Option<Error> {
    let any = |code: Code| details.iter().any(|detail| detail.code == code);
    let unreadable = Error::new(Code::MediumUnreadable, "some content could not be read");
    match (any(Code::MediumUnreadable), any(Code::ContentDamaged)) {
        (true, true) => {
            let remedy = format!("{}; then copy what is still damaged to the medium again", unreadable.remedy);
            Some(unreadable.remedy(remedy))
        }
        (true, false) => Some(unreadable),
        (false, true) => Some(Error::new(Code::ContentDamaged, "the media are not as they were packed")),
        (false, false) => None,
    }
}

/// Who signed, for people.
pub fn signers(set: &OpenSet) -> String {
    let signers = set.index().signers().iter().map(|s| match s.owner.as_str() {
        "" => s.fingerprint.to_string(),
        owner => format!("{owner} ({})", s.fingerprint),
    });
    signers.collect::<Vec<_>>().join(", ")
}

/// [`signers`] for the final object.
pub fn signers_json(set: &OpenSet) -> Value {
    set.index().signers().iter().map(|s| json!({"fingerprint": s.fingerprint.to_string(), "owner": s.owner})).collect()
}

/// Adds a line to this side's log. A log that cannot be written is said, and does not undo what was done.
pub fn log(ctx: &Context, action: Action, set: &OpenSet, subject: &str, outcome: &str) {
    let set = SetId { stream: set.index().stream.clone(), sequence: set.index().sequence, identity: set.identity() };
    let entry = Entry { at: rfc3339(now()), action, set: Some(set), subject: subject.to_owned(), outcome: outcome.to_owned() };
    let written = ctx.environment.state().and_then(|state| Ok(Log::open(&Dir::create_private(state)?).append(&entry)?));
    if let Err(error) = written {
        ctx.output.warn(&format!("the log could not be written: {}", error.what));
    }
}
