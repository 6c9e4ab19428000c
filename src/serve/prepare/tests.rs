//! What is made, kept and refused.

use super::certificates::SERVER_DAYS;
use super::*;
use crate::serve::Tls;
use rcgen::{CertificateParams, KeyPair};

fn wanted(folder: &Path) -> Wanted {
    Wanted {
        folder: folder.to_owned(),
        hosts: vec!["mirror.lan".into(), "10.0.0.7".into()],
        subject: "C=DE,O=Example".parse().unwrap(),
        pair: None,
        listen: "0.0.0.0:8443".parse().unwrap(),
        program: "/usr/local/bin/sealift".into(),
        uid: 1000,
        now: 1_795_000_000,
    }
}

#[test]
fn a_second_run_changes_nothing_and_completes_what_is_missing() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("data");
    let first = prepare(&wanted(&folder)).unwrap();
    assert!(first.kept.is_empty() && first.login.is_some() && is_prepared(&folder));
    for name in ["tls/ca.key", "tls/server.key", "htpasswd"] {
        assert_eq!(std::fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
    let certificate = std::fs::read(folder.join("tls/server.crt")).unwrap();
    let second = prepare(&wanted(&folder)).unwrap();
    assert!(second.made.is_empty() && second.login.is_none(), "{:?}", second.made);
    assert_eq!(std::fs::read(folder.join("tls/server.crt")).unwrap(), certificate);
    std::fs::remove_file(folder.join("tls/server.crt")).unwrap();
    assert_eq!(prepare(&wanted(&folder)).unwrap().made, [folder.join("tls/server.crt")]);
    let tls = Tls::read(&folder.join("tls/server.crt"), &folder.join("tls/server.key")).unwrap();
    assert_eq!(tls.not_after, Some((1_795_000_000 / 86_400 + SERVER_DAYS) * 86_400));
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("thesis.tex"), "x").unwrap();
    assert!(matches!(prepare(&wanted(temp.path())), Err(Error::NotEmpty(_))));
}

#[test]
fn the_key_of_the_authority_may_be_away_and_no_other_takes_its_place() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("data");
    prepare(&wanted(&folder)).unwrap();
    std::fs::rename(folder.join("tls/ca.key"), temp.path().join("safe")).unwrap();
    assert!(prepare(&wanted(&folder)).unwrap().made.is_empty(), "nothing is to be signed");
    assert!(!folder.join("tls/ca.key").exists());
    std::fs::remove_file(folder.join("tls/server.crt")).unwrap();
    assert!(matches!(prepare(&wanted(&folder)), Err(Error::KeyAway { .. })));
    std::fs::rename(temp.path().join("safe"), folder.join("tls/ca.key")).unwrap();
    assert_eq!(prepare(&wanted(&folder)).unwrap().made, [folder.join("tls/server.crt")]);
    std::fs::remove_file(folder.join("tls/server.key")).unwrap();
    assert!(matches!(prepare(&wanted(&folder)), Err(Error::KeyAway { .. })));
    assert!(!folder.join("tls/server.key").exists());
}

/// A certificate for these names and its key, as files.
fn pair(folder: &Path, name: &str, hosts: &[&str]) -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
    let pair = Pair { certificate: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
    std::fs::write(&pair.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}

#[test]
fn a_given_certificate_is_the_one_that_is_used() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("data");
    let given = |name: &str, hosts: &[&str]| Wanted { pair: Some(pair(temp.path(), name, hosts)), ..wanted(&folder) };
    let first = prepare(&given("one", &["mirror.lan", "10.0.0.7"])).unwrap();
    let bytes = |name: &str| std::fs::read(name).unwrap();
    let at = |path: &str| folder.join(path).to_str().unwrap().to_owned();
    let source = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    assert_eq!(bytes(&at("tls/server.crt")), bytes(&source("one.crt")));
    assert_eq!(bytes(&at("tls/server.key")), bytes(&source("one.key")));
    assert_eq!(std::fs::metadata(at("tls/server.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!folder.join("tls/ca.crt").exists() && !first.other_pair && first.settings.given);

    // Without the pair, later: nothing of our own is put beside it.
    let again = prepare(&wanted(&folder)).unwrap();
    assert!(again.made.is_empty() && !folder.join("tls/ca.crt").exists(), "{:?}", again.made);
    // Another pair does not replace it unseen.
    assert!(prepare(&given("two", &["mirror.lan", "10.0.0.7"])).unwrap().other_pair);
    assert_eq!(bytes(&at("tls/server.crt")), bytes(&source("one.crt")));
    // What was given and is gone is not made up.
    std::fs::remove_file(at("tls/server.crt")).unwrap();
    assert!(prepare(&wanted(&folder)).is_err());
}

#[test]
fn a_given_certificate_that_does_not_suit_is_refused_before_anything_is_made() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("data");
    let other = pair(temp.path(), "other", &["mirror.lan"]);
    let error = prepare(&Wanted { pair: Some(other), ..wanted(&folder) }).map(|_| ()).unwrap_err();
    assert!(error.to_string().ends_with("it is not for 10.0.0.7"), "{error}");
    let mixed = Pair { key: pair(temp.path(), "x", &["a"]).key, ..pair(temp.path(), "y", &["mirror.lan", "10.0.0.7"]) };
    assert!(matches!(prepare(&Wanted { pair: Some(mixed), ..wanted(&folder) }), Err(Error::Certificate { .. })));
    assert!(!folder.exists());
}

/// A service with temporary files of its own would not find what lies among those of the host.
#[test]
fn what_lies_in_tmp_is_found_by_the_service() {
    let unit = |folder: &str, program: &str| {
        let wanted = Wanted { program: program.into(), ..wanted(Path::new(folder)) };
        super::unit(&wanted)
    };
    assert!(unit("/srv/mirror", "/usr/local/bin/sealift").contains("\nPrivateTmp=yes\n"));
    assert!(unit("/tmpfiles", "/usr/local/bin/sealift").contains("\nPrivateTmp=yes\n"));
    for (folder, program) in [("/tmp/data", "/usr/bin/sealift"), ("/var/tmp/data", "/usr/bin/sealift"), ("/srv/mirror", "/tmp/sealift")] {
        let unit = unit(folder, program);
        assert!(!unit.contains("PrivateTmp") && unit.contains("\nNoNewPrivileges=yes\nProtectSystem=strict\n"), "{unit}");
    }
}
