//! Klines of a venue as evidence: a minute whose closed kline did not come is asked for, and where trades have no
//! numbers the kline tells whether a minute's trades are all there.

use std::collections::{BTreeSet, VecDeque};

use model::time::{MINUTE, SECOND};
use model::{Channel, Decimal, Gap, GapCause, GapState, InstrumentId, Nanos, Source, Time, Trade};
use tables::TimeRange;

/// How long after its end a minute's closed kline may come: the slowest venue pushes once in some seconds.
pub(crate) const LATE: i64 = 15 * SECOND;
/// Minutes asked for in one piece: below every venue's page.
const MINUTES_PER_HOLE: usize = 500;
/// Minutes looked back at after an outage; older ones are history, which is fetched elsewhere.
const MINUTES_BACK: i64 = 10_000;
/// Most holes remembered.
const HOLES_MAX: usize = 64;
/// Most minutes waiting to be compared.
const CHECKS_MAX: usize = 128;
/// How long a minute's last trades may be on their way when its kline is here, nanoseconds.
const CHECK_AFTER: i64 = 2_000_000_000;
/// How long to wait for what is on its way, nanoseconds.
pub(crate) const CHECK_AGAIN: i64 = 5_000_000_000;
/// So often a minute waits, then it stays unchecked.
pub(crate) const TRIES_MAX: u32 = 120;
/// So many minutes in a row that the venue's own list of trades contradicts, and its klines prove nothing.
pub(crate) const STRIKES_MAX: u32 = 3;
/// Minutes of which prints apart from the market are remembered.
const APART_MAX: usize = 16;

/// Minutes without their closed kline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KlineHole {
    /// First minute asked for.
    pub(crate) first: Time,
    /// Last minute asked for.
    pub(crate) last: Time,
    /// What has not come of them.
    pub(crate) minutes: BTreeSet<Time>,
    /// Given up: a row says missing.
    pub(crate) is_missing: bool,
    pub(crate) cause: GapCause,
    pub(crate) found: Nanos,
    pub(crate) wished: Nanos,
}

/// A minute whose trades are to be compared with its kline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) minute: Time,
    pub(crate) volume: Decimal,
    pub(crate) due: Nanos,
    pub(crate) tries: u32,
    /// Whether the venue was asked for its trades because of it.
    pub(crate) is_asked: bool,
}

/// What is known of one instrument's klines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KlineWatch {
    /// The first minute not looked at yet.
    pub(crate) due: Option<Time>,
    /// Oldest first.
    pub(crate) holes: Vec<KlineHole>,
    pub(crate) checks: VecDeque<Check>,
    /// Minutes in a row that klines and the venue's list of trades told differently.
    pub(crate) strikes: u32,
    /// Volume of prints apart from the market, by minute: klines may count it or not.
    pub(crate) apart: VecDeque<(Time, Decimal)>,
    /// One more whenever coverage may look different; not part of the state.
    pub(crate) version: u64,
}

/// What became of holes.
#[derive(Debug, Default)]
pub(crate) struct KlineFindings {
    pub(crate) gaps: Vec<Gap>,
    pub(crate) wishes: Vec<Gap>,
}

impl KlineHole {
    /// The row of some of its minutes.
    fn gap(&self, instrument: &InstrumentId, (first, last): (Time, Time), state: GapState) -> Gap {
        Gap {
            instrument: instrument.clone(),
            channel: Channel::Klines,
            first_id: None,
            last_id: None,
            first_time: first,
            last_time: last.plus_micros(MINUTE),
            state,
            cause: self.cause,
            source: (state == GapState::Filled).then_some(Source::Rest),
            found_time: self.found.to_time(),
            closed_time: None,
        }
    }

    /// Its row as it stands.
    pub(crate) fn row(&self, instrument: &InstrumentId) -> Gap {
        let state = if self.is_missing { GapState::Missing } else { GapState::Open };
        self.gap(instrument, (self.first, self.last), state)
    }

    /// Stretches of minutes that came and that did not, in order.
    fn stretches(&self) -> Vec<(Time, Time, bool)> {
        let mut stretches: Vec<(Time, Time, bool)> = Vec::new();
        let mut minute = self.first;
        while minute <= self.last {
            let is_missing = self.minutes.contains(&minute);
            match stretches.last_mut() {
                Some((_, last, known)) if *known == is_missing => *last = minute,
                _ => stretches.push((minute, minute, is_missing)),
            }
            minute = minute.plus_micros(MINUTE);
        }
        stretches
    }
}

impl KlineWatch {
    /// Minutes to look at now: those that ended long enough before `venue_now`.
    pub(crate) fn minutes_due(&mut self, start: Time, venue_now: Time) -> Vec<Time> {
        let limit = venue_now.plus_micros(-LATE).minute_start();
        let oldest = limit.plus_micros(-MINUTES_BACK * MINUTE);
        let mut minute = self.due.unwrap_or(start.minute_start()).max(oldest);
        let mut minutes = Vec::new();
        while minute < limit {
            minutes.push(minute);
            minute = minute.plus_micros(MINUTE);
        }
        self.due = Some(minute);
        minutes
    }

