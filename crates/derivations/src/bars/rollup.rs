//! Longer bars from shorter ones: exact sums, whichever way the parts are grouped.

use std::collections::BTreeMap;

use model::{Bar, BarSource, BarState, Decimal, Time, Timeframe};

use crate::bars::state;
use crate::fold::{Error, Fold};

/// The sum of bars that lie in one bucket. Parts may be added in any order.
///
/// - A part without trades adds nothing to the prices, unless no part has any.
/// - `revision` is the sum of the parts' revisions, so that it grows by one whenever any part is revised once.
/// - `available_time` is the latest of the parts.
/// - `state` is forming if a part is, else revised if a part is; `source` is the venue's if a part's is.
/// - Counts that a part does not know are not known for the sum either.
#[derive(Clone, Debug)]
pub struct BarSum {
    bar: Bar,
    /// Open time of the earliest and latest part with trades; of parts at all while there is none.
    first: Time,
    last: Time,
    is_empty: bool,
}

impl BarSum {
    /// A sum that begins with a part, in the bucket of that timeframe that holds it.
    pub fn of(part: &Bar, timeframe: Timeframe) -> Self {
        let mut bar = part.clone();
        bar.timeframe = timeframe;
        bar.open_time = timeframe.bucket_start(part.open_time);
        Self { bar, first: part.open_time, last: part.open_time, is_empty: is_empty(part) }
    }

    /// Start of the bucket.
    pub fn open_time(&self) -> Time {
        self.bar.open_time
    }

    /// Adds a part of the same bucket.
    pub fn add(&mut self, part: &Bar) {
        self.add_prices(part);
        let bar = &mut self.bar;
        // Stored sums have 18 digits behind the point and 20 before it; no market fills those.
        let sum = |left: Decimal, right: Decimal| left.checked_add(right).unwrap_or(left);
        bar.volume = sum(bar.volume, part.volume);
        bar.quote_volume = sum(bar.quote_volume, part.quote_volume);
        bar.taker_buy_volume =
            bar.taker_buy_volume.zip(part.taker_buy_volume).map(|(left, right)| sum(left, right));
        bar.trade_count =
            bar.trade_count.zip(part.trade_count).map(|(left, right)| left.saturating_add(right));
        bar.revision = bar.revision.saturating_add(part.revision);
        bar.available_time = bar.available_time.max(part.available_time);
        bar.state = match (bar.state, part.state) {
            (BarState::Forming, _) | (_, BarState::Forming) => BarState::Forming,
            (BarState::Revised, _) | (_, BarState::Revised) => BarState::Revised,
            _ => BarState::Closed,
        };
        if part.source == BarSource::Venue {
            bar.source = BarSource::Venue;
        }
    }

    fn add_prices(&mut self, part: &Bar) {
        let bar = &mut self.bar;
        match (self.is_empty, is_empty(part)) {
            (false, true) => {}
            (true, false) => {
                (bar.open, bar.high, bar.low, bar.close) = (part.open, part.high, part.low, part.close);
                (self.first, self.last, self.is_empty) = (part.open_time, part.open_time, false);
            }
            _ => {
                if part.open_time < self.first {
                    (self.first, bar.open) = (part.open_time, part.open);
                }
                if part.open_time > self.last {
                    (self.last, bar.close) = (part.open_time, part.close);
                }
                bar.high = bar.high.max(part.high);
                bar.low = bar.low.min(part.low);
            }
        }
    }

    /// The sum as it stands.
    pub fn bar(&self) -> &Bar {
        &self.bar
    }

    /// The sum as it stands.
    pub fn into_bar(self) -> Bar {
        self.bar
    }
}

/// Whether no trade fell into the bar. Bybit's klines have no count, but a trade always has a quantity.
fn is_empty(bar: &Bar) -> bool {
    bar.trade_count.unwrap_or(0) == 0 && bar.volume.is_zero()
}

/// Rolls shorter bars up to one timeframe as they come: a bucket is handed out when a part of a later one arrives.
///
/// A part with a known open time replaces the one before (a revision). A part of a bucket already handed out is left
/// out: who revises old buckets folds all their parts anew with [`BarSum`].
#[derive(Clone, Debug)]
pub struct Rollup {
    timeframe: Timeframe,
    /// The parts of the newest bucket.
    pub(super) parts: BTreeMap<Time, Bar>,
}

impl Rollup {
    /// Nothing yet. To be fed with bars of one instrument that divide the timeframe.
    pub fn new(timeframe: Timeframe) -> Self {
        Self { timeframe, parts: BTreeMap::new() }
    }

    /// All bars of the timeframe from ascending shorter ones, the last bucket as far as it goes.
    pub fn fold(timeframe: Timeframe, parts: &[Bar]) -> Vec<Bar> {
        let mut rollup = Self::new(timeframe);
        let mut bars = Vec::new();
        for part in parts {
            rollup.take(part, &mut |bar| bars.push(bar));
        }
        bars.extend(rollup.newest());
        bars
    }

    /// The newest bucket as it stands.
    pub fn newest(&self) -> Option<Bar> {
        let mut parts = self.parts.values();
        let mut sum = BarSum::of(parts.next()?, self.timeframe);
        parts.for_each(|part| sum.add(part));
        Some(sum.into_bar())
    }

    fn bucket(&self) -> Option<Time> {
        self.parts.keys().next().map(|first| self.timeframe.bucket_start(*first))
    }
}

impl Fold for Rollup {
    type Input = Bar;
    type Output = Bar;

    fn take(&mut self, input: &Bar, emit: &mut dyn FnMut(Bar)) {
        let bucket = self.timeframe.bucket_start(input.open_time);
        match self.bucket() {
            Some(newest) if bucket < newest => return,
            Some(newest) if bucket > newest => {
                self.newest().into_iter().for_each(emit);
                self.parts.clear();
            }
            _ => {}
        }
        self.parts.insert(input.open_time, input.clone());
    }

    fn save(&self) -> Vec<u8> {
        state::save_rollup(self)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        state::restore_rollup(self, bytes)
    }
}
