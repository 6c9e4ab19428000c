//! From receipts to documents a cluster or a container runtime reads. Pure.
//!
//! What is written follows receipts alone: what a registry has acknowledged, everything it has acknowledged, and nothing else.
//! So the documents are cumulative (nothing has to be merged by hand when an ImageSet shrinks), and equal receipts give equal
//! bytes. No annotation carries a time: applying the same documents again changes no object in the cluster, where a new time
//! would be a new version of each of them, and a new line in everybody's audit log.
//!
//! Names, scopes and namespaces of the objects are those of oc-mirror v2, so that applying them updates what it left behind.
//!
//! ```text
//! receipts -> held (what is where) -> scope (which source name leads where) -> one file of this folder per kind of document
//! ```

#![deny(clippy::indexing_slicing)]

mod catalogs;
mod containerd;
mod held;
mod k3s;
mod lookaside;
mod mirror_sets;
mod podman;
mod scope;
mod template;
#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests;
mod updates;
mod yaml;

use crate::format::Receipt;
use crate::text::shown;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use held::Holdings;
use scope::Routes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A file for a cluster or a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceFile {
    /// Its path below the folder of all of them; each component is a plain file name ([`crate::text::is_plain_name`]).
    pub name: String,
    /// Its text: printable ASCII and line ends. Of a file that is no text, the base64 ([`ResourceFile::is_binary`]).
    pub contents: String,
    /// Which kind of document it is.
    pub kind: Kind,
}

impl ResourceFile {
    /// True for a signature in a lookaside: [`ResourceFile::contents`] is the base64 of the file.
    pub fn is_binary(&self) -> bool {
        self.kind == Kind::Lookaside && self.name.starts_with("lookaside/")
    }

    /// What is in the file.
    pub fn bytes(&self) -> Vec<u8> {
        match self.is_binary() {
            true => BASE64.decode(self.contents.trim_end()).unwrap_or_default(),
            false => self.contents.clone().into_bytes(),
        }
    }
}

/// The kinds of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// ImageDigestMirrorSet: OpenShift 4.13 and later.
    Idms,
    /// ImageTagMirrorSet: OpenShift 4.13 and later.
    Itms,
    /// ImageContentSourcePolicy: before 4.13; knows digests only. A cluster does not take it beside an ImageDigestMirrorSet.
    Icsp,
    /// CatalogSource of the operator lifecycle manager.
    CatalogSource,
    /// ClusterCatalog of its version 1.
    ClusterCatalog,
    /// UpdateService: the update graph inside.
    UpdateService,
    /// ConfigMap with the signatures of releases.
    Signatures,
    /// Fragments of `install-config.yaml`.
    InstallConfig,
    /// `hosts.toml` of containerd.
    Containerd,
    /// A drop-in for `registries.conf.d` of podman, skopeo, buildah and CRI-O.
    RegistriesConf,
    /// `registries.yaml` of k3s and RKE2.
    K3s,
    /// Signatures of images for podman and CRI-O, and a file of `registries.d` that leads to them.
    Lookaside,
}

impl Kind {
    /// Every kind, in the order files are made.
    pub const ALL: [Kind; 12] = [
        Kind::Idms,
        Kind::Itms,
        Kind::Icsp,
        Kind::CatalogSource,
        Kind::ClusterCatalog,
        Kind::UpdateService,
        Kind::Signatures,
        Kind::InstallConfig,
        Kind::Containerd,
        Kind::RegistriesConf,
        Kind::K3s,
        Kind::Lookaside,
    ];

    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Idms => "idms",
            Kind::Itms => "itms",
            Kind::Icsp => "icsp",
            Kind::CatalogSource => "catalog-source",
            Kind::ClusterCatalog => "cluster-catalog",
            Kind::UpdateService => "update-service",
            Kind::Signatures => "signatures",
            Kind::InstallConfig => "install-config",
            Kind::Containerd => "containerd",
            Kind::RegistriesConf => "registries-conf",
            Kind::K3s => "k3s",
            Kind::Lookaside => "lookaside",
        }
    }

    /// True for objects that are applied to a cluster.
    pub fn is_object(self) -> bool {
        !matches!(self, Kind::InstallConfig | Kind::Containerd | Kind::RegistriesConf | Kind::K3s | Kind::Lookaside)
    }

    /// What is written when nobody chooses: everything that may stand together in one cluster.
    pub fn usual(icsp: bool) -> BTreeSet<Kind> {
        let left_out = |kind: &Kind| if icsp { matches!(kind, Kind::Idms | Kind::Itms) } else { *kind == Kind::Icsp };
        Kind::ALL.into_iter().filter(|kind| !left_out(kind)).collect()
    }
}

/// One registry, by what its receipts say.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host[:port][/prefix]`, as clusters reach it.
    pub name: String,
    /// Its receipts, the earliest first: a tag of a later one replaces that of an earlier one.
    pub receipts: Vec<Receipt>,
    /// True where any certificate, and none at all, is to be accepted of it (`insecure = true` of `containers-registries.conf(5)`).
    pub insecure: bool,
    /// The file with the authority that signs its certificate, where it is one that was named for it.
    pub authority: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// The files, by name.
    pub files: Vec<ResourceFile>,
    /// What a person should know about them.
    pub notes: Vec<String>,
}

