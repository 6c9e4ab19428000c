//! Both sides of the gap for the tests of the whole way: homes, small images of every kind, sets of them, and what really lies
//! in the folder of a registry.

use super::servers::DockerRegistry;
use sealift::digest::Digest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A password that must never be seen in anything this program writes: every run is searched for it.
pub const PASSWORD: &str = "Tr0ub4dor-and-3";

/// `{}`, the configuration of artifacts and holds. Registries keep it when a hold is gone.
pub const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// How a run of the program ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
        assert!(!ran.out.contains(PASSWORD) && !ran.err.contains(PASSWORD), "a password was shown: {}", ran.told());
        ran
    }

    /// Everything it said.
    pub fn told(&self) -> String {
        format!("exit {}\n{}{}", self.code, self.out, self.err)
    }

    /// It ended with this exit number.
    #[track_caller]
    pub fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}", self.told());
        self
    }

    /// It said all of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Ran {
        for word in words {
            assert!(self.told().contains(word), "{word:?} is missing: {}", self.told());
        }
        self
    }

    /// It did not say this.
    #[track_caller]
    pub fn never_says(self, word: &str) -> Ran {
        assert!(!self.told().contains(word), "{word:?} was said: {}", self.told());
        self
    }

    /// The final object of a run with `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.told()))
    }

    /// What `bring next` named.
    pub fn bring_next(&self) -> Vec<String> {
        let line = self.out.lines().find_map(|line| line.strip_prefix("bring next: "));
        line.map_or(Vec::new(), |names| names.split(", ").map(str::to_owned).collect())
    }
}

/// A host with a user of its own.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// A command that knows only this home.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        command.env_clear().env("PATH", path).env("HOME", self.path()).env("SEALIFT_HOME", self.path());
        command.env("XDG_CONFIG_HOME", self.path().join("xdg")).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// The program with these words.
    pub fn sealift(&self, words: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_sealift"));
        command.args(words);
        command
    }

    pub fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.sealift(words).output().unwrap())
    }

    /// [`Home::run`] under a fault plan.
    pub fn run_with(&self, fault: &str, words: &[&str]) -> Ran {
        Ran::of(self.sealift(words).env("SEALIFT_FAULT", fault).output().unwrap())
    }

    /// The end of a started command.
    pub fn ended(child: std::process::Child) -> Ran {
        Ran::of(child.wait_with_output().unwrap())
    }

    /// Makes a key and gives the file of its public half.
    pub fn key(&self, name: &str) -> PathBuf {
        self.run(&["key", "generate", name]).exits(0);
        self.path().join("config/keys").join(format!("{name}.pub"))
    }

    /// Trusts a key.
    pub fn trust(&self, principals: &str, key: &Path) {
        self.run(&["trust", "add", principals, text(key), "--owner", text(key.file_stem().unwrap().as_ref())]).exits(0);
    }

    /// Every file of this home holds the password nowhere, except in those named so.
    pub fn keeps_no_password(&self, except: &str) {
        for entry in walkdir::WalkDir::new(self.path()).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file()) {
            let bytes = fs::read(entry.path()).unwrap();
            let found = bytes.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
            assert!(!found || entry.file_name() == except, "{} holds the password", entry.path().display());
        }
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// An image as it was made: what must be at the target in the end.
#[derive(Clone, Debug)]
pub struct Made {
    pub repository: String,
    pub tag: String,
    pub root: String,
    pub manifests: Vec<String>,
    pub blobs: Vec<String>,
}

/// What lies in a registry below a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Digest by `repository:tag`.
    pub tags: BTreeMap<String, String>,
    /// `repository@digest`.
    pub manifests: BTreeSet<String>,
    /// `repository@digest`.
    pub blobs: BTreeSet<String>,
}

