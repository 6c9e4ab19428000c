//! The name content gets in the inner registry: the source's path and tag, its host dropped.
//!
//! Names are those of oc-mirror v2 where an image has a tag, so that clusters go on finding their images. Digest-only
//! images differ: they are kept under [`oci::keep_tag`], which cannot be mistaken for a referrers tag.

use super::model::AdditionalImage;
use super::source::Source;
use crate::digest::Digest;
use crate::oci::{self, Reference};
use crate::text::shown;
use std::collections::HashMap;
use std::fmt;

/// Repository and tag below the destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Repository path ([`oci::is_repository`] holds).
    pub repository: String,
    /// Tag ([`oci::is_tag`] holds).
    pub tag: String,
}

/// Why a source gets no name by itself; a target repository or tag would give it one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The path cannot be a repository (folder names may be anything).
    #[error("{from}: {:?} cannot be a repository name", shown(.repository).to_string())]
    Repository {
        /// The source.
        from: String,
        /// What it would be called.
        repository: String,
    },
    /// The tag cannot be one.
    #[error("{from}: {:?} cannot be a tag", shown(.tag).to_string())]
    Tag {
        /// The source.
        from: String,
        /// What it would be called.
        tag: String,
    },
    /// A reference without tag and digest.
    #[error("{0} has neither tag nor digest")]
    NoTagNorDigest(String),
}

impl Destination {
    /// Names an image. `ref_name` is the annotation `org.opencontainers.image.ref.name` of a layout's entry, as found
    /// on disk (ignored for a registry). `repo` and `tag` are what the user chose instead, if anything.
    pub fn of(source: &Source, ref_name: Option<&str>, repo: Option<&str>, tag: Option<&str>) -> Result<Destination, DestinationError> {
        let (own_repo, own_tag) = match source {
            Source::Registry(reference) => (reference.path.clone(), registry_tag(reference)),
            Source::Made(name) => (name.clone(), None),
            Source::Layout { dir, tag, digest } => layout_name(dir, tag.as_deref(), digest.as_ref(), ref_name),
        };
        let repository = repo.map_or(own_repo, str::to_owned);
        let tag = tag.map(str::to_owned).or(own_tag).ok_or_else(|| DestinationError::NoTagNorDigest(source.to_string()))?;
        if !oci::is_repository(&repository) {
            return Err(DestinationError::Repository { from: source.to_string(), repository });
        }
        if !oci::is_tag(&tag) {
            return Err(DestinationError::Tag { from: source.to_string(), tag });
        }
        Ok(Destination { repository, tag })
    }
}

