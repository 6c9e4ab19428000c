//! `registries.conf`: mirrors in their order, what is blocked, what is insecure, and what is told when nothing delivers.

use crate::registry_client::quick;
use crate::support::fleet::{push, small};
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::run::{Ran, User};
use crate::support::servers::{Ca, DockerRegistry, Nginx, Options as Server, Port};
use crate::support::store_suite::{blob, bytes};
use base64::Engine as _;
use sealift::origin::{Mirrored, Origin};
use sealift::registry::mirrors::Conf;
use sealift::registry::{Client, Options};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// A user with this `registries.conf`.
fn user(conf: &str) -> User {
    let user = User::with_key();
    fs::write(user.at("r.conf"), conf).unwrap();
    user
}

fn pack(user: &User, what: &str) -> Ran {
    user.run(&format!("pack -v {what} --key site --registries-conf r.conf OUT"))
}

fn mirror(location: &str, more: &str) -> String {
    format!("[[registry.mirror]]\nlocation = \"{location}\"\n{more}\n")
}

/// A lying registry that holds `a/b:1`.
fn holding(guard: Guard) -> Lying {
    let server = Lying::start(guard);
    let stock = small("a/b", "1", 3);
    for blob in &stock.blobs {
        server.add_blob(blob);
    }
    for doc in &stock.docs {
        server.add_manifest("m/b", doc.tag.unwrap_or("none"), std::str::from_utf8(&doc.bytes).unwrap(), doc.media_type);
        server.add_manifest("a/b", doc.tag.unwrap_or("none"), std::str::from_utf8(&doc.bytes).unwrap(), doc.media_type);
    }
    server
}

#[test]
fn the_first_place_that_has_the_manifest_serves_the_image() {
    let (Some(empty), Some(full)) = (DockerRegistry::start(Server::default()), DockerRegistry::start(Server::default())) else { return };
    let stock = small("m/b", "1", 3);
    push(&full.host(), &stock);
    let down = Port::free();
    let conf = format!(
        "[[registry]]\nprefix = \"quay.invalid/a\"\nlocation = \"quay.invalid/a\"\n{}{}{}",
        mirror(&format!("{down}/m"), ""),
        mirror(&format!("{}/m", empty.host()), ""),
        mirror(&format!("{}/m", full.host()), ""),
    );
    let user = user(&conf);
    let ran = pack(&user, "quay.invalid/a/b:1").expect(0);
    assert!(ran.err.contains(&format!("quay.invalid/a/b comes from {}/m/b", full.host())), "{}", ran.err);
    // The set names the source as it was asked for.
    let plan = user.run("plan quay.invalid/a/b:1 --registries-conf r.conf").expect(0);
    assert!(plan.out.contains("quay.invalid/a/b:1") && !plan.out.contains(&full.host()), "{}", plan.out);
}

#[test]
fn what_one_place_stops_delivering_comes_from_the_next() {
    let (first, second) = (holding(Guard::Open), holding(Guard::Open));
    first.lie("GET", "/blobs/", usize::MAX, Fault::Status(404, vec![], String::new()));
    let conf = format!("[[registry]]\nprefix = \"q.invalid\"\nlocation = \"{}\"\n{}", second.host(), mirror(&first.host(), ""));
    let user = user(&conf);
    pack(&user, "q.invalid/a/b:1").expect(0);
    assert!(!first.seen("GET", "/blobs/").is_empty(), "who has the manifest is asked for the blobs first");
    assert!(second.seen("GET", "/manifests/").is_empty());
    assert!(!second.seen("GET", "/blobs/").is_empty());
}

#[test]
fn a_failure_names_every_place_and_why() {
    let empty = Lying::start(Guard::Open);
    let (down, primary) = (Port::free(), Lying::start(Guard::Open));
    let conf = format!(
        "[[registry]]\nprefix = \"q.invalid\"\nlocation = \"{}/p\"\n{}{}",
        primary.host(),
        mirror(&down.to_string(), ""),
        mirror(&format!("{}/m", empty.host()), "")
    );
    let user = user(&conf);
    let places = [format!("{down}/a/b: "), "refused".into(), format!("{}/m/a/b", empty.host()), format!("{}/p/a/b", primary.host())];
    let told: Vec<&str> = places.iter().map(String::as_str).collect();
    pack(&user, "q.invalid/a/b:1").refused(23, "SOURCE_MISSING", &told);
}

