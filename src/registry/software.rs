//! Which registry this is, by what it says of itself: for advice and for gentler defaults, never for what is believed.

use super::challenge::{self, Challenge};
use reqwest::header::HeaderMap;
use std::fmt;

/// Registries whose settings are known by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Software {
    /// Quay, or mirror-registry, which is a Quay.
    Quay,
    /// Harbor.
    Harbor,
    /// JFrog Artifactory.
    Artifactory,
    /// Sonatype Nexus.
    Nexus,
    /// zot.
    Zot,
    /// Something else, most often distribution (docker-registry) or built on it.
    #[default]
    Other,
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Software::Quay => "Quay",
            Software::Harbor => "Harbor",
            Software::Artifactory => "Artifactory",
            Software::Nexus => "Nexus",
            Software::Zot => "zot",
            Software::Other => "registry",
        })
    }
}

/// Reads the answer to a ping: headers that name the product, else the token service the challenge sends to.
pub(super) fn recognise(headers: &HeaderMap, challenges: &[Challenge]) -> Software {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let server = text("server");
    if headers.contains_key("x-jfrog-version") || headers.contains_key("x-artifactory-id") || server.starts_with("artifactory") {
        return Software::Artifactory;
    }
    if server.starts_with("nexus") {
        return Software::Nexus;
    }
    if server.starts_with("zot") {
        return Software::Zot;
    }
    let Some(challenge) = challenge::choose(challenges) else { return Software::Other };
    let realm = challenge.get("realm").unwrap_or_default().split('?').next().unwrap_or_default().trim_end_matches('/');
    match challenge.get("service").unwrap_or_default() {
        "harbor-registry" => Software::Harbor,
        _ if realm.ends_with("/zot/auth/token") => Software::Zot,
        _ if realm.ends_with("/service/token") => Software::Harbor,
        _ if realm.ends_with("/v2/auth") => Software::Quay,
        _ if challenge.scheme == "basic" && realm.to_ascii_lowercase().contains("sonatype nexus") => Software::Nexus,
        _ if challenge.scheme == "basic" && realm.to_ascii_lowercase().contains("artifactory") => Software::Artifactory,
        _ => Software::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn of(headers: &[(&str, &str)]) -> Software {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let lines: Vec<&str> = map.get_all("www-authenticate").iter().filter_map(|v| v.to_str().ok()).collect();
        recognise(&map, &challenge::parse(lines))
    }

    #[test]
    fn registries_are_known_by_their_headers_and_token_services() {
        let auth = "www-authenticate";
        for (headers, software) in [
            (&[(auth, "Bearer realm=\"https://q.lan:8443/v2/auth\",service=\"q.lan:8443\"")][..], Software::Quay),
            (&[(auth, "Bearer realm=\"https://h.lan/service/token\",service=\"harbor-registry\"")], Software::Harbor),
            (&[("x-jfrog-version", "Artifactory/7.90"), (auth, "Basic realm=\"x\"")], Software::Artifactory),
            (&[("server", "Nexus/3.77.0-08 (OSS)"), (auth, "BASIC realm=\"Sonatype Nexus Repository Manager\"")], Software::Nexus),
            (&[(auth, "Bearer realm=\"/zot/auth/token\",service=\"zot\"")], Software::Zot),
            (&[(auth, "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\"")], Software::Other),
            (&[(auth, "Negotiate")], Software::Other),
            (&[], Software::Other),
        ] {
            assert_eq!(of(headers), software, "{headers:?}");
        }
    }
}
