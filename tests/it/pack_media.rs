//! Hostile and damaged media before `sealift verify`: each promise of the format, by the bytes of a real set.

use crate::support::fleet::{Fleet, stocks};
use crate::support::run::{Ran, User, copy_folder, files, finish};
use sealift::digest::Digest;
use sealift::format::{Index, VolumeRef};
use sealift::keystore;
use sealift::sign::{Namespace, sign_detached};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A set of three images in volumes, and somebody who trusts it.
struct Scene {
    _fleet: Fleet,
    user: User,
}

impl Scene {
    fn set() -> Option<Scene> {
        let mut stocks = stocks();
        stocks.retain(|stock| stock.name == "team/app" || stock.name == "legacy/web");
        let (fleet, user) = (Fleet::of(stocks)?, User::with_key());
        let line = format!("pack {} --key site --src-tls-verify=false --volume-size 300KB --sequence 7 --no-sync SET", fleet.words());
        user.run(&line).expect(0);
        Some(Scene { _fleet: fleet, user })
    }

    /// A fresh copy of the set, to be tampered with.
    fn medium(&self, name: &str) -> PathBuf {
        let path = self.user.at(name);
        copy_folder(&self.user.at("SET"), &path);
        path
    }

    fn verify(&self, medium: &Path) -> Ran {
        self.user.run(&format!("verify {}", medium.display()))
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn volume(medium: &Path, number: u32) -> PathBuf {
    medium.join(format!("default-7-{number:04}.tar.zst"))
}

/// Both copies of index and contents, and the signature of a key this user has, over what `change` made of them.
fn signed_anew(user: &User, medium: &Path, change: impl FnOnce(&mut Index, &mut Vec<u8>)) {
    let mut index = Index::parse(&fs::read(medium.join("default-7.index.json")).unwrap()).unwrap();
    let mut contents = fs::read(medium.join("default-7.contents.json.zst")).unwrap();
    change(&mut index, &mut contents);
    let bytes = index.to_bytes().unwrap();
    let key = keystore::load(&user.home().join("config/keys/site"), &mut || unreachable!()).unwrap();
    let signature = sign_detached(&key, Namespace::Index, &bytes).unwrap();
    for copy in ["", ".copy"] {
        fs::write(medium.join(format!("default-7.index{copy}.json")), &bytes).unwrap();
        fs::write(medium.join(format!("default-7.index{copy}.json.sig")), &signature).unwrap();
        fs::write(medium.join(format!("default-7.contents{copy}.json.zst")), &contents).unwrap();
    }
}

#[test]
fn a_changed_index_is_refused_and_its_copy_serves() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    for at in [0, 40, fs::read(medium.join("default-7.index.json")).unwrap().len() - 1] {
        flip(&medium.join("default-7.index.json"), at);
        let ran = scene.verify(&medium).expect(0);
        assert!(ran.err.contains("warning: ") && ran.err.contains("default-7.index.json is unusable, its copy serves"), "{}", ran.err);
        flip(&medium.join("default-7.index.json"), at);
    }
    flip(&medium.join("default-7.index.json"), 40);
    flip(&medium.join("default-7.index.copy.json"), 40);
    scene.verify(&medium).refused(10, "SIGNATURE_INVALID", &["default-7.index"]);
    for command in ["inspect", "unpack --to oci:X"] {
        let ran = scene.user.run(&format!("{command} M"));
        assert_eq!(ran.exit, 10, "{ran:?}");
    }
    assert!(!scene.user.at("X/blobs").exists());
}

#[test]
fn signatures_that_do_not_count() {
    let Some(scene) = Scene::set() else { return };
    let (medium, stranger) = (scene.medium("M"), User::with_key());
    stranger.run(&format!("verify {}", medium.display())).refused(11, "KEY_UNKNOWN", &["SHA256:", "sealift trust add"]);
    let nobody = User::new();
    nobody.run(&format!("verify {}", medium.display())).refused(11, "KEYRING_EMPTY", &["sealift trust add"]);
    // A stranger's signature in place of the real one, and one of our own key made for another purpose.
    let foreign = scene.medium("F");
    let _ = signed_by(&stranger, &foreign, "sealift-index@1");
    scene.verify(&foreign).refused(11, "KEY_UNKNOWN", &["SHA256:"]);
    let other = scene.medium("N");
    let _ = signed_by(&scene.user, &other, "file");
    let ran = scene.verify(&other);
    assert!(matches!(ran.exit, 10 | 11), "{ran:?}");
    // No signature at all: not finished, whatever else is there.
    for name in ["default-7.index.json.sig", "default-7.index.copy.json.sig"] {
        fs::remove_file(medium.join(name)).unwrap();
    }
    scene.verify(&medium).refused(10, "SIGNATURE_MISSING", &["sealift sign"]);
    // Revoked, and trusted for another stream only.
    let trust = scene.user.home().join("config/trust/allowed_signers");
    let lines = fs::read_to_string(&trust).unwrap();
    fs::write(&trust, lines.replace("stream:*", "stream:other")).unwrap();
    scene.verify(&scene.user.at("SET")).refused(17, "STREAM_NOT_TRUSTED", &["default"]);
    fs::write(&trust, &lines).unwrap();
    let key = scene.user.home().join("config/keys/site.pub");
    scene.user.run(&format!("trust revoke {}", key.display())).expect(0);
    scene.verify(&scene.user.at("SET")).refused(11, "KEY_REVOKED", &[]);
}

/// Replaces both signatures by what `ssh-keygen -Y sign` makes with this user's key.
fn signed_by(user: &User, medium: &Path, namespace: &str) -> Vec<u8> {
    let index = medium.join("default-7.index.json");
    let signature = medium.join("default-7.index.json.sig");
    fs::remove_file(&signature).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(user.home().join("config/keys/site")).arg(&index);
    finish(command).expect(0);
    let bytes = fs::read(signature).unwrap();
    fs::write(medium.join("default-7.index.copy.json.sig"), &bytes).unwrap();
    bytes
}

#[test]
fn a_set_for_another_site_is_refused() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    signed_anew(&scene.user, &medium, |index, _| index.audience = vec!["elsewhere".into()]);
    scene.verify(&medium).refused(17, "AUDIENCE_MISMATCH", &["elsewhere"]);
    scene.user.run("trust audience elsewhere").expect(0);
    scene.verify(&medium).expect(0);
}

