//! The same work on many things at a time, answers in order.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Does `work` for every item on `threads` threads; `None` for those whose turn did not come before `stopped` said so.
pub fn each<T: Sync, R: Send>(
    threads: usize,
    items: &[T],
    stopped: impl Fn() -> bool + Sync,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(items.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while !stopped() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let result = work(item);
                    if let Some(slot) = locked(&results).get_mut(at) {
                        *slot = Some(result);
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Asks `ask` about every item on `threads` threads.
///
/// # Errors
/// The first that any of them gives; no other item is begun then.
pub fn ask_all<T: Sync, R: Send, E: Send>(threads: usize, items: &[T], ask: impl Fn(&T) -> Result<R, E> + Sync) -> Result<Vec<R>, E> {
    let stop = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let asked = |item: &T| match ask(item) {
        Ok(answer) => Some(answer),
        Err(error) => {
            stop.store(true, Ordering::Relaxed);
            locked(&failure).get_or_insert(error);
            None
        }
    };
    let answers = each(threads, items, || stop.load(Ordering::Relaxed), asked);
    match locked(&failure).take() {
        Some(error) => Err(error),
        None => Ok(answers.into_iter().flatten().flatten().collect()),
    }
}

/// Locks; a thread that died while holding the lock left whole values behind (none of ours are changed in steps).
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_keep_their_order_and_an_error_ends_it() {
        let items: Vec<usize> = (0..500).collect();
        assert_eq!(ask_all(7, &items, |n| Ok::<_, ()>(n * 2)).unwrap(), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(ask_all(7, &items, |n| if *n == 77 { Err(*n) } else { Ok(()) }), Err(77));
        assert_eq!(ask_all(0, &[1], |n| Ok::<_, ()>(*n)), Ok(vec![1]));
        assert_eq!(ask_all(3, &[], |n: &u8| Ok::<_, ()>(*n)), Ok(vec![]));
    }

    #[test]
    fn who_stops_gets_what_was_done() {
        let done = AtomicUsize::new(0);
        let answers = each(1, &[1, 2, 3], || done.load(Ordering::Relaxed) == 2, |n| (done.fetch_add(1, Ordering::Relaxed), *n));
        assert_eq!(answers, [Some((0, 1)), Some((1, 2)), None]);
    }
}
