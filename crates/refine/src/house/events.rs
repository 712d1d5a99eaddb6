//! Events other than trades: quotes, books, venue bars, marks, funding, open interest.

use model::{Bar, BarState, BookUpdate, Event, Quote, Side, Source, Wish};
use tables::{BookChange, News};
use venues::BookRule;

use super::House;
use crate::books::{self, Book, BookStep};
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
        if self.tracks[at].take_quote(&quote) {
            out.quote(quote, self.rules.store_quotes);
            self.touch(at, out);
        }
    }

    fn venue_bar(&mut self, desk: usize, bar: Bar, out: &mut Output) {
        if bar.state == BarState::Forming {
            out.tell(|| News::VenueBar(bar));
            return;
        }
        let at = self.track(desk, &bar.instrument);
        if self.tracks[at].take_venue_bar(&bar) {
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
        let rule = self.desks[desk].venue.facts().book_rule;
        let is_stored = self.rules.store_books;
        let instrument = update.instrument.clone();
        let book = self.tracks[at].book.get_or_insert_with(|| std::sync::Arc::new(Book::default().into()));
        books::lock(book).take(update, rule, self.now, &mut |step| match step {
            BookStep::Applied(update) => {
                if is_stored {
                    changes(&update, &mut |change| out.book_change(change));
                }
                out.tell_placed(|| News::Book(update));
            }
            BookStep::Broke => out.tell_placed(|| News::BookStale(instrument.clone())),
            BookStep::Wanted => out.wishes.push(match rule {
                BookRule::StreamSnapshots => Wish::Resubscribe(instrument.clone(), model::Channel::Book),
                BookRule::FirstFollowsLast | BookRule::PreviousIsLast => {
                    Wish::BookSnapshot(instrument.clone())
                }
            }),
        });
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
