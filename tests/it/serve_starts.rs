//! How `sealift serve` begins: who may write to a folder, what a killed one left behind, which keys are told of.

use crate::support::inside::{Home, noise, text};
use crate::support::raw::Served;
use crate::support::run::finish;
use sealift::digest::Digest;
use sealift::oci::media;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A second registry over a folder, at a port of its own; run to its end, which must come by itself.
fn second(home: &Home, what: &str, more: &[&str]) -> Command {
    let mut command = home.sealift(&["serve", what, "--listen", "127.0.0.1:0"]);
    command.args(more);
    command
}

#[test]
fn only_one_registry_takes_pushes_into_a_folder() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let mut served = Served::layout(&home, &layout);
    let digest = served.blob("a", b"content");
    let named = format!("oci:{}", text(&layout));
    let told = ["another registry takes pushes into", text(&layout), "--read-only"];
    finish(second(&home, &named, &["--plain-http", "--allow-anonymous", "push"])).refused(32, "IN_USE", &told);
    // Whatever the folder is called.
    std::os::unix::fs::symlink(&layout, folder.path().join("link")).unwrap();
    let link = format!("oci:{}/link", text(folder.path()));
    finish(second(&home, &link, &["--plain-http", "--allow-anonymous", "push"])).refused(
        32,
        "IN_USE",
        &["another registry takes pushes into"],
    );

    // Readers, and a collection, need nobody's leave.
    let replicas = [(); 2].map(|()| Served::start(&home, &[&named, "--plain-http", "--read-only"]));
    for replica in &replicas {
        assert!(replica.get(&format!("/v2/a/blobs/{digest}")).is(200).body == b"content");
    }
    home.run(&["serve", "--collect-garbage", &named]).exits(0);

    // What is killed holds nothing.
    served.kill();
    let again = Served::layout(&home, &layout);
    again.get(&format!("/v2/a/blobs/{digest}")).is(200);
}

#[test]
fn a_prepared_folder_is_one_of_them() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    home.run(&["serve", "--init", text(&data), "--hostname", "localhost"]).exits(0);
    let mut served = Served::start(&home, &[text(&data)]);
    let inner = format!("oci:{}/registry", text(&data));
    finish(second(&home, &inner, &["--plain-http", "--allow-anonymous", "push"])).refused(
        32,
        "IN_USE",
        &["another registry takes pushes into"],
    );
    finish(second(&home, text(&data), &[])).refused(32, "IN_USE", &["another registry takes pushes into"]);
    // Completing the folder, and replicas, are no pushes.
    home.run(&["serve", "--init", text(&data), "--hostname", "localhost"]).exits(0);
    drop(Served::start(&home, &[text(&data), "--read-only"]));
    assert_eq!(served.end(), Some(0));
    drop(Served::start(&home, &[&inner, "--plain-http", "--allow-anonymous", "push"]));
}

/// What cannot be served is not made either: a wrong word leaves no empty registry behind.
#[test]
fn nothing_is_made_before_all_is_well() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let named = format!("oci:{}", text(&layout));
    finish(second(&home, &named, &[])).refused(2, "USAGE", &["--plain-http"]);
    let users = folder.path().join("users");
    fs::write(&users, "alice:plain\n").unwrap();
    finish(second(&home, &named, &["--plain-http", "--htpasswd", text(&users)])).refused(2, "BAD_DOCUMENT", &["line 1"]);
    assert!(!layout.exists());
}

/// Of a push in one request nobody knows the session: the next start removes it. One that a client was told of waits for that client.
#[test]
fn what_a_killed_registry_left_goes_where_nobody_can_come_back_for_it() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let mut served = Served::layout(&home, &layout);
    let content = noise(4, 200_000);
    let digest = Digest::sha256(&content);
    let open = |path: &str, method: &str| {
        let mut stream = served.connect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n").unwrap();
        // It has begun to read the body when it asks for it.
        stream.read_exact(&mut [0; 25]).unwrap();
        stream.write_all(&content[..90_000]).unwrap();
        stream
    };
    let told = served.send("PATCH", &served.upload("a"), &[], &content[..50_000]).is(202).location();
    let finishing = served.upload("a");
    let streams = [open(&format!("/v2/a/blobs/uploads/?digest={digest}"), "POST"), open(&format!("{finishing}?digest={digest}"), "PUT")];
    let uploads = layout.join(".sealift-serve/uploads");
    let sessions = || fs::read_dir(&uploads).unwrap().count();
    assert_eq!(sessions(), 3);
    served.kill();
    drop(streams);
    // A registry that is only read removes nothing.
    drop(Served::start(&home, &[&format!("oci:{}", text(&layout)), "--plain-http", "--read-only"]));
    assert_eq!(sessions(), 3);

    let again = Served::layout(&home, &layout);
    assert_eq!(sessions(), 2);
    again.get(&finishing).is(204);
    assert_eq!(again.get(&told).is(204).header("range"), Some("0-49999"));
    again.send("PUT", &format!("{told}?digest={digest}"), &["Content-Range: 50000-199999"], &content[50_000..]).is(201);
    assert!(again.get(&format!("/v2/a/blobs/{digest}")).is(200).body == content);
}

