//! 1-minute bars of one instrument: open minutes, and the newest closed ones in case late trades arrive.

use model::time::MINUTE;
use model::{Bar, BarState, Condition, InstrumentId, Time, Trade};

use crate::bars::accumulator::Minute;
use crate::bars::state;
use crate::fold::{Error, Fold};

/// Most minutes that may be open at once.
// Far more than disorder and fast replays need; a venue clock gone wild must not fill the memory.
const OPEN_MINUTES_MAX: usize = 512;

/// What became of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It went into an open minute.
    Open,
    /// It went into a closed minute, which [`MinuteBars::revise`] will hand out again.
    Late,
    /// Its minute is closed and no longer held: whoever has the minute's trades must fold them anew.
    TooOld(Time),
    /// It is no market trade.
    Apart,
    /// Its numbers do not fit, or it lies in one open minute too many.
    Refused,
}

/// 1-minute bars of one instrument. Any order of arrival gives the same prices and sums.
#[derive(Clone, Debug)]
pub struct MinuteBars {
    instrument: InstrumentId,
    kept_max: usize,
    /// Ascending by open time.
    pub(super) minutes: Vec<Minute>,
    /// Minutes that end here or before are closed.
    pub(super) closed_through: Time,
    /// From here on, a minute that is not held had no trade. `None` before the first trade.
    pub(super) held_from: Option<Time>,
}

impl MinuteBars {
    /// Nothing yet. That many closed minutes with trades stay held for late trades.
    pub fn new(instrument: InstrumentId, kept_max: usize) -> Self {
        Self { instrument, kept_max, minutes: Vec::new(), closed_through: Time(i64::MIN), held_from: None }
    }

    /// The instrument.
    pub fn instrument(&self) -> &InstrumentId {
        &self.instrument
    }

    /// Minutes that end at this moment or before are closed.
    pub fn closed_through(&self) -> Time {
        self.closed_through
    }

    /// Takes a trade.
    pub fn take_trade(&mut self, trade: &Trade) -> Taken {
        self.place(trade, false)
    }

    /// Takes a trade of a minute of which the caller knows that no trade came before, however old.
    pub fn take_fresh(&mut self, trade: &Trade) -> Taken {
        self.place(trade, true)
    }

    fn place(&mut self, trade: &Trade, is_fresh: bool) -> Taken {
        if trade.condition != Condition::Market {
            return Taken::Apart;
        }
        let open_time = trade.venue_time.minute_start();
        let is_late = open_time.plus_micros(MINUTE) <= self.closed_through;
        let taken = if is_late { Taken::Late } else { Taken::Open };
        // Nearly every trade belongs to the newest minute.
        let at = match self.minutes.last() {
            Some(last) if last.open_time == open_time => Ok(self.minutes.len() - 1),
            Some(last) if last.open_time < open_time => Err(self.minutes.len()),
            _ => self.minutes.binary_search_by_key(&open_time, |minute| minute.open_time),
        };
        match at {
            Ok(at) => {
                let minute = &mut self.minutes[at];
                if !minute.add(trade) {
                    return Taken::Refused;
                }
                minute.is_changed |= is_late;
            }
            Err(at) => {
                let held_from = *self.held_from.get_or_insert(open_time);
                if open_time < held_from && !is_fresh {
                    return Taken::TooOld(open_time);
                }
                if !is_late && self.minutes.len() >= OPEN_MINUTES_MAX && self.open_count() >= OPEN_MINUTES_MAX
                {
                    return Taken::Refused;
                }
                let Some(mut minute) = Minute::starting_with(trade) else { return Taken::Refused };
                minute.is_changed = is_late;
                self.minutes.insert(at, minute);
            }
        }
        taken
    }

    fn open_count(&self) -> usize {
        self.minutes.iter().rev().take_while(|minute| minute.end() > self.closed_through).count()
    }

    /// Hands out the closed minutes that late trades changed since the last call.
    ///
    /// One revision per call and minute, however many trades came. A minute that had no bar before starts with
    /// revision 0, as if it closed now.
    pub fn revise(&mut self, available_time: Time, emit: &mut dyn FnMut(Bar)) {
        for minute in self.minutes.iter_mut().filter(|minute| minute.is_changed) {
            minute.is_changed = false;
            let state = if minute.revision.is_some() { BarState::Revised } else { BarState::Closed };
            minute.revision = Some(minute.revision.map_or(0, |revision| revision.saturating_add(1)));
            minute.available_time = available_time;
            emit(minute.bar(&self.instrument, state, available_time));
        }
    }

    /// Closes every minute that ends at `edge` or before and hands out its bar.
    pub fn close_through(&mut self, edge: Time, available_time: Time, emit: &mut dyn FnMut(Bar)) {
        if edge <= self.closed_through {
            return;
        }
        self.closed_through = edge;
        for minute in
            self.minutes.iter_mut().filter(|minute| minute.revision.is_none() && minute.end() <= edge)
        {
            minute.revision = Some(0);
            minute.is_changed = false;
            minute.available_time = available_time;
            emit(minute.bar(&self.instrument, BarState::Closed, available_time));
        }
    }

