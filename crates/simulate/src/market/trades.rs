//! The trades of a market, minute by minute.

use model::Side;

use super::price::KNOT_MS;
use super::{MINUTE_MS, Market, ORIGIN_MS, Protocol};
use crate::hash::{self, Sequence};

/// One trade of the canonical feed (Binance: an aggregate of raw trades).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Place among all trades of the market since the origin of ids.
    pub(crate) index: i64,
    /// When, in milliseconds.
    pub(crate) at_ms: i64,
    /// Price in ticks.
    pub(crate) price: i64,
    /// Quantity in lots.
    pub(crate) lots: i64,
    /// Whether the aggressor bought.
    pub(crate) is_buy: bool,
}

impl Tick {
    /// The aggressor's side.
    pub(crate) const fn side(&self) -> Side {
        if self.is_buy { Side::Buy } else { Side::Sell }
    }
}

const ORIGIN_MINUTE: i64 = ORIGIN_MS / MINUTE_MS;

impl Market {
    /// How many trades there were before a minute, since the origin. Only grows with the minute, and by at most 1.8
    /// times the average per minute: that is what makes ids contiguous without counting.
    pub(crate) fn trades_before(&self, minute: i64) -> i64 {
        let minutes = i128::from(minute - ORIGIN_MINUTE);
        let rate = i128::from(self.spec.rate_micro);
        let wave = rate * i128::from(hash::at(self.seed ^ 0xC0, minute) >> 48) * 8 / 10 / 65_536;
        ((rate * minutes + wave) / 1_000_000) as i64
    }

    /// All trades of a minute, in order.
    pub(crate) fn minute(&self, minute: i64) -> Vec<Tick> {
        let first = self.trades_before(minute);
        let count = (self.trades_before(minute + 1) - first).max(0) as usize;
        if count == 0 || minute < self.first_minute {
            return Vec::new();
        }
        let mut draw = Sequence::new(hash::at(self.seed, minute));
        let start = minute * MINUTE_MS;
        let mut walk = self.walk();
        // Quiet markets need few of them.
        let mut knots = [f64::NAN; (MINUTE_MS / KNOT_MS) as usize + 1];
        let mut middle = |number: i64| {
            let known = &mut knots[number as usize];
            if known.is_nan() {
                *known = walk.knot(start / KNOT_MS + number);
            }
            *known
        };
        // Trades come in bursts around some moments, most of a burst on one side.
        let bursts: Vec<u64> = (0..count.div_ceil(5)).map(|_| draw.draw()).collect();
        let mut times: Vec<(i64, bool)> = (0..count)
            .map(|_| {
                let bits = draw.draw();
                let burst = bursts[(bits % bursts.len() as u64) as usize];
                let late = ((bits >> 20) % 48) as i64;
                let offset =
                    ((burst >> 8) % 60_000) as i64 + late * late * i64::from(!(bits >> 30).is_multiple_of(3));
                (
                    (start + offset.min(MINUTE_MS - 1)),
                    (burst ^ u64::from((bits >> 40).is_multiple_of(5))) & 1 == 1,
                )
            })
            .collect();
        times.sort_unstable();
        times
            .into_iter()
            .enumerate()
            .map(|(place, (at_ms, is_buy))| {
                let bits = draw.draw();
                let (knot, part) = ((at_ms - start) / KNOT_MS, (at_ms - start) % KNOT_MS);
                let (left, right) = (middle(knot), middle(knot + 1));
                let bid = self.bid_of(left + (right - left) * part as f64 / KNOT_MS as f64);
                let deeper = i64::from(bits.is_multiple_of(8));
                let price = if is_buy { bid + self.spread + deeper } else { (bid - deeper).max(1) };
                let index = first + place as i64;
                let size = -(1.0 - hash::unit(bits)).ln();
                let lots = (self.lots_typical * size * size * 0.6).ceil() as i64;
                Tick { index, at_ms, price, lots: lots.max(self.raw_count(index)), is_buy }
            })
            .filter(|tick| tick.at_ms > self.opened_ms() && !self.is_lost(tick.index))
            .collect()
    }

    /// Whether the venue itself never shows a trade, though its id is taken.
    fn is_lost(&self, index: i64) -> bool {
        let Some(lost) = self.lost.get() else { return false };
        let place = lost.partition_point(|range| range.end <= index);
        lost.get(place).is_some_and(|range| range.contains(&index))
    }

    /// Lets ranges of trades, in order, never be shown anywhere. Only the first call counts.
    pub(crate) fn lose(&self, ranges: Vec<std::ops::Range<i64>>) {
        // A second call would make history change under its readers.
        let _ = self.lost.set(ranges);
    }

    /// Best bid for a middle, both in ticks.
    pub(super) fn bid_of(&self, middle: f64) -> i64 {
        ((middle - self.spread as f64 / 2.0).floor() as i64).max(1)
    }

