//! Graphs made by hand, one real one, and random small ones against a search that tries everything.

use super::*;
use crate::digest::Digest;
use crate::image_set::{Channel, ChannelType, VersionRange};
use proptest::prelude::*;

/// A reply: versions, edges by version, conditional edges by version with the name of their risk.
fn reply(versions: &[&str], edges: &[(&str, &str)], conditional: &[(&str, &str, &str)]) -> Vec<u8> {
    let at = |version: &str| versions.iter().position(|v| *v == version).unwrap();
    let node = |version: &&str| {
        let digest = Digest::sha256(version.as_bytes());
        serde_json::json!({"version": version, "payload": format!("quay.io/ocp/release@{digest}"),
            "metadata": {"io.openshift.upgrades.graph.release.channels": "stable-4.2,fast-4.2", "url": "https://example.com/x"}})
    };
    let group = |(from, to, risk): &(&str, &str, &str)| {
        serde_json::json!({"edges": [{"from": from, "to": to}],
            "risks": [{"name": risk, "message": "m", "url": "https://example.com/r", "matchingRules": [{"type": "Always"}]}]})
    };
    let document = serde_json::json!({
        "version": 1,
        "nodes": versions.iter().map(node).collect::<Vec<_>>(),
        "edges": edges.iter().map(|(a, b)| (at(a), at(b))).collect::<Vec<_>>(),
        "conditionalEdges": conditional.iter().map(group).collect::<Vec<_>>(),
    });
    document.to_string().into_bytes()
}

fn graph(versions: &[&str], edges: &[(&str, &str)], conditional: &[(&str, &str, &str)]) -> Graph {
    Graph::parse(&reply(versions, edges, conditional)).unwrap()
}

fn channel(name: &str, min: Option<&str>, max: Option<&str>) -> Channel {
    let version = |text: &str| text.parse().unwrap();
    let range = VersionRange { min: min.map(version), max: max.map(version) };
    Channel { name: name.into(), channel_type: ChannelType::Ocp, range, shortest_path: false, full: false }
}

fn chosen(channels: &[Channel], graphs: &[(&str, Graph)]) -> Result<(Vec<String>, Vec<Note>), SelectError> {
    let graphs = graphs.iter().map(|(name, graph)| ((*name).to_owned(), graph.clone())).collect();
    let selection = select(channels, &graphs, "amd64")?;
    Ok((selection.releases.iter().map(|r| r.version.to_string()).collect(), selection.notes))
}

fn versions(channels: &[Channel], graphs: &[(&str, Graph)]) -> Vec<String> {
    chosen(channels, graphs).unwrap().0
}

const FIVE: [&str; 5] = ["4.2.10", "4.2.9", "4.1.3", "4.2.0-rc.1", "4.2.0"];

#[test]
fn bounds_choose_as_oc_mirror_does() {
    let graphs = [("stable-4.2", graph(&FIVE, &[], &[]))];
    let one = |min, max, full| versions(&[Channel { full, ..channel("stable-4.2", min, max) }], &graphs);
    assert_eq!(one(None, None, false), ["4.2.10"]);
    assert_eq!(one(None, None, true), ["4.1.3", "4.2.0-rc.1", "4.2.0", "4.2.9", "4.2.10"]);
    assert_eq!(one(Some("4.2.0"), None, false), ["4.2.0", "4.2.9", "4.2.10"]);
    assert_eq!(one(None, Some("4.2.0"), false), ["4.1.3", "4.2.0-rc.1", "4.2.0"]);
    assert_eq!(one(Some("4.2.0-rc.1"), Some("4.2.9"), true), ["4.2.0-rc.1", "4.2.0", "4.2.9"]);
    assert_eq!(one(Some("4.2.9"), Some("4.2.9"), false), ["4.2.9"]);
}

#[test]
fn a_bound_that_is_not_there_names_its_neighbours() {
    let graphs = [("stable-4.2", graph(&FIVE, &[], &[]))];
    let refused = |min, max| chosen(&[channel("stable-4.2", min, max)], &graphs).unwrap_err().to_string();
    assert_eq!(refused(Some("4.2.5"), None), "release 4.2.5 is not in channel stable-4.2 for amd64; the nearest are 4.2.0 and 4.2.9");
    assert_eq!(refused(None, Some("4.3.0")), "release 4.3.0 is not in channel stable-4.2 for amd64; the highest there is 4.2.10");
    assert_eq!(refused(Some("1.0.0"), None), "release 1.0.0 is not in channel stable-4.2 for amd64; the lowest there is 4.1.3");
    assert_eq!(refused(Some("4.2.9"), Some("4.2.0")), "channel stable-4.2: the range from 4.2.9 to 4.2.0 is empty");
    assert!(matches!(chosen(&[channel("stable-4.9", None, None)], &graphs), Err(SelectError::EmptyChannel { .. })));
}

