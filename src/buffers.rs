//! Buffers that are used again: bytes are read into one, handed on as [`Bytes`], and the buffer comes back when the last holder has
//! let go of them.
//!
//! Made anew for each piece, a buffer of more than 128 KiB costs a mapping, a page fault for each of its pages and the end of the
//! mapping, every time (musl: always; glibc: until it has learnt). That is more than reading and sending what is in it.

use bytes::Bytes;
use std::sync::mpsc::{self, Receiver, Sender};

/// The buffers of one stream of pieces: no more of them than are under way at once. What is still lent when this ends is freed by
/// its last holder.
pub struct Buffers {
    back: Sender<Vec<u8>>,
    spare: Receiver<Vec<u8>>,
}

/// A buffer on its way.
pub struct Buffer {
    bytes: Vec<u8>,
    /// How much of it counts; the rest is left over from a longer piece.
    length: usize,
    back: Sender<Vec<u8>>,
}

impl Buffers {
    /// None yet; each is made when it is first needed.
    pub fn new() -> Buffers {
        let (back, spare) = mpsc::channel();
        Buffers { back, spare }
    }

    /// One of `length` bytes. What stands in it may be left over from an earlier piece.
    pub fn take(&self, length: usize) -> Buffer {
        let mut bytes = self.spare.try_recv().unwrap_or_default();
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        Buffer { bytes, length, back: self.back.clone() }
    }
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers::new()
    }
}

impl Buffer {
    /// The bytes of it that count, handed on without a copy.
    pub fn lend(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Only the first `length` bytes count; a greater `length` changes nothing.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Nobody takes it back when all was read.
        let _ = self.back.send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_holder_lets_go() {
        let buffers = Buffers::new();
        let mut buffer = buffers.take(1000);
        buffer.as_mut().fill(1);
        let place = buffer.as_ref().as_ptr();
        let lent = buffer.lend();
        let part = lent.slice(10..20);
        drop(lent);
        assert_ne!(buffers.take(1000).as_ref().as_ptr(), place, "a part of it is still held");
        assert_eq!(&part[..], [1; 10]);
        drop(part);
        let seen = [buffers.take(1000), buffers.take(1000), buffers.take(1000)];
        assert_eq!(seen.iter().filter(|buffer| buffer.as_ref().as_ptr() == place).count(), 1, "lent again, and once");
    }

    #[test]
    fn what_is_left_over_of_a_longer_piece_does_not_count() {
        let buffers = Buffers::new();
        buffers.take(100).as_mut().fill(7);
        let mut buffer = buffers.take(50);
        assert_eq!(buffer.as_mut().len(), 50);
        buffer.truncate(60);
        assert_eq!(buffer.as_ref().len(), 50);
        buffer.truncate(20);
        assert_eq!(buffer.lend().len(), 20);
        assert_eq!(buffers.take(200).as_ref().len(), 200, "and it grows again");
    }

    #[test]
    fn what_is_lent_outlives_its_stream() {
        let buffers = Buffers::new();
        let mut buffer = buffers.take(3);
        buffer.as_mut().copy_from_slice(b"abc");
        let lent = buffer.lend();
        drop(buffers);
        assert_eq!(&lent[..], b"abc");
    }
}
