//! Where a registry says to go on: `Location` of uploads and redirects.

use reqwest::Url;

/// A resolved `Location`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where to go; query byte for byte as it came, never with user information.
    pub url: Url,
    /// True when it is the registry itself, which may see the login.
    pub own: bool,
    /// True when the registry's scheme or port had to be put back.
    pub mended: bool,
}

/// Resolves `location` against the URL of the request. `base` is the registry.
///
/// A TLS proxy that forgets `X-Forwarded-Proto` or the port makes registries write `http://` or port-less
/// addresses of themselves: for the registry's own host name scheme and port are taken from `base`.
pub(super) fn resolve(request: &Url, location: &str, base: &Url) -> Option<Place> {
    let mut url = request.join(location).ok()?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return None;
    }
    // User information would be sent as Basic credentials, and shown in errors.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_fragment(None);
    if same_origin(&url, base) {
        return Some(Place { url, own: true, mended: false });
    }
    let same_port = url.port().is_none() || url.port() == base.port();
    let weaker = url.scheme() == base.scheme() || url.scheme() == "http";
    if url.host_str() == base.host_str() && same_port && weaker {
        url.set_scheme(base.scheme()).ok()?;
        url.set_port(base.port()).ok()?;
        return Some(Place { url, own: true, mended: true });
    }
    Some(Place { url, own: false, mended: false })
}

/// Equal scheme, host and port: the only case in which a login goes along.
pub(super) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// `host[:port]` of a URL: what may be shown of it.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// True for an address without TLS.
pub(super) fn is_plain(url: &Url) -> bool {
    url.scheme() == "http"
}

/// Adds `name=value` behind the query as it is: registries sign theirs.
pub(super) fn with_query(url: &Url, pair: &str) -> Url {
    let mut url = url.clone();
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&{pair}"),
        _ => pair.to_owned(),
    };
    url.set_query(Some(&query));
    url
}

/// The URL as the fault points and errors may name it: without query.
pub(super) fn bare(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), authority(url), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(location: &str, base: &str) -> (String, bool, bool) {
        let base = Url::parse(base).unwrap();
        let request = base.join("/v2/a/blobs/uploads/").unwrap();
        let place = resolve(&request, location, &base).unwrap();
        (place.url.to_string(), place.own, place.mended)
    }

    #[test]
    fn relative_and_absolute_with_the_query_as_it_came() {
        let base = "https://r.test:5000/v2/";
        let absolute = "https://r.test:5000/v2/a/blobs/uploads/1?_state=aB%3D%2f=-_&x".to_owned();
        assert_eq!(at("/v2/a/blobs/uploads/1?_state=aB%3D%2f=-_&x", base), (absolute.clone(), true, false));
        assert_eq!(at("1?_state=aB%3D%2f=-_&x", base), (absolute.clone(), true, false));
        assert_eq!(at(&absolute, base), (absolute.clone(), true, false));
        let url = with_query(&Url::parse(&absolute).unwrap(), "digest=sha256:00");
        assert_eq!(url.as_str(), format!("{absolute}&digest=sha256:00"));
        assert_eq!(with_query(&Url::parse("http://a/b?").unwrap(), "d=1").as_str(), "http://a/b?d=1");
    }

    #[test]
    fn the_own_host_gets_its_scheme_and_port_back() {
        assert_eq!(at("http://r.test:5000/u", "https://r.test:5000/v2/"), ("https://r.test:5000/u".into(), true, true));
        assert_eq!(at("http://r.test/u", "https://r.test/v2/"), ("https://r.test/u".into(), true, true));
        assert_eq!(at("https://r.test/u", "https://r.test:5000/v2/"), ("https://r.test:5000/u".into(), true, true));
        assert_eq!(at("https://r.test:443/u", "https://r.test/v2/"), ("https://r.test/u".into(), true, false));
    }

    #[test]
    fn another_host_or_port_never_counts_as_the_registry() {
        for other in ["https://evil.test/u", "https://r.test:6000/u", "https://r.test.evil.test:5000/u", "//evil.test:5000/u"] {
            assert!(!at(other, "https://r.test:5000/v2/").1, "{other}");
        }
        // From plain HTTP up to TLS is another origin, not a mistake to be mended downwards.
        assert!(!at("https://r.test:5000/u", "http://r.test:5000/v2/").1);
        let (url, own, _) = at("https://r.test:5000@evil.test/u", "https://r.test:5000/v2/");
        assert_eq!((url.as_str(), own), ("https://evil.test/u", false));
        let base = Url::parse("https://r.test/v2/").unwrap();
        assert!(resolve(&base, "file:///etc/passwd", &base).is_none());
        assert!(resolve(&base, "javascript:1", &base).is_none());
    }
}
