//! Books in a form that can be written. The order of fields is the form on disk.

use std::collections::{BTreeMap, VecDeque};

use model::{BookLevel, BookUpdate, Decimal, InstrumentId, Nanos, Time};
use serde::{Deserialize, Serialize};

use super::forms::{Number, SOURCES, place};
use crate::books::{Book, BookState};

#[derive(Serialize, Deserialize)]
struct UpdateForm {
    venue_time: i64,
    is_snapshot: bool,
    sequences: (i64, i64, Option<i64>),
    bids: Vec<(Number, Number)>,
    asks: Vec<(Number, Number)>,
    received_time: i64,
    source: u8,
}

#[derive(Serialize, Deserialize)]
pub(super) struct BookForm {
    bids: Vec<(Number, Number)>,
    asks: Vec<(Number, Number)>,
    sequence: i64,
    venue_time: i64,
    state: u8,
    waiting: Vec<UpdateForm>,
    asked: Option<i64>,
}

const BOOK_STATES: [BookState; 5] =
    [BookState::Waiting, BookState::Bridging, BookState::Live, BookState::Suspended, BookState::Stale];

/// What is wrong with a saved book.
pub(super) struct BookFormError(pub(super) String);

impl BookForm {
    pub(super) fn of(book: &Book) -> Self {
        let side = |side: &BTreeMap<Decimal, Decimal>| {
            side.iter().map(|(price, quantity)| (Number::of(*price), Number::of(*quantity))).collect()
        };
        Self {
            bids: side(&book.bids),
            asks: side(&book.asks),
            sequence: book.sequence,
            venue_time: book.venue_time.0,
            state: place(&BOOK_STATES, &book.state),
            waiting: book.waiting.iter().map(update_form).collect(),
            asked: book.asked.map(|when| when.0),
        }
    }

    pub(super) fn value(self, instrument: &InstrumentId) -> Result<Book, BookFormError> {
        let wrong = || BookFormError(format!("the book of {instrument} holds a value that cannot be"));
        let side = |side: Vec<(Number, Number)>| -> Option<BTreeMap<Decimal, Decimal>> {
            side.into_iter().map(|(price, quantity)| Some((price.value()?, quantity.value()?))).collect()
        };
        let waiting: Option<VecDeque<_>> =
            self.waiting.into_iter().map(|update| update_value(update, instrument)).collect();
        Ok(Book {
            bids: side(self.bids).ok_or_else(wrong)?,
            asks: side(self.asks).ok_or_else(wrong)?,
            sequence: self.sequence,
            venue_time: Time(self.venue_time),
            state: *BOOK_STATES.get(usize::from(self.state)).ok_or_else(wrong)?,
            waiting: waiting.ok_or_else(wrong)?,
            asked: self.asked.map(Nanos),
        })
    }
}

fn levels_form(levels: &[BookLevel]) -> Vec<(Number, Number)> {
    levels.iter().map(|level| (Number::of(level.price), Number::of(level.quantity))).collect()
}

fn levels(form: Vec<(Number, Number)>) -> Option<Vec<BookLevel>> {
    form.into_iter()
        .map(|(price, quantity)| Some(BookLevel { price: price.value()?, quantity: quantity.value()? }))
        .collect()
}

fn update_form(update: &BookUpdate) -> UpdateForm {
    UpdateForm {
        venue_time: update.venue_time.0,
        is_snapshot: update.is_snapshot,
        sequences: (update.first_sequence, update.last_sequence, update.previous_sequence),
        bids: levels_form(&update.bids),
        asks: levels_form(&update.asks),
        received_time: update.received_time.0,
        source: place(&SOURCES, &update.source),
    }
}

fn update_value(form: UpdateForm, instrument: &InstrumentId) -> Option<BookUpdate> {
    Some(BookUpdate {
        instrument: instrument.clone(),
        venue_time: Time(form.venue_time),
        is_snapshot: form.is_snapshot,
        first_sequence: form.sequences.0,
        last_sequence: form.sequences.1,
        previous_sequence: form.sequences.2,
        bids: levels(form.bids)?,
        asks: levels(form.asks)?,
        received_time: Time(form.received_time),
        source: *SOURCES.get(usize::from(form.source))?,
    })
}
