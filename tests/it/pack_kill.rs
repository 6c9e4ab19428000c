//! A pack that is killed, or whose disk fails, at any operation: no half set is ever a set, and the same command given
//! again makes exactly what an undisturbed run makes.

use crate::support::fleet::{Fleet, gzip_layer, small};
use crate::support::lying::{Fault, Guard, Lying};
use crate::support::run::{Ran, User, assert_same, counted, files, spread};
use std::collections::BTreeMap;

type Files = BTreeMap<String, Vec<u8>>;

/// Two images that share a layer, and one that is compressed, in volumes that cut both.
fn fleet() -> Option<Fleet> {
    let mut stocks = crate::support::fleet::stocks();
    stocks.retain(|stock| stock.name == "team/app");
    let mut plain = small("team/plain", "1", 77);
    let noise = crate::support::store_suite::bytes(5, 200_000);
    plain.image(
        Some("2"),
        "amd64",
        &[("application/vnd.oci.image.layer.v1.tar", crate::support::fleet::tar(&[("n", &noise)])), gzip_layer(8, 3000)],
    );
    stocks.push(plain);
    Fleet::of(stocks)
}

/// One command, given again and again by people who have only the key in common.
struct Scene {
    fleet: Fleet,
    user: User,
    expected: Files,
}

impl Scene {
    fn set() -> Option<Scene> {
        let scene = Scene { fleet: fleet()?, user: User::with_key(), expected: Files::new() };
        scene.pack(&scene.user, "count:count").expect(0);
        let expected = files(&scene.user.at("OUT"));
        assert!(expected.keys().filter(|name| name.ends_with(".tar.zst")).count() >= 3, "{:?}", expected.keys());
        Some(Scene { expected, ..scene })
    }

    /// How many operations an undisturbed run has that begin with `prefix`.
    fn operations(&self, prefix: &str) -> usize {
        counted(&self.user.at("count"), prefix).len()
    }

    fn pack(&self, user: &User, fault: &str) -> Ran {
        let line = format!("pack {} --key site --src-tls-verify=false --volume-size 300KB --sequence 7 OUT", self.fleet.words());
        user.run_with(&[("SOURCE_DATE_EPOCH", "1767225600"), ("SEALIFT_FAULT", fault)], &line)
    }

    /// [`Scene::pack`] with this plan for the n-th operation that begins with `prefix`, and whether there was an n-th. How many there are
    /// is not the same in every run: threads take turns as they like, and reads come in pieces of any size.
    fn pack_until(&self, user: &User, plan: &str, prefix: &str, n: usize) -> (Ran, bool) {
        let _ = std::fs::remove_file(user.at("reached"));
        let ran = self.pack(user, &format!("count:reached;{plan}:{prefix}:{n}"));
        (ran, counted(&user.at("reached"), prefix).len() >= n)
    }

    /// What lies in OUT now is complete or not a set, and every file under its final name is whole.
    fn check(&self, user: &User, told: &str) {
        let found = if user.at("OUT").is_dir() { files(&user.at("OUT")) } else { Files::new() };
        for (name, bytes) in found.iter().filter(|(name, _)| !name.ends_with(".incomplete")) {
            assert_eq!(Some(bytes), self.expected.get(name), "{told}: {name} is half-published");
        }
        let good = user.run("verify OUT").exit == 0;
        // Either signature is the commit mark; the copy comes first, when all else is there.
        let complete = self.expected.keys().all(|name| found.contains_key(name) || name.ends_with(".index.json.sig"));
        assert_eq!(good, complete, "{told}: verify judges {:?}", found.keys());
    }

    /// The same command once more, undisturbed.
    fn finish(&self, user: &User, told: &str) {
        let ran = self.pack(user, "count:again");
        assert_eq!(ran.exit, 0, "{told}, then again: {}", ran.err);
        assert_same(&files(&user.at("OUT")), &self.expected, told);
    }
}

fn killed(prefix: &str, wanted: usize) {
    let Some(scene) = Scene::set() else { return };
    let operations = scene.operations(prefix);
    assert!(operations > wanted / 2, "{operations} of {prefix}");
    let mut struck = 0;
    for n in spread(operations, wanted) {
        let (user, told) = (scene.user.twin(), format!("killed at {prefix} {n} of {operations}"));
        let (ran, reached) = scene.pack_until(&user, "kill", prefix, n);
        assert_eq!(ran.exit, if reached { -9 } else { 0 }, "{told}: {ran:?}");
        struck += usize::from(reached);
        scene.check(&user, &told);
        scene.finish(&user, &told);
    }
    assert!(struck * 4 > wanted.min(operations) * 3, "only {struck} runs were killed");
}

