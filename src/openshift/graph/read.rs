//! From the service's reply to a graph. Positions out of bounds, versions named twice and the like are refused: a graph read
//! halfway would make paths that are none.

use super::{Conditional, Graph, GraphError, Node, Risk};
use crate::limits;
use crate::oci::Reference;
use crate::text::shown;
use semver::Version;
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The annotation with the channels of a release, separated by commas.
const CHANNELS: &str = "io.openshift.upgrades.graph.release.channels";
/// The annotation with the address of its announcement.
const URL: &str = "url";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    /// Release controllers leave it out.
    version: Option<u64>,
    nodes: Option<Vec<ReplyNode>>,
    edges: Option<Vec<(usize, usize)>>,
    conditional_edges: Option<Vec<ConditionalEdges>>,
    /// An error answer has these two instead.
    kind: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
struct ReplyNode {
    version: String,
    payload: String,
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct ConditionalEdges {
    edges: Vec<FromTo>,
    risks: Vec<ReplyRisk>,
}

#[derive(Deserialize)]
struct FromTo {
    from: String,
    to: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplyRisk {
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    matching_rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Graph, GraphError> {
    at_most("bytes", bytes.len(), limits::GRAPH_BYTES)?;
    let reply: Reply = serde_json::from_slice(bytes).map_err(|e| GraphError::Malformed(shown(&e.to_string()).to_string()))?;
    match reply.version {
        None | Some(1) => {}
        Some(other) => return Err(GraphError::Version(other)),
    }
    let Some(nodes) = reply.nodes else { return Err(no_graph(reply.kind, reply.value)) };
    let (edges, conditional) = (reply.edges.unwrap_or_default(), reply.conditional_edges.unwrap_or_default());
    at_most("nodes", nodes.len(), limits::GRAPH_NODES)?;
    let risky = conditional.iter().map(|group| group.edges.len()).fold(0, usize::saturating_add);
    at_most("edges", edges.len().saturating_add(risky), limits::GRAPH_EDGES)?;
    let (nodes, positions) = sorted(nodes)?;
    let edges = plain(&edges, &positions)?;
    let (conditional, risks) = conditions(conditional, &nodes, &edges)?;
    let edges = edges.into_iter().map(|to| to.into_iter().rev().collect()).collect();
    Ok(Graph { nodes, edges, conditional, risks })
}

fn at_most(what: &'static str, found: usize, limit: u64) -> Result<(), GraphError> {
    match found as u64 {
        found if found > limit => Err(GraphError::TooMany { what, found, limit }),
        _ => Ok(()),
    }
}

/// An answer without nodes: an error page of the service, or something else altogether.
fn no_graph(kind: Option<String>, value: Option<String>) -> GraphError {
    match (kind, value) {
        (None, None) => GraphError::Malformed("it has no nodes".into()),
        (kind, value) => GraphError::Refused { kind: kind.unwrap_or_default(), value: value.unwrap_or_default() },
    }
}

/// The nodes by version, and for each position in the reply the one here.
fn sorted(nodes: Vec<ReplyNode>) -> Result<(Vec<Node>, Vec<usize>), GraphError> {
    let read = nodes.into_iter().enumerate().map(|(at, node)| Ok((at, self::node(at, node)?)));
    let mut nodes = read.collect::<Result<Vec<(usize, Node)>, GraphError>>()?;
    nodes.sort_by(|a, b| a.1.version.cmp(&b.1.version));
    let twice = nodes.windows(2).find_map(|pair| match pair {
        [(_, a), (at, b)] if a.version == b.version => Some((*at, b.version.to_string())),
        _ => None,
    });
    if let Some((at, version)) = twice {
        return Err(entry(format!("nodes[{at}]"), format!("release {version} is there twice")));
    }
    let mut positions = vec![0; nodes.len()];
    for (here, (there, _)) in nodes.iter().enumerate() {
        if let Some(slot) = positions.get_mut(*there) {
            *slot = here;
        }
    }
    Ok((nodes.into_iter().map(|(_, node)| node).collect(), positions))
}

fn node(at: usize, node: ReplyNode) -> Result<Node, GraphError> {
    let fail = |why: String| entry(format!("nodes[{at}]"), why);
    let version =
        Version::parse(&node.version).map_err(|e| fail(format!("{:?} is not a version: {e}", shown(&node.version).to_string())))?;
    let payload = Reference::parse(&node.payload).map_err(|e| fail(format!("release {version}: {}", shown(&e.to_string()))))?;
    if payload.tag.is_none() && payload.digest.is_none() {
        return Err(fail(format!("release {version}: its image {payload} has neither digest nor tag")));
    }
    let metadata = node.metadata.unwrap_or_default();
    let words = metadata.get(CHANNELS).map(String::as_str).unwrap_or_default().split(',').map(str::trim);
    let channels = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Ok(Node { version, payload, channels, url: metadata.get(URL).filter(|url| !url.is_empty()).cloned() })
}

/// For each node those it can be updated to, lowest first.
fn plain(edges: &[(usize, usize)], positions: &[usize]) -> Result<Vec<BTreeSet<usize>>, GraphError> {
    let mut to = vec![BTreeSet::new(); positions.len()];
    for (at, (from, into)) in edges.iter().enumerate() {
        let outside = || entry(format!("edges[{at}]"), format!("[{from},{into}] leads outside of the {} nodes", positions.len()));
        let (from, into) = (positions.get(*from).ok_or_else(outside)?, positions.get(*into).ok_or_else(outside)?);
        to.get_mut(*from).ok_or_else(outside)?.insert(*into);
    }
    Ok(to)
}

/// The conditional edges between releases of this channel, without those that also hold unconditionally, and the risks of each
/// group. Edges from or to releases of other channels occur; they lead nowhere here.
fn conditions(
    groups: Vec<ConditionalEdges>,
    nodes: &[Node],
    plain: &[BTreeSet<usize>],
) -> Result<(Vec<Conditional>, Vec<Vec<Risk>>), GraphError> {
    let mut conditional: Vec<Conditional> = vec![BTreeMap::new(); nodes.len()];
    let mut risks = Vec::with_capacity(groups.len());
    for (at, group) in groups.into_iter().enumerate() {
        let place = || format!("conditionalEdges[{at}]");
        if group.risks.is_empty() {
            return Err(entry(place(), "it names no risk".into()));
        }
        let find = |text: &str| -> Result<Option<usize>, GraphError> {
            let version =
                Version::parse(text).map_err(|e| entry(place(), format!("{:?} is not a version: {e}", shown(text).to_string())))?;
            Ok(nodes.binary_search_by(|node| node.version.cmp(&version)).ok())
        };
        for edge in &group.edges {
            let (Some(from), Some(to)) = (find(&edge.from)?, find(&edge.to)?) else { continue };
            let Some(slot) = conditional.get_mut(from) else { continue };
            if !plain.get(from).is_some_and(|plain| plain.contains(&to)) {
                slot.entry(Reverse(to)).or_default().push(at);
            }
        }
        risks.push(group.risks.into_iter().map(risk).collect());
    }
    Ok((conditional, risks))
}

fn risk(risk: ReplyRisk) -> Risk {
    let always = risk.matching_rules.iter().any(|rule| rule.kind == "Always");
    Risk { name: risk.name, message: risk.message, url: risk.url, always }
}

fn entry(place: String, why: String) -> GraphError {
    GraphError::Entry { place, why }
}
