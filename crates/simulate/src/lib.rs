//! Simulated venues: servers that speak the real protocols, generate markets from a seed or replay recordings, misbehave
//! on command and write down the truth. What clients make of it is left to them.

pub mod faults;
pub mod load;
pub mod settings;

use std::net::SocketAddr;
use std::sync::Arc;

use model::VenueId;
use runtime::{Clock, Tasks};

pub use faults::{Fault, FaultPlan, parse_faults};
pub use settings::{Error, Limits, Ports, SIMULATED, SimSettings, World};

/// An instrument as its simulated venue lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimInstrument {
    /// Venue.
    pub venue: VenueId,
    /// The venue's symbol, `BTCUSDT`.
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Quote asset.
    pub quote: String,
}

/// How many trades happened on one instrument since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruthCount {
    /// Venue.
    pub venue: VenueId,
    /// The venue's symbol.
    pub symbol: String,
    /// Trades of the canonical feed.
    pub trades: u64,
    /// First id, where ids are numbers.
    pub first_id: Option<i64>,
    /// Last id.
    pub last_id: Option<i64>,
}

/// Running simulated venues. They end with the tasks they were started on.
pub struct Sim {
    endpoints: Vec<(VenueId, SocketAddr)>,
    admin: SocketAddr,
}

impl Sim {
    /// Where each venue answers: its id, `http://127.0.0.1:port` and `ws://127.0.0.1:port`.
    pub fn endpoints(&self) -> Vec<(VenueId, String, String)> {
        self.endpoints
            .iter()
            .map(|(venue, address)| (*venue, format!("http://{address}"), format!("ws://{address}")))
            .collect()
    }

    /// Lets something go wrong from now on.
    pub fn fault(&self, plan: FaultPlan) {
        let _later = plan;
    }

    /// What is listed.
    pub fn instruments(&self) -> Vec<SimInstrument> {
        Vec::new()
    }

    /// How many trades happened so far, per instrument.
    pub fn truth_counts(&self) -> Vec<TruthCount> {
        Vec::new()
    }

    /// `http://127.0.0.1:port` of the admin address: `POST /faults`, `GET /truth/summary`, `POST /quiet`,
    /// `POST /stop`, `POST /replay/start`, `GET /replay/status`.
    pub fn admin_address(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// Markets stand still from now on; sockets and REST stay. Everything that happened is in the truth file
    /// when this returns.
    pub async fn quiet(&self) {}
}

/// Starts the venues.
pub async fn start(settings: SimSettings, clock: Arc<dyn Clock>, tasks: &Tasks) -> Result<Sim, Error> {
    let _later = (settings, clock, tasks);
    Err(Error::Setting("not furnished yet".into()))
}
