//! The policy file beside the trust file: what `allowed_signers` has no words for.
//!
//! ```text
//! # words separated by spaces, one statement per line, # begins a comment line
//! min-signatures stream:ocp4,stream:prod-* 2
//! audience bank-a
//! ```
//!
//! `min-signatures PATTERNS N`: sets of these streams need signatures of N different owners (1 to 16); where several
//! lines match, the highest N counts, where none does, 1. `audience LABEL`: what this site is called; may be given more
//! than once. Anything else refuses the file.

use super::patterns::PatternList;
use super::public_key::word;
use super::trust::{LineProblem, TrustFileError, lines};
use crate::limits;
use crate::text::shown;
use std::collections::BTreeSet;

/// How many signatures a stream needs, and what this site is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    thresholds: Vec<(PatternList, usize)>,
    audience: BTreeSet<String>,
}

impl Policy {
    /// Reads the file, or refuses all of it.
    pub fn parse(file: &[u8]) -> Result<Policy, TrustFileError> {
        let mut policy = Policy::default();
        for (number, line) in lines(file)? {
            policy.statement(line).map_err(|why| TrustFileError { line: number, why })?;
        }
        Ok(policy)
    }

    fn statement(&mut self, line: &str) -> Result<(), LineProblem> {
        let (verb, rest) = word(line);
        match verb {
            "min-signatures" => {
                let (patterns, number) = word(rest);
                let patterns = PatternList::parse(patterns).map_err(LineProblem::Principals)?;
                self.thresholds.push((patterns, threshold(number.trim()).ok_or(LineProblem::Threshold)?));
            }
            "audience" if is_label(rest.trim()) => {
                self.audience.insert(rest.trim().to_owned());
            }
            "audience" => return Err(LineProblem::Audience),
            other => return Err(LineProblem::UnknownStatement(shown(other).to_string())),
        }
        Ok(())
    }

    /// Different owners that must have signed for `principal` (`stream:NAME`): at least 1.
    pub fn min_signatures(&self, principal: &str) -> usize {
        self.thresholds.iter().filter(|(patterns, _)| patterns.matches(principal)).map(|(_, n)| *n).max().unwrap_or(1)
    }

    /// What this site is called; empty when it has no name.
    pub fn audience(&self) -> &BTreeSet<String> {
        &self.audience
    }

    /// The threshold lines, in order: patterns and number.
    pub fn thresholds(&self) -> &[(PatternList, usize)] {
        &self.thresholds
    }
}

fn threshold(text: &str) -> Option<usize> {
    let plain = !text.is_empty() && text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| plain && (1..=limits::SIGNATURES).contains(n))
}

/// A label of a site: `[a-z0-9][a-z0-9._-]*`, at most 64 characters.
fn is_label(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 64 && text.bytes().next().is_some_and(word) && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'_' | b'-'))
}
