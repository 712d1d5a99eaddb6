//! Lives of connections: which streams they carry, and what their ends leave open.

use std::collections::BTreeSet;

use bytes::Bytes;
use model::{Channel, GapCause, Nanos};
use rawlog::Record;
use venues::{Peek, TradeIds};

use super::House;
use crate::books::{self, BookStep};
use crate::ledger::{Findings, Kind};
use crate::output::Output;
use crate::presence;

/// How old the trades of a frame may be when it arrives, microseconds.
const FRAME_AGE_MAX: i64 = model::time::SECOND;

/// A connection that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// Stream keys as the venue names them.
    pub(crate) keys: Vec<Box<str>>,
    /// What of them is known: trades and books.
    pub(crate) streams: BTreeSet<(Channel, usize)>,
}

impl House {
    /// The process started: connections of the session before are gone.
    pub(super) fn session(&mut self) {
        for ((_, id), connection) in std::mem::take(&mut self.connections) {
            for (channel, track) in connection.streams {
                let newest = self.newest_of(track, channel);
                let track = &mut self.tracks[track];
                if let Some(slot) = presence::place(channel) {
                    track.presences[slot].dropped(newest, GapCause::Stopped);
                } else {
                    track.ledger.dropped(id, GapCause::Stopped);
                }
                if channel == Channel::Book {
                    track.book_carriers = 0;
                    if let Some(book) = &track.book {
                        // Whether the chain holds shows with the next update; readers are told by then.
                        books::lock(book).suspend(&mut |_| {});
                    }
                }
            }
        }
        for track in &mut self.tracks {
            track.presences.iter_mut().for_each(presence::Presence::stopped);
            if track.ledger.trouble.is_some() {
                track.ledger.befall(GapCause::Stopped);
            }
            if let Kind::Timed(timed) = &mut track.ledger.kind
                && let Some(down) = &mut timed.down
            {
                down.cause = GapCause::Stopped;
            }
        }
        let now = self.now;
        for desk in &mut self.desks {
            desk.named.clear();
            desk.renew_decoder(now);
        }
    }

    pub(super) fn opened(&mut self, desk: usize, connection: u32) {
        let fresh = Connection { keys: Vec::new(), streams: BTreeSet::new() };
        self.connections.entry((desk, connection)).or_insert(fresh);
    }

    /// The connection now carries exactly these streams.
    pub(super) fn carries(&mut self, desk: usize, record: &Record, out: &mut Output) {
        self.opened(desk, record.connection);
        let keys = String::from_utf8_lossy(&record.payload);
        let keys: Vec<Box<str>> = keys.lines().filter(|key| !key.is_empty()).map(Into::into).collect();
        if let Some(connection) = self.connections.get_mut(&(desk, record.connection)) {
            connection.keys = keys;
        }
        self.resolve(desk, record.connection, out);
    }

    /// Finds out what a connection's keys mean, as far as the listing tells, and notes what is new and what is gone.
    pub(super) fn resolve(&mut self, desk: usize, id: u32, out: &mut Output) {
        let Some(mut connection) = self.connections.remove(&(desk, id)) else { return };
        let mut streams = BTreeSet::new();
        for key in &connection.keys {
            let Some((channel, instrument)) = self.desks[desk].keys.get(key).cloned() else { continue };
            self.desks[desk].named.insert(instrument.clone());
            let is_followed = channel == self.desks[desk].channel || presence::place(channel).is_some();
            if !is_followed {
                continue;
            }
            if channel != Channel::Book || self.rules.books_kept.keeps(&instrument) {
                let track = self.track(desk, &instrument);
                streams.insert((channel, track));
                if channel == Channel::MarkPrices && self.desks[desk].marks_bring_interest {
                    streams.insert((Channel::OpenInterest, track));
                }
            }
        }
        self.resolve_all(desk, &connection.keys, &mut streams);
        let gone: Vec<_> = connection.streams.difference(&streams).copied().collect();
        let new: Vec<_> = streams.difference(&connection.streams).copied().collect();
        connection.streams = streams;
        self.connections.insert((desk, id), connection);
        // New ones first: a stream that moves within one record is carried throughout.
        for (channel, track) in new {
            self.carried(desk, channel, track, out);
        }
        for (channel, track) in gone {
            self.dropped(id, (channel, track), out);
        }
    }

    /// What keys of streams over all instruments bring: rows of the instruments that other streams name.
    fn resolve_all(&mut self, desk: usize, keys: &[Box<str>], streams: &mut BTreeSet<(Channel, usize)>) {
        for key in keys {
            let Some(channel) = self.desks[desk].keys_of_all.get(key).copied() else { continue };
            let named: Vec<_> = self.desks[desk].named.iter().cloned().collect();
            for instrument in named {
                streams.insert((channel, self.track(desk, &instrument)));
            }
        }
    }

