//! `hosts.toml` of containerd (`docs/hosts.md` there): one folder per source host.
//!
//! containerd maps hosts, not repositories: what is asked of a mirror is the path below the mirror's prefix, and nothing else. What
//! lies elsewhere at the target is listed in a comment, because nothing can lead there.

use super::held::{Held, Holdings};
use super::yaml::quoted;
use crate::text::{is_plain_name, shown};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

#[derive(Default)]
struct Host {
    /// Targets that hold something under the path containerd asks for, and whether it is known by tags.
    mirrors: BTreeMap<usize, bool>,
    /// `source -> place` of what is elsewhere.
    elsewhere: BTreeSet<String>,
}

/// One file per source host.
pub(super) fn files(holdings: &Holdings, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (name, host) in hosts(holdings) {
        let folder = folder(&name);
        if !is_plain_name(&folder) {
            notes.push(format!("there is no hosts.toml for {}: its name makes no folder", shown(&name)));
            continue;
        }
        files.push((format!("containerd/certs.d/{folder}/hosts.toml"), text(holdings, &name, &host)));
    }
    files
}

fn hosts(holdings: &Holdings) -> BTreeMap<String, Host> {
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    for (held, source) in holdings.pulled() {
        let Some(place) = holdings.places.get(held.target) else { continue };
        let host = hosts.entry(source.host.clone()).or_default();
        if held.repository == place.below(&source.repository) {
            *host.mirrors.entry(held.target).or_default() |= Held::by_tag(held);
        } else {
            host.elsewhere.insert(format!("{} -> {}", source.name(), holdings.name(held)));
        }
    }
    hosts
}

fn text(holdings: &Holdings, name: &str, host: &Host) -> String {
    let mut text = format!("# Mirrors of {name} for containerd. Goes to /etc/containerd/certs.d/{}/hosts.toml.\n", folder(name));
    text.push_str("# A mirror without TLS is written http:// in place of https:// (sealift resources --dest-tls-verify=false).\n");
    if !host.elsewhere.is_empty() {
        text.push_str("#\n# containerd cannot map these, which have another path at the mirror. Pull them by the name on the right.\n");
        for line in &host.elsewhere {
            let _ = writeln!(text, "#   {line}");
        }
    }
    for (target, tags) in &host.mirrors {
        let Some(place) = holdings.places.get(*target) else { continue };
        let capabilities = if *tags { "[\"pull\", \"resolve\"]" } else { "[\"pull\"]" };
        // containerd goes from one to the next by itself, but never from https to http.
        let schemes: &[&str] = if place.insecure { &["https", "http"] } else { &["https"] };
        for scheme in schemes {
            let url = match place.prefix.as_str() {
                "" => format!("{scheme}://{}", place.host),
                prefix => format!("{scheme}://{}/v2/{prefix}", place.host),
            };
            let _ = write!(text, "\n[host.{}]\ncapabilities = {capabilities}\n", quoted(&url));
            if place.insecure && *scheme == "https" {
                text.push_str("skip_verify = true\n");
            }
            if !place.prefix.is_empty() {
                // Else containerd puts /v2 behind the address.
                text.push_str("override_path = true\n");
            }
        }
    }
    text
}

/// The folder containerd looks into: `registry.lan_5000_` for `registry.lan:5000`, which every file system takes.
fn folder(host: &str) -> String {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => format!("{name}_{port}_"),
        _ => host.to_owned(),
    }
}
