//! Who asks, what comes back, and why nothing does.

use bytes::Bytes;
use model::{Nanos, Time};

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
