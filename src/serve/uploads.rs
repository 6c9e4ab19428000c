//! Upload sessions: one file each, which is all that is known of a session, so that it survives a cut and a restart.

use super::store::StoreError;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::fs::{Dir, File, FsError, INCOMPLETE};
use std::collections::{HashMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Seconds after which a session that nobody wrote to is removed.
pub(super) const SESSION_SECONDS: u64 = 7 * 24 * 3600;
/// How long a request waits for another one of the same session, which may be a dead one that has not been noticed yet.
const PATIENCE: Duration = Duration::from_secs(15);
/// Requests that wait so at a time; one more is told at once. Each keeps a thread, and other requests need threads too.
const PATIENT: usize = 64;
/// Hashes kept between the requests of sessions. One more is not kept, but its session read again at its end.
const HASHES: usize = 1024;
/// How the name of a session begins that lives as long as one request.
const SINGLE: &str = "single-";
/// What is written at once.
const PIECE: usize = 256 << 10;

/// The sessions of a layout.
pub(super) struct Uploads {
    dir: Dir,
    busy: Mutex<Busy>,
    freed: Condvar,
    /// Hashes under way, with the bytes they have seen; what is not here is hashed again from the file.
    hashes: Mutex<HashMap<String, (u64, Hasher)>>,
}

/// Sessions that a request has.
#[derive(Default)]
struct Busy {
    names: HashSet<String>,
    /// Requests that wait for one of them.
    waiting: usize,
}

/// A session that no other request of this process may touch.
pub(super) struct Session<'a> {
    uploads: &'a Uploads,
    name: String,
    file: File,
}

impl Uploads {
    pub fn new(dir: Dir) -> Uploads {
        Uploads { dir, busy: Mutex::default(), freed: Condvar::new(), hashes: Mutex::default() }
    }

    /// Removes the sessions of single requests. For who has just begun, and is the only one to write here: the requests ended with
    /// the process before.
    pub fn forget_single(&self) -> Result<(), FsError> {
        for entry in self.dir.list()?.iter().filter(|entry| entry.name.starts_with(SINGLE) && entry.name.ends_with(INCOMPLETE)) {
            self.dir.remove(&entry.name)?;
        }
        Ok(())
    }

    /// Removes sessions nobody has written to since `before`; gives how many there were.
    pub fn expire(&self, before: u64) -> Result<usize, FsError> {
        let mut removed = 0;
        for entry in self.dir.list()? {
            if entry.name.ends_with(INCOMPLETE) && self.dir.stamp(&entry.name)?.is_some_and(|stamp| stamp.modified < before) {
                self.dir.remove(&entry.name)?;
                locked(&self.hashes).remove(&entry.name);
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub fn begin(&self, repository: &str, single: bool) -> Result<String, StoreError> {
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|e| FsError::new("name an upload in", self.dir.path(), io::Error::other(e.to_string())))?;
        let session = format!("{}{}", if single { SINGLE } else { "" }, crate::digest::hex(&random));
        self.dir.open_held(&file_name(repository, &session))?;
        Ok(session)
    }

    /// Takes a session for one request.
    pub fn take(&self, repository: &str, session: &str) -> Result<Session<'_>, StoreError> {
        let random = session.strip_prefix(SINGLE).unwrap_or(session);
        let is_ours = random.len() == 32 && random.bytes().all(|b| b.is_ascii_hexdigit());
        let name = file_name(repository, session);
        if !is_ours || self.dir.size_of(&name)?.is_none() {
            return Err(StoreError::UploadUnknown);
        }
        let mut busy = locked(&self.busy);
        if busy.names.contains(&name) {
            if busy.waiting >= PATIENT {
                return Err(StoreError::UploadBusy);
            }
            busy.waiting += 1;
            let waited = self.freed.wait_timeout_while(busy, PATIENCE, |busy| busy.names.contains(&name));
            busy = waited.unwrap_or_else(PoisonError::into_inner).0;
            busy.waiting -= 1;
            if busy.names.contains(&name) {
                return Err(StoreError::UploadBusy);
            }
        }
        busy.names.insert(name.clone());
        drop(busy);
        // Ended by the request that was waited for?
        let there = self.dir.size_of(&name).map(|size| size.is_some());
        match there.and_then(|there| if there { self.dir.open_held(&name).map(Some) } else { Ok(None) }) {
            Ok(Some(file)) => Ok(Session { uploads: self, name, file }),
            Ok(None) => {
                self.let_go(&name);
                Err(StoreError::UploadUnknown)
            }
            Err(error) => {
                self.let_go(&name);
                Err(error.into())
            }
        }
    }

    fn let_go(&self, name: &str) {
        locked(&self.busy).names.remove(name);
        self.freed.notify_all();
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.uploads.let_go(&self.name);
    }
}

impl Session<'_> {
    pub fn size(&self) -> u64 {
        self.file.size()
    }