#[test]
fn volumes_are_known_by_their_bytes_not_by_their_names() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    fs::rename(volume(&medium, 1), medium.join("swap")).unwrap();
    fs::rename(volume(&medium, 2), volume(&medium, 1)).unwrap();
    fs::rename(medium.join("swap"), volume(&medium, 2)).unwrap();
    fs::rename(volume(&medium, 3), medium.join("holiday photos.tar.zst")).unwrap();
    let ran = scene.verify(&medium).expect(0);
    for (number, name) in [(1, "default-7-0002.tar.zst"), (2, "default-7-0001.tar.zst"), (3, "holiday photos.tar.zst")] {
        let line = ran.out.lines().find(|line| line.contains(&format!("volume {number} of"))).unwrap();
        assert!(line.ends_with(name), "{line}");
    }
    // A second, damaged copy of a volume beside the good one does no harm.
    let second = scene.medium("M2");
    let bytes = fs::read(volume(&second, 2)).unwrap();
    fs::write(second.join("aaa.tar.zst"), &bytes[..5000]).unwrap();
    fs::write(second.join("zzz.tar.zst"), &bytes[..5000]).unwrap();
    scene.verify(&second).expect(0);
}

#[test]
fn damage_is_told_with_place_and_reach_and_the_rest_is_still_checked() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    flip(&volume(&medium, 2), 100_000);
    let ran = scene.verify(&medium).refused(13, "CONTENT_DAMAGED", &["default-7-0002.tar.zst", "bytes 0 to", "it hits team/app:"]);
    let volumes = files(&medium).keys().filter(|name| name.ends_with(".tar.zst")).count();
    assert_eq!(ran.out.matches("good: volume").count(), volumes - 1, "{}", ran.out);
    scene.verify(&volume(&medium, 2)).refused(13, "CONTENT_DAMAGED", &["default-7-0002.tar.zst"]);
    scene.verify(&volume(&medium, 1)).expect(0);

    let cut = scene.medium("CUT");
    let bytes = fs::read(volume(&cut, 2)).unwrap();
    fs::write(volume(&cut, 2), &bytes[..bytes.len() / 2]).unwrap();
    let size = format!("{} of {} bytes", bytes.len() / 2, bytes.len());
    let percent = format!("({}%)", bytes.len() / 2 * 100 / bytes.len());
    scene.verify(&cut).refused(13, "CONTENT_DAMAGED", &["default-7-0002.tar.zst", &size, &percent]);
    fs::write(volume(&cut, 2), b"").unwrap();
    scene.verify(&cut).refused(13, "CONTENT_DAMAGED", &["default-7-0002.tar.zst", "(0%)"]);
    fs::write(volume(&cut, 2), [&bytes[..], b"more"].concat()).unwrap();
    scene.verify(&cut).refused(13, "CONTENT_DAMAGED", &["default-7-0002.tar.zst"]);
    fs::write(volume(&cut, 2), &bytes).unwrap();
    fs::write(cut.join("README.txt"), "run ./totally-safe").unwrap();
    scene.verify(&cut).refused(13, "CONTENT_DAMAGED", &["README.txt"]);
}

