//! `sealift serve` with the clients of others, and straight from volumes.

use crate::support::inside::{Home, Inventory, Outside, copy, medium, must, noise, skopeo_digest, text, tool, volumes};
use crate::support::raw::Served;
use crate::support::servers::{DockerRegistry, Options};
use sealift::digest::Digest;
use sealift::oci::media;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Command;

fn skopeo(words: &[&str]) {
    must(Command::new("skopeo").args(["--insecure-policy"]).args(words));
}

/// What a skopeo copy of these images has brought, compared with what was made.
fn pull_all(served: &Served, outside: &Outside, names: &[&str]) {
    for name in names {
        let made = outside.made(name);
        let reference = format!("docker://{}/{}:{}", served.host(), made.repository, made.tag);
        assert_eq!(skopeo_digest(&reference, &["--tls-verify=false"]), made.root, "{name}");
        let to = tempfile::tempdir().unwrap();
        let into = format!("dir:{}", text(to.path()));
        skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &reference, &into]);
        for blob in &made.blobs {
            let bytes = fs::read(to.path().join(blob.strip_prefix("sha256:").unwrap())).unwrap();
            assert_eq!(Digest::sha256(&bytes).to_string(), *blob, "{name}");
        }
    }
}

const SOME: [&str; 6] = ["team/app:1", "team/app:2", "other/app:1", "deep/er/web:1", "legacy:v1", "plain:1"];

#[test]
fn clients_of_others_push_and_pull() {
    if !tool("skopeo") {
        return;
    }
    let outside = Outside::new();
    let folder = tempfile::tempdir().unwrap();
    let home = Home::new();
    let served = Served::layout(&home, &folder.path().join("l"));
    // skopeo reads no docker types from a layout.
    let some = SOME.map(|name| if name.starts_with("legacy") { "team/app:1" } else { name });
    for name in some {
        let made = outside.made(name);
        let from = format!("oci:{}:outer.test/{name}", outside.layout().display());
        let to = format!("docker://{}/{}:{}", served.host(), made.repository, made.tag);
        skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
        let by_digest = format!("docker://{}/{}@{}", served.host(), made.repository, made.root);
        assert_eq!(skopeo_digest(&by_digest, &["--tls-verify=false"]), made.root);
    }
    pull_all(&served, &outside, &some);
    let tags = must(Command::new("skopeo").args(["list-tags", "--tls-verify=false", &format!("docker://{}/team/app", served.host())]));
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&tags).unwrap()["Tags"], serde_json::json!(["1", "2"]));

    if tool("buildah") {
        let stores = tempfile::tempdir().unwrap();
        let (root, run) = (stores.path().join("root"), stores.path().join("run"));
        must(Command::new("buildah").args(["--storage-driver", "vfs", "--root", text(&root), "--runroot", text(&run)]).args([
            "pull",
            "--tls-verify=false",
            &format!("docker://{}/team/app:1", served.host()),
        ]));
    }
    // Another run of this program sees the layout as its own, and as what it was served from.
    let digest = skopeo_digest(&format!("oci:{}:team/app:1", folder.path().join("l").display()), &[]);
    assert_eq!(digest, outside.made("team/app:1").root);
}

#[test]
fn this_program_unpacks_into_it() {
    let outside = Outside::new();
    let (set, inside) = (outside.set(), outside.inside());
    let folder = tempfile::tempdir().unwrap();
    let served = Served::layout(&inside, &folder.path().join("l"));
    let to = format!("{}/m", served.host());
    inside.run(&["unpack", text(&set), "--to", &to, "--dest-tls-verify=false", "--first"]).exits(0);
    for (name, digest) in Inventory::of(crate::support::inside::ALL.map(|name| outside.made(name))).tags {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let head = served.head(&format!("/v2/m/{repository}/manifests/{tag}")).is(200);
        assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()), "{name}");
    }
    // Into the layout itself, while it is served: seen at once.
    inside.run(&["unpack", text(&set), "--to", &format!("oci:{}", folder.path().join("l").display()), "--first"]).exits(0);
    served.get("/v2/team/app/manifests/1").is(200);
}

