//! Streams whose ids are mere names: what connections and answers prove about spans of time.

use model::time::SECOND;
use model::{GapCause, Source, Time, Trade};

use super::hole::{Hole, HoleState};
use super::numbered::Verdict;
use super::recent::{RecentIds, key};
use super::{Judgement, Newest};

/// How far our reckoning of the venue's clock may be ahead, and how late a frame may be that others overtook: one that
/// is on its way when the connection dies never comes.
pub(crate) const MARGIN: i64 = SECOND;
/// How far behind a hole's end an answer's trades still belong to it; the stream brings the later ones.
const TAIL: i64 = 2 * SECOND;

/// Since when no connection brings the stream, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down {
    pub(crate) since: Time,
    pub(crate) cause: GapCause,
}

/// What is known of a stream without numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timed {
    pub(crate) recent: RecentIds,
    pub(crate) down: Option<Down>,
    /// Up to when rows of `gaps` tell of the stream, so that a quiet one is not asked about again from its beginning.
    pub(crate) told: Option<Time>,
    /// Connections over which a trade of the stream came. While one of them stands, nothing is lost unnoticed.
    pub(crate) proven: Vec<u32>,
}

impl Timed {
    /// Up to when nothing can be lost in silence any more.
    pub(super) fn seen(&self, newest: Option<Newest>) -> Option<Time> {
        self.told.max(newest.map(|newest| newest.venue_time.plus_micros(-MARGIN)))
    }

    pub(super) fn judge(&self, holes: &[Hole], trade: &Trade) -> Judgement {
        if self.recent.contains(key(trade)) {
            return Judgement::Duplicate;
        }
        if trade.source == Source::Stream {
            return Judgement::New(Verdict::Loose);
        }
        let is_inside = |hole: &Hole| {
            let ends = hole.last_time.plus_micros(TAIL);
            hole.state == HoleState::Open && hole.first_time <= trade.venue_time && trade.venue_time <= ends
        };
        if holes.iter().any(is_inside) { Judgement::New(Verdict::Loose) } else { Judgement::Unwanted }
    }

    pub(super) fn accept(&mut self, holes: &mut [Hole], trade: &Trade) {
        self.recent.insert(trade.venue_time, key(trade));
        if trade.source != Source::Stream {
            for hole in holes.iter_mut().filter(|hole| {
                hole.state == HoleState::Open
                    && hole.first_time <= trade.venue_time
                    && trade.venue_time <= hole.last_time
            }) {
                hole.filled_from(trade.source);
            }
        }
    }
}
