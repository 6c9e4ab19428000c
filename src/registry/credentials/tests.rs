use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

struct Home {
    folder: tempfile::TempDir,
    names: Vec<(String, FileKind)>,
}

impl Home {
    fn new() -> Home {
        Home { folder: tempfile::tempdir().unwrap(), names: Vec::new() }
    }

    fn file(mut self, name: &str, kind: FileKind, content: &str) -> Home {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self.names.push((name.to_owned(), kind));
        self
    }

    fn helper(self, name: &str, script: &str) -> Home {
        let path = self.folder.path().join(format!("docker-credential-{name}"));
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
        // Written by another process: a child forked meanwhile by another test would hold this one's handle open for
        // writing, and the system then refuses to run the file.
        assert!(Command::new("cp").arg(&draft).arg(&path).status().unwrap().success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn open(&self) -> AuthFiles {
        let file = |(name, kind): &(String, FileKind)| AuthFile { path: self.folder.path().join(name), kind: *kind, required: true };
        AuthFiles::new(self.names.iter().map(file).collect(), vec!["relative".into(), self.folder.path().to_owned()])
    }
}

fn auth(user: &str) -> String {
    format!("{{\"auth\":\"{}\"}}", STANDARD.encode(user))
}

/// Opened files together with the folder they lie in.
struct Opened {
    files: AuthFiles,
    _home: Home,
}

impl std::ops::Deref for Opened {
    type Target = AuthFiles;

    fn deref(&self) -> &AuthFiles {
        &self.files
    }
}

fn keep(home: Home) -> Opened {
    Opened { files: home.open(), _home: home }
}

fn one(content: &str) -> Opened {
    keep(Home::new().file("auth.json", FileKind::AuthJson, content))
}

fn found(files: &AuthFiles, host: &str, repository: &str) -> String {
    match files.lookup(host, repository) {
        Ok(None) => "none".into(),
        Ok(Some(Credential::Basic { username, password })) => format!("{username}:{}", *password),
        Ok(Some(Credential::IdentityToken(token))) => format!("token {}", *token),
        Err(e) => format!("error: {e}"),
    }
}

#[test]
fn the_order_of_files_follows_the_environment() {
    let paths = |environment: &Environment| -> Vec<String> {
        auth_files(environment).iter().map(|file| format!("{} {:?}", file.path.display(), file.kind)).collect()
    };
    let mut environment =
        Environment { home: Some("/home/u".into()), uid: 1000, xdg_runtime_dir: Some("".into()), ..Environment::default() };
    assert_eq!(
        paths(&environment),
        [
            "/run/containers/1000/auth.json AuthJson",
            "/home/u/.config/containers/auth.json AuthJson",
            "/home/u/.docker/config.json DockerConfig",
            "/home/u/.dockercfg Legacy"
        ]
    );
    environment.xdg_runtime_dir = Some("/run/user/1000".into());
    environment.xdg_config_home = Some("/cfg".into());
    environment.docker_config = Some("/dock".into());
    assert_eq!(
        paths(&environment)[..3],
        ["/run/user/1000/containers/auth.json AuthJson", "/cfg/containers/auth.json AuthJson", "/dock/config.json DockerConfig"]
    );
    environment.registry_auth_file = Some("/x/pull-secret.json".into());
    assert_eq!(paths(&environment), ["/x/pull-secret.json AuthJson"]);
    environment.authfile = Some("/y/config.json".into());
    assert_eq!(paths(&environment), ["/y/config.json DockerConfig"]);
    assert!(auth_files(&environment)[0].required);
    assert_eq!(paths(&Environment::default()), ["/run/containers/0/auth.json AuthJson"]);
}

#[test]
fn the_most_specific_key_wins_and_there_is_no_way_back() {
    let files = one(&format!(
        "{{\"auths\":{{\"h:5000\":{},\"h:5000/a\":{},\"h:5000/a/b/c\":{},\"h:5000/empty\":{{}},\"h:5000/nothing\":null}}}}",
        auth("host:1"),
        auth("a:2"),
        auth("abc:3")
    ));
    for (repository, expected) in [
        ("a/b/c", "abc:3"),
        ("a/b/c/d", "abc:3"),
        ("a/b", "a:2"),
        ("ab", "host:1"),
        ("empty/x", "none"),
        ("nothing/x", "none"),
        ("other", "host:1"),
    ] {
        assert_eq!(found(&files, "h:5000", repository), expected, "{repository}");
    }
    assert_eq!(found(&files, "h", "a"), "none");
    assert_eq!(found(&files, "h:50001", "a"), "none");
}

#[test]
fn keys_may_be_addresses_and_docker_hub_has_three_names() {
    let files = one(&format!(
        "{{\"auths\":{{\"https://one.test/v1/\":{},\"http://two.test:80\":{},\"three.test/v2/\":{},\"https://index.docker.io/v1/\":{},\"four.test/ns\":{}}}}}",
        auth("one:1"),
        auth("two:2"),
        auth("three:3"),
        auth("hub:4"),
        auth("four:5")
    ));
    for (host, expected) in [
        ("one.test", "one:1"),
        ("two.test:80", "two:2"),
        ("three.test", "three:3"),
        ("docker.io", "hub:4"),
        ("registry-1.docker.io", "hub:4"),
        ("index.docker.io", "hub:4"),
        ("four.test", "none"),
        ("ONE.test", "one:1"),
    ] {
        assert_eq!(found(&files, host, "library/x"), expected, "{host}");
    }
    let files = one(&format!("{{\"auths\":{{\"docker.io/team\":{},\"index.docker.io\":{}}}}}", auth("team:1"), auth("all:2")));
    assert_eq!(found(&files, "registry-1.docker.io", "team/x"), "team:1");
    assert_eq!(found(&files, "docker.io", "library/x"), "all:2");
}

#[test]
fn what_an_entry_says() {
    for (entry, expected) in [
        (auth("user:pass:with:colons"), "user:pass:with:colons"),
        (auth("user:pass\0\0"), "user:pass"),
        (auth("user:"), "user:"),
        ("{\"username\":\"u\",\"password\":\"p\"}".into(), "none"),
        ("{\"identitytoken\":\"t\"}".into(), "none"),
        (format!("{{\"auth\":\"{}\",\"identitytoken\":\"t\"}}", STANDARD.encode("u:")), "token t"),
        ("{\"auth\":\"dTpw\",\"email\":null,\"registrytoken\":1}".into(), "u:p"),
        ("{\"auth\":\"dXU6cA\"}".into(), "uu:p"),
        ("{\"auth\":\"\"}".into(), "none"),
        ("{\"auth\":null}".into(), "none"),
    ] {
        assert_eq!(found(&one(&format!("{{\"auths\":{{\"h.test\":{entry}}}}}")), "h.test", "x"), expected, "{entry}");
    }
    for bad in ["%%%", "bm9jb2xvbg==", "/////w=="] {
        let answer = found(&one(&format!("{{\"auths\":{{\"h.test\":{{\"auth\":\"{bad}\"}}}}}}")), "h.test", "x");
        assert!(answer.ends_with("the auth of \"h.test\" is not base64 of user:password"), "{answer}");
    }
}

#[test]
fn the_first_file_with_a_match_wins() {
    let home = Home::new()
        .file("first.json", FileKind::AuthJson, &format!("{{\"auths\":{{\"a.test\":{},\"empty.test\":{{}}}}}}", auth("first:1")))
        .file("empty.json", FileKind::AuthJson, " \n")
        .file(
            "second.json",
            FileKind::AuthJson,
            &format!("{{\"auths\":{{\"a.test\":{},\"b.test\":{},\"empty.test\":{}}}}}", auth("no:0"), auth("second:2"), auth("e:3")),
        )
        .file("dockercfg", FileKind::Legacy, &format!("{{\"c.test/v1/\":{}}}", auth("old:4")));
    let files = home.open();
    for (host, expected) in [("a.test", "first:1"), ("b.test", "second:2"), ("empty.test", "e:3"), ("c.test", "old:4"), ("d.test", "none")]
    {
        assert_eq!(found(&files, host, "x"), expected);
    }
}

#[test]
fn a_named_file_must_exist_others_need_not() {
    let missing = |required| AuthFile { path: "/nonexistent/auth.json".into(), kind: FileKind::AuthJson, required };
    assert_eq!(found(&AuthFiles::new(vec![missing(false)], vec![]), "h", "x"), "none");
    assert!(matches!(AuthFiles::new(vec![missing(true)], vec![]).lookup("h", "x"), Err(CredentialError::File(_))));
}

#[test]
fn a_kubernetes_secret_is_unwrapped() {
    let inner = STANDARD.encode(format!("{{\"auths\":{{\"h.test\":{}}}}}", auth("pull:secret")));
    let (left, right) = inner.split_at(20);
    let secret = format!("{{\"kind\":\"Secret\",\"data\":{{\".dockerconfigjson\":\"{left}\\n{right}\"}}}}");
    assert_eq!(found(&one(&secret), "h.test", "x"), "pull:secret");
    assert!(found(&one("{\"data\":{\".dockerconfigjson\":\"%\"}}"), "h", "x").contains("is not base64"));
}

#[test]
fn secrets_are_never_printed() {
    for content in [
        "{\"auths\":\"hunter2\"}",
        "{\"auths\":{\"h\":\"hunter2\"}}",
        "hunter2",
        "{\"auths\":{\"h\":{\"auth\":[\"hunter2\"]}}}",
        "{\"hunter2\"",
    ] {
        let error = one(content).lookup("h", "x").unwrap_err();
        assert!(matches!(error, CredentialError::NotJson { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    let files = one(&format!("{{\"auths\":{{\"h\":{}}}}}", auth("user:hunter2")));
    let credential = files.lookup("h", "x").unwrap();
    let token = Credential::IdentityToken(Zeroizing::new("hunter2".into()));
    let fixed = Fixed { host: "h".into(), credential: token };
    assert!(!format!("{credential:?} {fixed:?} {:?}", files.files).contains("hunter2"));
}

#[test]
fn a_file_that_others_may_read_is_mentioned_once() {
    let home = Home::new().file("auth.json", FileKind::AuthJson, "{}");
    let path = home.folder.path().join("auth.json");
    let files = home.open();
    files.lookup("h", "x").unwrap();
    assert!(files.take_warnings().is_empty());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    files.lookup("h", "y").unwrap();
    files.lookup("h", "z").unwrap();
    assert_eq!(files.take_warnings(), [CredentialWarning::ReadableByOthers(path)]);
    assert!(files.take_warnings().is_empty());
}

#[test]
fn what_was_found_is_remembered() {
    let home = Home::new().file("auth.json", FileKind::AuthJson, &format!("{{\"auths\":{{\"h\":{}}}}}", auth("u:p")));
    let files = home.open();
    assert_eq!(found(&files, "h", "x"), "u:p");
    std::fs::remove_file(home.folder.path().join("auth.json")).unwrap();
    assert_eq!(found(&files, "h", "x"), "u:p");
    assert!(found(&files, "h", "y").starts_with("error"));
}

const SPY: &str = "read host; echo \"$1 $host\" >> \"$0.log\"; printf '{\"ServerURL\":\"%s\",\"Username\":\"u\",\"Secret\":\"s-%s\"}' \"$host\" \"$host\"";

#[test]
fn helpers_are_asked_once_per_host_before_auths() {
    let content =
        format!("{{\"credHelpers\":{{\"h.test\":\"spy\"}},\"auths\":{{\"h.test\":{},\"h.test/x\":{}}}}}", auth("a:1"), auth("b:2"));
    let home = Home::new().file("auth.json", FileKind::AuthJson, &content).helper("spy", SPY);
    let files = home.open();
    assert_eq!(found(&files, "h.test", "x"), "u:s-h.test");
    assert_eq!(found(&files, "h.test", "y"), "u:s-h.test");
    assert_eq!(std::fs::read_to_string(home.folder.path().join("docker-credential-spy.log")).unwrap(), "get h.test\n");
}

#[test]
fn helpers_without_credentials_fall_through() {
    let script = "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1";
    let content = format!("{{\"credHelpers\":{{\"h.test\":\"none\"}},\"auths\":{{\"h.test\":{}}}}}", auth("a:1"));
    assert_eq!(found(&keep(Home::new().file("auth.json", FileKind::AuthJson, &content).helper("none", script)), "h.test", "x"), "a:1");
}

#[test]
fn helpers_may_give_tokens_or_nonsense() {
    let content = "{\"credHelpers\":{\"t.test\":\"token\",\"n.test\":\"nonsense\",\"f.test\":\"fails\",\"e.test\":\"empty\"}}";
    let home = Home::new()
        .file("auth.json", FileKind::AuthJson, content)
        .helper("token", "echo '{\"Username\":\"<token>\",\"Secret\":\"refresh\"}'")
        .helper("nonsense", "echo hunter2")
        .helper("fails", "echo hunter2; echo hunter2 >&2; exit 3")
        .helper("empty", "echo '{}'");
    let files = home.open();
    assert_eq!(found(&files, "t.test", "x"), "token refresh");
    assert_eq!(found(&files, "e.test", "x"), "none");
    let error = files.lookup("n.test", "x").unwrap_err();
    assert!(matches!(&error, CredentialError::HelperAnswer { .. }) && !format!("{error:?}").contains("hunter2"));
    let error = files.lookup("f.test", "x").unwrap_err();
    assert!(matches!(&error, CredentialError::HelperFailed { .. }) && !format!("{error:?}").contains("hunter2"));
}

#[test]
fn a_helper_that_hangs_is_ended() {
    let home =
        Home::new().file("auth.json", FileKind::AuthJson, "{\"credHelpers\":{\"h.test\":\"slow\"}}").helper("slow", "exec sleep 600");
    let mut files = home.open();
    files.patience = Duration::from_millis(50);
    assert!(matches!(files.lookup("h.test", "x"), Err(CredentialError::HelperTimeout { .. })));
    let home = Home::new()
        .file("auth.json", FileKind::AuthJson, "{\"credHelpers\":{\"h.test\":\"shut\"}}")
        .helper("shut", "exec sleep 600 >/dev/null");
    let mut files = home.open();
    files.patience = Duration::from_millis(200);
    assert!(matches!(files.lookup("h.test", "x"), Err(CredentialError::HelperTimeout { .. })));
}

#[test]
fn helper_names_that_are_paths_are_refused() {
    for name in ["../evil", "a b", "a;b", "a/b", "-x\\u0000"] {
        let files = one(&format!("{{\"credHelpers\":{{\"h.test\":\"{name}\"}}}}"));
        assert!(matches!(files.lookup("h.test", "x"), Err(CredentialError::HelperName { .. })), "{name}");
    }
    let files = one("{\"credHelpers\":{\"h.test\":\"absent\"}}");
    assert!(matches!(files.lookup("h.test", "x"), Err(CredentialError::HelperMissing { .. })));
}

#[test]
fn dockers_store_is_asked_last_and_only_for_dockers_file() {
    let content = format!("{{\"credsStore\":\"spy\",\"auths\":{{\"h.test\":{{}},\"known.test\":{}}}}}", auth("a:1"));
    let docker = keep(Home::new().file("config.json", FileKind::DockerConfig, &content).helper("spy", SPY));
    assert_eq!(found(&docker, "known.test", "x"), "a:1");
    assert_eq!(found(&docker, "h.test", "x"), "u:s-h.test");
    assert_eq!(found(&docker, "docker.io", "x"), "u:s-https://index.docker.io/v1/");
    assert_eq!(found(&keep(Home::new().file("auth.json", FileKind::AuthJson, &content).helper("spy", SPY)), "h.test", "x"), "none");
    let missing = keep(Home::new().file("config.json", FileKind::DockerConfig, "{\"credsStore\":\"desktop\"}"));
    assert_eq!(found(&missing, "h.test", "x"), "none");
    assert!(
        matches!(&missing.take_warnings()[..], [CredentialWarning::StoreMissing { helper, .. }] if helper == "docker-credential-desktop")
    );
}

#[test]
fn a_fixed_credential_is_for_its_host_only() {
    let credential = Credential::IdentityToken(Zeroizing::new("t".into()));
    let fixed = Fixed { host: "docker.io".into(), credential: credential.clone() };
    assert_eq!(fixed.lookup("registry-1.docker.io", "x").unwrap(), Some(credential));
    assert_eq!(fixed.lookup("mirror.test", "x").unwrap(), None);
    assert_eq!(NoCredentials.lookup("docker.io", "x").unwrap(), None);
}