impl AdditionalImage {
    /// [`Destination::of`] with the targets of the configuration.
    pub fn destination(&self, ref_name: Option<&str>) -> Result<Destination, DestinationError> {
        Destination::of(&self.source, ref_name, self.target_repo.as_deref(), self.target_tag.as_deref())
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// The tag as written; a digest beside it decides only what is fetched.
fn registry_tag(reference: &Reference) -> Option<String> {
    reference.tag.clone().or_else(|| reference.digest.as_ref().map(oci::keep_tag))
}

/// Layout entries are annotated with a tag (skopeo) or a full reference (podman, containerd). The latter keeps its path;
/// otherwise the folder gives the name. Asked for by digest and without a name of its own, it gets the keep tag:
/// two of one folder must not both become `latest`.
fn layout_name(dir: &str, tag: Option<&str>, digest: Option<&Digest>, ref_name: Option<&str>) -> (String, Option<String>) {
    let fallback = || digest.map_or_else(|| "latest".to_owned(), oci::keep_tag);
    if let Some(full) = ref_name.and_then(full_reference).or_else(|| tag.and_then(full_reference)) {
        let own = full.tag.or_else(|| full.digest.as_ref().map(oci::keep_tag));
        return (full.path, Some(own.unwrap_or_else(fallback)));
    }
    if let Some((path, tag)) = tag.and_then(path_and_tag) {
        return (path.to_owned(), Some(tag.map_or_else(fallback, str::to_owned)));
    }
    let folder = dir.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let tag = ref_name.filter(|name| oci::is_tag(name)).or(tag).map(str::to_owned);
    (repository_like(folder), Some(tag.unwrap_or_else(fallback)))
}

/// What `unpack` names images of a layout: `team/app:v1`. Whoever asks for one by that name means all of it.
fn path_and_tag(name: &str) -> Option<(&str, Option<&str>)> {
    match name.rsplit_once(':') {
        Some((path, tag)) => (oci::is_repository(path) && oci::is_tag(tag)).then_some((path, Some(tag))),
        None => (!oci::is_tag(name) && oci::is_repository(name)).then_some((name, None)),
    }
}

/// The nearest repository name to a folder's: lower case, what is not allowed becomes `-`. Two folders that become one are a
/// collision like any other. Where nothing is left, the folder's own name, to be refused by name.
fn repository_like(folder: &str) -> String {
    let lower = folder.to_lowercase();
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut name = String::new();
    let mut rest = lower.trim_matches(|c| !alnum(c));
    while let Some(at) = rest.find(|c| !alnum(c)) {
        let (word, tail) = rest.split_at(at);
        let end = tail.find(alnum).unwrap_or(tail.len());
        let (separator, tail) = tail.split_at(end);
        let kept = matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
        name.push_str(word);
        name.push_str(if kept { separator } else { "-" });
        rest = tail;
    }
    name.push_str(rest);
    if name.is_empty() { folder.to_owned() } else { name }
}

/// A reference that names its host; `v1` alone is a tag, and `app:v1` says too little about where it is from.
fn full_reference(text: &str) -> Option<Reference> {
    let reference = Reference::parse(text).ok()?;
    let first = text.split_once('/')?.0;
    let named = first == reference.host || first == "index.docker.io";
    named.then_some(reference)
}

/// Shortens a repository path, namespace at the destination included, to at most `max` components: the first `max - 1`
/// stay, the rest is joined with `-`. 0 means no limit.
pub fn max_nested_paths(path: &str, max: usize) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match max.checked_sub(1).and_then(|keep| parts.split_at_checked(keep)) {
        Some((kept, rest)) if !rest.is_empty() => {
            let last = rest.join("-");
            kept.iter().copied().chain([last.as_str()]).collect::<Vec<_>>().join("/")
        }
        _ => path.to_owned(),
    }
}

/// Two sources with different content that would land on one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({}) and {} ({}) would both become {destination}", shown(&.first.0), .first.1, shown(&.second.0), .second.1)]
pub struct Collision {
    /// The contested name.
    pub destination: Destination,
    /// The source that comes first, with its content.
    pub first: (String, Digest),
    /// The other.
    pub second: (String, Digest),
}

/// Looks for two different contents on one name. The same content twice is no collision.
pub fn find_collision<'a>(images: impl IntoIterator<Item = (&'a str, &'a Destination, Digest)>) -> Result<(), Box<Collision>> {
    let mut names: HashMap<&Destination, (&str, Digest)> = HashMap::new();
    for (source, destination, digest) in images {
        let first = *names.entry(destination).or_insert((source, digest));
        if first.1 != digest {
            return Err(Box::new(Collision {
                destination: destination.clone(),
                first: (first.0.to_owned(), first.1),
                second: (source.to_owned(), digest),
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(source: &str, ref_name: Option<&str>, repo: Option<&str>, tag: Option<&str>) -> String {
        match Destination::of(&Source::parse(source).unwrap(), ref_name, repo, tag) {
            Ok(destination) => destination.to_string(),
            Err(e) => format!("error: {e}"),
        }
    }

    #[test]
    fn an_image_of_a_layout_asked_for_by_its_whole_name_keeps_it() {
        let of =
            |text: &str, ref_name| match Destination::of(&Source::parse(text).unwrap().settled(&|dir| dir == "/l"), ref_name, None, None) {
                Ok(destination) => destination.to_string(),
                Err(e) => format!("error: {e}"),
            };
        assert_eq!(of("oci:/l:corpus/python:v1", Some("corpus/python:v1")), "corpus/python:v1");
        assert_eq!(of("oci:/l:corpus/python", Some("corpus/python")), "corpus/python:latest");
        assert_eq!(of("oci:/l:quay.io/a/b:1", Some("1")), "a/b:1", "containerd keeps the full name beside the tag");
        assert_eq!(of("oci:/l:v1", Some("corpus/python:v1")), "l:v1");
    }

    #[test]
    fn registry_images_keep_path_and_tag() {
        let digest = Digest::sha256(b"");
        let keep = oci::keep_tag(&digest);
        assert_eq!(name("quay.io/a/b:1", None, None, None), "a/b:1");
        assert_eq!(name("busybox:1", None, None, None), "busybox:1");
        assert_eq!(name("docker.io/library/busybox:1", None, None, None), "library/busybox:1");
        assert_eq!(name(&format!("quay.io/a/b@{digest}"), None, None, None), format!("a/b:{keep}"));
        assert_eq!(name(&format!("quay.io/a/b:1@{digest}"), None, None, None), "a/b:1");
        assert_eq!(name("quay.io/a/b:1", Some("x.y/ignored:2"), Some("c/d"), Some("e")), "c/d:e");
        assert_eq!(name(&format!("quay.io/a/b@{digest}"), None, None, Some("t")), "a/b:t");
    }

    #[test]
    fn layout_images_are_named_by_annotation_or_folder() {
        let digest = Digest::sha256(b"");
        let keep = oci::keep_tag(&digest);
        for (source, ref_name, expected) in [
            ("oci:///a/b/c", None, "c:latest"),
            ("oci:/a/b/c/", Some("v1"), "c:v1"),
            ("oci:/a/b/c:v2", None, "c:v2"),
            ("oci:/a/b/c", Some("quay.io/org/app:3"), "org/app:3"),
            ("oci:/a/b/c", Some("docker.io/library/nginx:1"), "library/nginx:1"),
            ("oci:/a/b/c", Some("localhost:5000/app"), "app:latest"),
            ("oci:/a/b/c", Some("org/app:3"), "c:latest"),
            ("oci:/a/b/C", None, "c:latest"),
            ("oci:/tmp/tmp.X9_-y (2)", Some("v1"), "tmp.x9-y-2:v1"),
            ("oci:/a/_Build__2_", Some("v1"), "build__2:v1"),
            ("oci:/", None, "error: oci:/: \"\" cannot be a repository name"),
            ("oci:..", None, "error: oci:..: \"..\" cannot be a repository name"),
        ] {
            assert_eq!(name(source, ref_name, None, None), expected, "{source} {ref_name:?}");
        }
        assert_eq!(name(&format!("oci:c@{digest}"), None, None, None), format!("c:{keep}"));
        assert_eq!(name("oci:/a/C", None, Some("c"), None), "c:latest");
    }

    #[test]
    fn nested_paths() {
        for (path, max, expected) in [
            ("a/b/c/d", 0, "a/b/c/d"),
            ("a/b/c/d", 1, "a-b-c-d"),
            ("a/b/c/d", 2, "a/b-c-d"),
            ("a/b/c/d", 3, "a/b/c-d"),
            ("a/b/c/d", 4, "a/b/c/d"),
            ("a/b", 9, "a/b"),
        ] {
            assert_eq!(max_nested_paths(path, max), expected);
        }
    }

    #[test]
    fn different_content_on_one_name_is_found() {
        let (x, y) = (Digest::sha256(b"x"), Digest::sha256(b"y"));
        let at = |tag: &str| Destination { repository: "a/b".into(), tag: tag.into() };
        let (one, two) = (at("1"), at("2"));
        find_collision([("q/a/b:1", &one, x), ("r/a/b:1", &one, x), ("q/a/b:2", &two, y)]).unwrap();
        let found = find_collision([("q/a/b:1", &one, x), ("q/a/b:2", &two, y), ("r/a/b:1", &one, y)]).unwrap_err();
        assert_eq!((found.first.0.as_str(), found.second.0.as_str(), &found.destination), ("q/a/b:1", "r/a/b:1", &one));
        assert!(found.to_string().contains("would both become a/b:1"));
    }

    proptest! {
        #[test]
        fn shortened_paths_stay_repositories(parts in proptest::collection::vec("[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?", 1..8), max in 0usize..9) {
            let path = parts.join("/");
            let short = max_nested_paths(&path, max);
            prop_assert!(oci::is_repository(&short));
            prop_assert!(max == 0 || short.split('/').count() <= max);
        }
    }
}
