//! One hole: what is absent in it, and how it falls into filled and missing stretches.

use model::{Channel, Gap, GapCause, GapState, InstrumentId, Nanos, Source, Time};

/// What is known of a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoleState {
    /// Perhaps mere disorder; no row yet.
    Pending,
    /// A row says open.
    Open,
    /// A row says missing.
    Missing,
    /// A row says filled; never remembered.
    Filled,
}

/// A stretch of a hole of which nothing has come. Without numbers, ids are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// Venue time of the event before.
    pub(crate) before: Time,
    /// Venue time of the event after.
    pub(crate) after: Time,
}

/// A hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) has_ids: bool,
    pub(crate) first_id: i64,
    pub(crate) last_id: i64,
    pub(crate) first_time: Time,
    pub(crate) last_time: Time,
    pub(crate) state: HoleState,
    pub(crate) cause: GapCause,
    pub(crate) source: Option<Source>,
    pub(crate) found: Nanos,
    pub(crate) closed_time: Option<Time>,
    /// When filling was last wished for.
    pub(crate) wished: Nanos,
    /// What is absent, ascending.
    pub(crate) parts: Vec<Part>,
    /// Whether ids came into a hole that was given up.
    pub(crate) is_changed: bool,
}

impl Hole {
    /// A jump in numbers.
    pub(crate) fn ids(part: Part, cause: GapCause, found: Nanos) -> Self {
        Self {
            has_ids: true,
            first_id: part.first,
            last_id: part.last,
            first_time: part.before,
            last_time: part.after,
            state: HoleState::Pending,
            cause,
            source: None,
            found,
            closed_time: None,
            wished: found,
            parts: vec![part],
            is_changed: false,
        }
    }

    /// A span of time of a stream without numbers.
    pub(crate) fn span(since: Time, until: Time, cause: GapCause, found: Nanos) -> Self {
        let part = Part { first: 0, last: 0, before: since, after: until };
        Self { has_ids: false, state: HoleState::Open, ..Self::ids(part, cause, found) }
    }

    /// What is left of mere disorder: one open hole for each stretch that did not come.
    pub(crate) fn opened(&self, now: Nanos) -> impl Iterator<Item = Self> {
        self.parts.iter().map(move |part| Self {
            state: HoleState::Open,
            found: self.found,
            wished: now,
            ..Self::ids(*part, self.cause, now)
        })
    }

    /// Order among the holes of a stream.
    pub(crate) fn place(&self) -> (i64, Time) {
        (self.first_id, self.first_time)
    }

    /// The row.
    pub(crate) fn gap(&self, instrument: &InstrumentId, channel: Channel) -> Gap {
        let state = match self.state {
            HoleState::Pending | HoleState::Open => GapState::Open,
            HoleState::Missing => GapState::Missing,
            HoleState::Filled => GapState::Filled,
        };
        Gap {
            instrument: instrument.clone(),
            channel,
            first_id: self.has_ids.then_some(self.first_id),
            last_id: self.has_ids.then_some(self.last_id),
            first_time: self.first_time,
            last_time: self.last_time,
            state,
            cause: self.cause,
            source: self.source,
            found_time: self.found.to_time(),
            closed_time: self.closed_time,
        }
    }

    /// The index of the part that lacks an id.
    pub(crate) fn part_with(&self, id: i64) -> Option<usize> {
        let at = self.parts.partition_point(|part| part.last < id);
        self.parts.get(at).filter(|part| part.first <= id).map(|_| at)
    }

    /// An id came into a part.
    pub(crate) fn fill(&mut self, index: usize, id: i64, time: Time, source: Source) {
        let part = self.parts[index];
        let front = Part { last: id - 1, after: time, ..part };
        let back = Part { first: id + 1, before: time, ..part };
        match (front.first <= front.last, back.first <= back.last) {
            // Answers come in ascending order, so this is nearly always the case.
            (false, true) => self.parts[index] = back,
            (true, false) => self.parts[index] = front,
            (false, false) => {
                self.parts.remove(index);
            }
            (true, true) => {
                self.parts[index] = front;
                self.parts.insert(index + 1, back);
            }
        }
        self.filled_from(source);
        self.is_changed = self.state == HoleState::Missing;
    }

