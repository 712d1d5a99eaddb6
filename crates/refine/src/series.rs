//! 1-minute bars of one instrument in memory, ours and the venue's, packed small.

use model::time::MINUTE;
use model::{Bar, BarSource, BarState, Decimal, InstrumentId, Time, Timeframe};

/// A 1-minute bar without its instrument.
// 120 bytes in place of 304: a day of 700 instruments is a million bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slim {
    pub(crate) open_time: Time,
    prices: [i64; 4],
    sums: [i128; 3],
    trade_count: i64,
    available_time: Time,
    revision: i32,
    price_scale: u8,
    sum_scales: [u8; 3],
    state: BarState,
    has_count: bool,
    has_bought: bool,
}

impl Slim {
    pub(crate) fn of(bar: &Bar) -> Self {
        let (prices, price_scale) = pack([bar.open, bar.high, bar.low, bar.close]);
        let bought = bar.taker_buy_volume.unwrap_or_default();
        Self {
            open_time: bar.open_time,
            prices,
            sums: [bar.volume.mantissa(), bar.quote_volume.mantissa(), bought.mantissa()],
            trade_count: bar.trade_count.unwrap_or_default(),
            available_time: bar.available_time,
            revision: bar.revision,
            price_scale,
            sum_scales: [bar.volume.scale(), bar.quote_volume.scale(), bought.scale()],
            state: bar.state,
            has_count: bar.trade_count.is_some(),
            has_bought: bar.taker_buy_volume.is_some(),
        }
    }

    /// Unpacks into a bar that is used over and over.
    pub(crate) fn unpack(&self, bar: &mut Bar) {
        let price = |index: usize| Decimal::new(i128::from(self.prices[index]), self.price_scale);
        let sum = |index: usize| Decimal::new(self.sums[index], self.sum_scales[index]);
        bar.open_time = self.open_time;
        (bar.open, bar.high, bar.low, bar.close) = (price(0), price(1), price(2), price(3));
        (bar.volume, bar.quote_volume) = (sum(0), sum(1));
        bar.taker_buy_volume = self.has_bought.then(|| sum(2));
        bar.trade_count = self.has_count.then_some(self.trade_count);
        bar.available_time = self.available_time;
        bar.revision = self.revision;
        bar.state = self.state;
    }

    /// Price of the last trade.
    pub(crate) fn close(&self) -> Decimal {
        Decimal::new(i128::from(self.prices[3]), self.price_scale)
    }
}

/// Four prices at one scale, in 64 bits each.
fn pack(prices: [Decimal; 4]) -> ([i64; 4], u8) {
    let mut scale = prices.iter().map(|price| price.scale()).max().unwrap_or(0);
    loop {
        let fit = prices
            .map(|price| price.rounded(scale).mantissa_at(scale).and_then(|value| i64::try_from(value).ok()));
        match fit {
            [Some(open), Some(high), Some(low), Some(close)] => return ([open, high, low, close], scale),
            // 19 digits are more than the double in the table keeps, so nothing is lost that a reader could see.
            _ if scale > 0 => scale -= 1,
            _ => return ([i64::MAX; 4], 0),
        }
    }
}

/// A blank 1-minute bar to unpack into.
pub(crate) fn blank(instrument: &InstrumentId) -> Bar {
    Bar {
        instrument: instrument.clone(),
        timeframe: Timeframe::MINUTE,
        open_time: Time(0),
        open: Decimal::ZERO,
        high: Decimal::ZERO,
        low: Decimal::ZERO,
        close: Decimal::ZERO,
        volume: Decimal::ZERO,
        quote_volume: Decimal::ZERO,
        trade_count: Some(0),
        taker_buy_volume: Some(Decimal::ZERO),
        source: BarSource::Trades,
        state: BarState::Closed,
        revision: 0,
        available_time: Time(0),
    }
}

/// The last close before a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Memory does not tell; the store was not asked.
    Unasked,
    /// There is no bar before.
    Nothing,
    /// The close of the bar before.
    Close(Decimal),
}

impl Before {
    /// As the store answered.
    pub(crate) fn told(close: Option<Decimal>) -> Self {
        close.map_or(Self::Nothing, Self::Close)
    }

    /// The close, as far as it is known.
    pub(crate) fn close(self) -> Option<Decimal> {
        match self {
            Self::Unasked | Self::Nothing => None,
            Self::Close(close) => Some(close),
        }
    }
}

/// Bars of one instrument, ascending.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) ours: Vec<Slim>,
    pub(crate) venue: Vec<Slim>,
    /// Every known bar from here on is in memory.
    pub(crate) complete_from: Time,
    /// The close before `complete_from` as the store had it.
    pub(crate) close_below: Before,
    /// Where history begins: no bar is older. `None` until the store was asked.
    pub(crate) begins: Option<Time>,
    /// One more whenever a bar may have changed that [`Settled`](crate::candles::Settled) sums hold.
    pub(crate) version: u64,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            ours: Vec::new(),
            venue: Vec::new(),
            complete_from: Time(i64::MAX),
            close_below: Before::Unasked,
            begins: None,
            version: 0,
        }
    }
}

/// How far behind a series' newest bar its minutes count as settled: what comes later than that is rare.
pub(crate) const SETTLED_AFTER: i64 = 5 * MINUTE;

