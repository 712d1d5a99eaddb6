//! Where prices are asked for: the desks of the venues' hosts, shared with a running recording where it asks the same host.

use std::sync::{Arc, Mutex, PoisonError};

use model::VenueId;
use model::status::RestStatus;
use runtime::{Clock, Tasks};
use venues::prices::candle_source;

use super::{PriceFetcher, PriceSourceSettings};
use crate::budget::BudgetStore;
use crate::error::Error;
use crate::history::HistoryDesk;
use crate::hosts::Hosts;
use crate::journal::Journal;
use crate::settings::{Bounds, CollectSettings};

/// Where prices are asked for; cheap to clone. Fetchers of one process share the budgets of their hosts.
#[derive(Clone)]
pub struct PriceDesk {
    hosts: Arc<Mutex<Hosts>>,
    /// Of the recording in this process, if there is one: its budgets hold for us as well.
    beside: Option<HistoryDesk>,
    bounds: Arc<Bounds>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

impl PriceDesk {
    /// A desk that keeps its budgets in the store. Of the settings only bounds and trusted certificates matter.
    pub fn open(
        settings: &CollectSettings,
        (store, clock): (Arc<dyn BudgetStore>, Arc<dyn Clock>),
        beside: Option<HistoryDesk>,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let hosts = Hosts::new(settings, Journal::nowhere(Arc::clone(&clock)), store)?;
        Ok(Self {
            hosts: Arc::new(Mutex::new(hosts)),
            beside,
            bounds: Arc::new(settings.bounds.clone()),
            clock,
            tasks: tasks.clone(),
        })
    }

    /// One who fetches a source.
    pub fn fetcher(&self, settings: PriceSourceSettings) -> Result<PriceFetcher, Error> {
        settings.check()?;
        let name = settings.source;
        let source = candle_source(name)
            .ok_or_else(|| Error::Settings(format!("price source {name} cannot be asked yet")))?;
        let venue = VenueId::known(name.as_str())
            .ok_or_else(|| Error::Settings(format!("price source {name} is no venue of the house")))?;
        let shared = self.beside.as_ref().and_then(|desk| desk.desk_of(&settings.api_base));
        let desk = match shared {
            Some(desk) => desk,
            None => self.hosts.lock().unwrap_or_else(PoisonError::into_inner).desk_of(
                &settings.api_base,
                source.facts().limits,
                &self.bounds,
                &self.tasks,
            )?,
        };
        let doors = (Arc::clone(&self.bounds), Arc::clone(&self.clock));
        Ok(PriceFetcher::new(source, settings, (venue, desk), doors))
    }

    /// How the budgets of hosts stand that are asked for prices alone.
    pub fn budgets(&self) -> Vec<(String, RestStatus)> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).statuses()
    }

    /// The bounds of every fetcher.
    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The clock of every fetcher.
    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Whom we believe in TLS.
    pub(super) fn trust(&self) -> crate::trust::Trust {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).trust.clone()
    }
}
