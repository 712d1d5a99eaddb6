//! What is known of the venues from before, so that a restart asks only for the rest and need not wait for answers.

use futures::future::BoxFuture;
use model::{Instrument, InstrumentId, Time, VenueId};

/// Says what is known already. A border: tables are not this room's business.
pub trait Known: Send + Sync {
    /// Starts of the venue's own 1-minute klines stored from `start` to before `end`, in any order.
    fn klines(&self, instrument: InstrumentId, start: Time, end: Time) -> BoxFuture<'_, Vec<Time>>;

    /// The venue's instruments as it listed them last; empty while nothing is known of them. May be asked again and again.
    fn listed(&self, venue: VenueId) -> Vec<Instrument>;
}

/// Nothing is known: for tests and tools that start from nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingKnown;

impl Known for NothingKnown {
    fn klines(&self, _: InstrumentId, _: Time, _: Time) -> BoxFuture<'_, Vec<Time>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn listed(&self, _: VenueId) -> Vec<Instrument> {
        Vec::new()
    }
}
