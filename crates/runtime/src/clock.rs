//! The one place that tells the time. What the time is used for is left to the callers.
#![expect(clippy::disallowed_methods, reason = "this is the room that reads the clock")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Nanos, Time};

/// Tells the time. Handed in everywhere, so that tests can run on a virtual clock.
pub trait Clock: Send + Sync + 'static {
    /// Now, in nanoseconds since the epoch.
    fn now(&self) -> Nanos;

    /// Now, in microseconds since the epoch.
    fn time(&self) -> Time {
        self.now().to_time()
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock, ready to be handed around.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// A clock that follows tokio's time, so that it stands still and jumps with `tokio::time::pause`.
#[derive(Clone, Debug)]
pub struct TokioClock {
    origin: Nanos,
    started: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that shows `origin` now.
    pub fn starting_at(origin: Nanos) -> Self {
        Self { origin, started: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Nanos {
        Nanos(self.origin.0 + i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Waits. Follows tokio's time, so a paused test runtime does not really wait.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits for a future at most so long; `None` when the time is over.
pub async fn within<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(duration, future).await.ok()
}

/// A monotonic stopwatch for measuring durations.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
