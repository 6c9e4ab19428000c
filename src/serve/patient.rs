//! A connection that does not wait for ever for a client to take its answer.
//!
//! What hyper was given it keeps until the connection takes it, without end: a client that asks and never reads would hold its place
//! and its buffers as long as it likes. Its [`Meter`] sees how it gets on.

use super::places::Meter;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A stream whose writes fail when not a byte is taken for some time.
pub(super) struct Patient<S> {
    inner: S,
    most: Duration,
    meter: Arc<Meter>,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S: Unpin> Patient<S> {
    pub fn new(inner: S, most: Duration, meter: Arc<Meter>) -> Patient<S> {
        Patient { inner, most, meter, waiting: None }
    }

    /// [`Patient::within`] of what takes bytes.
    fn measured(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Pending => self.meter.waits(),
            Poll::Ready(taken) => self.meter.moved(*taken.as_ref().unwrap_or(&0)),
        }
        self.within(cx, outcome)
    }

    /// Passes on what came of a write; one that waits is counted from its first poll.
    fn within<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let most = self.most;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(most)));
        waiting.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.measured(cx, outcome)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.measured(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.within(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.within(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn a_client_that_takes_nothing_is_let_go() {
        run(async {
            let (server, client) = tokio::io::duplex(16);
            let mut server = Patient::new(server, Duration::from_millis(20), Meter::new());
            let error = server.write_all(&[0; 17]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(client);
        });
    }

    #[test]
    fn one_that_takes_its_time_gets_everything() {
        run(async {
            let (server, mut client) = tokio::io::duplex(16);
            let mut server = Patient::new(server, Duration::from_secs(3600), Meter::new());
            let sent = async { server.write_all(&[7; 1000]).await.map(|()| drop(server)) };
            let mut got = Vec::new();
            let (sent, read) = tokio::join!(sent, client.read_to_end(&mut got));
            assert!(sent.is_ok() && read.unwrap() == 1000);
        });
    }
}
