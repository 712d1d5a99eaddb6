//! Since when streams other than trades are observed, and the spans in which they were not. They have no numbers, so
//! connections, freshness and the book's chain tell. Whose rows they are is left to the house.

use model::time::MINUTE;
use model::{Channel, Gap, GapCause, GapState, InstrumentId, Nanos, Time};
use tables::TimeRange;

use crate::ledger::Down;

/// The channels followed so, in the order of their places in a track.
pub(crate) const CHANNELS: [Channel; 5] =
    [Channel::Quotes, Channel::Book, Channel::Klines, Channel::MarkPrices, Channel::OpenInterest];

/// Most spans remembered per stream; older ones are in the table `gaps`, and coverage begins behind them.
const ABSENCES_MAX: usize = 256;
/// How long the answer to a polled question counts as fresh: polls come every one or two minutes.
const SAMPLE_AGE_MAX: i64 = 5 * MINUTE;

/// The place of a channel among [`CHANNELS`].
pub(crate) fn place(channel: Channel) -> Option<usize> {
    CHANNELS.iter().position(|known| *known == channel)
}

/// A span in which the stream was not observed. Nothing can fill it: what was not told then is not told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Absence {
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) cause: GapCause,
    /// When its end showed, by receipt clock.
    pub(crate) found: Time,
}

impl Absence {
    /// The row.
    pub(crate) fn gap(&self, instrument: &InstrumentId, channel: Channel) -> Gap {
        Gap {
            instrument: instrument.clone(),
            channel,
            first_id: None,
            last_id: None,
            first_time: self.first,
            last_time: self.last,
            state: GapState::Missing,
            cause: self.cause,
            source: None,
            found_time: self.found,
            closed_time: Some(self.found),
        }
    }

    pub(crate) fn range(&self) -> TimeRange {
        TimeRange { start: self.first, end: self.last }
    }
}

/// One stream of one instrument.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence {
    /// From when on it was observed.
    pub(crate) start: Option<Time>,
    /// Connections that carry it now.
    pub(crate) carriers: u32,
    /// Since when it is not observed, and why.
    pub(crate) down: Option<Down>,
    /// When the newest answer came, where the channel is polled.
    pub(crate) sample: Option<Time>,
    /// Whether the process was restarted since.
    pub(crate) was_stopped: bool,
    /// Oldest first.
    pub(crate) absences: Vec<Absence>,
    /// One more whenever coverage may look different; not part of the state.
    pub(crate) version: u64,
}

impl Presence {
    /// One more connection carries the stream. With `is_proof`, that alone means that it is observed from `venue_now`.
    pub(crate) fn carried(&mut self, venue_now: Option<Time>, is_proof: bool, now: Nanos) -> Option<Absence> {
        self.version += 1;
        self.carriers += 1;
        self.sample = None;
        venue_now.filter(|_| is_proof).and_then(|at| self.observed(at, now))
    }

    /// The stream is observed at that moment: it begins, or a span without it ends.
    pub(crate) fn observed(&mut self, at: Time, now: Nanos) -> Option<Absence> {
        if self.carriers == 0 || (self.down.is_none() && self.start.is_some()) {
            return None;
        }
        self.version += 1;
        if self.start.is_none() {
            self.start = Some(at);
            self.down = None;
            return None;
        }
        let down = self.down.take()?;
        self.absent(down.since, at, (down.cause, now))
    }

    /// A connection no longer carries the stream, which told of `newest` last.
    pub(crate) fn dropped(&mut self, newest: Option<Time>, cause: GapCause) {
        self.version += 1;
        self.carriers = self.carriers.saturating_sub(1);
        if self.carriers == 0 {
            self.fell(newest, cause);
        }
    }

    /// The stream is not observed any more since it told of `newest`. What it was silent about since may be lost: that
    /// its connection spoke of other streams proves nothing.
    pub(crate) fn fell(&mut self, newest: Option<Time>, cause: GapCause) {
        self.version += 1;
        if let (None, Some(start)) = (self.down, self.start) {
            let told = self.absences.last().map_or(start, |absence| absence.last);
            self.down = Some(Down { since: newest.unwrap_or(start).max(start).max(told), cause });
        }
    }

    /// The process was restarted.
    pub(crate) fn stopped(&mut self) {
        self.version += 1;
        self.was_stopped = true;
        if let Some(down) = &mut self.down {
            down.cause = GapCause::Stopped;
        }
    }

    /// Capture stood still between two moments though a connection carried the stream.
    pub(crate) fn stood_still(
        &mut self,
        (since, until): (Option<Time>, Option<Time>),
        (cause, now): (GapCause, Nanos),
    ) -> Option<Absence> {
        let (start, since, until) = (self.start?, since?, until?);
        if self.carriers == 0 || self.down.is_some() {
            return None;
        }
        self.version += 1;
        self.absent(since.max(start), until, (cause, now))
    }

    /// An answer to a question asked again and again: observed as long as they come.
    pub(crate) fn sampled(&mut self, at: Time, now: Nanos) -> Option<Absence> {
        if self.carriers > 0 || self.down.is_some() || (self.sample.is_none() && self.start.is_some()) {
            return None;
        }
        self.version += 1;
        self.start.get_or_insert(at);
        let before = self.sample.replace(at)?;
        let cause = if self.was_stopped { GapCause::Stopped } else { GapCause::Silent };
        self.was_stopped = false;
        if at.0 - before.0 <= SAMPLE_AGE_MAX {
            return None;
        }
        self.absent(before.plus_micros(SAMPLE_AGE_MAX), at, (cause, now))
    }

    fn absent(&mut self, first: Time, last: Time, (cause, now): (GapCause, Nanos)) -> Option<Absence> {
        if last <= first {
            return None;
        }
        let absence = Absence { first, last, cause, found: now.to_time() };
        self.absences.push(absence);
        if self.absences.len() > ABSENCES_MAX {
            let oldest = self.absences.remove(0);
            self.start = self.start.max(Some(oldest.last));
        }
        Some(absence)
    }

    /// Up to when the stream is observed; `None` if that is now.
    pub(crate) fn observed_until(&self) -> Option<Time> {
        match (self.down, self.sample) {
            (Some(down), _) => Some(down.since),
            (None, Some(sample)) if self.carriers == 0 => Some(sample.plus_micros(SAMPLE_AGE_MAX)),
            (None, _) => None,
        }
    }
}
