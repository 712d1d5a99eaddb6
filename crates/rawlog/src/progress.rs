//! A position that only grows, and those who wait for it. Who moves it is left to `writer` and `sync`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A growing position with blocking and waiting followers.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    value: AtomicU64,
    is_closed: AtomicBool,
    gate: Mutex<()>,
    changed: Condvar,
    notify: Notify,
}

impl Progress {
    pub(crate) fn get(&self) -> u64 {
        self.value.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn publish(&self, value: u64) {
        self.value.fetch_max(value, Ordering::AcqRel);
        self.wake();
    }

    /// It will not grow any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // The gate is passed so that nobody falls asleep between looking and waiting.
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    fn is_over(&self, wanted: u64) -> bool {
        // Closed is read first: what was published before closing is then seen as well.
        self.is_closed() || self.get() >= wanted
    }

    /// Blocks until `wanted` is reached (true), or it is closed or the time is over without it (false).
    pub(crate) fn wait_blocking(&self, wanted: u64, wait_max: Option<Duration>) -> bool {
        if !self.is_over(wanted) {
            let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            match wait_max {
                Some(max) => {
                    drop(self.changed.wait_timeout_while(gate, max, |()| !self.is_over(wanted)));
                }
                None => drop(self.changed.wait_while(gate, |()| !self.is_over(wanted))),
            }
        }
        self.get() >= wanted
    }

    /// As [`Progress::wait_blocking`], for tasks.
    pub(crate) async fn wait(&self, wanted: u64) -> bool {
        loop {
            let changed = self.notify.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_over(wanted) {
                return self.get() >= wanted;
            }
            changed.await;
        }
    }
}
