//! The process ends anywhere, as by a power cut; the same command again ends where an undisturbed run does.

use crate::support::inside::{EMPTY, Home, Inventory, Outside, text};
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::run::spread;
use crate::support::servers::{DockerRegistry, Options};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Images of a set that is small and still has blobs over two volumes, shared blobs, an index and an artifact.
const FEW: [&str; 4] = ["team/app:1", "other/app:1", "deep/er/web:1", "art/sbom:1"];

fn few(outside: &Outside) -> std::path::PathBuf {
    outside.pack("few", &FEW, &["--sequence", "1", "--volume-size", "300KiB"])
}

fn line<'a>(set: &'a Path, to: &'a str) -> [&'a str; 7] {
    ["unpack", text(set), "--to", to, "--dest-tls-verify=false", "--first", "--json"]
}

/// No tag names an image that is not whole.
fn nothing_half(found: &Inventory, wanted: &Inventory, outside: &Outside, at: &str) {
    let whole: BTreeMap<String, Inventory> =
        FEW.iter().map(|name| outside.inventory(&[name])).map(|i| (i.tags.keys().next().unwrap().clone(), i)).collect();
    for (name, digest) in found.tags.iter().filter(|(name, _)| !name.contains(":sealift-hold-")) {
        assert_eq!(Some(digest), wanted.tags.get(name), "{at}");
        let image = &whole[name];
        assert!(image.manifests.is_subset(&found.manifests) && image.blobs.is_subset(&found.blobs), "{at}: {name} is not whole");
    }
}

/// Kills a run at the n-th of the operations that begin so, runs again, and compares.
fn kill_and_go_on(registry: &mut DockerRegistry, outside: &Outside, set: &Path, operation: &str, n: usize) {
    let at = format!("killed at {operation} {n}");
    let prefix = format!("{}{n}", operation.trim_end_matches('.'));
    let to = format!("{}/{prefix}", registry.host());
    let inside = outside.inside();
    let wanted = outside.inventory(&FEW);
    let ran = inside.run_with(&format!("kill:{operation}:{n}"), &line(set, &to));
    assert!(ran.code == -1 || ran.code == 0, "{at}: {}", ran.told());
    // Requests of the dead may still be at work in the registry, and must not be killed with it: docker-registry writes links in two
    // steps, and stopped between them it would keep an empty one for ever.
    registry.at_rest();
    registry.start_again();
    let before = registry.inventory(&prefix);
    nothing_half(&before, &wanted, outside, &at);
    let ran = inside.run(&line(set, &to));
    assert_eq!(ran.code, 0, "{at}: {}", ran.told());
    assert_eq!(registry.inventory(&prefix), wanted, "{at}");
    for (method, path) in &registry.requests() {
        let pushed = path.split_once("digest=").filter(|_| method == "PUT").map(|(_, digest)| digest.replace("%3A", ":"));
        let repository = path.split("/blobs/").next().unwrap().trim_start_matches(&format!("/v2/{prefix}/"));
        let Some(digest) = pushed.map(|d| d.split('&').next().unwrap().to_owned()).filter(|d| d != EMPTY) else { continue };
        assert!(!before.blobs.contains(&format!("{repository}@{digest}")), "{at}: {repository}@{digest} was there and came again");
    }
    let left = walkdir::WalkDir::new(inside.state().join("spool")).into_iter().filter_map(Result::ok);
    let left: Vec<_> = left.filter(|e| e.path().extension().is_some_and(|x| x == "blob")).map(|e| e.into_path()).collect();
    assert!(left.is_empty(), "{at}: {left:?} stays in the spool");
}

