//! Releases of OpenShift in small: the list of components is a real one, each component an image of a few bytes.

use super::gpg::Gpg;
use super::store::{Draft, Family, Layer, Store, Written, layer};
use sealift::digest::Digest;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub const RELEASES: &str = "openshift-release-dev/ocp-release";
pub const COMPONENTS: &str = "openshift-release-dev/ocp-v4.0-art-dev";

/// User id of the key that signs releases.
pub const OWNER: &str = "Release Team <release@example.test>";
/// User id of a key that has nothing to do with them, though every payload brings it along as its own.
pub const STRANGER: &str = "Somebody Else <else@example.test>";

/// What is made: version and architecture of the update graph.
const MADE: [(&str, &str); 9] = [
    ("4.13.9", "amd64"),
    ("4.13.10", "amd64"),
    ("4.14.0", "amd64"),
    ("4.14.1", "amd64"),
    ("4.14.2", "amd64"),
    ("4.14.3", "amd64"),
    ("4.14.0", "arm64"),
    ("4.14.1", "arm64"),
    ("4.14.1", "multi"),
];

/// A release that lacks its list of components: `4.14.9-x86_64`.
pub const HOLLOW: &str = "4.14.9";

/// A release.
#[derive(Clone, Debug)]
pub struct Release {
    pub version: String,
    /// As the update graph calls it.
    pub architecture: String,
    /// `VERSION-ARCH`: its tag in the source.
    pub tag: String,
    pub digest: Digest,
    /// Components by name.
    pub components: BTreeMap<String, Digest>,
    /// The container disk of x86_64.
    pub kube_virt: Digest,
}

/// The architecture in tags.
pub fn suffix(architecture: &str) -> &str {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

/// Everything releases are made from.
struct Forge<'a> {
    store: &'a Store,
    references: Value,
    metadata: Value,
    boot_images: serde_yaml::Value,
    /// The stranger's public key.
    foreign_key: String,
    base: Layer,
    noise: Layer,
    /// Components that are there already, by name, revision and architecture.
    known: RefCell<BTreeMap<String, Written>>,
}

/// Makes all releases, [`HOLLOW`] last.
pub fn make(store: &Store, data: &Path, foreign_key: &Path) -> Vec<Release> {
    let read = |name: &str| fs::read_to_string(data.join("openshift").join(name)).unwrap();
    let stale: &[u8] = br#"{"kind":"cincinnati-metadata-v0","version":"0.0.1"}"#;
    let forge = Forge {
        store,
        references: serde_json::from_str(&read("image-references-4.14.1.json")).unwrap(),
        metadata: serde_json::from_str(&read("release-metadata-4.14.1.json")).unwrap(),
        boot_images: serde_yaml::from_str(&read("0000_50_installer_coreos-bootimages.yaml")).unwrap(),
        foreign_key: fs::read_to_string(foreign_key).unwrap(),
        base: layer(&[("etc/os-release", b"ID=test\n"), ("release-manifests/release-metadata", stale)]),
        noise: layer(&[("usr/bin/cluster-version-operator", b"#!/bin/true\n"), ("manifests/0000_00_namespace.yaml", b"kind: Namespace\n")]),
        known: RefCell::default(),
    };
    let mut made: Vec<Release> = MADE.iter().map(|(version, architecture)| forge.release(version, architecture)).collect();
    let hollow = forge.image("amd64", HOLLOW, None, &["4.14.9-x86_64"]);
    let template = made[3].clone();
    made.push(Release { version: HOLLOW.into(), tag: format!("{HOLLOW}-x86_64"), digest: hollow.digest(), ..template });
    for release in &made {
        store.sigstore(RELEASES, &release.digest);
        for name in ["cli", "etcd", "installer"] {
            store.sigstore(COMPONENTS, &release.components[name]);
        }
    }
    made
}

