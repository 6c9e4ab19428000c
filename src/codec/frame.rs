//! zstd frames (RFC 8878) as volumes use them.
//!
//! Small fixed things (tar headers, padding) and bytes that are compressed already go into hand-made frames of raw
//! or RLE blocks, whose length is known beforehand to the byte. Everything else is compressed for real. Every frame
//! carries the content checksum, so that stock `zstd` and `tar` notice damage too.

use std::io::{self, Read};
use twox_hash::XxHash64;
use zstd_safe::{CCtx, CParameter, zstd_sys};

/// Largest block of a frame (RFC 8878, "Blocks": 128 KiB).
pub const BLOCK: usize = 128 << 10;
/// Magic number of a frame, little endian.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Magic number of skippable frame 0.
const SKIPPABLE: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];
/// Length of the header of a [`RawFrame`]: magic, descriptor, window, four bytes of content size.
const RAW_HEADER: u64 = 10;
/// Length of the checksum at the end of a frame.
const CHECKSUM: u64 = 4;
/// An empty, last raw block: what ends a frame that was cut.
const END_BLOCK: [u8; 3] = [1, 0, 0];

/// What a compressor could not do. Only the library's own failure (memory) leads here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("zstd: {0}")]
pub struct CodecError(pub String);

impl CodecError {
    fn code(code: usize) -> CodecError {
        CodecError(zstd_safe::get_error_name(code).to_owned())
    }
}

/// The version of the zstd library: part of what determinism is promised for.
pub fn library_version() -> String {
    zstd_safe::version_string().to_owned()
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    low_half(XxHash64::oneshot(0, bytes))
}

/// The frame checksum is the low half of XXH64 (RFC 8878, "Content_Checksum").
fn low_half(hash: u64) -> [u8; 4] {
    (hash as u32).to_le_bytes()
}

fn block_header(last: bool, kind: u32, size: usize) -> [u8; 3] {
    let word = u32::from(last) | kind << 1 | (size as u32) << 3;
    let [a, b, c, _] = word.to_le_bytes();
    [a, b, c]
}

/// Frame header of a single-segment frame of at most 65 791 bytes.
fn short_header(len: usize) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    match u8::try_from(len) {
        Ok(len) => out.extend([0x24, len]),
        Err(_) => {
            out.push(0x64);
            out.extend(((len.saturating_sub(256)) as u16).to_le_bytes());
        }
    }
    out
}

/// A frame holding up to 64 KiB as they are, in one raw block.
pub fn raw(bytes: &[u8]) -> Vec<u8> {
    debug_assert!(bytes.len() <= 65_791);
    let mut out = short_header(bytes.len());
    out.extend(block_header(true, 0, bytes.len()));
    out.extend(bytes);
    out.extend(checksum(bytes));
    out
}

/// A frame that unfolds to `len` zero bytes (at most 64 KiB), in one RLE block.
pub fn zeros(len: usize) -> Vec<u8> {
    let mut out = short_header(len);
    out.extend(block_header(true, 1, len));
    out.push(0);
    out.extend(checksum(&vec![0; len]));
    out
}

/// A skippable frame with a short payload: decoders pass over it.
pub fn skippable(payload: &[u8]) -> Vec<u8> {
    let mut out = SKIPPABLE.to_vec();
    out.extend((payload.len() as u32).to_le_bytes());
    out.extend(payload);
    out
}

/// Length of the frame that holds `plain` raw bytes.
pub fn raw_size(plain: u64) -> u64 {
    RAW_HEADER + plain + 3 * plain.div_ceil(BLOCK as u64).max(1) + CHECKSUM
}

/// The most raw bytes whose frame fits into `room`; `None` when not one byte fits.
pub fn raw_capacity(room: u64) -> Option<u64> {
    let room = room.checked_sub(RAW_HEADER + CHECKSUM)?;
    let unit = BLOCK as u64 + 3;
    let plain = room / unit * BLOCK as u64 + (room % unit).saturating_sub(3);
    (plain > 0).then_some(plain)
}

