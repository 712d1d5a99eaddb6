//! Coverage as readers see it.

use model::Gap;
use serde::Serialize;
use tables::{CoverageAnswer, CoverageInterval, CoverageLedger, CoverageState, DayCover, TimeRange};
use utoipa::ToSchema;

/// Most spans and gaps listed one by one; the counts say how many there are.
const LIST_MAX: usize = 200;
/// Most spans and days told when coverage itself is asked for.
const LEDGER_MAX: usize = 5_000;

/// What is known of a range.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Coverage)]
pub(crate) struct CoverageForm {
    /// Start of the range, milliseconds.
    pub(crate) start_time: i64,
    /// End of the range, milliseconds, exclusive; cut at now.
    pub(crate) end_time: i64,
    /// `complete`, `partial` or `unknown`.
    #[schema(value_type = String)]
    pub(crate) quality: &'static str,
    /// Whether a repair is on its way.
    pub(crate) is_repairing: bool,
    /// Spans that were observed from end to end apart from `gaps`; at most 200 are listed.
    pub(crate) observed: Vec<SpanForm>,
    /// How many such spans there are.
    pub(crate) observed_count: usize,
    /// Holes that are open or stay; at most 200 are listed.
    pub(crate) gaps: Vec<GapForm>,
    /// How many such holes there are.
    pub(crate) gaps_count: usize,
    /// Span by span: where rows come from, what lacks and why. Only when coverage itself was asked for; the first 5000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intervals: Option<Vec<IntervalForm>>,
    /// Day by day. Only when coverage itself was asked for; the first 5000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) days: Option<Vec<DayForm>>,
    /// Ids that lack. Only when coverage itself was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) missing: Option<u64>,
    /// Rows that come twice. Only when coverage itself was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duplicates: Option<u64>,
}

/// A span of which one thing is known.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoverageInterval)]
pub(crate) struct IntervalForm {
    /// Milliseconds.
    start_time: i64,
    /// Milliseconds, exclusive.
    end_time: i64,
    /// `observed`, `backfilled`, `repairing`, `missing` or `unchecked`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Where backfilled rows came from: `rest` or `archive`.
    #[schema(value_type = Option<String>)]
    source: Option<&'static str>,
    /// Why rows lack.
    #[schema(value_type = Option<String>)]
    cause: Option<&'static str>,
    /// First id that lacks, or lacked.
    first_id: Option<i64>,
    /// Last id that lacks, or lacked.
    last_id: Option<i64>,
}

/// What is known of a day.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CoverageDay)]
pub(crate) struct DayForm {
    /// The day, UTC.
    day: String,
    /// `complete`, `degraded`, `pending` or `missing`.
    #[schema(value_type = String)]
    condition: &'static str,
    /// Ids that lack of it.
    missing: u64,
    /// Rows of it that come twice, as it was last counted.
    duplicates: u64,
}

/// A span of time.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Span)]
pub(crate) struct SpanForm {
    /// Milliseconds.
    start_time: i64,
    /// Milliseconds, exclusive.
    end_time: i64,
}

/// One hole.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Gap)]
pub(crate) struct GapForm {
    /// Stream.
    #[schema(value_type = String)]
    channel: &'static str,
    /// First id that is not there, where the venue numbers its events.
    first_id: Option<i64>,
    /// Last id that is not there.
    last_id: Option<i64>,
    /// Venue time of the last event before the hole, milliseconds.
    first_time: i64,
    /// Venue time of the first event after the hole, milliseconds.
    last_time: i64,
    /// `open` or `missing`.
    #[schema(value_type = String)]
    state: &'static str,
    /// Why the events are not there.
    #[schema(value_type = String)]
    cause: &'static str,
}

impl From<&TimeRange> for SpanForm {
    fn from(range: &TimeRange) -> Self {
        Self { start_time: range.start.millis(), end_time: range.end.millis() }
    }
}

impl From<&Gap> for GapForm {
    fn from(gap: &Gap) -> Self {
        Self {
            channel: gap.channel.as_str(),
            first_id: gap.first_id,
            last_id: gap.last_id,
            first_time: gap.first_time.millis(),
            last_time: gap.last_time.millis(),
            state: gap.state.as_str(),
            cause: gap.cause.as_str(),
        }
    }
}

impl From<&CoverageAnswer> for CoverageForm {
    fn from(answer: &CoverageAnswer) -> Self {
        Self {
            start_time: answer.range.start.millis(),
            end_time: answer.range.end.millis(),
            quality: answer.quality.as_str(),
            is_repairing: answer.is_repairing,
            observed: answer.observed.iter().take(LIST_MAX).map(SpanForm::from).collect(),
            observed_count: answer.observed.len(),
            gaps: answer.gaps.iter().take(LIST_MAX).map(GapForm::from).collect(),
            gaps_count: answer.gaps.len(),
            intervals: None,
            days: None,
            missing: None,
            duplicates: None,
        }
    }
}

impl CoverageForm {
    /// With what is known span by span and day by day.
    pub(crate) fn with_ledger(self, ledger: &CoverageLedger) -> Self {
        Self {
            intervals: Some(ledger.intervals.iter().take(LEDGER_MAX).map(IntervalForm::from).collect()),
            days: Some(ledger.days.iter().take(LEDGER_MAX).map(DayForm::from).collect()),
            missing: Some(ledger.missing()),
            duplicates: Some(ledger.duplicates()),
            ..self
        }
    }
}

impl From<&CoverageInterval> for IntervalForm {
    fn from(interval: &CoverageInterval) -> Self {
        let (source, cause) = match interval.state {
            CoverageState::Backfilled(source) => (Some(source.as_str()), None),
            CoverageState::Missing(cause) | CoverageState::Repairing(cause) => (None, Some(cause.as_str())),
            CoverageState::Observed | CoverageState::Unchecked => (None, None),
        };
        Self {
            start_time: interval.range.start.millis(),
            end_time: interval.range.end.millis(),
            state: interval.state.as_str(),
            source,
            cause,
            first_id: interval.ids.map(|ids| ids.0),
            last_id: interval.ids.map(|ids| ids.1),
        }
    }
}

impl From<&DayCover> for DayForm {
    fn from(day: &DayCover) -> Self {
        Self {
            day: day.day.to_string(),
            condition: day.condition.as_str(),
            missing: day.missing,
            duplicates: day.duplicates,
        }
    }
}
