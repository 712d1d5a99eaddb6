//! How the house is doing, in plain numbers, for whoever shows it.

use crate::id::{Channel, InstrumentId, VenueId};
use crate::time::Time;

/// Whether a stream brings what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamHealth {
    /// Subscribed, nothing due yet.
    Waiting,
    /// Data arrives as expected, or the stream is quiet by nature.
    Live,
    /// Mute though data was due.
    Mute,
    /// No connection carries it.
    Down,
}

impl StreamHealth {
    /// `waiting`, `live`, `mute` or `down`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Mute => "mute",
            Self::Down => "down",
        }
    }
}

/// One subscribed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// Instrument; `None` for a stream over all instruments.
    pub instrument: Option<InstrumentId>,
    /// Channel.
    pub channel: Channel,
    /// The venue's name of the stream.
    pub key: Box<str>,
    /// Health.
    pub health: StreamHealth,
    /// When the last message came.
    pub last_received: Option<Time>,
    /// Messages so far.
    pub message_count: u64,
}

/// The REST budget of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestStatus {
    /// Request weight used in the current window.
    pub weight_used: u32,
    /// Request weight allowed per window.
    pub weight_max: u32,
    /// What the venue says was used in the window, where it says so and was asked.
    pub weight_told: Option<u32>,
    /// REST stands still until then because the venue said so.
    pub banned_until: Option<Time>,
    /// What was asked, the dearest first.
    pub endpoints: Vec<EndpointStatus>,
}

/// One endpoint of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Its path, without the query.
    pub path: Box<str>,
    /// Weight used in the current window.
    pub weight_used: u32,
    /// Weight since counting began.
    pub weight_total: u64,
    /// Questions since counting began.
    pub questions_total: u64,
    /// Answers that told us to stop.
    pub bans_total: u64,
}

/// One venue.
#[derive(Clone, Debug, PartialEq)]
pub struct VenueStatus {
    /// Venue.
    pub venue: VenueId,
    /// Open connections.
    pub connection_count: usize,
    /// Connections opened since the start, reconnects included.
    pub connects_total: u64,
    /// Frames received since the start.
    pub frames_total: u64,
    /// Bytes received since the start.
    pub bytes_total: u64,
    /// Every subscribed stream.
    pub streams: Vec<StreamStatus>,
    /// Venue clock minus ours, microseconds, from the newest measurement.
    pub clock_skew_micros: Option<i64>,
    /// How its REST budget stands.
    pub rest: RestStatus,
    /// The newest trouble, in words.
    pub trouble: Option<String>,
}
