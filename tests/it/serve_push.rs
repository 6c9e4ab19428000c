//! The distribution specification, asked of `sealift serve oci:DIR` by hand.

use crate::support::inside::{Home, noise, text};
use crate::support::raw::{Reply, Served, reply};
use sealift::digest::{Algorithm, Digest, Hasher};
use sealift::oci::media;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Barrier;
use tempfile::TempDir;

struct Site {
    home: Home,
    folder: TempDir,
}

impl Site {
    fn new() -> Site {
        Site { home: Home::new(), folder: tempfile::tempdir().unwrap() }
    }

    fn layout(&self) -> PathBuf {
        self.folder.path().join("layout")
    }

    fn serve(&self) -> Served {
        Served::layout(&self.home, &self.layout())
    }
}

fn sha512(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(bytes);
    hasher.finish()
}

fn descriptor(kind: &str, digest: Digest, size: usize) -> Value {
    json!({"mediaType": kind, "digest": digest, "size": size})
}

/// An image of one layer, its parts pushed.
fn image(served: &Served, repository: &str, seed: u64) -> Vec<u8> {
    let (config, layer) = (format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"seed\":{seed}}}"), noise(seed, 2000));
    let config = descriptor(media::OCI_CONFIG, served.blob(repository, config.as_bytes()), config.len());
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", served.blob(repository, &layer), 2000);
    serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": [layer]})).unwrap()
}

#[test]
fn every_way_to_push_a_blob() {
    let site = Site::new();
    let served = site.serve();
    let octets = "Content-Type: application/octet-stream";
    let whole = |digest: &Digest, content: &[u8]| {
        let got = served.get(&format!("/v2/a/b/blobs/{digest}")).is(200);
        assert!(got.body == content && got.header("docker-content-digest") == Some(digest.to_string().as_str()));
        assert_eq!(served.head(&format!("/v2/a/b/blobs/{digest}")).is(200).header("content-length"), got.header("content-length"));
    };
    for (seed, size) in [(1, 0), (2, 2), (3, 300_000)] {
        for name in [Digest::sha256 as fn(&[u8]) -> Digest, sha512] {
            let content = |way: u64| if size == 0 { vec![] } else { noise(seed * 10 + way, size) };
            // One request.
            let (c, d) = (content(1), name(&content(1)));
            let done = served.send("POST", &format!("/v2/a/b/blobs/uploads/?digest={d}"), &[octets], &c).is(201);
            assert_eq!(done.location(), format!("/v2/a/b/blobs/{d}"));
            whole(&d, &c);
            // POST, PUT; no slash at the end, the digest percent-encoded.
            let (c, d) = (content(2), name(&content(2)));
            let at = served.send("POST", "/v2/a/b/blobs/uploads", &[], b"").is(202).location();
            served.send("PUT", &format!("{at}?digest={}", d.to_string().replace(':', "%3A")), &[octets], &c).is(201);
            whole(&d, &c);
            // POST, one PATCH of unknown length, PUT.
            let (c, d) = (content(3), name(&content(3)));
            let at = served.upload("a/b");
            let mut body = Vec::new();
            for piece in c.chunks(70_000) {
                body.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()).chain(*b"\r\n"));
            }
            body.extend(b"0\r\n\r\n");
            let at = served.send("PATCH", &at, &[octets, "Transfer-Encoding: chunked"], &body).is(202).location();
            served.send("PUT", &format!("{at}?digest={d}"), &[], b"").is(201);
            whole(&d, &c);
            // POST, several PATCHes, the rest with PUT.
            let (c, d) = (content(4), name(&content(4)));
            let mut at = served.upload("a/b");
            let (mut sent, pieces) = (0, c.chunks(100_000).collect::<Vec<_>>());
            for (i, piece) in pieces.iter().enumerate() {
                let range = format!("Content-Range: {sent}-{}", sent + piece.len() - 1);
                sent += piece.len();
                if i + 1 == pieces.len() {
                    served.send("PUT", &format!("{at}?digest={d}"), &[octets, &range], piece).is(201);
                } else {
                    let reply = served.send("PATCH", &at, &[octets, &range], piece).is(202);
                    assert_eq!(reply.header("range"), Some(format!("0-{}", sent - 1).as_str()));
                    at = reply.location();
                }
            }
            if pieces.is_empty() {
                served.send("PUT", &format!("{at}?digest={d}"), &[], b"").is(201);
            }
            whole(&d, &c);
        }
    }
    assert_eq!(std::fs::read_dir(site.layout().join(".sealift-serve/uploads")).unwrap().count(), 0, "no session is left");
}

