//! What a request's path asks for (distribution specification, "Endpoints").

use super::store::Reference;
use crate::digest::Digest;
use crate::oci::{is_repository, is_tag};
use crate::text::unescaped;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`.
    Ping,
    /// `/healthz`.
    Health,
    /// `/metrics`.
    Metrics,
    /// `/v2/_catalog`.
    Catalog,
    /// Something in a repository.
    In(String, Place),
}

/// A place in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `tags/list`.
    Tags,
    /// `manifests/REFERENCE`.
    Manifest(Reference),
    /// `blobs/DIGEST`.
    Blob(Digest),
    /// `blobs/uploads/`.
    Uploads,
    /// `blobs/uploads/SESSION`.
    Upload(String),
    /// `referrers/DIGEST`.
    Referrers(Digest),
}

/// Why a path asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// No such endpoint.
    Path,
    /// Not a repository name.
    Name,
    /// Not a digest of a registered algorithm.
    Digest,
    /// Neither a tag nor a digest.
    Reference,
}

/// Reads a path. A slash at the end changes nothing: clients forget it, and a redirect would turn their POST into a GET.
pub(super) fn route(path: &str) -> Result<Route, Lost> {
    let path = unescaped(path).ok_or(Lost::Path)?;
    match path.as_str() {
        "/healthz" => return Ok(Route::Health),
        "/metrics" => return Ok(Route::Metrics),
        "/v2" | "/v2/" => return Ok(Route::Ping),
        "/v2/_catalog" | "/v2/_catalog/" => return Ok(Route::Catalog),
        _ => {}
    }
    let rest = path.strip_prefix("/v2/").ok_or(Lost::Path)?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    // From the end: repositories may be called like endpoints (`blobs/uploads`).
    let (front, last) = rest.rsplit_once('/').ok_or(Lost::Path)?;
    let digest = || last.parse::<Digest>().map_err(|_| Lost::Digest);
    let (name, place) = if let (Some(name), "list") = (front.strip_suffix("/tags"), last) {
        (name, Place::Tags)
    } else if let (Some(name), "uploads") = (front.strip_suffix("/blobs"), last) {
        (name, Place::Uploads)
    } else if let Some(name) = front.strip_suffix("/blobs/uploads") {
        (name, Place::Upload(last.to_owned()))
    } else if let Some(name) = front.strip_suffix("/blobs") {
        (name, Place::Blob(digest()?))
    } else if let Some(name) = front.strip_suffix("/manifests") {
        (name, Place::Manifest(reference(last)?))
    } else if let Some(name) = front.strip_suffix("/referrers") {
        (name, Place::Referrers(digest()?))
    } else {
        return Err(Lost::Path);
    };
    if !is_repository(name) {
        return Err(Lost::Name);
    }
    Ok(Route::In(name.to_owned(), place))
}

fn reference(text: &str) -> Result<Reference, Lost> {
    match text.parse() {
        Ok(digest) => Ok(Reference::Digest(digest)),
        Err(_) if text.contains(':') => Err(Lost::Digest),
        Err(_) if is_tag(text) => Ok(Reference::Tag(text.to_owned())),
        Err(_) => Err(Lost::Reference),
    }
}

/// The first value of a query's key, decoded.
pub(super) fn query(query: Option<&str>, key: &str) -> Option<String> {
    queries(query, key).next()?
}

/// All values of a query's key in their order, decoded; `None` for one that is broken.
pub(super) fn queries(query: Option<&str>, key: &str) -> impl Iterator<Item = Option<String>> {
    let pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(move |(name, _)| *name == key).map(|(_, value)| unescaped(&value.replace('+', "%20")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn endpoints_are_found_from_the_end() {
        let inside = |name: &str, place| Ok(Route::In(name.to_owned(), place));
        let digest: Digest = D.parse().unwrap();
        for (path, found) in [
            ("/v2".to_owned(), Ok(Route::Ping)),
            ("/v2/".to_owned(), Ok(Route::Ping)),
            ("/v2/_catalog".to_owned(), Ok(Route::Catalog)),
            ("/v2/a/b/tags/list".to_owned(), inside("a/b", Place::Tags)),
            ("/v2/a/blobs/uploads".to_owned(), inside("a", Place::Uploads)),
            ("/v2/a/blobs/uploads/".to_owned(), inside("a", Place::Uploads)),
            ("/v2/a/blobs/uploads/1f".to_owned(), inside("a", Place::Upload("1f".into()))),
            (format!("/v2/blobs/uploads/blobs/{D}"), inside("blobs/uploads", Place::Blob(digest))),
            (format!("/v2/a/manifests/{}", D.replace(':', "%3A")), inside("a", Place::Manifest(Reference::Digest(digest)))),
            ("/v2/a/manifests/1.0".to_owned(), inside("a", Place::Manifest(Reference::Tag("1.0".into())))),
            (format!("/v2/a/referrers/{D}"), inside("a", Place::Referrers(digest))),
            ("/v2/a/manifests/sha256:12".to_owned(), Err(Lost::Digest)),
            ("/v2/a/manifests/-x".to_owned(), Err(Lost::Reference)),
            ("/v2/../manifests/1".to_owned(), Err(Lost::Name)),
            ("/v2/A/tags/list".to_owned(), Err(Lost::Name)),
            ("/v2/a%2".to_owned(), Err(Lost::Path)),
            ("/v2/%ff/tags/list".to_owned(), Err(Lost::Path)),
            ("/v1/a".to_owned(), Err(Lost::Path)),
        ] {
            assert_eq!(route(&path), found, "{path}");
        }
    }

    #[test]
    fn values_of_queries() {
        assert_eq!(query(Some("a=1&digest=sha256%3Ax"), "digest").as_deref(), Some("sha256:x"));
        assert_eq!(query(Some("mount"), "mount").as_deref(), Some(""));
        assert_eq!(query(None, "n"), None);
        let all: Vec<_> = queries(Some("tag=a&x=1&tag=b%2fc&tag=%zz&tag"), "tag").collect();
        assert_eq!(all, [Some("a".into()), Some("b/c".into()), None, Some("".into())]);
    }
}
