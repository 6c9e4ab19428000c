//! Logins and tokens, at a registry that lies.

use crate::registry_client::{at, open, options, tag, with_login};
use crate::support::lying::{Fault, Guard, Lying, error};
use crate::support::store_suite::{blob, bytes, get, put};
use sealift::registry::credentials::Credential;
use sealift::registry::{Client, Error};
use zeroize::Zeroizing;

#[test]
fn tokens_are_asked_for_once_and_renewed_when_refused() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(13, 3_000_000);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(get(&repository, &blob(&content)), content);
    let asked = server.seen("GET", "/token");
    assert_eq!(asked.len(), 1, "a push token serves for the pull");
    assert!(asked[0].query.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush") && asked[0].query.contains("service=lying+service"));
    // In the middle of a blob: the transfer breaks, and by then the token has ended.
    server.lie("GET", "/blobs/", 1, Fault::Cut(1_500_000));
    server.expire_tokens();
    assert_eq!(get(&repository, &blob(&content)), content);
    assert_eq!(server.seen("GET", "/token").len(), 2);
    let more = bytes(14, 2_000_000);
    server.expire_tokens();
    put(&repository, &blob(&more), &more).unwrap();
    assert_eq!(server.blob(&blob(&more).digest).unwrap(), more);
    assert!(server.seen("GET", "/token").iter().all(|s| !s.query.contains("delete")));
    server.expire_tokens();
    repository.delete_manifest(&blob(&more).digest.into()).unwrap();
    assert!(server.seen("GET", "/token").last().unwrap().query.contains("delete"));
}

#[test]
fn a_token_that_ends_between_post_and_patch_costs_a_second_reading() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let challenge = format!("Bearer realm=\"http://{}/token\"", server.host());
    let content = bytes(15, 3_000_000);
    server.lie("PATCH", "/uploads/", 1, Fault::Status(401, vec![("www-authenticate", challenge)], error("UNAUTHORIZED")));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    assert_eq!(server.seen("GET", "/token").len(), 2);
}

#[test]
fn anonymous_and_identity_tokens() {
    let server = Lying::start(Guard::Bearer);
    server.set_tags("a/b", &[Some("x")]);
    assert_eq!(at(&server, options()).tags().unwrap(), ["x"]);
    assert_eq!(server.seen("GET", "/token")[0].authorization, None);
    assert_eq!(at(&server, with_login("", "refresh-alice")).tags().unwrap(), ["x"]);
    assert_eq!(server.seen("POST", "/token").len(), 1);
}

#[test]
fn a_refused_login_says_whether_one_was_shown_and_never_which() {
    let server = Lying::start(Guard::Bearer);
    let error = at(&server, with_login("alice", "hunter2")).tags().unwrap_err();
    assert!(matches!(error, Error::LoginRefused { credentials_sent: true, .. }), "{error}");
    let shown = format!("{error} {error:?} {:?}", Credential::IdentityToken(Zeroizing::new("hunter2".to_owned())));
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg") && !shown.contains("Basic Y"), "{shown}");
    let basic = Lying::start(Guard::Basic);
    assert!(matches!(at(&basic, options()).tags(), Err(Error::LoginRefused { credentials_sent: false, .. })));
    assert!(matches!(at(&basic, with_login("alice", "no")).tags(), Err(Error::LoginRefused { credentials_sent: true, .. })));
    assert_eq!(basic.seen("GET", "/tags/").len(), 2, "a wrong password is shown once: accounts get locked");
}

#[test]
fn a_token_service_that_is_busy_is_asked_again() {
    let server = Lying::start(Guard::Bearer);
    server.set_tags("a/b", &[]);
    server.lie("GET", "/token", 2, Fault::Status(429, vec![], "<html>slow</html>".into()));
    assert!(at(&server, options()).tags().unwrap().is_empty());
}

#[test]
fn a_mount_asks_for_the_right_to_read_the_source_though_a_push_token_is_there() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(33, 100);
    put(&repository, &blob(&content), &content).unwrap();
    repository.mount(&blob(&content), "c/d").unwrap();
    let asked = server.seen("GET", "/token");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].query.contains("a%2Fb%3Apull%2Cpush") && asked[1].query.contains("c%2Fd%3Apull"), "{}", asked[1].query);
}

#[test]
fn whoever_will_write_asks_with_one_token() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret")).for_writing();
    assert_eq!(repository.head_manifest(&tag("none")).unwrap(), None);
    let content = bytes(34, 100);
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.seen("GET", "/token").len(), 1);
}

#[test]
fn a_token_service_that_forgets_its_scheme() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(41, 1000);
    server.add_blob(&content);
    let realm = format!("BEARER service=\"a, b\" , Realm=\"null://{}/token\", Basic realm=r", server.host());
    server.lie("GET", "/v2/", 1, Fault::Status(401, vec![("www-authenticate", realm)], String::new()));
    assert_eq!(get(&repository, &blob(&content)), content);
    let asked = server.seen("GET", "/token");
    assert!(asked.len() == 1 && asked[0].query.contains("service=a%2C+b"), "{asked:?}");
}

