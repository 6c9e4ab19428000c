//! What can be wrong with an ImageSetConfiguration, and where.

use crate::text::shown;
use crate::yaml::{Place, Refusal, Trouble};
use std::fmt;

/// Why a configuration is refused: line, field, fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSetError {
    /// Line in the file, from 1, where it is known.
    pub line: Option<usize>,
    /// Path of the member (`mirror.additionalImages[2].name`); empty for the file as a whole.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for ImageSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.line, &self.field)?;
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for ImageSetError {}

impl From<Refusal> for ImageSetError {
    fn from(refusal: Refusal) -> ImageSetError {
        let problem = match refusal.trouble {
            Trouble::TooDeep => Problem::TooDeep,
            Trouble::TooMuch => Problem::TooMuch,
            Trouble::Key => Problem::Key,
            Trouble::Syntax(why) => Problem::Syntax(why),
        };
        ImageSetError { line: refusal.line, field: String::new(), problem }
    }
}

fn place(f: &mut fmt::Formatter<'_>, line: Option<usize>, field: &str) -> fmt::Result {
    if let Some(line) = line {
        write!(f, "line {line}: ")?;
    }
    if field.is_empty() { Ok(()) } else { write!(f, "{}: ", shown(field)) }
}

/// Which of the two documents a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ImageSetConfiguration`, with `mirror`.
    Mirror,
    /// `DeleteImageSetConfiguration`, with `delete`.
    Delete,
}

impl Kind {
    /// The name in `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Mirror => "ImageSetConfiguration",
            Kind::Delete => "DeleteImageSetConfiguration",
        }
    }

    /// The member that holds everything.
    pub fn section(self) -> &'static str {
        match self {
            Kind::Mirror => "mirror",
            Kind::Delete => "delete",
        }
    }
}

