//! What a person should know about a selection.

use crate::text::shown;
use semver::Version;
use std::fmt;

/// Why an update may not be good for some clusters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Risk {
    /// A word for it (`AdminAckNeeded`): foreign text, as all of this is.
    pub name: String,
    /// A sentence.
    pub message: String,
    /// Where more is said.
    pub url: String,
    /// True where it applies to every cluster, not only to those a query finds.
    pub always: bool,
}

/// One thing to know about a selection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// A path takes an update that is recommended only to clusters its risks do not apply to.
    Conditional {
        /// The channel.
        channel: String,
        /// The architecture.
        architecture: String,
        /// The release updated from.
        from: Version,
        /// The release updated to.
        to: Version,
        /// What may happen.
        risks: Vec<Risk>,
    },
    /// The path through several channels cannot be completed; only what the channels themselves name is carried.
    Blocked {
        /// The channel the path would go on in.
        channel: String,
        /// The architecture.
        architecture: String,
        /// Where it stands.
        from: Version,
        /// Where it would go in that channel, where that is known.
        to: Option<Version>,
    },
    /// Channels of different kinds: no path from one to the other is looked for.
    NoCommonKind {
        /// The channel of the lowest version.
        from: String,
        /// The channel of the highest version.
        to: String,
        /// The architecture.
        architecture: String,
    },
    /// A range over several minor versions in an EUS channel: the way through it is the administrator's choice.
    Eus {
        /// The channel.
        channel: String,
        /// The architecture.
        architecture: String,
        /// Lowest version.
        from: Version,
        /// Highest version.
        to: Version,
    },
}

/// Where Red Hat's tool shows the ways between releases.
const UPDATE_PATH_TOOL: &str = "https://access.redhat.com/labs/ocpupgradegraph/update_path";

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Conditional { channel, architecture, from, to, risks } => {
                write!(f, "the update from {from} to {to} ({}, {architecture}) is conditional", shown(channel))?;
                risks.iter().enumerate().try_for_each(|(i, risk)| write!(f, "{} {risk}", if i == 0 { ":" } else { ";" }))
            }
            Note::Blocked { channel, architecture, from, to } => {
                write!(f, "the update path is blocked: from {from} no update leads ")?;
                match to {
                    Some(to) => write!(f, "to {to} in {}", shown(channel))?,
                    None => write!(f, "into {}, which has no such release", shown(channel))?,
                }
                write!(f, " ({architecture}); only the releases the channels name are carried")
            }
            Note::NoCommonKind { from, to, architecture } => write!(
                f,
                "{} and {} are channels of different kinds: no update path between them is carried ({architecture})",
                shown(from),
                shown(to)
            ),
            Note::Eus { channel, architecture, from, to } => write!(
                f,
                "{} from {from} to {to} ({architecture}) spans several minor versions: see {UPDATE_PATH_TOOL} for the way between them, or set shortestPath",
                shown(channel)
            ),
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = if self.always { " (every cluster)" } else { "" };
        write!(f, "{}{whom}: {} {}", shown(&self.name), shown(self.message.trim()), shown(&self.url))
    }
}
