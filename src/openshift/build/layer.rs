//! One layer: a tar archive under gzip whose bytes depend on nothing but the files given.

use super::BuildError;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::fs::{Dir, File, FsError};
use crate::layout::Layout;
use crate::limits;
use crate::oci::Descriptor;
use crate::openshift::files::Owner;
use flate2::write::GzEncoder;
use std::collections::BTreeSet;
use std::io::{self, BufWriter, Read, Write};

/// The media type of a layer in an OCI manifest; in a Docker manifest [`super::edit`] writes the other one.
pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// What the compressor is given at once: its output must not depend on how its input came in pieces.
const PIECE: usize = 64 << 10;
const BLOCK: u64 = 512;

/// A finished layer, stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Of the compressed archive.
    pub descriptor: Descriptor,
    /// Digest of the archive before compression.
    pub diff_id: Digest,
}

/// Makes a layer. Owner and group are 0, times are the one given, folders have mode 0755 and files 0644; parent folders are made
/// where they were not given. The order of entries is the caller's: the same files in the same order give the same digest.
pub struct LayerBuilder {
    /// `None` once it is finished.
    tar: Option<BufWriter<Tar>>,
    mtime: u64,
    paths: BTreeSet<String>,
    workspace: Layout,
    folder: Dir,
    name: String,
}

/// Archive bytes: hashed, compressed, hashed again, written.
struct Tar {
    plain: Hasher,
    gzip: GzEncoder<Stored>,
}

struct Stored {
    hasher: Hasher,
    size: u64,
    file: BufWriter<File>,
}

