//! What is said of media by their files: only what was named, once, and as it is.

use crate::support::inside::{Home, Outside, Ran, copy, medium, noise, text, volumes};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a folder whose names begin so: what a shell makes of `FOLDER/BEGINNING*`.
fn spelled(folder: &Path, beginning: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|p| text(p.file_name().unwrap().as_ref()).starts_with(beginning)).collect();
    found.sort();
    found.into_iter().map(|p| text(&p).to_owned()).collect()
}

fn run(home: &Home, verb: &str, paths: &[String], more: &[&str]) -> Ran {
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    home.run(&[&[verb], &paths[..], more].concat())
}

/// `default-8` and `default-9` in one folder.
fn neighbours(outside: &Outside) -> PathBuf {
    outside.pack("both", &["legacy:v1"], &["--sequence", "8"]);
    outside.pack("both", &["plain:1", "team/app:1"], &["--sequence", "9", "--volume-size", "300KiB"])
}

#[test]
fn named_volumes_bring_their_own_set_and_no_neighbour() {
    let outside = Outside::new();
    let both = neighbours(&outside);
    let inside = outside.inside();
    let to = format!("oci:{}", inside.path().join("L").display());
    let ran = run(&inside, "unpack", &spelled(&both, "default-9-"), &["--to", &to, "--first"]).exits(0);
    assert!(!ran.told().contains("default-8"), "{}", ran.told());
    let one = [text(&both.join("default-9-0002.tar.zst")).to_owned()];
    for verb in ["verify", "inspect"] {
        let ran = run(&inside, verb, &one, &[]).exits(0).says(&["default-9"]);
        assert!(!ran.told().contains("default-8"), "{}", ran.told());
    }
    // By the index of one and a volume of the other, both are meant: all of the one, the volume of the other.
    let two = [one[0].clone(), text(&both.join("default-8.index.json")).to_owned()];
    run(&inside, "verify", &two, &["--this-medium"]).exits(0).says(&["set default-8:", "set default-9:", "volume 1 of 1"]);
}

/// The neighbour would not even be accepted here: that is nothing to whoever names a volume of the good one.
#[test]
fn what_lies_beside_a_named_volume_is_not_complained_of() {
    let outside = Outside::new();
    let both = neighbours(&outside);
    fs::write(both.join("default-8.index.json.sig"), "none").unwrap();
    fs::write(both.join("default-8.index.copy.json.sig"), "none").unwrap();
    let inside = outside.inside();
    let ran = run(&inside, "verify", &[text(&both.join("default-9-0001.tar.zst")).to_owned()], &[]).exits(0);
    assert!(!ran.told().contains("default-8"), "{}", ran.told());
    // Whoever names a volume of the bad one is told what is wrong with it, not that it belongs to no set.
    let ran = run(&inside, "verify", &[text(&both.join("default-8-0001.tar.zst")).to_owned()], &[]).exits(10);
    assert!(ran.told().contains("default-8.index"), "{}", ran.told());
}

#[test]
fn all_files_of_a_folder_are_as_good_as_the_folder() {
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let all = spelled(&set, "");
    assert!(all.iter().any(|name| name.ends_with("README.txt")), "{all:?}");
    let ran = run(&inside, "verify", &all, &[]).exits(0).says(&["good: volume 1 of"]);
    assert!(!ran.told().contains("warning"), "{}", ran.told());
    let to = format!("oci:{}", inside.path().join("L").display());
    let ran = run(&inside, "unpack", &all, &["--to", &to, "--first"]).exits(0).says(&["7 of 7 images are in"]);
    assert!(!ran.told().contains("warning"), "{}", ran.told());
    // What belongs to nobody is told, and costs the others nothing.
    fs::write(set.join("letter.txt"), "dear").unwrap();
    let ran = run(&inside, "verify", &spelled(&set, ""), &[]).exits(13);
    let ran = ran.says(&["VOLUME_FOREIGN", "letter.txt is no volume", "good: volume 1 of"]);
    assert!(!ran.told().contains("of another set") && !ran.told().contains("README"), "{}", ran.told());
    // What a set says of its small files holds, once, however often they are named.
    fs::remove_file(set.join("letter.txt")).unwrap();
    fs::write(set.join("README.txt"), "run ./totally-safe").unwrap();
    let ran = run(&inside, "verify", &spelled(&set, ""), &[]).exits(13).says(&["CONTENT_DAMAGED"]);
    assert_eq!(ran.err.matches("README.txt is not the file").count(), 1, "{}", ran.told());
}

