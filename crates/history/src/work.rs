//! Work on the past that somebody asks for: filling it, and looking whether it is whole. A command does it in a folder of its own,
//! or the process that holds the folder does it behind its recording; what is said and how it ends is the same.

mod backfill;
mod expected;
mod names;
mod rest;
mod series;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use collect::archive::ArchiveSite;
use collect::history::HistoryDesk;
use control::JobAsk;
use futures::future::BoxFuture;
use model::status::RestStatus;
use model::{Date, Instrument, InstrumentId, VenueId};
use runtime::Stop;

use crate::{Doors, Error, Listener, News};

pub use backfill::{Backfill, Kind, Supply};
pub use verify::Verify;

/// Keeps others away from an instrument's past until it is dropped.
pub type Turn = Box<dyn Send>;

/// What work on the past needs of the process that does it.
pub trait Outside: Send + Sync {
    /// The archive of a venue, where it has one.
    fn site(&self, venue: VenueId) -> Result<Option<Arc<ArchiveSite>>, Error>;

    /// Where a venue is asked over REST.
    fn desk(&self, venue: VenueId) -> Result<HistoryDesk, Error>;

    /// What a venue lists.
    fn listed(&self, venue: VenueId) -> BoxFuture<'_, Result<Vec<Instrument>, Error>>;

    /// Resolves when nobody else works on the past of an instrument, and what was recorded of it can be read.
    fn turn<'a>(&'a self, instrument: &'a InstrumentId) -> BoxFuture<'a, Turn>;

    /// Whether a recording goes on, which enters what venues list by itself.
    fn is_recording(&self) -> bool;

    /// How the budgets of the venues stand that were asked.
    fn budgets(&self) -> Vec<(VenueId, RestStatus)>;
}

/// What work on the past works with.
pub struct Work<'a> {
    /// Tables and what was done before.
    pub doors: &'a Doors,
    /// The process around it.
    pub outside: &'a dyn Outside,
    /// Holes younger than this are asked for over REST before the archive is.
    pub rest_age: Duration,
    /// Who is told.
    pub listener: &'a dyn Listener,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub enum Task {
    /// Fill.
    Backfill(Backfill),
    /// Look, and perhaps fill what lacks.
    Verify(Verify),
}

impl Task {
    /// Understands what was written down; refuses what makes no sense.
    pub fn read(ask: &JobAsk, today: Date) -> Result<Self, Error> {
        match ask.kind.as_str() {
            "backfill" => Ok(Self::Backfill(Backfill::read(ask, today)?)),
            "verify" => Ok(Self::Verify(Verify::read(ask)?)),
            other => {
                Err(Error::Wrong(format!("nobody knows how to {other}: use the same tickhouse everywhere")))
            }
        }
    }

    /// Does it; whether something was found that should not be.
    pub async fn run(&self, work: &Work<'_>, stop: &Stop) -> Result<bool, Error> {
        match self {
            Self::Backfill(backfill) => backfill.run(work, stop).await,
            Self::Verify(verify) => verify.run(work, stop).await,
        }
    }
}

impl Work<'_> {
    fn say(&self, text: impl Into<String>) {
        self.listener.hear(&News::Said(text.into()));
    }
}

/// The venue of a name.
fn known_venue(name: &str) -> Result<VenueId, Error> {
    VenueId::known(name)
        .ok_or_else(|| Error::Wrong(format!("venue {name:?} is not known: known are {}", VenueId::names())))
}

/// Refuses days that go backwards.
fn check_order(from: Option<Date>, to: Option<Date>) -> Result<(), Error> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            Err(Error::Wrong(format!("--from {from} is after --to {to}: swap them")))
        }
        _ => Ok(()),
    }
}
