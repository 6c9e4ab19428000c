//! Strings from outside on their way to a person.
//!
//! File names, tags, annotations and the words of registries are untrusted. Printed raw they could move the
//! cursor, forge lines or turn text around; [`shown`] is the one place where they become harmless.

use std::fmt;

/// Longest piece of a foreign string that is shown, in characters.
const SHOWN: usize = 300;

/// Longest sentence of our own, with whatever it quotes, in characters.
const SENTENCE: usize = 4000;

/// A foreign string made safe for a terminal, a log line or a comment.
#[derive(Clone, Copy)]
pub struct Shown<'a>(&'a str, usize);

/// Makes a foreign string safe to print: control characters, line breaks, bidirectional and invisible
/// marks become `\u{..}`; what is longer than 300 characters is cut and says so.
pub fn shown(text: &str) -> Shown<'_> {
    Shown(text, SHOWN)
}

/// The last gate before a person: a finished sentence of ours, which should have used [`shown`] for what it quotes. The
/// same characters are escaped; the limit is wide enough for any honest sentence.
pub fn sentence(text: &str) -> Shown<'_> {
    Shown(text, SENTENCE)
}

/// A foreign string of any length made safe: for lines another program reads, where a cut would be a wrong answer.
pub fn whole(text: &str) -> Shown<'_> {
    Shown(text, usize::MAX)
}

/// Hides `user:password@` in what a person typed where an address was expected: it would stand in logs for ever.
/// What looks so but is a tag before a digest (`name:tag@sha256:...`) stays.
pub fn without_userinfo(text: &str) -> String {
    text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '\'' | '"')).map(word_without_userinfo).collect()
}

fn word_without_userinfo(word: &str) -> String {
    let (scheme, rest) = word.split_once("://").map_or(("", word), |(scheme, rest)| (scheme, rest));
    match rest.rsplit_once('@') {
        Some((user, host)) if user.contains(':') && !host.starts_with("sha256:") && !host.starts_with("sha512:") => {
            format!("{scheme}{}(hidden)@{host}", if scheme.is_empty() { "" } else { "://" })
        }
        _ => match rest.split(['/', '?', '#']).next().and_then(|authority| authority.rsplit_once('@')) {
            // A token by itself is a login too.
            Some((token, _)) if !scheme.is_empty() => {
                format!("{scheme}://(hidden){}", rest.get(token.len()..).unwrap_or_default())
            }
            _ => word.to_owned(),
        },
    }
}