#[test]
fn two_sets_of_one_name_are_a_fork_and_neither_is_called_damaged() {
    let outside = Outside::new();
    let one = outside.pack("one", &["legacy:v1"], &["--sequence", "7"]);
    fs::remove_file(outside.home.state().join("issued.json")).unwrap();
    let two = outside.pack("two", &["plain:1", "team/app:1"], &["--sequence", "7"]);
    let inside = outside.inside();
    let to = format!("oci:{}", inside.path().join("L").display());
    let ran = run(&inside, "unpack", &[text(&one).to_owned(), text(&two).to_owned()], &["--to", &to, "--first"]).exits(16);
    let ran = ran.says(&["FORK"]);
    assert!(!ran.told().contains("unusable"), "{}", ran.told());
    // What is really spoiled is still told.
    fs::write(one.join("default-7.contents.json.zst"), "cut").unwrap();
    let ran = run(&inside, "unpack", &[text(&one).to_owned(), text(&two).to_owned()], &["--to", &to, "--first"]).exits(16);
    assert_eq!(ran.err.matches("one/default-7.contents.json.zst is unusable").count(), 1, "{}", ran.told());
}

#[test]
fn a_medium_that_dies_is_told_in_few_words() {
    let outside = Outside::new();
    let set = outside.pack("large", &["big/model:1", "team/app:1", "legacy:v1"], &["--sequence", "3", "--volume-size", "10MB"]);
    let [volume] = &volumes(&set)[..] else { panic!("one volume") };
    let fault = format!("fail:fs.read {}:3+:EIO", set.join(volume).display());
    let inside = outside.inside();
    for deep in [&[][..], &["--deep"]] {
        let ran = inside.run_with(&fault, &[&["verify", text(&set)], deep].concat()).exits(13);
        let ran = ran.says(&["MEDIUM_UNREADABLE (13)", "bytes 0 to ", "insert the medium again"]);
        assert_eq!(ran.err.matches("cannot be read").count(), 1, "{}", ran.told());
        assert!(!ran.told().contains("CONTENT_DAMAGED"), "{}", ran.told());
    }
    let to = format!("oci:{}", inside.path().join("L").display());
    let ran = inside.run_with(&fault, &["unpack", text(&set), "--to", &to, "--first"]).exits(13).says(&["MEDIUM_UNREADABLE (13)"]);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len(), "{}", ran.told());
}

/// One volume is spoiled, another cannot be read: the drive is asked first, and nothing is kept back.
#[test]
fn damage_beside_what_cannot_be_read_is_told_as_well() {
    let outside = Outside::new();
    let set = outside.set();
    let names = volumes(&set);
    let spoiled = copy(&set);
    let at = |n: usize| spoiled.path().join(&names[n]);
    let mut bytes = fs::read(at(1)).unwrap();
    bytes[100_000] ^= 1;
    fs::write(at(1), bytes).unwrap();
    let inside = outside.inside();
    let to = format!("oci:{}", inside.path().join("L").display());
    let lines: [&[&str]; 2] = [&["verify", text(spoiled.path())], &["unpack", text(spoiled.path()), "--to", &to, "--first"]];
    for line in lines {
        let ran = inside.run_with(&format!("fail:fs.read {}:3+:EIO", at(3).display()), line).exits(13);
        ran.says(&["MEDIUM_UNREADABLE (13)", "CONTENT_DAMAGED", &names[1], &names[3], "then copy what is still damaged"]);
    }
    // A volume that does not even open does not keep the others from being checked.
    let fault = format!("fail:fs.open {}:3+:EIO", at(3).display());
    let ran = inside.run_with(&fault, &["verify", text(spoiled.path())]).exits(13);
    ran.says(&["MEDIUM_UNREADABLE (13)", &names[1], &names[3], "good: volume 3 of", "good: volume 5 of"]);
}

#[test]
fn what_waits_for_others_is_told_once_and_only_for_others() {
    let outside = Outside::new();
    let both = outside.pack("both", &["legacy:v1"], &["--sequence", "8"]);
    outside.pack("both", &["team/app:1", "plain:1"], &["--sequence", "9", "--volume-size", "300KiB"]);
    let inside = outside.inside();
    let to = format!("oci:{}", inside.path().join("L").display());
    let first = medium(&both, &["default-9-0001.tar.zst"]);
    fs::remove_file(first.path().join("default-8.index.json")).unwrap();
    fs::remove_file(first.path().join("default-8.index.copy.json")).unwrap();
    inside.run(&["unpack", text(first.path()), "--to", &to, "--first"]).exits(3);
    let other = format!("oci:{}", inside.path().join("M").display());
    let ran = inside.run(&["unpack", text(&both), "--to", &other, "--first"]).exits(0);
    assert_eq!(ran.err.matches("another set or target").count(), 1, "{}", ran.told());
    let ran = inside.run(&["unpack", text(&both), "--to", &to, "--first"]).exits(0);
    assert!(!ran.err.contains("another set or target"), "{}", ran.told());
}