#[test]
fn a_refusal_in_spite_of_a_login_is_no_matter_of_logins() {
    let server = Lying::start(Guard::Basic);
    let repository = at(&server, with_login("alice", "secret"));
    let content = bytes(42, 1000);
    for body in [error("DENIED"), error("UNAUTHORIZED"), "<html>forbidden</html>".to_owned()] {
        server.lie("POST", "/uploads/", 1, Fault::Status(403, vec![], body.clone()));
        assert!(matches!(put(&repository, &blob(&content), &content), Err(Error::Denied { .. })), "{body}");
        server.lie("GET", "/tags/", 1, Fault::Status(403, vec![], body.clone()));
        assert!(matches!(repository.tags(), Err(Error::Denied { .. })), "{body}");
    }
    assert_eq!(server.seen("POST", "/uploads/").len(), 3, "asked once each");
    let (server, anonymous) = open(Guard::Open);
    server.lie("GET", "/tags/", 1, Fault::Status(403, vec![], error("DENIED")));
    assert!(matches!(anonymous.tags(), Err(Error::LoginRefused { credentials_sent: false, .. })));
}

/// Whoever has pushed reads with the same token. Once that one is refused the new one is shown, and no longer the old one first.
#[test]
fn a_refused_token_is_not_shown_again() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    server.set_tags("a/b", &[Some("x")]);
    let content = bytes(46, 1000);
    put(&repository, &blob(&content), &content).unwrap();
    repository.tags().unwrap();
    assert_eq!((server.seen("GET", "/token").len(), server.seen("GET", "/tags/").len()), (1, 1));
    server.expire_tokens();
    for _ in 0..3 {
        repository.tags().unwrap();
    }
    assert_eq!((server.seen("GET", "/token").len(), server.seen("GET", "/tags/").len()), (2, 5));
}

/// A token service that is down has the tries of one request, not their square, whatever the token is for.
#[test]
fn a_token_service_that_is_down_is_asked_as_often_as_a_registry() {
    let server = Lying::start(Guard::Bearer);
    let repository = at(&server, with_login("alice", "secret"));
    server.lie("GET", "/token", usize::MAX, Fault::Status(503, vec![], "down for repair".into()));
    let content = bytes(47, 1000);
    let asked = || server.seen("GET", "/token").len();
    let down =
        |failure: Error| assert!(matches!(&failure, Error::Server { answer, .. } if answer.message == "down for repair"), "{failure}");
    down(repository.tags().unwrap_err());
    assert_eq!(asked(), 4);
    down(put(&repository, &blob(&content), &content).unwrap_err());
    assert_eq!(asked(), 8);
    down(repository.open_at(&blob(&content), 0).map(|_| ()).unwrap_err());
    assert_eq!(asked(), 12);
}

#[test]
fn a_token_that_breaks_off_is_asked_for_again() {
    let server = Lying::start(Guard::Bearer);
    server.set_tags("a/b", &[Some("x")]);
    server.lie("GET", "/token", 2, Fault::Cut(5));
    assert_eq!(at(&server, with_login("alice", "secret")).tags().unwrap(), ["x"]);
    assert_eq!(server.seen("GET", "/token").len(), 3);
    assert_eq!(server.seen("GET", "/tags/").len(), 1);
}

/// Quay writes its own name (SERVER_HOSTNAME) into the address of its token service and into those of uploads. Who reaches it by
/// another name has shown the login to the one; the other may see the token.
#[test]
fn uploads_at_the_host_of_the_token_service_get_the_token() {
    let server = Lying::start(Guard::Bearer);
    let alias = format!("localhost:{}", server.addr.port());
    let repository = Client::new(with_login("alice", "secret")).unwrap().repository(&alias, "a/b");
    let own = format!("http://{}/v2/a/b/blobs/uploads/s1?_state=a%2Fb%3D", server.host());
    // The third session is the first upload: tokens are counted with them.
    let (content, small) = (bytes(48, 2_000_000), bytes(49, 100));
    let realm = format!("Bearer realm=\"http://{}/token\"", server.host());
    put(&repository, &blob(&small), &small).unwrap();
    server.lie("POST", "/uploads/", 1, Fault::Header("location", Some(own.replace("/s1", "/s3"))));
    server.lie("PATCH", "/uploads/", 1, Fault::Status(401, vec![("www-authenticate", realm)], error("UNAUTHORIZED")));
    put(&repository, &blob(&content), &content).unwrap();
    assert_eq!(server.blob(&blob(&content).digest).unwrap(), content);
    let seen = server.seen("PATCH", "/uploads/s3");
    assert!(seen.iter().all(|s| s.authorization.as_deref().is_some_and(|a| a.starts_with("Bearer "))), "{seen:?}");
    assert_eq!((seen.len(), server.seen("GET", "/token").len()), (2, 2), "a token that has ended is renewed there as well");
}
