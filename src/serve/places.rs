//! Places there are only so many of: connections, blobs being read, uploads being taken in.
//!
//! As long as there are enough, a client may be as slow as its line. While somebody waits for one, a client that holds one and moves
//! next to nothing is let go, the slowest first. Only the time counts for which this side waited for the client: whoever waits for
//! our disks, or for a place, is not slow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What a client must move while others wait, in bytes per second. 256 clients that share a line of 16 Mbit/s do.
const RATE: u32 = 8 << 10;
/// How long a client may move nothing, having moved enough before.
const GRACE: Duration = Duration::from_secs(30);
/// How often whoever waits looks who is slow.
const LOOK: Duration = Duration::from_millis(500);

/// How a client gets on.
pub(super) struct Meter {
    grace: Duration,
    state: Mutex<Pace>,
    cut: Notify,
}

struct Pace {
    /// How long it may still be waited for.
    credit: Duration,
    /// Since when it is.
    since: Option<Instant>,
    let_go: bool,
}

impl Meter {
    pub fn new() -> Arc<Meter> {
        Meter::with(GRACE)
    }

    fn with(grace: Duration) -> Arc<Meter> {
        let state = Mutex::new(Pace { credit: grace, since: None, let_go: false });
        Arc::new(Meter { grace, state, cut: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, Pace> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it is waited for.
    pub fn waits(&self) {
        self.state().since.get_or_insert_with(Instant::now);
    }

    /// It sent or took so many bytes, and is waited for no more.
    pub fn moved(&self, bytes: usize) {
        let mut pace = self.state();
        let waited = pace.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(RATE));
        pace.credit = pace.credit.saturating_sub(waited).saturating_add(earned).min(self.grace);
    }

    /// For how long it has been waited for in vain.
    fn behind(&self, now: Instant) -> Option<Duration> {
        let pace = self.state();
        let waited = now.saturating_duration_since(pace.since.filter(|_| !pace.let_go)?);
        waited.checked_sub(pace.credit)
    }

    fn let_go(&self) {
        self.state().let_go = true;
        self.cut.notify_one();
    }

    /// Ends when it was let go.
    pub async fn is_let_go(&self) {
        self.cut.notified().await;
    }
}

/// So many places.
pub(super) struct Places {
    free: Arc<Semaphore>,
    most: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    next: u64,
    /// The oldest first.
    meters: BTreeMap<u64, Arc<Meter>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub fn new(most: usize) -> Arc<Places> {
        Arc::new(Places { free: Arc::new(Semaphore::new(most)), most, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seat(self: &Arc<Places>, meter: &Arc<Meter>, permit: Option<OwnedSemaphorePermit>) -> Place {
        let mut held = self.held();
        let number = held.next;
        held.next += 1;
        held.meters.insert(number, meter.clone());
        Place { places: self.clone(), number, _permit: permit }
    }

    /// A place, if one is free.
    pub fn try_take(self: &Arc<Places>, meter: &Arc<Meter>) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(self.seat(meter, Some(permit)))
    }

    /// Waits for a place, in the order of asking, and has slow clients leave meanwhile.
    pub async fn take(self: &Arc<Places>, meter: &Arc<Meter>) -> Place {
        let turn = self.free.clone().acquire_owned();
        tokio::pin!(turn);
        loop {
            tokio::select! {
                biased;
                // Nobody closes it.
                permit = &mut turn => return self.seat(meter, permit.ok()),
                () = tokio::time::sleep(LOOK) => self.let_go_slowest(),
            }
        }
    }

    /// A place at once, at the cost of who has had one longest.
    pub fn press_in(self: &Arc<Places>, meter: &Arc<Meter>) -> Place {
        let place = self.seat(meter, None);
        let mut held = self.held();
        while held.meters.len() > self.most
            && let Some((_, oldest)) = held.meters.pop_first()
        {
            oldest.let_go();
        }
        drop(held);
        place
    }

    /// Lets go of the client that has been waited for longest in vain, if there is one.
    pub fn let_go_slowest(&self) {
        let now = Instant::now();
        let held = self.held();
        let behind = held.meters.values().filter_map(|meter| Some((meter.behind(now)?, meter)));
        if let Some((_, slowest)) = behind.max_by_key(|(behind, _)| *behind) {
            slowest.let_go();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().meters.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    #[test]
    fn only_time_in_which_a_client_is_waited_for_counts() {
        let meter = Meter::with(Duration::from_secs(10));
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(meter.behind(later(100)), None, "nobody waits for it");
        meter.waits();
        assert_eq!(meter.behind(later(5)), None);
        assert!(meter.behind(later(60)).is_some_and(|behind| behind > Duration::from_secs(45)));
        meter.moved(1);
        assert_eq!(meter.behind(later(100)), None);
        // Thirty seconds without a byte, and then enough for five.
        meter.state().since = Instant::now().checked_sub(Duration::from_secs(30));
        meter.moved(5 * RATE as usize);
        assert_eq!(meter.state().credit, Duration::from_secs(5));
        meter.moved(1 << 30);
        assert_eq!(meter.state().credit, Duration::from_secs(10), "nothing is saved up");
    }

    #[test]
    fn the_slowest_makes_room_for_who_waits_and_nobody_else_does() {
        run(async {
            let places = Places::new(3);
            let meters: Vec<_> = (0..3).map(|_| Meter::with(Duration::from_secs(1))).collect();
            let mut held: Vec<Option<Place>> = meters.iter().map(|meter| places.try_take(meter)).collect();
            assert!(held.iter().all(Option::is_some));
            let waits = |at: usize, seconds| meters[at].state().since = Instant::now().checked_sub(Duration::from_secs(seconds));
            waits(0, 100);
            waits(1, 200);
            let last = Meter::new();
            assert!(places.try_take(&last).is_none());
            let (place, ()) = tokio::join!(places.take(&last), async {
                meters[1].is_let_go().await;
                drop(held[1].take());
            });
            assert!(!meters[0].state().let_go && !meters[2].state().let_go);
            drop((place, held));
            assert!(places.held().meters.is_empty() && places.free.available_permits() == 3);
        });
    }

    /// Where all get on, whoever comes last waits for the end of one.
    #[test]
    fn nobody_who_gets_on_is_let_go() {
        run(async {
            let places = Places::new(1);
            let meter = Meter::new();
            let place = places.try_take(&meter);
            let last = Meter::new();
            let waiting = tokio::time::timeout(3 * LOOK, places.take(&last));
            assert!(waiting.await.is_err() && !meter.state().let_go);
            drop(place);
            drop(places.take(&last).await);
        });
    }

    #[test]
    fn who_presses_in_is_there_at_the_cost_of_the_oldest() {
        let places = Places::new(2);
        let meters: Vec<_> = (0..4).map(|_| Meter::new()).collect();
        let held: Vec<Place> = meters.iter().map(|meter| places.press_in(meter)).collect();
        assert_eq!(meters.iter().map(|meter| meter.state().let_go).collect::<Vec<_>>(), [true, true, false, false]);
        drop(held);
        assert!(places.held().meters.is_empty());
    }
}
