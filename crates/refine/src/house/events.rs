//! Events other than trades: quotes, books, venue bars, marks, funding, open interest.

use model::{Bar, BarState, BookUpdate, Channel, Event, GapCause, Quote, Side, Source, Wish};
use tables::{BookChange, News};
use venues::BookRule;

use super::House;
use crate::books::{self, Book, BookState, BookStep};
use crate::output::Output;

impl House {
    pub(super) fn event(&mut self, desk: usize, event: Event, out: &mut Output) {
        match event {
            Event::Trade(trade) => self.trade(desk, trade, out),
            Event::Quote(quote) => self.quote(desk, quote, out),
            Event::Book(update) => self.book(desk, update, out),
            Event::Bar(bar) => self.venue_bar(desk, bar, out),
            Event::MarkPrice(mark) => {
                self.pass_time(desk, mark.time, out);
                if !self.desks[desk].wants(&mark.instrument) {
                    return;
                }
                let at = self.track(desk, &mark.instrument);
                self.presence_seen(at, Channel::MarkPrices, mark.time, out);
                let track = &mut self.tracks[at];
                if track.mark_time.is_none_or(|newest| newest < mark.time) {
                    track.mark_time = Some(mark.time);
                    out.mark_price(mark);
                }
            }
            Event::Funding(funding) if self.desks[desk].wants(&funding.instrument) => {
                let at = self.track(desk, &funding.instrument);
                if self.tracks[at].take_funding(funding.time) {
                    out.funding(funding);
                }
            }
            Event::OpenInterest(interest) if self.desks[desk].wants(&interest.instrument) => {
                let at = self.track(desk, &interest.instrument);
                self.presence_seen(at, Channel::OpenInterest, interest.time, out);
                self.presence_sampled(at, Channel::OpenInterest, interest.time, out);
                let track = &mut self.tracks[at];
                if track.interest_time.is_none_or(|newest| newest < interest.time) {
                    track.interest_time = Some(interest.time);
                    out.open_interest(interest);
                }
            }
            Event::Listing(listing) => self.listing(desk, listing, out),
            Event::Funding(_) | Event::OpenInterest(_) | Event::Notice(_) => {}
        }
    }

    fn quote(&mut self, desk: usize, quote: Quote, out: &mut Output) {
        let at = self.track(desk, &quote.instrument);
        self.presence_seen(at, Channel::Quotes, quote.venue_time, out);
        if self.tracks[at].take_quote(&quote) {
            out.quote(quote, self.rules.store_quotes);
            self.touch(at, out);
        }
    }

    fn venue_bar(&mut self, desk: usize, bar: Bar, out: &mut Output) {
        let at = self.track(desk, &bar.instrument);
        self.presence_seen(at, Channel::Klines, bar.open_time, out);
        // Of what the venue says of a minute, only the last word is kept.
        if bar.state == BarState::Forming {
            return;
        }
        let is_new = self.tracks[at].take_venue_bar(&bar);
        self.kline_came(at, &bar, is_new, out);
        if is_new {
            out.venue_bar(bar);
        }
    }

    fn book(&mut self, desk: usize, update: BookUpdate, out: &mut Output) {
        if update.source == Source::Stream {
            self.pass_time(desk, update.venue_time, out);
        }
        if !self.rules.books_kept.keeps(&update.instrument) {
            return;
        }
        let at = self.track(desk, &update.instrument);
        let (time, is_asked_for) = (update.venue_time, update.source == Source::Rest);
        let rule = self.desks[desk].venue.facts().book_rule;
        let is_stored = self.rules.store_books;
        let instrument = update.instrument.clone();
        let track = &mut self.tracks[at];
        let book = track.book.get_or_insert_with(|| std::sync::Arc::new(Book::default().into()));
        let (before, mut is_broken) = (books::lock(book).venue_time, false);
        let mut held = books::lock(book);
        if is_asked_for
            && track.book_carriers == 0
            && held.waiting.is_empty()
            && held.state != BookState::Waiting
        {
            // The connection died while the snapshot was on its way: nothing would keep it fresh.
            return;
        }
        held.take(update, rule, self.now, &mut |step| match step {
            BookStep::Applied(update) => {
                if is_stored {
                    changes(&update, &mut |change| out.book_change(change));
                }
                out.tell_placed(|| News::Book(update));
            }
            BookStep::Broke => {
                is_broken = true;
                out.tell_placed(|| News::BookStale(instrument.clone()));
            }
            BookStep::Wanted => out.wishes.push(match rule {
                BookRule::StreamSnapshots => Wish::Resubscribe(instrument.clone(), Channel::Book),
                BookRule::FirstFollowsLast | BookRule::PreviousIsLast => {
                    Wish::BookSnapshot(instrument.clone())
                }
            }),
        });
        let is_there = !held.is_stale();
        drop(held);
        if is_broken {
            self.presence_fell(at, Channel::Book, Some(before), GapCause::Dropped);
        }
        if is_there && !is_asked_for {
            self.presence_seen(at, Channel::Book, time, out);
        }
        self.touch(at, out);
    }
}

fn changes(update: &BookUpdate, emit: &mut dyn FnMut(BookChange)) {
    for (side, levels) in [(Side::Buy, &update.bids), (Side::Sell, &update.asks)] {
        for level in levels {
            emit(BookChange {
                instrument: update.instrument.clone(),
                venue_time: update.venue_time,
                sequence: update.last_sequence,
                side,
                price: level.price,
                quantity: level.quantity,
                is_snapshot: update.is_snapshot,
                received_time: update.received_time,
            });
        }
    }
}
