//! Sets on media, opened for a command.

use super::{Context, now, rfc3339};
use crate::archive::{self, OpenSet, Remark};
use crate::error::{Code, Error};
use crate::format::SetId;
use crate::fs::Dir;
use crate::keystore::TrustFolder;
use crate::ledger::{Action, Entry, Log};
use crate::sign::Trust;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The trust store of this side.
pub fn trust(ctx: &Context) -> Result<Trust, Error> {
    Ok(TrustFolder::new(&ctx.environment.config()?.join("trust")).load()?)
}

/// Opens the verified sets in `paths`, of one stream where one is named, and says what is odd about the media.
pub fn open(ctx: &Context, paths: &[PathBuf], stream: Option<&str>) -> Result<Vec<OpenSet>, Error> {
    let mut sets = archive::open(paths, &trust(ctx)?, now())?;
    if let Some(stream) = stream {
        sets.retain(|set| set.index().stream == stream);
        if sets.is_empty() {
            return Err(Error::new(Code::SetMissing, format!("there is no set of stream {stream} here")));
        }
    }
    for remark in sets.iter().flat_map(OpenSet::remarks) {
        // Where several sets share a folder, a volume of one is a stray to the others.
        let of_one = matches!(remark, Remark::StrayVolume { .. }) && !sets.iter().all(|set| set.remarks().contains(remark));
        if !of_one {
            ctx.output.warn(&said(remark));
        }
    }
    Ok(sets)
}

fn said(remark: &Remark) -> String {
    match remark {
        Remark::IgnoredIndex { path, why } if path.as_os_str().is_empty() => format!("a set is ignored: {why}"),
        Remark::IgnoredIndex { path, why } => format!("{} is ignored: {why}", path.display()),
        Remark::UsedCopy { path, why } => format!("{} is unusable, its copy serves: {why}", path.display()),
        Remark::StrayVolume { path } => format!("{} is a volume of another set", path.display()),
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
