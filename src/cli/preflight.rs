//! `sealift preflight`: will the target take what is to come?

use super::connections::{client, registries};
use super::{Context, Outcome, options, values};
use crate::error::{Code, Detail, Error, preflight_finding};
use crate::image_set::max_nested_paths;
use crate::preflight::{self, Findings, Verdict};
use crate::progress::Level;
use crate::registry::{Client, Repository};
use crate::unpack::{self, UnpackPlan};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Projects the short look asks about: enough to tell a missing one before the night, few enough to be quick.
const SHORT: usize = 64;

/// Looks at a registry before a long push
///
/// Pushes a few small things on trial, in a repository of their own under a tag nobody uses, and removes them: blobs small and
/// large, an OCI image, a Docker image, an index of both. Tells what the registry and the proxies before it refuse, and which
/// setting changes that.
#[derive(clap::Args, Debug)]
pub struct Args {
    // Not in the comment: rustdoc would read the brackets as links.
    #[arg(long, help = "Registry to look at: host[:port][/prefix]", value_name = "TARGET", value_parser = values::destination)]
    #[allow(missing_docs)]
    pub to: values::Destination,
    /// Repository below the prefix to push to on trial
    #[arg(long, value_name = "NAME", default_value = "sealift-preflight", value_parser = repository)]
    pub repository: String,
    /// Make the project (Harbor) or organization (Quay) where it is missing
    #[arg(long)]
    pub create_projects: bool,
    /// How the registry is spoken to.
    #[command(flatten)]
    pub target: options::Target,
}

fn repository(text: &str) -> Result<String, String> {
    match crate::oci::is_repository(text) {
        true => Ok(text.to_owned()),
        false => Err("a repository is lower-case words of a-z 0-9 joined by . _ - and /".into()),
    }
}

/// Runs the command.
pub fn run(args: Args, ctx: &Context) -> Result<Outcome, Error> {
    let values::Destination::Registry { host, prefix } = &args.to else {
        return Err(Error::new(Code::Usage, "a folder needs no look ahead").remedy("give a registry: --to host[:port][/prefix]"));
    };
    // Registries with projects take nothing at the first level.
    let name = match prefix.as_str() {
        "" if args.repository.contains('/') => args.repository.clone(),
        "" => format!("{}/check", args.repository),
        prefix => format!("{prefix}/{}", args.repository),
    };
    let conf = registries(ctx, &args.target.access)?;
    let finishing = Arc::default();
    let client = client(ctx, &args.target.access, &conf, args.target.dest_tls_verify, &finishing)?;
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|e| Error::new(Code::Unclassified, "there is no randomness on this machine").because(e))?;
    ctx.progress.begin("looking at the target", 0);
    let repository = client.repository(host, &name).for_writing();
    let findings = preflight::full(&repository, seed, args.create_projects, &finishing, ctx.progress.as_ref());
    ctx.progress.end();
    // Also of a look that was broken off: something may have been left.
    show(&findings, ctx);
    ctx.go_on()?;
    let list: Vec<Value> = findings.list.iter().map(|finding| entry(&findings, finding)).collect();
    Ok(Outcome::done()
        .with("target", format!("{host}/{name}"))?
        .with("software", findings.software.to_string())?
        .with("trials", list)?
        .with("left", &findings.left)?
        .but(worst(&findings, &format!("{host}/{name}"))))
}

fn show(findings: &Findings, ctx: &Context) {
    for finding in &findings.list {
        let (word, told) = match &finding.verdict {
            Verdict::Fine(told) => ("ok", told.clone()),
            Verdict::Note(told) => ("note", told.clone()),
            Verdict::Failed(error) => ("FAILED", error.to_string()),
        };
        ctx.output.line(&format!("{word:6}  {:12}  {told}", finding.trial.name()));
        if let Some(error) = preflight_finding(findings.software, finding) {
            ctx.output.line(&format!("        {:12}  -> {}", "", error.remedy));
        }
    }
    for left in &findings.left {
        ctx.output.line(&format!("left behind: {left}"));
    }
}