fn shortest(min: &str, max: &str, graph: Graph) -> Result<(Vec<String>, Vec<Note>), SelectError> {
    chosen(&[Channel { shortest_path: true, ..channel("stable-4.2", Some(min), Some(max)) }], &[("stable-4.2", graph)])
}

#[test]
fn of_equal_paths_the_one_over_higher_versions_is_taken() {
    let edges = [("4.1.3", "4.2.0"), ("4.1.3", "4.2.9"), ("4.2.0", "4.2.10"), ("4.2.9", "4.2.10")];
    assert_eq!(shortest("4.1.3", "4.2.10", graph(&FIVE, &edges, &[])).unwrap().0, ["4.1.3", "4.2.9", "4.2.10"]);
}

#[test]
fn a_conditional_update_is_taken_only_where_no_other_way_is_and_is_noted() {
    let long = [("4.1.3", "4.2.0"), ("4.2.0", "4.2.9"), ("4.2.9", "4.2.10")];
    let short = [("4.1.3", "4.2.10", "Flood")];
    let (path, notes) = shortest("4.1.3", "4.2.10", graph(&FIVE, &long, &short)).unwrap();
    assert_eq!((path.len(), notes), (4, vec![]));
    let (path, notes) = shortest("4.1.3", "4.2.10", graph(&FIVE, &long[..2], &short)).unwrap();
    assert_eq!(path, ["4.1.3", "4.2.10"]);
    assert_eq!(
        notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["the update from 4.1.3 to 4.2.10 (stable-4.2, amd64) is conditional: Flood (every cluster): m https://example.com/r"]
    );
    // The same edge without condition makes the condition void.
    let (_, notes) = shortest("4.1.3", "4.2.10", graph(&FIVE, &[("4.1.3", "4.2.10")], &short)).unwrap();
    assert_eq!(notes, []);
}

#[test]
fn no_path_names_how_far_one_gets() {
    let edges = [("4.1.3", "4.2.0"), ("4.2.9", "4.2.10")];
    assert_eq!(
        shortest("4.1.3", "4.2.10", graph(&FIVE, &edges, &[])).unwrap_err().to_string(),
        "channel stable-4.2 has no update path from 4.1.3 to 4.2.10 for amd64; from there the nearest below that can be reached is 4.2.0; \
         the nearest above it that leads there is 4.2.9"
    );
}

fn three_channels() -> [(&'static str, Graph); 3] {
    [
        ("stable-4.1", graph(&["4.1.1", "4.1.2", "4.1.9"], &[("4.1.1", "4.1.9")], &[])),
        ("stable-4.2", graph(&["4.1.9", "4.2.4", "4.2.5", "4.2.7"], &[("4.1.9", "4.2.5"), ("4.2.5", "4.2.7")], &[("4.1.9", "4.2.7", "R")])),
        ("stable-4.3", graph(&["4.2.7", "4.3.1", "4.3.2"], &[], &[("4.2.7", "4.3.1", "Ack")])),
    ]
}

#[test]
fn several_channels_are_joined_through_those_between() {
    let wanted = [channel("stable-4.1", Some("4.1.1"), Some("4.1.1")), channel("stable-4.3", Some("4.3.1"), Some("4.3.1"))];
    assert_eq!(channels_needed(&wanted).into_iter().collect::<Vec<_>>(), ["stable-4.1", "stable-4.2", "stable-4.3"]);
    let (all, notes) = chosen(&wanted, &three_channels()).unwrap();
    assert_eq!(all, ["4.1.1", "4.1.9", "4.2.5", "4.2.7", "4.3.1"]);
    assert!(matches!(notes.as_slice(), [Note::Conditional { channel, .. }] if channel == "stable-4.3"), "{notes:?}");
}

#[test]
fn a_blocked_step_is_noted_and_only_what_was_asked_for_is_taken() {
    let wanted = [channel("stable-4.1", Some("4.1.2"), Some("4.1.2")), channel("stable-4.3", Some("4.3.1"), Some("4.3.1"))];
    let (all, notes) = chosen(&wanted, &three_channels()).unwrap();
    assert_eq!(all, ["4.1.2", "4.3.1"]);
    assert_eq!(
        notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "the update path is blocked: from 4.1.2 no update leads to 4.1.9 in stable-4.1 (amd64); only the releases the channels name are carried"
        ]
    );
    let without_middle: Vec<_> = three_channels().into_iter().filter(|(name, _)| *name != "stable-4.2").collect();
    let wanted = [channel("stable-4.1", Some("4.1.1"), Some("4.1.1")), channel("stable-4.3", None, None)];
    let (all, notes) = chosen(&wanted, &without_middle).unwrap();
    assert_eq!(all, ["4.1.1", "4.3.2"]);
    assert!(notes[0].to_string().contains("into stable-4.2, which has no such release"), "{notes:?}");
}

