use super::*;
use crate::digest::Digest;
use crate::registry::Target;
use std::sync::Arc;
use std::time::Duration;

fn at() -> Arc<Target> {
    Arc::new(Target { host: "r.lan:5000".into(), repository: "team/app".into(), reference: "1".into() })
}

fn answer(status: u16) -> Box<Answer> {
    Box::new(Answer {
        status,
        code: None,
        message: "words".into(),
        from: None,
        digest: None,
        retry_after: Some(Duration::from_secs(7)),
        pulls: None,
    })
}

#[test]
fn silence_and_distrust_differ() {
    for (reason, code, remedy) in [
        (Reason::Dns, Code::RegistryUnreachable, "`getent hosts r.lan`"),
        (Reason::Refused, Code::RegistryUnreachable, "r.lan:5000/v2/"),
        (Reason::NoRoute, Code::RegistryUnreachable, "switched on"),
        (Reason::ConnectTimeout, Code::RegistryUnreachable, "firewall"),
        (Reason::Lost("x".into()), Code::RegistryUnreachable, "same command again"),
        (Reason::Proxy("x".into()), Code::RegistryUnreachable, "NO_PROXY"),
        (Reason::Other("x".into()), Code::RegistryUnreachable, "same command again"),
        (Reason::UnknownCa, Code::CertificateUntrusted, "--ca-file"),
        (Reason::NameMismatch, Code::CertificateUntrusted, "name"),
        (Reason::Expired { end: "1".into(), now: "2".into() }, Code::CertificateUntrusted, "renewed"),
        (Reason::NotYetValid { start: "2".into(), now: "1".into() }, Code::CertificateUntrusted, "chronyc"),
        (Reason::ClientCertificate, Code::CertificateUntrusted, "--client-cert"),
        (Reason::PlainHttp, Code::CertificateUntrusted, "--src-tls-verify=false"),
        (Reason::Tls("x".into()), Code::CertificateUntrusted, "openssl"),
    ] {
        let error = source(&RegistryError::Unreachable { host: "r.lan:5000".into(), reason, plain: false });
        assert_eq!(error.code, code, "{error}");
        assert!(error.remedy.contains(remedy), "{error}");
    }
    let plain = RegistryError::Unreachable { host: "r.lan".into(), reason: Reason::PlainHttp, plain: true };
    assert!(target(&plain).remedy.contains("--dest-tls-verify=false"));
}

/// A person types what is printed as it stands: `http` or `https`, and the port where the program would take another than sealift.
#[test]
fn commands_of_remedies_are_complete() {
    for (plain, command) in [(true, "`curl -v http://r.lan:5000/v2/`"), (false, "`curl -v https://r.lan:5000/v2/`")] {
        let host = || "r.lan:5000".to_owned();
        let refused = RegistryError::Unreachable { host: host(), reason: Reason::Refused, plain };
        let other = RegistryError::NotARegistry { host: host(), plain, answer: answer(404) };
        for error in [refused, other] {
            let told = target(&error);
            assert!(told.remedy.contains(command) && !told.remedy.contains("without TLS"), "{told}");
        }
    }
    for (host, address) in [("r.lan", "r.lan:443"), ("r.lan:8443", "r.lan:8443"), ("[::1]", "[::1]:443"), ("[::1]:8443", "[::1]:8443")] {
        for reason in [Reason::SelfSigned, Reason::Tls("x".into())] {
            let told = source(&RegistryError::Unreachable { host: host.into(), reason, plain: false });
            assert!(told.remedy.contains(&format!("-connect {address}`")), "s_client's own port is 4433: {told}");
        }
    }
}

