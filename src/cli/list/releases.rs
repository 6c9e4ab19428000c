//! `sealift list releases`: what an update channel has, and how one gets from one release to another.

use crate::cli::connections::{client, registries};
use crate::cli::{Context, Outcome, options};
use crate::error::Error;
use crate::gather::update_graph;
use crate::openshift::graph::{Graph, Node, OCP_GRAPH, Risk, SelectError, Step, way};
use crate::web::Web;
use semver::Version;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Lists OpenShift releases as the update service knows them
///
/// The releases of a channel, lowest first; without a channel the minor versions there are. With --from and --to the update path between two of them: fewest conditional updates,
/// then fewest updates; what the conditional ones risk is told.
#[derive(clap::Args, Debug)]
#[command(group(clap::ArgGroup::new("of").args(["channel", "version"])))]
pub struct Args {
    /// Channel: stable-4.16, eus-4.18, candidate-4.20
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
    /// Minor version, for its stable channel: 4.16
    #[arg(long, value_name = "X.Y", value_parser = minor)]
    pub version: Option<String>,
    /// List the channels the releases of this minor version are in, not the releases
    #[arg(long, requires = "version", conflicts_with_all = ["channel", "from", "to"])]
    pub channels: bool,
    /// Architecture. May be given several times
    #[arg(long = "arch", value_name = "ARCH", default_value = "amd64", value_parser = ["amd64", "arm64", "ppc64le", "s390x", "multi"])]
    pub architectures: Vec<String>,
    /// Release the update path begins with
    #[arg(long, value_name = "X.Y.Z", requires = "of")]
    pub from: Option<Version>,
    /// Release the update path ends with (default: the channel's highest)
    #[arg(long, value_name = "X.Y.Z", requires = "from")]
    pub to: Option<Version>,
    /// Update graph to ask in place of the public one (default: UPDATE_URL_OVERRIDE, else api.openshift.com)
    #[arg(long, value_name = "URL")]
    pub graph_url: Option<String>,
    /// How it is spoken to.
    #[command(flatten)]
    pub source: options::Source,
}

/// Reads `X.Y`.
fn minor(text: &str) -> Result<String, String> {
    let number = |word: &str| word.parse::<u32>().is_ok_and(|n| n.to_string() == word);
    match text.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) => Ok(text.to_owned()),
        _ => Err("a minor version is written X.Y, for example 4.16".into()),
    }
}

/// Runs the command.
///
/// # Errors
/// `CONTENT_NOT_FOUND` for a channel, version or path that does not exist; what the update service answers.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    if args.channel.is_none() && args.version.is_none() {
        return super::minors::list(&args.architectures, &args.source, ctx);
    }
    let conf = registries(ctx, &args.source.access)?;
    let web = client(ctx, &args.source.access, &conf, args.source.src_tls_verify, &Arc::default())?;
    told(&args, &web, ctx)
}

/// One graph, as asked for.
struct Asked {
    channel: String,
    architecture: String,
    graph: Graph,
}

fn told(args: &Args, web: &dyn Web, ctx: &Context) -> Result<Outcome, Error> {
    let mut seen = BTreeSet::new();
    let mut graphs = Vec::new();
    for architecture in args.architectures.iter().filter(|architecture| seen.insert(*architecture)) {
        ctx.go_on()?;
        graphs.push(ask(args, architecture, web, ctx)?);
    }
    match (&args.from, args.channels) {
        (Some(from), _) => paths(&graphs, from, args.to.as_ref(), ctx),
        (None, true) => channels(&graphs, ctx),
        (None, false) => releases(&graphs, ctx),
    }
}

/// The channel of one architecture. A minor version that is not stable yet has candidates only.
fn ask(args: &Args, architecture: &str, web: &dyn Web, ctx: &Context) -> Result<Asked, Error> {
    let url = args.graph_url.as_deref().or(ctx.environment.update_url.as_deref()).unwrap_or(OCP_GRAPH);
    let names = match (&args.channel, &args.version) {
        (Some(channel), _) => vec![channel.clone()],
        (None, version) => ["stable", "candidate"].map(|kind| format!("{kind}-{}", version.as_deref().unwrap_or_default())).to_vec(),
    };
    for channel in &names {
        let graph = update_graph(url, channel, architecture, web)?;
        if !graph.nodes().is_empty() {
            return Ok(Asked { channel: channel.clone(), architecture: architecture.to_owned(), graph });
        }
    }
    let channel = names.join(" or ");
    Err(SelectError::EmptyChannel { channel, architecture: architecture.to_owned() }.into())
}

fn releases(graphs: &[Asked], ctx: &Context) -> Result<Outcome, Error> {
    let mut rows = vec![["VERSION", "ARCH", "IMAGE", "ANNOUNCEMENT"].map(str::to_owned).to_vec()];
    let mut list = Vec::new();
    for Asked { channel, architecture, graph } in graphs {
        for Node { version, payload, channels, url } in graph.nodes() {
            rows.push(vec![version.to_string(), architecture.clone(), payload.to_string(), url.clone().unwrap_or_default()]);
            let (version, image) = (version.to_string(), payload.to_string());
            list.push(json!({
                "version": version, "architecture": architecture, "channel": channel, "image": image, "channels": channels, "url": url,
            }));
        }
    }
    ctx.output.table(&rows);
    Outcome::done().with("releases", list)
}

fn channels(graphs: &[Asked], ctx: &Context) -> Result<Outcome, Error> {
    let all: BTreeSet<&str> = graphs.iter().flat_map(|asked| asked.graph.channels()).collect();
    ctx.output.table(&all.iter().map(|channel| vec![(*channel).to_owned()]).collect::<Vec<_>>());
    Outcome::done().with("channels", all)
}