impl Inventory {
    /// What these images make.
    pub fn of<'a>(images: impl IntoIterator<Item = &'a Made>) -> Inventory {
        let mut all = Inventory::default();
        for image in images {
            let named = |digest: &String| format!("{}@{digest}", image.repository);
            all.tags.insert(format!("{}:{}", image.repository, image.tag), image.root.clone());
            all.manifests.extend(image.manifests.iter().map(named));
            all.blobs.extend(image.blobs.iter().filter(|d| *d != EMPTY).map(named));
        }
        all
    }

    /// Reads the folder of a docker-registry. Every blob that is linked must be there, whole.
    pub fn read(data: &Path, prefix: &str) -> Inventory {
        let mut all = Inventory::default();
        let top = data.join("docker/registry/v2/repositories").join(prefix);
        let files = walkdir::WalkDir::new(&top).into_iter().filter_map(Result::ok).filter(|e| e.file_name() == "link");
        for file in files {
            let below = text(file.path().strip_prefix(&top).unwrap()).to_owned();
            // Receipts are about the images, not of them.
            if below.starts_with("sealift/receipts/") || below.starts_with("sealift-receipts/") {
                continue;
            }
            // A client that died leaves its last requests at work: a link may be still empty, or just be gone. Neither names anything.
            let Some(digest) = fs::read_to_string(file.path()).ok().filter(|digest| !digest.is_empty()) else { continue };
            if let Some((repository, rest)) = below.split_once("/_manifests/tags/") {
                if let Some(tag) = rest.strip_suffix("/current/link") {
                    all.tags.insert(format!("{repository}:{tag}"), digest);
                }
            } else if let Some((repository, _)) = below.split_once("/_manifests/revisions/") {
                assert!(is_whole(data, &digest), "{repository}@{digest}");
                all.manifests.insert(format!("{repository}@{digest}"));
            } else if let Some((repository, _)) = below.split_once("/_layers/").filter(|_| digest != EMPTY)
                && is_whole(data, &digest)
            {
                all.blobs.insert(format!("{repository}@{digest}"));
            }
        }
        all
    }

    /// Without what holds leave behind.
    pub fn holds(&self) -> Vec<&str> {
        self.tags.keys().filter(|name| name.contains(":sealift-hold-")).map(String::as_str).collect()
    }
}

/// True when the blob is there; wrong bytes under a digest end the test.
fn is_whole(data: &Path, digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap();
    let Ok(bytes) = fs::read(data.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")) else { return false };
    assert_eq!(Digest::sha256(&bytes).to_string(), digest);
    true
}

impl DockerRegistry {
    /// What it holds below a prefix.
    pub fn inventory(&self, prefix: &str) -> Inventory {
        Inventory::read(&self.data(), prefix)
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// A tar with one file.
fn tarball(name: &str, content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, content).unwrap();
    tar.into_inner().unwrap()
}

/// A gzip stream of stored blocks (RFC 1951, 3.2.4; RFC 1952): the same bytes with every version of every library.
fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut pieces = plain.chunks(0xffff).peekable();
    while let Some(piece) = pieces.next() {
        out.push(u8::from(pieces.peek().is_none()));
        let len = piece.len() as u16;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(piece);
    }
    let crc = plain
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 & (!(c & 1)).wrapping_add(1))));
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    out
}

const OCI: &str = "application/vnd.oci.image";
const DOCKER: &str = "application/vnd.docker";

/// A layer that lies in the layout.
#[derive(Clone)]
struct Layer {
    media_type: String,
    digest: String,
    size: usize,
    diff_id: String,
}

/// An OCI layout in the making.
pub struct Outside {
    folder: TempDir,
    pub home: Home,
    pub key: PathBuf,
    entries: Vec<Value>,
    made: BTreeMap<String, Made>,
}

impl Outside {
    /// A packing host with a key `site`, and these images:
    ///
    /// - `team/app:1`, `team/app:2` and `other/app:1` share a layer that is larger than a volume
    /// - `deep/er/web:1` is an index of three platforms
    /// - `legacy:v1` has docker's media types
    /// - `plain:1` has an uncompressed layer and an empty one
    /// - `art/sbom:1` is an artifact with a blob of no bytes
    /// - `big/model:1` has an uncompressed layer of three million bytes
    /// - `moved/team/app:1` is `team/app:1` in name, with other content: what a later set brings
    pub fn new() -> Outside {
        let home = Home::new();
        let key = home.key("site");
        let mut outside = Outside { folder: tempfile::tempdir().unwrap(), home, key, entries: Vec::new(), made: BTreeMap::new() };
        fs::create_dir_all(outside.layout().join("blobs/sha256")).unwrap();
        fs::write(outside.layout().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        outside.fill();
        let index = json!({"schemaVersion": 2, "manifests": outside.entries});
        fs::write(outside.layout().join("index.json"), index.to_string()).unwrap();
        outside
    }

    fn fill(&mut self) {
        let shared = self.layer(1, 500_000);
        let (b, c, d, e) = (self.layer(2, 120_000), self.layer(3, 260_000), self.layer(4, 150_000), self.layer(5, 90_000));
        self.image("team/app:1", "amd64", &[shared.clone(), b.clone()]);
        self.image("team/app:2", "amd64", &[shared.clone(), c.clone()]);
        self.image("other/app:1", "amd64", &[shared.clone(), d.clone()]);
        let members: Vec<(Value, Made)> = ["amd64", "arm64", "s390x"]
            .iter()
            .zip([vec![b.clone(), e.clone()], vec![d], vec![e]])
            .map(|(arch, layers)| self.manifest(arch, &layers, false))
            .collect();
        self.index("deep/er/web:1", members);
        let docker = self.layer(6, 200_000);
        self.docker_image("legacy:v1", &[docker]);
        let raw = self.plain_layer(&tarball("raw", &noise(7, 100_000)), OCI, "layer.v1.tar");
        let empty = self.plain_layer(&gzip(&[0; 1024]), OCI, "layer.v1.tar+gzip");
        self.image("plain:1", "amd64", &[raw, empty]);
        self.artifact("art/sbom:1");
        let big = self.plain_layer(&tarball("big", &noise(9, 3_000_000)), OCI, "layer.v1.tar");
        self.image("big/model:1", "amd64", &[big]);
        let newer = self.layer(8, 110_000);
        self.image("moved/team/app:1", "amd64", &[shared, newer]);
    }

    /// The layout.
    pub fn layout(&self) -> PathBuf {
        self.folder.path().join("layout")
    }

    /// A folder beside the layout.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let digest = Digest::sha256(bytes);
        fs::write(self.layout().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        digest.to_string()
    }

    fn layer(&self, seed: u64, len: usize) -> Layer {
        let plain = tarball(&format!("file-{seed}"), &noise(seed, len));
        let bytes = gzip(&plain);
        let diff_id = Digest::sha256(&plain).to_string();
        Layer { media_type: format!("{OCI}.layer.v1.tar+gzip"), digest: self.blob(&bytes), size: bytes.len(), diff_id }
    }

    fn plain_layer(&self, bytes: &[u8], family: &str, kind: &str) -> Layer {
        let diff_id = match kind.ends_with("gzip") {
            true => Digest::sha256(&[0; 1024]).to_string(),
            false => Digest::sha256(bytes).to_string(),
        };
        Layer { media_type: format!("{family}.{kind}"), digest: self.blob(bytes), size: bytes.len(), diff_id }
    }

    fn config(&self, arch: &str, layers: &[Layer]) -> (String, usize) {
        let ids: Vec<&str> = layers.iter().map(|l| l.diff_id.as_str()).collect();
        let config = json!({"architecture": arch, "os": "linux", "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": ids}, "history": ids.iter().map(|_| json!({"created_by": "test"})).collect::<Vec<_>>()});
        (self.blob(config.to_string().as_bytes()), config.to_string().len())
    }

