//! Where an image is taken from, as named on the command line or in an ImageSet.

use crate::digest::Digest;
use crate::limits;
use crate::oci::{self, Reference, ReferenceError};
use crate::text::shown;
use std::fmt;

/// A registry or a layout on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An image in a registry; it has a tag or a digest.
    Registry(Reference),
    /// An image in an OCI layout.
    Layout {
        /// The folder, as written.
        dir: String,
        /// Which entry, by its name (`org.opencontainers.image.ref.name`).
        tag: Option<String>,
        /// Which entry, by its digest.
        digest: Option<Digest>,
    },
    /// Something this program makes while planning (a graph image, a chart as an artifact), by a name for people. Nobody can
    /// ask for it; plans and archives name it `made:NAME`.
    Made(String),
}

/// A text that names no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not a reference.
    #[error("{:?} is not an image reference: {}", shown(&.0.text).to_string(), .0.why)]
    Reference(ReferenceError),
    /// A registry reference that could mean any image of its repository. Nothing is guessed: `latest` of today is not
    /// `latest` of the next run.
    #[error("{:?} has neither tag nor digest", shown(.0).to_string())]
    NoTagNorDigest(String),
    /// `oci:` without a usable folder.
    #[error("{:?} names no folder of an OCI layout", shown(.0).to_string())]
    Folder(String),
    /// `oci:DIR@...` with something else than a digest.
    #[error("what follows @ in {:?} is not a sha256 or sha512 digest", shown(.0).to_string())]
    Digest(String),
    /// Longer than any path or reference.
    #[error("it is longer than any reference")]
    TooLong,
}

impl Source {
    /// Reads `oci:DIR[:TAG]`, `oci:DIR@DIGEST`, the same with `oci://`, or a registry reference with tag or digest.
    ///
    /// In `oci:DIR:TAG` the tag is what follows the last colon, if that has the form of a tag. Whoever can look at the folders
    /// goes on with [`Source::settled`].
    pub fn parse(text: &str) -> Result<Source, SourceError> {
        if text.len() > 4096 + limits::NAME_CHARS {
            return Err(SourceError::TooLong);
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            return layout(text, rest.strip_prefix("//").unwrap_or(rest));
        }
        let reference = Reference::parse(text).map_err(SourceError::Reference)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            return Err(SourceError::NoTagNorDigest(text.to_owned()));
        }
        Ok(Source::Registry(reference))
    }
}

impl Source {
    /// The layout that is meant where names of folders and of images may both hold colons (`oci:DIR:corpus/app:v1`), for who knows
    /// which folders there are: the folder before the last colon, if there is one, else the longest one there is. Where there is
    /// none, and for registries, the source as it was.
    pub fn settled(self, is_folder: &dyn Fn(&str) -> bool) -> Source {
        let Source::Layout { dir, tag, digest } = self else { return self };
        if is_folder(&dir) {
            return Source::Layout { dir, tag, digest };
        }
        let whole = tag.as_ref().map_or_else(|| dir.clone(), |tag| format!("{dir}:{tag}"));
        let splits =
            whole.rmatch_indices(':').filter_map(|(at, _)| Some((whole.get(..at)?, whole.get(at + 1..).filter(|n| !n.is_empty())?)));
        let all = [(whole.as_str(), "")].into_iter().chain(splits);
        match all.into_iter().find(|(folder, _)| !folder.is_empty() && is_folder(folder)) {
            Some((folder, name)) => {
                Source::Layout { dir: folder.to_owned(), tag: Some(name.to_owned()).filter(|name| !name.is_empty()), digest }
            }
            None => Source::Layout { dir, tag, digest },
        }
    }

    /// Reads a source as plans and archives record it: what [`Source::parse`] reads, and `made:NAME`.
    pub fn parse_recorded(text: &str) -> Result<Source, SourceError> {
        match text.strip_prefix("made:") {
            Some(_) if text.len() > 4096 => Err(SourceError::TooLong),
            Some(name) => Ok(Source::Made(name.to_owned())),
            None => Source::parse(text),
        }
    }
}

