//! Releases made by hand, and a real one.

use super::*;
use crate::digest::Digest;
use crate::openshift::files::Visit;

/// Files in memory, in the order given.
struct InMemory(Vec<(String, Vec<u8>)>);

impl Files for InMemory {
    fn each(&self, wanted: &dyn Fn(&str) -> bool, visit: Visit<'_>) -> Result<(), FilesError> {
        for (path, bytes) in self.0.iter().filter(|(path, _)| wanted(path)) {
            let fail = |error| FilesError::Visitor { path: path.clone(), error };
            if visit(path, &mut bytes.as_slice()).map_err(fail)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

/// `image-references` of a version with components by digest.
fn image_references(version: &str, components: &[(&str, &str)]) -> String {
    let tags: Vec<_> = components
        .iter()
        .map(|(name, reference)| serde_json::json!({"name": name, "from": {"kind": "DockerImage", "name": reference}}))
        .collect();
    serde_json::json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": version}, "spec": {"tags": tags}})
        .to_string()
}

/// `release-metadata`.
fn release_metadata(version: &str, multi: bool) -> String {
    let words = if multi { serde_json::json!({"release.openshift.io/architecture": "multi"}) } else { serde_json::json!({"url": "x"}) };
    serde_json::json!({"kind": "cincinnati-metadata-v0", "version": version, "previous": [], "metadata": words}).to_string()
}

/// The ConfigMap of boot images with container disks.
fn boot_images(disks: &[(&str, &str)]) -> String {
    let disk = |(arch, reference): &(&str, &str)| {
        ((*arch).to_owned(), serde_json::json!({"images": {"kubevirt": {"release": "1", "image": "x:1", "digest-ref": reference}}}))
    };
    let mut architectures: serde_json::Map<String, serde_json::Value> = disks.iter().map(disk).collect();
    architectures.insert("aarch64".into(), serde_json::json!({"artifacts": {}}));
    let stream = serde_json::json!({"stream": "rhcos", "architectures": architectures});
    serde_json::json!({"kind": "ConfigMap", "data": {"stream": stream.to_string()}}).to_string()
}

fn at(name: &str, text: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (format!("release-manifests/{name}"), text.into())
}

fn by_digest(name: &str) -> String {
    format!("quay.io/ocp/content@{}", Digest::sha256(name.as_bytes()))
}

fn read(files: Vec<(String, Vec<u8>)>) -> Result<Release, ReleaseError> {
    Release::read(&InMemory(files))
}

fn plain(version: &str) -> Vec<(String, Vec<u8>)> {
    vec![at("image-references", image_references(version, &[("etcd", &by_digest("etcd")), ("cli", &by_digest("cli"))]))]
}

#[test]
fn a_release_says_what_it_consists_of() {
    let mut files = plain("4.16.3");
    files.push(at("release-metadata", release_metadata("4.16.3", false)));
    files.push(("other/image-references".into(), b"not looked at".to_vec()));
    let release = read(files).unwrap();
    assert_eq!(release.components.keys().collect::<Vec<_>>(), ["cli", "etcd"]);
    assert_eq!(release.tag("amd64", false).unwrap(), "4.16.3-x86_64");
    assert_eq!(release.tag("arm64", false).unwrap(), "4.16.3-aarch64");
    assert_eq!(release.tag("ppc64le", false).unwrap(), "4.16.3-ppc64le");
    assert!(matches!(release.tag("mips", false), Err(ReleaseError::Architecture(_))));
    assert_eq!(release.kube_virt(None).unwrap(), []);
}

#[test]
fn a_release_for_several_architectures_says_so_itself() {
    let mut files = plain("4.16.3-rc.1");
    files.push(at("release-metadata", release_metadata("4.16.3-rc.1", true)));
    let release = read(files).unwrap();
    assert_eq!(release.tag("amd64", true).unwrap(), "4.16.3-rc.1-multi");
    assert_eq!(release.tag("arm64", false).unwrap(), "4.16.3-rc.1-multi-aarch64");
}

#[test]
fn what_is_no_release_is_refused_by_name() {
    let with = |components: &[(&str, &str)]| vec![at("image-references", image_references("4.1.0", components))];
    let told = |files| read(files).unwrap_err().to_string();
    let etcd = by_digest("etcd");
    assert_eq!(told(vec![]), "it is no release image: release-manifests/image-references is not in it");
    assert_eq!(told(with(&[("etcd", &etcd), ("etcd", &etcd)])), r#"release-manifests/image-references names component "etcd" twice"#);
    assert_eq!(told(with(&[("etcd", "quay.io/x:latest")])), r#"component "etcd" is not named by digest: "quay.io/x:latest""#);
    assert_eq!(told(with(&[("../etcd", &etcd)])), r#"release-manifests/image-references: component "../etcd" cannot be part of a tag"#);
    assert_eq!(told(with(&[])), "release-manifests/image-references: it names 0 components");
    assert!(told(vec![at("image-references", "{\"kind\":\"ImageStream\"}")]).contains("missing field"));
    assert!(told(plain("latest")).contains(r#""latest" is not the version of a release"#));
    let mut two = plain("4.1.0");
    two.push(at("release-metadata", release_metadata("4.1.1", false)));
    assert_eq!(told(two), "image-references is of release 4.1.0, release-metadata of 4.1.1");
    assert!(matches!(read(plain("4.1.0+build")).unwrap().tag("amd64", false), Err(ReleaseError::Tag(_))));
    let endless = vec![b' '; limits::RELEASE_FILE_BYTES as usize + 1];
    assert!(told(vec![at("image-references", endless)]).ends_with("it is longer than 8388608 bytes"));
    assert!(told(vec![at("image-references", "[".repeat(100_000))]).starts_with("release-manifests/image-references: "));
}

/// Each alias hands out the whole text once more: 8 MiB of boot images were terabytes.
#[test]
fn aliases_multiply_no_boot_images() {
    let copies: String = (0..2000).map(|n| format!("  b{n}: *a\n")).collect();
    for (bad, why) in [(format!("data:\n  a: &a {}\n{copies}", "x".repeat(8192)), "aliases"), ("[".repeat(2000), "nested too deeply")] {
        let mut files = plain("4.16.3");
        files.push(at("0000_50_installer_coreos-bootimages.yaml", bad));
        assert!(read(files).unwrap_err().to_string().contains(why));
    }
}

#[test]
fn container_disks_of_all_architectures_are_found() {
    let disks = |disks: &[(&str, &str)]| {
        let mut files = plain("4.16.3");
        files.push(at("0000_50_installer_coreos-bootimages.yaml", boot_images(disks)));
        read(files).unwrap().kube_virt(None)
    };
    let (x, s) = (by_digest("x"), by_digest("s"));
    let one = disks(&[("x86_64", &x)]).unwrap();
    assert_eq!(kube_virt_suffix(&one, &one[0]), "kube-virt-container");
    let two = disks(&[("x86_64", &x), ("s390x", &s)]).unwrap();
    assert_eq!(
        two.iter().map(|d| kube_virt_suffix(&two, d)).collect::<Vec<_>>(),
        ["kube-virt-container-s390x", "kube-virt-container-x86_64"]
    );
    assert_eq!(two[1].reference.to_string(), x);
    let mut files = plain("4.16.3");
    files.push(at("0000_50_installer_coreos-bootimages.yaml", boot_images(&[("x86_64", &x), ("s390x", "of no use here")])));
    let release = read(files).unwrap();
    assert_eq!(release.kube_virt(Some("x86_64")).unwrap().len(), 1);
    assert_eq!(release.kube_virt(Some("aarch64")).unwrap().len(), 0);
    assert!(matches!(disks(&[("x86_64", "q.io/x:1")]), Err(ReleaseError::NoDigest { .. })));
}

#[test]
fn the_real_files_are_read() {
    let Some(references) = crate::openshift::test_data("openshift/image-references-4.14.1.json") else { return };
    let metadata = crate::openshift::test_data("openshift/release-metadata-4.14.1.json").unwrap();
    let boot = crate::openshift::test_data("openshift/0000_50_installer_coreos-bootimages.yaml").unwrap();
    let all = |boot: Vec<u8>| {
        let name = "0000_50_installer_coreos-bootimages.yaml";
        read(vec![at("image-references", references.clone()), at("release-metadata", metadata.clone()), at(name, boot)]).unwrap()
    };
    let release = all(boot.clone());
    assert_eq!(release.components.len(), 183);
    // The files lie in a folder named for another release.
    assert_eq!(release.tag("amd64", false).unwrap(), "4.12.0-x86_64");
    // The digest of one disk in this sample is none.
    assert!(matches!(release.kube_virt(None), Err(ReleaseError::NoDigest { component, .. }) if component == "kubevirt s390x"));
    let text = String::from_utf8(boot).unwrap();
    let real = text.replace(&format!("sha256:{}", "s390x".repeat(12) + "s390"), &Digest::sha256(b"").to_string());
    assert_eq!(all(real.into_bytes()).kube_virt(None).unwrap().len(), 2);
}
