//! Manifests and tags of a registry that lies.

use crate::registry_client::{at, open, tag, with_login};
use crate::support::lying::{Fault, Guard, Lying, error};
use sealift::digest::Digest;
use sealift::image_set::Source;
use sealift::oci::{Reference, media};
use sealift::origin::{Origin, OriginError};
use sealift::registry::{Error, Missing};

#[test]
fn manifests_are_what_their_bytes_are() {
    let (server, repository) = open(Guard::Open);
    let text = r#"{"schemaVersion":2}"#;
    let digest = server.add_manifest("a/b", "t", text, "text/html");
    let fetched = repository.manifest(&tag("t")).unwrap();
    assert_eq!((fetched.digest, fetched.bytes.as_slice()), (digest, text.as_bytes()));
    let accept = server.seen("GET", "/manifests/")[0].accept.clone().unwrap();
    assert!([media::OCI_INDEX, media::DOCKER_LIST, media::SCHEMA1, media::OCI_ARTIFACT].iter().all(|t| accept.contains(t)));
    server.lie("GET", "/manifests/", 1, Fault::Body(b"{}".to_vec()));
    assert!(matches!(repository.manifest(&digest.into()), Err(Error::WrongDigest { .. })));
    server.lie("GET", "/manifests/", 1, Fault::Body(vec![b' '; (4 << 20) + 1]));
    assert!(matches!(repository.manifest(&tag("t")), Err(Error::OverLimit { .. })));
    server.lie("GET", "/manifests/", 1, Fault::Cut(5));
    assert_eq!(repository.manifest(&tag("t")).unwrap().digest, digest);
    // A wrong header by tag: asked again by the computed digest.
    let wrong = Digest::sha256(b"x").to_string();
    server.lie("GET", "/manifests/", 1, Fault::Header("docker-content-digest", Some(wrong)));
    assert_eq!(repository.manifest(&tag("t")).unwrap().digest, digest);
    assert!(server.seen("GET", "/manifests/").last().unwrap().path.ends_with(&digest.to_string()));
    assert!(matches!(repository.manifest(&tag("none")), Err(Error::NotFound { what: Missing::Manifest, .. })));
}

#[test]
fn heads_fall_back_to_get() {
    let (server, repository) = open(Guard::Open);
    let digest = server.add_manifest("a/b", "t", "{}", media::OCI_INDEX);
    let head = repository.head_manifest(&tag("t")).unwrap().unwrap();
    assert_eq!((head.digest, head.media_type.as_deref(), head.size), (digest, Some(media::OCI_INDEX), Some(2)));
    assert!(server.seen("GET", "/manifests/").is_empty());
    for fault in
        [Fault::Header("docker-content-digest", None), Fault::Status(405, vec![], String::new()), Fault::Status(500, vec![], String::new())]
    {
        server.lie("HEAD", "/manifests/", 1, fault);
        assert_eq!(repository.head_manifest(&tag("t")).unwrap().unwrap().digest, digest);
    }
    assert_eq!(server.seen("GET", "/manifests/").len(), 3);
    assert_eq!(repository.head_manifest(&tag("none")).unwrap(), None);
}

#[test]
fn refusals_of_manifests_have_names() {
    let (server, repository) = open(Guard::Open);
    let image = br#"{"config":{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}}"#;
    let index = br#"{"manifests":[]}"#;
    let refuse = |times, status, code: &str| server.lie("PUT", "/manifests/", times, Fault::Status(status, vec![], error(code)));
    let push = |bytes: &[u8]| repository.put_manifest(bytes, media::OCI_MANIFEST, &tag("t"));
    // Seen late by some: three tries.
    refuse(2, 400, "BLOB_UNKNOWN");
    assert_eq!(push(image).unwrap(), Digest::sha256(image));
    refuse(3, 400, "MANIFEST_BLOB_UNKNOWN");
    assert!(matches!(push(image), Err(Error::BlobUnknown { .. })));
    refuse(3, 400, "MANIFEST_BLOB_UNKNOWN");
    let sparse = repository.put_manifest(index, media::OCI_INDEX, &tag("t"));
    assert!(matches!(sparse, Err(Error::ChildMissing { .. })));
    refuse(1, 413, "SIZE_INVALID");
    assert!(matches!(push(image), Err(Error::TooLarge { .. })));
    refuse(1, 409, "TAG_IMMUTABLE");
    assert!(push(image).is_ok(), "the tag names these bytes already");
    refuse(1, 409, "TAG_IMMUTABLE");
    assert!(matches!(push(b"{\"x\":1}"), Err(Error::ImmutableTag { .. })));
    refuse(1, 405, "UNSUPPORTED");
    assert!(matches!(push(image), Err(Error::Unsupported { .. })));
    refuse(1, 403, "DENIED");
    assert!(matches!(push(image), Err(Error::Denied { .. })));
    let before = server.seen("PUT", "/manifests/").len();
    refuse(1, 500, "MANIFEST_BLOB_UNKNOWN");
    assert!(matches!(push(image), Err(Error::Server { .. })));
    assert_eq!(server.seen("PUT", "/manifests/").len(), before + 1, "not tried again");
    server.lie("PUT", "/manifests/", 1, Fault::Header("docker-content-digest", Some(Digest::sha256(b"y").to_string())));
    assert!(matches!(push(image), Err(Error::WrongDigest { .. })));
    assert!(matches!(repository.put_manifest(image, media::OCI_MANIFEST, &Digest::sha256(b"z").into()), Err(Error::WrongDigest { .. })));
}

