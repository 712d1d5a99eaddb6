//! Listings: which instruments a venue has, since when each in which form.

use std::collections::HashSet;

use model::{Instrument, InstrumentId, InstrumentStatus, Listing, Time, VenueId};
use tables::{InstrumentRow, News};
use venues::contract::gather;

use super::House;
use crate::desk::{Desk, Listed};
use crate::output::Output;

/// Most pages of one listing; more is a venue that pages in circles.
const PAGES_MAX: usize = 64;

impl House {
    /// The desk of a venue, made when it is first heard of; `None` for a venue that this binary cannot read.
    pub(super) fn desk(&mut self, venue: VenueId) -> Option<usize> {
        if let Some(at) = self.desks.iter().position(|desk| desk.id() == venue) {
            return Some(at);
        }
        let described = (self.rules.lookup)(venue)?;
        let channel = self.channel_of(venue);
        self.desks.push(Desk::new(described, channel, self.now));
        let rows = std::mem::take(&mut self.listed_before);
        self.know(rows);
        Some(self.desks.len() - 1)
    }

    /// Takes forms of instruments over from the tables, where they are newer than what is known.
    pub(crate) fn know(&mut self, rows: Vec<InstrumentRow>) {
        let mut learned = HashSet::new();
        for row in rows {
            let venue = row.instrument.id.venue();
            let Some(desk) = self.desks.iter().position(|desk| desk.id() == venue) else {
                self.listed_before.push(row);
                continue;
            };
            let known = &mut self.desks[desk].instruments;
            if known.get(&row.instrument.id).is_none_or(|old| old.valid_from < row.valid_from) {
                let listed = Listed { instrument: row.instrument, valid_from: row.valid_from };
                known.insert(listed.instrument.id.clone(), listed);
                learned.insert(desk);
            }
        }
        for desk in learned {
            self.desks[desk].learn();
        }
    }

    pub(super) fn listing(&mut self, desk: usize, listing: Listing, out: &mut Output) {
        let time = listing.received_time;
        let mut is_changed = self.list(desk, &listing.instruments, time, out);
        if let Some(whole) = self.whole(desk, listing) {
            is_changed |= self.delist(desk, &whole, time, out);
        }
        if !is_changed {
            return;
        }
        self.desks[desk].learn();
        out.listed.push(desk);
        let ids: Vec<u32> =
            self.connections.keys().filter(|(of, _)| *of == desk).map(|(_, id)| *id).collect();
        for id in ids {
            self.resolve(desk, id, out);
        }
    }

    /// The complete listing that a page completes, if it does.
    fn whole(&mut self, desk: usize, page: Listing) -> Option<Listing> {
        let pages = &mut self.desks[desk].pages;
        if page.is_complete {
            pages.clear();
            return Some(page);
        }
        let first = |page: &Listing| page.instruments.first().map(|instrument| instrument.id.clone());
        // The first page again: the pages before belong to a round that was broken off.
        if pages.first().is_some_and(|known| first(known) == first(&page)) || pages.len() >= PAGES_MAX {
            pages.clear();
        }
        let is_last = page.next_page.is_none();
        pages.push(page);
        if is_last { gather(std::mem::take(pages)) } else { None }
    }

    fn list(&mut self, desk: usize, instruments: &[Instrument], time: Time, out: &mut Output) -> bool {
        let mut is_changed = false;
        let mut seen: HashSet<&InstrumentId> = HashSet::with_capacity(instruments.len());
        for instrument in instruments {
            // Two symbols under one id would replace each other at every poll: the first stays.
            if seen.insert(&instrument.id) {
                is_changed |= self.enter(desk, instrument, time, out);
            }
        }
        is_changed
    }

    /// Enters a form of an instrument unless it holds already.
    fn enter(&mut self, desk: usize, instrument: &Instrument, time: Time, out: &mut Output) -> bool {
        let known = &mut self.desks[desk].instruments;
        if let Some(old) = known.get(&instrument.id) {
            // A later form may be known from the tables.
            if old.instrument == *instrument || old.valid_from > time {
                return false;
            }
            // Rows are told apart by their first moment; a form that held for none is replaced by the row that follows.
            if old.valid_from < time {
                out.instrument(InstrumentRow {
                    instrument: old.instrument.clone(),
                    valid_from: old.valid_from,
                    valid_to: Some(time),
                });
            }
        }
        known.insert(instrument.id.clone(), Listed { instrument: instrument.clone(), valid_from: time });
        out.instrument(InstrumentRow { instrument: instrument.clone(), valid_from: time, valid_to: None });
        out.tell(|| News::Instrument(Box::new(instrument.clone())));
        true
    }

    /// What a complete listing no longer holds is delisted.
    fn delist(&mut self, desk: usize, whole: &Listing, time: Time, out: &mut Output) -> bool {
        let listed: HashSet<&InstrumentId> =
            whole.instruments.iter().map(|instrument| &instrument.id).collect();
        let known = &self.desks[desk].instruments;
        let gone: Vec<Instrument> = known
            .values()
            .map(|known| &known.instrument)
            .filter(|known| known.status != InstrumentStatus::Delisted && !listed.contains(&known.id))
            .cloned()
            .collect();
        if gone.len() * 2 > known.len() && gone.len() > 8 {
            tracing::warn!(venue = %whole.venue, gone = gone.len(), "listing lacks most instruments; nothing is delisted");
            return false;
        }
        for instrument in &gone {
            let delisted = Instrument { status: InstrumentStatus::Delisted, ..instrument.clone() };
            self.enter(desk, &delisted, time, out);
        }
        !gone.is_empty()
    }
}
