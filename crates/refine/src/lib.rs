//! Turns the raw log into tables and live news: one thread, and what it does depends on the log alone.
//!
//! Frames are decoded by `venues`, bars folded by `derivations`; rows rest in a `tables::TableStore` and news pass by
//! on a `tables::Feed`. Nothing here opens a socket.

mod error;
mod settings;

use std::sync::Arc;

use model::{InstrumentId, LogPosition, Time, Wish};
use rawlog::Log;
use runtime::{Clock, Sender, Tasks};
use tables::{Candles, Coverage, Feed, MarketView, TableStore};

pub use error::Error;
pub use settings::{BooksKept, RefineSettings};

/// What is known of one instrument's trade stream, for status pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentLine {
    /// Instrument.
    pub instrument: InstrumentId,
    /// The venue's symbol; empty while the listing is not known.
    pub symbol: Box<str>,
    /// Trades recorded since the raw log began.
    pub trades_total: u64,
    /// Newest numeric trade id.
    pub last_trade_id: Option<i64>,
    /// Newest trade.
    pub last_trade_time: Option<Time>,
    /// Holes that are open.
    pub gaps_open: usize,
    /// Holes that stay.
    pub gaps_missing: usize,
    /// Whether a connection carries the stream now.
    pub is_carried: bool,
}

/// What was counted since the raw log began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Trades recorded.
    pub trades_total: u64,
    /// Trades that came again and were left out.
    pub duplicates_total: u64,
    /// Frames and answers that could not be decoded.
    pub undecodable_total: u64,
    /// Trades whose price or quantity does not survive as a double.
    pub inexact_total: u64,
}

/// A running refinery. Cheap to clone.
#[derive(Clone)]
pub struct Refine {}

/// What refine works with.
#[derive(Clone)]
pub struct Doors {
    /// The log to follow.
    pub log: Log,
    /// Where rows rest.
    pub store: Arc<dyn TableStore>,
    /// Who fetches what is missing.
    pub wishes: Sender<Wish>,
    /// Tells the time, for the rhythm of flushes only.
    pub clock: Arc<dyn Clock>,
}

/// Starts refining: takes up the newest usable state and replays the log from there, then follows it.
pub fn start(settings: RefineSettings, doors: Doors, tasks: &Tasks) -> Result<Refine, Error> {
    let _ = (settings, doors, tasks);
    Err(Error::Log("not yet".into()))
}

impl Refine {
    /// Live news.
    pub fn feed(&self) -> Arc<dyn Feed> {
        unimplemented!()
    }

    /// Candles of any timeframe.
    pub fn candles(&self) -> Arc<dyn Candles> {
        unimplemented!()
    }

    /// What is there and what is missing.
    pub fn coverage(&self) -> Arc<dyn Coverage> {
        unimplemented!()
    }

    /// Instruments, quotes and books as they stand.
    pub fn market(&self) -> Arc<dyn MarketView> {
        unimplemented!()
    }

    /// Newest record whose rows readers see.
    pub fn refined(&self) -> LogPosition {
        LogPosition::default()
    }

    /// Newest record whose rows are committed.
    pub fn committed(&self) -> LogPosition {
        LogPosition::default()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// One line per instrument with a trade stream, sorted by id.
    pub fn lines(&self) -> Vec<InstrumentLine> {
        Vec::new()
    }

    /// Commits everything refined so far and returns when it is durable.
    pub async fn flush_now(&self) {}
}
