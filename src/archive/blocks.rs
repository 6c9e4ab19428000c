//! A volume file under way: bytes go out in blocks, and each block's digest is taken while it passes.
//!
//! The header of a tar entry is written before the length of the entry is known; the blocks that hold it wait in
//! memory, unhashed, until the header is filled in. At most two blocks wait: a header is shorter than a block.

use crate::fs::{FsError, Parked, Staged};
use sha2::Digest as _;
use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Blocks on their way to the hashing thread.
struct Job {
    volume: u32,
    block: usize,
    bytes: Vec<u8>,
    len: usize,
}

/// Digest of one block.
pub(super) type BlockHash = (u32, usize, [u8; 32]);

/// Hashes blocks of all volumes in the background and gives their buffers back.
pub(super) struct HashThread {
    jobs: mpsc::SyncSender<Job>,
    spare: mpsc::Receiver<Vec<u8>>,
    thread: JoinHandle<Vec<BlockHash>>,
    block_size: usize,
}

impl HashThread {
    pub(super) fn start(block_size: usize) -> HashThread {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(2);
        let (give_back, spare) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut hashes = Vec::new();
            for job in inbox {
                let bytes = job.bytes.get(..job.len).unwrap_or(&job.bytes);
                hashes.push((job.volume, job.block, sha2::Sha256::digest(bytes).into()));
                let _ = give_back.send(job.bytes);
            }
            hashes
        });
        HashThread { jobs, spare, thread, block_size }
    }

    fn buffer(&self) -> Vec<u8> {
        self.spare.try_recv().unwrap_or_else(|_| vec![0; self.block_size])
    }

    fn hash(&self, job: Job) {
        // The thread ends only when this sender is gone.
        let _ = self.jobs.send(job);
    }

    /// All digests, ordered by volume and block.
    pub(super) fn finish(self) -> Vec<BlockHash> {
        drop(self.jobs);
        let mut hashes = self.thread.join().unwrap_or_default();
        hashes.sort_unstable_by_key(|(volume, block, _)| (*volume, *block));
        hashes
    }
}

/// One volume in the making.
pub(super) struct BlockWriter {
    file: Staged,
    number: u32,
    buffer: Vec<u8>,
    filled: usize,
    block: usize,
    written: u64,
    open_header: Option<(u64, usize)>,
    held: Vec<(usize, Vec<u8>, usize)>,
}

