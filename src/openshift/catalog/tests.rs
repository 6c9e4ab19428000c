//! What a rebuilt catalog has, and has not.

use super::*;
use crate::digest::Digest;
use crate::oci::{Descriptor, Kind, media};
use crate::openshift::build::LayerBuilder;
use crate::openshift::files::testing::{E, Far, archive, gzip, image, index, layout, manifest, put};
use crate::origin::OriginError;
use crate::progress::Silent;
use std::collections::BTreeMap;

const BASE: &[E] = &[E::D("bin"), E::F("bin/opm", "opm"), E::D("tmp"), E::F("etc/os-release", "rhel")];
const DOCUMENTS: &[E] = &[E::D("configs"), E::F("configs/a/catalog.json", "{a}"), E::F("configs/b/catalog.json", "{b}")];
const CACHE: &[E] = &[E::D("tmp"), E::F("tmp/cache/digest", "d"), E::F("tmp/cache/a", "x")];
const MIXED: &[E] = &[E::F("etc/extra", "e"), E::F("configs/c/catalog.json", "{c}"), E::F("tmp/cache/c", "y")];

fn config() -> serde_json::Value {
    serde_json::json!({
        "Labels": {CONFIGS_LABEL: "/configs", "vendor": "v"}, "User": "1001",
        "Entrypoint": ["/bin/opm"], "Cmd": ["serve", "/configs", "--cache-dir=/tmp/cache"],
    })
}

