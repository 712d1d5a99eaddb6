//! The past: which of it is there, what brings the rest, and what stays missing. Files come from the venues' archives, smaller
//! pieces over REST; both meet what was recorded live at the first recorded trade.
//!
//! Talking to venues is left to `collect`, rows to `refine::import`; what was done is remembered by `control`.

mod cover;
mod error;
mod files;
mod frontier;
mod jobs;
mod keeper;
mod meter;
mod neighbours;
mod news;
mod plan;
mod recorded;
mod repair;
mod verify;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use control::Control;
use model::{Channel, Instrument, VenueId};
use refine::import::ImportDoors;
use runtime::Clock;
use tables::{BulkStore, IdLedger, QueryEngine, TableStore};
use venues::archive::ArchiveData;

pub use error::Error;
pub use files::{Files, Taken};
pub use keeper::{Keeper, KeeperDoors, KeeperSettings};
pub use meter::{Meter, beside};
pub use news::{FileEnd, Listener, News, Phase, Silent};
pub use plan::{Plan, Step};
pub use recorded::{Recorded, Tried};
pub use repair::{Repair, Repaired};
pub use verify::{Check, Verdict};
pub use work::{Backfill, Kind, Outside, Supply, Task, Turn, Verify, Work};

/// What filling the past works with. Cheap to clone.
#[derive(Clone)]
pub struct Doors {
    /// Where stored rows are read.
    pub store: Arc<dyn TableStore>,
    /// Where past rows are written.
    pub bulk: Arc<dyn BulkStore>,
    /// Where questions about stored rows are asked.
    pub query: Arc<dyn QueryEngine>,
    /// Where the ids of data files are told.
    pub ids: Arc<dyn IdLedger>,
    /// What was done before.
    pub control: Control,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Venues whose single trades are the canonical ones, in place of aggregates.
    pub raw_trades: Arc<BTreeSet<VenueId>>,
}

impl Doors {
    /// The feed of a venue that fills the table `trades`.
    pub(crate) fn feed(&self, venue: VenueId) -> Channel {
        if self.raw_trades.contains(&venue) { Channel::RawTrades } else { Channel::Trades }
    }

    /// The files that hold this feed.
    pub(crate) fn feed_files(&self, venue: VenueId) -> ArchiveData {
        if self.raw_trades.contains(&venue) { ArchiveData::RawTrades } else { ArchiveData::Trades }
    }

    /// Enters instruments as their venue lists them into the tables, so that readers find rows by the venue's own names.
    /// Only while nothing is recorded: a recording enters listings itself.
    pub async fn enter_listed(&self, instruments: &[Instrument]) -> Result<(), Error> {
        let (doors, instruments, now) = (self.import(), instruments.to_vec(), self.clock.time());
        let entered =
            runtime::tasks::blocking(move || refine::listed::enter(&doors, &instruments, now)).await;
        let _count = entered.map_err(Error::Store)??;
        Ok(())
    }

    /// Where imported rows go. To be called within a tokio runtime.
    fn import(&self) -> ImportDoors {
        ImportDoors {
            store: Arc::clone(&self.store),
            bulk: Arc::clone(&self.bulk),
            runtime: tokio::runtime::Handle::current(),
        }
    }
}
