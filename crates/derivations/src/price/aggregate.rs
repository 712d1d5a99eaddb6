//! Ten minutes of one venue from its candles of one or five minutes. Where the candles come from, and when the venue has said
//! all of a span, is left to the callers.
//!
//! Sparse and factual: ten minutes without a candle have no row, and nothing is carried on from the ten minutes before.

use std::collections::BTreeMap;

use model::{BUCKET, Candle, Decimal, Ohlcv, PriceSource, Time, VenuePrice, bucket_of, time::MINUTE};

/// How a row reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSourceMode {
    /// Candles were asked for.
    Rest,
    /// Candles came on a stream, every one of them.
    Stream,
}

impl DataSourceMode {
    /// `rest` or `stream`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Stream => "stream",
        }
    }
}

/// Every child candle that the ten minutes can have went in.
const COMPLETE: &str = "complete";
/// Some child candles were not there.
const PARTIAL: &str = "partial";

#[derive(Clone, Copy, Debug)]
struct Child {
    price: Ohlcv,
    received: Time,
    mode: DataSourceMode,
}

/// Gathers the candles of a venue until their ten minutes are over.
#[derive(Clone, Debug)]
pub struct TenMinutes {
    source: PriceSource,
    child_minutes: u16,
    open: BTreeMap<Time, BTreeMap<Time, Child>>,
}

impl TenMinutes {
    /// Nothing gathered yet. Children are so many minutes long: 1, 2 or 5.
    pub fn new(source: PriceSource, child_minutes: u16) -> Self {
        assert!(matches!(child_minutes, 1 | 2 | 5), "ten minutes are made of equal children");
        Self { source, child_minutes, open: BTreeMap::new() }
    }

    /// Child candles that ten minutes can have.
    pub const fn expected(&self) -> u16 {
        10 / self.child_minutes
    }

    /// Takes a candle that is closed; false if it is not, or opens where no child opens. A candle that came before is taken
    /// in its newest form, but counts as received when it first came.
    pub fn take(&mut self, candle: &Candle, received: Time, mode: DataSourceMode) -> bool {
        let length = i64::from(self.child_minutes) * MINUTE;
        if !candle.is_closed || candle.open_time.0.rem_euclid(length) != 0 {
            return false;
        }
        let children = self.open.entry(bucket_of(candle.open_time)).or_default();
        let first = children.get(&candle.open_time).filter(|child| child.price == candle.price);
        let child = first.copied().unwrap_or(Child { price: candle.price, received, mode });
        children.insert(candle.open_time, child);
        true
    }

    /// Whether ten minutes have all their candles, so that no clock is needed to say that they are over.
    pub fn is_complete(&self, bucket: Time) -> bool {
        self.open.get(&bucket).is_some_and(|children| children.len() == usize::from(self.expected()))
    }

    /// Rows of ten minutes that end at a moment or before, whatever they lack.
    pub fn take_over(&mut self, end: Time) -> Vec<VenuePrice> {
        let last = end.plus_micros(-BUCKET);
        let over: Vec<Time> = self.open.range(..=last).map(|(bucket, _)| *bucket).collect();
        over.into_iter().filter_map(|bucket| self.take_row(bucket)).collect()
    }

    /// The row of ten minutes, whatever they lack; none where no candle came.
    pub fn take_row(&mut self, bucket: Time) -> Option<VenuePrice> {
        let children = self.open.remove(&bucket)?;
        let price = joined(children.values().map(|child| &child.price))?;
        let received = children.values().map(|child| child.received);
        let is_stream = children.values().all(|child| child.mode == DataSourceMode::Stream);
        let mode = if is_stream { DataSourceMode::Stream } else { DataSourceMode::Rest };
        let count = children.len() as u16;
        Some(VenuePrice {
            source: self.source,
            bucket,
            price,
            quality_status: if count == self.expected() { COMPLETE } else { PARTIAL }.into(),
            data_source_mode: mode.as_str().into(),
            child_minutes: self.child_minutes,
            child_count: count,
            child_count_expected: self.expected(),
            first_received_time: received.clone().min()?,
            received_time: received.max()?,
        })
    }
}

/// Rows of the ten minutes that end at a moment or before, from candles that were asked for at once.
pub fn rows_of(
    (source, child_minutes): (PriceSource, u16),
    candles: &[Candle],
    received: Time,
    over: Time,
) -> Vec<VenuePrice> {
    let mut folded = TenMinutes::new(source, child_minutes);
    for candle in candles {
        folded.take(candle, received, DataSourceMode::Rest);
    }
    folded.take_over(over)
}

/// Prices over candles that follow one another; none of none, nor where volumes do not add up within 38 digits.
fn joined<'a>(mut prices: impl Iterator<Item = &'a Ohlcv>) -> Option<Ohlcv> {
    let mut whole = *prices.next()?;
    for next in prices {
        whole.high = whole.high.max(next.high);
        whole.low = whole.low.min(next.low);
        whole.close = next.close;
        whole.volume = sum(whole.volume, next.volume)?;
    }
    Some(whole)
}

fn sum(left: Decimal, right: Decimal) -> Option<Decimal> {
    left.checked_add(right).or_else(|| left.normalized().checked_add(right.normalized()))
}

#[cfg(test)]
mod tests {
    //! Cases for ten minutes.
    use super::*;

    fn candle(minute: i64, [open, high, low, close, volume]: [&str; 5]) -> Candle {
        let read = |text: &str| text.parse().unwrap();
        let price = Ohlcv {
            open: read(open),
            high: read(high),
            low: read(low),
            close: read(close),
            volume: read(volume),
        };
        Candle { open_time: Time(minute * MINUTE), price, is_closed: true }
    }

