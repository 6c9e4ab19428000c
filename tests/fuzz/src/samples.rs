//! Valid documents, small, to begin from.

use sealift::archive::{VolumeSpec, Writer};
use sealift::codec::frame::Compressor;
use sealift::digest::Digest;
use sealift::format::{self, SetName};
use sealift::fs::Dir;
use sealift::sign::{AllowedSigners, Policy, RevokedKeys, Signer, SoftwareKey, Trust};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The configuration of the image.
pub const CONFIG: &[u8] =
    br#"{"architecture":"amd64","os":"linux","config":{"Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":[]}}"#;
/// Its only layer.
pub const LAYER: &[u8] = b"a layer that is no archive, and somewhat longer than nothing, so that it has something to be cut";

/// A blob as manifests name it.
pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len()})
}

/// An image.
pub fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", CONFIG),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", LAYER)],
        "annotations": {"org.opencontainers.image.title": "t"},
    })
}

/// An index of it.
pub fn image_index() -> Value {
    let bytes = manifest().to_string();
    let mut member = descriptor("application/vnd.oci.image.manifest.v1+json", bytes.as_bytes());
    member["platform"] = json!({"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1", "features": ["x"]});
    member["annotations"] = json!({"org.opencontainers.image.ref.name": "a/b:1"});
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [member],
        "subject": descriptor("application/vnd.oci.image.manifest.v1+json", b"{}")})
}

/// The key that signs.
pub fn key() -> SoftwareKey {
    SoftwareKey::ed25519(&[7; 32])
}

/// Who is believed: that key.
pub fn trust() -> Trust {
    let line = format!("stream:* namespaces=\"sealift-index@1\" {} me\n", key().public_key().to_line());
    let allowed = AllowedSigners::parse(line.as_bytes()).expect("a line");
    Trust::new(allowed, RevokedKeys::parse(b"").expect("nothing"), Policy::parse(b"").expect("nothing"))
}

/// A set of one volume.
pub struct Set {
    /// The index.
    pub index: Value,
    /// The contents.
    pub contents: Value,
    /// The volume.
    pub volume: Vec<u8>,
}

/// The set, written once.
pub fn set() -> &'static Set {
    static SET: OnceLock<Set> = OnceLock::new();
    SET.get_or_init(|| {
        let temp = crate::folder();
        let dir = Dir::open(temp.path()).expect("a folder").durable(false);
        let name = SetName::new("s", 1).expect("a name");
        let plan = Digest::sha256(b"plan");
        let spec = VolumeSpec { name, volume_size: 1 << 20, block_size: 1 << 20, plan, layout_index: b"{}".to_vec(), level: 3 };
        let mut writer = Writer::new(dir.clone(), spec).expect("a writer");
        let mut blobs = Vec::new();
        for bytes in [CONFIG, LAYER] {
            let digest = Digest::sha256(bytes);
            let parts = writer.put_raw(&digest, bytes.len() as u64, &mut &*bytes).expect("a blob");
            let inline = (bytes == CONFIG).then(|| format::Blob::encode_inline(bytes));
            blobs.push(format::Blob { digest, size: bytes.len() as u64, encoding: format::STORED.into(), inline, parts });
        }
        let mut volumes = Vec::new();
        for finished in writer.finish().expect("volumes") {
            finished.file.publish().expect("a file");
            volumes.push(finished.volume);
        }
        let volume = std::fs::read(temp.path().join(&volumes[0].name)).expect("a file");
        let contents = json!({
            "schema": 1,
            "images": [{"repository": "a/b", "tag": "1", "source": "quay.io/a/b:1", "root": root(), "partOf": ["chart c 1"]}],
            "manifests": [format::ManifestData::new("application/vnd.oci.image.manifest.v1+json", manifest().to_string().as_bytes())],
            "blobs": blobs,
            "documents": [format::Document::new(format::DocumentKind::ReleaseSignature, name_of_signature(), b"x")],
        });
        let index = json!({
            "schema": 1, "requires": [], "hints": {"h": 1}, "stream": "s", "sequence": 1, "created": "2026-01-01T00:00:00Z",
            "producer": {"sealift": "0", "zstd": "0"}, "plan": plan, "audience": [], "labels": {"l": "m"},
            "missing": [{"name": "n", "code": "C", "reason": "r"}], "blockSize": 1 << 20, "volumes": volumes,
            "contents": {"size": 0, "digest": plan, "plainSize": 0},
            "files": [{"name": "README.txt", "size": 1, "digest": plan}],
        });
        Set { index, contents, volume }
    })
}

