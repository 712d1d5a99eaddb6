//! The refinery without threads and clocks: records in, rows and news out. The same records give the same rows.

mod connections;
mod events;
mod klines;
mod listing;
mod presence;
mod trades;

#[cfg(test)]
#[path = "house_tests/mod.rs"]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{Channel, GapCause, InstrumentId, LogPosition, Nanos, Source, Time, VenueId, Wish};
use rawlog::{Answer, Outcome, Record, RecordKind};
use tables::InstrumentRow;
use venues::{Frame, Origin, Purpose, Venue};

use crate::Counts;
use crate::clock::{micros, nanos};
use crate::desk::Desk;
use crate::ledger::{Findings, Kind, Moment};
use crate::output::Output;
use crate::settings::{BooksKept, RefineSettings};
use crate::track::Track;

pub(crate) use connections::Connection;

/// Shortest time between two tellings of an instrument's open minutes.
const FORMING_EVERY: i64 = 250_000_000;

/// Where venues are looked up; tests hand in their own.
pub(crate) type VenueLookup = fn(VenueId) -> Option<&'static dyn Venue>;

/// What the house goes by.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) lookup: VenueLookup,
    pub(crate) channels: Vec<(VenueId, Channel)>,
    /// Microseconds.
    pub(crate) bar_grace: i64,
    /// Nanoseconds.
    pub(crate) hole_wait: i64,
    pub(crate) books_kept: BooksKept,
    pub(crate) store_books: bool,
    pub(crate) store_quotes: bool,
}

impl Rules {
    pub(crate) fn of(settings: &RefineSettings, lookup: VenueLookup) -> Self {
        Self {
            lookup,
            channels: settings.venues.clone(),
            bar_grace: micros(settings.bar_grace),
            hole_wait: nanos(settings.hole_wait),
            books_kept: settings.books_kept.clone(),
            store_books: settings.store_books,
            store_quotes: settings.store_quotes,
        }
    }
}

/// What an answer with trades showed so far.
#[derive(Clone, Copy, Debug)]
struct Reach {
    track: usize,
    oldest: Time,
    /// The oldest trade that was there before.
    known: Option<Time>,
}

/// The state machine.
pub(crate) struct House {
    pub(crate) rules: Rules,
    pub(crate) position: LogPosition,
    pub(crate) now: Nanos,
    /// The connection of the frame at hand.
    speaker: u32,
    pub(crate) desks: Vec<Desk>,
    pub(crate) tracks: Vec<Track>,
    index: HashMap<InstrumentId, usize>,
    pub(crate) connections: BTreeMap<(usize, u32), Connection>,
    pub(crate) counts: Counts,
    /// Tracks whose holes need the time.
    watched: BTreeSet<usize>,
    /// Tracks whose open minutes are to be told at the next tick.
    forming: BTreeSet<usize>,
    /// Tracks with late trades in the record at hand.
    late: Vec<usize>,
    /// Tracks with minutes to be compared with their klines.
    checked: BTreeSet<usize>,
    reach: Option<Reach>,
    /// Instruments that the tables know of venues that no record named yet; not part of the state.
    listed_before: Vec<InstrumentRow>,
}