#[test]
fn a_pull_through_cache_and_curl_are_served() {
    let outside = Outside::new();
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let served = Served::layout(&home, &folder.path().join("l"));
    let blob = served.blob("a/b", &noise(1, 100_000));
    if tool("curl") {
        let url = format!("http://{}/v2/a/b/blobs/{blob}", served.host());
        let part = must(Command::new("curl").args(["-sf", "-r", "1000-1999", &url]));
        assert!(part == noise(1, 100_000)[1000..2000]);
        let partial = folder.path().join("partial");
        fs::write(&partial, &noise(1, 100_000)[..77_777]).unwrap();
        must(Command::new("curl").args(["-sf", "-C", "-", "-o", text(&partial), &url]));
        assert!(fs::read(&partial).unwrap() == noise(1, 100_000));
    }
    if !tool("skopeo") {
        return;
    }
    let made = outside.made("deep/er/web:1");
    let from = format!("oci:{}:outer.test/deep/er/web:1", outside.layout().display());
    let to = format!("docker://{}/deep/er/web:1", served.host());
    skopeo(&["copy", "--all", "--dest-tls-verify=false", &from, &to]);
    let Some(cache) = DockerRegistry::start(Options { proxy: Some(format!("http://{}", served.host())), ..Options::default() }) else {
        return;
    };
    let through = format!("docker://{}/deep/er/web:1", cache.host());
    assert_eq!(skopeo_digest(&through, &["--tls-verify=false"]), made.root);
    let back = folder.path().join("back");
    skopeo(&["copy", "--all", "--src-tls-verify=false", &through, &format!("oci:{}:x", text(&back))]);
}

pub fn serve_set(home: &Home, folders: &[&Path]) -> Served {
    let mut words: Vec<&str> = folders.iter().map(|folder| text(folder)).collect();
    words.extend(["--plain-http", "--allow-anonymous", "pull"]);
    Served::start(home, &words)
}

#[test]
fn volumes_are_a_registry() {
    let outside = Outside::new();
    let (set, inside) = (outside.set(), outside.inside());
    let names = volumes(&set);
    let (first, rest) = names.split_at(2);
    let as_words = |names: &[String]| medium(&set, &names.iter().map(String::as_str).collect::<Vec<_>>());
    // The same set whole, and spread over two media.
    let (one, two) = (as_words(first), as_words(rest));
    for folders in [vec![set.as_path()], vec![one.path(), two.path()]] {
        let served = serve_set(&inside, &folders);
        for name in crate::support::inside::ALL {
            let made = outside.made(name);
            for blob in made.blobs.iter() {
                let path = format!("/v2/{}/blobs/{blob}", made.repository);
                let whole = served.get(&path).is(200);
                assert_eq!(Digest::sha256(&whole.body).to_string(), *blob);
                assert_eq!(served.head(&path).is(200).header("content-length"), whole.header("content-length"));
                let size = whole.body.len();
                for (from, to) in [(0, 1), (size / 2, size), (size / 3, size / 2), (size.saturating_sub(1), size)] {
                    if from < to && to <= size {
                        let part = served.send("GET", &path, &[&format!("Range: bytes={from}-{}", to - 1)], b"").is(206);
                        assert!(part.body == whole.body[from..to], "{blob} {from}-{to}");
                    }
                }
            }
            let got = served.get(&format!("/v2/{}/manifests/{}", made.repository, made.tag)).is(200);
            assert_eq!(Digest::sha256(&got.body).to_string(), made.root);
        }
        served.send("POST", "/v2/a/blobs/uploads/", &[], b"").refuses(405, "UNSUPPORTED");
        served.delete("/v2/team/app/manifests/1").refuses(405, "UNSUPPORTED");
        assert_eq!(served.get("/v2/team/app/tags/list").is(200).json()["tags"], serde_json::json!(["1", "2"]));
        served.get(&format!("/v2/a/blobs/{}", Digest::sha256(b"x"))).refuses(404, "BLOB_UNKNOWN");
        if folders.len() == 1 && tool("skopeo") {
            pull_all(&served, &outside, &SOME);
        }
    }
}

