//! One blob out of volumes from any offset: what a registry that serves from media needs.
//!
//! Only the blocks the wanted frames touch are read; each is compared before a byte of it is used ([`super::proven`]). One piece of a
//! block is held at a time. What is really compressed needs a decoder as well, which holds megabytes; the readers take turns at those
//! ([`Decoders`]). So hundreds of readers cost little, whatever they read.

use super::error::{Damage, Error};
use super::open::OpenSet;
use super::proven::{Digests, PIECE};
use super::reader::Volume;
use super::turns::{Length, Turn, Turns};
use crate::codec::frame::{self, RawFrame};
use crate::digest::Digest;
use crate::format::{Frame, Part};
use crate::fs::FsError;
use sha2::Digest as _;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::Duration;

/// Memory for decoders, in bytes: some fifty of what `pack` compresses by itself (a window of 2 MiB), fifteen at its highest level.
const DECODERS: u64 = 128 << 20;
/// What a decoder holds beside its window: its tables, and a block as it comes in and as it goes out.
const BESIDE_WINDOW: u64 = 512 << 10;
/// A decoder that was taken is brought back to its place from the beginning of the frame. A hundred times as long it may stay there:
/// where all are slow and many wait, half a core is spent on that.
const TURN: Length = Length { least: Duration::from_millis(500), most: Duration::from_secs(10), times: 100 };

type Decoder = Box<zstd::stream::read::Decoder<'static, Bytes>>;

/// The decoders of all readers of a process, bounded by the memory they take together. Readers that find none free wait for their turn.
#[derive(Clone)]
pub struct Decoders(Arc<Turns<Decoder>>);

impl Decoders {
    /// None yet; at most 128 MiB of them.
    pub fn new() -> Decoders {
        Decoders(Turns::new(DECODERS, TURN))
    }
}

impl Default for Decoders {
    fn default() -> Decoders {
        Decoders::new()
    }
}

/// The plain bytes of a blob from an offset to its end. What comes out has passed the block table; the digest of the whole blob is
/// for the caller ([`crate::blob::Verified`]).
pub struct BlobReader {
    set: Arc<OpenSet>,
    decoders: Decoders,
    digest: Digest,
    /// What is still to be read, the next last; so are the frames of each.
    pending: Vec<Part>,
    current: Option<Current>,
    skip: u64,
}

/// The frame that is being read.
struct Current {
    source: Source,
    path: std::path::PathBuf,
    offset: u64,
    left: u64,
}

enum Source {
    /// The bytes themselves in blocks: what would not become smaller. `room` bytes of the current one are left.
    Raw {
        bytes: Bytes,
        frame: RawFrame,
        room: usize,
    },
    Compressed(Folded),
}

/// A compressed frame, and the decoder of it while it is this reader's turn.
struct Folded {
    set: Arc<OpenSet>,
    number: u32,
    start: u64,
    end: u64,
    decoders: Decoders,
    /// Memory of its decoder.
    size: u64,
    /// Plain bytes that were given or passed over.
    at: u64,
    /// Its bytes from the beginning, before they are first read.
    fresh: Option<Bytes>,
    turn: Option<Turn<Decoder>>,
}

impl OpenSet {
    /// Position of a blob in [`crate::format::Contents::blobs`]; the volumes it needs from `offset` on that are not at hand.
    pub fn blob_lacks(&self, blob: usize, offset: u64) -> Vec<u32> {
        let mut at = 0;
        let mut lacking = Vec::new();
        for part in self.contents().blobs.get(blob).map_or(&[][..], |blob| &blob.parts) {
            at += part.plain();
            if at > offset && !self.volumes_here().contains(&part.volume) && !lacking.contains(&part.volume) {
                lacking.push(part.volume);
            }
        }
        lacking
    }

    /// Opens a blob at an offset of its plain bytes. The frames before it are not read, only the one that holds it is decoded from
    /// its start.
    pub fn blob_reader(self: &Arc<OpenSet>, blob: usize, offset: u64, decoders: &Decoders) -> Option<BlobReader> {
        let blob = self.contents().blobs.get(blob)?;
        let (mut pending, skip) = from_offset(&blob.parts, offset);
        pending.iter_mut().for_each(|part| part.frames.reverse());
        Some(BlobReader { set: self.clone(), decoders: decoders.clone(), digest: blob.digest, pending, current: None, skip })
    }
}