    /// Notes where a filling came from; an answer outweighs a late stream.
    pub(crate) fn filled_from(&mut self, source: Source) {
        if self.source.is_none() || source != Source::Stream {
            self.source = Some(source);
        }
    }

    /// Without numbers: the newest trades back to `oldest` are known, and with `is_joined` those of the hole's very
    /// first moment too.
    pub(crate) fn reach_back(&mut self, oldest: Time, is_joined: bool) {
        self.parts.retain_mut(|part| {
            if oldest < part.before || (oldest == part.before && is_joined) {
                return false;
            }
            part.after = part.after.min(oldest);
            true
        });
        if self.parts.is_empty() || oldest < self.last_time {
            self.source = Some(Source::Rest);
        }
    }

    /// The part of the hole between two ids, both included; `None` if there is none.
    pub(crate) fn cut(&self, first: i64, last: i64) -> Option<Self> {
        let (first, last) = (first.max(self.first_id), last.min(self.last_id));
        if first > last {
            return None;
        }
        let clip = |part: &Part| {
            let part = Part { first: part.first.max(first), last: part.last.min(last), ..*part };
            (part.first <= part.last).then_some(part)
        };
        let first_time = if first == self.first_id { self.first_time } else { self.time_before(first) };
        let last_time = if last == self.last_id { self.last_time } else { self.time_after(last) };
        let parts: Vec<Part> = self.parts.iter().filter_map(clip).collect();
        let is_untouched = parts.first().is_some_and(|part| part.first == first && part.last == last);
        let source = if is_untouched { None } else { self.source };
        Some(Self { first_id: first, last_id: last, first_time, last_time, parts, source, ..self.clone() })
    }

    fn time_before(&self, id: i64) -> Time {
        let before = self.parts.iter().rev().find(|part| part.first <= id);
        before.map_or(self.first_time, |part| if part.last >= id { part.before } else { part.after })
    }

    fn time_after(&self, id: i64) -> Time {
        let after = self.parts.iter().find(|part| part.last >= id);
        after.map_or(self.last_time, |part| if part.first <= id { part.after } else { part.before })
    }

    /// The hole, closed: each stretch that is there is filled, each that is not is missing for `cause`.
    pub(crate) fn stretches(&self, cause: GapCause, closed: Time) -> Vec<Self> {
        let mut stretches = Vec::new();
        let missing = |part: &Part, hole: &Self| Self {
            first_id: part.first,
            last_id: part.last,
            first_time: part.before,
            last_time: part.after,
            state: HoleState::Missing,
            cause,
            source: None,
            parts: vec![*part],
            ..hole.clone()
        };
        let filled = |ids: (i64, i64), times: (Time, Time), hole: &Self| Self {
            first_id: ids.0,
            last_id: ids.1,
            first_time: times.0,
            last_time: times.1,
            state: HoleState::Filled,
            parts: Vec::new(),
            ..hole.clone()
        };
        let hole = Self { closed_time: Some(closed), is_changed: false, ..self.clone() };
        let (mut next_id, mut next_time) = (self.first_id, self.first_time);
        for part in &self.parts {
            let is_there = if self.has_ids { next_id < part.first } else { next_time < part.before };
            if is_there {
                stretches.push(filled((next_id, part.first - 1), (next_time, part.before), &hole));
            }
            stretches.push(missing(part, &hole));
            (next_id, next_time) = (part.last + 1, part.after);
        }
        let is_there = match (self.parts.is_empty(), self.has_ids) {
            (true, _) => true,
            (false, true) => next_id <= self.last_id,
            (false, false) => next_time < self.last_time,
        };
        if is_there {
            stretches.push(filled((next_id, self.last_id), (next_time, self.last_time), &hole));
        }
        stretches
    }
}