impl House {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            position: LogPosition::default(),
            now: Nanos::default(),
            speaker: 0,
            desks: Vec::new(),
            tracks: Vec::new(),
            index: HashMap::new(),
            connections: BTreeMap::new(),
            counts: Counts::default(),
            watched: BTreeSet::new(),
            forming: BTreeSet::new(),
            late: Vec::new(),
            checked: BTreeSet::new(),
            reach: None,
            listed_before: Vec::new(),
        }
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: &Record, out: &mut Output) {
        let before = self.now;
        let is_torn = self.position.0 > 0 && record.position.0 > self.position.0 + 1;
        self.position = record.position;
        // A clock set back must not make time run backwards here.
        self.now = self.now.max(record.received);
        out.begin(record.position, record.received);
        if is_torn {
            // The log lost records: what streams said in them is not known.
            self.stood_still(before, GapCause::Undecodable, out);
        }
        let desks = self.desks.len();
        let desk = record.venue.and_then(|venue| self.desk(venue));
        out.listed.extend(desks..self.desks.len());
        match (record.kind, desk) {
            (RecordKind::Session, _) => self.session(),
            (RecordKind::Tick, _) => self.tick(out),
            (RecordKind::Resumed, _) => self.stood_still(before, GapCause::DiskFull, out),
            (RecordKind::Outcome, _) => self.outcome(&record.payload, out),
            (RecordKind::Opened, Some(desk)) => self.opened(desk, record.connection),
            (RecordKind::Carries, Some(desk)) => self.carries(desk, record, out),
            (RecordKind::Closed, Some(desk)) => self.closed(desk, record.connection, out),
            (RecordKind::Mute, Some(desk)) => self.mute(desk, &record.payload, out),
            (RecordKind::Text | RecordKind::Binary, Some(desk)) => self.frame(desk, record, out),
            (RecordKind::Answer, Some(desk)) => self.answer(desk, record, out),
            _ => {}
        }
        self.settle(out);
    }

    pub(crate) fn channel_of(&self, venue: VenueId) -> Channel {
        let chosen = self.rules.channels.iter().find(|(known, _)| *known == venue);
        chosen.map_or(Channel::Trades, |(_, channel)| *channel)
    }

    /// The track of an instrument, made when it is first heard of.
    fn track(&mut self, desk: usize, instrument: &InstrumentId) -> usize {
        if let Some(at) = self.index.get(instrument) {
            return *at;
        }
        let facts = self.desks[desk].venue.facts();
        self.push_track(Track::new(instrument.clone(), desk, self.desks[desk].channel, facts.trade_ids))
    }

    pub(crate) fn push_track(&mut self, track: Track) -> usize {
        let at = self.tracks.len();
        self.index.insert(track.instrument().clone(), at);
        if track.ledger.is_watched() {
            self.watched.insert(at);
        }
        if track.is_forming_changed {
            self.forming.insert(at);
        }
        if !track.klines.checks.is_empty() {
            self.checked.insert(at);
        }
        self.tracks.push(track);
        at
    }

    /// Notes that readers must be shown a track anew.
    fn touch(&mut self, track: usize, out: &mut Output) {
        if self.tracks[track].touched != out.generation {
            self.tracks[track].touched = out.generation;
            out.touched.push(track);
        }
    }

    fn moment(&self, desk: usize) -> Moment {
        Moment { now: self.now, hole_wait: self.rules.hole_wait, undecodable: self.desks[desk].undecodable }
    }

    /// Time passed.
    fn tick(&mut self, out: &mut Output) {
        for desk in 0..self.desks.len() {
            self.close_minutes(desk, out);
            self.look_for_klines(desk, out);
        }
        self.check_minutes(out);
        let watched: Vec<usize> = self.watched.iter().copied().collect();
        for track in watched {
            let at = self.moment(self.tracks[track].desk);
            let mut findings = Findings::default();
            self.tracks[track].ledger.tick(at, &mut findings);
            self.report(track, findings, out);
        }
        let now = self.now;
        let due: Vec<usize> = self.forming.iter().copied().collect();
        for track in due {
            if now.0 - self.tracks[track].forming_told.0 >= FORMING_EVERY {
                self.tell_forming(track, out);
            }
        }
    }

    /// Closes the minutes that the venue's clock has passed.
    fn close_minutes(&mut self, desk: usize, out: &mut Output) {
        let now = self.now;
        let Some(edge) = self.desks[desk].clock.take_edge(now, self.rules.bar_grace) else { return };
        let venue_now = self.desks[desk].clock.at(now);
        for at in 0..self.tracks.len() {
            let track = &mut self.tracks[at];
            if track.desk != desk {
                continue;
            }
            if let Some(venue_now) = venue_now {
                track.ledger.begin(venue_now);
                self.presences_begin(at, venue_now);
            }
            let track = &mut self.tracks[at];
            track.bars.close_through(edge, now.to_time(), &mut |bar| out.bar(bar));
            track.bars.let_go(&if self.watched.contains(&at) { track.ledger.spans() } else { Vec::new() });
            self.touch(at, out);
        }
    }

    fn tell_forming(&mut self, at: usize, out: &mut Output) {
        let now = self.now;
        let track = &mut self.tracks[at];
        track.forming_told = now;
        track.is_forming_changed = false;
        for bar in track.bars.open(now.to_time()) {
            out.tell(|| tables::News::Bar(Box::new(bar)));
        }
        self.forming.remove(&at);
    }

    /// The record is over: late trades revise their bars, missing holes that got ids are split.
    fn settle(&mut self, out: &mut Output) {
        let now = self.now;
        for at in std::mem::take(&mut self.late) {
            let track = &mut self.tracks[at];
            track.bars.revise(now.to_time(), &mut |bar| out.bar(bar));
            let mut findings = Findings::default();
            track.ledger.settle_late(now, &mut findings);
            self.report(at, findings, out);
        }
    }

    /// Hands on what a ledger found.
    fn report(&mut self, at: usize, findings: Findings, out: &mut Output) {
        if !findings.gaps.is_empty() || !findings.wishes.is_empty() {
            self.touch(at, out);
        }
        for gap in findings.gaps {
            out.gap(gap);
        }
        out.wishes.extend(findings.wishes.into_iter().map(Wish::Fill));
        if self.tracks[at].ledger.is_watched() {
            self.watched.insert(at);
        } else {
            self.watched.remove(&at);
        }
    }

    /// What became of a wish.
    fn outcome(&mut self, payload: &[u8], out: &mut Output) {
        let Some(outcome) = Outcome::from_payload(payload) else { return };
        let Ok(instrument) = outcome.instrument.parse::<InstrumentId>() else { return };
        let Some(at) = self.index.get(&instrument).copied() else { return };
        let channel = Channel::named(&outcome.channel);
        if channel == Some(Channel::Klines) {
            let cause = GapCause::named(&outcome.result).unwrap_or(GapCause::NotAtVenue);
            return self.klines_outcome(at, Time(outcome.first_time), cause, out);
        }
        let ledger = &mut self.tracks[at].ledger;
        if channel != Some(ledger.channel) {
            return;
        }
        let asked = (outcome.first_id, outcome.last_id, Time(outcome.first_time));
        if outcome.result == Source::Archive.as_str() {
            return self.brought(at, asked, out);
        }
        let done = match ledger.kind {
            Kind::Numbered(_) => GapCause::NotAtVenue,
            // The venue gave its most recent trades; what lies before them it no longer gives.
            Kind::Timed(_) => GapCause::BeyondHistory,
        };
        let cause = GapCause::named(&outcome.result).unwrap_or(done);
        let mut findings = Findings::default();
        ledger.outcome(asked, cause, self.now, &mut findings);
        self.report(at, findings, out);
    }

    /// A file of the archive held what lacked; its rows and their bars are in the tables.
    fn brought(&mut self, at: usize, asked: (Option<i64>, Option<i64>, Time), out: &mut Output) {
        let mut findings = Findings::default();
        let spans = self.tracks[at].ledger.brought(asked, Source::Archive, self.now, &mut findings);
        out.reload.extend(spans.into_iter().map(|span| (self.tracks[at].ledger.instrument.clone(), span)));
        self.report(at, findings, out);
    }

    /// A frame of a stream.
    fn frame(&mut self, desk: usize, record: &Record, out: &mut Output) {
        self.speaker = record.connection;
        let frame = Frame { payload: &record.payload, received: record.received, origin: Origin::Stream };
        if !self.decode(desk, &frame, out) {
            self.lost(desk, record, out);
        }
    }

    /// The answer to a REST question.
    fn answer(&mut self, desk: usize, record: &Record, out: &mut Output) {
        let Some(answer) = Answer::from_payload(&record.payload) else {
            return self.undecodable(desk, "answer without a head");
        };
        let Some(purpose) = Purpose::from_text(&answer.purpose) else {
            return self.undecodable(desk, "answer of unknown purpose");
        };
        // What tells a mute stream from a quiet one was asked for that alone, and who asks for the past writes its rows.
        if !(200..300).contains(&answer.status)
            || matches!(purpose, Purpose::Newest { .. } | Purpose::History(_))
        {
            return;
        }
        self.reach = None;
        let frame =
            Frame { payload: &answer.body, received: record.received, origin: Origin::Rest(&purpose) };
        let is_decoded = self.decode(desk, &frame, out);
        let Purpose::Trades { symbol } = &purpose else { return };
        if !is_decoded
            && let Some(at) = self.desks[desk].symbols.get(symbol).and_then(|id| self.index.get(id))
        {
            self.tracks[*at].ledger.has_bad_answer = true;
        }
        if let Some(reach) = self.reach.take() {
            let mut findings = Findings::default();
            let is_known = |time: Time| reach.known.is_some_and(|known| known <= time);
            self.tracks[reach.track].ledger.answered(reach.oldest, is_known, self.now, &mut findings);
            self.report(reach.track, findings, out);
        }
    }

    fn decode(&mut self, desk: usize, frame: &Frame<'_>, out: &mut Output) -> bool {
        // The decoder steps aside while its events change the house.
        let Some(mut decoder) = self.desks[desk].decoder.take() else { return false };
        let result = decoder.decode(frame, &mut |event| self.event(desk, event, out));
        self.desks[desk].decoder = Some(decoder);
        if let Err(error) = &result {
            self.undecodable(desk, &error.to_string());
        }
        result.is_ok()
    }

    fn undecodable(&mut self, desk: usize, reason: &str) {
        let now = self.now;
        let desk = &mut self.desks[desk];
        if desk.undecodable_total == 0 || desk.undecodable.is_none_or(|last| now.0 - last.0 > 10_000_000_000)
        {
            tracing::warn!(venue = %desk.id(), position = %self.position, reason, "undecodable; the bytes stay in the log");
        }
        desk.undecodable = Some(now);
        desk.undecodable_total += 1;
        self.counts.undecodable_total += 1;
    }

    /// Wishes that are open now: for a process that has caught up with its log.
    pub(crate) fn open_wishes(&self) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for track in &self.tracks {
            let open = track.ledger.gaps().into_iter().filter(|gap| gap.state == model::GapState::Open);
            wishes.extend(open.map(Wish::Fill));
            let klines = track.klines.holes.iter().filter(|hole| !hole.is_missing);
            wishes.extend(klines.map(|hole| Wish::Fill(hole.row(track.instrument()))));
        }
        wishes
    }
}