#[test]
fn uploads_that_go_wrong() {
    let site = Site::new();
    let served = site.serve();
    let content = noise(1, 5000);
    let (right, wrong) = (Digest::sha256(&content), Digest::sha256(b"other"));
    served.send("POST", &format!("/v2/a/blobs/uploads/?digest={wrong}"), &[], &content).refuses(400, "DIGEST_INVALID");
    let at = served.upload("a");
    served.send("PUT", &format!("{at}?digest={wrong}"), &[], &content).refuses(400, "DIGEST_INVALID");
    served.get(&at).refuses(404, "BLOB_UPLOAD_UNKNOWN");
    let at = served.send("PATCH", &served.upload("a"), &[], &content).is(202).location();
    for bad in ["sha256:12", "sha384:00", "nothing"] {
        served.send("PUT", &format!("{at}?digest={bad}"), &[], b"").refuses(400, "DIGEST_INVALID");
    }
    served.send("PUT", &at, &[], b"").refuses(400, "DIGEST_INVALID");
    served.send("PUT", &format!("{at}?digest={wrong}"), &[], b"").refuses(400, "DIGEST_INVALID");
    served.get(&format!("/v2/a/blobs/{wrong}")).refuses(404, "BLOB_UNKNOWN");

    // Out of order: told where to go on, which then works.
    let at = served.send("PATCH", &served.upload("a"), &["Content-Range: 0-999"], &content[..1000]).is(202).location();
    for (method, more) in [("PATCH", ""), ("PUT", &*format!("?digest={right}"))] {
        let late = served.send(method, &format!("{at}{more}"), &["Content-Range: 2000-4999"], &content[2000..]);
        assert_eq!(late.refuses(416, "BLOB_UPLOAD_INVALID").header("range"), Some("0-999"));
    }
    served.send("PATCH", &at, &["Content-Range: 1000-1001"], &content[1000..]).refuses(400, "BLOB_UPLOAD_INVALID");
    let state = served.get(&at).is(204);
    assert_eq!(state.header("range"), Some("0-999"));
    served.send("PUT", &format!("{}?digest={right}", state.location()), &["Content-Range: 1000-4999"], &content[1000..]).is(201);

    // More or fewer bytes than announced, where nothing else says how many come.
    for (sent, kept) in [(1500, 1000), (700, 700)] {
        let at = served.upload("a");
        let body = [format!("{sent:x}\r\n").as_bytes(), &content[..sent], b"\r\n0\r\n\r\n"].concat();
        let lied = served.send("PATCH", &at, &["Content-Range: 0-999", "Transfer-Encoding: chunked"], &body);
        assert_eq!(lied.refuses(400, "BLOB_UPLOAD_INVALID").header("range"), Some(format!("0-{}", kept - 1).as_str()));
        let rest = format!("Content-Range: {kept}-4999");
        served.send("PUT", &format!("{at}?digest={right}"), &[&rest], &content[kept..]).is(201);
    }

    // Given up, and never there, and another repository's.
    let at = served.upload("a");
    served.get(&at.replace("/v2/a/", "/v2/b/")).refuses(404, "BLOB_UPLOAD_UNKNOWN");
    served.delete(&at).is(204);
    served.delete(&at).refuses(404, "BLOB_UPLOAD_UNKNOWN");
    served.get("/v2/a/blobs/uploads/..%2f..%2findex.json").status.eq(&404).then_some(()).unwrap();
}

#[test]
fn mounts() {
    let site = Site::new();
    let served = site.serve();
    let digest = served.blob("from/here", b"layer");
    let mount = |query: String| served.send("POST", &format!("/v2/to/there/blobs/uploads/?mount={query}"), &[], b"");
    assert_eq!(mount(format!("{digest}&from=from/here")).is(201).location(), format!("/v2/to/there/blobs/{digest}"));
    mount(format!("{digest}")).is(201);
    let session = mount(format!("{}&from=from/here", Digest::sha256(b"nowhere"))).is(202).location();
    served.delete(&session).is(204);
    mount("sha256:1".into()).refuses(400, "DIGEST_INVALID");
}

