//! What of a trade stream is there: which trades are new, which came again, and where the holes are.
//!
//! Where the venue numbers its trades, ids tell; elsewhere the lives of connections and the overlap of answers do.

mod carrying;
mod closing;
mod doubt;
mod hole;
mod numbered;
mod recent;
mod timed;

use model::{Channel, Gap, GapCause, InstrumentId, Nanos, Source, Time, Trade};
use tables::TimeRange;

pub(crate) use doubt::Stretch;
pub(crate) use hole::{Hole, HoleState, Part};
pub(crate) use numbered::{Numbered, Verdict};
pub(crate) use recent::RecentIds;
pub(crate) use timed::{Down, Timed};

/// Most holes remembered per stream; older ones are in the table `gaps`, and coverage begins behind them.
pub(crate) const HOLES_MAX: usize = 2_048;
/// How long a wish may stay without an outcome before it is made again.
pub(crate) const WISH_AGAIN: i64 = 60_000_000_000;

/// Which ledger a venue's ids allow.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Ids count up by one.
    Numbered(Numbered),
    /// Ids differ, nothing more.
    Timed(Timed),
}

/// The newest trade of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) venue_time: Time,
    pub(crate) id: Option<i64>,
    pub(crate) received: Nanos,
}

/// The ledger of one instrument's canonical trade stream.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) instrument: InstrumentId,
    pub(crate) channel: Channel,
    pub(crate) kind: Kind,
    /// Oldest first.
    pub(crate) holes: Vec<Hole>,
    /// From when on the stream was observed.
    pub(crate) start: Option<Time>,
    pub(crate) newest: Option<Newest>,
    /// Connections that carry the stream now.
    pub(crate) carriers: u32,
    /// What befell the stream since its newest trade.
    pub(crate) trouble: Option<GapCause>,
    /// Whether an answer for this stream could not be decoded since the last outcome.
    pub(crate) has_bad_answer: bool,
    /// One more whenever coverage may look different; not part of the state.
    pub(crate) version: u64,
}

/// What a trade is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Not seen before: to be recorded.
    New(Verdict),
    /// Seen before.
    Duplicate,
    /// From an answer, outside every hole.
    Unwanted,
}

/// Moments that a ledger's decisions depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Receipt time of the record at hand.
    pub(crate) now: Nanos,
    /// Length of mere disorder, nanoseconds.
    pub(crate) hole_wait: i64,
    /// When the venue last sent something undecodable.
    pub(crate) undecodable: Option<Nanos>,
}

/// What a ledger has to say: rows of `gaps`, and those among them that should be filled.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// New or changed gap rows, in order.
    pub(crate) gaps: Vec<Gap>,
    /// Gaps to be filled.
    pub(crate) wishes: Vec<Gap>,
}

impl Ledger {
    pub(crate) fn new(instrument: InstrumentId, channel: Channel, kind: Kind) -> Self {
        Self {
            instrument,
            channel,
            kind,
            holes: Vec::new(),
            start: None,
            newest: None,
            carriers: 0,
            trouble: None,
            has_bad_answer: false,
            version: 1,
        }
    }

    /// Whether the trade is new.
    pub(crate) fn judge(&self, trade: &Trade, at: Moment) -> Judgement {
        match (&self.kind, trade.trade_id) {
            (Kind::Numbered(numbered), Some(id)) => {
                let is_interrupted = self.trouble.is_some() && self.carriers > 0;
                numbered.judge(&self.holes, (id, trade), is_interrupted, at)
            }
            // A numbered venue's prints without number are few; the receipt of each is taken as told.
            (Kind::Numbered(_), None) if trade.source == Source::Stream => Judgement::New(Verdict::Loose),
            (Kind::Numbered(_), None) => Judgement::Unwanted,
            (Kind::Timed(timed), _) => timed.judge(&self.holes, trade),
        }
    }

