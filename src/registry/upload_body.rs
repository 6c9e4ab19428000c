//! A body that is read on the caller's thread while the network sends it.

use super::client::Core;
use super::error::{Error, Target};
use super::host::Host;
use super::request::{Call, Exchange};
use crate::buffers::Buffers;
use bytes::Bytes;
use futures_util::stream;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// Chunks that may wait for the network.
const AHEAD: usize = 4;

/// How far the sending of a body is: what the clock of an upload looks at.
pub(super) struct Flow {
    last: Mutex<Instant>,
    /// Chunks read, and chunks the network took.
    fed: AtomicU64,
    taken: AtomicU64,
    /// All was handed to the network: from here on the registry may take its time.
    done: AtomicBool,
    /// Kept here and not in the body: a connection that hangs keeps its body, and with it whoever feeds it.
    output: Mutex<mpsc::Receiver<io::Result<Bytes>>>,
}

/// Closes the pipe when the request is over, whatever its connection still does.
struct Close(Arc<Flow>);

impl Drop for Close {
    fn drop(&mut self) {
        self.0.output.lock().unwrap_or_else(PoisonError::into_inner).close();
    }
}

impl Flow {
    fn new(output: mpsc::Receiver<io::Result<Bytes>>) -> Arc<Flow> {
        Arc::new(Flow {
            last: Mutex::new(Instant::now()),
            fed: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            done: AtomicBool::new(false),
            output: Mutex::new(output),
        })
    }

    fn touch(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The network has taken all there is: a slow disc is no stall of the network.
    fn waits_for_reader(&self) -> bool {
        !self.done.load(Ordering::Relaxed) && self.fed.load(Ordering::Relaxed) <= self.taken.load(Ordering::Relaxed)
    }

    fn idle(&self) -> Duration {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// The two ends of a streamed body.
pub(super) struct Pipe {
    pub body: reqwest::Body,
    pub flow: Arc<Flow>,
    pub input: mpsc::Sender<io::Result<Bytes>>,
}

pub(super) fn pipe(length: u64) -> Pipe {
    let (input, output) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
    let flow = Flow::new(output);
    let watched = flow.clone();
    let mut left = length;
    let chunks = stream::poll_fn(move |context| {
        let next = watched.output.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(context);
        watched.touch();
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            watched.taken.fetch_add(1, Ordering::Relaxed);
            left = left.saturating_sub(chunk.len() as u64);
        }
        // With a length announced, the end of the stream may never be asked for.
        if left == 0 {
            watched.done.store(true, Ordering::Relaxed);
        }
        next
    });
    Pipe { body: reqwest::Body::wrap_stream(chunks), flow, input }
}

/// Reads everything into the pipe. Stops quietly when the network end is gone: its answer tells why.
pub(super) fn feed(mut reader: impl Read, mut length: u64, flow: &Flow, input: mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let buffers = Buffers::new();
    while length > 0 {
        let size = usize::try_from(length).unwrap_or(usize::MAX).min(CHUNK);
        let mut chunk = buffers.take(size);
        if let Err(error) = reader.read_exact(chunk.as_mut()) {
            // The network end must fail too: a body that merely ends early could look like an answer awaited.
            let _ = input.blocking_send(Err(io::Error::from(error.kind())));
            return Err(error);
        }
        length -= size as u64;
        // Counted before it is sent: a full channel is the network's affair.
        flow.fed.fetch_add(1, Ordering::Relaxed);
        if input.blocking_send(Ok(chunk.lend())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends a streamed body; watches that it moves while it is sent, and waits longer for the answer.
pub(super) async fn send(core: Arc<Core>, host: Arc<Host>, mut call: Call, flow: Arc<Flow>) -> Result<Exchange, Error> {
    let (stall, commit) = (core.options.timing.stall, core.options.timing.commit);
    let target: Arc<Target> = call.target.clone();
    let _close = Close(flow.clone());
    call.patience = Duration::MAX;
    let every = (stall / 4).clamp(Duration::from_millis(5), Duration::from_millis(200));
    let mut exchange = std::pin::pin!(core.exchange(&host, &mut call));
    loop {
        if let Ok(answer) = tokio::time::timeout(every, exchange.as_mut()).await {
            return answer;
        }
        // A pause the host asked for is no stall either.
        if flow.waits_for_reader() || host.pauses() {
            flow.touch();
        }
        let limit = if flow.done.load(Ordering::Relaxed) { commit } else { stall };
        if flow.idle() >= limit {
            return Err(Error::Stalled { target, after: limit });
        }
    }
}
