//! x
use crate::support::openshift::World;

#[test]
fn smoke() {
    let t = std::time::Instant::now();
    let Some(world) = World::shared() else { return };
    eprintln!("{:?}", t.elapsed());
    let sh = |c: &str| eprintln!("{}", crate::support::run::shell(std::path::Path::new("/tmp"), c));
    let h = world.host();
    let r = world.release("4.14.1", "amd64");
    sh(&format!("skopeo inspect --tls-verify=false docker://{h}/openshift-release-dev/ocp-release@{} | head -30", r.digest));
    sh(&format!("skopeo inspect --raw --tls-verify=false docker://{h}/openshift-release-dev/ocp-release:4.14.1-multi | head -50"));
    sh(&format!(
        "rm -rf /tmp/ww; mkdir /tmp/ww; skopeo copy --src-tls-verify=false docker://{}@{} oci:/tmp/ww/l:x && umoci unpack --rootless --image /tmp/ww/l:x /tmp/ww/b && find /tmp/ww/b/rootfs -type f | xargs ls -la && head -c 900 /tmp/ww/b/rootfs/release-manifests/image-references; cat /tmp/ww/b/rootfs/release-manifests/0000_50*",
        format!("{h}/openshift-release-dev/ocp-release"),
        r.digest
    ));
    sh(&format!(
        "rm -rf /tmp/wx; mkdir /tmp/wx; skopeo copy --src-tls-verify=false docker://{} oci:/tmp/wx/l:x && umoci unpack --rootless --image /tmp/wx/l:x /tmp/wx/b && find /tmp/wx/b/rootfs -type f | xargs ls -la; grep image: /tmp/wx/b/rootfs/configs/rabbit*/catalog.yaml | head -20; grep -c 127.0.0.1 -r /tmp/wx/b/rootfs/configs; grep image: -r /tmp/wx/b/rootfs/configs | grep -v 127.0.0.1 | head",
        world.catalog.reference
    ));
    sh(&format!(
        "curl -s '{}' | head -c 1500; curl -s '{}' | head -c 300; curl -s '{}' | tar tzf - | head -3; cat {}",
        world.web.url("graph?channel=candidate-4.14&arch=amd64"),
        world.web.url("graph?channel=stable-4.13&arch=amd64&id=3"),
        world.web.url("graph-data"),
        world.file("release-key.asc").display()
    ));
    sh(&format!(
        "curl -s '{}' >/tmp/ww/s; gpg --list-packets /tmp/ww/s; curl -s '{}'",
        world.web.url(&format!("signatures/sha256={}/signature-1", r.digest.hex())),
        world.web.url("charts/index.yaml")
    ));
    eprintln!("{:?} {:?}", world.web.asked(), world.pulled().len());
}