    /// Opens holes over minutes, ascending, whose klines did not come.
    pub(crate) fn open(
        &mut self,
        instrument: &InstrumentId,
        minutes: &[Time],
        (cause, now): (GapCause, Nanos),
        findings: &mut KlineFindings,
    ) {
        let is_next = |one: &Time, two: &Time| two.0 - one.0 == MINUTE;
        for run in minutes.chunk_by(is_next).flat_map(|run| run.chunks(MINUTES_PER_HOLE)) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            self.version += 1;
            let minutes = run.iter().copied().collect();
            let (first, last) = (*first, *last);
            let hole = KlineHole { first, last, minutes, is_missing: false, cause, found: now, wished: now };
            findings.gaps.push(hole.row(instrument));
            findings.wishes.push(hole.row(instrument));
            self.holes.push(hole);
        }
        while self.holes.len() > HOLES_MAX {
            let oldest = self.holes.remove(0);
            self.close(instrument, &oldest, (GapCause::Refused, now), findings);
        }
    }

    /// Wishes without an outcome are made again.
    pub(crate) fn wish_again(&mut self, instrument: &InstrumentId, now: Nanos, findings: &mut KlineFindings) {
        let is_due =
            |hole: &&mut KlineHole| !hole.is_missing && now.0 - hole.wished.0 >= crate::ledger::WISH_AGAIN;
        for hole in self.holes.iter_mut().filter(is_due) {
            hole.wished = now;
            findings.wishes.push(hole.row(instrument));
        }
    }

    /// A minute's closed kline came.
    pub(crate) fn came(
        &mut self,
        instrument: &InstrumentId,
        minute: Time,
        now: Nanos,
        findings: &mut KlineFindings,
    ) {
        let Some(at) = self.holes.iter_mut().position(|hole| hole.minutes.remove(&minute)) else { return };
        self.version += 1;
        if self.holes[at].minutes.is_empty() || self.holes[at].is_missing {
            let hole = self.holes.remove(at);
            let cause = hole.cause;
            self.close(instrument, &hole, (cause, now), findings);
        }
    }

    /// What became of asking for the hole that begins there.
    pub(crate) fn outcome(
        &mut self,
        instrument: &InstrumentId,
        first: Time,
        (cause, now): (GapCause, Nanos),
        findings: &mut KlineFindings,
    ) {
        let is_meant = |hole: &KlineHole| hole.first == first && !hole.is_missing;
        if let Some(at) = self.holes.iter().position(is_meant) {
            let hole = self.holes.remove(at);
            self.close(instrument, &hole, (cause, now), findings);
        }
    }

    fn close(
        &mut self,
        instrument: &InstrumentId,
        hole: &KlineHole,
        (cause, now): (GapCause, Nanos),
        findings: &mut KlineFindings,
    ) {
        self.version += 1;
        for (first, last, is_missing) in hole.stretches() {
            let state = if is_missing { GapState::Missing } else { GapState::Filled };
            let cause = if is_missing { cause } else { hole.cause };
            let mut gap = KlineHole { cause, ..hole.clone() }.gap(instrument, (first, last), state);
            gap.closed_time = Some(now.to_time());
            findings.gaps.push(gap);
            if is_missing && self.holes.len() < HOLES_MAX {
                let minutes = hole.minutes.range(first..=last).copied().collect();
                let rest = KlineHole { first, last, minutes, is_missing, cause, ..hole.clone() };
                let at = self.holes.partition_point(|known| known.first < first);
                self.holes.insert(at, rest);
            }
        }
    }

    /// Notes a kline whose minute is to be compared with its trades.
    pub(crate) fn check_later(&mut self, minute: Time, volume: Decimal, now: Nanos) {
        self.checks.retain(|check| check.minute != minute);
        if self.checks.len() >= CHECKS_MAX {
            self.checks.pop_front();
        }
        let due = Nanos(now.0 + CHECK_AFTER);
        self.checks.push_back(Check { minute, volume, due, tries: 0, is_asked: false });
    }

    /// Notes a print that is no market trade.
    pub(crate) fn note_apart(&mut self, trade: &Trade) {
        let minute = trade.venue_time.minute_start();
        if let Some((_, sum)) = self.apart.iter_mut().find(|(known, _)| *known == minute) {
            *sum = sum.checked_add(trade.quantity).unwrap_or(*sum);
            return;
        }
        if self.apart.len() >= APART_MAX {
            self.apart.pop_front();
        }
        self.apart.push_back((minute, trade.quantity));
    }

    /// Volume of the minute's prints apart from the market.
    pub(crate) fn volume_apart(&self, minute: Time) -> Decimal {
        self.apart.iter().find(|(known, _)| *known == minute).map_or(Decimal::ZERO, |(_, sum)| *sum)
    }

    /// Spans without klines, and their rows.
    pub(crate) fn absent(&self, instrument: &InstrumentId) -> (Vec<TimeRange>, Vec<Gap>) {
        let range = |minute: &Time| TimeRange { start: *minute, end: minute.plus_micros(MINUTE) };
        let ranges = self.holes.iter().flat_map(|hole| &hole.minutes).map(range).collect();
        (ranges, self.holes.iter().map(|hole| hole.row(instrument)).collect())
    }
}
