//! What is refused before a byte of it reaches the target, and what of a damaged set still does.

use crate::support::inside::{ALL, Home, Inventory, Outside, Ran, copy, medium, sign, text, volumes};
use crate::support::servers::{DockerRegistry, Options};
use sealift::digest::Digest;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A registry that writes down what is asked of it, and both sides.
struct Case {
    registry: DockerRegistry,
    outside: Outside,
    set: PathBuf,
}

impl Case {
    fn new() -> Option<Case> {
        let registry = DockerRegistry::start(Options { access_log: true, delete: true, ..Options::default() })?;
        let outside = Outside::new();
        let set = outside.set();
        Some(Case { registry, outside, set })
    }

    fn unpack(&self, home: &Home, folder: &Path, prefix: &str, more: &[&str]) -> Ran {
        let to = format!("{}/{prefix}", self.registry.host());
        home.run(&[&["unpack", text(folder), "--to", &to, "--dest-tls-verify=false"], more].concat())
    }

    fn writes(&self) -> usize {
        self.registry.requests().iter().filter(|(method, _)| matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")).count()
    }

    /// Refused with this exit number and these words, before anything is written to the registry.
    #[track_caller]
    fn refuses(&self, home: &Home, folder: &Path, more: &[&str], code: i32, words: &[&str]) {
        let before = self.writes();
        let ran = self.unpack(home, folder, "p", more).exits(code).says(words);
        assert_eq!(self.writes(), before, "something was written: {}", ran.told());
        let ran = self.unpack(home, folder, "p", &[more, &["--json"]].concat()).exits(code);
        assert_eq!(ran.json()["exit"], code, "{}", ran.told());
    }
}

const INDEX: [&str; 2] = ["default-100.index.json", "default-100.index.copy.json"];
const CONTENTS: [&str; 2] = ["default-100.contents.json.zst", "default-100.contents.copy.json.zst"];

fn remove(folder: &Path, ending: &str) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|e| e.file_name().to_str().unwrap().ends_with(ending)) {
        fs::remove_file(entry.path()).unwrap();
    }
}

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn whoever_signed_it_must_be_trusted_for_it() {
    let Some(case) = Case::new() else { return };
    let first: &[&str] = &["--first"];
    let nobody = Home::new();
    case.refuses(&nobody, &case.set, first, 11, &["KEYRING_EMPTY", "sealift trust add stream:default"]);
    // A key made here is trusted here, and no other.
    let stranger = Home::new();
    stranger.key("other");
    case.refuses(&stranger, &case.set, first, 11, &["KEY_UNKNOWN"]);
    let elsewhere = Home::new();
    elsewhere.trust("stream:ocp4,stream:tools-*", &case.outside.key);
    case.refuses(&elsewhere, &case.set, first, 17, &["STREAM_NOT_TRUSTED", "default"]);
    let inside = case.outside.inside();
    case.refuses(&inside, &case.set, &[], 17, &["FIRST_SET", "--first"]);
    let careful = case.outside.inside();
    careful.run(&["trust", "min-signatures", "default", "2"]).exits(0);
    case.refuses(&careful, &case.set, first, 10, &["SIGNATURES_TOO_FEW"]);
    let revoked = case.outside.inside();
    revoked.run(&["trust", "revoke", text(&case.outside.key)]).exits(0);
    case.refuses(&revoked, &case.set, first, 11, &["KEY_REVOKED"]);
    let unsigned = copy(&case.set);
    fs::remove_file(unsigned.path().join("default-100.index.json.sig")).unwrap();
    case.unpack(&inside, unsigned.path(), "p", &["--first", "--dry-run"]).exits(0);
    remove(unsigned.path(), ".sig");
    case.refuses(&inside, unsigned.path(), first, 10, &["SIGNATURE_MISSING"]);
    assert!(case.registry.inventory("p").tags.is_empty());
    assert!(!inside.state().join("log.jsonl").exists(), "no set was let in, nothing is to be written down");
}

#[test]
fn a_tampered_index_is_not_even_read() {
    let Some(case) = Case::new() else { return };
    let inside = case.outside.inside();
    let tampered = copy(&case.set);
    let forge = |name: &str| {
        let path = tampered.path().join(name);
        let forged = fs::read_to_string(&path).unwrap().replace("\"sequence\": 100", "\"sequence\": 999");
        fs::write(path, forged).unwrap();
    };
    forge(INDEX[0]);
    // One good copy is enough.
    let ran = case.unpack(&inside, tampered.path(), "p", &["--first", "--dry-run"]).exits(0);
    assert!(ran.err.contains("default-100.index.json is unusable"), "{}", ran.told());
    forge(INDEX[1]);
    case.refuses(&inside, tampered.path(), &["--first"], 10, &["SIGNATURE_INVALID"]);
    for name in INDEX {
        fs::write(tampered.path().join(name), b"\x00\x01 not JSON at all").unwrap();
    }
    case.refuses(&inside, tampered.path(), &["--first"], 10, &["SIGNATURE_INVALID"]);
}

