//! Many small questions at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Asks `ask` about every item on `threads` threads; answers in the order of the items. The first error ends it.
pub(crate) fn ask_all<T: Sync, R: Send, E: Send>(
    threads: usize,
    items: &[T],
    ask: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let answers = Mutex::new(Vec::with_capacity(items.len()));
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    match ask(item) {
                        Ok(answer) => locked(&answers).push((at, answer)),
                        Err(error) => {
                            stop.store(true, Ordering::Relaxed);
                            locked(&failure).get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = locked(&failure).take() {
        return Err(error);
    }
    let mut answers = std::mem::take(&mut *locked(&answers));
    answers.sort_by_key(|(at, _)| *at);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// Locks; a thread that died while holding the lock left whole values behind (none of ours are changed in steps).
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::ask_all;

    #[test]
    fn answers_keep_their_order_and_an_error_ends_it() {
        let items: Vec<usize> = (0..500).collect();
        assert_eq!(ask_all(7, &items, |n| Ok::<_, ()>(n * 2)).unwrap(), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(ask_all(7, &items, |n| if *n == 77 { Err(*n) } else { Ok(()) }), Err(77));
        assert_eq!(ask_all(0, &[1], |n| Ok::<_, ()>(*n)), Ok(vec![1]));
        assert_eq!(ask_all(3, &[], |n: &u8| Ok::<_, ()>(*n)), Ok(vec![]));
    }
}
