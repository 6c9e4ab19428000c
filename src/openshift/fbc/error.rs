//! What can be wrong with a catalog, and with what is asked of it.

use crate::openshift::files::FilesError;
use crate::text::shown;
use std::fmt;
use std::io;

/// A place in a catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Number of the object in the file, from 1.
    pub document: u32,
    /// Line in the file, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, object {} (line {})", shown(&self.file), self.document, self.line)
    }
}

/// Why a catalog cannot be read, filtered or written.
#[derive(Debug, thiserror::Error)]
pub enum FbcError {
    /// Its files cannot be had.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The bytes of a file broke off.
    #[error("{}: {error}", shown(.file))]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// An object is not as its schema demands.
    #[error("{place}: {}", shown(.why))]
    Object {
        /// Where.
        place: Place,
        /// Why.
        why: String,
    },
    /// An object is larger than any.
    #[error("{place}: the object is larger than {limit} bytes")]
    TooLarge {
        /// Where.
        place: Place,
        /// What is allowed.
        limit: usize,
    },
    /// More objects than any catalog has.
    #[error("the catalog has more than {0} objects")]
    TooMany(usize),
    /// An `.indexignore` cannot be understood.
    #[error("{}: {}", shown(.file), shown(.why))]
    Ignore {
        /// The file.
        file: String,
        /// Why.
        why: String,
    },
    /// Nothing there.
    #[error("there is no catalog in {}: no file with olm.package objects", if .0.is_empty() { "the folder".to_owned() } else { shown(.0).to_string() })]
    Empty(String),
    /// `full: true` beside a version range (the whole catalog is one or the other).
    #[error("full: true and a version range of package {} exclude each other", shown(.0))]
    FullWithRange(String),
    /// A range on a package and on a channel of it.
    #[error("package {} has a version range and so has a channel of it", shown(.0))]
    TwoRanges(String),
    /// Something asked for is not there, or not as it should be.
    #[error("{}", told(.0))]
    LeftOut(Vec<LeftOut>),
    /// The files are others than when they were read first.
    #[error("the catalog changed while it was read")]
    Changed,
    /// What is written cannot be taken.
    #[error("the filtered catalog cannot be written: {0}")]
    Sink(io::Error),
}

/// A package, or an image of a bundle of it, that cannot be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The package.
    pub package: String,
    /// Where the fault is, when it is at one place.
    pub place: Option<Place>,
    /// Why.
    pub fault: Fault,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "package {}: {}", shown(&self.package), self.fault)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, " (in {place})"))
    }
}

fn told(left_out: &[LeftOut]) -> String {
    match left_out {
        [one] => one.to_string(),
        several => format!("{} packages or images of the catalog cannot be carried", several.len()),
    }
}

