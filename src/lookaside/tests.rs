//! Which store is asked, and what it may answer.

use super::*;
use crate::fs::Loaded;
use crate::web::{Get, WebError};
use std::collections::BTreeMap;
use std::path::Path;

fn loaded(texts: &[&str]) -> Result<Loaded<Scopes>, Fault> {
    let (mut loaded, mut known) = (Loaded::default(), BTreeMap::new());
    for text in texts {
        loaded.add(Path::new("x.yaml"), text.as_bytes(), &mut known)?;
    }
    Ok(loaded)
}

fn image(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

#[test]
fn the_most_specific_scope_with_a_store_is_asked() {
    let files = loaded(&[
        "default-docker:\n  lookaside: https://all.test\n  lookaside-staging: file:///x\n",
        "docker:\n  quay.io:\n    sigstore: https://quay.test/s\n  quay.io/team:\n    lookaside: file:///srv/team\n    sigstore: https://old.test\n",
        "docker:\n  quay.io/team/app:\n    use-sigstore-attachments: true\n  '*.example.com':\n    lookaside: http://wild.test\n",
        "",
    ])
    .unwrap();
    assert!(files.notices.is_empty(), "{:?}", files.notices);
    let mut named = Scopes::default();
    named.set(Some("quay.io/named"), Store::parse("/srv/named"));
    let all = Lookasides::new(named, files.content);
    for (name, store) in [
        ("docker.io/library/nginx:1", "https://all.test"),
        ("quay.io/other/app:1", "https://quay.test/s"),
        ("quay.io/team/app:1", "/srv/team"),
        ("quay.io/teams:1", "https://quay.test/s"),
        ("quay.io:443/team:1", "https://all.test"),
        ("reg.example.com:5000/a:1", "http://wild.test"),
        ("quay.io/named/x:1", "/srv/named"),
    ] {
        assert_eq!(all.store(&image(name)).unwrap().name(), store, "{name}");
    }
    assert_eq!(Lookasides::default().store(&image("quay.io/a:1")), None);
}

/// As podman reads them: what a path has of `%` and blanks is escaped in an address.
#[test]
fn addresses_of_files_are_escaped() {
    for (text, path) in [
        ("file:///srv/my%20signatures", "/srv/my signatures"),
        ("file:///srv/100%25%C3%A9", "/srv/100%\u{e9}"),
        ("/srv/my%20signatures", "/srv/my%20signatures"),
    ] {
        assert_eq!(Store::parse(text), Store::Folder(path.into()), "{text}");
    }
    for bad in ["file:///srv/100%", "file:///srv/%zz", "file:///srv/%ff", "file:///srv/%00", "file://srv"] {
        let text = format!("docker:\n  quay.io:\n    lookaside: {bad}\n");
        assert!(matches!(loaded(&[&text]), Err(Fault::Store(_))), "{bad}");
    }
}

/// Has two signatures for those who log in; notes whether a login was offered.
struct Closed(std::sync::Mutex<Vec<bool>>, u16);

impl Web for Closed {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        self.0.lock().unwrap().push(request.login);
        match (request.login, request.url.ends_with("/signature-3")) {
            (false, _) => Err(WebError::Refused { url: "x".into(), status: self.1, words: String::new() }),
            (true, true) => Err(WebError::NotFound("x".into())),
            (true, false) => Ok(vec![1]),
        }
    }
}

#[test]
fn a_stored_login_is_sent_to_a_store_that_asks_for_one() {
    let ask = |web: &Closed| {
        let mut named = Scopes::default();
        named.set(None, Store::parse("https://s.test/sig"));
        Lookasides::new(named, Scopes::default()).signatures(&image("quay.io/a:1"), &Digest::sha256(b"x"), web)
    };
    let closed = Closed(Default::default(), 401);
    assert_eq!(ask(&closed).unwrap().unwrap().len(), 2);
    assert_eq!(*closed.0.lock().unwrap(), [false, true, true, true], "without one first, then with it to the end");
    // What is not about a login is not answered with one.
    let forbidden = Closed(Default::default(), 403);
    assert!(matches!(ask(&forbidden), Err(LookasideError::Store { .. })));
    assert_eq!(*forbidden.0.lock().unwrap(), [false]);
}

#[test]
fn files_that_contradict_each_other_or_are_none_are_refused() {
    let twice = "docker:\n  quay.io:\n    lookaside: https://a.test\n";
    assert_eq!(loaded(&[twice, "docker:\n  quay.io: {}\n"]).unwrap_err(), Fault::Twice("quay.io".into()));
    let default = "default-docker: {}\n";
    assert!(matches!(loaded(&[default, default]).unwrap_err(), Fault::Twice(_)));
    for bad in
        ["[]", "docker: 1", "docker:\n  quay.io: x", "docker:\n  quay.io:\n    lookaside: [x]\n", "a: b: c", "default-docker: &a [*a]"]
    {
        assert!(matches!(loaded(&[bad]), Err(Fault::Syntax(_))), "{bad}");
    }
    for bad in ["ftp://x.test", "/srv/x", "file://x", "srv"] {
        let text = format!("docker:\n  quay.io:\n    lookaside: {bad}\n");
        assert!(matches!(loaded(&[&text]), Err(Fault::Store(_))), "{bad}");
    }
    let Err(Fault::Store(told)) = loaded(&["default-docker:\n  lookaside: ftp://al:s3cret@x.test\n"]) else { panic!() };
    assert!(!told.contains("s3cret"), "{told}");
    let within = "docker:\n  quay.io: {lookaside: https://a.test}\n  quay.io: {lookaside: https://b.test}\n";
    assert!(loaded(&[within]).is_err(), "the last one would be asked, or the first");
    let misspelt = loaded(&["dockers: {}\ndocker:\n  quay.io:\n    look-aside: x\n"]).unwrap();
    assert_eq!(misspelt.notices.len(), 2, "{:?}", misspelt.notices);
}

