//! Versions of bundles and the ranges they lie in: of an ImageSet, and of dependencies between operators.

use crate::image_set::VersionRange;
use semver::{BuildMetadata, Prerelease, Version};
use std::cmp::Ordering;

/// Reads a bundle's version as Masterminds' semver does: a leading `v` and missing minor and patch are allowed.
pub(super) fn lenient(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let mut numbers = core.split('.').map(number);
    let major = numbers.next()??;
    let minor = numbers.next().unwrap_or(Some(0))?;
    let patch = numbers.next().unwrap_or(Some(0))?;
    if numbers.next().is_some() || pre == Some("") || build == Some("") {
        return None;
    }
    let pre = Prerelease::new(pre.unwrap_or_default()).ok()?;
    // Build metadata orders nothing; the crate is stricter about it than what is in use.
    let build = BuildMetadata::new(build.unwrap_or_default()).unwrap_or_default();
    Some(Version { major, minor, patch, pre, build })
}

fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// True when a version lies in a range of an ImageSet: pre-releases do so only where an end of the range is one (Masterminds'
/// semver 3.5), build metadata counts for nothing.
pub(super) fn within(range: &VersionRange, version: &Version) -> bool {
    let ends = || range.min.iter().chain(&range.max);
    let pre_releases = ends().any(|end| !end.pre.is_empty());
    (version.pre.is_empty() || pre_releases)
        && range.min.as_ref().is_none_or(|min| version.cmp_precedence(min) != Ordering::Less)
        && range.max.as_ref().is_none_or(|max| version.cmp_precedence(max) != Ordering::Greater)
}

/// The one version a range admits, if that is its whole point.
pub(super) fn exact(range: &VersionRange) -> Option<&Version> {
    let (min, max) = (range.min.as_ref()?, range.max.as_ref()?);
    (min.cmp_precedence(max) == Ordering::Equal).then_some(min)
}

/// `versionRange` of a dependency: conditions joined by spaces, alternatives by `||` (the grammar of blang/semver, which OLM
/// reads it with). Pre-releases are versions like others there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    alternatives: Vec<Vec<(Is, Version)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Equal,
    Other,
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Range {
    /// Reads a range; `None` for what is none.
    pub fn parse(text: &str) -> Option<Range> {
        let alternatives = text.split("||").map(all_of).collect::<Option<Vec<_>>>()?;
        Some(Range { alternatives: alternatives.into_iter().flatten().collect() })
    }

    /// True when the version lies in it.
    pub fn holds(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| all.iter().all(|(is, bound)| is.holds(version.cmp_precedence(bound))))
    }
}

impl Is {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Is::Equal => order == Ordering::Equal,
            Is::Other => order != Ordering::Equal,
            Is::Above => order == Ordering::Greater,
            Is::AtLeast => order != Ordering::Less,
            Is::Below => order == Ordering::Less,
            Is::AtMost => order != Ordering::Greater,
        }
    }
}

/// Conditions that hold together, as alternatives (`!=1.x` is two).
fn all_of(text: &str) -> Option<Vec<Vec<(Is, Version)>>> {
    let mut together = vec![Vec::new()];
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !matches!(c, '<' | '>' | '=' | '!')).unwrap_or(rest.len());
        let (operator, after) = rest.split_at(end);
        let after = after.trim_start();
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '=' | '!')).unwrap_or(after.len());
        let (version, next) = after.split_at(end);
        let alternatives = condition(operator, version)?;
        // More than a few `!=1.x` beside each other would multiply without end.
        if together.len() * alternatives.len() > 256 {
            return None;
        }
        together = together.iter().flat_map(|all: &Vec<_>| alternatives.iter().map(|more| [all.clone(), more.clone()].concat())).collect();
        rest = next.trim_start();
    }
    Some(together)
}

/// One condition; a version that ends in `x` stands for all that begin like it.
fn condition(operator: &str, version: &str) -> Option<Vec<Vec<(Is, Version)>>> {
    let (from, below) = bounds(version)?;
    let one = |is, version| Some(vec![vec![(is, version)]]);
    match (operator, below) {
        ("" | "=" | "==", None) => one(Is::Equal, from),
        ("" | "=" | "==", Some(below)) => Some(vec![vec![(Is::AtLeast, from), (Is::Below, below)]]),
        ("!" | "!=", None) => one(Is::Other, from),
        ("!" | "!=", Some(below)) => Some(vec![vec![(Is::Below, from)], vec![(Is::AtLeast, below)]]),
        (">", None) => one(Is::Above, from),
        (">", Some(below)) => one(Is::AtLeast, below),
        (">=", _) => one(Is::AtLeast, from),
        ("<", _) => one(Is::Below, from),
        ("<=", None) => one(Is::AtMost, from),
        ("<=", Some(below)) => one(Is::Below, below),
        _ => None,
    }
}