#[test]
fn ranges_and_conditions() {
    let site = Site::new();
    let served = site.serve();
    let content = noise(1, 2000);
    let path = format!("/v2/a/blobs/{}", served.blob("a", &content));
    for (range, from, to) in [("500-1499", 500, 1500), ("500-", 500, 2000), ("-500", 1500, 2000), ("0-0", 0, 1), ("1999-5000", 1999, 2000)]
    {
        let part = served.send("GET", &path, &[&format!("Range: bytes={range}")], b"").is(206);
        assert_eq!(part.body, content[from..to], "{range}");
        assert_eq!(part.header("content-range"), Some(format!("bytes {from}-{}/2000", to - 1).as_str()));
    }
    for range in ["500-0", "5000-10000", "2000-"] {
        let none = served.send("GET", &path, &[&format!("Range: bytes={range}")], b"").refuses(416, "SIZE_INVALID");
        assert_eq!(none.header("content-range"), Some("bytes */2000"));
    }
    let whole = served.send("GET", &path, &["Range: bytes=0-1,5-6"], b"").is(200);
    assert_eq!((whole.body.len(), whole.header("accept-ranges")), (2000, Some("bytes")));
    let tag = whole.header("etag").unwrap().to_owned();
    served.send("GET", &path, &[&format!("If-None-Match: {tag}")], b"").is(304);
    served.send("GET", &path, &["Range: bytes=0-1", "If-Range: \"other\""], b"").is(200);
    served.send("GET", &path, &["Range: bytes=0-1", &format!("If-Range: {tag}")], b"").is(206);
}

#[test]
fn manifests_by_tag_and_digest() {
    let site = Site::new();
    let served = site.serve();
    assert_eq!(served.get("/v2/").is(200).header("docker-distribution-api-version"), Some("registry/2.0"));
    served.get("/v2").is(200);
    let bytes = image(&served, "a", 1);
    let digest = Digest::sha256(&bytes);
    let put = served.manifest("a", "1.0", media::OCI_MANIFEST, &bytes).is(201);
    assert_eq!((put.location().as_str(), put.header("docker-content-digest")), ("/v2/a/manifests/1.0", Some(&*digest.to_string())));
    let long = sha512(&bytes);
    served.manifest("a", &long.to_string(), media::OCI_MANIFEST, &bytes).is(201);
    for (reference, digest) in [("1.0".to_owned(), digest), (digest.to_string(), digest), (long.to_string(), long)] {
        let got = served.get(&format!("/v2/a/manifests/{reference}")).is(200);
        assert!(got.body == bytes && got.header("content-type") == Some(media::OCI_MANIFEST), "{reference}");
        let head = served.head(&format!("/v2/a/manifests/{reference}")).is(200);
        for header in ["docker-content-digest", "etag", "content-length", "content-type"] {
            assert_eq!(head.header(header), got.header(header), "{header}");
        }
        assert_eq!(head.header("docker-content-digest"), Some(&*digest.to_string()));
    }
    served.manifest("a", &Digest::sha256(b"x").to_string(), media::OCI_MANIFEST, &bytes).refuses(400, "DIGEST_INVALID");
    served.manifest("a", "sha256:totally-wrong", media::OCI_MANIFEST, &bytes).refuses(400, "DIGEST_INVALID");
    served.get("/v2/a/manifests/sha256:totally-wrong").refuses(400, "DIGEST_INVALID");
    served.manifest("a", "2", media::DOCKER_MANIFEST, &bytes).refuses(400, "MANIFEST_INVALID");
    served.get("/v2/a/manifests/2").refuses(404, "MANIFEST_UNKNOWN");
    served.get(&format!("/v2/a/manifests/{}", Digest::sha256(b"x"))).refuses(404, "MANIFEST_UNKNOWN");
    served.manifest("A", "1", media::OCI_MANIFEST, &bytes).refuses(400, "NAME_INVALID");

    // Tags given with a digest: all of them or none.
    for (digest, tags) in [(digest, ["p1", "p2"]), (long, ["q1", "q2"])] {
        let path = format!("{digest}?tag={}&tag={}", tags[0], tags[1]);
        let put = served.manifest("a", &path, media::OCI_MANIFEST, &bytes).is(201);
        assert_eq!(put.header("oci-tag"), Some(tags.join(", ").as_str()));
        assert_eq!(put.header("docker-content-digest"), Some(&*digest.to_string()));
        for tag in tags {
            let got = served.get(&format!("/v2/a/manifests/{tag}")).is(200);
            assert!(got.body == bytes && got.header("docker-content-digest") == Some(&*digest.to_string()), "{tag}");
        }
    }
    served.manifest("a", &format!("{digest}?tag=r1&tag=-r2"), media::OCI_MANIFEST, &bytes).refuses(400, "MANIFEST_INVALID");
    served.get("/v2/a/manifests/r1").refuses(404, "MANIFEST_UNKNOWN");
    let many: Vec<String> = (0..101).map(|i| format!("tag=t{i}")).collect();
    served.manifest("a", &format!("{digest}?{}", many.join("&")), media::OCI_MANIFEST, &bytes).refuses(414, "MANIFEST_INVALID");
    assert_eq!(served.manifest("a", "s?tag=s1", media::OCI_MANIFEST, &bytes).is(201).header("oci-tag"), None);
    served.get("/v2/a/manifests/s1").refuses(404, "MANIFEST_UNKNOWN");

    // What refers to something that is not here has a hole; what it is attached to may come later.
    let absent = Digest::sha256(b"absent");
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [descriptor(media::OCI_MANIFEST, absent, 9)]});
    let refused = served.manifest("a", "i", media::OCI_INDEX, index.to_string().as_bytes()).refuses(400, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], absent.to_string());
    let mut holed: Value = serde_json::from_slice(&bytes).unwrap();
    holed["layers"][0]["digest"] = json!(absent);
    served.manifest("a", "h", media::OCI_MANIFEST, holed.to_string().as_bytes()).refuses(400, "MANIFEST_BLOB_UNKNOWN");
    holed["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    served.manifest("a", "h", media::OCI_MANIFEST, holed.to_string().as_bytes()).is(201);
    let nested = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "custom": 1,
        "manifests": [descriptor(media::OCI_MANIFEST, digest, bytes.len())]});
    let nested = served.manifest("a", "n", media::OCI_INDEX, nested.to_string().as_bytes()).is(201);
    assert_eq!(served.get("/v2/a/manifests/n").is(200).json()["custom"], 1);
    assert_eq!(nested.header("oci-subject"), None);

    // What no registry takes any more says so.
    let schema1 = json!({"schemaVersion": 1, "fsLayers": []}).to_string();
    let told = served.manifest("a", "s1", media::SCHEMA1_SIGNED, schema1.as_bytes()).refuses(400, "MANIFEST_INVALID");
    assert!(told.json()["errors"][0]["message"].as_str().unwrap().contains("schema 1"));
    let artifact = json!({"mediaType": media::OCI_ARTIFACT, "blobs": []}).to_string();
    served.manifest("a", "art", media::OCI_ARTIFACT, artifact.as_bytes()).refuses(400, "MANIFEST_INVALID");
    served.manifest("a", "x", media::OCI_MANIFEST, b"not json").refuses(400, "MANIFEST_INVALID");

    // The border of 4 MiB.
    let mut large: Value = serde_json::from_slice(&bytes).unwrap();
    large["x"] = json!("");
    large["x"] = json!("y".repeat((4 << 20) - large.to_string().len()));
    assert_eq!(large.to_string().len(), 4 << 20);
    served.manifest("a", "large", media::OCI_MANIFEST, large.to_string().as_bytes()).is(201);
    served.manifest("a", "larger", media::OCI_MANIFEST, format!("{large} ").as_bytes()).refuses(413, "SIZE_INVALID");
}