    /// Appends all of `body`. Bytes that came before it failed stay, and are counted by the next [`Session::size`].
    pub fn append(&mut self, body: &mut dyn Read) -> Result<u64, StoreError> {
        let mut at = self.file.size();
        let known = locked(&self.uploads.hashes).remove(&self.name).filter(|(seen, _)| *seen == at);
        // Nothing is hashed twice for a session that is not known any more: that is done once, at its end.
        let mut hasher = known.map(|(_, hasher)| hasher).or_else(|| (at == 0).then(|| Hasher::new(Algorithm::Sha256)));
        self.file.seek(SeekFrom::Start(at)).map_err(|e| self.failed(e))?;
        let mut buffer = vec![0; PIECE];
        let result = loop {
            match body.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    let bytes = buffer.get(..n).unwrap_or_default();
                    if let Err(e) = self.file.write_all(bytes) {
                        break Err(self.failed(e));
                    }
                    if let Some(hasher) = &mut hasher {
                        hasher.update(bytes);
                    }
                    at += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break Err(StoreError::Cut),
            }
        };
        if let Some(hasher) = hasher {
            let mut hashes = locked(&self.uploads.hashes);
            if hashes.len() < HASHES {
                hashes.insert(self.name.clone(), (at, hasher));
            }
        }
        result.map(|()| at)
    }

    /// Compares the digest and gives the file a place with `keep(dir, name, size)`, synced. Whatever comes out, the session is over.
    pub fn finish(self, digest: &Digest, keep: impl FnOnce(&Dir, &str, u64) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let size = self.uploads.dir.size_of(&self.name)?.ok_or(StoreError::UploadUnknown)?;
        let known = locked(&self.uploads.hashes).remove(&self.name);
        let known = known.filter(|(seen, _)| *seen == size && digest.algorithm() == Algorithm::Sha256);
        let found = match known {
            Some((_, hasher)) => hasher.finish(),
            None => self.hash_again(digest.algorithm())?,
        };
        if found != *digest {
            self.uploads.dir.remove(&self.name)?;
            return Err(StoreError::WrongDigest { expected: *digest, found });
        }
        self.file.sync()?;
        keep(&self.uploads.dir, &self.name, size)
    }

    pub fn cancel(self) -> Result<(), StoreError> {
        locked(&self.uploads.hashes).remove(&self.name);
        Ok(self.uploads.dir.remove(&self.name)?)
    }

    fn hash_again(&self, algorithm: Algorithm) -> Result<Digest, StoreError> {
        let mut hasher = Hasher::new(algorithm);
        let mut file = self.uploads.dir.open_file(&self.name)?;
        let mut buffer = vec![0; PIECE];
        loop {
            match file.read(&mut buffer).map_err(|e| self.failed(e))? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(buffer.get(..n).unwrap_or_default()),
            }
        }
    }

    fn failed(&self, error: io::Error) -> StoreError {
        FsError::from_io(error, "write", self.file.path()).into()
    }
}

/// A session belongs to its repository: the name of the file holds both.
fn file_name(repository: &str, session: &str) -> String {
    format!("{session}-{}{INCOMPLETE}", Digest::sha256(repository.as_bytes()).short())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uploads(temp: &tempfile::TempDir) -> Uploads {
        Uploads::new(Dir::open(temp.path()).unwrap().durable(false))
    }

    #[test]
    fn a_session_survives_a_cut_and_a_restart() {
        let temp = tempfile::tempdir().unwrap();
        let first = uploads(&temp);
        let session = first.begin("a", false).unwrap();
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let cut = first.take("a", &session).unwrap().append(&mut b"hel".chain(Broken));
        assert!(matches!(cut, Err(StoreError::Cut)));
        assert_eq!(first.take("a", &session).unwrap().append(&mut &b"l"[..]).unwrap(), 4);
        let second = uploads(&temp);
        assert_eq!(second.take("a", &session).unwrap().size(), 4);
        assert_eq!(second.take("a", &session).unwrap().append(&mut &b"o"[..]).unwrap(), 5);
        let mut kept = 0;
        let keep = |_: &Dir, _: &str, size| {
            kept = size;
            Ok(())
        };
        second.take("a", &session).unwrap().finish(&Digest::sha256(b"hello"), keep).unwrap();
        assert_eq!(kept, 5);
    }

    #[test]
    fn a_session_is_its_repositorys_and_ends_with_a_wrong_digest() {
        let temp = tempfile::tempdir().unwrap();
        let uploads = uploads(&temp);
        let session = uploads.begin("a", false).unwrap();
        assert!(matches!(uploads.take("b", &session), Err(StoreError::UploadUnknown)));
        assert!(matches!(uploads.take("a", "../../etc/passwd"), Err(StoreError::UploadUnknown)));
        let wrong = uploads.take("a", &session).unwrap().finish(&Digest::sha256(b"x"), |_, _, _| Ok(()));
        assert!(matches!(wrong, Err(StoreError::WrongDigest { .. })));
        assert!(matches!(uploads.take("a", &session), Err(StoreError::UploadUnknown)));
    }

    /// Each of them would keep a thread that other requests need.
    #[test]
    fn only_some_wait_for_a_busy_session() {
        let temp = tempfile::tempdir().unwrap();
        let uploads = uploads(&temp);
        let session = uploads.begin("a", false).unwrap();
        let busy = uploads.take("a", &session).unwrap();
        let waited = std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..PATIENT).map(|_| scope.spawn(|| uploads.take("a", &session).map(drop))).collect();
            while locked(&uploads.busy).waiting < PATIENT {
                std::thread::yield_now();
            }
            assert!(matches!(uploads.take("a", &session), Err(StoreError::UploadBusy)));
            drop(busy);
            waiting.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(waited.iter().all(Result::is_ok) && locked(&uploads.busy).waiting == 0);
    }

    #[test]
    fn old_sessions_go_and_young_ones_stay() {
        let temp = tempfile::tempdir().unwrap();
        let uploads = uploads(&temp);
        let session = uploads.begin("a", false).unwrap();
        assert_eq!(uploads.expire(1).unwrap(), 0);
        assert!(uploads.take("a", &session).is_ok());
        assert_eq!(uploads.expire(u64::MAX).unwrap(), 1);
        assert!(matches!(uploads.take("a", &session), Err(StoreError::UploadUnknown)));
    }
}