fn layout(text: &str, rest: &str) -> Result<Source, SourceError> {
    let (rest, digest) = match rest.rsplit_once('@') {
        Some((dir, digest)) if digest.starts_with("sha") && digest.contains(':') => {
            (dir, Some(digest.parse().map_err(|_| SourceError::Digest(text.to_owned()))?))
        }
        _ => (rest, None),
    };
    let (dir, tag) = match rest.rsplit_once(':') {
        Some((dir, tag)) if oci::is_tag(tag) => (dir, Some(tag.to_owned())),
        _ => (rest, None),
    };
    if dir.is_empty() || dir.contains('\0') {
        return Err(SourceError::Folder(text.to_owned()));
    }
    Ok(Source::Layout { dir: dir.to_owned(), tag, digest })
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Registry(reference) => write!(f, "{reference}"),
            Source::Made(name) => write!(f, "made:{}", shown(name)),
            Source::Layout { dir, tag, digest } => {
                write!(f, "oci:{}", shown(dir))?;
                if let Some(tag) = tag {
                    write!(f, ":{tag}")?;
                }
                if let Some(digest) = digest {
                    write!(f, "@{digest}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Option<String>, bool) {
        match Source::parse(text).unwrap() {
            Source::Layout { dir, tag, digest } => (dir, tag, digest.is_some()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn layouts() {
        let digest = Digest::sha256(b"");
        assert_eq!(parts("oci:dir"), ("dir".into(), None, false));
        assert_eq!(parts("oci:///tmp/a/b"), ("/tmp/a/b".into(), None, false));
        assert_eq!(parts("oci:/tmp/a:v1.2"), ("/tmp/a".into(), Some("v1.2".into()), false));
        assert_eq!(parts("oci:/tmp/a:b/c"), ("/tmp/a:b/c".into(), None, false));
        assert_eq!(parts(&format!("oci:/tmp/a@{digest}")), ("/tmp/a".into(), None, true));
        assert_eq!(parts(&format!("oci:user@host:1@{digest}")), ("user@host".into(), Some("1".into()), true));
        assert_eq!(parts("oci:user@host"), ("user@host".into(), None, false));
        assert!(matches!(Source::parse("oci:"), Err(SourceError::Folder(_))));
        assert!(matches!(Source::parse("oci:///"), Ok(Source::Layout { dir, .. }) if dir == "/"));
        assert!(matches!(Source::parse("oci:d@sha256:12"), Err(SourceError::Digest(_))));
    }

    #[test]
    fn a_name_in_a_layout_may_hold_colons_and_so_may_a_folder() {
        let settled = |text: &str, there: &[&str]| match Source::parse(text).unwrap().settled(&|dir| there.contains(&dir)) {
            Source::Layout { dir, tag, digest } => (dir, tag.unwrap_or_default(), digest.is_some()),
            other => panic!("{other}"),
        };
        let of = |dir: &str, tag: &str| (dir.to_owned(), tag.to_owned(), false);
        assert_eq!(settled("oci:LB:corpus/python:v1", &["LB"]), of("LB", "corpus/python:v1"));
        assert_eq!(settled("oci:/l:quay.io:5000/a/b:1", &["/l"]), of("/l", "quay.io:5000/a/b:1"));
        assert_eq!(settled("oci:LB:corpus/python", &["LB"]), of("LB", "corpus/python"));
        let digest = Digest::sha256(b"");
        assert_eq!(settled(&format!("oci:LB:a/b:1@{digest}"), &["LB"]), ("LB".into(), "a/b:1".into(), true));
        // Folders with a colon in their own names, before those they could be taken for.
        assert_eq!(settled("oci:LB:corpus/python:v1", &["LB", "LB:corpus/python"]), of("LB:corpus/python", "v1"));
        assert_eq!(settled("oci:a:b", &["a:b"]), of("a:b", ""));
        assert_eq!(settled("oci:a:b", &["a", "a:b"]), of("a", "b"));
        // What is nowhere stays as it is written, to be told so.
        assert_eq!(settled("oci:LB:corpus/python:v1", &[]), of("LB:corpus/python", "v1"));
        assert_eq!(settled("oci:LB:x/y:", &["LB"]), of("LB", "x/y:"));
        let text = "oci:LB:corpus/python:v1";
        assert_eq!(Source::parse(text).unwrap().settled(&|dir| dir == "LB").to_string(), text);
    }

    #[test]
    fn registries_need_a_tag_or_a_digest() {
        assert!(matches!(Source::parse("quay.io/a/b:1"), Ok(Source::Registry(_))));
        assert!(matches!(Source::parse("quay.io/a/b"), Err(SourceError::NoTagNorDigest(_))));
        assert!(matches!(Source::parse("quay.io/A:1"), Err(SourceError::Reference(_))));
        assert!(matches!(Source::parse(&"a".repeat(10_000)), Err(SourceError::TooLong)));
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for text in ["oci:/tmp/a:v1", "quay.io/a/b:1", &format!("oci:x@{}", Digest::sha256(b""))] {
            assert_eq!(Source::parse(text).unwrap().to_string(), *text);
        }
        assert_eq!(Source::parse_recorded("made:graph").unwrap().to_string(), "made:graph");
        // Not to be confused with an image of that name, which is recorded with its host.
        assert_eq!(Source::parse("made:graph").unwrap().to_string(), "docker.io/library/made:graph");
    }
}