#[test]
fn killed_at_any_operation_on_files() {
    killed("fs.", 36);
}

#[test]
fn killed_at_any_request() {
    killed("http", 12);
}

#[test]
fn killed_between_the_documents() {
    let Some(scene) = Scene::set() else { return };
    // From the first volume that gets its name to the signature: every single rename.
    let renames = counted(&scene.user.at("count"), "fs.rename");
    let ours: Vec<usize> = (1..=renames.len()).filter(|n| renames[n - 1].contains("OUT/") || renames[n - 1].contains(" OUT")).collect();
    assert!(ours.len() >= 10, "{renames:?}");
    for n in ours {
        let (user, told) = (scene.user.twin(), format!("killed at rename {n}: {}", renames[n - 1]));
        assert_eq!(scene.pack(&user, &format!("kill:fs.rename:{n}")).exit, -9, "{told}");
        scene.check(&user, &told);
        scene.finish(&user, &told);
        let again = counted(&user.at("again"), "http GET");
        assert!(!again.iter().any(|line| line.contains("/blobs/")), "{told}: what was fetched is fetched again: {again:?}");
    }
}

/// A failure of the disk at spread points of an operation: exit numbers, a message that names the file, nothing half-published.
fn failing(prefix: &str, errno: &str, wanted: usize, exits: &[i32]) {
    let Some(scene) = Scene::set() else { return };
    let operations = scene.operations(prefix);
    for n in spread(operations, wanted) {
        let (user, told) = (scene.user.twin(), format!("{errno} at {prefix} {n} of {operations}"));
        let ran = scene.pack(&user, &format!("fail:{prefix}:{n}:{errno}"));
        let told = format!("{told}: {}", ran.err);
        if ran.exit == 0 {
            // What is done on the side (a hint to the system, a log) may fail; the set may not suffer.
            assert_same(&files(&user.at("OUT")), &scene.expected, &told);
            continue;
        }
        assert!(exits.contains(&ran.exit), "{told}");
        let said = ran.err.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        // The machine's own settings of registries are files too.
        let named = ["OUT", user.home().to_str().unwrap(), "/etc/containers"].iter().any(|path| ran.err.contains(path));
        assert!(named, "no path: {told}");
        assert!(said.len() > 12 && ran.err.contains("\nremedy: "), "{told}");
        scene.check(&user, &told);
        scene.finish(&user, &told);
    }
}

#[test]
fn no_space_at_any_write() {
    failing("fs.write", "ENOSPC", 12, &[30]);
}

#[test]
fn no_space_at_any_operation_on_out() {
    failing("fs.create OUT", "ENOSPC", 8, &[30]);
}

#[test]
fn a_dying_disk() {
    failing("fs.", "EIO", 14, &[13]);
}

#[test]
fn a_disk_that_turns_read_only() {
    failing("fs.", "EROFS", 8, &[31, 2]);
    failing("fs.write", "EROFS", 4, &[31]);
}

#[test]
fn a_request_that_is_lost_is_made_again() {
    let Some(scene) = Scene::set() else { return };
    for n in spread(scene.operations("http"), 3) {
        let user = scene.user.twin();
        scene.pack(&user, &format!("fail:http:{n}:EIO")).expect(0);
        assert_same(&files(&user.at("OUT")), &scene.expected, &format!("request {n}"));
    }
}

#[test]
fn asked_to_stop_it_leaves_what_it_can_go_on_from() {
    let Some(scene) = Scene::set() else { return };
    for (prefix, wanted) in [("fs.", 6), ("http", 4)] {
        let operations = scene.operations(prefix);
        for n in spread(operations, wanted) {
            let (user, told) = (scene.user.twin(), format!("SIGTERM at {prefix} {n} of {operations}"));
            let ran = scene.pack(&user, &format!("stop:{prefix}:{n}"));
            assert!(ran.exit == 130 || (ran.exit == 0 && n > operations / 2), "{told}: {ran:?}");
            if ran.exit == 130 {
                assert!(ran.err.contains("INTERRUPTED (130)") && ran.err.contains("remedy: "), "{told}: {}", ran.err);
            }
            scene.check(&user, &told);
            scene.finish(&user, &told);
        }
    }
}

