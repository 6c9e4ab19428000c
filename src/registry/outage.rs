//! What all requests to a host find out together: that nobody is there.
//!
//! A host that has answered before may be restarted, or moved: it is waited for until it has been away for a while, however fast
//! the tries were used up. If everybody did so, one after the other, a run would go on for long after a host is lost: so the time
//! counts for all together, and once somebody has given up without one answer from the host, the others stop waiting, for a while
//! nobody asks at all, and after that each asks once. The first answer ends it.

use super::error::Reason;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A person is told at most this often that a host is waited for.
const TELL: Duration = Duration::from_secs(60);

/// Whether a host is there.
#[derive(Default)]
pub(super) struct Outage {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Somebody has tried in vain as often as one may: why, and when that was last seen.
    gone: Option<(Reason, Instant)>,
    /// Since when nothing came but silence, and answers of a proxy that finds no registry behind it.
    away: Option<Instant>,
    told: Option<Instant>,
    /// What was told is that nobody answers.
    told_silence: bool,
}

impl Outage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any answer; with `away` one that says that the registry is. True when a person was told that none came.
    pub fn answered(&self, away: bool) -> bool {
        let mut state = self.state();
        state.gone = None;
        if !away {
            state.away = None;
        }
        let told = std::mem::take(&mut state.told_silence);
        if told {
            state.told = None;
        }
        told
    }

    /// How long the host has been away by now.
    pub fn away(&self) -> Duration {
        self.state().away.get_or_insert_with(Instant::now).elapsed()
    }

    /// All tries are used up.
    pub fn give_up(&self, reason: Reason) {
        self.state().gone = Some((reason, Instant::now()));
    }

    /// True when somebody has given up, and no answer came since.
    pub fn is_gone(&self) -> bool {
        self.state().gone.is_some()
    }

    /// Why not to ask now: it was found gone less than `span` ago.
    pub fn refuses(&self, span: Duration) -> Option<Reason> {
        self.state().gone.as_ref().filter(|(_, at)| at.elapsed() < span).map(|(reason, _)| reason.clone())
    }

    /// True when it is time to tell what is waited for.
    pub fn tell(&self, silence: bool) -> bool {
        let mut state = self.state();
        let due = state.told.is_none_or(|at| at.elapsed() >= TELL);
        if due {
            state.told = Some(Instant::now());
            state.told_silence = silence;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::{Client, Core};
    use super::super::error::{Error, Target};
    use super::super::host::Host;
    use super::super::options::{Options, Timing};
    use super::*;
    use std::sync::Arc;

    const HOUR: Duration = Duration::from_secs(3600);

    fn refused(host: &str) -> Error {
        Error::Unreachable { host: host.into(), reason: Reason::Refused, plain: false }
    }

    fn timing() -> Timing {
        Timing { tries: 8, retry_base: HOUR, retry_cap: HOUR, retry_after_cap: HOUR, outage: Duration::ZERO, ..Timing::default() }
    }

    /// Runs it, and says that it hangs if it does.
    fn ends<F: Future>(client: &Client, task: F) -> F::Output {
        client.shared.wait(async { tokio::time::timeout(Duration::from_secs(60), task).await.expect("it waits for hours") }).unwrap()
    }

    #[test]
    fn whoever_uses_up_all_tries_does_so_for_all() {
        let client = Client::new(Options { timing: timing(), ..Options::default() }).unwrap();
        let core: Arc<Core> = client.shared.core.clone();
        let host = core.host("r.test:5000");
        let (waits, gives_up) = (core.after(&host, refused("r.test:5000"), 1, 8), core.after(&host, refused("r.test:5000"), 8, 8));
        let (waited, gave_up) = ends(&client, async { tokio::join!(waits, gives_up) });
        assert!(matches!((waited, gave_up), (Err(Error::Unreachable { .. }), Err(Error::Unreachable { .. }))));
        // Who comes later does not begin again with all tries.
        assert!(ends(&client, core.after(&host, refused("r.test:5000"), 1, 8)).is_err());
        // Once it has answered all is as before; and the silence of a store of blobs is not the registry's.
        assert!(host.outage.answered(false) && !host.outage.is_gone(), "an hour of waiting was told");
        assert!(ends(&client, core.after(&host, refused("cdn.test"), 8, 8)).is_err());
        assert!(!host.outage.is_gone());
    }

    #[test]
    fn nobody_asks_a_host_that_was_just_found_gone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let client = Client::new(Options { timing: timing(), ..Options::default() }).unwrap();
        client.shared.core.host(&name).outage.give_up(Reason::Refused);
        let ping = client.repository(&name, "a").ping();
        assert!(matches!(ping, Err(Error::Unreachable { reason: Reason::Refused, .. })), "{ping:?}");
        assert!(matches!(listener.accept(), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock));
    }

    #[test]
    fn a_host_that_has_answered_may_be_away_for_a_while() {
        let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let name = registry.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            let mut first = [0; 1000];
            for mut stream in registry.incoming().flatten() {
                // What greets with TLS is sent away.
                if matches!(stream.read(&mut first), Ok(n) if n == 0 || !first.starts_with(b"GET ")) {
                    continue;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        let fast = Duration::from_millis(1);
        let timing = Timing { tries: 4, retry_base: fast, retry_cap: fast, outage: HOUR, ..Timing::default() };
        let client = Client::new(Options { timing, verify_tls: false, ..Options::default() }).unwrap();
        let host = client.shared.core.host(&name);
        let after = |attempt, failure: Error| ends(&client, client.shared.core.after(&host, failure, attempt, 4));
        assert!(after(4, refused(&name)).is_err(), "one that never answered is not waited for");
        host.outage.answered(false);
        client.repository(&name, "a").ping().unwrap();
        assert!(after(1, refused(&name)).is_ok());
        assert!(host.outage.state().away.is_some(), "the time counts from the first failure, not from the last try");
        assert!(after(4, refused(&name)).is_ok() && after(7, refused(&name)).is_ok());
        assert!(after(8, refused(&name)).is_err(), "and no host for ever");
        host.outage.answered(false);
        // A question that is to be quick stays so.
        assert!(ends(&client, client.shared.core.after(&host, refused(&name), 1, 1)).is_err());
    }

    #[test]
    fn first_contact_that_fails_counts_for_all() {
        let timing = Timing { tries: 4, retry_base: Duration::from_millis(1), ..Timing::default() };
        let client = Client::new(Options { timing, ..Options::default() }).unwrap();
        // Bound, so that nobody else is given the port, and never listened at.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let nobody = held.local_addr().unwrap().to_string();
        assert!(client.repository(&nobody, "a").ping().is_err());
        assert!(client.shared.core.host(&nobody).outage.is_gone());
    }

    #[test]
    fn what_takes_long_is_told_once_and_its_end_as_well() {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let into = heard.clone();
        let note = Arc::new(move |line: &str| into.lock().unwrap().push(line.to_owned()));
        let timing = Timing { retry_base: Duration::from_millis(1), ..Timing::default() };
        let client = Client::new(Options { timing, note, ..Options::default() }).unwrap();
        let core = client.shared.core.clone();
        let host: Arc<Host> = core.host("r.test");
        for attempt in 1..=6 {
            ends(&client, core.after(&host, refused("r.test"), attempt, 8)).unwrap();
        }
        let told = heard.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("r.test cannot be reached: connection refused; waiting 1 s"), "{told:?}");
        assert!(host.outage.answered(false) && !host.outage.answered(false));
        // Another request, another time: what is no silence has no end to be told.
        let target = Arc::new(Target { host: "r.test".into(), repository: "a".into(), reference: "t".into() });
        let stalled = Error::Stalled { target, after: HOUR };
        ends(&client, core.after(&host, stalled, 3, 8)).unwrap();
        assert_eq!(heard.lock().unwrap().len(), 2);
        assert!(!host.outage.answered(false));
    }
}
