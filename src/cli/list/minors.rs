//! The minor versions there are releases of, from the tags of the release repository: the update service has no list of its channels.

use crate::cli::{Context, Outcome, connections, options};
use crate::error::Error;
use crate::oci::Reference;
use crate::openshift::release::tag_suffix;
use crate::origin::{Mirrored, Origin, Told};
use crate::progress::Level;
use crate::text::shown;
use semver::Version;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where OpenShift's releases are.
const REPOSITORY: &str = "quay.io/openshift-release-dev/ocp-release";

/// Lists them, with the channels to begin with.
pub fn list(architectures: &[String], source: &options::Source, ctx: &Context) -> Result<Outcome, Error> {
    let reference = Reference::parse(REPOSITORY)?;
    let conf = connections::registries(ctx, &source.access)?;
    let client = connections::client(ctx, &source.access, &conf, source.src_tls_verify, &Arc::default())?;
    let progress = ctx.progress.clone();
    let told: Told = Arc::new(move |line| progress.say(Level::Detail, &shown(line).to_string()));
    let tags = Mirrored::new(client, Arc::new(conf), &reference.host, &reference.repository, told).tags()?;
    let found = minors(&tags, architectures);
    let row = |((major, minor), head): (&(u64, u64), &Version)| {
        let kind = if head.pre.is_empty() { "stable" } else { "candidate" };
        (format!("{major}.{minor}"), format!("{kind}-{major}.{minor}"), head.to_string())
    };
    let rows: Vec<(String, String, String)> = found.iter().map(row).collect();
    let mut table = vec![["VERSION", "CHANNEL", "NEWEST RELEASE"].map(str::to_owned).to_vec()];
    table.extend(rows.iter().map(|(minor, channel, head)| vec![minor.clone(), channel.clone(), head.clone()]));
    ctx.output.table(&table);
    if let Some((minor, ..)) = rows.last() {
        ctx.output.line(&format!(
            "next: `sealift list releases --version {minor}` for its releases, with --channels for its other channels (fast, eus, candidate)"
        ));
    }
    let list: Vec<_> = rows.iter().map(|(minor, channel, head)| json!({"version": minor, "channel": channel, "newest": head})).collect();
    Outcome::done().with("repository", REPOSITORY)?.with("versions", list)
}

/// By minor version, the newest release that is for one of the architectures; pre-releases count where there is nothing else.
fn minors(tags: &[String], architectures: &[String]) -> BTreeMap<(u64, u64), Version> {
    let mut found: BTreeMap<(u64, u64), Version> = BTreeMap::new();
    for tag in tags {
        let version = architectures.iter().find_map(|architecture| tag.strip_suffix(tag_suffix(architecture)?)?.strip_suffix('-'));
        let Some(version) = version.and_then(|text| Version::parse(text).ok()) else { continue };
        let rank = |version: &Version| (version.pre.is_empty(), version.clone());
        let head = found.entry((version.major, version.minor)).or_insert_with(|| version.clone());
        if rank(&version) > rank(head) {
            *head = version;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_releases_become_minor_versions_with_the_newest_of_each() {
        let tags = [
            "4.9.11-x86_64",
            "4.9.2-x86_64",
            "4.10.0-rc.1-x86_64",
            "4.10.0-ec.4-x86_64",
            "4.9.99-aarch64",
            "4.8.0-multi",
            "latest",
            "sha256-00.sig",
            "4.11-x86_64",
            "4.9.12-x86_64\u{1b}[2J",
        ];
        let tags = tags.map(str::to_owned);
        let told = |architectures: &[&str]| {
            let architectures: Vec<String> = architectures.iter().map(|a| (*a).to_owned()).collect();
            minors(&tags, &architectures).values().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(&["amd64"]), ["4.9.11", "4.10.0-rc.1"]);
        assert_eq!(told(&["arm64", "multi"]), ["4.8.0", "4.9.99"]);
        assert!(told(&["s390x"]).is_empty());
    }
}
