//! What refine is told by the binary: plain values, checked there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use model::{Channel, InstrumentId, VenueId};

/// Whose books are kept in memory, of those that arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BooksKept {
    /// Every book that arrives.
    #[default]
    All,
    /// These only.
    Only(BTreeSet<InstrumentId>),
    /// None; book frames are decoded and counted, nothing more.
    None,
}

impl BooksKept {
    /// Whether the book of an instrument is kept.
    pub fn keeps(&self, instrument: &InstrumentId) -> bool {
        match self {
            Self::All => true,
            Self::Only(chosen) => chosen.contains(instrument),
            Self::None => false,
        }
    }
}

/// How refine works.
#[derive(Clone, Debug)]
pub struct RefineSettings {
    /// Folder of the saved states.
    pub state_directory: PathBuf,
    /// Longest time between two flushes.
    pub flush_every: Duration,
    /// Rows that bring a flush forward.
    pub flush_rows: usize,
    /// How long after its end, on the venue's clock, a minute stays open for late trades.
    pub bar_grace: Duration,
    /// How long a jump in ids may be mere disorder before it counts as a hole.
    pub hole_wait: Duration,
    /// Venues with the channel that is their canonical trade feed: `Trades` or `RawTrades`. Others use `Trades`.
    pub venues: Vec<(VenueId, Channel)>,
    /// Whose books are kept.
    pub books_kept: BooksKept,
    /// Days of 1-minute bars that stay in memory without being asked for.
    pub cache_days: u32,
    /// How long closing may take: what is not committed by then waits in the log for the next start.
    pub closing_max: Duration,
    /// Whether book changes become rows.
    pub store_books: bool,
    /// Whether quotes become rows.
    pub store_quotes: bool,
}

impl RefineSettings {
    /// The defaults, with states kept in that folder.
    pub fn new(state_directory: impl Into<PathBuf>) -> Self {
        Self {
            state_directory: state_directory.into(),
            flush_every: Duration::from_secs(30),
            flush_rows: 250_000,
            bar_grace: Duration::from_millis(1_500),
            hole_wait: Duration::from_millis(500),
            venues: Vec::new(),
            books_kept: BooksKept::All,
            cache_days: 2,
            closing_max: Duration::from_secs(20),
            store_books: true,
            store_quotes: true,
        }
    }
}
