//! The form of a code's page and the families of exit numbers.

use super::Code;
use serde::{Serialize, Serializer};
use std::fmt;

/// What is known about one code: the source of `sealift explain` and of `sealift-errors(7)`.
#[derive(Debug)]
pub struct Entry {
    /// Stable name, never reused for another meaning.
    pub name: &'static str,
    /// Exit number of the process; codes of one family share it.
    pub exit: u8,
    /// What it means, in full sentences.
    pub means: &'static str,
    /// How one gets there, the most frequent way first.
    pub why: &'static [&'static str],
    /// What to do, in order. An entry that begins with `$ ` is a command to type.
    pub steps: &'static [&'static str],
    /// The one line of advice that follows an error without a better one.
    pub remedy: &'static str,
}

/// Exit numbers and what their families are called, ascending. A number that is not here is a failure as well.
pub const FAMILIES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "unclassified"),
    (2, "usage, or a file given by the user that cannot be used"),
    (3, "partial: everything that could be done was done, the rest is listed"),
    (10, "signature invalid or missing"),
    (11, "key unknown"),
    (12, "volume missing"),
    (13, "content damaged"),
    (14, "archive format newer or older"),
    (15, "base missing on this side"),
    (16, "fork refused"),
    (17, "set of a stream or audience this side does not trust"),
    (18, "release signature missing or invalid"),
    (19, "image not accepted by the signature policy"),
    (20, "registry unreachable"),
    (21, "login refused"),
    (22, "push refused"),
    (23, "source image missing"),
    (24, "a source sent wrong bytes"),
    (25, "content that cannot be carried"),
    (26, "two images would land on one name"),
    (27, "catalog, chart, release or update graph that is not as its format demands"),
    (28, "release, channel, package or version that does not exist"),
    (30, "no space"),
    (31, "not writable"),
    (32, "in use by another run"),
    (70, "bug"),
    (130, "interrupted"),
];

/// The title of an exit number's family.
pub fn family(exit: u8) -> Option<&'static str> {
    FAMILIES.iter().find(|(number, _)| *number == exit).map(|(_, title)| *title)
}

impl Code {
    /// The stable name, `VOLUME_MISSING`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The exit number of the process.
    pub fn exit(self) -> u8 {
        self.entry().exit
    }

    /// The code of that name; letter case and `-` for `_` do not matter.
    pub fn from_name(name: &str) -> Option<Code> {
        let wanted = name.to_ascii_uppercase().replace('-', "_");
        Code::ALL.iter().copied().find(|code| code.name() == wanted)
    }

    /// All codes of one exit number.
    pub fn of_exit(exit: u8) -> Vec<Code> {
        Code::ALL.iter().copied().filter(|code| code.exit() == exit).collect()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_distinct_and_every_number_has_a_family() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(family(code.exit()).is_some(), "{code}");
            assert_eq!(Code::from_name(&code.name().to_lowercase()), Some(*code));
        }
        for (exit, title) in FAMILIES {
            assert!(!Code::of_exit(*exit).is_empty(), "{exit} {title}");
        }
        assert!(FAMILIES.is_sorted_by_key(|(exit, _)| exit));
    }

    #[test]
    fn every_page_says_what_it_means_why_and_what_to_do() {
        for code in Code::ALL {
            let page = code.entry();
            assert!(page.means.ends_with('.'), "{code}");
            assert!(page.why.iter().all(|why| why.ends_with('.')), "{code}");
            assert!(page.steps.iter().all(|step| step.starts_with("$ ") || step.ends_with('.')), "{code}");
            if *code != Code::Done {
                assert!(!page.why.is_empty() && !page.steps.is_empty() && !page.remedy.is_empty(), "{code}");
            }
            let text = format!("{}{}{}{}", page.means, page.why.concat(), page.steps.concat(), page.remedy);
            assert!(text.is_ascii() && !text.contains("://"), "{code}: plain, and no web address helps inside");
        }
    }
}