fn entry(findings: &Findings, finding: &preflight::Finding) -> Value {
    let advice = preflight_finding(findings.software, finding);
    let (result, told) = match &finding.verdict {
        Verdict::Fine(told) => ("ok", told.clone()),
        Verdict::Note(told) => ("note", told.clone()),
        Verdict::Failed(error) => ("failed", error.to_string()),
    };
    json!({
        "trial": finding.trial.name(),
        "result": result,
        "told": told,
        "code": advice.as_ref().map(|error| error.code).filter(|code| *code != Code::Done),
        "remedy": advice.map(|error| error.remedy),
    })
}

/// The failure that ends the command: what failed first, for what follows it often only follows from it.
fn worst(findings: &Findings, target: &str) -> Option<Error> {
    let failures: Vec<(preflight::Trial, Error)> = findings
        .list
        .iter()
        .filter(|finding| matches!(finding.verdict, Verdict::Failed(_)))
        .filter_map(|finding| Some((finding.trial, preflight_finding(findings.software, finding)?)))
        .collect();
    let (_, first) = failures.first()?;
    let mut told = Error::new(first.code, format!("{target} does not take what it should")).remedy(&first.remedy);
    told.details = failures.iter().map(|(trial, error)| Detail::of(trial.name(), error)).collect();
    Some(told)
}

/// Of each project the first repository that something goes to, and the one that is nested deepest: some registries take names of two
/// or three components only (Quay without FEATURE_EXTENDED_REPOSITORY_NAMES, GitLab).
fn looked_at(names: impl Iterator<Item = String>) -> Vec<Vec<String>> {
    let depth = |name: &str| name.split('/').count();
    let mut projects: BTreeMap<String, (String, String)> = BTreeMap::new();
    for name in names {
        let project = name.split('/').next().unwrap_or_default().to_owned();
        let (_, deepest) = projects.entry(project).or_insert_with(|| (name.clone(), name.clone()));
        if depth(&name) > depth(deepest) {
            *deepest = name;
        }
    }
    let both = |(first, deepest): (String, String)| {
        let other = (first != deepest).then_some(deepest);
        std::iter::once(first).chain(other).collect()
    };
    projects.into_values().take(SHORT).map(both).collect()
}

/// The short look before a long push, at a few repositories. Notes are told; only when nothing can be pushed anywhere the run ends
/// here.
pub(super) fn before(ctx: &Context, client: &Client, host: &str, options: &unpack::Options, plan: &UnpackPlan) -> Result<(), Error> {
    let full = |repository: &str| match options.prefix.as_str() {
        "" => repository.to_owned(),
        prefix => format!("{prefix}/{repository}"),
    };
    let open = plan.images.iter().filter(|image| image.present.is_none());
    let names = open.map(|image| max_nested_paths(&full(&image.repository), options.max_nested_paths));
    let open = |names: Vec<String>| names.iter().map(|name| client.repository(host, name).for_writing()).collect::<Vec<_>>();
    let projects: Vec<Vec<Repository>> = looked_at(names).into_iter().map(open).collect();
    ctx.progress.begin("looking at the target", 0);
    let findings = preflight::short(&projects);
    ctx.progress.end();
    ctx.go_on()?;
    for finding in &findings.list {
        let told = match &finding.verdict {
            Verdict::Fine(_) => continue,
            Verdict::Note(told) => told.clone(),
            Verdict::Failed(error) => error.to_string(),
        };
        let advice = preflight_finding(findings.software, finding).map(|error| format!(" ({})", error.remedy)).unwrap_or_default();
        ctx.progress.say(Level::Warning, &format!("{told}{advice}"));
    }
    let is_open = findings.list.iter().any(|f| f.trial == preflight::Trial::Push && matches!(f.verdict, Verdict::Fine(_)));
    match is_open {
        true => Ok(()),
        false => worst(&findings, host).map_or(Ok(()), Err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_look_asks_for_every_project_and_for_deep_names() {
        let of = |names: &[&str]| looked_at(names.iter().map(|name| (*name).to_owned()));
        assert_eq!(of(&["a/x", "b/y/z", "a/y", "b/y"]), [["a/x"], ["b/y/z"]]);
        assert_eq!(of(&["ocp4/app", "ocp4/team/app", "ocp4/a/b/c", "ocp4/d/e/f"]), [["ocp4/app", "ocp4/a/b/c"]]);
        let many = (0..100).map(|n| format!("project{n:03}/app"));
        assert_eq!(looked_at(many).len(), SHORT);
        assert!(of(&[]).is_empty());
    }
}
