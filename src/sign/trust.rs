//! The three trust files together, and what can be wrong in one of them.

use super::allowed_signers::{AllowedSigners, TrustLine};
use super::patterns::PatternList;
use super::policy::Policy;
use super::public_key::KeyError;
use super::revoked::RevokedKeys;

/// A trust file that is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct TrustFileError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong in it.
    pub why: LineProblem,
}

/// What is wrong in one line of a trust file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// Not UTF-8, or control characters (a carriage return, a binary file).
    #[error("it is not plain text with line feeds (control characters, CRLF line ends or a binary file)")]
    NotText,
    /// The list of principals or patterns.
    #[error("{0}")]
    Principals(&'static str),
    /// Kind or base64 is missing.
    #[error("expected: PRINCIPALS namespaces=\"...\" KIND BASE64 [OWNER]")]
    Incomplete,
    /// No `namespaces=` option.
    #[error("without namespaces=\"...\" the key would be good for every purpose")]
    NoNamespaces,
    /// A pattern or an empty name among the namespaces.
    #[error("namespaces are literal names separated by commas, not patterns")]
    NamespacePattern,
    /// A certificate authority.
    #[error("cert-authority is not accepted: whom it certifies would not be visible here")]
    CertAuthority,
    /// An option nobody here understands.
    #[error("unknown option {0:?}")]
    UnknownOption(String),
    /// Options that cannot be read.
    #[error("the options are not NAME=\"VALUE\" separated by commas")]
    Options,
    /// The same option twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// Not a time.
    #[error("{0:?} is not a time: YYYYMMDD[HHMM[SS]][Z]")]
    Time(String),
    /// `valid-before` is not later than `valid-after`.
    #[error("valid-before is not later than valid-after")]
    NeverValid,
    /// The key.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The same key stands in an earlier line with another owner.
    #[error("the key stands in line {first} with another owner")]
    TwoOwners {
        /// The earlier line.
        first: usize,
    },
    /// Policy file: not a statement.
    #[error("unknown statement {0:?}; known are min-signatures and audience")]
    UnknownStatement(String),
    /// Policy file: the number is missing or out of range.
    #[error("min-signatures needs PATTERNS and a number from 1 to 16")]
    Threshold,
    /// Policy file: the label.
    #[error("audience needs one label of a-z 0-9 . _ - (at most 64 characters)")]
    Audience,
}

/// The lines of a trust file that say something, with their numbers.
pub(super) fn lines(file: &[u8]) -> Result<impl Iterator<Item = (usize, &str)>, TrustFileError> {
    let bad = |at: usize| TrustFileError { line: 1 + file.iter().take(at).filter(|b| **b == b'\n').count(), why: LineProblem::NotText };
    let text = std::str::from_utf8(file).map_err(|e| bad(e.valid_up_to()))?;
    if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(bad(at));
    }
    let numbered = text.split('\n').enumerate().map(|(i, line)| (i + 1, line.trim_matches([' ', '\t'])));
    Ok(numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')))
}

/// Everything this side believes about keys. The default trusts nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    allowed: AllowedSigners,
    revoked: RevokedKeys,
    policy: Policy,
}

impl Trust {
    /// Puts the three files together.
    pub fn new(allowed: AllowedSigners, revoked: RevokedKeys, policy: Policy) -> Trust {
        Trust { allowed, revoked, policy }
    }

    /// Lines of the trust file.
    pub fn lines(&self) -> &[TrustLine] {
        self.allowed.lines()
    }

    /// True when no key is trusted at all.
    pub fn is_empty(&self) -> bool {
        self.lines().is_empty()
    }

    /// Revoked keys.
    pub fn revoked(&self) -> &RevokedKeys {
        &self.revoked
    }

    /// Thresholds and the name of this site.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// A stream name: `[a-z0-9-]{1,32}` (archive page, "Files of a set").
pub fn is_stream_name(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// True when every pattern of a list is about streams: `stream:` and letters of a stream name, `*`, `?`.
/// What a person adds is checked with it, so that `ocp4` instead of `stream:ocp4` is caught when it is typed.
pub fn is_about_streams(list: &PatternList) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*' | b'?');
    list.each().all(|p| p.strip_prefix("stream:").is_some_and(|name| !name.is_empty() && name.bytes().all(letter)))
}