fn layers(entries: &[&[E<'_>]]) -> Vec<Vec<u8>> {
    entries.iter().map(|entries| gzip(&archive(entries))).collect()
}

fn fill(builder: &mut LayerBuilder) -> Result<(), BuildError> {
    builder.bytes("configs/a/catalog.json", b"{filtered}")
}

type Opened<'a> = Result<CatalogImage<'a>, CatalogError>;

fn open<'a>(source: &'a dyn Origin, root: &Descriptor, workspace: &'a Layout, platforms: &[&str]) -> Opened<'a> {
    static SILENT: std::sync::LazyLock<Silent> = std::sync::LazyLock::new(Silent::new);
    let platforms: Vec<Platform> = platforms.iter().map(|p| p.parse().unwrap()).collect();
    CatalogImage::open(source, root.digest, workspace, &platforms, &|| false, &*SILENT)
}

fn read(files: &dyn Files) -> Result<BTreeMap<String, String>, FilesError> {
    let mut seen = BTreeMap::new();
    files.each(&|_| true, &mut |path, content| {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        seen.insert(path.to_owned(), text);
        Ok(Flow::Continue)
    })?;
    Ok(seen)
}

fn rebuilt(entries: &[&[E<'_>]]) -> (BTreeMap<String, String>, Vec<Digest>, Vec<Digest>) {
    let ((_a, source), (_b, workspace)) = (layout(), layout());
    let root = image(&source, "amd64", config(), &layers(entries));
    let made = open(&source, &root, &workspace, &[]).unwrap().rebuild(0, &mut fill).unwrap();
    let of = |layout: &Layout, root: &Descriptor| match manifest(layout, &root.digest).kind {
        Kind::Image { layers, .. } => layers.iter().map(|layer| layer.digest).collect::<Vec<_>>(),
        Kind::Index { .. } => Vec::new(),
    };
    let origin = crate::origin::MadeOrigin::new(workspace.clone(), Some(std::sync::Arc::new(source.clone())));
    let silent = Silent::new();
    let files = ImageFiles::new(&origin, &workspace, manifest(&workspace, &made.root.digest), &|| false, &silent);
    (read(&files).unwrap(), of(&source, &root), of(&workspace, &made.root))
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn layers_of_documents_and_cache_are_left_out() {
    let (files, before, after) = rebuilt(&[BASE, DOCUMENTS, CACHE]);
    let expected = [("bin/opm", "opm"), ("etc/os-release", "rhel"), ("configs/a/catalog.json", "{filtered}")];
    assert_eq!(files, texts(&expected));
    assert_eq!((after.len(), after[0]), (2, before[0]));
}

#[test]
fn in_mixed_layers_they_are_hidden() {
    let (files, before, after) = rebuilt(&[BASE, DOCUMENTS, MIXED, CACHE, &[E::F("etc/os-release", "new")]]);
    let expected = [("bin/opm", "opm"), ("etc/os-release", "new"), ("etc/extra", "e"), ("configs/a/catalog.json", "{filtered}")];
    assert_eq!(files, texts(&expected));
    assert_eq!(after.len(), 5);
    assert_eq!(after[..3], [before[0], before[2], before[4]]);
}

/// Owner and mode of a folder in the layer that hides.
fn said(entries: &[&[E<'_>]]) -> BTreeMap<String, u32> {
    let ((_a, source), (_b, workspace)) = (layout(), layout());
    let mut stored = layers(entries);
    // The first layer's `tmp` has the sticky bit, as in every real image.
    let mut plain = archive(entries[0]);
    let at = (0..plain.len()).step_by(512).find(|at| plain[*at..].starts_with(b"tmp\0"));
    if let Some(at) = at {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&plain[at..at + 512]);
        header.set_mode(0o1777);
        header.set_cksum();
        plain[at..at + 512].copy_from_slice(header.as_bytes());
    }
    stored[0] = gzip(&plain);
    let root = image(&source, "amd64", config(), &stored);
    let made = open(&source, &root, &workspace, &[]).unwrap().rebuild(0, &mut fill).unwrap();
    let Kind::Image { layers, .. } = manifest(&workspace, &made.root.digest).kind else { panic!() };
    let mut modes = BTreeMap::new();
    for layer in layers.iter().filter(|layer| crate::blob::BlobSink::has(&workspace, layer).unwrap() && layer.digest != made.configs.digest)
    {
        let reader = flate2::read::GzDecoder::new(crate::blob::open_verified(&workspace, layer).unwrap());
        for entry in tar::Archive::new(reader).entries().unwrap() {
            let entry = entry.unwrap();
            modes.insert(entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
        }
    }
    modes
}

#[test]
fn folders_keep_their_mode() {
    assert_eq!(said(&[BASE, DOCUMENTS]), BTreeMap::new());
    let marks = [("tmp/".to_owned(), 0o1777), ("tmp/.wh.cache".to_owned(), 0o644)];
    assert_eq!(said(&[&[E::D("tmp"), E::F("x", ""), E::F("tmp/cache/a", "")], DOCUMENTS]), marks.into());
    // The only layer that had the folder goes: it is said again.
    assert_eq!(said(&[&[E::D("tmp"), E::F("tmp/cache/a", "")], &[E::F("x", "")]]), [("tmp/".to_owned(), 0o1777)].into());
    // Nobody has said it.
    assert_eq!(said(&[&[E::F("x", ""), E::F("tmp/cache/a", "")]])["tmp/"], 0o1777);
    // A link leads elsewhere: nothing is put in its place.
    assert_eq!(said(&[&[E::F("x", ""), E::F("tmp/cache/a", "")], &[E::Sym("tmp", "var/tmp")]]), BTreeMap::new());
}

#[test]
fn every_architecture_gets_the_same_documents_and_only_those_asked_for() {
    let ((_a, source), (_b, workspace), (_c, other)) = (layout(), layout(), layout());
    let arm_base: &[E] = &[E::F("bin/opm", "arm"), E::D("tmp")];
    let amd = image(&source, "amd64", config(), &layers(&[BASE, DOCUMENTS, CACHE]));
    let arm = image(&source, "arm64", config(), &layers(&[arm_base, DOCUMENTS, CACHE]));
    let mut about = put(&source, media::OCI_MANIFEST, b"{}");
    about.platform = Some("unknown/unknown".parse().unwrap());
    let root = index(&source, &[amd, about, arm]);
    let far = Far::new(&source);
    let catalog = open(&far, &root, &workspace, &[]).unwrap();
    assert_eq!(read(&catalog.files()).unwrap(), texts(&[("a/catalog.json", "{a}"), ("b/catalog.json", "{b}")]));
    let made = catalog.rebuild(0, &mut fill).unwrap();
    assert_eq!(made, open(&source, &root, &other, &[]).unwrap().rebuild(0, &mut fill).unwrap());
    let mut opened = far.opened.lock().unwrap().clone();
    opened.sort();
    assert!(opened.windows(2).all(|two| two[0] != two[1]), "nothing is fetched twice");
    assert_eq!(made.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let members = manifest(&workspace, &made.root.digest);
    assert_eq!((members.children().len(), members.media_type.as_str()), (2, media::OCI_INDEX));
    for child in members.children() {
        let Kind::Image { layers, .. } = manifest(&workspace, &child.digest).kind else { panic!() };
        assert_eq!(layers.last().unwrap().digest, made.configs.digest);
    }
    let one = open(&source, &root, &workspace, &["linux/arm64"]).unwrap().rebuild(0, &mut fill).unwrap();
    assert_eq!(manifest(&workspace, &one.root.digest).children().len(), 1);
    assert!(matches!(
        open(&source, &root, &workspace, &["linux/s390x"]),
        Err(CatalogError::Files(FilesError::Origin(OriginError::Platform { .. })))
    ));
}

#[test]
fn what_is_no_catalog_is_named() {
    let ((_a, source), (_b, workspace)) = (layout(), layout());
    let of = |labels: serde_json::Value, entries: &[E<'_>]| {
        let root = image(&source, "amd64", serde_json::json!({"Labels": labels}), &layers(&[entries]));
        let catalog = open(&source, &root, &workspace, &[])?;
        Ok(read(&catalog.files())?)
    };
    let label = |folder: &str| serde_json::json!({CONFIGS_LABEL: folder});
    assert!(matches!(of(serde_json::json!({DATABASE_LABEL: "/database/index.db"}), &[]), Err(CatalogError::Database { .. })));
    assert!(matches!(of(serde_json::json!({}), &[]), Err(CatalogError::NoCatalog { .. })));
    for folder in ["/", "", "/tmp", "../etc", "/configs/../.."] {
        assert!(matches!(of(label(folder), &[]), Err(CatalogError::Folder { .. })), "{folder:?}");
    }
    let link = of(label("/a/configs"), &[E::Sym("a", "/etc")]);
    assert!(matches!(link, Err(CatalogError::Files(FilesError::Link { .. }))), "{link:?}");
    let file = of(label("/configs"), &[E::F("configs", "")]);
    assert!(matches!(file, Err(CatalogError::Files(FilesError::Visitor { .. }))), "{file:?}");
    assert_eq!(of(label("./my/configs/"), &[E::F("my/configs/x", "1"), E::F("my/configsx/y", "")]).unwrap(), texts(&[("x", "1")]));
}

#[test]
fn hostile_layers_do_not_pass() {
    let ((_a, source), (_b, workspace)) = (layout(), layout());
    let names: Vec<String> = (0..5000).map(|i| format!("configs/.wh.p{i}")).collect();
    let whiteouts: Vec<E> = names.iter().map(|name| E::F(name, "")).collect();
    let of = |layer: Vec<u8>| {
        let root = image(&source, "amd64", config(), &[gzip(&archive(BASE)), layer]);
        open(&source, &root, &workspace, &[]).unwrap().rebuild(0, &mut fill)
    };
    assert!(of(gzip(&archive(&whiteouts))).is_ok());
    for layer in [gzip(&archive(&[E::F("configs/../../etc/passwd", "")])), vec![b'x'; 1000], b"short".to_vec()] {
        assert!(matches!(of(layer), Err(CatalogError::Files(FilesError::Layer { .. }))));
    }
}

#[test]
fn platforms_with_other_documents_are_told() {
    let ((_a, source), (_b, workspace)) = (layout(), layout());
    // The same documents in layers of their own, as builds on several machines leave them.
    let same = layers(&[BASE, &[E::F("configs/b/catalog.json", "{b}"), E::F("configs/a/catalog.json", "{a}")]]);
    let other = layers(&[BASE, DOCUMENTS, &[E::F("configs/a/catalog.json", "{another a}")]]);
    let fewer = layers(&[BASE, DOCUMENTS, &[E::F("configs/.wh.b", "")]]);
    let members = [("arm64", &other), ("amd64", &layers(&[BASE, DOCUMENTS, CACHE])), ("ppc64le", &same), ("s390x", &fewer)]
        .map(|(arch, layers)| image(&source, arch, config(), layers));
    let root = index(&source, &members);
    let notes = |platforms: &[&str]| open(&source, &root, &workspace, platforms).unwrap().rebuild(0, &mut fill).unwrap().notes;
    let told =
        "has other packages for linux/arm64, linux/s390x than for linux/amd64; what was kept of the latter is carried for all of them";
    let all = notes(&[]);
    assert!(matches!(all.as_slice(), [note] if *note == format!("the catalog {} {told}", root.digest)), "{all:?}");
    assert_eq!(notes(&["linux/amd64", "linux/ppc64le"]), [""; 0]);
    assert_eq!(notes(&["linux/s390x"]), [""; 0]);
}
