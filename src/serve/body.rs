//! Bodies between the asynchronous side and the threads that read and write.

use super::places::{Meter, Place};
use super::store::{Content, StoreError};
use crate::buffers::{Buffer, Buffers};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// What is read of a blob at once. Some of these are in memory per connection.
const PIECE: usize = 64 << 10;
/// A client that takes nothing for so long is let go: it holds a place others wait for.
const STALLED: Duration = Duration::from_secs(300);
/// A client that sends nothing for so long is let go; its session stays.
const SILENT: Duration = Duration::from_secs(120);
/// What is read of a body nobody wants, so that the client gets to read the answer.
const DRAINED: usize = 16 << 20;

/// The body of an answer.
pub(super) enum Answered {
    /// Small, or nothing.
    Whole(Option<Bytes>),
    /// So many bytes that come piece by piece.
    Stream(mpsc::Receiver<io::Result<Bytes>>, u64),
}

impl Body for Answered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Answered::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Answered::Stream(_, 0) => Poll::Ready(None),
            Answered::Stream(pieces, left) => pieces.poll_recv(cx).map(|piece| match piece {
                Some(Ok(bytes)) => {
                    *left = left.saturating_sub(bytes.len() as u64);
                    Some(Ok(Frame::data(bytes)))
                }
                Some(Err(e)) => Some(Err(e)),
                // Never an early end that looks whole: the connection breaks instead.
                None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answered::Whole(None) | Answered::Stream(_, 0))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answered::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Answered::Stream(_, left) => SizeHint::with_exact(*left),
        }
    }
}

/// A reader whose first piece has come, so that what fails at once is answered as an error and not by a broken connection.
pub(super) struct Begun {
    reader: Box<dyn Content>,
    buffers: Buffers,
    first: Bytes,
    left: u64,
}

/// Reads the first piece of `length` bytes.
pub(super) fn begin(mut reader: Box<dyn Content>, length: u64) -> Result<Begun, StoreError> {
    let buffers = Buffers::new();
    let first = filled(&mut *reader, buffers.take(piece_of(length))).map_err(StoreError::Medium)?;
    let left = length - first.len() as u64;
    Ok(Begun { reader, buffers, first, left })
}

/// How much is read at once of what is left.
fn piece_of(left: u64) -> usize {
    usize::try_from(left).unwrap_or(PIECE).min(PIECE)
}

fn filled(reader: &mut dyn Content, mut buffer: Buffer) -> io::Result<Bytes> {
    reader.read_exact(buffer.as_mut())?;
    Ok(buffer.lend())
}

/// The next piece. What is in memory is copied here: handing it to a thread and back costs more than the copy. `None` when the
/// server is being stopped.
async fn next_piece(mut reader: Box<dyn Content>, mut buffer: Buffer) -> Option<(Box<dyn Content>, io::Result<Bytes>)> {
    match reader.read_at_hand(buffer.as_mut()) {
        Ok(Some(n)) => {
            buffer.truncate(n);
            return Some((reader, Ok(buffer.lend())));
        }
        Err(e) => return Some((reader, Err(e))),
        Ok(None) => {}
    }
    let read = tokio::task::spawn_blocking(move || {
        let bytes = filled(&mut *reader, buffer);
        (reader, bytes)
    });
    read.await.ok()
}

/// Streams what was begun. `told` hears why a body broke off. `_place` is held until the end.
pub(super) fn stream(begun: Begun, place: Option<Place>, told: impl Fn(&io::Error) + Send + 'static) -> Answered {
    let Begun { mut reader, buffers, first, mut left } = begun;
    let total = left + first.len() as u64;
    let (send, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let _place = place;
        let mut next = Ok(first);
        loop {
            let failed = next.is_err();
            if let Err(e) = &next {
                told(e);
            }
            let taken = tokio::time::timeout(STALLED, send.send(next)).await;
            if failed || left == 0 || !matches!(taken, Ok(Ok(()))) {
                return;
            }
            let Some((again, bytes)) = next_piece(reader, buffers.take(piece_of(left))).await else { return };
            reader = again;
            left -= bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
            next = bytes;
        }
    });
    Answered::Stream(pieces, total)
}

/// The body of a request: taken once, by whoever wants it.
pub(super) struct Sent {
    body: Option<Incoming>,
    /// The client sends it only when it is asked to (RFC 9110, 10.1.1), which reading does.
    waits: bool,
    meter: Arc<Meter>,
}

enum Piece {
    Data(Bytes),
    Failed,
    End,
}

/// A request's body for a thread.
pub(super) struct SentReader {
    pieces: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl Sent {
    pub fn new(body: Incoming, waits: bool, meter: Arc<Meter>) -> Sent {
        Sent { body: Some(body), waits, meter }
    }

    /// A reader for a thread. Fails where the body is cut; never ends early.
    pub fn reader(&mut self) -> SentReader {
        let (send, pieces) = mpsc::channel(4);
        if let Some(mut body) = self.body.take() {
            let meter = self.meter.clone();
            tokio::spawn(async move {
                loop {
                    let piece = match frame(&mut body, &meter).await {
                        Ok(Some(Ok(frame))) => match frame.into_data() {
                            Ok(data) => Piece::Data(data),
                            Err(_) => continue,
                        },
                        Ok(None) => Piece::End,
                        Ok(Some(Err(_))) | Err(_) => Piece::Failed,
                    };
                    let goes_on = matches!(piece, Piece::Data(_));
                    if send.send(piece).await.is_err() {
                        // Refused in the middle: the client may only read the answer once it has sent.
                        drain(body).await;
                        return;
                    }
                    if !goes_on {
                        return;
                    }
                }
            });
        }
        SentReader { pieces, current: Bytes::new(), ended: false }
    }

    /// The whole body, if it has at most `limit` bytes; `None` for more.
    pub async fn whole(&mut self, limit: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let mut bytes = Vec::new();
        let Some(body) = &mut self.body else { return Ok(Some(bytes)) };
        self.waits = false;
        loop {
            match frame(body, &self.meter).await {
                Ok(None) => return Ok(Some(bytes)),
                Ok(Some(Ok(frame))) => {
                    let data = frame.into_data().unwrap_or_default();
                    if bytes.len() + data.len() > limit {
                        return Ok(None);
                    }
                    bytes.extend_from_slice(&data);
                }
                Ok(Some(Err(_))) | Err(_) => return Err(StoreError::Cut),
            }
        }
    }

    /// Reads what nobody wanted, within reason; but asks nobody for it.
    pub async fn drain(&mut self) {
        if let Some(body) = self.body.take().filter(|_| !self.waits) {
            drain(body).await;
        }
    }
}

/// The next frame, for which the client is waited for.
async fn frame(body: &mut Incoming, meter: &Meter) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, tokio::time::error::Elapsed> {
    meter.waits();
    let frame = tokio::time::timeout(SILENT, body.frame()).await;
    let sent = frame.as_ref().ok().and_then(|frame| frame.as_ref()?.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
    meter.moved(sent);
    frame
}

async fn drain(mut body: Incoming) {
    let mut seen = 0;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DRAINED {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), reading).await;
}

impl Read for SentReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Piece::Data(data)) => self.current = data,
                Some(Piece::End) => self.ended = true,
                // Nobody said that this was the end: the server is being stopped.
                Some(Piece::Failed) | None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let n = buf.len().min(self.current.len());
        let taken = self.current.split_to(n);
        if let Some(space) = buf.get_mut(..n) {
            space.copy_from_slice(&taken);
        }
        Ok(n)
    }
}
