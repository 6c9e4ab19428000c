//! A fleet of small images of every kind that is carried, always the same bytes, and a real registry that has them.

use super::servers::{DockerRegistry, Options as Server};
use super::store_suite::{blob, bytes, put};
use sealift::digest::Digest;
use sealift::format::volume::entry_header;
use sealift::oci::media;
use sealift::registry::{Client, ManifestRef, Options, Repository};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const OCI_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const DOCKER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A manifest or index in a repository.
#[derive(Clone, Debug)]
pub struct Doc {
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
    /// Only what is tagged is an image; the others are members.
    pub tag: Option<&'static str>,
}

impl Doc {
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }
}

/// What one repository holds: blobs, then documents, children first.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    pub name: &'static str,
    pub blobs: Vec<Vec<u8>>,
    pub docs: Vec<Doc>,
}

impl Stock {
    fn new(name: &'static str) -> Stock {
        Stock { name, ..Stock::default() }
    }

    fn blob(&mut self, kind: &str, content: &[u8]) -> Value {
        if !self.blobs.iter().any(|b| b == content) {
            self.blobs.push(content.to_vec());
        }
        json!({ "mediaType": kind, "digest": Digest::sha256(content), "size": content.len() })
    }

    fn doc(&mut self, media_type: &'static str, tag: Option<&'static str>, value: &Value) -> Value {
        let bytes = serde_json::to_vec_pretty(value).unwrap();
        let descriptor = json!({ "mediaType": media_type, "digest": Digest::sha256(&bytes), "size": bytes.len() });
        self.docs.push(Doc { media_type, bytes, tag });
        descriptor
    }

    /// An image of these layers.
    pub fn image(&mut self, tag: Option<&'static str>, architecture: &str, layers: &[(&str, Vec<u8>)]) -> Value {
        let docker = layers.iter().any(|(kind, _)| *kind == DOCKER_GZIP);
        let config = json!({ "architecture": architecture, "os": "linux", "config": {}, "created": "2026-01-01T00:00:00Z",
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|(kind, b)| diff_id(kind, b)).collect::<Vec<_>>() },
            "history": layers.iter().map(|_| json!({"created": "2026-01-01T00:00:00Z"})).collect::<Vec<_>>() });
        let (of_config, of_manifest) =
            if docker { (media::DOCKER_CONFIG, media::DOCKER_MANIFEST) } else { (media::OCI_CONFIG, media::OCI_MANIFEST) };
        let config = self.blob(of_config, config.to_string().as_bytes());
        let layers: Vec<Value> = layers.iter().map(|(kind, content)| self.blob(kind, content)).collect();
        self.doc(of_manifest, tag, &json!({ "schemaVersion": 2, "mediaType": of_manifest, "config": config, "layers": layers }))
    }

    fn index(&mut self, kind: &'static str, tag: Option<&'static str>, members: Vec<Value>) -> Value {
        self.doc(kind, tag, &json!({ "schemaVersion": 2, "mediaType": kind, "manifests": members }))
    }
}

/// A layer as its manifest calls it: gzip with one file of `len` bytes that no compressor gains on.
pub fn gzip_layer(seed: u64, len: usize) -> (&'static str, Vec<u8>) {
    (OCI_GZIP, gzip(&tar(&[("data", &bytes(seed, len))])))
}

fn diff_id(kind: &str, layer: &[u8]) -> Digest {
    match kind {
        OCI_LAYER => Digest::sha256(layer),
        OCI_ZSTD => Digest::sha256(&zstd::decode_all(layer).unwrap()),
        _ => Digest::sha256(&gunzip(layer)),
    }
}

/// Every kind of image that is carried; together about 2.5 MB.
pub fn stocks() -> Vec<Stock> {
    let base = gzip_layer(1, 300_000);
    let mut app = Stock::new("team/app");
    app.image(Some("1.0"), "amd64", &[base.clone(), gzip_layer(2, 120_000)]);
    app.image(Some("1.1"), "amd64", &[base.clone(), gzip_layer(3, 90_000)]);

    let mut multi = Stock::new("team/multi");
    let members = vec![
        on(multi.image(None, "amd64", &[base.clone(), gzip_layer(4, 60_000)]), "amd64"),
        on(multi.image(None, "arm64", &[gzip_layer(5, 70_000)]), "arm64"),
    ];
    multi.index(media::OCI_INDEX, Some("2"), members);

    let docker = |seed, len| (DOCKER_GZIP, gzip_layer(seed, len).1);
    let mut legacy = Stock::new("legacy/web");
    legacy.image(Some("latest"), "amd64", &[docker(6, 200_000)]);
    let members = vec![
        on(legacy.image(None, "amd64", &[docker(7, 50_000)]), "amd64"),
        on(legacy.image(None, "s390x", &[docker(8, 50_000)]), "s390x"),
    ];
    legacy.index(media::DOCKER_LIST, Some("list"), members);

    let mut odd = Stock::new("odd/things");
    // Half noise, half text: a compressed frame that is worth something and still has to be cut.
    let mixed: Vec<u8> = bytes(9, 350_000).into_iter().chain(b"all work and no play ".iter().copied().cycle().take(350_000)).collect();
    odd.image(Some("plain"), "amd64", &[(OCI_LAYER, tar(&[("mixed", &mixed)])), (OCI_LAYER, tar(&[]))]);
    odd.image(Some("zstd"), "amd64", &[(OCI_ZSTD, zstd::encode_all(&tar(&[("noise", &bytes(10, 400_000))])[..], 1).unwrap())]);
    let empty = odd.blob(media::OCI_EMPTY, b"{}");
    let artifact = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": "application/vnd.example", "config": empty,
        "layers": [], "annotations": {"note": "nothing in it"} });
    odd.doc(media::OCI_MANIFEST, Some("artifact"), &artifact);
    let hollow = odd.blob("application/octet-stream", b"");
    let with_nothing = json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": empty, "layers": [hollow] });
    odd.doc(media::OCI_MANIFEST, Some("hollow"), &with_nothing);
    let inner = on(odd.image(None, "arm64", &[gzip_layer(11, 30_000)]), "arm64");
    let inner = odd.index(media::OCI_INDEX, None, vec![inner]);
    odd.index(media::OCI_INDEX, Some("nested"), vec![inner]);
    vec![app, multi, legacy, odd]
}

