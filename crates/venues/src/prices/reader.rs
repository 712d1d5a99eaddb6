//! Rows of candles, checked one by one. In which order and in which columns they come is left to the venues' files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use model::time::{DAY, MINUTE, SECOND};
use model::{Candle, Decimal, Ohlcv, Time};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CandleFacts, CandlePage, NoCandles, RefusedCandle};

/// Digits behind the point that are kept.
const SCALE_KEPT: u8 = 18;
/// Longest piece of a row that is shown.
const ROW_MAX: usize = 160;
/// No price and no volume of ten minutes is as large.
const VALUE_MAX: i64 = 1_000_000_000_000;
/// Rows looked at; more than this no venue has on a page.
const ROWS_MAX: usize = 20_000;

/// What a venue counts time in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
}

/// The cells of a row as they came, in this order: time, open, high, low, close, volume. Absent where the row has none.
pub(super) type Cells<'a> = [Option<&'a str>; 6];

/// Gathers the rows of one answer.
#[derive(Debug)]
pub struct PageReader<'a> {
    facts: &'static CandleFacts,
    span: &'a Range<Time>,
    received: Time,
    /// The venue's clock, where the answer shows it.
    now: Time,
    candles: BTreeMap<Time, Candle>,
    row_count: usize,
    oldest: Option<Time>,
    page: CandlePage,
}

impl<'a> PageReader<'a> {
    pub(super) fn new(facts: &'static CandleFacts, span: &'a Range<Time>, received: Time) -> Self {
        Self {
            facts,
            span,
            received,
            now: received,
            candles: BTreeMap::new(),
            row_count: 0,
            oldest: None,
            page: CandlePage::default(),
        }
    }

    /// What the venue's clock shows; kept if it can be true.
    pub(super) fn venue_clock(&mut self, millis: i64) {
        if let Some(time) = Time::from_millis(millis)
            && (time.0 - self.received.0).abs() < DAY
        {
            self.now = time;
        }
    }

    /// Takes rows that are lists, told which cell stands where.
    pub(super) fn lists(&mut self, rows: &[&RawValue], unit: Unit, order: [usize; 6]) {
        for row in rows {
            match serde_json::from_str::<Vec<Option<&RawValue>>>(row.get()) {
                Ok(cells) => {
                    let cell = |at: usize| cells.get(at).copied().flatten().map(RawValue::get);
                    self.row(row.get(), order.map(cell), unit, None);
                }
                Err(_) => self.refuse(None, row.get(), "the row is no list".into()),
            }
        }
    }

    /// Takes a row. `confirmed` where the venue says whether the candle is over.
    pub(super) fn row(&mut self, row: &str, cells: Cells<'_>, unit: Unit, confirmed: Option<bool>) {
        self.row_count += 1;
        if self.row_count > ROWS_MAX {
            self.page.outside_count += 1;
            return;
        }
        let [time, prices @ ..] = cells;
        let open_time = match self.open_time(time, unit) {
            Ok(time) => time,
            Err((time, reason)) => return self.refuse(time, row, reason),
        };
        self.oldest = Some(self.oldest.map_or(open_time, |oldest| oldest.min(open_time)));
        if !self.span.contains(&open_time) {
            self.page.outside_count += 1;
            return;
        }
        let price = match ohlcv(prices) {
            Ok(price) => price,
            Err(reason) => return self.refuse(Some(open_time), row, reason),
        };
        let is_over = || {
            let length = i64::from(self.facts.child_minutes) * MINUTE;
            open_time.plus_micros(length + self.facts.settles.as_micros() as i64) <= self.now
        };
        let candle = Candle { open_time, price, is_closed: confirmed.unwrap_or_else(is_over) };
        match self.candles.entry(open_time) {
            Entry::Vacant(place) => drop(place.insert(candle)),
            Entry::Occupied(_) => self.refuse(Some(open_time), row, "a second candle of that time".into()),
        }
    }

