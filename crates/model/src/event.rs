//! What a frame means once decoded. Decoding itself is left to `venues`.

use crate::id::VenueId;
use crate::market::{BookUpdate, Funding, Instrument, MarkPrice, OpenInterest, Quote, Trade};
use crate::series::Bar;
use crate::time::Time;

/// A decoded piece of news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A print.
    Trade(Trade),
    /// Best bid and ask.
    Quote(Quote),
    /// A book snapshot or difference.
    Book(BookUpdate),
    /// A bar as the venue publishes it, or one of ours.
    Bar(Bar),
    /// Mark price with the running funding rate.
    MarkPrice(MarkPrice),
    /// A settled funding rate.
    Funding(Funding),
    /// Open interest.
    OpenInterest(OpenInterest),
    /// The venue's whole list of instruments.
    Listing(Listing),
    /// Something the venue says about the connection itself.
    Notice(Notice),
}

/// A venue's list of instruments, or one page of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Venue.
    pub venue: VenueId,
    /// Entries.
    pub instruments: Vec<Instrument>,
    /// Whether the list is complete, so that what is absent is delisted. A page of several is not.
    pub is_complete: bool,
    /// Cursor of the next page, where the venue pages.
    pub next_page: Option<Box<str>>,
    /// When we received it.
    pub received_time: Time,
}

/// What a venue says that is no market data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A request was accepted.
    Accepted {
        /// The request's id as text.
        request: Box<str>,
    },
    /// A request was refused.
    Refused {
        /// The request's id as text, empty if the venue did not repeat it.
        request: Box<str>,
        /// The venue's words.
        reason: Box<str>,
    },
    /// The venue will close this connection soon.
    ClosingSoon,
    /// An answer to our ping.
    Pong,
    /// A frame of a known shape that carries nothing for us (test trades, other markets' rows in an array stream).
    Ignored,
}
