//! Level-2 books: each update must follow the one before by its venue's rule; at a break the book is stale until a
//! snapshot bridges it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{BookLevel, BookUpdate, Decimal, InstrumentId, Nanos, Time};
use tables::BookView;
use venues::BookRule;

/// Differences kept while waiting for a snapshot; the oldest go first, and the snapshot must then be newer.
const WAITING_MAX: usize = 4_096;
/// How long to wait for a snapshot before asking again.
const ASK_AGAIN: i64 = 10_000_000_000;

/// What an update led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BookStep {
    /// It is part of the book now.
    Applied(BookUpdate),
    /// The chain broke.
    Broke,
    /// A snapshot is needed.
    Wanted,
}

/// How a book stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BookState {
    /// No snapshot yet.
    Waiting,
    /// A snapshot is in; the first difference must bridge it.
    Bridging,
    /// Every update followed the one before.
    Live,
    /// No connection brings it; whether something was lost shows with the next update.
    Suspended,
    /// The chain broke.
    Stale,
}

/// One book.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) bids: BTreeMap<Decimal, Decimal>,
    pub(crate) asks: BTreeMap<Decimal, Decimal>,
    pub(crate) sequence: i64,
    pub(crate) venue_time: Time,
    pub(crate) state: BookState,
    /// Differences that came while no snapshot was there.
    pub(crate) waiting: VecDeque<BookUpdate>,
    /// When a snapshot was last asked for.
    pub(crate) asked: Option<Nanos>,
}

/// A book that readers look at while one thread changes it.
pub(crate) type SharedBook = Arc<Mutex<Book>>;

/// The book, whatever became of other readers.
pub(crate) fn lock(book: &SharedBook) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Book {
    fn default() -> Self {
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            sequence: 0,
            venue_time: Time::default(),
            state: BookState::Waiting,
            waiting: VecDeque::new(),
            asked: None,
        }
    }
}

impl Book {
    /// Takes an update as it came.
    pub(crate) fn take(
        &mut self,
        update: BookUpdate,
        rule: BookRule,
        now: Nanos,
        emit: &mut dyn FnMut(BookStep),
    ) {
        if rule == BookRule::StreamSnapshots {
            self.take_streamed(update, now, emit);
        } else if update.is_snapshot {
            self.take_snapshot(update, rule, now, emit);
        } else {
            self.take_difference(update, rule, now, emit);
        }
    }

    fn take_streamed(&mut self, update: BookUpdate, now: Nanos, emit: &mut dyn FnMut(BookStep)) {
        let is_reset = update.is_snapshot || update.last_sequence == 1;
        let is_live = matches!(self.state, BookState::Live);
        if is_reset {
            // A second connection may bring an older snapshot of a book that is already further.
            let is_older = update.last_sequence <= self.sequence && update.venue_time <= self.venue_time;
            if !(is_live && is_older) {
                self.reset(update, BookState::Live, emit);
            }
            return;
        }
        match self.state {
            BookState::Live | BookState::Suspended if update.last_sequence <= self.sequence => {}
            BookState::Live | BookState::Suspended if update.last_sequence == self.sequence + 1 => {
                self.state = BookState::Live;
                self.apply(update, emit);
            }
            BookState::Live | BookState::Suspended => {
                self.break_chain(now, emit);
            }
            BookState::Waiting | BookState::Bridging | BookState::Stale => self.ask(now, emit),
        }
    }

    fn take_snapshot(
        &mut self,
        update: BookUpdate,
        rule: BookRule,
        now: Nanos,
        emit: &mut dyn FnMut(BookStep),
    ) {
        if self.state == BookState::Live {
            return;
        }
        let at = update.last_sequence;
        self.waiting.retain(|waiting| waiting.last_sequence > at || is_touching(waiting, at, rule));
        if let Some(first) = self.waiting.front()
            && !bridges(first, at, rule)
        {
            // The snapshot is older than what is known: a newer one is needed.
            self.asked = None;
            self.ask(now, emit);
            return;
        }
        self.reset(update, BookState::Bridging, emit);
        for waiting in std::mem::take(&mut self.waiting) {
            self.take_difference(waiting, rule, now, emit);
        }
    }