#[test]
fn a_set_for_another_site_is_refused() {
    let Some(case) = Case::new() else { return };
    let set = case.outside.pack("lab", &["legacy:v1"], &["--sequence", "105", "--audience", "lab"]);
    let inside = case.outside.inside();
    case.refuses(&inside, &set, &["--first"], 17, &["AUDIENCE_MISMATCH"]);
    inside.run(&["trust", "audience", "plant"]).exits(0);
    case.refuses(&inside, &set, &["--first"], 17, &["AUDIENCE_MISMATCH", "lab"]);
    inside.run(&["trust", "audience", "lab"]).exits(0);
    case.unpack(&inside, &set, "p", &["--first"]).exits(0);
}

/// Writes an index of a set anew, signed by its own key.
fn resign(case: &Case, folder: &Path, change: impl Fn(&mut Value)) {
    let mut index: Value = serde_json::from_slice(&fs::read(folder.join(INDEX[0])).unwrap()).unwrap();
    change(&mut index);
    let bytes = serde_json::to_vec_pretty(&index).unwrap();
    let signature = sign(&case.outside, &bytes);
    for name in INDEX {
        fs::write(folder.join(name), &bytes).unwrap();
        fs::write(folder.join(format!("{name}.sig")), &signature).unwrap();
    }
}

/// Writes the contents of a set anew, and the index to go with them.
fn recontent(case: &Case, folder: &Path, change: impl Fn(&mut Value)) {
    let plain = zstd::decode_all(&fs::read(folder.join(CONTENTS[0])).unwrap()[..]).unwrap();
    let mut contents: Value = serde_json::from_slice(&plain).unwrap();
    change(&mut contents);
    let plain = serde_json::to_vec(&contents).unwrap();
    let packed = zstd::encode_all(&plain[..], 3).unwrap();
    for name in CONTENTS {
        fs::write(folder.join(name), &packed).unwrap();
    }
    resign(case, folder, |index| {
        index["contents"] = json!({"size": packed.len(), "digest": Digest::sha256(&packed).to_string(), "plainSize": plain.len()});
    });
}

#[test]
fn formats_of_later_versions_are_refused_by_name() {
    let Some(case) = Case::new() else { return };
    let inside = case.outside.inside();
    let folder = copy(&case.set);
    resign(&case, folder.path(), |index| index["schema"] = json!(2));
    case.refuses(&inside, folder.path(), &["--first"], 14, &["FORMAT_UNKNOWN", "schema 2"]);
    resign(&case, folder.path(), |index| {
        index["schema"] = json!(1);
        index["requires"] = json!(["teleport"]);
    });
    case.refuses(&inside, folder.path(), &["--first"], 14, &["FORMAT_UNKNOWN", "teleport"]);
    resign(&case, folder.path(), |index| {
        index["requires"] = json!([]);
        index["surprise"] = json!(1);
    });
    case.refuses(&inside, folder.path(), &["--first"], 14, &["surprise"]);
    let folder = copy(&case.set);
    recontent(&case, folder.path(), |contents| contents["blobs"][0]["encoding"] = json!("delta"));
    case.refuses(&inside, folder.path(), &["--first"], 14, &["FORMAT_UNKNOWN", "delta"]);
    recontent(&case, folder.path(), |contents| {
        contents["blobs"][0]["encoding"] = json!("stored");
        contents["requires"] = json!(["mind-reading"]);
    });
    case.refuses(&inside, folder.path(), &["--first"], 14, &["FORMAT_UNKNOWN", "mind-reading"]);
    // Not a refusal, but the proof that the re-made set is right where nothing was changed.
    recontent(&case, folder.path(), |contents| contents["requires"] = json!([]));
    case.unpack(&inside, folder.path(), "p", &["--first"]).exits(0);
}

/// The owner of the key makes a set that contradicts itself: digests decide, whoever signed.
#[test]
fn a_signed_set_that_lies_about_a_blob_pushes_nothing_of_it() {
    let Some(case) = Case::new() else { return };
    let inside = case.outside.inside();
    let folder = copy(&case.set);
    let lie = |contents: &mut Value| {
        let blobs = contents["blobs"].as_array_mut().unwrap();
        let lies_alone = |b: &Value| b["parts"].as_array().is_some_and(|p| p.len() == 1) && b["inline"].is_null();
        let (one, other) = (blobs.iter().position(lies_alone).unwrap(), blobs.iter().rposition(lies_alone).unwrap());
        assert_ne!(one, other);
        let parts = blobs[one]["parts"].take();
        blobs[one]["parts"] = std::mem::replace(&mut blobs[other]["parts"], parts);
    };
    recontent(&case, folder.path(), lie);
    // Sizes no longer add up: refused as a whole.
    case.refuses(&inside, folder.path(), &["--first"], 14, &["FORMAT_UNKNOWN"]);
}