/// The parts from `offset` on, last first, the first of them beginning with the frame that holds the offset; and how many bytes of
/// that frame lie before it.
fn from_offset(parts: &[Part], offset: u64) -> (Vec<Part>, u64) {
    let mut skip = offset;
    let mut pending = Vec::new();
    for part in parts {
        let mut place = part.offset;
        let mut frames = part.frames.iter();
        if pending.is_empty() {
            while let Some(frame) = frames.as_slice().first().filter(|frame| frame.plain <= skip) {
                skip -= frame.plain;
                place += frame.size;
                frames.next();
            }
        }
        if !frames.as_slice().is_empty() {
            pending.push(Part { volume: part.volume, offset: place, frames: frames.cloned().collect() });
        }
    }
    pending.reverse();
    (pending, skip)
}

impl BlobReader {
    /// Opens the next frame.
    fn open_next(&mut self) -> io::Result<bool> {
        let (number, offset, next) = loop {
            let Some(part) = self.pending.last_mut() else { return Ok(false) };
            let Some(next) = part.frames.pop() else {
                self.pending.pop();
                continue;
            };
            part.offset += next.size;
            break (part.volume, part.offset - next.size, next);
        };
        let bytes = Bytes::open(&self.set, number, offset, offset + next.size)?;
        let path = bytes.volume.path().to_owned();
        let source = source(bytes, &next, &self.decoders)?;
        self.current = Some(Current { source, path, offset, left: next.plain });
        Ok(true)
    }

    fn read_current(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let digest = self.digest;
        let Some(current) = &mut self.current else { return Ok(0) };
        let wrong =
            |current: &Current, why: String| Damage::Frame { path: current.path.clone(), offset: current.offset, digest, why }.into_io();
        let n = match current.source.read(buf) {
            Ok(n) => n,
            // The medium says so, not the content.
            Err(e) if Damage::of(&e).is_some() || FsError::of(&e).is_some() => return Err(e),
            Err(e) => return Err(wrong(current, e.to_string())),
        };
        if n as u64 > current.left || (n == 0 && current.left > 0) {
            return Err(wrong(current, "its length is not what the contents say".into()));
        }
        current.left -= n as u64;
        if n == 0 {
            self.current = None;
        }
        Ok(n)
    }
}

/// How a frame is read.
fn source(mut bytes: Bytes, frame: &Frame, decoders: &Decoders) -> io::Result<Source> {
    let (start, end, number, set) = (bytes.at, bytes.end, bytes.number, bytes.set.clone());
    if frame.size == frame::raw_size(frame.plain) && u32::try_from(frame.plain).is_ok() {
        let (raw, header) = RawFrame::begin(frame.plain);
        let mut found = [0; 10];
        bytes.read_exact(&mut found)?;
        if found == header {
            return Ok(Source::Raw { bytes, frame: raw, room: 0 });
        }
        bytes.at = start;
    }
    // A window that cannot be told is refused by the decoder.
    let size = frame::window(bytes.fill_buf()?).unwrap_or(0).saturating_add(BESIDE_WINDOW);
    Ok(Source::Compressed(Folded { set, number, start, end, decoders: decoders.clone(), size, at: 0, fresh: Some(bytes), turn: None }))
}

impl Folded {
    /// Waits for its turn, brings a decoder to where this one is, and reads from there.
    fn again(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // The one that was taken from it.
        self.turn = None;
        let room = self.decoders.0.wait(self.size);
        let bytes = match self.fresh.take() {
            Some(bytes) => bytes,
            None => Bytes::open(&self.set, self.number, self.start, self.end)?,
        };
        let mut decoder = Box::new(frame::decoder(bytes)?);
        let passed = io::copy(&mut (&mut decoder).take(self.at), &mut io::sink())?;
        if passed < self.at {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = decoder.read(buf)?;
        self.turn = Some(room.hold(decoder));
        Ok(n)
    }
}

impl Read for Folded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.turn.as_ref().and_then(|turn| turn.with(|decoder| decoder.read(buf)));
        let n = read.unwrap_or_else(|| self.again(buf))?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Source {
    /// Passes over bytes that need not be read; gives how many of `skip`.
    fn pass(&mut self, skip: u64) -> u64 {
        match self {
            Source::Raw { bytes, frame, room: 0 } => {
                let (plain, size) = frame.pass(skip);
                bytes.at += size;
                plain
            }
            Source::Compressed(folded) if folded.turn.is_none() => {
                folded.at += skip;
                skip
            }
            _ => 0,
        }
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (bytes, frame, room) = match self {
            Source::Compressed(folded) => return folded.read(buf),
            Source::Raw { bytes, frame, room } => (bytes, frame, room),
        };
        if *room == 0 {
            let Some((expected, len)) = frame.next_block() else { return Ok(0) };
            let mut found = [0; 3];
            bytes.read_exact(&mut found)?;
            if found != expected {
                return Err(io::Error::other("its blocks are not those of its length"));
            }
            *room = len;
        }
        let most = buf.len().min(*room);
        let n = bytes.read(buf.get_mut(..most).unwrap_or_default())?;
        *room -= n;
        Ok(n)
    }
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(0);
            }
            if self.skip > 0 {
                if let Some(current) = &mut self.current {
                    let passed = current.source.pass(self.skip);
                    current.left -= passed;
                    self.skip -= passed;
                }
                let want = usize::try_from(self.skip).unwrap_or(usize::MAX).min(64 << 10);
                let mut before = vec![0; want];
                self.skip -= if want == 0 { 0 } else { self.read_current(&mut before)? as u64 };
                continue;
            }
            match self.read_current(buf)? {
                0 => continue,
                n => return Ok(n),
            }
        }
    }
}

