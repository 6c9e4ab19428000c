//! The world outside, in small and on loopback: a registry with releases, an operator catalog and everything they name, the
//! update graph, signature stores, graph data, a chart repository. All of it is made of real parts, cut down.

pub mod arrived;
pub mod catalogs;
pub mod charts;
pub mod gpg;
pub mod graph;
pub mod releases;
pub mod store;
pub mod web;

use catalogs::Catalog;
use gpg::Gpg;
use graph::Graphs;
use releases::{RELEASES, Release, Signatures};
use sealift::digest::Digest;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use store::{Draft, Family, Store, layer};
use tempfile::TempDir;
use web::{Answer, Web};

/// Where the base of the graph image is.
pub const BASE: &str = "ubi9/ubi";
/// The version in the chart repository, and that of the chart on disk.
pub const CHARTS: [&str; 2] = ["5.0.0", "5.0.1"];

/// The world.
pub struct World {
    pub store: Store,
    pub web: Web,
    pub releases: Vec<Release>,
    pub catalog: Catalog,
    /// Digest of the base of the graph image.
    pub base: Digest,
    pub signatures: Signatures,
    /// A risk that conditional edges of the small channels have.
    pub risk: String,
    data: PathBuf,
    folder: TempDir,
}

/// The shared world, and what ends it: see [`World::shared`].
static SHARED: OnceLock<Option<(World, Option<ChildStdin>)>> = OnceLock::new();

