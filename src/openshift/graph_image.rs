//! The image that carries the update graph data to the update service.
//!
//! The operator of the update service runs it as an init container that copies the data to a volume: hence a base with a shell and
//! `cp`, and a command that copies (openshift/cincinnati-operator, "Init container"). The same data and base give the same digest.

use super::build::{self, BuildError, Change, Layer, LayerBuilder};
use super::files::{Bad, Blobs, Entries, FilesError, ImageConfig, Kind, plain, selected};
use crate::digest::Digest;
use crate::layout::Layout;
use crate::limits;
use crate::oci::{Descriptor, Platform};
use crate::origin::Origin;
use crate::progress::Progress;
use crate::text::shown;
use std::collections::BTreeMap;
use std::io::{Cursor, Read};

/// Where the data lies in the image.
const FOLDER: &str = "var/lib/cincinnati-graph-data";
/// What the image does.
const COMMAND: [&str; 3] = ["/bin/bash", "-c", "exec cp -rp /var/lib/cincinnati-graph-data/* /var/lib/cincinnati/graph-data"];

/// Why there is no graph image.
#[derive(Debug, thiserror::Error)]
pub enum GraphImageError {
    /// Something else came than the data: an error page, a login form.
    #[error("the update graph data is no gzip archive; it begins with {begin:?}")]
    NoArchive {
        /// Its first characters, safe to print.
        begin: String,
    },
    /// An archive that is not whole, or too large.
    #[error("the update graph data is damaged: {why}")]
    Damaged {
        /// Why, safe to print.
        why: String,
    },
    /// A whole archive of something else.
    #[error("the update graph data is not as it should be: {why}")]
    Content {
        /// Why, safe to print.
        why: String,
    },
    /// The base image has nothing to build upon.
    #[error("the base image {digest} has no member with a platform")]
    NoBase {
        /// The base.
        digest: Digest,
    },
    /// The base image cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The image cannot be stored.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Builds the graph image upon a base: one layer with the data, for each of the base's platforms (or of those given). Its layers
/// below stay where the base is.
///
/// `data` is the archive as it is published (`application/gzip`, a tar with `version` and `channels/`); `mtime` is in seconds since
/// 1970.
///
/// # Errors
/// What is wrong with the data or the base, by name.
#[allow(clippy::too_many_arguments)] // each is one fact from outside
pub fn build(
    data: &[u8],
    base: Digest,
    origin: &dyn Origin,
    workspace: &Layout,
    platforms: &[Platform],
    mtime: u64,
    stopped: &dyn Fn() -> bool,
    progress: &dyn Progress,
) -> Result<Descriptor, GraphImageError> {
    let files = read(data)?;
    let blobs = Blobs { origin, workspace, stopped, progress };
    let (root_bytes, root_manifest) = blobs.manifest(&base)?;
    let members = selected(&base, origin, platforms)?;
    let layer = layer(&files, &Digest::sha256(data), workspace, mtime)?;
    let mut made = Vec::new();
    for member in members {
        let (config, config_bytes) = ImageConfig::read(&member.manifest, blobs)?;
        if member.entry.is_some() && member.platform.is_none() && config.architecture.is_empty() {
            continue;
        }
        let change = Change {
            append: vec![layer.clone()],
            created_by: "sealift: update graph data".into(),
            cmd: Some(COMMAND.map(str::to_owned).into()),
            // Otherwise the command would be its arguments.
            entrypoint: (!config.entrypoint.is_empty()).then(Vec::new),
            ..Change::default()
        };
        let new = build::edit(workspace, (&member.digest, &member.bytes, &member.manifest), &config_bytes, &change)?;
        made.push((member.entry, new));
    }
    if made.is_empty() {
        return Err(GraphImageError::NoBase { digest: base });
    }
    Ok(build::joined(workspace, (&base, &root_bytes, &root_manifest), made)?)
}

fn layer(files: &BTreeMap<String, Vec<u8>>, data: &Digest, workspace: &Layout, mtime: u64) -> Result<Layer, BuildError> {
    let mut builder = LayerBuilder::new(workspace, &format!("graph-{}", data.hex()), mtime)?;
    for (path, content) in files {
        builder.bytes(&format!("{FOLDER}/{path}"), content)?;
    }
    builder.finish()
}

/// The files of the archive, by path.
fn read(data: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, GraphImageError> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        let begin = String::from_utf8_lossy(data.get(..data.len().min(60)).unwrap_or_default()).into_owned();
        return Err(GraphImageError::NoArchive { begin: shown(&begin).to_string() });
    }
    if data.len() as u64 > limits::GRAPH_DATA_BYTES {
        return Err(GraphImageError::Damaged { why: format!("it has more than {} bytes", limits::GRAPH_DATA_BYTES) });
    }
    let reader = plain(Box::new(Cursor::new(data))).map_err(|e| damaged(Bad::Read(e)))?;
    let mut entries = Entries::new(reader).limited(limits::GRAPH_DATA_PLAIN_BYTES);
    let mut files = BTreeMap::new();
    while let Some(entry) = entries.next().map_err(damaged)? {
        let refuse = |why: &str| Err(GraphImageError::Content { why: format!("{} {why}", shown(&entry.path)) });
        match entry.kind {
            Kind::Folder => {}
            Kind::File => {
                let mut content = Vec::new();
                entries.read_to_end(&mut content).map_err(|e| damaged(Bad::Read(e)))?;
                if entry.path.is_empty() || files.insert(entry.path.clone(), content).is_some() {
                    return refuse("is there twice");
                }
            }
            _ => return refuse("is neither a file nor a folder"),
        }
    }
    let channel = |path: &String| path.strip_prefix("channels/").is_some_and(|name| name.ends_with(".yaml"));
    for (there, what) in [(files.contains_key("version"), "version"), (files.keys().any(channel), "channels/*.yaml")] {
        if !there {
            return Err(GraphImageError::Content { why: format!("it has no {what}") });
        }
    }
    Ok(files)
}

