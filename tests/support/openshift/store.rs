//! A docker-registry that is filled by writing its folder (distribution's file system driver): hundreds of small images at
//! once, and the real program serves them.

use crate::support::servers::{DockerRegistry, Options};
use flate2::{Compression, GzBuilder};
use sealift::digest::Digest;
use sealift::oci::media;
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

/// A layer: gzip of a tar.
#[derive(Clone)]
pub struct Layer {
    bytes: Vec<u8>,
    diff_id: Digest,
}

/// A layer of these files, in this order; the same bytes every time.
pub fn layer(files: &[(&str, &[u8])]) -> Layer {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if name.contains("bin/") { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    Layer { diff_id: Digest::sha256(&tar), bytes: gzip(&tar) }
}

/// A gzip file without name and time.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(1));
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

/// Which family of media types an image has. OpenShift's releases have Docker's to this day.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Docker,
    Oci,
}

impl Family {
    fn layer(self) -> &'static str {
        match self {
            Family::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Family::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }

    fn config(self) -> &'static str {
        if self == Family::Docker { media::DOCKER_CONFIG } else { media::OCI_CONFIG }
    }

    fn manifest(self) -> &'static str {
        if self == Family::Docker { media::DOCKER_MANIFEST } else { media::OCI_MANIFEST }
    }

    fn index(self) -> &'static str {
        if self == Family::Docker { media::DOCKER_LIST } else { media::OCI_INDEX }
    }
}

/// An image to be written.
pub struct Draft<'a> {
    pub family: Family,
    pub architecture: &'a str,
    /// The member `config` of the configuration: labels, command.
    pub config: Value,
    pub layers: &'a [Layer],
}

/// What was written: a descriptor, with the platform in it.
#[derive(Clone)]
pub struct Written(pub Value);

impl Written {
    pub fn digest(&self) -> Digest {
        self.0["digest"].as_str().unwrap().parse().unwrap()
    }
}

/// The registry.
pub struct Store {
    pub registry: DockerRegistry,
}

impl Store {
    /// Starts one, empty; none where docker-registry is not installed.
    pub fn start() -> Option<Store> {
        let registry = DockerRegistry::start(Options { access_log: true, delete: true, ..Options::default() })?;
        Some(Store { registry })
    }

    pub fn host(&self) -> String {
        self.registry.host()
    }

    fn top(&self) -> PathBuf {
        self.registry.data().join("docker/registry/v2")
    }

    fn content(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        let folder = self.top().join("blobs/sha256").join(&digest.hex()[..2]).join(digest.hex());
        if !folder.exists() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("data"), bytes).unwrap();
        }
        digest
    }

    fn link(&self, repository: &str, place: &str, digest: &Digest) {
        let folder = self.top().join("repositories").join(repository).join(place);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("link"), digest.to_string()).unwrap();
    }

    /// A blob of a repository, and its descriptor.
    pub fn blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = self.content(bytes);
        self.link(repository, &format!("_layers/sha256/{}", digest.hex()), &digest);
        json!({ "mediaType": media_type, "size": bytes.len(), "digest": digest })
    }

    /// A manifest of a repository, under these tags, and its descriptor.
    pub fn manifest(&self, repository: &str, tags: &[&str], document: &Value) -> Written {
        let bytes = serde_json::to_vec_pretty(document).unwrap();
        let digest = self.content(&bytes);
        let hex = digest.hex();
        self.link(repository, &format!("_manifests/revisions/sha256/{hex}"), &digest);
        for tag in tags {
            self.link(repository, &format!("_manifests/tags/{tag}/current"), &digest);
            self.link(repository, &format!("_manifests/tags/{tag}/index/sha256/{hex}"), &digest);
        }
        Written(json!({ "mediaType": document["mediaType"], "size": bytes.len(), "digest": digest }))
    }

    /// An image.
    pub fn image(&self, repository: &str, tags: &[&str], draft: &Draft<'_>) -> Written {
        let ids: Vec<Digest> = draft.layers.iter().map(|layer| layer.diff_id).collect();
        let history: Vec<Value> = ids.iter().map(|_| json!({ "created": "2026-01-01T00:00:00Z" })).collect();
        let config = json!({ "architecture": draft.architecture, "os": "linux", "created": "2026-01-01T00:00:00Z", "config": draft.config,
            "rootfs": { "type": "layers", "diff_ids": ids }, "history": history });
        let config = self.blob(repository, draft.family.config(), config.to_string().as_bytes());
        let layers: Vec<Value> = draft.layers.iter().map(|l| self.blob(repository, draft.family.layer(), &l.bytes)).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": draft.family.manifest(), "config": config, "layers": layers });
        let mut written = self.manifest(repository, tags, &manifest);
        written.0["platform"] = json!({ "architecture": draft.architecture, "os": "linux" });
        written
    }

    /// An index of images of the same repository.
    pub fn index(&self, repository: &str, tags: &[&str], family: Family, members: &[Written]) -> Written {
        let members: Vec<&Value> = members.iter().map(|member| &member.0).collect();
        self.manifest(repository, tags, &json!({ "schemaVersion": 2, "mediaType": family.index(), "manifests": members }))
    }

    /// A sigstore signature of an image, as cosign pushes one: an image under the tag `sha256-HEX.sig`.
    pub fn sigstore(&self, repository: &str, image: &Digest) -> Written {
        let payload = json!({ "critical": { "identity": { "docker-reference": repository }, "image": { "docker-manifest-digest": image },
            "type": "cosign container image signature" }, "optional": null });
        let mut layer = self.blob(repository, "application/vnd.dev.cosign.simplesigning.v1+json", payload.to_string().as_bytes());
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": "bm90IGEgcmVhbCBvbmU=" });
        let config = json!({ "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] } });
        let config = self.blob(repository, media::OCI_CONFIG, config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [layer] });
        self.manifest(repository, &[&format!("sha256-{}.sig", image.hex())], &manifest)
    }

    /// A tiny image with one file in it that says `words`: other words, another digest.
    pub fn tiny(&self, repository: &str, tags: &[&str], words: &str) -> Written {
        let layers = [layer(&[("words", words.as_bytes())])];
        self.image(repository, tags, &Draft { family: Family::Oci, architecture: "amd64", config: json!({}), layers: &layers })
    }
}
