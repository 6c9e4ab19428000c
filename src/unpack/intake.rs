//! The reading side: volumes in order, parts into memory or the spool, whole blobs to the uploads.

use super::error::UnpackError;
use super::media::PartId;
use super::plan::parts;
use super::run::Run;
use super::spool::{Content, Room};
use crate::digest::Hasher;
use crate::format::Blob;
use crate::fs::{File, FsError};
use crate::ledger::Ledger;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

const CHUNK: usize = 256 << 10;

/// How reading a part ended early.
enum Cut {
    /// The medium: the part is damaged, the rest goes on.
    Medium(io::Error),
    /// Verified parts that make up another blob.
    Wrong,
    /// The run is ending.
    Run(UnpackError),
}

impl Run<'_> {
    /// Blobs that can be mounted, lie in the contents, or are whole in the spool. True when a medium may be needed for some of them
    /// after all: a mount may be refused, a file may have been changed.
    pub(super) fn queue_what_needs_no_medium(&self) -> bool {
        let mut uncertain = false;
        let blobs: Vec<usize> = self.board.state().blobs.keys().copied().collect();
        for index in blobs {
            let Some(blob) = self.catalog.contents.blobs.get(index) else { continue };
            if self.setting.spool.is_whole(&blob.digest) {
                uncertain = true;
                self.hand_over(index, Content::File { proven: false });
                continue;
            }
            let inline = self.catalog.is_inline(index);
            uncertain |= self.board.change(|state| {
                let mountable = state.owner(index, usize::MAX).is_some();
                if inline || mountable {
                    state.queue_blob(index, None);
                }
                mountable && !inline
            });
        }
        uncertain
    }

    /// Reads what is wanted from every volume at hand; returns how many parts came.
    pub(super) fn read_volumes(&self, ledger: &mut Ledger) -> usize {
        let mut read = self.requeue_inline();
        for volume in self.setting.media.volumes_here() {
            if let Err(error) = self.check_cancelled() {
                self.stop(error);
            }
            if self.board.failed() {
                return read;
            }
            let wanted = self.wanted_parts(*volume);
            if !wanted.is_empty() {
                read += self.read_volume(*volume, &wanted);
                self.write_ledger(ledger);
                self.checkpoint();
            }
        }
        read + self.read_direct()
    }

    /// Blobs the target lost, and that lie in the contents.
    fn requeue_inline(&self) -> usize {
        self.board.change(|state| {
            state.blobs.values_mut().for_each(|b| b.deferred = false);
            let inline: Vec<usize> = state.to_read().map(|(b, _)| b).filter(|b| self.catalog.is_inline(*b)).collect();
            inline.iter().for_each(|b| state.queue_blob(*b, None));
            inline.len()
        })
    }

    fn wanted_parts(&self, volume: u32) -> Vec<PartId> {
        let spool = self.setting.spool;
        let state = self.board.state();
        let mut wanted = Vec::new();
        for (index, _) in state.to_read().filter(|(_, b)| !b.direct && !b.deferred && !b.bad.contains(&volume)) {
            let Some(blob) = self.catalog.contents.blobs.get(index).filter(|b| !self.must_go_direct(b)) else { continue };
            let lies_here = |(_, (v, at, len)): &(usize, (u32, u64, u64))| *v == volume && !spool.has(&blob.digest, *at, *len);
            wanted.extend(parts(blob).enumerate().filter(lies_here).map(|(part, _)| PartId { blob: index, part }));
        }
        wanted
    }

    fn read_volume(&self, volume: u32, wanted: &[PartId]) -> usize {
        let mut taken = BTreeSet::new();
        let mut stored = 0;
        let result = self.setting.media.read_parts(volume, wanted, &mut |id, reader| {
            taken.insert(id);
            match self.take(id, reader) {
                Ok(kept) => {
                    stored += usize::from(kept);
                    Ok(())
                }
                Err(Cut::Medium(error)) => {
                    self.damaged(id.blob, volume, self.setting.media.trouble(&error), error.to_string());
                    Ok(())
                }
                Err(Cut::Wrong) => {
                    if let Some(blob) = self.catalog.contents.blobs.get(id.blob) {
                        self.contradicted(id.blob, blob);
                    }
                    Ok(())
                }
                Err(Cut::Run(error)) => {
                    self.stop(error);
                    Err(io::Error::other("the run is ending"))
                }
            }
        });
        match result {
            Err(error) if !self.board.failed() => {
                for id in wanted.iter().filter(|id| !taken.contains(id)) {
                    self.damaged(id.blob, volume, error.trouble, error.to_string());
                }
            }
            _ => {}
        }
        stored
    }

    /// True when the part was kept.
    fn take(&self, id: PartId, reader: &mut dyn Read) -> Result<bool, Cut> {
        let Some(blob) = self.catalog.contents.blobs.get(id.blob) else { return Ok(false) };
        let Some((_, start, len)) = parts(blob).nth(id.part) else { return Ok(false) };
        if self.board.state().blobs.get(&id.blob).is_none_or(|b| b.given_up || b.direct || b.deferred || b.lacking.is_empty()) {
            return Ok(false);
        }
        // Where memory is full the disk takes it, unless every upload has work: then waiting costs nothing.
        if self.memory_has_room(blob, self.setting.options.uploads)? {
            return self.take_into_memory(id.blob, blob, reader).map(|()| true);
        }
        if self.has_room(self.setting.spool.room_on_disk(&blob.digest, blob.size))? {
            return self.take_into_file(id.blob, blob, start, len, reader).map(|()| true);
        }
        if self.memory_has_room(blob, 1)? {
            return self.take_into_memory(id.blob, blob, reader).map(|()| true);
        }
        self.no_room(id.blob, blob);
        Ok(false)
    }

    fn memory_has_room(&self, blob: &Blob, enough: usize) -> Result<bool, Cut> {
        Ok(self.setting.fits_memory(blob) && self.has_room(self.setting.spool.room_in_memory(blob.size, enough))?)
    }

    fn has_room(&self, room: Room) -> Result<bool, Cut> {
        match room {
            Room::Granted => Ok(true),
            Room::Full => Ok(false),
            Room::Stopped => Err(Cut::Run(UnpackError::Interrupted)),
        }
    }

    /// Never fits into the spool, and all of it is at hand.
    pub(super) fn must_go_direct(&self, blob: &Blob) -> bool {
        let here = self.setting.media.volumes_here();
        blob.size > self.setting.spool.limit() && !self.setting.fits_memory(blob) && parts(blob).all(|(v, ..)| here.contains(&v))
    }

    /// The spool cannot take the blob, now or ever: straight from the medium where all of it is at hand, later otherwise.
    fn no_room(&self, index: usize, blob: &Blob) {
        let here = parts(blob).all(|(volume, ..)| self.setting.media.volumes_here().contains(&volume));
        self.board.change(|state| {
            if let Some(state) = state.blobs.get_mut(&index) {
                (state.direct, state.deferred) = (here, !here);
            }
        });
    }

    fn take_into_memory(&self, index: usize, blob: &Blob, reader: &mut dyn Read) -> Result<(), Cut> {
        let mut bytes = Vec::with_capacity(usize::try_from(blob.size).unwrap_or(0));
        let result = self.copy(reader, blob.size, &mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        });
        let result = result.and_then(|hasher| if hasher.finish() == blob.digest { Ok(()) } else { Err(Cut::Wrong) });
        if let Err(cut) = result {
            self.setting.spool.return_memory(blob.size);
            return Err(cut);
        }
        self.hand_over(index, Content::Memory(Arc::new(bytes)));
        Ok(())
    }

    fn take_into_file(&self, index: usize, blob: &Blob, start: u64, len: u64, reader: &mut dyn Read) -> Result<(), Cut> {
        let spool = self.setting.spool;
        let file = spool.file(&blob.digest).map_err(|e| Cut::Run(e.into()))?;
        let single = blob.parts.len() == 1;
        let hasher = match self.write(&file, start, len, reader) {
            Ok(hasher) => hasher,
            // Of a blob in one part nothing is worth keeping; the room goes to the next.
            Err(cut) if single => return spool.forget(&blob.digest).map_err(|e| Cut::Run(e.into())).and(Err(cut)),
            Err(cut) => return Err(cut),
        };
        if single && hasher.finish() != blob.digest {
            return spool.forget(&blob.digest).map_err(|e| Cut::Run(e.into())).and(Err(Cut::Wrong));
        }
        spool.note(&blob.digest, start, len, (!single).then_some(&file)).map_err(|e| Cut::Run(e.into()))?;
        if spool.is_whole(&blob.digest) {
            self.hand_over(index, Content::File { proven: single });
        }
        Ok(())
    }

    fn write(&self, file: &File, start: u64, len: u64, reader: &mut dyn Read) -> Result<Hasher, Cut> {
        let mut at = start;
        self.copy(reader, len, &mut |chunk| {
            file.write_all_at(chunk, at).map_err(|e| UnpackError::Spool(FsError::from_io(e, "write", file.path())))?;
            at += chunk.len() as u64;
            Ok(())
        })
    }

    /// Moves exactly `len` bytes, in pieces, hashing them.
    fn copy(&self, reader: &mut dyn Read, len: u64, put: &mut dyn FnMut(&[u8]) -> Result<(), UnpackError>) -> Result<Hasher, Cut> {
        let mut hasher = Hasher::new(crate::digest::Algorithm::Sha256);
        let mut chunk = vec![0; CHUNK];
        let mut left = len;
        while left > 0 {
            self.check_cancelled().map_err(Cut::Run)?;
            let want = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let window = chunk.get_mut(..want).unwrap_or_default();
            let n = match reader.read(window) {
                Ok(0) => return Err(Cut::Medium(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Cut::Medium(e)),
            };
            let fresh = window.get(..n).unwrap_or_default();
            hasher.update(fresh);
            put(fresh).map_err(Cut::Run)?;
            left -= n as u64;
            self.setting.progress.advance(n as u64);
        }
        Ok(hasher)
    }

    fn hand_over(&self, index: usize, content: Content) {
        self.setting.spool.hand_over(&content);
        self.board.change(|state| {
            if state.count_read(index) {
                state.queue_blob(index, Some(content));
            } else if let Some(blob) = state.blobs.get_mut(&index) {
                blob.given_up = true;
                self.setting.spool.retain(&content);
            }
        });
    }

    /// How often a direct blob may be read.
    pub(super) fn may_read(&self, index: usize) -> bool {
        self.board.change(|state| state.count_read(index))
    }
}
