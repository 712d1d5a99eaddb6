//! Candles of Bitcoin at the venues that its price is composed of: what is asked for a span, and how the answer is read. Asking
//! is left to `collect`, ten minutes out of candles to `derivations`.
//!
//! A span is whole ten minutes and fits one answer, so that each answer can be folded by itself. A row that cannot be true is
//! refused and named beside the good ones; an answer that is no answer is an error.

mod binance;
mod bitfinex;
mod bitstamp;
mod bybit;
mod coinbase;
mod lane;
mod okx;
mod reader;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use model::time::MINUTE;
use model::{BUCKET, Candle, PriceSource, Time, Timeframe};

use crate::contract::{Purpose, RestLimits, RestRequest};
use crate::path::encoded;

pub use lane::KlineLane;
pub use reader::PageReader;

/// Every price source with candles, sorted by name.
pub const CANDLE_SOURCES: &[&dyn CandleSource] = &[
    &binance::Binance,
    &bitfinex::Bitfinex,
    &bitstamp::Bitstamp,
    &bybit::Bybit,
    &coinbase::Coinbase,
    &okx::Okx,
];

/// How the candles of a source are asked for and read.
pub fn candle_source(source: PriceSource) -> Option<&'static dyn CandleSource> {
    CANDLE_SOURCES.iter().find(|one| one.facts().source == source).copied()
}

/// A venue's candles of Bitcoin, described.
pub trait CandleSource: Send + Sync {
    /// What never changes at run time.
    fn facts(&self) -> &'static CandleFacts;

    /// Path and query that ask for the candles opening in a span. `now` tells the past from what is nearly now, where the
    /// venue answers for them at different places.
    fn path(&self, place: Place<'_>, span: &Range<Time>, now: Time) -> String;

    /// Hands the rows of an answer to the reader.
    fn rows(&self, body: &[u8], page: &mut PageReader<'_>) -> Result<(), NoCandles>;

    /// What an answer refuses in the venue's own form, if it does.
    fn refusal(&self, body: &[u8]) -> Option<Refusal>;

    /// The question for a span, which is cut to what one answer holds and begins where ten minutes begin.
    fn question(&self, place: Place<'_>, wanted: &Range<Time>, now: Time) -> CandleQuestion {
        let facts = self.facts();
        let start = Time(wanted.start.0 - wanted.start.0.rem_euclid(BUCKET));
        let most = start.plus_micros(i64::from(facts.page_buckets) * BUCKET);
        let end = Time(wanted.end.0 - wanted.end.0.rem_euclid(BUCKET)).min(most).max(start);
        let span = start..end;
        let timeframe = Timeframe::Minutes(facts.child_minutes);
        let purpose = Purpose::Klines { symbol: place.symbol.into(), timeframe };
        let request = RestRequest {
            path: self.path(place, &span, now),
            weight: facts.weight,
            purpose: Purpose::History(Box::new(purpose)),
        };
        CandleQuestion { request, span }
    }

    /// Reads an answer to a question about a span.
    fn read(&self, answer: &CandleAnswer<'_>, span: &Range<Time>) -> Result<CandlePage, NoCandles> {
        if let Some(refusal) = self.refusal(answer.body) {
            return Err(NoCandles::Refused(refusal));
        }
        if answer.status != 200 {
            let words: String = String::from_utf8_lossy(answer.body).chars().take(WORDS_MAX).collect();
            let words = format!("status {}: {}", answer.status, words.trim());
            let is_final = (400..500).contains(&answer.status) && !PASSING.contains(&answer.status);
            return Err(NoCandles::Refused(Refusal { words, passes: !is_final }));
        }
        let mut page = PageReader::new(self.facts(), span, answer.received);
        if let Some(dated) = answer.dated {
            page.venue_clock(dated.millis());
        }
        self.rows(answer.body, &mut page)?;
        Ok(page.finish())
    }
}

/// Longest piece of an answer that is shown.
const WORDS_MAX: usize = 160;
/// Refusals that pass whatever the venue says in words.
const PASSING: &[u16] = &[403, 408, 418, 425, 429];

/// What never changes about a venue's candles.
#[derive(Debug)]
pub struct CandleFacts {
    /// Source.
    pub source: PriceSource,
    /// REST origin.
    pub rest: &'static str,
    /// Path, with `{symbol}` and `{interval}` where the venue wants them in it.
    pub endpoint: &'static str,
    /// Bitcoin in the currency that the source quotes.
    pub symbol: &'static str,
    /// Minutes of a candle that is asked for.
    pub child_minutes: u16,
    /// Ten minutes that one answer holds.
    pub page_buckets: u32,
    /// What a question costs.
    pub weight: u32,
    /// How questions are rationed.
    pub limits: RestLimits,
    /// How long after its end a candle may still change.
    pub settles: Duration,
    /// From when on there are candles.
    pub historical_start: Time,
}

/// Where candles are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Path, as [`CandleFacts::endpoint`] writes it.
    pub endpoint: &'a str,
    /// The venue's symbol.
    pub symbol: &'a str,
}

impl CandleFacts {
    /// Where the venue answers unless configuration says otherwise.
    pub const fn place(&self) -> Place<'static> {
        Place { endpoint: self.endpoint, symbol: self.symbol }
    }
}

