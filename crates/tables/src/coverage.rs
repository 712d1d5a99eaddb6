//! What is known to be there, and what is known to be missing. Answered by `refine`, sent along by `serve`.

use futures::future::BoxFuture;
use model::{Channel, Date, Gap, GapCause, InstrumentId, Source, Time};

use crate::store::StoreError;

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

/// What is known of a span of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoverageState {
    /// It was recorded as it happened.
    Observed,
    /// It came afterwards, from there.
    Backfilled(Source),
    /// It lacks, and is being asked for.
    Repairing(GapCause),
    /// It lacks, and stays so.
    Missing(GapCause),
    /// Nobody looked.
    Unchecked,
}

impl CoverageState {
    /// `observed`, `backfilled`, `repairing`, `missing` or `unchecked`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Backfilled(_) => "backfilled",
            Self::Repairing(_) => "repairing",
            Self::Missing(_) => "missing",
            Self::Unchecked => "unchecked",
        }
    }
}

/// A span of which one thing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoverageInterval {
    /// Which.
    pub range: TimeRange,
    /// What is known.
    pub state: CoverageState,
    /// First and last id that lack, or lacked, where the venue numbers its events.
    pub ids: Option<(i64, i64)>,
}

/// How much of a day is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DayCondition {
    /// Everything.
    Complete,
    /// Something lacks.
    Degraded,
    /// Nothing is known of it yet: it was not asked for, or is not over.
    Pending,
    /// Nothing is there, though it was asked for.
    Missing,
}

impl DayCondition {
    /// `complete`, `degraded`, `pending` or `missing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Degraded => "degraded",
            Self::Pending => "pending",
            Self::Missing => "missing",
        }
    }

    /// The condition of that name.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Complete, Self::Degraded, Self::Pending, Self::Missing];
        all.into_iter().find(|condition| condition.as_str() == name)
    }
}

/// What is known of a day. Counts are those of days before the recording began, as they were last looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayCover {
    /// Which day, UTC.
    pub day: Date,
    /// The verdict.
    pub condition: DayCondition,
    /// Rows of it, as far as they were counted.
    pub rows: u64,
    /// Ids that lack.
    pub missing: u64,
    /// Rows that come again.
    pub duplicates: u64,
}

/// Everything that is known of a range, span by span and day by day.
#[derive(Clone, Debug, Default)]
pub struct CoverageLedger {
    /// All of the range, ascending, nothing twice.
    pub intervals: Vec<CoverageInterval>,
    /// Every day that the range touches.
    pub days: Vec<DayCover>,
}

impl CoverageLedger {
    /// Ids that lack.
    pub fn missing(&self) -> u64 {
        self.days.iter().map(|day| day.missing).sum()
    }

    /// Rows that come again.
    pub fn duplicates(&self) -> u64 {
        self.days.iter().map(|day| day.duplicates).sum()
    }
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

    /// The same, span by span and day by day: what was recorded, what came afterwards and from where, what lacks and why.
    fn ledger(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
        range: TimeRange,
    ) -> BoxFuture<'_, Result<CoverageLedger, StoreError>>;

    /// Instruments of which something is known, ascending.
    fn instruments(&self) -> Vec<InstrumentId>;

    /// The newest numeric trade id seen, and its venue time; answered from memory.
    fn newest_trade(&self, instrument: &InstrumentId) -> Option<(i64, Time)>;
}