#[test]
fn lists_and_referrers() {
    let site = Site::new();
    let served = site.serve();
    served.get("/v2/a/tags/list").refuses(404, "NAME_UNKNOWN");
    let bytes = image(&served, "a", 1);
    for tag in ["b", "C", "a", "1.0"] {
        served.manifest("a", tag, media::OCI_MANIFEST, &bytes).is(201);
    }
    image(&served, "z/y", 2);
    served.manifest("z/y", "t", media::OCI_MANIFEST, &image(&served, "z/y", 2)).is(201);
    let tags = |query: &str| served.get(&format!("/v2/a/tags/list{query}")).is(200);
    assert_eq!(tags("").json(), json!({"name": "a", "tags": ["1.0", "C", "a", "b"]}));
    let first = tags("?n=2");
    assert_eq!(first.json()["tags"], json!(["1.0", "C"]));
    assert_eq!(first.header("link"), Some("</v2/a/tags/list?n=2&last=C>; rel=\"next\""));
    assert_eq!(tags("?n=2&last=C").json()["tags"], json!(["a", "b"]));
    assert_eq!((tags("?n=2&last=C").header("link"), tags("?n=0").json()["tags"].clone()), (None, json!([])));
    served.get("/v2/a/tags/list?n=x").refuses(400, "PAGINATION_NUMBER_INVALID");
    assert_eq!(served.get("/v2/_catalog").is(200).json(), json!({"repositories": ["a", "z/y"]}));
    assert_eq!(served.get("/v2/_catalog?n=1").is(200).header("link"), Some("</v2/_catalog?n=1&last=a>; rel=\"next\""));

    let subject = descriptor(media::OCI_MANIFEST, Digest::sha256(&bytes), bytes.len());
    let list = |query: &str| served.get(&format!("/v2/a/referrers/{}{query}", Digest::sha256(&bytes))).is(200);
    assert_eq!(list("").json()["manifests"], json!([]));
    served.blob("a", b"{}");
    let attach = |kind: &str, subject: &Value| {
        let manifest = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": kind, "subject": subject,
            "config": descriptor(media::OCI_EMPTY, Digest::sha256(b"{}"), 2), "layers": [], "annotations": {"k": kind}});
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        let put = served.manifest("a", &digest.to_string(), media::OCI_MANIFEST, &bytes).is(201);
        assert_eq!(put.header("oci-subject"), subject["digest"].as_str());
        digest
    };
    attach("application/x", &subject);
    let second = attach("application/y", &subject);
    attach("application/z", &descriptor(media::OCI_MANIFEST, Digest::sha256(b"later"), 5));
    let all = list("");
    assert_eq!(all.header("content-type"), Some(media::OCI_INDEX));
    assert_eq!((all.json()["manifests"].as_array().unwrap().len(), all.header("oci-filters-applied")), (2, None));
    let some = list("?artifactType=application%2Fy");
    assert_eq!(some.header("oci-filters-applied"), Some("artifactType"));
    let found = &some.json()["manifests"][0];
    assert_eq!((&found["digest"], &found["annotations"]["k"]), (&json!(second), &json!("application/y")));
    // One that was pushed by tag stays attached when the tag goes.
    let tagged = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": "application/t", "subject": subject,
        "config": descriptor(media::OCI_EMPTY, Digest::sha256(b"{}"), 2), "layers": []});
    served.manifest("a", "signed", media::OCI_MANIFEST, tagged.to_string().as_bytes()).is(201);
    served.delete("/v2/a/manifests/signed").is(202);
    let left = list("?artifactType=application%2Ft").json();
    assert_eq!(left["manifests"][0]["digest"], json!(Digest::sha256(tagged.to_string().as_bytes())));
}