#[test]
fn a_missing_volume_is_named_and_a_damaged_one_never_gives_wrong_bytes() {
    let outside = Outside::new();
    let (set, inside) = (outside.set(), outside.inside());
    let names = volumes(&set);
    let lacking = medium(&set, &names.iter().skip(1).map(String::as_str).collect::<Vec<_>>());
    let served = serve_set(&inside, &[lacking.path()]);
    let blobs: Vec<&String> = crate::support::inside::ALL.iter().flat_map(|name| &outside.made(name).blobs).collect();
    let mut missing = 0;
    for blob in &blobs {
        let reply = served.get(&format!("/v2/a/blobs/{blob}"));
        if reply.status == 503 {
            missing += 1;
            let reply = reply.refuses(503, "UNAVAILABLE");
            assert!(String::from_utf8_lossy(&reply.body).contains(&names[0]));
        } else {
            assert_eq!(Digest::sha256(&reply.is(200).body).to_string(), **blob);
        }
    }
    assert!(missing > 0 && served.log().contains(&names[0]));

    let damaged = copy(&set);
    for name in &names[1..3] {
        let path = damaged.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let served = serve_set(&inside, &[damaged.path()]);
    let mut broken = 0;
    for blob in &blobs {
        let reply = served.get(&format!("/v2/a/blobs/{blob}"));
        match (reply.status, reply.whole) {
            (200, true) => assert_eq!(Digest::sha256(&reply.body).to_string(), **blob),
            (200, false) | (500, _) => broken += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(broken > 0 && served.log().contains("are not what was packed"), "{}", served.log());
}

#[test]
fn only_sets_that_are_trusted_are_served() {
    let outside = Outside::new();
    let set = outside.set();
    let stranger = Home::new();
    let words = ["serve", text(&set), "--plain-http", "--listen", "127.0.0.1:0"];
    stranger.run(&words).exits(11).says(&["KEYRING_EMPTY"]);
    // Making a key trusts it.
    stranger.key("other");
    stranger.run(&words).exits(11).says(&["KEY_UNKNOWN"]);
}

/// Two hundred pulls at once take little more memory than none.
#[test]
fn many_pulls_take_little_memory() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let served = Served::layout(&home, &folder.path().join("l"));
    let content = noise(7, 24 << 20);
    let path = format!("/v2/a/blobs/{}", served.blob("a", &content));
    std::thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                use std::io::{Read, Write};
                let mut stream = served.connect();
                write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
                let mut buffer = vec![0; 64 << 10];
                let mut seen = 0;
                loop {
                    match stream.read(&mut buffer).unwrap() {
                        0 => break,
                        n => seen += n,
                    }
                }
                assert!(seen > content.len());
            });
        }
    });
    let peak = served.peak_memory();
    assert!(peak < 250 << 20, "{peak} bytes");
}

/// A set with one image of one layer, and the layer's digest.
pub fn set_of(outside: &Outside, layer: &[u8]) -> (std::path::PathBuf, Digest) {
    let source = Served::layout(&outside.home, &outside.folder("source"));
    let (digest, config) = (source.blob("big/app", layer), source.blob("big/app", b"{}"));
    let document = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": "application/x",
        "config": {"mediaType": media::OCI_EMPTY, "digest": config, "size": 2},
        "layers": [{"mediaType": "application/gzip", "digest": digest, "size": layer.len()}]});
    source.manifest("big/app", "1", media::OCI_MANIFEST, document.to_string().as_bytes()).is(201);
    let (set, image) = (outside.folder("large"), format!("{}/big/app:1", source.host()));
    outside.home.run(&["pack", "--key", "site", "--no-sync", "--no-read-back", &image, text(&set)]).exits(0);
    (set, digest)
}

pub fn gzip_like(seed: u64, len: usize) -> Vec<u8> {
    [&[0x1f, 0x8b][..], &noise(seed, len)].concat()
}