/// A certificate for localhost and its key.
fn pair(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (certificate, key) = (folder.join("own.crt"), folder.join("own.key"));
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

#[test]
fn a_key_that_others_can_read_is_told_of() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = pair(folder.path());
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let layout = format!("oci:{}", text(&folder.path().join("layout")));
    let given = [&layout[..], "--tls-cert", text(&certificate), "--tls-key", text(&key), "--allow-anonymous", "push"];
    let warned = |log: &str, key: &Path| {
        let line = log.lines().find(|line| line.starts_with("warning: ") && line.contains(text(key)));
        line.is_some_and(|line| line.contains("chmod 600"))
    };
    for (bits, exposed) in [(0o640, true), (0o604, true), (0o600, false), (0o400, false)] {
        mode(&key, bits);
        assert_eq!(warned(&Served::start(&home, &given).log(), &key), exposed, "{bits:o}");
    }

    let data = folder.path().join("data");
    home.run(&["serve", "--init", text(&data), "--hostname", "localhost"]).exits(0);
    let log = Served::start(&home, &[text(&data)]).log();
    assert!(!log.contains("warning: "), "{log}");
    for name in ["tls/server.key", "tls/ca.key"] {
        mode(&data.join(name), 0o644);
        assert!(warned(&Served::start(&home, &[text(&data)]).log(), &data.join(name)), "{name}");
        mode(&data.join(name), 0o600);
    }
    // What is copied into the folder is safe there, and stays open where it was.
    mode(&key, 0o644);
    let copy = folder.path().join("copy");
    let words = ["serve", "--init", text(&copy), "--hostname", "localhost", "--tls-cert", text(&certificate), "--tls-key", text(&key)];
    let told = home.run(&words).exits(0);
    assert!(warned(&told.err, &key), "{}", told.told());
    assert_eq!(fs::metadata(copy.join("tls/server.key")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// An image and something attached to it, both in two repositories.
fn attached(served: &Served, repositories: &[&str]) -> (Digest, Digest) {
    let descriptor = |kind: &str, digest: Digest, size: usize| json!({"mediaType": kind, "digest": digest, "size": size});
    let config = descriptor(media::OCI_EMPTY, Digest::sha256(b"{}"), 2);
    let image = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": []}).to_string();
    let subject = descriptor(media::OCI_MANIFEST, Digest::sha256(image.as_bytes()), image.len());
    let signature = json!({"schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": "application/x", "config": config,
        "layers": [], "subject": subject});
    let signature = signature.to_string();
    let digest = Digest::sha256(signature.as_bytes());
    for repository in repositories {
        served.blob(repository, b"{}");
        served.manifest(repository, "1", media::OCI_MANIFEST, image.as_bytes()).is(201);
        served.manifest(repository, &digest.to_string(), media::OCI_MANIFEST, signature.as_bytes()).is(201);
    }
    (Digest::sha256(image.as_bytes()), digest)
}

fn referrers(served: &Served, repository: &str, subject: &Digest) -> Vec<String> {
    let list = served.get(&format!("/v2/{repository}/referrers/{subject}")).is(200).json();
    list["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

/// A signature that is deleted in one repository stays with the same image in another one, and with it on the disk.
#[test]
fn what_is_attached_in_another_repository_stays_there() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let served = Served::layout(&home, &layout);
    let (subject, signature) = attached(&served, &["a", "b"]);
    served.delete(&format!("/v2/a/manifests/{signature}")).is(202);
    assert_eq!(referrers(&served, "a", &subject), [""; 0]);
    assert_eq!(referrers(&served, "b", &subject), [signature.to_string()]);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(90_000);
    let file = layout.join("blobs/sha256").join(signature.hex());
    let collect = || {
        fs::File::open(&file).unwrap().set_modified(old).unwrap();
        home.run(&["serve", "--collect-garbage", &format!("oci:{}", text(&layout))]).exits(0);
    };
    collect();
    served.get(&format!("/v2/b/manifests/{signature}")).is(200);
    served.get(&format!("/v2/a/manifests/{signature}")).refuses(404, "MANIFEST_UNKNOWN");
    // Deleted in the last one, it goes, though its subject stays.
    served.delete(&format!("/v2/b/manifests/{signature}")).is(202);
    assert_eq!(referrers(&served, "b", &subject), [""; 0]);
    collect();
    assert!(!file.exists());
    served.get("/v2/b/manifests/1").is(200);
}

/// A folder that is being copied, a drive that stutters: what could not be read once is read again.
#[test]
fn what_is_attached_is_found_when_it_comes() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let (subject, signature) = attached(&Served::layout(&home, &layout), &["a"]);
    let replica = Served::start(&home, &[&format!("oci:{}", text(&layout)), "--plain-http", "--read-only"]);
    let (there, away) = (layout.join("blobs/sha256").join(signature.hex()), folder.path().join("away"));
    fs::rename(&there, &away).unwrap();
    assert_eq!(referrers(&replica, "a", &subject), [""; 0]);
    fs::rename(&away, &there).unwrap();
    assert_eq!(referrers(&replica, "a", &subject), [signature.to_string()]);
}

/// On the loopback too: other users, and proxies, are there.
#[test]
fn nobody_pushes_where_nobody_was_named() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let named = format!("oci:{}", text(&layout));
    // Nothing is made that nobody could fill.
    finish(second(&home, &named, &["--plain-http"])).refused(2, "FILE_MISSING", &["--allow-anonymous push", "--htpasswd"]);
    assert!(!layout.exists());
    let writer = Served::layout(&home, &layout);
    let digest = writer.blob("a", b"content");
    // It holds nothing, and may run beside one that takes pushes.
    let open = Served::start(&home, &[&named, "--plain-http"]);
    let log = open.log();
    assert!(log.contains("warning: ") && log.contains("nobody push") && log.contains("--allow-anonymous push"), "{log}");
    assert!(open.get(&format!("/v2/a/blobs/{digest}")).is(200).body == b"content");
    for (method, path) in [("POST", "/v2/a/blobs/uploads/".to_owned()), ("DELETE", format!("/v2/a/blobs/{digest}"))] {
        let reply = open.send(method, &path, &[], b"");
        assert!(matches!(reply.status, 403 | 405), "{}", reply.status);
    }
    writer.get(&format!("/v2/a/blobs/{digest}")).is(200);
    let log = Served::start(&home, &[&named, "--plain-http", "--allow-anonymous", "pull"]).log();
    assert!(!log.contains("warning: "), "{log}");
}

#[test]
fn a_folder_that_cannot_be_written_to_takes_no_pushes_from_the_start() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    drop(Served::layout(&home, &layout));
    let named = format!("oci:{}", text(&layout));
    for place in ["oci-layout", ".sealift-serve/lock"] {
        let mut command = second(&home, &named, &["--plain-http", "--allow-anonymous", "push"]);
        command.env("SEALIFT_FAULT", format!("fail:fs.create {}/{place}:1+:EROFS", text(&layout)));
        finish(command).refused(31, "NOT_WRITABLE", &["--read-only"]);
    }
}

#[test]
fn a_layout_is_named_as_one_and_served_alone() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    drop(Served::layout(&home, &layout));
    let told = ["is an OCI layout", &format!("sealift serve oci:{}", text(&layout))];
    finish(second(&home, text(&layout), &["--plain-http"])).refused(2, "USAGE", &told);
    let named = format!("oci:{}", text(&layout));
    for words in [[text(folder.path()), &named], [&named, text(folder.path())]] {
        finish(second(&home, words[0], &["--plain-http", words[1]])).refused(2, "USAGE", &["served alone", "two ports"]);
    }
}