#[test]
fn channels_of_two_kinds_are_not_joined_and_eus_goes_by_twos() {
    let wanted = [channel("stable-4.1", None, None), channel("fast-4.3", None, None)];
    assert_eq!(channels_needed(&wanted).len(), 2);
    let three = three_channels();
    let graphs = [("stable-4.1", three[0].1.clone()), ("fast-4.3", three[2].1.clone())];
    let (all, notes) = chosen(&wanted, &graphs).unwrap();
    assert_eq!(all, ["4.1.9", "4.3.2"]);
    assert!(matches!(notes.as_slice(), [Note::NoCommonKind { .. }]));
    let eus = [channel("eus-4.12", None, None), channel("eus-4.16", None, None)];
    assert_eq!(channels_needed(&eus).into_iter().collect::<Vec<_>>(), ["eus-4.12", "eus-4.14", "eus-4.16"]);
    let far = [channel("stable-4.1", None, None), channel("stable-4.18446744073709551615", None, None)];
    assert_eq!(channels_needed(&far).len(), 2);
}

#[test]
fn a_range_over_minors_in_an_eus_channel_gets_a_hint() {
    let graphs = [("eus-4.14", graph(&["4.12.1", "4.13.1", "4.14.1"], &[], &[]))];
    let (all, notes) = chosen(&[channel("eus-4.14", Some("4.12.1"), None)], &graphs).unwrap();
    assert_eq!(all.len(), 3);
    assert!(matches!(notes.as_slice(), [Note::Eus { .. }]));
}

