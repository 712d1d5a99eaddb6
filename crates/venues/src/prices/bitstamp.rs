//! Bitstamp: ascending objects of strings, seconds, and a flat candle without volume where nobody traded.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use model::Time;
use model::time::SECOND;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{PageReader, Unit, parse};
use super::{CandleFacts, CandleSource, NoCandles, Place, Refusal, candle_count, day, known};
use crate::contract::{Allowance, RestLimits};

pub(super) struct Bitstamp;

/// Codes that pass: limits, and a book that is not there.
const PASSING: &[&str] = &["400.002", "400.067", "500.009"];

/// The status that means stop, and for how long when no `Retry-After` says it.
const BANS: &[(u16, Duration)] = &[(429, Duration::from_mins(1))];

static FACTS: LazyLock<CandleFacts> = LazyLock::new(|| CandleFacts {
    source: known("bitstamp"),
    rest: "https://www.bitstamp.net",
    endpoint: "/api/v2/ohlc/{symbol}/",
    symbol: "btcusd",
    child_minutes: 5,
    // A thousand rows, of which one is asked for in vain.
    page_buckets: 499,
    weight: 1,
    limits: RestLimits {
        weight: Allowance { count: 10_000, per: Duration::from_mins(10) },
        is_clock_window: false,
        used_header: None,
        bans: BANS,
        pools: &[],
    },
    settles: Duration::from_secs(5),
    historical_start: day("2015-01-01"),
});

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Rows<'a>,
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    ohlc: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    open: Option<&'a RawValue>,
    #[serde(borrow)]
    high: Option<&'a RawValue>,
    #[serde(borrow)]
    low: Option<&'a RawValue>,
    #[serde(borrow)]
    close: Option<&'a RawValue>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
}

impl CandleSource for Bitstamp {
    fn facts(&self) -> &'static CandleFacts {
        &FACTS
    }

    fn path(&self, place: Place<'_>, span: &Range<Time>, _now: Time) -> String {
        // The end wins over the start, and whether it is included is not written down: one row more is asked for, so that
        // the first is there either way.
        format!(
            "{}?step=300&limit={}&start={}&end={}&exclude_current_candle=true",
            place.path("300"),
            candle_count(span, FACTS.child_minutes) + 1,
            span.start.0.div_euclid(SECOND),
            span.end.0.div_euclid(SECOND),
        )
    }

    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles> {
        let envelope: Envelope<'_> = parse(body)?;
        for row in envelope.data.ohlc {
            let read: Row<'_> = serde_json::from_str(row.get()).unwrap_or_default();
            let cells = [read.timestamp, read.open, read.high, read.low, read.close, read.volume];
            page.row(row.get(), cells.map(|cell| cell.map(RawValue::get)), Unit::Seconds, None);
        }
        Ok(())
    }

    fn refusal(&self, body: &[u8]) -> Option<Refusal> {
        #[derive(Deserialize)]
        struct Words {
            response_code: Option<String>,
            code: Option<String>,
            #[serde(alias = "reason")]
            response_explanation: Option<serde_json::Value>,
            status: Option<String>,
        }
        let words: Words = serde_json::from_slice(body).ok()?;
        let is_refusal =
            words.response_code.is_some() || words.code.is_some() || words.status.as_deref() == Some("error");
        let code = words.response_code.or(words.code).unwrap_or_default();
        let passes = PASSING.contains(&code.as_str());
        let said = match words.response_explanation {
            Some(serde_json::Value::String(said)) => said,
            other => other.map(|said| said.to_string()).unwrap_or_default(),
        };
        is_refusal.then(|| Refusal { words: format!("{code} {said}").trim().to_owned(), passes })
    }
}
