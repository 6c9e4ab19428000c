//! Reading volumes (`sealift-archive(5)`, V8 to V10).
//!
//! One thread reads a volume once, in order, and compares every block; what comes out of it is used from that very
//! buffer. A damaged or unreadable block fails only what touches it.

use super::error::Damage;
use super::proven::Digests;
use crate::codec::frame;
use crate::digest::Digest;
use crate::format::Part;
use crate::fs::File;
use sha2::Digest as _;
use std::io::{self, BufRead, Read};
use std::path::Path;
use std::sync::mpsc;

/// Unreadable blocks in a row after which the drive is not asked again: each attempt can take a minute, and an
/// unplugged medium answers none.
const GIVE_UP_AFTER: usize = 8;

/// A volume file with the block table it is judged by.
pub(super) struct Volume {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) block_size: u64,
    pub(super) hashes: Digests,
}

/// One block as it was found.
type Block = (usize, Result<Vec<u8>, Damage>);

impl Volume {
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.hashes.len()
    }

    /// First byte and one past the last byte of a block.
    pub(super) fn span(&self, block: usize) -> (u64, u64) {
        let start = block as u64 * self.block_size;
        (start, (start + self.block_size).min(self.size))
    }

    /// Reads and compares one block into `buffer`.
    pub(super) fn read(&self, block: usize, mut buffer: Vec<u8>) -> Result<Vec<u8>, Damage> {
        let (start, end) = self.span(block);
        self.fill(&mut buffer, start, end)?;
        let expected = self.hashes.get(block);
        let found: [u8; 32] = sha2::Sha256::digest(&buffer).into();
        if expected == Some(&found) { Ok(buffer) } else { Err(Damage::Block { path: self.path().to_owned(), start, end }) }
    }

    /// Reads the bytes from `start` to `end` into `buffer`, which has no others then. They are not compared with anything.
    pub(super) fn fill(&self, buffer: &mut Vec<u8>, start: u64, end: u64) -> Result<(), Damage> {
        let path = || self.path().to_owned();
        buffer.resize(usize::try_from(end - start).unwrap_or(0), 0);
        let mut filled = 0;
        while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
            match self.file.read_at(space, start + filled as u64) {
                Ok(0) => {
                    // As long as it was when it was opened, or shorter by now.
                    let found = self.file.size().min(start + filled as u64);
                    return Err(Damage::Length { path: path(), expected: self.size, found });
                }
                Ok(n) => filled += n,
                Err(e) => return Err(Damage::Unreadable { path: path(), start, end, why: root_cause(&e) }),
            }
        }
        Ok(())
    }

    /// True when the first block is right: the file is this volume, whatever it is called.
    pub(super) fn begins_right(&self) -> bool {
        self.read(0, Vec::new()).is_ok()
    }

    /// True when the last of several blocks is right: the file is this volume, though it may be damaged before.
    pub(super) fn ends_right(&self) -> bool {
        self.blocks() > 1 && self.read(self.blocks() - 1, Vec::new()).is_ok()
    }

    /// Reads the blocks `wanted` (rising) ahead on a thread while `consume` takes them in order.
    pub(super) fn with_blocks<T>(&self, wanted: Vec<usize>, consume: impl FnOnce(&mut Blocks) -> T) -> T {
        let (send, receive) = mpsc::sync_channel::<Block>(2);
        let (give_back, spare) = mpsc::channel::<Vec<u8>>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut failed = 0;
                for block in wanted {
                    let buffer = spare.try_recv().unwrap_or_default();
                    let result = if failed < GIVE_UP_AFTER { self.read(block, buffer) } else { Err(self.silent(block)) };
                    failed = if matches!(result, Err(Damage::Unreadable { .. })) { failed + 1 } else { 0 };
                    if send.send((block, result)).is_err() {
                        return;
                    }
                }
            });
            let mut blocks = Blocks { receive, give_back, current: None, damage: Vec::new() };
            consume(&mut blocks)
        })
    }

    fn silent(&self, block: usize) -> Damage {
        let (start, end) = self.span(block);
        Damage::Unreadable { path: self.path().to_owned(), start, end, why: "the medium stopped answering".into() }
    }

    /// Blocks that a part touches.
    pub(super) fn blocks_of(&self, part: &Part) -> std::ops::Range<usize> {
        let end = part.offset + part.size();
        (part.offset / self.block_size) as usize..end.div_ceil(self.block_size) as usize
    }

    /// A reader of the plain bytes of `part`, exactly as many as the contents say.
    pub(super) fn unfold<'a>(&'a self, part: &'a Part, digest: Digest, blocks: &'a mut Blocks) -> io::Result<Unfolded<'a>> {
        let frames = Frames { volume: self, blocks, at: part.offset, end: part.offset + part.size() };
        Ok(Unfolded { decoder: frame::decoder(frames)?, volume: self, part, digest, left: part.plain(), done: false })
    }
}

