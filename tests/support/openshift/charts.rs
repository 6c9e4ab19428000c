//! A real chart whose image is in our registry, and a chart repository of it.

use super::store::{Store, gzip};
use flate2::read::GzDecoder;
use sealift::digest::Digest;
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// The chart with another version; its image exists under the same version.
pub fn chart(store: &Store, data: &Path, version: &str) -> Vec<u8> {
    store.tiny("stefanprodan/podinfo", &[version], &format!("podinfo {version}"));
    // Its hooks name images too.
    for (repository, tag) in [("curlimages/curl", "7.69.0"), ("stefanprodan/grpc_health_probe", "v0.3.0"), ("alpine", "3.11")] {
        store.tiny(repository, &[tag], repository);
    }
    let file = fs::File::open(data.join("charts/podinfo-5.0.0.tgz")).unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut out = tar::Builder::new(Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut header = entry.header().clone();
        let path = entry.path().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if path.ends_with("values.yaml") || path.ends_with("Chart.yaml") {
            let text = String::from_utf8(bytes).unwrap();
            bytes = text.replace("ghcr.io/", &format!("{}/", store.host())).replace("5.0.0", version).into_bytes();
        }
        if path.parent().is_some_and(|folder| folder.ends_with("templates/tests")) {
            let text = String::from_utf8(bytes).unwrap();
            bytes = text.replace(" image: ", &format!(" image: {}/", store.host())).into_bytes();
        }
        header.set_size(bytes.len() as u64);
        out.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    gzip(&out.into_inner().unwrap())
}

/// `index.yaml` of a classic repository with this one chart.
pub fn index(version: &str, chart: &[u8]) -> String {
    format!(
        "apiVersion: v1\nentries:\n  podinfo:\n  - apiVersion: v1\n    name: podinfo\n    version: {version}\n    appVersion: {version}\n    \
         created: 2026-01-01T00:00:00Z\n    digest: {}\n    urls:\n    - podinfo-{version}.tgz\ngenerated: 2026-01-01T00:00:00Z\n",
        Digest::sha256(chart).hex()
    )
}
