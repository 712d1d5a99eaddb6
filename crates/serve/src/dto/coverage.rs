//! Coverage as readers see it.

use model::Gap;
use serde::Serialize;
use tables::{CoverageAnswer, TimeRange};
use utoipa::ToSchema;

/// Most spans and gaps listed one by one; the counts say how many there are.
const LIST_MAX: usize = 200;

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
        }
    }
}