/// A version, and for `1.2.x` or `1.x` the first one above all it stands for.
fn bounds(text: &str) -> Option<(Version, Option<Version>)> {
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let wild = |part: &str| matches!(part, "x" | "X" | "*");
    match parts.as_slice() {
        [major, minor, patch] if wild(patch) && !wild(minor) => {
            let (major, minor) = (number(major)?, number(minor)?);
            Some((Version::new(major, minor, 0), Some(Version::new(major, minor.checked_add(1)?, 0))))
        }
        [major, rest @ ..] if !rest.is_empty() && rest.iter().all(|part| wild(part)) => {
            let major = number(major)?;
            Some((Version::new(major, 0, 0), Some(Version::new(major.checked_add(1)?, 0, 0))))
        }
        _ => Some((Version::parse(text).ok()?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(min: &str, max: &str) -> VersionRange {
        VersionRange { min: Version::parse(min).ok(), max: Version::parse(max).ok() }
    }

    #[test]
    fn versions_are_read_leniently() {
        for (text, version) in
            [("v1.2", "1.2.0"), ("1", "1.0.0"), ("01.2.3-rc.1+b", "1.2.3-rc.1+b"), ("1.2.5274-c04833d", "1.2.5274-c04833d")]
        {
            assert_eq!(lenient(text).unwrap().to_string(), version);
        }
        for bad in ["", "v", "1.2.3.4", "1.a", "1.2.3-", "1.2.3-01", "1.2.3+", "-1", "1..2", "1.2.3-a_b"] {
            assert_eq!(lenient(bad), None, "{bad}");
        }
    }

    #[test]
    fn pre_releases_need_a_range_that_names_one() {
        let version = |text: &str| lenient(text).unwrap();
        assert!(!within(&range("1.0.0", "2.0.0"), &version("1.5.0-rc.1")));
        assert!(within(&range("1.0.0-0", "2.0.0"), &version("1.5.0-rc.1")));
        assert!(within(&range("1.0.0", "2.0.0-rc.2"), &version("2.0.0-rc.1")));
        assert!(within(&range("1.0.0", ""), &version("9.0.0+x")) && within(&range("1.0.0+a", "1.0.0+b"), &version("1.0.0+c")));
        assert!(!within(&range("1.0.0", ""), &version("0.9.9")) && !within(&range("", "1.0.0"), &version("1.0.1")));
        assert_eq!(exact(&range("1.0.0+a", "1.0.0")).map(ToString::to_string).as_deref(), Some("1.0.0+a"));
        assert!(exact(&range("1.0.0", "1.0.1")).is_none() && exact(&range("1.0.0", "")).is_none());
    }

    #[test]
    fn ranges_of_dependencies_are_blangs() {
        for (text, inside, outside) in [
            (">=1.12.2", &["1.12.2", "2.0.0-rc.1"][..], &["1.12.2-rc.1", "1.0.0"][..]),
            (">2.0.0", &["2.0.1"], &["2.0.0"]),
            (">= 1.0.0 < 2.0.0 || > 3.0.0 !4.0.0", &["1.5.0", "5.0.0"], &["2.0.0", "4.0.0"]),
            (">=1.0.0<2.0.0", &["1.5.0"], &["2.0.0"]),
            ("1.2.x", &["1.2.0", "1.2.9"], &["1.3.0"]),
            (">1.x", &["2.0.0"], &["1.9.0"]),
            ("<=1.x", &["1.9.0"], &["2.0.0"]),
            ("!=1.2.x", &["1.1.0", "1.3.0"], &["1.2.3"]),
            ("1.0.0", &["1.0.0+b"], &["1.0.1"]),
        ] {
            let range = Range::parse(text).unwrap();
            assert!(inside.iter().all(|v| range.holds(&lenient(v).unwrap())), "{text}");
            assert!(!outside.iter().any(|v| range.holds(&lenient(v).unwrap())), "{text}");
        }
        for bad in ["", "||", ">=", "~1.0.0", "1.0", ">=1.0.0 ||", "x", "=>1.0.0", &"!=1.x ".repeat(40)] {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }
}
