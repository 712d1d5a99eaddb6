//! Where a price stands at any moment: octaves of noise over a base price.

use super::Market;
use crate::hash;

/// Prices are computed this far apart, and on a straight line in between.
pub(super) const KNOT_MS: i64 = 4_000;
const OCTAVES: u32 = 10;
const FIRST_PERIOD_MS: i64 = 16_000;
/// Typical move within a day.
const DAILY_MOVE: f64 = 0.025;

impl Market {
    /// Middle of the book, in ticks.
    pub(crate) fn middle(&self, at_ms: i64) -> f64 {
        let knot = at_ms.div_euclid(KNOT_MS);
        let part = at_ms.rem_euclid(KNOT_MS) as f64 / KNOT_MS as f64;
        let (left, right) = (self.knot(knot), self.knot(knot + 1));
        left + (right - left) * part
    }

    /// The middle at a knot, in ticks.
    pub(super) fn knot(&self, knot: i64) -> f64 {
        self.index_price(knot * KNOT_MS) * (1.0 + self.basis(knot * KNOT_MS)) / self.spec.tick.size()
    }

    /// The price that all venues share, in quote asset.
    pub(crate) fn index_price(&self, at_ms: i64) -> f64 {
        let mut sum = 0.0;
        let mut period = FIRST_PERIOD_MS;
        for octave in 0..OCTAVES {
            let reach = DAILY_MOVE * (period as f64 / 86_400_000.0).sqrt();
            sum += reach * noise(self.path_seed.wrapping_add(u64::from(octave)), at_ms, period);
            period *= 4;
        }
        self.spec.price * sum.exp()
    }

    /// How far this venue is from the shared price, as a share.
    fn basis(&self, at_ms: i64) -> f64 {
        0.000_1 * noise(self.seed, at_ms, 600_000)
    }

    /// The funding rate settled at the end of the interval that holds this moment.
    pub(crate) fn funding_rate(&self, at_ms: i64, interval_ms: i64) -> f64 {
        let settles = at_ms.div_euclid(interval_ms) + 1;
        let noise = hash::unit(hash::at(self.seed ^ 0xF0, settles)) * 2.0 - 0.8;
        (noise * 0.000_1 * 1e8).round() / 1e8
    }

    /// Open contracts, in lots.
    pub(crate) fn open_lots(&self, at_ms: i64) -> i64 {
        let base = 5.0e7 / self.spec.price / self.spec.lot.size();
        (base
            * (1.0
                + 0.2 * noise(self.seed ^ 0x01, at_ms, 86_400_000)
                + 0.01 * noise(self.seed ^ 0x02, at_ms, 300_000)))
        .max(1.0) as i64
    }
}

/// Smooth noise between -1 and 1.
fn noise(seed: u64, at_ms: i64, period_ms: i64) -> f64 {
    let cell = at_ms.div_euclid(period_ms);
    let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
    let value = |cell| hash::unit(hash::at(seed, cell)) * 2.0 - 1.0;
    let (left, right) = (value(cell), value(cell + 1));
    left + (right - left) * part * part * (3.0 - 2.0 * part)
}