    /// The minute that holds a trade, by its place.
    pub(crate) fn minute_of(&self, index: i64) -> i64 {
        let (mut low, mut high) = (ORIGIN_MINUTE, ORIGIN_MINUTE + 100 * 366 * 1_440);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            if self.trades_before(middle) <= index { low = middle } else { high = middle - 1 }
        }
        low
    }

    /// The last trade before a minute, if there is any.
    pub(crate) fn last_before(&self, minute: i64) -> Option<Tick> {
        let index = self.trades_before(minute) - 1;
        let home = self.minute_of(index.max(0));
        if home < self.first_minute { None } else { self.minute(home).last().copied() }
    }

    /// Trades from a place on, until a moment (included), at most so many.
    pub(crate) fn since_index(&self, index: i64, until_ms: i64, count: usize) -> Vec<Tick> {
        let first = index.max(self.trades_before(self.first_minute));
        let mut found = Vec::new();
        let mut minute = self.minute_of(first);
        while found.len() < count && minute * MINUTE_MS <= until_ms {
            found.extend(
                self.minute(minute).into_iter().filter(|tick| tick.index >= first && tick.at_ms <= until_ms),
            );
            minute += 1;
        }
        found.truncate(count);
        found
    }

    /// Trades from a moment on, until another (both included), at most so many, oldest first.
    pub(crate) fn within(&self, from_ms: i64, until_ms: i64, count: usize) -> Vec<Tick> {
        let mut found = Vec::new();
        let mut minute = from_ms.div_euclid(MINUTE_MS).max(self.first_minute);
        while found.len() < count && minute * MINUTE_MS <= until_ms {
            let span = from_ms..=until_ms;
            found.extend(self.minute(minute).into_iter().filter(|tick| span.contains(&tick.at_ms)));
            // Markets that trade every few minutes would make this a long walk.
            minute = self.minute_of(self.trades_before(minute + 1)).max(minute + 1);
        }
        found.truncate(count);
        found
    }

    /// The newest trades until a moment, at most so many, oldest first.
    pub(crate) fn latest(&self, until_ms: i64, count: usize) -> Vec<Tick> {
        let minute = until_ms.div_euclid(MINUTE_MS);
        let done = self.minute(minute).into_iter().rfind(|tick| tick.at_ms <= until_ms);
        let end = done.map_or_else(|| self.trades_before(minute), |tick| tick.index + 1);
        self.since_index(end - count as i64, until_ms, count)
    }

    /// Id of a trade of the canonical feed; Bybit's are not contiguous.
    pub(crate) fn trade_id(&self, index: i64) -> i64 {
        match self.protocol {
            Protocol::Binance | Protocol::BinanceFutures => self.first_trade_id + index,
            Protocol::Bybit => 2_290_000_000_000_000_000 + self.scattered(index, 7),
            Protocol::BybitLinear => index,
        }
    }

    /// The place of a trade, by its contiguous id.
    pub(crate) const fn index_of_id(&self, id: i64) -> i64 {
        id.saturating_sub(self.first_trade_id)
    }

    /// Text id: Bybit's linear trades have UUIDs.
    pub(crate) fn trade_uuid(&self, index: i64) -> String {
        let (high, low) = (hash::at(self.seed ^ 0xA1, index), hash::at(self.seed ^ 0xA2, index));
        format!(
            "{:08x}-{:04x}-5{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            0x8000 | (low >> 48 & 0x3FFF),
            low & 0xFFFF_FFFF_FFFF
        )
    }

    /// Bybit's cross sequence at a trade: grows, with jumps.
    pub(crate) fn trade_sequence(&self, index: i64) -> i64 {
        self.first_update_id + self.scattered(index, 5)
    }

    /// First raw trade of an aggregate; the last is the one before the next aggregate's first.
    pub(crate) fn first_raw(&self, index: i64) -> i64 {
        self.first_raw_id + 2 * index + (hash::at(self.seed ^ 0xB0, index) & 1) as i64
    }

    /// Last raw trade of an aggregate.
    pub(crate) fn last_raw(&self, index: i64) -> i64 {
        self.first_raw(index + 1) - 1
    }

    /// The aggregate that holds a raw trade.
    pub(crate) fn index_of_raw(&self, id: i64) -> i64 {
        let near = (id - self.first_raw_id).div_euclid(2);
        if self.first_raw(near) <= id { near } else { near - 1 }
    }

    /// The raw trades of an aggregate: id and lots.
    pub(crate) fn raw_trades(&self, tick: &Tick) -> impl Iterator<Item = (i64, i64)> {
        let (first, count) = (self.first_raw(tick.index), self.raw_count(tick.index));
        let (each, rest) = (tick.lots / count, tick.lots % count);
        (0..count).map(move |place| (first + place, each + if place == count - 1 { rest } else { 0 }))
    }

    /// Lots that so many trades have on average.
    pub(crate) fn lots_expected(&self, count: i64) -> i64 {
        // The mean of the square of an exponential variable is 2; see `minute`.
        (count as f64 * self.lots_typical * 1.2) as i64
    }

    fn raw_count(&self, index: i64) -> i64 {
        self.last_raw(index) - self.first_raw(index) + 1
    }

    fn scattered(&self, index: i64, step: i64) -> i64 {
        index * step + (hash::at(self.seed ^ 0xD0, index) % step as u64) as i64
    }
}