    fn flat(minute: i64) -> Candle {
        candle(minute, ["1", "1", "1", "1", "0.1"])
    }

    fn source() -> PriceSource {
        PriceSource::known("coinbase").unwrap()
    }

    #[test]
    fn two_candles_of_five_minutes_are_ten() {
        let candles =
            [candle(20, ["10", "12", "9", "11", "0.1"]), candle(25, ["11", "11.5", "8.5", "9", "1e-8"])];
        let rows = rows_of((source(), 5), &candles, Time(77), Time(30 * MINUTE));
        let [row] = &rows[..] else { panic!("{rows:?}") };
        let shown = [row.price.open, row.price.high, row.price.low, row.price.close, row.price.volume]
            .map(|value| value.to_string());
        assert_eq!(shown, ["10", "12", "8.5", "9", "0.10000001"]);
        assert_eq!((row.bucket, row.source), (Time(20 * MINUTE), source()));
        assert_eq!((row.child_minutes, row.child_count, row.child_count_expected), (5, 2, 2));
        assert_eq!((row.quality_status.as_str(), row.data_source_mode.as_str()), ("complete", "rest"));
        assert_eq!((row.first_received_time, row.received_time), (Time(77), Time(77)));
    }

    #[test]
    fn ten_minutes_without_a_candle_have_no_row_and_those_with_some_are_partial() {
        let candles = [flat(0), flat(25), flat(40), flat(45)];
        let rows = rows_of((source(), 5), &candles, Time(0), Time(50 * MINUTE));
        let shown: Vec<_> = rows
            .iter()
            .map(|row| (row.bucket.0 / MINUTE, row.child_count, row.quality_status.as_str()))
            .collect();
        assert_eq!(shown, [(0, 1, "partial"), (20, 1, "partial"), (40, 2, "complete")]);
    }

    #[test]
    fn what_is_not_over_is_kept() {
        let mut folded = TenMinutes::new(source(), 5);
        for minute in [0, 5, 10, 15] {
            assert!(folded.take(&flat(minute), Time(1), DataSourceMode::Rest));
        }
        assert_eq!(folded.take_over(Time(19 * MINUTE)).len(), 1);
        assert_eq!(folded.take_over(Time(20 * MINUTE)).len(), 1);
        assert!(folded.take_over(Time(90 * MINUTE)).is_empty());
    }

    #[test]
    fn candles_that_are_open_or_out_of_step_are_not_taken() {
        let mut folded = TenMinutes::new(source(), 5);
        assert!(!folded.take(&Candle { is_closed: false, ..flat(5) }, Time(0), DataSourceMode::Rest));
        assert!(!folded.take(&flat(6), Time(0), DataSourceMode::Rest));
        assert!(folded.take_over(Time(90 * MINUTE)).is_empty());
    }

    #[test]
    fn ten_confirmed_minutes_of_a_stream_need_no_clock() {
        let mut folded = TenMinutes::new(source(), 1);
        let bucket = Time(10 * MINUTE);
        for minute in 10..20 {
            assert!(!folded.is_complete(bucket), "{minute}");
            folded.take(&flat(minute), Time(1_000 + minute), DataSourceMode::Stream);
        }
        // Said twice, as after a reconnect.
        folded.take(&flat(12), Time(5_000), DataSourceMode::Rest);
        assert!(folded.is_complete(bucket));
        let row = folded.take_row(bucket).unwrap();
        assert_eq!((row.first_received_time, row.received_time), (Time(1_010), Time(1_019)));
        assert_eq!((row.data_source_mode.as_str(), row.price.volume), ("stream", Decimal::ONE));
        assert_eq!(folded.take_row(bucket), None);
    }

    #[test]
    fn a_child_that_was_asked_for_shows_in_the_mode() {
        let mut folded = TenMinutes::new(source(), 1);
        for minute in (0..10).filter(|minute| *minute != 4) {
            folded.take(&flat(minute), Time(minute), DataSourceMode::Stream);
        }
        assert!(!folded.is_complete(Time(0)));
        folded.take(&flat(4), Time(99), DataSourceMode::Rest);
        let row = folded.take_row(Time(0)).unwrap();
        assert_eq!((row.data_source_mode.as_str(), row.received_time), ("rest", Time(99)));
        assert_eq!(row.quality_status, "complete");
    }

    #[test]
    fn one_minute_and_five_minutes_agree() {
        let price = |minute: i64| format!("{}.5", 100 + (minute * 7) % 13);
        let minutes: Vec<Candle> = (0..30)
            .map(|minute| {
                let (open, close) = (price(minute), price(minute + 1));
                let (high, low) = if open > close { (&open, &close) } else { (&close, &open) };
                candle(minute, [&open, high, low, &close, "0.3"])
            })
            .collect();
        let fives: Vec<Candle> = minutes
            .chunks(5)
            .map(|five| {
                let price = joined(five.iter().map(|candle| &candle.price)).unwrap();
                Candle { price, ..five[0] }
            })
            .collect();
        let over = Time(30 * MINUTE);
        let left = rows_of((source(), 1), &minutes, Time(0), over);
        let right = rows_of((source(), 5), &fives, Time(0), over);
        assert_eq!(left.len(), 3);
        for (left, right) in left.iter().zip(&right) {
            assert_eq!(left.price, right.price);
        }
    }
}
