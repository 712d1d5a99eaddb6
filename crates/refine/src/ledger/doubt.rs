//! Doubts over a stretch of a stream without numbers: somebody who should know counts more than is there.

use model::{GapCause, Nanos, Time};

use super::{Findings, Hole, HoleState, Kind, Ledger};

/// What is known of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stretch {
    /// It was not observed, or only in part.
    Outside,
    /// It may still change: a hole over it is being filled, or the stream is down.
    Unsettled,
    /// Holes that stay lie over some of it.
    Torn,
    /// All of it counts as there.
    Whole,
}

impl Ledger {
    /// What is known of `first..last`.
    pub(crate) fn stretch(&self, first: Time, last: Time) -> Stretch {
        if self.start.is_none_or(|start| start > first) {
            return Stretch::Outside;
        }
        let is_down = match &self.kind {
            Kind::Timed(timed) => timed.down.is_some_and(|down| down.since < last),
            Kind::Numbered(_) => false,
        };
        let is_over = |hole: &&Hole| hole.parts.iter().any(|part| part.before < last && first <= part.after);
        let mut over = self.holes.iter().filter(is_over).peekable();
        if is_down {
            Stretch::Unsettled
        } else if over.peek().is_none() {
            Stretch::Whole
        } else if over.any(|hole| hole.state != HoleState::Missing) {
            Stretch::Unsettled
        } else {
            Stretch::Torn
        }
    }

    /// Opens holes over whatever of `first..=last` no hole covers yet. False if there is nothing.
    pub(crate) fn doubt(&mut self, (first, last): (Time, Time), now: Nanos, findings: &mut Findings) -> bool {
        let mut covered: Vec<(Time, Time)> = self
            .holes
            .iter()
            .flat_map(|hole| &hole.parts)
            .filter(|part| part.before <= last && first <= part.after)
            .map(|part| (part.before, part.after))
            .collect();
        covered.sort_unstable();
        let mut from = first;
        let mut free = Vec::new();
        for (before, after) in covered {
            if from < before {
                free.push((from, before));
            }
            from = from.max(after.plus_micros(1));
        }
        if from <= last {
            free.push((from, last));
        }
        for (since, until) in &free {
            self.open_span(*since, *until, (GapCause::Dropped, now), findings);
        }
        !free.is_empty()
    }
}
