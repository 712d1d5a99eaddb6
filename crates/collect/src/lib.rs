//! Talks to exchanges: keeps connections and streams alive, asks over REST, and writes whatever comes into the raw log.
//!
//! One driver serves every venue; what differs is said by `venues`. Frames are not decoded here, listings and the ids of
//! filled pages apart: what they mean is left to `refine`.

pub mod archive;
pub mod bitcoin_node;
pub mod budget;
pub mod error;
pub mod history;
pub mod prices;
pub mod settings;

mod answer;
mod board;
mod books;
mod client;
mod collector;
mod connection;
mod connects;
mod doubts;
mod driver;
mod fill_queue;
mod fills;
mod hosts;
mod journal;
mod klines;
mod known;
mod link;
mod listing;
mod lulls;
mod patience;
mod polls;
mod requests;
mod rest;
mod silence;
mod slot;
mod socket;
mod trust;
mod usage;

pub use budget::{BudgetState, BudgetStore, NoBudgetStore};
pub use collector::{Collector, Doors, start};
pub use error::Error;
pub use history::HistoryDesk;
pub use known::{Known, NothingKnown};
pub use listing::named;
pub use settings::{Bounds, CollectSettings, SessionSettings, VenueSettings, Wanted};
pub use usage::EndpointState;

#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
