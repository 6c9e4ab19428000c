//! What a graph can be refused for, and what can be wrong with a wish.

use crate::text::shown;
use semver::Version;
use std::fmt;

/// Why a document is not an update graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Not JSON, or not of the right form; the sentence holds line and column.
    #[error("it is not an update graph: {0}")]
    Malformed(String),
    /// The service explains why it gives none.
    #[error("the service gives no graph: {}: {}", shown(.kind), shown(.value))]
    Refused {
        /// `kind` of its answer.
        kind: String,
        /// `value` of its answer.
        value: String,
    },
    /// Another version of the format.
    #[error("it is an update graph of version {0}; version 1 is understood")]
    Version(u64),
    /// One entry breaks a rule.
    #[error("{place}: {why}")]
    Entry {
        /// Which entry, for example `nodes[3]`.
        place: String,
        /// Which rule.
        why: String,
    },
    /// More than any real graph has.
    #[error("it has {found} {what}, more than the {limit} allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many may be.
        limit: u64,
    },
}

/// The versions around one that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest {
    /// The highest below it.
    pub below: Option<Version>,
    /// The lowest above it.
    pub above: Option<Version>,
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.below, &self.above) {
            (Some(below), Some(above)) => write!(f, "the nearest are {below} and {above}"),
            (Some(below), None) => write!(f, "the highest there is {below}"),
            (None, Some(above)) => write!(f, "the lowest there is {above}"),
            (None, None) => f.write_str("there is no release at all"),
        }
    }
}

/// Why a wish cannot be met by the graphs there are. Channels are named as the user wrote them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The service knows no release in it: it answers so for channels that do not exist.
    #[error("channel {} has no releases for {architecture}", shown(.channel))]
    EmptyChannel {
        /// The channel.
        channel: String,
        /// The architecture.
        architecture: String,
    },
    /// A version is not in the channel.
    #[error("release {version} is not in channel {} for {architecture}; {nearest}", shown(.channel))]
    NoVersion {
        /// The version.
        version: Version,
        /// The channel.
        channel: String,
        /// The architecture.
        architecture: String,
        /// What there is.
        nearest: Nearest,
    },
    /// `minVersion` is above `maxVersion`.
    #[error("channel {}: the range from {min} to {max} is empty", shown(.channel))]
    EmptyRange {
        /// The channel.
        channel: String,
        /// Lowest version.
        min: Version,
        /// Highest version.
        max: Version,
    },
    /// No chain of updates joins two versions, not even at a risk.
    #[error(
        "channel {} has no update path from {from} to {to} for {architecture}{}{}",
        shown(.channel),
        told("; from there the nearest below that can be reached is ", .reached),
        told("; the nearest above it that leads there is ", .leads)
    )]
    NoPath {
        /// The channel.
        channel: String,
        /// The architecture.
        architecture: String,
        /// Where the path begins.
        from: Version,
        /// Where it should end.
        to: Version,
        /// The highest version below the end that can be reached.
        reached: Option<Version>,
        /// The lowest version above the beginning from which the end can be reached.
        leads: Option<Version>,
    },
}

fn told(words: &str, version: &Option<Version>) -> String {
    version.as_ref().map(|version| format!("{words}{version}")).unwrap_or_default()
}
