//! `registries.yaml` of k3s and RKE2 ("Private Registry Configuration" there).
//!
//! Rewrites belong to a source host, not to a mirror of it, and their order is that of a hash table: rules that overlap would
//! sometimes do one thing and sometimes another. So it is either one rule for everything, or one exact rule per repository; and a
//! target whose names would need other rules is left out, with a note.

use super::held::Holdings;
use super::yaml;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Repository of the source, and repository at the target.
type Rules = BTreeMap<String, BTreeSet<String>>;

/// One file, or none.
pub(super) fn files(holdings: &Holdings, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut hosts: BTreeMap<&str, BTreeMap<usize, Rules>> = BTreeMap::new();
    for (held, source) in holdings.pulled() {
        let rules = hosts.entry(&source.host).or_default().entry(held.target).or_default();
        rules.entry(source.repository.clone()).or_default().insert(held.repository.clone());
    }
    if hosts.is_empty() {
        return Vec::new();
    }
    let mirrors = hosts.into_iter().map(|(host, targets)| (host.to_owned(), mirror(holdings, host, targets, notes)));
    let mut object = json!({"mirrors": mirrors.collect::<serde_json::Map<_, _>>()});
    let insecure = holdings.places.iter().filter(|place| place.insecure);
    let configs: serde_json::Map<String, Value> =
        insecure.map(|place| (place.host.clone(), json!({"tls": {"insecure_skip_verify": true}}))).collect();
    if let (false, Some(object)) = (configs.is_empty(), object.as_object_mut()) {
        object.insert("configs".to_owned(), configs.into());
    }
    let head = "# Goes to /etc/rancher/k3s/registries.yaml or /etc/rancher/rke2/registries.yaml.\n";
    vec![("k3s/registries.yaml".to_owned(), format!("{head}{}", yaml::text(&object)))]
}

fn mirror(holdings: &Holdings, host: &str, targets: BTreeMap<usize, Rules>, notes: &mut Vec<String>) -> Value {
    let mut all = BTreeMap::new();
    let mut prefix = None;
    let mut endpoints = Vec::new();
    for (target, rules) in targets {
        let Some(place) = holdings.places.get(target) else { continue };
        let rules = one_each(host, rules, notes);
        let agrees = rules.iter().all(|(from, to)| all.get(from).is_none_or(|known| known == to));
        // A rule for everything holds for every target, or for none.
        if !agrees || prefix.as_ref().is_some_and(|prefix| *prefix != place.prefix) {
            notes
                .push(format!("k3s: {} is left out as a mirror of {host}: its names need other rewrites than those before it", place.host));
            continue;
        }
        prefix.get_or_insert_with(|| place.prefix.clone());
        all.extend(rules);
        endpoints.push(format!("https://{}", place.host));
        if place.insecure {
            endpoints.push(format!("http://{}", place.host));
        }
    }
    let prefix = prefix.unwrap_or_default();
    let below = |repository: &str| if prefix.is_empty() { repository.to_owned() } else { format!("{prefix}/{repository}") };
    let rewrite: serde_json::Map<String, Value> = match all.iter().all(|(from, to)| below(from) == *to) {
        true if prefix.is_empty() => serde_json::Map::new(),
        true => [("^(.*)$".to_owned(), json!(below("$1")))].into_iter().collect(),
        false => all.into_iter().map(|(from, to)| (format!("^{}$", from.replace('.', "\\.")), json!(to))).collect(),
    };
    match rewrite.is_empty() {
        true => json!({"endpoint": endpoints}),
        false => json!({"endpoint": endpoints, "rewrite": rewrite}),
    }
}

/// A repository that went to several places can be rewritten to one of them.
fn one_each(host: &str, rules: Rules, notes: &mut Vec<String>) -> BTreeMap<String, String> {
    let one = rules.into_iter().filter_map(|(from, to)| {
        if to.len() > 1 {
            notes.push(format!("k3s: {host}/{from} is in several repositories at the target; only the first of them is found"));
        }
        Some((from, to.into_iter().next()?))
    });
    one.collect()
}
