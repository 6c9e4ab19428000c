//! Catalogs that other people's tools made are built again, and other people's tools read what came of it.

use crate::support::skip;
use sealift::digest::Digest;
use sealift::image_set::Source;
use sealift::layout::Layout;
use sealift::oci::{Descriptor, Kind, Manifest};
use sealift::openshift::build::{BuildError, LayerBuilder};
use sealift::openshift::catalog::{CatalogImage, Rebuilt};
use sealift::openshift::files::{Files, Flow};
use sealift::openshift::graph_image;
use sealift::origin::{MadeOrigin, Origin, fetch_into};
use sealift::progress::Silent;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

type Tree = BTreeMap<String, String>;

/// A folder with a layout that umoci fills.
struct Workshop {
    temp: tempfile::TempDir,
}

impl Workshop {
    /// `None` where a tool is missing; then the test says so and ends.
    fn new() -> Option<Workshop> {
        for tool in ["umoci", "skopeo"] {
            if Command::new(tool).arg("--version").output().is_err() {
                skip(&format!("there is no {tool}"));
                return None;
            }
        }
        let shop = Workshop { temp: tempfile::tempdir().unwrap() };
        shop.umoci(&["init", "--layout", &shop.text("src")]);
        shop.umoci(&["new", "--image", &shop.image("base")]);
        Some(shop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn image(&self, tag: &str) -> String {
        format!("{}:{tag}", self.text("src"))
    }

    fn umoci(&self, words: &[&str]) {
        must(Command::new("umoci").args(words));
    }

    /// Adds a layer with these files to an image, as a build would: the whole of it is diffed against what was unpacked.
    fn layer(&self, from: &str, tag: &str, files: &[(&str, &str)], folders: &[(&str, u32)]) {
        let bundle = self.text(&format!("bundle-{tag}"));
        self.umoci(&["unpack", "--rootless", "--image", &self.image(from), &bundle]);
        let root = PathBuf::from(&bundle).join("rootfs");
        for (folder, mode) in folders {
            fs::create_dir_all(root.join(folder)).unwrap();
            fs::set_permissions(root.join(folder), fs::Permissions::from_mode(*mode)).unwrap();
        }
        for (path, content) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), content).unwrap();
        }
        self.umoci(&["repack", "--image", &self.image(tag), &bundle]);
    }

    fn catalog(&self) -> Descriptor {
        self.layer("base", "one", &[("bin/opm", "program"), ("etc/os-release", "rhel")], &[("tmp", 0o1777)]);
        self.layer("one", "two", &[("configs/a/catalog.json", "{a}"), ("configs/b/catalog.json", "{b}")], &[]);
        self.layer("two", "three", &[("tmp/cache/digest", "d"), ("tmp/cache/pkgs/a", "x")], &[]);
        self.layer("three", "four", &[("etc/extra", "e"), ("configs/c/catalog.json", "{c}"), ("tmp/cache/pkgs/c", "y")], &[]);
        let label = "operators.operatorframework.io.index.configs.v1=/configs";
        let image = self.image("four");
        let words = ["config", "--image", &image, "--config.label", label, "--config.entrypoint", "/bin/opm"];
        let cmd = ["--config.cmd", "serve", "--config.cmd", "/configs", "--config.cmd", "--cache-dir=/tmp/cache"];
        self.umoci(&[&words[..], &cmd[..]].concat());
        self.source().resolve(Some("four")).unwrap()
    }

    fn source(&self) -> Layout {
        Layout::open(&self.path("src")).unwrap()
    }

    fn workspace(&self, name: &str) -> Layout {
        Layout::create(&self.path(name)).unwrap().durable(false)
    }

    /// Completes what was made from its base, as packing does, and unpacks it with umoci.
    fn unpacked(&self, workspace: &Layout, root: &Descriptor) -> (Tree, BTreeMap<String, u32>) {
        complete(workspace, &self.source(), &root.digest);
        workspace.tag("made", root).unwrap();
        let bundle = self.path("made-bundle");
        let named = format!("{}:made", workspace.path().display());
        self.umoci(&["unpack", "--rootless", "--image", &named, &bundle.display().to_string()]);
        tree(&bundle.join("rootfs"))
    }
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn complete(workspace: &Layout, base: &Layout, root: &Digest) {
    let origin = MadeOrigin::new(workspace.clone(), Some(Arc::new(base.clone())));
    let (bytes, media_type) = origin.manifest(root).unwrap();
    let manifest = Manifest::parse(&bytes, media_type.as_deref()).unwrap();
    manifest.children().iter().for_each(|child| complete(workspace, base, &child.digest));
    for blob in manifest.blobs() {
        fetch_into(workspace, &origin, blob, &|| false, &Silent::new()).unwrap();
    }
}