#[test]
fn one_answer_means_two_things() {
    let (one, two) = (Digest::sha256(b"1"), Box::new(Digest::sha256(b"2")));
    let found = |what| RegistryError::NotFound { target: at(), what, answer: answer(404) };
    for (error, as_source, as_target, remedy) in [
        (found(Missing::Repository), Code::SourceMissing, Code::PushRefused, "create the project"),
        (found(Missing::Manifest), Code::SourceMissing, Code::PushRefused, "again"),
        (found(Missing::Blob), Code::SourceMissing, Code::PushRefused, "again"),
        (
            RegistryError::LoginRefused { target: at(), credentials_sent: false, answer: answer(401) },
            Code::LoginRefused,
            Code::LoginRefused,
            "podman login --authfile auth.json r.lan:5000",
        ),
        (
            RegistryError::LoginRefused { target: at(), credentials_sent: true, answer: answer(401) },
            Code::LoginRefused,
            Code::LoginRefused,
            "push rights",
        ),
        (RegistryError::Denied { target: at(), answer: answer(403) }, Code::LoginRefused, Code::PushRefused, "quota"),
        (RegistryError::TooLarge { target: at(), answer: answer(413) }, Code::RegistryFailed, Code::PushRefused, "client_max_body_size"),
        (RegistryError::OverLimit { target: at(), limit: 4 }, Code::CannotCarry, Code::RegistryFailed, ""),
        (RegistryError::WrongDigest { target: at(), expected: one, found: two }, Code::SourceWrong, Code::PushRefused, "storage"),
        (RegistryError::WrongSize { target: at(), expected: 1, found: 2 }, Code::SourceWrong, Code::PushRefused, "storage"),
        (RegistryError::ShortBody { target: at(), expected: 2, found: 1 }, Code::SourceWrong, Code::RegistryFailed, ""),
        (RegistryError::Unsupported { target: at(), answer: answer(405) }, Code::RegistryFailed, Code::PushRefused, "read-only"),
        (
            RegistryError::ForeignLocation { target: at(), to: "x".into(), silent: None },
            Code::RegistryFailed,
            Code::PushRefused,
            "http.host",
        ),
        (
            RegistryError::ForeignLocation { target: at(), to: "quay.lan".into(), silent: Some(Reason::Dns) },
            Code::RegistryFailed,
            Code::PushRefused,
            "SERVER_HOSTNAME) in place of quay.lan",
        ),
        (
            RegistryError::Server { target: at(), answer: Box::new(Answer { message: "invalid URL on layer".into(), ..*answer(500) }) },
            Code::RegistryFailed,
            Code::PushRefused,
            "validation.manifests.urls.allow",
        ),
        (RegistryError::BlobUnknown { target: at(), answer: answer(404) }, Code::RegistryFailed, Code::PushRefused, "again"),
        (
            RegistryError::ChildMissing { target: at(), answer: answer(404) },
            Code::RegistryFailed,
            Code::PushRefused,
            "validation.manifests.indexes.platforms",
        ),
        (RegistryError::ImmutableTag { target: at(), answer: answer(409) }, Code::RegistryFailed, Code::PushRefused, "immutability"),
        (RegistryError::Refused { target: at(), answer: answer(400) }, Code::RegistryFailed, Code::PushRefused, "registry's words"),
        (RegistryError::RateLimited { target: at(), answer: answer(429) }, Code::RegistryFailed, Code::RegistryFailed, "wait 7 s"),
        (RegistryError::Server { target: at(), answer: answer(500) }, Code::RegistryFailed, Code::RegistryFailed, "log"),
        (RegistryError::Protocol { target: at(), what: "x".into() }, Code::RegistryFailed, Code::RegistryFailed, ""),
        (RegistryError::Redirect { target: at(), to: "x".into() }, Code::RegistryFailed, Code::RegistryFailed, "https"),
        (RegistryError::Stalled { target: at(), after: Duration::ZERO }, Code::RegistryUnreachable, Code::RegistryUnreachable, "again"),
        (
            RegistryError::NotARegistry { host: "r".into(), plain: false, answer: answer(404) },
            Code::RegistryUnreachable,
            Code::RegistryUnreachable,
            "/v2/",
        ),
        (RegistryError::BadHost { host: "r r".into() }, Code::BadReference, Code::BadReference, "HOST:PORT"),
        (RegistryError::InsecureRealm { host: "r".into(), realm: "t".into() }, Code::LoginRefused, Code::LoginRefused, "realm"),
        (RegistryError::BadCertificate { host: "r".into(), why: "x".into() }, Code::BadDocument, Code::BadDocument, "PEM"),
        (RegistryError::Cancelled, Code::Interrupted, Code::Interrupted, "again"),
    ] {
        assert_eq!((source(&error).code, target(&error).code), (as_source, as_target), "{error}");
        let told = target(&error);
        assert!(told.remedy.contains(remedy), "{told}");
    }
}

