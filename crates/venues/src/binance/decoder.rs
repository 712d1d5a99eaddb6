//! Binance's decoder: frames and answers to events, and the little that later frames depend on.
//! The forms themselves are read in `stream` and `answers`.

use std::collections::BTreeMap;

use model::{Event, Instrument, Nanos, Time, VenueId};
use serde::{Deserialize, Serialize};

use crate::contract::{DecodeError, Decoder, Frame, Origin};
use crate::symbols::Symbols;

use super::{answers, stream};

/// Which form of saved state this is.
const FORM: &str = "binance 1";

/// The field `st` of COIN-M rows, which share the all-market streams of USD-M since 2026-06-30.
pub(crate) const COIN_MARGINED: i64 = 2;

/// Decodes one Binance venue.
pub(crate) struct BinanceDecoder {
    context: Context,
    events: Vec<Event>,
}

/// What reading a frame needs to know beside the frame.
pub(crate) struct Context {
    /// Venue.
    pub(crate) venue: VenueId,
    /// Its symbols.
    pub(crate) symbols: Symbols,
    /// Funding intervals that are not the usual eight hours, in hours; `None` until they were asked for.
    pub(crate) funding_hours: Option<BTreeMap<Box<str>, i32>>,
    /// When the frame was received.
    pub(crate) received: Time,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    form: Box<str>,
    funding_hours: Option<BTreeMap<Box<str>, i32>>,
}

impl BinanceDecoder {
    /// A decoder that knows no symbol yet.
    pub(crate) fn new(venue: VenueId) -> Self {
        let context =
            Context { venue, symbols: Symbols::default(), funding_hours: None, received: Nanos(0).to_time() };
        Self { context, events: Vec::new() }
    }
}

impl Decoder for BinanceDecoder {
    fn decode(&mut self, frame: &Frame<'_>, emit: &mut dyn FnMut(Event)) -> Result<(), DecodeError> {
        self.events.clear();
        self.context.received = frame.received.to_time();
        match frame.origin {
            Origin::Stream => stream::read(frame.payload, &self.context, &mut self.events)?,
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
        let saved = Saved { form: FORM.into(), funding_hours: self.context.funding_hours.clone() };
        serde_json::to_vec(&saved).expect("text and numbers are always JSON")
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), DecodeError> {
        let saved: Saved = serde_json::from_slice(state)
            .map_err(|error| DecodeError::Malformed(format!("saved state of a decoder: {error}")))?;
        if &*saved.form != FORM {
            return Err(DecodeError::Malformed(format!("saved state of a decoder: form {:?}", saved.form)));
        }
        self.context.funding_hours = saved.funding_hours;
        Ok(())
    }
}
