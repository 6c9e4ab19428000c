//! Update graphs, asked for.

use super::{GatherError, World};
use crate::format::{Document, DocumentKind};
use crate::image_set::ChannelType;
use crate::limits;
use crate::openshift::graph::{Graph, MEDIA_TYPE, Nearest, Selected};
use crate::parallel::each;
use crate::text::bare_address;
use crate::web::{Get, Web, WebError};
use semver::Version;
use std::collections::BTreeMap;

/// Who asks. The service wants a UUID; a fixed one tells it nothing about who that is, and asks the same on every run.
const ID: &str = "7ea11f70-0000-4000-8000-000000000000";

/// One graph to ask for.
pub(super) struct Question {
    pub(super) channel: String,
    pub(super) kind: ChannelType,
    pub(super) architecture: String,
}

impl Question {
    fn ask(&self, world: &World<'_>) -> Result<Answer, GatherError> {
        let base = match self.kind {
            ChannelType::Ocp => &world.releases.graph_url,
            ChannelType::Okd => &world.releases.okd_graph_url,
        };
        let (graph, bytes) = get(base, &self.channel, &self.architecture, world.web)?;
        let name = format!("{}-{}", self.channel, self.architecture);
        Ok(Answer { graph, document: Document::new(DocumentKind::UpdateGraph, name, &bytes) })
    }
}

/// The update graph of a channel, from the service at `base`. A channel that does not exist has no releases.
///
/// # Errors
/// [`GatherError::Web`] and [`GatherError::Graph`]; [`GatherError::Interrupted`].
pub fn update_graph(base: &str, channel: &str, architecture: &str, web: &dyn Web) -> Result<Graph, GatherError> {
    Ok(get(base, channel, architecture, web)?.0)
}

fn get(base: &str, channel: &str, architecture: &str, web: &dyn Web) -> Result<(Graph, Vec<u8>), GatherError> {
    let joint = if base.contains('?') { '&' } else { '?' };
    let url = format!("{base}{joint}arch={}&channel={}&id={ID}", encoded(architecture), encoded(channel));
    let bytes = web.get(&Get { url: &url, accept: MEDIA_TYPE, limit: limits::GRAPH_BYTES, login: false }).map_err(|e| match e {
        WebError::Cancelled => GatherError::Interrupted,
        other => other.into(),
    })?;
    let graph = Graph::parse(&bytes).map_err(|error| GatherError::Graph {
        url: bare_address(base),
        channel: channel.to_owned(),
        architecture: architecture.to_owned(),
        error,
    })?;
    Ok((graph, bytes))
}

/// A part of a query (RFC 3986, "Unreserved Characters").
fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A graph and the reply it was read from.
struct Answer {
    graph: Graph,
    document: Document,
}

/// The answers, by architecture and channel.
pub(super) struct Graphs(BTreeMap<String, BTreeMap<String, Result<Answer, GatherError>>>);

impl Graphs {
    /// Asks for all of them, several at a time.
    pub(super) fn ask(questions: &[Question], world: &World<'_>) -> Result<Graphs, GatherError> {
        let answers = each(world.parallel, questions, || world.progress.cancelled(), |question| question.ask(world));
        let mut graphs = Graphs(BTreeMap::new());
        for (question, answer) in questions.iter().zip(answers) {
            let answer = match answer {
                None | Some(Err(GatherError::Interrupted)) => return Err(GatherError::Interrupted),
                Some(answer) => answer,
            };
            graphs.0.entry(question.architecture.clone()).or_default().insert(question.channel.clone(), answer);
        }
        Ok(graphs)
    }

    /// The replies. What knows no release (the answer for a channel that does not exist) is not worth carrying.
    pub(super) fn documents(&self) -> Vec<Document> {
        let answers = self.0.values().flat_map(BTreeMap::values).flatten();
        answers.filter(|answer| !answer.graph.nodes().is_empty()).map(|answer| answer.document.clone()).collect()
    }

    /// The graphs of one architecture; the first failure among them.
    pub(super) fn of(&mut self, architecture: &str) -> Result<BTreeMap<String, Graph>, GatherError> {
        let answers = self.0.remove(architecture).unwrap_or_default();
        answers.into_iter().map(|(channel, answer)| Ok((channel, answer?.graph))).collect()
    }
}

/// Finds a version in the channels of its minor version, the safest first.
pub(super) fn look_up(version: &Version, architecture: &str, world: &World<'_>) -> Result<(Selected, Document), GatherError> {
    let names = ["stable", "fast", "candidate"].map(|kind| format!("{kind}-{}.{}", version.major, version.minor));
    let mut nearest = Nearest::default();
    for channel in &names {
        let question = Question { channel: channel.clone(), kind: ChannelType::Ocp, architecture: architecture.to_owned() };
        let answer = question.ask(world)?;
        if let Some(node) = answer.graph.find(version) {
            let (version, payload) = (node.version.clone(), node.payload.clone());
            let selected = Selected { version, payload, channel: channel.clone(), architecture: architecture.to_owned() };
            return Ok((selected, answer.document));
        }
        if !answer.graph.nodes().is_empty() {
            nearest = answer.graph.nearest(version);
        }
    }
    Err(GatherError::NoRelease { version: version.clone(), channels: names.to_vec(), architecture: architecture.to_owned(), nearest })
}
