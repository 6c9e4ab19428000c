//! What is at a target, found out without this program: HTTP as RFC 9110 and the distribution specification have it, and the
//! rules by which a cluster reads its resources.

use sealift::digest::Digest;
use serde::Deserialize as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// Status and body of a GET.
pub fn get(host: &str, path: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: {MANIFESTS}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
    (status, answer.split_off(end + 4))
}

/// Splits `HOST/REPOSITORY:TAG` or `HOST/REPOSITORY@DIGEST`; of both the digest counts.
fn split(reference: &str) -> (&str, &str, &str) {
    let (host, rest) = reference.split_once('/').unwrap();
    match (rest.split_once('@'), rest.rsplit_once(':')) {
        (Some((name, digest)), _) => (host, name.split_once(':').map_or(name, |(repository, _)| repository), digest),
        (None, named) => named.map(|(repository, tag)| (host, repository, tag)).unwrap(),
    }
}

/// The manifest under a reference, if there is one.
pub fn manifest(reference: &str) -> Option<Vec<u8>> {
    let (host, repository, what) = split(reference);
    let (status, body) = get(host, &format!("/v2/{repository}/manifests/{what}"));
    assert!(status == 200 || status == 404, "{reference}: {status}");
    (status == 200).then_some(body)
}

/// Pulls an image, every member and every byte of it, and gives its digest.
#[track_caller]
pub fn pull(reference: &str) -> Digest {
    let bytes = manifest(reference).unwrap_or_else(|| panic!("{reference} is not there"));
    let (host, repository, what) = split(reference);
    let digest = Digest::sha256(&bytes);
    assert!(!what.starts_with("sha256:") || what == digest.to_string(), "{reference} is {digest}");
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    for member in list("manifests") {
        pull(&format!("{host}/{repository}@{}", member["digest"].as_str().unwrap()));
    }
    let config = document.get("config").cloned();
    for blob in list("layers").into_iter().chain(config) {
        let named = blob["digest"].as_str().unwrap();
        let (status, body) = get(host, &format!("/v2/{repository}/blobs/{named}"));
        assert!(status == 200 && Digest::sha256(&body).to_string() == named, "{reference}: blob {named}: {status}");
    }
    digest
}

/// Documents for a cluster, as files of a folder.
pub struct Resources {
    /// File name and object; files that hold no objects (fragments, TOML) are passed over.
    pub objects: Vec<(String, Value)>,
}

impl Resources {
    /// Reads every `*.yaml` of a folder.
    pub fn read(folder: &Path) -> Resources {
        let mut objects = Vec::new();
        for (name, bytes) in crate::support::run::files(folder).into_iter().filter(|(name, _)| name.ends_with(".yaml")) {
            for document in serde_yaml::Deserializer::from_slice(&bytes) {
                let object = Value::deserialize(document).unwrap_or_else(|e| panic!("{name}: {e}"));
                if object.get("kind").is_some() {
                    objects.push((name.clone(), object));
                }
            }
        }
        Resources { objects }
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().map(|(_, object)| object).filter(|object| object["kind"] == kind).collect()
    }

    /// The one object of a kind.
    #[track_caller]
    pub fn one(&self, kind: &str) -> &Value {
        let all = self.of_kind(kind);
        assert_eq!(all.len(), 1, "{kind}: {all:?}");
        all[0]
    }

    /// Where a cluster pulls `source` from: the longest name that is it or one of its parents, its mirrors in order.
    pub fn mirrors(&self, source: &str) -> Vec<String> {
        let (kind, list) = match source.contains('@') {
            true => ("ImageDigestMirrorSet", "imageDigestMirrors"),
            false => ("ImageTagMirrorSet", "imageTagMirrors"),
        };
        let mut best: Option<(usize, Vec<String>)> = None;
        for entry in self.of_kind(kind).into_iter().flat_map(|object| object["spec"][list].as_array().unwrap()) {
            let name = entry["source"].as_str().unwrap();
            let Some(rest) = source.strip_prefix(name).filter(|rest| rest.starts_with(['/', '@', ':'])) else { continue };
            if best.as_ref().is_none_or(|(len, _)| name.len() > *len) {
                let mirrors = entry["mirrors"].as_array().unwrap().iter().map(|mirror| format!("{}{rest}", mirror.as_str().unwrap()));
                best = Some((name.len(), mirrors.collect()));
            }
        }
        best.map_or(Vec::new(), |(_, mirrors)| mirrors)
    }

    /// Pulls what a pod asks for, from the mirror a cluster would go to.
    #[track_caller]
    pub fn pull(&self, source: &str) -> Digest {
        let mirrors = self.mirrors(source);
        assert!(!mirrors.is_empty(), "nothing mirrors {source}");
        pull(&mirrors[0])
    }
}

/// An image of one platform, unpacked by skopeo and umoci: its files, and its configuration.
pub struct Unpacked {
    pub files: BTreeMap<String, Vec<u8>>,
    pub config: Value,
}

/// Unpacks one image below `folder`, which is made.
#[track_caller]
pub fn unpacked(reference: &str, architecture: &str, folder: &Path) -> Unpacked {
    fs::create_dir_all(folder).unwrap();
    let image = "--insecure-policy --override-os linux --override-arch";
    let script = format!(
        "skopeo {image} {architecture} copy -q --src-tls-verify=false docker://{reference} oci:layout:x\n\
         skopeo {image} {architecture} inspect --config --raw oci:layout:x >config.json\n\
         umoci unpack --rootless --image layout:x bundle 2>&1"
    );
    crate::support::run::shell(folder, &script);
    let config = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
    Unpacked { files: crate::support::run::files(&folder.join("bundle/rootfs")), config }
}
