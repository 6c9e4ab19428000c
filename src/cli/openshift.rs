//! What options and environment say about releases, catalogs and charts.

use super::{Context, now, options};
use crate::gather::{HelmSettings, OperatorSettings, ReleaseSettings};
use std::path::PathBuf;

/// The public update graph of OpenShift.
const GRAPH: &str = "https://api.openshift.com/api/upgrades_info/v1/graph";
/// The public update graph of OKD.
const OKD_GRAPH: &str = "https://origin-release.ci.openshift.org/graph";
/// The public graph data.
const GRAPH_DATA: &str = "https://api.openshift.com/api/upgrades_info/graph-data";
/// What the graph image is built upon: it needs a shell and cp.
const GRAPH_BASE: &str = "registry.access.redhat.com/ubi9/ubi:latest";
/// Where the packages of RHEL, Fedora and their kin put the keys of their publishers.
const SYSTEM_KEYS: &str = "/etc/pki/rpm-gpg";
/// Beside the trust file: keys of releases that the person put there.
const OWN_KEYS: &str = "release-keys";

/// About releases.
pub fn releases(asked: &options::OpenShift, ctx: &Context) -> ReleaseSettings {
    let environment = &ctx.environment;
    let (keys, keys_named) = keys(asked, ctx);
    let given = asked.graph_url.clone().or_else(|| environment.update_url.clone());
    let data = asked.graph_data.clone();
    let (graph_data_url, graph_data_file) = match data {
        Some(url) if is_url(&url) => (url, None),
        Some(file) => (String::new(), Some(PathBuf::from(file))),
        None => (GRAPH_DATA.to_owned(), None),
    };
    ReleaseSettings {
        graph_url: given.clone().unwrap_or_else(|| GRAPH.to_owned()),
        okd_graph_url: given.unwrap_or_else(|| OKD_GRAPH.to_owned()),
        stores: match (asked.signature_store.as_slice(), &environment.signature_url) {
            ([], Some(url)) => vec![url.clone()],
            ([], None) => crate::openshift::signature::DEFAULT_STORES.map(str::to_owned).to_vec(),
            (named, _) => named.to_vec(),
        },
        keys,
        keys_named,
        now: now(),
        ignore_signature: asked.ignore_release_signature,
        graph_data_url,
        graph_data_file,
        graph_base: asked.graph_base.clone().unwrap_or_else(|| GRAPH_BASE.to_owned()),
    }
}

/// About operators.
pub fn operators(asked: &options::OpenShift) -> OperatorSettings {
    OperatorSettings { with_dependencies: asked.with_dependencies }
}

/// About charts.
pub fn helm(asked: &options::OpenShift, ctx: &Context) -> HelmSettings {
    let find = |path: &std::ffi::OsStr| std::env::split_paths(path).map(|dir| dir.join("helm")).find(|file| crate::fs::is_program(file));
    let program = ctx.environment.path.as_deref().filter(|_| !asked.no_helm).and_then(find);
    // Paths of an ImageSet are relative to its folder; what is typed is relative to where the person stands.
    let values = asked.helm_values.iter().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())).collect();
    HelmSettings { program, values }
}

/// Key files and folders of such, and whether the person named them.
fn keys(asked: &options::OpenShift, ctx: &Context) -> (Vec<PathBuf>, bool) {
    if !asked.release_key.is_empty() {
        return (asked.release_key.clone(), true);
    }
    if let Some(key) = &ctx.environment.release_key {
        return (vec![key.clone()], true);
    }
    let own = ctx.environment.config().ok().map(|config| config.join(OWN_KEYS));
    let folders = [Some(PathBuf::from(SYSTEM_KEYS)), own];
    (folders.into_iter().flatten().collect(), false)
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_for_helm_are_found_from_where_the_person_stands() {
        let asked =
            options::OpenShift { helm_values: vec!["values.yaml".into(), "/x/values.yaml".into()], ..options::OpenShift::default() };
        let here = std::env::current_dir().unwrap();
        assert_eq!(helm(&asked, &crate::cli::tests::context()).values, [here.join("values.yaml"), "/x/values.yaml".into()]);
    }
}