#[test]
fn tag_lists_have_pages_and_nulls() {
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[Some("b"), None, Some("a"), Some("sha256:12"), Some("b"), Some("c")]);
    assert_eq!(repository.tags().unwrap(), ["b", "a", "c"]);
    assert_eq!(server.seen("GET", "/tags/").len(), 3);
    server.lie("GET", "/tags/", 1, Fault::Body(br#"{"tags":null}"#.to_vec()));
    server.lie("GET", "/tags/", usize::MAX, Fault::Header("link", Some("</v2/a/b/tags/list?from=0>; rel=\"next\"".into())));
    assert!(matches!(repository.tags(), Err(Error::Protocol { .. })), "a list in circles");
}

/// The answer to a manifest is lost and its tag may not be written twice: that it names these bytes is what was wanted.
#[test]
fn a_lost_answer_to_a_manifest_is_no_refusal() {
    let (server, repository) = open(Guard::Open);
    server.lie("PUT", "/manifests/", 1, Fault::LoseAnswer);
    for status in [409, 412] {
        server.lie("PUT", "/manifests/", 1, Fault::Status(status, vec![], error("TAG_IMMUTABLE")));
        repository.put_manifest(b"{}", media::OCI_MANIFEST, &tag("x")).unwrap();
    }
    server.lie("PUT", "/manifests/", 1, Fault::Status(409, vec![], error("TAG_IMMUTABLE")));
    let other = repository.put_manifest(b"{ }", media::OCI_MANIFEST, &tag("x"));
    assert!(matches!(other, Err(Error::ImmutableTag { .. })));
}

/// What a list does not name is not asked for: it must not be old, cut, or of some tags only.
#[test]
fn a_list_of_tags_that_cannot_be_of_all_is_not_believed() {
    // A hundred entries, of which some are no tags.
    let hundred: Vec<_> =
        (0..97).map(|n| serde_json::Value::from(format!("t{n}"))).chain([serde_json::Value::Null, "t0".into(), "a b".into()]).collect();
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &[Some("a")]);
    server.lie("GET", "/tags/", 1, Fault::Body(serde_json::json!({ "tags": hundred }).to_string().into_bytes()));
    assert!(repository.all_tags(3).unwrap().is_none());
    // Without the tag that was just pulled.
    for (listed, believed) in [(["t", "x"], true), (["s", "x"], false)] {
        let (server, repository) = open(Guard::Open);
        server.set_tags("a/b", &listed.map(Some));
        server.add_manifest("a/b", "t", "{}", media::OCI_MANIFEST);
        assert!(repository.head_manifest(&tag("t")).unwrap().is_some() && repository.head_manifest(&tag("none")).unwrap().is_none());
        assert_eq!(repository.all_tags(3).unwrap().is_some(), believed, "{listed:?}");
    }
    // From a registry that keeps lists of what it proxies.
    for name in ["Nexus/3.76.0-03 (OSS)", "Artifactory/7.98.9"] {
        let (server, repository) = open(Guard::Open);
        server.set_tags("a/b", &[Some("t")]);
        server.lie("GET", "/v2/", 1, Fault::Header("server", Some(name.into())));
        server.add_manifest("a/b", "t", "{}", media::OCI_MANIFEST);
        assert!(repository.head_manifest(&tag("t")).unwrap().is_some() && repository.all_tags(3).unwrap().is_none());
        assert_eq!(server.seen("GET", "/tags/").len(), 0, "{name}");
    }
}

