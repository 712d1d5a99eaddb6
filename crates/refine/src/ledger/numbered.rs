//! Streams whose trades are numbered: an id is there, absent in a hole, or ahead.

use model::{GapCause, Source, Time, Trade};

use super::hole::{Hole, HoleState, Part};
use super::{Judgement, Moment};

/// How far below the first id a stream may still begin, when two connections start at once.
const BEGIN_DEPTH_MAX: i64 = 10_000;
/// A lower id this much later in time than the newest trade means that the venue numbers anew.
const RENUMBERED_AFTER: i64 = 60_000_000;

/// Everything from `first` to `last` is there, apart from what the holes lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) first: Option<i64>,
    pub(crate) last: i64,
    /// Venue time of `last`.
    pub(crate) last_time: Time,
    /// Venue time of `first`.
    pub(crate) first_time: Time,
    /// When the first was received.
    pub(crate) began: model::Nanos,
}

/// Where a new trade belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of all.
    First,
    /// The next.
    Next,
    /// Past the next: ids are absent between.
    Ahead,
    /// Just below the first, in the disorder of the beginning.
    Below,
    /// In a hole.
    Part {
        /// Which hole.
        hole: usize,
        /// Which of its parts.
        part: usize,
    },
    /// The venue numbers anew.
    Renumbered,
    /// It has no number, or numbers mean nothing here.
    Loose,
}

impl Numbered {
    /// Judges a trade. `is_interrupted`: nobody carried the stream for a while, and it has not spoken since.
    pub(super) fn judge(
        &self,
        holes: &[Hole],
        (id, trade): (i64, &Trade),
        is_interrupted: bool,
        at: Moment,
    ) -> Judgement {
        let is_stream = trade.source == Source::Stream;
        let Some(first) = self.first else {
            return if is_stream { Judgement::New(Verdict::First) } else { Judgement::Unwanted };
        };
        if id > self.last {
            let verdict = if id == self.last + 1 { Verdict::Next } else { Verdict::Ahead };
            // What an answer holds beyond the newest trade, the stream is about to bring, unless it was interrupted: then it
            // may have happened when nobody listened, and in a quiet market the next trade that would tell is far.
            return if is_stream || is_interrupted { Judgement::New(verdict) } else { Judgement::Unwanted };
        }
        let index = holes.partition_point(|hole| hole.last_id < id);
        if let Some(part) =
            holes.get(index).filter(|hole| hole.first_id <= id).and_then(|hole| hole.part_with(id))
        {
            return Judgement::New(Verdict::Part { hole: index, part });
        }
        if is_stream && trade.venue_time.0 > self.last_time.0 + RENUMBERED_AFTER {
            return Judgement::New(Verdict::Renumbered);
        }
        if id >= first {
            return Judgement::Duplicate;
        }
        let is_beginning = at.now.0 - self.began.0 <= at.hole_wait && first - id <= BEGIN_DEPTH_MAX;
        if is_stream && is_beginning { Judgement::New(Verdict::Below) } else { Judgement::Unwanted }
    }

    pub(super) fn accept(
        &mut self,
        holes: &mut Vec<Hole>,
        verdict: Verdict,
        (trade, cause, at): (&Trade, GapCause, Moment),
    ) {
        let Some(id) = trade.trade_id else { return };
        let time = trade.venue_time;
        match verdict {
            Verdict::First | Verdict::Renumbered => {
                *self = Self { first: Some(id), last: id, last_time: time, first_time: time, began: at.now };
            }
            Verdict::Next | Verdict::Ahead => {
                if verdict == Verdict::Ahead {
                    let part =
                        Part { first: self.last + 1, last: id - 1, before: self.last_time, after: time };
                    holes.push(Hole::ids(part, cause, at.now));
                }
                (self.last, self.last_time) = (id, time);
            }
            Verdict::Below => {
                let first = self.first.unwrap_or(id);
                if id + 1 < first {
                    let part = Part { first: id + 1, last: first - 1, before: time, after: self.first_time };
                    holes.insert(0, Hole::ids(part, cause, at.now));
                }
                (self.first, self.first_time) = (Some(id), time);
            }
            Verdict::Part { hole, part } => {
                if let Some(hole) = holes.get_mut(hole) {
                    debug_assert!(hole.state != HoleState::Filled, "filled holes are not remembered");
                    hole.fill(part, id, time, trade.source);
                }
            }
            Verdict::Loose => {}
        }
    }
}
