//! Whether quotes, books, klines, marks and open interest are observed, as connections and their rows tell.

use model::{Channel, GapCause, Nanos, Time};

use super::House;
use crate::output::Output;
use crate::presence::{self, Absence};

impl House {
    /// A connection carries such a stream.
    pub(super) fn presence_carried(&mut self, at: usize, channel: Channel, out: &mut Output) {
        let Some(slot) = presence::place(channel) else { return };
        let venue_now = self.desks[self.tracks[at].desk].clock.at(self.now);
        // A book is only there with its first snapshot.
        let is_proof = channel != Channel::Book;
        let absence = self.tracks[at].presences[slot].carried(venue_now, is_proof, self.now);
        self.absent(at, channel, absence, out);
    }

    /// A row of such a stream came.
    pub(super) fn presence_seen(&mut self, at: usize, channel: Channel, time: Time, out: &mut Output) {
        let Some(slot) = presence::place(channel) else { return };
        let absence = self.tracks[at].presences[slot].observed(time, self.now);
        self.absent(at, channel, absence, out);
    }

    /// A polled row came.
    pub(super) fn presence_sampled(&mut self, at: usize, channel: Channel, time: Time, out: &mut Output) {
        let Some(slot) = presence::place(channel) else { return };
        let absence = self.tracks[at].presences[slot].sampled(time, self.now);
        self.touch(at, out);
        self.absent(at, channel, absence, out);
    }

    /// Such a stream stopped being observed.
    pub(super) fn presence_fell(
        &mut self,
        at: usize,
        channel: Channel,
        since: Option<Time>,
        cause: GapCause,
    ) {
        if let Some(slot) = presence::place(channel) {
            self.tracks[at].presences[slot].fell(since, cause);
        }
    }

    /// The newest moment of which the stream told.
    pub(super) fn newest_of(&self, at: usize, channel: Channel) -> Option<Time> {
        let track = &self.tracks[at];
        match channel {
            Channel::Quotes => track.quote.as_ref().map(|quote| quote.venue_time),
            Channel::Book => track.book.as_ref().map(|book| crate::books::lock(book).venue_time),
            Channel::MarkPrices => track.mark_time,
            Channel::OpenInterest => track.interest_time,
            Channel::Klines => track.venue_bars.back().map(|(_, open_time, _)| *open_time),
            _ => None,
        }
    }

    /// The venue's clock is known now: quiet streams that are carried count as observed from here.
    pub(super) fn presences_begin(&mut self, at: usize, venue_now: Time) {
        for (slot, channel) in presence::CHANNELS.iter().enumerate() {
            let presence = &mut self.tracks[at].presences[slot];
            if presence.start.is_none() && *channel != Channel::Book {
                let _begins = presence.observed(venue_now, self.now);
            }
        }
    }

    /// What every such stream said from the record before until now is not in the log.
    pub(super) fn presences_stood_still(
        &mut self,
        at: usize,
        span: (Option<Time>, Option<Time>),
        (cause, now): (GapCause, Nanos),
        out: &mut Output,
    ) {
        for (slot, channel) in presence::CHANNELS.iter().enumerate() {
            let absence = self.tracks[at].presences[slot].stood_still(span, (cause, now));
            self.absent(at, *channel, absence, out);
        }
    }

    fn absent(&mut self, at: usize, channel: Channel, absence: Option<Absence>, out: &mut Output) {
        // Klines of minutes gone by can be had: their holes are opened minute by minute.
        if let Some(absence) = absence {
            if channel != Channel::Klines {
                out.gap(absence.gap(self.tracks[at].instrument(), channel));
            }
            self.touch(at, out);
        }
    }
}
