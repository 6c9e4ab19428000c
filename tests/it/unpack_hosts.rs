//! Several hosts unpack volumes of one set into one registry at the same time: each has a state folder of its own, and they know
//! nothing of each other.

use crate::support::inside::{ALL, Home, Inventory, Outside, medium, text, volumes};
use crate::support::raw::Served;
use crate::support::servers::{DockerRegistry, Options};
use std::path::Path;
use std::process::Stdio;

fn line<'a>(media: &'a Path, to: &'a str) -> [&'a str; 6] {
    ["unpack", text(media), "--to", to, "--dest-tls-verify=false", "--first"]
}

/// Both hosts at once, each with its volumes of the set. They end well, with or without everything.
fn together(hosts: [&Home; 2], media: [&Path; 2], to: &str) {
    let start = |home: &Home, media: &Path| home.sealift(&line(media, to)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children = [start(hosts[0], media[0]), start(hosts[1], media[1])];
    for ran in children.map(Home::ended) {
        assert!([0, 3].contains(&ran.code), "{}", ran.told());
        assert!(!ran.told().contains("warning"), "{}", ran.told());
    }
}

/// One host completes it: without media, and where a blob lay half in the volumes of each, with those that are named then.
fn complete(home: &Home, set: &Path, to: &str) {
    let ran = home.run(&line(medium(set, &[]).path(), to));
    if ran.code != 0 {
        let next = ran.exits(3).bring_next();
        assert!(next.len() < volumes(set).len(), "all of it is asked for again: {next:?}");
        let next: Vec<&str> = next.iter().map(String::as_str).collect();
        home.run(&line(medium(set, &next).path(), to)).exits(0);
    }
}

/// All images, and nothing beside them.
fn is_there(registry: &DockerRegistry, prefix: &str, outside: &Outside) {
    assert_eq!(registry.inventory(prefix), outside.inventory(&ALL));
}

/// What a host that has no receipts finds in the registry: all images of the set, and all of what they need.
fn receipts_are_whole(to: &str) {
    let found = Home::new().run(&["check", "--to", to, "--dest-tls-verify=false", "--json"]).exits(0).json();
    assert_eq!(found["tags"], ALL.len(), "{found}");
}

#[test]
fn two_hosts_bring_one_set_into_one_registry() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let names: Vec<String> = volumes(&set);
    for (round, cut) in [(0, names.len() / 2), (1, 1), (2, names.len() - 1)] {
        let (prefix, hosts) = (format!("r{round}"), [outside.inside(), outside.inside()]);
        let to = format!("{}/{prefix}", registry.host());
        let (one, two) = names.split_at(cut);
        let of = |names: &[String]| medium(&set, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let (one, two) = (of(one), of(two));
        together([&hosts[0], &hosts[1]], [one.path(), two.path()], &to);
        // Nothing that came is lost to the registry's collection, though nobody saw all of it.
        registry.collect_garbage();
        complete(&hosts[round % 2], &set, &to);
        receipts_are_whole(&to);
        // The other finds everything done, and lets go what it held.
        hosts[1 - round % 2].run(&line(two.path(), &to)).exits(0).says(&["was there: team/app:1"]);
        is_there(&registry, &prefix, &outside);
    }
}

#[test]
fn two_hosts_that_both_have_everything_do_not_disturb_each_other() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let hosts = [outside.inside(), outside.inside()];
    let to = format!("{}/same", registry.host());
    together([&hosts[0], &hosts[1]], [&set, &set], &to);
    registry.collect_garbage();
    is_there(&registry, "same", &outside);
    receipts_are_whole(&to);
}

#[test]
fn two_hosts_bring_one_set_into_the_embedded_registry() {
    let outside = Outside::new();
    let set = outside.set();
    let names: Vec<String> = volumes(&set);
    let hosts = [outside.inside(), outside.inside()];
    let folder = tempfile::tempdir().unwrap();
    let served = Served::layout(&hosts[0], &folder.path().join("l"));
    let to = format!("{}/m", served.host());
    let (one, two): (Vec<&String>, Vec<&String>) = (names.iter().step_by(2).collect(), names.iter().skip(1).step_by(2).collect());
    let of = |names: &[&String]| medium(&set, &names.iter().map(|name| name.as_str()).collect::<Vec<_>>());
    let (one, two) = (of(&one), of(&two));
    together([&hosts[0], &hosts[1]], [one.path(), two.path()], &to);
    complete(&hosts[1], &set, &to);
    for (name, digest) in Inventory::of(ALL.map(|name| outside.made(name))).tags {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let head = served.head(&format!("/v2/m/{repository}/manifests/{tag}")).is(200);
        assert_eq!(head.header("docker-content-digest"), Some(digest.as_str()), "{name}");
    }
    receipts_are_whole(&to);
}

/// A host brings half, and does not come again: its state is lost. Whoever completes the images removes what it held.
#[test]
fn holds_of_a_host_that_is_gone_go_with_the_last_image() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let names = volumes(&set);
    let to = format!("{}/g", registry.host());
    let half: Vec<&str> = names.iter().take(names.len() / 2).map(String::as_str).collect();
    let gone = outside.inside();
    gone.run(&line(medium(&set, &half).path(), &to)).exits(3);
    let name = std::fs::read_to_string(gone.state().join("host")).unwrap();
    let holds = registry.inventory("g");
    assert!(!holds.holds().is_empty() && holds.holds().iter().all(|tag| tag.contains(name.trim_end())), "{:?}", holds.holds());
    drop(gone);
    // A second one brings the same half: the first one's holds are not its own, and stay.
    let second = outside.inside();
    second.run(&line(medium(&set, &half).path(), &to)).exits(3);
    let both = registry.inventory("g");
    assert!(holds.holds().iter().all(|tag| both.holds().contains(tag)), "{:?}", both.holds());
    second.run(&line(&set, &to)).exits(0).never_says("warning");
    is_there(&registry, "g", &outside);
}

/// A run for one image lets nothing go that was brought for the others.
#[test]
fn a_run_for_one_image_keeps_what_is_held_for_others() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = outside.set();
    let names = volumes(&set);
    let (inside, to) = (outside.inside(), format!("{}/o", registry.host()));
    let half: Vec<&str> = names.iter().take(names.len() / 2).map(String::as_str).collect();
    inside.run(&line(medium(&set, &half).path(), &to)).exits(3);
    let before = registry.inventory("o").blobs;
    for image in ["team/app:1", "team/app:2"] {
        inside.run(&[&line(&set, &to)[..], &["--image", image]].concat()).exits(0).never_says("warning");
        registry.collect_garbage();
        assert!(before.is_subset(&registry.inventory("o").blobs), "{image}");
    }
    inside.run(&line(&set, &to)).exits(0);
    assert_eq!(registry.inventory("o"), outside.inventory(&ALL));
}
