//! The synchronous end of a download.

use super::client::Shared;
use super::error::Error;
use bytes::{Buf as _, Bytes};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

/// Bytes of one blob that may wait for their reader.
pub(super) const AHEAD: usize = 4 << 20;

/// The bytes of one blob as they come from the network. Dropping it ends the transfer.
///
/// Errors are [`Error`]s inside [`io::Error`]s ([`Error::of`]). Bytes are not verified.
pub struct BlobReader {
    pub(super) chunks: mpsc::UnboundedReceiver<Result<Bytes, Error>>,
    pub(super) budget: Arc<Semaphore>,
    pub(super) current: Bytes,
    /// What `current` took of the budget.
    pub(super) held: usize,
    pub(super) ended: bool,
    pub(super) task: AbortHandle,
    /// Keeps the network threads while the reader lives.
    pub(super) _shared: Arc<Shared>,
}

impl Read for BlobReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() {
            if self.ended {
                return Ok(0);
            }
            self.budget.add_permits(std::mem::take(&mut self.held));
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.accept(chunk),
                Some(Err(error)) => return Err(error.into_io()),
                // A transfer that stops without saying so has not ended.
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let n = buf.len().min(self.current.len());
        if let Some(window) = buf.get_mut(..n) {
            self.current.copy_to_slice(window);
        }
        Ok(n)
    }
}

impl BlobReader {
    pub(super) fn accept(&mut self, chunk: Bytes) {
        self.held = chunk.len().min(AHEAD);
        self.ended = chunk.is_empty();
        self.current = chunk;
    }
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
