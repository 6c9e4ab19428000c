//! Images with all that can be about them, in any registry: cosign's tags, artifacts with a subject, fallback indexes.

use super::fleet::{Stock, gzip_layer, push};
use super::store_suite::{blob, put};
use sealift::digest::Digest;
use sealift::oci::{Descriptor, media};
use sealift::registry::{Client, ManifestRef, Options, Repository};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

pub const SPDX: &str = "application/spdx+json";
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// One repository that is written to.
pub struct Shelf {
    pub host: String,
    pub name: &'static str,
    pub repository: Repository,
}

impl Shelf {
    pub fn new(host: &str, name: &'static str) -> Shelf {
        let options = Options { verify_tls: false, ..Options::default() };
        Shelf { host: host.into(), name, repository: Client::new(options).unwrap().repository(host, name) }
    }

    /// An image, or an index of two, under a tag; with its members.
    pub fn image(&self, tag: &'static str, members: bool) -> (Digest, Vec<Digest>) {
        let mut stock = Stock { name: self.name, ..Stock::default() };
        if !members {
            let image = stock.image(Some(tag), "amd64", &[gzip_layer(61, 40_000)]);
            push(&self.host, &stock);
            return (digest(&image), Vec::new());
        }
        let mut children = Vec::new();
        for (seed, architecture) in [(62, "amd64"), (63, "arm64")] {
            let mut child = stock.image(None, architecture, &[gzip_layer(seed, 30_000)]);
            child["platform"] = json!({"os": "linux", "architecture": architecture});
            children.push(child);
        }
        push(&self.host, &stock);
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": children}).to_string();
        let root = self.repository.put_manifest(index.as_bytes(), media::OCI_INDEX, &ManifestRef::Tag(tag.into())).unwrap();
        (root, children.iter().map(digest).collect())
    }

    fn blob(&self, kind: &str, content: &[u8]) -> Value {
        put(&self.repository, &blob(content), content).unwrap();
        json!({"mediaType": kind, "digest": Digest::sha256(content), "size": content.len()})
    }

    fn manifest(&self, document: &Value, tag: Option<&str>) -> Value {
        let bytes = document.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        let reference = tag.map_or(ManifestRef::Digest(digest), |tag| ManifestRef::Tag(tag.into()));
        self.repository.put_manifest(&bytes, media::OCI_MANIFEST, &reference).unwrap();
        json!({"mediaType": media::OCI_MANIFEST, "digest": digest, "size": bytes.len()})
    }

    /// An artifact that names its subject; found by the API, or once it is in a fallback index.
    pub fn artifact(&self, subject: &Digest, kind: &str, content: &str) -> Value {
        let size = self.size_of(subject);
        let (config, layer) = (self.blob(media::OCI_EMPTY, b"{}"), self.blob(kind, content.as_bytes()));
        let subject = json!({"mediaType": media::OCI_MANIFEST, "digest": subject, "size": size});
        let document = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": kind, "config": config,
            "layers": [layer], "subject": subject, "annotations": {"made": "by a test"}});
        self.manifest(&document, None)
    }

    fn size_of(&self, digest: &Digest) -> u64 {
        self.repository.manifest(&ManifestRef::Digest(*digest)).map_or(1, |m| m.bytes.len() as u64)
    }

    /// The index under the fallback tag.
    pub fn fallback(&self, subject: &Digest, entries: &[Value]) -> Digest {
        let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": entries}).to_string();
        let tag = ManifestRef::Tag(format!("sha256-{}", subject.hex()));
        self.repository.put_manifest(index.as_bytes(), media::OCI_INDEX, &tag).unwrap()
    }

    /// What cosign would push: layers with a payload and its signature.
    pub fn cosign(&self, subject: &Digest, suffix: &str, payload: &[u8], signature: &str) -> Value {
        self.cosign_all(subject, suffix, &[(payload, signature)])
    }

    /// The same of several hands, which all lie in one manifest.
    pub fn cosign_all(&self, subject: &Digest, suffix: &str, signed: &[(&[u8], &str)]) -> Value {
        let layer = |(payload, signature): &(&[u8], &str)| {
            let mut layer = self.blob(SIMPLE_SIGNING, payload);
            layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
            layer
        };
        let layers: Vec<Value> = signed.iter().map(layer).collect();
        let ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": ids}});
        let config = self.blob(media::OCI_CONFIG, config.to_string().as_bytes());
        let document = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers});
        self.manifest(&document, Some(&format!("sha256-{}.{suffix}", subject.hex())))
    }

    pub fn tag(&self, tag: &str) -> Option<Digest> {
        self.repository.head_manifest(&ManifestRef::Tag(tag.into())).unwrap().map(|head| head.digest)
    }

    /// Digests in the index under the fallback tag.
    pub fn listed(&self, subject: &Digest) -> Vec<Digest> {
        let Ok(found) = self.repository.manifest(&ManifestRef::Tag(format!("sha256-{}", subject.hex()))) else { return Vec::new() };
        let index: Value = serde_json::from_slice(&found.bytes).unwrap();
        index["manifests"].as_array().unwrap().iter().map(digest).collect()
    }

    /// Whether a manifest and all its blobs are there.
    pub fn holds(&self, digest: &Digest) -> bool {
        use sealift::blob::BlobSink as _;
        let Ok(found) = self.repository.manifest(&ManifestRef::Digest(*digest)) else { return false };
        let document: Value = serde_json::from_slice(&found.bytes).unwrap();
        let layers = document["layers"].as_array().unwrap().iter().chain([&document["config"]]);
        layers
            .map(|l| Descriptor::new("", l["digest"].as_str().unwrap().parse().unwrap(), l["size"].as_u64().unwrap()))
            .all(|b| self.repository.has(&b).unwrap())
    }
}

pub fn digest(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// A key made by openssl, in files `NAME.key` and `NAME.pub` of a folder.
pub struct OpenSsl<'a> {
    pub folder: &'a Path,
}

impl OpenSsl<'_> {
    fn run(&self, words: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(words).current_dir(self.folder).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn key(&self, name: &str) {
        let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
        self.run(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &private]);
        self.run(&["ec", "-in", &private, "-pubout", "-out", &public]);
    }

    /// The base64 of a signature as cosign makes it: ASN.1, over SHA-256.
    pub fn sign(&self, name: &str, payload: &[u8]) -> String {
        use base64::Engine as _;
        std::fs::write(self.folder.join("payload"), payload).unwrap();
        let signature = self.run(&["dgst", "-sha256", "-sign", &format!("{name}.key"), "payload"]);
        base64::engine::general_purpose::STANDARD.encode(signature)
    }
}

/// What cosign signs.
pub fn payload(reference: &str, image: &Digest) -> Vec<u8> {
    let critical = json!({"identity": {"docker-reference": reference}, "image": {"docker-manifest-digest": image},
        "type": "cosign container image signature"});
    json!({"critical": critical, "optional": null}).to_string().into_bytes()
}
