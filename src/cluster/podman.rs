//! A drop-in for `registries.conf.d` (`containers-registries.conf(5)`): podman, skopeo, buildah, and CRI-O outside OpenShift.

use super::held::Holdings;
use super::scope::{Route, Routes};
use super::yaml::quoted;
use std::fmt::Write as _;

const HEAD: &str = "\
# Mirrors, by the names images have outside. Goes to /etc/containers/registries.conf.d/.
# A mirror without TLS also needs: insecure = true (sealift resources --dest-tls-verify=false)
";

/// One file, or none.
pub(super) fn files(routes: &Routes, holdings: &Holdings) -> Vec<(String, String)> {
    if routes.0.is_empty() {
        return Vec::new();
    }
    let mut text = HEAD.to_owned();
    for (source, route) in &routes.0 {
        let _ = write!(text, "\n[[registry]]\nprefix = {0}\nlocation = {0}\n", quoted(source));
        for mirror in &route.mirrors {
            let _ = write!(text, "\n[[registry.mirror]]\nlocation = {}\n", quoted(mirror));
            if holdings.is_insecure(mirror) {
                text.push_str("insecure = true\n");
            }
            if let Some(only) = only(route) {
                let _ = writeln!(text, "pull-from-mirror = \"{only}\"");
            }
        }
    }
    vec![("registries.conf.d/50-sealift.conf".to_owned(), text)]
}

/// What may be pulled. Tags of what was carried by digest mean nothing at the mirror. What was carried by tag may be pulled by
/// its digest too, unless the mirror has only one member of its index.
fn only(route: &Route) -> Option<&'static str> {
    match (route.tags.is_empty(), route.by_digest) {
        (true, _) => Some("digest-only"),
        (false, true) => None,
        (false, false) => Some("tag-only"),
    }
}
