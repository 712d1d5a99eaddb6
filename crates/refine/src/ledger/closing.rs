//! How holes end: filled, split, or missing for a reason.

use model::{GapCause, Nanos, Source, Time};

use super::{Findings, HOLES_MAX, Hole, HoleState, Kind, Ledger, Moment};

impl Ledger {
    /// What became of filling `first..=last` (or, without numbers, of the hole that began at `first_time`).
    /// `cause` says why what is still absent stays so.
    pub(crate) fn outcome(
        &mut self,
        asked: (Option<i64>, Option<i64>, Time),
        cause: GapCause,
        now: Nanos,
        findings: &mut Findings,
    ) {
        self.version += 1;
        let cause = if std::mem::take(&mut self.has_bad_answer) && cause == GapCause::NotAtVenue {
            GapCause::Undecodable
        } else {
            cause
        };
        let holes = std::mem::take(&mut self.holes);
        for hole in holes {
            let is_meant = match (asked, &self.kind) {
                ((Some(first), Some(last), _), Kind::Numbered(_)) => {
                    hole.first_id <= last && first <= hole.last_id
                }
                ((_, _, first_time), Kind::Timed(_)) => hole.first_time == first_time,
                _ => false,
            };
            if hole.state != HoleState::Open || !is_meant {
                self.holes.push(hole);
                continue;
            }
            match asked {
                (Some(first), Some(last), _) if matches!(self.kind, Kind::Numbered(_)) => {
                    let before = hole.cut(i64::MIN, first - 1);
                    let after = hole.cut(last + 1, i64::MAX);
                    if let Some(before) = before {
                        self.keep_or_close(before, now, findings);
                    }
                    if let Some(middle) = hole.cut(first, last) {
                        self.close(&middle, cause, now, findings);
                    }
                    if let Some(after) = after {
                        self.keep_or_close(after, now, findings);
                    }
                }
                _ => self.close(&hole, cause, now, findings),
            }
        }
        self.forget_old(findings);
    }

    /// Rows of holes that stayed were written by whoever found them elsewhere: what is named here is filled from there. Gives
    /// the spans whose bars are to be made anew.
    pub(crate) fn brought(
        &mut self,
        asked: (Option<i64>, Option<i64>, Time),
        source: Source,
        now: Nanos,
        findings: &mut Findings,
    ) -> Vec<(Time, Time)> {
        self.version += 1;
        let mut spans = Vec::new();
        for hole in std::mem::take(&mut self.holes) {
            let (brought, left) = match (asked, &self.kind) {
                _ if hole.state != HoleState::Missing => (None, vec![hole]),
                ((Some(first), Some(last), _), Kind::Numbered(_))
                    if hole.first_id <= last && first <= hole.last_id =>
                {
                    let beside = [hole.cut(i64::MIN, first - 1), hole.cut(last + 1, i64::MAX)];
                    let left: Vec<Hole> = beside.into_iter().flatten().collect();
                    findings.gaps.extend(left.iter().map(|hole| hole.gap(&self.instrument, self.channel)));
                    (hole.cut(first, last), left)
                }
                ((None, None, first_time), Kind::Timed(_)) if hole.first_time == first_time => {
                    (Some(hole), Vec::new())
                }
                _ => (None, vec![hole]),
            };
            self.holes.extend(left);
            if let Some(hole) = brought {
                spans.push((hole.first_time, hole.last_time));
                let whole = Hole { parts: Vec::new(), source: Some(source), ..hole };
                let cause = whole.cause;
                self.close(&whole, cause, now, findings);
            }
        }
        spans
    }

    /// An answer with the stream's most recent trades reached back to `oldest`; with `is_joined` it holds a trade that
    /// was there before the hole. Streams without numbers only.
    pub(crate) fn answered(
        &mut self,
        oldest: Time,
        knows: impl Fn(Time) -> bool,
        now: Nanos,
        findings: &mut Findings,
    ) {
        self.version += 1;
        if !matches!(self.kind, Kind::Timed(_)) {
            return;
        }
        let mut index = 0;
        while let Some(hole) = self.holes.get_mut(index) {
            if hole.state == HoleState::Open {
                hole.reach_back(oldest, knows(hole.first_time));
            }
            let count = self.holes.len();
            self.settle_if_whole(index, Moment { now, hole_wait: 0, undecodable: None }, findings);
            index += usize::from(self.holes.len() == count);
        }
    }

    pub(super) fn settle_if_whole(&mut self, index: usize, at: Moment, findings: &mut Findings) {
        let Some(hole) = self.holes.get(index) else { return };
        if !hole.parts.is_empty() {
            return;
        }
        let hole = self.holes.remove(index);
        if hole.state != HoleState::Pending {
            let cause = hole.cause;
            self.close(&hole, cause, at.now, findings);
        }
    }

    fn keep_or_close(&mut self, hole: Hole, now: Nanos, findings: &mut Findings) {
        if hole.parts.is_empty() {
            let cause = hole.cause;
            self.close(&hole, cause, now, findings);
        } else {
            let gap = hole.gap(&self.instrument, self.channel);
            findings.gaps.push(gap.clone());
            findings.wishes.push(gap);
            self.holes.push(Hole { wished: now, ..hole });
        }
    }

    /// Writes the hole's filled and missing stretches as rows of their own; the missing ones stay remembered.
    pub(super) fn close(&mut self, hole: &Hole, cause: GapCause, now: Nanos, findings: &mut Findings) {
        for stretch in hole.stretches(cause, now.to_time()) {
            findings.gaps.push(stretch.gap(&self.instrument, self.channel));
            if stretch.state == HoleState::Missing {
                let at = self.holes.partition_point(|known| known.place() < stretch.place());
                self.holes.insert(at, stretch);
            }
        }
    }

    /// Keeps the number of holes bounded: the oldest are forgotten, and coverage begins behind them.
    pub(super) fn forget_old(&mut self, findings: &mut Findings) {
        while self.holes.len() > HOLES_MAX {
            let mut hole = self.holes.remove(0);
            if hole.state != HoleState::Missing {
                (hole.state, hole.cause) = (HoleState::Missing, GapCause::Refused);
                hole.closed_time = Some(hole.found.to_time());
                findings.gaps.push(hole.gap(&self.instrument, self.channel));
            }
            self.start = self.start.map(|start| start.max(hole.last_time));
        }
    }
}
