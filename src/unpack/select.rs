//! Which images of a set are wanted.

use super::error::UnpackError;
use crate::format::{Contents, Image};

/// Indexes of the images that match any of the patterns; all without patterns. A pattern that matches nothing is a
/// mistake and refused.
pub(super) fn select(contents: &Contents, patterns: &[String]) -> Result<Vec<usize>, UnpackError> {
    if let Some(pattern) = patterns.iter().find(|p| !contents.images.iter().any(|image| is_meant(p, image))) {
        return Err(UnpackError::NothingSelected { pattern: pattern.clone() });
    }
    let meant = |image: &Image| patterns.is_empty() || patterns.iter().any(|p| is_meant(p, image));
    Ok(contents.images.iter().enumerate().filter(|(_, image)| meant(image)).map(|(i, _)| i).collect())
}

fn is_meant(pattern: &str, image: &Image) -> bool {
    matches(pattern, &format!("{}:{}", image.repository, image.tag)) || matches(pattern, &image.source)
}

/// `*` stands for any run of characters, `/` included. Linear in the text for each star: no pattern is slow.
fn matches(pattern: &str, text: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars() {
        for (pattern, text) in [("a", "a"), ("*", ""), ("a*", "ab"), ("*:1", "a/b:1"), ("a*c*e", "abcde"), ("**", "x"), ("a*b", "ab")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a", "ab"), ("a*a", "a"), ("*:1", "a:12"), ("a*c*e", "abde"), ("", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
