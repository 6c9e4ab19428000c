//! `blockedImages`: images that must not be carried.

use super::error::Problem;
use crate::limits;
use regex::{RegexSet, RegexSetBuilder};

/// Regular expressions, unanchored, over origin and destination. Go's RE2 and Rust's `regex` agree on what
/// image names need; the rest is refused with its position instead of being understood differently.
#[derive(Clone, Debug)]
pub struct Blocked {
    patterns: Vec<String>,
    set: RegexSet,
}

impl Default for Blocked {
    fn default() -> Blocked {
        Blocked { patterns: Vec::new(), set: RegexSet::empty() }
    }
}

impl Blocked {
    /// Looks at one expression alone, so that a fault can name it.
    pub(super) fn check(pattern: &str) -> Result<(), Problem> {
        regex::Regex::new(pattern).map(|_| ()).map_err(|e| fault(pattern, &e))
    }

    /// Compiles all expressions. Fails with [`Problem::Pattern`].
    pub fn new(patterns: Vec<String>) -> Result<Blocked, Problem> {
        for pattern in &patterns {
            Blocked::check(pattern)?;
        }
        let set = RegexSetBuilder::new(&patterns).size_limit(limits::BLOCKED_PATTERN_BYTES).build();
        match set {
            Ok(set) => Ok(Blocked { patterns, set }),
            Err(e) => Err(fault("all of blockedImages together", &e)),
        }
    }

    /// The first expression that matches an image's origin or destination; transports (`docker://`, `oci://`) are
    /// taken off before. `origin` is the reference with its host.
    pub fn matches(&self, origin: &str, destination: &str) -> Option<&str> {
        let first = |name: &str| self.set.matches(without_transport(name)).iter().next();
        let index = match (first(origin), first(destination)) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        self.patterns.get(index).map(String::as_str)
    }

    /// The expressions as written.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }
}

fn without_transport(name: &str) -> &str {
    match name.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') => rest,
        _ => name.strip_prefix("oci:").unwrap_or(name),
    }
}

fn fault(pattern: &str, error: &regex::Error) -> Problem {
    let (column, why) = match error {
        regex::Error::CompiledTooBig(_) => (None, "it grows too large; use smaller repetitions".to_owned()),
        regex::Error::Syntax(text) => (column(text), last_line(text)),
        other => (None, other.to_string()),
    };
    Problem::Pattern { pattern: pattern.to_owned(), column, why }
}

/// The parser draws a caret under the fault, four columns in; nothing else of it tells the position.
fn column(text: &str) -> Option<usize> {
    let carets = text.lines().find(|line| line.contains('^') && line.trim_matches([' ', '^']).is_empty())?;
    Some(carets.chars().take_while(|c| *c == ' ').count().checked_sub(4)? + 1)
}

fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(text).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_is_enough_and_transports_do_not_count() {
        let blocked = Blocked::new(vec!["^quay.io/bad/".into(), "alpine".into()]).unwrap();
        assert_eq!(blocked.matches("docker://quay.io/bad/x:1", "bad/x:1"), Some("^quay.io/bad/"));
        assert_eq!(blocked.matches("docker.io/library/alpine:3", "x:1"), Some("alpine"));
        assert_eq!(blocked.matches("quay.io/good/x:1", "my-alpine:1"), Some("alpine"));
        assert_eq!(blocked.matches("mirror/quay.io/bad/x:1", "x:1"), None);
        assert_eq!(Blocked::default().matches("a", "b"), None);
    }

    #[test]
    fn faults_have_a_position() {
        let Problem::Pattern { column, why, .. } = Blocked::new(vec!["abc(de".into()]).unwrap_err() else { panic!() };
        assert_eq!((column, why.as_str()), (Some(4), "unclosed group"));
        assert!(matches!(Blocked::new(vec!["(?:a{1000}){1000}{1000}".into()]), Err(Problem::Pattern { column: None, .. })));
    }
}
