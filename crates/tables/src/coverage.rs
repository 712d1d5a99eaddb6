//! What is known to be there, and what is known to be missing. Answered by `refine`, sent along by `serve`.

use futures::future::BoxFuture;
use model::{Channel, Gap, InstrumentId, Time};

/// A span of time, start inclusive, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// First moment inside.
    pub start: Time,
    /// First moment after.
    pub end: Time,
}

impl TimeRange {
    /// Whether a moment lies inside.
    pub fn contains(&self, time: Time) -> bool {
        self.start <= time && time < self.end
    }

    /// The common part; `None` if there is none.
    pub fn overlap(&self, other: &Self) -> Option<Self> {
        let both = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (both.start < both.end).then_some(both)
    }
}

/// How much of a range is there, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataQuality {
    /// All of it was observed or filled.
    Complete,
    /// Some of it is missing or not yet filled.
    Partial,
    /// Nothing of it was observed.
    Unknown,
}

impl DataQuality {
    /// `complete`, `partial` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }

    /// The worse of two.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        self.max(other)
    }
}

/// What is known of a range.
#[derive(Clone, Debug)]
pub struct CoverageAnswer {
    /// The range asked for, cut at now.
    pub range: TimeRange,
    /// The verdict.
    pub quality: DataQuality,
    /// Spans in which the stream was observed from end to end (apart from `gaps`), ascending.
    pub observed: Vec<TimeRange>,
    /// Holes that are open or missing, ascending.
    pub gaps: Vec<Gap>,
    /// Whether a repair of this instrument is on its way.
    pub is_repairing: bool,
}

/// Tells what is there.
pub trait Coverage: Send + Sync {
    /// Coverage of one stream of one instrument.
    fn coverage(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
        range: TimeRange,
    ) -> BoxFuture<'_, CoverageAnswer>;

    /// The newest numeric trade id seen, and its venue time; answered from memory.
    fn newest_trade(&self, instrument: &InstrumentId) -> Option<(i64, Time)>;
}
