//! Turns at something that takes much memory: many may want it, and only so much of it is there at a time.
//!
//! Whoever has a turn keeps it while nobody waits. Where somebody does, it is taken from who has had it longest, but not before its
//! time, and not while it is used: a client that takes nothing of what was decoded for it keeps nobody waiting for longer than that.
//! What was taken is made again at the next turn, which costs time: the more it cost, the longer the turn.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How often whoever waits looks again for what is used just now.
const LOOK: Duration = Duration::from_millis(50);

/// How long turns are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    /// At least so long.
    pub(super) least: Duration,
    /// At most so long.
    pub(super) most: Duration,
    /// In between, so many times what it took to get to where the turn begins.
    pub(super) times: u32,
}

/// What turns are taken at.
pub(super) struct Turns<T> {
    room: u64,
    length: Length,
    inner: Mutex<Inner<T>>,
    changed: Condvar,
}

struct Inner<T> {
    used: u64,
    next: u64,
    /// Who waits, the first first.
    queue: VecDeque<u64>,
    /// Turns that may be taken, the longest held first.
    held: VecDeque<Arc<Held<T>>>,
}

struct Held<T> {
    number: u64,
    size: u64,
    until: Instant,
    thing: Mutex<Option<T>>,
}

/// Room for one thing that is being made.
pub(super) struct Room<T> {
    turns: Arc<Turns<T>>,
    number: u64,
    size: u64,
    since: Instant,
    kept: bool,
}

/// A turn; it ends when this is dropped, or before, when others wait.
pub(super) struct Turn<T> {
    turns: Arc<Turns<T>>,
    held: Arc<Held<T>>,
}

