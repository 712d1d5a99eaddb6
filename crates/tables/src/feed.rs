//! The side door: what passes by live. Published by `refine`, read by `serve`.
//!
//! Bounded: a reader that falls behind is told how many items it missed, never left with a silent hole.

use std::sync::Arc;

use futures::future::BoxFuture;
use model::{Bar, BookUpdate, Funding, Gap, Instrument, LogPosition, MarkPrice, OpenInterest, Quote, Trade};

/// A piece of live news.
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
    Bar(Bar),
    /// A bar as the venue publishes it.
    VenueBar(Bar),
    /// Mark price.
    MarkPrice(MarkPrice),
    /// Settled funding.
    Funding(Funding),
    /// Open interest.
    OpenInterest(OpenInterest),
    /// A hole was found, filled or given up.
    Gap(Gap),
    /// An instrument was listed or changed.
    Instrument(Instrument),
}

/// News with its place: items of one log record share the position and are counted by `index`.
#[derive(Clone, Debug)]
pub struct FeedItem {
    /// Record in the raw log.
    pub position: LogPosition,
    /// Place among the items of that record.
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
