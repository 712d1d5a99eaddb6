//! Fetches candles of Bitcoin from the venues that its price is composed of: from where they begin, or from shortly before a
//! checkpoint, to now, page after page within the budget of the venue's host. Making ten minutes of them and storing those is
//! left to the caller; only the pushing side, which stores nothing, makes them itself.

pub mod push;

mod desk;
mod fetch;
mod settings;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use model::{Candle, PriceSource, Time};
use venues::prices::RefusedCandle;

use crate::history::Taken;

pub use desk::PriceDesk;
pub use fetch::PriceFetcher;
pub use settings::{PriceMode, PriceSourceSettings};

/// A piece of a source's past, in order: whole ten minutes, all of them over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricePage {
    /// The source.
    pub source: PriceSource,
    /// Closed candles, in order of time.
    pub candles: Vec<Candle>,
    /// Minutes of each.
    pub child_minutes: u16,
    /// Rows that cannot be true.
    pub refused: Vec<RefusedCandle>,
    /// What was asked for: from here, up to `through`.
    pub from: Time,
    /// Everything before was asked for, and answered: the next checkpoint, once the page is stored.
    pub through: Time,
    /// When the last answer of it was complete.
    pub received: Time,
}

/// Who takes pages.
pub trait PriceTaker: Send {
    /// Stores a page; the next one is asked for when that is done.
    fn take(&mut self, page: PricePage) -> Taken;

    /// Is told that everything up to now was brought.
    fn looked(&mut self) {}

    /// Is told why a source cannot be followed for the moment; it is tried again.
    fn failed(&mut self, _error: &PriceError) {}
}

/// What a fetching brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceReport {
    /// Pages handed over.
    pub pages: u64,
    /// Candles in them.
    pub candles: u64,
    /// Rows that cannot be true.
    pub refused: u64,
    /// Questions that were answered, refusals among them.
    pub questions: u64,
    /// Questions that were refused or failed, and were asked again.
    pub refusals: u64,
    /// How long bans were waited out.
    pub banned: Duration,
    /// The checkpoint after it; absent where nothing was handed over.
    pub through: Option<Time>,
    /// Why nothing was asked, if that is how it is meant to be.
    pub skipped: Option<&'static str>,
}

/// Why a fetching ended early. What was handed over before stands in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceError {
    /// The source.
    pub source: PriceSource,
    /// The question that was open.
    pub question: Option<String>,
    /// When the candles open that were not brought.
    pub span: Option<Range<Time>>,
    /// Why.
    pub why: PriceEnd,
    /// How far it came.
    pub report: PriceReport,
}

/// How a fetching may end early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceEnd {
    /// It was told to stop.
    Stopped,
    /// The venue refuses the question for good; its words.
    Refused(String),
    /// All tries failed; the last failure.
    GaveUp(String),
    /// Whoever takes the pages did not; his words.
    NotTaken(String),
}

impl fmt::Display for PriceEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("told to stop"),
            Self::Refused(what) => write!(f, "the venue refuses for good: {what}"),
            Self::GaveUp(what) => write!(f, "given up after many tries: {what}"),
            Self::NotTaken(what) => write!(f, "the page was not taken: {what}"),
        }
    }
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prices of {}", self.source)?;
        if let Some(question) = &self.question {
            write!(f, ", {question}")?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for PriceError {}

#[cfg(test)]
mod tests;
