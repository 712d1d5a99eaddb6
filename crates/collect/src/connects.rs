//! Rations new connections to one venue host, over everything that connects there.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Nanos;
use venues::Allowance;

use crate::journal::Journal;

/// How many connections may still be opened.
#[derive(Debug)]
pub(crate) struct ConnectGate {
    most: usize,
    per: Duration,
    opened: Mutex<VecDeque<Nanos>>,
}

impl ConnectGate {
    /// Uses that share of what the venue allows.
    pub(crate) fn new(allowance: Allowance, share: f64) -> Self {
        let most = (f64::from(allowance.count) * share).max(1.0) as usize;
        Self { most, per: allowance.per, opened: Mutex::default() }
    }

    /// Waits until one more connection may be opened.
    pub(crate) async fn permit(&self, journal: &Journal) {
        while let Err(wait) = self.try_take(journal.now()) {
            runtime::sleep(wait).await;
        }
    }

    fn try_take(&self, now: Nanos) -> Result<(), Duration> {
        let per = i64::try_from(self.per.as_nanos()).unwrap_or(i64::MAX);
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        while opened.front().is_some_and(|time| time.0.saturating_add(per) <= now.0) {
            opened.pop_front();
        }
        if opened.len() < self.most {
            opened.push_back(now);
            return Ok(());
        }
        let free = opened.front().map_or(now.0, |time| time.0.saturating_add(per));
        Err(Duration::from_nanos(u64::try_from(free - now.0).unwrap_or(0)).max(Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    //! Cases for the ration.
    use super::*;

    #[test]
    fn the_span_slides() {
        let gate = ConnectGate::new(Allowance { count: 3, per: Duration::from_secs(10) }, 0.7);
        let at = |seconds: i64| Nanos(seconds * 1_000_000_000);
        assert_eq!(gate.try_take(at(0)), Ok(()));
        assert_eq!(gate.try_take(at(4)), Ok(()));
        assert_eq!(gate.try_take(at(5)), Err(Duration::from_secs(5)));
        assert_eq!(gate.try_take(at(10)), Ok(()));
        assert_eq!(gate.try_take(at(13)), Err(Duration::from_secs(1)));
    }
}