impl Place<'_> {
    /// The path with symbol and interval in it.
    fn path(self, interval: &str) -> String {
        self.endpoint.replace("{symbol}", &encoded(self.symbol)).replace("{interval}", interval)
    }
}

/// A question for candles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandleQuestion {
    /// What is asked.
    pub request: RestRequest,
    /// When the candles open that it asks for.
    pub span: Range<Time>,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct CandleAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: &'a [u8],
    /// When it was complete.
    pub received: Time,
    /// When the venue sent it, by the venue's own clock, where it says so.
    pub dated: Option<Time>,
}

/// What an answer brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandlePage {
    /// Candles of the span, in order of time, each once.
    pub candles: Vec<Candle>,
    /// Rows that cannot be true.
    pub refused: Vec<RefusedCandle>,
    /// Rows outside the span.
    pub outside_count: u32,
    /// What is still to be asked for, where the venue cut the answer short.
    pub rest: Option<Range<Time>>,
    /// What the time was: by the venue's clock where the answer shows it, else by ours.
    pub now: Time,
}

/// A row that cannot be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCandle {
    /// When it opens, if that can be read.
    pub open_time: Option<Time>,
    /// The row as it came, cut if it is long.
    pub row: String,
    /// Why it is refused.
    pub reason: String,
}

/// What a venue said instead of candles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its words.
    pub words: String,
    /// Whether the same question may be answered later.
    pub passes: bool,
}

/// Why an answer holds no candles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCandles {
    /// Not the form of this venue's answers; where and why.
    Malformed(String),
    /// The venue refuses.
    Refused(Refusal),
}

impl NoCandles {
    /// Whether the same question may be answered later. Garbage comes from proxies and maintenance pages, which pass.
    pub const fn passes(&self) -> bool {
        match self {
            Self::Malformed(_) => true,
            Self::Refused(refusal) => refusal.passes,
        }
    }
}

impl fmt::Display for NoCandles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(f, "malformed answer: {what}"),
            Self::Refused(refusal) => write!(f, "refused: {}", refusal.words),
        }
    }
}

impl std::error::Error for NoCandles {}

/// Opening of the last candle of a span: for venues whose bounds are both included.
fn last_open(span: &Range<Time>, child_minutes: u16) -> Time {
    span.end.plus_micros(-i64::from(child_minutes) * MINUTE)
}

/// Candles that a span may hold.
fn candle_count(span: &Range<Time>, child_minutes: u16) -> i64 {
    (span.end.0.saturating_sub(span.start.0) / (i64::from(child_minutes) * MINUTE)).max(1)
}

/// The source of a name from the list in `model`.
fn known(name: &str) -> PriceSource {
    PriceSource::known(name).expect("model lists this source")
}

/// A day in UTC.
fn day(text: &str) -> Time {
    Time::parse(text).expect("a day is written down")
}
