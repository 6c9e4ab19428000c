use super::*;
use rustix::fs::{CWD, FileType, Mode};
use std::io::{Read, Seek, SeekFrom, Write};

#[test]
fn a_staged_file_is_there_whole_or_not_at_all() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    let mut staged = dir.stage("a").unwrap();
    staged.write_all(b"half").unwrap();
    assert_eq!(dir.size_of("a").unwrap(), None);
    drop(staged);
    assert!(dir.list().unwrap().is_empty());
    dir.publish("a", b"whole").unwrap();
    assert_eq!(dir.read("a", 5).unwrap(), b"whole");
    assert!(dir.read("a", 4).is_err());
    assert_eq!(dir.read_if_there("b", 4).unwrap(), None);
}

#[test]
fn only_regular_files_are_opened() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    dir.publish("real", b"x").unwrap();
    std::os::unix::fs::symlink("real", temp.path().join("link")).unwrap();
    rustix::fs::mknodat(CWD, temp.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    dir.sub("folder").unwrap();
    for name in ["link", "pipe", "folder"] {
        assert!(dir.open_file(name).is_err(), "{name}");
        assert_eq!(dir.size_of(name).unwrap(), None);
    }
    assert_eq!(dir.list().unwrap().iter().filter(|e| e.regular).count(), 1);
}

#[test]
fn locks_exclude() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    let held = dir.lock("l").unwrap();
    assert_eq!(dir.lock("l").unwrap_err().trouble(), Trouble::InUse);
    drop(held);
    dir.lock("l").unwrap();
}

#[test]
fn folders_behind_links_are_not_entered() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    dir.make_sub("real").unwrap().publish("x", b"y").unwrap();
    assert_eq!(dir.make_sub("real").unwrap().read("x", 1).unwrap(), b"y");
    std::os::unix::fs::symlink("real", temp.path().join("link")).unwrap();
    assert!(dir.open_sub("link").is_err() && dir.make_sub("link").is_err());
    assert_eq!(dir.open_sub("absent").unwrap_err().trouble(), Trouble::Absent);
}

#[test]
fn a_held_file_is_one_writers_and_is_looked_up_again_after_the_wait() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap();
    let mut held = dir.open_held("f").unwrap();
    held.write_all(b"first").unwrap();
    let waiting = std::thread::spawn({
        let dir = dir.clone();
        move || dir.open_held("f").unwrap().size()
    });
    dir.rename("f", "done").unwrap();
    drop(held);
    assert_eq!(waiting.join().unwrap(), 0, "the file that was waited for is finished: this is a new one");
    assert_eq!(dir.read("done", 9).unwrap(), b"first");
}

#[test]
fn what_is_in_memory_and_what_is_not_are_read_on_from_the_same_place() {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open(temp.path()).unwrap().durable(false);
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    dir.publish("f", &content).unwrap();
    let mut file = dir.open_file("f").unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    let (mut found, mut piece) = (Vec::new(), [0; 4097]);
    for turn in 0.. {
        let n = match if turn % 2 == 0 { file.read_cached(&mut piece).unwrap() } else { None } {
            Some(n) => n,
            None => file.read(&mut piece).unwrap(),
        };
        found.extend_from_slice(&piece[..n]);
        if n == 0 {
            break;
        }
    }
    assert!(found == content[3..], "the bytes are those of the file, each once");
    assert_eq!(file.read_cached(&mut piece).unwrap(), None, "the end is left to an ordinary read");
}