impl World {
    /// A world for tests that only read it. None where the data or a program is not there; that is said.
    pub fn shared() -> Option<&'static World> {
        SHARED
            .get_or_init(|| World::own().map(|world| (world.outlived(), world)).map(|(keeper, world)| (world, keeper)))
            .as_ref()
            .map(|w| &w.0)
    }

    /// Nothing static is ever dropped: a shell that waits for the end of this process, however it comes, ends the registry then
    /// and removes the folders.
    fn outlived(&self) -> Option<ChildStdin> {
        let mut command = Command::new("sh");
        command.args(["-c", r#"read -r _; kill "$0"; sleep 1; rm -rf "$@""#]).arg(self.store.registry.pid().unwrap().to_string());
        command.arg(self.store.registry.folder()).arg(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap().stdin.take()
    }

    /// A world of one's own: to change it, or to count requests.
    pub fn own() -> Option<World> {
        let data = super::shared_data()?;
        let (store, gpg) = (Store::start()?, Gpg::new()?);
        let folder = tempfile::tempdir().unwrap();
        for (user, file) in [(releases::OWNER, "release-key.asc"), (releases::STRANGER, "stranger.asc")] {
            gpg.generate(user);
            gpg.export(user, &folder.path().join(file));
        }
        let releases = releases::make(&store, &data, &folder.path().join("stranger.asc"));
        let signatures = releases::sign(&gpg, &store.host(), &releases);
        let catalog = catalogs::make(&store, &data);
        let base = base(&store);
        store.tiny("team/extra", &["1.0"], "an additional image");
        let [in_repository, on_disk] = CHARTS.map(|version| charts::chart(&store, &data, version));
        fs::write(folder.path().join("podinfo-local.tgz"), on_disk).unwrap();
        let graphs = Graphs::new(&data, &store.host(), &releases);
        let risk = graphs.risk();
        let graph_data = fs::read(data.join("openshift/graph-data.tar.gz")).unwrap();
        let stores = signatures.clone();
        let index = charts::index(CHARTS[0], &in_repository);
        let web = Web::start(move |path, query| {
            let asked = |name: &str| query.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
            match path.trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
                ["graph"] => Answer::ok("application/json", graphs.answer(asked("channel"), asked("arch")).to_string()),
                ["graph-data"] => Answer::ok("application/gzip", graph_data.clone()),
                ["charts", "index.yaml"] => Answer::ok("text/yaml", index.clone()),
                ["charts", file] if file == format!("podinfo-{}.tgz", CHARTS[0]) => Answer::ok("application/gzip", in_repository.clone()),
                ["broken", "page", ..] => Answer::ok("text/html", "<html><body>Please log in</body></html>"),
                ["broken", "500", ..] => Answer::error(500, "Internal Server Error"),
                ["broken", "empty", ..] => Answer::ok("application/json", ""),
                ["broken", "refused", ..] => {
                    let words = json!({ "kind": "invalid_params", "value": "mandatory client parameters missing" });
                    Answer { status: 400, ..Answer::ok("application/json", words.to_string()) }
                }
                ["broken", "cut", ..] => {
                    let whole = graphs.answer(asked("channel"), asked("arch")).to_string();
                    Answer::ok("application/json", &whole.as_bytes()[..whole.len() / 2])
                }
                [store, digest, number] => signature(&stores, store, digest, number).unwrap_or_else(|| Answer::error(404, "Not Found")),
                _ => Answer::error(404, "Not Found"),
            }
        });
        Some(World { store, web, releases, catalog, base, signatures, risk, data, folder })
    }

    /// `127.0.0.1:PORT` of the registry.
    pub fn host(&self) -> String {
        self.store.host()
    }

    /// A file of this world: `release-key.asc`, `stranger.asc`, `podinfo-local.tgz`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A release.
    pub fn release(&self, version: &str, architecture: &str) -> &Release {
        self.releases.iter().find(|r| r.version == version && r.architecture == architecture).unwrap()
    }

    /// A release as one writes it in an ImageSet.
    pub fn release_image(&self, tag: &str) -> String {
        format!("{}/{RELEASES}:{tag}", self.host())
    }

    /// Options that make a command of the connected side look at this world and nowhere else.
    pub fn options(&self) -> Vec<String> {
        self.options_but(&[])
    }

    /// [`World::options`], with other values for some.
    pub fn options_but(&self, other: &[(&str, &str)]) -> Vec<String> {
        let key = self.file("release-key.asc").to_str().unwrap().to_owned();
        let usual = [
            ("--graph-url", self.web.url("graph")),
            ("--signature-store", self.web.url("signatures")),
            ("--release-key", key),
            ("--graph-data", self.web.url("graph-data")),
            ("--graph-base", format!("{}/{BASE}:latest", self.host())),
        ];
        let chosen = |name: &str, value: String| other.iter().find(|(n, _)| *n == name).map_or(value, |(_, v)| (*v).to_owned());
        let mut words: Vec<String> = usual.into_iter().flat_map(|(name, value)| [name.to_owned(), chosen(name, value)]).collect();
        words.push("--src-tls-verify=false".to_owned());
        words
    }

    /// Regular files of the graph data, by name.
    pub fn graph_files(&self) -> BTreeMap<String, Vec<u8>> {
        let file = fs::File::open(self.data.join("openshift/graph-data.tar.gz")).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.header().entry_type().is_file() {
                let name = entry.path().unwrap().to_str().unwrap().trim_start_matches("./").to_owned();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                files.insert(name, bytes);
            }
        }
        files
    }

    /// A file of the foreign test data.
    pub fn given(&self, name: &str) -> String {
        fs::read_to_string(self.data.join(name)).unwrap()
    }

    /// The signature of a release as the store has it.
    pub fn signature(&self, release: &Release) -> &[u8] {
        &self.signatures[&("signatures", release.digest.hex())][0]
    }

    /// The whole of the real catalog; takes a few seconds.
    pub fn whole_catalog(&self) -> Catalog {
        catalogs::make_whole(&self.store, &self.data)
    }

    /// What the registry was asked, `GET /v2/...`, without what only finds out whether it wants a login.
    pub fn pulled(&self) -> Vec<String> {
        let asked = self.store.registry.requests().into_iter().filter(|(_, path)| path != "/v2/" && path != "/v2");
        asked.map(|(method, path)| format!("{method} {path}")).collect()
    }
}

/// `/STORE/sha256=HEX/signature-N`.
fn signature(stores: &Signatures, store: &str, digest: &str, number: &str) -> Option<Answer> {
    let name = ["signatures", "foreign", "second", "other-digest", "other-tag", "torn", "plain"].into_iter().find(|name| *name == store)?;
    let number: usize = number.strip_prefix("signature-")?.parse().ok()?;
    let all = stores.get(&(name, digest.strip_prefix("sha256=")?.to_owned()))?;
    Some(Answer::ok("application/octet-stream", all.get(number.checked_sub(1)?)?.clone()))
}

/// An image to build upon: a shell and `cp`, for two architectures.
fn base(store: &Store) -> Digest {
    let members = ["amd64", "arm64"].map(|architecture| {
        let layers = [layer(&[("usr/bin/bash", architecture.as_bytes()), ("usr/bin/cp", b"cp")])];
        let config = json!({ "Cmd": ["/bin/bash"], "Labels": { "name": "ubi9" } });
        store.image(BASE, &[], &Draft { family: Family::Oci, architecture, config, layers: &layers })
    });
    store.index(BASE, &["latest"], Family::Oci, &members).digest()
}
