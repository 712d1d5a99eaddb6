//! Binance spot: ascending, twelve columns, the last row may be open and no field says so.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use model::Time;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{PageReader, Unit, parse};
use super::{CandleFacts, CandleSource, NoCandles, Place, Refusal, candle_count, day, known};
use crate::binance_spot;
use crate::contract::Venue;
use crate::path::encoded;

pub(super) struct Binance;

/// Codes that pass: unknown, disconnected, too many requests, timeout, busy, shutting down.
const PASSING: &[i64] = &[-1000, -1001, -1003, -1007, -1008, -1016];

static FACTS: LazyLock<CandleFacts> = LazyLock::new(|| CandleFacts {
    source: known("binance"),
    rest: binance_spot::VENUE.facts().endpoints.rest,
    endpoint: "/api/v3/klines",
    symbol: "BTCUSDT",
    // As on the stream, so that either can stand in for the other.
    child_minutes: 1,
    // A thousand rows.
    page_buckets: 100,
    weight: 2,
    limits: binance_spot::VENUE.facts().rest,
    settles: Duration::from_secs(2),
    historical_start: day("2017-08-17"),
});

impl CandleSource for Binance {
    fn facts(&self) -> &'static CandleFacts {
        &FACTS
    }

    fn path(&self, place: Place<'_>, span: &Range<Time>, _now: Time) -> String {
        // Both bounds are included.
        format!(
            "{}?symbol={}&interval=1m&startTime={}&endTime={}&limit={}",
            place.path("1m"),
            encoded(place.symbol),
            span.start.millis(),
            span.end.millis() - 1,
            candle_count(span, FACTS.child_minutes),
        )
    }

    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles> {
        let rows: Vec<&RawValue> = parse(body)?;
        page.lists(&rows, Unit::Millis, [0, 1, 2, 3, 4, 5]);
        Ok(())
    }

    fn refusal(&self, body: &[u8]) -> Option<Refusal> {
        #[derive(Deserialize)]
        struct Words {
            code: i64,
            msg: String,
        }
        let Words { code, msg } = serde_json::from_slice(body).ok()?;
        Some(Refusal { words: format!("{code} {msg}"), passes: PASSING.contains(&code) })
    }
}