/// Files with their content, and folders with their mode.
fn tree(root: &Path) -> (Tree, BTreeMap<String, u32>) {
    let (mut files, mut folders) = (Tree::new(), BTreeMap::new());
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().display().to_string();
        if entry.file_type().is_dir() {
            folders.insert(path, entry.metadata().unwrap().permissions().mode() & 0o7777);
        } else {
            files.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
    (files, folders)
}

fn filtered(builder: &mut LayerBuilder) -> Result<(), BuildError> {
    builder.bytes("configs/a/catalog.json", b"{only a}")
}

fn rebuilt(source: &dyn Origin, root: &Descriptor, workspace: &Layout) -> Rebuilt {
    let silent = Silent::new();
    let catalog = CatalogImage::open(source, root.digest, workspace, &[], &|| false, &silent).unwrap();
    let mut seen = BTreeSet::new();
    let mut note = |path: &str, _: &mut dyn io::Read| {
        seen.insert(path.to_owned());
        Ok(Flow::Continue)
    };
    catalog.files().each(&|_| true, &mut note).unwrap();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a/catalog.json", "b/catalog.json", "c/catalog.json"]);
    catalog.rebuild(0, &mut filtered).unwrap()
}

#[test]
fn a_filtered_catalog_is_what_the_filter_left_and_nothing_of_the_old_cache() {
    let Some(shop) = Workshop::new() else { return };
    let root = shop.catalog();
    let (one, two) = (shop.workspace("one"), shop.workspace("two"));
    let made = rebuilt(&shop.source(), &root, &one);
    assert_eq!(made, rebuilt(&shop.source(), &root, &two), "the same on every run");
    assert_eq!(made.notes, Vec::<String>::new());
    let (files, folders) = shop.unpacked(&one, &made.root);
    let expected = [("bin/opm", "program"), ("configs/a/catalog.json", "{only a}"), ("etc/extra", "e"), ("etc/os-release", "rhel")];
    assert_eq!(files, expected.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
    assert_eq!((folders["tmp"], folders["configs"]), (0o1777, 0o755));
    assert!(!folders.contains_key("tmp/cache") && !folders.contains_key("configs/b"));

    let bytes = one.manifest(&made.root.digest).unwrap();
    let Kind::Image { config, layers } = Manifest::parse(&bytes, None).unwrap().kind else { panic!("an image") };
    // Of four layers two held nothing but documents and cache; two came: what hides the rest, and the documents.
    assert_eq!((layers.len(), layers.last().unwrap().digest), (4, made.configs.digest));
    let config: serde_json::Value = serde_json::from_slice(&one.manifest(&config.digest).unwrap()).unwrap();
    assert_eq!(config["config"]["Cmd"], serde_json::json!(["serve", "/configs"]));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/bin/opm"]));

    // skopeo compares every layer with the configuration's list when it writes another form.
    let from = format!("oci:{}:made", one.path().display());
    for to in [format!("dir:{}", shop.text("dir")), format!("docker-archive:{}", shop.text("archive.tar"))] {
        must(Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &to]));
    }
}

#[test]
fn the_graph_image_unpacks_upon_its_base() {
    let Some(shop) = Workshop::new() else { return };
    shop.layer("base", "ubi", &[("bin/bash", "shell")], &[("var/lib", 0o755)]);
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (path, content) in [("version", "1.1.0"), ("channels/stable-4.16.yaml", "name: stable-4.16"), ("LICENSE", "terms")] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_uid(1000850000);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let data = tar.into_inner().unwrap().finish().unwrap();
    let (source, workspace) = (shop.source(), shop.workspace("work"));
    let name = Source::parse(&format!("oci:{}:ubi", shop.text("src"))).unwrap();
    let (base, _) = Origin::resolve(&source, &name).unwrap();
    let build = |workspace| graph_image::build(&data, base, &source, workspace, &[], 0, &|| false, &Silent::new()).unwrap();
    let root = build(&workspace);
    assert_eq!(root, build(&shop.workspace("again")));
    let (files, folders) = shop.unpacked(&workspace, &root);
    let below = |name: &str| format!("var/lib/cincinnati-graph-data/{name}");
    assert_eq!(files[&below("channels/stable-4.16.yaml")], "name: stable-4.16");
    assert_eq!((files.len(), folders[&below("channels")]), (4, 0o755));
    let mode = fs::metadata(shop.path("made-bundle/rootfs").join(below("version"))).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o644);
    let from = format!("oci:{}:made", workspace.path().display());
    must(Command::new("skopeo").args(["--insecure-policy", "copy", "--quiet", &from, &format!("dir:{}", shop.text("dir"))]));
}
