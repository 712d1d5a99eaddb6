//! The market as it stands now: instruments, best quotes, books. Kept by `refine`, shown by `serve`.

use model::{BookLevel, Instrument, InstrumentId, Quote, Time, VenueId};

/// A book as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookView {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Best first.
    pub bids: Vec<BookLevel>,
    /// Best first.
    pub asks: Vec<BookLevel>,
    /// Sequence number of the last update.
    pub sequence: i64,
    /// Venue's clock at the last update.
    pub venue_time: Time,
    /// Whether the chain broke and no snapshot has come since: the levels are what was last known.
    pub is_stale: bool,
}

/// The market now, from memory.
pub trait MarketView: Send + Sync {
    /// Every known instrument, sorted by id.
    fn instruments(&self) -> Vec<Instrument>;

    /// One instrument.
    fn instrument(&self, id: &InstrumentId) -> Option<Instrument>;

    /// The instrument meant by a reader's words: a full id, or a symbol of the venue in any usual spelling
    /// (`BTCUSDT`, `btcusdt`, `BTC/USDT`, `BTC/USDT:USDT`, `BTC-USDT`).
    fn resolve(&self, words: &str, venue: VenueId) -> Option<Instrument>;

    /// The newest quote.
    fn quote(&self, id: &InstrumentId) -> Option<Quote>;

    /// The book, at most so many levels a side; `None` if none is kept.
    fn book(&self, id: &InstrumentId, depth: usize) -> Option<BookView>;
}
