//! Which of a chart's versions is meant (helm documentation, "The version flag"; Masterminds/semver's ranges).

use semver::{Comparator, Op, Version, VersionReq};

/// The version meant by `wanted`, among those there are: exactly that text, the same with or without a leading `v`, the same with build
/// metadata, else the newest in that range. Empty is the newest stable one.
pub(super) fn pick<'v>(there: &[&'v str], wanted: &str) -> Option<&'v str> {
    let wanted = wanted.trim();
    if wanted.is_empty() {
        return newest(there, |version| version.pre.is_empty());
    }
    let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    let exact = there.iter().find(|v| **v == wanted).or_else(|| there.iter().find(|v| bare(v) == bare(wanted)));
    if let Some(exact) = exact {
        return Some(exact);
    }
    // A complete version is no range: another patch would not be what was asked for. What it is built from may be left out.
    if let Some(complete) = parse(wanted).filter(|_| wanted.matches('.').count() >= 2) {
        return newest(there, |version| complete.build.is_empty() && version.cmp_precedence(&complete).is_eq());
    }
    let ranges: Vec<VersionReq> = wanted.split("||").map(range).collect::<Option<_>>()?;
    newest(there, |version| ranges.iter().any(|range| matches(range, version)))
}

/// The nearest to `wanted`, newest first: what may have been meant.
pub(super) fn near(there: &[&str], wanted: &str) -> Vec<String> {
    let common =
        |v: &str| v.trim_start_matches('v').chars().zip(wanted.trim_start_matches('v').chars()).take_while(|(a, b)| a == b).count();
    let mut sorted: Vec<&str> = there.to_vec();
    sorted.sort_by_cached_key(|v| (std::cmp::Reverse(common(v)), std::cmp::Reverse(parse(v))));
    sorted.dedup();
    sorted.into_iter().take(5).map(str::to_owned).collect()
}

/// A version as charts write it: a leading `v` and missing parts are allowed.
pub(super) fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some(version);
    }
    let parts: Vec<&str> = text.split('.').collect();
    let number = |i: usize| parts.get(i).map_or(Some(0), |p| p.parse().ok());
    if text.is_empty() || parts.len() > 3 {
        return None;
    }
    Some(Version::new(number(0)?, number(1)?, number(2)?))
}

fn newest<'v>(there: &[&'v str], fits: impl Fn(&Version) -> bool) -> Option<&'v str> {
    let parsed = there.iter().filter_map(|text| Some((parse(text)?, *text)));
    parsed.filter(|(version, _)| fits(version)).max_by(|a, b| a.0.cmp(&b.0)).map(|(_, text)| text)
}

/// Whether a version is in a range, as helm sees it: a preview is where each part of the range names one itself (`>0.0.0-0` takes all),
/// of whichever version; the crate's rule takes it only beside a part of the very same version.
fn matches(range: &VersionReq, version: &Version) -> bool {
    if version.pre.is_empty() {
        return range.matches(version);
    }
    !range.comparators.is_empty() && range.comparators.iter().all(|part| !part.pre.is_empty() && takes_preview(part, version))
}

/// One part of a range that names a preview, which no short version does.
fn takes_preview(part: &Comparator, version: &Version) -> bool {
    let (major, minor, patch) = (part.major, part.minor.unwrap_or_default(), part.patch.unwrap_or_default());
    let named = Version { pre: part.pre.clone(), ..Version::new(major, minor, patch) };
    let order = version.cmp_precedence(&named);
    match part.op {
        Op::Exact => order.is_eq(),
        Op::Greater => order.is_gt(),
        Op::GreaterEq => order.is_ge(),
        Op::Less => order.is_lt(),
        Op::LessEq => order.is_le(),
        Op::Tilde => order.is_ge() && (version.major, version.minor) == (major, minor),
        Op::Caret => {
            let same = match (major, minor) {
                (0, 0) => (version.major, version.minor, version.patch) == (0, 0, patch),
                (0, minor) => (version.major, version.minor) == (0, minor),
                (major, _) => version.major == major,
            };
            order.is_ge() && same
        }
        _ => false,
    }
}

/// A range with spaces or commas between its parts; a part without operator means that version, or any below it where it is short.
fn range(text: &str) -> Option<VersionReq> {
    let mut parts: Vec<String> = Vec::new();
    // `>= 1.2` is one part although there is a space in it.
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let word = if word.starts_with(|c: char| c.is_ascii_alphanumeric()) { word.trim_start_matches('v') } else { word };
        match parts.last_mut() {
            Some(last) if last.ends_with(['=', '<', '>', '~', '^']) => last.push_str(word),
            _ => parts.push(word.to_owned()),
        }
    }
    if let [from, dash, to] = parts.as_slice()
        && dash == "-"
    {
        return VersionReq::parse(&format!(">={from}, <={to}")).ok();
    }
    let plain = |part: &str| part.starts_with(|c: char| c.is_ascii_digit()) && !part.contains(['x', 'X', '*']);
    let parts: Vec<String> = parts.into_iter().map(|part| if plain(&part) { format!("={part}") } else { part }).collect();
    VersionReq::parse(&parts.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: &[&str] = &["1.0.0", "v1.2.0", "1.2.3", "1.3.0-rc.1", "2.0.0", "2.1.0-beta", "1.2.4+up1", "nonsense"];

    #[test]
    fn exact_with_and_without_v_newest_and_ranges() {
        for (wanted, meant) in [
            ("", Some("2.0.0")),
            ("1.2.3", Some("1.2.3")),
            ("v1.2.3", Some("1.2.3")),
            ("1.2.0", Some("v1.2.0")),
            ("^1.2", Some("1.2.4+up1")),
            ("~1.2.0", Some("1.2.4+up1")),
            ("1.0", Some("1.0.0")),
            (">=1.0.0 <1.2.3", Some("v1.2.0")),
            (">= 1.0, < 2", Some("1.2.4+up1")),
            ("1.x || 3.x", Some("1.2.4+up1")),
            ("1.0.0 - 1.2.0", Some("v1.2.0")),
            ("*", Some("2.0.0")),
            ("9.9.9", None),
            ("1.2.9", None),
            ("1.2.4", Some("1.2.4+up1")),
            ("1.2.4+up2", None),
            ("words", None),
            // As helm's --devel asks.
            (">0.0.0-0", Some("2.1.0-beta")),
            (">=1.0.0-0 <2.0.0-0", Some("1.3.0-rc.1")),
            (">=1.0.0-0 <2", Some("1.2.4+up1")),
            ("^1.0.0-0", Some("1.3.0-rc.1")),
            ("~1.3.0-0", Some("1.3.0-rc.1")),
            ("^2.0.0-0 || 9.x", Some("2.1.0-beta")),
        ] {
            assert_eq!(pick(THERE, wanted), meant, "{wanted:?}");
        }
        assert_eq!(pick(&["1.0.0-a"], ""), None, "a preview is never the newest");
        assert_eq!(pick(&["1.0.0-a"], "1.0.0-a"), Some("1.0.0-a"));
        assert_eq!(near(THERE, "1.2.9").first().map(String::as_str), Some("1.2.4+up1"));
    }
}