#[test]
fn a_prepared_folder_says_what_it_lacks() {
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let init = ["serve", "--init", text(&data), "--hostname"];
    home.run(&[&init[..], &["localhost", "--hostname", "127.0.0.1"]].concat()).exits(0);
    home.run(&[&init[..], &["127.0.0.1"]].concat()).exits(0).never_says("warning");
    home.run(&[&init[..], &["localhost", "--hostname", "other.lan"]].concat()).exits(0).says(&["warning", "not for other.lan"]);

    let mut locked = second(&home, text(&data), &[]);
    locked.env("SEALIFT_FAULT", format!("fail:fs.opendir {}:1:EACCES", text(&data))).env_remove("HOME").env_remove("SEALIFT_HOME");
    finish(locked).refused(2, "NOT_READABLE", &[text(&data)]);

    fs::remove_file(data.join("htpasswd")).unwrap();
    let users = format!("htpasswd -Bc {}/htpasswd USER", text(&data));
    let again = format!("sealift serve --init {} --hostname localhost --hostname 127.0.0.1", text(&data));
    finish(second(&home, text(&data), &[])).refused(2, "FILE_MISSING", &[&users, &again]);
    home.run(&again.split(' ').skip(1).collect::<Vec<_>>()).exits(0).says(&["log in with the password"]);
    drop(Served::start(&home, &[text(&data)]));
}