    fn take_difference(
        &mut self,
        update: BookUpdate,
        rule: BookRule,
        now: Nanos,
        emit: &mut dyn FnMut(BookStep),
    ) {
        match self.state {
            BookState::Waiting | BookState::Stale => {
                self.wait(update);
                self.ask(now, emit);
            }
            BookState::Bridging => {
                if bridges(&update, self.sequence, rule) {
                    self.state = BookState::Live;
                    self.apply(update, emit);
                } else if update.last_sequence > self.sequence {
                    self.break_chain(now, emit);
                    self.wait(update);
                }
            }
            BookState::Live | BookState::Suspended => {
                if update.last_sequence <= self.sequence {
                    return;
                }
                let follows = match rule {
                    BookRule::PreviousIsLast => update.previous_sequence == Some(self.sequence),
                    BookRule::FirstFollowsLast | BookRule::StreamSnapshots => {
                        update.first_sequence == self.sequence + 1
                    }
                };
                if follows {
                    self.state = BookState::Live;
                    self.apply(update, emit);
                } else {
                    self.break_chain(now, emit);
                    self.wait(update);
                }
            }
        }
    }

    /// No connection brings the book any more.
    pub(crate) fn suspend(&mut self, emit: &mut dyn FnMut(BookStep)) {
        match self.state {
            BookState::Live => {
                self.state = BookState::Suspended;
                emit(BookStep::Broke);
            }
            BookState::Bridging => self.state = BookState::Suspended,
            BookState::Waiting | BookState::Suspended | BookState::Stale => {}
        }
        self.waiting.clear();
        self.asked = None;
    }

    fn break_chain(&mut self, now: Nanos, emit: &mut dyn FnMut(BookStep)) {
        self.state = BookState::Stale;
        self.waiting.clear();
        self.asked = None;
        emit(BookStep::Broke);
        self.ask(now, emit);
    }

    fn ask(&mut self, now: Nanos, emit: &mut dyn FnMut(BookStep)) {
        if self.asked.is_none_or(|asked| now.0 - asked.0 >= ASK_AGAIN) {
            self.asked = Some(now);
            emit(BookStep::Wanted);
        }
    }

    fn wait(&mut self, update: BookUpdate) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(update);
    }

    fn reset(&mut self, update: BookUpdate, state: BookState, emit: &mut dyn FnMut(BookStep)) {
        self.bids.clear();
        self.asks.clear();
        self.state = state;
        self.asked = None;
        self.apply(update, emit);
    }

    fn apply(&mut self, update: BookUpdate, emit: &mut dyn FnMut(BookStep)) {
        set(&mut self.bids, &update.bids);
        set(&mut self.asks, &update.asks);
        self.sequence = update.last_sequence;
        self.venue_time = update.venue_time;
        emit(BookStep::Applied(update));
    }

    /// Whether readers must be told that the levels are old.
    pub(crate) fn is_stale(&self) -> bool {
        self.state != BookState::Live && self.state != BookState::Bridging
    }

    /// The book for readers; `None` before the first snapshot.
    pub(crate) fn view(&self, instrument: &InstrumentId, depth: usize) -> Option<BookView> {
        if self.state == BookState::Waiting {
            return None;
        }
        let level =
            |(price, quantity): (&Decimal, &Decimal)| BookLevel { price: *price, quantity: *quantity };
        Some(BookView {
            instrument: instrument.clone(),
            bids: self.bids.iter().rev().take(depth).map(level).collect(),
            asks: self.asks.iter().take(depth).map(level).collect(),
            sequence: self.sequence,
            venue_time: self.venue_time,
            is_stale: self.is_stale(),
        })
    }
}

fn set(side: &mut BTreeMap<Decimal, Decimal>, levels: &[BookLevel]) {
    for level in levels {
        if level.quantity.is_zero() {
            side.remove(&level.price);
        } else {
            side.insert(level.price, level.quantity);
        }
    }
}

/// Whether a difference joins a snapshot, so that all after the snapshot is known.
fn bridges(update: &BookUpdate, snapshot: i64, rule: BookRule) -> bool {
    match rule {
        BookRule::FirstFollowsLast | BookRule::StreamSnapshots => {
            update.first_sequence <= snapshot + 1 && snapshot < update.last_sequence
        }
        BookRule::PreviousIsLast => {
            (update.first_sequence <= snapshot && snapshot <= update.last_sequence)
                || update.previous_sequence == Some(snapshot)
        }
    }
}

/// Whether a difference that ends at the snapshot still bridges it: applying absolute quantities twice is harmless.
fn is_touching(update: &BookUpdate, snapshot: i64, rule: BookRule) -> bool {
    rule == BookRule::PreviousIsLast && bridges(update, snapshot, rule)
}
