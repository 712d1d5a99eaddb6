//! How a price source is fetched. Reading it from a registry is left to the binary.

use std::time::Duration;

use model::{PriceSource, Time};
use venues::prices::{CandleFacts, Place, candle_source};

use crate::error::Error;

/// Who brings a source's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceMode {
    /// We ask the venue.
    Local,
    /// Somebody posts them; nothing is asked here.
    Remote,
}

impl PriceMode {
    /// `local` or `remote`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }

    /// The mode of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Local, Self::Remote].into_iter().find(|mode| mode.as_str() == name)
    }
}

/// How one source is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSourceSettings {
    /// Which.
    pub source: PriceSource,
    /// Whether it is fetched at all.
    pub enabled: bool,
    /// Who brings its rows.
    pub mode: PriceMode,
    /// REST origin, without path or trailing slash.
    pub api_base: String,
    /// Path, with `{symbol}` and `{interval}` where the venue wants them in it.
    pub endpoint: String,
    /// The venue's symbol of Bitcoin.
    pub symbol: String,
    /// Where a source without checkpoint begins.
    pub historical_start: Time,
    /// Whether a source without checkpoint begins there; else with what is over now.
    pub auto_historical_backfill: bool,
    /// How often it is looked whether ten minutes are over.
    pub poll_every: Duration,
}

/// How often a source is looked at unless said otherwise.
const POLL_EVERY: Duration = Duration::from_secs(30);

impl PriceSourceSettings {
    /// What suits the public endpoints. Binance is fed from elsewhere unless said otherwise: it does not answer everywhere.
    pub fn usual(source: PriceSource) -> Self {
        let facts = facts(source);
        Self {
            source,
            enabled: true,
            mode: if source.as_str() == "binance" { PriceMode::Remote } else { PriceMode::Local },
            api_base: facts.rest.into(),
            endpoint: facts.endpoint.into(),
            symbol: facts.symbol.into(),
            historical_start: facts.historical_start,
            auto_historical_backfill: true,
            poll_every: POLL_EVERY,
        }
    }

    /// Where its candles are asked for.
    pub(super) fn place(&self) -> Place<'_> {
        Place { endpoint: &self.endpoint, symbol: &self.symbol }
    }

    /// Whether it can be carried out; says everything that is wrong with it.
    pub fn check(&self) -> Result<(), Error> {
        let (name, mut mistakes) = (self.source, Vec::new());
        let is_origin = url::Url::parse(&self.api_base).is_ok_and(|url| {
            url.has_host() && matches!(url.scheme(), "http" | "https") && matches!(url.path(), "/" | "")
        });
        if !is_origin || self.api_base.ends_with('/') {
            mistakes.push(format!(
                "api_base {:?} of {name} is no origin; write https://host[:port]",
                self.api_base
            ));
        }
        if !self.endpoint.starts_with('/') || self.endpoint.contains(['?', '#', ' ']) {
            mistakes.push(format!(
                "endpoint {:?} of {name} is no path; write it as {}",
                self.endpoint,
                facts(name).endpoint
            ));
        }
        if self.symbol.is_empty() {
            mistakes.push(format!("symbol of {name} is empty; write {}", facts(name).symbol));
        }
        if self.historical_start < Time(0) {
            mistakes.push(format!("historical_start_utc of {name} lies before 1970"));
        }
        if self.poll_every.is_zero() {
            mistakes.push(format!("the poll interval of {name} is zero"));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(Error::Settings(mistakes.join("; "))) }
    }
}

/// What never changes about a source.
fn facts(source: PriceSource) -> &'static CandleFacts {
    candle_source(source).expect("venues can ask every source of the list").facts()
}
