//! Room: how much may wait in memory and on disk, and who waits until there is some.

use super::held::Held;
use super::{Content, Spool};
use crate::digest::Digest;
use crate::parallel::locked;
use std::collections::BTreeMap;
use std::sync::PoisonError;

#[derive(Default)]
pub(super) struct Usage {
    pub files: BTreeMap<Digest, Held>,
    pub disk: u64,
    pub memory: u64,
    /// Blobs on their way out: their room comes back, so waiting for it makes sense.
    pub leaving: usize,
    pub stopped: bool,
    pub peak_disk: u64,
    pub peak_memory: u64,
}

/// Answer to a request for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::unpack) enum Room {
    /// Take it.
    Granted,
    /// There is none, and nothing is on its way out.
    Full,
    /// The run is ending.
    Stopped,
}

impl Spool {
    /// Most bytes ever in use at once: files, memory.
    pub fn high_water(&self) -> (u64, u64) {
        let usage = locked(&self.usage);
        (usage.peak_disk, usage.peak_memory)
    }

    /// Asks for room for a whole blob on disk; waits while uploads are making some.
    pub(in crate::unpack) fn room_on_disk(&self, digest: &Digest, size: u64) -> Room {
        let mut usage = locked(&self.usage);
        loop {
            if usage.stopped {
                return Room::Stopped;
            }
            if usage.files.contains_key(digest) {
                return Room::Granted;
            }
            if usage.disk.saturating_add(size) <= self.limit {
                usage.disk += size;
                usage.peak_disk = usage.peak_disk.max(usage.disk);
                usage.files.insert(*digest, Held::new(size));
                return Room::Granted;
            }
            if size > self.limit || usage.leaving == 0 {
                return Room::Full;
            }
            usage = self.changed.wait(usage).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks for room for a whole blob in memory; waits while uploads are making some, as long as at least `enough` blobs are on their
    /// way out.
    pub(in crate::unpack) fn room_in_memory(&self, size: u64, enough: usize) -> Room {
        let mut usage = locked(&self.usage);
        loop {
            if usage.stopped {
                return Room::Stopped;
            }
            if usage.memory.saturating_add(size) <= self.memory_limit {
                usage.memory += size;
                usage.peak_memory = usage.peak_memory.max(usage.memory);
                return Room::Granted;
            }
            if size > self.memory_limit || usage.leaving < enough.max(1) {
                return Room::Full;
            }
            usage = self.changed.wait(usage).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back room in memory that was granted and not handed on.
    pub(in crate::unpack) fn return_memory(&self, size: u64) {
        locked(&self.usage).memory -= size;
        self.changed.notify_all();
    }

    /// A blob is whole and goes to the uploads.
    pub(in crate::unpack) fn hand_over(&self, content: &Content) {
        if !matches!(content, Content::Inline(_)) {
            locked(&self.usage).leaving += 1;
        }
    }

    /// The blob could not be delivered in this run: memory is freed, a file stays for the next run.
    pub(in crate::unpack) fn retain(&self, content: &Content) {
        if let Content::Memory(bytes) = content {
            locked(&self.usage).memory -= bytes.len() as u64;
        }
        if !matches!(content, Content::Inline(_)) {
            self.gone();
        }
    }

    pub(super) fn gone(&self) {
        let mut usage = locked(&self.usage);
        usage.leaving = usage.leaving.saturating_sub(1);
        self.changed.notify_all();
    }

    /// Wakes whoever waits for room: the run is ending.
    pub(in crate::unpack) fn stop(&self) {
        locked(&self.usage).stopped = true;
        self.changed.notify_all();
    }

    /// A new run begins.
    pub(in crate::unpack) fn start(&self) {
        let mut usage = locked(&self.usage);
        usage.stopped = false;
        (usage.leaving, usage.memory) = (0, 0);
    }
}
