//! Turns the raw log into tables and live news: one thread, and what it does depends on the log alone.
//!
//! Frames are decoded by `venues`, bars folded by `derivations`; rows rest in a `tables::TableStore` and news pass by
//! on a `tables::Feed`. Nothing here opens a socket.

mod behind;
mod board;
mod books;
mod candles;
mod checkpoint;
mod clock;
mod covering;
mod desk;
mod error;
#[cfg(test)]
mod fakes;
mod feed;
mod flush;
mod house;
pub mod import;
mod klines;
mod ledger;
pub mod listed;
mod output;
mod past;
mod presence;
mod reading;
mod replay;
mod runner;
mod series;
mod settings;
mod shower;
mod state;
mod track;
mod views;

#[cfg(test)]
mod recording_tests;
#[cfg(test)]
mod running_tests;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};

use model::{InstrumentId, LogPosition, Time, Wish};
use rawlog::Log;
use runtime::{Clock, Sender, Tasks};
use tables::{Candles, Coverage, Feed, MarketView, Past, TableStore};
use tokio::runtime::Handle;

use board::Board;
use candles::CandleMaker;
use checkpoint::States;
use feed::NewsFeed;
use flush::Flusher;
use house::{House, Rules, VenueLookup};
use past::LogPast;
use runner::{Pace, Requests, Runner};
use shower::Shower;

pub use behind::PastCover;
pub use error::Error;
pub use replay::Replay;
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

/// A running refinery. Cheap to clone.
#[derive(Clone)]
pub struct Refine {
    board: Arc<Board>,
    feed: NewsFeed,
    store: Arc<dyn TableStore>,
    requests: Requests,
    past: LogPast,
}

/// Starts refining: takes up the newest usable state and replays the log from there, then follows it.
///
/// To be called within a tokio runtime, after the log was opened: tasks close last started first.
pub fn start(settings: RefineSettings, doors: Doors, tasks: &Tasks) -> Result<Refine, Error> {
    start_with(settings, doors, tasks, venues::venue)
}

fn start_with(
    settings: RefineSettings,
    doors: Doors,
    tasks: &Tasks,
    lookup: VenueLookup,
) -> Result<Refine, Error> {
    let Doors { log, store, wishes, clock } = doors;
    let states = States::open(&settings.state_directory)?;
    let house = take_up(&states, Rules::of(&settings, lookup), store.as_ref())?;
    let first = log.first_position();
    let mut after = house.position;
    if after.0 + 1 < first.0 {
        tracing::warn!(position = %after, %first, "the log no longer reaches back to the state; records between are lost");
        after = LogPosition(first.0 - 1);
    }
    let reader = log.reader(after).map_err(|error| Error::Log(error.to_string()))?;
    let board = Arc::new(Board::default());
    let feed = NewsFeed::new();
    let requests = Requests::default();
    let is_busy = Arc::new(AtomicBool::new(false));
    let handle = Handle::current();
    let mut shower = Shower::new(Arc::clone(&board), settings.cache_days);
    shower.show_all(&house);
    board.set_refined(house.position);
    board.set_committed(house.position);
    let (jobs, mut waiting_jobs) = runtime::queue("refine.flush", 1);
    let flusher = Flusher {
        log: log.clone(),
        store: Arc::clone(&store),
        states,
        board: Arc::clone(&board),
        is_busy: Arc::clone(&is_busy),
        handle: handle.clone(),
    };
    tasks
        .thread("refine.flush", move |stop| {
            flusher.run(&mut waiting_jobs, &stop);
            Ok(())
        })
        .map_err(Error::Thread)?;
    let caught_up_at = log.written();
    let past =
        LogPast { log: log.clone(), board: Arc::clone(&board), lookup, caught_up_at, spans: past::SPANS };
    let runner = Runner {
        pace: Pace::new(house.position, caught_up_at, clock.now()),
        settings,
        log,
        store: Arc::clone(&store),
        wishes,
        clock,
        house,
        feed: feed.clone(),
        board: Arc::clone(&board),
        shower,
        jobs,
        is_busy,
        requests: requests.clone(),
        handle,
    };
    tasks.thread("refine", move |stop| runner.run(reader, &stop)).map_err(Error::Thread)?;
    Ok(Refine { board, feed, store, requests, past })
}

/// The house as the newest usable state has it; an empty one without any.
fn take_up(states: &States, rules: Rules, store: &dyn TableStore) -> Result<House, Error> {
    let Some(checkpoint) = states.newest(&store.positions())? else { return Ok(House::new(rules)) };
    match state::restore(rules.clone(), &checkpoint.state) {
        Ok(house) => Ok(house),
        Err(error) => {
            // Tables drop the rows they have, so replaying from the start is slow but right.
            tracing::warn!(position = %checkpoint.position, reason = error.0, "saved state cannot be taken up; the log is replayed");
            Ok(House::new(rules))
        }
    }
}

impl Refine {
    /// Live news.
    pub fn feed(&self) -> Arc<dyn Feed> {
        Arc::new(self.feed.clone())
    }

    /// What had passed by at an earlier place of the feed.
    pub fn past(&self) -> Arc<dyn Past> {
        Arc::new(self.past.clone())
    }

    /// Candles of any timeframe.
    pub fn candles(&self) -> Arc<dyn Candles> {
        Arc::new(CandleMaker { board: Arc::clone(&self.board), store: Arc::clone(&self.store) })
    }

    /// What is there and what is missing.
    pub fn coverage(&self) -> Arc<dyn Coverage> {
        Arc::new(views::CoverageView { board: Arc::clone(&self.board), store: Arc::clone(&self.store) })
    }

    /// Instruments, quotes and books as they stand.
    pub fn market(&self) -> Arc<dyn MarketView> {
        Arc::new(views::Market(Arc::clone(&self.board)))
    }

    /// Takes what is known of an instrument's time before the recording; false if the instrument is not recorded.
    pub fn set_past(&self, instrument: &InstrumentId, past: PastCover) -> bool {
        let Some(tile) = self.board.tile(instrument) else { return false };
        tile.set_past(past);
        true
    }

    /// Newest record whose rows readers see.
    pub fn refined(&self) -> LogPosition {
        self.board.refined()
    }

    /// Newest record whose rows are committed.
    pub fn committed(&self) -> LogPosition {
        self.board.committed()
    }

    /// Why rows cannot be committed, while they cannot.
    pub fn commit_trouble(&self) -> Option<String> {
        self.board.commit_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.board.counts()
    }

    /// One line per instrument with a trade stream, sorted by id.
    pub fn lines(&self) -> Vec<InstrumentLine> {
        self.board.lines()
    }

    /// Commits everything refined so far and returns when it is durable, or when refining has ended.
    pub async fn flush_now(&self) {
        let _ended_means_flushed = self.requests.ask().await;
    }
}
