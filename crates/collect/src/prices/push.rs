//! The pushing side: closed minutes of Binance from its stream, folded to ten minutes where Binance can be reached, and posted
//! to a house that cannot. Storing them is left to that house.
//!
//! One row is posted at a time, oldest first, until it is taken; a row that is posted twice replaces itself. What the stream
//! did not bring (a reconnect, a start in the middle, a house that was away for long) is asked for over REST before its ten
//! minutes are posted; so are the last hours before a start, in which nobody may have gathered.

mod body;
mod lane;
mod post;
mod token;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use model::{PriceSource, Time};
use runtime::{Restart, Tasks};
use venues::prices::candle_source;

use super::{PriceDesk, PriceMode, PriceSourceSettings};
use crate::client::client;
use crate::error::Error;

pub use body::body_of;
pub use token::Token;

/// What is collected, and where it is pushed.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// The source; only Binance has a lane.
    pub source: PriceSource,
    /// The venue's symbol.
    pub symbol: String,
    /// WebSocket origin of the venue.
    pub stream_base: String,
    /// REST origin of the venue, for what the stream did not bring.
    pub api_base: String,
    /// Where rows are posted.
    pub ingest_url: String,
    /// What we show there.
    pub token: Token,
    /// Rows that may wait to be posted; when there are more, the lane waits and asks for what it missed later.
    pub rows_waiting_max: usize,
    /// The first and the longest wait before a row is posted again.
    pub retry: (Duration, Duration),
    /// How long after their end ten minutes wait for the stream's last minutes before the rest is asked for.
    pub late_max: Duration,
    /// What ended so long before a start is asked for and posted first: the time in which nobody gathered.
    pub look_back: Duration,
    /// How often it is looked whether ten minutes are over.
    pub look_every: Duration,
    /// A stream that says nothing for so long is opened anew; the venue writes every two seconds.
    pub silence_max: Duration,
}

/// What every variable begins with.
const PREFIX: &str = "PRICE_WS_";
/// The rest of their names.
const NAMES: [&str; 8] = [
    "SOURCE",
    "SYMBOL",
    "CHILD_INTERVAL",
    "OUTPUT_MODE",
    "REMOTE_INGEST_URL",
    "REMOTE_INGEST_TOKEN",
    "STREAM_BASE",
    "API_BASE",
];

impl PushSettings {
    /// What suits the public endpoints.
    pub fn usual(ingest_url: &str, token: Token) -> Self {
        let source = PriceSource::known("binance").expect("model lists this source");
        let facts = candle_source(source).expect("venues can ask every source of the list").facts();
        Self {
            source,
            symbol: facts.symbol.into(),
            stream_base: "wss://stream.binance.com:9443".into(),
            api_base: facts.rest.into(),
            ingest_url: ingest_url.into(),
            token,
            rows_waiting_max: 1_024,
            retry: (Duration::from_secs(1), Duration::from_mins(1)),
            late_max: Duration::from_secs(5),
            look_back: Duration::from_hours(6),
            look_every: Duration::from_secs(1),
            silence_max: Duration::from_secs(30),
        }
    }