#[test]
fn a_volume_of_another_set_is_named_as_that() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    let user = &scene.user;
    crate::support::fleet::layout(&user.at("other"), "1");
    user.run("pack oci:other:1 --key site --sequence 8 OTHER").expect(0);
    let foreign = fs::read(user.at("OTHER/default-8-0001.tar.zst")).unwrap();
    fs::write(volume(&medium, 2), &foreign).unwrap();
    let ran = scene.verify(&medium).refused(12, "VOLUME_MISSING", &["default-7-0002.tar.zst"]);
    assert!(ran.err.contains("is a volume of another set"), "{}", ran.err);
    // Asked about alone, it is not good, whatever it is called.
    scene.verify(&volume(&medium, 2)).refused(13, "VOLUME_FOREIGN", &["default-7-0002.tar.zst"]);
    fs::write(medium.join("x.tar.zst"), &foreign).unwrap();
    scene.verify(&medium.join("x.tar.zst")).refused(13, "VOLUME_FOREIGN", &["x.tar.zst"]);
    fs::write(medium.join("letter.txt"), "dear").unwrap();
    scene.verify(&medium.join("letter.txt")).refused(13, "VOLUME_FOREIGN", &["letter.txt"]);
    // Both sets in one folder are two sets.
    let both = scene.medium("BOTH");
    copy_folder(&user.at("OTHER"), &both);
    let ran = scene.verify(&both).expect(0);
    assert!(ran.out.contains("set default-7:") && ran.out.contains("set default-8:"), "{}", ran.out);
}

#[test]
fn the_path_of_an_index_means_its_set() {
    let Some(scene) = Scene::set() else { return };
    let ran = scene.user.run("inspect SET/default-7.index.json").expect(0);
    assert!(ran.out.contains("team/app:1.0") && !ran.err.contains("another set"), "{ran:?}");
    let ran = scene.user.run("verify SET/default-7.index.json");
    assert!(ran.exit == 0 && ran.out.contains("good: volume 1 of"), "{ran:?}");
}

