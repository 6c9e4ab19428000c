//! Entries of a layer, one after the other.
//!
//! Headers are read as the container engines' own reader does (Go `archive/tar`: POSIX.1-2001 pax, ustar and GNU long names), so that
//! what is seen here is what will be seen where the image runs. Everything an archive can claim has a ceiling.

use crate::limits;
use crate::text::shown;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};

const BLOCK: usize = 512;

/// What an entry is, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::openshift) enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A second name of a file of the same layer, normalised like a path.
    HardLink(String),
    /// A symbolic link, as written.
    SymLink(String),
    /// A file with holes, in a form whose content is not read here.
    Sparse,
    /// A device, a pipe.
    Other,
}

/// One entry. Its content is read from [`Entries`] before the next one is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::openshift) struct Entry {
    /// Normalised: no leading `/`, no `.`, no `..`, no trailing `/`; empty for the root.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub owner: Owner,
}

/// Permissions and owner of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::openshift) struct Owner {
    /// Permission bits, sticky and set-id bits included.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
}

impl Owner {
    fn of(header: &tar::Header) -> Owner {
        let mode = header.mode().unwrap_or(0o755) & 0o7777;
        Owner { mode, uid: header.uid().unwrap_or(0), gid: header.gid().unwrap_or(0) }
    }
}

/// The bytes of a layer without their compression: gzip of any number of members, zstd, or none; by content, since media types are
/// often wrong.
pub(in crate::openshift) fn plain<'r>(reader: Box<dyn Read + Send + 'r>) -> io::Result<Box<dyn Read + 'r>> {
    let mut reader = BufReader::with_capacity(64 << 10, reader);
    let (gzip, zstd) = {
        let head = reader.fill_buf()?;
        (head.starts_with(&[0x1f, 0x8b]), head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable_frame(head))
    };
    Ok(match (gzip, zstd) {
        (true, _) => Box::new(MultiGzDecoder::new(reader)),
        // Its window is bounded (128 MiB) unless asked otherwise.
        (_, true) => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        _ => Box::new(reader),
    })
}

