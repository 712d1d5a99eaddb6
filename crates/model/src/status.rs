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
    /// Request weight used in the current window.
    pub rest_weight_used: u32,
    /// Request weight allowed per window.
    pub rest_weight_max: u32,
    /// REST stands still until then because the venue said so.
    pub banned_until: Option<Time>,
    /// The newest trouble, in words.
    pub trouble: Option<String>,
}
