use super::*;
use crate::oci::Reference;
use proptest::prelude::*;
use std::path::Path;

fn conf(text: &str) -> Conf {
    Conf::parse(Path::new("r.conf"), text).unwrap().0
}

fn fault(text: &str) -> Fault {
    match Conf::parse(Path::new("r.conf"), text).unwrap_err() {
        ConfError::Content { fault, .. } => fault,
        ConfError::File(e) => panic!("{e}"),
    }
}

fn places(conf: &Conf, reference: &str) -> Vec<String> {
    let places = conf.places(&Reference::parse(reference).unwrap()).unwrap();
    places.into_iter().map(|p| format!("{}{}", if p.mirror { "" } else { "=" }, p.reference)).collect()
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn without_an_entry_a_name_is_its_place() {
    assert_eq!(places(&Conf::default(), "quay.io/a/b:1"), ["=quay.io/a/b:1"]);
    assert_eq!(places(&Conf::default(), "nginx:1"), ["=docker.io/library/nginx:1"]);
}

#[test]
fn mirrors_come_first_in_their_order_and_the_place_itself_last() {
    let conf = conf(
        r#"
        unqualified-search-registries = ["docker.io"]
        [[registry]]
        prefix = "quay.io/org"
        location = "inner.lan/quay"
        [[registry.mirror]]
        location = "one.lan:5000/m"
        [[registry.mirror]]
        location = "two.lan/m/"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "three.lan"
        pull-from-mirror = "tag-only"
        [aliases]
        "fedora" = "registry.fedoraproject.org/fedora"
        "#,
    );
    assert_eq!(places(&conf, "quay.io/org/app:1"), ["one.lan:5000/m/app:1", "three.lan/app:1", "=inner.lan/quay/app:1"]);
    let by_digest = format!("quay.io/org/app:1@{DIGEST}");
    let wanted = ["one.lan:5000/m/app", "two.lan/m/app", "=inner.lan/quay/app"].map(|p| format!("{p}@{DIGEST}"));
    assert_eq!(places(&conf, &by_digest), wanted, "with a digest the tag does not count");
    assert_eq!(places(&conf, "quay.io/organic/app:1"), ["=quay.io/organic/app:1"], "a prefix ends at a boundary");
    assert_eq!(places(&conf, "quay.io/other:1"), ["=quay.io/other:1"]);
}

#[test]
fn mirror_by_digest_only_is_for_all_mirrors() {
    let conf = conf("[[registry]]\nlocation = 'q.io'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'm.lan'");
    assert_eq!(places(&conf, "q.io/a:1"), ["=q.io/a:1"]);
    assert_eq!(places(&conf, &format!("q.io/a@{DIGEST}")).len(), 2);
}

#[test]
fn the_longest_prefix_wins_and_boundaries_hold() {
    let conf = conf(
        r#"
        [[registry]]
        location = "q.io"
        [[registry]]
        prefix = "q.io/a/b"
        location = "x.lan/b"
        [[registry]]
        prefix = "q.io/a"
        location = "x.lan/a"
        [[registry]]
        prefix = "q.io/pinned/app:1"
        location = "x.lan/app:one"
        "#,
    );
    assert_eq!(places(&conf, "q.io/a/b/c:1"), ["=x.lan/b/c:1"]);
    assert_eq!(places(&conf, "q.io/a/b:1"), ["=x.lan/b:1"]);
    assert_eq!(places(&conf, "q.io/a/bc:1"), ["=x.lan/a/bc:1"]);
    assert_eq!(places(&conf, "q.io/z:1"), ["=q.io/z:1"]);
    assert_eq!(places(&conf, "q.io:5000/z:1"), ["=q.io:5000/z:1"]);
    assert_eq!(places(&conf, "q.io/pinned/app:1"), ["=x.lan/app:one"]);
    assert_eq!(places(&conf, "q.io/pinned/app:12"), ["=q.io/pinned/app:12"]);
    assert_eq!(conf.find("q.iot/z"), None);
}

#[test]
fn a_wildcard_stands_for_a_part_of_a_host_only() {
    let conf = conf(
        "[[registry]]\nprefix = '*.example.com'\n[[registry.mirror]]\nlocation = 'm.lan/all'\n\
         [[registry]]\nprefix = '*.moved.com/x'\nlocation = 'new.lan'",
    );
    assert_eq!(places(&conf, "a.example.com/x:1"), ["m.lan/all/x:1", "=a.example.com/x:1"]);
    let with_port = conf.places(&Reference::parse("a.b.example.com:5000/x:1").unwrap());
    assert!(
        matches!(with_port, Err(NoPlace::NoReference { into, .. }) if into == "m.lan/all:5000/x:1"),
        "a port stays behind the location"
    );
    assert_eq!(places(&conf, "example.com/x:1"), ["=example.com/x:1"]);
    assert_eq!(places(&conf, "evil.com/a.example.com:1"), ["=evil.com/a.example.com:1"]);
    assert_eq!(places(&conf, "a.example.com.evil.com/x:1"), ["=a.example.com.evil.com/x:1"]);
    assert_eq!(places(&conf, "b.moved.com/x/y:1"), ["=new.lan/y:1"]);
}

#[test]
fn a_blocked_name_leaves_its_mirrors() {
    let conf = conf(
        "[[registry]]\nlocation = 'q.io'\nblocked = true\n[[registry.mirror]]\nlocation = 'm.lan'\npull-from-mirror = 'digest-only'\n\
         [[registry]]\nlocation = 'bad.lan'\nblocked = true\n\
         [[registry]]\nlocation = 'w.io'\n[[registry.mirror]]\nlocation = 'bad.lan/w'",
    );
    assert_eq!(places(&conf, &format!("q.io/a@{DIGEST}")), [format!("m.lan/a@{DIGEST}")]);
    let refused = conf.places(&Reference::parse("q.io/a:1").unwrap()).unwrap_err();
    assert_eq!(refused, NoPlace::Blocked { name: "q.io/a".into(), prefix: "q.io".into() });
    assert_eq!(places(&conf, "w.io/a:1"), ["=w.io/a:1"], "a blocked mirror is not asked either");
}

#[test]
fn a_location_without_a_host_never_means_docker_hub() {
    let conf = conf("[[registry]]\nprefix = 'q.io'\nlocation = 'mirrors/q'");
    let refused = conf.places(&Reference::parse("q.io/a:1").unwrap()).unwrap_err();
    assert!(matches!(refused, NoPlace::NoReference { into, .. } if into == "mirrors/q/a:1"));
}

#[test]
fn insecure_hosts_are_collected() {
    let conf = conf(
        "[[registry]]\nlocation = 'q.io'\n[[registry.mirror]]\nlocation = 'm.lan:5000/x'\ninsecure = true\n\
         [[registry]]\nprefix = '*.lab'\ninsecure = true\n[[registry]]\nprefix='z.io'\nlocation = 'i.lan/y'\ninsecure = true",
    );
    assert_eq!(conf.insecure_hosts(), ["*.lab", "i.lan", "m.lan:5000"]);
}

#[test]
fn what_cannot_hold_is_refused() {
    let registry = |text: &str| fault(&format!("[[registry]]\n{text}"));
    assert_eq!(fault("[registries.search]\nregistries = ['docker.io']"), Fault::Version1);
    assert_eq!(fault("[registries.insecure]\nregistries = []"), Fault::Version1);
    assert_eq!(registry("insecure = true"), Fault::Nameless);
    assert_eq!(registry("prefix = 'a.io'"), Fault::NoLocation("a.io".into()));
    assert_eq!(registry("location = 'https://a.io'"), Fault::Location("https://a.io".into()));
    assert_eq!(registry("location = '/a'"), Fault::Location("/a".into()));
    assert_eq!(registry("location = 'a b'"), Fault::Location("a b".into()));
    for star in ["*", "*a.io", "a.*.io", "*.*.io", "*."] {
        assert!(matches!(registry(&format!("prefix = '{star}'\nlocation = 'x.io'")), Fault::Wildcard(_)), "{star}");
    }
    assert!(matches!(registry("prefix = '*.a.io'\nlocation = '*.b.io'"), Fault::Wildcard(_)));
    assert_eq!(registry("location = 'a.io'\npull-from-mirror = 'all'"), Fault::PullOfPrimary("a.io".into()));
    let mirror = |text: &str| registry(&format!("location = 'a.io'\n[[registry.mirror]]\n{text}"));
    assert_eq!(mirror(""), Fault::Location(String::new()));
    assert_eq!(mirror("location = 'http://m'"), Fault::Location("http://m".into()));
    assert_eq!(mirror("location = 'm.lan'\npull-from-mirror = 'tags'"), Fault::Pull("tags".into()));
    let both = "location = 'a.io'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'm.lan'\npull-from-mirror = 'all'";
    assert_eq!(registry(both), Fault::BothPulls("a.io".into()));
    assert!(matches!(registry("location = 'a.io'\n\nblocked = 'yes'"), Fault::Syntax { line: 4, .. }));
    assert!(matches!(fault("\n[[registry]\n"), Fault::Syntax { line: 2, .. }));
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    let two = |one: &str, other: &str| {
        let text =
            format!("[[registry]]\nprefix='p.io/a'\nlocation='l.io'\n{one}\n[[registry]]\nprefix='p.io/b'\nlocation='l.io'\n{other}");
        Conf::parse(Path::new("r.conf"), &text).err().map(|e| e.to_string())
    };
    assert_eq!(two("insecure = true", "insecure = true"), None);
    assert!(two("insecure = true", "").unwrap().contains("\"l.io\" differ in insecure"));
    assert!(two("", "blocked = true").unwrap().contains("differ in blocked"));
    let twice = "[[registry]]\nlocation='l.io'\n[[registry]]\nlocation='l.io'\n[[registry.mirror]]\nlocation='m.lan'";
    assert!(matches!(fault(twice), Fault::Contradiction { .. }));
    assert_eq!(conf("[[registry]]\nlocation='l.io'\n[[registry]]\nlocation='l.io'").entries().len(), 1);
}

#[test]
fn keys_that_mean_nothing_are_named() {
    let text = "[[registry]]\nlocation='l.io'\nblockd=true\n[[registry.mirror]]\nlocation='m.lan'\nmirror-by-digest-only=true";
    let (_, notices) = Conf::parse(Path::new("r.conf"), text).unwrap();
    assert_eq!(notices, ["r.conf: blockd means nothing", "r.conf: mirror-by-digest-only means nothing"]);
}

#[test]
fn later_files_replace_entries_as_a_whole_and_the_users_file_hides_the_systems() {
    let temp = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = temp.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let entry = |name: &str, to: &str| format!("[[registry]]\nprefix='{name}'\nlocation='{to}'\n");
    let files = ConfFiles {
        user: Some(temp.path().join("user")),
        system: vec![temp.path().join("etc"), temp.path().join("share")],
        ..ConfFiles::default()
    };
    let at = |files: &ConfFiles, name: &str| places(&files.load().unwrap().content, &format!("{name}/x:1")).concat();
    assert_eq!(files.load().unwrap().content, Conf::default(), "no file at all");
    write("share/registries.conf", &entry("a.io", "share.lan"));
    assert_eq!(at(&files, "a.io"), "=share.lan/x:1");
    write("etc/registries.conf", &entry("b.io", "etc.lan"));
    assert_eq!(at(&files, "a.io"), "=a.io/x:1", "the administrator's file is read in place of the packager's");
    write("etc/registries.conf.d/20.conf", &entry("b.io", "twenty.lan"));
    write("etc/registries.conf.d/10.conf", &entry("b.io", "ten.lan"));
    write("etc/registries.conf.d/30.conf.off", "not read [");
    assert_eq!(at(&files, "b.io"), "=twenty.lan/x:1");
    write("user/registries.conf.d/05.conf", &entry("b.io", "mine.lan"));
    assert_eq!(at(&files, "b.io"), "=mine.lan/x:1");
    write("user/registries.conf", &entry("c.io", "user.lan"));
    assert_eq!(at(&files, "b.io"), "=mine.lan/x:1");
    std::fs::remove_file(temp.path().join("user/registries.conf.d/05.conf")).unwrap();
    assert_eq!(at(&files, "b.io"), "=b.io/x:1", "with a file of the user's own the system's drop-ins do not hold");
    write("last.conf", &entry("c.io", "last.lan"));
    write("named.conf", &entry("d.io", "named.lan"));
    let files = ConfFiles { named: Some(temp.path().join("named.conf")), last: Some(temp.path().join("last.conf")), ..files };
    assert_eq!((at(&files, "d.io"), at(&files, "c.io")), ("=named.lan/x:1".into(), "=last.lan/x:1".into()));
    let gone = ConfFiles { named: Some(temp.path().join("gone.conf")), ..ConfFiles::default() };
    assert!(matches!(gone.load(), Err(ConfError::File(_))));
    write("latin.conf", "");
    std::fs::write(temp.path().join("latin.conf"), b"# a\n\xff").unwrap();
    let latin = ConfFiles { named: Some(temp.path().join("latin.conf")), ..ConfFiles::default() };
    assert!(latin.load().unwrap_err().to_string().contains("line 2: it is not UTF-8 text"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,80}", reference in "[a-z./:@*]{0,40}") {
        let _ = Conf::parse(Path::new("r.conf"), &text);
        let entry = format!("[[registry]]\nprefix = '{reference}'\nlocation = '{reference}'");
        if let (Ok((conf, _)), Ok(asked)) = (Conf::parse(Path::new("r.conf"), &entry), Reference::parse("a.b.c/d/e:f")) {
            let _ = conf.places(&asked);
        }
    }

    /// Rewriting keeps what follows the prefix, whatever it is.
    #[test]
    fn what_follows_the_prefix_is_kept(rest in "(/[a-z]{1,5}){1,4}", tag in "[a-z]{1,5}") {
        let conf = conf("[[registry]]\nprefix = 'a.io/p'\nlocation = 'b.io:1/q/r'");
        prop_assert_eq!(places(&conf, &format!("a.io/p{rest}:{tag}")), [format!("=b.io:1/q/r{rest}:{tag}")]);
    }
}
