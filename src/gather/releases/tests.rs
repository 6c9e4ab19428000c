//! Releases from a registry and an update service in memory, every request counted.

use super::proof::Proof;
use super::*;
use crate::digest::Digest;
use crate::error::{Code, Error};
use crate::format::{DocumentKind, Role};
use crate::gather::ReleaseSettings;
use crate::image_set::VersionRange;
use crate::layout::Layout;
use crate::oci::{Descriptor, Platform, Reference, media};
use crate::openshift::signature::StoreError;
use crate::origin::{Origin, OriginError, Origins};
use crate::progress::Silent;
use crate::web::{Get, Web, WebError};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};

/// A registry and an update service.
#[derive(Clone, Default)]
struct Outside {
    content: BTreeMap<Digest, Vec<u8>>,
    tags: BTreeMap<String, Digest>,
    graphs: BTreeMap<String, String>,
    unsigned: Vec<Digest>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Outside {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    /// How often each thing was asked for, the most often first.
    fn counts(&self) -> Vec<(usize, String)> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        self.asked.lock().unwrap().iter().for_each(|what| *counts.entry(what.clone()).or_default() += 1);
        let mut counts: Vec<(usize, String)> = counts.into_iter().map(|(what, n)| (n, what)).collect();
        counts.sort_by(|a, b| b.cmp(a));
        counts
    }

    fn put(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        self.content.insert(descriptor.digest, bytes);
        descriptor
    }

    fn image(&mut self, architecture: &str, files: &[(&str, String)]) -> Descriptor {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("release-manifests/{path}"), text.as_bytes()).unwrap();
        }
        let layer = archive.into_inner().unwrap();
        let diff_id = Digest::sha256(&layer);
        let layer = self.put("application/vnd.oci.image.layer.v1.tar", layer);
        // Below it lies what need not be fetched.
        let base = self.put("application/vnd.oci.image.layer.v1.tar", vec![0; 1024]);
        let diff_ids = [base.digest, diff_id];
        let config = serde_json::json!({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.put(media::OCI_CONFIG, config.to_string().into_bytes());
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [base, layer]});
        let mut root = self.put(media::OCI_MANIFEST, manifest.to_string().into_bytes());
        root.platform = Some(format!("linux/{architecture}").parse().unwrap());
        root
    }

    fn release(&mut self, version: &str, architecture: &str) -> Digest {
        self.image(architecture, &files(version, false)).digest
    }

    fn multi(&mut self, version: &str) -> Digest {
        let members = [self.image("amd64", &files(version, true)), self.image("arm64", &files(version, true))];
        let index = serde_json::json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members});
        self.put(media::OCI_INDEX, index.to_string().into_bytes()).digest
    }

    /// A graph of a channel, each version joined with the next.
    fn graph(&mut self, channel: &str, architecture: &str, releases: &[(&str, Digest)]) {
        let node = |(version, digest): &(&str, Digest)| serde_json::json!({"version": version, "payload": format!("{REPO}@{digest}")});
        let edges: Vec<_> = (1..releases.len()).map(|to| (to - 1, to)).collect();
        let graph = serde_json::json!({"version": 1, "nodes": releases.iter().map(node).collect::<Vec<_>>(), "edges": edges});
        self.graphs.insert(format!("{channel} {architecture}"), graph.to_string());
    }
}

const REPO: &str = "quay.io/ocp/release";

fn content(name: &str) -> String {
    format!("quay.io/ocp/content@{}", Digest::sha256(name.as_bytes()))
}

fn files(version: &str, multi: bool) -> Vec<(&'static str, String)> {
    let tag = |name: &str, of: &str| serde_json::json!({"name": name, "from": {"kind": "DockerImage", "name": content(of)}});
    // Two names of one image; the first is the same in all releases.
    let tags = [tag("cli", "cli"), tag("cli-artifacts", "cli"), tag("etcd", version)];
    let references = serde_json::json!({"kind": "ImageStream", "metadata": {"name": version}, "spec": {"tags": tags}});
    let architecture = if multi { serde_json::json!({"release.openshift.io/architecture": "multi"}) } else { serde_json::json!({}) };
    let metadata = serde_json::json!({"kind": "cincinnati-metadata-v0", "version": version, "metadata": architecture});
    let disk = |of: &str| serde_json::json!({"images": {"kubevirt": {"digest-ref": content(of)}}});
    let stream = serde_json::json!({"architectures": {"x86_64": disk("disk"), "s390x": disk("disk-z"), "aarch64": {}}});
    let boot = serde_json::json!({"kind": "ConfigMap", "data": {"stream": stream.to_string()}});
    vec![
        ("image-references", references.to_string()),
        ("release-metadata", metadata.to_string()),
        ("0000_50_installer_coreos-bootimages.yaml", boot.to_string()),
    ]
}

