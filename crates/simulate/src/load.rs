//! A source of prebuilt frames for benches: what is sent costs the sender as little as possible.

use std::net::SocketAddr;

use model::VenueId;
use runtime::Tasks;

use crate::settings::Error;

/// What the load consists of.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// Venue whose protocol is spoken.
    pub venue: VenueId,
    /// Port on loopback; 0 for any.
    pub port: u16,
    /// Frames per second over all clients.
    pub events_per_second: u64,
    /// Instruments.
    pub instruments: usize,
}

/// A running load.
#[derive(Debug)]
pub struct Load {
    address: SocketAddr,
}

impl Load {
    /// `127.0.0.1:port`, REST and WebSocket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Trade frames sent so far.
    pub fn sent(&self) -> u64 {
        0
    }
}

/// Starts the load; frames flow to clients as soon as they subscribe.
pub async fn start(settings: LoadSettings, tasks: &Tasks) -> Result<Load, Error> {
    let _later = (settings, tasks);
    Err(Error::Setting("not furnished yet".into()))
}