    /// Reads the variables `PRICE_WS_…` of an environment; none where `PRICE_WS_OUTPUT_MODE` is not set. Says everything that
    /// is wrong. `PRICE_WS_STREAM_BASE` and `PRICE_WS_API_BASE` lead to another Binance than the usual one.
    pub fn from_variables(all: impl Iterator<Item = (String, String)>) -> Result<Option<Self>, Error> {
        let all: BTreeMap<String, String> = all
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(PREFIX)?.to_owned(), value.trim().to_owned()))
            })
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let given = |name: &str| all.get(name).cloned();
        let Some(mode) = given("OUTPUT_MODE") else { return Ok(None) };
        let mut mistakes: Vec<String> = all
            .keys()
            .filter(|name| !NAMES.contains(&name.as_str()))
            .map(|name| format!("{PREFIX}{name} means nothing"))
            .collect();
        let only = [("SOURCE", "binance"), ("CHILD_INTERVAL", "1m")];
        for (name, wanted) in only {
            if let Some(value) = given(name).filter(|value| value != wanted) {
                mistakes.push(format!("PRICE_WS_{name} is {value:?}; only {wanted:?} has a lane"));
            }
        }
        if mode != "remote_push" {
            mistakes.push(format!("PRICE_WS_OUTPUT_MODE is {mode:?}; write \"remote_push\""));
        }
        let mut settings = Self::usual(
            &given("REMOTE_INGEST_URL").unwrap_or_default(),
            Token::new(given("REMOTE_INGEST_TOKEN").unwrap_or_default()),
        );
        settings.symbol = given("SYMBOL").unwrap_or(settings.symbol);
        settings.stream_base = given("STREAM_BASE").unwrap_or(settings.stream_base);
        settings.api_base = given("API_BASE").unwrap_or(settings.api_base);
        mistakes.extend(settings.mistakes());
        if mistakes.is_empty() {
            return Ok(Some(settings));
        }
        let names = NAMES.map(|name| format!("{PREFIX}{name}")).join(", ");
        Err(Error::Settings(format!("{}; the variables are {names}", mistakes.join("; "))))
    }

    fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let is = |text: &str, schemes: &[&str]| {
            url::Url::parse(text).is_ok_and(|url| url.has_host() && schemes.contains(&url.scheme()))
        };
        if !is(&self.ingest_url, &["http", "https"]) {
            mistakes.push(
                "PRICE_WS_REMOTE_INGEST_URL is no address; write https://host/api/v1/internal/price/source/binance/10m"
                    .into(),
            );
        }
        if !is(&self.stream_base, &["ws", "wss"]) || self.stream_base.ends_with('/') {
            mistakes.push("PRICE_WS_STREAM_BASE is no origin; write wss://host[:port]".into());
        }
        if !self.token.is_fit() {
            mistakes.push(
                "PRICE_WS_REMOTE_INGEST_TOKEN is missing or cannot stand in a header; give the other side's token"
                    .into(),
            );
        }
        mistakes
    }
}

/// How pushing goes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PushStatus(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    posted: AtomicU64,
    refused: AtomicU64,
    failures: AtomicU64,
    reconnects: AtomicU64,
    repaired: AtomicU64,
    through: AtomicI64,
}

impl PushStatus {
    /// Rows that were taken.
    pub fn posted(&self) -> u64 {
        self.0.posted.load(Ordering::Relaxed)
    }

    /// Rows that the other side refuses for good; they are left out.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Tries to post that failed, and were made again.
    pub fn failures(&self) -> u64 {
        self.0.failures.load(Ordering::Relaxed)
    }

    /// Streams that ended.
    pub fn reconnects(&self) -> u64 {
        self.0.reconnects.load(Ordering::Relaxed)
    }

    /// Questions that brought what the stream did not.
    pub fn repaired(&self) -> u64 {
        self.0.repaired.load(Ordering::Relaxed)
    }

    /// End of the last ten minutes that were taken.
    pub fn through(&self) -> Option<Time> {
        Some(Time(self.0.through.load(Ordering::Relaxed))).filter(|time| time.0 > 0)
    }
}

/// Starts the lane and the poster.
pub fn start(settings: PushSettings, desk: &PriceDesk, tasks: &Tasks) -> Result<PushStatus, Error> {
    let mistakes = settings.mistakes();
    if !mistakes.is_empty() {
        return Err(Error::Settings(mistakes.join("; ")));
    }
    let fetcher = desk.fetcher(PriceSourceSettings {
        mode: PriceMode::Local,
        api_base: settings.api_base.clone(),
        symbol: settings.symbol.clone(),
        ..PriceSourceSettings::usual(settings.source)
    })?;
    let status = PushStatus::default();
    let client = client(&settings.ingest_url, desk.bounds(), &desk.trust())?;
    let settings = Arc::new(settings);
    let (rows_out, rows_in) = runtime::queue("collect.prices.rows", settings.rows_waiting_max.max(1));
    let poster = Arc::new(post::Poster::new(client, &settings, desk, &status, rows_in));
    tasks.start("collect.prices.push", Restart::WithBackoff { tries_max: 100 }, move |stop| {
        let poster = Arc::clone(&poster);
        async move { poster.run(stop).await }
    });
    let lane = Arc::new(lane::Lane::new(&settings, desk, fetcher, (rows_out, status.clone())));
    tasks.start("collect.prices.lane", Restart::WithBackoff { tries_max: 100 }, move |stop| {
        let lane = Arc::clone(&lane);
        async move { lane.run(stop).await }
    });
    Ok(status)
}

#[cfg(test)]
mod tests;
