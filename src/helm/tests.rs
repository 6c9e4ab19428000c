//! Real charts, hostile charts, and helm as a program.

use super::*;
use crate::digest::Digest;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

fn never() -> bool {
    false
}

/// A real chart of the foreign test data, if it is there.
fn real(name: &str) -> Option<Package> {
    let named = std::env::var_os("SEALIFT_TEST_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"));
    if !folder.is_dir() {
        eprintln!("skipped: no shared data");
        return None;
    }
    Some(Package::open(&folder.join("charts").join(name)).unwrap())
}

fn names(images: &Images) -> Vec<String> {
    images.sources.iter().map(Source::to_string).collect()
}

fn read_images(package: &Package) -> Images {
    package.images(&[], &Settings::default(), &never).unwrap()
}

#[test]
fn podinfo() {
    let Some(package) = real("podinfo-5.0.0.tgz") else { return };
    let images = read_images(&package);
    assert_eq!(
        names(&images),
        [
            "docker.io/curlimages/curl:7.69.0",
            "docker.io/library/alpine:3.11",
            "docker.io/stefanprodan/grpc_health_probe:v0.3.0",
            "ghcr.io/stefanprodan/podinfo:5.0.0",
        ]
    );
    let notes = images.notes.join("\n");
    assert!(notes.contains("without rendering") && notes.contains("install helm"), "{notes}");
    assert!(notes.contains("giantswarm/tiny-tools"), "what has no tag is told: {notes}");
    assert!(notes.contains("switches it off: redis:6.0.1"), "{notes}");
}

#[test]
fn ingress_nginx() {
    let Some(package) = real("ingress-nginx-4.12.1.tgz") else { return };
    let images = read_images(&package);
    assert_eq!(
        names(&images),
        [
            "registry.k8s.io/ingress-nginx/controller:v1.12.1@sha256:d2fbc4ec70d8aa2050dd91a91506e998765e86c96f32cffb56c503c9c34eed5b",
            "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.5.2@sha256:e8825994b7a2c7497375a9b945f386506ca6a3eda80b89b74ef2db743f66a5ea",
        ]
    );
}

#[test]
fn a_chart_with_an_aliased_sub_chart() {
    let Some(package) = real("my-chart-with-subchart-alias-0.1.0.tgz") else { return };
    let images = read_images(&package);
    assert_eq!(
        names(&images),
        ["docker.io/library/nginx:1.16.0", "quay.io/fedora/postgresql-15:latest", "quay.io/rhdh-community/rhdh:next"],
        "{:#?}",
        images.notes
    );
    assert!(images.notes.iter().any(|n| n.contains("busybox")), "{:#?}", images.notes);
}