/// What is wrong with a member, or with the whole file. The text says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Beyond [`crate::limits::IMAGE_SET_BYTES`].
    #[error("the file is larger than the 4 MiB allowed for a configuration")]
    TooLarge,
    /// Beyond [`crate::limits::NESTING`].
    #[error("values are nested deeper than 64 levels")]
    TooDeep,
    /// Aliases that unfold to more than any real configuration has.
    #[error("there are more values, aliases followed, than any real configuration has")]
    TooMuch,
    /// A mapping or list as key.
    #[error("the name of a member must be a word, not a list or mapping")]
    Key,
    /// Neither YAML nor JSON.
    #[error("it is not valid YAML or JSON: {}", shown(.0))]
    Syntax(String),
    /// Nothing in it.
    #[error("the file is empty; it must hold kind: ImageSetConfiguration and mirror:")]
    Empty,
    /// `kind` is none of the two.
    #[error("{:?} is not a kind known here; it must be ImageSetConfiguration", shown(.0).to_string())]
    UnknownKind(String),
    /// The other kind.
    #[error("this file is of kind {}, but kind {} is wanted here", .found.name(), .wanted.name())]
    OtherKind {
        /// What the file is.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// The section of the other kind.
    #[error("it does not belong into kind {}, whose section is {}:", .0.name(), .0.section())]
    OtherSection(Kind),
    /// A member that must be there.
    #[error("it is missing; it must be given and not empty")]
    Missing,
    /// A member that does not exist.
    #[error("there is no such member; {}", unknown(*.near, .known))]
    Unknown {
        /// The member that was probably meant.
        near: Option<&'static str>,
        /// All that could stand there.
        known: &'static [&'static str],
    },
    /// A member of v1alpha1 or v1alpha2.
    #[error("it belongs to the old format v1alpha2 and does not exist in v2alpha1; remove it")]
    OldFormat,
    /// The same member twice.
    #[error("it is given twice{}; letter case makes no difference", .earlier.map(|l| format!(", first in line {l}")).unwrap_or_default())]
    DuplicateKey {
        /// Line of the first.
        earlier: Option<usize>,
    },
    /// Another type than the member has.
    #[error("{found} was found where {expected} must stand{}", if *.quote { "; put it in quotes" } else { "" })]
    Type {
        /// What would be right.
        expected: &'static str,
        /// What is there.
        found: String,
        /// True when quotes would make it right.
        quote: bool,
    },
    /// A name that must be unique in its list.
    #[error("{:?} is listed more than once{}", shown(.name).to_string(), .earlier.map(|l| format!(", first in line {l}")).unwrap_or_default())]
    Repeated {
        /// The name.
        name: String,
        /// Line of the first.
        earlier: Option<usize>,
    },
    /// Not an image reference or `oci:` location.
    #[error("{}", shown(.0))]
    Reference(String),
    /// An image without tag and digest.
    #[error("{:?} has neither tag nor digest; add one, for example :latest", shown(.0).to_string())]
    NoTagNorDigest(String),
    /// `targetRepo`, `targetCatalog`.
    #[error("{:?} is not a repository path; it must be lower-case words of a-z 0-9 joined by . _ - and /, without host, tag or digest", shown(.0).to_string())]
    Repository(String),
    /// `targetTag`.
    #[error("{:?} is not a tag; it must be letters, digits, . _ - (at most 128, not beginning with . or -)", shown(.0).to_string())]
    Tag(String),
    /// `blockedImages`.
    #[error("{:?} is not a regular expression{}: {}", shown(.pattern).to_string(), .column.map(|c| format!(" (character {c})")).unwrap_or_default(), shown(.why))]
    Pattern {
        /// The expression.
        pattern: String,
        /// Where in it, in characters from 1.
        column: Option<usize>,
        /// What is wrong there.
        why: String,
    },
    /// `minVersion`, `maxVersion`.
    #[error("{:?} is not a semantic version: {why}; it must be like 4.15.3", shown(.version).to_string())]
    Version {
        /// The text.
        version: String,
        /// What is wrong.
        why: String,
    },
    /// An architecture outside the list.
    #[error("{:?} is not an architecture of OpenShift releases; it must be amd64, arm64, ppc64le, s390x or multi", shown(.0).to_string())]
    Architecture(String),
    /// Not an operating system or architecture name.
    #[error("{:?} must be a plain word, such as linux or amd64", shown(.0).to_string())]
    Word(String),
    /// `architectures` beside `platforms`.
    #[error("platforms and architectures exclude each other; keep one of them")]
    PlatformsAndArchitectures,
    /// A range on the package and on a channel of it.
    #[error("the package has a version range and so has a channel of it; keep one of them")]
    TwoRanges,
    /// `archiveSize` below zero.
    #[error("{0} is not a size in GiB; it must be a whole number from 1 on")]
    ArchiveSize(i128),
}

fn unknown(near: Option<&'static str>, known: &[&'static str]) -> String {
    match near {
        Some(near) => format!("did you mean {near}?"),
        None if known.is_empty() => "nothing may stand here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// Something that was read but does not do what it seems to do. Safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Line in the file, from 1, where it is known.
    pub line: Option<usize>,
    /// Path of the member; empty for the file as a whole.
    pub field: String,
    /// What the person should know.
    pub text: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, self.line, &self.field)?;
        f.write_str(&self.text)
    }
}

/// A problem before its line is known.
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) field: String,
    pub(super) problem: Problem,
    /// The first of two, where the second is at fault.
    pub(super) earlier: Option<Place>,
}

impl Fault {
    pub(super) fn located(mut self, line: impl Fn(Place) -> Option<usize>) -> ImageSetError {
        let first = self.earlier.and_then(&line);
        if let Problem::DuplicateKey { earlier } | Problem::Repeated { earlier, .. } = &mut self.problem {
            *earlier = first;
        }
        ImageSetError { line: line(self.place), field: self.field, problem: self.problem }
    }
}

/// A notice before its line is known. Equal texts are kept once and counted.
pub(super) struct Note {
    pub(super) place: Place,
    pub(super) field: String,
    pub(super) text: &'static str,
    pub(super) times: usize,
}

impl Note {
    pub(super) fn located(self, line: impl Fn(Place) -> Option<usize>) -> Notice {
        let more = if self.times > 1 { format!(" ({} places, this is the first)", self.times) } else { String::new() };
        Notice { line: line(self.place), field: self.field, text: format!("{}{more}", self.text) }
    }
}