/// Harbor and Quay refuse a login for what does not exist: a new password would not help.
#[test]
fn a_push_refused_in_spite_of_a_login_may_miss_its_project() {
    let refused = |reference: &str| {
        let target = Target { reference: reference.into(), ..(*at()).clone() };
        RegistryError::LoginRefused { target: Arc::new(target), credentials_sent: true, answer: answer(401) }
    };
    assert!(target(&refused("1")).causes.iter().any(|cause| cause.contains("project or organization")));
    assert!(target(&refused("")).causes.is_empty(), "the token service has refused the password itself");
}

#[test]
fn what_lies_inside_keeps_its_meaning() {
    let digest = Digest::sha256(b"");
    let wrong = crate::blob::Wrong::Long { digest, expected: 1 }.into_io();
    let error = target(&RegistryError::Source { target: at(), source: wrong });
    assert_eq!(error.code, Code::ContentDamaged);
    assert!(error.what.contains("team/app"), "the image is named: {error}");
    let full = std::io::Error::from(rustix::io::Errno::NOSPC);
    assert_eq!(target(&RegistryError::Runtime(full)).code, Code::NoSpace);
    let missing = CredentialError::HelperMissing { path: "/a.json".into(), helper: "docker-credential-x".into() };
    let error = source(&RegistryError::Credential { host: "r.lan".into(), source: missing });
    assert!(error.code == Code::LoginRefused && error.remedy.contains("docker-credential-x"), "{error}");
    let no_key = TlsError::NoKeyGiven { certificate: "/c".into() };
    assert_eq!(source(&RegistryError::Tls { host: "r.lan".into(), source: no_key }).code, Code::Usage);
}

#[test]
fn credentials_and_certificates() {
    for (error, code, remedy) in [
        (CredentialError::NotJson { path: "/a.json".into(), line: 1, column: 2 }, Code::BadDocument, "podman login --authfile /a.json"),
        (CredentialError::BadSecret { path: "/s".into() }, Code::BadDocument, "oc extract"),
        (CredentialError::BadAuth { path: "/a".into(), key: "r.lan".into() }, Code::BadDocument, "r.lan"),
        (CredentialError::HelperName { path: "/a".into(), suffix: "../x".into() }, Code::BadDocument, "credHelpers"),
        (CredentialError::HelperTimeout { helper: "h".into(), host: "r".into(), seconds: 9 }, Code::LoginRefused, "`echo r | h get`"),
        (CredentialError::HelperAnswer { helper: "h".into(), host: "r".into() }, Code::LoginRefused, "--authfile"),
    ] {
        let error = Error::from(&error);
        assert_eq!(error.code, code, "{error}");
        assert!(error.remedy.contains(remedy), "{error}");
    }
    for (error, code, remedy) in [
        (TlsError::MissingKey { certificate: "/c".into(), key: "/k".into() }, Code::FileMissing, "/k"),
        (TlsError::MissingCertificate { certificate: "/c".into(), key: "/k".into() }, Code::FileMissing, "/c"),
        (TlsError::NoCertificateGiven { key: "/k".into() }, Code::Usage, "--client-cert"),
        (TlsError::NotPem { path: "/c".into(), what: "certificate" }, Code::BadDocument, "openssl x509"),
        (TlsError::Host("a b".into()), Code::BadReference, "HOST:PORT"),
    ] {
        let error = Error::from(&error);
        assert_eq!(error.code, code, "{error}");
        assert!(error.remedy.contains(remedy), "{error}");
    }
}