/// Why no documents can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The target is a folder: no cluster pulls from it.
    #[error("{} is an OCI layout, and no cluster pulls from one", shown(.target))]
    Layout {
        /// The target.
        target: String,
    },
    /// The target is not the name of a registry.
    #[error("{:?} is not the name of a registry", shown(.target).to_string())]
    Target {
        /// The target.
        target: String,
    },
}

/// Makes the documents of these kinds for these targets. Targets that mirror the same source become several mirrors of it, in
/// the order given here; what a cluster takes from one place only (catalogs, graph) is taken from the first that has it.
///
/// # Errors
/// When a target is no registry.
pub fn resources(targets: &[Target], kinds: &BTreeSet<Kind>) -> Result<Resources, ClusterError> {
    let mut notes = Vec::new();
    let holdings = Holdings::of(targets, &mut notes)?;
    let routes = Routes::of(&holdings);
    let mut files = Vec::new();
    for kind in kinds {
        let made = match kind {
            Kind::Idms => mirror_sets::files(&mirror_sets::IDMS, &routes, &mut notes),
            Kind::Itms => mirror_sets::files(&mirror_sets::ITMS, &routes, &mut notes),
            Kind::Icsp => mirror_sets::files(&mirror_sets::ICSP, &routes, &mut notes),
            Kind::InstallConfig => mirror_sets::install_config(&routes),
            Kind::CatalogSource => catalogs::catalog_sources(&holdings, &mut notes),
            Kind::ClusterCatalog => catalogs::cluster_catalogs(&holdings, &mut notes),
            Kind::UpdateService => updates::update_service(&holdings),
            Kind::Signatures => updates::signatures(&holdings, &mut notes),
            Kind::Containerd => containerd::files(&holdings, &mut notes),
            Kind::RegistriesConf => podman::files(&routes, &holdings),
            Kind::K3s => k3s::files(&holdings, &mut notes),
            Kind::Lookaside => lookaside::files(&holdings, &mut notes),
        };
        files.extend(made.into_iter().map(|(name, contents)| ResourceFile { name, contents, kind: *kind }));
    }
    if files.iter().any(|file| file.kind.is_object()) {
        let graph = files.iter().any(|file| file.kind == Kind::UpdateService);
        notes.extend(targets.iter().zip(&holdings.places).filter_map(|(target, place)| reached(target, &place.host, graph)));
    }
    files.sort();
    let mut said = BTreeSet::new();
    notes.retain(|note| said.insert(note.clone()));
    Ok(Resources { files, notes })
}

/// What OpenShift must know to reach a host, beside the objects. Where it is known, it is known in one object of the whole cluster
/// (`image.config.openshift.io/cluster`), with lists that are its administrator's: a file of ours would take away what is in them.
fn reached(target: &Target, host: &str, graph: bool) -> Option<String> {
    const OBJECT: &str = "image.config.openshift.io/cluster";
    let host = shown(host);
    if target.insecure {
        return Some(format!(
            "OpenShift pulls from {host} without TLS, or with any certificate, only where {OBJECT} says so: add {host} to \
             spec.registrySources.insecureRegistries (`oc edit {OBJECT}`); its nodes are then drained and changed one after the other"
        ));
    }
    let file = shown(target.authority.as_ref()?);
    // A key of a ConfigMap holds no colon; the operator of the update service reads one key of its own.
    let (key, graph) =
        (host.to_string().replace(':', ".."), if graph { format!(" --from-file=updateservice-registry={file}") } else { String::new() });
    Some(format!(
        "where {file} signs the certificate of {host}, OpenShift must trust it: `oc create configmap registry-cas -n openshift-config \
         --from-file={key}={file}{graph}`, and name it in spec.additionalTrustedCA.name of {OBJECT} (`oc edit {OBJECT}`; where one is named there already, add the keys to that \
         one); a new cluster takes it in additionalTrustBundle of install-config.yaml"
    ))
}

/// The annotation of every object. It names no version and no time, so that a newer version of this program changes nothing.
const CREATED_BY: &str = "sealift";

/// Name and annotation of an object, and what else its metadata has.
fn metadata<const N: usize>(name: &str, more: [(&str, Value); N]) -> Value {
    let ours = [("annotations", json!({"createdBy": CREATED_BY})), ("name", json!(name))];
    Value::Object(ours.into_iter().chain(more).map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The two ways of [`mirror_instructions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// `imageDigestSources` and an ImageDigestMirrorSet.
    Idms,
    /// `imageContentSources` and an ImageContentSourcePolicy, for releases before 4.13.
    Icsp,
}

/// What `oc adm release mirror --print-mirror-instructions` prints after mirroring a release: a fragment for
/// `install-config.yaml`, and an object named `example` for a cluster that runs already. Empty without release images.
///
/// # Errors
/// As [`resources`].
pub fn mirror_instructions(targets: &[Target], kind: Instructions) -> Result<String, ClusterError> {
    let holdings = Holdings::of(targets, &mut Vec::new())?;
    Ok(mirror_sets::instructions(&Routes::of(&holdings), kind))
}