/// What the system said, without the path that the caller names anyway.
fn root_cause(error: &io::Error) -> String {
    match crate::fs::FsError::of(error) {
        Some(inner) => inner.source.to_string(),
        None => error.to_string(),
    }
}

/// Verified blocks in rising order.
pub(super) struct Blocks {
    receive: mpsc::Receiver<Block>,
    give_back: mpsc::Sender<Vec<u8>>,
    current: Option<Block>,
    damage: Vec<(usize, Damage)>,
}

impl Blocks {
    /// The next block, whichever it is.
    pub(super) fn next(&mut self) -> Option<&Block> {
        if let Some((_, Ok(buffer))) = self.current.take() {
            let _ = self.give_back.send(buffer);
        }
        self.current = self.receive.recv().ok();
        if let Some((block, Err(damage))) = &self.current {
            self.damage.push((*block, damage.clone()));
        }
        self.current.as_ref()
    }

    /// Damaged blocks passed so far, whoever wanted them.
    pub(super) fn take_damage(&mut self) -> Vec<(usize, Damage)> {
        std::mem::take(&mut self.damage)
    }

    /// Goes forward to block `index`.
    fn get(&mut self, index: usize) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|(at, _)| *at < index) {
            if self.next().is_none() {
                break;
            }
        }
        match &self.current {
            Some((at, Ok(bytes))) if *at == index => Ok(bytes),
            Some((at, Err(damage))) if *at == index => Err(damage.clone().into_io()),
            _ => Err(io::Error::other("parts of a volume overlap")),
        }
    }
}

/// The compressed bytes of one part, block by block.
struct Frames<'a> {
    volume: &'a Volume,
    blocks: &'a mut Blocks,
    at: u64,
    end: u64,
}

impl Read for Frames<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let n = available.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Frames<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.end {
            return Ok(&[]);
        }
        let block = (self.at / self.volume.block_size) as usize;
        let (start, _) = self.volume.span(block);
        let bytes = self.blocks.get(block)?;
        let from = (self.at - start) as usize;
        let to = bytes.len().min((self.end - start) as usize);
        Ok(bytes.get(from..to).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.at += n as u64;
    }
}

/// The plain bytes of one part.
pub(super) struct Unfolded<'a> {
    decoder: zstd::stream::read::Decoder<'a, Frames<'a>>,
    volume: &'a Volume,
    part: &'a Part,
    digest: Digest,
    left: u64,
    done: bool,
}

impl Unfolded<'_> {
    fn wrong(&self, why: impl ToString) -> io::Error {
        let path = self.volume.path().to_owned();
        Damage::Frame { path, offset: self.part.offset, digest: self.digest, why: why.to_string() }.into_io()
    }
}

impl Read for Unfolded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || self.done {
            return Ok(0);
        }
        let n = match self.decoder.read(buf) {
            Ok(n) => n,
            Err(e) if Damage::of(&e).is_some() => return Err(e),
            Err(e) => return Err(self.wrong(e)),
        };
        if n as u64 > self.left {
            return Err(self.wrong("it is longer than the contents say"));
        }
        self.left -= n as u64;
        if n == 0 {
            if self.left > 0 {
                return Err(self.wrong("it is shorter than the contents say"));
            }
            self.done = true;
        }
        Ok(n)
    }
}