    /// Whether no trade of that minute was ever recorded because it lies inside a hole.
    pub(crate) fn is_fresh_minute(&self, minute: Time) -> bool {
        self.holes
            .iter()
            .rev()
            .flat_map(|hole| &hole.parts)
            .any(|part| part.before.minute_start() < minute && minute < part.after.minute_start())
    }

    /// Spans of holes that are still being filled, for keeping their bars at hand.
    pub(crate) fn spans(&self) -> Vec<(Time, Time)> {
        let is_filling = |hole: &&Hole| hole.state != HoleState::Missing;
        let parts = self.holes.iter().filter(is_filling).flat_map(|hole| &hole.parts);
        parts.map(|part| (part.before, part.after)).collect()
    }

    /// Notes a trade that was judged new.
    pub(crate) fn accept(&mut self, verdict: Verdict, trade: &Trade, at: Moment, findings: &mut Findings) {
        let is_plain = matches!(verdict, Verdict::Next | Verdict::Loose);
        if !is_plain || self.trouble.is_some() || self.start.is_none() || self.carriers == 0 {
            self.version += 1;
        }
        let cause = self.cause(at);
        if verdict == Verdict::Renumbered {
            self.give_up(at.now, findings);
        }
        match &mut self.kind {
            Kind::Numbered(numbered) => {
                numbered.accept(&mut self.holes, verdict, (trade, cause, at));
            }
            Kind::Timed(timed) => timed.accept(&mut self.holes, trade),
        }
        if let Verdict::Part { hole, .. } = verdict {
            self.settle_if_whole(hole, at, findings);
        }
        if trade.source != Source::Stream {
            return;
        }
        if let Kind::Timed(timed) = &mut self.kind
            && let Some(down) = timed.down.filter(|_| self.carriers > 0)
        {
            // A stream that was taken for mute speaks again.
            timed.down = None;
            self.open_span(down.since, trade.venue_time, (down.cause, at.now), findings);
        }
        self.trouble = None;
        match self.start {
            Some(start) if verdict == Verdict::Below => self.start = Some(start.min(trade.venue_time)),
            Some(_) => {}
            None => self.start = Some(trade.venue_time),
        }
        if self.newest.is_none_or(|newest| newest.venue_time <= trade.venue_time) {
            self.newest = Some(Newest { venue_time: trade.venue_time, id: trade.trade_id, received: at.now });
        }
        self.forget_old(findings);
    }

    /// Old numbers mean nothing any more: what is open is missing, and nothing of it is remembered.
    fn give_up(&mut self, now: Nanos, findings: &mut Findings) {
        tracing::warn!(instrument = %self.instrument, "venue numbers its trades anew");
        for hole in std::mem::take(&mut self.holes).into_iter().filter(|hole| hole.state == HoleState::Open) {
            let cause = hole.cause;
            self.close(&hole, cause, now, findings);
        }
        self.holes.clear();
    }

    fn cause(&self, at: Moment) -> GapCause {
        let newest = self.newest.map(|newest| newest.received);
        let is_undecodable =
            || at.undecodable.is_some_and(|when| newest.is_some_and(|newest| when >= newest));
        self.trouble
            .unwrap_or_else(|| if is_undecodable() { GapCause::Undecodable } else { GapCause::Dropped })
    }

    /// Notes that something befell the stream; the gravest since the newest trade names the next hole.
    pub(crate) fn befall(&mut self, cause: GapCause) {
        self.version += 1;
        let rank = |cause| match cause {
            GapCause::Stopped => 4,
            GapCause::DiskFull => 3,
            GapCause::Disconnected => 2,
            GapCause::Silent => 1,
            _ => 0,
        };
        if self.trouble.is_none_or(|known| rank(known) < rank(cause)) {
            self.trouble = Some(cause);
        }
    }

