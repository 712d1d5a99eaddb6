//! The bars that a venue publishes, folded from its own trades.

use model::time::DAY;
use model::{Date, Decimal, Time};

use super::{MINUTE_MS, Market, Protocol, Tick};

const HOUR_MINUTES: i64 = 60;

/// A bar. Prices in ticks, volume in lots, value in ticks times lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) close: i64,
    pub(crate) lots: i128,
    pub(crate) value: i128,
    pub(crate) taker_lots: i128,
    pub(crate) taker_value: i128,
    /// First raw trade; -1 in a bar without trades.
    pub(crate) first_raw: i64,
    pub(crate) last_raw: i64,
}

impl Bar {
    /// A bar without trades.
    pub(crate) const fn empty(close: i64) -> Self {
        Self {
            open: close,
            high: close,
            low: close,
            close,
            lots: 0,
            value: 0,
            taker_lots: 0,
            taker_value: 0,
            first_raw: -1,
            last_raw: -1,
        }
    }

    /// How many raw trades.
    pub(crate) const fn count(&self) -> i64 {
        if self.first_raw < 0 { 0 } else { self.last_raw - self.first_raw + 1 }
    }

    /// Takes in a trade.
    pub(crate) fn take(&mut self, market: &Market, tick: &Tick) {
        let (lots, value) = (i128::from(tick.lots), i128::from(tick.lots) * i128::from(tick.price));
        let taken = if tick.is_buy { (lots, value) } else { (0, 0) };
        self.join(&Self {
            open: tick.price,
            high: tick.price,
            low: tick.price,
            close: tick.price,
            lots,
            value,
            taker_lots: taken.0,
            taker_value: taken.1,
            first_raw: market.first_raw(tick.index),
            last_raw: market.last_raw(tick.index),
        });
    }

    /// Takes in the bar that follows.
    pub(crate) fn join(&mut self, next: &Self) {
        if next.first_raw < 0 {
            return;
        }
        if self.first_raw < 0 {
            *self = *next;
            return;
        }
        self.high = self.high.max(next.high);
        self.low = self.low.min(next.low);
        self.close = next.close;
        self.lots += next.lots;
        self.value += next.value;
        self.taker_lots += next.taker_lots;
        self.taker_value += next.taker_value;
        self.last_raw = next.last_raw;
    }
}

/// A venue's bar length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Interval {
    /// One second.
    Second,
    /// So many minutes from the epoch.
    Minutes(i64),
    /// A week from Monday.
    Week,
    /// A calendar month.
    Month,
}

const BINANCE: &[(&str, Interval)] = &[
    ("1s", Interval::Second),
    ("1m", Interval::Minutes(1)),
    ("3m", Interval::Minutes(3)),
    ("5m", Interval::Minutes(5)),
    ("15m", Interval::Minutes(15)),
    ("30m", Interval::Minutes(30)),
    ("1h", Interval::Minutes(60)),
    ("2h", Interval::Minutes(120)),
    ("4h", Interval::Minutes(240)),
    ("6h", Interval::Minutes(360)),
    ("8h", Interval::Minutes(480)),
    ("12h", Interval::Minutes(720)),
    ("1d", Interval::Minutes(1_440)),
    ("3d", Interval::Minutes(4_320)),
    ("1w", Interval::Week),
    ("1M", Interval::Month),
];

const BYBIT: &[(&str, Interval)] = &[
    ("1", Interval::Minutes(1)),
    ("3", Interval::Minutes(3)),
    ("5", Interval::Minutes(5)),
    ("15", Interval::Minutes(15)),
    ("30", Interval::Minutes(30)),
    ("60", Interval::Minutes(60)),
    ("120", Interval::Minutes(120)),
    ("240", Interval::Minutes(240)),
    ("360", Interval::Minutes(360)),
    ("720", Interval::Minutes(720)),
    ("D", Interval::Minutes(1_440)),
    ("W", Interval::Week),
    ("M", Interval::Month),
];

