//! Growing, jittered waits between tries. Whether to try again is left to the caller.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Waits that double from `first` to `last`, each shortened by a random part of up to half.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    tries: u32,
    random: StdRng,
}

impl Backoff {
    /// A fresh back-off; the seed makes its jitter repeatable.
    pub fn new(first: Duration, last: Duration, seed: u64) -> Self {
        Self { first, last, tries: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// How long to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.tries.min(20)).min(self.last);
        self.tries = self.tries.saturating_add(1);
        full.mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// Tries since the last success.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    //! Cases for waits.
    use super::*;

    #[test]
    fn waits_grow_to_the_limit_and_stay_jittered() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1), 7);
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next_wait()).collect();
        assert!(waits.iter().all(|wait| (500..=60_000).contains(&wait.as_millis())), "{waits:?}");
        assert!(waits[11] >= Duration::from_secs(30), "{waits:?}");
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_secs(1));
    }
}
