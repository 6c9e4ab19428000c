//! First inputs, written into `corpus/TARGET` when a target starts. Further ImageSets are taken from the folder that
//! `SEALIFT_IMAGE_SETS` names.

use crate::samples;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes those of one target. One that cannot be written is missed by nobody.
pub fn write(target: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let all = fs::create_dir_all(&folder).and_then(|()| {
        let put = |whose: &str, name: &str, bytes: &[u8]| if whose == target { fs::write(folder.join(name), bytes) } else { Ok(()) };
        each(&put)?;
        if target == "openpgp" { gpg(&mut |name, bytes| put(target, name, bytes)) } else { Ok(()) }
    });
    if let Err(error) = all {
        println!("not all seeds of {target}: {error}");
    }
}

fn each(put: &dyn Fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let chosen = |choices: &[u8], rest: &[u8]| [choices, rest].concat();
    // A sample with `n` changes.
    for n in 0..4 {
        for choice in 0..8 {
            for target in ["medium", "documents", "images", "catalogs"] {
                put(target, &format!("sample-{choice}-{n}"), &[choice, 1, n, 1, 7, 0, 9, 1, choice, 2, 3, 0, 1, 3, 9])?;
            }
        }
        put("settings", &format!("policy-{n}"), &[0, 1, n, 1, 7, 0, 9, 1, 3, 2, 3, 0, 1])?;
        put("settings", &format!("logins-{n}"), &[5, n, 1, n, 1, 7, 0, 9, 1, 3])?;
    }
    let set = samples::set();
    put("medium", "index", &chosen(&[0, 10], set.index.to_string().as_bytes()))?;
    put("medium", "contents", &chosen(&[0, 11], set.contents.to_string().as_bytes()))?;
    put("medium", "tag", &chosen(&[0, 8], &set.volume))?;
    put("medium", "frames", &chosen(&[0, 9], &samples::sealed(b"text").0))?;
    let signer = samples::key();
    let key = sealift::sign::Signer::public_key(&signer);
    put(
        "medium",
        "signers",
        &chosen(&[0, 1], format!("stream:a,b namespaces=\"sealift-index@1\",valid-before=\"20300101Z\" {} c\n", key.to_line()).as_bytes()),
    )?;
    put("medium", "key", &chosen(&[0, 4], key.to_line().as_bytes()))?;
    put("medium", "key-blob", &chosen(&[0, 5], &key.to_blob()))?;
    put("medium", "trust-policy", &chosen(&[0, 3], b"{\"schema\":1,\"minSignatures\":{\"a*\":2},\"audience\":[\"x\"]}"))?;
    let signature = sealift::sign::sign_detached(&samples::key(), sealift::sign::Namespace::Index, b"x").map_err(io::Error::other)?;
    put("medium", "signature", &chosen(&[0, 0], signature.as_bytes()))?;
    put("medium", "name", &chosen(&[0, 7], b"s-1-0001.tar.zst"))?;

    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in
        [("release-manifests/image-references", samples::release().to_string()), ("a/b", "x".into()), ("a/.wh.c", String::new())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "a/l", "../b")?;
    archive.append_pax_extensions([("path", b"long/name".as_slice()), ("size", b"1")])?;
    put("images", "layer", &chosen(&[6], &archive.into_inner()?))?;

    for (n, text) in [
        "quay.io/a/b:1@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "oci:///d/e:tag",
        "docker://[::1]:5000/x",
        "4.5GiB",
        ">=1.0.0-rc.1 <2.0.0 || ~3.1 || 4.x",
        "{.spec..image[?(@.a==\"b\")]['c'][1:2]}",
        "h.example/p=https://u:p@s.example/x?q=%2f",
        "host:5000.chunk=10MiB",
        "a*b?c",
        "https://u:p@h/x%20y",
    ]
    .iter()
    .enumerate()
    {
        put("texts", &format!("text-{n}"), &chosen(&[1, 3], format!("{text}\0a/b\0c").as_bytes()))?;
    }
    put("image_set", "whole", samples::IMAGE_SET.as_bytes())?;
    put("image_set", "delete", b"kind: DeleteImageSetConfiguration\ndelete:\n  additionalImages: [{name: a.example/b:1}]\n")?;
    if let Some(folder) = std::env::var_os("SEALIFT_IMAGE_SETS") {
        for (n, entry) in fs::read_dir(folder)?.enumerate() {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
                put("image_set", &format!("given-{n}"), &fs::read(path)?)?;
            }
        }
    }
    put("settings", "registries", &chosen(&[3], samples::REGISTRIES_CONF.as_bytes()))?;
    put("settings", "hosts", &chosen(&[4], samples::HOSTS.as_bytes()))?;
    put("settings", "lookaside", &chosen(&[6], samples::REGISTRIES_D.as_bytes()))?;
    put("settings", "users", &chosen(&[7], b"u:$2y$05$abcdefghijklmnopqrstuuLj4cKq1tTn0Xb1m4wWm7pVxGmY1o9bS\n# c\n"))?;
    put(
        "settings",
        "pem",
        &chosen(
            &[2],
            b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuS3QLuR9zbDeo=\n-----END PUBLIC KEY-----\n",
        ),
    )?;

    let text: Vec<String> = samples::catalog().as_array().into_iter().flatten().map(ToString::to_string).collect();
    put("catalogs", "files", &chosen(&[0], format!("p/*.md\n!x\0---\n{}\0{}", text.join("\n---\n"), text.join("\n")).as_bytes()))?;
    put("catalogs", "yaml", &chosen(&[0], b"\0---\nschema: olm.package\nname: p\ndefaultChannel: c\nicon: {base64data: 'eA==', mediatype: image/svg}\n--- # x\nschema: olm.channel\npackage: p\nname: &n c\nentries:\n- {name: p.v1}\n- name: p.v2\n  replaces: p.v1\n...\n"))?;

    put("charts", "templates", &chosen(&[4], samples::CHART.join("\0").as_bytes()))?;
    put("charts", "index", &chosen(&[3], b"apiVersion: v1\nentries:\n  c:\n  - {name: c, version: 1.0.0, digest: x, urls: [c-1.0.0.tgz]}\n  - {version: 2.0.0, urls: ['oci://r.example/c']}\n"))?;
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in ["c/Chart.yaml", "c/values.yaml", "c/templates/_h.tpl", "c/templates/p.yaml"].iter().zip(samples::CHART) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    put("charts", "archive", &chosen(&[1], &archive.into_inner()?))?;

    let digest = sealift::digest::Digest::sha256(samples::LAYER);
    for (n, request) in [
        format!("GET /v2/a/b/blobs/{digest} HTTP/1.1\r\nRange: bytes=1-3,5-"),
        "GET /v2/a/b/manifests/1 HTTP/1.1\r\nAccept: */*\r\nIf-None-Match: \"x\"".into(),
        "GET /v2/a/b/tags/list?n=1&last=%61 HTTP/1.1".into(),
        "GET /v2/_catalog?n=2 HTTP/1.1\r\nAuthorization: Basic dTpw".into(),
        format!("GET /v2/a/b/referrers/{digest}?artifactType=x%2fy HTTP/1.1"),
        "PUT /v2/a/b/manifests/2 HTTP/1.1\r\nContent-Type: application/vnd.oci.image.index.v1+json\0\0{\"schemaVersion\":2,\"manifests\":[]}".into(),
        "POST /v2/a/b/blobs/uploads/ HTTP/1.1\0\0".into(),
        format!("POST /v2/c/blobs/uploads/?mount={digest}&from=a/b HTTP/1.1\0\0"),
        "PATCH /v2/a/b/blobs/uploads/0123456789abcdef HTTP/1.1\r\nContent-Range: 0-1\0\0ab".into(),
        format!("DELETE /v2/a/b/manifests/{digest} HTTP/1.1\0\0"),
        "POST /v2/a/b/blobs/uploads/?digest=sha256:0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: r\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into(),
        "GET /metrics HTTP/1.1\r\nHost: r\r\nExpect: 100-continue\r\n\r\n".into(),
    ].iter().enumerate() {
        put("serve", &format!("request-{n}"), request.as_bytes())?;
    }

    let ok = "200 OK\r\nContent-Length: 2\r\n\r\n{}\0";
    for choice in 0..12u8 {
        let challenge = format!(
            "401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"http://127.0.0.1:9/t\",service=\"s\",scope=\"repository:a/b:pull\", Basic realm=x\r\nContent-Length: 0\r\n\r\n\0{ok}"
        );
        put("registry", &format!("challenge-{choice}"), &chosen(&[choice], challenge.as_bytes()))?;
        let list = format!(
            "{ok}200 OK\r\nLink: </v2/a/b/tags/list?n=1&last=x>; rel=\"next\"\r\nContent-Length: 26\r\n\r\n{{\"name\":\"a\",\"tags\":[\"x\"]}}\0{ok}"
        );
        put("registry", &format!("list-{choice}"), &chosen(&[choice], list.as_bytes()))?;
        let upload = format!(
            "{ok}202 Accepted\r\nLocation: /v2/a/b/blobs/uploads/1?_state=x\r\nRange: 0-0\r\nContent-Length: 0\r\n\r\n\x00201 Created\r\nLocation: /x\r\nDocker-Content-Digest: {digest}\r\nContent-Length: 0\r\n\r\n"
        );
        put("registry", &format!("upload-{choice}"), &chosen(&[choice], upload.as_bytes()))?;
        let partial = format!(
            "{ok}206 Partial Content\r\nContent-Range: bytes 3-5/96\r\nRetry-After: 1\r\nRateLimit-Remaining: 1;w=21600\r\nWarning: 299 - \"x\"\r\nContent-Length: 3\r\n\r\nayz\x00307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/x\r\n\r\n\x00429 Too Many Requests\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n"
        );
        put("registry", &format!("partial-{choice}"), &chosen(&[choice], partial.as_bytes()))?;
        let failure = format!(
            "{ok}404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 66\r\n\r\n{{\"errors\":[{{\"code\":\"MANIFEST_UNKNOWN\",\"message\":\"m\",\"detail\":{{}}}}]}}"
        );
        put("registry", &format!("failure-{choice}"), &chosen(&[choice], failure.as_bytes()))?;
    }
    Ok(())
}