    /// Opens a hole between two moments of a stream without numbers.
    fn open_span(
        &mut self,
        since: Time,
        until: Time,
        (cause, now): (GapCause, Nanos),
        findings: &mut Findings,
    ) {
        self.version += 1;
        let until = until.max(since);
        self.holes.push(Hole::span(since, until, cause, now));
        let hole = self.holes.last_mut().expect("a hole was just pushed");
        hole.wished = now;
        let newest = self.newest;
        if let Kind::Timed(timed) = &mut self.kind
            // What lies before the hole and was never proven must still be asked about one day.
            && timed.seen(newest).max(self.start).is_none_or(|seen| since <= seen)
        {
            timed.told = timed.told.max(Some(until.plus_micros(-timed::MARGIN)));
        }
        let gap = hole.gap(&self.instrument, self.channel);
        findings.gaps.push(gap.clone());
        findings.wishes.push(gap);
    }

    /// Time passed: disorder that lasted becomes a hole, wishes without outcome are made again.
    pub(crate) fn tick(&mut self, at: Moment, findings: &mut Findings) {
        self.version += 1;
        let is_due =
            |hole: &Hole| hole.state == HoleState::Pending && at.now.0 - hole.found.0 >= at.hole_wait;
        if self.holes.iter().any(is_due) {
            for hole in std::mem::take(&mut self.holes) {
                if !is_due(&hole) {
                    self.holes.push(hole);
                    continue;
                }
                for open in hole.opened(at.now) {
                    let gap = open.gap(&self.instrument, self.channel);
                    findings.gaps.push(gap.clone());
                    findings.wishes.push(gap);
                    self.holes.push(open);
                }
            }
            self.forget_old(findings);
        }
        for hole in &mut self.holes {
            if hole.state == HoleState::Open && at.now.0 - hole.wished.0 >= WISH_AGAIN {
                hole.wished = at.now;
                findings.wishes.push(hole.gap(&self.instrument, self.channel));
            }
        }
    }

    /// Whether time alone may change something.
    pub(crate) fn is_watched(&self) -> bool {
        self.holes.iter().any(|hole| hole.state != HoleState::Missing)
    }

    /// The record is over: missing holes that got ids after all are split anew.
    pub(crate) fn settle_late(&mut self, now: Nanos, findings: &mut Findings) {
        if !self.holes.iter().any(|hole| hole.is_changed) {
            return;
        }
        self.version += 1;
        let holes = std::mem::take(&mut self.holes);
        for hole in holes {
            if hole.state == HoleState::Missing && hole.is_changed {
                let cause = hole.cause;
                self.close(&hole, cause, now, findings);
            } else {
                self.holes.push(Hole { is_changed: false, ..hole });
            }
        }
    }

    /// Spans that are not there, holes and disorder alike, ascending by start. Both ends may lack trades.
    pub(crate) fn absent(&self) -> Vec<TimeRange> {
        let range = |part: &Part| TimeRange { start: part.before, end: part.after.plus_micros(1) };
        let mut absent: Vec<_> = self.holes.iter().flat_map(|hole| &hole.parts).map(range).collect();
        absent.sort_by_key(|range| range.start);
        absent
    }

    /// Gap rows that are open or missing, ascending.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let known = self.holes.iter().filter(|hole| hole.state != HoleState::Pending);
        known.map(|hole| hole.gap(&self.instrument, self.channel)).collect()
    }

    /// Up to when the stream is observed; `None` if that is now.
    pub(crate) fn observed_until(&self) -> Option<Time> {
        let newest = self.newest.map(|newest| newest.venue_time);
        match &self.kind {
            Kind::Timed(timed) => match timed.down {
                Some(down) => Some(down.since),
                None if self.carriers == 0 => timed.told.max(newest).or(self.start),
                None => None,
            },
            // Whether ids jumped while nobody listened shows with the next trade.
            Kind::Numbered(_) if self.carriers == 0 || self.trouble.is_some() => newest,
            Kind::Numbered(_) => None,
        }
    }

    /// Holes that are open, and holes that stay.
    pub(crate) fn hole_counts(&self) -> (usize, usize) {
        let count = |state| self.holes.iter().filter(|hole| hole.state == state).count();
        (count(HoleState::Open), count(HoleState::Missing))
    }
}