/// What chunked zstd layers may begin with (RFC 8878, section 3.1.2).
fn is_skippable_frame(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Why an archive cannot be read further.
pub(in crate::openshift) enum Bad {
    /// It is not as an archive should be; safe to print.
    Archive(String),
    /// Reading failed.
    Read(io::Error),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Bad {
        Bad::Read(error)
    }
}

fn bad<T>(why: impl Into<String>) -> Result<T, Bad> {
    Err(Bad::Archive(why.into()))
}

/// Reads entries.
pub(in crate::openshift) struct Entries<R> {
    reader: R,
    /// Bytes of the current entry that are still to come.
    left: u64,
    /// Bytes after them up to the next block.
    padding: u64,
    /// Bytes read in all.
    seen: u64,
    /// Most bytes of the whole archive.
    limit: u64,
    count: usize,
}

/// What extended headers say about the entry that follows.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    /// The name of a sparse file, which `path` is then not.
    sparse_path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> Entries<R> {
    /// From the first byte of an archive without compression.
    pub fn new(reader: R) -> Entries<R> {
        Entries { reader, left: 0, padding: 0, seen: 0, limit: limits::LAYER_PLAIN_BYTES, count: 0 }
    }

    /// With another ceiling on the bytes of the archive.
    pub fn limited(self, limit: u64) -> Entries<R> {
        Entries { limit, ..self }
    }

    /// The next entry whose name can be a path here (UTF-8); `None` at the end. What is left of the one before is passed over.
    pub fn next(&mut self) -> Result<Option<Entry>, Bad> {
        let mut extended = Extended::default();
        loop {
            self.pass_over()?;
            let Some(header) = self.header()? else { return Ok(None) };
            self.count += 1;
            if self.count > limits::LAYER_ENTRIES {
                return bad(format!("it has more than {} entries", limits::LAYER_ENTRIES));
            }
            let size = header.entry_size().map_err(|_| Bad::Archive("an entry has no size".into()))?;
            match header.entry_type().as_byte() {
                b'x' => self.pax(size, &mut extended)?,
                b'L' => extended.long_path = Some(self.special(size)?),
                b'K' => extended.long_link = Some(self.special(size)?),
                // Comments of `git archive` and the like; the engines give them no meaning for files either.
                b'g' => self.content(size)?,
                kind => {
                    if let Some(entry) = self.entry(&header, kind, size, &mut extended)? {
                        return Ok(Some(entry));
                    }
                    extended = Extended::default();
                }
            }
        }
    }

    /// `None` where the name is not UTF-8: no path that is looked for, and nothing that hides one.
    fn entry(&mut self, header: &tar::Header, kind: u8, size: u64, extended: &mut Extended) -> Result<Option<Entry>, Bad> {
        let sparse_path = extended.sparse_path.take().filter(|_| extended.sparse);
        let name = extended.long_path.take().or(sparse_path).or(extended.path.take()).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extended.long_link.take().or(extended.link.take());
        let link = link.or_else(|| header.link_name_bytes().map(|name| name.into_owned())).unwrap_or_default();
        let folder = matches!(kind, b'5') || kind == 0 && name.ends_with(b"/");
        if kind == b'S' {
            self.sparse_map(header)?;
        }
        // Links, devices, folders and pipes have no content, whatever their header says.
        let has_content = !folder && !matches!(kind, b'1'..=b'4' | b'6');
        self.content(if has_content { extended.size.unwrap_or(size) } else { 0 })?;
        let (Ok(name), Ok(link)) = (String::from_utf8(name), String::from_utf8(link)) else { return Ok(None) };
        let kind = match kind {
            _ if folder => Kind::Folder,
            b'S' => Kind::Sparse,
            0 | b'0' | b'7' if extended.sparse => Kind::Sparse,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink(normal(&link)?),
            b'2' => Kind::SymLink(link),
            _ => Kind::Other,
        };
        Ok(Some(Entry { path: normal(&name)?, kind, owner: Owner::of(header) }))
    }

    /// Begins the content of an entry.
    fn content(&mut self, size: u64) -> Result<(), Bad> {
        if size > self.limit {
            return bad(format!("an entry claims {size} bytes, more than the {} that are read of a layer", self.limit));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// Takes in the content of a header that is about the next entry.
    fn special(&mut self, size: u64) -> Result<Vec<u8>, Bad> {
        if size > limits::TAR_HEADER_BYTES {
            return bad(format!("an extended header has {size} bytes"));
        }
        self.content(size)?;
        let mut bytes = Vec::new();
        io::copy(self, &mut bytes)?;
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }

    /// Reads a pax header: records of `LENGTH KEY=VALUE\n` (POSIX.1-2001, pax, "Extended Header").
    fn pax(&mut self, size: u64, extended: &mut Extended) -> Result<(), Bad> {
        let bytes = self.special(size)?;
        // Of several in a row the last counts, as a whole.
        let (long_path, long_link) = (extended.long_path.take(), extended.long_link.take());
        *extended = Extended { long_path, long_link, ..Extended::default() };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Some((key, value, after)) = pax_record(rest) else { return bad("an extended header is malformed") };
            match key {
                // An empty value says: as in the header itself.
                _ if value.is_empty() => {}
                b"path" => extended.path = Some(value.to_vec()),
                b"GNU.sparse.name" => extended.sparse_path = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => match std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
                    Some(size) => extended.size = Some(size),
                    None => return bad("an extended header gives a size that is no number"),
                },
                key => extended.sparse |= key.starts_with(b"GNU.sparse."),
            }
            rest = after;
        }
        Ok(())
    }

    /// Passes over the blocks that continue the map of an old GNU sparse file.
    fn sparse_map(&mut self, header: &tar::Header) -> Result<(), Bad> {
        let mut more = header.as_gnu().is_some_and(|gnu| gnu.isextended != [0]);
        let mut block = [0; BLOCK];
        while more {
            if !self.block(&mut block)? {
                return bad("it ends in the middle of an entry");
            }
            more = block.get(504).is_some_and(|more| *more != 0);
        }
        Ok(())
    }

    fn pass_over(&mut self) -> Result<(), Bad> {
        io::copy(self, &mut io::sink())?;
        let padding = std::mem::take(&mut self.padding);
        // The last padding of an archive that was cut off after its content is forgiven by the engines too.
        self.seen += io::copy(&mut (&mut self.reader).take(padding), &mut io::sink())?;
        Ok(())
    }

    fn header(&mut self) -> Result<Option<tar::Header>, Bad> {
        let mut header = tar::Header::new_old();
        if !self.block(header.as_mut_bytes())? {
            return Ok(None);
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK];
            if self.block(&mut second)? && second.iter().any(|byte| *byte != 0) {
                return bad("a single empty block stands between its entries");
            }
            return Ok(None);
        }
        let sum: u32 = header.as_bytes().iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
        if header.cksum().ok() != Some(sum) {
            return bad("it is no tar archive (the checksum of a header does not hold)");
        }
        Ok(Some(header))
    }

    /// Fills a block; false at the end of the archive.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Bad> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return bad("it ends in the middle of a header"),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.seen += BLOCK as u64;
        if self.seen > self.limit {
            return bad(format!("it unfolds to more than {} bytes", self.limit));
        }
        Ok(true)
    }
}

impl<R: Read> Read for Entries<R> {
    /// The content of the current entry.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(window) = buffer.get_mut(..most).filter(|window| !window.is_empty()) else { return Ok(0) };
        let n = self.reader.read(window)?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle of a file"));
        }
        self.left -= n as u64;
        self.seen += n as u64;
        if self.seen > self.limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it unfolds to more than {} bytes", self.limit)));
        }
        Ok(n)
    }
}

/// Key, value and what follows of the first record.
fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, bytes.get(length..)?))
}

/// `./a//b/`, `/a/b` and `a/b` are one path. `..` is refused: no builder writes it, only attacks do.
pub(in crate::openshift) fn normal(path: &str) -> Result<String, Bad> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return bad(format!("it has the path {}", shown(path))),
            part => parts.push(part),
        }
    }
    if path.len() > limits::PATH_BYTES || path.contains('\0') {
        return bad(format!("it has the path {}", shown(path)));
    }
    Ok(parts.join("/"))
}