#[test]
fn pipes_links_and_folders_are_neither_opened_nor_followed() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    for name in
        ["default-9.index.json", "default-9-0001.tar.zst", "aaa.tar.zst", "default-7.index.json.sig2", "default-8.contents.json.zst"]
    {
        rustix::fs::mknodat(rustix::fs::CWD, medium.join(name), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    }
    for (i, target) in ["/dev/zero", "/etc/passwd", "nowhere", "."].iter().enumerate() {
        symlink(target, medium.join(format!("default-{}.index.json", 20 + i))).unwrap();
        symlink(target, medium.join(format!("default-{}.index.json.sig", 20 + i))).unwrap();
        symlink(target, medium.join(format!("default-7-{:04}.tar.zst", 90 + i))).unwrap();
    }
    fs::create_dir(medium.join("default-30.index.json")).unwrap();
    scene.verify(&medium).expect(0);
    // What the set needs is not read through a link or from a pipe either.
    fs::remove_file(volume(&medium, 2)).unwrap();
    symlink(volume(&scene.user.at("SET"), 2), volume(&medium, 2)).unwrap();
    scene.verify(&medium).refused(12, "VOLUME_MISSING", &["default-7-0002.tar.zst"]);
    fs::remove_file(volume(&medium, 2)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, volume(&medium, 2), rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    scene.verify(&medium).refused(12, "VOLUME_MISSING", &["default-7-0002.tar.zst"]);
    let ran = scene.verify(&volume(&medium, 2));
    assert_ne!(ran.exit, 0, "{ran:?}");
    for name in ["default-7.index.json", "default-7.index.copy.json"] {
        fs::rename(medium.join(name), scene.user.at(name)).unwrap();
        symlink(scene.user.at(name), medium.join(name)).unwrap();
    }
    scene.verify(&medium).refused(12, "SET_MISSING", &[]);
}

#[test]
fn bogus_indexes_hide_no_set_and_do_not_end_in_work_without_end() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    for i in 0..60 {
        fs::write(medium.join(format!("evil-{i}.index.json")), "{\"schema\":1}").unwrap();
        fs::write(medium.join(format!("evil-{i}.index.json.sig")), "no signature").unwrap();
    }
    let ran = scene.verify(&medium).expect(0);
    assert!(ran.err.contains("evil-0.index.json is ignored"), "{}", ran.err);
    // Under the name of the set itself as well: a second folder with a forged index of the same name.
    let forged = scene.user.at("FORGED");
    fs::create_dir(&forged).unwrap();
    fs::write(forged.join("default-7.index.json"), "{}").unwrap();
    scene.user.run(&format!("verify {} {}", medium.display(), forged.display())).expect(0);
    for i in 60..100 {
        fs::write(medium.join(format!("evil-{i}.index.json")), "{\"schema\":1}").unwrap();
    }
    scene.verify(&medium).refused(12, "SET_AMBIGUOUS", &["more than 64 indexes"]);
    // As the remedy says: a file of the set names it.
    scene.verify(&volume(&medium, 1)).expect(0);
    // An index of half a terabyte (sparse) is not read.
    let huge = scene.medium("HUGE");
    fs::File::create(huge.join("evil-1.index.json")).unwrap().set_len(1 << 39).unwrap();
    scene.verify(&huge).expect(0);
    fs::File::options().write(true).open(huge.join("default-7.index.json.sig")).unwrap().set_len(1 << 39).unwrap();
    scene.verify(&huge).expect(0);
}