#[test]
fn contents_count_only_with_their_digest() {
    let Some(case) = Case::new() else { return };
    let inside = case.outside.inside();
    let folder = copy(&case.set);
    flip(&folder.path().join(CONTENTS[0]), 40);
    let ran = case.unpack(&inside, folder.path(), "one", &["--first"]).exits(0);
    assert!(ran.err.contains("its copy serves") && ran.err.contains(CONTENTS[0]), "{}", ran.told());
    flip(&folder.path().join(CONTENTS[1]), 77);
    case.refuses(&inside, folder.path(), &["--first"], 13, &["CONTENT_DAMAGED", CONTENTS[0], CONTENTS[1]]);
    for name in CONTENTS {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    case.refuses(&inside, folder.path(), &["--first"], 13, &["CONTENT_DAMAGED"]);
}

/// Images that a spoiled volume does not touch come in; the others do not, and are named.
#[track_caller]
fn comes_in_but(case: &Case, folder: &Path, prefix: &str, code: i32, volume: &str) {
    let inside = case.outside.inside();
    let ran = case.unpack(&inside, folder, prefix, &["--first"]).exits(code).says(&[volume]);
    let found = case.registry.inventory(prefix);
    let real: Vec<&String> = found.tags.keys().filter(|name| !name.contains(":sealift-hold-")).collect();
    assert!(!real.is_empty() && real.len() < ALL.len(), "{real:?} {}", ran.told());
    for name in ALL {
        let image = case.outside.made(name);
        let whole = case.outside.inventory(&[name]);
        let there = real.contains(&whole.tags.keys().next().unwrap());
        let named = ran.err.contains(&format!("{}:{}", image.repository, image.tag));
        assert!(there != named, "{name} is {}there, and named: {named}: {}", if there { "" } else { "not " }, ran.told());
        if there {
            assert!(whole.blobs.is_subset(&found.blobs) && whole.manifests.is_subset(&found.manifests), "{name}");
        } else {
            assert!(!found.manifests.contains(&format!("{}@{}", image.repository, image.root)), "{name}");
        }
    }
    // A good copy completes it.
    case.unpack(&inside, &case.set, prefix, &[]).exits(0);
    assert_eq!(case.registry.inventory(prefix), case.outside.inventory(&ALL));
}

#[test]
fn a_spoiled_volume_spoils_only_what_lies_in_it() {
    let Some(case) = Case::new() else { return };
    let names = volumes(&case.set);
    let spoiled = &names[names.len() - 2];
    let folder = copy(&case.set);
    flip(&folder.path().join(spoiled), 150_000);
    comes_in_but(&case, folder.path(), "flipped", 13, spoiled);

    let folder = copy(&case.set);
    let file = fs::OpenOptions::new().write(true).open(folder.path().join(spoiled)).unwrap();
    file.set_len(100_000).unwrap();
    comes_in_but(&case, folder.path(), "short", 13, spoiled);
    file.set_len(0).unwrap();
    comes_in_but(&case, folder.path(), "nothing", 13, spoiled);

    let folder = copy(&case.set);
    flip(&folder.path().join(spoiled), 1_050);
    comes_in_but(&case, folder.path(), "tag", 13, spoiled);
}

/// Names are labels: a volume is what its bytes are.
#[test]
fn volumes_under_each_others_names_are_known_by_their_bytes() {
    let Some(case) = Case::new() else { return };
    let names = volumes(&case.set);
    let folder = copy(&case.set);
    let at = |name: &str| folder.path().join(name);
    fs::rename(at(&names[0]), at("x")).unwrap();
    fs::rename(at(&names[1]), at(&names[0])).unwrap();
    fs::rename(at("x"), at(&names[1])).unwrap();
    let inside = case.outside.inside();
    case.unpack(&inside, folder.path(), "swapped", &["--first"]).exits(0);
    assert_eq!(case.registry.inventory("swapped"), case.outside.inventory(&ALL));
}

#[test]
fn a_volume_of_another_set_is_named_and_missing() {
    let Some(case) = Case::new() else { return };
    let other = case.outside.pack("other", &["moved/team/app:1", "legacy:v1"], &["--sequence", "101", "--volume-size", "300KiB"]);
    let names = volumes(&case.set);
    let folder = copy(&case.set);
    fs::copy(other.join(&volumes(&other)[0]), folder.path().join(&names[1])).unwrap();
    let inside = case.outside.inside();
    let ran = case.unpack(&inside, folder.path(), "p", &["--first"]).exits(3);
    assert!(ran.err.contains(&format!("{} is a volume of another set", folder.path().join(&names[1]).display())), "{}", ran.told());
    assert_eq!(ran.bring_next(), [names[1].clone()]);
}

/// The keys of the packing side are used on a second host for the same sequence.
#[test]
fn a_second_set_with_one_sequence_is_a_fork() {
    let Some(case) = Case::new() else { return };
    let inside = case.outside.inside();
    case.unpack(&inside, &case.set, "p", &["--first", "--image", "legacy:v1"]).exits(0);
    fs::remove_file(case.outside.home.state().join("issued.json")).unwrap();
    let fork = case.outside.pack("fork", &["plain:1"], &["--sequence", "100"]);
    case.refuses(&inside, &fork, &["--first"], 16, &["FORK", "100"]);
    // Nor together in one folder or one command.
    let before = case.writes();
    let to = format!("{}/p", case.registry.host());
    let ran = inside.run(&["unpack", text(&fork), text(&case.set), "--to", &to, "--dest-tls-verify=false"]);
    assert_eq!((ran.code, case.writes()), (16, before), "{}", ran.told());
    // Both at hand, and a target that knows neither: none of them is better.
    let to = format!("{}/both", case.registry.host());
    for paths in [[&fork, &case.set], [&case.set, &fork]] {
        let ran = inside.run(&["unpack", text(paths[0]), text(paths[1]), "--to", &to, "--dest-tls-verify=false", "--first"]);
        assert_eq!((ran.code, case.writes()), (16, before), "{}", ran.told());
    }
    // Another target knows nothing of it.
    case.unpack(&inside, &fork, "q", &["--first"]).exits(0);
}

/// No tag moves backwards; the content is brought under keep tags and listed.
#[test]
fn an_older_set_moves_no_tag() {
    let Some(case) = Case::new() else { return };
    let newer = case.outside.pack("newer", &["moved/team/app:1", "legacy:v1"], &["--sequence", "200"]);
    let inside = case.outside.inside();
    case.unpack(&inside, &newer, "p", &["--first"]).exits(0);
    let (old, new) = (case.outside.made("team/app:1"), case.outside.made("moved/team/app:1"));
    let ran = case.unpack(&inside, &case.set, "p", &[]).exits(3).says(&["TAGS_KEPT", "team/app:1"]);
    let found = case.registry.inventory("p");
    assert_eq!(found.tags["team/app:1"], new.root, "{}", ran.told());
    let keep = format!("team/app:keep.{}", old.root.replace(':', "-"));
    assert_eq!(found.tags.get(&keep), Some(&old.root), "{:?}", found.tags);
    let wanted = Inventory::of(ALL.iter().map(|name| case.outside.made(name)).chain([new]));
    assert!(found.blobs == wanted.blobs && found.manifests == wanted.manifests);
    let ran = case.unpack(&inside, &case.set, "p", &["--json"]).exits(3);
    assert_eq!(ran.json()["sets"][0]["skippedTags"], json!(["team/app:1"]));
    // The legacy image is the same in both: its tag is no reason to complain.
    assert!(found.tags.keys().all(|name| !name.starts_with("legacy:keep")));
    // Both in one command, the older first on the command line.
    let to = format!("{}/both", case.registry.host());
    inside.run(&["unpack", text(&newer), text(&case.set), "--to", &to, "--dest-tls-verify=false", "--first"]).exits(0);
    assert_eq!(case.registry.inventory("both").tags["team/app:1"], new.root);
}

#[test]
fn traps_in_the_folder_are_not_touched() {
    let Some(case) = Case::new() else { return };
    let inside = case.outside.inside();
    let names = volumes(&case.set);
    let folder = medium(&case.set, &[]);
    std::os::unix::fs::symlink(case.set.join(&names[0]), folder.path().join(&names[0])).unwrap();
    let pipe = folder.path().join(&names[1]);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::create_dir(folder.path().join(&names[2])).unwrap();
    let ran = case.unpack(&inside, folder.path(), "p", &["--first"]).exits(3);
    assert!(names[..3].iter().all(|name| ran.bring_next().contains(name)), "{}", ran.told());
    fs::remove_file(folder.path().join(INDEX[0])).unwrap();
    fs::remove_file(folder.path().join(INDEX[1])).unwrap();
    std::os::unix::fs::symlink(case.set.join(INDEX[0]), folder.path().join(INDEX[0])).unwrap();
    case.refuses(&inside, folder.path(), &["--first"], 12, &["SET_MISSING"]);
}