/// Undoes percent encoding (RFC 3986, section 2.1); `None` where it is broken or hides what is no text.
pub fn unescaped(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let both = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
                u8::from_str_radix(std::str::from_utf8(&both).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// An address as it may be told: without login, and without query and fragment, which may hold a signature that opens it.
pub fn bare_address(text: &str) -> String {
    let (bare, rest) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    let (scheme, place) = bare.split_once("://").map_or(("", bare), |(scheme, place)| (scheme, place));
    let authority = place.split('/').next().unwrap_or_default();
    // A password may hold a question mark: what stands before that is then no host, and what follows no query.
    if rest.contains('@') && authority.contains(':') && !authority.contains('@') {
        return format!("{scheme}{}(hidden)", if scheme.is_empty() { "" } else { "://" });
    }
    word_without_userinfo(bare)
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for (i, c) in self.0.chars().enumerate() {
            if i == self.1 {
                return f.write_str("[...]");
            }
            if c.is_control() || hidden(c) {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// A number of things: `1 image`, `3 images`, `2 entries`. `one` is the word for one of them; its last letters change.
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(number: N, one: &str) -> String {
    let (stem, ending) = match one.strip_suffix('y') {
        _ if number == N::from(1) => (one, ""),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => (stem, "ies"),
        _ => (one, "s"),
    };
    format!("{number} {stem}{ending}")
}

/// The verb for a number of things.
pub fn are<N: PartialEq + From<u8>>(number: N) -> &'static str {
    if number == N::from(1) { "is" } else { "are" }
}

/// `is` or `are` for `number` of `all` things: `0 of 1 image is`, `1 of 7 images is`, `0 of 7 images are`.
pub fn are_of<N: PartialEq + From<u8>>(number: N, all: N) -> &'static str {
    if all == N::from(1) { "is" } else { are(number) }
}

/// Characters that print nothing or change the order of what is printed (Unicode, bidirectional algorithm).
pub fn hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Longest word for which [`nearest`] looks: the effort grows with the product of two lengths.
const NEAREST_BYTES: usize = 96;

/// The known name that a typing error most likely meant, letter case aside.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > NEAREST_BYTES {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let known = known.into_iter().filter(|name| name.len() <= NEAREST_BYTES);
    let (score, name) = known.map(|name| (distance(&word, &name.to_ascii_lowercase()), name)).min()?;
    (score <= 1 + name.len() / 4).then_some(name)
}

/// Levenshtein distance with swaps of neighbours (optimal string alignment), in characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            let swap = if swapped { at(&before, j - 1) + 1 } else { usize::MAX / 2 };
            let best = (at(&row, j) + 1).min(at(&last, j + 1) + 1).min(at(&last, j) + usize::from(x != y)).min(swap);
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

/// True when `name` is one plain component: no separator, not `.` or `..`, nothing a FAT or ISO file system refuses.
pub fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name.len() <= 255
        && !name.ends_with(['.', ' '])
        && name.chars().all(|c| !c.is_control() && !matches!(c, '"' | '*' | '/' | ':' | '<' | '>' | '?' | '\\' | '|'))
}

/// Compares a text with a pattern. `*` stands for any run of characters, `/` included. Linear in the text for each star: no pattern is slow.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece).and_then(|at| text.get(at + piece.len()..)) {
            Some(after) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

/// A word as a shell takes it (POSIX, 2.2 "Quoting"): for commands that are printed to be typed.
pub fn shell_word(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b',' | b'-' | b'_' | b'.' | b'/' | b'+' | b'=' | b'@');
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_told_in_the_singular() {
        let told = |number: usize| (counted(number, "image"), counted(number as u64, "entry"), counted(number, "key"), are(number));
        assert_eq!(told(1), ("1 image".into(), "1 entry".into(), "1 key".into(), "is"));
        assert_eq!(told(2), ("2 images".into(), "2 entries".into(), "2 keys".into(), "are"));
        assert_eq!(told(0).0, "0 images");
        assert_eq!([are_of(0, 1), are_of(1, 1), are_of(0, 7), are_of(1, 7), are_of(7, 7)], ["is", "is", "are", "is", "are"]);
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        for (typed, told) in [
            ("invalid value 'u:pw@r.lan/x' for", "invalid value '(hidden)@r.lan/x' for"),
            ("docker://u:p/w@quay.io/x:1", "docker://(hidden)@quay.io/x:1"),
            ("u:p@w@r.lan", "(hidden)@r.lan"),
            ("q.io:5000/x:1@sha256:ab https://r.lan/x mail@r.lan", "q.io:5000/x:1@sha256:ab https://r.lan/x mail@r.lan"),
            ("https://ghp_token@r.lan/x@1", "https://(hidden)@r.lan/x@1"),
        ] {
            assert_eq!(without_userinfo(typed), told);
        }
    }

    #[test]
    fn what_opens_an_address_is_not_repeated() {
        assert_eq!(bare_address("https://token@r.lan/c.tgz?X-Signature=s3cret#s3cret"), "https://(hidden)@r.lan/c.tgz");
        for text in ["https://u:s3?cret@r.lan/x", "https://u:s3#cret@r.lan/x", "https://u:s3 ?cret@r.lan/x"] {
            assert_eq!(bare_address(text), "https://(hidden)", "{text}");
        }
        assert_eq!(bare_address("https://u:s3 cret@r.lan/x"), "https://(hidden)@r.lan/x");
        assert_eq!(bare_address("https://r.lan/x?mail=a@b"), "https://r.lan/x");
        assert_eq!(bare_address("https://r.lan/c.tgz"), "https://r.lan/c.tgz");
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_raw() {
        let hostile = "a\u{1b}[2Jb\nc\u{202e}d\u{200b}\u{7}";
        assert_eq!(shown(hostile).to_string(), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{200b}\\u{7}");
        assert_eq!(shown("quay.io/übung:1").to_string(), "quay.io/übung:1");
        assert!(shown(&"x".repeat(1000)).to_string().ends_with("[...]"));
    }

    #[test]
    fn names_that_file_systems_refuse() {
        for bad in ["", ".", "..", "a/b", "a:b", "a.", "a\nb", "nul?"] {
            assert!(!is_plain_name(bad), "{bad:?}");
        }
        assert!(is_plain_name("default-1-0001.tar.zst"));
    }

    #[test]
    fn typing_errors_find_their_word() {
        let known = ["name", "targetRepo", "targetTag", "platforms"];
        for (typed, meant) in
            [("nmae", Some("name")), ("TARGETREPOS", Some("targetRepo")), ("platform", Some("platforms")), ("digest", None)]
        {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
        assert_eq!((distance("", "abc"), distance("ca", "ac"), distance("kitten", "sitting")), (3, 1, 3));
    }

    #[test]
    fn stars() {
        for (pattern, text) in [("a", "a"), ("*", ""), ("a*", "ab"), ("*:1", "a/b:1"), ("a*c*e", "abcde"), ("**", "x"), ("a*b", "ab")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*a", "a"), ("*:1", "a:12"), ("a*c*e", "abde"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn words_for_a_shell() {
        for (word, typed) in
            [("/srv/mirror", "/srv/mirror"), ("my data", "'my data'"), ("a'b", "'a'\\''b'"), ("", "''"), ("[::1]:8443", "'[::1]:8443'")]
        {
            assert_eq!(shell_word(word), typed);
        }
    }
}
