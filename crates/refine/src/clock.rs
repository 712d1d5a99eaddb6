//! What time it is at a venue, as far as the log tells.

use std::time::Duration;

use model::time::{DAY, MINUTE};
use model::{Nanos, Time};

/// The venue's clock: newest venue time seen, plus the receipt time passed since. And how far its minutes are closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VenueClock {
    pub(crate) newest: Option<(Time, Nanos)>,
    /// Minutes that end here or before are closed.
    pub(crate) edge: Option<Time>,
}

impl VenueClock {
    /// Notes an event. Venue times more than a day ahead of ours are a broken unit, not a clock.
    pub(crate) fn advance(&mut self, venue_time: Time, received: Nanos, grace_micros: i64) {
        let is_newer = self.newest.is_none_or(|(newest, _)| venue_time > newest);
        if is_newer && venue_time < received.to_time().plus_micros(DAY) {
            self.newest = Some((venue_time, received));
            if self.edge.is_none() {
                self.edge = Some(venue_time.plus_micros(-grace_micros).minute_start());
            }
        }
    }

    /// The venue's time at a moment of ours; `None` before the first event.
    pub(crate) fn at(&self, received: Nanos) -> Option<Time> {
        let (venue_time, then) = self.newest?;
        Some(venue_time.plus_micros((received.0 - then.0).div_euclid(1_000)))
    }

    /// The next edge, once the clock has passed a minute and its grace.
    pub(crate) fn take_edge(&mut self, received: Nanos, grace_micros: i64) -> Option<Time> {
        let edge = self.edge?;
        let reach = self.at(received)?.plus_micros(-grace_micros);
        if reach.0 - edge.0 < MINUTE {
            return None;
        }
        self.edge = Some(reach.minute_start());
        self.edge
    }
}

/// Whole microseconds of a duration.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Whole nanoseconds of a duration.
pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