/// Makes a frame of raw blocks while its bytes pass by: header, then per block a header and the bytes, then the checksum.
/// The window is 128 KiB whatever the length, so any decoder streams it.
pub struct RawFrame {
    left: u64,
    hash: XxHash64,
}

impl RawFrame {
    /// Begins a frame of exactly `plain` bytes (below 4 GiB, at least one).
    pub fn begin(plain: u64) -> (RawFrame, [u8; 10]) {
        let [m0, m1, m2, m3] = MAGIC;
        let [s0, s1, s2, s3] = (plain as u32).to_le_bytes();
        // 0x84: content size in 4 bytes, checksum present. 0x38: window 2^17.
        (RawFrame { left: plain, hash: XxHash64::with_seed(0) }, [m0, m1, m2, m3, 0x84, 0x38, s0, s1, s2, s3])
    }

    /// The header of the next block and how many bytes belong into it; `None` after the last.
    pub fn next_block(&mut self) -> Option<([u8; 3], usize)> {
        let len = self.left.min(BLOCK as u64);
        if len == 0 {
            return None;
        }
        self.left -= len;
        Some((block_header(self.left == 0, 0, len as usize), len as usize))
    }

    /// Passes over as many whole blocks as lie within the next `skip` plain bytes: how many plain bytes those are, and how long they are
    /// in the frame. The checksum does not have them then.
    pub fn pass(&mut self, skip: u64) -> (u64, u64) {
        let blocks = skip.min(self.left) / BLOCK as u64;
        let plain = blocks * BLOCK as u64;
        self.left -= plain;
        (plain, plain + 3 * blocks)
    }

    /// Takes the bytes of the block into the checksum.
    pub fn update(&mut self, bytes: &[u8]) {
        std::hash::Hasher::write(&mut self.hash, bytes);
    }

    /// The end of the frame.
    pub fn end(self) -> [u8; 4] {
        low_half(std::hash::Hasher::finish(&self.hash))
    }
}

/// Compresses pieces one at a time with one pinned set of parameters: equal bytes in, equal bytes out, on any machine
/// and whatever was compressed before.
pub struct Compressor {
    context: CCtx<'static>,
}

impl Compressor {
    /// A compressor of one zstd level. No threads of its own, checksum on, no content size (a frame must stay cuttable),
    /// window at most 2^27 (what stock decoders open without being told).
    pub fn new(level: i32) -> Result<Compressor, CodecError> {
        let mut context = CCtx::try_create().ok_or_else(|| CodecError("out of memory".into()))?;
        let parameters =
            [CParameter::CompressionLevel(level.clamp(1, 19)), CParameter::ChecksumFlag(true), CParameter::ContentSizeFlag(false)];
        for parameter in parameters {
            context.set_parameter(parameter).map_err(CodecError::code)?;
        }
        Ok(Compressor { context })
    }

    /// One frame of all of `plain`.
    pub fn compress(&mut self, plain: &[u8]) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::with_capacity(zstd_safe::compress_bound(plain.len()));
        self.context.compress2(&mut out, plain).map_err(CodecError::code)?;
        out.shrink_to_fit();
        Ok(out)
    }
}

/// A frame cut short: complete in itself.
pub struct Cut {
    /// The frame.
    pub frame: Vec<u8>,
    /// How many of the plain bytes it holds.
    pub plain: usize,
}

/// Cuts a compressed frame made by [`Compressor`] after the last block that fits into `room` bytes: the blocks so far, an
/// empty last block, the checksum of what they unfold to. `None` when not one block fits.
pub fn cut(frame: &[u8], plain: &[u8], room: usize) -> Result<Option<Cut>, CodecError> {
    let broken = || CodecError("a frame made here could not be read back".into());
    let header = header_len(frame).ok_or_else(broken)?;
    let budget = room.saturating_sub(END_BLOCK.len() + CHECKSUM as usize);
    let mut end = header;
    while let Some((last, body)) = block_at(frame, end) {
        let next = end + 3 + body;
        if last || next > budget {
            break;
        }
        end = next;
    }
    if end == header {
        return Ok(None);
    }
    let mut out = frame.get(..end).ok_or_else(broken)?.to_vec();
    let held = unfolded(&out).map_err(|e| CodecError(e.to_string()))?;
    let kept = plain.get(..held).filter(|kept| !kept.is_empty()).ok_or_else(broken)?;
    out.extend(END_BLOCK);
    out.extend(checksum(kept));
    Ok(Some(Cut { frame: out, plain: held }))
}