    /// Lets go of closed minutes beyond the number kept, except those that start within one of the spans (both ends
    /// included): holes that are still being filled.
    pub fn let_go(&mut self, spans: &[(Time, Time)]) {
        let closed = self.minutes.partition_point(|minute| minute.end() <= self.closed_through);
        let Some(excess) = closed.checked_sub(self.kept_max).filter(|excess| *excess > 0) else { return };
        let newest_gone = self.minutes[excess - 1].end();
        let mut index = 0;
        self.minutes.retain(|minute| {
            index += 1;
            let is_pinned = || {
                spans.iter().any(|(first, last)| {
                    first.minute_start() <= minute.open_time && minute.open_time <= last.minute_start()
                })
            };
            index > excess || minute.is_changed || is_pinned()
        });
        self.held_from = self.held_from.max(Some(newest_gone));
    }

    /// The newest minute as it stands, if it is open.
    pub fn forming(&self, available_time: Time) -> Option<Bar> {
        let minute = self.minutes.last().filter(|minute| minute.end() > self.closed_through)?;
        Some(minute.bar(&self.instrument, BarState::Forming, available_time))
    }

    /// Every open minute as it stands, oldest first.
    pub fn open(&self, available_time: Time) -> impl Iterator<Item = Bar> {
        let open = self.minutes.partition_point(|minute| minute.end() <= self.closed_through);
        self.minutes[open..]
            .iter()
            .map(move |minute| minute.bar(&self.instrument, BarState::Forming, available_time))
    }

    /// The bar of a minute that is held.
    pub fn bar(&self, open_time: Time) -> Option<Bar> {
        let at = self.minutes.binary_search_by_key(&open_time, |minute| minute.open_time).ok()?;
        let minute = &self.minutes[at];
        let state = match minute.revision {
            None => BarState::Forming,
            Some(0) => BarState::Closed,
            Some(_) => BarState::Revised,
        };
        Some(minute.bar(&self.instrument, state, minute.available_time))
    }

    /// Whether a minute without a bar had no trade, as far as trades came.
    pub fn held(&self, open_time: Time) -> bool {
        self.held_from.is_none_or(|held_from| held_from <= open_time)
    }

    /// The bar of one minute from all its trades, as it would have been built live; `None` without market trades.
    pub fn fold_minute<'a>(
        instrument: &InstrumentId,
        trades: impl IntoIterator<Item = &'a Trade>,
        available_time: Time,
    ) -> Option<Bar> {
        let mut bars = Self::new(instrument.clone(), 1);
        for trade in trades {
            bars.take_fresh(trade);
        }
        let minute = bars.minutes.last()?;
        Some(minute.bar(instrument, BarState::Closed, available_time))
    }

    /// Everything later bars depend on, as bytes with a version; the instrument is not part of it.
    pub fn save(&self) -> Vec<u8> {
        state::save(self)
    }

    /// Takes up saved state.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        state::restore(self, bytes)
    }
}

/// What goes into [`MinuteBars`] as a fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MinuteInput {
    /// A print, new to us.
    Trade(Trade),
    /// The frame or answer is over: late trades in it may be told.
    Settled {
        /// When it was received.
        received_time: Time,
    },
    /// The venue's clock has passed so far that minutes ending here are closed.
    Edge {
        /// The edge.
        edge: Time,
        /// When that became known.
        received_time: Time,
    },
}

/// What comes out of [`MinuteBars`] as a fold.
#[expect(clippy::large_enum_variant, reason = "handed over at once, never kept in numbers")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MinuteNews {
    /// A closed or revised bar.
    Bar(Bar),
    /// The minute that opened then got a late trade but is no longer held.
    TooOld(Time),
}

impl Fold for MinuteBars {
    type Input = MinuteInput;
    type Output = MinuteNews;

    fn take(&mut self, input: &MinuteInput, emit: &mut dyn FnMut(MinuteNews)) {
        match input {
            MinuteInput::Trade(trade) => {
                if let Taken::TooOld(minute) = self.take_trade(trade) {
                    emit(MinuteNews::TooOld(minute));
                }
            }
            MinuteInput::Settled { received_time } => {
                self.revise(*received_time, &mut |bar| emit(MinuteNews::Bar(bar)));
            }
            MinuteInput::Edge { edge, received_time } => {
                self.close_through(*edge, *received_time, &mut |bar| emit(MinuteNews::Bar(bar)));
                self.let_go(&[]);
            }
        }
    }

    fn save(&self) -> Vec<u8> {
        Self::save(self)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Error> {
        Self::restore(self, state)
    }
}
