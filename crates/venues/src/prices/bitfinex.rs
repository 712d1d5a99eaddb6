//! Bitfinex: close before high before low, bare numbers, no row where nobody traded; errors are lists as well.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use model::Time;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{PageReader, Unit, parse};
use super::{CandleFacts, CandleSource, NoCandles, Place, Refusal, candle_count, day, known, last_open};
use crate::contract::{Allowance, RestLimits};

pub(super) struct Bitfinex;

/// Codes that pass: too many requests, maintenance, internal.
const PASSING: &[i64] = &[11_010, 20_060, 10_000];

/// The status that means stop, and for how long when no `Retry-After` says it.
const BANS: &[(u16, Duration)] = &[(429, Duration::from_mins(1))];

static FACTS: LazyLock<CandleFacts> = LazyLock::new(|| CandleFacts {
    source: known("bitfinex"),
    rest: "https://api-pub.bitfinex.com",
    endpoint: "/v2/candles/trade:{interval}:{symbol}/hist",
    symbol: "tBTCUSD",
    child_minutes: 5,
    // Ten thousand rows.
    page_buckets: 5_000,
    weight: 1,
    limits: RestLimits {
        weight: Allowance { count: 30, per: Duration::from_mins(1) },
        is_clock_window: false,
        used_header: None,
        bans: BANS,
        pools: &[],
    },
    // A candle is written on after the next one has opened.
    settles: Duration::from_secs(15),
    historical_start: day("2013-04-01"),
});

#[derive(Deserialize)]
struct Words {
    error: String,
}

impl CandleSource for Bitfinex {
    fn facts(&self) -> &'static CandleFacts {
        &FACTS
    }

    fn path(&self, place: Place<'_>, span: &Range<Time>, _now: Time) -> String {
        // Both bounds are included; the usual order is newest first.
        format!(
            "{}?start={}&end={}&limit={}&sort=1",
            place.path("5m"),
            span.start.millis(),
            last_open(span, FACTS.child_minutes).millis(),
            candle_count(span, FACTS.child_minutes),
        )
    }

    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles> {
        let rows: Vec<&RawValue> = parse(body)?;
        page.lists(&rows, Unit::Millis, [0, 1, 3, 4, 2, 5]);
        Ok(())
    }

    fn refusal(&self, body: &[u8]) -> Option<Refusal> {
        // `["error",10020,"symbol: invalid"]` or `{"error":"ERR_RATE_LIMIT"}`
        if let Ok((word, code, said)) = serde_json::from_slice::<(String, i64, String)>(body) {
            let passes = PASSING.contains(&code);
            return (word == "error").then(|| Refusal { words: format!("{code} {said}"), passes });
        }
        let Words { error } = serde_json::from_slice(body).ok()?;
        Some(Refusal { words: error, passes: true })
    }
}