impl Origin for Outside {
    fn resolve(&self, source: &Source) -> Result<(Digest, Option<String>), OriginError> {
        let Source::Registry(reference) = source else { unreachable!() };
        if let Some(digest) = reference.digest {
            return Ok((digest, None));
        }
        let tag = reference.tag.clone().unwrap_or_default();
        self.note(format!("HEAD {tag}"));
        let found = self.tags.get(&tag).copied();
        Ok((found.ok_or(OriginError::NoImage { name: reference.name(), tag })?, None))
    }

    fn manifest(&self, digest: &Digest) -> Result<(Vec<u8>, Option<String>), OriginError> {
        self.note(format!("manifest {digest}"));
        let none = || OriginError::Layout(crate::layout::Error::NoBlob { path: "memory".into(), digest: *digest });
        Ok((self.content.get(digest).ok_or_else(none)?.clone(), None))
    }

    fn open_at(&self, blob: &Descriptor, offset: u64) -> Result<Box<dyn Read + Send>, OriginError> {
        self.note(format!("blob {}", blob.digest));
        let mut bytes = self.content[&blob.digest].clone();
        Ok(Box::new(Cursor::new(bytes.split_off(offset as usize))))
    }
}

/// As in the program: what was answered once is not asked for again.
struct Once(Arc<crate::origin::Remembering<Outside>>);

impl Origins for Once {
    fn open(&self, _: &Source) -> Result<Arc<dyn Origin>, OriginError> {
        Ok(self.0.clone())
    }
}

impl Web for Outside {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        self.note(format!("GET {}", request.url));
        let (_, query) = request.url.split_once('?').unwrap();
        let value = |key: &str| query.split('&').find_map(|pair| pair.strip_prefix(key)).unwrap().to_owned();
        let name = format!("{} {}", value("channel="), value("arch="));
        let empty = || r#"{"version":1,"nodes":[],"edges":[]}"#.to_owned();
        Ok(self.graphs.get(&name).cloned().unwrap_or_else(empty).into_bytes())
    }
}

impl ReleaseProof for Outside {
    fn prove(&self, digest: &Digest) -> Result<Vec<Proof>, StoreError> {
        self.note(format!("proof {digest}"));
        match self.unsigned.contains(digest) {
            true => Err(StoreError::Missing { digest: *digest, stores: vec!["https://store.example".into()] }),
            false => {
                let proof = |(number, raw): (u32, &[u8])| Proof { number, reference: "r:4.16.3-x86_64".into(), raw: raw.to_vec() };
                Ok([(1, &b"first"[..]), (3, b"third")].map(proof).into())
            }
        }
    }
}

