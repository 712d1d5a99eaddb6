//! OKX: newest first, a last column that says whether the candle is over, and two places: one for the latest 1440 bars, one
//! for everything before. Bars of five minutes are the same by UTC and by the venue's own clock.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use model::Time;
use model::time::MINUTE;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{PageReader, Unit, parse};
use super::{CandleFacts, CandleSource, NoCandles, Place, Refusal, day, known};
use crate::contract::{Allowance, RestLimits};
use crate::path::encoded;

pub(super) struct Okx;

/// Codes that pass: unavailable, timeout, too many requests, busy, system error.
const PASSING: &[&str] = &["50001", "50004", "50011", "50013", "50026", "50040"];
/// Bars that the place for the latest has; a little less than the venue's 1440, as time goes on while asking.
const LATEST_BARS: i64 = 1_400;
/// Older documents say that a page of the past has so many rows at most, newer ones 300.
const ROWS_OF_OLD: usize = 100;

/// The status that means stop, and for how long when no `Retry-After` says it.
const BANS: &[(u16, Duration)] = &[(429, Duration::from_secs(2))];

static FACTS: LazyLock<CandleFacts> = LazyLock::new(|| CandleFacts {
    source: known("okx"),
    rest: "https://www.okx.com",
    endpoint: "/api/v5/market/candles",
    symbol: "BTC-USDT",
    child_minutes: 5,
    // Three hundred rows.
    page_buckets: 150,
    weight: 1,
    limits: RestLimits {
        // The past; the latest may be asked for twice as often.
        weight: Allowance { count: 20, per: Duration::from_secs(2) },
        is_clock_window: false,
        used_header: None,
        bans: BANS,
        pools: &[],
    },
    settles: Duration::from_secs(2),
    historical_start: day("2018-01-01"),
});

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default, borrow)]
    msg: Cow<'a, str>,
    #[serde(default, borrow)]
    data: Vec<&'a RawValue>,
}

impl CandleSource for Okx {
    fn facts(&self) -> &'static CandleFacts {
        &FACTS
    }

    fn path(&self, place: Place<'_>, span: &Range<Time>, now: Time) -> String {
        let latest = place.path("5m");
        let is_latest = span.start.plus_micros(LATEST_BARS * 5 * MINUTE) > now;
        let path = match latest.strip_suffix("/candles") {
            Some(folder) if !is_latest => format!("{folder}/history-candles"),
            _ => latest,
        };
        // `after` means older and `before` means newer, and neither bound is included.
        format!(
            "{path}?instId={}&bar=5m&after={}&before={}&limit=300",
            encoded(place.symbol),
            span.end.millis(),
            span.start.millis() - 1,
        )
    }

    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles> {
        let envelope: Envelope<'_> = parse(body)?;
        for row in envelope.data {
            let cells: Vec<Option<&RawValue>> = serde_json::from_str(row.get()).unwrap_or_default();
            let cell = |at: usize| cells.get(at).copied().flatten().map(RawValue::get);
            let confirmed = cell(8).map(|flag| flag.trim_matches('"') == "1");
            page.row(row.get(), [0, 1, 2, 3, 4, 5].map(cell), Unit::Millis, confirmed);
        }
        page.cut_at(ROWS_OF_OLD);
        Ok(())
    }

    fn refusal(&self, body: &[u8]) -> Option<Refusal> {
        let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
        if envelope.code == "0" {
            return None;
        }
        let passes = PASSING.contains(&&*envelope.code);
        Some(Refusal { words: format!("{} {}", envelope.code, envelope.msg), passes })
    }
}