/// What is wrong with one package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Asked for, not there.
    #[error("the catalog has no such package{}", meant(.near))]
    NoPackage {
        /// What was meant, perhaps.
        near: Option<String>,
    },
    /// Asked for, not there.
    #[error("it has no channel {}{}", shown(.channel), meant_or(.near, .there))]
    NoChannel {
        /// The name.
        channel: String,
        /// What was meant, perhaps.
        near: Option<String>,
        /// Those there are.
        there: Vec<String>,
    },
    /// A range of one version, and it is not there.
    #[error("version {version} is not in {}; there are {}", in_channels(.channels), listed(.near))]
    NoVersion {
        /// Where it was looked for.
        channels: Vec<String>,
        /// The version.
        version: String,
        /// The next lower and the next higher.
        near: Vec<String>,
    },
    /// The range leaves nothing in the default channel.
    #[error("no version of the default channel {} is in the range {range}; there are {}", shown(.channel), listed(.near))]
    EmptyDefault {
        /// The default channel.
        channel: String,
        /// The range.
        range: String,
        /// Versions around it.
        near: Vec<String>,
    },
    /// The default channel is not among those kept.
    #[error("its default channel {} is not among the channels asked for ({}), and no defaultChannel is given", shown(.channel), listed(.kept))]
    DefaultDropped {
        /// The default channel.
        channel: String,
        /// The channels kept.
        kept: Vec<String>,
    },
    /// There is no object of schema `olm.package`.
    #[error("it has channels or bundles, but no olm.package object")]
    NoPackageObject,
    /// Its name is a path or worse: it becomes a folder.
    #[error("its name is no plain file name")]
    Name,
    /// A second object of one schema and name.
    #[error("{schema} {} is there twice", shown(.name))]
    Repeated {
        /// Schema.
        schema: &'static str,
        /// Name.
        name: String,
    },
    /// An object without name.
    #[error("{schema} without a name")]
    Nameless {
        /// Schema.
        schema: &'static str,
    },
    /// The package says none, or one that is not there.
    #[error("its default channel {:?} does not exist", shown(.0).to_string())]
    NoDefault(String),
    /// An entry that others would have to name.
    #[error("channel {} has several heads: {}", shown(.channel), listed(.heads))]
    Heads {
        /// The channel.
        channel: String,
        /// Its heads.
        heads: Vec<String>,
    },
    /// Every entry is replaced or skipped, or there is none.
    #[error("channel {} has no head", shown(.channel))]
    NoHead {
        /// The channel.
        channel: String,
    },
    /// Entries that replace or skip each other in a circle.
    #[error("entries of channel {} replace or skip each other in a circle: {}", shown(.channel), listed(.entries))]
    Cycle {
        /// The channel.
        channel: String,
        /// Some of them.
        entries: Vec<String>,
    },
    /// An entry twice in one channel.
    #[error("channel {} has the entry {} twice", shown(.channel), shown(.entry))]
    RepeatedEntry {
        /// The channel.
        channel: String,
        /// The entry.
        entry: String,
    },
    /// An entry that replaces or skips itself.
    #[error("entry {} of channel {} {} itself", shown(.entry), shown(.channel), if *.skips { "skips" } else { "replaces" })]
    SelfReference {
        /// The channel.
        channel: String,
        /// The entry.
        entry: String,
        /// It skips itself; else it replaces itself.
        skips: bool,
    },
    /// An entry to keep for which there is no bundle.
    #[error("channel {} has the entry {}, for which there is no olm.bundle", shown(.channel), shown(.entry))]
    NoBundle {
        /// The channel.
        channel: String,
        /// The entry.
        entry: String,
    },
    /// A bundle does not say its version.
    #[error("bundle {} has no olm.package property, which would give its version", shown(.bundle))]
    Unversioned {
        /// The bundle.
        bundle: String,
    },
    /// A bundle says its version twice.
    #[error("bundle {} has several olm.package properties", shown(.bundle))]
    RepeatedVersion {
        /// The bundle.
        bundle: String,
    },
    /// A bundle's version is none.
    #[error("bundle {} has the version {:?}, which is none", shown(.bundle), shown(.version).to_string())]
    Version {
        /// The bundle.
        bundle: String,
        /// What it says.
        version: String,
    },
    /// A bundle says it belongs to another package.
    #[error("bundle {} says in its olm.package property that it belongs to {}", shown(.bundle), shown(.other))]
    OtherPackage {
        /// The bundle.
        bundle: String,
        /// The other package.
        other: String,
    },
    /// A property is not as its type demands.
    #[error("bundle {}: {}", shown(.bundle), shown(.why))]
    Property {
        /// The bundle.
        bundle: String,
        /// Why.
        why: String,
    },
    /// An image of a bundle that cannot be fetched by anybody. The rest of the package is kept.
    #[error("bundle {} names the image {:?}: {}", shown(.bundle), shown(.image).to_string(), shown(.why))]
    Image {
        /// The bundle.
        bundle: String,
        /// The reference.
        image: String,
        /// Why.
        why: String,
    },
}

impl Fault {
    /// True when what was asked for is not there; else what is there is broken.
    pub fn is_absence(&self) -> bool {
        match self {
            Fault::NoPackage { .. }
            | Fault::NoChannel { .. }
            | Fault::NoVersion { .. }
            | Fault::EmptyDefault { .. }
            | Fault::DefaultDropped { .. } => true,
            Fault::NoPackageObject
            | Fault::Name
            | Fault::Repeated { .. }
            | Fault::Nameless { .. }
            | Fault::NoDefault(_)
            | Fault::Heads { .. }
            | Fault::NoHead { .. }
            | Fault::Cycle { .. }
            | Fault::RepeatedEntry { .. }
            | Fault::SelfReference { .. }
            | Fault::NoBundle { .. }
            | Fault::Unversioned { .. }
            | Fault::RepeatedVersion { .. }
            | Fault::Version { .. }
            | Fault::OtherPackage { .. }
            | Fault::Property { .. }
            | Fault::Image { .. } => false,
        }
    }
}

fn meant_or(near: &Option<String>, there: &[String]) -> String {
    if near.is_some() || there.is_empty() { meant(near) } else { format!("; there are {}", listed(there)) }
}

fn meant(near: &Option<String>) -> String {
    near.as_ref().map_or(String::new(), |near| format!("; did you mean {}?", shown(near)))
}

/// The first few names.
fn listed(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(5).map(|name| shown(name).to_string()).collect();
    match names.len().saturating_sub(5) {
        0 if first.is_empty() => "none".to_owned(),
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn in_channels(names: &[String]) -> String {
    format!("channel{} {}", if names.len() == 1 { "" } else { "s" }, listed(names))
}