    /// Descriptor and inventory of an image.
    fn manifest(&self, arch: &str, layers: &[Layer], docker: bool) -> (Value, Made) {
        let (config, size) = self.config(arch, layers);
        let (kind, config_type) = match docker {
            true => (format!("{DOCKER}.distribution.manifest.v2+json"), format!("{DOCKER}.container.image.v1+json")),
            false => (format!("{OCI}.manifest.v1+json"), format!("{OCI}.config.v1+json")),
        };
        let list: Vec<Value> = layers.iter().map(|l| json!({"mediaType": l.media_type, "digest": l.digest, "size": l.size})).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": kind,
            "config": {"mediaType": config_type, "digest": config, "size": size}, "layers": list});
        let bytes = serde_json::to_vec_pretty(&manifest).unwrap();
        let root = self.blob(&bytes);
        let descriptor = json!({"mediaType": kind, "digest": root, "size": bytes.len(), "platform": {"os": "linux", "architecture": arch}});
        let blobs = layers.iter().map(|l| l.digest.clone()).chain([config]).collect();
        (descriptor, Made { repository: String::new(), tag: String::new(), root: root.clone(), manifests: vec![root], blobs })
    }

    fn add(&mut self, name: &str, mut descriptor: Value, made: Made) {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let as_named = name.strip_prefix("moved/").unwrap_or(name);
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": format!("outer.test/{as_named}")});
        self.entries.push(descriptor);
        let repository = repository.strip_prefix("moved/").unwrap_or(repository).to_owned();
        self.made.insert(name.to_owned(), Made { repository, tag: tag.to_owned(), ..made });
    }

    fn image(&mut self, name: &str, arch: &str, layers: &[Layer]) {
        let (descriptor, made) = self.manifest(arch, layers, false);
        self.add(name, descriptor, made);
    }

    fn docker_image(&mut self, name: &str, layers: &[Layer]) {
        let kind = format!("{DOCKER}.image.rootfs.diff.tar.gzip");
        let layers: Vec<Layer> = layers.iter().map(|l| Layer { media_type: kind.clone(), ..l.clone() }).collect();
        let (descriptor, made) = self.manifest("amd64", &layers, true);
        self.add(name, descriptor, made);
    }

    fn index(&mut self, name: &str, members: Vec<(Value, Made)>) {
        let kind = format!("{OCI}.index.v1+json");
        let list: Vec<&Value> = members.iter().map(|(descriptor, _)| descriptor).collect();
        let bytes = serde_json::to_vec_pretty(&json!({"schemaVersion": 2, "mediaType": kind, "manifests": list})).unwrap();
        let root = self.blob(&bytes);
        let manifests = members.iter().map(|(_, made)| made.root.clone()).chain([root.clone()]).collect();
        let blobs = members.iter().flat_map(|(_, made)| made.blobs.clone()).collect();
        let made = Made { repository: String::new(), tag: String::new(), root: root.clone(), manifests, blobs };
        self.add(name, json!({"mediaType": kind, "digest": root, "size": bytes.len()}), made);
    }

    fn artifact(&mut self, name: &str) {
        let sbom = br#"{"spdxVersion":"SPDX-2.3"}"#;
        let (config, content, nothing) = (self.blob(b"{}"), self.blob(sbom), self.blob(b""));
        let manifest = json!({"schemaVersion": 2, "mediaType": format!("{OCI}.manifest.v1+json"), "artifactType": "application/spdx+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/spdx+json", "digest": content, "size": sbom.len()},
                {"mediaType": "application/octet-stream", "digest": nothing, "size": 0}]});
        let bytes = manifest.to_string().into_bytes();
        let root = self.blob(&bytes);
        let made = Made {
            repository: String::new(),
            tag: String::new(),
            root: root.clone(),
            manifests: vec![root.clone()],
            blobs: vec![config, content, nothing],
        };
        self.add(name, json!({"mediaType": format!("{OCI}.manifest.v1+json"), "digest": root, "size": bytes.len()}), made);
    }

    /// An image by its name.
    pub fn made(&self, name: &str) -> &Made {
        &self.made[name]
    }

    /// What these images make at a target.
    pub fn inventory(&self, names: &[&str]) -> Inventory {
        Inventory::of(names.iter().map(|name| self.made(name)))
    }

    /// Packs images into a folder of this name and gives the folder.
    pub fn pack(&self, name: &str, images: &[&str], more: &[&str]) -> PathBuf {
        let out = self.folder(name);
        let wishes: Vec<String> = images.iter().map(|i| format!("oci:{}@{}", self.layout().display(), self.made(i).root)).collect();
        let mut words = vec!["pack", "--no-sync", "--no-read-back"];
        if !more.contains(&"--key") {
            words.extend(["--key", "site"]);
        }
        words.extend(more);
        words.extend(wishes.iter().map(String::as_str));
        words.push(text(&out));
        self.home.run(&words).exits(0);
        out
    }

    /// [`ALL`] in six or so volumes, as `default-100`.
    pub fn set(&self) -> PathBuf {
        self.pack("set", &ALL, &["--sequence", "100", "--volume-size", "300KiB"])
    }

    /// A host that trusts `site` for every stream.
    pub fn inside(&self) -> Home {
        let home = Home::new();
        home.trust("stream:*", &self.key);
        home
    }
}

