//! The volume writer (`sealift-archive(5)`, "Cutting and placement").
//!
//! Placement is serial, in plan order, and depends on nothing but the plan and the bytes: equal input gives equal volumes
//! on any machine and any number of cores. A volume never exceeds its size by a byte, and nothing is recompressed
//! to make it fit: a frame that does not fit is cut at a block end and its rest opens the next volume.

use super::blocks::{BlockWriter, CopyError, HashThread};
use super::error::Error;
use crate::blob::Wrong;
use crate::codec::frame::{self, Compressor, RawFrame};
use crate::digest::Digest;
use crate::format::volume::{self, END, ENTRY_HEADER, PADDING_MAX, TAG_BYTES, TAG_OFFSET};
use crate::format::{FileKind, Frame, Part, SetName, VolumeRef};
use crate::fs::{Dir, FsError, Parked};
use crate::limits;
use std::io::{self, Read};

/// A blob is not cut for a piece smaller than this: it opens the next volume instead.
const WORTHWHILE: u64 = 64 << 10;

/// Room a fresh volume must have: one whole zstd block (128 KiB) with everything around it.
const FRESH_ROOM: u64 = 160 << 10;

/// What the volumes of a set have in common.
#[derive(Clone, Debug)]
pub struct VolumeSpec {
    /// Name of the set.
    pub name: SetName,
    /// Upper bound of a volume in bytes.
    pub volume_size: u64,
    /// Bytes of a block.
    pub block_size: u64,
    /// Digest of the plan, for the tag.
    pub plan: Digest,
    /// `index.json` of the OCI layout that the volumes make when unpacked with stock tools.
    pub layout_index: Vec<u8>,
    /// zstd level.
    pub level: i32,
}

/// A piece of a blob that was compressed by a worker.
pub struct Piece {
    /// The bytes.
    pub plain: Vec<u8>,
    /// The frame they became, by a [`Compressor`] of the set's level.
    pub frame: Vec<u8>,
}

/// A complete volume, still under its `.incomplete` name.
pub struct Finished {
    /// What the index says about it.
    pub volume: VolumeRef,
    /// The file.
    pub file: Parked,
}

/// Bytes every volume spends before its first blob and at its end.
fn overhead(layout_entry: u64) -> u64 {
    TAG_OFFSET + TAG_BYTES + layout_entry + END
}

/// The smallest volume size that works with this `index.json`, at least [`limits::VOLUME_BYTES_MIN`].
pub fn smallest_volume(layout_index: &[u8], level: i32) -> Result<u64, Error> {
    let entry = layout_entry(layout_index, level)?.len() as u64;
    Ok((overhead(entry) + FRESH_ROOM).max(limits::VOLUME_BYTES_MIN))
}

/// The tar entry of the layout's index: header, one frame, padding.
fn layout_entry(layout_index: &[u8], level: i32) -> Result<Vec<u8>, Error> {
    let mut entry = entry_frame(volume::INDEX_FILE, layout_index.len() as u64)?;
    if !layout_index.is_empty() {
        entry.extend(Compressor::new(level)?.compress(layout_index)?);
    }
    entry.extend(volume::padding(layout_index.len() as u64));
    Ok(entry)
}

fn entry_frame(name: &str, size: u64) -> Result<Vec<u8>, Error> {
    volume::entry_frame(name, size).map_err(|e| Error::Fs(FsError::new("name a tar entry", name, e)))
}

/// Writes the volumes of one set, one after the other.
pub struct Writer {
    dir: Dir,
    spec: VolumeSpec,
    layout_entry: Vec<u8>,
    compressor: Compressor,
    hasher: HashThread,
    open: Option<BlockWriter>,
    done: Vec<(u64, Parked)>,
}

/// The tar entry being written: one part of one blob.
struct OpenPart {
    part: Part,
    plain: u64,
}

impl Writer {
    /// Begins a set in `dir`.
    pub fn new(dir: Dir, spec: VolumeSpec) -> Result<Writer, Error> {
        let need = smallest_volume(&spec.layout_index, spec.level)?;
        if spec.volume_size < need {
            return Err(Error::VolumeTooSmall { size: spec.volume_size, need });
        }
        let layout_entry = layout_entry(&spec.layout_index, spec.level)?;
        let compressor = Compressor::new(spec.level)?;
        let hasher = HashThread::start(usize::try_from(spec.block_size).unwrap_or(1 << 20));
        Ok(Writer { dir, spec, layout_entry, compressor, hasher, open: None, done: Vec::new() })
    }