#[test]
fn deletion_and_collection() {
    let site = Site::new();
    let served = site.serve();
    let (kept, gone) = (image(&served, "a", 1), image(&served, "a", 2));
    served.manifest("a", "kept", media::OCI_MANIFEST, &kept).is(201);
    for tag in ["gone", "also"] {
        served.manifest("a", tag, media::OCI_MANIFEST, &gone).is(201);
    }
    served.manifest("b", "same", media::OCI_MANIFEST, &gone).is(201);
    let layer = Digest::sha256(&noise(2, 2000));
    served.delete(&format!("/v2/a/blobs/{layer}")).refuses(405, "UNSUPPORTED");
    served.delete("/v2/a/manifests/gone").is(202);
    served.get("/v2/a/manifests/gone").refuses(404, "MANIFEST_UNKNOWN");
    served.delete("/v2/a/manifests/gone").refuses(404, "MANIFEST_UNKNOWN");
    let digest = Digest::sha256(&gone);
    let path = format!("/v2/a/manifests/{digest}");
    served.get(&path).is(200);
    served.delete(&path).is(202);
    served.get(&path).refuses(404, "MANIFEST_UNKNOWN");
    served.get("/v2/a/manifests/also").refuses(404, "MANIFEST_UNKNOWN");
    served.delete(&format!("/v2/a/blobs/{layer}")).is(202);
    served.head(&format!("/v2/a/blobs/{layer}")).is(404);
    served.delete(&format!("/v2/a/blobs/{layer}")).refuses(404, "BLOB_UNKNOWN");
    // Another repository still has all of it.
    served.get(&format!("/v2/b/manifests/{digest}")).is(200);
    served.get(&format!("/v2/b/blobs/{layer}")).is(200);
    // Pushed again, it is there again.
    served.send("POST", &format!("/v2/a/blobs/uploads/?mount={layer}&from=b"), &[], b"").is(201);
    served.get(&format!("/v2/a/blobs/{layer}")).is(200);

    // A collection leaves what is young, and then takes what nothing reaches.
    served.delete("/v2/b/manifests/same").is(202);
    let collect = || {
        let run = site.home.run(&["serve", "--collect-garbage", &format!("oci:{}", text(&site.layout())), "--json"]).exits(0);
        run.json()["removed"].as_u64().unwrap()
    };
    assert_eq!(collect(), 0);
    let age = |digest: &Digest| {
        let file = std::fs::File::open(site.layout().join("blobs/sha256").join(digest.hex())).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(90_000)).unwrap();
    };
    for old in [&digest, &layer, &Digest::sha256(&kept), &Digest::sha256(&noise(1, 2000))] {
        age(old);
    }
    assert_eq!(collect(), 2);
    served.get(&format!("/v2/b/blobs/{layer}")).refuses(404, "BLOB_UNKNOWN");
    served.get("/v2/a/manifests/kept").is(200);
    served.get(&format!("/v2/a/blobs/{}", Digest::sha256(&noise(1, 2000)))).is(200);
}

