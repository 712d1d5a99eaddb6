//! Bybit's decoder: frames and answers to events, and the state that differences are merged into.
//! The forms themselves are read in `stream` and `answers`.

use std::collections::BTreeMap;

use model::{BookLevel, Decimal, Event, Instrument, Nanos, Time, VenueId};
use serde::{Deserialize, Serialize};

use crate::contract::{DecodeError, Decoder, Frame, Origin};
use crate::scan::Scan;
use crate::symbols::{BySymbol, Symbols};

use super::{answers, stream};

/// Which form of saved state this is.
const FORM: &str = "bybit 1";

/// Decodes one category of Bybit.
pub(crate) struct BybitDecoder {
    context: Context,
    events: Vec<Event>,
}

/// What reading a frame needs to know beside the frame.
pub(crate) struct Context {
    /// Venue.
    pub(crate) venue: VenueId,
    /// Linear contracts, not spot: frames look the same.
    pub(crate) is_linear: bool,
    /// Its symbols.
    pub(crate) symbols: Symbols,
    /// What tickers said so far; their differences name only what changed.
    pub(crate) tickers: BySymbol<Ticker>,
    /// Best levels so far: old differences of depth 1 name only the side that changed.
    pub(crate) tops: BySymbol<Top>,
    /// Funding intervals in hours.
    pub(crate) funding_hours: BySymbol<i32>,
    /// Whether the next page of a listing is due.
    pub(crate) is_page_due: bool,
    /// When the frame was received.
    pub(crate) received: Time,
}

/// A contract's ticker, as far as the house uses it.
#[derive(Clone, Default)]
pub(crate) struct Ticker {
    /// Cross sequence of the newest frame.
    pub(crate) sequence: i64,
    /// Mark price.
    pub(crate) mark_price: Option<Decimal>,
    /// Index price.
    pub(crate) index_price: Option<Decimal>,
    /// Funding rate of the running interval.
    pub(crate) funding_rate: Option<Decimal>,
    /// When it will be settled, in milliseconds.
    pub(crate) next_funding: Option<i64>,
    /// Length of the interval in hours.
    pub(crate) interval_hours: Option<i32>,
    /// Open contracts, both sides.
    pub(crate) open_interest: Option<Decimal>,
    /// Their value.
    pub(crate) open_value: Option<Decimal>,
}

/// Best levels; `None` for a side that is empty or not known.
#[derive(Clone, Copy, Default)]
pub(crate) struct Top {
    /// Best bid.
    pub(crate) bid: Option<BookLevel>,
    /// Best ask.
    pub(crate) ask: Option<BookLevel>,
}

/// Price and quantity.
type SavedLevel = (Box<str>, Box<str>);

#[derive(Serialize, Deserialize)]
struct Saved {
    form: Box<str>,
    tickers: BTreeMap<Box<str>, SavedTicker>,
    tops: BTreeMap<Box<str>, [Option<SavedLevel>; 2]>,
    funding_hours: BTreeMap<Box<str>, i32>,
    is_page_due: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedTicker {
    sequence: i64,
    /// Mark price, index price, funding rate, open interest and its value.
    numbers: [Option<Box<str>>; 5],
    next_funding: Option<i64>,
    interval_hours: Option<i32>,
}

impl BybitDecoder {
    /// A decoder that knows no symbol yet.
    pub(crate) fn new(venue: VenueId, is_linear: bool) -> Self {
        let context = Context {
            venue,
            is_linear,
            symbols: Symbols::default(),
            tickers: BySymbol::default(),
            tops: BySymbol::default(),
            funding_hours: BySymbol::default(),
            is_page_due: false,
            received: Nanos(0).to_time(),
        };
        Self { context, events: Vec::new() }
    }
}

impl Decoder for BybitDecoder {
    fn decode(&mut self, frame: &Frame<'_>, emit: &mut dyn FnMut(Event)) -> Result<(), DecodeError> {
        self.events.clear();
        self.context.received = frame.received.to_time();
        match frame.origin {
            Origin::Stream => stream::read(frame.payload, &mut self.context, &mut self.events)?,
            Origin::Rest(purpose) => {
                answers::read(purpose, frame.payload, &mut self.context, &mut self.events)?;
            }
        }
        for event in self.events.drain(..) {
            if let Event::Listing(listing) = &event {
                self.context.symbols.learn(&listing.instruments);
            }
            emit(event);
        }
        Ok(())
    }

