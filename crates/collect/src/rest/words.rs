//! Who asks, what comes back, and why nothing does.

use bytes::Bytes;
use model::time::SECOND;
use model::{Date, Nanos, Time};

use crate::settings::Bounds;

/// Who asks, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Trades missing now.
    Repair,
    /// A book that is stale now.
    Book,
    /// The listing, the clock, what is asked again and again.
    Poll,
    /// Trades that may be missing.
    Lull,
    /// Whether a silent stream is mute.
    Doubt,
    /// What happened before we started.
    History,
}

impl Priority {
    pub(super) const COUNT: usize = 6;

    /// Share of the budget this asker may bring to use, so that something is left for the more urgent ones.
    pub(super) const fn ceiling(self, bounds: &Bounds) -> f64 {
        match self {
            // Few and cheap, and without the listing nothing is collected at all.
            Self::Poll => 1.0,
            // After an outage of hundreds of streams nothing else matters as much.
            Self::Repair | Self::Lull => 0.95,
            Self::Book | Self::Doubt => 0.75,
            Self::History => bounds.history_share,
        }
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: Bytes,
    /// When the question went out.
    pub(crate) sent: Nanos,
    /// When the answer was complete.
    pub(crate) received: Nanos,
    /// When the host sent it, by its own clock, to the second.
    pub(crate) dated: Option<Time>,
}

impl Reply {
    /// Whether the venue answered what was asked.
    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// A venue's clock minus ours, if this told it.
    pub(crate) const fn skew(&self, told: Time) -> i64 {
        let middle = i64::midpoint(self.sent.0, self.received.0).div_euclid(1_000);
        told.0.saturating_sub(middle)
    }

    /// Whether the same question will be refused whenever it is asked. Bans, limits and timeouts pass.
    pub(crate) fn is_final_refusal(&self) -> bool {
        (400..500).contains(&self.status) && !PASSING.contains(&self.status)
    }
}

/// Reads the header `Date`: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn date(text: &str) -> Option<Time> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_weekday, rest) = text.trim().strip_suffix(" GMT")?.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let date = Date::from_civil(year.parse().ok()?, u32::try_from(month).ok()? + 1, day.parse().ok()?)?;
    let numbers: Vec<i64> = time.split(':').map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let [hours @ 0..24, minutes @ 0..60, seconds @ 0..=60] = numbers[..] else { return None };
    Some(date.start().plus_micros((hours * 3_600 + minutes * 60 + seconds) * SECOND))
}

/// Refusals that pass: both houses of venues send 403 from the firewall before them, for a while.
const PASSING: &[u16] = &[403, 408, 418, 425, 429];

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AskError {
    /// Too many questions wait already.
    Crowded,
    /// It was not its turn in the time given.
    Expired,
    /// The host was not reached or broke off.
    Failed(String),
}

impl std::fmt::Display for AskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Crowded => f.write_str("too many questions wait already"),
            Self::Expired => f.write_str("its turn did not come in time"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for dates in headers.
    use super::*;

    #[test]
    fn dates_of_headers_are_read() {
        let read = |text: &str| date(text).map(|time| time.to_string());
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37.000000Z"));
        for text in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 31 Feb 2024 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
