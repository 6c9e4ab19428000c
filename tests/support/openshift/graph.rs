//! The update graph: a real one with our releases in it, and smaller ones with the ways the tests need.

use super::releases::{RELEASES, Release};
use sealift::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What the graph service knows.
pub struct Graphs {
    host: String,
    real: Value,
    releases: Vec<Release>,
}

impl Graphs {
    pub fn new(data: &Path, host: &str, releases: &[Release]) -> Graphs {
        let real = fs::read(data.join("openshift/graph-stable-4.13-amd64.json")).unwrap();
        Graphs { host: host.to_owned(), real: serde_json::from_slice(&real).unwrap(), releases: releases.to_vec() }
    }

    /// The answer for a channel; one that does not exist has no nodes, as in the real service.
    ///
    /// - `stable-4.13` (amd64): the real one, 98 versions; of 4.13.9 and 4.13.10 there are images
    /// - `stable-4.14`: 4.13.10, 4.14.0 to 4.14.2; 4.14.0 to 4.14.1 to 4.14.2 without condition, 4.14.0 to 4.14.2 with
    /// - `candidate-4.14`: the same, and 4.14.3, to which every way has a condition
    /// - `odd-4.14`: a version 4.14.7 whose payload is 4.14.1
    /// - `hollow-4.14`: a version 4.14.9 whose payload lacks its list of components
    pub fn answer(&self, channel: &str, architecture: &str) -> Value {
        let straight = [("4.13.10", "4.14.0"), ("4.14.0", "4.14.1"), ("4.14.1", "4.14.2")];
        match (channel, architecture) {
            ("stable-4.13", "amd64") => self.real(),
            ("stable-4.14", _) => self.small(architecture, &["4.13.10", "4.14.0", "4.14.1", "4.14.2"], &straight, &[("4.14.0", "4.14.2")]),
            ("candidate-4.14", _) => {
                let versions = ["4.13.10", "4.14.0", "4.14.1", "4.14.2", "4.14.3"];
                self.small(architecture, &versions, &straight, &[("4.14.0", "4.14.2"), ("4.14.2", "4.14.3")])
            }
            ("odd-4.14", _) => {
                let mut graph = self.small(architecture, &["4.14.0", "4.14.1"], &[("4.14.0", "4.14.1")], &[]);
                graph["nodes"][1]["version"] = "4.14.7".into();
                graph
            }
            ("hollow-4.14", _) => self.small(architecture, &["4.14.9"], &[], &[]),
            _ => self.small(architecture, &[], &[], &[]),
        }
    }

    fn payload(&self, version: &str, architecture: &str) -> Option<String> {
        let release = self.releases.iter().find(|r| r.version == version && r.architecture == architecture)?;
        Some(format!("{}/{RELEASES}@{}", self.host, release.digest))
    }

    fn real(&self) -> Value {
        let mut graph = self.real.clone();
        for node in graph["nodes"].as_array_mut().unwrap() {
            let version = node["version"].as_str().unwrap();
            let nowhere = || format!("{}/{RELEASES}@{}", self.host, Digest::sha256(format!("there is no {version}").as_bytes()));
            let payload = self.payload(version, "amd64").unwrap_or_else(nowhere);
            node["metadata"]["io.openshift.upgrades.graph.release.manifestref"] = payload.split_once('@').unwrap().1.into();
            node["payload"] = payload.into();
        }
        graph
    }

    fn small(&self, architecture: &str, versions: &[&str], edges: &[(&str, &str)], conditional: &[(&str, &str)]) -> Value {
        let there: Vec<(&str, String)> = versions.iter().filter_map(|v| Some((*v, self.payload(v, architecture)?))).collect();
        let at = |version: &str| there.iter().position(|(v, _)| *v == version);
        let nodes: Vec<Value> = there
            .iter()
            .map(|(version, payload)| {
                json!({ "version": version, "payload": payload, "metadata": {
                    "url": format!("https://errata.example.test/{version}"),
                    "io.openshift.upgrades.graph.release.channels": "candidate-4.14,stable-4.14" } })
            })
            .collect();
        let pairs: Vec<Value> = edges.iter().filter_map(|(from, to)| Some(json!([at(from)?, at(to)?]))).collect();
        let both = |(from, to): &&(&str, &str)| at(from).is_some() && at(to).is_some();
        let risks = &self.real["conditionalEdges"][0]["risks"];
        let groups: Vec<Value> =
            conditional.iter().filter(both).map(|(from, to)| json!({ "edges": [{ "from": from, "to": to }], "risks": risks })).collect();
        json!({ "version": 1, "nodes": nodes, "edges": pairs, "conditionalEdges": groups })
    }

    /// Name of a risk that the conditional edges of the small graphs have.
    pub fn risk(&self) -> String {
        self.real["conditionalEdges"][0]["risks"][0]["name"].as_str().unwrap().to_owned()
    }
}