/// A block is a mebibyte, and is compared as a whole; a client that takes its time must not keep one in memory.
#[test]
fn many_pulls_from_volumes_take_little_memory() {
    use std::io::{Read, Write};
    let outside = Outside::new();
    let content = gzip_like(8, 24 << 20);
    let (set, digest) = set_of(&outside, &content);
    let inside = outside.inside();
    let served = serve_set(&inside, &[&set]);
    let ask = |from: usize| {
        let mut stream = served.connect();
        write!(stream, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes={from}-\r\n\r\n").unwrap();
        // Its answer has begun: what it needs is there.
        stream.read_exact(&mut [0; 1]).unwrap();
        stream
    };
    let slow: Vec<_> = (0..200).map(|n| ask(n * 100_000)).collect();
    assert!(served.get(&format!("/v2/a/blobs/{digest}")).is(200).body == content);
    // Blocks alone would be 200 MiB.
    let peak = served.peak_memory();
    assert!(peak < 180 << 20, "{peak} bytes");
    drop(slow);
    let words = ["serve", text(&set), "--plain-http", "--listen", "127.0.0.1:0", "--allow-anonymous", "push"];
    inside.run(&words).exits(2).says(&["volumes take no pushes", "--allow-anonymous pull"]);
}

/// A decoder of a compressed layer holds megabytes; a client that takes its time must not keep one.
#[test]
fn many_pulls_of_compressed_layers_take_little_memory() {
    use std::io::{Read, Write};
    let outside = Outside::new();
    let content: Vec<u8> = noise(10, 12 << 20).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    let (set, digest) = set_of(&outside, &content);
    let volumes: u64 = volumes(&set).iter().map(|name| fs::metadata(set.join(name)).unwrap().len()).sum();
    assert!(volumes < 20 << 20, "it is compressed: {volumes}");
    let served = serve_set(&outside.inside(), &[&set]);
    let ask = |from: usize| {
        let mut stream = served.connect();
        write!(stream, "GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: bytes={from}-\r\n\r\n").unwrap();
        stream.read_exact(&mut [0; 1]).unwrap();
        stream
    };
    let mut slow: Vec<_> = (0..200).map(|n| (n * 100_000, ask(n * 100_000))).collect();
    assert!(served.get(&format!("/v2/a/blobs/{digest}")).is(200).body == content);
    // Decoders for all of them would be 500 MiB.
    let peak = served.peak_memory();
    assert!(peak < 340 << 20, "{peak} bytes");
    // Their decoders were taken from them long ago; they go on where they were.
    for (from, stream) in slow.iter_mut().step_by(40) {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(&content[*from..]), "{from}");
    }
}

/// What was compared once is compared again each time it is read.
#[test]
fn what_changes_on_a_medium_after_it_was_compared_is_not_served() {
    use std::os::unix::fs::FileExt;
    let outside = Outside::new();
    let content = gzip_like(9, 3 << 20);
    let (set, digest) = set_of(&outside, &content);
    let served = serve_set(&outside.inside(), &[&set]);
    let path = format!("/v2/a/blobs/{digest}");
    for (from, to) in [(0, content.len()), (131_071, 131_074), (1 << 20, (1 << 20) + 1), (2_500_000, content.len())] {
        let part = served.send("GET", &path, &[&format!("Range: bytes={from}-{}", to - 1)], b"").is(206);
        assert!(part.body == content[from..to], "{from}");
    }
    let volume = set.join(&volumes(&set)[0]);
    let bytes = fs::read(&volume).unwrap();
    let at = bytes.windows(32).position(|window| window == &content[2_000_000..2_000_032]).unwrap();
    fs::File::options().write(true).open(&volume).unwrap().write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    let reply = served.get(&path);
    assert!(!reply.whole && content.starts_with(&reply.body), "{}", reply.body.len());
    let before = served.send("GET", &path, &["Range: bytes=0-9999"], b"").is(206);
    assert!(before.body == content[..10_000]);
}