    fn learn(&mut self, instruments: &[Instrument]) {
        self.context.symbols.learn(instruments);
    }

    fn save(&self) -> Vec<u8> {
        let Context { tickers, tops, funding_hours, is_page_due, .. } = &self.context;
        let saved = Saved {
            form: FORM.into(),
            tickers: tickers.iter().map(|(symbol, ticker)| (symbol.clone(), ticker.to_saved())).collect(),
            tops: tops
                .iter()
                .map(|(symbol, top)| (symbol.clone(), [top.bid, top.ask].map(saved_level)))
                .collect(),
            funding_hours: funding_hours.iter().map(|(symbol, hours)| (symbol.clone(), *hours)).collect(),
            is_page_due: *is_page_due,
        };
        serde_json::to_vec(&saved).expect("text and numbers are always JSON")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), DecodeError> {
        let refuse = |why: String| DecodeError::Malformed(format!("saved state of a decoder: {why}"));
        let saved: Saved = serde_json::from_slice(state).map_err(|error| refuse(error.to_string()))?;
        if &*saved.form != FORM {
            return Err(refuse(format!("form {:?}", saved.form)));
        }
        let mut tickers = BySymbol::default();
        for (symbol, ticker) in saved.tickers {
            tickers.insert(symbol, ticker.into_ticker()?);
        }
        let mut tops = BySymbol::default();
        for (symbol, [bid, ask]) in saved.tops {
            tops.insert(symbol, Top { bid: restored_level(bid)?, ask: restored_level(ask)? });
        }
        self.context.tickers = tickers;
        self.context.tops = tops;
        self.context.funding_hours = saved.funding_hours.into_iter().collect();
        self.context.is_page_due = saved.is_page_due;
        Ok(())
    }
}

impl Ticker {
    fn to_saved(&self) -> SavedTicker {
        let numbers =
            [self.mark_price, self.index_price, self.funding_rate, self.open_interest, self.open_value];
        SavedTicker {
            sequence: self.sequence,
            numbers: numbers.map(|number| number.map(|number| number.to_string().into())),
            next_funding: self.next_funding,
            interval_hours: self.interval_hours,
        }
    }
}

impl SavedTicker {
    fn into_ticker(self) -> Scan<Ticker> {
        let [mark_price, index_price, funding_rate, open_interest, open_value] = self.numbers;
        let number = |text: Option<Box<str>>| text.map(|text| restored(&text)).transpose();
        Ok(Ticker {
            sequence: self.sequence,
            mark_price: number(mark_price)?,
            index_price: number(index_price)?,
            funding_rate: number(funding_rate)?,
            next_funding: self.next_funding,
            interval_hours: self.interval_hours,
            open_interest: number(open_interest)?,
            open_value: number(open_value)?,
        })
    }
}

fn saved_level(level: Option<BookLevel>) -> Option<SavedLevel> {
    level.map(|level| (level.price.to_string().into(), level.quantity.to_string().into()))
}

fn restored_level(level: Option<SavedLevel>) -> Scan<Option<BookLevel>> {
    let Some((price, quantity)) = level else { return Ok(None) };
    Ok(Some(BookLevel { price: restored(&price)?, quantity: restored(&quantity)? }))
}

fn restored(text: &str) -> Scan<Decimal> {
    text.parse().map_err(|error| DecodeError::Malformed(format!("saved state of a decoder: {error}")))
}
