//! What venues on one host share: the desk that asks it, and the gate through which connections go. Which venues there are
//! is left to `collector` and `history`.

use std::sync::Arc;

use model::VenueId;
use model::status::RestStatus;
use runtime::Tasks;
use venues::{RestLimits, Venue};

use crate::budget::{BudgetState, BudgetStore};
use crate::client::client;
use crate::connects::ConnectGate;
use crate::error::Error;
use crate::journal::Journal;
use crate::rest::Desk;
use crate::settings::{Bounds, CollectSettings, VenueSettings};
use crate::trust::Trust;

/// Whether the settings can be carried out; says everything that is wrong with them.
pub(crate) fn check(
    settings: &CollectSettings,
    find: &impl Fn(VenueId) -> Option<&'static dyn Venue>,
) -> Result<(), Error> {
    let mut mistakes = Vec::new();
    if !(1..=2).contains(&settings.redundancy) {
        mistakes.push(format!("redundancy {} is neither 1 nor 2", settings.redundancy));
    }
    for (index, venue) in settings.venues.iter().enumerate() {
        let name = venue.venue;
        if find(name).is_none() {
            mistakes.push(format!("venue {name} cannot be collected from yet"));
        }
        if settings.venues[..index].iter().any(|other| other.venue == name) {
            mistakes.push(format!("venue {name} is named twice"));
        }
        for (what, origin, schemes) in [
            ("rest", &venue.endpoints.rest, ["http", "https"]),
            ("stream", &venue.endpoints.stream, ["ws", "wss"]),
        ] {
            let is_fine = url::Url::parse(origin)
                .is_ok_and(|url| url.has_host() && schemes.contains(&url.scheme()) && !origin.ends_with('/'));
            if !is_fine {
                mistakes.push(format!(
                    "{what} endpoint {origin:?} of {name} is no origin; write {}://host[:port]",
                    schemes[1]
                ));
            }
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(Error::Settings(mistakes.join("; "))) }
}

/// What venues on one host share.
pub(crate) struct Hosts {
    pub(crate) journal: Journal,
    store: Arc<dyn BudgetStore>,
    kept: Vec<BudgetState>,
    pub(crate) trust: Trust,
    desks: Vec<Arc<Desk>>,
    gates: Vec<(String, Arc<ConnectGate>)>,
}

impl Hosts {
    /// No desks yet; budgets are those that the store keeps.
    pub(crate) fn new(
        settings: &CollectSettings,
        journal: Journal,
        store: Arc<dyn BudgetStore>,
    ) -> Result<Self, Error> {
        let trust = Trust::read(settings.trusted.as_deref())?;
        Ok(Self { journal, kept: store.load(), store, trust, desks: Vec::new(), gates: Vec::new() })
    }

    /// The desk of a venue's host, started.
    pub(crate) fn desk(
        &mut self,
        venue_settings: &VenueSettings,
        venue: &'static dyn Venue,
        settings: &CollectSettings,
        tasks: &Tasks,
    ) -> Result<Arc<Desk>, Error> {
        self.desk_of(&venue_settings.endpoints.rest, venue.facts().rest, &settings.bounds, tasks)
    }

    /// The desk of an origin, started; the limits are those of whoever asked there first.
    pub(crate) fn desk_of(
        &mut self,
        origin: &str,
        limits: RestLimits,
        bounds: &Bounds,
        tasks: &Tasks,
    ) -> Result<Arc<Desk>, Error> {
        if let Some(desk) = self.desks.iter().find(|desk| desk.origin() == origin) {
            return Ok(Arc::clone(desk));
        }
        let doors = (self.journal.clone(), Arc::clone(&self.store));
        let client = client(origin, bounds, &self.trust)?;
        let desk = Desk::new((origin, client), limits, doors, &self.kept, bounds);
        desk.start(tasks);
        self.desks.push(Arc::clone(&desk));
        Ok(desk)
    }

    /// How the budgets stand, by origin.
    pub(crate) fn statuses(&self) -> Vec<(String, RestStatus)> {
        self.desks.iter().map(|desk| (desk.origin().to_owned(), desk.status())).collect()
    }

    /// The gate of a venue's streams.
    pub(crate) fn gate(
        &mut self,
        venue_settings: &VenueSettings,
        venue: &'static dyn Venue,
        settings: &CollectSettings,
    ) -> Arc<ConnectGate> {
        let origin = &venue_settings.endpoints.stream;
        if let Some((_, gate)) = self.gates.iter().find(|(other, _)| other == origin) {
            return Arc::clone(gate);
        }
        let gate = Arc::new(ConnectGate::new(venue.facts().connects, settings.bounds.connects_share));
        self.gates.push((origin.clone(), Arc::clone(&gate)));
        gate
    }
}