    fn carried(&mut self, desk: usize, channel: Channel, at: usize, out: &mut Output) {
        self.touch(at, out);
        let venue_now = self.desks[desk].clock.at(self.now);
        let now = self.now;
        let track = &mut self.tracks[at];
        if channel == Channel::Book {
            track.book_carriers += 1;
        }
        if presence::place(channel).is_some() {
            return self.presence_carried(at, channel, out);
        }
        let mut findings = Findings::default();
        track.ledger.carried(venue_now, now, &mut findings);
        self.report(at, findings, out);
    }

    fn dropped(&mut self, connection: u32, (channel, at): (Channel, usize), out: &mut Output) {
        self.touch(at, out);
        let newest = self.newest_of(at, channel);
        let track = &mut self.tracks[at];
        let Some(slot) = presence::place(channel) else {
            return track.ledger.dropped(connection, GapCause::Disconnected);
        };
        track.presences[slot].dropped(newest, GapCause::Disconnected);
        if channel != Channel::Book {
            return;
        }
        track.book_carriers = track.book_carriers.saturating_sub(1);
        if track.book_carriers == 0
            && let Some(book) = &track.book
        {
            let mut is_broken = false;
            books::lock(book).suspend(&mut |step| is_broken |= step == BookStep::Broke);
            if is_broken {
                let instrument = track.instrument().clone();
                out.tell_placed(|| tables::News::BookStale(instrument));
            }
        }
    }

    pub(super) fn closed(&mut self, desk: usize, id: u32, out: &mut Output) {
        let Some(connection) = self.connections.remove(&(desk, id)) else { return };
        for (channel, track) in connection.streams {
            self.dropped(id, (channel, track), out);
        }
    }

    /// A stream is mute though data is due.
    pub(super) fn mute(&mut self, desk: usize, payload: &Bytes, out: &mut Output) {
        let Ok(key) = std::str::from_utf8(payload) else { return };
        let Some((channel, instrument)) = self.desks[desk].keys.get(key).cloned() else { return };
        let at = self.track(desk, &instrument);
        if channel == self.desks[desk].channel {
            self.tracks[at].ledger.stood_still(GapCause::Silent, None);
        } else {
            self.presence_fell(at, channel, self.newest_of(at, channel), GapCause::Silent);
        }
        self.touch(at, out);
    }

    /// A frame could not be read. Numbered streams show by a jump what it held; of the others, those that it may have
    /// belonged to have a hole around its receipt.
    pub(super) fn lost(&mut self, desk: usize, record: &Record, out: &mut Output) {
        if self.desks[desk].venue.facts().trade_ids == TradeIds::Contiguous {
            return;
        }
        let Some(connection) = self.connections.get(&(desk, record.connection)) else { return };
        let venue = self.desks[desk].venue;
        let key = match venue.peek(&record.payload) {
            Peek::Data(key) => Some(key.to_owned()),
            _ => venue.key_of(&record.payload),
        };
        let known = key.and_then(|key| self.desks[desk].keys.get(key.as_str()).cloned());
        let trades = self.desks[desk].channel;
        let tracks: Vec<usize> = match known {
            Some((channel, _)) if channel != trades => return,
            Some((_, instrument)) => self.index.get(&instrument).copied().into_iter().collect(),
            None => connection
                .streams
                .iter()
                .filter(|(channel, _)| *channel == trades)
                .map(|(_, at)| *at)
                .collect(),
        };
        let now = self.now;
        let venue_now = self.desks[desk].clock.at(now);
        let since = venue_now.map(|venue_now| venue_now.plus_micros(-FRAME_AGE_MAX));
        for at in tracks {
            let mut findings = Findings::default();
            self.tracks[at].ledger.resumed((since, venue_now), (GapCause::Undecodable, now), &mut findings);
            self.report(at, findings, out);
        }
    }

    /// What streams said from the record before until now is not in the log.
    pub(super) fn stood_still(&mut self, before: Nanos, cause: GapCause, out: &mut Output) {
        let now = self.now;
        for at in 0..self.tracks.len() {
            let clock = self.desks[self.tracks[at].desk].clock;
            let mut findings = Findings::default();
            let span = (clock.at(before), clock.at(now));
            self.tracks[at].ledger.resumed(span, (cause, now), &mut findings);
            self.report(at, findings, out);
            self.presences_stood_still(at, span, (cause, now), out);
        }
    }
}