/// The images of [`Outside::set`].
pub const ALL: [&str; 7] = ["team/app:1", "team/app:2", "other/app:1", "deep/er/web:1", "legacy:v1", "plain:1", "art/sbom:1"];

/// Names of the volumes in a folder, in order.
pub fn volumes(set: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(set).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".tar.zst"));
    names.sort();
    names
}

/// A medium with the documents of a set and these volumes of it.
pub fn medium(set: &Path, with: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(set).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".tar.zst") || with.contains(&name.as_str()) {
            fs::copy(entry.path(), folder.path().join(name)).unwrap();
        }
    }
    folder
}

/// A copy of the whole set, to be spoiled.
pub fn copy(set: &Path) -> TempDir {
    let names = volumes(set);
    medium(set, &names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Signs a file as `site` with OpenSSH's own tool would, through the library: for indexes this program would never make.
pub fn sign(outside: &Outside, index: &[u8]) -> String {
    use sealift::sign::{Namespace, sign_detached};
    let keys = outside.home.path().join("config/keys");
    let signer = sealift::keystore::open_signer(&keys, "site", None, &mut || Err(std::io::Error::other("none"))).unwrap();
    sign_detached(signer.as_ref(), Namespace::Index, index).unwrap()
}

/// Whether a program of others is there; says so where it is not.
pub fn tool(name: &str) -> bool {
    let there = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        super::skip(&format!("there is no {name}"));
    }
    there
}

/// Runs a tool that must succeed and gives what it printed.
#[track_caller]
pub fn must(command: &mut Command) -> Vec<u8> {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Digest of the manifest skopeo finds under a reference (`docker://...`, `oci:...`).
#[track_caller]
pub fn skopeo_digest(reference: &str, more: &[&str]) -> String {
    Digest::sha256(&must(Command::new("skopeo").args(["inspect", "--raw"]).args(more).arg(reference))).to_string()
}

/// Writes a credentials file.
pub fn authfile(folder: &Path, host: &str, user: &str, password: &str) -> PathBuf {
    use base64::Engine as _;
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let path = folder.join("auth.json");
    let mut file = fs::File::create(&path).unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    write!(file, "{}", json!({"auths": {host: {"auth": auth}}})).unwrap();
    path
}
