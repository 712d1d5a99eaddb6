//! Bybit spot: an envelope with a code, newest first; the envelope's time tells whether the first row is open.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use model::Time;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{PageReader, Unit, parse};
use super::{CandleFacts, CandleSource, NoCandles, Place, Refusal, candle_count, day, known, last_open};
use crate::bybit;
use crate::contract::Venue;
use crate::path::encoded;

pub(super) struct Bybit;

/// Codes that pass: timeout, too many visits, service error, limits of the address.
const PASSING: &[i64] = &[10_000, 10_006, 10_016, 10_018];

static FACTS: LazyLock<CandleFacts> = LazyLock::new(|| CandleFacts {
    source: known("bybit"),
    rest: bybit::SPOT.facts().endpoints.rest,
    endpoint: "/v5/market/kline",
    symbol: "BTCUSDT",
    child_minutes: 5,
    // A thousand rows.
    page_buckets: 500,
    weight: 1,
    limits: bybit::SPOT.facts().rest,
    settles: Duration::from_secs(2),
    historical_start: day("2021-07-05"),
});

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    ret_code: i64,
    #[serde(default, borrow)]
    ret_msg: Cow<'a, str>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    time: Option<i64>,
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow)]
    list: Vec<&'a RawValue>,
}

impl CandleSource for Bybit {
    fn facts(&self) -> &'static CandleFacts {
        &FACTS
    }

    fn path(&self, place: Place<'_>, span: &Range<Time>, _now: Time) -> String {
        // Both bounds are included; without a category the venue answers for contracts.
        format!(
            "{}?category=spot&symbol={}&interval=5&start={}&end={}&limit={}",
            place.path("5"),
            encoded(place.symbol),
            span.start.millis(),
            last_open(span, FACTS.child_minutes).millis(),
            candle_count(span, FACTS.child_minutes),
        )
    }

    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles> {
        let envelope: Envelope<'_> = parse(body)?;
        let result = envelope.result.map_or("null", RawValue::get);
        let rows: Rows<'_> = parse(result.as_bytes())?;
        if rows.category != "spot" {
            return Err(NoCandles::Malformed(format!("an answer about {:?} instead of spot", rows.category)));
        }
        if let Some(time) = envelope.time {
            page.venue_clock(time);
        }
        page.lists(&rows.list, Unit::Millis, [0, 1, 2, 3, 4, 5]);
        Ok(())
    }

    fn refusal(&self, body: &[u8]) -> Option<Refusal> {
        let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
        let code = Some(envelope.ret_code).filter(|code| *code != 0)?;
        Some(Refusal { words: format!("{code} {}", envelope.ret_msg), passes: PASSING.contains(&code) })
    }
}
