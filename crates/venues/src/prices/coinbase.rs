//! Coinbase Exchange: newest first, low before high before open, seconds, bare numbers that may carry an exponent, and no row
//! where nobody traded.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use model::Time;
use model::time::SECOND;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{PageReader, Unit, parse};
use super::{CandleFacts, CandleSource, NoCandles, Place, Refusal, day, known, last_open};
use crate::contract::{Allowance, RestLimits};

pub(super) struct Coinbase;

/// The status that means stop, and for how long when no `Retry-After` says it.
const BANS: &[(u16, Duration)] = &[(429, Duration::from_secs(5))];

static FACTS: LazyLock<CandleFacts> = LazyLock::new(|| CandleFacts {
    source: known("coinbase"),
    rest: "https://api.exchange.coinbase.com",
    endpoint: "/products/{symbol}/candles",
    symbol: "BTC-USD",
    child_minutes: 5,
    // Three hundred rows are refused when both bounds count; one step less is not.
    page_buckets: 149,
    weight: 1,
    limits: RestLimits {
        weight: Allowance { count: 10, per: Duration::from_secs(1) },
        is_clock_window: false,
        used_header: None,
        bans: BANS,
        pools: &[],
    },
    // The venue writes its candles a little after the trades.
    settles: Duration::from_secs(10),
    historical_start: day("2015-07-20"),
});

impl CandleSource for Coinbase {
    fn facts(&self) -> &'static CandleFacts {
        &FACTS
    }

    fn path(&self, place: Place<'_>, span: &Range<Time>, _now: Time) -> String {
        // Both bounds are included, and both are needed.
        format!(
            "{}?granularity=300&start={}&end={}",
            place.path("300"),
            span.start.0.div_euclid(SECOND),
            last_open(span, FACTS.child_minutes).0.div_euclid(SECOND),
        )
    }

    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles> {
        let rows: Vec<&RawValue> = parse(body)?;
        page.lists(&rows, Unit::Seconds, [0, 3, 2, 1, 4, 5]);
        Ok(())
    }

    fn refusal(&self, body: &[u8]) -> Option<Refusal> {
        #[derive(Deserialize)]
        struct Words {
            message: String,
        }
        let Words { message } = serde_json::from_slice(body).ok()?;
        let asked_wrongly = ["NotFound", "exceeds", "nvalid", "granularity", "denied"];
        let passes = !asked_wrongly.iter().any(|words| message.contains(words));
        Some(Refusal { words: message, passes })
    }
}
