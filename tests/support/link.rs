//! A line to a server that is cut, reset, falls silent or is slow: a TCP proxy, on loopback.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a connection ends that has carried what it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Closed in order, as far as TCP can tell.
    Close,
    /// Reset.
    Reset,
    /// It stays, and nothing goes through it any more.
    Silence,
}

/// What is wrong with a line. Nothing, by default.
#[derive(Clone, Copy, Debug)]
pub struct Fate {
    /// Bytes a connection carries to the server.
    pub up: usize,
    /// Bytes a connection carries to the client.
    pub down: usize,
    pub end: End,
    /// Bytes a second and direction of each connection; 0: as fast as can be.
    pub rate: usize,
}

impl Default for Fate {
    fn default() -> Fate {
        Fate { up: usize::MAX, down: usize::MAX, end: End::Close, rate: 0 }
    }
}

/// The line; everything that goes through it ends with it.
pub struct Link {
    pub addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    gone: AtomicBool,
    ended: AtomicUsize,
}

impl Link {
    /// A line to `server`, each connection of which has this fate.
    pub fn to(server: SocketAddr, fate: Fate) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (addr, shared) = (listener.local_addr().unwrap(), Arc::new(Shared::default()));
        let ours = shared.clone();
        let thread = std::thread::spawn(move || {
            while !ours.gone.load(Ordering::SeqCst) {
                let Ok((client, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let Ok(upstream) = TcpStream::connect(server) else { continue };
                connect(client, upstream, fate, &ours);
            }
        });
        Link { addr, shared, thread: Some(thread) }
    }

    /// `127.0.0.1:PORT`, as a reference writes it.
    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// Connections that met their end early.
    pub fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// One connection through the line.
struct Through {
    client: TcpStream,
    upstream: TcpStream,
    fate: Fate,
    over: AtomicBool,
    shared: Arc<Shared>,
}

fn connect(client: TcpStream, upstream: TcpStream, fate: Fate, shared: &Arc<Shared>) {
    for stream in [&client, &upstream] {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    let through = Arc::new(Through { client, upstream, fate, over: AtomicBool::new(false), shared: shared.clone() });
    for upward in [true, false] {
        let through = through.clone();
        std::thread::spawn(move || through.carry(upward));
    }
}

impl Through {
    /// Copies one way until one side ends or the fate is met. Both ways hold the sockets: they close when the last lets go.
    fn carry(&self, upward: bool) {
        let (mut from, mut to) = if upward { (&self.client, &self.upstream) } else { (&self.upstream, &self.client) };
        let mut left = if upward { self.fate.up } else { self.fate.down };
        let mut buffer = [0; 16 << 10];
        while !self.is_over() {
            let n = match from.read(&mut buffer) {
                Ok(0) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(n) => n.min(left),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
                Err(_) => return self.over.store(true, Ordering::SeqCst),
            };
            if self.fate.rate > 0 {
                std::thread::sleep(Duration::from_secs_f64(n as f64 / self.fate.rate as f64));
            }
            if to.write_all(&buffer[..n]).is_err() {
                return self.over.store(true, Ordering::SeqCst);
            }
            left -= n;
            if left == 0 {
                return self.end();
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) || self.shared.gone.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.shared.ended.fetch_add(1, Ordering::SeqCst);
        match self.fate.end {
            End::Close => {
                let _ = (self.client.shutdown(Shutdown::Both), self.upstream.shutdown(Shutdown::Both));
            }
            End::Reset => {
                for stream in [&self.client, &self.upstream] {
                    let _ = reset_at_close(stream);
                }
            }
            End::Silence => {
                while !self.is_over() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Nothing lingers: what closes the socket resets the connection. The standard library has no words for it.
fn reset_at_close(stream: &TcpStream) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    let copy = stream.try_clone()?;
    copy.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(copy)?.set_zero_linger()
}
