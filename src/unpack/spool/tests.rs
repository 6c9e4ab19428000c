//! What the spool promises: bounds, survival of a run, and proof before belief.

use super::*;

fn dir(temp: &tempfile::TempDir) -> Dir {
    Dir::open(temp.path()).unwrap().durable(false)
}

#[test]
fn parts_come_in_any_order_and_survive_the_run() {
    let temp = tempfile::tempdir().unwrap();
    let digest = Digest::sha256(b"onetwo");
    let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
    assert_eq!(spool.room_on_disk(&digest, 6), Room::Granted);
    spool.file(&digest).unwrap().write_all_at(b"two", 3).unwrap();
    spool.note(&digest, 3, 3, None).unwrap();
    assert!(spool.has(&digest, 3, 3) && !spool.has(&digest, 0, 3) && !spool.is_whole(&digest) && spool.is_fresh(&digest));
    drop(spool);
    let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
    assert!(spool.has(&digest, 3, 3) && spool.used() == 6 && !spool.is_fresh(&digest));
    spool.file(&digest).unwrap().write_all_at(b"one", 0).unwrap();
    spool.note(&digest, 0, 3, None).unwrap();
    assert!(spool.is_whole(&digest) && spool.prove(&digest, 6).unwrap());
    spool.forget(&digest).unwrap();
    assert_eq!(dir(&temp).list().unwrap().iter().map(|e| e.name.clone()).collect::<Vec<_>>(), ["spool.lock"]);
}

#[test]
fn finished_sets_leave_nothing_behind_and_others_are_counted() {
    let temp = tempfile::tempdir().unwrap();
    let parent = dir(&temp);
    let spool = |name: &str| Spool::open(&parent.sub(name).unwrap(), 100, 100).unwrap();
    let waiting = spool("waiting");
    let digest = Digest::sha256(b"onetwo");
    waiting.room_on_disk(&digest, 6);
    waiting.file(&digest).unwrap().write_all_at(b"one", 0).unwrap();
    waiting.note(&digest, 0, 3, None).unwrap();
    waiting.close(&parent, "waiting", false).unwrap();
    let done = spool("done");
    done.room_on_disk(&digest, 6);
    done.file(&digest).unwrap();
    parent.open_sub("done").unwrap().publish("stray.incomplete", b"x").unwrap();
    assert_eq!(Spool::others(&parent, "done").unwrap(), [("waiting".to_owned(), 3)]);
    done.close(&parent, "done", true).unwrap();
    spool("empty").close(&parent, "empty", false).unwrap();
    assert_eq!(parent.list().unwrap().iter().map(|e| e.name.clone()).collect::<Vec<_>>(), ["waiting"]);
}

#[test]
fn a_file_changed_between_runs_is_not_believed() {
    let temp = tempfile::tempdir().unwrap();
    let digest = Digest::sha256(b"onetwo");
    let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
    spool.room_on_disk(&digest, 6);
    spool.file(&digest).unwrap().write_all_at(b"oneTwo", 0).unwrap();
    spool.note(&digest, 0, 6, None).unwrap();
    assert!(spool.is_whole(&digest) && !spool.prove(&digest, 6).unwrap());
    drop(spool);
    dir(&temp).publish(&note_name(&digest), b"{\"schema\":1,\"digest\":\"x\"}").unwrap();
    let spool = Spool::open(&dir(&temp), 100, 100).unwrap();
    assert!(!spool.holds(&digest) && spool.used() == 0);
    assert_eq!(dir(&temp).size_of(&blob_name(&digest)).unwrap(), None);
}

#[test]
fn room_is_bounded_and_waiting_ends() {
    let temp = tempfile::tempdir().unwrap();
    let spool = Spool::open(&dir(&temp), 10, 10).unwrap();
    let [a, b] = [Digest::sha256(b"a"), Digest::sha256(b"b")];
    assert_eq!(spool.room_on_disk(&a, 11), Room::Full);
    assert_eq!(spool.room_on_disk(&a, 6), Room::Granted);
    assert_eq!(spool.room_on_disk(&b, 6), Room::Full, "nothing is on its way out");
    let content = Content::File { proven: true };
    spool.hand_over(&content);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| spool.room_on_disk(&b, 6));
        spool.release(&a, &content).unwrap();
        assert_eq!(waiting.join().unwrap(), Room::Granted);
    });
    assert_eq!(spool.high_water(), (6, 0));
    spool.stop();
    assert_eq!((spool.room_on_disk(&a, 1), spool.room_in_memory(1, 1)), (Room::Stopped, Room::Stopped));
}