impl BlockWriter {
    pub(super) fn new(file: Staged, number: u32, hasher: &HashThread) -> BlockWriter {
        BlockWriter { file, number, buffer: hasher.buffer(), filled: 0, block: 0, written: 0, open_header: None, held: Vec::new() }
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn write(&mut self, mut bytes: &[u8], hasher: &HashThread) -> io::Result<()> {
        while !bytes.is_empty() {
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let n = space.len().min(bytes.len());
            let (now, later) = bytes.split_at(n);
            if let Some(space) = space.get_mut(..n) {
                space.copy_from_slice(now);
            }
            bytes = later;
            self.advance(n, hasher)?;
        }
        Ok(())
    }

    /// Moves `len` bytes from `reader` straight into the block and shows them to `seen`.
    pub(super) fn copy(
        &mut self,
        reader: &mut dyn Read,
        mut len: usize,
        hasher: &HashThread,
        mut seen: impl FnMut(&[u8]),
    ) -> Result<(), CopyError> {
        while len > 0 {
            let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let n = space.len().min(len);
            let space = space.get_mut(..n).unwrap_or_default();
            reader.read_exact(space).map_err(CopyError::Read)?;
            seen(space);
            len -= n;
            self.advance(n, hasher).map_err(CopyError::Write)?;
        }
        Ok(())
    }

    fn advance(&mut self, n: usize, hasher: &HashThread) -> io::Result<()> {
        self.filled += n;
        self.written += n as u64;
        if self.filled == self.buffer.len() {
            self.flush(hasher)?;
        }
        Ok(())
    }

    fn flush(&mut self, hasher: &HashThread) -> io::Result<()> {
        if self.filled == 0 {
            return Ok(());
        }
        self.file.write_all(self.buffer.get(..self.filled).unwrap_or_default())?;
        let bytes = std::mem::replace(&mut self.buffer, hasher.buffer());
        let (block, len) = (self.block, std::mem::take(&mut self.filled));
        self.block += 1;
        let start = block as u64 * bytes.len() as u64;
        let waits = self.open_header.is_some_and(|(at, header)| start < at + header as u64 && at < start + len as u64);
        if waits {
            self.held.push((block, bytes, len));
        } else {
            hasher.hash(Job { volume: self.number, block, bytes, len });
        }
        Ok(())
    }

    /// Leaves room for `len` bytes that will be known later.
    pub(super) fn open_header(&mut self, len: usize, hasher: &HashThread) -> io::Result<()> {
        self.open_header = Some((self.written, len));
        self.write(&vec![0; len], hasher)
    }

    /// Fills in the room left by [`BlockWriter::open_header`]: in the blocks that wait, in the block being filled, and in
    /// the file where it was written already.
    pub(super) fn close_header(&mut self, bytes: &[u8], hasher: &HashThread) -> io::Result<()> {
        let Some((at, len)) = self.open_header.take() else { return Ok(()) };
        debug_assert_eq!(len, bytes.len());
        let size = self.buffer.len() as u64;
        for (block, mut held, len) in std::mem::take(&mut self.held) {
            overlay(&mut held, block as u64 * size, bytes, at);
            hasher.hash(Job { volume: self.number, block, bytes: held, len });
        }
        let flushed = self.block as u64 * size;
        overlay(&mut self.buffer, flushed, bytes, at);
        match bytes.get(..usize::try_from(flushed.saturating_sub(at)).unwrap_or(usize::MAX).min(bytes.len())) {
            Some(on_disk) if !on_disk.is_empty() => self.file.file().write_all_at(on_disk, at),
            _ => Ok(()),
        }
    }

    /// Writes out the last, shorter block; the file waits under its `.incomplete` name.
    pub(super) fn finish(mut self, hasher: &HashThread) -> Result<(u64, Parked), FsError> {
        let path = self.file.file().path().to_owned();
        self.flush(hasher).map_err(|e| FsError::from_io(e, "write", &path))?;
        Ok((self.written, self.file.park()?))
    }

    /// Where it is, for messages.
    pub(super) fn path(&self) -> &std::path::Path {
        self.file.file().path()
    }
}

/// What failed while bytes were moved: the reader they came from or the volume they went to.
pub(super) enum CopyError {
    Read(io::Error),
    Write(io::Error),
}

/// Copies `bytes`, which lie at `at`, over `target`, which lies at `base`, where the two overlap.
fn overlay(target: &mut [u8], base: u64, bytes: &[u8], at: u64) {
    for (i, byte) in bytes.iter().enumerate() {
        let place = (at + i as u64).checked_sub(base).and_then(|i| usize::try_from(i).ok());
        if let Some(slot) = place.and_then(|i| target.get_mut(i)) {
            *slot = *byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Dir;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Whatever the header straddles, file and digests are those of the final bytes.
        #[test]
        fn a_header_filled_in_late_is_hashed_as_it_ends_up(before in 0usize..3000, after in 0usize..3000, header in 1usize..600) {
            let temp = tempfile::tempdir().unwrap();
            let dir = Dir::open(temp.path()).unwrap();
            let hasher = HashThread::start(1000);
            let mut writer = BlockWriter::new(dir.stage("v").unwrap(), 1, &hasher);
            writer.write(&vec![1; before], &hasher).unwrap();
            writer.open_header(header, &hasher).unwrap();
            writer.write(&vec![2; after], &hasher).unwrap();
            writer.close_header(&vec![3; header], &hasher).unwrap();
            writer.write(&[4], &hasher).unwrap();
            let (size, parked) = writer.finish(&hasher).unwrap();
            parked.publish().unwrap();
            let want = [vec![1; before], vec![3; header], vec![2; after], vec![4]].concat();
            prop_assert_eq!(size as usize, want.len());
            prop_assert_eq!(&dir.read("v", 10_000).unwrap(), &want);
            let hashes: Vec<[u8; 32]> = hasher.finish().into_iter().map(|(_, _, hash)| hash).collect();
            let expected: Vec<[u8; 32]> = want.chunks(1000).map(|c| sha2::Sha256::digest(c).into()).collect();
            prop_assert_eq!(hashes, expected);
        }
    }
}
