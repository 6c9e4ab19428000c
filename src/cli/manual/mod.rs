//! The manual, in the binary: whoever has only this one file can read every page of it, and install them.
//!
//! Section 1 and `sealift-errors(7)` are made from what the program is; the other pages are written by hand, in `man/`. The files of
//! the generated pages there are what this module gives: a test compares them.

mod errors_page;
mod paper;
mod read;
mod roff;
mod section_1;

pub use paper::text;

use crate::error::Error;
use std::fmt;

/// The title of the manual that section 1 and `sealift-errors(7)` belong to.
const MANUAL: &str = "Sealift Manual";

/// Pages that are written by hand: name, section, source.
const BY_HAND: &[(&str, u8, &str)] = &[
    ("sealift-archive", 5, include_str!("../../../man/sealift-archive.5")),
    ("sealift-hosts", 5, include_str!("../../../man/sealift-hosts.5")),
    ("sealift-imageset", 5, include_str!("../../../man/sealift-imageset.5")),
    ("sealift-kubernetes", 7, include_str!("../../../man/sealift-kubernetes.7")),
    ("sealift-oc-mirror", 7, include_str!("../../../man/sealift-oc-mirror.7")),
    ("sealift-security", 7, include_str!("../../../man/sealift-security.7")),
];

/// What stands in the source of a page and is not known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// A request, or an argument of one.
    #[error("the request .{0} is not known")]
    Request(String),
    /// An escape.
    #[error("the escape \\{0} is not known")]
    Escape(String),
    /// `.RS` without `.RE`, `.nf` without `.fi`, or the other way round.
    #[error("something is opened and not closed, or closed and not opened")]
    Open,
}

/// One page of the manual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// `sealift-archive`.
    pub name: String,
    /// Section of the manual: 1 commands, 5 files, 7 the rest.
    pub section: u8,
    /// The source, for `man` (macros of man(7)).
    pub source: String,
}

/// `sealift-archive(5)`.
impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name, self.section)
    }
}

impl Page {
    /// What the page is about: what stands behind the name in its first section.
    pub fn about(&self) -> String {
        let mut lines = self.source.lines().skip_while(|line| *line != ".SH NAME").skip(1);
        let line = read::plain(lines.next().unwrap_or_default());
        line.split_once(" - ").map_or(String::new(), |(_, about)| about.to_owned())
    }

    /// Where `man` looks for it, below a folder of pages: `man5/sealift-archive.5`.
    pub fn file(&self) -> (String, String) {
        (format!("man{}", self.section), format!("{}.{}", self.name, self.section))
    }

    /// The page as text, as [`text`] sets it.
    ///
    /// # Errors
    /// `BUG`: all pages are set by a test.
    pub fn text(&self, width: usize) -> Result<String, Error> {
        text(&self.source, width).map_err(|why| Error::bug(format!("{self} cannot be shown: {why}")))
    }

    /// Whether this is the page somebody means: `sealift-archive(5)`, `sealift-archive.5`, `sealift-archive`, `archive`, `trust add`.
    fn is_called(&self, words: &str) -> bool {
        let words = words.trim().to_ascii_lowercase();
        let (name, section) = match words.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')) {
            Some((name, section)) => (name, section),
            None => words.rsplit_once('.').unwrap_or((words.as_str(), "")),
        };
        let name = name.split_whitespace().collect::<Vec<_>>().join("-");
        let named = self.name == name || self.name.strip_prefix("sealift-") == Some(name.as_str());
        named && (section.is_empty() || section == self.section.to_string())
    }
}

/// All pages: by section, then by name.
pub fn pages() -> Vec<Page> {
    let by_hand = BY_HAND.iter().map(|(name, section, source)| Page { name: (*name).into(), section: *section, source: (*source).into() });
    let mut all: Vec<Page> = generated().into_iter().chain(by_hand).collect();
    all.sort_by(|a, b| (a.section, &a.name).cmp(&(b.section, &b.name)));
    all
}

/// The pages that are made from the program.
pub fn generated() -> Vec<Page> {
    let mut pages = section_1::pages();
    pages.push(Page { name: "sealift-errors".into(), section: 7, source: errors_page::source() });
    pages
}

/// The page of that name.
pub fn find(words: &str) -> Option<Page> {
    pages().into_iter().find(|page| page.is_called(words))
}

/// Program and version, as a page says what it belongs to.
fn program() -> String {
    format!("sealift {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