    /// Places a blob whose bytes are compressed already: raw frames of known length, cut anywhere.
    pub fn put_raw(&mut self, digest: &Digest, size: u64, reader: &mut dyn Read) -> Result<Vec<Part>, Error> {
        let mut parts: Vec<Part> = Vec::new();
        let mut left = size;
        while left > 0 {
            let frames = raw_frames(self.room_for_entry()?, left);
            let plain: u64 = frames.iter().sum();
            if plain < left && plain < WORTHWHILE {
                self.close_volume()?;
                continue;
            }
            let name = if plain == size { volume::whole_entry(digest) } else { volume::part_entry(digest, parts.len() + 1) };
            self.write(&entry_frame(&name, plain)?)?;
            let mut part = self.here();
            for plain in frames {
                self.raw_frame(digest, size, plain, reader)?;
                part.frames.push(Frame { size: frame::raw_size(plain), plain, prefix: None });
            }
            self.write(&volume::padding(plain))?;
            parts.push(part);
            left -= plain;
        }
        if size == 0 {
            self.put_empty(digest)?;
        }
        Ok(parts)
    }

    /// Places a blob that workers compressed piece by piece, in order.
    pub fn put_pieces(
        &mut self,
        digest: &Digest,
        size: u64,
        pieces: &mut dyn Iterator<Item = Result<Piece, Error>>,
    ) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::new();
        let mut open: Option<OpenPart> = None;
        for piece in pieces {
            let Piece { plain, mut frame } = piece?;
            let mut rest = plain.as_slice();
            while !rest.is_empty() {
                let room = if open.is_some() { self.room()?.saturating_sub(PADDING_MAX) } else { self.room_for_entry()? };
                if frame.len() as u64 <= room {
                    self.append(&mut open, &frame, rest.len())?;
                    break;
                }
                if let Some(cut) = frame::cut(&frame, rest, usize::try_from(room).unwrap_or(usize::MAX))? {
                    self.append(&mut open, &cut.frame, cut.plain)?;
                    rest = rest.get(cut.plain..).unwrap_or_default();
                    if !rest.is_empty() {
                        frame = self.compressor.compress(rest)?;
                    }
                }
                self.close_part(digest, size, &mut open, &mut parts)?;
                self.close_volume()?;
            }
        }
        self.close_part(digest, size, &mut open, &mut parts)?;
        if size == 0 {
            self.put_empty(digest)?;
        }
        Ok(parts)
    }

    /// Ends the last volume and gives all of them, with their block tables. A set without content has one volume.
    pub fn finish(mut self) -> Result<Vec<Finished>, Error> {
        if self.done.is_empty() {
            self.room()?;
        }
        self.close_volume()?;
        let mut tables: Vec<Vec<[u8; 32]>> = vec![Vec::new(); self.done.len()];
        for (volume, _, hash) in self.hasher.finish() {
            if let Some(table) = tables.get_mut(volume as usize - 1) {
                table.push(hash);
            }
        }
        let name = &self.spec.name;
        let finished = self.done.into_iter().zip(tables).enumerate().map(|(i, ((size, file), table))| Finished {
            volume: VolumeRef {
                name: name.file(FileKind::Volume { number: i as u32 + 1 }),
                size,
                blocks: VolumeRef::encode_blocks(&table),
                medium: None,
                cipher: None,
            },
            file,
        });
        Ok(finished.collect())
    }

    /// Bytes written so far, all volumes.
    pub fn written(&self) -> u64 {
        self.done.iter().map(|(size, _)| size).sum::<u64>() + self.open.as_ref().map_or(0, BlockWriter::written)
    }

    /// Room left in the open volume, opening one where none is; the end of the tar archive is kept free.
    fn room(&mut self) -> Result<u64, Error> {
        if self.open.is_none() {
            let number = self.done.len() as u32 + 1;
            let name = self.spec.name.file(FileKind::Volume { number });
            let preamble = volume::preamble(&self.spec.plan, number).map_err(|e| FsError::new("begin", self.dir.join(&name), e))?;
            self.open = Some(BlockWriter::new(self.dir.stage(&name)?, number, &self.hasher));
            self.write(&preamble)?;
            let entry = std::mem::take(&mut self.layout_entry);
            let result = self.write(&entry);
            self.layout_entry = entry;
            result?;
        }
        let written = self.open.as_ref().map_or(0, BlockWriter::written);
        Ok(self.spec.volume_size.saturating_sub(written + END))
    }

    /// Room for the data of a new entry: its header and padding are kept free.
    fn room_for_entry(&mut self) -> Result<u64, Error> {
        Ok(self.room()?.saturating_sub(ENTRY_HEADER + PADDING_MAX))
    }

    /// An empty part at the current position.
    fn here(&self) -> Part {
        let offset = self.open.as_ref().map_or(0, BlockWriter::written);
        Part { volume: self.done.len() as u32 + 1, offset, frames: Vec::new() }
    }

    fn put_empty(&mut self, digest: &Digest) -> Result<(), Error> {
        if self.room()? < ENTRY_HEADER {
            self.close_volume()?;
            self.room()?;
        }
        self.write(&entry_frame(&volume::whole_entry(digest), 0)?)
    }

    fn append(&mut self, open: &mut Option<OpenPart>, frame: &[u8], plain: usize) -> Result<(), Error> {
        if open.is_none() {
            let (volume, hasher) = self.volume()?;
            volume.open_header(ENTRY_HEADER as usize, hasher).map_err(|e| write_error(volume, e))?;
            *open = Some(OpenPart { part: self.here(), plain: 0 });
        }
        self.write(frame)?;
        if let Some(open) = open {
            open.plain += plain as u64;
            open.part.frames.push(Frame { size: frame.len() as u64, plain: plain as u64, prefix: None });
        }
        Ok(())
    }

    fn close_part(&mut self, digest: &Digest, size: u64, open: &mut Option<OpenPart>, parts: &mut Vec<Part>) -> Result<(), Error> {
        let Some(OpenPart { part, plain }) = open.take() else { return Ok(()) };
        let name = if plain == size { volume::whole_entry(digest) } else { volume::part_entry(digest, parts.len() + 1) };
        let header = entry_frame(&name, plain)?;
        let (volume, hasher) = self.volume()?;
        volume.close_header(&header, hasher).map_err(|e| write_error(volume, e))?;
        self.write(&volume::padding(plain))?;
        parts.push(part);
        Ok(())
    }

    fn close_volume(&mut self) -> Result<(), Error> {
        if self.open.is_some() {
            self.write(&volume::end())?;
        }
        if let Some(volume) = self.open.take() {
            debug_assert!(volume.written() <= self.spec.volume_size);
            self.done.push(volume.finish(&self.hasher)?);
        }
        Ok(())
    }

    fn raw_frame(&mut self, digest: &Digest, size: u64, plain: u64, reader: &mut dyn Read) -> Result<(), Error> {
        let (mut raw, header) = RawFrame::begin(plain);
        self.write(&header)?;
        while let Some((header, len)) = raw.next_block() {
            self.write(&header)?;
            let (volume, hasher) = self.volume()?;
            volume.copy(reader, len, hasher, |bytes| raw.update(bytes)).map_err(|e| match e {
                CopyError::Write(e) => write_error(volume, e),
                CopyError::Read(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    let short = Wrong::Short { digest: *digest, expected: size, found: 0 };
                    Error::Source { digest: *digest, source: short.into_io() }
                }
                CopyError::Read(source) => Error::Source { digest: *digest, source },
            })?;
        }
        self.write(&raw.end())
    }

    fn volume(&mut self) -> Result<(&mut BlockWriter, &HashThread), Error> {
        self.room()?;
        match &mut self.open {
            Some(volume) => Ok((volume, &self.hasher)),
            None => Err(Error::Interrupted),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.open {
            Some(volume) => volume.write(bytes, &self.hasher).map_err(|e| write_error(volume, e)),
            None => Ok(()),
        }
    }
}

fn write_error(volume: &BlockWriter, error: io::Error) -> Error {
    Error::Fs(FsError::from_io(error, "write", volume.path()))
}

/// The raw frames that take as much of `left` as fits into `room`.
fn raw_frames(mut room: u64, mut left: u64) -> Vec<u64> {
    let mut frames = Vec::new();
    while left > 0 {
        let Some(fits) = frame::raw_capacity(room) else { break };
        let plain = fits.min(left).min(limits::FRAME_PLAIN_BYTES);
        frames.push(plain);
        room -= frame::raw_size(plain);
        left -= plain;
    }
    frames
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