/// Who was told that something is here need not push it, and has a day to name it.
#[test]
fn what_a_pusher_was_told_of_is_young_again() {
    let site = Site::new();
    let served = site.serve();
    let digests: Vec<Digest> = (0..4).map(|i| served.blob("a", &noise(i, 500))).collect();
    let manifest = image(&served, "a", 9);
    let member = Digest::sha256(&manifest);
    served.manifest("a", &member.to_string(), media::OCI_MANIFEST, &manifest).is(201);
    let session = served.send("PATCH", &served.upload("a"), &[], &noise(7, 500)).is(202).location();
    let uploads = site.layout().join(".sealift-serve/uploads");
    let blobs = site.layout().join("blobs/sha256");
    for entry in std::fs::read_dir(&uploads).unwrap().chain(std::fs::read_dir(&blobs).unwrap()) {
        let file = std::fs::File::open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(90_000)).unwrap();
    }
    served.head(&format!("/v2/a/blobs/{}", digests[0])).is(200);
    served.send("POST", &format!("/v2/b/blobs/uploads/?mount={}&from=a", digests[1]), &[], b"").is(201);
    served.send("POST", &format!("/v2/a/blobs/uploads/?digest={}", digests[2]), &[], &noise(2, 500)).is(201);
    served.head(&format!("/v2/a/manifests/{member}")).is(200);
    let late = Digest::sha256(&noise(7, 500));
    served.send("PUT", &format!("{session}?digest={late}"), &[], b"").is(201);
    site.home.run(&["serve", "--collect-garbage", &format!("oci:{}", text(&site.layout()))]).exits(0);
    for kept in [digests[0], digests[1], digests[2], late] {
        served.get(&format!("/v2/a/blobs/{kept}")).is(200);
    }
    served.get(&format!("/v2/a/manifests/{member}")).is(200);
    served.get(&format!("/v2/a/blobs/{}", digests[3])).refuses(404, "BLOB_UNKNOWN");
}

/// A slow push: the index of one platform has just come, what it refers to came more than a day ago, and the image that names it is still
/// to come.
#[test]
fn what_a_young_manifest_refers_to_stays() {
    let site = Site::new();
    let served = site.serve();
    let bytes = image(&served, "a", 1);
    let (member, layer) = (Digest::sha256(&bytes), Digest::sha256(&noise(1, 2000)));
    let index = |digest: Digest, kind: &str, size: usize| {
        json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [descriptor(kind, digest, size)]}).to_string()
    };
    let inner = index(member, media::OCI_MANIFEST, bytes.len());
    let young = Digest::sha256(inner.as_bytes());
    served.manifest("a", &member.to_string(), media::OCI_MANIFEST, &bytes).is(201);
    served.manifest("a", &young.to_string(), media::OCI_INDEX, inner.as_bytes()).is(201);
    // It looks like a manifest and is none: no reason to end a collection.
    served.blob("a", index(Digest::sha256(b"no manifest"), media::OCI_MANIFEST, 11).as_bytes());
    served.blob("a", b"no manifest");
    let alone = served.blob("a", b"nobody's");
    let age = |keep: Option<Digest>| {
        for entry in std::fs::read_dir(site.layout().join("blobs/sha256")).unwrap().map(Result::unwrap) {
            if keep.is_none_or(|keep| entry.file_name() != keep.hex().as_str()) {
                let file = std::fs::File::open(entry.path()).unwrap();
                file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(90_000)).unwrap();
            }
        }
    };
    let collect = || site.home.run(&["serve", "--collect-garbage", &format!("oci:{}", text(&site.layout()))]).exits(0);
    age(Some(young));
    collect();
    served.get(&format!("/v2/a/blobs/{alone}")).refuses(404, "BLOB_UNKNOWN");
    let outer = index(young, media::OCI_INDEX, inner.len());
    served.manifest("a", "whole", media::OCI_INDEX, outer.as_bytes()).is(201);
    served.get(&format!("/v2/a/manifests/{member}")).is(200);
    served.get(&format!("/v2/a/blobs/{layer}")).is(200);
    // Once nobody names it and all of it is old, all of it goes.
    served.delete("/v2/a/manifests/whole").is(202);
    age(None);
    collect();
    assert_eq!(std::fs::read_dir(site.layout().join("blobs/sha256")).unwrap().count(), 0);
}

/// The list of deletions is read and written whole: it must not hold what a collection has removed.
#[test]
fn a_collection_forgets_deletions() {
    let site = Site::new();
    let served = site.serve();
    let (old, young) = (served.blob("a", b"old"), served.blob("a", b"young"));
    for digest in [old, young] {
        served.delete(&format!("/v2/a/blobs/{digest}")).is(202);
    }
    let file = std::fs::File::open(site.layout().join("blobs/sha256").join(old.hex())).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(90_000)).unwrap();
    site.home.run(&["serve", "--collect-garbage", &format!("oci:{}", text(&site.layout()))]).exits(0);
    let left = std::fs::read_to_string(site.layout().join(".sealift-serve/deleted")).unwrap();
    assert_eq!(left, format!("a@{young}\n"));
    served.get(&format!("/v2/a/blobs/{old}")).refuses(404, "BLOB_UNKNOWN");
    served.blob("a", b"old");
    served.get(&format!("/v2/a/blobs/{old}")).is(200);
    served.get(&format!("/v2/a/blobs/{young}")).refuses(404, "BLOB_UNKNOWN");
}