/// An image, and an artifact attached to it, pushed by hand: `tools/app:1` and `tools/app:sbom`.
fn attached(served: &Served) -> Digest {
    let push = |reference: &str, mut document: serde_json::Value, layer: &[u8]| {
        let layer_digest = served.blob("tools/app", layer);
        let config = served.blob("tools/app", b"{}");
        document["layers"] = json!([{"mediaType": "application/octet-stream", "digest": layer_digest, "size": layer.len()}]);
        document["config"] = json!({"mediaType": media::OCI_EMPTY, "digest": config, "size": 2});
        let bytes = document.to_string().into_bytes();
        served.manifest("tools/app", reference, media::OCI_MANIFEST, &bytes).is(201);
        json!({"mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(&bytes), "size": bytes.len()})
    };
    let image = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": "application/vnd.test.tool"});
    let subject = push("1", image.clone(), &noise(31, 5000));
    let mut sbom = image;
    sbom["artifactType"] = "application/spdx+json".into();
    sbom["subject"] = subject.clone();
    push("sbom", sbom, b"what is in it");
    subject["digest"].as_str().unwrap().parse().unwrap()
}

/// From one embedded registry over volumes, which are served as they are, into another; what arrives is pulled by others.
#[test]
fn the_whole_road_between_embedded_registries() {
    if !tool("skopeo") {
        return;
    }
    let (outside, folder) = (Outside::new(), tempfile::tempdir().unwrap());
    let source = Served::layout(&outside.home, &folder.path().join("source"));
    let some = ["team/app:1", "other/app:1", "deep/er/web:1", "plain:1"];
    for name in some {
        let from = format!("oci:{}:outer.test/{name}", outside.layout().display());
        let to = format!("docker://{}/{name}", source.host());
        skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
    }
    let subject = attached(&source);
    let names: Vec<String> =
        some.iter().chain(&["tools/app:1", "tools/app:sbom"]).map(|name| format!("{}/{name}", source.host())).collect();
    let set = outside.folder("road");
    let mut words = vec!["pack", "--key", "site", "--no-sync", "--volume-size", "300KiB", "--sequence", "100"];
    words.extend(names.iter().map(String::as_str).chain([text(&set)]));
    outside.home.run(&words).exits(0);
    let inside = outside.inside();
    let from_volumes = serve_set(&inside, &[&set]);
    let layout = folder.path().join("inner");
    inside.run(&["unpack", text(&set), "--to", &format!("oci:{}", text(&layout)), "--first"]).exits(0);
    let from_layout = Served::start(&inside, &[&format!("oci:{}", text(&layout)), "--plain-http", "--read-only"]);
    let inner = Served::layout(&inside, &folder.path().join("pushed"));
    inside.run(&["unpack", text(&set), "--to", &inner.host(), "--first"]).exits(0);
    for served in [&from_volumes, &from_layout, &inner] {
        pull_all(served, &outside, &some);
        let list = served.get(&format!("/v2/tools/app/referrers/{subject}")).is(200).json();
        assert_eq!(list["manifests"][0]["artifactType"], "application/spdx+json", "{list}");
        let stores = tempfile::tempdir().unwrap();
        if tool("buildah") {
            let (root, run) = (stores.path().join("root"), stores.path().join("run"));
            let image = format!("docker://{}/team/app:1", served.host());
            let buildah = ["--storage-driver", "vfs", "--root", text(&root), "--runroot", text(&run), "pull", "--tls-verify=false", &image];
            must(Command::new("buildah").args(buildah));
        }
        let proxy = Some(format!("http://{}", served.host()));
        let Some(cache) = DockerRegistry::start(Options { proxy, ..Options::default() }) else { continue };
        for name in some {
            let through = format!("docker://{}/{name}", cache.host());
            let into = format!("dir:{}", text(&stores.path().join("copy")));
            skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &through, &into]);
            assert_eq!(skopeo_digest(&through, &["--tls-verify=false"]), outside.made(name).root, "{name}");
        }
    }
}

/// One platform of an index is carried. The index stays as it is where the registry takes it with holes; elsewhere the one image is
/// pushed alone, and that is said.
#[test]
fn a_sparse_index_needs_a_registry_that_takes_it() {
    let outside = Outside::new();
    let set = outside.pack("sparse", &["deep/er/web:1"], &["--sequence", "100", "--platform", "linux/arm64"]);
    let inside = outside.inside();
    let folder = tempfile::tempdir().unwrap();
    let strict = Served::layout(&inside, &folder.path().join("strict"));
    let root = &outside.made("deep/er/web:1").root;
    inside.run(&["unpack", text(&set), "--to", &strict.host(), "--first"]).exits(0).says(&["takes no index without all its members"]);
    let alone = strict.head("/v2/deep/er/web/manifests/1").is(200);
    let alone = alone.header("docker-content-digest").unwrap().to_owned();
    assert!(alone != *root && outside.made("deep/er/web:1").manifests.contains(&alone), "{alone}");
    let layout = format!("oci:{}", text(&folder.path().join("sparse")));
    let sparse = Served::start(&inside, &[&layout, "--plain-http", "--allow-anonymous", "push", "--sparse"]);
    inside.run(&["unpack", text(&set), "--to", &sparse.host(), "--first"]).exits(0);
    for served in [&sparse, &serve_set(&inside, &[&set])] {
        assert_eq!(served.head("/v2/deep/er/web/manifests/1").is(200).header("docker-content-digest"), Some(root.as_str()));
        let reference = format!("docker://{}/deep/er/web:1", served.host());
        if tool("skopeo") {
            let to = tempfile::tempdir().unwrap();
            let words = ["copy", "--override-arch", "arm64", "--override-os", "linux", "--src-tls-verify=false", &reference];
            skopeo(&[&words[..], &[&format!("dir:{}", text(to.path()))]].concat());
        }
    }
}