fn paths(graphs: &[Asked], from: &Version, to: Option<&Version>, ctx: &Context) -> Result<Outcome, Error> {
    let mut rows = vec![["UPDATE TO", "ARCH", "RISKS"].map(str::to_owned).to_vec()];
    let (mut list, mut risks) = (Vec::new(), BTreeSet::new());
    for Asked { channel, architecture, graph } in graphs {
        let Some(to) = to.or(graph.head().map(|node| &node.version)) else { continue };
        let steps = way(graph, channel, architecture, from, to)?;
        for Step { version, risks: here } in &steps {
            let names: Vec<&str> = here.iter().map(|risk| risk.name.as_str()).collect();
            let names = if version == from { "(begin)".to_owned() } else { names.join(" ") };
            rows.push(vec![version.to_string(), architecture.clone(), names]);
            risks.extend(here.iter().cloned());
        }
        let steps: Vec<Value> = steps.iter().map(step).collect();
        list.push(json!({"architecture": architecture, "channel": channel, "steps": steps}));
    }
    ctx.output.table(&rows);
    for risk in &risks {
        ctx.output.line("");
        ctx.output.line(&risk.to_string());
    }
    Outcome::done().with("paths", list)
}

fn step(step: &Step) -> Value {
    let risk = |risk: &Risk| json!({"name": risk.name, "message": risk.message, "url": risk.url, "always": risk.always});
    json!({"version": step.version.to_string(), "risks": step.risks.iter().map(risk).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{Format, Output};
    use crate::cli::tests::{Buffer, context};
    use crate::error::Code;
    use crate::web::{Get, WebError};
    use clap::Parser;
    use std::io;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// Knows stable-4.2 and candidate-4.3.
    struct Service;

    impl Web for Service {
        fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
            let node = |version: &str| {
                let digest = crate::digest::Digest::sha256(version.as_bytes());
                let words = json!({"io.openshift.upgrades.graph.release.channels": "stable-4.2,fast-4.2", "url": "https://x/\u{1b}[2J"});
                json!({"version": version, "payload": format!("quay.io/r/x@{digest}"), "metadata": words})
            };
            assert!(request.url.starts_with("https://graph.example/?arch=amd64&channel="), "{}", request.url);
            let known = ["channel=stable-4.2&", "channel=candidate-4.3&"].iter().any(|known| request.url.contains(known));
            let nodes: Vec<Value> = if known { ["4.2.0", "4.2.1", "4.2.3"].map(node).to_vec() } else { Vec::new() };
            let risks = json!([{"name": "Flood", "message": "Water.", "url": "https://x/r"}]);
            let edges = if known { json!([[0, 1]]) } else { json!([]) };
            let conditional = json!([{"edges": [{"from": "4.2.1", "to": "4.2.3"}], "risks": risks}]);
            Ok(json!({"version": 1, "nodes": nodes, "edges": edges, "conditionalEdges": conditional}).to_string().into_bytes())
        }
    }

    fn run(words: &[&str], format: Format) -> Result<(String, Outcome), Error> {
        let words = ["list"].iter().chain(words).chain(&["--graph-url", "https://graph.example/"]);
        let args = Line::try_parse_from(words).unwrap().args;
        let out = Buffer::default();
        let output = Arc::new(Output::new(format, Box::new(out.clone()), Box::new(io::sink())));
        let outcome = told(&args, &Service, &Context { output, ..context() })?;
        Ok((out.text(), outcome))
    }

    #[test]
    fn a_channel_is_a_table_of_releases() {
        let (text, outcome) = run(&["--version", "4.2"], Format::Text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("VERSION  ARCH   IMAGE") && lines[1].starts_with("4.2.0    amd64  quay.io/r/x@sha256:"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(outcome.report["releases"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn a_version_that_is_not_stable_yet_shows_its_candidates() {
        let (_, outcome) = run(&["--version", "4.3"], Format::Json).unwrap();
        assert_eq!(outcome.report["releases"][0]["channel"], "candidate-4.3");
        let (text, _) = run(&["--version", "4.2", "--channels", "--arch", "amd64", "--arch", "amd64"], Format::Text).unwrap();
        assert_eq!(text, "fast-4.2\nstable-4.2\n");
    }

    #[test]
    fn a_path_is_told_with_its_risks() {
        let (text, outcome) = run(&["--channel", "stable-4.2", "--from", "4.2.0"], Format::Text).unwrap();
        assert_eq!(
            text,
            "UPDATE TO  ARCH   RISKS\n4.2.0      amd64  (begin)\n4.2.1      amd64\n4.2.3      amd64  Flood\n\nFlood: Water. https://x/r\n"
        );
        assert_eq!(outcome.report["paths"][0]["steps"][2]["risks"][0]["name"], "Flood");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let code = |words: &[&str]| run(words, Format::Text).map(|_| ()).unwrap_err();
        let error = code(&["--channel", "stable-4.9"]);
        assert_eq!((error.code, error.what.as_str()), (Code::ContentNotFound, "channel stable-4.9 has no releases for amd64"));
        let error = code(&["--channel", "stable-4.2", "--from", "4.2.2"]);
        assert_eq!(error.what, "release 4.2.2 is not in channel stable-4.2 for amd64; the nearest are 4.2.1 and 4.2.3");
        let refused = |words: &[&str]| Line::try_parse_from(["list"].iter().chain(words)).is_err();
        assert!(
            !refused(&[])
                && refused(&["--from", "4.2.0"])
                && refused(&["--version", "4"])
                && refused(&["--version", "4.2", "--channel", "x"])
        );
        assert!(refused(&["--channel", "x", "--channels"]) && refused(&["--channel", "x", "--arch", "x86_64"]));
    }
}