/// Runs with a world around `outside`.
fn within<R>(outside: &Outside, ignore: bool, run: impl FnOnce(&World<'_>) -> R) -> R {
    let temp = tempfile::tempdir().unwrap();
    let workspace = Layout::create(&temp.path().join("w")).unwrap().durable(false);
    let origins = Once(Arc::new(crate::origin::Remembering::new(outside.clone())));
    let progress = Silent::new();
    run(&World {
        origins: &origins,
        web: outside,
        workspace: &workspace,
        progress: &progress,
        parallel: 3,
        folder: temp.path().to_owned(),
        releases: ReleaseSettings {
            graph_url: "https://graph.example/v1".into(),
            okd_graph_url: "https://okd.example/graph?x=1".into(),
            ignore_signature: ignore,
            ..ReleaseSettings::default()
        },
        operators: Default::default(),
        helm: Default::default(),
    })
}

fn gather(outside: &Outside, wanted: &Releases) -> Result<Gathered, GatherError> {
    within(outside, false, |world| with_proof(wanted, world, outside))
}

fn channel(name: &str, min: Option<&str>, max: Option<&str>) -> Channel {
    let version = |text: &str| text.parse().unwrap();
    let range = VersionRange { min: min.map(version), max: max.map(version) };
    Channel { name: name.into(), channel_type: ChannelType::Ocp, range, shortest_path: false, full: false }
}

fn of_channel(channel: Channel) -> Releases {
    Releases { channels: vec![channel], ..Releases::default() }
}

/// Role, source, target and part of all asks.
fn told(gathered: &Gathered) -> Vec<String> {
    let line = |ask: &crate::pack::Ask| {
        let (repo, tag) = (ask.target_repo.clone().unwrap(), ask.target_tag.clone().unwrap());
        format!("{:?} {} -> {repo}:{tag} ({})", ask.role, ask.source, ask.part_of.join("|"))
    };
    gathered.asks.iter().map(line).collect()
}

#[test]
fn a_channel_becomes_images_signatures_and_a_graph() {
    let mut outside = Outside::default();
    let (old, new) = (outside.release("4.16.2", "amd64"), outside.release("4.16.3", "amd64"));
    outside.graph("stable-4.16", "amd64", &[("4.16.2", old), ("4.16.3", new)]);
    let gathered = gather(&outside, &of_channel(channel("stable-4.16", Some("4.16.2"), None))).unwrap();
    assert!(gathered.failures.is_empty(), "{:?}", gathered.failures);
    let of = |version: &str, digest: Digest| {
        let to = |component: &str| format!("openshift/release:{version}-x86_64-{component} (release {version}-x86_64 {component})");
        vec![
            format!("Release {REPO}:{version}-x86_64@{digest} -> openshift/release-images:{version}-x86_64 (release {version}-x86_64)"),
            format!("ReleaseContent {} -> {}", content("cli"), to("cli")),
            format!("ReleaseContent {} -> {}", content("cli"), to("cli-artifacts")),
            format!("ReleaseContent {} -> {}", content(version), to("etcd")),
        ]
    };
    let mut expected = [of("4.16.2", old), of("4.16.3", new)].concat();
    let mut found = told(&gathered);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let documents: Vec<(DocumentKind, String)> = gathered.documents.iter().map(|d| (d.kind, d.name.clone())).collect();
    let mut signatures: Vec<_> =
        [old, new].iter().flat_map(|d| [1, 3].map(|n| (DocumentKind::ReleaseSignature, format!("sha256-{}-{n}", d.hex())))).collect();
    signatures.sort();
    signatures.push((DocumentKind::UpdateGraph, "stable-4.16-amd64".into()));
    assert_eq!(documents, signatures);
    assert_eq!(gathered.documents.last().unwrap().bytes(), outside.graphs["stable-4.16 amd64"].as_bytes());
    // One graph; for each release one proof, one manifest, one configuration, one layer; nothing twice.
    let counts = outside.counts();
    assert!(counts.iter().all(|(n, _)| *n == 1), "{counts:?}");
    assert_eq!(counts.len(), 1 + 2 * 4, "{counts:?}");
    let get = "GET https://graph.example/v1?arch=amd64&channel=stable-4.16&id=7ea11f70-0000-4000-8000-000000000000";
    assert!(counts.contains(&(1, get.into())), "{counts:?}");
    // The signature is asked for before anything of the image.
    let order = outside.asked.lock().unwrap();
    let at = |what: String| order.iter().position(|asked| *asked == what).unwrap();
    assert!(at(format!("proof {new}")) < at(format!("manifest {new}")));
}

#[test]
fn a_misspelt_version_names_those_around_it() {
    let mut outside = Outside::default();
    let digest = outside.release("4.16.3", "amd64");
    outside.graph("stable-4.16", "amd64", &[("4.16.1", digest), ("4.16.30", digest)]);
    let gathered = gather(&outside, &of_channel(channel("stable-4.16", Some("4.16.3"), None))).unwrap();
    let [(name, error)] = gathered.failures.as_slice() else { panic!("{gathered:?}") };
    assert_eq!(name, "platform.channels (amd64)");
    let error = Error::from(error);
    assert_eq!(error.what, "release 4.16.3 is not in channel stable-4.16 for amd64; the nearest are 4.16.1 and 4.16.30");
    assert_eq!(error.code, Code::ContentNotFound);
    assert!(gathered.asks.is_empty());
}

#[test]
fn a_release_without_signature_is_refused_unless_asked_for() {
    let mut outside = Outside::default();
    let (bad, good) = (outside.release("4.16.2", "amd64"), outside.release("4.16.3", "amd64"));
    outside.graph("stable-4.16", "amd64", &[("4.16.2", bad), ("4.16.3", good)]);
    outside.unsigned.push(bad);
    let wanted = of_channel(Channel { full: true, ..channel("stable-4.16", None, None) });
    let gathered = gather(&outside, &wanted).unwrap();
    let [(name, error)] = gathered.failures.as_slice() else { panic!("{gathered:?}") };
    assert_eq!((name.as_str(), Error::from(error).code), ("release 4.16.2 for amd64 (stable-4.16)", Code::ReleaseSignature));
    assert!(gathered.asks.iter().all(|ask| ask.part_of[0].starts_with("release 4.16.3-x86_64")));
    assert!(!outside.counts().iter().any(|(_, what)| *what == format!("manifest {bad}")));
    let ignored = within(&outside, true, |world| with_proof(&wanted, world, &outside)).unwrap();
    assert!(ignored.failures.is_empty());
    assert_eq!(ignored.asks.len(), 8);
    assert!(ignored.notes.iter().any(|note| note.contains("4.16.2") && note.contains("NOT PROVEN")), "{:?}", ignored.notes);
}

#[test]
fn without_any_key_nothing_is_begun() {
    let outside = Outside::default();
    let wanted = of_channel(channel("stable-4.16", None, None));
    let refused = within(&outside, false, |world| releases(&wanted, world)).unwrap_err();
    assert_eq!(Error::from(&refused).code, Code::ReleaseSignature);
    assert!(outside.counts().is_empty());
    // No release is asked for: no key is needed.
    within(&outside, false, |world| releases(&Releases { graph: true, ..Releases::default() }, world)).unwrap();
}

#[test]
fn an_image_that_is_another_release_is_refused_and_the_others_go_on() {
    let mut outside = Outside::default();
    let (swapped, arm) = (outside.release("4.16.1", "amd64"), outside.release("4.16.2", "arm64"));
    let (empty, good) = (outside.image("amd64", &[]).digest, outside.release("4.16.4", "amd64"));
    outside.graph("stable-4.16", "amd64", &[("4.16.9", swapped), ("4.16.2", arm), ("4.16.3", empty), ("4.16.4", good)]);
    let gathered = gather(&outside, &of_channel(Channel { full: true, ..channel("stable-4.16", None, None) })).unwrap();
    let mut failures: Vec<String> = gathered.failures.iter().map(|(_, error)| error.to_string()).collect();
    failures.sort_by_key(|text| text.split(' ').skip(1).collect::<Vec<_>>().join(" "));
    assert_eq!(
        failures,
        [
            format!("{REPO}@{empty}: it is no release image: release-manifests/image-references is not in it"),
            format!("{REPO}@{arm} should be release 4.16.2-x86_64, and is 4.16.2-aarch64"),
            format!("{REPO}@{swapped} should be release 4.16.9-x86_64, and is 4.16.1-x86_64"),
        ]
    );
    assert!(gathered.failures.iter().all(|(_, error)| Error::from(error).code == Code::ContentInvalid));
    assert_eq!(gathered.asks.len(), 4);
}

#[test]
fn platforms_choose_members_of_the_payload_for_several_architectures() {
    let mut outside = Outside::default();
    let digest = outside.multi("4.16.3");
    outside.graph("stable-4.16", "multi", &[("4.16.3", digest)]);
    let arm: Platform = "linux/arm64".parse().unwrap();
    let wanted = Releases { platforms: vec![arm.clone()], kube_virt_container: true, ..of_channel(channel("stable-4.16", None, None)) };
    let gathered = gather(&outside, &wanted).unwrap();
    assert!(gathered.failures.is_empty(), "{:?}", gathered.failures);
    assert_eq!(gathered.asks[0].target_tag.as_deref(), Some("4.16.3-multi"));
    let disks: Vec<_> = gathered.asks.iter().filter(|ask| ask.role == Role::KubeVirt).collect();
    assert_eq!(
        disks.iter().filter_map(|ask| ask.target_tag.clone()).collect::<Vec<_>>(),
        ["4.16.3-multi-kube-virt-container-s390x", "4.16.3-multi-kube-virt-container-x86_64"]
    );
    assert!(gathered.asks.iter().all(|ask| ask.platforms == [arm.clone()] || ask.role == Role::KubeVirt));
    // The member that is carried is the one that was looked into.
    let amd64 = outside.image("amd64", &files("4.16.3", true)).digest;
    assert!(!outside.counts().iter().any(|(_, what)| *what == format!("manifest {amd64}")));
}

#[test]
fn channels_between_are_asked_for_and_their_releases_carried() {
    let mut outside = Outside::default();
    let of: BTreeMap<&str, Digest> = ["4.1.1", "4.2.1", "4.3.1"].map(|v| (v, outside.release(v, "amd64"))).into();
    outside.graph("stable-4.1", "amd64", &[("4.1.1", of["4.1.1"])]);
    outside.graph("stable-4.2", "amd64", &[("4.1.1", of["4.1.1"]), ("4.2.1", of["4.2.1"])]);
    outside.graph("stable-4.3", "amd64", &[("4.2.1", of["4.2.1"]), ("4.3.1", of["4.3.1"])]);
    let wanted = Releases { channels: vec![channel("stable-4.1", None, None), channel("stable-4.3", None, None)], ..Releases::default() };
    let gathered = gather(&outside, &wanted).unwrap();
    let carried: BTreeSet<String> =
        gathered.asks.iter().filter(|ask| ask.role == Role::Release).filter_map(|ask| ask.target_tag.clone()).collect();
    assert_eq!(carried.into_iter().collect::<Vec<_>>(), ["4.1.1-x86_64", "4.2.1-x86_64", "4.3.1-x86_64"]);
    assert_eq!(gathered.documents.iter().filter(|d| d.kind == DocumentKind::UpdateGraph).count(), 3);
}

#[test]
fn a_release_for_one_architecture_takes_the_container_disk_of_that_one() {
    let mut outside = Outside::default();
    let of: Vec<(&str, Digest)> = ["amd64", "arm64"].map(|arch| (arch, outside.release("4.16.3", arch))).into();
    for (arch, digest) in of {
        outside.graph("stable-4.16", arch, &[("4.16.3", digest)]);
    }
    let architectures = ["amd64", "arm64"].map(str::to_owned).to_vec();
    let wanted = Releases { architectures, kube_virt_container: true, ..of_channel(channel("stable-4.16", None, None)) };
    let gathered = gather(&outside, &wanted).unwrap();
    assert!(gathered.failures.is_empty(), "{:?}", gathered.failures);
    let disks = gathered.asks.iter().filter(|ask| ask.role == Role::KubeVirt);
    let disks: Vec<_> = disks.map(|ask| (ask.source.to_string(), ask.target_tag.clone().unwrap())).collect();
    assert_eq!(disks, [(content("disk"), "4.16.3-x86_64-kube-virt-container".to_owned())]);
    assert!(gathered.notes.iter().any(|note| note == "release 4.16.3-aarch64 has no container disk for KubeVirt"), "{:?}", gathered.notes);
}

#[test]
fn a_release_named_by_its_image_is_called_as_oc_mirror_calls_it() {
    let mut outside = Outside::default();
    let digest = outside.release("4.16.3", "amd64");
    outside.tags = ["4.16.3-x86_64", "4.16.3", "latest", "4.16.4-x86_64"].map(|tag| (tag.to_owned(), digest)).into();
    let run = |text: &str| {
        let wanted = Releases { release: Some(Reference::parse(text).unwrap()), ..of_channel(channel("stable-4.1", None, None)) };
        gather(&outside, &wanted).unwrap()
    };
    for (text, tag) in [
        (format!("{REPO}:4.16.3-x86_64"), "4.16.3-x86_64"),
        (format!("{REPO}:4.16.3"), "4.16.3"),
        (format!("{REPO}:latest"), "latest"),
        (format!("{REPO}:4.16.3@{digest}"), "4.16.3"),
        (format!("{REPO}@{digest}"), &digest.hex().to_string()),
    ] {
        let gathered = run(&text);
        assert!(gathered.failures.is_empty(), "{:?}", gathered.failures);
        let ask = &gathered.asks[0];
        assert_eq!(ask.source.to_string(), format!("{REPO}:{tag}@{digest}"));
        assert_eq!((ask.target_tag.as_deref(), ask.part_of[0].as_str()), (Some(tag), "release 4.16.3-x86_64"));
        assert_eq!(gathered.asks[1].target_tag.as_deref(), Some(format!("{tag}-cli").as_str()));
        let about_channels = gathered.notes.iter().filter(|note| note.ends_with("the channels are not looked at"));
        assert_eq!(about_channels.count(), 1, "{:?}", gathered.notes);
    }
    let lie = run(&format!("{REPO}:4.16.4-x86_64"));
    assert!(matches!(lie.failures.as_slice(), [(_, GatherError::OtherRelease { .. })]), "{lie:?}");
}

#[test]
fn a_single_version_is_looked_for_from_stable_to_candidate() {
    let mut outside = Outside::default();
    let (rc, ga) = (outside.release("4.17.0-rc.1", "arm64"), outside.release("4.17.2", "arm64"));
    outside.graph("stable-4.17", "arm64", &[("4.17.2", ga)]);
    outside.graph("candidate-4.17", "arm64", &[("4.17.0-rc.1", rc), ("4.17.2", ga)]);
    let arm = ["arm64".to_owned()];
    let run = |what: &str| within(&outside, false, |world| single_with_proof(what, &arm, world, &outside));
    let found = run("4.17.2").unwrap();
    assert_eq!(found.asks[0].target_tag.as_deref(), Some("4.17.2-aarch64"));
    assert_eq!(outside.counts().iter().filter(|(_, what)| what.starts_with("GET")).count(), 1);
    assert_eq!(run("4.17.0-rc.1").unwrap().asks.len(), 4);
    let error = Error::from(run("4.17.1").unwrap_err());
    assert_eq!(
        error.what,
        "release 4.17.1 is in none of stable-4.17, fast-4.17, candidate-4.17 for arm64; the nearest are 4.17.0-rc.1 and 4.17.2"
    );
    assert_eq!(run(&format!("{REPO}@{ga}")).unwrap().asks.len(), 4);
    assert!(matches!(run("nonsense"), Err(GatherError::NotARelease(_))));
    assert!(matches!(run("oci:folder"), Err(GatherError::NotARelease(_))));
}

#[test]
fn an_answer_that_is_no_graph_is_told_with_its_place() {
    let mut outside = Outside::default();
    outside.graphs.insert("stable-4.16 amd64".into(), "<html>".into());
    let gathered = gather(&outside, &of_channel(channel("stable-4.16", None, None))).unwrap();
    let [(_, error)] = gathered.failures.as_slice() else { panic!("{gathered:?}") };
    let error = Error::from(error);
    assert!(error.what.starts_with("https://graph.example/v1: the update graph of channel stable-4.16 for amd64: it is not"), "{error}");
    assert_eq!(error.code, Code::ContentInvalid);
}

#[test]
fn who_asked_to_stop_gets_no_list_of_failures() {
    let mut outside = Outside::default();
    let digest = outside.release("4.16.3", "amd64");
    outside.graph("stable-4.16", "amd64", &[("4.16.3", digest)]);
    let stopped = within(&outside, false, |world| {
        let progress = Silent::new();
        progress.cancel();
        let (releases, operators, helm) = (world.releases.clone(), Default::default(), Default::default());
        let folder = world.folder.clone();
        let world = World { progress: &progress, folder, releases, operators, helm, ..*world };
        with_proof(&of_channel(channel("stable-4.16", None, None)), &world, &outside).map(|_| ())
    });
    assert!(matches!(stopped, Err(GatherError::Interrupted)));
}
