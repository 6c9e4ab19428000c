//! ImageDigestMirrorSet, ImageTagMirrorSet, ImageContentSourcePolicy, and the same as fragments of `install-config.yaml`.

use super::scope::{Category, Route, Routes};
use super::{Instructions, yaml};
use crate::text::shown;
use serde_json::{Value, json};

/// Bytes of one object. `oc apply` keeps a copy of an object in one of its annotations, which the API server bounds at 262144
/// bytes for all of them together.
pub(super) const OBJECT_BYTES: usize = 250_000;

/// One kind of mirror set.
pub(super) struct Shape {
    file: &'static str,
    api: &'static str,
    kind: &'static str,
    /// The list in `spec`.
    list: &'static str,
    /// In front of the category.
    name: &'static str,
    /// Of images asked for by tag; else by digest.
    tags: bool,
}

/// What clusters of 4.13 and later take.
pub(super) const IDMS: Shape = Shape {
    file: "idms-oc-mirror.yaml",
    api: "config.openshift.io/v1",
    kind: "ImageDigestMirrorSet",
    list: "imageDigestMirrors",
    name: "idms-",
    tags: false,
};
/// The same for tags.
pub(super) const ITMS: Shape = Shape {
    file: "itms-oc-mirror.yaml",
    api: "config.openshift.io/v1",
    kind: "ImageTagMirrorSet",
    list: "imageTagMirrors",
    name: "itms-",
    tags: true,
};
/// What clusters before 4.13 take.
pub(super) const ICSP: Shape = Shape {
    file: "imageContentSourcePolicy.yaml",
    api: "operator.openshift.io/v1alpha1",
    kind: "ImageContentSourcePolicy",
    list: "repositoryDigestMirrors",
    name: "",
    tags: false,
};

/// The file of one kind: an object per category, and another where one would become too large.
pub(super) fn files(shape: &Shape, routes: &Routes, notes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut text = String::new();
    for category in Category::ALL {
        let of = |route: &Route| if shape.tags { route.tags.contains(&category) } else { route.digests.contains(&category) };
        for (number, items) in chunks(items(routes, of, notes)).into_iter().enumerate() {
            let name = format!("{}{}-{number}", shape.name, category.word());
            text.push_str(&yaml::document(&object(shape, &name, category, items)));
        }
    }
    if text.is_empty() { Vec::new() } else { vec![(shape.file.to_owned(), text)] }
}

fn object(shape: &Shape, name: &str, category: Category, items: Vec<Value>) -> Value {
    let metadata = match shape.kind == ICSP.kind && category == Category::Operator {
        true => super::metadata(name, [("labels", json!({"operators.openshift.org/catalog": "true"}))]),
        false => super::metadata(name, []),
    };
    json!({"apiVersion": shape.api, "kind": shape.kind, "metadata": metadata, "spec": { shape.list: items }})
}

/// Entries as the API server takes them: its pattern for names knows no address in brackets.
fn items(routes: &Routes, of: impl Fn(&Route) -> bool, notes: &mut Vec<String>) -> Vec<Value> {
    let mut items = Vec::new();
    for (source, route) in routes.0.iter().filter(|(_, route)| of(route)) {
        let (mirrors, bad): (Vec<&String>, Vec<&String>) = route.mirrors.iter().partition(|mirror| !mirror.contains('['));
        for name in bad.into_iter().chain(Some(source).filter(|source| source.contains('['))) {
            notes.push(format!("{} is left out of mirror sets: they take no address in brackets; give the host a name", shown(name)));
        }
        if !mirrors.is_empty() && !source.contains('[') {
            items.push(json!({"mirrors": mirrors, "source": source}));
        }
    }
    items
}

fn chunks(items: Vec<Value>) -> Vec<Vec<Value>> {
    let mut all: Vec<Vec<Value>> = Vec::new();
    let mut size = OBJECT_BYTES;
    for item in items {
        let more = item.to_string().len();
        match all.last_mut().filter(|_| size + more <= OBJECT_BYTES) {
            Some(last) => last.push(item),
            None => {
                // For what is around the list.
                size = 1000;
                all.push(vec![item]);
            }
        }
        size += more;
    }
    all
}

/// Fragments to be pasted into `install-config.yaml`. They have a folder of their own: `oc apply -f` on the folder above would
/// take them for objects.
pub(super) fn install_config(routes: &Routes) -> Vec<(String, String)> {
    let items = items(routes, |route| !route.digests.is_empty(), &mut Vec::new());
    if items.is_empty() {
        return Vec::new();
    }
    let file = |name: &str, key: &str, until: &str| {
        let text = format!("# A part of install-config.yaml, for {until}.\n{}", yaml::text(&json!({key: items})));
        (format!("install-config/{name}"), text)
    };
    vec![
        file("image-digest-sources.yaml", "imageDigestSources", "OpenShift 4.14 and later"),
        file("image-content-sources.yaml", "imageContentSources", "OpenShift before 4.14"),
    ]
}

/// [`super::mirror_instructions`].
pub(super) fn instructions(routes: &Routes, kind: Instructions) -> String {
    let items = items(routes, |route| route.digests.contains(&Category::Release), &mut Vec::new());
    if items.is_empty() {
        return String::new();
    }
    let (key, shape) = match kind {
        Instructions::Idms => ("imageDigestSources", IDMS),
        Instructions::Icsp => ("imageContentSources", ICSP),
    };
    let fragment = yaml::text(&json!({key: items.clone()}));
    let object = json!({"apiVersion": shape.api, "kind": shape.kind, "metadata": {"name": "example"}, "spec": {shape.list: items}});
    format!(
        "For a new cluster, put this into its install-config.yaml:\n\n{fragment}\n\nFor a cluster that runs, apply this {}:\n\n{}",
        shape.kind,
        yaml::text(&object)
    )
}