impl Write for Tar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gzip.write_all(bytes)?;
        self.plain.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stored {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl LayerBuilder {
    /// Begins a layer in `workspace`. `name` says what it is made from (letters, digits, `-`): while it grows, whoever makes the same
    /// waits, and what a killed run left is made anew. `mtime` is in seconds since 1970.
    ///
    /// # Errors
    /// [`BuildError::Workspace`].
    pub fn new(workspace: &Layout, name: &str, mtime: u64) -> Result<LayerBuilder, BuildError> {
        let name = format!("making-{name}{}", crate::fs::INCOMPLETE);
        let (folder, file) = workspace.making(&name)?;
        let stored = Stored { hasher: Hasher::new(Algorithm::Sha256), size: 0, file: BufWriter::with_capacity(512 << 10, file) };
        let gzip = flate2::GzBuilder::new().operating_system(255).write(stored, flate2::Compression::new(6));
        let tar = BufWriter::with_capacity(PIECE, Tar { plain: Hasher::new(Algorithm::Sha256), gzip });
        Ok(LayerBuilder { tar: Some(tar), mtime, paths: BTreeSet::new(), workspace: workspace.clone(), folder, name })
    }

    /// Adds a folder, and those above it; not an error when it is there.
    ///
    /// # Errors
    /// [`BuildError::Path`] where a file is.
    pub fn folder(&mut self, path: &str) -> Result<(), BuildError> {
        self.folder_of(path, Owner { mode: 0o755, uid: 0, gid: 0 })
    }

    /// A folder as it is in the layers below: without this, what a layer has in it would change its owner and mode.
    pub(in crate::openshift) fn folder_of(&mut self, path: &str, owner: Owner) -> Result<(), BuildError> {
        check(path)?;
        self.folders_above(path)?;
        if self.paths.insert(format!("{path}/")) {
            self.refuse_twice(path, path)?;
            self.header(&format!("{path}/"), tar::EntryType::Directory, owner, 0)?;
        }
        Ok(())
    }

    /// Adds a file of exactly `size` bytes.
    ///
    /// # Errors
    /// [`BuildError::Path`] where something is already; [`BuildError::Content`] when `content` fails or is of another size.
    pub fn file(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<(), BuildError> {
        check(path)?;
        if size > limits::LAYER_PLAIN_BYTES.min((8 << 30) - 1) {
            return Err(BuildError::Path { path: path.into(), why: "its file is too large" });
        }
        self.folders_above(path)?;
        self.refuse_twice(path, &format!("{path}/"))?;
        if !self.paths.insert(path.to_owned()) {
            return Err(BuildError::Path { path: path.into(), why: "it is there already" });
        }
        self.header(path, tar::EntryType::Regular, Owner { mode: 0o644, uid: 0, gid: 0 }, size)?;
        self.copy(path, size, content)?;
        let padding = size.next_multiple_of(BLOCK) - size;
        self.write(&[0; BLOCK as usize][..usize::try_from(padding).unwrap_or(0)])
    }

    /// Adds a small file.
    ///
    /// # Errors
    /// As [`LayerBuilder::file`].
    pub fn bytes(&mut self, path: &str, mut content: &[u8]) -> Result<(), BuildError> {
        self.file(path, content.len() as u64, &mut content)
    }

    /// Hides a path of the layers below, with everything under it (OCI image specification, "Whiteouts").
    ///
    /// # Errors
    /// As [`LayerBuilder::file`].
    pub fn whiteout(&mut self, path: &str) -> Result<(), BuildError> {
        let name = match path.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        self.bytes(&name, b"")
    }

    /// Ends the archive and stores it under its digest.
    ///
    /// # Errors
    /// [`BuildError::Workspace`], [`BuildError::Fs`].
    pub fn finish(mut self) -> Result<Layer, BuildError> {
        self.write(&[0; 2 * BLOCK as usize])?;
        let path = self.folder.join(&self.name);
        let fail = |e: io::Error| FsError::from_io(e, "write", &path);
        let Some(tar) = self.tar.take() else { return Err(fail(io::ErrorKind::BrokenPipe.into()).into()) };
        let tar = tar.into_inner().map_err(|e| fail(e.into_error()))?;
        let diff_id = tar.plain.finish();
        let stored = tar.gzip.finish().map_err(fail)?;
        let descriptor = Descriptor::new(OCI_LAYER, stored.hasher.finish(), stored.size);
        let file = stored.file.into_inner().map_err(|e| fail(e.into_error()))?;
        if self.folder.is_durable() {
            file.sync()?;
        }
        self.workspace.made(&descriptor, &self.folder, &self.name)?;
        Ok(Layer { descriptor, diff_id })
    }

    fn folders_above(&mut self, path: &str) -> Result<(), BuildError> {
        match path.rsplit_once('/') {
            // As deep as the path has parts, which `check` bounds.
            Some((above, _)) if !self.paths.contains(&format!("{above}/")) => self.folder(above),
            _ => Ok(()),
        }
    }

    fn refuse_twice(&self, path: &str, other: &str) -> Result<(), BuildError> {
        if self.paths.contains(other) {
            return Err(BuildError::Path { path: path.into(), why: "it is a file and a folder" });
        }
        Ok(())
    }

    fn header(&mut self, path: &str, kind: tar::EntryType, owner: Owner, size: u64) -> Result<(), BuildError> {
        let mut header = tar::Header::new_ustar();
        if header.set_path(path).is_err() {
            self.long_path(path)?;
            // What readers without pax show; the pax record is what counts.
            let short: String = path.chars().filter(char::is_ascii).take(90).collect();
            for (to, from) in header.as_old_mut().name.iter_mut().zip(short.bytes()) {
                *to = from;
            }
        }
        self.fixed(&mut header, kind, owner, size);
        self.write(header.as_bytes())
    }

    /// A pax header (POSIX.1-2001) with the whole path.
    fn long_path(&mut self, path: &str) -> Result<(), BuildError> {
        let body = format!(" path={path}\n");
        let digits = |n: usize| n.to_string().len();
        let mut length = body.len() + digits(body.len());
        if digits(length) + body.len() != length {
            length = body.len() + digits(length);
        }
        let mut record = format!("{length}{body}").into_bytes();
        let mut header = tar::Header::new_ustar();
        for (to, from) in header.as_old_mut().name.iter_mut().zip(b"PaxHeaders/path") {
            *to = *from;
        }
        self.fixed(&mut header, tar::EntryType::XHeader, Owner { mode: 0o644, uid: 0, gid: 0 }, record.len() as u64);
        self.write(header.as_bytes())?;
        record.resize(record.len().next_multiple_of(BLOCK as usize), 0);
        self.write(&record)
    }

    fn fixed(&self, header: &mut tar::Header, kind: tar::EntryType, owner: Owner, size: u64) {
        header.set_entry_type(kind);
        header.set_mode(owner.mode);
        header.set_uid(owner.uid);
        header.set_gid(owner.gid);
        header.set_mtime(self.mtime);
        header.set_size(size);
        header.set_cksum();
    }

    fn copy(&mut self, path: &str, size: u64, content: &mut dyn Read) -> Result<(), BuildError> {
        let fail = |error| BuildError::Content { path: path.into(), error };
        let mut buffer = vec![0; PIECE];
        let mut left = size;
        loop {
            let n = match content.read(&mut buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(fail(e)),
            };
            match (n as u64, left) {
                (0, 0) => return Ok(()),
                (0, _) => return Err(fail(io::ErrorKind::UnexpectedEof.into())),
                (n, left) if n > left => return Err(fail(io::Error::new(io::ErrorKind::InvalidData, "it is longer than announced"))),
                (n, _) => left -= n,
            }
            self.write(buffer.get(..n).unwrap_or_default())?;
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BuildError> {
        let Some(tar) = &mut self.tar else { return Ok(()) };
        tar.write_all(bytes).map_err(|e| FsError::from_io(e, "write", &self.folder.join(&self.name)).into())
    }
}

impl Drop for LayerBuilder {
    /// What was given up leaves nothing behind.
    fn drop(&mut self) {
        if self.tar.is_some() {
            let _ = self.folder.remove(&self.name);
        }
    }
}

/// A path a layer may have: relative, plain parts.
fn check(path: &str) -> Result<(), BuildError> {
    let fail = |why| Err(BuildError::Path { path: path.into(), why });
    if path.len() > limits::PATH_BYTES || path.split('/').count() > 128 {
        return fail("it is too long");
    }
    if path.contains('\0') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return fail("it is no plain path");
    }
    Ok(())
}
