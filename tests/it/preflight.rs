//! A look at the target: what registries and proxies refuse, told with the setting that changes it.

use crate::support::inside::Outside;
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::run::{Ran, User};
use crate::support::servers::{Auth, Ca, DockerRegistry, Nginx, Options as Server, Port, Tls};
use base64::Engine as _;
use serde_json::Value;
use std::fs;

fn look(user: &User, to: &str, more: &str) -> Ran {
    user.run(format!("preflight --to {to} {more}").trim_end())
}

fn auth_file(user: &User, host: &str, login: &str) {
    let pair = base64::engine::general_purpose::STANDARD.encode(login);
    fs::write(user.at("auth.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#)).unwrap();
}

/// Result and remedy of one trial in the object of `--json`.
fn trial<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let found = report["trials"].as_array().unwrap().iter().find(|t| t["trial"] == name).unwrap_or_else(|| panic!("{name}: {report:#}"));
    (found["result"].as_str().unwrap(), found["remedy"].as_str().unwrap_or_default())
}

#[test]
fn a_good_registry_takes_everything_and_keeps_nothing() {
    let Some(registry) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    let user = User::new();
    let report = look(&user, &format!("{}/team", registry.host()), "--json").expect(0).json();
    for name in ["reach", "clock", "push", "small-blob", "large-blob", "oci-image", "docker-image", "index", "tag", "referrers", "delete"] {
        assert_eq!(trial(&report, name).0, "ok", "{name}: {report:#}");
    }
    assert!(trial(&report, "sparse-index").1.contains("validation.manifests.indexes.platforms"), "{report:#}");
    let note = report["trials"].as_array().unwrap().iter().find(|t| t["trial"] == "sparse-index").unwrap();
    assert!(note["code"].is_null(), "a note has no code, least of all DONE: {note}");
    assert_eq!(report["left"].as_array().unwrap().len(), 0);
    let tags = registry.data().join("docker/registry/v2/repositories/team/sealift-preflight/_manifests/tags");
    assert!(fs::read_dir(tags).unwrap().next().is_none(), "no tag is left");
    let text = look(&user, &registry.host(), "").expect(0).out;
    assert!(text.contains("ok      docker-image") && text.contains("note    sparse-index"), "{text}");
}

#[test]
fn what_cannot_be_removed_is_named() {
    let Some(registry) = DockerRegistry::start(Server::default()) else { return };
    let report = look(&User::new(), &registry.host(), "--json").expect(0).json();
    let (result, remedy) = trial(&report, "delete");
    assert!(result == "note" && remedy.contains("storage.delete.enabled"), "{report:#}");
    let left: Vec<&str> = report["left"].as_array().unwrap().iter().map(|l| l.as_str().unwrap()).collect();
    assert_eq!(left.len(), 3);
    assert!(left[0].starts_with(&format!("{}/sealift-preflight/check:sealift-preflight-", registry.host())), "{left:?}");
}

#[test]
fn a_registry_that_cannot_be_written_to() {
    let Some(registry) = DockerRegistry::start(Server { readonly: true, ..Server::default() }) else { return };
    look(&User::new(), &registry.host(), "").refused(22, "PUSH_REFUSED", &["push: ", "read-only"]);
    let down = Port::free();
    look(&User::new(), &down.to_string(), "").refused(20, "REGISTRY_UNREACHABLE", &["reach: ", "refused"]);
    look(&User::new(), "oci:x", "").refused(2, "USAGE", &["folder"]);
}

#[test]
fn a_login_that_is_refused() {
    let auth = Auth::Htpasswd { user: "alice".into(), password: "right".into() };
    let Some(registry) = DockerRegistry::start(Server { auth, delete: true, ..Server::default() }) else { return };
    let user = User::new();
    look(&user, &registry.host(), "").refused(21, "LOGIN_REFUSED", &["without credentials"]);
    auth_file(&user, &registry.host(), "alice:wrong");
    let ran = look(&user, &registry.host(), "--authfile auth.json").refused(21, "LOGIN_REFUSED", &["with credentials"]);
    assert!(!ran.err.contains("wrong"));
    auth_file(&user, &registry.host(), "alice:right");
    look(&user, &registry.host(), "--authfile auth.json").expect(0);
}

#[test]
fn proxies_that_limit_and_misname() {
    let Some(registry) = DockerRegistry::start(Server { delete: true, ..Server::default() }) else { return };
    let upstream = registry.host();
    let Some(small) = Nginx::start(|listen, _| {
        format!(
            "server {{ listen {listen}; client_max_body_size 1m; location / {{ proxy_pass http://{upstream}; proxy_http_version 1.1; \
             proxy_request_buffering off; proxy_set_header Host $http_host; }} }}"
        )
    }) else {
        return;
    };
    let report = look(&User::new(), &small.host(), "--json").expect(0).json();
    let (result, remedy) = trial(&report, "large-blob");
    assert!(result == "note" && remedy.contains("client_max_body_size 0"), "{report:#}");
    let ca = Ca::new("site");
    let (certificate, key) = ca.sign(&["127.0.0.1"]);
    let front = Nginx::start(|listen, folder| {
        fs::write(folder.join("c.pem"), &certificate).unwrap();
        fs::write(folder.join("k.pem"), &key).unwrap();
        let at = folder.display();
        format!(
            "server {{ listen {listen} ssl; ssl_certificate {at}/c.pem; ssl_certificate_key {at}/k.pem; client_max_body_size 0; \
             location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }} }}"
        )
    })
    .unwrap();
    let user = User::new();
    look(&user, &front.host(), "").refused(20, "CERTIFICATE_UNTRUSTED", &["not signed by a trusted authority", "--ca-file"]);
    fs::write(user.at("ca.pem"), &ca.pem).unwrap();
    let report = look(&user, &front.host(), "--ca-file ca.pem --json").expect(0).json();
    let (result, remedy) = trial(&report, "location");
    assert!(result == "note" && remedy.contains("X-Forwarded-Proto"), "{report:#}");
    let name = front.host().replace("127.0.0.1", "localhost");
    look(&user, &name, "--ca-file ca.pem").refused(20, "CERTIFICATE_UNTRUSTED", &["another name"]);
}

#[test]
fn what_is_refused_is_told_with_its_setting() {
    let server = Lying::start(Guard::Open);
    // Like zot without docker2s2: the second manifest.
    server.lie_after(1, "PUT", "/manifests/sha256", 3, Fault::Status(415, vec![], error("MANIFEST_INVALID")));
    server.lie("GET", "/v2/", 2, Fault::Header("date", Some("Sat, 21 Nov 2020 08:00:00 GMT".into())));
    let ran = look(&User::new(), &server.host(), "").refused(22, "PUSH_REFUSED", &["docker-image: ", "docker2s2"]);
    assert!(ran.out.contains("note    clock") && ran.out.contains("behind"), "{}", ran.out);
    assert!(ran.out.contains("ok      index"), "the rest is tried all the same: {}", ran.out);
    let elsewhere = Lying::start(Guard::Open);
    elsewhere.lie("POST", "/uploads/", 1, Fault::Location(|_| "http://inner.invalid/v2/x?_state=a%2Fb%3D".into()));
    let report = look(&User::new(), &elsewhere.host(), "--json").expect(0).json();
    assert!(report["trials"].to_string().contains("uploads are sent to inner.invalid"), "{report:#}");
}

#[test]
fn projects_are_made_when_asked_for() {
    for (guard, login, software) in [(Guard::Harbor, "alice:secret", "Harbor"), (Guard::Quay, "$oauthtoken:oauth-alice", "Quay")] {
        let (server, user) = (Lying::start(guard), User::new());
        auth_file(&user, &server.host(), login);
        let to = format!("{}/ocp", server.host());
        look(&user, &to, "--authfile auth.json").refused(21, "LOGIN_REFUSED", &["push: ", "--create-projects"]);
        let look_and_make = || look(&user, &to, "--authfile auth.json --create-projects --json").expect(0).json();
        let report = look_and_make();
        assert_eq!(report["software"], software);
        assert!(report["trials"].to_string().contains("ocp was created"), "{report:#}");
        assert!(look_and_make()["trials"].to_string().contains("ocp exists"));
        look(&user, &to, "--authfile auth.json").expect(0);
    }
    // A password is no OAuth token.
    let (server, user) = (Lying::start(Guard::Quay), User::new());
    auth_file(&user, &server.host(), "alice:secret");
    let more = "--authfile auth.json --create-projects";
    look(&user, &format!("{}/ocp", server.host()), more).refused(21, "LOGIN_REFUSED", &["project: ", "$oauthtoken"]);
}

/// What pack and unpack take for the lack of the referrers API is one here as well, and no failure.
#[test]
fn a_registry_without_the_referrers_api_does_not_fail_for_it() {
    let away = Fault::Status(303, vec![("location", "http://127.0.0.1:1/login".into())], String::new());
    for lie in [away, Fault::Status(501, vec![], error("UNSUPPORTED"))] {
        let server = Lying::start(Guard::Open);
        server.lie("GET", "/referrers/", 1000, lie);
        let report = look(&User::new(), &server.host(), "--json").expect(0).json();
        assert_eq!(trial(&report, "referrers").0, "ok", "{report:#}");
        assert!(report["trials"].to_string().contains("no referrers API"), "{report:#}");
    }
}

/// `unpack` makes no projects: what it says is the command that does.
#[test]
fn a_missing_project_is_told_with_the_command_that_makes_it() {
    let (outside, server) = (Outside::new(), Lying::start(Guard::Harbor));
    let (set, home, user) = (outside.set(), outside.inside(), User::new());
    auth_file(&user, &server.host(), "alice:secret");
    let (to, auth) = (format!("{}/team", server.host()), user.at("auth.json"));
    let words = ["unpack", set.to_str().unwrap(), "--to", &to, "--first", "--preflight-above", "0", "--authfile", auth.to_str().unwrap()];
    let command = format!("preflight --to {to} --create-projects");
    home.run(&words).exits(21).says(&["push: ", &format!("`sealift {command}`")]);
    user.run(&format!("{command} --authfile auth.json")).expect(0);
    home.run(&words).exits(0);
}

#[test]
fn a_long_push_is_looked_at_first() {
    let outside = Outside::new();
    let Some(registry) = DockerRegistry::start(Server { readonly: true, access_log: true, ..Server::default() }) else { return };
    let (set, home) = (outside.set(), outside.inside());
    let to = format!("{}/team", registry.host());
    let words = ["unpack", set.to_str().unwrap(), "--to", &to, "--first", "--preflight-above", "0"];
    home.run(&words).exits(22).says(&["push: ", "read-only"]);
    let uploads = || registry.requests().iter().filter(|(method, path)| method == "POST" && path.contains("/uploads/")).count();
    assert_eq!(uploads(), 1, "one question, and nothing read from the medium");
    home.run(&[&words[..], &["--no-preflight"]].concat()).exits(22);
    assert!(uploads() > 2);
}

/// Each thing that can be wrong with a certificate is told as what it is, with what changes it.
#[test]
fn certificates_that_cannot_be_taken() {
    let ca = Ca::new("the site");
    // Made anew under its old name, as by a second installation.
    let other = Ca::new("the site");
    let stranger = Ca::new("somebody");
    let names = ["127.0.0.1"];
    for ((certificate, key), fact, remedy) in [
        (ca.sign_for(&names, (2001, 2002)), "expired on Tue, 01 Jan 2002", "renewed"),
        (ca.sign_for(&names, (4000, 4001)), "not valid before Sat, 01 Jan 4000", "chronyc"),
        (ca.sign(&["registry.lan", "10.1.2.3"]), "is for another name", "use the name"),
        (other.sign(&names), "not signed by a trusted authority", "--ca-file"),
        (stranger.sign(&names), "not signed by a trusted authority", "--ca-file"),
    ] {
        let tls = Some(Tls { certificate, key, client_ca: None });
        let Some(registry) = DockerRegistry::start(Server { tls, ..Server::default() }) else { return };
        let user = User::with_key();
        fs::write(user.at("ca.pem"), &ca.pem).unwrap();
        let ran = look(&user, &registry.host(), "--ca-file ca.pem").refused(20, "CERTIFICATE_UNTRUSTED", &["reach: ", fact]);
        let told = ran.err.lines().find(|line| line.starts_with("remedy: ")).unwrap().to_owned();
        assert!(told.contains(remedy), "{fact}: {told}");
        // The same from a source.
        let from = user.run(&format!("plan {}/a/b:1 --ca-file ca.pem", registry.host()));
        from.refused(20, "CERTIFICATE_UNTRUSTED", &[fact, remedy]);
        // Nobody goes on in the clear for that.
        look(&user, &registry.host(), "--dest-tls-verify=false").expect(0);
    }
}

/// Two clocks that differ are no failure, and named before tokens and certificates are.
#[test]
fn clocks_that_differ_are_named() {
    for (date, word) in [("Sat, 21 Nov 2020 08:00:00 GMT", "behind"), ("Fri, 01 Jan 2100 00:00:00 GMT", "ahead of")] {
        let server = Lying::start(Guard::Open);
        server.lie("GET", "/v2/", 2, Fault::Header("date", Some(date.into())));
        let report = look(&User::new(), &server.host(), "--json").expect(0).json();
        let (result, remedy) = trial(&report, "clock");
        assert!(result == "note" && remedy.contains("chronyc tracking"), "{report:#}");
        assert!(report["trials"].to_string().contains(word), "{report:#}");
    }
}
