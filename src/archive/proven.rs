//! What is remembered of blocks that were compared, so that a reader need not keep them in memory.
//!
//! The block table judges a block as a whole; a reader of one small piece after the other, for a client that takes its time, would
//! hold a whole block for hours. So a block is read once through a small buffer: its digest is compared with the table, and the digest
//! of each piece is remembered. Each piece that is used later is read again and compared with that. What was not proven is never
//! used, though nothing but one piece is in memory; and who comes second needs the pieces alone.

use super::error::Damage;
use super::reader::Volume;
use sha2::Digest as _;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a piece; the last one of a block may be shorter.
pub(super) const PIECE: usize = 64 << 10;
/// Digests of pieces remembered of one set, 16 MiB of them: enough for 32 GiB of its volumes.
const REMEMBERED: usize = 512 << 10;

/// Digests of 32 bytes, SHA-256.
pub(super) type Digests = Arc<[[u8; 32]]>;

/// What is known of the volumes of one set.
#[derive(Debug, Default)]
pub(super) struct Proven {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Block tables, decoded once for all readers.
    tables: HashMap<u32, Digests>,
    pieces: HashMap<(u32, usize), Digests>,
    /// The oldest first.
    order: VecDeque<(u32, usize)>,
    held: usize,
}

impl Proven {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block table of a volume.
    pub(super) fn table(&self, number: u32, decode: impl FnOnce() -> Vec<[u8; 32]>) -> Digests {
        self.inner().tables.entry(number).or_insert_with(|| decode().into()).clone()
    }

    /// The digests of the pieces of a block, which is read and compared where it is not remembered.
    pub(super) fn pieces(&self, number: u32, volume: &Volume, block: usize) -> Result<Digests, Damage> {
        if let Some(known) = self.inner().pieces.get(&(number, block)) {
            return Ok(known.clone());
        }
        let fresh: Digests = compare(volume, block)?.into();
        self.inner().keep((number, block), fresh.clone());
        Ok(fresh)
    }
}

impl Inner {
    fn keep(&mut self, block: (u32, usize), pieces: Digests) {
        self.held += pieces.len();
        match self.pieces.insert(block, pieces) {
            // Another reader was as fast.
            Some(before) => self.held -= before.len(),
            None => self.order.push_back(block),
        }
        while self.held > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.held -= self.pieces.remove(&oldest).map_or(0, |pieces| pieces.len());
        }
    }
}

/// Compares a block with the table and gives the digests of its pieces.
fn compare(volume: &Volume, block: usize) -> Result<Vec<[u8; 32]>, Damage> {
    let (start, end) = volume.span(block);
    let (mut whole, mut pieces, mut buffer) = (sha2::Sha256::new(), Vec::new(), Vec::new());
    let mut at = start;
    while at < end {
        volume.fill(&mut buffer, at, end.min(at + PIECE as u64))?;
        whole.update(&buffer);
        pieces.push(sha2::Sha256::digest(&buffer).into());
        at += buffer.len() as u64;
    }
    let found: [u8; 32] = whole.finalize().into();
    match volume.hashes.get(block) == Some(&found) {
        true => Ok(pieces),
        false => Err(Damage::Block { path: volume.path().to_owned(), start, end }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut inner = Inner::default();
        let large: Digests = vec![[0; 32]; REMEMBERED / 2].into();
        for block in 0..5 {
            inner.keep((1, block), large.clone());
            inner.keep((1, block), large.clone());
        }
        assert_eq!(inner.pieces.keys().map(|(_, block)| *block).min(), Some(3));
        assert_eq!((inner.pieces.len(), inner.order.len(), inner.held), (2, 2, REMEMBERED));
    }
}