#[test]
fn ctrl_c_reaches_a_run_that_waits_for_a_silent_source() {
    let (source, user) = (Lying::start(Guard::Open), User::with_key());
    let stock = small("a/b", "1", 3);
    for blob in &stock.blobs {
        source.add_blob(blob);
    }
    let doc = &stock.docs[0];
    source.add_manifest("a/b", "1", std::str::from_utf8(&doc.bytes).unwrap(), doc.media_type);
    let layer: &'static str = Box::leak(format!("/blobs/{}", sealift::digest::Digest::sha256(&stock.blobs[1])).into_boxed_str());
    source.lie("GET", layer, 1, Fault::Hang(1000));
    let mut command = user.sealift();
    command.args(format!("pack {}/a/b:1 --key site --src-tls-verify=false OUT", source.host()).split(' '));
    let pid = std::sync::mpsc::channel();
    let watch = std::thread::spawn({
        let send = pid.0;
        move || {
            let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
            send.send(child.id()).unwrap();
            child.wait_with_output().unwrap()
        }
    });
    let pid = rustix::process::Pid::from_raw(pid.1.recv().unwrap() as i32).unwrap();
    while source.seen("GET", layer).is_empty() {
        std::thread::yield_now();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = watch.join().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    user.run("verify OUT").expect(12);
    let line = format!("pack {}/a/b:1 --key site --src-tls-verify=false OUT", source.host());
    user.run(&line).expect(0);
    user.run("verify --deep OUT").expect(0);
}

#[test]
fn killed_while_a_finished_set_is_packed_once_more() {
    let Some(scene) = Scene::set() else { return };
    let user = scene.user.twin();
    scene.pack(&user, "count:first").expect(0);
    scene.pack(&user, "count:second").expect(0);
    let operations = counted(&user.at("second"), "fs.").len();
    for n in spread(operations, 10) {
        let told = format!("packed anew, killed at {n} of {operations}");
        let (ran, reached) = scene.pack_until(&user, "kill", "fs.", n);
        assert_eq!(ran.exit, if reached { -9 } else { 0 }, "{told}: {ran:?}");
        scene.check(&user, &told);
        scene.finish(&user, &told);
    }
}

#[test]
fn other_sets_in_the_folder_are_not_touched_by_a_run_that_dies() {
    let Some(scene) = Scene::set() else { return };
    let user = scene.user.twin();
    let older = format!("pack {}/team/plain:1 --key site --src-tls-verify=false --sequence 6 OUT", scene.fleet.host());
    user.run(&older).expect(0);
    let before = files(&user.at("OUT"));
    for n in spread(scene.operations("fs."), 6) {
        scene.pack(&user, &format!("kill:fs.:{n}"));
        let mut found = files(&user.at("OUT"));
        found.retain(|name, _| before.contains_key(name));
        assert_same(&found, &before, &format!("killed at {n}"));
        user.run("verify OUT --this-medium").expect(0);
    }
    // The last of these runs may have come to its end. A finished set stays; what a dead run left is cleared away by the next,
    // whichever set that makes.
    for name in files(&user.at("OUT")).keys().filter(|name| name.starts_with("default-7")) {
        std::fs::remove_file(user.at("OUT").join(name)).unwrap();
    }
    scene.pack(&user, &format!("kill:fs.rename OUT:{}", 2));
    assert!(files(&user.at("OUT")).keys().any(|name| name.starts_with("default-7")), "nothing was left to clear away");
    let newer = older.replace("--sequence 6", "--sequence 8").replace("plain:1", "plain:2");
    user.run(&newer).expect(0);
    let left: Vec<String> =
        files(&user.at("OUT")).into_keys().filter(|n| n.starts_with("default-7") || n.ends_with(".incomplete")).collect();
    assert!(left.is_empty(), "{left:?}");
    user.run("verify OUT").expect(0);
}

#[test]
fn a_medium_that_is_gone_for_good() {
    let Some(scene) = Scene::set() else { return };
    // From the n-th operation on nothing works any more, not even to clear away: the first failure is what is told.
    for (fault, exit, code) in [("fs.write OUT:2+:ENOSPC", 30, "NO_SPACE"), ("fs.write OUT:4+:ENODEV", 13, "MEDIUM_UNREADABLE")] {
        let user = scene.user.twin();
        scene.pack(&user, &format!("fail:{fault}")).refused(exit, code, &["OUT/default-7"]);
        scene.check(&user, fault);
        scene.finish(&user, fault);
    }
    let mut struck = 0;
    for n in spread(scene.operations("fs.") - 8, 7) {
        let (user, told) = (scene.user.twin(), format!("gone at {n}"));
        let ran = scene.pack(&user, &format!("fail:fs.:{n}+:EIO"));
        if ran.exit == 0 {
            // This run had fewer operations, and the last ones are done on the side: the set may not suffer.
            assert_same(&files(&user.at("OUT")), &scene.expected, &told);
            continue;
        }
        struck += 1;
        assert_eq!(ran.exit, 13, "{told}: {ran:?}");
        assert!(!ran.err.contains("cannot remove"), "{told}: {}", ran.err);
        scene.check(&user, &told);
        scene.finish(&user, &told);
    }
    assert!(struck >= 5, "only {struck} runs lost their medium");
}

#[test]
fn a_defect_is_told_as_one_and_leaves_no_set() {
    let Some(scene) = Scene::set() else { return };
    for (prefix, wanted) in [("fs.", 6), ("http", 3)] {
        for n in spread(scene.operations(prefix) - 8, wanted) {
            let (user, told) = (scene.user.twin(), format!("panic at {prefix} {n}"));
            let (ran, reached) = scene.pack_until(&user, "panic", prefix, n);
            if !reached {
                ran.expect(0);
                continue;
            }
            let ran = ran.refused(70, "BUG", &[]);
            assert!(ran.err.contains("SEALIFT_FAULT"), "{told}: {}", ran.err);
            scene.check(&user, &told);
            scene.finish(&user, &told);
        }
    }
}

#[test]
fn signed_later_it_is_the_same_set() {
    let Some(scene) = Scene::set() else { return };
    let user = scene.user.twin();
    let line = format!("pack {} --src-tls-verify=false --volume-size 300KB --sequence 7 OUT", scene.fleet.words());
    let ran = user.run_with(&[("SOURCE_DATE_EPOCH", "1767225600")], &line).expect(0);
    assert!(ran.out.contains("NOT FINISHED: sign it with `sealift sign OUT --key KEY`"), "{}", ran.out);
    user.run("verify OUT").refused(10, "SIGNATURE_MISSING", &["sealift sign"]);
    for fault in ["kill:fs.:9", "kill:fs.rename:1", "fail:fs.write:1:ENOSPC", "kill:fs.rename:2"] {
        let ran = user.run_with(&[("SEALIFT_FAULT", fault)], "sign OUT --key site");
        assert!(ran.exit == -9 || ran.exit == 30, "{fault}: {ran:?}");
    }
    user.run("sign OUT --key site").expect(0);
    let mut found = files(&user.at("OUT"));
    found.retain(|name, _| !name.ends_with(".incomplete"));
    assert_same(&found, &scene.expected, "signed in a second step");
}

#[test]
fn files_appear_synced_and_in_the_order_of_the_manual() {
    let Some(scene) = Scene::set() else { return };
    let log = counted(&scene.user.at("count"), "fs.");
    let at = |line: &str| log.iter().position(|l| l == line).unwrap_or_else(|| panic!("no {line}"));
    let renames: Vec<&str> = log.iter().filter_map(|l| l.strip_prefix("fs.rename OUT/")?.strip_suffix(".incomplete")).collect();
    let volumes = scene.expected.keys().filter(|name| name.ends_with(".tar.zst")).map(String::as_str);
    let documents = ["contents.copy.json.zst", "index.copy.json", "README.txt", "contents.json.zst", "index.json"];
    let signatures = ["index.copy.json.sig", "index.json.sig"];
    let named = |name: &str| if name == "README.txt" { name.to_owned() } else { format!("default-7.{name}") };
    let wanted: Vec<String> = volumes.map(str::to_owned).chain(documents.into_iter().chain(signatures).map(named)).collect();
    assert_eq!(renames, wanted);
    for (i, name) in wanted.iter().enumerate() {
        let (synced, renamed) = (at(&format!("fs.sync OUT/{name}.incomplete")), at(&format!("fs.rename OUT/{name}.incomplete")));
        let last_write = log.iter().rposition(|l| *l == format!("fs.write OUT/{name}.incomplete")).unwrap();
        assert!(last_write < synced && synced < renamed, "{name}");
        let next = wanted.get(i + 1).map_or(log.len(), |next| at(&format!("fs.create OUT/{next}.incomplete")).max(renamed));
        let folder = log[renamed..].iter().position(|l| l == "fs.syncdir OUT").unwrap() + renamed;
        assert!(folder < next || name.ends_with(".tar.zst"), "the folder is synced after {name}");
    }
    let whole = at("fs.syncfs OUT");
    assert!(at("fs.rename OUT/default-7.index.copy.json.sig.incomplete") < whole);
    assert!(whole < at("fs.create OUT/default-7.index.json.sig.incomplete"));
}