/// A blob of a layout is flipped where no size betrays it.
#[test]
fn check_reads_the_blobs_of_a_layout() {
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let layout = inside.path().join("L");
    let to = format!("oci:{}", layout.display());
    let unpack = || inside.run(&["unpack", text(&set), "--to", &to, "--first"]).exits(0);
    let check = || inside.run(&["check", "--blobs", "--to", &to]);
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    unpack();
    check().exits(0).says(&["everything is there"]);
    let files = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|e| e.unwrap().path());
    let largest = files.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    flip(&largest);
    let ran = check().exits(3).says(&["CONTENT_DAMAGED", text(&largest), "remove"]);
    assert_eq!(ran.err.matches(text(&largest)).count(), 1, "{}", ran.told());
    fs::remove_file(&largest).unwrap();
    check().exits(3);
    unpack();
    check().exits(0).says(&["everything is there"]);
    // Of another size it is seen by unpack itself.
    fs::write(&largest, noise(1, 1000)).unwrap();
    check().exits(3);
    unpack();
    check().exits(0);
    // A manifest is read anyway: unpacking puts a good one in its place.
    let root = layout.join("blobs/sha256").join(outside.made("plain:1").root.trim_start_matches("sha256:"));
    flip(&root);
    check().exits(3).says(&["manifest"]);
    unpack();
    check().exits(0).says(&["everything is there"]);
}

#[test]
fn where_offers_the_names_there_are() {
    let outside = Outside::new();
    let set = outside.set();
    let inside = outside.inside();
    let to = format!("oci:{}", inside.path().join("L").display());
    inside.run(&["unpack", text(&set), "--to", &to, "--first"]).exits(0);
    let ran = inside.run(&["where", "web", "--to", &to]).exits(28).says(&["CONTENT_NOT_FOUND", "deep/er/web"]);
    assert!(!ran.told().contains("without tag"), "{}", ran.told());
    inside.run(&["where", "team/ap", "--to", &to]).exits(28).says(&["team/app"]);
    inside.run(&["where", "nothing/like/it", "--to", &to]).exits(28).never_says("without tag");
    inside.run(&["where", "team/app:9", "--to", &to]).exits(28).says(&["without tag"]);
    // Volumes are known of a set that is at hand, and only then promised.
    let ran = inside.run(&["where", "team/app:1", "--to", &to, "--set", text(&set)]).exits(0);
    ran.says(&["volumes  default-100-"]);
    inside.run(&["where", "--help"]).exits(0).says(&["with --set"]);
    inside.run(&["explain", "CONTENT_NOT_FOUND"]).exits(0).says(&["receipt"]);
}

#[test]
fn volumes_without_an_index_are_counted() {
    let outside = Outside::new();
    let set = outside.set();
    let bare = tempfile::tempdir().unwrap();
    let names = volumes(&set);
    for name in &names {
        fs::copy(set.join(name), bare.path().join(name)).unwrap();
    }
    let inside = outside.inside();
    let told = format!("{} volumes of default-100 lie in {}, but no index", names.len(), bare.path().display());
    inside.run(&["verify", text(bare.path())]).exits(12).says(&["SET_MISSING", &told, "second path"]);
    let file = bare.path().join(&names[0]);
    inside.run(&["verify", text(&file)]).exits(12).says(&["SET_MISSING", "default-100", "but no index"]);
}

#[test]
fn sentences_count_and_name_rightly() {
    let outside = Outside::new();
    let set = outside.pack("one", &["team/app:1"], &["--sequence", "5", "--volume-size", "300KiB"]);
    let inside = outside.inside();
    let to = format!("oci:{}", inside.path().join("L").display());
    let bare = medium(&set, &[]);
    inside.run(&["unpack", text(bare.path()), "--to", &to, "--first"]).exits(3).says(&["0 of 1 image is in"]);
    let told = format!("`sealift verify --this-medium {}`", bare.path().display());
    inside.run(&["verify", text(bare.path())]).exits(12).says(&["VOLUME_MISSING", &told]);
    let nobody = Home::new();
    let file = nobody.path().join("config/trust/allowed_signers");
    nobody.run(&["verify", text(&set)]).exits(11).says(&["KEYRING_EMPTY", text(&file)]);
    inside.run(&["trust", "min-signatures", "default", "2"]).exits(0);
    inside.run(&["verify", text(&set)]).exits(10).says(&["needs signatures of 2 different owners, there is 1"]);
}