#[test]
fn a_member_of_a_tagged_index_stays_and_holes_are_a_choice() {
    let site = Site::new();
    let mut served = site.serve();
    let bytes = image(&served, "a", 1);
    let member = Digest::sha256(&bytes);
    served.manifest("a", &member.to_string(), media::OCI_MANIFEST, &bytes).is(201);
    let absent = descriptor(media::OCI_MANIFEST, Digest::sha256(b"absent"), 9);
    let index = |members: Value| json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": members}).to_string();
    let whole = index(json!([descriptor(media::OCI_MANIFEST, member, bytes.len())]));
    served.manifest("a", "i", media::OCI_INDEX, whole.as_bytes()).is(201);
    served.manifest("a", "member", media::OCI_MANIFEST, &bytes).is(201);
    let refused = served.delete(&format!("/v2/a/manifests/{member}")).refuses(405, "UNSUPPORTED");
    assert_eq!(refused.json()["errors"][0]["detail"]["tag"], "a:i");
    served.get("/v2/a/manifests/member").is(200);
    served.end();
    let holed = index(json!([descriptor(media::OCI_MANIFEST, member, bytes.len()), absent]));
    site.serve().manifest("a", "holed", media::OCI_INDEX, holed.as_bytes()).refuses(400, "MANIFEST_BLOB_UNKNOWN");
    let layout = format!("oci:{}", text(&site.layout()));
    let sparse = Served::start(&site.home, &[&layout, "--plain-http", "--sparse", "--allow-anonymous", "push"]);
    sparse.manifest("a", "holed", media::OCI_INDEX, holed.as_bytes()).is(201);
}

/// A replica over the same folder writes nothing, and sees what the other takes in and deletes.
#[test]
fn a_replica_over_one_folder() {
    let site = Site::new();
    let served = site.serve();
    let layout = format!("oci:{}", text(&site.layout()));
    let replica = Served::start(&site.home, &[&layout, "--plain-http", "--read-only"]);
    let bytes = image(&served, "a", 1);
    served.manifest("a", "1", media::OCI_MANIFEST, &bytes).is(201);
    assert!(replica.get("/v2/a/manifests/1").is(200).body == bytes);
    replica.manifest("a", "2", media::OCI_MANIFEST, &bytes).refuses(405, "UNSUPPORTED");
    replica.send("POST", "/v2/a/blobs/uploads/", &[], b"").refuses(405, "UNSUPPORTED");
    served.delete(&format!("/v2/a/manifests/{}", Digest::sha256(&bytes))).is(202);
    replica.get(&format!("/v2/a/manifests/{}", Digest::sha256(&bytes))).refuses(404, "MANIFEST_UNKNOWN");
}

/// A client that asks before it sends gigabytes hears the refusal, and is not told to go on first.
#[test]
fn who_asks_first_is_refused_before_anything_is_sent() {
    let site = Site::new();
    let served = site.serve();
    for (path, status) in [("/v2/A/manifests/1", 400), ("/v2/a/blobs/uploads/?digest=x", 400), ("/v1/a", 404)] {
        let mut stream = served.connect();
        let head = "Host: x\r\nContent-Length: 100000000\r\nExpect: 100-Continue";
        write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        assert_eq!(reply(&stream, false).unwrap().status, status, "{path}");
    }
}