#[test]
fn what_is_no_graph_is_refused_by_name() {
    let refused = |text: &str| Graph::parse(text.as_bytes()).unwrap_err().to_string();
    let node = |version: &str| format!(r#"{{"version":"{version}","payload":"q.io/r@{}"}}"#, Digest::sha256(b""));
    let one = node("4.1.0");
    for (text, told) in [
        ("<html>busy".to_owned(), "it is not an update graph: expected value at line 1 column 1"),
        (
            r#"{"kind":"invalid_params","value":"no \u001b[2Jchannel"}"#.into(),
            r"the service gives no graph: invalid_params: no \u{1b}[2Jchannel",
        ),
        ("{}".into(), "it is not an update graph: it has no nodes"),
        (r#"{"version":2,"nodes":[]}"#.into(), "it is an update graph of version 2; version 1 is understood"),
        (format!(r#"{{"nodes":[{one}],"edges":[[0,1]]}}"#), "edges[0]: [0,1] leads outside of the 1 nodes"),
        (format!(r#"{{"nodes":[{one},{one}]}}"#), "nodes[1]: release 4.1.0 is there twice"),
        (
            format!(r#"{{"nodes":[{}]}}"#, node("4.1")),
            r#"nodes[0]: "4.1" is not a version: unexpected end of input while parsing minor version number"#,
        ),
        (
            r#"{"nodes":[{"version":"4.1.0","payload":"q.io/r"}]}"#.into(),
            "nodes[0]: release 4.1.0: its image q.io/r has neither digest nor tag",
        ),
        (
            format!(r#"{{"nodes":[{one}],"conditionalEdges":[{{"edges":[{{"from":"4.1.0","to":"4.1.0"}}],"risks":[]}}]}}"#),
            "conditionalEdges[0]: it names no risk",
        ),
    ] {
        assert_eq!(refused(&text), told);
    }
    assert!(refused(&"[".repeat(100_000)).contains("not an update graph"));
    let many = format!(r#"{{"nodes":[],"edges":[{}[0,0]]}}"#, "[0,0],".repeat(1 << 20));
    assert_eq!(refused(&many), "it has 1048577 edges, more than the 1048576 allowed");
}

#[test]
fn a_reply_of_a_release_controller_is_read() {
    // No version of the format, images by tag.
    let text = r#"{"nodes":[{"version":"4.15.0-0.okd-2024-03-10-010116","payload":"quay.io/openshift/okd:4.15.0-0.okd-2024-03-10-010116"}],"edges":null}"#;
    assert_eq!(Graph::parse(text.as_bytes()).unwrap().nodes().len(), 1);
}

fn real() -> Option<Graph> {
    let bytes = crate::openshift::test_data("openshift/graph-stable-4.13-amd64.json")?;
    Some(Graph::parse(&bytes).unwrap())
}

#[test]
fn the_real_graph_is_read_and_searched() {
    let Some(graph) = real() else { return };
    assert_eq!(graph.nodes().len(), 98);
    assert_eq!(graph.edges.iter().map(Vec::len).sum::<usize>(), 1171);
    assert_eq!(graph.head().unwrap().version.to_string(), "4.13.43");
    assert!(graph.channels().contains("eus-4.14"));
    let v = |text: &str| text.parse::<Version>().unwrap();
    let path = graph.path(&v("4.12.0"), &v("4.13.43")).unwrap();
    assert!(path.len() >= 2 && path.iter().all(|step| step.risks.is_empty()), "{path:?}");
    // 4.13.1 to 4.13.36 is conditional; whether needed depends on the ways around it.
    let at = |text: &str| graph.position(&v(text)).unwrap();
    assert!(graph.conditional[at("4.13.1")].contains_key(&std::cmp::Reverse(at("4.13.36"))));
    assert!(!graph.risks(at("4.13.1"), at("4.13.36")).is_empty());
    assert_eq!(graph.nearest(&v("4.13.16")), Nearest { below: Some(v("4.13.15")), above: Some(v("4.13.17")) });
}

/// A random graph over versions 4.1.0 to 4.1.N-1: edges with 0 for none, 1 for unconditional, 2 for conditional.
fn small() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (2usize..7).prop_flat_map(|n| (Just(n), prop::collection::vec(prop_oneof![3 => Just(0u8), 2 => Just(1), 1 => Just(2)], n * n)))
}

fn built(n: usize, edges: &[u8]) -> Graph {
    let names: Vec<String> = (0..n).map(|i| format!("4.1.{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pairs = |kind: u8| (0..n * n).filter(move |i| edges[*i] == kind).map(move |i| (i / n, i % n));
    let plain: Vec<(&str, &str)> = pairs(1).map(|(a, b)| (names[a], names[b])).collect();
    let risky: Vec<(&str, &str, &str)> = pairs(2).map(|(a, b)| (names[a], names[b], "R")).collect();
    graph(&names, &plain, &risky)
}

/// Every way without a repeated node, the cheapest by (conditional updates, updates).
fn brute(n: usize, edges: &[u8], at: usize, goal: usize, seen: &mut Vec<usize>, cost: (usize, usize), best: &mut Option<(usize, usize)>) {
    if at == goal {
        *best = Some(best.map_or(cost, |b| b.min(cost)));
        return;
    }
    for to in 0..n {
        let kind = edges[at * n + to];
        if kind != 0 && !seen.contains(&to) {
            seen.push(to);
            brute(n, edges, to, goal, seen, (cost.0 + usize::from(kind == 2), cost.1 + 1), best);
            seen.pop();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_path_is_a_path_and_none_is_cheaper((n, edges) in small()) {
        let graph = built(n, &edges);
        let mut best = None;
        brute(n, &edges, 0, n - 1, &mut vec![0], (0, 0), &mut best);
        let v = |i: usize| Version::new(4, 1, i as u64);
        let path = graph.path(&v(0), &v(n - 1));
        prop_assert_eq!(path.is_some(), best.is_some());
        let Some(path) = path else { return Ok(()) };
        prop_assert_eq!(&path[0].version, &v(0));
        prop_assert_eq!(&path[path.len() - 1].version, &v(n - 1));
        let mut cost = (0, path.len() - 1);
        for pair in path.windows(2) {
            let (a, b) = (pair[0].version.patch as usize, pair[1].version.patch as usize);
            let kind = edges[a * n + b];
            prop_assert!(kind != 0, "{}->{} is no edge", a, b);
            prop_assert_eq!(kind == 2, !pair[1].risks.is_empty());
            cost.0 += usize::from(kind == 2);
        }
        prop_assert_eq!(Some(cost), best);
    }

    #[test]
    fn without_conditions_it_is_a_breadth_first_search((n, edges) in small()) {
        let plain: Vec<u8> = edges.iter().map(|kind| u8::from(*kind == 1)).collect();
        // The textbook search, higher versions first.
        let mut before = vec![None; n];
        let mut queue = std::collections::VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            for to in (0..n).rev().filter(|to| plain[at * n + to] == 1) {
                if to != 0 && before[to].is_none() {
                    before[to] = Some(at);
                    queue.push_back(to);
                }
            }
        }
        let expected = before[n - 1].map(|_| {
            let mut way = vec![n - 1];
            while let Some(at) = before[way[way.len() - 1]] { way.push(at); }
            way.reverse();
            way
        });
        let v = |i: usize| Version::new(4, 1, i as u64);
        let found = built(n, &plain).path(&v(0), &v(n - 1)).map(|path| path.iter().map(|s| s.version.patch as usize).collect::<Vec<_>>());
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_are_a_graph_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Graph::parse(&bytes);
    }
}