#[test]
fn tags_are_asked_only_where_they_may_be() {
    let (mirrored, primary) = (holding(Guard::Open), holding(Guard::Open));
    let conf = |pull: &str| {
        let more = format!("pull-from-mirror = \"{pull}\"");
        format!("[[registry]]\nprefix = \"q.invalid\"\nlocation = \"{}\"\n{}", primary.host(), mirror(&mirrored.host(), &more))
    };
    pack(&user(&conf("digest-only")), "q.invalid/a/b:1").expect(0);
    assert!(mirrored.seen("HEAD", "/manifests/1").is_empty() && !primary.seen("HEAD", "/manifests/1").is_empty());
    assert!(!mirrored.seen("GET", "/blobs/").is_empty() || !primary.seen("GET", "/blobs/").is_empty());
    let before = mirrored.seen("GET", "").len();
    let digest = small("a/b", "1", 3).docs.last().unwrap().digest();
    pack(&user(&conf("tag-only")), &format!("q.invalid/a/b@{digest}")).expect(0);
    assert_eq!(mirrored.seen("GET", "").len(), before, "a mirror for tags is not asked by digest");
    let before = primary.seen("GET", "").len();
    pack(&user(&conf("tag-only")), "q.invalid/a/b:1").expect(0);
    assert_eq!(primary.seen("GET", "").len(), before, "who was asked for the tag serves the whole image");
}

#[test]
fn a_blocked_registry_is_not_asked() {
    let primary = holding(Guard::Open);
    let conf = format!("[[registry]]\nlocation = \"{}\"\nblocked = true\n", primary.host());
    pack(&user(&conf), &format!("{}/a/b:1", primary.host())).refused(23, "SOURCE_MISSING", &["blocked", "registries.conf"]);
    assert_eq!(primary.connections(), 0);
    let other = holding(Guard::Open);
    pack(&user(&(conf + &mirror(&other.host(), ""))), &format!("{}/a/b:1", primary.host())).expect(0);
    assert_eq!(primary.connections(), 0);
}