    /// Says that the venue may have cut the answer at so many rows, newest first: the rest is to be asked for.
    pub(super) fn cut_at(&mut self, rows: usize) {
        if self.row_count == rows
            && let Some(oldest) = self.oldest
            && oldest > self.span.start
            && oldest < self.span.end
        {
            self.page.rest = Some(self.span.start..oldest);
        }
    }

    pub(super) fn finish(mut self) -> CandlePage {
        self.page.candles = self.candles.into_values().collect();
        self.page.now = self.now;
        self.page
    }

    fn open_time(&self, cell: Option<&str>, unit: Unit) -> Result<Time, (Option<Time>, String)> {
        let text = cell.map(bare).ok_or((None, "no time".to_owned()))?;
        let number: i64 =
            text.parse().map_err(|_| (None, format!("the time is no whole number: {}", cut(text))))?;
        let time = match unit {
            Unit::Seconds => Time::from_seconds(number),
            Unit::Millis => Time::from_millis(number),
        };
        let known = time.filter(|time| time.0 > 0 && *time <= self.received.plus_micros(DAY));
        let time = known.ok_or_else(|| (time, format!("a time that cannot be true: {number}")))?;
        let length = i64::from(self.facts.child_minutes) * MINUTE;
        if time.0 % length == 0 {
            return Ok(time);
        }
        let rest = time.0 % length / SECOND;
        let minutes = self.facts.child_minutes;
        Err((Some(time), format!("opens {rest} s beside the grid of {minutes} minutes")))
    }

    fn refuse(&mut self, open_time: Option<Time>, row: &str, reason: String) {
        self.page.refused.push(RefusedCandle { open_time, row: cut(row), reason });
    }
}

/// Prices and volume that can be true, or why they cannot.
fn ohlcv(cells: [Option<&str>; 5]) -> Result<Ohlcv, String> {
    let [open, high, low, close, volume] = cells;
    checked(Ohlcv {
        open: number(open, "open")?,
        high: number(high, "high")?,
        low: number(low, "low")?,
        close: number(close, "close")?,
        volume: number(volume, "volume")?,
    })
}

/// The same, if it can be true, or why it cannot.
pub(super) fn checked(price: Ohlcv) -> Result<Ohlcv, String> {
    let Ohlcv { open, high, low, close, volume } = price;
    for (name, value) in [("open", open), ("high", high), ("low", low), ("close", close)] {
        if value <= Decimal::ZERO {
            return Err(format!("{name} {value} is not above zero"));
        }
    }
    for (name, value) in [("high", high), ("volume", volume)] {
        if value > Decimal::from(VALUE_MAX) {
            return Err(format!("{name} {value} is larger than can be"));
        }
    }
    if high < low {
        return Err(format!("high {high} lies below low {low}"));
    }
    for (name, value) in [("open", open), ("close", close)] {
        if value > high || value < low {
            return Err(format!("{name} {value} lies outside {low} to {high}"));
        }
    }
    if volume.is_negative() {
        return Err(format!("volume {volume} is below zero"));
    }
    Ok(price)
}

fn number(cell: Option<&str>, name: &str) -> Result<Decimal, String> {
    let text = cell.map(bare).filter(|text| !text.is_empty() && *text != "null");
    let text = text.ok_or_else(|| format!("no {name}"))?;
    let value = Decimal::parse(text.as_bytes()).map_err(|_| format!("{name} is no number: {}", cut(text)))?;
    Ok(value.normalized().rounded(SCALE_KEPT))
}

/// A cell without its quotes.
fn bare(cell: &str) -> &str {
    cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"')).unwrap_or(cell)
}

fn cut(text: &str) -> String {
    text.chars().take(ROW_MAX).collect()
}

/// Reads a whole answer.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, NoCandles> {
    serde_json::from_slice(body).map_err(|error| {
        let start: String = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        NoCandles::Malformed(format!("{error}; it begins with {start:?}"))
    })
}