#[test]
fn an_upload_survives_a_cut_and_a_restart() {
    let site = Site::new();
    let mut served = site.serve();
    let content = noise(9, 400_000);
    let at = served.upload("a");
    let mut stream = served.connect();
    write!(stream, "PATCH {at} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", content.len()).unwrap();
    stream.write_all(&content[..150_000]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    drop(stream);
    let reached = |reply: &Reply| reply.header("range").unwrap().strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1;
    let before = reached(&served.get(&at).is(204));
    assert!(before <= 150_000);
    let at = served.send("PATCH", &at, &[&format!("Content-Range: {before}-199999")], &content[before..200_000]).is(202).location();
    served.kill();
    let again = site.serve();
    assert_eq!(reached(&again.get(&at).is(204)), 200_000);
    let digest = Digest::sha256(&content);
    again.send("PUT", &format!("{at}?digest={digest}"), &["Content-Range: 200000-399999"], &content[200_000..]).is(201);
    assert!(again.get(&format!("/v2/a/blobs/{digest}")).is(200).body == content);
}

/// Nobody was told of the session of a push in one request: when its client goes away nothing of it stays, and the request is told of.
#[test]
fn a_push_in_one_request_that_is_cut_leaves_nothing() {
    let site = Site::new();
    let served = site.serve();
    let content = noise(4, 200_000);
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::sha256(&content));
    let mut stream = served.connect();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n").unwrap();
    let mut goes_on = [0; 25];
    stream.read_exact(&mut goes_on).unwrap();
    stream.write_all(&content[..90_000]).unwrap();
    let uploads = site.layout().join(".sealift-serve/uploads");
    let sessions = || std::fs::read_dir(&uploads).unwrap().count();
    assert_eq!(sessions(), 1);
    drop(stream);
    let began = std::time::Instant::now();
    let is_over = || {
        let running = String::from_utf8(served.get("/metrics").is(200).body).unwrap();
        sessions() == 0
            && running.lines().any(|line| line == "sealift_http_requests_running 1")
            && served.log().lines().any(|line| line.contains("\"POST /v2/a/blobs/uploads/\""))
    };
    while !is_over() {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{} sessions\n{}", sessions(), served.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    served.get(&format!("/v2/a/blobs/{}", Digest::sha256(&content))).refuses(404, "BLOB_UNKNOWN");
}

/// Whatever moment the process dies at, what can be seen afterwards is whole.
#[test]
fn killed_in_the_middle_of_pushes() {
    let site = Site::new();
    for round in 0..6u64 {
        let mut served = site.serve();
        let pause = std::time::Duration::from_millis(5 + round * 15);
        std::thread::scope(|scope| {
            for thread in 0..3u64 {
                let (addr, seed) = (served.addr, round * 100 + thread * 10);
                scope.spawn(move || {
                    for i in 0..10 {
                        let content = noise(seed + i, 300_000);
                        let Ok(mut stream) = std::net::TcpStream::connect(addr) else { return };
                        let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::sha256(&content));
                        let _ = write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", content.len());
                        if stream.write_all(&content).is_err() || reply(&stream, false).is_err() {
                            return;
                        }
                    }
                });
            }
            std::thread::sleep(pause);
            served.kill();
        });
        let blobs = site.layout().join("blobs/sha256");
        for entry in std::fs::read_dir(&blobs).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !name.ends_with(".incomplete") {
                assert_eq!(Digest::sha256(&std::fs::read(entry.path()).unwrap()).hex(), name);
            }
        }
        let served = site.serve();
        let manifest = image(&served, "a", 1000 + round);
        served.manifest("a", &format!("r{round}"), media::OCI_MANIFEST, &manifest).is(201);
    }
    let tags = site.serve().get("/v2/a/tags/list").is(200).json()["tags"].as_array().unwrap().len();
    assert_eq!(tags, 6);
}

#[test]
fn eight_clients_push_one_blob_and_eight_tags_at_once() {
    let site = Site::new();
    let served = site.serve();
    let manifest = image(&served, "a", 1);
    let content = noise(5, 700_000);
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (served, start, content, manifest) = (&served, &start, &content, &manifest);
            scope.spawn(move || {
                start.wait();
                served.blob("a", content);
                served.manifest("a", &format!("t{i}"), media::OCI_MANIFEST, manifest).is(201);
            });
        }
    });
    assert!(served.get(&format!("/v2/a/blobs/{}", Digest::sha256(&content))).is(200).body == content);
    assert_eq!(served.get("/v2/a/tags/list").is(200).json()["tags"].as_array().unwrap().len(), 8);
}

#[test]
fn a_request_under_way_is_finished_and_then_it_ends() {
    let site = Site::new();
    let mut served = site.serve();
    let content = noise(3, 50_000);
    let at = served.upload("a");
    let mut stream = served.connect();
    let head = format!("PUT {at}?digest={} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000", Digest::sha256(&content));
    write!(stream, "{head}\r\nExpect: 100-continue\r\n\r\n").unwrap();
    // It has begun to read the body when it asks for it.
    let mut goes_on = [0; 25];
    stream.read_exact(&mut goes_on).unwrap();
    assert_eq!(&goes_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&content[..20_000]).unwrap();
    let end = std::thread::scope(|scope| {
        let ending = scope.spawn(|| served.end());
        // It ends only with this request, so there is nothing to race with.
        stream.write_all(&content[20_000..]).unwrap();
        assert_eq!(reply(&stream, false).unwrap().status, 201);
        ending.join().unwrap()
    });
    assert_eq!(end, Some(0));
    assert!(site.layout().join("blobs/sha256").join(Digest::sha256(&content).hex()).exists());
}
