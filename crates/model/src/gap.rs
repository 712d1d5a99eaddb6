//! Holes in what was recorded, as data. Finding and closing them is left to `refine` and `collect`.

use std::fmt;

use crate::id::{Channel, InstrumentId};
use crate::market::Source;
use crate::time::Time;

/// What is known of a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapState {
    /// Found, not yet asked for or on the way.
    Open,
    /// Filled; the source says from where.
    Filled,
    /// Cannot be filled; the cause says why.
    Missing,
}

impl GapState {
    /// `open`, `filled` or `missing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Filled => "filled",
            Self::Missing => "missing",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Open, Self::Filled, Self::Missing].into_iter().find(|state| state.as_str() == name)
    }
}

/// Why rows are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapCause {
    /// Ids jumped while the connection stood.
    Dropped,
    /// No connection carried the stream.
    Disconnected,
    /// The process was not running.
    Stopped,
    /// The stream stayed mute though others spoke.
    Silent,
    /// The disk was full and capture stood still.
    DiskFull,
    /// Frames arrived but could not be decoded.
    Undecodable,
    /// The venue no longer gives the range (Binance USD-M: older than 48 hours; Bybit: beyond its last trades).
    BeyondHistory,
    /// The venue answered, without these ids.
    NotAtVenue,
    /// The venue refused to answer within the tries allowed.
    Refused,
    /// The venue's archive file of that time lacks it, and nobody else was asked.
    NotInArchive,
    /// The venue's archive has no file of that time.
    ArchiveAbsent,
    /// The venue's archive file of that time is not what it claims, and was set aside.
    ArchiveSpoilt,
    /// The venue gave these ids to no trade: nothing lacks.
    NoTrade,
    /// Why is not known: nobody noticed when it happened.
    Unexplained,
}

impl GapCause {
    /// Every cause with its name in tables.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Dropped, "dropped"),
        (Self::Disconnected, "disconnected"),
        (Self::Stopped, "stopped"),
        (Self::Silent, "silent"),
        (Self::DiskFull, "disk_full"),
        (Self::Undecodable, "undecodable"),
        (Self::BeyondHistory, "beyond_history"),
        (Self::NotAtVenue, "not_at_venue"),
        (Self::Refused, "refused"),
        (Self::NotInArchive, "not_in_archive"),
        (Self::ArchiveAbsent, "archive_absent"),
        (Self::ArchiveSpoilt, "archive_spoilt"),
        (Self::NoTrade, "no_trade"),
        (Self::Unexplained, "unexplained"),
    ];

    /// The cause's name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(cause, _)| *cause == self).map_or("", |(_, name)| name)
    }

    /// The cause of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(cause, _)| *cause)
    }
}

impl fmt::Display for GapCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One hole in one stream of one instrument.
///
/// Where the venue numbers its events, `first_id..=last_id` are exactly the ids that are not there, and the times are
/// those of the neighbours. Elsewhere the ids are `None` and the times are the last event before and the first after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Stream.
    pub channel: Channel,
    /// First id that is not there.
    pub first_id: Option<i64>,
    /// Last id that is not there.
    pub last_id: Option<i64>,
    /// Venue time of the last event before the hole.
    pub first_time: Time,
    /// Venue time of the first event after the hole.
    pub last_time: Time,
    /// What is known.
    pub state: GapState,
    /// Why.
    pub cause: GapCause,
    /// Where the filling came from.
    pub source: Option<Source>,
    /// When it was found, by receipt clock.
    pub found_time: Time,
    /// When it was filled or given up.
    pub closed_time: Option<Time>,
}
