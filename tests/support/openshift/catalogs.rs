//! Operator catalogs: packages of a real one, their images replaced by small ones that exist, and small ones with faults.

use super::store::{Draft, Family, Layer, Store, layer};
use regex::Regex;
use sealift::digest::Digest;
use serde::Deserialize as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

/// Repository of the catalog in the source.
pub const CATALOG: &str = "redhat/community-operator-index";

/// The packages that are taken; small enough, and with every kind of thing in them: tags, digests, both, short names, several
/// channels, dependencies, a default channel that is not the only one.
pub const PACKAGES: [&str; 14] = [
    "apicurio-registry-3",
    "clusterpulse",
    "coherence-operator",
    "ecr-secret-operator",
    "kairos-operator",
    "koku-metrics-operator",
    "kube-green",
    "kubevirt-wol",
    "libredb-studio-operator",
    "multi-nic-cni-operator",
    "odf-node-recovery-operator",
    "rabbitmq-cluster-operator",
    "shipwright-operator",
    "visionone-containersecurity",
];

/// A catalog in the registry.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// `HOST/REPOSITORY:TAG`.
    pub reference: String,
    pub digest: Digest,
    /// Its files: package, and the text of `catalog.yaml`.
    pub packages: BTreeMap<String, String>,
    /// Images as the real catalog names them, and what stands here in their place.
    pub images: BTreeMap<String, String>,
    /// Images by bundle; found out when first asked for, which takes a while.
    bundles: OnceLock<BTreeMap<String, BTreeSet<String>>>,
}

impl Catalog {
    /// The images that these bundles name: their own and the related ones.
    pub fn images_of(&self, bundles: &BTreeSet<String>) -> BTreeSet<String> {
        let all = self.bundles.get_or_init(|| self.packages.values().flat_map(|text| images_by_bundle(text)).collect());
        bundles.iter().flat_map(|bundle| all.get(bundle).unwrap_or_else(|| panic!("there is no bundle {bundle}"))).cloned().collect()
    }

    /// A listing of the real catalog (`KIND WORDS` in lines), with the images that stand here.
    pub fn here(&self, listing: &str) -> String {
        let line = |line: &str| match line.strip_prefix("image ") {
            Some(image) => format!("image {}\n", self.images.get(image).unwrap_or_else(|| panic!("{image} is in no bundle"))),
            None => format!("{line}\n"),
        };
        listing.lines().map(line).collect()
    }
}

fn images_by_bundle(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    let bundles = documents.filter(|document| document["schema"] == "olm.bundle").map(|bundle| {
        let related = bundle["relatedImages"].as_array().into_iter().flatten().map(|image| &image["image"]);
        let images = related.chain([&bundle["image"]]).filter_map(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned);
        (bundle["name"].as_str().unwrap().to_owned(), images.collect())
    });
    bundles.collect()
}

/// The real catalog: text by package.
fn unpacked(data: &Path) -> BTreeMap<String, String> {
    let file = fs::File::open(data.join("fbc/community-v4.17.tar.zst")).unwrap();
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut all = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if path.ends_with("catalog.yaml") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let package = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
            all.insert(package.to_owned(), text);
        }
    }
    all
}

/// The catalog of [`PACKAGES`] as `v4.17`, with every image its bundles name.
pub fn make(store: &Store, data: &Path) -> Catalog {
    let mut packages = unpacked(data);
    packages.retain(|name, _| PACKAGES.contains(&name.as_str()));
    rewritten(store, packages, "v4.17")
}

/// The whole of the real catalog as `v4.17-whole`: 29 packages, two thousand images.
pub fn make_whole(store: &Store, data: &Path) -> Catalog {
    rewritten(store, unpacked(data), "v4.17-whole")
}