impl<T> Turns<T> {
    /// Things of `room` bytes together at a time, or one of any size.
    pub(super) fn new(room: u64, length: Length) -> Arc<Turns<T>> {
        let inner = Inner { used: 0, next: 0, queue: VecDeque::new(), held: VecDeque::new() };
        Arc::new(Turns { room, length, inner: Mutex::new(inner), changed: Condvar::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for `size` bytes; who comes first has it first.
    pub(super) fn wait(self: &Arc<Turns<T>>, size: u64) -> Room<T> {
        let mut inner = self.inner();
        let number = inner.next;
        inner.next += 1;
        inner.queue.push_back(number);
        loop {
            let is_first = inner.queue.front() == Some(&number);
            if is_first && inner.fits(self.room, size) {
                inner.queue.pop_front();
                inner.used += size;
                drop(inner);
                self.changed.notify_all();
                return Room { turns: self.clone(), number, size, since: Instant::now(), kept: false };
            }
            let taken = if is_first { inner.take_one() } else { None };
            inner = match taken {
                Some(thing) => {
                    // Nobody else waits for as long as that takes.
                    drop(inner);
                    drop(thing);
                    self.inner()
                }
                None if is_first => {
                    let now = Instant::now();
                    let next = inner.held.iter().map(|held| held.until.saturating_duration_since(now)).min();
                    let rest = next.map_or(LOOK, |rest| rest.max(LOOK));
                    self.changed.wait_timeout(inner, rest).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl<T> Inner<T> {
    fn fits(&self, room: u64, size: u64) -> bool {
        self.used == 0 || self.used.saturating_add(size) <= room
    }

    /// Takes the turn of who has had it longest of those whose time is over and that is not used just now.
    fn take_one(&mut self) -> Option<T> {
        let now = Instant::now();
        for at in 0..self.held.len() {
            let Some(held) = self.held.get(at).filter(|held| held.until <= now) else { continue };
            let thing = match held.thing.try_lock() {
                Ok(mut thing) => thing.take(),
                Err(TryLockError::Poisoned(thing)) => thing.into_inner().take(),
                Err(TryLockError::WouldBlock) => continue,
            };
            self.used -= held.size;
            self.held.remove(at);
            return thing;
        }
        None
    }
}

impl<T> Room<T> {
    /// Begins the turn with the thing, which is where it is wanted now.
    pub(super) fn hold(mut self, thing: T) -> Turn<T> {
        let Length { least, most, times } = self.turns.length;
        let until = Instant::now() + self.since.elapsed().saturating_mul(times).clamp(least, most);
        let held = Arc::new(Held { number: self.number, size: self.size, until, thing: Mutex::new(Some(thing)) });
        self.kept = true;
        self.turns.inner().held.push_back(held.clone());
        // Whoever waits first did not know of it.
        self.turns.changed.notify_all();
        Turn { turns: self.turns.clone(), held }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        if !self.kept {
            self.turns.inner().used -= self.size;
            self.turns.changed.notify_all();
        }
    }
}

impl<T> Turn<T> {
    /// Uses the thing; `None` when it was taken.
    pub(super) fn with<R>(&self, using: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.held.thing.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(using)
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        // Before others are told that there is room.
        drop(self.held.thing.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut inner = self.turns.inner();
        if let Some(at) = inner.held.iter().position(|held| held.number == self.held.number) {
            inner.held.remove(at);
            inner.used -= self.held.size;
        }
        drop(inner);
        self.turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    const AT_ONCE: Length = Length { least: Duration::ZERO, most: Duration::ZERO, times: 1 };
    const NEVER: Length = Length { least: Duration::from_secs(3600), most: Duration::from_secs(3600), times: 1 };

    #[test]
    fn what_nobody_waits_for_is_kept() {
        let turns = Turns::new(10, AT_ONCE);
        let (a, b) = (turns.wait(5).hold('a'), turns.wait(5).hold('b'));
        assert_eq!((a.with(|thing| *thing), b.with(|thing| *thing)), (Some('a'), Some('b')));
    }

    #[test]
    fn who_waits_has_the_turn_of_who_has_had_it_longest() {
        let turns = Turns::new(10, AT_ONCE);
        let (a, b) = (turns.wait(5).hold('a'), turns.wait(5).hold('b'));
        let c = turns.wait(3).hold('c');
        assert_eq!((a.with(|_| ()), b.with(|_| ()), c.with(|_| ())), (None, Some(()), Some(())));
        drop(a);
        // One that is larger than all the room there is has it alone.
        let d = turns.wait(11).hold('d');
        assert_eq!((b.with(|_| ()), c.with(|_| ()), d.with(|_| ())), (None, None, Some(())));
        drop((b, c, d));
        let inner = turns.inner();
        assert_eq!((inner.used, inner.held.len()), (0, 0));
    }

    #[test]
    fn a_turn_is_not_taken_before_its_time_and_ends_with_its_owner() {
        let turns = Turns::new(10, NEVER);
        let a = turns.wait(10).hold('a');
        let second = turns.clone();
        let waiting = std::thread::spawn(move || second.wait(10).hold('b').with(|thing| *thing));
        while turns.inner().queue.is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(a.with(|thing| *thing), Some('a'));
        drop(a);
        assert_eq!(waiting.join().unwrap(), Some('b'));
    }

    /// What could not be made gives its room back.
    #[test]
    fn room_that_is_not_used_is_free_again() {
        let turns = Turns::<()>::new(10, NEVER);
        drop(turns.wait(10));
        drop(turns.wait(10));
        assert_eq!(turns.inner().used, 0);
    }

    struct Counted<'a>(&'a AtomicUsize);

    impl<'a> Counted<'a> {
        fn new(count: &'a AtomicUsize, most: usize) -> Counted<'a> {
            assert!(count.fetch_add(1, SeqCst) < most);
            Counted(count)
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }

    /// However many want one and however often it is taken from them, there are never more than fit, and everybody comes to the end.
    #[test]
    fn there_are_never_more_than_fit() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let turns = Turns::new(4, AT_ONCE);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let mut turn = None::<Turn<Counted<'_>>>;
                    for _ in 0..200 {
                        if turn.as_ref().and_then(|turn| turn.with(|_| std::thread::yield_now())).is_none() {
                            drop(turn.take());
                            // `wait` frees what it takes before it gives the room away.
                            turn = Some(turns.wait(1).hold_with(|| Counted::new(&COUNT, 4)));
                        }
                    }
                });
            }
        });
        assert_eq!((COUNT.load(SeqCst), turns.inner().used), (0, 0));
    }

    impl<T> Room<T> {
        fn hold_with(self, make: impl FnOnce() -> T) -> Turn<T> {
            let thing = make();
            self.hold(thing)
        }
    }
}
