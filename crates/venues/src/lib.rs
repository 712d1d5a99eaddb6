//! What each exchange says and how to read it. Opens no socket, reads no clock, starts no task.

pub mod archive;
pub mod contract;
pub mod prices;

mod binance;
mod binance_futures;
mod binance_spot;
mod bybit;
mod moment;
mod path;
mod scan;
mod symbols;
mod wire;

pub use contract::{
    Allowance, BookRule, ConnectionPlan, DecodeError, Decoder, DefaultEndpoints, Endpoints, Facts, Frame,
    HistoryAsk, HistoryRefusal, HistoryRules, Origin, Peek, Poll, Pool, Purpose, RestLimits, RestRequest,
    Stream, TradeIds, Venue,
};

/// Every venue, sorted by id.
pub const VENUES: &[&dyn Venue] =
    &[&binance_spot::VENUE, &binance_futures::VENUE, &bybit::SPOT, &bybit::LINEAR];

/// The venue of that id, if the house can collect from it.
pub fn venue(id: model::VenueId) -> Option<&'static dyn Venue> {
    VENUES.iter().find(|venue| venue.facts().id == id).copied()
}