impl Series {
    /// Enters a bar unless a newer form of it is known.
    pub(crate) fn insert(&mut self, bar: &Bar) {
        if bar.open_time < self.settled_through() {
            self.version += 1;
        }
        self.reach_back(bar.open_time);
        if bar.open_time < self.complete_from {
            self.close_below = Before::Unasked;
        }
        let side = match bar.source {
            BarSource::Trades => &mut self.ours,
            BarSource::Venue => &mut self.venue,
        };
        let slim = Slim::of(bar);
        match side.last() {
            Some(last) if last.open_time < slim.open_time => side.push(slim),
            None => side.push(slim),
            _ => match side.binary_search_by_key(&slim.open_time, |known| known.open_time) {
                Ok(at) if is_newer(&slim, &side[at]) => side[at] = slim,
                Ok(_) => {}
                Err(at) => side.insert(at, slim),
            },
        }
    }

    /// Minutes before this moment rarely change: sums of them may be kept while `version` stays the same.
    pub(crate) fn settled_through(&self) -> Time {
        self.ours.last().map_or(Time(i64::MIN), |last| last.open_time.plus_micros(-SETTLED_AFTER))
    }

    /// Enters many bars read back from the store, in any order.
    pub(crate) fn merge(&mut self, bars: &[Bar]) {
        self.version += 1;
        self.close_below = Before::Unasked;
        self.begins = self.begins.map(|begins| bars.iter().map(|bar| bar.open_time).fold(begins, Time::min));
        for source in [BarSource::Trades, BarSource::Venue] {
            let side = if source == BarSource::Trades { &mut self.ours } else { &mut self.venue };
            let mut all: Vec<Slim> = bars.iter().filter(|bar| bar.source == source).map(Slim::of).collect();
            if all.is_empty() {
                continue;
            }
            all.append(side);
            // The newest form of each minute comes last and wins.
            all.sort_by_key(|slim| (slim.open_time, slim.revision, slim.available_time));
            let mut kept: Vec<Slim> = Vec::with_capacity(all.len());
            for slim in all {
                match kept.last_mut() {
                    Some(last) if last.open_time == slim.open_time => *last = slim,
                    _ => kept.push(slim),
                }
            }
            *side = kept;
        }
    }

    /// From when on every bar there is is in memory.
    pub(crate) fn whole_from(&self) -> Time {
        if self.is_whole() { Time(i64::MIN) } else { self.complete_from }
    }

    /// Whether there is nothing that is not in memory.
    fn is_whole(&self) -> bool {
        self.begins.is_some_and(|begins| begins >= self.complete_from)
    }

    /// A bar comes into memory: history may begin with it.
    fn reach_back(&mut self, open_time: Time) {
        if self.is_whole() {
            self.complete_from = self.complete_from.min(open_time);
        }
        self.begins = self.begins.map(|begins| begins.min(open_time));
    }

    /// Open time of the oldest bar in memory.
    pub(crate) fn oldest(&self) -> Option<Time> {
        let first = |side: &[Slim]| side.first().map(|slim| slim.open_time);
        [first(&self.ours), first(&self.venue)].into_iter().flatten().min()
    }

    /// Lets go of everything before a moment.
    pub(crate) fn forget_before(&mut self, time: Time) {
        let below = if time < self.complete_from { self.close_below } else { self.close_before(time) };
        for side in [&mut self.ours, &mut self.venue] {
            let gone = side.partition_point(|slim| slim.open_time < time);
            side.drain(..gone);
            side.shrink_to(side.len() + 64);
        }
        self.version += 1;
        self.close_below = below;
        self.complete_from = self.complete_from.max(time);
    }

    /// Bars before a moment may have changed in the store: they are read anew when they are asked for.
    pub(crate) fn distrust_before(&mut self, time: Time) {
        self.version += 1;
        self.close_below = Before::Unasked;
        self.begins = None;
        self.complete_from = self.complete_from.max(time);
    }

    /// Bars in memory.
    pub(crate) fn len(&self) -> usize {
        self.ours.len() + self.venue.len()
    }

    /// Close of the last bar before a moment.
    pub(crate) fn close_before(&self, time: Time) -> Before {
        let is_whole = self.is_whole();
        if time < self.complete_from && !is_whole {
            return Before::Unasked;
        }
        let last = |side: &[Slim]| {
            let at = side.partition_point(|slim| slim.open_time < time);
            at.checked_sub(1).map(|at| (side[at].open_time, side[at].close()))
        };
        match last(&self.ours).max_by_time(last(&self.venue)) {
            Some((open_time, close)) if open_time >= self.complete_from => Before::Close(close),
            _ if is_whole => Before::Nothing,
            _ => self.close_below,
        }
    }
}

trait Later: Sized {
    fn max_by_time(self, other: Self) -> Self;
}

impl Later for Option<(Time, Decimal)> {
    fn max_by_time(self, other: Self) -> Self {
        match (self, other) {
            (Some(left), Some(right)) => Some(if right.0 > left.0 { right } else { left }),
            (left, right) => left.or(right),
        }
    }
}

fn is_newer(slim: &Slim, known: &Slim) -> bool {
    (slim.revision, slim.available_time) >= (known.revision, known.available_time)
}

/// The bars that start in a span.
pub(crate) fn within(side: &[Slim], start: Time, end: Time) -> &[Slim] {
    let from = side.partition_point(|slim| slim.open_time < start);
    let until = side.partition_point(|slim| slim.open_time < end);
    &side[from..until.max(from)]
}
