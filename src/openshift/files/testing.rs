//! Images made up for tests.

use crate::blob::BlobSink;
use crate::digest::Digest;
use crate::image_set::Source;
use crate::layout::Layout;
use crate::oci::{Descriptor, Manifest, media};
use crate::origin::{Origin, OriginError};
use std::io::{Cursor, Read, Write};
use std::sync::Mutex;

/// A folder that is gone with the value, and a layout in it.
pub fn layout() -> (tempfile::TempDir, Layout) {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(&temp.path().join("l")).unwrap().durable(false);
    (temp, layout)
}

/// One entry of a test archive.
pub enum E<'a> {
    F(&'a str, &'a str),
    D(&'a str),
    Hard(&'a str, &'a str),
    Sym(&'a str, &'a str),
}

/// An archive; paths go in as they are, since hostile ones are to be tried.
pub fn archive(entries: &[E<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let (path, kind, link, content) = match entry {
            E::F(path, content) => (*path, tar::EntryType::Regular, "", *content),
            E::D(path) => (*path, tar::EntryType::Directory, "", ""),
            E::Hard(path, to) => (*path, tar::EntryType::Link, *to, ""),
            E::Sym(path, to) => (*path, tar::EntryType::Symlink, *to, ""),
        };
        raw(&mut bytes, path.as_bytes(), kind, link, content.as_bytes());
    }
    bytes.extend([0; 1024]);
    bytes
}

/// One entry with header and content.
pub fn raw(bytes: &mut Vec<u8>, path: &[u8], kind: tar::EntryType, link: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    if path.len() > 100 {
        raw(bytes, b"././@LongLink", tar::EntryType::GNULongName, "", path);
    }
    for (to, from) in header.as_old_mut().name.iter_mut().zip(path) {
        *to = *from;
    }
    for (to, from) in header.as_old_mut().linkname.iter_mut().zip(link.as_bytes()) {
        *to = *from;
    }
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    bytes.extend(header.as_bytes());
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn put(layout: &Layout, media_type: &str, bytes: &[u8]) -> Descriptor {
    let descriptor = Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64);
    let bytes = bytes.to_vec();
    layout.put(&descriptor, &mut || Ok(Box::new(Cursor::new(bytes.clone())))).unwrap();
    descriptor
}

/// An image of these layers (as they are stored), lowest first, with this `config` member.
pub fn image(layout: &Layout, arch: &str, config: serde_json::Value, layers: &[Vec<u8>]) -> Descriptor {
    let plain = |layer: &Vec<u8>| {
        let mut bytes = Vec::new();
        let _ = super::plain(Box::new(Cursor::new(layer.clone()))).map(|mut r| r.read_to_end(&mut bytes));
        Digest::sha256(&bytes)
    };
    let diff_ids: Vec<Digest> = layers.iter().map(plain).collect();
    let history: Vec<serde_json::Value> = (0..layers.len())
        .flat_map(|i| {
            [serde_json::json!({"created_by": format!("layer {i}")}), serde_json::json!({"created_by": "ENV", "empty_layer": true})]
        })
        .collect();
    let document = serde_json::json!({
        "architecture": arch, "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
    });
    let config = put(layout, media::OCI_CONFIG, document.to_string().as_bytes());
    let layers: Vec<Descriptor> = layers.iter().map(|layer| put(layout, "application/vnd.oci.image.layer.v1.tar+gzip", layer)).collect();
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers});
    let mut root = put(layout, media::OCI_MANIFEST, manifest.to_string().as_bytes());
    root.platform = Some(format!("linux/{arch}").parse().unwrap());
    root
}

pub fn index(layout: &Layout, members: &[Descriptor]) -> Descriptor {
    let document =
        serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members, "annotations": {"kept": "yes"}});
    put(layout, media::OCI_INDEX, document.to_string().as_bytes())
}

pub fn manifest(layout: &Layout, digest: &Digest) -> Manifest {
    Manifest::parse(&layout.manifest(digest).unwrap(), None).unwrap()
}

/// A source that is not on this machine, and counts what is taken from it.
pub struct Far {
    pub layout: Layout,
    pub opened: Mutex<Vec<Digest>>,
}

impl Far {
    pub fn new(layout: &Layout) -> Far {
        Far { layout: layout.clone(), opened: Mutex::default() }
    }
}

impl Origin for Far {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        Origin::resolve(&self.layout, source)
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        Origin::manifest(&self.layout, digest)
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        self.opened.lock().unwrap().push(blob.digest);
        Origin::open_at(&self.layout, blob, offset)
    }
}