fn kill_at_all(operation: &str, points: usize) {
    let Some(mut registry) = DockerRegistry::start(Options { delete: true, access_log: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = few(&outside);
    let inside = outside.inside();
    let log = inside.path().join("operations");
    let to = format!("{}/undisturbed", registry.host());
    inside.run_with(&format!("count:{}", log.display()), &line(&set, &to)).exits(0);
    assert_eq!(registry.inventory("undisturbed"), outside.inventory(&FEW));
    let count = fs::read_to_string(&log).unwrap().lines().filter(|l| l.starts_with(operation)).count();
    assert!(count > points, "{count} operations");
    for n in spread(count, points) {
        kill_and_go_on(&mut registry, &outside, &set, operation, n);
    }
}

#[test]
fn killed_at_any_operation_on_files() {
    kill_at_all("fs.", 30);
}

#[test]
fn killed_at_any_request() {
    kill_at_all("http", 30);
}

/// Killed over and over a little later each time, it gets there in the end.
#[test]
fn killed_again_and_again_in_one_target() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = few(&outside);
    let inside = outside.inside();
    let to = format!("{}/again", registry.host());
    for n in 1..=12 {
        inside.run_with(&format!("kill:http P:{n};kill:fs.rename:{}", n + 1), &line(&set, &to));
        registry.at_rest();
        nothing_half(&registry.inventory("again"), &outside.inventory(&FEW), &outside, &format!("killed at {n}"));
    }
    inside.run(&line(&set, &to)).exits(0);
    assert_eq!(registry.inventory("again"), outside.inventory(&FEW));
}

/// Ctrl-C while the registry is slow: exit 130, what has arrived is held, the next run completes.
#[test]
fn interrupted_it_holds_what_has_arrived_and_goes_on_later() {
    let registry = Lying::start(Guard::Open);
    let outside = Outside::new();
    let set = few(&outside);
    let inside = outside.inside();
    let to = format!("{}/i", registry.host());
    // The second tag hangs: by then blobs of the next image are there.
    registry.lie("PUT", "/manifests/1", 1, Fault::Silence);
    let child = inside.sealift(&line(&set, &to)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until(|| !registry.seen("PUT", "/manifests/1").is_empty());
    let pid = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = Home::ended(child).exits(130);
    assert_eq!(ran.json()["code"], "INTERRUPTED");
    assert!(!ran.json()["sets"][0]["holds"].as_array().unwrap().is_empty(), "how far it came is told: {}", ran.told());
    assert!(!registry.seen("PUT", "/manifests/sealift-hold-").is_empty(), "{}", ran.told());
    inside.run(&line(&set, &to)).exits(0);
    for image in FEW.map(|name| outside.made(name)) {
        let path = Box::leak(format!("/v2/i/{}/manifests/{}", image.repository, image.tag).into_boxed_str());
        assert!(!registry.seen("PUT", path).is_empty(), "{path}");
    }
}

/// SIGTERM at sampled requests of a real registry.
#[test]
fn stopped_at_any_request_it_goes_on_later() {
    let Some(registry) = DockerRegistry::start(Options { delete: true, ..Options::default() }) else { return };
    let outside = Outside::new();
    let set = few(&outside);
    for n in [1, 3, 8, 14, 20] {
        let inside = outside.inside();
        let prefix = format!("stop{n}");
        let to = format!("{}/{prefix}", registry.host());
        let ran = inside.run_with(&format!("stop:http P:{n}"), &line(&set, &to)).exits(130);
        registry.at_rest();
        let found = registry.inventory(&prefix);
        nothing_half(&found, &outside.inventory(&FEW), &outside, &prefix);
        // What came into repositories whose images are open is held.
        registry.collect_garbage();
        let after = registry.inventory(&prefix);
        let open: Vec<&String> = found.blobs.difference(&after.blobs).collect();
        assert!(open.is_empty(), "at {n} not held: {open:?} {}", ran.told());
        inside.run(&line(&set, &to)).exits(0);
        assert_eq!(registry.inventory(&prefix), outside.inventory(&FEW));
    }
}

/// Waits for something another process does.
fn wait_until(mut there: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !there() {
        assert!(began.elapsed().as_secs() < 60, "it does not happen");
        std::thread::yield_now();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