impl Forge<'_> {
    fn release(&self, version: &str, architecture: &str) -> Release {
        let names: Vec<&str> = self.references["spec"]["tags"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
        let components: BTreeMap<String, Digest> = names
            .iter()
            .enumerate()
            .map(|(at, name)| ((*name).to_owned(), self.component(name, revision(at, version), architecture).digest()))
            .collect();
        let kube_virt = self.member("kubevirt disk", version, "amd64").digest();
        let disk_s390x = self.member("kubevirt disk", version, "s390x").digest();
        let manifests = self.manifests(version, architecture, &components, kube_virt, disk_s390x);
        let tag = format!("{version}-{}", suffix(architecture));
        let image = match architecture {
            "multi" => {
                let members = ["amd64", "arm64"].map(|arch| self.image(arch, version, Some(&manifests), &[]));
                self.store.index(RELEASES, &[&tag], Family::Docker, &members)
            }
            arch => self.image(arch, version, Some(&manifests), &[&tag]),
        };
        let (version, architecture) = (version.to_owned(), architecture.to_owned());
        Release { version, architecture, tag, digest: image.digest(), components, kube_virt }
    }

    /// A component: an image, or an index of images in the payload for all architectures.
    fn component(&self, name: &str, revision: String, architecture: &str) -> Written {
        match architecture {
            "multi" => {
                let members = ["amd64", "arm64"].map(|arch| self.member(name, &revision, arch));
                self.store.index(COMPONENTS, &[], Family::Docker, &members)
            }
            arch => self.member(name, &revision, arch),
        }
    }

    fn member(&self, name: &str, revision: &str, architecture: &str) -> Written {
        let words = format!("{name} {revision} {architecture}");
        let make = || {
            let layers = [self.base.clone(), layer(&[("words", words.as_bytes())])];
            let config = json!({ "Labels": { "io.openshift.build.name": name } });
            self.store.image(COMPONENTS, &[], &Draft { family: Family::Docker, architecture, config, layers: &layers })
        };
        self.known.borrow_mut().entry(words.clone()).or_insert_with(make).clone()
    }

    /// The release image; without `manifests` it lacks what makes it one.
    fn image(&self, architecture: &str, version: &str, manifests: Option<&Layer>, tags: &[&str]) -> Written {
        let mut layers = vec![self.base.clone(), self.noise.clone()];
        layers.extend(manifests.cloned());
        let labels = json!({ "io.openshift.release": version, "io.openshift.release.base-image-digest": Digest::sha256(b"base") });
        let config = json!({ "Labels": labels, "Entrypoint": ["/usr/bin/cluster-version-operator"] });
        self.store.image(RELEASES, tags, &Draft { family: Family::Docker, architecture, config, layers: &layers })
    }

    /// The layer that holds `release-manifests`.
    fn manifests(&self, version: &str, arch: &str, components: &BTreeMap<String, Digest>, disk: Digest, disk_s390x: Digest) -> Layer {
        let place = format!("{}/{COMPONENTS}", self.store.host());
        let mut references = self.references.clone();
        references["metadata"]["name"] = version.into();
        for tag in references["spec"]["tags"].as_array_mut().unwrap() {
            tag["from"]["name"] = format!("{place}@{}", components[tag["name"].as_str().unwrap()]).into();
        }
        let mut metadata = self.metadata.clone();
        metadata["version"] = version.into();
        metadata["previous"] = json!([]);
        if arch == "multi" {
            metadata["metadata"]["release.openshift.io/architecture"] = "multi".into();
        }
        let mut boot = self.boot_images.clone();
        let mut stream: Value = serde_json::from_str(boot["data"]["stream"].as_str().unwrap()).unwrap();
        for (name, digest) in [("x86_64", disk), ("s390x", disk_s390x)] {
            stream["architectures"][name]["images"]["kubevirt"]["digest-ref"] = format!("{place}@{digest}").into();
        }
        boot["data"]["stream"] = serde_json::to_string_pretty(&stream).unwrap().into();
        // The payload's own keys are no reason to trust it.
        let keys = json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "release-verification", "namespace": "openshift-config-managed",
                "annotations": { "release.openshift.io/verification-config-map": "" } },
            "data": { "verifier-public-key-own": self.foreign_key, "store-own": "http://127.0.0.1:1/signatures" } });
        let bytes = |value: &Value| serde_json::to_vec_pretty(value).unwrap();
        layer(&[
            ("release-manifests/0000_03_config-operator_01_proxies.crd.yaml", b"kind: CustomResourceDefinition\n"),
            ("release-manifests/0000_50_installer_coreos-bootimages.yaml", serde_yaml::to_string(&boot).unwrap().as_bytes()),
            ("release-manifests/0000_90_cluster-update-keys_configmap.yaml", &bytes(&keys)),
            ("release-manifests/image-references", &bytes(&references)),
            ("release-manifests/release-metadata", &bytes(&metadata)),
        ])
    }
}

/// Most components are the same from one version to the next, as it is with real ones: a third changes with the minor version, a
/// few with each patch.
fn revision(at: usize, version: &str) -> String {
    let patch: usize = version.rsplit('.').next().unwrap().parse().unwrap();
    match at % 3 {
        0 if at % 40 == patch % 40 || at == 0 => version.to_owned(),
        0 => version.rsplit_once('.').unwrap().0.to_owned(),
        _ if at % 40 == patch % 40 => version.to_owned(),
        _ => "4".to_owned(),
    }
}

/// What a release signature says: an image by digest, and the name it went by.
pub fn statement(host: &str, digest: &Digest, tag: &str) -> Vec<u8> {
    json!({ "critical": { "image": { "docker-manifest-digest": digest }, "type": "atomic container signature",
            "identity": { "docker-reference": format!("{host}/{RELEASES}:{tag}") } },
        "optional": { "creator": "a test", "timestamp": 1_767_225_600 } })
    .to_string()
    .into_bytes()
}

/// Signatures by store (the first part of the path of the web server) and digest in hex: what number 1, 2 ... is there.
pub type Signatures = BTreeMap<(&'static str, String), Vec<Vec<u8>>>;

/// The stores that are tried out. `signatures` has what it should.
pub fn sign(gpg: &Gpg, host: &str, releases: &[Release]) -> Signatures {
    let mut all = Signatures::new();
    let mut add = |store, release: &Release, signatures| all.insert((store, release.digest.hex()), signatures);
    let by = |user, digest: &Digest, tag: &str| gpg.sign(user, &statement(host, digest, tag));
    for release in releases {
        add("signatures", release, vec![by(OWNER, &release.digest, &release.tag)]);
    }
    let (release, other) = (&releases[3], &releases[2]);
    let good = all[&("signatures", release.digest.hex())][0].clone();
    let foreign = by(STRANGER, &release.digest, &release.tag);
    let mut torn = good.clone();
    let at = torn.len() / 2;
    torn[at] ^= 1;
    let mut add = |store, signatures| all.insert((store, release.digest.hex()), signatures);
    add("foreign", vec![foreign.clone()]);
    add("second", vec![foreign, good]);
    add("other-digest", vec![by(OWNER, &other.digest, &other.tag)]);
    add("other-tag", vec![by(OWNER, &release.digest, &other.tag)]);
    add("torn", vec![torn]);
    add("plain", vec![statement(host, &release.digest, &release.tag)]);
    all
}
