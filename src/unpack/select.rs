//! Which images of a set are wanted.

use super::error::UnpackError;
use crate::format::{Contents, Image};
use crate::text::matches;

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