#[test]
fn each_host_sees_its_own_login_only() {
    let (mirrored, primary) = (holding(Guard::Basic), Lying::start(Guard::Basic));
    let conf = format!("[[registry]]\nprefix = \"q.invalid\"\nlocation = \"{}\"\n{}", primary.host(), mirror(&mirrored.host(), ""));
    let user = user(&conf);
    let pair = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let auths = |host: &str, login: &str| format!(r#""{host}":{{"auth":"{}"}}"#, pair(login));
    let write = |entries: &[String]| fs::write(user.at("auth.json"), format!(r#"{{"auths":{{{}}}}}"#, entries.join(","))).unwrap();
    write(&[auths(&primary.host(), "alice:secret"), auths("q.invalid", "alice:secret")]);
    pack(&user, "q.invalid/a/b:1 --authfile auth.json").refused(23, "SOURCE_MISSING", &[&mirrored.host(), "without credentials"]);
    assert!(mirrored.seen("HEAD", "").iter().chain(&mirrored.seen("GET", "")).all(|seen| seen.authorization.is_none()));
    write(&[auths(&mirrored.host(), "alice:secret")]);
    pack(&user, "q.invalid/a/b:1 --authfile auth.json").expect(0);
}

#[test]
fn an_insecure_mirror_need_not_prove_who_it_is() {
    let Some(registry) = DockerRegistry::start(Server::default()) else { return };
    push(&registry.host(), &small("a/b", "1", 3));
    let (certificate, key) = Ca::new("unknown").sign(&["127.0.0.1"]);
    let front = Nginx::start(|addr, folder| {
        fs::write(folder.join("c.pem"), &certificate).unwrap();
        fs::write(folder.join("k.pem"), &key).unwrap();
        let at = folder.display();
        format!(
            "server {{ listen {addr} ssl; ssl_certificate {at}/c.pem; ssl_certificate_key {at}/k.pem; \
             location / {{ proxy_pass http://{}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme; }} }}",
            registry.host()
        )
    });
    let Some(front) = front else { return };
    let conf = |insecure: bool| {
        format!("[[registry]]\nlocation = \"q.invalid\"\nblocked = true\n{}", mirror(&front.host(), &format!("insecure = {insecure}")))
    };
    pack(&user(&conf(false)), "q.invalid/a/b:1").refused(20, "CERTIFICATE_UNTRUSTED", &["not signed by a trusted authority"]);
    pack(&user(&conf(true)), "q.invalid/a/b:1").expect(0);
}

#[test]
fn files_that_cannot_hold_are_refused_before_anything_is_asked() {
    let source = holding(Guard::Open);
    let ask = format!("{}/a/b:1", source.host());
    pack(&user("[registries.search]\nregistries = []"), &ask).refused(2, "BAD_DOCUMENT", &["r.conf", "version 1", "[[registry]]"]);
    pack(&user("[[registry]]\nlocation = 'https://x'"), &ask).refused(2, "BAD_DOCUMENT", &["without a scheme"]);
    user("").run(&format!("pack {ask} --key site --registries-conf gone.conf OUT")).refused(2, "FILE_MISSING", &["gone.conf"]);
    assert_eq!(source.connections(), 0);
    let warned = pack(&user("[[registry]]\nlocation = 'x.io'\nblockd = true"), &ask).expect(0);
    assert!(warned.err.contains("blockd means nothing"), "{}", warned.err);
}

#[test]
fn the_environment_names_files_too() {
    let source = holding(Guard::Open);
    let user = user(&format!("[[registry]]\nprefix = \"q.invalid\"\nlocation = \"{}\"", source.host()));
    fs::write(user.at("none.conf"), "").unwrap();
    let plan = "plan q.invalid/a/b:1";
    user.run_with(&[("CONTAINERS_REGISTRIES_CONF", "r.conf")], plan).expect(0);
    let both = [("CONTAINERS_REGISTRIES_CONF", "none.conf"), ("CONTAINERS_REGISTRIES_CONF_OVERRIDE", "r.conf")];
    user.run_with(&both, plan).expect(0);
    user.run_with(&both, &format!("{plan} --registries-conf none.conf")).expect(20);
    // The usual place: HOME/.config/containers.
    fs::create_dir_all(user.at(".config/containers")).unwrap();
    fs::copy(user.at("r.conf"), user.at(".config/containers/registries.conf")).unwrap();
    user.run_with(&[("CONTAINERS_REGISTRIES_CONF", "")], plan).expect(0);
}

/// A proxy that lets in only whoever sends a header, and one behind it that must not see it.
#[test]
fn headers_of_a_host_go_to_that_host_alone() {
    let Some(registry) = DockerRegistry::start(Server::default()) else { return };
    push(&registry.host(), &small("a/b", "1", 3));
    let data = registry.data().join("docker/registry/v2/blobs").display().to_string();
    let Some(cdn) = Nginx::start(|listen, _| {
        format!("server {{ listen {listen}; if ($http_x_tenant) {{ return 400 'leaked'; }} location /cdn/ {{ alias {data}/; }} }}")
    }) else {
        return;
    };
    let (upstream, to) = (registry.host(), cdn.host());
    let front = Nginx::start(|listen, _| {
        format!(
            "server {{ listen {listen}; if ($http_x_tenant != 'blue') {{ return 403; }} \
             location ~ ^/v2/(.+)/blobs/sha256:(..)([0-9a-f]+)$ {{ return 307 http://{to}/cdn/sha256/$2/$2$3/data; }} \
             location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }} }}"
        )
    })
    .unwrap();
    let user = user("");
    let what = format!("{}/a/b:1", front.host());
    pack(&user, &what).refused(21, "LOGIN_REFUSED", &["403"]);
    user.run(&format!("plan {what} --registries-conf r.conf --host-setting {}:header.x-tenant=blue", front.host())).expect(0);
    fs::create_dir_all(user.home().join("config")).unwrap();
    let file = user.home().join("config/hosts.toml");
    fs::write(&file, format!("[\"{}\".headers]\nX-Tenant = \"blue\"\n", front.host())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let told = user.run(&format!("plan {what} --registries-conf r.conf")).expect(0).err;
    assert!(told.contains("hosts.toml holds headers") && told.contains("can be read by other users") && !told.contains("blue"), "{told}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let told = pack(&user, &what).expect(0).err;
    assert!(!told.contains("can be read by other users"), "{told}");
    fs::write(&file, "[\"x.lan\"]\ndownload = 3\n").unwrap();
    pack(&user, &what).refused(2, "BAD_DOCUMENT", &["hosts.toml", "download", "sealift-hosts(5)"]);
    user.run(&format!("plan {what} --host-setting x.lan:uploads=many")).expect(2);
}

/// A mirror breaks off in the middle, again and again: the next place goes on at that byte.
#[test]
fn a_blob_goes_on_at_the_next_place_where_one_breaks_off() {
    let (first, second) = (Lying::start(Guard::Open), Lying::start(Guard::Open));
    let content = bytes(50, 900_000);
    for server in [&first, &second] {
        server.add_blob(&content);
    }
    first.lie("GET", "/blobs/", usize::MAX, Fault::Cut(50_000));
    let text = format!("[[registry]]\nprefix = \"q.invalid\"\nlocation = \"{}\"\n{}", second.host(), mirror(&first.host(), ""));
    let (conf, _) = Conf::parse(Path::new("r.conf"), &text).unwrap();
    let client = Client::new(Options { timing: quick(), ..Options::default() }).unwrap();
    let origin = Mirrored::new(client, Arc::new(conf), "q.invalid", "a/b", Arc::new(|_| {}));
    let mut read = Vec::new();
    origin.open_at(&blob(&content), 0).unwrap().read_to_end(&mut read).unwrap();
    assert_eq!(read, content);
    let range = second.seen("GET", "/blobs/")[0].range.clone().unwrap();
    assert!(range.len() > "bytes=1-".len(), "not from the start: {range}");
    // Where the last place breaks off too, that is told and not taken for the end.
    second.lie("GET", "/blobs/", usize::MAX, Fault::Cut(0));
    assert!(origin.open_at(&blob(&content), 0).unwrap().read_to_end(&mut Vec::new()).is_err());
}