/// As signatures of releases are called.
pub fn name_of_signature() -> String {
    format!("sha256-{}-1", "0".repeat(64))
}

fn root() -> Value {
    descriptor("application/vnd.oci.image.manifest.v1+json", manifest().to_string().as_bytes())
}

/// The contents document as it lies on a medium, and what an index says about it.
pub fn sealed(contents: &[u8]) -> (Vec<u8>, Value) {
    let packed = Compressor::new(1).and_then(|mut c| c.compress(contents)).unwrap_or_default();
    let about = json!({"size": packed.len(), "digest": Digest::sha256(&packed), "plainSize": contents.len()});
    (packed, about)
}

/// A saved plan.
pub fn plan() -> Value {
    let contents = &set().contents;
    let blob =
        json!({"digest": Digest::sha256(LAYER), "size": LAYER.len(), "mediaType": "application/vnd.oci.image.layer.v1.tar", "images": [0]});
    let config = json!({"digest": Digest::sha256(CONFIG), "size": CONFIG.len(), "mediaType": "application/vnd.oci.image.config.v1+json", "images": [0], "config": true});
    json!({
        "schema": 1, "producer": {"sealift": env!("CARGO_PKG_VERSION"), "zstd": "0"},
        "options": {"stream": "s", "volumeSize": 1 << 20, "level": 3, "audience": [], "labels": {}},
        "blockSize": 1 << 20, "images": contents["images"], "manifests": contents["manifests"], "blobs": [config, blob], "missing": [],
        "documents": contents["documents"],
    })
}

/// A receipt.
pub fn receipt() -> Value {
    let image = json!({
        "repository": "a/b", "tag": "1", "digest": Digest::sha256(manifest().to_string().as_bytes()), "source": "quay.io/a/b:1",
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "completeness": {"singleMember": {"member": Digest::sha256(b"m")}},
        "role": "catalog", "partOf": ["operator c p b 1.0.0"],
    });
    let release = json!({
        "repository": "openshift/release-images", "tag": "4.1.0-x86_64", "digest": Digest::sha256(b"r"),
        "source": "quay.io/openshift-release-dev/ocp-release:4.1.0-x86_64", "mediaType": "application/vnd.oci.image.index.v1+json",
        "role": "release", "partOf": ["release 4.1.0-x86_64"],
    });
    json!({
        "schema": 1, "target": "registry.example:5000", "stream": "s", "sequence": 1, "identity": Digest::sha256(b"set"),
        "written": "2026-01-01T00:00:00Z", "images": [image, release],
        "repositories": {"a/b": {"manifests": [Digest::sha256(b"m")], "blobs": [Digest::sha256(b"b")]}},
        "documents": set().contents["documents"],
        "skippedTags": [{"repository": "a/b", "tag": "t", "digest": Digest::sha256(b"t"), "newer": 2}],
    })
}

