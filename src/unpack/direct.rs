//! Blobs that do not fit into the spool: one upload at a time, straight from the medium while it is decoded.
//!
//! The bytes pass a digest check that holds the last of them back, so that a wrong blob never becomes complete; but
//! unlike on the normal road bytes leave for the target before the whole was proven, and a failed upload means reading again.

use super::error::UnpackError;
use super::media::{MediaError, PartId};
use super::plan::parts;
use super::run::Run;
use super::target::TargetError;
use crate::blob::{Verified, Wrong};
use crate::format::Blob;
use crate::progress::Level;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

const CHUNK: usize = 256 << 10;
/// Chunks between the drive and the upload.
const AHEAD: usize = 8;

type Chunk = io::Result<Vec<u8>>;

/// How one attempt ended.
enum Attempt {
    Done,
    Refused(TargetError),
    /// The upload was cut, and may do better when read again.
    Again(TargetError),
    Medium(u32, io::Error),
    /// Every part was verified by the archive, and together they are another blob: the set contradicts itself.
    Wrong,
}

impl Run<'_> {
    /// Uploads what must go direct; returns how many blobs were tried.
    pub(super) fn read_direct(&self) -> usize {
        let direct: Vec<usize> = {
            let state = self.board.state();
            let must = |index: usize| self.catalog.contents.blobs.get(index).is_some_and(|b| self.must_go_direct(b));
            state.to_read().filter(|(index, blob)| !blob.is_broken() && (blob.direct || must(*index))).map(|(index, _)| index).collect()
        };
        if !direct.is_empty() {
            self.board.wait_idle();
        }
        let mut tried = 0;
        for index in direct {
            if self.board.failed() {
                break;
            }
            tried += 1;
            if let Err(error) = self.go_direct(index) {
                self.stop(error);
            }
        }
        tried
    }

    fn go_direct(&self, index: usize) -> Result<(), UnpackError> {
        let Some(blob) = self.catalog.contents.blobs.get(index) else { return Ok(()) };
        let lacking: Vec<(usize, String)> = {
            let state = self.board.state();
            let repos = state.blobs.get(&index).into_iter().flat_map(|b| b.lacking.iter());
            repos.filter_map(|r| Some((*r, state.repos.get(*r)?.place.clone()))).collect()
        };
        let line = format!("{} ({} bytes) does not fit into the spool and goes straight from the medium", blob.digest.short(), blob.size);
        self.setting.progress.say(Level::Info, &line);
        self.board.change(|state| state.direct.push(blob.digest));
        for (repo, place) in lacking {
            if self.mount(index, repo, &blob.descriptor())? {
                continue;
            }
            self.repeat(index, blob, repo, &place)?;
        }
        if self.setting.spool.holds(&blob.digest) {
            self.setting.spool.forget(&blob.digest)?;
        }
        Ok(())
    }

    fn repeat(&self, index: usize, blob: &Blob, repo: usize, place: &str) -> Result<(), UnpackError> {
        loop {
            self.check_cancelled()?;
            let last = !self.may_read(index);
            match self.attempt(index, blob, place) {
                Attempt::Done => {
                    self.uploaded(index, repo, blob.size);
                    return Ok(());
                }
                Attempt::Medium(volume, error) => {
                    self.check_cancelled()?;
                    let whole = error.get_ref().and_then(|e| e.downcast_ref::<MediaError>());
                    let trouble = whole.map_or_else(|| self.setting.media.trouble(&error), |e| e.trouble);
                    self.damaged(index, volume, trouble, error.to_string());
                    return Ok(());
                }
                Attempt::Wrong => {
                    self.contradicted(index, blob);
                    return Ok(());
                }
                Attempt::Again(error) if last || error.trouble.ends_run() => {
                    return self.not_uploaded(index, repo, place, &blob.digest, error);
                }
                Attempt::Again(_) => {}
                Attempt::Refused(error) => return self.not_uploaded(index, repo, place, &blob.digest, error),
            }
        }
    }

    fn attempt(&self, index: usize, blob: &Blob, place: &str) -> Attempt {
        let (sender, receiver) = sync_channel::<Chunk>(AHEAD);
        let reopened = &AtomicBool::new(false);
        let wrong = &Arc::new(AtomicBool::new(false));
        let mut receiver = Some(receiver);
        let (uploaded, read) = std::thread::scope(|scope| {
            // The receiver moves in: an upload refused before it read anything must not leave the drive waiting for a taker.
            let upload = scope.spawn(move || {
                let mut open = || match receiver.take() {
                    Some(chunks) => {
                        let reader = Chunks { chunks, current: io::Cursor::new(Vec::new()) };
                        let inner = Verified::new(reader, blob.digest, blob.size);
                        Ok(Box::new(Watched { inner, wrong: wrong.clone() }) as Box<dyn Read + Send>)
                    }
                    None => {
                        reopened.store(true, Ordering::Relaxed);
                        Err(io::Error::other("it comes straight from the medium and must be read again"))
                    }
                };
                self.setting.target.put_blob(place, &blob.descriptor(), &mut open)
            });
            let read = self.pump(index, blob, sender);
            let died = || TargetError::new(super::target::TargetTrouble::Refused, "the upload thread died");
            (upload.join().unwrap_or_else(|_| Err(died())), read)
        });
        match (uploaded, read) {
            (Ok(()), _) => Attempt::Done,
            (Err(_), Err((volume, error))) => Attempt::Medium(volume, error),
            (Err(_), Ok(())) if wrong.load(Ordering::Relaxed) => Attempt::Wrong,
            (Err(error), Ok(())) if reopened.load(Ordering::Relaxed) => Attempt::Again(error),
            (Err(error), Ok(())) => Attempt::Refused(error),
        }
    }

    /// Reads all parts in order into the channel. An upload that gave up ends it early, without an error of the medium.
    fn pump(&self, index: usize, blob: &Blob, sender: SyncSender<Chunk>) -> Result<(), (u32, io::Error)> {
        let mut gave_up = false;
        for (part, (volume, _, len)) in parts(blob).enumerate() {
            let mut failure = None;
            let mut each = |_: PartId, reader: &mut dyn Read| {
                match self.pump_part(reader, len, &sender) {
                    Ok(done) => gave_up = !done,
                    Err(error) => failure = Some(error),
                }
                Ok(())
            };
            let result = self.setting.media.read_parts(volume, &[PartId { blob: index, part }], &mut each);
            let failure = failure.or_else(|| result.err().map(io::Error::other));
            if let Some(error) = failure {
                let told = io::Error::new(error.kind(), error.to_string());
                let _ = sender.send(Err(told));
                return Err((volume, error));
            }
            if gave_up {
                break;
            }
        }
        Ok(())
    }

    /// False when nobody takes the bytes any more.
    fn pump_part(&self, reader: &mut dyn Read, len: u64, sender: &SyncSender<Chunk>) -> io::Result<bool> {
        let mut left = len;
        while left > 0 {
            self.check_cancelled().map_err(io::Error::other)?;
            let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            reader.read_exact(&mut chunk)?;
            left -= chunk.len() as u64;
            self.setting.progress.advance(chunk.len() as u64);
            if sender.send(Ok(chunk)).is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Remembers that the digest did not hold: what the target makes of the failed read tells nothing.
struct Watched<R> {
    inner: R,
    wrong: Arc<AtomicBool>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).inspect_err(|error| {
            if matches!(Wrong::of(error), Some(Wrong::Digest { .. } | Wrong::Long { .. })) {
                self.wrong.store(true, Ordering::Relaxed);
            }
        })
    }
}

/// The receiving end of the channel as a reader.
struct Chunks {
    chunks: Receiver<Chunk>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.current.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            match self.chunks.recv() {
                Ok(chunk) => self.current = io::Cursor::new(chunk?),
                Err(_) => return Ok(0),
            }
        }
    }
}
