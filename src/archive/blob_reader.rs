//! One blob out of volumes from any offset: what a registry that serves from media needs.
//!
//! Only the blocks the wanted frames touch are read; each is compared before a byte of it is used, and used from that very
//! buffer. One block is held at a time.

use super::error::Damage;
use super::open::OpenSet;
use super::reader::Volume;
use crate::codec::frame;
use crate::digest::Digest;
use crate::format::Part;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

/// The plain bytes of a blob from an offset to its end. What comes out has passed the block table; the digest of the whole blob is
/// for the caller ([`crate::blob::Verified`]).
pub struct BlobReader {
    set: Arc<OpenSet>,
    digest: Digest,
    /// What is still to be read, the next last.
    pending: Vec<Part>,
    current: Option<Current>,
    skip: u64,
}

struct Current {
    decoder: zstd::stream::read::Decoder<'static, Frames>,
    path: std::path::PathBuf,
    offset: u64,
    left: u64,
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
    pub fn blob_reader(self: &Arc<OpenSet>, blob: usize, offset: u64) -> Option<BlobReader> {
        let blob = self.contents().blobs.get(blob)?;
        let (pending, skip) = from_offset(&blob.parts, offset);
        Some(BlobReader { set: self.clone(), digest: blob.digest, pending, current: None, skip })
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
    fn open_next(&mut self) -> io::Result<bool> {
        let Some(part) = self.pending.pop() else { return Ok(false) };
        let volume = self.set.volume(part.volume).map_err(io::Error::other)?;
        let path = volume.path().to_owned();
        let (offset, left) = (part.offset, part.plain());
        let frames = Frames { at: part.offset, end: part.offset + part.size(), volume, block: None };
        self.current = Some(Current { decoder: frame::decoder(frames)?, path, offset, left });
        Ok(true)
    }

    fn read_current(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let digest = self.digest;
        let Some(current) = &mut self.current else { return Ok(0) };
        let wrong =
            |current: &Current, why: String| Damage::Frame { path: current.path.clone(), offset: current.offset, digest, why }.into_io();
        let n = match current.decoder.read(buf) {
            Ok(n) => n,
            Err(e) if Damage::of(&e).is_some() => return Err(e),
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
                let want = usize::try_from(self.skip).unwrap_or(usize::MAX).min(64 << 10);
                let mut before = vec![0; want];
                self.skip -= self.read_current(&mut before)? as u64;
                continue;
            }
            match self.read_current(buf)? {
                0 => continue,
                n => return Ok(n),
            }
        }
    }
}

/// The compressed bytes of one part, block by block, each verified as a whole before it is used.
struct Frames {
    volume: Volume,
    at: u64,
    end: u64,
    block: Option<(usize, Vec<u8>)>,
}

impl Read for Frames {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let n = available.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Frames {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.end {
            return Ok(&[]);
        }
        let wanted = (self.at / self.volume.block_size) as usize;
        if self.block.as_ref().is_none_or(|(at, _)| *at != wanted) {
            let buffer = self.block.take().map(|(_, buffer)| buffer).unwrap_or_default();
            let bytes = self.volume.read(wanted, buffer).map_err(Damage::into_io)?;
            self.block = Some((wanted, bytes));
        }
        let (start, _) = self.volume.span(wanted);
        let bytes = self.block.as_ref().map_or(&[][..], |(_, bytes)| bytes);
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
