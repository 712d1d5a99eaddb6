//! The handle on everything that collects.

use std::sync::Arc;

use model::Wish;
use model::status::VenueStatus;
use rawlog::Log;
use runtime::{Clock, Receiver, Tasks};

use crate::budget::BudgetStore;
use crate::error::Error;
use crate::settings::CollectSettings;

/// A handle on the running collection.
#[derive(Clone)]
pub struct Collector {}

/// What collecting leans on.
pub struct Doors {
    /// Where everything goes.
    pub log: Log,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps REST budgets over restarts.
    pub budget_store: Arc<dyn BudgetStore>,
    /// What the refining side asks for.
    pub wishes: Receiver<Wish>,
}

/// Starts collecting. The first record written is the session's.
pub fn start(settings: CollectSettings, doors: Doors, tasks: &Tasks) -> Result<Collector, Error> {
    let _ = (settings, doors.log, doors.clock, doors.budget_store, doors.wishes, tasks);
    Ok(Collector {})
}

impl Collector {
    /// How each venue is doing, in the order of the settings.
    pub fn status(&self) -> Vec<VenueStatus> {
        Vec::new()
    }

    /// Wanted symbols that their venue does not list, as `venue: symbol`.
    pub fn unknown_symbols(&self) -> Vec<String> {
        Vec::new()
    }
}