/// The bytes of one frame as they lie in a volume, each piece compared before it is used.
struct Bytes {
    set: Arc<OpenSet>,
    number: u32,
    volume: Volume,
    at: u64,
    end: u64,
    /// The block that was proven last.
    block: Option<(usize, Digests)>,
    /// Where the piece at hand begins.
    piece: Option<(u64, Vec<u8>)>,
}

impl Bytes {
    /// From `at` to `end` of a volume.
    fn open(set: &Arc<OpenSet>, number: u32, at: u64, end: u64) -> io::Result<Bytes> {
        let volume = set.volume(number).map_err(|e| match e {
            Error::Fs(e) => e.into_io(),
            other => io::Error::other(other),
        })?;
        Ok(Bytes { set: set.clone(), number, at, end, volume, block: None, piece: None })
    }

    /// Reads the piece that `at` is in.
    fn load(&mut self) -> Result<(), Damage> {
        let wanted = (self.at / self.volume.block_size) as usize;
        let (start, end) = self.volume.span(wanted);
        let number = (self.at - start) as usize / PIECE;
        let from = start + (number * PIECE) as u64;
        if self.piece.as_ref().is_some_and(|(at, _)| *at == from) {
            return Ok(());
        }
        if self.block.as_ref().is_none_or(|(block, _)| *block != wanted) {
            self.block = Some((wanted, self.set.proven.pieces(self.number, &self.volume, wanted)?));
        }
        let mut buffer = self.piece.take().map(|(_, buffer)| buffer).unwrap_or_default();
        self.volume.fill(&mut buffer, from, end.min(from + PIECE as u64))?;
        let found: [u8; 32] = sha2::Sha256::digest(&buffer).into();
        if self.block.as_ref().and_then(|(_, pieces)| pieces.get(number)) != Some(&found) {
            return Err(Damage::Block { path: self.volume.path().to_owned(), start, end });
        }
        self.piece = Some((from, buffer));
        Ok(())
    }
}

impl Read for Bytes {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let n = available.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Bytes {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.end {
            return Ok(&[]);
        }
        self.load().map_err(Damage::into_io)?;
        let (start, bytes) = self.piece.as_ref().map_or((self.at, &[][..]), |(at, bytes)| (*at, bytes));
        let from = (self.at - start) as usize;
        let to = bytes.len().min((self.end - start) as usize);
        Ok(bytes.get(from..to).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.at += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Frame;

    #[test]
    fn a_read_begins_with_the_frame_that_holds_the_offset() {
        let frame = |size, plain| Frame { size, plain, prefix: None };
        let part = |volume, offset, frames: &[Frame]| Part { volume, offset, frames: frames.to_vec() };
        let parts = [part(1, 100, &[frame(10, 50), frame(11, 50)]), part(2, 500, &[frame(12, 50)])];
        let whole = || vec![parts[1].clone(), parts[0].clone()];
        for (offset, pending, skip) in [
            (0, whole(), 0),
            (49, whole(), 49),
            (50, vec![parts[1].clone(), part(1, 110, &[frame(11, 50)])], 0),
            (99, vec![parts[1].clone(), part(1, 110, &[frame(11, 50)])], 49),
            (100, vec![parts[1].clone()], 0),
            (149, vec![parts[1].clone()], 49),
            (150, vec![], 0),
        ] {
            assert_eq!(from_offset(&parts, offset), (pending, skip), "{offset}");
        }
    }
}
