//! Presence of streams and evidence of klines in a form that can be written. Stands behind the house of version 1.

use model::{GapCause, Nanos, Time};
use serde::{Deserialize, Serialize};

use super::forms::Number;
use crate::klines::{Check, KlineHole, KlineWatch};
use crate::ledger::Down;
use crate::presence::{Absence, Presence};
use crate::track::Track;

/// What version 2 adds to each track, in the order of tracks.
#[derive(Serialize, Deserialize)]
pub(super) struct TrackExtra {
    presences: Vec<PresenceForm>,
    kline_due: Option<i64>,
    kline_holes: Vec<KlineHoleForm>,
    checks: Vec<CheckForm>,
    strikes: u32,
    apart: Vec<(i64, Number)>,
}

#[derive(Serialize, Deserialize)]
struct PresenceForm {
    start: Option<i64>,
    carriers: u32,
    down: Option<(i64, String)>,
    sample: Option<i64>,
    was_stopped: bool,
    absences: Vec<(i64, i64, String, i64)>,
}

#[derive(Serialize, Deserialize)]
struct KlineHoleForm {
    first: i64,
    last: i64,
    minutes: Vec<i64>,
    is_missing: bool,
    cause: String,
    found: i64,
    wished: i64,
}

#[derive(Serialize, Deserialize)]
struct CheckForm {
    minute: i64,
    volume: Number,
    due: i64,
    tries: u32,
    is_asked: bool,
}

impl TrackExtra {
    pub(super) fn of(track: &Track) -> Self {
        let watch = &track.klines;
        Self {
            presences: track.presences.iter().map(PresenceForm::of).collect(),
            kline_due: watch.due.map(|time| time.0),
            kline_holes: watch.holes.iter().map(KlineHoleForm::of).collect(),
            checks: watch.checks.iter().map(CheckForm::of).collect(),
            strikes: watch.strikes,
            apart: watch.apart.iter().map(|(minute, sum)| (minute.0, Number::of(*sum))).collect(),
        }
    }

    /// Gives the track what was saved; `None` if a value cannot be.
    pub(super) fn restore(self, track: &mut Track) -> Option<()> {
        if self.presences.len() != track.presences.len() {
            return None;
        }
        for (presence, form) in track.presences.iter_mut().zip(self.presences) {
            *presence = form.value()?;
        }
        track.klines = KlineWatch {
            due: self.kline_due.map(Time),
            holes: self.kline_holes.into_iter().map(KlineHoleForm::value).collect::<Option<_>>()?,
            checks: self.checks.into_iter().map(CheckForm::value).collect::<Option<_>>()?,
            strikes: self.strikes,
            apart: self
                .apart
                .into_iter()
                .map(|(minute, sum)| Some((Time(minute), sum.value()?)))
                .collect::<Option<_>>()?,
            version: 1,
        };
        Some(())
    }
}

impl PresenceForm {
    fn of(presence: &Presence) -> Self {
        let absence = |absence: &Absence| {
            (absence.first.0, absence.last.0, absence.cause.as_str().to_owned(), absence.found.0)
        };
        Self {
            start: presence.start.map(|time| time.0),
            carriers: presence.carriers,
            down: presence.down.map(|down| (down.since.0, down.cause.as_str().to_owned())),
            sample: presence.sample.map(|time| time.0),
            was_stopped: presence.was_stopped,
            absences: presence.absences.iter().map(absence).collect(),
        }
    }

    fn value(self) -> Option<Presence> {
        let down = match self.down {
            Some((since, cause)) => Some(Down { since: Time(since), cause: GapCause::named(&cause)? }),
            None => None,
        };
        let absence = |(first, last, cause, found): (i64, i64, String, i64)| {
            let cause = GapCause::named(&cause)?;
            Some(Absence { first: Time(first), last: Time(last), cause, found: Time(found) })
        };
        Some(Presence {
            start: self.start.map(Time),
            carriers: self.carriers,
            down,
            sample: self.sample.map(Time),
            was_stopped: self.was_stopped,
            absences: self.absences.into_iter().map(absence).collect::<Option<_>>()?,
            version: 1,
        })
    }
}

impl KlineHoleForm {
    fn of(hole: &KlineHole) -> Self {
        Self {
            first: hole.first.0,
            last: hole.last.0,
            minutes: hole.minutes.iter().map(|minute| minute.0).collect(),
            is_missing: hole.is_missing,
            cause: hole.cause.as_str().to_owned(),
            found: hole.found.0,
            wished: hole.wished.0,
        }
    }

    fn value(self) -> Option<KlineHole> {
        Some(KlineHole {
            first: Time(self.first),
            last: Time(self.last),
            minutes: self.minutes.into_iter().map(Time).collect(),
            is_missing: self.is_missing,
            cause: GapCause::named(&self.cause)?,
            found: Nanos(self.found),
            wished: Nanos(self.wished),
        })
    }
}

impl CheckForm {
    fn of(check: &Check) -> Self {
        Self {
            minute: check.minute.0,
            volume: Number::of(check.volume),
            due: check.due.0,
            tries: check.tries,
            is_asked: check.is_asked,
        }
    }

    fn value(self) -> Option<Check> {
        Some(Check {
            minute: Time(self.minute),
            volume: self.volume.value()?,
            due: Nanos(self.due),
            tries: self.tries,
            is_asked: self.is_asked,
        })
    }
}