/// Keys and messages by them, where there is a `gpg` to make them.
fn gpg(put: &mut dyn FnMut(&str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    for (kind, name) in [("ed25519", "ed25519"), ("nistp256", "p256"), ("rsa2048", "rsa")] {
        let home = tempfile::tempdir()?;
        let gpg = |arguments: &[&str]| -> io::Result<Vec<u8>> {
            let mut command = Command::new("gpg");
            command.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]).args(arguments);
            Ok(command.env("GNUPGHOME", home.path()).stdin(Stdio::null()).stderr(Stdio::null()).output()?.stdout)
        };
        if gpg(&["--quick-generate-key", "fuzz", kind, "sign", "never"]).is_err() {
            println!("no gpg: no messages for the target openpgp");
            return Ok(());
        }
        let digest = sealift::digest::Digest::sha256(b"");
        let text = format!(
            "{{\"critical\":{{\"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"atomic container signature\",\"identity\":{{\"docker-reference\":\"a/b:1\"}}}},\"optional\":{{}}}}"
        );
        let document = home.path().join("document");
        fs::write(&document, text)?;
        let document = document.display().to_string();
        for (form, armor) in [("armored", "--armor"), ("binary", "--no-armor")] {
            let public = gpg(&[armor, "--export"])?;
            let mut seed = u16::try_from(public.len()).unwrap_or(0).to_be_bytes().to_vec();
            seed.extend(public);
            for compression in ["none", "zip", "zlib"] {
                let message = gpg(&[armor, "--compress-algo", compression, "--output", "-", "--sign", &document])?;
                put(&format!("{name}-{form}-{compression}"), &[&seed[..], &message].concat())?;
            }
        }
        let _ = Command::new("gpgconf").args(["--kill", "gpg-agent"]).env("GNUPGHOME", home.path()).status();
    }
    Ok(())
}
