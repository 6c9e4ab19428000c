//! Blobs on their way: the only door through which bytes leave a source or enter a store.
//!
//! Whatever reads content uses [`open_verified`]: at the end of the returned reader size and digest have held, or
//! reading failed. There is no unverified variant.

use crate::digest::{Digest, Hasher};
use crate::oci::Descriptor;
use std::io::{self, Read};

/// A place blobs can be read from: a registry's repository, a layout, a set of volumes.
pub trait BlobSource: Send + Sync {
    /// What opening can fail with.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Opens a blob from its first byte. What comes out is *not* verified: use [`open_verified`].
    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Self::Error>;
}

/// A place blobs can be put into: a registry's repository, a layout.
pub trait BlobSink: Send + Sync {
    /// What storing can fail with.
    type Error: std::error::Error + Send + Sync + 'static;

    /// True when the blob is there, whole, as far as the store can tell cheaply.
    fn has(&self, blob: &Descriptor) -> Result<bool, Self::Error>;

    /// Stores a blob. `open` gives the bytes from the start and may be called again for a retry; what it gives is
    /// verified while it passes, and nothing becomes visible under the digest before its last byte was proven.
    fn put(&self, blob: &Descriptor, open: &mut dyn FnMut() -> io::Result<Box<dyn Read + Send>>) -> Result<(), Self::Error>;
}

/// Bytes that are not what their descriptor says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Another digest.
    #[error("{expected} was asked for, the bytes have {found}")]
    Digest {
        /// As the descriptor says.
        expected: Digest,
        /// As computed.
        found: Digest,
    },
    /// Ended early.
    #[error("{digest} ended after {found} of {expected} bytes")]
    Short {
        /// Which blob.
        digest: Digest,
        /// Size in the descriptor.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// Did not end.
    #[error("{digest} is longer than its {expected} bytes")]
    Long {
        /// Which blob.
        digest: Digest,
        /// Size in the descriptor.
        expected: u64,
    },
}

impl Wrong {
    /// Wraps it for a [`Read`]; [`Wrong::of`] takes it out again.
    pub fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// The verdict inside an I/O error, if that is what it is.
    pub fn of(error: &io::Error) -> Option<&Wrong> {
        error.get_ref()?.downcast_ref()
    }
}

/// A reader that delivers exactly the bytes of one descriptor, or fails.
pub struct Verified<R> {
    inner: R,
    digest: Digest,
    size: u64,
    seen: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> Verified<R> {
    /// Puts the check around `inner`.
    pub fn new(inner: R, digest: Digest, size: u64) -> Verified<R> {
        Verified { inner, digest, size, seen: 0, hasher: Some(Hasher::new(digest.algorithm())) }
    }

    /// At the end: nothing may follow, and the digest must be the one asked for.
    fn conclude(&mut self) -> io::Result<usize> {
        let Some(hasher) = self.hasher.take() else { return Ok(0) };
        let mut extra = [0u8; 1];
        if read_some(&mut self.inner, &mut extra)? != 0 {
            return Err(Wrong::Long { digest: self.digest, expected: self.size }.into_io());
        }
        let found = hasher.finish();
        if found != self.digest {
            return Err(Wrong::Digest { expected: self.digest, found }.into_io());
        }
        Ok(0)
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.size - self.seen;
        if left == 0 {
            return self.conclude();
        }
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let Some(window) = buf.get_mut(..want) else { return Ok(0) };
        let n = read_some(&mut self.inner, window)?;
        if n == 0 {
            return Err(Wrong::Short { digest: self.digest, expected: self.size, found: self.seen }.into_io());
        }
        self.seen += n as u64;
        if let (Some(hasher), Some(fresh)) = (self.hasher.as_mut(), window.get(..n)) {
            hasher.update(fresh);
        }
        // The last byte is handed out only once it is proven: who stops at the size has checked everything.
        if self.seen == self.size {
            self.conclude()?;
        }
        Ok(n)
    }
}

fn read_some(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Opens a blob so that every byte that comes out at its end has been proven.
pub fn open_verified<S: BlobSource + ?Sized>(source: &S, blob: &Descriptor) -> Result<Verified<Box<dyn Read + Send>>, S::Error> {
    Ok(Verified::new(source.open(blob)?, blob.digest, blob.size))
}

/// Reads a small verified document whole; refuses sizes above `limit` before reading.
pub fn read_small(reader: impl Read, digest: Digest, size: u64, limit: u64) -> io::Result<Vec<u8>> {
    if size > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{digest} has {size} bytes, more than the {limit} allowed here")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    Verified::new(reader, digest, size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], digest: Digest, size: u64) -> Result<Vec<u8>, Wrong> {
        let mut out = Vec::new();
        let result = Verified::new(content, digest, size).read_to_end(&mut out);
        result.map(|_| out).map_err(|e| Wrong::of(&e).unwrap().clone())
    }

    #[test]
    fn the_end_is_the_proof() {
        let digest = Digest::sha256(b"hello");
        assert_eq!(read(b"hello", digest, 5).unwrap(), b"hello");
        assert_eq!(read(b"", Digest::sha256(b""), 0).unwrap(), b"");
        assert!(matches!(read(b"hellO", digest, 5), Err(Wrong::Digest { .. })));
        assert!(matches!(read(b"hell", digest, 5), Err(Wrong::Short { found: 4, .. })));
        assert!(matches!(read(b"hello!", digest, 5), Err(Wrong::Long { .. })));
        assert!(matches!(read(b"x", Digest::sha256(b""), 0), Err(Wrong::Long { .. })));
    }

    #[test]
    fn a_reader_that_stops_at_the_size_has_checked_everything() {
        let mut reader = Verified::new(&b"hellO"[..], Digest::sha256(b"hello"), 5);
        let mut buf = [0; 5];
        assert!(reader.read_exact(&mut buf).is_err());
    }
}
