//! Lists of patterns as in `ssh_config(5)`, "PATTERNS": `*`, `?`, commas, and `!` that takes away.

use std::fmt;

/// Longest list: far above any real one, and it bounds the work of matching.
const LIST_BYTES: usize = 4096;

/// A comma separated list of patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternList(String);

impl PatternList {
    /// Reads a list. `Err` says what is wrong with it.
    ///
    /// Quotes, white space, control characters and empty patterns are refused: OpenSSH has meanings for some of
    /// them that no stream needs.
    pub fn parse(text: &str) -> Result<PatternList, &'static str> {
        if text.len() > LIST_BYTES {
            return Err("the list of patterns is longer than 4096 bytes");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains(['"', '\'', '\\', '#']) {
            return Err("patterns are printable ASCII without spaces, quotes, backslash and #");
        }
        if text.split(',').any(|p| p.strip_prefix('!').unwrap_or(p).is_empty()) {
            return Err("an empty pattern");
        }
        if text.split(',').all(|p| p.starts_with('!')) {
            return Err("nothing but exclusions: such a list matches nothing");
        }
        Ok(PatternList(text.to_owned()))
    }

    /// True when some pattern matches and no pattern with `!` does. The order plays no part, as in OpenSSH.
    pub fn matches(&self, text: &str) -> bool {
        let mut found = false;
        for pattern in self.0.split(',') {
            match pattern.strip_prefix('!') {
                Some(taken) if matches_one(taken.as_bytes(), text.as_bytes()) => return false,
                Some(_) => {}
                None => found |= matches_one(pattern.as_bytes(), text.as_bytes()),
            }
        }
        found
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The patterns one by one, without `!`.
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(|p| p.strip_prefix('!').unwrap_or(p))
    }
}

impl fmt::Display for PatternList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Matches without recursion: on a mismatch the last `*` takes one more byte. Time is at most the product of both lengths.
fn matches_one(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || c == byte => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(list: &str, text: &str) -> bool {
        PatternList::parse(list).unwrap().matches(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_ssh() {
        assert!(matches("stream:ocp4,stream:tools-*", "stream:tools-a"));
        assert!(matches("stream:*,!stream:dev", "stream:prod"));
        assert!(!matches("stream:*,!stream:dev", "stream:dev"));
        assert!(!matches("!stream:dev,stream:*", "stream:dev"));
        assert!(!matches("stream:ocp4", "stream:ocp40"));
        assert!(!matches("stream:ocp?", "stream:ocp"));
        assert!(matches("*o*4", "stream:ocp4"));
        assert!(!matches("stream:OCP4", "stream:ocp4"));
        assert!(matches("stream:a**", "stream:a"));
    }

    #[test]
    fn lists_that_say_nothing_are_refused() {
        for bad in ["", ",", "a,", "!", "!stream:dev", "a b", "\"a\"", "a\\b", "#a", "ü"] {
            assert!(PatternList::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_list_of_stars_does_not_take_for_ever() {
        let list = "*a".repeat(2000);
        assert!(!matches(&list, &"a".repeat(1999)));
        assert!(matches(&list, &"a".repeat(2000)));
    }
}
