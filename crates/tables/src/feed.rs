//! The side door: what passes by live. Published by `refine`, read by `serve`.
//!
//! Bounded: a reader that falls behind is told how many items it missed, never left with a silent hole.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use model::{
    Bar, BookUpdate, Funding, Gap, Instrument, LogPosition, MarkPrice, OpenInterest, Quote, Time, Trade,
};

use crate::store::StoreError;

/// A piece of live news. What is larger than a mark price stands in a box: the feed keeps many thousands.
#[derive(Clone, Debug)]
pub enum News {
    /// A new print, after de-duplication. Late ones too.
    Trade(Trade),
    /// Best bid and ask.
    Quote(Quote),
    /// A book update that follows its chain, or the snapshot that starts one.
    Book(BookUpdate),
    /// The book of the instrument broke its chain and is stale until the next snapshot.
    BookStale(model::InstrumentId),
    /// One of our 1-minute bars: forming (on change), closed or revised.
    Bar(Box<Bar>),
    /// Mark price.
    MarkPrice(MarkPrice),
    /// Settled funding.
    Funding(Funding),
    /// Open interest.
    OpenInterest(OpenInterest),
    /// A hole was found, filled or given up.
    Gap(Gap),
    /// An instrument was listed or changed.
    Instrument(Box<Instrument>),
}

/// News with its place: trades, quotes and book news of one log record share the position and are counted by `index`.
#[derive(Clone, Debug)]
pub struct FeedItem {
    /// Record in the raw log.
    pub position: LogPosition,
    /// How many trades, quotes and book news of that record came before it.
    pub index: u32,
    /// When the frame was received, nanoseconds: for measuring latency.
    pub received: model::Nanos,
    /// The news.
    pub news: News,
}

/// A reader fell behind: so many items are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedSlip {
    /// Items missed.
    pub missed_count: u64,
}

/// One reader's place in the feed.
pub trait FeedReader: Send {
    /// The next batch of items, in order; `None` when the feed has ended.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Arc<[FeedItem]>, FeedSlip>>>;
}

/// Live news for any number of readers.
pub trait Feed: Send + Sync {
    /// A reader that starts now.
    fn subscribe(&self) -> Box<dyn FeedReader>;
}

/// What tells trades of one instrument apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TradeKey {
    /// The venue's number.
    Number(i64),
    /// The venue's text, where ids are no numbers.
    Text(Box<str>),
}

impl TradeKey {
    /// The key of a trade, if it has one.
    pub fn of(trade: &Trade) -> Option<Self> {
        let text = || trade.venue_trade_id.clone().map(Self::Text);
        trade.trade_id.map(Self::Number).or_else(text)
    }
}

/// The trades of one instrument that had come when a log record was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTrades {
    /// Every trade received earlier had come.
    pub since: Time,
    /// Those received since then that came in earlier records. Some may stand here more than once.
    pub before: Vec<TradeKey>,
    /// Those in the record itself, in its order; some may have come earlier.
    pub within: Vec<TradeKey>,
    /// When the record was received.
    pub received: Time,
}

impl SeenTrades {
    /// The trades that had come when a place of the record was reached; `is_new` tells those that no earlier record
    /// brought, so that they have a place in this one. A record brings trades of one instrument only.
    pub fn through(&self, index: u32, is_new: impl Fn(&TradeKey) -> bool) -> BTreeSet<TradeKey> {
        let mut known: BTreeSet<TradeKey> = self.before.iter().cloned().collect();
        let new = self.within.iter().filter(|key| !known.contains(*key) && is_new(key));
        let new: Vec<TradeKey> = new.take(index as usize + 1).cloned().collect();
        known.extend(new);
        known
    }
}

/// Tells what had passed by at an earlier place of the feed.
pub trait Past: Send + Sync {
    /// The trades of an instrument that had come when a record was reached; `None` where the log does not tell any more.
    fn seen(
        &self,
        instrument: &model::InstrumentId,
        position: LogPosition,
    ) -> BoxFuture<'_, Result<Option<SeenTrades>, StoreError>>;
}