/// Length of a frame header (RFC 8878, "Frame_Header").
fn header_len(frame: &[u8]) -> Option<usize> {
    let descriptor = *frame.get(4)?;
    let single = descriptor >> 5 & 1 == 1;
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    Some(5 + usize::from(!single) + dictionary + content)
}

/// What a decoder of a frame must remember of what it unfolded, in bytes (RFC 8878, "Window_Descriptor"); `frame` are its first bytes. A
/// frame of a single segment names its length instead, which is a little more than is said here where it is short.
pub fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4).filter(|_| frame.starts_with(&MAGIC))?;
    if descriptor >> 5 & 1 == 0 {
        let byte = u64::from(*frame.get(5)?);
        let base = 1 << (10 + (byte >> 3));
        return Some(base + base / 8 * (byte & 7));
    }
    let at = 5 + *[0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let length = *[1, 2, 4, 8].get(usize::from(descriptor >> 6))?;
    let digits = frame.get(at..at + length)?;
    Some(digits.iter().rev().fold(0, |value, digit| value << 8 | u64::from(*digit)))
}

/// The block at `at`: whether it is the last and the length of its body.
fn block_at(frame: &[u8], at: usize) -> Option<(bool, usize)> {
    let header: [u8; 3] = frame.get(at..at + 3)?.try_into().ok()?;
    let word = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let size = (word >> 3) as usize;
    Some((word & 1 == 1, if word >> 1 & 3 == 1 { 1 } else { size }))
}

/// How many bytes the blocks of a frame unfold to, its end missing: decoded without the checksum it does not have yet.
fn unfolded(blocks: &[u8]) -> io::Result<usize> {
    let mut copy = blocks.to_vec();
    if let Some(descriptor) = copy.get_mut(4) {
        *descriptor &= !0x04;
    }
    copy.extend(END_BLOCK);
    let mut decoder = decoder(copy.as_slice())?;
    Ok(io::copy(&mut decoder, &mut io::sink())? as usize)
}

/// A decoder for a run of frames: window at most 2^27, checksums verified.
pub fn decoder<'a, R: io::BufRead>(frames: R) -> io::Result<zstd::stream::read::Decoder<'a, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frames)?;
    decoder.window_log_max(27)?;
    Ok(decoder)
}

/// Unfolds a whole small document, at most `limit` bytes.
pub fn unfold(frames: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder(frames)?.take(limit.saturating_add(1)).read_to_end(&mut out)?;
    if out.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it unfolds to more than {limit} bytes")));
    }
    Ok(out)
}

/// True for bytes that zstd would not make smaller: gzip, zstd, xz, bzip2 and lz4 streams, by their first bytes.
pub fn is_compressed(first: &[u8]) -> bool {
    const MAGICS: [&[u8]; 5] = [&[0x1f, 0x8b], &MAGIC, &[0xfd, b'7', b'z', b'X', b'Z', 0], b"BZh", &[0x04, 0x22, 0x4d, 0x18]];
    MAGICS.iter().any(|magic| first.starts_with(magic))
}