#[test]
fn either_copy_of_each_document_serves() {
    let Some(scene) = Scene::set() else { return };
    for gone in [
        &["default-7.index.json"][..],
        &["default-7.index.copy.json"],
        &["default-7.index.json.sig"],
        &["default-7.index.copy.json.sig", "default-7.contents.json.zst"],
        &["default-7.index.json", "default-7.index.json.sig", "default-7.contents.json.zst"],
    ] {
        let medium = scene.medium("M");
        for name in gone {
            fs::remove_file(medium.join(name)).unwrap();
        }
        scene.verify(&medium).expect(0);
        fs::remove_dir_all(medium).unwrap();
    }
    let medium = scene.medium("M");
    flip(&medium.join("default-7.contents.json.zst"), 100);
    let ran = scene.verify(&medium).expect(0);
    assert!(ran.err.contains("default-7.contents.json.zst"), "the unusable copy is named: {}", ran.err);
    flip(&medium.join("default-7.contents.copy.json.zst"), 100);
    scene.verify(&medium).refused(13, "CONTENT_DAMAGED", &["default-7.contents.json.zst", "default-7.contents.copy.json.zst"]);
    for name in ["default-7.contents.json.zst", "default-7.contents.copy.json.zst"] {
        fs::remove_file(medium.join(name)).unwrap();
    }
    scene.verify(&medium).refused(13, "CONTENT_DAMAGED", &[".contents"]);
}

#[test]
fn a_feature_this_version_does_not_know_is_refused_by_name() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    signed_anew(&scene.user, &medium, |index, _| index.requires = vec!["time-travel".into()]);
    scene.verify(&medium).refused(14, "FORMAT_UNKNOWN", &["time-travel"]);
    let newer = scene.medium("NEWER");
    signed_anew(&scene.user, &newer, |index, _| index.schema = 2);
    scene.verify(&newer).refused(14, "FORMAT_UNKNOWN", &["schema 2"]);
}

/// Runs verify with at most 700 MB of memory.
fn verify_small(user: &User, medium: &Path) -> Ran {
    let mut command = user.wrapped(&["sh", "-c", "ulimit -v 700000; exec \"$0\" verify \"$1\""]);
    command.arg(medium);
    finish(command)
}

#[test]
fn a_bomb_in_the_contents_is_stopped_at_the_size_that_was_signed() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    let mut bomb = Vec::new();
    let mut encoder = zstd::Encoder::new(&mut bomb, 1).unwrap();
    for _ in 0..3072 {
        std::io::Write::write_all(&mut encoder, &vec![b' '; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap();
    signed_anew(&scene.user, &medium, |index, contents| {
        index.contents.size = bomb.len() as u64;
        index.contents.digest = Digest::sha256(&bomb);
        *contents = bomb;
    });
    verify_small(&scene.user, &medium).refused(14, "FORMAT_UNKNOWN", &["contents"]);
}

#[test]
fn a_bomb_in_a_volume_ends_at_the_size_the_contents_say() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    // The second volume is exchanged for one whose frames unfold to gigabytes; its blocks are signed for.
    let mut bomb = fs::read(volume(&medium, 2)).unwrap();
    let mut frame = Vec::new();
    let mut encoder = zstd::Encoder::new(&mut frame, 1).unwrap();
    for _ in 0..1024 {
        std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap();
    let at = 3000;
    let len = frame.len().min(bomb.len() - at);
    bomb[at..at + len].copy_from_slice(&frame[..len]);
    fs::write(volume(&medium, 2), &bomb).unwrap();
    signed_anew(&scene.user, &medium, |index, _| {
        use sha2::Digest as _;
        let blocks: Vec<[u8; 32]> = bomb.chunks(index.block_size as usize).map(|block| sha2::Sha256::digest(block).into()).collect();
        index.volumes[1].blocks = VolumeRef::encode_blocks(&blocks);
    });
    scene.verify(&medium).expect(0);
    let mut command = scene.user.wrapped(&["sh", "-c", "ulimit -v 900000; exec \"$0\" verify --deep \"$1\""]);
    command.arg(&medium);
    finish(command).refused(13, "CONTENT_DAMAGED", &["default-7-0002.tar.zst", "does not unfold"]);
}

#[test]
fn verify_writes_nothing_on_the_medium() {
    let Some(scene) = Scene::set() else { return };
    let medium = scene.medium("M");
    let before = files(&medium);
    scene.user.run("verify --deep M").expect(0);
    scene.user.run("inspect M").expect(0);
    crate::support::run::assert_same(&files(&medium), &before, "after verify");
}