fn on(mut descriptor: Value, architecture: &str) -> Value {
    descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
    descriptor
}

/// A tar archive of these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files {
        out.extend(entry_header(name, content.len() as u64).unwrap());
        out.extend(*content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A gzip file of stored blocks (RFC 1951, 1952).
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = plain.chunks(65_535).peekable();
    while let Some(chunk) = chunks.next() {
        out.push(u8::from(chunks.peek().is_none()));
        out.extend((chunk.len() as u16).to_le_bytes());
        out.extend((!(chunk.len() as u16)).to_le_bytes());
        out.extend(chunk);
    }
    out.extend(crc32(plain).to_le_bytes());
    out.extend((plain.len() as u32).to_le_bytes());
    out
}

/// What [`gzip`] was given.
fn gunzip(file: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::new(), &file[10..]);
    loop {
        let len = usize::from(u16::from_le_bytes([rest[1], rest[2]]));
        plain.extend(&rest[5..5 + len]);
        if rest[0] == 1 {
            return plain;
        }
        rest = &rest[5 + len..];
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32).map(|n| (0..8).fold(n, |c, _| if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 })).collect();
    !bytes.iter().fold(!0u32, |crc, byte| table[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

/// A registry that holds the fleet.
pub struct Fleet {
    pub registry: DockerRegistry,
    pub stocks: Vec<Stock>,
}

impl Fleet {
    /// Starts a registry with every kind of image; none where docker-registry is not installed.
    pub fn start() -> Option<Fleet> {
        Fleet::of(stocks())
    }

    /// Starts a registry with these images.
    pub fn of(stocks: Vec<Stock>) -> Option<Fleet> {
        let registry = DockerRegistry::start(Server { delete: true, ..Server::default() })?;
        for stock in &stocks {
            push(&registry.host(), stock);
        }
        Some(Fleet { registry, stocks })
    }

    pub fn host(&self) -> String {
        self.registry.host()
    }

    /// `host/repository:tag` and the bytes of the root manifest of every image.
    pub fn images(&self) -> Vec<(String, &Doc)> {
        let all = self.stocks.iter().flat_map(|s| s.docs.iter().map(move |d| (s.name, d)));
        all.filter_map(|(name, doc)| Some((format!("{}/{name}:{}", self.host(), doc.tag?), doc))).collect()
    }

    /// All references, as words of a command line.
    pub fn words(&self) -> String {
        self.images().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    }

    /// Every blob and document, by digest.
    pub fn content(&self) -> BTreeMap<Digest, Vec<u8>> {
        let docs = self.stocks.iter().flat_map(|s| s.docs.iter().map(|d| d.bytes.clone()));
        let blobs = self.stocks.iter().flat_map(|s| s.blobs.iter().cloned());
        docs.chain(blobs).map(|bytes| (Digest::sha256(&bytes), bytes)).collect()
    }
}

/// Brings a stock into a registry without TLS.
pub fn push(host: &str, stock: &Stock) {
    let options = Options { verify_tls: false, ..Options::default() };
    let repository: Repository = Client::new(options).unwrap().repository(host, stock.name);
    for content in &stock.blobs {
        put(&repository, &blob(content), content).unwrap();
    }
    for doc in &stock.docs {
        let reference = doc.tag.map_or(ManifestRef::Digest(doc.digest()), |tag| ManifestRef::Tag(tag.to_owned()));
        repository.put_manifest(&doc.bytes, doc.media_type, &reference).unwrap();
    }
}

/// Writes one image as an OCI layout, for `oci:DIR:TAG`.
pub fn layout(dir: &Path, tag: &str) {
    let mut stock = Stock::new("x");
    let root = stock.image(None, "amd64", &[gzip_layer(21, 80_000)]);
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for content in stock.blobs.iter().chain(stock.docs.iter().map(|d| &d.bytes)) {
        std::fs::write(blobs.join(Digest::sha256(content).hex()), content).unwrap();
    }
    let mut root = root;
    root["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [root] });
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

/// An image set of one small image, for tests about everything around it.
pub fn small(name: &'static str, tag: &'static str, seed: u64) -> Stock {
    let mut stock = Stock::new(name);
    stock.image(Some(tag), "amd64", &[gzip_layer(seed, 60_000)]);
    stock
}