impl Interval {
    /// Every bar length of a protocol, with the venue's word for it.
    pub(crate) const fn all(protocol: Protocol) -> &'static [(&'static str, Self)] {
        match protocol {
            Protocol::Binance => BINANCE,
            // Futures have no bars of a second.
            Protocol::BinanceFutures => BINANCE.split_at(1).1,
            Protocol::Bybit | Protocol::BybitLinear => BYBIT,
        }
    }

    /// The bar length of a word.
    pub(crate) fn named(protocol: Protocol, word: &str) -> Option<(&'static str, Self)> {
        Self::all(protocol).iter().find(|(known, _)| *known == word).copied()
    }

    /// Start of the bar that holds a moment, in milliseconds.
    pub(crate) fn open_of(self, at_ms: i64) -> i64 {
        match self {
            Self::Second => at_ms - at_ms.rem_euclid(1_000),
            Self::Minutes(minutes) => at_ms - at_ms.rem_euclid(minutes * MINUTE_MS),
            // 1970-01-05 was a Monday.
            Self::Week => at_ms - (at_ms - 4 * DAY / 1_000).rem_euclid(7 * DAY / 1_000),
            Self::Month => date(at_ms).month_start().start().millis(),
        }
    }

    /// Start of the bar after the one that opens there.
    pub(crate) fn after(self, open_ms: i64) -> i64 {
        match self {
            Self::Second => open_ms + 1_000,
            Self::Minutes(minutes) => open_ms + minutes * MINUTE_MS,
            Self::Week => open_ms + 7 * DAY / 1_000,
            Self::Month => date(open_ms).next_month_start().start().millis(),
        }
    }

    /// Start of the bar before the one that opens there.
    pub(crate) fn before(self, open_ms: i64) -> i64 {
        self.open_of(open_ms - 1)
    }
}

fn date(at_ms: i64) -> Date {
    Time(at_ms.saturating_mul(1_000)).date()
}

impl Market {
    /// The bar that opens at a moment, from the trades until another (included).
    pub(crate) fn bar(&self, interval: Interval, open_ms: i64, until_ms: i64) -> Bar {
        let end = interval.after(open_ms).min(until_ms.saturating_add(1));
        let mut bar = Bar::empty(0);
        let mut at = open_ms.max(self.first_minute * MINUTE_MS);
        while at < end {
            let hour = HOUR_MINUTES * MINUTE_MS;
            if at % hour == 0 && at + hour <= end {
                bar.join(&self.hour(at / hour));
                at += hour;
            } else {
                let next = (at / MINUTE_MS + 1) * MINUTE_MS;
                for tick in self.minute(at / MINUTE_MS) {
                    if (at..end).contains(&tick.at_ms) {
                        bar.take(self, &tick);
                    }
                }
                at = next;
            }
        }
        if bar.first_raw < 0 {
            bar = Bar::empty(self.close_before(open_ms));
        }
        bar
    }

    /// Price of the last trade before a moment, in ticks; the middle of the book where there is none.
    pub(crate) fn close_before(&self, at_ms: i64) -> i64 {
        let minute = at_ms.div_euclid(MINUTE_MS);
        let within = self.minute(minute).into_iter().rfind(|tick| tick.at_ms < at_ms);
        within
            .or_else(|| self.last_before(minute))
            .map_or_else(|| self.middle(at_ms) as i64, |tick| tick.price)
    }

    // Long bars would walk over millions of trades again and again; whole hours never change.
    fn hour(&self, hour: i64) -> Bar {
        let known = || self.hours.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(bar) = known().get(&hour) {
            return *bar;
        }
        let mut bar = Bar::empty(0);
        for minute in hour * HOUR_MINUTES..(hour + 1) * HOUR_MINUTES {
            for tick in self.minute(minute) {
                bar.take(self, &tick);
            }
        }
        known().insert(hour, bar);
        bar
    }

    /// A volume in the venue's form.
    pub(crate) fn volume_text(&self, lots: i128) -> String {
        self.spec.lot.show(Decimal::new(self.spec.lot.value.mantissa() * lots, self.spec.lot.value.scale()))
    }

    /// A turnover in quote asset, exact.
    pub(crate) fn value(&self, value: i128) -> Decimal {
        let (tick, lot) = (self.spec.tick.value, self.spec.lot.value);
        Decimal::new(tick.mantissa() * lot.mantissa() * value, tick.scale() + lot.scale())
    }

    /// A turnover as text: 8 digits where the venue prints 8 everywhere.
    pub(crate) fn value_text(&self, value: i128) -> String {
        let exact = self.value(value);
        match self.protocol {
            Protocol::Binance => {
                Decimal::new(exact.mantissa_at(8).unwrap_or_else(|| exact.rounded(8).mantissa()), 8)
                    .to_string()
            }
            Protocol::BinanceFutures => exact.to_string(),
            _ => exact.normalized().to_string(),
        }
    }
}
