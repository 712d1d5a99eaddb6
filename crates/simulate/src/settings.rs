//! What a simulated world is made of. Reading configuration is left to the binary.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use model::VenueId;

use crate::archive::ArchiveSettings;
use crate::faults::FaultPlan;
use crate::node::NodeSettings;

/// Everything that decides a simulated world.
#[derive(Clone, Debug)]
pub struct SimSettings {
    /// Seed of markets, ids and faults: the same seed at the same times gives the same trades.
    pub seed: u64,
    /// Where the news comes from.
    pub world: World,
    /// Where the venues listen.
    pub ports: Ports,
    /// How fast the world's time runs, 1 being the clock's pace. A recording at 0 goes as fast as clients take it.
    pub speed: f64,
    /// What goes wrong from the start; more can be added while running.
    pub faults: Vec<FaultPlan>,
    /// File that gets every trade that happened, one JSON object per line.
    pub truth: Option<PathBuf>,
    /// How far back the venues know history.
    pub history: Duration,
    /// What the venues allow.
    pub limits: Limits,
    /// Their public files.
    pub archive: ArchiveSettings,
    /// A Bitcoin node beside them.
    pub node: Option<NodeSettings>,
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            world: World::generated(12, 200.0),
            ports: Ports::Any,
            speed: 1.0,
            faults: Vec::new(),
            truth: None,
            history: Duration::from_hours(60 * 24),
            limits: Limits::default(),
            archive: ArchiveSettings::default(),
            node: None,
        }
    }
}

/// Where the news comes from.
#[derive(Clone, Debug)]
pub enum World {
    /// Markets made from the seed.
    Generated {
        /// Instruments on each venue; the first dozen are well known.
        instruments_per_venue: usize,
        /// Trades and quotes per second over all venues, on average. Books and bars come on top, at the venues' pace.
        events_per_second: f64,
        /// Which venues stand.
        venues: Vec<VenueId>,
        /// Whether order books move on the streams.
        with_books: bool,
    },
    /// Recordings, one JSON object per line, compressed by zstd or plain.
    Recording {
        /// Files; the venue is told by folder, addresses and connection names.
        files: Vec<PathBuf>,
    },
}

impl World {
    /// All four venues with books.
    pub fn generated(instruments_per_venue: usize, events_per_second: f64) -> Self {
        let venues = SIMULATED.iter().filter_map(|name| VenueId::known(name)).collect();
        Self::Generated { instruments_per_venue, events_per_second, venues, with_books: true }
    }

    /// Some venues without books, whose instruments have so many trades a day on average, busy ones more: worlds with a
    /// long past. Sixty days of twenty instruments with 16,700 trades a day are twenty million trades.
    pub fn with_past(venues: Vec<VenueId>, instruments_per_venue: usize, trades_per_day: f64) -> Self {
        // One trade in three events.
        let trades_per_second = trades_per_day * instruments_per_venue as f64 / 86_400.0;
        let events_per_second = trades_per_second * 3.0 * venues.len() as f64;
        Self::Generated { instruments_per_venue, events_per_second, venues, with_books: false }
    }
}

/// Venues that can be simulated.
pub const SIMULATED: &[&str] = &["binance", "binance-futures", "bybit", "bybit-linear"];

/// Where the venues listen, always on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Any free ports.
    Any,
    /// The first venue here; the others, the admin address, the archives, the receivers, the node and the venues that have
    /// candles only on the ports that follow.
    Base(u16),
}

/// What the venues allow; the defaults are the real ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Connections in five minutes and REST weight are multiplied by this; tests that reconnect a lot raise it.
    pub allowance: f64,
    /// Longest life of a Binance connection.
    pub lifetime: Duration,
    /// How long before its end a connection is told so, where the venue tells.
    pub shutdown_notice: Duration,
    /// How often Binance pings; the venue's own pace if absent.
    pub ping_every: Option<Duration>,
    /// How long Binance waits for a pong; the venue's own if absent.
    pub pong_within: Option<Duration>,
    /// How long a recording waits after the last subscription before it starts.
    pub replay_start: Duration,
    /// How long an IP stays banned after it ignored a 429.
    pub ban: Duration,
    /// How long whoever asks for a standstill or another listing waits for markets that lag behind.
    pub standstill: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            allowance: 1.0,
            lifetime: Duration::from_hours(24),
            shutdown_notice: Duration::from_secs(10),
            ping_every: None,
            pong_within: None,
            replay_start: Duration::from_millis(500),
            ban: Duration::from_mins(2),
            standstill: Duration::from_secs(20),
        }
    }
}

/// Why a simulated world cannot start.
#[derive(Debug)]
pub enum Error {
    /// A port is taken or may not be used.
    Listen {
        /// Port asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be read or written.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A recording makes no sense.
    Recording {
        /// Which.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A setting is out of range.
    Setting(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { port, source } => {
                write!(f, "listen on 127.0.0.1:{port}: {source}; choose another port")
            }
            Self::File { path, source } => write!(f, "open {}: {source}", path.display()),
            Self::Recording { path, reason } => write!(f, "read recording {}: {reason}", path.display()),
            Self::Setting(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::File { source, .. } => Some(source),
            Self::Recording { .. } | Self::Setting(_) => None,
        }
    }
}