/// A signature policy.
pub fn policy() -> Value {
    json!({
        "default": [{"type": "reject"}],
        "transports": {"docker": {
            "quay.io/a": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k", "signedIdentity": {"type": "matchRepository"}}],
            "*.example": [{"type": "sigstoreSigned", "keyPath": "/k", "signedIdentity": {"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "c.d"}}],
            "": [{"type": "insecureAcceptAnything"}],
        }, "oci": {"/f": [{"type": "reject"}]}},
    })
}

/// Logins.
pub fn logins() -> Value {
    json!({
        "auths": {"registry.example/a": {"auth": "dTpw"}, "https://index.docker.io/v1/": {"auth": "dTpw", "identitytoken": "t"}},
        "credHelpers": {"other.example": "none"}, "credsStore": "none",
    })
}

/// An update graph.
pub fn graph() -> Value {
    let node = |version: &str| {
        json!({"version": version, "payload": format!("quay.io/r@{}", Digest::sha256(version.as_bytes())),
        "metadata": {"io.openshift.upgrades.graph.release.channels": "stable-4.1,fast-4.1", "url": "https://e.example"}})
    };
    json!({
        "nodes": [node("4.1.0"), node("4.1.1"), node("4.1.2"), node("4.2.0")], "edges": [[0, 1], [1, 2], [0, 2]],
        "conditionalEdges": [{"edges": [{"from": "4.1.1", "to": "4.2.0"}],
            "risks": [{"url": "u", "name": "n", "message": "m", "matchingRules": [{"type": "Always"}]}]}],
    })
}

/// A file-based catalog: its objects.
pub fn catalog() -> Value {
    let bundle = |name: &str, version: &str| {
        json!({"schema": "olm.bundle", "name": name, "package": "p", "image": format!("quay.io/b:{version}"),
            "properties": [{"type": "olm.package", "value": {"packageName": "p", "version": version}},
                {"type": "olm.gvk.required", "value": {"group": "g", "kind": "k", "version": "v1"}},
                {"type": "olm.package.required", "value": {"packageName": "p", "versionRange": ">=1.0.0 <2.0.0 || 3.x"}},
                {"type": "olm.constraint", "value": {"failureMessage": "f", "any": {"constraints": [{"package": {"packageName": "q", "versionRange": "*"}}]}}}],
            "relatedImages": [{"name": "r", "image": "quay.io/r:1"}]})
    };
    json!([
        {"schema": "olm.package", "name": "p", "defaultChannel": "c"},
        {"schema": "olm.channel", "name": "c", "package": "p",
            "entries": [{"name": "p.v1", "skipRange": "<1.0.0"}, {"name": "p.v2", "replaces": "p.v1", "skips": ["p.v0"]}]},
        bundle("p.v1", "1.0.0"), bundle("p.v2", "2.0.0"),
        {"schema": "olm.deprecations", "package": "p", "entries": [{"reference": {"schema": "olm.bundle", "name": "p.v1"}, "message": "m"}]},
        {"schema": "other", "x": [1, 2]},
    ])
}

/// The files a release names its components by.
pub fn release() -> Value {
    json!({"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "metadata": {"name": "4.1.0"},
        "spec": {"tags": [{"name": "cli", "from": {"kind": "DockerImage", "name": format!("quay.io/r@{}", Digest::sha256(b"cli"))}}]}})
}

/// An ImageSet.
pub const IMAGE_SET: &str = "kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
archiveSize: 4
mirror:
  platform:
    graph: true
    architectures: [amd64, 'multi']
    channels:
    - &c {name: stable-4.16, minVersion: 4.16.1, maxVersion: 4.16.9, shortestPath: yes}
    - <<: *c
      name: okd
      type: okd
  operators:
  - catalog: registry.example/c:v1@sha256:0000000000000000000000000000000000000000000000000000000000000000
    targetCatalog: a/b
    packages:
    - name: p
      defaultChannel: c
      channels: [{name: c, minVersion: 1.0.0}]
  - catalog: oci:///d
  additionalImages:
  - name: quay.io/a/b:1
    targetRepo: x
  helm:
    repositories:
    - {name: r, url: 'https://charts.example', charts: [{name: c, version: 1.0.0, imagePaths: ['{.spec..image[?(@.a==\"b\")]}']}]}
    local: [{name: l, path: ./l.tgz}]
  blockedImages: [{name: 'quay\\.io/.*'}]
";

/// `registries.conf`.
pub const REGISTRIES_CONF: &str = "unqualified-search-registries = [\"docker.io\"]
[[registry]]
prefix = \"*.example.com\"
location = \"\"
blocked = false
[[registry]]
prefix = \"quay.io/a\"
location = \"mirror.example/b\"
[[registry.mirror]]
location = \"m.example:5000/c\"
insecure = true
pull-from-mirror = \"digest-only\"
";

/// Settings of hosts.
pub const HOSTS: &str = "[\"registry.example:5000\"]
downloads = 2
uploads = 3
chunk = \"10MiB\"
headers = { X-A = \"b\" }
";

/// `registries.d`.
pub const REGISTRIES_D: &str = "default-docker:
  lookaside: https://s.example/x?sig=1
docker:
  quay.io/a:
    sigstore: file:///var/s
    lookaside-staging: file:///var/t
";

/// The files of a chart.
pub const CHART: [&str; 4] = [
    "apiVersion: v2\nname: c\nversion: 1.0.0\nannotations:\n  images: |\n    - image: quay.io/x:1\ndependencies:\n- {name: d, version: 1.x}\n",
    "image:\n  registry: quay.io\n  repository: a/b\n  tag: ''\nlist: [1, 2]\nother: quay.io/z:3\n",
    "{{- define \"c.image\" -}}{{ .Values.image.registry }}/{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{- end -}}",
    "{{- range $i, $e := .Values.list }}\n{{- if and (eq $e 1) (not .x) }}\nkind: Pod\nspec:\n  containers:\n  - image: {{ include \"c.image\" $ | quote }}\n    x: {{ printf \"%s-%d\" \"a\" 1 | trunc 63 | nindent 4 }}\n{{- else }}\n---\n{{- with .y }}{{ toYaml . | indent 2 }}{{ end }}\n{{- end }}\n{{- end }}\n",
];
