//! Where a price stands at any moment: octaves of noise over a base price.

use super::Market;
use crate::hash;

/// Prices are computed this far apart, and on a straight line in between.
pub(super) const KNOT_MS: i64 = 4_000;
const OCTAVES: usize = 10;
const FIRST_PERIOD_MS: i64 = 16_000;
const BASIS_PERIOD_MS: i64 = 600_000;
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
        self.walk().knot(knot)
    }

    /// The middle from knot to knot, cheaper for many that are near one another.
    pub(super) fn walk(&self) -> Walk<'_> {
        let octave = |octave: u32| {
            let period = FIRST_PERIOD_MS << (2 * octave);
            let reach = DAILY_MOVE * (period as f64 / 86_400_000.0).sqrt();
            (reach, Noise::new(self.path_seed.wrapping_add(u64::from(octave)), period))
        };
        let octaves = std::array::from_fn(|number| octave(number as u32));
        Walk { market: self, octaves, basis: Noise::new(self.seed, BASIS_PERIOD_MS) }
    }

    /// The price that all venues share, in quote asset.
    pub(crate) fn index_price(&self, at_ms: i64) -> f64 {
        self.walk().index_price(at_ms)
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

/// A price on its way.
pub(super) struct Walk<'a> {
    market: &'a Market,
    /// How far each reaches, slow ones further.
    octaves: [(f64, Noise); OCTAVES],
    /// How far this venue is from the shared price.
    basis: Noise,
}

impl Walk<'_> {
    /// The middle at a knot, in ticks.
    pub(super) fn knot(&mut self, knot: i64) -> f64 {
        let at_ms = knot * KNOT_MS;
        let basis = 0.000_1 * self.basis.at(at_ms);
        self.index_price(at_ms) * (1.0 + basis) / self.market.spec.tick.size()
    }

    fn index_price(&mut self, at_ms: i64) -> f64 {
        let sum: f64 = self.octaves.iter_mut().map(|(reach, noise)| *reach * noise.at(at_ms)).sum();
        self.market.spec.price * sum.exp()
    }
}

/// Smooth noise between -1 and 1. Knows the cell it was last asked about.
struct Noise {
    seed: u64,
    period_ms: i64,
    cell: i64,
    left: f64,
    right: f64,
}

impl Noise {
    const fn new(seed: u64, period_ms: i64) -> Self {
        Self { seed, period_ms, cell: i64::MIN, left: 0.0, right: 0.0 }
    }

    fn at(&mut self, at_ms: i64) -> f64 {
        let cell = at_ms.div_euclid(self.period_ms);
        if cell != self.cell {
            let value = |cell| hash::unit(hash::at(self.seed, cell)) * 2.0 - 1.0;
            (self.cell, self.left, self.right) = (cell, value(cell), value(cell + 1));
        }
        let part = at_ms.rem_euclid(self.period_ms) as f64 / self.period_ms as f64;
        self.left + (self.right - self.left) * part * part * (3.0 - 2.0 * part)
    }
}

fn noise(seed: u64, at_ms: i64, period_ms: i64) -> f64 {
    Noise::new(seed, period_ms).at(at_ms)
}