fn damaged(bad: Bad) -> GraphImageError {
    let why = match bad {
        Bad::Archive(why) => why,
        Bad::Read(error) => shown(&error.to_string()).to_string(),
    };
    GraphImageError::Damaged { why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openshift::files::testing::{E, archive, gzip, image, index, layout, manifest};
    use crate::openshift::files::{Files, Flow, ImageFiles};
    use crate::progress::Silent;

    const DATA: &[E] = &[E::D("./"), E::F("./version", "1.1.0\n"), E::D("channels"), E::F("channels/stable-4.16.yaml", "name: x\n")];

    fn made(
        data: &[u8],
        base: &Descriptor,
        source: &Layout,
        workspace: &Layout,
        platforms: &[&str],
    ) -> Result<Descriptor, GraphImageError> {
        let platforms: Vec<Platform> = platforms.iter().map(|p| p.parse().unwrap()).collect();
        build(data, base.digest, source, workspace, &platforms, 0, &|| false, &Silent::new())
    }

    #[test]
    fn data_lies_upon_the_base_on_every_platform() {
        let ((_a, source), (_b, workspace), (_c, other)) = (layout(), layout(), layout());
        let amd = image(&source, "amd64", serde_json::json!({"Entrypoint": ["x"]}), &[gzip(&archive(&[E::F("bin/bash", "")]))]);
        let arm = image(&source, "arm64", serde_json::json!({}), &[]);
        let base = index(&source, &[amd, arm]);
        let data = gzip(&archive(DATA));
        let root = made(&data, &base, &source, &workspace, &[]).unwrap();
        assert_eq!(root, made(&data, &base, &source, &other, &[]).unwrap());
        let children = manifest(&workspace, &root.digest).children().to_vec();
        assert_eq!(children.len(), 2);
        let silent = Silent::new();
        let origin = crate::origin::MadeOrigin::new(workspace.clone(), Some(std::sync::Arc::new(source.clone())));
        let blobs = Blobs { origin: &origin, workspace: &workspace, stopped: &|| false, progress: &silent };
        let image = manifest(&workspace, &children[0].digest);
        let (config, _) = ImageConfig::read(&image, blobs).unwrap();
        assert_eq!((config.cmd.as_slice(), config.entrypoint.len()), (COMMAND.map(str::to_owned).as_slice(), 0));
        let mut paths = Vec::new();
        let mut note = |path: &str, _: &mut dyn Read| {
            paths.push(path.to_owned());
            Ok(Flow::Continue)
        };
        ImageFiles::of(blobs, &image).each(&|_| true, &mut note).unwrap();
        paths.sort();
        assert_eq!(paths, ["bin/bash", &format!("{FOLDER}/channels/stable-4.16.yaml"), &format!("{FOLDER}/version")]);
        let one = made(&data, &base, &source, &workspace, &["linux/arm64"]).unwrap();
        assert_eq!(manifest(&workspace, &one.digest).children().len(), 1);
        assert!(matches!(made(&data, &base, &source, &workspace, &["linux/s390x"]), Err(GraphImageError::Files(_))));
    }

    #[test]
    fn the_published_data_is_taken() {
        let named = std::env::var_os("SEALIFT_TEST_DATA").map(std::path::PathBuf::from);
        let path = named.unwrap_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
        let Ok(data) = std::fs::read(path.join("openshift/graph-data.tar.gz")) else {
            println!("skipped: no shared data");
            return;
        };
        let files = read(&data).unwrap();
        assert_eq!(files.len(), 635);
        assert!(files.keys().any(|path| path.starts_with("blocked-edges/")));
    }

    #[test]
    fn error_pages_and_other_archives_are_named() {
        let no_archive = |data: &[u8]| matches!(read(data), Err(GraphImageError::NoArchive { .. }));
        assert!(no_archive(b"<html><body>503 Service Unavailable\x1b[2J</body></html>") && no_archive(b"") && no_archive(&archive(DATA)));
        let damaged = |data: &[u8]| matches!(read(data), Err(GraphImageError::Damaged { .. }));
        let whole = gzip(&archive(DATA));
        assert!(damaged(&whole[..40]) && damaged(&gzip(&[b'x'; 2000])) && damaged(&gzip(&archive(&[E::F("../etc/passwd", "")]))));
        let refused = |entries: &[E<'_>]| matches!(read(&gzip(&archive(entries))), Err(GraphImageError::Content { .. }));
        assert!(refused(&[]) && refused(&[E::F("version", "")]) && refused(&[E::F("channels/a.yaml", "")]));
        assert!(refused(&[E::Sym("version", "/etc/passwd")]) && refused(&[E::F("version", ""), E::F("./version", "")]));
    }
}
