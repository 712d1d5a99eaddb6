//! How fast a stream is, and for how long it may be silent by that alone.

use std::time::Duration;

/// A steady busy stream is called mute no later than this, looks every quarter of a second included.
const BUSY_SILENCE_MAX: Duration = Duration::from_millis(4_500);
/// No silence shorter than this is ever suspicious: venues and networks hiccup.
const BUSY_SILENCE_MIN: Duration = Duration::from_millis(3_500);
/// A slow stream is given at least this long.
const SLOW_SILENCE_MIN: Duration = Duration::from_mins(15);
/// Until then a stream counts as steady only if its gaps are far below the limit.
const WARM_AFTER: Duration = Duration::from_mins(1);

/// How fast a stream is, and how uneven.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) mean: Duration,
    pub(super) gap_max: Duration,
    pub(super) watched: Duration,
    pub(super) message_count: u64,
}

impl Pace {
    pub(super) fn is_busy(self) -> bool {
        // A stream that ticks each second may show a mean a little above.
        self.mean <= Duration::from_millis(1_150)
    }

    /// Whether it never pauses, as far as long watching tells.
    pub(super) fn is_steady(self) -> bool {
        self.watched >= WARM_AFTER
            && self.mean <= Duration::from_millis(250)
            && self.gap_max <= Duration::from_secs(1)
    }

    /// Silence worth noticing when others are silent too.
    pub(super) fn unusual(self) -> Duration {
        self.gap_max.mul_f64(1.2).max(Duration::from_millis(1_500))
    }

    /// Silence that is no accident. The longest of `n` random gaps is rarely surpassed 2.5-fold by the next one, so the
    /// factor grows where few were seen.
    pub(super) fn limit(self) -> Duration {
        if !self.is_busy() {
            return self.gap_max.saturating_mul(10).max(SLOW_SILENCE_MIN);
        }
        let margin = if self.watched < WARM_AFTER { 4.0 } else { 1.8 };
        let own = self.gap_max.mul_f64(2.5 * (1.0 + 20.0 / self.message_count as f64));
        if self.gap_max.mul_f64(margin) <= BUSY_SILENCE_MAX {
            own.clamp(BUSY_SILENCE_MIN, BUSY_SILENCE_MAX)
        } else if self.watched < WARM_AFTER {
            own.max(Duration::from_secs(15))
        } else {
            own
        }
    }
}