fn rewritten(store: &Store, mut packages: BTreeMap<String, String>, tag: &str) -> Catalog {
    let mut images = Images { store, made: BTreeMap::new() };
    let line = Regex::new(r#"(?m)^( *(?:- )?image: *['"]?)([^\s'"]+/[^\s'"]+)(['"]?)$"#).unwrap();
    for text in packages.values_mut() {
        let changed = line.replace_all(text, |found: &regex::Captures<'_>| format!("{}{}{}", &found[1], images.here(&found[2]), &found[3]));
        *text = changed.into_owned();
    }
    let files: Vec<(String, String)> = packages.iter().map(|(name, text)| (format!("configs/{name}/catalog.yaml"), text.clone())).collect();
    let digest = push(store, CATALOG, tag, &files);
    Catalog { reference: format!("{}/{CATALOG}:{tag}", store.host()), digest, packages, images: images.made, bundles: OnceLock::new() }
}

/// Images of the real catalog and what stands here in their place.
struct Images<'a> {
    store: &'a Store,
    made: BTreeMap<String, String>,
}

impl Images<'_> {
    /// The same path in this registry; a digest becomes that of the small image.
    fn here(&mut self, original: &str) -> String {
        if let Some(known) = self.made.get(original) {
            return known.clone();
        }
        let (name, digest) = original.split_once('@').map_or((original, None), |(name, digest)| (name, Some(digest)));
        let (path, tag) = match name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let (first, below) = path.split_once('/').unwrap();
        let path = if first.contains(['.', ':']) { below } else { path };
        // Two hosts may have the same path and tag; here they are one image.
        let words = format!("{path} {}", digest.or(tag).unwrap());
        let tags: Vec<&str> = tag.into_iter().collect();
        let written = self.store.tiny(path, &tags, &words);
        let tag = tag.map_or(String::new(), |tag| format!(":{tag}"));
        let digest = digest.map_or(String::new(), |_| format!("@{}", written.digest()));
        let here = format!("{}/{path}{tag}{digest}", self.store.host());
        self.made.insert(original.to_owned(), here.clone());
        here
    }
}

/// A catalog image as opm makes it, for two architectures: base, configs, cache.
fn push(store: &Store, repository: &str, tag: &str, files: &[(String, String)]) -> Digest {
    let labels = json!({ "operators.operatorframework.io.index.configs.v1": "/configs" });
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let configs = layer(&files);
    let cache = layer(&[("tmp/cache/digest", b"0123456789abcdef"), ("tmp/cache/pogreb.v1/db/main.pix", b"of the catalog as it was")]);
    two(store, repository, tag, &labels, &[configs, cache])
}

fn two(store: &Store, repository: &str, tag: &str, labels: &Value, upper: &[Layer]) -> Digest {
    let members = ["amd64", "arm64"].map(|architecture| {
        let base = layer(&[("bin/opm", format!("opm for {architecture}").as_bytes()), ("bin/grpc_health_probe", b"probe")]);
        let layers: Vec<Layer> = [base].into_iter().chain(upper.iter().cloned()).collect();
        let config = json!({ "Labels": labels, "Entrypoint": ["/bin/opm"], "Cmd": ["serve", "/configs", "--cache-dir=/tmp/cache"],
            "User": "1001", "WorkingDir": "/" });
        store.image(repository, &[], &Draft { family: Family::Oci, architecture, config, layers: &layers })
    });
    store.index(repository, &[tag], Family::Oci, &members).digest()
}

/// A catalog whose content is an SQLite file, as all were before 4.11. Gives its reference.
pub fn sqlite(store: &Store) -> String {
    let labels = json!({ "operators.operatorframework.io.index.database.v1": "/database/index.db" });
    two(store, "odd/sqlite-index", "v4.10", &labels, &[layer(&[("database/index.db", b"SQLite format 3\0")])]);
    format!("{}/odd/sqlite-index:v4.10", store.host())
}

/// A catalog of one package `probe` with these channel entries `(name, replaces)`, and one bundle for each name. The bundle and
/// its related image exist, except those of versions in `missing`, whose related image does not.
pub fn small(store: &Store, tag: &str, entries: &[(&str, &str)], missing: &[&str]) -> String {
    let mut documents = vec![json!({ "schema": "olm.package", "name": "probe", "defaultChannel": "stable" })];
    let listed: Vec<Value> = entries
        .iter()
        .map(|(name, replaces)| if replaces.is_empty() { json!({ "name": name }) } else { json!({ "name": name, "replaces": replaces }) })
        .collect();
    documents.push(json!({ "schema": "olm.channel", "name": "stable", "package": "probe", "entries": listed }));
    for (name, _) in entries {
        let (_, version) = name.split_once(".v").unwrap();
        let bundle = store.tiny("probe/bundle", &[], &format!("bundle {version}")).digest();
        let operand = match missing.contains(&version) {
            true => Digest::sha256(format!("there is no operand {version}").as_bytes()),
            false => store.tiny("probe/operand", &[], &format!("operand {version}")).digest(),
        };
        let (bundle, operand) = (format!("{}/probe/bundle@{bundle}", store.host()), format!("{}/probe/operand@{operand}", store.host()));
        documents.push(json!({ "schema": "olm.bundle", "name": name, "package": "probe", "image": bundle,
            "properties": [{ "type": "olm.package", "value": { "packageName": "probe", "version": version } }],
            "relatedImages": [{ "name": "", "image": bundle }, { "name": "operand", "image": operand }] }));
    }
    let text = documents.iter().map(|document| format!("{document}\n")).collect::<String>();
    push(store, "odd/small-index", tag, &[("configs/probe/catalog.json".to_owned(), text)]);
    format!("{}/odd/small-index:{tag}", store.host())
}
