//! Series over time: timeframes and bars. How bars are made from trades is left to `derivations`.

use std::fmt;
use std::str::FromStr;

use crate::decimal::Decimal;
use crate::id::InstrumentId;
use crate::time::{DAY, MINUTE, Time};

/// Length of a bar and where its buckets begin, all UTC.
///
/// Minute counts are cut from the epoch, weeks from Monday, months by calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timeframe {
    /// 1 to 43,200 minutes.
    Minutes(u16),
    /// Monday 00:00 to Monday 00:00.
    Week,
    /// A calendar month.
    Month,
}

/// Most minutes a timeframe may have (30 days).
pub const TIMEFRAME_MINUTES_MAX: u16 = 43_200;

/// Why a text is no timeframe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeframeError {
    text: String,
}

impl fmt::Display for TimeframeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a timeframe: {:?}; use minutes from 1 to 43200 (15 or 15m), hours (4h), days (1d), 1w or 1M",
            self.text
        )
    }
}

impl std::error::Error for TimeframeError {}

impl Timeframe {
    /// One minute.
    pub const MINUTE: Self = Self::Minutes(1);

    /// A timeframe of so many minutes; `None` outside 1 to 43,200.
    pub fn minutes(count: i64) -> Option<Self> {
        u16::try_from(count)
            .ok()
            .filter(|count| (1..=TIMEFRAME_MINUTES_MAX).contains(count))
            .map(Self::Minutes)
    }

    /// Start of the bucket that holds `time`.
    pub fn bucket_start(self, time: Time) -> Time {
        match self {
            Self::Minutes(count) => Time(time.0 - time.0.rem_euclid(i64::from(count) * MINUTE)),
            // 1970-01-01 was a Thursday, three days after a Monday.
            Self::Week => Time(time.0 - (time.0 + 3 * DAY).rem_euclid(7 * DAY)),
            Self::Month => time.date().month_start().start(),
        }
    }

    /// Start of the bucket after the one that starts at `open_time`.
    pub fn bucket_end(self, open_time: Time) -> Time {
        match self {
            Self::Minutes(count) => open_time.plus_micros(i64::from(count) * MINUTE),
            Self::Week => open_time.plus_micros(7 * DAY),
            Self::Month => open_time.date().next_month_start().start(),
        }
    }

    /// Start of the bucket `count` buckets before the one that starts at `open_time`.
    pub fn buckets_before(self, open_time: Time, count: u32) -> Time {
        match self {
            Self::Minutes(minutes) => {
                open_time.plus_micros(-(i64::from(minutes) * MINUTE).saturating_mul(i64::from(count)))
            }
            Self::Week => open_time.plus_micros(-(7 * DAY) * i64::from(count)),
            Self::Month => {
                let mut start = open_time;
                for _ in 0..count {
                    start = self.bucket_start(start.plus_micros(-1));
                }
                start
            }
        }
    }
}

/// Prints the minutes with an `m` (`15m`, `173m`), `1w` or `1M`.
impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Minutes(count) => write!(f, "{count}m"),
            Self::Week => f.write_str("1w"),
            Self::Month => f.write_str("1M"),
        }
    }
}

/// Reads `15`, `15m`, `4h`, `3d`, `1w` and `1M`.
impl FromStr for Timeframe {
    type Err = TimeframeError;
    fn from_str(text: &str) -> Result<Self, TimeframeError> {
        let refuse = || TimeframeError { text: text.chars().take(40).collect() };
        match text {
            "1w" => return Ok(Self::Week),
            "1M" => return Ok(Self::Month),
            _ => {}
        }
        let (digits, unit) = match text.char_indices().next_back() {
            Some((at, 'm')) => (&text[..at], 1),
            Some((at, 'h')) => (&text[..at], 60),
            Some((at, 'd')) => (&text[..at], 1_440),
            _ => (text, 1),
        };
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refuse());
        }
        digits.parse::<i64>().ok().and_then(|count| Self::minutes(count * unit)).ok_or_else(refuse)
    }
}

/// How far along a bar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BarState {
    /// Its time is not over, or its last trades may still be on the way.
    Forming,
    /// Final as far as is known.
    Closed,
    /// Closed before, then changed by a late trade.
    Revised,
}

impl BarState {
    /// `forming`, `closed` or `revised`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forming => "forming",
            Self::Closed => "closed",
            Self::Revised => "revised",
        }
    }
}

/// Where a bar comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BarSource {
    /// Folded from our trades.
    Trades,
    /// As the venue published it.
    Venue,
}

impl BarSource {
    /// `trades` or `venue`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Venue => "venue",
        }
    }
}

/// One bar. A bar without trades has `trade_count` 0, no volume, and all four prices at the last close before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Length.
    pub timeframe: Timeframe,
    /// Start of the bucket.
    pub open_time: Time,
    /// Price of the first trade by `(venue_time, id)`.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Price of the last trade by `(venue_time, id)`.
    pub close: Decimal,
    /// Sum of quantities, base asset, exact.
    pub volume: Decimal,
    /// Sum of price times quantity, quote asset, exact.
    pub quote_volume: Decimal,
    /// Events of the trade feed in the bar; `None` where the venue does not say (Bybit klines).
    pub trade_count: Option<i64>,
    /// Quantity bought by aggressors; `None` where the venue does not say.
    pub taker_buy_volume: Option<Decimal>,
    /// Where it comes from.
    pub source: BarSource,
    /// How far along it is.
    pub state: BarState,
    /// 0 when first closed, one more at each change after.
    pub revision: i32,
    /// When this revision became known here.
    pub available_time: Time,
}

impl Bar {
    /// Volume-weighted mean price; `None` without volume.
    pub fn vwap(&self) -> Option<f64> {
        self.quote_volume.checked_div(self.volume, 12).map(Decimal::to_f64)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for timeframes.
    use super::*;

    fn start(timeframe: &str, time: &str) -> String {
        timeframe.parse::<Timeframe>().unwrap().bucket_start(Time::parse(time).unwrap()).to_string()
    }

    #[test]
    fn buckets_start_where_the_house_says() {
        assert_eq!(start("15", "2024-08-08T12:34:56Z"), "2024-08-08T12:30:00.000000Z");
        assert_eq!(start("173m", "1970-01-01T05:00:00Z"), "1970-01-01T02:53:00.000000Z");
        assert_eq!(start("1w", "2024-08-08T12:34:56Z"), "2024-08-05T00:00:00.000000Z");
        assert_eq!(start("1M", "2024-02-29T23:59:59Z"), "2024-02-01T00:00:00.000000Z");
        assert_eq!(start("4h", "2024-08-08T12:34:56Z"), "2024-08-08T12:00:00.000000Z");
    }

    #[test]
    fn every_minute_count_is_a_timeframe_and_no_other() {
        for text in ["1", "173", "2850", "43200", "43200m", "720h", "30d"] {
            assert!(text.parse::<Timeframe>().is_ok(), "{text}");
        }
        for text in ["0", "43201", "-5", "1.5", "", "m", "31d", "1y", "2w", "2M", "99999999999"] {
            let error = text.parse::<Timeframe>().unwrap_err().to_string();
            assert!(error.contains("from 1 to 43200"), "{error}");
        }
    }

    #[test]
    fn months_step_by_calendar() {
        let march = Time::parse("2024-03-01").unwrap();
        assert_eq!(Timeframe::Month.bucket_end(march), Time::parse("2024-04-01").unwrap());
        assert_eq!(Timeframe::Month.buckets_before(march, 2), Time::parse("2024-01-01").unwrap());
    }
}
