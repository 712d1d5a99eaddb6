//! What a venue without a market shows of the shared path: its distance from it, its steps, its volumes, its quiet minutes.
//! Every candle is a function of seed and time, so that history and now can never disagree.

use model::{Candle, Decimal, Ohlcv, Time};

use crate::hash;
use crate::market::{MINUTE_MS, Market, Protocol, spec_of};

/// How a venue differs from the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether Bitcoin is quoted in USD; the shared path is in USDT.
    pub(super) is_dollar: bool,
    /// Digits of prices behind the point.
    pub(super) digits: u8,
    /// Typical volume of a minute, in BTC.
    pub(super) volume: f64,
    /// Share of minutes without trades.
    pub(super) quiet: f64,
    /// Whether those are shown flat, without volume; else they have no candle.
    pub(super) is_filled: bool,
}

/// How far USDT lies above USD on average, and how far it moves.
const BASIS: (f64, f64) = (0.000_8, 0.000_6);
/// How slowly.
const BASIS_PERIOD_MS: i64 = 6 * 3_600_000;
/// How far one venue lies from another at most.
const NOISE: f64 = 0.000_05;
const NOISE_PERIOD_MS: i64 = 90_000;
/// Moments of a minute at which the price is looked at.
const LOOKS: i64 = 4;
/// Digits of volumes.
const VOLUME_DIGITS: u8 = 8;
/// Quiet minutes in a row that a flat candle looks back over.
const BACK_MAX: i64 = 60;

/// The candles of one venue.
pub(super) struct Path {
    manner: Manner,
    seed: u64,
    basis_seed: u64,
    first_minute: i64,
    /// Knows the shared path; nobody trades there.
    market: Market,
}

/// A minute in steps of the venue.
#[derive(Clone, Copy)]
struct Minute {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    volume: i64,
}

impl Path {
    pub(super) fn new((name, manner): (&str, Manner), world_seed: u64, first_minute: i64) -> Self {
        let spec = spec_of(Protocol::Binance, "BTC".into(), 1);
        Self {
            manner,
            seed: hash::named(world_seed, &format!("price of {name}")),
            basis_seed: hash::named(world_seed, "USDT"),
            first_minute,
            market: Market::new(Protocol::Binance, spec, world_seed, first_minute),
        }
    }

    /// When its first candle opens.
    pub(super) const fn first_ms(&self) -> i64 {
        self.first_minute * MINUTE_MS
    }

    /// The candle that opens at a moment, if there is one. It is whole, though it may not be over yet.
    pub(super) fn candle(&self, open_ms: i64, minutes: i64) -> Option<Candle> {
        let first = open_ms.div_euclid(MINUTE_MS);
        let mut whole: Option<Minute> = None;
        for minute in (first..first + minutes).filter_map(|minute| self.minute(minute)) {
            whole = Some(match whole {
                None => minute,
                Some(before) => Minute {
                    open: before.open,
                    high: before.high.max(minute.high),
                    low: before.low.min(minute.low),
                    close: minute.close,
                    volume: before.volume + minute.volume,
                },
            });
        }
        let minute = whole.or_else(|| self.flat(first))?;
        let price = |steps: i64| Decimal::new(i128::from(steps), self.manner.digits);
        let price = Ohlcv {
            open: price(minute.open),
            high: price(minute.high),
            low: price(minute.low),
            close: price(minute.close),
            volume: Decimal::new(i128::from(minute.volume), VOLUME_DIGITS),
        };
        Some(Candle { open_time: Time(open_ms * 1_000), price, is_closed: true })
    }

    /// What a venue shows that fills quiet minutes.
    fn flat(&self, first: i64) -> Option<Minute> {
        let back = (1..=BACK_MAX).filter(|_| self.manner.is_filled);
        let before = back.map(|back| first - back).find_map(|minute| self.minute(minute))?;
        let close = before.close;
        Some(Minute { open: close, high: close, low: close, close, volume: 0 })
    }

    fn minute(&self, minute: i64) -> Option<Minute> {
        let draw = |place: u64| hash::unit(hash::at(self.seed ^ place, minute));
        if minute < self.first_minute || draw(1) < self.manner.quiet {
            return None;
        }
        let start = minute * MINUTE_MS;
        let mut looks = (0..=LOOKS).map(|look| self.price(start + look * (MINUTE_MS - 1) / LOOKS));
        let open = looks.next()?;
        let mut seen = Minute { open, high: open, low: open, close: open, volume: 0 };
        for price in looks {
            (seen.high, seen.low, seen.close) = (seen.high.max(price), seen.low.min(price), price);
        }
        let volume = self.manner.volume * (0.2 + 1.8 * draw(2)).powi(2);
        seen.volume = (volume * 1e8).round().max(1.0) as i64;
        Some(seen)
    }

    /// A price in steps.
    fn price(&self, at_ms: i64) -> i64 {
        let shared = self.market.index_price(at_ms);
        let noise = NOISE * wave(self.seed, at_ms, NOISE_PERIOD_MS);
        let basis = BASIS.0 + BASIS.1 * wave(self.basis_seed, at_ms, BASIS_PERIOD_MS);
        let price = if self.manner.is_dollar { shared / (1.0 + basis) } else { shared } * (1.0 + noise);
        (price * 10_f64.powi(i32::from(self.manner.digits))).round().max(1.0) as i64
    }
}

/// Smooth noise between -1 and 1.
fn wave(seed: u64, at_ms: i64, period_ms: i64) -> f64 {
    let cell = at_ms.div_euclid(period_ms);
    let value = |cell| hash::unit(hash::at(seed, cell)) * 2.0 - 1.0;
    let part = at_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
    value(cell) + (value(cell + 1) - value(cell)) * part * part * (3.0 - 2.0 * part)
}
