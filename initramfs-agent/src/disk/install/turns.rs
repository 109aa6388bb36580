//! Several threads that work ahead, and write one after the other.
//!
//! Work is numbered. A thread reads, decodes and hashes its piece whenever it likes, and writes in its turn: after the piece before,
//! before the next. So a disk sees the same writes in the same order however many threads there are, nothing is written after
//! a failure, and each thread needs its own buffer and no other.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::error::InstallError;

/// Threads at most: each has buffers, and more than this wait for the disk.
const THREADS_MAX: usize = 5;

/// How many threads work: one more than there are cores, for the one that waits for its turn or for the disk.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get).saturating_add(1).min(THREADS_MAX)
}

/// The turns, and what is only touched in them.
pub(super) struct Turns<S> {
    inner: Mutex<Inner<S>>,
    changed: Condvar,
    stopped: AtomicBool,
    /// The number that the next idle thread takes, where the pieces are known beforehand.
    unclaimed: AtomicUsize,
}

struct Inner<S> {
    /// Whose turn it is.
    next: usize,
    failed: Option<InstallError>,
    state: S,
}

impl<S> Turns<S> {
    pub(super) fn new(state: S) -> Self {
        Self {
            inner: Mutex::new(Inner { next: 0, failed: None, state }),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            unclaimed: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers below `end` that nobody has taken, until something fails.
    pub(super) fn claim(&self, end: usize) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let number = self.unclaimed.fetch_add(1, Ordering::Relaxed);
            (number < end && !self.is_stopped()).then_some(number)
        })
    }

    /// Waits for the turn of `number`, does `work`, and ends the turn. Does nothing once something has failed.
    pub(super) fn take(&self, number: usize, work: impl FnOnce(&mut S) -> Result<(), InstallError>) {
        self.do_in_turn(number, 1, work);
    }

    /// As [`Turns::take`], but the turn goes on: for pieces of which a thread cannot hold all until it is their turn.
    pub(super) fn within(&self, number: usize, work: impl FnOnce(&mut S) -> Result<(), InstallError>) {
        self.do_in_turn(number, 0, work);
    }

    fn do_in_turn(
        &self,
        number: usize,
        advance: usize,
        work: impl FnOnce(&mut S) -> Result<(), InstallError>,
    ) {
        let mut inner = self.lock();
        while inner.next != number && !self.is_stopped() {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        if self.is_stopped() {
            return;
        }
        if let Err(error) = work(&mut inner.state) {
            inner.failed = Some(error);
            self.stopped.store(true, Ordering::Relaxed);
        }
        inner.next += advance;
        drop(inner);
        self.changed.notify_all();
    }

    /// Whether something has failed.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Waits until more than `seen` turns are over, or something failed; says how many are.
    pub(super) fn wait_beyond(&self, seen: usize) -> usize {
        let mut inner = self.lock();
        while inner.next <= seen && !self.is_stopped() {
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.next
    }

    /// A thread holds one: should it panic, the others must not wait for it.
    pub(super) fn guard(&self) -> Guard<'_, S> {
        Guard(self)
    }

    /// What the turns left, or the first failure.
    pub(super) fn finish(self) -> Result<S, InstallError> {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        inner.failed.map_or(Ok(inner.state), Err)
    }
}

/// See [`Turns::guard`].
pub(super) struct Guard<'a, S>(&'a Turns<S>);

impl<S> Drop for Guard<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stopped.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Place;
    use super::*;

    #[test]
    fn turns_come_in_order_and_end_with_the_first_failure() {
        for fails_at in [None, Some(0), Some(17)] {
            let turns = Turns::new(Vec::new());
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for number in turns.claim(50) {
                            turns.take(number, |seen| {
                                seen.push(number);
                                let failure = || InstallError::io(Place::Root, 0)(std::io::Error::other("x"));
                                if fails_at == Some(number) { Err(failure()) } else { Ok(()) }
                            });
                        }
                    });
                }
                let mut seen = 0;
                while seen < 50 && !turns.is_stopped() {
                    seen = turns.wait_beyond(seen);
                }
            });
            match fails_at {
                None => assert_eq!(turns.finish().unwrap(), (0..50).collect::<Vec<_>>()),
                Some(last) => {
                    assert_eq!(turns.lock().state.last(), Some(&last));
                    assert!(turns.finish().is_err());
                }
            }
        }
    }
}