// The window of the highest level stays within what `decoder` accepts.
const _: () = assert!(zstd_sys::ZSTD_WINDOWLOG_LIMIT_DEFAULT == 27);

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            out.extend(format!("{} line {}\n", state >> 40, state >> 60).bytes());
        }
        out.truncate(len);
        out
    }

    fn stock(frame: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        zstd::stream::read::Decoder::new(frame)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn raw_frame(bytes: &[u8]) -> Vec<u8> {
        let (mut frame, header) = RawFrame::begin(bytes.len() as u64);
        let mut out = header.to_vec();
        let mut rest = bytes;
        while let Some((header, len)) = frame.next_block() {
            out.extend(header);
            frame.update(&rest[..len]);
            out.extend(&rest[..len]);
            rest = &rest[len..];
        }
        out.extend(frame.end());
        out
    }

    #[test]
    fn hand_made_frames_are_frames() {
        for len in [0, 1, 255, 256, 511, 512, 1024, 65_000] {
            let bytes = text(len, 3);
            assert_eq!(stock(&raw(&bytes)).unwrap(), bytes);
            assert_eq!(stock(&zeros(len)).unwrap(), vec![0; len]);
        }
        assert_eq!(stock(&[skippable(b"tag"), raw(b"x")].concat()).unwrap(), b"x");
        assert_eq!((raw(&[0; 512]).len(), zeros(1024).len()), (526, 15));
    }

    #[test]
    fn the_window_of_a_frame_is_read_from_its_beginning() {
        let plain = text(9 << 20, 4);
        for (level, expected) in [(3, 2 << 20), (19, 8 << 20)] {
            let frame = Compressor::new(level).unwrap().compress(&plain).unwrap();
            assert_eq!(window(&frame[..18]), Some(expected));
        }
        assert_eq!(window(&raw_frame(&plain[..1000])[..18]), Some(128 << 10));
        assert_eq!(window(&zstd::bulk::compress(&plain[..200], 3).unwrap()), Some(200));
        for broken in [&b""[..], &MAGIC, &[0; 18], &[0x28, 0xb5, 0x2f, 0xfd, 0xe0, 1, 2]] {
            assert_eq!(window(broken), None);
        }
    }

    #[test]
    fn raw_frames_have_the_size_that_was_promised() {
        for len in [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17] {
            let bytes = text(len, 5);
            let frame = raw_frame(&bytes);
            assert_eq!(frame.len() as u64, raw_size(len as u64));
            assert_eq!(stock(&frame).unwrap(), bytes);
        }
    }

    #[test]
    fn damage_in_a_raw_frame_is_noticed_by_stock_decoders() {
        let mut frame = raw_frame(&text(1000, 1));
        frame[500] ^= 1;
        assert!(stock(&frame).is_err());
    }

    #[test]
    fn compression_does_not_remember() {
        let mut one = Compressor::new(3).unwrap();
        let first = one.compress(&text(300_000, 1)).unwrap();
        one.compress(&text(9_000, 2)).unwrap();
        assert_eq!(one.compress(&text(300_000, 1)).unwrap(), first);
        assert_eq!(Compressor::new(3).unwrap().compress(&text(300_000, 1)).unwrap(), first);
        assert_eq!(stock(&first).unwrap(), text(300_000, 1));
    }

    #[test]
    fn bombs_are_stopped() {
        let bomb = Compressor::new(19).unwrap().compress(&vec![0; 50 << 20]).unwrap();
        assert!(bomb.len() < 10_000 && unfold(&bomb, 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn raw_capacity_is_exact(room in 0u64..5_000_000) {
            match raw_capacity(room) {
                Some(plain) => {
                    prop_assert!(raw_size(plain) <= room);
                    prop_assert!(raw_size(plain + 1) > room);
                }
                None => prop_assert!(raw_size(1) > room),
            }
        }

        #[test]
        fn a_cut_frame_is_a_frame_and_the_rest_is_the_rest(len in 1usize..900_000, seed: u64, share in 0.0f64..1.1) {
            let plain = text(len, seed);
            let frame = Compressor::new(3).unwrap().compress(&plain).unwrap();
            let room = (frame.len() as f64 * share) as usize;
            if let Some(cut) = cut(&frame, &plain, room).unwrap() {
                prop_assert!(cut.frame.len() <= room);
                prop_assert_eq!(stock(&cut.frame).unwrap(), &plain[..cut.plain]);
                prop_assert!(cut.plain < plain.len() || cut.frame.len() <= frame.len() + 7);
            }
        }
    }
}