#[test]
fn a_list_of_tags_is_read_as_far_as_it_pays() {
    let (server, repository) = open(Guard::Open);
    let tags = ["a", "b", "c", "d", "e", "f", "g"];
    server.set_tags("a/b", &tags.map(Some));
    let pages = || server.seen("GET", "/tags/").len();
    assert!(repository.all_tags(2).unwrap().is_none() && pages() == 2);
    let all = repository.all_tags(3).unwrap().unwrap();
    assert_eq!((all.len(), pages()), (7, 4));
    assert!(repository.all_tags(1).unwrap().is_some() && pages() == 4, "remembered");
    // What cannot be had, or is cut at a round number, is no list; nobody asks twice.
    let hundred = serde_json::json!({ "tags": (0..100).map(|n| format!("t{n}")).collect::<Vec<_>>() }).to_string();
    for lie in [Fault::Status(404, vec![], error("NAME_UNKNOWN")), Fault::Body(b"{}".to_vec()), Fault::Body(hundred.into_bytes())] {
        let (server, repository) = open(Guard::Open);
        server.set_tags("a/b", &[Some("a")]);
        server.lie("GET", "/tags/", 1, lie);
        assert!(repository.all_tags(3).unwrap().is_none() && repository.all_tags(3).unwrap().is_none());
        assert_eq!(server.seen("GET", "/tags/").len(), 1);
    }
    let (server, repository) = open(Guard::Open);
    server.set_tags("a/b", &tags.map(Some));
    server.lie("GET", "/tags/", usize::MAX, Fault::Header("link", Some("</v2/a/b/tags/list?from=0>; rel=\"next\"".into())));
    assert!(repository.all_tags(50).unwrap().is_none() && server.seen("GET", "/tags/").len() < 4, "in circles");
}

/// A server that fails says nothing about what it can.
#[test]
fn whether_there_is_a_referrers_api_is_not_read_from_a_failure() {
    let (server, repository) = open(Guard::Open);
    let subject = Digest::sha256(b"x");
    assert_eq!(repository.referrers(&subject).unwrap(), None);
    drop(server);
    let (server, repository) = open(Guard::Open);
    server.list_referrers();
    assert_eq!(repository.referrers(&subject).unwrap(), Some(Vec::new()));
    server.lie("GET", "/referrers/", usize::MAX, Fault::Status(503, vec![], String::new()));
    assert!(matches!(repository.referrers(&subject), Err(Error::Server { .. })));
}

/// A line breaks in the middle of a list as it does in the middle of a blob.
#[test]
fn lists_that_break_off_are_asked_for_again() {
    let (server, repository) = open(Guard::Open);
    server.list_referrers();
    server.set_tags("a/b", &[Some("x"), Some("y"), Some("z")]);
    let subject = server.add_manifest("a/b", "x", "{}", media::OCI_MANIFEST);
    let about = format!(r#"{{"subject":{{"digest":"{subject}"}}}}"#);
    let about = server.add_manifest("a/b", "s", &about, media::OCI_MANIFEST);
    server.lie("GET", "/tags/", 1, Fault::Cut(5));
    // And at the second page.
    server.lie_after(1, "GET", "/tags/", 1, Fault::Cut(5));
    assert_eq!(repository.tags().unwrap(), ["x", "y", "z"]);
    server.lie("GET", "/referrers/", 2, Fault::Cut(5));
    let listed: Vec<_> = repository.referrers(&subject).unwrap().unwrap().into_iter().map(|entry| entry.digest).collect();
    assert_eq!(listed, [about]);
    server.lie("GET", "/referrers/", usize::MAX, Fault::Cut(5));
    assert!(repository.referrers(&subject).is_err(), "but not for ever");
    assert_eq!(server.seen("GET", "/referrers/").len(), 3 + 4);
}

/// An answer to HEAD has no body: why an image cannot be had is asked once more, with GET.
#[test]
fn why_an_image_cannot_be_had_is_told_in_the_registrys_words() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let source = Source::Registry(Reference::parse(&format!("{}/a/b:t", server.host())).unwrap());
    for (times, status, code, words) in [
        // With a fresh token as well.
        (2, 401, "UNAUTHORIZED", "project a not found"),
        (1, 403, "DENIED", "quota exceeded"),
        (1, 404, "NAME_UNKNOWN", "no such repository"),
    ] {
        server.lie("HEAD", "/manifests/", times, Fault::Status(status, vec![], String::new()));
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{words}"}}]}}"#);
        server.lie("GET", "/manifests/", times, Fault::Status(status, vec![], body));
        let failed = repository.resolve(&source).unwrap_err().to_string();
        assert!(failed.contains(&format!("{status} {code}: {words}")), "{failed}");
    }
    assert!(matches!(repository.resolve(&source), Err(OriginError::NoImage { .. })));
    // Some know only GET, and say 404 to everything else.
    let digest = server.add_manifest("a/b", "t", "{}", media::OCI_MANIFEST);
    server.lie("HEAD", "/manifests/", 1, Fault::Status(404, vec![], String::new()));
    assert_eq!(repository.resolve(&source).unwrap().0, digest);
    // A password is shown once: accounts get locked.
    let server = Lying::start(Guard::Basic);
    let source = Source::Registry(Reference::parse(&format!("{}/a/b:t", server.host())).unwrap());
    assert!(at(&server, with_login("alice", "wrong")).resolve(&source).is_err());
    let shown = |method| server.seen(method, "/manifests/").iter().filter(|s| s.authorization.is_some()).count();
    assert_eq!((shown("HEAD"), shown("GET")), (1, 0));
}