/// Answers from a list.
struct Listed(BTreeMap<String, Vec<u8>>);

impl Web for Listed {
    fn get(&self, request: &Get<'_>) -> Result<Vec<u8>, WebError> {
        match self.0.get(request.url) {
            Some(bytes) if bytes == b"down" => Err(WebError::Unreachable { url: "x".into(), why: "no".into() }),
            Some(bytes) => Ok(bytes.clone()),
            None => Err(WebError::NotFound(request.url.to_owned())),
        }
    }
}

fn at(store: &str) -> Lookasides {
    let mut named = Scopes::default();
    named.set(None, Store::parse(store));
    Lookasides::new(named, Scopes::default())
}

#[test]
fn signatures_are_read_up_to_the_first_gap() {
    let digest = Digest::sha256(b"x");
    let path = |n: u32| format!("library/nginx@sha256={}/signature-{n}", digest.hex());
    let mut web = Listed([1, 2, 4].map(|n| (format!("https://s.test/base/{}?token=t", path(n)), vec![n as u8])).into());
    let image = image("nginx:1");
    let find = |store: &str, web: &Listed| at(store).signatures(&image, &digest, web);
    assert_eq!(find("https://s.test/base/?token=t", &web).unwrap(), Some(vec![vec![1], vec![2]]));
    web.0.insert(format!("https://s.test/base/{}?token=t", path(2)), b"down".to_vec());
    let failed = find("https://s.test/base?token=t", &web).unwrap_err().to_string();
    assert!(failed.contains("https://s.test/base ") && !failed.contains("token"), "{failed}");
    assert_eq!(find("https://other.test", &web).unwrap(), Some(vec![]));
    assert_eq!(Lookasides::default().signatures(&image, &digest, &web).unwrap(), None);
    let endless = Listed((1..500).map(|n| (format!("https://e.test/{}", path(n)), vec![0])).collect());
    assert_eq!(find("https://e.test", &endless).unwrap().unwrap().len(), LOOKASIDE_SIGNATURES as usize);
}

/// Logins, and queries that open a store, stand in no message and no debug output; a question mark may be part of a password.
#[test]
fn what_opens_a_store_is_never_shown() {
    for address in
        ["https://al:s3cret@x.test/a", "https://al:s3?cret@x.test/a", "https://al:s3#cret@x.test/a", "https://x.test/a?sig=s3cret"]
    {
        let store = Store::parse(address);
        assert!(!store.name().contains("s3") && !format!("{store:?}").contains("s3"), "{} {store:?}", store.name());
        assert!(!format!("{:?}", at(address)).contains("s3"));
    }
    for bad in ["ftp://x.test/a?sig=s3cret", "ftp://al:s3?cret@x.test"] {
        let told = loaded(&[&format!("default-docker:\n  lookaside: {bad}\n")]).unwrap_err().to_string();
        assert!(!told.contains("s3"), "{told}");
    }
    let told = loaded(&["docker: https://al:s3cret@x.test/a\n"]).unwrap_err().to_string();
    assert!(!told.contains("s3"), "{told}");
}

/// Each alias hands out the whole text once more, also below keys that mean nothing.
#[test]
fn aliases_multiply_no_file() {
    let told = |text: String| loaded(&[&text]).unwrap_err().to_string();
    assert!(told(format!("x: &a {}\ny:\n{}", "x".repeat(8192), "- *a\n".repeat(2000))).contains("aliases"));
    assert!(told("[".repeat(2000)).contains("nested too deeply"));
}

/// What stands behind `#` is for browsers: a path added there would be asked of nobody.
#[test]
fn a_fragment_stays_behind_the_path() {
    let digest = Digest::sha256(b"x");
    let url = format!("https://s.test:8443/base/library/nginx@sha256={}/signature-1", digest.hex());
    let web = Listed(BTreeMap::from([(format!("{url}#part"), vec![1])]));
    let mut places = Vec::new();
    let folder = format!("library/nginx@sha256={}", digest.hex());
    Store::parse("https://s.test:8443/base#part").each(&folder, (9, 9), &web, &mut |entry| places.push(entry.place)).unwrap();
    assert_eq!(places, [url]);
}

#[test]
fn a_folder_is_a_store() {
    let temp = tempfile::tempdir().unwrap();
    let (digest, image, web) = (Digest::sha256(b"x"), image("quay.io/team/app:1"), Listed(BTreeMap::new()));
    let find = |store: &Path| at(store.to_str().unwrap()).signatures(&image, &digest, &web);
    assert_eq!(find(temp.path()).unwrap(), Some(vec![]));
    let folder = temp.path().join(format!("team/app@sha256={}", digest.hex()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("signature-1"), b"one").unwrap();
    std::fs::write(folder.join("signature-3"), b"three").unwrap();
    assert_eq!(find(temp.path()).unwrap(), Some(vec![b"one".to_vec()]));
    std::fs::write(folder.join("signature-2"), vec![0; 1 << 20]).unwrap();
    assert!(matches!(find(temp.path()), Err(LookasideError::TooLong { .. })));
    assert!(matches!(find(&temp.path().join("absent")), Err(LookasideError::Store { .. })), "a store that is not mounted has not nothing");
}
