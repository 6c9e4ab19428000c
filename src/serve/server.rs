//! The listener: connections in, a graceful end.

use super::access::Access;
use super::body::Answered;
use super::error::Error;
use super::handle::{Client, Seat, State, at, handle};
use super::patient::Patient;
use super::places::{Meter, Places};
use super::store::Store;
use super::tls::Tls;
use crate::fs::open_files;
use crate::text::shown;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Connections at a time.
const CONNECTIONS: usize = 2048;
/// Connections beside them that wait for such a place, or ask how the registry is. One more takes the place of the oldest.
const PRESSED: usize = 32;
/// Descriptors a connection may need: its own, the blob's, its folder's.
const DESCRIPTORS_EACH: u64 = 3;
/// Descriptors for everything else.
const DESCRIPTORS_ELSE: u64 = 64 + PRESSED as u64;
/// How long running requests may take once the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// A client that does not get on with its handshake or its headers.
const HEADERS: Duration = Duration::from_secs(60);
/// A client that takes nothing of its answer for so long is let go: it holds a place others wait for.
const STALLED: Duration = Duration::from_secs(300);
/// What hyper may hold back of one answer.
const WRITE_BUFFER: usize = 128 << 10;
/// Between two calls of [`Options::hourly`].
const HOUR: Duration = Duration::from_secs(3600);

/// How a registry is served.
pub struct Options {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// The certificate to show; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Who may do what.
    pub access: Access,
    /// Hears one line per request, without secrets, already harmless to a terminal.
    pub log: Arc<dyn Fn(&str) + Send + Sync>,
    /// Seconds since 1970.
    pub clock: fn() -> u64,
    /// Asked several times a second; true ends the server.
    pub cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Called on a thread once an hour.
    pub hourly: Arc<dyn Fn() + Send + Sync>,
}

/// A registry that listens.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    listener: std::net::TcpListener,
    address: SocketAddr,
    state: Arc<State>,
    tls: Option<Arc<rustls::ServerConfig>>,
    cancelled: Arc<dyn Fn() -> bool + Send + Sync>,
    hourly: Arc<dyn Fn() + Send + Sync>,
}

impl Server {
    /// Listens. Nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// An address that cannot be used; one that other hosts reach while nothing says who may do what.
    pub fn bind(store: Box<dyn Store>, options: Options) -> Result<Server, Error> {
        let Options { listen, tls, access, log, clock, cancelled, hourly } = options;
        access.suits(listen)?;
        if !listen.ip().is_loopback() && tls.is_none() && access.has_users() {
            log("warning: passwords cross the network in the clear: without TLS anybody on the way can read them");
        }
        let fail = |source| Error::Listen { address: listen, source };
        let listener = std::net::TcpListener::bind(listen).map_err(fail)?;
        listener.set_nonblocking(true).map_err(fail)?;
        let address = listener.local_addr().map_err(fail)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("serve").build().map_err(Error::Runtime)?;
        let state = Arc::new(State::new(store, access, log, clock, connections()));
        Ok(Server { runtime, listener, address, state, tls: tls.map(|tls| tls.config), cancelled, hourly })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to end, then lets running requests finish for up to ten seconds.
    ///
    /// # Errors
    /// A listener that cannot be used any more.
    pub fn run(self) -> Result<(), Error> {
        let Server { runtime, listener, address, state, tls, cancelled, hourly } = self;
        let result = runtime.block_on(async {
            let listener = TcpListener::from_std(listener).map_err(|source| Error::Listen { address, source })?;
            accept(listener, &state, tls, &*cancelled, &hourly).await;
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        result
    }
}

/// How many connections there are descriptors for: a pull must not fail because the blob's file cannot be opened any more.
fn connections() -> usize {
    places(open_files(CONNECTIONS as u64 * DESCRIPTORS_EACH + DESCRIPTORS_ELSE))
}

/// Connections that so many descriptors are enough for.
fn places(descriptors: Option<u64>) -> usize {
    let enough = descriptors.map_or(u64::MAX, |most| most.saturating_sub(DESCRIPTORS_ELSE) / DESCRIPTORS_EACH);
    usize::try_from(enough).unwrap_or(CONNECTIONS).clamp(8, CONNECTIONS)
}

async fn accept(
    listener: TcpListener,
    state: &Arc<State>,
    tls: Option<Arc<rustls::ServerConfig>>,
    cancelled: &(dyn Fn() -> bool + Send + Sync),
    hourly: &Arc<dyn Fn() + Send + Sync>,
) {
    let graceful = GracefulShutdown::new();
    let pressed = Places::new(PRESSED);
    let acceptor = tls.map(tokio_rustls::TlsAcceptor::from);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut last = Instant::now();
    while !cancelled() {
        if last.elapsed() >= HOUR {
            last = Instant::now();
            let hourly = hourly.clone();
            tokio::task::spawn_blocking(move || hourly());
        }
        tokio::select! {
            _ = tick.tick() => {}
            connection = listener.accept() => match connection {
                Ok((stream, peer)) => {
                    let meter = Meter::new();
                    let seat = match state.connections.try_take(&meter) {
                        Some(place) => Seat { kept: true, _place: place },
                        None => Seat { kept: false, _place: pressed.press_in(&meter) },
                    };
                    let client = Client::new(peer, meter, seat);
                    tokio::spawn(connect(stream, client, state.clone(), acceptor.clone(), graceful.watcher()));
                }
                Err(error) => {
                    // Out of descriptors, mostly: those that end give theirs back.
                    (state.log)(&format!("a connection could not be taken: {}", shown(&error.to_string())));
                    tick.tick().await;
                }
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn connect(stream: TcpStream, client: Arc<Client>, state: Arc<State>, acceptor: Option<tokio_rustls::TlsAcceptor>, watcher: Watcher) {
    tokio::select! {
        () = converse(stream, client.clone(), state.clone(), acceptor, watcher) => {}
        () = client.meter.is_let_go() => {
            state.metrics.let_go();
            (state.log)(&format!("{} {} was let go: others waited, and it moved next to nothing", at((state.clock)()), client.peer.ip()));
        }
    }
}

async fn converse(
    stream: TcpStream,
    client: Arc<Client>,
    state: Arc<State>,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, STALLED, client.meter.clone());
    match acceptor {
        None => speak(stream, client, state, watcher).await,
        Some(acceptor) => match tokio::time::timeout(HEADERS, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => speak(stream, client, state, watcher).await,
            Ok(Err(error)) => (state.log)(&format!("{} no TLS: {}", client.peer.ip(), shown(&error.to_string()))),
            Err(_) => {}
        },
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, client: Arc<Client>, state: Arc<State>, watcher: Watcher) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (state, client) = (state.clone(), client.clone());
        async move { Ok::<hyper::Response<Answered>, Infallible>(handle(state, client, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(WRITE_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    // A connection that breaks is the client's affair; what broke on this side has been told.
    let _ = watcher.watch(connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_have_descriptors() {
        assert_eq!(places(None), CONNECTIONS);
        assert_eq!(places(Some(1 << 20)), CONNECTIONS);
        assert_eq!(places(Some(1024)), 309);
        assert_eq!(places(Some(10)), 8);
    }
}
